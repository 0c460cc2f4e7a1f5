/*
 * Tests of fabric/gossip/seal.h.
 */
#include "fabric/gossip/seal.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/bytes.h"
#include "base/check.h"
#include "tests/unit/fabric/gossip/rig.h"

#define TEXT	 "the quick brown fox"
#define TEXT_LEN sizeof(TEXT)

struct pair {
	struct identity a, b;
	struct seal *from, *to;
};

static int pair_setup(void **state)
{
	struct pair *pair = calloc(1, sizeof(*pair));

	assert_non_null(pair);
	pair->a = rig_identity(1);
	pair->b = rig_identity(2);
	assert_int_equal(seal_create(&pair->a, &pair->from), 0);
	assert_int_equal(seal_create(&pair->b, &pair->to), 0);
	*state = pair;
	return 0;
}

static int pair_teardown(void **state)
{
	struct pair *pair = *state;

	seal_destroy(pair->from);
	seal_destroy(pair->to);
	rig_identity_fini(&pair->a);
	rig_identity_fini(&pair->b);
	free(pair);
	return 0;
}

static size_t packet_make(struct pair *pair, uint8_t packet[SEAL_PACKET_MAX])
{
	int len = seal_packet(pair->from, TEXT, TEXT_LEN, packet);

	assert_int_equal(len, TEXT_LEN + SEAL_HEADER_LEN + SEAL_TAG_LEN);
	return (size_t)len;
}

static int packet_open(struct seal *seal, const uint8_t *packet, size_t len)
{
	uint8_t *exact = malloc(len ? len : 1), plain[SEAL_PLAIN_MAX];
	struct seal_sender sender;
	int result;

	/* Exactly its size, so that a sanitizer sees a byte read beyond it. */
	assert_non_null(exact);
	memcpy(exact, packet, len);
	result = seal_open(seal, exact, len, plain, &sender);
	free(exact);
	return result;
}

static void test_open__what_packet_made__is_the_message_and_its_sender(void **state)
{
	struct pair *pair = *state;
	uint8_t packet[SEAL_PACKET_MAX], plain[SEAL_PLAIN_MAX];
	struct seal_sender sender;
	size_t len = packet_make(pair, packet);

	assert_null(memmem(packet, len, TEXT, TEXT_LEN - 1));
	assert_int_equal(seal_open(pair->to, packet, len, plain, &sender), TEXT_LEN);
	assert_memory_equal(plain, TEXT, TEXT_LEN);
	assert_true(member_id_equal(&sender.member, &pair->a.member));
	assert_int_equal(sender.boot, pair->a.boot);
}

static void test_open__largest_and_empty_message__fit(void **state)
{
	static const size_t lens[] = { 0, 1, SEAL_PLAIN_MAX };
	struct pair *pair = *state;
	uint8_t packet[SEAL_PACKET_MAX], plain[SEAL_PLAIN_MAX], out[SEAL_PLAIN_MAX];
	struct seal_sender sender;

	memset(plain, 'x', sizeof(plain));
	for (size_t i = 0; i < ARRAY_COUNT(lens); i++) {
		int len = seal_packet(pair->from, plain, lens[i], packet);

		assert_true(len > 0 && len <= SEAL_PACKET_MAX);
		assert_int_equal(seal_open(pair->to, packet, (size_t)len, out, &sender), lens[i]);
		assert_memory_equal(out, plain, lens[i]);
	}
}

