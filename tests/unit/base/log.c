/*
 * Tests of log.h: the form of a line, one line an event, the limit of a site.
 */
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/check.h"
#include "base/clock.h"

/* 2026-03-01T12:00:00.123Z */
#define WALL_NS (INT64_C(1772366400123) * (int64_t)NS_PER_MS)
#define HEAD	"2026-03-01T12:00:00.123Z "

/* A pipe in packet mode: one read is one write of the log. */
static int pipe_fds[2];
static struct clock_manual manual;
static char line[2 * LOG_LINE_MAX];

static int setup(void **state)
{
	(void)state;
	unsetenv("JOURNAL_STREAM");
	if (pipe2(pipe_fds, O_DIRECT | O_NONBLOCK))
		return -1;
	clock_manual_init(&manual, NS_PER_S, WALL_NS);
	log_set_clock(&manual.clock);
	log_set_output(pipe_fds[1]);
	log_set_level(LOG_LEVEL_INFO);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	log_set_output(-1);
	log_set_clock(NULL);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
	return 0;
}

/* The next write, "" when there is none. */
static const char *next_line(void)
{
	ssize_t len = read(pipe_fds[0], line, sizeof(line) - 1);

	line[len > 0 ? len : 0] = 0;
	return line;
}

static void test_log_write__each_level__has_time_level_event_and_text(void **state)
{
	(void)state;
	log_set_level(LOG_LEVEL_DEBUG);
	log_error("store.write", "directory=%s error=%d", "/ssd0", 5);
	assert_string_equal(next_line(), HEAD "error store.write: directory=/ssd0 error=5\n");
	log_warning("a.b", "x");
	assert_string_equal(next_line(), HEAD "warning a.b: x\n");
	log_notice("a.b", "x");
	assert_string_equal(next_line(), HEAD "notice a.b: x\n");
	log_info("a.b", "x");
	assert_string_equal(next_line(), HEAD "info a.b: x\n");
	log_debug("a.b", "x");
	assert_string_equal(next_line(), HEAD "debug a.b: x\n");
	assert_string_equal(next_line(), "");
}

static void test_log_write__above_the_level__is_dropped_unevaluated(void **state)
{
	int evaluated = 0;

	(void)state;
	log_set_level(LOG_LEVEL_WARNING);
	assert_true(log_enabled(LOG_LEVEL_WARNING));
	assert_false(log_enabled(LOG_LEVEL_NOTICE));
	log_notice("a.b", "%d", ++evaluated);
	assert_string_equal(next_line(), "");
	assert_int_equal(evaluated, 0);
}

static void name_stream(int fd)
{
	struct stat st;
	char stream[64];

	assert_int_equal(fstat(fd, &st), 0);
	snprintf(stream, sizeof(stream), "%lu:%lu", (unsigned long)st.st_dev,
		 (unsigned long)st.st_ino);
	setenv("JOURNAL_STREAM", stream, 1);
	log_set_output(fd); /* the question is asked once for an output */
}

static void test_log_write__to_the_journal__starts_with_the_priority(void **state)
{
	(void)state;
	log_set_level(LOG_LEVEL_DEBUG);
	name_stream(pipe_fds[1]);
	log_error("a.b", "x");
	assert_string_equal(next_line(), "<3>" HEAD "error a.b: x\n");
	log_warning("a.b", "x");
	assert_string_equal(next_line(), "<4>" HEAD "warning a.b: x\n");
	log_notice("a.b", "x");
	assert_string_equal(next_line(), "<5>" HEAD "notice a.b: x\n");
	log_info("a.b", "x");
	assert_string_equal(next_line(), "<6>" HEAD "info a.b: x\n");
	log_debug("a.b", "x");
	assert_string_equal(next_line(), "<7>" HEAD "debug a.b: x\n");
}

static void test_log_write__journal_is_another_stream__has_no_priority(void **state)
{
	int other[2];

	(void)state;
	assert_int_equal(pipe(other), 0);
	name_stream(other[1]);
	log_set_output(pipe_fds[1]);
	log_error("a.b", "x");
	assert_string_equal(next_line(), HEAD "error a.b: x\n");
	setenv("JOURNAL_STREAM", "nonsense", 1);
	assert_false(log_fd_is_journal(pipe_fds[1]));
	assert_false(log_fd_is_journal(-1));
	close(other[0]);
	close(other[1]);
}

static void test_log_write__unprintable_bytes__are_escaped(void **state)
{
	static const struct {
		const char *given, *written;
	} rows[] = {
		{ "plain", "plain" },
		{ "two\nlines\r\n", "two\\nlines\\r\\n" },
		{ "\t\a\b\f\v", "\\t\\a\\b\\f\\v" },
		{ "\x1b[31mred", "\\x1b[31mred" },
		{ "\x7f\x01", "\\x7f\\x01" },
		{ "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80",
		  "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80" },
		{ "\xc2\x9b", "\\xc2\\x9b" },			/* a control character of Latin-1 */
		{ "\xc0\x8a", "\\xc0\\x8a" },			/* a newline, overlong */
		{ "\xed\xa0\x80", "\\xed\\xa0\\x80" },		/* half a surrogate pair */
		{ "\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80" }, /* beyond Unicode */
		{ "\xff\xfe\x80", "\\xff\\xfe\\x80" },
		{ "cut \xe2\x82", "cut \\xe2\\x82" },
	};
	char wanted[200];

	(void)state;
	for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
		struct log_site site = { 0 };

		log_write(&site, LOG_LEVEL_INFO, "a.b", "key=%s end", rows[i].given);
		snprintf(wanted, sizeof(wanted), HEAD "info a.b: key=%s end\n", rows[i].written);
		assert_string_equal(next_line(), wanted);
		assert_string_equal(next_line(), "");
	}
}

