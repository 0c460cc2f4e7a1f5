/*
 * locate_view.c - what file it is, how much of it is with its owners and here, then a row a member
 * that has to do with it.
 */
#include "tools/cli/locate_view.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define NAME_WIDTH_MIN 16
#define NAME_WIDTH_MAX 40

static const char *text(const json_t *object, const char *name)
{
	const char *value = json_string_value(json_object_get(object, name));

	return value ? value : "";
}

static uint64_t number(const json_t *object, const char *name)
{
	json_int_t value = json_integer_value(json_object_get(object, name));

	return value > 0 ? (uint64_t)value : 0;
}

static const char *name_of(const json_t *member)
{
	return *text(member, "name") ? text(member, "name") : text(member, "id");
}

static uint64_t at_most(uint64_t value, uint64_t max)
{
	return value < max ? value : max;
}

static int name_width(const json_t *members)
{
	size_t width = NAME_WIDTH_MIN;

	for (size_t i = 0; i < json_array_size(members); i++) {
		size_t len = strlen(name_of(json_array_get(members, i)));

		if (len > width)
			width = len;
	}
	return (int)at_most(width, NAME_WIDTH_MAX);
}

static void head_print(const json_t *result, const struct terminal *terminal)
{
	const json_t *version = json_object_get(result, "version");
	const char *bucket = text(version, "bucket");
	char size[TERMINAL_TEXT_MAX], block[TERMINAL_TEXT_MAX], blocks[TERMINAL_TEXT_MAX];

	terminal_print(terminal, TERMINAL_BOLD, "%s", text(result, "path"));
	terminal_print(terminal, TERMINAL_PLAIN, "  %s in %s %s of %s\n",
		       text_bytes(number(result, "size"), size),
		       text_count(number(result, "blocks"), blocks),
		       number(result, "blocks") == 1 ? "block" : "blocks",
		       text_bytes(number(result, "block_len"), block));
	terminal_print(terminal, TERMINAL_PLAIN, "  %s%s%s/%s, version %s\n",
		       text(version, "backing"), *bucket ? "/" : "", bucket, text(version, "key"),
		       text(version, "etag"));
	if (json_is_false(json_object_get(result, "confirmed")))
		terminal_print(terminal, TERMINAL_WARN,
			       "  this was the version when it was last looked up, now that fails: "
			       "%s\n",
			       text(result, "problem"));
}

/* Each byte of a file is its owner's, or nobody's. */
static void shares_print(const json_t *result, const struct terminal *terminal)
{
	const json_t *members = json_object_get(result, "members"), *member;
	uint64_t size = number(result, "size"), held = 0, local = 0;
	char held_text[TERMINAL_TEXT_MAX], held_share[TERMINAL_TEXT_MAX];
	char local_text[TERMINAL_TEXT_MAX], local_share[TERMINAL_TEXT_MAX];

	for (size_t i = 0; i < json_array_size(members); i++) {
		member = json_array_get(members, i);
		held += number(member, "held_bytes");
		if (json_is_true(json_object_get(member, "self")))
			local = number(member,
				       number(member, "ssd_bytes") > number(member, "memory_bytes")
					       ? "ssd_bytes"
					       : "memory_bytes");
	}
	held = at_most(held, size);
	terminal_print(terminal, held == size ? TERMINAL_GOOD : TERMINAL_PLAIN,
		       "  %s (%s) is with its owners", text_bytes(held, held_text),
		       text_percent(held, size, held_share));
	terminal_print(terminal, TERMINAL_PLAIN, ", %s (%s) on this node\n\n",
		       text_bytes(local, local_text), text_percent(local, size, local_share));
}

