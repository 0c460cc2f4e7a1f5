/*
 * peers_thread.c - the thread that owns the transport: takes the mail, hands the transport's events
 * to the side that serves, the side that asks and the catalog, and looks after their times.
 *
 * Requests come on connections that others opened, answers on those that we did. A member that
 * sends anything else, or bytes that no member of our version sends, loses its connection: what
 * else it says cannot be trusted to be in step with us.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/check.h"
#include "base/digest.h"
#include "base/error.h"
#include "base/log.h"
#include "base/random.h"
#include "cache/peer/inside.h"

#define MESSAGES_MAX 4096 /* of ours, under way */
#define REGISTER_TRY (100 * NS_PER_MS)

#define REGION_SCRATCH 2 /* after those that others read */

/* --- what the transport tells */

static bool is_request(enum peer_kind kind)
{
	return kind == PEER_STAGE || kind == PEER_CANCEL || kind == PEER_RELEASE ||
	       kind == PEER_HITS || kind == PEER_ASK || kind == PEER_INQUIRE;
}

static bool is_of_operators(enum peer_kind kind)
{
	return kind == PEER_INQUIRE || kind == PEER_REPORT;
}

static bool is_of_names(enum peer_kind kind)
{
	return kind == PEER_ASK || kind == PEER_ANSWER;
}

static void malformed(struct peers *peers, struct transport_peer *from, const char *why)
{
	char id[MEMBER_ID_TEXT];

	counter_add(&peers->counters, PEERS_MALFORMED, 1);
	digest_hex(transport_peer_member(from)->bytes, MEMBER_ID_LEN, id);
	log_warning("peers.malformed", "member=%s why=\"%s\" effect=\"its connection is closed\"",
		    id, why);
	transport_peer_disconnect(from);
}

static void on_message(void *context, struct transport_peer *from, const void *data, size_t len)
{
	struct peers *peers = context;
	bool asked = transport_peer_kind(from) == TRANSPORT_PEER_PASSIVE;
	struct peer_message message;
	int error = peer_message_decode(data, len, &message);

	if (error)
		malformed(peers, from, error_text(error));
	else if (is_request(message.kind) != asked)
		malformed(peers, from, "a message of the wrong direction");
	else if (is_of_names(message.kind))
		catalog_message(peers->catalog, from, &message);
	else if (is_of_operators(message.kind))
		inquiry_message(peers->inquiry, from, &message);
	else if (asked)
		owner_message(peers->owner, from, &message);
	else
		reader_message(peers->reader, from, &message);
}

static void on_up(void *context, struct transport_peer *peer)
{
	struct peers *peers = context;

	if (transport_peer_kind(peer) == TRANSPORT_PEER_ACTIVE)
		reader_up(peers->reader, peer);
}

static void on_down(void *context, struct transport_peer *peer, int status, const char *why)
{
	struct peers *peers = context;

	catalog_down(peers->catalog, peer);
	inquiry_down(peers->inquiry, peer);
	if (transport_peer_kind(peer) == TRANSPORT_PEER_ACTIVE)
		reader_down(peers->reader, peer, status, why);
	else
		owner_down(peers->owner, peer);
}

/* --- what the two sides need */

static void on_evidence(void *context, const struct member_id *id, const char *why)
{
	struct peers *peers = context;

	membership_evidence(peers->membership, id, why);
}

/* On any thread. */
static void on_staged(struct cache_stage *stage)
{
	struct peers *peers = stage->context;

	mailbox_post_stage(&peers->mailbox, stage);
}

static void stage_start(void *context, struct cache_stage *stage)
{
	struct peers *peers = context;

	stage->done = on_staged;
	stage->context = peers;
	cache_stage_start(peers->cache, stage);
}

static void stage_cancel(void *context, struct cache_stage *stage)
{
	(void)context;
	cache_stage_cancel(stage);
}

static void stage_finish(void *context, struct cache_stage *stage)
{
	(void)context;
	cache_stage_finish(stage);
}

static void units_touch(void *context, const struct window_key *keys, unsigned count)
{
	struct peers *peers = context;

	cache_touch(peers->cache, keys, count);
}

/* On any thread. */
static void on_names(void *context)
{
	struct peers *peers = context;

	mailbox_poke(&peers->mailbox);
}

/* --- opening and closing */

