/*
 * option_arguments.c - a command line read by an option table.
 */
#include "base/option.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/suggest.h"

struct arguments {
	const struct option_group *group;
	char *value;
	int argc;
	char **argv;
	int next;	 /* index of the argument after the one being read */
	int positionals; /* how many stand at the front of argv */
	bool *seen;	 /* by the index of the walk */
	char *problem;
	size_t problem_size;
};

/* The option that an argument names: what option_walk() said of it, without the path. */
struct found {
	const struct option *option;
	size_t offset;
	unsigned index;
};

struct lookup {
	const char *name; /* NULL: by letter */
	size_t len;
	char letter;
	struct found found;
};

/* Table names have underscores, command lines dashes; both are taken. */
static bool names_equal(const char *path, const char *name, size_t len)
{
	if (strlen(path) != len)
		return false;
	for (size_t i = 0; i < len; i++) {
		if ((path[i] == '_' ? '-' : path[i]) != (name[i] == '_' ? '-' : name[i]))
			return false;
	}
	return true;
}

static int visit_lookup(const struct option_visit *visited, void *context)
{
	struct lookup *lookup = context;

	if (visited->option->type == OPTION_STRUCTS)
		return 0;
	if (lookup->name ? !names_equal(visited->path, lookup->name, lookup->len)
			 : visited->option->letter != lookup->letter)
		return 0;
	lookup->found = (struct found){ visited->option, visited->offset, visited->index };
	return 1;
}

static bool find_long(const struct arguments *a, const char *name, size_t len, struct found *out)
{
	struct lookup lookup = { .name = name, .len = len };

	if (!option_walk(a->group, visit_lookup, &lookup))
		return false;
	*out = lookup.found;
	return true;
}

static bool find_letter(const struct arguments *a, char letter, struct found *out)
{
	struct lookup lookup = { .letter = letter };

	if (!letter || !option_walk(a->group, visit_lookup, &lookup))
		return false;
	*out = lookup.found;
	return true;
}

/* A table's name as on a command line: dashes for underscores. */
static void dash(char *name)
{
	for (; *name; name++) {
		if (*name == '_')
			*name = '-';
	}
}

static int visit_suggest(const struct option_visit *visited, void *context)
{
	char name[OPTION_PATH_MAX];

	if (visited->option->type == OPTION_STRUCTS)
		return 0;
	snprintf(name, sizeof(name), "%s", visited->path);
	dash(name);
	suggestion_offer(context, name);
	return 0;
}

static int refuse_letter(const struct arguments *a, char letter)
{
	return option_problem(a->problem, a->problem_size, "unknown option -%c", letter);
}

/* Without the value, which may be a secret given to a misspelt option. */
static int refuse_unknown(const struct arguments *a, const char *name, size_t len)
{
	char wanted[OPTION_PATH_MAX];
	struct suggestion suggestion;

	snprintf(wanted, sizeof(wanted), "%.*s", (int)len, name);
	dash(wanted);
	suggestion_init(&suggestion, wanted, "--");
	option_walk(a->group, visit_suggest, &suggestion);
	return option_problem(a->problem, a->problem_size, "unknown option --%s%s", wanted,
			      suggestion_text(&suggestion));
}

/* A list that is given replaces its default, once. */
static void drop_default(const struct arguments *a, const struct found *found)
{
	struct option_strings *list = (struct option_strings *)(void *)(a->value + found->offset);

	if (found->option->type != OPTION_STRINGS || a->seen[found->index])
		return;
	for (unsigned i = 0; i < list->count; i++)
		free(list->items[i]);
	free(list->items);
	*list = (struct option_strings){ 0 };
}

static int apply(struct arguments *a, const struct found *found, const char *spelling,
		 const char *text)
{
	char problem[OPTION_PROBLEM_MAX];
	int error;

	drop_default(a, found);
	a->seen[found->index] = true;
	error = option_set_text(found->option, a->value + found->offset - found->option->offset,
				text, problem, sizeof(problem));
	if (error == -EINVAL)
		return option_problem(a->problem, a->problem_size, "%s: %s", spelling, problem);
	return error;
}

/* The value stands in the next argument. */
static int apply_next(struct arguments *a, const struct found *found, const char *spelling)
{
	char type[256];

	if (a->next < a->argc)
		return apply(a, found, spelling, a->argv[a->next++]);
	option_type_text(found->option, type, sizeof(type));
	return option_problem(a->problem, a->problem_size, "%s needs a value: %s", spelling, type);
}

