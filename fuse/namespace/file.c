/*
 * file.c - from a node to the object version behind it, and to the versions that a reader of the
 * directory will want next.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fuse/namespace/fetch.h"
#include "fuse/namespace/listing.h"
#include "fuse/namespace/version.h"

static char *text_put(char **at, const char *text)
{
	size_t size = strlen(text) + 1;
	char *copy = memcpy(*at, text, size);

	*at += size;
	return copy;
}

/* One allocation: the struct and its strings. @path: below the entry, for the dataset. */
static struct namespace_file *file_create(const struct namespace_entry *entry,
					  const struct object_version *version, const char *path)
{
	char dataset[NAMES_PATH_MAX + 1 + NAMES_KEY_MAX + 1];
	struct namespace_file *file;
	char *at;

	names_dataset(entry->config->dataset_path ? entry->config->dataset_path
						  : entry->config->path,
		      path, (unsigned)entry->config->dataset_depth, dataset, sizeof(dataset));
	file = calloc(1, sizeof(*file) + strlen(version->key) + strlen(version->etag) +
				 strlen(dataset) + 3);
	if (!file)
		return NULL;
	at = (char *)(file + 1);
	file->backing = entry->backing;
	file->version = *version;
	file->version.key = text_put(&at, version->key);
	file->version.etag = text_put(&at, version->etag);
	file->dataset = text_put(&at, dataset);
	return file;
}

static struct namespace_file *file_of_node(struct namespace *ns, const struct node *node)
{
	const struct namespace_entry *entry = entry_of(ns, node);
	struct object_version version;
	struct namespace_file *file;
	char key[NAMES_KEY_MAX + 1];

	version_of(ns, node, key, &version);
	file = file_create(entry, &version,
			   key + (entry->config->prefix ? strlen(entry->config->prefix) : 0));
	if (!file)
		return NULL;
	file->id = node->id;
	file->mtime_s = node->mtime_s;
	file->confirmed = node->confirmed;
	file->passthrough = node->passthrough;
	file->given = node->given;
	file->fresh =
		node->made_ns > 0 && clock_now_ns(ns->settings.clock) <
					     clock_after_ns(node->made_ns, NAMESPACE_FRESH_NS);
	return file;
}

static int file_status(const struct node *node, bool current)
{
	if (!node)
		return -ESTALE;
	if (node->kind != NODE_FILE)
		return -EISDIR;
	return current && (node->outdated || node->superseded) ? -ESTALE : 0;
}

int namespace_file(struct namespace *ns, uint64_t id, bool current,
		   struct namespace_file **out_file)
{
	const struct node *node;
	int err;

	pthread_mutex_lock(&ns->lock);
	node = node_known(ns, id);
	err = file_status(node, current);
	if (!err) {
		struct namespace_file *file = file_of_node(ns, node);

		err = file ? 0 : -ENOMEM;
		if (file)
			*out_file = file;
	}
	pthread_mutex_unlock(&ns->lock);
	return err;
}

void namespace_file_free(struct namespace_file *file)
{
	free(file);
}

void namespace_refused(struct namespace *ns, uint64_t id)
{
	struct node *node;

	pthread_mutex_lock(&ns->lock);
	node = node_known(ns, id);
	if (node)
		version_refused(ns, node);
	pthread_mutex_unlock(&ns->lock);
}

void namespace_supersede(struct namespace *ns, uint64_t id)
{
	struct node *node;

	pthread_mutex_lock(&ns->lock);
	node = node_known(ns, id);
	if (node && node->kind == NODE_FILE) {
		node->superseded = true;
		node_record(&ns->nodes, node);
	}
	pthread_mutex_unlock(&ns->lock);
}

bool namespace_give(struct namespace *ns, uint64_t id)
{
	struct node *node;
	bool first;

	pthread_mutex_lock(&ns->lock);
	node = node_known(ns, id);
	first = node && !node->given;
	if (first)
		node->given = true;
	pthread_mutex_unlock(&ns->lock);
	return first;
}

bool namespace_is_passthrough(struct namespace *ns, uint64_t id)
{
	const struct node *node;
	bool passthrough;

	pthread_mutex_lock(&ns->lock);
	node = node_find(&ns->nodes, id);
	passthrough = node && node->passthrough;
	pthread_mutex_unlock(&ns->lock);
	return passthrough;
}

void namespace_fall_back(struct namespace *ns, uint64_t id)
{
	struct node *node;

	pthread_mutex_lock(&ns->lock);
	node = node_find(&ns->nodes, id);
	if (node && node->passthrough) {
		node->passthrough = false;
		node->made_ns = clock_now_ns(ns->settings.clock);
		node_record(&ns->nodes, node);
	}
	pthread_mutex_unlock(&ns->lock);
}

/* --- siblings ------------------------------------------------------------------------------- */

