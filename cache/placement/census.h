/*
 * census.h - fills a table of many members from nothing. To look at every member for every slot
 * takes seconds for a thousand of them; a member that starts again would read from nobody
 * meanwhile.
 */
#pragma once

#include "cache/placement/table.h"

#define CENSUS_MEMBERS_MIN 64 /* below, looking at all is as quick */

/**
 * census_fill() - fills all slots of @table, which has CENSUS_MEMBERS_MIN members or more.
 * Return: 0; -ECANCELED when @cancel was set; -ENOMEM: it needs 16 MiB while it runs.
 */
int census_fill(struct placement_table *table, const atomic_bool *cancel);
