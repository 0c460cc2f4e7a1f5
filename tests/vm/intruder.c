/*
 * intruder.c - speaks the verbs protocol by hand, and does what a peer must not:
 *
 *	intruder CASE OWNER:PORT OWN_ADDRESS
 *
 * It has the cluster's secret, so it gets a proof like any member; then it asks for more than that
 * gives. Prints what came of it; exit status 0: refused as it must be; 1: not; 2: it could not try.
 */
#include <errno.h>
#include <poll.h>
#include <rdma/rdma_cma.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/error.h"
#include "base/random.h"
#include "fabric/auth/handshake.h"
#include "fabric/keyring.h"
#include "fabric/transport/verbs/wire.h"

#define WAIT_MS	 10000
#define RECEIVES 16
#define MESSAGE	 (WIRE_HEADER_LEN + TRANSPORT_MESSAGE_MAX)

struct queue {
	struct rdma_cm_id *id;
	struct ibv_cq *cq;
	struct ibv_mr *mr;
	uint8_t *memory; /* RECEIVES messages, then one to send, or to read into */
};

struct intruder {
	struct address owner, own;
	struct rdma_event_channel *channel;
	uint8_t proof[HANDSHAKE_PROOF_LEN];
	struct wire_rail rails[TRANSPORT_RAILS_MAX];
	struct queue control, data;
	uint64_t session;
	struct wire_keys keys;
	uint32_t key;
};

static _Noreturn void give_up(const char *what)
{
	printf("cannot try: %s (%s)\n", what, error_text(-errno));
	exit(2);
}

/* The TCP handshake, as any member holds it. */
static void greet(struct intruder *me)
{
	static struct handshake handshake;
	struct identity identity = { .cluster = "vm", .boot = 1 };
	uint8_t key[KEYRING_KEY_LEN], nonce[HANDSHAKE_NONCE_LEN], data[4096];
	struct keyring *ring;
	int fd = socket(me->owner.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0), result = 0;

	memset(key, 0x42, sizeof(key));
	if (keyring_create(&ring) || keyring_add(ring, key))
		give_up("keyring");
	identity.ring = ring;
	random_bytes(&identity.member, sizeof(identity.member));
	random_bytes(nonce, sizeof(nonce));
	if (connect(fd, (struct sockaddr *)&me->owner.storage, address_len(&me->owner)))
		give_up("connect");
	if (handshake_init_client(&handshake, &identity, NULL, nonce))
		give_up("handshake");
	while (!result) {
		if (handshake.out_len &&
		    send(fd, handshake.out, handshake.out_len, 0) != (ssize_t)handshake.out_len)
			give_up("send");
		handshake.out_len = 0;
		ssize_t len = recv(fd, data, sizeof(data), 0);
		if (len <= 0)
			give_up("recv");
		result = handshake_input(&handshake, data, (size_t)len);
	}
	close(fd);
	if (result != 1)
		give_up(handshake.problem);
	memcpy(me->proof, handshake.proof, sizeof(me->proof));
	if (wire_offer_decode(handshake.offer, handshake.offer_len, me->rails) < 1)
		give_up("offer");
	keyring_destroy(ring);
}

/* Return: the event's type, with up to 256 bytes of private data; -ETIMEDOUT. */
static int next_event(struct intruder *me, uint8_t data[256], size_t *out_len)
{
	struct pollfd fd = { .fd = me->channel->fd, .events = POLLIN };
	struct rdma_cm_event *event;

	if (poll(&fd, 1, WAIT_MS) != 1)
		return -ETIMEDOUT;
	if (rdma_get_cm_event(me->channel, &event))
		give_up("event");
	int type = (int)event->event;

	*out_len = 0;
	if (event->param.conn.private_data &&
	    (type == RDMA_CM_EVENT_REJECTED || type == RDMA_CM_EVENT_ESTABLISHED)) {
		*out_len = event->param.conn.private_data_len;
		memcpy(data, event->param.conn.private_data, *out_len);
	}
	rdma_ack_cm_event(event);
	return type;
}

static void expect(struct intruder *me, int type)
{
	uint8_t data[256];
	size_t len;
	int got = next_event(me, data, &len);

	if (got != type)
		give_up(rdma_event_str((enum rdma_cm_event_type)got));
}

