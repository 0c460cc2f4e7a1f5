/*
 * directory.c - reading directories, and what is known of one that is read below (directory.h).
 *
 * readdir's offsets: 1 is behind ".", 2 behind "..", p + 3 behind the entry at position p, be p a
 * position in the listing (listing.h) or, above the mount entries, the index of an entry; for a
 * handle that a former worker gave out, see resume.c.
 */
#include "fuse/namespace/directory.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fuse/namespace/above.h"
#include "fuse/namespace/fetch.h"
#include "fuse/namespace/listing.h"
#include "fuse/namespace/resume.h"
#include "fuse/namespace/version.h"

struct directory *directory_of(struct node *node)
{
	CHECK(node->kind == NODE_DIRECTORY);
	if (!node->directory)
		node->directory = calloc(1, sizeof(*node->directory));
	return node->directory;
}

void directory_free(struct directory *directory)
{
	CHECK(!directory || !directory->listing);
	free(directory);
}

/* --- one entry ------------------------------------------------------------------------------ */

struct listed {
	const char *name;
	size_t name_len;
	bool directory;
	int entry; /* of a directory: its mount entry */
	struct version_meta meta;
	uint64_t checked_ns;
};

static bool emit_dots(struct namespace *ns, struct namespace_read *read)
{
	static const char *const dots[] = { ".", ".." };
	const struct node *node = read->directory->node;
	struct namespace_attributes attributes;

	while (read->offset < READDIR_FIRST) {
		const struct node *at = read->offset == 1 && node->parent ? node->parent : node;

		version_attributes(ns, at, &attributes);
		attributes.id = 0;
		if (!read->emit(read, dots[read->offset], read->offset + 1, &attributes))
			return false;
		read->offset++;
	}
	return true;
}

static void listed_attributes(struct namespace *ns, const struct node *node,
			      const struct listed *listed, struct namespace_attributes *out)
{
	const struct namespace_entry *entry = entry_of(ns, node);
	char key[NAMES_KEY_MAX + 1];
	int len;

	*out = (struct namespace_attributes){ .mode = listed->directory ? S_IFDIR : S_IFREG };
	if (listed->directory) {
		out->ino = version_directory_ino(node, listed->name, listed->name_len);
		return;
	}
	len = version_key(ns, node, key);
	if (len < 0 || listed->name_len > NAMES_KEY_MAX - (size_t)len)
		return;
	memcpy(key + len, listed->name, listed->name_len + 1);
	out->ino = version_ino(entry, key, &listed->meta);
}

static bool emit_plain(struct namespace *ns, struct namespace_read *read,
		       const struct listed *listed, uint64_t next_offset)
{
	struct namespace_attributes attributes;

	listed_attributes(ns, read->directory->node, listed, &attributes);
	return read->emit(read, listed->name, next_offset, &attributes);
}

static bool emit_plus(struct namespace *ns, struct namespace_read *read,
		      const struct listed *listed, uint64_t next_offset)
{
	struct node *parent = read->directory->node;
	struct namespace_attributes attributes;
	struct node *node = node_child(&ns->nodes, parent, listed->name, listed->name_len);
	bool fits;

	/* The version that an old listing names may be one that was refused since. */
	if (node && node->outdated && node->checked_ns > listed->checked_ns)
		return emit_plain(ns, read, listed, next_offset);
	node = listed->directory ? version_directory(ns, parent, listed->name, listed->name_len,
						     listed->entry, listed->checked_ns)
				 : version_file(ns, parent, listed->name, listed->name_len,
						&listed->meta, listed->checked_ns);
	if (!node) /* the name alone, then */
		return emit_plain(ns, read, listed, next_offset);
	version_attributes(ns, node, &attributes);
	fits = read->emit(read, listed->name, next_offset, &attributes);
	if (fits)
		node_refer(&ns->nodes, node, read->unique);
	else
		node_settle(&ns->nodes, node);
	return fits;
}

