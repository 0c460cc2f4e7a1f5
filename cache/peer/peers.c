/*
 * peers.c - the door: up, down, and what any thread may call.
 */
#include "cache/peer/peers.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/error.h"
#include "base/log.h"
#include "base/random.h"
#include "base/thread.h"
#include "cache/peer/inside.h"

#define NAMES_PAGE 16 /* members looked at at a time */

/* On the thread of members. */
static int neighbour_post(void *context, const struct member_id *id, const struct address *address,
			  uint64_t restarting_ns, uint64_t leaving)
{
	struct peers *peers = context;
	struct peers_notice *notice = calloc(1, sizeof(*notice));

	if (!notice)
		return -ENOMEM;
	notice->id = *id;
	if (address)
		notice->address = *address;
	notice->restarting_ns = restarting_ns;
	notice->leaving = leaving;
	mailbox_post_notice(&peers->mailbox, notice);
	return 0;
}

/* Likewise. */
static void placed_tell(void *context)
{
	struct peers *peers = context;

	cache_owner_changed(peers->cache);
	mailbox_poke(&peers->mailbox);
}

static enum peers_state state_wait_beyond(struct peers *peers, enum peers_state state)
{
	enum peers_state result;

	pthread_mutex_lock(&peers->lock);
	while (peers->state == state)
		pthread_cond_wait(&peers->changed, &peers->lock);
	result = peers->state;
	pthread_mutex_unlock(&peers->lock);
	return result;
}

static void thread_release(struct peers *peers)
{
	pthread_mutex_lock(&peers->lock);
	if (peers->state == PEERS_READY)
		peers->state = PEERS_RUNNING;
	pthread_cond_broadcast(&peers->changed);
	pthread_mutex_unlock(&peers->lock);
}

static void thread_end(struct peers *peers)
{
	if (!peers->thread_started)
		return;
	mailbox_post_wish(&peers->mailbox, PEERS_END);
	pthread_join(peers->thread, NULL);
	peers->thread_started = false;
}

/* The transport is opened by the thread that owns it, which moves next to its device first. */
static int thread_begin(struct peers *peers, char *problem, size_t problem_size)
{
	int error = thread_start(&peers->thread, "peers", peers_thread_main, peers);

	if (error)
		return error;
	peers->thread_started = true;
	if (state_wait_beyond(peers, PEERS_OPENING) == PEERS_READY)
		return 0;
	snprintf(problem, problem_size, "%s", peers->problem);
	return peers->status;
}

static int parts_make(struct peers *peers)
{
	uint64_t arena_len;
	int error;

	cache_arena(peers->cache, &arena_len);
	error = peers_counters_init(&peers->counters);
	if (!error)
		error = transport_counters_init(&peers->transport_counters);
	if (!error)
		error = placement_create(&peers->placement);
	if (!error)
		error = window_directory_create(arena_len, &peers->self, random_seed(),
						&peers->directory);
	return error ? error : porter_create(&peers->porter);
}

static int members_make(struct peers *peers)
{
	const struct members_setup setup = {
		.clock = peers->clock,
		.membership = peers->membership,
		.placement = peers->placement,
		.counters = &peers->counters,
		.neighbour = neighbour_post,
		.placed = placed_tell,
		.context = peers,
	};

	return members_create(&setup, &peers->members);
}

static void source_fetch(void *context, struct peer_fetch *fetch)
{
	peers_fetch(context, fetch);
}

static bool source_owns(void *context, const struct object_id *id, uint64_t block)
{
	return peers_owns(context, id, block);
}

/* Return: whether @member is on the page. */
static bool page_name(const struct membership_member *page, unsigned count,
		      const struct member_id *member, char *out, size_t out_size)
{
	for (unsigned i = 0; i < count; i++) {
		if (!member_id_equal(&page[i].id, member))
			continue;
		snprintf(out, out_size, "%s", page[i].details.name);
		return true;
	}
	return false;
}

/* The gossip is there at least until peers_stop() has returned, which waits for the lock. */
static void member_name(void *context, const struct member_id *member, char *out, size_t out_size)
{
	struct membership_member *page = calloc(NAMES_PAGE, sizeof(*page));
	struct peers *peers = context;
	unsigned first = 0, count = NAMES_PAGE;

	out[0] = '\0';
	pthread_mutex_lock(&peers->lock);
	while (page && peers->state == PEERS_RUNNING && count == NAMES_PAGE) {
		count = membership_members(peers->membership, first, NAMES_PAGE, page);
		first += count;
		if (page_name(page, count, member, out, out_size))
			break;
	}
	pthread_mutex_unlock(&peers->lock);
	free(page);
}

