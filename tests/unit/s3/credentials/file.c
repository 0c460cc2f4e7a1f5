/*
 * Tests of file.h: the shared credentials file.
 */
#include "s3/credentials/file.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#include "base/check.h"

static const char file[] = "# comment\n"
			   "aws_access_key_id = outside\n"
			   "[default]\n"
			   "aws_access_key_id = AKDEFAULT\n"
			   "aws_secret_access_key=s/e+c=ret\r\n"
			   "region = eu-west-1\n"
			   "\n"
			   "  [ with token ]  \n"
			   "; comment\n"
			   "aws_access_key_id\t=\tAKTOKEN\t\n"
			   "aws_secret_access_key = secret\n"
			   "aws_session_token = token==\n"
			   "[profile named]\n"
			   "aws_access_key_id = OLD\n"
			   "aws_access_key_id = AKNAMED\n"
			   "aws_secret_access_key = secret\n"
			   "[half]\n"
			   "aws_access_key_id = AKHALF\n"
			   "[odd]\n"
			   "aws_access_key_id = A K\n"
			   "aws_secret_access_key = secret\n"
			   "[last]\n"
			   "aws_secret_access_key = secret\n"
			   "aws_access_key_id = AKLAST";

static void test_credentials_parse_file__rows(void **state)
{
	static const struct {
		const char *profile;
		int error;
		const char *access_key, *secret_key, *session_token, *problem;
	} rows[] = {
		{ "default", 0, "AKDEFAULT", "s/e+c=ret", NULL, NULL },
		{ "with token", 0, "AKTOKEN", "secret", "token==", NULL },
		{ "named", 0, "AKNAMED", "secret", NULL, NULL },
		{ "last", 0, "AKLAST", "secret", NULL, NULL },
		{ "half", -EINVAL, NULL, NULL, NULL, "secret key" },
		{ "odd", -EINVAL, NULL, NULL, NULL, "access key" },
		{ "missing", -ENOENT, NULL, NULL, NULL, "no profile [missing]" },
		{ "profile named", 0, "AKNAMED", "secret", NULL, NULL },
		{ "", -ENOENT, NULL, NULL, NULL, "no profile" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct credentials *out = NULL;
		char problem[256] = "";
		assert_int_equal(credentials_parse_file(file, rows[i].profile, &out, problem,
							sizeof(problem)),
				 rows[i].error);
		if (rows[i].error) {
			assert_null(out);
			assert_non_null(strstr(problem, rows[i].problem));
			continue;
		}
		assert_string_equal(out->access_key, rows[i].access_key);
		assert_string_equal(out->secret_key, rows[i].secret_key);
		if (rows[i].session_token)
			assert_string_equal(out->session_token, rows[i].session_token);
		else
			assert_null(out->session_token);
		assert_true(out->expires_s == CREDENTIALS_NEVER);
		credentials_put(out);
	}
}

static void test_credentials_parse_file__not_such_a_file__has_no_profile(void **state)
{
	static const char *const texts[] = { "",	 "\n\n", "[",	   "[]",
					     "[default", "=",	 "]\n[x]", "default" };

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(texts); i++) {
		struct credentials *out = NULL;
		char problem[256] = "";
		assert_int_equal(
			credentials_parse_file(texts[i], "default", &out, problem, sizeof(problem)),
			-ENOENT);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_credentials_parse_file__rows),
		cmocka_unit_test(test_credentials_parse_file__not_such_a_file__has_no_profile),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
