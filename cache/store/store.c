/*
 * store.c - the door: several directories, and which of them holds an object. Each directory has a
 * score for an id (rendezvous hashing, weighted by capacity); the highest of those that are open
 * gets new blocks. So one that fails only loses its own objects, which go to all the others, and
 * when it comes back, or one is added, nothing that is elsewhere is lost: reading asks all of them,
 * the likeliest first.
 */
#include "cache/store/store.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/digest.h"
#include "cache/store/directory.h"

#define DIRECTORIES_MAX 64
#define STOP_FLUSH_NS	(7 * NS_PER_S) /* to commit what is written, and then */
#define STOP_END_NS	(3 * NS_PER_S) /* ... to end what is under way */

struct store {
	struct counters counters;
	unsigned count;
	struct directory *directories[DIRECTORIES_MAX];
	struct store_owner owner;
	struct store_lost lost;
	bool stuck; /* a disk holds requests: nothing may be freed */
};

#define TOTAL(counter_name, counter_unit, text)                                                    \
	{                                                                                          \
		.name = (counter_name), .kind = COUNTER_TOTAL, .unit = (counter_unit),             \
		.help = (text)                                                                     \
	}
#define GAUGE(counter_name, counter_unit, text)                                                    \
	{                                                                                          \
		.name = (counter_name), .kind = COUNTER_GAUGE, .unit = (counter_unit),             \
		.help = (text)                                                                     \
	}

static const struct counter_spec specs[STORE_COUNTER_COUNT] = {
	[STORE_READS] = TOTAL("store_reads", "reads", "reads served from the SSD"),
	[STORE_READ_BYTES] = TOTAL("store_read_bytes", "bytes", "bytes read from the SSD"),
	[STORE_WRITES] = TOTAL("store_writes", "blocks", "blocks written to the SSD"),
	[STORE_WRITE_BYTES] = TOTAL("store_write_bytes", "bytes", "bytes written to the SSD"),
	[STORE_COMMITS] = TOTAL("store_commits", "groups", "groups made durable"),
	[STORE_BAD_CHECKS] = TOTAL("store_bad_checks", "granules",
				   "granules whose bytes did not match their check: fetched again"),
	[STORE_READ_ERRORS] = TOTAL("store_read_errors", "reads", "reads the SSD failed"),
	[STORE_WRITE_ERRORS] = TOTAL("store_write_errors", "blocks", "writes the SSD failed"),
	[STORE_NO_SPACE] =
		TOTAL("store_no_space", "errors", "writes that found the file system full"),
	[STORE_EVICTED_OBJECTS] = TOTAL("store_evicted_objects", "objects", "objects evicted"),
	[STORE_EVICTED_BYTES] =
		TOTAL("store_evicted_bytes", "bytes", "bytes evicted, those of replicas included"),
	[STORE_ORPHANS] = TOTAL("store_orphans", "files",
				"files removed because the index does not name them"),
	[STORE_USED_BYTES] = GAUGE("store_used_bytes", "bytes", "bytes taken on the SSD"),
	[STORE_CAPACITY] = GAUGE("store_capacity_bytes", "bytes", "bytes that may be taken"),
	[STORE_REFUSED] = TOTAL("store_refused", "blocks", "blocks the policy did not admit"),
	[STORE_REPLICAS_EVICTED] =
		TOTAL("store_replicas_evicted", "blocks", "blocks of other nodes that gave way"),
	[STORE_REPLICA_EVICTED_BYTES] = TOTAL("store_replica_evicted_bytes", "bytes",
					      "bytes that blocks of other nodes gave back"),
	[STORE_VERIFIED] = TOTAL("store_verified", "objects",
				 "objects verified whole, so that their files may be handed out"),
	[STORE_VERIFY_BYTES] = TOTAL("store_verify_bytes", "bytes", "bytes read to verify them"),
	[STORE_HANDOUTS] = TOTAL("store_handouts", "files", "files handed out to the kernel"),
	[STORE_REPLACED] = TOTAL("store_replaced", "files",
				 "files that had been handed out and gave way to new ones"),
	[STORE_SCRUB_BYTES] = TOTAL("store_scrub_bytes", "bytes", "bytes read by the scrub"),
	[STORE_ROTTEN] = TOTAL("store_rotten", "objects",
			       "objects in which the scrub found bytes that had changed"),
};

