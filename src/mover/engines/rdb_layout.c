/*
 * rdb_layout.c
 *	  The layouts of all types, and the machine that walks them.
 */
#include "engines/rdb_layout.h"

#include <endian.h>
#include <string.h>

/* Two bits say how wide a length is; 3: a string's special encoding. */
#define LENGTH_32	 0x80
#define LENGTH_64	 0x81
#define STRING_INT8	 0
#define STRING_INT16 1
#define STRING_INT32 2
#define STRING_LZF	 3

#define MODULE_END		0
#define MODULE_SIGNED	1
#define MODULE_UNSIGNED 2
#define MODULE_FLOAT	3
#define MODULE_DOUBLE	4
#define MODULE_STRING	5

/* Groups of a stream, from its second layout on: name, last ID, entries read, pending, consumers. */
#define STREAM_BLOCKS  "N(SS)"
#define STREAM_PENDING "N(I8L)"
#define STREAM_OWNED   "N(I)"
#define STREAM_TIMES_3 "N(SLLL" STREAM_PENDING "N(S88" STREAM_OWNED ")"
/* Idempotent producers: duration, limit, each producer's IDs, and two counters. */
#define STREAM_IDEMPOTENCE "LLN(SN(SLL))LL"

static const char *const redis_layouts[] = {
	[0] = "S",	   /* string */
	[1] = "N(S)",  /* list */
	[2] = "N(S)",  /* set */
	[3] = "N(SD)", /* sorted set, scores as text */
	[4] = "N(SS)", /* hash */
	[5] = "N(S8)", /* sorted set, scores as doubles */
	[7] = "LM",	   /* module: its type's id, its parts */
	[9] = "S",	   /* hash: zipmap */
	[10] = "S",	   /* list: ziplist */
	[11] = "S",	   /* set: intset */
	[12] = "S",	   /* sorted set: ziplist */
	[13] = "S",	   /* hash: ziplist */
	[14] = "N(S)", /* list: quicklist of ziplists */
	[15] = STREAM_BLOCKS "LLLN(SLL" STREAM_PENDING "N(S8" STREAM_OWNED "))",
	[16] = "S",		/* hash: listpack */
	[17] = "S",		/* sorted set: listpack */
	[18] = "N(LS)", /* list: quicklist of listpacks and plain nodes */
	[19] = STREAM_BLOCKS "LLLLLLLLN(SLLL" STREAM_PENDING "N(S8" STREAM_OWNED "))",
	[20] = "S", /* set: listpack */
	[21] = STREAM_BLOCKS "LLLLLLLL" STREAM_TIMES_3 ")",
	[22] = "N(LSS)",  /* hash with expiring fields, of release candidates */
	[23] = "S",		  /* the same as a listpack */
	[24] = "8N(LSS)", /* hash with expiring fields: the first to expire, then each with its own */
	[25] = "8S",	  /* the same as a listpack */
	[26] = STREAM_BLOCKS "LLLLLLLL" STREAM_TIMES_3 ")" STREAM_IDEMPOTENCE,
	[27] = STREAM_BLOCKS "LLLLLLLL" STREAM_TIMES_3 STREAM_OWNED
						 ")" STREAM_IDEMPOTENCE, /* and what was refused */
	[28] = "NO(LE)",							 /* array: its elements' positions and contents */
};

const char *
rdb_value_layout(unsigned type, bool valkey)
{
	/* Valkey parted from Redis at 21; its 22 is a hash with an absolute expiry behind each field. */
	if (valkey && type > 21)
		return type == 22 ? "N(SS8)" : NULL;
	if (type >= sizeof(redis_layouts) / sizeof(redis_layouts[0]))
		return NULL;
	return redis_layouts[type];
}

