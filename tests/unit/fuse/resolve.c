/*
 * Tests of mount_resolve(): which paths are meant, as text.
 */
#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/thread.h"
#include "tests/unit/fuse/kernel.h"

static struct kernel kernel;
static char mountpoint[] = "/mnt/cenote", images[] = "/images", deep[] = "/sets/deep";

static int setup(void **state)
{
	(void)state;
	kernel_setup(&kernel);
	kernel.rig.config.path = mountpoint;
	kernel.rig.entries[0].path = images;
	kernel.rig.entries[1].path = deep;
	kernel.rig.config.entries.count = 2;
	kernel_start(&kernel);
	fake_put(&kernel.rig.fake, "a", 100, "e1");
	fake_put(&kernel.rig.fake, "d/x", 100, "e2");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	kernel_stop(&kernel);
	return 0;
}

struct asker {
	struct mount_question question;
	struct mount_object object;
	int status;
	char problem[256];
	_Atomic bool ended;
};

static void *asker_main(void *argument)
{
	struct asker *asker = argument;

	asker->status = mount_resolve(kernel.mount, &asker->question, &asker->object,
				      asker->problem, sizeof(asker->problem));
	atomic_store(&asker->ended, true);
	return NULL;
}

static int resolve(struct asker *asker, const char *path)
{
	pthread_t thread;

	*asker = (struct asker){
		.question = { .path = path,
			      .deadline_ns =
				      clock_after_ns(clock_now_ns(clock_system()), 60 * NS_PER_S) },
	};
	assert_int_equal(thread_start(&thread, "asker", asker_main, asker), 0);
	while (!atomic_load(&asker->ended)) {
		fake_run_all(&kernel.rig.fake);
		sched_yield();
	}
	pthread_join(thread, NULL);
	return asker->status;
}

static void test_resolve__ways_to_write_it__are_one_file(void **state)
{
	static const struct {
		const char *path, *found, *etag;
	} rows[] = {
		{ "/mnt/cenote/images/a", "/images/a", "e1" },
		{ "/images/a", "/images/a", "e1" },
		{ "/mnt//cenote/./images/../images/a", "/images/a", "e1" },
		{ "/mnt/cenote/images/d/x", "/images/d/x", "e2" },
		{ "/sets/deep/a", "/sets/deep/a", "e1" },
		{ "/../mnt/cenote/sets/deep/d/../a/", "/sets/deep/a", "e1" },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
		struct asker asker;

		assert_int_equal(resolve(&asker, rows[i].path), 0);
		assert_string_equal(asker.object.path, rows[i].found);
		assert_string_equal(asker.object.version.etag, rows[i].etag);
		assert_int_equal(asker.object.version.size, 100);
		assert_true(asker.object.confirmed);
		mount_object_fini(&asker.object);
	}
}

static void test_resolve__no_file__says_what_is_wrong(void **state)
{
	static const struct {
		const char *path;
		int status;
		const char *problem;
	} rows[] = {
		{ "images/a", -EINVAL, "'images/a' is not an absolute path" },
		{ "/etc/passwd", -ENOENT,
		  "/etc/passwd is neither below the mountpoint /mnt/cenote nor a path of the "
		  "namespace" },
		{ "/mnt/cenote2/images/a", -ENOENT, "neither below" },
		{ "/mnt/cenote/imag/a", -ENOENT, "/imag/a: there is no 'imag'" },
		{ "/images/b", -ENOENT,
		  "/images/b: there is no 'b' (not below the mountpoint /mnt/cenote)" },
		{ "/mnt/cenote", -EISDIR, "/ is a directory" },
		{ "/", -EISDIR, "/ is a directory" },
		{ "/mnt/cenote/images/", -EISDIR, "/images is a directory" },
		{ "/sets", -EISDIR, "/sets is a directory" },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
		struct asker asker;

		assert_int_equal(resolve(&asker, rows[i].path), rows[i].status);
		assert_non_null(strstr(asker.problem, rows[i].problem));
	}
}

static void test_resolve__longer_than_any_path__is_refused(void **state)
{
	static char path[2 * MOUNT_PATH_MAX];
	struct asker asker;

	(void)state;
	for (unsigned i = 0; i < sizeof(path) - 1; i++)
		path[i] = i % 100 == 0 ? '/' : 'x';
	assert_int_equal(resolve(&asker, path), -ENAMETOOLONG);
	for (unsigned i = 0; i < sizeof(path) - 1; i++)
		path[i] = '/'; /* but text alone costs nothing */
	assert_int_equal(resolve(&asker, path), -EISDIR);
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_resolve__ways_to_write_it__are_one_file),
		TEST(test_resolve__no_file__says_what_is_wrong),
		TEST(test_resolve__longer_than_any_path__is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
