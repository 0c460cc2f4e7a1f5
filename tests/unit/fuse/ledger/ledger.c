/*
 * Tests of ledger/ledger.h: the memory as a whole, and the connection's part of it. What is adopted
 * of memory that no ledger would have written is in garbage.c, deaths are in deaths.c.
 */
#include "fuse/ledger/ledger.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/digest.h"
#include "fuse/ledger/inside.h"
#include "tests/unit/base/allocation_fault.h"
#include "tests/unit/fuse/ledger/rig.h"

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW)

static struct rig_node nodes[RIG_MAX];
static struct ledger_handle handles[RIG_MAX];
static struct ledger_backing backings[RIG_MAX];

/* --- made, adopted, refused */

static int memory_make(const struct header *header, off_t len, int seals)
{
	int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, len), 0);
	assert_int_equal(pwrite(fd, header, sizeof(*header), 0), sizeof(*header));
	assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
	return fd;
}

static void header_seal(struct header *header)
{
	header->check = digest_crc64(header, offsetof(struct header, check));
}

static void assert_adopt(int fd, int wanted)
{
	struct ledger *ledger = NULL;

	assert_int_equal(ledger_adopt(fd, &ledger), wanted);
	if (wanted) { /* it is not taken */
		assert_null(ledger);
		assert_true(fcntl(fd, F_GETFD) >= 0);
		assert_int_equal(close(fd), 0);
	}
	ledger_destroy(ledger);
}

static void test_adopt__not_a_ledger_of_this_version__is_refused(void **state)
{
	struct ledger *ledger = rig_create();
	struct header good = *ledger->header, bad = good;
	off_t len = lseek(ledger_fd(ledger), 0, SEEK_END);

	(void)state;
	ledger_destroy(ledger);
	assert_adopt(memory_make(&good, len, SEALS), 0);
	assert_adopt(memory_make(&good, len, F_SEAL_GROW), -EBADMSG); /* could be cut off */
	assert_adopt(memory_make(&good, len, SEALS | F_SEAL_WRITE), -EBADMSG);
	assert_adopt(memory_make(&good, len - 4096, SEALS), -EBADMSG);
	assert_adopt(memory_make(&good, len + 4096, SEALS), -EBADMSG);
	bad.check++;
	assert_adopt(memory_make(&bad, len, SEALS), -EBADMSG);
	bad = good;
	bad.magic++;
	header_seal(&bad);
	assert_adopt(memory_make(&bad, len, SEALS), -EBADMSG);
	bad = good;
	bad.version++; /* which may have another check: it is not looked at */
	assert_adopt(memory_make(&bad, len, SEALS), -EPROTONOSUPPORT);
	for (size_t i = 0; i < ARRAY_COUNT(good.shape); i++) {
		bad = good;
		bad.shape[i]++;
		header_seal(&bad);
		assert_adopt(memory_make(&bad, len, SEALS), -EBADMSG);
	}
}

static void test_adopt__not_even_memory__is_refused(void **state)
{
	int ends[2];

	(void)state;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_adopt(ends[0], -EBADMSG);
	assert_adopt(ends[1], -EBADMSG);
	assert_adopt(open("/dev/zero", O_RDWR | O_CLOEXEC), -EBADMSG);
	assert_adopt(open("/proc/self/exe", O_RDONLY | O_CLOEXEC), -EBADMSG);
	assert_adopt(memfd_create("empty", MFD_CLOEXEC), -EBADMSG);
}

static void test_create_and_adopt__no_memory__nothing_is_left(void **state)
{
	struct ledger *ledger = NULL, *next = NULL;
	unsigned n;
	int fd;

	(void)state;
	for (n = 1;; n++) {
		allocation_fault_arm(n);
		int error = ledger_create(&ledger);

		if (!allocation_fault_disarm())
			break;
		assert_int_equal(error, -ENOMEM);
		assert_null(ledger);
	}
	assert_true(n > 3);
	fd = dup(ledger_fd(ledger));
	for (n = 1;; n++) {
		allocation_fault_arm(n);
		int error = ledger_adopt(fd, &next);

		if (!allocation_fault_disarm())
			break;
		assert_int_equal(error, -ENOMEM);
		assert_null(next);
		assert_true(fcntl(fd, F_GETFD) >= 0);
	}
	assert_true(n > 3);
	ledger_destroy(next);
	ledger_destroy(ledger);
	ledger_destroy(NULL);
}

static void test_create__no_descriptor__emfile(void **state)
{
	struct rlimit before, none;
	struct ledger *ledger;
	int error;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = before;
	none.rlim_cur = 0;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	error = ledger_create(&ledger);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_int_equal(error, -EMFILE);
}

static void test_create__can_be_neither_cut_off_nor_passed_on_by_exec(void **state)
{
	struct ledger *ledger = rig_create();

	(void)state;
	assert_int_equal(ftruncate(ledger_fd(ledger), 0), -1);
	assert_int_equal(errno, EPERM);
	assert_true(fcntl(ledger_fd(ledger), F_GETFD) & FD_CLOEXEC);
	ledger_destroy(ledger);
}

