/*
 * Tests of backing_directory.c: requests, their order, their bounds, and the end.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/thread.h"
#include "cache/backing_config.h"
#include "tests/unit/base/allocation_fault.h"
#include "tests/unit/cache/tree.h"

#define WAIT_NS (20 * NS_PER_S)
#define THREADS 4 /* of the store */

struct bench {
	struct tree tree;
	struct backing_config config;
	struct backing *backing;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	unsigned ended;	    /* requests */
	unsigned inside;    /* threads that are held in progress() */
	bool held[THREADS]; /* the requests 1000, 1001 ... wait in progress() */
	unsigned order[64]; /* in which gets ended */
};

/* Set once a test: callbacks have only their request. */
static struct bench *bench;

static int set_up(void **state)
{
	char problem[256];

	(void)state;
	bench = calloc(1, sizeof(*bench));
	pthread_mutex_init(&bench->lock, NULL);
	thread_cond_init(&bench->changed);
	tree_make(&bench->tree);
	tree_write(&bench->tree, "bucket/file", "0123456789");
	bench->config = (struct backing_config){ .id = strdup("disk"),
						 .type = BACKING_DIRECTORY,
						 .directory = bench->tree.path };
	if (backing_create(&bench->config, clock_system(), &bench->backing, problem,
			   sizeof(problem)))
		fail_msg("%s", problem);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	backing_destroy(bench->backing);
	tree_remove(&bench->tree);
	free(bench->config.id);
	pthread_cond_destroy(&bench->changed);
	pthread_mutex_destroy(&bench->lock);
	free(bench);
	return 0;
}

static void ended(unsigned number)
{
	pthread_mutex_lock(&bench->lock);
	bench->order[bench->ended++ % ARRAY_COUNT(bench->order)] = number;
	pthread_cond_broadcast(&bench->changed);
	pthread_mutex_unlock(&bench->lock);
}

static void wait_until(const unsigned *count, unsigned value)
{
	uint64_t deadline_ns = clock_now_ns(clock_system()) + WAIT_NS;
	int error = 0;

	pthread_mutex_lock(&bench->lock);
	while (*count < value && !error)
		error = thread_cond_wait_until(&bench->changed, &bench->lock, deadline_ns);
	pthread_mutex_unlock(&bench->lock);
	assert_int_equal(error, 0);
}

static void head_done(struct backing_head *head)
{
	(void)head;
	ended(0);
}

static struct backing_meta look_up(const char *key, int status)
{
	struct backing_head head = {
		.request = { .bucket = "bucket", .key = key, .deadline_ns = CLOCK_NEVER },
		.done = head_done,
	};
	unsigned before = bench->ended;

	backing_head(bench->backing, &head);
	wait_until(&bench->ended, before + 1);
	assert_int_equal(head.request.status, status);
	assert_int_equal(head.request.problem[0] != 0, status != 0);
	return head.meta;
}

struct numbered {
	struct backing_get get;
	unsigned number;
	char out[16];
};

static void get_done(struct backing_get *get)
{
	ended(CONTAINER_OF(get, struct numbered, get)->number);
}

static void hold_here(struct backing_get *get, size_t filled)
{
	const bool *held = &bench->held[CONTAINER_OF(get, struct numbered, get)->number - 1000];

	(void)filled;
	pthread_mutex_lock(&bench->lock);
	bench->inside++;
	pthread_cond_broadcast(&bench->changed);
	while (*held)
		thread_cond_wait_until(&bench->changed, &bench->lock, CLOCK_NEVER);
	pthread_mutex_unlock(&bench->lock);
}

/* Threads from @first on go on. */
static void let_go(unsigned first)
{
	pthread_mutex_lock(&bench->lock);
	for (unsigned i = first; i < THREADS; i++)
		bench->held[i] = false;
	pthread_cond_broadcast(&bench->changed);
	pthread_mutex_unlock(&bench->lock);
}

static void start_get(struct numbered *numbered, unsigned number, const char *etag,
		      uint64_t deadline_ns, bool background)
{
	*numbered = (struct numbered){
		.number = number,
		.get = {
			.request = { .bucket = "bucket", .key = "file",
				     .deadline_ns = deadline_ns, .background = background },
			.etag = etag,
			.off = 2,
			.len = 5,
			.dst = numbered->out,
			.done = get_done,
		},
	};
	backing_get(bench->backing, &numbered->get);
}

/* Keeps all threads of the store busy until let_go(). */
static void keep_busy(struct numbered *busy, const char *etag)
{
	for (unsigned i = 0; i < THREADS; i++) {
		bench->held[i] = true;
		busy[i] = (struct numbered){
			.number = 1000 + i,
			.get = {
				.request = { .bucket = "bucket", .key = "file",
					     .deadline_ns = CLOCK_NEVER },
				.etag = etag,
				.len = 5,
				.dst = busy[i].out,
				.progress = hold_here,
				.done = get_done,
			},
		};
		backing_get(bench->backing, &busy[i].get);
	}
	wait_until(&bench->inside, THREADS);
}

static void test_requests__of_each_kind__are_answered(void **state)
{
	struct backing_meta meta = look_up("file", 0);
	struct numbered numbered;

	(void)state;
	assert_int_equal(meta.size, 10);
	look_up("other", -ENOENT);
	start_get(&numbered, 1, meta.etag, CLOCK_NEVER, false);
	wait_until(&bench->ended, 3);
	assert_int_equal(numbered.get.request.status, 0);
	assert_memory_equal(numbered.out, "23456", 5);
	start_get(&numbered, 1, "another", CLOCK_NEVER, false);
	wait_until(&bench->ended, 4);
	assert_int_equal(numbered.get.request.status, -ESTALE);
}

