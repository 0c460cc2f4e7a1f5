/*
 * wire.c - the messages byte by byte. After version and kind:
 *
 *	STAGE	 request 8, flags 1, timeout_ms 4, index 8, mtime_s 8, size 8, then five texts:
 *		 backing, bucket, key, etag, dataset
 *	CANCEL	 request 8
 *	RELEASE	 requests 8 each
 *	HITS	 id 16, index 8 each
 *	STAGED	 request 8, epoch 8, off 8, len 4, lease_ms 4, origin 1, id 16, index 8, checks 8
 *		 each
 *	WORKING	 request 8
 *	REFUSED	 request 8, why 1, retry_ms 4, holders 16 each
 *	PUSH	 request 8, off 4, then the bytes
 *	ASK, ANSWER: wire_ask.c; INQUIRE, REPORT: wire_inquiry.c
 *
 * Nothing says how many there are of what comes last: the message's length does, so that no two
 * places can disagree. Hence what decodes encodes to the same bytes.
 */
#include "cache/peer/wire.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "cache/backing.h"
#include "cache/peer/wire_inside.h"

#define STAGE_LEN	37 /* up to the texts */
#define STAGE_FLAGS_ALL (PEER_STAGE_LOCAL | PEER_STAGE_PUSH | PEER_STAGE_HERE)
#define REQUEST_LEN	8
#define KEY_LEN		(OBJECT_ID_LEN + 8)
#define HIT_LEN		KEY_LEN
#define STAGED_KEY	33 /* up to the key */
#define STAGED_LEN	(STAGED_KEY + KEY_LEN)
#define CHECK_LEN	8
#define REFUSED_LEN	13 /* up to the holders */
#define PUSH_LEN	12 /* up to the bytes */

static_assert(WIRE_HEADER_LEN + PEER_RELEASES_MAX * REQUEST_LEN <= TRANSPORT_MESSAGE_MAX,
	      "one message");
static_assert(WIRE_HEADER_LEN + PEER_HITS_MAX * HIT_LEN <= TRANSPORT_MESSAGE_MAX, "one message");
static_assert(WIRE_HEADER_LEN + STAGED_LEN + BLOCK_GRANULES_MAX * CHECK_LEN <=
		      TRANSPORT_MESSAGE_MAX,
	      "one message");
static_assert(WIRE_HEADER_LEN + PUSH_LEN + PEER_PUSH_LEN_MAX <= TRANSPORT_MESSAGE_MAX,
	      "one message");

/* --- the way out: each writes what follows the header; Return: its length */

static size_t stage_encode(const struct peer_stage *stage, uint8_t *out, const uint8_t *end)
{
	const struct object_version *version = &stage->version;
	uint8_t *at = out + STAGE_LEN;

	CHECK((stage->flags & ~(unsigned)STAGE_FLAGS_ALL) == 0);
	CHECK(stage->timeout_ms > 0 && stage->timeout_ms <= PEER_TIMEOUT_MS_MAX);
	CHECK(version->size <= INT64_MAX);
	bytes_put_u64(out, stage->request);
	out[8] = (uint8_t)stage->flags;
	bytes_put_u32(out + 9, stage->timeout_ms);
	bytes_put_u64(out + 13, stage->index);
	bytes_put_u64(out + 21, (uint64_t)stage->mtime_s);
	bytes_put_u64(out + 29, version->size);
	/* backing and bucket have no limit but the message */
	at = wire_put_text(at, end, version->backing, TRANSPORT_MESSAGE_MAX);
	at = at ? wire_put_text(at, end, version->bucket, TRANSPORT_MESSAGE_MAX) : NULL;
	at = at ? wire_put_text(at, end, version->key, BACKING_KEY_MAX + 1) : NULL;
	at = at ? wire_put_text(at, end, version->etag, BACKING_ETAG_MAX) : NULL;
	at = at ? wire_put_text(at, end, stage->dataset, PEER_DATASET_MAX) : NULL;
	return at ? (size_t)(at - out) : 0;
}

static size_t release_encode(const struct peer_release *release, uint8_t *out)
{
	CHECK(release->count > 0 && release->count <= PEER_RELEASES_MAX);
	for (unsigned i = 0; i < release->count; i++)
		bytes_put_u64(out + (size_t)i * REQUEST_LEN, release->requests[i]);
	return (size_t)release->count * REQUEST_LEN;
}

