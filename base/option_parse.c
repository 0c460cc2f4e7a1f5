/*
 * option_parse.c - one text into one field, checked for form, overflow and range.
 */
#include "base/option.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/suggest.h"

#define QUOTE_LEN 64

struct unit {
	const char *name;
	uint64_t factor;
};

static const struct unit size_units[] = {
	{ "", 1 },
	{ "B", 1 },
	{ "KiB", UINT64_C(1) << 10 },
	{ "MiB", UINT64_C(1) << 20 },
	{ "GiB", UINT64_C(1) << 30 },
	{ "TiB", UINT64_C(1) << 40 },
	{ "PiB", UINT64_C(1) << 50 },
	{ "EiB", UINT64_C(1) << 60 },
	{ "kB", UINT64_C(1000) },
	{ "MB", UINT64_C(1000000) },
	{ "GB", UINT64_C(1000000000) },
	{ "TB", UINT64_C(1000000000000) },
	{ "PB", UINT64_C(1000000000000000) },
	{ "EB", UINT64_C(1000000000000000000) },
	{ NULL, 0 },
};

static const struct unit duration_units[] = {
	{ "ns", 1 },
	{ "us", 1000 },
	{ "ms", NS_PER_MS },
	{ "s", NS_PER_S },
	{ "min", 60 * NS_PER_S },
	{ "h", 3600 * NS_PER_S },
	{ "d", 86400 * NS_PER_S },
	{ NULL, 0 },
};

/* What every parser below needs to say what is wrong. */
struct parse {
	const struct option *option;
	const char *text;
	char *problem;
	size_t problem_size;
};

/* @text as a message may show it: short, on one line, and never a secret. */
static void quote(const struct parse *parse, char out[QUOTE_LEN])
{
	int len;

	if (parse->option->flags & OPTION_SECRET) {
		snprintf(out, QUOTE_LEN, "the value (secret)");
		return;
	}
	len = snprintf(out, QUOTE_LEN, "'%s'", parse->text);
	if (len >= QUOTE_LEN)
		memcpy(out + QUOTE_LEN - 5, "...'", 5);
	for (; *out; out++) {
		if (iscntrl((unsigned char)*out))
			*out = '?';
	}
}

static int refuse(const struct parse *parse, const char *why)
{
	char quoted[QUOTE_LEN];

	quote(parse, quoted);
	return option_problem(parse->problem, parse->problem_size, "%s %s", quoted, why);
}

static int refuse_range(const struct parse *parse)
{
	char quoted[QUOTE_LEN], type[128];

	quote(parse, quoted);
	if (!parse->option->min && !parse->option->max)
		return option_problem(parse->problem, parse->problem_size, "%s is too large",
				      quoted);
	option_type_text(parse->option, type, sizeof(type));
	return option_problem(parse->problem, parse->problem_size, "%s is out of range: %s", quoted,
			      type);
}

static bool in_range(const struct option *option, int64_t value)
{
	if (!option->min && !option->max)
		return true;
	return value >= option->min && (option->max < option->min || value <= option->max);
}

/* Digits at *@p. Return: 0, -EINVAL when there are none, -ERANGE above INT64_MAX. */
static int scan_number(const char **p, uint64_t *out)
{
	uint64_t value = 0;
	int error = 0;

	if (!isdigit((unsigned char)**p))
		return -EINVAL;
	for (; isdigit((unsigned char)**p); (*p)++) {
		if (__builtin_mul_overflow(value, 10u, &value) ||
		    __builtin_add_overflow(value, (uint64_t)(**p - '0'), &value) ||
		    value > INT64_MAX)
			error = -ERANGE; /* but read on: the form is judged first */
	}
	*out = value;
	return error;
}

static const char *skip_blanks(const char *p)
{
	while (*p == ' ' || *p == '\t')
		p++;
	return p;
}

static const struct unit *find_unit(const struct unit *units, const char *p)
{
	size_t len = strcspn(p, " \t");

	if (*skip_blanks(p + len))
		return NULL;
	for (; units->name; units++) {
		if (strlen(units->name) == len && strncasecmp(units->name, p, len) == 0)
			return units;
	}
	return NULL;
}

/*
 * A number, blanks and a unit. Return: 0; -EINVAL; -ERANGE; -EDOM when all that is missing is the
 * unit.
 */
static int scan_scaled(const char *text, const struct unit *units, uint64_t *out)
{
	const char *p = skip_blanks(text);
	const struct unit *unit;
	uint64_t number;
	int error = scan_number(&p, &number);

	if (error == -EINVAL)
		return error;
	p = skip_blanks(p);
	unit = find_unit(units, p);
	if (!unit && !*p && (number || error))
		return -EDOM;
	if (!unit && *p)
		return -EINVAL;
	if (error || (unit && __builtin_mul_overflow(number, unit->factor, &number)) ||
	    number > INT64_MAX)
		return -ERANGE;
	*out = number;
	return 0;
}

