/* pair.c - see pair.h. */
#include "tests/unit/fabric/auth/pair.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"

#define OFFER "where to connect"

static void identity_of(struct identity *identity, uint8_t number, struct keyring *ring)
{
	*identity = (struct identity){ .cluster = "blue", .boot = 100u + number, .ring = ring };
	memset(identity->member.bytes, number, MEMBER_ID_LEN);
}

void pair_add_key(struct keyring *ring, uint8_t number)
{
	uint8_t key[KEYRING_KEY_LEN];

	memset(key, number, sizeof(key));
	CHECK(keyring_add(ring, key) == 0);
}

void pair_init(struct pair *pair)
{
	memset(pair, 0, sizeof(*pair));
	for (unsigned i = 0; i < 2; i++) {
		CHECK(keyring_create(&pair->rings[i]) == 0);
		pair_add_key(pair->rings[i], 1);
	}
	identity_of(&pair->client, 0xc1, pair->rings[0]);
	identity_of(&pair->server, 0x5e, pair->rings[1]);
}

void pair_begin(struct pair *pair)
{
	uint8_t client_nonce[HANDSHAKE_NONCE_LEN], server_nonce[HANDSHAKE_NONCE_LEN];

	memset(client_nonce, 0x11, sizeof(client_nonce));
	memset(server_nonce, 0x22, sizeof(server_nonce));
	CHECK(!handshake_init_client(&pair->from_client, &pair->client, NULL, client_nonce));
	handshake_init_server(&pair->from_server, &pair->server, server_nonce, 2,
			      (const uint8_t *)OFFER, strlen(OFFER));
}

void pair_fini(struct pair *pair)
{
	handshake_fini(&pair->from_client);
	handshake_fini(&pair->from_server);
	for (unsigned i = 0; i < 2; i++)
		keyring_destroy(pair->rings[i]);
}

int pair_step(struct handshake *from, struct handshake *to, size_t piece)
{
	int status = 0;

	while (from->out_len) {
		size_t len = piece && piece < from->out_len ? piece : from->out_len;

		status = handshake_input(to, from->out, len);
		handshake_sent(from, len);
	}
	return status;
}

void pair_run(struct pair *pair, size_t piece)
{
	while (pair->from_client.out_len || pair->from_server.out_len) {
		pair_step(&pair->from_client, &pair->from_server, piece);
		pair_step(&pair->from_server, &pair->from_client, piece);
	}
}

void pair_assert_agreed(const struct pair *pair)
{
	const struct handshake *client = &pair->from_client, *server = &pair->from_server;

	assert_int_equal(client->state, HANDSHAKE_DONE);
	assert_int_equal(server->state, HANDSHAKE_DONE);
	assert_memory_equal(client->proof, server->proof, HANDSHAKE_PROOF_LEN);
	assert_true(member_id_equal(&client->peer, &pair->server.member));
	assert_true(member_id_equal(&server->peer, &pair->client.member));
	assert_int_equal(client->peer_boot, pair->server.boot);
	assert_int_equal(server->peer_boot, pair->client.boot);
	assert_int_equal(client->kind, server->kind);
	assert_int_equal(client->offer_len, server->offer_len);
	assert_memory_equal(client->offer, server->offer, server->offer_len);
}

void pair_assert_no_secret(const struct handshake *handshake)
{
	static const uint8_t none[32];

	assert_memory_equal(handshake->key, none, sizeof(none));
	if (handshake->state == HANDSHAKE_REFUSED)
		assert_memory_equal(handshake->proof, none, sizeof(none));
}

void pair_assert_refused(const struct pair *pair, int status, const char *text)
{
	const struct handshake *sides[] = { &pair->from_client, &pair->from_server };
	unsigned claims = 0;

	for (size_t i = 0; i < ARRAY_COUNT(sides); i++) {
		assert_int_equal(sides[i]->state, HANDSHAKE_REFUSED);
		assert_int_equal(sides[i]->status, status);
		assert_non_null(strstr(sides[i]->problem, text));
		claims += sides[i]->by_other;
		assert_int_equal(sides[i]->by_other, strstr(sides[i]->problem, "refuses: \"") != 0);
		pair_assert_no_secret(sides[i]);
	}
	assert_int_equal(claims, 1);
}
