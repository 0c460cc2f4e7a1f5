/*
 * loop_link.c - reads and messages on a connection of the loop, and its end.
 *
 * A read is cut into slices, each of which arrives in its own time: the copy from the owner's
 * memory is made then, as a NIC would. A connection that is being fenced goes on writing what was
 * in flight, or junk, if the faults ask for late bytes; only the FENCED event ends that.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fabric/transport/loop_node.h"

/* read->backend[]: what is still under way, and the first error. */
#define SLICES_LEFT(read) ((read)->backend[0])
#define FIRST_ERROR(read) ((read)->backend[1])

static struct loop_half *half_of(struct transport_link *link)
{
	return (struct loop_half *)(void *)link;
}

uint64_t loop_region_len(const struct transport_link *link, uint32_t region)
{
	const struct loop_half *half = (const struct loop_half *)(const void *)link;

	return region < TRANSPORT_REGIONS_MAX ? half->region_lens[region] : 0;
}

static uint64_t now_of(const struct loop_half *half)
{
	return clock_now_ns(half->node->network->clock);
}

static void post_slice(struct loop_half *half, struct loop_event *event)
{
	struct loop_network *network = half->node->network;
	uint64_t at_ns = now_of(half) + loop_delay(network) + loop_delay(network);

	if (loop_chance(network, network->faults.stall_per_mille))
		at_ns = CLOCK_NEVER;
	loop_event_post(half->node, event, at_ns);
}

/* All slices or none. */
static int make_slices(const struct loop_half *half, struct transport_read *read, size_t slice_len,
		       struct loop_event_list *list)
{
	TAILQ_INIT(list);
	for (size_t off = 0; off < read->len; off += slice_len) {
		struct loop_event *event = loop_event_new(LOOP_SLICE, half->id, 0);

		if (!event)
			goto free_slices;
		event->read = read;
		event->slice_off = off;
		event->slice_len = read->len - off < slice_len ? read->len - off : slice_len;
		TAILQ_INSERT_TAIL(list, event, by_time);
	}
	return 0;

free_slices:
	for (struct loop_event *event; (event = TAILQ_FIRST(list));) {
		TAILQ_REMOVE(list, event, by_time);
		free(event);
	}
	return -ENOMEM;
}

int loop_read(struct transport_link *link, struct transport_read *read)
{
	struct loop_half *half = half_of(link);
	const struct transport_config *config = transport_config(half->node->transport);
	struct loop_event_list slices;
	struct loop_event *event;

	if (half->state != LOOP_UP)
		return -ECONNRESET;
	if (half->slices >= config->queue_depth)
		return -EAGAIN;
	if (make_slices(half, read, config->slice_len, &slices))
		return -ENOMEM;
	SLICES_LEFT(read) = FIRST_ERROR(read) = 0;
	while ((event = TAILQ_FIRST(&slices))) {
		TAILQ_REMOVE(&slices, event, by_time);
		SLICES_LEFT(read)++;
		half->slices++;
		post_slice(half, event);
	}
	return 0;
}

/* In order: a message never arrives before the one sent earlier. */
static void post_in_order(struct loop_half *half, struct loop_half *other, struct loop_event *event)
{
	uint64_t at_ns = now_of(half) + loop_delay(half->node->network);

	if (at_ns > half->send_at_ns)
		half->send_at_ns = at_ns;
	event->sequence = half->send_sequence++;
	loop_event_post(other->node, event, half->send_at_ns);
}

int loop_send(struct transport_link *link, struct transport_message *message)
{
	struct loop_half *half = half_of(link);
	struct loop_network *network = half->node->network;
	struct loop_half *other = loop_half_find(network, half->other);
	struct loop_event *sent, *event;

	if (half->state != LOOP_UP)
		return -ECONNRESET;
	if (!half->credits)
		return -EAGAIN;
	sent = loop_event_new(LOOP_SENT, half->id, 0);
	event = loop_event_new(LOOP_MESSAGE, half->other, message->len);
	if (!sent || !event) {
		free(sent);
		free(event);
		return -ENOMEM;
	}
	half->credits--;
	sent->message = message;
	loop_event_post(half->node, sent, now_of(half) + loop_delay(network));
	memcpy(event->bytes, message->data, message->len);
	if (other)
		post_in_order(half, other, event);
	else
		free(event); /* to the dead */
	return 0;
}

