/*
 * peer.c - the life of a peer's connection. Of an ACTIVE peer:
 *
 *	      read, message or connect()            poll(), and one of
 *	IDLE --------------------------> QUEUED -- peers_connected_max --> GREETING
 *	 ^ ^                               ^ ^                              |    |
 *	 | |  nothing waits                | | something waits              |    | proof
 *	 | +-------------------------------+-+                              |    v
 *	 |                                 |                     refused,   |  CONNECTING
 *	 | retry_at_ns                     |                     time-out   |    |    |
 *	 +---------------------------- BACKOFF <----------------------------+    |    | link_up
 *	 |                                 ^  ^                                  |    v
 *	 |                                 |  +--------- link_down --------------+--- UP
 *	 |  link_down after                |  link_down after                    |    |
 *	 |  evict, disconnect              |  time-out                           v    v
 *	 +---------------------------------+---------------------------------- FENCING
 *
 * QUEUED   The connection is begun by transport_poll(), so that its failure can call back. Beyond
 *          peers_connected_max the least recently used peer that has nothing in flight is evicted;
 *          with none, it waits.
 *
 * GREETING Where the backend does not greet (loop), this state is skipped.
 *
 * UP       Left by link_down (the backend found it dead) or through FENCING; also, as if evicted,
 *          when it was not used for idle_timeout.
 *
 * FENCING  ops.disconnect() was called. Only link_down ends it: until then the reads that were with
 *          the backend may still write. Reads and messages that come while it is evicted or
 *          disconnected wait for the next connection.
 *
 * BACKOFF  Calls return what the attempt failed with, but for the reads that were fenced along with
 *          another's time-out: they wait, and then connect. The pause doubles with each failure
 *          from retry_min to retry_max and starts anew after a connection that lived for retry_max.
 *
 * What happens to what is queued, by how a connection ends:
 *
 *				reads with the backend	reads waiting	messages
 *	never came up				--	refusal		refusal
 *	lost				-ECONNRESET	-ECONNRESET	-ECONNRESET
 *	time-out	-ETIMEDOUT, others repeated	kept		-ECONNRESET
 *	evicted (only when idle)		--	kept		kept
 *	disconnect()			-ECONNRESET	-ECONNRESET	-ECONNRESET, later ones kept
 *	put, close			-ECANCELED	-ECANCELED	-ECANCELED
 *
 * After the last put the object lives on, out of reach, until its link is down. A PASSIVE peer is
 * UP, FENCING or gone; links.c makes it.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/log.h"
#include "fabric/transport/front.h"

static void set_timer(struct transport_peer *peer, uint64_t at_ns)
{
	peer->timer_ns = at_ns;
	if (at_ns < peer->transport->peers_timer_ns)
		peer->transport->peers_timer_ns = at_ns;
}

/* Whether there is a reason to be connected. */
static bool wants(const struct transport_peer *peer)
{
	return peer->asked || !TAILQ_EMPTY(&peer->waiting) || !TAILQ_EMPTY(&peer->unsent);
}

void peer_want(struct transport_peer *peer)
{
	if (peer->state != PEER_IDLE)
		return;
	peer->state = PEER_QUEUED;
	TAILQ_INSERT_TAIL(&peer->transport->queued, peer, by_queue);
	peer->transport->queued_count++;
}

void peer_leave_queue(struct transport_peer *peer)
{
	TAILQ_REMOVE(&peer->transport->queued, peer, by_queue);
	peer->transport->queued_count--;
	peer->state = PEER_IDLE;
}

static void uncount(struct transport_peer *peer)
{
	if (peer->counted)
		peer->transport->active_connections--;
	if (peer->evicted)
		peer->transport->evicting--;
	peer->counted = peer->evicted = false;
}

int peer_usable(struct transport_peer *peer)
{
	if (peer->transport->closing || peer->gone)
		return -EHOSTUNREACH;
	if (peer->kind == TRANSPORT_PEER_PASSIVE)
		return peer->state == PEER_UP ? 0 : -EHOSTUNREACH;
	if (peer->state == PEER_FENCING)
		return peer->cause == FENCE_EVICT || peer->cause == FENCE_DISCONNECT
			       ? 0
			       : -EHOSTUNREACH;
	if (peer->state != PEER_BACKOFF)
		return 0;
	if (transport_now(peer->transport) < peer->retry_at_ns)
		return peer->refusal;
	peer->state = PEER_IDLE;
	peer->timer_ns = CLOCK_NEVER;
	return 0;
}

