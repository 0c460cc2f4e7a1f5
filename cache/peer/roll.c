/*
 * roll.c - looks at the members: each member's entry lives from the first look that it is in to the
 * first that it is not in.
 *
 * Since when a member stores is by our own clock: when we first saw it do so. It survives what is
 * known to pass - a suspicion, an announced restart, the joining after it - and ends with a leave
 * or a death, after which nobody knows what is left on its SSD.
 *
 * So does its place: who stored and joins again is back after a restart, or its next worker is,
 * with the SSD that it had. Were its blocks placed elsewhere for that moment, they would be fetched
 * anew.
 */
#include "cache/peer/roll.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "base/clock.h"
#include "base/log.h"
#include "cache/peer/peers.h"

/* What neighbours are told about. */
struct news {
	struct address address; /* none: no neighbour */
	uint64_t restarting_ns;
	uint64_t leaving;
	uint64_t boot;
};

struct entry {
	struct member_id id;
	enum roll_role role;
	uint64_t weight;
	uint64_t storing_since_ns; /* 0: it does not */
	uint64_t look;		   /* the last one that it was in */
	uint64_t warned;	   /* of this configuration's digest; 0: not */
	bool warned_unreadable;
	struct news news, told;
	bool is_self;
	bool leaving; /* since the gossip said so, through suspicions, until it says otherwise */
	uint64_t joining_ns; /* since then, and it stored before; 0: not */
	UT_hash_handle by_id;
};

struct roll {
	struct entry *entries;
	uint64_t look; /* that is being taken, or was taken last */
	uint64_t next_ns;
	struct placement_member *stores;
	unsigned stores_room;
};

bool peers_member_address(const struct membership_member *member, struct address *out_address)
{
	const struct address *fabric = &member->details.fabric;
	struct address address = *fabric;

	if (address_len(fabric) == 0 || address_port(fabric) == 0)
		return false;
	if (address_is_any(fabric)) {
		address = member->gossip;
		/* who listens at every address of IPv4 does not at those of IPv6 */
		if (address_len(&address) == 0 || address_is_any(&address) ||
		    (fabric->storage.ss_family == AF_INET && address.storage.ss_family != AF_INET))
			return false;
		address_set_port(&address, address_port(fabric));
	}
	*out_address = address;
	return true;
}

static bool is_of_our_kind(const struct membership_member *self,
			   const struct membership_member *member)
{
	return self->details.config && member->details.config == self->details.config;
}

static bool is_of_our_site(const struct membership_member *self,
			   const struct membership_member *member)
{
	return strcmp(member->details.site, self->details.site) == 0;
}

static enum roll_role role_of_state(const struct membership_member *member, uint64_t now_ns)
{
	switch (member->state) {
	case MEMBERSHIP_ALIVE:
	case MEMBERSHIP_SUSPECT:
		return ROLL_STORES;
	case MEMBERSHIP_RESTARTING:
		return now_ns < member->until_ns ? ROLL_STORES : ROLL_NEIGHBOUR;
	case MEMBERSHIP_JOINING:
	case MEMBERSHIP_LEAVING:
		return ROLL_NEIGHBOUR;
	case MEMBERSHIP_DEAD:
	case MEMBERSHIP_LEFT:
	case MEMBERSHIP_STATE_COUNT:
		break;
	}
	return ROLL_STRANGER;
}

enum roll_role roll_role(const struct membership_member *self,
			 const struct membership_member *member, uint64_t now_ns)
{
	enum roll_role role = role_of_state(member, now_ns);
	struct address address;

	if (!is_of_our_site(self, member) || !is_of_our_kind(self, member) ||
	    !peers_member_address(member, &address))
		return ROLL_STRANGER;
	if (role == ROLL_STORES && member->details.capacity == 0)
		return ROLL_NEIGHBOUR;
	return role;
}

