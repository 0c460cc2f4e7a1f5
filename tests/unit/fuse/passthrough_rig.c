/*
 * passthrough_rig.c - see passthrough_rig.h.
 */
#include "tests/unit/fuse/passthrough_rig.h"

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

#define TRIES 20000 /* of a millisecond */

struct backing_table table;
struct kernel kernel;
static const struct channel_backing_ops *real_ops;

int table_open(int connection, int fd)
{
	(void)connection;
	if (table.error)
		return table.error;
	table.len = pread(fd, table.bytes, sizeof(table.bytes), 0);
	table.opens++;
	table.open++;
	CHECK(++table.next < IDS_MAX);
	table.ids[table.next] = true;
	return table.next;
}

int table_close(int connection, int id)
{
	(void)connection;
	CHECK(id > 0 && id <= table.next);
	if (!table.ids[id]) {
		table.missed++;
		return -ENOENT;
	}
	table.ids[id] = false;
	table.closes++;
	table.open--;
	return 0;
}

static const struct channel_backing_ops table_ops = { .open = table_open, .close = table_close };

int pass_make(uint32_t flags2, int error)
{
	real_ops = channel_backing_ops;
	channel_backing_ops = &table_ops;
	memset(&table, 0, sizeof(table));
	table.error = error;
	kernel_setup_on_disk(&kernel);
	kernel.rig.config.passthrough = MOUNT_PASSTHROUGH_AUTO;
	kernel.init_flags2 = flags2;
	kernel_start(&kernel);
	return 0;
}

int pass_setup(void **state)
{
	(void)state;
	return pass_make(~0u, 0);
}

int pass_teardown(void **state)
{
	(void)state;
	kernel_stop(&kernel);
	assert_int_equal(table.open, 0);
	channel_backing_ops = real_ops;
	return kernel_remove(&kernel);
}

struct fuse_entry_out pass_look_up(void)
{
	struct fuse_entry_out entry;

	assert_int_equal(kernel_lookup(&kernel, 1, "a", &entry), 0);
	assert_true(entry.nodeid != 0);
	return entry;
}

/* OPEN. Return: the error; *out_id: the backing id, or 0: direct. */
int pass_open(uint64_t node, uint64_t *out_handle, int *out_id)
{
	struct fuse_open_in in = { 0 };
	struct fuse_open_out out;
	int err = kernel_ask(&kernel, FUSE_OPEN, node, &in, sizeof(in));
	int32_t id;

	*out_handle = 0;
	*out_id = 0;
	if (err)
		return err;
	memcpy(&out, kernel.reply.data, sizeof(out));
	memcpy(&id, kernel.reply.data + sizeof(out) - sizeof(id), sizeof(id));
	*out_handle = out.fh;
	*out_id = id;
	assert_int_equal(!!(out.open_flags & OPEN_PASSTHROUGH), id != 0);
	/* The kernel refuses any of these beside passthrough. */
	assert_int_equal(!!(out.open_flags & FOPEN_DIRECT_IO), id == 0);
	assert_int_equal(!!(out.open_flags & FOPEN_KEEP_CACHE), id == 0);
	return 0;
}

void pass_release(uint64_t node, uint64_t handle)
{
	kernel_release(&kernel, FUSE_RELEASE, node, handle);
}

uint64_t pass_verified(void)
{
	uint64_t queued;

	return cache_handout_count(kernel.cache, &queued);
}

void pass_await_verified(unsigned count)
{
	for (unsigned tries = 0; pass_verified() < count; tries++) {
		assert_true(tries < TRIES);
		usleep(1000);
	}
}

void pass_read_whole(uint64_t node, uint64_t handle)
{
	struct fuse_read_in in = { .fh = handle, .size = SIZE };
	char expected[SIZE];

	assert_int_equal(kernel_ask(&kernel, FUSE_READ, node, &in, sizeof(in)), 0);
	assert_int_equal(kernel.reply_len, SIZE);
	fake_bytes("e1", 0, expected, SIZE);
	assert_memory_equal(kernel.reply.data, expected, SIZE);
}

/* "a" is whole on the SSD and verified. Return: its first node, a direct one that is open. */
uint64_t pass_fill(uint64_t *out_handle)
{
	uint64_t node;
	int id;

	fake_put(&kernel.rig.fake, "a", SIZE, "e1");
	node = pass_look_up().nodeid;
	assert_int_equal(pass_open(node, out_handle, &id), 0);
	assert_int_equal(id, 0);
	pass_read_whole(node, *out_handle);
	assert_int_equal(cache_flush(kernel.cache, 20 * NS_PER_S), 0);
	pass_await_verified(1);
	return node;
}

/* The same, and the node that follows it, in passthrough mode. */
uint64_t pass_fill_and_follow(void)
{
	uint64_t handle, node = pass_fill(&handle);
	struct fuse_entry_out entry;
	int id;

	assert_int_equal(pass_open(node, &handle, &id), -ESTALE);
	entry = pass_look_up();
	assert_int_not_equal(entry.nodeid, node);
	return entry.nodeid;
}

/* --- another worker --- */

void pass_cache_again(void)
{
	char problem[256];

	cache_stop(kernel.cache);
	cache_destroy(kernel.cache);
	assert_int_equal(cache_create(&kernel.cache_config, clock_system(), &kernel.cache, problem,
				      sizeof(problem)),
			 0);
}

/* The worker dies with its cache, and another takes over what is on the SSD. */
void pass_replace(void)
{
	kernel_die(&kernel);
	pass_cache_again();
	assert_int_equal(kernel_take_over(&kernel), 0);
}

static int count_one(void *context, const struct ledger_backing *backing)
{
	unsigned *count = context;

	assert_true(backing->id > 0);
	(*count)++;
	return 0;
}

unsigned pass_recorded(void)
{
	unsigned count = 0;
	struct ledger *ledger;

	pthread_mutex_lock(&kernel.mount->passthrough.lock);
	assert_int_equal(ledger_adopt(dup(ledger_fd(kernel.mount->ledger)), &ledger), 0);
	assert_int_equal(ledger_backings_each(ledger, count_one, &count), 0);
	ledger_destroy(ledger);
	pthread_mutex_unlock(&kernel.mount->passthrough.lock);
	return count;
}

void pass_await_open(unsigned count)
{
	for (unsigned tries = 0; table.open != (int)count || pass_recorded() != count; tries++) {
		assert_true(tries < TRIES);
		usleep(1000);
	}
}

/* As pass_fill_and_follow(), and nobody has it open. */
uint64_t pass_follow_alone(void)
{
	uint64_t old, none, node = pass_fill(&old);
	int id;

	assert_int_equal(pass_open(node, &none, &id), -ESTALE);
	pass_release(node, old);
	return pass_look_up().nodeid;
}

void pass_check_nothing_left(void)
{
	assert_int_equal(kernel_counter(&kernel, MOUNT_BACKING_FILES), 0);
	assert_int_equal(kernel_counter(&kernel, MOUNT_HANDLES), 0);
	clock_manual_advance(&kernel.rig.clock, IDLE_AGE);
	pass_await_open(0);
}

void pass_object_path(char out[500])
{
	char text[OBJECT_ID_TEXT_LEN];
	struct object_version version = { .backing = kernel.rig.fake.backing.id,
					  .bucket = "k",
					  .key = "a",
					  .etag = "e1",
					  .size = SIZE };
	struct object_id id;

	object_id_of(&version, &id);
	object_id_text(&id, text);
	snprintf(out, 500, "%s/0/objects/%.2s/%s", kernel.directory, text, text);
}
