/*
 * Tests of the store under everything at once: threads that write, read, look, touch and make
 * obsolete the same objects, while eviction runs and bits flip. Whatever is read is right.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/check.h"
#include "base/random.h"
#include "tests/unit/base/slow.h"
#include "tests/unit/cache/store/rig.h"

#define MIB	     (UINT64_C(1) << 20)
#define THREADS	     6
#define STEPS	     SLOWED(600)
#define OBJECTS	     150
#define DIRECTORIES  2
#define FLIPS_ONE_IN 200

struct worker {
	struct rig *rig;
	uint64_t seed;
	unsigned steps;
	unsigned written, read, missed, bad;
};

static struct rig_roles roles;

static void pick(struct random *random, struct rig_object *object)
{
	static const uint64_t sizes[] = { 500, 20000, 40001, 112640, 900000, 1500000 };
	static const char *const datasets[] = { "/a", "/b", "/c" };
	unsigned number = (unsigned)random_below(random, OBJECTS);

	rig_object(object, number, sizes[number % ARRAY_COUNT(sizes)],
		   datasets[number % ARRAY_COUNT(datasets)]);
}

static void flip(struct rig *rig, const struct rig_object *object)
{
	for (unsigned i = 0; i < DIRECTORIES; i++) {
		char path[512];
		uint8_t byte;
		int fd;

		rig_object_file(rig, i, object, path, sizeof(path));
		fd = open(path, O_RDWR);
		if (fd < 0)
			continue;
		if (pread(fd, &byte, 1, 9000) == 1) {
			byte ^= 4;
			(void)!pwrite(fd, &byte, 1, 9000);
		}
		close(fd);
	}
}

static void step(struct worker *worker, struct random *random)
{
	struct rig *rig = worker->rig;
	struct rig_object object;
	int status;

	pick(random, &object);
	switch (random_below(random, 10)) {
	case 0:
		store_touch(rig->store, &object.store.id, object.store.dataset);
		break;
	case 1:
		if (random_below(random, 20) == 0)
			store_obsolete(rig->store, &object.store.id);
		break;
	case 2:
		CHECK(store_resident(rig->store, &object.store.id, object.store.version.size) <=
		      object.store.version.size);
		break;
	case 3:
		if (random_below(random, FLIPS_ONE_IN / 10) == 0)
			flip(rig, &object);
		roles.own = (int)random_below(random, RIG_OWN_OTHERS);
		store_owner_changed(rig->store);
		break;
	default:
		if (!rig_has_all(rig, &object)) {
			status = rig_write_all(rig, &object);
			worker->written += status == 0;
		}
		status = rig_read_all(rig, &object);
		CHECK(status == 0 || status == -ENOENT || status == -EBADMSG);
		worker->read += status == 0;
		worker->missed += status == -ENOENT;
		worker->bad += status == -EBADMSG;
	}
}

static void *work(void *argument)
{
	struct worker *worker = argument;
	struct random random;

	random_init(&random, worker->seed);
	for (unsigned i = 0; i < worker->steps; i++)
		step(worker, &random);
	return NULL;
}

/* With @owners, ownership moves all the time. */
static void check_policy(int policy, bool owners)
{
	struct worker workers[THREADS];
	pthread_t threads[THREADS];
	unsigned read = 0, written = 0;
	struct rig rig;

	rig_make(&rig, DIRECTORIES, 16 * MIB);
	rig.config.policy = policy;
	if (owners)
		rig.files = rig_files_unsynced();
	rig_open(&rig);
	if (owners)
		store_set_owner(rig.store, rig_owns, &roles);
	for (unsigned i = 0; i < THREADS; i++) {
		workers[i] = (struct worker){ .rig = &rig,
					      .seed = i + 1,
					      .steps = owners ? STEPS / 2 : STEPS };
		assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
	}
	for (unsigned i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
		read += workers[i].read;
		written += workers[i].written;
	}
	assert_true(read > 0 && written > 0);
	for (unsigned i = 0; i < DIRECTORIES; i++) {
		struct cache_directory_status status;

		store_directory_status(rig.store, i, &status);
		assert_int_equal(status.state, CACHE_DIRECTORY_OK);
		assert_true(status.used <= status.capacity);
	}
	rig_close(&rig);
	/* What is left after all that is right, too. */
	rig_open(&rig);
	for (unsigned i = 0; i < OBJECTS; i++) {
		struct rig_object object;
		struct random random;
		int status;

		random_init(&random, i);
		pick(&random, &object);
		status = rig_read_all(&rig, &object);
		assert_true(status == 0 || status == -ENOENT || status == -EBADMSG);
	}
	rig_close(&rig);
	rig_remove(&rig);
}

static void test_everything_at_once__epoch__what_is_read_is_right(void **state)
{
	(void)state;
	check_policy(CACHE_POLICY_EPOCH, false);
}

static void test_everything_at_once__lru__what_is_read_is_right(void **state)
{
	(void)state;
	check_policy(CACHE_POLICY_LRU, false);
}

static void test_everything_at_once__ownership_moves__what_is_read_is_right(void **state)
{
	(void)state;
	check_policy(CACHE_POLICY_EPOCH, true);
	check_policy(CACHE_POLICY_LRU, true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_everything_at_once__epoch__what_is_read_is_right),
		cmocka_unit_test(test_everything_at_once__lru__what_is_read_is_right),
		cmocka_unit_test(test_everything_at_once__ownership_moves__what_is_read_is_right),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
