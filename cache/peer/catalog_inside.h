/*
 * catalog_inside.h - the parts of the catalog, as they know each other.
 *
 *	catalog.c	   up, down, messages, the inbox, time
 *	catalog_backing.c  the wrappers, and the backing store of pages
 *	catalog_question.c what is asked for, and its identity
 *	catalog_ask.c	   the life of a question that someone waits for
 *	catalog_route.c	   asking other members, and reading their pages
 *	catalog_topic.c	   asking the backing store once for all, and what is kept of it
 *	catalog_kept.c	   the pages that other nodes may read
 *	catalog_cache.c	   the real cache behind struct catalog_cache
 *
 * The life of an ask (enum ask_state), of this node's (it has a list or a head) or a guest's (it
 * came by message):
 *
 *	POSTED --+-> WAITING (for a flight of ours) -----------+-> told: the porter has it, or the
 *	 guest --'     ^                                       |   ANSWER is sent
 *	         |     | this node is next in the ranking      |     `-> STALLED until it can be
 *	         `-> ASKED (another member) ----> READING -----'
 *	               |  silent, refused, late	   |  gone, late
 *	               `---------------------------+-> passed on to the store itself, and forgotten
 *
 * Each ask is on one list: the inbox, or what its state names.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

/* A hash that cannot grow is an error of one call, not the end of the process. */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "cache/peer/catalog.h"
#include "cache/peer/catalog_page.h"

#define CATALOG_SEND_NS	   (5 * NS_PER_S) /* what an ANSWER may wait for the wire */
#define CATALOG_LINGER_NS  (5 * NS_PER_S) /* what a page is kept at least, for its readers */
#define CATALOG_RESEND_NS  NS_PER_MS	  /* after the outbox or the peer's queue was full */
#define CATALOG_MEMBERS	   2		  /* asked one after the other, then the store */
#define CATALOG_ETAG_SPACE 48

/* One configured backing store, wrapped. */
struct catalog_store {
	struct backing backing; /* what the mount sees */
	struct backing_ops ops;
	struct backing *inner;
	struct catalog *catalog;
};

/* What is asked for; constant. Shared by asks, flights and what is kept. */
struct question {
	_Atomic unsigned refs;
	struct object_id id; /* of all but `refused` */
	struct catalog_store *store;
	enum peer_question kind;
	bool delimited;
	unsigned max_keys;
	const char *bucket, *key, *token; /* in text */
	const char *refused;		  /* of a head: "", or the etag that must be another one */
	char text[];
};

/* What the backing store had to say to a question, when it was asked at @begun_ns. */
struct result {
	int status; /* 0, or an error */
	uint64_t begun_ns;
	struct backing_meta meta;  /* of a head */
	struct catalog_page *page; /* of a list; referenced */
	char problem[BACKING_PROBLEM_MAX];
};

enum ask_state {
	ASK_POSTED,
	ASK_WAITING, /* for its topic's flight; on topic->waiting */
	ASK_ASKED,   /* for an ANSWER; on catalog->asked */
	ASK_READING, /* for a piece of the page; on catalog->reading */
	ASK_STALLED, /* for room for its ANSWER; on catalog->stalled */
	ASK_TOLD,    /* with the porter */
};

TAILQ_HEAD(ask_list, ask);

struct ask {
	struct catalog_job job;
	struct catalog *catalog;
	enum ask_state state;
	struct ask_list *on;
	TAILQ_ENTRY(ask) link;
	TAILQ_ENTRY(ask) by_read;  /* inbox, of one that is READING */
	struct question *question; /* referenced */
	uint64_t asked_ns, deadline_ns, max_age_ns, absent_age_ns;
	/* whose: one of the three */
	struct backing_list *list;
	struct backing_head *head;
	struct transport_peer *from;
	uint64_t number;     /* that @from gave it */
	uint64_t working_ns; /* when it is to be told that we are still at it */
	/* asking others */
	struct member_id member;
	struct transport_peer *peer;
	uint64_t request; /* our number; 0: none */
	UT_hash_handle by_request;
	uint64_t silent_ns, patience_ns;
	unsigned rank;	/* the next in the ranking that is looked at */
	unsigned asked; /* members */
	bool patient;	/* there is no connection yet: silence was allowed twice */
	bool again;	/* the page was gone: that member was asked a second time */
	/* reading */
	struct cache_object *object;
	struct cache_read read;
	uint32_t read_off;
	bool cancelled; /* the read is */
	/* what it will be told */
	uint64_t age_ns;
	struct result result;
};

