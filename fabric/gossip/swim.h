/*
 * swim.h - who is there: SWIM with Lifeguard's refinements as a pure machine.
 *
 *	(state, message, now, random) -> actions
 *
 * The machine reads no clock, opens no socket, knows no address, no name and no key. A member is a
 * small index that the caller's directory hands out (dense: the view is an array); the directory
 * keeps everything else about it: id, boot id, name, site, addresses, capacity, version, digest of
 * the config - its *details*. Details are announced with an incarnation: a member that changes any
 * of them calls swim_announce(), and the ALIVE rumor of that newer incarnation takes them to all.
 *
 *	carrier                       machine                         directory
 *	   |  packet, decoded            |                                |
 *	   |----- swim_receive() ------->|--- adopt(ALIVE + details) ---->| stores the details
 *	   |                             |--- changed(member, old, new) ->|
 *	   |<---- send(to, message) -----|                                |
 *	   |  encodes; with each rumor that is `detailed` goes what the directory has
 *
 * What a rumor may overturn, by incarnation (i: the rumor's, j: what is known):
 *
 *	ALIVE i		anything but oneself	i > j
 *	SUSPECT i	ALIVE			i >= j
 *			SUSPECT			i > j; i == j confirms
 *	DEAD i		ALIVE, SUSPECT		i >= j
 *	LEFT i		ALIVE, SUSPECT, DEAD	i >= j; LEFT		i > j
 *
 * Only the member itself raises its incarnation: about itself it answers SUSPECT i, DEAD i, LEFT i
 * and ALIVE i of a former life with ALIVE above i. A member that is `restarting` is neither probed
 * nor suspected nor declared dead before the time that it announced.
 *
 * In the second half of its time a suspect is asked directly for its last word: who missed its
 * refutation hears it then.
 *
 * Time that the process was not scheduled does not count: the machine's time stands still while
 * swim_deadline() is overdue, so that who was stopped blames nobody for it when it goes on.
 *
 * Threads: everything of one machine from one thread. The ops are called inside the swim_ calls and
 * may call queries (const struct swim *), nothing else.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/option.h"

struct random;
struct swim;

#define SWIM_NOBODY UINT32_MAX	     /* no member: unknown to the directory */
#define SWIM_SENDER (UINT32_MAX - 1) /* as `to`: where the message in hand came from */

#define SWIM_MEMBERS_LIMIT   (1 << 20)		  /* highest members_max */
#define SWIM_INCARNATION_MAX UINT32_C(0x7fffffff) /* a rumor above it is dropped */
#define SWIM_ACCUSERS_MAX    8			  /* remembered of one suspicion */
#define SWIM_RUMORS_MAX	     64			  /* in one message */

/* Limits of the side tables; what does not fit is dropped and counted, push-pull repairs it. */
#define SWIM_QUEUE_MAX	    8192 /* rumors waiting to be spread: at most one a member */
#define SWIM_SUSPICIONS_MAX 8192 /* members under suspicion */
#define SWIM_RELAYS_MAX	    64	 /* probes made for others */
#define SWIM_URGENT_MAX	    32	 /* members to be probed out of turn; evidence remembered */

enum swim_state {
	SWIM_NONE, /* not known: the index is the directory's to reuse */
	SWIM_ALIVE,
	SWIM_SUSPECT, /* waits for its refutation or the end of its time */
	SWIM_DEAD,    /* waits for a higher incarnation, or to be forgotten */
	SWIM_LEFT,    /* the same, but went by itself */
};

/* What a live member says that it is doing. */
enum swim_phase {
	SWIM_JOINING,
	SWIM_SERVING,
	SWIM_RESTARTING, /* gone until an announced time, and keeps its place */
	SWIM_LEAVING,	 /* hands its blocks over */
};

enum swim_kind {
	SWIM_RUMOR_ALIVE = 1,
	SWIM_RUMOR_SUSPECT,
	SWIM_RUMOR_DEAD,
	SWIM_RUMOR_LEFT,
};

