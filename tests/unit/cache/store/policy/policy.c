/*
 * Tests of cache/store/policy/policy.h. A small cache of equal items is driven by the policies
 * themselves: what they decide is simulated, not how.
 */
#include "cache/store/policy/policy.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/check.h"
#include "base/random.h"

#define ITEM_LEN      1000
#define ITEMS_MAX     4000
#define EPOCHS	      30
#define EPOCHS_WARMUP 10

struct item {
	uint32_t dataset;
	bool here;
	uint64_t tick;
};

struct cache_model {
	struct policy policy;
	struct random random;
	struct item items[ITEMS_MAX];
	unsigned count;
	uint64_t capacity, used, tick;
};

static void model_make(struct cache_model *model, enum cache_policy kind, unsigned count,
		       unsigned percent)
{
	memset(model, 0, sizeof(*model));
	assert_int_equal(policy_init(&model->policy, kind), 0);
	random_init(&model->random, 42);
	model->count = count;
	model->capacity = (uint64_t)count * ITEM_LEN * percent / 100;
}

static struct policy_space space_of(const struct cache_model *model)
{
	return (struct policy_space){
		.capacity = model->capacity,
		.high = model->capacity,
		.low = model->capacity - model->capacity / 100,
		.used = model->used,
	};
}

static void take_out(struct cache_model *model, struct item *item)
{
	item->here = false;
	model->used -= ITEM_LEN;
	datasets_add(&model->policy.datasets, item->dataset, -ITEM_LEN);
}

static bool evict_sampled(struct cache_model *model)
{
	struct item *sample[POLICY_SAMPLE_COUNT];
	uint64_t ticks[POLICY_SAMPLE_COUNT];
	unsigned count = 0;

	while (count < POLICY_SAMPLE_COUNT) {
		struct item *item = &model->items[random_below(&model->random, model->count)];

		if (!item->here)
			continue;
		sample[count] = item;
		ticks[count++] = item->tick;
	}
	take_out(model, sample[policy_choose(ticks, count)]);
	return true;
}

static bool evict_of(struct cache_model *model, uint32_t dataset)
{
	for (unsigned i = 0; i < model->count; i++) {
		if (model->items[i].here && model->items[i].dataset == dataset) {
			take_out(model, &model->items[i]);
			return true;
		}
	}
	return false;
}

static void evict(struct cache_model *model)
{
	bool more = true;

	while (more && model->used > space_of(model).low) {
		struct policy_space space = space_of(model);
		struct policy_victim victim = model->policy.ops->victim(&model->policy, &space);

		switch (victim.kind) {
		case POLICY_NOBODY:
			more = false;
			break;
		case POLICY_DATASET:
			more = evict_of(model, victim.dataset);
			break;
		case POLICY_OBJECT:
			more = evict_sampled(model);
			break;
		}
	}
}

/* Return: whether it was a hit. */
static bool access_item(struct cache_model *model, struct item *item)
{
	struct policy_space space = space_of(model);
	bool wanted, hit = item->here;

	datasets_touch(&model->policy.datasets, item->dataset);
	if (!hit) {
		hit = false;
		if (model->policy.ops->admit(&model->policy, &space, item->dataset, ITEM_LEN,
					     &wanted)) {
			item->here = true;
			model->used += ITEM_LEN;
			model->tick += ITEM_LEN;
			datasets_add(&model->policy.datasets, item->dataset, ITEM_LEN);
		}
		assert_true(model->used <= model->capacity);
		if (wanted)
			evict(model);
	}
	item->tick = model->tick;
	return hit;
}

/* One pass over @count items from @first on, in random order. Return: hits. */
static unsigned pass(struct cache_model *model, unsigned first, unsigned count)
{
	static unsigned order[ITEMS_MAX];
	unsigned hits = 0;

	for (unsigned i = 0; i < count; i++)
		order[i] = first + i;
	for (unsigned i = count; i > 1; i--) {
		unsigned other = (unsigned)random_below(&model->random, i);
		unsigned item = order[i - 1];

		order[i - 1] = order[other];
		order[other] = item;
	}
	for (unsigned i = 0; i < count; i++)
		hits += access_item(model, &model->items[order[i]]);
	return hits;
}

static double hit_percent(enum cache_policy kind, unsigned percent)
{
	static struct cache_model model;
	unsigned hits = 0;

	model_make(&model, kind, 2000, percent);
	for (unsigned i = 0; i < model.count; i++)
		model.items[i].dataset = 1;
	assert_int_equal(datasets_number(&model.policy.datasets, "/train"), 1);
	for (int epoch = 0; epoch < EPOCHS; epoch++) {
		unsigned found = pass(&model, 0, model.count);

		if (epoch >= EPOCHS_WARMUP)
			hits += found;
	}
	policy_fini(&model.policy);
	return 100.0 * hits / ((EPOCHS - EPOCHS_WARMUP) * 2000.0);
}

/* Keeping hits with what fits; LRU with c + (1 - c) ln(1 - c), about what was measured elsewhere.
 */
static void test_policies__reshuffled_epochs__keeping_beats_lru(void **state)
{
	static const struct {
		unsigned percent;
		double keep, lru;
	} rows[] = { { 25, 25, 3 }, { 50, 50, 15 }, { 80, 80, 48 } };

	(void)state;
	for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
		double keep = hit_percent(CACHE_POLICY_EPOCH, rows[i].percent);
		double lru = hit_percent(CACHE_POLICY_LRU, rows[i].percent);

		print_message("%u %%: epoch %.1f %%, lru %.1f %%\n", rows[i].percent, keep, lru);
		assert_true(keep > rows[i].keep - 1 && keep < rows[i].keep + 1);
		assert_true(lru > rows[i].lru - 3 && lru < rows[i].lru + 6);
	}
}

