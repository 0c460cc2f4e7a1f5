/*
 * owner_rig_cache.c - the fake cache: stages end when and as the test says, each unit has a place
 * of its own in the arena, and what is asked of it is checked.
 */
#include <errno.h>
#include <string.h>

#include "tests/unit/cache/peer/owner_rig.h"

uint8_t rig_byte(uint64_t off)
{
	return (uint8_t)((off * UINT64_C(0x9e3779b97f4a7c15)) >> 56);
}

/* Blocks from below, granules from above. */
uint64_t rig_frame_off(uint64_t index)
{
	uint64_t number = index >> 1;

	return index & 1 ? RIG_ARENA_LEN - (number + 1) * GRANULE_LEN : number * RIG_BLOCK_LEN;
}

static struct rig_stage *find_stage(struct rig *rig, const struct cache_stage *stage)
{
	struct rig_stage *found;

	LIST_FOREACH (found, &rig->stages, link)
		if (found->stage == stage)
			return found;
	fail_msg("not a stage that is under way");
	return NULL;
}

static void fake_start(void *context, struct cache_stage *stage)
{
	struct window_key key = { .index = stage->index };
	struct rig *rig = context;
	struct rig_stage *started = LIST_FIRST(&rig->unused);

	assert_non_null(started);
	LIST_REMOVE(started, link);
	*started = (struct rig_stage){ 0 };
	assert_string_equal(stage->version.key, "data/shard-000");
	assert_string_equal(stage->dataset, "/data");
	assert_in_range(stage->deadline_ns, 1, clock_now_ns(&rig->clock.clock) + 3600 * NS_PER_S);
	started->stage = stage;
	started->index = stage->index;
	started->len = window_key_len(&key, stage->version.size, RIG_BLOCK_LEN);
	LIST_INSERT_HEAD(&rig->stages, started, link);
	rig->starts++;
}

static void fake_cancel(void *context, struct cache_stage *stage)
{
	struct rig *rig = context;
	struct rig_stage *found = find_stage(rig, stage);

	assert_false(found->cancelled || found->lent);
	found->cancelled = true;
	rig->cancels++;
}

static void fake_finish(void *context, struct cache_stage *stage)
{
	struct rig *rig = context;
	struct rig_stage *found = find_stage(rig, stage);

	assert_true(found->lent);
	LIST_REMOVE(found, link);
	LIST_INSERT_HEAD(&rig->unused, found, link);
	rig->finishes++;
}

static void fake_touch(void *context, const struct window_key *keys, unsigned count)
{
	struct rig *rig = context;

	assert_in_range(count, 1, PEER_HITS_MAX);
	memcpy(rig->touched, keys, count * sizeof(*keys));
	rig->touched_count = count;
}

void rig_stage_end(struct rig *rig, struct rig_stage *stage, int status)
{
	struct cache_stage *done = stage->stage;

	assert_false(stage->lent);
	done->status = status;
	if (status) {
		LIST_REMOVE(stage, link);
		LIST_INSERT_HEAD(&rig->unused, stage, link);
	} else {
		stage->lent = true;
		done->off = rig_frame_off(stage->index);
		done->len = stage->len;
		for (unsigned i = 0; i < object_granule_count(done->len); i++)
			done->checks[i] = stage->index * 1000 + i;
	}
	owner_stage_done(rig->owner, done);
	rig_check(rig);
}

struct rig_stage *rig_stage_of(struct rig *rig, uint64_t index)
{
	struct rig_stage *stage, *oldest = NULL;

	LIST_FOREACH (stage, &rig->stages, link)
		if (!stage->lent && stage->index == index)
			oldest = stage;
	return oldest;
}

void rig_stage_unit(struct rig *rig, uint64_t index)
{
	struct rig_stage *stage = rig_stage_of(rig, index);

	assert_non_null(stage);
	rig_stage_end(rig, stage, 0);
	rig_settle(rig);
}

unsigned rig_staging(const struct rig *rig)
{
	const struct rig_stage *stage = NULL;
	unsigned count = 0;

	LIST_FOREACH (stage, &rig->stages, link)
		count += !stage->lent;
	return count;
}

unsigned rig_lent(const struct rig *rig)
{
	const struct rig_stage *stage = NULL;
	unsigned count = 0;

	LIST_FOREACH (stage, &rig->stages, link)
		count += stage->lent;
	return count;
}

/* Whether one before it is of the same unit, and lent if @lent. */
static bool is_counted(const struct rig *rig, const struct rig_stage *until, bool lent)
{
	const struct rig_stage *stage = NULL;

	LIST_FOREACH (stage, &rig->stages, link) {
		if (stage == until)
			return false;
		if (stage->index == until->index && (stage->lent || !lent))
			return true;
	}
	return false;
}

static uint64_t frame_len(uint32_t len)
{
	uint64_t frame = 4096;

	while (frame < len)
		frame *= 2;
	return frame;
}

void rig_check(struct rig *rig)
{
	uint64_t held = 0, leased = 0;
	const struct rig_stage *stage = NULL;
	unsigned staging = rig_staging(rig), local = 0;

	LIST_FOREACH (stage, &rig->stages, link) {
		held += is_counted(rig, stage, false) ? 0 : frame_len(stage->len);
		if (stage->lent && !is_counted(rig, stage, true))
			leased += frame_len(stage->len);
		local += !stage->lent && stage->stage->local;
	}
	assert_in_range(held, 0, RIG_ARENA_LEN / 2);
	assert_int_equal(leased, rig_count(rig, PEERS_LEASED_BYTES));
	assert_int_equal(rig_lent(rig), rig_count(rig, PEERS_LEASES));
	assert_in_range(staging, 0, (uint64_t)rig->config.stages_max);
	assert_in_range(local, 0, (uint64_t)rig->config.stages_max / 4);
	if (staging > rig->staging_max_seen)
		rig->staging_max_seen = staging;
}

/* The cache ends what it was asked for: what was cancelled, with that. */
void rig_end_stages(struct rig *rig)
{
	struct rig_stage *stage, *next;

	for (stage = LIST_FIRST(&rig->stages); stage; stage = next) {
		next = LIST_NEXT(stage, link);
		assert_true(stage->cancelled && !stage->lent);
		rig_stage_end(rig, stage, -ECANCELED);
	}
}

struct owner_cache rig_cache(struct rig *rig)
{
	return (struct owner_cache){ .context = rig,
				     .start = fake_start,
				     .cancel = fake_cancel,
				     .finish = fake_finish,
				     .touch = fake_touch };
}
