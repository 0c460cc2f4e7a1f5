/*
 * report.c - the tables and the JSON object.
 */
#include "tools/bw/report.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/clock.h"

#define RULE                                                                                       \
	"-------------------------------------------------------------------------------------"    \
	"---------------------\n"
#define MIB	   1048576.0
#define BITS_OF_GB 1.25e8 /* bytes a second in 1 Gb/s */

static void header_print(const struct report *report)
{
	const struct report_header *header = &report->header;
	const struct plan *plan = header->plan;
	char depth[48];

	if (plan->steps[0].test == PLAN_BANDWIDTH)
		snprintf(depth, sizeof(depth), "%u", plan->steps[0].depth);
	else
		snprintf(depth, sizeof(depth), "1");
	fprintf(report->out, RULE "                    Cenote read test\n");
	fprintf(report->out, " Server         : %s\n", header->server);
	fprintf(report->out, " Transport      : %s\n", header->transport);
	fprintf(report->out, " Connections    : %-6u        Threads        : %u\n",
		plan->connections, plan->threads);
	fprintf(report->out, " TX depth       : %-6s        Directions     : %s\n", depth,
		plan->bidirectional ? "both" : "one");
	fprintf(report->out, " Contents       : %s\n",
		plan->verify ? "every byte is checked" : "not checked (--verify)");
}

static void head_print(const struct report *report, enum plan_test test)
{
	const char *unit = report->header.report_gbits ? "Gb/sec" : "MiB/sec";

	fputs(RULE, report->out);
	if (test == PLAN_BANDWIDTH)
		fprintf(report->out,
			" #bytes     #iterations    BW peak[%s]    BW average[%s]   MsgRate[Mpps]"
			"   CPU client[s/GB]   CPU server[s/GB]\n",
			unit, unit);
	else
		fprintf(report->out,
			" #bytes     #iterations    t_min[usec]    t_max[usec]  t_typical[usec]    "
			"t_avg[usec]    t_stdev[usec]   99%% percentile[usec]   99.9%% "
			"percentile[usec]\n");
}

static double shown_rate(const struct report *report, double bytes_per_s)
{
	return bytes_per_s / (report->header.report_gbits ? BITS_OF_GB : MIB);
}

static void cpu_print(const struct report *report, int width, double value)
{
	if (value < 0)
		fprintf(report->out, "%*s", width, "-");
	else
		fprintf(report->out, "%*.3f", width, value);
}

static void bandwidth_print(const struct report *report, const struct report_row *row)
{
	fprintf(report->out, " %-10" PRIu64 " %-14" PRIu64 " %-18.2f %-19.2f  %-13.6f",
		row->step->len, row->reads, shown_rate(report, row->peak),
		shown_rate(report, row->average), row->reads_per_s / 1e6);
	cpu_print(report, 14, row->client_cpu);
	cpu_print(report, 19, row->server_cpu);
	fputc('\n', report->out);
}

static double usec(double ns)
{
	return ns / 1000;
}

static void latency_print(const struct report *report, const struct report_row *row)
{
	const struct samples_summary *latency = &row->latency;

	fprintf(report->out,
		" %-10" PRIu64 " %-14" PRIu64
		" %-14.2f %-12.2f %-18.2f %-14.2f %-15.2f %-22.2f %-22.2f\n",
		row->step->len, row->reads, usec((double)latency->least),
		usec((double)latency->greatest), usec((double)latency->p50), usec(latency->mean),
		usec(latency->deviation), usec((double)latency->p99), usec((double)latency->p999));
}

static json_t *cpu_json(double value)
{
	return value < 0 ? json_null() : json_real(value);
}

static json_t *histogram_json(const struct report_row *row)
{
	json_t *array = json_array();

	for (unsigned i = 0; i < row->bucket_count; i++)
		json_array_append_new(array,
				      json_pack("{s:f, s:I}", "below_usec",
						usec((double)row->histogram[i].below_ns), "count",
						(json_int_t)row->histogram[i].count));
	return array;
}

