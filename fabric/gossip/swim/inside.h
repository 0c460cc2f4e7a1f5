/*
 * inside.h - the machine's parts, for its own files only: what each keeps and offers the others.
 *
 *	machine    life, the clock that stops, dispatch of ticks and messages
 *	view       the array of members, the order of probing, counts, digest
 *	rumor      what a rumor overturns; refutation
 *	suspicion  members whose time is running out
 *	queue      rumors waiting to be spread; what goes into a message
 *	probe      one probe at a time, and its rounds
 *	relay      probes made for others
 *	evidence   what the data plane said, and whom to probe out of turn
 *	announce   what this node says of itself
 *	scale      how times and counts grow with the number of members
 *
 * Two clocks: `now` is the caller's. `time` is now less all time that the process was not
 * scheduled; every wait for somebody else's answer is in `time`, so that it is never cut short by
 * our own sleep.
 */
#pragma once

#include "fabric/gossip/swim.h"

#include <assert.h>

#include "base/clock.h"
#include "base/random.h"

/* What a tick may be late by before it is the process that was away: less is scheduling. */
#define SWIM_LATE_NS		(50 * NS_PER_MS)
#define SWIM_SWEEP_NS		(10 * NS_PER_S)
#define SWIM_TICK_NS		(NS_PER_S / 10) /* unit of since and until: 32 bits last 13 years */
#define SWIM_ROUND_NS		10000		/* unit of round_trip */
#define SWIM_LEVELS		128		/* transmissions of one rumor are fewer */
#define SWIM_MISFITS		8  /* rumors tried that do not fit, before a message is full */
#define SWIM_CROWD_MAX		64 /* dead forgotten early in one sweep ... */
#define SWIM_KEEP_MIN		(600 * NS_PER_S) /* ... but none sooner, or echoes would raise it */
#define SWIM_GOSSIP_MEMBERS_MAX 16
#define SWIM_ASKERS		1000 /* of one suspect, in a probe_interval */
#define SWIM_TOLD_MIN		16 /* members discovered between two ticks that are always told on */
#define SWIM_REPEATS		5  /* direct PINGs after the first timed out */
#define SWIM_INDIRECT_MAX	8

/* The view's entry of one member; there may be as many entries as members squared in the whole
 * cluster, or in one simulation. What few members have is in the side tables. */
struct swim_entry {
	uint32_t incarnation;
	uint32_t since; /* of the state, in SWIM_TICK_NS */
	uint32_t until; /* RESTARTING: protected until then, in SWIM_TICK_NS */
	/* not of this member: the member at this entry's place in the order of probing */
	uint32_t order;
	uint16_t round_trip; /* SWIM_ROUND_NS, saturating; 0: unknown */
	uint16_t queued;     /* its rumor's slot in the queue, + 1; 0: none */
	uint16_t suspicion;  /* its slot + 1; 0: none. SUSPECT if and only if there is one */
	uint8_t state;	     /* enum swim_state */
	uint8_t phase : 4;   /* enum swim_phase */
	bool stale : 1;	     /* the directory's details are of an older incarnation */
	bool ordered : 1;    /* is in the order of probing */
};
static_assert(sizeof(struct swim_entry) <= 24, "10,000 members know 10,000 members each");

struct swim_view {
	struct swim_entry *entries; /* capacity of them, by member */
	uint32_t capacity;	    /* grows to members_max */
	uint32_t counts[SWIM_LEFT + 1];
	uint32_t order_count, cursor;
	uint64_t digest;
};

struct swim_queue_item {
	uint32_t member, incarnation, from;
	uint8_t kind, sent; /* sent: the level it is linked in */
	uint16_t next, prev;
};

/* Levels of doubly linked items by times sent, newest first; links are slots, SWIM_NO_SLOT ends. */
#define SWIM_NO_SLOT UINT16_MAX
struct swim_queue {
	uint32_t count, capacity;
	struct swim_queue_item *items;
	uint16_t free; /* list through next */
	uint16_t heads[SWIM_LEVELS], tails[SWIM_LEVELS];
};

struct swim_suspicion {
	uint32_t member; /* SWIM_NOBODY: free */
	uint32_t accusers[SWIM_ACCUSERS_MAX];
	uint8_t accuser_count;
	uint8_t wanted; /* confirmations that bring it to its shortest */
	uint8_t why;	/* enum swim_why */
	uint16_t next_free;
	uint64_t started, shortest, longest, deadline; /* time, ns, ns, time */
	uint64_t ask; /* time: when it is asked for its last word, next */
};

struct swim_suspicions {
	struct swim_suspicion *items;
	uint32_t capacity, count, used; /* used: slots ever taken */
	uint16_t free;
	uint64_t next; /* nothing of the items is due before it */
};

