/*
 * opener.c - connecting: first the control queue, with the proof; then a data queue on each rail
 * that both sides have, all at the same time, with tags; then READY. A rail that is late, or that
 * is lost, joins later: while the connection lives it is tried again every VERBS_REJOIN_NS.
 *
 * The control queue goes over the first rail that is alive and has not failed to connect lately, so
 * when one rail's network is dead the next attempt, after the front's back-off, goes over another.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "fabric/transport/verbs/verbs.h"

static const struct wire_rail *offered(const struct wire_rail *rails, int count, unsigned index)
{
	for (int i = 0; i < count; i++)
		if (rails[i].index == index)
			return &rails[i];
	return NULL;
}

/* Which rail carries the control queue: NULL: none does. */
static struct verbs_rail *choose_rail(const struct verbs *verbs, const struct wire_rail *offer,
				      int count)
{
	uint64_t now_ns = clock_now_ns(verbs->clock);
	struct verbs_rail *avoided = NULL;

	for (unsigned i = 0; i < verbs->rail_count; i++) {
		struct verbs_rail *rail = verbs->rails[i];

		if (rail->state != VERBS_RAIL_LIVE || !offered(offer, count, i))
			continue;
		if (rail->avoid_ns <= now_ns)
			return rail;
		if (!avoided || rail->avoid_ns < avoided->avoid_ns)
			avoided = rail;
	}
	return avoided;
}

static int decode(const uint8_t *offer, size_t offer_len, struct wire_rail *rails, char *problem,
		  size_t problem_size)
{
	int count = wire_offer_decode(offer, offer_len, rails);

	if (count == -EPROTONOSUPPORT)
		snprintf(problem, problem_size,
			 "the peer's verbs protocol is version %u, ours is %u: run one version in "
			 "a cluster",
			 offer[0], WIRE_VERSION);
	else if (count < 0)
		snprintf(problem, problem_size, "the peer's offer is malformed");
	return count;
}

int verbs_connect(void *backend, const struct address *greeted, const uint8_t *offer,
		  size_t offer_len, const uint8_t proof[TRANSPORT_PROOF_LEN],
		  struct transport_link **out_link, char *problem, size_t problem_size)
{
	struct verbs *verbs = backend;
	struct wire_rail rails[TRANSPORT_RAILS_MAX];
	int count = decode(offer, offer_len, rails, problem, problem_size);

	(void)greeted; /* offers name addresses */
	if (count < 0)
		return count;
	struct verbs_rail *rail = choose_rail(verbs, rails, count);
	if (!rail) {
		snprintf(problem, problem_size,
			 "no rail in common: the peer has %d, and of those with the same number "
			 "none of ours is alive",
			 count);
		return -ENODEV;
	}
	struct verbs_link *link = verbs_link_new(verbs);
	if (!link) {
		snprintf(problem, problem_size, "no memory for a connection");
		return -ENOMEM;
	}
	link->base.active = true;
	link->state = VERBS_LINK_OPENING;
	memcpy(link->proof, proof, sizeof(link->proof));
	for (unsigned i = 0; i < verbs->rail_count; i++) {
		const struct wire_rail *to = offered(rails, count, i);

		if (to)
			link->data[i].to = *to;
	}
	link->control.rail = rail;
	link->control.to = link->data[rail->index].to;
	int error = verbs_queue_open(&link->control);
	if (error) {
		snprintf(problem, problem_size, "%s: cannot connect: %s%s", verbs_rail_name(rail),
			 error_text(error),
			 error == -ENOSPC ? "; it has no receives for more connections" : "");
		verbs_link_free(link);
		return error;
	}
	*out_link = &link->base;
	return 0;
}

/* Starts the data queues that are not there and could be. */
static void open_rails(struct verbs_link *link)
{
	struct verbs *verbs = link->verbs;

	for (unsigned i = 0; i < verbs->rail_count; i++) {
		struct verbs_queue *queue = &link->data[i];

		if (!address_len(&queue->to.address) || verbs->rails[i]->state != VERBS_RAIL_LIVE ||
		    queue->state != VERBS_QUEUE_NONE || link->asked & 1u << i)
			continue;
		queue->rail = verbs->rails[i];
		int error = verbs_queue_open(queue);
		if (error)
			log_warning("transport.rail", "device=%s error=\"%s\"",
				    verbs_rail_name(queue->rail), error_text(error));
	}
}

/*
 * A rail on which nothing moves, while reads wait for it, is given up before their time is: the
 * device's own repetitions may take longer. Only for the sake of another rail.
 */
static void give_up_still_rails(struct verbs_link *link)
{
	for (unsigned i = 0; i < link->verbs->rail_count; i++) {
		struct verbs_queue *queue = &link->data[i];

		if (queue->state != VERBS_QUEUE_UP || queue->head == queue->tail || queue->moved)
			queue->still = 0;
		else if (++queue->still >= VERBS_STILL_MAX && verbs_link_has_other(queue))
			verbs_queue_break(queue, "nothing moves on it");
		queue->moved = false;
	}
}

