/*
 * ahead.c - see ahead.h.
 *
 * A file counts as given to the kernel from the READ of its start on, or from just before it is
 * stored, whatever comes first (namespace_give()). So it is stored once, and seldom while it is
 * being read: the store then waits for the READ that was sent and not yet seen here.
 *
 * What is held while it waits: nothing. The bytes are in the storer's buffer, and the cache has its
 * frames back; what answers the READ needs nothing of this thread.
 *
 * When another worker goes on, after mount_leave() or a death, a store under way is the storer's
 * alone. It may come to its end before the next worker has begun, or afterwards, when that one has
 * answered the READ which it waits for. Either way it writes what the node's pages hold or are to
 * hold: of a node that the kernel has forgotten meanwhile, it is refused; and a number is never
 * given to another node. The next worker does not know which files were given. It stores again
 * what is listed again, which does no harm.
 */
#include "fuse/ahead.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/thread.h"
#include "fuse/namespace/namespace.h"

/* The kernel does not know the nodes of a listing before its reader has taken the answer in. */
#define UNKNOWN_TRIES 8
#define UNKNOWN_NS    NS_PER_MS

struct want {
	uint64_t id;
	uint32_t listing; /* number of the answer that named it; 0: it comes next, of a sequence */
};

struct ahead {
	struct ahead_settings settings;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	/* guarded by lock */
	struct want wants[AHEAD_QUEUE_MAX]; /* a ring */
	unsigned first, count;
	uint32_t listing; /* the last number given */
	bool stopping;
	bool read_ended;
	/* of the thread */
	struct cache_read read;
	uint32_t budget_of;    /* a listing */
	uint64_t budget_left;  /* bytes of it that may be stored */
	bool dead;	       /* nothing can be stored any more */
	struct storer *storer; /* NULL: tests */
	char *bytes;	       /* its buffer, of AHEAD_FILE_MAX */
};

/* --- the queue -------------------------------------------------------------------------------- */

static void want_put_locked(struct ahead *ahead, uint64_t id, uint32_t listing)
{
	if (ahead->stopping || ahead->count == AHEAD_QUEUE_MAX)
		return;
	ahead->wants[(ahead->first + ahead->count++) % AHEAD_QUEUE_MAX] =
		(struct want){ id, listing };
	if (ahead->count == 1)
		pthread_cond_broadcast(&ahead->changed);
}

void ahead_listed(struct ahead *ahead, const uint64_t *ids, unsigned count)
{
	if (!ahead || count == 0 || atomic_load(ahead->settings.bytes_max) == 0)
		return;
	pthread_mutex_lock(&ahead->lock);
	if (++ahead->listing == 0)
		ahead->listing++;
	for (unsigned i = 0; i < count; i++)
		want_put_locked(ahead, ids[i], ahead->listing);
	pthread_mutex_unlock(&ahead->lock);
}

void ahead_next(struct ahead *ahead, uint64_t id)
{
	if (!ahead)
		return;
	pthread_mutex_lock(&ahead->lock);
	want_put_locked(ahead, id, 0);
	pthread_mutex_unlock(&ahead->lock);
}

/* Return: false when it is to stop. */
static bool want_take(struct ahead *ahead, struct want *out)
{
	bool goes_on;

	pthread_mutex_lock(&ahead->lock);
	while (ahead->count == 0 && !ahead->stopping)
		pthread_cond_wait(&ahead->changed, &ahead->lock);
	goes_on = !ahead->stopping;
	if (goes_on) {
		*out = ahead->wants[ahead->first];
		ahead->first = (ahead->first + 1) % AHEAD_QUEUE_MAX;
		ahead->count--;
	}
	pthread_mutex_unlock(&ahead->lock);
	return goes_on;
}

/* Return: false when it is to stop. */
static bool pause_for(struct ahead *ahead, uint64_t ns)
{
	uint64_t deadline_ns = clock_after_ns(clock_now_ns(clock_system()), ns);
	int err = 0;
	bool goes_on;

	pthread_mutex_lock(&ahead->lock);
	while (!ahead->stopping && !err)
		err = thread_cond_wait_until(&ahead->changed, &ahead->lock, deadline_ns);
	goes_on = !ahead->stopping;
	pthread_mutex_unlock(&ahead->lock);
	return goes_on;
}

/* --- the bytes -------------------------------------------------------------------------------- */

static void read_done(struct cache_read *read)
{
	struct ahead *ahead = read->context;

	pthread_mutex_lock(&ahead->lock);
	ahead->read_ended = true;
	pthread_cond_broadcast(&ahead->changed);
	pthread_mutex_unlock(&ahead->lock);
}

/* By the cache's read_timeout at the latest, or soon when it is to stop. */
static void read_wait(struct ahead *ahead)
{
	bool cancels;

	pthread_mutex_lock(&ahead->lock);
	while (!ahead->read_ended && !ahead->stopping)
		pthread_cond_wait(&ahead->changed, &ahead->lock);
	cancels = !ahead->read_ended;
	pthread_mutex_unlock(&ahead->lock);
	if (!cancels)
		return;
	cache_read_cancel(&ahead->read);
	pthread_mutex_lock(&ahead->lock);
	while (!ahead->read_ended)
		pthread_cond_wait(&ahead->changed, &ahead->lock);
	pthread_mutex_unlock(&ahead->lock);
}

static void bytes_copy(struct ahead *ahead)
{
	char *at = ahead->bytes;

	for (int i = 0; i < ahead->read.iov_count; i++) {
		memcpy(at, ahead->read.iov[i].iov_base, ahead->read.iov[i].iov_len);
		at += ahead->read.iov[i].iov_len;
	}
}

