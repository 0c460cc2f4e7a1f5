/*
 * Tests of recovery: the power is cut after every single operation of a run, and what is found
 * afterwards is right. See recorder.h for what a cut may do.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/check.h"
#include "base/random.h"
#include "tests/unit/base/slow.h"
#include "tests/unit/cache/store/recorder.h"
#include "tests/unit/cache/store/rig.h"

#define MIB	    (UINT64_C(1) << 20)
#define OBJECTS_MAX 256
#define PASSES	    6  /* of what gives way and comes back */
#define PASSES_MAX  20 /* on a machine so busy that eviction hardly gets to run */

/* What the run did, as its caller knows it. */
struct history {
	unsigned count;
	struct rig_object objects[OBJECTS_MAX];
	unsigned committed_at[OBJECTS_MAX]; /* operations until store_flush() returned */
	bool may_go;			    /* eviction was at work: committed ones may be gone */
};

static void add(struct rig *rig, struct history *history, uint64_t size, const char *dataset)
{
	struct rig_object *object = &history->objects[history->count];

	CHECK(history->count < OBJECTS_MAX);
	rig_object(object, history->count, size, dataset);
	object->store.version.key = object->key;
	history->committed_at[history->count++] = UINT32_MAX;
	rig_write_all(rig, object);
}

static void flush(struct rig *rig, struct recorder *recorder, struct history *history)
{
	rig_flush(rig);
	for (unsigned i = 0; i < history->count; i++) {
		if (history->committed_at[i] == UINT32_MAX)
			history->committed_at[i] = recorder_count(recorder);
	}
}

static void check_block(struct rig *rig, const struct rig_object *object, uint64_t block)
{
	uint32_t len = object_block_len(object->store.version.size, block, RIG_BLOCK_LEN);

	if (!store_has(rig->store, &object->store.id, block))
		return;
	/* What the index names was synced before: it is whole. */
	assert_int_equal(rig_read(rig, object, block, 0, object_granule_count(len)), 0);
}

static void check_object(struct rig *rig, const struct history *history, unsigned i, unsigned cut)
{
	const struct rig_object *object = &history->objects[i];
	uint64_t size = object->store.version.size;

	if (history->committed_at[i] <= cut && !history->may_go)
		assert_true(rig_has_all(rig, object));
	for (uint64_t block = 0; block * RIG_BLOCK_LEN < size; block++)
		check_block(rig, object, block);
}

/* The store opens whatever the cut left, serves what it should, and takes new objects. */
static void check_cut(struct rig *rig, const struct history *history, unsigned cut)
{
	struct cache_directory_status status;
	struct rig_object object;
	int error;

	rig_open(rig);
	store_directory_status(rig->store, 0, &status);
	assert_string_equal(status.problem, "");
	for (unsigned i = 0; i < history->count; i++)
		check_object(rig, history, i, cut);
	rig_object(&object, 100000, 70000, "/afterwards");
	error = rig_write_all(rig, &object);
	assert_true(error == 0 || error == RIG_REFUSED);
	assert_int_equal(rig_read_all(rig, &object), error ? -ENOENT : 0);
	rig_close(rig);
}

static void check_all_cuts(struct rig *rig, struct recorder *recorder,
			   const struct history *history, unsigned step)
{
	unsigned count = recorder_count(recorder);
	struct rig after;

	print_message("%u operations\n", count);
	for (unsigned cut = 0; cut <= count; cut += step * SLOWNESS) {
		rig_make(&after, 1, rig->directories[0].capacity);
		after.config.policy = rig->config.policy;
		after.files = rig_files_unsynced();
		recorder_cut(recorder, cut, cut, after.directory_paths[0]);
		check_cut(&after, history, cut);
		rig_remove(&after);
	}
}

static void test_power_cut__while_filling__all_that_was_committed_is_there(void **state)
{
	static struct history history;
	struct recorder *recorder;
	struct clock_manual clock;
	struct rig rig;

	(void)state;
	clock_manual_init(&clock, NS_PER_S, 0);
	rig_make(&rig, 1, 512 * MIB);
	recorder = recorder_make(rig.directory_paths[0]);
	rig.files = recorder_files(recorder);
	rig.clock = &clock.clock; /* it stands: groups are made by flush() */
	rig_open(&rig);
	/* Groups of few files, synced one by one; of one file; of many, synced all at once. */
	add(&rig, &history, 40000, "/a");
	add(&rig, &history, 3000, "/a");
	add(&rig, &history, 3 * RIG_BLOCK_LEN + 5000, "/a");
	flush(&rig, recorder, &history);
	for (unsigned i = 0; i < 8; i++)
		add(&rig, &history, 1000 + i * 3000, i % 2 ? "/a" : "/b");
	flush(&rig, recorder, &history);
	for (unsigned i = 0; i < 12; i++)
		add(&rig, &history, 33000 + i * 1000, "/b");
	flush(&rig, recorder, &history);
	store_obsolete(rig.store, &history.objects[1].store.id);
	history.committed_at[1] = UINT32_MAX; /* packed and obsolete: gone with the next group */
	add(&rig, &history, 90000, "/c");
	rig_flush(&rig);
	add(&rig, &history, 90001, "/c"); /* the last ones are only committed by the stop */
	add(&rig, &history, 9000, "/c");
	rig_close(&rig);
	check_all_cuts(&rig, recorder, &history, 1);
	recorder_free(recorder);
	rig_remove(&rig);
}

