/*
 * catalog_route.c - asking other members.
 *
 *	route() --> the ranking: this node: topic_join()
 *	   ^	      |		 a member that can be asked: ASKED --> ANSWER: told
 *	   |	      |				   |		 `-> OBJECT: READING --> told
 *	   |	      v nobody			   | silent, busy, stopping		  |
 *	   |	    ask_pass_on() <-- half its time `-------------+			  |
 *	   |		  ^  is gone, the store failed there	  |			  |
 *	   `--------------+---------------------------------------+---- page gone, once --'
 *
 * An error of the store is not believed to another node: it may be that one's, its credentials or
 * its way to the store. That there is no such key is believed.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/digest.h"
#include "cache/peer/catalog_inside.h"

/* --- whom */

/* The next in the ranking of what is asked for. */
static bool member_next(struct ask *ask, struct member_id *out_id)
{
	struct placement *placement = ask->catalog->setup.placement;
	const struct placement_table *table = placement_acquire(placement);
	const struct placement_member *owners[PLACEMENT_OWNERS_MAX];
	unsigned count = placement_owners(table, placement_slot(&ask->question->id, 0), owners);
	bool found = ask->rank < count;

	if (found)
		*out_id = owners[ask->rank++]->id;
	placement_release(placement, table);
	return found;
}

static uint32_t ms_of(uint64_t ns, uint32_t max)
{
	return ns / NS_PER_MS < max ? (uint32_t)(ns / NS_PER_MS) : max;
}

static void message_of(const struct ask *ask, uint64_t now_ns, struct peer_message *out)
{
	const struct question *question = ask->question;
	uint32_t timeout_ms = ms_of(ask->deadline_ns - now_ns, PEER_TIMEOUT_MS_MAX);

	out->kind = PEER_ASK;
	out->ask = (struct peer_ask){
		.request = ask->request,
		.question = question->kind,
		.delimited = question->delimited,
		.timeout_ms = timeout_ms ? timeout_ms : 1,
		.max_age_ms = ms_of(ask->max_age_ns, UINT32_MAX),
		.absent_age_ms = ms_of(ask->absent_age_ns, UINT32_MAX),
		.max_keys = question->max_keys,
		.backing = question->store->inner->id,
		.bucket = question->bucket,
		.key = question->key,
		.token = question->token,
		.refused = question->refused,
	};
}

void route_forget(struct ask *ask)
{
	if (!ask->request)
		return;
	HASH_DELETE(by_request, ask->catalog->by_request, ask);
	ask->request = 0;
	ask->peer = NULL;
}

static int number_take(struct ask *ask)
{
	struct catalog *catalog = ask->catalog;

	ask->request = ++catalog->last_request;
	HASH_ADD(by_request, catalog->by_request, request, sizeof(ask->request), ask);
	if (ask->by_request.tbl)
		return 0;
	ask->request = 0;
	return -ENOMEM;
}

static int member_send(struct ask *ask, struct neighbour *neighbour, uint64_t now_ns)
{
	struct catalog *catalog = ask->catalog;
	struct peer_message message;
	int error = number_take(ask);

	if (error)
		return error;
	message_of(ask, now_ns, &message);
	error = outbox_send(catalog->setup.outbox, neighbour->peer, &message,
			    catalog->setup.config->silence);
	if (error)
		route_forget(ask);
	else
		ask->peer = neighbour->peer;
	return error;
}

static void ask_due(struct ask *ask)
{
	catalog_due(ask->catalog,
		    ask->silent_ns < ask->patience_ns ? ask->silent_ns : ask->patience_ns);
}

/* Return: whether it was asked. */
static bool member_ask(struct ask *ask, const struct member_id *id, uint64_t now_ns)
{
	struct catalog *catalog = ask->catalog;
	struct neighbours *neighbours = catalog->setup.neighbours;
	struct neighbour *neighbour = neighbours_find(neighbours, id);

	if (!neighbour || neighbour_is_restarting(neighbour, now_ns) ||
	    !neighbour_usable(neighbours, neighbour, now_ns) ||
	    member_send(ask, neighbour, now_ns) != 0)
		return false;
	catalog_count(catalog, PEERS_CATALOG_ASKS);
	ask->asked++;
	ask->member = *id;
	ask->patient = false;
	ask->silent_ns = clock_after_ns(now_ns, catalog->setup.config->silence);
	ask->patience_ns = ask->asked_ns + (ask->deadline_ns - ask->asked_ns) / 2;
	ask_move(ask, ASK_ASKED, &catalog->asked);
	ask_due(ask);
	return true;
}

