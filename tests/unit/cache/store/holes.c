/*
 * Tests of single blocks that give back their space: as replicas, found bad, or left by a crash;
 * and of those who read or write them meanwhile.
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
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/check.h"
#include "cache/store/ring.h"
#include "tests/unit/base/slow.h"
#include "tests/unit/cache/store/faults.h"
#include "tests/unit/cache/store/roles.h"

#define MIB	 ROLES_MIB
#define CAPACITY ROLES_CAPACITY
#define OWNED	 ROLES_OWNED
#define TRIES	 ROLES_TRIES
#define BLOCKS	 8

static void test_evict__files_partly_owned__their_replicas_are_punched(void **state)
{
	enum { OBJECTS = 6 };
	uint64_t size = BLOCKS * RIG_BLOCK_LEN - 5000, bytes = 0;
	struct rig_object objects[OBJECTS], other;
	unsigned others = 0, gone = 0;
	struct rig rig;

	(void)state;
	roles_make(&rig, CACHE_POLICY_EPOCH, RIG_OWN_EVEN);
	for (unsigned i = 0; i < OBJECTS; i++) {
		rig_object(&objects[i], i, size, "/images");
		assert_int_equal(rig_write_all(&rig, &objects[i]), 0);
		rig_flush(&rig);
	}
	while (rig_count(&rig, STORE_REPLICAS_EVICTED) < OBJECTS * BLOCKS / 2) {
		rig_object(&other, OWNED + others++, 200000, "/images");
		roles_write(&rig, &other);
	}
	rig_flush(&rig);
	for (unsigned i = 0; i < OBJECTS; i++) {
		for (uint64_t block = 0; block < BLOCKS; block++) {
			uint32_t len = object_block_len(size, block, RIG_BLOCK_LEN);
			int status =
				rig_read(&rig, &objects[i], block, 0, object_granule_count(len));

			assert_int_equal(status, block % 2 ? -ENOENT : 0);
			gone += status != 0;
		}
		bytes = store_resident(rig.store, &objects[i].store.id, size);
		assert_int_equal(bytes, BLOCKS / 2 * RIG_BLOCK_LEN);
		assert_in_range(roles_file_bytes(&rig, &objects[i]), bytes, bytes + 16384);
	}
	assert_int_equal(gone, OBJECTS * BLOCKS / 2);
	assert_int_equal(rig_count(&rig, STORE_EVICTED_OBJECTS), 0);
	assert_int_equal(roles_count(&rig, OWNED, others, 200000), others);
	roles_check_books(&rig);
	/* What was punched can be written again, now that it is owned, and others are not. */
	for (unsigned i = 0; i < others; i++) {
		rig_object(&other, OWNED + i, 200000, "/images");
		rig_disown(&roles, &other);
	}
	roles.own = RIG_OWN_OTHERS;
	store_owner_changed(rig.store);
	roles_write(&rig, &objects[0]);
	assert_int_equal(rig_read_all(&rig, &objects[0]), 0);
	rig_flush(&rig);
	assert_int_equal(rig_read_all(&rig, &objects[0]), 0);
	roles_end(&rig);
}

/* --- trouble --- */

struct fixture {
	struct rig rig;
	struct faults faults;
};

static void reload(struct rig *rig, unsigned high, unsigned low)
{
	rig->config.high_watermark = high;
	rig->config.low_watermark = low;
	store_reload(rig->store, &rig->config);
}

static void fixture_make(struct fixture *fixture, enum rig_own own)
{
	faults_init(&fixture->faults);
	rig_make(&fixture->rig, 1, CAPACITY);
	fixture->rig.files = &fixture->faults.files;
	roles_open(&fixture->rig, own);
}

