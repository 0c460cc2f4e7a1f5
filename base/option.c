/*
 * option.c - the life of a config struct (defaults, free, comparison) and the walk over its tables.
 */
#include "base/option.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static void *field_of(const struct option *option, void *value)
{
	return (char *)value + option->offset;
}

static const void *field_of_const(const struct option *option, const void *value)
{
	return (const char *)value + option->offset;
}

static int set_default(const struct option *option, void *value)
{
	char problem[OPTION_PROBLEM_MAX];
	int error;

	if (option->type == OPTION_STRUCT)
		return option_defaults(option->group, field_of(option, value));
	if (!option->default_text)
		return 0;
	error = option_set_text(option, value, option->default_text, problem, sizeof(problem));
	CHECK(error == 0 || error == -ENOMEM); /* else the table is wrong */
	return error;
}

int option_defaults(const struct option_group *group, void *value)
{
	int error = 0;

	memset(value, 0, group->size);
	for (unsigned i = 0; i < group->count && !error; i++)
		error = set_default(&group->options[i], value);
	if (error)
		option_free(group, value);
	return error;
}

static void free_strings(struct option_strings *strings)
{
	for (unsigned i = 0; i < strings->count; i++)
		free(strings->items[i]);
	free(strings->items);
}

static void free_structs(const struct option_group *group, struct option_structs *structs)
{
	for (unsigned i = 0; i < structs->count; i++)
		option_free(group, (char *)structs->items + i * group->size);
	free(structs->items);
}

static void free_option(const struct option *option, void *value)
{
	void *field = field_of(option, value);

	switch (option->type) {
	case OPTION_STRING:
		/* a secret must not lie about in freed memory */
		if (*(char **)field && option->flags & OPTION_SECRET)
			explicit_bzero(*(char **)field, strlen(*(char **)field));
		free(*(char **)field);
		break;
	case OPTION_STRINGS:
		free_strings(field);
		break;
	case OPTION_STRUCT:
		option_free(option->group, field);
		break;
	case OPTION_STRUCTS:
		free_structs(option->group, field);
		break;
	case OPTION_BOOL:
	case OPTION_INT:
	case OPTION_BYTES:
	case OPTION_DURATION:
	case OPTION_MODE:
	case OPTION_CHOICE:
		break;
	}
}

void option_free(const struct option_group *group, void *value)
{
	for (unsigned i = 0; i < group->count; i++)
		free_option(&group->options[i], value);
	memset(value, 0, group->size);
}

const struct option *option_find(const struct option_group *group, const char *name)
{
	for (unsigned i = 0; i < group->count; i++) {
		if (strcmp(group->options[i].name, name) == 0)
			return &group->options[i];
	}
	return NULL;
}

int option_problem(char *problem, size_t problem_size, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(problem, problem_size, format, arguments);
	va_end(arguments);
	return -EINVAL;
}

struct walk {
	int (*visit)(const struct option_visit *visited, void *context);
	void *context;
	unsigned index;
};

static int walk_group(struct walk *walk, const struct option_group *group, const char *prefix,
		      size_t offset)
{
	char path[OPTION_PATH_MAX];
	int result = 0;

	for (unsigned i = 0; i < group->count && !result; i++) {
		const struct option *option = &group->options[i];
		struct option_visit visited = { path, option, offset + option->offset, 0 };

		snprintf(path, sizeof(path), "%s%s%s", prefix, *prefix ? "." : "", option->name);
		if (option->type == OPTION_STRUCT) {
			result = walk_group(walk, option->group, path, visited.offset);
			continue;
		}
		visited.index = walk->index++;
		result = walk->visit(&visited, walk->context);
	}
	return result;
}

int option_walk(const struct option_group *group,
		int (*visit)(const struct option_visit *visited, void *context), void *context)
{
	struct walk walk = { visit, context, 0 };

	return walk_group(&walk, group, "", 0);
}

static bool equal_texts(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

static bool equal_strings(const struct option_strings *a, const struct option_strings *b)
{
	if (a->count != b->count)
		return false;
	for (unsigned i = 0; i < a->count; i++) {
		if (!equal_texts(a->items[i], b->items[i]))
			return false;
	}
	return true;
}

static bool equal_groups(const struct option_group *group, const void *a, const void *b)
{
	for (unsigned i = 0; i < group->count; i++) {
		if (!option_equal(&group->options[i], a, b))
			return false;
	}
	return true;
}

static bool equal_structs(const struct option_group *group, const struct option_structs *a,
			  const struct option_structs *b)
{
	if (a->count != b->count)
		return false;
	for (unsigned i = 0; i < a->count; i++) {
		if (!equal_groups(group, (const char *)a->items + i * group->size,
				  (const char *)b->items + i * group->size))
			return false;
	}
	return true;
}

bool option_equal(const struct option *option, const void *a, const void *b)
{
	const void *left = field_of_const(option, a);
	const void *right = field_of_const(option, b);

	switch (option->type) {
	case OPTION_BOOL:
		return *(const bool *)left == *(const bool *)right;
	case OPTION_CHOICE:
		return *(const int *)left == *(const int *)right;
	case OPTION_MODE:
		return *(const uint32_t *)left == *(const uint32_t *)right;
	case OPTION_INT:
	case OPTION_BYTES:
	case OPTION_DURATION:
		return *(const uint64_t *)left == *(const uint64_t *)right;
	case OPTION_STRING:
		return equal_texts(*(char *const *)left, *(char *const *)right);
	case OPTION_STRINGS:
		return equal_strings(left, right);
	case OPTION_STRUCT:
		return equal_groups(option->group, left, right);
	case OPTION_STRUCTS:
		return equal_structs(option->group, left, right);
	}
	return false;
}
