/*
 * resume.c - see resume.h.
 *
 * An offset is a position in the listing that the handle is read from, and that listing died with
 * the worker that had it. Of a handle that outlived it, the entry behind which the reader goes on
 * has a name that is known:
 *
 *	listing then	a  c  e | f  h		read to e, at offset 5
 *	listing now	a  b  c  d | f  h	position 4: offsets are 1 less now, "shift"
 *
 * Its place in the new listing is behind the last entry that is not above it in the order of keys,
 * whether it is still there or not. Whoever was given an entry does not get it again, and nothing
 * that was there all the time is left out. From then on the handle's offsets are positions in this
 * listing, shifted so that the one it came with keeps its meaning. An offset from before, for
 * seekdir(3), means the same entry as long as nothing came or went between the two.
 *
 * To look for that, all pages before are fetched, and if they are too many, it takes too long. So a
 * reader that is further than a page gets a listing of its own that begins behind the entry, from a
 * store that can do that. Should it go back with seekdir(3), it gets one of all.
 *
 * A store that gives its pages in no order (name_index.h) shows that by the second page at the
 * latest. There, only the entry itself is looked for; when it is gone, its old position must do.
 *
 * The reader may also be in the middle of the last reply, when what it reads into is shorter than
 * that: then what is known is an entry near by, and the rest is counted.
 */
#include "fuse/namespace/resume.h"

#include <errno.h>
#include <string.h>

#include "fuse/namespace/above.h"
#include "fuse/namespace/listing.h"
#include "fuse/namespace/page.h"

#define OFFSET_MAX (UINT64_C(1) << 62) /* no listing is as long */

static void place(struct namespace_read *read, uint32_t position)
{
	read->position = position;
	read->placed = true;
}

/* By what offsets mean: of this handle, or of one that was read from the start. */
static void place_by_offset(struct namespace_read *read)
{
	struct namespace_directory *directory = read->directory;
	int64_t position;

	if (!directory->placed)
		directory->shift = 0;
	directory->placed = true;
	if (read->offset > OFFSET_MAX) {
		place(read, UINT32_MAX);
		return;
	}
	position = (int64_t)(read->offset - READDIR_FIRST) - directory->shift;
	if (position < 0) { /* before all that is there now */
		directory->shift = 0;
		position = 0;
	}
	place(read, position < UINT32_MAX ? (uint32_t)position : UINT32_MAX);
}

/* The entry that is known was found to end before @position. */
static void place_behind(struct namespace_read *read, uint32_t position)
{
	struct namespace_directory *directory = read->directory;
	const struct ledger_cursor *resume = read->resume;

	if (directory->placed && read->offset == resume->off) {
		place(read, position);
		return;
	}
	if (!directory->placed)
		directory->shift = (int64_t)(resume->off - READDIR_FIRST) - (int64_t)position;
	directory->placed = true;
	place_by_offset(read);
}

static bool resumes(const struct namespace_read *read)
{
	const struct ledger_cursor *resume = read->resume;

	return resume && !read->directory->placed && resume->off > READDIR_FIRST &&
	       resume->off <= OFFSET_MAX && resume->name_len > 0;
}

void resume_begin(struct namespace *ns, struct namespace_read *read)
{
	read->placed = false;
	read->chunk = 0;
	read->deadline_ns =
		clock_after_ns(clock_now_ns(ns->settings.clock), atomic_load(&ns->lookup_timeout));
	if (read->offset <= READDIR_FIRST) { /* anew: as for a new handle */
		read->directory->placed = true;
		read->directory->shift = 0;
		place(read, 0);
	} else if (!resumes(read)) {
		place_by_offset(read);
	}
}

bool resume_leaves(const struct namespace_read *read)
{
	const struct namespace_directory *directory = read->directory;

	return directory->listing && directory->listing->after &&
	       (read->offset <= READDIR_FIRST ||
		(int64_t)(read->offset - READDIR_FIRST) < directory->shift);
}

