/*
 * check.c - what must hold at every moment, whatever the network does:
 *
 *	- nobody but a member raises its incarnation, and no view's incarnation of it ever sinks;
 *	- the dead and the gone come back with a higher incarnation only: echoes do not raise them;
 *	- one that announced a restart is neither suspected nor dead before its time;
 *	- a suspect has a suspicion that ends; tables keep to their limits; counts add up;
 *	- no message is too long, goes to its sender, or to nobody;
 *	- where the scenario promises it: who is well is never called dead by one that is well;
 *
 * and in the end, that all agree, on the truth, with equal digests.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/sim/sim.h"

/* Changes are looked at when they happen; all that is in a view, every so often. */
#define CHECK_EVERY_NS(members) (10 * NS_PER_MS * (members))
#define WELL_NS			(60 * NS_PER_S) /* after an illness, what was said then is out of date */

void sim_fail(const struct sim *sim, const char *format, ...)
{
	va_list arguments;

	fprintf(stderr, "sim: %s: at %.3f s: ", sim->config.scenario,
		(double)(sim->now - SIM_START_NS) / (double)NS_PER_S);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fprintf(stderr,
		"\nreplay: swim_sim --trace --scenario %s --members %u --seed %" PRIu64 "\n",
		sim->config.scenario, sim->config.members, sim->config.seed);
	exit(1);
}

static struct sim_shadow *shadow_of(const struct sim *sim, uint32_t observer, uint32_t member)
{
	return sim->shadow ? &sim->shadow[(size_t)observer * sim->config.members + member] : NULL;
}

static void check_entry(const struct sim *sim, const struct sim_member *observer, uint32_t member,
			uint32_t incarnation, enum swim_state state)
{
	struct sim_shadow *shadow = shadow_of(sim, observer->index, member);

	if (incarnation > sim->members[member].highest)
		sim_fail(sim, "%u has incarnation %u of %u, which never went above %u",
			 observer->index, incarnation, member, sim->members[member].highest);
	if (!shadow)
		return;
	if (shadow->state != SWIM_NONE && incarnation < shadow->incarnation)
		sim_fail(sim, "%u's incarnation of %u sank from %u to %u", observer->index, member,
			 shadow->incarnation, incarnation);
	if ((shadow->state == SWIM_DEAD || shadow->state == SWIM_LEFT) &&
	    (state == SWIM_ALIVE || state == SWIM_SUSPECT) && incarnation <= shadow->incarnation)
		sim_fail(sim, "an echo raised %u from the dead at %u", member, observer->index);
	*shadow = (struct sim_shadow){ .incarnation = incarnation, .state = (uint8_t)state };
}

static void check_tables(const struct sim *sim, const struct sim_member *member,
			 const unsigned counts[SWIM_LEFT + 1])
{
	struct swim_stats stats;

	swim_stats(member->swim, &stats);
	if (stats.alive != counts[SWIM_ALIVE] || stats.suspect != counts[SWIM_SUSPECT] ||
	    stats.dead != counts[SWIM_DEAD] || stats.left != counts[SWIM_LEFT])
		sim_fail(sim, "%u's counts do not add up", member->index);
	if (stats.suspicions_open != stats.suspect)
		sim_fail(sim, "%u has %u suspects and %u suspicions", member->index, stats.suspect,
			 stats.suspicions_open);
	if (stats.queued > SWIM_QUEUE_MAX || stats.queued > sim->config.members ||
	    stats.suspicions_open > SWIM_SUSPICIONS_MAX || stats.relays > SWIM_RELAYS_MAX ||
	    stats.awareness > (unsigned)sim->config.swim.awareness_max)
		sim_fail(sim, "%u's tables are beyond their limits", member->index);
	if (!member->stopped && member->wake > sim->now &&
	    member->wake > swim_deadline(member->swim))
		sim_fail(sim, "%u is overdue", member->index);
}

