/*
 * options.h - the command lines of cenote-bw as tables, with perftest's names and letters where it
 * has them.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/option.h"

#define BW_PORT		   7480 /* neither the daemon's nor perftest's */
#define BW_SIZES_MAX	   32
#define BW_DEPTH_MAX	   4096
#define BW_CONNECTIONS_MAX 64
#define BW_SECRET_VARIABLE "CENOTE_BW_SECRET"

/* What both sides are told of the wire. */
struct wire_options {
	int transport;		      /* enum transport_kind */
	struct option_strings ib_dev; /* rails */
	char *bind; /* our address; NULL: any, or the one that leads to the server */
	int64_t port;
	int64_t gid_index;
	int64_t tclass;
	int64_t pkey_index;
	uint64_t slice_len;
	bool events; /* sleep instead of polling */
	char *secret_file;
	char *cluster;
};

enum bw_tests {
	BW_TESTS_ALL,
	BW_TESTS_BANDWIDTH,
	BW_TESTS_LATENCY,
};

struct client_options {
	struct wire_options wire;
	int test; /* enum bw_tests */
	struct option_strings size;
	bool all;
	int64_t iters; /* 0: by time */
	char *duration;
	int64_t tx_depth; /* 0: by size */
	int64_t qp;	  /* 0: one a thread */
	int64_t threads;
	bool bidirectional;
	bool verify;
	uint64_t footprint; /* 0: a place of its own for each read in flight */
	uint64_t memory;
	uint64_t read_timeout;
	uint64_t connect_timeout;
	bool histogram;
	bool report_gbits;
	bool json;
};

struct server_options {
	struct wire_options wire;
	int64_t threads;
	uint64_t region;
	uint64_t memory;
	bool once;
	uint64_t timeout;
	bool json;
};

struct devices_options {
	bool json;
};

/* Limits are those of control.h's CONTROL_MESH. */
struct mesh_options {
	uint64_t bytes;
	char *seconds;
	uint64_t size;
	int64_t depth;
	char *svg;
	bool json;
	char *run_dir;
	char *config;
};

extern const struct option_group mesh_options_group;
extern const struct option_group client_options_group, server_options_group, devices_options_group;