/* The listing entry with index @index among all (not among positions). NULL: not in memory. */
static const struct listing_entry *entry_by_index(const struct listing *listing, uint32_t index,
						  const struct listing_chunk **out_chunk)
{
	unsigned low = 0, high = listing->chunk_count;

	while (low < high) { /* the last chunk that begins at or before it */
		unsigned middle = low + (high - low) / 2;

		if (listing->chunks[middle]->first <= index)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == 0)
		return NULL;
	*out_chunk = listing->chunks[low - 1];
	if (!(*out_chunk)->entries || index - (*out_chunk)->first >= (*out_chunk)->count)
		return NULL;
	return &(*out_chunk)->entries[index - (*out_chunk)->first];
}

static struct namespace_file *file_of_entry(struct namespace *ns, const struct node *directory,
					    const struct listing_chunk *chunk,
					    const struct listing_entry *listed)
{
	const struct namespace_entry *entry = entry_of(ns, directory);
	char key[NAMES_KEY_MAX + 1];
	int len = version_key(ns, directory, key);
	struct object_version version = {
		.backing = entry->backing->id,
		.bucket = entry->config->bucket ? entry->config->bucket : "",
		.key = key,
		.etag = listing_etag(chunk, listed),
		.size = listed->size,
	};
	struct namespace_file *file;

	if (len < 0 || listed->name_len > NAMES_KEY_MAX - (size_t)len)
		return NULL;
	memcpy(key + len, listing_name(chunk, listed), listed->name_len + 1U);
	file = file_create(entry, &version,
			   key + (entry->config->prefix ? strlen(entry->config->prefix) : 0));
	if (file)
		file->mtime_s = listed->mtime_s;
	return file;
}

/* The node that the kernel has of what is listed, or 0. */
static uint64_t known_id(const struct namespace *ns, const struct node *directory,
			 const struct listing_chunk *chunk, const struct listing_entry *listed)
{
	const struct node *node =
		node_child(&ns->nodes, directory, listing_name(chunk, listed), listed->name_len);

	if (!node || file_status(node, true) != 0 || node_lookups(&ns->nodes, node) == 0 ||
	    node->size != listed->size || strcmp(node_etag(node), listing_etag(chunk, listed)) != 0)
		return 0;
	return node->id;
}

static bool index_of(struct namespace *ns, struct listing *listing, const struct node *node,
		     uint32_t *out_index)
{
	const struct listing_chunk *chunk;
	const struct listing_entry *entry;

	if (listing_find(ns, listing, node_name(node), node->name_len, &chunk, &entry) !=
	    LISTING_FOUND)
		return false;
	*out_index = chunk->first + (uint32_t)(entry - chunk->entries);
	return true;
}

static unsigned siblings_files(struct namespace *ns, const struct node *directory,
			       struct siblings_range range, uint64_t bytes_max,
			       struct namespace_file **out_files, unsigned max)
{
	const struct listing *listing = directory->directory->listing;
	uint64_t bytes = 0;
	unsigned count = 0;
	bool awaited = range.mark < range.first;

	for (uint32_t index = range.first; index < range.end; index++) {
		const struct listing_chunk *chunk;
		const struct listing_entry *entry = entry_by_index(listing, index, &chunk);
		struct namespace_file *file;

		if (entry && (entry->directory || entry->hidden || entry->size == 0))
			continue;
		if (entry)
			bytes += entry->size < NAMESPACE_SIBLING_MAX ? entry->size
								     : NAMESPACE_SIBLING_MAX;
		file = entry && bytes <= bytes_max && count < max
			       ? file_of_entry(ns, directory, chunk, entry)
			       : NULL;
		if (!file) {
			siblings_refused(&directory->directory->siblings, index);
			break;
		}
		file->id = known_id(ns, directory, chunk, entry);
		file->index = index;
		file->awaited = !awaited && index >= range.mark;
		awaited = awaited || file->awaited;
		out_files[count++] = file;
	}
	return count;
}

unsigned namespace_siblings(struct namespace *ns, uint64_t id, uint64_t bytes_max,
			    struct namespace_file **out_files, unsigned max)
{
	struct siblings_range range;
	const struct node *node;
	struct listing *listing;
	unsigned count = 0;
	struct todo todo;
	uint32_t index;

	todo_init(&todo);
	pthread_mutex_lock(&ns->lock);
	node = node_known(ns, id);
	listing = node && node->kind == NODE_FILE && node->parent->directory
			  ? node->parent->directory->listing
			  : NULL;
	/* Expired ones too: at worst a version is asked for that is gone. */
	if (listing && index_of(ns, listing, node, &index)) {
		range = siblings_read(&node->parent->directory->siblings, index);
		if (!listing->complete && range.end >= listing->entry_count &&
		    range.end > range.first) {
			listing->whole = true;
			listing_continue(ns, listing, &todo);
		}
		count = siblings_files(ns, node->parent, range, bytes_max, out_files, max);
	}
	pthread_mutex_unlock(&ns->lock);
	todo_run(ns, &todo);
	return count;
}

void namespace_siblings_refused(struct namespace *ns, uint64_t id, uint32_t index)
{
	const struct node *node;

	pthread_mutex_lock(&ns->lock);
	node = node_known(ns, id);
	if (node && node->parent && node->parent->directory)
		siblings_refused(&node->parent->directory->siblings, index);
	pthread_mutex_unlock(&ns->lock);
}
