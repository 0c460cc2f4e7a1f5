/*
 * Tests of s3_list(): pages, what is asked for, and that a page is delivered once.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/check.h"
#include "s3/wire/text.h"
#include "tests/unit/s3/support/fixture.h"

#define KEYS	  2500
#define PAGE	  1000
#define PAGE_STEP 7 /* pages are not full: they end at odd places */

/* How the first request for each page is spoilt. */
enum spoil {
	SPOIL_NOT,
	SPOIL_503,
	SPOIL_TRUNCATE,
	SPOIL_RESET,
};

struct bucket {
	enum spoil spoil;
	unsigned spoilt; /* pages that were, so far */
	char last_target[8192];
};

static void add_entry(struct text *out, unsigned number)
{
	text_addf(out,
		  "<Contents><Key>dir/key+%04u%%2B</Key><LastModified>2009-10-12T17:50:30.000Z"
		  "</LastModified><ETag>&quot;e%u&quot;</ETag><Size>%u</Size></Contents>",
		  number, number, number);
}

static void make_page(struct text *out, unsigned first)
{
	unsigned end = first + PAGE - PAGE_STEP;

	text_add(out, "<ListBucketResult><EncodingType>url</EncodingType>");
	for (unsigned i = first; i < end && i < KEYS; i++)
		add_entry(out, i);
	if (end < KEYS)
		text_addf(out,
			  "<IsTruncated>true</IsTruncated><NextContinuationToken>next/%u+="
			  "</NextContinuationToken>",
			  end);
	else
		text_add(out, "<IsTruncated>false</IsTruncated>");
	text_add(out, "</ListBucketResult>");
}

static void serve_list(struct http_exchange *exchange, void *context)
{
	struct bucket *bucket = context;
	struct text page = { 0 };
	char token[64];
	unsigned first = 0;

	snprintf(bucket->last_target, sizeof(bucket->last_target), "%s", exchange->target);
	if (http_query(exchange, "continuation-token", token, sizeof(token)))
		first = (unsigned)strtoul(token + strlen("next%2F"), NULL, 10);
	make_page(&page, first);
	bool spoil = bucket->spoil != SPOIL_NOT && bucket->spoilt == first / (PAGE - PAGE_STEP);
	bucket->spoilt += spoil; /* before the answer: the next request may come at once */
	if (!spoil) {
		http_answer(exchange, 200, "", text_get(&page), page.len);
	} else if (bucket->spoil == SPOIL_503) {
		http_answer(exchange, 503, "", "", 0);
	} else {
		http_head(exchange, 200, "", page.len);
		http_send(exchange, text_get(&page), page.len / 2);
		if (bucket->spoil == SPOIL_RESET)
			http_reset(exchange);
		else
			http_close(exchange);
	}
	text_fini(&page);
}

struct reader {
	struct s3_list list; /* first: the callbacks find the reader by it */
	unsigned keys, prefixes;
};

static void on_entry(struct s3_list *list, const char *key, const struct s3_meta *meta)
{
	struct reader *reader = CONTAINER_OF(list, struct reader, list);
	char wanted[64];

	CHECK(meta);
	snprintf(wanted, sizeof(wanted), "dir/key %04u+", reader->keys);
	CHECK(!strcmp(key, wanted));
	CHECK(meta->size == reader->keys && meta->mtime_s == 1255369830);
	reader->keys++;
}

static void test_s3_list__pages__come_in_order_and_once(void **state)
{
	(void)state;
	for (enum spoil spoil = SPOIL_NOT; spoil <= SPOIL_RESET; spoil++) {
		struct bucket bucket = { .spoil = spoil };
		struct reader reader = { .list = { .request = { .bucket = "bucket" },
						   .prefix = "dir/",
						   .entry = on_entry } };
		struct fixture fixture;
		unsigned pages = 0;
		fixture_init(&fixture, serve_list, &bucket);
		fixture_start(&fixture);
		do {
			reader.list.request.deadline_ns = fixture_deadline(30000);
			assert_int_equal(fixture_list(&fixture, &reader.list), 0);
			pages++;
		} while (reader.list.token[0]);
		assert_int_equal(reader.keys, KEYS);
		assert_int_equal(pages, 3);
		assert_int_equal(fixture_counter(&fixture, S3_LISTS), spoil == SPOIL_NOT ? 3 : 6);
		fixture_fini(&fixture);
	}
}

static void ignore_entry(struct s3_list *list, const char *key, const struct s3_meta *meta)
{
	(void)list, (void)key, (void)meta;
}

