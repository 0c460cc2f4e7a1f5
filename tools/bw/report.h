/*
 * report.h - what was measured, in perftest's words and columns, or as JSON. A number is printed as
 * soon as it is known; the JSON object at the end.
 *
 * Bandwidth counts what arrived, in both directions together when both read. Latency is that of a
 * whole read, from its start to its done(). CPU is processor time per 10^9 bytes, of all threads of
 * a side, user and system.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "tools/bw/plan.h"
#include "tools/bw/samples.h"
#include "tools/terminal.h"

/* One line of a table. */
struct report_row {
	const struct plan_step *step;
	uint64_t reads, bytes, elapsed_ns;
	double average, peak; /* bytes a second, both directions */
	double reads_per_s;   /* both directions */
	double reverse_per_s; /* reads a second, of it the server's */
	uint64_t reverse_reads;
	double client_cpu, server_cpu; /* seconds per GB; negative: not known */
	struct samples_summary latency;
	struct samples_bucket histogram[SAMPLES_BUCKETS_MAX];
	unsigned bucket_count;
	uint64_t verified_bytes, corrupt; /* reads with wrong bytes, both directions */
	bool complete;			  /* all that was asked for */
};

struct report_header {
	const char *transport; /* "ucx (eth0)" */
	const char *server;    /* "10.0.0.7:7480" */
	const struct plan *plan;
	bool report_gbits;
};

struct report {
	FILE *out;
	bool json;
	struct report_header header;
	json_t *results;     /* an array; NULL without json */
	enum plan_test test; /* of the last row */
	unsigned rows;
	uint64_t rails_lost; /* the caller's to set before report_end() */
};

/** report_init() - prints who measures what. @header: what it points to outlives the report.
 *  Return: 0, -ENOMEM. */
int report_init(struct report *report, const struct report_header *header, bool json, FILE *out);

/** report_add() - a row, with the table's head where one begins.
 *  @histogram: of latencies, after the row; NULL: none. Return: 0, -ENOMEM. */
int report_add(struct report *report, const struct report_row *row,
	       const struct samples *histogram);

/** report_end() - the table's end, or all of it as JSON. @problem: NULL when all went well. */
int report_end(struct report *report, const char *problem);

/** report_fini() - frees; may be called twice. */
void report_fini(struct report *report);
