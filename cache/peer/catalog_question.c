/*
 * catalog_question.c - what is asked for. Its identity is the first 128 bits of the SHA-256 over
 * all that the answer depends on, each text with its length in front.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/digest.h"
#include "cache/peer/catalog_inside.h"

#define TEXTS ((size_t)4) /* backing, bucket, key, token */

/* What a question is made from. */
struct wording {
	enum peer_question kind;
	bool delimited;
	unsigned max_keys;
	const char *bucket, *key, *token, *refused;
};

static void identify(const char *backing, const struct wording *wording, struct object_id *out_id)
{
	const char *texts[TEXTS] = { backing, wording->bucket, wording->key, wording->token };
	struct digest_part parts[2 * TEXTS + 1];
	uint8_t lengths[TEXTS][8], numbers[6], digest[DIGEST_SHA256_LEN];

	static_assert(OBJECT_ID_LEN <= DIGEST_SHA256_LEN, "the first bytes of it");
	for (size_t i = 0; i < TEXTS; i++) {
		size_t len = strlen(texts[i]);

		bytes_put_u64(lengths[i], len);
		parts[2 * i] = (struct digest_part){ lengths[i], sizeof(lengths[i]) };
		parts[2 * i + 1] = (struct digest_part){ texts[i], len };
	}
	numbers[0] = (uint8_t)wording->kind;
	numbers[1] = wording->delimited;
	bytes_put_u32(numbers + 2, wording->max_keys);
	parts[2 * TEXTS] = (struct digest_part){ numbers, sizeof(numbers) };
	digest_sha256(parts, 2 * TEXTS + 1, digest);
	memcpy(out_id->bytes, digest, OBJECT_ID_LEN);
}

static const char *text_put(char **at, const char *text)
{
	size_t size = strlen(text) + 1;
	char *here = *at;

	memcpy(here, text, size);
	*at += size;
	return here;
}

static struct question *question_create(struct catalog_store *store, const struct wording *wording)
{
	size_t size = strlen(wording->bucket) + strlen(wording->key) + strlen(wording->token) +
		      strlen(wording->refused) + 4;
	struct question *question = malloc(sizeof(*question) + size);
	char *at;

	if (!question)
		return NULL;
	question->refs = 1;
	question->store = store;
	question->kind = wording->kind;
	question->delimited = wording->delimited;
	question->max_keys = wording->max_keys;
	at = question->text;
	question->bucket = text_put(&at, wording->bucket);
	question->key = text_put(&at, wording->key);
	question->token = text_put(&at, wording->token);
	question->refused = text_put(&at, wording->refused);
	identify(store->inner->id, wording, &question->id);
	return question;
}

struct question *question_of_list(struct catalog_store *store, const struct backing_list *list)
{
	const struct wording wording = {
		.kind = PEER_LIST,
		.delimited = list->delimited,
		.max_keys = (unsigned)list->max_keys,
		.bucket = list->request.bucket,
		.key = list->prefix,
		.token = list->token,
		.refused = "",
	};

	return question_create(store, &wording);
}

struct question *question_of_head(struct catalog_store *store, const struct backing_head *head)
{
	const struct wording wording = {
		.kind = PEER_HEAD,
		.bucket = head->request.bucket,
		.key = head->request.key,
		.token = "",
		.refused = head->refused ? head->refused : "",
	};

	return question_create(store, &wording);
}

struct question *question_of_ask(struct catalog_store *store, const struct peer_ask *ask)
{
	const struct wording wording = {
		.kind = ask->question,
		.delimited = ask->delimited,
		.max_keys = ask->max_keys,
		.bucket = ask->bucket,
		.key = ask->key,
		.token = ask->token,
		.refused = ask->refused,
	};

	return question_create(store, &wording);
}

struct question *question_get(struct question *question)
{
	atomic_fetch_add(&question->refs, 1);
	return question;
}

void question_put(struct question *question)
{
	if (question && atomic_fetch_sub(&question->refs, 1) == 1)
		free(question);
}

size_t question_bytes(const struct question *question)
{
	return sizeof(*question) + strlen(question->bucket) + strlen(question->key) +
	       strlen(question->token) + strlen(question->refused) + 4;
}
