/*
 * world.c - the nodes together: what may happen next, and that it happens.
 *
 * Everything that travels on the loop network is held back (its delay is longer than any schedule)
 * until a step lets it go. What is no choice - credits, the handshake, that a message was handed to
 * the wire - is let go at once: none of it carries what a check could depend on.
 */
#include "tests/sim/peers/model.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/bytes.h"

#define HELD_NS	      (UINT64_C(1) << 58)
#define TURNS_MAX     10000
#define RUN_STEPS_MAX 5000
#define LINE_LEN      64u
#define LINE_WORDS    (LINE_LEN / 8)
#define LINES_MAX     2 /* of a directory, with something to come, that are looked at */
#define START_NS      (100000 * NS_PER_S)
#define LATENESS_NS   (5 * NS_PER_S)

struct model_tally model_tally;

/* The words of an entry that become visible together: key, place, own check. */
static const unsigned groups[][2] = { { 0, 3 }, { 3, 7 }, { 7, 8 } };

/* --- failing */

static void step_print(const struct model_step *step, unsigned number)
{
	static const char *const names[] = { "words", "message", "slice", "broken", "fenced",
					     "bytes", "act",	 "fault", "time" };
	static const char *const acts[] = { "end",     "read", "evict", "cancel", "fence",
					    "restart", "wait", "take",	"give" };
	static const char *const messages[] = { "?",	  "STAGE",   "CANCEL",	"RELEASE", "HITS",
						"STAGED", "WORKING", "REFUSED", "PUSH" };

	printf("%5u  node %u: %s", number, step->node, names[step->kind]);
	if (step->kind == STEP_MESSAGE)
		printf(" %s of node %u", messages[step->a < ARRAY_COUNT(messages) ? step->a : 0],
		       step->from);
	else if (step->kind == STEP_SLICE)
		printf(" of node %u's %s at %u", step->from, step->a ? "directory" : "arena",
		       step->b);
	else if (step->kind == STEP_ACT)
		printf(" %s unit %u", acts[step->a], step->b);
	else if (step->kind == STEP_BYTES)
		printf(" of unit %u, piece %u", step->a, step->b);
	else if (step->kind == STEP_WORDS)
		printf(" %u to %u of the line at %zu", groups[step->a][0], groups[step->a][1] - 1,
		       step->off);
	else if (step->kind == STEP_TIME)
		printf(" passes, %u ms", step->a);
	printf("\n");
}

_Noreturn void model_fail(const struct model_world *world, const char *format, ...)
{
	va_list arguments;

	printf("%s, %u nodes%s", world->scenario->name, world->scenario->nodes,
	       world->scenario->directory ? ", with directories" : "");
	if (world->seed)
		printf(", seed %llu", (unsigned long long)world->seed);
	printf(": ");
	va_start(arguments, format);
	vprintf(format, arguments); /* NOLINT(clang-analyzer-valist.Uninitialized): begun above */
	va_end(arguments);
	printf("\nafter %llu schedules; the steps of this one:\n",
	       (unsigned long long)model_tally.schedules);
	for (unsigned i = 0; i < world->trace_count; i++)
		step_print(&world->trace[i], i);
	fflush(stdout);
	_Exit(3);
}

/* --- what is no choice */

static bool is_choice(const struct loop_event *event)
{
	return event->kind == LOOP_SLICE || event->kind == LOOP_MESSAGE ||
	       event->kind == LOOP_BROKEN || event->kind == LOOP_FENCED;
}

static struct loop_node *network_node(struct model_world *world, unsigned number)
{
	return world->network->nodes[number];
}

static void let_go(struct loop_node *node, struct loop_event *event)
{
	TAILQ_REMOVE(&node->events, event, by_time);
	loop_event_post(node, event, clock_now_ns(node->network->clock));
}

static bool let_go_all(struct model_world *world, unsigned number)
{
	struct loop_node *node = network_node(world, number);
	uint64_t now_ns = clock_now_ns(&world->clock.clock);
	struct loop_event *event, *next;
	bool any = false;

	for (event = TAILQ_FIRST(&node->events); event; event = next) {
		next = TAILQ_NEXT(event, by_time);
		if (is_choice(event) || event->at_ns <= now_ns)
			continue;
		let_go(node, event);
		any = true;
	}
	return any;
}

