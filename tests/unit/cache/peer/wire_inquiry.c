/*
 * Tests of INQUIRE and REPORT in peer/wire.h: what is encoded decodes to the same, its bytes are
 * fixed, and whatever is cut off or changed either is refused or is another message that an encoder
 * writes.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "cache/backing.h"
#include "cache/peer/wire.h"
#include "tests/unit/cache/peer/wire_closely.h"

#define REQUEST UINT64_C(0x1122334455667788)

static char longest_key[BACKING_KEY_MAX + 1], longest_etag[BACKING_ETAG_MAX];
static char longest_dataset[PEER_DATASET_MAX], longest_name[PEER_REPORT_NAME_MAX];
static char longest_version[PEER_REPORT_VERSION_MAX], longest_problem[PEER_REPORT_PROBLEM_MAX];

static int make_texts(void **state)
{
	(void)state;
	memset(longest_key, 'k', sizeof(longest_key) - 1);
	memset(longest_etag, 'e', sizeof(longest_etag) - 1);
	memset(longest_dataset, 'd', sizeof(longest_dataset) - 1);
	memset(longest_name, 'n', sizeof(longest_name) - 1);
	memset(longest_version, 'v', sizeof(longest_version) - 1);
	memset(longest_problem, 'p', sizeof(longest_problem) - 1);
	return 0;
}

/* --- one message of each topic and form, and those at the edges */

static void inquire_of(struct peer_message *out, enum peer_topic topic)
{
	*out = (struct peer_message){
		.kind = PEER_INQUIRE,
		.inquire = { .request = REQUEST,
			     .timeout_ms = 5000,
			     .topic = topic,
			     .version = { "s3", "images", "train/a", "\"e\"", 4097 },
			     .dataset = "/images" },
	};
}

static void ask_summary(struct peer_message *out)
{
	inquire_of(out, PEER_TOPIC_SUMMARY);
}

static void ask_holdings(struct peer_message *out)
{
	inquire_of(out, PEER_TOPIC_HOLDINGS);
}

static void ask_holdings_longest(struct peer_message *out)
{
	inquire_of(out, PEER_TOPIC_HOLDINGS);
	out->inquire.timeout_ms = PEER_TIMEOUT_MS_MAX;
	out->inquire.version =
		(struct object_version){ "", "", longest_key, longest_etag, INT64_MAX };
}

static void ask_measure(struct peer_message *out)
{
	inquire_of(out, PEER_TOPIC_MEASURE);
	memset(out->inquire.measure.target.bytes, 0xab, MEMBER_ID_LEN);
	out->inquire.measure.duration_ms = 1000;
	out->inquire.measure.bytes = 256 << 20;
	out->inquire.measure.read_len = PEER_MEASURE_LEN_MAX;
	out->inquire.measure.depth = 16;
}

static void ask_measure_most(struct peer_message *out)
{
	ask_measure(out);
	out->inquire.measure.duration_ms = PEER_MEASURE_MS_MAX;
	out->inquire.measure.bytes = PEER_MEASURE_BYTES_MAX;
	out->inquire.measure.depth = PEER_MEASURE_DEPTH_MAX;
}

static void ask_take(struct peer_message *out)
{
	inquire_of(out, PEER_TOPIC_TAKE);
	out->inquire.mtime_s = 1700000000;
	out->inquire.take = (struct peer_take){ .first = 64, .blocks = 5 };
}

static void ask_take_longest(struct peer_message *out)
{
	ask_take(out);
	out->inquire.mtime_s = INT64_MIN;
	out->inquire.version.key = longest_key;
	out->inquire.version.etag = longest_etag;
	out->inquire.dataset = longest_dataset;
	out->inquire.take.first = UINT64_MAX - PEER_TAKE_BLOCKS;
	out->inquire.take.blocks = UINT64_MAX;
}

static void report_of(struct peer_message *out, enum peer_topic topic)
{
	*out = (struct peer_message){
		.kind = PEER_REPORT,
		.report = { .request = REQUEST, .form = PEER_REPORT_DONE, .topic = topic },
	};
}

static void working(struct peer_message *out)
{
	report_of(out, 0);
	out->report.form = PEER_REPORT_WORKING;
}

static void failed(struct peer_message *out)
{
	report_of(out, 0);
	out->report.form = PEER_REPORT_FAILED;
	out->report.why = PEER_IO;
	out->report.problem = "disk";
}

static void failed_longest(struct peer_message *out)
{
	failed(out);
	out->report.why = PEER_STOPPING;
	out->report.problem = longest_problem;
}

