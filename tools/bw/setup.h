/*
 * setup.h - transports as the options ask for them: what all transports of this process have in
 * common, and opening one.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "fabric/transport/transport.h"
#include "tools/bw/options.h"

#define SETUP_PROBLEM_MAX (TRANSPORT_PROBLEM_MAX + 128)

struct setup {
	const struct wire_options *options; /* borrowed */
	struct identity identity;	    /* its ring is borrowed */
	struct counters counters;	    /* of all transports together */
};

/* What one transport has to hold. */
struct setup_shape {
	const char *listen; /* "ADDRESS:PORT" */
	uint64_t len_max;   /* of a read */
	unsigned depth;	    /* reads in flight */
	unsigned threads; /* that poll: without a processor more than that, none does so for long */
	uint64_t busy_poll_ns; /* unless --events */
	uint64_t read_timeout_ns;
	uint64_t connect_timeout_ns;
};

/** setup_init() - Return: 0, -ENOMEM. */
int setup_init(struct setup *setup, const struct wire_options *options, struct keyring *ring);

/** setup_fini() - the transports are closed. */
void setup_fini(struct setup *setup);

/** setup_open() - as transport_open(). @events: copied. Any thread: it becomes the owner. */
int setup_open(struct setup *setup, const struct setup_shape *shape,
	       const struct transport_events *events, struct transport **out_transport,
	       char *problem, size_t problem_size);

/** setup_cpu_ns() - the processor time of this process so far, of all its threads. */
uint64_t setup_cpu_ns(void);
