/*
 * Tests of snapshots (credentials.h).
 */
#include "s3/credentials/credentials.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#include "tests/unit/base/allocation_fault.h"
#include "base/check.h"

static void test_credentials_create__strings__are_copied_and_counted(void **state)
{
	struct credentials *out = NULL;
	char key[] = "AK", problem[256];

	(void)state;
	assert_int_equal(credentials_create(key, "secret", "", 5, &out, problem, sizeof(problem)),
			 0);
	key[0] = 'x';
	assert_string_equal(out->access_key, "AK");
	assert_null(out->session_token);
	assert_false(out->anonymous);
	assert_ptr_equal(credentials_get(out), out);
	credentials_put(out);
	assert_string_equal(out->secret_key, "secret");
	credentials_put(out);
	credentials_put(NULL);
}

static void test_credentials_create__what_no_header_can_carry__is_refused(void **state)
{
	static const struct {
		const char *access_key, *secret_key, *session_token, *problem;
	} rows[] = {
		{ "", "s", NULL, "access key" },       { "A K", "s", NULL, "access key" },
		{ "A,K", "s", NULL, "access key" },    { "A\nK", "s", NULL, "access key" },
		{ "A\xc3K", "s", NULL, "access key" }, { "AK", "", NULL, "secret key" },
		{ "AK", "s\r", NULL, "secret key" },   { "AK", "s", "t\nX-Evil: 1", "token" },
	};
	char overlong[CREDENTIALS_KEY_MAX + 1] = "", problem[256];
	struct credentials *out = NULL;

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		assert_int_equal(credentials_create(rows[i].access_key, rows[i].secret_key,
						    rows[i].session_token, 0, &out, problem,
						    sizeof(problem)),
				 -EINVAL);
		assert_non_null(strstr(problem, rows[i].problem));
	}
	memset(overlong, 'k', CREDENTIALS_KEY_MAX);
	assert_int_equal(credentials_create(overlong, "s", NULL, 0, &out, problem, sizeof(problem)),
			 -EINVAL);
	assert_null(out);
}

static void test_credentials_create__no_memory__leaves_nothing(void **state)
{
	(void)state;
	for (unsigned n = 1;; n++) {
		struct credentials *out = NULL;
		char problem[256];
		allocation_fault_arm(n);
		int error = credentials_create("AK", "s", "t", 0, &out, problem, sizeof(problem));
		if (!allocation_fault_disarm()) {
			assert_int_equal(error, 0);
			credentials_put(out);
			return;
		}
		assert_int_equal(error, -ENOMEM);
		assert_null(out);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_credentials_create__strings__are_copied_and_counted),
		cmocka_unit_test(test_credentials_create__what_no_header_can_carry__is_refused),
		cmocka_unit_test(test_credentials_create__no_memory__leaves_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