static void summary(struct peer_message *out)
{
	report_of(out, PEER_TOPIC_SUMMARY);
	for (unsigned i = 0; i < PEER_NUMBER_COUNT; i++)
		out->report.summary.numbers[i] = i + 1;
	out->report.summary.name = "gpu-7";
	out->report.summary.version = "0.1.0";
}

static void summary_longest(struct peer_message *out)
{
	summary(out);
	out->report.summary.name = longest_name;
	out->report.summary.version = longest_version;
}

static void holdings(struct peer_message *out)
{
	report_of(out, PEER_TOPIC_HOLDINGS);
	out->report.holdings = (struct peer_holdings){
		.memory = 0x1234, .ssd = UINT64_MAX, .owned = 0x5678, .replicas = UINT64_MAX - 1
	};
}

static void measured(struct peer_message *out)
{
	report_of(out, PEER_TOPIC_MEASURE);
	out->report.measured = (struct peer_measured){
		.bytes = 1, .ns = 2, .reads = 3, .p50_ns = 4, .p99_ns = 5, .max_ns = UINT64_MAX
	};
}

static void taken(struct peer_message *out)
{
	report_of(out, PEER_TOPIC_TAKE);
	out->report.taken = (struct peer_taken){ .blocks = 5, .bytes = 4 << 20 };
}

static const struct wire_sample samples[] = {
	{ "ask, summary", ask_summary },
	{ "ask, holdings", ask_holdings },
	{ "ask, holdings, longest", ask_holdings_longest },
	{ "ask, measure", ask_measure },
	{ "ask, measure, most", ask_measure_most },
	{ "ask, take", ask_take },
	{ "ask, take, longest", ask_take_longest },
	{ "working", working },
	{ "failed", failed },
	{ "failed, longest", failed_longest },
	{ "summary", summary },
	{ "summary, longest", summary_longest },
	{ "holdings", holdings },
	{ "measured", measured },
	{ "taken", taken },
};

/* --- comparing */

static void assert_version_equal(const struct object_version *a, const struct object_version *b)
{
	assert_int_equal(a->size, b->size);
	assert_string_equal(a->backing, b->backing);
	assert_string_equal(a->bucket, b->bucket);
	assert_string_equal(a->key, b->key);
	assert_string_equal(a->etag, b->etag);
}

static void assert_inquire_equal(const struct peer_inquire *a, const struct peer_inquire *b)
{
	assert_int_equal(a->request, b->request);
	assert_int_equal(a->topic, b->topic);
	assert_int_equal(a->timeout_ms, b->timeout_ms);
	if (a->topic == PEER_TOPIC_HOLDINGS || a->topic == PEER_TOPIC_TAKE)
		assert_version_equal(&a->version, &b->version);
	if (a->topic == PEER_TOPIC_TAKE) {
		assert_true(a->mtime_s == b->mtime_s);
		assert_string_equal(a->dataset, b->dataset);
		assert_int_equal(a->take.first, b->take.first);
		assert_int_equal(a->take.blocks, b->take.blocks);
	}
	if (a->topic == PEER_TOPIC_MEASURE) {
		assert_true(member_id_equal(&a->measure.target, &b->measure.target));
		assert_int_equal(a->measure.duration_ms, b->measure.duration_ms);
		assert_int_equal(a->measure.bytes, b->measure.bytes);
		assert_int_equal(a->measure.read_len, b->measure.read_len);
		assert_int_equal(a->measure.depth, b->measure.depth);
	}
}

static void assert_done_equal(const struct peer_report *a, const struct peer_report *b)
{
	assert_int_equal(a->topic, b->topic);
	switch (a->topic) {
	case PEER_TOPIC_SUMMARY:
		assert_string_equal(a->summary.name, b->summary.name);
		assert_string_equal(a->summary.version, b->summary.version);
		assert_memory_equal(a->summary.numbers, b->summary.numbers,
				    sizeof(a->summary.numbers));
		break;
	case PEER_TOPIC_HOLDINGS:
		assert_int_equal(a->holdings.memory, b->holdings.memory);
		assert_int_equal(a->holdings.ssd, b->holdings.ssd);
		assert_int_equal(a->holdings.owned, b->holdings.owned);
		assert_int_equal(a->holdings.replicas, b->holdings.replicas);
		break;
	case PEER_TOPIC_MEASURE:
		assert_int_equal(a->measured.bytes, b->measured.bytes);
		assert_int_equal(a->measured.ns, b->measured.ns);
		assert_int_equal(a->measured.reads, b->measured.reads);
		assert_int_equal(a->measured.p50_ns, b->measured.p50_ns);
		assert_int_equal(a->measured.p99_ns, b->measured.p99_ns);
		assert_int_equal(a->measured.max_ns, b->measured.max_ns);
		break;
	case PEER_TOPIC_TAKE:
		assert_int_equal(a->taken.blocks, b->taken.blocks);
		assert_int_equal(a->taken.bytes, b->taken.bytes);
		break;
	}
}

