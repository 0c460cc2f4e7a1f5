/*
 * head.c - HEAD: size, time and ETag of a key.
 */
#include <errno.h>
#include <string.h>

#include "base/check.h"
#include "s3/client.h"
#include "s3/engine/operation.h"

static uint64_t cost(const struct s3_request *request)
{
	(void)request;
	return 0;
}

static void prepare(struct attempt *attempt, struct attempt_form *form)
{
	(void)form;
	operation_check_key(attempt);
}

static void head(struct attempt *attempt)
{
	(void)attempt; /* there is nothing else: see end() */
}

static void end(struct attempt *attempt)
{
	struct s3_head *request = CONTAINER_OF(attempt->request, struct s3_head, request);
	const struct response *response = &attempt->response;

	if (!response->etag[0])
		attempt_judge(attempt, STATUS_FINAL, -EPROTO, "an answer to HEAD without ETag");
	else if (!response->has_length)
		attempt_judge(attempt, STATUS_FINAL, -EPROTO,
			      "an answer to HEAD without Content-Length");
	else if (!response->has_mtime)
		attempt_judge(attempt, STATUS_FINAL, -EPROTO,
			      "an answer to HEAD without Last-Modified");
	if (attempt->judged)
		return;
	request->meta.size = response->length;
	request->meta.mtime_s = response->mtime_s;
	memcpy(request->meta.etag, response->etag, sizeof(response->etag));
}

static void done(struct s3_request *request)
{
	struct s3_head *finished = CONTAINER_OF(request, struct s3_head, request);
	finished->done(finished);
}

const struct s3_operation head_operation = {
	.method = "HEAD",
	.counter = S3_HEADS,
	.cost = cost,
	.prepare = prepare,
	.head = head,
	.end = end,
	.done = done,
};

void s3_head(struct s3_client *client, struct s3_head *request)
{
	request->request.own.abandoned = NULL;
	client_submit(client, &request->request, &head_operation);
}