static int transport_make(struct peers *peers, char *problem, size_t problem_size)
{
	const struct transport_environment environment = {
		.clock = peers->clock,
		.seed = random_seed(),
		.identity = membership_identity(peers->membership),
		.events = { .context = peers, .message = on_message, .up = on_up, .down = on_down },
		.counters = &peers->transport_counters,
	};
	int error = transport_open(peers->transport_config, &environment, &peers->transport,
				   problem, problem_size);

	if (!error)
		snprintf(peers->transport_text, sizeof(peers->transport_text), "%s",
			 transport_text(peers->transport));
	return error;
}

/* The next region. Of each the number is known to all members. */
static int region_register(struct peers *peers, char *problem, size_t problem_size)
{
	static const enum transport_access access[] = {
		[PEER_REGION_ARENA] = TRANSPORT_READABLE,
		[PEER_REGION_DIRECTORY] = TRANSPORT_READABLE,
		[REGION_SCRATCH] = TRANSPORT_LANDING,
	};
	uint32_t region = peers->registered, number;
	uint64_t arena_len;
	size_t len;
	void *base;
	int error;

	if (region == PEER_REGION_ARENA) {
		base = cache_arena(peers->cache, &arena_len);
		len = arena_len;
	} else if (region == PEER_REGION_DIRECTORY) {
		base = window_directory_memory(peers->directory, &len);
	} else {
		base = reader_scratch(peers->reader, &len);
	}
	error = transport_region_add(peers->transport, base, len, access[region], &number, problem,
				     problem_size);
	if (error)
		return error;
	CHECK(number == region);
	peers->registered++;
	return 0;
}

/* What is not registered yet. */
static int memory_register(struct peers *peers, char *problem, size_t problem_size)
{
	int error = 0;

	while (!error && peers->registered <= REGION_SCRATCH)
		error = region_register(peers, problem, problem_size);
	return error;
}

static int neighbours_make(struct peers *peers)
{
	const struct neighbours_setup setup = {
		.config = &peers->config,
		.transport = peers->transport,
		.counters = &peers->counters,
		.evidence = on_evidence,
		.context = peers,
	};

	return neighbours_create(&setup, &peers->neighbours);
}

static int reader_make(struct peers *peers)
{
	const struct reader_setup setup = {
		.config = &peers->config,
		.clock = peers->clock,
		.seed = random_seed(),
		.counters = &peers->counters,
		.latency = &peers->latency,
		.outbox = peers->outbox,
		.neighbours = peers->neighbours,
		.placement = peers->placement,
		.self = peers->self,
		.block_len = cache_block_len(peers->cache),
		.read_timeout = peers->transport_config->read_timeout,
		.directory = transport_kind(peers->transport) == TRANSPORT_VERBS,
	};

	return reader_create(&setup, &peers->reader);
}

static int owner_make(struct peers *peers)
{
	uint64_t arena_len;
	const struct owner_setup setup = {
		.config = &peers->config,
		.clock = peers->clock,
		.counters = &peers->counters,
		.outbox = peers->outbox,
		.cache = { .context = peers,
			   .start = stage_start,
			   .cancel = stage_cancel,
			   .finish = stage_finish,
			   .touch = units_touch },
		.arena = cache_arena(peers->cache, &arena_len),
		.arena_len = arena_len,
		.epoch = window_directory_epoch(peers->directory),
		.block_len = cache_block_len(peers->cache),
	};

	return owner_create(&setup, &peers->owner);
}

static int catalog_make(struct peers *peers)
{
	const struct catalog_setup setup = {
		.config = &peers->config,
		.clock = peers->clock,
		.counters = &peers->counters,
		.outbox = peers->outbox,
		.neighbours = peers->neighbours,
		.placement = peers->placement,
		.self = peers->self,
		.boot = membership_identity(peers->membership)->boot,
		.memory_max = peers->config.catalog_memory,
		.cache = catalog_of_cache(peers->cache),
		.porter = { peers->porter, porter_carry },
		.backings = peers->backings,
		.backing_count = peers->backing_count,
		.wake = on_names,
		.context = peers,
	};
	int error = catalog_create(&setup, &peers->catalog);

	/* before anybody can ask: pages of ours are read like any object */
	if (!error)
		cache_set_backings(peers->cache, catalog_backings(peers->catalog),
				   peers->backing_count + 1);
	return error;
}

