/*
 * rig_store.c - store.h answered from memory, on one thread. It keeps no bytes: what a block holds
 * follows from its object's key and the offset, and a write is checked against that.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/digest.h"
#include "base/thread.h"
#include "tests/unit/cache/rig.h"
#include "tests/unit/cache/rig_store.h"

#define RIG_LISTED_MAX 64 /* blocks */

struct kept {
	struct object_id id;
	uint64_t block;
	char key[64];
	LIST_ENTRY(kept) link;
};

/* A call that waits for its answer; one of the two is set. */
struct job {
	struct store_read *read;
	struct store_write *write;
	STAILQ_ENTRY(job) link;
};

STAILQ_HEAD(jobs, job);
LIST_HEAD(kept_blocks, kept);

struct store {
	pthread_t thread;
	bool stopping;
	struct jobs reads, writes;
	struct kept_blocks kept;
	struct counters counters;
};

static const struct counter_spec specs[STORE_COUNTER_COUNT];
static struct store *the_store;
struct fake_store fake_store = { .lock = PTHREAD_MUTEX_INITIALIZER };

void fake_store_reset(void)
{
	memset(&fake_store, 0, sizeof(fake_store));
	pthread_mutex_init(&fake_store.lock, NULL);
	thread_cond_init(&fake_store.changed);
}

static struct kept *find(const struct object_id *id, uint64_t block)
{
	struct kept *kept;

	LIST_FOREACH (kept, &the_store->kept, link)
		if (kept->block == block && object_id_equal(&kept->id, id))
			return kept;
	return NULL;
}

static void keep(const struct store_object *object, uint64_t block)
{
	struct kept *kept = find(&object->id, block);

	if (kept)
		return;
	kept = calloc(1, sizeof(*kept));
	CHECK(kept && strlen(object->version.key) < sizeof(kept->key));
	kept->id = object->id;
	kept->block = block;
	snprintf(kept->key, sizeof(kept->key), "%s", object->version.key);
	LIST_INSERT_HEAD(&the_store->kept, kept, link);
}

void fake_store_put(const struct cache_object *object, uint64_t block)
{
	pthread_mutex_lock(&fake_store.lock);
	keep(&object->store, block);
	pthread_mutex_unlock(&fake_store.lock);
}

bool fake_store_holds(const struct cache_object *object, uint64_t block)
{
	bool holds;

	pthread_mutex_lock(&fake_store.lock);
	holds = find(&object->store.id, block) != NULL;
	pthread_mutex_unlock(&fake_store.lock);
	return holds;
}

void fake_store_let_go(void)
{
	pthread_mutex_lock(&fake_store.lock);
	fake_store.hold_reads = fake_store.hold_writes = fake_store.hold_admit = false;
	pthread_cond_broadcast(&fake_store.changed);
	pthread_mutex_unlock(&fake_store.lock);
}

static void wait_count(const _Atomic unsigned *count, unsigned value)
{
	uint64_t deadline_ns = clock_now_ns(clock_system()) + RIG_WAIT_NS;
	int error = 0;

	pthread_mutex_lock(&fake_store.lock);
	while (*count < value && !error)
		error = thread_cond_wait_until(&fake_store.changed, &fake_store.lock, deadline_ns);
	pthread_mutex_unlock(&fake_store.lock);
	assert_int_equal(error, 0);
}

void fake_store_wait_writes_started(unsigned count)
{
	wait_count(&fake_store.writes_started, count);
}

void fake_store_wait_reads_started(unsigned count)
{
	wait_count(&fake_store.reads, count);
}

