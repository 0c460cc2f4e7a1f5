/*
 * Tests of tools/daemon/kept.h: the configuration in force and the lock, over a death; the test is
 * the keeper.
 */
#include "tools/daemon/kept.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/log.h"
#include "fuse/keeper/link.h"
#include "tools/settings.h"

#define KEEPER_PID 4711

struct place {
	char base[40];
	char config[64], included[64], run_dir[64], pid_path[80];
	int keeper;
	struct link *link; /* of the worker that is alive */
};

static void file_write(const char *path, const char *text)
{
	FILE *file = fopen(path, "we");

	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static void config_write(const struct place *place, const char *level)
{
	char text[512];

	snprintf(text, sizeof(text), "log = { level = \"%s\"; };\n", level);
	file_write(place->included, text);
	snprintf(
		text, sizeof(text),
		"@include \"%s\"\n"
		"backings = ( { id = \"nas\"; type = \"directory\"; directory = \"%s\"; } );\n"
		"mount = { path = \"%s\"; entries = ( { path = \"/\"; backing = \"nas\"; } ); };\n",
		place->included, place->base, place->base);
	file_write(place->config, text);
}

/* A worker whose keeper holds @name as @fd; -1: nothing. */
static void worker_start(struct place *place, const char *name, int fd)
{
	int board = memfd_create("board", 0), self = dup(board), ends[2];
	char text[256], problem[LINK_PROBLEM_MAX];
	struct board *mapped;
	int len;

	assert_int_equal(ftruncate(board, (off_t)sizeof(*mapped)), 0);
	mapped = mmap(NULL, sizeof(*mapped), PROT_READ | PROT_WRITE, MAP_SHARED, board, 0);
	assert_true(mapped != MAP_FAILED);
	board_init(mapped);
	mapped->keeper_pid = KEEPER_PID;
	munmap(mapped, sizeof(*mapped));
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends), 0);
	place->keeper = ends[0];
	len = snprintf(text, sizeof(text), "version=1 socket=%d board=%d self=%d", ends[1], board,
		       self);
	if (fd >= 0)
		snprintf(text + len, sizeof(text) - (size_t)len, " kept.%s=%d", name, fd);
	setenv("CENOTE_KEEPER", text, 1);
	assert_int_equal(link_open(&place->link, problem, sizeof(problem)), 0);
}

/* It dies, and the next one finds what it had kept under @name. */
static void worker_again(struct place *place, const char *name)
{
	int fd = link_kept(place->link, name);

	assert_true(fd >= 0);
	link_close(place->link);
	close(place->keeper);
	worker_start(place, name, fd);
}

static int setup(void **state)
{
	struct place *place = calloc(1, sizeof(*place));

	assert_non_null(place);
	strcpy(place->base, "/tmp/cenote-kept-XXXXXX");
	assert_non_null(mkdtemp(place->base));
	snprintf(place->config, sizeof(place->config), "%s/conf", place->base);
	snprintf(place->included, sizeof(place->included), "%s/log.conf", place->base);
	snprintf(place->run_dir, sizeof(place->run_dir), "%s/run", place->base);
	snprintf(place->pid_path, sizeof(place->pid_path), "%s/cenoted.pid", place->run_dir);
	config_write(place, "error");
	worker_start(place, "", -1);
	*state = place;
	return 0;
}

static int teardown(void **state)
{
	struct place *place = *state;

	link_close(place->link);
	close(place->keeper);
	unlink(place->config);
	unlink(place->included);
	unlink(place->pid_path);
	rmdir(place->run_dir);
	rmdir(place->base);
	free(place);
	return 0;
}

/* Return: the log level that is loaded, or an error. */
static int level_load(const struct place *place, bool from_file)
{
	char problem[SETTINGS_PROBLEM_MAX] = "";
	struct settings settings;
	int error, level;

	error = kept_settings_load(place->link, place->config, from_file, &settings, problem,
				   sizeof(problem));
	if (error) {
		assert_true(strlen(problem) > 0);
		return error;
	}
	level = settings.log.level;
	settings_free(&settings);
	return level;
}

