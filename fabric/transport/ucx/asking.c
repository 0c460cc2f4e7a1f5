/*
 * asking.c - our reads of a peer's memory. A read is cut into slices; each takes one of the link's
 * places for requests (an *ask*), goes out in a READ with others, and comes back as a piece of an
 * ANSWER, whose bytes are copied to where they belong while the answer is handled. So nobody else
 * ever writes a read's destination, and a place that is free again cannot be written to.
 *
 * Rendezvous would spare that copy, and was dropped: UCX writes the destination itself then, by
 * PUTs of its tcp, and an owner whose reader leaves in the middle of one aborts on an assertion of
 * UCX (1.13, tcp_ep.c:939: an acknowledgement that it does not expect any more).
 *
 * A read whose slices do not all find a place is `partial`; it gets the places that come free, and
 * the next one waits until it is through.
 *
 * Of a read, backend[0] counts the slices under way, [1] is how far it was cut, [2] its status.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fabric/transport/ucx/ucx.h"

enum {
	SLICES,
	CUT,
	STATUS,
};

#define ID_OF(ask)	  ((uint32_t)(ask)->generation << 16 | (uint32_t)((ask) - (ask)->link->asks))
#define ID_PLACE(id)	  ((id)&UINT16_MAX)
#define ID_GENERATION(id) ((id) >> 16)

int ucx_asks_begin(struct ucx_link *link)
{
	const struct transport_config *config = transport_config(link->link.transport);
	uint32_t depth = (uint32_t)config->queue_depth;

	if (depth > link->welcome->depth)
		depth = link->welcome->depth;
	link->asks = calloc(depth, sizeof(*link->asks));
	if (!link->asks)
		return -ENOMEM;
	link->ask_count = (uint16_t)depth;
	for (uint16_t i = 0; i < link->ask_count; i++) {
		link->asks[i].link = link;
		link->asks[i].next_free = (uint16_t)(i + 1);
	}
	link->free_ask = 0;
	link->slice_len = (uint32_t)config->slice_len;
	if (link->slice_len > UCX_EAGER_MAX)
		link->slice_len = UCX_EAGER_MAX;
	if (link->slice_len > link->welcome->eager_max)
		link->slice_len = link->welcome->eager_max;
	return 0;
}

static struct ucx_ask *take_ask(struct ucx_link *link)
{
	struct ucx_ask *ask = &link->asks[link->free_ask];

	link->free_ask = ask->next_free;
	ask->generation++;
	return ask;
}

static void free_ask(struct ucx_ask *ask)
{
	struct ucx_link *link = ask->link;

	ask->read = NULL;
	ask->next_free = link->free_ask;
	link->free_ask = (uint16_t)(ask - link->asks);
}

void ucx_asks_flush(struct ucx_link *link)
{
	if (!link->requests)
		return;
	ucx_frame_push(link->requests);
	link->requests = NULL;
}

/* Room for a request in the READ that is being filled. Return: 0, -ENOMEM. */
static int make_room(struct ucx_link *link)
{
	if (link->requests &&
	    link->requests->len == UCX_READ_HEAD_LEN + UCX_REQUESTS_MAX * UCX_REQUEST_LEN)
		ucx_asks_flush(link);
	if (link->requests)
		return 0;
	link->requests = ucx_frame_new(link, UCX_READ);
	if (!link->requests)
		return -ENOMEM;
	link->requests->len = ucx_read_begin(link->peer_token, link->requests->bytes);
	ucx_link_touch(link);
	return 0;
}

/* Asks for as much of @read as finds a place. */
static void cut_slices(struct ucx_link *link, struct transport_read *read)
{
	while (read->backend[CUT] < read->len && link->free_ask < link->ask_count &&
	       !make_room(link)) {
		size_t left = read->len - read->backend[CUT];
		uint32_t len = left < link->slice_len ? (uint32_t)left : link->slice_len;
		struct ucx_ask *ask = take_ask(link);
		const struct ucx_request request = { .id = ID_OF(ask),
						     .region = read->region,
						     .off = read->off + read->backend[CUT],
						     .len = len };

		ask->read = read;
		ask->dst = (uint8_t *)read->dst + read->backend[CUT];
		ask->len = len;
		link->requests->len += ucx_read_add(link->requests->bytes, &request);
		read->backend[CUT] += len;
		read->backend[SLICES]++;
	}
	link->partial = read->backend[CUT] < read->len ? read : NULL;
}

