/*
 * node.c - see node.h. Two hash tables over one allocation per node: by id, and by (parent id,
 * name).
 *
 *	lookups > 0 or pins > 0		lives
 *	both 0				freed at once (node_settle), its parent unpinned
 *
 * The root is pinned for ever. A record in the ledger is made before its node is known to anybody
 * and removed with it; of what a death leaves half done, restore.c makes sense: a node that nobody
 * was told of has no lookups, and is not restored.
 */
#include "fuse/namespace/node.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "fuse/namespace/directory.h"
#include "fuse/namespace/names.h"

static_assert(NAMES_COMPONENT_MAX == LEDGER_NAME_MAX, "a name must fit");

#define NAME_KEY_LEN(name_len) (sizeof(uint64_t) + (name_len))

static struct node *node_alloc(uint64_t parent_id, enum node_kind kind, int entry, const char *name,
			       size_t name_len, const char *etag)
{
	size_t etag_size = strlen(etag) + 1;
	struct node *node = calloc(1, sizeof(*node) + NAME_KEY_LEN(name_len) + 1 + etag_size);

	CHECK(name_len <= NAMES_COMPONENT_MAX);
	if (!node)
		return NULL;
	node->kind = (uint8_t)kind;
	node->entry = (int16_t)entry;
	node->name_len = (uint8_t)name_len;
	memcpy(node->text, &parent_id, sizeof(parent_id));
	memcpy(node->text + sizeof(parent_id), name, name_len);
	memcpy(node->text + NAME_KEY_LEN(name_len) + 1, etag, etag_size);
	return node;
}

static int node_insert(struct node_table *table, struct node *node, uint64_t id)
{
	node->id = id;
	HASH_ADD(by_id, table->by_id, id, sizeof(node->id), node);
	if (!HASH_ADDED(node->by_id))
		return -ENOMEM;
	table->count++;
	return 0;
}

static void node_name_drop(struct node_table *table, struct node *node)
{
	if (!node->named)
		return;
	/* It is in the table, so there is one. */
	/* NOLINTNEXTLINE(clang-analyzer-core.NullDereference) */
	HASH_DELETE(by_name, table->by_name, node);
	node->named = false;
}

int node_table_init(struct node_table *table, struct ledger *ledger, uint64_t id_base)
{
	struct node *root = node_alloc(0, NODE_DIRECTORY, NODE_ENTRY_NONE, "", 0, "");
	uint64_t given = ledger_id_base(ledger);

	if (!root)
		return -ENOMEM;
	/* The wall clock may have been set back. */
	*table = (struct node_table){ .root = root,
				      .ledger = ledger,
				      .next_id = (id_base > given ? id_base : given) +
						 NODE_ROOT_ID + 1 };
	node_pin(root);
	if (node_insert(table, root, NODE_ROOT_ID) != 0) {
		free(root);
		table->root = NULL;
		return -ENOMEM;
	}
	return 0;
}

void node_table_fini(struct node_table *table, void (*release)(struct node *node))
{
	struct node *node = table->by_id, *next;

	HASH_CLEAR(by_name, table->by_name);
	HASH_CLEAR(by_id, table->by_id);
	for (; node; node = next) {
		next = node->by_id.next;
		if (release)
			release(node);
		free(node);
	}
	table->root = NULL;
	table->count = 0;
}

struct node *node_find(const struct node_table *table, uint64_t id)
{
	struct node *node;

	HASH_FIND(by_id, table->by_id, &id, sizeof(id), node);
	return node;
}

struct node *node_child(const struct node_table *table, const struct node *parent, const char *name,
			size_t name_len)
{
	char key[NAME_KEY_LEN(NAMES_COMPONENT_MAX)];
	struct node *node;

	if (name_len > NAMES_COMPONENT_MAX)
		return NULL;
	memcpy(key, &parent->id, sizeof(parent->id));
	memcpy(key + sizeof(parent->id), name, name_len);
	HASH_FIND(by_name, table->by_name, key, (unsigned)NAME_KEY_LEN(name_len), node);
	return node;
}

