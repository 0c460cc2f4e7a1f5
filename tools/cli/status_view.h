/*
 * status_view.h - the daemon's report (tools/daemon/report.h) as a table for people.
 */
#pragma once

#include <jansson.h>

#include "tools/terminal.h"

/**
 * status_view_print() - one report; a member that is missing counts as zero or "".
 * @before: an earlier report of the same daemon, for rates; NULL: totals only.
 */
void status_view_print(const json_t *report, const json_t *before, const struct terminal *terminal);
