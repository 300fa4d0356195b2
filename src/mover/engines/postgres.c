/*
 * postgres.c
 *	  The engine's entry in the table; the rooms are named in postgres.h.
 */
#include "postgres.h"

#include "postgres_archive.h"

const Engine postgres_engine = {
	.name = "postgres",
	.open_source = postgres_open_source,
	.open_inspector = postgres_archive_inspector,
	.open_sink = postgres_open_sink,
};