int store_create_with(const struct cache_config *config, const struct clock *clock,
		      const struct files *files, struct store **out_store)
{
	const struct cache_directory_config *items = config->directories.items;
	struct store *store = calloc(1, sizeof(*store));
	int error;

	if (!store)
		return -ENOMEM;
	error = counters_init(&store->counters, "store", specs, STORE_COUNTER_COUNT);
	for (unsigned i = 0; i < config->directories.count && i < DIRECTORIES_MAX && !error; i++) {
		struct directory_config directory = {
			.path = items[i].path,
			.capacity = items[i].capacity,
			.block_len = (uint32_t)config->block_len,
			.policy = (enum cache_policy)config->policy,
			.high_percent = (unsigned)config->high_watermark,
			.low_percent = (unsigned)config->low_watermark,
			.scrub = config->scrub,
			.clock = clock,
			.files = files,
			.counters = &store->counters,
		};

		error = directory_create(&directory, &store->directories[i]);
		if (!error)
			store->count++;
	}
	if (error) {
		store_stop(store);
		store_destroy(store);
		return error;
	}
	*out_store = store;
	return 0;
}

int store_create(const struct cache_config *config, const struct clock *clock,
		 struct store **out_store)
{
	return store_create_with(config, clock, files_system(), out_store);
}

void store_stop(struct store *store)
{
	uint64_t deadline_ns = clock_after_ns(clock_now_ns(clock_system()), STOP_FLUSH_NS);

	for (unsigned i = 0; i < store->count; i++)
		directory_finish(store->directories[i]);
	for (unsigned i = 0; i < store->count; i++)
		directory_flush(store->directories[i], deadline_ns);
	deadline_ns = clock_after_ns(clock_now_ns(clock_system()), STOP_END_NS);
	for (unsigned i = 0; i < store->count; i++) {
		if (directory_stop(store->directories[i], deadline_ns))
			store->stuck = true;
	}
}

void store_destroy(struct store *store)
{
	if (!store || store->stuck)
		return;
	for (unsigned i = 0; i < store->count; i++)
		directory_destroy(store->directories[i]);
	counters_fini(&store->counters);
	free(store);
}

void store_reload(struct store *store, const struct cache_config *config)
{
	for (unsigned i = 0; i < store->count; i++)
		directory_reload(store->directories[i], (unsigned)config->high_watermark,
				 (unsigned)config->low_watermark, config->scrub);
}

void store_set_owner(struct store *store,
		     bool (*owns)(void *context, const struct object_id *id, uint64_t block),
		     void *context)
{
	store->owner = (struct store_owner){ .owns = owns, .context = context };
	for (unsigned i = 0; i < store->count; i++)
		directory_set_owner(store->directories[i], &store->owner);
}

void store_owner_changed(struct store *store)
{
	for (unsigned i = 0; i < store->count; i++)
		directory_owner_changed(store->directories[i]);
}

/* --- choosing --- */

struct ranked {
	struct directory *directory;
	double score;
};

/* The score of weighted rendezvous: -weight / ln(hash in (0, 1)). */
static double score_of(const struct directory *d, const struct object_id *id)
{
	uint8_t key[OBJECT_ID_LEN + sizeof(d->hash)];
	double unit;

	memcpy(key, id->bytes, OBJECT_ID_LEN);
	memcpy(key + OBJECT_ID_LEN, &d->hash, sizeof(d->hash));
	unit = ((double)(digest_xxh3(key, sizeof(key)) >> 11) + 0.5) / 9007199254740992.0;
	return -(double)d->weight / log(unit);
}

/* All directories, the likeliest first. Return: how many. */
static unsigned rank(const struct store *store, const struct object_id *id,
		     struct ranked out[DIRECTORIES_MAX])
{
	for (unsigned i = 0; i < store->count; i++) {
		struct ranked here = { .directory = store->directories[i] };
		unsigned at = i;

		if (store->count > 1)
			here.score = score_of(here.directory, id);
		for (; at > 0 && out[at - 1].score < here.score; at--)
			out[at] = out[at - 1];
		out[at] = here;
	}
	return store->count;
}

