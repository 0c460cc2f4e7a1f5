/*
 * options.c - the tables.
 */
#include "tools/bw/options.h"

#include "base/clock.h"
#include "cache/peer/peers.h"
#include "fabric/transport/transport.h"

static const char *const test_names[] = { "all", "bw", "lat", NULL };

#define CLIENT(field, type, ...) OPTION(struct client_options, field, type, __VA_ARGS__)
#define SERVER(field, type, ...) OPTION(struct server_options, field, type, __VA_ARGS__)

/* One of struct wire_options inside @owner. */
#define WIRE(owner, field, option_type, ...)                                                       \
	{                                                                                          \
		.name = #field, .type = (option_type), .offset = offsetof(owner, wire.field),      \
		__VA_ARGS__                                                                        \
	}

#define WIRE_OPTIONS(owner)                                                                        \
	WIRE(owner, transport, OPTION_CHOICE, .choices = transport_kind_names,                     \
	     .default_text = "auto",                                                               \
	     .help = "What carries the data: verbs (RDMA) or ucx (TCP, for trusted networks); "    \
		     "auto: verbs where there is a usable device. Both sides must use the same."), \
		WIRE(owner, ib_dev, OPTION_STRINGS, .letter = 'd', .argument = "DEVICE",           \
		     .max = TRANSPORT_RAILS_MAX,                                                   \
		     .help = "Device, mlx5_0 or mlx5_0:2 (its port), for ucx a network "           \
			     "interface. Given several times: rails, over which large reads are "  \
			     "striped. None: all that are usable; `cenote-bw devices` lists "      \
			     "them."),                                                             \
		WIRE(owner, port, OPTION_INT, .letter = 'p', .argument = "PORT",                   \
		     .default_text = "7480", .min = 0, .max = 65535,                               \
		     .help = "TCP port of the server's first thread; each further thread takes "   \
			     "the next one. 0, when serving: any."),                               \
		WIRE(owner, gid_index, OPTION_INT, .letter = 'x', .default_text = "-1", .min = -1, \
		     .max = 255,                                                                   \
		     .help = "GID index of RoCE; -1: the RoCE v2 one of the address in use."),     \
		WIRE(owner, tclass, OPTION_INT, .default_text = "0", .min = 0, .max = 255,         \
		     .help = "Traffic class of RDMA packets (RoCE: the DSCP is its upper six "     \
			     "bits)."),                                                            \
		WIRE(owner, pkey_index, OPTION_INT, .default_text = "0", .min = 0, .max = 65535,   \
		     .help = "Partition key index of InfiniBand."),                                \
		WIRE(owner, slice_len, OPTION_BYTES, .default_text = "1 MiB", .min = 4096,         \
		     .max = TRANSPORT_SLICE_LEN_MAX,                                               \
		     .help = "A longer read goes over the wire as several of this length."),       \
		WIRE(owner, events, OPTION_BOOL, .letter = 'e',                                    \
		     .help = "Sleep until something completes. Without it completions are "        \
			     "polled for, as long as there is a processor to spare."),             \
		WIRE(owner, secret_file, OPTION_STRING, .letter = 'k', .argument = "FILE",         \
		     .help = "The cluster's secret, which both sides must know: 64 hexadecimal "   \
			     "digits, as of `openssl rand -hex 32`, in a file that only its "      \
			     "owner may read. Without it, $" BW_SECRET_VARIABLE                    \
			     " holds the digits themselves."),                                     \
		WIRE(owner, cluster, OPTION_STRING, .argument = "NAME", .min = 1, .max = 63,       \
		     .default_text = "cenote-bw",                                                  \
		     .help = "Name of the cluster; the same on both sides.")

static const struct option client_table[] = {
	CLIENT(test, OPTION_CHOICE, .choices = test_names, .default_text = "all",
	       .help = "Bandwidth (reads in flight all the time), latency (one read after the "
		       "other), or both."),
	CLIENT(size, OPTION_STRINGS, .letter = 's', .argument = "SIZE", .max = BW_SIZES_MAX,
	       .help = "Bytes of a read, 65536 or \"64 KiB\", up to 64 MiB; may be given several "
		       "times. Without it, 64 KiB."),
	CLIENT(all, OPTION_BOOL, .letter = 'a',
	       .help = "All sizes from 2 bytes to 8 MiB, doubling."),
	CLIENT(iters, OPTION_INT, .letter = 'n', .default_text = "0", .min = 0,
	       .max = INT64_C(1) << 48,
	       .help = "Reads to measure for each size, over all connections; 0: as many as fit "
		       "into the duration."),
	CLIENT(duration, OPTION_STRING, .letter = 'D', .argument = "TIME",
	       .help = "How long each size is measured, \"10 s\", or a number of seconds; with "
		       "--iters, the most it may take. Without it, 2 s, with --all 500 ms, with "
		       "--iters 60 s."),
	CLIENT(tx_depth, OPTION_INT, .letter = 't', .default_text = "0", .min = 0,
	       .max = BW_DEPTH_MAX,
	       .help = "Reads in flight on each connection, for bandwidth. 0: 128, but at most "
		       "64 MiB of them and at least 4."),
	CLIENT(qp, OPTION_INT, .letter = 'q', .default_text = "0", .min = 0,
	       .max = BW_CONNECTIONS_MAX,
	       .help = "Connections, spread over the threads; 0: one a thread. A thread with "
		       "several polls, whatever --events says."),
	CLIENT(threads, OPTION_INT, .letter = 'T', .default_text = "1", .min = 1,
	       .max = BW_CONNECTIONS_MAX,
	       .help = "Threads that read. Each meets another thread of the server, if that has "
		       "as many."),
	CLIENT(bidirectional, OPTION_BOOL, .letter = 'b',
	       .help = "The server reads from us at the same time; the bandwidth shown is the "
		       "sum. It must be able to connect to this machine."),
	CLIENT(verify, OPTION_BOOL, .letter = 'v',
	       .help = "Check every byte of every read (in both directions), and that a read that "
		       "failed leaves its destination alone afterwards."),
	CLIENT(footprint, OPTION_BYTES, .default_text = "0", .min = 0, .max = INT64_C(1) << 40,
	       .help = "Memory gone over by each connection, on both sides. 0: as much as is in "
		       "flight. As small as one read: all of them go from and to the same bytes, "
		       "as perftest's do; not with --verify."),
	CLIENT(memory, OPTION_BYTES, .letter = 'm', .default_text = "1 GiB", .min = 1 << 20,
	       .max = INT64_C(1) << 42, .help = "Limit for the memory that reads land in."),
	CLIENT(read_timeout, OPTION_DURATION, .default_text = "10 s", .min = 10 * NS_PER_MS,
	       .max = 300 * NS_PER_S,
	       .help = "A read that takes longer ends the measurement: stalled."),
	CLIENT(connect_timeout, OPTION_DURATION, .default_text = "10 s", .min = 10 * NS_PER_MS,
	       .max = 300 * NS_PER_S, .help = "Limit for each connection to be made."),
	CLIENT(histogram, OPTION_BOOL, .letter = 'H',
	       .help = "Show how latencies are distributed, two lines a power of two."),
	CLIENT(report_gbits, OPTION_BOOL, .help = "Bandwidth in Gb/sec rather than MiB/sec."),
	WIRE_OPTIONS(struct client_options),
	WIRE(struct client_options, bind, OPTION_STRING, .argument = "ADDRESS",
	     .help = "Our own address; without it, the one from which the server is reached."),
	CLIENT(json, OPTION_BOOL, .letter = 'j',
	       .help = "Print everything as one JSON object, at the end."),
};

