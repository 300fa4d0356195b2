/*
 * engine.c
 *	  The engines by name: built in, or in a module of their own.
 */
#include "engine.h"

#include <string.h>

#include "engine_module.h"
#include "postgres.h"
#include "redis.h"

typedef struct EngineEntry
{
	const char	 *name;
	const Engine *engine;
	/* Where the first is NULL: the file that has it, which the linker looks for as mover.mk says, and its name there. */
	const char *module;
	const char *symbol;
} EngineEntry;

static const EngineEntry engines[] = {
	{.name = "postgres", .engine = &postgres_engine},
	{.name = "mongodb", .module = "custbackup_mongodb.so", .symbol = "mongodb_engine"},
	{.name = "redis", .engine = &redis_engine},
};

/* NULL: there is none of this name. */
static const EngineEntry *
find_entry(const char *name)
{
	for (size_t i = 0; i < sizeof(engines) / sizeof(engines[0]); i++)
		if (strcmp(engines[i].name, name) == 0)
			return &engines[i];
	return NULL;
}

bool
engine_is_known(const char *name)
{
	return find_entry(name) != NULL;
}

const Engine *
engine_find(const char *name, Failure *failure)
{
	const EngineEntry *entry = find_entry(name);

	if (entry != NULL)
		return entry->engine != NULL ? entry->engine
									 : engine_module_load(name, entry->module, entry->symbol, failure);
	failure_set(
		failure, REASON_CONFIG,
		"this custbackup has no engine \"%s\": correct custbackup.engines, or install a mover that has it",
		name);
	return NULL;
}
