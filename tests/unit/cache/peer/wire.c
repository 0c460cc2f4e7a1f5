/*
 * Tests of peer/wire.h: what is encoded decodes to the same, its bytes are fixed, and whatever is
 * cut off or changed either is refused or is another message that an encoder writes.
 */
#include "cache/peer/wire.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/check.h"
#include "cache/backing.h"
#include "tests/unit/cache/peer/wire_closely.h"

#define REQUEST UINT64_C(0x1122334455667788)

static char longest_key[BACKING_KEY_MAX + 1], longest_etag[BACKING_ETAG_MAX];
static char longest_dataset[PEER_DATASET_MAX], pushed[PEER_PUSH_LEN_MAX];

static int make_texts(void **state)
{
	(void)state;
	memset(longest_key, 'k', sizeof(longest_key) - 1);
	memset(longest_etag, 'e', sizeof(longest_etag) - 1);
	memset(longest_dataset, 'd', sizeof(longest_dataset) - 1);
	memset(pushed, 'p', sizeof(pushed));
	return 0;
}

/* --- one message of each kind, and those at the edges */

static struct peer_message stage_of(const char *key, const char *etag, const char *dataset)
{
	return (struct peer_message){
		.kind = PEER_STAGE,
		.stage = {
			.request = REQUEST,
			.flags = PEER_STAGE_LOCAL,
			.timeout_ms = 30000,
			.index = 7 << 1 | 1,
			.mtime_s = 1700000000,
			.version = { "s3", "images", key, etag, 1 << 30 },
			.dataset = dataset,
		},
	};
}

static void stage(struct peer_message *out)
{
	*out = stage_of("train/0001.tar", "\"abc\"", "/images/train");
}

static void stage_longest(struct peer_message *out)
{
	*out = stage_of(longest_key, longest_etag, longest_dataset);
	out->stage.flags = PEER_STAGE_LOCAL | PEER_STAGE_PUSH | PEER_STAGE_HERE;
	out->stage.timeout_ms = PEER_TIMEOUT_MS_MAX;
	out->stage.mtime_s = INT64_MIN;
	out->stage.version.size = INT64_MAX;
	out->stage.index = UINT64_MAX;
}

static void stage_shortest(struct peer_message *out)
{
	*out = stage_of("", "", "");
	out->stage.flags = 0;
	out->stage.timeout_ms = 1;
	out->stage.version.backing = out->stage.version.bucket = "";
	out->stage.version.size = 0;
}

static void cancel(struct peer_message *out)
{
	*out = (struct peer_message){ .kind = PEER_CANCEL, .request = REQUEST };
}

static void working(struct peer_message *out)
{
	*out = (struct peer_message){ .kind = PEER_WORKING, .request = UINT64_MAX };
}

static void releases(struct peer_message *out, unsigned count)
{
	*out = (struct peer_message){ .kind = PEER_RELEASE, .release.count = count };
	for (unsigned i = 0; i < count; i++)
		out->release.requests[i] = REQUEST + i;
}

static void release_one(struct peer_message *out)
{
	releases(out, 1);
}

static void release_most(struct peer_message *out)
{
	releases(out, PEER_RELEASES_MAX);
}

static void hits(struct peer_message *out, unsigned count)
{
	*out = (struct peer_message){ .kind = PEER_HITS, .hits.count = count };
	for (unsigned i = 0; i < count; i++) {
		memset(out->hits.keys[i].id.bytes, (int)(i + 1), OBJECT_ID_LEN);
		out->hits.keys[i].index = i << 1;
	}
}

static void hits_one(struct peer_message *out)
{
	hits(out, 1);
}

static void hits_most(struct peer_message *out)
{
	hits(out, PEER_HITS_MAX);
}

static void staged(struct peer_message *out, uint32_t len)
{
	*out = (struct peer_message){
		.kind = PEER_STAGED,
		.staged = {
			.request = REQUEST,
			.epoch = 0xe0e0,
			.off = 4 << 20,
			.len = len,
			.lease_ms = 2000,
			.origin = PEER_ORIGIN_BACKING,
			.key = { .index = 0x5678 },
		},
	};
	memset(out->staged.key.id.bytes, 0xab, OBJECT_ID_LEN);
	for (unsigned i = 0; i < object_granule_count(len); i++)
		out->staged.checks[i] = UINT64_C(0xc0ffee00) + i;
}

