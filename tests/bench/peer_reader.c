/*
 * peer_reader.c - a node without a mount that reads one object of a member's cache, over and over,
 * for the benchmark that asks what the cache gives without FUSE.
 *
 *	peer_reader DIRECTORY GOSSIP FABRIC OWNER CONFIG DATA KEY SECONDS DEPTH
 *
 * DIRECTORY holds "secret" and gets the node's state. GOSSIP, FABRIC: where to listen. OWNER: where
 * a member's gossip listens. CONFIG: its digest as `cenote members` shows it with --json. DATA: the
 * directory that is the backing store "data" of both; KEY: a file in it, of which DEPTH blocks are
 * read ahead.
 *
 * It lends nothing, so all blocks are others'; and its memory holds a part of the object only, so
 * that each pass reads it from them. Prints one line of JSON, after SECONDS: bytes, seconds, how
 * many of the bytes came from peers, and the reads without a question. Exit status 1 on errors.
 */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/thread.h"
#include "cache/backing_config.h"
#include "cache/cache.h"
#include "cache/peer/peers.h"
#include "fabric/gossip/membership.h"
#include "fabric/keyring.h"

#define MEMORY_LEN   (UINT64_C(128) << 20)
#define READS_MAX    256
#define PLACED_NS    (60 * NS_PER_S)
#define PAUSE_NS     (5 * NS_PER_MS)
#define DATA_ID	     "data"
#define CLUSTER_NAME "bench"

struct arguments {
	const char *directory, *gossip, *fabric, *owner, *data, *key;
	uint64_t config;
	unsigned seconds, depth;
};

struct node {
	struct membership *membership;
	struct keyring *ring;
	struct cache *cache;
	struct cache_config cache_config;
	struct backing *backing;
	struct peers *peers;
	struct peers_config peers_config;
};

/* One of the reads in flight. */
struct slot {
	struct pump *pump;
	struct cache_read read;
};

/* All of them; where the next one begins. */
struct pump {
	struct node *node;
	struct cache_object *object;
	struct slot slots[READS_MAX];
	unsigned count;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	/* guarded by lock */
	struct slot *idle[READS_MAX];
	unsigned idle_count;
	uint64_t bytes;
	int status; /* of the first that failed */
};

static void die(const char *what, const char *why)
{
	fprintf(stderr, "peer_reader: %s: %s\n", what, why);
	exit(1);
}

static void must(int error, const char *what, const char *problem)
{
	if (error)
		die(what, problem && problem[0] ? problem : error_text(error));
}

static char *copy(const char *text)
{
	char *copied = strdup(text);

	if (!copied)
		die("memory", error_text(-ENOMEM));
	return copied;
}

static uint64_t number(const char *text, int base, uint64_t min, uint64_t max)
{
	char *end;
	uint64_t value;

	errno = 0;
	value = strtoull(text, &end, base);
	if (errno || *end || end == text || value < min || value > max)
		die(text, "not a number that would do");
	return value;
}

/* --- the node, in the daemon's order */

static void membership_up(struct node *node, const struct arguments *arguments)
{
	struct membership_details details = { .name = "reader", .config = arguments->config };
	char secret[512], state[512], problem[MEMBERSHIP_PROBLEM_MAX] = "";
	struct membership_config config;
	struct membership_setup setup = { .config = &config,
					  .clock = clock_system(),
					  .cluster = CLUSTER_NAME,
					  .secret_file = secret,
					  .state_dir = state,
					  .details = &details };

	snprintf(secret, sizeof(secret), "%s/secret", arguments->directory);
	snprintf(state, sizeof(state), "%s/state", arguments->directory);
	must(keyring_load(secret, &node->ring, problem, sizeof(problem)), secret, problem);
	setup.ring = node->ring;
	must(option_defaults(&membership_options, &config), "gossip", NULL);
	free(config.listen);
	config.listen = copy(arguments->gossip);
	config.restart_timeout = 0; /* leaves */
	config.join.items = calloc(1, sizeof(char *));
	if (!config.join.items)
		die("memory", error_text(-ENOMEM));
	config.join.items[config.join.count++] = copy(arguments->owner);
	must(membership_create(&setup, &node->membership, problem, sizeof(problem)), "gossip",
	     problem);
	option_free(&membership_options, &config);
}

static void backing_up(struct node *node, const struct arguments *arguments)
{
	struct backing_config config;
	char problem[256] = "";

	must(option_defaults(&backing_options, &config), "backing", NULL);
	config.id = copy(DATA_ID);
	config.type = BACKING_DIRECTORY;
	config.directory = copy(arguments->data);
	must(backing_create(&config, clock_system(), &node->backing, problem, sizeof(problem)),
	     arguments->data, problem);
	option_free(&backing_options, &config);
}

