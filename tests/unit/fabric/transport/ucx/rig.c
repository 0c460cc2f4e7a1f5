/*
 * rig.c - see rig.h.
 */
#include "tests/unit/fabric/transport/ucx/rig.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define RIGS_MAX 4

const uint8_t rig_proof[TRANSPORT_PROOF_LEN] = "a proof that the rig agrees to";

static struct transport *rigs[RIGS_MAX];
static struct raw *raws[RIGS_MAX];

/* The upcalls and what a backend may ask, of backend.h. */

int transport_link_accept(struct transport_link *link, struct transport *rig, const uint8_t *proof,
			  size_t proof_len, char refusal[TRANSPORT_REFUSAL_MAX])
{
	int error = rig->accept;

	if (proof_len != sizeof(rig_proof) || memcmp(proof, rig_proof, proof_len) != 0)
		error = -EACCES;
	if (error) {
		snprintf(refusal, TRANSPORT_REFUSAL_MAX, "the rig says no");
		return error;
	}
	rig->accepts++;
	rig->passive = link;
	link->peer = (struct transport_peer *)rig; /* only whether it is there matters */
	return 0;
}

void transport_link_up(struct transport_link *link)
{
	assert_false(link->up);
	link->up = true;
	link->transport->ups++;
	if (link->active)
		link->transport->active = link;
}

void transport_link_down(struct transport_link *link, int status, const char *why)
{
	struct transport *rig = link->transport;

	assert_non_null(link->peer);
	rig->downs++;
	rig->down_status = status;
	snprintf(rig->down_why, sizeof(rig->down_why), "%s", why);
	if (rig->passive == link)
		rig->passive = NULL;
	if (rig->active == link)
		rig->active = NULL;
}

void transport_link_message(struct transport_link *link, const void *data, size_t len)
{
	struct transport *rig = link->transport;

	assert_true(link->up);
	rig->messages++;
	rig->message_len = len;
	memcpy(rig->message, data, len);
	if (rig->on_message)
		rig->on_message(rig, data, len);
}

void transport_link_moved(struct transport_link *link)
{
	link->transport->moves++;
}

void transport_link_ready(struct transport_link *link)
{
	link->transport->readies++;
}

void transport_link_read_done(struct transport_read *read, int status)
{
	read->status = status;
	read->done(read);
}

void transport_link_message_done(struct transport_message *message, int status)
{
	message->status = status;
	message->done(message);
}

const struct clock *transport_clock(const struct transport *rig)
{
	return &rig->clock;
}

struct random *transport_random(struct transport *rig)
{
	return &rig->random;
}

const struct transport_config *transport_config(const struct transport *rig)
{
	return &rig->config;
}

void transport_count(struct transport *rig, enum transport_counter counter, int64_t amount)
{
	rig->counted[counter] += amount;
}

struct transport_region *transport_region_at(struct transport *rig, uint32_t index)
{
	return index < TRANSPORT_REGIONS_MAX ? rig->regions[index] : NULL;
}

void transport_place(const struct transport *rig, int numa_node)
{
	(void)rig, (void)numa_node;
}

/* The rig itself. */

static uint64_t rig_now(const struct clock *clock)
{
	const struct transport *rig = (const void *)clock; /* its first member */

	return clock_now_ns(clock_system()) + rig->ahead_ns;
}

uint8_t rig_byte(size_t off)
{
	return (uint8_t)((off * UINT64_C(0x9e3779b97f4a7c15)) >> 56);
}

struct transport_config rig_config(void)
{
	return (struct transport_config){
		.kind = TRANSPORT_UCX,
		.peers_connected_max = 16,
		.queue_depth = 64,
		.slice_len = TRANSPORT_SLICE_LEN_MAX,
		.reads_max = 1024,
	};
}

static void add_region(struct transport *rig, struct transport_region *region, uint32_t index,
		       enum transport_access access)
{
	char problem[TRANSPORT_PROBLEM_MAX];