struct swim_rumor {
	uint8_t kind;  /* enum swim_kind */
	uint8_t phase; /* enum swim_phase; when detailed */
	/*
	 * Whether the member's details, those of this very incarnation, go with the rumor. Out:
	 * the codec attaches what the directory has. In: the codec found some. An ALIVE always has
	 * them. In a push-pull, entries of every kind have them where they are known.
	 */
	bool detailed;
	uint32_t member;
	uint32_t incarnation;
	uint32_t from;	       /* SUSPECT, DEAD: the accuser; SWIM_NOBODY when not known here */
	uint32_t remaining_ms; /* SWIM_RESTARTING, detailed: until it may be missed, from now */
	const void *details;   /* in, when detailed: the codec's, handed on to adopt() */
};

enum swim_message_kind {
	SWIM_PING = 1, /* answer with ACK; begins with the suspicion about its target, if any */
	SWIM_PING_REQ, /* ping the target for me: answer ACK, or NACK after probe_timeout */
	SWIM_ACK,
	SWIM_NACK,
	SWIM_GOSSIP, /* rumors only */
	SWIM_MESSAGE_KINDS,
};

struct swim_message {
	enum swim_message_kind kind;
	uint32_t sequence; /* all but GOSSIP: pairs an answer with its question */
	uint32_t target;   /* PING: whom it is meant for; PING_REQ: whom to ping */
	uint32_t rumor_count;
	struct swim_rumor rumors[SWIM_RUMORS_MAX];
};

/* Why a member's state changed. */
enum swim_why {
	SWIM_WHY_NEWS,	   /* a rumor told so; by: its accuser */
	SWIM_WHY_PROBE,	   /* it did not answer this node's probe, nor through others */
	SWIM_WHY_EVIDENCE, /* the same, and swim_evidence() had caused the probe */
	SWIM_WHY_SILENCE,  /* suspected, and its time is over; by: who accused it first */
	SWIM_WHY_REFUTED,  /* it spoke for itself, with a higher incarnation */
};

struct swim_change {
	uint32_t member;
	enum swim_state old_state, new_state;
	enum swim_why why;
	uint32_t by; /* a member, or SWIM_NOBODY */
};

struct swim_ops {
	/*
	 * Sends one datagram, best effort. @to is a member, or SWIM_SENDER (inside swim_receive()
	 * only): to the address that the message in hand came from. @message is borrowed.
	 */
	void (*send)(void *context, uint32_t to, const struct swim_message *message);
	/*
	 * Exchanges views with @to over a reliable stream, best effort: send swim_view_next()'s
	 * all, let the other side merge them *before* it answers with its own view, give that to
	 * swim_merge(). Where both say swim_digest() first and they are equal, that was all.
	 */
	void (*push_pull)(void *context, uint32_t to);
	/*
	 * Asks @to over a reliable stream whether it is there: datagrams may be what is broken.
	 * swim_ping_answered() with @sequence when it answers; nothing when it does not.
	 */
	void (*ping_reliably)(void *context, uint32_t to, uint32_t sequence);
	/* Bytes that @rumor takes in a datagram, with its details. */
	size_t (*rumor_len)(void *context, const struct swim_rumor *rumor);
	/* The same number for @member on every node, well spread: for swim_digest(). */
	uint64_t (*member_hash)(void *context, uint32_t member);
	/* Keep rumor->details, phase and incarnation of rumor->member. Never about oneself. */
	void (*adopt)(void *context, const struct swim_rumor *rumor);
	/* A member's state changed; after adopt(), where both are called. Never about oneself. */
	void (*changed)(void *context, const struct swim_change *change);
	/* @member was dead for long: nothing here holds it any more. Inside swim_tick() only. */
	void (*forgotten)(void *context, uint32_t member);
	/*
	 * This node's own incarnation, before anything carries it. It must survive a crash: keep
	 * it, or, to spare writes, keep a higher one now and then; the next life starts above what
	 * was kept. @refuted: something had been said about this node that was not true.
	 */
	void (*incarnation)(void *context, uint32_t incarnation, bool refuted);
	/* The last swim_announce() or swim_leave() was told often enough to reach all. */
	void (*spread)(void *context);
};

