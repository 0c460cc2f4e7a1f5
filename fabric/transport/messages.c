/*
 * messages.c - the life of a control message.
 *
 *	transport_send() --> unsent (waits for a connection or a credit) --> outgoing (with the
 *	backend) --> done
 *
 * Messages stay in order, so one that waits holds up those behind it, and none outlives its
 * connection: the next one must not begin in the middle of a conversation. One that waits ends at
 * its deadline, -ETIMEDOUT, and the connection lives on. One that the backend has for longer than
 * that is taken back by a fence, for that is the only way; it ends -ECONNRESET, perhaps sent.
 */
#include <errno.h>

#include "fabric/transport/front.h"

static void insert_by_deadline(struct transport *transport, struct transport_message *message)
{
	struct transport_message *before = TAILQ_LAST(&transport->message_deadlines, message_list);

	while (before && before->deadline_ns > message->deadline_ns)
		before = TAILQ_PREV(before, message_list, by_deadline);
	if (before)
		TAILQ_INSERT_AFTER(&transport->message_deadlines, before, message, by_deadline);
	else
		TAILQ_INSERT_HEAD(&transport->message_deadlines, message, by_deadline);
}

static void forget_deadline(struct transport *transport, struct transport_message *message)
{
	if (!message->expired)
		TAILQ_REMOVE(&transport->message_deadlines, message, by_deadline);
	message->expired = true;
}

static void call_done(struct transport *transport, struct transport_message *message, int status)
{
	if (!status)
		transport_count(transport, TRANSPORT_MESSAGES_SENT, 1);
	message->status = status;
	if (message->done)
		message->done(message);
}

static void finish(struct transport_message *message, int status)
{
	struct transport *transport = message->peer->transport;

	message->peer->messages--;
	forget_deadline(transport, message);
	call_done(transport, message, status);
}

/* Return: 0; -EAGAIN; -ECONNRESET: the link is failing. */
static int put_on_link(struct transport_peer *peer, struct transport_message *message)
{
	int error;

	message->with_backend = true;
	error = peer->transport->ops->send(peer->link, message);
	if (error)
		message->with_backend = false;
	else
		TAILQ_INSERT_TAIL(&peer->outgoing, message, by_peer);
	return error;
}

int transport_send(struct transport_peer *peer, struct transport_message *message)
{
	struct transport *transport = peer->transport;
	int error;

	CHECK(message->len && message->len <= TRANSPORT_MESSAGE_MAX);
	error = peer_usable(peer);
	if (error)
		return error;
	if (peer->messages >= TRANSPORT_MESSAGES_MAX)
		return -EAGAIN;
	message->peer = peer;
	message->with_backend = message->expired = false;
	if (peer->state == PEER_UP && TAILQ_EMPTY(&peer->unsent))
		error = put_on_link(peer, message);
	if (error == -ECONNRESET)
		return -EHOSTUNREACH;
	if (error && error != -EAGAIN)
		return error;
	if (!message->with_backend)
		TAILQ_INSERT_TAIL(&peer->unsent, message, by_peer);
	if (!message->deadline_ns)
		message->deadline_ns =
			clock_after_ns(transport_now(transport), transport->config.read_timeout);
	insert_by_deadline(transport, message);
	peer->messages++;
	peer->used = ++transport->uses;
	if (peer->kind == TRANSPORT_PEER_ACTIVE)
		peer_want(peer);
	return 0;
}

void messages_flush(struct transport_peer *peer)
{
	struct transport_message *message;
	int error;

	while (peer->state == PEER_UP && (message = TAILQ_FIRST(&peer->unsent))) {
		TAILQ_REMOVE(&peer->unsent, message, by_peer);
		error = put_on_link(peer, message);
		if (error == -EAGAIN || error == -ECONNRESET) {
			TAILQ_INSERT_HEAD(&peer->unsent, message, by_peer);
			return;
		}
		if (error)
			finish(message, error);
	}
}

static int status_of_fenced(const struct transport_peer *peer)
{
	return peer->cause == FENCE_PUT || peer->cause == FENCE_CLOSE ? -ECANCELED : -ECONNRESET;
}

void transport_link_message_done(struct transport_message *message, int status)
{
	struct transport_peer *peer = message->peer;

	CHECK(message->with_backend);
	TAILQ_REMOVE(&peer->outgoing, message, by_peer);
	message->with_backend = false;
	if (status && peer->state == PEER_FENCING)
		status = status_of_fenced(peer);
	finish(message, status);
	if (peer->state == PEER_UP && !TAILQ_EMPTY(&peer->unsent))
		messages_flush(peer);
	if (!peer->messages)
		peer->transport->evictable = true;
}

void messages_end_waiting(struct transport_peer *peer, int status)
{
	struct transport_message *message;

	while ((message = TAILQ_FIRST(&peer->unsent))) {
		TAILQ_REMOVE(&peer->unsent, message, by_peer);
		finish(message, status);
	}
}

void messages_defer_waiting(struct transport_peer *peer, int status)
{
	struct transport *transport = peer->transport;
	struct transport_message *message;

	while ((message = TAILQ_FIRST(&peer->unsent))) {
		TAILQ_REMOVE(&peer->unsent, message, by_peer);
		peer->messages--;
		forget_deadline(transport, message);
		message->status = status;
		TAILQ_INSERT_TAIL(&transport->ended_messages, message, by_peer);
	}
}

int messages_call_ended(struct transport *transport)
{
	struct transport_message *message;
	int count = 0;

	for (; (message = TAILQ_FIRST(&transport->ended_messages)); count++) {
		TAILQ_REMOVE(&transport->ended_messages, message, by_peer);
		call_done(transport, message, message->status);
	}
	return count;
}

int messages_expire(struct transport *transport, uint64_t now_ns)
{
	struct transport_message *message;
	int count = 0;

	for (; (message = TAILQ_FIRST(&transport->message_deadlines)) &&
	       message->deadline_ns <= now_ns;
	     count++) {
		struct transport_peer *peer = message->peer;

		forget_deadline(transport, message);
		if (message->with_backend) {
			peer_fence(peer, FENCE_TIMEOUT, "a message could not be sent in time");
			continue;
		}
		TAILQ_REMOVE(&peer->unsent, message, by_peer);
		peer->messages--;
		call_done(transport, message, -ETIMEDOUT);
	}
	return count;
}
