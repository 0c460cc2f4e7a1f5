/*
 * directory.c - one cache directory: its life, its state, its threads.
 */
#include "cache/store/directory.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "base/check.h"
#include "base/digest.h"
#include "base/error.h"
#include "base/log.h"
#include "base/thread.h"

#define WEIGHT_UNKNOWN (UINT64_C(1) << 40) /* "all there is" of a disk that did not open */

/* --- entering and leaving --- */

bool directory_enter(struct directory *d)
{
	bool open;

	pthread_mutex_lock(&d->lock);
	open = d->state == DIRECTORY_OPEN;
	if (open)
		d->users++;
	pthread_mutex_unlock(&d->lock);
	return open;
}

void directory_leave_locked(struct directory *d)
{
	CHECK(d->users > 0);
	if (--d->users == 0 && d->state == DIRECTORY_FAILED)
		pthread_cond_broadcast(&d->wake_keeper);
}

void directory_leave(struct directory *d)
{
	pthread_mutex_lock(&d->lock);
	directory_leave_locked(d);
	pthread_mutex_unlock(&d->lock);
}

bool directory_admits_locked(const struct directory *d)
{
	return d->state == DIRECTORY_OPEN && d->full_until_ns == 0 && !d->stopping;
}

/* --- errors --- */

static void fail_locked(struct directory *d, const char *problem)
{
	if (d->state != DIRECTORY_OPEN)
		return;
	d->state = DIRECTORY_FAILED;
	d->retry_ns = clock_after_ns(clock_now_ns(d->clock), DIRECTORY_RETRY_NS);
	snprintf(d->problem, sizeof(d->problem), "%s", problem);
	pending_doom(&d->pending);
	directory_account_locked(d);
	pthread_cond_broadcast(&d->wake_keeper);
	pthread_cond_broadcast(&d->wake_writer);
	pthread_cond_broadcast(&d->wake_committer);
	log_error("store.directory", "directory=%s taken out: %s; tried again in %u s", d->path,
		  problem, (unsigned)(DIRECTORY_RETRY_NS / NS_PER_S));
}

void directory_fail(struct directory *d, const char *problem)
{
	pthread_mutex_lock(&d->lock);
	fail_locked(d, problem);
	pthread_mutex_unlock(&d->lock);
}

void directory_doubt(struct directory *d)
{
	pthread_mutex_lock(&d->lock);
	d->probe = true;
	pthread_cond_broadcast(&d->wake_keeper);
	pthread_mutex_unlock(&d->lock);
}

static void note_full(struct directory *d, const char *what)
{
	pthread_mutex_lock(&d->lock);
	counter_add(d->counters, STORE_NO_SPACE, 1);
	if (d->full_until_ns == 0)
		log_warning("store.directory",
			    "directory=%s %s: no space left on its file system: writing pauses "
			    "for %u s",
			    d->path, what, (unsigned)(DIRECTORY_FULL_NS / NS_PER_S));
	d->full_until_ns = clock_after_ns(clock_now_ns(d->clock), DIRECTORY_FULL_NS);
	pthread_cond_broadcast(&d->wake_keeper);
	pthread_mutex_unlock(&d->lock);
}

void directory_error(struct directory *d, const char *what, int error)
{
	char problem[sizeof(d->problem)];

	switch (error) {
	case -ENOSPC:
	case -EDQUOT:
		note_full(d, what);
		break;
	case -EMFILE:
	case -ENFILE:
	case -ENOMEM:
	case -EAGAIN:
	case -EINTR:
		log_warning("store.directory", "directory=%s %s: error=\"%s\"", d->path, what,
			    error_text(error));
		break;
	case -EUCLEAN:
		pthread_mutex_lock(&d->lock);
		d->drop_index = true;
		fail_locked(d, "the index is damaged");
		pthread_mutex_unlock(&d->lock);
		break;
	default: /* EIO, EROFS, ENOENT, ENOTDIR, ESTALE, ENODEV ... */
		snprintf(problem, sizeof(problem), "%s: %s", what, error_text(error));
		directory_fail(d, problem);
		break;
	}
}

/* --- room --- */

struct policy_space directory_space_locked(const struct directory *d)
{
	return space_view(&d->space, d->spare || d->replicas_known == DIRECTORY_REPLICAS_SOME);
}

void directory_measure(struct directory *d)
{
	uint64_t index = index_bytes(d->index);
	struct statvfs fs;
	bool known = fstatvfs(d->layout.root_fd, &fs) == 0;

	pthread_mutex_lock(&d->lock);
	d->space.index = index;
	if (known)
		space_measure(&d->space, (uint64_t)fs.f_blocks * fs.f_frsize,
			      (uint64_t)fs.f_bavail * fs.f_frsize);
	directory_account_locked(d);
	pthread_mutex_unlock(&d->lock);
}

static void follow(struct counters *counters, unsigned index, uint64_t *counted, uint64_t value)
{
	if (value >= *counted)
		counter_add(counters, index, value - *counted);
	else
		counter_sub(counters, index, *counted - value);
	*counted = value;
}

