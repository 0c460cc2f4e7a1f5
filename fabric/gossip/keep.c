/*
 * keep.c - what is to survive this process, written by the chores' thread: a disk that hangs must
 * not stop the gossip.
 *
 * Incarnations are kept in steps: what is in the file lies INCARNATION_AHEAD above the one in use
 * and is raised when half of that is used up. So a crash costs numbers, of which there are plenty,
 * and a refutation does not wait for a disk.
 */
#include "fabric/gossip/inside.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "fabric/keyring.h"

#define INCARNATION_AHEAD 1024
#define PEERS_WAIT_NS	  (2 * NS_PER_S)
#define PATH_SIZE	  4096

struct keep_chore {
	struct chore chore; /* the first member */
	char path[PATH_SIZE];
	struct state_member member;
	struct state_peers peers;
	struct keyring *ring; /* borrowed for life */
	int status;
	char problem[MEMBERSHIP_PROBLEM_MAX];
	/* keep_ring() */
	void (*ring_done)(struct membership *membership, int status, const char *problem,
			  uint64_t stream, int64_t task);
	uint64_t stream;
	int64_t task;
};

static struct keep_chore *chore_of(struct chore *chore)
{
	return CONTAINER_OF(chore, struct keep_chore, chore);
}

static void chore_drop(struct chore *chore)
{
	free(chore_of(chore));
}

/* Return: NULL when out of memory, which is logged: what is not kept now is kept later. */
static struct keep_chore *chore_make(const char *path, void (*run)(struct chore *),
				     void (*done)(struct chore *, void *))
{
	struct keep_chore *made = calloc(1, sizeof(*made));

	if (!made) {
		log_warning("gossip.keep", "error=\"%s\"", error_text(-ENOMEM));
		return NULL;
	}
	snprintf(made->path, sizeof(made->path), "%s", path);
	made->chore.run = run;
	made->chore.done = done;
	made->chore.drop = chore_drop;
	return made;
}

static int chore_give(struct membership *membership, struct keep_chore *made)
{
	int error = made ? chores_post(membership->files, &made->chore) : -ENOMEM;

	if (error)
		free(made);
	return error;
}

static void member_run(struct chore *chore)
{
	struct keep_chore *keep = chore_of(chore);

	keep->status =
		state_member_save(keep->path, &keep->member, keep->problem, sizeof(keep->problem));
}

static void member_done(struct chore *chore, void *owner)
{
	struct keep_chore *keep = chore_of(chore);
	struct membership *membership = owner;

	membership->keeping_incarnation = false;
	if (keep->status)
		log_error("gossip.keep", "problem=\"%s\"", keep->problem);
	else
		membership->kept_incarnation = keep->member.incarnation;
	free(keep);
}

/* The first one is kept before anything is said: nobody waits for us then. */
static void incarnation_keep_first(struct membership *membership, const struct state_member *member)
{
	char problem[MEMBERSHIP_PROBLEM_MAX];

	if (state_member_save(membership->state_dir, member, problem, sizeof(problem)) != 0)
		log_error("gossip.keep", "problem=\"%s\"", problem);
	else
		membership->kept_incarnation = member->incarnation;
}

void keep_incarnation(struct membership *membership, uint32_t incarnation)
{
	struct state_member member = { .id = membership->identity.member };
	struct keep_chore *made;

	if (incarnation + INCARNATION_AHEAD / 2 <= membership->kept_incarnation ||
	    membership->keeping_incarnation)
		return;
	member.incarnation = incarnation < SWIM_INCARNATION_MAX - INCARNATION_AHEAD
				     ? incarnation + INCARNATION_AHEAD
				     : SWIM_INCARNATION_MAX;
	if (!membership->running) {
		incarnation_keep_first(membership, &member);
		return;
	}
	made = chore_make(membership->state_dir, member_run, member_done);
	if (made)
		made->member = member;
	membership->keeping_incarnation = chore_give(membership, made) == 0;
}

static void peers_run(struct chore *chore)
{
	struct keep_chore *keep = chore_of(chore);

	keep->status =
		state_peers_save(keep->path, &keep->peers, keep->problem, sizeof(keep->problem));
}

static void peers_done(struct chore *chore, void *owner)
{
	struct keep_chore *keep = chore_of(chore);

	(void)owner;
	if (keep->status)
		log_warning("gossip.keep", "problem=\"%s\"", keep->problem);
	free(keep);
}

void keep_peers_changed(struct membership *membership)
{
	if (membership->peers_next_ns == CLOCK_NEVER)
		membership->peers_next_ns = clock_after_ns(now_of(membership), PEERS_WAIT_NS);
}

void keep_peers_now(struct membership *membership)
{
	membership->peers_next_ns = now_of(membership);
}

static void peers_collect(const struct membership *membership, struct state_peers *out)
{
	out->count = 0;
	for (uint32_t i = ROSTER_SELF + 1; i < membership->roster.count; i++) {
		const struct roster_entry *entry = roster_entry(&membership->roster, i);

		if (entry && out->count < STATE_PEERS_MAX &&
		    swim_state(membership->swim, i) == SWIM_ALIVE)
			out->addresses[out->count++] = entry->details.gossip;
	}
}

void keep_tick(struct membership *membership)
{
	struct keep_chore *made;

	if (membership->peers_next_ns > now_of(membership))
		return;
	membership->peers_next_ns = CLOCK_NEVER;
	made = chore_make(membership->state_dir, peers_run, peers_done);
	if (!made)
		return;
	peers_collect(membership, &made->peers);
	/* Those that were known are better than none. */
	if (made->peers.count == 0)
		free(made);
	else
		chore_give(membership, made);
}

void keep_last(struct membership *membership)
{
	char problem[MEMBERSHIP_PROBLEM_MAX];
	struct state_peers peers;

	if (membership->peers_next_ns == CLOCK_NEVER)
		return;
	peers_collect(membership, &peers);
	if (peers.count > 0 &&
	    state_peers_save(membership->state_dir, &peers, problem, sizeof(problem)) != 0)
		log_warning("gossip.keep", "problem=\"%s\"", problem);
}

void keep_no_peers(struct membership *membership)
{
	struct keep_chore *made = chore_make(membership->state_dir, peers_run, peers_done);

	membership->peers_next_ns = CLOCK_NEVER;
	chore_give(membership, made);
}

static void ring_run(struct chore *chore)
{
	struct keep_chore *keep = chore_of(chore);

	keep->status = keyring_save(keep->ring, keep->path, keep->problem, sizeof(keep->problem));
}

static void ring_done(struct chore *chore, void *owner)
{
	struct keep_chore *keep = chore_of(chore);

	if (keep->status)
		log_error("gossip.keys", "problem=\"%s\" effect=\"in force until a restart\"",
			  keep->problem);
	keep->ring_done(owner, keep->status, keep->problem, keep->stream, keep->task);
	free(keep);
}

int keep_ring(struct membership *membership,
	      void (*done)(struct membership *membership, int status, const char *problem,
			   uint64_t stream, int64_t task),
	      uint64_t stream, int64_t task)
{
	struct keep_chore *made = chore_make(membership->secret_file, ring_run, ring_done);

	if (made) {
		made->ring = membership->identity.ring;
		made->ring_done = done;
		made->stream = stream;
		made->task = task;
	}
	return chore_give(membership, made);
}
