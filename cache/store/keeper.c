/*
 * keeper.c - the thread that looks after a directory: eviction, the sweep, new files in the place
 * of those that were handed out (handout/), whether it is still there, closing it after a failure
 * and opening it again.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "base/thread.h"
#include "cache/store/directory.h"

#define LOOK_NS	       (200 * NS_PER_MS) /* how often it looks at the clock */
#define SWEEP_PAUSE_NS (5 * NS_PER_MS)
#define MEASURE_NS     NS_PER_S
#define PROBE_NS       (5 * NS_PER_S)

struct keeper {
	struct directory *directory;
	struct sweep *sweep;
	uint64_t measured_ns, probed_ns;
};

static void probe_path(struct directory *d)
{
	int error = layout_same(&d->layout, d->path);

	if (error == -ESTALE)
		directory_fail(d, "another directory is at its path now");
	else if (error)
		directory_error(d, "gone", error);
}

/* Someone met an error: can it still be written? */
static void probe_writing(struct directory *d)
{
	const struct files *files = d->files;
	int fd = files->open(files, d->layout.root_fd, "probe", O_WRONLY | O_CREAT | O_TRUNC);
	int error = fd < 0 ? fd : 0;

	if (!error) {
		error = files->write(files, fd, "probe", 5, 0);
		if (!error)
			error = files->sync_data(files, fd);
		close(fd);
		files->unlink(files, d->layout.root_fd, "probe");
	}
	if (error)
		directory_error(d, "probe", error);
}

static void probe(struct keeper *keeper, uint64_t now_ns)
{
	struct directory *d = keeper->directory;
	bool doubted;

	pthread_mutex_lock(&d->lock);
	doubted = d->probe;
	d->probe = false;
	pthread_mutex_unlock(&d->lock);
	if (!doubted && now_ns - keeper->probed_ns < PROBE_NS)
		return;
	keeper->probed_ns = now_ns;
	probe_path(d);
	if (doubted)
		probe_writing(d);
}

static void measure(struct keeper *keeper, uint64_t now_ns)
{
	struct directory *d = keeper->directory;
	struct policy_space space;

	if (now_ns - keeper->measured_ns >= MEASURE_NS) {
		keeper->measured_ns = now_ns;
		directory_measure(d);
	}
	pthread_mutex_lock(&d->lock);
	if (d->full_until_ns && now_ns >= d->full_until_ns) {
		d->full_until_ns = 0;
		log_notice("store.directory", "directory=%s writing goes on", d->path);
	}
	replicas_look_again_locked(d, now_ns);
	space = directory_space_locked(d);
	if (space.used > space.high)
		d->evict = true;
	pthread_mutex_unlock(&d->lock);
}

/* Return: whether there is more to do at once. */
static bool evict(struct keeper *keeper)
{
	struct directory *d = keeper->directory;
	bool wanted;

	pthread_mutex_lock(&d->lock);
	wanted = d->evict;
	d->evict = false;
	pthread_mutex_unlock(&d->lock);
	if (!wanted || !evict_some(d))
		return false;
	pthread_mutex_lock(&d->lock);
	d->evict = true;
	pthread_mutex_unlock(&d->lock);
	return true;
}

/* Return: whether it is not through yet. */
static bool sweep(struct keeper *keeper)
{
	struct directory *d = keeper->directory;
	bool wanted;

	if (!keeper->sweep) {
		pthread_mutex_lock(&d->lock);
		wanted = d->sweep;
		d->sweep = false;
		pthread_mutex_unlock(&d->lock);
		if (!wanted)
			return false;
		keeper->sweep = sweep_create(d);
		if (!keeper->sweep)
			return false;
	}
	if (sweep_some(keeper->sweep))
		return true;
	sweep_destroy(keeper->sweep);
	keeper->sweep = NULL;
	pthread_mutex_lock(&d->lock);
	wanted = d->sweep;
	if (!wanted)
		d->space.orphans = 0;
	pthread_mutex_unlock(&d->lock);
	return wanted;
}

static void close_failed(struct keeper *keeper)
{
	struct directory *d = keeper->directory;

	sweep_destroy(keeper->sweep);
	keeper->sweep = NULL;
	replacer_stop(d->replacer);
	directory_close(d);
	pthread_mutex_lock(&d->lock);
	d->state = DIRECTORY_CLOSED;
	d->full_until_ns = 0;
	pthread_mutex_unlock(&d->lock);
}

static void try_again(struct directory *d)
{
	char problem[sizeof(d->problem)] = "";
	int error = directory_open(d, problem, sizeof(problem));

	pthread_mutex_lock(&d->lock);
	if (error) {
		snprintf(d->problem, sizeof(d->problem), "%s", problem);
		d->retry_ns = clock_after_ns(clock_now_ns(d->clock), DIRECTORY_RETRY_NS);
		log_warning("store.directory", "directory=%s still cannot be used: %s", d->path,
			    problem);
	} else {
		d->state = DIRECTORY_OPEN;
		d->problem[0] = 0;
		d->faults = 0;
		directory_account_locked(d);
		log_notice("store.directory", "directory=%s is back", d->path);
	}
	pthread_mutex_unlock(&d->lock);
}

/* Return: how long until the next look. */
static uint64_t tend(struct keeper *keeper)
{
	struct directory *d = keeper->directory;
	uint64_t now_ns = clock_now_ns(d->clock);
	bool more;

	probe(keeper, now_ns);
	measure(keeper, now_ns);
	more = evict(keeper);
	more |= replace_some(d->replacer);
	if (sweep(keeper) && !more)
		return SWEEP_PAUSE_NS;
	return more ? 0 : LOOK_NS;
}

/* One look at the directory, according to its state. */
static uint64_t look(struct keeper *keeper)
{
	struct directory *d = keeper->directory;
	enum directory_state state;
	bool idle, due;

	pthread_mutex_lock(&d->lock);
	state = d->state;
	idle = d->users == 0 && !pending_busy(&d->pending);
	due = clock_now_ns(d->clock) >= d->retry_ns && !d->stopping;
	if (state == DIRECTORY_OPEN)
		d->users++;
	pthread_mutex_unlock(&d->lock);
	if (state == DIRECTORY_OPEN) {
		uint64_t wait_ns = tend(keeper);

		directory_leave(d);
		return wait_ns;
	}
	if (state == DIRECTORY_FAILED && idle)
		close_failed(keeper);
	else if (state == DIRECTORY_CLOSED && due)
		try_again(d);
	return LOOK_NS;
}

void keeper_main(struct directory *d)
{
	struct keeper keeper = { .directory = d };

	for (;;) {
		uint64_t wait_ns = look(&keeper);
		bool ending;

		pthread_mutex_lock(&d->lock);
		if (!d->ending && wait_ns > 0 && !d->evict && !d->probe)
			thread_cond_wait_until(
				&d->wake_keeper, &d->lock,
				clock_after_ns(clock_now_ns(clock_system()), wait_ns));
		ending = d->ending;
		pthread_mutex_unlock(&d->lock);
		if (ending)
			break;
	}
	sweep_destroy(keeper.sweep);
	replacer_stop(d->replacer);
}