static void staged_byte(struct peer_message *out)
{
	staged(out, 1);
	out->staged.origin = PEER_ORIGIN_WINDOW;
}

static void staged_granule(struct peer_message *out)
{
	staged(out, GRANULE_LEN);
}

static void staged_two(struct peer_message *out)
{
	staged(out, GRANULE_LEN + 1);
	out->staged.off = UINT64_MAX - GRANULE_LEN - 1;
}

static void staged_longest(struct peer_message *out)
{
	staged(out, BLOCK_LEN_MAX);
	out->staged.lease_ms = PEER_TIMEOUT_MS_MAX;
}

static void refused(struct peer_message *out)
{
	*out = (struct peer_message){
		.kind = PEER_REFUSED,
		.refused = { .request = REQUEST, .why = PEER_BUSY, .retry_ms = 250 },
	};
}

static void refused_stopping(struct peer_message *out)
{
	refused(out);
	out->refused.why = PEER_STOPPING;
	out->refused.retry_ms = PEER_TIMEOUT_MS_MAX;
}

static void referred(struct peer_message *out, unsigned count)
{
	refused(out);
	out->refused.why = PEER_REFERRED;
	out->refused.holder_count = count;
	for (unsigned i = 0; i < count; i++)
		memset(out->refused.holders[i].bytes, (int)(0xa0 + i), MEMBER_ID_LEN);
}

static void referred_one(struct peer_message *out)
{
	referred(out, 1);
}

static void referred_most(struct peer_message *out)
{
	referred(out, PEER_HOLDERS_MAX);
}

static void push(struct peer_message *out, uint32_t off, uint32_t len)
{
	*out = (struct peer_message){
		.kind = PEER_PUSH,
		.push = { .request = REQUEST, .off = off, .len = len, .data = pushed },
	};
}

static void push_byte(struct peer_message *out)
{
	push(out, BLOCK_LEN_MAX - 1, 1);
}

static void push_longest(struct peer_message *out)
{
	push(out, 3 * PEER_PUSH_LEN_MAX, PEER_PUSH_LEN_MAX);
}

static const struct wire_sample samples[] = {
	{ "stage", stage },
	{ "stage, longest", stage_longest },
	{ "stage, shortest", stage_shortest },
	{ "cancel", cancel },
	{ "working", working },
	{ "release, one", release_one },
	{ "release, most", release_most },
	{ "hits, one", hits_one },
	{ "hits, most", hits_most },
	{ "staged, a byte", staged_byte },
	{ "staged, a granule", staged_granule },
	{ "staged, two granules", staged_two },
	{ "staged, longest", staged_longest },
	{ "refused", refused },
	{ "refused, stopping", refused_stopping },
	{ "referred, one", referred_one },
	{ "referred, most", referred_most },
	{ "push, last byte", push_byte },
	{ "push, longest", push_longest },
};

/* --- comparing */

static void assert_stage_equal(const struct peer_stage *a, const struct peer_stage *b)
{
	struct object_id id;

	assert_int_equal(a->request, b->request);
	assert_int_equal(a->flags, b->flags);
	assert_int_equal(a->timeout_ms, b->timeout_ms);
	assert_int_equal(a->index, b->index);
	assert_true(a->mtime_s == b->mtime_s);
	assert_int_equal(a->version.size, b->version.size);
	assert_string_equal(a->version.backing, b->version.backing);
	assert_string_equal(a->version.bucket, b->version.bucket);
	assert_string_equal(a->version.key, b->version.key);
	assert_string_equal(a->version.etag, b->version.etag);
	assert_string_equal(a->dataset, b->dataset);
	object_id_of(&a->version, &id);
	assert_true(object_id_equal(&id, &b->id));
}