/* Whole files go; single blocks keep their space, and owned ones stay. */
static void test_evict__holes_are_not_supported__only_whole_files_go(void **state)
{
	enum { PARTS = 3, WHOLE = 12 };
	struct rig_object object, parts[PARTS];
	struct fixture fixture;
	struct rig *rig = &fixture.rig;
	uint64_t evicted;
	unsigned count = 0;

	(void)state;
	fixture_make(&fixture, RIG_OWN_EVEN);
	for (unsigned i = 0; i < PARTS; i++) {
		rig_object(&parts[i], i, BLOCKS * RIG_BLOCK_LEN, "/images");
		assert_int_equal(rig_write_all(rig, &parts[i]), 0);
	}
	rig_flush(rig);
	faults_set(&fixture.faults, FAULT_PUNCH, -EOPNOTSUPP, 0, 1 << 30);
	reload(rig, 30, 20);
	for (unsigned tries = 0; fixture.faults.failed == 0; tries++) {
		assert_true(tries < TRIES);
		usleep(1000);
	}
	reload(rig, 95, 90);
	for (unsigned i = 0; i < WHOLE; i++) {
		rig_object(&object, 1000 + i, 2 * RIG_BLOCK_LEN, "/images");
		assert_int_equal(rig_write(rig, &object, 1), 0);
	}
	rig_flush(rig);
	evicted = rig_count(rig, STORE_REPLICAS_EVICTED);
	while (rig_count(rig, STORE_REPLICAS_EVICTED) < evicted + WHOLE) {
		rig_object(&object, OWNED + count++, 200000, "/images");
		roles_write(rig, &object);
	}
	assert_int_equal(fixture.faults.failed, 1);
	for (unsigned i = 0; i < PARTS; i++)
		for (uint64_t block = 0; block < BLOCKS; block += 2)
			assert_int_equal(rig_read(rig, &parts[i], block, 0, 8), 0);
	for (unsigned i = 0; i < WHOLE; i++) {
		rig_object(&object, 1000 + i, 2 * RIG_BLOCK_LEN, "/images");
		assert_int_equal(roles_file_bytes(rig, &object), 0);
	}
	assert_int_equal(roles_count(rig, OWNED, count, 200000), count);
	roles_end(rig);
}

static bool is_failed(void *context)
{
	struct cache_directory_status status;

	store_directory_status(((struct rig *)context)->store, 0, &status);
	return status.state == CACHE_DIRECTORY_FAILED;
}

static void test_evict__punching_fails__the_directory_is_taken_out(void **state)
{
	struct fixture fixture;
	struct rig *rig = &fixture.rig;
	struct rig_object object;

	(void)state;
	fixture_make(&fixture, RIG_OWN_EVEN);
	rig_object(&object, 1, BLOCKS * RIG_BLOCK_LEN, "/images");
	assert_int_equal(rig_write_all(rig, &object), 0);
	rig_flush(rig);
	faults_set(&fixture.faults, FAULT_PUNCH, -EIO, 0, 1);
	reload(rig, 5, 3);
	rig_wait(is_failed, rig);
	assert_int_equal(rig_read(rig, &object, 0, 0, 8), -ENOENT);
	rig_close(rig);
	/* The index has forgotten them before: what is left is right, and the sweep finds the rest.
	 */
	rig->config.high_watermark = 95;
	rig->config.low_watermark = 90;
	roles_open(rig, RIG_OWN_EVEN);
	for (uint64_t block = 0; block < BLOCKS; block++)
		assert_int_equal(rig_read(rig, &object, block, 0, 8), block % 2 ? -ENOENT : 0);
	for (unsigned tries = 0;
	     roles_file_bytes(rig, &object) > BLOCKS / 2 * RIG_BLOCK_LEN + 16384; tries++) {
		assert_true(tries < TRIES);
		usleep(1000);
	}
	for (uint64_t block = 0; block < BLOCKS; block += 2)
		assert_int_equal(rig_read(rig, &object, block, 0, 8), 0);
	roles_end(rig);
}

/* A block whose bytes went bad gives back its space, and comes again. */
static void test_read__bad_block__its_space_is_given_back(void **state)
{
	uint64_t size = 4 * RIG_BLOCK_LEN, before;
	struct rig_object object;
	char path[512];
	struct rig rig;
	int fd;

	(void)state;
	roles_make(&rig, CACHE_POLICY_EPOCH, RIG_OWN_ALL);
	rig_object(&object, 1, size, "/images");
	assert_int_equal(rig_write_all(&rig, &object), 0);
	rig_flush(&rig);
	before = roles_file_bytes(&rig, &object);
	assert_true(before >= size);
	rig_object_file(&rig, 0, &object, path, sizeof(path));
	fd = open(path, O_RDWR);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, "bad", 3, (off_t)RIG_BLOCK_LEN + 70000), 3);
	close(fd);
	assert_int_equal(rig_read(&rig, &object, 1, 0, 8), -EBADMSG);
	for (unsigned tries = 0; roles_file_bytes(&rig, &object) > before - RIG_BLOCK_LEN;
	     tries++) {
		assert_true(tries < TRIES);
		usleep(1000);
	}
	assert_int_equal(store_resident(rig.store, &object.store.id, size), 3 * RIG_BLOCK_LEN);
	roles_write(&rig, &object);
	assert_int_equal(rig_read_all(&rig, &object), 0);
	assert_int_equal(rig_count(&rig, STORE_BAD_CHECKS), 1);
	rig_close(&rig);
	rig_remove(&rig);
}

