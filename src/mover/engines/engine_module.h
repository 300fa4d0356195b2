/*
 * engine_module.h
 *	  An engine that is a file of its own: found, looked at, loaded.
 *
 * A module that was cut off is no error of dlopen()'s but a SIGBUS, wherever it is first
 * touched; so its length is compared with what its own header says.
 */
#ifndef ENGINE_MODULE_H
#define ENGINE_MODULE_H

#include "engines/engine.h"

/*
 * file: its name, looked for where the linker would; symbol: the Engine in it.  NULL with
 * REASON_CONFIG, naming the file.  Never unloaded: libmongoc is not made for that.
 */
extern const Engine *engine_module_load(const char *name, const char *file, const char *symbol,
										Failure *failure);

#endif
