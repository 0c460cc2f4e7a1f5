/*
 * meeting.c - two members meet: an endpoint is made, HELLO shows the proof that the handshake gave,
 * WELCOME tells the regions. And whatever else comes from the network, to the right hands.
 *
 * UCX finds the handler of an active message by the number on the wire, in a table that it does not
 * fill up, and looks behind its end: so all 65,536 entries are set.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "fabric/transport/ucx/ucx.h"

#define HANDLERS 65536

void ucx_forged(struct ucx_backend *backend, const struct ucx_link *link, const char *what)
{
	transport_count(backend->transport, TRANSPORT_FORGED, 1);
	log_warning("ucx.forged", "peer=%s problem=\"%s\"", link ? link->peer_text : "(unknown)",
		    what);
}

static void foreign(struct ucx_backend *backend, const struct ucx_link *link, const char *what)
{
	transport_count(backend->transport, TRANSPORT_FOREIGN, 1);
	log_warning("ucx.foreign", "peer=%s problem=\"%s\"", link ? link->peer_text : "(unknown)",
		    what);
}

/* Who has not proven itself yet and is where UCX says that a message came from. The endpoint is
   compared, never used: it may be any number of the wire. */
static struct ucx_link *unproven_at(struct ucx_backend *backend, const ucp_am_recv_param_t *param)
{
	ucp_ep_h ep = param->recv_attr & UCP_AM_RECV_ATTR_FIELD_REPLY_EP ? param->reply_ep : NULL;
	struct ucx_link *link = NULL;

	TAILQ_FOREACH (link, &backend->unproven, by_unproven) {
		if (ep && link->ep == ep && link->state == UCX_WAITS && !link->doomed)
			return link;
	}
	return NULL;
}

/* No session of ours says this. */
static void stray(struct ucx_backend *backend, const ucp_am_recv_param_t *param)
{
	struct ucx_link *link = unproven_at(backend, param);

	if (!link) {
		ucx_forged(backend, NULL, "a message of no session");
		return;
	}
	ucx_forged(backend, link, "a message before its proof");
	ucx_link_doom(link, -EACCES, "a message before its proof");
}

static ucs_status_t on_unknown(void *argument, const void *header, size_t header_length, void *data,
			       size_t length, const ucp_am_recv_param_t *param)
{
	struct ucx_backend *backend = argument;
	struct ucx_link *link = unproven_at(backend, param);

	(void)header, (void)header_length, (void)data, (void)length;
	foreign(backend, link, "an active message that is none of ours");
	if (link)
		ucx_link_doom(link, -EPROTO, "not of our protocol");
	return UCS_OK;
}

static void refuse(struct ucx_link *link, uint64_t to, int status, const char *text)
{
	struct ucx_refusal refusal = { .to = to, .status = status };
	struct ucx_frame *frame = ucx_frame_new(link, UCX_REFUSAL);

	if (!frame)
		return;
	snprintf(refusal.text, sizeof(refusal.text), "%s", text);
	frame->len = ucx_refusal_encode(&refusal, frame->bytes);
	ucx_frame_push(frame);
	link->state = UCX_REFUSING;
	link->deadline_ns = clock_after_ns(clock_now_ns(transport_clock(link->backend->transport)),
					   UCX_REFUSING_NS);
}

static void push_welcome(struct ucx_link *link)
{
	struct transport *transport = link->backend->transport;
	struct ucx_welcome welcome = {
		.to = link->peer_token,
		.token = link->token,
		.eager_max = UCX_EAGER_MAX,
		.depth = (uint32_t)transport_config(transport)->queue_depth,
	};
	struct ucx_frame *frame = ucx_frame_new(link, UCX_WELCOME);

	if (!frame)
		return;
	for (uint32_t i = 0; i < TRANSPORT_REGIONS_MAX; i++) {
		struct transport_region *region = transport_region_at(transport, i);

		if (!region || region->access != TRANSPORT_READABLE)
			continue;
		welcome.regions[welcome.region_count].index = i;
		welcome.regions[welcome.region_count++].len = region->len;
	}
	frame->len = ucx_welcome_encode(&welcome, frame->bytes);
	ucx_frame_push(frame);
}

