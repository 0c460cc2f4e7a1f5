/*
 * Tests of inherit.c and window/kept.c: what a window makes of records that another one has left,
 * and of those that cannot be.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/digest.h"
#include "cache/core.h"
#include "cache/window/directory.h"
#include "cache/window/room.h"
#include "tests/unit/base/allocation_fault.h"

#define MIB    (UINT64_C(1) << 20)
#define MEMORY (32 * MIB)
#define BLOCK  ((uint32_t)(4 * MIB))

struct bench {
	struct counters counters;
	struct window window;
	int fd; /* of its arena */
};

static void drop(struct window_entry *entry)
{
	(void)entry;
}

static int start(struct bench *bench, int fd)
{
	const struct window_config config = {
		.memory = MEMORY,
		.block_len = BLOCK,
		.arena_fd = fd,
	};

	return window_init(&bench->window, &config, &bench->counters, drop);
}

static int set_up(void **state)
{
	struct bench *bench = calloc(1, sizeof(*bench));

	assert_int_equal(
		counters_init(&bench->counters, "cache", cache_counter_specs, CACHE_COUNTER_COUNT),
		0);
	assert_int_equal(start(bench, -1), 0);
	bench->fd = dup(bench->window.arena.fd);
	*state = bench;
	return 0;
}

static int tear_down(void **state)
{
	struct bench *bench = *state;

	window_seal(&bench->window);
	window_leave(&bench->window);
	window_fini(&bench->window);
	counters_fini(&bench->counters);
	close(bench->fd);
	free(bench);
	return 0;
}

/* The window is gone as if its process were, and another one begins. */
static void again(struct bench *bench)
{
	window_fini(&bench->window);
	counters_fini(&bench->counters);
	assert_int_equal(
		counters_init(&bench->counters, "cache", cache_counter_specs, CACHE_COUNTER_COUNT),
		0);
	assert_int_equal(start(bench, bench->fd), 0);
}

static uint64_t counter(const struct bench *bench, enum cache_counter index)
{
	return counter_get(&bench->counters, index);
}

static struct window_key key_of(uint64_t number)
{
	struct object_id id = { { 1, 2, 3 } };

	return window_block_key(&id, number);
}

/* A block of bytes that follow from its number, in that state. */
static struct window_entry *add(struct bench *bench, uint64_t number, uint32_t len,
				enum window_state as)
{
	struct window *window = &bench->window;
	struct window_key key = key_of(number);
	struct window_entry *entry = window_add(window, &key, len, WINDOW_DEMAND, false);

	assert_non_null(entry);
	memset(window_data(window, entry), (int)number + 1, len);
	for (uint32_t off = 0; off < len; off += GRANULE_LEN)
		window_checks(window, entry)[off / GRANULE_LEN] =
			digest_crc64(window_data(window, entry) + off,
				     len - off < GRANULE_LEN ? len - off : GRANULE_LEN);
	entry->filled = len;
	if (as == WINDOW_WRITING)
		window_set_state(window, entry, WINDOW_DIRTY);
	if (as != WINDOW_FILLING)
		window_set_state(window, entry, as);
	return entry;
}

static struct window_entry *kept(struct bench *bench, uint64_t number)
{
	struct window_key key = key_of(number);

	return window_find_kept(&bench->window, &key);
}

static void test_inherit__each_state__becomes_what_is_safe(void **state)
{
	static const uint32_t lens[] = { 100, GRANULE_LEN, 300000, BLOCK };
	struct bench *bench = *state;

	for (uint64_t i = 0; i < ARRAY_COUNT(lens); i++) {
		add(bench, 10 * i, lens[i], WINDOW_CLEAN);
		add(bench, 10 * i + 1, lens[i], WINDOW_DIRTY);
	}
	add(bench, 50, BLOCK, WINDOW_WRITING);
	add(bench, 51, 5000, WINDOW_FILLING);
	window_set_state(&bench->window, add(bench, 52, 5000, WINDOW_CLEAN), WINDOW_DEAD);
	again(bench);
	assert_int_equal(counter(bench, CACHE_KEPT_BLOCKS), 2 * ARRAY_COUNT(lens) + 1);
	for (uint64_t i = 0; i < ARRAY_COUNT(lens); i++) {
		struct window_key key = key_of(10 * i);

		assert_null(window_find(&bench->window, &key));
		assert_false(kept(bench, 10 * i)->owed);
		assert_true(kept(bench, 10 * i + 1)->orphan);
		assert_int_equal(kept(bench, 10 * i)->len, lens[i]);
		assert_true(window_verify(&bench->window, kept(bench, 10 * i)));
		assert_true(window_verify(&bench->window, kept(bench, 10 * i + 1)));
	}
	assert_null(kept(bench, 50)); /* verified */
	assert_null(kept(bench, 51));
	assert_null(kept(bench, 52));
	assert_int_equal(counter(bench, CACHE_MEMORY_PINNED), 0);
	assert_int_equal(counter(bench, CACHE_BLOCKS), 2 * ARRAY_COUNT(lens) + 1);
}