static void cache_up(struct node *node)
{
	char problem[256] = "";

	must(option_defaults(&cache_options, &node->cache_config), "cache", NULL);
	node->cache_config.memory = MEMORY_LEN;
	must(cache_create(&node->cache_config, clock_system(), &node->cache, problem,
			  sizeof(problem)),
	     "cache", problem);
}

static void peers_up(struct node *node, const struct arguments *arguments)
{
	struct membership_details details = { .name = "reader", .config = arguments->config };
	char problem[TRANSPORT_PROBLEM_MAX] = "";
	struct transport_config transport;
	struct peers_setup setup = { .config = &node->peers_config,
				     .transport = &transport,
				     .clock = clock_system(),
				     .membership = node->membership,
				     .cache = node->cache,
				     .backings = &node->backing,
				     .backing_count = 1 };

	must(option_defaults(&peers_options, &node->peers_config), "peers", NULL);
	must(option_defaults(&transport_options, &transport), "fabric", NULL);
	free(transport.listen);
	transport.listen = copy(arguments->fabric);
	must(peers_create(&setup, &node->peers, &details.fabric, problem, sizeof(problem)),
	     "fabric", problem);
	option_free(&transport_options, &transport);
	membership_set_details(node->membership, &details);
	must(membership_start(node->membership), "gossip", NULL);
}

static void pause_ns(uint64_t ns)
{
	const struct timespec wait = { .tv_nsec = (long)ns };

	nanosleep(&wait, NULL);
}

static void wait_placed(struct node *node)
{
	uint64_t deadline_ns = clock_after_ns(clock_now_ns(clock_system()), PLACED_NS);

	while (counter_get(peers_counters(node->peers), PEERS_MEMBERS) == 0) {
		if (clock_now_ns(clock_system()) > deadline_ns)
			die("cluster", "no member to read from");
		pause_ns(PAUSE_NS);
	}
}

static void down(struct node *node)
{
	membership_stop(node->membership);
	peers_stop(node->peers);
	membership_destroy(node->membership);
	cache_stop(node->cache);
	backing_destroy(node->backing);
	peers_destroy(node->peers);
	cache_destroy(node->cache);
	option_free(&peers_options, &node->peers_config);
	option_free(&cache_options, &node->cache_config);
	keyring_destroy(node->ring);
}

/* --- what the object is */

struct asked {
	struct backing_head head;
	pthread_mutex_t lock;
	pthread_cond_t ended;
	bool done; /* guarded by lock */
};

static void head_done(struct backing_head *head)
{
	struct asked *asked = CONTAINER_OF(head, struct asked, head);

	pthread_mutex_lock(&asked->lock);
	asked->done = true;
	pthread_cond_signal(&asked->ended);
	pthread_mutex_unlock(&asked->lock);
}

static struct cache_object *object_open(struct node *node, const struct arguments *arguments)
{
	struct asked asked = {
		.head = { .request = { .bucket = "",
				       .key = arguments->key,
				       .deadline_ns = clock_after_ns(clock_now_ns(clock_system()),
								     PLACED_NS) },
			  .done = head_done },
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.ended = PTHREAD_COND_INITIALIZER,
	};
	struct object_version version = { .backing = DATA_ID, .bucket = "", .key = arguments->key };
	struct cache_object *object;

	backing_head(node->backing, &asked.head);
	pthread_mutex_lock(&asked.lock);
	while (!asked.done)
		pthread_cond_wait(&asked.ended, &asked.lock);
	pthread_mutex_unlock(&asked.lock);
	must(asked.head.request.status, arguments->key, asked.head.request.problem);
	version.etag = asked.head.meta.etag;
	version.size = asked.head.meta.size;
	must(cache_object_open(node->cache, &version, asked.head.meta.mtime_s, node->backing, "/",
			       &object),
	     arguments->key, NULL);
	return object;
}

/* --- reading */

static void ended_locked(struct slot *slot)
{
	struct pump *pump = slot->pump;

	if (slot->read.status && !pump->status)
		pump->status = slot->read.status;
	if (!slot->read.status)
		pump->bytes += slot->read.len;
	pump->idle[pump->idle_count++] = slot;
	pthread_cond_signal(&pump->changed);
}

static void read_ended(struct slot *slot)
{
	if (!slot->read.status)
		cache_read_finish(&slot->read);
	pthread_mutex_lock(&slot->pump->lock);
	ended_locked(slot);
	pthread_mutex_unlock(&slot->pump->lock);
}

