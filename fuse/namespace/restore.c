/*
 * restore.c - see restore.h.
 *
 * A record says who its node's parent is, and records come in no order. A node's id is higher than
 * its parent's, who was there before it: in the order of their ids parents come before children. Of
 * two nodes of one name the later one has it, as when they were made.
 *
 * What a death left half done, and what is made of it:
 *
 *	made, but nobody was told	no lookups: forgotten, unless it stands above others, or is
 *					so new that the kernel is about to ask for it again
 *	made, the one before it		loses the name now
 *	  not outdated yet
 *	told, but the worker died	one lookup more than the kernel knows of: a suspect, to be
 *	  before the reply was sent	asked about (namespace_suspects())
 *	parent or mount entry gone	stale, without a name: waits to be forgotten, or for the
 *					entry to be there again
 *
 * Mount entries have an index in the ledger's list that they keep for as long as a record has it,
 * whatever their order in the configuration: no record needs to be changed when that does, and
 * there is no moment in which some were and some were not. What makes an entry the same one is its
 * path and what lies there: backing store, bucket and prefix.
 */
#include "fuse/namespace/restore.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "base/log.h"
#include "fuse/namespace/above.h"
#include "fuse/namespace/version.h"

#define ITEMS_MIN 1024
/* Before the last change that the former worker made: what it did for requests that it had in hand
 * when it died, hanging perhaps. */
#define SUSPECT_NS (30 * NS_PER_S)

struct item {
	uint64_t id;
	struct node *node; /* valid until the first node is freed */
	int16_t entry;	   /* as recorded */
	bool known;	   /* the kernel knows it */
};

struct restore {
	struct namespace *ns;
	struct item *items;
	size_t count, room;
	uint64_t last_ns; /* when a node's lookups last changed */
	unsigned gone;
	bool used[LEDGER_ENTRIES_MAX];	     /* by index in the ledger: records have it */
	int16_t entries[LEDGER_ENTRIES_MAX]; /* ... which mount entry it is now */
};

/* --- mount entries --------------------------------------------------------------------------- */

static const char *text_or_empty(const char *text)
{
	return text ? text : "";
}

static uint64_t entry_digest(const struct mount_entry_config *config)
{
	const char *texts[] = { config->path, text_or_empty(config->backing),
				text_or_empty(config->bucket), text_or_empty(config->prefix) };
	uint64_t digest = (uint64_t)config->kind;

	/* Each over the one before it and the next text: no text can run into another. */
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		uint64_t pair[2] = { digest, digest_xxh3(texts[i], strlen(texts[i])) };

		digest = digest_xxh3(pair, sizeof(pair));
	}
	return digest ? digest : 1;
}

static unsigned digest_find(const uint64_t *digests, uint64_t digest)
{
	unsigned index = 0;

	while (index < LEDGER_ENTRIES_MAX && digests[index] != digest)
		index++;
	return index;
}

/* An index for an entry that has none: one that was never used, or by no record any more. */
static unsigned index_take(const struct restore *restore)
{
	unsigned index = 0;

	while (index < LEDGER_ENTRIES_MAX &&
	       (restore->used[index] || restore->entries[index] != NODE_ENTRY_GONE))
		index++;
	return index;
}

static void entry_set(struct restore *restore, unsigned entry, unsigned index)
{
	restore->entries[index] = (int16_t)entry;
	restore->ns->nodes.recorded[entry] = (uint16_t)index;
}

/* Which mount entry each index of the ledger means now, and an index for each entry. Return: how
 * many entries found none. */
static unsigned entries_match(struct restore *restore, uint64_t *digests)
{
	const struct namespace *ns = restore->ns;
	unsigned lacking = 0;

	for (unsigned i = 0; i < LEDGER_ENTRIES_MAX; i++)
		restore->entries[i] = NODE_ENTRY_GONE;
	for (unsigned i = 0; i < ns->entry_count; i++) {
		unsigned index = digest_find(digests, entry_digest(ns->entries[i].config));

		if (index < LEDGER_ENTRIES_MAX)
			entry_set(restore, i, index);
	}
	for (unsigned i = 0; i < ns->entry_count; i++) {
		uint64_t digest = entry_digest(ns->entries[i].config);
		unsigned index = digest_find(digests, digest);

		if (index < LEDGER_ENTRIES_MAX)
			continue;
		index = index_take(restore);
		lacking += index == LEDGER_ENTRIES_MAX;
		if (index == LEDGER_ENTRIES_MAX)
			continue;
		digests[index] = digest;
		entry_set(restore, i, index);
	}
	return lacking;
}