static int refusal_of(int status)
{
	return status == -EACCES || status == -EPROTONOSUPPORT || status == -EREMCHG
		       ? status
		       : -EHOSTUNREACH;
}

static void back_off(struct transport_peer *peer, int status, bool was_up)
{
	struct transport *transport = peer->transport;
	const struct transport_config *config = &transport->config;
	uint64_t now_ns = transport_now(transport);
	uint64_t delay_ns = peer->retry_delay_ns * 2;

	if (was_up && now_ns - peer->up_since_ns >= config->retry_max)
		delay_ns = 0;
	if (delay_ns < config->retry_min)
		delay_ns = config->retry_min;
	if (delay_ns > config->retry_max)
		delay_ns = config->retry_max;
	peer->retry_delay_ns = delay_ns;
	/* shorter by up to a half, so that those who lost the same peer do not come back as one */
	delay_ns -= random_below(&transport->random, delay_ns / 2 + 1);
	peer->retry_at_ns = now_ns + delay_ns;
	peer->refusal = refusal_of(status);
	peer->state = PEER_BACKOFF;
}

/* What waited for this connection. */
static void end_waiting(struct transport_peer *peer, enum fence_cause cause, bool was_up)
{
	int status = was_up ? -ECONNRESET : peer->refusal;

	if (cause != FENCE_LOST && cause != FENCE_TIMEOUT)
		return;
	messages_end_waiting(peer, status);
	if (cause == FENCE_LOST || !was_up)
		reads_end_waiting(peer, status);
}

static void tell_down(struct transport_peer *peer, int status, const char *why, bool was_up)
{
	const struct transport_events *events = &peer->transport->environment.events;

	if (was_up)
		log_info("transport.down", "peer=%s why=\"%s\" error=\"%s\"", peer->address_text,
			 why, error_text(status));
	else
		log_warning("transport.unreachable", "peer=%s why=\"%s\" error=\"%s\"",
			    peer->address_text, why, error_text(status));
	if (events->down && !peer->gone)
		events->down(events->context, peer, status, why);
}

/* The one end of every connection and of every attempt at one, inside poll or close. */
static void end_connection(struct transport_peer *peer, enum fence_cause cause, int status,
			   const char *why)
{
	struct transport *transport = peer->transport;
	bool was_up = peer->was_up;

	peer->was_up = peer->asked = false;
	peer->link = NULL;
	peer->timer_ns = CLOCK_NEVER;
	peer->state = PEER_IDLE;
	uncount(peer);
	if (was_up)
		transport_count(transport, TRANSPORT_PEERS_ACTIVE, -1);
	else if (cause == FENCE_LOST || cause == FENCE_TIMEOUT)
		transport_count(transport, TRANSPORT_CONNECT_FAILURES, 1);
	if (peer->gone)
		transport->reap = true;
	if (cause == FENCE_LOST || cause == FENCE_TIMEOUT)
		back_off(peer, status, was_up);
	end_waiting(peer, cause, was_up);
	if (was_up || cause == FENCE_LOST || cause == FENCE_TIMEOUT)
		tell_down(peer, status, why, was_up);
	/* the callbacks may have moved it on already */
	if (peer->state == PEER_IDLE && wants(peer) && !peer->gone && !transport->closing)
		peer_want(peer);
	if (peer->state == PEER_BACKOFF && wants(peer))
		set_timer(peer, peer->retry_at_ns);
}

static void connect_link(struct transport_peer *peer, const uint8_t *offer, size_t offer_len,
			 const uint8_t *proof)
{
	struct transport *transport = peer->transport;
	char problem[TRANSPORT_PROBLEM_MAX] = "";
	struct transport_link *link = NULL;
	int error = transport->ops->connect(transport->backend, &peer->address, offer, offer_len,
					    proof, &link, problem, sizeof(problem));

	if (error) {
		end_connection(peer, FENCE_LOST, error, problem);
		return;
	}
	link->transport = transport;
	link->peer = peer;
	link->active = true;
	peer->link = link;
	peer->state = PEER_CONNECTING;
	set_timer(peer, peer->connect_by_ns);
}

