/*
 * postgres_archive_class.h
 *	  What kind of object an entry of pg_dump's table of contents stands for.
 *
 * pg_dump writes the kind as a text (the entry's desc).  The list below has
 * every text that pg_dump 12 to 18 writes; a newer one's lands in TOC_OTHER,
 * whose desc still tells.
 *
 * Each kind has two numbers: how many entries of the server's lock table the
 * transaction that drops such an object, and the one that creates it, adds and
 * holds until its end; counted in pg_locks on 15.20 and 17.11, where they are the
 * same.  Of a table: itself, its TOAST table, that one's index, its two types.
 * What its parts have entries of their own for (keys, indexes, triggers) counts
 * there, without the table again.  An object's owner and comment are in its
 * number for creation.  An extension is as many objects as it has: hstore's
 * number stands for all.  postgres_archive_drop_locks() adds what a definition
 * tells; test/t/031_archive_locks.t compares with a real server.
 */
#ifndef POSTGRES_ARCHIVE_CLASS_H
#define POSTGRES_ARCHIVE_CLASS_H

/* X(enumerator, desc, locks to drop, locks to create) */
#define TOC_CLASSES(X)                                                                                       \
	X(TOC_ACCESS_METHOD, "ACCESS METHOD", 1, 1)                                                              \
	X(TOC_ACL, "ACL", 0, 0)                                                                                  \
	X(TOC_AGGREGATE, "AGGREGATE", 1, 1)                                                                      \
	X(TOC_BLOB, "BLOB", 1, 1)					/* one large object (12 to 16) */                            \
	X(TOC_BLOB_METADATA, "BLOB METADATA", 1, 1) /* many (17): their oids, one a line of the definition */    \
	X(TOC_BLOBS, "BLOBS", 0, 0)					/* data of large objects */                                  \
	X(TOC_CAST, "CAST", 1, 1)                                                                                \
	X(TOC_CHECK_CONSTRAINT, "CHECK CONSTRAINT", 1, 0)                                                        \
	X(TOC_COLLATION, "COLLATION", 1, 1)                                                                      \
	X(TOC_COMMENT, "COMMENT", 0, 0)                                                                          \
	X(TOC_CONSTRAINT, "CONSTRAINT", 2, 2)                                                                    \
	X(TOC_CONVERSION, "CONVERSION", 1, 1)                                                                    \
	X(TOC_DATABASE, "DATABASE", 0, 0)                                                                        \
	X(TOC_DATABASE_PROPERTIES, "DATABASE PROPERTIES", 0, 0)                                                  \
	X(TOC_DEFAULT, "DEFAULT", 1, 0)                                                                          \
	X(TOC_DEFAULT_ACL, "DEFAULT ACL", 1, 1)                                                                  \
	X(TOC_DOMAIN, "DOMAIN", 2, 1)                                                                            \
	X(TOC_ENCODING, "ENCODING", 0, 0)                                                                        \
	X(TOC_EVENT_TRIGGER, "EVENT TRIGGER", 1, 1)                                                              \
	X(TOC_EXTENSION, "EXTENSION", 125, 68)                                                                   \
	X(TOC_FK_CONSTRAINT, "FK CONSTRAINT", 5, 1)                                                              \
	X(TOC_FOREIGN_DATA_WRAPPER, "FOREIGN DATA WRAPPER", 1, 1)                                                \
	X(TOC_FOREIGN_TABLE, "FOREIGN TABLE", 3, 2)                                                              \
	X(TOC_FUNCTION, "FUNCTION", 1, 1)                                                                        \
	X(TOC_INDEX, "INDEX", 1, 1)                                                                              \
	X(TOC_INDEX_ATTACH, "INDEX ATTACH", 0, 0)                                                                \
	X(TOC_MATERIALIZED_VIEW, "MATERIALIZED VIEW", 6, 4)                                                      \
	X(TOC_MATERIALIZED_VIEW_DATA, "MATERIALIZED VIEW DATA", 0, 5)                                            \
	X(TOC_OPERATOR, "OPERATOR", 1, 1)                                                                        \
	X(TOC_OPERATOR_CLASS, "OPERATOR CLASS", 4, 2)                                                            \
	X(TOC_OPERATOR_FAMILY, "OPERATOR FAMILY", 1, 1)                                                          \
	X(TOC_POLICY, "POLICY", 1, 0)                                                                            \
	X(TOC_PROCEDURAL_LANGUAGE, "PROCEDURAL LANGUAGE", 1, 1)                                                  \
	X(TOC_PROCEDURE, "PROCEDURE", 1, 1)                                                                      \
	X(TOC_PUBLICATION, "PUBLICATION", 1, 1)                                                                  \
	X(TOC_PUBLICATION_TABLE, "PUBLICATION TABLE", 1, 0)                                                      \
	X(TOC_PUBLICATION_TABLES_IN_SCHEMA, "PUBLICATION TABLES IN SCHEMA", 1, 0)                                \
	X(TOC_ROW_SECURITY, "ROW SECURITY", 0, 0)                                                                \
	X(TOC_RULE, "RULE", 1, 0)                                                                                \
	X(TOC_SCHEMA, "SCHEMA", 1, 1)                                                                            \
	X(TOC_SEARCHPATH, "SEARCHPATH", 0, 0)                                                                    \
	X(TOC_SECURITY_LABEL, "SECURITY LABEL", 0, 0)                                                            \
	X(TOC_SEQUENCE, "SEQUENCE", 1, 1)                                                                        \
	X(TOC_SEQUENCE_OWNED_BY, "SEQUENCE OWNED BY", 0, 0)                                                      \
	X(TOC_SEQUENCE_SET, "SEQUENCE SET", 0, 0)                                                                \
	X(TOC_SERVER, "SERVER", 1, 1)                                                                            \
	X(TOC_SHELL_TYPE, "SHELL TYPE", 1, 1)                                                                    \
	X(TOC_STATISTICS, "STATISTICS", 1, 1)                                                                    \
	X(TOC_STATISTICS_DATA, "STATISTICS DATA", 0, 0)                                                          \
	X(TOC_STDSTRINGS, "STDSTRINGS", 0, 0)                                                                    \
	X(TOC_SUBSCRIPTION, "SUBSCRIPTION", 1, 1)                                                                \
	X(TOC_SUBSCRIPTION_TABLE, "SUBSCRIPTION TABLE", 0, 0)                                                    \
	X(TOC_TABLE, "TABLE", 5, 4)                                                                              \
	X(TOC_TABLE_ATTACH, "TABLE ATTACH", 0, 0)                                                                \
	X(TOC_TABLE_DATA, "TABLE DATA", 0, 0)                                                                    \
	X(TOC_TEXT_SEARCH_CONFIGURATION, "TEXT SEARCH CONFIGURATION", 1, 1)                                      \
	X(TOC_TEXT_SEARCH_DICTIONARY, "TEXT SEARCH DICTIONARY", 1, 1)                                            \
	X(TOC_TEXT_SEARCH_PARSER, "TEXT SEARCH PARSER", 1, 1)                                                    \
	X(TOC_TEXT_SEARCH_TEMPLATE, "TEXT SEARCH TEMPLATE", 1, 1)                                                \
	X(TOC_TRANSFORM, "TRANSFORM", 1, 1)                                                                      \
	X(TOC_TRIGGER, "TRIGGER", 1, 0)                                                                          \
	X(TOC_TYPE, "TYPE", 3, 2)                                                                                \
	X(TOC_USER_MAPPING, "USER MAPPING", 1, 1)                                                                \
	X(TOC_VIEW, "VIEW", 4, 2)

typedef enum TocClass
{
	TOC_OTHER = 0,
#define X(enumerator, desc, drop, create) enumerator,
	TOC_CLASSES(X)
#undef X
	TOC_CLASS_COUNT
} TocClass;

/* TOC_OTHER for a text that is not in the list. */
extern TocClass toc_class_of(const char *desc);

/* The text pg_dump writes; "OTHER" for TOC_OTHER. */
extern const char *toc_class_desc(TocClass toc_class);

extern int toc_class_drop_locks(TocClass toc_class);
extern int toc_class_create_locks(TocClass toc_class);

#endif