int roll_create(struct roll **out_roll)
{
	struct roll *roll = calloc(1, sizeof(*roll));

	if (!roll)
		return -ENOMEM;
	roll->next_ns = CLOCK_NEVER;
	*out_roll = roll;
	return 0;
}

static void entry_free(struct roll *roll, struct entry *entry)
{
	HASH_DELETE(by_id, roll->entries, entry);
	free(entry);
}

void roll_destroy(struct roll *roll)
{
	struct entry *entry, *next;

	if (!roll)
		return;
	for (entry = roll->entries; entry; entry = next) {
		next = entry->by_id.next;
		entry_free(roll, entry);
	}
	free(roll->stores);
	free(roll);
}

void roll_begin(struct roll *roll)
{
	roll->look++;
	roll->next_ns = CLOCK_NEVER;
}

static struct entry *entry_get(struct roll *roll, const struct member_id *id)
{
	struct entry *entry;

	HASH_FIND(by_id, roll->entries, id, sizeof(*id), entry);
	if (entry)
		return entry;
	entry = calloc(1, sizeof(*entry));
	if (!entry)
		return NULL;
	entry->id = *id;
	HASH_ADD(by_id, roll->entries, id, sizeof(entry->id), entry);
	if (!entry->by_id.tbl) {
		free(entry);
		return NULL;
	}
	return entry;
}

/* Since it began or came back: what it had before may be lost. */
static void since_note(struct entry *entry, uint64_t now_ns)
{
	if (entry->role == ROLL_STRANGER || entry->leaving)
		entry->storing_since_ns = 0;
	else if (entry->role == ROLL_STORES && !entry->storing_since_ns)
		entry->storing_since_ns = now_ns ? now_ns : 1;
}

/* It keeps its place, but not for as long as it likes to join. */
static void joining_note(struct roll *roll, struct entry *entry,
			 const struct membership_member *member, uint64_t now_ns)
{
	uint64_t until_ns;

	if (member->state != MEMBERSHIP_JOINING || entry->role != ROLL_NEIGHBOUR ||
	    !entry->storing_since_ns || !entry->weight) {
		entry->joining_ns = 0;
		return;
	}
	if (!entry->joining_ns)
		entry->joining_ns = now_ns ? now_ns : 1;
	until_ns = clock_after_ns(entry->joining_ns, ROLL_JOINING_NS);
	if (now_ns >= until_ns)
		return;
	entry->role = ROLL_STORES;
	if (until_ns < roll->next_ns)
		roll->next_ns = until_ns;
}

/* A suspicion hides what its member was doing. Were a leaving one to store again while it lasts,
 * its blocks would move back and forth. */
static void leaving_note(struct entry *entry, const struct membership_member *member)
{
	if (member->state != MEMBERSHIP_SUSPECT)
		entry->leaving = member->state == MEMBERSHIP_LEAVING;
	if (entry->leaving && entry->role == ROLL_STORES)
		entry->role = ROLL_NEIGHBOUR;
}

/* Somebody expects its disk to be used, and wonders. */
static void stranger_log(struct entry *entry, const struct membership_member *self,
			 const struct membership_member *member, uint64_t now_ns)
{
	if (is_of_our_kind(self, member) || !is_of_our_site(self, member) ||
	    role_of_state(member, now_ns) == ROLL_STRANGER ||
	    entry->warned == member->details.config)
		return;
	entry->warned = member->details.config;
	log_warning("peers.stranger",
		    "name=\"%s\" config=%016" PRIx64 " ours=%016" PRIx64
		    " effect=\"no blocks are shared with it\" todo=\"give it the same mount "
		    "entries, backing stores' ids and types, block_len and version\"",
		    member->details.name, member->details.config, self->details.config);
}