static int sides_make(struct peers *peers)
{
	int error = outbox_create(peers->clock, MESSAGES_MAX, &peers->outbox);

	if (!error)
		error = neighbours_make(peers);
	if (!error)
		error = reader_make(peers);
	if (!error)
		error = catalog_make(peers);
	if (!error)
		error = peers_inquiry_make(peers);
	return error ? error : owner_make(peers);
}

/* What messages and pieces of blocks were lent to the transport goes after it. */
static void transport_drop(struct peers *peers)
{
	neighbours_destroy(peers->neighbours);
	mailbox_use(&peers->mailbox, NULL);
	transport_close(peers->transport);
	inquiry_destroy(peers->inquiry);
	measure_destroy(peers->measure);
	owner_destroy(peers->owner);
	reader_destroy(peers->reader);
	outbox_destroy(peers->outbox);
}

static int transport_begin(struct peers *peers)
{
	char *problem = peers->problem;
	size_t problem_size = sizeof(peers->problem);
	int error = transport_make(peers, problem, problem_size);

	if (error)
		return error;
	error = sides_make(peers);
	if (!error && !peers->registers_late)
		error = memory_register(peers, problem, problem_size);
	if (!error)
		error = transport_listen(peers->transport, &peers->address, problem, problem_size);
	if (!error)
		return 0;
	if (peers->catalog)
		catalog_stop(peers->catalog);
	if (peers->reader)
		reader_stop(peers->reader);
	transport_drop(peers);
	return error;
}

/* --- the mail */

static void notice_take(struct peers *peers, struct peers_notice *notice)
{
	char id[MEMBER_ID_TEXT];
	int error = 0;

	if (address_len(&notice->address) == 0)
		neighbours_remove(peers->neighbours, &notice->id);
	else
		error = neighbours_update(peers->neighbours, &notice->id, &notice->address);
	neighbours_restarting(peers->neighbours, &notice->id, notice->restarting_ns);
	neighbours_leaving(peers->neighbours, &notice->id, notice->leaving);
	digest_hex(notice->id.bytes, MEMBER_ID_LEN, id);
	if (error)
		log_error("peers.neighbour",
			  "member=%s error=\"%s\" effect=\"it is not read from\"", id,
			  error_text(error));
	free(notice);
}

static void notices_take(struct peers *peers, struct peers_notices *notices)
{
	struct peers_notice *notice;

	while ((notice = STAILQ_FIRST(notices))) {
		STAILQ_REMOVE_HEAD(notices, link);
		notice_take(peers, notice);
	}
}

static void stages_take(struct peers *peers, struct peers_stages *stages)
{
	struct cache_stage *stage;

	while ((stage = STAILQ_FIRST(stages))) {
		STAILQ_REMOVE_HEAD(stages, link);
		owner_stage_done(peers->owner, stage);
	}
}

static void fetches_take(struct peers *peers, struct peer_fetches *fetches)
{
	struct peer_fetch *fetch;

	while ((fetch = STAILQ_FIRST(fetches))) {
		STAILQ_REMOVE_HEAD(fetches, p.link);
		reader_start(peers->reader, fetch);
	}
}

/* The live ones. */
static void config_take(struct peers_config *config, const struct peers_config *next)
{
	config->silence = next->silence;
	config->lease = next->lease;
	config->settle = next->settle;
	config->breaker_failures = next->breaker_failures;
	config->breaker_probe = next->breaker_probe;
	config->hot_readers = next->hot_readers;
	config->failover_rate = next->failover_rate;
}

static bool is_idle(const struct peers *peers)
{
	return reader_is_idle(peers->reader) && owner_is_idle(peers->owner) &&
	       catalog_is_idle(peers->catalog) && inquiry_is_idle(peers->inquiry) &&
	       measure_is_idle(peers->measure);
}

static uint64_t earlier(uint64_t a_ns, uint64_t b_ns)
{
	return a_ns < b_ns ? a_ns : b_ns;
}

/* Takes the mail, does what is due, and waits for more of either. Return: what is wished. */
static enum peers_wish turn(struct peers *peers)
{
	struct peers_mail mail;
	uint64_t next_ns;

	mailbox_take(&peers->mailbox, &mail);
	if (mail.reload)
		config_take(&peers->config, &mail.config);
	notices_take(peers, &mail.notices);
	stages_take(peers, &mail.stages);
	fetches_take(peers, &mail.fetches);
	peers_inquiries_start(peers, &mail.inquiries);
	next_ns = earlier(reader_tick(peers->reader), owner_tick(peers->owner));
	next_ns = earlier(next_ns, catalog_tick(peers->catalog));
	next_ns = earlier(next_ns, measure_tick(peers->measure));
	next_ns = earlier(next_ns, inquiry_tick(peers->inquiry));
	counter_set(&peers->counters, PEERS_DROPPED, outbox_dropped(peers->outbox));
	if (mail.wish == PEERS_RUN || !is_idle(peers))
		transport_wait(peers->transport, next_ns);
	return mail.wish;
}

