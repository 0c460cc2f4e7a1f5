/*
 * status_view.c - the report as blocks of a few lines each. Everything is looked up by name, so a
 * daemon that says less than expected still gets a table.
 */
#include "tools/cli/status_view.h"

#include <inttypes.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"

struct view {
	const json_t *report, *before; /* before may be NULL */
	const struct terminal *terminal;
	double interval_s; /* between the two */
};

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

static uint64_t counter_in(const json_t *report, const char *room, const char *name)
{
	return number(json_object_get(json_object_get(report, "counters"), room), name);
}

static uint64_t counter(const struct view *view, const char *room, const char *name)
{
	return counter_in(view->report, room, name);
}

/* Per second since the earlier report; 0 without one. */
static uint64_t rate(const struct view *view, const char *room, const char *name)
{
	uint64_t now = counter(view, room, name);
	uint64_t then = view->before ? counter_in(view->before, room, name) : now;

	if (view->interval_s <= 0 || now < then)
		return 0;
	return (uint64_t)((double)(now - then) / view->interval_s);
}

static void header_print(const struct view *view)
{
	const char *state = text(view->report, "state");
	char uptime[TERMINAL_TEXT_MAX];

	terminal_print(view->terminal, TERMINAL_BOLD, "cenote %s", text(view->report, "version"));
	terminal_print(view->terminal, TERMINAL_PLAIN, "  node %s  pid %" PRIu64 "  ",
		       text(view->report, "node"), number(view->report, "pid"));
	terminal_print(view->terminal,
		       strcmp(state, "running") == 0 ? TERMINAL_GOOD : TERMINAL_WARN, "%s", state);
	terminal_print(view->terminal, TERMINAL_PLAIN, " for %s\n%s\n",
		       text_duration(number(view->report, "uptime_ns"), uptime),
		       text(view->report, "config"));
}

/* Why the last worker ended, when its keeper did not say it in words. */
static void end_print(const struct view *view, const json_t *keeper)
{
	const char *reason = text(keeper, "reason"), *end = text(keeper, "end");
	uint64_t code = number(keeper, "end_code");

	if (*reason)
		terminal_print(view->terminal, TERMINAL_PLAIN, ": %s", reason);
	else if (strcmp(end, "signal") == 0)
		terminal_print(view->terminal, TERMINAL_PLAIN, ": ended by signal %" PRIu64, code);
	else if (strcmp(end, "exit") == 0)
		terminal_print(view->terminal, TERMINAL_PLAIN, ": ended with status %" PRIu64,
			       code);
	else if (strcmp(end, "hang") == 0)
		terminal_print(view->terminal, TERMINAL_PLAIN, ": it hung");
	else if (strcmp(end, "upgrade") == 0)
		terminal_print(view->terminal, TERMINAL_PLAIN, ": an upgrade");
}

/* Who keeps the mount when this process dies, and how often that was needed. */
static void keeper_print(const struct view *view)
{
	const json_t *keeper = json_object_get(view->report, "keeper");
	uint64_t restarts = number(keeper, "restarts");
	char count[TERMINAL_TEXT_MAX], age[TERMINAL_TEXT_MAX];

	if (json_is_null(keeper))
		terminal_print(
			view->terminal, TERMINAL_WARN,
			"not kept: without cenoted, the end of this process ends open files\n");
	if (!json_is_object(keeper))
		return;
	terminal_print(view->terminal, TERMINAL_PLAIN, "kept by %" PRIu64 ", ",
		       number(keeper, "pid"));
	if (restarts == 0) {
		terminal_print(view->terminal, TERMINAL_PLAIN, "no restarts");
	} else {
		terminal_print(view->terminal, TERMINAL_WARN, "%s restart%s",
			       text_count(restarts, count), restarts == 1 ? "" : "s");
		terminal_print(view->terminal, TERMINAL_PLAIN, ", the last %s ago",
			       text_duration(number(keeper, "end_age_ns"), age));
		end_print(view, keeper);
	}
	terminal_print(view->terminal, TERMINAL_WARN, "%s%s\n",
		       *text(keeper, "resend_reason") ? "; " : "", text(keeper, "resend_reason"));
}

