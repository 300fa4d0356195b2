/*
 * mongodb.h
 *	  The engine for MongoDB: mongodump's archives.
 *
 * mongodb_inspector.c proves that what comes is whole, by mongodb_archive.c.
 */
#ifndef MONGODB_H
#define MONGODB_H

#include "engines/engine.h"

/* mongodb_inspector.c */
extern Inspector *mongodb_open_inspector(FailureReason when, Failure *failure);

#endif
