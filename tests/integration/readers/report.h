/*
 * report.h - what the readers found, as one line of JSON.
 */
#pragma once

#include "tests/integration/readers/calls.h"

/**
 * report_print() - to stdout:
 *	{"bytes": verified, "calls": {NAME: {"count", "p50_ns", "p99_ns", "max_ns"}},
 *	 "trouble": [{"kind", "call", "path", "errno", "what", "off", "start_ns", "took_ns"}],
 *	 "hung": [{"kind", "call", "since_ns"}], "slow": [[call, start_ns, took_ns], ...],
 *	 "slow_dropped": count}
 * Times of CLOCK_MONOTONIC. Of a reader that has not ended, only where it hangs is said.
 */
void report_print(struct reader *readers, unsigned count);