static void key_encode(const struct window_key *key, uint8_t *out)
{
	memcpy(out, key->id.bytes, OBJECT_ID_LEN);
	bytes_put_u64(out + OBJECT_ID_LEN, key->index);
}

static size_t hits_encode(const struct peer_hits *hits, uint8_t *out)
{
	CHECK(hits->count > 0 && hits->count <= PEER_HITS_MAX);
	for (unsigned i = 0; i < hits->count; i++)
		key_encode(&hits->keys[i], out + (size_t)i * HIT_LEN);
	return (size_t)hits->count * HIT_LEN;
}

static size_t staged_encode(const struct peer_staged *staged, uint8_t *out)
{
	unsigned granules = object_granule_count(staged->len);

	CHECK(staged->len > 0 && staged->len <= BLOCK_LEN_MAX);
	CHECK(staged->off <= UINT64_MAX - staged->len);
	CHECK(staged->lease_ms <= PEER_TIMEOUT_MS_MAX);
	CHECK(staged->origin < PEER_ORIGIN_COUNT);
	bytes_put_u64(out, staged->request);
	bytes_put_u64(out + 8, staged->epoch);
	bytes_put_u64(out + 16, staged->off);
	bytes_put_u32(out + 24, staged->len);
	bytes_put_u32(out + 28, staged->lease_ms);
	out[32] = (uint8_t)staged->origin;
	key_encode(&staged->key, out + STAGED_KEY);
	for (unsigned i = 0; i < granules; i++)
		bytes_put_u64(out + STAGED_LEN + (size_t)i * CHECK_LEN, staged->checks[i]);
	return STAGED_LEN + (size_t)granules * CHECK_LEN;
}

/* Whether @count holders go with @why: only who refers names them. */
static bool holders_fit(enum peer_refusal why, size_t count)
{
	return why == PEER_REFERRED ? count > 0 && count <= PEER_HOLDERS_MAX : count == 0;
}

static size_t refused_encode(const struct peer_refused *refused, uint8_t *out)
{
	CHECK(refused->why >= PEER_ABSENT_HERE && refused->why <= PEER_STOPPING);
	CHECK(refused->retry_ms <= PEER_TIMEOUT_MS_MAX);
	CHECK(holders_fit(refused->why, refused->holder_count));
	bytes_put_u64(out, refused->request);
	out[8] = (uint8_t)refused->why;
	bytes_put_u32(out + 9, refused->retry_ms);
	for (unsigned i = 0; i < refused->holder_count; i++)
		memcpy(out + REFUSED_LEN + (size_t)i * MEMBER_ID_LEN, refused->holders[i].bytes,
		       MEMBER_ID_LEN);
	return REFUSED_LEN + (size_t)refused->holder_count * MEMBER_ID_LEN;
}

static size_t push_encode(const struct peer_push *push, uint8_t *out)
{
	CHECK(push->len > 0 && push->len <= PEER_PUSH_LEN_MAX);
	CHECK(push->off < BLOCK_LEN_MAX && push->len <= BLOCK_LEN_MAX - push->off);
	bytes_put_u64(out, push->request);
	bytes_put_u32(out + 8, push->off);
	memcpy(out + PUSH_LEN, push->data, push->len);
	return PUSH_LEN + (size_t)push->len;
}

static size_t body_encode(const struct peer_message *message, uint8_t *out, const uint8_t *end)
{
	switch (message->kind) {
	case PEER_STAGE:
		return stage_encode(&message->stage, out, end);
	case PEER_CANCEL:
	case PEER_WORKING:
		bytes_put_u64(out, message->request);
		return REQUEST_LEN;
	case PEER_RELEASE:
		return release_encode(&message->release, out);
	case PEER_HITS:
		return hits_encode(&message->hits, out);
	case PEER_STAGED:
		return staged_encode(&message->staged, out);
	case PEER_REFUSED:
		return refused_encode(&message->refused, out);
	case PEER_PUSH:
		return push_encode(&message->push, out);
	case PEER_ASK:
		return peer_ask_encode(&message->ask, out, end);
	case PEER_ANSWER:
		return wire_answer_encode(&message->answer, out, end);
	case PEER_INQUIRE:
		return wire_inquire_encode(&message->inquire, out, end);
	case PEER_REPORT:
		return wire_report_encode(&message->report, out, end);
	}
	CHECK(!"a kind");
	return 0;
}

