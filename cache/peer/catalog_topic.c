/*
 * catalog_topic.c - asking the backing store once for all who want to know, and what is kept of it.
 *
 *	topic	asked for --> flight --> result, kept while it is young enough for anybody and there
 *		   ^	 ^		 |	is room: the least recently used goes first
 *		   |	 `- who wants it younger
 *		   `---- who came while it was under way, and wants it younger
 *
 * An answer is as old as its question: who asks later than that, and wants it fresh, has to wait
 * for the next flight. An answer is told to everyone whom it satisfies, errors to all who wait but
 * those who have more time than the flight had.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "cache/peer/catalog_inside.h"

/* Whether the result is no older than @ask wants it, nor known to be wrong. */
static bool is_good_for(const struct topic *topic, const struct result *result,
			const struct ask *ask)
{
	enum peer_question kind = topic->question->kind;
	bool absent = result_is_absent(result, kind);
	uint64_t age_ns = absent ? ask->absent_age_ns : ask->max_age_ns;

	if (result->begun_ns >= ask->asked_ns)
		return true;
	if (ask->asked_ns - result->begun_ns > age_ns)
		return false;
	return kind == PEER_LIST || absent || !ask->question->refused[0] ||
	       strcmp(result->meta.etag, ask->question->refused) != 0;
}

/* --- what is kept */

/* How long after its question it may be of use: an answer for everyone's age, and a page for those
 * who were told to read it. */
static uint64_t topic_life(const struct topic *topic)
{
	bool absent = result_is_absent(&topic->result, topic->question->kind);
	uint64_t life_ns = absent ? topic->absent_ns : topic->found_ns;

	return life_ns > CATALOG_LINGER_NS ? life_ns : CATALOG_LINGER_NS;
}

static void topic_account(struct topic *topic, size_t bytes)
{
	struct catalog *catalog = topic->catalog;

	catalog->bytes += bytes - topic->bytes;
	topic->bytes = bytes;
	counter_set(catalog->setup.counters, PEERS_CATALOG_BYTES, catalog->bytes);
}

static void topic_forget(struct topic *topic)
{
	struct catalog *catalog = topic->catalog;

	if (!topic->known)
		return;
	if (topic->result.page)
		kept_remove(catalog, topic->result.page);
	result_fini(&topic->result);
	TAILQ_REMOVE(&catalog->by_use, topic, by_use);
	topic->known = false;
	topic_account(topic, 0);
}

/* Of no use to anybody any more. */
static void topic_settle(struct topic *topic)
{
	struct catalog *catalog = topic->catalog;

	if (topic->known || topic->flight || !TAILQ_EMPTY(&topic->waiting))
		return;
	HASH_DELETE(by_id, catalog->topics, topic);
	question_put(topic->question);
	free(topic);
}

static void topic_drop(struct topic *topic)
{
	topic_forget(topic);
	topic_settle(topic);
}

static void topics_trim(struct catalog *catalog)
{
	while (catalog->bytes > catalog->setup.memory_max)
		topic_drop(TAILQ_FIRST(&catalog->by_use));
}

static bool is_same_page(const struct catalog_page *a, const struct catalog_page *b)
{
	return a && b && a->len == b->len && memcmp(a->bytes, b->bytes, a->len) == 0;
}

/* Others may have the page in hand by its number, which it keeps when it has not changed. */
static int page_keep(struct topic *topic, struct result *result)
{
	struct catalog_page *before = topic->known ? topic->result.page : NULL;

	if (!result->page)
		return 0;
	if (is_same_page(before, result->page)) {
		catalog_page_put(result->page);
		result->page = catalog_page_get(before);
		return 0;
	}
	return kept_add(topic->catalog, result->page);
}

