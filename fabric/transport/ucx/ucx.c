/*
 * ucx.c - the ops of the backend: see ucx.h, and backend.h for what they promise.
 *
 * One UCP worker, used by the owner thread alone (UCX has a thread of its own beside it, that
 * accepts and connects). poll() sends what was queued since the last one, lets UCX progress, ends
 * what was doomed in it, and sends what it led to.
 */
#include "fabric/transport/ucx/ucx.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"

static struct ucx_link *ours(struct transport_link *link)
{
	return CONTAINER_OF(link, struct ucx_link, link);
}

static int make_places(struct ucx_backend *backend, const struct transport_config *config)
{
	uint32_t count =
		2 * (uint32_t)config->peers_connected_max + UCX_UNPROVEN_MAX + UCX_LINKS_SPARE;

	CHECK(count < 1u << UCX_TOKEN_INDEX_BITS);
	backend->places = calloc(count, sizeof(struct ucx_link *));
	backend->free_places = calloc(count, sizeof(uint32_t));
	if (!backend->places || !backend->free_places)
		return -ENOMEM;
	backend->place_count = backend->free_place_count = count;
	for (uint32_t i = 0; i < count; i++)
		backend->free_places[i] = count - 1 - i;
	return 0;
}

static int open_worker(struct ucx_backend *backend, char *problem, size_t problem_size)
{
	const ucp_worker_params_t param = {
		.field_mask = UCP_WORKER_PARAM_FIELD_THREAD_MODE,
		.thread_mode = UCS_THREAD_MODE_SINGLE,
	};
	ucs_status_t status = ucp_worker_create(backend->context, &param, &backend->worker);
	int error;

	if (status != UCS_OK) {
		snprintf(problem, problem_size, "UCX cannot open its transports: %s",
			 ucs_status_string(status));
		return ucx_error(status);
	}
	error = ucx_handlers_set(backend);
	if (!error)
		error = ucx_error(ucp_worker_get_efd(backend->worker, &backend->event_fd));
	if (error) {
		snprintf(problem, problem_size, "UCX cannot be waited for, or has no memory");
		ucp_worker_destroy(backend->worker);
	}
	return error;
}

static void devices_text(const struct transport_config *config, char *text, size_t size)
{
	size_t used = (size_t)snprintf(text, size, "ucx (tcp");

	for (unsigned i = 0; i < config->devices.count && used < size; i++)
		used += (size_t)snprintf(text + used, size - used, "%s%s", i ? ", " : ": ",
					 config->devices.items[i]);
	if (used < size)
		snprintf(text + used, size - used, ")");
}

static void free_backend(struct ucx_backend *backend)
{
	ucx_backend_trim(backend);
	free(backend->places);
	free(backend->free_places);
	free(backend);
}

static int ucx_open(struct transport *transport, const struct transport_config *config,
		    void **out_backend, char *text, size_t text_size, char *problem,
		    size_t problem_size)
{
	struct ucx_backend *backend;
	int error = ucx_devices_check(&config->devices, problem, problem_size);

	if (error)
		return error;
	backend = calloc(1, sizeof(*backend));
	if (!backend || make_places(backend, config)) {
		snprintf(problem, problem_size, "no memory for UCX's connections");
		error = -ENOMEM;
		goto discard;
	}
	backend->transport = transport;
	TAILQ_INIT(&backend->links);
	TAILQ_INIT(&backend->unproven);
	TAILQ_INIT(&backend->dirty);
	TAILQ_INIT(&backend->doomed);
	TAILQ_INIT(&backend->closing);
	TAILQ_INIT(&backend->frames);
	SLIST_INIT(&backend->batches);
	error = ucx_context_open(config, &backend->context, problem, problem_size);
	if (error)
		goto discard;
	error = open_worker(backend, problem, problem_size);
	if (error)
		goto close_context;
	if (config->devices.count)
		transport_place(transport, ucx_devices_node(config->devices.items[0]));
	devices_text(config, text, text_size);
	*out_backend = backend;
	return 0;

close_context:
	ucp_cleanup(backend->context);
discard:
	if (backend)
		free_backend(backend);
	return error;
}

