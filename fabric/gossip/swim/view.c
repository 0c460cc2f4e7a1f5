/*
 * view.c - the members as this node sees them: an array by member index, what it adds up to
 * (counts, digest), and the order in which they are probed.
 *
 * The order is a shuffled list, gone through once before it is shuffled anew: every member is
 * probed within two rounds whatever chance does, which bounds the time to a first detection. It
 * lies in the entries' `order`, position by position, and has no relation to the entry it lies in.
 * The dead stay in it as long as rumors go to them, because it is also what random picks are made
 * from.
 */
#include "fabric/gossip/swim/inside.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CAPACITY_MIN 16

static uint32_t tick_of(uint64_t now_ns)
{
	return (uint32_t)(now_ns / SWIM_TICK_NS);
}

static uint64_t mixed(uint64_t x)
{
	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

/* A member's part in the digest. The stale count as another state: who has the details should
 * not take the view of one who lacks them for equal. */
static uint64_t digest_term(const struct swim *swim, uint32_t member)
{
	const struct swim_entry *entry = &swim->view.entries[member];
	uint64_t said =
		(uint64_t)entry->incarnation << 8 | (uint64_t)entry->stale << 7 | entry->state;

	if (entry->state != SWIM_ALIVE && entry->state != SWIM_SUSPECT)
		return 0;
	return mixed(swim->setup.ops->member_hash(swim->setup.context, member) ^ mixed(said));
}

static int reserve(struct swim *swim, uint32_t count)
{
	struct swim_view *view = &swim->view;
	uint64_t capacity = view->capacity ? view->capacity : CAPACITY_MIN;
	struct swim_entry *entries;

	if (count <= view->capacity)
		return 0;
	if (count > (uint64_t)swim->config.members_max)
		return -ENOSPC;
	while (capacity < count)
		capacity *= 2;
	if (capacity > (uint64_t)swim->config.members_max)
		capacity = (uint64_t)swim->config.members_max;
	entries = realloc(view->entries, capacity * sizeof(*entries));
	if (!entries)
		return -ENOMEM;
	memset(entries + view->capacity, 0, (capacity - view->capacity) * sizeof(*entries));
	view->entries = entries;
	view->capacity = (uint32_t)capacity;
	return 0;
}

int swim_view_init(struct swim *swim)
{
	CHECK(swim->setup.self < (uint64_t)swim->config.members_max);
	return reserve(swim, swim->setup.self + 1);
}

void swim_view_fini(struct swim *swim)
{
	free(swim->view.entries);
}

struct swim_entry *swim_entry(const struct swim *swim, uint32_t member)
{
	if (member >= swim->view.capacity || swim->view.entries[member].state == SWIM_NONE)
		return NULL;
	return &swim->view.entries[member];
}

static void order_append(struct swim_view *view, uint32_t member)
{
	CHECK(view->order_count < view->capacity);
	view->entries[view->order_count++].order = member;
	view->entries[member].ordered = true;
}

/* At a random place: who joins is no sooner and no later probed than others. */
static void order_insert(struct swim *swim, uint32_t member)
{
	struct swim_view *view = &swim->view;
	uint32_t last = view->order_count, place;

	order_append(view, member);
	place = (uint32_t)random_below(swim->setup.random, view->order_count);
	view->entries[last].order = view->entries[place].order;
	view->entries[place].order = member;
}

static void order_remove(struct swim_view *view, uint32_t member)
{
	uint32_t place = 0;

	if (!view->entries[member].ordered)
		return;
	while (view->entries[place].order != member)
		place++;
	view->entries[place].order = view->entries[--view->order_count].order;
	view->entries[member].ordered = false;
}

struct swim_entry *swim_view_add(struct swim *swim, uint32_t member)
{
	struct swim_entry *entry;

	if (member >= SWIM_MEMBERS_LIMIT || reserve(swim, member + 1)) {
		swim->stats.members_refused++;
		return NULL;
	}
	entry = &swim->view.entries[member];
	CHECK(entry->state == SWIM_NONE);
	*entry = (struct swim_entry){ .state = SWIM_LEFT,
				      .order = entry->order,
				      .since = tick_of(swim->now) };
	swim->view.counts[SWIM_LEFT]++;
	return entry;
}

void swim_view_set(struct swim *swim, uint32_t member, enum swim_state state, uint32_t incarnation,
		   bool stale)
{
	struct swim_view *view = &swim->view;
	struct swim_entry *entry = &view->entries[member];

	view->digest ^= digest_term(swim, member);
	view->counts[entry->state]--;
	view->counts[state]++;
	if (entry->state != state)
		entry->since = tick_of(swim->now);
	entry->state = (uint8_t)state;
	entry->incarnation = incarnation;
	entry->stale = stale;
	view->digest ^= digest_term(swim, member);
	if (state == SWIM_ALIVE && !entry->ordered && member != swim->setup.self)
		order_insert(swim, member);
}

uint32_t swim_view_live(const struct swim *swim)
{
	return swim->view.counts[SWIM_ALIVE] + swim->view.counts[SWIM_SUSPECT];
}

bool swim_view_protected(const struct swim *swim, const struct swim_entry *entry)
{
	return entry->phase == SWIM_RESTARTING && entry->state == SWIM_ALIVE &&
	       tick_of(swim->now) < entry->until;
}

bool swim_view_lately_dead(const struct swim *swim, const struct swim_entry *entry)
{
	return entry->state == SWIM_DEAD &&
	       swim->now <
		       (entry->since + UINT64_C(1)) * SWIM_TICK_NS + swim->config.gossip_to_dead;
}

static void order_shuffle(struct swim *swim)
{
	struct swim_view *view = &swim->view;
	uint32_t kept = 0;

	for (uint32_t i = 0; i < view->order_count; i++) {
		uint32_t member = view->entries[i].order;
		struct swim_entry *entry = &view->entries[member];
		uint32_t place = kept;

		entry->ordered = entry->state == SWIM_ALIVE || entry->state == SWIM_SUSPECT ||
				 swim_view_lately_dead(swim, entry);
		if (!entry->ordered)
			continue;
		/* Fisher and Yates's shuffle from the inside: the one kept goes anywhere */
		if (place > 0)
			place = (uint32_t)random_below(swim->setup.random, kept + UINT64_C(1));
		view->entries[kept++].order = view->entries[place].order;
		view->entries[place].order = member;
	}
	view->order_count = kept;
	view->cursor = 0;
}

uint32_t swim_view_next_target(struct swim *swim)
{
	struct swim_view *view = &swim->view;

	for (unsigned round = 0; round < 2; round++) {
		while (view->cursor < view->order_count) {
			uint32_t member = view->entries[view->cursor++].order;
			const struct swim_entry *entry = &view->entries[member];

			if ((entry->state == SWIM_ALIVE || entry->state == SWIM_SUSPECT) &&
			    !swim_view_protected(swim, entry))
				return member;
		}
		order_shuffle(swim);
	}
	return SWIM_NOBODY;
}

bool swim_fits_alive(const struct swim *swim, const struct swim_entry *entry)
{
	return entry->state == SWIM_ALIVE && !swim_view_protected(swim, entry);
}

static bool contains(const uint32_t *members, unsigned count, uint32_t member)
{
	for (unsigned i = 0; i < count; i++)
		if (members[i] == member)
			return true;
	return false;
}

unsigned swim_view_sample(struct swim *swim,
			  bool (*fits)(const struct swim *swim, const struct swim_entry *entry),
			  uint32_t except, unsigned count, uint32_t *out_members)
{
	const struct swim_view *view = &swim->view;
	unsigned found = 0,
		 tries = 160; /* of a few members none is missed, of many a few tries do */

	if (view->order_count == 0)
		return 0;
	if (tries / 10 > view->order_count)
		tries = 10 * view->order_count;
	while (found < count && tries-- > 0) {
		uint64_t place = random_below(swim->setup.random, view->order_count);
		uint32_t member = view->entries[place].order;

		if (member != except && fits(swim, &view->entries[member]) &&
		    !contains(out_members, found, member))
			out_members[found++] = member;
	}
	return found;
}

uint32_t swim_view_dead(struct swim *swim)
{
	const struct swim_view *view = &swim->view;
	uint32_t nth = view->counts[SWIM_DEAD];

	if (nth == 0)
		return SWIM_NOBODY;
	nth = (uint32_t)random_below(swim->setup.random, nth);
	for (uint32_t member = 0; member < view->capacity; member++)
		if (view->entries[member].state == SWIM_DEAD && nth-- == 0)
			return member;
	return SWIM_NOBODY;
}

/* Dead or left, for longer than @for_ns. */
static bool is_gone(const struct swim *swim, uint32_t member, uint64_t for_ns)
{
	const struct swim_entry *entry = &swim->view.entries[member];

	return (entry->state == SWIM_DEAD || entry->state == SWIM_LEFT) &&
	       member != swim->setup.self && swim->now > entry->since * SWIM_TICK_NS + for_ns;
}

static void forget(struct swim *swim, uint32_t member)
{
	struct swim_view *view = &swim->view;
	struct swim_entry *entry = &view->entries[member];

	swim_queue_drop(swim, member);
	swim_evidence_forget(swim, member);
	order_remove(view, member);
	view->counts[entry->state]--;
	*entry = (struct swim_entry){ .state = SWIM_NONE, .order = entry->order };
	swim->setup.ops->forgotten(swim->setup.context, member);
}

static uint32_t longest_gone(const struct swim *swim)
{
	const struct swim_view *view = &swim->view;
	uint32_t found = SWIM_NOBODY;

	for (uint32_t member = 0; member < view->capacity; member++)
		if (is_gone(swim, member, SWIM_KEEP_MIN) &&
		    (found == SWIM_NOBODY ||
		     view->entries[member].since < view->entries[found].since))
			found = member;
	return found;
}

static bool is_crowded(const struct swim *swim)
{
	uint64_t known = swim_view_live(swim) + (uint64_t)swim->view.counts[SWIM_DEAD] +
			 swim->view.counts[SWIM_LEFT];
	uint64_t most = (uint64_t)swim->config.members_max;

	return known > most - most / 8;
}

void swim_view_sweep(struct swim *swim)
{
	struct swim_view *view = &swim->view;

	if (view->counts[SWIM_DEAD] + view->counts[SWIM_LEFT] == 0)
		return;
	for (uint32_t member = 0; member < view->capacity; member++)
		if (is_gone(swim, member, swim->config.dead_keep))
			forget(swim, member);
	/* what was last seen alive longest ago is least missed */
	for (unsigned i = 0; i < SWIM_CROWD_MAX && is_crowded(swim); i++) {
		uint32_t member = longest_gone(swim);

		if (member == SWIM_NOBODY)
			break;
		forget(swim, member);
	}
}

static uint32_t remaining_ms(const struct swim_entry *entry, uint64_t now_ns)
{
	uint64_t until_ns = entry->until * SWIM_TICK_NS;

	if (entry->phase != SWIM_RESTARTING || until_ns <= now_ns)
		return 0;
	return (uint32_t)((until_ns - now_ns) / NS_PER_MS);
}

void swim_view_rumor(const struct swim *swim, uint32_t member, uint64_t now_ns,
		     struct swim_rumor *out_rumor)
{
	static const uint8_t kinds[] = {
		[SWIM_ALIVE] = SWIM_RUMOR_ALIVE,
		[SWIM_SUSPECT] = SWIM_RUMOR_SUSPECT,
		[SWIM_DEAD] = SWIM_RUMOR_DEAD,
		[SWIM_LEFT] = SWIM_RUMOR_LEFT,
	};
	const struct swim_entry *entry = &swim->view.entries[member];
	const struct swim_suspicion *suspicion = swim_suspicion_of(swim, member);

	*out_rumor = (struct swim_rumor){
		.kind = kinds[entry->state],
		.phase = entry->phase,
		.detailed = !entry->stale,
		.member = member,
		.incarnation = entry->incarnation,
		.from = suspicion ? suspicion->accusers[0] : SWIM_NOBODY,
		.remaining_ms = remaining_ms(entry, now_ns),
	};
}
