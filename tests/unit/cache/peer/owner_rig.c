/*
 * owner_rig.c - the owner's node, its readers, the network's time.
 */
#include "tests/unit/cache/peer/owner_rig.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "tests/unit/cache/peer/host.h"

#define OWNER_NUMBER 0
#define STEP_NS_MAX  (2 * NS_PER_MS)
#define EPOCH	     UINT64_C(0xe90c4)

struct peers_config rig_config(void)
{
	return (struct peers_config){
		.silence = 500 * NS_PER_MS,
		.lease = 10 * NS_PER_S,
		.stages_max = 8,
		.queue_max = 64,
	};
}

struct loop_faults rig_faults(void)
{
	struct loop_faults faults = loop_faults_none();

	faults.detect_ns = 10 * NS_PER_MS;
	return faults;
}

uint64_t rig_count(const struct rig *rig, enum peers_counter counter)
{
	return counter_get(&rig->counters, counter);
}

/* --- the owner's node */

static void owner_told_message(void *context, struct transport_peer *from, const void *data,
			       size_t len)
{
	struct peer_message message;
	struct rig *rig = context;

	assert_int_equal(peer_message_decode(data, len, &message), 0);
	owner_message(rig->owner, from, &message);
	rig_check(rig);
}

static unsigned reader_of(const struct transport_peer *peer)
{
	return transport_peer_member(peer)->bytes[0];
}

static void owner_told_up(void *context, struct transport_peer *peer)
{
	struct rig *rig = context;

	rig->passive[reader_of(peer)] = peer;
}

static void owner_told_down(void *context, struct transport_peer *peer, int status, const char *why)
{
	struct rig *rig = context;

	(void)status;
	(void)why;
	if (rig->passive[reader_of(peer)] == peer)
		rig->passive[reader_of(peer)] = NULL;
	owner_down(rig->owner, peer);
	rig_check(rig);
}

static struct transport *open_transport(struct rig *rig, unsigned number,
					const struct identity *identity,
					const struct transport_events *events)
{
	const struct transport_environment environment = {
		.clock = &rig->clock.clock,
		.identity = identity,
		.events = *events,
	};
	struct transport_config config = host_config();
	struct transport *transport = host_open(rig->network, number, &config, &environment);

	host_listen(transport);
	return transport;
}

static void fill_identity(struct rig *rig, unsigned number, struct identity *out)
{
	snprintf(out->cluster, sizeof(out->cluster), "rig");
	memset(out->member.bytes, (int)number, MEMBER_ID_LEN);
	if (!number)
		memset(out->member.bytes, 0xff, MEMBER_ID_LEN);
	out->boot++;
	out->ring = rig->ring;
}

static void open_owner(struct rig *rig, unsigned outbox_limit)
{
	const struct transport_events events = { .context = rig,
						 .message = owner_told_message,
						 .up = owner_told_up,
						 .down = owner_told_down };
	const struct owner_setup setup = {
		.config = &rig->config,
		.clock = &rig->clock.clock,
		.counters = &rig->counters,
		.cache = rig_cache(rig),
		.arena = rig->arena,
		.arena_len = RIG_ARENA_LEN,
		.epoch = EPOCH,
		.block_len = RIG_BLOCK_LEN,
	};
	struct owner_setup with_outbox = setup;

	fill_identity(rig, OWNER_NUMBER, &rig->identity);
	rig->transport = open_transport(rig, OWNER_NUMBER, &rig->identity, &events);
	assert_int_equal(outbox_create(&rig->clock.clock, outbox_limit, &rig->outbox), 0);
	with_outbox.outbox = rig->outbox;
	assert_int_equal(owner_create(&with_outbox, &rig->owner), 0);
}

/* --- readers */

static void keep_push(struct rig_reader *reader, const struct peer_push *push)
{
	if (push->request != reader->pushed_request) {
		reader->pushed_request = push->request;
		reader->pushed_len = 0;
	}
	assert_int_equal(push->off, reader->pushed_len);
	assert_in_range(push->len, 1, RIG_BLOCK_LEN - reader->pushed_len);
	memcpy(reader->pushed + push->off, push->data, push->len);
	reader->pushed_len += push->len;
}

static void reader_told_message(void *context, struct transport_peer *from, const void *data,
				size_t len)
{
	struct rig_reader *reader = context;
	struct peer_message message;

	(void)from;
	assert_int_equal(peer_message_decode(data, len, &message), 0);
	if (reader->hear) {
		reader->hear(reader, &message);
	} else if (message.kind == PEER_WORKING) {
		reader->working++;
		reader->working_ns = clock_now_ns(&reader->rig->clock.clock);
	} else if (message.kind == PEER_PUSH) {
		keep_push(reader, &message.push);
	} else {
		reader->inbox[reader->inbox_end++ % RIG_INBOX] = message;
		assert_in_range(reader->inbox_end - reader->inbox_first, 1, RIG_INBOX);
	}
}

