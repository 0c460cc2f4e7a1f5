/*
 * catalog_rig.c - see catalog_rig.h.
 */
#include "tests/unit/cache/peer/catalog_rig.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/digest.h"
#include "base/log.h"
#include "cache/peer/inside.h"
#include "tests/unit/cache/peer/host.h"

#define STEP_NS_MAX (20 * NS_PER_MS) /* transports have times of their own */

/* --- what the store has */

static void entry_of(const struct rig *rig, const char *prefix, unsigned index, char key[1100],
		     struct backing_meta *meta)
{
	int len = snprintf(key, 1100, "%sk%06u", prefix, index);

	memset(key + len, 'x', rig->key_pad);
	key[len + (int)rig->key_pad] = '\0';
	*meta = (struct backing_meta){ .size = index * UINT64_C(1000), .mtime_s = 1700000000 };
	snprintf(meta->etag, sizeof(meta->etag), "%s", rig->etag);
}

static bool is_prefix(unsigned index)
{
	return index % 10 == 7;
}

unsigned rig_page(const struct rig *rig, struct backing_list *list)
{
	unsigned first = (unsigned)strtoul(list->token, NULL, 10);
	unsigned max = rig->page_keys ? rig->page_keys : (unsigned)list->max_keys;
	unsigned end = rig->key_count - first < max ? rig->key_count : first + max;

	for (unsigned i = first; i < end; i++) {
		struct backing_meta meta;
		char key[1100];

		entry_of(rig, list->prefix, i, key, &meta);
		list->entry(list, key, is_prefix(i) ? NULL : &meta);
	}
	return end;
}

static void answer_list(const struct rig *rig, struct backing_list *list)
{
	unsigned end;

	list->request.status = rig->list_status;
	list->request.problem[0] = '\0';
	if (!list->request.status) {
		end = rig_page(rig, list);
		list->token[0] = '\0';
		if (end < rig->key_count)
			snprintf(list->token, sizeof(list->token), "%u", end);
	}
	list->done(list);
}

static void answer_head(const struct rig *rig, struct backing_head *head)
{
	struct backing_meta meta = { .size = 77, .mtime_s = 1700000001 };

	snprintf(meta.etag, sizeof(meta.etag), "%s", rig->etag);
	head->request.status = rig->head_status;
	snprintf(head->request.problem, sizeof(head->request.problem), "%s",
		 rig->head_status ? "so it is" : "");
	head->meta = meta;
	head->done(head);
}

/* --- the fake store */

static struct rig_store *store_of(struct backing *backing)
{
	return CONTAINER_OF(backing, struct rig_store, backing);
}

static void hold(struct rig_store *store, struct rig_held held)
{
	assert_in_range(store->queued, 0, RIG_QUEUE_MAX - 1);
	store->queue[store->queued++] = held;
}

static void store_list(struct backing *backing, struct backing_list *list)
{
	store_of(backing)->lists++;
	hold(store_of(backing), (struct rig_held){ .list = list });
}

static void store_head(struct backing *backing, struct backing_head *head)
{
	store_of(backing)->heads++;
	hold(store_of(backing), (struct rig_held){ .head = head });
}

static void store_get(struct backing *backing, struct backing_get *get)
{
	store_of(backing)->gets++;
	get->request.status = 0;
	get->done(get);
}

static void store_describe(struct backing *backing, char *out, size_t out_size)
{
	(void)backing;
	snprintf(out, out_size, "a fake");
}

static const struct backing_ops store_ops = {
	.type = "fake",
	.remote = true,
	.list = store_list,
	.head = store_head,
	.get = store_get,
	.describe = store_describe,
};

unsigned rig_answer(struct rig_node *node)
{
	struct rig_store *store = &node->store;
	unsigned count = store->queued;
	struct rig_held queue[RIG_QUEUE_MAX];

	memcpy(queue, store->queue, count * sizeof(queue[0]));
	store->queued = 0;
	for (unsigned i = 0; i < count; i++) {
		if (queue[i].list)
			answer_list(node->rig, queue[i].list);
		else
			answer_head(node->rig, queue[i].head);
	}
	return count;
}

/* --- the fake cache */

struct rig_object {
	struct rig_node *node;
	char bucket[64], key[64], etag[BACKING_ETAG_MAX];
	uint64_t size;
	struct backing *source;
};

struct rig_read {
	struct backing_get get;
	struct cache_read *read;
	const struct rig_object *object;
	struct rig_node *node;
	bool asked; /* the other node's catalog */
	bool done;
	uint8_t *bytes;
};

/* Not what a fault sweep makes fail. */
static void *rig_alloc(size_t size)
{
	void *memory = aligned_alloc(64, (size + 63) / 64 * 64);

	assert_non_null(memory);
	memset(memory, 0, size);
	return memory;
}

