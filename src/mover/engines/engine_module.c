/*
 * engine_module.c
 *	  Finding the file of an engine as the linker would, and loading it.
 */
#include "engines/engine_module.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* path: the first that is there of where the linker looks; nowhere: the name alone, so that the linker complains. */
static void
find_file(const char *file, char path[PATH_MAX])
{
	void	   *self = dlopen(NULL, RTLD_NOW);
	Dl_serinfo	size;
	Dl_serinfo *places = NULL;

	if (self != NULL && dlinfo(self, RTLD_DI_SERINFOSIZE, &size) == 0)
		places = malloc(size.dls_size);
	if (places != NULL && dlinfo(self, RTLD_DI_SERINFOSIZE, places) == 0 &&
		dlinfo(self, RTLD_DI_SERINFO, places) == 0)
		for (unsigned i = 0; i < places->dls_cnt; i++)
		{
			int length = snprintf(path, PATH_MAX, "%s/%s", places->dls_serpath[i].dls_name, file);

			if (length < PATH_MAX && access(path, F_OK) == 0)
			{
				free(places);
				return;
			}
		}
	free(places);
	snprintf(path, PATH_MAX, "%s", file);
}

/* What stands last in a file of the linker's is its table of sections.  A file that is none is dlopen()'s to refuse. */
static bool
is_cut_off(const char *path)
{
	ElfW(Ehdr) header = {0};
	struct stat file = {0};
	int			fd = open(path, O_RDONLY | O_CLOEXEC);
	bool		is_elf = fd >= 0 && fstat(fd, &file) == 0 &&
				  pread(fd, &header, sizeof(header), 0) == (ssize_t) sizeof(header) &&
				  memcmp(header.e_ident, ELFMAG, SELFMAG) == 0;

	if (fd >= 0)
		close(fd);
	return is_elf &&
		   header.e_shoff + (uint64_t) header.e_shnum * header.e_shentsize > (uint64_t) file.st_size;
}

const Engine *
engine_module_load(const char *name, const char *file, const char *symbol, Failure *failure)
{
	char		  path[PATH_MAX];
	const Engine *engine = NULL;
	const char	 *problem = "the file is cut off";
	void		 *module;

	find_file(file, path);
	if (!is_cut_off(path))
	{
		module = dlopen(path, RTLD_NOW);
		engine = module != NULL ? dlsym(module, symbol) : NULL;
		problem = engine == NULL ? dlerror() : NULL;
	}
	if (engine == NULL)
		failure_set(failure, REASON_CONFIG,
					"could not load the engine \"%s\": %s: %s; install %s beside custbackup, or where 'make "
					"install' puts it",
					name, path, problem, file);
	return engine;
}
