/*
 * owner.c - what comes to the serving side: messages, connections that end, time.
 *
 * Whatever gives room back lets those that wait have their turn before its call returns.
 */
#include "cache/peer/owner.h"

#include <errno.h>
#include <stdlib.h>

#include "base/check.h"
#include "cache/peer/owner_inside.h"

int owner_create(const struct owner_setup *setup, struct owner **out_owner)
{
	struct owner *owner = calloc(1, sizeof(*owner));

	if (!owner)
		return -ENOMEM;
	owner->setup = *setup;
	TAILQ_INIT(&owner->working);
	TAILQ_INIT(&owner->leases);
	TAILQ_INIT(&owner->pushing);
	TAILQ_INIT(&owner->stalled);
	owner_rooms_init(owner);
	if (owner_push_init(owner))
		goto free_owner;
	if (owner_recent_init(owner))
		goto fini_push;
	*out_owner = owner;
	return 0;

fini_push:
	owner_push_fini(owner);
free_owner:
	free(owner);
	return -ENOMEM;
}

bool owner_is_idle(const struct owner *owner)
{
	return !owner->request_count;
}

void owner_destroy(struct owner *owner)
{
	struct asker *asker, *next;

	if (!owner)
		return;
	CHECK(owner_is_idle(owner));
	asker = owner->askers;
	HASH_CLEAR(by_peer, owner->askers); /* they stay linked */
	for (; asker; asker = next) {
		next = asker->by_peer.next;
		free(asker);
	}
	CHECK(!owner->units);
	owner_recent_fini(owner);
	owner_push_fini(owner);
	free(owner);
}

static struct asker *find_asker(const struct owner *owner, const struct transport_peer *peer)
{
	struct asker *asker;

	HASH_FIND(by_peer, owner->askers, &peer, sizeof(void *), asker);
	return asker;
}

/* Return: NULL without memory. */
static struct asker *get_asker(struct owner *owner, struct transport_peer *peer)
{
	struct asker *asker = find_asker(owner, peer);

	if (asker)
		return asker;
	asker = calloc(1, sizeof(*asker));
	if (!asker)
		return NULL;
	asker->peer = peer;
	for (unsigned i = 0; i < OWNER_ROOM_COUNT; i++) {
		asker->shares[i].asker = asker;
		TAILQ_INIT(&asker->shares[i].queue);
	}
	HASH_ADD(by_peer, owner->askers, peer, sizeof(void *), asker);
	if (!asker->by_peer.tbl) {
		free(asker);
		return NULL;
	}
	return asker;
}

static struct request *find_request(const struct asker *asker, uint64_t number)
{
	struct request *request;

	HASH_FIND(by_number, asker->requests, &number, sizeof(number), request);
	return request;
}

/* A unit that is read by many is referred to those who have it by now. */
static bool refer(struct owner *owner, const struct asker *asker, const struct peer_stage *stage,
		  const struct window_key *key)
{
	int64_t hot_readers = owner->setup.config->hot_readers;
	const struct unit *unit = owner_unit_find(owner, key);
	struct peer_refused refused = { .request = stage->request, .why = PEER_REFERRED };

	if (hot_readers <= 0 || !unit || unit->readers < hot_readers)
		return false;
	if (stage->flags & (PEER_STAGE_LOCAL | PEER_STAGE_HERE | PEER_STAGE_PUSH) ||
	    owner_unit_is_read_by(unit, asker))
		return false;
	refused.holder_count =
		owner_recent_pick(owner, key, transport_peer_member(asker->peer), refused.holders);
	if (!refused.holder_count)
		return false;
	owner_refuse(owner, asker->peer, &refused);
	return true;
}

static void enqueue(struct request *request)
{
	struct owner *owner = request->owner;

	request->state = REQUEST_QUEUED;
	request->due_ns = clock_after_ns(owner_now(owner), PEER_WORKING_NS);
	owner_request_list(request, &owner->working);
	owner_queue_put(request);
	owner_queue_run(owner);
	if (request->state == REQUEST_QUEUED && owner_queue_overfull(request))
		owner_request_refuse(request, PEER_BUSY);
}

static void refuse_new(struct owner *owner, struct transport_peer *peer,
		       const struct peer_stage *stage, enum peer_refusal why)
{
	struct peer_refused refused = { .request = stage->request, .why = why };

	if (why == PEER_BUSY)
		refused.retry_ms = owner_retry_ms(owner, owner_room_kind_of(stage));
	owner_refuse(owner, peer, &refused);
}

static void stage_asked(struct owner *owner, struct transport_peer *from,
			const struct peer_stage *stage)
{
	const struct window_key key = { .id = stage->id, .index = stage->index };
	uint32_t len = window_key_len(&key, stage->version.size, owner->setup.block_len);
	enum owner_room_kind kind = owner_room_kind_of(stage);
	struct asker *asker = get_asker(owner, from);
	struct request *request;

	if (asker && find_request(asker, stage->request)) {
		owner_count(owner, PEERS_MALFORMED, 1);
		return;
	}
	owner_count(owner, PEERS_STAGES, 1);
	if (owner->stopping)
		refuse_new(owner, from, stage, PEER_STOPPING);
	else if (!len || len > owner->setup.block_len)
		refuse_new(owner, from, stage, PEER_UNKNOWN);
	else if (asker && refer(owner, asker, stage, &key))
		return;
	else if (!asker || asker->shares[kind].requests >= OWNER_REQUESTS_MAX ||
		 owner_request_new(owner, asker, stage, &key, len, &request))
		refuse_new(owner, from, stage, PEER_BUSY);
	else
		enqueue(request);
}

