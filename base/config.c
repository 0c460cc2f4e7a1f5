/*
 * config.c - walks libconfig's tree by the option tables. What fails names the file, the line, the
 * setting's path and what would be right.
 */
#include "base/config.h"

#include <errno.h>
#include <libconfig.h>
#include <stdlib.h>
#include <string.h>

#include "base/config_text.h"
#include "base/suggest.h"

/* One load: where messages go and where lines come from. */
struct load {
	const struct config_text *text;
	bool part; /* what the tables do not have is somebody else's */
	char *problem;
	size_t problem_size;
};

/* A setting with the names that lead to it. */
struct place {
	config_setting_t *setting;
	char path[OPTION_PATH_MAX];
};

static int load_group(const struct load *load, const struct place *place,
		      const struct option_group *group, void *value);

static int refuse(const struct load *load, const struct place *place, const char *what)
{
	const char *file;
	unsigned line = config_setting_source_line(place->setting);
	unsigned file_line = config_text_origin(load->text, line, &file);

	if (!place->path[0])
		return option_problem(load->problem, load->problem_size, "%s: %s", file, what);
	return option_problem(
		load->problem, load->problem_size, "%s:%u: %s '%s': %s", file, file_line,
		config_setting_is_group(place->setting) ? "group" : "setting", place->path, what);
}

/* Names come from the file and may be of any length: a path too long ends in "...". */
static void mark_cut(struct place *place, int len)
{
	if (len < 0 || (size_t)len >= sizeof(place->path))
		memcpy(place->path + sizeof(place->path) - 4, "...", 4);
}

static void name_member(struct place *place, const struct place *parent, const char *name)
{
	mark_cut(place, snprintf(place->path, sizeof(place->path), "%s%s%s", parent->path,
				 parent->path[0] ? "." : "", name));
}

static void name_element(struct place *place, const struct place *parent, unsigned index)
{
	mark_cut(place, snprintf(place->path, sizeof(place->path), "%s[%u]", parent->path, index));
	place->setting = config_setting_get_elem(parent->setting, index);
}

static const char *type_name(const config_setting_t *setting)
{
	switch (config_setting_type(setting)) {
	case CONFIG_TYPE_GROUP:
		return "a group { ... }";
	case CONFIG_TYPE_LIST:
		return "a list ( ... )";
	case CONFIG_TYPE_ARRAY:
		return "an array [ ... ]";
	case CONFIG_TYPE_INT:
	case CONFIG_TYPE_INT64:
		return "a whole number";
	case CONFIG_TYPE_FLOAT:
		return "a decimal number";
	case CONFIG_TYPE_BOOL:
		return "true or false";
	case CONFIG_TYPE_STRING:
		return "a text";
	default:
		return "nothing";
	}
}

static int refuse_type(const struct load *load, const struct place *place,
		       const struct option *option)
{
	char type[256], what[OPTION_PROBLEM_MAX];

	option_type_text(option, type, sizeof(type));
	snprintf(what, sizeof(what), "is %s; accepted: %s", type_name(place->setting), type);
	return refuse(load, place, what);
}

static int set_text(const struct load *load, const struct place *place, const struct option *option,
		    void *value, const char *text)
{
	char what[OPTION_PROBLEM_MAX];
	int error = option_set_text(option, value, text, what, sizeof(what));

	return error == -EINVAL ? refuse(load, place, what) : error;
}

/* Numbers without quotes; the text parsers check range and unit. */
static int load_integer(const struct load *load, const struct place *place,
			const struct option *option, void *value)
{
	char text[32];

	if (option->type == OPTION_MODE)
		return refuse(load, place,
			      "is a number, which libconfig reads as a decimal one; write "
			      "the octal mode in quotes: \"0644\"");
	if (option->type != OPTION_INT && option->type != OPTION_BYTES &&
	    option->type != OPTION_DURATION)
		return refuse_type(load, place, option);
	snprintf(text, sizeof(text), "%lld", config_setting_get_int64(place->setting));
	return set_text(load, place, option, value, text);
}