	*region = (struct transport_region){ .index = index,
					     .len = RIG_REGION_LEN,
					     .access = access };
	region->base =
		mmap(NULL, region->len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(region->base, MAP_FAILED);
	assert_int_equal(
		transport_ucx_ops.region_add(rig->backend, region, problem, sizeof(problem)), 0);
	rig->regions[index] = region;
}

static void put_in(void *list[RIGS_MAX], void *what)
{
	for (unsigned i = 0; i < RIGS_MAX; i++) {
		if (!list[i]) {
			list[i] = what;
			return;
		}
	}
	fail_msg("too many rigs");
}

static void take_out(void *list[RIGS_MAX], const void *what)
{
	for (unsigned i = 0; i < RIGS_MAX; i++) {
		if (list[i] == what)
			list[i] = NULL;
	}
}

void rig_open(struct transport *rig, const struct transport_config *config, bool listen)
{
	char text[256], problem[TRANSPORT_PROBLEM_MAX] = "";
	void *backend = NULL;
	struct address at;

	memset(rig, 0, sizeof(*rig));
	rig->clock.now_ns = rig_now;
	rig->config = *config;
	random_init(&rig->random, 1);
	if (transport_ucx_ops.open(rig, config, &backend, text, sizeof(text), problem,
				   sizeof(problem)))
		fail_msg("%s", problem);
	rig->backend = backend;
	add_region(rig, &rig->readable, 0, TRANSPORT_READABLE);
	add_region(rig, &rig->landing, 1, TRANSPORT_LANDING);
	for (size_t i = 0; i < RIG_REGION_LEN; i++)
		rig->readable.base[i] = rig_byte(i);
	if (listen) {
		assert_int_equal(address_parse("127.0.0.1", 0, &at, problem, sizeof(problem)), 0);
		rig->offer_len = transport_ucx_ops.listen(rig->backend, &at, rig->offer, problem,
							  sizeof(problem));
		assert_true(rig->offer_len > 0);
	}
	put_in((void **)rigs, rig);
}

void rig_close(struct transport *rig)
{
	if (!rig->backend)
		return;
	transport_ucx_ops.close(rig->backend);
	rig->backend = NULL;
	munmap(rig->readable.base, rig->readable.len);
	munmap(rig->landing.base, rig->landing.len);
	take_out((void **)rigs, rig);
}

void rig_pump(void)
{
	int events = 0;

	for (unsigned i = 0; i < RIGS_MAX; i++) {
		if (rigs[i])
			events += transport_ucx_ops.poll(rigs[i]->backend);
		if (raws[i])
			events += (int)ucp_worker_progress(raws[i]->worker);
	}
	if (!events)
		sched_yield(); /* UCX's own thread, or another process, has something to do */
}

void rig_pump_for(uint64_t ns)
{
	uint64_t until_ns = clock_now_ns(clock_system()) + ns;

	while (clock_now_ns(clock_system()) < until_ns)
		rig_pump();
}

void rig_wait(const unsigned *count, unsigned wanted, const char *what)
{
	uint64_t until_ns = clock_now_ns(clock_system()) + RIG_PATIENCE_NS;

	while (*count < wanted) {
		rig_pump();
		if (clock_now_ns(clock_system()) > until_ns)
			fail_msg("%s: %u of %u in time", what, *count, wanted);
	}
}

void rig_wait_counted(const struct transport *rig, enum transport_counter counter, int64_t wanted)
{
	uint64_t until_ns = clock_now_ns(clock_system()) + RIG_PATIENCE_NS;

	while (rig->counted[counter] < wanted) {
		rig_pump();
		if (clock_now_ns(clock_system()) > until_ns)
			fail_msg("counter %d: %ld of %ld in time", (int)counter,
				 (long)rig->counted[counter], (long)wanted);
	}
	assert_int_equal(rig->counted[counter], wanted);
}

struct transport_link *rig_connect(struct transport *from, struct transport *to)
{
	char problem[TRANSPORT_PROBLEM_MAX] = "";
	struct address greeted = { 0 };
	struct transport_link *link;
	unsigned ups = from->ups;

