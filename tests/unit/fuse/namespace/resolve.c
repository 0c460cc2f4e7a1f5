/*
 * Tests of resolve.h: what a path is, and that nobody sees that it was asked for.
 */
#include "fuse/namespace/resolve.h"

#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <string.h>
#include <cmocka.h>

#include "base/thread.h"
#include "tests/unit/fuse/namespace/rig.h"

#define ROOT 1

static struct rig rig;

static int setup(void **state)
{
	rig_setup(state);
	fake_put(&rig.fake, "a", 100, "e1");
	fake_put(&rig.fake, "d/e/f", 200, "e2");
	return 0;
}

/* One resolve, on a thread of its own, as it blocks. */
struct asker {
	struct namespace_path path;
	pthread_t thread;
	struct namespace_file *file;
	bool confirmed;
	int status;
	char problem[256];
	_Atomic bool ended;
};

static void *asker_main(void *argument)
{
	struct asker *asker = argument;

	asker->status = namespace_resolve(rig.ns, &asker->path, &asker->file, &asker->confirmed,
					  asker->problem, sizeof(asker->problem));
	atomic_store(&asker->ended, true);
	return NULL;
}

static uint64_t later_ns(void)
{
	return clock_after_ns(clock_now_ns(clock_system()), 60 * NS_PER_S);
}

static void asker_start(struct asker *asker, const char *text)
{
	asker->path.text = text;
	if (!asker->path.deadline_ns)
		asker->path.deadline_ns = later_ns();
	assert_int_equal(thread_start(&asker->thread, "asker", asker_main, asker), 0);
}

/* The backing store answers meanwhile. */
static int resolve(struct asker *asker, const char *text)
{
	*asker = (struct asker){ 0 };
	asker_start(asker, text);
	while (!atomic_load(&asker->ended)) {
		fake_run_all(&rig.fake);
		sched_yield();
	}
	pthread_join(asker->thread, NULL);
	return asker->status;
}

static void test_resolve__a_file__is_its_version(void **state)
{
	static const struct {
		const char *text, *key, *etag, *dataset;
		uint64_t size;
	} rows[] = {
		{ "/a", "a", "e1", "/", 100 },
		{ "a", "a", "e1", "/", 100 },
		{ "/d/e/f", "d/e/f", "e2", "/d", 200 },
		{ "//d//e/f", "d/e/f", "e2", "/d", 200 },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
		struct asker asker;

		assert_int_equal(resolve(&asker, rows[i].text), 0);
		assert_true(asker.confirmed);
		assert_string_equal(asker.problem, "");
		assert_string_equal(asker.file->version.backing, "b");
		assert_string_equal(asker.file->version.bucket, "k");
		assert_string_equal(asker.file->version.key, rows[i].key);
		assert_string_equal(asker.file->version.etag, rows[i].etag);
		assert_string_equal(asker.file->dataset, rows[i].dataset);
		assert_int_equal(asker.file->version.size, rows[i].size);
		assert_int_equal(asker.file->mtime_s, 1000);
		namespace_file_free(asker.file);
		assert_int_equal(rig_counter(&rig, MOUNT_NODES), 1); /* the root */
	}
}

static void test_resolve__no_file__says_which_name(void **state)
{
	static const struct {
		const char *text;
		int status;
		const char *problem;
	} rows[] = {
		{ "/nothing", -ENOENT, "there is no 'nothing'" },
		{ "/d/x/f", -ENOENT, "there is no 'x'" },
		{ "/a/b", -ENOTDIR, "what is before 'b' is not a directory" },
		{ "/d/e", -EISDIR, "/d/e is a directory" },
		{ "/", -EISDIR, "/ is a directory" },
		{ "/..", -ENOENT, "there is no '..'" },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
		struct asker asker;

		assert_int_equal(resolve(&asker, rows[i].text), rows[i].status);
		assert_non_null(strstr(asker.problem, rows[i].problem));
		assert_int_equal(rig_counter(&rig, MOUNT_NODES), 1);
	}
}

static void test_resolve__a_name_too_long__is_not_looked_up(void **state)
{
	char text[300];
	struct asker asker;

	(void)state;
	memset(text, 'x', sizeof(text));
	text[0] = '/';
	text[sizeof(text) - 1] = '\0';
	assert_int_equal(resolve(&asker, text), -ENAMETOOLONG);
	assert_non_null(strstr(asker.problem, "255"));
	assert_int_equal(rig.fake.heads + rig.fake.lists, 0);
}

