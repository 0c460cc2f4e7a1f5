/*
 * list_xml.c - expat's events into a page of entries.
 *
 * The page is one growing block of records, each a header and the key as it came (still
 * percent-encoded: <EncodingType> may follow the entries), NUL-ended, padded to 8 bytes. finish()
 * decodes in place: decoding never makes a key longer.
 */
#include "s3/wire/list_xml.h"

#include <errno.h>
#include <expat.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "s3/wire/etag.h"
#include "s3/wire/timestamp.h"
#include "s3/wire/uri.h"

#define FIELD_MAX (3 * (size_t)S3_KEY_MAX + 1) /* a key with every byte escaped */

/* Where in the document we are: what an element's text is good for. */
enum field {
	FIELD_NONE,
	FIELD_KEY,
	FIELD_SIZE,
	FIELD_ETAG,
	FIELD_MODIFIED,
	FIELD_PREFIX,
	FIELD_TOKEN,
	FIELD_TRUNCATED,
	FIELD_ENCODING,
};

struct record {
	struct s3_meta meta;
	bool prefix;  /* a common prefix: meta means nothing */
	bool dropped; /* its name holds a NUL */
	uint32_t key_len;
	uint32_t record_len; /* with the key and the padding */
	char key[];
};

enum seen { SEEN_KEY = 1, SEEN_SIZE = 2, SEEN_ETAG = 4, SEEN_MODIFIED = 8, SEEN_ALL = 15 };

struct list_xml {
	XML_Parser parser;
	int error; /* the first one; the parser is stopped by it */
	char problem[S3_PROBLEM_MAX];
	unsigned depth;
	bool in_contents, in_prefixes;
	bool root_ended, truncated, encoded;
	enum field field;
	size_t field_len;
	char field_text[FIELD_MAX];
	unsigned seen; /* enum seen, of the entry being read */
	struct s3_meta meta;
	size_t key_len;
	char key[FIELD_MAX];
	char token[S3_TOKEN_MAX];
	char *page;
	size_t page_len, page_capacity;
	unsigned dropped;
};

static void fail(struct list_xml *list, int error, const char *problem)
{
	if (list->error)
		return;
	list->error = error;
	snprintf(list->problem, sizeof(list->problem), "%s", problem);
	XML_StopParser(list->parser, XML_FALSE);
}

static struct record *add_record(struct list_xml *list, size_t key_len)
{
	size_t len = (sizeof(struct record) + key_len + 1 + 7) & ~(size_t)7;

	if (len > LIST_XML_PAGE_MAX - list->page_len) {
		fail(list, -EPROTO, "a listing page that is larger than any S3 page can be");
		return NULL;
	}
	if (len > list->page_capacity - list->page_len) {
		size_t capacity = list->page_capacity ? list->page_capacity * 2 : 65536;
		while (capacity - list->page_len < len)
			capacity *= 2;
		char *page = realloc(list->page, capacity);
		if (!page) {
			fail(list, -ENOMEM, "out of memory for a listing page");
			return NULL;
		}
		list->page = page;
		list->page_capacity = capacity;
	}
	struct record *record = (struct record *)(void *)(list->page + list->page_len);
	list->page_len += len;
	memset(record, 0, sizeof(*record));
	record->key_len = (uint32_t)key_len;
	record->record_len = (uint32_t)len;
	return record;
}

static enum field field_of(const struct list_xml *list, const char *name)
{
	static const struct {
		unsigned depth; /* of the element; the root has 1 */
		bool in_contents, in_prefixes;
		const char *name;
		enum field field;
	} fields[] = {
		{ 3, true, false, "Key", FIELD_KEY },
		{ 3, true, false, "Size", FIELD_SIZE },
		{ 3, true, false, "ETag", FIELD_ETAG },
		{ 3, true, false, "LastModified", FIELD_MODIFIED },
		{ 3, false, true, "Prefix", FIELD_PREFIX },
		{ 2, false, false, "NextContinuationToken", FIELD_TOKEN },
		{ 2, false, false, "IsTruncated", FIELD_TRUNCATED },
		{ 2, false, false, "EncodingType", FIELD_ENCODING },
	};

