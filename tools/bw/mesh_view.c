/*
 * mesh_view.c - a row a reader, a column a member that is read. Slow ones stand out by color, or by
 * a star where there is none.
 */
#include "tools/bw/mesh_view.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CELL_WIDTH  9
#define HEAD_MAX    (CELL_WIDTH - 2) /* a column's name; longer ones are numbers */
#define LABEL_SIZE  80
#define LINES_MAX   32
#define FIGURE_SIZE 24

struct listed {
	const struct mesh_link *link;
};

typedef void (*cell_print)(const struct mesh_link *link, const struct terminal *terminal);

/* Three digits, in thousands and millions of @scale as they come. */
static const char *figure(uint64_t value, double scale, char out[FIGURE_SIZE])
{
	double scaled = (double)value / scale;

	snprintf(out, FIGURE_SIZE, "%.*f", scaled < 9.995 ? 2 : scaled < 99.95 ? 1 : 0, scaled);
	return out;
}

static const char *megabytes(uint64_t bytes_per_s, char out[FIGURE_SIZE])
{
	return figure(bytes_per_s, 1e6, out);
}

static const char *microseconds(uint64_t ns, char out[FIGURE_SIZE])
{
	return figure(ns, 1e3, out);
}

static void value_print(const char *text, bool slow, const struct terminal *terminal)
{
	const char *star = slow && !terminal->color ? "*" : " ";

	terminal_print(terminal, slow ? TERMINAL_BAD : TERMINAL_PLAIN, "%*s%s", CELL_WIDTH - 1,
		       text, star);
}

static void failed_print(const struct terminal *terminal)
{
	terminal_print(terminal, TERMINAL_BAD, "%*s ", CELL_WIDTH - 1, "failed");
}

static void bandwidth_print(const struct mesh_link *link, const struct terminal *terminal)
{
	char text[FIGURE_SIZE];

	if (link->bytes_per_s)
		value_print(megabytes(link->bytes_per_s, text), link->slow_bandwidth, terminal);
	else
		failed_print(terminal);
}

static void latency_print(const struct mesh_link *link, const struct terminal *terminal)
{
	char text[FIGURE_SIZE];

	if (link->p50_ns)
		value_print(microseconds(link->p50_ns, text), link->slow_latency, terminal);
	else
		failed_print(terminal);
}

/* --- matrices */

static bool has_long_names(const struct mesh_result *result)
{
	for (unsigned i = 0; i < result->count; i++)
		if (strlen(result->names[i]) > HEAD_MAX)
			return true;
	return false;
}

/* "[3]" where columns have no room for names. */
static void head_text(const struct mesh_result *result, unsigned member, bool numbers, char *out,
		      size_t size)
{
	if (numbers)
		snprintf(out, size, "[%u]", member + 1);
	else
		snprintf(out, size, "%s", result->names[member]);
}

static void label_text(const struct mesh_result *result, unsigned member, bool numbers, char *out,
		       size_t size)
{
	if (numbers)
		snprintf(out, size, "[%u] %s", member + 1, result->names[member]);
	else
		snprintf(out, size, "%s", result->names[member]);
}

static int label_width(const struct mesh_result *result, bool numbers)
{
	char text[LABEL_SIZE];
	size_t width = 0;

	for (unsigned i = 0; i < result->count; i++) {
		label_text(result, i, numbers, text, sizeof(text));
		width = strlen(text) > width ? strlen(text) : width;
	}
	return (int)width;
}

static void matrix_print(const struct mesh_result *result, const char *title, cell_print print,
			 const struct terminal *terminal)
{
	bool numbers = has_long_names(result);
	int width = label_width(result, numbers);
	char text[LABEL_SIZE];

	terminal_print(terminal, TERMINAL_BOLD, "%s\n", title);
	terminal_print(terminal, TERMINAL_PLAIN, "%*s", width, "");
	for (unsigned i = 0; i < result->count; i++) {
		head_text(result, i, numbers, text, sizeof(text));
		terminal_print(terminal, TERMINAL_BOLD, "%*s ", CELL_WIDTH - 1, text);
	}
	for (unsigned reader = 0; reader < result->count; reader++) {
		label_text(result, reader, numbers, text, sizeof(text));
		terminal_print(terminal, TERMINAL_BOLD, "\n%-*s", width, text);
		for (unsigned target = 0; target < result->count; target++) {
			if (reader == target)
				terminal_print(terminal, TERMINAL_DIM, "%*s ", CELL_WIDTH - 1, "-");
			else
				print(mesh_result_link(result, reader, target), terminal);
		}
	}
	terminal_print(terminal, TERMINAL_PLAIN, "\n\n");
}

/* --- what is wrong */

