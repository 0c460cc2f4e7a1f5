/*
 * link.c - the life of a connection of several queues.
 *
 *	opener:    OPENING -> RAILS -> KEYS --\
 *	                                       +-> UP -> FENCING -> freed
 *	acceptor:  WAITS -> GIVES ------------/
 *	           (any failure on the way goes to FENCING too)
 *
 * A data queue that breaks takes its rail away; its slices go to the others once it is destroyed,
 * since until then the device may still write where they go. The control queue, or the last data
 * queue of an opener, takes the connection with it: the next one is made of the rails that live.
 *
 * FENCING: every queue breaks, is flushed and destroyed; then the reads that were on it are done,
 * then the front is told, then all is freed. At most VERBS_FLUSH_NS from its beginning.
 */
#include <errno.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/error.h"
#include "base/log.h"
#include "fabric/transport/verbs/verbs.h"

struct verbs_link *verbs_link_new(struct verbs *verbs)
{
	struct verbs_link *link = calloc(1, sizeof(*link));

	if (!link)
		return NULL;
	link->again_max = verbs->queue_depth * verbs->rail_count;
	link->reads_max = 2 * link->again_max;
	link->again = calloc(link->again_max, sizeof(*link->again));
	if (!link->again) {
		free(link);
		return NULL;
	}
	link->verbs = verbs;
	link->timer_ns = CLOCK_NEVER;
	link->credits = VERBS_CREDITS;
	link->control.link = link;
	link->control.control = true;
	for (unsigned i = 0; i < TRANSPORT_RAILS_MAX; i++)
		link->data[i].link = link;
	TAILQ_INSERT_TAIL(&verbs->links, link, by_verbs);
	return link;
}

void verbs_link_free(struct verbs_link *link)
{
	struct verbs *verbs = link->verbs;

	TAILQ_REMOVE(&verbs->links, link, by_verbs);
	if (link->dirty)
		TAILQ_REMOVE(&verbs->dirty, link, by_dirty);
	verbs_keys_free(link);
	OPENSSL_cleanse(link->proof, sizeof(link->proof));
	free(link->again);
	free(link);
}

void verbs_link_dirty(struct verbs_link *link)
{
	if (link->dirty)
		return;
	link->dirty = true;
	TAILQ_INSERT_TAIL(&link->verbs->dirty, link, by_dirty);
}

void verbs_link_timer(struct verbs_link *link, uint64_t at_ns)
{
	link->timer_ns = at_ns;
	if (at_ns < link->verbs->timer_ns)
		link->verbs->timer_ns = at_ns;
}

/* The status and the reason that are given first stay: what follows is their consequence. */
void verbs_link_fence(struct verbs_link *link, int status, const char *why)
{
	if (link->state == VERBS_LINK_FENCING)
		return;
	link->state = VERBS_LINK_FENCING;
	link->timer_ns = CLOCK_NEVER;
	link->status = status;
	snprintf(link->why, sizeof(link->why), "%s", why);
	link->verbs->broken = true;
	link->verbs->flush_ns = 0;
	/* the control queue first: its end tells the peer that all of it ends */
	verbs_queue_break(&link->control, why);
	for (unsigned i = 0; i < TRANSPORT_RAILS_MAX; i++)
		verbs_queue_break(&link->data[i], why);
}

void verbs_link_disconnect(struct transport_link *base)
{
	struct verbs_link *link = (struct verbs_link *)(void *)base;

	if (link->state == VERBS_LINK_OPENING && link->control.rail)
		link->control.rail->avoid_ns =
			clock_after_ns(clock_now_ns(link->verbs->clock), VERBS_AVOID_NS);
	verbs_link_fence(link, -ECANCELED, "closed");
}

void verbs_link_queue_lost(struct verbs_queue *queue)
{
	queue->link->verbs->flush_ns = 0;
	if (queue->control)
		verbs_link_fence(queue->link,
				 queue->link->state == VERBS_LINK_UP ? -ECONNRESET : -EHOSTUNREACH,
				 queue->why);
}

