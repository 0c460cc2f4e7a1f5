/*
 * sim.h - a whole cluster of the membership machine (fabric/gossip/swim.h) in one process, on a
 * clock that only events move and a network that loses, delays, reorders, duplicates and cuts.
 * Everything comes from one seed: the same seed is the same run, event by event.
 *
 * One directory serves all members: the index of a member is the same everywhere. Bytes are those
 * of the real codec.
 *
 * What must hold always is checked while it runs (check.c); what breaks it is printed with the
 * command that replays it, and ends the process.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/random.h"
#include "fabric/gossip/swim.h"

#define SIM_GROUPS     4		 /* parts that a network can break into */
#define SIM_INBOX_MAX  256		 /* datagrams that a socket holds for a stopped process */
#define SIM_START_NS   (1000 * NS_PER_S) /* when the world begins */
#define SIM_SHADOW_MAX 1000 /* members up to which every view is compared with its past */

struct sim_link {
	double loss, duplicate, reorder; /* probabilities, per datagram */
	uint64_t delay_min, delay_max;	 /* ns, one way */
	uint64_t reorder_by;		 /* ns, at most, on top */
};

struct sim_packet {
	uint32_t from, to, rumor_count;
	enum swim_message_kind kind;
	uint32_t sequence, target;
	struct sim_packet *next; /* in an inbox */
	struct swim_rumor rumors[];
};

enum sim_event_kind {
	SIM_WAKE,      /* a member's deadline */
	SIM_PACKET,    /* a datagram arrives */
	SIM_PING,      /* a stream's question is answered */
	SIM_PUSH_PULL, /* both ends of a stream exchange their views */
};

struct sim_event {
	uint64_t time, order; /* of equal times, the order of making */
	enum sim_event_kind kind;
	uint32_t from, to, sequence, life; /* life: of the one who waits for it */
	struct sim_packet *packet;
};

struct sim_events { /* a heap */
	struct sim_event *items;
	size_t count, capacity;
	uint64_t made;
};

struct sim_member {
	struct swim *swim; /* NULL: not running */
	struct sim *sim;
	uint32_t index, life;
	uint32_t answering;	      /* sender of the datagram in hand */
	bool stopped;		      /* the process exists and is not scheduled */
	bool left;		      /* has said so */
	bool spread;		      /* what it announced last was told often enough */
	uint8_t group;		      /* of the broken network */
	uint32_t kept;		      /* incarnation in its state directory */
	uint32_t highest;	      /* ever announced, in any life */
	uint32_t former;	      /* highest of the lives before this one */
	uint64_t wake;		      /* time of its one valid SIM_WAKE */
	uint64_t slow_by;	      /* ns added to what it receives */
	uint64_t well_since;	      /* running, scheduled, connected */
	uint64_t restart_until;	      /* as it announced ... */
	uint32_t restart_incarnation; /* ... to those who heard of this */
	struct sim_packet *inbox, **inbox_end;
	unsigned inbox_count;
	uint64_t bytes, packets; /* sent */
};

/* How far one change has come: a member's newer incarnation, or its end, in the others' views. */
struct sim_watch {
	uint32_t member, incarnation;
	uint32_t adopted, suspected, died;
	uint64_t first_suspected, first_died, last_died, last_adopted, most_adopted;
	uint32_t wanted; /* members that should come to know; most: 99 % of them */
};

struct sim_shadow {
	uint32_t incarnation;
	uint8_t state;
};

struct sim_config {
	uint32_t members;
	uint64_t seed;
	struct sim_link link;
	struct swim_config swim;
	const char *scenario;
	bool trace;
};

struct sim {
	struct sim_config config;
	uint64_t now, next_check;
	struct random random;
	struct sim_events events;
	struct sim_member *members;
	bool cut[SIM_GROUPS][SIM_GROUPS]; /* from, to */
	/* A member that is well is never called dead by one that is well. */
	bool promise;
	struct sim_watch watch;
	struct sim_shadow *shadow; /* members x members, or NULL */
	uint64_t false_deaths, deaths, handled, lost;
};

/* events.c */
void sim_events_push(struct sim_events *events, const struct sim_event *event);
/** sim_events_pop() - the earliest not after @until. Return: false when there is none. */
bool sim_events_pop(struct sim_events *events, uint64_t until, struct sim_event *out_event);
void sim_events_free(struct sim_events *events);