enum swim_stage {
	SWIM_IDLE,     /* waits for the next round */
	SWIM_DIRECT,   /* waits for the target's ACK */
	SWIM_INDIRECT, /* waits for ACKs and NACKs through others until the round ends */
};

struct swim_probe {
	enum swim_stage stage;
	uint32_t target, sequence;
	bool urgent;			 /* evidence asked for it */
	bool refused;			 /* its host says that nobody listens there */
	unsigned asked, nacks;		 /* indirectly */
	uint64_t sent, ends, round_ends; /* sent: now; the others: time */
	uint64_t repeat;		 /* ns between PINGs while INDIRECT */
	uint64_t next;			 /* time of the next round */
};

struct swim_relay {
	uint32_t sequence, asker, asker_sequence;
	uint64_t deadline; /* time; 0: free */
};

struct swim_evidence {
	uint32_t member, count; /* SWIM_NOBODY: free */
	bool waiting;		/* for a probe out of turn */
	uint64_t said;		/* now */
};

/* What every call looks at comes first, in few cache lines: a simulation has thousands of these. */
struct swim {
	uint64_t now, late;						  /* time = now - late */
	uint64_t gossip_next, push_pull_next, reconnect_next, sweep_next; /* time */
	struct swim_probe probe;
	struct swim_suspicions suspicions;
	unsigned relay_count;
	unsigned waiting; /* evidence that waits */
	unsigned awareness;
	uint32_t known;	     /* members live at the last tick */
	uint32_t sequence;   /* of the last question asked */
	bool spread_pending; /* ops->spread() is owed */
	struct swim_view view;
	struct swim_queue queue;
	struct swim_config config;
	struct swim_setup setup;
	struct swim_stats stats; /* its levels are filled in by swim_stats() */
	struct swim_evidence evidence[SWIM_URGENT_MAX];
	struct swim_relay relays[SWIM_RELAYS_MAX];
};

static inline uint64_t swim_time(const struct swim *swim)
{
	return swim->now - swim->late;
}

/* machine.c */
/** swim_enter() - begins every call that brings the time. */
void swim_enter(struct swim *swim, uint64_t now_ns);

/* view.c */
int swim_view_init(struct swim *swim);
void swim_view_fini(struct swim *swim);
/** swim_entry() - NULL when @member is not known. */
struct swim_entry *swim_entry(const struct swim *swim, uint32_t member);
/** swim_view_add() - takes @member up, as LEFT and unordered until swim_view_set(). Return: NULL:
 *  no room. */
struct swim_entry *swim_view_add(struct swim *swim, uint32_t member);
/** swim_view_set() - the one way to change state and incarnation. */
void swim_view_set(struct swim *swim, uint32_t member, enum swim_state state, uint32_t incarnation,
		   bool stale);
/** swim_view_live() - members alive or suspected, with oneself unless it left. */
uint32_t swim_view_live(const struct swim *swim);
/** swim_view_protected() - whether it said that it restarts, and its time is not over. */
bool swim_view_protected(const struct swim *swim, const struct swim_entry *entry);
/** swim_view_lately_dead() - dead, and still told rumors, should it only seem so. */
bool swim_view_lately_dead(const struct swim *swim, const struct swim_entry *entry);
/** swim_view_next_target() - whom to probe in turn; SWIM_NOBODY: none. */
uint32_t swim_view_next_target(struct swim *swim);
/** swim_view_sample() - up to @count distinct others that @fits; Return: how many. */
unsigned swim_view_sample(struct swim *swim,
			  bool (*fits)(const struct swim *swim, const struct swim_entry *entry),
			  uint32_t except, unsigned count, uint32_t *out_members);
bool swim_fits_alive(const struct swim *swim, const struct swim_entry *entry);
/** swim_view_dead() - one of the dead at random; SWIM_NOBODY: none. */
uint32_t swim_view_dead(struct swim *swim);
/** swim_view_sweep() - forgets who is dead for longer than dead_keep, sooner when it is crowded. */
void swim_view_sweep(struct swim *swim);
/** swim_view_rumor() - what the view says of @member; detailed unless stale. */
void swim_view_rumor(const struct swim *swim, uint32_t member, uint64_t now_ns,
		     struct swim_rumor *out_rumor);

/* rumor.c */
/** swim_rumor_apply() - one rumor that came by message. */
void swim_rumor_apply(struct swim *swim, const struct swim_rumor *rumor);
/** swim_rumor_merge() - an entry of @from's view. */
void swim_rumor_merge(struct swim *swim, uint32_t from, const struct swim_rumor *rumor);
/** swim_accuse() - this node's own word that @member is not there. */
void swim_accuse(struct swim *swim, uint32_t member, enum swim_why why);
/** swim_bury() - @member's suspicion ran out. */
void swim_bury(struct swim *swim, uint32_t member);