static unsigned live_rails(const struct verbs_link *link)
{
	unsigned count = 0;

	for (unsigned i = 0; i < TRANSPORT_RAILS_MAX; i++)
		count += link->data[i].state == VERBS_QUEUE_UP;
	return count;
}

bool verbs_link_has_other(const struct verbs_queue *queue)
{
	const struct verbs_link *link = queue->link;

	return !queue->control && link->rails & 1u << queue->rail->index &&
	       link->rails & ~(1u << queue->rail->index);
}

/* A data queue of a connection that goes on without it. */
static void lose_rail(struct verbs_link *link, const struct verbs_queue *queue)
{
	unsigned left = live_rails(link), bit = 1u << queue->rail->index;

	if (!link->base.active)
		return;
	if (link->state == VERBS_LINK_RAILS) {
		log_warning("transport.rail_lost", "device=%s why=\"%s\"",
			    verbs_rail_name(queue->rail), queue->why);
		verbs_opener_settle(link, false);
		return;
	}
	if (!left) {
		verbs_link_fence(link, -ECONNRESET, queue->why);
		return;
	}
	if (link->rails & bit) {
		log_warning("transport.rail_lost", "device=%s why=\"%s\" rails_left=%u",
			    verbs_rail_name(queue->rail), queue->why, left);
		transport_count(link->verbs->transport, TRANSPORT_RAILS_LOST, 1);
	}
	link->rails &= (uint8_t)~bit;
	link->unkeyed &= (uint8_t)~bit;
	verbs_keys_forget(link, queue->rail->index);
	verbs_link_dirty(link);
	link->rejoin_ns = clock_after_ns(clock_now_ns(link->verbs->clock), VERBS_REJOIN_NS);
}

static void bury_queue(struct verbs_queue *queue)
{
	struct verbs_link *link = queue->link;

	if (queue->head != queue->tail && queue->rail->state != VERBS_RAIL_DEAD)
		log_warning("transport.fence",
			    "device=%s why=\"%u work requests did not come "
			    "back\" impact=\"the queue pair is destroyed instead\"",
			    verbs_rail_name(queue->rail), queue->head - queue->tail);
	verbs_queue_destroy(queue);
	if (queue->control) {
		for (; queue->tail != queue->head; queue->tail++) {
			struct verbs_slot slot = queue->slots[queue->tail % queue->depth];

			queue->rail->sends--;
			verbs_control_sent(queue, &slot, -ECONNRESET);
		}
	} else {
		verbs_reads_salvage(queue);
	}
	verbs_queue_reset(queue);
	if (!queue->control && link->state != VERBS_LINK_FENCING)
		lose_rail(link, queue);
}

static void note_flush(struct verbs *verbs, const struct verbs_queue *queue)
{
	if (queue->state == VERBS_QUEUE_BREAKING && queue->flush_ns < verbs->flush_ns)
		verbs->flush_ns = queue->flush_ns;
}

/* Returns whether all its queues are gone. */
static bool mend_queues(struct verbs_link *link, uint64_t now_ns)
{
	bool gone = true;

	for (unsigned i = 0; i <= TRANSPORT_RAILS_MAX; i++) {
		struct verbs_queue *queue = i ? &link->data[i - 1] : &link->control;

		if (verbs_queue_flushed(queue, now_ns))
			bury_queue(queue);
		note_flush(link->verbs, queue);
		gone = gone && queue->state == VERBS_QUEUE_NONE;
	}
	return gone;
}

static void end_link(struct verbs_link *link)
{
	verbs_reads_end(link, -ECONNRESET);
	if (link->base.peer)
		transport_link_down(&link->base, link->status, link->why);
	verbs_link_free(link);
}

/* librdmacm lets go of devices that are not there any more when it is asked which there are. Some
   drivers wait for that. */
