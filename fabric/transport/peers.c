/*
 * peers.c - the peers of a transport: got and put, called off, freed, and what is known of them.
 *
 * An ACTIVE peer is found by its address while somebody has it. After the last put it is out of
 * reach (`gone`), and is freed as soon as it has no link, at the end of a poll. PASSIVE ones are in
 * no table: they are their links'.
 */
#include <errno.h>
#include <stdlib.h>

#include "fabric/transport/front.h"

struct transport_peer *peer_new(struct transport *transport, enum transport_peer_kind kind)
{
	struct transport_peer *peer = calloc(1, sizeof(*peer));

	if (!peer)
		return NULL;
	peer->transport = transport;
	peer->kind = kind;
	peer->timer_ns = CLOCK_NEVER;
	TAILQ_INIT(&peer->inflight);
	TAILQ_INIT(&peer->waiting);
	TAILQ_INIT(&peer->outgoing);
	TAILQ_INIT(&peer->unsent);
	TAILQ_INSERT_TAIL(kind == TRANSPORT_PEER_ACTIVE ? &transport->active : &transport->passive,
			  peer, by_transport);
	return peer;
}

static struct transport_peer *make_active(struct transport *transport,
					  const struct address *address, const char *text)
{
	struct transport_peer *peer = peer_new(transport, TRANSPORT_PEER_ACTIVE);

	if (!peer)
		return NULL;
	peer->address = *address;
	memcpy(peer->address_text, text, strlen(text) + 1);
	HASH_ADD_KEYPTR(by_address, transport->by_address, peer->address_text,
			strlen(peer->address_text), peer);
	if (!peer->by_address.tbl) {
		peer->gone = transport->reap = true;
		return NULL;
	}
	return peer;
}

/* Who is there, or refused us, may be another. */
static void expect(struct transport_peer *peer, const struct member_id *member)
{
	if (member_id_equal(member, &peer->expected))
		return;
	peer->expected = *member;
	if (!member_id_is_none(&peer->member) && !member_id_equal(member, &peer->member))
		transport_peer_disconnect(peer);
	if (peer->state == PEER_BACKOFF && peer->refusal == -EREMCHG)
		peer->retry_at_ns = 0;
}

int transport_peer_get(struct transport *transport, const struct address *address,
		       const struct member_id *member, struct transport_peer **out_peer)
{
	char text[ADDRESS_TEXT_MAX];
	struct transport_peer *peer;

	address_text(address, text);
	HASH_FIND(by_address, transport->by_address, text, strlen(text), peer);
	if (!peer)
		peer = make_active(transport, address, text);
	if (!peer)
		return -ENOMEM;
	if (member && !member_id_is_none(member))
		expect(peer, member);
	peer->references++;
	*out_peer = peer;
	return 0;
}

void transport_peer_put(struct transport_peer *peer)
{
	struct transport *transport = peer->transport;

	CHECK(peer->kind == TRANSPORT_PEER_ACTIVE && peer->references);
	if (--peer->references)
		return;
	HASH_DELETE(by_address, transport->by_address, peer);
	peer->gone = true;
	if (!transport->closing)
		peer_take_down(peer, FENCE_PUT, -ECANCELED, "no longer needed here");
	transport->reap = true;
}

/* Nobody can reach it, and nobody will call about it. Those that are put leave what they had on
   the ended lists, which have been called back by now. */
static bool may_be_freed(const struct transport_peer *peer)
{
	return peer->gone && !peer->link && !peer->greeting;
}

static void reap_from(struct peer_list *list)
{
	struct transport_peer *peer = TAILQ_FIRST(list), *next;

	for (; peer; peer = next) {
		next = TAILQ_NEXT(peer, by_transport);
		if (!may_be_freed(peer))
			continue;
		CHECK(TAILQ_EMPTY(&peer->inflight) && TAILQ_EMPTY(&peer->waiting));
		CHECK(TAILQ_EMPTY(&peer->outgoing) && TAILQ_EMPTY(&peer->unsent));
		TAILQ_REMOVE(list, peer, by_transport);
		free(peer);
	}
}

void peers_reap(struct transport *transport)
{
	transport->reap = false;
	reap_from(&transport->active);
	reap_from(&transport->passive);
}

static void cancel_in(struct peer_list *list)
{
	struct transport_peer *peer = TAILQ_FIRST(list);

	for (; peer; peer = TAILQ_NEXT(peer, by_transport)) {
		peer->greeting = NULL; /* the greeter is gone */
		if (peer->state == PEER_QUEUED)
			peer_leave_queue(peer);
		if (peer->link) {
			peer->state = PEER_FENCING;
			peer->cause = FENCE_CLOSE;
			peer->fence_why = "closed here";
			peer->link->fencing = true;
		}
		reads_end_waiting(peer, -ECANCELED);
		messages_end_waiting(peer, -ECANCELED);
	}
}

void peers_cancel(struct transport *transport)
{
	cancel_in(&transport->active);
	cancel_in(&transport->passive);
}

static void let_go_of(struct peer_list *list)
{
	struct transport_peer *peer = TAILQ_FIRST(list);

	for (; peer; peer = TAILQ_NEXT(peer, by_transport))
		peer->gone = true;
}

void peers_free(struct transport *transport)
{
	HASH_CLEAR(by_address, transport->by_address);
	let_go_of(&transport->active);
	let_go_of(&transport->passive);
	peers_reap(transport);
	CHECK(TAILQ_EMPTY(&transport->active) && TAILQ_EMPTY(&transport->passive));
}

enum transport_peer_kind transport_peer_kind(const struct transport_peer *peer)
{
	return peer->kind;
}

bool transport_peer_is_up(const struct transport_peer *peer)
{
	return peer->state == PEER_UP;
}

const struct member_id *transport_peer_member(const struct transport_peer *peer)
{
	return &peer->member;
}

const struct address *transport_peer_address(const struct transport_peer *peer)
{
	return &peer->address;
}

uint64_t transport_peer_retry_ns(const struct transport_peer *peer)
{
	uint64_t now_ns = transport_now(peer->transport);

	if (peer->state == PEER_BACKOFF)
		return peer->retry_at_ns > now_ns ? peer->retry_at_ns : 0;
	/* how long the pause after it will be is not known yet */
	if (peer->state == PEER_FENCING && peer->cause == FENCE_TIMEOUT)
		return now_ns + peer->transport->config.retry_min;
	return 0;
}

uint64_t transport_peer_region_len(const struct transport_peer *peer, uint32_t region)
{
	if (peer->state != PEER_UP || peer->kind == TRANSPORT_PEER_PASSIVE)
		return 0;
	return peer->transport->ops->region_len(peer->link, region);
}

void *transport_peer_context(const struct transport_peer *peer)
{
	return peer->context;
}

void transport_peer_set_context(struct transport_peer *peer, void *context)
{
	peer->context = context;
}