/* suspicion.c */
void swim_suspicions_init(struct swim *swim);
void swim_suspicions_fini(struct swim *swim);
/** swim_suspicion_begin() - Return: whether there was room. */
bool swim_suspicion_begin(struct swim *swim, uint32_t member, uint32_t accuser, enum swim_why why);
/** swim_suspicion_confirm() - Return: whether @accuser is one more of those that shorten it. */
bool swim_suspicion_confirm(struct swim *swim, uint32_t member, uint32_t accuser);
/** swim_suspicion_end() - nothing to do when there is none. */
void swim_suspicion_end(struct swim *swim, uint32_t member);
/** swim_suspicion_of() - NULL when @member is not suspected. */
const struct swim_suspicion *swim_suspicion_of(const struct swim *swim, uint32_t member);
void swim_suspicions_tick(struct swim *swim);

/* queue.c */
void swim_queue_init(struct swim *swim);
void swim_queue_fini(struct swim *swim);
/** swim_queue_put() - spreads a rumor, in place of an older one about the same member. */
void swim_queue_put(struct swim *swim, enum swim_kind kind, uint32_t member, uint32_t incarnation,
		    uint32_t from);
/** swim_queue_drop() - stops spreading what is said of @member. */
void swim_queue_drop(struct swim *swim, uint32_t member);
/** swim_queue_clear() - nobody is there to be told. */
void swim_queue_clear(struct swim *swim);
/**
 * swim_post() - sends a message with as many rumors as fit.
 * @about: the member that gets it: if it is said to be anything but alive, it learns that first.
 */
void swim_post(struct swim *swim, uint32_t to, uint32_t about, enum swim_message_kind kind,
	       uint32_t sequence, uint32_t target);
/** swim_gossip_tick() - tells some members what is new. */
void swim_gossip_tick(struct swim *swim);

/* probe.c */
void swim_probe_tick(struct swim *swim);
uint64_t swim_probe_deadline(const struct swim *swim);
/** swim_probe_answered() - ACK or stream. Return: false: @sequence is not the probe's. */
bool swim_probe_answered(struct swim *swim, uint32_t from, uint32_t sequence);
void swim_probe_nack(struct swim *swim, uint32_t sequence);
/** swim_probe_refused() - the stream was; swim_probe_unreachable() - the PING was. */
void swim_probe_refused(struct swim *swim, uint32_t sequence);
void swim_probe_unreachable(struct swim *swim, uint32_t member);
/** swim_awareness_add() - what was learnt about this node's own health; positive is worse. */
void swim_awareness_add(struct swim *swim, int delta);

/* relay.c */
void swim_relay_begin(struct swim *swim, uint32_t asker, uint32_t sequence, uint32_t target);
void swim_relay_ack(struct swim *swim, uint32_t sequence);
void swim_relays_tick(struct swim *swim);
uint64_t swim_relays_deadline(const struct swim *swim);

/* evidence.c */
/** swim_evidence_target() - whom to probe out of turn; SWIM_NOBODY: none. */
uint32_t swim_evidence_target(struct swim *swim);
uint32_t swim_evidence_count(const struct swim *swim, uint32_t member);
void swim_evidence_forget(struct swim *swim, uint32_t member);

/* announce.c */
/** swim_refute() - raises the own incarnation above @incarnation. @accused: it was not true. */
void swim_refute(struct swim *swim, uint32_t incarnation, bool accused);
/** swim_remind() - tells once more that this node is alive, who missed it. */
void swim_remind(struct swim *swim);
/** swim_spread_check() - ends a call of the machine: calls ops->spread() when it is owed and the
 *  rumor about oneself is no longer in the queue. */
void swim_spread_check(struct swim *swim);

/* scale.c: pure */
/** swim_scale_retransmits() - @factor * ceil(log10(@members + 1)), below SWIM_LEVELS. */
unsigned swim_scale_retransmits(unsigned factor, uint32_t members);
/** swim_scale_push_pull() - multiplies its interval: 1 up to 32 members, then 1 more a doubling. */
unsigned swim_scale_push_pull(uint32_t members);
/** swim_scale_suspicion() - ns: @factor * max(1, log10(@members)) * @interval. */
uint64_t swim_scale_suspicion(unsigned factor, uint32_t members, uint64_t interval);
/** swim_scale_confirmed() - ns of a suspicion from its start, after @count of @wanted. */
uint64_t swim_scale_confirmed(uint64_t shortest, uint64_t longest, unsigned count, unsigned wanted);
