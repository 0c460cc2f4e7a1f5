/*
 * peers_rig.c - nodes for a test, put together and taken down in the daemon's order.
 */
#include "tests/unit/cache/peer/peers_rig.h"

#include <errno.h>
#include <ftw.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/digest.h"
#include "base/log.h"
#include "base/thread.h"

#define PAUSE_MS 5

/* --- the backing stores: one thread answers for all nodes */

uint8_t rig_byte(const char *key, uint64_t off)
{
	uint64_t word = off / sizeof(word) * UINT64_C(0x9e3779b97f4a7c15) + (uint64_t)key[0];

	word ^= word >> 29;
	return (uint8_t)(word >> off % sizeof(word) * 8);
}

enum { REQUEST_GET, REQUEST_LIST };

static struct rig_node *node_of(struct backing_request *request)
{
	void *space = request->p.kind == REQUEST_LIST
			      ? CONTAINER_OF(request, struct backing_list, request)->space
			      : CONTAINER_OF(request, struct backing_get, request)->space;

	return *(struct rig_node **)space;
}

static void name_make(const char *prefix, int number, char out[64], struct backing_meta *out_meta)
{
	snprintf(out, 64, "%.32sname-%06d", prefix, number);
	*out_meta = (struct backing_meta){ .size = (uint64_t)number, .etag = "etag" };
}

static void list_answer(struct backing_list *list, int status)
{
	struct backing_meta meta;
	char key[64];

	for (int i = 0; i < list->max_keys && !status; i++) {
		name_make(list->prefix, i, key, &meta);
		list->entry(list, key, &meta);
	}
	list->request.status = status;
	list->request.problem[0] = list->token[0] = '\0';
	list->done(list);
}

static void backing_answer(struct backing_request *request, int status)
{
	struct backing_get *get = CONTAINER_OF(request, struct backing_get, request);
	struct rig_node *node = node_of(request);
	uint8_t *dst;

	if (request->p.kind == REQUEST_LIST) {
		list_answer(CONTAINER_OF(request, struct backing_list, request), status);
		return;
	}
	dst = get->dst;
	if (!status && node->rig->bytes)
		node->rig->bytes(request->key, get->off, dst, get->len);
	for (size_t i = 0; i < get->len && !status && !node->rig->bytes; i++)
		dst[i] = rig_byte(request->key, get->off + i);
	if (!status)
		atomic_fetch_add(&node->fetched, get->len);
	if (!status && get->progress)
		get->progress(get, get->len);
	request->status = status;
	request->problem[0] = '\0';
	get->done(get);
}

static void *backing_main(void *argument)
{
	struct rig *rig = argument;
	struct backing_request *request;

	pthread_mutex_lock(&rig->lock);
	while (!rig->ending) {
		request = rig->held ? NULL : TAILQ_FIRST(&rig->gets);
		if (!request) {
			pthread_cond_wait(&rig->changed, &rig->lock);
			continue;
		}
		TAILQ_REMOVE(&rig->gets, request, p.link);
		rig->answering = node_of(request);
		pthread_mutex_unlock(&rig->lock);
		backing_answer(request, 0);
		pthread_mutex_lock(&rig->lock);
		rig->answering = NULL;
		pthread_cond_broadcast(&rig->changed);
	}
	pthread_mutex_unlock(&rig->lock);
	return NULL;
}

static void request_start(struct rig_node *node, struct backing_request *request, int kind,
			  void *space)
{
	struct rig *rig = node->rig;

	*(struct rig_node **)space = node;
	request->p.kind = kind;
	pthread_mutex_lock(&rig->lock);
	TAILQ_INSERT_TAIL(&rig->gets, request, p.link);
	pthread_cond_broadcast(&rig->changed);
	pthread_mutex_unlock(&rig->lock);
}

static void get_start(struct backing *backing, struct backing_get *get)
{
	struct rig_node *node = CONTAINER_OF(backing, struct rig_node, backing);

	request_start(node, &get->request, REQUEST_GET, get->space);
}

static void list_start(struct backing *backing, struct backing_list *list)
{
	struct rig_node *node = CONTAINER_OF(backing, struct rig_node, backing);

	atomic_fetch_add(&node->lists, 1);
	request_start(node, &list->request, REQUEST_LIST, list->space);
}

