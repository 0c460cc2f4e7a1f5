/*
 * log.h - one line an event, to stderr, in the form journald understands:
 *
 *	<4>2026-03-01T12:00:00.123Z warning store.write: directory=/ssd0 error="No space left ..."
 *
 * The <N> priority is written only when stderr is the journal; on a terminal the line starts with
 * the time. An event is named room.what; its text is key=value pairs. A call site that repeats is
 * limited (10 lines, then 1 a second) and says how many lines were left out. Secrets are never
 * passed here. Any thread; a line is one write(2).
 */
#pragma once

#include <stdarg.h>
#include <stdint.h>

struct clock;

enum log_level {
	LOG_LEVEL_ERROR,   /* someone must act */
	LOG_LEVEL_WARNING, /* handled, but not as wished */
	LOG_LEVEL_NOTICE,  /* a change of state an operator wants to see: started, mounted, stopped
			    */
	LOG_LEVEL_INFO,	   /* normal operation */
	LOG_LEVEL_DEBUG,   /* for us */
};

/* the names of the levels in order, NULL-ended, for option tables */
extern const char *const log_level_names[];

/* One call site's limiter. */
struct log_site {
	_Atomic uint64_t window_start_ns;
	_Atomic uint32_t count;
	_Atomic uint32_t suppressed;
};

/** log_set_level() - lines above @level are dropped. Default LOG_LEVEL_INFO. Any thread. */
void log_set_level(enum log_level level);

/** log_enabled() - whether a line of @level would be written. */
int log_enabled(enum log_level level);

/** log_set_output() - a descriptor in place of stderr (borrowed), for tests; -1: stderr again. */
void log_set_output(int fd);

/** log_set_clock() - the clock of times and limits, lent for ever; NULL: the machine's. For tests.
 */
void log_set_clock(const struct clock *clock);

/** log_fd_is_journal() - whether @fd is the journal's stream, as $JOURNAL_STREAM names it. */
int log_fd_is_journal(int fd);

#define LOG_LINE_MAX 4096 /* a longer line is cut and ends in "..." */

/**
 * log_write() - one line, unless the site's limit says no; use the macros below. Control bytes and
 * what is not UTF-8 are written as \n or \x1b, so that an event is always one line. errno is kept.
 */
void log_write(struct log_site *site, enum log_level level, const char *event, const char *format,
	       ...) __attribute__((format(printf, 4, 5)));

#define LOG_AT(level, event, ...)                                                                  \
	do {                                                                                       \
		static struct log_site log_site_here;                                              \
		if (log_enabled(level))                                                            \
			log_write(&log_site_here, level, event, __VA_ARGS__);                      \
	} while (0)

#define log_error(event, ...)	LOG_AT(LOG_LEVEL_ERROR, event, __VA_ARGS__)
#define log_warning(event, ...) LOG_AT(LOG_LEVEL_WARNING, event, __VA_ARGS__)
#define log_notice(event, ...)	LOG_AT(LOG_LEVEL_NOTICE, event, __VA_ARGS__)
#define log_info(event, ...)	LOG_AT(LOG_LEVEL_INFO, event, __VA_ARGS__)
#define log_debug(event, ...)	LOG_AT(LOG_LEVEL_DEBUG, event, __VA_ARGS__)
