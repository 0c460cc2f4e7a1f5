/*
 * retry.h - how long to pause before asking again: full jitter, so that clients who were refused
 * together do not come back together. Pure on what it is given.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/random.h"

#define RETRY_PAUSE_MAX_NS (5 * NS_PER_S)

/**
 * retry_at() - when to try again.
 * @step: 0 for the first retry; doubles the range each time.
 * Return: true with @out_at_ns before @deadline_ns; false: there is no time left for another try.
 */
bool retry_at(uint64_t now_ns, uint64_t scale_ns, unsigned step, uint64_t deadline_ns,
	      struct random *random, uint64_t *out_at_ns);
