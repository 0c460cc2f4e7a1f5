/*
 * catalog.c - up, down, what comes, and time.
 *
 * The inbox is how other threads reach the one that owns the transport: questions of this node,
 * flights that landed, pieces of pages that were read. Nothing is allocated for it, and it holds no
 * more than there are questions and flights.
 */
#include "cache/peer/catalog.h"

#include <errno.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/digest.h"
#include "cache/peer/catalog_inside.h"

/* --- the inbox */

static void wake(struct catalog *catalog)
{
	catalog->setup.wake(catalog->setup.context);
}

bool catalog_post_ask(struct ask *ask)
{
	struct catalog *catalog = ask->catalog;
	bool stopped;

	pthread_mutex_lock(&catalog->lock);
	stopped = catalog->stopped;
	if (!stopped) {
		TAILQ_INSERT_TAIL(&catalog->posted, ask, link);
		wake(catalog); /* within the lock: not after catalog_stop() */
	}
	pthread_mutex_unlock(&catalog->lock);
	return !stopped;
}

void catalog_post_read(struct ask *ask)
{
	struct catalog *catalog = ask->catalog;

	pthread_mutex_lock(&catalog->lock);
	TAILQ_INSERT_TAIL(&catalog->read_done, ask, by_read);
	wake(catalog);
	pthread_mutex_unlock(&catalog->lock);
}

void catalog_post_flight(struct flight *flight)
{
	struct catalog *catalog = flight->catalog;

	pthread_mutex_lock(&catalog->lock);
	if (!catalog->stopped) {
		TAILQ_INSERT_TAIL(&catalog->landed, flight, link);
		flight = NULL;
		wake(catalog);
	}
	pthread_mutex_unlock(&catalog->lock);
	if (!flight)
		return;
	flight_free(flight);
	pthread_mutex_lock(&catalog->lock);
	catalog->abandoned--;
	pthread_mutex_unlock(&catalog->lock);
}

struct inbox {
	struct ask_list posted, read_done;
	struct flight_list landed;
};

static void inbox_take_locked(struct catalog *catalog, struct inbox *out)
{
	TAILQ_INIT(&out->posted);
	TAILQ_INIT(&out->read_done);
	TAILQ_INIT(&out->landed);
	TAILQ_CONCAT(&out->posted, &catalog->posted, link);
	TAILQ_CONCAT(&out->read_done, &catalog->read_done, by_read);
	TAILQ_CONCAT(&out->landed, &catalog->landed, link);
}

static void reads_done(struct inbox *inbox)
{
	struct ask *ask;

	while ((ask = TAILQ_FIRST(&inbox->read_done))) {
		TAILQ_REMOVE(&inbox->read_done, ask, by_read);
		route_read_done(ask);
	}
}

static void inbox_work(struct catalog *catalog)
{
	struct flight *flight;
	struct inbox inbox;
	struct ask *ask;

	pthread_mutex_lock(&catalog->lock);
	inbox_take_locked(catalog, &inbox);
	pthread_mutex_unlock(&catalog->lock);
	while ((flight = TAILQ_FIRST(&inbox.landed))) {
		TAILQ_REMOVE(&inbox.landed, flight, link);
		topic_landed(flight);
	}
	reads_done(&inbox);
	while ((ask = TAILQ_FIRST(&inbox.posted))) {
		TAILQ_REMOVE(&inbox.posted, ask, link);
		route(ask);
	}
}

/* --- guests */

static void refuse(struct catalog *catalog, struct transport_peer *from, uint64_t request,
		   enum peer_refusal why)
{
	const struct peer_message message = {
		.kind = PEER_ANSWER,
		.answer = { .request = request,
			    .form = PEER_ANSWER_ERROR,
			    .why = why,
			    .problem = "" },
	};

	/* who does not hear of it takes us for silent, and is as well off */
	(void)outbox_send(catalog->setup.outbox, from, &message, CATALOG_SEND_NS);
}