/* Gives the entry before @position, the read's next one. */
static bool emit(struct namespace *ns, struct namespace_read *read, const struct listed *listed,
		 uint32_t position)
{
	uint64_t next_offset = resume_offset(read, position);
	struct ledger_cursor *last = &read->last;

	if (!(read->plus ? emit_plus(ns, read, listed, next_offset)
			 : emit_plain(ns, read, listed, next_offset)))
		return false;
	last->off = next_offset;
	last->directory = listed->directory;
	last->name_len = (uint8_t)listed->name_len;
	memcpy(last->name, listed->name, listed->name_len + 1);
	read->offset = next_offset;
	return true;
}

/* --- above the entries ---------------------------------------------------------------------- */

static int read_above(struct namespace *ns, struct namespace_read *read)
{
	const struct node *node = read->directory->node;
	struct above_component component;
	int there = 0;

	if (above_elsewhere(ns, node))
		return -ENOTCONN;
	if (!read->placed)
		resume_place_above(ns, read);
	for (; read->position < ns->entry_count; read->position++) {
		struct listed listed = { .name = component.name, .directory = true };

		there = above_at(ns, node, read->position, &component);
		if (there < 0)
			return -EIO;
		if (there == 0)
			continue;
		listed.name_len = component.name_len;
		listed.entry = component.entry;
		listed.checked_ns = clock_now_ns(ns->settings.clock);
		if (!emit(ns, read, &listed, read->position + 1))
			break;
	}
	return 0;
}

/* --- a listing ------------------------------------------------------------------------------ */

/* Return: 1 the read has ended; 0 there was nothing yet that could be given. */
static int read_listing(struct namespace *ns, struct namespace_read *read)
{
	struct listing *listing = read->waits ? read->waits : read->directory->listing;
	bool given = false;
	const struct listing_chunk *chunk;
	const struct listing_entry *entry;
	int err;

	while ((err = listing_at(ns, listing, &read->position, &chunk, &entry)) == 1) {
		struct listed listed = {
			.name = listing_name(chunk, entry),
			.name_len = entry->name_len,
			.directory = entry->directory,
			.entry = read->directory->node->entry,
			.meta = { entry->size, entry->mtime_s, listing_etag(chunk, entry) },
			.checked_ns = chunk->fetched_ns,
		};

		read->position++;
		if (entry->hidden)
			continue;
		if (!emit(ns, read, &listed, read->position))
			return 1;
		given = true;
	}
	read->chunk = read->position / LISTING_CHUNK_ENTRIES;
	return err == 0 || given;
}

static bool read_try(struct namespace *ns, struct namespace_read *read)
{
	read->status = 0;
	if (!emit_dots(ns, read))
		return true;
	if (read->directory->node->entry == NODE_ENTRY_NONE) {
		read->status = read_above(ns, read);
		return true;
	}
	if (!read->placed) {
		int err = resume_place(ns, read);

		if (err == -EAGAIN)
			return false;
		read->status = err;
		if (err)
			return true;
	}
	return read_listing(ns, read) != 0;
}

/* Another read may have taken the open directory to a newer listing meanwhile: a read that waits
 * holds its own. */
static void read_wait(struct namespace_read *read, struct listing *listing)
{
	read->waits = listing_get(listing);
	TAILQ_INSERT_TAIL(&listing->waiting, read, link);
}

static void read_end(struct namespace *ns, struct namespace_read *read, struct todo *todo)
{
	struct listing *listing = read->waits;

	TAILQ_REMOVE(&listing->waiting, read, link);
	read->waits = NULL;
	TAILQ_INSERT_TAIL(&todo->reads, read, link);
	listing_put(ns, listing);
}

