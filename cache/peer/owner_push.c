/*
 * owner_push.c - units that go to their readers as messages, since reading them has failed twice.
 *
 * A request takes pieces from a pool that all share, a few at a time, and takes the next when one
 * has got to the wire: so it goes as fast as its connection does, and leaves room there for other
 * messages. STAGED follows when the last piece is on the wire, which it can only be after all that
 * were before it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "cache/peer/owner_inside.h"

int owner_push_init(struct owner *owner)
{
	owner->pieces = calloc(OWNER_PIECES_MAX, sizeof(*owner->pieces));
	if (!owner->pieces)
		return -ENOMEM;
	SLIST_INIT(&owner->pieces_free);
	for (unsigned i = 0; i < OWNER_PIECES_MAX; i++) {
		owner->pieces[i].owner = owner;
		SLIST_INSERT_HEAD(&owner->pieces_free, &owner->pieces[i], link);
	}
	return 0;
}

void owner_push_fini(struct owner *owner)
{
	CHECK(!owner->pieces_out);
	free(owner->pieces);
}

void owner_push_forget(struct request *request)
{
	struct owner *owner = request->owner;

	for (unsigned i = 0; i < OWNER_PIECES_MAX; i++)
		if (owner->pieces[i].request == request)
			owner->pieces[i].request = NULL;
	request->pieces = 0;
}

static void put_piece(struct piece *piece)
{
	piece->request = NULL;
	SLIST_INSERT_HEAD(&piece->owner->pieces_free, piece, link);
	piece->owner->pieces_out--;
}

static void piece_left(struct request *request, int status)
{
	request->pieces--;
	if (status)
		owner_request_refuse(request, PEER_BUSY);
	else if (request->pushed < request->len)
		owner_request_list(request, &request->owner->pushing);
	else if (!request->pieces)
		owner_request_answer(request);
}

static void piece_done(struct transport_message *message)
{
	struct piece *piece = message->context;
	struct request *request = piece->request;
	struct owner *owner = piece->owner;
	int status = message->status;

	put_piece(piece);
	if (request)
		piece_left(request, status);
	owner_push_run(owner);
	owner_queue_run(owner);
}

static void fill_piece(struct piece *piece, const struct request *request, uint32_t len)
{
	const struct owner *owner = request->owner;
	const struct peer_message message = {
		.kind = PEER_PUSH,
		.push = { .request = request->number,
			  .off = request->pushed,
			  .len = len,
			  .data = owner->setup.arena + request->stage.off + request->pushed },
	};

	piece->message = (struct transport_message){
		.data = piece->bytes,
		.len = peer_message_encode(&message, piece->bytes),
		.deadline_ns = clock_after_ns(owner_now(owner), OWNER_SEND_NS),
		.done = piece_done,
		.context = piece,
	};
	CHECK(piece->message.len);
}

/* Return: 0, or as transport_send(). */
static int send_piece(struct request *request)
{
	struct owner *owner = request->owner;
	struct piece *piece = SLIST_FIRST(&owner->pieces_free);
	uint32_t left = request->len - request->pushed;
	uint32_t len = left < PEER_PUSH_LEN_MAX ? left : PEER_PUSH_LEN_MAX;
	int error;

	fill_piece(piece, request, len);
	error = transport_send(request->asker->peer, &piece->message);
	if (error)
		return error;
	SLIST_REMOVE_HEAD(&owner->pieces_free, link);
	owner->pieces_out++;
	piece->request = request;
	request->pieces++;
	request->pushed += len;
	return 0;
}

/* One piece of each in turn. */
static void push_next(struct owner *owner, struct request *request)
{
	int error = send_piece(request);

	if (error == -EAGAIN || error == -ENOMEM)
		owner_request_list(request, &owner->stalled);
	else if (error) /* the connection is at its end */
		owner_request_end(request);
	else if (request->pushed == request->len)
		owner_request_put_frame(request);
	if (error)
		return;
	if (request->pushed == request->len || request->pieces == OWNER_PIECES_UNIT_MAX)
		owner_request_await(request);
	else
		owner_request_list(request, &owner->pushing);
}

void owner_push_run(struct owner *owner)
{
	struct request *request;

	while ((request = TAILQ_FIRST(&owner->pushing)) && !SLIST_EMPTY(&owner->pieces_free))
		push_next(owner, request);
}
