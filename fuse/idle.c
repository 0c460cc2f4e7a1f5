/*
 * idle.c - see idle.h.
 *
 * The thread sleeps for good while nothing is idle. A round over all of them goes a batch at a
 * time, so that no open waits long for the lock; who takes out the one that is next moves the
 * round on. Ids are closed without the lock: with the last reference to a file that was unlinked
 * goes its space, and that takes a file system a while. Its node may be opened meanwhile, in either
 * mode: to the kernel an id that nobody has open does not exist.
 */
#include "fuse/idle.h"

#include "base/check.h"
#include "base/error.h"
#include "base/log.h"
#include "base/thread.h"
#include "fuse/inside.h"

#define LOOK_NS	 (250 * NS_PER_MS)
#define PAUSE_NS NS_PER_MS /* between two batches of a round */
#define BATCH	 128

void idle_init(struct idle *idle)
{
	thread_cond_init(&idle->wake);
	TAILQ_INIT(&idle->files);
	idle->max = IDLE_MAX;
}

void idle_fini(struct idle *idle)
{
	CHECK(!idle->running);
	pthread_cond_destroy(&idle->wake);
}

void idle_take_locked(struct mount *mount, struct backing_file *file)
{
	struct idle *idle = &mount->passthrough.idle;

	if (idle->look == file)
		idle->look = TAILQ_NEXT(file, link);
	TAILQ_REMOVE(&idle->files, file, link);
	idle->count--;
}

/* Nobody finds it any more. */
static void take_out_locked(struct mount *mount, struct backing_file *file)
{
	idle_take_locked(mount, file);
	/* It is in the table, so there is one. */
	/* NOLINTNEXTLINE(clang-analyzer-core.NullDereference) */
	HASH_DELETE(hh, mount->passthrough.files, file);
}

bool idle_put_locked(struct mount *mount, struct backing_file *file)
{
	struct idle *idle = &mount->passthrough.idle;

	if (!idle->running)
		return false;
	if (TAILQ_EMPTY(&idle->files))
		pthread_cond_signal(&idle->wake);
	file->since_ns = clock_now_ns(mount->clock);
	TAILQ_INSERT_TAIL(&idle->files, file, link);
	if (++idle->count > idle->max) {
		struct backing_file *oldest = TAILQ_FIRST(&idle->files);

		take_out_locked(mount, oldest);
		backing_file_close_locked(mount, oldest);
	}
	return true;
}

/* --- the thread ------------------------------------------------------------------------------- */

static void expire_locked(struct mount *mount, struct backing_files *out)
{
	struct idle *idle = &mount->passthrough.idle;
	uint64_t now_ns = clock_now_ns(mount->clock);
	struct backing_file *file;

	for (unsigned n = 0; n < BATCH; n++) {
		file = TAILQ_FIRST(&idle->files);
		if (!file || now_ns < clock_after_ns(file->since_ns, IDLE_AGE))
			break;
		take_out_locked(mount, file);
		TAILQ_INSERT_TAIL(out, file, link);
	}
}

/* A portion of the round that is under way, or of a new one when there is reason for it. */
static void look_locked(struct mount *mount, struct backing_files *out)
{
	struct idle *idle = &mount->passthrough.idle;
	uint64_t lost = cache_handout_lost(mount->cache);
	struct backing_file *file;

	if (!idle->look && lost != idle->lost) {
		idle->look = TAILQ_FIRST(&idle->files);
		idle->lost = lost;
	}
	for (unsigned n = 0; n < BATCH && idle->look; n++) {
		file = idle->look;
		idle->look = TAILQ_NEXT(file, link);
		if (cache_handout_current(mount->cache, &file->handout))
			continue;
		take_out_locked(mount, file);
		TAILQ_INSERT_TAIL(out, file, link);
	}
}

/* Gives the lock back meanwhile. */
static void close_all_locked(struct mount *mount, struct backing_files *files)
{
	struct passthrough *passthrough = &mount->passthrough;
	struct backing_file *file, *next;

	if (TAILQ_EMPTY(files))
		return;
	pthread_mutex_unlock(&passthrough->lock);
	for (file = TAILQ_FIRST(files); file; file = TAILQ_NEXT(file, link))
		channel_backing_close(mount->channel, file->id);
	pthread_mutex_lock(&passthrough->lock);
	for (file = TAILQ_FIRST(files); file; file = next) {
		next = TAILQ_NEXT(file, link);
		ledger_backing_remove(mount->ledger, file->id);
		free(file);
	}
}

static void rest_locked(struct passthrough *passthrough)
{
	struct idle *idle = &passthrough->idle;
	uint64_t until_ns = CLOCK_NEVER;

	if (!TAILQ_EMPTY(&idle->files))
		until_ns = clock_after_ns(clock_now_ns(clock_system()),
					  idle->look ? PAUSE_NS : LOOK_NS);
	if (!idle->stopping)
		(void)thread_cond_wait_until(&idle->wake, &passthrough->lock, until_ns);
}

static void *idle_main(void *argument)
{
	struct mount *mount = argument;
	struct passthrough *passthrough = &mount->passthrough;
	struct backing_files spent;

	pthread_mutex_lock(&passthrough->lock);
	while (!passthrough->idle.stopping) {
		TAILQ_INIT(&spent);
		expire_locked(mount, &spent);
		look_locked(mount, &spent);
		close_all_locked(mount, &spent);
		rest_locked(passthrough);
	}
	pthread_mutex_unlock(&passthrough->lock);
	return NULL;
}

void idle_start_locked(struct mount *mount)
{
	struct idle *idle = &mount->passthrough.idle;
	int err;

	if (idle->running || idle->stopping)
		return;
	err = thread_start(&idle->thread, "idle", idle_main, mount);
	idle->running = !err;
	if (err)
		log_warning("mount.passthrough", "error=\"%s\" effect=\"small files open slower\"",
			    error_text(err));
}

void idle_stop(struct mount *mount)
{
	struct passthrough *passthrough = &mount->passthrough;
	struct idle *idle = &passthrough->idle;
	bool running;

	pthread_mutex_lock(&passthrough->lock);
	running = idle->running;
	idle->stopping = true;
	idle->running = false;
	pthread_cond_signal(&idle->wake);
	pthread_mutex_unlock(&passthrough->lock);
	if (running)
		pthread_join(idle->thread, NULL);
}
