/*
 * version.c - see version.h.
 */
#include "fuse/namespace/version.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/bytes.h"
#include "base/digest.h"
#include "fuse/namespace/listing.h"

#define ABOVE_MODE    0555
#define ABOVE_TIMEOUT (60 * NS_PER_S) /* of directories above the entries: they never change */

static const char *text_or_empty(const char *text)
{
	return text ? text : "";
}

int version_key(const struct namespace *ns, const struct node *node, char out[NAMES_KEY_MAX + 1])
{
	const char *prefix = text_or_empty(entry_of(ns, node)->config->prefix);
	size_t prefix_len = strlen(prefix);
	int len;

	if (prefix_len > NAMES_KEY_MAX)
		return -ENAMETOOLONG;
	memcpy(out, prefix, prefix_len + 1);
	len = node_path(node, out + prefix_len, NAMES_KEY_MAX + 1 - prefix_len);
	if (len < 0)
		return len;
	len += (int)prefix_len;
	if (node->kind == NODE_DIRECTORY && (size_t)len > prefix_len) {
		if (len == NAMES_KEY_MAX)
			return -ENAMETOOLONG;
		out[len++] = '/';
		out[len] = '\0';
	}
	return len;
}

void version_of(const struct namespace *ns, const struct node *node, char key[NAMES_KEY_MAX + 1],
		struct object_version *out)
{
	const struct namespace_entry *entry = entry_of(ns, node);
	int len = version_key(ns, node, key);

	CHECK(len >= 0); /* or the node would not have been made */
	*out = (struct object_version){
		.backing = entry->backing->id,
		.bucket = text_or_empty(entry->config->bucket),
		.key = key,
		.etag = node_etag(node),
		.size = node->size,
	};
}

/* What a new node has of its version. */
static void set_identity(struct namespace *ns, struct node *node)
{
	const struct namespace_settings *settings = &ns->settings;
	struct object_version version;
	char key[NAMES_KEY_MAX + 1];
	struct object_id id;

	version_of(ns, node, key, &version);
	object_id_of(&version, &id);
	node->ino = bytes_get_u64(id.bytes);
	node->passthrough = settings->passthrough && settings->passthrough(settings->context, &id);
}

static uint64_t ino_of(const struct object_version *version)
{
	struct object_id id;

	object_id_of(version, &id);
	return bytes_get_u64(id.bytes);
}

uint64_t version_ino(const struct namespace_entry *entry, const char *key,
		     const struct version_meta *meta)
{
	struct object_version version = {
		.backing = entry->backing->id,
		.bucket = text_or_empty(entry->config->bucket),
		.key = key,
		.etag = meta->etag,
		.size = meta->size,
	};

	return ino_of(&version);
}

uint64_t version_directory_ino(const struct node *parent, const char *name, size_t name_len)
{
	char path[sizeof(int64_t) + NAMES_KEY_MAX + NAMES_COMPONENT_MAX + 2];
	int64_t entry = parent->entry;
	int len;

	memcpy(path, &entry, sizeof(entry));
	len = node_path(parent, path + sizeof(entry), NAMES_KEY_MAX + 1);
	len = len < 0 ? 0 : len;
	len += (int)sizeof(entry);
	path[len++] = '/';
	memcpy(path + len, name, name_len);
	return digest_xxh3(path, (size_t)len + name_len);
}

static bool file_is(const struct node *node, const struct version_meta *meta)
{
	return node->kind == NODE_FILE && node->size == meta->size &&
	       strcmp(node_etag(node), meta->etag) == 0;
}

static void obsolete(struct namespace *ns, const struct node *node)
{
	struct object_version version;
	char key[NAMES_KEY_MAX + 1];

	if (node->kind != NODE_FILE || !ns->settings.obsolete)
		return;
	version_of(ns, node, key, &version);
	ns->settings.obsolete(ns->settings.context, &version);
}

static struct node *child_create(struct namespace *ns, struct node *parent, enum node_kind kind,
				 int entry, const char *name, size_t name_len, const char *etag)
{
	struct node *node = node_create(&ns->nodes, parent, kind, entry, name, name_len, etag);

	counter_set(ns->settings.counters, MOUNT_NODES, ns->nodes.count);
	return node;
}

/* What there is no telling about, is whether what is known of it still is so: checked when it was
 * restored, which is too long ago for who looks it up, and not to be undone by what is older. */
void version_restored(struct namespace *ns, struct node *node)
{
	struct object_version version;
	char key[NAMES_KEY_MAX + 1];

	node->checked_ns = ns->restored_ns;
	if (node->kind == NODE_DIRECTORY) {
		node->ino = version_directory_ino(node->parent, node_name(node), node->name_len);
		return;
	}
	version_of(ns, node, key, &version);
	node->ino = ino_of(&version);
	if (node->outdated) /* refused, perhaps */
		node->refused_ns = ns->restored_ns;
}

void version_keep(struct namespace *ns, struct node *node)
{
	struct node *before = ns->young[ns->young_next];

	node_pin(node);
	ns->young[ns->young_next] = node;
	ns->young_next = (ns->young_next + 1) % NAMESPACE_YOUNG;
	if (before)
		node_unpin(&ns->nodes, before);
}

