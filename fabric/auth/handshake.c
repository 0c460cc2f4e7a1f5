/*
 * handshake.c - the machine: gathers one message at a time, checks it in the state that waits for
 * it, and answers.
 *
 * All HMACs are over a label and the transcript: HELLO as it was sent, and CHALLENGE up to its MAC.
 * The key of them is derived from the ring's key for this purpose alone.
 */
#include "fabric/auth/handshake.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/digest.h"
#include "fabric/auth/message.h"
#include "fabric/keyring.h"

#define LABEL_LEN 16
#define MAC_INPUT_MAX                                                                              \
	(LABEL_LEN + HANDSHAKE_TRANSCRIPT_MAX + MESSAGE_HEADER_LEN + MESSAGE_WELCOME_LEN_MAX)

static_assert(2 * MESSAGE_HEADER_LEN + MESSAGE_HELLO_LEN + MESSAGE_CHALLENGE_LEN -
			      MESSAGE_MAC_LEN <=
		      HANDSHAKE_TRANSCRIPT_MAX,
	      "the transcript has room");
static_assert(3 * MESSAGE_HEADER_LEN + MESSAGE_CHALLENGE_LEN + MESSAGE_WELCOME_LEN_MAX +
			      MESSAGE_REFUSAL_LEN_MAX <=
		      HANDSHAKE_MESSAGE_MAX,
	      "all that a side can ever have to say at once has room");
static_assert(HANDSHAKE_PROOF_LEN == DIGEST_SHA256_LEN && MESSAGE_MAC_LEN == DIGEST_SHA256_LEN,
	      "MACs and proofs are HMAC-SHA-256");

/* One length each, so that no label with what follows it is the beginning of another. */
static const char label_server[LABEL_LEN] = "cenote server";
static const char label_client[LABEL_LEN] = "cenote client";
static const char label_welcome[LABEL_LEN] = "cenote welcome";
static const char label_proof[LABEL_LEN] = "cenote proof";

static bool ended(const struct handshake *handshake)
{
	return handshake->state == HANDSHAKE_DONE || handshake->state == HANDSHAKE_REFUSED;
}

static void mac(const struct handshake *handshake, const char label[LABEL_LEN], const void *more,
		size_t more_len, uint8_t out[MESSAGE_MAC_LEN])
{
	uint8_t input[MAC_INPUT_MAX];
	size_t len = LABEL_LEN + handshake->transcript_len;

	CHECK(more_len <= sizeof(input) - len);
	memcpy(input, label, LABEL_LEN);
	memcpy(input + LABEL_LEN, handshake->transcript, handshake->transcript_len);
	if (more_len)
		memcpy(input + len, more, more_len);
	digest_hmac_sha256(handshake->key, sizeof(handshake->key), input, len + more_len, out);
}

static bool mac_good(const struct handshake *handshake, const char label[LABEL_LEN],
		     const void *more, size_t more_len, const uint8_t theirs[MESSAGE_MAC_LEN])
{
	uint8_t good[MESSAGE_MAC_LEN];
	bool equal;

	mac(handshake, label, more, more_len, good);
	equal = CRYPTO_memcmp(good, theirs, sizeof(good)) == 0;
	OPENSSL_cleanse(good, sizeof(good)); /* it is the answer that was not given */
	return equal;
}

static void remember(struct handshake *handshake, const uint8_t *data, size_t len)
{
	CHECK(len <= sizeof(handshake->transcript) - handshake->transcript_len);
	memcpy(handshake->transcript + handshake->transcript_len, data, len);
	handshake->transcript_len += len;
}

/* Appends a message to out. Return: its body, to be filled in. */
static uint8_t *append(struct handshake *handshake, enum message_type type, size_t len)
{
	uint8_t *message = handshake->out + handshake->out_len;

	CHECK(len + MESSAGE_HEADER_LEN <= sizeof(handshake->out) - handshake->out_len);
	message_encode_header(type, len, message);
	handshake->out_len += MESSAGE_HEADER_LEN + len;
	return message + MESSAGE_HEADER_LEN;
}

static void end(struct handshake *handshake, enum handshake_state state)
{
	handshake->state = state;
	OPENSSL_cleanse(handshake->key, sizeof(handshake->key));
	if (state == HANDSHAKE_REFUSED)
		OPENSSL_cleanse(handshake->proof, sizeof(handshake->proof));
}

