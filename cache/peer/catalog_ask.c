/*
 * catalog_ask.c - the life of a question that someone waits for, and what he is told.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "cache/peer/catalog_inside.h"

/* --- results */

void result_copy(struct result *to, const struct result *from)
{
	*to = *from;
	if (to->page)
		catalog_page_get(to->page);
}

void result_fini(struct result *result)
{
	catalog_page_put(result->page);
	*result = (struct result){ 0 };
}

bool result_is_absent(const struct result *result, enum peer_question kind)
{
	if (kind == PEER_HEAD)
		return result->status == -ENOENT;
	return result->status == 0 && catalog_page_is_empty(result->page);
}

/* --- life */

struct ask *ask_create(struct catalog *catalog, struct question *question)
{
	struct ask *ask = calloc(1, sizeof(*ask));

	if (!ask)
		return NULL;
	ask->catalog = catalog;
	ask->question = question;
	return ask;
}

void ask_move(struct ask *ask, enum ask_state state, struct ask_list *list)
{
	if (ask->on)
		TAILQ_REMOVE(ask->on, ask, link);
	ask->on = list;
	ask->state = state;
	if (list)
		TAILQ_INSERT_TAIL(list, ask, link);
}

void ask_free(struct ask *ask)
{
	CHECK(!ask->on && !ask->request && !ask->object);
	if (ask_is_guest(ask))
		ask->catalog->guests--;
	result_fini(&ask->result);
	question_put(ask->question);
	free(ask);
}

/* It is not this node's catalog's any more: the last that is done with it. */
static void ask_let_go(struct ask *ask)
{
	atomic_fetch_sub(&ask->catalog->asks, 1);
	ask_free(ask);
}

void ask_pass_on(struct ask *ask)
{
	struct backing *inner = ask->question->store->inner;
	struct backing_list *list = ask->list;
	struct backing_head *head = ask->head;

	if (ask_is_guest(ask)) {
		ask_fail(ask, -EAGAIN, "no room");
		return;
	}
	catalog_count(ask->catalog, PEERS_CATALOG_FALLBACKS);
	ask_move(ask, ASK_TOLD, NULL);
	ask_let_go(ask);
	if (list)
		backing_list(inner, list);
	else
		backing_head(inner, head);
}

/* --- telling this node's; on the porter's thread */

static void request_finish(struct backing_request *request, const struct ask *ask)
{
	request->status = ask->result.status;
	request->age_ns = ask->age_ns;
	memcpy(request->problem, ask->result.problem, sizeof(request->problem));
}

static void list_entries(struct backing_list *list, const struct catalog_page *page)
{
	struct backing_meta meta;
	struct catalog_walk walk;
	const char *key;
	bool is_prefix;

	CHECK(catalog_walk_begin(&walk, page->bytes, page->len) == 0);
	while (catalog_walk_next(&walk, &key, &is_prefix, &meta) > 0)
		list->entry(list, key, is_prefix ? NULL : &meta);
	snprintf(list->token, sizeof(list->token), "%s", key);
}

static void list_tell(struct ask *ask)
{
	const struct catalog_page *page = ask->result.page;
	struct backing_list *list = ask->list;

	/* before the first entry: there is no taking back */
	if (page && catalog_page_check(page->bytes, page->len) != 0) {
		catalog_count(ask->catalog, PEERS_MALFORMED);
		ask_pass_on(ask);
		return;
	}
	if (page)
		list_entries(list, page);
	request_finish(&list->request, ask);
	ask_let_go(ask);
	list->done(list);
}

static void head_tell(struct ask *ask)
{
	struct backing_head *head = ask->head;

	head->meta = ask->result.meta;
	request_finish(&head->request, ask);
	ask_let_go(ask);
	head->done(head);
}

static void tell_run(struct catalog_job *job)
{
	struct ask *ask = CONTAINER_OF(job, struct ask, job);

	if (ask->list)
		list_tell(ask);
	else
		head_tell(ask);
}

/* --- telling guests */

static uint32_t age_ms(uint64_t age_ns)
{
	uint64_t ms = age_ns / NS_PER_MS + (age_ns % NS_PER_MS != 0);

	return ms < UINT32_MAX ? (uint32_t)ms : UINT32_MAX;
}

static void answer_page(const struct ask *ask, char etag[CATALOG_ETAG_SPACE],
			struct peer_answer *out)
{
	const struct catalog_page *page = ask->result.page;

	out->len = page->len;
	out->data = page->bytes;
	out->form = PEER_ANSWER_PAGE;
	if (page->len <= PEER_ANSWER_BYTES_MAX)
		return;
	out->form = PEER_ANSWER_OBJECT;
	kept_etag(ask->catalog, page, etag);
	out->etag = etag;
}

static void answer_of(const struct ask *ask, char etag[CATALOG_ETAG_SPACE], struct peer_answer *out)
{
	const struct result *result = &ask->result;

	*out = (struct peer_answer){ .request = ask->number, .age_ms = age_ms(ask->age_ns) };
	if (result->status) {
		out->form = PEER_ANSWER_ERROR;
		out->why = peer_status_refusal(result->status);
		out->problem = result->problem;
	} else if (ask->question->kind == PEER_LIST) {
		answer_page(ask, etag, out);
	} else {
		out->form = PEER_ANSWER_META;
		out->size = result->meta.size;
		out->mtime_s = result->meta.mtime_s;
		out->etag = result->meta.etag;
	}
}

void ask_send(struct ask *ask)
{
	struct catalog *catalog = ask->catalog;
	struct peer_message message = { .kind = PEER_ANSWER };
	char etag[CATALOG_ETAG_SPACE];
	int error;

	ask_move(ask, ASK_STALLED, NULL);
	answer_of(ask, etag, &message.answer);
	error = outbox_send(catalog->setup.outbox, ask->from, &message, CATALOG_SEND_NS);
	if ((error == -EAGAIN || error == -ENOMEM) && catalog_now(catalog) < ask->deadline_ns) {
		ask_move(ask, ASK_STALLED, &catalog->stalled);
		catalog_due(catalog, clock_after_ns(catalog_now(catalog), CATALOG_RESEND_NS));
		return;
	}
	ask_free(ask);
}

void ask_work(struct ask *ask, uint64_t now_ns)
{
	struct peer_message message = {
		.kind = PEER_ANSWER,
		.answer = { .request = ask->number, .form = PEER_ANSWER_WORKING },
	};

	if (now_ns >= ask->working_ns) {
		ask->working_ns = clock_after_ns(now_ns, PEER_WORKING_NS);
		/* what is lost of it, the next one makes good */
		(void)outbox_send(ask->catalog->setup.outbox, ask->from, &message, CATALOG_SEND_NS);
	}
	catalog_due(ask->catalog, ask->working_ns);
}

/* --- telling anybody */

void ask_tell(struct ask *ask)
{
	const struct catalog_porter *porter = &ask->catalog->setup.porter;

	if (ask_is_guest(ask)) {
		ask_send(ask);
		return;
	}
	ask_move(ask, ASK_TOLD, NULL);
	ask->job.run = tell_run;
	porter->carry(porter->context, &ask->job);
}

void ask_fail(struct ask *ask, int status, const char *problem)
{
	result_fini(&ask->result);
	ask->result.status = status;
	snprintf(ask->result.problem, sizeof(ask->result.problem), "%s", problem);
	ask_tell(ask);
}
