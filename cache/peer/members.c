/*
 * members.c - the thread between the gossip, which tells of changes from inside its lock, and the
 * placement, whose update takes up to a second.
 *
 *	change --> note it, wake --> wait SETTLE_NS for more --> look --> neighbours --> update
 *	   ^                                                                               |
 *	   `---- a newer set is known: give up (CANCELS_MAX times in a row at most) -------'
 */
#include "cache/peer/members.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/error.h"
#include "base/log.h"
#include "base/thread.h"
#include "cache/peer/peers.h"

#define SETTLE_NS   (50 * NS_PER_MS) /* changes come in flocks */
#define RETRY_NS    (100 * NS_PER_MS)
#define PAGE	    64 /* members copied at a time */
#define CANCELS_MAX 4  /* or a cluster that never rests would never be placed */

struct members {
	struct members_setup setup;
	struct roll *roll;
	pthread_t thread;
	bool running;
	atomic_bool newer; /* than what is being placed */
	unsigned cancels;  /* in a row */
	int complained;	   /* of this error, once */
	pthread_mutex_t lock;
	pthread_cond_t wake;
	/* guarded by lock */
	bool changed, stopping;
};

/* Inside the gossip's lock. */
static void on_change(void *context, const struct membership_member *member, bool gone)
{
	struct members *members = context;

	(void)member;
	(void)gone;
	pthread_mutex_lock(&members->lock);
	atomic_store_explicit(&members->newer, true, memory_order_relaxed);
	if (!members->changed) {
		members->changed = true;
		pthread_cond_signal(&members->wake);
	}
	pthread_mutex_unlock(&members->lock);
}

/* Return: 0, or -ENOMEM: the look is not complete. */
static int look_take(struct members *members, struct membership_member *page, uint64_t now_ns)
{
	struct membership *membership = members->setup.membership;
	struct membership_member self;
	unsigned first = 0, count;
	int error = 0;

	roll_begin(members->roll);
	CHECK(membership_members(membership, 0, 1, &self) == 1 && self.is_self);
	do {
		count = membership_members(membership, first, PAGE, page);
		for (unsigned i = 0; i < count && !error; i++)
			error = roll_take(members->roll, &self, &page[i], now_ns);
		first += count;
	} while (count == PAGE && !error);
	return error;
}

static int look(struct members *members, uint64_t now_ns)
{
	struct membership_member *page = calloc(PAGE, sizeof(*page));
	int error;

	if (!page)
		return -ENOMEM;
	error = look_take(members, page, now_ns);
	free(page);
	return error ? error
		     : roll_finish(members->roll, members->setup.neighbour, members->setup.context);
}

static void placed_note(struct members *members)
{
	struct counters *counters = members->setup.counters;
	const struct placement_table *table = placement_acquire(members->setup.placement);
	uint64_t generation = placement_generation(table);
	unsigned count;

	placement_members(table, &count);
	placement_release(members->setup.placement, table);
	if (generation == counter_get(counters, PEERS_GENERATION))
		return;
	counter_set(counters, PEERS_MEMBERS, count);
	counter_set(counters, PEERS_GENERATION, generation);
	log_info("peers.placed", "members=%u generation=%llu", count,
		 (unsigned long long)generation);
	members->setup.placed(members->setup.context);
}

static int place(struct members *members)
{
	unsigned count;
	const struct placement_member *stores = roll_stores(members->roll, &count);
	bool patient = members->cancels < CANCELS_MAX; /* for the newer set */
	int error = -ENOMEM;

	if (stores)
		error = placement_update(members->setup.placement, stores, count,
					 patient ? &members->newer : NULL);
	members->cancels = error == -ECANCELED ? members->cancels + 1 : 0;
	return error;
}

/* Return: when to look again, if nothing changes before. */
static uint64_t turn(struct members *members)
{
	uint64_t now_ns = clock_now_ns(members->setup.clock);
	int error;

	error = look(members, now_ns);
	if (!error)
		error = place(members);
	if (!error)
		placed_note(members);
	if (error && error != -ECANCELED && error != -EBUSY && error != members->complained)
		log_error("peers.place", "error=\"%s\" effect=\"blocks stay placed as they are\"",
			  error_text(error));
	members->complained = error;
	if (error)
		return clock_after_ns(clock_now_ns(members->setup.clock), RETRY_NS);
	return roll_next_ns(members->roll);
}

/* Called with the lock held. Return: false when it is time to stop. */
static bool wait_for_change(struct members *members, uint64_t until_ns)
{
	uint64_t settled_ns;

	while (!members->changed && !members->stopping &&
	       thread_cond_wait_until(&members->wake, &members->lock, until_ns) != -ETIMEDOUT)
		;
	settled_ns = clock_after_ns(clock_now_ns(clock_system()), SETTLE_NS);
	while (members->changed && !members->stopping &&
	       thread_cond_wait_until(&members->wake, &members->lock, settled_ns) != -ETIMEDOUT)
		;
	members->changed = false;
	atomic_store_explicit(&members->newer, members->stopping, memory_order_relaxed);
	return !members->stopping;
}

static void *members_main(void *argument)
{
	struct members *members = argument;
	uint64_t next_ns = CLOCK_NEVER;

	pthread_mutex_lock(&members->lock);
	while (wait_for_change(members, next_ns)) {
		pthread_mutex_unlock(&members->lock);
		next_ns = turn(members);
		pthread_mutex_lock(&members->lock);
	}
	pthread_mutex_unlock(&members->lock);
	return NULL;
}

int members_create(const struct members_setup *setup, struct members **out_members)
{
	struct members *members = calloc(1, sizeof(*members));
	struct membership_subscriber subscriber = { .context = members, .changed = on_change };
	int error;

	if (!members)
		return -ENOMEM;
	members->setup = *setup;
	pthread_mutex_init(&members->lock, NULL);
	thread_cond_init(&members->wake);
	error = roll_create(&members->roll);
	if (error)
		goto destroy;
	error = thread_start(&members->thread, "placement", members_main, members);
	if (error)
		goto destroy;
	members->running = true;
	error = membership_subscribe(setup->membership, &subscriber);
	if (error)
		goto destroy;
	*out_members = members;
	return 0;
destroy:
	members_stop(members);
	members_destroy(members);
	return error;
}

void members_start(struct members *members)
{
	pthread_mutex_lock(&members->lock);
	members->changed = true;
	pthread_cond_signal(&members->wake);
	pthread_mutex_unlock(&members->lock);
}

void members_stop(struct members *members)
{
	if (!members->running)
		return;
	pthread_mutex_lock(&members->lock);
	members->stopping = true;
	atomic_store_explicit(&members->newer, true, memory_order_relaxed);
	pthread_cond_signal(&members->wake);
	pthread_mutex_unlock(&members->lock);
	pthread_join(members->thread, NULL);
	members->running = false;
}

void members_destroy(struct members *members)
{
	if (!members)
		return;
	CHECK(!members->running);
	roll_destroy(members->roll);
	pthread_cond_destroy(&members->wake);
	pthread_mutex_destroy(&members->lock);
	free(members);
}