/* It listens at all addresses of IPv4, and its gossip is at one of IPv6. */
static void unreadable_log(struct entry *entry, const struct membership_member *self,
			   const struct membership_member *member)
{
	const struct address *gossip = &member->gossip;
	struct address address;

	if (!is_of_our_site(self, member) || !is_of_our_kind(self, member) ||
	    !address_is_any(&member->details.fabric) || address_len(gossip) == 0 ||
	    address_is_any(gossip) || peers_member_address(member, &address) ||
	    entry->warned_unreadable)
		return;
	entry->warned_unreadable = true;
	log_warning("peers.unreadable",
		    "name=\"%s\" problem=\"its fabric listens at IPv4 only, its gossip at IPv6\" "
		    "effect=\"no blocks are shared with it\" todo=\"set its fabric.listen to "
		    "[::], or to an address that others reach\"",
		    member->details.name);
}

int roll_take(struct roll *roll, const struct membership_member *self,
	      const struct membership_member *member, uint64_t now_ns)
{
	struct entry *entry = entry_get(roll, &member->id);

	if (!entry)
		return -ENOMEM;
	entry->look = roll->look;
	entry->is_self = member->is_self;
	entry->role = roll_role(self, member, now_ns);
	entry->weight = member->details.capacity;
	leaving_note(entry, member);
	joining_note(roll, entry, member, now_ns);
	since_note(entry, now_ns);
	entry->news = (struct news){ .boot = member->boot };
	if (entry->leaving && entry->role == ROLL_NEIGHBOUR)
		entry->news.leaving = entry->weight;
	if (member->state == MEMBERSHIP_RESTARTING)
		entry->news.restarting_ns = member->until_ns;
	if (entry->role != ROLL_STRANGER) {
		peers_member_address(member, &entry->news.address);
	} else {
		stranger_log(entry, self, member, now_ns);
		unreadable_log(entry, self, member);
	}
	if (entry->role == ROLL_STORES && member->state == MEMBERSHIP_RESTARTING &&
	    member->until_ns < roll->next_ns)
		roll->next_ns = member->until_ns;
	return 0;
}

static int entry_tell(struct entry *entry, roll_tell tell, void *context)
{
	struct news news = { 0 };
	int error;

	if (entry->role != ROLL_STRANGER && !entry->is_self)
		news = entry->news;
	if (address_equal(&news.address, &entry->told.address) && news.boot == entry->told.boot &&
	    news.restarting_ns == entry->told.restarting_ns && news.leaving == entry->told.leaving)
		return 0;
	error = tell(context, &entry->id, address_len(&news.address) > 0 ? &news.address : NULL,
		     news.restarting_ns, news.leaving);
	if (!error)
		entry->told = news;
	return error;
}

int roll_finish(struct roll *roll, roll_tell tell, void *context)
{
	struct entry *entry, *next;
	int result = 0;

	for (entry = roll->entries; entry; entry = next) {
		next = entry->by_id.next;
		int error;

		if (entry->look != roll->look) {
			entry->role = ROLL_STRANGER;
			entry->storing_since_ns = 0;
		}
		error = entry_tell(entry, tell, context);
		if (error)
			result = error;
		else if (entry->look != roll->look)
			entry_free(roll, entry);
	}
	return result;
}

const struct placement_member *roll_stores(struct roll *roll, unsigned *out_count)
{
	unsigned room = HASH_CNT(by_id, roll->entries) + 1, count = 0;
	const struct entry *entry;

	if (room > roll->stores_room) {
		struct placement_member *stores = reallocarray(roll->stores, room, sizeof(*stores));

		if (!stores)
			return NULL;
		roll->stores = stores;
		roll->stores_room = room;
	}
	for (entry = roll->entries; entry; entry = entry->by_id.next) {
		if (entry->role != ROLL_STORES)
			continue;
		roll->stores[count++] = (struct placement_member){
			.id = entry->id,
			.weight = entry->weight,
			.storing_since_ns = entry->storing_since_ns,
		};
	}
	*out_count = count;
	return roll->stores;
}

uint64_t roll_next_ns(const struct roll *roll)
{
	return roll->next_ns;
}