static void test_settings__file_changed_after_a_death__those_in_force_go_on(void **state)
{
	struct place *place = *state;

	assert_int_equal(level_load(place, false), LOG_LEVEL_ERROR);
	kept_settings_keep(place->link, place->config);
	config_write(place, "debug");
	worker_again(place, "config");
	assert_int_equal(level_load(place, false), LOG_LEVEL_ERROR);
	assert_int_equal(level_load(place, true), LOG_LEVEL_DEBUG);
}

static void test_settings__file_broken_or_gone__those_in_force_go_on(void **state)
{
	struct place *place = *state;

	kept_settings_keep(place->link, place->config);
	file_write(place->config, "mount = {");
	worker_again(place, "config");
	assert_int_equal(level_load(place, false), LOG_LEVEL_ERROR);
	assert_int_equal(level_load(place, true), -EINVAL);
	unlink(place->config);
	assert_int_equal(level_load(place, false), LOG_LEVEL_ERROR);
	assert_int_equal(level_load(place, true), -ENOENT);
}

static void test_settings__kept_again__the_later_ones(void **state)
{
	struct place *place = *state;

	kept_settings_keep(place->link, place->config);
	config_write(place, "warning");
	kept_settings_keep(place->link, place->config);
	config_write(place, "debug");
	worker_again(place, "config");
	assert_int_equal(level_load(place, false), LOG_LEVEL_WARNING);
}

static void test_settings__what_is_kept_is_of_no_use__the_file_is_read(void **state)
{
	struct place *place = *state;
	int fd = memfd_create("config", 0);

	assert_int_equal(link_keep(place->link, "config", fd), 0); /* empty */
	worker_again(place, "config");
	assert_int_equal(level_load(place, false), LOG_LEVEL_ERROR);
	assert_int_equal(write(fd, "mount = {", 9), 9); /* of another release */
	assert_int_equal(level_load(place, false), LOG_LEVEL_ERROR);
	close(fd);
}

static long pid_in(const char *path)
{
	FILE *file = fopen(path, "re");
	char text[32] = "";

	assert_non_null(file);
	assert_non_null(fgets(text, sizeof(text), file));
	fclose(file);
	return strtol(text, NULL, 10);
}

static void test_instance__over_a_death__stays_locked_and_names_the_keeper(void **state)
{
	struct place *place = *state;
	struct instance instance, other;
	char problem[256];

	assert_int_equal(kept_instance_claim(place->link, place->run_dir, &instance, problem,
					     sizeof(problem)),
			 0);
	assert_int_equal(pid_in(place->pid_path), KEEPER_PID);
	instance_leave(&instance);
	worker_again(place, "instance");
	assert_int_equal(instance_claim(place->run_dir, &other, problem, sizeof(problem)), -EBUSY);
	assert_int_equal(kept_instance_claim(place->link, place->run_dir, &instance, problem,
					     sizeof(problem)),
			 0);
	assert_int_equal(pid_in(place->pid_path), KEEPER_PID);
	instance_release(&instance);
}

static void test_same_place__another_mountpoint_or_run_directory__is_not(void **state)
{
	static char here[] = "/mnt/a", there[] = "/mnt/b";
	struct settings a = { .mount.path = here, .node.run_dir = here }, b = a;
	const char *name;

	(void)state;
	assert_true(kept_same_place(&a, &b, &name));
	b.node.run_dir = there;
	assert_false(kept_same_place(&a, &b, &name));
	assert_string_equal(name, "node.run_dir");
	b.mount.path = there;
	assert_false(kept_same_place(&a, &b, &name));
	assert_string_equal(name, "mount.path");
}

static void test_look__nothing_to_take_over__is_refused(void **state)
{
	const struct settings settings = { 0 };
	struct place *place = *state;
	char problem[256] = "";

	assert_int_equal(kept_look(place->link, place->config, &settings, problem, sizeof(problem)),
			 -EOPNOTSUPP);
	assert_non_null(strstr(problem, "restart the service"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_settings__file_changed_after_a_death__those_in_force_go_on),
		TEST(test_settings__file_broken_or_gone__those_in_force_go_on),
		TEST(test_settings__kept_again__the_later_ones),
		TEST(test_settings__what_is_kept_is_of_no_use__the_file_is_read),
		TEST(test_instance__over_a_death__stays_locked_and_names_the_keeper),
		cmocka_unit_test(test_same_place__another_mountpoint_or_run_directory__is_not),
		TEST(test_look__nothing_to_take_over__is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