static void admit(struct ucx_link *link, const struct ucx_hello *hello)
{
	struct ucx_backend *backend = link->backend;
	char refusal[TRANSPORT_REFUSAL_MAX];
	int error = ucx_wants_begin(link);

	if (error)
		snprintf(refusal, sizeof(refusal), "no memory for a connection");
	else
		error = transport_link_accept(&link->link, backend->transport, hello->proof,
					      sizeof(hello->proof), refusal);
	if (error) {
		refuse(link, hello->token, error, refusal);
		return;
	}
	ucx_link_proven(link);
	link->peer_token = hello->token;
	link->eager_max = hello->eager_max;
	link->state = UCX_UP;
	push_welcome(link);
	transport_link_up(&link->link);
}

/* None of ours comes so: its bytes are not even here yet. Not taking them ends it. */
static bool by_rendezvous(struct ucx_backend *backend, const ucp_am_recv_param_t *param)
{
	if (!(param->recv_attr & UCP_AM_RECV_ATTR_FLAG_RNDV))
		return false;
	stray(backend, param);
	return true;
}

static ucs_status_t on_hello(void *argument, const void *header, size_t header_length, void *data,
			     size_t length, const ucp_am_recv_param_t *param)
{
	struct ucx_backend *backend = argument;
	struct ucx_link *link = unproven_at(backend, param);
	struct ucx_hello hello;
	int error;

	(void)header, (void)header_length;
	if (by_rendezvous(backend, param))
		return UCS_OK;
	if (!link || backend->silent) {
		stray(backend, param);
		return UCS_OK;
	}
	backend->events++;
	error = ucx_hello_decode(data, length, &hello);
	if (!error) {
		admit(link, &hello);
		return UCS_OK;
	}
	foreign(backend, link,
		error == -EPROTONOSUPPORT ? "a HELLO of another version"
					  : "a HELLO that is none of ours");
	ucx_link_doom(link, error, "not of our protocol");
	return UCS_OK;
}

static void welcomed(struct ucx_link *link, const void *data, size_t len)
{
	int error;

	link->welcome = malloc(sizeof(*link->welcome));
	error = link->welcome ? ucx_welcome_decode(data, len, link->welcome) : -ENOMEM;
	if (error) {
		ucx_link_doom(link, error, "a WELCOME that is none of ours");
		return;
	}
	link->peer_token = link->welcome->token;
	link->eager_max = link->welcome->eager_max;
	error = ucx_asks_begin(link);
	if (error) {
		ucx_link_doom(link, error, "no memory for its requests");
		return;
	}
	link->state = UCX_UP;
	transport_link_up(&link->link);
}

static void refused(struct ucx_link *link, const void *data, size_t len)
{
	struct ucx_refusal refusal;

	if (ucx_refusal_decode(data, len, &refusal))
		ucx_link_doom(link, -EBADMSG, "a REFUSAL that is none of ours");
	else
		ucx_link_doom(link, refusal.status, "refused: %s", refusal.text);
}

/* What each kind needs its link to be. */
static bool expected(const struct ucx_link *link, enum ucx_kind kind)
{
	switch (kind) {
	case UCX_WELCOME:
	case UCX_REFUSAL:
		return link->state == UCX_ASKS;
	case UCX_READ:
		return link->state == UCX_UP && !link->link.active;
	case UCX_ANSWER:
		return link->state == UCX_UP && link->link.active;
	default:
		return link->state == UCX_UP;
	}
}

static struct ucx_link *session(struct ucx_backend *backend, enum ucx_kind kind, const void *head,
				size_t len, const ucp_am_recv_param_t *param)
{
	struct ucx_link *link = ucx_link_of(backend, ucx_to(head, len));

	if (!link) {
		stray(backend, param);
		return NULL;
	}
	if (link->doomed) /* what was on its way */
		return NULL;
	if (!(param->recv_attr & UCP_AM_RECV_ATTR_FIELD_REPLY_EP) || param->reply_ep != link->ep) {
		ucx_forged(backend, link, "a message of this session from somewhere else");
		return NULL;
	}
	if (!expected(link, kind)) {
		ucx_forged(backend, link, "a message that this side of a session may not send");
		ucx_link_doom(link, -EPROTO, "broke the protocol");
		return NULL;
	}
	if (backend->silent) {
		ucx_link_doom(link, -ECONNRESET, "a region that it could read was removed");
		return NULL;
	}
	backend->events++;
	return link;
}

static ucs_status_t on_answer(void *argument, const void *header, size_t header_length, void *data,
			      size_t length, const ucp_am_recv_param_t *param)
{
	struct ucx_link *link;

	if (by_rendezvous(argument, param))
		return UCS_OK;
	link = session(argument, UCX_ANSWER, header, header_length, param);

	if (link)
		ucx_answered(link, header, header_length, data, length);
	return UCS_OK;
}

