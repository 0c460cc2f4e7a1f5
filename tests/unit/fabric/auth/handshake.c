/* Handshakes without a network: who is let in, who is not, and what each side says. */
#include "fabric/auth/handshake.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "fabric/auth/message.h"
#include "tests/unit/fabric/auth/pair.h"

static void test_handshake__pieces_of_any_size__agree(void **state)
{
	static const size_t pieces[] = { 0, 1, 2, 7, 8, 9, 100 };
	struct pair pair;

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(pieces); i++) {
		pair_init(&pair);
		pair_begin(&pair);
		pair_run(&pair, pieces[i]);
		pair_assert_agreed(&pair);
		pair_assert_no_secret(&pair.from_client);
		pair_assert_no_secret(&pair.from_server);
		pair_fini(&pair);
	}
}

static void test_handshake__offers_of_any_length__arrive(void **state)
{
	static const size_t lens[] = { 0, 1, HANDSHAKE_OFFER_MAX };
	uint8_t offer[HANDSHAKE_OFFER_MAX], nonce[HANDSHAKE_NONCE_LEN] = { 9 };
	struct pair pair;

	(void)state;
	for (size_t i = 0; i < sizeof(offer); i++)
		offer[i] = (uint8_t)(i * 7);
	for (size_t i = 0; i < ARRAY_COUNT(lens); i++) {
		pair_init(&pair);
		pair_begin(&pair);
		handshake_init_server(&pair.from_server, &pair.server, nonce, 255, offer, lens[i]);
		pair_run(&pair, 0);
		pair_assert_agreed(&pair);
		assert_int_equal(pair.from_client.offer_len, lens[i]);
		assert_int_equal(pair.from_client.kind, 255);
		pair_fini(&pair);
	}
}

static void test_handshake__while_a_key_is_exchanged__agrees(void **state)
{
	static const struct {
		const char *client, *server; /* their keys, the used one first */
	} rows[] = { { "\1", "\1\2" }, { "\1\2", "\2\1" }, { "\2\1", "\1\2" }, { "\2", "\2\1" } };
	struct pair pair;

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		pair_init(&pair);
		keyring_destroy(pair.rings[0]);
		keyring_destroy(pair.rings[1]);
		assert_int_equal(keyring_create(&pair.rings[0]), 0);
		assert_int_equal(keyring_create(&pair.rings[1]), 0);
		for (const char *key = rows[i].client; *key; key++)
			pair_add_key(pair.rings[0], (uint8_t)*key);
		for (const char *key = rows[i].server; *key; key++)
			pair_add_key(pair.rings[1], (uint8_t)*key);
		pair.client.ring = pair.rings[0];
		pair.server.ring = pair.rings[1];
		pair_begin(&pair);
		pair_run(&pair, 0);
		pair_assert_agreed(&pair);
		pair_fini(&pair);
	}
}

static void test_handshake__each__has_its_own_proof(void **state)
{
	uint8_t nonce[HANDSHAKE_NONCE_LEN] = { 1 }, first[HANDSHAKE_PROOF_LEN];
	struct pair pair;

	(void)state;
	pair_init(&pair);
	pair_begin(&pair);
	pair_run(&pair, 0);
	memcpy(first, pair.from_client.proof, sizeof(first));

	pair_begin(&pair);
	handshake_init_server(&pair.from_server, &pair.server, nonce, 2, NULL, 0);
	pair_run(&pair, 0);
	pair_assert_agreed(&pair);
	assert_memory_not_equal(pair.from_client.proof, first, sizeof(first));

	pair_begin(&pair);
	assert_int_equal(handshake_init_client(&pair.from_client, &pair.client, NULL, nonce), 0);
	pair_run(&pair, 0);
	pair_assert_agreed(&pair);
	assert_memory_not_equal(pair.from_client.proof, first, sizeof(first));
	pair_fini(&pair);
}

static void test_init_client__empty_ring__is_said(void **state)
{
	uint8_t nonce[HANDSHAKE_NONCE_LEN] = { 0 };
	struct identity identity = { .cluster = "blue" };
	struct handshake handshake;

	(void)state;
	assert_int_equal(keyring_create(&identity.ring), 0);
	assert_int_equal(handshake_init_client(&handshake, &identity, NULL, nonce), -ENOENT);
	keyring_destroy(identity.ring);
}

