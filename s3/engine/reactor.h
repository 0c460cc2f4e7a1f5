/*
 * reactor.h - curl's sockets in epoll: only the connections that have something to say are looked
 * at. (curl_multi_poll and curl_multi_perform ask every connection at every wake-up: with 8 busy
 * ones that was three system calls for each that moved bytes.)
 *
 * Belongs to one thread; reactor_wake() may come from any.
 */
#pragma once

#include <curl/curl.h>
#include <stdint.h>

#include "base/clock.h"

struct reactor {
	CURLM *multi;
	const struct clock *clock;
	int epoll_fd;
	int wake_fd;
	uint64_t timer_ns; /* when curl wants to be called without a socket; CLOCK_NEVER */
};

/** reactor_init() - @connections: idle ones that are kept. Return: 0, -ENOMEM, or a negative errno
 *  (no descriptors left). */
int reactor_init(struct reactor *reactor, const struct clock *clock, long connections);

/** reactor_fini() - no handle may be inside. */
void reactor_fini(struct reactor *reactor);

/** reactor_run() - sleeps until a socket is ready, reactor_wake(), or @until_ns, whichever comes
 *  first, and lets curl work. What has ended is then in curl_multi_info_read(). */
void reactor_run(struct reactor *reactor, uint64_t until_ns);

/** reactor_wake() - ends the sleep, or the next one. Any thread. */
void reactor_wake(struct reactor *reactor);
