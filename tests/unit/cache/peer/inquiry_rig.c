/*
 * inquiry_rig.c - see inquiry_rig.h.
 */
#include "tests/unit/cache/peer/inquiry_rig.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/check.h"
#include "base/log.h"
#include "base/thread.h"
#include "cache/peer/inside.h"
#include "tests/unit/cache/peer/host.h"

#define ARENA_LEN ((size_t)64 << 10)
#define STEP_NS	  NS_PER_MS
#define BOUND_NS  (30 * NS_PER_S) /* by the machine's clock */

/* --- its answers, on clerks' threads */

static bool given_up(const atomic_bool *stopping)
{
	return stopping && atomic_load(stopping);
}

/* @stopping: NULL: it cannot be told to give up. */
static int hold(struct rig_node *node, const atomic_bool *stopping)
{
	int status;

	pthread_mutex_lock(&node->lock);
	node->clerks++;
	while (node->held && (stopping || !node->only_takes) && !given_up(stopping))
		(void)thread_cond_wait_until(&node->changed, &node->lock,
					     clock_now_ns(clock_system()) + NS_PER_MS);
	node->clerks--;
	node->given_up += given_up(stopping);
	status = given_up(stopping) ? -ECANCELED : node->status;
	pthread_mutex_unlock(&node->lock);
	return status;
}

static int summary(void *context, struct peer_summary *out)
{
	struct rig_node *node = context;

	*out = (struct peer_summary){ .name = "n", .version = "0.1" };
	for (unsigned i = 0; i < PEER_NUMBER_COUNT; i++)
		out->numbers[i] = node->number * 1000 + i;
	return hold(node, NULL);
}

static void keep_version(struct rig_node *node, const struct object_version *version)
{
	pthread_mutex_lock(&node->lock);
	snprintf(node->texts[0], sizeof(node->texts[0]), "%s", version->backing);
	snprintf(node->texts[1], sizeof(node->texts[1]), "%s", version->bucket);
	snprintf(node->texts[2], sizeof(node->texts[2]), "%s", version->key);
	snprintf(node->texts[3], sizeof(node->texts[3]), "%s", version->etag);
	pthread_mutex_unlock(&node->lock);
}

static int holdings(void *context, const struct object_version *version, struct peer_holdings *out)
{
	struct rig_node *node = context;

	keep_version(node, version);
	*out = (struct peer_holdings){ .memory = version->size, .ssd = node->number };
	return hold(node, NULL);
}

static int take(void *context, const struct peer_inquire *asked, const struct member_id *from,
		uint64_t deadline_ns, const atomic_bool *stopping, struct peer_taken *out)
{
	struct rig_node *node = context;
	int status;

	keep_version(node, &asked->version);
	CHECK(deadline_ns > 0);
	pthread_mutex_lock(&node->lock);
	node->from = *from;
	node->takes++;
	if (node->takes > node->most_takes)
		node->most_takes = node->takes;
	pthread_mutex_unlock(&node->lock);
	status = hold(node, stopping);
	pthread_mutex_lock(&node->lock);
	node->takes--;
	pthread_mutex_unlock(&node->lock);
	*out = (struct peer_taken){ .blocks = asked->take.blocks & 0xf, .bytes = 77 };
	return status;
}

/* The rig's own turns look at everything anyway. */
static void woken(void *context)
{
	(void)context;
}

void rig_hold(struct rig_node *node, bool held)
{
	pthread_mutex_lock(&node->lock);
	node->held = held;
	pthread_cond_broadcast(&node->changed);
	pthread_mutex_unlock(&node->lock);
}

unsigned rig_clerks(struct rig_node *node)
{
	unsigned clerks;

	pthread_mutex_lock(&node->lock);
	clerks = node->clerks;
	pthread_mutex_unlock(&node->lock);
	return clerks;
}

/* --- nodes */

