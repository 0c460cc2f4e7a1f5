/*
 * peers_inquiry.c - what operators ask, between the door and inquiry.h: questions on their way to
 * the peers' thread, and what this node answers itself.
 */
#include <errno.h>
#include <stdio.h>

#include "base/random.h"
#include "cache/peer/inside.h"
#include "cache/peer/take.h"

/* --- this node's answers; on a clerk's thread */

static void directories_sum(struct cache *cache, uint64_t *numbers)
{
	for (unsigned i = 0; i < cache_directory_count(cache); i++) {
		struct cache_directory_status status;

		cache_directory_status(cache, i, &status);
		numbers[PEER_NUMBER_SSD_CAPACITY] += status.capacity;
		numbers[PEER_NUMBER_SSD_USED] += status.used;
		numbers[PEER_NUMBER_DIRECTORIES_FAILED] += status.state == CACHE_DIRECTORY_FAILED;
	}
}

static void reads_sum(const struct counters *cache, uint64_t *numbers)
{
	numbers[PEER_NUMBER_MEMORY_USED] = counter_get(cache, CACHE_MEMORY_USED);
	numbers[PEER_NUMBER_READ_BYTES] = counter_get(cache, CACHE_READ_BYTES);
	numbers[PEER_NUMBER_SSD_BYTES] = counter_get(cache, CACHE_BYTES_SSD);
	numbers[PEER_NUMBER_PEER_BYTES] = counter_get(cache, CACHE_BYTES_PEER);
	numbers[PEER_NUMBER_BACKING_BYTES] = counter_get(cache, CACHE_BYTES_BACKING);
	numbers[PEER_NUMBER_FETCHED_BYTES] = counter_get(cache, CACHE_FETCH_BYTES);
	numbers[PEER_NUMBER_READ_ERRORS] = counter_get(cache, CACHE_READ_ERRORS);
}

static void exchange_sum(const struct counters *peers, uint64_t *numbers)
{
	numbers[PEER_NUMBER_SERVED_BYTES] = counter_get(peers, PEERS_STAGED_BYTES);
	numbers[PEER_NUMBER_MISMATCHES] = counter_get(peers, PEERS_MISMATCHES);
	numbers[PEER_NUMBER_SILENT] = counter_get(peers, PEERS_SILENT);
	numbers[PEER_NUMBER_BREAKERS] = counter_get(peers, PEERS_BREAKERS_OPEN);
	numbers[PEER_NUMBER_MEMBERS] = counter_get(peers, PEERS_MEMBERS);
}

/* Once, as it stays what it is. The gossip is there until the last clerk is done. */
static void self_describe(struct peers *peers)
{
	struct membership_member self;

	pthread_mutex_lock(&peers->lock);
	if (!peers->name[0] && membership_members(peers->membership, 0, 1, &self) == 1) {
		snprintf(peers->name, sizeof(peers->name), "%s", self.details.name);
		snprintf(peers->version, sizeof(peers->version), "%s", self.details.version);
	}
	pthread_mutex_unlock(&peers->lock);
}

static int answer_summary(void *context, struct peer_summary *out)
{
	struct peers *peers = context;
	uint64_t up_ns = clock_now_ns(peers->clock) - peers->started_ns;

	self_describe(peers);
	*out = (struct peer_summary){ .name = peers->name, .version = peers->version };
	out->numbers[PEER_NUMBER_UPTIME_S] = up_ns / NS_PER_S;
	out->numbers[PEER_NUMBER_MEMORY] = cache_memory_len(peers->cache);
	out->numbers[PEER_NUMBER_SSD_REPLICAS] = cache_replica_bytes(peers->cache);
	directories_sum(peers->cache, out->numbers);
	reads_sum(cache_counters(peers->cache), out->numbers);
	exchange_sum(&peers->counters, out->numbers);
	return 0;
}

static int answer_holdings(void *context, const struct object_version *version,
			   struct peer_holdings *out)
{
	struct peers *peers = context;
	struct cache_holdings holdings;
	int error = cache_holdings(peers->cache, version, &holdings);

	if (error)
		return error;
	*out = (struct peer_holdings){
		.memory = holdings.memory,
		.ssd = holdings.ssd,
		.owned = holdings.owned,
		.replicas = holdings.replicas,
	};
	return 0;
}

static bool owns(void *context, const struct object_id *id, uint64_t block)
{
	return peers_owns(context, id, block);
}

static int answer_take(void *context, const struct peer_inquire *asked,
		       const struct member_id *from, uint64_t deadline_ns,
		       const atomic_bool *stopping, struct peer_taken *out)
{
	struct peers *peers = context;
	const struct take take = { peers->cache, peers->clock, peers, owns };

	return take_run(&take, asked, from, deadline_ns, stopping, out);
}

/* On a clerk's thread. */
static void wake(void *context)
{
	struct peers *peers = context;

	mailbox_poke(&peers->mailbox);
}

int peers_inquiry_make(struct peers *peers)
{
	struct inquiry_setup setup = {
		.config = &peers->config,
		.clock = peers->clock,
		.outbox = peers->outbox,
		.neighbours = peers->neighbours,
		.self = peers->self,
		.answers = { peers, answer_summary, answer_holdings, answer_take },
		.wake = wake,
		.context = peers,
	};
	int error = measure_create(peers->transport, peers->neighbours, peers->clock, &peers->self,
				   random_seed(), &peers->measure);

	setup.measure = peers->measure;
	return error ? error : inquiry_create(&setup, &peers->inquiry);
}

/* --- questions */

static void refuse(struct peers_inquiry *inquiry)
{
	inquiry->status = -ECANCELED;
	snprintf(inquiry->problem, sizeof(inquiry->problem), "this node stops");
	inquiry->done(inquiry);
}

void peers_inquiries_refuse(struct peers_inquiries *inquiries)
{
	struct peers_inquiry *inquiry;

	while ((inquiry = TAILQ_FIRST(inquiries))) {
		TAILQ_REMOVE(inquiries, inquiry, p.link);
		refuse(inquiry);
	}
}

void peers_inquiries_start(struct peers *peers, struct peers_inquiries *inquiries)
{
	struct peers_inquiry *inquiry;

	while ((inquiry = TAILQ_FIRST(inquiries))) {
		TAILQ_REMOVE(inquiries, inquiry, p.link);
		inquiry_start(peers->inquiry, inquiry);
	}
}

/* One that is posted while the thread stops is refused by it. */
void peers_inquire(struct peers *peers, struct peers_inquiry *inquiry)
{
	bool stopped;

	pthread_mutex_lock(&peers->lock);
	stopped = peers->state == PEERS_STOPPED;
	pthread_mutex_unlock(&peers->lock);
	if (stopped)
		refuse(inquiry);
	else
		mailbox_post_inquiry(&peers->mailbox, inquiry);
}
