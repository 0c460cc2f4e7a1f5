/*
 * catalog_backing.c - what the mount and the cache see: the configured backing stores, wrapped, and
 * the one that pages come from. A get of a page is done by the porter: it must not be done inside
 * the call.
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "cache/peer/catalog_inside.h"

static struct catalog_store *store_of(struct backing *backing)
{
	return CONTAINER_OF(backing, struct catalog_store, backing);
}

/* --- what passes through */

static void store_get(struct backing *backing, struct backing_get *get)
{
	backing_get(store_of(backing)->inner, get);
}

static void store_promote(struct backing *backing, struct backing_get *get)
{
	backing_promote(store_of(backing)->inner, get);
}

static void store_reload(struct backing *backing, const struct backing_config *config)
{
	backing_reload(store_of(backing)->inner, config);
}

static const struct counters *store_counters(const struct backing *backing)
{
	/* the first member, so that const need not be cast away */
	return backing_counters(((const struct catalog_store *)(const void *)backing)->inner);
}

static void store_describe(struct backing *backing, char *out, size_t out_size)
{
	backing_describe(store_of(backing)->inner, out, out_size);
}

static void never_destroyed(struct backing *backing)
{
	(void)backing;
	CHECK(!"the catalog's own");
}

/* --- what is asked once for all */

/* Whether there is anybody else to ask, or to answer. */
static bool has_company(const struct catalog *catalog)
{
	const struct placement_table *table = placement_acquire(catalog->setup.placement);
	unsigned count;

	placement_members(table, &count);
	placement_release(catalog->setup.placement, table);
	return count > 1;
}

static struct ask *ask_begin(struct catalog *catalog, struct question *question,
			     const struct backing_request *request)
{
	struct ask *ask = question ? ask_create(catalog, question) : NULL;

	if (!ask) {
		question_put(question);
		return NULL;
	}
	ask->asked_ns = catalog_now(catalog);
	ask->deadline_ns = request->deadline_ns;
	ask->max_age_ns = request->max_age_ns;
	ask->absent_age_ns = request->absent_age_ns;
	return ask;
}

/* Return: whether it is the catalog's now. */
static bool ask_post(struct catalog *catalog, struct ask *ask)
{
	if (!ask)
		return false;
	if (atomic_fetch_add(&catalog->asks, 1) < CATALOG_ASKS_MAX && catalog_post_ask(ask))
		return true;
	atomic_fetch_sub(&catalog->asks, 1);
	ask_free(ask);
	return false;
}

static bool takes_list(const struct catalog_store *store, const struct backing_list *list)
{
	return store->inner->ops->remote && !list->after && list->max_keys > 0 &&
	       list->max_keys <= PEER_ASK_KEYS_MAX && has_company(store->catalog);
}

static void store_list(struct backing *backing, struct backing_list *list)
{
	struct catalog_store *store = store_of(backing);
	struct ask *ask = NULL;

	if (takes_list(store, list))
		ask = ask_begin(store->catalog, question_of_list(store, list), &list->request);
	if (ask)
		ask->list = list;
	if (!ask_post(store->catalog, ask))
		backing_list(store->inner, list);
}

static void store_head(struct backing *backing, struct backing_head *head)
{
	struct catalog_store *store = store_of(backing);
	struct ask *ask = NULL;

	if (store->inner->ops->remote && has_company(store->catalog))
		ask = ask_begin(store->catalog, question_of_head(store, head), &head->request);
	if (ask)
		ask->head = head;
	if (!ask_post(store->catalog, ask))
		backing_head(store->inner, head);
}

void catalog_store_init(struct catalog *catalog, struct catalog_store *store, struct backing *inner)
{
	store->catalog = catalog;
	store->inner = inner;
	store->ops = (struct backing_ops){
		.type = inner->ops->type,
		.remote = inner->ops->remote,
		.seeks = inner->ops->seeks,
		.transient = inner->ops->transient,
		.chains = true, /* the store's own does as it likes */
		.head = store_head,
		.get = store_get,
		.list = store_list,
		.promote = store_promote,
		.reload = store_reload,
		.counters = store_counters,
		.describe = store_describe,
		.destroy = never_destroyed,
	};
	store->backing.ops = &store->ops;
	store->backing.id = inner->id;
}

struct catalog_store *catalog_store_of(struct catalog *catalog, const char *id)
{
	for (unsigned i = 0; i < catalog->setup.backing_count; i++)
		if (strcmp(catalog->stores[i].inner->id, id) == 0)
			return &catalog->stores[i];
	return NULL;
}

/* --- pages */

/* In the get's space. */
struct page_get {
	struct catalog_job job;
	struct backing_get *get;
	struct catalog_page *page; /* NULL: it is not here */
};

static_assert(sizeof(struct page_get) <= BACKING_GET_SPACE, "room for ours");

static int page_copy(const struct catalog_page *page, const struct backing_get *get)
{
	if (!page)
		return -ESTALE;
	if (get->off > page->len || get->len > page->len - get->off)
		return -ERANGE;
	memcpy(get->dst, page->bytes + get->off, get->len);
	return 0;
}

static void page_get_run(struct catalog_job *job)
{
	struct page_get *page_get = CONTAINER_OF(job, struct page_get, job);
	struct backing_get *get = page_get->get;

	get->request.status = page_copy(page_get->page, get);
	get->request.problem[0] = '\0';
	if (get->request.status)
		snprintf(get->request.problem, sizeof(get->request.problem),
			 "not a page that this node keeps");
	catalog_page_put(page_get->page);
	get->done(get);
}

static struct catalog *pages_of(struct backing *backing)
{
	return CONTAINER_OF(backing, struct catalog, pages);
}

static void pages_get(struct backing *backing, struct backing_get *get)
{
	struct catalog *catalog = pages_of(backing);
	struct page_get *page_get = (struct page_get *)(void *)get->space;

	*page_get = (struct page_get){
		.job.run = page_get_run,
		.get = get,
		.page = kept_find(catalog, get->request.bucket, get->etag),
	};
	catalog->setup.porter.carry(catalog->setup.porter.context, &page_get->job);
}

/* No mount entry names it: its id cannot be configured. */
static void pages_head(struct backing *backing, struct backing_head *head)
{
	(void)backing;
	(void)head;
	CHECK(!"nobody looks for pages by name");
}

static void pages_list(struct backing *backing, struct backing_list *list)
{
	(void)backing;
	(void)list;
	CHECK(!"nobody looks for pages by name");
}

static void pages_describe(struct backing *backing, char *out, size_t out_size)
{
	(void)backing;
	snprintf(out, out_size, "listings that members keep");
}

static const struct backing_ops pages_ops = {
	.type = "catalog",
	.transient = true,
	.head = pages_head,
	.get = pages_get,
	.list = pages_list,
	.describe = pages_describe,
	.destroy = never_destroyed,
};

void catalog_pages_init(struct catalog *catalog)
{
	static char id[] = CATALOG_BACKING;

	catalog->pages.ops = &pages_ops;
	catalog->pages.id = id;
}
