/*
 * mongodb.c
 *	  The engine's entry in the table; the rooms are named in mongodb.h.
 */
#include "engines/mongodb.h"

const Engine mongodb_engine = {
	.name = "mongodb",
	.open_source = mongodb_open_source,
	.open_inspector = mongodb_open_inspector,
	.open_sink = mongodb_open_sink,
};
