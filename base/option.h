/*
 * option.h - options as tables. A room describes its configuration struct once; from that table
 * come the config file's parser (config.h), command lines, --help, man pages and shell completion.
 *
 *	struct s3_config { char *endpoint; uint64_t buffer_len; ... };
 *	static const struct option options[] = {
 *		OPTION(struct s3_config, endpoint, OPTION_STRING, .flags = OPTION_REQUIRED,
 *		       .help = "URL of the service, http://host:port or https://host"),
 *		OPTION(struct s3_config, buffer_len, OPTION_BYTES, .default_text = "512 KiB",
 *		       .min = 16384, .max = 10 << 20, .help = "..."),
 *	};
 *	const struct option_group s3_options = OPTION_GROUP_OF("s3", struct s3_config, options);
 *
 * A config struct is filled by option_defaults() and the parsers, owned by the caller, released by
 * option_free(). Strings and lists inside are heap memory of the struct. Tables live for ever.
 *
 * An OPTION_STRUCT that is not given keeps its defaults: its required options are not missed and
 * its validate() does not run. Flag the STRUCT itself OPTION_REQUIRED where it must be there.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/check.h"

enum option_type {
	OPTION_BOOL,	 /* bool; true/false/yes/no/on/off */
	OPTION_INT,	 /* int64_t in [min, max] */
	OPTION_BYTES,	 /* uint64_t; 4096, "64 KiB", "4 GiB", "1 TB"; in [min, max] */
	OPTION_DURATION, /* uint64_t, ns; "200 ms", "30 s", "5 min", "1 h", "0"; [min, max] in ns */
	OPTION_MODE,	 /* uint32_t; an octal file mode, "0644" */
	OPTION_STRING,	 /* char *; NULL when unset and without default */
	OPTION_STRINGS,	 /* struct option_strings; repeated on a command line, a list in a file */
	OPTION_CHOICE,	 /* int; index into choices */
	OPTION_STRUCT,	 /* a nested struct described by group, in place */
	OPTION_STRUCTS,	 /* struct option_structs of elements described by group; files only */
};

enum option_flags {
	OPTION_REQUIRED = 1, /* must be given */
	OPTION_LIVE = 2,     /* may change at SIGHUP */
	OPTION_SECRET = 4,   /* its value is never printed */
};

struct option_strings {
	char **items;
	unsigned count;
};

struct option_structs {
	void *items; /* count * group->size bytes */
	unsigned count;
};

struct option_group;

struct option {
	const char *name; /* as in the file: lower case, underscores; dashes on a command line */
	enum option_type type;
	size_t offset;
	const char *default_text; /* parsed like input; NULL: zero or NULL */
	int64_t min,
		max; /* both 0: no bound; max < min: min alone; of texts and lists: the length */
	const char *const *choices; /* NULL-ended */
	const struct option_group *group;
	unsigned flags;
	char letter;	      /* short form on a command line, 0: none */
	const char *argument; /* placeholder in help: "URL", "DIR"; NULL: by type */
	const char *help;     /* one or two sentences */
};

struct option_group {
	const char *name;
	size_t size;
	const struct option *options;
	unsigned count;
	/* NULL, or a check of the whole: 0, or -EINVAL with @problem filled in. */
	int (*validate)(const void *value, char *problem, size_t problem_size);
};

#define OPTION(struct_type, field, option_type, ...)                                               \
	{                                                                                          \
		.name = #field, .type = (option_type), .offset = offsetof(struct_type, field),     \
		__VA_ARGS__                                                                        \
	}
#define OPTION_GROUP_OF(group_name, struct_type, table)                                            \
	{                                                                                          \
		.name = (group_name), .size = sizeof(struct_type), .options = (table),             \
		.count = ARRAY_COUNT(table)                                                        \
	}

#define OPTION_PATH_MAX	   128 /* "mount.entries[12].s3.endpoint" and its NUL */
#define OPTION_PROBLEM_MAX 512 /* a buffer of this size holds every problem text */