	if (transport_ucx_ops.connect(from->backend, &greeted, to->offer, (size_t)to->offer_len,
				      rig_proof, &link, problem, sizeof(problem)))
		fail_msg("%s", problem);
	link->peer = (struct transport_peer *)from;
	rig_wait(&from->ups, ups + 1, "the connection");
	return link;
}

static void read_is_done(struct transport_read *read)
{
	struct rig_read *ours = CONTAINER_OF(read, struct rig_read, read);

	ours->dones++;
	if (ours->scribble)
		memset(read->dst, RIG_SCRIBBLED, read->len);
}

int rig_read(struct rig_read *read, struct transport *rig, struct transport_link *link,
	     uint64_t off, size_t len, size_t at)
{
	read->read = (struct transport_read){ .region = 0,
					      .off = off,
					      .len = len,
					      .dst = rig->landing.base + at,
					      .done = read_is_done };
	read->dones = 0;
	return transport_ucx_ops.read(link, &read->read);
}

bool rig_read_right(const struct rig_read *read)
{
	const uint8_t *dst = read->read.dst;

	for (size_t i = 0; i < read->read.len; i++) {
		if (dst[i] != rig_byte(read->read.off + i))
			return false;
	}
	return true;
}

/* Raw workers. */

static ucs_status_t raw_came(void *argument, const void *header, size_t header_length, void *data,
			     size_t length, const ucp_am_recv_param_t *param)
{
	const struct raw_handler *handler = argument;
	struct raw *raw = handler->raw;
	unsigned kind = handler->kind;
	size_t kept = length < UCX_FRAME_LEN ? length : UCX_FRAME_LEN;

	if (kind == UCX_ANSWER && header_length <= sizeof(raw->head)) {
		memcpy(raw->head, header, header_length);
		raw->head_len = header_length;
		raw->payload_len = length;
	}
	if (!(param->recv_attr & UCP_AM_RECV_ATTR_FLAG_RNDV)) {
		memcpy(raw->last[kind], data, kept);
		raw->last_len[kind] = kept;
	}
	raw->came[kind]++;
	return UCS_OK;
}

void raw_open(struct raw *raw)
{
	const ucp_params_t params = { .field_mask = UCP_PARAM_FIELD_FEATURES,
				      .features = UCP_FEATURE_AM };
	const ucp_worker_params_t worker = { .field_mask = UCP_WORKER_PARAM_FIELD_THREAD_MODE,
					     .thread_mode = UCS_THREAD_MODE_SINGLE };
	ucp_config_t *config;

	memset(raw, 0, sizeof(*raw));
	assert_int_equal(ucp_config_read(NULL, NULL, &config), UCS_OK);
	assert_int_equal(ucp_config_modify(config, "TLS", "tcp"), UCS_OK);
	assert_int_equal(ucp_config_modify(config, "CM_USE_ALL_DEVICES", "n"), UCS_OK);
	assert_int_equal(ucp_config_modify(config, "RCACHE_ENABLE", "n"), UCS_OK);
	assert_int_equal(ucp_init(&params, config, &raw->context), UCS_OK);
	ucp_config_release(config);
	assert_int_equal(ucp_worker_create(raw->context, &worker, &raw->worker), UCS_OK);
	for (unsigned kind = UCX_KINDS; kind-- > 0;) {
		const ucp_am_handler_param_t param = {
			.field_mask = UCP_AM_HANDLER_PARAM_FIELD_ID |
				      UCP_AM_HANDLER_PARAM_FIELD_CB |
				      UCP_AM_HANDLER_PARAM_FIELD_ARG,
			.id = kind,
			.cb = raw_came,
			.arg = &raw->handlers[kind],
		};

		raw->handlers[kind] = (struct raw_handler){ raw, kind };
		assert_int_equal(ucp_worker_set_am_recv_handler(raw->worker, &param), UCS_OK);
	}
	put_in((void **)raws, raw);
}

void raw_close(struct raw *raw)
{
	const ucp_request_param_t param = { .op_attr_mask = UCP_OP_ATTR_FIELD_FLAGS,
					    .flags = UCP_EP_CLOSE_FLAG_FORCE };

	if (!raw->worker)
		return;
	if (raw->listener)
		ucp_listener_destroy(raw->listener);
	if (raw->ep) {
		ucs_status_ptr_t request = ucp_ep_close_nbx(raw->ep, &param);

		if (UCS_PTR_IS_PTR(request))
			ucp_request_free(request);
	}
	ucp_worker_destroy(raw->worker);
	ucp_cleanup(raw->context);
	raw->worker = NULL;
	take_out((void **)raws, raw);
}

static void raw_failed(void *argument, ucp_ep_h ep, ucs_status_t status)
{
	struct raw *raw = argument;

	(void)ep, (void)status;
	raw->errors++;
}

static void raw_ep(struct raw *raw, ucp_ep_params_t *param)
{
	param->field_mask |= UCP_EP_PARAM_FIELD_ERR_HANDLER | UCP_EP_PARAM_FIELD_ERR_HANDLING_MODE;
	param->err_mode = UCP_ERR_HANDLING_MODE_PEER;
	param->err_handler = (ucp_err_handler_t){ .cb = raw_failed, .arg = raw };
	assert_int_equal(ucp_ep_create(raw->worker, param, &raw->ep), UCS_OK);
}

void raw_connect(struct raw *raw, const struct transport *rig)
{
	struct address addresses[UCX_OFFER_ADDRESSES_MAX];
	ucp_ep_params_t param = {
		.field_mask = UCP_EP_PARAM_FIELD_FLAGS | UCP_EP_PARAM_FIELD_SOCK_ADDR,
		.flags = UCP_EP_PARAMS_FLAGS_CLIENT_SERVER,
	};

	assert_int_equal(ucx_offer_decode(rig->offer, (size_t)rig->offer_len, addresses), 1);
	param.sockaddr = (ucs_sock_addr_t){ .addr = (struct sockaddr *)&addresses[0].storage,
					    .addrlen = address_len(&addresses[0]) };
	raw_ep(raw, &param);
}

static void raw_connection(ucp_conn_request_h request, void *argument)
{
	struct raw *raw = argument;
	ucp_ep_params_t param = { .field_mask = UCP_EP_PARAM_FIELD_CONN_REQUEST,
				  .conn_request = request };

	raw_ep(raw, &param);
	raw->connections++;
}

int raw_listen(struct raw *raw, uint8_t offer[TRANSPORT_OFFER_MAX])
{
	struct address at;
	char problem[128];
	ucp_listener_attr_t attr = { .field_mask = UCP_LISTENER_ATTR_FIELD_SOCKADDR };
	ucp_listener_params_t param = {
		.field_mask =
			UCP_LISTENER_PARAM_FIELD_SOCK_ADDR | UCP_LISTENER_PARAM_FIELD_CONN_HANDLER,
		.conn_handler = { .cb = raw_connection, .arg = raw },
	};

	assert_int_equal(address_parse("127.0.0.1", 0, &at, problem, sizeof(problem)), 0);
	param.sockaddr = (ucs_sock_addr_t){ .addr = (struct sockaddr *)&at.storage,
					    .addrlen = address_len(&at) };
	assert_int_equal(ucp_listener_create(raw->worker, &param, &raw->listener), UCS_OK);
	assert_int_equal(ucp_listener_query(raw->listener, &attr), UCS_OK);
	at.storage = attr.sockaddr;
	return (int)ucx_offer_encode(&at, 1, offer);
}

void raw_say(struct raw *raw, unsigned id, const void *head, size_t head_len, const void *data,
	     size_t len, unsigned flags)
{
	const ucp_request_param_t param = { .op_attr_mask = UCP_OP_ATTR_FIELD_FLAGS,
					    .flags = flags };
	uint64_t until_ns = clock_now_ns(clock_system()) + RIG_PATIENCE_NS;
	ucs_status_ptr_t request = ucp_am_send_nbx(raw->ep, id, head, head_len, data, len, &param);

	if (!UCS_PTR_IS_PTR(request))
		return;
	while (ucp_request_check_status(request) == UCS_INPROGRESS) {
		rig_pump();
		assert_true(clock_now_ns(clock_system()) < until_ns);
	}
	ucp_request_free(request);
}

void raw_hello(struct raw *raw, const uint8_t proof[TRANSPORT_PROOF_LEN], uint64_t *out_token)
{
	struct ucx_hello hello = { .token = RAW_TOKEN, .eager_max = 8192 };
	uint8_t bytes[UCX_HELLO_LEN];
	uint64_t until_ns = clock_now_ns(clock_system()) + RIG_PATIENCE_NS;
	struct ucx_welcome welcome;

	memcpy(hello.proof, proof, sizeof(hello.proof));
	ucx_hello_encode(&hello, bytes);
	raw_say(raw, UCX_HELLO, NULL, 0, bytes, sizeof(bytes), UCP_AM_SEND_FLAG_REPLY);
	while (!raw->came[UCX_WELCOME] && !raw->came[UCX_REFUSAL] && !raw->errors) {
		rig_pump();
		assert_true(clock_now_ns(clock_system()) < until_ns);
	}
	if (!raw->came[UCX_WELCOME])
		return;
	assert_int_equal(
		ucx_welcome_decode(raw->last[UCX_WELCOME], raw->last_len[UCX_WELCOME], &welcome),
		0);
	assert_true(welcome.to == RAW_TOKEN);
	*out_token = welcome.token;
}
