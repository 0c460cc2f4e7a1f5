/*
 * Tests of uri.h.
 */
#include "s3/wire/uri.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#include "base/check.h"

static void test_uri_encode__rows(void **state)
{
	static const struct {
		const char *in, *path, *value;
	} rows[] = {
		{ "", "", "" },
		{ "plain-._~09AZaz", "plain-._~09AZaz", "plain-._~09AZaz" },
		{ "a b", "a%20b", "a%20b" },
		{ "a+b", "a%2Bb", "a%2Bb" },
		{ "100%", "100%25", "100%25" },
		{ "%20", "%2520", "%2520" },
		{ "a/b//c", "a/b//c", "a%2Fb%2F%2Fc" },
		{ "/../.", "/../.", "%2F..%2F." },
		{ "\xc3\xbc\xe6\x97\xa5", "%C3%BC%E6%97%A5", "%C3%BC%E6%97%A5" },
		{ "\x01\x7f\xff", "%01%7F%FF", "%01%7F%FF" },
		{ "?#&=*'\"<>", "%3F%23%26%3D%2A%27%22%3C%3E", "%3F%23%26%3D%2A%27%22%3C%3E" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct text out = { 0 };
		uri_encode(&out, rows[i].in, strlen(rows[i].in), true);
		assert_string_equal(text_get(&out), rows[i].path);
		text_reset(&out);
		uri_encode(&out, rows[i].in, strlen(rows[i].in), false);
		assert_string_equal(text_get(&out), rows[i].value);
		text_fini(&out);
	}
}

static void test_uri_decode__rows(void **state)
{
	static const struct {
		const char *in;
		bool plus_is_space;
		ssize_t len;
		const char *out;
	} rows[] = {
		{ "", false, 0, "" },
		{ "a%20b", false, 3, "a b" },
		{ "a+b", false, 3, "a+b" },
		{ "a+b", true, 3, "a b" },
		{ "%2B+%2b", true, 3, "+ +" },
		{ "%C3%bc", false, 2, "\xc3\xbc" },
		{ "%00x", false, 2, "" },
		{ "%", false, -EINVAL, NULL },
		{ "%2", false, -EINVAL, NULL },
		{ "%2g", false, -EINVAL, NULL },
		{ "%g2", false, -EINVAL, NULL },
		{ "%%20", false, -EINVAL, NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		char text[32];
		size_t len = strlen(rows[i].in);
		memcpy(text, rows[i].in, len + 1);
		assert_int_equal(uri_decode(text, len, rows[i].plus_is_space), rows[i].len);
		if (rows[i].out)
			assert_string_equal(text, rows[i].out);
	}
}

static void test_uri_decode__any_bytes_encoded__are_given_back(void **state)
{
	struct text out = { 0 };
	char all[256];

	(void)state;
	for (int i = 0; i < 256; i++)
		all[i] = (char)i;
	uri_encode(&out, all, sizeof(all), false);
	assert_int_equal(uri_decode(out.data, out.len, true), sizeof(all));
	assert_memory_equal(out.data, all, sizeof(all));
	text_fini(&out);
}

static void test_endpoint_parse__good(void **state)
{
	static const struct {
		const char *url;
		bool tls, numeric;
		int port;
		const char *host, *authority;
	} rows[] = {
		{ "http://127.0.0.1:9000", false, true, 9000, "127.0.0.1", "127.0.0.1:9000" },
		{ "http://host", false, false, 80, "host", "host" },
		{ "http://host:80/", false, false, 80, "host", "host" },
		{ "https://s3.eu-west-1.amazonaws.com", true, false, 443,
		  "s3.eu-west-1.amazonaws.com", "s3.eu-west-1.amazonaws.com" },
		{ "HTTPS://h:443", true, false, 443, "h", "h" },
		{ "https://h:80", true, false, 80, "h", "h:80" },
		{ "http://[::1]:9000", false, true, 9000, "[::1]", "[::1]:9000" },
		{ "http://[fe80::1]", false, true, 80, "[fe80::1]", "[fe80::1]" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct endpoint out;
		char problem[256];
		assert_int_equal(endpoint_parse(rows[i].url, &out, problem, sizeof(problem)), 0);
		assert_int_equal(out.tls, rows[i].tls);
		assert_int_equal(out.numeric, rows[i].numeric);
		assert_int_equal(out.port, rows[i].port);
		assert_string_equal(out.host, rows[i].host);
		assert_string_equal(out.authority, rows[i].authority);
	}
}

static void test_endpoint_parse__bad__is_refused_with_a_reason(void **state)
{
	static const struct {
		const char *url, *reason;
	} rows[] = {
		{ "", "scheme" },
		{ "host:9000", "scheme" },
		{ "ftp://host", "scheme" },
		{ "http://", "host" },
		{ "http://:80", "host" },
		{ "http://a b", "host" },
		{ "http://a_b!c", "host" },
		{ "http://.host", "host" },
		{ "http://[::1", "host" },
		{ "http://[xx]", "host" },
		{ "http://[]", "host" },
		{ "http://h:", "port" },
		{ "http://h:0", "port" },
		{ "http://h:65536", "port" },
		{ "http://h:123456", "port" },
		{ "http://h:8a", "port" },
		{ "http://h/path", "path" },
		{ "http://h?x", "path" },
		{ "http://user:geheim@h", "credentials" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct endpoint out;
		char problem[256];
		assert_int_equal(endpoint_parse(rows[i].url, &out, problem, sizeof(problem)),
				 -EINVAL);
		assert_non_null(strstr(problem, rows[i].reason));
		assert_non_null(strstr(problem, "it must look like"));
		assert_null(strstr(problem, "geheim"));
	}
}

static void test_endpoint_locate__rows(void **state)
{
	static const struct {
		const char *bucket, *key;
		bool virtual_host;
		int error;
		const char *authority, *path;
	} rows[] = {
		{ "b", "k", false, 0, "s3.host:9000", "/b/k" },
		{ "b", NULL, false, 0, "s3.host:9000", "/b" },
		{ "b", "/lead//x/../y", false, 0, "s3.host:9000", "/b//lead//x/../y" },
		{ "odd bucket/", "k", false, 0, "s3.host:9000", "/odd%20bucket%2F/k" },
		{ "b", "a b", true, 0, "b.s3.host:9000", "/a%20b" },
		{ "b.c", NULL, true, 0, "b.c.s3.host:9000", "/" },
		{ "b/c", "k", true, -EINVAL, NULL, NULL },
		{ "b@c", "k", true, -EINVAL, NULL, NULL },
		{ "", "k", true, -EINVAL, NULL, NULL },
		{ ".b", "k", true, -EINVAL, NULL, NULL },
		{ "b..c", "k", true, -EINVAL, NULL, NULL },
	};
	struct endpoint endpoint;
	char problem[256];

	(void)state;
	assert_int_equal(endpoint_parse("http://s3.host:9000", &endpoint, problem, sizeof(problem)),
			 0);
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct text authority = { 0 }, path = { 0 };
		assert_int_equal(endpoint_locate(&endpoint, rows[i].virtual_host, rows[i].bucket,
						 rows[i].key, &authority, &path),
				 rows[i].error);
		if (!rows[i].error) {
			assert_string_equal(text_get(&authority), rows[i].authority);
			assert_string_equal(text_get(&path), rows[i].path);
		}
		text_fini(&authority);
		text_fini(&path);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_uri_encode__rows),
		cmocka_unit_test(test_uri_decode__rows),
		cmocka_unit_test(test_uri_decode__any_bytes_encoded__are_given_back),
		cmocka_unit_test(test_endpoint_parse__good),
		cmocka_unit_test(test_endpoint_parse__bad__is_refused_with_a_reason),
		cmocka_unit_test(test_endpoint_locate__rows),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
