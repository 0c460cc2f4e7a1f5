/*
 * owner_request.c - the life of a request, from its turn to its end; owner_inside.h draws it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "cache/peer/owner_inside.h"

/* The cache is asking others for the unit itself, perhaps the very one that asks here: it says so
   to break the circle, and one round later it will not be so any more. */
#define RETRY_CROSSED_MS 20

/* One is what the cache says, the other what the wire does. */
_Static_assert((int)CACHE_ORIGIN_WINDOW == (int)PEER_ORIGIN_WINDOW &&
		       (int)CACHE_ORIGIN_SSD == (int)PEER_ORIGIN_SSD &&
		       (int)CACHE_ORIGIN_PEER == (int)PEER_ORIGIN_PEER &&
		       (int)CACHE_ORIGIN_BACKING == (int)PEER_ORIGIN_BACKING,
	       "origins are numbered alike");

static const char *keep_text(char **at, const char *text)
{
	size_t size = strlen(text) + 1;
	char *kept = memcpy(*at, text, size);

	*at += size;
	return kept;
}

static size_t texts_size(const struct peer_stage *stage)
{
	return strlen(stage->version.backing) + strlen(stage->version.bucket) +
	       strlen(stage->version.key) + strlen(stage->version.etag) + strlen(stage->dataset) +
	       5;
}

static void fill_stage(struct request *request, const struct peer_stage *from)
{
	struct cache_stage *stage = &request->stage;
	uint32_t timeout_ms = from->timeout_ms;
	char *at = request->text;

	if (timeout_ms > PEER_TIMEOUT_MS_MAX)
		timeout_ms = PEER_TIMEOUT_MS_MAX;
	stage->version = (struct object_version){
		.backing = keep_text(&at, from->version.backing),
		.bucket = keep_text(&at, from->version.bucket),
		.key = keep_text(&at, from->version.key),
		.etag = keep_text(&at, from->version.etag),
		.size = from->version.size,
	};
	stage->dataset = keep_text(&at, from->dataset);
	stage->mtime_s = from->mtime_s;
	stage->index = from->index;
	stage->local = from->flags & PEER_STAGE_LOCAL;
	stage->deadline_ns = clock_after_ns(owner_now(request->owner), timeout_ms * NS_PER_MS);
}

int owner_request_new(struct owner *owner, struct asker *asker, const struct peer_stage *stage,
		      const struct window_key *key, uint32_t len, struct request **out_request)
{
	struct request *request = calloc(1, sizeof(*request) + texts_size(stage));

	if (!request)
		return -ENOMEM;
	request->owner = owner;
	request->asker = asker;
	request->kind = owner_room_kind_of(stage);
	request->number = stage->request;
	request->flags = stage->flags;
	request->len = len;
	fill_stage(request, stage);
	HASH_ADD(by_number, asker->requests, number, sizeof(request->number), request);
	if (!request->by_number.tbl)
		goto free_request;
	if (owner_unit_join(request, key))
		goto delete_number;
	request_share(request)->requests++;
	owner->request_count++;
	*out_request = request;
	return 0;

delete_number:
	HASH_DELETE(by_number, asker->requests, request);
free_request:
	free(request);
	return -ENOMEM;
}

void owner_request_list(struct request *request, struct request_list *list)
{
	if (request->list)
		TAILQ_REMOVE(request->list, request, by_list);
	if (list)
		TAILQ_INSERT_TAIL(list, request, by_list);
	request->list = list;
}

void owner_request_await(struct request *request)
{
	struct owner *owner = request->owner;
	struct request *before;

	owner_request_list(request, NULL);
	before = TAILQ_LAST(&owner->leases, request_list);
	while (before && before->due_ns > request->due_ns)
		before = TAILQ_PREV(before, request_list, by_list);
	if (before)
		TAILQ_INSERT_AFTER(&owner->leases, before, request, by_list);
	else
		TAILQ_INSERT_HEAD(&owner->leases, request, by_list);
	request->list = &owner->leases;
}

void owner_request_start(struct request *request)
{
	struct owner *owner = request->owner;

	request->state = REQUEST_STAGING;
	request_room(request)->staging++;
	owner->setup.cache.start(owner->setup.cache.context, &request->stage);
}

void owner_refuse(struct owner *owner, struct transport_peer *peer, struct peer_refused *refused)
{
	struct peer_message message = { .kind = PEER_REFUSED, .refused = *refused };

	if (refused->why == PEER_ABSENT_HERE)
		owner_count(owner, PEERS_STAGE_ABSENT, 1);
	else if (refused->why == PEER_REFERRED)
		owner_count(owner, PEERS_REFERRED, 1);
	else
		owner_count(owner, PEERS_STAGE_REFUSED, 1);
	(void)outbox_send(owner->setup.outbox, peer, &message, OWNER_SEND_NS);
}

void owner_request_refuse(struct request *request, enum peer_refusal why)
{
	struct peer_refused refused = { .request = request->number, .why = why };

	if (why == PEER_BUSY && request->stage.status == -EAGAIN)
		refused.retry_ms = RETRY_CROSSED_MS;
	else if (why == PEER_BUSY)
		refused.retry_ms = owner_retry_ms(request->owner, request->kind);
	owner_refuse(request->owner, request->asker->peer, &refused);
	owner_request_end(request);
}

void owner_request_expire(struct request *request)
{
	owner_count(request->owner, PEERS_LEASES_EXPIRED, 1);
	if (request->state == REQUEST_LEASED)
		owner_request_end(request);
	else
		owner_request_refuse(request, PEER_BUSY);
}