static const json_t *backing_find(const struct view *view, const char *id)
{
	const json_t *backings = json_object_get(view->report, "backings");

	for (size_t i = 0; i < json_array_size(backings); i++) {
		const json_t *backing = json_array_get(backings, i);

		if (strcmp(text(backing, "id"), id) == 0)
			return backing;
	}
	return NULL;
}

static void entry_print(const struct view *view, const json_t *entry)
{
	const char *id = text(entry, "backing");

	terminal_print(view->terminal, TERMINAL_PLAIN, "  %-20s %s", text(entry, "path"), id);
	if (*text(entry, "bucket"))
		terminal_print(view->terminal, TERMINAL_PLAIN, ", bucket %s",
			       text(entry, "bucket"));
	if (*text(entry, "prefix"))
		terminal_print(view->terminal, TERMINAL_PLAIN, ", prefix %s",
			       text(entry, "prefix"));
	if (strcmp(text(entry, "kind"), "small-files") == 0)
		terminal_print(view->terminal, TERMINAL_PLAIN, ", small-files");
	if (json_is_false(json_object_get(entry, "mounted")))
		terminal_print(view->terminal, TERMINAL_BAD, ", not mounted: restart the service");
	terminal_print(view->terminal, TERMINAL_DIM, "  %s\n",
		       text(backing_find(view, id), "description"));
}

/* What the kernel reads by itself. */
static void passthrough_print(const struct view *view, const json_t *passthrough)
{
	bool used = json_is_true(json_object_get(passthrough, "used"));
	const char *reason = text(passthrough, "reason");
	char verified[TERMINAL_TEXT_MAX], queued[TERMINAL_TEXT_MAX];

	if (!json_is_object(passthrough))
		return;
	terminal_print(view->terminal, TERMINAL_PLAIN, "  passthrough %s", used ? "on" : "off");
	if (used)
		terminal_print(view->terminal, TERMINAL_PLAIN, ", %s files verified, %s wait to be",
			       text_count(number(passthrough, "verified"), verified),
			       text_count(number(passthrough, "queued"), queued));
	terminal_print(view->terminal, used ? TERMINAL_WARN : TERMINAL_PLAIN, "%s%s\n",
		       *reason ? ": " : "", reason);
}

static void mount_print(const struct view *view)
{
	const json_t *mount = json_object_get(view->report, "mount");
	const json_t *entries = json_object_get(mount, "entries");

	terminal_print(view->terminal, TERMINAL_BOLD, "\nMOUNT %s\n", text(mount, "path"));
	for (size_t i = 0; i < json_array_size(entries); i++)
		entry_print(view, json_array_get(entries, i));
	passthrough_print(view, json_object_get(mount, "passthrough"));
}

static void fabric_print(const struct view *view, const json_t *fabric)
{
	uint64_t placed = number(fabric, "placed");

	if (!json_is_object(fabric))
		return;
	terminal_print(view->terminal, TERMINAL_PLAIN, "  fabric %s at %s, blocks are placed on ",
		       text(fabric, "transport"), text(fabric, "address"));
	terminal_print(view->terminal, placed > 0 ? TERMINAL_PLAIN : TERMINAL_WARN,
		       "%" PRIu64 " members\n", placed);
}

static void cluster_print(const struct view *view)
{
	const json_t *cluster = json_object_get(view->report, "cluster");
	json_t *counts = json_object_get(cluster, "members");
	const char *standing = text(cluster, "standing");
	const char *state;
	json_t *value;

	if (!json_is_object(cluster))
		return;
	terminal_print(view->terminal, TERMINAL_BOLD, "\nCLUSTER %s", text(cluster, "name"));
	terminal_print(view->terminal, TERMINAL_PLAIN, "  this node is %s",
		       strcmp(standing, "member") == 0 ? text(cluster, "address") : standing);
	json_object_foreach(counts, state, value) if (json_integer_value(value) > 0) terminal_print(
		view->terminal,
		strcmp(state, "dead") == 0 || strcmp(state, "suspect") == 0 ? TERMINAL_WARN
									    : TERMINAL_PLAIN,
		"  %" JSON_INTEGER_FORMAT " %s", json_integer_value(value), state);
	terminal_print(view->terminal, TERMINAL_PLAIN, "\n");
	fabric_print(view, json_object_get(cluster, "fabric"));
	if (*text(cluster, "problem"))
		terminal_print(view->terminal, TERMINAL_BAD, "  %s\n", text(cluster, "problem"));
}