/* What several asks are about: who waits for it, and what is kept of it. */
struct topic {
	struct catalog *catalog;
	struct question *question; /* referenced */
	struct flight *flight;	   /* NULL: none */
	struct ask_list waiting;
	bool known;		      /* there is a result; then it is on catalog->by_use */
	struct result result;	      /* without a problem */
	uint64_t found_ns, absent_ns; /* the greatest ages that anybody wanted */
	size_t bytes;		      /* that it is accounted with */
	TAILQ_ENTRY(topic) by_use, flying;
	UT_hash_handle by_id;
};

TAILQ_HEAD(topic_list, topic);

/* A question under way to the backing store. */
struct flight {
	struct catalog *catalog;
	struct topic *topic; /* gone, when the catalog was stopped meanwhile */
	struct question *question;
	uint64_t begun_ns, deadline_ns;
	struct catalog_builder builder;
	struct backing_request *request; /* of one of the two */
	TAILQ_ENTRY(flight) link;	 /* inbox */
	union {
		struct backing_list list;
		struct backing_head head;
	};
};

TAILQ_HEAD(flight_list, flight);

/* A page by its number. */
struct kept {
	uint64_t number;
	struct catalog_page *page;
	UT_hash_handle by_number;
};

struct catalog {
	struct catalog_setup setup;
	char self_text[MEMBER_ID_TEXT];
	struct catalog_store *stores;
	struct backing pages;	   /* the backing store CATALOG_BACKING */
	struct backing **backings; /* as catalog_backings() gives them */

	/* The thread's own, but for what is behind the next blank lines. */
	struct ask_list asked, reading, stalled;
	struct ask *by_request;
	uint64_t last_request, last_page;
	uint64_t reading_bytes;
	unsigned guests;
	unsigned flights;     /* that have a topic */
	struct topic *topics; /* by id */
	struct topic_list by_use, flying;
	size_t bytes;	 /* of what is kept */
	uint64_t due_ns; /* nothing is due before */

	pthread_mutex_t lock; /* guards all down to the next blank line */
	bool stopped;	      /* set by the thread, which may look at it without the lock */
	struct ask_list posted;
	struct ask_list read_done; /* whose piece is there */
	struct flight_list landed;
	unsigned abandoned; /* flights that were under way when it was stopped */

	_Atomic unsigned asks; /* of this node, until they are told or passed on */

	pthread_mutex_t kept_lock;
	struct kept *kept; /* guarded by kept_lock */
};

static inline uint64_t catalog_now(const struct catalog *catalog)
{
	return clock_now_ns(catalog->setup.clock);
}

static inline void catalog_count(struct catalog *catalog, enum peers_counter counter)
{
	counter_add(catalog->setup.counters, counter, 1);
}

/** catalog_due() - something is to be done at @at_ns. */
static inline void catalog_due(struct catalog *catalog, uint64_t at_ns)
{
	if (at_ns < catalog->due_ns)
		catalog->due_ns = at_ns;
}

/** catalog_post_read() - a read of @ask is done. Any thread. */
void catalog_post_read(struct ask *ask);

/** catalog_post_ask() - Return: false when the catalog is stopped: it is not taken. Any thread. */
bool catalog_post_ask(struct ask *ask);

/** catalog_post_flight() - it has landed; taken. Any thread. */
void catalog_post_flight(struct flight *flight);

/* --- catalog_backing.c */

/** catalog_store_init() - @store is to wrap @inner. */
void catalog_store_init(struct catalog *catalog, struct catalog_store *store,
			struct backing *inner);

/** catalog_store_of() - by the id of the backing store; NULL. */
struct catalog_store *catalog_store_of(struct catalog *catalog, const char *id);

void catalog_pages_init(struct catalog *catalog);

/* --- catalog_question.c; any thread */

