/*
 * fake_backing.c - see fake_backing.h.
 */
#include "tests/unit/fuse/namespace/fake_backing.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/thread.h"

#define WAIT_S 20

static struct fake_backing *fake_of(struct backing *backing)
{
	return CONTAINER_OF(backing, struct fake_backing, backing);
}

static void enqueue(struct fake_backing *fake, enum fake_kind kind, void *request)
{
	pthread_mutex_lock(&fake->lock);
	CHECK(fake->queued < FAKE_QUEUE_MAX);
	fake->queue[fake->queued].kind = kind;
	fake->queue[fake->queued++].request = request;
	fake->heads += kind == FAKE_HEAD;
	fake->lists += kind == FAKE_LIST;
	fake->gets += kind == FAKE_GET;
	pthread_cond_broadcast(&fake->arrived);
	pthread_mutex_unlock(&fake->lock);
}

static void head(struct backing *backing, struct backing_head *request)
{
	struct fake_backing *fake = fake_of(backing);

	pthread_mutex_lock(&fake->lock);
	fake->head.max_age_ns = request->request.max_age_ns;
	fake->head.absent_age_ns = request->request.absent_age_ns;
	snprintf(fake->head.refused, sizeof(fake->head.refused), "%s",
		 request->refused ? request->refused : "");
	pthread_mutex_unlock(&fake->lock);
	enqueue(fake_of(backing), FAKE_HEAD, request);
}

static void list(struct backing *backing, struct backing_list *request)
{
	struct fake_backing *fake = fake_of(backing);

	pthread_mutex_lock(&fake->lock);
	if (request->delimited) {
		fake->list.max_age_ns = request->request.max_age_ns;
		fake->list.absent_age_ns = request->request.absent_age_ns;
	}
	pthread_mutex_unlock(&fake->lock);
	enqueue(fake_of(backing), FAKE_LIST, request);
}

static void get(struct backing *backing, struct backing_get *request)
{
	enqueue(fake_of(backing), FAKE_GET, request);
}

static void promote(struct backing *backing, struct backing_get *request)
{
	(void)backing;
	(void)request;
}

static const struct backing_ops ops = {
	.type = "fake", .head = head, .list = list, .get = get, .promote = promote
};

void fake_init(struct fake_backing *fake, const char *id)
{
	*fake = (struct fake_backing){ .backing.ops = &ops };
	fake->backing.id = strdup(id);
	fake->keys = calloc(FAKE_KEYS_MAX, sizeof(*fake->keys));
	pthread_mutex_init(&fake->lock, NULL);
	thread_cond_init(&fake->arrived);
	CHECK(fake->backing.id && fake->keys);
}

void fake_seek(struct fake_backing *fake)
{
	static const struct backing_ops seeking = { .type = "fake",
						    .seeks = true,
						    .head = head,
						    .list = list,
						    .get = get,
						    .promote = promote };

	fake->backing.ops = &seeking;
}

