/*
 * Tests of kept.c: a cache over the arena of one that died. "Dying" is a copy of the arena at that
 * moment: what the memory of a killed process says is what it said between two instructions.
 */
#include "tests/unit/cache/rig.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/check.h"
#include "cache/stage.h"
#include "cache/window/room.h"
#include "tests/unit/cache/rig_store.h"

#define DEATH_BLOCKS 6

static int set_up(void **state)
{
	struct rig *rig = malloc(sizeof(*rig));

	rig_init(rig);
	*state = rig;
	return 0;
}

static int tear_down(void **state)
{
	rig_fini(*state);
	free(*state);
	return 0;
}

/* The cache dies, and the next one has its arena. Objects have been put. */
static void die(struct rig *rig)
{
	int fd = rig_arena_copy(rig);

	rig_fini(rig);
	rig_init_over(rig, fd);
}

static void wait_all_verified(struct rig *rig)
{
	rig_wait_counter(rig, CACHE_KEPT_WAITING, 0);
	pthread_mutex_lock(&rig->cache->lock); /* under which it is pinned a little later */
	pthread_mutex_unlock(&rig->cache->lock);
	rig_wait_counter(rig, CACHE_MEMORY_PINNED, 0); /* the last one is done with */
}

/* Flips a bit of the arena at the place of a block, as it lies in the cache that is to die. */
static void flip(struct rig *rig, const struct cache_object *object, uint64_t block, uint64_t at)
{
	struct window_key key = window_block_key(&object->store.id, block);
	struct window_entry *entry;

	pthread_mutex_lock(&rig->cache->lock);
	entry = window_find(&rig->cache->window, &key);
	assert_non_null(entry);
	window_data(&rig->cache->window, entry)[at] ^= 16;
	pthread_mutex_unlock(&rig->cache->lock);
}

/* Reads so much of "a" and lets the SSD have it. */
static void read_before_death(struct rig *rig, uint64_t size)
{
	struct cache_object *object = rig_open(rig, "a", size);

	fake_backing_automatic(&rig->backing);
	for (uint64_t off = 0; off < size; off += RIG_BLOCK)
		rig_read(rig, object, off, 1, false);
	assert_int_equal(cache_flush(rig->cache, RIG_WAIT_NS), 0);
	cache_object_put(object);
}

static void test_kept__what_was_read__is_there_without_a_fetch(void **state)
{
	uint64_t size = DEATH_BLOCKS * RIG_BLOCK - 12345;
	struct cache_object *object;
	struct rig *rig = *state;

	read_before_death(rig, size);
	die(rig);
	assert_int_equal(rig_counter(rig, CACHE_KEPT_BLOCKS), DEATH_BLOCKS);
	assert_int_equal(rig_counter(rig, CACHE_KEPT_BYTES), size);
	object = rig_open(rig, "a", size);
	for (uint64_t off = 0; off + MIB <= size; off += MIB)
		rig_read(rig, object, off, MIB, false);
	assert_int_equal(fake_backing_started(&rig->backing), 0);
	assert_int_equal(fake_store.reads, 0);
	wait_all_verified(rig);
	assert_int_equal(rig_counter(rig, CACHE_KEPT_REFUSED), 0);
	assert_true(rig_counter(rig, CACHE_BYTES_MEMORY) >= 23 * MIB);
	cache_object_put(object);
}

static void test_kept__verified_in_the_background__is_a_hit(void **state)
{
	struct cache_object *object;
	struct rig *rig = *state;
	struct reader reader;

	read_before_death(rig, 2 * RIG_BLOCK);
	die(rig);
	wait_all_verified(rig);
	assert_int_equal(rig_counter(rig, CACHE_KEPT_VERIFIED), 2);
	object = rig_open(rig, "a", 2 * RIG_BLOCK);
	assert_int_equal(reader_start(&reader, rig, object, RIG_BLOCK - 10, 20, false), 1);
	reader_check(&reader);
	cache_object_put(object);
}

