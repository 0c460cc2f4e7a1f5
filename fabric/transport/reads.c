/*
 * reads.c - the life of a read.
 *
 *	transport_read() --> waiting (for a connection, or for room on it) --> inflight (with the
 *	backend) --> done
 *
 * A read that waits ends at its deadline, -ETIMEDOUT. One that is in flight cannot: somebody may
 * still write its destination. Its deadline marks it expired and fences the connection; when the
 * backend has given it back, it ends -ETIMEDOUT. The others that were on that connection wait
 * for the next one, as they had not their share of the guilt, but only once: on the second time
 * they end -ECONNRESET.
 *
 * A peer that many read from is slow, and one that is no more is silent. To give up the first costs
 * what was sent already, and sends more to others who are no faster; so a read may have, besides
 * its deadline, a time for which nothing of any read of that peer may come (`silence_ns`).
 *
 * Everything is a list through the caller's struct; nothing is allocated for a read.
 */
#include <errno.h>

#include "fabric/transport/front.h"

/* As things are now. */
static uint64_t expiry_of(const struct transport_read *read)
{
	uint64_t moved_ns = read->peer->moved_ns;
	uint64_t since_ns = moved_ns > read->begun_ns ? moved_ns : read->begun_ns;
	uint64_t silent_ns = clock_after_ns(since_ns, read->silence_ns);

	return read->silence_ns && silent_ns < read->deadline_ns ? silent_ns : read->deadline_ns;
}

/* Sorted. Most reads have the same time to live, so the place is mostly at the end; it is never
   further than reads_max from it. */
static void insert_by_expiry(struct transport *transport, struct transport_read *read)
{
	struct transport_read *before = TAILQ_LAST(&transport->read_expiries, read_list);

	while (before && before->expires_ns > read->expires_ns)
		before = TAILQ_PREV(before, read_list, by_expiry);
	if (before)
		TAILQ_INSERT_AFTER(&transport->read_expiries, before, read, by_expiry);
	else
		TAILQ_INSERT_HEAD(&transport->read_expiries, read, by_expiry);
}

/* Its peer has moved since. */
static void put_off(struct transport *transport, struct transport_read *read)
{
	TAILQ_REMOVE(&transport->read_expiries, read, by_expiry);
	read->expires_ns = expiry_of(read);
	insert_by_expiry(transport, read);
}

static void forget_expiry(struct transport *transport, struct transport_read *read)
{
	if (!read->expired)
		TAILQ_REMOVE(&transport->read_expiries, read, by_expiry);
	read->expired = true;
}

/* On no list any more: counts, and calls back. */
static void call_done(struct transport *transport, struct transport_read *read, int status)
{
	transport->reads--;
	transport_count(transport, TRANSPORT_READS_INFLIGHT, -1);
	if (!status)
		transport_count(transport, TRANSPORT_READ_BYTES, (int64_t)read->len);
	else
		transport_count(transport, TRANSPORT_READ_ERRORS, 1);
	if (status == -ETIMEDOUT)
		transport_count(transport, TRANSPORT_READ_TIMEOUTS, 1);
	read->status = status;
	read->done(read);
}

static void finish(struct transport_read *read, int status)
{
	struct transport *transport = read->peer->transport;

	forget_expiry(transport, read);
	call_done(transport, read, status);
}

static bool in_range(const struct transport_peer *peer, const struct transport_read *read)
{
	uint64_t len = peer->transport->ops->region_len(peer->link, read->region);

	return read->off <= len && read->len <= len - read->off;
}

/* Gives it to the UP peer's backend. Return: 0; -EAGAIN; -ERANGE; -ECONNRESET: it is failing. */
static int put_on_link(struct transport_peer *peer, struct transport_read *read)
{
	int error;

	if (!in_range(peer, read))
		return -ERANGE;
	read->link = peer->link;
	error = peer->transport->ops->read(peer->link, read);
	if (error)
		read->link = NULL;
	else
		TAILQ_INSERT_TAIL(&peer->inflight, read, by_link);
	return error;
}

static void check_caller(const struct transport_peer *peer, const struct transport_read *read)
{
	CHECK(peer->kind == TRANSPORT_PEER_ACTIVE);
	CHECK(read->len && read->len <= TRANSPORT_READ_LEN_MAX && read->done);
	CHECK(transport_region_of(peer->transport, read->dst, read->len));
}

