/*
 * thread.c - pthreads with the house's attributes, and condition waits on the monotonic clock.
 */
#include "base/thread.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>

#include "base/check.h"
#include "base/clock.h"

#define THREAD_NAME_LEN 16

/* The sanitizers' red zones and shadow frames need several times the room. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define THREAD_STACK_LEN (2u << 20)
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define THREAD_STACK_LEN (2u << 20)
#endif
#endif
#ifndef THREAD_STACK_LEN
#define THREAD_STACK_LEN (256u << 10)
#endif

/* Faults stay open: blocked, they would kill without a handler's report. SIGUSR1 asks a thread that
 * hangs where it is. */
static void blocked_signals(sigset_t *out)
{
	static const int faults[] = { SIGSEGV, SIGBUS,	SIGFPE, SIGILL,
				      SIGTRAP, SIGABRT, SIGSYS, SIGUSR1 };

	sigfillset(out);
	for (unsigned i = 0; i < ARRAY_COUNT(faults); i++)
		sigdelset(out, faults[i]);
}

int thread_start(pthread_t *out_thread, const char *name, void *(*main)(void *), void *argument)
{
	char kept[THREAD_NAME_LEN];
	pthread_attr_t attributes;
	pthread_t thread;
	sigset_t blocked;
	int error;

	blocked_signals(&blocked);
	if (pthread_attr_init(&attributes) != 0)
		return -EAGAIN;
	CHECK(pthread_attr_setstacksize(&attributes, THREAD_STACK_LEN) == 0);
	error = pthread_attr_setsigmask_np(&attributes, &blocked);
	if (error == 0)
		error = pthread_create(&thread, &attributes, main, argument);
	pthread_attr_destroy(&attributes);
	if (error != 0)
		return -EAGAIN;
	/* a thread that has already ended keeps no name; nobody misses it */
	snprintf(kept, sizeof(kept), "%s", name);
	(void)pthread_setname_np(thread, kept);
	*out_thread = thread;
	return 0;
}

void thread_cond_init(pthread_cond_t *cond)
{
	pthread_condattr_t attributes;

	CHECK(pthread_condattr_init(&attributes) == 0);
	CHECK(pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0);
	CHECK(pthread_cond_init(cond, &attributes) == 0);
	pthread_condattr_destroy(&attributes);
}

int thread_cond_wait_until(pthread_cond_t *cond, pthread_mutex_t *lock, uint64_t deadline_ns)
{
	struct timespec until = {
		.tv_sec = (time_t)(deadline_ns / NS_PER_S),
		.tv_nsec = (long)(deadline_ns % NS_PER_S),
	};
	int error;

	if (deadline_ns == CLOCK_NEVER)
		error = pthread_cond_wait(cond, lock);
	else
		error = pthread_cond_timedwait(cond, lock, &until);
	CHECK(error == 0 || error == ETIMEDOUT);
	return -error;
}