void route(struct ask *ask)
{
	struct catalog *catalog = ask->catalog;
	uint64_t now_ns = catalog_now(catalog);
	struct member_id id;

	while (now_ns < ask->deadline_ns && ask->asked < CATALOG_MEMBERS && member_next(ask, &id)) {
		if (member_id_equal(&id, &catalog->setup.self)) {
			topic_join(ask);
			return;
		}
		if (member_ask(ask, &id, now_ns))
			return;
	}
	ask_pass_on(ask);
}

void route_again(struct ask *ask)
{
	route_forget(ask);
	ask_move(ask, ASK_POSTED, NULL);
	route(ask);
}

static void pass_on(struct ask *ask)
{
	route_forget(ask);
	ask_pass_on(ask);
}

/* --- reading a page that lies there */

static void read_end(struct ask *ask)
{
	struct catalog *catalog = ask->catalog;

	catalog->setup.cache.put(catalog->setup.cache.context, ask->object);
	ask->object = NULL;
	catalog->reading_bytes -= ask->result.page->len;
	ask_move(ask, ASK_READING, NULL);
}

/* It may be another page by now: that node is asked once more. */
static void read_fail(struct ask *ask)
{
	read_end(ask);
	result_fini(&ask->result);
	if (ask->catalog->stopped) {
		ask_fail(ask, -ECANCELED, "this node stops");
	} else if (ask->cancelled || ask->again) {
		ask_pass_on(ask);
	} else {
		ask->again = true;
		ask->asked--;
		ask->rank--;
		route(ask);
	}
}

static void piece_take(struct ask *ask)
{
	struct catalog *catalog = ask->catalog;

	for (int i = 0; i < ask->read.iov_count; i++) {
		const struct iovec *iov = &ask->read.iov[i];

		CHECK(iov->iov_len <= ask->result.page->len - ask->read_off);
		memcpy(ask->result.page->bytes + ask->read_off, iov->iov_base, iov->iov_len);
		ask->read_off += (uint32_t)iov->iov_len;
	}
	catalog->setup.cache.finish(catalog->setup.cache.context, &ask->read);
}

/* On any thread. */
static void piece_done(struct cache_read *read)
{
	catalog_post_read(CONTAINER_OF(read, struct ask, read));
}

static void read_on(struct ask *ask)
{
	struct catalog *catalog = ask->catalog;
	uint32_t len = ask->result.page->len;

	while (ask->read_off < len) {
		uint32_t left = len - ask->read_off;

		ask->read = (struct cache_read){
			.object = ask->object,
			.off = ask->read_off,
			.len = left < CACHE_READ_LEN_MAX ? left : CACHE_READ_LEN_MAX,
			.done = piece_done,
		};
		if (catalog->setup.cache.start(catalog->setup.cache.context, &ask->read) == 0)
			return;
		piece_take(ask);
	}
	read_end(ask);
	ask_tell(ask);
}

void route_read_done(struct ask *ask)
{
	if (ask->read.status == 0)
		piece_take(ask);
	if (ask->read.status != 0 || ask->cancelled)
		read_fail(ask);
	else
		read_on(ask);
}

void route_cancel(struct ask *ask)
{
	if (ask->cancelled)
		return;
	ask->cancelled = true;
	ask->catalog->setup.cache.cancel(ask->catalog->setup.cache.context, &ask->read);
}

/* Return: 0, with the page and its object. */
static int object_open(struct ask *ask, const struct peer_answer *answer)
{
	struct catalog *catalog = ask->catalog;
	char bucket[MEMBER_ID_TEXT], key[OBJECT_ID_TEXT_LEN];
	const struct object_version version = {
		.backing = CATALOG_BACKING,
		.bucket = bucket,
		.key = key,
		.etag = answer->etag,
		.size = answer->len,
	};
	int error;

	if (answer->len > CATALOG_READING_MAX - catalog->reading_bytes)
		return -EAGAIN;
	ask->result.page = catalog_page_create(answer->len);
	if (!ask->result.page)
		return -ENOMEM;
	digest_hex(ask->member.bytes, MEMBER_ID_LEN, bucket);
	object_id_text(&ask->question->id, key);
	error = catalog->setup.cache.open(catalog->setup.cache.context, &version, &catalog->pages,
					  &ask->object);
	if (error)
		result_fini(&ask->result);
	else
		catalog->reading_bytes += answer->len;
	return error;
}

static void read_begin(struct ask *ask, const struct peer_answer *answer)
{
	struct catalog *catalog = ask->catalog;

	if (object_open(ask, answer) != 0) {
		ask_pass_on(ask);
		return;
	}
	ask->read_off = 0;
	ask_move(ask, ASK_READING, &catalog->reading);
	catalog_due(catalog, ask->patience_ns);
	read_on(ask);
}