/* Each makes one difference between the two. */
static void other_secret(struct pair *pair)
{
	uint8_t id[1][KEYRING_ID_LEN], old[KEYRING_KEYS_MAX][KEYRING_ID_LEN];

	pair_add_key(pair->rings[0], 3);
	keyring_list(pair->rings[0], old);
	memcpy(id[0], old[1], KEYRING_ID_LEN);
	assert_int_equal(keyring_use(pair->rings[0], id[0]), 0);
}

static void other_cluster(struct pair *pair)
{
	strcpy(pair->client.cluster, "green\x1b[2J\"");
}

static void longer_cluster(struct pair *pair)
{
	strcpy(pair->client.cluster, "blueish");
}

static void same_id(struct pair *pair)
{
	pair->client.member = pair->server.member;
}

static void same_node(struct pair *pair)
{
	pair->client.member = pair->server.member;
	pair->client.boot = pair->server.boot;
}

static void test_handshake__of_strangers__is_refused_on_both_sides(void **state)
{
	static const struct {
		void (*make)(struct pair *pair);
		int status;
		const char *text;
	} rows[] = {
		{ other_secret, -EACCES, "wrong secret: the client's key " },
		{ other_cluster, -EACCES,
		  "another cluster: the server is of 'blue', the client of 'green?[2J?'" },
		{ longer_cluster, -EACCES, "the server is of 'blue', the client of 'blueish'" },
		{ same_id, -EREMCHG, "both have the member id 5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e" },
		{ same_node, -EREMCHG, "are one and the same node" },
	};
	struct pair pair;

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		pair_init(&pair);
		rows[i].make(&pair);
		pair_begin(&pair);
		pair_run(&pair, 3);
		pair_assert_refused(&pair, rows[i].status, rows[i].text);
		assert_false(pair.from_client.foreign || pair.from_server.foreign);
		pair_fini(&pair);
	}
}

static void test_handshake__nobodies__may_meet(void **state)
{
	struct pair pair;

	(void)state;
	pair_init(&pair);
	memset(&pair.client.member, 0, sizeof(pair.client.member));
	memset(&pair.server.member, 0, sizeof(pair.server.member));
	pair_begin(&pair);
	pair_run(&pair, 0);
	pair_assert_agreed(&pair);
	pair_fini(&pair);
}

static void test_handshake__with_an_expected_member__only_with_it(void **state)
{
	uint8_t nonce[HANDSHAKE_NONCE_LEN] = { 1 };
	struct member_id other = { { 7 } };
	struct pair pair;

	(void)state;
	pair_init(&pair);
	pair_begin(&pair);
	assert_int_equal(
		handshake_init_client(&pair.from_client, &pair.client, &pair.server.member, nonce),
		0);
	pair_run(&pair, 0);
	pair_assert_agreed(&pair);

	pair_begin(&pair);
	assert_int_equal(handshake_init_client(&pair.from_client, &pair.client, &other, nonce), 0);
	pair_run(&pair, 0);
	pair_assert_refused(
		&pair, -EREMCHG,
		"another member: the client wants 07000000000000000000000000000000, the "
		"server is 5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e");
	pair_fini(&pair);
}

/* The server does not look at whom the client expects: the client does too. */
static void test_handshake__a_server_that_answers_for_another__is_refused(void **state)
{
	uint8_t nonce[HANDSHAKE_NONCE_LEN] = { 1 };
	struct handshake *client;
	struct pair pair;

	(void)state;
	pair_init(&pair);
	pair_begin(&pair);
	client = &pair.from_client;
	assert_int_equal(handshake_init_client(client, &pair.client, NULL, nonce), 0);
	client->expected.bytes[0] = 7; /* after HELLO was written */
	pair_run(&pair, 0);
	pair_assert_refused(&pair, -EREMCHG, "another member: the client wants 07");

	pair_begin(&pair);
	pair.from_client.identity = &pair.server; /* whose HELLO said otherwise */
	pair_run(&pair, 0);
	pair_assert_refused(&pair, -EREMCHG, "one and the same node");
	pair_fini(&pair);
}

