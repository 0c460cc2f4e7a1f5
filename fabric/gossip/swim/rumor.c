/*
 * rumor.c - what a rumor overturns, by incarnation; the table is in swim.h. What is taken over is
 * told on; what is old news stops here, which is what ends a rumor's life.
 */
#include "fabric/gossip/swim/inside.h"

static void change(struct swim *swim, uint32_t member, enum swim_state old_state, enum swim_why why,
		   uint32_t by)
{
	struct swim_change change = {
		.member = member,
		.old_state = old_state,
		.new_state = swim_state(swim, member),
		.why = why,
		.by = by,
	};

	if (change.new_state == SWIM_DEAD)
		swim->stats.deaths++;
	swim->setup.ops->changed(swim->setup.context, &change);
}

static void adopt(struct swim *swim, struct swim_entry *entry, const struct swim_rumor *rumor)
{
	uint64_t most_ms = swim->config.restarting_max / NS_PER_MS;
	uint64_t remaining_ms = rumor->remaining_ms < most_ms ? rumor->remaining_ms : most_ms;

	entry->phase = rumor->phase;
	entry->until = (uint32_t)((swim->now + remaining_ms * NS_PER_MS) / SWIM_TICK_NS);
	swim->setup.ops->adopt(swim->setup.context, rumor);
}

static void queue_put(struct swim *swim, const struct swim_rumor *rumor)
{
	swim->stats.rumors_taken++;
	swim_queue_put(swim, rumor->kind, rumor->member, rumor->incarnation, rumor->from);
}

/*
 * Who joins learns of thousands at once, from those who know them. Told on, they would fill its
 * packets for minutes with what everybody knows: since the last tick, no more than the view doubles
 * by are told.
 */
static bool is_told(const struct swim *swim)
{
	return swim_view_live(swim) <= 2 * swim->known + SWIM_TOLD_MIN;
}

/* Takes up a member in the state that the rumor says; SUSPECT is for the caller to add. @merged: by
 * a view, not by a message. */
static void discover(struct swim *swim, const struct swim_rumor *rumor, bool merged)
{
	static const enum swim_state states[] = {
		[SWIM_RUMOR_ALIVE] = SWIM_ALIVE,
		[SWIM_RUMOR_SUSPECT] = SWIM_ALIVE,
		[SWIM_RUMOR_DEAD] = SWIM_DEAD,
		[SWIM_RUMOR_LEFT] = SWIM_LEFT,
	};
	struct swim_entry *entry = swim_view_add(swim, rumor->member);

	if (!entry)
		return;
	swim_view_set(swim, rumor->member, states[rumor->kind], rumor->incarnation, false);
	adopt(swim, entry, rumor);
	change(swim, rumor->member, SWIM_NONE, SWIM_WHY_NEWS, rumor->from);
	if (rumor->kind == SWIM_RUMOR_ALIVE && (!merged || is_told(swim)))
		queue_put(swim, rumor);
}

static void apply_alive(struct swim *swim, const struct swim_rumor *rumor)
{
	struct swim_entry *entry = swim_entry(swim, rumor->member);
	enum swim_state old_state;

	if (!entry) {
		discover(swim, rumor, false);
		return;
	}
	old_state = entry->state;
	if (rumor->incarnation == entry->incarnation && entry->stale) {
		/* known by an accusation only; what it is accused of stands */
		swim_view_set(swim, rumor->member, old_state, rumor->incarnation, false);
		adopt(swim, entry, rumor);
		return;
	}
	if (rumor->incarnation <= entry->incarnation) {
		swim->stats.rumors_old++;
		return;
	}
	swim_suspicion_end(swim, rumor->member);
	swim_view_set(swim, rumor->member, SWIM_ALIVE, rumor->incarnation, false);
	adopt(swim, entry, rumor);
	queue_put(swim, rumor);
	if (old_state != SWIM_ALIVE)
		change(swim, rumor->member, old_state, SWIM_WHY_REFUTED, rumor->member);
}

static void suspect(struct swim *swim, const struct swim_rumor *rumor, enum swim_why why)
{
	struct swim_entry *entry = swim_entry(swim, rumor->member);
	enum swim_state old_state = entry->state;

	swim_suspicion_end(swim, rumor->member);
	if (!swim_suspicion_begin(swim, rumor->member, rumor->from, why)) {
		/* no room to wait for its refutation; ending one would have made some */
		CHECK(old_state == SWIM_ALIVE);
		return;
	}
	swim_view_set(swim, rumor->member, SWIM_SUSPECT, rumor->incarnation,
		      entry->stale || rumor->incarnation > entry->incarnation);
	queue_put(swim, rumor);
	if (old_state != SWIM_SUSPECT)
		change(swim, rumor->member, old_state, why, rumor->from);
}

