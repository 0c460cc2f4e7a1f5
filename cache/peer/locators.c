/*
 * locators.c - a table of lists and one list in order of use. The table's size follows from the
 * bound at creation and stays; the records are as long as they have checks, so that a granule's
 * takes a fifth of a large block's.
 *
 * Memory is counted as malloc() takes it: rounded up, with its own word in front.
 */
#include "cache/peer/locators.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "base/check.h"
#include "base/digest.h"

#define HEAP_UNIT      16 /* malloc()'s sizes are multiples of it, with HEAP_OVERHEAD */
#define HEAP_OVERHEAD  8
#define BYTES_A_BUCKET 256 /* the table takes a 32nd of the memory */

struct record {
	LIST_ENTRY(record) by_key;
	TAILQ_ENTRY(record) by_use;
	struct window_key key;
	uint64_t heard_ns;
	struct member_id holder;
	uint64_t epoch;
	uint64_t off;
	uint32_t len;
	uint64_t checks[]; /* one a granule of len */
};

LIST_HEAD(records, record);
TAILQ_HEAD(records_by_use, record);

struct locators {
	uint64_t memory, memory_max;
	uint64_t memory_empty; /* of `memory`: what is there without any record */
	uint64_t age_max_ns;
	struct records *buckets;
	uint64_t bucket_count;	      /* a power of two; 0: nothing can be kept */
	struct records_by_use by_use; /* the latest used first */
};

static uint64_t heap_len(size_t len)
{
	return (len + HEAP_OVERHEAD + HEAP_UNIT - 1) / HEAP_UNIT * HEAP_UNIT;
}

static size_t record_len(uint32_t len)
{
	return sizeof(struct record) + object_granule_count(len) * sizeof(uint64_t);
}

static uint64_t bucket_count_of(uint64_t memory_max)
{
	uint64_t count = 1;

	if (memory_max < heap_len(sizeof(struct locators)) + heap_len(sizeof(struct records)))
		return 0;
	while (count * 2 <= memory_max / BYTES_A_BUCKET)
		count *= 2;
	return count;
}

int locators_create(uint64_t memory_max, uint64_t age_max_ns, struct locators **out_locators)
{
	struct locators *locators = calloc(1, sizeof(*locators));

	if (!locators)
		return -ENOMEM;
	locators->memory = heap_len(sizeof(*locators));
	locators->memory_max = memory_max;
	locators->age_max_ns = age_max_ns;
	locators->bucket_count = bucket_count_of(memory_max);
	TAILQ_INIT(&locators->by_use);
	if (locators->bucket_count) {
		locators->buckets = calloc(locators->bucket_count, sizeof(*locators->buckets));
		if (!locators->buckets) {
			free(locators);
			return -ENOMEM;
		}
		locators->memory += heap_len(locators->bucket_count * sizeof(*locators->buckets));
	}
	locators->memory_empty = locators->memory;
	*out_locators = locators;
	return 0;
}

static void forget(struct locators *locators, struct record *record)
{
	LIST_REMOVE(record, by_key);
	TAILQ_REMOVE(&locators->by_use, record, by_use);
	locators->memory -= heap_len(record_len(record->len));
	free(record);
}

void locators_destroy(struct locators *locators)
{
	if (!locators)
		return;
	while (!TAILQ_EMPTY(&locators->by_use))
		forget(locators, TAILQ_FIRST(&locators->by_use));
	free(locators->buckets);
	free(locators);
}

static struct records *bucket_of(const struct locators *locators, const struct window_key *key)
{
	uint64_t hash = digest_xxh3(key, sizeof(*key));

	return &locators->buckets[hash & (locators->bucket_count - 1)];
}

static struct record *find(const struct locators *locators, const struct window_key *key)
{
	struct record *record = NULL;

	if (locators->bucket_count)
		LIST_FOREACH (record, bucket_of(locators, key), by_key)
			if (window_key_equal(&record->key, key))
				break;
	return record;
}

/* Return: a record on no list, paid for by those that were used least recently; NULL: no room. */
static struct record *make_record(struct locators *locators, uint32_t len)
{
	uint64_t need = heap_len(record_len(len));
	struct record *record;

	if (!locators->bucket_count || need > locators->memory_max - locators->memory_empty)
		return NULL;
	while (need > locators->memory_max - locators->memory)
		forget(locators, TAILQ_LAST(&locators->by_use, records_by_use));
	record = malloc(record_len(len));
	if (record)
		locators->memory += need;
	return record;
}

void locators_put(struct locators *locators, const struct window_key *key,
		  const struct locator *locator, uint64_t now_ns)
{
	struct record *record;

	CHECK(locator->len > 0 && locator->len <= BLOCK_LEN_MAX);
	/* what was known is void even if there is no memory for what is */
	locators_drop(locators, key);
	record = make_record(locators, locator->len);
	if (!record)
		return;
	record->key = *key;
	record->heard_ns = now_ns;
	record->holder = locator->holder;
	record->epoch = locator->epoch;
	record->off = locator->off;
	record->len = locator->len;
	memcpy(record->checks, locator->checks,
	       object_granule_count(locator->len) * sizeof(record->checks[0]));
	LIST_INSERT_HEAD(bucket_of(locators, key), record, by_key);
	TAILQ_INSERT_HEAD(&locators->by_use, record, by_use);
}

int locators_get(struct locators *locators, const struct window_key *key, uint64_t now_ns,
		 struct locator *out_locator)
{
	struct record *record = find(locators, key);

	if (!record)
		return -ENOENT;
	if (now_ns - record->heard_ns > locators->age_max_ns) {
		forget(locators, record);
		return -ENOENT;
	}
	TAILQ_REMOVE(&locators->by_use, record, by_use);
	TAILQ_INSERT_HEAD(&locators->by_use, record, by_use);
	out_locator->holder = record->holder;
	out_locator->epoch = record->epoch;
	out_locator->off = record->off;
	out_locator->len = record->len;
	memcpy(out_locator->checks, record->checks,
	       object_granule_count(record->len) * sizeof(record->checks[0]));
	return 0;
}

void locators_drop(struct locators *locators, const struct window_key *key)
{
	struct record *record = find(locators, key);

	if (record)
		forget(locators, record);
}

void locators_drop_holder(struct locators *locators, const struct member_id *holder, uint64_t epoch)
{
	struct record *record = TAILQ_FIRST(&locators->by_use);

	while (record) {
		struct record *next = TAILQ_NEXT(record, by_use);

		if (member_id_equal(&record->holder, holder) && record->epoch != epoch)
			forget(locators, record);
		record = next;
	}
}

uint64_t locators_memory(const struct locators *locators)
{
	return locators->memory;
}
