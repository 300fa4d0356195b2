/*
 * s3_xml.c
 *	  Reading S3's XML answers with expat.
 */
#include "stores/s3_xml.h"

#include <limits.h>
#include <string.h>

#include <expat.h>

#define MAX_DEPTH 16
#define MAX_PATH  512

typedef struct Reading
{
	XML_Parser	 parser;
	S3XmlVisitor visitor;
	void		*context;
	char		 path[MAX_PATH];
	size_t		 path_length;
	size_t		 depth;
	char		 text[S3_XML_MAX_TEXT + 1]; /* of the element that began or ended last */
	size_t		 text_length;
	bool		 refused;
} Reading;

static void
refuse(Reading *reading)
{
	reading->refused = true;
	XML_StopParser(reading->parser, XML_FALSE);
}

static void XMLCALL
begin_element(void *context, const XML_Char *name, const XML_Char **attributes)
{
	Reading	   *reading = context;
	const char *colon = strrchr(name, ':');
	const char *local = colon ? colon + 1 : name;
	size_t		length = strlen(local);

	(void) attributes;
	if (reading->depth == MAX_DEPTH || reading->path_length + length + 2 > MAX_PATH)
	{
		refuse(reading);
		return;
	}
	if (reading->depth > 0)
		reading->path[reading->path_length++] = '/';
	memcpy(reading->path + reading->path_length, local, length + 1);
	reading->path_length += length;
	reading->depth++;
	reading->text_length = 0;
}

static void XMLCALL
end_element(void *context, const XML_Char *name)
{
	Reading *reading = context;
	char	*slash;

	(void) name;
	reading->text[reading->text_length] = '\0';
	if (!reading->visitor(reading->context, reading->path, reading->text))
	{
		refuse(reading);
		return;
	}
	slash = strrchr(reading->path, '/');
	reading->path_length = slash ? (size_t) (slash - reading->path) : 0;
	reading->path[reading->path_length] = '\0';
	reading->depth--;
	reading->text_length = 0;
}

static void XMLCALL
take_text(void *context, const XML_Char *text, int length)
{
	Reading *reading = context;

	if (reading->text_length + (size_t) length > S3_XML_MAX_TEXT)
	{
		refuse(reading);
		return;
	}
	memcpy(reading->text + reading->text_length, text, (size_t) length);
	reading->text_length += (size_t) length;
}

/* Only a document type can define entities, and S3 has none. */
static void XMLCALL
refuse_doctype(void *context, const XML_Char *name, const XML_Char *system, const XML_Char *public,
			   int internal)
{
	(void) name;
	(void) system;
	(void) public;
	(void) internal;
	refuse(context);
}

bool
s3_xml_parse(const char *bytes, size_t length, S3XmlVisitor visitor, void *context)
{
	Reading reading = {.visitor = visitor, .context = context};
	bool	parsed;

	/* What keeps a connection alive while the store works; a declaration may stand at the very beginning alone. */
	while (bytes && length > 0 && *bytes != '\0' && strchr(" \t\r\n", *bytes))
	{
		bytes++;
		length--;
	}
	if (!bytes || length == 0 || length > INT_MAX)
		return false;
	reading.parser = XML_ParserCreate(NULL);
	if (!reading.parser)
		return false;
	XML_SetUserData(reading.parser, &reading);
	XML_SetElementHandler(reading.parser, begin_element, end_element);
	XML_SetCharacterDataHandler(reading.parser, take_text);
	XML_SetStartDoctypeDeclHandler(reading.parser, refuse_doctype);
	parsed = XML_Parse(reading.parser, bytes, (int) length, XML_TRUE) == XML_STATUS_OK && !reading.refused;
	XML_ParserFree(reading.parser);
	return parsed;
}
