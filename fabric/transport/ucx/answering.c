/*
 * answering.c - peers' reads of our memory: each request is checked against the regions as they are
 * now, waits in its link's ring for the end of the poll, and is answered from where it lies. Small
 * ones are gathered, so that many cost one send.
 *
 * A reader may have as many requests unanswered as we told it in WELCOME. It knows sooner than we
 * that an answer has left us, so there is room for twice that; more is a breach.
 */
#include <errno.h>
#include <stdlib.h>

#include "fabric/transport/ucx/ucx.h"

int ucx_wants_begin(struct ucx_link *link)
{
	unsigned depth = (unsigned)transport_config(link->backend->transport)->queue_depth;

	link->wants_max = 2 * depth;
	link->wants = calloc(link->wants_max, sizeof(*link->wants));
	return link->wants ? 0 : -ENOMEM;
}

/* Where what is asked for lies, NULL: not in a region that may be read. */
static uint8_t *locate(struct ucx_link *link, const struct ucx_request *request)
{
	struct transport_region *region =
		transport_region_at(link->backend->transport, request->region);

	if (!region || region->access != TRANSPORT_READABLE || !request->len ||
	    request->len > link->eager_max || request->off > region->len ||
	    request->len > region->len - request->off)
		return NULL;
	return region->base + request->off;
}

static void want(struct ucx_link *link, const struct ucx_request *request)
{
	struct ucx_want *slot =
		&link->wants[(link->wants_first + link->wants_count) % link->wants_max];
	uint8_t *from = locate(link, request);

	if (!from)
		ucx_forged(link->backend, link, "a read outside of the regions");
	*slot = (struct ucx_want){ .id = request->id,
				   .len = from ? request->len : 0,
				   .status = from ? 0 : -ERANGE,
				   .from = from };
	link->wants_count++;
	link->answering++;
}

void ucx_wanted(struct ucx_link *link, const void *data, size_t len)
{
	struct ucx_request requests[UCX_REQUESTS_MAX];
	int count = ucx_read_decode(data, len, requests);

	if (count < 0 || (unsigned)count > link->wants_max - link->answering) {
		const char *what = count < 0 ? "a READ that is none of ours"
					     : "more reads at once than it may";

		ucx_forged(link->backend, link, what);
		ucx_link_doom(link, -EPROTO, "%s", what);
		return;
	}
	for (int i = 0; i < count; i++)
		want(link, &requests[i]);
	ucx_link_touch(link);
}

static struct ucx_batch *new_batch(struct ucx_link *link)
{
	struct ucx_backend *backend = link->backend;
	struct ucx_batch *batch = SLIST_FIRST(&backend->batches);

	if (batch) {
		SLIST_REMOVE_HEAD(&backend->batches, entry);
		backend->batch_count--;
	} else {
		batch = malloc(sizeof(*batch));
	}
	if (!batch) {
		ucx_link_doom(link, -ENOMEM, "no memory to answer");
		return NULL;
	}
	batch->link = link;
	batch->count = 0;
	batch->bytes = 0;
	batch->head_len = ucx_answer_begin(link->peer_token, batch->head);
	return batch;
}

static void free_batch(struct ucx_batch *batch)
{
	struct ucx_backend *backend = batch->link->backend;

	if (backend->batch_count == UCX_BATCHES_KEPT) {
		free(batch);
		return;
	}
	SLIST_INSERT_HEAD(&backend->batches, batch, entry);
	backend->batch_count++;
}

static void end_batch(struct ucx_batch *batch, ucs_status_t status)
{
	struct ucx_link *link = batch->link;

	link->answering -= batch->count;
	link->backend->events++;
	if (status == UCS_OK)
		transport_count(link->backend->transport, TRANSPORT_SERVED_BYTES,
				(int64_t)batch->bytes);
	free_batch(batch);
}

static void on_sent(void *request, ucs_status_t status, void *argument)
{
	struct ucx_batch *batch = argument;

	ucp_request_free(request);
	batch->link->lent--;
	end_batch(batch, status);
}

static void send_batch(struct ucx_batch *batch)
{
	ucp_request_param_t param = {
		.op_attr_mask = UCP_OP_ATTR_FIELD_FLAGS | UCP_OP_ATTR_FIELD_CALLBACK |
				UCP_OP_ATTR_FIELD_USER_DATA,
		.flags = UCP_AM_SEND_FLAG_EAGER | UCP_AM_SEND_FLAG_REPLY,
		.cb.send = on_sent,
		.user_data = batch,
	};
	struct ucx_link *link = batch->link;
	const void *buffer = batch->iov[0].buffer;
	size_t count = batch->iov[0].length;
	ucs_status_ptr_t request;

	if (batch->count > 1) {
		param.op_attr_mask |= UCP_OP_ATTR_FIELD_DATATYPE;
		param.datatype = ucp_dt_make_iov();
		buffer = batch->iov;
		count = batch->count;
	}
	request = ucp_am_send_nbx(link->ep, UCX_ANSWER, batch->head, batch->head_len, buffer, count,
				  &param);
	if (UCS_PTR_IS_PTR(request)) {
		link->lent++;
		return;
	}
	if (request)
		ucx_link_doom(link, -ECONNRESET, "UCX: %s",
			      ucs_status_string(UCS_PTR_STATUS(request)));
	end_batch(batch, UCS_PTR_STATUS(request));
}

/* Many small ones, or a few long ones: what several cost less together, and the reader can go on
   with the first before the last is sent. */
static bool joins(const struct ucx_batch *batch, const struct ucx_want *next)
{
	size_t bytes = batch->bytes + next->len;

	if (!batch->count)
		return true;
	if (bytes <= UCX_GATHERED_MAX)
		return batch->count < UCX_PIECES_MAX;
	return batch->count < UCX_LONG_PIECES_MAX && bytes <= UCX_EAGER_MAX &&
	       bytes <= batch->link->eager_max;
}

static void join(struct ucx_batch *batch, const struct ucx_want *next)
{
	const struct ucx_piece piece = { next->id, next->len, next->status };

	batch->iov[batch->count++] = (ucp_dt_iov_t){ .buffer = next->from, .length = next->len };
	batch->bytes += next->len;
	batch->head_len += ucx_answer_add(batch->head, &piece);
}

void ucx_wants_flush(struct ucx_link *link)
{
	while (link->wants_count && !link->doomed) {
		struct ucx_batch *batch = new_batch(link);

		if (!batch)
			return;
		while (link->wants_count && joins(batch, &link->wants[link->wants_first])) {
			join(batch, &link->wants[link->wants_first]);
			link->wants_first = (link->wants_first + 1) % link->wants_max;
			link->wants_count--;
		}
		send_batch(batch);
	}
}
