#include "tests/unit/fuse/ledger/rig.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"

struct ledger *rig_create(void)
{
	struct ledger *ledger;

	CHECK(ledger_create(&ledger) == 0);
	return ledger;
}

struct ledger *rig_adopt(const struct ledger *ledger)
{
	int fd = dup(ledger_fd(ledger));
	struct ledger *next;

	CHECK(fd >= 0);
	CHECK(ledger_adopt(fd, &next) == 0);
	return next;
}

struct ledger *rig_next(struct ledger *ledger)
{
	struct ledger *next = rig_adopt(ledger);

	ledger_destroy(ledger);
	return next;
}

struct list {
	void *out;
	unsigned count;
};

static int collect_node(void *context, uint32_t place, const struct ledger_node *node)
{
	struct list *list = context;
	struct rig_node *to = (struct rig_node *)list->out + list->count++;

	CHECK(list->count <= RIG_MAX);
	to->node = *node;
	to->place = place;
	CHECK(strlen(node->name) == node->name_len);
	strcpy(to->name, node->name);
	strcpy(to->etag, node->etag);
	to->node.name = NULL; /* of the ledger: only until the next one is read */
	to->node.etag = NULL;
	return 0;
}

static int collect_handle(void *context, const struct ledger_handle *handle)
{
	struct list *list = context;

	((struct ledger_handle *)list->out)[list->count++] = *handle;
	CHECK(list->count <= RIG_MAX);
	return 0;
}

static int collect_backing(void *context, const struct ledger_backing *backing)
{
	struct list *list = context;

	((struct ledger_backing *)list->out)[list->count++] = *backing;
	CHECK(list->count <= RIG_MAX);
	return 0;
}

static int order(uint64_t a, uint64_t b)
{
	return a < b ? -1 : a > b;
}

static int order_nodes(const void *a, const void *b)
{
	return order(((const struct rig_node *)a)->node.id, ((const struct rig_node *)b)->node.id);
}

static int order_handles(const void *a, const void *b)
{
	return order(((const struct ledger_handle *)a)->number,
		     ((const struct ledger_handle *)b)->number);
}

static int order_backings(const void *a, const void *b)
{
	return ((const struct ledger_backing *)a)->id - ((const struct ledger_backing *)b)->id;
}

unsigned rig_nodes(struct ledger *ledger, struct rig_node *out)
{
	struct list list = { .out = out };

	CHECK(ledger_nodes_each(ledger, collect_node, &list) == 0);
	qsort(out, list.count, sizeof(*out), order_nodes);
	for (unsigned i = 0; i < list.count; i++) {
		out[i].node.name = out[i].name;
		out[i].node.etag = out[i].etag;
	}
	return list.count;
}

unsigned rig_handles(struct ledger *ledger, struct ledger_handle *out)
{
	struct list list = { .out = out };

	CHECK(ledger_handles_each(ledger, collect_handle, &list) == 0);
	qsort(out, list.count, sizeof(*out), order_handles);
	return list.count;
}

unsigned rig_backings(struct ledger *ledger, struct ledger_backing *out)
{
	struct list list = { .out = out };

	CHECK(ledger_backings_each(ledger, collect_backing, &list) == 0);
	qsort(out, list.count, sizeof(*out), order_backings);
	return list.count;
}

struct ledger_node rig_node(uint64_t id, const char *name, const char *etag)
{
	return (struct ledger_node){
		.id = id,
		.parent = id / 2,
		.size = id * 1000,
		.mtime_s = 1 - (int64_t)id,
		.made_ns = id << 7,
		.entry = (int16_t)((int)(id % 7) - 1),
		.kind = id % 2,
		.flags = id % 16,
		.name = name,
		.name_len = strlen(name),
		.etag = etag,
	};
}

void rig_text(char *out, size_t len, unsigned salt)
{
	for (size_t i = 0; i < len; i++)
		out[i] = (char)('a' + (i * 7 + salt) % 26);
	out[len] = '\0';
}

uint64_t rig_memory_used(const struct ledger *ledger)
{
	struct stat st;

	CHECK(fstat(ledger_fd(ledger), &st) == 0);
	return (uint64_t)st.st_blocks * 512;
}
