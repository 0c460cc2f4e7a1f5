/*
 * Tests of fabric/gossip/chores.h.
 */
#include "fabric/gossip/chores.h"

#include <errno.h>
#include <poll.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/check.h"

#define BOUND_MS 20000

struct work {
	struct chore chore;
	int number;
	sem_t *gate; /* run() waits for it; NULL: does not */
};

static _Atomic int dropped;
static sem_t left_behind;

static void work_run(struct chore *chore)
{
	struct work *work = CONTAINER_OF(chore, struct work, chore);

	if (work->gate)
		sem_wait(work->gate);
	work->number *= 2;
}

static void work_done(struct chore *chore, void *owner)
{
	struct work *work = CONTAINER_OF(chore, struct work, chore);

	*(int *)owner = *(int *)owner * 10 + work->number;
	free(work);
}

static void work_drop(struct chore *chore)
{
	atomic_fetch_add(&dropped, 1);
	free(CONTAINER_OF(chore, struct work, chore));
	sem_post(&left_behind);
}

static int post(struct chores *chores, int number, sem_t *gate)
{
	struct work *work = calloc(1, sizeof(*work));
	int error;

	assert_non_null(work);
	*work = (struct work){ { .run = work_run, .done = work_done, .drop = work_drop },
			       number,
			       gate };
	error = chores_post(chores, &work->chore);
	if (error)
		free(work);
	return error;
}

static void test_reap__what_was_run__comes_back_in_order(void **state)
{
	int wake = eventfd(0, EFD_NONBLOCK), sum = 0;
	struct chores *chores;

	(void)state;
	assert_int_equal(chores_create("test", wake, false, &chores), 0);
	for (int i = 1; i <= 3; i++)
		assert_int_equal(post(chores, i, NULL), 0);
	while (sum < 246) {
		struct pollfd pollfd = { .fd = wake, .events = POLLIN };
		eventfd_t count;

		assert_int_equal(poll(&pollfd, 1, BOUND_MS), 1);
		eventfd_read(wake, &count);
		chores_reap(chores, &sum);
	}
	assert_int_equal(sum, 246);
	chores_destroy(chores);
	close(wake);
}

static void test_destroy__chore_that_does_not_end__is_left_behind_and_cleans_up(void **state)
{
	int wake = eventfd(0, EFD_NONBLOCK);
	struct chores *chores;
	sem_t gate;

	(void)state;
	sem_init(&gate, 0, 0);
	sem_init(&left_behind, 0, 0);
	atomic_store(&dropped, 0);
	assert_int_equal(chores_create("test", wake, false, &chores), 0);
	assert_int_equal(post(chores, 1, &gate), 0);
	assert_int_equal(post(chores, 2, NULL), 0);
	chores_destroy(chores);
	close(wake);
	sem_post(&gate);
	for (int i = 0; i < 2; i++)
		sem_wait(&left_behind);
	assert_int_equal(atomic_load(&dropped), 2);
	sem_destroy(&gate);
	sem_destroy(&left_behind);
}

static void test_destroy__to_the_end__runs_what_waits(void **state)
{
	int wake = eventfd(0, EFD_NONBLOCK), ran;
	struct chores *chores;
	sem_t gate;

	(void)state;
	sem_init(&gate, 0, 10);
	sem_init(&left_behind, 0, 0);
	assert_int_equal(chores_create("test", wake, true, &chores), 0);
	for (int i = 0; i < 10; i++)
		assert_int_equal(post(chores, i, &gate), 0);
	chores_destroy(chores);
	/* each has gone through the gate */
	sem_getvalue(&gate, &ran);
	assert_int_equal(ran, 0);
	close(wake);
	sem_destroy(&gate);
}

static void test_post__too_many__is_back_pressure(void **state)
{
	int wake = eventfd(0, EFD_NONBLOCK), posted = 0;
	struct chores *chores;
	sem_t gate;

	(void)state;
	sem_init(&gate, 0, 0);
	sem_init(&left_behind, 0, 0);
	assert_int_equal(chores_create("test", wake, false, &chores), 0);
	while (posted <= CHORES_MAX + 1 && post(chores, 1, &gate) == 0)
		posted++;
	/* one may be in the worker's hands */
	assert_in_range(posted, CHORES_MAX, CHORES_MAX + 1);
	for (int i = 0; i < posted; i++)
		sem_post(&gate);
	chores_destroy(chores);
	close(wake);
	sem_destroy(&gate);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reap__what_was_run__comes_back_in_order),
		cmocka_unit_test(
			test_destroy__chore_that_does_not_end__is_left_behind_and_cleans_up),
		cmocka_unit_test(test_destroy__to_the_end__runs_what_waits),
		cmocka_unit_test(test_post__too_many__is_back_pressure),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
