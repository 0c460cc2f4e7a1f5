/*
 * exchange.c - questions over TCP, asked and answered.
 *
 *	views	DIGEST -> SAME, and that was all; or DIFFERENT, VIEW -> the other one merges ours,
 *		then answers with his
 *
 *	ping	PING -> PONG: is it there, when datagrams get lost?
 *
 *	twin	TWIN, to one who uses our id -> who of us two stays
 */
#include "fabric/gossip/inside.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/error.h"
#include "base/log.h"
#include "fabric/gossip/socket.h"

#define VIEW_ROOM_FIRST 4096

/* One of our questions, until it is over. */
struct exchange {
	struct membership *membership;
	struct address address;
	struct member_id expected; /* none: anybody */
	char who[MEMBERSHIP_ADDRESS_MAX];
	int64_t task;	   /* 0: none */
	bool seed;	   /* of a round of join.c */
	uint32_t sequence; /* of a ping */
	uint64_t boot;	   /* of a twin */
};

struct view {
	uint8_t *data;
	size_t len, room;
};

static int view_reserve(struct view *view, size_t len)
{
	size_t room = view->room ? 2 * view->room : VIEW_ROOM_FIRST;
	uint8_t *data;

	if (view->room - view->len >= len)
		return 0;
	if (view->len + len > STREAM_MESSAGE_MAX)
		return -E2BIG;
	data = realloc(view->data, room);
	if (!data)
		return -ENOMEM;
	view->data = data;
	view->room = room;
	return 0;
}

/* Our whole view; view->data is to be freed also after a failure. */
static int view_make(struct membership *membership, struct view *view)
{
	const struct wire_ask head = { .kind = WIRE_VIEW };
	uint64_t now_ns = now_of(membership);
	struct swim_rumor rumor;
	struct wire_rumor wire;
	uint32_t cursor = 0;
	int error = view_reserve(view, WIRE_ASK_MAX);

	if (error)
		return error;
	view->len = wire_ask_encode(&head, view->data);
	while (swim_view_next(membership->swim, now_ns, &cursor, &rumor)) {
		error = view_reserve(view, WIRE_RUMOR_MAX);
		if (error)
			return error;
		carrier_wire_rumor(membership, &rumor, &wire);
		view->len += wire_rumor_encode(&wire, view->data + view->len);
	}
	return 0;
}

/* All of it is decoded before any of it is believed. */
static int view_check(struct wire_reader reader)
{
	struct wire_rumor wire;

	while (reader.at < reader.end)
		if (wire_rumor_decode(&reader, &wire) != 0)
			return -EBADMSG;
	return 0;
}

static int view_merge(struct membership *membership, const struct member_id *from,
		      struct wire_reader reader)
{
	uint64_t now_ns = now_of(membership);
	struct wire_rumor wire;
	struct swim_rumor rumor;

	if (view_check(reader) != 0) {
		counter_add(&membership->counters, MEMBERSHIP_MALFORMED, 1);
		return -EBADMSG;
	}
	while (reader.at < reader.end && wire_rumor_decode(&reader, &wire) == 0) {
		if (!carrier_rumor(membership, &wire, true, &rumor))
			continue;
		swim_merge(membership->swim, roster_find(&membership->roster, from), &rumor,
			   now_ns);
		carrier_rumor_done(membership, &rumor);
	}
	return 0;
}

/* --- asking */

static const char *status_text(int status)
{
	switch (status) {
	case 0:
		return "";
	case -ENOKEY:
		return "it does not have the key that we use: the secret files differ";
	case -EPROTONOSUPPORT:
		return "it speaks another version of the gossip protocol";
	case -EBUSY:
		return "it has no room for one more connection now";
	case -ELOOP:
		return "that is this node itself";
	case -EACCES:
	case -EBADMSG:
		return "what answers there is no member of our cluster";
	case -ECONNRESET:
		return "it hung up: no member, or of a cluster of another name";
	case -ECONNREFUSED:
		return "nothing listens there: is cenoted running, with 'cluster' set?";
	case -ETIMEDOUT:
		return "no answer";
	case -EAGAIN:
		return "too many connections are under way here";
	default:
		return error_text(status);
	}
}

