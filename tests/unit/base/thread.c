/*
 * Tests of thread.h: names, masks, stacks, and waits that end.
 */
#include "base/thread.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "base/clock.h"

#define BOUND_NS (30 * NS_PER_S)

/* What a thread sees of itself; it stays until it is released. */
struct seen {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool started, released;
	sigset_t blocked;
	size_t stack_len;
};

static void *look(void *argument)
{
	struct seen *seen = argument;
	pthread_attr_t attributes;

	pthread_sigmask(SIG_SETMASK, NULL, &seen->blocked);
	pthread_getattr_np(pthread_self(), &attributes);
	pthread_attr_getstacksize(&attributes, &seen->stack_len);
	pthread_attr_destroy(&attributes);
	pthread_mutex_lock(&seen->lock);
	seen->started = true;
	pthread_cond_broadcast(&seen->changed);
	while (!seen->released)
		pthread_cond_wait(&seen->changed, &seen->lock);
	pthread_mutex_unlock(&seen->lock);
	return seen;
}

static void wait_started(struct seen *seen)
{
	uint64_t deadline = clock_now_ns(clock_system()) + BOUND_NS;

	pthread_mutex_lock(&seen->lock);
	while (!seen->started)
		assert_int_equal(thread_cond_wait_until(&seen->changed, &seen->lock, deadline), 0);
	pthread_mutex_unlock(&seen->lock);
}

static void release(struct seen *seen)
{
	pthread_mutex_lock(&seen->lock);
	seen->released = true;
	pthread_cond_broadcast(&seen->changed);
	pthread_mutex_unlock(&seen->lock);
}

static void test_thread_start__any__is_named_and_blocks_all_but_faults(void **state)
{
	struct seen seen = { .lock = PTHREAD_MUTEX_INITIALIZER };
	sigset_t own;
	pthread_t thread;
	char name[16];
	void *result;

	(void)state;
	thread_cond_init(&seen.changed);
	assert_int_equal(thread_start(&thread, "a name of many letters", look, &seen), 0);
	wait_started(&seen);
	assert_int_equal(pthread_getname_np(thread, name, sizeof(name)), 0);
	release(&seen);
	assert_int_equal(pthread_join(thread, &result), 0);
	assert_ptr_equal(result, &seen);
	assert_string_equal(name, "a name of many ");
	assert_true(sigismember(&seen.blocked, SIGTERM));
	assert_true(sigismember(&seen.blocked, SIGINT));
	assert_true(sigismember(&seen.blocked, SIGHUP));
	assert_true(sigismember(&seen.blocked, SIGPIPE));
	assert_false(sigismember(&seen.blocked, SIGSEGV));
	assert_false(sigismember(&seen.blocked, SIGABRT));
	assert_true(seen.stack_len >= 256 << 10);
	assert_true(seen.stack_len <= 4 << 20);
	pthread_sigmask(SIG_SETMASK, NULL, &own);
	assert_false(sigismember(&own, SIGTERM));
	pthread_cond_destroy(&seen.changed);
}

static void test_thread_cond_wait_until__a_passed_deadline__times_out(void **state)
{
	pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	pthread_cond_t cond;
	int error;

	(void)state;
	thread_cond_init(&cond);
	pthread_mutex_lock(&lock);
	error = thread_cond_wait_until(&cond, &lock, 0);
	assert_int_equal(error, -ETIMEDOUT);
	do {
		error = thread_cond_wait_until(&cond, &lock,
					       clock_now_ns(clock_system()) + NS_PER_MS);
	} while (error == 0); /* spuriously woken */
	assert_int_equal(error, -ETIMEDOUT);
	pthread_mutex_unlock(&lock);
	pthread_cond_destroy(&cond);
}

static void *wait_for_ever(void *argument)
{
	struct seen *seen = argument;

	pthread_mutex_lock(&seen->lock);
	seen->started = true;
	pthread_cond_broadcast(&seen->changed);
	while (!seen->released)
		thread_cond_wait_until(&seen->changed, &seen->lock, CLOCK_NEVER);
	pthread_mutex_unlock(&seen->lock);
	return NULL;
}

static void test_thread_cond_wait_until__no_deadline__is_woken(void **state)
{
	struct seen seen = { .lock = PTHREAD_MUTEX_INITIALIZER };
	pthread_t thread;

	(void)state;
	thread_cond_init(&seen.changed);
	assert_int_equal(thread_start(&thread, "waiter", wait_for_ever, &seen), 0);
	wait_started(&seen);
	release(&seen);
	assert_int_equal(pthread_join(thread, NULL), 0);
	pthread_cond_destroy(&seen.changed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_thread_start__any__is_named_and_blocks_all_but_faults),
		cmocka_unit_test(test_thread_cond_wait_until__a_passed_deadline__times_out),
		cmocka_unit_test(test_thread_cond_wait_until__no_deadline__is_woken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