static int node_name_insert(struct node_table *table, struct node *node)
{
	HASH_ADD_KEYPTR(by_name, table->by_name, node->text, (unsigned)NAME_KEY_LEN(node->name_len),
			node);
	node->named = HASH_ADDED(node->by_name);
	return node->named ? 0 : -ENOMEM;
}

/* --- records -------------------------------------------------------------------------------- */

static void record_of(const struct node_table *table, const struct node *node,
		      struct ledger_node *out)
{
	bool file = node->kind == NODE_FILE;

	*out = (struct ledger_node){
		.id = node->id,
		.parent = node_parent_id(node),
		.size = file ? node->size : 0,
		.mtime_s = file ? node->mtime_s : 0,
		.made_ns = node->made_ns,
		.entry = node->entry,
		.kind = node->kind,
		.flags = (uint8_t)((node->outdated ? LEDGER_NODE_OUTDATED : 0) |
				   (node->passthrough ? LEDGER_NODE_PASSTHROUGH : 0) |
				   (node->superseded ? LEDGER_NODE_SUPERSEDED : 0) |
				   (node->confirmed ? LEDGER_NODE_CONFIRMED : 0)),
		.name = node_name(node),
		.name_len = node->name_len,
		.etag = node_etag(node),
	};
	if (node->entry >= 0)
		out->entry = (int16_t)table->recorded[node->entry];
}

void node_record(struct node_table *table, const struct node *node)
{
	struct ledger_node record;

	if (node == table->root)
		return;
	record_of(table, node, &record);
	ledger_node_set(table->ledger, node->place, &record);
}

static int record_add(struct node_table *table, struct node *node)
{
	struct ledger_node record;
	int err;

	record_of(table, node, &record);
	err = ledger_node_add(table->ledger, &record, &node->place);
	if (err && !table->full_said)
		log_error("mount.nodes",
			  "nodes=%" PRIu64
			  " error=\"the kernel remembers more files than can be kept "
			  "for a restart: names are not found until it forgets some; "
			  "'echo 2 > /proc/sys/vm/drop_caches' makes it\"",
			  table->count);
	table->full_said |= err != 0;
	return err;
}

/* --- making and linking --------------------------------------------------------------------- */

/* Who has the name, loses it. */
static int node_name_take(struct node_table *table, struct node *node, struct node *before)
{
	if (before) {
		node_name_drop(table, before);
		node_outdate(table, before, 0);
	}
	return node_name_insert(table, node);
}

static void node_remove(struct node_table *table, struct node *node)
{
	node_name_drop(table, node);
	/* It is in the table, so there is one. */
	/* NOLINTNEXTLINE(clang-analyzer-core.NullDereference) */
	HASH_DELETE(by_id, table->by_id, node);
	table->count--;
}

struct node *node_create(struct node_table *table, struct node *parent, enum node_kind kind,
			 int entry, const char *name, size_t name_len, const char *etag)
{
	struct node *before = node_child(table, parent, name, name_len);
	struct node *node = node_alloc(parent->id, kind, entry, name, name_len, etag);

	if (!node)
		return NULL;
	if (node_insert(table, node, table->next_id++) != 0)
		goto free_node;
	if (record_add(table, node) != 0)
		goto remove;
	if (node_name_take(table, node, before) != 0)
		goto remove_record;
	node->parent = parent;
	node_pin(parent);
	return node;

remove_record:
	ledger_node_remove(table->ledger, node->place);
remove:
	node_remove(table, node);
free_node:
	free(node);
	return NULL;
}