static void member_print(const json_t *member, int width, const struct terminal *terminal)
{
	char owned[TERMINAL_TEXT_MAX], held[TERMINAL_TEXT_MAX], share[TERMINAL_TEXT_MAX];
	char ssd[TERMINAL_TEXT_MAX], replicas[TERMINAL_TEXT_MAX], memory[TERMINAL_TEXT_MAX];
	bool self = json_is_true(json_object_get(member, "self"));

	terminal_print(terminal, self ? TERMINAL_BOLD : TERMINAL_PLAIN, "%-*s", width,
		       name_of(member));
	terminal_print(terminal, TERMINAL_PLAIN, " %8s %10s",
		       text_count(number(member, "owned_blocks"), share),
		       text_bytes(number(member, "owned_bytes"), owned));
	if (*text(member, "problem")) {
		terminal_print(terminal, TERMINAL_BAD, "  %s\n", text(member, "problem"));
		return;
	}
	terminal_print(
		terminal, TERMINAL_PLAIN, " %10s %6s %10s %10s %10s%s\n",
		text_bytes(number(member, "held_bytes"), held),
		text_percent(number(member, "held_bytes"), number(member, "owned_bytes"), share),
		text_bytes(number(member, "ssd_bytes"), ssd),
		text_bytes(number(member, "replica_bytes"), replicas),
		text_bytes(number(member, "memory_bytes"), memory), self ? "  this node" : "");
}

/* Of many members, most have nothing to do with one file. */
static bool member_matters(const json_t *member)
{
	return number(member, "owned_blocks") > 0 || number(member, "ssd_bytes") > 0 ||
	       number(member, "memory_bytes") > 0 || *text(member, "problem") ||
	       json_is_true(json_object_get(member, "self"));
}

static void members_print(const json_t *result, const struct terminal *terminal)
{
	const json_t *members = json_object_get(result, "members");
	size_t count = json_array_size(members), quiet = 0;
	int width = name_width(members);

	terminal_print(terminal, TERMINAL_BOLD, "%-*s %8s %10s %10s %6s %10s %10s %10s\n", width,
		       "MEMBER", "BLOCKS", "OWNS", "HAS", "", "SSD", "REPLICAS", "MEMORY");
	for (size_t i = 0; i < count; i++) {
		if (member_matters(json_array_get(members, i)))
			member_print(json_array_get(members, i), width, terminal);
		else
			quiet++;
	}
	if (quiet > 0)
		terminal_print(terminal, TERMINAL_DIM, "%zu more own and have nothing of it\n",
			       quiet);
	if (number(result, "members_left") > 0)
		terminal_print(terminal, TERMINAL_WARN, "%" PRIu64 " more were not asked\n",
			       number(result, "members_left"));
}

static void run_print(const json_t *run, const json_t *members, const struct terminal *terminal)
{
	const json_t *index = json_object_get(run, "member");
	uint64_t first = number(run, "first"), count = number(run, "count");
	const json_t *member = json_is_integer(index)
				       ? json_array_get(members, (size_t)number(run, "member"))
				       : NULL;
	char blocks[64];

	if (count == 1)
		snprintf(blocks, sizeof(blocks), "%" PRIu64, first);
	else
		snprintf(blocks, sizeof(blocks), "%" PRIu64 "-%" PRIu64, first, first + count - 1);
	terminal_print(terminal, TERMINAL_PLAIN, "%16s  %s\n", blocks,
		       member ? name_of(member) : "-");
}

static void runs_print(const json_t *result, const struct terminal *terminal)
{
	const json_t *runs = json_object_get(result, "runs");

	if (!runs)
		return;
	terminal_print(terminal, TERMINAL_BOLD, "\n%16s  %s\n", "BLOCKS", "OWNER");
	for (size_t i = 0; i < json_array_size(runs); i++)
		run_print(json_array_get(runs, i), json_object_get(result, "members"), terminal);
	if (number(result, "runs_left") > 0)
		terminal_print(terminal, TERMINAL_WARN,
			       "the %" PRIu64 " blocks behind are left out\n",
			       number(result, "runs_left"));
}

void locate_view_print(const json_t *result, const struct terminal *terminal)
{
	head_print(result, terminal);
	shares_print(result, terminal);
	members_print(result, terminal);
	runs_print(result, terminal);
}