static void views_over(struct exchange *exchange, int status)
{
	struct membership *membership = exchange->membership;
	char address[ADDRESS_TEXT_MAX];

	if (status)
		log_info("gossip.exchange", "address=%s problem=\"%s\"",
			 address_text(&exchange->address, address), status_text(status));
	if (exchange->task)
		task_line(membership, exchange->task, exchange->who, status, status_text(status));
	join_done(membership, exchange->seed);
	free(exchange);
}

static int view_ask(struct membership *membership, struct stream *stream)
{
	struct view view = { 0 };
	int error = view_make(membership, &view);

	if (!error)
		error = stream_ask(stream, view.data, view.len);
	free(view.data);
	return error;
}

static void views_done(void *context, struct stream *stream, int status,
		       const struct seal_sender *from, const uint8_t *answer, size_t len)
{
	struct exchange *exchange = context;
	struct membership *membership = exchange->membership;
	struct wire_ask ask;

	if (status == -ECANCELED) {
		free(exchange);
		return;
	}
	if (!status && wire_ask_decode(answer, len, &ask) != 0)
		status = -EBADMSG;
	if (status) {
		views_over(exchange, status);
		return;
	}
	switch (ask.kind) {
	case WIRE_SAME:
		views_over(exchange, 0);
		return;
	case WIRE_DIFFERENT:
		status = view_ask(membership, stream);
		if (status)
			views_over(exchange, status);
		return;
	case WIRE_VIEW:
		views_over(exchange, view_merge(membership, &from->member, ask.rest));
		return;
	default:
		views_over(exchange, -EBADMSG);
	}
}

/* Return: NULL when out of memory. */
static struct exchange *exchange_make(struct membership *membership, const struct address *address,
				      const struct member_id *expected)
{
	struct exchange *exchange = calloc(1, sizeof(*exchange));

	if (!exchange)
		return NULL;
	exchange->membership = membership;
	exchange->address = *address;
	if (expected)
		exchange->expected = *expected;
	return exchange;
}

static int exchange_ask(struct exchange *exchange, const struct wire_ask *ask, stream_done done)
{
	uint8_t question[WIRE_ASK_MAX];
	size_t len = wire_ask_encode(ask, question);
	int error = streams_open(exchange->membership->streams, &exchange->address,
				 EXCHANGE_TIMEOUT_NS, question, len, done, exchange);

	if (error)
		free(exchange);
	return error;
}

int exchange_views(struct membership *membership, const struct address *address,
		   const struct member_id *expected, int64_t task, const char *who, bool seed)
{
	struct exchange *exchange = exchange_make(membership, address, expected);
	const struct wire_ask ask = { .kind = WIRE_DIGEST,
				      .number = swim_digest(membership->swim) };

	if (!exchange)
		return -ENOMEM;
	exchange->task = task;
	exchange->seed = seed;
	snprintf(exchange->who, sizeof(exchange->who), "%s", who ? who : "");
	return exchange_ask(exchange, &ask, views_done);
}

static void ping_done(void *context, struct stream *stream, int status,
		      const struct seal_sender *from, const uint8_t *answer, size_t len)
{
	struct exchange *exchange = context;
	struct membership *membership = exchange->membership;
	struct wire_ask ask;

	(void)stream;
	if (!status && wire_ask_decode(answer, len, &ask) == 0 && ask.kind == WIRE_PONG &&
	    member_id_equal(&from->member, &exchange->expected))
		swim_ping_answered(membership->swim, exchange->sequence, now_of(membership));
	else if (status == -ECONNREFUSED)
		swim_ping_refused(membership->swim, exchange->sequence, now_of(membership));
	free(exchange);
}

