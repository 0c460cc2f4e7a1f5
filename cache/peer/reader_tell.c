/*
 * reader_tell.c - what neighbours are told in batches: units that are not needed any more, and
 * units that were read without asking. Each kind waits for the same time, so the neighbours with
 * some are in the order in which they are due. What cannot be sent is let go: a lease ends by
 * itself, and a hit is one of many.
 */
#include <stdlib.h>

#include "cache/peer/reader_inside.h"

struct ledger *ledger_of(struct reader *reader, struct neighbour *neighbour)
{
	struct ledger *ledger = neighbour->ledger;

	if (ledger)
		return ledger;
	ledger = calloc(1, sizeof(*ledger));
	if (!ledger)
		return NULL;
	ledger->neighbour = neighbour;
	TAILQ_INIT(&ledger->blocks);
	neighbour->ledger = ledger;
	LIST_INSERT_HEAD(&reader->ledgers, ledger, by_reader);
	return ledger;
}

static void forget_releases(struct reader *reader, struct ledger *ledger)
{
	if (ledger->releases.count)
		TAILQ_REMOVE(&reader->releases, ledger, by_releases);
	ledger->releases.count = 0;
}

static void forget_hits(struct reader *reader, struct ledger *ledger)
{
	if (ledger->hits.count)
		TAILQ_REMOVE(&reader->hits, ledger, by_hits);
	ledger->hits.count = 0;
}

void ledger_down(struct reader *reader, struct neighbour *neighbour)
{
	struct ledger *ledger = neighbour->ledger;

	if (!ledger)
		return;
	forget_releases(reader, ledger);
	ledger->no_directory = false;
}

void ledger_drop(struct reader *reader, struct neighbour *neighbour)
{
	struct ledger *ledger = neighbour->ledger;

	if (!ledger)
		return;
	forget_releases(reader, ledger);
	forget_hits(reader, ledger);
	CHECK(TAILQ_EMPTY(&ledger->blocks));
	LIST_REMOVE(ledger, by_reader);
	neighbour->ledger = NULL;
	free(ledger);
}

/* Whether there is a connection: none is made to say what only matters in the one that was. */
static bool can_tell(const struct reader *reader, const struct neighbour *neighbour)
{
	return neighbour && !reader->stopping && neighbour->peer &&
	       transport_peer_is_up(neighbour->peer);
}

static void tell(struct reader *reader, const struct neighbour *neighbour,
		 const struct peer_message *message)
{
	if (can_tell(reader, neighbour) &&
	    outbox_send(reader->setup.outbox, neighbour->peer, message, TELL_TIMEOUT_NS))
		reader_count(reader, PEERS_DROPPED, 1);
}

void tell_cancel(struct reader *reader, struct neighbour *neighbour, uint64_t number)
{
	struct peer_message message;

	message.kind = PEER_CANCEL;
	message.request = number;
	tell(reader, neighbour, &message);
}

static void send_releases(struct reader *reader, struct ledger *ledger)
{
	struct peer_message message;

	message.kind = PEER_RELEASE;
	message.release = ledger->releases;
	forget_releases(reader, ledger);
	tell(reader, ledger->neighbour, &message);
}

static void send_hits(struct reader *reader, struct ledger *ledger)
{
	struct peer_message message;

	message.kind = PEER_HITS;
	message.hits = ledger->hits;
	forget_hits(reader, ledger);
	tell(reader, ledger->neighbour, &message);
}

void tell_release(struct reader *reader, struct neighbour *neighbour, uint64_t number)
{
	struct ledger *ledger = can_tell(reader, neighbour) ? ledger_of(reader, neighbour) : NULL;

	if (!ledger)
		return;
	if (!ledger->releases.count) {
		ledger->releases_due_ns = reader_now(reader) + TELL_RELEASES_NS;
		TAILQ_INSERT_TAIL(&reader->releases, ledger, by_releases);
	}
	ledger->releases.requests[ledger->releases.count++] = number;
	if (ledger->releases.count == PEER_RELEASES_MAX)
		send_releases(reader, ledger);
}

void tell_hit(struct reader *reader, struct neighbour *neighbour, const struct window_key *key)
{
	struct ledger *ledger = can_tell(reader, neighbour) ? ledger_of(reader, neighbour) : NULL;

	if (!ledger)
		return;
	if (!ledger->hits.count) {
		ledger->hits_due_ns = reader_now(reader) + TELL_HITS_NS;
		TAILQ_INSERT_TAIL(&reader->hits, ledger, by_hits);
	}
	ledger->hits.keys[ledger->hits.count++] = *key;
	if (ledger->hits.count == PEER_HITS_MAX)
		send_hits(reader, ledger);
}

uint64_t tell_due(struct reader *reader, uint64_t now_ns)
{
	struct ledger *ledger;
	uint64_t next_ns = CLOCK_NEVER;

	while ((ledger = TAILQ_FIRST(&reader->releases)) && ledger->releases_due_ns <= now_ns)
		send_releases(reader, ledger);
	if (ledger)
		next_ns = ledger->releases_due_ns;
	while ((ledger = TAILQ_FIRST(&reader->hits)) && ledger->hits_due_ns <= now_ns)
		send_hits(reader, ledger);
	if (ledger && ledger->hits_due_ns < next_ns)
		next_ns = ledger->hits_due_ns;
	return next_ns;
}
