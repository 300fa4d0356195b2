/*
 * engine.c
 *	  The engines that are built in, by name.
 */
#include "engine.h"

#include <string.h>

#include "mongodb.h"
#include "postgres.h"
#include "redis.h"

/* Ends with NULL. */
static const Engine *const engines[] = {
	&postgres_engine,
	&mongodb_engine,
	&redis_engine,
	NULL,
};

const Engine *
engine_find(const char *name, Failure *failure)
{
	for (size_t i = 0; engines[i] != NULL; i++)
	{
		if (strcmp(engines[i]->name, name) == 0)
			return engines[i];
	}
	failure_set(
		failure, REASON_CONFIG,
		"this custbackup has no engine \"%s\": correct custbackup.engines, or install a mover that has it",
		name);
	return NULL;
}