static void state_set(struct peers *peers, enum peers_state state)
{
	pthread_mutex_lock(&peers->lock);
	peers->state = state;
	pthread_cond_broadcast(&peers->changed);
	pthread_mutex_unlock(&peers->lock);
}

static void wait_for_release(struct peers *peers)
{
	pthread_mutex_lock(&peers->lock);
	while (peers->state == PEERS_READY)
		pthread_cond_wait(&peers->changed, &peers->lock);
	pthread_mutex_unlock(&peers->lock);
}

/*
 * Before the transport's first turn: no connection is made that would not know the regions. What is
 * in the way passes: a predecessor that was killed and is not gone yet, whose memory counts against
 * the same limit.
 */
static void register_late(struct peers *peers)
{
	const struct timespec pause = { .tv_nsec = REGISTER_TRY };
	uint64_t begun_ns = clock_now_ns(clock_system());
	bool done = false, told = false;

	while (!done && mailbox_wish(&peers->mailbox) == PEERS_RUN) {
		int error = memory_register(peers, peers->problem, sizeof(peers->problem));

		done = !error;
		if (done)
			break;
		if (!told)
			log_error("peers.register", "error=\"%s\" problem=\"%s\"",
				  error_text(error), peers->problem);
		told = true;
		nanosleep(&pause, NULL);
	}
	if (done)
		log_info("peers.register", "took_ms=%" PRIu64,
			 (clock_now_ns(clock_system()) - begun_ns) / NS_PER_MS);
}

/* All end what they can; the rest is reads that the transport has, which end with their
 * connections, and stages that the cache has, which end as they were cancelled. */
static void run_to_the_end(struct peers *peers)
{
	while (turn(peers) == PEERS_RUN)
		;
	catalog_stop(peers->catalog);
	inquiry_stop(peers->inquiry);
	measure_stop(peers->measure);
	reader_stop(peers->reader);
	owner_stop(peers->owner);
	while (!is_idle(peers))
		turn(peers);
	transport_drop(peers);
}

/* The cache may not know yet that there are no peers any more. */
static void fetches_refuse(struct peer_fetches *fetches)
{
	struct peer_fetch *fetch;

	while ((fetch = STAILQ_FIRST(fetches))) {
		STAILQ_REMOVE_HEAD(fetches, p.link);
		fetch->outcome = PEER_FAILED;
		fetch->status = -ECANCELED;
		fetch->placed = false;
		fetch->done(fetch);
	}
}

static void answer_to_the_end(struct peers *peers)
{
	struct peers_mail mail;
	struct peers_notice *notice;

	do {
		mailbox_wait(&peers->mailbox);
		mailbox_take(&peers->mailbox, &mail);
		CHECK(STAILQ_EMPTY(&mail.stages));
		while ((notice = STAILQ_FIRST(&mail.notices))) {
			STAILQ_REMOVE_HEAD(&mail.notices, link);
			free(notice);
		}
		fetches_refuse(&mail.fetches);
		peers_inquiries_refuse(&mail.inquiries);
	} while (mail.wish != PEERS_END);
}

void *peers_thread_main(void *argument)
{
	struct peers *peers = argument;
	char text[ADDRESS_TEXT_MAX];

	peers->status = transport_begin(peers);
	if (peers->status) {
		state_set(peers, PEERS_FAILED);
		return NULL;
	}
	mailbox_use(&peers->mailbox, peers->transport);
	log_notice("peers.listen", "transport=\"%s\" address=%s", peers->transport_text,
		   address_text(&peers->address, text));
	state_set(peers, PEERS_READY);
	wait_for_release(peers);
	if (peers->registers_late)
		register_late(peers);
	run_to_the_end(peers);
	log_info("peers.stop", "fetches=%" PRIu64 " stages=%" PRIu64,
		 counter_get(&peers->counters, PEERS_FETCHES),
		 counter_get(&peers->counters, PEERS_STAGES));
	state_set(peers, PEERS_STOPPED);
	answer_to_the_end(peers);
	return NULL;
}
