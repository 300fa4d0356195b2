/*
 * rdb_layout.h
 *	  Where a thing in an RDB file ends: a machine that walks its bytes by its layout.
 *
 * RDB has no length in front of a value; the only way to its end leads through its
 * parts.  The layout of each type is a short string:
 *
 *	L	a length-encoded integer (6, 14, 32 or 64 bits)
 *	S	a string: a length and its bytes, an integer of 1, 2 or 4 bytes, or LZF
 *	1 4 8	so many bytes;	I: the 16 of a stream's ID
 *	D	a score as text: one byte of length, 253 to 255 standing for nan and the infinities
 *	N	a length-encoded integer that says how often the next group repeats
 *	( )	the group
 *	M	a module's parts, each after an opcode that tells its kind, to the opcode that ends them
 *	O	0, or 1 and an integer: an array's insert position
 *	E	an element of an array: a tag, and by it a string or 8 bytes
 *
 * The machine takes its bytes in any chunking and holds at most the head of one
 * part (RDB_HEAD_SIZE).  Lengths are believed but nothing is allocated by them: a
 * claim of 2^63 bytes only means that the stream will end too early.
 */
#ifndef RDB_LAYOUT_H
#define RDB_LAYOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The longest head: LZF's mark and its two lengths of nine bytes. */
#define RDB_HEAD_SIZE	 19
#define RDB_LAYOUT_DEPTH 8

/* Modules' metadata of a key: of each class its id and its parts. */
#define RDB_LAYOUT_KEY_META "N(4M)"

typedef enum RdbStep
{
	RDB_STEP_MORE,	 /* all bytes were taken, and it goes on */
	RDB_STEP_DONE,	 /* it ended with the bytes that were taken */
	RDB_STEP_CORRUPT /* no such thing can be: walk->error says why */
} RdbStep;

typedef struct RdbWalk
{
	struct
	{
		const char *at;	   /* the next symbol */
		const char *group; /* where a repetition begins */
		uint64_t	left;  /* repetitions, the present one included */
	} frames[RDB_LAYOUT_DEPTH];
	int			  depth;
	uint64_t	  skip;	   /* bytes of the present part still to pass */
	uint64_t	  repeats; /* what N read last */
	unsigned char head[RDB_HEAD_SIZE];
	size_t		  head_length;
	uint64_t	  strings;	/* met so far */
	uint64_t	  expanded; /* by so much more their bytes are when decompressed */
	const char	 *error;
} RdbWalk;

/* layout must outlive the walk. */
extern void	   rdb_walk_begin(RdbWalk *walk, const char *layout);
extern RdbStep rdb_walk(RdbWalk *walk, const unsigned char *bytes, size_t length, size_t *taken);

/*
 * The layout of a value's type (without its type byte); NULL where there is none.
 * Valkey and Redis have used the number 22 for different things.
 */
extern const char *rdb_value_layout(unsigned type, bool valkey);

/* A stand-alone length.  Returns the bytes that it has; 0: more are needed.  *special: no length but a string's encoding. */
extern size_t rdb_decode_length(const unsigned char *bytes, size_t length, uint64_t *value, bool *special);

#endif