struct node *node_restore(struct node_table *table, uint32_t place,
			  const struct ledger_node *record)
{
	struct node *node;

	if (node_find(table, record->id))
		return NULL;
	node = node_alloc(record->parent, record->kind, NODE_ENTRY_GONE, record->name,
			  record->name_len, record->etag);
	if (!node)
		return NULL;
	node->place = place;
	node->made_ns = record->made_ns;
	node->outdated = record->flags & LEDGER_NODE_OUTDATED;
	node->passthrough = record->flags & LEDGER_NODE_PASSTHROUGH;
	node->superseded = record->flags & LEDGER_NODE_SUPERSEDED;
	node->confirmed = record->flags & LEDGER_NODE_CONFIRMED;
	if (node->kind == NODE_FILE) {
		node->size = record->size;
		node->mtime_s = record->mtime_s;
	}
	if (node_insert(table, node, record->id) != 0) {
		free(node);
		return NULL;
	}
	return node;
}

int node_link(struct node_table *table, struct node *node, struct node *parent, bool named)
{
	CHECK(!node->parent);
	if (named &&
	    node_name_take(table, node,
			   node_child(table, parent, node_name(node), node->name_len)) != 0)
		return -ENOMEM;
	node->parent = parent;
	node_pin(parent);
	return 0;
}

uint64_t node_parent_id(const struct node *node)
{
	uint64_t id;

	memcpy(&id, node->text, sizeof(id));
	return id;
}

void node_outdate(struct node_table *table, struct node *node, uint64_t now_ns)
{
	bool before = node->outdated;

	node->outdated = true;
	node->checked_ns = now_ns;
	if (!before)
		node_record(table, node);
}

/* --- references ----------------------------------------------------------------------------- */

void node_refer(struct node_table *table, struct node *node, uint64_t unique)
{
	if (unique == 0)
		node_pin(node);
	else if (node != table->root)
		ledger_node_raise(table->ledger, node->place, unique);
}

static void settle_undone(void *context, uint64_t id)
{
	struct node_table *table = context;
	struct node *node = node_find(table, id);

	if (node)
		node_settle(table, node);
}

void node_undo(struct node_table *table, uint64_t unique)
{
	if (unique & LEDGER_AGAIN)
		ledger_undo(table->ledger, unique, settle_undone, table);
}

uint64_t node_lookups(const struct node_table *table, const struct node *node)
{
	return node == table->root ? 0 : ledger_node_lookups(table->ledger, node->place);
}

void node_unpin(struct node_table *table, struct node *node)
{
	CHECK(node->pins > 0);
	node->pins--;
	node_settle(table, node);
}

void node_forget(struct node_table *table, struct node *node, uint64_t count)
{
	/* The root's count is the kernel's own affair: it is never looked up. */
	if (node != table->root)
		ledger_node_lower(table->ledger, node->place, count);
	node_settle(table, node);
}

void node_settle(struct node_table *table, struct node *node)
{
	while (node && node->pins == 0 && node_lookups(table, node) == 0) {
		struct node *parent = node->parent;

		ledger_node_remove(table->ledger, node->place);
		node_remove(table, node);
		if (node->kind == NODE_DIRECTORY)
			directory_free(node->directory);
		free(node);
		if (parent) {
			CHECK(parent->pins > 0);
			parent->pins--;
		}
		node = parent;
	}
}

/* Whether the walk up ends here: at the entry's own directory, or at the root. */
static bool path_ends(const struct node *node)
{
	return !node->parent ||
	       (node->entry != NODE_ENTRY_NONE && node->parent->entry == NODE_ENTRY_NONE);
}

int node_path(const struct node *node, char *out, size_t out_size)
{
	const struct node *at;
	size_t len = 0, end;
	bool above = node->entry == NODE_ENTRY_NONE;

	for (at = node; !path_ends(at); at = at->parent)
		len += at->name_len + 1U;
	if (len > 0 && !above)
		len--; /* no slash at the start */
	if (above && len == 0) {
		if (out_size < 2)
			return -ENAMETOOLONG;
		memcpy(out, "/", 2);
		return 1;
	}
	if (len >= out_size)
		return -ENAMETOOLONG;
	end = len;
	out[end] = '\0';
	for (at = node; !path_ends(at); at = at->parent) {
		end -= at->name_len;
		memcpy(out + end, node_name(at), at->name_len);
		if (end > 0)
			out[--end] = '/';
	}
	return (int)len;
}