/* Every bit counts, wherever it is; and what was refused does not use up the counter. */
static void test_open__one_bit_changed__is_refused(void **state)
{
	struct pair *pair = *state;
	uint8_t packet[SEAL_PACKET_MAX];
	size_t len = packet_make(pair, packet);

	for (size_t bit = 0; bit < 8 * len; bit++) {
		packet[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_true(packet_open(pair->to, packet, len) < 0);
		packet[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	assert_int_equal(packet_open(pair->to, packet, len), TEXT_LEN);
}

static void test_open__cut_or_longer__is_refused(void **state)
{
	struct pair *pair = *state;
	uint8_t packet[SEAL_PACKET_MAX + 1] = { 0 };
	size_t len = packet_make(pair, packet);

	for (size_t cut = 0; cut < len; cut++)
		assert_true(packet_open(pair->to, packet, cut) < 0);
	assert_true(packet_open(pair->to, packet, len + 1) < 0);
	assert_int_equal(packet_open(pair->to, packet, sizeof(packet)), -EBADMSG);
}

static void test_open__whose_it_is_not__says_why(void **state)
{
	static const struct {
		size_t at;
		uint8_t value;
		int status;
	} rows[] = {
		{ 0, 'X', -EBADMSG }, { 4, SEAL_VERSION + 1, -EPROTONOSUPPORT },
		{ 5, 1, -EBADMSG },   { 6, 1, -EBADMSG },
		{ 8, 0, -ENOKEY },    { 16, 99, -EACCES },
		{ 48, 0, -EACCES },
	};
	struct pair *pair = *state;
	uint8_t packet[SEAL_PACKET_MAX];
	size_t len = packet_make(pair, packet);

	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		uint8_t before = packet[rows[i].at];

		packet[rows[i].at] = rows[i].value ^ (before == rows[i].value);
		assert_int_equal(packet_open(pair->to, packet, len), rows[i].status);
		packet[rows[i].at] = before;
	}
}

static void test_open__another_cluster_of_the_same_key__is_forged(void **state)
{
	struct pair *pair = *state;
	uint8_t packet[SEAL_PACKET_MAX];
	size_t len;

	strcpy(pair->a.cluster, "other");
	len = packet_make(pair, packet);
	assert_int_equal(packet_open(pair->to, packet, len), -EACCES);
}

static void test_open__own_packet__is_a_loop(void **state)
{
	struct pair *pair = *state;
	uint8_t packet[SEAL_PACKET_MAX];
	size_t len = packet_make(pair, packet);

	assert_int_equal(packet_open(pair->from, packet, len), -ELOOP);
}

static void test_open__again__is_a_replay(void **state)
{
	struct pair *pair = *state;
	uint8_t packets[3][SEAL_PACKET_MAX];
	size_t len = 0;

	for (unsigned i = 0; i < 3; i++)
		len = packet_make(pair, packets[i]);
	/* out of order is fine, twice is not */
	assert_int_equal(packet_open(pair->to, packets[2], len), TEXT_LEN);
	assert_int_equal(packet_open(pair->to, packets[0], len), TEXT_LEN);
	assert_int_equal(packet_open(pair->to, packets[1], len), TEXT_LEN);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(packet_open(pair->to, packets[i], len), -EALREADY);
}

/* The window against a plain model of it. */
static void test_open__any_order__each_counter_once_within_the_window(void **state)
{
	enum { COUNT = 2000 };
	struct pair *pair = *state;
	uint8_t(*packets)[128] = calloc(COUNT, sizeof(*packets));
	bool came[COUNT] = { false };
	size_t len = 0, newest = 0;
	unsigned seed = 7;

	assert_non_null(packets);
	for (size_t i = 0; i < COUNT; i++) {
		uint8_t packet[SEAL_PACKET_MAX];

		len = packet_make(pair, packet);
		memcpy(packets[i], packet, len);
	}
	for (unsigned step = 0; step < 4 * COUNT; step++) {
		/* wanders upwards, with jumps back and ahead */
		size_t at = newest + (size_t)rand_r(&seed) % 7;
		bool good;

		if (rand_r(&seed) % 2)
			at = newest > 400 ? newest - (size_t)rand_r(&seed) % 400 : 0;
		if (rand_r(&seed) % 100 == 0)
			at = newest + (size_t)rand_r(&seed) % 300;
		if (at >= COUNT)
			at = COUNT - 1;
		good = !came[at] && (at > newest || newest - at < SEAL_WINDOW);
		assert_int_equal(packet_open(pair->to, packets[at], len),
				 good ? (int)TEXT_LEN : -EALREADY);
		came[at] = came[at] || good;
		newest = at > newest ? at : newest;
	}
	free(packets);
}

static void test_open__ring_exchanged_step_by_step__every_packet_opens(void **state)
{
	struct pair *pair = *state;
	uint8_t packet[SEAL_PACKET_MAX], old_id[KEYRING_ID_LEN], new_id[KEYRING_ID_LEN];
	size_t len;

	rig_key_id(1, old_id);
	rig_key_id(2, new_id);
	rig_add_key(&pair->b, 2);
	len = packet_make(pair, packet);
	assert_int_equal(packet_open(pair->to, packet, len), TEXT_LEN);
	rig_add_key(&pair->a, 2);
	assert_int_equal(keyring_use(pair->a.ring, new_id), 0);
	len = packet_make(pair, packet);
	assert_memory_equal(packet + 8, new_id, KEYRING_ID_LEN);
	assert_int_equal(packet_open(pair->to, packet, len), TEXT_LEN);
	/* counters go on: a packet of the old key is no way around the window */
	assert_int_equal(packet_open(pair->to, packet, len), -EALREADY);
	assert_int_equal(keyring_use(pair->b.ring, new_id), 0);
	assert_int_equal(keyring_remove(pair->b.ring, old_id), 0);
	len = packet_make(pair, packet);
	assert_int_equal(packet_open(pair->to, packet, len), TEXT_LEN);
	assert_int_equal(keyring_use(pair->a.ring, old_id), 0);
	len = packet_make(pair, packet);
	assert_int_equal(packet_open(pair->to, packet, len), -ENOKEY);
}

static void test_open__next_life_of_a_sender__counts_from_the_beginning(void **state)
{
	struct pair *pair = *state;
	uint8_t packet[SEAL_PACKET_MAX];
	struct seal *next;
	size_t len;

	for (unsigned i = 0; i < 10; i++) {
		len = packet_make(pair, packet);
		assert_int_equal(packet_open(pair->to, packet, len), TEXT_LEN);
	}
	pair->a.boot++;
	assert_int_equal(seal_create(&pair->a, &next), 0);
	len = (size_t)seal_packet(next, TEXT, TEXT_LEN, packet);
	assert_int_equal(bytes_get_u64(packet + 40), 1);
	assert_int_equal(packet_open(pair->to, packet, len), TEXT_LEN);
	seal_destroy(next);
}

static void test_create__empty_ring__is_refused(void **state)
{
	struct identity identity = rig_identity(1);
	struct seal *seal;

	(void)state;
	keyring_destroy(identity.ring);
	assert_int_equal(keyring_create(&identity.ring), 0);
	assert_int_equal(seal_create(&identity, &seal), -ENOENT);
	rig_identity_fini(&identity);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, pair_setup, pair_teardown)
		TEST(test_open__what_packet_made__is_the_message_and_its_sender),
		TEST(test_open__largest_and_empty_message__fit),
		TEST(test_open__one_bit_changed__is_refused),
		TEST(test_open__cut_or_longer__is_refused),
		TEST(test_open__whose_it_is_not__says_why),
		TEST(test_open__another_cluster_of_the_same_key__is_forged),
		TEST(test_open__own_packet__is_a_loop),
		TEST(test_open__again__is_a_replay),
		TEST(test_open__any_order__each_counter_once_within_the_window),
		TEST(test_open__ring_exchanged_step_by_step__every_packet_opens),
		TEST(test_open__next_life_of_a_sender__counts_from_the_beginning),
		cmocka_unit_test(test_create__empty_ring__is_refused),
#undef TEST
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
