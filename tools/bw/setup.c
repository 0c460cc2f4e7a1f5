/*
 * setup.c - the settings of a transport from those of the command line.
 */
#include "tools/bw/setup.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define BUSY_POLL_SHARED_NS UINT64_C(100000) /* long enough for a small read to end */

int setup_init(struct setup *setup, const struct wire_options *options, struct keyring *ring)
{
	memset(setup, 0, sizeof(*setup));
	setup->options = options;
	snprintf(setup->identity.cluster, sizeof(setup->identity.cluster), "%s", options->cluster);
	random_bytes(setup->identity.member.bytes, sizeof(setup->identity.member.bytes));
	setup->identity.boot = random_seed();
	setup->identity.ring = ring;
	return transport_counters_init(&setup->counters);
}

void setup_fini(struct setup *setup)
{
	counters_fini(&setup->counters);
}

/* @wanted within what the transport accepts for its option @name. */
static int64_t within(const char *name, uint64_t wanted)
{
	const struct option *option = option_find(&transport_options, name);

	if (wanted < (uint64_t)option->min)
		return option->min;
	return wanted > (uint64_t)option->max ? option->max : (int64_t)wanted;
}

/* The settings whose memory is not @config's: borrowed for the call of transport_open(). */
static void borrow(struct transport_config *config, const struct wire_options *options,
		   char *listen)
{
	config->listen = listen;
	config->devices = options->ib_dev;
}

/* A thread that polls on the only processor keeps the kernel from receiving: soft-RoCE, and TCP,
   work in soft interrupts, which get half of it at most (64 KiB reads: 26 MB/s, and 47 without). */
static bool has_spare_processor(unsigned threads)
{
	cpu_set_t ours;

	return sched_getaffinity(0, sizeof(ours), &ours) == 0 &&
	       (unsigned)CPU_COUNT(&ours) > threads;
}

static void config_fill(struct transport_config *config, const struct wire_options *options,
			const struct setup_shape *shape)
{
	uint64_t slices = (shape->len_max + options->slice_len - 1) / options->slice_len;

	config->kind = options->transport;
	config->gid_index = options->gid_index;
	config->traffic_class = options->tclass;
	config->pkey_index = options->pkey_index;
	config->slice_len = options->slice_len;
	config->connect_timeout = shape->connect_timeout_ns;
	config->read_timeout = shape->read_timeout_ns;
	config->reads_max = within("reads_max", shape->depth);
	config->idle_timeout = 0; /* a lane may wait for long: while the others measure */
	config->queue_depth = within("queue_depth", shape->depth * (slices ? slices : 1));
	if (options->events)
		config->busy_poll = 0;
	else if (has_spare_processor(shape->threads))
		config->busy_poll = (uint64_t)within("busy_poll", shape->busy_poll_ns);
	else
		config->busy_poll = BUSY_POLL_SHARED_NS;
}

int setup_open(struct setup *setup, const struct setup_shape *shape,
	       const struct transport_events *events, struct transport **out_transport,
	       char *problem, size_t problem_size)
{
	const struct transport_environment environment = {
		.clock = clock_system(),
		.seed = random_seed(),
		.identity = &setup->identity,
		.events = *events,
		.counters = &setup->counters,
	};
	struct transport_config defaults, config;
	char *listen = strdup(shape->listen);
	int error = listen ? option_defaults(&transport_options, &defaults) : -ENOMEM;

	if (error) {
		free(listen);
		snprintf(problem, problem_size, "out of memory");
		return error;
	}
	config = defaults;
	config_fill(&config, setup->options, shape);
	borrow(&config, setup->options, listen);
	error = transport_open(&config, &environment, out_transport, problem, problem_size);
	option_free(&transport_options, &defaults);
	free(listen);
	return error;
}

static uint64_t timeval_ns(const struct timeval *time)
{
	return (uint64_t)time->tv_sec * NS_PER_S + (uint64_t)time->tv_usec * 1000;
}

uint64_t setup_cpu_ns(void)
{
	struct rusage usage;

	if (getrusage(RUSAGE_SELF, &usage) != 0)
		return 0;
	return timeval_ns(&usage.ru_utime) + timeval_ns(&usage.ru_stime);
}