/* What is asked for by @node ends with -ECANCELED. */
static void gets_cancel(struct rig_node *node)
{
	struct rig *rig = node->rig;
	struct backing_request *request, *next;

	pthread_mutex_lock(&rig->lock);
	while (rig->answering == node)
		pthread_cond_wait(&rig->changed, &rig->lock);
	for (request = TAILQ_FIRST(&rig->gets); request; request = next) {
		next = TAILQ_NEXT(request, p.link);
		if (node_of(request) != node)
			continue;
		TAILQ_REMOVE(&rig->gets, request, p.link);
		pthread_mutex_unlock(&rig->lock);
		backing_answer(request, -ECANCELED);
		pthread_mutex_lock(&rig->lock);
		next = TAILQ_FIRST(&rig->gets);
	}
	pthread_mutex_unlock(&rig->lock);
}

static const struct backing_ops ops = {
	.type = "rig", .remote = true, .get = get_start, .list = list_start
};

void rig_hold(struct rig *rig, bool held)
{
	pthread_mutex_lock(&rig->lock);
	rig->held = held;
	pthread_cond_broadcast(&rig->changed);
	pthread_mutex_unlock(&rig->lock);
}

static unsigned gets_count(struct rig *rig)
{
	struct backing_request *request;
	unsigned count = 0;

	for (request = TAILQ_FIRST(&rig->gets); request; request = TAILQ_NEXT(request, p.link))
		count++;
	return count;
}

void rig_wait_asked(struct rig *rig, unsigned count)
{
	uint64_t deadline_ns = clock_now_ns(clock_system()) + RIG_WAIT_NS;
	int error = 0;

	pthread_mutex_lock(&rig->lock);
	while (gets_count(rig) < count && !error)
		error = thread_cond_wait_until(&rig->changed, &rig->lock, deadline_ns);
	pthread_mutex_unlock(&rig->lock);
	assert_int_equal(error, 0);
}

/* --- nodes */

static void config_join(struct membership_config *config, struct rig_node *other)
{
	struct membership_summary summary;
	char text[ADDRESS_TEXT_MAX];

	membership_summary(other->membership, &summary);
	config->join.items = calloc(1, sizeof(char *));
	assert_non_null(config->join.items);
	config->join.items[config->join.count++] = strdup(address_text(&summary.gossip, text));
}

static void gossip_make(struct rig_node *node, struct rig_node *join)
{
	struct membership_details details = { .config = 1 };
	struct membership_config config;
	struct membership_setup setup = { .config = &config,
					  .clock = clock_system(),
					  .cluster = "rig",
					  .ring = node->ring,
					  .secret_file = node->secret,
					  .state_dir = node->dir,
					  .details = &details };
	char problem[MEMBERSHIP_PROBLEM_MAX];

	assert_int_equal(option_defaults(&membership_options, &config), 0);
	free(config.listen);
	config.listen = strdup("127.0.0.1:0");
	config.leave_timeout = 2 * NS_PER_S;
	config.restart_timeout = 0;
	config.swim.probe_interval = 100 * NS_PER_MS;
	config.swim.probe_timeout = 50 * NS_PER_MS;
	config.swim.gossip_interval = 20 * NS_PER_MS;
	if (join)
		config_join(&config, join);
	if (membership_create(&setup, &node->membership, problem, sizeof(problem)) != 0)
		fail_msg("%s", problem);
	option_free(&membership_options, &config);
}

static void cache_make(struct rig_node *node)
{
	char problem[256];

	assert_int_equal(option_defaults(&cache_options, &node->cache_config), 0);
	node->cache_config.memory = node->rig->memory ? node->rig->memory : 64 << 20;
	node->cache_config.block_len = RIG_BLOCK_LEN;
	node->cache_config.read_timeout = 30 * NS_PER_S;
	if (cache_create(&node->cache_config, clock_system(), &node->cache, problem,
			 sizeof(problem)) != 0)
		fail_msg("%s", problem);
	node->backing = (struct backing){ .ops = &ops, .id = node->backing_id };
	strcpy(node->backing_id, "rig");
	node->backings[0] = &node->backing;
}

static void peers_make(struct rig_node *node)
{
	struct transport_config transport;
	struct peers_setup setup = { .config = &node->config,
				     .transport = &transport,
				     .clock = clock_system(),
				     .membership = node->membership,
				     .cache = node->cache,
				     .backings = node->backings,
				     .backing_count = 1,
				     .registers_late = node->rig->registers_late };
	char problem[TRANSPORT_PROBLEM_MAX];

	assert_int_equal(option_defaults(&peers_options, &node->config), 0);
	node->config.audit = 0; /* what is fetched is counted */
	if (node->rig->tune)
		node->rig->tune(&node->config);
	assert_int_equal(option_defaults(&transport_options, &transport), 0);
	free(transport.listen);
	transport.listen = strdup("127.0.0.1:0");
	transport.kind = TRANSPORT_UCX;
	if (peers_create(&setup, &node->peers, &node->fabric, problem, sizeof(problem)) != 0)
		fail_msg("%s", problem);
	option_free(&transport_options, &transport);
}

