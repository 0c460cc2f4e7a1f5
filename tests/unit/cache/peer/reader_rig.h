/*
 * reader_rig.h - a reader on a loop network, and owners made to order: each with an arena, a real
 * directory over it, and real messages; what it does beyond that a test sets. Time is moved by
 * hand, to the next thing that happens.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/clock.h"
#include "base/random.h"
#include "cache/peer/reader.h"
#include "cache/store/store.h"
#include "cache/window/directory.h"
#include "fabric/keyring.h"
#include "fabric/transport/loop.h"

#define RIG_OWNERS_MAX 8
#define RIG_BLOCK_LEN  262144u /* four granules */
#define RIG_ARENA_LEN  ((size_t)4 << 20)
#define RIG_UNITS      (RIG_ARENA_LEN / RIG_BLOCK_LEN)
#define RIG_STAGES_MAX 64 /* of one owner under way */
#define RIG_LOG_MAX    256
#define RIG_SILENCE_NS (500 * NS_PER_MS) /* after which an owner counts as silent */

struct rig;
struct rig_owner;

struct rig_unit {
	bool used;
	struct window_key key;
	uint32_t len;
	uint64_t checks[BLOCK_GRANULES_MAX];
};

/* A STAGE that is being worked at. */
struct rig_stage {
	bool used;
	struct transport_peer *from;
	struct peer_stage stage;
	uint64_t ready_ns, word_ns;
};

struct rig_owner {
	struct rig *rig;
	unsigned number; /* on the network; from 1 */
	struct member_id id;
	struct identity identity;
	struct transport *transport; /* NULL: not running */
	struct outbox *outbox;
	struct window_directory *directory;
	uint64_t epoch;
	uint8_t *arena;
	struct rig_unit units[RIG_UNITS];
	unsigned next_unit;
	struct rig_stage stages[RIG_STAGES_MAX];
	/* what it does; all zero: serves, whatever is asked */
	bool stopped;	   /* its process: reads of its memory succeed */
	bool silent;	   /* takes messages and says nothing */
	bool ignorant;	   /* has nothing but what it holds, not even from a backing store */
	uint64_t work_ns;  /* until STAGED */
	bool wordless;	   /* without WORKING meanwhile */
	unsigned refusals; /* so many times, `refusal` */
	struct peer_refused refusal;
	unsigned rotten_stages; /* so many times, what is staged is rotten in memory */
	unsigned rotten_pushes; /* ... or what is pushed */
	/* changes an answer before it is sent; false: it is not sent */
	bool (*twist)(struct rig_owner *owner, struct peer_message *answer);
	unsigned twists; /* so many times */
	uint64_t last_request;
	/* what it heard */
	unsigned stage_count, cancel_count, release_count, hit_count, down_count;
	struct peer_stage log[RIG_LOG_MAX]; /* of STAGEs, the last; without strings */
};

/* How a rig is to be. */
struct rig_plan {
	unsigned owners;
	bool directory;
	int64_t reads_max;	/* 0: many */
	bool newcomer;		/* this node stores for no longer than an instant */
	unsigned newcomers;	/* so many of the owners, from the last, too */
	bool alone;		/* only this node stores */
	bool guest;		/* this node does not */
	bool unplaced;		/* nothing is placed yet */
	uint64_t failover_rate; /* 0: the default */
};

struct rig {
	struct rig_plan plan;
	struct clock_manual clock;
	struct loop_network *network;
	struct loop_faults faults;
	struct keyring *ring;
	struct random random;
	struct peers_config config;
	struct counters counters, transport_counters;
	struct identity identity;
	struct member_id self;
	struct transport *transport;
	struct outbox *outbox;
	struct neighbours *neighbours;
	struct placement *placement;
	bool placement_changed; /* since it was opened: not to be used again */
	struct reader *reader;
	struct histogram latency;
	uint8_t *arena; /* of the reader */
	unsigned slots; /* of it, given to fetches */
	struct store_object object;
	struct rig_owner owners[RIG_OWNERS_MAX]; /* [0] is not used: the reader has its number */
	unsigned owner_count;
	unsigned evidence[RIG_OWNERS_MAX];
	bool directory;
	int64_t reads_max;
	uint64_t tick_ns; /* the reader wants to be called by then */
};