static void test_resolve__what_the_kernel_knows__stays_and_costs_nothing(void **state)
{
	struct namespace_attributes attributes;
	struct asker asker;
	unsigned asked;
	uint64_t id;

	(void)state;
	assert_int_equal(rig_lookup(&rig, ROOT, "a", &id), 0);
	asked = rig.fake.heads + rig.fake.lists;
	assert_int_equal(resolve(&asker, "/a"), 0);
	assert_int_equal(asker.file->id, id);
	assert_int_equal(rig.fake.heads + rig.fake.lists, asked);
	namespace_file_free(asker.file);
	assert_int_equal(namespace_attributes(rig.ns, id, &attributes), 0);
	namespace_forget(rig.ns, id, 1); /* the kernel's was the only reference */
	assert_int_equal(namespace_attributes(rig.ns, id, &attributes), -ESTALE);
}

static void test_resolve__the_backing_store_refuses__says_why(void **state)
{
	static const int statuses[] = { -EACCES, -EIO, -ETIMEDOUT };

	(void)state;
	for (unsigned i = 0; i < ARRAY_COUNT(statuses); i++) {
		struct asker asker;

		rig.fake.head_status = statuses[i];
		assert_int_equal(resolve(&asker, "/a"), statuses[i]);
		assert_non_null(strstr(asker.problem, "looking up 'a' of /a"));
		assert_non_null(strstr(asker.problem, FAKE_PROBLEM));
		assert_int_equal(rig_counter(&rig, MOUNT_NODES), 1);
	}
}

/* As long as the kernel knows the name. */
static void test_resolve__the_backing_store_is_down__is_what_was_known(void **state)
{
	struct asker asker;
	uint64_t id;

	(void)state;
	assert_int_equal(rig_lookup(&rig, ROOT, "a", &id), 0);
	clock_manual_advance(&rig.clock, 3600 * NS_PER_S);
	rig.fake.head_status = rig.fake.list_status = -EIO;
	assert_int_equal(resolve(&asker, "/a"), 0);
	assert_false(asker.confirmed);
	assert_non_null(strstr(asker.problem, FAKE_PROBLEM));
	assert_string_equal(asker.file->version.etag, "e1");
	namespace_file_free(asker.file);
	rig.fake.head_status = -EACCES; /* that is an answer */
	rig.fake.list_status = 0;
	assert_int_equal(resolve(&asker, "/a"), -EACCES);
	rig.fake.head_status = rig.fake.list_status = 0;
	fake_delete(&rig.fake, "a");
	assert_int_equal(resolve(&asker, "/a"), -ENOENT);
	rig.fake.head_status = rig.fake.list_status = -EIO;
	assert_int_equal(resolve(&asker, "/a"), -EIO); /* nor is that forgotten again */
	namespace_forget(rig.ns, id, 1);
}

static void test_resolve__no_answer__ends_at_its_deadline(void **state)
{
	struct asker asker = { .path.deadline_ns = 1 };

	(void)state;
	asker_start(&asker, "/a");
	pthread_join(asker.thread, NULL);
	assert_int_equal(asker.status, -ETIMEDOUT);
	assert_non_null(strstr(asker.problem, "looking up 'a' of /a"));
	fake_run_all(&rig.fake); /* the answer that comes too late hurts nobody */
	assert_int_equal(rig_counter(&rig, MOUNT_NODES), 1);
}

static bool is_set(void *context)
{
	return atomic_load((_Atomic bool *)context);
}

static void test_resolve__cancelled__gives_up(void **state)
{
	_Atomic bool cancelled = false;
	struct asker asker = { .path = { .cancelled = is_set, .context = &cancelled } };

	(void)state;
	asker_start(&asker, "/a");
	assert_true(fake_wait(&rig.fake));
	atomic_store(&cancelled, true);
	pthread_join(asker.thread, NULL);
	assert_int_equal(asker.status, -ECANCELED);
	fake_run_all(&rig.fake);
	assert_int_equal(rig_counter(&rig, MOUNT_NODES), 1);
}

int main(void)
{
#define TEST(test) cmocka_unit_test_prestate_setup_teardown(test, setup, rig_teardown, &rig)
	const struct CMUnitTest tests[] = {
		TEST(test_resolve__a_file__is_its_version),
		TEST(test_resolve__no_file__says_which_name),
		TEST(test_resolve__a_name_too_long__is_not_looked_up),
		TEST(test_resolve__what_the_kernel_knows__stays_and_costs_nothing),
		TEST(test_resolve__the_backing_store_refuses__says_why),
		TEST(test_resolve__the_backing_store_is_down__is_what_was_known),
		TEST(test_resolve__no_answer__ends_at_its_deadline),
		TEST(test_resolve__cancelled__gives_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
