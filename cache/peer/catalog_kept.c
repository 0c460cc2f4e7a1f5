/*
 * catalog_kept.c - the pages that other nodes may read, by number. The only part of what is kept
 * that is looked at from other threads: the cache gets a page's bytes on whatever thread it is.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache/peer/catalog_inside.h"

int kept_add(struct catalog *catalog, struct catalog_page *page)
{
	struct kept *kept = calloc(1, sizeof(*kept));
	bool added;

	if (!kept)
		return -ENOMEM;
	kept->number = page->number = ++catalog->last_page;
	kept->page = catalog_page_get(page);
	pthread_mutex_lock(&catalog->kept_lock);
	HASH_ADD(by_number, catalog->kept, number, sizeof(kept->number), kept);
	added = kept->by_number.tbl != NULL;
	pthread_mutex_unlock(&catalog->kept_lock);
	if (added)
		return 0;
	catalog_page_put(page);
	free(kept);
	return -ENOMEM;
}

void kept_remove(struct catalog *catalog, struct catalog_page *page)
{
	struct kept *kept;

	pthread_mutex_lock(&catalog->kept_lock);
	HASH_FIND(by_number, catalog->kept, &page->number, sizeof(page->number), kept);
	if (kept)
		HASH_DELETE(by_number, catalog->kept, kept);
	pthread_mutex_unlock(&catalog->kept_lock);
	if (kept)
		catalog_page_put(kept->page);
	free(kept);
}

void kept_etag(const struct catalog *catalog, const struct catalog_page *page,
	       char out[CATALOG_ETAG_SPACE])
{
	snprintf(out, CATALOG_ETAG_SPACE, "%016" PRIx64 "-%" PRIu64, catalog->setup.boot,
		 page->number);
}

/* The number in an etag that this run of this node gave; 0: it did not. */
static uint64_t number_of(const struct catalog *catalog, const char *etag)
{
	char boot[CATALOG_ETAG_SPACE];
	size_t len = (size_t)snprintf(boot, sizeof(boot), "%016" PRIx64 "-", catalog->setup.boot);

	return strncmp(etag, boot, len) == 0 ? strtoull(etag + len, NULL, 10) : 0;
}

struct catalog_page *kept_find(struct catalog *catalog, const char *bucket, const char *etag)
{
	struct catalog_page *page = NULL;
	uint64_t number = number_of(catalog, etag);
	struct kept *kept;

	if (strcmp(bucket, catalog->self_text) != 0)
		return NULL;
	pthread_mutex_lock(&catalog->kept_lock);
	HASH_FIND(by_number, catalog->kept, &number, sizeof(number), kept);
	if (kept)
		page = catalog_page_get(kept->page);
	pthread_mutex_unlock(&catalog->kept_lock);
	return page;
}
