/*
 * links.c - what backends tell of connections, and the peers that connect to us.
 *
 * A PASSIVE peer is made when its connect request shows a proof, told of when its link is up, and
 * freed at the end of the poll in which its link went down.
 */
#include <errno.h>
#include <stdio.h>

#include "base/error.h"
#include "base/log.h"
#include "fabric/transport/front.h"

static int refuse(struct transport *transport, int status, const char *why,
		  char refusal[TRANSPORT_REFUSAL_MAX])
{
	snprintf(refusal, TRANSPORT_REFUSAL_MAX, "%s", why);
	transport_count(transport, TRANSPORT_REFUSALS, 1);
	log_warning("transport.refused", "problem=\"%s\" error=\"%s\"", why, error_text(status));
	return status;
}

static bool is_former(const struct transport_peer *peer, const struct transport_peer *now)
{
	return peer->state == PEER_UP && peer->boot != now->boot &&
	       member_id_equal(&peer->member, &now->member);
}

/* A member that was started anew does not use what its former self had open, and that self may
   have died without a word. */
static void drop_former(struct transport *transport, const struct transport_peer *now)
{
	struct transport_peer *peer = TAILQ_FIRST(&transport->passive);

	for (; peer; peer = TAILQ_NEXT(peer, by_transport)) {
		if (is_former(peer, now))
			peer_fence(peer, FENCE_DISCONNECT, "the member was started anew");
	}
}

int transport_link_accept(struct transport_link *link, struct transport *transport,
			  const uint8_t *proof, size_t proof_len,
			  char refusal[TRANSPORT_REFUSAL_MAX])
{
	struct member_id member;
	struct transport_peer *peer;
	uint64_t boot;

	if (transport->closing)
		return refuse(transport, -EBUSY, "closing", refusal);
	if (proofs_take(&transport->proofs, proof, proof_len, transport_now(transport), &member,
			&boot))
		return refuse(transport, -EACCES,
			      "a connect request without a proof, or with one that was used or is "
			      "too old",
			      refusal);
	/* after the proof is used up: those that cannot be used would fill their table */
	if (transport->passive_connections >= (unsigned)transport->config.peers_connected_max)
		return refuse(transport, -EBUSY,
			      "as many connections as peers_connected_max allows are accepted",
			      refusal);
	peer = peer_new(transport, TRANSPORT_PEER_PASSIVE);
	if (!peer)
		return refuse(transport, -EBUSY, "no memory for a connection", refusal);
	peer_greeted(peer, &member, boot);
	drop_former(transport, peer);
	transport->passive_connections++;
	peer->state = PEER_CONNECTING;
	peer->link = link;
	link->transport = transport;
	link->peer = peer;
	link->active = false;
	return 0;
}

static void passive_is_up(struct transport_peer *peer)
{
	struct transport *transport = peer->transport;
	const struct transport_events *events = &transport->environment.events;

	CHECK(peer->state == PEER_CONNECTING);
	peer->state = PEER_UP;
	peer->was_up = true;
	transport_count(transport, TRANSPORT_ACCEPTS, 1);
	transport_count(transport, TRANSPORT_PEERS_PASSIVE, 1);
	if (events->up)
		events->up(events->context, peer);
}

static void passive_is_down(struct transport_peer *peer, int status, const char *why)
{
	struct transport *transport = peer->transport;
	const struct transport_events *events = &transport->environment.events;

	if (peer->state == PEER_FENCING) {
		why = peer->fence_why;
		status = peer->cause == FENCE_TIMEOUT ? -ETIMEDOUT : -ECANCELED;
	}
	transport->passive_connections--;
	peer->state = PEER_IDLE;
	peer->link = NULL;
	messages_end_waiting(peer, transport->closing ? -ECANCELED : -ECONNRESET);
	if (peer->was_up) {
		transport_count(transport, TRANSPORT_PEERS_PASSIVE, -1);
		log_debug("transport.passive_down", "why=\"%s\" error=\"%s\"", why,
			  error_text(status));
		if (events->down)
			events->down(events->context, peer, status ? status : -ECONNRESET, why);
	}
	peer->gone = transport->reap = true;
}

void transport_link_up(struct transport_link *link)
{
	CHECK(link->peer && !link->up && !link->fencing);
	link->up = true;
	if (link->active)
		peer_is_up(link->peer);
	else
		passive_is_up(link->peer);
}

void transport_link_down(struct transport_link *link, int status, const char *why)
{
	struct transport_peer *peer = link->peer;

	if (!peer) /* a connect request that was rejected */
		return;
	CHECK(TAILQ_EMPTY(&peer->inflight) && TAILQ_EMPTY(&peer->outgoing));
	link->peer = NULL;
	link->up = false;
	if (link->active)
		peer_is_down(peer, status, why);
	else
		passive_is_down(peer, status, why);
}

void transport_link_message(struct transport_link *link, const void *data, size_t len)
{
	struct transport_peer *peer = link->peer;
	const struct transport_events *events = &link->transport->environment.events;

	CHECK(peer && link->up);
	peer->used = ++link->transport->uses;
	transport_count(link->transport, TRANSPORT_MESSAGES_RECEIVED, 1);
	if (events->message && !peer->gone && peer->state == PEER_UP)
		events->message(events->context, peer, data, len);
}

void transport_link_ready(struct transport_link *link)
{
	if (link->peer && link->peer->state == PEER_UP)
		messages_flush(link->peer);
}
