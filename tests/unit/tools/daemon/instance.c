/*
 * Tests of tools/daemon/instance.h, in a directory of their own.
 */
#include "tools/daemon/instance.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

struct place {
	char base[32];
	char run_dir[48];
	char pid_path[64];
};

static int place_setup(void **state)
{
	struct place *place = calloc(1, sizeof(*place));

	assert_non_null(place);
	strcpy(place->base, "/tmp/cenote-instance-XXXXXX");
	assert_non_null(mkdtemp(place->base));
	snprintf(place->run_dir, sizeof(place->run_dir), "%s/run", place->base);
	snprintf(place->pid_path, sizeof(place->pid_path), "%s/cenoted.pid", place->run_dir);
	*state = place;
	return 0;
}

static int place_teardown(void **state)
{
	struct place *place = *state;

	unlink(place->pid_path);
	rmdir(place->run_dir);
	rmdir(place->base);
	free(place);
	return 0;
}

static void test_claim__directory_missing__is_made_and_holds_our_pid(void **state)
{
	struct place *place = *state;
	struct instance instance;
	char problem[256], text[16] = "";
	int fd;

	assert_int_equal(instance_claim(place->run_dir, &instance, problem, sizeof(problem)), 0);
	fd = open(place->pid_path, O_RDONLY);
	assert_true(fd >= 0);
	assert_true(read(fd, text, sizeof(text) - 1) > 0);
	close(fd);
	assert_int_equal(strtol(text, NULL, 10), getpid());
	instance_release(&instance);
	assert_int_not_equal(access(place->pid_path, F_OK), 0);
}

static void test_claim__held_by_another__is_busy_and_names_it(void **state)
{
	struct place *place = *state;
	struct instance first, second;
	char problem[256], pid[32];

	assert_int_equal(instance_claim(place->run_dir, &first, problem, sizeof(problem)), 0);
	assert_int_equal(instance_claim(place->run_dir, &second, problem, sizeof(problem)), -EBUSY);
	snprintf(pid, sizeof(pid), "pid %d", getpid());
	assert_non_null(strstr(problem, pid));
	instance_release(&first);
	assert_int_equal(instance_claim(place->run_dir, &second, problem, sizeof(problem)), 0);
	instance_release(&second);
}

static void test_claim__file_of_a_dead_daemon__is_taken_over(void **state)
{
	struct place *place = *state;
	struct instance instance;
	char problem[256];
	int fd;

	assert_int_equal(instance_claim(place->run_dir, &instance, problem, sizeof(problem)), 0);
	instance_release(&instance);
	fd = open(place->pid_path, O_WRONLY | O_CREAT, 0644);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "999999999\n", 10), 10);
	close(fd);
	assert_int_equal(instance_claim(place->run_dir, &instance, problem, sizeof(problem)), 0);
	instance_release(&instance);
}

static long pid_in(const char *path)
{
	FILE *file = fopen(path, "re");
	char text[32] = "";

	assert_non_null(file);
	assert_non_null(fgets(text, sizeof(text), file));
	assert_null(fgets(text + 16, 16, file)); /* one line */
	fclose(file);
	return strtol(text, NULL, 10);
}

static void test_name__shorter_and_longer__is_what_the_file_says(void **state)
{
	static const pid_t pids[] = { 4194304, 7, 123456 };
	struct place *place = *state;
	struct instance instance;
	char problem[256];

	assert_int_equal(instance_claim(place->run_dir, &instance, problem, sizeof(problem)), 0);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(instance_name(&instance, pids[i]), 0);
		assert_int_equal(pid_in(place->pid_path), pids[i]);
	}
	instance_release(&instance);
}

/* The lock goes with the open file, of which the keeper has another descriptor. */
static void test_adopt__lock_of_a_worker_that_left__nobody_gets_between(void **state)
{
	struct place *place = *state;
	struct instance first, second, other;
	char problem[256];
	int kept;

	assert_int_equal(instance_claim(place->run_dir, &first, problem, sizeof(problem)), 0);
	kept = dup(first.fd);
	instance_leave(&first);
	assert_int_equal(access(place->pid_path, F_OK), 0);
	assert_int_equal(instance_claim(place->run_dir, &other, problem, sizeof(problem)), -EBUSY);
	assert_int_equal(instance_adopt(place->run_dir, kept, &second), 0);
	assert_int_equal(instance_claim(place->run_dir, &other, problem, sizeof(problem)), -EBUSY);
	instance_release(&second);
	assert_int_not_equal(access(place->pid_path, F_OK), 0);
	assert_int_equal(instance_claim(place->run_dir, &other, problem, sizeof(problem)), 0);
	instance_release(&other);
}

static void test_claim__parent_missing__says_what_to_do(void **state)
{
	struct instance instance;
	char problem[256];

	(void)state;
	assert_int_equal(instance_claim("/nonexistent/run", &instance, problem, sizeof(problem)),
			 -ENOENT);
	assert_non_null(strstr(problem, "/nonexistent/run"));
	assert_non_null(strstr(problem, "node.run_dir"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			test_name__shorter_and_longer__is_what_the_file_says, place_setup,
			place_teardown),
		cmocka_unit_test_setup_teardown(
			test_adopt__lock_of_a_worker_that_left__nobody_gets_between, place_setup,
			place_teardown),
		cmocka_unit_test_setup_teardown(
			test_claim__directory_missing__is_made_and_holds_our_pid, place_setup,
			place_teardown),
		cmocka_unit_test_setup_teardown(test_claim__held_by_another__is_busy_and_names_it,
						place_setup, place_teardown),
		cmocka_unit_test_setup_teardown(test_claim__file_of_a_dead_daemon__is_taken_over,
						place_setup, place_teardown),
		cmocka_unit_test(test_claim__parent_missing__says_what_to_do),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
