/*
 * owner_inside.h - the parts of the serving side, as they know each other.
 *
 *	owner.c		what comes: messages, connections that end, time
 *	owner_request.c	the life of a request
 *	owner_queue.c	whose turn it is: the rooms, their shares and queues
 *	owner_units.c	what is asked for or held, and by how many
 *	owner_push.c	units that go as messages
 *	owner_recent.c	who had a unit lately
 *
 * The life of a request (enum request_state):
 *
 *	QUEUED --> STAGING --> STAGED --+----------> ANSWERING --> LEASED --> free
 *	  |          |           |      `-> PUSHING ----^  |
 *	  |          v cancel    | status != 0             v its STAGED is sent: free
 *	  |       ABANDONED --+  |
 *	  `------- free <-----+--+
 *
 * owner_request_end() ends it in any state. What the cache was asked for comes back first, so one
 * that is STAGING lives on as ABANDONED, without its asker, and its number is free again.
 *
 * There are two rooms, for what peers want for themselves and for what they forward for others
 * (LOCAL), each with stages, bytes and queue of its own: were there one, nodes that stage for each
 * other could all be full of requests which wait for a LOCAL one, and those would find no room.
 */
#pragma once

#include <stdbool.h>
#include <sys/queue.h>

/* A hash that cannot grow is an error of one call, not the end of the process. */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "cache/peer/owner.h"

#define OWNER_REQUESTS_MAX     4096	      /* of one connection in one room */
#define OWNER_SEND_NS	       (5 * NS_PER_S) /* what a message may wait for the wire */
#define OWNER_RESEND_NS	       NS_PER_MS      /* after the outbox or the peer's queue was full */
#define OWNER_PIECES_MAX       64	      /* of pushed units under way, all together */
#define OWNER_PIECES_UNIT_MAX  8	      /* ... of one */
#define OWNER_RECENT_UNITS_MAX 1024
#define OWNER_RECENT_MAX       8 /* holders of one of them */
#define OWNER_RECENT_NS	       (30 * NS_PER_S)

enum owner_room_kind {
	OWNER_SERVE,
	OWNER_FORWARD, /* PEER_STAGE_LOCAL */
	OWNER_ROOM_COUNT,
};

enum request_state {
	REQUEST_QUEUED,	   /* for room; on its share's queue and on `working` */
	REQUEST_STAGING,   /* for owner_stage_done(); on `working` */
	REQUEST_ABANDONED, /* for the same, but nobody wants it any more: no asker */
	REQUEST_STAGED,	   /* for nothing: passes within one call */
	REQUEST_PUSHING,   /* for its pieces to be sent: on `pushing` or `stalled`; or on `leases`
			      while as many as may be are under way */
	REQUEST_ANSWERING, /* for room for its answer; on `stalled` */
	REQUEST_LEASED,	   /* for RELEASE, or its time; on `leases` */
};

TAILQ_HEAD(request_list, request);

/* What is asked for, or held for somebody. */
struct unit {
	struct window_key key;
	struct request_list requests; /* those that have an asker */
	unsigned readers;	      /* different askers of them */
	unsigned users;		      /* requests that point here */
	unsigned leases;	      /* frames lent by the cache: all the same one */
	unsigned holds[OWNER_ROOM_COUNT];
	uint32_t frame_len;
	UT_hash_handle by_key;
};

/* What one asker has of a room. */
struct share {
	struct asker *asker;
	struct request_list queue;
	unsigned queued, requests;
	uint64_t bytes; /* of frames, of what it has being staged or leased */
	bool ready;	/* on the room's list: it has something queued, and its share is not used up
			   as far as is known */
	TAILQ_ENTRY(share) by_turn;
};

TAILQ_HEAD(share_list, share);

/* A connection that has asked for something. */
struct asker {
	struct transport_peer *peer;
	struct request *requests; /* by number */
	struct share shares[OWNER_ROOM_COUNT];
	UT_hash_handle by_peer;
};

struct room {
	/* limits, set at create */
	unsigned stages_max, queue_max, share_queue_max;
	uint64_t bytes_max, share_bytes_max;
	unsigned staging, queued;
	uint64_t bytes; /* of frames being staged or leased, each once: never more than bytes_max */
	struct share_list ready; /* in turn */
};

struct request {
	enum request_state state;
	enum owner_room_kind kind;
	struct owner *owner;
	struct asker *asker; /* NULL: ABANDONED */
	struct unit *unit;
	uint64_t number;
	unsigned flags;		   /* enum peer_stage_flags */
	uint32_t len;		   /* of the unit */
	bool holds;		   /* its frame counts in the room */
	bool framed;		   /* the frame is lent: cache finish() is due */
	struct request_list *list; /* of the owner's, NULL: on none */
	uint64_t due_ns;	   /* until it is STAGED, its next WORKING; then its end */
	TAILQ_ENTRY(request) by_list, by_queue, by_unit;
	uint32_t pushed; /* bytes given to the transport */
	unsigned pieces; /* under way */
	UT_hash_handle by_number;
	struct cache_stage stage;
	char text[]; /* the strings of the stage */
};

/* A message of a pushed unit, lent to the transport. */
struct piece {
	struct transport_message message;
	struct owner *owner;
	struct request *request; /* NULL: it has ended */
	SLIST_ENTRY(piece) link;
	uint8_t bytes[TRANSPORT_MESSAGE_MAX];
};

SLIST_HEAD(piece_list, piece);

struct holder {
	struct member_id member;
	uint64_t seen_ns;
	unsigned given; /* how often readers were referred to it */
};

struct recent {
	struct window_key key;
	unsigned count;
	struct holder holders[OWNER_RECENT_MAX];
	TAILQ_ENTRY(recent) by_use;
	UT_hash_handle by_key;
};