static void test_inherit__through_many_lives__loses_nothing(void **state)
{
	struct bench *bench = *state;

	for (uint64_t i = 0; i < 3; i++)
		add(bench, i, 200000, WINDOW_DIRTY);
	for (unsigned life = 0; life < 5; life++) {
		again(bench);
		assert_int_equal(counter(bench, CACHE_KEPT_BLOCKS), 3 + life);
		for (uint64_t i = 0; i < 3 + life; i++)
			assert_true(kept(bench, i)->owed == (i < 3));
		add(bench, 3 + life, 100000, WINDOW_CLEAN);
	}
}

static void test_inherit__what_was_evicted__is_not_there(void **state)
{
	struct bench *bench = *state;

	for (uint64_t i = 0; i < 20; i++) /* of which eight fit */
		add(bench, i, BLOCK, WINDOW_CLEAN);
	again(bench);
	assert_int_equal(counter(bench, CACHE_KEPT_BLOCKS), MEMORY / BLOCK);
	for (uint64_t i = 0; i < 20; i++)
		assert_true((kept(bench, i) != NULL) == (i >= 20 - MEMORY / BLOCK));
}

static void put(struct bench *bench, uint64_t slot, uint64_t number, uint64_t off, uint32_t len,
		enum record_state as)
{
	const struct record record = {
		.key = key_of(number),
		.off = off,
		.len = len,
		.order = (uint8_t)buddy_order_of(len),
		.state = (uint8_t)as,
	};

	records_use(&bench->window.records, RECORDS_GROUP);
	records_put(&bench->window.records, slot, &record);
}

static void test_inherit__records_that_cannot_be__one_at_most_is_believed(void **state)
{
	struct bench *bench = *state;

	put(bench, 0, 1, 0, 5000, RECORD_CLEAN);
	put(bench, 1, 2, 4096, 4096, RECORD_CLEAN);  /* in the same place */
	put(bench, 2, 1, 65536, 5000, RECORD_CLEAN); /* of the same key */
	put(bench, 3, 3, MIB, 100000, RECORD_CLEAN);
	put(bench, 4, 4, MIB, 100000, RECORD_FILLING); /* where something is in flight */
	again(bench);
	assert_int_equal(counter(bench, CACHE_KEPT_BLOCKS), 1);
	assert_int_equal(counter(bench, CACHE_KEPT_REFUSED), 3);
	again(bench);
	assert_int_equal(counter(bench, CACHE_KEPT_BLOCKS), 1);
	assert_int_equal(counter(bench, CACHE_KEPT_REFUSED), 0); /* they are gone for good */
}

static void test_inherit__a_block_of_another_length__is_replaced(void **state)
{
	struct window_key key = key_of(0);
	struct bench *bench = *state;

	add(bench, 0, 5000, WINDOW_CLEAN);
	again(bench);
	assert_non_null(window_add(&bench->window, &key, 6000, WINDOW_DEMAND, false));
	assert_null(kept(bench, 0));
	assert_int_equal(counter(bench, CACHE_BLOCKS), 1);
}

static void test_window_add__what_was_kept__is_filled_where_it_lies(void **state)
{
	struct window_key key = key_of(0);
	struct window_entry *entry;
	struct bench *bench = *state;

	add(bench, 0, 5000, WINDOW_DIRTY);
	again(bench);
	/* others may be verifying it */
	assert_true(window_ref(&bench->window, kept(bench, 0), WINDOW_FORWARD));
	entry = window_add(&bench->window, &key, 5000, WINDOW_DEMAND, false);
	assert_true(entry->unverified && entry->state == WINDOW_FILLING && entry->filled == 0);
	assert_true(window_verify(&bench->window, entry));
	window_unadd(&bench->window, entry);
	window_unref(&bench->window, entry, WINDOW_FORWARD);
	assert_ptr_equal(kept(bench, 0), entry);
	assert_true(entry->orphan);
	again(bench); /* nothing has been written there: it is on record as it was */
	entry = window_add(&bench->window, &key, 5000, WINDOW_DEMAND, false);
	window_disprove(&bench->window, entry);
	assert_false(entry->unverified || entry->owed);
	again(bench);
	assert_null(kept(bench, 0));
	assert_int_equal(counter(bench, CACHE_BLOCKS), 0);
}

