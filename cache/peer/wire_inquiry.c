/*
 * wire_inquiry.c - what operators ask, and what comes of it, byte by byte. After version and kind:
 *
 *	INQUIRE	 request 8, topic 1, timeout_ms 4, then by its topic
 *		 SUMMARY  nothing
 *		 HOLDINGS size 8, then four texts: backing, bucket, key, etag
 *		 MEASURE  target 16, duration_ms 4, bytes 8, read_len 4, depth 4
 *		 TAKE	  size 8, mtime_s 8, first 8, blocks 8, then five texts: backing, bucket,
 *			  key, etag, dataset
 *	REPORT	 request 8, form 1, then by its form
 *		 WORKING  nothing
 *		 FAILED	  why 1, text problem
 *		 DONE	  topic 1, then by that
 *			  SUMMARY  numbers 8 each, then two texts: name, version
 *			  HOLDINGS memory 8, ssd 8, owned 8, replicas 8
 *			  MEASURE  bytes 8, ns 8, reads 4, p50_ns 8, p99_ns 8, max_ns 8
 *			  TAKE	   blocks 8, bytes 8
 */
#include <assert.h>

#include "base/bytes.h"
#include "base/check.h"
#include "cache/backing.h"
#include "cache/peer/wire_inside.h"

#define INQUIRE_LEN  13 /* up to what its topic says */
#define HOLDINGS_LEN 8	/* up to the texts */
#define MEASURE_LEN  (MEMBER_ID_LEN + 20)
#define TAKE_LEN     32 /* up to the texts */

#define REPORT_LEN	    9				       /* up to what its form says */
#define REPORT_SUMMARY_LEN  ((ptrdiff_t)PEER_NUMBER_COUNT * 8) /* up to the texts */
#define REPORT_HOLDINGS_LEN 32
#define REPORT_MEASURE_LEN  44
#define REPORT_TAKE_LEN	    16

static_assert(WIRE_HEADER_LEN + REPORT_LEN + 1 + REPORT_SUMMARY_LEN + PEER_REPORT_NAME_MAX +
			      PEER_REPORT_VERSION_MAX <=
		      TRANSPORT_MESSAGE_MAX,
	      "one message");

static bool measure_fits(const struct peer_measure *measure)
{
	return measure->duration_ms > 0 && measure->duration_ms <= PEER_MEASURE_MS_MAX &&
	       measure->bytes > 0 && measure->bytes <= PEER_MEASURE_BYTES_MAX &&
	       measure->read_len > 0 && measure->read_len <= PEER_MEASURE_LEN_MAX &&
	       measure->depth > 0 && measure->depth <= PEER_MEASURE_DEPTH_MAX;
}

static bool take_fits(const struct peer_take *take)
{
	return take->blocks != 0 && take->first <= UINT64_MAX - PEER_TAKE_BLOCKS;
}

/* --- the way out */

/* Return: behind them; NULL: no room. */
static uint8_t *version_put(uint8_t *at, const uint8_t *end, const struct object_version *version)
{
	at = wire_put_text(at, end, version->backing, TRANSPORT_MESSAGE_MAX);
	at = at ? wire_put_text(at, end, version->bucket, TRANSPORT_MESSAGE_MAX) : NULL;
	at = at ? wire_put_text(at, end, version->key, BACKING_KEY_MAX + 1) : NULL;
	return at ? wire_put_text(at, end, version->etag, BACKING_ETAG_MAX) : NULL;
}

static uint8_t *measure_put(uint8_t *out, const struct peer_measure *measure)
{
	CHECK(measure_fits(measure));
	memcpy(out, measure->target.bytes, MEMBER_ID_LEN);
	out += MEMBER_ID_LEN;
	bytes_put_u32(out, measure->duration_ms);
	bytes_put_u64(out + 4, measure->bytes);
	bytes_put_u32(out + 12, measure->read_len);
	bytes_put_u32(out + 16, measure->depth);
	return out + 20;
}

static uint8_t *take_put(uint8_t *out, const uint8_t *end, const struct peer_inquire *inquire)
{
	uint8_t *at;

	CHECK(take_fits(&inquire->take));
	bytes_put_u64(out, inquire->version.size);
	bytes_put_u64(out + 8, (uint64_t)inquire->mtime_s);
	bytes_put_u64(out + 16, inquire->take.first);
	bytes_put_u64(out + 24, inquire->take.blocks);
	at = version_put(out + TAKE_LEN, end, &inquire->version);
	return at ? wire_put_text(at, end, inquire->dataset, PEER_DATASET_MAX) : NULL;
}