static void directory_print(const struct view *view, const json_t *directory)
{
	char used[TERMINAL_TEXT_MAX], capacity[TERMINAL_TEXT_MAX], share[TERMINAL_TEXT_MAX];
	char objects[TERMINAL_TEXT_MAX];
	const char *state = text(directory, "state");
	bool ok = strcmp(state, "ok") == 0;

	terminal_print(
		view->terminal, TERMINAL_PLAIN, "  %-32s %10s %10s %6s %12s  ",
		text(directory, "path"), text_bytes(number(directory, "used"), used),
		text_bytes(number(directory, "capacity"), capacity),
		text_percent(number(directory, "used"), number(directory, "capacity"), share),
		text_count(number(directory, "objects"), objects));
	terminal_print(view->terminal, ok ? TERMINAL_GOOD : TERMINAL_BAD, "%s", state);
	terminal_print(view->terminal, TERMINAL_BAD, "%s%s\n",
		       *text(directory, "problem") ? ": " : "", text(directory, "problem"));
}

static void space_print(const struct view *view)
{
	const json_t *directories = json_object_get(view->report, "directories");

	if (json_array_size(directories) == 0) {
		terminal_print(view->terminal, TERMINAL_BOLD, "\n%s\n",
			       "SSD  none: what was fetched does not survive a restart");
		return;
	}
	terminal_print(view->terminal, TERMINAL_BOLD,
		       "\n%-34s       USED   CAPACITY              OBJECTS  STATE\n", "SSD");
	for (size_t i = 0; i < json_array_size(directories); i++)
		directory_print(view, json_array_get(directories, i));
}

static void memory_print(const struct view *view)
{
	const json_t *memory = json_object_get(view->report, "memory");
	char arena[TERMINAL_TEXT_MAX], used[TERMINAL_TEXT_MAX], resident[TERMINAL_TEXT_MAX];
	char peak[TERMINAL_TEXT_MAX];

	terminal_print(view->terminal, TERMINAL_BOLD, "\n%s", "MEMORY");
	terminal_print(view->terminal, TERMINAL_PLAIN,
		       "  %s of %s used; the process holds %s, at most %s so far\n",
		       text_bytes(number(memory, "used"), used),
		       text_bytes(number(memory, "arena"), arena),
		       text_bytes(number(memory, "resident"), resident),
		       text_bytes(number(memory, "peak"), peak));
}

static void read_row(const struct view *view, const char *label, const char *name, uint64_t whole)
{
	char total[TERMINAL_TEXT_MAX], share[TERMINAL_TEXT_MAX], now[TERMINAL_TEXT_MAX];
	uint64_t bytes = counter(view, "cache", name);

	terminal_print(view->terminal, TERMINAL_PLAIN, "  %-18s %12s %7s", label,
		       text_bytes(bytes, total), text_percent(bytes, whole, share));
	if (view->before)
		terminal_print(view->terminal, TERMINAL_PLAIN, " %12s/s",
			       text_bytes(rate(view, "cache", name), now));
	terminal_print(view->terminal, TERMINAL_PLAIN, "\n");
}

/* What was moved, ahead of readers too; the rows above say what readers found when they came. */
static void moved_row(const struct view *view, const char *label, const char *room,
		      const char *name)
{
	char total[TERMINAL_TEXT_MAX], now[TERMINAL_TEXT_MAX];

	terminal_print(view->terminal, TERMINAL_PLAIN, "  %-18s %12s", label,
		       text_bytes(counter(view, room, name), total));
	if (view->before)
		terminal_print(view->terminal, TERMINAL_PLAIN, "%8s %12s/s", "",
			       text_bytes(rate(view, room, name), now));
	terminal_print(view->terminal, TERMINAL_PLAIN, "\n");
}

static bool has_peers(const struct view *view)
{
	return json_object_get(json_object_get(view->report, "counters"), "peers");
}

