/*
 * Tests of option.h: defaults, release, comparison, the walk.
 */
#include "base/option.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "tests/unit/base/allocation_fault.h"

struct inner {
	char *name;
	uint64_t size;
	struct option_strings list;
};

struct outer {
	char *name;
	bool flag;
	int choice;
	uint32_t mode;
	int64_t number;
	struct inner inner;
	struct option_structs many;
};

static const char *const colours[] = { "red", "green", NULL };

static const struct option inner_options[] = {
	OPTION(struct inner, name, OPTION_STRING, .default_text = "inner"),
	OPTION(struct inner, size, OPTION_BYTES, .default_text = "4 KiB"),
	OPTION(struct inner, list, OPTION_STRINGS, .default_text = "first"),
};
static const struct option_group inner_group =
	OPTION_GROUP_OF("inner", struct inner, inner_options);

static const struct option outer_options[] = {
	OPTION(struct outer, name, OPTION_STRING, .default_text = "outer", .flags = OPTION_SECRET),
	OPTION(struct outer, flag, OPTION_BOOL, .default_text = "true"),
	OPTION(struct outer, choice, OPTION_CHOICE, .choices = colours, .default_text = "green"),
	OPTION(struct outer, mode, OPTION_MODE, .default_text = "0755"),
	OPTION(struct outer, number, OPTION_INT),
	OPTION(struct outer, inner, OPTION_STRUCT, .group = &inner_group),
	OPTION(struct outer, many, OPTION_STRUCTS, .group = &inner_group),
};
static const struct option_group outer_group =
	OPTION_GROUP_OF("outer", struct outer, outer_options);

static void make(struct outer *outer)
{
	memset(outer, 0xee, sizeof(*outer));
	assert_int_equal(option_defaults(&outer_group, outer), 0);
}

/* With one element in many. */
static void make_with_element(struct outer *outer)
{
	make(outer);
	outer->many.items = malloc(sizeof(struct inner));
	assert_non_null(outer->many.items);
	assert_int_equal(option_defaults(&inner_group, outer->many.items), 0);
	outer->many.count = 1;
}

static void test_option_defaults__nested__are_all_filled_in(void **state)
{
	struct outer outer;

	(void)state;
	make(&outer);
	assert_string_equal(outer.name, "outer");
	assert_true(outer.flag);
	assert_int_equal(outer.choice, 1);
	assert_int_equal(outer.mode, 0755);
	assert_int_equal(outer.number, 0);
	assert_string_equal(outer.inner.name, "inner");
	assert_int_equal(outer.inner.size, 4096);
	assert_int_equal(outer.inner.list.count, 1);
	assert_string_equal(outer.inner.list.items[0], "first");
	assert_int_equal(outer.many.count, 0);
	option_free(&outer_group, &outer);
	assert_null(outer.inner.name);
	option_free(&outer_group, &outer); /* of a zeroed one: nothing to do */
}

static void test_option_defaults__each_allocation_fails__leaks_nothing(void **state)
{
	struct outer outer;
	unsigned swept;

	(void)state;
	for (swept = 1;; swept++) {
		int error;

		allocation_fault_arm(swept);
		error = option_defaults(&outer_group, &outer);
		if (!allocation_fault_disarm()) {
			assert_int_equal(error, 0);
			break;
		}
		assert_int_equal(error, -ENOMEM);
		assert_null(outer.name);
		assert_null(outer.inner.name);
	}
	assert_int_equal(swept, 5); /* three texts and a list's array came before */
	option_free(&outer_group, &outer);
}

static void test_option_free__elements_of_a_list__are_released(void **state)
{
	struct outer outer;

	(void)state;
	make_with_element(&outer);
	option_free(&outer_group, &outer); /* the leak checker of the asan build judges */
	assert_null(outer.many.items);
	assert_int_equal(outer.many.count, 0);
}

static const struct option *find(const char *name)
{
	const struct option *option = option_find(&outer_group, name);

	assert_non_null(option);
	return option;
}

static void test_option_find__names__are_exact(void **state)
{
	(void)state;
	assert_ptr_equal(find("flag"), &outer_options[1]);
	assert_null(option_find(&outer_group, "fla"));
	assert_null(option_find(&outer_group, "flags"));
	assert_null(option_find(&outer_group, "size"));
	assert_null(option_find(&outer_group, ""));
}

static bool equal(const struct outer *a, const struct outer *b, const char *changed)
{
	for (unsigned i = 0; i < outer_group.count; i++) {
		const struct option *option = &outer_options[i];

		if (strcmp(option->name, changed) != 0 && !option_equal(option, a, b))
			return false;
	}
	return option_equal(find(changed), a, b);
}