size_t
rdb_decode_length(const unsigned char *bytes, size_t length, uint64_t *value, bool *special)
{
	uint32_t narrow;
	uint64_t wide;

	*special = false;
	if (length < 1)
		return 0;
	switch (bytes[0] >> 6)
	{
		case 0:
			*value = bytes[0] & 0x3f;
			return 1;
		case 1:
			if (length < 2)
				return 0;
			*value = (uint64_t) (bytes[0] & 0x3f) << 8 | bytes[1];
			return 2;
		case 3:
			*special = true;
			*value = bytes[0] & 0x3f;
			return 1;
		default:
			break;
	}
	if (bytes[0] == LENGTH_64)
	{
		if (length < 9)
			return 0;
		memcpy(&wide, bytes + 1, sizeof(wide));
		*value = be64toh(wide);
		return 9;
	}
	if (bytes[0] != LENGTH_32)
	{
		/* No such width: neither a length nor an encoding that anybody knows. */
		*special = true;
		*value = bytes[0];
		return 1;
	}
	if (length < 5)
		return 0;
	memcpy(&narrow, bytes + 1, sizeof(narrow));
	*value = be32toh(narrow);
	return 5;
}

void
rdb_walk_begin(RdbWalk *walk, const char *layout)
{
	walk->depth = 1;
	walk->frames[0].at = layout;
	walk->frames[0].group = layout;
	walk->frames[0].left = 1;
	walk->skip = 0;
	walk->repeats = 0;
	walk->head_length = 0;
	walk->strings = 0;
	walk->expanded = 0;
	walk->error = NULL;
}

static void
push(RdbWalk *walk, const char *layout, uint64_t repeats)
{
	walk->frames[walk->depth].at = layout;
	walk->frames[walk->depth].group = layout;
	walk->frames[walk->depth].left = repeats;
	walk->depth++;
}

static const char *
behind_group(const char *open)
{
	int depth = 0;

	do
	{
		if (*open == '(')
			depth++;
		else if (*open == ')')
			depth--;
		open++;
	} while (depth > 0);
	return open;
}

/* Moves over brackets and ends, which have no bytes.  False: the layout is at its end. */
static bool
settle(RdbWalk *walk)
{
	while (walk->depth > 0)
	{
		const char *at = walk->frames[walk->depth - 1].at;

		if (*at == '(')
		{
			walk->frames[walk->depth - 1].at = behind_group(at);
			if (walk->repeats > 0)
				push(walk, at + 1, walk->repeats);
		}
		else if (*at == ')' || *at == '\0')
		{
			if (--walk->frames[walk->depth - 1].left > 0)
				walk->frames[walk->depth - 1].at = walk->frames[walk->depth - 1].group;
			else
				walk->depth--;
		}
		else
			return true;
	}
	return false;
}

static size_t
corrupt(RdbWalk *walk, const char *error)
{
	walk->error = error;
	return 0;
}

static size_t
string_head(RdbWalk *walk, const unsigned char *head, size_t length)
{
	bool	 special;
	uint64_t value;
	uint64_t original;
	size_t	 used = rdb_decode_length(head, length, &value, &special);
	size_t	 first;

	if (used == 0)
		return 0;
	if (!special)
	{
		walk->skip = value;
		return used;
	}
	if (value <= STRING_INT32)
	{
		walk->skip = (uint64_t) 1 << value;
		return used;
	}
	if (value != STRING_LZF)
		return corrupt(walk, "a string has an unknown encoding");
	first = rdb_decode_length(head + used, length - used, &value, &special);
	if (first == 0)
		return 0;
	if (special)
		return corrupt(walk, "a compressed string's length is none");
	used += first;
	first = rdb_decode_length(head + used, length - used, &original, &special);
	if (first == 0)
		return 0;
	/* One byte of LZF gives at most 264 / 3. */
	if (special || value == 0 || original == 0 || original / 88 > value)
		return corrupt(walk, "a compressed string's lengths cannot be");
	walk->skip = value;
	walk->expanded += original > value ? original - value : 0;
	return used + first;
}