static void moves_print(const struct view *view)
{
	terminal_print(view->terminal, TERMINAL_BOLD, "\n%s\n", "MOVED");
	moved_row(view, "from backing store", "cache", "fetch_bytes");
	if (has_peers(view)) {
		moved_row(view, "from other nodes", "peers", "fetched_bytes");
		moved_row(view, "for other nodes", "peers", "staged_bytes");
	}
	moved_row(view, "from SSD", "store", "read_bytes");
	moved_row(view, "to SSD", "store", "write_bytes");
}

static void requests_print(const struct view *view)
{
	char count[TERMINAL_TEXT_MAX], now[TERMINAL_TEXT_MAX];

	terminal_print(view->terminal, TERMINAL_PLAIN, "  %-18s %12s", "requests",
		       text_count(counter(view, "fuse", "reads"), count));
	if (view->before)
		terminal_print(view->terminal, TERMINAL_PLAIN, "%8s %12s/s", "",
			       text_count(rate(view, "fuse", "reads"), now));
	terminal_print(view->terminal, TERMINAL_PLAIN, "\n");
}

/* The kernel's own reads of passthrough files are not seen: what is known is how many were opened,
 * and how large they are. */
static void opens_print(const struct view *view)
{
	uint64_t opens = counter(view, "fuse", "opens") - counter(view, "fuse", "opens_stale");
	uint64_t passed = counter(view, "fuse", "opens_passthrough");
	char count[TERMINAL_TEXT_MAX], share[TERMINAL_TEXT_MAX], bytes[TERMINAL_TEXT_MAX];

	if (passed == 0)
		return;
	terminal_print(view->terminal, TERMINAL_PLAIN,
		       "  %-18s %12s %7s of the opens: the kernel reads these files, %s\n",
		       "passthrough", text_count(passed, count), text_percent(passed, opens, share),
		       text_bytes(counter(view, "fuse", "passthrough_bytes"), bytes));
}

static void reads_print(const struct view *view)
{
	uint64_t whole = counter(view, "cache", "read_bytes");

	terminal_print(view->terminal, TERMINAL_BOLD, "\n%-20s        TOTAL   SHARE", "READ FROM");
	terminal_print(view->terminal, TERMINAL_BOLD, "%s\n",
		       view->before ? "            NOW" : "");
	read_row(view, "memory", "bytes_memory", whole);
	read_row(view, "SSD", "bytes_ssd", whole);
	if (has_peers(view))
		read_row(view, "other nodes", "bytes_peer", whole);
	read_row(view, "backing store", "bytes_backing", whole);
	read_row(view, "all", "read_bytes", whole);
	requests_print(view);
	opens_print(view);
}

static void latency_row(const struct view *view, const char *label, const char *name)
{
	const json_t *latency = json_object_get(json_object_get(view->report, "latency_ns"), name);
	char p50[TERMINAL_TEXT_MAX], p99[TERMINAL_TEXT_MAX], max[TERMINAL_TEXT_MAX];

	if (number(latency, "count") == 0)
		return;
	terminal_print(view->terminal, TERMINAL_PLAIN, "  %-24s %10s %10s %10s\n", label,
		       text_duration(number(latency, "p50"), p50),
		       text_duration(number(latency, "p99"), p99),
		       text_duration(number(latency, "max"), max));
}

static void latency_print(const struct view *view)
{
	terminal_print(view->terminal, TERMINAL_BOLD, "\n%-26s        P50        P99        MAX\n",
		       "LATENCY");
	latency_row(view, "a read", "fuse_read");
	latency_row(view, "a read that had to wait", "cache_read");
	latency_row(view, "a block from other nodes", "peers_fetch");
}