struct rig_fetch {
	struct peer_fetch fetch;
	struct rig *rig;
	unsigned calls; /* of done() */
	bool right;	/* the bytes, when FETCHED */
	uint64_t done_ns;
};

void rig_open(struct rig *rig, const struct rig_plan *plan);
void rig_close(struct rig *rig);

/* What cmocka hands to rig_setup() and rig_teardown(). */
struct rig_fixture {
	struct rig *rig;
	struct rig_plan plan;
};

int rig_setup(void **state);
int rig_teardown(void **state);

/** RIG_TEST() - @test over the rig of @fixture, which is opened before it and closed behind it. */
#define RIG_TEST(fixture, test)                                                                    \
	cmocka_unit_test_prestate_setup_teardown(test, rig_setup, rig_teardown, fixture)

struct rig_owner *rig_owner(struct rig *rig, unsigned number);

/** rig_block() - the first block at or after @from whose ranking begins with the members of these
 *  numbers; 0 is this node; -1: whoever. */
uint64_t rig_block(struct rig *rig, uint64_t from, int first, int second);

/** rig_hold() - @owner has it in its arena, in its directory too. Return: its place. */
unsigned rig_hold(struct rig_owner *owner, uint64_t block);

/** rig_drop() - not any more: something else is there now. */
void rig_drop(struct rig_owner *owner, uint64_t block);

/** rig_unit() - its place; -1: not held. */
int rig_unit(const struct rig_owner *owner, uint64_t block);

/** rig_restart() - kills the process and starts a new one, with an empty arena. */
void rig_restart(struct rig_owner *owner);

/** rig_kill() - kills it; rig_start() starts the next one. */
void rig_kill(struct rig_owner *owner);
void rig_start(struct rig_owner *owner);

/** rig_place() - tells the placement who stores. */
void rig_place(struct rig *rig, const struct rig_plan *plan);

/** rig_fetch() - starts a fetch of a block, or of its granule @granule. */
void rig_fetch(struct rig *rig, struct rig_fetch *fetch, uint64_t block, uint64_t timeout_ns);

/** rig_fetch_served() - as rig_fetch(), while a peer waits for it here. */
void rig_fetch_served(struct rig *rig, struct rig_fetch *fetch, uint64_t block,
		      uint64_t timeout_ns);
void rig_fetch_granule(struct rig *rig, struct rig_fetch *fetch, uint64_t granule,
		       uint64_t timeout_ns);

/** rig_step() - everybody's turn, then time goes on to what comes next, by a millisecond at most.
 */
void rig_step(struct rig *rig);

/** rig_run() - for so long. */
void rig_run(struct rig *rig, uint64_t ns);

/** rig_wait() - until it is done. */
void rig_wait(struct rig *rig, struct rig_fetch *fetch);

/** rig_wait_count() - until @count is @wanted. */
void rig_wait_count(struct rig *rig, const unsigned *count, unsigned wanted);

/** rig_get() - fetches a block within ten seconds. Return: its outcome; a wrong byte fails the
 *  test. */
enum peer_outcome rig_get(struct rig *rig, uint64_t block);

/** rig_expect_within() - it is now @after_ns since @begun_ns, or at most 20 ms more. */
void rig_expect_within(const struct rig *rig, uint64_t begun_ns, uint64_t after_ns);

uint64_t rig_now(const struct rig *rig);
uint64_t rig_count(const struct rig *rig, enum peers_counter counter);
uint64_t rig_reads(const struct rig *rig);

/** rig_say() - @owner sends a message of its own accord to whom it was last asked by. */
void rig_say(struct rig_owner *owner, const struct peer_message *message);

/* --- what reader_rig.c has of reader_rig_owner.c */

/** rig_owner_events() - by which @owner hears what its transport is told. */
struct transport_events rig_owner_events(struct rig_owner *owner);

/** rig_owner_work() - @owner's turn. Return: when it wants the next one. */
uint64_t rig_owner_work(struct rig_owner *owner);

/** rig_is_right() - the bytes that were fetched, and their checks, are the object's. */
bool rig_is_right(const struct peer_fetch *fetch);
