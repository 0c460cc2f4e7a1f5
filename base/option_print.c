/*
 * option_print.c - option tables as --help, man pages and completion words.
 */
#include "base/option.h"

#include <string.h>

#define HELP_WIDTH  80
#define HELP_COLUMN 30 /* where the explanations start */

/* A table's path as on a command line. */
static void dashed(const char *path, char out[OPTION_PATH_MAX])
{
	snprintf(out, OPTION_PATH_MAX, "%s", path);
	for (; *out; out++) {
		if (*out == '_')
			*out = '-';
	}
}

static const char *placeholder(const struct option *option)
{
	if (option->argument)
		return option->argument;
	switch (option->type) {
	case OPTION_INT:
		return "N";
	case OPTION_BYTES:
		return "SIZE";
	case OPTION_DURATION:
		return "TIME";
	case OPTION_MODE:
		return "MODE";
	case OPTION_CHOICE:
		return "WORD";
	case OPTION_BOOL:
	case OPTION_STRING:
	case OPTION_STRINGS:
	case OPTION_STRUCT:
	case OPTION_STRUCTS:
		break;
	}
	return "TEXT";
}

/* A flag that is on already can only be put off: both forms are shown. */
static bool is_on(const struct option *option)
{
	const char *initial = option->default_text;

	return option->type == OPTION_BOOL && initial &&
	       (strcmp(initial, "true") == 0 || strcmp(initial, "yes") == 0 ||
		strcmp(initial, "on") == 0);
}

static bool shows_default(const struct option *option)
{
	return option->default_text && option->default_text[0] && option->type != OPTION_BOOL &&
	       !(option->flags & OPTION_SECRET);
}

/* Writes @text from @column on, broken at blanks so that no line passes HELP_WIDTH. */
static void print_wrapped(FILE *out, const char *text, size_t column)
{
	const char *word = text + strspn(text, " \n");

	while (*word) {
		size_t len = strcspn(word, " \n");

		if (column > HELP_COLUMN && column + 1 + len > HELP_WIDTH) {
			fprintf(out, "\n%*s", HELP_COLUMN, "");
			column = HELP_COLUMN;
		} else if (column > HELP_COLUMN) {
			fputc(' ', out);
			column++;
		}
		fprintf(out, "%.*s", (int)len, word);
		column += len;
		word += len + strspn(word + len, " \n");
	}
	fputc('\n', out);
}

/* help, then in brackets what the table knows besides */
static void help_text(const struct option *option, char *out, size_t out_size)
{
	char type[256] = "", initial[128] = "";
	bool choice = option->type == OPTION_CHOICE;

	if (choice)
		option_type_text(option, type, sizeof(type));
	if (shows_default(option))
		snprintf(initial, sizeof(initial), "default: %s", option->default_text);
	else if (option->flags & OPTION_REQUIRED)
		snprintf(initial, sizeof(initial), "required");
	if (!type[0] && !initial[0])
		snprintf(out, out_size, "%s", option->help ? option->help : "");
	else
		snprintf(out, out_size, "%s (%s%s%s)", option->help ? option->help : "", type,
			 type[0] && initial[0] ? "; " : "", initial);
}

static int visit_help(const struct option_visit *visited, void *context)
{
	const struct option *option = visited->option;
	char name[OPTION_PATH_MAX], letter[8] = "    ", left[2 * OPTION_PATH_MAX], text[1024];
	FILE *out = context;
	size_t column;

	if (option->type == OPTION_STRUCTS)
		return 0;
	dashed(visited->path, name);
	if (option->letter)
		snprintf(letter, sizeof(letter), "-%c, ", option->letter);
	if (option->type == OPTION_BOOL)
		snprintf(left, sizeof(left), "  %s--%s%s", letter, is_on(option) ? "[no-]" : "",
			 name);
	else
		snprintf(left, sizeof(left), "  %s--%s=%s", letter, name, placeholder(option));
	column = strlen(left);
	if (column + 2 > HELP_COLUMN)
		fprintf(out, "%s\n%*s", left, HELP_COLUMN, "");
	else
		fprintf(out, "%-*s", HELP_COLUMN, left);
	help_text(option, text, sizeof(text));
	print_wrapped(out, text, HELP_COLUMN);
	return 0;
}

void option_print_help(const struct option_group *group, FILE *out)
{
	fputs("Options:\n", out);
	option_walk(group, visit_help, out);
}

