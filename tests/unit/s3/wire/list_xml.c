/*
 * Tests of list_xml.h.
 */
#include "s3/wire/list_xml.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "tests/unit/base/allocation_fault.h"
#include "base/check.h"
#include "s3/wire/text.h"

#define HEAD "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ListBucketResult xmlns=\"http://x\">"
#define TAIL "</ListBucketResult>"
#define META                                                                                       \
	"<LastModified>2009-10-12T17:50:30.123Z</LastModified><ETag>&quot;abc&quot;</ETag>"        \
	"<Size>434234</Size><StorageClass>STANDARD</StorageClass>"
#define ENTRY(key) "<Contents><Key>" key "</Key>" META "</Contents>"

/* Feeds @document in pieces of @piece bytes. */
static int parse(const char *document, size_t piece, struct list_xml **out)
{
	size_t len = strlen(document);
	int error = list_xml_create(out);

	for (size_t off = 0; off < len && !error; off += piece)
		error = list_xml_feed(*out, document + off, len - off < piece ? len - off : piece);
	return error ? error : list_xml_finish(*out);
}

/* All entries as "key size mtime etag|" and "prefix/ -|". */
static void render(struct list_xml *list, struct text *out)
{
	const struct s3_meta *meta;
	const char *key;
	size_t position = 0;

	while (list_xml_next(list, &position, &key, &meta)) {
		if (meta)
			text_addf(out, "%s %llu %lld %s|", key, (unsigned long long)meta->size,
				  (long long)meta->mtime_s, meta->etag);
		else
			text_addf(out, "%s -|", key);
	}
}