/* Fills in the answer; the lock is held. */
static void answer_read(struct store_read *read)
{
	struct kept *kept = find(&read->id, read->block);
	uint64_t off = read->block * RIG_BLOCK + (uint64_t)read->first_granule * GRANULE_LEN;
	uint64_t end = off + (uint64_t)read->granule_count * GRANULE_LEN;
	uint64_t len = (end < read->object_size ? end : read->object_size) - off;

	read->status = !kept ? -ENOENT : fake_store.read_status;
	if (read->status == -EBADMSG) {
		LIST_REMOVE(kept, link);
		free(kept);
	}
	if (read->status)
		return;
	rig_pattern(kept->key, off, read->dst, len);
	for (uint64_t at = 0, i = 0; at < len; at += GRANULE_LEN, i++)
		read->checks[i] = digest_crc64((char *)read->dst + at,
					       len - at < GRANULE_LEN ? len - at : GRANULE_LEN);
}

void fake_store_wait_admits(unsigned count)
{
	wait_count(&fake_store.admits, count);
}

static bool is_clear(const uint8_t *from, const uint8_t *end)
{
	while (from < end)
		if (*from++)
			return false;
	return true;
}

static void answer_write(struct store_write *write)
{
	const uint8_t *data = write->data;
	size_t padded = ((size_t)write->len + 4095) & ~(size_t)4095;

	for (uint32_t off = 0, i = 0; off < write->len; off += GRANULE_LEN, i++) {
		uint32_t len = write->len - off < GRANULE_LEN ? write->len - off : GRANULE_LEN;

		CHECK(write->checks[i] == digest_crc64(data + off, len));
	}
	fake_store.last_write_len = write->len;
	fake_store.last_padding_clear = is_clear(data + write->len, data + padded);
	write->status = the_store->stopping ? -ECANCELED : fake_store.write_status;
	if (write->status == 0)
		keep(write->object, write->block);
	fake_store.writes_done++;
	fake_store.bytes_held -= write->len;
	pthread_cond_broadcast(&fake_store.changed);
}

static struct job *take(struct jobs *jobs, bool held)
{
	struct job *job = held ? NULL : STAILQ_FIRST(jobs);

	if (job)
		STAILQ_REMOVE_HEAD(jobs, link);
	return job;
}

static void add(struct jobs *jobs, struct store_read *read, struct store_write *write)
{
	struct job *job = calloc(1, sizeof(*job));

	CHECK(job);
	job->read = read;
	job->write = write;
	STAILQ_INSERT_TAIL(jobs, job, link);
	pthread_cond_broadcast(&fake_store.changed);
}

static void *run(void *argument)
{
	struct store *store = argument;

	pthread_mutex_lock(&fake_store.lock);
	for (;;) {
		struct job *job = take(&store->reads, fake_store.hold_reads);

		if (!job)
			job = take(&store->writes, fake_store.hold_writes);
		if (!job) {
			if (store->stopping)
				break;
			thread_cond_wait_until(&fake_store.changed, &fake_store.lock, CLOCK_NEVER);
			continue;
		}
		if (job->read)
			answer_read(job->read);
		else
			answer_write(job->write);
		pthread_mutex_unlock(&fake_store.lock);
		if (job->read)
			job->read->done(job->read);
		else
			job->write->done(job->write);
		free(job);
		pthread_mutex_lock(&fake_store.lock);
	}
	pthread_mutex_unlock(&fake_store.lock);
	return NULL;
}

int store_create(const struct cache_config *config, const struct clock *clock,
		 struct store **out_store)
{
	struct store *store = calloc(1, sizeof(*store));

	(void)config;
	(void)clock;
	if (!store || fake_store.create_error) {
		free(store);
		return fake_store.create_error ? fake_store.create_error : -ENOMEM;
	}
	STAILQ_INIT(&store->reads);
	STAILQ_INIT(&store->writes);
	LIST_INIT(&store->kept);
	if (counters_init(&store->counters, "store", specs, STORE_COUNTER_COUNT) != 0) {
		free(store);
		return -ENOMEM;
	}
	the_store = store;
	if (thread_start(&store->thread, "fake-store", run, store) != 0) {
		counters_fini(&store->counters);
		free(store);
		return -EAGAIN;
	}
	*out_store = store;
	return 0;
}