/** question_of_list(), question_of_head(), question_of_ask() - NULL: no memory. */
struct question *question_of_list(struct catalog_store *store, const struct backing_list *list);
struct question *question_of_head(struct catalog_store *store, const struct backing_head *head);
struct question *question_of_ask(struct catalog_store *store, const struct peer_ask *ask);

struct question *question_get(struct question *question);
void question_put(struct question *question); /* NULL is fine */

/** question_bytes() - memory that it takes. */
size_t question_bytes(const struct question *question);

/* --- catalog_ask.c */

/** ask_create() - POSTED; @question is taken, unless it returns NULL: no memory. Any thread. */
struct ask *ask_create(struct catalog *catalog, struct question *question);

/** ask_move() - to the end of @list, with @state; NULL: to none. */
void ask_move(struct ask *ask, enum ask_state state, struct ask_list *list);

/** ask_free() - it is on no list. Any thread. */
void ask_free(struct ask *ask);

static inline bool ask_is_guest(const struct ask *ask)
{
	return ask->from != NULL;
}

/** ask_tell() - @ask->result is what it gets. Takes the ask. */
void ask_tell(struct ask *ask);

/** ask_fail() - it gets an error instead. Takes the ask. */
void ask_fail(struct ask *ask, int status, const char *problem);

/** ask_pass_on() - to the store itself, if it is this node's; else it is refused. Takes the ask. */
void ask_pass_on(struct ask *ask);

/** ask_send() - (again) the ANSWER of a guest. Takes it. */
void ask_send(struct ask *ask);

/** ask_work() - tells a guest that we are still at it, when it is time. */
void ask_work(struct ask *ask, uint64_t now_ns);

/** result_copy() - into a result that has nothing. */
void result_copy(struct result *to, const struct result *from);
void result_fini(struct result *result);

/** result_is_absent() - it says that there is nothing. */
bool result_is_absent(const struct result *result, enum peer_question kind);

/* --- catalog_route.c */

/** route() - @ask goes to who is next: a member, a topic of ours, or the store. Takes the ask. */
void route(struct ask *ask);

/** route_again() - it was asked of a member in vain, or its page could not be read. */
void route_again(struct ask *ask);

/** route_answer() - an ANSWER of @from. */
void route_answer(struct catalog *catalog, struct transport_peer *from,
		  const struct peer_answer *answer);

/** route_due() - of one that is ASKED or READING. May take it. */
void route_due(struct ask *ask, uint64_t now_ns);

/** route_read_done() - a piece of its page is there, or cannot be had. */
void route_read_done(struct ask *ask);

/** route_cancel() - ends the read of one that is READING, which route_read_done() follows. */
void route_cancel(struct ask *ask);

/** route_forget() - its number: no ANSWER finds it any more. */
void route_forget(struct ask *ask);

/* --- catalog_topic.c */

/** topic_join() - @ask gets what is kept, or waits for a flight. Takes it. */
void topic_join(struct ask *ask);

/** topic_landed() - takes the flight. */
void topic_landed(struct flight *flight);

/** topics_due() - tells who waits that we are at it, ends who has no time left, forgets what is too
 *  old for anybody. */
void topics_due(struct catalog *catalog, uint64_t now_ns);

/** topics_down() - @peer's guests are gone. */
void topics_down(struct catalog *catalog, const struct transport_peer *peer);

/** topics_stop() - ends all asks. The flights under way are not ours any more. */
void topics_stop(struct catalog *catalog);

/** topics_fini() - forgets what is kept. */
void topics_fini(struct catalog *catalog);

void flight_free(struct flight *flight);

/* --- catalog_kept.c */

/** kept_add() - other nodes may read @page from now on, by its number. Return: 0 or -ENOMEM. */
int kept_add(struct catalog *catalog, struct catalog_page *page);
void kept_remove(struct catalog *catalog, struct catalog_page *page);

/** kept_etag() - of the page's version. */
void kept_etag(const struct catalog *catalog, const struct catalog_page *page,
	       char out[CATALOG_ETAG_SPACE]);

/** kept_find() - the page of a version: a reference; NULL: it is not here. Any thread. */
struct catalog_page *kept_find(struct catalog *catalog, const char *bucket, const char *etag);