static int object_open(void *context, const struct object_version *version, struct backing *source,
		       struct cache_object **out_object)
{
	struct rig_node *node = context;
	struct rig_object *object = rig_alloc(sizeof(*object));

	assert_string_equal(version->backing, CATALOG_BACKING);
	assert_ptr_equal(source, catalog_backings(node->catalog)[1]);
	assert_true(source->ops->transient);
	snprintf(object->bucket, sizeof(object->bucket), "%s", version->bucket);
	snprintf(object->key, sizeof(object->key), "%s", version->key);
	snprintf(object->etag, sizeof(object->etag), "%s", version->etag);
	object->node = node;
	object->size = version->size;
	object->source = source;
	node->objects++;
	*out_object = (struct cache_object *)(void *)object;
	return 0;
}

static void object_put(void *context, struct cache_object *object)
{
	struct rig_node *node = context;

	node->objects--;
	free(object);
}

static void read_end(struct rig_read *held, int status)
{
	struct cache_read *read = held->read;

	held->done = true;
	read->status = status;
	read->iov_count = status ? 0 : 2;
	read->iov[0] = (struct iovec){ held->bytes, read->len / 2 };
	read->iov[1] = (struct iovec){ held->bytes + read->len / 2, read->len - read->len / 2 };
	if (status) {
		free(held->bytes);
		held->bytes = NULL;
	}
	read->done(read);
}

static void read_got(struct backing_get *get)
{
	struct rig_read *held = CONTAINER_OF(get, struct rig_read, get);

	read_end(held, get->request.status);
}

static struct rig_node *owner_of(const struct rig_object *object)
{
	struct rig *rig = object->node->rig;

	for (unsigned i = 0; i < rig->node_count; i++) {
		char text[MEMBER_ID_TEXT];

		digest_hex(rig->nodes[i].identity.member.bytes, MEMBER_ID_LEN, text);
		if (strcmp(text, object->bucket) == 0)
			return &rig->nodes[i];
	}
	fail_msg("no such member: %s", object->bucket);
	return NULL;
}

/* What a read of the owner's memory and its STAGE come to. */
static void read_ask(struct rig_read *held)
{
	struct rig_node *owner = owner_of(held->object);
	struct backing *source =
		owner->alive ? catalog_backings(owner->catalog)[1] : held->object->source;

	held->asked = true;
	if (held->node->read_status) {
		read_end(held, held->node->read_status);
		return;
	}
	held->get = (struct backing_get){
		.request = { .bucket = held->object->bucket, .key = held->object->key },
		.etag = held->object->etag,
		.off = held->read->off,
		.len = held->read->len,
		.dst = held->bytes,
		.done = read_got,
	};
	backing_get(source, &held->get);
}

static int read_start(void *context, struct cache_read *read)
{
	struct rig_node *node = context;
	struct rig_read *held = rig_alloc(sizeof(*held));
	const struct rig_object *object = (const struct rig_object *)(const void *)read->object;

	assert_in_range(read->len, 1, CACHE_READ_LEN_MAX);
	assert_in_range(read->off, 0, object->size - read->len);
	assert_in_range(node->read_count, 0, RIG_QUEUE_MAX - 1);
	held->bytes = rig_alloc(read->len);
	held->read = read;
	held->object = object;
	held->node = node;
	node->reads_begun++;
	node->reads[node->read_count++].read = held;
	if (!node->holds_reads)
		read_ask(held);
	return 0;
}

static unsigned read_index(const struct rig_node *node, const struct cache_read *read)
{
	for (unsigned i = 0; i < node->read_count; i++)
		if (node->reads[i].read->read == read)
			return i;
	return node->read_count;
}

static void read_drop(struct rig_node *node, unsigned index)
{
	free(node->reads[index].read->bytes);
	free(node->reads[index].read);
	node->reads[index] = node->reads[--node->read_count];
}

static void read_finish(void *context, struct cache_read *read)
{
	unsigned index = read_index(context, read);
	struct rig_node *node = context;

	assert_in_range(index, 0, node->read_count - 1);
	assert_true(node->reads[index].read->done && node->reads[index].read->bytes);
	read_drop(node, index);
}

static void read_cancel(void *context, struct cache_read *read)
{
	unsigned index = read_index(context, read);
	struct rig_node *node = context;

	assert_in_range(index, 0, node->read_count - 1);
	if (!node->reads[index].read->asked)
		read_end(node->reads[index].read, -ECANCELED);
}

/* Those that ended with an error are not finished. */
static void reads_sweep(struct rig_node *node)
{
	for (unsigned i = 0; i < node->read_count;) {
		if (node->reads[i].read->done && !node->reads[i].read->bytes)
			read_drop(node, i);
		else
			i++;
	}
}