static int parse_scaled(const struct parse *parse, uint64_t *out)
{
	bool size = parse->option->type == OPTION_BYTES;
	uint64_t value;
	int error = scan_scaled(parse->text, size ? size_units : duration_units, &value);

	if (error == -EINVAL && size)
		return refuse(parse,
			      "is not a size: a whole number of bytes, or a number with KiB, "
			      "MiB, GiB, TiB, kB, MB, GB or TB");
	if (error == -EINVAL)
		return refuse(parse, "is not a duration: a number with ns, us, ms, s, min, h or d");
	if (error == -EDOM)
		return refuse(parse, "has no unit: a duration is a number with ns, us, ms, s, min, "
				     "h or d");
	if (error || !in_range(parse->option, (int64_t)value))
		return refuse_range(parse);
	*out = value;
	return 0;
}

static int parse_int(const struct parse *parse, int64_t *out)
{
	const char *p = skip_blanks(parse->text);
	bool negative = *p == '-';
	uint64_t number;
	int error;

	p += *p == '-' || *p == '+';
	error = scan_number(&p, &number);
	if (error == -EINVAL || *skip_blanks(p))
		return refuse(parse, "is not a whole number");
	if (error)
		return refuse_range(parse);
	if (!in_range(parse->option, negative ? -(int64_t)number : (int64_t)number))
		return refuse_range(parse);
	*out = negative ? -(int64_t)number : (int64_t)number;
	return 0;
}

static int parse_bool(const struct parse *parse, bool *out)
{
	static const struct {
		const char *name;
		bool value;
	} words[] = { { "true", true },	  { "yes", true }, { "on", true },
		      { "false", false }, { "no", false }, { "off", false } };

	for (unsigned i = 0; i < ARRAY_COUNT(words); i++) {
		if (strcasecmp(parse->text, words[i].name) == 0) {
			*out = words[i].value;
			return 0;
		}
	}
	return refuse(parse, "is not true or false (also yes, no, on, off)");
}

static int parse_mode(const struct parse *parse, uint32_t *out)
{
	size_t len = strspn(parse->text, "01234567");
	unsigned long mode;

	if (!len || len > 6 || parse->text[len])
		return refuse(parse, "is not a file mode: octal digits such as 0644");
	mode = strtoul(parse->text, NULL, 8);
	if (mode > 07777)
		return refuse(parse, "is not a file mode: at most 7777");
	*out = (uint32_t)mode;
	return 0;
}

static int parse_choice(const struct parse *parse, int *out)
{
	struct suggestion suggestion;
	char quoted[QUOTE_LEN], type[256];

	suggestion_init(&suggestion, parse->text, "");
	for (int i = 0; parse->option->choices[i]; i++) {
		if (strcmp(parse->option->choices[i], parse->text) == 0) {
			*out = i;
			return 0;
		}
		suggestion_offer(&suggestion, parse->option->choices[i]);
	}
	quote(parse, quoted);
	option_type_text(parse->option, type, sizeof(type));
	return option_problem(parse->problem, parse->problem_size, "%s is not %s%s", quoted, type,
			      suggestion_text(&suggestion));
}

static int parse_string(const struct parse *parse, char **out)
{
	size_t len = strlen(parse->text);
	char *copy;

	if (!in_range(parse->option, (int64_t)len))
		return refuse_range(parse);
	copy = strdup(parse->text);
	if (!copy)
		return -ENOMEM;
	free(*out);
	*out = copy;
	return 0;
}

/* The list's bounds are checked when it is whole: option_check_length(). */
static int append_string(const struct parse *parse, struct option_strings *list)
{
	char **items = reallocarray(list->items, list->count + 1, sizeof(*items));
	char *copy;

	if (!items)
		return -ENOMEM;
	list->items = items;
	copy = strdup(parse->text);
	if (!copy)
		return -ENOMEM;
	items[list->count++] = copy;
	return 0;
}

int option_set_text(const struct option *option, void *value, const char *text, char *problem,
		    size_t problem_size)
{
	const struct parse parse = { option, text, problem, problem_size };
	void *field = (char *)value + option->offset;

	switch (option->type) {
	case OPTION_BOOL:
		return parse_bool(&parse, field);
	case OPTION_INT:
		return parse_int(&parse, field);
	case OPTION_BYTES:
	case OPTION_DURATION:
		return parse_scaled(&parse, field);
	case OPTION_MODE:
		return parse_mode(&parse, field);
	case OPTION_STRING:
		return parse_string(&parse, field);
	case OPTION_STRINGS:
		return append_string(&parse, field);
	case OPTION_CHOICE:
		return parse_choice(&parse, field);
	case OPTION_STRUCT:
	case OPTION_STRUCTS:
		break;
	}
	return option_problem(problem, problem_size, "a group cannot be given as text");
}

int option_check_length(const struct option *option, unsigned length, char *problem,
			size_t problem_size)
{
	char type[128];

	if (in_range(option, length))
		return 0;
	option_type_text(option, type, sizeof(type));
	return option_problem(problem, problem_size, "%u given: %s", length, type);
}
