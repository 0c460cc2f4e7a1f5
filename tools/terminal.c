/*
 * terminal.c - colors, numbers in words, the progress line.
 */
#include "tools/terminal.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"

static const char *const style_codes[TERMINAL_STYLE_COUNT] = {
	[TERMINAL_PLAIN] = "",	      [TERMINAL_BOLD] = "\033[1m",  [TERMINAL_DIM] = "\033[2m",
	[TERMINAL_GOOD] = "\033[32m", [TERMINAL_WARN] = "\033[33m", [TERMINAL_BAD] = "\033[31m",
};

void terminal_open(FILE *out, struct terminal *terminal)
{
	const char *kind = getenv("TERM");
	const char *no_color = getenv("NO_COLOR");
	bool smart = isatty(fileno(out)) && kind && strcmp(kind, "dumb") != 0;

	terminal->out = out;
	terminal->live = smart;
	terminal->color = smart && !(no_color && *no_color);
}

void terminal_print(const struct terminal *terminal, enum terminal_style style, const char *format,
		    ...)
{
	bool colored = terminal->color && style != TERMINAL_PLAIN;
	va_list arguments;

	if (colored)
		fputs(style_codes[style], terminal->out);
	va_start(arguments, format);
	vfprintf(terminal->out, format, arguments);
	va_end(arguments);
	if (colored)
		fputs("\033[0m", terminal->out);
}

const char *text_bytes(uint64_t bytes, char out[TERMINAL_TEXT_MAX])
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	double value = (double)bytes;
	unsigned unit = 0;

	/* 999.5 and not 1024: three digits are enough to read. */
	while (value >= 999.5 && unit + 1 < ARRAY_COUNT(units)) {
		value /= 1024;
		unit++;
	}
	if (unit == 0)
		snprintf(out, TERMINAL_TEXT_MAX, "%" PRIu64 " B", bytes);
	else
		snprintf(out, TERMINAL_TEXT_MAX, "%.*f %s",
			 value < 9.995	 ? 2
			 : value < 99.95 ? 1
					 : 0,
			 value, units[unit]);
	return out;
}

const char *text_count(uint64_t count, char out[TERMINAL_TEXT_MAX])
{
	char digits[24];
	int len = snprintf(digits, sizeof(digits), "%" PRIu64, count);
	size_t written = 0;

	for (int i = 0; i < len; i++) {
		if (i > 0 && (len - i) % 3 == 0)
			out[written++] = ',';
		out[written++] = digits[i];
	}
	out[written] = '\0';
	return out;
}

static const char *text_long_duration(uint64_t seconds, char out[TERMINAL_TEXT_MAX])
{
	uint64_t minutes = seconds / 60, hours = minutes / 60;

	if (minutes == 0)
		snprintf(out, TERMINAL_TEXT_MAX, "%" PRIu64 " s", seconds);
	else if (hours == 0)
		snprintf(out, TERMINAL_TEXT_MAX, "%" PRIu64 " min %02" PRIu64 " s", minutes,
			 seconds % 60);
	else if (hours < 48)
		snprintf(out, TERMINAL_TEXT_MAX, "%" PRIu64 " h %02" PRIu64 " min", hours,
			 minutes % 60);
	else
		snprintf(out, TERMINAL_TEXT_MAX, "%" PRIu64 " d %" PRIu64 " h", hours / 24,
			 hours % 24);
	return out;
}

const char *text_duration(uint64_t ns, char out[TERMINAL_TEXT_MAX])
{
	if (ns >= 60 * NS_PER_S)
		return text_long_duration(ns / NS_PER_S, out);
	if (ns >= NS_PER_S)
		snprintf(out, TERMINAL_TEXT_MAX, "%.1f s", (double)ns / (double)NS_PER_S);
	else if (ns >= NS_PER_MS)
		snprintf(out, TERMINAL_TEXT_MAX, "%.1f ms", (double)ns / (double)NS_PER_MS);
	else if (ns >= 1000 || ns == 0)
		snprintf(out, TERMINAL_TEXT_MAX, "%" PRIu64 " us", ns / 1000);
	else
		snprintf(out, TERMINAL_TEXT_MAX, "%" PRIu64 " ns", ns);
	return out;
}

const char *text_percent(uint64_t part, uint64_t whole, char out[TERMINAL_TEXT_MAX])
{
	double percent = whole ? 100.0 * (double)part / (double)whole : 0;

	if (whole == 0)
		snprintf(out, TERMINAL_TEXT_MAX, "-");
	else if (part > 0 && percent < 1)
		snprintf(out, TERMINAL_TEXT_MAX, "<1 %%");
	else if (part < whole && percent > 99)
		snprintf(out, TERMINAL_TEXT_MAX, ">99 %%");
	else
		snprintf(out, TERMINAL_TEXT_MAX, "%.0f %%", percent);
	return out;
}

#define BAR_WIDTH 24

void progress_show(const struct terminal *terminal, const char *label, uint64_t done,
		   uint64_t total, const char *note)
{
	uint64_t filled = total ? (done < total ? done : total) * BAR_WIDTH / total : 0;

	if (!terminal->live)
		return;
	fprintf(terminal->out, "\r\033[K%s", label);
	if (total) {
		fputs("  [", terminal->out);
		for (unsigned i = 0; i < BAR_WIDTH; i++)
			fputc(i < filled ? '#' : '.', terminal->out);
		fputc(']', terminal->out);
	}
	fprintf(terminal->out, "  %s", note);
	fflush(terminal->out);
}

void progress_clear(const struct terminal *terminal)
{
	if (!terminal->live)
		return;
	fputs("\r\033[K", terminal->out);
	fflush(terminal->out);
}
