/*
 * dataset.c - reads the list of what there is, and judges bytes.
 */
#include "tests/integration/readers/dataset.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RECORD_LEN 16

/* One more of @size bytes at the end of an array. NULL: out of memory. */
static void *array_grow(void **array, size_t count, size_t size)
{
	void *grown = *array;

	if ((count & (count - 1)) == 0) {
		grown = realloc(*array, (count ? 2 * count : 1) * size);
		if (!grown)
			return NULL;
		*array = grown;
	}
	memset((char *)grown + count * size, 0, size);
	return (char *)grown + count * size;
}

static int file_add(struct dataset *dataset, uint64_t tag, uint64_t size, const char *path)
{
	struct dataset_file *file =
		array_grow((void **)&dataset->files, dataset->file_count, sizeof(*dataset->files));

	if (!file)
		return -ENOMEM;
	*file = (struct dataset_file){ .path = strdup(path), .tag = tag, .size = size };
	if (!file->path)
		return -ENOMEM;
	dataset->file_count++;
	return 0;
}

static int directory_add(struct dataset *dataset, uint64_t count, uint64_t sum, const char *path)
{
	struct dataset_directory *directory =
		array_grow((void **)&dataset->directories, dataset->directory_count,
			   sizeof(*dataset->directories));

	if (!directory)
		return -ENOMEM;
	*directory = (struct dataset_directory){ .path = strdup(path), .count = count, .sum = sum };
	if (!directory->path)
		return -ENOMEM;
	dataset->directory_count++;
	return 0;
}

/* The number that @text begins with, and the blank behind it. @text is moved behind both. */
static bool number_parse(char **text, uint64_t *out)
{
	char *end;

	errno = 0;
	*out = strtoull(*text, &end, 10);
	if (errno || end == *text || *end != ' ')
		return false;
	*text = end + 1;
	return true;
}

static int line_parse(struct dataset *dataset, char *line)
{
	static const char file[] = "file ", directory[] = "directory ";
	bool is_file = strncmp(line, file, strlen(file)) == 0;
	uint64_t first, second;

	line[strcspn(line, "\n")] = '\0';
	if (!is_file && strncmp(line, directory, strlen(directory)) != 0)
		return -EBADMSG;
	line += is_file ? strlen(file) : strlen(directory);
	if (!number_parse(&line, &first) || !number_parse(&line, &second))
		return -EBADMSG;
	return is_file ? file_add(dataset, first, second, line)
		       : directory_add(dataset, first, second, line);
}

int dataset_load(const char *list, struct dataset *out)
{
	struct dataset dataset = { 0 };
	FILE *stream = fopen(list, "re");
	char *line = NULL;
	size_t room = 0;
	int error = 0;

	if (!stream)
		return -errno;
	while (!error && getline(&line, &room, stream) > 0)
		error = line_parse(&dataset, line);
	free(line);
	fclose(stream);
	if (!error && (dataset.file_count == 0 || dataset.directory_count == 0))
		error = -EINVAL;
	if (error)
		dataset_free(&dataset);
	else
		*out = dataset;
	return error;
}

void dataset_free(struct dataset *dataset)
{
	for (size_t i = 0; i < dataset->file_count; i++)
		free(dataset->files[i].path);
	for (size_t i = 0; i < dataset->directory_count; i++)
		free(dataset->directories[i].path);
	free(dataset->files);
	free(dataset->directories);
	*dataset = (struct dataset){ 0 };
}

bool dataset_right(const struct dataset_file *file, const void *data, size_t len, uint64_t off,
		   uint64_t *out_off)
{
	const unsigned char *bytes = data;
	uint64_t record[2] = { file->tag, 0 };

	for (size_t at = 0; at < len;) {
		size_t skip = (size_t)((off + at) % RECORD_LEN), part = RECORD_LEN - skip;

		if (part > len - at)
			part = len - at;
		record[1] = off + at - skip;
		if (memcmp(bytes + at, (const char *)record + skip, part) != 0) {
			*out_off = off + at;
			return false;
		}
		at += part;
	}
	return true;
}

uint64_t dataset_name_hash(const char *name)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	for (; *name; name++)
		hash = (hash ^ (unsigned char)*name) * UINT64_C(0x100000001b3);
	return hash;
}
