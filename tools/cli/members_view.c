/*
 * members_view.c - a row a member, this node first; below a row what is wrong with it.
 */
#include "tools/cli/members_view.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"

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

static enum terminal_style state_style(const char *state)
{
	static const struct {
		const char *state;
		enum terminal_style style;
	} styles[] = {
		{ "alive", TERMINAL_GOOD },   { "suspect", TERMINAL_WARN },
		{ "dead", TERMINAL_BAD },     { "left", TERMINAL_DIM },
		{ "leaving", TERMINAL_WARN }, { "restarting", TERMINAL_WARN },
		{ "joining", TERMINAL_WARN },
	};

	for (size_t i = 0; i < ARRAY_COUNT(styles); i++)
		if (strcmp(styles[i].state, state) == 0)
			return styles[i].style;
	return TERMINAL_PLAIN;
}

static int name_width(const json_t *members)
{
	size_t width = NAME_WIDTH_MIN;

	for (size_t i = 0; i < json_array_size(members); i++) {
		size_t len = strlen(text(json_array_get(members, i), "name"));

		if (len > width)
			width = len;
	}
	return (int)(width < NAME_WIDTH_MAX ? width : NAME_WIDTH_MAX);
}

static const json_t *self_of(const json_t *members)
{
	for (size_t i = 0; i < json_array_size(members); i++)
		if (json_is_true(json_object_get(json_array_get(members, i), "self")))
			return json_array_get(members, i);
	return NULL;
}

static void remarks_print(const json_t *member, const json_t *self, const struct terminal *terminal)
{
	const char *state = text(member, "state");
	char left[TERMINAL_TEXT_MAX];

	text_duration(number(member, "left_ns"), left);
	if (strcmp(state, "suspect") == 0)
		terminal_print(terminal, TERMINAL_WARN, "    %s; dead in %s\n", text(member, "why"),
			       left);
	else if (strcmp(state, "restarting") == 0)
		terminal_print(terminal, TERMINAL_WARN, "    missed in %s\n", left);
	if (self && strcmp(text(member, "config"), text(self, "config")) != 0)
		terminal_print(terminal, TERMINAL_WARN,
			       "    its block length, backing stores or mount entries differ from "
			       "this node's\n");
}

static void member_print(const json_t *member, const json_t *self, int width,
			 const struct terminal *terminal)
{
	char since[TERMINAL_TEXT_MAX], round_trip[TERMINAL_TEXT_MAX] = "-";
	char capacity[TERMINAL_TEXT_MAX];
	bool is_self = member == self;

	if (number(member, "round_trip_ns") > 0)
		text_duration(number(member, "round_trip_ns"), round_trip);
	terminal_print(terminal, is_self ? TERMINAL_BOLD : TERMINAL_PLAIN, "%-*s ", width,
		       text(member, "name"));
	terminal_print(terminal, state_style(text(member, "state")), "%-10s",
		       text(member, "state"));
	terminal_print(terminal, TERMINAL_PLAIN, " %12s %10s  %-26s %-10s %10s  %s\n",
		       text_duration(number(member, "for_ns"), since),
		       is_self ? "this node" : round_trip, text(member, "gossip"),
		       *text(member, "site") ? text(member, "site") : "-",
		       text_bytes(number(member, "capacity"), capacity), text(member, "version"));
	remarks_print(member, self, terminal);
}

void members_view_print(const char *cluster, const json_t *members, const struct terminal *terminal)
{
	const json_t *self = self_of(members);
	int width = name_width(members);

	terminal_print(terminal, TERMINAL_BOLD,
		       "CLUSTER %s\n%-*s %-10s %12s %10s  %-26s %-10s %10s  %s\n", cluster, width,
		       "MEMBER", "STATE", "FOR", "ROUND TRIP", "ADDRESS", "SITE", "CAPACITY",
		       "VERSION");
	for (size_t i = 0; i < json_array_size(members); i++)
		member_print(json_array_get(members, i), self, width, terminal);
}
