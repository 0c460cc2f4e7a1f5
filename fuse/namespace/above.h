/*
 * above.h - the directories above the mount entries, which are what the entries' paths say: nobody
 * else is asked. With the namespace's lock held.
 */
#pragma once

#include "fuse/namespace/inside.h"

struct above_component {
	char name[NAMES_COMPONENT_MAX + 1];
	size_t name_len;
	int entry; /* whose own directory it is; NODE_ENTRY_NONE: one more above the entries */
};

/**
 * above_at() - what entry @index is below directory @parent, which is above the entries.
 * Return: 1; 0: nothing, or what an entry before it is, too; -ENAMETOOLONG the path.
 */
int above_at(const struct namespace *ns, const struct node *parent, unsigned index,
	     struct above_component *out);

/**
 * above_elsewhere() - whether @directory, above the entries, is where a small-files entry is
 * mounted by itself. Who gets to see what is in it here sees that it is not mounted, and must not
 * take it for an empty dataset.
 */
bool above_elsewhere(const struct namespace *ns, const struct node *directory);

/** above_find() - what a name is there: the index of its mount entry, NODE_ENTRY_NONE;
 *  NODE_ENTRY_GONE: nothing. */
int above_find(const struct namespace *ns, const struct node *parent, const char *name, size_t len);