static int __attribute__((format(printf, 3, 4)))
refuse(struct handshake *handshake, enum message_code code, const char *format, ...)
{
	uint8_t body[MESSAGE_REFUSAL_LEN_MAX];
	va_list arguments;
	size_t len;

	va_start(arguments, format);
	vsnprintf(handshake->problem, sizeof(handshake->problem), format, arguments);
	va_end(arguments);
	handshake->status = message_code_status((uint16_t)code);
	if (handshake->state == HANDSHAKE_DONE)
		handshake->out_len = 0; /* the WELCOME, which no longer holds */
	len = message_encode_refusal(code, handshake->problem, body);
	memcpy(append(handshake, MESSAGE_REFUSAL, len), body, len);
	end(handshake, HANDSHAKE_REFUSED);
	return handshake->status;
}

static struct message_greeting greeting_of(const struct handshake *handshake)
{
	struct message_greeting greeting = {
		.member = handshake->identity->member,
		.boot = handshake->identity->boot,
		.expected = handshake->expected,
	};

	memcpy(greeting.cluster, handshake->identity->cluster, CLUSTER_NAME_MAX);
	memcpy(greeting.nonce, handshake->nonce, HANDSHAKE_NONCE_LEN);
	return greeting;
}

static void init(struct handshake *handshake, enum handshake_role role,
		 const struct identity *identity, const uint8_t nonce[HANDSHAKE_NONCE_LEN])
{
	memset(handshake, 0, sizeof(*handshake));
	handshake->role = role;
	handshake->identity = identity;
	memcpy(handshake->nonce, nonce, HANDSHAKE_NONCE_LEN);
}

static void derive_key(struct handshake *handshake, struct keyring_key *from)
{
	static const char purpose[] = "cenote fabric handshake";

	keyring_derive(from, purpose, strlen(purpose), handshake->key, sizeof(handshake->key));
	keyring_key_wipe(from);
}

int handshake_init_client(struct handshake *handshake, const struct identity *identity,
			  const struct member_id *expected,
			  const uint8_t nonce[HANDSHAKE_NONCE_LEN])
{
	struct message_greeting greeting;
	struct keyring_key key;
	int error = keyring_used(identity->ring, &key);

	if (error)
		return error;
	init(handshake, HANDSHAKE_CLIENT, identity, nonce);
	if (expected)
		handshake->expected = *expected;
	greeting = greeting_of(handshake);
	memcpy(greeting.key_id, key.id, KEYRING_ID_LEN);
	derive_key(handshake, &key);
	message_encode_hello(&greeting, append(handshake, MESSAGE_HELLO, MESSAGE_HELLO_LEN));
	remember(handshake, handshake->out, handshake->out_len);
	handshake->state = HANDSHAKE_WAITS_CHALLENGE;
	return 0;
}

void handshake_init_server(struct handshake *handshake, const struct identity *identity,
			   const uint8_t nonce[HANDSHAKE_NONCE_LEN], int kind, const uint8_t *offer,
			   size_t offer_len)
{
	CHECK(offer_len <= HANDSHAKE_OFFER_MAX && kind >= 0 && kind <= UINT8_MAX);
	init(handshake, HANDSHAKE_SERVER, identity, nonce);
	handshake->kind = kind;
	if (offer_len)
		memcpy(handshake->offer, offer, offer_len);
	handshake->offer_len = offer_len;
	handshake->state = HANDSHAKE_WAITS_HELLO;
}

void handshake_refuse(struct handshake *handshake, int status, const char *why)
{
	CHECK(handshake->state != HANDSHAKE_REFUSED);
	refuse(handshake, message_status_code(status), "%s", why);
}

/* Both sides are in one cluster, as they say. */
static int check_cluster(struct handshake *handshake, const struct message_greeting *theirs)
{
	bool serving = handshake->role == HANDSHAKE_SERVER;
	char our_text[CLUSTER_NAME_MAX], their_text[CLUSTER_NAME_MAX];
	const char *ours = handshake->identity->cluster;

	if (!strcmp(theirs->cluster, ours))
		return 0;
	message_printable(ours, strlen(ours), our_text);
	message_printable(theirs->cluster, strlen(theirs->cluster), their_text);
	return refuse(handshake, MESSAGE_CODE_CLUSTER,
		      "another cluster: the server is of '%s', the client of '%s'",
		      serving ? our_text : their_text, serving ? their_text : our_text);
}

