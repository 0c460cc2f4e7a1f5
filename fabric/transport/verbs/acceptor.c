/*
 * acceptor.c - being connected to. A request is answered at once: with a queue, or with a rejection
 * that says why. What does not show a proof, or the tag of a connection that waits for its rails,
 * gets no queue pair; so foreign clients and noise cost a counter and a limited line in the log.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "fabric/transport/verbs/verbs.h"

#define BACKLOG 256

static int listen_on(struct verbs_rail *rail, char *problem, size_t problem_size)
{
	char text[ADDRESS_TEXT_MAX];

	if (!rdma_listen(rail->listener, BACKLOG))
		return 0;
	int error = -errno;
	snprintf(problem, problem_size, "%s: cannot listen at %s: %s", verbs_rail_name(rail),
		 address_text(&rail->port.address, text), error_text(error));
	return error;
}

int verbs_listen(void *backend, const struct address *address, uint8_t offer[TRANSPORT_OFFER_MAX],
		 char *problem, size_t problem_size)
{
	struct verbs *verbs = backend;
	struct wire_rail rails[TRANSPORT_RAILS_MAX];
	unsigned count = 0;

	(void)address; /* each rail has its own; verbs_open() has preferred this host's */
	for (unsigned i = 0; i < verbs->rail_count; i++) {
		struct verbs_rail *rail = verbs->rails[i];

		if (rail->state != VERBS_RAIL_LIVE)
			continue;
		int error = listen_on(rail, problem, problem_size);
		if (error)
			return error;
		rails[count].index = (uint8_t)i;
		rails[count].address = rail->port.address;
		address_set_port(&rails[count].address, ntohs(rdma_get_src_port(rail->listener)));
		count++;
	}
	if (!count) {
		snprintf(problem, problem_size, "no rail is alive");
		return -ENODEV;
	}
	return (int)wire_offer_encode(rails, count, offer);
}

static void reject(struct verbs_rail *rail, struct rdma_cm_id *id, int status, const char *why)
{
	uint8_t data[WIRE_REFUSAL_MAX];
	size_t len = wire_refusal_encode(status, why, data);

	log_debug("transport.rejected", "device=%s why=\"%s\"", verbs_rail_name(rail), why);
	rdma_reject(id, data, (uint8_t)len);
	rdma_destroy_id(id);
}

static void foreign(struct verbs_rail *rail, struct rdma_cm_id *id, const char *why)
{
	char from[ADDRESS_TEXT_MAX];
	struct address address = { 0 };
	const struct sockaddr *peer = rdma_get_peer_addr(id);

	memcpy(&address.storage, peer,
	       peer->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6)
					   : sizeof(struct sockaddr_in));
	log_warning("transport.foreign", "device=%s from=%s problem=\"%s\"", verbs_rail_name(rail),
		    address_text(&address, from), why);
	transport_count(rail->verbs->transport, TRANSPORT_FOREIGN, 1);
	reject(rail, id, -EPROTONOSUPPORT, why);
}

static void request_control(struct verbs_rail *rail, struct rdma_cm_id *id,
			    const struct rdma_conn_param *asked, const struct wire_hello *hello)
{
	struct verbs *verbs = rail->verbs;
	struct verbs_link *link = verbs_link_new(verbs);
	char refusal[TRANSPORT_REFUSAL_MAX] = "";

	if (!link) {
		reject(rail, id, -EBUSY, "no memory for a connection");
		return;
	}
	int error = transport_link_accept(&link->base, verbs->transport, hello->secret,
					  sizeof(hello->secret), refusal);
	if (error) {
		verbs_link_free(link);
		reject(rail, id, error, refusal);
		return;
	}
	/* from here on the front knows it: it ends by transport_link_down() */
	link->state = VERBS_LINK_WAITS;
	random_bytes(&link->session, sizeof(link->session));
	memcpy(link->proof, hello->secret, sizeof(link->proof));
	link->control.rail = rail;
	link->control.peer_mtu = hello->mtu;
	verbs_link_timer(link, clock_after_ns(clock_now_ns(verbs->clock), verbs->connect_ns));
	error = verbs_queue_accept(&link->control, id, asked);
	if (error) {
		snprintf(refusal, sizeof(refusal), "the owner has no room: %s", error_text(error));
		reject(rail, id, -EBUSY, refusal);
		verbs_link_fence(link, error, refusal);
	}
}

/* The connection of that session, if whoever asks knows its proof. */
static struct verbs_link *link_of(struct verbs *verbs, const struct wire_hello *hello)
{
	uint8_t tag[WIRE_SECRET_LEN];

	for (struct verbs_link *link = TAILQ_FIRST(&verbs->links); link;
	     link = TAILQ_NEXT(link, by_verbs)) {
		if (link->base.active || link->session != hello->session ||
		    link->state == VERBS_LINK_FENCING)
			continue;
		wire_tag(link->proof, hello, tag);
		if (wire_secret_equal(tag, hello->secret))
			return link;
	}
	return NULL;
}

/* Rail i goes to rail i, and a later attempt replaces what is left of an earlier one. */
static void request_data(struct verbs_rail *rail, struct rdma_cm_id *id,
			 const struct rdma_conn_param *asked, const struct wire_hello *hello)
{
	struct verbs_link *link = link_of(rail->verbs, hello);
	struct verbs_queue *queue = link ? &link->data[rail->index] : NULL;

	if (!queue || hello->rail != rail->index || hello->attempt <= queue->attempt) {
		transport_count(rail->verbs->transport, TRANSPORT_REFUSALS, 1);
		log_warning("transport.refused",
			    "device=%s problem=\"a data queue that belongs to no connection\"",
			    verbs_rail_name(rail));
		reject(rail, id, -EACCES, "a data queue that belongs to no connection");
		return;
	}
	queue->attempt = hello->attempt;
	if (queue->state != VERBS_QUEUE_NONE) {
		verbs_queue_break(queue, "the peer makes it anew");
		reject(rail, id, -EBUSY, "the former queue is being taken down");
		return;
	}
	queue->rail = rail;
	queue->peer_mtu = hello->mtu;
	int error = verbs_queue_accept(queue, id, asked);
	if (error) {
		log_warning("transport.accept", "device=%s error=\"%s\"", verbs_rail_name(rail),
			    error_text(error));
		reject(rail, id, -EBUSY, error_text(error));
	}
}

void verbs_acceptor_request(struct verbs_rail *rail, struct rdma_cm_id *id,
			    const struct rdma_conn_param *asked, const void *data, size_t len)
{
	struct wire_hello hello;
	unsigned version = 0;
	char why[TRANSPORT_REFUSAL_MAX];
	int error = data ? wire_hello_decode(data, len, &hello, &version) : -EBADMSG;

	id->context = NULL;
	if (rail->state != VERBS_RAIL_LIVE) {
		reject(rail, id, -EBUSY, "the device is about to go");
	} else if (error == -EPROTONOSUPPORT) {
		snprintf(why, sizeof(why),
			 "verbs protocol version %u, ours is %u: run one version in a cluster",
			 version, WIRE_VERSION);
		foreign(rail, id, why);
	} else if (error) {
		foreign(rail, id, "a connect request that is not Cenote's");
	} else if (hello.role == WIRE_CONTROL) {
		request_control(rail, id, asked, &hello);
	} else {
		request_data(rail, id, asked, &hello);
	}
}
