/*
 * Tests of mailbox.c: what is posted is taken once, in order, and ends a wait.
 */
#include "cache/peer/mailbox.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/thread.h"

#define THREADS 4
#define EACH	500

static void test_take__of_all_kinds__is_in_order_and_once(void **state)
{
	struct peer_fetch fetches[3] = { 0 };
	struct cache_stage stages[2] = { 0 };
	struct peers_config config = { .hot_readers = 5 };
	struct peers_mailbox mailbox;
	struct peers_mail mail;
	unsigned count = 0;
	struct peer_fetch *fetch;

	(void)state;
	mailbox_init(&mailbox);
	for (unsigned i = 0; i < ARRAY_COUNT(fetches); i++)
		mailbox_post_fetch(&mailbox, &fetches[i]);
	for (unsigned i = 0; i < ARRAY_COUNT(stages); i++)
		mailbox_post_stage(&mailbox, &stages[i]);
	mailbox_post_config(&mailbox, &config);
	config.hot_readers = 6;
	mailbox_post_config(&mailbox, &config);
	mailbox_wait(&mailbox);
	mailbox_take(&mailbox, &mail);
	for (fetch = STAILQ_FIRST(&mail.fetches); fetch; fetch = STAILQ_NEXT(fetch, p.link))
		assert_ptr_equal(fetch, &fetches[count++]);
	assert_int_equal(count, ARRAY_COUNT(fetches));
	assert_ptr_equal(STAILQ_FIRST(&mail.stages), &stages[0]);
	assert_ptr_equal(STAILQ_NEXT(&stages[0], link), &stages[1]);
	assert_null(STAILQ_NEXT(&stages[1], link));
	assert_true(mail.reload);
	assert_int_equal(mail.config.hot_readers, 6);
	mailbox_take(&mailbox, &mail);
	assert_true(STAILQ_EMPTY(&mail.fetches) && STAILQ_EMPTY(&mail.stages));
	assert_false(mail.reload);
	mailbox_fini(&mailbox);
}

static void test_wish__once_posted__stays(void **state)
{
	struct peers_mailbox mailbox;
	struct peers_mail mail;

	(void)state;
	mailbox_init(&mailbox);
	mailbox_take(&mailbox, &mail);
	assert_int_equal(mail.wish, PEERS_RUN);
	mailbox_post_wish(&mailbox, PEERS_STOP);
	for (unsigned i = 0; i < 2; i++) {
		mailbox_take(&mailbox, &mail);
		assert_int_equal(mail.wish, PEERS_STOP);
	}
	/* Whoever waits is to end, however often it looks. */
	mailbox_post_wish(&mailbox, PEERS_END);
	for (unsigned i = 0; i < 2; i++) {
		mailbox_wait(&mailbox);
		mailbox_take(&mailbox, &mail);
		assert_int_equal(mail.wish, PEERS_END);
	}
	mailbox_fini(&mailbox);
}

static void test_fini__with_notices__frees_them(void **state)
{
	struct peers_mailbox mailbox;

	(void)state;
	mailbox_init(&mailbox);
	for (unsigned i = 0; i < 2; i++) {
		struct peers_notice *notice = calloc(1, sizeof(*notice));

		assert_non_null(notice);
		mailbox_post_notice(&mailbox, notice);
	}
	mailbox_fini(&mailbox);
}

struct poster {
	pthread_t thread;
	struct peers_mailbox *mailbox;
	struct peer_fetch fetches[EACH];
};

static void *poster_main(void *argument)
{
	struct poster *poster = argument;

	for (unsigned i = 0; i < EACH; i++) {
		if (i % 3 == 0)
			mailbox_poke(poster->mailbox);
		mailbox_post_fetch(poster->mailbox, &poster->fetches[i]);
	}
	return NULL;
}

/* A wake that is lost would leave this waiting. */
static void test_wait__with_several_posters__misses_nothing(void **state)
{
	struct poster *posters = calloc(THREADS, sizeof(*posters));
	struct peers_mailbox mailbox;
	struct peers_mail mail;
	struct peer_fetch *fetch;
	unsigned count = 0;

	(void)state;
	assert_non_null(posters);
	mailbox_init(&mailbox);
	for (unsigned i = 0; i < THREADS; i++) {
		posters[i].mailbox = &mailbox;
		assert_int_equal(
			thread_start(&posters[i].thread, "poster", poster_main, &posters[i]), 0);
	}
	while (count < THREADS * EACH) {
		mailbox_wait(&mailbox);
		mailbox_take(&mailbox, &mail);
		for (fetch = STAILQ_FIRST(&mail.fetches); fetch; fetch = STAILQ_NEXT(fetch, p.link))
			count++;
	}
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(posters[i].thread, NULL);
	assert_int_equal(count, THREADS * EACH);
	mailbox_fini(&mailbox);
	free(posters);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_take__of_all_kinds__is_in_order_and_once),
		cmocka_unit_test(test_wish__once_posted__stays),
		cmocka_unit_test(test_fini__with_notices__frees_them),
		cmocka_unit_test(test_wait__with_several_posters__misses_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