/* The other side learns that this one is no more: at once, or when it has missed it. */
static void tell_other(struct loop_half *half, const char *why)
{
	struct loop_network *network = half->node->network;
	struct loop_half *other = loop_half_find(network, half->other);
	uint64_t at_ns = now_of(half) + loop_delay(network);

	if (!other || half->node->dead)
		return;
	if (!loop_reachable(network, half->node->number, half->other_number))
		at_ns = clock_after_ns(now_of(half), network->faults.detect_ns);
	if (at_ns != CLOCK_NEVER)
		loop_text_post(other->node, LOOP_BROKEN, other->id, -ECONNRESET, why, at_ns);
}

/* What is in flight arrives at odd times between now and the end, stalled or not. */
static void hasten_slices(struct loop_half *half)
{
	struct loop_network *network = half->node->network;
	struct loop_event_list *events = &half->node->events, late;
	struct loop_event *event, *next;
	uint64_t span_ns = half->fenced_at_ns - now_of(half);

	TAILQ_INIT(&late);
	for (event = TAILQ_FIRST(events); event; event = next) {
		next = TAILQ_NEXT(event, by_time);
		if (event->kind != LOOP_SLICE || event->half != half->id)
			continue;
		TAILQ_REMOVE(events, event, by_time);
		TAILQ_INSERT_TAIL(&late, event, by_time);
	}
	while ((event = TAILQ_FIRST(&late))) {
		TAILQ_REMOVE(&late, event, by_time);
		loop_event_post(half->node, event,
				now_of(half) + random_below(&network->random, span_ns + 1));
	}
}

void loop_break(struct loop_half *half, int status, const char *why)
{
	struct loop_network *network = half->node->network;

	if (half->state == LOOP_FENCING)
		return;
	half->state = LOOP_FENCING;
	half->status = status;
	snprintf(half->why, sizeof(half->why), "%s", why);
	half->fenced_at_ns =
		now_of(half) + random_below(&network->random, network->faults.fence_ns + 1);
	if (network->faults.late_bytes)
		hasten_slices(half);
	loop_event_post(half->node, half->fenced, half->fenced_at_ns);
	half->fenced = NULL;
	tell_other(half, "the peer closed the connection");
}

void loop_disconnect(struct transport_link *link)
{
	loop_break(half_of(link), -ECANCELED, "disconnected here");
}

/* Takes all that is under way for @half out of its node's events. */
static void collect(struct loop_half *half, struct loop_event_list *out)
{
	struct loop_event_list *events = &half->node->events;
	struct loop_event *event, *next;

	TAILQ_INIT(out);
	for (event = TAILQ_FIRST(events); event; event = next) {
		next = TAILQ_NEXT(event, by_time);
		if (event->half != half->id)
			continue;
		TAILQ_REMOVE(events, event, by_time);
		TAILQ_INSERT_TAIL(out, event, by_time);
	}
}

static void slice_left(struct loop_half *half, struct transport_read *read, int status)
{
	half->slices--;
	if (status && !FIRST_ERROR(read))
		FIRST_ERROR(read) = (uint64_t)-status;
	if (!status)
		transport_link_moved(&half->link);
	if (!--SLICES_LEFT(read))
		transport_link_read_done(read, -(int)FIRST_ERROR(read));
}

void loop_finish(struct loop_half *half)
{
	struct loop_event_list left;
	struct loop_event *event;

	collect(half, &left);
	while ((event = TAILQ_FIRST(&left))) {
		TAILQ_REMOVE(&left, event, by_time);
		if (event->kind == LOOP_SLICE)
			slice_left(half, event->read, -ECONNRESET);
		if (event->kind == LOOP_SENT)
			transport_link_message_done(event->message, -ECONNRESET);
		if (event->kind == LOOP_ACCEPTED)
			loop_event_missed(half->node, event);
		free(event);
	}
	transport_link_down(&half->link, half->status, half->why);
	loop_half_free(half);
}

static void write_junk(struct loop_network *network, const struct loop_event *event)
{
	uint8_t *at = (uint8_t *)event->read->dst + event->slice_off;

	memset(at, (int)random_below(&network->random, 256), event->slice_len);
}

