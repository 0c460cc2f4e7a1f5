/*
 * owner_units.c - the units that are asked for or held. Several leases of one unit hold one frame,
 * so its bytes count once; and how many read it at once tells whether it is hot.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/check.h"
#include "cache/peer/owner_inside.h"

#define FRAME_LEN_MIN 4096u

struct unit *owner_unit_find(const struct owner *owner, const struct window_key *key)
{
	struct unit *unit;

	HASH_FIND(by_key, owner->units, key, sizeof(*key), unit);
	return unit;
}

/* The window's frames are powers of two. */
static uint32_t frame_len_of(uint32_t len)
{
	return len <= FRAME_LEN_MIN ? FRAME_LEN_MIN : 1u << (32 - __builtin_clz(len - 1));
}

static struct unit *make(struct owner *owner, const struct window_key *key, uint32_t len)
{
	struct unit *unit = calloc(1, sizeof(*unit));

	if (!unit)
		return NULL;
	unit->key = *key;
	unit->frame_len = frame_len_of(len);
	TAILQ_INIT(&unit->requests);
	HASH_ADD(by_key, owner->units, key, sizeof(unit->key), unit);
	if (!unit->by_key.tbl) {
		free(unit);
		return NULL;
	}
	return unit;
}

bool owner_unit_is_read_by(const struct unit *unit, const struct asker *asker)
{
	const struct request *request;

	TAILQ_FOREACH (request, &unit->requests, by_unit)
		if (request->asker == asker)
			return true;
	return false;
}

int owner_unit_join(struct request *request, const struct window_key *key)
{
	struct unit *unit = owner_unit_find(request->owner, key);

	if (!unit)
		unit = make(request->owner, key, request->len);
	if (!unit)
		return -ENOMEM;
	unit->readers += !owner_unit_is_read_by(unit, request->asker);
	TAILQ_INSERT_TAIL(&unit->requests, request, by_unit);
	unit->users++;
	request->unit = unit;
	return 0;
}

void owner_unit_part(struct request *request)
{
	struct unit *unit = request->unit;

	TAILQ_REMOVE(&unit->requests, request, by_unit);
	unit->readers -= !owner_unit_is_read_by(unit, request->asker);
}

void owner_unit_leave(struct request *request)
{
	struct unit *unit = request->unit;

	request->unit = NULL;
	if (--unit->users)
		return;
	CHECK(!unit->readers && !unit->leases);
	HASH_DELETE(by_key, request->owner->units, unit);
	free(unit);
}
