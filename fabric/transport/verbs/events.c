/*
 * events.c - what rdma_cm tells of connections and the devices of themselves. Both are asked
 * without waiting. An event is copied and acknowledged first: destroying an id waits for that.
 */
#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "fabric/transport/verbs/verbs.h"

#define EVENTS_MAX 64 /* in one go */

static struct verbs_rail *rail_of_listener(const struct verbs *verbs, const struct rdma_cm_id *id)
{
	for (unsigned i = 0; i < verbs->rail_count; i++)
		if (verbs->rails[i]->listener == id)
			return verbs->rails[i];
	return NULL;
}

/* Of a queue that we accepted: opening it is done, so all there is to hear is that it ends. */
static void acceptor_event(struct verbs_queue *queue, enum rdma_cm_event_type type)
{
	switch (type) {
	case RDMA_CM_EVENT_DISCONNECTED:
		verbs_queue_break(queue, "the peer closed the connection");
		break;
	case RDMA_CM_EVENT_CONNECT_ERROR:
	case RDMA_CM_EVENT_UNREACHABLE:
	case RDMA_CM_EVENT_REJECTED:
		verbs_queue_break(queue, "the peer did not finish connecting");
		break;
	default: /* established; the end of the time-wait, which is rdma_cm's affair */
		break;
	}
}

static void dispatch(struct verbs *verbs, const struct rdma_cm_event *event)
{
	struct verbs_rail *rail;
	struct verbs_queue *queue;

	if (event->event == RDMA_CM_EVENT_CONNECT_REQUEST) {
		rail = rail_of_listener(verbs, event->listen_id);
		if (rail) {
			verbs_acceptor_request(rail, event->id, &event->param.conn,
					       event->param.conn.private_data,
					       event->param.conn.private_data_len);
			return;
		}
		rdma_reject(event->id, NULL, 0);
		rdma_destroy_id(event->id);
		return;
	}
	rail = rail_of_listener(verbs, event->id);
	queue = rail ? NULL : event->id->context;
	if (queue)
		rail = queue->rail;
	if (event->event == RDMA_CM_EVENT_DEVICE_REMOVAL) {
		if (rail)
			verbs_rail_die(rail, "the device was removed");
	} else if (queue && queue->state == VERBS_QUEUE_BREAKING) {
		return;
	} else if (queue && queue->link->base.active) {
		verbs_opener_event(queue, event);
	} else if (queue) {
		acceptor_event(queue, event->event);
	}
}

static int take_connection_events(struct verbs *verbs)
{
	struct rdma_cm_event *event;
	int count = 0;

	while (count < EVENTS_MAX && !rdma_get_cm_event(verbs->channel, &event)) {
		struct rdma_cm_event copy = *event;
		uint8_t data[256];

		copy.param.conn.private_data = NULL;
		if (event->param.conn.private_data) {
			memcpy(data, event->param.conn.private_data,
			       event->param.conn.private_data_len);
			copy.param.conn.private_data = data;
		}
		rdma_ack_cm_event(event);
		dispatch(verbs, &copy);
		count++;
	}
	return count;
}

static void port_event(struct verbs_rail *rail, bool up)
{
	struct verbs *verbs = rail->verbs;

	if (up && rail->state == VERBS_RAIL_DOWN) {
		rail->state = VERBS_RAIL_LIVE;
		log_notice("transport.rail_up", "device=%s", verbs_rail_name(rail));
	} else if (!up && rail->state == VERBS_RAIL_LIVE) {
		rail->state = VERBS_RAIL_DOWN;
		rail->down_ns = clock_now_ns(verbs->clock);
		log_warning("transport.rail_down", "device=%s why=\"its port is down\"",
			    verbs_rail_name(rail));
		uint64_t at_ns = clock_after_ns(rail->down_ns, VERBS_DOWN_NS);
		if (at_ns < verbs->timer_ns)
			verbs->timer_ns = at_ns;
		/* whoever has another rail need not see whether it comes back at once */
		for (struct verbs_queue *queue = TAILQ_FIRST(&rail->queues); queue;
		     queue = TAILQ_NEXT(queue, by_rail)) {
			if (verbs_link_has_other(queue))
				verbs_queue_break(queue, "its port is down");
		}
	}
}

static int take_device_events(struct verbs_rail *rail)
{
	struct ibv_async_event event;
	int count = 0;

	while (count < EVENTS_MAX && !ibv_get_async_event(rail->watch, &event)) {
		bool ours = event.element.port_num == rail->port.number;

		count++;
		switch (event.event_type) {
		case IBV_EVENT_DEVICE_FATAL:
			verbs_rail_die(rail, "the device reports a fatal error");
			break;
		case IBV_EVENT_PORT_ERR:
		case IBV_EVENT_PORT_ACTIVE:
			if (ours)
				port_event(rail, event.event_type == IBV_EVENT_PORT_ACTIVE);
			break;
		default: /* tables changed: what that breaks shows by itself */
			break;
		}
		ibv_ack_async_event(&event);
	}
	return count;
}

int verbs_events(struct verbs *verbs)
{
	int count = take_connection_events(verbs);

	for (unsigned i = 0; i < verbs->rail_count; i++) {
		struct verbs_rail *rail = verbs->rails[i];

		if (rail->channel)
			verbs_rail_quiet(rail);
		if (rail->watch)
			count += take_device_events(rail);
	}
	return count;
}
