/*
 * queue.c - one queue pair with its rdma_cm id.
 *
 *	opener:   NONE -> ADDRESS -> ROUTE -> ANSWER -> UP --\
 *	acceptor: NONE ----------------------------> UP -----+-> BREAKING -> NONE
 *	          (any failure on the way goes to BREAKING too)
 *
 * The queue pair is ours, not librdmacm's: librdmacm opens its access to remote writes and atomics
 * and leaves the MTU and the time-outs to chance. It is made with no remote access at all, and the
 * acceptor's data queue with READ alone, before the other side knows that it exists.
 *
 * BREAKING: the queue pair is in error, so the device takes no more responses and gives every work
 * request back. When the last one is back (each batch ends with a signalled one), or at flush_ns
 * whatever came, it is destroyed; after that nothing can write where its READs were going.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/error.h"
#include "base/log.h"
#include "fabric/transport/verbs/verbs.h"

#define RESOLVE_MS  2000
#define HANDLES_MAX 0xffffu

/* Both take as long as rdma_cm likes otherwise; connecting has its own limit, in peer.c. */
#define MIN_RNR_TIMER 12 /* 0.64 ms, should a receive ever be missing */

static int handle_take(struct verbs_queue *queue)
{
	struct verbs *verbs = queue->link->verbs;
	unsigned index = 0;

	while (index < verbs->handle_count && verbs->handles[index])
		index++;
	if (index == HANDLES_MAX)
		return -ENOSPC;
	if (index == verbs->handle_count) {
		unsigned count = verbs->handle_count ? 2 * verbs->handle_count : 64;
		struct verbs_queue **table;

		count = count < HANDLES_MAX ? count : HANDLES_MAX;
		/* NOLINTNEXTLINE(bugprone-sizeof-expression): an array of pointers */
		table = reallocarray(verbs->handles, count, sizeof(*table));
		if (!table)
			return -ENOMEM;
		for (unsigned i = index; i < count; i++)
			table[i] = NULL;
		verbs->handles = table;
		verbs->handle_count = count;
	}
	verbs->handles[index] = queue;
	queue->handle = (uint16_t)index;
	queue->generation = ++verbs->generation;
	return 0;
}

struct verbs_queue *verbs_queue_of(struct verbs *verbs, uint64_t id)
{
	unsigned handle = (unsigned)(id >> 48);
	struct verbs_queue *queue = handle < verbs->handle_count ? verbs->handles[handle] : NULL;

	return queue && queue->generation == (uint16_t)(id >> 32) ? queue : NULL;
}

/* A place on the rail; undone by verbs_queue_destroy() and _reset(). */
static int attach(struct verbs_queue *queue)
{
	queue->depth = queue->control ? VERBS_SENDS : queue->link->verbs->queue_depth;
	unsigned most = (unsigned)queue->rail->port.limits.max_qp_wr;
	if (queue->depth > most)
		queue->depth = most;
	queue->slots = calloc(queue->depth, sizeof(*queue->slots));
	if (!queue->slots)
		return -ENOMEM;
	int error = handle_take(queue);
	if (!error && queue->control) {
		error = verbs_rail_take(queue->rail);
		if (error)
			queue->link->verbs->handles[queue->handle] = NULL;
	}
	if (error) {
		free(queue->slots);
		queue->slots = NULL;
		return error;
	}
	queue->head = queue->tail = 0;
	queue->greeted = queue->moved = false;
	queue->still = 0;
	queue->why[0] = '\0';
	TAILQ_INSERT_TAIL(&queue->rail->queues, queue, by_rail);
	return 0;
}

static void detach(struct verbs_queue *queue)
{
	TAILQ_REMOVE(&queue->rail->queues, queue, by_rail);
	queue->link->verbs->handles[queue->handle] = NULL;
	if (queue->control)
		verbs_rail_give(queue->rail);
}

/* The rail's address may be of another interface than the device that we opened: two names for one
   network would send the data where nobody has looked. */
static int check_device(const struct verbs_queue *queue)
{
	const struct verbs_port *port = &queue->rail->port;

	if (queue->id->verbs == queue->rail->context && queue->id->port_num == port->number)
		return 0;
	return -EADDRNOTAVAIL;
}

