/*
 * chores.h - what may block is done on a thread of its own: resolving names, syncing files. The
 * owner thread hands over a chore, its run() works over there, its done() comes back here.
 *
 * getaddrinfo(3) cannot be interrupted: chores_destroy() waits CHORES_GRACE_NS and then leaves the
 * one in hand behind, with all it needs, to end by itself.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#define CHORES_MAX	256 /* waiting */
#define CHORES_GRACE_NS UINT64_C(1000000000)

struct chores;

/* The first member of a chore's own struct, on the heap. It is the worker's until done(). */
struct chore {
	void (*run)(struct chore *chore); /* on the worker; touches nothing but the chore */
	void (*done)(struct chore *chore, void *owner); /* on the owner thread; frees it or keeps it
							 */
	void (*drop)(struct chore *chore); /* it will not be done: frees it; any thread */
	STAILQ_ENTRY(chore) link;
};

/**
 * chores_create() - @name of the thread. @wake: an eventfd that is written to when chores_reap()
 * has something to do; borrowed (a copy is kept). @to_the_end: chores_destroy() has what waits run
 * first, within its time: it is worth something although nobody will hear of it.
 * Return: 0, -ENOMEM, -EAGAIN, -EMFILE.
 */
int chores_create(const char *name, int wake, bool to_the_end, struct chores **out_chores);

/** chores_post() - @chore is taken. Return: 0; -EAGAIN (@chore is not taken): CHORES_MAX wait. */
int chores_post(struct chores *chores, struct chore *chore);

/** chores_reap() - calls done() of what has been run. */
void chores_reap(struct chores *chores, void *owner);

/** chores_destroy() - drops what waits and what was not reaped. NULL is fine. */
void chores_destroy(struct chores *chores);