/* Return: 0, or -ERANGE as the NIC of the owner would say. */
static int copy_slice(const struct loop_half *other, const struct loop_event *event)
{
	const struct transport_read *read = event->read;
	const struct transport_region *region =
		transport_region_at(other->node->transport, read->region);
	uint64_t off = read->off + event->slice_off;

	if (!region || region->access != TRANSPORT_READABLE || off > region->len ||
	    event->slice_len > region->len - off)
		return -ERANGE;
	memcpy((uint8_t *)read->dst + event->slice_off, region->base + off, event->slice_len);
	return 0;
}

/* Comes again later, or, when that has gone on for too long, breaks the connection; then the event
   stays for loop_finish(). */
static void hold_up(struct loop_half *half, struct loop_event *event)
{
	struct loop_network *network = half->node->network;
	uint64_t now_ns = now_of(half);
	bool too_long;

	if (!event->blocked_since)
		event->blocked_since = now_ns;
	too_long = now_ns - event->blocked_since >= network->faults.detect_ns;
	loop_event_post(half->node, event, now_ns + network->faults.resend_ns + 1);
	if (too_long)
		loop_break(half, -ECONNRESET, "the peer cannot be reached");
}

static void slice_arrived(struct loop_half *half, struct loop_event *event)
{
	struct loop_network *network = half->node->network;
	struct loop_half *other = loop_half_find(network, half->other);
	bool reachable = loop_reachable(network, half->node->number, half->other_number) &&
			 loop_reachable(network, half->other_number, half->node->number);
	int status;

	if (half->state == LOOP_FENCING) {
		if (network->faults.late_bytes && random_below(&network->random, 2))
			write_junk(network, event);
		else if (network->faults.late_bytes && other)
			copy_slice(other, event);
		loop_event_post(half->node, event, CLOCK_NEVER); /* for loop_finish() */
		return;
	}
	if (!other || !reachable) {
		hold_up(half, event);
		return;
	}
	if (loop_chance(network, network->faults.break_per_mille)) {
		loop_event_post(half->node, event, CLOCK_NEVER);
		loop_break(half, -ECONNRESET, "broken, as the faults ask for");
		return;
	}
	status = copy_slice(other, event);
	slice_left(half, event->read, status);
	free(event);
}

static void message_arrived(struct loop_half *half, struct loop_event *event)
{
	struct loop_network *network = half->node->network;
	struct loop_half *other;
	struct loop_event *credit;

	if (half->state == LOOP_FENCING) {
		free(event);
		return;
	}
	/* one that was held up holds up those behind it */
	if (!loop_reachable(network, half->other_number, half->node->number) ||
	    event->sequence != half->receive_sequence) {
		hold_up(half, event);
		return;
	}
	half->receive_sequence++;
	if (event->kind == LOOP_ESTABLISHED) {
		half->state = LOOP_UP;
		transport_link_up(&half->link);
		free(event);
		return;
	}
	other = loop_half_find(network, half->other);
	credit = other ? loop_event_new(LOOP_CREDIT, other->id, 0) : NULL;
	if (credit)
		loop_event_post(other->node, credit, now_of(half) + loop_delay(network));
	transport_link_message(&half->link, event->bytes, event->len);
	free(event);
}

static void sent(struct loop_half *half, struct loop_event *event)
{
	struct transport_message *message = event->message;

	free(event);
	transport_link_message_done(message, 0);
	if (half->state == LOOP_UP &&
	    loop_chance(half->node->network, half->node->network->faults.break_per_mille))
		loop_break(half, -ECONNRESET, "broken, as the faults ask for");
}

static void credit_arrived(struct loop_half *half)
{
	half->credits++;
	if (half->state == LOOP_UP)
		transport_link_ready(&half->link);
}

void loop_event_run(struct loop_half *half, struct loop_event *event)
{
	switch (event->kind) {
	case LOOP_SLICE:
		slice_arrived(half, event);
		return;
	case LOOP_SENT:
		sent(half, event);
		return;
	case LOOP_MESSAGE:
	case LOOP_ESTABLISHED:
		message_arrived(half, event);
		return;
	case LOOP_REFUSED:
		loop_refused_arrived(half, event);
		break;
	case LOOP_ACCEPTED:
		loop_accepted_arrived(half, event);
		break;
	case LOOP_CREDIT:
		credit_arrived(half);
		break;
	case LOOP_BROKEN:
		loop_break(half, event->status, (const char *)event->bytes);
		break;
	case LOOP_FENCED:
		loop_finish(half);
		break;
	case LOOP_CONNECT:
		break;
	}
	free(event);
}