/** option_defaults() - zeroes @value and fills in every default. Return: 0 or -ENOMEM. */
int option_defaults(const struct option_group *group, void *value);

/** option_free() - releases what the parsers put into @value and zeroes it. */
void option_free(const struct option_group *group, void *value);

/**
 * option_set_text() - parses @text into one option of @value (not for STRUCT and STRUCTS). A text
 * of an OPTION_STRINGS is added to the list.
 * @value: the struct that holds the option, not its field; untouched on failure.
 * @problem: receives what is wrong and what is accepted: "'5 parsecs' is not a duration: a number
 *           with ns, us, ms, s, min, h or d".
 * Return: 0, -EINVAL with @problem, -ENOMEM.
 */
int option_set_text(const struct option *option, void *value, const char *text, char *problem,
		    size_t problem_size);

/** option_check_length() - a list's @length against its bounds. Return: 0, -EINVAL with @problem.
 */
int option_check_length(const struct option *option, unsigned length, char *problem,
			size_t problem_size);

/**
 * option_parse_arguments() - a command line: --name=value, --name value, --flag, --no-flag, -x,
 * -xvalue, -x value, -abc of flags, "--" ends options. Nested options are --group.name. The last of
 * several wins, but a list takes all of them, in place of its default.
 * @value: filled by option_defaults(); may be half changed on failure, to be freed either way.
 * @argc, @argv: without the program's name: main()'s argc - 1 and argv + 1. Positional arguments
 *               are moved to the front of @argv, what follows them is undefined.
 * Return: the number of positional arguments; -EINVAL with @problem ("unknown option --forse;
 *         did you mean --force?"); -ENOMEM.
 */
int option_parse_arguments(const struct option_group *group, void *value, int argc, char **argv,
			   char *problem, size_t problem_size);

/** option_print_help() - the "Options:" part of --help, wrapped at 80 columns. */
void option_print_help(const struct option_group *group, FILE *out);

/** option_print_man() - the command line as roff: a .TP paragraph an option. */
void option_print_man(const struct option_group *group, FILE *out);

/**
 * option_print_man_settings() - the same options as settings of a file, as roff; nested groups are
 * sub-sections with the path of names, "mount.entries[].s3".
 */
void option_print_man_settings(const struct option_group *group, FILE *out);

/** option_print_completion() - the words that bash may complete, one a line: --config, -c. */
void option_print_completion(const struct option_group *group, FILE *out);

/** option_type_text() - "size", "duration", "true or false", "one of a, b": for help and errors. */
void option_type_text(const struct option *option, char *out, size_t out_size);

/** option_value_text() - a value as a user would write it; "(secret)" for OPTION_SECRET ones. */
void option_value_text(const struct option *option, const void *value, char *out, size_t out_size);

/** option_problem() - formats @problem. Return: -EINVAL, always, to be returned in one line. */
int option_problem(char *problem, size_t problem_size, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/** option_find() - the option of that name, of this group itself. Return: NULL when there is none.
 */
const struct option *option_find(const struct option_group *group, const char *name);

/* One option met on a walk. */
struct option_visit {
	const char *path; /* "s3.endpoint"; borrowed for the call */
	const struct option *option;
	size_t offset;	/* of its field in the outermost struct */
	unsigned index; /* 0, 1, 2 ... in the order of the walk */
};

/**
 * option_walk() - visits every option in the tables' order, those of nested STRUCTs in their
 * place (the STRUCT itself is not visited; a STRUCTS is, its elements are not).
 * @visit: another value than 0 ends the walk.
 * Return: what the last @visit returned, 0 when all were visited.
 */
int option_walk(const struct option_group *group,
		int (*visit)(const struct option_visit *visited, void *context), void *context);

/** option_equal() - whether two structs agree in one option; lists by content, in order. */
bool option_equal(const struct option *option, const void *a, const void *b);
