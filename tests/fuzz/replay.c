/* replay.c - runs a fuzz target on files and folders: the committed inputs, without libFuzzer. */
#include <dirent.h>
#include <sys/stat.h>

#include "tests/fuzz/fuzz.h"

static size_t runs;

static void
replay_file(const char *path)
{
	FILE *f = fopen(path, "rb");
	struct stat st;
	uint8_t *bytes;

	if (f == NULL || fstat(fileno(f), &st) < 0 || (bytes = malloc((size_t)st.st_size + 1)) == NULL) {
		perror(path);
		exit(2);
	}
	size_t n = fread(bytes, 1, (size_t)st.st_size, f);

	fclose(f);
	LLVMFuzzerTestOneInput(bytes, n);
	free(bytes);
	runs++;
}

int
main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		DIR *dir = opendir(argv[i]);
		char path[4096];

		if (dir == NULL) {
			replay_file(argv[i]);
			continue;
		}
		for (struct dirent *e; (e = readdir(dir)) != NULL;) {
			snprintf(path, sizeof path, "%s/%s", argv[i], e->d_name);
			if (e->d_name[0] != '.')
				replay_file(path);
		}
		closedir(dir);
	}
	printf("%zu inputs\n", runs);
	return runs > 0 ? 0 : 1;             /* a corpus that is not there is no test */
}