static void audit_set(struct peers *peers, const struct peers_config *config)
{
	const struct cache_audit_config audit = {
		.every = (uint64_t)config->audit,
		.seed = random_seed(),
		.name = member_name,
		.context = peers,
	};

	cache_set_audit(peers->cache, &audit);
}

static void problem_default(int error, char *problem, size_t problem_size)
{
	if (!problem[0])
		snprintf(problem, problem_size, "starting the exchange with peers: %s",
			 error_text(error));
}

int peers_create(const struct peers_setup *setup, struct peers **out_peers,
		 struct address *out_address, char *problem, size_t problem_size)
{
	struct peers *peers = calloc(1, sizeof(*peers));
	struct peer_source source;
	int error;

	problem[0] = '\0';
	if (!peers) {
		problem_default(-ENOMEM, problem, problem_size);
		return -ENOMEM;
	}
	peers->clock = setup->clock;
	peers->membership = setup->membership;
	peers->self = membership_identity(setup->membership)->member;
	peers->cache = setup->cache;
	peers->backings = setup->backings;
	peers->backing_count = setup->backing_count;
	peers->config = *setup->config;
	peers->transport_config = setup->transport;
	peers->registers_late = setup->registers_late;
	peers->started_ns = clock_now_ns(setup->clock);
	pthread_mutex_init(&peers->lock, NULL);
	thread_cond_init(&peers->changed);
	mailbox_init(&peers->mailbox);
	error = parts_make(peers);
	if (!error)
		error = thread_begin(peers, problem, problem_size);
	if (!error)
		error = members_make(peers);
	if (error) {
		problem_default(error, problem, problem_size);
		peers_stop(peers);
		peers_destroy(peers);
		return error;
	}
	source = (struct peer_source){ peers, source_fetch, source_owns };
	cache_attach_peers(peers->cache, &source, peers->directory);
	audit_set(peers, setup->config);
	thread_release(peers);
	members_start(peers->members);
	*out_address = peers->address;
	*out_peers = peers;
	return 0;
}

void peers_stop(struct peers *peers)
{
	if (peers && peers->members)
		members_stop(peers->members);
	if (!peers || !peers->thread_started)
		return;
	mailbox_post_wish(&peers->mailbox, PEERS_STOP);
	thread_release(peers);
	state_wait_beyond(peers, PEERS_RUNNING);
}

void peers_destroy(struct peers *peers)
{
	if (!peers)
		return;
	thread_end(peers);
	members_destroy(peers->members);
	porter_destroy(peers->porter);
	catalog_destroy(peers->catalog);
	mailbox_fini(&peers->mailbox);
	window_directory_destroy(peers->directory);
	placement_destroy(peers->placement);
	counters_fini(&peers->transport_counters);
	counters_fini(&peers->counters);
	pthread_cond_destroy(&peers->changed);
	pthread_mutex_destroy(&peers->lock);
	free(peers);
}

struct backing **peers_backings(struct peers *peers)
{
	return catalog_backings(peers->catalog);
}

void peers_fetch(struct peers *peers, struct peer_fetch *fetch)
{
	mailbox_post_fetch(&peers->mailbox, fetch);
}

bool peers_owner_of(struct peers *peers, const struct object_id *id, uint64_t block,
		    struct member_id *out_owner)
{
	const struct placement_table *table = placement_acquire(peers->placement);
	const struct placement_member *owners[PLACEMENT_OWNERS_MAX];
	unsigned count = placement_owners(table, placement_slot(id, block), owners);

	if (count > 0)
		*out_owner = owners[0]->id;
	placement_release(peers->placement, table);
	return count > 0;
}

/* As long as blocks are placed on nobody, this node is alone, and keeps what it has. */
bool peers_owns(struct peers *peers, const struct object_id *id, uint64_t block)
{
	struct member_id owner;

	return !peers_owner_of(peers, id, block, &owner) || member_id_equal(&owner, &peers->self);
}

uint64_t peers_agreement(void)
{
	return (uint64_t)PLACEMENT_VERSION << 32 | PEER_WIRE_VERSION;
}

void peers_reload(struct peers *peers, const struct peers_config *config)
{
	audit_set(peers, config);
	mailbox_post_config(&peers->mailbox, config);
}

const struct counters *peers_counters(const struct peers *peers)
{
	return &peers->counters;
}

const struct counters *peers_transport_counters(const struct peers *peers)
{
	return &peers->transport_counters;
}

const struct histogram *peers_latency(const struct peers *peers)
{
	return &peers->latency;
}

const char *peers_transport_text(const struct peers *peers)
{
	return peers->transport_text;
}