static void flush(struct ucx_backend *backend)
{
	struct ucx_link *link;

	while ((link = TAILQ_FIRST(&backend->dirty))) {
		TAILQ_REMOVE(&backend->dirty, link, by_dirty);
		link->dirty = false;
		if (link->doomed)
			continue;
		ucx_wants_flush(link);
		ucx_asks_flush(link);
		ucx_frames_flush(link);
	}
}

static int ucx_poll(void *argument)
{
	struct ucx_backend *backend = argument;

	backend->events = 0;
	if (backend->restless)
		backend->restless--;
	flush(backend);
	ucp_worker_progress(backend->worker);
	ucx_links_expire(backend);
	flush(backend);
	ucx_links_end(backend);
	return backend->events;
}

static int ucx_event_fd(void *argument)
{
	return ((struct ucx_backend *)argument)->event_fd;
}

/* When an endpoint was closed, UCX does the rest (closing its sockets) in the next few progresses,
   and its event descriptor does not say so. */
static int ucx_arm(void *argument)
{
	struct ucx_backend *backend = argument;

	if (!TAILQ_EMPTY(&backend->dirty) || !TAILQ_EMPTY(&backend->doomed) || backend->restless)
		return -EAGAIN;
	return ucp_worker_arm(backend->worker) == UCS_OK ? 0 : -EAGAIN;
}

static uint64_t ucx_next_ns(void *argument)
{
	struct ucx_backend *backend = argument;
	uint64_t next_ns = CLOCK_NEVER;
	struct ucx_link *link = NULL;

	if (!TAILQ_EMPTY(&backend->dirty) || !TAILQ_EMPTY(&backend->doomed))
		return 0;
	if (!TAILQ_EMPTY(&backend->closing))
		next_ns = clock_now_ns(transport_clock(backend->transport)) + UCX_CLOSING_NS;
	TAILQ_FOREACH (link, &backend->unproven, by_unproven) {
		if (link->deadline_ns < next_ns)
			next_ns = link->deadline_ns;
	}
	return next_ns;
}

static int ucx_region_add(void *argument, struct transport_region *region, char *problem,
			  size_t problem_size)
{
	struct ucx_backend *backend = argument;
	const ucp_mem_map_params_t param = {
		.field_mask = UCP_MEM_MAP_PARAM_FIELD_ADDRESS | UCP_MEM_MAP_PARAM_FIELD_LENGTH,
		.address = region->base,
		.length = region->len,
	};
	ucp_mem_h memory;
	ucs_status_t status = ucp_mem_map(backend->context, &param, &memory);

	if (status != UCS_OK) {
		snprintf(problem, problem_size,
			 "UCX cannot register %zu bytes (%s): is the limit of locked memory "
			 "(ulimit -l) too low?",
			 region->len, ucs_status_string(status));
		return ucx_error(status);
	}
	region->backend = memory;
	return 0;
}

/* UCX may hold answers out of the region: those connections are closed, and nobody is called up
   meanwhile, for that is poll()'s to do. */
static void ucx_region_remove(void *argument, struct transport_region *region)
{
	struct ucx_backend *backend = argument;
	uint64_t until_ns = clock_now_ns(clock_system()) + UCX_CLOSE_NS;
	struct ucx_link *link = NULL;
	bool lent;

	backend->silent = true;
	do {
		lent = false;
		TAILQ_FOREACH (link, &backend->links, entry) {
			if (!link->answering)
				continue;
			ucx_link_doom(link, -ECONNRESET, "a region that it could read was removed");
			ucx_link_close(link);
			lent = lent || link->answering > link->wants_count;
		}
		if (lent)
			ucp_worker_progress(backend->worker);
	} while (lent && clock_now_ns(clock_system()) < until_ns);
	CHECK(!lent);
	backend->silent = false;
	ucp_mem_unmap(backend->context, region->backend);
	region->backend = NULL;
}

