/*
 * Tests of json.h.
 */
#include "s3/credentials/json.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#include "base/check.h"

static void test_credentials_parse_json__good(void **state)
{
	static const char text[] =
		"{\"Code\": \"Success\", \"Type\": \"AWS-HMAC\", \"AccessKeyId\": \"AK\","
		"\"SecretAccessKey\": \"s/+\", \"Token\": \"t==\","
		"\"Expiration\": \"2009-10-12T17:50:30Z\"}";
	struct credentials *out = NULL;
	char problem[256];

	(void)state;
	assert_int_equal(credentials_parse_json(text, strlen(text), &out, problem, sizeof(problem)),
			 0);
	assert_string_equal(out->access_key, "AK");
	assert_string_equal(out->secret_key, "s/+");
	assert_string_equal(out->session_token, "t==");
	assert_int_equal(out->expires_s, 1255369830);
	credentials_put(out);
}

static void test_credentials_parse_json__bad__is_refused_without_repeating_it(void **state)
{
	static const struct {
		const char *text, *problem;
	} rows[] = {
		{ "", "JSON" },
		{ "geheim", "JSON" },
		{ "[\"geheim\"]", "JSON" },
		{ "{\"AccessKeyId\": \"AK\"", "JSON" },
		{ "{}", "access key" },
		{ "{\"AccessKeyId\": 5, \"SecretAccessKey\": \"geheim\"}", "access key" },
		{ "{\"AccessKeyId\": \"AK\"}", "secret key" },
		{ "{\"AccessKeyId\": \"AK\", \"SecretAccessKey\": \"geheim\\r\\nX: y\"}",
		  "secret key" },
		{ "{\"AccessKeyId\": \"AK\", \"SecretAccessKey\": \"geheim\","
		  "\"Expiration\": \"soon\"}",
		  "Expiration" },
		{ "{\"Code\": \"Failed\", \"AccessKeyId\": \"AK\","
		  "\"SecretAccessKey\": \"geheim\"}",
		  "Code Failed" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct credentials *out = NULL;
		char problem[256] = "";
		assert_int_equal(credentials_parse_json(rows[i].text, strlen(rows[i].text), &out,
							problem, sizeof(problem)),
				 -EINVAL);
		assert_non_null(strstr(problem, rows[i].problem));
		assert_null(strstr(problem, "geheim"));
		assert_null(out);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_credentials_parse_json__good),
		cmocka_unit_test(test_credentials_parse_json__bad__is_refused_without_repeating_it),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