void model_world_settle(struct model_world *world)
{
	unsigned turns = 0;
	bool worked = true;

	while (worked) {
		worked = false;
		if (turns++ == TURNS_MAX)
			model_fail(world, "livelock: no end of turns without a step");
		for (unsigned i = 0; i < world->scenario->nodes; i++) {
			worked |= let_go_all(world, i);
			worked |= model_node_turn(&world->nodes[i]);
		}
	}
}

/* --- steps */

struct steps {
	struct model_step *at;
	unsigned count;
};

static void steps_add(struct steps *steps, struct model_step step)
{
	if (steps->count < MODEL_CHOICES_MAX)
		steps->at[steps->count++] = step;
}

static bool line_differs(const uint8_t *a, const uint8_t *b, unsigned group)
{
	size_t off = (size_t)groups[group][0] * 8;

	return memcmp(a + off, b + off, (size_t)(groups[group][1] - groups[group][0]) * 8) != 0;
}

static void add_words(struct model_node *node, struct steps *steps)
{
	size_t len;
	const uint8_t *memory = window_directory_memory(node->directory, &len);
	unsigned lines = 0;

	if (memcmp(memory, node->shadow, len) == 0)
		return;
	for (size_t off = 0; off < len && lines < LINES_MAX; off += LINE_LEN) {
		if (memcmp(memory + off, node->shadow + off, LINE_LEN) == 0)
			continue;
		lines++;
		for (unsigned group = 0; group < ARRAY_COUNT(groups); group++)
			if (line_differs(memory + off, node->shadow + off, group))
				steps_add(steps, (struct model_step){ .kind = STEP_WORDS,
								      .node = node->number,
								      .a = group,
								      .off = off });
	}
}

static enum model_step_kind kind_of(const struct loop_event *event)
{
	switch (event->kind) {
	case LOOP_SLICE:
		return STEP_SLICE;
	case LOOP_MESSAGE:
		return STEP_MESSAGE;
	case LOOP_BROKEN:
		return STEP_BROKEN;
	default:
		return STEP_FENCED;
	}
}

static bool may_arrive(const struct loop_event *event, const struct loop_half *half)
{
	bool fencing = half->state == LOOP_FENCING;

	if (event->kind == LOOP_SLICE) /* of a dead owner's memory there is nothing to be had */
		return event->at_ns != CLOCK_NEVER &&
		       (fencing || loop_half_find(half->node->network, half->other));
	if (event->kind == LOOP_MESSAGE)
		return fencing || event->sequence == half->receive_sequence;
	return true;
}

static void add_events(struct model_world *world, unsigned number, enum model_step_kind kind,
		       struct steps *steps)
{
	struct loop_node *node = network_node(world, number);
	struct loop_event *event = TAILQ_FIRST(&node->events);

	for (; event; event = TAILQ_NEXT(event, by_time)) {
		struct loop_half *half = loop_half_find(world->network, event->half);
		struct model_step step = { .kind = kind, .node = number, .event = event };

		if (!half || !is_choice(event) || kind_of(event) != kind ||
		    !may_arrive(event, half))
			continue;
		step.from = half->other_number;
		if (kind == STEP_MESSAGE) {
			step.a = event->bytes[1];
		} else if (kind == STEP_SLICE) {
			step.a = event->read->region;
			step.b = (unsigned)(event->read->off + event->slice_off);
		}
		steps_add(steps, step);
	}
}

static void add_bytes(struct model_node *node, struct steps *steps)
{
	struct backing_request *request = TAILQ_FIRST(&node->gets);

	for (; request; request = TAILQ_NEXT(request, p.link))
		steps_add(steps, (struct model_step){ .kind = STEP_BYTES,
						      .node = node->number,
						      .a = (unsigned)request->key[1] - '0',
						      .b = (unsigned)request->p.queue,
						      .request = request });
}

static void add_act(struct model_node *node, struct steps *steps)
{
	if (node->script->kind != ACT_END && model_act_enabled(node))
		steps_add(steps, (struct model_step){ .kind = STEP_ACT,
						      .node = node->number,
						      .a = node->script->kind,
						      .b = node->script->unit });
}

