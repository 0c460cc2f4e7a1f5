/*
 * Tests of sigv4.h on the examples that AWS publishes for S3 ("Signature Calculations for the
 * Authorization Header", 24 May 2013, access key AKIAIOSFODNN7EXAMPLE), and of what they leave out.
 */
#include "s3/wire/sigv4.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#include "base/check.h"

#define ACCESS_KEY "AKIAIOSFODNN7EXAMPLE"
#define SECRET_KEY "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
#define HOST                                                                                       \
	{                                                                                          \
		"host", "examplebucket.s3.amazonaws.com"                                           \
	}
#define DATE                                                                                       \
	{                                                                                          \
		"x-amz-date", "20130524T000000Z"                                                   \
	}
#define EMPTY                                                                                      \
	{                                                                                          \
		"x-amz-content-sha256", SIGV4_EMPTY_PAYLOAD                                        \
	}
#define MIDNIGHT_2013 INT64_C(1369353600) /* 20130524T000000Z */
#define PUT_HASH      "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072"

static const struct {
	const char *name, *method, *path;
	struct sigv4_pair query[4];
	struct sigv4_pair headers[8];
	const char *payload_hash;
	const char *query_text, *signed_headers, *canonical_hash, *signature;
} published[] = {
	{ "GET object with a range",
	  "GET",
	  "/test.txt",
	  { { 0 } },
	  { HOST, { "range", "bytes=0-9" }, EMPTY, DATE },
	  SIGV4_EMPTY_PAYLOAD,
	  "",
	  "host;range;x-amz-content-sha256;x-amz-date",
	  "7344ae5b7ee6c3e7e6b0fe0640412a37625d1fbfff95c48bbb2dc43964946972",
	  "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41" },
	{ "PUT object",
	  "PUT",
	  "/test%24file.text",
	  { { 0 } },
	  { { "date", "Fri, 24 May 2013 00:00:00 GMT" },
	    HOST,
	    DATE,
	    { "x-amz-storage-class", "REDUCED_REDUNDANCY" },
	    { "x-amz-content-sha256", PUT_HASH } },
	  PUT_HASH,
	  "",
	  "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
	  "9e0e90d9c76de8fa5b200d8c849cd5b8dc7a3be3951ddb7f6a76b4158342019d",
	  "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd" },
	{ "GET ?lifecycle",
	  "GET",
	  "/",
	  { { "lifecycle", "" } },
	  { DATE, EMPTY, HOST },
	  SIGV4_EMPTY_PAYLOAD,
	  "lifecycle=",
	  "host;x-amz-content-sha256;x-amz-date",
	  "9766c798316ff2757b517bc739a67f6213b4ab36dd5da2f94eaebf79c77395ca",
	  "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543" },
	{ "list objects",
	  "GET",
	  "/",
	  { { "prefix", "J" }, { "max-keys", "2" } },
	  { HOST, EMPTY, DATE },
	  SIGV4_EMPTY_PAYLOAD,
	  "max-keys=2&prefix=J",
	  "host;x-amz-content-sha256;x-amz-date",
	  "df57d21db20da04d7fa30298dd4488ba3a2b47ca3a489c74750e0f1e7df1b9b7",
	  "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7" },
};

static size_t count_pairs(const struct sigv4_pair *pairs)
{
	size_t count = 0;
	while (pairs[count].name)
		count++;
	return count;
}