static void keep_young(struct namespace *ns, struct node *node)
{
	node->made_ns = clock_now_ns(ns->settings.clock);
	version_keep(ns, node);
}

struct node *version_successor(struct namespace *ns, struct node *before)
{
	uint64_t checked_ns = before->checked_ns;
	struct node *node = child_create(ns, before->parent, NODE_FILE, before->entry,
					 node_name(before), before->name_len, node_etag(before));

	if (!node)
		return NULL;
	node->size = before->size;
	node->mtime_s = before->mtime_s;
	node->confirmed = before->confirmed;
	node->checked_ns = checked_ns;
	set_identity(ns, node);
	keep_young(ns, node);
	node_record(&ns->nodes, node);
	return node;
}

struct node *version_file(struct namespace *ns, struct node *parent, const char *name,
			  size_t name_len, const struct version_meta *meta, uint64_t checked_ns)
{
	struct node *before = node_child(&ns->nodes, parent, name, name_len);
	bool same = before && file_is(before, meta);
	struct node *node = before;
	bool confirmed, changed = false;

	if (same && before->superseded && !before->outdated) {
		node = before = version_successor(ns, before);
		if (!node)
			return NULL;
	}
	if (before && !before->outdated && before->checked_ns > checked_ns)
		return before;
	if (!same || before->outdated) {
		if (before && !same)
			obsolete(ns, before);
		confirmed = same && checked_ns >= before->checked_ns;
		node = child_create(ns, parent, NODE_FILE, parent->entry, name, name_len,
				    meta->etag);
		if (!node)
			return NULL;
		node->size = meta->size;
		node->confirmed = confirmed;
		set_identity(ns, node);
		if (before)
			keep_young(ns, node);
		changed = true;
	}
	changed |= node->mtime_s != meta->mtime_s;
	node->mtime_s = meta->mtime_s;
	node->checked_ns = checked_ns;
	if (changed)
		node_record(&ns->nodes, node);
	return node;
}

struct node *version_directory(struct namespace *ns, struct node *parent, const char *name,
			       size_t name_len, int entry, uint64_t checked_ns)
{
	struct node *node = node_child(&ns->nodes, parent, name, name_len);

	if (node && !node->outdated && node->checked_ns > checked_ns)
		return node;
	if (!node || node->outdated || node->kind != NODE_DIRECTORY) {
		if (node)
			obsolete(ns, node);
		node = child_create(ns, parent, NODE_DIRECTORY, entry, name, name_len, "");
		if (!node)
			return NULL;
		node->ino = version_directory_ino(parent, name, name_len);
	}
	node->checked_ns = checked_ns;
	return node;
}

void version_gone(struct namespace *ns, struct node *parent, const char *name, size_t name_len)
{
	struct node *node = node_child(&ns->nodes, parent, name, name_len);

	if (!node || node->outdated)
		return;
	obsolete(ns, node);
	node_outdate(&ns->nodes, node, clock_now_ns(ns->settings.clock));
}

void version_refused(struct namespace *ns, struct node *node)
{
	if (node->kind != NODE_FILE || node->outdated)
		return;
	obsolete(ns, node);
	node->refused_ns = node->checked_ns;
	node_outdate(&ns->nodes, node, clock_now_ns(ns->settings.clock));
	listing_forget(ns, node->parent); /* it names the version that is gone */
	if (node->parent->directory)
		node->parent->directory->fresh_ns = node->checked_ns;
}

/* What is left of @timeout since the backing store said so: an answer from a listing must not be
 * believed for longer than one that was asked for. */
static uint64_t time_left(const struct namespace *ns, uint64_t checked_ns, uint64_t timeout)
{
	uint64_t until_ns = clock_after_ns(checked_ns, timeout);
	uint64_t now_ns = clock_now_ns(ns->settings.clock);

	return until_ns > now_ns ? until_ns - now_ns : 0;
}

void version_attributes(const struct namespace *ns, const struct node *node,
			struct namespace_attributes *out)
{
	const struct namespace_entry *entry = entry_of(ns, node);
	const struct mount_entry_config *config = entry ? entry->config : NULL;
	bool file = node->kind == NODE_FILE;

	*out = (struct namespace_attributes){
		.id = node->id,
		.ino = node->ino,
		.size = file ? node->size : 0,
		.mtime_s = file ? node->mtime_s : ns->start_s,
		.mode = (file ? S_IFREG : S_IFDIR) | ABOVE_MODE,
		.uid = ns->uid,
		.gid = ns->gid,
		.attribute_timeout = ABOVE_TIMEOUT,
		.entry_timeout = ABOVE_TIMEOUT,
	};
	if (!config)
		return;
	out->mode = file ? S_IFREG | config->file_mode : S_IFDIR | config->directory_mode;
	out->uid = entry->uid;
	out->gid = entry->gid;
	out->attribute_timeout = config->attribute_timeout;
	if (node->checked_ns > ns->restored_ns)
		out->entry_timeout = time_left(ns, node->checked_ns, config->entry_timeout);
	else
		out->entry_timeout = 0;
}