/* Its mapping has the flag "dd": do not dump. */
static void test_create__is_not_in_a_core_file(void **state)
{
	struct ledger *ledger = rig_create();
	FILE *maps = fopen("/proc/self/smaps", "re");
	bool ours = false, seen = false;
	char line[512];

	(void)state;
	assert_non_null(maps);
	while (fgets(line, sizeof(line), maps)) {
		if (strstr(line, "memfd:cenote-ledger"))
			ours = true;
		else if (ours && strncmp(line, "VmFlags:", 8) == 0) {
			assert_non_null(strstr(line, " dd"));
			seen = true;
			ours = false;
		}
	}
	assert_true(seen);
	fclose(maps);
	ledger_destroy(ledger);
}

/* 2 GiB of places: what nobody used must not be touched. */
static void test_adopt__looking_at_it_costs_no_memory(void **state)
{
	struct ledger *ledger = rig_create();
	uint64_t empty = rig_memory_used(ledger);
	struct ledger_node node = rig_node(5, "a", "");
	struct ledger_handle handle = { .node = 5, .directory = true };
	struct ledger_backing backing = { .id = 5, .node = 5 };
	uint32_t place;
	uint64_t number;

	(void)state;
	assert_int_equal(empty, 4096);
	ledger = rig_next(ledger);
	assert_int_equal(rig_nodes(ledger, nodes) + rig_handles(ledger, handles) +
				 rig_backings(ledger, backings),
			 0);
	assert_int_equal(ledger_init(ledger, nodes), 0);
	assert_in_range(rig_memory_used(ledger), empty, empty + 8192);
	assert_int_equal(ledger_node_add(ledger, &node, &place), 0);
	assert_int_equal(ledger_handle_add(ledger, &handle, &number), 0);
	assert_int_equal(ledger_backing_add(ledger, &backing), 0);
	ledger = rig_next(ledger);
	assert_in_range(rig_memory_used(ledger), empty, empty + 24576);
	ledger_destroy(ledger);
}

/* --- the connection */

static void test_init__the_next_worker_finds_it(void **state)
{
	uint8_t message[LEDGER_INIT_MAX], out[LEDGER_INIT_MAX];
	struct ledger *ledger = rig_create();

	(void)state;
	for (size_t i = 0; i < sizeof(message); i++)
		message[i] = (uint8_t)(i * 7);
	assert_int_equal(ledger_init(ledger, out), 0);
	ledger_set_init(ledger, message, 104);
	ledger = rig_next(ledger);
	assert_int_equal(ledger_init(ledger, out), 104);
	assert_memory_equal(out, message, 104);
	ledger_set_init(ledger, message, sizeof(message));
	ledger = rig_next(ledger);
	assert_int_equal(ledger_init(ledger, out), sizeof(message));
	assert_memory_equal(out, message, sizeof(message));
	ledger_destroy(ledger);
}

static void test_entries__the_next_worker_finds_them(void **state)
{
	struct ledger *ledger = rig_create();
	uint64_t digests[LEDGER_ENTRIES_MAX];

	(void)state;
	assert_int_equal(ledger_entries_digest(ledger, 0), 0);
	for (unsigned i = 0; i < LEDGER_ENTRIES_MAX; i++)
		digests[i] = i + 1000;
	ledger_set_entries(ledger, digests, LEDGER_ENTRIES_MAX);
	ledger = rig_next(ledger);
	for (unsigned i = 0; i < LEDGER_ENTRIES_MAX; i++)
		assert_int_equal(ledger_entries_digest(ledger, i), i + 1000);
	assert_int_equal(ledger_entries_digest(ledger, LEDGER_ENTRIES_MAX), 0);
	ledger_set_entries(ledger, digests, 2);
	assert_int_equal(ledger_entries_digest(ledger, 1), 1001);
	assert_int_equal(ledger_entries_digest(ledger, 2), 0);
	ledger_destroy(ledger);
}

static void test_inbox__each_has_its_own__the_next_worker_finds_them(void **state)
{
	struct ledger *ledger = rig_create();

	(void)state;
	for (unsigned i = 0; i < LEDGER_INBOXES; i++) {
		assert_int_equal((uintptr_t)ledger_inbox(ledger, i) % 4096, 0);
		memset(ledger_inbox(ledger, i), (int)i + 1, LEDGER_INBOX_LEN);
	}
	ledger = rig_next(ledger);
	for (unsigned i = 0; i < LEDGER_INBOXES; i++)
		for (size_t at = 0; at < LEDGER_INBOX_LEN; at += 4095)
			assert_int_equal(((uint8_t *)ledger_inbox(ledger, i))[at], i + 1);
	ledger_destroy(ledger);
}

