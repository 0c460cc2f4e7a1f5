/*
 * suspicion.c - members whose time is running out. A suspicion starts with the longest time and is
 * cut down by independent accusers: one that is slow itself accuses many, alone, and gives them
 * all the time to refute; one that is dead is soon accused by several.
 *
 * A refutation is a rumor, and few members miss any one rumor; but those would call the member dead
 * whom all others know to be alive. So in the second half of its time a suspect is asked for its
 * last word, directly: its answer brings the refutation. Only who missed it, or the dead, are ever
 * asked; they are asked by at most SWIM_ASKERS at a time.
 *
 * The earliest deadline is kept as a lower bound: beginning and confirming lower it, ending leaves
 * it. A look over the whole table happens only when it is reached, so none of the three costs more
 * for there being thousands, as when a network breaks in two.
 */
#include "fabric/gossip/swim/inside.h"

#include <stdlib.h>

#define CAPACITY_MIN 4

static uint64_t earliest(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

void swim_suspicions_init(struct swim *swim)
{
	swim->suspicions = (struct swim_suspicions){ .free = SWIM_NO_SLOT, .next = CLOCK_NEVER };
}

void swim_suspicions_fini(struct swim *swim)
{
	free(swim->suspicions.items);
}

const struct swim_suspicion *swim_suspicion_of(const struct swim *swim, uint32_t member)
{
	const struct swim_entry *entry = swim_entry(swim, member);

	return entry && entry->suspicion ? &swim->suspicions.items[entry->suspicion - 1] : NULL;
}

/* SWIM_NO_SLOT when there is none left. */
static uint16_t slot_take(struct swim_suspicions *all)
{
	uint16_t slot = all->free;

	if (slot != SWIM_NO_SLOT) {
		all->free = all->items[slot].next_free;
		return slot;
	}
	if (all->used == all->capacity) {
		uint32_t capacity = all->capacity ? 2 * all->capacity : CAPACITY_MIN;
		struct swim_suspicion *items;

		if (capacity > SWIM_SUSPICIONS_MAX)
			return SWIM_NO_SLOT;
		items = realloc(all->items, capacity * sizeof(*items));
		if (!items)
			return SWIM_NO_SLOT;
		all->items = items;
		all->capacity = capacity;
	}
	return (uint16_t)all->used++;
}

static uint64_t ask_interval(const struct swim *swim)
{
	return swim->config.probe_interval * (1 + swim_view_live(swim) / SWIM_ASKERS);
}

static void deadline_set(struct swim *swim, struct swim_suspicion *suspicion)
{
	struct swim_suspicions *all = &swim->suspicions;
	uint64_t lasts = swim_scale_confirmed(suspicion->shortest, suspicion->longest,
					      suspicion->accuser_count - 1U, suspicion->wanted);
	uint64_t ask = suspicion->started + lasts / 2;

	suspicion->deadline = suspicion->started + lasts;
	if (ask < swim_time(swim))
		ask = swim_time(swim);
	ask += random_below(swim->setup.random, ask_interval(swim));
	if (ask < suspicion->ask)
		suspicion->ask = ask;
	all->next = earliest(all->next, earliest(suspicion->deadline, suspicion->ask));
}

bool swim_suspicion_begin(struct swim *swim, uint32_t member, uint32_t accuser, enum swim_why why)
{
	const struct swim_config *config = &swim->config;
	struct swim_suspicions *all = &swim->suspicions;
	uint32_t members = swim_view_live(swim);
	uint16_t slot = slot_take(all);
	struct swim_suspicion *suspicion;
	bool witnesses;

	if (slot == SWIM_NO_SLOT) {
		swim->stats.suspicions_dropped++;
		return false;
	}
	suspicion = &all->items[slot];
	*suspicion = (struct swim_suspicion){
		.member = member,
		.accusers = { accuser },
		.accuser_count = 1,
		.why = (uint8_t)why,
		.started = swim_time(swim),
		.ask = CLOCK_NEVER,
		.shortest = swim_scale_suspicion((unsigned)config->suspicion_factor, members,
						 config->probe_interval),
	};
	suspicion->longest = suspicion->shortest * (uint64_t)config->suspicion_max_factor;
	/* with fewer than that who are neither the accused nor the accuser, none need be awaited */
	witnesses = members >= 2 + (uint64_t)config->suspicion_confirmations;
	suspicion->wanted = witnesses ? (uint8_t)config->suspicion_confirmations : 0;
	deadline_set(swim, suspicion);
	all->count++;
	swim_entry(swim, member)->suspicion = (uint16_t)(slot + 1);
	swim->stats.suspicions++;
	return true;
}

bool swim_suspicion_confirm(struct swim *swim, uint32_t member, uint32_t accuser)
{
	const struct swim_entry *entry = swim_entry(swim, member);
	struct swim_suspicion *suspicion = &swim->suspicions.items[entry->suspicion - 1];

	if (accuser == SWIM_NOBODY || accuser == member ||
	    suspicion->accuser_count > suspicion->wanted)
		return false;
	for (unsigned i = 0; i < suspicion->accuser_count; i++)
		if (suspicion->accusers[i] == accuser)
			return false;
	suspicion->accusers[suspicion->accuser_count++] = accuser;
	deadline_set(swim, suspicion);
	return true;
}

void swim_suspicion_end(struct swim *swim, uint32_t member)
{
	struct swim_suspicions *all = &swim->suspicions;
	struct swim_entry *entry = swim_entry(swim, member);
	uint16_t slot;

	if (!entry->suspicion)
		return;
	slot = (uint16_t)(entry->suspicion - 1);
	entry->suspicion = 0;
	all->items[slot].member = SWIM_NOBODY;
	all->items[slot].next_free = all->free;
	all->free = slot;
	all->count--;
	if (all->count == 0) {
		all->used = 0;
		all->free = SWIM_NO_SLOT;
		all->next = CLOCK_NEVER;
	}
}

static void ask(struct swim *swim, struct swim_suspicion *suspicion)
{
	uint32_t member = suspicion->member;

	suspicion->ask = swim_time(swim) + ask_interval(swim);
	swim_post(swim, member, member, SWIM_PING, ++swim->sequence, member);
}

void swim_suspicions_tick(struct swim *swim)
{
	struct swim_suspicions *all = &swim->suspicions;
	uint64_t time = swim_time(swim);

	if (time < all->next)
		return;
	all->next = CLOCK_NEVER;
	for (uint32_t slot = 0; slot < all->used; slot++) {
		struct swim_suspicion *suspicion = &all->items[slot];

		if (suspicion->member == SWIM_NOBODY)
			continue;
		if (suspicion->deadline <= time) {
			swim_bury(swim, suspicion->member);
			continue;
		}
		if (suspicion->ask <= time)
			ask(swim, suspicion);
		all->next = earliest(all->next, earliest(suspicion->deadline, suspicion->ask));
	}
}