static void post_receive(struct queue *queue, unsigned index)
{
	struct ibv_sge sge = { (uintptr_t)queue->memory + (size_t)index * MESSAGE, MESSAGE,
			       queue->mr->lkey };
	struct ibv_recv_wr request = { .wr_id = index, .sg_list = &sge, .num_sge = 1 }, *bad;

	if (ibv_post_recv(queue->id->qp, &request, &bad))
		give_up("post_recv");
}

static void prepare(struct intruder *me, struct queue *queue)
{
	struct ibv_qp_init_attr attr = { .qp_type = IBV_QPT_RC,
					 .cap = { RECEIVES, RECEIVES, 1, 1, 0 } };

	if (rdma_create_id(me->channel, &queue->id, NULL, RDMA_PS_TCP) ||
	    rdma_resolve_addr(queue->id, (struct sockaddr *)&me->own.storage,
			      (struct sockaddr *)&me->rails[0].address.storage, 2000))
		give_up("resolve");
	expect(me, RDMA_CM_EVENT_ADDR_RESOLVED);
	if (rdma_resolve_route(queue->id, 2000))
		give_up("route");
	expect(me, RDMA_CM_EVENT_ROUTE_RESOLVED);
	queue->cq = ibv_create_cq(queue->id->verbs, 2 * RECEIVES, NULL, NULL, 0);
	attr.send_cq = attr.recv_cq = queue->cq;
	if (!queue->cq || rdma_create_qp(queue->id, NULL, &attr))
		give_up("queue pair");
	queue->memory = calloc(RECEIVES + 1, MESSAGE);
	queue->mr = ibv_reg_mr(queue->id->qp->pd, queue->memory, (size_t)(RECEIVES + 1) * MESSAGE,
			       IBV_ACCESS_LOCAL_WRITE);
	if (!queue->mr)
		give_up("reg_mr");
	for (unsigned i = 0; i < RECEIVES; i++)
		post_receive(queue, i);
}

/* Return: 0 connected; 1 rejected, the text is printed. */
static int ask(struct intruder *me, struct queue *queue, const void *data, size_t len)
{
	struct rdma_conn_param param = { .private_data = data,
					 .private_data_len = (uint8_t)len,
					 .initiator_depth = 4,
					 .retry_count = 3,
					 .rnr_retry_count = 3 };
	uint8_t answer[256];
	size_t answer_len;
	char text[TRANSPORT_REFUSAL_MAX] = "(no text)";
	struct wire_welcome welcome;

	prepare(me, queue);
	if (rdma_connect(queue->id, &param))
		give_up("connect");
	int type = next_event(me, answer, &answer_len);
	if (type == RDMA_CM_EVENT_REJECTED) {
		int status = wire_refusal_decode(answer, answer_len, text);

		printf("rejected: %s: %s\n", error_name(status), text);
		return 1;
	}
	if (type != RDMA_CM_EVENT_ESTABLISHED)
		give_up(type < 0 ? "no answer" : rdma_event_str((enum rdma_cm_event_type)type));
	if (wire_welcome_decode(answer, answer_len, &welcome))
		give_up("welcome");
	me->session = welcome.session;
	return 0;
}

/* @secret NULL: the right tag. */
static int hello(struct intruder *me, struct queue *queue, enum wire_role role,
		 const uint8_t *secret)
{
	struct wire_hello message = { .role = (uint8_t)role, .rail = 0, .mtu = 5 };
	uint8_t data[WIRE_HELLO_LEN];

	if (role == WIRE_DATA) {
		message.session = me->session;
		message.attempt = 1;
	}
	if (secret)
		memcpy(message.secret, secret, sizeof(message.secret));
	else
		wire_tag(me->proof, &message, message.secret);
	wire_hello_encode(&message, data);
	return ask(me, queue, data, sizeof(data));
}

/* The next completion of that queue, sends or receives. */
static void wait_completion(struct queue *queue, struct ibv_wc *out)
{
	for (int i = 0; i < WAIT_MS; i++) {
		if (ibv_poll_cq(queue->cq, 1, out) > 0)
			return;
		usleep(1000);
	}
	give_up("no completion");
}

