/*
 * cluster_view.c - a line a member, below it what is wrong with it, and their sum.
 */
#include "tools/cli/cluster_view.h"

#include <inttypes.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"

static uint64_t number(const json_t *object, const char *name)
{
	json_int_t value = json_integer_value(json_object_get(object, name));

	return value > 0 ? (uint64_t)value : 0;
}

static const char *text(const json_t *object, const char *name)
{
	const char *value = json_string_value(json_object_get(object, name));

	return value ? value : "";
}

static int name_width(const json_t *members)
{
	size_t width = 6;

	for (size_t i = 0; i < json_array_size(members); i++) {
		size_t len = strlen(text(json_array_get(members, i), "name"));

		width = len > width ? len : width;
	}
	return (int)width;
}

static enum terminal_style state_style(const char *state)
{
	if (strcmp(state, "alive") == 0)
		return TERMINAL_GOOD;
	return strcmp(state, "dead") == 0 || strcmp(state, "suspect") == 0 ? TERMINAL_BAD
									   : TERMINAL_WARN;
}

/* Where what its readers read came from. */
static void origins_print(const json_t *numbers, const struct terminal *terminal)
{
	uint64_t all = number(numbers, "read_bytes"), ssd = number(numbers, "ssd_bytes");
	uint64_t peers = number(numbers, "peer_bytes"), backing = number(numbers, "backing_bytes");
	uint64_t waited = ssd + peers + backing;
	uint64_t parts[] = { all > waited ? all - waited : 0, ssd, peers, backing };
	char out[TERMINAL_TEXT_MAX];

	terminal_print(terminal, TERMINAL_PLAIN, " %10s", text_bytes(all, out));
	for (unsigned i = 0; i < ARRAY_COUNT(parts); i++)
		terminal_print(terminal, TERMINAL_PLAIN, " %6s", text_percent(parts[i], all, out));
}

static void numbers_print(const json_t *numbers, const struct terminal *terminal)
{
	char used[TERMINAL_TEXT_MAX], whole[TERMINAL_TEXT_MAX], replicas[TERMINAL_TEXT_MAX];

	terminal_print(terminal, TERMINAL_PLAIN, " %10s %10s %10s",
		       text_bytes(number(numbers, "ssd_used"), used),
		       text_bytes(number(numbers, "ssd_capacity"), whole),
		       text_bytes(number(numbers, "ssd_replicas"), replicas));
	terminal_print(terminal, TERMINAL_PLAIN, " %10s",
		       text_bytes(number(numbers, "memory_used"), used));
	origins_print(numbers, terminal);
	terminal_print(terminal, TERMINAL_PLAIN, " %10s",
		       text_bytes(number(numbers, "fetched_bytes"), used));
	terminal_print(terminal, TERMINAL_PLAIN, " %10s",
		       text_bytes(number(numbers, "served_bytes"), used));
}

static void trouble_print(const json_t *numbers, const struct terminal *terminal)
{
	static const struct {
		const char *name, *text;
	} kinds[] = {
		{ "read_errors", "read errors" },
		{ "mismatches", "mismatches" },
		{ "silent", "times without an answer" },
		{ "breakers", "members spared" },
		{ "directories_failed", "directories failed" },
	};
	bool any = false;

	for (unsigned i = 0; i < ARRAY_COUNT(kinds); i++) {
		uint64_t count = number(numbers, kinds[i].name);
		char out[TERMINAL_TEXT_MAX];

		if (count == 0)
			continue;
		terminal_print(terminal, TERMINAL_WARN, "%s%s %s", any ? ", " : "  ! ",
			       text_count(count, out), kinds[i].text);
		any = true;
	}
	if (any)
		terminal_print(terminal, TERMINAL_PLAIN, "\n");
}

static void member_print(const json_t *member, int width, const struct terminal *terminal)
{
	const json_t *numbers = json_object_get(member, "numbers");
	bool self = json_is_true(json_object_get(member, "self"));
	char up[TERMINAL_TEXT_MAX] = "-";

	terminal_print(terminal, self ? TERMINAL_BOLD : TERMINAL_PLAIN, "%-*s ", width,
		       text(member, "name"));
	terminal_print(terminal, state_style(text(member, "state")), "%-10s",
		       text(member, "state"));
	if (numbers)
		text_duration(number(numbers, "uptime_s") * NS_PER_S, up);
	terminal_print(terminal, TERMINAL_PLAIN, " %-9s %12s", text(member, "version"), up);
	if (numbers) {
		numbers_print(numbers, terminal);
		terminal_print(terminal, TERMINAL_PLAIN, "\n");
		trouble_print(numbers, terminal);
	} else {
		terminal_print(terminal, TERMINAL_BAD, "  no answer: %s\n",
			       text(member, "problem"));
	}
}

/* Bytes read by all readers together, per second since @before. */
static void rate_print(const json_t *status, const json_t *before, const struct terminal *terminal)
{
	uint64_t now_ns = number(status, "time_ns"), then_ns = number(before, "time_ns");
	uint64_t now = number(json_object_get(status, "total"), "read_bytes");
	uint64_t then = number(json_object_get(before, "total"), "read_bytes");
	char out[TERMINAL_TEXT_MAX];

	/* who stopped answering takes its total along */
	if (!before || now_ns <= then_ns || now < then ||
	    number(status, "answered") != number(before, "answered"))
		return;
	terminal_print(
		terminal, TERMINAL_PLAIN, "reads  %s/s\n",
		text_bytes((uint64_t)((double)(now - then) * NS_PER_S / (double)(now_ns - then_ns)),
			   out));
}

void cluster_view_print(const json_t *status, const json_t *before, const struct terminal *terminal)
{
	const json_t *members = json_object_get(status, "members");
	int width = name_width(members);

	terminal_print(terminal, TERMINAL_BOLD, "CLUSTER %s", text(status, "cluster"));
	terminal_print(terminal, TERMINAL_PLAIN, "  %" PRIu64 " of %" PRIu64 " members answered\n",
		       number(status, "answered"), number(status, "asked"));
	terminal_print(terminal, TERMINAL_BOLD,
		       "%-*s %-10s %-9s %12s %10s %10s %10s %10s %10s %6s %6s %6s %6s %10s %10s\n",
		       width, "MEMBER", "STATE", "VERSION", "UP", "SSD USED", "CAPACITY",
		       "REPLICAS", "MEMORY", "READ", "MEMORY", "SSD", "PEERS", "S3", "FETCHED",
		       "SERVED");
	for (size_t i = 0; i < json_array_size(members); i++)
		member_print(json_array_get(members, i), width, terminal);
	if (number(status, "left_out") > 0)
		terminal_print(terminal, TERMINAL_DIM, "and %" PRIu64 " more, not asked\n",
			       number(status, "left_out"));
	terminal_print(terminal, TERMINAL_BOLD, "%-*s %-10s %-9s %12s", width, "TOTAL", "", "", "");
	numbers_print(json_object_get(status, "total"), terminal);
	terminal_print(terminal, TERMINAL_PLAIN, "\n");
	rate_print(status, before, terminal);
}