static void test_s3_list__what_is_asked_for(void **state)
{
	static const struct {
		struct s3_list list;
		const char *target;
	} rows[] = {
		{ { .prefix = "" }, "/bucket?encoding-type=url&list-type=2&prefix=" },
		{ { .prefix = "a b+\xc3\xbc/", .delimited = true, .max_keys = 7 },
		  "/bucket?delimiter=%2F&encoding-type=url&list-type=2&max-keys=7&"
		  "prefix=a%20b%2B%C3%BC%2F" },
		{ { .prefix = "", .start_after = "k&" },
		  "/bucket?encoding-type=url&list-type=2&prefix=&start-after=k%26" },
		{ { .prefix = "", .start_after = "" },
		  "/bucket?encoding-type=url&list-type=2&prefix=" },
		{ { .prefix = "", .start_after = "k", .token = "next/0+=" },
		  "/bucket?continuation-token=next%2F0%2B%3D&encoding-type=url&list-type=2&"
		  "prefix=" },
	};
	struct bucket bucket = { 0 };
	struct fixture fixture;

	(void)state;
	fixture_init(&fixture, serve_list, &bucket);
	fixture_start(&fixture);
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct s3_list list = rows[i].list;
		list.request.bucket = "bucket";
		list.request.deadline_ns = fixture_deadline(30000);
		list.entry = ignore_entry;
		assert_int_equal(fixture_list(&fixture, &list), 0);
		assert_string_equal(bucket.last_target, rows[i].target);
	}
	fixture_fini(&fixture);
}

struct fixed_answer {
	int status;
	const char *body;
};

static void serve_fixed(struct http_exchange *exchange, void *context)
{
	const struct fixed_answer *answer = context;
	http_answer(exchange, answer->status, "", answer->body, strlen(answer->body));
}

static void fail_entry(struct s3_list *list, const char *key, const struct s3_meta *meta)
{
	(void)list, (void)key, (void)meta;
	CHECK(!"no entry of a page that is refused");
}

static void test_s3_list__refusals_and_odd_answers__deliver_nothing(void **state)
{
	static const struct {
		struct fixed_answer answer;
		int status;
		const char *problem;
	} rows[] = {
		{ { 404, "<Error><Code>NoSuchBucket</Code></Error>" }, -ENOENT, "NoSuchBucket" },
		{ { 403, "<Error><Code>AccessDenied</Code></Error>" }, -EACCES, "AccessDenied" },
		{ { 206, "<ListBucketResult/>" }, -EPROTO, "status 206 to a listing" },
		{ { 200, "<html/>" }, -EPROTO, "not a ListBucketResult" },
		{ { 200, "" }, -EPROTO, "not XML" },
		{ { 200, "<ListBucketResult><CommonPrefixes><Prefix>a/</Prefix></CommonPrefixes>" },
		  -EPROTO,
		  "not XML" },
		{ { 200, "<ListBucketResult><CommonPrefixes><Prefix>a/</Prefix></CommonPrefixes>"
			 "<IsTruncated>true</IsTruncated></ListBucketResult>" },
		  -EPROTO,
		  "continuation token" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct fixed_answer answer = rows[i].answer;
		struct s3_list list = { .request = { .bucket = "bucket",
						     .deadline_ns = fixture_deadline(30000) },
					.prefix = "",
					.entry = fail_entry };
		struct fixture fixture;
		fixture_init(&fixture, serve_fixed, &answer);
		fixture_start(&fixture);
		assert_int_equal(fixture_list(&fixture, &list), rows[i].status);
		assert_non_null(strstr(list.request.problem, rows[i].problem));
		assert_int_equal(http_server_count(fixture.server), 1);
		fixture_fini(&fixture);
	}
}

static void test_s3_list__overlong_prefix__is_einval(void **state)
{
	char prefix[S3_KEY_MAX + 2] = "";
	struct s3_list list = { .request = { .bucket = "bucket",
					     .deadline_ns = fixture_deadline(30000) },
				.prefix = prefix,
				.entry = fail_entry };
	struct bucket bucket = { 0 };
	struct fixture fixture;

	(void)state;
	memset(prefix, 'p', S3_KEY_MAX + 1);
	fixture_init(&fixture, serve_list, &bucket);
	fixture_start(&fixture);
	assert_int_equal(fixture_list(&fixture, &list), -EINVAL);
	fixture_fini(&fixture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_s3_list__pages__come_in_order_and_once),
		cmocka_unit_test(test_s3_list__what_is_asked_for),
		cmocka_unit_test(test_s3_list__refusals_and_odd_answers__deliver_nothing),
		cmocka_unit_test(test_s3_list__overlong_prefix__is_einval),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
