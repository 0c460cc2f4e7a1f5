/*
 * report.c - by hand: names, numbers and paths of the test's own dataset need no escapes.
 */
#include "tests/integration/readers/report.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void calls_print(const struct histogram *latency)
{
	for (unsigned call = 0; call < CALL_COUNT; call++)
		printf("%s\"%s\": {\"count\": %" PRIu64 ", \"p50_ns\": %" PRIu64
		       ", \"p99_ns\": %" PRIu64 ", \"max_ns\": %" PRIu64 "}",
		       call ? ", " : "", call_names[call],
		       (uint64_t)atomic_load(&latency[call].count),
		       histogram_quantile(&latency[call], 500),
		       histogram_quantile(&latency[call], 990),
		       (uint64_t)atomic_load(&latency[call].max));
}

static void trouble_print(const struct reader *reader, const char **separator)
{
	for (unsigned i = 0; i < reader->trouble_count; i++) {
		const struct trouble *trouble = &reader->trouble[i];

		printf("%s{\"kind\": \"%s\", \"call\": \"%s\", \"path\": \"%s\", \"errno\": "
		       "\"%s\", "
		       "\"what\": \"%s\", \"off\": %" PRIu64 ", \"start_ns\": %" PRIu64
		       ", \"took_ns\": %" PRIu64 "}",
		       *separator, reader->kind, call_names[trouble->call], trouble->path,
		       trouble->error ? strerrorname_np(trouble->error) : "", trouble->what,
		       trouble->off, trouble->start_ns, trouble->took_ns);
		*separator = ", ";
	}
}

static void hung_print(const struct reader *reader, const char **separator)
{
	if (atomic_load(&reader->ended))
		return;
	printf("%s{\"kind\": \"%s\", \"call\": \"%s\", \"since_ns\": %" PRIu64 "}", *separator,
	       reader->kind, call_names[atomic_load(&reader->under_way)],
	       (uint64_t)atomic_load(&reader->since_ns));
	*separator = ", ";
}

static void slow_print(const struct reader *reader, const char **separator)
{
	for (uint32_t i = 0; i < reader->slow_count; i++) {
		printf("%s[\"%s\", %" PRIu64 ", %" PRIu64 "]", *separator,
		       call_names[reader->slow[i].call], reader->slow[i].start_ns,
		       reader->slow[i].took_ns);
		*separator = ", ";
	}
}

static void each_print(const char *name, struct reader *readers, unsigned count,
		       void (*print)(const struct reader *reader, const char **separator),
		       bool running)
{
	const char *separator = "";

	printf(", \"%s\": [", name);
	for (unsigned i = 0; i < count; i++)
		if (running || atomic_load(&readers[i].ended))
			print(&readers[i], &separator);
	printf("]");
}

void report_print(struct reader *readers, unsigned count)
{
	uint64_t bytes = 0, dropped = 0;

	for (unsigned i = 0; i < count; i++) {
		bytes += atomic_load(&readers[i].bytes);
		dropped += atomic_load(&readers[i].ended) ? readers[i].slow_dropped : 0;
	}
	printf("{\"bytes\": %" PRIu64 ", \"slow_dropped\": %" PRIu64 ", \"calls\": {", bytes,
	       dropped);
	calls_print(readers[0].latency);
	printf("}");
	each_print("trouble", readers, count, trouble_print, false);
	each_print("hung", readers, count, hung_print, true);
	each_print("slow", readers, count, slow_print, false);
	printf("}\n");
	fflush(stdout);
}