	for (size_t i = 0; i < ARRAY_COUNT(fields); i++)
		if (fields[i].depth == list->depth && fields[i].in_contents == list->in_contents &&
		    fields[i].in_prefixes == list->in_prefixes && !strcmp(fields[i].name, name))
			return fields[i].field;
	return FIELD_NONE;
}

static void on_start(void *data, const XML_Char *name, const XML_Char **attributes)
{
	struct list_xml *list = data;
	(void)attributes;

	if (++list->depth > LIST_XML_DEPTH_MAX) {
		fail(list, -EPROTO, "a listing nested deeper than any S3 listing");
	} else if (list->depth == 1) {
		if (strcmp(name, "ListBucketResult") != 0)
			fail(list, -EPROTO, "the answer to a listing is not a ListBucketResult");
	} else if (list->depth == 2) {
		list->in_contents = !strcmp(name, "Contents");
		list->in_prefixes = !strcmp(name, "CommonPrefixes");
		list->seen = 0;
	}
	list->field = field_of(list, name);
	list->field_len = 0;
}

static void on_text(void *data, const XML_Char *text, int len)
{
	struct list_xml *list = data;

	if (list->field == FIELD_NONE || list->error)
		return;
	if ((size_t)len >= FIELD_MAX - list->field_len) {
		fail(list, -EPROTO, "a listing with a value longer than any key can be");
		return;
	}
	memcpy(list->field_text + list->field_len, text, (size_t)len);
	list->field_len += (size_t)len;
}

static int parse_size(const char *text, uint64_t *out)
{
	uint64_t size = 0;

	if (!*text)
		return -EINVAL;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return -EINVAL;
		if (__builtin_mul_overflow(size, 10, &size) ||
		    __builtin_add_overflow(size, (uint64_t)(*text - '0'), &size))
			return -EINVAL;
	}
	*out = size;
	return size > INT64_MAX ? -EINVAL : 0;
}

static void end_entry(struct list_xml *list, bool prefix)
{
	unsigned wanted = prefix ? SEEN_KEY : SEEN_ALL;

	if ((list->seen & wanted) != wanted) {
		fail(list, -EPROTO,
		     prefix ? "a common prefix without Prefix"
			    : "a listing entry without Key, Size, ETag or LastModified");
		return;
	}
	struct record *record = add_record(list, list->key_len);
	if (!record)
		return;
	if (!prefix)
		record->meta = list->meta;
	record->prefix = prefix;
	memcpy(record->key, list->key, list->key_len);
	record->key[list->key_len] = 0;
}

static void end_field(struct list_xml *list)
{
	char *text = list->field_text;
	text[list->field_len] = 0;

	switch (list->field) {
	case FIELD_KEY:
	case FIELD_PREFIX:
		memcpy(list->key, text, list->field_len);
		list->key_len = list->field_len;
		list->seen |= SEEN_KEY;
		break;
	case FIELD_SIZE:
		if (parse_size(text, &list->meta.size))
			fail(list, -EPROTO, "a listing entry whose Size is not a number");
		list->seen |= SEEN_SIZE;
		break;
	case FIELD_ETAG:
		if (etag_unquote(text, list->meta.etag))
			fail(list, -EPROTO, "a listing entry with an empty or overlong ETag");
		list->seen |= SEEN_ETAG;
		break;
	case FIELD_MODIFIED:
		if (timestamp_parse_iso8601(text, &list->meta.mtime_s))
			fail(list, -EPROTO, "a listing entry whose LastModified is not a time");
		list->seen |= SEEN_MODIFIED;
		break;
	case FIELD_TOKEN:
		if (list->field_len >= sizeof(list->token))
			fail(list, -EPROTO, "a continuation token that is too long");
		else
			memcpy(list->token, text, list->field_len + 1);
		break;
	case FIELD_TRUNCATED:
		list->truncated = !strcmp(text, "true");
		break;
	case FIELD_ENCODING:
		list->encoded = !strcmp(text, "url");
		break;
	case FIELD_NONE:
		break;
	}
	list->field = FIELD_NONE;
}