void peer_greeted(struct transport_peer *peer, const struct member_id *member, uint64_t boot)
{
	peer->member = *member;
	peer->boot = boot;
}

static void greeted(void *context, int status, const struct handshake *handshake,
		    const char *problem)
{
	struct transport_peer *peer = context;
	int kind = (int)peer->transport->ops->kind;

	peer->greeting = NULL;
	if (status) {
		end_connection(peer, FENCE_LOST, status, problem);
		return;
	}
	peer_greeted(peer, &handshake->peer, handshake->peer_boot);
	if (handshake->kind != kind) {
		end_connection(peer, FENCE_LOST, -EPROTONOSUPPORT,
			       kind == TRANSPORT_VERBS
				       ? "the peer has ucx where we have verbs: choose one"
				       : "the peer has verbs where we have ucx: choose one");
		return;
	}
	connect_link(peer, handshake->offer, handshake->offer_len, handshake->proof);
}

/* Begins to connect. Return: 0 (or failed, and that is dealt with); -EAGAIN: later. */
static int start(struct transport_peer *peer)
{
	struct transport *transport = peer->transport;
	int error = 0;

	peer->connect_by_ns =
		clock_after_ns(transport_now(transport), transport->config.connect_timeout);
	if (transport->greeter) {
		error = greeter_start(transport->greeter, &peer->address, &peer->expected,
				      peer->connect_by_ns, greeted, peer, &peer->greeting);
		if (error == -EAGAIN)
			return error;
	}
	peer_leave_queue(peer);
	peer->counted = true;
	transport->active_connections++;
	if (!transport->greeter) {
		connect_link(peer, NULL, 0, NULL);
		return 0;
	}
	peer->state = PEER_GREETING;
	if (error)
		end_connection(peer, FENCE_LOST, error, "cannot begin a handshake");
	return 0;
}

static bool is_idle(const struct transport_peer *peer)
{
	return peer->state == PEER_UP && TAILQ_EMPTY(&peer->inflight) &&
	       TAILQ_EMPTY(&peer->waiting) && !peer->messages;
}

/* Fences the least recently used peer without work, once for each that is queued. */
static void evict(struct transport *transport)
{
	struct transport_peer *peer = TAILQ_FIRST(&transport->active), *oldest = NULL;

	if (transport->evicting >= transport->queued_count || !transport->evictable)
		return;
	for (; peer; peer = TAILQ_NEXT(peer, by_transport)) {
		if (is_idle(peer) && (!oldest || peer->used < oldest->used))
			oldest = peer;
	}
	transport->evictable = oldest;
	if (!oldest)
		return;
	oldest->evicted = true;
	transport->evicting++;
	peer_fence(oldest, FENCE_EVICT, "least recently used of peers_connected_max");
}

static void start_queued(struct transport *transport)
{
	struct transport_peer *peer;

	while ((peer = TAILQ_FIRST(&transport->queued))) {
		if (!wants(peer)) {
			peer_leave_queue(peer);
			continue;
		}
		if (transport->active_connections >=
		    (unsigned)transport->config.peers_connected_max) {
			evict(transport);
			return;
		}
		if (start(peer) == -EAGAIN)
			return;
	}
}

/* Who opened a connection closes it: the other side, which has places for so many, does not see
   one-sided reads and cannot know which are of use. */
static void watch_idleness(struct transport_peer *peer)
{
	const struct transport_config *config = &peer->transport->config;

	if (!config->idle_timeout)
		return;
	peer->used_before = peer->used;
	set_timer(peer, clock_after_ns(transport_now(peer->transport), config->idle_timeout));
}

