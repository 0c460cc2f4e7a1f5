/*
 * list_xml_fuzz.c - any bytes as a page of a listing: the same in one piece and in many, within its
 * bounds, and nothing of a page that is refused.
 */
/* fuzz-links: cenote_base cenote_s3 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "s3/wire/list_xml.h"
#include "s3/wire/text.h"
#include "s3/wire/uri.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static int parse(const char *document, size_t len, size_t piece, struct list_xml **out)
{
	int error = list_xml_create(out);

	for (size_t off = 0; off < len && !error; off += piece)
		error = list_xml_feed(*out, document + off, len - off < piece ? len - off : piece);
	error = error ? error : list_xml_finish(*out);
	CHECK(!error == !list_xml_problem(*out)[0]);
	return error;
}

/* What is read can be asked for: its encoded form means the same key. */
static void check_key(const char *key)
{
	struct text encoded = { 0 };
	size_t len = strlen(key);

	CHECK(len && len <= S3_KEY_MAX);
	uri_encode(&encoded, key, len, true);
	CHECK(uri_decode(encoded.data, encoded.len, false) == (ssize_t)len);
	CHECK(!memcmp(encoded.data, key, len));
	text_fini(&encoded);
}

static void check_meta(const struct s3_meta *meta, const struct s3_meta *other)
{
	CHECK(!meta == !other);
	if (!meta)
		return;
	CHECK(meta->size <= INT64_MAX && meta->etag[0]);
	CHECK(memchr(meta->etag, 0, sizeof(meta->etag)));
	CHECK(meta->size == other->size && meta->mtime_s == other->mtime_s);
	CHECK(!strcmp(meta->etag, other->etag));
}

static void compare(struct list_xml *a, struct list_xml *b)
{
	size_t position_a = 0, position_b = 0;
	const struct s3_meta *meta_a, *meta_b;
	const char *key_a, *key_b;

	while (list_xml_next(a, &position_a, &key_a, &meta_a)) {
		CHECK(list_xml_next(b, &position_b, &key_b, &meta_b) == 1);
		CHECK(!strcmp(key_a, key_b));
		check_key(key_a);
		check_meta(meta_a, meta_b);
	}
	CHECK(list_xml_next(b, &position_b, &key_b, &meta_b) == 0);
	CHECK(!strcmp(list_xml_token(a), list_xml_token(b)));
	CHECK(strlen(list_xml_token(a)) < S3_TOKEN_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct list_xml *whole, *pieces;
	int error = parse((const char *)data, len, len + 1, &whole);

	CHECK(!error || error == -EPROTO);
	CHECK(parse((const char *)data, len, 7, &pieces) == error);
	if (!error)
		compare(whole, pieces);
	list_xml_destroy(whole);
	list_xml_destroy(pieces);
	return 0;
}