void directory_account_locked(struct directory *d)
{
	bool open = d->state == DIRECTORY_OPEN;

	follow(d->counters, STORE_USED_BYTES, &d->counted_used,
	       open ? d->space.used + d->space.index : 0);
	follow(d->counters, STORE_CAPACITY, &d->counted_capacity, open ? d->space.capacity : 0);
}

/* --- life --- */

static void init_locks(struct directory *d)
{
	pthread_mutex_init(&d->lock, NULL);
	thread_cond_init(&d->wake_writer);
	thread_cond_init(&d->wake_committer);
	thread_cond_init(&d->wake_keeper);
	thread_cond_init(&d->settled);
}

static void free_directory(struct directory *d)
{
	pthread_cond_destroy(&d->settled);
	pthread_cond_destroy(&d->wake_keeper);
	pthread_cond_destroy(&d->wake_committer);
	pthread_cond_destroy(&d->wake_writer);
	pthread_mutex_destroy(&d->lock);
	group_destroy(d->group);
	replicas_destroy(d->replicas);
	replacer_destroy(d->replacer);
	handouts_fini(&d->handouts);
	free(d->path);
	free(d);
}

static struct directory *new_directory(const struct directory_config *config)
{
	struct directory *d = calloc(1, sizeof(*d));

	if (!d)
		return NULL;
	d->path = strdup(config->path);
	d->group = group_create(d);
	d->replicas = replicas_create(d);
	d->replacer = replacer_create(d);
	if (!d->path || !d->group || !d->replicas || !d->replacer) {
		free(d->path);
		group_destroy(d->group);
		replicas_destroy(d->replicas);
		replacer_destroy(d->replacer);
		free(d);
		return NULL;
	}
	d->block_len = config->block_len;
	d->policy_kind = config->policy;
	d->clock = config->clock;
	d->files = config->files;
	d->counters = config->counters;
	d->index_map_len = config->index_map_len;
	d->hash = digest_xxh3(d->path, strlen(d->path));
	d->weight = config->capacity;
	d->space.configured = config->capacity;
	d->space.high_percent = config->high_percent;
	d->space.low_percent = config->low_percent;
	d->state = DIRECTORY_CLOSED;
	layout_init(&d->layout);
	pending_init(&d->pending);
	handouts_init(&d->handouts);
	handouts_set_rate(&d->handouts, config->scrub);
	STAILQ_INIT(&d->writes);
	init_locks(d);
	return d;
}

/* The threads' main functions, each telling that it came to its end: waiting for that has a limit.
 */
static void tell_ended(struct directory *d, enum directory_thread which)
{
	pthread_mutex_lock(&d->lock);
	d->ended[which] = true;
	pthread_cond_broadcast(&d->settled);
	pthread_mutex_unlock(&d->lock);
}

static void *run_writer(void *argument)
{
	writer_main(argument);
	tell_ended(argument, DIRECTORY_WRITER);
	return NULL;
}

static void *run_committer(void *argument)
{
	committer_main(argument);
	tell_ended(argument, DIRECTORY_COMMITTER);
	return NULL;
}

static void *run_keeper(void *argument)
{
	keeper_main(argument);
	tell_ended(argument, DIRECTORY_KEEPER);
	return NULL;
}

static void *run_verifier(void *argument)
{
	verifier_main(argument);
	tell_ended(argument, DIRECTORY_VERIFIER);
	return NULL;
}

static int join_until(struct directory *d, enum directory_thread which, uint64_t deadline_ns)
{
	int error = 0;

	pthread_mutex_lock(&d->lock);
	while (!d->ended[which] && !error)
		error = thread_cond_wait_until(&d->settled, &d->lock, deadline_ns);
	if (d->ended[which])
		error = 0;
	pthread_mutex_unlock(&d->lock);
	if (!error)
		pthread_join(d->threads[which], NULL);
	return error;
}

static void end_threads(struct directory *d)
{
	pthread_mutex_lock(&d->lock);
	d->stopping = d->ending = true;
	pthread_cond_broadcast(&d->wake_writer);
	pthread_cond_broadcast(&d->wake_committer);
	pthread_cond_broadcast(&d->wake_keeper);
	pthread_mutex_unlock(&d->lock);
	handouts_end(&d->handouts);
}

static int start_threads(struct directory *d)
{
	static const struct {
		const char *name;
		void *(*main)(void *argument);
	} rows[DIRECTORY_THREAD_COUNT] = {
		[DIRECTORY_WRITER] = { "store-write", run_writer },
		[DIRECTORY_COMMITTER] = { "store-commit", run_committer },
		[DIRECTORY_KEEPER] = { "store-keep", run_keeper },
		[DIRECTORY_VERIFIER] = { "store-verify", run_verifier },
	};

	for (unsigned i = 0; i < DIRECTORY_THREAD_COUNT; i++) {
		int error = thread_start(&d->threads[i], rows[i].name, rows[i].main, d);

		if (!error)
			continue;
		end_threads(d);
		while (i-- > 0)
			pthread_join(d->threads[i], NULL);
		return error;
	}
	return 0;
}

