/*
 * tree.h - a temporary directory with files in it, for tests of what reads directories.
 */
#pragma once

#include <stddef.h>

struct tree {
	char path[64];
	int root; /* its descriptor */
};

/** tree_make() - an empty directory. */
void tree_make(struct tree *tree);

/** tree_remove() - with all that is in it. */
void tree_remove(struct tree *tree);

/** tree_write() - a file of @text; directories on the way are made. */
void tree_write(struct tree *tree, const char *key, const char *text);
