/*
 * locate_view.h - where the bytes of a file are, for people.
 */
#pragma once

#include <jansson.h>

#include "tools/terminal.h"

/** locate_view_print() - @result: of a task "locate", as the daemon answers. */
void locate_view_print(const json_t *result, const struct terminal *terminal);
