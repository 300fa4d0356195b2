/*
 * job_fields.h
 *	  One object of a job: a table says which fields it has, what each must be, and where it goes.
 *
 * Strictly: a field that is not understood may be one that matters.  A field that
 * may be null may also be absent.
 */
#ifndef JOB_FIELDS_H
#define JOB_FIELDS_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "failure.h"

typedef enum FieldType
{
	FIELD_TEXT,			 /* char *: no control characters */
	FIELD_TEXT_OR_NULL,	 /* char * */
	FIELD_NAME,			 /* char *: a text of at most 200 bytes */
	FIELD_CIPHERTEXT,	 /* char *: judged when it is decrypted */
	FIELD_UUID,			 /* char * */
	FIELD_UUID_OR_NULL,	 /* char * */
	FIELD_TOKEN,		 /* char * */
	FIELD_KEY,			 /* char *: of a dump */
	FIELD_SHA256,		 /* char * */
	FIELD_BYTES,		 /* int64_t */
	FIELD_BYTES_OR_NULL, /* int64_t, -1 for null */
	FIELD_TIME_OR_NULL,	 /* int64_t, seconds since 1970, 0 for null */
	FIELD_COUNT,		 /* int, from 1 */
	FIELD_OBJECT,		 /* json_t *, borrowed */
	FIELD_ARRAY_OR_NULL	 /* json_t *, borrowed */
} FieldType;

typedef struct Field
{
	const char *name;
	FieldType	type;
	void	   *target;
} Field;

#define FIELDS(table) (table), sizeof(table) / sizeof((table)[0])

/*
 * path: where the object stands in the job, with a dot at its end.  Texts are
 * copies, the caller's to free, also when a later field fails.
 */
extern bool job_take_fields(json_t *object, const char *path, const Field *fields, size_t count,
							Failure *failure);

#endif
