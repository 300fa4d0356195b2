/*
 * settings.c
 *	  One JSON object, known keys only: a misspelt setting is an error, not a default.
 */
#include "settings.h"

#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "fd.h"

#define SETTINGS_MAX_BYTES	  (64 * 1024)
#define DEFAULT_MEMORY_BUDGET (64 * 1024 * 1024)
#define LEAST_MEMORY_BUDGET	  (16 * 1024 * 1024)
#define LARGEST_MEMORY_BUDGET (INT64_C(4) << 40)

typedef enum SettingType
{
	SETTING_TEXT,
	SETTING_FLAG,
	SETTING_BYTES,
	SETTING_PID,
	SETTING_COMPRESSION
} SettingType;

typedef struct SettingRow
{
	const char *name;
	SettingType type;
	size_t		offset;
} SettingRow;

static const SettingRow setting_table[] = {
	{"key_file", SETTING_TEXT, offsetof(Settings, key_file)},
	{"spool_dir", SETTING_TEXT, offsetof(Settings, spool_dir)},
	{"tool_path", SETTING_TEXT, offsetof(Settings, tool_path)},
	{"credentials_file", SETTING_TEXT, offsetof(Settings, credentials_file)},
	{"ca_file", SETTING_TEXT, offsetof(Settings, ca_file)},
	{"proxy", SETTING_TEXT, offsetof(Settings, proxy)},
	{"compression", SETTING_COMPRESSION, offsetof(Settings, compression)},
	{"allow_local_targets", SETTING_FLAG, offsetof(Settings, allow_local_targets)},
	{"allow_http", SETTING_FLAG, offsetof(Settings, allow_http)},
	{"memory_budget", SETTING_BYTES, offsetof(Settings, memory_budget)},
	{"max_bandwidth", SETTING_BYTES, offsetof(Settings, max_bandwidth)},
	{"parent_pid", SETTING_PID, offsetof(Settings, parent_pid)},
};

void
settings_defaults(Settings *settings)
{
	memset(settings, 0, sizeof(*settings));
	settings->compression = COMPRESSION_FAST;
	settings->memory_budget = DEFAULT_MEMORY_BUDGET;
}

void
settings_free(Settings *settings)
{
	for (size_t i = 0; i < sizeof(setting_table) / sizeof(setting_table[0]); i++)
	{
		if (setting_table[i].type == SETTING_TEXT)
		{
			char **text = (char **) ((char *) settings + setting_table[i].offset);

			free(*text);
			*text = NULL;
		}
	}
}

/* An empty text is an unset one: that is how a server's setting says 'none'. */
static bool
set_text(char **target, const json_t *value, const char *name, Failure *failure)
{
	const char *text = json_string_value(value);
	char	   *copy = NULL;

	if (text == NULL)
		return failure_set(failure, REASON_CONFIG, "setting \"%s\" must be a text", name);
	if (*text && (copy = strdup(text)) == NULL)
		return failure_no_memory(failure);
	free(*target);
	*target = copy;
	return true;
}

static bool
set_compression(Compression *target, const json_t *value, Failure *failure)
{
	static const char *const names[] = {
		[COMPRESSION_FAST] = "fast", [COMPRESSION_BALANCED] = "balanced", [COMPRESSION_BEST] = "best"};
	const char *text = json_string_value(value);

	for (size_t i = 0; text != NULL && i < sizeof(names) / sizeof(names[0]); i++)
	{
		if (strcmp(text, names[i]) == 0)
		{
			*target = (Compression) i;
			return true;
		}
	}
	return failure_set(failure, REASON_CONFIG, "setting \"compression\" must be fast, balanced or best");
}

static bool
set_number(const SettingRow *row, void *target, const json_t *value, Failure *failure)
{
	json_int_t number = json_integer_value(value);

	if (!json_is_integer(value) || number < 0 || (row->type == SETTING_PID && number > INT32_MAX))
		return failure_set(failure, REASON_CONFIG, "setting \"%s\" must be a number of zero or more",
						   row->name);
	if (row->type == SETTING_PID)
		*(pid_t *) target = (pid_t) number;
	else
		*(int64_t *) target = number;
	return true;
}

static bool
set_one(Settings *settings, const SettingRow *row, const json_t *value, Failure *failure)
{
	void *target = (char *) settings + row->offset;

	switch (row->type)
	{
		case SETTING_TEXT:
			return set_text(target, value, row->name, failure);
		case SETTING_COMPRESSION:
			return set_compression(target, value, failure);
		case SETTING_FLAG:
			if (!json_is_boolean(value))
				return failure_set(failure, REASON_CONFIG, "setting \"%s\" must be true or false", row->name);
			*(bool *) target = json_is_true(value);
			return true;
		case SETTING_BYTES:
		case SETTING_PID:
			return set_number(row, target, value, failure);
	}
	return false;
}

static bool
set_all(Settings *settings, json_t *object, Failure *failure)
{
	const char *name;
	json_t	   *value;

	json_object_foreach(object, name, value)
	{
		const SettingRow *row = NULL;

		for (size_t i = 0; row == NULL && i < sizeof(setting_table) / sizeof(setting_table[0]); i++)
		{
			if (strcmp(setting_table[i].name, name) == 0)
				row = &setting_table[i];
		}
		if (row == NULL)
			return failure_set(failure, REASON_CONFIG, "unknown setting \"%s\"; docs/settings.md lists them",
							   name);
		if (!set_one(settings, row, value, failure))
			return false;
	}
	if (settings->memory_budget < LEAST_MEMORY_BUDGET || settings->memory_budget > LARGEST_MEMORY_BUDGET)
		return failure_set(failure, REASON_CONFIG,
						   "setting \"memory_budget\" must be at least %d bytes and at most %lld",
						   LEAST_MEMORY_BUDGET, (long long) LARGEST_MEMORY_BUDGET);
	return true;
}

bool
settings_read_fd(Settings *settings, int fd, Failure *failure)
{
	char		 buffer[SETTINGS_MAX_BYTES + 1];
	size_t		 length;
	json_error_t error;
	json_t		*object;
	bool		 good;

	if (!fd_read_all(fd, buffer, sizeof(buffer), &length, "the settings", failure))
		return false;
	if (length > SETTINGS_MAX_BYTES)
		return failure_set(failure, REASON_CONFIG, "the settings are longer than %d bytes",
						   SETTINGS_MAX_BYTES);
	object = json_loadb(buffer, length, JSON_REJECT_DUPLICATES, &error);
	if (!json_is_object(object))
	{
		json_decref(object);
		return failure_set(failure, REASON_CONFIG, "the settings are not one JSON object (line %d)",
						   error.line);
	}
	good = set_all(settings, object, failure);
	json_decref(object);
	return good;
}

bool
settings_read_file(Settings *settings, const char *path, Failure *failure)
{
	int	 fd = open(path, O_RDONLY | O_CLOEXEC);
	bool good;

	if (fd < 0)
		return failure_set_errno(failure, REASON_CONFIG, "cannot open the settings file \"%s\"", path);
	good = settings_read_fd(settings, fd, failure);
	close(fd);
	return good;
}