static int create_pair(struct verbs_queue *queue)
{
	struct verbs_rail *rail = queue->rail;
	struct ibv_qp_init_attr attr = {
		.send_cq = rail->cq,
		.recv_cq = rail->cq,
		.srq = queue->control ? rail->srq : NULL,
		.qp_type = IBV_QPT_RC,
		.cap = { .max_send_wr = queue->depth,
			 .max_recv_wr = queue->control ? 0 : 1,
			 .max_send_sge = 1,
			 .max_recv_sge = 1 },
	};

	queue->qp = ibv_create_qp(rail->pd, &attr);
	if (!queue->qp)
		return errno ? -errno : -EIO;
	if (!queue->control)
		return 0;
	HASH_ADD_KEYPTR(by_qp, rail->by_qp, &queue->qp->qp_num, sizeof(queue->qp->qp_num), queue);
	return queue->by_qp.tbl ? 0 : -ENOMEM;
}

struct step {
	enum ibv_qp_state state;
	unsigned access;	     /* INIT */
	uint8_t rd_atomic, peer_mtu; /* of our side for RTR, of the other's for RTS */
};

static void adjust(const struct verbs_queue *queue, const struct step *step,
		   struct ibv_qp_attr *attr)
{
	const struct verbs *verbs = queue->link->verbs;
	const struct verbs_port *port = &queue->rail->port;

	switch (step->state) {
	case IBV_QPS_INIT:
		attr->qp_access_flags = step->access;
		if (port->infiniband && verbs->pkey_index > 0)
			attr->pkey_index = (uint16_t)verbs->pkey_index;
		break;
	case IBV_QPS_RTR:
		if (attr->path_mtu > port->mtu)
			attr->path_mtu = port->mtu;
		if (attr->path_mtu > (enum ibv_mtu)step->peer_mtu)
			attr->path_mtu = (enum ibv_mtu)step->peer_mtu;
		attr->max_dest_rd_atomic = step->rd_atomic;
		attr->min_rnr_timer = MIN_RNR_TIMER;
		if (attr->ah_attr.is_global) {
			if (verbs->gid_index >= 0)
				attr->ah_attr.grh.sgid_index = (uint8_t)verbs->gid_index;
			if (verbs->traffic_class > 0)
				attr->ah_attr.grh.traffic_class = (uint8_t)verbs->traffic_class;
		}
		break;
	default:
		attr->timeout = VERBS_ACK_TIMEOUT;
		attr->retry_cnt = VERBS_RETRIES;
		attr->rnr_retry = VERBS_RETRIES;
		attr->max_rd_atomic = step->rd_atomic;
		break;
	}
}

static int advance(struct verbs_queue *queue, const struct step *step)
{
	struct ibv_qp_attr attr = { .qp_state = step->state };
	int mask;

	if (rdma_init_qp_attr(queue->id, &attr, &mask))
		return -errno;
	adjust(queue, step, &attr);
	return -ibv_modify_qp(queue->qp, &attr, mask);
}

/* INIT: all that the other side may ever do to it. */
static int initialise(struct verbs_queue *queue, bool readable)
{
	const struct step init = { .state = IBV_QPS_INIT,
				   .access = readable ? IBV_ACCESS_REMOTE_READ : 0 };

	return advance(queue, &init);
}

static int start_working(struct verbs_queue *queue, uint8_t peer_mtu, uint8_t read_by_us,
			 uint8_t read_by_peer)
{
	const struct step receive = { .state = IBV_QPS_RTR,
				      .rd_atomic = read_by_peer,
				      .peer_mtu = peer_mtu };
	const struct step send = { .state = IBV_QPS_RTS, .rd_atomic = read_by_us };
	int error = advance(queue, &receive);

	return error ? error : advance(queue, &send);
}

static struct rdma_conn_param connection_of(const struct verbs_queue *queue)
{
	return (struct rdma_conn_param){
		.flow_control = 1,
		.retry_count = VERBS_RETRIES,
		.rnr_retry_count = VERBS_RETRIES,
		.srq = queue->control,
		.qp_num = queue->qp->qp_num,
	};
}