/* Written, evicted, written again in the same place: nothing stale, nothing half. */
static void test_power_cut__while_evicting__what_is_found_is_right(void **state)
{
	static struct history history;
	struct recorder *recorder;
	struct rig rig;

	(void)state;
	rig_make(&rig, 1, 8 * MIB);
	rig.config.policy = CACHE_POLICY_LRU;
	history.may_go = true;
	recorder = recorder_make(rig.directory_paths[0]);
	rig.files = recorder_files(recorder);
	rig_open(&rig);
	for (unsigned i = 0; i < 60; i++) {
		add(&rig, &history, i % 3 ? 150000 + i : 20000 + i, "/a");
		if (i % 7 == 0)
			flush(&rig, recorder, &history);
	}
	for (unsigned i = 0; i < 20; i++) {
		rig_write_all(&rig, &history.objects[i]);
		if (i % 7 == 0)
			rig_flush(&rig);
	}
	rig_close(&rig);
	check_all_cuts(&rig, recorder, &history, 3);
	recorder_free(recorder);
	rig_remove(&rig);
}

static bool has_punched(struct rig *rig, struct recorder *recorder)
{
	return rig_count(rig, STORE_REPLICAS_EVICTED) > 0 && recorder_punches(recorder) > 5;
}

/* Blocks are punched as replicas, found bad and punched, written again in the same place: the index
 * never names what may have been punched. */
static void test_power_cut__while_punching__what_is_found_is_right(void **state)
{
	static struct rig_roles roles;
	static struct history history;
	struct recorder *recorder;
	struct rig rig;
	unsigned large;

	(void)state;
	rig_make(&rig, 1, 16 * MIB);
	history.may_go = true;
	recorder = recorder_make(rig.directory_paths[0]);
	rig.files = recorder_files(recorder);
	rig_open(&rig);
	roles.own = RIG_OWN_EVEN;
	store_set_owner(rig.store, rig_owns, &roles);
	for (large = 0; large < 5; large++) {
		add(&rig, &history, 6 * RIG_BLOCK_LEN - 3000UL * large, "/a");
		if (large % 2)
			flush(&rig, recorder, &history);
	}
	for (unsigned pass = 0;
	     pass < PASSES || (pass < PASSES_MAX && !has_punched(&rig, recorder)); pass++) {
		/* Until replicas give way ... */
		for (unsigned i = 0; i < 12; i++)
			add(&rig, &history, 150000 + pass * 100 + i, "/b");
		rig_flush(&rig);
		/* ... and what gave way is owned, and comes back. */
		roles.own = pass % 2 ? RIG_OWN_EVEN : RIG_OWN_ODD;
		store_owner_changed(rig.store);
		for (unsigned i = 0; i < large; i++) {
			for (uint64_t block = 0; block < 6; block++)
				rig_write(&rig, &history.objects[i], block);
		}
	}
	assert_true(has_punched(&rig, recorder));
	rig_close(&rig);
	check_all_cuts(&rig, recorder, &history, 3);
	recorder_free(recorder);
	rig_remove(&rig);
}

static void hand_out_all(struct rig *rig, const struct history *history, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		struct cache_handout handout;

		if (!rig_has_all(rig, &history->objects[i]))
			continue;
		rig_flush(rig);
		for (unsigned tries = 0;
		     store_handout(rig->store, &history->objects[i].store.id, &handout); tries++) {
			if (tries > 2000 || !rig_has_all(rig, &history->objects[i]))
				return;
			store_handout_ready(rig->store, &history->objects[i].store.id, true);
			usleep(1000);
		}
		close(handout.fd);
		store_handback(rig->store, &handout);
	}
}

static bool has_replaced(struct rig *rig, unsigned handed_out)
{
	return rig_count(rig, STORE_HANDOUTS) > handed_out && rig_count(rig, STORE_REPLACED) > 0;
}

/* The same where every file that became complete was handed out: nothing is punched, new files take
 * the place of old ones. */
static void test_power_cut__while_replacing__what_is_found_is_right(void **state)
{
	static struct rig_roles roles;
	static struct history history;
	struct recorder *recorder;
	struct rig rig;
	unsigned large;

	(void)state;
	rig_make(&rig, 1, 16 * MIB);
	history.may_go = true;
	recorder = recorder_make(rig.directory_paths[0]);
	rig.files = recorder_files(recorder);
	rig_open(&rig);
	store_handout_allow(rig.store, 0, true);
	roles.own = RIG_OWN_EVEN;
	store_set_owner(rig.store, rig_owns, &roles);
	for (large = 0; large < 5; large++)
		add(&rig, &history, 6 * RIG_BLOCK_LEN - 3000UL * large, "/a");
	hand_out_all(&rig, &history, large);
	for (unsigned pass = 0; pass < PASSES || (pass < PASSES_MAX && !has_replaced(&rig, large));
	     pass++) {
		for (unsigned i = 0; i < 12; i++)
			add(&rig, &history, 150000 + pass * 100 + i, "/b");
		rig_flush(&rig);
		roles.own = pass % 2 ? RIG_OWN_EVEN : RIG_OWN_ODD;
		store_owner_changed(rig.store);
		for (unsigned i = 0; i < large; i++) {
			for (uint64_t block = 0; block < 6; block++)
				rig_write(&rig, &history.objects[i], block);
		}
		hand_out_all(&rig, &history, large);
	}
	assert_true(has_replaced(&rig, large));
	print_message("%u replaced\n", (unsigned)rig_count(&rig, STORE_REPLACED));
	rig_close(&rig);
	check_all_cuts(&rig, recorder, &history, 3);
	recorder_free(recorder);
	rig_remove(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_power_cut__while_filling__all_that_was_committed_is_there),
		cmocka_unit_test(test_power_cut__while_evicting__what_is_found_is_right),
		cmocka_unit_test(test_power_cut__while_punching__what_is_found_is_right),
		cmocka_unit_test(test_power_cut__while_replacing__what_is_found_is_right),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