static void test_sigv4__published_examples__are_reproduced(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(published); i++) {
		struct text query = { 0 }, canonical = { 0 }, names = { 0 }, to_sign = { 0 },
			    scratch = { 0 }, out = { 0 }, wanted = { 0 };
		struct sigv4_scope scope = { .region = "us-east-1", .service = "s3" };

		sigv4_canonical_query(published[i].query, count_pairs(published[i].query), &query);
		assert_string_equal(text_get(&query), published[i].query_text);
		struct sigv4_request request = {
			.method = published[i].method,
			.path = published[i].path,
			.query = text_get(&query),
			.headers = published[i].headers,
			.header_count = count_pairs(published[i].headers),
			.payload_hash = published[i].payload_hash,
			.time_s = MIDNIGHT_2013,
		};
		sigv4_canonical_request(&request, &canonical, &names);
		assert_string_equal(text_get(&names), published[i].signed_headers);
		sigv4_string_to_sign(&scope, MIDNIGHT_2013, &canonical, &to_sign);
		text_addf(&wanted,
			  "AWS4-HMAC-SHA256\n20130524T000000Z\n"
			  "20130524/us-east-1/s3/aws4_request\n%s",
			  published[i].canonical_hash);
		assert_string_equal(text_get(&to_sign), text_get(&wanted));
		assert_int_equal(sigv4_authorization(&request, &scope, ACCESS_KEY, SECRET_KEY,
						     &scratch, &out),
				 0);
		text_reset(&wanted);
		text_addf(&wanted,
			  "AWS4-HMAC-SHA256 Credential=" ACCESS_KEY
			  "/20130524/us-east-1/s3/aws4_request,SignedHeaders=%s,Signature=%s",
			  published[i].signed_headers, published[i].signature);
		assert_string_equal(text_get(&out), text_get(&wanted));
		text_fini(&query);
		text_fini(&canonical);
		text_fini(&names);
		text_fini(&to_sign);
		text_fini(&scratch);
		text_fini(&out);
		text_fini(&wanted);
	}
}

static void test_canonical_query__special_characters__are_encoded_and_sorted(void **state)
{
	const struct sigv4_pair pairs[] = {
		{ "start-after", "z" },	    { "prefix", "a b+c/d=e*f~\xc3\xbc%" },
		{ "list-type", "2" },	    { "delimiter", "/" },
		{ "encoding-type", "url" },
	};
	struct text out = { 0 };

	(void)state;
	sigv4_canonical_query(pairs, ARRAY_COUNT(pairs), &out);
	assert_string_equal(text_get(&out), "delimiter=%2F&encoding-type=url&list-type=2&"
					    "prefix=a%20b%2Bc%2Fd%3De%2Af~%C3%BC%25&start-after=z");
	text_fini(&out);
}

static void test_canonical_request__header_with_spaces_around__is_trimmed(void **state)
{
	const struct sigv4_pair headers[] = { { "host", " \thost\t " }, { "x-amz-a", "" } };
	struct sigv4_request request = { .method = "GET",
					 .path = "/",
					 .query = "",
					 .headers = headers,
					 .header_count = 2,
					 .payload_hash = "H" };
	struct text out = { 0 }, names = { 0 };

	(void)state;
	sigv4_canonical_request(&request, &out, &names);
	assert_string_equal(text_get(&out), "GET\n/\n\nhost:host\nx-amz-a:\n\nhost;x-amz-a\nH");
	text_fini(&out);
	text_fini(&names);
}

static void test_derive_key__next_day__gives_another_key(void **state)
{
	struct sigv4_scope scope = { .region = "us-east-1", .service = "s3" };
	uint8_t first[DIGEST_SHA256_LEN];

	(void)state;
	assert_int_equal(sigv4_derive_key(&scope, SECRET_KEY, MIDNIGHT_2013), 0);
	memcpy(first, scope.day_key, sizeof(first));
	assert_int_equal(sigv4_derive_key(&scope, SECRET_KEY, MIDNIGHT_2013 + 86399), 0);
	assert_memory_equal(first, scope.day_key, sizeof(first));
	assert_string_equal(scope.day, "20130524");
	assert_int_equal(sigv4_derive_key(&scope, SECRET_KEY, MIDNIGHT_2013 + 86400), 0);
	assert_memory_not_equal(first, scope.day_key, sizeof(first));
	assert_string_equal(scope.day, "20130525");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sigv4__published_examples__are_reproduced),
		cmocka_unit_test(test_canonical_query__special_characters__are_encoded_and_sorted),
		cmocka_unit_test(test_canonical_request__header_with_spaces_around__is_trimmed),
		cmocka_unit_test(test_derive_key__next_day__gives_another_key),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