static json_t *latency_json(const struct report_row *row)
{
	const struct samples_summary *latency = &row->latency;

	return json_pack("{s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:o}", "t_min",
			 usec((double)latency->least), "t_max", usec((double)latency->greatest),
			 "t_typical", usec((double)latency->p50), "t_avg", usec(latency->mean),
			 "t_stdev", usec(latency->deviation), "p99", usec((double)latency->p99),
			 "p99_9", usec((double)latency->p999), "histogram", histogram_json(row));
}

static json_t *row_json(const struct report_row *row)
{
	bool bandwidth = row->step->test == PLAN_BANDWIDTH;
	json_t *object = json_pack(
		"{s:s, s:I, s:I, s:i, s:f, s:b, s:I, s:I, s:o, s:o}", "test",
		bandwidth ? "bandwidth" : "latency", "bytes", (json_int_t)row->step->len,
		"iterations", (json_int_t)row->reads, "tx_depth", (int)row->step->depth, "seconds",
		(double)row->elapsed_ns / (double)NS_PER_S, "complete", row->complete,
		"verified_bytes", (json_int_t)row->verified_bytes, "corrupt_reads",
		(json_int_t)row->corrupt, "client_cpu_s_per_gb", cpu_json(row->client_cpu),
		"server_cpu_s_per_gb", cpu_json(row->server_cpu));
	json_t *more = bandwidth
			       ? json_pack("{s:f, s:f, s:f, s:I}", "bw_peak_mib_s", row->peak / MIB,
					   "bw_average_mib_s", row->average / MIB, "msg_rate_mpps",
					   row->reads_per_s / 1e6, "reverse_iterations",
					   (json_int_t)row->reverse_reads)
			       : json_pack("{s:o}", "usec", latency_json(row));

	if (!object || !more || json_object_update(object, more) != 0) {
		json_decref(object);
		object = NULL;
	}
	json_decref(more);
	return object;
}

int report_init(struct report *report, const struct report_header *header, bool json, FILE *out)
{
	memset(report, 0, sizeof(*report));
	report->out = out;
	report->json = json;
	report->header = *header;
	if (!json) {
		header_print(report);
		fflush(out);
		return 0;
	}
	report->results = json_array();
	return report->results ? 0 : -ENOMEM;
}

int report_add(struct report *report, const struct report_row *row, const struct samples *histogram)
{
	if (report->json)
		return json_array_append_new(report->results, row_json(row)) ? -ENOMEM : 0;
	if (report->rows++ == 0 || report->test != row->step->test)
		head_print(report, row->step->test);
	report->test = row->step->test;
	if (row->step->test == PLAN_BANDWIDTH)
		bandwidth_print(report, row);
	else
		latency_print(report, row);
	if (histogram && row->step->test == PLAN_LATENCY)
		samples_print_histogram(histogram, report->out);
	fflush(report->out);
	return 0;
}

static int json_end(struct report *report, const char *problem)
{
	const struct plan *plan = report->header.plan;
	json_t *object = json_pack(
		"{s:s, s:s, s:s, s:i, s:i, s:b, s:b, s:I, s:s?, s:O}", "version", CENOTE_VERSION,
		"server", report->header.server, "transport", report->header.transport, "threads",
		(int)plan->threads, "connections", (int)plan->connections, "bidirectional",
		plan->bidirectional, "verify", plan->verify, "rails_lost",
		(json_int_t)report->rails_lost, "problem", problem, "results", report->results);
	int error = object ? json_dumpf(object, report->out, JSON_INDENT(2)) : -1;

	fputc('\n', report->out);
	json_decref(object);
	return error ? -ENOMEM : 0;
}

int report_end(struct report *report, const char *problem)
{
	int error = 0;

	if (report->json)
		error = json_end(report, problem);
	else
		fputs(RULE, report->out);
	return fflush(report->out) != 0 ? -EIO : error;
}

void report_fini(struct report *report)
{
	json_decref(report->results);
	report->results = NULL;
}