struct rig_node *rig_up(struct rig *rig, unsigned number, int join)
{
	struct rig_node *node = &rig->nodes[number];
	struct membership_details details = { .config = 1, .capacity = 64 << 20 };
	uint8_t key[KEYRING_KEY_LEN];
	char top[64];

	node->rig = rig;
	node->number = number;
	snprintf(top, sizeof(top), "%s", rig->dir); /* for all that gcc knows the two overlap */
	snprintf(node->dir, sizeof(node->dir), "%.60s/n%u", top, number);
	snprintf(node->secret, sizeof(node->secret), "%.60s/secret%u", top, number);
	memset(key, rig->key, sizeof(key));
	assert_int_equal(keyring_create(&node->ring), 0);
	assert_int_equal(keyring_add(node->ring, key), 0);
	gossip_make(node, join < 0 ? NULL : &rig->nodes[join]);
	cache_make(node);
	peers_make(node);
	snprintf(details.name, sizeof(details.name), "n%u", number);
	details.fabric = node->fabric;
	membership_set_details(node->membership, &details);
	assert_int_equal(membership_start(node->membership), 0);
	return node;
}

void rig_stop(struct rig_node *node)
{
	membership_stop(node->membership);
	peers_stop(node->peers);
}

void rig_down(struct rig_node *node)
{
	if (!node->peers)
		return;
	rig_stop(node);
	membership_destroy(node->membership);
	cache_stop(node->cache);
	gets_cancel(node);
	peers_destroy(node->peers);
	cache_destroy(node->cache);
	option_free(&peers_options, &node->config);
	option_free(&cache_options, &node->cache_config);
	keyring_destroy(node->ring);
	node->peers = NULL;
}

int rig_setup(void **state)
{
	struct rig *rig = calloc(1, sizeof(*rig));

	assert_non_null(rig);
	log_set_level(LOG_LEVEL_ERROR);
	rig->key = 1;
	strcpy(rig->dir, "/tmp/cenote-peers-XXXXXX");
	assert_non_null(mkdtemp(rig->dir));
	TAILQ_INIT(&rig->gets);
	pthread_mutex_init(&rig->lock, NULL);
	thread_cond_init(&rig->changed);
	assert_int_equal(thread_start(&rig->thread, "backing", backing_main, rig), 0);
	*state = rig;
	return 0;
}