static void check_member(const struct sim *sim, const struct sim_member *member)
{
	unsigned counts[SWIM_LEFT + 1] = { 0 };

	for (uint32_t i = 0; i < sim->config.members; i++) {
		enum swim_state state = swim_state(member->swim, i);
		struct swim_info info;

		counts[state]++;
		if (state == SWIM_NONE)
			continue;
		swim_info(member->swim, i, &info);
		check_entry(sim, member, i, info.incarnation, state);
		if (info.state == SWIM_SUSPECT && info.accuser_count == 0)
			sim_fail(sim, "%u suspects %u on nobody's word", member->index, i);
	}
	check_tables(sim, member, counts);
}

void sim_check(struct sim *sim)
{
	uint32_t count = sim->config.members;

	sim->next_check = sim->now + CHECK_EVERY_NS(count);
	if (count > SIM_SHADOW_MAX)
		return;
	for (uint32_t i = 0; i < count; i++)
		if (sim->members[i].swim)
			check_member(sim, &sim->members[i]);
}

static void trace(const struct sim *sim, const struct sim_member *observer,
		  const struct swim_change *change)
{
	struct swim_info info;

	swim_info(observer->swim, change->member, &info);
	printf("%9.3f  %u: %u %s -> %s (incarnation %u, %s",
	       (double)(sim->now - SIM_START_NS) / 1e9, observer->index, change->member,
	       swim_state_text(change->old_state), swim_state_text(change->new_state),
	       info.incarnation, swim_why_text(change->why));
	if (change->by != SWIM_NOBODY)
		printf(", by %u", change->by);
	printf(")\n");
}

static void check_death(struct sim *sim, const struct sim_member *observer, uint32_t member)
{
	sim->deaths++;
	if (!sim_is_well(sim, member, WELL_NS))
		return;
	sim->false_deaths++;
	if (sim->promise && sim_is_well(sim, observer->index, WELL_NS))
		sim_fail(sim, "%u calls %u dead, which is well", observer->index, member);
}

void sim_check_change(struct sim *sim, const struct sim_member *observer,
		      const struct swim_change *change)
{
	const struct sim_member *member = &sim->members[change->member];
	struct swim_info info;

	swim_info(observer->swim, change->member, &info);
	if (sim->config.trace)
		trace(sim, observer, change);
	if (change->new_state == change->old_state || change->member == observer->index)
		sim_fail(sim, "%u was told of no change of %u", observer->index, change->member);
	if (sim->now < member->restart_until && info.incarnation == member->restart_incarnation &&
	    info.incarnation > member->former && /* or it is a forgotten life's of that number */
	    (change->new_state == SWIM_SUSPECT || change->new_state == SWIM_DEAD))
		sim_fail(sim, "%u calls %u %s, which restarts until %.1f s", observer->index,
			 change->member, swim_state_text(change->new_state),
			 (double)(member->restart_until - SIM_START_NS) / 1e9);
	check_entry(sim, observer, change->member, info.incarnation, info.state);
	if (change->new_state == SWIM_DEAD)
		check_death(sim, observer, change->member);
}

void sim_check_message(const struct sim *sim, const struct sim_member *sender, uint32_t to,
		       const struct swim_message *message)
{
	size_t len = 0;

	if (to >= sim->config.members || to == sender->index)
		sim_fail(sim, "%u sends to %u", sender->index, to);
	for (uint32_t i = 0; i < message->rumor_count; i++)
		len += sim_rumor_len(&message->rumors[i]);
	if (len > sim_room(message->kind))
		sim_fail(sim, "%u sends %zu bytes of rumors where %zu fit", sender->index, len,
			 sim_room(message->kind));
}

static bool is_true(const struct sim *sim, const struct sim_member *observer, uint32_t index)
{
	const struct sim_member *member = &sim->members[index];
	enum swim_state state = swim_state(observer->swim, index);

	if (!member->swim || member->left)
		return state != SWIM_ALIVE && state != SWIM_SUSPECT;
	return state == SWIM_ALIVE;
}

bool sim_agreed(const struct sim *sim)
{
	const struct sim_member *first = NULL;

	for (uint32_t i = 0; i < sim->config.members; i++) {
		const struct sim_member *member = &sim->members[i];

		if (!member->swim || member->left)
			continue;
		if (!first)
			first = member;
		if (swim_digest(member->swim) != swim_digest(first->swim))
			return false;
	}
	for (uint32_t i = 0; first && i < sim->config.members; i++)
		if (!is_true(sim, first, i))
			return false;
	return true;
}