void exchange_ping(struct membership *membership, uint32_t member, uint32_t sequence)
{
	const struct roster_entry *entry = roster_entry(&membership->roster, member);
	const struct wire_ask ask = { .kind = WIRE_PING };
	struct exchange *exchange;

	CHECK(entry);
	if (address_len(&entry->details.gossip) == 0)
		return;
	exchange = exchange_make(membership, &entry->details.gossip, &entry->id);
	if (!exchange)
		return;
	exchange->sequence = sequence;
	exchange_ask(exchange, &ask, ping_done);
}

/* --- two nodes with one id */

static void former_add(struct membership *membership, uint64_t boot)
{
	membership->formers[membership->former_count % FORMER_LIVES_MAX] = boot;
	if (membership->former_count < FORMER_LIVES_MAX)
		membership->former_count++;
}

/* It was told to stop; our own word goes above what it has said. */
static void twin_goes(struct membership *membership, const struct address *address, uint64_t boot)
{
	char where[ADDRESS_TEXT_MAX];

	address_text(address, where);
	log_error("gossip.twin",
		  "address=%s problem=\"another node used our member id\" effect=\"it was told "
		  "to stop taking part\" advice=\"remove the file 'member' of its node.state_dir "
		  "and start it again\"",
		  where);
	snprintf(membership->problem, sizeof(membership->problem),
		 "another node used this one's member id and was told to stop (it called from "
		 "%s): remove the file 'member' of its node.state_dir and start it again",
		 where);
	former_add(membership, boot);
	carrier_announce(membership, membership->phase, 0);
}

static void twin_stays(struct membership *membership, const struct address *address)
{
	char where[ADDRESS_TEXT_MAX];

	address_text(address, where);
	log_error("gossip.twin",
		  "address=%s problem=\"another node uses our member id, and has for longer\" "
		  "effect=\"this node takes no part in the cluster\" advice=\"remove "
		  "%s/member and start this node again\"",
		  where, membership->state_dir);
	snprintf(membership->problem, sizeof(membership->problem),
		 "another node (%s) uses this one's member id and stays: remove the file 'member' "
		 "of node.state_dir here and start this node again",
		 where);
	membership->standing = MEMBERSHIP_DISPLACED;
	roster_touch(&membership->roster, ROSTER_SELF);
}

static void twin_done(void *context, struct stream *stream, int status,
		      const struct seal_sender *from, const uint8_t *answer, size_t len)
{
	struct exchange *exchange = context;
	struct membership *membership = exchange->membership;
	struct wire_ask ask;

	(void)stream;
	if (!status && wire_ask_decode(answer, len, &ask) == 0 && ask.kind == WIRE_TWIN_ANSWER &&
	    from->boot == exchange->boot &&
	    member_id_equal(&from->member, &membership->identity.member)) {
		if (ask.number == 1)
			twin_goes(membership, &exchange->address, exchange->boot);
		else
			twin_stays(membership, &exchange->address);
	} else if (status != -ECANCELED) {
		/* Nobody is there who could be our twin: a former life, to be refuted. */
		former_add(membership, exchange->boot);
	}
	free(exchange);
}

static uint64_t age_ms(const struct membership *membership)
{
	return (now_of(membership) - membership->started_ns) / NS_PER_MS;
}

void exchange_twin(struct membership *membership, const struct address *address, uint64_t boot)
{
	const struct wire_ask ask = { .kind = WIRE_TWIN, .number = age_ms(membership) };
	struct exchange *exchange =
		exchange_make(membership, address, &membership->identity.member);

	if (!exchange)
		return;
	exchange->boot = boot;
	exchange_ask(exchange, &ask, twin_done);
}

/* --- answering */

static void answer_small(struct membership *membership, uint64_t stream,
			 const struct wire_ask *answer)
{
	uint8_t data[WIRE_ASK_MAX];

	stream_answer(membership->streams, stream, data, wire_ask_encode(answer, data));
}

