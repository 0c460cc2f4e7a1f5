/*
 * wire_ask.c - questions about names, and their answers, byte by byte. After version and kind:
 *
 *	ASK	 request 8, question 1, delimited 1, timeout_ms 4, max_age_ms 4, absent_age_ms 4,
 *		 max_keys 4, then five texts: backing, bucket, key, token, refused
 *	ANSWER	 request 8, form 1, age_ms 4, then by its form
 *		 WORKING nothing
 *		 META	 size 8, mtime_s 8, text etag
 *		 PAGE	 the bytes of the page
 *		 OBJECT	 len 4, text etag
 *		 ERROR	 why 1, text problem
 */
#include <assert.h>

#include "base/bytes.h"
#include "base/check.h"
#include "cache/backing.h"
#include "cache/peer/wire_inside.h"

#define ASK_LEN	    26			  /* up to the texts */
#define ASK_KEY_MAX (BACKING_KEY_MAX + 2) /* of a prefix: a key, a slash and the NUL */
#define ANSWER_LEN  13			  /* up to what its form says */

#define ANSWER_META_LEN	  16 /* up to the text, as the next two */
#define ANSWER_OBJECT_LEN 4
#define ANSWER_ERROR_LEN  1

static_assert(WIRE_HEADER_LEN + ANSWER_LEN + PEER_ANSWER_BYTES_MAX <= TRANSPORT_MESSAGE_MAX,
	      "one message");

/* Whether the parts of @ask go together. */
static bool ask_fits(const struct peer_ask *ask)
{
	if (ask->timeout_ms == 0 || ask->timeout_ms > PEER_TIMEOUT_MS_MAX)
		return false;
	if (ask->question == PEER_LIST)
		return ask->max_keys > 0 && ask->max_keys <= PEER_ASK_KEYS_MAX && !ask->refused[0];
	return ask->question == PEER_HEAD && ask->max_keys == 0 && !ask->delimited &&
	       !ask->token[0];
}

size_t peer_ask_encode(const struct peer_ask *ask, uint8_t *out, const uint8_t *end)
{
	uint8_t *at = out + ASK_LEN;

	CHECK(ask_fits(ask));
	bytes_put_u64(out, ask->request);
	out[8] = (uint8_t)ask->question;
	out[9] = ask->delimited;
	bytes_put_u32(out + 10, ask->timeout_ms);
	bytes_put_u32(out + 14, ask->max_age_ms);
	bytes_put_u32(out + 18, ask->absent_age_ms);
	bytes_put_u32(out + 22, ask->max_keys);
	at = wire_put_text(at, end, ask->backing, TRANSPORT_MESSAGE_MAX);
	at = at ? wire_put_text(at, end, ask->bucket, TRANSPORT_MESSAGE_MAX) : NULL;
	at = at ? wire_put_text(at, end, ask->key, ASK_KEY_MAX) : NULL;
	at = at ? wire_put_text(at, end, ask->token, BACKING_TOKEN_MAX) : NULL;
	at = at ? wire_put_text(at, end, ask->refused, BACKING_ETAG_MAX) : NULL;
	return at ? (size_t)(at - out) : 0;
}

static size_t answer_meta_encode(const struct peer_answer *answer, uint8_t *out, const uint8_t *end)
{
	const uint8_t *at;

	CHECK(answer->size <= INT64_MAX);
	bytes_put_u64(out, answer->size);
	bytes_put_u64(out + 8, (uint64_t)answer->mtime_s);
	at = wire_put_text(out + ANSWER_META_LEN, end, answer->etag, BACKING_ETAG_MAX);
	return at ? (size_t)(at - out) : 0;
}

static size_t answer_object_encode(const struct peer_answer *answer, uint8_t *out,
				   const uint8_t *end)
{
	const uint8_t *at;

	CHECK(answer->len > 0 && answer->len <= PEER_PAGE_LEN_MAX);
	bytes_put_u32(out, answer->len);
	at = wire_put_text(out + ANSWER_OBJECT_LEN, end, answer->etag, BACKING_ETAG_MAX);
	return at ? (size_t)(at - out) : 0;
}

static size_t answer_error_encode(const struct peer_answer *answer, uint8_t *out,
				  const uint8_t *end)
{
	const uint8_t *at;

	CHECK(answer->why >= PEER_ABSENT_HERE && answer->why <= PEER_STOPPING);
	out[0] = (uint8_t)answer->why;
	at = wire_put_text(out + ANSWER_ERROR_LEN, end, answer->problem, BACKING_PROBLEM_MAX);
	return at ? (size_t)(at - out) : 0;
}