static void assert_staged_equal(const struct peer_staged *a, const struct peer_staged *b)
{
	assert_int_equal(a->request, b->request);
	assert_true(window_key_equal(&a->key, &b->key));
	assert_int_equal(a->epoch, b->epoch);
	assert_int_equal(a->off, b->off);
	assert_int_equal(a->len, b->len);
	assert_int_equal(a->lease_ms, b->lease_ms);
	assert_int_equal(a->origin, b->origin);
	assert_memory_equal(a->checks, b->checks,
			    object_granule_count(a->len) * sizeof(a->checks[0]));
}

static void assert_refused_equal(const struct peer_refused *a, const struct peer_refused *b)
{
	assert_int_equal(a->request, b->request);
	assert_int_equal(a->why, b->why);
	assert_int_equal(a->retry_ms, b->retry_ms);
	assert_int_equal(a->holder_count, b->holder_count);
	assert_memory_equal(a->holders, b->holders, a->holder_count * sizeof(a->holders[0]));
}

static void assert_message_equal(const struct peer_message *a, const struct peer_message *b)
{
	assert_int_equal(a->kind, b->kind);
	switch (a->kind) {
	case PEER_STAGE:
		assert_stage_equal(&a->stage, &b->stage);
		break;
	case PEER_CANCEL:
	case PEER_WORKING:
		assert_int_equal(a->request, b->request);
		break;
	case PEER_RELEASE:
		assert_int_equal(a->release.count, b->release.count);
		assert_memory_equal(a->release.requests, b->release.requests,
				    a->release.count * sizeof(a->release.requests[0]));
		break;
	case PEER_HITS:
		assert_int_equal(a->hits.count, b->hits.count);
		for (unsigned i = 0; i < a->hits.count; i++)
			assert_true(window_key_equal(&a->hits.keys[i], &b->hits.keys[i]));
		break;
	case PEER_STAGED:
		assert_staged_equal(&a->staged, &b->staged);
		break;
	case PEER_REFUSED:
		assert_refused_equal(&a->refused, &b->refused);
		break;
	case PEER_PUSH:
		assert_int_equal(a->push.request, b->push.request);
		assert_int_equal(a->push.off, b->push.off);
		assert_int_equal(a->push.len, b->push.len);
		assert_memory_equal(a->push.data, b->push.data, a->push.len);
		break;
	case PEER_ASK:
	case PEER_ANSWER:
	case PEER_INQUIRE:
	case PEER_REPORT:
		fail_msg("none of this file's samples");
	}
}

static void test_decode__each_message__is_what_was_encoded(void **state)
{
	(void)state;
	samples_round_trip(samples, ARRAY_COUNT(samples), assert_message_equal);
}

/* What another version on another machine relies on. */
static void test_encode__known_messages__are_known_bytes(void **state)
{
	static const struct {
		void (*make)(struct peer_message *out);
		size_t len;
		const char *bytes;
	} rows[] = {
		{ cancel, 10, "\1\2\x88\x77\x66\x55\x44\x33\x22\x11" },
		{ working, 10, "\1\6\xff\xff\xff\xff\xff\xff\xff\xff" },
		{ release_one, 10, "\1\3\x88\x77\x66\x55\x44\x33\x22\x11" },
		{ hits_one, 26, "\1\4\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\0\0\0\0\0\0\0\0" },
		{ staged_byte, 67,
		  "\1\5\x88\x77\x66\x55\x44\x33\x22\x11\xe0\xe0\0\0\0\0\0\0"
		  "\0\0\x40\0\0\0\0\0\1\0\0\0\xd0\7\0\0\0"
		  "\xab\xab\xab\xab\xab\xab\xab\xab\xab\xab\xab\xab\xab\xab\xab\xab"
		  "\x78\x56\0\0\0\0\0\0\0\xee\xff\xc0\0\0\0\0" },
		{ refused, 15, "\1\7\x88\x77\x66\x55\x44\x33\x22\x11\2\xfa\0\0\0" },
		{ push_byte, 15, "\1\10\x88\x77\x66\x55\x44\x33\x22\x11\xff\xff\x3f\0p" },
		{ stage, 2 + 37 + 3 + 7 + 15 + 6 + 14,
		  "\1\1\x88\x77\x66\x55\x44\x33\x22\x11\1\x30\x75\0\0\17\0\0\0\0\0\0\0"
		  "\0\xf1\x53\x65\0\0\0\0\0\0\0\x40\0\0\0\0s3\0images\0train/0001.tar\0"
		  "\"abc\"\0/images/train\0" },
	};
	static struct peer_message message;
	uint8_t data[TRANSPORT_MESSAGE_MAX];

	(void)state;
	for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
		rows[i].make(&message);
		assert_int_equal(peer_message_encode(&message, data), rows[i].len);
		assert_memory_equal(data, rows[i].bytes, rows[i].len);
	}
}