/* Everything else lies in the payload, as it is not larger than a frame. */
static ucs_status_t on_control(struct ucx_backend *backend, enum ucx_kind kind, void *data,
			       size_t length, const ucp_am_recv_param_t *param)
{
	struct ucx_link *link;

	if (by_rendezvous(backend, param))
		return UCS_OK;
	link = session(backend, kind, data, length, param);
	if (!link)
		return UCS_OK;
	if (kind == UCX_WELCOME)
		welcomed(link, data, length);
	else if (kind == UCX_REFUSAL)
		refused(link, data, length);
	else if (kind == UCX_READ)
		ucx_wanted(link, data, length);
	else
		ucx_message_arrived(link, data, length);
	return UCS_OK;
}

#define CONTROL_HANDLER(name, kind)                                                                \
	static ucs_status_t name(void *argument, const void *header, size_t header_length,         \
				 void *data, size_t length, const ucp_am_recv_param_t *param)      \
	{                                                                                          \
		(void)header, (void)header_length;                                                 \
		return on_control(argument, kind, data, length, param);                            \
	}

CONTROL_HANDLER(on_welcome, UCX_WELCOME)
CONTROL_HANDLER(on_refusal, UCX_REFUSAL)
CONTROL_HANDLER(on_read, UCX_READ)
CONTROL_HANDLER(on_message, UCX_MESSAGE)

int ucx_handlers_set(struct ucx_backend *backend)
{
	static const ucp_am_recv_callback_t handlers[UCX_KINDS] = {
		[UCX_HELLO] = on_hello, [UCX_WELCOME] = on_welcome, [UCX_REFUSAL] = on_refusal,
		[UCX_READ] = on_read,	[UCX_ANSWER] = on_answer,   [UCX_MESSAGE] = on_message,
	};

	for (unsigned id = HANDLERS; id-- > 0;) { /* the last first: the table grows once */
		const ucp_am_handler_param_t param = {
			.field_mask =
				UCP_AM_HANDLER_PARAM_FIELD_ID | UCP_AM_HANDLER_PARAM_FIELD_FLAGS |
				UCP_AM_HANDLER_PARAM_FIELD_CB | UCP_AM_HANDLER_PARAM_FIELD_ARG,
			.id = id,
			.flags = UCP_AM_FLAG_WHOLE_MSG,
			.cb = id < UCX_KINDS ? handlers[id] : on_unknown,
			.arg = backend,
		};
		ucs_status_t status = ucp_worker_set_am_recv_handler(backend->worker, &param);

		if (status != UCS_OK)
			return ucx_error(status);
	}
	return 0;
}

/* Opens the endpoint that @param, but for the error handler, says. */
static ucs_status_t open_ep(struct ucx_link *link, ucp_ep_params_t *param)
{
	param->field_mask |= UCP_EP_PARAM_FIELD_ERR_HANDLER | UCP_EP_PARAM_FIELD_ERR_HANDLING_MODE;
	param->err_mode = UCP_ERR_HANDLING_MODE_PEER;
	param->err_handler = (ucp_err_handler_t){ .cb = ucx_link_failed, .arg = link };
	return ucp_ep_create(link->backend->worker, param, &link->ep);
}

int ucx_meet(struct ucx_backend *backend, const struct address *address,
	     const uint8_t proof[TRANSPORT_PROOF_LEN], struct transport_link **out_link,
	     char *problem, size_t problem_size)
{
	struct ucx_link *link = ucx_link_new(backend, UCX_ASKS);
	struct ucx_hello hello = { .eager_max = UCX_EAGER_MAX };
	ucp_ep_params_t param = {
		.field_mask = UCP_EP_PARAM_FIELD_FLAGS | UCP_EP_PARAM_FIELD_SOCK_ADDR,
		.flags = UCP_EP_PARAMS_FLAGS_CLIENT_SERVER,
		.sockaddr = { .addr = (const struct sockaddr *)&address->storage,
			      .addrlen = address_len(address) },
	};
	struct ucx_frame *frame;
	ucs_status_t status;

	if (!link) {
		snprintf(problem, problem_size, "no memory for a connection, or too many of them");
		return -ENOMEM;
	}
	address_text(address, link->peer_text);
	status = open_ep(link, &param);
	if (status != UCS_OK) {
		snprintf(problem, problem_size, "UCX cannot connect to %s: %s", link->peer_text,
			 ucs_status_string(status));
		link->ep = NULL;
		ucx_link_discard(link);
		return ucx_error(status);
	}
	hello.token = link->token;
	memcpy(hello.proof, proof, sizeof(hello.proof));
	frame = ucx_frame_new(link, UCX_HELLO); /* without memory, the link is doomed */
	if (frame) {
		frame->len = ucx_hello_encode(&hello, frame->bytes);
		ucx_frame_push(frame);
	}
	*out_link = &link->link;
	return 0;
}

