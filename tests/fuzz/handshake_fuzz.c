/*
 * handshake_fuzz.c - whatever comes over the wire, a side agrees only with one that has the key.
 *
 * The first byte picks a game. STRANGER: the rest is what a server and a client receive from one
 * who has no key; neither agrees. MIDDLE: the rest is edits, three bytes each (which message,
 * where, what to change), made on the way between two that have it; a client that agrees received
 * just what was sent. INSIDER: the rest is an offer of one who has the key.
 */
/* fuzz-links: cenote_auth cenote_fabric cenote_base */
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/check.h"
#include "fabric/auth/handshake.h"
#include "fabric/keyring.h"

#define PIECE_LEN 61
#define STEPS_MAX 4

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static struct identity client_identity = { .cluster = "fuzz", .member = { { 1 } }, .boot = 1 };
static struct identity server_identity = { .cluster = "fuzz", .member = { { 2 } }, .boot = 2 };
static struct handshake client, server;

static void begin(const uint8_t *offer, size_t offer_len)
{
	static const uint8_t nonces[2][HANDSHAKE_NONCE_LEN] = { { 0xaa }, { 0xbb } };
	static const uint8_t key[KEYRING_KEY_LEN] = { 0x6b, 0x65, 0x79 };

	if (!client_identity.ring) {
		CHECK(keyring_create(&client_identity.ring) == 0);
		CHECK(keyring_add(client_identity.ring, key) == 0);
		server_identity.ring = client_identity.ring;
	}
	CHECK(handshake_init_client(&client, &client_identity, NULL, nonces[0]) == 0);
	handshake_init_server(&server, &server_identity, nonces[1], 1, offer, offer_len);
}

static void check(const struct handshake *handshake, int status)
{
	CHECK(memchr(handshake->problem, '\0', sizeof(handshake->problem)));
	CHECK((status < 0) == (handshake->state == HANDSHAKE_REFUSED));
	CHECK((status == 1) == (handshake->state == HANDSHAKE_DONE));
	CHECK((status < 0) == (handshake->problem[0] != '\0'));
	for (const char *p = handshake->problem; *p; p++)
		CHECK(*p >= ' ' && *p <= '~');
}

/* In pieces, as TCP may cut it. */
static void feed(struct handshake *handshake, const uint8_t *data, size_t len)
{
	while (len) {
		size_t piece = len < PIECE_LEN ? len : PIECE_LEN;

		check(handshake, handshake_input(handshake, data, piece));
		data += piece;
		len -= piece;
	}
}

static void play_stranger(const uint8_t *data, size_t len)
{
	begin(NULL, 0);
	feed(&server, data, len);
	feed(&client, data, len);
	CHECK(server.state != HANDSHAKE_DONE && client.state != HANDSHAKE_DONE);
}

/* Return: whether something of message number @step, which is in @from's out, was changed. */
static bool edit(struct handshake *from, unsigned step, const uint8_t *data, size_t len)
{
	uint8_t before[HANDSHAKE_MESSAGE_MAX];

	memcpy(before, from->out, from->out_len);
	for (; len >= 3; data += 3, len -= 3)
		if (data[0] % STEPS_MAX == step && from->out_len)
			from->out[data[1] % from->out_len] ^= data[2];
	return memcmp(before, from->out, from->out_len) != 0;
}

static void play_middle(const uint8_t *data, size_t len)
{
	static const uint8_t offer[] = "offer";
	bool changed = false;

	begin(offer, sizeof(offer));
	for (unsigned step = 0; step < STEPS_MAX; step++) {
		struct handshake *from = step % 2 ? &server : &client;
		struct handshake *to = step % 2 ? &client : &server;

		changed |= edit(from, step, data, len);
		feed(to, from->out, from->out_len);
		handshake_sent(from, from->out_len);
		if (step == 2)
			CHECK((server.state == HANDSHAKE_DONE) == !changed);
	}
	CHECK((client.state == HANDSHAKE_DONE) == !changed);
}

static void play_insider(const uint8_t *data, size_t len)
{
	size_t offer_len = len < HANDSHAKE_OFFER_MAX ? len : HANDSHAKE_OFFER_MAX;

	begin(data, offer_len);
	for (unsigned step = 0; step < STEPS_MAX; step++) {
		struct handshake *from = step % 2 ? &server : &client;

		feed(step % 2 ? &client : &server, from->out, from->out_len);
		handshake_sent(from, from->out_len);
	}
	CHECK(client.state == HANDSHAKE_DONE && server.state == HANDSHAKE_DONE);
	CHECK(!memcmp(client.proof, server.proof, HANDSHAKE_PROOF_LEN));
	CHECK(client.offer_len == offer_len && !memcmp(client.offer, data, offer_len));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static void (*const games[])(const uint8_t *data, size_t len) = {
		play_stranger,
		play_middle,
		play_insider,
	};

	if (!len)
		return 0;
	games[data[0] % ARRAY_COUNT(games)](data + 1, len - 1);
	handshake_fini(&client);
	handshake_fini(&server);
	return 0;
}
