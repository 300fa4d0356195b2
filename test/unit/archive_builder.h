/*
 * archive_builder.h
 *	  Writes custom archives field by field, right ones and wrong ones, for the tests.
 */
#ifndef ARCHIVE_BUILDER_H
#define ARCHIVE_BUILDER_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct Bytes
{
	unsigned char at[16384];
	size_t		  length;
} Bytes;

static inline void
put_bytes(Bytes *to, const void *bytes, size_t length)
{
	if (length > sizeof to->at - to->length)
		abort();
	if (length > 0)
		memcpy(to->at + to->length, bytes, length);
	to->length += length;
}

static inline void
put_byte(Bytes *to, int byte)
{
	put_bytes(to, &(unsigned char){(unsigned char) byte}, 1);
}

static inline void
put_integer(Bytes *to, int64_t value)
{
	uint32_t magnitude = (uint32_t) (value < 0 ? -value : value);

	put_byte(to, value < 0);
	for (int i = 0; i < 4; i++)
		put_byte(to, (int) (magnitude >> (8 * i) & 0xff));
}

static inline void
put_text(Bytes *to, const char *text)
{
	put_integer(to, text ? (int64_t) strlen(text) : -1);
	put_bytes(to, text, text ? strlen(text) : 0);
}

/* Up to, not with, the number of entries. */
static inline void
put_header(Bytes *to, int minor, int compression)
{
	static const int created[7] = {5, 4, 13, 23, 10, 126, 0};

	put_bytes(to, "PGDMP", 5);
	put_bytes(to, (unsigned char[]){1, (unsigned char) minor, 0, 4, 8, 1}, 6);
	if (minor >= 15)
		put_byte(to, compression);
	else
		put_integer(to, compression);
	for (int i = 0; i < 7; i++)
		put_integer(to, created[i]);
	put_text(to, "shop");
	put_text(to, "15.20");
	put_text(to, "17.11");
}

/* A header of 1.15 and the number of entries. */
static inline Bytes
begun(int entries)
{
	Bytes bytes = {.length = 0};

	put_header(&bytes, 15, 0);
	put_integer(&bytes, entries);
	return bytes;
}

typedef struct BuiltEntry
{
	int			dump_id;
	int			has_data;
	const char *desc;
	const char *tag;
	const char *definition;
	const char *copy_statement;
	const char *owner;
	int			dependency; /* 0: none */
} BuiltEntry;

static inline void
put_entry(Bytes *to, int minor, BuiltEntry entry)
{
	char number[16];

	put_integer(to, entry.dump_id);
	put_integer(to, entry.has_data);
	put_text(to, "1259");
	put_text(to, "16384");
	put_text(to, entry.tag ? entry.tag : "name");
	put_text(to, entry.desc);
	put_integer(to, entry.has_data ? 3 : 2);
	put_text(to, entry.definition ? entry.definition : "");
	put_text(to, "DROP;");
	put_text(to, entry.copy_statement);
	put_text(to, "public");
	put_text(to, "");
	put_text(to, "heap");
	if (minor >= 16)
		put_integer(to, 'r');
	put_text(to, entry.owner ? entry.owner : "app");
	put_text(to, "false");
	if (entry.dependency)
	{
		snprintf(number, sizeof number, "%d", entry.dependency);
		put_text(to, number);
	}
	put_text(to, NULL);
	put_byte(to, entry.has_data ? 1 : 3);
	put_bytes(to, "\0\0\0\0\0\0\0\0", 8);
}

/* A piece of data; "" ends them. */
static inline void
put_chunk(Bytes *to, const char *data)
{
	put_integer(to, (int64_t) strlen(data));
	put_bytes(to, data, strlen(data));
}

static inline void
put_table_data(Bytes *to, int dump_id)
{
	put_byte(to, 1);
	put_integer(to, dump_id);
	put_chunk(to, "1\tone\n");
	put_chunk(to, "2\ttwo\n3\tthree\n");
	put_chunk(to, "\\.\n\n\n");
	put_chunk(to, "");
}

static inline void
put_large_objects(Bytes *to, int dump_id)
{
	put_byte(to, 3);
	put_integer(to, dump_id);
	put_integer(to, 16500);
	put_chunk(to, "a large object\n");
	put_chunk(to, "");
	put_integer(to, -294967296); /* 4000000000 */
	put_chunk(to, "");
	put_integer(to, 0);
}

#define TABLE_DATA_ENTRY(id)                                                                                 \
	((BuiltEntry){                                                                                           \
		.dump_id = (id), .has_data = 1, .desc = "TABLE DATA", .copy_statement = "COPY t FROM stdin;\n"})
#define PLAIN_ENTRY(id, kind) ((BuiltEntry){.dump_id = (id), .desc = (kind)})

/* A small whole archive: 7 entries, of which 40 and 7 have data. */
static inline void
put_sample(Bytes *to, int minor)
{
	put_header(to, minor, 0);
	put_integer(to, 7);
	put_entry(
		to, minor,
		(BuiltEntry){.dump_id = 900, .desc = "ENCODING", .definition = "SET client_encoding = 'LATIN1';\n"});
	put_entry(to, minor,
			  (BuiltEntry){.dump_id = 901,
						   .desc = "STDSTRINGS",
						   .definition = "SET standard_conforming_strings = 'off';\n"});
	put_entry(to, minor, (BuiltEntry){.dump_id = 3, .desc = "EXTENSION", .tag = "vector", .owner = ""});
	put_entry(to, minor, (BuiltEntry){.dump_id = 12, .desc = "TABLE", .tag = "line\nbreak", .dependency = 3});
	put_entry(to, minor,
			  (BuiltEntry){.dump_id = 2000, .desc = "BLOB METADATA", .definition = "16500\n4000000000\n"});
	put_entry(to, minor, TABLE_DATA_ENTRY(40));
	put_entry(to, minor, (BuiltEntry){.dump_id = 7, .has_data = 1, .desc = "BLOBS"});
	put_table_data(to, 40);
	put_large_objects(to, 7);
}

#endif