static bool anything_waits(struct model_world *world)
{
	for (unsigned i = 0; i < world->scenario->nodes; i++) {
		struct model_node *node = &world->nodes[i];

		if (!reader_is_idle(node->reader) || !owner_is_idle(node->owner) ||
		    node->script->kind != ACT_END || TAILQ_FIRST(&node->cache->retries))
			return true;
	}
	return model_world_reads(world);
}

static void add_time(struct model_world *world, struct steps *steps)
{
	uint64_t now_ns = clock_now_ns(&world->clock.clock), next_ns = CLOCK_NEVER;

	if (steps->count > 0 && world->times == 0)
		return;
	for (unsigned i = 0; i < world->scenario->nodes; i++) {
		uint64_t at_ns = model_node_next_ns(&world->nodes[i]);

		next_ns = at_ns < next_ns ? at_ns : next_ns;
	}
	if (next_ns == CLOCK_NEVER || !anything_waits(world))
		return;
	next_ns = next_ns > now_ns ? next_ns - now_ns : 1;
	steps_add(steps, (struct model_step){ .kind = STEP_TIME,
					      .a = (unsigned)(next_ns / NS_PER_MS),
					      .off = next_ns });
}

unsigned model_world_steps(struct model_world *world, struct model_step out[MODEL_CHOICES_MAX])
{
	static const enum model_step_kind kinds[] = { STEP_MESSAGE, STEP_SLICE, STEP_BROKEN,
						      STEP_FENCED };
	unsigned nodes = world->scenario->nodes;
	struct steps steps = { .at = out };

	for (unsigned i = 0; i < nodes && world->scenario->directory; i++)
		add_words(&world->nodes[i], &steps);
	for (unsigned kind = 0; kind < ARRAY_COUNT(kinds); kind++)
		for (unsigned i = 0; i < nodes; i++)
			add_events(world, i, kinds[kind], &steps);
	for (unsigned i = 0; i < nodes; i++)
		add_bytes(&world->nodes[i], &steps);
	for (unsigned i = 0; i < nodes; i++)
		add_act(&world->nodes[i], &steps);
	add_time(world, &steps);
	return steps.count;
}

/* --- a step happens */

static void words_come(struct model_node *node, const struct model_step *step)
{
	size_t len, off = step->off + (size_t)groups[step->a][0] * 8;
	const uint8_t *memory = window_directory_memory(node->directory, &len);

	memcpy(node->shadow + off, memory + off,
	       (size_t)(groups[step->a][1] - groups[step->a][0]) * 8);
}

static void bytes_come(struct model_node *node, struct backing_request *request)
{
	struct backing_get *get = CONTAINER_OF(request, struct backing_get, request);
	const struct model_unit *unit = &model_units[request->key[1] - '0'];
	size_t half = get->len / 2;
	uint8_t *dst = get->dst;

	if (request->p.queue++ == 0) {
		memcpy(dst, unit->bytes + get->off, half);
		if (get->progress)
			get->progress(get, half);
		return;
	}
	memcpy(dst + half, unit->bytes + get->off + half, get->len - half);
	TAILQ_REMOVE(&node->gets, request, p.link);
	request->status = 0;
	request->problem[0] = '\0';
	get->done(get);
}

/* An answer that is waited for makes known that its sender lives anew. */
static void hear(struct model_world *world, struct model_node *node, const struct model_step *step)
{
	const struct loop_half *half = loop_half_find(world->network, step->event->half);

	if (half && half->state == LOOP_UP && step->a == PEER_STAGED &&
	    question_find(node->reader, bytes_get_u64(step->event->bytes + 2)) &&
	    loop_half_find(world->network, half->other))
		node->heard[step->from] = world->nodes[step->from].life;
}

void model_world_step(struct model_world *world, const struct model_step *step)
{
	struct model_node *node = &world->nodes[step->node];

	if (world->trace_count < MODEL_TRACE_MAX)
		world->trace[world->trace_count++] = *step;
	model_tally.steps++;
	switch (step->kind) {
	case STEP_WORDS:
		words_come(node, step);
		break;
	case STEP_SLICE:
		model_audit_slice(world, node, step->event);
		let_go(network_node(world, step->node), step->event);
		break;
	case STEP_MESSAGE:
		hear(world, node, step);
		let_go(network_node(world, step->node), step->event);
		break;
	case STEP_BROKEN:
	case STEP_FENCED:
		let_go(network_node(world, step->node), step->event);
		break;
	case STEP_BYTES:
		bytes_come(node, step->request);
		break;
	case STEP_ACT:
		model_act(node);
		break;
	case STEP_FAULT:
		model_fault(world);
		break;
	case STEP_TIME:
		if (world->times > 0)
			world->times--;
		clock_manual_advance(&world->clock, step->off);
		break;
	}
	model_world_settle(world);
	model_audit(world);
}