static int load_scalar(const struct load *load, const struct place *place,
		       const struct option *option, void *value)
{
	switch (config_setting_type(place->setting)) {
	case CONFIG_TYPE_STRING:
		return set_text(load, place, option, value,
				config_setting_get_string(place->setting));
	case CONFIG_TYPE_INT:
	case CONFIG_TYPE_INT64:
		return load_integer(load, place, option, value);
	case CONFIG_TYPE_BOOL:
		if (option->type == OPTION_BOOL)
			return set_text(load, place, option, value,
					config_setting_get_bool(place->setting) ? "true" : "false");
		break;
	default:
		break;
	}
	return refuse_type(load, place, option);
}

static int check_length(const struct load *load, const struct place *place,
			const struct option *option, unsigned length)
{
	char what[OPTION_PROBLEM_MAX];

	if (option_check_length(option, length, what, sizeof(what)))
		return refuse(load, place, what);
	return 0;
}

static unsigned setting_length(const struct place *place)
{
	return (unsigned)config_setting_length(place->setting);
}

static void drop_strings(struct option_strings *strings)
{
	for (unsigned i = 0; i < strings->count; i++)
		free(strings->items[i]);
	free(strings->items);
	*strings = (struct option_strings){ 0 };
}

static int load_strings(const struct load *load, const struct place *place,
			const struct option *option, void *value)
{
	struct option_strings *strings = (void *)((char *)value + option->offset);
	bool single = config_setting_type(place->setting) == CONFIG_TYPE_STRING;
	unsigned length = single ? 1 : setting_length(place);
	int error;

	if (!single && !config_setting_is_list(place->setting) &&
	    !config_setting_is_array(place->setting))
		return refuse_type(load, place, option);
	error = check_length(load, place, option, length);
	if (error)
		return error;
	drop_strings(strings); /* the default */
	if (single)
		return load_scalar(load, place, option, value);
	for (unsigned i = 0; i < length && !error; i++) {
		struct place element;

		name_element(&element, place, i);
		error = load_scalar(load, &element, option, value);
	}
	return error;
}

static int load_element(const struct load *load, const struct place *place,
			const struct option_group *group, struct option_structs *structs)
{
	void *item = (char *)structs->items + structs->count * group->size;
	struct place element;
	int error;

	name_element(&element, place, structs->count);
	if (!config_setting_is_group(element.setting)) {
		char what[128];

		snprintf(what, sizeof(what), "is %s; accepted: a group { ... }",
			 type_name(element.setting));
		return refuse(load, &element, what);
	}
	error = option_defaults(group, item);
	if (error)
		return error;
	structs->count++; /* from here option_free() sees it */
	return load_group(load, &element, group, item);
}

static int load_structs(const struct load *load, const struct place *place,
			const struct option *option, void *value)
{
	struct option_structs *structs = (void *)((char *)value + option->offset);
	unsigned length;
	int error;

	if (!config_setting_is_list(place->setting))
		return refuse_type(load, place, option);
	length = setting_length(place);
	error = check_length(load, place, option, length);
	if (error || !length)
		return error;
	structs->items = calloc(length, option->group->size);
	if (!structs->items)
		return -ENOMEM;
	for (unsigned i = 0; i < length && !error; i++)
		error = load_element(load, place, option->group, structs);
	return error;
}

static int load_option(const struct load *load, const struct place *place,
		       const struct option *option, void *value)
{
	switch (option->type) {
	case OPTION_STRUCT:
		if (!config_setting_is_group(place->setting))
			return refuse_type(load, place, option);
		return load_group(load, place, option->group, (char *)value + option->offset);
	case OPTION_STRUCTS:
		return load_structs(load, place, option, value);
	case OPTION_STRINGS:
		return load_strings(load, place, option, value);
	case OPTION_BOOL:
	case OPTION_INT:
	case OPTION_BYTES:
	case OPTION_DURATION:
	case OPTION_MODE:
	case OPTION_STRING:
	case OPTION_CHOICE:
		break;
	}
	return load_scalar(load, place, option, value);
}

static int refuse_unknown(const struct load *load, const struct place *place,
			  const struct option_group *group)
{
	const char *name = config_setting_name(place->setting);
	char what[OPTION_PROBLEM_MAX];
	struct suggestion suggestion;

	suggestion_init(&suggestion, name, "");
	for (unsigned i = 0; i < group->count; i++)
		suggestion_offer(&suggestion, group->options[i].name);
	snprintf(what, sizeof(what), "unknown%s", suggestion_text(&suggestion));
	return refuse(load, place, what);
}