int verbs_queue_open(struct verbs_queue *queue)
{
	struct verbs *verbs = queue->link->verbs;
	struct address from = queue->rail->port.address;
	uint8_t tos = (uint8_t)verbs->traffic_class;
	int error = attach(queue);

	if (error)
		return error;
	queue->state = VERBS_QUEUE_ADDRESS;
	if (rdma_create_id(verbs->channel, &queue->id, queue, RDMA_PS_TCP)) {
		queue->id = NULL;
		goto failed;
	}
	if (tos &&
	    rdma_set_option(queue->id, RDMA_OPTION_ID, RDMA_OPTION_ID_TOS, &tos, sizeof(tos)))
		goto failed;
	/* without a source, two of our own devices on one network would be confused */
	if (rdma_resolve_addr(queue->id, (struct sockaddr *)&from.storage,
			      (struct sockaddr *)&queue->to.address.storage, RESOLVE_MS))
		goto failed;
	return 0;

failed:
	error = -errno;
	verbs_queue_destroy(queue);
	verbs_queue_reset(queue);
	return error;
}

static int ask(struct verbs_queue *queue)
{
	const struct verbs_link *link = queue->link;
	struct wire_hello hello = {
		.role = queue->control ? WIRE_CONTROL : WIRE_DATA,
		.rail = (uint8_t)queue->rail->index,
		.mtu = (uint8_t)queue->rail->port.mtu,
		.session = queue->control ? 0 : link->session,
		.attempt = queue->control ? 0 : ++queue->attempt,
	};
	uint8_t data[WIRE_HELLO_LEN];
	int error = create_pair(queue);

	if (!error)
		error = initialise(queue, false);
	if (error)
		return error;
	if (queue->control)
		memcpy(hello.secret, link->proof, sizeof(hello.secret));
	else
		wire_tag(link->proof, &hello, hello.secret);
	wire_hello_encode(&hello, data);
	struct rdma_conn_param param = connection_of(queue);
	param.private_data = data;
	param.private_data_len = sizeof(data);
	param.initiator_depth = queue->control ? 0 : queue->rail->rd_atomic_out;
	queue->state = VERBS_QUEUE_ANSWER;
	return rdma_connect(queue->id, &param) ? -errno : 0;
}

int verbs_queue_resolved(struct verbs_queue *queue, enum rdma_cm_event_type event)
{
	if (event == RDMA_CM_EVENT_ADDR_RESOLVED && queue->state == VERBS_QUEUE_ADDRESS) {
		int error = check_device(queue);

		if (error)
			return error;
		queue->state = VERBS_QUEUE_ROUTE;
		return rdma_resolve_route(queue->id, RESOLVE_MS) ? -errno : 0;
	}
	if (event == RDMA_CM_EVENT_ROUTE_RESOLVED && queue->state == VERBS_QUEUE_ROUTE)
		return ask(queue);
	return -EPROTO;
}

int verbs_queue_welcomed(struct verbs_queue *queue, uint8_t peer_mtu,
			 const struct rdma_conn_param *answer)
{
	uint8_t depth = queue->control ? 0 : queue->rail->rd_atomic_out;

	if (answer->initiator_depth < depth)
		depth = answer->initiator_depth;
	if (!queue->control && !depth)
		return -EPROTO;
	int error = start_working(queue, peer_mtu, depth, 0);
	if (error)
		return error;
	queue->greeted = true;
	if (rdma_establish(queue->id))
		return -errno;
	queue->state = VERBS_QUEUE_UP;
	return 0;
}

static int answer(struct verbs_queue *queue, const struct rdma_conn_param *asked)
{
	struct wire_welcome welcome = {
		.mtu = (uint8_t)queue->rail->port.mtu,
		.session = queue->link->session,
	};
	uint8_t data[WIRE_WELCOME_LEN], depth = queue->control ? 0 : queue->rail->rd_atomic_in;
	int error = create_pair(queue);

	if (!error)
		error = initialise(queue, !queue->control);
	if (asked->responder_resources < depth)
		depth = asked->responder_resources;
	if (!error)
		error = start_working(queue, queue->peer_mtu, 0, depth);
	if (error)
		return error;
	wire_welcome_encode(&welcome, data);
	struct rdma_conn_param param = connection_of(queue);
	param.private_data = data;
	param.private_data_len = sizeof(data);
	param.responder_resources = depth;
	queue->state = VERBS_QUEUE_UP;
	queue->greeted = true;
	return rdma_accept(queue->id, &param) ? -errno : 0;
}

int verbs_queue_accept(struct verbs_queue *queue, struct rdma_cm_id *id,
		       const struct rdma_conn_param *asked)
{
	int error = attach(queue);

	if (error)
		return error;
	queue->id = id;
	id->context = queue;
	error = answer(queue, asked);
	if (!error)
		return 0;
	queue->id = NULL; /* the caller's: to be rejected */
	id->context = NULL;
	verbs_queue_destroy(queue);
	verbs_queue_reset(queue);
	return error;
}

