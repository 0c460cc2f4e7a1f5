/*
 * Tests of tools/setting.h.
 */
#include "tools/setting.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/check.h"
#include "base/config.h"

struct part {
	char *id;
	char *secret;
	int64_t speed;
};

struct whole {
	uint64_t memory;
	struct part inner;
	struct option_structs parts;
	struct option_strings words;
};

static const struct option part_table[] = {
	OPTION(struct part, id, OPTION_STRING, .help = "h"),
	OPTION(struct part, secret, OPTION_STRING, .flags = OPTION_SECRET, .help = "h"),
	OPTION(struct part, speed, OPTION_INT, .default_text = "1", .flags = OPTION_LIVE,
	       .help = "h"),
};
static const struct option_group part_options = OPTION_GROUP_OF("part", struct part, part_table);
static const struct option whole_table[] = {
	OPTION(struct whole, memory, OPTION_BYTES, .default_text = "1 GiB", .help = "h"),
	OPTION(struct whole, inner, OPTION_STRUCT, .group = &part_options, .help = "h"),
	OPTION(struct whole, parts, OPTION_STRUCTS, .group = &part_options, .help = "h"),
	OPTION(struct whole, words, OPTION_STRINGS, .flags = OPTION_LIVE, .help = "h"),
};
static const struct option_group whole_options =
	OPTION_GROUP_OF("whole", struct whole, whole_table);

static void load(const char *text, struct whole *out)
{
	char problem[OPTION_PROBLEM_MAX];

	if (config_load_text(text, "test", &whole_options, out, problem, sizeof(problem)) != 0)
		fail_msg("%s", problem);
}

/* What setting_diff() said, one line a change. */
struct seen {
	char text[2048];
};

static void see(void *context, const struct setting_change *change)
{
	struct seen *seen = context;
	size_t len = strlen(seen->text);

	snprintf(seen->text + len, sizeof(seen->text) - len, "%s %s->%s%s\n", change->path,
		 change->old_text, change->new_text, change->live ? " live" : "");
}

static void test_diff__of_two_configurations__names_what_differs(void **state)
{
	static const struct {
		const char *old_text, *new_text, *expected;
	} rows[] = {
		{ "", "", "" },
		{ "", "memory = \"1 GiB\";", "" },
		{ "", "memory = \"2 GiB\";", "memory 1 GiB->2 GiB\n" },
		{ "inner = { speed = 4; };", "", "inner.speed 4->1 live\n" },
		{ "", "inner = { id = \"x\"; };", "inner.id ->x\n" },
		{ "inner = { secret = \"a\"; };", "inner = { secret = \"b\"; };",
		  "inner.secret (secret)->(secret)\n" },
		{ "words = [ \"a\", \"b\" ];", "words = [ \"a\" ];", "words a, b->a live\n" },
		/* an order is no change, an element is one */
		{ "parts = ( { id = \"a\"; }, { id = \"b\"; } );",
		  "parts = ( { id = \"b\"; }, { id = \"a\"; } );", "" },
		{ "parts = ( { id = \"a\"; } );", "parts = ( { id = \"a\"; speed = 9; } );",
		  "parts[a].speed 1->9 live\n" },
		{ "parts = ( { id = \"a\"; speed = 3; } );", "parts = ( { id = \"b\"; } );",
		  "parts[a] present->absent\nparts[b] absent->present\n" },
		{ "parts = ( { id = \"a\"; } );",
		  "parts = ( { id = \"a\"; }, { id = \"aa\"; speed = 4; } );",
		  "parts[aa] absent->present\n" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct whole old, new;
		struct seen seen = { "" };
		unsigned lines = 0;
		int count;

		load(rows[i].old_text, &old);
		load(rows[i].new_text, &new);
		count = setting_diff(&whole_options, &old, &new, see, &seen);
		assert_string_equal(seen.text, rows[i].expected);
		for (const char *c = seen.text; *c; c++)
			lines += *c == '\n';
		assert_int_equal(count, lines);
		option_free(&whole_options, &old);
		option_free(&whole_options, &new);
	}
}

static void test_list__of_a_configuration__finds_the_secrets_that_are_set(void **state)
{
	struct setting_list list;
	struct whole whole;
	unsigned found = 0;

	(void)state;
	load("inner = { id = \"x\"; };"
	     "parts = ( { id = \"a\"; }, { id = \"b\"; secret = \"s\"; } );",
	     &whole);
	assert_int_equal(setting_list_make(&whole_options, &whole, &list), 0);
	for (unsigned i = 0; i < list.count; i++) {
		if (!setting_is_secret_set(&list.items[i]))
			continue;
		assert_string_equal(list.items[i].path, "parts[b].secret");
		found++;
	}
	assert_int_equal(found, 1);
	setting_list_free(&list);
	option_free(&whole_options, &whole);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_diff__of_two_configurations__names_what_differs),
		cmocka_unit_test(test_list__of_a_configuration__finds_the_secrets_that_are_set),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