bool model_world_reads(const struct model_world *world)
{
	for (unsigned i = 0; i < world->read_count; i++)
		if (world->reads[i].under_way)
			return true;
	return false;
}

void model_world_run(struct model_world *world)
{
	struct model_step steps[MODEL_CHOICES_MAX];
	unsigned count = 0;

	world->times = 0;
	while (model_world_steps(world, steps) > 0) {
		if (count++ == RUN_STEPS_MAX)
			model_fail(world, "livelock: no end after %d steps in turn", RUN_STEPS_MAX);
		model_world_step(world, &steps[0]);
		for (unsigned i = 0; i < world->read_count; i++) {
			const struct model_read *read = &world->reads[i];

			if (read->under_way &&
			    clock_now_ns(&world->clock.clock) >
				    read->started_ns + 30 * NS_PER_S + LATENESS_NS)
				model_fail(world, "a read of unit %u on node %u does not end",
					   read->unit, read->node);
		}
	}
	model_audit_end(world);
}

/* --- opening, closing */

static struct keyring *ring_of_all(void)
{
	static const uint8_t key[KEYRING_KEY_LEN] = { 7 };
	struct keyring *ring;

	CHECK(keyring_create(&ring) == 0 && keyring_add(ring, key) == 0);
	return ring;
}

static void network_make(struct model_world *world, uint64_t seed)
{
	const struct loop_faults faults = {
		.delay_min_ns = HELD_NS,
		.delay_max_ns = HELD_NS,
		.resend_ns = HELD_NS,
		.fence_ns = HELD_NS,
		.late_bytes = true,
		.detect_ns = CLOCK_NEVER,
	};

	CHECK(loop_network_create(&world->clock.clock, seed + 3, &world->network) == 0);
	loop_network_set_faults(world->network, &faults);
}

static void run_before(struct model_world *world)
{
	for (unsigned i = 0; i < world->scenario->nodes; i++) {
		static const struct model_act nothing[1];

		for (unsigned j = 0; j < world->scenario->nodes; j++)
			world->nodes[j].script = nothing;
		world->nodes[i].script = world->scenario->before[i];
		model_world_run(world);
	}
	for (unsigned i = 0; i < world->scenario->nodes; i++)
		world->nodes[i].script = world->scenario->script[i];
	world->times = world->scenario->times;
}

void model_world_open(struct model_world *world, const struct model_scenario *scenario,
		      enum model_mutant mutant, uint64_t seed)
{
	world->scenario = scenario;
	world->mutant = mutant;
	model_substitute(world);
	world->seed = seed;
	world->read_count = world->trace_count = 0;
	world->faulty = -1;
	clock_manual_init(&world->clock, START_NS, 0);
	random_init(&world->random, seed + 1);
	CHECK(option_defaults(&peers_options, &world->config) == 0);
	world->config.locators_memory = 64 << 10;
	world->config.stages_max = 16;
	world->config.queue_max = 16;
	network_make(world, seed);
	for (unsigned i = 0; i < scenario->nodes; i++) {
		struct model_node *node = &world->nodes[i];

		memset(node, 0, sizeof(*node));
		node->world = world;
		node->number = i;
		node->identity.ring = ring_of_all();
		snprintf(node->identity.cluster, sizeof(node->identity.cluster), "model");
		model_node_up(node);
	}
	run_before(world);
}

void model_world_close(struct model_world *world)
{
	/* fences take effect by themselves now */
	struct loop_faults faults = loop_faults_none();

	loop_network_set_faults(world->network, &faults);
	for (unsigned i = 0; i < world->scenario->nodes; i++) {
		model_node_down(&world->nodes[i]);
		keyring_destroy(world->nodes[i].identity.ring);
	}
	loop_network_destroy(world->network);
	option_free(&peers_options, &world->config);
}