size_t wire_inquire_encode(const struct peer_inquire *inquire, uint8_t *out, const uint8_t *end)
{
	uint8_t *body = out + INQUIRE_LEN;
	const uint8_t *at = NULL;

	CHECK(inquire->timeout_ms > 0 && inquire->timeout_ms <= PEER_TIMEOUT_MS_MAX);
	bytes_put_u64(out, inquire->request);
	out[8] = (uint8_t)inquire->topic;
	bytes_put_u32(out + 9, inquire->timeout_ms);
	switch (inquire->topic) {
	case PEER_TOPIC_SUMMARY:
		at = body;
		break;
	case PEER_TOPIC_HOLDINGS:
		CHECK(inquire->version.size <= INT64_MAX);
		bytes_put_u64(body, inquire->version.size);
		at = version_put(body + HOLDINGS_LEN, end, &inquire->version);
		break;
	case PEER_TOPIC_MEASURE:
		at = measure_put(body, &inquire->measure);
		break;
	case PEER_TOPIC_TAKE:
		CHECK(inquire->version.size <= INT64_MAX);
		at = take_put(body, end, inquire);
		break;
	}
	return at ? (size_t)(at - out) : 0;
}

static const uint8_t *summary_put(uint8_t *out, const uint8_t *end,
				  const struct peer_summary *summary)
{
	uint8_t *at = out;

	for (unsigned i = 0; i < PEER_NUMBER_COUNT; i++, at += 8)
		bytes_put_u64(at, summary->numbers[i]);
	at = wire_put_text(at, end, summary->name, PEER_REPORT_NAME_MAX);
	return at ? wire_put_text(at, end, summary->version, PEER_REPORT_VERSION_MAX) : NULL;
}

static const uint8_t *measured_put(uint8_t *out, const struct peer_measured *measured)
{
	bytes_put_u64(out, measured->bytes);
	bytes_put_u64(out + 8, measured->ns);
	bytes_put_u32(out + 16, measured->reads);
	bytes_put_u64(out + 20, measured->p50_ns);
	bytes_put_u64(out + 28, measured->p99_ns);
	bytes_put_u64(out + 36, measured->max_ns);
	return out + REPORT_MEASURE_LEN;
}

static const uint8_t *two_put(uint8_t *out, uint64_t a, uint64_t b)
{
	bytes_put_u64(out, a);
	bytes_put_u64(out + 8, b);
	return out + 16;
}

static const uint8_t *holdings_put(uint8_t *out, const struct peer_holdings *holdings)
{
	bytes_put_u64(out, holdings->memory);
	bytes_put_u64(out + 8, holdings->ssd);
	bytes_put_u64(out + 16, holdings->owned);
	bytes_put_u64(out + 24, holdings->replicas);
	return out + REPORT_HOLDINGS_LEN;
}

static const uint8_t *done_put(uint8_t *out, const uint8_t *end, const struct peer_report *report)
{
	uint8_t *body = out + 1;

	out[0] = (uint8_t)report->topic;
	switch (report->topic) {
	case PEER_TOPIC_SUMMARY:
		return summary_put(body, end, &report->summary);
	case PEER_TOPIC_HOLDINGS:
		return holdings_put(body, &report->holdings);
	case PEER_TOPIC_MEASURE:
		return measured_put(body, &report->measured);
	case PEER_TOPIC_TAKE:
		return two_put(body, report->taken.blocks, report->taken.bytes);
	}
	CHECK(!"a topic");
	return NULL;
}

size_t wire_report_encode(const struct peer_report *report, uint8_t *out, const uint8_t *end)
{
	uint8_t *body = out + REPORT_LEN;
	const uint8_t *at = NULL;

	bytes_put_u64(out, report->request);
	out[8] = (uint8_t)report->form;
	switch (report->form) {
	case PEER_REPORT_WORKING:
		at = body;
		break;
	case PEER_REPORT_DONE:
		at = done_put(body, end, report);
		break;
	case PEER_REPORT_FAILED:
		CHECK(report->why >= PEER_ABSENT_HERE && report->why <= PEER_STOPPING);
		body[0] = (uint8_t)report->why;
		at = wire_put_text(body + 1, end, report->problem, PEER_REPORT_PROBLEM_MAX);
		break;
	}
	return at ? (size_t)(at - out) : 0;
}

/* --- the way in: each reads @data up to @end. Return: whether that is all of it, and sane */

static const uint8_t *version_get(const uint8_t *at, const uint8_t *end, struct object_version *out)
{
	at = wire_get_text(at, end, TRANSPORT_MESSAGE_MAX, &out->backing);
	at = at ? wire_get_text(at, end, TRANSPORT_MESSAGE_MAX, &out->bucket) : NULL;
	at = at ? wire_get_text(at, end, BACKING_KEY_MAX + 1, &out->key) : NULL;
	return at ? wire_get_text(at, end, BACKING_ETAG_MAX, &out->etag) : NULL;
}

static bool holdings_wanted(const uint8_t *data, const uint8_t *end, struct peer_inquire *out)
{
	if (end - data < HOLDINGS_LEN)
		return false;
	out->version.size = bytes_get_u64(data);
	return out->version.size <= INT64_MAX &&
	       version_get(data + HOLDINGS_LEN, end, &out->version) == end;
}

static bool measure_wanted(const uint8_t *data, const uint8_t *end, struct peer_measure *out)
{
	if (end - data != MEASURE_LEN)
		return false;
	memcpy(out->target.bytes, data, MEMBER_ID_LEN);
	data += MEMBER_ID_LEN;
	out->duration_ms = bytes_get_u32(data);
	out->bytes = bytes_get_u64(data + 4);
	out->read_len = bytes_get_u32(data + 12);
	out->depth = bytes_get_u32(data + 16);
	return measure_fits(out);
}

