/*
 * plan.h - what a command line asks to be measured: steps, one after the other, and the memory that
 * they need. Pure.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tools/bw/options.h"

#define PLAN_STEPS_MAX	 (2 * BW_SIZES_MAX)
#define PLAN_PROBLEM_MAX 256
#define PLAN_STRIDE	 64 /* reads begin at cache lines */

enum plan_test {
	PLAN_BANDWIDTH,
	PLAN_LATENCY,
};

struct plan_step {
	enum plan_test test;
	uint64_t len;
	unsigned depth;	   /* of each connection */
	uint64_t reads;	   /* of all connections; 0: as many as fit */
	uint64_t limit_ns; /* of the measured time */
};

struct plan {
	unsigned threads, connections;
	bool bidirectional, verify;
	uint64_t footprint; /* as in the options */
	uint64_t lane_len;  /* memory of one connection */
	uint64_t len_max;
	unsigned depth_max;
	struct plan_step steps[PLAN_STEPS_MAX];
	unsigned step_count;
};

/** plan_make() - Return: 0; -EINVAL with @problem saying which option asks for too much. */
int plan_make(const struct client_options *options, struct plan *out, char *problem,
	      size_t problem_size);

/** plan_time_parse() - "500 ms", or a whole number of seconds; 1 ms to a day. Return: 0, -EINVAL
 *  with @problem, -ENOMEM. */
int plan_time_parse(const char *text, uint64_t *out_ns, char *problem, size_t problem_size);

/** plan_footprint() - the memory that one connection's reads of @len go over. */
uint64_t plan_footprint(uint64_t footprint, uint64_t len, unsigned depth);

/** plan_share() - connection @index's part of @reads. */
uint64_t plan_share(uint64_t reads, unsigned index, unsigned connections);