/* Those without a list of things at their end are whole or nothing. */
static bool is_of_fixed_length(const struct peer_message *message)
{
	return message->kind != PEER_RELEASE && message->kind != PEER_HITS &&
	       message->kind != PEER_PUSH && message->kind != PEER_REFUSED;
}

static void test_decode__cut_off_anywhere__is_refused_or_a_shorter_message(void **state)
{
	static struct peer_message message;
	uint8_t data[TRANSPORT_MESSAGE_MAX];

	(void)state;
	for (unsigned i = 0; i < ARRAY_COUNT(samples); i++) {
		size_t len;

		samples[i].make(&message);
		len = peer_message_encode(&message, data);
		for (size_t cut = 0; cut < len; cut++) {
			int error = decode_closely(data, cut);

			if (is_of_fixed_length(&message))
				assert_int_equal(error, -EBADMSG);
		}
	}
}

static void test_decode__more_bytes__are_refused_or_a_longer_message(void **state)
{
	static struct peer_message message;
	uint8_t data[TRANSPORT_MESSAGE_MAX + 64];

	(void)state;
	for (unsigned i = 0; i < ARRAY_COUNT(samples); i++) {
		size_t len;

		samples[i].make(&message);
		memset(data, 0, sizeof(data));
		len = peer_message_encode(&message, data);
		for (size_t more = 1; more <= 64; more++) {
			int error = decode_closely(data, len + more);

			if (is_of_fixed_length(&message))
				assert_int_equal(error, -EBADMSG);
		}
	}
	memset(data, 1, sizeof(data));
	assert_int_equal(peer_message_decode(data, sizeof(data), &message), -EBADMSG);
}

static void test_decode__any_byte_changed__is_refused_or_another_message(void **state)
{
	(void)state;
	samples_change(samples, ARRAY_COUNT(samples));
}

