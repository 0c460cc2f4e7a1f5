/*
 * outbox.c - letters: a transport's message and the bytes it sends.
 *
 *	free (kept, at most `limit`) --> encoded --> under way --> done() --> free
 *	                                    `--- refused by the transport ----^
 *
 * They are made when first needed, as most nodes never have many under way, and never given back:
 * who needed them once needs them again.
 */
#include "cache/peer/outbox.h"

#include <errno.h>
#include <stdlib.h>

#include "base/check.h"

struct letter {
	struct transport_message message;
	SLIST_ENTRY(letter) link; /* while free */
	uint8_t data[TRANSPORT_MESSAGE_MAX];
};

SLIST_HEAD(letters, letter);

struct outbox {
	const struct clock *clock;
	unsigned limit;
	unsigned count;	    /* of letters made */
	unsigned under_way; /* of them */
	uint64_t dropped;
	struct letters free;
};

int outbox_create(const struct clock *clock, unsigned limit, struct outbox **out_outbox)
{
	struct outbox *outbox = calloc(1, sizeof(*outbox));

	if (!outbox)
		return -ENOMEM;
	outbox->clock = clock;
	outbox->limit = limit;
	SLIST_INIT(&outbox->free);
	*out_outbox = outbox;
	return 0;
}

void outbox_destroy(struct outbox *outbox)
{
	struct letter *letter;

	if (!outbox)
		return;
	CHECK(outbox->under_way == 0);
	while ((letter = SLIST_FIRST(&outbox->free)) != NULL) {
		SLIST_REMOVE_HEAD(&outbox->free, link);
		free(letter);
	}
	free(outbox);
}

/* Return: 0; -EAGAIN: all are under way; -ENOMEM. */
static int take(struct outbox *outbox, struct letter **out_letter)
{
	struct letter *letter = SLIST_FIRST(&outbox->free);

	if (letter) {
		SLIST_REMOVE_HEAD(&outbox->free, link);
	} else {
		if (outbox->count >= outbox->limit)
			return -EAGAIN;
		letter = malloc(sizeof(*letter));
		if (!letter)
			return -ENOMEM;
		outbox->count++;
	}
	outbox->under_way++;
	*out_letter = letter;
	return 0;
}

static void give_back(struct outbox *outbox, struct letter *letter)
{
	outbox->under_way--;
	SLIST_INSERT_HEAD(&outbox->free, letter, link);
}

static void sent(struct transport_message *message)
{
	struct outbox *outbox = message->context;

	if (message->status)
		outbox->dropped++;
	give_back(outbox, CONTAINER_OF(message, struct letter, message));
}

int outbox_send(struct outbox *outbox, struct transport_peer *peer,
		const struct peer_message *message, uint64_t timeout_ns)
{
	struct letter *letter = NULL;
	int error = take(outbox, &letter);

	if (error)
		return error;
	letter->message = (struct transport_message){
		.data = letter->data,
		.len = peer_message_encode(message, letter->data),
		.deadline_ns = clock_after_ns(clock_now_ns(outbox->clock), timeout_ns),
		.done = sent,
		.context = outbox,
	};
	error = letter->message.len ? transport_send(peer, &letter->message) : -EMSGSIZE;
	if (error)
		give_back(outbox, letter);
	return error;
}

uint64_t outbox_dropped(const struct outbox *outbox)
{
	return outbox->dropped;
}