static void test_list_xml__good_pages(void **state)
{
	static const struct {
		const char *document, *entries, *token;
		unsigned dropped;
	} rows[] = {
		{ HEAD TAIL, "", "", 0 },
		{ HEAD "<Prefix>p/</Prefix><KeyCount>1</KeyCount>" ENTRY("p/a b") TAIL,
		  "p/a b 434234 1255369830 abc|", "", 0 },
		{ HEAD "<EncodingType>url</EncodingType>" ENTRY("a%20b+c%2Bd%25") TAIL,
		  "a b c+d% 434234 1255369830 abc|", "", 0 },
		{ HEAD ENTRY("a%20b+c") TAIL, "a%20b+c 434234 1255369830 abc|", "", 0 },
		/* what is said of the encoding may stand behind what it is said of */
		{ HEAD ENTRY("%C3%BC") "<EncodingType>url</EncodingType>" TAIL,
		  "\xc3\xbc 434234 1255369830 abc|", "", 0 },
		{ HEAD ENTRY("a") "<CommonPrefixes><Prefix>b/</Prefix></CommonPrefixes>"
				  "<CommonPrefixes><Prefix>c/</Prefix></CommonPrefixes>" TAIL,
		  "a 434234 1255369830 abc|b/ -|c/ -|", "", 0 },
		{ HEAD "<IsTruncated>true</IsTruncated><NextContinuationToken>t+/=&amp;"
		       "</NextContinuationToken>" TAIL,
		  "", "t+/=&", 0 },
		{ HEAD "<IsTruncated>false</IsTruncated><NextContinuationToken>t"
		       "</NextContinuationToken>" TAIL,
		  "", "", 0 },
		{ HEAD "<EncodingType>url</EncodingType>" ENTRY("a%00b") ENTRY("c") TAIL,
		  "c 434234 1255369830 abc|", "", 1 },
		{ HEAD "<Contents><Key>&lt;&amp;&#65;</Key>" META
		       "<Owner><ID>x</ID><Key>no</Key></Owner></Contents>" TAIL,
		  "<&A 434234 1255369830 abc|", "", 0 },
		{ HEAD "<Key>stray</Key><Size>x</Size>" TAIL, "", "", 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
		for (size_t piece = 1; piece < 4096; piece *= 7) {
			struct list_xml *list;
			struct text out = { 0 };
			assert_int_equal(parse(rows[i].document, piece, &list), 0);
			render(list, &out);
			assert_string_equal(text_get(&out), rows[i].entries);
			assert_string_equal(list_xml_token(list), rows[i].token);
			assert_int_equal(list_xml_dropped(list), rows[i].dropped);
			assert_string_equal(list_xml_problem(list), "");
			text_fini(&out);
			list_xml_destroy(list);
		}
}

static void test_list_xml__bad_pages__are_refused_with_a_reason(void **state)
{
	static const struct {
		const char *document, *problem;
	} rows[] = {
		{ "", "not XML" },
		{ "no xml", "not XML" },
		{ HEAD, "not XML" },
		{ HEAD "<Contents>", "not XML" },
		{ HEAD TAIL "x", "not XML" },
		{ "<html></html>", "not a ListBucketResult" },
		{ "<Error><Code>InternalError</Code></Error>", "not a ListBucketResult" },
		{ "<!DOCTYPE x [<!ENTITY a \"aaaa\">]>" HEAD TAIL, "document type" },
		{ HEAD "<Contents></Contents>" TAIL, "without Key" },
		{ HEAD "<Contents>" META "</Contents>" TAIL, "without Key" },
		{ HEAD "<Contents><Key>k</Key></Contents>" TAIL, "without Key, Size" },
		{ HEAD "<CommonPrefixes></CommonPrefixes>" TAIL, "without Prefix" },
		{ HEAD "<Contents><Key></Key>" META "</Contents>" TAIL, "empty" },
		{ HEAD "<EncodingType>url</EncodingType>" ENTRY("a%2") TAIL, "badly encoded" },
		{ HEAD "<Contents><Key>k</Key><Size>-1</Size></Contents>" TAIL, "Size" },
		{ HEAD "<Contents><Key>k</Key><Size>99999999999999999999</Size></Contents>" TAIL,
		  "Size" },
		{ HEAD "<Contents><Key>k</Key><Size>9223372036854775808</Size></Contents>" TAIL,
		  "Size" },
		{ HEAD "<Contents><Key>k</Key><Size></Size></Contents>" TAIL, "Size" },
		{ HEAD "<Contents><ETag>&quot;&quot;</ETag></Contents>" TAIL, "ETag" },
		{ HEAD "<Contents><LastModified>now</LastModified></Contents>" TAIL,
		  "LastModified" },
		{ HEAD "<IsTruncated>true</IsTruncated>" TAIL, "continuation token" },
		{ HEAD "<a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a>", "deeper" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
		for (size_t piece = 1; piece < 4096; piece *= 7) {
			struct list_xml *list;
			assert_int_equal(parse(rows[i].document, piece, &list), -EPROTO);
			if (!strstr(list_xml_problem(list), rows[i].problem))
				fail_msg("%s: '%s' is not in '%s'", rows[i].document,
					 rows[i].problem, list_xml_problem(list));
			list_xml_destroy(list);
		}
}

static void test_list_xml__overlong_values__are_refused(void **state)
{
	static const struct {
		const char *before, *after, *problem;
		size_t len;
		int error;
	} rows[] = {
		{ "<Contents><Key>", "</Key>" META "</Contents>", "", S3_KEY_MAX, 0 },
		{ "<Contents><Key>", "</Key>" META "</Contents>", "too long", S3_KEY_MAX + 1,
		  -EPROTO },
		{ "<Contents><Key>", "</Key></Contents>", "longer than any key", 3 * S3_KEY_MAX + 1,
		  -EPROTO },
		{ "<IsTruncated>true</IsTruncated><NextContinuationToken>",
		  "</NextContinuationToken>", "", S3_TOKEN_MAX - 1, 0 },
		{ "<NextContinuationToken>", "</NextContinuationToken>", "token", S3_TOKEN_MAX,
		  -EPROTO },
		{ "<Contents><ETag>", "</ETag></Contents>", "ETag", S3_ETAG_MAX, -EPROTO },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct text document = { 0 };
		struct list_xml *list;
		text_addf(&document, HEAD "%s", rows[i].before);
		for (size_t j = 0; j < rows[i].len; j++)
			text_add(&document, "k");
		text_addf(&document, "%s" TAIL, rows[i].after);
		assert_int_equal(parse(text_get(&document), 1000, &list), rows[i].error);
		assert_non_null(strstr(list_xml_problem(list), rows[i].problem));
		list_xml_destroy(list);
		text_fini(&document);
	}
}

static void test_list_xml__endless_page__is_refused_within_its_bound(void **state)
{
	static const char entry[] = ENTRY("some/key/of/ordinary/length");
	struct list_xml *list;
	size_t fed = 0;

	(void)state;
	assert_int_equal(list_xml_create(&list), 0);
	int error = list_xml_feed(list, HEAD, strlen(HEAD));
	while (!error && fed < 4 * LIST_XML_PAGE_MAX) {
		error = list_xml_feed(list, entry, strlen(entry));
		fed += strlen(entry);
	}
	assert_int_equal(error, -EPROTO);
	assert_non_null(strstr(list_xml_problem(list), "larger than any"));
	assert_int_equal(list_xml_feed(list, entry, strlen(entry)), -EPROTO);
	assert_int_equal(list_xml_finish(list), -EPROTO);
	list_xml_destroy(list);
}

static void test_list_xml__no_memory__is_enomem_without_leak(void **state)
{
	(void)state;
	for (unsigned n = 1;; n++) {
		struct list_xml *list = NULL;
		allocation_fault_arm(n);
		int error = parse(HEAD ENTRY("k") TAIL, 100, &list);
		bool failed = allocation_fault_disarm();
		list_xml_destroy(list);
		if (!failed) {
			assert_int_equal(error, 0);
			assert_true(n > 1);
			return;
		}
		assert_int_equal(error, -ENOMEM);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_list_xml__good_pages),
		cmocka_unit_test(test_list_xml__bad_pages__are_refused_with_a_reason),
		cmocka_unit_test(test_list_xml__overlong_values__are_refused),
		cmocka_unit_test(test_list_xml__endless_page__is_refused_within_its_bound),
		cmocka_unit_test(test_list_xml__no_memory__is_enomem_without_leak),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
