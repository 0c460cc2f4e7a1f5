/*
 * roll.h - the gossip's members as the data plane needs them: who stores, who can be asked, and
 * where. Pure: fed with looks at the members, it keeps what lasts from one look to the next.
 *
 *	stores	  blocks are placed on it: same site, same configuration, lends capacity, and is
 *		  alive, suspect, restarting within its time, or joining for less than
 *		  ROLL_JOINING_NS after it has stored
 *	neighbour can be asked, but owns nothing: joining, leaving (suspect meanwhile or not), or
 *		  without capacity
 *	stranger  dead, gone, elsewhere, unreadable, or it would look for other blocks than we do
 *
 * Threads: one at a time.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"
#include "base/clock.h"
#include "cache/placement/placement.h"
#include "fabric/gossip/membership.h"
#include "fabric/identity.h"

#define ROLL_JOINING_NS (10 * NS_PER_S)

enum roll_role {
	ROLL_STRANGER,
	ROLL_NEIGHBOUR,
	ROLL_STORES,
};

/** roll_role() - what @member is to the node that @self describes (they may be the same), whatever
 *  it was before. */
enum roll_role roll_role(const struct membership_member *self,
			 const struct membership_member *member, uint64_t now_ns);

struct roll;

/** roll_create() - an empty one. Return: 0 or -ENOMEM. */
int roll_create(struct roll **out_roll);

/** roll_destroy() - NULL is fine. */
void roll_destroy(struct roll *roll);

/** roll_begin() - a look at the members begins. */
void roll_begin(struct roll *roll);

/**
 * roll_take() - one member of the look that is being taken.
 * @self: this node as the same look has it.
 * Return: 0 or -ENOMEM: it is as if the member had not been there.
 */
int roll_take(struct roll *roll, const struct membership_member *self,
	      const struct membership_member *member, uint64_t now_ns);

/**
 * Tells of a neighbour, never of this node itself.
 * @address: where it can be read; NULL: it is no neighbour any more.
 * @restarting_ns: until when it means to be back from a restart; 0: it does not restart.
 * @leaving: its weight, if it stored until it began to hand over what it has; 0: it does not.
 * Return: 0; anything else: it is to be told again after the next look.
 */
typedef int (*roll_tell)(void *context, const struct member_id *id, const struct address *address,
			 uint64_t restarting_ns, uint64_t leaving);

/**
 * roll_finish() - the look is complete: who was not in it is forgotten, and what has changed about
 * neighbours is told; of one that has started anew, too.
 * Return: 0, or what the last unsuccessful @tell returned.
 */
int roll_finish(struct roll *roll, roll_tell tell, void *context);

/** roll_stores() - those that store, as placement_update() takes them; valid until the next look.
 *  NULL: out of memory; of nobody it is something else. */
const struct placement_member *roll_stores(struct roll *roll, unsigned *out_count);

/** roll_next_ns() - when the same members would be something else: CLOCK_NEVER. */
uint64_t roll_next_ns(const struct roll *roll);