bool resume_seeks(struct namespace *ns, const struct namespace_read *read)
{
	struct node *node = read->directory->node;
	const struct listing *listing = listing_current(ns, node);

	return !read->placed && entry_of(ns, node)->backing->ops->seeks &&
	       read->resume->off > READDIR_FIRST + LISTING_PAGE_KEYS &&
	       read->resume->off <= read->offset && !(listing && listing->complete);
}

uint64_t resume_offset(const struct namespace_read *read, uint32_t position)
{
	return (uint64_t)((int64_t)position + READDIR_FIRST + read->directory->shift);
}

/* --- in a listing ---------------------------------------------------------------------------- */

static int compare(const struct listing_chunk *chunk, unsigned index,
		   const struct ledger_cursor *resume)
{
	const struct listing_entry *entry = &chunk->entries[index];

	return page_key_compare(listing_name(chunk, entry), entry->name_len, entry->directory,
				resume->name, resume->name_len, resume->directory);
}

/* The first entry of a chunk, which is in order, that is not below the one looked for. */
static unsigned chunk_search(const struct listing_chunk *chunk, const struct ledger_cursor *resume)
{
	unsigned low = 0, high = chunk->count;

	while (low < high) {
		unsigned middle = low + (high - low) / 2;

		if (compare(chunk, middle, resume) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Return: 1 with the position behind the entry; 0 it is in no chunk so far; -EAGAIN it may be that
 * it was here, but whether the listing is in order shows with the next page only. */
static int chunk_place(const struct listing *listing, unsigned index,
		       const struct ledger_cursor *resume, uint32_t *out_position)
{
	const struct listing_chunk *chunk = listing->chunks[index];
	unsigned within = chunk_search(chunk, resume);

	if (within == chunk->count)
		return 0;
	*out_position = index * LISTING_CHUNK_ENTRIES + within;
	if (compare(chunk, within, resume) == 0) {
		++*out_position;
		return 1;
	}
	if (!listing->sorted)
		return 0;
	return listing->complete || index + 1 < listing->chunk_count ? 1 : -EAGAIN;
}

/* From read->chunk on, which is as far as it was searched before. */
static int search(const struct listing *listing, struct namespace_read *read,
		  uint32_t *out_position)
{
	for (; read->chunk < listing->chunk_count; read->chunk++) {
		int found = -EAGAIN; /* it was dropped, and is fetched again */

		if (listing->chunks[read->chunk]->entries)
			found = chunk_place(listing, read->chunk, read->resume, out_position);
		if (found != 0)
			return found;
	}
	return listing->complete ? 0 : -EAGAIN;
}

int resume_place(struct namespace *ns, struct namespace_read *read)
{
	struct listing *listing = read->waits ? read->waits : read->directory->listing;
	uint32_t position;
	int found;

	if (listing->after) {
		place_behind(read, 0);
		return 0;
	}
	found = search(listing, read, &position);
	if (found == -EAGAIN && clock_now_ns(ns->settings.clock) >= read->deadline_ns) {
		listing->whole = true; /* who tries again finds more of it */
		return -ETIMEDOUT;
	}
	if (found < 0)
		return found;
	if (found > 0)
		place_behind(read, position);
	else if (listing->sorted)
		place_behind(read, listing->chunk_count * LISTING_CHUNK_ENTRIES);
	else
		place_by_offset(read);
	return 0;
}

/* --- above the entries ----------------------------------------------------------------------- */

void resume_place_above(struct namespace *ns, struct namespace_read *read)
{
	const struct ledger_cursor *resume = read->resume;
	struct above_component component;

	for (unsigned i = 0; i < ns->entry_count; i++) {
		if (above_at(ns, read->directory->node, i, &component) != 1 ||
		    component.name_len != resume->name_len ||
		    memcmp(component.name, resume->name, resume->name_len) != 0)
			continue;
		place_behind(read, i + 1);
		return;
	}
	place_by_offset(read);
}
