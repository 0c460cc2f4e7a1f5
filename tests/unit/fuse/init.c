/*
 * Tests of init.h.
 */
#include "fuse/init.h"

#include <linux/fuse.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#define MMAP	    (1u << 4)
#define PASSTHROUGH (1u << 5)
#define RESEND	    (1u << 7)

struct message {
	struct fuse_in_header header;
	struct fuse_init_in in;
};

static struct message message_of(uint32_t flags, uint32_t flags2)
{
	return (struct message){
		.header = { .len = sizeof(struct message), .opcode = FUSE_INIT },
		.in = { .major = 7, .minor = 40, .flags = flags, .flags2 = flags2 },
	};
}

static void test_offer__rows(void **state)
{
	static const struct {
		uint32_t flags, flags2;
		bool mmap, passthrough, resend;
	} rows[] = {
		{ FUSE_INIT_EXT, 0, false, false, false },
		{ FUSE_INIT_EXT, MMAP, true, false, false },
		{ FUSE_INIT_EXT, PASSTHROUGH, false, true, false },
		{ FUSE_INIT_EXT, RESEND, false, false, true },
		{ FUSE_INIT_EXT, UINT32_MAX, true, true, true },
		{ ~FUSE_INIT_EXT, UINT32_MAX, false, false, false }, /* flags2 is not there */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct message message = message_of(rows[i].flags, rows[i].flags2);
		struct init_offer offer;

		assert_true(init_offer(&message, sizeof(message), &offer));
		assert_int_equal(offer.mmap, rows[i].mmap);
		assert_int_equal(offer.passthrough, rows[i].passthrough);
		assert_int_equal(offer.resend, rows[i].resend);
	}
}

static void test_offer__an_old_kernels_short_init__offers_nothing(void **state)
{
	struct message message = message_of(UINT32_MAX, UINT32_MAX);
	struct init_offer offer;

	(void)state;
	message.header.len = sizeof(message.header) + 16;
	assert_true(init_offer(&message, message.header.len, &offer));
	assert_false(offer.mmap || offer.passthrough || offer.resend);
}

static void test_offer__not_init__is_refused(void **state)
{
	struct message message = message_of(0, 0);
	struct init_offer offer;

	(void)state;
	assert_false(init_offer(&message, sizeof(message.header) - 1, &offer));
	assert_false(init_offer(&message, sizeof(message) - 1, &offer)); /* cut */
	assert_false(init_offer(&message, 0, &offer));
	message.header.opcode = FUSE_LOOKUP;
	assert_false(init_offer(&message, sizeof(message), &offer));
}

static void test_complete__passthrough__with_a_stack_depth(void **state)
{
	const struct init_offer offer = { .mmap = true, .passthrough = true };
	struct fuse_init_out out = { 0 };
	uint32_t depth;

	(void)state;
	init_complete(&offer, 64, &out);
	assert_int_equal(out.flags2, MMAP | PASSTHROUGH);
	assert_int_equal(out.max_background, 64);
	assert_int_equal(out.congestion_threshold, 48);
	memcpy(&depth, (char *)&out + offsetof(struct fuse_init_out, flags2) + 4, sizeof(depth));
	assert_int_equal(depth, 1);
}

static void test_complete__nothing_offered__asks_for_nothing(void **state)
{
	const struct init_offer offer = { 0 };
	struct fuse_init_out out = { 0 };

	(void)state;
	init_complete(&offer, 64, &out);
	assert_int_equal(out.flags2, 0);
	assert_int_equal(out.max_pages, 256);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_offer__rows),
		cmocka_unit_test(test_offer__an_old_kernels_short_init__offers_nothing),
		cmocka_unit_test(test_offer__not_init__is_refused),
		cmocka_unit_test(test_complete__passthrough__with_a_stack_depth),
		cmocka_unit_test(test_complete__nothing_offered__asks_for_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