void verbs_queue_break(struct verbs_queue *queue, const char *why)
{
	struct verbs *verbs = queue->link->verbs;
	struct ibv_qp_attr attr = { .qp_state = IBV_QPS_ERR };

	if (queue->state == VERBS_QUEUE_NONE || queue->state == VERBS_QUEUE_BREAKING)
		return;
	queue->state = VERBS_QUEUE_BREAKING;
	snprintf(queue->why, sizeof(queue->why), "%s", why);
	queue->flush_ns = clock_after_ns(clock_now_ns(verbs->clock), VERBS_FLUSH_NS);
	verbs->broken = true;
	/* An error here leaves the queue pair working: then flush_ns ends it. */
	if (queue->qp && ibv_modify_qp(queue->qp, &attr, IBV_QP_STATE) &&
	    queue->head != queue->tail)
		log_warning("transport.fence",
			    "device=%s why=\"the queue pair does not go to "
			    "error\" impact=\"it is destroyed instead\"",
			    verbs_rail_name(queue->rail));
	if (queue->greeted)
		rdma_disconnect(queue->id);
	verbs_link_queue_lost(queue);
}

bool verbs_queue_flushed(const struct verbs_queue *queue, uint64_t now_ns)
{
	return queue->state == VERBS_QUEUE_BREAKING &&
	       (queue->head == queue->tail || now_ns >= queue->flush_ns ||
		queue->rail->state == VERBS_RAIL_DEAD);
}

void verbs_queue_destroy(struct verbs_queue *queue)
{
	struct verbs_rail *rail = queue->rail;

	if (queue->by_qp.tbl)
		HASH_DELETE(by_qp, rail->by_qp, queue);
	memset(&queue->by_qp, 0, sizeof(queue->by_qp));
	/* What it fails for is our mistake alone: something of ours still uses it. To go on would
	   be to let a device write memory that is somebody else's. */
	if (queue->qp)
		CHECK(!ibv_destroy_qp(queue->qp));
	queue->qp = NULL;
	if (queue->id)
		rdma_destroy_id(queue->id);
	queue->id = NULL;
	detach(queue);
}

void verbs_queue_reset(struct verbs_queue *queue)
{
	queue->rail->sends -= queue->head - queue->tail;
	free(queue->slots);
	queue->slots = NULL;
	queue->head = queue->tail = 0;
	queue->state = VERBS_QUEUE_NONE;
}

unsigned verbs_queue_room(const struct verbs_queue *queue)
{
	const struct verbs_rail *rail = queue->rail;

	if (queue->state != VERBS_QUEUE_UP)
		return 0;
	unsigned most = rail->sends_max - (queue->control ? 0 : rail->control_reserve);
	unsigned room = queue->depth - (queue->head - queue->tail);
	if (rail->sends >= most)
		return 0;
	return room < most - rail->sends ? room : most - rail->sends;
}

/* The device says what it ended with; for a broken queue pair that is mostly "flushed". */
static void say_lost(struct verbs_queue *queue, const struct ibv_wc *completion)
{
	char why[96];

	if (queue->state != VERBS_QUEUE_UP)
		return;
	snprintf(why, sizeof(why), "%s", ibv_wc_status_str(completion->status));
	why[0] = (char)(why[0] >= 'A' && why[0] <= 'Z' ? why[0] - 'A' + 'a' : why[0]);
	verbs_queue_break(queue, why);
}

/* Completions come in order, and one that was not asked for went well when a later one comes. */
void verbs_queue_completed(struct verbs_queue *queue, const struct ibv_wc *completion)
{
	uint32_t seq = (uint32_t)completion->wr_id;

	CHECK(seq - queue->tail < queue->head - queue->tail);
	queue->moved = true;
	for (bool last = false; !last;) {
		struct verbs_slot slot = queue->slots[queue->tail % queue->depth];

		last = queue->tail == seq;
		queue->tail++;
		queue->rail->sends--;
		bool failed = last && completion->status != IBV_WC_SUCCESS;
		if (queue->control)
			verbs_control_sent(queue, &slot, failed ? -ECONNRESET : 0);
		else if (failed)
			verbs_reads_failed(queue, &slot, completion);
		else
			verbs_reads_landed(queue, &slot);
	}
	if (completion->status != IBV_WC_SUCCESS)
		say_lost(queue, completion);
}