size_t wire_answer_encode(const struct peer_answer *answer, uint8_t *out, const uint8_t *end)
{
	uint8_t *body = out + ANSWER_LEN;
	size_t len = 0;

	bytes_put_u64(out, answer->request);
	out[8] = (uint8_t)answer->form;
	bytes_put_u32(out + 9, answer->age_ms);
	switch (answer->form) {
	case PEER_ANSWER_WORKING:
		return ANSWER_LEN;
	case PEER_ANSWER_META:
		len = answer_meta_encode(answer, body, end);
		break;
	case PEER_ANSWER_PAGE:
		CHECK(answer->len > 0 && answer->len <= PEER_ANSWER_BYTES_MAX);
		memcpy(body, answer->data, answer->len);
		len = answer->len;
		break;
	case PEER_ANSWER_OBJECT:
		len = answer_object_encode(answer, body, end);
		break;
	case PEER_ANSWER_ERROR:
		len = answer_error_encode(answer, body, end);
		break;
	}
	return len ? ANSWER_LEN + len : 0;
}

bool peer_ask_decode(const uint8_t *data, size_t len, struct peer_ask *out)
{
	const uint8_t *at = data + ASK_LEN, *end = data + len;

	if (len < ASK_LEN || data[9] > 1)
		return false;
	out->request = bytes_get_u64(data);
	out->question = data[8];
	out->delimited = data[9];
	out->timeout_ms = bytes_get_u32(data + 10);
	out->max_age_ms = bytes_get_u32(data + 14);
	out->absent_age_ms = bytes_get_u32(data + 18);
	out->max_keys = bytes_get_u32(data + 22);
	at = wire_get_text(at, end, TRANSPORT_MESSAGE_MAX, &out->backing);
	at = at ? wire_get_text(at, end, TRANSPORT_MESSAGE_MAX, &out->bucket) : NULL;
	at = at ? wire_get_text(at, end, ASK_KEY_MAX, &out->key) : NULL;
	at = at ? wire_get_text(at, end, BACKING_TOKEN_MAX, &out->token) : NULL;
	at = at ? wire_get_text(at, end, BACKING_ETAG_MAX, &out->refused) : NULL;
	return at == end && ask_fits(out);
}

static bool answer_meta_decode(const uint8_t *data, size_t len, struct peer_answer *out)
{
	if (len < ANSWER_META_LEN)
		return false;
	out->size = bytes_get_u64(data);
	out->mtime_s = (int64_t)bytes_get_u64(data + 8);
	return out->size <= INT64_MAX && wire_get_text(data + ANSWER_META_LEN, data + len,
						       BACKING_ETAG_MAX, &out->etag) == data + len;
}

static bool answer_page_decode(const uint8_t *data, size_t len, struct peer_answer *out)
{
	out->data = data;
	out->len = (uint32_t)len;
	return len > 0 && len <= PEER_ANSWER_BYTES_MAX;
}

static bool answer_object_decode(const uint8_t *data, size_t len, struct peer_answer *out)
{
	if (len < ANSWER_OBJECT_LEN)
		return false;
	out->len = bytes_get_u32(data);
	return out->len > 0 && out->len <= PEER_PAGE_LEN_MAX &&
	       wire_get_text(data + ANSWER_OBJECT_LEN, data + len, BACKING_ETAG_MAX, &out->etag) ==
		       data + len;
}

static bool answer_error_decode(const uint8_t *data, size_t len, struct peer_answer *out)
{
	if (len < ANSWER_ERROR_LEN)
		return false;
	out->why = data[0];
	return out->why >= PEER_ABSENT_HERE && out->why <= PEER_STOPPING &&
	       wire_get_text(data + ANSWER_ERROR_LEN, data + len, BACKING_PROBLEM_MAX,
			     &out->problem) == data + len;
}

bool wire_answer_decode(const uint8_t *data, size_t len, struct peer_answer *out)
{
	if (len < ANSWER_LEN)
		return false;
	out->request = bytes_get_u64(data);
	out->form = data[8];
	out->age_ms = bytes_get_u32(data + 9);
	data += ANSWER_LEN;
	len -= ANSWER_LEN;
	switch (out->form) {
	case PEER_ANSWER_WORKING:
		return len == 0;
	case PEER_ANSWER_META:
		return answer_meta_decode(data, len, out);
	case PEER_ANSWER_PAGE:
		return answer_page_decode(data, len, out);
	case PEER_ANSWER_OBJECT:
		return answer_object_decode(data, len, out);
	case PEER_ANSWER_ERROR:
		return answer_error_decode(data, len, out);
	}
	return false;
}