static void say(struct queue *queue, enum wire_type type, const void *data, size_t len)
{
	uint8_t *place = queue->memory + (size_t)RECEIVES * MESSAGE;
	struct wire_header header = { .type = (uint8_t)type, .len = (uint32_t)len };
	struct ibv_sge sge = { (uintptr_t)place, (uint32_t)(WIRE_HEADER_LEN + len),
			       queue->mr->lkey };
	struct ibv_send_wr request = { .wr_id = 100,
				       .sg_list = &sge,
				       .num_sge = 1,
				       .opcode = IBV_WR_SEND,
				       .send_flags = IBV_SEND_SIGNALED },
			   *bad;

	wire_header_encode(&header, place);
	if (len)
		memcpy(place + WIRE_HEADER_LEN, data, len);
	if (ibv_post_send(queue->id->qp, &request, &bad))
		give_up("post_send");
}

/* All that a member does until it knows a key. */
static void become_peer(struct intruder *me)
{
	uint8_t rails = 1;
	struct wire_header header;
	struct ibv_wc done;

	greet(me);
	if (hello(me, &me->control, WIRE_CONTROL, me->proof))
		give_up("control queue");
	if (hello(me, &me->data, WIRE_DATA, NULL))
		give_up("data queue");
	say(&me->control, WIRE_READY, &rails, 1);
	for (;;) {
		wait_completion(&me->control, &done);
		if (done.status)
			give_up(ibv_wc_status_str(done.status));
		if (done.opcode != IBV_WC_RECV)
			continue;
		const uint8_t *message = me->control.memory + done.wr_id * MESSAGE;
		if (wire_header_decode(message, done.byte_len, &header))
			give_up("header");
		if (header.type == WIRE_KEYS_END)
			break;
		if (header.type != WIRE_KEYS || me->keys.len)
			continue;
		if (wire_keys_decode(message + WIRE_HEADER_LEN, header.len, &me->keys))
			give_up("keys");
		me->key = bytes_get_u32(me->keys.keys);
	}
	printf("region of %lu bytes, key %08x\n", (unsigned long)me->keys.len, me->key);
}

/* Return: the status of one work request on the data queue. */
static enum ibv_wc_status attempt(struct intruder *me, enum ibv_wr_opcode opcode, uint64_t address,
				  uint32_t key, uint32_t len)
{
	struct ibv_sge sge = { (uintptr_t)me->data.memory + (size_t)RECEIVES * MESSAGE, len,
			       me->data.mr->lkey };
	struct ibv_send_wr request = { .wr_id = 200,
				       .sg_list = &sge,
				       .num_sge = 1,
				       .opcode = opcode,
				       .send_flags = IBV_SEND_SIGNALED },
			   *bad;
	struct ibv_wc done;

	if (opcode == IBV_WR_ATOMIC_FETCH_AND_ADD) {
		request.wr.atomic.remote_addr = address;
		request.wr.atomic.rkey = key;
		request.wr.atomic.compare_add = 1;
	} else {
		request.wr.rdma.remote_addr = address;
		request.wr.rdma.rkey = key;
	}
	if (ibv_post_send(me->data.id->qp, &request, &bad))
		give_up("post_send");
	do {
		wait_completion(&me->data, &done);
	} while (done.wr_id != 200);
	printf("ended with: %s\n", ibv_wc_status_str(done.status));
	return done.status;
}

/* What the card of the owner must refuse. */
static int expect_refused(struct intruder *me, enum ibv_wr_opcode opcode, uint64_t address,
			  uint32_t key, uint32_t len)
{
	enum ibv_wc_status status;

	become_peer(me);
	status = attempt(me, opcode, me->keys.base + address, me->key ^ key, len);
	return status != IBV_WC_REM_ACCESS_ERR && status != IBV_WC_REM_INV_REQ_ERR;
}

static int read_right(struct intruder *me)
{
	become_peer(me);
	return attempt(me, IBV_WR_RDMA_READ, me->keys.base, me->key, 4096) != IBV_WC_SUCCESS;
}

static int read_wrong_key(struct intruder *me)
{
	return expect_refused(me, IBV_WR_RDMA_READ, 0, 0x55, 4096);
}

static int read_outside(struct intruder *me)
{
	become_peer(me);
	return attempt(me, IBV_WR_RDMA_READ, me->keys.base + me->keys.len - 2048, me->key, 4096) !=
	       IBV_WC_REM_ACCESS_ERR;
}

static int write_to(struct intruder *me)
{
	return expect_refused(me, IBV_WR_RDMA_WRITE, 0, 0, 4096);
}

