/*
 * catalog_porter.h - carries answers to those who asked: a thread of its own, as reading a page
 * entry by entry, and what the mount does with it, would hold up the thread that moves blocks.
 */
#pragma once

#include <sys/queue.h>

struct catalog_job {
	void (*run)(struct catalog_job *job); /* the last that is done with it */
	STAILQ_ENTRY(catalog_job) link;
};

STAILQ_HEAD(catalog_jobs, catalog_job);

/* Who carries: porter_carry(), or a test's. */
struct catalog_porter {
	void *context;
	void (*carry)(void *context, struct catalog_job *job); /* any thread; never blocks */
};

struct porter;

/** porter_create() - starts the thread. Return: 0, -ENOMEM, -EAGAIN. */
int porter_create(struct porter **out_porter);

/** porter_destroy() - runs what there is, and ends the thread. NULL is fine. */
void porter_destroy(struct porter *porter);

/** porter_carry() - runs @job on the porter's thread, one after the other in the order of calls.
 *  @context: the porter. Any thread. */
void porter_carry(void *context, struct catalog_job *job);
