/*
 * report.h - what the daemon says of itself, as the JSON of `cenote status --json`. Numbers are
 * totals since the start; rates are for the reader to compute from two reports.
 *
 *	version, pid, node, config, state, uptime_ns, time_ns (monotonic, for rates)
 *	keeper (null without one): pid, restarts, hang_after_ns; of the last worker end, end_code,
 *	end_age_ns, reason; resend (whether a crash is survived), resend_reason; upgrade: state,
 *	problem
 *	mount: path, entries[]: path, backing, bucket, prefix
 *	backings[]: id, type, description
 *	memory: arena, used, pinned, resident (of the process), peak
 *	cluster (null when alone): name, id, standing, problem, address, awareness, members: state
 *	-> count, fabric: transport, address, placed (members), generation
 *	directories[]: path, state, capacity, used, objects, problem
 *	counters: room -> name (without the room's) -> value; rooms are cache, store, fuse, "s3:ID"
 *	for each backing store and "s3", their sum (likewise "directory:ID", "directory"), and of a
 *	cluster gossip, peers, fabric
 *	latency_ns: cache_read, fuse_read, of a cluster peers_fetch: count, mean, p50, p99, max
 */
#pragma once

#include <jansson.h>

struct daemon_rooms;

/** report_make() - a new reference, or NULL when out of memory. Any thread while the rooms live. */
json_t *report_make(const struct daemon_rooms *rooms);