bool store_has(struct store *store, const struct object_id *id, uint64_t block)
{
	struct ranked ranked[DIRECTORIES_MAX];
	unsigned count = rank(store, id, ranked);

	for (unsigned i = 0; i < count; i++) {
		if (directory_has(ranked[i].directory, id, block))
			return true;
	}
	return false;
}

void store_drop(struct store *store, const struct object_id *id, uint64_t block)
{
	for (unsigned i = 0; i < store->count; i++)
		if (directory_has(store->directories[i], id, block))
			commit_drop(store->directories[i], id, block);
}

static void missing_done(struct ring_op *op)
{
	struct store_read *read = CONTAINER_OF(op, struct store_read, p.op);

	read->status = -ENOENT;
	read->done(read);
}

void store_read_start(struct store *store, struct store_read *read)
{
	struct ranked ranked[DIRECTORIES_MAX];
	unsigned count = rank(store, &read->id, ranked);

	for (unsigned i = 0; i < count; i++) {
		if (directory_read(ranked[i].directory, read))
			return;
	}
	read->p.op = (struct ring_op){ .kind = RING_NONE, .done = missing_done };
	for (unsigned i = 0; i < count; i++) {
		struct ring *ring = atomic_load(&ranked[i].directory->ring);

		if (!ring)
			continue;
		ring_start_op(ring, &read->p.op);
		return;
	}
	missing_done(&read->p.op);
}

/* The directory where an object's blocks belong, the first open one in its ranking; or NULL. */
static struct directory *home_of(struct store *store, const struct object_id *id)
{
	struct ranked ranked[DIRECTORIES_MAX];
	unsigned count = rank(store, id, ranked);

	for (unsigned i = 0; i < count; i++) {
		if (!directory_enter(ranked[i].directory))
			continue;
		directory_leave(ranked[i].directory);
		return ranked[i].directory;
	}
	return NULL;
}

bool store_admit(struct store *store, const struct store_object *object, uint64_t block,
		 uint32_t len)
{
	struct directory *home = home_of(store, &object->id);

	return home && directory_admit(home, object, block, len);
}

bool store_would_admit(struct store *store, const struct store_object *object, uint32_t len)
{
	struct directory *home = home_of(store, &object->id);

	return !home || directory_would_admit(home, object, true, len);
}

bool store_would_admit_block(struct store *store, const struct store_object *object, uint64_t block,
			     uint32_t len)
{
	struct directory *home = home_of(store, &object->id);

	return !home ||
	       directory_would_admit(home, object, directory_owns(home, &object->id, block), len);
}

void store_write_start(struct store *store, struct store_write *write)
{
	for (unsigned i = 0; i < store->count; i++) {
		if (directory_write(store->directories[i], write))
			return;
	}
	CHECK(!"the block was admitted");
}

void store_touch(struct store *store, const struct object_id *id, const char *dataset)
{
	for (unsigned i = 0; i < store->count; i++)
		directory_touch(store->directories[i], id, dataset);
}

uint64_t store_resident(struct store *store, const struct object_id *id, uint64_t object_size)
{
	uint64_t bytes = 0;

	for (unsigned i = 0; i < store->count; i++)
		bytes += directory_resident(store->directories[i], id);
	return bytes < object_size ? bytes : object_size;
}

void store_obsolete(struct store *store, const struct object_id *id)
{
	for (unsigned i = 0; i < store->count; i++)
		directory_obsolete(store->directories[i], id);
}

/* --- handing files out --- */

#define TICKET_NONE UINT64_MAX /* of no verification */

void store_set_lost(struct store *store,
		    void (*lost)(void *context, const struct object_id *id, uint64_t block),
		    void *context)
{
	store->lost = (struct store_lost){ .lost = lost, .context = context };
	for (unsigned i = 0; i < store->count; i++)
		atomic_store(&store->directories[i]->lost, &store->lost);
}

void store_handout_allow(struct store *store, unsigned index, bool allowed)
{
	if (index < store->count)
		handouts_allow(&store->directories[index]->handouts, allowed);
}

int store_handout_probe(struct store *store, unsigned index)
{
	return index < store->count ? directory_probe(store->directories[index]) : -ENODEV;
}

