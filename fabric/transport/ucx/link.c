/*
 * link.c - the life of a connection.
 *
 *	ours:	ASKS -- WELCOME --> UP
 *	theirs:	WAITS -- HELLO with a proof --> UP
 *		WAITS -- HELLO without, or too late --> REFUSING
 *	any of them, doomed by an error of UCX, by a peer that does what it may not, by a deadline
 *	or by the front:
 *		--> CLOSING (endpoint closed by force) -- nothing lent any more --> down, freed
 *
 * A link is doomed at any time and place, also from within UCX's callbacks; it is closed by
 * ucx_links_end() alone, outside of them.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "fabric/transport/ucx/ucx.h"

#define PLACE_MASK ((UINT64_C(1) << UCX_TOKEN_INDEX_BITS) - 1)

/* Its low bits say where to look, the others cannot be guessed. */
static uint64_t new_token(uint32_t place)
{
	uint64_t token;

	do {
		random_bytes(&token, sizeof(token));
		token = (token & ~PLACE_MASK) | place;
	} while (!(token & ~PLACE_MASK));
	return token;
}

struct ucx_link *ucx_link_new(struct ucx_backend *backend, enum ucx_state state)
{
	struct ucx_link *link;

	if (!backend->free_place_count)
		return NULL;
	link = calloc(1, sizeof(*link));
	if (!link)
		return NULL;
	uint32_t place = backend->free_places[--backend->free_place_count];

	link->link.transport = backend->transport;
	link->link.active = state == UCX_ASKS;
	link->backend = backend;
	link->state = state;
	link->token = new_token(place);
	link->deadline_ns = CLOCK_NEVER;
	TAILQ_INIT(&link->outbox);
	backend->places[place] = link;
	TAILQ_INSERT_TAIL(&backend->links, link, entry);
	return link;
}

static void free_link(struct ucx_link *link)
{
	struct ucx_backend *backend = link->backend;
	uint32_t place = (uint32_t)(link->token & PLACE_MASK);

	CHECK(!link->lent && TAILQ_EMPTY(&link->outbox) && !link->requests);
	if (link->dirty)
		TAILQ_REMOVE(&backend->dirty, link, by_dirty);
	TAILQ_REMOVE(&backend->links, link, entry);
	backend->places[place] = NULL;
	backend->free_places[backend->free_place_count++] = place;
	free(link->asks);
	free(link->wants);
	free(link->welcome);
	free(link);
}

void ucx_link_discard(struct ucx_link *link)
{
	CHECK(!link->ep && !link->doomed);
	ucx_link_proven(link);
	ucx_frames_end(link);
	free_link(link);
}

struct ucx_link *ucx_link_of(struct ucx_backend *backend, uint64_t token)
{
	uint64_t place = token & PLACE_MASK;
	struct ucx_link *link = place < backend->place_count ? backend->places[place] : NULL;

	return link && link->token == token ? link : NULL;
}

void ucx_link_doom(struct ucx_link *link, int status, const char *why, ...)
{
	va_list arguments;

	if (link->doomed)
		return;
	va_start(arguments, why);
	vsnprintf(link->why, sizeof(link->why), why, arguments);
	va_end(arguments);
	link->status = status;
	link->doomed = true;
	TAILQ_INSERT_TAIL(&link->backend->doomed, link, by_doomed);
}

void ucx_link_proven(struct ucx_link *link)
{
	if (link->deadline_ns == CLOCK_NEVER)
		return;
	link->deadline_ns = CLOCK_NEVER;
	TAILQ_REMOVE(&link->backend->unproven, link, by_unproven);
	link->backend->unproven_count--;
}

void ucx_link_touch(struct ucx_link *link)
{
	if (link->dirty)
		return;
	link->dirty = true;
	TAILQ_INSERT_TAIL(&link->backend->dirty, link, by_dirty);
}

void ucx_link_failed(void *argument, ucp_ep_h ep, ucs_status_t status)
{
	struct ucx_link *link = argument;

	(void)ep;
	link->broken = true;
	if (status == UCS_ERR_CONNECTION_RESET || status == UCS_ERR_ENDPOINT_TIMEOUT)
		ucx_link_doom(link, -ECONNRESET, "the peer closed the connection, or died");
	else
		ucx_link_doom(link, ucx_error(status), "UCX: %s", ucs_status_string(status));
}

static void ep_closed(void *request, ucs_status_t status, void *argument)
{
	struct ucx_link *link = argument;

	(void)status;
	ucp_request_free(request);
	link->lent--;
}

static void close_ep(struct ucx_link *link)
{
	const ucp_request_param_t param = {
		.op_attr_mask = UCP_OP_ATTR_FIELD_FLAGS | UCP_OP_ATTR_FIELD_CALLBACK |
				UCP_OP_ATTR_FIELD_USER_DATA,
		.flags = UCP_EP_CLOSE_FLAG_FORCE,
		.cb.send = ep_closed,
		.user_data = link,
	};
	ucs_status_ptr_t request = ucp_ep_close_nbx(link->ep, &param);

	link->ep = NULL;
	link->backend->restless = UCX_RESTLESS_POLLS;
	if (UCS_PTR_IS_PTR(request))
		link->lent++;
	else if (UCS_PTR_IS_ERR(request))
		log_warning("ucx.close", "peer=%s error=\"%s\"", link->peer_text,
			    ucs_status_string(UCS_PTR_STATUS(request)));
}

void ucx_link_close(struct ucx_link *link)
{
	struct ucx_backend *backend = link->backend;

	if (link->state == UCX_CLOSING)
		return;
	ucx_link_proven(link);
	TAILQ_REMOVE(&backend->doomed, link, by_doomed);
	TAILQ_INSERT_TAIL(&backend->closing, link, by_doomed);
	link->state = UCX_CLOSING;
	if (link->ep)
		close_ep(link);
}

/* Nothing of UCX can touch what is ours any more: tells so. */
static void end(struct ucx_link *link)
{
	TAILQ_REMOVE(&link->backend->closing, link, by_doomed);
	link->backend->events++;
	ucx_asks_end(link);
	ucx_frames_end(link);
	if (link->link.peer)
		transport_link_down(&link->link, link->status, link->why);
	free_link(link);
}

void ucx_links_end(struct ucx_backend *backend)
{
	struct ucx_link *link, *next;

	while ((link = TAILQ_FIRST(&backend->doomed)))
		ucx_link_close(link);
	for (link = TAILQ_FIRST(&backend->closing); link; link = next) {
		next = TAILQ_NEXT(link, by_doomed);
		if (!link->lent)
			end(link);
	}
}

void ucx_links_expire(struct ucx_backend *backend)
{
	struct ucx_link *link, *next;
	uint64_t now_ns;

	if (TAILQ_EMPTY(&backend->unproven))
		return;
	now_ns = clock_now_ns(transport_clock(backend->transport));
	for (link = TAILQ_FIRST(&backend->unproven); link; link = next) {
		next = TAILQ_NEXT(link, by_unproven);
		if (link->deadline_ns > now_ns || link->doomed)
			continue;
		if (link->state == UCX_WAITS) {
			transport_count(backend->transport, TRANSPORT_FOREIGN, 1);
			log_warning("ucx.foreign",
				    "peer=%s problem=\"connected and did not say "
				    "who it is\"",
				    link->peer_text);
		}
		ucx_link_doom(link, -ETIMEDOUT, "did not say who it is");
	}
}