void rig_reads_end(struct rig_node *node)
{
	for (unsigned i = 0; i < node->read_count; i++)
		if (!node->reads[i].read->asked && !node->reads[i].read->done)
			read_ask(node->reads[i].read);
}

/* --- nodes */

static void told_message(void *context, struct transport_peer *from, const void *data, size_t len)
{
	struct rig_node *node = context;
	struct peer_message message;
	bool asked = transport_peer_kind(from) == TRANSPORT_PEER_PASSIVE;

	assert_int_equal(peer_message_decode(data, len, &message), 0);
	assert_int_equal(message.kind, asked ? PEER_ASK : PEER_ANSWER);
	catalog_message(node->catalog, from, &message);
}

static void told_down(void *context, struct transport_peer *peer, int status, const char *why)
{
	struct rig_node *node = context;

	(void)status;
	(void)why;
	catalog_down(node->catalog, peer);
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

	config.peers_connected_max = RIG_NODES_MAX;
	node->transport = host_open(rig->network, node->number, &config, &environment);
	host_listen(node->transport);
}

static void identity_fill(struct rig_node *node)
{
	snprintf(node->identity.cluster, sizeof(node->identity.cluster), "rig");
	node->identity.member = host_member(node->number);
	node->identity.boot++;
	node->identity.ring = node->rig->ring;
}

static void neighbours_start(struct rig_node *node)
{
	const struct neighbours_setup setup = {
		.config = &node->rig->config,
		.transport = node->transport,
		.counters = &node->counters,
	};

	assert_int_equal(neighbours_create(&setup, &node->neighbours), 0);
	host_introduce(node->neighbours, node->number, node->rig->node_count);
}

static void carry(void *context, struct catalog_job *job)
{
	struct rig_node *node = context;

	STAILQ_INSERT_TAIL(&node->jobs, job, link);
}

static void woken(void *context)
{
	struct rig_node *node = context;

	node->wakes++;
}

static void catalog_start(struct rig_node *node)
{
	struct rig *rig = node->rig;
	const struct catalog_setup setup = {
		.config = &rig->config,
		.clock = &rig->clock.clock,
		.counters = &node->counters,
		.outbox = node->outbox,
		.neighbours = node->neighbours,
		.placement = node->placement,
		.self = node->identity.member,
		.boot = node->identity.boot,
		.memory_max = rig->memory_max,
		.cache = { node, object_open, object_put, read_start, read_cancel, read_finish },
		.porter = { node, carry },
		.backings = node->backings,
		.backing_count = 1,
		.wake = woken,
		.context = node,
	};

	assert_int_equal(catalog_create(&setup, &node->catalog), 0);
}

void rig_node_start(struct rig_node *node)
{
	static char id[] = "s3";

	node->alive = true;
	node->deaf = false;
	STAILQ_INIT(&node->jobs);
	node->store.rig = node->rig;
	node->store.backing = (struct backing){ &store_ops, id };
	node->backings[0] = &node->store.backing;
	if (!node->placement)
		node->placement = node->rig->placement;
	identity_fill(node);
	assert_int_equal(peers_counters_init(&node->counters), 0);
	transport_start(node);
	assert_int_equal(outbox_create(&node->rig->clock.clock, 4096, &node->outbox), 0);
	neighbours_start(node);
	catalog_start(node);
}

static void jobs_run(struct rig_node *node)
{
	struct catalog_job *job;

	while ((job = STAILQ_FIRST(&node->jobs))) {
		STAILQ_REMOVE_HEAD(&node->jobs, link);
		job->run(job);
	}
}

static void node_end(struct rig_node *node)
{
	neighbours_destroy(node->neighbours);
	transport_close(node->transport);
	outbox_destroy(node->outbox);
	jobs_run(node);
	rig_answer(node); /* what was left behind, into what is stopped */
	jobs_run(node);
	reads_sweep(node);
	assert_int_equal(node->read_count, 0);
	assert_int_equal(node->objects, 0);
	catalog_destroy(node->catalog);
	counters_fini(&node->counters);
	node->alive = false;
}

void rig_node_stop(struct rig_node *node)
{
	catalog_stop(node->catalog);
	for (unsigned i = 0; i < 100 && !catalog_is_idle(node->catalog); i++) {
		jobs_run(node);
		reads_sweep(node);
		catalog_tick(node->catalog);
	}
	assert_true(catalog_is_idle(node->catalog));
	node_end(node);
}

void rig_node_kill(struct rig_node *node)
{
	loop_kill(node->rig->network, node->number);
	rig_node_stop(node);
}

static void place(struct placement *placement, unsigned count, unsigned without)
{
	struct placement_member members[RIG_NODES_MAX];
	unsigned used = 0;

	for (unsigned i = 0; i < count; i++) {
		if (i == without)
			continue;
		members[used] = (struct placement_member){ .weight = UINT64_C(1) << 30 };
		members[used++].id = host_member(i);
	}
	assert_int_equal(placement_update(placement, members, used, NULL), 0);
}

