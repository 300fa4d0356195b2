/*
 * redis.h
 *	  The engine of Redis and Valkey, for engine.c's table.
 */
#ifndef REDIS_H
#define REDIS_H

#include "engines/engine.h"

extern const Engine redis_engine;

#endif
