/*
 * node.c - one node, put together as peers_thread.c does it, with a mailbox that is two lists and a
 * backing store that brings bytes when the model says so.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "base/check.h"
#include "tests/sim/peers/model.h"

#define ARENA_LEN     ((uint64_t)MODEL_FRAMES << BUDDY_ORDER_MAX)
#define ENDING_ROUNDS 1000

/* --- what the sides need */

static void on_message(void *context, struct transport_peer *from, const void *data, size_t len)
{
	struct model_node *node = context;
	bool asked = transport_peer_kind(from) == TRANSPORT_PEER_PASSIVE;
	struct peer_message message;
	bool request;

	if (peer_message_decode(data, len, &message)) {
		counter_add(&node->counters, PEERS_MALFORMED, 1);
		transport_peer_disconnect(from);
		return;
	}
	request = message.kind == PEER_STAGE || message.kind == PEER_CANCEL ||
		  message.kind == PEER_RELEASE || message.kind == PEER_HITS;
	if (request != asked) {
		counter_add(&node->counters, PEERS_MALFORMED, 1);
		transport_peer_disconnect(from);
	} else if (asked) {
		owner_message(node->owner, from, &message);
	} else {
		reader_message(node->reader, from, &message);
	}
}

static void on_up(void *context, struct transport_peer *peer)
{
	struct model_node *node = context;

	if (transport_peer_kind(peer) == TRANSPORT_PEER_ACTIVE)
		reader_up(node->reader, peer);
}

static void on_down(void *context, struct transport_peer *peer, int status, const char *why)
{
	struct model_node *node = context;

	if (transport_peer_kind(peer) == TRANSPORT_PEER_ACTIVE)
		reader_down(node->reader, peer, status, why);
	else
		owner_down(node->owner, peer);
}

static void lease_begin(struct model_node *node, struct cache_stage *stage)
{
	struct window_key key = { .index = stage->index };

	object_id_of(&stage->version, &key.id);
	for (unsigned i = 0; i < MODEL_LEASES_MAX; i++) {
		if (node->leases[i].stage)
			continue;
		node->leases[i] = (struct model_lease){ stage, model_unit_of(&key) };
		return;
	}
	model_fail(node->world, "node %u: more than %d leases", node->number, MODEL_LEASES_MAX);
}

static void on_staged(struct cache_stage *stage)
{
	struct model_node *node = stage->context;

	if (stage->status == 0)
		lease_begin(node, stage);
	/* mutant: who reads it is told where it lies, but nothing holds it there */
	if (stage->status == 0 && node->world->mutant == MUTANT_LEASE)
		cache_stage_finish(stage);
	STAILQ_INSERT_TAIL(&node->stages, stage, link);
}

static void stage_start(void *context, struct cache_stage *stage)
{
	struct model_node *node = context;

	stage->done = on_staged;
	stage->context = node;
	cache_stage_start(node->cache, stage);
}

static void stage_cancel(void *context, struct cache_stage *stage)
{
	(void)context;
	cache_stage_cancel(stage);
}

static void stage_finish(void *context, struct cache_stage *stage)
{
	struct model_node *node = context;

	for (unsigned i = 0; i < MODEL_LEASES_MAX; i++)
		if (node->leases[i].stage == stage)
			node->leases[i].stage = NULL;
	if (node->world->mutant != MUTANT_LEASE && node->world->mutant != MUTANT_LEAK)
		cache_stage_finish(stage);
}

static void units_touch(void *context, const struct window_key *keys, unsigned count)
{
	struct model_node *node = context;

	cache_touch(node->cache, keys, count);
}

static void source_fetch(void *context, struct peer_fetch *fetch)
{
	struct model_node *node = context;

	STAILQ_INSERT_TAIL(&node->fetches, fetch, p.link);
}

static bool source_owns(void *context, const struct object_id *id, uint64_t block)
{
	const struct model_node *node = context;
	const struct window_key key = window_block_key(id, block);
	unsigned unit = model_unit_of(&key);

	return unit < MODEL_UNITS && model_units[unit].owner == node->number;
}

static void get_start(struct backing *backing, struct backing_get *get)
{
	struct model_node *node = CONTAINER_OF(backing, struct model_node, backing);

	get->request.p.queue = 0; /* pieces that have come */
	TAILQ_INSERT_TAIL(&node->gets, &get->request, p.link);
}

static const struct backing_ops backing_ops = { .type = "model", .remote = true, .get = get_start };

/* --- up */

/* All of the arena but one frame of each region is somebody else's. */
static void frames_leave(struct model_node *node)
{
	unsigned kept = buddy_order_of(node->world->scenario->unit_len);
	struct buddy *buddy = &node->cache->window.arena.buddy;
	uint64_t off;

	for (uint64_t region = 0; region < MODEL_FRAMES; region++)
		for (unsigned order = BUDDY_ORDER_MAX; order-- > kept;)
			CHECK(buddy_alloc_within(buddy, order, region << BUDDY_ORDER_MAX, &off) ==
			      0);
}