static void peer_of_request(ucp_conn_request_h request, char out[ADDRESS_TEXT_MAX])
{
	ucp_conn_request_attr_t attr = { .field_mask = UCP_CONN_REQUEST_ATTR_FIELD_CLIENT_ADDR };
	struct address address = { 0 };

	if (ucp_conn_request_query(request, &attr) == UCS_OK)
		address.storage = attr.client_address;
	address_text(&address, out);
}

/* Somebody connects: it has UCX_UNPROVEN_NS to say who it is. */
static void on_connection(ucp_conn_request_h request, void *argument)
{
	struct ucx_backend *backend = argument;
	struct ucx_link *link = backend->unproven_count < UCX_UNPROVEN_MAX
					? ucx_link_new(backend, UCX_WAITS)
					: NULL;
	ucp_ep_params_t param = { .field_mask = UCP_EP_PARAM_FIELD_CONN_REQUEST,
				  .conn_request = request };
	ucs_status_t status;

	if (!link) {
		char peer[ADDRESS_TEXT_MAX];

		peer_of_request(request, peer);
		log_warning("ucx.crowd",
			    "peer=%s problem=\"%u connections have not said who they "
			    "are yet: this one is turned away\"",
			    peer, backend->unproven_count);
		ucp_listener_reject(backend->listener, request);
		return;
	}
	peer_of_request(request, link->peer_text);
	status = open_ep(link, &param);
	if (status != UCS_OK) {
		log_warning("ucx.accept", "peer=%s error=\"%s\"", link->peer_text,
			    ucs_status_string(status));
		link->ep = NULL;
		ucx_link_discard(link);
		return;
	}
	link->deadline_ns =
		clock_after_ns(clock_now_ns(transport_clock(backend->transport)), UCX_UNPROVEN_NS);
	TAILQ_INSERT_TAIL(&backend->unproven, link, by_unproven);
	backend->unproven_count++;
}

int ucx_listen(struct ucx_backend *backend, const struct address *address,
	       struct address *out_address, char *problem, size_t problem_size)
{
	struct address any_port = *address;
	char text[ADDRESS_TEXT_MAX];
	ucp_listener_attr_t attr = { .field_mask = UCP_LISTENER_ATTR_FIELD_SOCKADDR };
	ucp_listener_params_t param = {
		.field_mask =
			UCP_LISTENER_PARAM_FIELD_SOCK_ADDR | UCP_LISTENER_PARAM_FIELD_CONN_HANDLER,
		.conn_handler = { .cb = on_connection, .arg = backend },
	};
	ucs_status_t status;
	int error;

	address_set_port(&any_port, 0);
	if (!address_is_any(address) && !ucx_devices_have(address)) {
		address_text(address, text);
		snprintf(problem, problem_size,
			 "UCX cannot use %s, which no interface has (of 127.0.0.0/8 only 127.0.0.1 "
			 "is lo's): listen at an address that `ip address` shows, or add this one",
			 text);
		return -EADDRNOTAVAIL;
	}
	param.sockaddr = (ucs_sock_addr_t){ .addr = (struct sockaddr *)&any_port.storage,
					    .addrlen = address_len(&any_port) };
	status = ucp_listener_create(backend->worker, &param, &backend->listener);
	if (status == UCS_OK)
		status = ucp_listener_query(backend->listener, &attr);
	if (status != UCS_OK) {
		snprintf(problem, problem_size, "UCX cannot listen at %s: %s",
			 address_text(&any_port, text), ucs_status_string(status));
		return status == UCS_ERR_INVALID_ADDR ? -EADDRNOTAVAIL : ucx_error(status);
	}
	*out_address = any_port;
	out_address->storage = attr.sockaddr;
	error = ucx_guard(out_address);
	if (error && !(error == -ENOENT && ucx_devices_rdma())) {
		snprintf(problem, problem_size,
			 "UCX's listener at %s cannot be protected from foreign clients: %s",
			 address_text(out_address, text), error_text(error));
		return error;
	}
	return 0;
}
