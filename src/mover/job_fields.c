/*
 * job_fields.c
 *	  What each kind of field may hold.
 */
#include "job_fields.h"

#include <stdint.h>
#include <string.h>

#include "object_key.h"
#include "text.h"
#include "utc.h"

#define TEXT_MAX_BYTES 8192
#define NAME_MAX_BYTES 200

/* NULL: good; else what it should have been. */
static const char *
judge_text(FieldType type, const char *text)
{
	size_t length = strlen(text);

	switch (type)
	{
		case FIELD_TEXT:
		case FIELD_TEXT_OR_NULL:
			return length > 0 && length <= TEXT_MAX_BYTES && !text_has_control_character(text)
					   ? NULL
					   : "must be a text of 1 to 8192 bytes without control characters";
		case FIELD_NAME:
			return length > 0 && length <= NAME_MAX_BYTES && !text_has_control_character(text)
					   ? NULL
					   : "must be a text of 1 to 200 bytes without control characters";
		case FIELD_CIPHERTEXT:
			return length > 0 ? NULL : "must not be empty";
		case FIELD_UUID:
		case FIELD_UUID_OR_NULL:
			return text_is_uuid(text, length) ? NULL : "must be a uuid";
		case FIELD_TOKEN:
			return object_token_is_safe(text)
					   ? NULL
					   : "must be 1 to 200 letters, digits, '.', '_' or '-', not beginning with '.'";
		case FIELD_KEY:
			return object_key_is_safe(text) && strstr(text, ".dump.gz") != NULL
					   ? NULL
					   : "must have the form <token>/<backup id>.dump.gz";
		case FIELD_SHA256:
			return length == 64 && text_is_hex(text, length) ? NULL : "must be 64 hex digits";
		default:
			return NULL;
	}
}

static bool
take_text(const char *path, const Field *field, const json_t *value, Failure *failure)
{
	const char *wrong;

	if (!json_is_string(value))
		return failure_set(failure, REASON_CONFIG, "the job's field \"%s%s\" must be a text", path,
						   field->name);
	wrong = judge_text(field->type, json_string_value(value));
	if (wrong != NULL)
		return failure_set(failure, REASON_CONFIG, "the job's field \"%s%s\" %s", path, field->name, wrong);
	*(char **) field->target = strdup(json_string_value(value));
	return *(char **) field->target != NULL || failure_no_memory(failure);
}

static bool
take_number(const char *path, const Field *field, const json_t *value, Failure *failure)
{
	json_int_t number = json_integer_value(value);
	json_int_t least = field->type == FIELD_COUNT ? 1 : 0;

	if (!json_is_integer(value) || number < least || (field->type == FIELD_COUNT && number > INT32_MAX))
		return failure_set(failure, REASON_CONFIG, "the job's field \"%s%s\" must be a whole number from %d",
						   path, field->name, (int) least);
	if (field->type == FIELD_COUNT)
		*(int *) field->target = (int) number;
	else
		*(int64_t *) field->target = number;
	return true;
}

static bool
take_field(const char *path, const Field *field, json_t *value, Failure *failure)
{
	bool absent = value == NULL || json_is_null(value);

	switch (field->type)
	{
		case FIELD_TEXT_OR_NULL:
		case FIELD_UUID_OR_NULL:
		case FIELD_ARRAY_OR_NULL:
			if (absent)
				return true;
			break;
		case FIELD_TIME_OR_NULL:
			*(int64_t *) field->target = 0;
			if (absent)
				return true;
			break;
		case FIELD_BYTES_OR_NULL:
			*(int64_t *) field->target = -1;
			if (absent)
				return true;
			break;
		default:
			if (value == NULL)
				return failure_set(failure, REASON_CONFIG, "the job's field \"%s%s\" is missing", path,
								   field->name);
	}
	switch (field->type)
	{
		case FIELD_BYTES:
		case FIELD_BYTES_OR_NULL:
		case FIELD_COUNT:
			return take_number(path, field, value, failure);
		case FIELD_TIME_OR_NULL:
			return (json_is_string(value) && utc_parse(json_string_value(value), field->target)) ||
				   failure_set(failure, REASON_CONFIG,
							   "the job's field \"%s%s\" must be a time such as 2026-11-23T14:07:31Z", path,
							   field->name);
		case FIELD_OBJECT:
		case FIELD_ARRAY_OR_NULL:
			if (field->type == FIELD_OBJECT ? !json_is_object(value) : !json_is_array(value))
				return failure_set(failure, REASON_CONFIG, "the job's field \"%s%s\" must be an %s", path,
								   field->name, field->type == FIELD_OBJECT ? "object" : "array");
			*(json_t **) field->target = value;
			return true;
		default:
			return take_text(path, field, value, failure);
	}
}

bool
job_take_fields(json_t *object, const char *path, const Field *fields, size_t count, Failure *failure)
{
	const char *name;
	json_t	   *value;

	json_object_foreach(object, name, value)
	{
		size_t at = 0;

		while (at < count && strcmp(fields[at].name, name) != 0)
			at++;
		if (at == count)
			return failure_set(
				failure, REASON_CONFIG,
				"the job's field \"%s%.64s\" is unknown: are extension and mover of the same version?", path,
				name);
	}
	for (size_t i = 0; i < count; i++)
		if (!take_field(path, &fields[i], json_object_get(object, fields[i].name), failure))
			return false;
	return true;
}
