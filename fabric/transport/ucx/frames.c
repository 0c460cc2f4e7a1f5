/*
 * frames.c - what is sent but answers: control messages and batches of requests. They are written
 * into frames, wait in their link's outbox for the end of a poll, are lent to UCX, and come back to
 * be used again. A link has UCX_MESSAGES_MAX messages on their way at most and a READ for each of
 * its requests, so a peer that has stopped costs bounded memory.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fabric/transport/ucx/ucx.h"

struct ucx_frame *ucx_frame_new(struct ucx_link *link, enum ucx_kind kind)
{
	struct ucx_backend *backend = link->backend;
	struct ucx_frame *frame = TAILQ_FIRST(&backend->frames);

	if (frame) {
		TAILQ_REMOVE(&backend->frames, frame, entry);
		backend->frame_count--;
	} else {
		frame = malloc(sizeof(*frame));
	}
	if (!frame) {
		ucx_link_doom(link, -ENOMEM, "no memory to send");
		return NULL;
	}
	frame->link = link;
	frame->message = NULL;
	frame->kind = kind;
	frame->len = 0;
	return frame;
}

void ucx_frame_free(struct ucx_frame *frame)
{
	struct ucx_backend *backend = frame->link->backend;

	if (backend->frame_count == UCX_FRAMES_KEPT) {
		free(frame);
		return;
	}
	TAILQ_INSERT_HEAD(&backend->frames, frame, entry); /* the warmest is used first */
	backend->frame_count++;
}

void ucx_frame_push(struct ucx_frame *frame)
{
	TAILQ_INSERT_TAIL(&frame->link->outbox, frame, entry);
	ucx_link_touch(frame->link);
}

/* It was sent, or its link is closed. */
static void end_frame(struct ucx_frame *frame, int status)
{
	struct ucx_link *link = frame->link;
	struct transport_message *message = frame->message;

	ucx_frame_free(frame);
	if (!message)
		return;
	link->messages--;
	link->backend->events++;
	transport_link_message_done(message, status);
	if (link->messages_full && link->state == UCX_UP && !link->doomed) {
		link->messages_full = false;
		transport_link_ready(&link->link);
	}
}

static void on_sent(void *request, ucs_status_t status, void *argument)
{
	struct ucx_frame *frame = argument;
	struct ucx_link *link = frame->link;

	ucp_request_free(request);
	link->lent--;
	if (link->backend->silent && frame->message) { /* the link's end tells of it */
		ucx_link_doom(link, -ECONNRESET, "a region that it could read was removed");
		TAILQ_INSERT_HEAD(&link->outbox, frame, entry);
		return;
	}
	end_frame(frame, status == UCS_OK ? 0 : -ECONNRESET);
}

static void send_frame(struct ucx_frame *frame)
{
	const ucp_request_param_t param = {
		.op_attr_mask = UCP_OP_ATTR_FIELD_FLAGS | UCP_OP_ATTR_FIELD_CALLBACK |
				UCP_OP_ATTR_FIELD_USER_DATA,
		.flags = UCP_AM_SEND_FLAG_EAGER | UCP_AM_SEND_FLAG_REPLY,
		.cb.send = on_sent,
		.user_data = frame,
	};
	struct ucx_link *link = frame->link;
	ucs_status_ptr_t request =
		ucp_am_send_nbx(link->ep, frame->kind, NULL, 0, frame->bytes, frame->len, &param);

	if (UCS_PTR_IS_PTR(request)) {
		link->lent++;
	} else if (!request) {
		end_frame(frame, 0);
	} else {
		ucx_link_doom(link, -ECONNRESET, "UCX: %s",
			      ucs_status_string(UCS_PTR_STATUS(request)));
		end_frame(frame, -ECONNRESET);
	}
}

void ucx_frames_flush(struct ucx_link *link)
{
	struct ucx_frame *frame;

	while (!link->doomed && (frame = TAILQ_FIRST(&link->outbox))) {
		TAILQ_REMOVE(&link->outbox, frame, entry);
		send_frame(frame);
	}
}

void ucx_frames_end(struct ucx_link *link)
{
	struct ucx_frame *frame;

	if (link->requests)
		ucx_frame_free(link->requests);
	link->requests = NULL;
	while ((frame = TAILQ_FIRST(&link->outbox))) {
		TAILQ_REMOVE(&link->outbox, frame, entry);
		end_frame(frame, -ECONNRESET);
	}
}

int ucx_message_send(struct ucx_link *link, struct transport_message *message)
{
	struct ucx_frame *frame;

	if (link->state != UCX_UP || link->doomed)
		return -ECONNRESET;
	if (link->messages == UCX_MESSAGES_MAX) {
		link->messages_full = true;
		return -EAGAIN;
	}
	ucx_asks_flush(link); /* in order with the reads before it */
	frame = ucx_frame_new(link, UCX_MESSAGE);
	if (!frame)
		return -ECONNRESET;
	frame->message = message;
	frame->len = ucx_message_begin(link->peer_token, link->sent++, frame->bytes);
	memcpy(frame->bytes + frame->len, message->data, message->len);
	frame->len += message->len;
	link->messages++;
	ucx_frame_push(frame);
	return 0;
}

void ucx_message_arrived(struct ucx_link *link, const void *data, size_t len)
{
	const uint8_t *bytes;
	uint32_t number;
	int count = ucx_message_decode(data, len, &number, &bytes);

	if (count < 0 || number != link->received) {
		ucx_forged(link->backend, link,
			   count < 0 ? "a message that is none of ours"
				     : "a message out of its order");
		ucx_link_doom(link, -EPROTO, "a message that is none of ours");
		return;
	}
	link->received++;
	transport_link_message(&link->link, bytes, (size_t)count);
}

void ucx_backend_trim(struct ucx_backend *backend)
{
	struct ucx_frame *frame;
	struct ucx_batch *batch;

	while ((frame = TAILQ_FIRST(&backend->frames))) {
		TAILQ_REMOVE(&backend->frames, frame, entry);
		free(frame);
	}
	while ((batch = SLIST_FIRST(&backend->batches))) {
		SLIST_REMOVE_HEAD(&backend->batches, entry);
		free(batch);
	}
}