static int path_remove(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

int rig_teardown(void **state)
{
	struct rig *rig = *state;

	for (unsigned i = 0; i < RIG_NODES_MAX; i++)
		rig_down(&rig->nodes[i]);
	pthread_mutex_lock(&rig->lock);
	rig->ending = true;
	pthread_cond_broadcast(&rig->changed);
	pthread_mutex_unlock(&rig->lock);
	pthread_join(rig->thread, NULL);
	pthread_cond_destroy(&rig->changed);
	pthread_mutex_destroy(&rig->lock);
	assert_int_equal(nftw(rig->dir, path_remove, 8, FTW_DEPTH | FTW_PHYS), 0);
	free(rig);
	return 0;
}

/* --- waiting */

static void wait_value(struct rig_node *node, enum peers_counter counter, uint64_t least,
		       uint64_t most)
{
	uint64_t deadline_ns = clock_now_ns(clock_system()) + RIG_WAIT_NS, value;

	do {
		value = counter_get(peers_counters(node->peers), counter);
		if (value >= least && value <= most)
			return;
		poll(NULL, 0, PAUSE_MS);
	} while (clock_now_ns(clock_system()) < deadline_ns);
	fail_msg("node %u: counter %d is %llu, not %llu or more", node->number, (int)counter,
		 (unsigned long long)value, (unsigned long long)least);
}

void rig_wait_placed(struct rig_node *node, unsigned count)
{
	wait_value(node, PEERS_MEMBERS, count, count);
}

void rig_wait_counter(struct rig_node *node, enum peers_counter counter, uint64_t least)
{
	wait_value(node, counter, least, UINT64_MAX);
}

/* --- listing */

struct listed {
	struct backing_list list;
	int count;
	pthread_mutex_t lock;
	pthread_cond_t ended;
	bool done; /* guarded by lock */
};

static void listed_entry(struct backing_list *list, const char *key,
			 const struct backing_meta *meta)
{
	struct listed *listed = CONTAINER_OF(list, struct listed, list);
	struct backing_meta expected;
	char name[64];

	name_make(list->prefix, listed->count++, name, &expected);
	CHECK(strcmp(key, name) == 0 && meta && meta->size == expected.size);
	CHECK(strcmp(meta->etag, expected.etag) == 0);
}

static void listed_done(struct backing_list *list)
{
	struct listed *listed = CONTAINER_OF(list, struct listed, list);

	pthread_mutex_lock(&listed->lock);
	listed->done = true;
	pthread_cond_signal(&listed->ended);
	pthread_mutex_unlock(&listed->lock);
}

void rig_list(struct rig_node *node, const char *prefix, int max_keys)
{
	uint64_t now_ns = clock_now_ns(clock_system());
	struct listed listed = {
		.list = { .request = { .bucket = "",
				       .deadline_ns = now_ns + RIG_WAIT_NS,
				       .max_age_ns = RIG_WAIT_NS },
			  .prefix = prefix,
			  .max_keys = max_keys,
			  .entry = listed_entry,
			  .done = listed_done },
	};

	pthread_mutex_init(&listed.lock, NULL);
	thread_cond_init(&listed.ended);
	backing_list(peers_backings(node->peers)[0], &listed.list);
	pthread_mutex_lock(&listed.lock);
	while (!listed.done)
		pthread_cond_wait(&listed.ended, &listed.lock);
	pthread_mutex_unlock(&listed.lock);
	assert_int_equal(listed.list.request.status, 0);
	assert_int_equal(listed.count, max_keys);
	assert_string_equal(listed.list.token, "");
	pthread_cond_destroy(&listed.ended);
	pthread_mutex_destroy(&listed.lock);
}

/* --- reading */

struct cache_object *rig_open(struct rig_node *node, const char *key, uint64_t size)
{
	const struct object_version version = {
		.backing = "rig", .bucket = "", .key = key, .etag = "1", .size = size
	};
	struct cache_object *object;

	assert_int_equal(
		cache_object_open(node->cache, &version, 1, &node->backing, "/rig", &object), 0);
	return object;
}

struct waited {
	struct cache_read read;
	pthread_mutex_t lock;
	pthread_cond_t ended;
	bool done; /* guarded by lock */
};

static void waited_done(struct cache_read *read)
{
	struct waited *waited = CONTAINER_OF(read, struct waited, read);

	pthread_mutex_lock(&waited->lock);
	waited->done = true;
	pthread_cond_signal(&waited->ended);
	pthread_mutex_unlock(&waited->lock);
}

static void read_compare(const struct cache_read *read, const char *key)
{
	uint64_t off = read->off;

	for (int i = 0; i < read->iov_count; i++) {
		const uint8_t *bytes = read->iov[i].iov_base;

		for (size_t j = 0; j < read->iov[i].iov_len; j++, off++)
			if (bytes[j] != rig_byte(key, off))
				fail_msg("%s: byte %llu is wrong", key, (unsigned long long)off);
	}
	assert_int_equal(off, read->off + read->len);
}

static void read_range(struct rig_node *node, struct cache_object *object, const char *key,
		       uint64_t off, size_t len)
{
	struct waited waited = {
		.read = { .object = object, .off = off, .len = len, .done = waited_done }
	};

	pthread_mutex_init(&waited.lock, NULL);
	thread_cond_init(&waited.ended);
	if (cache_read_start(node->cache, &waited.read) == 0) {
		pthread_mutex_lock(&waited.lock);
		while (!waited.done)
			pthread_cond_wait(&waited.ended, &waited.lock);
		pthread_mutex_unlock(&waited.lock);
	}
	assert_int_equal(waited.read.status, 0);
	read_compare(&waited.read, key);
	cache_read_finish(&waited.read);
	pthread_cond_destroy(&waited.ended);
	pthread_mutex_destroy(&waited.lock);
}

void rig_read(struct rig_node *node, const char *key, uint64_t size)
{
	struct cache_object *object = rig_open(node, key, size);

	for (uint64_t off = 0; off < size; off += RIG_BLOCK_LEN)
		read_range(node, object, key, off,
			   size - off < RIG_BLOCK_LEN ? size - off : RIG_BLOCK_LEN);
	cache_object_put(object);
}
