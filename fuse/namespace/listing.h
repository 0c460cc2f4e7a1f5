/*
 * listing.h - a directory's listing: pages of its backing store, fetched one after the other while
 * readers consume them, kept for a while within a common memory limit, shared by all readers.
 *
 *	listing   chunk 0   chunk 1   chunk 2  ...   chunk n      (next page under way)
 *	          [entries] [dropped] [entries]      [entries]
 *	                                             ^ settled: readers come this far
 *
 * A chunk is at most LISTING_CHUNK_ENTRIES entries of one page, sorted by key. Its entries may be
 * dropped when memory is wanted elsewhere, and are fetched again by the page's token when a reader
 * comes by: a directory of any size is listed in bounded memory. An entry's position, chunk index *
 * LISTING_CHUNK_ENTRIES + index in it, stays the same meanwhile, and so do readdir's offsets.
 *
 * A file "a" whose directory "a/" may still come (keys such as "a-1" sort between the two) is
 * unsettled, and readers wait before it: of the two, the directory wins (names.h).
 *
 * Functions are called with the namespace's lock held, unless they say otherwise.
 */
#pragma once

#include "fuse/namespace/name_index.h"
#include "fuse/namespace/inside.h"

#define LISTING_CHUNK_ENTRIES 1024
#define LISTING_PAGE_KEYS     1000 /* asked for at a time; what S3 gives at most */
#define LISTING_PAGES_AHEAD   4	   /* fetched beyond the furthest reader */
#define LISTING_OPEN_MAX      32   /* unsettled files; each one's name begins with the one before */

struct listing_entry {
	uint64_t size;
	int64_t mtime_s;
	uint32_t text; /* where in the chunk's text: name, NUL, etag, NUL */
	uint8_t name_len;
	bool directory;
	bool hidden; /* a directory of the same name won */
};

struct listing_chunk {
	struct listing *listing;
	char *token;		       /* of the page that it is from; NULL: "" */
	unsigned part;		       /* which chunk of that page */
	uint32_t first;		       /* entries before it, for siblings.h */
	unsigned count;		       /* entries */
	struct listing_entry *entries; /* NULL: dropped */
	char *text;		       /* in the same allocation as entries */
	size_t bytes;		       /* that it is accounted with */
	uint64_t fetched_ns;
	TAILQ_ENTRY(listing_chunk) link; /* namespace.chunks, while it has entries */
};

/* The keys that came last, to see conflicts between a file and a directory. */
struct listing_order {
	char last[NAMES_COMPONENT_MAX];
	uint8_t last_len;
	bool last_directory;
	unsigned depth;
	struct {
		uint32_t position;
		uint8_t name_len; /* the name is that many bytes of last */
	} open[LISTING_OPEN_MAX];
};

struct listing {
	struct node *node; /* pinned */
	/* NULL: all of the directory. Or: what is behind that entry, for one reader (resume.h): it
	 * is not the directory's own listing, and tells nobody else anything. */
	struct ledger_cursor *after;
	unsigned refs;	  /* the directory's, open directories', waiting reads', the fetch's */
	unsigned readers; /* of them, open directories */
	struct listing_chunk **chunks;
	unsigned chunk_count, chunk_room;
	unsigned dropped; /* chunks without entries */
	uint32_t entry_count;
	uint32_t settled;		 /* readers may come to this position */
	uint64_t started_ns, expires_ns; /* when the oldest page was asked for */
	uint64_t age_ns;		 /* how old a page was at most when it was asked for */
	char *next_token;		 /* NULL: "" */
	unsigned next_part; /* chunks of that page that are there already: after a failure */
	struct listing_order *order; /* NULL once complete */
	bool complete;
	bool sorted;		 /* all keys in order: searched as they are */
	bool searchable;	 /* nothing was dropped yet */
	struct name_index index; /* when it is not sorted */
	bool fetching;		 /* one page at a time */
	bool whole;		 /* wanted to the end even if nobody reads it */
	unsigned furthest;	 /* the highest chunk that a reader asked for */
	unsigned target;	 /* of the fetch: the chunk, chunk_count for the next page */
	struct read_list waiting;
	TAILQ_ENTRY(listing) link; /* todo.listings */
};

enum listing_answer {
	LISTING_UNKNOWN, /* ask the backing store */
	LISTING_FOUND,
	LISTING_ABSENT,
};

/** listing_current() - a directory's listing if it may be used now, or NULL. */
struct listing *listing_current(struct namespace *ns, struct node *node);

/** listing_begin() - the same, or a new one, which listing_continue() sets going.
 *  Return: borrowed from the directory; NULL: no memory. */
struct listing *listing_begin(struct namespace *ns, struct node *node);

/** listing_behind() - one of what is behind @after, in a store that seeks.
 *  Return: with a reference, the caller's; NULL: no memory. */
struct listing *listing_behind(struct namespace *ns, struct node *node,
			       const struct ledger_cursor *after);

/** listing_aged() - a page of it comes that was @age_ns old when it was asked for. */
void listing_aged(struct namespace *ns, struct listing *listing, uint64_t age_ns,
		  uint64_t fetched_ns);

/** listing_forget() - the directory's listing is not used for anything new. */
void listing_forget(struct namespace *ns, struct node *node);

struct listing *listing_get(struct listing *listing);
void listing_put(struct namespace *ns, struct listing *listing);

/** listings_squeeze() - drops what was not read for longest, but @spared (or NULL), until listings
 *  are within their memory. */
void listings_squeeze(struct namespace *ns, const struct listing_chunk *spared);

/**
 * listing_at() - the entry at a position, which is moved on to where the next one is.
 * Return: 1 with the entry and its chunk; 0 at the end; -EAGAIN it is not there yet.
 */
int listing_at(struct namespace *ns, struct listing *listing, uint32_t *position,
	       const struct listing_chunk **out_chunk, const struct listing_entry **out_entry);

/** listing_find() - a name, if the listing can tell. */
enum listing_answer listing_find(struct namespace *ns, struct listing *listing, const char *name,
				 size_t name_len, const struct listing_chunk **out_chunk,
				 const struct listing_entry **out_entry);

static inline const char *listing_name(const struct listing_chunk *chunk,
				       const struct listing_entry *entry)
{
	return chunk->text + entry->text;
}

static inline const char *listing_etag(const struct listing_chunk *chunk,
				       const struct listing_entry *entry)
{
	return chunk->text + entry->text + entry->name_len + 1;
}

/** listing_wake() - answers the readers that can be answered, all with @status if it is an error.
 * The caller holds a reference. */
void listing_wake(struct namespace *ns, struct listing *listing, int status, struct todo *todo);