static const struct option server_table[] = {
	SERVER(threads, OPTION_INT, .letter = 'T', .default_text = "1", .min = 1,
	       .max = BW_CONNECTIONS_MAX,
	       .help = "Threads that serve. verbs needs one at most: the NIC does the work."),
	SERVER(region, OPTION_BYTES, .letter = 'r', .default_text = "256 MiB", .min = 4096,
	       .max = INT64_C(1) << 42,
	       .help = "Memory offered to clients; a read, and what a client has in flight on a "
		       "connection, goes over as much of it as there is."),
	SERVER(memory, OPTION_BYTES, .letter = 'm', .default_text = "1 GiB", .min = 1 << 20,
	       .max = INT64_C(1) << 42,
	       .help = "Limit for the memory that our own reads land in, when clients ask for "
		       "--bidirectional."),
	SERVER(once, OPTION_BOOL, .help = "End when the first clients have come and gone."),
	SERVER(timeout, OPTION_DURATION, .default_text = "0", .min = 0, .max = 86400 * NS_PER_S,
	       .help = "End after this time; 0: serve until SIGINT or SIGTERM."),
	WIRE_OPTIONS(struct server_options),
	WIRE(struct server_options, bind, OPTION_STRING, .argument = "ADDRESS",
	     .default_text = "0.0.0.0", .help = "Address to serve at; 0.0.0.0 or ::, any."),
	SERVER(json, OPTION_BOOL, .letter = 'j', .help = "Print each event as a line of JSON."),
};

static const struct option devices_table[] = {
	OPTION(struct devices_options, json, OPTION_BOOL, .letter = 'j',
	       .help = "Print them as one JSON object."),
};

#define MESH(field, type, ...) OPTION(struct mesh_options, field, type, __VA_ARGS__)

static const struct option mesh_table[] = {
	MESH(bytes, OPTION_BYTES, .letter = 'b', .default_text = "1 GiB", .min = 1,
	     .max = PEER_MEASURE_BYTES_MAX,
	     .help = "At most so much is read for the bandwidth of each pair and direction."),
	MESH(seconds, OPTION_STRING, .letter = 'D', .argument = "TIME", .default_text = "1",
	     .help = "At most so long is read for the bandwidth of each pair and direction, "
		     "\"500 ms\", or a number of seconds; 10 s at most."),
	MESH(size, OPTION_BYTES, .letter = 's', .default_text = "256 KiB", .min = 1,
	     .max = PEER_MEASURE_LEN_MAX, .help = "Bytes of a read, for the bandwidth."),
	MESH(depth, OPTION_INT, .letter = 't', .default_text = "16", .min = 1,
	     .max = PEER_MEASURE_DEPTH_MAX,
	     .help = "Reads in flight, for the bandwidth; fewer when more than 8 MiB would be."),
	MESH(svg, OPTION_STRING, .letter = 'o', .argument = "FILE",
	     .help = "Draw the bandwidths as a heat map into FILE."),
	MESH(json, OPTION_BOOL, .letter = 'j', .help = "Print all that was measured as JSON."),
	MESH(run_dir, OPTION_STRING, .letter = 'r', .argument = "DIR",
	     .help = "The run directory of this machine's daemon (node.run_dir)."),
	MESH(config, OPTION_STRING, .letter = 'c', .argument = "FILE",
	     .help = "The daemon's configuration, to find the run directory in."),
};

const struct option_group client_options_group =
	OPTION_GROUP_OF("cenote-bw", struct client_options, client_table);
const struct option_group server_options_group =
	OPTION_GROUP_OF("serve", struct server_options, server_table);
const struct option_group devices_options_group =
	OPTION_GROUP_OF("devices", struct devices_options, devices_table);
const struct option_group mesh_options_group =
	OPTION_GROUP_OF("--mesh", struct mesh_options, mesh_table);