/* What an operator wants to see when it is not zero. */
static const struct {
	const char *room, *name, *meaning;
} troubles[] = {
	{ "fuse", "errors", "requests of readers that failed" },
	{ "fuse", "keys_hidden", "keys that cannot be file names, left out" },
	{ "cache", "read_errors", "reads that failed" },
	{ "cache", "read_timeouts", "reads that ran out of time" },
	{ "cache", "fetch_errors", "fetches that failed" },
	{ "cache", "stale", "fetches of objects that had been replaced" },
	{ "cache", "repaired", "blocks whose SSD copy was bad, fetched again" },
	{ "cache", "memory_waits", "fetches that waited for memory" },
	{ "store", "rotten", "files in which the scrub found bytes that had changed" },
	{ "store", "bad_checks", "pieces whose bytes on the SSD had changed" },
	{ "store", "read_errors", "SSD reads that failed" },
	{ "store", "write_errors", "SSD writes that failed" },
	{ "store", "no_space", "writes refused by a full file system" },
	{ "s3", "errors", "S3 requests that failed" },
	{ "s3", "deadlines", "S3 requests that ran out of time" },
	{ "s3", "throttled", "answers of S3 to slow down" },
	{ "s3", "retries", "S3 requests tried again" },
	{ "cache", "audit_differences",
	  "ALARM: blocks of members that are not what the backing store "
	  "has; see the log" },
	{ "peers", "mismatches", "blocks read from members that did not match their checks" },
	{ "peers", "silent", "requests to members that were not answered in time" },
	{ "peers", "fetch_errors", "blocks that other nodes could not bring" },
	{ "peers", "breakers_open", "members that are spared now, as they did not answer" },
	{ "peers", "leases_expired", "blocks that members asked for and did not read in time" },
	{ "peers", "malformed", "messages that no member of this version sends" },
	{ "peers", "dropped", "messages to members that never got to the wire" },
	{ "fabric", "read_errors", "reads of members' memory that failed" },
	{ "fabric", "read_timeouts", "reads of members' memory that ran out of time" },
	{ "fabric", "connect_failures", "connections to members that could not be made" },
	{ "fabric", "refusals", "handshakes that this node refused" },
	{ "fabric", "foreign", "connections that did not speak the fabric's protocol" },
	{ "fabric", "forged", "requests outside of what may be read" },
	{ "fabric", "rails_lost", "devices that failed" },
	{ "gossip", "malformed", "packets that were no gossip, or of another version" },
	{ "gossip", "foreign", "gossip packets made with a key that this node does not have" },
	{ "gossip", "forged", "gossip packets that were forged, damaged or of another cluster" },
	{ "gossip", "replayed", "gossip packets that had come before" },
	{ "gossip", "refutations", "times that others took this node for dead" },
	{ "gossip", "deaths", "members found dead" },
	{ "gossip", "send_errors", "gossip packets that could not be sent" },
};

static void troubles_print(const struct view *view)
{
	unsigned shown = 0;

	for (size_t i = 0; i < ARRAY_COUNT(troubles); i++) {
		uint64_t count = counter(view, troubles[i].room, troubles[i].name);
		char total[TERMINAL_TEXT_MAX];

		if (count == 0)
			continue;
		if (shown++ == 0)
			terminal_print(view->terminal, TERMINAL_BOLD, "\n%s\n",
				       "TROUBLE since the start");
		terminal_print(view->terminal, TERMINAL_WARN, "  %12s", text_count(count, total));
		terminal_print(view->terminal, TERMINAL_PLAIN, "  %s", troubles[i].meaning);
		if (view->before && rate(view, troubles[i].room, troubles[i].name) > 0)
			terminal_print(view->terminal, TERMINAL_WARN, " (still rising)");
		terminal_print(view->terminal, TERMINAL_PLAIN, "\n");
	}
	if (shown == 0)
		terminal_print(view->terminal, TERMINAL_GOOD, "\nno errors since the start\n");
}

void status_view_print(const json_t *report, const json_t *before, const struct terminal *terminal)
{
	struct view view = { .report = report, .before = before, .terminal = terminal };

	if (before)
		view.interval_s = (double)(number(report, "time_ns") - number(before, "time_ns")) /
				  (double)NS_PER_S;
	header_print(&view);
	keeper_print(&view);
	mount_print(&view);
	cluster_print(&view);
	space_print(&view);
	memory_print(&view);
	reads_print(&view);
	moves_print(&view);
	if (number(json_object_get(json_object_get(report, "latency_ns"), "fuse_read"), "count"))
		latency_print(&view);
	troubles_print(&view);
}