void listing_wake(struct namespace *ns, struct listing *listing, int status, struct todo *todo)
{
	struct namespace_read *read, *next;

	for (read = TAILQ_FIRST(&listing->waiting); read; read = next) {
		next = TAILQ_NEXT(read, link);
		if (status == 0 && !read_try(ns, read))
			continue;
		if (status != 0)
			read->status = status;
		read_end(ns, read, todo);
	}
	counter_set(ns->settings.counters, MOUNT_NODES, ns->nodes.count);
}

/* --- open directories ----------------------------------------------------------------------- */

static void directory_leave(struct namespace *ns, struct namespace_directory *directory)
{
	struct listing *listing = directory->listing;

	if (!listing)
		return;
	directory->listing = NULL;
	listing->readers--;
	listing_put(ns, listing);
}

/* A directory that is read from its start, for the first time or again, shows what is there now. */
static int directory_join(struct namespace *ns, const struct namespace_read *read)
{
	struct namespace_directory *directory = read->directory;
	struct listing *listing;

	if (directory->node->entry == NODE_ENTRY_NONE)
		return 0;
	if (resume_seeks(ns, read))
		listing = listing_behind(ns, directory->node, read->resume);
	else
		listing = listing_begin(ns, directory->node);
	if (!listing)
		return -ENOMEM;
	if (listing == directory->listing)
		return 0;
	if (!listing->after)
		listing_get(listing);
	listing->readers++;
	directory_leave(ns, directory);
	directory->listing = listing;
	return 0;
}

int namespace_directory_open(struct namespace *ns, uint64_t id,
			     struct namespace_directory *directory)
{
	struct node *node;
	int err = 0;

	pthread_mutex_lock(&ns->lock);
	node = node_known(ns, id);
	if (!node)
		err = -ESTALE;
	else if (node->kind != NODE_DIRECTORY)
		err = -ENOTDIR;
	if (!err) {
		node_pin(node);
		*directory = (struct namespace_directory){ .node = node };
	}
	pthread_mutex_unlock(&ns->lock);
	return err;
}

void namespace_directory_close(struct namespace *ns, struct namespace_directory *directory)
{
	pthread_mutex_lock(&ns->lock);
	directory_leave(ns, directory);
	node_unpin(&ns->nodes, directory->node);
	directory->node = NULL;
	counter_set(ns->settings.counters, MOUNT_NODES, ns->nodes.count);
	pthread_mutex_unlock(&ns->lock);
}

static int read_begin(struct namespace *ns, struct namespace_read *read, struct todo *todo)
{
	struct namespace_directory *directory = read->directory;

	CHECK(!read->plus || read->unique != 0);
	read->waits = NULL;
	read->last.off = 0;
	node_undo(&ns->nodes, read->unique);
	if (resume_leaves(read)) {
		directory_leave(ns, directory);
		directory->placed = false;
	}
	resume_begin(ns, read);
	if (read->offset == 0 || !directory->listing)
		read->status = directory_join(ns, read);
	if (read->status != 0 || read_try(ns, read)) {
		if (directory->listing)
			listing_continue(ns, directory->listing, todo);
		return 1;
	}
	read_wait(read, directory->listing);
	listing_continue(ns, directory->listing, todo);
	return 0;
}

int namespace_read_start(struct namespace *ns, struct namespace_read *read)
{
	struct todo todo;
	int ended;

	todo_init(&todo);
	read->status = 0;
	pthread_mutex_lock(&ns->lock);
	ended = read_begin(ns, read, &todo);
	counter_set(ns->settings.counters, MOUNT_NODES, ns->nodes.count);
	pthread_mutex_unlock(&ns->lock);
	todo_run(ns, &todo);
	return ended;
}

void namespace_read_cancel(struct namespace *ns, struct namespace_read *read)
{
	struct todo todo;

	todo_init(&todo);
	pthread_mutex_lock(&ns->lock);
	if (read->waits) {
		read->status = -ECANCELED;
		read_end(ns, read, &todo);
	}
	pthread_mutex_unlock(&ns->lock);
	todo_run(ns, &todo);
}