static int check_required(const struct load *load, const struct place *place,
			  const struct option_group *group)
{
	char type[256], what[OPTION_PROBLEM_MAX];

	for (unsigned i = 0; i < group->count; i++) {
		const struct option *option = &group->options[i];

		if (!(option->flags & OPTION_REQUIRED) ||
		    config_setting_get_member(place->setting, option->name))
			continue;
		option_type_text(option, type, sizeof(type));
		snprintf(what, sizeof(what), "setting '%s' is missing: %s", option->name, type);
		return refuse(load, place, what);
	}
	return 0;
}

static int load_members(const struct load *load, const struct place *place,
			const struct option_group *group, void *value)
{
	unsigned length = setting_length(place);
	int error = 0;

	for (unsigned i = 0; i < length && !error; i++) {
		struct place member = { .setting = config_setting_get_elem(place->setting, i) };
		const char *name = config_setting_name(member.setting);
		const struct option *option = option_find(group, name);

		name_member(&member, place, name);
		if (option)
			error = load_option(load, &member, option, value);
		else if (!load->part)
			error = refuse_unknown(load, &member, group);
	}
	return error;
}

static int load_group(const struct load *load, const struct place *place,
		      const struct option_group *group, void *value)
{
	char what[OPTION_PROBLEM_MAX] = "";
	int error = load_members(load, place, group, value);

	if (!error)
		error = check_required(load, place, group);
	if (error || !group->validate)
		return error;
	error = group->validate(value, what, sizeof(what));
	return error == -EINVAL ? refuse(load, place, what) : error;
}

static int refuse_syntax(const struct load *load, const config_t *config)
{
	const char *what = config_error_text(config);
	const char *file;
	unsigned line = (unsigned)config_error_line(config);
	bool unspecific = strcmp(what, "syntax error") == 0;

	/* what is missed at the end is missed on the last line, not on the one after it */
	if (line >= load->text->line && load->text->line > 1)
		line = load->text->line - 1;
	line = config_text_origin(load->text, line, &file);
	return option_problem(load->problem, load->problem_size, "%s:%u: %s%s", file, line, what,
			      unspecific ? " here or just before; texts, sizes and durations stand "
					   "in double quotes"
					 : "");
}

/* Into a struct of our own, so that @out is written only when all is well. */
static int load_tree(const struct load *load, const config_t *config,
		     const struct option_group *group, void *out)
{
	struct place root = { .setting = config_root_setting(config) };
	void *value = malloc(group->size);
	int error;

	if (!value)
		return -ENOMEM;
	error = option_defaults(group, value);
	if (!error)
		error = load_group(load, &root, group, value);
	if (error)
		option_free(group, value);
	else
		memcpy(out, value, group->size);
	free(value);
	return error;
}

static int load_parsed(const struct config_text *text, bool part, const struct option_group *group,
		       void *out, char *problem, size_t problem_size)
{
	const struct load load = { text, part, problem, problem_size };
	config_t config;
	int error;

	config_init(&config);
	/* config_text has carried out every @include; should one be left, it must not open a file
	 */
	config_set_include_dir(&config, "/dev/null");
	if (config_read_string(&config, text->text))
		error = load_tree(&load, &config, group, out);
	else
		error = refuse_syntax(&load, &config);
	config_destroy(&config);
	return error;
}

static int load_file(const char *path, bool part, const struct option_group *group, void *out,
		     char *problem, size_t problem_size)
{
	struct config_text text;
	int error = config_text_read(&text, path, problem, problem_size);

	if (error)
		return error;
	error = load_parsed(&text, part, group, out, problem, problem_size);
	config_text_free(&text);
	return error;
}

int config_load(const char *path, const struct option_group *group, void *out, char *problem,
		size_t problem_size)
{
	return load_file(path, false, group, out, problem, problem_size);
}

int config_load_part(const char *path, const struct option_group *group, void *out, char *problem,
		     size_t problem_size)
{
	return load_file(path, true, group, out, problem, problem_size);
}

int config_load_text(const char *text, const char *name, const struct option_group *group,
		     void *out, char *problem, size_t problem_size)
{
	struct config_text expanded;
	int error = config_text_take(&expanded, text, name, problem, problem_size);

	if (error)
		return error;
	error = load_parsed(&expanded, false, group, out, problem, problem_size);
	config_text_free(&expanded);
	return error;
}
