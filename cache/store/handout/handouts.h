/*
 * handouts.h - which object files of a directory were verified whole, and may be handed out: given
 * to the kernel as open files, that it reads without asking us (passthrough).
 *
 *	nothing -> QUEUED	somebody wants it, or it has just become complete
 *	QUEUED -> VERIFYING	the verifier reads all of its granules by direct I/O
 *	VERIFYING -> VERIFIED	all matched: it may be handed out, until the daemon ends
 *	nothing -> VERIFIED	a worker of this daemon that has died had verified it, and the
 *				kernel has it open still (trust)
 *	any -> nothing		a granule did not match, a block of it goes, it is evicted
 *
 * In memory only: what was verified before the machine was last started says nothing of now. One
 * entry an object: those verified are in the index, those queued are HANDOUTS_QUEUED_MAX at most
 *(the verifier removes what is not complete).
 *
 * Threads: any; a lock of its own, under which nothing else is taken and nothing waits.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "cache/object.h"

struct handout;

TAILQ_HEAD(handout_queue, handout);

struct handouts {
	pthread_mutex_t lock;
	pthread_cond_t wake; /* the verifier: queued, allowed, a rate, the end */
	struct handout *table;
	struct handout_queue queue;
	struct handout_queue used; /* handed out now */
	uint64_t next_ticket;
	uint64_t spoilt;   /* counts what was found bad */
	uint64_t lost;	   /* ... and all that was verified and is no more, or not to be had */
	uint64_t verified; /* entries that are */
	uint64_t queued;
	uint64_t scrub_rate; /* bytes a second; 0: none */
	bool allowed;	     /* or nothing is queued, and nothing handed out */
	bool ending;
};

void handouts_init(struct handouts *handouts);
void handouts_fini(struct handouts *handouts);

/** handouts_allow() - whether files are wanted; not: the queue is emptied. */
void handouts_allow(struct handouts *handouts, bool allowed);
void handouts_set_rate(struct handouts *handouts, uint64_t bytes_per_second);
void handouts_end(struct handouts *handouts);

#define HANDOUTS_QUEUED_MAX 65536 /* more are not queued: the next open asks again */

/** handouts_ready() - whether @id is verified. If not, and files are allowed, it is queued for
 *  who wants it. */
bool handouts_ready(struct handouts *handouts, const struct object_id *id, bool want);

/** handouts_queue() - @id has become complete, perhaps. */
void handouts_queue(struct handouts *handouts, const struct object_id *id);

/** handouts_ticket() - the number of @id's verification; 0: it is not verified. */
uint64_t handouts_ticket(struct handouts *handouts, const struct object_id *id);

/** handouts_trust() - @id was verified, and handed out, by who held the directory before.
 *  Return: its ticket; 0: no memory, or it is being verified anew. */
uint64_t handouts_trust(struct handouts *handouts, const struct object_id *id);

/** handouts_use() / handouts_unuse() - it is handed out, and was given back. @dataset: its number.
 *  Return: false when @ticket is no longer its verification's; of unuse, also when files are no
 *  longer allowed. */
bool handouts_use(struct handouts *handouts, const struct object_id *id, uint64_t ticket,
		  uint32_t dataset);
bool handouts_unuse(struct handouts *handouts, const struct object_id *id, uint64_t ticket);

/** handouts_use_again() - of what was given back. @out_spoilt: as handouts_spoilt().
 *  Return: as unuse. */
bool handouts_use_again(struct handouts *handouts, const struct object_id *id, uint64_t ticket,
			uint64_t *out_spoilt);

/** handouts_in_use() - whether it is handed out now. */
bool handouts_in_use(struct handouts *handouts, const struct object_id *id);

/** handouts_datasets() - numbers of the datasets of what is handed out now, each once, at most
 * @max. Return: how many. */
unsigned handouts_datasets(struct handouts *handouts, uint32_t *out, unsigned max);

/** handouts_forget() - what is verified of @id holds no longer. */
void handouts_forget(struct handouts *handouts, const struct object_id *id);

/** handouts_spoil() - the same, because some of its bytes are bad. */
void handouts_spoil(struct handouts *handouts, const struct object_id *id);

/** handouts_spoilt() - how often that was, of all. */
uint64_t handouts_spoilt(struct handouts *handouts);

/** handouts_lost() - how often that was, for whatever reason, or none was allowed any more: as long
 *  as it stays the same, whoever has a ticket need not ask for it. */
uint64_t handouts_lost(struct handouts *handouts);

/** handouts_clear() - of all: the directory closes. */
void handouts_clear(struct handouts *handouts);

/** handouts_next() - for the verifier: the longest queued, which is VERIFYING then.
 *  Return: false when there is none. */
bool handouts_next(struct handouts *handouts, struct object_id *out_id);

/** handouts_verified() - how it went; not @ok: nothing is known of it any more.
 *  Return: whether it is verified now (it may have been forgotten meanwhile). */
bool handouts_verified(struct handouts *handouts, const struct object_id *id, bool ok);