/* Keeps @result in place of what there was. It may be dropped at once: for want of room. */
static void topic_keep(struct topic *topic, struct result *result)
{
	struct catalog *catalog = topic->catalog;
	size_t bytes = sizeof(*topic) + question_bytes(topic->question);
	bool same;

	if (page_keep(topic, result) != 0)
		return;
	same = topic->known && topic->result.page == result->page;
	if (topic->known && !same)
		topic_forget(topic);
	if (!topic->known)
		TAILQ_INSERT_TAIL(&catalog->by_use, topic, by_use);
	topic->known = true;
	result_fini(&topic->result);
	result_copy(&topic->result, result);
	if (result->page)
		bytes += sizeof(struct kept) + sizeof(*result->page) + result->page->len;
	topic_account(topic, bytes);
}

static bool is_worth_keeping(const struct result *result, enum peer_question kind)
{
	return result->status == 0 || (kind == PEER_HEAD && result->status == -ENOENT);
}

/* --- flights; done()s and entries on the store's threads */

void flight_free(struct flight *flight)
{
	catalog_builder_fini(&flight->builder);
	question_put(flight->question);
	free(flight);
}

static void list_entry(struct backing_list *list, const char *key, const struct backing_meta *meta)
{
	catalog_builder_add(&CONTAINER_OF(list, struct flight, list)->builder, key, meta);
}

static void list_done(struct backing_list *list)
{
	catalog_post_flight(CONTAINER_OF(list, struct flight, list));
}

static void head_done(struct backing_head *head)
{
	catalog_post_flight(CONTAINER_OF(head, struct flight, head));
}

static void flight_begin_list(struct flight *flight)
{
	const struct question *question = flight->question;

	flight->list = (struct backing_list){
		.request = { .bucket = question->bucket, .deadline_ns = flight->deadline_ns },
		.prefix = question->key,
		.delimited = question->delimited,
		.max_keys = (int)question->max_keys,
		.entry = list_entry,
		.done = list_done,
	};
	memcpy(flight->list.token, question->token, strlen(question->token) + 1);
	flight->request = &flight->list.request;
	backing_list(question->store->inner, &flight->list);
}

static void flight_begin_head(struct flight *flight)
{
	const struct question *question = flight->question;

	flight->head = (struct backing_head){
		.request = { .bucket = question->bucket,
			     .key = question->key,
			     .deadline_ns = flight->deadline_ns },
		.done = head_done,
	};
	flight->request = &flight->head.request;
	backing_head(question->store->inner, &flight->head);
}

static uint64_t latest_deadline(const struct topic *topic)
{
	uint64_t deadline_ns = 0;
	const struct ask *ask;

	for (ask = TAILQ_FIRST(&topic->waiting); ask; ask = TAILQ_NEXT(ask, link))
		if (ask->deadline_ns > deadline_ns)
			deadline_ns = ask->deadline_ns;
	return deadline_ns;
}

/* Return: 0, -EAGAIN, -ENOMEM. */
static int flight_begin(struct topic *topic)
{
	struct catalog *catalog = topic->catalog;
	struct flight *flight;

	if (catalog->flights == CATALOG_FLIGHTS_MAX)
		return -EAGAIN;
	flight = malloc(sizeof(*flight));
	if (!flight)
		return -ENOMEM;
	flight->catalog = catalog;
	flight->topic = topic;
	flight->question = question_get(topic->question);
	flight->begun_ns = catalog_now(catalog);
	flight->deadline_ns = latest_deadline(topic);
	catalog_builder_init(&flight->builder);
	topic->flight = flight;
	TAILQ_INSERT_TAIL(&catalog->flying, topic, flying);
	catalog->flights++;
	catalog_count(catalog, PEERS_CATALOG_FLIGHTS);
	if (topic->question->kind == PEER_LIST)
		flight_begin_list(flight);
	else
		flight_begin_head(flight);
	return 0;
}

/* There is no answer for all who wait: each has to ask the store. */
static void waiting_pass_on(struct topic *topic, int error)
{
	struct ask *ask;

	while ((ask = TAILQ_FIRST(&topic->waiting))) {
		if (ask_is_guest(ask))
			ask_fail(ask, error, "");
		else
			ask_pass_on(ask);
	}
}

