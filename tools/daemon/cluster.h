/*
 * cluster.h - this node as one of a cluster: what it says of itself, its membership, and what
 * `cenote` asks about it. Of a node without a `cluster` in its configuration all of this does
 * nothing, and its answers say so.
 */
#pragma once

#include <jansson.h>
#include <stddef.h>

struct control_request;
struct daemon_rooms;

/**
 * cluster_create() - reads the secret, takes the state directory, binds the sockets; nobody is
 * told anything yet. Fills in rooms->ring and rooms->membership.
 * Return: 0, or an error with @problem.
 */
int cluster_create(struct daemon_rooms *rooms, char *problem, size_t problem_size);

/**
 * cluster_peers_create() - opens the fabric: rooms->cache asks peers and serves them from now on.
 * Fills in rooms->peers and rooms->fabric. Before the first read and cluster_start().
 * Return: 0, or an error with @problem.
 */
int cluster_peers_create(struct daemon_rooms *rooms, char *problem, size_t problem_size);

/** cluster_start() - this node serves: it joins. Return: 0, -EAGAIN. */
int cluster_start(struct daemon_rooms *rooms);

/** cluster_stop() - tells the others; at most gossip.leave_timeout. */
void cluster_stop(struct daemon_rooms *rooms);

/** cluster_destroy() - after cluster_stop(), or of what was never started. */
void cluster_destroy(struct daemon_rooms *rooms);

/** cluster_json() - the section of the report; null when alone. */
json_t *cluster_json(const struct daemon_rooms *rooms);

/** cluster_answer() - to the requests of control.h that are about the cluster; heap memory, or
 *  NULL. */
char *cluster_answer(const struct daemon_rooms *rooms, const struct control_request *request);
