/*
 * admit.c - whether a block is written, and the promise of its room.
 */
#include <errno.h>

#include "cache/store/contents.h"
#include "cache/store/directory.h"

/* What writing the block may take at most: its bytes, a file, records. */
static uint64_t room_for(const struct store_object *object, uint32_t len)
{
	if (object->version.size <= STORE_PACKED_MAX)
		return len + CONTENTS_FILE_CHARGE + SPACE_INDEX_PER_BLOCK;
	return contents_charge(len) + SPACE_INDEX_PER_BLOCK;
}

/* What the policy says to @room bytes of @object. */
static bool ask_locked(struct directory *d, const struct store_object *object, uint64_t room,
		       uint32_t *out_dataset)
{
	struct policy_space space = space_view(&d->space, d->spare);
	uint32_t dataset;
	bool evict, admitted;

	if (!directory_admits_locked(d))
		return false;
	dataset = datasets_number(&d->policy.datasets, object->dataset);
	datasets_touch(&d->policy.datasets, dataset);
	admitted = d->policy.ops->admit(&d->policy, &space, dataset, room, &evict);
	if (evict && !d->evict) {
		d->evict = true;
		pthread_cond_broadcast(&d->wake_keeper);
	}
	if (!admitted || !space_fits(&d->space, room)) {
		counter_add(d->counters, STORE_REFUSED, 1);
		return false;
	}
	*out_dataset = dataset;
	return true;
}

static bool admit_locked(struct directory *d, const struct store_object *object, uint64_t block,
			 uint32_t len)
{
	uint64_t room = room_for(object, len);
	uint32_t dataset;

	if (!ask_locked(d, object, room, &dataset))
		return false;
	if (!pending_admit(&d->pending, object, block, len, dataset, room))
		return false;
	d->space.promised += room;
	d->tick += len;
	return true;
}

bool directory_admit(struct directory *d, const struct store_object *object, uint64_t block,
		     uint32_t len)
{
	struct lookup lookup = { 0 };
	bool admitted = false;

	if (!directory_enter(d))
		return false;
	/* Whatever is written by others between this look and the lock is only written twice. */
	if (lookup_block(d, &object->id, block, &lookup) != 0) {
		pthread_mutex_lock(&d->lock);
		admitted = admit_locked(d, object, block, len);
		pthread_mutex_unlock(&d->lock);
	}
	directory_leave(d);
	return admitted;
}

bool directory_would_admit(struct directory *d, const struct store_object *object, uint32_t len)
{
	uint32_t dataset;
	bool admits;

	if (!directory_enter(d))
		return false;
	pthread_mutex_lock(&d->lock);
	admits = ask_locked(d, object, len, &dataset);
	pthread_mutex_unlock(&d->lock);
	directory_leave(d);
	return admits;
}
