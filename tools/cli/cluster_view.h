/*
 * cluster_view.h - what all members said of themselves, for people.
 */
#pragma once

#include <jansson.h>

#include "tools/terminal.h"

/** cluster_view_print() - @status: as tools/daemon/cluster_status.h has it. @before: an earlier
 * one, for rates; or NULL. */
void cluster_view_print(const json_t *status, const json_t *before,
			const struct terminal *terminal);