/* world.c */
/** sim_config_defaults() - a local network, and the machine's default parameters. */
void sim_config_defaults(struct sim_config *config, uint32_t members, uint64_t seed);
struct sim *sim_create(const struct sim_config *config);
void sim_destroy(struct sim *sim);
/** sim_start() - a member's process starts, knowing nobody. */
void sim_start(struct sim *sim, uint32_t member);
/** sim_join() - exchanges views with @seed, as `cenote join` does. */
void sim_join(struct sim *sim, uint32_t member, uint32_t seed);
/** sim_start_all() - the first @count start and know each other, as after a long time. */
void sim_start_all(struct sim *sim, uint32_t count);
void sim_run(struct sim *sim, uint64_t duration);
/** sim_run_until() - looks every 250 ms. Return: whether @done became true within @bound. */
bool sim_run_until(struct sim *sim, bool (*done)(const struct sim *sim), uint64_t bound);

/* faults.c */
void sim_kill(struct sim *sim, uint32_t member);
void sim_stop(struct sim *sim, uint32_t member);
void sim_resume(struct sim *sim, uint32_t member);
/** sim_cut() - what group @from sends no longer reaches group @to. */
void sim_cut(struct sim *sim, unsigned from, unsigned to);
void sim_heal(struct sim *sim);
bool sim_reaches(const struct sim *sim, uint32_t from, uint32_t to);
/** sim_is_well() - running, scheduled and connected since @for_ns. */
bool sim_is_well(const struct sim *sim, uint32_t member, uint64_t for_ns);

/* carrier.c: the ops, and what arrives */
extern const struct swim_ops sim_ops;
void sim_deliver(struct sim *sim, const struct sim_event *event);
/** sim_wake_again() - after every call of a member's machine. */
void sim_wake_again(struct sim *sim, struct sim_member *member);
void sim_receive(struct sim *sim, struct sim_packet *packet);
/** sim_exchange() - a push-pull that happens now. */
void sim_exchange(struct sim *sim, uint32_t from, uint32_t to);

/* size.c: bytes as the codec makes them, for a member with details of usual length */
size_t sim_rumor_len(const struct swim_rumor *rumor);
size_t sim_room(enum swim_message_kind kind);
/** sim_datagram_len() - on the wire, with its headers. */
size_t sim_datagram_len(const struct sim_packet *packet);
/** sim_stream_len() - of @payload bytes each way's share, with set-up and headers. */
size_t sim_stream_len(size_t payload);

/* check.c */
void sim_check(struct sim *sim);
void sim_check_change(struct sim *sim, const struct sim_member *observer,
		      const struct swim_change *change);
void sim_check_message(const struct sim *sim, const struct sim_member *sender, uint32_t to,
		       const struct swim_message *message);
/** sim_agreed() - all running members have the same view, and it is the truth. */
bool sim_agreed(const struct sim *sim);
/** sim_fail() - prints what is wrong and how to replay it; exits. */
_Noreturn void sim_fail(const struct sim *sim, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* watch.c */
void sim_watch_start(struct sim *sim, uint32_t member, uint32_t incarnation, uint32_t wanted);
void sim_watch_adopted(struct sim *sim, uint32_t member, uint32_t incarnation);
void sim_watch_changed(struct sim *sim, const struct swim_change *change);

/* scenarios.c */
struct sim_scenario {
	const char *name, *what;
	void (*run)(struct sim *sim);
	uint32_t members_min; /* with fewer it means nothing */
};
extern const struct sim_scenario sim_scenarios[];
extern const unsigned sim_scenario_count;

/* report.c */
struct sim_report_config {
	const uint32_t *sizes;
	unsigned size_count;
	uint64_t seed;
	const char *plot; /* path of an SVG, or NULL */
};
int sim_report(const struct sim_report_config *config);

/* One row of the report; times in seconds, 0: not measured. */
struct sim_row {
	uint32_t members;
	double join_all, change_most, change_all;
	double suspect_first, dead_first, dead_all;
	double bytes_idle, bytes_loss;
	double loss_minutes;
	uint64_t false_deaths, false_deaths_heavy;
	double wall;
};

/* plot.c */
/** sim_plot() - growth over N as an SVG. Return: 0 or -errno. */
int sim_plot(const char *path, const struct sim_row *rows, unsigned count);
