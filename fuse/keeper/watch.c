/*
 * watch.c - see watch.h.
 */
#include "fuse/keeper/watch.h"

#include <stdio.h>

#include "base/clock.h"

/* Looks that lie this far apart: it was us who did not run (the machine slept, or swaps), and the
 * worker as little. */
#define ABSENCE_NS (3 * NS_PER_S)

/* Of a request's number on the board: above are whether it came again and its connection. */
#define UNIQUE_MASK ((UINT64_C(1) << 56) - 1)

void watch_begin(struct watch *watch, uint64_t now_ns)
{
	watch->seen_ns = watch->taken_ns = now_ns;
	watch->judge_ns = 0;
}

static bool takes_none(struct watch *watch, uint64_t taken, bool waiting, uint64_t now_ns)
{
	if (taken != watch->taken || !waiting) {
		watch->taken = taken;
		watch->taken_ns = now_ns;
		return false;
	}
	return now_ns - watch->taken_ns >= watch->hang_after_ns;
}

bool watch_look(struct watch *watch, const struct board *board, bool waiting, uint64_t now_ns,
		char *reason)
{
	struct board_overdue overdue;
	bool stuck;

	if (watch->hang_after_ns == 0)
		return false;
	if (now_ns - watch->seen_ns >= ABSENCE_NS) {
		watch->judge_ns = clock_after_ns(now_ns, watch->hang_after_ns);
		watch->taken_ns = now_ns;
	}
	watch->seen_ns = now_ns;
	stuck = takes_none(watch, board->taken, waiting, now_ns);
	if (now_ns < watch->judge_ns)
		return false;
	if (stuck) {
		snprintf(reason, WATCH_REASON_MAX,
			 "it hung: the kernel's requests were not taken for %llu s",
			 (unsigned long long)((now_ns - watch->taken_ns) / NS_PER_S));
		return true;
	}
	if (!board_overdue(board, clock_before_ns(now_ns, watch->hang_after_ns), &overdue))
		return false;
	snprintf(reason, WATCH_REASON_MAX,
		 "it hung: request %llu (opcode %u) was overdue by %llu s",
		 (unsigned long long)(overdue.unique & UNIQUE_MASK), overdue.opcode,
		 (unsigned long long)((now_ns - overdue.deadline_ns) / NS_PER_S));
	return true;
}
