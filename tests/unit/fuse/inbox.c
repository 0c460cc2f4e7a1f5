/*
 * Tests of inbox.h.
 */
#include "fuse/inbox.h"

#include <linux/fuse.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define INBOX_LEN 4096
#define CALLS_MAX 16

struct calls {
	struct {
		uint64_t node, count;
	} call[CALLS_MAX];
	unsigned count;
	/* After so many the worker "dies": what is in the inbox then is copied. */
	unsigned dies_in;
	char left[INBOX_LEN];
	const void *inbox;
};

static _Alignas(8) char inbox[INBOX_LEN];
static struct calls calls;

static int setup(void **state)
{
	(void)state;
	memset(inbox, 0, sizeof(inbox));
	memset(&calls, 0, sizeof(calls));
	calls.inbox = inbox;
	return 0;
}

static void forget(void *userdata, uint64_t node, uint64_t count)
{
	struct calls *made = userdata;

	assert_in_range(made->count, 0, CALLS_MAX - 1);
	made->call[made->count].node = node;
	made->call[made->count].count = count;
	if (++made->count == made->dies_in)
		memcpy(made->left, made->inbox, sizeof(made->left));
}

static size_t message(uint32_t opcode, uint64_t node, const void *body, size_t len)
{
	struct fuse_in_header header = { .len = (uint32_t)(sizeof(header) + len),
					 .opcode = opcode,
					 .nodeid = node };

	memcpy(inbox, &header, sizeof(header));
	memcpy(inbox + sizeof(header), body, len);
	return header.len;
}

static size_t message_forget(uint64_t node, uint64_t count)
{
	struct fuse_forget_in in = { .nlookup = count };

	return message(FUSE_FORGET, node, &in, sizeof(in));
}

/* Nodes 1 to @count, node n by n references; the message says that there are @said. */
static size_t message_batch(uint32_t count, uint32_t said)
{
	struct {
		struct fuse_batch_forget_in in;
		struct fuse_forget_one ones[CALLS_MAX];
	} body = { .in = { .count = said } };

	for (uint32_t i = 0; i < count; i++)
		body.ones[i] = (struct fuse_forget_one){ .nodeid = i + 1, .nlookup = i + 1 };
	return message(FUSE_BATCH_FORGET, 0, &body, sizeof(body.in) + count * sizeof(body.ones[0]));
}

static void test_forget__one__is_done_once(void **state)
{
	size_t len = message_forget(7, 3);

	(void)state;
	assert_true(inbox_forget(inbox, len, forget, &calls));
	assert_int_equal(calls.count, 1);
	assert_int_equal(calls.call[0].node, 7);
	assert_int_equal(calls.call[0].count, 3);
	/* The worker dies before it cleared the inbox. */
	assert_true(inbox_leftover(inbox, INBOX_LEN, forget, &calls));
	assert_int_equal(calls.count, 1);
}

static void test_forget__batch__all_are_done(void **state)
{
	size_t len = message_batch(3, 3);

	(void)state;
	assert_true(inbox_forget(inbox, len, forget, &calls));
	assert_int_equal(calls.count, 3);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(calls.call[i].node, i + 1);
		assert_int_equal(calls.call[i].count, i + 1);
	}
}

static void test_forget__death_in_the_middle_of_a_batch__none_is_done_twice(void **state)
{
	size_t len;

	(void)state;
	for (unsigned dies_in = 1; dies_in <= 5; dies_in++) {
		setup(NULL);
		len = message_batch(5, 5);
		calls.dies_in = dies_in;
		assert_true(inbox_forget(inbox, len, forget, &calls));
		/* The next worker finds what was there at that moment. */
		memcpy(inbox, calls.left, sizeof(inbox));
		calls.count = calls.dies_in = 0;
		assert_true(inbox_leftover(inbox, INBOX_LEN, forget, &calls));
		assert_int_equal(calls.count, 5 - dies_in);
		for (unsigned i = 0; i < calls.count; i++)
			assert_int_equal(calls.call[i].node, dies_in + i + 1);
	}
}

