/*
 * rdb_section.h
 *	  Inside the reader of rdb.h: what the sections of a file are, and what they mean.
 *
 * A file is a sequence of sections.  Each begins with one byte, an opcode or the
 * type of a value, which says what layout follows (rdb_layout.h) and whether its
 * bytes are kept to be decoded when it is complete (small ones, keys; values and
 * functions only where the handler wants them).  A key is two sections: the key, then
 * the value.
 *
 * rdb.c takes the bytes and knows header and end; rdb_section.c begins a section,
 * keeps its bytes, and finishes it.
 */
#ifndef RDB_SECTION_H
#define RDB_SECTION_H

#include "engines/bytes.h"
#include "engines/rdb.h"
#include "engines/rdb_layout.h"

#define RDB_HEADER_SIZE	  9
#define RDB_CHECKSUM_SIZE 8

typedef enum RdbState
{
	RDB_STATE_HEADER,
	RDB_STATE_OPCODE,
	RDB_STATE_SECTION, /* an opcode's own fields */
	RDB_STATE_KEY,
	RDB_STATE_VALUE,
	RDB_STATE_CHECKSUM,
	RDB_STATE_END
} RdbState;

struct RdbReader
{
	RdbHandler	  handler;
	void		 *context;
	FailureReason when;
	RdbState	  state;
	int			  version;
	bool		  valkey;
	uint64_t	  offset; /* of what has been taken, for messages */
	uint64_t	  crc;

	RdbWalk	 walk;
	unsigned opcode;
	Bytes	 section;	  /* the raw bytes of the present section, where they are kept */
	size_t	 section_max; /* more are not kept; SIZE_MAX: all */
	uint64_t section_length;

	RdbEntry	  entry; /* in the making */
	Bytes		  key;
	Bytes		  payload;
	uint64_t	  meta_length;			  /* of modules' metadata in front of the key, opcode included */
	unsigned char fixed[RDB_HEADER_SIZE]; /* header or checksum, coming together */
	size_t		  fixed_length;
};

/* Sets the failure of a file that is none, and returns false. */
extern bool rdb_broken(const RdbReader *reader, Failure *failure, const char *what);

/* reader->opcode has come: its section begins. */
extern bool rdb_section_begin(RdbReader *reader, Failure *failure);

/* Bytes of the present section. */
extern bool rdb_section_keep(RdbReader *reader, const unsigned char *bytes, size_t length, Failure *failure);

/* It is complete: tells the handler what it was. */
extern bool rdb_section_finish(RdbReader *reader, Failure *failure);

/* Makes ready for the next key. */
extern void rdb_forget_entry(RdbReader *reader);

#endif
