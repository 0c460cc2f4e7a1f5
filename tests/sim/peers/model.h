/*
 * model.h - a small world of whole nodes, explored step by step: the cache with its window and
 * directory, the serving and the asking side of the peers, and the loop transport are the real
 * ones. There are no threads and no time but the model's: whatever could happen next is a step, and
 * who explores picks one.
 *
 *	message		the next one of a connection arrives
 *	slice		a part of a READ is copied out of the owner's memory: READs are torn at will
 *	bytes		half of what a backing store brings lands in its frame
 *	words		some words of a directory become visible to READs, in any order
 *	broken, fenced	a side learns that its connection is no more; its fence takes effect
 *	act		the next thing in a node's script: read, evict, cancel, fence, restart
 *	fault		a bit flips in what the faulty node has or says
 *	time		passes, to the next moment that anybody waits for
 *
 * An arena has four frames, each in a region of its own, so that the reserves of the classes are
 * the real ones too. After every step the world is audited (audit.c).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/random.h"
#include "cache/backing.h"
#include "cache/core.h"
#include "cache/peer/inside.h"
#include "cache/peer/reader_inside.h"
#include "fabric/keyring.h"
#include "fabric/transport/loop_node.h"

#define MODEL_NODES_MAX	  3
#define MODEL_FRAMES	  4
#define MODEL_UNITS	  8
#define MODEL_LEN_MAX	  (2 * GRANULE_LEN)
#define MODEL_READS_MAX	  128
#define MODEL_LEASES_MAX  64
#define MODEL_SCRIPT_MAX  32
#define MODEL_CHOICES_MAX 64
#define MODEL_TRACE_MAX	  20000
#define MODEL_DEPTH_MAX	  64

/* What is broken on purpose, to see that it is found. */
enum model_mutant {
	MUTANT_NONE,
	MUTANT_CHECK, /* granules are not checked */
	MUTANT_SEAL,  /* an entry of the directory is believed, whatever its own check says */
	MUTANT_LEASE, /* the frame of a lease is given back at once */
	MUTANT_EPOCH, /* an arena has the same epoch after a restart */
	MUTANT_LEAK,  /* the frame of a lease is never given back */
	MUTANT_COUNT,
};

extern const char *const model_mutant_names[]; /* NULL-ended */

enum model_act_kind {
	ACT_END,
	ACT_READ,
	ACT_EVICT,  /* the unit from the window, if nobody holds it */
	ACT_CANCEL, /* the oldest read under way here */
	ACT_FENCE,  /* the connection to the owner of the unit */
	ACT_RESTART,
	ACT_WAIT, /* until the reads here have ended */
	ACT_TAKE, /* a frame is somebody else's, until ... */
	ACT_GIVE,
};

struct model_act {
	enum model_act_kind kind;
	unsigned unit;
};

struct model_scenario {
	const char *name, *what;
	unsigned nodes, depth; /* in steps, as the test runs it */
	bool directory;	       /* directories are read before owners are asked */
	uint32_t unit_len;
	unsigned times; /* that time may pass while there is something else to do */
	/* what was done before, in order; then what is explored */
	struct model_act before[MODEL_NODES_MAX][MODEL_SCRIPT_MAX];
	struct model_act script[MODEL_NODES_MAX][MODEL_SCRIPT_MAX];
};

extern const struct model_scenario model_scenarios[];
extern const unsigned model_scenario_count;

/* What nodes read: whole objects of one block. */
struct model_unit {
	char key[16];
	struct object_version version;
	struct window_key window_key;
	unsigned owner; /* the number of the node */
	uint8_t bytes[MODEL_LEN_MAX];
};

enum model_step_kind {
	STEP_WORDS,
	STEP_MESSAGE,
	STEP_SLICE,
	STEP_BROKEN,
	STEP_FENCED,
	STEP_BYTES,
	STEP_ACT,
	STEP_FAULT,
	STEP_TIME,
};

struct model_step {
	enum model_step_kind kind;
	unsigned node, from, a, b; /* for people: world.c, step_print() */
	struct loop_event *event;
	struct backing_request *request;
	size_t off;
};

struct model_world;

struct model_read {
	struct cache_read read;
	struct model_world *world;
	struct cache_object *object;
	unsigned node, unit;
	uint64_t started_ns;
	bool under_way, excused; /* it was cancelled, or its node went */
};

struct model_lease {
	struct cache_stage *stage; /* NULL: free */
	unsigned unit;
};

TAILQ_HEAD(model_gets, backing_request);
STAILQ_HEAD(model_stages, cache_stage);