static void apply_suspect(struct swim *swim, const struct swim_rumor *rumor, enum swim_why why)
{
	const struct swim_entry *entry = swim_entry(swim, rumor->member);

	if (entry && rumor->incarnation == entry->incarnation && swim_view_protected(swim, entry))
		entry = NULL;
	if (entry && (entry->state == SWIM_DEAD || entry->state == SWIM_LEFT))
		entry = NULL;
	if (!entry || rumor->incarnation < entry->incarnation) {
		swim->stats.rumors_old++;
		return;
	}
	if (entry->state == SWIM_ALIVE || rumor->incarnation > entry->incarnation)
		suspect(swim, rumor, why);
	else if (swim_suspicion_confirm(swim, rumor->member, rumor->from))
		queue_put(swim, rumor);
	else
		swim->stats.rumors_old++;
}

/* DEAD and LEFT. Of one that is dead already only the higher incarnation matters: an ALIVE up to
 * that is an echo. */
static void apply_end(struct swim *swim, const struct swim_rumor *rumor, enum swim_why why)
{
	struct swim_entry *entry = swim_entry(swim, rumor->member);
	enum swim_state new_state = rumor->kind == SWIM_RUMOR_DEAD ? SWIM_DEAD : SWIM_LEFT;
	enum swim_state old_state = entry ? entry->state : SWIM_NONE;
	bool newer = entry && rumor->incarnation > entry->incarnation;
	bool told;

	if (old_state == SWIM_DEAD || old_state == SWIM_LEFT)
		told = newer || (rumor->incarnation == entry->incarnation &&
				 old_state == SWIM_DEAD && new_state == SWIM_LEFT);
	else if (entry && new_state == SWIM_DEAD && swim_view_protected(swim, entry))
		told = newer;
	else
		told = entry && rumor->incarnation >= entry->incarnation;
	if (!told) {
		swim->stats.rumors_old++;
		return;
	}
	swim_suspicion_end(swim, rumor->member);
	swim_view_set(swim, rumor->member, new_state, rumor->incarnation, newer || entry->stale);
	queue_put(swim, rumor);
	if (old_state != new_state)
		change(swim, rumor->member, old_state, why, rumor->from);
}

/* What is said of this node: anything but that it is alive, it refutes, unless it has left. */
static void apply_self(struct swim *swim, const struct swim_rumor *rumor)
{
	const struct swim_entry *self = swim_entry(swim, swim->setup.self);
	bool accused = rumor->kind != SWIM_RUMOR_ALIVE && rumor->incarnation >= self->incarnation;

	if (self->state == SWIM_LEFT || (!accused && rumor->incarnation <= self->incarnation))
		swim->stats.rumors_old++;
	else
		swim_refute(swim, rumor->incarnation, accused);
}

static bool is_bad(const struct swim_rumor *rumor)
{
	return rumor->kind < SWIM_RUMOR_ALIVE || rumor->kind > SWIM_RUMOR_LEFT ||
	       rumor->incarnation > SWIM_INCARNATION_MAX || rumor->phase > SWIM_LEAVING ||
	       (rumor->kind == SWIM_RUMOR_ALIVE && !rumor->detailed);
}

static void apply(struct swim *swim, const struct swim_rumor *rumor, enum swim_why why)
{
	if (is_bad(rumor))
		swim->stats.rumors_bad++;
	else if (rumor->member == swim->setup.self)
		apply_self(swim, rumor);
	else if (rumor->kind == SWIM_RUMOR_ALIVE)
		apply_alive(swim, rumor);
	else if (rumor->kind == SWIM_RUMOR_SUSPECT)
		apply_suspect(swim, rumor, why);
	else
		apply_end(swim, rumor, why);
}

void swim_rumor_apply(struct swim *swim, const struct swim_rumor *rumor)
{
	apply(swim, rumor, SWIM_WHY_NEWS);
}

void swim_rumor_merge(struct swim *swim, uint32_t from, const struct swim_rumor *rumor)
{
	struct swim_rumor said = *rumor;

	if (said.member == swim->setup.self || is_bad(&said)) {
		apply(swim, &said, SWIM_WHY_NEWS);
		return;
	}
	if (said.detailed && !swim_entry(swim, said.member)) {
		discover(swim, &said, true);
		if (said.kind != SWIM_RUMOR_SUSPECT)
			return;
	}
	if (said.kind == SWIM_RUMOR_DEAD) {
		said.kind = SWIM_RUMOR_SUSPECT;
		said.from = from;
	}
	apply(swim, &said, SWIM_WHY_NEWS);
}

void swim_accuse(struct swim *swim, uint32_t member, enum swim_why why)
{
	struct swim_rumor rumor = {
		.kind = SWIM_RUMOR_SUSPECT,
		.member = member,
		.incarnation = swim_entry(swim, member)->incarnation,
		.from = swim->setup.self,
	};

	apply(swim, &rumor, why);
}

void swim_bury(struct swim *swim, uint32_t member)
{
	const struct swim_suspicion *suspicion = swim_suspicion_of(swim, member);
	struct swim_rumor rumor = {
		.kind = SWIM_RUMOR_DEAD,
		.member = member,
		.incarnation = swim_entry(swim, member)->incarnation,
		.from = suspicion->accusers[0],
	};

	apply(swim, &rumor, SWIM_WHY_SILENCE);
}
