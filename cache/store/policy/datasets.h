/*
 * datasets.h - what eviction knows of the datasets in one cache directory. At most DATASETS_MAX of
 * them are told apart; those beyond share number 0. Numbers are kept in the index, so they survive
 * a restart. A dataset is found by a hash of its name: two that collide are treated as one, which
 * costs a little justice and nothing else.
 *
 * Threads: none of its own; the caller locks.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define DATASETS_MAX   65536
#define DATASET_SHARED 0

struct dataset {
	uint64_t name_hash;	  /* 0: number not in use */
	uint64_t bytes;		  /* that its files and segments take */
	uint64_t access;	  /* order of last accesses: later is greater */
	uint64_t refused;	  /* bytes of it that were not admitted */
	uint64_t others_refused;  /* what others had been refused at its last access */
	uint32_t replica_segment; /* the last one that replicas were appended to; 0: none since the
				     start. For placed objects the index knows. */
};

struct datasets {
	struct dataset *items; /* by number; the first is the shared one */
	uint32_t *table;       /* by hash: a number, or 0; a power of two, at most half full */
	unsigned count, size, table_size;
	uint64_t access;  /* of the last access of all */
	uint64_t refused; /* bytes, all datasets */
};

/** datasets_init() - Return: 0 or -ENOMEM. */
int datasets_init(struct datasets *datasets);
void datasets_fini(struct datasets *datasets);

/** datasets_load() - a dataset that the index names. Return: 0 or -ENOMEM. */
int datasets_load(struct datasets *datasets, uint32_t number, const char *name, size_t name_len,
		  uint64_t bytes, uint64_t access);

/** datasets_number() - the number of dataset @name, a new one if need be. */
uint32_t datasets_number(struct datasets *datasets, const char *name);

/** datasets_find() - the number of @name, or DATASET_SHARED when it has none of its own. */
uint32_t datasets_find(const struct datasets *datasets, const char *name);

/** datasets_touch() - it was accessed. */
void datasets_touch(struct datasets *datasets, uint32_t number);

/** datasets_refuse() - @bytes of it were not admitted. */
void datasets_refuse(struct datasets *datasets, uint32_t number, uint64_t bytes);

/** datasets_add() - its files grew or shrank by @bytes. */
void datasets_add(struct datasets *datasets, uint32_t number, int64_t bytes);

/** datasets_refused_since() - bytes that others were refused since its last access. */
uint64_t datasets_refused_since(const struct datasets *datasets, uint32_t number);

/** datasets_replica_segment() - @segment is where its next replicas go. */
void datasets_replica_segment(struct datasets *datasets, uint32_t number, uint32_t segment);

/** datasets_get() - by number; one that is not known is the shared one. */
const struct dataset *datasets_get(const struct datasets *datasets, uint32_t number);