static int parse_long(struct arguments *a, const char *argument)
{
	const char *name = argument + 2;
	size_t len = strcspn(name, "=");
	char spelling[OPTION_PATH_MAX];
	struct found found;

	snprintf(spelling, sizeof(spelling), "--%.*s", (int)len, name);
	if (find_long(a, name, len, &found)) {
		if (name[len])
			return apply(a, &found, spelling, name + len + 1);
		if (found.option->type == OPTION_BOOL)
			return apply(a, &found, spelling, "true");
		return apply_next(a, &found, spelling);
	}
	if (len > 3 && strncmp(name, "no-", 3) == 0 && find_long(a, name + 3, len - 3, &found) &&
	    found.option->type == OPTION_BOOL) {
		if (name[len])
			return option_problem(a->problem, a->problem_size, "%s takes no value",
					      spelling);
		return apply(a, &found, spelling, "false");
	}
	return refuse_unknown(a, name, len);
}

static int parse_letters(struct arguments *a, const char *letters)
{
	int error = 0;

	for (; *letters && !error; letters++) {
		const char spelling[] = { '-', *letters, 0 };
		struct found found;

		if (!find_letter(a, *letters, &found))
			return refuse_letter(a, *letters);
		if (found.option->type != OPTION_BOOL) {
			if (letters[1])
				return apply(a, &found, spelling, letters + 1);
			return apply_next(a, &found, spelling);
		}
		error = apply(a, &found, spelling, "true");
	}
	return error;
}

static int parse_all(struct arguments *a)
{
	bool options_ended = false;
	int error = 0;

	while (a->next < a->argc && !error) {
		char *argument = a->argv[a->next++];

		if (options_ended || argument[0] != '-' || !argument[1])
			a->argv[a->positionals++] = argument;
		else if (strcmp(argument, "--") == 0)
			options_ended = true;
		else if (argument[1] == '-')
			error = parse_long(a, argument);
		else
			error = parse_letters(a, argument + 1);
	}
	return error;
}

static int visit_count(const struct option_visit *visited, void *context)
{
	(void)visited;
	++*(unsigned *)context;
	return 0;
}

static unsigned count_options(const struct option_group *group)
{
	unsigned count = 0;

	option_walk(group, visit_count, &count);
	return count;
}

static int check_option(const struct arguments *a, const struct option *option, const void *field,
			bool seen, const char *prefix)
{
	char problem[OPTION_PROBLEM_MAX], spelling[OPTION_PATH_MAX];
	const struct option_strings *list = field;

	if (!seen && option->flags & OPTION_REQUIRED)
		snprintf(problem, sizeof(problem), "is required");
	else if (!seen || option->type != OPTION_STRINGS ||
		 option_check_length(option, list->count, problem, sizeof(problem)) == 0)
		return 0;
	snprintf(spelling, sizeof(spelling), "--%s%s", prefix, option->name);
	dash(spelling);
	return option_problem(a->problem, a->problem_size, "%s %s", spelling, problem);
}

/* Whether an option in [@from, @from + @count) of the walk was given. */
static bool any_seen(const struct arguments *a, unsigned from, unsigned count)
{
	for (unsigned i = from; i < from + count; i++) {
		if (a->seen[i])
			return true;
	}
	return false;
}

/* What can be judged only at the end: required options, lengths, validate(). */
static int check_group(const struct arguments *a, const struct option_group *group, char *value,
		       unsigned index, const char *prefix)
{
	int error = 0;

	for (unsigned i = 0; i < group->count && !error; i++) {
		const struct option *option = &group->options[i];
		char path[OPTION_PATH_MAX];
		unsigned count = 1;

		if (option->type == OPTION_STRUCT) {
			count = count_options(option->group);
			snprintf(path, sizeof(path), "%s%s.", prefix, option->name);
			if (option->flags & OPTION_REQUIRED || any_seen(a, index, count))
				error = check_group(a, option->group, value + option->offset, index,
						    path);
		} else {
			error = check_option(a, option, value + option->offset, a->seen[index],
					     prefix);
		}
		index += count;
	}
	if (!error && group->validate)
		error = group->validate(value, a->problem, a->problem_size);
	return error;
}

int option_parse_arguments(const struct option_group *group, void *value, int argc, char **argv,
			   char *problem, size_t problem_size)
{
	struct arguments a = {
		.group = group,
		.value = value,
		.argc = argc,
		.argv = argv,
		.problem = problem,
		.problem_size = problem_size,
	};
	int error;

	a.seen = calloc(count_options(group) + 1, sizeof(*a.seen));
	if (!a.seen)
		return -ENOMEM;
	error = parse_all(&a);
	if (!error)
		error = check_group(&a, group, value, 0, "");
	free(a.seen);
	return error ? error : a.positionals;
}