static int check_not_self(struct handshake *handshake, const struct message_greeting *theirs)
{
	const struct identity *ours = handshake->identity;
	char text[MEMBER_ID_TEXT];

	if (!member_id_equal(&theirs->member, &ours->member) || member_id_is_none(&ours->member))
		return 0;
	if (theirs->boot == ours->boot)
		return refuse(handshake, MESSAGE_CODE_SELF,
			      "the client and the server are one and the same node: it was given "
			      "its own address as that of another");
	digest_hex(ours->member.bytes, MEMBER_ID_LEN, text);
	return refuse(handshake, MESSAGE_CODE_SELF,
		      "the client and the server both have the member id %s: one's state directory "
		      "was copied from the other's; empty it on one of them",
		      text);
}

static int check_expected(struct handshake *handshake, const struct member_id *wanted,
			  const struct member_id *answers)
{
	char wanted_text[MEMBER_ID_TEXT], answers_text[MEMBER_ID_TEXT];

	if (member_id_is_none(wanted) || member_id_equal(wanted, answers))
		return 0;
	digest_hex(wanted->bytes, MEMBER_ID_LEN, wanted_text);
	digest_hex(answers->bytes, MEMBER_ID_LEN, answers_text);
	return refuse(handshake, MESSAGE_CODE_MEMBER,
		      "another member: the client wants %s, the server is %s", wanted_text,
		      answers_text);
}

/* The key by which the client wants to prove itself. */
static int find_key(struct handshake *handshake, const uint8_t id[KEYRING_ID_LEN])
{
	struct keyring_key key;
	char text[KEYRING_ID_TEXT];

	if (keyring_find(handshake->identity->ring, id, &key)) {
		digest_hex(id, KEYRING_ID_LEN, text);
		return refuse(handshake, MESSAGE_CODE_SECRET,
			      "wrong secret: the client's key %s is not among the server's keys",
			      text);
	}
	derive_key(handshake, &key);
	return 0;
}

static int refuse_garbled(struct handshake *handshake)
{
	return refuse(handshake, MESSAGE_CODE_PROTOCOL, "not a handshake: a field is garbled");
}

static int take_hello(struct handshake *handshake, const uint8_t *body)
{
	struct message_greeting hello, ours = greeting_of(handshake);
	uint8_t *answer;
	int error;

	if (message_decode_hello(body, &hello))
		return refuse_garbled(handshake);
	error = check_cluster(handshake, &hello);
	if (!error)
		error = find_key(handshake, hello.key_id);
	if (!error)
		error = check_not_self(handshake, &hello);
	if (!error)
		error = check_expected(handshake, &hello.expected, &handshake->identity->member);
	if (error)
		return error;
	handshake->peer = hello.member;
	handshake->peer_boot = hello.boot;
	remember(handshake, handshake->in, handshake->in_len);

	answer = append(handshake, MESSAGE_CHALLENGE, MESSAGE_CHALLENGE_LEN);
	message_encode_challenge(&ours, answer);
	remember(handshake, answer - MESSAGE_HEADER_LEN,
		 MESSAGE_HEADER_LEN + MESSAGE_CHALLENGE_LEN - MESSAGE_MAC_LEN);
	mac(handshake, label_server, NULL, 0, answer + MESSAGE_CHALLENGE_LEN - MESSAGE_MAC_LEN);
	handshake->state = HANDSHAKE_WAITS_PROOF;
	return 0;
}

static int take_challenge(struct handshake *handshake, const uint8_t *body)
{
	struct message_greeting challenge;
	int error;

	if (message_decode_challenge(body, &challenge))
		return refuse_garbled(handshake);
	error = check_cluster(handshake, &challenge);
	if (error)
		return error;
	remember(handshake, handshake->in, handshake->in_len - MESSAGE_MAC_LEN);
	if (!mac_good(handshake, label_server, NULL, 0,
		      body + MESSAGE_CHALLENGE_LEN - MESSAGE_MAC_LEN))
		return refuse(
			handshake, MESSAGE_CODE_SECRET,
			"wrong secret: the server did not prove that it has the client's key");
	error = check_not_self(handshake, &challenge);
	if (!error)
		error = check_expected(handshake, &handshake->expected, &challenge.member);
	if (error)
		return error;
	handshake->peer = challenge.member;
	handshake->peer_boot = challenge.boot;
	mac(handshake, label_client, NULL, 0, append(handshake, MESSAGE_PROOF, MESSAGE_MAC_LEN));
	handshake->state = HANDSHAKE_WAITS_WELCOME;
	return 0;
}