/* The frame is lent from now on: for a lease's time, should it take that long to say so. */
static void take_frame(struct request *request)
{
	struct owner *owner = request->owner;

	request->framed = true;
	request->due_ns = clock_after_ns(owner_now(owner), owner->setup.config->lease);
	owner_count(owner, PEERS_LEASES, 1);
	if (!request->unit->leases++)
		owner_count(owner, PEERS_LEASED_BYTES, request->unit->frame_len);
}

static void put_frame(struct request *request)
{
	struct owner *owner = request->owner;

	request->framed = false;
	counter_sub(owner->setup.counters, PEERS_LEASES, 1);
	if (!--request->unit->leases)
		counter_sub(owner->setup.counters, PEERS_LEASED_BYTES, request->unit->frame_len);
	owner->setup.cache.finish(owner->setup.cache.context, &request->stage);
}

void owner_request_put_frame(struct request *request)
{
	if (request->framed)
		put_frame(request);
	if (!request->holds)
		return;
	if (request->asker)
		owner_share_put(request);
	owner_room_put(request);
}

/* Nobody wants it any more, and its number may be used again. */
static void leave_asker(struct request *request)
{
	request_share(request)->requests--;
	HASH_DELETE(by_number, request->asker->requests, request);
	owner_unit_part(request);
	request->asker = NULL;
}

static void abandon(struct request *request)
{
	struct owner *owner = request->owner;

	owner_share_put(request);
	leave_asker(request);
	request->state = REQUEST_ABANDONED;
	owner->setup.cache.cancel(owner->setup.cache.context, &request->stage);
}

void owner_request_end(struct request *request)
{
	struct owner *owner = request->owner;

	owner_request_list(request, NULL);
	if (request->state == REQUEST_STAGING) {
		abandon(request);
		return;
	}
	if (request->state == REQUEST_QUEUED)
		owner_queue_remove(request);
	if (request->pieces)
		owner_push_forget(request);
	owner_request_put_frame(request);
	if (request->asker)
		leave_asker(request);
	owner_unit_leave(request);
	owner->request_count--;
	free(request);
}

static void check_staged(const struct request *request)
{
	const struct cache_stage *stage = &request->stage;
	uint64_t arena_len = request->owner->setup.arena_len;

	CHECK(stage->len == request->len);
	CHECK(stage->off <= arena_len && stage->len <= arena_len - stage->off);
}

/* The status of a stage that could not be had. */
static enum peer_refusal refusal_of(const struct request *request)
{
	int status = request->stage.status;

	if (request->stage.local && status == -ENOENT)
		return PEER_ABSENT_HERE;
	return peer_status_refusal(status);
}

void owner_stage_done(struct owner *owner, struct cache_stage *stage)
{
	struct request *request = CONTAINER_OF(stage, struct request, stage);

	CHECK(request->state == REQUEST_STAGING || request->state == REQUEST_ABANDONED);
	request_room(request)->staging--;
	owner_request_list(request, NULL);
	if (!stage->status) {
		check_staged(request);
		take_frame(request);
	}
	if (request->state == REQUEST_ABANDONED) {
		owner_request_end(request);
	} else if (stage->status) {
		request->state = REQUEST_STAGED;
		owner_request_refuse(request, refusal_of(request));
	} else if (request->flags & PEER_STAGE_PUSH) {
		request->state = REQUEST_PUSHING;
		owner_request_list(request, &owner->pushing);
		owner_push_run(owner);
	} else {
		request->state = REQUEST_STAGED;
		owner_request_answer(request);
	}
	owner_queue_run(owner);
}

static void fill_answer(const struct request *request, struct peer_staged *out)
{
	const struct owner *owner = request->owner;
	uint64_t lease_ms = owner->setup.config->lease / NS_PER_MS;

	out->request = request->number;
	out->key = request->unit->key;
	out->epoch = owner->setup.epoch;
	out->len = request->len;
	out->origin = (enum peer_origin)request->stage.origin;
	memcpy(out->checks, request->stage.checks,
	       object_granule_count(request->len) * sizeof(*out->checks));
	if (request->flags & PEER_STAGE_PUSH)
		return;
	out->off = request->stage.off;
	out->lease_ms = (uint32_t)(lease_ms < UINT32_MAX ? lease_ms : UINT32_MAX);
}

static void lease(struct request *request)
{
	struct owner *owner = request->owner;

	request->state = REQUEST_LEASED;
	request->due_ns = clock_after_ns(owner_now(owner), owner->setup.config->lease);
	owner_request_await(request);
}

void owner_request_answer(struct request *request)
{
	struct owner *owner = request->owner;
	struct peer_message message = { .kind = PEER_STAGED };
	int error;

	fill_answer(request, &message.staged);
	error = outbox_send(owner->setup.outbox, request->asker->peer, &message, OWNER_SEND_NS);
	if (error == -EAGAIN || error == -ENOMEM) {
		request->state = REQUEST_ANSWERING;
		owner_request_list(request, &owner->stalled);
		return;
	}
	if (error) { /* the connection is at its end */
		owner_request_end(request);
		return;
	}
	owner_count(owner, PEERS_STAGED_BYTES, request->len);
	owner_count(owner, PEERS_STAGED_WINDOW + request->stage.origin, 1);
	if (request->flags & PEER_STAGE_PUSH)
		owner_request_end(request);
	else
		lease(request);
}
