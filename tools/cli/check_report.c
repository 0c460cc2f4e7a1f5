/*
 * check_report.c - one line a finding.
 */
#include "tools/cli/check_report.h"

#include <stdarg.h>
#include <string.h>

#include "base/check.h"

static const struct {
	const char *name;
	enum terminal_style style;
} levels[CHECK_LEVEL_COUNT] = {
	[CHECK_OK] = { "ok", TERMINAL_GOOD },
	[CHECK_WARN] = { "warn", TERMINAL_WARN },
	[CHECK_FAIL] = { "fail", TERMINAL_BAD },
	[CHECK_SKIP] = { "skip", TERMINAL_DIM },
};

void check_report_add(struct check_report *report, enum check_level level, const char *subject,
		      const char *format, ...)
{
	char text[1024];
	va_list arguments;

	CHECK(level < CHECK_LEVEL_COUNT);
	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	report->counts[level]++;
	if (report->findings) {
		json_array_append_new(report->findings,
				      json_pack("{s:s, s:s, s:s}", "level", levels[level].name,
						"subject", subject, "text", text));
		return;
	}
	progress_clear(&report->progress);
	terminal_print(&report->terminal, levels[level].style, "%-5s", levels[level].name);
	terminal_print(&report->terminal, TERMINAL_BOLD, "%s", subject);
	terminal_print(&report->terminal, TERMINAL_PLAIN, ": %s\n", text);
	fflush(report->terminal.out);
}