static int entries_restore(struct restore *restore, char *problem, size_t problem_size)
{
	uint64_t before[LEDGER_ENTRIES_MAX], digests[LEDGER_ENTRIES_MAX];
	struct ledger *ledger = restore->ns->settings.ledger;
	unsigned lacking, count = LEDGER_ENTRIES_MAX;

	for (unsigned i = 0; i < LEDGER_ENTRIES_MAX; i++)
		before[i] = digests[i] = ledger_entries_digest(ledger, i);
	lacking = entries_match(restore, digests);
	if (lacking > 0) {
		snprintf(problem, problem_size,
			 "%u mount entries cannot be told apart from %d of former configurations "
			 "whose "
			 "files the kernel still knows: unmount, and start again",
			 lacking, LEDGER_ENTRIES_MAX);
		return -ENOSPC;
	}
	while (count > 0 && digests[count - 1] == 0)
		count--;
	/* While it is written, a death would leave none: not without need. */
	if (memcmp(before, digests, sizeof(before)) != 0)
		ledger_set_entries(ledger, digests, count);
	return 0;
}

/* --- nodes ------------------------------------------------------------------------------------ */

static int item_add(struct restore *restore, const struct item *item)
{
	if (restore->count == restore->room) {
		size_t room = restore->room ? restore->room * 2 : ITEMS_MIN;
		struct item *items = reallocarray(restore->items, room, sizeof(*items));

		if (!items)
			return -ENOMEM;
		restore->items = items;
		restore->room = room;
	}
	restore->items[restore->count++] = *item;
	return 0;
}

/* Of each record. Those that cannot be of a node are removed. */
static int collect(void *context, uint32_t place, const struct ledger_node *record)
{
	struct restore *restore = context;
	struct namespace *ns = restore->ns;
	struct ledger *ledger = ns->settings.ledger;
	uint64_t changed_ns = ledger_node_changed_ns(ledger, place);
	struct item item = { .id = record->id, .entry = record->entry };

	if (record->id <= NODE_ROOT_ID || record->kind > NODE_FILE ||
	    node_find(&ns->nodes, record->id)) {
		ledger_node_remove(ledger, place);
		return 0;
	}
	item.node = node_restore(&ns->nodes, place, record);
	if (!item.node)
		return -ENOMEM;
	item.known = node_lookups(&ns->nodes, item.node) > 0;
	if (record->entry >= 0 && record->entry < LEDGER_ENTRIES_MAX)
		restore->used[record->entry] = true;
	if (changed_ns > restore->last_ns && changed_ns <= ledger_adopted_ns(ledger))
		restore->last_ns = changed_ns;
	return item_add(restore, &item);
}

static int item_compare(const void *a, const void *b)
{
	const struct item *left = a, *right = b;

	return (left->id > right->id) - (left->id < right->id);
}

/* Whether a name below @parent has a key. */
static bool key_fits(const struct namespace *ns, const struct node *parent, const struct node *node)
{
	char key[NAMES_KEY_MAX + 1];
	int len = version_key(ns, parent, key);

	return len >= 0 && (size_t)node->name_len + (node->kind == NODE_DIRECTORY) <=
				   NAMES_KEY_MAX - (size_t)len;
}

/* The mount entry that @node, recorded with entry @recorded, has below @parent; NODE_ENTRY_GONE: it
 * does not belong there. */
static int entry_below(const struct restore *restore, const struct node *parent,
		       const struct node *node, int recorded)
{
	const struct namespace *ns = restore->ns;
	int entry = NODE_ENTRY_NONE;

	if (!names_component_valid(node_name(node), node->name_len))
		return NODE_ENTRY_GONE;
	if (recorded != NODE_ENTRY_NONE)
		entry = recorded >= 0 && recorded < LEDGER_ENTRIES_MAX ? restore->entries[recorded]
								       : NODE_ENTRY_GONE;
	if (parent->entry != NODE_ENTRY_NONE)
		return entry == parent->entry && key_fits(ns, parent, node) ? entry
									    : NODE_ENTRY_GONE;
	if (node->kind != NODE_DIRECTORY ||
	    above_find(ns, parent, node_name(node), node->name_len) != entry)
		return NODE_ENTRY_GONE;
	return entry;
}

