/*
 * owner_queue.c - whose turn it is. A request waits in its asker's queue of its room; the askers
 * take turns, one request each, so that one with a thousand does not hold up one with a single one.
 *
 * An asker whose share of the bytes is used up loses its place in the round until something of it
 * ends. When the room itself is full everybody waits, a large unit at the head too: were smaller
 * ones let by, it could wait for ever.
 */
#include "base/check.h"
#include "cache/peer/owner_inside.h"

#define PART_FORWARD	   4 /* LOCAL requests have one in so many of everything */
#define PART_SHARE	   4 /* an asker may have one in so many of a room */
#define SHARE_BLOCKS_MIN   2
#define RETRY_MS_MIN	   10
#define RETRY_MS_MAX	   1000
#define RETRY_MS_OF_QUEUED 10 /* for each one that waits for every one that may be staged */

static uint64_t at_least(uint64_t value, uint64_t least)
{
	return value > least ? value : least;
}

static void init_room(struct owner *owner, enum owner_room_kind kind, uint64_t stages_max,
		      uint64_t queue_max, uint64_t bytes_max)
{
	struct room *room = &owner->rooms[kind];
	uint64_t block_len = owner->setup.block_len;

	TAILQ_INIT(&room->ready);
	room->stages_max = (unsigned)at_least(stages_max, 1);
	room->queue_max = (unsigned)queue_max;
	room->share_queue_max = (unsigned)(queue_max ? at_least(queue_max / PART_SHARE, 1) : 0);
	/* one block fits in any case, or a request for it would wait for nothing */
	room->bytes_max = at_least(bytes_max, block_len);
	room->share_bytes_max =
		at_least(room->bytes_max / PART_SHARE, SHARE_BLOCKS_MIN * block_len);
}

void owner_rooms_init(struct owner *owner)
{
	const struct peers_config *config = owner->setup.config;
	uint64_t stages = (uint64_t)config->stages_max, queue = (uint64_t)config->queue_max;
	uint64_t bytes = owner->setup.arena_len / 2;
	uint64_t forward_stages = at_least(stages / PART_FORWARD, 1);
	uint64_t forward_queue = queue ? at_least(queue / PART_FORWARD, 1) : 0;
	uint64_t forward_bytes = at_least(bytes / PART_FORWARD, owner->setup.block_len);

	init_room(owner, OWNER_FORWARD, forward_stages, forward_queue, forward_bytes);
	init_room(owner, OWNER_SERVE, stages - forward_stages, queue - forward_queue,
		  bytes > forward_bytes ? bytes - forward_bytes : 0);
}

uint32_t owner_retry_ms(struct owner *owner, enum owner_room_kind kind)
{
	const struct room *room = &owner->rooms[kind];
	uint64_t ms = RETRY_MS_MIN + room->queued * RETRY_MS_OF_QUEUED / room->stages_max;

	/* those that are refused together are not to come again together */
	ms += ms * (owner->refusals++ % 8) / 8;
	return (uint32_t)(ms < RETRY_MS_MAX ? ms : RETRY_MS_MAX);
}

static void set_ready(struct room *room, struct share *share, bool ready)
{
	if (share->ready == ready)
		return;
	if (ready)
		TAILQ_INSERT_TAIL(&room->ready, share, by_turn);
	else
		TAILQ_REMOVE(&room->ready, share, by_turn);
	share->ready = ready;
}

void owner_queue_put(struct request *request)
{
	struct share *share = request_share(request);
	struct room *room = request_room(request);

	TAILQ_INSERT_TAIL(&share->queue, request, by_queue);
	share->queued++;
	room->queued++;
	set_ready(room, share, true);
}

void owner_queue_remove(struct request *request)
{
	struct share *share = request_share(request);
	struct room *room = request_room(request);

	TAILQ_REMOVE(&share->queue, request, by_queue);
	share->queued--;
	room->queued--;
	if (!share->queued)
		set_ready(room, share, false);
}

bool owner_queue_overfull(const struct request *request)
{
	return request_room(request)->queued > request_room(request)->queue_max ||
	       request_share(request)->queued > request_room(request)->share_queue_max;
}

static bool fits_share(const struct request *request)
{
	const struct share *share = request_share(request);
	uint64_t max = request_room(request)->share_bytes_max;

	return share->bytes <= max && request->unit->frame_len <= max - share->bytes;
}

static bool fits_room(const struct request *request)
{
	const struct room *room = request_room(request);

	if (room->staging >= room->stages_max)
		return false;
	return request->unit->holds[request->kind] ||
	       request->unit->frame_len <= room->bytes_max - room->bytes;
}

static void take_room(struct request *request)
{
	struct room *room = request_room(request);

	if (!request->unit->holds[request->kind]++)
		room->bytes += request->unit->frame_len;
	CHECK(room->bytes <= room->bytes_max);
	request_share(request)->bytes += request->unit->frame_len;
	request->holds = true;
}

void owner_room_put(struct request *request)
{
	CHECK(request->holds && request->unit->holds[request->kind]);
	request->holds = false;
	if (!--request->unit->holds[request->kind])
		request_room(request)->bytes -= request->unit->frame_len;
}

void owner_share_put(struct request *request)
{
	struct share *share = request_share(request);

	CHECK(share->bytes >= request->unit->frame_len);
	share->bytes -= request->unit->frame_len;
	if (share->queued)
		set_ready(request_room(request), share, true);
}

static void run_room(struct room *room)
{
	struct share *share;

	while ((share = TAILQ_FIRST(&room->ready))) {
		struct request *request = TAILQ_FIRST(&share->queue);

		if (!fits_share(request)) {
			set_ready(room, share, false);
			continue;
		}
		if (!fits_room(request))
			return;
		owner_queue_remove(request);
		if (share->queued) { /* the others first */
			set_ready(room, share, false);
			set_ready(room, share, true);
		}
		take_room(request);
		owner_request_start(request);
	}
}

void owner_queue_run(struct owner *owner)
{
	if (owner->stopping)
		return;
	run_room(&owner->rooms[OWNER_FORWARD]);
	run_room(&owner->rooms[OWNER_SERVE]);
}