static int atomic_on(struct intruder *me)
{
	return expect_refused(me, IBV_WR_ATOMIC_FETCH_AND_ADD, 0, 0, 8);
}

/* The control queue is for messages: nothing remote happens there. */
static int write_on_control(struct intruder *me)
{
	become_peer(me);
	me->data = me->control;
	enum ibv_wc_status status = attempt(me, IBV_WR_RDMA_WRITE, me->keys.base, me->key, 4096);

	return status != IBV_WC_REM_ACCESS_ERR && status != IBV_WC_REM_INV_REQ_ERR;
}

static int no_private_data(struct intruder *me)
{
	greet(me);
	return !ask(me, &me->control, NULL, 0);
}

static int noise(struct intruder *me)
{
	uint8_t data[WIRE_HELLO_LEN];

	greet(me);
	random_bytes(data, sizeof(data));
	return !ask(me, &me->control, data, sizeof(data));
}

static int invented_proof(struct intruder *me)
{
	greet(me);
	random_bytes(me->proof, sizeof(me->proof));
	return !hello(me, &me->control, WIRE_CONTROL, me->proof);
}

static int replayed_proof(struct intruder *me)
{
	greet(me);
	if (hello(me, &me->control, WIRE_CONTROL, me->proof))
		give_up("control queue");
	return !hello(me, &me->data, WIRE_CONTROL, me->proof);
}

static int other_version(struct intruder *me)
{
	struct wire_hello message = { .role = WIRE_CONTROL, .mtu = 5 };
	uint8_t data[WIRE_HELLO_LEN];

	greet(me);
	wire_hello_encode(&message, data);
	data[4] = WIRE_VERSION + 1;
	return !ask(me, &me->control, data, sizeof(data));
}

/* A data queue of a connection that is there, by one who does not know the proof. */
static int invented_tag(struct intruder *me)
{
	uint8_t tag[WIRE_SECRET_LEN];

	greet(me);
	if (hello(me, &me->control, WIRE_CONTROL, me->proof))
		give_up("control queue");
	random_bytes(tag, sizeof(tag));
	return !hello(me, &me->data, WIRE_DATA, tag);
}

/* The same request again, when the connection is ready. */
static int replayed_tag(struct intruder *me)
{
	become_peer(me);
	return !hello(me, &me->data, WIRE_DATA, NULL);
}

/* More messages than there are credits: the owner must end the connection, and it alone. */
static int flood(struct intruder *me)
{
	struct ibv_wc done;

	become_peer(me);
	for (unsigned i = 0; i < 40; i++) {
		say(&me->control, WIRE_PONG, NULL, 0);
		do {
			wait_completion(&me->control, &done);
		} while (!done.status && done.wr_id != 100);
		if (done.status) {
			printf("ended with: %s\n", ibv_wc_status_str(done.status));
			return 0;
		}
	}
	return 1;
}

static const struct {
	const char *name;
	int (*run)(struct intruder *me);
} cases[] = {
	{ "read", read_right },
	{ "read-wrong-key", read_wrong_key },
	{ "read-outside", read_outside },
	{ "write-on-control", write_on_control },
	{ "write", write_to },
	{ "atomic", atomic_on },
	{ "no-private-data", no_private_data },
	{ "noise", noise },
	{ "invented-proof", invented_proof },
	{ "replayed-proof", replayed_proof },
	{ "other-version", other_version },
	{ "invented-tag", invented_tag },
	{ "replayed-tag", replayed_tag },
	{ "flood", flood },
};

int main(int argc, char **argv)
{
	static struct intruder me;
	char problem[256];

	setlinebuf(stdout);
	if (argc == 4 && (address_parse(argv[2], 7471, &me.owner, problem, sizeof(problem)) ||
			  address_parse(argv[3], 0, &me.own, problem, sizeof(problem))))
		give_up(problem);
	me.channel = rdma_create_event_channel();
	if (!me.channel)
		give_up("rdma_cm");
	for (size_t i = 0; argc == 4 && i < ARRAY_COUNT(cases); i++)
		if (strcmp(argv[1], cases[i].name) == 0)
			return cases[i].run(&me);
	if (argc == 4 && strcmp(argv[1], "port") == 0) {
		greet(&me);
		printf("%u\n", address_port(&me.rails[0].address));
		return 0;
	}
	fprintf(stderr, "usage: intruder CASE OWNER:PORT OWN_ADDRESS\n");
	return 2;
}
