/*
 * inside.h - membership's own state, shared by the files that make it up:
 *
 *	membership.c	create, start, stop, and the calls of the door
 *	carrier.c	the thread: packets in and out, the machine's ops
 *	exchange.c	questions over TCP: views, pings, twins
 *	join.c		seeds: names, addresses, when to try them again
 *	keys.c		exchanging keys, here and everywhere
 *	leave.c		going for good, and what comes before it
 *	keep.c		what goes to the state directory
 *	task.c		how it goes
 *	member.c	what is known of a member, for those outside
 *
 * One lock guards all of it. The thread holds it while it works and leaves it while it waits, calls
 * from outside take it; so "the thread" below means whoever holds the lock.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/counter.h"
#include "base/random.h"
#include "fabric/gossip/chores.h"
#include "fabric/gossip/membership.h"
#include "fabric/gossip/roster.h"
#include "fabric/gossip/seal.h"
#include "fabric/gossip/state.h"
#include "fabric/gossip/stream.h"
#include "fabric/gossip/swim.h"
#include "fabric/gossip/wire.h"

#define CARRIER_BATCH	    32			  /* packets received in one call */
#define CARRIER_PACKET_LEN  (SEAL_PACKET_MAX + 1) /* one more, to see what is too long */
#define FORMER_LIVES_MAX    8
#define EXCHANGE_TIMEOUT_NS (10 * NS_PER_S)

struct task {
	struct membership_task report; /* number 0: free */
	unsigned waiting;	       /* answers that are still to come */
	/* all answers are there: calls task_finish(), or goes on */
	void (*finish)(struct membership *membership, struct task *task);
	/* keys.c: those who are asked, a few at a time */
	struct wire_ask ask; /* what is to be done in the end */
	bool asking_first;   /* the round that only looks whether it can be done */
	bool force;
	struct member_id *targets;
	unsigned target_count, target_next;
};

/* A seed as it was given: a name or an address, resolved again at every try. */
struct seed {
	char text[MEMBERSHIP_ADDRESS_MAX];
	bool remembered; /* from a former life: tried while this node is alone */
};

struct seeds {
	struct seed items[MEMBERSHIP_SEEDS_MAX];
	unsigned count;
	unsigned under_way; /* names being resolved, addresses being tried */
	bool round_done;    /* each was tried once since the start */
	uint64_t next_ns;   /* of the next round */
	uint64_t backoff_ns;
};

struct membership {
	/* set at creation, constant */
	const struct clock *clock;
	char *secret_file, *state_dir;
	uint64_t started_ns;
	struct identity identity;
	struct address bound;		 /* where the sockets are */
	struct address advertised;	 /* of the config; none: to be found out */
	struct membership_config config; /* durations only: no texts */
	int state_lock, udp, wake;
	int tcp; /* -1 once the streams have it */

	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t told; /* spread; on the clock of thread_cond_wait_until() */

	/* guarded by lock */
	struct swim *swim;
	struct seal *seal;
	struct streams *streams;
	struct chores *names, *files;
	struct random random;
	struct roster roster;
	struct counters counters;
	struct membership_subscriber subscribers[MEMBERSHIP_SUBSCRIBERS_MAX];
	struct address sender; /* of the packet in hand, SWIM_SENDER */
	uint8_t packets[CARRIER_BATCH][CARRIER_PACKET_LEN];
	struct wire_message incoming, outgoing;
	struct seeds seeds;
	struct task tasks[MEMBERSHIP_TASKS_MAX];
	int64_t last_task;
	int64_t leave_task; /* under way; 0: none */
	uint64_t leave_deadline_ns;
	uint64_t formers[FORMER_LIVES_MAX]; /* boots of ours that are known to be gone */
	uint64_t twin_next_ns;		    /* when the next one is looked after, at the earliest */
	uint64_t peers_next_ns; /* when the peers file is due; CLOCK_NEVER: it is as it should */
	unsigned subscriber_count, former_count;
	uint32_t start_incarnation; /* of this life; constant */
	uint32_t kept_incarnation;
	enum membership_standing standing;
	enum swim_phase phase;
	char problem[MEMBERSHIP_PROBLEM_MAX];
	bool running; /* the thread is there */
	bool stopping;
	bool spread;	       /* the last announcement was told to enough */
	bool address_is_guess; /* may be replaced by what a peer's connection shows */
	bool keeping_incarnation;
};

static inline uint64_t now_of(const struct membership *membership)
{
	return clock_now_ns(membership->clock);
}

/* --- carrier.c */

extern const struct swim_ops carrier_ops;

/** carrier_main() - the thread. */
void *carrier_main(void *argument);

/** carrier_wake() - has the thread look at its deadlines again. */
void carrier_wake(struct membership *membership);