size_t peer_message_encode(const struct peer_message *message, uint8_t out[TRANSPORT_MESSAGE_MAX])
{
	size_t len = body_encode(message, out + WIRE_HEADER_LEN, out + TRANSPORT_MESSAGE_MAX);

	out[0] = PEER_WIRE_VERSION;
	out[1] = (uint8_t)message->kind;
	return len ? WIRE_HEADER_LEN + len : 0;
}

/* --- the way in: each reads the @len bytes behind the header; Return: whether an encoder of ours
 * could have written them */

static bool stage_decode(const uint8_t *data, size_t len, struct peer_stage *out)
{
	const uint8_t *at, *end = data + len;

	if (len < STAGE_LEN)
		return false;
	out->request = bytes_get_u64(data);
	out->flags = data[8];
	out->timeout_ms = bytes_get_u32(data + 9);
	out->index = bytes_get_u64(data + 13);
	out->mtime_s = (int64_t)bytes_get_u64(data + 21);
	out->version.size = bytes_get_u64(data + 29);
	if ((out->flags & ~(unsigned)STAGE_FLAGS_ALL) || out->timeout_ms == 0 ||
	    out->timeout_ms > PEER_TIMEOUT_MS_MAX || out->version.size > INT64_MAX)
		return false;
	at = wire_get_text(data + STAGE_LEN, end, TRANSPORT_MESSAGE_MAX, &out->version.backing);
	at = at ? wire_get_text(at, end, TRANSPORT_MESSAGE_MAX, &out->version.bucket) : NULL;
	at = at ? wire_get_text(at, end, BACKING_KEY_MAX + 1, &out->version.key) : NULL;
	at = at ? wire_get_text(at, end, BACKING_ETAG_MAX, &out->version.etag) : NULL;
	at = at ? wire_get_text(at, end, PEER_DATASET_MAX, &out->dataset) : NULL;
	if (at != end) /* or NULL */
		return false;
	object_id_of(&out->version, &out->id);
	return true;
}

static bool request_decode(const uint8_t *data, size_t len, uint64_t *out_request)
{
	if (len != REQUEST_LEN)
		return false;
	*out_request = bytes_get_u64(data);
	return true;
}

static bool release_decode(const uint8_t *data, size_t len, struct peer_release *out)
{
	if (len == 0 || len % REQUEST_LEN || len / REQUEST_LEN > PEER_RELEASES_MAX)
		return false;
	out->count = (unsigned)(len / REQUEST_LEN);
	for (unsigned i = 0; i < out->count; i++)
		out->requests[i] = bytes_get_u64(data + (size_t)i * REQUEST_LEN);
	return true;
}

static void key_decode(const uint8_t *data, struct window_key *out)
{
	memcpy(out->id.bytes, data, OBJECT_ID_LEN);
	out->index = bytes_get_u64(data + OBJECT_ID_LEN);
}

static bool hits_decode(const uint8_t *data, size_t len, struct peer_hits *out)
{
	if (len == 0 || len % HIT_LEN || len / HIT_LEN > PEER_HITS_MAX)
		return false;
	out->count = (unsigned)(len / HIT_LEN);
	for (unsigned i = 0; i < out->count; i++)
		key_decode(data + (size_t)i * HIT_LEN, &out->keys[i]);
	return true;
}

static bool staged_decode(const uint8_t *data, size_t len, struct peer_staged *out)
{
	unsigned granules;

	if (len < STAGED_LEN)
		return false;
	out->request = bytes_get_u64(data);
	out->epoch = bytes_get_u64(data + 8);
	out->off = bytes_get_u64(data + 16);
	out->len = bytes_get_u32(data + 24);
	out->lease_ms = bytes_get_u32(data + 28);
	out->origin = data[32];
	key_decode(data + STAGED_KEY, &out->key);
	if (out->len == 0 || out->len > BLOCK_LEN_MAX || out->off > UINT64_MAX - out->len ||
	    out->lease_ms > PEER_TIMEOUT_MS_MAX || out->origin >= PEER_ORIGIN_COUNT)
		return false;
	granules = object_granule_count(out->len);
	if (len - STAGED_LEN != (size_t)granules * CHECK_LEN)
		return false;
	for (unsigned i = 0; i < granules; i++)
		out->checks[i] = bytes_get_u64(data + STAGED_LEN + (size_t)i * CHECK_LEN);
	return true;
}