static void digest_asked(struct membership *membership, uint64_t stream, const struct wire_ask *ask)
{
	bool same = ask->number == swim_digest(membership->swim);
	const struct wire_ask answer = { .kind = same ? WIRE_SAME : WIRE_DIFFERENT };

	answer_small(membership, stream, &answer);
}

static void view_asked(struct membership *membership, uint64_t stream,
		       const struct seal_sender *from, const struct wire_ask *ask)
{
	struct view view = { 0 };

	if (view_merge(membership, &from->member, ask->rest) == 0 &&
	    view_make(membership, &view) == 0)
		stream_answer(membership->streams, stream, view.data, view.len);
	free(view.data);
}

static void twin_asked(struct membership *membership, uint64_t stream,
		       const struct seal_sender *from, const struct address *address,
		       const struct wire_ask *ask)
{
	uint64_t ours_ms = age_ms(membership);
	bool it_stays = ask->number > ours_ms ||
			(ask->number == ours_ms && from->boot > membership->identity.boot);
	const struct wire_ask answer = { .kind = WIRE_TWIN_ANSWER, .number = it_stays };

	if (!member_id_equal(&from->member, &membership->identity.member))
		return;
	answer_small(membership, stream, &answer);
	if (it_stays)
		twin_stays(membership, address);
	else
		twin_goes(membership, address, from->boot);
}

static void asked(void *context, uint64_t number, const struct seal_sender *from,
		  const struct address *address, const uint8_t *question, size_t len)
{
	const struct wire_ask pong = { .kind = WIRE_PONG };
	struct membership *membership = context;
	struct wire_ask ask;

	if (!carrier_is_active(membership))
		return;
	if (wire_ask_decode(question, len, &ask) != 0) {
		counter_add(&membership->counters, MEMBERSHIP_MALFORMED, 1);
		return;
	}
	switch (ask.kind) {
	case WIRE_DIGEST:
		digest_asked(membership, number, &ask);
		break;
	case WIRE_VIEW:
		view_asked(membership, number, from, &ask);
		break;
	case WIRE_PING:
		answer_small(membership, number, &pong);
		break;
	case WIRE_TWIN:
		twin_asked(membership, number, from, address, &ask);
		break;
	case WIRE_KEYS:
		keys_asked(membership, number, &ask);
		break;
	default:
		counter_add(&membership->counters, MEMBERSHIP_MALFORMED, 1);
	}
}

static void refused(void *context, const struct address *address, int status)
{
	struct membership *membership = context;
	char from[ADDRESS_TEXT_MAX];

	counter_add(&membership->counters, MEMBERSHIP_STREAMS_REFUSED, 1);
	if (status == -ENOKEY)
		counter_add(&membership->counters, MEMBERSHIP_FOREIGN, 1);
	else if (status == -EACCES)
		counter_add(&membership->counters, MEMBERSHIP_FORGED, 1);
	else if (status == -EBADMSG || status == -EPROTONOSUPPORT)
		counter_add(&membership->counters, MEMBERSHIP_MALFORMED, 1);
	log_info("gossip.refuse", "from=%s tcp=true error=\"%s\"", address_text(address, from),
		 error_text(status));
}

/*
 * A node that listens everywhere guesses what it is called; what others reach it by, or it them,
 * is better than a guess. Nobody has heard the guess as long as it is alone.
 */
static void connected(void *context, const struct address *local)
{
	struct membership *membership = context;
	struct wire_details *own = &roster_entry(&membership->roster, ROSTER_SELF)->details;
	struct address found = *local;
	struct swim_stats stats;

	swim_stats(membership->swim, &stats);
	address_set_port(&found, address_port(&own->gossip));
	if (!membership->address_is_guess || stats.alive + stats.suspect > 1 ||
	    address_equal(&found, &own->gossip) || socket_is_loopback(&found))
		return;
	own->gossip = found;
	carrier_announce(membership, membership->phase, 0);
}

const struct stream_events exchange_events = {
	.asked = asked,
	.refused = refused,
	.connected = connected,
};
