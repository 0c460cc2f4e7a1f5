/*
 * backing_s3.c - the S3 client as a backing store: a thin adapter. The client's requests live in
 * the space that each backing request has for them; status codes are the same on both sides.
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache/backing_config.h"

struct backing_s3 {
	struct backing backing;
	struct s3_client *client;
	char *endpoint;
};

static_assert(sizeof(struct s3_head) <= BACKING_HEAD_SPACE, "s3_head fits");
static_assert(sizeof(struct s3_get) <= BACKING_GET_SPACE, "s3_get fits");
static_assert(sizeof(struct s3_list) <= BACKING_LIST_SPACE, "s3_list fits");
static_assert(S3_ETAG_MAX == BACKING_ETAG_MAX, "etags are copied");
static_assert(S3_TOKEN_MAX == BACKING_TOKEN_MAX, "tokens are copied");

static struct backing_s3 *s3_of(struct backing *backing)
{
	return CONTAINER_OF(backing, struct backing_s3, backing);
}

static struct s3_request to_s3(const struct backing_request *request, void *context)
{
	return (struct s3_request){
		.bucket = request->bucket,
		.key = request->key,
		.deadline_ns = request->deadline_ns,
		.background = request->background,
		.context = context,
	};
}

static void from_s3(const struct s3_request *request, struct backing_request *out)
{
	out->status = request->status;
	snprintf(out->problem, sizeof(out->problem), "%s", request->problem);
}

static struct backing_meta meta_of(const struct s3_meta *meta)
{
	struct backing_meta out = { .size = meta->size, .mtime_s = meta->mtime_s };

	memcpy(out.etag, meta->etag, sizeof(out.etag));
	return out;
}

static void head_done(struct s3_head *s3)
{
	struct backing_head *head = s3->request.context;

	from_s3(&s3->request, &head->request);
	if (head->request.status == 0)
		head->meta = meta_of(&s3->meta);
	head->done(head);
}

static void head(struct backing *backing, struct backing_head *head)
{
	struct s3_head *s3 = (struct s3_head *)(void *)head->space;

	*s3 = (struct s3_head){ .request = to_s3(&head->request, head), .done = head_done };
	s3_head(s3_of(backing)->client, s3);
}

static void get_progress(struct s3_get *s3, size_t filled)
{
	struct backing_get *get = s3->request.context;

	get->progress(get, filled);
}

static void get_done(struct s3_get *s3)
{
	struct backing_get *get = s3->request.context;

	from_s3(&s3->request, &get->request);
	get->done(get);
}

static struct s3_get *s3_get_of(struct backing_get *get)
{
	return (struct s3_get *)(void *)get->space;
}

static void set_up_get(struct backing_get *get)
{
	*s3_get_of(get) = (struct s3_get){
		.request = to_s3(&get->request, get),
		.off = get->off,
		.len = get->len,
		.if_match = get->etag,
		.dst = get->dst,
		.progress = get->progress ? get_progress : NULL,
		.done = get_done,
		.next = get->next ? s3_get_of(get->next) : NULL,
	};
}

static void get(struct backing *backing, struct backing_get *get)
{
	for (struct backing_get *member = get; member; member = member->next)
		set_up_get(member);
	s3_get(s3_of(backing)->client, s3_get_of(get));
}

static void promote(struct backing *backing, struct backing_get *get)
{
	s3_get_promote(s3_of(backing)->client, s3_get_of(get));
}

static void list_entry(struct s3_list *s3, const char *key, const struct s3_meta *meta)
{
	struct backing_list *list = s3->request.context;
	struct backing_meta out;

	if (meta)
		out = meta_of(meta);
	list->entry(list, key, meta ? &out : NULL);
}

static void list_done(struct s3_list *s3)
{
	struct backing_list *list = s3->request.context;

	from_s3(&s3->request, &list->request);
	if (list->request.status == 0)
		memcpy(list->token, s3->token, sizeof(list->token));
	list->done(list);
}

static void list(struct backing *backing, struct backing_list *list)
{
	struct s3_list *s3 = (struct s3_list *)(void *)list->space;

	*s3 = (struct s3_list){
		.request = to_s3(&list->request, list),
		.prefix = list->prefix,
		.start_after = list->after,
		.delimited = list->delimited,
		.max_keys = list->max_keys,
		.entry = list_entry,
		.done = list_done,
	};
	memcpy(s3->token, list->token, sizeof(s3->token));
	s3_list(s3_of(backing)->client, s3);
}

static void reload(struct backing *backing, const struct backing_config *config)
{
	s3_client_reload(s3_of(backing)->client, &config->s3);
}

static const struct counters *counters(const struct backing *backing)
{
	/* the first member, so that const need not be cast away */
	return s3_client_counters(((const struct backing_s3 *)(const void *)backing)->client);
}

static void describe(struct backing *backing, char *out, size_t out_size)
{
	char identity[128];

	s3_client_identity(s3_of(backing)->client, identity, sizeof(identity));
	snprintf(out, out_size, "s3 %s, %s", s3_of(backing)->endpoint, identity);
}

static void destroy(struct backing *backing)
{
	struct backing_s3 *s3 = s3_of(backing);

	s3_client_destroy(s3->client);
	free(s3->endpoint);
	free(s3);
}

static const struct backing_ops ops = {
	.type = "s3",
	.remote = true,
	.seeks = true,
	.head = head,
	.chains = true,
	.get = get,
	.list = list,
	.promote = promote,
	.reload = reload,
	.counters = counters,
	.describe = describe,
	.destroy = destroy,
};

int backing_s3_create(const struct backing_config *config, const struct clock *clock,
		      struct backing **out_backing, char *problem, size_t problem_size)
{
	struct backing_s3 *s3 = calloc(1, sizeof(*s3));
	char what[OPTION_PROBLEM_MAX] = "";
	int error = -ENOMEM;

	snprintf(problem, problem_size, "backing '%s': out of memory", config->id);
	if (!s3)
		return -ENOMEM;
	s3->backing.ops = &ops;
	s3->endpoint = strdup(config->s3.endpoint);
	if (!s3->endpoint)
		goto free_s3;
	error = s3_client_create(config->id, &config->s3, clock, &s3->client, what, sizeof(what));
	if (error) {
		snprintf(problem, problem_size, "backing '%s': %s", config->id, what);
		goto free_endpoint;
	}
	*out_backing = &s3->backing;
	return 0;

free_endpoint:
	free(s3->endpoint);
free_s3:
	free(s3);
	return error;
}
