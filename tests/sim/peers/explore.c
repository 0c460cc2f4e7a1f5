/*
 * explore.c - the odometer over choices, and the dice.
 *
 * Two steps of different nodes that cannot see each other lead to the same world in either order:
 * a message or a fence changes its own node, and what that sends is held back. So of s, t and t, s
 * only the one that begins with the smaller node is run: t after s is left out when t was possible
 * before s, too, belongs to a smaller node, and neither sees the other. What sees others: a slice,
 * which sees the memory of its owner; a restart, and the passing of time, which all see. Of all
 * orders of the same steps at least the first in this sense is run.
 */
#include "tests/sim/peers/explore.h"

#include <stdlib.h>

#define ACTS_MAX      28
#define SPAN_MAX      4
#define TIME_ONE_IN   12
#define FAULT_ONE_IN  6
#define LONG_UNIT_LEN (GRANULE_LEN + 512)
#define UNIT_LEN      512

static struct model_world world; /* one at a time */

static void units_make(const struct model_scenario *scenario)
{
	static uint32_t len;
	static unsigned nodes;

	if (len != scenario->unit_len || nodes != scenario->nodes)
		model_units_make(scenario);
	len = scenario->unit_len;
	nodes = scenario->nodes;
}

static void open_world(const struct model_scenario *scenario, enum model_mutant mutant,
		       uint64_t seed)
{
	units_make(scenario);
	model_tally.schedules++;
	model_world_open(&world, scenario, mutant, seed);
}

/* What was chosen, of how many. */
struct odometer {
	unsigned choice[MODEL_DEPTH_MAX], count[MODEL_DEPTH_MAX];
	unsigned depth, used;
};

/* What was possible, and what was done of it. */
struct moment {
	struct model_step steps[MODEL_CHOICES_MAX];
	unsigned count, done;
};

static bool same_step(const struct model_step *a, const struct model_step *b)
{
	return a->kind == b->kind && a->node == b->node && a->event == b->event &&
	       a->request == b->request && a->off == b->off && a->a == b->a;
}

static bool seen_by_all(const struct model_step *step)
{
	return step->kind == STEP_TIME || (step->kind == STEP_ACT && step->a == ACT_RESTART);
}

static bool sees(const struct model_step *a, const struct model_step *b)
{
	return seen_by_all(a) || seen_by_all(b) || a->node == b->node ||
	       (a->kind == STEP_SLICE && a->from == b->node) ||
	       (b->kind == STEP_SLICE && b->from == a->node);
}

static bool is_left_out(const struct moment *before, const struct model_step *step)
{
	const struct model_step *last = &before->steps[before->done];

	if (step->node >= last->node || sees(last, step))
		return false;
	for (unsigned i = 0; i < before->count; i++)
		if (same_step(&before->steps[i], step))
			return true;
	return false;
}

static void look(const struct moment *before, struct moment *now)
{
	unsigned count = model_world_steps(&world, now->steps);

	now->count = count;
	if (!before)
		return;
	now->count = 0;
	for (unsigned i = 0; i < count; i++)
		if (!is_left_out(before, &now->steps[i]))
			now->steps[now->count++] = now->steps[i];
}

static void run_schedule(struct odometer *odometer)
{
	struct moment moments[2];
	const struct moment *before = NULL;

	for (odometer->used = 0; odometer->used < odometer->depth; odometer->used++) {
		struct moment *now = &moments[odometer->used % 2];

		look(before, now);
		if (now->count == 0)
			break;
		now->done = odometer->choice[odometer->used];
		CHECK(now->done < now->count);
		odometer->count[odometer->used] = now->count;
		model_world_step(&world, &now->steps[now->done]);
		before = now;
	}
	model_world_run(&world);
}

/* Return: false: that was the last one. */
static bool next_schedule(struct odometer *odometer)
{
	unsigned at = odometer->used;

	while (at > 0 && odometer->choice[at - 1] + 1 == odometer->count[at - 1])
		at--;
	for (unsigned i = at; i < odometer->depth; i++)
		odometer->choice[i] = 0;
	if (at == 0)
		return false;
	odometer->choice[at - 1]++;
	return true;
}

uint64_t explore_all(const struct model_scenario *scenario, unsigned depth,
		     enum model_mutant mutant)
{
	struct odometer odometer = { .depth = depth };
	uint64_t count = 0;

	CHECK(depth <= MODEL_DEPTH_MAX);
	do {
		open_world(scenario, mutant, 0);
		run_schedule(&odometer);
		model_world_close(&world);
		count++;
	} while (next_schedule(&odometer));
	return count;
}

/* --- by a seed */

/* Few units, so that they are read again. */
static void script_make(struct random *random, struct model_act *script)
{
	unsigned count = 4 + (unsigned)random_below(random, ACTS_MAX - 4);
	unsigned first = (unsigned)random_below(random, MODEL_UNITS);
	unsigned span = 1 + (unsigned)random_below(random, SPAN_MAX);

	for (unsigned i = 0; i < count; i++) {
		static const enum model_act_kind kinds[] = { ACT_READ,	ACT_READ,   ACT_READ,
							     ACT_READ,	ACT_READ,   ACT_EVICT,
							     ACT_EVICT, ACT_EVICT,  ACT_CANCEL,
							     ACT_FENCE, ACT_RESTART };

		script[i] = (struct model_act){
			kinds[random_below(random, ARRAY_COUNT(kinds))],
			(first + (unsigned)random_below(random, span)) % MODEL_UNITS,
		};
	}
	script[count] = (struct model_act){ ACT_END, 0 };
}

static unsigned pick(struct random *random, const struct model_step *steps, unsigned count)
{
	/* the last one, if it is there */
	if (count > 1 && steps[count - 1].kind == STEP_TIME && random_below(random, TIME_ONE_IN))
		count--;
	return (unsigned)random_below(random, count);
}

static void run_dice(struct random *random, unsigned limit)
{
	static const struct model_step fault = { .kind = STEP_FAULT, .node = 1 };
	struct model_step steps[MODEL_CHOICES_MAX];

	for (unsigned i = 0; i < limit; i++) {
		unsigned count = model_world_steps(&world, steps);

		if (count == 0)
			break;
		if (world.faulty >= 0 && random_below(random, FAULT_ONE_IN) == 0)
			model_world_step(&world, &fault);
		else
			model_world_step(&world, &steps[pick(random, steps, count)]);
	}
	model_world_run(&world);
}

void explore_seed(uint64_t seed, unsigned steps, bool faulty, enum model_mutant mutant)
{
	struct model_scenario scenario = { .name = faulty ? "faulty" : "random",
					   .directory = seed % 2,
					   .times = steps };
	struct random random;

	random_init(&random, seed);
	scenario.nodes = 2 + (unsigned)random_below(&random, 2);
	scenario.unit_len = random_below(&random, 4) ? UNIT_LEN : LONG_UNIT_LEN;
	for (unsigned i = 0; i < scenario.nodes; i++)
		script_make(&random, scenario.script[i]);
	open_world(&scenario, mutant, seed);
	world.faulty = faulty ? 1 : -1;
	run_dice(&random, steps);
	model_world_close(&world);
}
