/*
 * rail.c - one device: its protection domain, its completion queue, the receives that all
 * connections share, and the buffers of messages.
 *
 * The completion queue cannot overflow: `receives` posted and `sends` under way are counted, and
 * even when every queue pair fails at once and all of it completes as flushed, it fits.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/error.h"
#include "base/log.h"
#include "fabric/transport/verbs/verbs.h"

#define SLAB_BUFFERS	64
#define BUFFER_STRIDE	(((size_t)VERBS_MESSAGE_LEN + 63) / 64 * 64)
#define SLAB_LEN	((SLAB_BUFFERS * BUFFER_STRIDE + 4095) / 4096 * 4096)
#define RECEIVES_MAX	(VERBS_COMPLETIONS / 2)
#define RECEIVE_ID	(UINT64_C(0xffff) << 48) /* no queue has that handle */
#define POLL_MAX	256
#define ACKED_AT_ONCE	64
#define FLUSH_SLACK	4096u /* completions of queue pairs that were destroyed unflushed */
#define SLACK_OF(count) ((count) / 8 < FLUSH_SLACK ? (count) / 8 : FLUSH_SLACK)

static unsigned at_most(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

static void set_limits(struct verbs_rail *rail, unsigned *out_completions)
{
	const struct ibv_device_attr *limits = &rail->port.limits;
	const struct transport_config *config = transport_config(rail->verbs->transport);
	unsigned completions = at_most((unsigned)limits->max_cqe, VERBS_COMPLETIONS);
	uint64_t wanted = 2 * (uint64_t)config->peers_connected_max * VERBS_RECEIVES;
	unsigned receives = wanted < RECEIVES_MAX ? (unsigned)wanted : RECEIVES_MAX;

	receives = at_most(receives, completions / 2);
	receives = at_most(receives, (unsigned)limits->max_srq_wr);
	rail->receives_max = receives / VERBS_RECEIVES * VERBS_RECEIVES;
	rail->sends_max = completions - rail->receives_max - SLACK_OF(completions);
	rail->control_reserve = rail->sends_max / 4;
	rail->rd_atomic_out =
		(uint8_t)at_most((unsigned)limits->max_qp_init_rd_atom, VERBS_RD_ATOMIC);
	rail->rd_atomic_in = (uint8_t)at_most((unsigned)limits->max_qp_rd_atom, VERBS_RD_ATOMIC);
	*out_completions = completions;
}

static int make_queues(struct verbs_rail *rail)
{
	struct ibv_srq_init_attr attr = { .attr = { .max_sge = 1 } };
	unsigned completions;

	set_limits(rail, &completions);
	attr.attr.max_wr = rail->receives_max;
	rail->pd = ibv_alloc_pd(rail->context);
	if (!rail->pd)
		return -errno;
	rail->channel = ibv_create_comp_channel(rail->context);
	if (!rail->channel)
		return -errno;
	if (fcntl(rail->channel->fd, F_SETFL, O_NONBLOCK))
		return -errno;
	rail->cq = ibv_create_cq(rail->context, (int)completions, NULL, rail->channel, 0);
	if (!rail->cq)
		return -errno;
	rail->srq = ibv_create_srq(rail->pd, &attr);
	return rail->srq ? 0 : -errno;
}

/* By its address rdma_cm knows the device; librdmacm then opens that one only (rdma_get_devices()
   would open, and hold, all that the machine has). */
static int bind_address(struct verbs_rail *rail)
{
	struct address at = rail->port.address;

	if (rdma_create_id(rail->verbs->channel, &rail->listener, NULL, RDMA_PS_TCP)) {
		rail->listener = NULL;
		return -errno;
	}
	if (rdma_bind_addr(rail->listener, (struct sockaddr *)&at.storage))
		return -errno;
	rail->context = rail->listener->verbs;
	if (!rail->context || rail->listener->port_num != rail->port.number ||
	    strcmp(ibv_get_device_name(rail->context->device), rail->port.device) != 0)
		return -EADDRNOTAVAIL;
	return 0;
}

int verbs_rail_open(struct verbs_rail *rail, char *problem, size_t problem_size)
{
	int error = bind_address(rail);

	if (!error && fcntl(rail->watch->async_fd, F_SETFL, O_NONBLOCK))
		error = -errno;
	if (!error)
		error = make_queues(rail);
	if (!error) {
		rail->state = VERBS_RAIL_LIVE;
		return 0;
	}
	char limit[160];

	verbs_memlock_text(limit, sizeof(limit));
	snprintf(problem, problem_size, "%s: cannot make its queues: %s%s%s", verbs_rail_name(rail),
		 error_text(error), limit[0] ? "; " : "", limit);
	verbs_rail_close(rail);
	return error;
}

static void free_slabs(struct verbs_rail *rail)
{
	for (struct verbs_slab *slab; (slab = rail->slabs);) {
		rail->slabs = slab->next;
		if (slab->mr)
			ibv_dereg_mr(slab->mr);
		free(slab->buffers);
		free(slab->memory);
		free(slab);
	}
	free(rail->buffers);
	rail->buffers = NULL;
	rail->buffers_free = NULL;
	rail->buffer_count = rail->receives = 0;
}

/* In the order that the kernel asks for; what a dead device answers does not matter. */
void verbs_rail_close(struct verbs_rail *rail)
{
	CHECK(TAILQ_EMPTY(&rail->queues));
	if (rail->listener)
		rdma_destroy_id(rail->listener);
	if (rail->srq)
		ibv_destroy_srq(rail->srq);
	if (rail->cq) {
		verbs_rail_quiet(rail);
		ibv_ack_cq_events(rail->cq, rail->unacked);
		ibv_destroy_cq(rail->cq);
	}
	free_slabs(rail);
	verbs_regions_release(rail->verbs, rail->index);
	if (rail->channel)
		ibv_destroy_comp_channel(rail->channel);
	if (rail->pd)
		ibv_dealloc_pd(rail->pd);
	if (rail->watch)
		ibv_close_device(rail->watch);
	rail->listener = NULL;
	rail->srq = NULL;
	rail->cq = NULL;
	rail->channel = NULL;
	rail->pd = NULL;
	rail->watch = NULL;
	rail->state = VERBS_RAIL_ABSENT;
}

static int grow(struct verbs_rail *rail)
{
	struct verbs_slab *slab = calloc(1, sizeof(*slab));
	struct verbs_buffer **table =
		/* NOLINTNEXTLINE(bugprone-sizeof-expression): an array of pointers */
		reallocarray(rail->buffers, rail->buffer_count + SLAB_BUFFERS, sizeof(*table));

	if (table)
		rail->buffers = table;
	if (!slab || !table)
		goto free_slab;
	slab->buffers = calloc(SLAB_BUFFERS, sizeof(*slab->buffers));
	slab->memory = aligned_alloc(4096, SLAB_LEN);
	if (!slab->buffers || !slab->memory)
		goto free_slab;
	memset(slab->memory, 0, SLAB_LEN);
	slab->mr = ibv_reg_mr(rail->pd, slab->memory, SLAB_LEN, IBV_ACCESS_LOCAL_WRITE);
	if (!slab->mr)
		goto free_slab;
	for (unsigned i = 0; i < SLAB_BUFFERS; i++) {
		struct verbs_buffer *buffer = &slab->buffers[i];

		*buffer = (struct verbs_buffer){
			.data = (uint8_t *)slab->memory + i * BUFFER_STRIDE,
			.lkey = slab->mr->lkey,
			.index = rail->buffer_count,
		};
		rail->buffers[rail->buffer_count++] = buffer;
		verbs_rail_buffer_free(rail, buffer);
	}
	slab->next = rail->slabs;
	rail->slabs = slab;
	return 0;

free_slab:
	if (slab) {
		free(slab->buffers);
		free(slab->memory);
	}
	free(slab);
	return -ENOMEM;
}

struct verbs_buffer *verbs_rail_buffer(struct verbs_rail *rail)
{
	if (!rail->buffers_free && grow(rail))
		return NULL;
	struct verbs_buffer *buffer = rail->buffers_free;

	rail->buffers_free = buffer->next;
	return buffer;
}

void verbs_rail_buffer_free(struct verbs_rail *rail, struct verbs_buffer *buffer)
{
	buffer->next = rail->buffers_free;
	rail->buffers_free = buffer;
}

void verbs_rail_post_receive(struct verbs_rail *rail, struct verbs_buffer *buffer)
{
	struct ibv_sge sge = {
		.addr = (uintptr_t)buffer->data,
		.length = VERBS_MESSAGE_LEN,
		.lkey = buffer->lkey,
	};
	struct ibv_recv_wr request = {
		.wr_id = RECEIVE_ID | buffer->index,
		.sg_list = &sge,
		.num_sge = 1,
	};
	struct ibv_recv_wr *bad;

	/* it has room for receives_max; a device that is dying may say no */
	if (ibv_post_srq_recv(rail->srq, &request, &bad)) {
		verbs_rail_buffer_free(rail, buffer);
		rail->receives--;
		verbs_rail_die(rail, "the device takes no receives");
	}
}

int verbs_rail_take(struct verbs_rail *rail)
{
	unsigned wanted = (rail->links + 1) * VERBS_RECEIVES;

	if (wanted > rail->receives_max)
		return -ENOSPC;
	while (rail->receives < wanted) {
		struct verbs_buffer *buffer = verbs_rail_buffer(rail);

		if (!buffer)
			return -ENOMEM;
		rail->receives++;
		verbs_rail_post_receive(rail, buffer);
		if (rail->state == VERBS_RAIL_DEAD)
			return -ENODEV;
	}
	rail->links++;
	return 0;
}

/* What was posted stays for the next one. */
void verbs_rail_give(struct verbs_rail *rail)
{
	CHECK(rail->links);
	rail->links--;
}

static void received(struct verbs_rail *rail, const struct ibv_wc *completion)
{
	uint64_t index = completion->wr_id & UINT32_MAX;
	struct verbs_queue *queue;

	CHECK(index < rail->buffer_count);
	struct verbs_buffer *buffer = rail->buffers[index];
	if (completion->status == IBV_WC_SUCCESS) {
		HASH_FIND(by_qp, rail->by_qp, &completion->qp_num, sizeof(completion->qp_num),
			  queue);
		if (queue)
			verbs_control_received(queue, buffer->data, completion->byte_len);
	}
	if (rail->state != VERBS_RAIL_DEAD)
		verbs_rail_post_receive(rail, buffer);
}

static void completed(struct verbs_rail *rail, const struct ibv_wc *completion)
{
	if ((completion->wr_id & RECEIVE_ID) == RECEIVE_ID) {
		received(rail, completion);
		return;
	}
	struct verbs_queue *queue = verbs_queue_of(rail->verbs, completion->wr_id);

	if (queue)
		verbs_queue_completed(queue, completion);
}

int verbs_rail_poll(struct verbs_rail *rail)
{
	struct ibv_wc batch[VERBS_POLL_BATCH];
	int total = 0, count = rail->early_count;

	if (!rail->cq)
		return 0;
	if (count) {
		memcpy(batch, rail->early, (size_t)count * sizeof(*batch));
		rail->early_count = 0;
	} else {
		count = ibv_poll_cq(rail->cq, VERBS_POLL_BATCH, batch);
	}
	while (count > 0) {
		for (int i = 0; i < count; i++)
			completed(rail, &batch[i]);
		total += count;
		if (count < VERBS_POLL_BATCH || total >= POLL_MAX)
			return total;
		count = ibv_poll_cq(rail->cq, VERBS_POLL_BATCH, batch);
	}
	if (count < 0)
		verbs_rail_die(rail, "its completion queue cannot be read");
	return total;
}

int verbs_rail_arm(struct verbs_rail *rail)
{
	if (!rail->cq || rail->state == VERBS_RAIL_DEAD)
		return 0;
	if (rail->early_count || ibv_req_notify_cq(rail->cq, 0))
		return -EAGAIN;
	/* what came before the request was heard makes no event */
	int count = ibv_poll_cq(rail->cq, VERBS_POLL_BATCH, rail->early);

	rail->early_count = count > 0 ? count : 0;
	return count ? -EAGAIN : 0;
}

void verbs_rail_quiet(struct verbs_rail *rail)
{
	struct ibv_cq *cq;
	void *context;

	while (!ibv_get_cq_event(rail->channel, &cq, &context))
		rail->unacked++;
	if (rail->unacked >= ACKED_AT_ONCE) {
		ibv_ack_cq_events(rail->cq, rail->unacked);
		rail->unacked = 0;
	}
}

void verbs_rail_die(struct verbs_rail *rail, const char *why)
{
	if (rail->state == VERBS_RAIL_DEAD || rail->state == VERBS_RAIL_ABSENT)
		return;
	log_error("transport.rail_dead",
		  "device=%s why=\"%s\" impact=\"it is not used any more "
		  "until the next start\"",
		  verbs_rail_name(rail), why);
	rail->state = VERBS_RAIL_DEAD;
	rail->verbs->broken = true;
	rail->verbs->flush_ns = 0;
	for (struct verbs_queue *queue = TAILQ_FIRST(&rail->queues); queue;
	     queue = TAILQ_NEXT(queue, by_rail)) {
		verbs_queue_break(queue, why);
	}
}