/* Parameters; swim_options describes them. Durations are ns. */
struct swim_config {
	uint64_t probe_interval, probe_timeout;
	int64_t indirect_probes;
	bool reliable_probe;
	int64_t awareness_max;
	int64_t suspicion_factor, suspicion_max_factor, suspicion_confirmations;
	uint64_t gossip_interval;
	int64_t gossip_members;
	uint64_t gossip_to_dead;
	int64_t retransmit_factor;
	uint64_t push_pull_interval, reconnect_interval;
	uint64_t dead_keep, restarting_max, evidence_interval;
	int64_t members_max;
};

extern const struct option_group swim_options; /* "swim", of struct swim_config */

struct swim_setup {
	const struct swim_ops *ops; /* for life */
	void *context;		    /* first argument of the ops */
	struct random *random;	    /* for life; owned by the machine's thread */
	uint32_t self;		    /* this node's index */
	uint32_t incarnation;	    /* kept from the last life, 0: none; the machine starts above */
	enum swim_phase phase;
	/* Bytes for rumors in a datagram of each kind. */
	size_t room[SWIM_MESSAGE_KINDS];
};

/**
 * swim_create() - a machine that knows itself only. Calls ops->incarnation().
 * @config: copied. @setup: copied.
 * Return: 0 or -ENOMEM.
 */
int swim_create(const struct swim_config *config, const struct swim_setup *setup, uint64_t now_ns,
		struct swim **out_swim);

/** swim_destroy() - says nothing to anybody; NULL is fine. */
void swim_destroy(struct swim *swim);

/** swim_deadline() - when swim_tick() is due; may be in the past. Changes with every call. */
uint64_t swim_deadline(const struct swim *swim);

/** swim_tick() - does what is due. Calling it early or often is harmless. */
void swim_tick(struct swim *swim, uint64_t now_ns);

/**
 * swim_receive() - a datagram, decoded.
 * @from: its authenticated sender; SWIM_NOBODY when the directory does not know it.
 * @message: borrowed. For an id that the directory does not know, an ALIVE gets a new index from
 *           the directory, other kinds SWIM_NOBODY. After the call an index whose swim_state() is
 *           SWIM_NONE was not taken (members_max) and is free again.
 */
void swim_receive(struct swim *swim, uint32_t from, const struct swim_message *message,
		  uint64_t now_ns);

/**
 * swim_merge() - one entry of another's view, in a push-pull; a view is merged as a whole before
 * the next swim_tick(). A DEAD is taken as a suspicion by @from only: who was cut off must not bury
 * those that it could not see. An entry that is detailed gets an index from the directory when it
 * has none, whatever its kind. What a newcomer learns of thousands like this it does not gossip.
 */
void swim_merge(struct swim *swim, uint32_t from, const struct swim_rumor *rumor, uint64_t now_ns);

/** swim_view_next() - own view for a push-pull, an entry a call; this node is one of them.
 *  @cursor: 0 at first. Return: false after the last. */
bool swim_view_next(const struct swim *swim, uint64_t now_ns, uint32_t *cursor,
		    struct swim_rumor *out_rumor);

/** swim_digest() - of what this view says of those that are alive or suspected: views with equal
 *  digests have nothing to tell each other. */
uint64_t swim_digest(const struct swim *swim);

/** swim_ping_answered() - ping_reliably() with that @sequence was answered. */
void swim_ping_answered(struct swim *swim, uint32_t sequence, uint64_t now_ns);

