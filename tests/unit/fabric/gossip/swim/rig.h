/*
 * rig.h - one machine, number 0, among members that the test plays: what it sends and says is
 * recorded, and those that are not silent answer its probes.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/random.h"
#include "fabric/gossip/swim/inside.h"

#define RIG_MEMBERS 64
#define RIG_SENT    4096
#define RIG_SAID    256
#define RIG_START   (1000 * NS_PER_S)
#define S	    NS_PER_S
#define MS	    NS_PER_MS

struct rig_sent {
	uint32_t to;
	struct swim_message message;
};

struct rig {
	struct swim *swim;
	struct swim_config config;
	struct swim_setup setup;
	struct random random;
	uint64_t now;
	bool silent[RIG_MEMBERS]; /* does not answer probes ... */
	bool refuse_nacks;	  /* ... and the others do not say NACK for it */
	struct rig_sent *sent;
	unsigned sent_count, answered; /* answered: of sent, those looked at by rig_run() */
	struct swim_change changes[RIG_SAID];
	unsigned change_count;
	struct swim_rumor adopted[RIG_SAID];
	unsigned adopted_count;
	uint32_t reliable[RIG_SAID], push_pulls[RIG_SAID], forgotten[RIG_SAID];
	unsigned reliable_count, push_pull_count, forgotten_count;
	uint32_t reliable_sequence;
	uint32_t incarnation;
	bool refuted;
	unsigned spread_count;
	size_t rumor_len;
};

/** rig_begin() - machine 0 and @members - 1 others that it knows; what it had to say of them is
 *  said. In two steps where a test has settings of its own: to be changed between them. */
void rig_begin(struct rig *rig, uint32_t members);
void rig_init(struct rig *rig);
void rig_start(struct rig *rig, uint32_t members);
void rig_stop(struct rig *rig);

/** rig_run() - lets time pass, tick by tick; others answer within 1 ms. */
void rig_run(struct rig *rig, uint64_t duration);
/** rig_forget_sent() - what was recorded so far. */
void rig_forget_sent(struct rig *rig);

/** rig_tell() - a GOSSIP message with one rumor; rig_rumor() makes one, detailed if it is ALIVE. */
void rig_tell(struct rig *rig, uint32_t from, const struct swim_rumor *rumor);
struct swim_rumor rig_rumor(enum swim_kind kind, uint32_t member, uint32_t incarnation,
			    uint32_t from);
/** rig_say() - the two in one. */
void rig_say(struct rig *rig, enum swim_kind kind, uint32_t member, uint32_t incarnation,
	     uint32_t from);
void rig_receive(struct rig *rig, uint32_t from, enum swim_message_kind kind, uint32_t sequence,
		 uint32_t target);

/** rig_find() - the first recorded message of that kind to @to (SWIM_NOBODY: to anyone). */
const struct swim_message *rig_find(const struct rig *rig, enum swim_message_kind kind,
				    uint32_t to);
unsigned rig_count(const struct rig *rig, enum swim_message_kind kind);
/** rig_heard() - how often a rumor of that kind about @member was sent. */
unsigned rig_heard(const struct rig *rig, enum swim_kind kind, uint32_t member);
/** rig_ping_to() - runs until @member is probed; Return: the sequence. */
uint32_t rig_ping_to(struct rig *rig, uint32_t member);
