/*
 * options.c - the settings of a transport, and a copy of them that outlives its giver.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fabric/transport/front.h"

const char *const transport_kind_names[] = { "auto", "verbs", "ucx", NULL };

#define TRANSPORT_OPTION(field, type, ...) OPTION(struct transport_config, field, type, __VA_ARGS__)

static const struct option transport_table[] = {
	TRANSPORT_OPTION(kind, OPTION_CHOICE, .default_text = "auto",
			 .choices = transport_kind_names,
			 .help = "What carries the data: verbs (RDMA), or ucx where there is no "
				 "RDMA NIC, in trusted networks only. auto takes verbs when a "
				 "usable device exists."),
	TRANSPORT_OPTION(listen, OPTION_STRING, .default_text = "0.0.0.0:7471",
			 .argument = "ADDRESS[:PORT]",
			 .help = "Where peers find us: the port of the handshake, and the address "
				 "of the data."),
	TRANSPORT_OPTION(devices, OPTION_STRINGS, .max = TRANSPORT_RAILS_MAX, .argument = "DEVICE",
			 .help = "Devices to use, in order, each a rail: mlx5_0 or mlx5_0:1 for "
				 "verbs, eth0 for ucx. None: all that are usable."),
	TRANSPORT_OPTION(gid_index, OPTION_INT, .default_text = "-1", .min = -1, .max = 255,
			 .help = "Index of the GID to use with RoCE; -1: the RoCE v2 one of the "
				 "address we use."),
	TRANSPORT_OPTION(traffic_class, OPTION_INT, .default_text = "0", .min = 0, .max = 255,
			 .help = "Traffic class of RDMA packets: with RoCE v2 the DSCP, times 4."),
	TRANSPORT_OPTION(pkey_index, OPTION_INT, .default_text = "0", .min = 0, .max = 65535,
			 .help = "Index of the partition key, InfiniBand only."),
	TRANSPORT_OPTION(connect_timeout, OPTION_DURATION, .default_text = "5 s",
			 .min = 10 * NS_PER_MS, .max = 300 * NS_PER_S,
			 .help = "Limit for making a connection, the handshake included."),
	TRANSPORT_OPTION(read_timeout, OPTION_DURATION, .default_text = "2 s",
			 .min = 10 * NS_PER_MS, .max = 300 * NS_PER_S,
			 .help = "How long a peer that is read from may bring nothing until the "
				 "connection is given up; six times that for one read in any "
				 "case."),
	TRANSPORT_OPTION(retry_min, OPTION_DURATION, .default_text = "100 ms", .min = NS_PER_MS,
			 .max = 60 * NS_PER_S,
			 .help = "Pause after a connection failed; doubled each time, up to "
				 "retry_max, and then made shorter at random by up to a half."),
	TRANSPORT_OPTION(retry_max, OPTION_DURATION, .default_text = "10 s", .min = NS_PER_MS,
			 .max = 3600 * NS_PER_S, .help = "Longest pause after failed connections."),
	TRANSPORT_OPTION(reads_max, OPTION_INT, .default_text = "1024", .min = 1, .max = 65536,
			 .help = "Reads in flight, of all peers together."),
	TRANSPORT_OPTION(peers_connected_max, OPTION_INT, .default_text = "1024", .min = 1,
			 .max = 65536,
			 .help = "Connections that we open at most; beyond it the least recently "
				 "used one is closed. As many again are accepted."),
	TRANSPORT_OPTION(idle_timeout, OPTION_DURATION, .default_text = "5 min",
			 .max = 86400 * NS_PER_S,
			 .help = "A connection that we opened and did not use for so long, or up "
				 "to twice that, is closed: its place over there may be wanted. "
				 "0: never."),
	TRANSPORT_OPTION(queue_depth, OPTION_INT, .default_text = "64", .min = 1, .max = 4096,
			 .help = "Slices in flight on one connection, on each of its rails."),
	TRANSPORT_OPTION(slice_len, OPTION_BYTES, .default_text = "1 MiB", .min = 4096,
			 .max = TRANSPORT_SLICE_LEN_MAX,
			 .help = "A longer read goes over the wire as several of this size."),
	TRANSPORT_OPTION(busy_poll, OPTION_DURATION, .default_text = "20 us", .min = 0,
			 .max = NS_PER_S,
			 .help = "How long to look for completions in a loop before sleeping until "
				 "there is one: latency against CPU time."),
	TRANSPORT_OPTION(numa, OPTION_BOOL, .default_text = "true",
			 .help = "Run next to the first device's NUMA node."),
};

static int check(const void *value, char *problem, size_t problem_size)
{
	const struct transport_config *config = value;

	if (config->retry_max < config->retry_min)
		return option_problem(problem, problem_size,
				      "retry_max is shorter than retry_min: give a longer one");
	struct address listen;

	return address_parse(config->listen, TRANSPORT_PORT, &listen, problem, problem_size);
}

const struct option_group transport_options = {
	.name = "transport",
	.size = sizeof(struct transport_config),
	.options = transport_table,
	.count = ARRAY_COUNT(transport_table),
	.validate = check,
};

int config_copy(const struct transport_config *config, struct transport_config *out)
{
	struct transport_config copy = *config;
	unsigned count = config->devices.count;

	copy.devices = (struct option_strings){ 0 };
	copy.listen = strdup(config->listen ? config->listen : "0.0.0.0");
	if (count)
		copy.devices.items = calloc(count, sizeof(*copy.devices.items));
	if (!copy.listen || (count && !copy.devices.items))
		goto no_memory;
	for (; copy.devices.count < count; copy.devices.count++) {
		char *name = strdup(config->devices.items[copy.devices.count]);

		if (!name)
			goto no_memory;
		copy.devices.items[copy.devices.count] = name;
	}
	*out = copy;
	return 0;
no_memory:
	option_free(&transport_options, &copy);
	return -ENOMEM;
}
