/*
 * config.h - a libconfig file read by option tables. Errors name file, line, setting, what was
 * found and what is accepted; an unknown setting is an error with a suggestion.
 */
#pragma once

#include <stddef.h>

#include "base/option.h"

/**
 * config_load() - reads @path into @out.
 * @out: group->size bytes; on success to be released by option_free(); untouched on failure.
 * @problem: receives "FILE:LINE: setting 'cache.memory': '12 parsecs' is not a size ...".
 * Return: 0; -EINVAL with @problem (syntax, unknown, type, range, missing, validate);
 *         -ENOENT, -EACCES ... with @problem when the file cannot be read; -ENOMEM.
 */
int config_load(const char *path, const struct option_group *group, void *out, char *problem,
		size_t problem_size);

/** config_load_part() - the same for who wants to know a part of it only: settings and groups that
 *  @group does not have are not looked at. */
int config_load_part(const char *path, const struct option_group *group, void *out, char *problem,
		     size_t problem_size);

/** config_load_text() - config_load() from memory; @name stands for the file in messages. */
int config_load_text(const char *text, const char *name, const struct option_group *group,
		     void *out, char *problem, size_t problem_size);