/* Reads the integer of L, N, O, M or E.  0: more bytes are needed, or walk->error. */
static size_t
integer_head(RdbWalk *walk, const unsigned char *head, size_t length, uint64_t *value)
{
	bool   special;
	size_t used = rdb_decode_length(head, length, value, &special);

	if (used > 0 && special)
		return corrupt(walk, "a number has a string's encoding");
	return used;
}

static const char *
module_part(uint64_t opcode)
{
	switch (opcode)
	{
		case MODULE_SIGNED:
		case MODULE_UNSIGNED:
			return "L";
		case MODULE_FLOAT:
			return "4";
		case MODULE_DOUBLE:
			return "8";
		case MODULE_STRING:
			return "S";
		default:
			return NULL;
	}
}

static const char *
array_element(uint64_t tag)
{
	static const char *const layouts[] = {"S", "8", "8", "S"};

	return tag < sizeof(layouts) / sizeof(layouts[0]) ? layouts[tag] : NULL;
}

/* Takes the head of the symbol M, O or E, and arranges for what follows it. */
static size_t
branch_head(RdbWalk *walk, char symbol, const unsigned char *head, size_t length)
{
	uint64_t	value;
	size_t		used = integer_head(walk, head, length, &value);
	const char *follows = NULL;

	if (used == 0)
		return 0;
	if (symbol == 'M' && value == MODULE_END)
	{
		walk->frames[walk->depth - 1].at++;
		return used;
	}
	if (symbol == 'M')
		follows = module_part(value);
	else if (symbol == 'E')
		follows = array_element(value);
	else if (value <= 1)
		follows = value == 1 ? "L" : "";
	if (follows == NULL)
		return corrupt(walk, symbol == 'M' ? "a module's part is of an unknown kind"
										   : "an array holds what no array can");
	/* M stands until its end mark comes. */
	if (symbol != 'M')
		walk->frames[walk->depth - 1].at++;
	push(walk, follows, 1);
	return used;
}

/* Decodes the head of the present symbol and moves past it.  0: more bytes are needed, or walk->error. */
static size_t
take_head(RdbWalk *walk, const unsigned char *head, size_t length)
{
	char	 symbol = *walk->frames[walk->depth - 1].at;
	uint64_t value;
	size_t	 used = 0;

	switch (symbol)
	{
		case 'S':
			used = string_head(walk, head, length);
			walk->strings += used > 0;
			break;
		case 'L':
			used = integer_head(walk, head, length, &value);
			break;
		case 'N':
			used = integer_head(walk, head, length, &walk->repeats);
			break;
		case 'D':
			walk->skip = head[0] < 253 ? head[0] : 0;
			used = 1;
			break;
		case '1':
		case '4':
		case '8':
			walk->skip = (uint64_t) (symbol - '0') - 1;
			used = 1;
			break;
		case 'I':
			walk->skip = 15;
			used = 1;
			break;
		default:
			return branch_head(walk, symbol, head, length);
	}
	if (used > 0)
		walk->frames[walk->depth - 1].at++;
	return used;
}

RdbStep
rdb_walk(RdbWalk *walk, const unsigned char *bytes, size_t length, size_t *taken)
{
	size_t at = 0;

	for (;;)
	{
		size_t used = 0;

		if (walk->skip > 0)
		{
			size_t step = walk->skip < length - at ? (size_t) walk->skip : length - at;

			at += step;
			walk->skip -= step;
		}
		*taken = at;
		if (walk->skip == 0 && walk->head_length == 0 && !settle(walk))
			return RDB_STEP_DONE;
		if (at == length)
			return RDB_STEP_MORE;
		if (walk->head_length == 0)
		{
			used = take_head(walk, bytes + at, length - at);
			at += used;
		}
		if (walk->head_length > 0 || (used == 0 && walk->error == NULL))
		{
			/* A head that is cut by the chunk's end comes together byte by byte. */
			walk->head[walk->head_length++] = bytes[at++];
			used = take_head(walk, walk->head, walk->head_length);
			if (used > 0)
				walk->head_length = 0;
		}
		if (walk->error != NULL)
			return RDB_STEP_CORRUPT;
	}
}
