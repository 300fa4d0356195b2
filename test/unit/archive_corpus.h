/*
 * archive_corpus.h
 *	  The archives of real pg_dumps (15, 17, 18) in the fuzzer's corpus: a byte for
 *	  the fuzzer, then the archive.
 */
#ifndef ARCHIVE_CORPUS_H
#define ARCHIVE_CORPUS_H

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Calls test for each; says how many there were. */
static inline int
each_real_archive(void (*test)(const unsigned char *bytes, size_t length, const char *name))
{
	static unsigned char bytes[1 << 18];
	char				 directory[512];
	char				 path[1024];
	int					 seen = 0;
	DIR					*corpus;

	snprintf(directory, sizeof directory, "%s/test/fuzz/corpus/postgres_archive",
			 getenv("SOURCE_DIR") ? getenv("SOURCE_DIR") : ".");
	corpus = opendir(directory);
	for (struct dirent *file; corpus && (file = readdir(corpus)) != NULL;)
	{
		FILE  *stream;
		size_t length;

		if (strncmp(file->d_name, "pg_dump-", 8) != 0)
			continue;
		snprintf(path, sizeof path, "%s/%s", directory, file->d_name);
		stream = fopen(path, "rb");
		length = stream ? fread(bytes, 1, sizeof bytes, stream) : 0;
		if (stream)
			fclose(stream);
		if (length < 2)
			continue;
		test(bytes + 1, length - 1, file->d_name);
		seen++;
	}
	if (corpus)
		closedir(corpus);
	return seen;
}

#endif