/** swim_ping_refused() - ping_reliably() with that @sequence found that nobody listens there (a
 *  RST): the probe ends soon, not at the end of its round. */
void swim_ping_refused(struct swim *swim, uint32_t sequence, uint64_t now_ns);

/** swim_unreachable() - a datagram to @member came back: nobody listens there (ICMP). A probe of it
 *  asks others at once; more that word is not worth, which anybody can send. */
void swim_unreachable(struct swim *swim, uint32_t member, uint64_t now_ns);

/**
 * swim_announce() - own details or phase changed: a new incarnation tells everybody.
 * @remaining_ns: SWIM_RESTARTING: how long this node may be gone; at most restarting_max.
 * ops->spread() follows when it was told often enough (or nobody is there to be told).
 * Return: the incarnation.
 */
uint32_t swim_announce(struct swim *swim, enum swim_phase phase, uint64_t remaining_ns,
		       uint64_t now_ns);

/**
 * swim_leave() - says that this node goes for good, and from then on refutes nothing. The machine
 * still answers and spreads until the caller stops it: after ops->spread(), or when it has waited
 * long enough. swim_announce() takes it back.
 */
void swim_leave(struct swim *swim, uint64_t now_ns);

/**
 * swim_evidence() - the data plane says "this member failed me". A live member is probed out of
 * turn, and suspected if it does not answer: evidence is never a suspicion of one that answers. Of
 * a suspect it is a confirmation by this node, which counts once.
 * Return: 0, or
 *   -EAGAIN  said within evidence_interval, or more than SWIM_URGENT_MAX wait: nothing was done;
 *   -ENOENT  not known, this node, dead, gone, or restarting: there is nothing to suspect.
 */
int swim_evidence(struct swim *swim, uint32_t member, uint64_t now_ns);

/* What is known of one member. */
struct swim_info {
	enum swim_state state;
	enum swim_phase phase;
	uint32_t incarnation;
	uint64_t since_ns;	 /* of the state; to 0.1 s */
	uint64_t restarting_ns;	 /* RESTARTING: when it may be missed; else 0; to 0.1 s */
	uint64_t round_trip_ns;	 /* of its probes, smoothed; 0: none was answered yet */
	enum swim_why suspected; /* SUSPECT: NEWS, PROBE or EVIDENCE */
	uint64_t deadline_ns;	 /* SUSPECT: when silence makes it dead, as things stand */
	uint32_t evidence_count; /* accepted swim_evidence() of late, while it is remembered */
	unsigned accuser_count;	 /* SUSPECT: of accusers */
	uint32_t accusers[SWIM_ACCUSERS_MAX];
};

/** swim_info() - about any index, oneself included. */
void swim_info(const struct swim *swim, uint32_t member, struct swim_info *out_info);

/** swim_state(), swim_phase() - the same in short. */
enum swim_state swim_state(const struct swim *swim, uint32_t member);
enum swim_phase swim_phase(const struct swim *swim, uint32_t member);

/** swim_state_text(), swim_phase_text(), swim_why_text() - for people and logs. */
const char *swim_state_text(enum swim_state state);
const char *swim_phase_text(enum swim_phase phase);
const char *swim_why_text(enum swim_why why);

/* Totals since the start, and levels. */
struct swim_stats {
	uint64_t probes, probes_indirect, probes_reliable, probes_failed;
	uint64_t suspicions, refutations, deaths; /* begun here or heard of; of oneself; seen */
	uint64_t rumors_sent, rumors_taken, rumors_old, rumors_bad, rumors_dropped;
	uint64_t push_pulls, misdirected, relays_dropped, suspicions_dropped, members_refused;
	uint64_t late_ns;		     /* time that the process was not scheduled */
	unsigned alive, suspect, dead, left; /* members known, with oneself */
	unsigned queued, suspicions_open, relays, awareness; /* levels */
};

void swim_stats(const struct swim *swim, struct swim_stats *out_stats);
