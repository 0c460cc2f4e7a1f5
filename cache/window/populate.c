/*
 * populate.c - in steps of 4 MiB, so that a stop need not wait for a large arena and the kernel's
 * lock on the address space is never held for long.
 */
#include "cache/window/populate.h"

#include <errno.h>
#include <sched.h>
#include <sys/mman.h>

#include "base/error.h"
#include "base/log.h"
#include "base/thread.h"

#define STEP_LEN (UINT64_C(4) << 20)

static void *populate_main(void *argument)
{
	struct populate *populate = argument;
	struct sched_param parameters = { .sched_priority = 0 };
	uint64_t off, step;

	/* of this thread alone; failing that it is merely less polite */
	(void)sched_setscheduler(0, SCHED_IDLE, &parameters);
	for (off = 0; off < populate->len && !atomic_load(&populate->stop); off += step) {
		step = populate->len - off < STEP_LEN ? populate->len - off : STEP_LEN;
		/* kernels before 5.14 do not know it: pages then come at first use */
		if (madvise(populate->memory + off, step, MADV_POPULATE_WRITE) != 0) {
			log_debug("cache.populate", "off=%llu error=\"%s\"",
				  (unsigned long long)off, error_text(-errno));
			break;
		}
		counter_set(populate->counters, populate->gauge, off + step);
	}
	return NULL;
}

void populate_start(struct populate *populate, void *memory, uint64_t len,
		    struct counters *counters, unsigned gauge)
{
	*populate = (struct populate){
		.memory = memory,
		.len = len,
		.counters = counters,
		.gauge = gauge,
	};
	populate->started =
		thread_start(&populate->thread, "populate", populate_main, populate) == 0;
}

void populate_stop(struct populate *populate)
{
	if (!populate->started)
		return;
	atomic_store(&populate->stop, true);
	pthread_join(populate->thread, NULL);
	populate->started = false;
}