TAILQ_HEAD(recent_list, recent);

struct owner {
	struct owner_setup setup;
	bool stopping;
	struct asker *askers; /* by peer */
	struct unit *units;   /* by key */
	unsigned request_count;
	unsigned refusals; /* spreads the times at which those that are refused come again */
	struct room rooms[OWNER_ROOM_COUNT];
	struct request_list working; /* by due_ns */
	struct request_list leases;  /* by due_ns */
	struct request_list pushing; /* in turn */
	struct request_list stalled;
	uint64_t resend_ns; /* when `stalled` is tried again */
	struct piece *pieces;
	struct piece_list pieces_free;
	unsigned pieces_out;
	struct recent *recents;		/* OWNER_RECENT_UNITS_MAX of them */
	struct recent *recent_units;	/* by key: those that are in use */
	struct recent_list recent_uses; /* all; the last one is the next to be replaced */
};

static inline uint64_t owner_now(const struct owner *owner)
{
	return clock_now_ns(owner->setup.clock);
}

static inline void owner_count(struct owner *owner, enum peers_counter counter, uint64_t amount)
{
	counter_add(owner->setup.counters, counter, amount);
}

static inline enum owner_room_kind owner_room_kind_of(const struct peer_stage *stage)
{
	return stage->flags & PEER_STAGE_LOCAL ? OWNER_FORWARD : OWNER_SERVE;
}

static inline struct room *request_room(const struct request *request)
{
	return &request->owner->rooms[request->kind];
}

static inline struct share *request_share(const struct request *request)
{
	return &request->asker->shares[request->kind];
}

/* --- owner_request.c */

/**
 * owner_request_new() - a STAGE of @asker, @len bytes long; on no list yet.
 * Return: 0 or -ENOMEM.
 */
int owner_request_new(struct owner *owner, struct asker *asker, const struct peer_stage *stage,
		      const struct window_key *key, uint32_t len, struct request **out_request);

/** owner_request_list() - moves it to the end of @list; NULL: to none. */
void owner_request_list(struct request *request, struct request_list *list);

/** owner_request_await() - moves it to `leases`, until its due_ns: the order of coming, unless
 *  config.lease has changed. */
void owner_request_await(struct request *request);

/** owner_request_start() - its turn has come: room was taken. */
void owner_request_start(struct request *request);

/** owner_request_answer() - sends STAGED, and leases what was not pushed. May end it. */
void owner_request_answer(struct request *request);

/** owner_request_put_frame() - gives back the frame and its bytes in the room, if it has them. */
void owner_request_put_frame(struct request *request);

/** owner_request_refuse() - REFUSED, and its end. */
void owner_request_refuse(struct request *request, enum peer_refusal why);

/** owner_request_expire() - its time as a lease is over; refuses what was not answered yet. */
void owner_request_expire(struct request *request);

/** owner_request_end() - without a word. */
void owner_request_end(struct request *request);

/** owner_refuse() - REFUSED, counted. */
void owner_refuse(struct owner *owner, struct transport_peer *peer, struct peer_refused *refused);

/** owner_retry_ms() - when one that finds no room should come again. */
uint32_t owner_retry_ms(struct owner *owner, enum owner_room_kind kind);

/* --- owner_queue.c */

void owner_rooms_init(struct owner *owner);

/** owner_queue_put() - at the end of its asker's queue. */
void owner_queue_put(struct request *request);

/** owner_queue_remove() - it is not to wait any more. */
void owner_queue_remove(struct request *request);

/** owner_queue_overfull() - whether it is one too many of those that wait. */
bool owner_queue_overfull(const struct request *request);

/** owner_queue_run() - starts what there is room for. */
void owner_queue_run(struct owner *owner);

/** owner_room_put() - its frame does not count any more. */
void owner_room_put(struct request *request);

/** owner_share_put() - ... nor in its asker's share. */
void owner_share_put(struct request *request);

/* --- owner_units.c */

struct unit *owner_unit_find(const struct owner *owner, const struct window_key *key);

/** owner_unit_join() - of a new request. Return: 0 or -ENOMEM. */
int owner_unit_join(struct request *request, const struct window_key *key);

/** owner_unit_part() - its asker does not want it any more. */
void owner_unit_part(struct request *request);

/** owner_unit_leave() - of a request that ends, after owner_unit_part(). */
void owner_unit_leave(struct request *request);

/** owner_unit_is_read_by() - whether @asker has a request for it. */
bool owner_unit_is_read_by(const struct unit *unit, const struct asker *asker);

/* --- owner_push.c */

/** owner_push_init() - Return: 0 or -ENOMEM. */
int owner_push_init(struct owner *owner);
void owner_push_fini(struct owner *owner);

/** owner_push_run() - sends what there are pieces for. May end requests. */
void owner_push_run(struct owner *owner);

/** owner_push_forget() - it ends: its pieces under way are nobody's. */
void owner_push_forget(struct request *request);

/* --- owner_recent.c */

/** owner_recent_init() - Return: 0 or -ENOMEM. */
int owner_recent_init(struct owner *owner);
void owner_recent_fini(struct owner *owner);

/** owner_recent_put() - @member has read the unit: it has it in its window for a while. */
void owner_recent_put(struct owner *owner, const struct window_key *key,
		      const struct member_id *member);

/** owner_recent_pick() - those who were named least. Never @asker. Return: how many. */
unsigned owner_recent_pick(struct owner *owner, const struct window_key *key,
			   const struct member_id *asker,
			   struct member_id out_holders[PEER_HOLDERS_MAX]);

/** owner_recent_forget() - @member is out of reach. */
void owner_recent_forget(struct owner *owner, const struct member_id *member);
