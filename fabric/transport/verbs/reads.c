/*
 * reads.c - reads as slices over the rails.
 *
 * A read is cut where a slice is full, where a chunk of the owner's region ends and where one of
 * ours does. Slices go to the rail that has the fewest under way, in batches, and only the last of
 * a batch and every eighth ask for a completion: completions come in order, so one tells of those
 * before it.
 *
 * A read that finds the connection idle is posted at once, others at the end of the poll: then the
 * device is rung once for all of them.
 *
 * A slice of a rail that breaks goes to `again`, and is posted on another rail once the queue pair
 * is destroyed. No more slices can be there than were under way, so there is room.
 */
#include <errno.h>
#include <string.h>

#include "base/check.h"
#include "fabric/transport/verbs/verbs.h"

/* What read->backend[] holds. */
struct progress {
	struct transport_read *next; /* of those not wholly posted */
	uint32_t posted;	     /* bytes */
	uint32_t inflight;	     /* slices with a queue, or in `again` */
	int32_t status;
	uint32_t waits; /* it is on the list */
	const struct transport_region *landing;
};

_Static_assert(sizeof(struct progress) <= sizeof(((struct transport_read *)0)->backend),
	       "a read has room for its progress");
_Static_assert(TRANSPORT_READ_LEN_MAX <= UINT32_MAX, "offsets in a read are 32 bits");

/* Work requests for one queue, not yet posted. */
struct batch {
	unsigned count;
	struct ibv_send_wr requests[VERBS_POST_BATCH];
	struct ibv_sge places[VERBS_POST_BATCH];
};

static struct progress *progress_of(struct transport_read *read)
{
	return (struct progress *)(void *)read->backend;
}

static struct verbs_link *link_of(struct transport_link *base)
{
	return (struct verbs_link *)(void *)base;
}

static bool idle(const struct verbs_link *link)
{
	for (unsigned i = 0; i < TRANSPORT_RAILS_MAX; i++)
		if (link->data[i].head != link->data[i].tail)
			return false;
	return true;
}

int verbs_read(struct transport_link *base, struct transport_read *read)
{
	struct verbs_link *link = link_of(base);
	struct progress *progress = progress_of(read);
	uint64_t len = verbs_keys_len(base, read->region);

	if (link->state != VERBS_LINK_UP)
		return -ECONNRESET;
	if (read->off > len || read->len > len - read->off)
		return -ERANGE;
	if (link->reads == link->reads_max)
		return -EAGAIN;
	*progress = (struct progress){
		.waits = true,
		.landing = transport_region_of(link->verbs->transport, read->dst, read->len),
	};
	CHECK(progress->landing);
	if (link->reads_last)
		progress_of(link->reads_last)->next = read;
	else
		link->reads_first = read;
	link->reads_last = read;
	link->reads++;
	if (!link->verbs->polling && idle(link))
		verbs_reads_pump(link);
	else
		verbs_link_dirty(link);
	return 0;
}

static void pop_first(struct verbs_link *link)
{
	struct progress *progress = progress_of(link->reads_first);

	link->reads_first = progress->next;
	if (!link->reads_first)
		link->reads_last = NULL;
	progress->waits = false;
}

static void finish(struct verbs_link *link, struct transport_read *read, int status)
{
	link->reads--;
	transport_link_read_done(read, status);
}

static uint32_t smaller(uint64_t a, uint64_t b)
{
	return (uint32_t)(a < b ? a : b);
}

/* As much of [@off, @off + @len) of the read as one work request can do on that rail. Returns its
   length, 0: the rail has no registration for it. */
static uint32_t locate(const struct verbs_link *link, unsigned rail,
		       const struct verbs_slice *slice, struct ibv_send_wr *request,
		       struct ibv_sge *place)
{
	const struct transport_read *read = slice->read;
	const struct verbs_remote *remote = &link->remotes[read->region];
	uint64_t off = read->off + slice->off;
	uint64_t chunk = off / WIRE_CHUNK_LEN;
	uint8_t *dst = (uint8_t *)read->dst + slice->off;
	size_t left;
	const struct ibv_mr *mr =
		verbs_region_mr(progress_of(slice->read)->landing, rail, dst, &left);