/* @count bytes at @at of a good message are @value instead. */
static void test_decode__what_no_encoder_writes__is_refused(void **state)
{
	static const struct {
		const char *what;
		void (*make)(struct peer_message *out);
		size_t at, count;
		uint64_t value;
		int error;
	} rows[] = {
		{ "version 0", cancel, 0, 1, 0, -EPROTONOSUPPORT },
		{ "version 2", cancel, 0, 1, 2, -EPROTONOSUPPORT },
		{ "kind 0", cancel, 1, 1, 0, -EBADMSG },
		{ "kind after the last", cancel, 1, 1, PEER_ANSWER + 1, -EBADMSG },
		{ "stage: an unknown flag", stage, 10, 1, 8, -EBADMSG },
		{ "stage: no time", stage, 11, 4, 0, -EBADMSG },
		{ "stage: too much time", stage, 11, 4, PEER_TIMEOUT_MS_MAX + 1, -EBADMSG },
		{ "stage: size", stage, 31, 8, UINT64_C(1) << 63, -EBADMSG },
		{ "stage: no NUL at the end", stage, 83, 1, 'x', -EBADMSG },
		{ "stage: a NUL too many", stage, 39, 1, 0, -EBADMSG },
		{ "stage: a NUL too few", stage, 41, 1, 'x', -EBADMSG },
		{ "staged: no length", staged_byte, 26, 4, 0, -EBADMSG },
		{ "staged: more checks than it says", staged_two, 26, 4, 1, -EBADMSG },
		{ "staged: fewer checks", staged_two, 26, 4, 2 * GRANULE_LEN + 1, -EBADMSG },
		{ "staged: too long", staged_longest, 26, 4, BLOCK_LEN_MAX + 1, -EBADMSG },
		{ "staged: longest length", staged_longest, 26, 4, UINT32_MAX, -EBADMSG },
		{ "staged: off and len overflow", staged_granule, 18, 8, UINT64_MAX - 4095,
		  -EBADMSG },
		{ "staged: lease", staged_byte, 30, 4, PEER_TIMEOUT_MS_MAX + 1, -EBADMSG },
		{ "staged: origin", staged_byte, 34, 1, PEER_ORIGIN_COUNT, -EBADMSG },
		{ "refused: no reason", refused, 10, 1, 0, -EBADMSG },
		{ "refused: unknown reason", refused, 10, 1, PEER_STOPPING + 1, -EBADMSG },
		{ "refused: referred to nobody", refused, 10, 1, PEER_REFERRED, -EBADMSG },
		{ "refused: busy with holders", referred_one, 10, 1, PEER_BUSY, -EBADMSG },
		{ "refused: time", refused, 11, 4, PEER_TIMEOUT_MS_MAX + 1, -EBADMSG },
		{ "push: beyond the block", push_byte, 10, 4, BLOCK_LEN_MAX, -EBADMSG },
		{ "push: over the end", push_longest, 10, 4, BLOCK_LEN_MAX - PEER_PUSH_LEN_MAX + 1,
		  -EBADMSG },
		{ "push: offset", push_longest, 10, 4, UINT32_MAX, -EBADMSG },
	};
	static struct peer_message message;

	(void)state;
	for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
		uint8_t data[TRANSPORT_MESSAGE_MAX], value[8];
		size_t len;
		int error;

		rows[i].make(&message);
		len = peer_message_encode(&message, data);
		assert_int_equal(decode_closely(data, len), 0);
		bytes_put_u64(value, rows[i].value);
		assert_memory_not_equal(data + rows[i].at, value, rows[i].count);
		memcpy(data + rows[i].at, value, rows[i].count);
		error = decode_closely(data, len);
		if (error != rows[i].error)
			fail_msg("%s: %d", rows[i].what, error);
	}
}

static void test_decode__too_many_things__is_refused(void **state)
{
	static const struct {
		uint8_t kind;
		size_t first_len, thing_len, max;
	} rows[] = {
		{ PEER_RELEASE, 0, 8, PEER_RELEASES_MAX },
		{ PEER_HITS, 0, 24, PEER_HITS_MAX },
		{ PEER_REFUSED, 13, 16, PEER_HOLDERS_MAX },
		{ PEER_PUSH, 12, 1, PEER_PUSH_LEN_MAX },
	};
	uint8_t data[TRANSPORT_MESSAGE_MAX] = { PEER_WIRE_VERSION };

	(void)state;
	for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
		size_t none = 2 + rows[i].first_len, most = none + rows[i].max * rows[i].thing_len;

		data[1] = rows[i].kind;
		data[10] = rows[i].kind == PEER_PUSH ? 0 : PEER_REFERRED;
		assert_int_equal(decode_closely(data, none), -EBADMSG);
		assert_int_equal(decode_closely(data, none + rows[i].thing_len), 0);
		assert_int_equal(decode_closely(data, most), 0);
		assert_int_equal(decode_closely(data, most + rows[i].thing_len), -EBADMSG);
	}
}

