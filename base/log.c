/*
 * log.c - formats an event into one buffer on the stack and gives it to one write(2), so that
 * lines of several threads and processes never mix and a log line allocates nothing.
 */
#include "base/log.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"

#define SITE_BURST     10
#define SITE_REFILL_NS NS_PER_S /* one line more */
#define SUFFIX_ROOM    40	/* "..." and " suppressed=4294967295" and the newline */

const char *const log_level_names[] = { "error", "warning", "notice", "info", "debug", NULL };
static const int level_priorities[] = { 3, 4, 5, 6, 7 }; /* syslog(3) */

enum journal_state { JOURNAL_UNKNOWN, JOURNAL_NO, JOURNAL_YES };

static _Atomic int max_level = LOG_LEVEL_INFO;
static _Atomic int output_fd = -1; /* -1: stderr */
static _Atomic int output_journal = JOURNAL_UNKNOWN;
static const struct clock *_Atomic log_clock; /* NULL: the machine's */

struct line {
	char text[LOG_LINE_MAX];
	size_t len;
	bool cut;
};

void log_set_level(enum log_level level)
{
	max_level = level;
}

int log_enabled(enum log_level level)
{
	return (int)level <= atomic_load_explicit(&max_level, memory_order_relaxed);
}

void log_set_output(int fd)
{
	output_fd = fd;
	output_journal = JOURNAL_UNKNOWN;
}

void log_set_clock(const struct clock *clock)
{
	log_clock = clock;
}

int log_fd_is_journal(int fd)
{
	const char *stream = getenv("JOURNAL_STREAM"); /* "DEVICE:INODE" */
	char here[48];
	struct stat st;

	if (!stream || fstat(fd, &st) != 0)
		return 0;
	snprintf(here, sizeof(here), "%lu:%lu", (unsigned long)st.st_dev, (unsigned long)st.st_ino);
	return strcmp(stream, here) == 0;
}

static bool writes_priority(int fd)
{
	int state = output_journal;

	if (state == JOURNAL_UNKNOWN) {
		state = log_fd_is_journal(fd) ? JOURNAL_YES : JOURNAL_NO;
		output_journal = state;
	}
	return state == JOURNAL_YES;
}

/* Gives back the lines that time has earned since window_start_ns; one thread wins each refill. */
static void refill_site(struct log_site *site, uint64_t now_ns)
{
	uint64_t start = site->window_start_ns;
	uint64_t earned = now_ns > start ? (now_ns - start) / SITE_REFILL_NS : 0;
	uint32_t used;

	if (!earned || !atomic_compare_exchange_strong(&site->window_start_ns, &start,
						       start + earned * SITE_REFILL_NS))
		return;
	used = site->count;
	while (!atomic_compare_exchange_weak(&site->count, &used,
					     used > earned ? used - (uint32_t)earned : 0))
		;
}

/* A bucket of SITE_BURST lines that refills by one a second; count is how many are used. */
static bool admit(struct log_site *site, uint64_t now_ns)
{
	uint32_t used;

	refill_site(site, now_ns);
	used = site->count;
	do {
		if (used >= SITE_BURST) {
			site->suppressed++;
			return false;
		}
	} while (!atomic_compare_exchange_weak(&site->count, &used, used + 1));
	return true;
}

/* The length of the printable UTF-8 character at @p; 0: a control character or no UTF-8. */
static size_t printable_len(const unsigned char *p)
{
	static const uint32_t smallest[] = { 0, 0, 0x80, 0x800, 0x10000 };
	uint32_t c = p[0];
	size_t len;

	if (c < 0x80)
		return c >= 0x20 && c != 0x7f;
	len = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;
	if (c < 0xc0 || c >= 0xf8)
		return 0;
	c &= 0x7fu >> len;
	for (size_t i = 1; i < len; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (p[i] & 0x3f);
	}
	if (c < smallest[len] || c < 0xa0 || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
		return 0;
	return len;
}

/* @p as it may stand in a line: itself, \n or \x1b. Return: bytes of @p that were used. */
static size_t escape_next(const unsigned char *p, char out[8], size_t *out_len)
{
	static const char letters[] = "\aa\bb\tt\nn\vv\ff\rr";
	size_t len = printable_len(p);
	const char *letter;

	if (len) {
		memcpy(out, p, len);
		*out_len = len;
		return len;
	}
	letter = memchr(letters, *p, sizeof(letters) - 1);
	if (letter && *p < 0x20)
		*out_len = (size_t)snprintf(out, 8, "\\%c", letter[1]);
	else
		*out_len = (size_t)snprintf(out, 8, "\\x%02x", *p);
	return 1;
}

static void append_escaped(struct line *line, const char *text)
{
	const unsigned char *p = (const unsigned char *)text;
	char piece[8];
	size_t len;

	while (*p && !line->cut) {
		p += escape_next(p, piece, &len);
		if (len > sizeof(line->text) - SUFFIX_ROOM - line->len) {
			line->cut = true;
		} else {
			memcpy(line->text + line->len, piece, len);
			line->len += len;
		}
	}
}

static void append_head(struct line *line, int fd, enum log_level level, int64_t wall_ns)
{
	time_t seconds = (time_t)(wall_ns / (int64_t)NS_PER_S);
	int ms = (int)(wall_ns % (int64_t)NS_PER_S / (int64_t)NS_PER_MS);
	char date[32], head[80];
	struct tm tm;

	gmtime_r(&seconds, &tm);
	strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm);
	if (writes_priority(fd)) {
		snprintf(head, sizeof(head), "<%d>", level_priorities[level]);
		append_escaped(line, head);
	}
	snprintf(head, sizeof(head), "%s.%03dZ %s ", date, ms, log_level_names[level]);
	append_escaped(line, head);
}

static void append_tail(struct line *line, uint32_t suppressed)
{
	size_t room = sizeof(line->text) - line->len;
	int len = 0;

	if (suppressed)
		len = snprintf(line->text + line->len, room, "%s suppressed=%u\n",
			       line->cut ? "..." : "", suppressed);
	else
		len = snprintf(line->text + line->len, room, "%s\n", line->cut ? "..." : "");
	line->len += (size_t)len;
}

void log_write(struct log_site *site, enum log_level level, const char *event, const char *format,
	       ...)
{
	const struct clock *clock = log_clock ? log_clock : clock_system();
	int fd = output_fd < 0 ? STDERR_FILENO : output_fd;
	struct line line = { .len = 0 };
	char text[LOG_LINE_MAX];
	int saved_errno = errno;
	va_list arguments;

	CHECK(level <= LOG_LEVEL_DEBUG);
	if (!admit(site, clock_now_ns(clock)))
		return;
	append_head(&line, fd, level, clock_wall_ns(clock));
	append_escaped(&line, event);
	append_escaped(&line, ": ");
	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	append_escaped(&line, text);
	append_tail(&line, atomic_exchange(&site->suppressed, 0));
	/* one try: a log that cannot be written has nobody left to be told */
	if (write(fd, line.text, line.len) < 0)
		errno = saved_errno;
	errno = saved_errno;
}