static void reader_told_down(void *context, struct transport_peer *peer, int status,
			     const char *why)
{
	struct rig_reader *reader = context;

	(void)peer;
	(void)status;
	(void)why;
	reader->downs++;
}

void rig_reader_open(struct rig *rig, unsigned number)
{
	struct rig_reader *reader = &rig->readers[number];
	const struct transport_events events = { .context = reader,
						 .message = reader_told_message,
						 .down = reader_told_down };
	struct address address = loop_address(OWNER_NUMBER);

	reader->rig = rig;
	reader->number = number;
	reader->inbox_first = reader->inbox_end = 0;
	reader->pushed_request = 0;
	fill_identity(rig, number, &reader->identity);
	if (!reader->pushed)
		reader->pushed = calloc(1, RIG_BLOCK_LEN);
	assert_non_null(reader->pushed);
	reader->transport = open_transport(rig, number, &reader->identity, &events);
	assert_int_equal(transport_peer_get(reader->transport, &address, NULL, &reader->owner), 0);
	assert_int_equal(transport_peer_connect(reader->owner), 0);
}

void rig_reader_kill(struct rig *rig, unsigned number)
{
	struct rig_reader *reader = &rig->readers[number];

	loop_kill(rig->network, number);
	transport_close(reader->transport);
	reader->transport = NULL;
	reader->owner = NULL;
}

static void free_message(struct transport_message *message)
{
	free(message->context);
}

int rig_send(struct rig_reader *reader, const struct peer_message *message)
{
	struct letter {
		struct transport_message message;
		uint8_t bytes[TRANSPORT_MESSAGE_MAX];
	} *letter = calloc(1, sizeof(*letter));
	int error;

	assert_non_null(letter);
	letter->message.data = letter->bytes;
	letter->message.len = peer_message_encode(message, letter->bytes);
	letter->message.done = free_message;
	letter->message.context = letter;
	assert_true(letter->message.len > 0);
	error = transport_send(reader->owner, &letter->message);
	if (error)
		free(letter);
	return error;
}

void rig_ask_for(struct rig_reader *reader, uint64_t request, uint64_t index, unsigned flags,
		 uint32_t timeout_ms)
{
	const struct peer_message message = {
		.kind = PEER_STAGE,
		.stage = { .request = request,
			   .flags = flags,
			   .timeout_ms = timeout_ms,
			   .index = index,
			   .mtime_s = 1700000000,
			   .version = { .backing = "s3",
					.bucket = "train",
					.key = "data/shard-000",
					.etag = "\"abc\"",
					.size = RIG_OBJECT_LEN },
			   .dataset = "/data" },
	};

	(void)rig_send(reader, &message);
}

uint64_t rig_ask(struct rig_reader *reader, uint64_t index, unsigned flags)
{
	rig_ask_for(reader, ++reader->last_request, index, flags, 30000);
	return reader->last_request;
}

void rig_cancel(struct rig_reader *reader, uint64_t request)
{
	(void)rig_send(reader, &(struct peer_message){ .kind = PEER_CANCEL, .request = request });
}

void rig_release(struct rig_reader *reader, uint64_t request)
{
	(void)rig_send(reader, &(struct peer_message){
				       .kind = PEER_RELEASE,
				       .release = { .count = 1, .requests = { request } } });
}

const struct peer_message *rig_expect(struct rig_reader *reader, enum peer_kind kind)
{
	const struct peer_message *message;

	if (reader->inbox_first == reader->inbox_end)
		fail_msg("reader %u: no message, where one of kind %d is due", reader->number,
			 kind);
	message = &reader->inbox[reader->inbox_first++ % RIG_INBOX];
	assert_int_equal(message->kind, kind);
	return message;
}

const struct peer_refused *rig_expect_refused(struct rig_reader *reader, uint64_t request,
					      enum peer_refusal why)
{
	const struct peer_refused *refused = &rig_expect(reader, PEER_REFUSED)->refused;

	assert_int_equal(refused->request, request);
	assert_int_equal(refused->why, why);
	return refused;
}

void rig_expect_nothing(const struct rig_reader *reader)
{
	assert_int_equal(reader->inbox_first, reader->inbox_end);
}

uint64_t rig_staged(struct rig_reader *reader, uint64_t index, unsigned flags)
{
	uint64_t request = rig_ask(reader, index, flags);

	rig_settle(reader->rig);
	rig_stage_unit(reader->rig, index);
	assert_int_equal(rig_expect(reader, PEER_STAGED)->staged.request, request);
	return request;
}

