/*
 * get.c - ranged GET into the caller's memory.
 *
 * What has arrived stays: an attempt that breaks off is followed by one for the rest, under the
 * same ETag. An answer is believed only when status, range, length and ETag are what was asked for.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "s3/client.h"
#include "s3/engine/operation.h"
#include "s3/get_chain.h"
#include "s3/get_parts.h"

static struct s3_get *get_of(const struct attempt *attempt)
{
	return CONTAINER_OF(attempt->request, struct s3_get, request);
}

/* The version that we want: the caller's, else that of the bytes we have. NULL: any. */
static const char *wanted_etag(const struct s3_get *get)
{
	if (get->if_match)
		return get->if_match;
	return get->filled ? get->first_etag : NULL;
}

static uint64_t cost(const struct s3_request *request)
{
	/* CONTAINER_OF() cannot keep the const */
	const struct s3_get *get =
		(const void *)((const char *)request - offsetof(struct s3_get, request));
	return get->len - get->filled;
}

static void prepare(struct attempt *attempt, struct attempt_form *form)
{
	const struct s3_get *get = get_of(attempt);
	const char *etag = wanted_etag(get);

	operation_check_key(attempt);
	if (!get->len || get->len - 1 > UINT64_MAX - get->off)
		attempt_judge(attempt, STATUS_FINAL, -EINVAL, "a range of no bytes");
	if (etag && (!etag[0] || strlen(etag) >= S3_ETAG_MAX))
		attempt_judge(attempt, STATUS_FINAL, -EINVAL, "an ETag that is empty or too long");
	if (attempt->judged)
		return;
	snprintf(form->range, sizeof(form->range), "bytes=%" PRIu64 "-%" PRIu64,
		 get->off + get->filled, get->off + (get->len - 1));
	attempt_form_header(form, "range", form->range);
	if (etag) {
		etag_quote(etag, form->if_match);
		attempt_form_header(form, "if-match", form->if_match);
	}
}

static void check_etag(struct attempt *attempt)
{
	struct s3_get *get = get_of(attempt);
	const char *etag = wanted_etag(get);

	if (!attempt->response.etag[0])
		attempt_judge(attempt, STATUS_FINAL, -EPROTO, "an answer to GET without ETag");
	else if (etag && strcmp(etag, attempt->response.etag) != 0)
		attempt_judge(attempt, STATUS_FINAL, -ESTALE,
			      "the object has another ETag (%.40s) than asked for",
			      attempt->response.etag);
	else if (!etag)
		memcpy(get->first_etag, attempt->response.etag, sizeof(get->first_etag));
}

static void check_range(struct attempt *attempt)
{
	const struct s3_get *get = get_of(attempt);
	const struct response *response = &attempt->response;
	uint64_t first = get->off + get->filled, last = get->off + (get->len - 1);

	if (!response->has_range)
		attempt_judge(attempt, STATUS_FINAL, -EPROTO,
			      "206 without a Content-Range that can be read");
	else if (response->range_first == first && response->range_last < last &&
		 response->range_last + 1 == response->range_total)
		attempt_judge(attempt, STATUS_FINAL, -ERANGE,
			      "the object ends at %" PRIu64 ", in the middle of the range",
			      response->range_total);
	else if (response->range_first != first || response->range_last != last)
		attempt_judge(attempt, STATUS_FINAL, -EPROTO,
			      "bytes %" PRIu64 "-%" PRIu64 " came when %" PRIu64 "-%" PRIu64
			      " were asked for",
			      response->range_first, response->range_last, first, last);
	else if (response->has_length && response->length != last - first + 1)
		attempt_judge(attempt, STATUS_FINAL, -EPROTO,
			      "Content-Length and Content-Range contradict each other");
}

/* 200: the server knows no ranges. Right only if the whole object was wanted anyway. */
static void check_whole(struct attempt *attempt)
{
	const struct s3_get *get = get_of(attempt);
	const struct response *response = &attempt->response;

	if (get->off || get->filled || !response->has_length || response->length != get->len)
		attempt_judge(attempt, STATUS_FINAL, -EPROTO,
			      "the server ignores Range: it sent the whole object");
}

static void head(struct attempt *attempt)
{
	check_etag(attempt);
	if (attempt->response.http_status == 206)
		check_range(attempt);
	else
		check_whole(attempt);
}

/* Takes as much of @data as goes to one place. */
static size_t put(struct s3_get *get, const char *data, size_t len)
{
	size_t room = len;
	char *to = get->place ? get->place(get, &room) : (char *)get->dst + get->filled;

	if (len > room)
		len = room;
	memcpy(to, data, len);
	get->filled += len;
	if (get->placed)
		get->placed(get, len);
	else if (get->progress)
		get->progress(get, get->filled);
	return len;
}

static void body(struct attempt *attempt, const char *data, size_t len)
{
	struct s3_get *get = get_of(attempt);

	if (len > get->len - get->filled) {
		attempt_judge(attempt, STATUS_FINAL, -EPROTO, "more bytes came than announced");
		return;
	}
	while (len > 0) {
		size_t placed = put(get, data, len);

		data += placed;
		len -= placed;
	}
}

static void end(struct attempt *attempt)
{
	const struct s3_get *get = get_of(attempt);

	if (get->filled < get->len)
		attempt_judge(attempt, STATUS_RETRY, -ETIMEDOUT,
			      "truncated answer: %zu of %zu bytes", get->filled, get->len);
}

static void done(struct s3_request *request)
{
	struct s3_get *get = CONTAINER_OF(request, struct s3_get, request);
	get->done(get);
}

const struct s3_operation get_operation = {
	.method = "GET",
	.counter = S3_GETS,
	.cost = cost,
	.prepare = prepare,
	.head = head,
	.body = body,
	.end = end,
	.done = done,
};

void get_start(struct s3_client *client, struct s3_get *get, const _Atomic bool *abandoned)
{
	get->filled = 0;
	get->first_etag[0] = 0;
	get->request.own.abandoned = abandoned;
	client_submit(client, &get->request, &get_operation);
}

void s3_get(struct s3_client *client, struct s3_get *get)
{
	struct s3_get *next;

	if (get->next && get_chain_start(client, get))
		return;
	/* once it is started a GET may be gone */
	for (; get; get = next) {
		next = get->next;
		get->carrier = NULL;
		get->place = NULL;
		get->placed = NULL;
		if (!get_parts_start(client, get))
			get_start(client, get, NULL);
	}
}