/* By whom it is found depends on who is faster; nothing else does. */
static void test_kept__bit_has_flipped__is_fetched_again(void **state)
{
	struct cache_object *object;
	struct rig *rig = *state;

	for (unsigned waits = 0; waits < 2; waits++) {
		read_before_death(rig, 2 * RIG_BLOCK);
		object = rig_open(rig, "a", 2 * RIG_BLOCK);
		flip(rig, object, 1, 3 * MIB + 5);
		cache_object_put(object);
		die(rig);
		fake_backing_automatic(&rig->backing);
		if (waits)
			wait_all_verified(rig);
		object = rig_open(rig, "a", 2 * RIG_BLOCK);
		for (uint64_t off = 0; off < 2 * RIG_BLOCK; off += MIB)
			rig_read(rig, object, off, MIB, false);
		assert_int_equal(fake_backing_started(&rig->backing), 1);
		wait_all_verified(rig);
		assert_int_equal(rig_counter(rig, CACHE_KEPT_REFUSED), 1);
		cache_object_put(object);
		rig_fini(rig);
		rig_init(rig);
	}
}

static void flip_record(struct rig *rig, uint64_t slot)
{
	pthread_mutex_lock(&rig->cache->lock);
	rig->cache->window.records.memory[4096 + slot * 64 + 17] ^= 1;
	pthread_mutex_unlock(&rig->cache->lock);
}

static void test_kept__record_has_flipped__the_others_are_there(void **state)
{
	struct cache_object *object;
	struct rig *rig = *state;

	read_before_death(rig, 3 * RIG_BLOCK);
	flip_record(rig, RECORDS_GROUP - 1); /* entries are taken from the end of the pool */
	die(rig);
	fake_backing_automatic(&rig->backing);
	assert_int_equal(rig_counter(rig, CACHE_KEPT_BLOCKS), 2);
	assert_int_equal(rig_counter(rig, CACHE_KEPT_REFUSED), 1);
	object = rig_open(rig, "a", 3 * RIG_BLOCK);
	for (uint64_t off = 0; off < 3 * RIG_BLOCK; off += MIB)
		rig_read(rig, object, off, MIB, false);
	assert_int_equal(fake_backing_started(&rig->backing), 1);
	cache_object_put(object);
}

/* Some are being written when it dies, others wait for that. */
static void read_unwritten(struct rig *rig)
{
	struct cache_object *object = rig_open(rig, "a", DEATH_BLOCKS * RIG_BLOCK - 100);

	fake_store.hold_writes = true;
	fake_backing_automatic(&rig->backing);
	for (uint64_t off = 0; off < DEATH_BLOCKS * RIG_BLOCK - 100; off += RIG_BLOCK)
		rig_read(rig, object, off, 1, false);
	fake_store_wait_writes_started(RIG_BLOCKS / 4);
	cache_object_put(object);
}

static void check_all_written(const struct cache_object *object, struct rig *rig)
{
	assert_int_equal(cache_flush(rig->cache, RIG_WAIT_NS), 0);
	for (unsigned i = 0; i < DEATH_BLOCKS; i++)
		assert_true(fake_store_holds(object, i));
	assert_int_equal(fake_backing_started(&rig->backing), 0);
	assert_true(fake_store.last_padding_clear);
}

struct owed {
	struct rig *rig;
	const struct cache_object *object;
};

static bool is_all_written(void *context)
{
	const struct owed *owed = context;

	for (unsigned i = 0; i < DEATH_BLOCKS; i++)
		if (!fake_store_holds(owed->object, i))
			return false;
	return true;
}

