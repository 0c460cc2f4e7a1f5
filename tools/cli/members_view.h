/*
 * members_view.h - the members of a cluster for people.
 */
#pragma once

#include <jansson.h>

#include "tools/terminal.h"

/** members_view_print() - @members: an array as the daemon answers. */
void members_view_print(const char *cluster, const json_t *members,
			const struct terminal *terminal);
