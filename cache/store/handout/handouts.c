/*
 * handouts.c - see handouts.h. A hash table by id, and a queue through it.
 */
#include "cache/store/handout/handouts.h"

#include <stdlib.h>

/* For want of memory an element is not added, and its handle has no table. */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "base/check.h"
#include "base/thread.h"

enum handout_state {
	HANDOUT_QUEUED,
	HANDOUT_VERIFYING,
	HANDOUT_VERIFIED,
};

struct handout {
	struct object_id id;
	enum handout_state state;
	unsigned users;
	uint32_t dataset;
	uint64_t ticket;
	TAILQ_ENTRY(handout) link; /* queue while QUEUED, used while there are users */
	UT_hash_handle hh;
};

void handouts_init(struct handouts *handouts)
{
	*handouts = (struct handouts){ .next_ticket = 1 };
	CHECK(pthread_mutex_init(&handouts->lock, NULL) == 0);
	thread_cond_init(&handouts->wake);
	TAILQ_INIT(&handouts->queue);
	TAILQ_INIT(&handouts->used);
}

static struct handout *find_locked(const struct handouts *handouts, const struct object_id *id)
{
	struct handout *found;

	HASH_FIND(hh, handouts->table, id, sizeof(*id), found);
	return found;
}

static void remove_locked(struct handouts *handouts, struct handout *handout)
{
	if (handout->state == HANDOUT_QUEUED) {
		TAILQ_REMOVE(&handouts->queue, handout, link);
		handouts->queued--;
	}
	if (handout->state == HANDOUT_VERIFIED) {
		handouts->verified--;
		handouts->lost++;
	}
	if (handout->users > 0)
		TAILQ_REMOVE(&handouts->used, handout, link);
	/* It is in the table, so there is one. */
	/* NOLINTNEXTLINE(clang-analyzer-core.NullDereference) */
	HASH_DELETE(hh, handouts->table, handout);
	free(handout);
}

void handouts_clear(struct handouts *handouts)
{
	struct handout *handout, *next;

	pthread_mutex_lock(&handouts->lock);
	handout = handouts->table;
	HASH_CLEAR(hh, handouts->table);
	TAILQ_INIT(&handouts->queue);
	TAILQ_INIT(&handouts->used);
	handouts->queued = handouts->verified = 0;
	handouts->lost++;
	pthread_mutex_unlock(&handouts->lock);
	for (; handout; handout = next) {
		next = handout->hh.next;
		free(handout);
	}
}

void handouts_fini(struct handouts *handouts)
{
	handouts_clear(handouts);
	pthread_cond_destroy(&handouts->wake);
	pthread_mutex_destroy(&handouts->lock);
}

static void queue_locked(struct handouts *handouts, const struct object_id *id)
{
	struct handout *handout = calloc(1, sizeof(*handout));

	if (!handout)
		return; /* the next open asks again */
	handout->id = *id;
	HASH_ADD(hh, handouts->table, id, sizeof(handout->id), handout);
	if (!handout->hh.tbl) {
		free(handout);
		return;
	}
	TAILQ_INSERT_TAIL(&handouts->queue, handout, link);
	handouts->queued++;
	pthread_cond_signal(&handouts->wake);
}

void handouts_allow(struct handouts *handouts, bool allowed)
{
	struct handout *handout, *next;

	pthread_mutex_lock(&handouts->lock);
	handouts->allowed = allowed;
	handouts->lost += !allowed;
	for (handout = allowed ? NULL : TAILQ_FIRST(&handouts->queue); handout; handout = next) {
		next = TAILQ_NEXT(handout, link);
		remove_locked(handouts, handout);
	}
	pthread_mutex_unlock(&handouts->lock);
}

void handouts_set_rate(struct handouts *handouts, uint64_t bytes_per_second)
{
	pthread_mutex_lock(&handouts->lock);
	handouts->scrub_rate = bytes_per_second;
	pthread_cond_signal(&handouts->wake);
	pthread_mutex_unlock(&handouts->lock);
}

void handouts_end(struct handouts *handouts)
{
	pthread_mutex_lock(&handouts->lock);
	handouts->ending = true;
	pthread_cond_signal(&handouts->wake);
	pthread_mutex_unlock(&handouts->lock);
}

bool handouts_ready(struct handouts *handouts, const struct object_id *id, bool want)
{
	const struct handout *handout;
	bool ready;

	pthread_mutex_lock(&handouts->lock);
	handout = find_locked(handouts, id);
	ready = handouts->allowed && handout && handout->state == HANDOUT_VERIFIED;
	if (!handout && want && handouts->allowed && !handouts->ending &&
	    handouts->queued < HANDOUTS_QUEUED_MAX)
		queue_locked(handouts, id);
	pthread_mutex_unlock(&handouts->lock);
	return ready;
}

void handouts_queue(struct handouts *handouts, const struct object_id *id)
{
	(void)handouts_ready(handouts, id, true);
}

uint64_t handouts_ticket(struct handouts *handouts, const struct object_id *id)
{
	const struct handout *handout;
	uint64_t ticket;

	pthread_mutex_lock(&handouts->lock);
	handout = find_locked(handouts, id);
	ticket = handouts->allowed && handout ? handout->ticket : 0;
	pthread_mutex_unlock(&handouts->lock);
	return ticket;
}

/* Return: NULL: no memory. */
static struct handout *add_verified_locked(struct handouts *handouts, const struct object_id *id)
{
	struct handout *handout = calloc(1, sizeof(*handout));