/* Those with the least bandwidth first. */
static int by_bandwidth(const void *a, const void *b)
{
	const struct listed *first = a, *second = b;
	uint64_t left = first->link->bytes_per_s, right = second->link->bytes_per_s;

	return left < right ? -1 : left > right;
}

static bool has_failed(const struct mesh_link *link)
{
	return link->problem;
}

/* Return: how many of them are in @out, which has room for all links. */
static unsigned links_find(const struct mesh_result *result,
			   bool (*wanted)(const struct mesh_link *link), struct listed *out)
{
	unsigned count = 0;

	for (size_t i = 0; i < (size_t)result->count * result->count; i++)
		if (wanted(&result->links[i]))
			out[count++].link = &result->links[i];
	return count;
}

static void rest_print(unsigned count, const struct terminal *terminal)
{
	if (count > LINES_MAX)
		terminal_print(terminal, TERMINAL_PLAIN, "  and %u more: --json has all\n",
			       count - LINES_MAX);
}

static void slow_link_print(const struct mesh_result *result, const struct mesh_link *link,
			    const struct terminal *terminal)
{
	char bandwidth[FIGURE_SIZE], p50[FIGURE_SIZE], p99[FIGURE_SIZE];

	terminal_print(terminal, TERMINAL_PLAIN,
		       "  %s reads from %s: ", result->names[link->reader],
		       result->names[link->target]);
	terminal_print(terminal, link->slow_bandwidth ? TERMINAL_BAD : TERMINAL_PLAIN, "%s MB/s",
		       megabytes(link->bytes_per_s, bandwidth));
	if (link->p50_ns)
		terminal_print(terminal, link->slow_latency ? TERMINAL_BAD : TERMINAL_PLAIN,
			       ", %s us (99 %%: %s us)", microseconds(link->p50_ns, p50),
			       microseconds(link->p99_ns, p99));
	terminal_print(terminal, TERMINAL_PLAIN, "\n");
}

static void slow_print(const struct mesh_result *result, const struct mesh_sum *sum,
		       struct listed *links, const struct terminal *terminal)
{
	unsigned count = links_find(result, mesh_link_is_slow, links);
	char bandwidth[FIGURE_SIZE], latency[FIGURE_SIZE];

	megabytes(result->bytes_per_s, bandwidth);
	microseconds(result->p50_ns, latency);
	if (!count) {
		if (result->bytes_per_s)
			terminal_print(terminal, TERMINAL_GOOD,
				       "No link is slow: the medians are %s MB/s and %s us.\n",
				       bandwidth, latency);
		return;
	}
	qsort(links, count, sizeof(*links), by_bandwidth);
	terminal_print(terminal, TERMINAL_BOLD,
		       "SLOW: %u of %u links are below half of the median of %s MB/s or above "
		       "twice that of %s us\n",
		       count, sum->links, bandwidth, latency);
	for (unsigned i = 0; i < count && i < LINES_MAX; i++)
		slow_link_print(result, links[i].link, terminal);
	rest_print(count, terminal);
	if (sum->shared >= 0)
		terminal_print(terminal, TERMINAL_WARN,
			       "%s takes part in %u of these %u: look at its NIC, cable and switch "
			       "port first.\n",
			       result->names[sum->shared], sum->shared_count, count);
	else if (count > 1)
		terminal_print(terminal, TERMINAL_PLAIN,
			       "No one member takes part in most of them.\n");
}

static void failed_links_print(const struct mesh_result *result, struct listed *links,
			       const struct terminal *terminal)
{
	unsigned count = links_find(result, has_failed, links);

	if (!count)
		return;
	terminal_print(terminal, TERMINAL_BOLD, "FAILED: %u links were not measured, or in part\n",
		       count);
	for (unsigned i = 0; i < count && i < LINES_MAX; i++)
		terminal_print(terminal, TERMINAL_PLAIN, "  %s reads from %s: %s\n",
			       result->names[links[i].link->reader],
			       result->names[links[i].link->target], links[i].link->problem);
	rest_print(count, terminal);
}

void mesh_view_print(const struct mesh_result *result, const struct terminal *terminal)
{
	size_t cells = (size_t)result->count * result->count;
	struct listed *links = calloc(cells, sizeof(*links));
	struct mesh_sum sum = mesh_result_sum(result);

	matrix_print(result, "BANDWIDTH, MB/s: the member of the row reads from that of the column",
		     bandwidth_print, terminal);
	matrix_print(result, "LATENCY of 4 KiB, us: the median", latency_print, terminal);
	if (!links) {
		terminal_print(terminal, TERMINAL_BAD, "out of memory for the slow links\n");
		return;
	}
	slow_print(result, &sum, links, terminal);
	failed_links_print(result, links, terminal);
	free(links);
}