/** carrier_announce() - what this node does or says of itself has changed: all are told. */
void carrier_announce(struct membership *membership, enum swim_phase phase, uint64_t remaining_ns);

/** carrier_is_active() - whether this node takes part: sends, answers, keeps time. */
bool carrier_is_active(const struct membership *membership);

/** carrier_rumor() - one rumor as the machine wants it. New members get an index when @adopting.
 *  Return: false: not to be passed on (it says nothing useful, or is about a twin). */
bool carrier_rumor(struct membership *membership, const struct wire_rumor *wire, bool any_kind,
		   struct swim_rumor *out);

/** carrier_rumor_done() - after the machine has seen it: an index that was not taken is free. */
void carrier_rumor_done(struct membership *membership, const struct swim_rumor *rumor);

/** carrier_wire_rumor() - the other way. */
void carrier_wire_rumor(struct membership *membership, const struct swim_rumor *rumor,
			struct wire_rumor *out);

/* --- exchange.c */

extern const struct stream_events exchange_events; /* @context to be filled in */

/**
 * exchange_views() - push-pull with whoever is at @address.
 * @expected: who that should be; none: anybody. @task, @who: a task's line about it; 0: none.
 * @seed: counted in seeds.under_way until it is over.
 * Return: 0, or as streams_open().
 */
int exchange_views(struct membership *membership, const struct address *address,
		   const struct member_id *expected, int64_t task, const char *who, bool seed);

/** exchange_ping() - asks a member over TCP whether it is there. */
void exchange_ping(struct membership *membership, uint32_t member, uint32_t sequence);

/** exchange_twin() - who uses our id at @address as @boot, and who of us stays? */
void exchange_twin(struct membership *membership, const struct address *address, uint64_t boot);

/* --- join.c */

/** join_seed_add() - remembers a seed; one that is there already is not added. */
int join_seed_add(struct membership *membership, const char *text, bool remembered);

/** join_check() - whether @text can be an address or a name. Return: 0, -EINVAL with @problem. */
int join_check(const char *text, char *problem, size_t problem_size);

/** join_tick() - tries the seeds when that is due; join_next_ns() says when. */
void join_tick(struct membership *membership);
uint64_t join_next_ns(const struct membership *membership);

/** join_resolve() - tries one text now, for @task (0: none). Return: 0, -EAGAIN, -ENOMEM: nothing
 *  will come of it. */
int join_resolve(struct membership *membership, const char *text, int64_t task, bool seed);

/** join_done() - one try is over; @seed: it was part of a round. */
void join_done(struct membership *membership, bool seed);

/* --- keys.c */

/** keys_asked() - another member's question about keys. */
void keys_asked(struct membership *membership, uint64_t stream, const struct wire_ask *ask);

/* --- keep.c */

/** keep_incarnation() - sees that the state directory is ahead of @incarnation. */
void keep_incarnation(struct membership *membership, uint32_t incarnation);

/** keep_tick() - writes the peers file when it is due. */
void keep_tick(struct membership *membership);

/** keep_peers_changed() - it will be due soon. */
void keep_peers_changed(struct membership *membership);

/** keep_peers_now() - it is due: somebody was told to join and may rely on it. */
void keep_peers_now(struct membership *membership);

/** keep_last() - what is still due when the thread is gone. */
void keep_last(struct membership *membership);

/** keep_no_peers() - who has left does not come back by itself. */
void keep_no_peers(struct membership *membership);

/** keep_ring() - writes the secret file; @done (borrowed by the chore) is called after it. */
int keep_ring(struct membership *membership,
	      void (*done)(struct membership *membership, int status, const char *problem,
			   uint64_t stream, int64_t task),
	      uint64_t stream, int64_t task);

/* --- task.c */

/** task_start() - a number for something that takes longer. The oldest one that is done makes
 *  room. Return: NULL when all are under way. */
struct task *task_start(struct membership *membership);

/** task_find() - NULL when it is not known any more. */
struct task *task_find(struct membership *membership, int64_t number);

/** task_line() - what came of one of those asked; the last one finishes the task. */
void task_line(struct membership *membership, int64_t number, const char *who, int status,
	       const char *text);

/** task_expect() - one more answer will come. */
void task_expect(struct task *task);

/** task_finish() - it is over. */
void task_finish(struct task *task, int status, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* --- member.c */

/** member_describe() - what is known of the member at @index. */
void member_describe(const struct membership *membership, uint32_t index,
		     struct membership_member *out);

/** member_tell() - calls the subscribers for those whose change has not been told. */
void member_tell(struct membership *membership);

/** member_tell_gone() - ... for one that is being forgotten. */
void member_tell_gone(struct membership *membership, uint32_t index);

/** member_name() - for the log: its name, or its id when it has none. */
const char *member_name(const struct membership *membership, uint32_t index,
			char out[MEMBER_ID_TEXT + MEMBERSHIP_NAME_MAX]);
