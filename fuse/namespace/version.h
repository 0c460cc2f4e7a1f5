/*
 * version.h - which node stands for what a name is now: the one that is there if it is the same
 * version, else a new one. All with the namespace's lock held.
 *
 * A version is (etag, size): the same bytes written again are the same version with a new mtime.
 */
#pragma once

#include "fuse/namespace/inside.h"

struct version_meta {
	uint64_t size;
	int64_t mtime_s;
	const char *etag;
};

/** version_key() - a file's key, or a directory's prefix with its slash. Not above the entries.
 *  Return: the length, -ENAMETOOLONG. */
int version_key(const struct namespace *ns, const struct node *node, char out[NAMES_KEY_MAX + 1]);

/** version_of() - a file node's version; its strings point into the node and @key. */
void version_of(const struct namespace *ns, const struct node *node, char key[NAMES_KEY_MAX + 1],
		struct object_version *out);

/** version_ino() - st_ino of a file that need not have a node. */
uint64_t version_ino(const struct namespace_entry *entry, const char *key,
		     const struct version_meta *meta);

/** version_file() - the current node of a file. @checked_ns: when the backing store said so; what
 * is known since stays. Its key must be within NAMES_KEY_MAX. NULL: no memory. */
struct node *version_file(struct namespace *ns, struct node *parent, const char *name,
			  size_t name_len, const struct version_meta *meta, uint64_t checked_ns);

/** version_successor() - a new node for the same version, in the mode that it is opened in now.
 * NULL: no memory. */
struct node *version_successor(struct namespace *ns, struct node *before);

/** version_directory() - the same for a directory of mount entry @entry (NODE_ENTRY_NONE: above).
 */
struct node *version_directory(struct namespace *ns, struct node *parent, const char *name,
			       size_t name_len, int entry, uint64_t checked_ns);

/** version_restored() - @node, linked and with its mount entry, is as a former worker knew it. */
void version_restored(struct namespace *ns, struct node *node);

/** version_keep() - a node that took its name from another is kept for a while. May free others. */
void version_keep(struct namespace *ns, struct node *node);

/** version_gone() - the name is gone: its node, if there is one, is outdated. */
void version_gone(struct namespace *ns, struct node *parent, const char *name, size_t name_len);

/** version_refused() - the backing store no longer has the node's version. */
void version_refused(struct namespace *ns, struct node *node);

/** version_attributes() - what stat shows of a node. */
void version_attributes(const struct namespace *ns, const struct node *node,
			struct namespace_attributes *out);

/** version_directory_ino() - st_ino of directory @name below @parent. */
uint64_t version_directory_ino(const struct node *parent, const char *name, size_t name_len);