static void test_window_add__kept_where_its_class_may_not_pin__waits(void **state)
{
	struct window_key key = key_of(7);
	struct bench *bench = *state;

	for (uint64_t i = 0; i < 8; i++)
		add(bench, i, BLOCK, WINDOW_CLEAN);
	again(bench);
	window_attach(&bench->window, NULL);
	for (uint64_t i = 0; i < 5; i++) { /* the rest is the other classes' */
		struct window_key one = key_of(i);
		struct window_entry *entry =
			window_add(&bench->window, &one, BLOCK, WINDOW_DEMAND, false);

		assert_non_null(entry);
	}
	assert_null(window_add(&bench->window, &key, BLOCK, WINDOW_DEMAND, false));
	assert_non_null(kept(bench, 7));
	assert_non_null(window_add(&bench->window, &key, BLOCK, WINDOW_SERVE, false));
}

static bool is_published(struct window_directory *directory, uint64_t number, uint32_t len)
{
	const struct member_id owner = { { 9 } };
	struct window_key key = key_of(number);
	struct directory_shape shape;
	struct directory_place place;
	size_t directory_len;
	const uint8_t *memory = window_directory_memory(directory, &directory_len);

	assert_int_equal(directory_shape_read(memory, &owner, &shape), 0);
	return directory_bucket_find(&shape, memory + directory_bucket_off(&shape, &key), &key, len,
				     &place) == 0;
}

static void test_attach__what_was_kept__is_published_when_it_is_verified(void **state)
{
	const struct member_id owner = { { 9 } };
	struct window_directory *directory;
	struct bench *bench = *state;

	add(bench, 0, 5000, WINDOW_CLEAN);
	add(bench, 1, 200000, WINDOW_DIRTY);
	add(bench, 2, 200000, WINDOW_WRITING);
	again(bench);
	assert_int_equal(window_directory_create(MEMORY, &owner, 77, &directory), 0);
	window_set_state(&bench->window, kept(bench, 0), WINDOW_CLEAN);
	window_attach(&bench->window, directory);
	assert_true(is_published(directory, 0, 5000));
	assert_false(is_published(directory, 1, 200000));
	assert_true(is_published(directory, 2, 200000)); /* verified first of all */
	window_set_state(&bench->window, kept(bench, 1), WINDOW_CLEAN);
	assert_true(is_published(directory, 1, 200000));
	bench->window.directory = NULL;
	window_directory_destroy(directory);
}

static void test_inherit__process_still_runs__takes_nothing(void **state)
{
	struct bench *bench = *state;
	int fds[2], status;
	pid_t pid;
	char byte;

	add(bench, 0, 5000, WINDOW_CLEAN);
	assert_int_equal(pipe(fds), 0);
	populate_stop(&bench->window.populate); /* a child has no other threads */
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		const struct owner nobody = { 0 };

		records_take(&bench->window.records, &nobody);
		if (write(fds[1], "x", 1) == 1)
			for (;;)
				pause();
		_exit(1);
	}
	assert_int_equal(read(fds[0], &byte, 1), 1);
	window_fini(&bench->window);
	assert_int_equal(start(bench, bench->fd), 0);
	assert_int_equal(counter(bench, CACHE_KEPT_BLOCKS), 0);
	window_fini(&bench->window);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(start(bench, bench->fd), 0);
	assert_int_equal(counter(bench, CACHE_KEPT_BLOCKS), 1);
	close(fds[0]);
	close(fds[1]);
}

/* As long as the process is not gone: what was in flight is held, and stays on record as that. */
static void test_inherit__process_is_not_gone__holds_what_was_in_flight(void **state)
{
	const struct owner init = { 1, 0 }; /* which stays */
	struct bench *bench = *state;

	add(bench, 0, 5000, WINDOW_FILLING);
	add(bench, 1, 5000, WINDOW_CLEAN);
	records_take(&bench->window.records, &init);
	again(bench);
	assert_int_equal(counter(bench, CACHE_KEPT_BLOCKS), 1);
	assert_int_equal(counter(bench, CACHE_MEMORY_PINNED), 8192);
	assert_null(kept(bench, 0));
	again(bench); /* and this one dies before that is over */
	assert_int_equal(counter(bench, CACHE_MEMORY_PINNED), 8192);
	window_let_go(&bench->window);
	assert_int_equal(counter(bench, CACHE_MEMORY_PINNED), 0);
	assert_int_equal(counter(bench, CACHE_BLOCKS), 1);
}

