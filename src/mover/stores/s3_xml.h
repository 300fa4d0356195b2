/*
 * s3_xml.h
 *	  Reading S3's XML answers: small, flat, and from a server that need not mean well.
 *
 * A document type (and with it every entity of its own), nesting deeper than 16,
 * names or texts beyond S3_XML_MAX_TEXT and anything not well-formed are refused.
 */
#ifndef S3_XML_H
#define S3_XML_H

#include <stdbool.h>
#include <stddef.h>

/* A session token is the longest that there is: 4 KiB, or more with many tags. */
#define S3_XML_MAX_TEXT (16 * 1024)

/*
 * Called at the end of each element: its path from the root without namespaces
 * ("ListBucketResult/Contents/Key") and its own text.  Returns false to stop.
 */
typedef bool (*S3XmlVisitor)(void *context, const char *path, const char *text);

/* False: refused, or stopped by the visitor. */
extern bool s3_xml_parse(const char *bytes, size_t length, S3XmlVisitor visitor, void *context);

#endif
