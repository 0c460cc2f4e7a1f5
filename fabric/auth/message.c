/* message.c - see message.h. */
#include "fabric/auth/message.h"

#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "base/check.h"

/* Its first byte begins no text and no TLS record: others are recognised at once. */
const uint8_t message_magic[MESSAGE_MAGIC_LEN] = { 0xce, 'n', 'o', 't' };

static const struct {
	enum message_code code;
	int status;
} statuses[] = {
	/* the first of a status is what message_status_code() gives */
	{ MESSAGE_CODE_OTHER, -EACCES },   { MESSAGE_CODE_SECRET, -EACCES },
	{ MESSAGE_CODE_CLUSTER, -EACCES }, { MESSAGE_CODE_VERSION, -EPROTONOSUPPORT },
	{ MESSAGE_CODE_MEMBER, -EREMCHG }, { MESSAGE_CODE_SELF, -EREMCHG },
	{ MESSAGE_CODE_BUSY, -EBUSY },	   { MESSAGE_CODE_PROTOCOL, -EPROTO },
};

int message_code_status(uint16_t code)
{
	for (size_t i = 0; i < ARRAY_COUNT(statuses); i++)
		if (statuses[i].code == code)
			return statuses[i].status;
	return -EACCES;
}

enum message_code message_status_code(int status)
{
	for (size_t i = 0; i < ARRAY_COUNT(statuses); i++)
		if (statuses[i].status == status)
			return statuses[i].code;
	return MESSAGE_CODE_OTHER;
}

void message_encode_header(enum message_type type, size_t len, uint8_t out[MESSAGE_HEADER_LEN])
{
	CHECK(len <= HANDSHAKE_MESSAGE_MAX - MESSAGE_HEADER_LEN);
	memcpy(out, message_magic, MESSAGE_MAGIC_LEN);
	out[4] = HANDSHAKE_VERSION;
	out[5] = (uint8_t)type;
	bytes_put_u16(out + 6, (uint16_t)len);
}

struct message_header message_decode_header(const uint8_t in[MESSAGE_HEADER_LEN])
{
	return (struct message_header){
		.version = in[4],
		.type = in[5],
		.len = bytes_get_u16(in + 6),
	};
}

static uint8_t *put(uint8_t *p, const void *data, size_t len)
{
	memcpy(p, data, len);
	return p + len;
}

static const uint8_t *get(const uint8_t *p, void *out, size_t len)
{
	memcpy(out, p, len);
	return p + len;
}

static uint8_t *put_cluster(uint8_t *p, const char *cluster)
{
	size_t len = strnlen(cluster, CLUSTER_NAME_MAX);

	CHECK(len < CLUSTER_NAME_MAX);
	memset(p, 0, CLUSTER_NAME_MAX);
	memcpy(p, cluster, len);
	return p + CLUSTER_NAME_MAX;
}

/* One way of writing each name: nothing behind its NUL. */
static int check_cluster(const char cluster[CLUSTER_NAME_MAX])
{
	size_t len = strnlen(cluster, CLUSTER_NAME_MAX);

	if (len == CLUSTER_NAME_MAX)
		return -EBADMSG;
	while (len < CLUSTER_NAME_MAX)
		if (cluster[len++])
			return -EBADMSG;
	return 0;
}

void message_encode_hello(const struct message_greeting *greeting, uint8_t out[MESSAGE_HELLO_LEN])
{
	uint8_t *p = put_cluster(out, greeting->cluster);

	p = put(p, greeting->member.bytes, MEMBER_ID_LEN);
	bytes_put_u64(p, greeting->boot);
	p = put(p + 8, greeting->expected.bytes, MEMBER_ID_LEN);
	p = put(p, greeting->key_id, KEYRING_ID_LEN);
	p = put(p, greeting->nonce, HANDSHAKE_NONCE_LEN);
	CHECK(p == out + MESSAGE_HELLO_LEN);
}

int message_decode_hello(const uint8_t in[MESSAGE_HELLO_LEN], struct message_greeting *out)
{
	struct message_greeting decoded = { 0 };
	const uint8_t *p = get(in, decoded.cluster, CLUSTER_NAME_MAX);

	p = get(p, decoded.member.bytes, MEMBER_ID_LEN);
	decoded.boot = bytes_get_u64(p);
	p = get(p + 8, decoded.expected.bytes, MEMBER_ID_LEN);
	p = get(p, decoded.key_id, KEYRING_ID_LEN);
	get(p, decoded.nonce, HANDSHAKE_NONCE_LEN);
	if (check_cluster(decoded.cluster))
		return -EBADMSG;
	*out = decoded;
	return 0;
}

void message_encode_challenge(const struct message_greeting *greeting,
			      uint8_t out[MESSAGE_CHALLENGE_LEN - MESSAGE_MAC_LEN])
{
	uint8_t *p = put_cluster(out, greeting->cluster);

	p = put(p, greeting->member.bytes, MEMBER_ID_LEN);
	bytes_put_u64(p, greeting->boot);
	p = put(p + 8, greeting->nonce, HANDSHAKE_NONCE_LEN);
	CHECK((size_t)(p - out) == MESSAGE_CHALLENGE_LEN - MESSAGE_MAC_LEN);
}

int message_decode_challenge(const uint8_t in[MESSAGE_CHALLENGE_LEN], struct message_greeting *out)
{
	struct message_greeting decoded = { 0 };
	const uint8_t *p = get(in, decoded.cluster, CLUSTER_NAME_MAX);

	p = get(p, decoded.member.bytes, MEMBER_ID_LEN);
	decoded.boot = bytes_get_u64(p);
	get(p + 8, decoded.nonce, HANDSHAKE_NONCE_LEN);
	if (check_cluster(decoded.cluster))
		return -EBADMSG;
	*out = decoded;
	return 0;
}

size_t message_encode_refusal(enum message_code code, const char *text,
			      uint8_t out[MESSAGE_REFUSAL_LEN_MAX])
{
	char printable[MESSAGE_TEXT_MAX + 1];
	size_t len = strnlen(text, MESSAGE_TEXT_MAX);

	message_printable(text, len, printable);
	bytes_put_u16(out, (uint16_t)code);
	memcpy(out + MESSAGE_REFUSAL_LEN_MIN, printable, len);
	return MESSAGE_REFUSAL_LEN_MIN + len;
}

void message_decode_refusal(const uint8_t *in, size_t len, uint16_t *out_code,
			    char out_text[MESSAGE_TEXT_MAX + 1])
{
	CHECK(len >= MESSAGE_REFUSAL_LEN_MIN && len <= MESSAGE_REFUSAL_LEN_MAX);
	*out_code = bytes_get_u16(in);
	message_printable(in + MESSAGE_REFUSAL_LEN_MIN, len - MESSAGE_REFUSAL_LEN_MIN, out_text);
}

void message_printable(const void *text, size_t len, char *out)
{
	const uint8_t *p = text;

	for (size_t i = 0; i < len; i++)
		*out++ = (char)(p[i] >= ' ' && p[i] <= '~' && p[i] != '"' ? p[i] : '?');
	*out = '\0';
}