static int ucx_listen_at(void *argument, const struct address *address,
			 uint8_t offer[TRANSPORT_OFFER_MAX], char *problem, size_t problem_size)
{
	struct address at;
	int error = ucx_listen(argument, address, &at, problem, problem_size);

	return error ? error : (int)ucx_offer_encode(&at, 1, offer);
}

static int ucx_connect(void *argument, const struct address *greeted, const uint8_t *offer,
		       size_t offer_len, const uint8_t proof[TRANSPORT_PROOF_LEN],
		       struct transport_link **out_link, char *problem, size_t problem_size)
{
	struct address addresses[UCX_OFFER_ADDRESSES_MAX], *to = &addresses[0];
	int count = ucx_offer_decode(offer, offer_len, addresses);

	if (count < 0) {
		snprintf(problem, problem_size,
			 count == -EPROTONOSUPPORT ? "its offer is of another version of UCX's "
						     "part of Cenote"
						   : "its offer is none of ours");
		return count;
	}
	if (address_is_any(to)) { /* it listens everywhere, also where it answered the handshake */
		uint16_t port = address_port(to);

		*to = *greeted;
		address_set_port(to, port);
	}
	return ucx_meet(argument, to, proof, out_link, problem, problem_size);
}

static int ucx_read(struct transport_link *link, struct transport_read *read)
{
	return ucx_ask(ours(link), read);
}

static int ucx_send(struct transport_link *link, struct transport_message *message)
{
	return ucx_message_send(ours(link), message);
}

static void ucx_disconnect(struct transport_link *link)
{
	ucx_link_doom(ours(link), -ECANCELED, "closed by us");
}

static void end_all(struct ucx_backend *backend)
{
	uint64_t until_ns = clock_now_ns(clock_system()) + UCX_CLOSE_NS;
	struct ucx_link *link = NULL;

	TAILQ_FOREACH (link, &backend->links, entry) {
		ucx_link_doom(link, -ECANCELED, "closing");
	}
	ucx_links_end(backend);
	while (!TAILQ_EMPTY(&backend->links) && clock_now_ns(clock_system()) < until_ns) {
		ucp_worker_progress(backend->worker);
		ucx_links_end(backend);
	}
}

static void ucx_close(void *argument)
{
	struct ucx_backend *backend = argument;
	struct ucx_link *link = NULL;

	if (backend->listener)
		ucp_listener_destroy(backend->listener);
	end_all(backend);
	ucp_worker_destroy(backend->worker);
	/* What UCX would not give back in time, it cannot use without its worker. */
	TAILQ_FOREACH (link, &backend->links, entry) {
		log_warning("ucx.close", "peer=%s problem=\"%u requests were not given back\"",
			    link->peer_text, link->lent);
		link->lent = 0;
	}
	ucx_links_end(backend);
	for (uint32_t i = 0; i < TRANSPORT_REGIONS_MAX; i++) {
		struct transport_region *region = transport_region_at(backend->transport, i);

		if (region && region->backend)
			ucp_mem_unmap(backend->context, region->backend);
	}
	ucp_cleanup(backend->context);
	free_backend(backend);
}

const struct transport_ops transport_ucx_ops = {
	.kind = TRANSPORT_UCX,
	.greets = true,
	.open = ucx_open,
	.close = ucx_close,
	.region_add = ucx_region_add,
	.region_remove = ucx_region_remove,
	.listen = ucx_listen_at,
	.connect = ucx_connect,
	.read = ucx_read,
	.send = ucx_send,
	.disconnect = ucx_disconnect,
	.region_len = ucx_region_len,
	.poll = ucx_poll,
	.event_fd = ucx_event_fd,
	.arm = ucx_arm,
	.next_ns = ucx_next_ns,
};