struct model_node {
	struct model_world *world;
	unsigned number, life;
	struct member_id id;
	struct identity identity;
	uint64_t epoch;
	struct cache_config cache_config;
	struct cache *cache;
	struct window_directory *directory;
	uint8_t *shadow; /* the directory as READs see it */
	size_t shadow_len;
	struct counters counters;
	struct transport *transport;
	struct outbox *outbox;
	struct neighbours *neighbours;
	struct reader *reader;
	struct owner *owner;
	char backing_id[8];
	struct backing backing, *backings[1];
	struct model_gets gets;
	struct peer_fetches fetches; /* as the mailbox has them */
	struct model_stages stages;
	struct model_lease leases[MODEL_LEASES_MAX];
	uint64_t taken_off; /* of the frame of ACT_TAKE */
	uint64_t next_ns;   /* its sides want to be called by then */
	const struct model_act *script;
	/* in this life */
	bool lay[MODEL_UNITS][MODEL_FRAMES]; /* a unit was complete there */
	unsigned heard[MODEL_NODES_MAX];     /* the life of another node that it has heard of */
};

struct model_world {
	const struct model_scenario *scenario;
	enum model_mutant mutant;
	struct clock_manual clock;
	struct random random;
	struct loop_network *network;
	struct peers_config config;
	struct model_node nodes[MODEL_NODES_MAX];
	struct model_read reads[MODEL_READS_MAX];
	unsigned read_count, times;
	int faulty; /* the node whose bits flip; -1: none */
	struct model_step trace[MODEL_TRACE_MAX];
	unsigned trace_count;
	uint64_t seed; /* of a random schedule; 0: none */
};

/* What was seen, over all schedules. */
struct model_tally {
	uint64_t schedules, steps, reads, failed;
	uint64_t from_locator, from_directory, from_stage, pushed, mismatches, malformed;
	uint64_t disbelieved; /* entries of the key wanted whose own check did not hold */
	uint64_t flips[3];    /* of bits: in memory, directory, messages */
};

extern struct model_tally model_tally;

/* --- units.c */

extern struct model_unit model_units[MODEL_UNITS];
extern struct placement *model_placement[MODEL_NODES_MAX + 1]; /* of so many nodes */

/** model_units_make() - those of @scenario; the owners and the bucket are the same for all. */
void model_units_make(const struct model_scenario *scenario);
void model_units_free(void);
struct member_id model_member(unsigned number);

/** model_unit_of() - MODEL_UNITS: none. */
unsigned model_unit_of(const struct window_key *key);

/* --- node.c */

void model_node_up(struct model_node *node);
void model_node_down(struct model_node *node);

/** model_node_turn() - what its threads would do now. Return: whether there was anything. */
bool model_node_turn(struct model_node *node);

/** model_node_next_ns() - when it wants to be called; CLOCK_NEVER. */
uint64_t model_node_next_ns(const struct model_node *node);

bool model_node_asks(const struct model_node *node);

/* --- world.c */

void model_world_open(struct model_world *world, const struct model_scenario *scenario,
		      enum model_mutant mutant, uint64_t seed);
void model_world_close(struct model_world *world);

/** model_world_settle() - all do what is no choice. */
void model_world_settle(struct model_world *world);

/** model_world_steps() - what may happen next, what ends things first. */
unsigned model_world_steps(struct model_world *world, struct model_step out[MODEL_CHOICES_MAX]);

/** model_world_step() - @step happens, and all that follows of itself; then the audit. */
void model_world_step(struct model_world *world, const struct model_step *step);

/** model_world_run() - to the end, everybody in turn; nothing may be left then. */
void model_world_run(struct model_world *world);

bool model_world_reads(const struct model_world *world); /* some are under way */

/** model_fail() - an invariant does not hold: prints why and the schedule, and exits with 3. */
_Noreturn void model_fail(const struct model_world *world, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* --- acts.c */

/** model_act_enabled() / model_act() - the next act of the node's script. */
bool model_act_enabled(const struct model_node *node);
void model_act(struct model_node *node);

/* --- faults.c */

/** model_fault() - flips a bit of the faulty node's. */
void model_fault(struct model_world *world);

/* --- audit.c */

/** model_audit() - what must hold at every moment. */
void model_audit(struct model_world *world);

/** model_audit_slice() - before @event, a slice of a READ, is copied. */
void model_audit_slice(struct model_world *world, struct model_node *node,
		       const struct loop_event *event);

/** model_audit_read() - @read is begun by a node's reader. */
void model_audit_read(struct model_world *world, const struct transport_read *read);

/** model_audit_end() - what must hold when all is done. */
void model_audit_end(struct model_world *world);

/* --- substitutes.c */

/** model_substitute() - from now on @world is looked at, and broken as it says. */
void model_substitute(struct model_world *world);