/* All connections tick at the same time: timers are looked through less often then. */
void verbs_opener_tick(struct verbs_link *link)
{
	struct verbs *verbs = link->verbs;
	uint64_t now_ns = clock_now_ns(verbs->clock);

	if (verbs->rail_count < 2)
		return;
	give_up_still_rails(link);
	if (now_ns >= link->rejoin_ns) {
		link->rejoin_ns = clock_after_ns(now_ns, VERBS_REJOIN_NS);
		open_rails(link);
	}
	verbs_link_timer(link, (now_ns / verbs->tick_ns + 1) * verbs->tick_ns);
}

void verbs_opener_ask(struct verbs_link *link)
{
	uint8_t rails = link->unkeyed;

	if (link->asked || verbs_control_say(link, WIRE_READY, &rails, 1))
		return; /* again when KEYS_END, or a credit, has come */
	link->asked = rails;
	link->unkeyed = 0;
}

void verbs_opener_settle(struct verbs_link *link, bool late)
{
	unsigned pending = 0;

	if (link->state != VERBS_LINK_RAILS)
		return;
	for (unsigned i = 0; i < link->verbs->rail_count; i++) {
		enum verbs_queue_state state = link->data[i].state;

		pending += state == VERBS_QUEUE_ADDRESS || state == VERBS_QUEUE_ROUTE ||
			   state == VERBS_QUEUE_ANSWER;
	}
	if (!link->unkeyed && !pending) {
		verbs_link_fence(link, -EHOSTUNREACH, "no rail could be connected");
	} else if (!pending || (late && link->unkeyed)) {
		link->timer_ns = CLOCK_NEVER;
		link->state = VERBS_LINK_KEYS;
		verbs_opener_ask(link);
	} else if (link->unkeyed && link->timer_ns == CLOCK_NEVER) {
		/* one that is up does not wait long for the others: they join when they are */
		verbs_link_timer(link,
				 clock_after_ns(clock_now_ns(link->verbs->clock), VERBS_RAILS_NS));
	}
}

static void welcomed(struct verbs_queue *queue, const struct rdma_conn_param *answer)
{
	struct verbs_link *link = queue->link;
	struct wire_welcome welcome;
	int error = wire_welcome_decode(answer->private_data, answer->private_data_len, &welcome);

	if (!error && !queue->control && welcome.session != link->session)
		error = -EBADMSG;
	if (!error)
		error = verbs_queue_welcomed(queue, welcome.mtu, answer);
	if (error) {
		verbs_queue_break(queue, error == -EBADMSG ? "the peer's answer is malformed"
							   : error_text(error));
		return;
	}
	if (queue->control) {
		link->session = welcome.session;
		link->state = VERBS_LINK_RAILS;
		link->control.rail->avoid_ns = 0;
		open_rails(link);
	} else {
		link->unkeyed |= (uint8_t)(1u << queue->rail->index);
		if (link->state == VERBS_LINK_UP)
			log_notice("transport.rail_joined", "device=%s",
				   verbs_rail_name(queue->rail));
		verbs_link_dirty(link);
	}
	verbs_opener_settle(link, false);
}

/* An acceptor of ours says why; others, and the network, have a number only. */
static void rejected(struct verbs_queue *queue, const struct rdma_cm_event *event)
{
	char text[TRANSPORT_REFUSAL_MAX];
	int status = wire_refusal_decode(event->param.conn.private_data,
					 event->param.conn.private_data_len, text);

	if (!status && event->status == 8)
		snprintf(text, sizeof(text), "nobody listens for RDMA connections there");
	else if (!status)
		snprintf(text, sizeof(text), "the connection was rejected, reason %d",
			 event->status);
	if (queue->control)
		verbs_link_fence(queue->link, status ? status : -ECONNREFUSED, text);
	else
		verbs_queue_break(queue, text);
}

static void failed(struct verbs_queue *queue, const char *why)
{
	if (queue->control)
		queue->rail->avoid_ns =
			clock_after_ns(clock_now_ns(queue->rail->verbs->clock), VERBS_AVOID_NS);
	verbs_queue_break(queue, why);
}

void verbs_opener_event(struct verbs_queue *queue, const struct rdma_cm_event *event)
{
	char why[96];
	int error;

	switch (event->event) {
	case RDMA_CM_EVENT_ADDR_RESOLVED:
	case RDMA_CM_EVENT_ROUTE_RESOLVED:
		error = verbs_queue_resolved(queue, event->event);
		if (!error)
			break;
		snprintf(why, sizeof(why), "%s",
			 error == -EADDRNOTAVAIL ? "the device's address is on another device"
						 : error_text(error));
		failed(queue, why);
		break;
	case RDMA_CM_EVENT_CONNECT_RESPONSE:
		if (queue->state == VERBS_QUEUE_ANSWER)
			welcomed(queue, &event->param.conn);
		break;
	case RDMA_CM_EVENT_REJECTED:
		rejected(queue, event);
		break;
	case RDMA_CM_EVENT_ADDR_ERROR:
	case RDMA_CM_EVENT_ROUTE_ERROR:
		failed(queue, "there is no way to the peer's RDMA address");
		break;
	case RDMA_CM_EVENT_UNREACHABLE:
	case RDMA_CM_EVENT_CONNECT_ERROR:
		failed(queue, "the peer does not answer over RDMA");
		break;
	case RDMA_CM_EVENT_DISCONNECTED:
		verbs_queue_break(queue, "the peer closed the connection");
		break;
	default: /* established; the end of the time-wait; a changed address */
		break;
	}
}