void rig_say_nonsense(struct rig *rig, unsigned number, unsigned count)
{
	const struct peer_message message = {
		.kind = PEER_STAGE,
		.stage = { .index = UINT64_MAX,
			   .timeout_ms = 1000,
			   .version = { .size = RIG_OBJECT_LEN } },
	};

	while (count--)
		owner_message(rig->owner, rig->passive[number], &message);
}

/* --- time */

static int poll_all(struct rig *rig)
{
	int count = transport_poll(rig->transport);

	for (unsigned i = 1; i <= rig->reader_count; i++)
		if (rig->readers[i].transport && !rig->readers[i].deaf)
			count += transport_poll(rig->readers[i].transport);
	return count;
}

/* Until nothing more happens now. Return: when the owner wants to be called again. */
static uint64_t run_now(struct rig *rig)
{
	uint64_t next_ns;
	int count;

	do {
		count = poll_all(rig);
		next_ns = owner_tick(rig->owner);
		rig_check(rig);
	} while (count);
	return next_ns;
}

void rig_run(struct rig *rig, uint64_t ns)
{
	uint64_t now_ns = clock_now_ns(&rig->clock.clock), until_ns = now_ns + ns;

	while (now_ns < until_ns) {
		uint64_t next_ns = run_now(rig);
		uint64_t event_ns = loop_network_next_ns(rig->network);

		assert_true(next_ns > now_ns);
		if (event_ns < next_ns)
			next_ns = event_ns;
		if (next_ns <= now_ns) /* of one that is deaf */
			next_ns = now_ns + 100000;
		if (next_ns - now_ns > STEP_NS_MAX)
			next_ns = now_ns + STEP_NS_MAX;
		if (next_ns > until_ns)
			next_ns = until_ns;
		clock_manual_advance(&rig->clock, next_ns - now_ns);
		now_ns = next_ns;
	}
	run_now(rig);
}

void rig_settle(struct rig *rig)
{
	rig_run(rig, 100000);
}

static const struct counter_spec counter_specs[PEERS_COUNTER_COUNT];

struct rig *rig_create(const struct peers_config *config, unsigned outbox_limit,
		       unsigned reader_count)
{
	struct loop_faults faults = rig_faults();
	uint8_t secret[KEYRING_KEY_LEN] = { 1 };
	struct rig *rig = calloc(1, sizeof(*rig));

	assert_non_null(rig);
	log_set_level(LOG_LEVEL_ERROR);
	rig->config = *config;
	for (unsigned i = 0; i < RIG_STAGES_MAX; i++)
		LIST_INSERT_HEAD(&rig->unused, &rig->all_stages[i], link);
	clock_manual_init(&rig->clock, 1000 * NS_PER_S, 0);
	assert_int_equal(loop_network_create(&rig->clock.clock, 1, &rig->network), 0);
	loop_network_set_faults(rig->network, &faults);
	assert_int_equal(keyring_create(&rig->ring), 0);
	assert_int_equal(keyring_add(rig->ring, secret), 0);
	assert_int_equal(counters_init(&rig->counters, "peers", counter_specs, PEERS_COUNTER_COUNT),
			 0);
	rig->arena = malloc(RIG_ARENA_LEN);
	assert_non_null(rig->arena);
	for (size_t i = 0; i < RIG_ARENA_LEN; i++)
		rig->arena[i] = rig_byte(i);
	open_owner(rig, outbox_limit);
	rig->reader_count = reader_count;
	for (unsigned i = 1; i <= reader_count; i++)
		rig_reader_open(rig, i);
	rig_run(rig, 5 * NS_PER_MS);
	for (unsigned i = 1; i <= reader_count; i++)
		assert_true(transport_peer_is_up(rig->readers[i].owner));
	return rig;
}

void rig_destroy(struct rig *rig)
{
	owner_stop(rig->owner);
	rig_check(rig);
	assert_int_equal(rig_lent(rig), 0);
	rig_end_stages(rig);
	assert_true(owner_is_idle(rig->owner));
	assert_int_equal(rig_count(rig, PEERS_LEASES), 0);
	assert_int_equal(rig_count(rig, PEERS_LEASED_BYTES), 0);
	for (unsigned i = 1; i <= rig->reader_count; i++) {
		transport_close(rig->readers[i].transport);
		free(rig->readers[i].pushed);
	}
	transport_close(rig->transport);
	owner_destroy(rig->owner);
	outbox_destroy(rig->outbox);
	loop_network_destroy(rig->network);
	counters_fini(&rig->counters);
	keyring_destroy(rig->ring);
	free(rig->arena);
	free(rig);
}