void rig_node_place(struct rig_node *node, unsigned count, unsigned without)
{
	assert_int_equal(placement_create(&node->placement), 0);
	place(node->placement, count, without);
	node->catalog->setup.placement = node->placement;
}

/* --- the rig */

struct rig *rig_create(unsigned node_count)
{
	struct loop_faults faults = loop_faults_none();
	uint8_t secret[KEYRING_KEY_LEN] = { 1 };
	struct rig *rig = calloc(1, sizeof(*rig));

	assert_non_null(rig);
	log_set_level(LOG_LEVEL_ERROR);
	rig->config = (struct peers_config){ .silence = 500 * NS_PER_MS,
					     .breaker_failures = 3,
					     .breaker_probe = 500 * NS_PER_MS };
	rig->memory_max = 64 << 20;
	rig->key_count = 25;
	snprintf(rig->etag, sizeof(rig->etag), "\"first\"");
	clock_manual_init(&rig->clock, 1000 * NS_PER_S, 0);
	faults.detect_ns = 10 * NS_PER_MS;
	assert_int_equal(loop_network_create(&rig->clock.clock, 1, &rig->network), 0);
	loop_network_set_faults(rig->network, &faults);
	assert_int_equal(keyring_create(&rig->ring), 0);
	assert_int_equal(keyring_add(rig->ring, secret), 0);
	assert_int_equal(placement_create(&rig->placement), 0);
	rig->node_count = node_count;
	place(rig->placement, node_count, RIG_NODES_MAX);
	for (unsigned i = 0; i < node_count; i++) {
		rig->nodes[i].rig = rig;
		rig->nodes[i].number = i;
		rig_node_start(&rig->nodes[i]);
	}
	return rig;
}

void rig_destroy(struct rig *rig)
{
	for (unsigned i = 0; i < rig->node_count; i++) {
		struct rig_node *node = &rig->nodes[i];

		node->holds_reads = false;
		if (node->alive)
			rig_node_stop(node);
		if (node->placement != rig->placement)
			placement_destroy(node->placement);
	}
	placement_destroy(rig->placement);
	loop_network_destroy(rig->network);
	keyring_destroy(rig->ring);
	free(rig);
}

uint64_t rig_count(const struct rig_node *node, enum peers_counter counter)
{
	return counter_get(&node->counters, counter);
}

unsigned rig_lists(const struct rig *rig)
{
	unsigned lists = 0;

	for (unsigned i = 0; i < rig->node_count; i++)
		lists += rig->nodes[i].store.lists;
	return lists;
}

unsigned rig_heads(const struct rig *rig)
{
	unsigned heads = 0;

	for (unsigned i = 0; i < rig->node_count; i++)
		heads += rig->nodes[i].store.heads;
	return heads;
}

/* --- time */

/* Return: how many things happened. */
static unsigned node_turn(struct rig_node *node)
{
	unsigned count = node->wakes;

	if (!node->alive || node->deaf)
		return 0;
	node->wakes = 0;
	count += (unsigned)transport_poll(node->transport);
	if (!node->store.holds)
		count += rig_answer(node);
	count += !STAILQ_EMPTY(&node->jobs);
	jobs_run(node);
	reads_sweep(node);
	return count;
}

/* Return: when somebody wants to be called again. */
static uint64_t run_now(struct rig *rig)
{
	uint64_t next_ns;
	unsigned count;

	do {
		count = 0;
		next_ns = CLOCK_NEVER;
		for (unsigned i = 0; i < rig->node_count; i++) {
			struct rig_node *node = &rig->nodes[i];
			uint64_t at_ns = CLOCK_NEVER;

			count += node_turn(node);
			if (node->alive && !node->deaf)
				at_ns = catalog_tick(node->catalog);
			next_ns = at_ns < next_ns ? at_ns : next_ns;
			count += node->alive && !node->deaf && node->wakes;
		}
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
		if (next_ns - now_ns > STEP_NS_MAX && event_ns != CLOCK_NEVER)
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
	rig_run(rig, 5 * NS_PER_MS);
}

/* --- of a test */

int rig_setup(void **state)
{
	*state = rig_create(3);
	return 0;
}

int rig_setup_many(void **state)
{
	*state = rig_create(RIG_MANY);
	return 0;
}

int rig_setup_alone(void **state)
{
	*state = rig_create(1);
	return 0;
}

int rig_teardown(void **state)
{
	rig_destroy(*state);
	return 0;
}

void rig_set_page(struct rig *rig, unsigned key_count, unsigned key_pad)
{
	rig->key_count = key_count;
	rig->key_pad = key_pad;
}