/* The SSD may be reading: it has the pages, and what it finds there must not change. */
static void test_inherit__was_being_written__gets_other_pages_with_the_same_bytes(void **state)
{
	struct bench *bench = *state;
	struct window_key key = key_of(3);
	unsigned char late[4096];
	struct window_entry *entry;
	struct iovec page;
	int fds[2];

	entry = add(bench, 3, 300000, WINDOW_WRITING);
	page = (struct iovec){ window_data(&bench->window, entry) + 8192, 4096 };
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(vmsplice(fds[1], &page, 1, 0), 4096);
	again(bench);
	entry = window_find(&bench->window, &key);
	assert_true(entry->state == WINDOW_CLEAN && entry->orphan && !entry->held);
	assert_true(window_verify(&bench->window, entry));
	memset(window_data(&bench->window, entry), 0xee, 300000); /* another has it now */
	assert_int_equal(read(fds[0], late, sizeof(late)), 4096);
	for (unsigned i = 0; i < sizeof(late); i++)
		assert_int_equal(late[i], 4);
	close(fds[0]);
	close(fds[1]);
}

static void test_inherit__not_gone_and_too_much_in_flight__begins_anew(void **state)
{
	const struct owner init = { 1, 0 };
	struct bench *bench = *state;

	for (uint64_t i = 0; i < 5; i++)
		add(bench, i, BLOCK, WINDOW_FILLING);
	add(bench, 5, BLOCK, WINDOW_CLEAN);
	records_take(&bench->window.records, &init);
	again(bench);
	assert_int_equal(counter(bench, CACHE_KEPT_BLOCKS), 0);
	assert_int_equal(counter(bench, CACHE_BLOCKS), 0);
	assert_int_equal(counter(bench, CACHE_MEMORY_USED), 0);
	assert_int_equal(counter(bench, CACHE_MEMORY_PINNED), 0);
	assert_int_equal(counter(bench, CACHE_KEPT_WAITING), 0);
}

static void test_inherit__not_gone_and_a_damaged_record__begins_anew(void **state)
{
	const struct owner init = { 1, 0 };
	struct bench *bench = *state;

	add(bench, 0, 5000, WINDOW_CLEAN);
	add(bench, 1, 5000, WINDOW_CLEAN);
	bench->window.records.memory[4096 + (RECORDS_GROUP - 1) * 64] ^= 1;
	records_take(&bench->window.records, &init);
	again(bench);
	assert_int_equal(counter(bench, CACHE_KEPT_BLOCKS), 0);
	assert_int_equal(counter(bench, CACHE_BLOCKS), 0);
}

static void test_inherit__any_allocation_fails__begins_anew_or_not_at_all(void **state)
{
	struct bench *bench = *state;
	unsigned n;

	for (uint64_t i = 0; i < 200; i++)
		add(bench, i, 5000, i % 2 ? WINDOW_DIRTY : WINDOW_WRITING);
	window_fini(&bench->window);
	for (n = 1;; n++) {
		bool failed;
		int error;

		counters_fini(&bench->counters);
		assert_int_equal(counters_init(&bench->counters, "cache", cache_counter_specs,
					       CACHE_COUNTER_COUNT),
				 0);
		allocation_fault_arm(n);
		error = start(bench, bench->fd);
		failed = allocation_fault_disarm();
		if (!failed)
			break;
		assert_true(error == 0 || error == -ENOMEM);
		assert_int_equal(counter(bench, CACHE_BLOCKS), counter(bench, CACHE_KEPT_BLOCKS));
		if (error) {
			assert_int_equal(counter(bench, CACHE_BLOCKS), 0);
			assert_int_equal(counter(bench, CACHE_MEMORY_PINNED), 0);
			continue;
		}
		window_seal(&bench->window);
		window_leave(&bench->window); /* without room for a copy some are held */
		assert_int_equal(counter(bench, CACHE_MEMORY_PINNED), 0);
		window_fini(&bench->window);
	}
	assert_true(n > 4);
	assert_int_equal(counter(bench, CACHE_KEPT_BLOCKS), 200);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_inherit__each_state__becomes_what_is_safe),
		TEST(test_inherit__through_many_lives__loses_nothing),
		TEST(test_inherit__what_was_evicted__is_not_there),
		TEST(test_inherit__records_that_cannot_be__one_at_most_is_believed),
		TEST(test_inherit__a_block_of_another_length__is_replaced),
		TEST(test_window_add__what_was_kept__is_filled_where_it_lies),
		TEST(test_window_add__kept_where_its_class_may_not_pin__waits),
		TEST(test_attach__what_was_kept__is_published_when_it_is_verified),
		TEST(test_inherit__process_still_runs__takes_nothing),
		TEST(test_inherit__process_is_not_gone__holds_what_was_in_flight),
		TEST(test_inherit__was_being_written__gets_other_pages_with_the_same_bytes),
		TEST(test_inherit__not_gone_and_too_much_in_flight__begins_anew),
		TEST(test_inherit__not_gone_and_a_damaged_record__begins_anew),
		TEST(test_inherit__any_allocation_fails__begins_anew_or_not_at_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