static void test_kept__had_not_reached_the_ssd__does_when_its_object_is_opened(void **state)
{
	struct rig *rig = *state;

	for (unsigned waits = 0; waits < 2; waits++) {
		struct owed owed = { .rig = rig };
		struct cache_object *object;

		read_unwritten(rig);
		die(rig);
		if (waits)
			rig_wait_counter(rig, CACHE_KEPT_WAITING, 0);
		object = rig_open(rig, "a", DEATH_BLOCKS * RIG_BLOCK - 100);
		owed.object = object;
		rig_wait(is_all_written, &owed);
		check_all_written(object, rig);
		cache_object_put(object);
		rig_fini(rig);
		rig_init(rig);
	}
}

static void test_kept__object_stays_closed__the_next_process_knows_it_too(void **state)
{
	struct owed owed = { .rig = *state };
	struct cache_object *object;
	struct rig *rig = *state;

	read_unwritten(rig);
	die(rig);
	rig_wait_counter(rig, CACHE_KEPT_WAITING, 0);
	assert_int_equal(fake_store.writes_started, 0);
	die(rig);
	object = rig_open(rig, "a", DEATH_BLOCKS * RIG_BLOCK - 100);
	owed.object = object;
	rig_wait(is_all_written, &owed);
	check_all_written(object, rig);
	cache_object_put(object);
}

/* Written does not mean committed: the SSD of the next cache is empty. */
static void test_kept__was_written_but_not_committed__is_written_again(void **state)
{
	struct owed owed = { .rig = *state };
	struct cache_object *object;
	struct rig *rig = *state;

	read_before_death(rig, DEATH_BLOCKS * RIG_BLOCK);
	die(rig);
	object = rig_open(rig, "a", DEATH_BLOCKS * RIG_BLOCK);
	owed.object = object;
	rig_wait(is_all_written, &owed);
	check_all_written(object, rig);
	cache_object_put(object);
}

static bool is_settled(void *context)
{
	const struct rig *rig = context;
	bool settled;

	pthread_mutex_lock(&rig->cache->lock);
	settled = rig->cache->window.orphan_count == 0 && rig->cache->write_count == 0 &&
		  TAILQ_EMPTY(&rig->cache->window.lists[WINDOW_LIST_DIRTY]);
	pthread_mutex_unlock(&rig->cache->lock);
	return settled;
}

static void test_kept__ssd_has_it__is_not_written_again(void **state)
{
	struct object_version version = { "fake", "bucket", "a", "etag", 2 * RIG_BLOCK };
	struct cache_object stored = { .store.version = version }, *object;
	struct rig *rig = *state;

	read_before_death(rig, 2 * RIG_BLOCK);
	die(rig);
	object_id_of(&version, &stored.store.id);
	fake_store_put(&stored, 0);
	fake_store_put(&stored, 1);
	object = rig_open(rig, "a", 2 * RIG_BLOCK);
	rig_wait(is_settled, rig);
	assert_int_equal(fake_store.admits, 0);
	rig_read(rig, object, 0, 10, false);
	assert_int_equal(fake_store.reads, 0);
	cache_object_put(object);
}

static void test_kept__fill_was_under_way__is_not_there(void **state)
{
	struct cache_object *object;
	struct rig *rig = *state;
	struct reader reader;
	uint64_t off;
	int fd;

	object = rig_open(rig, "a", RIG_BLOCK);
	reader_start(&reader, rig, object, 0, MIB, false);
	fake_backing_progress(fake_backing_await(&rig->backing, 0), 2 * MIB);
	reader_check(&reader); /* it has its bytes, the block has not */
	off = (uint64_t)((unsigned char *)reader.read.iov[0].iov_base -
			 (unsigned char *)arena_at(&rig->cache->window.arena, 0));
	fd = rig_arena_copy(rig);
	fake_backing_finish(&rig->backing, fake_backing_await(&rig->backing, 0), 0);
	cache_object_put(object);
	rig_fini(rig);
	rig_init_over(rig, fd);
	assert_int_equal(rig_counter(rig, CACHE_KEPT_BLOCKS), 0);
	assert_int_equal(rig_counter(rig, CACHE_MEMORY_USED), 0);
	/* its pages are new ones: whatever still has the old ones writes into those */
	assert_int_equal(*(unsigned char *)arena_at(&rig->cache->window.arena, off + 1), 0);
	fake_backing_automatic(&rig->backing);
	object = rig_open(rig, "a", RIG_BLOCK);
	rig_read(rig, object, 0, MIB, false);
	assert_int_equal(fake_backing_started(&rig->backing), 1);
	cache_object_put(object);
}

