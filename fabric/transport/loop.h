/*
 * loop.h - a network inside a process, with faults made to order: for unit tests and simulations.
 *
 * Transports opened on one network are one thread's, together with it. Time is the clock's: what
 * was sent takes effect in the receiver's transport_poll(), when its moment has come. With equal
 * seeds, calls and times, everything happens in the same order.
 *
 * Reads need nothing of the owner: one that is not polled (a stopped process) is read all the same,
 * but answers neither messages nor connects. The TCP handshake is run in place, with both sides'
 * identities, so that refusals are the real ones.
 */
#pragma once

#include "fabric/transport/transport.h"

#define LOOP_NODES_MAX 256

struct loop_network;

struct loop_faults {
	uint64_t delay_min_ns, delay_max_ns; /* of all that travels; reads overtake each other */
	unsigned loss_per_mille;	     /* of what travels, sent again after resend_ns */
	uint64_t resend_ns;
	unsigned stall_per_mille; /* of slices: they never come, and nothing says so */
	unsigned break_per_mille; /* of slices and messages: they break their connection */
	uint64_t fence_ns;	  /* a disconnect takes effect after at most this */
	bool late_bytes;	  /* until then, what was in flight is written, or junk is */
	uint64_t detect_ns;	  /* a peer out of reach breaks a connection; CLOCK_NEVER: never */
};

/** loop_network_create() - @clock is borrowed for life. Without faults: 1 us of delay, no loss.
 *  Return: 0, -ENOMEM. */
int loop_network_create(const struct clock *clock, uint64_t seed, struct loop_network **out);

/** loop_network_destroy() - after the last of its transports was closed; NULL is fine. */
void loop_network_destroy(struct loop_network *network);

/** loop_network_set_faults() - for what is sent from now on. */
void loop_network_set_faults(struct loop_network *network, const struct loop_faults *faults);

/** loop_faults_none() - those of a new network. */
struct loop_faults loop_faults_none(void);

/** loop_network_next_ns() - when something happens next; CLOCK_NEVER. */
uint64_t loop_network_next_ns(const struct loop_network *network);

/** loop_address() - of the transport @number. */
struct address loop_address(unsigned number);

/**
 * loop_transport_open() - transport_open() of number @number (< LOOP_NODES_MAX) on @network.
 * config.kind, listen and devices are not looked at.
 * Return: as transport_open(); -EADDRINUSE: the number is in use.
 */
int loop_transport_open(struct loop_network *network, unsigned number,
			const struct transport_config *config,
			const struct transport_environment *environment,
			struct transport **out_transport, char *problem, size_t problem_size);

/** loop_cut() - nothing goes from @from to @to while @cut. */
void loop_cut(struct loop_network *network, unsigned from, unsigned to, bool cut);

/** loop_cut_node() - nothing goes to or from it. */
void loop_cut_node(struct loop_network *network, unsigned number, bool cut);

/**
 * loop_kill() - the process of @number dies: its memory is gone and it says no more. Its number may
 * be opened again. Its transport remains to be closed, which nobody hears.
 */
void loop_kill(struct loop_network *network, unsigned number);
