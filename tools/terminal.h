/*
 * terminal.h - how the tools speak to people: colors on a terminal only (never with NO_COLOR set),
 * sizes and times in words, a progress line that is overwritten in place. What goes to a pipe or a
 * file is plain text.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum terminal_style {
	TERMINAL_PLAIN,
	TERMINAL_BOLD,
	TERMINAL_DIM,
	TERMINAL_GOOD, /* green */
	TERMINAL_WARN, /* yellow */
	TERMINAL_BAD,  /* red */
	TERMINAL_STYLE_COUNT,
};

struct terminal {
	FILE *out;
	bool color;
	bool live; /* lines can be overwritten */
};

#define TERMINAL_TEXT_MAX 32

/** terminal_open() - looks whether @out is a terminal. */
void terminal_open(FILE *out, struct terminal *terminal);

/** terminal_print() - printf in a style. */
void terminal_print(const struct terminal *terminal, enum terminal_style style, const char *format,
		    ...) __attribute__((format(printf, 3, 4)));

/** text_bytes() - "812 B", "4.0 KiB", "1.25 GiB": three digits and a unit. */
const char *text_bytes(uint64_t bytes, char out[TERMINAL_TEXT_MAX]);

/** text_count() - "1,234,567". */
const char *text_count(uint64_t count, char out[TERMINAL_TEXT_MAX]);

/** text_duration() - "640 ns", "85 us", "12.4 ms", "3.1 s", "2 h 05 min", "6 d 3 h". */
const char *text_duration(uint64_t ns, char out[TERMINAL_TEXT_MAX]);

/** text_percent() - "37 %"; "<1 %" rather than 0 for a part that is there; "-" of nothing. */
const char *text_percent(uint64_t part, uint64_t whole, char out[TERMINAL_TEXT_MAX]);

/**
 * progress_show() - overwrites the progress line: label, a bar of @done / @total, note. Nothing
 * when @terminal cannot overwrite.
 * @total: 0 when it is not known: no bar.
 */
void progress_show(const struct terminal *terminal, const char *label, uint64_t done,
		   uint64_t total, const char *note);

/** progress_clear() - takes the line away. */
void progress_clear(const struct terminal *terminal);