static bool refused_decode(const uint8_t *data, size_t len, struct peer_refused *out)
{
	if (len < REFUSED_LEN || (len - REFUSED_LEN) % MEMBER_ID_LEN)
		return false;
	out->request = bytes_get_u64(data);
	out->why = data[8];
	out->retry_ms = bytes_get_u32(data + 9);
	if (out->why < PEER_ABSENT_HERE || out->why > PEER_STOPPING ||
	    out->retry_ms > PEER_TIMEOUT_MS_MAX ||
	    !holders_fit(out->why, (len - REFUSED_LEN) / MEMBER_ID_LEN))
		return false;
	out->holder_count = (unsigned)((len - REFUSED_LEN) / MEMBER_ID_LEN);
	for (unsigned i = 0; i < out->holder_count; i++)
		memcpy(out->holders[i].bytes, data + REFUSED_LEN + (size_t)i * MEMBER_ID_LEN,
		       MEMBER_ID_LEN);
	return true;
}

static bool push_decode(const uint8_t *data, size_t len, struct peer_push *out)
{
	if (len <= PUSH_LEN || len - PUSH_LEN > PEER_PUSH_LEN_MAX)
		return false;
	out->request = bytes_get_u64(data);
	out->off = bytes_get_u32(data + 8);
	out->len = (uint32_t)(len - PUSH_LEN);
	out->data = data + PUSH_LEN;
	return out->off < BLOCK_LEN_MAX && out->len <= BLOCK_LEN_MAX - out->off;
}

static bool body_decode(const uint8_t *data, size_t len, struct peer_message *out)
{
	switch (out->kind) {
	case PEER_STAGE:
		return stage_decode(data, len, &out->stage);
	case PEER_CANCEL:
	case PEER_WORKING:
		return request_decode(data, len, &out->request);
	case PEER_RELEASE:
		return release_decode(data, len, &out->release);
	case PEER_HITS:
		return hits_decode(data, len, &out->hits);
	case PEER_STAGED:
		return staged_decode(data, len, &out->staged);
	case PEER_REFUSED:
		return refused_decode(data, len, &out->refused);
	case PEER_PUSH:
		return push_decode(data, len, &out->push);
	case PEER_ASK:
		return peer_ask_decode(data, len, &out->ask);
	case PEER_ANSWER:
		return wire_answer_decode(data, len, &out->answer);
	case PEER_INQUIRE:
		return wire_inquire_decode(data, len, &out->inquire);
	case PEER_REPORT:
		return wire_report_decode(data, len, &out->report);
	}
	return false;
}

int peer_message_decode(const void *data, size_t len, struct peer_message *out)
{
	const uint8_t *bytes = data;

	if (len < 1)
		return -EBADMSG;
	if (bytes[0] != PEER_WIRE_VERSION)
		return -EPROTONOSUPPORT;
	if (len < WIRE_HEADER_LEN || len > TRANSPORT_MESSAGE_MAX)
		return -EBADMSG;
	out->kind = bytes[1];
	return body_decode(bytes + WIRE_HEADER_LEN, len - WIRE_HEADER_LEN, out) ? 0 : -EBADMSG;
}

int peer_refusal_status(enum peer_refusal why)
{
	switch (why) {
	case PEER_ABSENT_HERE:
		return -ENODATA;
	case PEER_BUSY:
	case PEER_REFERRED:
		return -EAGAIN;
	case PEER_STALE:
		return -ESTALE;
	case PEER_GONE:
		return -ENOENT;
	case PEER_DENIED:
		return -EACCES;
	case PEER_IO:
		return -EIO;
	case PEER_LATE:
		return -ETIMEDOUT;
	case PEER_UNKNOWN:
		return -ENODEV;
	case PEER_STOPPING:
		return -ECANCELED;
	}
	return -EIO;
}

enum peer_refusal peer_status_refusal(int status)
{
	switch (status) {
	case -EAGAIN:
	case -ENOMEM:
		return PEER_BUSY;
	case -ESTALE:
		return PEER_STALE;
	case -ENOENT:
		return PEER_GONE;
	case -EACCES:
		return PEER_DENIED;
	case -ETIMEDOUT:
		return PEER_LATE;
	case -ENODEV:
	case -EINVAL:
		return PEER_UNKNOWN;
	case -ECANCELED:
		return PEER_STOPPING;
	default:
		return PEER_IO;
	}
}