/* Below its parent, who is there already. What is gone hangs below one that is gone, too, or the
 * root: the next worker may know the entry again, and then needs them all. */
static int item_link(struct restore *restore, const struct item *item)
{
	struct namespace *ns = restore->ns;
	struct node *node = item->node, *parent = NULL;
	uint64_t parent_id = node_parent_id(node);
	int err;

	if (parent_id < item->id)
		parent = node_find(&ns->nodes, parent_id);
	if (parent && parent->kind != NODE_DIRECTORY)
		parent = NULL;
	if (parent && parent->entry != NODE_ENTRY_GONE)
		node->entry = (int16_t)entry_below(restore, parent, node, item->entry);
	if (node->entry == NODE_ENTRY_GONE) {
		restore->gone++;
		node->outdated = true;
		node->ino = node->id;
		return node_link(&ns->nodes, node, parent ? parent : ns->nodes.root, false);
	}
	err = node_link(&ns->nodes, node, parent, true);
	if (!err)
		version_restored(ns, node);
	return err;
}

/* The kernel may be about to ask for it again: see struct namespace's young. */
static bool is_young(const struct namespace *ns, const struct node *node)
{
	uint64_t now_ns = ns->restored_ns;

	return node->entry != NODE_ENTRY_GONE && !node->outdated && node->made_ns > 0 &&
	       node->made_ns <= now_ns && now_ns - node->made_ns < NAMESPACE_FRESH_NS;
}

static int suspects_collect(struct restore *restore)
{
	struct namespace *ns = restore->ns;
	uint64_t since_ns = clock_before_ns(restore->last_ns, SUSPECT_NS);

	ns->suspects = calloc(restore->count ? restore->count : 1, sizeof(*ns->suspects));
	if (!ns->suspects)
		return -ENOMEM;
	for (size_t i = 0; i < restore->count; i++) {
		const struct item *item = &restore->items[i];

		if (item->known &&
		    ledger_node_changed_ns(ns->settings.ledger, item->node->place) >= since_ns)
			ns->suspects[ns->suspect_count++] = item->id;
	}
	return 0;
}

/* Those that the kernel does not know and that nothing stands on; children before their parents. */
static void forget_unknown(struct restore *restore)
{
	struct namespace *ns = restore->ns;

	for (size_t i = restore->count; i-- > 0;) {
		const struct item *item = &restore->items[i];
		struct node *node = item->known ? NULL : node_find(&ns->nodes, item->id);

		if (node)
			node_settle(&ns->nodes, node);
	}
}

static int nodes_link(struct restore *restore)
{
	struct namespace *ns = restore->ns;
	int err = 0;

	if (restore->count > 1)
		qsort(restore->items, restore->count, sizeof(*restore->items), item_compare);
	for (size_t i = 0; !err && i < restore->count; i++)
		err = item_link(restore, &restore->items[i]);
	for (size_t i = 0; !err && i < restore->count; i++)
		if (is_young(ns, restore->items[i].node))
			version_keep(ns, restore->items[i].node);
	return err;
}

static int nodes_restore(struct restore *restore, char *problem, size_t problem_size)
{
	struct namespace *ns = restore->ns;
	uint64_t count;
	int err;

	ns->restored_ns = clock_now_ns(ns->settings.clock);
	err = ledger_nodes_each(ns->settings.ledger, collect, restore);
	if (!err)
		err = entries_restore(restore, problem, problem_size);
	if (!err)
		err = nodes_link(restore);
	if (!err)
		err = suspects_collect(restore);
	if (err)
		return err;
	count = ns->nodes.count;
	forget_unknown(restore);
	counter_set(ns->settings.counters, MOUNT_NODES, ns->nodes.count);
	log_notice("mount.restored", "nodes=%" PRIu64 " forgotten=%" PRIu64 " gone=%u suspects=%zu",
		   ns->nodes.count, count - ns->nodes.count, restore->gone, ns->suspect_count);
	return 0;
}

int restore(struct namespace *ns, char *problem, size_t problem_size)
{
	struct restore *restore = calloc(1, sizeof(*restore));
	int err;

	if (!restore)
		return -ENOMEM;
	restore->ns = ns;
	err = ledger_adopted_ns(ns->settings.ledger) != 0
		      ? nodes_restore(restore, problem, problem_size)
		      : entries_restore(restore, problem, problem_size);
	free(restore->items);
	free(restore);
	return err;
}