static void read_done(struct cache_read *read)
{
	read_ended(CONTAINER_OF(read, struct slot, read));
}

/* Waits until @count slots are free. Return: one of them. */
static struct slot *slot_take(struct pump *pump, unsigned count)
{
	struct slot *slot;

	pthread_mutex_lock(&pump->lock);
	while (pump->idle_count < count)
		pthread_cond_wait(&pump->changed, &pump->lock);
	slot = pump->idle[--pump->idle_count];
	must(pump->status, "read", NULL);
	pthread_mutex_unlock(&pump->lock);
	return slot;
}

static void slot_start(struct slot *slot, uint64_t off)
{
	uint64_t rest = cache_object_size(slot->pump->object) - off;

	slot->read = (struct cache_read){
		.object = slot->pump->object,
		.off = off,
		.len = rest < CACHE_READ_LEN_MAX ? rest : CACHE_READ_LEN_MAX,
		.done = read_done,
	};
	if (cache_read_start(slot->pump->node->cache, &slot->read) == 1)
		read_ended(slot);
}

/* Reads the object from its begin to its end, again and again, until @end_ns; once at least. */
static void pump_run(struct pump *pump, uint64_t end_ns)
{
	uint64_t size = cache_object_size(pump->object);

	do {
		for (uint64_t off = 0; off < size; off += CACHE_READ_LEN_MAX)
			slot_start(slot_take(pump, 1), off);
	} while (clock_now_ns(clock_system()) < end_ns);
	slot_take(pump, pump->count);
	pump->idle_count++;
}

static void pump_init(struct pump *pump, struct node *node, struct cache_object *object,
		      unsigned depth)
{
	pump->node = node;
	pump->object = object;
	pump->count = depth * (unsigned)(node->cache_config.block_len / CACHE_READ_LEN_MAX);
	pthread_mutex_init(&pump->lock, NULL);
	thread_cond_init(&pump->changed);
	for (unsigned i = 0; i < pump->count; i++) {
		pump->slots[i].pump = pump;
		pump->idle[pump->idle_count++] = &pump->slots[i];
	}
}

static void measure(struct node *node, struct cache_object *object,
		    const struct arguments *arguments)
{
	const struct counters *counters = peers_counters(node->peers);
	struct pump *pump = calloc(1, sizeof(*pump));
	uint64_t started_ns, peer_bytes, from_locator, bytes;

	if (!pump)
		die("memory", error_text(-ENOMEM));
	pump_init(pump, node, object, arguments->depth);
	pump_run(pump, 0); /* the owner has it in memory then, and we know where */
	bytes = pump->bytes;
	peer_bytes = counter_get(counters, PEERS_FETCHED_BYTES);
	from_locator = counter_get(counters, PEERS_FROM_LOCATOR);
	started_ns = clock_now_ns(clock_system());
	pump_run(pump, started_ns + arguments->seconds * NS_PER_S);
	printf("{\"bytes\": %" PRIu64 ", \"seconds\": %.6f, \"peer_bytes\": %" PRIu64
	       ", \"from_locator\": %" PRIu64 "}\n",
	       pump->bytes - bytes,
	       (double)(clock_now_ns(clock_system()) - started_ns) / (double)NS_PER_S,
	       counter_get(counters, PEERS_FETCHED_BYTES) - peer_bytes,
	       counter_get(counters, PEERS_FROM_LOCATOR) - from_locator);
	pthread_cond_destroy(&pump->changed);
	pthread_mutex_destroy(&pump->lock);
	free(pump);
}

int main(int argc, char **argv)
{
	struct node node = { 0 };
	struct arguments arguments;
	struct cache_object *object;

	if (argc != 10) {
		fprintf(stderr, "usage: peer_reader DIRECTORY GOSSIP FABRIC OWNER CONFIG DATA KEY"
				" SECONDS DEPTH\n");
		return 2;
	}
	arguments = (struct arguments){ .directory = argv[1],
					.gossip = argv[2],
					.fabric = argv[3],
					.owner = argv[4],
					.config = number(argv[5], 16, 1, UINT64_MAX),
					.data = argv[6],
					.key = argv[7],
					.seconds = (unsigned)number(argv[8], 10, 1, 3600),
					.depth = (unsigned)number(argv[9], 10, 1, READS_MAX / 4) };
	log_set_level(LOG_LEVEL_WARNING);
	membership_up(&node, &arguments);
	backing_up(&node, &arguments);
	cache_up(&node);
	peers_up(&node, &arguments);
	wait_placed(&node);
	object = object_open(&node, &arguments);
	measure(&node, object, &arguments);
	cache_object_put(object);
	down(&node);
	return 0;
}
