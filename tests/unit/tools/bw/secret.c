/*
 * Tests of tools/bw/secret.h.
 */
#include "tools/bw/secret.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "tools/bw/options.h"

#define KEY_TEXT "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static char problem[SECRET_PROBLEM_MAX];

static void key_of(struct keyring *ring, struct keyring_key *out)
{
	assert_int_equal(keyring_used(ring, out), 0);
}

static void test_load__environment__the_key_and_the_variable_is_gone(void **state)
{
	struct keyring_key key;
	struct keyring *ring;

	(void)state;
	setenv(BW_SECRET_VARIABLE, KEY_TEXT, 1);
	assert_int_equal(secret_load(NULL, &ring, problem, sizeof(problem)), 0);
	assert_null(getenv(BW_SECRET_VARIABLE));
	key_of(ring, &key);
	assert_int_equal(key.key[1], 0x11);
	keyring_destroy(ring);
}

static void test_load__neither_file_nor_environment__says_how_to_make_one(void **state)
{
	struct keyring *ring;

	(void)state;
	unsetenv(BW_SECRET_VARIABLE);
	assert_int_equal(secret_load(NULL, &ring, problem, sizeof(problem)), -ENOKEY);
	assert_non_null(strstr(problem, "--secret-file"));
	assert_non_null(strstr(problem, "openssl rand"));
}

static void test_load__no_key__named_but_not_quoted(void **state)
{
	struct keyring *ring;

	(void)state;
	setenv(BW_SECRET_VARIABLE, "hunter2hunter2", 1);
	assert_int_equal(secret_load(NULL, &ring, problem, sizeof(problem)), -EINVAL);
	assert_non_null(strstr(problem, BW_SECRET_VARIABLE));
	assert_null(strstr(problem, "hunter2"));
}

static void test_load__no_such_file__says_so(void **state)
{
	struct keyring *ring;

	(void)state;
	assert_int_equal(secret_load("/nonexistent/key", &ring, problem, sizeof(problem)), -ENOENT);
	assert_non_null(strstr(problem, "/nonexistent/key"));
}

static void test_make__its_text__loads_to_the_same_key(void **state)
{
	struct keyring_key made, loaded;
	struct keyring *ring, *again;
	char text[SECRET_TEXT_MAX];

	(void)state;
	assert_int_equal(secret_make(&ring, text), 0);
	setenv(BW_SECRET_VARIABLE, text, 1);
	assert_int_equal(secret_load(NULL, &again, problem, sizeof(problem)), 0);
	key_of(ring, &made);
	key_of(again, &loaded);
	assert_memory_equal(made.key, loaded.key, sizeof(made.key));
	keyring_destroy(ring);
	keyring_destroy(again);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_load__environment__the_key_and_the_variable_is_gone),
		cmocka_unit_test(test_load__neither_file_nor_environment__says_how_to_make_one),
		cmocka_unit_test(test_load__no_key__named_but_not_quoted),
		cmocka_unit_test(test_load__no_such_file__says_so),
		cmocka_unit_test(test_make__its_text__loads_to_the_same_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
