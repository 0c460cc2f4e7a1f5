/*
 * control.c - the messages of a connection, on a queue pair of their own.
 *
 * Credits: each side has VERBS_CREDITS receives promised to the other. An ordinary message costs
 * one; it comes back with the next message that goes the other way, or with a CREDIT of its own
 * when half of them are owed. CREDIT, PING and PONG cost nothing, because their number is bounded
 * by itself (verbs.h), so two sides without credits cannot wait for each other.
 *
 * The acceptor asks (PING) an opener that has been silent, as nothing else would tell it that the
 * opener's machine is gone; a process that is merely stopped has its card answer the SEND, and is
 * given up when VERBS_PINGS_MAX were not answered by itself.
 */
#include <errno.h>
#include <string.h>

#include "base/check.h"
#include "base/error.h"
#include "base/log.h"
#include "fabric/transport/verbs/verbs.h"

static bool costs_credit(enum wire_type type)
{
	return type != WIRE_CREDIT && type != WIRE_PING && type != WIRE_PONG;
}

static int post_message(struct verbs_queue *queue, struct verbs_buffer *buffer, size_t len)
{
	struct ibv_sge sge = {
		.addr = (uintptr_t)buffer->data,
		.length = (uint32_t)len,
		.lkey = buffer->lkey,
	};
	struct ibv_send_wr request = {
		.wr_id = verbs_queue_id(queue, queue->head),
		.sg_list = &sge,
		.num_sge = 1,
		.opcode = IBV_WR_SEND,
		.send_flags = IBV_SEND_SIGNALED,
	};
	struct ibv_send_wr *bad;

	if (!ibv_post_send(queue->qp, &request, &bad))
		return 0;
	verbs_queue_break(queue, "the device takes no messages");
	return -ECONNRESET;
}

/* Return: 0; -EAGAIN: no credit, or no room; -ECONNRESET. */
static int transmit(struct verbs_link *link, enum wire_type type, const void *data, size_t len,
		    struct transport_message *message)
{
	struct verbs_queue *queue = &link->control;
	bool costs = costs_credit(type);

	if (queue->state != VERBS_QUEUE_UP)
		return -ECONNRESET;
	if ((costs && !link->credits) || !verbs_queue_room(queue))
		return -EAGAIN;
	struct verbs_buffer *buffer = verbs_rail_buffer(queue->rail);
	if (!buffer)
		return -EAGAIN;
	struct wire_header header = {
		.type = (uint8_t)type,
		.credits = (uint16_t)link->owed,
		.len = (uint32_t)len,
	};
	wire_header_encode(&header, buffer->data);
	if (len)
		memcpy(buffer->data + WIRE_HEADER_LEN, data, len);
	int error = post_message(queue, buffer, WIRE_HEADER_LEN + len);
	if (error) {
		verbs_rail_buffer_free(queue->rail, buffer);
		return error;
	}
	queue->slots[queue->head % queue->depth] = (struct verbs_slot){
		.message = message,
		.buffer = buffer,
	};
	queue->head++;
	queue->rail->sends++;
	link->owed = 0;
	if (costs)
		link->credits--;
	return 0;
}

int verbs_control_say(struct verbs_link *link, enum wire_type type, const void *data, size_t len)
{
	return transmit(link, type, data, len, NULL);
}

int verbs_control_send(struct transport_link *base, struct transport_message *message)
{
	struct verbs_link *link = (struct verbs_link *)(void *)base;

	if (link->state != VERBS_LINK_UP)
		return -ECONNRESET;
	int error = transmit(link, WIRE_MESSAGE, message->data, message->len, message);
	if (error == -EAGAIN)
		link->starved = true;
	return error;
}

/* A credit, or a place, has come back. */
static void feed(struct verbs_link *link)
{
	if (link->starved && link->state == VERBS_LINK_UP && link->credits) {
		link->starved = false;
		transport_link_ready(&link->base);
	}
	if (link->owed >= VERBS_CREDITS / 2 || link->gives || link->unkeyed ||
	    (link->base.active && link->pings))
		verbs_link_dirty(link);
}

void verbs_control_sent(struct verbs_queue *queue, struct verbs_slot *slot, int status)
{
	verbs_rail_buffer_free(queue->rail, slot->buffer);
	if (slot->message)
		transport_link_message_done(slot->message, status);
	feed(queue->link);
}

/* The acceptor learns which rails there are: they get keys. */
static int ready(struct verbs_link *link, const uint8_t *data, size_t len)
{
	uint8_t rails = 0;

	if (link->base.active || link->gives || len != 1 ||
	    (link->state != VERBS_LINK_WAITS && link->state != VERBS_LINK_UP))
		return -EBADMSG;
	for (unsigned i = 0; i < TRANSPORT_RAILS_MAX; i++) {
		if (data[0] & 1u << i && link->data[i].state == VERBS_QUEUE_UP)
			rails |= (uint8_t)(1u << i);
	}
	link->giving = rails;
	link->gives = true;
	link->key_region = link->key_rail = link->key_chunk = 0;
	if (link->state == VERBS_LINK_WAITS)
		link->state = VERBS_LINK_GIVES;
	verbs_link_dirty(link);
	return 0;
}

