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

bool
engine_is_known(const char *name)
{
	for (size_t i = 0; i < sizeof(engines) / sizeof(engines[0]); i++)
		if (strcmp(engines[i].name, name) == 0)
			return true;
	return false;
}

const Engine *
engine_find(const char *name, Failure *failure)
{
	for (size_t i = 0; i < sizeof(engines) / sizeof(engines[0]); i++)
	{
		if (strcmp(engines[i].name, name) == 0)
			return engines[i].engine != NULL
					   ? engines[i].engine
					   : engine_module_load(name, engines[i].module, engines[i].symbol, failure);
	}
	failure_set(
		failure, REASON_CONFIG,
		"this custbackup has no engine \"%s\": correct custbackup.engines, or install a mover that has it",
		name);
	return NULL;
}
