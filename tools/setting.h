/*
 * setting.h - a configuration as a flat list of its values, each with its path:
 *
 *	cache.memory            backings[images].s3.endpoint            mount.entries[/].uid
 *
 * Elements of a list are known by their first option (id, path), so that reordering a list is not a
 * change. It is what a reload compares and what finds secrets.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/option.h"

#define SETTING_PATH_MAX 256 /* longer ones are cut; they are for people */
#define SETTING_TEXT_MAX 256

struct setting {
	char path[SETTING_PATH_MAX];
	const struct option *option; /* of a list's element: the OPTION_STRUCTS option */
	const void *holder;	     /* the struct that @option describes a member of; borrowed */
};

struct setting_list {
	struct setting *items;
	unsigned count, room;
};

struct setting_change {
	const char *path;
	const char *old_text, *new_text; /* as a user writes them; secrets as "(secret)" */
	bool live;			 /* false: takes effect at the next start */
};

/**
 * setting_list_make() - every value in @value, in the order of the tables.
 * @value: described by @group; borrowed while the list lives.
 * Return: 0 with @out_list to be released by setting_list_free(), or -ENOMEM.
 */
int setting_list_make(const struct option_group *group, const void *value,
		      struct setting_list *out_list);

/** setting_list_free() - releases a list. */
void setting_list_free(struct setting_list *list);

/** setting_is_secret_set() - whether @setting is a secret and has a value. */
bool setting_is_secret_set(const struct setting *setting);

/**
 * setting_diff() - calls @change for each value that differs between @old and @new.
 * An element that came or went is one change, not one for each value in it.
 * Return: the number of changes, or -ENOMEM.
 */
int setting_diff(const struct option_group *group, const void *old_value, const void *new_value,
		 void (*change)(void *context, const struct setting_change *change), void *context);
