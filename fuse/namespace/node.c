/*
 * node.c - see node.h. Two hash tables over one allocation per node: by id, and by (parent id,
 * name).
 *
 *	lookups > 0 or pins > 0		lives
 *	both 0				freed at once (node_settle), its parent unpinned
 *
 * The root is pinned for ever.
 */
#include "fuse/namespace/node.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fuse/namespace/directory.h"
#include "fuse/namespace/names.h"

#define NAME_KEY_LEN(name_len) (sizeof(uint64_t) + (name_len))

static struct node *node_alloc(struct node *parent, enum node_kind kind, int entry,
			       const char *name, size_t name_len, const char *etag)
{
	size_t etag_size = strlen(etag) + 1;
	struct node *node = calloc(1, sizeof(*node) + NAME_KEY_LEN(name_len) + 1 + etag_size);
	uint64_t parent_id = parent ? parent->id : 0;

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

int node_table_init(struct node_table *table, uint64_t id_base)
{
	struct node *root = node_alloc(NULL, NODE_DIRECTORY, NODE_ENTRY_NONE, "", 0, "");

	if (!root)
		return -ENOMEM;
	*table = (struct node_table){ .root = root, .next_id = id_base + NODE_ROOT_ID + 1 };
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

struct node *node_create(struct node_table *table, struct node *parent, enum node_kind kind,
			 int entry, const char *name, size_t name_len, const char *etag)
{
	struct node *before = node_child(table, parent, name, name_len);
	struct node *node = node_alloc(parent, kind, entry, name, name_len, etag);

	if (!node)
		return NULL;
	if (node_insert(table, node, table->next_id++) != 0) {
		free(node);
		return NULL;
	}
	if (before) {
		node_name_drop(table, before);
		node_outdate(before, 0);
	}
	if (node_name_insert(table, node) != 0) {
		HASH_DELETE(by_id, table->by_id, node);
		table->count--;
		free(node);
		return NULL;
	}
	node->parent = parent;
	node_pin(parent);
	return node;
}

void node_outdate(struct node *node, uint64_t now_ns)
{
	node->outdated = true;
	node->checked_ns = now_ns;
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
	node->lookups -= count < node->lookups ? count : node->lookups;
	node_settle(table, node);
}

void node_settle(struct node_table *table, struct node *node)
{
	while (node && node->lookups == 0 && node->pins == 0) {
		struct node *parent = node->parent;

		node_name_drop(table, node);
		/* NOLINTNEXTLINE(clang-analyzer-core.NullDereference) as above */
		HASH_DELETE(by_id, table->by_id, node);
		table->count--;
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