int transport_read(struct transport_peer *peer, struct transport_read *read)
{
	struct transport *transport = peer->transport;
	int error = 0;

	check_caller(peer, read);
	if (transport->reads >= (unsigned)transport->config.reads_max)
		return -EAGAIN;
	if (peer->state != PEER_UP)
		error = peer_usable(peer);
	if (error)
		return error;
	read->peer = peer;
	read->link = NULL;
	read->repeated = read->expired = false;
	if (peer->state == PEER_UP && TAILQ_EMPTY(&peer->waiting))
		error = put_on_link(peer, read);
	if (error == -ECONNRESET)
		return -EHOSTUNREACH;
	if (error && error != -EAGAIN)
		return error;
	if (!read->link)
		TAILQ_INSERT_TAIL(&peer->waiting, read, by_link);
	if (!read->deadline_ns)
		read->deadline_ns =
			clock_after_ns(transport_now(transport), transport->config.read_timeout);
	read->begun_ns = transport_now(transport);
	read->expires_ns = expiry_of(read);
	insert_by_expiry(transport, read);
	transport->reads++;
	peer->used = ++transport->uses;
	transport_count(transport, TRANSPORT_READS, 1);
	transport_count(transport, TRANSPORT_READS_INFLIGHT, 1);
	peer_want(peer);
	return 0;
}

void reads_flush(struct transport_peer *peer)
{
	struct transport_read *read;
	int error;

	while (peer->state == PEER_UP && (read = TAILQ_FIRST(&peer->waiting))) {
		TAILQ_REMOVE(&peer->waiting, read, by_link);
		error = put_on_link(peer, read);
		if (error == -EAGAIN || error == -ECONNRESET) {
			TAILQ_INSERT_HEAD(&peer->waiting, read, by_link);
			return;
		}
		if (error)
			finish(read, error);
	}
}

/* What a read ends with that a fence took from the backend; -EAGAIN: it is to be repeated. */
static int status_of_fenced(const struct transport_peer *peer, const struct transport_read *read)
{
	if (peer->cause == FENCE_PUT || peer->cause == FENCE_CLOSE)
		return -ECANCELED;
	if (read->expired)
		return -ETIMEDOUT;
	return peer->cause == FENCE_TIMEOUT && !read->repeated ? -EAGAIN : -ECONNRESET;
}

static void repeat(struct transport_peer *peer, struct transport_read *read)
{
	read->repeated = true;
	TAILQ_INSERT_TAIL(&peer->waiting, read, by_link);
	transport_count(peer->transport, TRANSPORT_READS_REPEATED, 1);
}

void transport_link_moved(struct transport_link *link)
{
	link->peer->moved_ns = transport_now(link->transport);
}

void transport_link_read_done(struct transport_read *read, int status)
{
	struct transport_peer *peer = read->peer;

	CHECK(read->link && read->link == peer->link);
	TAILQ_REMOVE(&peer->inflight, read, by_link);
	read->link = NULL;
	if (status && peer->state == PEER_FENCING)
		status = status_of_fenced(peer, read);
	if (status == -EAGAIN)
		repeat(peer, read);
	else
		finish(read, status);
	if (peer->state == PEER_UP && !TAILQ_EMPTY(&peer->waiting))
		reads_flush(peer);
	if (TAILQ_EMPTY(&peer->inflight))
		peer->transport->evictable = true;
}

void reads_end_waiting(struct transport_peer *peer, int status)
{
	struct transport_read *read;

	while ((read = TAILQ_FIRST(&peer->waiting))) {
		TAILQ_REMOVE(&peer->waiting, read, by_link);
		finish(read, read->repeated && status == -EHOSTUNREACH ? -ECONNRESET : status);
	}
}

void reads_defer_waiting(struct transport_peer *peer, int status)
{
	struct transport_read *read;

	while ((read = TAILQ_FIRST(&peer->waiting))) {
		TAILQ_REMOVE(&peer->waiting, read, by_link);
		forget_expiry(peer->transport, read);
		read->status = status;
		TAILQ_INSERT_TAIL(&peer->transport->ended_reads, read, by_link);
	}
}

int reads_call_ended(struct transport *transport)
{
	struct transport_read *read;
	int count = 0;

	for (; (read = TAILQ_FIRST(&transport->ended_reads)); count++) {
		TAILQ_REMOVE(&transport->ended_reads, read, by_link);
		call_done(transport, read, read->status);
	}
	return count;
}

int reads_expire(struct transport *transport, uint64_t now_ns)
{
	struct transport_read *read;
	int count = 0;

	while ((read = TAILQ_FIRST(&transport->read_expiries)) && read->expires_ns <= now_ns) {
		struct transport_peer *peer = read->peer;

		if (expiry_of(read) > now_ns) {
			put_off(transport, read);
			continue;
		}
		forget_expiry(transport, read);
		count++;
		if (read->link) {
			peer_fence(peer, FENCE_TIMEOUT, "a read had no answer by its deadline");
			continue;
		}
		TAILQ_REMOVE(&peer->waiting, read, by_link);
		call_done(transport, read, -ETIMEDOUT);
	}
	return count;
}