bool store_handout_ready(struct store *store, const struct object_id *id, bool want)
{
	bool ready = false;

	for (unsigned i = 0; i < store->count && !ready; i++)
		ready = handouts_ready(&store->directories[i]->handouts, id, want);
	return ready;
}

int store_handout(struct store *store, const struct object_id *id, struct cache_handout *out)
{
	struct cache_handout handout = { .id = *id };
	int error = -EAGAIN;

	for (unsigned i = 0; i < store->count && error; i++) {
		handout.directory = i;
		handout.spoilt = handouts_spoilt(&store->directories[i]->handouts);
		error = directory_handout(store->directories[i], id, &handout.fd, &handout.ticket);
	}
	if (!error)
		*out = handout;
	return error;
}

void store_handout_adopt(struct store *store, unsigned index, const struct object_id *id,
			 struct cache_handout *out)
{
	*out = (struct cache_handout){
		.id = *id, .fd = -1, .directory = index, .ticket = TICKET_NONE
	};
	if (index >= store->count)
		return;
	out->spoilt = handouts_spoilt(&store->directories[index]->handouts);
	(void)directory_handout_adopt(store->directories[index], id, &out->ticket);
}

bool store_handout_current(struct store *store, const struct cache_handout *handout)
{
	return handout->directory < store->count &&
	       handouts_ticket(&store->directories[handout->directory]->handouts, &handout->id) ==
		       handout->ticket;
}

bool store_handout_sound(struct store *store, const struct cache_handout *handout)
{
	return handout->directory >= store->count ||
	       handouts_spoilt(&store->directories[handout->directory]->handouts) ==
		       handout->spoilt;
}

bool store_handback(struct store *store, const struct cache_handout *handout)
{
	return handout->directory < store->count &&
	       handouts_unuse(&store->directories[handout->directory]->handouts, &handout->id,
			      handout->ticket);
}

bool store_handout_again(struct store *store, struct cache_handout *handout)
{
	return handout->directory < store->count &&
	       handouts_use_again(&store->directories[handout->directory]->handouts, &handout->id,
				  handout->ticket, &handout->spoilt);
}

uint64_t store_handout_lost(struct store *store)
{
	uint64_t lost = 0;

	for (unsigned i = 0; i < store->count; i++)
		lost += handouts_lost(&store->directories[i]->handouts);
	return lost;
}

uint64_t store_handout_count(struct store *store, uint64_t *out_queued)
{
	uint64_t verified = 0;

	*out_queued = 0;
	for (unsigned i = 0; i < store->count; i++) {
		struct handouts *handouts = &store->directories[i]->handouts;

		pthread_mutex_lock(&handouts->lock);
		verified += handouts->verified;
		*out_queued += handouts->queued;
		pthread_mutex_unlock(&handouts->lock);
	}
	return verified;
}

uint64_t store_replica_bytes(struct store *store)
{
	uint64_t bytes = 0;

	for (unsigned i = 0; i < store->count; i++)
		bytes += directory_replica_bytes(store->directories[i]);
	return bytes;
}

int store_list(struct store *store, struct store_cursor *cursor, struct store_page *page)
{
	int more = 0;

	page->count = page->block_count = page->text_len = 0;
	while (cursor->directory < store->count && page->count == 0 && more >= 0) {
		struct directory *d = store->directories[cursor->directory];

		more = 0;
		if (directory_enter(d)) {
			more = directory_list(d, &cursor->id, &cursor->block, page);
			directory_leave(d);
		}
		if (more == 0 || more == -EIO) {
			memset(&cursor->id, 0, sizeof(cursor->id));
			cursor->block = 0;
			cursor->directory++;
		}
	}
	return more < 0 ? more : (int)page->count;
}

int store_flush(struct store *store, uint64_t deadline_ns)
{
	int error = 0;

	for (unsigned i = 0; i < store->count; i++) {
		if (directory_flush(store->directories[i], deadline_ns))
			error = -ETIMEDOUT;
	}
	return error;
}

const struct counters *store_counters(const struct store *store)
{
	return &store->counters;
}

unsigned store_directory_count(const struct store *store)
{
	return store->count;
}

void store_directory_status(struct store *store, unsigned index,
			    struct cache_directory_status *out_status)
{
	directory_status(store->directories[index], out_status);
}
