/*
 * check_backing.h - what `cenote check` asks of the backing stores: can each be set up, as whom,
 * and can each mount entry be listed.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct check_report;
struct settings;

/**
 * check_backings() - adds its findings to @report.
 * @offline: set them up and ask nobody.
 * @timeout_ns: what each mount entry gets at most.
 */
void check_backings(struct check_report *report, const struct settings *settings, bool offline,
		    uint64_t timeout_ns);