static void first_opening(struct directory *d)
{
	char problem[sizeof(d->problem)] = "";
	int error = directory_open(d, problem, sizeof(problem));

	if (d->weight == 0)
		d->weight = error ? WEIGHT_UNKNOWN : d->space.capacity;

	pthread_mutex_lock(&d->lock);
	if (error) {
		snprintf(d->problem, sizeof(d->problem), "%s", problem);
		d->retry_ns = clock_after_ns(clock_now_ns(d->clock), DIRECTORY_RETRY_NS);
		log_error("store.directory", "directory=%s cannot be used: %s; tried again in %u s",
			  d->path, problem, (unsigned)(DIRECTORY_RETRY_NS / NS_PER_S));
	} else {
		d->state = DIRECTORY_OPEN;
	}
	directory_account_locked(d);
	pthread_mutex_unlock(&d->lock);
}

int directory_create(const struct directory_config *config, struct directory **out_directory)
{
	struct directory *d = new_directory(config);
	int error;

	if (!d)
		return -ENOMEM;
	first_opening(d);
	error = start_threads(d);
	if (error)
		goto close;
	*out_directory = d;
	return 0;
close:
	directory_close(d);
	if (d->ring)
		CHECK(ring_stop(d->ring, CLOCK_NEVER) == 0);
	ring_destroy(d->ring);
	free_directory(d);
	return error;
}

int directory_flush(struct directory *d, uint64_t deadline_ns)
{
	uint64_t mark;
	int error = 0;

	pthread_mutex_lock(&d->lock);
	mark = d->pending.sequence;
	d->flush_waiters++;
	pthread_cond_broadcast(&d->wake_committer);
	while (!error && pending_oldest(&d->pending) <= mark)
		error = thread_cond_wait_until(&d->settled, &d->lock, deadline_ns);
	d->flush_waiters--;
	pthread_mutex_unlock(&d->lock);
	return error;
}

void directory_finish(struct directory *d)
{
	pthread_mutex_lock(&d->lock);
	d->stopping = true;
	pthread_mutex_unlock(&d->lock);
}

int directory_stop(struct directory *d, uint64_t deadline_ns)
{
	int error;

	end_threads(d);
	/* The writer first: it ends what is queued, and with it those who read by the ring and
	 * wait; then the ring ends what is under way; then the committer takes what that left. */
	error = join_until(d, DIRECTORY_WRITER, deadline_ns);
	if (!error)
		error = join_until(d, DIRECTORY_VERIFIER, deadline_ns);
	if (!error)
		error = join_until(d, DIRECTORY_KEEPER, deadline_ns);
	if (!error && d->ring)
		error = ring_stop(d->ring, deadline_ns);
	if (!error)
		error = join_until(d, DIRECTORY_COMMITTER, deadline_ns);
	if (error)
		log_error("store.directory", "directory=%s does not end: its disk holds requests",
			  d->path);
	return error;
}

void directory_destroy(struct directory *d)
{
	if (!d)
		return;
	CHECK(d->users == 0);
	directory_close(d);
	d->state = DIRECTORY_CLOSED;
	directory_account_locked(d);
	pending_fini(&d->pending);
	ring_destroy(d->ring);
	free_directory(d);
}

static enum cache_directory_state public_state(const struct directory *d)
{
	if (d->state != DIRECTORY_OPEN)
		return CACHE_DIRECTORY_FAILED;
	return d->full_until_ns ? CACHE_DIRECTORY_FULL : CACHE_DIRECTORY_OK;
}

void directory_status(struct directory *d, struct cache_directory_status *out)
{
	pthread_mutex_lock(&d->lock);
	*out = (struct cache_directory_status){
		.path = d->path,
		.state = public_state(d),
		.capacity = d->state == DIRECTORY_OPEN ? d->space.capacity : d->space.configured,
		.used = d->state == DIRECTORY_OPEN ? d->space.used + d->space.index : 0,
		.objects = d->state == DIRECTORY_OPEN ? d->objects : 0,
	};
	if (d->state != DIRECTORY_OPEN)
		snprintf(out->problem, sizeof(out->problem), "%s", d->problem);
	else if (d->full_until_ns)
		snprintf(out->problem, sizeof(out->problem),
			 "no space left on its file system: writing pauses");
	pthread_mutex_unlock(&d->lock);
}

void directory_reload(struct directory *d, unsigned high_percent, unsigned low_percent,
		      uint64_t scrub)
{
	handouts_set_rate(&d->handouts, scrub);
	pthread_mutex_lock(&d->lock);
	d->space.high_percent = high_percent;
	d->space.low_percent = low_percent;
	pthread_cond_broadcast(&d->wake_keeper);
	pthread_mutex_unlock(&d->lock);
}