static void set(struct outer *outer, const char *name, const char *text)
{
	char problem[OPTION_PROBLEM_MAX];

	assert_int_equal(option_set_text(find(name), outer, text, problem, sizeof(problem)), 0);
}

static void test_option_equal__each_type_changed__is_seen_in_that_option_alone(void **state)
{
	static const struct {
		const char *name, *text;
	} rows[] = {
		{ "name", "other" }, { "flag", "no" },	 { "choice", "red" },
		{ "mode", "0700" },  { "number", "-1" },
	};
	struct outer a, b;

	(void)state;
	make_with_element(&a);
	make_with_element(&b);
	assert_true(equal(&a, &b, "name"));
	for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
		set(&b, rows[i].name, rows[i].text);
		assert_false(equal(&a, &b, rows[i].name));
		set(&a, rows[i].name, rows[i].text);
		assert_true(equal(&a, &b, rows[i].name));
	}
	option_free(&outer_group, &a);
	option_free(&outer_group, &b);
}

static void test_option_equal__inside_groups_and_lists__is_seen(void **state)
{
	struct inner *element;
	struct outer a, b;

	(void)state;
	make_with_element(&a);
	make_with_element(&b);
	b.inner.size++;
	assert_false(option_equal(find("inner"), &a, &b));
	b.inner.size--;
	b.inner.list.items[0][0] = 'F';
	assert_false(option_equal(find("inner"), &a, &b));
	b.inner.list.items[0][0] = 'f';
	assert_true(option_equal(find("inner"), &a, &b));
	element = b.many.items;
	element->size++;
	assert_false(option_equal(find("many"), &a, &b));
	element->size--;
	free(element->name);
	element->name = NULL;
	assert_false(option_equal(find("many"), &a, &b));
	assert_false(option_equal(find("many"), &b, &a));
	free(element->list.items[0]);
	element->list.count = 0;
	assert_false(option_equal(find("many"), &a, &b));
	option_free(&inner_group, element);
	b.many.count = 0;
	assert_false(option_equal(find("many"), &a, &b));
	option_free(&outer_group, &a);
	option_free(&outer_group, &b);
}

struct walked {
	char text[256];
	unsigned stop_at;
};

static int visit(const struct option_visit *visited, void *context)
{
	struct walked *walked = context;
	size_t len = strlen(walked->text);

	snprintf(walked->text + len, sizeof(walked->text) - len, "%u:%s ", visited->index,
		 visited->path);
	return visited->index == walked->stop_at ? 77 : 0;
}

static void test_option_walk__nested__visits_in_order_with_paths(void **state)
{
	struct walked walked = { .stop_at = 1000 };

	(void)state;
	assert_int_equal(option_walk(&outer_group, visit, &walked), 0);
	assert_string_equal(walked.text, "0:name 1:flag 2:choice 3:mode 4:number 5:inner.name "
					 "6:inner.size 7:inner.list 8:many ");
}

static void test_option_walk__a_visit_says_stop__ends_there(void **state)
{
	struct walked walked = { .stop_at = 6 };

	(void)state;
	assert_int_equal(option_walk(&outer_group, visit, &walked), 77);
	assert_non_null(strstr(walked.text, "6:inner.size "));
	assert_null(strstr(walked.text, "7:"));
}

static int visit_offset(const struct option_visit *visited, void *context)
{
	if (strcmp(visited->path, "inner.size") == 0)
		*(size_t *)context = visited->offset;
	return 0;
}

static void test_option_walk__offsets__are_in_the_outermost_struct(void **state)
{
	size_t offset = 0;

	(void)state;
	option_walk(&outer_group, visit_offset, &offset);
	assert_int_equal(offset, offsetof(struct outer, inner) + offsetof(struct inner, size));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_option_defaults__nested__are_all_filled_in),
		cmocka_unit_test(test_option_defaults__each_allocation_fails__leaks_nothing),
		cmocka_unit_test(test_option_free__elements_of_a_list__are_released),
		cmocka_unit_test(test_option_find__names__are_exact),
		cmocka_unit_test(
			test_option_equal__each_type_changed__is_seen_in_that_option_alone),
		cmocka_unit_test(test_option_equal__inside_groups_and_lists__is_seen),
		cmocka_unit_test(test_option_walk__nested__visits_in_order_with_paths),
		cmocka_unit_test(test_option_walk__a_visit_says_stop__ends_there),
		cmocka_unit_test(test_option_walk__offsets__are_in_the_outermost_struct),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
