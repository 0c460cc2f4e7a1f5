/*
 * replay.c - the main of a fuzz target outside the fuzz preset: feeds it every file of the corpus
 * once, so that what a fuzzer once found stays fixed under every compiler and sanitizer.
 *
 * usage: NAME_fuzz CORPUS_DIRECTORY_OR_FILE...
 */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
/* A target may define it to look at the arguments; libFuzzer calls it once before any input. */
__attribute__((weak)) int LLVMFuzzerInitialize(int *argc, char ***argv);

static int read_whole(const char *path, uint8_t **out_data, size_t *out_len)
{
	FILE *file = fopen(path, "rb");
	struct stat st;
	uint8_t *data;
	int error = 0;

	if (!file)
		return -errno;
	if (fstat(fileno(file), &st) != 0) {
		error = -errno;
		goto close_file;
	}
	/* Exactly its size, so that a sanitizer sees the first byte read beyond it. */
	data = malloc(st.st_size > 0 ? (size_t)st.st_size : 1);
	if (!data) {
		error = -ENOMEM;
		goto close_file;
	}
	if (fread(data, 1, (size_t)st.st_size, file) != (size_t)st.st_size) {
		error = -EIO;
		free(data);
		goto close_file;
	}
	*out_data = data;
	*out_len = (size_t)st.st_size;
close_file:
	fclose(file);
	return error;
}

static int replay_file(const char *path)
{
	uint8_t *data = NULL;
	size_t len = 0;
	int error = read_whole(path, &data, &len);

	if (error) {
		fprintf(stderr, "%s: %s\n", path, strerror(-error));
		return error;
	}
	/* Said before, so that after a crash the last line names the input. */
	printf("%s (%zu bytes)\n", path, len);
	fflush(stdout);
	LLVMFuzzerTestOneInput(data, len);
	free(data);
	return 0;
}

/* Return: how many inputs were replayed, or a negative errno. */
static int replay_directory(const char *path)
{
	struct dirent **entries;
	int entries_count = scandir(path, &entries, NULL, alphasort);
	int replayed = 0;
	int error = 0;

	if (entries_count < 0)
		return -errno;
	for (int i = 0; i < entries_count; i++) {
		char file[PATH_MAX];

		if (!error && entries[i]->d_name[0] != '.') {
			snprintf(file, sizeof(file), "%s/%s", path, entries[i]->d_name);
			error = replay_file(file);
			replayed++;
		}
		free(entries[i]);
	}
	free(entries);
	return error ? error : replayed;
}

int main(int argc, char **argv)
{
	int total = 0;

	if (LLVMFuzzerInitialize)
		LLVMFuzzerInitialize(&argc, &argv);
	for (int i = 1; i < argc; i++) {
		struct stat st;
		int replayed = -ENOENT;

		if (stat(argv[i], &st) == 0 && S_ISDIR(st.st_mode))
			replayed = replay_directory(argv[i]);
		else if (replay_file(argv[i]) == 0)
			replayed = 1;
		if (replayed < 0) {
			fprintf(stderr, "%s: %s\n", argv[i], strerror(-replayed));
			return 1;
		}
		total += replayed;
	}
	if (total == 0) {
		fprintf(stderr, "%s: the corpus is empty: nothing was shown\n", argv[0]);
		return 1;
	}
	printf("%d inputs replayed\n", total);
	return 0;
}