static int take_proof(struct handshake *handshake, const uint8_t *body)
{
	size_t len = MESSAGE_WELCOME_LEN_MIN + handshake->offer_len;
	uint8_t *answer;

	if (!mac_good(handshake, label_client, NULL, 0, body))
		return refuse(
			handshake, MESSAGE_CODE_SECRET,
			"wrong secret: the client did not prove that it has the server's key");
	answer = append(handshake, MESSAGE_WELCOME, len);
	answer[0] = (uint8_t)handshake->kind;
	memcpy(answer + 1, handshake->offer, handshake->offer_len);
	mac(handshake, label_welcome, answer - MESSAGE_HEADER_LEN,
	    MESSAGE_HEADER_LEN + len - MESSAGE_MAC_LEN, answer + len - MESSAGE_MAC_LEN);
	mac(handshake, label_proof, NULL, 0, handshake->proof);
	end(handshake, HANDSHAKE_DONE);
	return 1;
}

static int take_welcome(struct handshake *handshake, const uint8_t *body)
{
	size_t len = handshake->in_len - MESSAGE_HEADER_LEN;

	if (!mac_good(handshake, label_welcome, handshake->in, handshake->in_len - MESSAGE_MAC_LEN,
		      body + len - MESSAGE_MAC_LEN))
		return refuse(handshake, MESSAGE_CODE_SECRET,
			      "wrong secret: the server's welcome is not signed with the client's "
			      "key");
	handshake->kind = body[0];
	handshake->offer_len = len - MESSAGE_WELCOME_LEN_MIN;
	memcpy(handshake->offer, body + 1, handshake->offer_len);
	mac(handshake, label_proof, NULL, 0, handshake->proof);
	end(handshake, HANDSHAKE_DONE);
	return 1;
}

/* What the other side claims; nothing is answered. */
static int take_refusal(struct handshake *handshake, const uint8_t *body)
{
	char text[MESSAGE_TEXT_MAX + 1];
	uint16_t code;

	message_decode_refusal(body, handshake->in_len - MESSAGE_HEADER_LEN, &code, text);
	snprintf(handshake->problem, sizeof(handshake->problem), "the %s refuses: \"%s\"",
		 handshake->role == HANDSHAKE_CLIENT ? "server" : "client", text);
	handshake->status = message_code_status(code);
	handshake->by_other = true;
	end(handshake, HANDSHAKE_REFUSED);
	return handshake->status;
}

/* Which message a state waits for, and how long its body is. */
static const struct expectation {
	const char *name;
	enum message_type type;
	size_t len_min, len_max;
	int (*take)(struct handshake *handshake, const uint8_t *body);
} expectations[] = {
	[HANDSHAKE_WAITS_HELLO] = { "HELLO", MESSAGE_HELLO, MESSAGE_HELLO_LEN, MESSAGE_HELLO_LEN,
				    take_hello },
	[HANDSHAKE_WAITS_CHALLENGE] = { "CHALLENGE", MESSAGE_CHALLENGE, MESSAGE_CHALLENGE_LEN,
					MESSAGE_CHALLENGE_LEN, take_challenge },
	[HANDSHAKE_WAITS_PROOF] = { "PROOF", MESSAGE_PROOF, MESSAGE_MAC_LEN, MESSAGE_MAC_LEN,
				    take_proof },
	[HANDSHAKE_WAITS_WELCOME] = { "WELCOME", MESSAGE_WELCOME, MESSAGE_WELCOME_LEN_MIN,
				      MESSAGE_WELCOME_LEN_MAX, take_welcome },
};

static const struct expectation refusal = { "REFUSAL", MESSAGE_REFUSAL, MESSAGE_REFUSAL_LEN_MIN,
					    MESSAGE_REFUSAL_LEN_MAX, take_refusal };

/* What the beginning of something that is not ours looks like. */
static const char *look_of(const uint8_t *data, size_t len)
{
	static const struct {
		const char *start, *name;
	} looks[] = {
		{ "GET ", "HTTP" },    { "POST", "HTTP" },   { "HEAD", "HTTP" },
		{ "PUT ", "HTTP" },    { "OPTI", "HTTP" },   { "CONN", "HTTP" },
		{ "HTTP", "HTTP" },    { "PRI ", "HTTP/2" }, { "\x16\x03", "TLS" },
		{ "\x15\x03", "TLS" }, { "SSH-", "SSH" },
	};

	for (size_t i = 0; i < ARRAY_COUNT(looks); i++) {
		size_t start_len = strlen(looks[i].start);

		if (len >= start_len && !memcmp(data, looks[i].start, start_len))
			return looks[i].name;
	}
	return "something else";
}

