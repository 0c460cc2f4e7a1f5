/*
 * leave.c - going for good, at once or by way of LEAVING:
 *
 *	ALIVE -- membership_drain() --> LEAVING -- membership_leave() --> LEFT
 *	   ^----- stay(), join() ---------'  `--- silence ---> SUSPECT, DEAD as any other
 *
 * carrier.c sees to it that the leave ends when it was told to enough, or at its deadline.
 */
#include <errno.h>

#include "fabric/gossip/inside.h"

static int64_t leave_begin(struct membership *membership)
{
	uint64_t now_ns = now_of(membership);
	struct task *task;

	if (membership->leave_task)
		return membership->leave_task;
	task = task_start(membership);
	if (!task)
		return -ENOSPC;
	if (!carrier_is_active(membership)) {
		task_finish(task, 0, "this node is not in the cluster");
		return task->report.number;
	}
	membership->leave_task = task->report.number;
	membership->leave_deadline_ns = clock_after_ns(now_ns, membership->config.leave_timeout);
	membership->spread = false;
	swim_leave(membership->swim, now_ns);
	return membership->leave_task;
}

int64_t membership_leave(struct membership *membership)
{
	int64_t result;

	pthread_mutex_lock(&membership->lock);
	result = leave_begin(membership);
	pthread_mutex_unlock(&membership->lock);
	carrier_wake(membership);
	return result;
}

/* --- the state before it, in which this node hands over what it has */

int membership_drain(struct membership *membership)
{
	int error = 0;

	pthread_mutex_lock(&membership->lock);
	if (!carrier_is_active(membership) || membership->leave_task)
		error = -ENOTCONN;
	else if (membership->phase != SWIM_LEAVING)
		carrier_announce(membership, SWIM_LEAVING, 0);
	pthread_mutex_unlock(&membership->lock);
	carrier_wake(membership);
	return error;
}

int membership_stay(struct membership *membership)
{
	int error = 0;

	pthread_mutex_lock(&membership->lock);
	if (!carrier_is_active(membership) || membership->leave_task ||
	    membership->phase != SWIM_LEAVING)
		error = -ENOENT;
	else
		carrier_announce(membership, SWIM_SERVING, 0);
	pthread_mutex_unlock(&membership->lock);
	carrier_wake(membership);
	return error;
}
