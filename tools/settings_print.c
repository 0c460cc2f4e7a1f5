/*
 * settings_print.c - walks the option tables and writes libconfig.
 */
#include "tools/settings_print.h"

#include <string.h>

#define INDENT_MAX 8

static void indent(unsigned depth, FILE *out)
{
	fprintf(out, "%.*s", (int)(depth < INDENT_MAX ? depth : INDENT_MAX), "\t\t\t\t\t\t\t\t");
}

static void quoted_print(const char *text, FILE *out)
{
	fputc('"', out);
	for (; *text; text++) {
		unsigned char byte = (unsigned char)*text;

		if (byte == '"' || byte == '\\')
			fprintf(out, "\\%c", byte);
		else if (byte < 0x20 || byte == 0x7f)
			fprintf(out, "\\x%02x", byte);
		else
			fputc(byte, out);
	}
	fputc('"', out);
}

static void strings_print(const struct option_strings *strings, FILE *out)
{
	fputs("[ ", out);
	for (unsigned i = 0; i < strings->count; i++) {
		quoted_print(strings->items[i], out);
		fputs(i + 1 < strings->count ? ", " : " ", out);
	}
	fputc(']', out);
}

static void value_print(const struct option *option, const void *value, FILE *out)
{
	const void *field = (const char *)value + option->offset;
	char text[OPTION_PROBLEM_MAX];

	if (option->type == OPTION_STRING) {
		quoted_print(*(char *const *)field, out);
		return;
	}
	if (option->type == OPTION_STRINGS) {
		strings_print(field, out);
		return;
	}
	option_value_text(option, value, text, sizeof(text));
	if (option->type == OPTION_BOOL || option->type == OPTION_INT)
		fputs(text, out);
	else
		quoted_print(text, out);
}

static void group_print(const struct option_group *group, const void *value, unsigned depth,
			FILE *out);

static void structs_print(const struct option *option, const struct option_structs *structs,
			  unsigned depth, FILE *out)
{
	fprintf(out, "%s = (", option->name);
	for (unsigned i = 0; i < structs->count; i++) {
		fputs(i > 0 ? ", {\n" : " {\n", out);
		group_print(option->group, (const char *)structs->items + i * option->group->size,
			    depth + 1, out);
		indent(depth, out);
		fputs("}", out);
	}
	fputs(structs->count > 0 ? " );\n" : ");\n", out);
}

static void option_print(const struct option *option, const void *value, unsigned depth, FILE *out)
{
	const void *field = (const char *)value + option->offset;

	indent(depth, out);
	if (option->type == OPTION_STRUCT) {
		fprintf(out, "%s = {\n", option->name);
		group_print(option->group, field, depth + 1, out);
		indent(depth, out);
		fputs("};\n", out);
	} else if (option->type == OPTION_STRUCTS) {
		structs_print(option, field, depth, out);
	} else if (option->type == OPTION_STRING && !*(char *const *)field) {
		fprintf(out, "# %s is not set\n", option->name);
	} else if (option->flags & OPTION_SECRET) {
		fprintf(out, "# %s is set (secret)\n", option->name);
	} else {
		fprintf(out, "%s = ", option->name);
		value_print(option, value, out);
		fputs(";\n", out);
	}
}

static void group_print(const struct option_group *group, const void *value, unsigned depth,
			FILE *out)
{
	for (unsigned i = 0; i < group->count; i++)
		option_print(&group->options[i], value, depth, out);
}

void settings_print(const struct option_group *group, const void *value, FILE *out)
{
	group_print(group, value, 0, out);
}