static void told_message(void *context, struct transport_peer *from, const void *data, size_t len)
{
	bool asked = transport_peer_kind(from) == TRANSPORT_PEER_PASSIVE;
	struct rig_node *node = context;
	static struct peer_message message;

	assert_int_equal(peer_message_decode(data, len, &message), 0);
	assert_int_equal(message.kind, asked ? PEER_INQUIRE : PEER_REPORT);
	if (!node->scripted) {
		inquiry_message(node->inquiry, from, &message);
		return;
	}
	node->asker = from;
	node->asked = message.inquire;
	node->asked_count++;
}

static void told_down(void *context, struct transport_peer *peer, int status, const char *why)
{
	struct rig_node *node = context;

	(void)status;
	(void)why;
	inquiry_down(node->inquiry, peer);
}

static void transport_start(struct rig_node *node)
{
	struct rig *rig = node->rig;
	const struct transport_environment environment = {
		.clock = &rig->clock.clock,
		.identity = &node->identity,
		.events = { .context = node, .message = told_message, .down = told_down },
	};
	struct transport_config config = host_config();

	node->transport = host_open(rig->network, node->number, &config, &environment);
	node->arena =
		mmap(NULL, ARENA_LEN, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true(node->arena != MAP_FAILED);
	host_add_region(node->transport, node->arena, ARENA_LEN, TRANSPORT_READABLE,
			PEER_REGION_ARENA);
	host_listen(node->transport);
}

static void neighbours_start(struct rig_node *node)
{
	const struct neighbours_setup setup = {
		.config = &node->rig->config,
		.transport = node->transport,
		.counters = &node->counters,
	};

	assert_int_equal(neighbours_create(&setup, &node->neighbours), 0);
	host_introduce(node->neighbours, node->number, RIG_NODES);
}

static void node_start(struct rig_node *node)
{
	struct inquiry_setup setup = {
		.config = &node->rig->config,
		.clock = &node->rig->clock.clock,
		.self = host_member(node->number),
		.answers = { node, summary, holdings, take },
		.wake = woken,
	};

	node->alive = true;
	pthread_mutex_init(&node->lock, NULL);
	thread_cond_init(&node->changed);
	snprintf(node->identity.cluster, sizeof(node->identity.cluster), "rig");
	node->identity.member = setup.self;
	node->identity.boot = 1;
	node->identity.ring = node->rig->ring;
	assert_int_equal(peers_counters_init(&node->counters), 0);
	transport_start(node);
	assert_int_equal(outbox_create(setup.clock, 4096, &node->outbox), 0);
	neighbours_start(node);
	assert_int_equal(measure_create(node->transport, node->neighbours, setup.clock, &setup.self,
					node->number, &node->measure),
			 0);
	setup.outbox = node->outbox;
	setup.neighbours = node->neighbours;
	setup.measure = node->measure;
	assert_int_equal(inquiry_create(&setup, &node->inquiry), 0);
}

static bool node_is_idle(void *context)
{
	struct rig_node *node = context;

	return inquiry_is_idle(node->inquiry) && measure_is_idle(node->measure);
}

void rig_node_stop(struct rig_node *node)
{
	node->deaf = false;
	inquiry_stop(node->inquiry);
	measure_stop(node->measure);
	neighbours_stop(node->neighbours);
	rig_until(node->rig, node_is_idle, node);
	neighbours_destroy(node->neighbours);
	transport_close(node->transport);
	inquiry_destroy(node->inquiry);
	measure_destroy(node->measure);
	outbox_destroy(node->outbox);
	counters_fini(&node->counters);
	munmap(node->arena, ARENA_LEN);
	pthread_cond_destroy(&node->changed);
	pthread_mutex_destroy(&node->lock);
	node->alive = false;
}

void rig_script(struct rig_node *node)
{
	node->scripted = true;
}

void rig_report(struct rig_node *node, struct peer_report report)
{
	const struct peer_message message = { .kind = PEER_REPORT, .report = report };

	assert_non_null(node->asker);
	assert_int_equal(outbox_send(node->outbox, node->asker, &message, NS_PER_S), 0);
}

/* --- the rig */

struct rig *rig_create(void)
{
	struct loop_faults faults = loop_faults_none();
	uint8_t secret[KEYRING_KEY_LEN] = { 1 };
	struct rig *rig = calloc(1, sizeof(*rig));

	assert_non_null(rig);
	log_set_level(LOG_LEVEL_ERROR);
	rig->config = (struct peers_config){ .silence = 500 * NS_PER_MS,
					     .breaker_failures = 3,
					     .breaker_probe = 500 * NS_PER_MS };
	clock_manual_init(&rig->clock, 1000 * NS_PER_S, 0);
	faults.detect_ns = 10 * NS_PER_MS;
	assert_int_equal(loop_network_create(&rig->clock.clock, 1, &rig->network), 0);
	loop_network_set_faults(rig->network, &faults);
	assert_int_equal(keyring_create(&rig->ring), 0);
	assert_int_equal(keyring_add(rig->ring, secret), 0);
	for (unsigned i = 0; i < RIG_NODES; i++) {
		rig->nodes[i].rig = rig;
		rig->nodes[i].number = i;
		node_start(&rig->nodes[i]);
	}
	return rig;
}

void rig_destroy(struct rig *rig)
{
	for (unsigned i = 0; i < RIG_NODES; i++) {
		if (!rig->nodes[i].alive)
			continue;
		rig_hold(&rig->nodes[i], false);
		rig_node_stop(&rig->nodes[i]);
	}
	loop_network_destroy(rig->network);
	keyring_destroy(rig->ring);
	free(rig);
}

static void turn(struct rig *rig)
{
	for (unsigned i = 0; i < RIG_NODES; i++) {
		struct rig_node *node = &rig->nodes[i];

		if (!node->alive || node->deaf)
			continue;
		transport_poll(node->transport);
		measure_tick(node->measure);
		inquiry_tick(node->inquiry);
	}
}

static void step(struct rig *rig)
{
	/* what takes no time happens within one step */
	for (unsigned i = 0; i < 20; i++)
		turn(rig);
	clock_manual_advance(&rig->clock, STEP_NS);
}

void rig_run(struct rig *rig, uint64_t ns)
{
	for (uint64_t done_ns = 0; done_ns < ns; done_ns += STEP_NS)
		step(rig);
}

void rig_until(struct rig *rig, bool (*check)(void *context), void *context)
{
	uint64_t bound_ns = clock_now_ns(clock_system()) + BOUND_NS;

	while (!check(context)) {
		if (clock_now_ns(clock_system()) > bound_ns)
			fail_msg("what is waited for does not happen");
		step(rig);
	}
}

static void asked_done(struct peers_inquiry *inquiry)
{
	CONTAINER_OF(inquiry, struct rig_question, inquiry)->done++;
}

void rig_ask_for(struct rig_node *asker, unsigned asked, enum peer_topic topic, uint64_t timeout_ns,
		 struct rig_question *question)
{
	*question = (struct rig_question){
		.inquiry = { .member = host_member(asked),
			     .asked = { .topic = topic,
					.version = { "s3", "b", "k/1", "\"e\"", 4097 },
					.dataset = "/d",
					.take = { .first = 8, .blocks = 0x17 },
					.measure = { .target = host_member(2),
						     .duration_ms = 20,
						     .bytes = 64 << 10,
						     .read_len = 4096,
						     .depth = 2 } },
			     .deadline_ns = clock_now_ns(&asker->rig->clock.clock) + timeout_ns,
			     .done = asked_done },
	};
	inquiry_start(asker->inquiry, &question->inquiry);
}

void rig_ask(struct rig_node *asker, unsigned asked, enum peer_topic topic,
	     struct rig_question *question)
{
	rig_ask_for(asker, asked, topic, RIG_TIMEOUT_NS, question);
}

static bool is_done(void *context)
{
	return ((struct rig_question *)context)->done;
}

void rig_await(struct rig *rig, struct rig_question *question)
{
	rig_until(rig, is_done, question);
	assert_int_equal(question->done, 1);
}