	if (!mr)
		return 0;
	uint32_t len = smaller(slice->len, smaller((chunk + 1) * WIRE_CHUNK_LEN - off, left));
	*place = (struct ibv_sge){ .addr = (uintptr_t)dst, .length = len, .lkey = mr->lkey };
	*request = (struct ibv_send_wr){
		.sg_list = place,
		.num_sge = 1,
		.opcode = IBV_WR_RDMA_READ,
		.wr.rdma = { .remote_addr = remote->base + off, .rkey = remote->keys[rail][chunk] },
	};
	return len;
}

static struct verbs_queue *choose_queue(struct verbs_link *link)
{
	struct verbs_queue *best = NULL;

	for (unsigned i = 0; i < link->verbs->rail_count; i++) {
		struct verbs_queue *queue = &link->data[i];

		if (link->rails & 1u << i && verbs_queue_room(queue) &&
		    (!best || queue->head - queue->tail < best->head - best->tail))
			best = queue;
	}
	return best;
}

static void keep_for_later(struct verbs_link *link, const struct verbs_slot *slot)
{
	CHECK(link->again_count < link->again_max);
	link->again[link->again_count++] =
		(struct verbs_slice){ .read = slot->read, .off = slot->off, .len = slot->len };
}

static void post(struct verbs_queue *queue, struct batch *batch)
{
	struct ibv_send_wr *bad = NULL;

	if (!batch->count)
		return;
	batch->requests[batch->count - 1].send_flags = IBV_SEND_SIGNALED;
	batch->requests[batch->count - 1].next = NULL;
	if (ibv_post_send(queue->qp, batch->requests, &bad)) {
		/* those from the bad one on were not taken; the others are not waited for either,
		   as none of them may ask for a completion: the queue pair goes */
		unsigned taken = bad ? (unsigned)(bad - batch->requests) : 0;

		for (unsigned i = taken; i < batch->count; i++) {
			queue->head--;
			queue->rail->sends--;
			keep_for_later(queue->link, &queue->slots[queue->head % queue->depth]);
		}
		verbs_queue_break(queue, "the device takes no reads");
	}
	batch->count = 0;
}

/* @len bytes of what next_slice() said are taken. */
static void advance(struct verbs_link *link, const struct verbs_slice *slice, uint32_t len)
{
	struct progress *progress = progress_of(slice->read);

	if (link->again_count) {
		struct verbs_slice *again = &link->again[link->again_count - 1];

		/* it was counted when it came back; its rest still is */
		again->off += len;
		again->len -= len;
		if (!again->len) {
			link->again_count--;
			progress->inflight--;
		}
		return;
	}
	progress->posted += len;
	if (progress->posted == slice->read->len)
		pop_first(link);
}

/* Takes as much of the slice as goes in one piece, and has it posted, now or with the others of the
   batch. What cannot be posted is in `again` then, so what next_slice() said must be taken before.
   Returns how much, 0: the rail has no registration for it. */
static uint32_t stage(struct verbs_queue *queue, struct batch *batch,
		      const struct verbs_slice *slice)
{
	struct ibv_send_wr *request = &batch->requests[batch->count];
	uint32_t len = locate(queue->link, queue->rail->index, slice, request,
			      &batch->places[batch->count]);

	if (!len)
		return 0;
	request->wr_id = verbs_queue_id(queue, queue->head);
	if ((queue->head + 1) % VERBS_SIGNAL_EVERY == 0)
		request->send_flags = IBV_SEND_SIGNALED;
	if (batch->count)
		request[-1].next = request;
	queue->slots[queue->head % queue->depth] = (struct verbs_slot){
		.read = slice->read,
		.off = slice->off,
		.len = len,
	};
	queue->head++;
	queue->rail->sends++;
	progress_of(slice->read)->inflight++;
	advance(queue->link, slice, len);
	if (++batch->count == VERBS_POST_BATCH)
		post(queue, batch);
	return len;
}