/* A process that is not gone had the arena before the one that dies. */
static pid_t former_start(struct rig *rig)
{
	char program[] = "sleep", seconds[] = "600";
	char *const words[] = { program, seconds, NULL };
	struct owner former = { 0 };
	pid_t pid;

	assert_int_equal(posix_spawnp(&pid, words[0], NULL, NULL, words, environ), 0);
	former.pid = (uint64_t)pid;
	pthread_mutex_lock(&rig->cache->lock);
	records_take(&rig->cache->window.records, &former);
	pthread_mutex_unlock(&rig->cache->lock);
	return pid;
}

/* The hold ends a while after that process was seen to be gone. */
static bool is_let_go(void *context)
{
	struct rig *rig = context;

	clock_manual_advance(&rig->clock, NS_PER_S);
	return rig_counter(rig, CACHE_MEMORY_PINNED) == 0;
}

static void test_kept__ssd_may_be_reading_it__keeps_its_frame_for_a_while(void **state)
{
	struct cache_object *object, *other;
	struct rig *rig = *state;
	struct reader reader;
	pid_t former;

	read_unwritten(rig);
	former = former_start(rig);
	die(rig);
	rig->config.read_timeout = CLOCK_NEVER;
	cache_reload(rig->cache, &rig->config);
	fake_backing_automatic(&rig->backing);
	rig_wait_counter(rig, CACHE_KEPT_WAITING, 0);
	pthread_mutex_lock(&rig->cache->lock); /* under which it is pinned a little later */
	pthread_mutex_unlock(&rig->cache->lock);
	rig_wait_counter(rig, CACHE_MEMORY_PINNED, RIG_MEMORY / 4);
	other = rig_open(rig, "b", 4 * RIG_MEMORY);
	fake_store.refuse = true;
	for (uint64_t off = 0; off < 4 * RIG_MEMORY; off += RIG_BLOCK)
		rig_read(rig, other, off, 1, false);
	object = rig_open(rig, "a", DEATH_BLOCKS * RIG_BLOCK - 100);
	assert_int_equal(reader_start(&reader, rig, object, 0, 10, false), 1);
	reader_check(&reader);
	kill(former, SIGKILL);
	assert_int_equal(waitpid(former, NULL, 0), former);
	rig_wait(is_let_go, rig);
	for (uint64_t off = 0; off < 4 * RIG_MEMORY; off += RIG_BLOCK)
		rig_read(rig, other, off, 1, false);
	assert_int_equal(reader_start(&reader, rig, object, 0, 10, false), 0);
	reader_check(&reader);
	cache_object_put(object);
	cache_object_put(other);
}

/* A block in memory becomes one that was kept, with a wrong bit, and that somebody is looking at.
 */
static struct window_entry *make_kept(struct rig *rig, const struct cache_object *object)
{
	struct window_key key = window_block_key(&object->store.id, 0);
	struct window *window = &rig->cache->window;
	struct window_entry *entry;

	pthread_mutex_lock(&rig->cache->lock);
	window->inherited = true;
	entry = window_find(window, &key);
	entry->state = WINDOW_KEPT;
	entry->unverified = entry->verifying = true;
	window_data(window, entry)[100] ^= 1;
	assert_true(window_ref(window, entry, WINDOW_FORWARD));
	pthread_mutex_unlock(&rig->cache->lock);
	return entry;
}