static void timer_ran_out(struct transport_peer *peer)
{
	peer->timer_ns = CLOCK_NEVER;
	if (peer->state == PEER_UP && is_idle(peer) && peer->used == peer->used_before)
		peer_fence(peer, FENCE_EVICT, "not used for idle_timeout");
	if (peer->state == PEER_UP)
		watch_idleness(peer);
	if (peer->state == PEER_CONNECTING)
		peer_fence(peer, FENCE_TIMEOUT, "no connection within connect_timeout");
	if (peer->state == PEER_BACKOFF) {
		peer->state = PEER_IDLE;
		peer_want(peer);
	}
}

static void run_timers(struct transport *transport, uint64_t now_ns)
{
	struct transport_peer *peer = TAILQ_FIRST(&transport->active);

	if (now_ns < transport->peers_timer_ns)
		return;
	transport->peers_timer_ns = CLOCK_NEVER;
	for (; peer; peer = TAILQ_NEXT(peer, by_transport)) {
		if (peer->timer_ns <= now_ns)
			timer_ran_out(peer);
		set_timer(peer, peer->timer_ns);
	}
}

void peers_progress(struct transport *transport)
{
	run_timers(transport, transport_now(transport));
	start_queued(transport);
}

void peer_fence(struct transport_peer *peer, enum fence_cause cause, const char *why)
{
	if (peer->state == PEER_FENCING) {
		if (cause > peer->cause) {
			peer->cause = cause;
			peer->fence_why = why;
		}
		return;
	}
	CHECK(peer->state == PEER_UP || peer->state == PEER_CONNECTING);
	if (cause == FENCE_TIMEOUT && peer->was_up)
		transport_count(peer->transport, TRANSPORT_FENCES, 1);
	peer->state = PEER_FENCING;
	peer->cause = cause;
	peer->fence_why = why;
	peer->timer_ns = CLOCK_NEVER;
	peer->link->fencing = true;
	peer->transport->ops->disconnect(peer->link);
}

void peer_is_up(struct transport_peer *peer)
{
	const struct transport_events *events = &peer->transport->environment.events;

	CHECK(peer->state == PEER_CONNECTING);
	peer->state = PEER_UP;
	peer->was_up = true;
	peer->asked = false;
	peer->timer_ns = CLOCK_NEVER;
	peer->up_since_ns = transport_now(peer->transport);
	watch_idleness(peer);
	peer->transport->evictable = true;
	transport_count(peer->transport, TRANSPORT_CONNECTS, 1);
	transport_count(peer->transport, TRANSPORT_PEERS_ACTIVE, 1);
	messages_flush(peer);
	reads_flush(peer);
	if (events->up && !peer->gone)
		events->up(events->context, peer);
}

void peer_is_down(struct transport_peer *peer, int status, const char *why)
{
	enum fence_cause cause = FENCE_LOST;

	if (peer->state == PEER_FENCING) {
		cause = peer->cause;
		why = peer->fence_why;
		status = cause == FENCE_TIMEOUT ? -ETIMEDOUT : -ECANCELED;
	}
	end_connection(peer, cause, status ? status : -ECONNRESET, why);
}

void peer_take_down(struct transport_peer *peer, enum fence_cause cause, int status,
		    const char *why)
{
	peer->asked = false;
	reads_defer_waiting(peer, status);
	messages_defer_waiting(peer, status);
	switch (peer->state) {
	case PEER_QUEUED:
		peer_leave_queue(peer);
		break;
	case PEER_GREETING:
		greeting_cancel(peer->greeting);
		peer->greeting = NULL;
		uncount(peer);
		peer->state = PEER_IDLE;
		break;
	case PEER_CONNECTING:
	case PEER_UP:
	case PEER_FENCING:
		peer_fence(peer, cause, why);
		break;
	case PEER_BACKOFF:
		peer->timer_ns = CLOCK_NEVER;
		break;
	case PEER_IDLE:
		break;
	}
}

int transport_peer_connect(struct transport_peer *peer)
{
	int error = peer_usable(peer);

	if (error)
		return error;
	if (peer->kind == TRANSPORT_PEER_PASSIVE || peer->state == PEER_UP)
		return 0;
	peer->asked = true;
	peer_want(peer);
	return 0;
}

void transport_peer_disconnect(struct transport_peer *peer)
{
	if (!peer->gone && !peer->transport->closing)
		peer_take_down(peer, FENCE_DISCONNECT, -ECONNRESET, "disconnected here");
}
