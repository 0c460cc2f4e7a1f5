/*
 * Tests of tools/daemon/upgrade.h.
 */
#include "tools/daemon/upgrade.h"

#include <errno.h>
#include <jansson.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "tools/control.h"

static int setup(void **state)
{
	struct upgrade *upgrade;

	assert_int_equal(upgrade_create(&upgrade), 0);
	*state = upgrade;
	return 0;
}

static int teardown(void **state)
{
	upgrade_destroy(*state);
	return 0;
}

/* Return: the error of the answer to a request for @file. */
static int ask(struct upgrade *upgrade, bool alone, const char *file)
{
	struct control_request request = { .command = CONTROL_UPGRADE };
	char problem[CONTROL_PROBLEM_MAX];
	json_t *result = NULL;
	char *line;
	int error;

	strcpy(request.file, file);
	line = upgrade_answer(upgrade, alone, &request);
	assert_non_null(line);
	error = control_answer_decode(line, strlen(line) - 1, &result, problem, sizeof(problem));
	json_decref(result);
	free(line);
	return error;
}

static void assert_told(struct upgrade *upgrade, const char *state, const char *problem)
{
	json_t *json = upgrade_json(upgrade);

	assert_string_equal(json_string_value(json_object_get(json, "state")), state);
	assert_string_equal(json_string_value(json_object_get(json, "problem")), problem);
	json_decref(json);
}

static void test_answer__asked__the_main_thread_gets_it_once(void **state)
{
	struct pollfd readable = { .fd = upgrade_fd(*state), .events = POLLIN };
	char program[UPGRADE_PROGRAM_MAX];

	assert_told(*state, "none", "");
	assert_false(upgrade_take(*state, program));
	assert_int_equal(ask(*state, false, "/new/cenoted"), 0);
	assert_int_equal(poll(&readable, 1, 0), 1);
	assert_true(upgrade_take(*state, program));
	assert_string_equal(program, "/new/cenoted");
	assert_told(*state, "trying", "");
	assert_int_equal(poll(&readable, 1, 0), 0);
	assert_false(upgrade_take(*state, program));
}

static void test_answer__one_under_way__is_busy(void **state)
{
	char program[UPGRADE_PROGRAM_MAX];

	assert_int_equal(ask(*state, false, ""), 0);
	assert_int_equal(ask(*state, false, ""), -EBUSY);
	assert_true(upgrade_take(*state, program));
	assert_int_equal(ask(*state, false, ""), -EBUSY);
	upgrade_end(*state, UPGRADE_LEAVING, "");
	assert_told(*state, "leaving", "");
	assert_int_equal(ask(*state, false, ""), -EBUSY);
}

static void test_answer__after_a_refusal__may_be_asked_again(void **state)
{
	char program[UPGRADE_PROGRAM_MAX];

	assert_int_equal(ask(*state, false, "/a"), 0);
	assert_true(upgrade_take(*state, program));
	upgrade_end(*state, UPGRADE_REFUSED, "no such directory");
	assert_told(*state, "refused", "no such directory");
	assert_int_equal(ask(*state, false, "/b"), 0);
	assert_told(*state, "trying", "");
	assert_true(upgrade_take(*state, program));
	assert_string_equal(program, "/b");
}

static void test_answer__no_keeper__says_so(void **state)
{
	char program[UPGRADE_PROGRAM_MAX];

	assert_int_equal(ask(*state, true, ""), -ENOENT);
	assert_false(upgrade_take(*state, program));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_answer__asked__the_main_thread_gets_it_once),
		TEST(test_answer__one_under_way__is_busy),
		TEST(test_answer__after_a_refusal__may_be_asked_again),
		TEST(test_answer__no_keeper__says_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