static unsigned listed;

static void list_entry(struct backing_list *list, const char *key, const struct backing_meta *meta)
{
	(void)list;
	assert_string_equal(key, "file");
	assert_int_equal(meta->size, 10);
	listed++;
}

static void list_done(struct backing_list *list)
{
	(void)list;
	ended(0);
}

static void test_list__of_a_bucket__is_one_page(void **state)
{
	struct backing_list *list = calloc(1, sizeof(*list));

	(void)state;
	listed = 0;
	list->request = (struct backing_request){ .bucket = "bucket", .deadline_ns = CLOCK_NEVER };
	list->prefix = "";
	list->delimited = true;
	list->entry = list_entry;
	list->done = list_done;
	backing_list(bench->backing, list);
	wait_until(&bench->ended, 1);
	assert_int_equal(list->request.status, 0);
	assert_string_equal(list->token, "");
	assert_int_equal(listed, 1);
	free(list);
}

static void test_get__in_the_background__comes_after_the_others(void **state)
{
	struct backing_meta meta = look_up("file", 0);
	struct numbered busy[THREADS] = { 0 }, behind[3], front[2];
	static const unsigned order[] = { 0, 1003, 4, 5, 2, 1, 3 };

	(void)state;
	keep_busy(busy, meta.etag);
	for (unsigned i = 0; i < 3; i++)
		start_get(&behind[i], 1 + i, meta.etag, CLOCK_NEVER, true);
	for (unsigned i = 0; i < 2; i++)
		start_get(&front[i], 4 + i, meta.etag, CLOCK_NEVER, false);
	backing_promote(bench->backing, &behind[1].get);
	/* a promotion of what is not in the background, or under way, changes nothing */
	backing_promote(bench->backing, &front[0].get);
	backing_promote(bench->backing, &busy[0].get);
	let_go(THREADS - 1); /* one thread takes them all */
	wait_until(&bench->ended, ARRAY_COUNT(order));
	assert_memory_equal(bench->order, order, sizeof(order));
	let_go(0);
	wait_until(&bench->ended, ARRAY_COUNT(order) + THREADS - 1);
}

static void test_get__its_deadline_has_passed__is_not_begun(void **state)
{
	struct backing_meta meta = look_up("file", 0);
	struct numbered numbered;

	(void)state;
	start_get(&numbered, 1, meta.etag, 1, false);
	wait_until(&bench->ended, 2);
	assert_int_equal(numbered.get.request.status, -ETIMEDOUT);
	assert_non_null(strstr(numbered.get.request.problem, "ETIMEDOUT"));
}

#define FLOOD 5000

static void test_get__too_many__are_refused_and_all_end(void **state)
{
	struct backing_meta meta = look_up("file", 0);
	struct numbered *flood = calloc(FLOOD, sizeof(*flood));
	struct numbered busy[THREADS] = { 0 };
	unsigned refused = 0;

	(void)state;
	keep_busy(busy, meta.etag);
	for (unsigned i = 0; i < FLOOD; i++)
		start_get(&flood[i], 1, meta.etag, CLOCK_NEVER, i % 2);
	let_go(0);
	wait_until(&bench->ended, 1 + THREADS + FLOOD);
	for (unsigned i = 0; i < FLOOD; i++) {
		if (flood[i].get.request.status == -EAGAIN)
			refused++;
		else
			assert_int_equal(flood[i].get.request.status, 0);
	}
	assert_int_equal(refused, FLOOD - 4096);
	free(flood);
}

static void *destroy(void *argument)
{
	backing_destroy(argument);
	return NULL;
}

static void test_destroy__with_requests_waiting__cancels_them(void **state)
{
	struct backing_meta meta = look_up("file", 0);
	struct numbered busy[THREADS] = { 0 }, waiting[8];
	pthread_t destroyer;
	char problem[256];

	(void)state;
	keep_busy(busy, meta.etag);
	for (unsigned i = 0; i < ARRAY_COUNT(waiting); i++)
		start_get(&waiting[i], 1, meta.etag, 1, i % 2);
	assert_int_equal(thread_start(&destroyer, "destroy", destroy, bench->backing), 0);
	let_go(0);
	pthread_join(destroyer, NULL);
	assert_int_equal(bench->ended, 1 + THREADS + ARRAY_COUNT(waiting));
	for (unsigned i = 0; i < ARRAY_COUNT(waiting); i++)
		assert_true(waiting[i].get.request.status == -ECANCELED ||
			    waiting[i].get.request.status == -ETIMEDOUT);
	assert_int_equal(backing_create(&bench->config, clock_system(), &bench->backing, problem,
					sizeof(problem)),
			 0);
}

static void test_create__any_allocation_fails__leaves_nothing(void **state)
{
	unsigned n;

	(void)state;
	for (n = 1;; n++) {
		struct backing *backing = NULL;
		char problem[256] = "";
		int error;

		allocation_fault_arm(n);
		error = backing_create(&bench->config, clock_system(), &backing, problem,
				       sizeof(problem));
		if (!allocation_fault_disarm()) {
			backing_destroy(backing);
			break;
		}
		assert_int_equal(error, -ENOMEM);
		assert_null(backing);
	}
	assert_true(n >= 4);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_requests__of_each_kind__are_answered),
		TEST(test_list__of_a_bucket__is_one_page),
		TEST(test_get__in_the_background__comes_after_the_others),
		TEST(test_get__its_deadline_has_passed__is_not_begun),
		TEST(test_get__too_many__are_refused_and_all_end),
		TEST(test_destroy__with_requests_waiting__cancels_them),
		TEST(test_create__any_allocation_fails__leaves_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
