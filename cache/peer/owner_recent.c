/*
 * owner_recent.c - who read a unit lately, and so has it in its window: whom further readers are
 * referred to when too many read it here. A table of fixed size; the unit that was not used for
 * longest gives way, and of a unit's holders the one that was not seen for longest.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/check.h"
#include "cache/peer/owner_inside.h"

int owner_recent_init(struct owner *owner)
{
	owner->recents = calloc(OWNER_RECENT_UNITS_MAX, sizeof(*owner->recents));
	if (!owner->recents)
		return -ENOMEM;
	TAILQ_INIT(&owner->recent_uses);
	for (unsigned i = 0; i < OWNER_RECENT_UNITS_MAX; i++)
		TAILQ_INSERT_TAIL(&owner->recent_uses, &owner->recents[i], by_use);
	return 0;
}

void owner_recent_fini(struct owner *owner)
{
	HASH_CLEAR(by_key, owner->recent_units);
	free(owner->recents);
}

static struct recent *find(struct owner *owner, const struct window_key *key)
{
	struct recent *recent;

	HASH_FIND(by_key, owner->recent_units, key, sizeof(*key), recent);
	if (!recent)
		return NULL;
	TAILQ_REMOVE(&owner->recent_uses, recent, by_use);
	TAILQ_INSERT_HEAD(&owner->recent_uses, recent, by_use);
	return recent;
}

/* Return: NULL without memory for the hash. */
static struct recent *replace_last(struct owner *owner, const struct window_key *key)
{
	struct recent *recent = TAILQ_LAST(&owner->recent_uses, recent_list);

	if (recent->by_key.tbl)
		HASH_DELETE(by_key, owner->recent_units, recent);
	recent->by_key.tbl = NULL;
	recent->key = *key;
	recent->count = 0;
	HASH_ADD(by_key, owner->recent_units, key, sizeof(recent->key), recent);
	if (!recent->by_key.tbl)
		return NULL;
	TAILQ_REMOVE(&owner->recent_uses, recent, by_use);
	TAILQ_INSERT_HEAD(&owner->recent_uses, recent, by_use);
	return recent;
}

static void remove_holder(struct recent *recent, unsigned index)
{
	recent->holders[index] = recent->holders[--recent->count];
}

static struct holder *find_holder(struct recent *recent, const struct member_id *member)
{
	for (unsigned i = 0; i < recent->count; i++)
		if (member_id_equal(&recent->holders[i].member, member))
			return &recent->holders[i];
	return NULL;
}

/* Room for one more. The new one takes over how often the others were named, or it would be named
   alone until it has caught up. */
static struct holder *add_holder(struct recent *recent)
{
	unsigned oldest = 0, given = 0;

	for (unsigned i = 0; i < recent->count; i++) {
		if (recent->holders[i].seen_ns < recent->holders[oldest].seen_ns)
			oldest = i;
		if (!i || recent->holders[i].given < given)
			given = recent->holders[i].given;
	}
	if (recent->count == OWNER_RECENT_MAX)
		remove_holder(recent, oldest);
	recent->holders[recent->count].given = given;
	return &recent->holders[recent->count++];
}

void owner_recent_put(struct owner *owner, const struct window_key *key,
		      const struct member_id *member)
{
	struct recent *recent = find(owner, key);
	struct holder *holder;

	if (!recent)
		recent = replace_last(owner, key);
	if (!recent)
		return;
	holder = find_holder(recent, member);
	if (!holder)
		holder = add_holder(recent);
	holder->member = *member;
	holder->seen_ns = owner_now(owner);
}

static void expire(struct recent *recent, uint64_t now_ns)
{
	for (unsigned i = recent->count; i-- > 0;)
		if (now_ns - recent->holders[i].seen_ns > OWNER_RECENT_NS)
			remove_holder(recent, i);
}

/* The one that was named least, but for @asker and those in @taken (bits). */
static int least_given(const struct recent *recent, const struct member_id *asker, unsigned taken)
{
	int least = -1;

	for (unsigned i = 0; i < recent->count; i++) {
		const struct holder *holder = &recent->holders[i];

		if (taken & 1u << i || member_id_equal(&holder->member, asker))
			continue;
		if (least < 0 || holder->given < recent->holders[least].given)
			least = (int)i;
	}
	return least;
}

unsigned owner_recent_pick(struct owner *owner, const struct window_key *key,
			   const struct member_id *asker,
			   struct member_id out_holders[PEER_HOLDERS_MAX])
{
	struct recent *recent = find(owner, key);
	unsigned count = 0, taken = 0;
	int index;

	if (!recent)
		return 0;
	expire(recent, owner_now(owner));
	while (count < PEER_HOLDERS_MAX && (index = least_given(recent, asker, taken)) >= 0) {
		taken |= 1u << index;
		/* the first is likely to be asked first, so it counts most */
		recent->holders[index].given += PEER_HOLDERS_MAX - count;
		out_holders[count++] = recent->holders[index].member;
	}
	return count;
}

void owner_recent_forget(struct owner *owner, const struct member_id *member)
{
	for (unsigned i = 0; i < OWNER_RECENT_UNITS_MAX; i++) {
		struct holder *holder = find_holder(&owner->recents[i], member);

		if (holder)
			remove_holder(&owner->recents[i],
				      (unsigned)(holder - owner->recents[i].holders));
	}
}