static void test_kept__wrong_while_another_looks_at_it__is_left_alone_until_then(void **state)
{
	struct window_entry *entry;
	struct cache_object *object;
	struct rig *rig = *state;
	struct reader reader;
	bool unverified;

	object = rig_open(rig, "a", RIG_BLOCK);
	fake_backing_automatic(&rig->backing);
	rig_read(rig, object, 0, 1, false);
	assert_int_equal(cache_flush(rig->cache, RIG_WAIT_NS), 0);
	fake_store.read_status = -EIO;
	entry = make_kept(rig, object);
	assert_int_equal(reader_start(&reader, rig, object, 0, MIB, false), 0);
	pthread_mutex_lock(&rig->cache->lock);
	unverified = entry->unverified && entry->state == WINDOW_FILLING;
	entry->verifying = false;
	window_unref(&rig->cache->window, entry, WINDOW_FORWARD);
	pthread_mutex_unlock(&rig->cache->lock);
	assert_true(unverified);
	assert_int_equal(fake_backing_started(&rig->backing), 1);
	clock_manual_advance(&rig->clock, NS_PER_S);
	reader_check(&reader);
	assert_int_equal(fake_backing_started(&rig->backing), 2);
	assert_int_equal(rig_counter(rig, CACHE_KEPT_REFUSED), 1);
	cache_object_put(object);
}

static void test_kept__memory_is_wanted__gives_way(void **state)
{
	struct cache_object *other;
	struct rig *rig = *state;

	read_before_death(rig, RIG_MEMORY);
	die(rig);
	fake_backing_automatic(&rig->backing);
	other = rig_open(rig, "b", RIG_MEMORY);
	for (uint64_t off = 0; off < RIG_MEMORY; off += MIB)
		rig_read(rig, other, off, MIB, false);
	assert_int_equal(rig_counter(rig, CACHE_KEPT_BLOCKS), RIG_BLOCKS);
	rig_wait_counter(rig, CACHE_KEPT_WAITING, 0);
	cache_object_put(other);
}

static void test_prefetch__what_was_kept__fetches_nothing(void **state)
{
	struct cache_object *object;
	struct rig *rig = *state;

	read_before_death(rig, 2 * RIG_BLOCK);
	die(rig);
	object = rig_open(rig, "a", 2 * RIG_BLOCK);
	assert_int_equal(cache_prefetch(rig->cache, object, 0, 2 * RIG_BLOCK), 2 * RIG_BLOCK);
	assert_int_equal(fake_backing_started(&rig->backing), 0);
	rig_read(rig, object, RIG_BLOCK, 10, false);
	assert_int_equal(fake_backing_started(&rig->backing), 0);
	cache_object_put(object);
}

static void test_kept__granules__are_there_for_small_reads(void **state)
{
	struct cache_object *object;
	struct rig *rig = *state;

	object = rig_open(rig, "a", RIG_BLOCK);
	fake_store_put(object, 0);
	rig_read(rig, object, MIB, 4096, true);
	assert_int_equal(fake_store.granules_read, 1);
	cache_object_put(object);
	die(rig);
	assert_int_equal(rig_counter(rig, CACHE_KEPT_BLOCKS), 1);
	object = rig_open(rig, "a", RIG_BLOCK);
	rig_read(rig, object, MIB, 4096, true);
	assert_int_equal(fake_store.granules_read, 0);
	assert_int_equal(fake_backing_started(&rig->backing), 0);
	cache_object_put(object);
}

static _Atomic int staged;

static void stage_done(struct cache_stage *stage)
{
	(void)stage;
	staged++;
}