static void test_handshake__of_another_version__is_refused_on_both_sides(void **state)
{
	struct pair pair;

	(void)state;
	pair_init(&pair);
	pair_begin(&pair);
	pair.from_client.out[4] = 2;
	pair_run(&pair, 1);
	pair_assert_refused(&pair, -EPROTONOSUPPORT,
			    "another version: the server speaks version 1 of the handshake, the "
			    "client 2");

	pair_begin(&pair);
	pair_step(&pair.from_client, &pair.from_server, 0);
	pair.from_server.out[4] = 9;
	pair_run(&pair, 1);
	pair_assert_refused(&pair, -EPROTONOSUPPORT,
			    "another version: the server speaks version 9 of the handshake, the "
			    "client 1");
	pair_fini(&pair);
}

/* A later version may have other messages of other lengths, but the header and REFUSAL stay. */
static void
test_handshake__a_later_version_with_unknown_messages__is_told_from_garbage(void **state)
{
	static const uint8_t hello[] = { 0xce, 'n', 'o', 't', 3, 77, 0xff, 0xff };
	static const uint8_t refusal[] = { 0xce, 'n', 'o', 't', 3,   15,  8,   0,
					   3,	 0,   'a', 'n', 'c', 'i', 'e', 0x7f };
	struct pair pair;

	(void)state;
	pair_init(&pair);
	pair_begin(&pair);
	assert_int_equal(handshake_input(&pair.from_server, hello, sizeof(hello)),
			 -EPROTONOSUPPORT);
	assert_int_equal(handshake_input(&pair.from_client, refusal, sizeof(refusal)),
			 -EPROTONOSUPPORT);
	assert_string_equal(pair.from_client.problem, "the server refuses: \"ancie?\"");
	pair_fini(&pair);
}

static void test_refuse__no_room__is_told_before_and_after_hello(void **state)
{
	struct pair pair;

	(void)state;
	pair_init(&pair);
	pair_begin(&pair);
	handshake_refuse(&pair.from_server, -EBUSY, "the server is busy");
	pair_run(&pair, 0);
	pair_assert_refused(&pair, -EBUSY, "the server is busy");

	pair_begin(&pair);
	pair_step(&pair.from_client, &pair.from_server, 0);
	pair_step(&pair.from_server, &pair.from_client, 0);
	assert_int_equal(pair_step(&pair.from_client, &pair.from_server, 0), 1);
	handshake_refuse(&pair.from_server, -EBUSY, "the server is busy");
	pair_run(&pair, 0);
	pair_assert_refused(&pair, -EBUSY, "the server is busy");
	pair_fini(&pair);
}

/* The longest texts that the two can make fit into a REFUSAL. */
static void test_refusal__the_longest_texts__arrive_whole(void **state)
{
	struct pair pair;

	(void)state;
	pair_init(&pair);
	memset(pair.client.cluster, 'c', CLUSTER_NAME_MAX - 1);
	memset(pair.server.cluster, 's', CLUSTER_NAME_MAX - 1);
	pair_begin(&pair);
	pair_run(&pair, 0);
	pair_assert_refused(&pair, -EACCES, pair.from_server.problem);
	same_id(&pair);
	pair.client = pair.server;
	pair.client.boot++;
	pair_begin(&pair);
	pair_run(&pair, 0);
	pair_assert_refused(&pair, -EREMCHG, pair.from_server.problem);
	pair_fini(&pair);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_handshake__pieces_of_any_size__agree),
		cmocka_unit_test(test_handshake__offers_of_any_length__arrive),
		cmocka_unit_test(test_handshake__while_a_key_is_exchanged__agrees),
		cmocka_unit_test(test_handshake__each__has_its_own_proof),
		cmocka_unit_test(test_init_client__empty_ring__is_said),
		cmocka_unit_test(test_handshake__of_strangers__is_refused_on_both_sides),
		cmocka_unit_test(test_handshake__nobodies__may_meet),
		cmocka_unit_test(test_handshake__with_an_expected_member__only_with_it),
		cmocka_unit_test(test_handshake__a_server_that_answers_for_another__is_refused),
		cmocka_unit_test(test_handshake__of_another_version__is_refused_on_both_sides),
		cmocka_unit_test(
			test_handshake__a_later_version_with_unknown_messages__is_told_from_garbage),
		cmocka_unit_test(test_refuse__no_room__is_told_before_and_after_hello),
		cmocka_unit_test(test_refusal__the_longest_texts__arrive_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
