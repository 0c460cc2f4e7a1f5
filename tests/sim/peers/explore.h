/*
 * explore.h - which steps are taken: all of them to a depth, or any by a seed. A schedule is run
 * from the start each time; what is left behind its end is done in turn, so that everything ends.
 */
#pragma once

#include "tests/sim/peers/model.h"

/**
 * explore_all() - every schedule of @scenario that differs in its first @depth steps, but for the
 * order of steps that cannot see each other.
 * Return: how many there are.
 */
uint64_t explore_all(const struct model_scenario *scenario, unsigned depth,
		     enum model_mutant mutant);

/** explore_seed() - scripts and a schedule of @steps by @seed; @faulty: node 1's bits flip. */
void explore_seed(uint64_t seed, unsigned steps, bool faulty, enum model_mutant mutant);