static struct ask *guest_create(struct catalog *catalog, struct catalog_store *store,
				struct transport_peer *from, const struct peer_ask *asked)
{
	struct question *question = question_of_ask(store, asked);
	struct ask *ask = question ? ask_create(catalog, question) : NULL;

	if (!ask) {
		question_put(question);
		return NULL;
	}
	ask->from = from;
	ask->number = asked->request;
	ask->asked_ns = catalog_now(catalog);
	ask->deadline_ns = clock_after_ns(ask->asked_ns, asked->timeout_ms * NS_PER_MS);
	ask->max_age_ns = asked->max_age_ms * NS_PER_MS;
	ask->absent_age_ns = asked->absent_age_ms * NS_PER_MS;
	ask->working_ns = clock_after_ns(ask->asked_ns, PEER_WORKING_NS);
	catalog->guests++;
	return ask;
}

static void guest_take(struct catalog *catalog, struct transport_peer *from,
		       const struct peer_ask *asked)
{
	struct catalog_store *store = catalog_store_of(catalog, asked->backing);
	struct ask *ask;

	catalog_count(catalog, PEERS_CATALOG_SERVED);
	if (catalog->stopped || !store || !store->inner->ops->remote) {
		refuse(catalog, from, asked->request,
		       catalog->stopped ? PEER_STOPPING : PEER_UNKNOWN);
		return;
	}
	ask = catalog->guests < CATALOG_GUESTS_MAX ? guest_create(catalog, store, from, asked)
						   : NULL;
	if (ask)
		topic_join(ask);
	else
		refuse(catalog, from, asked->request, PEER_BUSY);
}

void catalog_message(struct catalog *catalog, struct transport_peer *from,
		     const struct peer_message *message)
{
	if (message->kind == PEER_ASK)
		guest_take(catalog, from, &message->ask);
	else if (message->kind == PEER_ANSWER)
		route_answer(catalog, from, &message->answer);
}

void catalog_down(struct catalog *catalog, struct transport_peer *peer)
{
	struct ask *ask, *next;

	for (ask = TAILQ_FIRST(&catalog->stalled); ask; ask = next) {
		next = TAILQ_NEXT(ask, link);
		if (ask->from != peer)
			continue;
		ask_move(ask, ASK_STALLED, NULL);
		ask_free(ask);
	}
	topics_down(catalog, peer);
	for (ask = TAILQ_FIRST(&catalog->asked); ask; ask = next) {
		next = TAILQ_NEXT(ask, link);
		if (ask->peer == peer)
			route_again(ask);
	}
}

/* --- time */

static void stalled_due(struct catalog *catalog)
{
	const struct ask *last = TAILQ_LAST(&catalog->stalled, ask_list);
	bool more = last != NULL;

	while (more) {
		struct ask *ask = TAILQ_FIRST(&catalog->stalled);

		more = ask != last;
		ask_send(ask); /* frees it, or it is the last one now */
	}
}

static void asks_due(struct ask_list *list, uint64_t now_ns)
{
	struct ask *ask, *next;

	for (ask = TAILQ_FIRST(list); ask; ask = next) {
		next = TAILQ_NEXT(ask, link);
		route_due(ask, now_ns);
	}
}

uint64_t catalog_tick(struct catalog *catalog)
{
	uint64_t now_ns;

	inbox_work(catalog);
	now_ns = catalog_now(catalog);
	if (now_ns < catalog->due_ns)
		return catalog->due_ns;
	catalog->due_ns = CLOCK_NEVER;
	stalled_due(catalog);
	asks_due(&catalog->asked, now_ns);
	asks_due(&catalog->reading, now_ns);
	topics_due(catalog, now_ns);
	return catalog->due_ns;
}

/* --- up and down */

static void lists_init(struct catalog *catalog)
{
	TAILQ_INIT(&catalog->asked);
	TAILQ_INIT(&catalog->reading);
	TAILQ_INIT(&catalog->stalled);
	TAILQ_INIT(&catalog->by_use);
	TAILQ_INIT(&catalog->flying);
	TAILQ_INIT(&catalog->posted);
	TAILQ_INIT(&catalog->read_done);
	TAILQ_INIT(&catalog->landed);
	pthread_mutex_init(&catalog->lock, NULL);
	pthread_mutex_init(&catalog->kept_lock, NULL);
}