static void on_end(void *data, const XML_Char *name)
{
	struct list_xml *list = data;
	(void)name;

	if (list->error)
		return;
	end_field(list);
	if (list->depth == 2) {
		if (list->in_contents || list->in_prefixes)
			end_entry(list, list->in_prefixes);
		list->in_contents = list->in_prefixes = false;
	}
	if (--list->depth == 0)
		list->root_ended = true;
}

static void on_doctype(void *data, const XML_Char *name, const XML_Char *system,
		       const XML_Char *public, int internal)
{
	(void)name, (void)system, (void)public, (void)internal;
	fail(data, -EPROTO, "a listing with a document type declaration, which S3 never sends");
}

int list_xml_create(struct list_xml **out)
{
	struct list_xml *list = calloc(1, sizeof(*list));
	if (!list)
		return -ENOMEM;
	list->parser = XML_ParserCreate(NULL);
	if (!list->parser) {
		free(list);
		return -ENOMEM;
	}
	XML_SetUserData(list->parser, list);
	XML_SetElementHandler(list->parser, on_start, on_end);
	XML_SetCharacterDataHandler(list->parser, on_text);
	XML_SetStartDoctypeDeclHandler(list->parser, on_doctype);
	*out = list;
	return 0;
}

void list_xml_destroy(struct list_xml *list)
{
	if (!list)
		return;
	XML_ParserFree(list->parser);
	free(list->page);
	free(list);
}

static int parse(struct list_xml *list, const char *data, size_t len, bool last)
{
	if (list->error)
		return list->error;
	if (XML_Parse(list->parser, data, (int)len, last) == XML_STATUS_OK || list->error)
		return list->error;
	enum XML_Error code = XML_GetErrorCode(list->parser);
	list->error = code == XML_ERROR_NO_MEMORY ? -ENOMEM : -EPROTO;
	snprintf(list->problem, sizeof(list->problem), "a listing that is not XML: %s at line %lu",
		 XML_ErrorString(code), (unsigned long)XML_GetCurrentLineNumber(list->parser));
	return list->error;
}

int list_xml_feed(struct list_xml *list, const char *data, size_t len)
{
	int error = 0;

	for (size_t off = 0; off < len && !error;) { /* expat counts in int */
		size_t part = len - off < (1 << 20) ? len - off : 1 << 20;
		error = parse(list, data + off, part, false);
		off += part;
	}
	return error;
}

static int decode(struct list_xml *list)
{
	for (size_t off = 0; off < list->page_len;) {
		struct record *record = (struct record *)(void *)(list->page + off);
		off += record->record_len;
		if (list->encoded) {
			ssize_t len = uri_decode(record->key, record->key_len, true);
			if (len < 0)
				return -EINVAL;
			record->key_len = (uint32_t)len;
		}
		if (!record->key_len || record->key_len > S3_KEY_MAX)
			return -EINVAL;
		record->dropped = strlen(record->key) != record->key_len;
		list->dropped += record->dropped;
	}
	return 0;
}

int list_xml_finish(struct list_xml *list)
{
	int error = parse(list, "", 0, true);

	if (error)
		return error;
	if (decode(list))
		fail(list, -EPROTO,
		     "a listing with a key that is empty, too long or badly encoded");
	else if (!list->root_ended)
		fail(list, -EPROTO, "an empty answer to a listing");
	else if (list->truncated && !list->token[0])
		fail(list, -EPROTO, "a truncated listing without a continuation token");
	if (!list->truncated)
		list->token[0] = 0;
	return list->error;
}

const char *list_xml_problem(const struct list_xml *list)
{
	return list->problem;
}

int list_xml_next(struct list_xml *list, size_t *position, const char **out_key,
		  const struct s3_meta **out_meta)
{
	while (*position < list->page_len) {
		struct record *record = (struct record *)(void *)(list->page + *position);
		*position += record->record_len;
		if (record->dropped)
			continue;
		*out_key = record->key;
		*out_meta = record->prefix ? NULL : &record->meta;
		return 1;
	}
	return 0;
}

const char *list_xml_token(const struct list_xml *list)
{
	return list->token;
}

unsigned list_xml_dropped(const struct list_xml *list)
{
	return list->dropped;
}
