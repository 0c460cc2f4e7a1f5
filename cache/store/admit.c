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

static void evict_locked(struct directory *d)
{
	if (d->evict)
		return;
	d->evict = true;
	pthread_cond_broadcast(&d->wake_keeper);
}

/* What the policy says to @room bytes of an owned block. */
static bool ask_policy_locked(struct directory *d, uint32_t dataset, uint64_t room)
{
	struct policy_space space = directory_space_locked(d);
	bool evict;
	bool admitted = d->policy.ops->admit(&d->policy, &space, dataset, room, &evict);

	/* Nothing may have to give way to it but replicas that nobody has seen yet. */
	if (evict || (!admitted && d->replicas_known == DIRECTORY_REPLICAS_UNKNOWN))
		evict_locked(d);
	return admitted;
}

/* A replica fills what is free below the low watermark, where eviction ends; so it makes nothing
 * give way. The policies differ in what comes then: epoch keeps what is there, under lru old
 * replicas give way to new ones. The policy is not asked: what it refuses, it makes room for. */
static bool ask_replica_locked(struct directory *d, uint64_t room)
{
	struct policy_space space = directory_space_locked(d);
	uint64_t taken = space.used + d->space.orphans;

	if (taken <= space.low && room <= space.low - taken)
		return true;
	if (d->policy_kind == CACHE_POLICY_LRU && d->space.orphans == 0 &&
	    d->replicas_known != DIRECTORY_REPLICAS_NONE) {
		d->turnover = true;
		evict_locked(d);
	}
	return false;
}

/* Whether @room bytes of @object may be written, in their role. */
static bool ask_locked(struct directory *d, const struct store_object *object, bool owned,
		       uint64_t room, uint32_t *out_dataset)
{
	uint32_t dataset;
	bool admitted;

	if (!directory_admits_locked(d))
		return false;
	dataset = datasets_number(&d->policy.datasets, object->dataset);
	datasets_touch(&d->policy.datasets, dataset);
	admitted = owned ? ask_policy_locked(d, dataset, room) : ask_replica_locked(d, room);
	if (!admitted || !space_fits(&d->space, room)) {
		counter_add(d->counters, STORE_REFUSED, 1);
		return false;
	}
	*out_dataset = dataset;
	return true;
}

static bool admit_locked(struct directory *d, const struct store_object *object, uint64_t block,
			 bool owned, uint32_t len)
{
	uint64_t room = room_for(object, len);
	uint32_t dataset;

	if (!ask_locked(d, object, owned, room, &dataset))
		return false;
	if (!pending_admit(&d->pending, object, block, len, dataset, room))
		return false;
	d->space.promised += room;
	d->tick += len;
	if (!owned) {
		d->replicas_known = DIRECTORY_REPLICAS_SOME;
		d->replicas_news++;
	}
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
		bool owned = directory_owns(d, &object->id, block);

		pthread_mutex_lock(&d->lock);
		admitted = admit_locked(d, object, block, owned, len);
		pthread_mutex_unlock(&d->lock);
	}
	directory_leave(d);
	return admitted;
}

bool directory_would_admit(struct directory *d, const struct store_object *object, bool owned,
			   uint32_t len)
{
	uint32_t dataset;
	bool admits;

	if (!directory_enter(d))
		return false;
	pthread_mutex_lock(&d->lock);
	admits = ask_locked(d, object, owned, len, &dataset);
	pthread_mutex_unlock(&d->lock);
	directory_leave(d);
	return admits;
}