/* A text longer than its limit cannot be sent, and is not taken from those who send it. */
static void test_encode__too_long_a_name__is_not_to_be_sent(void **state)
{
	static char key[BACKING_KEY_MAX + 2], etag[BACKING_ETAG_MAX + 1];
	static char dataset[PEER_DATASET_MAX + 1], backing[TRANSPORT_MESSAGE_MAX];
	static const struct object_version fine = { "s3", "images", "key", "etag", 1 };
	uint8_t data[TRANSPORT_MESSAGE_MAX];
	struct peer_message message = stage_of("key", "etag", "set");
	size_t room;

	(void)state;
	memset(key, 'k', sizeof(key) - 1);
	memset(etag, 'e', sizeof(etag) - 1);
	memset(dataset, 'd', sizeof(dataset) - 1);
	message.stage.version.key = key;
	assert_int_equal(peer_message_encode(&message, data), 0);
	message.stage.version = fine;
	message.stage.version.etag = etag;
	assert_int_equal(peer_message_encode(&message, data), 0);
	message.stage.version = fine;
	message.stage.dataset = dataset;
	assert_int_equal(peer_message_encode(&message, data), 0);
	message.stage.dataset = "set";

	/* a backing store's id has what the others leave: to the byte */
	room = TRANSPORT_MESSAGE_MAX - peer_message_encode(&message, data);
	memset(backing, 'b', room + 2);
	message.stage.version.backing = backing;
	assert_int_equal(peer_message_encode(&message, data), TRANSPORT_MESSAGE_MAX);
	assert_int_equal(decode_closely(data, TRANSPORT_MESSAGE_MAX), 0);
	backing[room + 2] = 'b';
	assert_int_equal(peer_message_encode(&message, data), 0);
}

static void test_decode__too_long_a_name__is_refused(void **state)
{
	static const struct {
		unsigned text; /* of the five, from 0 */
		size_t len_max;
	} rows[] = { { 2, BACKING_KEY_MAX },
		     { 3, BACKING_ETAG_MAX - 1 },
		     { 4, PEER_DATASET_MAX - 1 } };
	uint8_t data[TRANSPORT_MESSAGE_MAX] = { PEER_WIRE_VERSION, PEER_STAGE };

	(void)state;
	data[11] = 1; /* timeout_ms */
	for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
		for (size_t len = rows[i].len_max; len <= rows[i].len_max + 1; len++) {
			memset(data + 39, 0, sizeof(data) - 39);
			memset(data + 39 + rows[i].text, 'x', len);
			assert_int_equal(decode_closely(data, 39 + 5 + len),
					 len > rows[i].len_max ? -EBADMSG : 0);
		}
	}
}

static void test_refusal_status__each_reason__and_back(void **state)
{
	static const struct {
		enum peer_refusal why;
		int status;
		enum peer_refusal back;
	} rows[] = {
		{ PEER_ABSENT_HERE, -ENODATA, PEER_IO },
		{ PEER_BUSY, -EAGAIN, PEER_BUSY },
		{ PEER_REFERRED, -EAGAIN, PEER_BUSY },
		{ PEER_STALE, -ESTALE, PEER_STALE },
		{ PEER_GONE, -ENOENT, PEER_GONE },
		{ PEER_DENIED, -EACCES, PEER_DENIED },
		{ PEER_IO, -EIO, PEER_IO },
		{ PEER_LATE, -ETIMEDOUT, PEER_LATE },
		{ PEER_UNKNOWN, -ENODEV, PEER_UNKNOWN },
		{ PEER_STOPPING, -ECANCELED, PEER_STOPPING },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
		assert_int_equal(peer_refusal_status(rows[i].why), rows[i].status);
		assert_int_equal(peer_status_refusal(rows[i].status), rows[i].back);
	}
	assert_int_equal(peer_status_refusal(-EINVAL), PEER_UNKNOWN);
	assert_int_equal(peer_status_refusal(-ENOMEM), PEER_BUSY);
	assert_int_equal(peer_status_refusal(-EPROTO), PEER_IO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_decode__each_message__is_what_was_encoded),
		cmocka_unit_test(test_encode__known_messages__are_known_bytes),
		cmocka_unit_test(test_decode__cut_off_anywhere__is_refused_or_a_shorter_message),
		cmocka_unit_test(test_decode__more_bytes__are_refused_or_a_longer_message),
		cmocka_unit_test(test_decode__any_byte_changed__is_refused_or_another_message),
		cmocka_unit_test(test_decode__what_no_encoder_writes__is_refused),
		cmocka_unit_test(test_decode__too_many_things__is_refused),
		cmocka_unit_test(test_encode__too_long_a_name__is_not_to_be_sent),
		cmocka_unit_test(test_decode__too_long_a_name__is_refused),
		cmocka_unit_test(test_refusal_status__each_reason__and_back),
	};

	return cmocka_run_group_tests(tests, make_texts, NULL);
}