static void backings_init(struct catalog *catalog)
{
	unsigned count = catalog->setup.backing_count;

	catalog_pages_init(catalog);
	for (unsigned i = 0; i < count; i++) {
		catalog_store_init(catalog, &catalog->stores[i], catalog->setup.backings[i]);
		catalog->backings[i] = &catalog->stores[i].backing;
	}
	catalog->backings[count] = &catalog->pages;
}

int catalog_create(const struct catalog_setup *setup, struct catalog **out_catalog)
{
	struct catalog *catalog = calloc(1, sizeof(*catalog));

	if (!catalog)
		return -ENOMEM;
	catalog->setup = *setup;
	catalog->due_ns = CLOCK_NEVER;
	digest_hex(setup->self.bytes, MEMBER_ID_LEN, catalog->self_text);
	catalog->stores = calloc(setup->backing_count + 1, sizeof(*catalog->stores));
	catalog->backings = calloc(setup->backing_count + 1, sizeof(struct backing *));
	if (!catalog->stores || !catalog->backings) {
		free(catalog->stores);
		free(catalog->backings);
		free(catalog);
		return -ENOMEM;
	}
	lists_init(catalog);
	backings_init(catalog);
	*out_catalog = catalog;
	return 0;
}

struct backing **catalog_backings(struct catalog *catalog)
{
	return catalog->backings;
}

static void inbox_stop(struct catalog *catalog)
{
	struct inbox inbox;
	struct flight *flight;
	struct ask *ask;

	pthread_mutex_lock(&catalog->lock);
	catalog->stopped = true;
	inbox_take_locked(catalog, &inbox);
	catalog->abandoned = catalog->flights;
	for (flight = TAILQ_FIRST(&inbox.landed); flight; flight = TAILQ_NEXT(flight, link))
		catalog->abandoned--;
	pthread_mutex_unlock(&catalog->lock);
	while ((flight = TAILQ_FIRST(&inbox.landed))) {
		TAILQ_REMOVE(&inbox.landed, flight, link);
		flight_free(flight);
	}
	reads_done(&inbox);
	while ((ask = TAILQ_FIRST(&inbox.posted))) {
		TAILQ_REMOVE(&inbox.posted, ask, link);
		ask_fail(ask, -ECANCELED, "this node stops");
	}
}

void catalog_stop(struct catalog *catalog)
{
	struct ask *ask;

	if (catalog->stopped)
		return;
	inbox_stop(catalog);
	topics_stop(catalog);
	while ((ask = TAILQ_FIRST(&catalog->asked))) {
		route_forget(ask);
		ask_fail(ask, -ECANCELED, "this node stops");
	}
	for (ask = TAILQ_FIRST(&catalog->reading); ask; ask = TAILQ_NEXT(ask, link))
		route_cancel(ask);
	while ((ask = TAILQ_FIRST(&catalog->stalled))) {
		ask_move(ask, ASK_STALLED, NULL);
		ask_free(ask);
	}
}

bool catalog_is_idle(const struct catalog *catalog)
{
	return TAILQ_EMPTY(&catalog->reading);
}

void catalog_destroy(struct catalog *catalog)
{
	if (!catalog)
		return;
	CHECK(TAILQ_EMPTY(&catalog->posted) && TAILQ_EMPTY(&catalog->landed));
	CHECK(TAILQ_EMPTY(&catalog->asked) && TAILQ_EMPTY(&catalog->reading));
	CHECK(catalog->abandoned == 0 && catalog->guests == 0 && atomic_load(&catalog->asks) == 0);
	topics_fini(catalog);
	CHECK(!catalog->kept);
	pthread_mutex_destroy(&catalog->kept_lock);
	pthread_mutex_destroy(&catalog->lock);
	free(catalog->backings);
	free(catalog->stores);
	free(catalog);
}