/* The whole file. Return: whether it is in ahead->bytes. */
static bool bytes_get(struct ahead *ahead, const struct namespace_file *file)
{
	struct cache_object *object;
	bool got;

	if (cache_object_open(ahead->settings.cache, &file->version, file->mtime_s, file->backing,
			      file->dataset, &object) != 0)
		return false;
	ahead->read_ended = false; /* nobody else is there */
	ahead->read = (struct cache_read){ .object = object,
					   .len = (size_t)file->version.size,
					   .done = read_done,
					   .context = ahead };
	if (cache_read_start(ahead->settings.cache, &ahead->read) == 0)
		read_wait(ahead);
	got = ahead->read.status == 0;
	if (got) {
		bytes_copy(ahead);
		cache_read_finish(&ahead->read);
	}
	cache_object_put(object);
	return got;
}

/* --- storing ---------------------------------------------------------------------------------- */

/* No listing may make anybody ask a backing store, nor fill the memory with a whole dataset. */
static bool listed_fits(struct ahead *ahead, const struct want *want,
			const struct namespace_file *file)
{
	uint64_t size = file->version.size;

	if (ahead->budget_of != want->listing) {
		ahead->budget_of = want->listing;
		ahead->budget_left = atomic_load(ahead->settings.bytes_max);
	}
	if (size > ahead->budget_left ||
	    cache_object_resident(ahead->settings.cache, &file->version) < size)
		return false;
	ahead->budget_left -= size;
	return true;
}

static bool fits(struct ahead *ahead, const struct want *want, const struct namespace_file *file)
{
	if (file->given || file->version.size == 0 || file->version.size > AHEAD_FILE_MAX)
		return false;
	return want->listing == 0 || listed_fits(ahead, want, file);
}

static int store_once(struct ahead *ahead, uint64_t id, size_t len)
{
	if (ahead->storer)
		return storer_store(ahead->storer, id, len);
	return ahead->settings.store(id, ahead->bytes, len);
}

static void store(struct ahead *ahead, uint64_t id, size_t len)
{
	struct counters *counters = ahead->settings.counters;
	int err = -ENOENT;

	for (unsigned i = 0; i < UNKNOWN_TRIES && err == -ENOENT; i++) {
		if (i > 0 && !pause_for(ahead, UNKNOWN_NS))
			return;
		err = store_once(ahead, id, len);
	}
	if (!err) {
		counter_add(counters, MOUNT_STORED_FILES, 1);
		counter_add(counters, MOUNT_STORED_BYTES, len);
	} else if (err == -ENODEV || err == -EPERM || err == -ENOTCONN || err == -ECANCELED) {
		ahead->dead = true;
	} else if (err != -ENOENT) { /* that is a node which it has forgotten */
		log_debug("mount.ahead", "node=%llu error=\"%s\"", (unsigned long long)id,
			  error_text(err));
	}
}

static void want_serve(struct ahead *ahead, const struct want *want)
{
	struct namespace *ns = ahead->settings.ns;
	struct namespace_file *file;

	/* Its path may be another version's by now: what is stored for this one is of use to none.
	 */
	if (ahead->dead || namespace_file(ns, want->id, true, &file) != 0)
		return;
	if (fits(ahead, want, file) && bytes_get(ahead, file) && namespace_give(ns, want->id))
		store(ahead, want->id, (size_t)file->version.size);
	namespace_file_free(file);
}

static void *ahead_main(void *argument)
{
	struct ahead *ahead = argument;
	struct want want;

	while (want_take(ahead, &want))
		want_serve(ahead, &want);
	return NULL;
}

/* --- life ------------------------------------------------------------------------------------- */

static void ahead_free(struct ahead *ahead)
{
	if (!ahead->storer)
		free(ahead->bytes);
	storer_destroy(ahead->storer);
	pthread_cond_destroy(&ahead->changed);
	pthread_mutex_destroy(&ahead->lock);
	free(ahead);
}

static int storer_find(struct ahead *ahead)
{
	int err;

	if (ahead->settings.store) {
		ahead->bytes = malloc(AHEAD_FILE_MAX);
		return ahead->bytes ? 0 : -ENOMEM;
	}
	err = storer_start(ahead->settings.connection, &ahead->storer);
	if (!err)
		ahead->bytes = storer_buffer(ahead->storer);
	return err;
}

int ahead_start(const struct ahead_settings *settings, struct ahead **out_ahead)
{
	struct ahead *ahead = calloc(1, sizeof(*ahead));
	int err;

	if (!ahead)
		return -ENOMEM;
	ahead->settings = *settings;
	pthread_mutex_init(&ahead->lock, NULL);
	thread_cond_init(&ahead->changed);
	err = storer_find(ahead);
	if (!err)
		err = thread_start(&ahead->thread, "ahead", ahead_main, ahead);
	if (err) {
		ahead_free(ahead);
		return err;
	}
	*out_ahead = ahead;
	return 0;
}

void ahead_stop(struct ahead *ahead)
{
	if (!ahead)
		return;
	pthread_mutex_lock(&ahead->lock);
	ahead->stopping = true;
	pthread_cond_broadcast(&ahead->changed);
	pthread_mutex_unlock(&ahead->lock);
	storer_cancel(ahead->storer);
}

void ahead_destroy(struct ahead *ahead)
{
	if (!ahead)
		return;
	ahead_stop(ahead);
	pthread_join(ahead->thread, NULL);
	ahead_free(ahead);
}
