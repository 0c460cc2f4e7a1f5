/*
 * members.h - keeps the placement in step with the gossip: a thread of its own looks at the members
 * a moment after something changed (roll.h says what they are to us), makes the next placement, and
 * tells who can be asked, and where.
 */
#pragma once

#include "base/address.h"
#include "base/clock.h"
#include "base/counter.h"
#include "cache/peer/roll.h"
#include "cache/placement/placement.h"
#include "fabric/gossip/membership.h"
#include "fabric/identity.h"

struct members;

struct members_setup {
	const struct clock *clock;     /* monotonic time of the machine */
	struct membership *membership; /* borrowed for life; not started yet */
	struct placement *placement;   /* borrowed for life; updated by nobody else */
	struct counters *counters;     /* of PEERS_COUNTER_COUNT */
	/* on the thread of members: */
	roll_tell neighbour;
	void (*placed)(void *context); /* blocks are placed anew */
	void *context;
};

/** members_create() - starts the thread, which waits for members_start(), and subscribes: once it
 * is stopped, membership is not to be started (again). Return: 0, -ENOMEM, -EAGAIN, -ENOSPC. */
int members_create(const struct members_setup *setup, struct members **out_members);

/** members_start() - from now on blocks are placed. Before membership_start(). */
void members_start(struct members *members);

/** members_stop() - membership has stopped calling. The placement stays as it is. */
void members_stop(struct members *members);

/** members_destroy() - after members_stop(). NULL is fine. */
void members_destroy(struct members *members);