static bool take_wanted(const uint8_t *data, const uint8_t *end, struct peer_inquire *out)
{
	const uint8_t *at;

	if (end - data < TAKE_LEN)
		return false;
	out->version.size = bytes_get_u64(data);
	out->mtime_s = (int64_t)bytes_get_u64(data + 8);
	out->take.first = bytes_get_u64(data + 16);
	out->take.blocks = bytes_get_u64(data + 24);
	if (out->version.size > INT64_MAX || !take_fits(&out->take))
		return false;
	at = version_get(data + TAKE_LEN, end, &out->version);
	at = at ? wire_get_text(at, end, PEER_DATASET_MAX, &out->dataset) : NULL;
	return at == end;
}

bool wire_inquire_decode(const uint8_t *data, size_t len, struct peer_inquire *out)
{
	const uint8_t *body = data + INQUIRE_LEN, *end = data + len;

	if (len < INQUIRE_LEN)
		return false;
	out->request = bytes_get_u64(data);
	out->topic = data[8];
	out->timeout_ms = bytes_get_u32(data + 9);
	if (out->timeout_ms == 0 || out->timeout_ms > PEER_TIMEOUT_MS_MAX)
		return false;
	switch (out->topic) {
	case PEER_TOPIC_SUMMARY:
		return body == end;
	case PEER_TOPIC_HOLDINGS:
		return holdings_wanted(body, end, out);
	case PEER_TOPIC_MEASURE:
		return measure_wanted(body, end, &out->measure);
	case PEER_TOPIC_TAKE:
		return take_wanted(body, end, out);
	}
	return false;
}

static bool summary_get(const uint8_t *data, const uint8_t *end, struct peer_summary *out)
{
	const uint8_t *at = data + REPORT_SUMMARY_LEN;

	if (end - data < REPORT_SUMMARY_LEN)
		return false;
	for (unsigned i = 0; i < PEER_NUMBER_COUNT; i++)
		out->numbers[i] = bytes_get_u64(data + (size_t)i * 8);
	at = wire_get_text(at, end, PEER_REPORT_NAME_MAX, &out->name);
	at = at ? wire_get_text(at, end, PEER_REPORT_VERSION_MAX, &out->version) : NULL;
	return at == end;
}

static bool measured_get(const uint8_t *data, const uint8_t *end, struct peer_measured *out)
{
	if (end - data != REPORT_MEASURE_LEN)
		return false;
	out->bytes = bytes_get_u64(data);
	out->ns = bytes_get_u64(data + 8);
	out->reads = bytes_get_u32(data + 16);
	out->p50_ns = bytes_get_u64(data + 20);
	out->p99_ns = bytes_get_u64(data + 28);
	out->max_ns = bytes_get_u64(data + 36);
	return true;
}

static bool two_get(const uint8_t *data, const uint8_t *end, uint64_t *a, uint64_t *b)
{
	if (end - data != 16)
		return false;
	*a = bytes_get_u64(data);
	*b = bytes_get_u64(data + 8);
	return true;
}

static bool holdings_get(const uint8_t *data, const uint8_t *end, struct peer_holdings *out)
{
	if (end - data != REPORT_HOLDINGS_LEN)
		return false;
	out->memory = bytes_get_u64(data);
	out->ssd = bytes_get_u64(data + 8);
	out->owned = bytes_get_u64(data + 16);
	out->replicas = bytes_get_u64(data + 24);
	return true;
}

static bool done_get(const uint8_t *data, const uint8_t *end, struct peer_report *out)
{
	if (data == end)
		return false;
	out->topic = *data++;
	switch (out->topic) {
	case PEER_TOPIC_SUMMARY:
		return summary_get(data, end, &out->summary);
	case PEER_TOPIC_HOLDINGS:
		return holdings_get(data, end, &out->holdings);
	case PEER_TOPIC_MEASURE:
		return measured_get(data, end, &out->measured);
	case PEER_TOPIC_TAKE:
		return two_get(data, end, &out->taken.blocks, &out->taken.bytes);
	}
	return false;
}

static bool failed_get(const uint8_t *data, const uint8_t *end, struct peer_report *out)
{
	if (data == end)
		return false;
	out->why = data[0];
	return out->why >= PEER_ABSENT_HERE && out->why <= PEER_STOPPING &&
	       wire_get_text(data + 1, end, PEER_REPORT_PROBLEM_MAX, &out->problem) == end;
}

bool wire_report_decode(const uint8_t *data, size_t len, struct peer_report *out)
{
	const uint8_t *body = data + REPORT_LEN, *end = data + len;

	if (len < REPORT_LEN)
		return false;
	out->request = bytes_get_u64(data);
	out->form = data[8];
	switch (out->form) {
	case PEER_REPORT_WORKING:
		return body == end;
	case PEER_REPORT_DONE:
		return done_get(body, end, out);
	case PEER_REPORT_FAILED:
		return failed_get(body, end, out);
	}
	return false;
}