/*
 * @text as roff's running text: a backslash is written \e, a hyphen \- (else it would be printed
 * as a typographic one, which cannot be copied to a shell), a . or ' that starts a line is no
 * request.
 */
static void print_roff(FILE *out, const char *text, bool line_starts)
{
	for (; *text; text++) {
		if (line_starts && (*text == '.' || *text == '\''))
			fputs("\\&", out);
		if (*text == '\\')
			fputs("\\e", out);
		else if (*text == '-')
			fputs("\\-", out);
		else
			fputc(*text, out);
		line_starts = *text == '\n';
	}
}

/* Ends a sentence that the table's author may have left open. */
static void print_sentence(FILE *out, const char *text)
{
	size_t len = strlen(text);

	if (!len)
		return;
	print_roff(out, text, true);
	fputs(strchr(".!?:", text[len - 1]) ? "\n" : ".\n", out);
}

/* What follows the help in either man page. */
static void print_facts(FILE *out, const struct option *option)
{
	if (shows_default(option)) {
		fputs("Default: ", out);
		print_roff(out, option->default_text, false);
		fputs(".\n", out);
	} else if (is_on(option)) {
		fputs("Default: true.\n", out);
	}
	if (option->flags & OPTION_REQUIRED)
		fputs("Required.\n", out);
}

static void print_type(FILE *out, const struct option *option)
{
	char type[256];

	option_type_text(option, type, sizeof(type));
	print_roff(out, type, false);
}

static int visit_man(const struct option_visit *visited, void *context)
{
	const struct option *option = visited->option;
	char name[OPTION_PATH_MAX];
	FILE *out = context;

	if (option->type == OPTION_STRUCTS)
		return 0;
	dashed(visited->path, name);
	fputs(".TP\n", out);
	if (option->letter)
		fprintf(out, "\\fB\\-%c\\fR, ", option->letter);
	fputs(is_on(option) ? "\\fB\\-\\-[no\\-]" : "\\fB\\-\\-", out);
	print_roff(out, name, false);
	fputs("\\fR", out);
	if (option->type != OPTION_BOOL) {
		fputs("=\\fI", out);
		print_roff(out, placeholder(option), false);
		fputs("\\fR", out);
	}
	fputc('\n', out);
	print_sentence(out, option->help ? option->help : "");
	if (option->type != OPTION_BOOL && option->type != OPTION_STRING) {
		fputs("A value is: ", out);
		print_type(out, option);
		fputs(".\n", out);
	}
	print_facts(out, option);
	return 0;
}

void option_print_man(const struct option_group *group, FILE *out)
{
	option_walk(group, visit_man, out);
}

static void print_setting(FILE *out, const struct option *option)
{
	fputs(".TP\n\\fB", out);
	print_roff(out, option->name, false);
	fputs("\\fR = \\fI", out);
	print_type(out, option);
	fputs("\\fR\n", out);
	print_sentence(out, option->help ? option->help : "");
	print_facts(out, option);
	if (option->flags & OPTION_LIVE)
		fputs("May change at SIGHUP, without a restart.\n", out);
}

static bool has_group(const struct option *option)
{
	return option->type == OPTION_STRUCT || option->type == OPTION_STRUCTS;
}

static void print_settings(const struct option_group *group, const char *prefix, FILE *out)
{
	char path[OPTION_PATH_MAX];

	for (unsigned i = 0; i < group->count; i++)
		print_setting(out, &group->options[i]);
	for (unsigned i = 0; i < group->count; i++) {
		const struct option *option = &group->options[i];

		if (!has_group(option))
			continue;
		snprintf(path, sizeof(path), "%s%s%s%s", prefix, *prefix ? "." : "", option->name,
			 option->type == OPTION_STRUCTS ? "[]" : "");
		fputs(".SS ", out);
		print_roff(out, path, false);
		fputc('\n', out);
		print_settings(option->group, path, out);
	}
}

void option_print_man_settings(const struct option_group *group, FILE *out)
{
	print_settings(group, "", out);
}

static int visit_completion(const struct option_visit *visited, void *context)
{
	char name[OPTION_PATH_MAX];
	FILE *out = context;

	if (visited->option->type == OPTION_STRUCTS)
		return 0;
	dashed(visited->path, name);
	fprintf(out, "--%s\n", name);
	if (is_on(visited->option))
		fprintf(out, "--no-%s\n", name);
	if (visited->option->letter)
		fprintf(out, "-%c\n", visited->option->letter);
	return 0;
}

void option_print_completion(const struct option_group *group, FILE *out)
{
	option_walk(group, visit_completion, out);
}
