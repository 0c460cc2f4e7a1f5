/*
 * take.h - taking over blocks of a member that leaves: the answer to INQUIRE TAKE (inquiry.h).
 *
 * A few blocks at a time are brought into the window as for a peer (cache/stage.h) - from this
 * node's SSD, from who leaves and who owned them before, from the backing store at last - and held
 * there until they are on the SSD or it does not take them.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "cache/cache.h"
#include "cache/object.h"
#include "cache/peer/wire.h"
#include "fabric/identity.h"

#define TAKE_STAGES_MAX 4 /* blocks of one call under way */

/* What it works with. */
struct take {
	struct cache *cache;
	const struct clock *clock;
	void *context;
	/* Whether this node owns a block: peers_owns(). */
	bool (*owns)(void *context, const struct object_id *id, uint64_t block);
};

/**
 * take_run() - brings the blocks that @asked wants to this node's SSD, and looks which are there in
 * the end. A block that another member owns is left alone; who leaves may have seen the new
 * placement before we did, so that is waited for, some seconds.
 * @asked: a TAKE. @from: who asks; for the log. @stopping: set by any thread: give up.
 * @out: also tells of what is there when not all is.
 * Return: 0, or, when none of the blocks is there and it was not for lack of room, why:
 *   -ECANCELED @stopping, or the cache stops; -ENODEV no backing store of that id; -EINVAL no such
 *   blocks; -ENOMEM; -ETIMEDOUT @deadline_ns; or what the backing store said.
 * Threads: any; blocks until then.
 */
int take_run(const struct take *take, const struct peer_inquire *asked,
	     const struct member_id *from, uint64_t deadline_ns, const atomic_bool *stopping,
	     struct peer_taken *out);
