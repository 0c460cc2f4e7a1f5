/*
 * scenarios.c - small situations that are explored whole. Units 0 to 4 are node 1's.
 */
#include "tests/sim/peers/model.h"

const char *const model_mutant_names[] = {
	"none", "check", "seal", "lease", "epoch", "leak", NULL
};

#define READ(unit)                                                                                 \
	{                                                                                          \
		ACT_READ, unit                                                                     \
	}
#define EVICT(unit)                                                                                \
	{                                                                                          \
		ACT_EVICT, unit                                                                    \
	}
#define CANCEL                                                                                     \
	{                                                                                          \
		ACT_CANCEL, 0                                                                      \
	}
#define FENCE(unit)                                                                                \
	{                                                                                          \
		ACT_FENCE, unit                                                                    \
	}
#define RESTART                                                                                    \
	{                                                                                          \
		ACT_RESTART, 0                                                                     \
	}
#define WAIT                                                                                       \
	{                                                                                          \
		ACT_WAIT, 0                                                                        \
	}
#define TAKE                                                                                       \
	{                                                                                          \
		ACT_TAKE, 0                                                                        \
	}
#define GIVE                                                                                       \
	{                                                                                          \
		ACT_GIVE, 0                                                                        \
	}

const struct model_scenario model_scenarios[] = {
	{ .name = "recycle",
	  .what = "a READ by a locator, while the frame is given to another unit",
	  .nodes = 2,
	  .depth = 12,
	  .unit_len = 512,
	  .before = { { READ(0), EVICT(0) }, { READ(1), READ(2), READ(3) } },
	  .script = { { READ(0) }, { EVICT(0), READ(4) } } },
	{ .name = "publish",
	  .what = "the owner's directory is read, while entries come, go and are replaced",
	  .nodes = 2,
	  .depth = 7,
	  .directory = true,
	  .unit_len = 512,
	  .before = { { READ(4), EVICT(4) }, { EVICT(4) } },
	  .script = { { READ(1) }, { READ(0), EVICT(0), READ(1) } } },
	{ .name = "replace",
	  .what = "an entry is read while it is made that of another unit",
	  .nodes = 2,
	  .depth = 6,
	  .directory = true,
	  .unit_len = 512,
	  .times = 1,
	  /* unit 1 takes the entry of unit 0, but another frame: unit 0's bytes stay where they are
	   */
	  .before = { { READ(4), EVICT(4) }, { EVICT(4), TAKE, READ(0), GIVE } },
	  .script = { { READ(1) }, { EVICT(0), READ(1), EVICT(1) } } },
	{ .name = "checks",
	  .what = "the same with units of two granules, whose checks are a record of their own",
	  .nodes = 2,
	  .depth = 6,
	  .directory = true,
	  .unit_len = GRANULE_LEN + 512,
	  .before = { { READ(4), EVICT(4) }, { EVICT(4), READ(0) } },
	  .script = { { READ(0) }, { EVICT(0), READ(1), READ(0) } } },
	{ .name = "lease",
	  .what = "two members have units staged, the owner reads: more is wanted than four frames",
	  .nodes = 3,
	  .depth = 6,
	  .unit_len = 512,
	  .script = { { READ(0), READ(1) },
		      { READ(2), EVICT(0), READ(3) },
		      { READ(4), READ(0) } } },
	{ .name = "expire",
	  .what = "time passes while something is staged and read",
	  .nodes = 2,
	  .depth = 7,
	  .unit_len = 512,
	  .times = 4,
	  .script = { { READ(0) }, { EVICT(0), READ(1) } } },
	{ .name = "restart",
	  .what = "the owner restarts between, and in the middle of, reads by locators",
	  .nodes = 2,
	  .depth = 9,
	  .unit_len = 512,
	  .before = { { READ(0), READ(1), EVICT(0), EVICT(1) } },
	  .script = { { READ(0), READ(1) }, { RESTART, READ(2) } } },
	{ .name = "former",
	  .what = "locators of the owner's former life, when it is known to have a new one",
	  .nodes = 2,
	  .depth = 10,
	  .unit_len = 512,
	  .before = { { READ(0), EVICT(0) }, { RESTART } },
	  .script = { { READ(1), WAIT, READ(0) }, { READ(2), EVICT(2), READ(3) } } },
	{ .name = "rejoin",
	  .what = "the same with directories",
	  .nodes = 2,
	  .depth = 6,
	  .directory = true,
	  .unit_len = 512,
	  .before = { { READ(0), READ(1), EVICT(0), EVICT(1) } },
	  .script = { { READ(0), READ(1) }, { RESTART, READ(1), READ(0) } } },
	{ .name = "fence",
	  .what = "the reader's connection is fenced in the middle: what was in flight lands late",
	  .nodes = 2,
	  .depth = 7,
	  .unit_len = 512,
	  .before = { { READ(0), EVICT(0) } },
	  .script = { { READ(0), FENCE(0), READ(5) }, { EVICT(0), READ(1) } } },
	{ .name = "cancel",
	  .what = "a reader gives up, and wants it again",
	  .nodes = 2,
	  .depth = 9,
	  .unit_len = 512,
	  .script = { { READ(0), CANCEL, EVICT(0), READ(0) }, { EVICT(0), READ(1) } } },
	{ .name = "both",
	  .what = "two members read each other's units at once",
	  .nodes = 2,
	  .depth = 9,
	  .unit_len = 512,
	  .script = { { READ(0), READ(1) }, { READ(5), READ(6) } } },
};

const unsigned model_scenario_count = ARRAY_COUNT(model_scenarios);