/* What a crash left in a file that is named. */
static void test_sweep__bytes_that_the_index_does_not_name__punched(void **state)
{
	uint64_t size = 6 * RIG_BLOCK_LEN;
	static uint8_t junk[2 * RIG_BLOCK_LEN];
	struct rig_object object;
	char path[512];
	struct rig rig;
	int fd;

	(void)state;
	roles_make(&rig, CACHE_POLICY_EPOCH, RIG_OWN_ALL);
	rig_object(&object, 1, size, "/images");
	assert_int_equal(rig_write(&rig, &object, 0), 0);
	assert_int_equal(rig_write(&rig, &object, 4), 0);
	rig_close(&rig);
	rig_object_file(&rig, 0, &object, path, sizeof(path));
	fd = open(path, O_RDWR);
	memset(junk, 0xee, sizeof(junk));
	assert_int_equal(pwrite(fd, junk, sizeof(junk), (off_t)(2 * RIG_BLOCK_LEN)), sizeof(junk));
	assert_int_equal(pwrite(fd, junk, 100, (off_t)(6 * RIG_BLOCK_LEN - 100)), 100);
	assert_int_equal(fsync(fd), 0);
	close(fd);
	assert_true(roles_file_bytes(&rig, &object) > 4 * RIG_BLOCK_LEN);
	rig_open(&rig);
	for (unsigned tries = 0; roles_file_bytes(&rig, &object) > 2 * RIG_BLOCK_LEN + 16384;
	     tries++) {
		assert_true(tries < TRIES);
		usleep(1000);
	}
	assert_int_equal(rig_read(&rig, &object, 0, 0, 8), 0);
	assert_int_equal(rig_read(&rig, &object, 4, 0, 8), 0);
	assert_int_equal(rig_read(&rig, &object, 2, 0, 8), -ENOENT);
	roles_end(&rig);
}

/* --- readers of what goes --- */

/* The ring's thread waits in the first read's result, so that a later read is not begun. */
struct gate {
	struct files files;
	_Atomic bool armed, reached, open;
};

static int gate_io(const struct files *files, const struct ring_op *op, int result)
{
	struct gate *gate = files->context;

	if (op->kind != RING_READ || !atomic_exchange(&gate->armed, false))
		return result;
	gate->reached = true;
	for (unsigned tries = 0; !gate->open && tries < TRIES; tries++)
		usleep(1000);
	return result;
}

struct started {
	struct store_read read;
	_Atomic bool ended;
};

static void started_done(struct store_read *read)
{
	CONTAINER_OF(read, struct started, read)->ended = true;
}

static void start_read(struct rig *rig, struct started *started, const struct rig_object *object,
		       uint64_t block)
{
	*started = (struct started){ .read = { .id = object->store.id,
					       .object_size = object->store.version.size,
					       .block = block,
					       .granule_count = 1,
					       .dst = aligned_alloc(4096, GRANULE_LEN),
					       .done = started_done } };
	assert_non_null(started->read.dst);
	store_read_start(rig->store, &started->read);
}

static int wait_read(struct started *started)
{
	roles_wait(&started->ended);
	free(started->read.dst);
	return started->read.status;
}

static void test_read__punched_after_it_was_looked_up__a_miss_and_no_alarm(void **state)
{
	static struct gate gate;
	struct started first, second;
	struct rig_object object;
	struct rig rig;

	(void)state;
	gate.files = *files_system();
	gate.files.io = gate_io;
	gate.files.context = &gate;
	rig_make(&rig, 1, CAPACITY);
	rig.files = &gate.files;
	roles_open(&rig, RIG_OWN_EVEN);
	rig_object(&object, 1, BLOCKS * RIG_BLOCK_LEN, "/images");
	assert_int_equal(rig_write_all(&rig, &object), 0);
	rig_flush(&rig);
	gate.armed = true;
	start_read(&rig, &first, &object, 0);
	roles_wait(&gate.reached);
	start_read(&rig, &second, &object, 1);
	reload(&rig, 5, 3);
	roles_wait_evicted(&rig, BLOCKS / 2);
	gate.open = true;
	assert_int_equal(wait_read(&first), 0);
	assert_int_equal(wait_read(&second), -ENOENT);
	for (uint64_t block = 0; block < BLOCKS; block++)
		assert_int_equal(store_has(rig.store, &object.store.id, block), block % 2 == 0);
	roles_end(&rig);
}

/* Looks from inside the punching whether the block could be written meanwhile. */
struct intruder {
	struct files files;
	struct rig *rig;
	struct rig_object object;
	_Atomic unsigned punched, admitted;
};

