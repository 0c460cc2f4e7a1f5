/*
 * lookup.h - names asked of the backing store one by one. With the namespace's lock held, unless
 * said otherwise.
 */
#pragma once

#include "fuse/namespace/inside.h"

#define LOOKUP_FLIGHTS_MAX 256 /* names under way; more wait their turn */
#define LOOKUP_SINGLES_MAX 16  /* names of one directory, before it is listed in the background */

/** lookup_begin() - what a name is. Return: 1 answered; 0 waits: flights are in @todo. */
int lookup_begin(struct namespace *ns, struct namespace_lookup *lookup, struct todo *todo);

/** lookup_cancel() - see namespace_lookup_cancel(). */
void lookup_cancel(struct namespace_lookup *lookup, struct todo *todo);

/** flight_start() - asks the backing store. Without the lock. */
void flight_start(struct namespace *ns, struct flight *flight);

/** flight_take() - the first of a list, or NULL. */
struct flight *flight_take(struct flight_list *list);
