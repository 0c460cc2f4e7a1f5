/*
 * Tests of sts_xml.h.
 */
#include "s3/credentials/sts_xml.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#include "base/check.h"

#define BEFORE                                                                                     \
	"<AssumeRoleWithWebIdentityResponse xmlns=\"x\"><AssumeRoleWithWebIdentityResult>"         \
	"<AssumedRoleUser><AccessKeyId>no</AccessKeyId></AssumedRoleUser><Credentials>"
#define AFTER "</Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"

static void test_credentials_parse_sts__good(void **state)
{
	static const char text[] = BEFORE "<SessionToken>t&amp;t</SessionToken>"
					  "<SecretAccessKey>geheim</SecretAccessKey>"
					  "<Expiration>2009-10-12T17:50:30Z</Expiration>"
					  "<AccessKeyId>AK</AccessKeyId>" AFTER;
	struct credentials *out = NULL;
	char problem[256];

	(void)state;
	assert_int_equal(credentials_parse_sts(text, strlen(text), &out, problem, sizeof(problem)),
			 0);
	assert_string_equal(out->access_key, "AK");
	assert_string_equal(out->secret_key, "geheim");
	assert_string_equal(out->session_token, "t&t");
	assert_int_equal(out->expires_s, 1255369830);
	credentials_put(out);
}

static void test_credentials_parse_sts__bad__is_refused_without_repeating_it(void **state)
{
	static const struct {
		const char *text, *problem;
	} rows[] = {
		{ "", "XML" },
		{ "geheim", "XML" },
		{ "<a/>", "access key" },
		{ BEFORE AFTER, "access key" },
		{ BEFORE "<AccessKeyId>AK</AccessKeyId>" AFTER, "secret key" },
		{ BEFORE "<AccessKeyId>AK</AccessKeyId><SecretAccessKey>geheim</SecretAccessKey>"
			 "<Expiration>soon</Expiration>" AFTER,
		  "Expiration" },
		{ "<!DOCTYPE a [<!ENTITY e \"geheim\">]>" BEFORE AFTER, "XML" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct credentials *out = NULL;
		char problem[256] = "";
		assert_int_equal(credentials_parse_sts(rows[i].text, strlen(rows[i].text), &out,
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
		cmocka_unit_test(test_credentials_parse_sts__good),
		cmocka_unit_test(test_credentials_parse_sts__bad__is_refused_without_repeating_it),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
