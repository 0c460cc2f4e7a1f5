/*
 * setting.c - walking option tables: flattening a configuration and comparing two of them.
 */
#include "tools/setting.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int list_append(struct setting_list *list, const char *path, const struct option *option,
		       const void *holder)
{
	struct setting *setting;

	if (list->count == list->room) {
		unsigned room = list->room ? 2 * list->room : 64;
		struct setting *items = reallocarray(list->items, room, sizeof(*items));

		if (!items)
			return -ENOMEM;
		list->items = items;
		list->room = room;
	}
	setting = &list->items[list->count++];
	snprintf(setting->path, sizeof(setting->path), "%s", path);
	setting->option = option;
	setting->holder = holder;
	return 0;
}

/* What an element is called: its first option when that is a string, its index otherwise. */
static void element_name(const struct option_group *group, const void *element, unsigned index,
			 char *out, size_t out_size)
{
	const struct option *key = &group->options[0];
	const char *text = NULL;

	if (key->type == OPTION_STRING)
		memcpy(&text, (const char *)element + key->offset, sizeof(text));
	if (text)
		snprintf(out, out_size, "%s", text);
	else
		snprintf(out, out_size, "%u", index);
}

static int group_append(struct setting_list *list, const char *prefix,
			const struct option_group *group, const void *value);

static int elements_append(struct setting_list *list, const char *path, const struct option *option,
			   const void *holder)
{
	const struct option_structs *structs =
		(const void *)((const char *)holder + option->offset);
	int error = 0;

	for (unsigned i = 0; i < structs->count && !error; i++) {
		const char *element = (const char *)structs->items + i * option->group->size;
		char name[96], element_path[SETTING_PATH_MAX];

		element_name(option->group, element, i, name, sizeof(name));
		snprintf(element_path, sizeof(element_path), "%.150s[%s]", path, name);
		error = list_append(list, element_path, option, holder);
		if (!error)
			error = group_append(list, element_path, option->group, element);
	}
	return error;
}

static int group_append(struct setting_list *list, const char *prefix,
			const struct option_group *group, const void *value)
{
	int error = 0;

	for (unsigned i = 0; i < group->count && !error; i++) {
		const struct option *option = &group->options[i];
		char path[SETTING_PATH_MAX];

		snprintf(path, sizeof(path), "%.200s%s%.54s", prefix, *prefix ? "." : "",
			 option->name);
		if (option->type == OPTION_STRUCT)
			error = group_append(list, path, option->group,
					     (const char *)value + option->offset);
		else if (option->type == OPTION_STRUCTS)
			error = elements_append(list, path, option, value);
		else
			error = list_append(list, path, option, value);
	}
	return error;
}

int setting_list_make(const struct option_group *group, const void *value,
		      struct setting_list *out_list)
{
	struct setting_list list = { 0 };
	int error = group_append(&list, "", group, value);

	if (error) {
		setting_list_free(&list);
		return error;
	}
	*out_list = list;
	return 0;
}

void setting_list_free(struct setting_list *list)
{
	free(list->items);
	*list = (struct setting_list){ 0 };
}

bool setting_is_secret_set(const struct setting *setting)
{
	const char *text;

	if (!(setting->option->flags & OPTION_SECRET) || setting->option->type != OPTION_STRING)
		return false;
	memcpy(&text, (const char *)setting->holder + setting->option->offset, sizeof(text));
	return text && *text;
}

/* By value and not by printed text: two secrets print alike. The values inside a list's elements
 * are settings of their own. */
static bool setting_equal(const struct setting *a, const struct setting *b)
{
	return a->option->type == OPTION_STRUCTS || option_equal(a->option, a->holder, b->holder);
}

static const struct setting *list_find(const struct setting_list *list, const char *path)
{
	for (unsigned i = 0; i < list->count; i++)
		if (strcmp(list->items[i].path, path) == 0)
			return &list->items[i];
	return NULL;
}

/* The text of a value; "" of one that is not there. */
static void setting_text(const struct setting *setting, char out[SETTING_TEXT_MAX])
{
	out[0] = '\0';
	if (setting && setting->option->type == OPTION_STRUCTS)
		snprintf(out, SETTING_TEXT_MAX, "present");
	else if (setting)
		option_value_text(setting->option, setting->holder, out, SETTING_TEXT_MAX);
	else
		snprintf(out, SETTING_TEXT_MAX, "absent");
}

static bool path_is_inside(const char *path, const char *element)
{
	size_t len = strlen(element);

	return len > 0 && strncmp(path, element, len) == 0 && path[len] == '.';
}

struct diff {
	void (*change)(void *context, const struct setting_change *change);
	void *context;
	int count;
};

/* @old or @new may be NULL: an element that was not there before, or is not any more. */
static void diff_report(struct diff *diff, const struct setting *either, const struct setting *old,
			const struct setting *new)
{
	char old_text[SETTING_TEXT_MAX], new_text[SETTING_TEXT_MAX];
	struct setting_change change = {
		.path = either->path,
		.old_text = old_text,
		.new_text = new_text,
		.live = old && new && (either->option->flags & OPTION_LIVE),
	};

	setting_text(old, old_text);
	setting_text(new, new_text);
	diff->count++;
	diff->change(diff->context, &change);
}

/* What is in @from and differs in, or is missing from, @other. */
static void diff_lists(struct diff *diff, const struct setting_list *from,
		       const struct setting_list *other, bool from_is_old)
{
	const char *missing = ""; /* the element reported as a whole */

	for (unsigned i = 0; i < from->count; i++) {
		const struct setting *here = &from->items[i];
		const struct setting *there;

		if (path_is_inside(here->path, missing))
			continue;
		there = list_find(other, here->path);
		if (!there) {
			missing = here->path;
			diff_report(diff, here, from_is_old ? here : NULL,
				    from_is_old ? NULL : here);
		} else if (from_is_old && !setting_equal(here, there)) {
			diff_report(diff, here, here, there);
		}
	}
}

int setting_diff(const struct option_group *group, const void *old_value, const void *new_value,
		 void (*change)(void *context, const struct setting_change *change), void *context)
{
	struct diff diff = { .change = change, .context = context };
	struct setting_list old_list, new_list;
	int error;

	error = setting_list_make(group, old_value, &old_list);
	if (error)
		return error;
	error = setting_list_make(group, new_value, &new_list);
	if (error)
		goto free_old;
	diff_lists(&diff, &old_list, &new_list, true);
	diff_lists(&diff, &new_list, &old_list, false);
	setting_list_free(&new_list);
free_old:
	setting_list_free(&old_list);
	return error ? error : diff.count;
}