/* --- answers; of an ask without a number */

static void take_error(struct ask *ask, const struct peer_answer *answer)
{
	switch (answer->why) {
	case PEER_GONE:
		ask_fail(ask, -ENOENT, answer->problem);
		return;
	case PEER_ABSENT_HERE:
	case PEER_BUSY:
	case PEER_REFERRED:
	case PEER_UNKNOWN:
	case PEER_STOPPING:
		route(ask);
		return;
	case PEER_STALE:
	case PEER_DENIED:
	case PEER_IO:
	case PEER_LATE:
		ask_pass_on(ask);
		return;
	}
	ask_pass_on(ask);
}

static void take_meta(struct ask *ask, const struct peer_answer *answer)
{
	struct backing_meta *meta = &ask->result.meta;

	meta->size = answer->size;
	meta->mtime_s = answer->mtime_s;
	memcpy(meta->etag, answer->etag, strlen(answer->etag) + 1);
	ask_tell(ask);
}

static void take_page(struct ask *ask, const struct peer_answer *answer)
{
	ask->result.page = catalog_page_create(answer->len);
	if (!ask->result.page) {
		ask_pass_on(ask);
		return;
	}
	memcpy(ask->result.page->bytes, answer->data, answer->len);
	ask_tell(ask);
}

static bool is_answer_to(const struct question *question, const struct peer_answer *answer)
{
	switch (answer->form) {
	case PEER_ANSWER_META:
		return question->kind == PEER_HEAD;
	case PEER_ANSWER_PAGE:
	case PEER_ANSWER_OBJECT:
		return question->kind == PEER_LIST;
	case PEER_ANSWER_WORKING:
	case PEER_ANSWER_ERROR:
		return true;
	}
	return false;
}

static void take(struct ask *ask, const struct peer_answer *answer)
{
	ask->age_ns = answer->age_ms * NS_PER_MS;
	if (answer->form == PEER_ANSWER_META)
		take_meta(ask, answer);
	else if (answer->form == PEER_ANSWER_PAGE)
		take_page(ask, answer);
	else if (answer->form == PEER_ANSWER_OBJECT)
		read_begin(ask, answer);
	else
		take_error(ask, answer);
}

static void tell_answered(struct ask *ask)
{
	struct neighbours *neighbours = ask->catalog->setup.neighbours;
	struct neighbour *neighbour = neighbours_find(neighbours, &ask->member);

	if (neighbour)
		neighbour_answered(neighbours, neighbour);
}

void route_answer(struct catalog *catalog, struct transport_peer *from,
		  const struct peer_answer *answer)
{
	struct ask *ask;

	HASH_FIND(by_request, catalog->by_request, &answer->request, sizeof(answer->request), ask);
	if (!ask || ask->peer != from)
		return; /* too late */
	tell_answered(ask);
	if (answer->form == PEER_ANSWER_WORKING) {
		ask->silent_ns =
			clock_after_ns(catalog_now(catalog), catalog->setup.config->silence);
		return;
	}
	if (!is_answer_to(ask->question, answer)) {
		catalog_count(catalog, PEERS_MALFORMED);
		pass_on(ask);
		return;
	}
	route_forget(ask);
	ask_move(ask, ASK_POSTED, NULL);
	take(ask, answer);
}

/* --- time */

/* A connection that is being made gets as much again. */
static bool is_connecting(const struct ask *ask, const struct neighbour *neighbour)
{
	/* the peer is gone when its neighbour has another one or none by now */
	return neighbour && neighbour->peer == ask->peer && !transport_peer_is_up(ask->peer);
}

static void silent(struct ask *ask, uint64_t now_ns)
{
	struct neighbours *neighbours = ask->catalog->setup.neighbours;
	struct neighbour *neighbour = neighbours_find(neighbours, &ask->member);

	if (!ask->patient && is_connecting(ask, neighbour)) {
		ask->patient = true;
		ask->silent_ns = clock_after_ns(now_ns, ask->catalog->setup.config->silence);
		ask_due(ask);
		return;
	}
	catalog_count(ask->catalog, PEERS_SILENT);
	if (neighbour)
		neighbour_failed(neighbours, neighbour, now_ns, "silent when asked for names");
	route_again(ask);
}

void route_due(struct ask *ask, uint64_t now_ns)
{
	bool late = now_ns >= ask->patience_ns;

	if (ask->state == ASK_READING && late)
		route_cancel(ask);
	else if (ask->state == ASK_READING)
		catalog_due(ask->catalog, ask->patience_ns);
	else if (late)
		pass_on(ask);
	else if (now_ns >= ask->silent_ns)
		silent(ask, now_ns);
	else
		ask_due(ask);
}