/* For a peer that serves another one only what is on this node counts: this is. */
static void test_stage__local_and_kept__is_served(void **state)
{
	struct rig *rig = *state;
	struct cache_stage stage = {
		.version = { "fake", "bucket", "a", "etag", 2 * RIG_BLOCK },
		.dataset = "/data",
		.index = 2,
		.local = true,
		.deadline_ns = CLOCK_NEVER,
		.done = stage_done,
	};

	read_before_death(rig, 2 * RIG_BLOCK);
	die(rig);
	cache_set_backings(rig->cache, rig->backings, 1);
	staged = 0;
	cache_stage_start(rig->cache, &stage);
	assert_int_equal(staged, 1);
	assert_int_equal(stage.status, 0);
	assert_int_equal(stage.len, RIG_BLOCK);
	cache_stage_finish(&stage);
}

static void test_create_over__does_not_suit__begins_anew(void **state)
{
	static const struct {
		uint64_t memory, block_len;
		bool huge_pages;
	} rows[] = {
		{ 2 * RIG_MEMORY, RIG_BLOCK, false },
		{ RIG_MEMORY, MIB, false },
		{ RIG_MEMORY, RIG_BLOCK, true },
	};
	struct rig *rig = *state;
	char problem[256];

	read_before_death(rig, RIG_BLOCK);
	for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
		struct cache_config config = rig->config;
		struct cache *cache;
		int fd = rig_arena_copy(rig);

		config.memory = rows[i].memory;
		config.block_len = rows[i].block_len;
		config.huge_pages = rows[i].huge_pages;
		rig_fini(rig);
		fake_store_reset();
		assert_int_equal(cache_create_over(&config, clock_system(), fd, &cache, problem,
						   sizeof(problem)),
				 0);
		assert_int_equal(fcntl(fd, F_GETFD), -1); /* thrown away */
		assert_int_equal(counter_get(cache_counters(cache), CACHE_KEPT_BLOCKS), 0);
		assert_int_equal(cache_memory_len(cache), rows[i].memory);
		cache_stop(cache);
		cache_destroy(cache);
		rig_init(rig);
		read_before_death(rig, RIG_BLOCK);
	}
}

static void test_create_over__fails__leaves_the_descriptor(void **state)
{
	struct rig *rig = *state;
	struct cache *cache = NULL;
	char problem[256];
	int fd;

	read_unwritten(rig);
	fd = rig_arena_copy(rig);
	rig_fini(rig);
	assert_int_equal(option_defaults(&cache_options, &rig->config), 0);
	rig->config.memory = RIG_MEMORY;
	fake_store_reset();
	fake_store.create_error = -EAGAIN;
	assert_int_equal(cache_create_over(&rig->config, clock_system(), fd, &cache, problem,
					   sizeof(problem)),
			 -EAGAIN);
	assert_null(cache);
	option_free(&cache_options, &rig->config);
	rig_init_over(rig, fd);
	assert_int_equal(rig_counter(rig, CACHE_KEPT_BLOCKS), DEATH_BLOCKS);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_kept__what_was_read__is_there_without_a_fetch),
		TEST(test_kept__verified_in_the_background__is_a_hit),
		TEST(test_kept__bit_has_flipped__is_fetched_again),
		TEST(test_kept__record_has_flipped__the_others_are_there),
		TEST(test_kept__had_not_reached_the_ssd__does_when_its_object_is_opened),
		TEST(test_kept__object_stays_closed__the_next_process_knows_it_too),
		TEST(test_kept__was_written_but_not_committed__is_written_again),
		TEST(test_kept__ssd_has_it__is_not_written_again),
		TEST(test_kept__fill_was_under_way__is_not_there),
		TEST(test_kept__ssd_may_be_reading_it__keeps_its_frame_for_a_while),
		TEST(test_kept__wrong_while_another_looks_at_it__is_left_alone_until_then),
		TEST(test_kept__memory_is_wanted__gives_way),
		TEST(test_prefetch__what_was_kept__fetches_nothing),
		TEST(test_kept__granules__are_there_for_small_reads),
		TEST(test_stage__local_and_kept__is_served),
		TEST(test_create_over__does_not_suit__begins_anew),
		TEST(test_create_over__fails__leaves_the_descriptor),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