static void test_leftover__is_done_and_the_inbox_empty(void **state)
{
	(void)state;
	message_forget(7, 3);
	assert_true(inbox_leftover(inbox, INBOX_LEN, forget, &calls));
	assert_int_equal(calls.count, 1);
	message_forget(8, 3);
	inbox_clear(inbox);
	assert_false(inbox_leftover(inbox, INBOX_LEN, forget, &calls));
	assert_int_equal(calls.count, 1);
}

static void test_leftover__another_request__is_left_to_the_kernel(void **state)
{
	(void)state;
	message(FUSE_LOOKUP, 1, "name", 5);
	assert_false(inbox_leftover(inbox, INBOX_LEN, forget, &calls));
	message(FUSE_RELEASE, 1, "0123456789abcdef01234567", 24);
	assert_false(inbox_leftover(inbox, INBOX_LEN, forget, &calls));
	assert_int_equal(calls.count, 0);
	assert_int_equal(((struct fuse_in_header *)(void *)inbox)->len, 0);
}

static void test_leftover__cut_or_garbage__is_ignored(void **state)
{
	static const struct {
		const char *what;
		uint32_t len, opcode, count; /* len 0: as it is */
	} rows[] = {
		{ "longer than the inbox", INBOX_LEN + 1, FUSE_FORGET, 0 },
		{ "as long as can be", UINT32_MAX, FUSE_BATCH_FORGET, 1 },
		{ "no header", 1, FUSE_FORGET, 0 },
		{ "a header and no count", sizeof(struct fuse_in_header), FUSE_FORGET, 0 },
		{ "half a count", sizeof(struct fuse_in_header) + 4, FUSE_FORGET, 0 },
		{ "a batch of nothing", sizeof(struct fuse_in_header), FUSE_BATCH_FORGET, 1 },
		{ "one more than there are", 0, FUSE_BATCH_FORGET, 4 },
		{ "so many that a length wraps", 0, FUSE_BATCH_FORGET, 0x10000000 },
		{ "as many as can be", 0, FUSE_BATCH_FORGET, UINT32_MAX },
	};
	struct fuse_in_header *header = (void *)inbox;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		message_batch(3, rows[i].count);
		header->opcode = rows[i].opcode;
		if (rows[i].len)
			header->len = rows[i].len;
		if (inbox_leftover(inbox, INBOX_LEN, forget, &calls) || calls.count > 0)
			fail_msg("%s", rows[i].what);
		assert_int_equal(header->len, 0);
	}
}

static void test_leftover__random_bytes__stay_within(void **state)
{
	char *exact = malloc(INBOX_LEN); /* a sanitizer sees its end */

	(void)state;
	assert_non_null(exact);
	srandom(1);
	for (unsigned round = 0; round < 20000; round++) {
		struct fuse_in_header *header = (void *)exact;

		for (unsigned i = 0; i < 128; i++)
			exact[i] = (char)random();
		header->opcode = round & 1 ? FUSE_FORGET : FUSE_BATCH_FORGET;
		header->len %= round & 2 ? 256 : 2 * INBOX_LEN;
		calls.count = 0;
		calls.inbox = exact;
		((struct fuse_batch_forget_in *)(header + 1))->count %= CALLS_MAX;
		(void)inbox_leftover(exact, INBOX_LEN, forget, &calls);
		assert_int_equal(header->len, 0);
	}
	free(exact);
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_forget__one__is_done_once),
		TEST(test_forget__batch__all_are_done),
		TEST(test_forget__death_in_the_middle_of_a_batch__none_is_done_twice),
		TEST(test_leftover__is_done_and_the_inbox_empty),
		TEST(test_leftover__another_request__is_left_to_the_kernel),
		TEST(test_leftover__cut_or_garbage__is_ignored),
		TEST(test_leftover__random_bytes__stay_within),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
