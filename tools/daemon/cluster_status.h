/*
 * cluster_status.h - how all members of the cluster are: the job behind CONTROL_CLUSTER.
 *
 *	cluster, time_ns (this node's, monotonic, for rates)
 *	members[]: name, id, site, state, version, self, and
 *		numbers (of those that answered: struct peer_summary's, by name), or
 *		problem (why there are none)
 *	total: the sums of numbers
 *	asked, answered, left_out (members beyond CLUSTER_STATUS_MAX)
 */
#pragma once

#include "base/clock.h"

#define CLUSTER_STATUS_MAX     1000 /* members in one answer */
#define CLUSTER_STATUS_AT_ONCE 32
#define CLUSTER_STATUS_EACH_NS (5 * NS_PER_S)

struct control_request;
struct task_job;

/** cluster_status_job() - Return: 0. */
int cluster_status_job(const struct control_request *request, struct task_job *out_job);