static void release_context(void)
{
	struct ibv_context **contexts = rdma_get_devices(NULL);

	if (contexts)
		rdma_free_devices(contexts);
}

/* Only this frees links, so the next one stays valid whatever is called back. */
static int mend(struct verbs *verbs)
{
	uint64_t now_ns = clock_now_ns(verbs->clock);
	struct verbs_link *link, *next;
	int count = 0;

	verbs->broken = false;
	verbs->flush_ns = CLOCK_NEVER;
	for (link = TAILQ_FIRST(&verbs->links); link; link = next) {
		bool gone = mend_queues(link, now_ns);

		next = TAILQ_NEXT(link, by_verbs);
		if (link->state == VERBS_LINK_FENCING && gone) {
			end_link(link);
			count++;
		}
	}
	for (unsigned i = 0; i < verbs->rail_count; i++) {
		struct verbs_rail *rail = verbs->rails[i];

		if (rail->state == VERBS_RAIL_DEAD && TAILQ_EMPTY(&rail->queues)) {
			verbs_rail_close(rail);
			release_context();
		}
	}
	if (verbs->flush_ns != CLOCK_NEVER)
		verbs->broken = true;
	return count;
}

static void link_time(struct verbs_link *link)
{
	link->timer_ns = CLOCK_NEVER;
	switch (link->state) {
	case VERBS_LINK_RAILS:
		verbs_opener_settle(link, true);
		break;
	case VERBS_LINK_WAITS:
	case VERBS_LINK_GIVES:
		verbs_link_fence(link, -ETIMEDOUT, "the peer did not finish connecting");
		break;
	case VERBS_LINK_UP:
		if (link->base.active)
			verbs_opener_tick(link);
		else
			verbs_control_ping(link);
		break;
	default:
		break;
	}
}

static void rail_time(struct verbs_rail *rail, uint64_t now_ns)
{
	uint64_t at_ns = clock_after_ns(rail->down_ns, VERBS_DOWN_NS);

	if (rail->state != VERBS_RAIL_DOWN)
		return;
	if (at_ns > now_ns) {
		if (at_ns < rail->verbs->timer_ns)
			rail->verbs->timer_ns = at_ns;
		return;
	}
	for (struct verbs_queue *queue = TAILQ_FIRST(&rail->queues); queue;
	     queue = TAILQ_NEXT(queue, by_rail)) {
		verbs_queue_break(queue, "its port is down");
	}
}

static void run_timers(struct verbs *verbs, uint64_t now_ns)
{
	verbs->timer_ns = CLOCK_NEVER;
	for (unsigned i = 0; i < verbs->rail_count; i++)
		rail_time(verbs->rails[i], now_ns);
	for (struct verbs_link *link = TAILQ_FIRST(&verbs->links); link;
	     link = TAILQ_NEXT(link, by_verbs)) {
		if (link->timer_ns <= now_ns)
			link_time(link);
		if (link->timer_ns < verbs->timer_ns)
			verbs->timer_ns = link->timer_ns;
	}
}

int verbs_links_progress(struct verbs *verbs)
{
	struct verbs_links now;
	struct verbs_link *link;
	int count = 0;

	if (verbs->timer_ns != CLOCK_NEVER) {
		uint64_t now_ns = clock_now_ns(verbs->clock);

		if (verbs->timer_ns <= now_ns)
			run_timers(verbs, now_ns);
	}
	/* one that finds the rail full comes back at once, and waits for the next poll */
	TAILQ_INIT(&now);
	TAILQ_CONCAT(&now, &verbs->dirty, by_dirty);
	while ((link = TAILQ_FIRST(&now))) {
		TAILQ_REMOVE(&now, link, by_dirty);
		link->dirty = false;
		verbs_control_pump(link);
		verbs_reads_pump(link);
	}
	if (verbs->broken)
		count = mend(verbs);
	return count;
}