/* INIT is read even of another version's: the connection can be served with it. */
static void test_init_of__a_ledger_that_cannot_be_adopted__is_found(void **state)
{
	struct ledger *ledger = rig_create();
	uint8_t out[LEDGER_INIT_MAX];

	(void)state;
	assert_int_equal(ledger_init_of(ledger_fd(ledger), out), 0);
	ledger_set_init(ledger, "message", 8);
	ledger->header->version++;
	assert_int_equal(ledger_check(ledger_fd(ledger)), -EPROTONOSUPPORT);
	assert_int_equal(ledger_init_of(ledger_fd(ledger), out), 8);
	assert_string_equal((char *)out, "message");
	*(uint64_t *)ledger_part(ledger, PART_CONNECTION) = LEDGER_INIT_MAX + 1;
	assert_int_equal(ledger_init_of(ledger_fd(ledger), out), 0);
	*(uint64_t *)ledger_part(ledger, PART_CONNECTION) = 8;
	ledger->header->magic++;
	assert_int_equal(ledger_init_of(ledger_fd(ledger), out), 0);
	ledger_destroy(ledger);
}

/* --- two at once: the one that leaves and the one that takes over */

static void test_check__says_what_adopt_would__while_it_is_written(void **state)
{
	struct ledger *ledger = rig_create();
	struct header header = *ledger->header;
	int fd = memory_make(&header, 8192, SEALS);

	(void)state;
	assert_int_equal(ledger_check(ledger_fd(ledger)), 0);
	assert_int_equal(ledger_check(fd), -EBADMSG);
	close(fd);
	ledger_destroy(ledger);
}

static uint32_t node_add(struct ledger *ledger, uint64_t id)
{
	struct ledger_node node = rig_node(id, "name", "");
	uint32_t place;

	assert_int_equal(ledger_node_add(ledger, &node, &place), 0);
	return place;
}

static void test_disown__what_it_still_does_is_seen_by_nobody(void **state)
{
	struct ledger_handle handle = { .node = 5 };
	struct ledger_backing backing = { .id = 7, .node = 5 };
	struct ledger *leaving = rig_create(), *next;
	uint32_t place = node_add(leaving, 5), other = node_add(leaving, 6);
	uint64_t number;

	(void)state;
	ledger_node_raise(leaving, place, 2);
	assert_int_equal(ledger_handle_add(leaving, &handle, &number), 0);
	assert_int_equal(ledger_backing_add(leaving, &backing), 0);
	next = rig_adopt(leaving);
	ledger_disown(leaving);
	ledger_node_lower(leaving, place, 1);
	ledger_node_remove(leaving, other);
	node_add(leaving, 7);
	ledger_handle_remove(leaving, number);
	ledger_backing_remove(leaving, 7);
	ledger_set_init(leaving, "late", 4);
	ledger_destroy(leaving);
	next = rig_next(next);
	assert_int_equal(rig_nodes(next, nodes), 2);
	assert_int_equal(ledger_node_lookups(next, place), 1);
	assert_int_equal(nodes[1].node.id, 6);
	assert_int_equal(rig_handles(next, handles), 1);
	assert_int_equal(rig_backings(next, backings), 1);
	assert_int_equal(ledger_init(next, nodes), 0);
	ledger_destroy(next);
}

/* Pages that the leaving one did not write to show what the next one makes of them. */
static void test_disown__what_the_other_removed__does_no_harm(void **state)
{
	struct ledger *leaving = rig_create(), *next;
	uint32_t place = node_add(leaving, 5);
	char name[LEDGER_NAME_MAX + 1];
	struct ledger_node node;

	(void)state;
	rig_text(name, 255, 0);
	node = rig_node(6, name, "");
	next = rig_adopt(leaving);
	ledger_disown(leaving);
	ledger_node_remove(next, place);
	ledger_node_raise(leaving, place, 2);
	ledger_node_lower(leaving, place, 1);
	ledger_destroy(leaving);

	assert_int_equal(ledger_node_add(next, &node, &place), 0);
	leaving = next;
	next = rig_adopt(leaving);
	ledger_disown(leaving);
	ledger_node_remove(next, place);
	node.name_len = 1; /* the same place, continued nowhere */
	node.name = "a";
	assert_int_equal(ledger_node_add(next, &node, &place), 0);
	ledger_node_set(leaving, place, &node);
	ledger_node_remove(leaving, place);
	assert_int_equal(rig_nodes(next, nodes), 1);
	ledger_destroy(leaving);
	ledger_destroy(next);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_adopt__not_a_ledger_of_this_version__is_refused),
		cmocka_unit_test(test_adopt__not_even_memory__is_refused),
		cmocka_unit_test(test_create_and_adopt__no_memory__nothing_is_left),
		cmocka_unit_test(test_create__no_descriptor__emfile),
		cmocka_unit_test(test_create__can_be_neither_cut_off_nor_passed_on_by_exec),
		cmocka_unit_test(test_create__is_not_in_a_core_file),
		cmocka_unit_test(test_adopt__looking_at_it_costs_no_memory),
		cmocka_unit_test(test_init__the_next_worker_finds_it),
		cmocka_unit_test(test_entries__the_next_worker_finds_them),
		cmocka_unit_test(test_inbox__each_has_its_own__the_next_worker_finds_them),
		cmocka_unit_test(test_check__says_what_adopt_would__while_it_is_written),
		cmocka_unit_test(test_init_of__a_ledger_that_cannot_be_adopted__is_found),
		cmocka_unit_test(test_disown__what_it_still_does_is_seen_by_nobody),
		cmocka_unit_test(test_disown__what_the_other_removed__does_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
