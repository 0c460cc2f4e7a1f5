/*
 * fake_backing.c - see fake_backing.h.
 */
#include "tests/unit/fuse/namespace/fake_backing.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

static struct fake_backing *fake_of(struct backing *backing)
{
	return CONTAINER_OF(backing, struct fake_backing, backing);
}

static void enqueue(struct fake_backing *fake, enum fake_kind kind, void *request)
{
	CHECK(fake->queued < FAKE_QUEUE_MAX);
	fake->queue[fake->queued].kind = kind;
	fake->queue[fake->queued++].request = request;
}

static void head(struct backing *backing, struct backing_head *request)
{
	fake_of(backing)->heads++;
	enqueue(fake_of(backing), FAKE_HEAD, request);
}

static void list(struct backing *backing, struct backing_list *request)
{
	fake_of(backing)->lists++;
	enqueue(fake_of(backing), FAKE_LIST, request);
}

static const struct backing_ops ops = { .type = "fake", .head = head, .list = list };

void fake_init(struct fake_backing *fake, const char *id)
{
	*fake = (struct fake_backing){ .backing.ops = &ops };
	fake->backing.id = strdup(id);
	fake->keys = calloc(FAKE_KEYS_MAX, sizeof(*fake->keys));
	CHECK(fake->backing.id && fake->keys);
}

void fake_fini(struct fake_backing *fake)
{
	for (unsigned i = 0; i < fake->key_count; i++)
		free(fake->keys[i].key);
	free(fake->keys);
	free(fake->backing.id);
}

/* The first key not below @key. */
static unsigned search(const struct fake_backing *fake, const char *key)
{
	unsigned low = 0, high = fake->key_count;

	while (low < high) {
		unsigned middle = low + (high - low) / 2;

		if (strcmp(fake->keys[middle].key, key) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static struct fake_key *find(const struct fake_backing *fake, const char *key)
{
	unsigned index = search(fake, key);

	if (index == fake->key_count || strcmp(fake->keys[index].key, key) != 0)
		return NULL;
	return &fake->keys[index];
}

void fake_put(struct fake_backing *fake, const char *key, uint64_t size, const char *etag)
{
	struct fake_key *there = find(fake, key);

	if (!there) {
		unsigned index = search(fake, key);

		CHECK(fake->key_count < FAKE_KEYS_MAX);
		there = &fake->keys[index];
		memmove(there + 1, there, (fake->key_count - index) * sizeof(*there));
		fake->key_count++;
		there->key = strdup(key);
		CHECK(there->key);
	}
	there->meta = (struct backing_meta){ .size = size, .mtime_s = 1000 };
	snprintf(there->meta.etag, sizeof(there->meta.etag), "%s", etag);
}

void fake_delete(struct fake_backing *fake, const char *key)
{
	struct fake_key *there = find(fake, key);

	CHECK(there);
	free(there->key);
	fake->key_count--;
	memmove(there, there + 1, (size_t)(fake->keys + fake->key_count - there) * sizeof(*there));
}

static void head_answer(const struct fake_backing *fake, struct backing_head *request)
{
	const struct fake_key *key = find(fake, request->request.key);

	request->request.status = fake->head_status ? fake->head_status : key ? 0 : -ENOENT;
	if (request->request.status == 0)
		request->meta = key->meta;
	request->done(request);
}

/* What a key is below the prefix: itself, or a common prefix. Return: its length in @out. */
static void item_of(const struct backing_list *request, const char *key, char *out,
		    bool *out_common)
{
	const char *slash = request->delimited ? strchr(key + strlen(request->prefix), '/') : NULL;

	*out_common = slash != NULL;
	if (slash)
		snprintf(out, BACKING_KEY_MAX + 2, "%.*s/", (int)(slash - key), key);
	else
		snprintf(out, BACKING_KEY_MAX + 2, "%s", key);
}

/* One pass over the page that begins at @index: files, prefixes or both. Return: where it ends. */
static unsigned list_pass(struct fake_backing *fake, struct backing_list *request, unsigned index,
			  unsigned max, bool files, bool prefixes)
{
	char item[BACKING_KEY_MAX + 2], last[BACKING_KEY_MAX + 2] = "";
	unsigned count = 0;

	for (; index < fake->key_count; index++) {
		const struct fake_key *key = &fake->keys[index];
		bool common;

		if (strncmp(key->key, request->prefix, strlen(request->prefix)) != 0)
			return fake->key_count;
		item_of(request, key->key, item, &common);
		if (common && strcmp(item, last) == 0)
			continue;
		if (max > 0 && count == max)
			break;
		snprintf(last, sizeof(last), "%s", item);
		count++;
		if (common ? prefixes : files)
			request->entry(request, item, common ? NULL : &key->meta);
	}
	return index;
}

static void list_answer(struct fake_backing *fake, struct backing_list *request)
{
	unsigned index = search(fake, *request->token ? request->token : request->prefix);
	unsigned max = fake->page_max, end;

	request->request.status = fake->list_status;
	if (request->request.status != 0) {
		request->done(request);
		return;
	}
	if (request->max_keys > 0 && (max == 0 || max > (unsigned)request->max_keys))
		max = (unsigned)request->max_keys;
	end = list_pass(fake, request, index, max, true, !fake->files_first);
	if (fake->files_first)
		list_pass(fake, request, index, max, false, true);
	*request->token = '\0';
	if (end < fake->key_count)
		snprintf(request->token, sizeof(request->token), "%s", fake->keys[end].key);
	request->done(request);
}

bool fake_run(struct fake_backing *fake)
{
	enum fake_kind kind = fake->queue[0].kind;
	void *request = fake->queue[0].request;

	if (fake->queued == 0)
		return false;
	fake->queued--;
	memmove(fake->queue, fake->queue + 1, fake->queued * sizeof(*fake->queue));
	if (kind == FAKE_HEAD)
		head_answer(fake, request);
	else
		list_answer(fake, request);
	return true;
}

void fake_run_all(struct fake_backing *fake)
{
	while (fake_run(fake))
		;
}
