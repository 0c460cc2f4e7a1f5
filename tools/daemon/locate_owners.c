/*
 * locate_owners.c - one pass over the blocks.
 */
#include "tools/daemon/locate_owners.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

#define LOOK_UP_EVERY 4096 /* blocks between two looks at cancelled() */

/* Where @id is in the index, or would be: at most half of it is used. Ids are random. */
static unsigned place_of(const struct locate_owners *owners, const struct member_id *id)
{
	const unsigned size = ARRAY_COUNT(owners->index);
	unsigned at;

	memcpy(&at, id->bytes, sizeof(at));
	for (at %= size; owners->index[at]; at = (at + 1) % size)
		if (member_id_equal(&owners->owners[owners->index[at] - 1].id, id))
			break;
	return at;
}

int locate_owners_index(const struct locate_owners *owners, const struct member_id *id)
{
	return (int)owners->index[place_of(owners, id)] - 1;
}

static int owner_add(struct locate_owners *owners, const struct member_id *id, uint32_t len)
{
	unsigned at = place_of(owners, id);
	struct locate_owner *owner;

	if (!owners->index[at]) {
		if (owners->count == LOCATE_OWNERS_MAX)
			return LOCATE_NOBODY;
		owners->owners[owners->count++] = (struct locate_owner){ .id = *id };
		owners->index[at] = (uint16_t)owners->count;
	}
	owner = &owners->owners[owners->index[at] - 1];
	owner->blocks++;
	owner->bytes += len;
	return (int)owners->index[at] - 1;
}

static void run_add(struct locate_owners *owners, uint64_t block, int owner)
{
	struct locate_run *last = owners->run_count ? &owners->runs[owners->run_count - 1] : NULL;

	if (owners->runs_left == 0 && last && last->owner == owner)
		last->count++;
	else if (owners->runs_left == 0 && owners->run_count < LOCATE_RUNS_MAX)
		owners->runs[owners->run_count++] =
			(struct locate_run){ .first = block, .count = 1, .owner = owner };
	else
		owners->runs_left++;
}

static void block_add(struct locate_owners *owners, const struct locate_object *object,
		      uint64_t block)
{
	uint32_t len = object_block_len(object->size, block, object->block_len);
	struct member_id id;
	int owner = LOCATE_NOBODY;

	if (object->owner_of(object->context, &object->id, block, &id))
		owner = owner_add(owners, &id, len);
	if (owner == LOCATE_NOBODY)
		owners->others++;
	if (owners->runs)
		run_add(owners, block, owner);
}

int locate_owners_find(const struct locate_object *object, bool runs,
		       struct locate_owners **out_owners)
{
	uint64_t count = object->size / object->block_len + (object->size % object->block_len != 0);
	struct locate_owners *owners;

	if (count > LOCATE_BLOCKS_MAX)
		return -E2BIG;
	owners = calloc(1, sizeof(*owners));
	if (owners && runs)
		owners->runs = calloc(LOCATE_RUNS_MAX, sizeof(*owners->runs));
	if (!owners || (runs && !owners->runs)) {
		locate_owners_free(owners);
		return -ENOMEM;
	}
	for (uint64_t block = 0; block < count; block++) {
		if (block % LOOK_UP_EVERY == 0 && object->cancelled(object->context)) {
			locate_owners_free(owners);
			return -ECANCELED;
		}
		block_add(owners, object, block);
	}
	*out_owners = owners;
	return 0;
}

void locate_owners_free(struct locate_owners *owners)
{
	if (!owners)
		return;
	free(owners->runs);
	free(owners);
}