static void topic_fly(struct topic *topic)
{
	int error = 0;

	if (!topic->flight && !TAILQ_EMPTY(&topic->waiting))
		error = flight_begin(topic);
	if (error)
		waiting_pass_on(topic, error);
}

/* --- joining */

static struct topic *topic_create(struct catalog *catalog, struct question *question)
{
	struct topic *topic = calloc(1, sizeof(*topic));

	if (!topic)
		return NULL;
	topic->catalog = catalog;
	topic->question = question_get(question);
	TAILQ_INIT(&topic->waiting);
	HASH_ADD_KEYPTR(by_id, catalog->topics, &topic->question->id, sizeof(question->id), topic);
	if (topic->by_id.tbl)
		return topic;
	question_put(question);
	free(topic);
	return NULL;
}

static struct topic *topic_of(struct catalog *catalog, struct question *question)
{
	struct topic *topic;

	HASH_FIND(by_id, catalog->topics, &question->id, sizeof(question->id), topic);
	return topic ? topic : topic_create(catalog, question);
}

static void answer(struct ask *ask, const struct result *result)
{
	ask->age_ns = ask->asked_ns > result->begun_ns ? ask->asked_ns - result->begun_ns : 0;
	result_fini(&ask->result);
	result_copy(&ask->result, result);
	ask_tell(ask);
}

static void topic_used(struct topic *topic, const struct ask *ask)
{
	struct catalog *catalog = topic->catalog;

	if (ask->max_age_ns > topic->found_ns)
		topic->found_ns = ask->max_age_ns;
	if (ask->absent_age_ns > topic->absent_ns)
		topic->absent_ns = ask->absent_age_ns;
	if (!topic->known)
		return;
	TAILQ_REMOVE(&catalog->by_use, topic, by_use);
	TAILQ_INSERT_TAIL(&catalog->by_use, topic, by_use);
}

void topic_join(struct ask *ask)
{
	struct catalog *catalog = ask->catalog;
	struct topic *topic = topic_of(catalog, ask->question);

	if (!topic) {
		ask_pass_on(ask);
		return;
	}
	topic_used(topic, ask);
	if (topic->known && is_good_for(topic, &topic->result, ask)) {
		catalog_count(catalog, PEERS_CATALOG_KEPT);
		answer(ask, &topic->result);
		return;
	}
	ask_move(ask, ASK_WAITING, &topic->waiting);
	catalog_due(catalog, ask->deadline_ns);
	if (ask_is_guest(ask))
		catalog_due(catalog, ask->working_ns);
	topic_fly(topic);
	topic_settle(topic);
}

/* --- landing */

static void result_of_flight(struct flight *flight, struct result *out)
{
	const struct backing_request *request = flight->request;

	*out = (struct result){ .status = request->status, .begun_ns = flight->begun_ns };
	memcpy(out->problem, request->problem, sizeof(out->problem));
	if (out->status)
		return;
	if (flight->question->kind == PEER_HEAD)
		out->meta = flight->head.meta;
	else
		out->status =
			catalog_builder_finish(&flight->builder, flight->list.token, &out->page);
}

/* What the store answered, but a page cannot hold. */
static bool is_ours_to_blame(const struct flight *flight, const struct result *result)
{
	return result->status != 0 && flight->request->status == 0;
}

static void tell_waiting(struct topic *topic, const struct result *result, uint64_t deadline_ns)
{
	bool error = !is_worth_keeping(result, topic->question->kind);
	struct ask *ask, *next;

	for (ask = TAILQ_FIRST(&topic->waiting); ask; ask = next) {
		next = TAILQ_NEXT(ask, link);
		if (error ? result->status == -ETIMEDOUT && ask->deadline_ns > deadline_ns
			  : !is_good_for(topic, result, ask))
			continue;
		ask_move(ask, ASK_WAITING, NULL);
		answer(ask, result);
	}
}

