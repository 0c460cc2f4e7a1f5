/*
 * option_text.c - types and values as texts that a user could have written.
 */
#include "base/option.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "base/clock.h"

struct text {
	char *out;
	size_t size;
	size_t len;
};

static void __attribute__((format(printf, 2, 3))) add(struct text *text, const char *format, ...)
{
	va_list arguments;
	int len;

	if (text->len >= text->size)
		return;
	va_start(arguments, format);
	len = vsnprintf(text->out + text->len, text->size - text->len, format, arguments);
	va_end(arguments);
	if (len > 0)
		text->len += (size_t)len;
}

/* Divides by 1024 or 1000 as often as it goes without a rest. Return: how often. */
static unsigned reduce(uint64_t *value, uint64_t base, unsigned steps_max)
{
	unsigned steps = 0;

	while (*value && steps < steps_max && *value % base == 0) {
		*value /= base;
		steps++;
	}
	return steps;
}

static void add_bytes(struct text *text, uint64_t value)
{
	static const char *const binary[] = { "", " KiB", " MiB", " GiB", " TiB", " PiB", " EiB" };
	static const char *const decimal[] = { "", " kB", " MB", " GB", " TB", " PB", " EB" };
	uint64_t halved = value, tenth = value;
	unsigned binary_steps = reduce(&halved, 1024, ARRAY_COUNT(binary) - 1);
	unsigned decimal_steps = reduce(&tenth, 1000, ARRAY_COUNT(decimal) - 1);

	if (halved <= tenth)
		add(text, "%" PRIu64 "%s", halved, binary[binary_steps]);
	else
		add(text, "%" PRIu64 "%s", tenth, decimal[decimal_steps]);
}

static void add_duration(struct text *text, uint64_t value)
{
	static const struct {
		const char *name;
		uint64_t ns;
	} units[] = {
		{ "d", 86400 * NS_PER_S },
		{ "h", 3600 * NS_PER_S },
		{ "min", 60 * NS_PER_S },
		{ "s", NS_PER_S },
		{ "ms", NS_PER_MS },
		{ "us", 1000 },
		{ "ns", 1 },
	};
	unsigned i = 0;

	if (!value) {
		add(text, "0");
		return;
	}
	while (value % units[i].ns)
		i++;
	add(text, "%" PRIu64 " %s", value / units[i].ns, units[i].name);
}

static void add_number(struct text *text, const struct option *option, int64_t value)
{
	if (option->type == OPTION_BYTES)
		add_bytes(text, (uint64_t)value);
	else if (option->type == OPTION_DURATION)
		add_duration(text, (uint64_t)value);
	else
		add(text, "%" PRId64, value);
}

static void add_range(struct text *text, const struct option *option, const char *unit)
{
	if (!option->min && !option->max)
		return;
	add(text, option->max < option->min ? " of at least " : " from ");
	add_number(text, option, option->min);
	if (option->max >= option->min) {
		add(text, " to ");
		add_number(text, option, option->max);
	}
	add(text, "%s", unit);
}

static void add_choices(struct text *text, const struct option *option)
{
	add(text, "one of ");
	for (unsigned i = 0; option->choices[i]; i++)
		add(text, "%s%s", i ? ", " : "", option->choices[i]);
}

void option_type_text(const struct option *option, char *out, size_t out_size)
{
	struct text text = { out, out_size, 0 };

	switch (option->type) {
	case OPTION_BOOL:
		add(&text, "true or false");
		break;
	case OPTION_INT:
		add(&text, "whole number");
		add_range(&text, option, "");
		break;
	case OPTION_BYTES:
		add(&text, "size");
		add_range(&text, option, "");
		break;
	case OPTION_DURATION:
		add(&text, "duration");
		add_range(&text, option, "");
		break;
	case OPTION_MODE:
		add(&text, "octal file mode");
		break;
	case OPTION_STRING:
		add(&text, "text");
		add_range(&text, option, " bytes");
		break;
	case OPTION_STRINGS:
		add(&text, "list of texts");
		add_range(&text, option, " of them");
		break;
	case OPTION_CHOICE:
		add_choices(&text, option);
		break;
	case OPTION_STRUCT:
		add(&text, "group { ... }");
		break;
	case OPTION_STRUCTS:
		add(&text, "list of groups ( { ... }, ... )");
		add_range(&text, option, " of them");
		break;
	}
}

static void add_strings(struct text *text, const struct option_strings *strings)
{
	for (unsigned i = 0; i < strings->count; i++)
		add(text, "%s%s", i ? ", " : "", strings->items[i]);
}

static void add_structs(struct text *text, const struct option_structs *structs)
{
	add(text, "(%u %s)", structs->count, structs->count == 1 ? "group" : "groups");
}

void option_value_text(const struct option *option, const void *value, char *out, size_t out_size)
{
	struct text text = { out, out_size, 0 };
	const void *field = (const char *)value + option->offset;
	const char *string;

	if (out_size)
		*out = 0;
	if (option->flags & OPTION_SECRET) {
		add(&text, "(secret)");
		return;
	}
	switch (option->type) {
	case OPTION_BOOL:
		add(&text, *(const bool *)field ? "true" : "false");
		break;
	case OPTION_INT:
	case OPTION_BYTES:
	case OPTION_DURATION:
		add_number(&text, option, *(const int64_t *)field);
		break;
	case OPTION_MODE:
		add(&text, "%04" PRIo32, *(const uint32_t *)field);
		break;
	case OPTION_STRING:
		string = *(char *const *)field;
		add(&text, "%s", string ? string : "");
		break;
	case OPTION_STRINGS:
		add_strings(&text, field);
		break;
	case OPTION_CHOICE:
		add(&text, "%s", option->choices[*(const int *)field]);
		break;
	case OPTION_STRUCT:
		add(&text, "{ ... }");
		break;
	case OPTION_STRUCTS:
		add_structs(&text, field);
		break;
	}
}