	if (!handout)
		return NULL;
	handout->id = *id;
	HASH_ADD(hh, handouts->table, id, sizeof(handout->id), handout);
	if (!handout->hh.tbl) {
		free(handout);
		return NULL;
	}
	handout->state = HANDOUT_VERIFIED;
	handout->ticket = handouts->next_ticket++;
	handouts->verified++;
	return handout;
}

uint64_t handouts_trust(struct handouts *handouts, const struct object_id *id)
{
	const struct handout *handout;
	uint64_t ticket = 0;

	pthread_mutex_lock(&handouts->lock);
	handout = find_locked(handouts, id);
	if (!handout)
		handout = add_verified_locked(handouts, id);
	if (handout && handout->state == HANDOUT_VERIFIED)
		ticket = handout->ticket;
	pthread_mutex_unlock(&handouts->lock);
	return ticket;
}

static void use_locked(struct handouts *handouts, struct handout *handout)
{
	if (handout->users++ == 0)
		TAILQ_INSERT_TAIL(&handouts->used, handout, link);
}

bool handouts_use(struct handouts *handouts, const struct object_id *id, uint64_t ticket,
		  uint32_t dataset)
{
	struct handout *handout;
	bool same;

	pthread_mutex_lock(&handouts->lock);
	handout = find_locked(handouts, id);
	same = handout && handout->ticket == ticket;
	if (same) {
		handout->dataset = dataset;
		use_locked(handouts, handout);
	}
	pthread_mutex_unlock(&handouts->lock);
	return same;
}

bool handouts_use_again(struct handouts *handouts, const struct object_id *id, uint64_t ticket,
			uint64_t *out_spoilt)
{
	struct handout *handout;
	bool same;

	pthread_mutex_lock(&handouts->lock);
	handout = find_locked(handouts, id);
	same = handouts->allowed && handout && handout->ticket == ticket;
	if (same) {
		use_locked(handouts, handout);
		*out_spoilt = handouts->spoilt;
	}
	pthread_mutex_unlock(&handouts->lock);
	return same;
}

bool handouts_unuse(struct handouts *handouts, const struct object_id *id, uint64_t ticket)
{
	struct handout *handout;
	bool current;

	pthread_mutex_lock(&handouts->lock);
	handout = find_locked(handouts, id);
	current = handout && handout->ticket == ticket;
	if (current) {
		CHECK(handout->users > 0);
		if (--handout->users == 0)
			TAILQ_REMOVE(&handouts->used, handout, link);
		current = handouts->allowed;
	}
	pthread_mutex_unlock(&handouts->lock);
	return current;
}

bool handouts_in_use(struct handouts *handouts, const struct object_id *id)
{
	const struct handout *handout;
	bool used;

	pthread_mutex_lock(&handouts->lock);
	handout = find_locked(handouts, id);
	used = handout && handout->users > 0;
	pthread_mutex_unlock(&handouts->lock);
	return used;
}

unsigned handouts_datasets(struct handouts *handouts, uint32_t *out, unsigned max)
{
	const struct handout *handout;
	unsigned count = 0;

	pthread_mutex_lock(&handouts->lock);
	TAILQ_FOREACH (handout, &handouts->used, link) {
		unsigned i = 0;

		while (i < count && out[i] != handout->dataset)
			i++;
		if (i == max)
			break;
		out[i] = handout->dataset;
		count += i == count;
	}
	pthread_mutex_unlock(&handouts->lock);
	return count;
}

void handouts_forget(struct handouts *handouts, const struct object_id *id)
{
	struct handout *handout;

	pthread_mutex_lock(&handouts->lock);
	handout = find_locked(handouts, id);
	if (handout)
		remove_locked(handouts, handout);
	pthread_mutex_unlock(&handouts->lock);
}

void handouts_spoil(struct handouts *handouts, const struct object_id *id)
{
	handouts_forget(handouts, id);
	pthread_mutex_lock(&handouts->lock);
	handouts->spoilt++;
	pthread_mutex_unlock(&handouts->lock);
}

uint64_t handouts_spoilt(struct handouts *handouts)
{
	uint64_t spoilt;

	pthread_mutex_lock(&handouts->lock);
	spoilt = handouts->spoilt;
	pthread_mutex_unlock(&handouts->lock);
	return spoilt;
}

uint64_t handouts_lost(struct handouts *handouts)
{
	uint64_t lost;

	pthread_mutex_lock(&handouts->lock);
	lost = handouts->lost;
	pthread_mutex_unlock(&handouts->lock);
	return lost;
}

bool handouts_next(struct handouts *handouts, struct object_id *out_id)
{
	struct handout *handout;

	pthread_mutex_lock(&handouts->lock);
	handout = TAILQ_FIRST(&handouts->queue);
	if (handout) {
		TAILQ_REMOVE(&handouts->queue, handout, link);
		handouts->queued--;
		handout->state = HANDOUT_VERIFYING;
		*out_id = handout->id;
	}
	pthread_mutex_unlock(&handouts->lock);
	return handout != NULL;
}

bool handouts_verified(struct handouts *handouts, const struct object_id *id, bool ok)
{
	struct handout *handout;
	bool verified = false;

	pthread_mutex_lock(&handouts->lock);
	handout = find_locked(handouts, id);
	/* Forgotten and queued anew meanwhile: that one is still to come. */
	if (handout && handout->state == HANDOUT_VERIFYING) {
		if (ok) {
			handout->state = HANDOUT_VERIFIED;
			handout->ticket = handouts->next_ticket++;
			handouts->verified++;
			verified = true;
		} else {
			remove_locked(handouts, handout);
		}
	}
	pthread_mutex_unlock(&handouts->lock);
	return verified;
}