static int intrude_punch(const struct files *files, int fd, uint64_t off, uint64_t len)
{
	struct intruder *intruder = files->context;

	/* Owned, and with replicas to give way, it would be admitted. */
	roles.own = RIG_OWN_ALL;
	intruder->punched++;
	intruder->admitted += store_admit(intruder->rig->store, &intruder->object.store,
					  off / RIG_BLOCK_LEN, (uint32_t)RIG_BLOCK_LEN);
	return files_system()->punch(files, fd, off, len);
}

static void test_admit__block_being_punched__refused(void **state)
{
	static struct intruder intruder;
	struct rig rig;

	(void)state;
	intruder.files = *files_system();
	intruder.files.punch = intrude_punch;
	intruder.files.context = &intruder;
	intruder.rig = &rig;
	rig_make(&rig, 1, CAPACITY);
	rig.files = &intruder.files;
	roles_open(&rig, RIG_OWN_EVEN);
	rig_object(&intruder.object, 1, BLOCKS * RIG_BLOCK_LEN, "/images");
	intruder.object.store.version.key = intruder.object.key;
	assert_int_equal(rig_write_all(&rig, &intruder.object), 0);
	rig_flush(&rig);
	reload(&rig, 5, 3);
	roles_wait_evicted(&rig, BLOCKS / 2);
	assert_int_equal(intruder.punched, BLOCKS / 2);
	assert_int_equal(intruder.admitted, 0);
	reload(&rig, 95, 90);
	roles_write(&rig, &intruder.object);
	assert_int_equal(rig_read_all(&rig, &intruder.object), 0);
	roles_end(&rig);
}

/* --- all at once --- */

#define READERS	     3
#define STEPS	     400
#define RACE_OBJECTS 12

struct racer {
	struct rig *rig;
	unsigned seed;
	_Atomic bool *stop;
	unsigned read, missed;
};

static void *race_reading(void *argument)
{
	struct racer *racer = argument;

	for (unsigned i = racer->seed; !*racer->stop; i++) {
		struct rig_object object;
		int status;

		rig_object(&object, i % RACE_OBJECTS, BLOCKS * RIG_BLOCK_LEN, "/images");
		status = rig_read(racer->rig, &object, i * 7 % BLOCKS, i % 8, 1);
		CHECK(status == 0 || status == -ENOENT);
		racer->read += status == 0;
		racer->missed += status != 0;
	}
	return NULL;
}

/* Blocks are punched and written again under those who read them: bytes or a miss, never an alarm.
 */
static void test_read__while_ownership_moves_and_blocks_are_punched__no_bad_check(void **state)
{
	_Atomic bool stop = false;
	struct racer racers[READERS];
	pthread_t threads[READERS];
	struct rig_object object;
	unsigned read = 0;
	struct rig rig;

	(void)state;
	roles_make(&rig, CACHE_POLICY_LRU, RIG_OWN_EVEN);
	for (unsigned i = 0; i < READERS; i++) {
		racers[i] = (struct racer){ .rig = &rig, .seed = i * 1000, .stop = &stop };
		assert_int_equal(pthread_create(&threads[i], NULL, race_reading, &racers[i]), 0);
	}
	for (unsigned i = 0; i < SLOWED(STEPS); i++) {
		rig_object(&object, i % RACE_OBJECTS, BLOCKS * RIG_BLOCK_LEN, "/images");
		for (uint64_t block = 0; block < BLOCKS; block++)
			rig_write(&rig, &object, block);
		if (i % 20 == 0) {
			roles.own = i / 20 % 2 ? RIG_OWN_EVEN : RIG_OWN_ODD;
			store_owner_changed(rig.store);
			rig_flush(&rig);
		}
	}
	stop = true;
	for (unsigned i = 0; i < READERS; i++) {
		pthread_join(threads[i], NULL);
		read += racers[i].read;
	}
	assert_true(read > 0);
	assert_true(rig_count(&rig, STORE_REPLICAS_EVICTED) > 0);
	roles_check_books(&rig);
	roles_end(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_evict__files_partly_owned__their_replicas_are_punched),
		cmocka_unit_test(test_evict__holes_are_not_supported__only_whole_files_go),
		cmocka_unit_test(test_evict__punching_fails__the_directory_is_taken_out),
		cmocka_unit_test(test_read__bad_block__its_space_is_given_back),
		cmocka_unit_test(test_sweep__bytes_that_the_index_does_not_name__punched),
		cmocka_unit_test(test_read__punched_after_it_was_looked_up__a_miss_and_no_alarm),
		cmocka_unit_test(test_admit__block_being_punched__refused),
		cmocka_unit_test(
			test_read__while_ownership_moves_and_blocks_are_punched__no_bad_check),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
