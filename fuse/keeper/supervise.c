/*
 * supervise.c - see supervise.h.
 */
#include "fuse/keeper/supervise.h"

#include <signal.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"

static const uint64_t pauses_ns[] = {
	0,
	100 * NS_PER_MS,
	500 * NS_PER_MS,
	1 * NS_PER_S,
	2 * NS_PER_S,
	5 * NS_PER_S,
	10 * NS_PER_S,
	30 * NS_PER_S,
};

void supervise_started(struct supervise *supervise, uint64_t now_ns)
{
	supervise->state = SUPERVISE_STARTING;
	supervise->since_ns = now_ns;
}

bool supervise_stuck(const struct supervise *supervise, uint64_t now_ns)
{
	return supervise->state == SUPERVISE_STARTING && supervise->served &&
	       now_ns >= clock_after_ns(supervise->since_ns, SUPERVISE_START_NS);
}

void supervise_serving(struct supervise *supervise, uint64_t now_ns)
{
	if (supervise->state != SUPERVISE_STARTING)
		return;
	supervise->state = SUPERVISE_SERVING;
	supervise->served = true;
	supervise->since_ns = now_ns;
}

void supervise_stopping(struct supervise *supervise)
{
	supervise->state = SUPERVISE_STOPPING;
}

void supervise_leaving(struct supervise *supervise)
{
	supervise->state = SUPERVISE_LEAVING;
}

bool supervise_told(struct supervise *supervise)
{
	supervise->told = true;
	return supervise->state == SUPERVISE_PAUSED;
}

static void pause_for(struct supervise *supervise, uint64_t now_ns, uint64_t pause_ns)
{
	supervise->since_ns = clock_after_ns(now_ns, pause_ns);
	supervise->state = SUPERVISE_PAUSED;
}

static void pause_longer(struct supervise *supervise, uint64_t now_ns)
{
	pause_for(supervise, now_ns, pauses_ns[supervise->pauses]);
	if (supervise->pauses + 1 < ARRAY_COUNT(pauses_ns))
		supervise->pauses++;
}

void supervise_failed(struct supervise *supervise, uint64_t now_ns)
{
	pause_longer(supervise, now_ns);
}

/* One that said it stops, and of whose end nothing is known, has stopped. */
static int quit_status(const struct supervise *supervise, const struct supervise_end *end)
{
	if (end->signal)
		return EXIT_FAILURE;
	if (end->status < 0)
		return supervise->state == SUPERVISE_STOPPING ? EXIT_SUCCESS : EXIT_FAILURE;
	return end->status;
}

/* kill -9 is somebody's, or the OOM killer's; of who was not our child we do not know. */
static bool own_doing(const struct supervise_end *end)
{
	return end->signal ? end->signal != SIGKILL : end->status >= 0;
}

enum supervise_next supervise_ended(struct supervise *supervise, const struct supervise_end *end,
				    uint64_t now_ns, int *out_status)
{
	bool serving = supervise->state == SUPERVISE_SERVING;
	uint64_t served_ns = serving ? now_ns - supervise->since_ns : 0;

	if (supervise->told && supervise->served && end->signal && !supervise->last) {
		supervise->last = true;
		pause_for(supervise, now_ns, 0);
		return SUPERVISE_AGAIN;
	}
	if (supervise->state == SUPERVISE_STOPPING || supervise->told || !supervise->served) {
		*out_status = quit_status(supervise, end);
		return SUPERVISE_QUIT;
	}
	if (served_ns >= SUPERVISE_WELL_NS || supervise->state == SUPERVISE_LEAVING)
		supervise->pauses = supervise->broken = 0;
	if (supervise->state != SUPERVISE_LEAVING && !own_doing(end)) {
		pause_for(supervise, now_ns, served_ns >= SUPERVISE_SOON_NS ? 0 : pauses_ns[1]);
		return SUPERVISE_AGAIN;
	}
	if (supervise->state != SUPERVISE_LEAVING)
		supervise->broken++;
	pause_longer(supervise, now_ns);
	if (supervise->broken < SUPERVISE_BROKEN_MAX)
		return SUPERVISE_AGAIN;
	supervise->broken = 0;
	return SUPERVISE_AGAIN_FRESH;
}

uint64_t supervise_due_ns(const struct supervise *supervise)
{
	return supervise->state == SUPERVISE_PAUSED ? supervise->since_ns : UINT64_MAX;
}