static void test_log_write__too_long_a_text__is_cut_and_says_so(void **state)
{
	static const char *const pieces[] = { "x", "\n", "\xe2\x82\xac" };
	static char text[2 * LOG_LINE_MAX + 4];

	(void)state;
	for (unsigned i = 0; i < ARRAY_COUNT(pieces); i++) {
		struct log_site site = { 0 };
		size_t len;

		size_t piece_len = strlen(pieces[i]);

		for (len = 0; len < sizeof(text) - 4; len += piece_len)
			memcpy(text + len, pieces[i], piece_len);
		text[len] = 0;
		log_write(&site, LOG_LEVEL_INFO, "a.b", "%s", text);
		len = strlen(next_line());
		assert_in_range(len, LOG_LINE_MAX - 60, LOG_LINE_MAX);
		assert_string_equal(line + len - 4, "...\n");
		assert_ptr_equal(strchr(line, '\n'), line + len - 1);
		if (i == 2) /* no half characters */
			assert_memory_equal(line + len - 7, "\xe2\x82\xac", 3);
		assert_string_equal(next_line(), "");
	}
}

static unsigned write_some(struct log_site *site, unsigned count)
{
	unsigned written = 0;

	for (unsigned i = 0; i < count; i++) {
		log_write(site, LOG_LEVEL_INFO, "a.b", "i=%u", i);
		written += *next_line() != 0;
	}
	return written;
}

static void test_log_write__a_site_that_repeats__is_limited_and_counts(void **state)
{
	struct log_site site = { 0 }, other = { 0 };

	(void)state;
	assert_int_equal(write_some(&site, 25), 10);
	assert_int_equal(write_some(&other, 5), 5);
	clock_manual_advance(&manual, NS_PER_S - 1);
	assert_int_equal(write_some(&site, 3), 0);
	clock_manual_advance(&manual, 1);
	log_write(&site, LOG_LEVEL_INFO, "a.b", "again");
	assert_string_equal(next_line(),
			    "2026-03-01T12:00:01.123Z info a.b: again suppressed=18\n");
	assert_int_equal(write_some(&site, 2), 0);
	clock_manual_advance(&manual, 3 * NS_PER_S);
	assert_int_equal(write_some(&site, 20), 3);
	clock_manual_advance(&manual, 3600 * NS_PER_S);
	assert_int_equal(write_some(&site, 20), 10);
}

static void test_log_write__a_full_pipe__is_dropped_and_errno_kept(void **state)
{
	(void)state;
	log_set_output(pipe_fds[0]); /* which cannot be written */
	errno = ENOENT;
	log_error("a.b", "lost");
	assert_int_equal(errno, ENOENT);
	log_set_output(pipe_fds[1]);
	log_error("a.b", "written");
	assert_int_equal(errno, ENOENT);
	assert_string_equal(next_line(), HEAD "error a.b: written\n");
}

#define WRITER_COUNT 4
#define WRITER_LINES 10

static void *write_lines(void *argument)
{
	const char *fill = argument;

	for (int i = 0; i < WRITER_LINES; i++) {
		struct log_site site = { 0 };

		log_write(&site, LOG_LEVEL_INFO, "a.b", "%s", fill);
	}
	return NULL;
}

static void test_log_write__several_threads__never_mix_a_line(void **state)
{
	static char fills[WRITER_COUNT][1000];
	pthread_t threads[WRITER_COUNT];
	unsigned seen = 0;

	(void)state;
	for (int i = 0; i < WRITER_COUNT; i++) {
		memset(fills[i], 'a' + i, sizeof(fills[i]) - 1);
		assert_int_equal(pthread_create(&threads[i], NULL, write_lines, fills[i]), 0);
	}
	for (int i = 0; i < WRITER_COUNT; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	while (*next_line()) {
		const char *text = strstr(line, "a.b: ");

		assert_non_null(text);
		text += 5;
		assert_in_range(*text, 'a', 'a' + WRITER_COUNT - 1);
		assert_memory_equal(text, fills[*text - 'a'], sizeof(fills[0]) - 1);
		assert_string_equal(text + sizeof(fills[0]) - 1, "\n");
		seen++;
	}
	/* a packet pipe holds 16 of them at least; what did not fit was dropped, not torn */
	assert_in_range(seen, 16, WRITER_COUNT * WRITER_LINES);
}

static void *write_at_one_site(void *argument)
{
	for (int i = 0; i < 1000; i++)
		log_write(argument, LOG_LEVEL_INFO, "a.b", "x");
	return NULL;
}

static void test_log_write__several_threads_at_one_site__share_its_limit(void **state)
{
	struct log_site site = { 0 };
	pthread_t threads[WRITER_COUNT];
	unsigned seen = 0;

	(void)state;
	for (int i = 0; i < WRITER_COUNT; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, write_at_one_site, &site), 0);
	for (int i = 0; i < WRITER_COUNT; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	while (*next_line())
		seen++;
	assert_int_equal(seen, 10);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_log_write__each_level__has_time_level_event_and_text),
		TEST(test_log_write__above_the_level__is_dropped_unevaluated),
		TEST(test_log_write__to_the_journal__starts_with_the_priority),
		TEST(test_log_write__journal_is_another_stream__has_no_priority),
		TEST(test_log_write__unprintable_bytes__are_escaped),
		TEST(test_log_write__too_long_a_text__is_cut_and_says_so),
		TEST(test_log_write__a_site_that_repeats__is_limited_and_counts),
		TEST(test_log_write__a_full_pipe__is_dropped_and_errno_kept),
		TEST(test_log_write__several_threads__never_mix_a_line),
		TEST(test_log_write__several_threads_at_one_site__share_its_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
