/*
 * neighbours.c - found by id, and by address so that no two have one. The transport knows a
 * connection by its address alone: two members there would share it, and take each other's answers.
 */
#include "cache/peer/neighbours.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* An element that finds no memory for the table is not added, and its table stays NULL. */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "base/check.h"
#include "base/log.h"

struct entry {
	struct neighbour neighbour;
	char address_text[ADDRESS_TEXT_MAX]; /* key of by_address, where it is while it has one */
	UT_hash_handle by_id, by_address;
};

struct neighbours {
	struct neighbours_setup setup;
	struct neighbours_watcher watcher;
	struct entry *by_id, *by_address;
	unsigned leaving; /* how many do */
	bool stopped;
};

static struct entry *entry_of(struct neighbour *neighbour)
{
	return CONTAINER_OF(neighbour, struct entry, neighbour);
}

int neighbours_create(const struct neighbours_setup *setup, struct neighbours **out_neighbours)
{
	struct neighbours *neighbours = calloc(1, sizeof(*neighbours));

	if (!neighbours)
		return -ENOMEM;
	neighbours->setup = *setup;
	*out_neighbours = neighbours;
	return 0;
}

void neighbours_watch(struct neighbours *neighbours, const struct neighbours_watcher *watcher)
{
	neighbours->watcher = watcher ? *watcher : (struct neighbours_watcher){ 0 };
}

static void tell_hopeful(struct neighbours *neighbours, struct neighbour *neighbour)
{
	if (neighbours->watcher.hopeful)
		neighbours->watcher.hopeful(neighbours->watcher.context, neighbour);
}

static void give_up(struct neighbours *neighbours, struct neighbour *neighbour)
{
	neighbour->shape_known = neighbour->connected = false;
	if (neighbours->watcher.given_up)
		neighbours->watcher.given_up(neighbours->watcher.context, neighbour);
	if (!neighbour->peer)
		return;
	transport_peer_set_context(neighbour->peer, NULL);
	transport_peer_put(neighbour->peer);
	neighbour->peer = NULL;
}

static void close_breaker(struct neighbours *neighbours, struct neighbour *neighbour)
{
	neighbour->failures = 0;
	if (!neighbour->open)
		return;
	neighbour->open = false;
	counter_sub(neighbours->setup.counters, PEERS_BREAKERS_OPEN, 1);
}

static void leave_address(struct neighbours *neighbours, struct entry *entry)
{
	if (!address_len(&entry->neighbour.address))
		return;
	HASH_DELETE(by_address, neighbours->by_address, entry);
	entry->neighbour.address = (struct address){ 0 };
}

static void set_leaving(struct neighbours *neighbours, struct neighbour *neighbour, uint64_t weight)
{
	neighbours->leaving -= neighbour->leaving > 0;
	neighbours->leaving += weight > 0;
	neighbour->leaving = weight;
}

static void free_entry(struct neighbours *neighbours, struct entry *entry)
{
	set_leaving(neighbours, &entry->neighbour, 0);
	close_breaker(neighbours, &entry->neighbour);
	leave_address(neighbours, entry);
	HASH_DELETE(by_id, neighbours->by_id, entry);
	free(entry);
}

void neighbours_stop(struct neighbours *neighbours)
{
	struct entry *entry = neighbours->by_id;

	if (neighbours->stopped)
		return;
	neighbours->stopped = true;
	for (; entry; entry = entry->by_id.next)
		give_up(neighbours, &entry->neighbour);
}

void neighbours_destroy(struct neighbours *neighbours)
{
	if (!neighbours)
		return;
	neighbours_stop(neighbours);
	while (neighbours->by_id)
		free_entry(neighbours, neighbours->by_id);
	free(neighbours);
}

bool neighbours_any(const struct neighbours *neighbours)
{
	return neighbours->by_id;
}

struct neighbour *neighbours_find(struct neighbours *neighbours, const struct member_id *id)
{
	struct entry *entry;

	HASH_FIND(by_id, neighbours->by_id, id, sizeof(*id), entry);
	return entry ? &entry->neighbour : NULL;
}

static struct neighbour *add(struct neighbours *neighbours, const struct member_id *id)
{
	struct entry *entry = calloc(1, sizeof(*entry));

	if (!entry)
		return NULL;
	entry->neighbour.id = *id;
	HASH_ADD(by_id, neighbours->by_id, neighbour.id, sizeof(entry->neighbour.id), entry);
	if (!entry->by_id.tbl) {
		free(entry);
		return NULL;
	}
	return &entry->neighbour;
}

/* Whoever was there is somewhere else by now, and we shall hear where. */
static void displace(struct neighbours *neighbours, const char *text)
{
	struct entry *entry;

	HASH_FIND(by_address, neighbours->by_address, text, strlen(text), entry);
	if (!entry)
		return;
	log_info("peers.displaced", "address=%s", text);
	give_up(neighbours, &entry->neighbour);
	leave_address(neighbours, entry);
}