static void assert_report_equal(const struct peer_report *a, const struct peer_report *b)
{
	assert_int_equal(a->request, b->request);
	assert_int_equal(a->form, b->form);
	if (a->form == PEER_REPORT_FAILED) {
		assert_int_equal(a->why, b->why);
		assert_string_equal(a->problem, b->problem);
	}
	if (a->form == PEER_REPORT_DONE)
		assert_done_equal(a, b);
}

static void assert_message_equal(const struct peer_message *a, const struct peer_message *b)
{
	assert_int_equal(a->kind, b->kind);
	if (a->kind == PEER_INQUIRE)
		assert_inquire_equal(&a->inquire, &b->inquire);
	else
		assert_report_equal(&a->report, &b->report);
}

static void test_decode__each_message__is_what_was_encoded(void **state)
{
	(void)state;
	samples_round_trip(samples, ARRAY_COUNT(samples), assert_message_equal);
}

/* What another version on another machine relies on. */
static void test_encode__known_messages__are_known_bytes(void **state)
{
#define HEAD(kind)  "\1" kind "\x88\x77\x66\x55\x44\x33\x22\x11"
#define TWICE(text) text text
	static const struct {
		void (*make)(struct peer_message *out);
		size_t len;
		const char *bytes;
	} rows[] = {
		{ ask_summary, 15, HEAD("\13") "\1\x88\x13\0\0" },
		{ ask_holdings, 15 + 8 + 22,
		  HEAD("\13") "\2\x88\x13\0\0\1\x10\0\0\0\0\0\0s3\0images\0train/a\0\"e\"" },
		{ ask_measure, 15 + 36,
		  HEAD("\13") "\3\x88\x13\0\0" TWICE(
			  "\xab\xab\xab\xab\xab\xab\xab\xab") "\xe8\3\0\0"
							      "\0\0\0\x10\0\0\0\0\0\0\x10\0\x10\0\0"
							      "\0" },
		{ ask_take, 15 + 32 + 22 + 8,
		  HEAD("\13") "\4\x88\x13\0\0\1\x10\0\0\0\0\0\0\0\xf1\x53\x65\0\0\0\0"
			      "\x40\0\0\0\0\0\0\0\5\0\0\0\0\0\0\0s3\0images\0train/a\0\"e\"\0"
			      "/images" },
		{ working, 11, HEAD("\14") "\1" },
		{ failed, 11 + 1 + 5, HEAD("\14") "\3\7disk" },
		{ holdings, 11 + 1 + 32,
		  HEAD("\14") "\2\2\x34\x12\0\0\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff"
			      "\x78\x56\0\0\0\0\0\0\xfe\xff\xff\xff\xff\xff\xff\xff" },
		{ measured, 11 + 1 + 44,
		  HEAD("\14") "\2\3\1\0\0\0\0\0\0\0\2\0\0\0\0\0\0\0\3\0\0\0\4\0\0\0\0\0\0\0"
			      "\5\0\0\0\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff" },
		{ taken, 11 + 1 + 16, HEAD("\14") "\2\4\5\0\0\0\0\0\0\0\0\0\x40\0\0\0\0\0" },
	};
	static struct peer_message message;
	uint8_t data[TRANSPORT_MESSAGE_MAX];

	(void)state;
	for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
		rows[i].make(&message);
		assert_int_equal(peer_message_encode(&message, data), rows[i].len);
		assert_memory_equal(data, rows[i].bytes, rows[i].len);
	}
	summary(&message);
	assert_int_equal(peer_message_encode(&message, data), 12 + PEER_NUMBER_COUNT * 8 + 12);
	assert_memory_equal(data, HEAD("\14") "\2\1\1\0\0\0\0\0\0\0\2", 21);
	assert_memory_equal(data + 12 + (size_t)PEER_NUMBER_COUNT * 8, "gpu-7\0000.1.0", 12);
}