static uint64_t bytes_of(const struct cache_model *model, uint32_t dataset)
{
	return datasets_get(&model->policy.datasets, dataset)->bytes;
}

static void make_two_datasets(struct cache_model *model)
{
	/* Either of them alone is larger than the cache. */
	model_make(model, CACHE_POLICY_EPOCH, ITEMS_MAX, 30);
	for (unsigned i = 0; i < ITEMS_MAX; i++)
		model->items[i].dataset = i < ITEMS_MAX / 2 ? 1 : 2;
	assert_int_equal(datasets_number(&model->policy.datasets, "/old"), 1);
	assert_int_equal(datasets_number(&model->policy.datasets, "/new"), 2);
}

static void test_epoch__another_dataset__the_unused_one_gives_way(void **state)
{
	static struct cache_model model;

	(void)state;
	make_two_datasets(&model);
	pass(&model, 0, ITEMS_MAX / 2);
	assert_int_equal(bytes_of(&model, 1), model.capacity);
	/* The first refusals do not count yet. */
	pass(&model, ITEMS_MAX / 2, 60);
	assert_int_equal(bytes_of(&model, 2), 0);
	assert_int_equal(bytes_of(&model, 1), model.capacity);
	for (int epoch = 0; epoch < 3; epoch++)
		pass(&model, ITEMS_MAX / 2, ITEMS_MAX / 2);
	assert_true(bytes_of(&model, 2) > model.capacity * 9 / 10);
	/* ... and within the new one nothing gives way. */
	assert_true(pass(&model, ITEMS_MAX / 2, ITEMS_MAX / 2) >
		    model.capacity / ITEM_LEN * 9 / 10);
	policy_fini(&model.policy);
}

static void test_epoch__both_in_use__nobody_gives_way(void **state)
{
	static struct cache_model model;

	(void)state;
	make_two_datasets(&model);
	pass(&model, 0, ITEMS_MAX / 2);
	for (unsigned i = 0; i < ITEMS_MAX / 2; i++) {
		access_item(&model, &model.items[ITEMS_MAX / 2 + i]);
		access_item(&model, &model.items[i]);
	}
	assert_int_equal(bytes_of(&model, 1), model.capacity);
	assert_int_equal(bytes_of(&model, 2), 0);
	policy_fini(&model.policy);
}

static void test_epoch__capacity_lowered__what_is_too_much_gives_way(void **state)
{
	static struct cache_model model;

	(void)state;
	make_two_datasets(&model);
	pass(&model, 0, ITEMS_MAX / 2);
	assert_int_equal(bytes_of(&model, 1), model.capacity);
	model.capacity /= 4;
	evict(&model);
	assert_true(model.used <= model.capacity);
	assert_true(model.used > 0);
	policy_fini(&model.policy);
}

static void test_epoch__three_datasets__the_least_recently_used_gives_way(void **state)
{
	struct policy policy;
	struct policy_space space = { .capacity = 1600, .high = 1600, .low = 1500, .used = 1600 };
	struct policy_victim victim;

	(void)state;
	assert_int_equal(policy_init(&policy, CACHE_POLICY_EPOCH), 0);
	for (uint32_t i = 1; i <= 3; i++) {
		char name[8];

		snprintf(name, sizeof(name), "/%u", i);
		assert_int_equal(datasets_number(&policy.datasets, name), i);
		datasets_add(&policy.datasets, i, 500);
	}
	datasets_touch(&policy.datasets, 1);
	datasets_refuse(&policy.datasets, 3, 99);
	assert_int_equal(policy.ops->victim(&policy, &space).kind, POLICY_NOBODY);
	datasets_refuse(&policy.datasets, 3, 1);
	victim = policy.ops->victim(&policy, &space);
	assert_int_equal(victim.kind, POLICY_DATASET);
	assert_int_equal(victim.dataset, 2);
	/* Its own refusals never make a dataset give way. */
	datasets_refuse(&policy.datasets, 3, 100000);
	datasets_touch(&policy.datasets, 1);
	datasets_touch(&policy.datasets, 2);
	assert_int_equal(policy.ops->victim(&policy, &space).kind, POLICY_NOBODY);
	policy_fini(&policy);
}

static void test_admit__something_obsolete__makes_room_above_the_watermark(void **state)
{
	struct policy_space space = { .capacity = 1000, .high = 950, .low = 900, .used = 950 };
	struct policy policy;
	bool evict_wanted;

	(void)state;
	assert_int_equal(policy_init(&policy, CACHE_POLICY_EPOCH), 0);
	assert_false(policy.ops->admit(&policy, &space, 0, 50, &evict_wanted));
	assert_false(evict_wanted);
	space.spare = true;
	assert_true(policy.ops->admit(&policy, &space, 0, 50, &evict_wanted));
	assert_true(evict_wanted);
	assert_false(policy.ops->admit(&policy, &space, 0, 51, &evict_wanted));
	assert_true(evict_wanted);
	policy_fini(&policy);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_policies__reshuffled_epochs__keeping_beats_lru),
		cmocka_unit_test(test_epoch__another_dataset__the_unused_one_gives_way),
		cmocka_unit_test(test_epoch__both_in_use__nobody_gives_way),
		cmocka_unit_test(test_epoch__capacity_lowered__what_is_too_much_gives_way),
		cmocka_unit_test(test_epoch__three_datasets__the_least_recently_used_gives_way),
		cmocka_unit_test(test_admit__something_obsolete__makes_room_above_the_watermark),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