void store_stop(struct store *store)
{
	pthread_mutex_lock(&fake_store.lock);
	store->stopping = true;
	fake_store.hold_reads = fake_store.hold_writes = false;
	pthread_cond_broadcast(&fake_store.changed);
	pthread_mutex_unlock(&fake_store.lock);
	pthread_join(store->thread, NULL);
}

void store_destroy(struct store *store)
{
	struct kept *kept;

	while ((kept = LIST_FIRST(&store->kept))) {
		LIST_REMOVE(kept, link);
		free(kept);
	}
	counters_fini(&store->counters);
	free(store);
	the_store = NULL;
}

void store_reload(struct store *store, const struct cache_config *config)
{
	(void)store;
	(void)config;
}

bool store_has(struct store *store, const struct object_id *id, uint64_t block)
{
	bool has;

	(void)store;
	pthread_mutex_lock(&fake_store.lock);
	fake_store.looks++;
	has = find(id, block) != NULL;
	pthread_mutex_unlock(&fake_store.lock);
	return has;
}

void store_read_start(struct store *store, struct store_read *read)
{
	pthread_mutex_lock(&fake_store.lock);
	CHECK(!store->stopping);
	fake_store.reads++;
	fake_store.granules_read += read->granule_count;
	add(&store->reads, read, NULL);
	pthread_mutex_unlock(&fake_store.lock);
}

bool store_admit(struct store *store, const struct store_object *object, uint64_t block,
		 uint32_t len)
{
	bool admit;

	(void)store;
	(void)object;
	(void)block;
	(void)len;
	pthread_mutex_lock(&fake_store.lock);
	fake_store.admits++;
	pthread_cond_broadcast(&fake_store.changed);
	while (fake_store.hold_admit)
		thread_cond_wait_until(&fake_store.changed, &fake_store.lock, CLOCK_NEVER);
	admit = !fake_store.refuse;
	CHECK(!store->stopping); /* nothing is asked of a store that was stopped */
	pthread_mutex_unlock(&fake_store.lock);
	return admit;
}

bool store_would_admit(struct store *store, const struct store_object *object, uint32_t len)
{
	bool admit;

	(void)object;
	(void)len;
	pthread_mutex_lock(&fake_store.lock);
	admit = !fake_store.refuse;
	CHECK(!store->stopping);
	pthread_mutex_unlock(&fake_store.lock);
	return admit;
}

bool store_would_admit_block(struct store *store, const struct store_object *object, uint64_t block,
			     uint32_t len)
{
	(void)block;
	return store_would_admit(store, object, len);
}

/* It has room for all: roles make no difference to it. */
void store_set_owner(struct store *store,
		     bool (*owns)(void *context, const struct object_id *id, uint64_t block),
		     void *context)
{
	(void)store;
	(void)owns;
	(void)context;
}

void store_owner_changed(struct store *store)
{
	(void)store;
}

uint64_t store_replica_bytes(struct store *store)
{
	(void)store;
	return 0;
}

/* Lists the one object that the cursor stands at. */
int store_list(struct store *store, struct store_cursor *cursor, struct store_page *page)
{
	const struct kept *kept;

	(void)store;
	page->count = page->block_count = page->text_len = 0;
	pthread_mutex_lock(&fake_store.lock);
	for (uint64_t i = cursor->block; i < RIG_LISTED_MAX; i++) {
		kept = find(&cursor->id, i);
		if (kept)
			page->blocks[page->block_count++] = kept->block;
	}
	pthread_mutex_unlock(&fake_store.lock);
	cursor->block = RIG_LISTED_MAX;
	if (page->block_count == 0)
		return 0;
	page->count = 1;
	page->objects[0] = (struct store_listed){ .object.id = cursor->id,
						  .blocks = page->blocks,
						  .block_count = page->block_count };
	return 1;
}