/* What is to go next. Return: whether there is something. */
static bool next_slice(const struct verbs_link *link, struct verbs_slice *out)
{
	if (link->again_count) {
		*out = link->again[link->again_count - 1];
		return true;
	}
	struct transport_read *read = link->reads_first;
	if (!read)
		return false;
	uint32_t posted = progress_of(read)->posted;
	*out = (struct verbs_slice){
		.read = read,
		.off = posted,
		.len = smaller(read->len - posted, link->verbs->slice_len),
	};
	return true;
}

void verbs_reads_pump(struct verbs_link *link)
{
	struct batch batches[TRANSPORT_RAILS_MAX];
	struct verbs_slice slice;
	struct verbs_queue *queue = NULL;

	for (unsigned i = 0; i < link->verbs->rail_count; i++)
		batches[i].count = 0;
	while (link->state == VERBS_LINK_UP && next_slice(link, &slice)) {
		queue = choose_queue(link);
		if (!queue)
			break;
		if (!stage(queue, &batches[queue->rail->index], &slice))
			verbs_queue_break(queue, "its registrations are gone");
	}
	for (unsigned i = 0; i < link->verbs->rail_count; i++)
		post(&link->data[i], &batches[i]);
	/* full of others' work, of which this connection hears nothing */
	if (link->state == VERBS_LINK_UP && !queue && next_slice(link, &slice) && idle(link))
		verbs_link_dirty(link);
}

static void settle(struct verbs_link *link, struct transport_read *read)
{
	const struct progress *progress = progress_of(read);

	if (!progress->inflight && !progress->waits)
		finish(link, read, progress->status);
}

void verbs_reads_landed(struct verbs_queue *queue, const struct verbs_slot *slot)
{
	struct verbs_link *link = queue->link;

	progress_of(slot->read)->inflight--;
	transport_link_moved(&link->base);
	if (link->reads_first || link->again_count)
		verbs_link_dirty(link);
	settle(link, slot->read);
}

void verbs_reads_failed(struct verbs_queue *queue, const struct verbs_slot *slot,
			const struct ibv_wc *completion)
{
	struct verbs_link *link = queue->link;

	keep_for_later(link, slot);
	switch (completion->status) {
	case IBV_WC_LOC_LEN_ERR:
	case IBV_WC_LOC_PROT_ERR:
	case IBV_WC_LOC_ACCESS_ERR:
		progress_of(slot->read)->status = -EIO;
		verbs_link_fence(link, -ECONNRESET, "our own device refused a read's destination");
		break;
	case IBV_WC_REM_INV_REQ_ERR:
	case IBV_WC_REM_ACCESS_ERR:
	case IBV_WC_REM_OP_ERR:
		/* Range and key are right as far as we know, so the region is gone, or its owner
		   is: the next connection will tell which. */
		verbs_link_fence(link, -ECONNRESET,
				 "remote access error: the region is gone, or its owner");
		break;
	default: /* no answer, or (a local operation error) no way out: the rail's affair */
		break;
	}
}

void verbs_reads_salvage(struct verbs_queue *queue)
{
	for (; queue->tail != queue->head; queue->tail++) {
		keep_for_later(queue->link, &queue->slots[queue->tail % queue->depth]);
		queue->rail->sends--;
	}
}

/* No queue is left, so nothing can be written any more. */
void verbs_reads_end(struct verbs_link *link, int status)
{
	while (link->again_count) {
		struct transport_read *read = link->again[--link->again_count].read;
		struct progress *progress = progress_of(read);

		progress->inflight--;
		if (!progress->status)
			progress->status = status;
		settle(link, read);
	}
	while (link->reads_first) {
		struct transport_read *read = link->reads_first;
		struct progress *progress = progress_of(read);

		pop_first(link);
		if (!progress->status)
			progress->status = status;
		settle(link, read);
	}
	CHECK(!link->reads);
}
