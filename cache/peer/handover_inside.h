/*
 * handover_inside.h - what handover.c (what there is, and whose) shares with handover_ask.c (the
 * TAKEs under way).
 */
#pragma once

#include <pthread.h>

#include "cache/peer/handover.h"

#define HANDOVER_SILENT_MAX 64 /* owners that are left alone for the rest of a pass */

/* A TAKE. */
struct handover_ask {
	struct handover *handover;
	bool used;
	bool answered; /* guarded by lock: done() has run */
	struct peers_inquiry inquiry;
	char *texts; /* of its object */
};

struct handover {
	struct handover_setup setup;
	struct store_page *page;
	struct peers_handover now; /* of this pass, but for what is counted over all */
	uint64_t best_bytes,
		best_ns; /* with their owners: the most that a pass saw, and since when */
	uint64_t heard_ns, told_ns; /* when an owner last answered; when tell() was called */
	struct member_id silent[HANDOVER_SILENT_MAX];
	unsigned silent_count;
	int error;    /* why it ends early */
	bool damaged; /* a directory could not be read */
	struct handover_ask asks[HANDOVER_ASKS_MAX];
	pthread_mutex_t lock;
	pthread_cond_t changed; /* some ask is answered */
};

static inline uint64_t handover_now(const struct handover *handover)
{
	return clock_now_ns(handover->setup.clock);
}

/** handover_len() - bytes of the blocks @first + i of an object of @size, i being @bits. */
uint64_t handover_len(const struct handover *handover, uint64_t size, uint64_t first,
		      uint64_t bits);

/** handover_tell() - if that is due. Return: whether to go on. */
bool handover_tell(struct handover *handover);

/* handover_ask.c */

/**
 * handover_ask() - has @owner take blocks, when few enough are under way; waits for that.
 * @bits: not 0.
 */
void handover_ask(struct handover *handover, const struct member_id *owner,
		  const struct store_object *object, uint64_t first, uint64_t bits);

/** handover_asks_end() - waits until all are answered. */
void handover_asks_end(struct handover *handover);
