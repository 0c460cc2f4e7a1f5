/*
 * fetch.h - fetching the pages of a listing.
 */
#pragma once

#include "fuse/namespace/listing.h"

/** listing_continue() - decides what is fetched next: what readers wait for, or will soon. With the
 *  namespace's lock held; the fetch is in @todo. */
void listing_continue(struct namespace *ns, struct listing *listing, struct todo *todo);

/** listing_fetch() - starts the fetch that listing_continue() decided on. Without the lock. */
void listing_fetch(struct namespace *ns, struct listing *listing);
