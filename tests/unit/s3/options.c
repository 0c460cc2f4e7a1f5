/*
 * Tests of the option table: defaults, and that every setting can be set.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#include "s3/s3.h"

static void test_s3_options__defaults(void **state)
{
	struct s3_config config;

	(void)state;
	assert_int_equal(option_defaults(&s3_options, &config), 0);
	assert_null(config.endpoint);
	assert_string_equal(config.region, "us-east-1");
	assert_int_equal(config.addressing, S3_ADDRESSING_PATH);
	assert_null(config.ca_file);
	assert_null(config.proxy);
	assert_int_equal(config.credentials.source, S3_CREDENTIALS_AUTO);
	assert_null(config.credentials.secret_key);
	assert_int_equal(config.threads, 2);
	assert_int_equal(config.connections, 16);
	assert_int_equal(config.buffer_len, 512 << 10);
	assert_int_equal(config.connect_timeout, 3 * NS_PER_S);
	assert_int_equal(config.stall_timeout, 5 * NS_PER_S);
	assert_int_equal(config.retry_scale, 100 * NS_PER_MS);
	assert_int_equal(config.part_len, 8 << 20);
	assert_int_equal(config.requests_per_second, 0);
	assert_int_equal(config.bytes_per_second, 0);
	assert_int_equal(config.concurrent_max, 64);
	assert_int_equal(config.queue_max, 65536);
	assert_int_equal(s3_config_memory_max(&config), 32 * ((512 + 96) << 10));
	option_free(&s3_options, &config);
}

static void test_s3_options__secrets__are_not_printed(void **state)
{
	static char secret[] = "geheim";
	struct s3_credentials_config credentials = { .secret_key = secret,
						     .session_token = secret };
	const struct option_group *group = NULL;

	(void)state;
	for (unsigned i = 0; i < s3_options.count; i++)
		if (s3_options.options[i].type == OPTION_STRUCT)
			group = s3_options.options[i].group;
	assert_non_null(group);
	for (unsigned i = 0; group && i < group->count; i++) {
		char text[256];
		option_value_text(&group->options[i], &credentials, text, sizeof(text));
		assert_null(strstr(text, secret));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_s3_options__defaults),
		cmocka_unit_test(test_s3_options__secrets__are_not_printed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