void store_write_start(struct store *store, struct store_write *write)
{
	pthread_mutex_lock(&fake_store.lock);
	CHECK(!store->stopping);
	fake_store.writes_started++;
	fake_store.bytes_held += write->len;
	add(&store->writes, NULL, write);
	pthread_mutex_unlock(&fake_store.lock);
}

void store_touch(struct store *store, const struct object_id *id, const char *dataset)
{
	(void)store;
	(void)id;
	(void)dataset;
	pthread_mutex_lock(&fake_store.lock);
	fake_store.touches++;
	pthread_mutex_unlock(&fake_store.lock);
}

uint64_t store_resident(struct store *store, const struct object_id *id, uint64_t object_size)
{
	uint64_t bytes = 0;
	struct kept *kept;

	pthread_mutex_lock(&fake_store.lock);
	LIST_FOREACH (kept, &store->kept, link)
		if (object_id_equal(&kept->id, id))
			bytes += object_block_len(object_size, kept->block, RIG_BLOCK);
	pthread_mutex_unlock(&fake_store.lock);
	return bytes;
}

void store_obsolete(struct store *store, const struct object_id *id)
{
	(void)store;
	(void)id;
}

void store_drop(struct store *store, const struct object_id *id, uint64_t block)
{
	struct kept *kept;

	(void)store;
	pthread_mutex_lock(&fake_store.lock);
	kept = find(id, block);
	if (kept) {
		LIST_REMOVE(kept, link);
		free(kept);
	}
	pthread_mutex_unlock(&fake_store.lock);
}

int store_flush(struct store *store, uint64_t deadline_ns)
{
	(void)store;
	(void)deadline_ns;
	return 0;
}

const struct counters *store_counters(const struct store *store)
{
	return &store->counters;
}

unsigned store_directory_count(const struct store *store)
{
	(void)store;
	return fake_store.directory_count;
}

void store_directory_status(struct store *store, unsigned index,
			    struct cache_directory_status *out_status)
{
	(void)store;
	(void)index;
	memset(out_status, 0, sizeof(*out_status));
}

/* --- it hands nothing out --- */

void store_set_lost(struct store *store,
		    void (*lost)(void *context, const struct object_id *id, uint64_t block),
		    void *context)
{
	(void)store;
	(void)lost;
	(void)context;
}

void store_handout_allow(struct store *store, unsigned index, bool allowed)
{
	(void)store;
	(void)index;
	(void)allowed;
}

int store_handout_probe(struct store *store, unsigned index)
{
	(void)store;
	(void)index;
	return -ENODEV;
}

bool store_handout_ready(struct store *store, const struct object_id *id, bool want)
{
	(void)store;
	(void)id;
	(void)want;
	return false;
}

int store_handout(struct store *store, const struct object_id *id, struct cache_handout *out)
{
	(void)store;
	(void)id;
	(void)out;
	return -EAGAIN;
}

void store_handout_adopt(struct store *store, unsigned index, const struct object_id *id,
			 struct cache_handout *out)
{
	(void)store;
	*out = (struct cache_handout){ .id = *id, .fd = -1, .directory = index };
}

bool store_handout_current(struct store *store, const struct cache_handout *handout)
{
	(void)store;
	(void)handout;
	return false;
}

bool store_handout_sound(struct store *store, const struct cache_handout *handout)
{
	(void)store;
	(void)handout;
	return false;
}

bool store_handback(struct store *store, const struct cache_handout *handout)
{
	(void)store;
	(void)handout;
	return false;
}

bool store_handout_again(struct store *store, struct cache_handout *handout)
{
	(void)store;
	(void)handout;
	return false;
}

uint64_t store_handout_lost(struct store *store)
{
	(void)store;
	return 0;
}

uint64_t store_handout_count(struct store *store, uint64_t *out_queued)
{
	(void)store;
	*out_queued = 0;
	return 0;
}