static int move_to(struct neighbours *neighbours, struct entry *entry,
		   const struct address *address)
{
	char text[ADDRESS_TEXT_MAX];

	give_up(neighbours, &entry->neighbour);
	leave_address(neighbours, entry);
	if (!address_len(address))
		return 0;
	address_text(address, text);
	displace(neighbours, text);
	memcpy(entry->address_text, text, sizeof(text));
	HASH_ADD_KEYPTR(by_address, neighbours->by_address, entry->address_text,
			strlen(entry->address_text), entry);
	if (!entry->by_address.tbl)
		return -ENOMEM;
	entry->neighbour.address = *address;
	return 0;
}

static bool is_at(const struct neighbour *neighbour, const struct address *address)
{
	if (!address_len(address) || !address_len(&neighbour->address))
		return !address_len(address) && !address_len(&neighbour->address);
	return address_equal(&neighbour->address, address);
}

int neighbours_update(struct neighbours *neighbours, const struct member_id *id,
		      const struct address *address)
{
	struct neighbour *neighbour = neighbours_find(neighbours, id);
	int error = 0;

	if (!neighbour)
		neighbour = add(neighbours, id);
	if (!neighbour)
		return -ENOMEM;
	if (!is_at(neighbour, address)) {
		error = move_to(neighbours, entry_of(neighbour), address);
		close_breaker(neighbours, neighbour); /* what failed was elsewhere */
	}
	if (!error)
		tell_hopeful(neighbours, neighbour);
	return error;
}

void neighbours_remove(struct neighbours *neighbours, const struct member_id *id)
{
	struct neighbour *neighbour = neighbours_find(neighbours, id);

	if (!neighbour)
		return;
	give_up(neighbours, neighbour);
	free_entry(neighbours, entry_of(neighbour));
}

void neighbours_restarting(struct neighbours *neighbours, const struct member_id *id,
			   uint64_t until_ns)
{
	struct neighbour *neighbour = neighbours_find(neighbours, id);

	if (!neighbour || neighbour->restarting_ns == until_ns)
		return;
	neighbour->restarting_ns = until_ns;
	close_breaker(neighbours, neighbour);
	/* it is back: the transport's pause after the failures of meanwhile, which grows to many
	   seconds, is not for it */
	if (!until_ns && neighbour->peer && transport_peer_retry_ns(neighbour->peer))
		give_up(neighbours, neighbour);
	tell_hopeful(neighbours, neighbour);
}

void neighbours_leaving(struct neighbours *neighbours, const struct member_id *id, uint64_t weight)
{
	struct neighbour *neighbour = neighbours_find(neighbours, id);

	if (neighbour)
		set_leaving(neighbours, neighbour, weight);
}

unsigned neighbours_leaving_list(const struct neighbours *neighbours,
				 struct placement_member out[NEIGHBOURS_LEAVING_MAX])
{
	const struct entry *entry = neighbours->leaving ? neighbours->by_id : NULL;
	unsigned count = 0;

	for (; entry && count < NEIGHBOURS_LEAVING_MAX; entry = entry->by_id.next) {
		if (!entry->neighbour.leaving)
			continue;
		out[count++] = (struct placement_member){
			.id = entry->neighbour.id,
			.weight = entry->neighbour.leaving,
		};
	}
	return count;
}

static bool has_peer(struct neighbours *neighbours, struct neighbour *neighbour)
{
	if (neighbour->peer)
		return true;
	if (transport_peer_get(neighbours->setup.transport, &neighbour->address, &neighbour->id,
			       &neighbour->peer)) {
		neighbour->peer = NULL;
		return false;
	}
	transport_peer_set_context(neighbour->peer, neighbour);
	return true;
}

bool neighbour_usable(struct neighbours *neighbours, struct neighbour *neighbour, uint64_t now_ns)
{
	if (neighbours->stopped || !address_len(&neighbour->address))
		return false;
	if (neighbour->open && now_ns < neighbour->probe_ns)
		return false;
	if (!has_peer(neighbours, neighbour))
		return false;
	if (neighbour->open)
		neighbour->probe_ns =
			clock_after_ns(now_ns, neighbours->setup.config->breaker_probe);
	return true;
}

void neighbour_answered(struct neighbours *neighbours, struct neighbour *neighbour)
{
	close_breaker(neighbours, neighbour);
}

void neighbour_failed(struct neighbours *neighbours, struct neighbour *neighbour, uint64_t now_ns,
		      const char *why)
{
	const struct peers_config *config = neighbours->setup.config;

	if (neighbour_is_restarting(neighbour, now_ns))
		return;
	neighbour->failures++;
	if (neighbour->failures >= (unsigned)config->breaker_failures) {
		if (!neighbour->open)
			counter_add(neighbours->setup.counters, PEERS_BREAKERS_OPEN, 1);
		neighbour->open = true;
		neighbour->probe_ns = clock_after_ns(now_ns, config->breaker_probe);
	}
	if (neighbours->setup.evidence)
		neighbours->setup.evidence(neighbours->setup.context, &neighbour->id, why);
}
