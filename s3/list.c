/*
 * list.c - one page of ListObjectsV2. Names are asked for percent-encoded: a key may hold bytes
 * that XML cannot.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/log.h"
#include "s3/client.h"
#include "s3/engine/operation.h"
#include "s3/wire/list_xml.h"

static struct s3_list *list_of(const struct attempt *attempt)
{
	return CONTAINER_OF(attempt->request, struct s3_list, request);
}

static uint64_t cost(const struct s3_request *request)
{
	(void)request;
	return 0; /* not known before; budget_settle() charges what came */
}

static void prepare(struct attempt *attempt, struct attempt_form *form)
{
	struct s3_list *list = list_of(attempt);

	if (strlen(list->prefix) > S3_KEY_MAX ||
	    (list->start_after && strlen(list->start_after) > S3_KEY_MAX) ||
	    memchr(list->token, 0, sizeof(list->token)) == NULL || list->max_keys < 0) {
		attempt_judge(attempt, STATUS_FINAL, -EINVAL,
			      "a listing whose prefix, start or token is too long");
		return;
	}
	if (list_xml_create(&attempt->page)) {
		attempt_judge(attempt, STATUS_FINAL, -ENOMEM, "out of memory for a listing");
		return;
	}
	attempt_form_query(form, "list-type", "2");
	attempt_form_query(form, "encoding-type", "url");
	attempt_form_query(form, "prefix", list->prefix);
	if (list->delimited)
		attempt_form_query(form, "delimiter", "/");
	if (list->max_keys) {
		snprintf(form->max_keys, sizeof(form->max_keys), "%d", list->max_keys);
		attempt_form_query(form, "max-keys", form->max_keys);
	}
	if (list->token[0])
		attempt_form_query(form, "continuation-token", list->token);
	else if (list->start_after && list->start_after[0])
		attempt_form_query(form, "start-after", list->start_after);
}

static void head(struct attempt *attempt)
{
	if (attempt->response.http_status != 200)
		attempt_judge(attempt, STATUS_FINAL, -EPROTO, "status %d to a listing",
			      attempt->response.http_status);
}

static void judge_page(struct attempt *attempt, int error)
{
	if (error)
		attempt_judge(attempt, STATUS_FINAL, error, "%s", list_xml_problem(attempt->page));
}

static void body(struct attempt *attempt, const char *data, size_t len)
{
	judge_page(attempt, list_xml_feed(attempt->page, data, len));
}

static void end(struct attempt *attempt)
{
	struct s3_list *list = list_of(attempt);
	const struct s3_meta *meta;
	const char *key;
	size_t position = 0;

	judge_page(attempt, list_xml_finish(attempt->page));
	if (attempt->judged)
		return;
	if (list_xml_dropped(attempt->page))
		log_warning("s3.list",
			    "bucket=%s prefix=\"%s\" dropped=%u reason=\"NUL in the key\"",
			    list->request.bucket, list->prefix, list_xml_dropped(attempt->page));
	snprintf(list->token, sizeof(list->token), "%s", list_xml_token(attempt->page));
	while (list_xml_next(attempt->page, &position, &key, &meta))
		list->entry(list, key, meta);
}

static void done(struct s3_request *request)
{
	struct s3_list *list = CONTAINER_OF(request, struct s3_list, request);
	list->done(list);
}

const struct s3_operation list_operation = {
	.method = "GET",
	.counter = S3_LISTS,
	.cost = cost,
	.prepare = prepare,
	.head = head,
	.body = body,
	.end = end,
	.done = done,
};

void s3_list(struct s3_client *client, struct s3_list *list)
{
	list->request.key = NULL;
	list->request.own.abandoned = NULL;
	client_submit(client, &list->request, &list_operation);
}
