/*
 * peer_wire_fuzz.c - any bytes as what a peer says about units of the cache. What is accepted stays
 * within the limits of peer/wire.h and encodes to the same bytes.
 */
/* fuzz-links: cenote_peer */
#include <stdint.h>
#include <string.h>

#include "base/check.h"
#include "cache/backing.h"
#include "cache/peer/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check_stage(const struct peer_stage *stage)
{
	struct object_id id;

	CHECK(stage->timeout_ms > 0 && stage->timeout_ms <= PEER_TIMEOUT_MS_MAX);
	CHECK(strlen(stage->version.key) <= BACKING_KEY_MAX);
	CHECK(strlen(stage->version.etag) < BACKING_ETAG_MAX);
	CHECK(strlen(stage->dataset) < PEER_DATASET_MAX);
	object_id_of(&stage->version, &id);
	CHECK(object_id_equal(&id, &stage->id));
}

static void check_inquire(const struct peer_inquire *inquire)
{
	const struct peer_measure *measure = &inquire->measure;

	CHECK(inquire->timeout_ms > 0 && inquire->timeout_ms <= PEER_TIMEOUT_MS_MAX);
	if (inquire->topic == PEER_TOPIC_TAKE)
		CHECK(inquire->take.blocks && inquire->version.size <= INT64_MAX);
	if (inquire->topic == PEER_TOPIC_MEASURE)
		CHECK(measure->depth > 0 && measure->depth <= PEER_MEASURE_DEPTH_MAX &&
		      measure->read_len > 0 && measure->read_len <= PEER_MEASURE_LEN_MAX);
}

static void check_limits(const struct peer_message *message)
{
	switch (message->kind) {
	case PEER_STAGE:
		check_stage(&message->stage);
		break;
	case PEER_RELEASE:
		CHECK(message->release.count > 0 && message->release.count <= PEER_RELEASES_MAX);
		break;
	case PEER_HITS:
		CHECK(message->hits.count > 0 && message->hits.count <= PEER_HITS_MAX);
		break;
	case PEER_STAGED:
		CHECK(message->staged.len > 0 && message->staged.len <= BLOCK_LEN_MAX);
		CHECK(message->staged.off <= UINT64_MAX - message->staged.len);
		CHECK(message->staged.origin < PEER_ORIGIN_COUNT);
		break;
	case PEER_REFUSED:
		CHECK(message->refused.holder_count <= PEER_HOLDERS_MAX);
		CHECK(peer_refusal_status(message->refused.why) < 0);
		break;
	case PEER_PUSH:
		CHECK(message->push.len > 0 && message->push.off < BLOCK_LEN_MAX &&
		      message->push.len <= BLOCK_LEN_MAX - message->push.off);
		break;
	case PEER_ASK:
		CHECK(message->ask.timeout_ms > 0 &&
		      message->ask.timeout_ms <= PEER_TIMEOUT_MS_MAX);
		CHECK(message->ask.max_keys <= PEER_ASK_KEYS_MAX);
		break;
	case PEER_ANSWER:
		CHECK(message->answer.form >= PEER_ANSWER_WORKING &&
		      message->answer.form <= PEER_ANSWER_ERROR);
		break;
	case PEER_INQUIRE:
		check_inquire(&message->inquire);
		break;
	case PEER_REPORT:
		CHECK(message->report.form >= PEER_REPORT_WORKING &&
		      message->report.form <= PEER_REPORT_FAILED);
		break;
	case PEER_CANCEL:
	case PEER_WORKING:
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static uint8_t again[TRANSPORT_MESSAGE_MAX];
	static struct peer_message message;

	if (peer_message_decode(data, len, &message))
		return 0;
	check_limits(&message);
	CHECK(peer_message_encode(&message, again) == len);
	CHECK(!memcmp(again, data, len));
	return 0;
}