void fake_fini(struct fake_backing *fake)
{
	for (unsigned i = 0; i < fake->key_count; i++)
		free(fake->keys[i].key);
	free(fake->keys);
	free(fake->backing.id);
	pthread_mutex_destroy(&fake->lock);
	pthread_cond_destroy(&fake->arrived);
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

	request->request.age_ns = fake->head_age_ns;
	request->request.status = fake->head_status ? fake->head_status : key ? 0 : -ENOENT;
	if (fake->head_status)
		snprintf(request->request.problem, sizeof(request->request.problem), FAKE_PROBLEM);
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

/* Every key once, in an order that has nothing to do with their names. */
static void list_scrambled(struct fake_backing *fake, struct backing_list *request, unsigned max)
{
	unsigned index = (unsigned)strtoul(request->token, NULL, 10), end = index + max;

	for (; index < fake->key_count && (max == 0 || index < end); index++) {
		const struct fake_key *key = &fake->keys[(uint64_t)index * 7919 % fake->key_count];
		size_t len = strlen(key->key);

		request->entry(request, key->key, key->key[len - 1] == '/' ? NULL : &key->meta);
	}
	*request->token = '\0';
	if (index < fake->key_count)
		snprintf(request->token, sizeof(request->token), "%u", index);
	request->done(request);
}

static unsigned list_begin(const struct fake_backing *fake, const struct backing_list *request)
{
	const char *after = fake->backing.ops->seeks ? request->after : NULL;
	unsigned index = search(fake, *request->token ? request->token : request->prefix);

	if (*request->token || !after)
		return index;
	index = search(fake, after);
	return index < fake->key_count && strcmp(fake->keys[index].key, after) == 0 ? index + 1
										    : index;
}

static void list_answer(struct fake_backing *fake, struct backing_list *request)
{
	unsigned index = list_begin(fake, request);
	unsigned max = fake->page_max, end;

	request->request.age_ns = fake->list_age_ns;
	request->request.status = fake->list_status;
	if (request->request.status != 0) {
		snprintf(request->request.problem, sizeof(request->request.problem), FAKE_PROBLEM);
		request->done(request);
		return;
	}
	if (request->max_keys > 0 && (max == 0 || max > (unsigned)request->max_keys))
		max = (unsigned)request->max_keys;
	if (fake->scrambled && request->delimited) {
		list_scrambled(fake, request, max);
		return;
	}
	end = list_pass(fake, request, index, max, true, !fake->files_first);
	if (fake->files_first)
		list_pass(fake, request, index, max, false, true);
	*request->token = '\0';
	if (end < fake->key_count)
		snprintf(request->token, sizeof(request->token), "%s", fake->keys[end].key);
	request->done(request);
}

void fake_bytes(const char *etag, uint64_t off, void *out, size_t len)
{
	uint8_t *bytes = out;

	for (size_t i = 0; i < len; i++)
		bytes[i] = (uint8_t)((off + i) * 31 + (off + i) / 4096 + (uint8_t)etag[0] +
				     (uint8_t)etag[strlen(etag) - 1]);
}

static void get_answer(const struct fake_backing *fake, struct backing_get *request)
{
	const struct fake_key *key = find(fake, request->request.key);

	if (fake->get_status)
		request->request.status = fake->get_status;
	else if (!key)
		request->request.status = -ENOENT;
	else
		request->request.status = strcmp(key->meta.etag, request->etag) == 0 ? 0 : -ESTALE;
	if (request->request.status == 0)
		fake_bytes(request->etag, request->off, request->dst, request->len);
	request->done(request);
}

static bool take(struct fake_backing *fake, enum fake_kind *out_kind, void **out_request)
{
	bool taken;

	pthread_mutex_lock(&fake->lock);
	taken = fake->queued > 0;
	if (taken) {
		*out_kind = fake->queue[0].kind;
		*out_request = fake->queue[0].request;
		fake->queued--;
		memmove(fake->queue, fake->queue + 1, fake->queued * sizeof(*fake->queue));
	}
	pthread_mutex_unlock(&fake->lock);
	return taken;
}

bool fake_run(struct fake_backing *fake)
{
	enum fake_kind kind;
	void *request;

	if (!take(fake, &kind, &request))
		return false;
	if (kind == FAKE_HEAD)
		head_answer(fake, request);
	else if (kind == FAKE_LIST)
		list_answer(fake, request);
	else
		get_answer(fake, request);
	return true;
}

bool fake_wait(struct fake_backing *fake)
{
	uint64_t deadline_ns = clock_after_ns(clock_now_ns(clock_system()), WAIT_S * NS_PER_S);
	bool there;
	int err = 0;

	pthread_mutex_lock(&fake->lock);
	while (fake->queued == 0 && !err)
		err = thread_cond_wait_until(&fake->arrived, &fake->lock, deadline_ns);
	there = fake->queued > 0;
	pthread_mutex_unlock(&fake->lock);
	return there;
}

void fake_run_all(struct fake_backing *fake)
{
	while (fake_run(fake))
		;
}
