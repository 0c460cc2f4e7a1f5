/*
 * backings.c - a backing file's record: which object, of which cache directory, a backing id of the
 * kernel stands for, and which node has it.
 *
 *	  0	8  id, above it the cache directory's index (32 bits each); 0: free
 *	  8	8  node's id
 *	 16	16 object
 *
 * What a death leaves: the record, then its first word, then the highest id. Without the last, it
 * is found again from the records. The other order could lose one: an id that is not recorded and
 * not above the highest is taken for one that was closed.
 *
 * An id is found through a table of the process's own, in which those with the same hash stand
 * behind one another and the following ones move up when one goes.
 */
#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

#include "base/check.h"
#include "fuse/ledger/inside.h"

#define INDEX_COUNT (LEDGER_BACKING_MAX << 1) /* at most half full */
#define INDEX_MASK  (INDEX_COUNT - 1)

struct record {
	_Atomic uint64_t id;
	uint64_t node;
	struct object_id object;
};

static_assert(sizeof(struct record) == BACKING_LEN, "as drawn");
static_assert((INDEX_COUNT & INDEX_MASK) == 0, "a mask");

static struct record *record_at(const struct ledger *ledger, uint32_t place)
{
	return (struct record *)ledger_part(ledger, PART_BACKINGS) + place;
}

static uint32_t record_id(const struct record *record)
{
	return (uint32_t)word_load(&record->id);
}

/* --- id -> place */

static uint32_t home_of(uint32_t id)
{
	return id * UINT32_C(0x9e3779b1) >> 5 & INDEX_MASK;
}

/* Where @id stands, or the free place where it would. */
static uint32_t index_find(const struct ledger *ledger, uint32_t id)
{
	const uint32_t *places = ledger->backing_places;
	uint32_t at = home_of(id);

	while (places[at] && record_id(record_at(ledger, places[at] - 1)) != id)
		at = (at + 1) & INDEX_MASK;
	return at;
}

/* Before the record of what stands at @hole is erased. */
static void index_erase(struct ledger *ledger, uint32_t hole)
{
	uint32_t *places = ledger->backing_places;

	for (uint32_t at = (hole + 1) & INDEX_MASK; places[at]; at = (at + 1) & INDEX_MASK) {
		uint32_t home = home_of(record_id(record_at(ledger, places[at] - 1)));

		/* It may move to the hole when that does not lie before its home. */
		if (((at - home) & INDEX_MASK) < ((at - hole) & INDEX_MASK))
			continue;
		places[hole] = places[at];
		hole = at;
	}
	places[hole] = 0;
}

/* --- records */

static void last_raise(struct ledger *ledger, uint32_t id)
{
	if (id > word_load(&ledger->header->backing_last))
		word_store(&ledger->header->backing_last, id);
}

int ledger_backing_add(struct ledger *ledger, const struct ledger_backing *backing)
{
	struct record *record;
	uint32_t place;

	CHECK(backing->id > 0);
	ledger_backing_remove(ledger,
			      backing->id); /* the kernel gave it anew: the old one is gone */
	place = places_take(&ledger->backings);
	if (place == PLACES_NONE)
		return -ENOSPC;
	record = record_at(ledger, place);
	record->node = backing->node;
	record->object = backing->object;
	ledger->backing_places[index_find(ledger, (uint32_t)backing->id)] = place + 1;
	word_release(&record->id, (uint64_t)backing->directory << 32 | (uint32_t)backing->id);
	last_raise(ledger, (uint32_t)backing->id);
	return 0;
}

void ledger_backing_remove(struct ledger *ledger, int32_t id)
{
	uint32_t at = index_find(ledger, (uint32_t)id), place = ledger->backing_places[at];

	if (!place)
		return;
	index_erase(ledger, at);
	word_store(&record_at(ledger, place - 1)->id, 0);
	places_free(&ledger->backings, place - 1);
}

int ledger_backings_each(struct ledger *ledger,
			 int (*each)(void *context, const struct ledger_backing *backing),
			 void *context)
{
	uint32_t place = places_next(&ledger->backings, 0, LEDGER_BACKING_MAX);
	int result = 0;

	while (place != PLACES_NONE && !result) {
		const struct record *record = record_at(ledger, place);
		struct ledger_backing backing = {
			.id = (int32_t)record_id(record),
			.directory = (uint32_t)(word_load(&record->id) >> 32),
			.node = record->node,
			.object = record->object,
		};

		result = each(context, &backing);
		place = places_next(&ledger->backings, place + 1, LEDGER_BACKING_MAX);
	}
	return result;
}

int32_t ledger_backing_last(const struct ledger *ledger)
{
	return (int32_t)word_load(&ledger->header->backing_last);
}

/* --- adopting */

static void record_adopt(struct ledger *ledger, uint32_t place)
{
	struct record *record = record_at(ledger, place);
	uint32_t id = record_id(record), at;

	if (word_load(&record->id) == 0)
		return;
	at = index_find(ledger, id);
	/* One id is one file: of two records, neither can be told to be the right one. */
	if (id == 0 || id > INT32_MAX || record->node == 0 || ledger->backing_places[at] ||
	    !places_claim(&ledger->backings, place)) {
		word_store(&record->id, 0);
		return;
	}
	ledger->backing_places[at] = place + 1;
	last_raise(ledger, id);
}

void ledger_backings_adopt(struct ledger *ledger)
{
	if (word_load(&ledger->header->backing_last) > INT32_MAX)
		word_store(&ledger->header->backing_last, 0);
	ledger_walk(ledger, PART_BACKINGS, record_adopt);
}

int ledger_backings_init(struct ledger *ledger)
{
	ledger->backing_places = calloc(INDEX_COUNT, sizeof(*ledger->backing_places));
	return ledger->backing_places ? places_init(&ledger->backings, LEDGER_BACKING_MAX)
				      : -ENOMEM;
}

void ledger_backings_fini(struct ledger *ledger)
{
	free(ledger->backing_places);
	places_fini(&ledger->backings);
}