static int refuse_foreign(struct handshake *handshake)
{
	bool serving = handshake->role == HANDSHAKE_SERVER;

	handshake->foreign = true;
	return refuse(handshake, MESSAGE_CODE_PROTOCOL,
		      "not a handshake: the %s speaks %s (its first byte is 0x%02x)",
		      serving ? "client" : "server", look_of(handshake->in, handshake->in_len),
		      handshake->in[0]);
}

static int refuse_version(struct handshake *handshake, unsigned theirs)
{
	bool serving = handshake->role == HANDSHAKE_SERVER;

	return refuse(
		handshake, MESSAGE_CODE_VERSION,
		"another version: the server speaks version %u of the handshake, the client %u",
		serving ? HANDSHAKE_VERSION : theirs, serving ? theirs : HANDSHAKE_VERSION);
}

static int refuse_order(struct handshake *handshake, unsigned type)
{
	const char *waited = expectations[handshake->state].name;

	/* Only a client sends HELLO: what answers here is a client itself, or an echo. */
	if (handshake->role == HANDSHAKE_CLIENT && type == MESSAGE_HELLO)
		return refuse(handshake, MESSAGE_CODE_PROTOCOL,
			      "not a handshake: the server sent HELLO, as if it echoed the client");
	return refuse(handshake, MESSAGE_CODE_PROTOCOL,
		      "not a handshake: a message of type %u came where %s is due", type, waited);
}

/* The header of the next message. Return: what is to come; NULL: REFUSED. */
static const struct expectation *check_header(struct handshake *handshake)
{
	struct message_header header = message_decode_header(handshake->in);
	const struct expectation *expected = &expectations[handshake->state];

	if (header.type == MESSAGE_REFUSAL) { /* of any version: it never changes */
		expected = &refusal;
	} else if (header.version != HANDSHAKE_VERSION) {
		refuse_version(handshake, header.version);
		return NULL;
	} else if (header.type != expected->type) {
		refuse_order(handshake, header.type);
		return NULL;
	}
	if (header.len >= expected->len_min && header.len <= expected->len_max)
		return expected;
	refuse(handshake, MESSAGE_CODE_PROTOCOL, "not a handshake: a %s of %u bytes",
	       expected->name, header.len);
	return NULL;
}

/* Moves bytes to in until it holds @wanted. Return: how many were taken. */
static size_t gather(struct handshake *handshake, const uint8_t *data, size_t len, size_t wanted)
{
	size_t missing = wanted - handshake->in_len;
	size_t taken = len < missing ? len : missing;

	memcpy(handshake->in + handshake->in_len, data, taken);
	handshake->in_len += taken;
	return taken;
}

static bool magic_good(const struct handshake *handshake)
{
	size_t len = handshake->in_len < MESSAGE_MAGIC_LEN ? handshake->in_len : MESSAGE_MAGIC_LEN;

	return !memcmp(handshake->in, message_magic, len);
}

/* Takes bytes until a message is whole and handled. Return: how many, at most @len. */
static size_t take(struct handshake *handshake, const uint8_t *data, size_t len)
{
	const struct expectation *expected;
	size_t taken = 0, wanted;

	if (handshake->in_len < MESSAGE_HEADER_LEN) {
		taken = gather(handshake, data, len, MESSAGE_HEADER_LEN);
		if (!magic_good(handshake)) {
			refuse_foreign(handshake);
			return taken;
		}
		if (handshake->in_len < MESSAGE_HEADER_LEN)
			return taken;
	}
	expected = check_header(handshake);
	if (!expected)
		return taken;
	wanted = MESSAGE_HEADER_LEN + message_decode_header(handshake->in).len;
	taken += gather(handshake, data + taken, len - taken, wanted);
	if (handshake->in_len == wanted) {
		expected->take(handshake, handshake->in + MESSAGE_HEADER_LEN);
		handshake->in_len = 0;
	}
	return taken;
}

int handshake_input(struct handshake *handshake, const uint8_t *data, size_t len)
{
	while (len && !ended(handshake)) {
		size_t taken = take(handshake, data, len);

		data += taken;
		len -= taken;
	}
	if (handshake->state == HANDSHAKE_REFUSED)
		return handshake->status;
	if (len)
		return refuse(handshake, MESSAGE_CODE_PROTOCOL,
			      "not a handshake: bytes behind its end");
	return handshake->state == HANDSHAKE_DONE;
}

void handshake_sent(struct handshake *handshake, size_t len)
{
	CHECK(len <= handshake->out_len);
	handshake->out_len -= len;
	memmove(handshake->out, handshake->out + len, handshake->out_len);
}

void handshake_fini(struct handshake *handshake)
{
	OPENSSL_cleanse(handshake, sizeof(*handshake));
}
