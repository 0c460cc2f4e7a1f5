/*
 * evict.h - a batch of victims, between those who pick them (evict.c, replicas/) and their
 * removal: each is held from the moment it is added, so that nobody writes it.
 *
 * Threads: the keeper's alone.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/random.h"
#include "cache/store/contents.h"
#include "cache/store/directory.h"

#define EVICT_VICTIMS_MAX 64
#define EVICT_RECORDS_MAX 4096 /* removed by one transaction */

struct evict_victim {
	bool is_segment;
	bool held;
	bool out; /* of the index */
	bool gone;
	uint32_t segment;
	struct object_id id; /* a segment's as a member */
	uint64_t bytes;
	/* the list it was found in, cleaned even when it names something that is no longer there */
	enum index_member list;
	uint32_t list_number;
};

struct evict_batch {
	struct directory *directory;
	struct random random;
	struct policy_victim who;
	uint64_t wanted, found; /* bytes */
	unsigned count;
	struct evict_victim victims[EVICT_VICTIMS_MAX];
	unsigned replica_blocks; /* that go with the victims; 0: they are not gone for being
				    replicas */
	struct contents contents;
};

/** evict_full() - no more victims are wanted, or fit. */
bool evict_full(const struct evict_batch *batch);

/** evict_add() - Return: false when it is full, has it already, or the victim is being written. */
bool evict_add(struct evict_batch *batch, const struct evict_victim *victim);

/** evict_undo() - lets the last one go. */
void evict_undo(struct evict_batch *batch);

/** evict_account() - what a transaction gave back is free now. */
void evict_account(struct directory *directory, const struct contents *contents, bool replicas);
