/*
 * measure_rig.c - see measure_rig.h.
 */
#include "tests/unit/cache/peer/measure_rig.h"

#include <string.h>
#include <sys/mman.h>

#include "base/log.h"

#define ARENA_LEN   ((size_t)1 << 20)
#define PATIENCE_NS (300 * NS_PER_S)
#define WAITING	    1 /* a status that is none */

uint64_t rig_now(const struct rig *rig)
{
	return clock_now_ns(&rig->clock.clock);
}

uint64_t rig_count(const struct rig *rig, enum transport_counter counter)
{
	return counter_get(&rig->transport_counters, counter);
}

struct loop_faults rig_usual_faults(void)
{
	struct loop_faults faults = loop_faults_none();

	faults.delay_min_ns = faults.delay_max_ns = 100000;
	return faults;
}

/* --- nodes */

void rig_start(struct rig *rig, unsigned number)
{
	struct rig_node *node = &rig->nodes[number];
	struct transport_environment environment = {
		.clock = &rig->clock.clock,
		.identity = &node->identity,
		.counters = number ? NULL : &rig->transport_counters,
	};
	struct transport_config transport_config = host_config();

	node->identity = (struct identity){ .cluster = "c", .ring = rig->ring };
	node->identity.member = host_member(number);
	transport_config.reads_max = RIG_READS_MAX;
	transport_config.retry_min = 20 * NS_PER_MS;
	transport_config.retry_max = 200 * NS_PER_MS;
	transport_config.connect_timeout = NS_PER_S;
	transport_config.slice_len = 64 << 10;
	node->transport = host_open(rig->network, number, &transport_config, &environment);
	host_add_region(node->transport, node->arena, ARENA_LEN, TRANSPORT_READABLE,
			PEER_REGION_ARENA);
	host_listen(node->transport);
}

static void close_node(struct rig *rig, unsigned number)
{
	transport_close(rig->nodes[number].transport);
	rig->nodes[number].transport = NULL;
}

void rig_kill(struct rig *rig, unsigned number)
{
	loop_kill(rig->network, number);
	close_node(rig, number);
}

static void on_evidence(void *context, const struct member_id *id, const char *why)
{
	(void)id;
	(void)why;
	((struct rig *)context)->evidence_count++;
}

static void open_network(struct rig *rig)
{
	static struct counter_spec specs[PEERS_COUNTER_COUNT];
	static const uint8_t key[KEYRING_KEY_LEN] = { 1 };
	struct loop_faults faults = rig_usual_faults();

	clock_manual_init(&rig->clock, NS_PER_S, 0);
	assert_int_equal(option_defaults(&peers_options, &rig->config), 0);
	assert_int_equal(counters_init(&rig->counters, "peers", specs, PEERS_COUNTER_COUNT), 0);
	assert_int_equal(transport_counters_init(&rig->transport_counters), 0);
	assert_int_equal(keyring_create(&rig->ring), 0);
	assert_int_equal(keyring_add(rig->ring, key), 0);
	assert_int_equal(loop_network_create(&rig->clock.clock, 1, &rig->network), 0);
	loop_network_set_faults(rig->network, &faults);
	for (unsigned i = 0; i <= RIG_TARGETS; i++) {
		rig->nodes[i].arena = mmap(NULL, ARENA_LEN, PROT_READ | PROT_WRITE,
					   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		assert_ptr_not_equal(rig->nodes[i].arena, MAP_FAILED);
		rig_start(rig, i);
	}
}

int rig_setup(void **state)
{
	struct rig *rig = *state;
	struct member_id self = host_member(0);
	struct neighbours_setup plan = { .config = &rig->config,
					 .counters = &rig->counters,
					 .evidence = on_evidence,
					 .context = rig };

	log_set_level(LOG_LEVEL_ERROR);
	memset(rig, 0, sizeof(*rig));
	open_network(rig);
	plan.transport = rig->nodes[0].transport;
	assert_int_equal(neighbours_create(&plan, &rig->neighbours), 0);
	host_introduce(rig->neighbours, 0, 1 + RIG_TARGETS);
	assert_int_equal(measure_create(rig->nodes[0].transport, rig->neighbours, &rig->clock.clock,
					&self, 7, &rig->measure),
			 0);
	return 0;
}

int rig_teardown(void **state)
{
	struct rig *rig = *state;

	measure_stop(rig->measure);
	neighbours_stop(rig->neighbours);
	while (!measure_is_idle(rig->measure))
		rig_step(rig);
	neighbours_destroy(rig->neighbours);
	for (unsigned i = 0; i <= RIG_TARGETS; i++)
		close_node(rig, i);
	measure_destroy(rig->measure);
	loop_network_destroy(rig->network);
	for (unsigned i = 0; i <= RIG_TARGETS; i++)
		munmap(rig->nodes[i].arena, ARENA_LEN);
	keyring_destroy(rig->ring);
	counters_fini(&rig->counters);
	counters_fini(&rig->transport_counters);
	option_free(&peers_options, &rig->config);
	return 0;
}

/* --- time */

void rig_step(struct rig *rig)
{
	uint64_t now_ns = rig_now(rig), next_ns = now_ns + NS_PER_MS, at_ns;

	transport_poll(rig->nodes[0].transport);
	at_ns = measure_tick(rig->measure);
	assert_true(at_ns > now_ns); /* it would spin */
	next_ns = at_ns < next_ns ? at_ns : next_ns;
	for (unsigned i = 1; i <= RIG_TARGETS && !rig->stopped_targets; i++) {
		if (rig->nodes[i].transport)
			transport_poll(rig->nodes[i].transport);
	}
	at_ns = loop_network_next_ns(rig->network);
	if (at_ns <= now_ns)
		at_ns = now_ns + 1000;
	next_ns = at_ns < next_ns ? at_ns : next_ns;
	clock_manual_advance(&rig->clock, next_ns - now_ns);
}

void rig_run(struct rig *rig, uint64_t ns)
{
	for (uint64_t until_ns = rig_now(rig) + ns; rig_now(rig) < until_ns;)
		rig_step(rig);
}

/* --- measurements */

static void asked_done(struct measurement *measurement)
{
	struct rig_asked *asked = measurement->context;

	assert_int_equal(asked->calls, 0);
	asked->calls++;
	asked->done_ns = rig_now(asked->rig);
	if (asked->then)
		measure_start(asked->rig->measure, &asked->then->measurement);
}

struct measurement rig_usual(const struct rig *rig, unsigned target)
{
	return (struct measurement){
		.asked = { .target = host_member(target),
			   .duration_ms = 1000,
			   .bytes = 1 << 20,
			   .read_len = 16 << 10,
			   .depth = 16 },
		.deadline_ns = rig_now(rig) + 5 * NS_PER_S,
		.status = WAITING,
	};
}

void rig_prepare(struct rig *rig, struct rig_asked *asked, const struct measurement *measurement)
{
	*asked = (struct rig_asked){ .rig = rig, .measurement = *measurement };
	asked->measurement.done = asked_done;
	asked->measurement.context = asked;
}

void rig_ask(struct rig *rig, struct rig_asked *asked, const struct measurement *measurement)
{
	rig_prepare(rig, asked, measurement);
	measure_start(rig->measure, &asked->measurement);
	assert_int_equal(asked->calls, 0);
}

void rig_expect(struct rig_asked *asked, int status)
{
	struct rig *rig = asked->rig;

	for (uint64_t until_ns = rig_now(rig) + PATIENCE_NS; !asked->calls; rig_step(rig))
		assert_true(rig_now(rig) < until_ns);
	assert_int_equal(asked->measurement.status, status);
}