static int keys_end(struct verbs_link *link, size_t len)
{
	if (!link->base.active || !link->asked || len)
		return -EBADMSG;
	int error = verbs_keys_end(link);
	if (error)
		return error;
	if (link->state == VERBS_LINK_KEYS) {
		link->state = VERBS_LINK_UP;
		verbs_opener_tick(link);
		transport_link_up(&link->base);
	}
	verbs_link_dirty(link);
	return 0;
}

static int take(struct verbs_link *link, const struct wire_header *header, const uint8_t *data)
{
	switch ((enum wire_type)header->type) {
	case WIRE_READY:
		return ready(link, data, header->len);
	case WIRE_KEYS:
		if (!link->base.active || !link->asked)
			return -EBADMSG;
		return verbs_keys_take(link, data, header->len);
	case WIRE_KEYS_END:
		return keys_end(link, header->len);
	case WIRE_MESSAGE:
		if (link->state != VERBS_LINK_UP || !header->len)
			return -EBADMSG;
		transport_link_message(&link->base, data, header->len);
		return 0;
	case WIRE_PING:
		if (!link->base.active || header->len || link->pings == VERBS_PINGS_MAX)
			return -EBADMSG;
		link->pings++;
		return 0;
	case WIRE_PONG:
		if (link->base.active || header->len || !link->pings)
			return -EBADMSG;
		link->pings--;
		return 0;
	case WIRE_CREDIT:
		return header->len ? -EBADMSG : 0;
	}
	return -EBADMSG;
}

/* Nobody gives back, or uses, more than he was given. */
static int take_credits(struct verbs_link *link, const struct wire_header *header)
{
	if (header->credits > VERBS_CREDITS - link->credits)
		return -EBADMSG;
	link->credits += header->credits;
	if (!costs_credit(header->type))
		return 0;
	if (link->owed == VERBS_CREDITS)
		return -EBADMSG;
	link->owed++;
	return 0;
}

void verbs_control_received(struct verbs_queue *queue, const uint8_t *data, size_t len)
{
	struct verbs_link *link = queue->link;
	struct wire_header header;

	if (link->state == VERBS_LINK_FENCING || queue->state != VERBS_QUEUE_UP)
		return;
	int error = wire_header_decode(data, len, &header);

	if (!error)
		error = take_credits(link, &header);
	if (!error)
		error = take(link, &header, data + WIRE_HEADER_LEN);
	if (error) {
		if (error == -EBADMSG)
			transport_count(link->verbs->transport, TRANSPORT_FORGED, 1);
		log_warning("transport.control", "device=%s error=\"%s\" type=%u len=%zu",
			    verbs_rail_name(queue->rail), error_text(error), data[0], len);
		verbs_link_fence(link, -ECONNRESET,
				 error == -EBADMSG ? "the peer broke the protocol"
						   : error_text(error));
		return;
	}
	link->heard = true;
	feed(link);
}

static void give(struct verbs_link *link)
{
	if (verbs_keys_give(link) || verbs_control_say(link, WIRE_KEYS_END, NULL, 0))
		return; /* goes on when a credit comes, or fails by itself */
	link->gives = false;
	if (link->state == VERBS_LINK_UP)
		return;
	link->state = VERBS_LINK_UP;
	link->heard = true;
	verbs_control_ping(link);
	transport_link_up(&link->base);
}

void verbs_control_pump(struct verbs_link *link)
{
	if (link->state == VERBS_LINK_FENCING)
		return;
	if (link->gives)
		give(link);
	if (link->unkeyed)
		verbs_opener_ask(link);
	while (link->base.active && link->pings && !verbs_control_say(link, WIRE_PONG, NULL, 0))
		link->pings--;
	if (link->owed >= VERBS_CREDITS / 2)
		verbs_control_say(link, WIRE_CREDIT, NULL, 0);
}

void verbs_control_ping(struct verbs_link *link)
{
	uint64_t now_ns = clock_now_ns(link->verbs->clock);

	if (link->base.active)
		return;
	if (!link->heard) {
		if (link->pings == VERBS_PINGS_MAX) {
			verbs_link_fence(link, -ETIMEDOUT, "the peer has been silent for too long");
			return;
		}
		if (!verbs_control_say(link, WIRE_PING, NULL, 0))
			link->pings++;
	}
	link->heard = false;
	verbs_link_timer(link, clock_after_ns(now_ns, VERBS_PING_NS << link->pings));
}