/* A RELEASE that overtakes its STAGED gives up what is under way, as a CANCEL does; a CANCEL that
   comes too late ends the lease, but whoever sends one has not got the bytes. */
static void given_up(struct owner *owner, const struct transport_peer *from, uint64_t number,
		     bool released)
{
	struct asker *asker = find_asker(owner, from);
	struct request *request = asker ? find_request(asker, number) : NULL;

	if (!request)
		return;
	if (released && request->state == REQUEST_LEASED && owner->setup.config->hot_readers > 0)
		owner_recent_put(owner, &request->unit->key, transport_peer_member(from));
	owner_request_end(request);
}

static void units_touched(struct owner *owner, const struct peer_hits *hits)
{
	if (!hits->count)
		return;
	owner_count(owner, PEERS_HITS, hits->count);
	owner->setup.cache.touch(owner->setup.cache.context, hits->keys, hits->count);
}

void owner_message(struct owner *owner, struct transport_peer *from,
		   const struct peer_message *message)
{
	/* On connections that we opened it is we who ask. */
	if (transport_peer_kind(from) != TRANSPORT_PEER_PASSIVE) {
		owner_count(owner, PEERS_MALFORMED, 1);
		return;
	}
	switch (message->kind) {
	case PEER_STAGE:
		stage_asked(owner, from, &message->stage);
		break;
	case PEER_CANCEL:
		given_up(owner, from, message->request, false);
		break;
	case PEER_RELEASE:
		for (unsigned i = 0; i < message->release.count; i++)
			given_up(owner, from, message->release.requests[i], true);
		break;
	case PEER_HITS:
		units_touched(owner, &message->hits);
		break;
	default:
		owner_count(owner, PEERS_MALFORMED, 1);
		break;
	}
	owner_queue_run(owner);
}

void owner_down(struct owner *owner, struct transport_peer *peer)
{
	struct asker *asker = find_asker(owner, peer);
	struct request *request;

	if (!asker)
		return;
	while ((request = asker->requests))
		owner_request_end(request);
	HASH_DELETE(by_peer, owner->askers, asker);
	free(asker);
	owner_recent_forget(owner, transport_peer_member(peer));
	owner_queue_run(owner);
}

static void stop_asker(const struct asker *asker)
{
	struct request *request;

	while ((request = asker->requests)) {
		if (request->state == REQUEST_LEASED)
			owner_request_end(request);
		else
			owner_request_refuse(request, PEER_STOPPING);
	}
}

void owner_stop(struct owner *owner)
{
	owner->stopping = true;
	for (const struct asker *asker = owner->askers; asker; asker = asker->by_peer.next)
		stop_asker(asker);
}

static void expire_leases(struct owner *owner, uint64_t now_ns)
{
	struct request *request;

	while ((request = TAILQ_FIRST(&owner->leases)) && request->due_ns <= now_ns)
		owner_request_expire(request);
}

/* What is being staged ends by the cache's own look at its deadline. */
static void say_working(struct owner *owner, uint64_t now_ns)
{
	struct request *request;

	while ((request = TAILQ_FIRST(&owner->working)) && request->due_ns <= now_ns) {
		struct peer_message message = { .kind = PEER_WORKING, .request = request->number };

		if (request->state == REQUEST_QUEUED && request->stage.deadline_ns <= now_ns) {
			owner_request_refuse(request, PEER_LATE);
			continue;
		}
		(void)outbox_send(owner->setup.outbox, request->asker->peer, &message,
				  OWNER_SEND_NS);
		request->due_ns = clock_after_ns(now_ns, PEER_WORKING_NS);
		owner_request_list(request, &owner->working);
	}
}

/* Each that was there when this began, once. */
static void resend(struct owner *owner, uint64_t now_ns)
{
	struct request_list again = TAILQ_HEAD_INITIALIZER(again);
	struct request *request;

	while ((request = TAILQ_FIRST(&owner->stalled)))
		owner_request_list(request, &again);
	while ((request = TAILQ_FIRST(&again))) {
		if (request->due_ns <= now_ns)
			owner_request_expire(request);
		else if (request->state == REQUEST_PUSHING)
			owner_request_list(request, &owner->pushing);
		else
			owner_request_answer(request);
	}
	owner_push_run(owner);
}

uint64_t owner_tick(struct owner *owner)
{
	uint64_t now_ns = owner_now(owner), next_ns = CLOCK_NEVER;

	expire_leases(owner, now_ns);
	say_working(owner, now_ns);
	if (owner->resend_ns <= now_ns) {
		resend(owner, now_ns);
		owner->resend_ns = clock_after_ns(now_ns, OWNER_RESEND_NS);
	}
	owner_queue_run(owner);
	if (!TAILQ_EMPTY(&owner->leases))
		next_ns = TAILQ_FIRST(&owner->leases)->due_ns;
	if (!TAILQ_EMPTY(&owner->working) && TAILQ_FIRST(&owner->working)->due_ns < next_ns)
		next_ns = TAILQ_FIRST(&owner->working)->due_ns;
	if (!TAILQ_EMPTY(&owner->stalled) && owner->resend_ns < next_ns)
		next_ns = owner->resend_ns;
	return next_ns;
}
