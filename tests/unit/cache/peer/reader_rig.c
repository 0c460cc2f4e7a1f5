/*
 * reader_rig.c - the reader's node, its surroundings, and time.
 */
#include "tests/unit/cache/peer/reader_rig.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "base/log.h"
#include "tests/unit/cache/peer/host.h"

#define OBJECT_BLOCKS	UINT64_C(1000000)
#define PATIENCE_NS	(300 * NS_PER_S)
#define STOPPED_STEP_NS (100 * UINT64_C(1000))

uint64_t rig_now(const struct rig *rig)
{
	return clock_now_ns(&rig->clock.clock);
}

uint64_t rig_count(const struct rig *rig, enum peers_counter counter)
{
	return counter_get(&rig->counters, counter);
}

uint64_t rig_reads(const struct rig *rig)
{
	return counter_get(&rig->transport_counters, TRANSPORT_READS);
}

struct rig_owner *rig_owner(struct rig *rig, unsigned number)
{
	assert_in_range(number, 1, rig->owner_count);
	return &rig->owners[number];
}

/* --- nodes */

static uint8_t *map(void)
{
	void *memory = mmap(NULL, RIG_ARENA_LEN, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(memory, MAP_FAILED);
	return memory;
}

static struct transport_config transport_config_of(const struct rig *rig)
{
	struct transport_config config = host_config();

	config.retry_min = 20 * NS_PER_MS;
	config.retry_max = 200 * NS_PER_MS;
	config.connect_timeout = NS_PER_S;
	config.slice_len = 64 << 10;
	config.reads_max = rig->reads_max;
	return config;
}

static struct transport *open_transport(struct rig *rig, unsigned number,
					const struct identity *identity,
					const struct transport_events *events,
					struct counters *counters)
{
	struct transport_config config = transport_config_of(rig);
	const struct transport_environment environment = {
		.clock = &rig->clock.clock,
		.identity = identity,
		.events = *events,
		.counters = counters,
	};

	return host_open(rig->network, number, &config, &environment);
}

static void name_node(struct rig *rig, struct identity *identity, unsigned number)
{
	snprintf(identity->cluster, sizeof(identity->cluster), "rig");
	identity->member = host_member(number);
	identity->ring = rig->ring;
	identity->boot = random_u64(&rig->random);
}

void rig_start(struct rig_owner *owner)
{
	struct rig *rig = owner->rig;
	const struct transport_events events = rig_owner_events(owner);
	size_t len;
	void *memory;

	name_node(rig, &owner->identity, owner->number);
	owner->epoch = random_u64(&rig->random) | 1;
	memset(owner->units, 0, sizeof(owner->units));
	memset(owner->arena, 0xdd, RIG_ARENA_LEN);
	assert_int_equal(
		window_directory_create(RIG_ARENA_LEN, &owner->id, owner->epoch, &owner->directory),
		0);
	assert_int_equal(outbox_create(&rig->clock.clock, 512, &owner->outbox), 0);
	owner->transport = open_transport(rig, owner->number, &owner->identity, &events, NULL);
	memory = window_directory_memory(owner->directory, &len);
	host_add_region(owner->transport, owner->arena, RIG_ARENA_LEN, TRANSPORT_READABLE,
			PEER_REGION_ARENA);
	host_add_region(owner->transport, memory, len, TRANSPORT_READABLE, PEER_REGION_DIRECTORY);
	host_listen(owner->transport);
}

static void stop_owner(struct rig_owner *owner)
{
	transport_close(owner->transport);
	owner->transport = NULL;
	outbox_destroy(owner->outbox);
	window_directory_destroy(owner->directory);
	memset(owner->stages, 0, sizeof(owner->stages));
}

void rig_kill(struct rig_owner *owner)
{
	loop_kill(owner->rig->network, owner->number);
	stop_owner(owner);
}

void rig_restart(struct rig_owner *owner)
{
	rig_kill(owner);
	rig_start(owner);
}

static void make_owner(struct rig *rig, unsigned number)
{
	struct rig_owner *owner = &rig->owners[number];
	struct address address = loop_address(number);

	owner->rig = rig;
	owner->number = number;
	owner->id = host_member(number);
	owner->arena = map();
	rig_start(owner);
	assert_int_equal(neighbours_update(rig->neighbours, &owner->id, &address), 0);
}

/* --- the reader's node */

static void reader_told(void *context, struct transport_peer *from, const void *data, size_t len)
{
	struct rig *rig = context;
	struct peer_message message;

	if (peer_message_decode(data, len, &message)) {
		counter_add(&rig->counters, PEERS_MALFORMED, 1);
		transport_peer_disconnect(from);
		return;
	}
	reader_message(rig->reader, from, &message);
}

static void reader_told_up(void *context, struct transport_peer *peer)
{
	reader_up(((struct rig *)context)->reader, peer);
}

static void reader_told_down(void *context, struct transport_peer *peer, int status,
			     const char *why)
{
	reader_down(((struct rig *)context)->reader, peer, status, why);
}

static void evidence(void *context, const struct member_id *id, const char *why)
{
	struct rig *rig = context;

	assert_non_null(why);
	rig->evidence[id->bytes[0] - 1]++;
}

static void make_node(struct rig *rig)
{
	const struct transport_events events = { .context = rig,
						 .message = reader_told,
						 .up = reader_told_up,
						 .down = reader_told_down };

	name_node(rig, &rig->identity, 0);
	rig->self = host_member(0);
	rig->arena = map();
	assert_int_equal(transport_counters_init(&rig->transport_counters), 0);
	rig->transport = open_transport(rig, 0, &rig->identity, &events, &rig->transport_counters);
	host_add_region(rig->transport, rig->arena, RIG_ARENA_LEN, TRANSPORT_READABLE, 0);
	assert_int_equal(outbox_create(&rig->clock.clock, 512, &rig->outbox), 0);
}

static void make_reader(struct rig *rig)
{
	const struct neighbours_setup neighbours_setup = {
		.config = &rig->config,
		.transport = rig->transport,
		.counters = &rig->counters,
		.evidence = evidence,
		.context = rig,
	};
	struct reader_setup setup = {
		.config = &rig->config,
		.clock = &rig->clock.clock,
		.seed = 5,
		.counters = &rig->counters,
		.latency = &rig->latency,
		.outbox = rig->outbox,
		.placement = rig->placement,
		.self = rig->self,
		.block_len = RIG_BLOCK_LEN,
		.read_timeout = 2 * NS_PER_S,
		.directory = rig->directory,
	};
	void *scratch;
	size_t len;

	assert_int_equal(neighbours_create(&neighbours_setup, &rig->neighbours), 0);
	setup.neighbours = rig->neighbours;
	assert_int_equal(reader_create(&setup, &rig->reader), 0);
	scratch = reader_scratch(rig->reader, &len);
	host_add_region(rig->transport, scratch, len, TRANSPORT_LANDING, 1);
}

void rig_place(struct rig *rig, const struct rig_plan *plan)
{
	struct placement_member members[RIG_OWNERS_MAX];
	uint64_t now_ns = rig_now(rig);
	unsigned count = 0;

	for (unsigned i = plan->guest ? 1 : 0; i <= (plan->alone ? 0 : rig->owner_count); i++) {
		bool is_new = i ? i + plan->newcomers > rig->owner_count : plan->newcomer;

		members[count++] =
			(struct placement_member){ .id = host_member(i),
						   .weight = 1 << 30,
						   .storing_since_ns = is_new ? now_ns : 1 };
	}
	assert_int_equal(placement_update(rig->placement, members, count, NULL), 0);
	rig->placement_changed = true;
}

/* To rank a million slots is what takes most of a test's time, so the last placement is kept for
   the next rig of the same plan. */
static struct {
	struct rig_plan plan;
	struct placement *placement;
} kept;

static bool ranks_alike(const struct rig_plan *a, const struct rig_plan *b)
{
	return a->owners == b->owners && a->newcomer == b->newcomer &&
	       a->newcomers == b->newcomers && a->alone == b->alone && a->guest == b->guest;
}

static void open_placement(struct rig *rig, const struct rig_plan *plan)
{
	if (kept.placement && !plan->unplaced && ranks_alike(&kept.plan, plan)) {
		rig->placement = kept.placement;
		kept.placement = NULL;
		return;
	}
	assert_int_equal(placement_create(&rig->placement), 0);
	if (!plan->unplaced)
		rig_place(rig, plan);
	rig->placement_changed = plan->unplaced;
}

static void close_placement(struct rig *rig)
{
	placement_destroy(kept.placement);
	kept.placement = rig->placement;
	kept.plan = rig->plan;
	if (!rig->placement_changed)
		return;
	placement_destroy(kept.placement);
	kept.placement = NULL;
}

static void make_object(struct rig *rig)
{
	rig->object = (struct store_object){
		.version = { .backing = "s3",
			     .bucket = "bucket",
			     .key = "some/key",
			     .etag = "etag",
			     .size = OBJECT_BLOCKS * RIG_BLOCK_LEN },
		.mtime_s = 77,
		.dataset = "data",
	};
	object_id_of(&rig->object.version, &rig->object.id);
}

static int counters_of_peers(struct counters *counters)
{
	static struct counter_spec specs[PEERS_COUNTER_COUNT];

	return counters_init(counters, "peers", specs, PEERS_COUNTER_COUNT);
}

void rig_open(struct rig *rig, const struct rig_plan *plan)
{
	static const uint8_t key[KEYRING_KEY_LEN] = { 7 };

	memset(rig, 0, sizeof(*rig));
	log_set_level(LOG_LEVEL_ERROR);
	random_init(&rig->random, 1);
	clock_manual_init(&rig->clock, 100000 * NS_PER_S, 0);
	assert_int_equal(option_defaults(&peers_options, &rig->config), 0);
	if (plan->failover_rate)
		rig->config.failover_rate = plan->failover_rate;
	rig->directory = plan->directory;
	rig->reads_max = plan->reads_max ? plan->reads_max : 64;
	assert_int_equal(counters_of_peers(&rig->counters), 0);
	assert_int_equal(keyring_create(&rig->ring), 0);
	assert_int_equal(keyring_add(rig->ring, key), 0);
	assert_int_equal(loop_network_create(&rig->clock.clock, 3, &rig->network), 0);
	rig->faults = loop_faults_none();
	make_object(rig);
	make_node(rig);
	rig->plan = *plan;
	rig->owner_count = plan->owners;
	open_placement(rig, plan);
	make_reader(rig);
	for (unsigned i = 1; i <= plan->owners; i++)
		make_owner(rig, i);
}

void rig_close(struct rig *rig)
{
	reader_stop(rig->reader);
	for (uint64_t until_ns = rig_now(rig) + PATIENCE_NS; !reader_is_idle(rig->reader);) {
		assert_true(rig_now(rig) < until_ns);
		rig_step(rig);
	}
	neighbours_destroy(rig->neighbours);
	transport_close(rig->transport);
	reader_destroy(rig->reader);
	outbox_destroy(rig->outbox);
	assert_int_equal(rig_count(rig, PEERS_INFLIGHT), 0);
	assert_int_equal(rig_count(rig, PEERS_BREAKERS_OPEN), 0);
	for (unsigned i = 1; i <= rig->owner_count; i++) {
		if (rig->owners[i].transport)
			stop_owner(&rig->owners[i]);
		munmap(rig->owners[i].arena, RIG_ARENA_LEN);
	}
	munmap(rig->arena, RIG_ARENA_LEN);
	loop_network_destroy(rig->network);
	close_placement(rig);
	keyring_destroy(rig->ring);
	counters_fini(&rig->counters);
	counters_fini(&rig->transport_counters);
	option_free(&peers_options, &rig->config);
}

int rig_setup(void **state)
{
	const struct rig_fixture *fixture = *state;

	rig_open(fixture->rig, &fixture->plan);
	return 0;
}

int rig_teardown(void **state)
{
	rig_close(((const struct rig_fixture *)*state)->rig);
	return 0;
}

/* --- time */

void rig_expect_within(const struct rig *rig, uint64_t begun_ns, uint64_t after_ns)
{
	assert_in_range(rig_now(rig) - begun_ns, after_ns, after_ns + 20 * NS_PER_MS);
}

void rig_step(struct rig *rig)
{
	uint64_t now_ns = rig_now(rig), next_ns = now_ns + NS_PER_MS, at_ns;

	transport_poll(rig->transport);
	rig->tick_ns = reader_tick(rig->reader);
	for (unsigned i = 1; i <= rig->owner_count; i++) {
		struct rig_owner *owner = &rig->owners[i];

		if (!owner->transport || owner->stopped)
			continue;
		transport_poll(owner->transport);
		at_ns = rig_owner_work(owner);
		next_ns = at_ns < next_ns ? at_ns : next_ns;
	}
	next_ns = rig->tick_ns < next_ns ? rig->tick_ns : next_ns;
	at_ns = loop_network_next_ns(rig->network);
	if (at_ns <= now_ns) /* what waits for a stopped process */
		at_ns = now_ns + STOPPED_STEP_NS;
	next_ns = at_ns < next_ns ? at_ns : next_ns;
	clock_manual_advance(&rig->clock, next_ns > now_ns ? next_ns - now_ns : 1000);
}

void rig_run(struct rig *rig, uint64_t ns)
{
	for (uint64_t until_ns = rig_now(rig) + ns; rig_now(rig) < until_ns;)
		rig_step(rig);
}

void rig_wait_count(struct rig *rig, const unsigned *count, unsigned wanted)
{
	for (uint64_t until_ns = rig_now(rig) + PATIENCE_NS; *count < wanted;) {
		assert_true(rig_now(rig) < until_ns);
		rig_step(rig);
	}
}

void rig_wait(struct rig *rig, struct rig_fetch *fetch)
{
	rig_wait_count(rig, &fetch->calls, 1);
}

/* --- fetches */

static void fetch_done(struct peer_fetch *done)
{
	struct rig_fetch *fetch = (struct rig_fetch *)(void *)done;

	fetch->calls++;
	assert_int_equal(fetch->calls, 1);
	fetch->done_ns = rig_now(fetch->rig);
	fetch->right = done->outcome == PEER_FETCHED && rig_is_right(done);
	if (done->outcome == PEER_FETCHED)
		assert_true(fetch->right);
}

static void start_fetch(struct rig *rig, struct rig_fetch *fetch, const struct window_key *key,
			uint64_t block, uint64_t timeout_ns, bool serving)
{
	unsigned slot = rig->slots++ % RIG_UNITS;

	*fetch = (struct rig_fetch){
		.fetch = {
			.key = *key,
			.object = &rig->object,
			.block = block,
			.len = window_key_len(key, rig->object.version.size, RIG_BLOCK_LEN),
			.dst = rig->arena + (size_t)slot * RIG_BLOCK_LEN,
			.deadline_ns = rig_now(rig) + timeout_ns,
			.serving = serving,
			.done = fetch_done,
		},
		.rig = rig,
	};
	memset(fetch->fetch.dst, 0x55, fetch->fetch.len);
	reader_start(rig->reader, &fetch->fetch);
	assert_int_equal(fetch->calls, 0);
}

void rig_fetch(struct rig *rig, struct rig_fetch *fetch, uint64_t block, uint64_t timeout_ns)
{
	struct window_key key = window_block_key(&rig->object.id, block);

	start_fetch(rig, fetch, &key, block, timeout_ns, false);
}

void rig_fetch_served(struct rig *rig, struct rig_fetch *fetch, uint64_t block, uint64_t timeout_ns)
{
	struct window_key key = window_block_key(&rig->object.id, block);

	start_fetch(rig, fetch, &key, block, timeout_ns, true);
}

void rig_fetch_granule(struct rig *rig, struct rig_fetch *fetch, uint64_t granule,
		       uint64_t timeout_ns)
{
	struct window_key key = window_granule_key(&rig->object.id, granule);

	start_fetch(rig, fetch, &key, granule / (RIG_BLOCK_LEN / GRANULE_LEN), timeout_ns, false);
}

enum peer_outcome rig_get(struct rig *rig, uint64_t block)
{
	struct rig_fetch fetch;

	rig_fetch(rig, &fetch, block, 10 * NS_PER_S);
	rig_wait(rig, &fetch);
	return fetch.fetch.outcome;
}

static bool is_member(const struct placement_member *ranked, int number)
{
	struct member_id id = host_member((unsigned)number);

	return number < 0 || member_id_equal(&ranked->id, &id);
}

uint64_t rig_block(struct rig *rig, uint64_t from, int first, int second)
{
	const struct placement_table *table = placement_acquire(rig->placement);
	const struct placement_member *owners[PLACEMENT_OWNERS_MAX];
	uint64_t block = from;

	for (;; block++) {
		unsigned count =
			placement_owners(table, placement_slot(&rig->object.id, block), owners);

		assert_true(block < OBJECT_BLOCKS);
		if (is_member(owners[0], first) &&
		    (second < 0 || (count > 1 && is_member(owners[1], second))))
			break;
	}
	placement_release(rig->placement, table);
	return block;
}