void topic_landed(struct flight *flight)
{
	struct topic *topic = flight->topic;
	struct catalog *catalog = flight->catalog;
	struct result result;

	topic->flight = NULL;
	TAILQ_REMOVE(&catalog->flying, topic, flying);
	catalog->flights--;
	result_of_flight(flight, &result);
	if (is_ours_to_blame(flight, &result)) {
		waiting_pass_on(topic, result.status);
	} else {
		if (is_worth_keeping(&result, topic->question->kind))
			topic_keep(topic, &result);
		tell_waiting(topic, &result, flight->deadline_ns);
	}
	result_fini(&result);
	flight_free(flight);
	topic_fly(topic);
	topic_settle(topic);
	topics_trim(catalog);
}

/* --- time */

static void wait_due(struct ask *ask, uint64_t now_ns)
{
	if (now_ns >= ask->deadline_ns) {
		ask_move(ask, ASK_WAITING, NULL);
		ask_fail(ask, -ETIMEDOUT, "the backing store takes longer than there is time");
		return;
	}
	if (ask_is_guest(ask))
		ask_work(ask, now_ns);
	catalog_due(ask->catalog, ask->deadline_ns);
}

static void topic_due(struct topic *topic, uint64_t now_ns)
{
	struct ask *ask, *next;

	for (ask = TAILQ_FIRST(&topic->waiting); ask; ask = next) {
		next = TAILQ_NEXT(ask, link);
		wait_due(ask, now_ns);
	}
}

/* From the least recently used on: those that are younger have mostly longer to live. */
static void topics_expire(struct catalog *catalog, uint64_t now_ns)
{
	struct topic *topic, *next;

	for (topic = TAILQ_FIRST(&catalog->by_use);
	     topic && now_ns - topic->result.begun_ns > topic_life(topic); topic = next) {
		next = TAILQ_NEXT(topic, by_use);
		topic_drop(topic);
	}
}

void topics_due(struct catalog *catalog, uint64_t now_ns)
{
	struct topic *topic, *next;

	topics_expire(catalog, now_ns);
	if (!TAILQ_EMPTY(&catalog->by_use))
		catalog_due(catalog, clock_after_ns(now_ns, NS_PER_S));
	for (topic = TAILQ_FIRST(&catalog->flying); topic; topic = next) {
		next = TAILQ_NEXT(topic, flying);
		topic_due(topic, now_ns);
	}
}

/* --- the end */

static void topic_down(struct topic *topic, const struct transport_peer *peer)
{
	struct ask *ask, *next;

	for (ask = TAILQ_FIRST(&topic->waiting); ask; ask = next) {
		next = TAILQ_NEXT(ask, link);
		if (ask->from != peer)
			continue;
		ask_move(ask, ASK_WAITING, NULL);
		ask_free(ask);
	}
}

void topics_down(struct catalog *catalog, const struct transport_peer *peer)
{
	struct topic *topic;

	for (topic = TAILQ_FIRST(&catalog->flying); topic; topic = TAILQ_NEXT(topic, flying))
		topic_down(topic, peer);
}

static void topic_stop(struct topic *topic)
{
	struct catalog *catalog = topic->catalog;
	struct ask *ask;

	while ((ask = TAILQ_FIRST(&topic->waiting))) {
		ask_move(ask, ASK_WAITING, NULL);
		ask_fail(ask, -ECANCELED, "this node stops");
	}
	topic->flight = NULL;
	TAILQ_REMOVE(&catalog->flying, topic, flying);
	catalog->flights--;
	topic_settle(topic);
}

void topics_stop(struct catalog *catalog)
{
	struct topic *topic, *next;

	for (topic = TAILQ_FIRST(&catalog->flying); topic; topic = next) {
		next = TAILQ_NEXT(topic, flying);
		topic_stop(topic);
	}
}

void topics_fini(struct catalog *catalog)
{
	struct topic *topic, *next;

	for (topic = TAILQ_FIRST(&catalog->by_use); topic; topic = next) {
		next = TAILQ_NEXT(topic, by_use);
		topic_drop(topic);
	}
	CHECK(!catalog->topics);
}
