/*
 * datasets.c - the table of datasets: an array by number and an open-addressed table by name.
 */
#include "cache/store/policy/datasets.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/digest.h"

#define FIRST_SIZE 64

static uint64_t hash_of(const char *name, size_t len)
{
	uint64_t hash = digest_xxh3(name, len);

	return hash ? hash : 1;
}

int datasets_init(struct datasets *datasets)
{
	*datasets = (struct datasets){ 0 };
	datasets->items = calloc(FIRST_SIZE, sizeof(*datasets->items));
	datasets->table = calloc((size_t)FIRST_SIZE * 2, sizeof(*datasets->table));
	if (!datasets->items || !datasets->table) {
		datasets_fini(datasets);
		return -ENOMEM;
	}
	datasets->size = FIRST_SIZE;
	datasets->table_size = FIRST_SIZE * 2;
	datasets->count = 1;
	return 0;
}

void datasets_fini(struct datasets *datasets)
{
	free(datasets->items);
	free(datasets->table);
	*datasets = (struct datasets){ 0 };
}

/* The place in the table where @hash is, or would be. */
static uint32_t *slot_of(const struct datasets *datasets, uint64_t hash)
{
	unsigned mask = datasets->table_size - 1;
	unsigned i = (unsigned)hash & mask;

	while (datasets->table[i] && datasets->items[datasets->table[i]].name_hash != hash)
		i = (i + 1) & mask;
	return &datasets->table[i];
}

static void fill_table(struct datasets *datasets)
{
	memset(datasets->table, 0, datasets->table_size * sizeof(*datasets->table));
	for (unsigned i = 1; i < datasets->count; i++) {
		if (datasets->items[i].name_hash)
			*slot_of(datasets, datasets->items[i].name_hash) = i;
	}
}

/* Room for number @number. */
static int grow(struct datasets *datasets, uint32_t number)
{
	unsigned size = datasets->size;
	struct dataset *items;
	uint32_t *table;

	if (number >= DATASETS_MAX)
		return -ENOSPC;
	if (number < size)
		return 0;
	while (number >= size)
		size *= 2;
	table = calloc((size_t)size * 2, sizeof(*table));
	if (!table)
		return -ENOMEM;
	items = realloc(datasets->items, size * sizeof(*items));
	if (!items) {
		free(table);
		return -ENOMEM;
	}
	memset(items + datasets->size, 0, (size - datasets->size) * sizeof(*items));
	free(datasets->table);
	datasets->items = items;
	datasets->table = table;
	datasets->size = size;
	datasets->table_size = size * 2;
	fill_table(datasets);
	return 0;
}

int datasets_load(struct datasets *datasets, uint32_t number, const char *name, size_t name_len,
		  uint64_t bytes, uint64_t access)
{
	struct dataset *dataset;
	int error = grow(datasets, number);

	if (error)
		return error == -ENOSPC ? 0 : error;
	if (number >= datasets->count)
		datasets->count = number + 1;
	dataset = &datasets->items[number];
	dataset->bytes += bytes;
	dataset->access = access;
	if (access > datasets->access)
		datasets->access = access;
	if (number != DATASET_SHARED && name_len > 0) {
		dataset->name_hash = hash_of(name, name_len);
		*slot_of(datasets, dataset->name_hash) = number;
	}
	return 0;
}

/* All numbers are given: that of the empty dataset that was not used for longest, or the shared. */
static uint32_t reuse(struct datasets *datasets)
{
	uint32_t best = DATASET_SHARED;

	for (unsigned i = 1; i < datasets->count; i++) {
		if (datasets->items[i].bytes > 0)
			continue;
		if (best == DATASET_SHARED ||
		    datasets->items[i].access < datasets->items[best].access)
			best = i;
	}
	if (best != DATASET_SHARED) {
		datasets->items[best] = (struct dataset){ 0 };
		fill_table(datasets);
	}
	return best;
}

uint32_t datasets_number(struct datasets *datasets, const char *name)
{
	uint64_t hash = hash_of(name, strlen(name));
	uint32_t number = *slot_of(datasets, hash);

	if (number)
		return number;
	number = datasets->count;
	if (grow(datasets, number))
		number = reuse(datasets);
	else
		datasets->count++;
	if (number == DATASET_SHARED)
		return number;
	datasets->items[number].name_hash = hash;
	*slot_of(datasets, hash) = number;
	datasets_touch(datasets, number);
	return number;
}

uint32_t datasets_find(const struct datasets *datasets, const char *name)
{
	return *slot_of(datasets, hash_of(name, strlen(name)));
}

static struct dataset *item(const struct datasets *datasets, uint32_t number)
{
	return &datasets->items[number < datasets->count ? number : DATASET_SHARED];
}

const struct dataset *datasets_get(const struct datasets *datasets, uint32_t number)
{
	return item(datasets, number);
}

void datasets_touch(struct datasets *datasets, uint32_t number)
{
	struct dataset *dataset = item(datasets, number);

	dataset->access = ++datasets->access;
	dataset->others_refused = datasets->refused - dataset->refused;
}

void datasets_refuse(struct datasets *datasets, uint32_t number, uint64_t bytes)
{
	item(datasets, number)->refused += bytes;
	datasets->refused += bytes;
}

void datasets_replica_segment(struct datasets *datasets, uint32_t number, uint32_t segment)
{
	item(datasets, number)->replica_segment = segment;
}

void datasets_add(struct datasets *datasets, uint32_t number, int64_t bytes)
{
	struct dataset *dataset = item(datasets, number);

	if (bytes < 0 && dataset->bytes < (uint64_t)-bytes)
		dataset->bytes = 0;
	else
		dataset->bytes += (uint64_t)bytes;
}

uint64_t datasets_refused_since(const struct datasets *datasets, uint32_t number)
{
	const struct dataset *dataset = item(datasets, number);

	return datasets->refused - dataset->refused - dataset->others_refused;
}