static void cache_make(struct model_node *node)
{
	char problem[OPTION_PROBLEM_MAX];

	CHECK(option_defaults(&cache_options, &node->cache_config) == 0);
	node->cache_config.memory = ARENA_LEN;
	node->cache_config.block_len = 512 << 10;
	node->cache_config.prefetch_max = 0;
	node->cache_config.read_timeout = 30 * NS_PER_S;
	CHECK(cache_create(&node->cache_config, &node->world->clock.clock, &node->cache, problem,
			   sizeof(problem)) == 0);
	frames_leave(node);
	snprintf(node->backing_id, sizeof(node->backing_id), "model");
	node->backing = (struct backing){ .ops = &backing_ops, .id = node->backing_id };
}

static void directory_make(struct model_node *node)
{
	void *memory;

	if (!node->epoch || node->world->mutant != MUTANT_EPOCH)
		node->epoch = random_u64(&node->world->random);
	CHECK(window_directory_create(ARENA_LEN, &node->id, node->epoch, &node->directory) == 0);
	memory = window_directory_memory(node->directory, &node->shadow_len);
	node->shadow = mmap(NULL, node->shadow_len, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(node->shadow != MAP_FAILED);
	memcpy(node->shadow, memory, node->shadow_len);
}

static void region_add(struct model_node *node, void *base, size_t len,
		       enum transport_access access)
{
	char problem[TRANSPORT_PROBLEM_MAX];
	uint32_t region;

	CHECK(transport_region_add(node->transport, base, len, access, &region, problem,
				   sizeof(problem)) == 0);
}

static void transport_make(struct model_node *node)
{
	const struct transport_environment environment = {
		.clock = &node->world->clock.clock,
		.seed = node->number,
		.identity = &node->identity,
		.events = { .context = node, .message = on_message, .up = on_up, .down = on_down },
	};
	struct transport_config config;
	char problem[TRANSPORT_PROBLEM_MAX];
	uint64_t arena_len;
	void *arena = cache_arena(node->cache, &arena_len);

	CHECK(option_defaults(&transport_options, &config) == 0);
	config.slice_len = (node->world->scenario->unit_len + 1) / 2;
	config.idle_timeout = 0;
	config.retry_min = 20 * NS_PER_MS;
	config.retry_max = 200 * NS_PER_MS;
	CHECK(loop_transport_open(node->world->network, node->number, &config, &environment,
				  &node->transport, problem, sizeof(problem)) == 0);
	option_free(&transport_options, &config);
	region_add(node, arena, arena_len, TRANSPORT_READABLE);
	region_add(node, node->shadow, node->shadow_len, TRANSPORT_READABLE);
}

static void reader_make(struct model_node *node)
{
	struct model_world *world = node->world;
	const struct neighbours_setup neighbours = { .config = &world->config,
						     .transport = node->transport,
						     .counters = &node->counters };
	struct reader_setup setup = {
		.config = &world->config,
		.clock = &world->clock.clock,
		.seed = node->number,
		.counters = &node->counters,
		.outbox = node->outbox,
		.placement = model_placement[world->scenario->nodes],
		.self = node->id,
		.block_len = cache_block_len(node->cache),
		.read_timeout = 2 * NS_PER_S,
		.directory = world->scenario->directory,
	};
	size_t len;
	void *scratch;

	CHECK(neighbours_create(&neighbours, &node->neighbours) == 0);
	setup.neighbours = node->neighbours;
	CHECK(reader_create(&setup, &node->reader) == 0);
	scratch = reader_scratch(node->reader, &len);
	region_add(node, scratch, len, TRANSPORT_LANDING);
}

static void owner_make(struct model_node *node)
{
	struct model_world *world = node->world;
	uint64_t arena_len;
	const struct owner_setup setup = {
		.config = &world->config,
		.clock = &world->clock.clock,
		.counters = &node->counters,
		.outbox = node->outbox,
		.cache = { node, stage_start, stage_cancel, stage_finish, units_touch },
		.arena = cache_arena(node->cache, &arena_len),
		.arena_len = ARENA_LEN,
		.epoch = node->epoch,
		.block_len = cache_block_len(node->cache),
	};

	CHECK(owner_create(&setup, &node->owner) == 0);
}

static void neighbours_make(struct model_node *node)
{
	for (unsigned i = 0; i < node->world->scenario->nodes; i++) {
		struct member_id id = model_member(i);
		struct address address = loop_address(i);

		if (i != node->number)
			CHECK(neighbours_update(node->neighbours, &id, &address) == 0);
	}
}

void model_node_up(struct model_node *node)
{
	const struct peer_source source = { node, source_fetch, source_owns };
	char problem[TRANSPORT_PROBLEM_MAX];
	struct address address;

	node->id = model_member(node->number);
	node->identity.member = node->id;
	node->identity.boot = random_u64(&node->world->random);
	node->life++;
	memset(node->lay, 0, sizeof(node->lay));
	memset(node->heard, 0, sizeof(node->heard));
	TAILQ_INIT(&node->gets);
	STAILQ_INIT(&node->fetches);
	STAILQ_INIT(&node->stages);
	CHECK(peers_counters_init(&node->counters) == 0);
	cache_make(node);
	directory_make(node);
	transport_make(node);
	CHECK(outbox_create(&node->world->clock.clock, 256, &node->outbox) == 0);
	reader_make(node);
	owner_make(node);
	node->backings[0] = &node->backing;
	cache_set_backings(node->cache, node->backings, 1);
	cache_attach_peers(node->cache, &source, node->directory);
	CHECK(transport_listen(node->transport, &address, problem, sizeof(problem)) == 0);
	neighbours_make(node);
}

/* --- down */

static void gets_cancel(struct model_node *node)
{
	struct backing_request *request;

	while ((request = TAILQ_FIRST(&node->gets))) {
		struct backing_get *get = CONTAINER_OF(request, struct backing_get, request);

		TAILQ_REMOVE(&node->gets, request, p.link);
		request->status = -ECANCELED;
		request->problem[0] = '\0';
		get->done(get);
	}
}

static void tally_add(const struct model_node *node)
{
	const struct counters *counters = &node->counters;

	model_tally.from_locator += counter_get(counters, PEERS_FROM_LOCATOR);
	model_tally.from_directory += counter_get(counters, PEERS_FROM_DIRECTORY);
	model_tally.from_stage += counter_get(counters, PEERS_FROM_STAGE);
	model_tally.pushed += counter_get(counters, PEERS_PUSHED);
	model_tally.mismatches += counter_get(counters, PEERS_MISMATCHES);
	model_tally.malformed += counter_get(counters, PEERS_MALFORMED);
}

void model_node_down(struct model_node *node)
{
	unsigned rounds = 0;

	reader_stop(node->reader);
	owner_stop(node->owner);
	cache_stop(node->cache);
	do {
		if (rounds++ == ENDING_ROUNDS)
			model_fail(node->world, "node %u does not come to its end", node->number);
		gets_cancel(node);
	} while (model_node_turn(node) || TAILQ_FIRST(&node->gets) || model_node_asks(node) ||
		 !owner_is_idle(node->owner));
	neighbours_destroy(node->neighbours);
	transport_close(node->transport);
	owner_destroy(node->owner);
	reader_destroy(node->reader);
	outbox_destroy(node->outbox);
	cache_destroy(node->cache);
	option_free(&cache_options, &node->cache_config);
	window_directory_destroy(node->directory);
	CHECK(munmap(node->shadow, node->shadow_len) == 0);
	tally_add(node);
	counters_fini(&node->counters);
	node->cache = NULL;
}

/* --- its threads */

static void timer_turn(struct cache *cache)
{
	uint64_t now_ns = clock_now_ns(cache->clock);
	struct cache_work work;

	cache_work_init(&work);
	pthread_mutex_lock(&cache->lock);
	cache_reads_expire_locked(cache, now_ns, &work);
	cache_fills_retry_locked(cache, now_ns, &work);
	pthread_mutex_unlock(&cache->lock);
	cache_work_run(cache, &work);
}

static uint64_t earlier(uint64_t a_ns, uint64_t b_ns)
{
	return a_ns < b_ns ? a_ns : b_ns;
}

bool model_node_turn(struct model_node *node)
{
	bool worked = transport_poll(node->transport) > 0;
	struct cache_stage *stage;
	struct peer_fetch *fetch;

	while ((stage = STAILQ_FIRST(&node->stages))) {
		STAILQ_REMOVE_HEAD(&node->stages, link);
		owner_stage_done(node->owner, stage);
		worked = true;
	}
	while ((fetch = STAILQ_FIRST(&node->fetches))) {
		STAILQ_REMOVE_HEAD(&node->fetches, p.link);
		reader_start(node->reader, fetch);
		worked = true;
	}
	timer_turn(node->cache);
	node->next_ns = reader_tick(node->reader);
	node->next_ns = earlier(node->next_ns, owner_tick(node->owner));
	return worked || !STAILQ_EMPTY(&node->stages) || !STAILQ_EMPTY(&node->fetches);
}

uint64_t model_node_next_ns(const struct model_node *node)
{
	const struct transport *transport = node->transport;
	const struct transport_read *read = TAILQ_FIRST(&transport->read_expiries);
	const struct transport_message *message = TAILQ_FIRST(&transport->message_deadlines);
	uint64_t next_ns = earlier(node->next_ns, transport->peers_timer_ns);

	next_ns = earlier(next_ns, cache_fills_next_ns(node->cache));
	for (unsigned i = 0; i < WINDOW_CLASS_COUNT; i++) {
		const struct cache_read *first = TAILQ_FIRST(&node->cache->queues[i].by_deadline);

		if (first)
			next_ns = earlier(next_ns, first->p.deadline_ns);
	}
	if (read)
		next_ns = earlier(next_ns, read->expires_ns);
	if (message)
		next_ns = earlier(next_ns, message->deadline_ns);
	return next_ns;
}

bool model_node_asks(const struct model_node *node)
{
	return !reader_is_idle(node->reader) || !STAILQ_EMPTY(&node->fetches);
}
