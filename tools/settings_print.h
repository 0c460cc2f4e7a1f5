/*
 * settings_print.h - a configuration as a file that would give it: every setting with its value,
 * defaults too. What is not set, and every secret, is a comment; so the output parses again.
 */
#pragma once

#include <stdio.h>

#include "base/option.h"

/** settings_print() - @value, described by @group, as libconfig text. */
void settings_print(const struct option_group *group, const void *value, FILE *out);
