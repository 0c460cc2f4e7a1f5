/*
 * catalog_porter.c - what is given to the porter runs, in order, and before it ends.
 */
#include "cache/peer/catalog_porter.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/thread.h"
#include "tests/unit/base/allocation_fault.h"

#define JOBS 1000

struct numbered {
	struct catalog_job job;
	unsigned number;
};

static struct numbered jobs[JOBS];
static unsigned ran; /* by the porter alone, until it is destroyed */
static struct porter *porter;

static void count(struct catalog_job *job)
{
	CHECK(CONTAINER_OF(job, struct numbered, job)->number == ran);
	ran++;
}

static void test_carry__many__run_in_order_before_the_end(void **state)
{
	(void)state;
	ran = 0;
	assert_int_equal(porter_create(&porter), 0);
	for (unsigned i = 0; i < JOBS; i++) {
		jobs[i] = (struct numbered){ { .run = count }, i };
		porter_carry(porter, &jobs[i].job);
	}
	porter_destroy(porter);
	assert_int_equal(ran, JOBS);
	porter_destroy(NULL);
}

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t ended;
static bool all_ran; /* guarded by lock */

static void carry_next(struct catalog_job *job)
{
	unsigned number = CONTAINER_OF(job, struct numbered, job)->number;

	count(job);
	if (number + 1 < JOBS) {
		porter_carry(porter, &jobs[number + 1].job);
		return;
	}
	pthread_mutex_lock(&lock);
	all_ran = true;
	pthread_cond_signal(&ended);
	pthread_mutex_unlock(&lock);
}

static void test_carry__from_within_a_job__runs_later(void **state)
{
	uint64_t until_ns = clock_now_ns(clock_system()) + 20 * NS_PER_S;
	int error = 0;

	(void)state;
	ran = 0;
	thread_cond_init(&ended);
	assert_int_equal(porter_create(&porter), 0);
	for (unsigned i = 0; i < JOBS; i++)
		jobs[i] = (struct numbered){ { .run = carry_next }, i };
	porter_carry(porter, &jobs[0].job);
	pthread_mutex_lock(&lock);
	while (!all_ran && !error)
		error = thread_cond_wait_until(&ended, &lock, until_ns);
	assert_true(all_ran);
	pthread_mutex_unlock(&lock);
	porter_destroy(porter);
	pthread_cond_destroy(&ended);
}

static void test_create__no_memory__is_said(void **state)
{
	(void)state;
	allocation_fault_arm(1);
	assert_int_equal(porter_create(&porter), -ENOMEM);
	assert_true(allocation_fault_disarm());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_carry__many__run_in_order_before_the_end),
		cmocka_unit_test(test_carry__from_within_a_job__runs_later),
		cmocka_unit_test(test_create__no_memory__is_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