static uint64_t region_len(const struct ucx_link *link, uint32_t region)
{
	for (unsigned i = 0; i < link->welcome->region_count; i++) {
		if (link->welcome->regions[i].index == region)
			return link->welcome->regions[i].len;
	}
	return 0;
}

int ucx_ask(struct ucx_link *link, struct transport_read *read)
{
	uint64_t len;

	if (link->state != UCX_UP || link->doomed)
		return -ECONNRESET;
	len = region_len(link, read->region);
	if (read->off > len || read->len > len - read->off)
		return -ERANGE;
	if (link->partial || link->free_ask == link->ask_count)
		return -EAGAIN;
	read->backend[SLICES] = read->backend[CUT] = read->backend[STATUS] = 0;
	cut_slices(link, read);
	if (read->backend[SLICES])
		return 0;
	link->partial = NULL; /* no memory: the link is doomed */
	return -ECONNRESET;
}

uint64_t ucx_region_len(const struct transport_link *link, uint32_t region)
{
	const struct ucx_link *ours = (const struct ucx_link *)link;

	return ours->welcome ? region_len(ours, region) : 0;
}

/* A slice has come, or will not. */
static void end_ask(struct ucx_ask *ask, int status)
{
	struct ucx_link *link = ask->link;
	struct transport_read *read = ask->read;

	free_ask(ask);
	if (status && !read->backend[STATUS])
		read->backend[STATUS] = (uint64_t)-status;
	read->backend[SLICES]--;
	if (read->backend[STATUS] && link->partial == read)
		link->partial = NULL; /* what was not asked for is not wanted any more */
	if (link->partial && !link->doomed)
		cut_slices(link, link->partial);
	if (read->backend[SLICES] || link->partial == read)
		return;
	link->backend->events++;
	transport_link_read_done(read, -(int)read->backend[STATUS]);
}

/* The ask that a piece answers; NULL: none, or not any more. */
static struct ucx_ask *find(struct ucx_link *link, const struct ucx_piece *piece)
{
	uint32_t place = ID_PLACE(piece->id);
	struct ucx_ask *ask = place < link->ask_count ? &link->asks[place] : NULL;

	return ask && ask->read && ask->generation == ID_GENERATION(piece->id) ? ask : NULL;
}

static void land(struct ucx_link *link, const struct ucx_piece *piece, const uint8_t *bytes)
{
	struct ucx_ask *ask = find(link, piece);

	if (!ask) {
		ucx_forged(link->backend, link, "an answer that nobody waits for");
		return;
	}
	if (piece->status) {
		end_ask(ask, piece->status);
		return;
	}
	if (piece->len != ask->len) {
		ucx_forged(link->backend, link, "an answer of another length");
		end_ask(ask, -EIO);
		return;
	}
	memcpy(ask->dst, bytes, piece->len);
	transport_link_moved(&link->link);
	end_ask(ask, 0);
}

static bool fits(const struct ucx_piece *pieces, int count, size_t len)
{
	for (int i = 0; i < count; i++) {
		if (pieces[i].len > len)
			return false;
		len -= pieces[i].len;
	}
	return !len;
}

void ucx_answered(struct ucx_link *link, const void *head, size_t head_len, const void *data,
		  size_t len)
{
	struct ucx_piece pieces[UCX_PIECES_MAX];
	int count = ucx_answer_decode(head, head_len, pieces);
	const uint8_t *bytes = data;

	if (count < 0 || !fits(pieces, count, len)) {
		ucx_forged(link->backend, link, "an answer that is none of ours");
		ucx_link_doom(link, -EPROTO, "an answer that is none of ours");
		return;
	}
	for (int i = 0; i < count && !link->doomed; i++) {
		land(link, &pieces[i], bytes);
		bytes += pieces[i].len;
	}
}

void ucx_asks_end(struct ucx_link *link)
{
	struct transport_read *partial = link->partial;

	link->partial = NULL;
	if (partial && !partial->backend[SLICES]) /* there was no memory to ask for its rest */
		transport_link_read_done(partial, -ECONNRESET);
	for (uint16_t i = 0; i < link->ask_count; i++) {
		if (link->asks[i].read)
			end_ask(&link->asks[i], -ECONNRESET);
	}
}
