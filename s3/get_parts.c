/*
 * get_parts.c - the parts of a long GET share a lock, because they may run on different threads;
 * the caller's callbacks run under it, so they never overlap.
 *
 * The first part that fails is the GET's failure; the others are abandoned. done() runs when the
 * last part has ended, for only then does nothing write to dst any more.
 */
#include "s3/get_parts.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "s3/client.h"

#define PARTS_MAX 1024 /* of one GET; of a longer one the parts are longer */

struct part {
	struct s3_get get;
	size_t filled; /* guarded by lock: what its thread last reported */
};

struct parts {
	struct s3_get *whole;
	size_t part_len;
	unsigned count;
	_Atomic bool abandoned;
	pthread_mutex_t lock;
	/* guarded by lock */
	unsigned left;	/* parts that have not ended */
	unsigned first; /* the parts before this one are complete */
	int status;
	char problem[S3_PROBLEM_MAX];
	struct part parts[];
};

/* More bytes may be final: the complete parts and what the next one has. The lock is held. */
static void advance(struct parts *parts)
{
	struct s3_get *whole = parts->whole;

	while (parts->first < parts->count &&
	       parts->parts[parts->first].filled == parts->parts[parts->first].get.len)
		parts->first++;
	size_t filled = whole->len;
	if (parts->first < parts->count)
		filled = parts->first * parts->part_len + parts->parts[parts->first].filled;
	if (filled == whole->filled)
		return;
	whole->filled = filled;
	if (whole->progress)
		whole->progress(whole, filled);
}

static void on_progress(struct s3_get *get, size_t filled)
{
	struct part *part = CONTAINER_OF(get, struct part, get);
	struct parts *parts = get->request.context;

	pthread_mutex_lock(&parts->lock);
	part->filled = filled;
	advance(parts);
	pthread_mutex_unlock(&parts->lock);
}

static void finish(struct parts *parts)
{
	struct s3_get *whole = parts->whole;

	whole->request.status = parts->status;
	memcpy(whole->request.problem, parts->problem, sizeof(parts->problem));
	pthread_mutex_destroy(&parts->lock);
	free(parts);
	whole->done(whole);
}

static void on_done(struct s3_get *get)
{
	struct parts *parts = get->request.context;

	pthread_mutex_lock(&parts->lock);
	if (get->request.status && !parts->status) {
		parts->status = get->request.status;
		memcpy(parts->problem, get->request.problem, sizeof(parts->problem));
		atomic_store(&parts->abandoned, true);
	}
	bool last = --parts->left == 0;
	pthread_mutex_unlock(&parts->lock);
	if (last)
		finish(parts);
}

static void init_part(struct parts *parts, unsigned index)
{
	const struct s3_get *whole = parts->whole;
	size_t off = index * parts->part_len;
	size_t len = whole->len - off;

	parts->parts[index].get = (struct s3_get){
		.request = {
			.bucket = whole->request.bucket,
			.key = whole->request.key,
			.deadline_ns = whole->request.deadline_ns,
			.background = whole->request.background,
			.context = parts,
		},
		.off = whole->off + off,
		.len = len < parts->part_len ? len : parts->part_len,
		.if_match = whole->if_match,
		.dst = (char *)whole->dst + off,
		.progress = on_progress,
		.done = on_done,
	};
}

static struct parts *parts_create(struct s3_get *whole, size_t part_len)
{
	if (whole->len / PARTS_MAX >= part_len)
		part_len = whole->len / PARTS_MAX + 1;
	unsigned count = (unsigned)((whole->len - 1) / part_len + 1);
	struct parts *parts = calloc(1, sizeof(*parts) + count * sizeof(parts->parts[0]));
	if (!parts)
		return NULL;
	parts->whole = whole;
	parts->part_len = part_len;
	parts->count = parts->left = count;
	pthread_mutex_init(&parts->lock, NULL);
	for (unsigned i = 0; i < count; i++)
		init_part(parts, i);
	return parts;
}

bool get_parts_start(struct s3_client *client, struct s3_get *get)
{
	size_t part_len = client->config->part_len;

	if (!get->if_match || get->len <= part_len || get->len - 1 > UINT64_MAX - get->off)
		return false;
	get->filled = 0;
	memset(&get->request.own, 0, sizeof(get->request.own)); /* it is never queued itself */
	struct parts *parts = parts_create(get, part_len);
	if (!parts)
		return false;
	/* once the last is started, parts may be gone */
	for (unsigned i = 0, count = parts->count; i < count; i++)
		get_start(client, &parts->parts[i].get, &parts->abandoned);
	return true;
}