static void test_decode__cut_off_or_longer__is_refused(void **state)
{
	static struct peer_message message;
	uint8_t data[TRANSPORT_MESSAGE_MAX + 1];

	(void)state;
	for (unsigned i = 0; i < ARRAY_COUNT(samples); i++) {
		size_t len;

		samples[i].make(&message);
		len = peer_message_encode(&message, data);
		for (size_t cut = 0; cut < len; cut++)
			assert_int_equal(decode_closely(data, cut), -EBADMSG);
		data[len] = 'x';
		assert_int_equal(decode_closely(data, len + 1), -EBADMSG);
	}
}

static void test_decode__any_byte_changed__is_refused_or_another_message(void **state)
{
	(void)state;
	samples_change(samples, ARRAY_COUNT(samples));
}

static void test_decode__beyond_the_limits__is_refused(void **state)
{
	static const struct {
		void (*make)(struct peer_message *out);
		size_t at, len;
		const char *bytes;
	} rows[] = {
		{ ask_summary, 10, 1, "\0" },		      /* no such topic */
		{ ask_summary, 10, 1, "\5" },		      /* likewise */
		{ ask_summary, 11, 4, "\0\0\0\0" },	      /* no time */
		{ ask_summary, 11, 4, "\x81\xee\x36\0" },     /* more than an hour */
		{ ask_holdings, 22, 1, "\x80" },	      /* a negative size */
		{ ask_measure, 31, 4, "\0\0\0\0" },	      /* no time */
		{ ask_measure, 31, 4, "\x11\x27\0\0" },	      /* more than ten seconds */
		{ ask_measure, 35, 8, "\0\0\0\0\0\0\0\0" },   /* no bytes */
		{ ask_measure, 35, 8, "\1\0\0\0\x10\0\0\0" }, /* more than 64 GiB */
		{ ask_measure, 43, 4, "\0\0\0\0" },	      /* reads of nothing */
		{ ask_measure, 43, 4, "\1\0\x10\0" },	      /* of more than 1 MiB */
		{ ask_measure, 47, 4, "\0\0\0\0" },	      /* none at a time */
		{ ask_measure, 47, 4, "\x41\0\0\0" },	      /* more than 64 at a time */
		{ ask_take, 39, 8, "\0\0\0\0\0\0\0\0" },      /* no blocks */
		{ ask_take, 31, 8, "\xff\xff\xff\xff\xff\xff\xff\xff" }, /* behind the last one */
		{ working, 10, 1, "\0" },				 /* no such form */
		{ working, 10, 1, "\4" },
		{ failed, 11, 1, "\0" }, /* no such refusal */
		{ failed, 11, 1, "\13" },
		{ taken, 11, 1, "\0" }, /* no such topic */
		{ taken, 11, 1, "\3" }, /* another topic's length */
	};
	static struct peer_message message;
	uint8_t data[TRANSPORT_MESSAGE_MAX];

	(void)state;
	for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
		size_t len;

		rows[i].make(&message);
		len = peer_message_encode(&message, data);
		memcpy(data + rows[i].at, rows[i].bytes, rows[i].len);
		if (decode_closely(data, len) != -EBADMSG)
			fail_msg("row %u", i);
	}
}

static void test_encode__names_too_long__is_nothing(void **state)
{
	static char longer[PEER_DATASET_MAX + 1], endless[TRANSPORT_MESSAGE_MAX];
	static struct peer_message message;
	uint8_t data[TRANSPORT_MESSAGE_MAX];

	(void)state;
	memset(longer, 'x', sizeof(longer) - 1);
	memset(endless, 'x', sizeof(endless) - 1);
	ask_take(&message);
	message.inquire.dataset = longer;
	assert_int_equal(peer_message_encode(&message, data), 0);
	ask_holdings(&message);
	message.inquire.version.bucket = endless;
	assert_int_equal(peer_message_encode(&message, data), 0);
	failed(&message);
	message.report.problem = longer;
	assert_int_equal(peer_message_encode(&message, data), 0);
	summary(&message);
	message.report.summary.name = longer;
	assert_int_equal(peer_message_encode(&message, data), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_decode__each_message__is_what_was_encoded),
		cmocka_unit_test(test_encode__known_messages__are_known_bytes),
		cmocka_unit_test(test_decode__cut_off_or_longer__is_refused),
		cmocka_unit_test(test_decode__any_byte_changed__is_refused_or_another_message),
		cmocka_unit_test(test_decode__beyond_the_limits__is_refused),
		cmocka_unit_test(test_encode__names_too_long__is_nothing),
	};

	return cmocka_run_group_tests(tests, make_texts, NULL);
}
