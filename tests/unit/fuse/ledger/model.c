#include "tests/unit/fuse/ledger/model.h"

#include <string.h>

#include "base/check.h"
#include "tests/unit/fuse/ledger/rig.h"

void model_init(struct model *model, uint64_t seed)
{
	memset(model, 0, sizeof(*model));
	random_init(&model->random, seed);
	model->next = 1;
}

/* --- operations */

static enum model_kind kind_choose(struct model *model, unsigned index)
{
	bool node = model->nodes[index % MODEL_NODES].id;
	const struct model_handle *handle = &model->handles[index % MODEL_HANDLES];

	switch (random_below(&model->random, 8)) {
	case 0:
	case 1:
		return node ? MODEL_NODE_RAISE : MODEL_NODE_ADD;
	case 2:
		return node ? MODEL_NODE_LOWER : MODEL_NODE_ADD;
	case 3:
		return node ? MODEL_NODE_SET : MODEL_NODE_ADD;
	case 4:
		return node ? MODEL_NODE_REMOVE : MODEL_NODE_ADD;
	case 5:
		return handle->unique ? MODEL_HANDLE_REMOVE : MODEL_HANDLE_ADD;
	case 6:
		if (!handle->unique)
			return MODEL_HANDLE_ADD;
		return handle->directory ? MODEL_CURSOR_SET : MODEL_HANDLE_REPLIED;
	default:
		return model->backings[index % MODEL_BACKINGS] ? MODEL_BACKING_REMOVE
							       : MODEL_BACKING_ADD;
	}
}

struct model_operation model_choose(struct model *model)
{
	struct model_operation operation = { .index = (unsigned)random_u64(&model->random) };

	operation.kind = kind_choose(model, operation.index);
	operation.number = model->next++;
	operation.chance = random_u64(&model->random);
	if (operation.kind < MODEL_HANDLE_ADD)
		operation.index %= MODEL_NODES;
	else if (operation.kind < MODEL_BACKING_ADD)
		operation.index %= MODEL_HANDLES;
	else
		operation.index %= MODEL_BACKINGS;
	return operation;
}

static void details_choose(struct model_node *node, uint64_t chance)
{
	node->size = chance % 1000003;
	node->mtime = chance % 1009;
	node->made_ns = chance % 100003;
	node->flags = chance % 16;
}

static void node_choose(struct model_node *node, const struct model_operation *operation)
{
	uint64_t chance = operation->chance;

	*node = (struct model_node){ .id = operation->number };
	node->name_len = chance % 4 ? chance % 41 : chance % (LEDGER_NAME_MAX + 1);
	node->etag_len = chance % 8 ? 32 : chance % (LEDGER_ETAG_MAX + 1);
	details_choose(node, chance);
}

void model_apply(struct model *model, const struct model_operation *operation)
{
	struct model_node *node = &model->nodes[operation->index % MODEL_NODES];
	struct model_handle *handle = &model->handles[operation->index % MODEL_HANDLES];
	uint64_t *backing = &model->backings[operation->index % MODEL_BACKINGS];

	switch (operation->kind) {
	case MODEL_NODE_ADD:
		node_choose(node, operation);
		model->id_base = node->id + 1;
		break;
	case MODEL_NODE_SET:
		details_choose(node, operation->chance);
		break;
	case MODEL_NODE_REMOVE:
		node->id = 0;
		break;
	case MODEL_NODE_RAISE:
		node->lookups++;
		break;
	case MODEL_NODE_LOWER:
		node->lookups -= operation->chance % (node->lookups + 1);
		break;
	case MODEL_HANDLE_ADD:
		*handle = (struct model_handle){
			.unique = operation->number,
			.node = operation->chance | 1,
			.directory = operation->chance / 2 % 2,
		};
		break;
	case MODEL_HANDLE_REPLIED:
		handle->replied = true;
		break;
	case MODEL_HANDLE_REMOVE:
		handle->unique = 0;
		break;
	case MODEL_CURSOR_SET:
		handle->offs[1] = handle->offs[0];
		handle->offs[0] = operation->number;
		break;
	case MODEL_BACKING_ADD:
		*backing = model->backing_last = operation->number;
		break;
	case MODEL_BACKING_REMOVE:
		*backing = 0;
		break;
	}
}

/* --- on the ledger */

static struct ledger_node ledger_node_of(const struct model_node *node, char *name, char *etag)
{
	rig_text(name, node->name_len, (unsigned)node->id);
	rig_text(etag, node->etag_len, (unsigned)node->id + 1);
	return (struct ledger_node){
		.id = node->id,
		.parent = node->id * 3,
		.size = node->size,
		.mtime_s = (int64_t)node->mtime,
		.made_ns = node->made_ns,
		.entry = (int16_t)(node->id % 5),
		.kind = node->id % 2,
		.flags = (uint8_t)node->flags,
		.name = name,
		.name_len = node->name_len,
		.etag = etag,
	};
}

static struct ledger_cursor cursor_of(uint64_t off)
{
	struct ledger_cursor cursor = { .off = off, .directory = off % 2 };

	cursor.name_len = (uint8_t)(off * 31 % 256);
	rig_text(cursor.name, cursor.name_len, (unsigned)off);
	return cursor;
}

static struct ledger_backing backing_of(uint64_t id)
{
	struct ledger_backing backing = {
		.id = (int32_t)id,
		.directory = id % 3,
		.node = id * 5,
	};

	memset(backing.object.bytes, (int)(id % 251), sizeof(backing.object.bytes));
	return backing;
}

void model_prepare(const struct model *model, const struct model_operation *operation,
		   struct model_call *call)
{
	struct model_node node = model->nodes[operation->index % MODEL_NODES];
	const struct model_handle *handle = &model->handles[operation->index % MODEL_HANDLES];
	uint64_t backing = model->backings[operation->index % MODEL_BACKINGS];

	call->operation = *operation;
	call->place = node.place;
	call->number = handle->number;
	if (operation->kind == MODEL_NODE_ADD)
		node_choose(&node, operation);
	else if (operation->kind == MODEL_NODE_SET)
		details_choose(&node, operation->chance);
	else if (operation->kind == MODEL_NODE_LOWER)
		call->number = operation->chance % (node.lookups + 1);
	if (operation->kind == MODEL_BACKING_ADD)
		backing = operation->number;
	call->node = ledger_node_of(&node, call->name, call->etag);
	call->handle = (struct ledger_handle){
		.node = operation->chance | 1,
		.unique = operation->number,
		.directory = operation->chance / 2 % 2,
	};
	call->cursor = cursor_of(operation->number);
	call->backing = backing_of(backing);
	call->error = 0;
}

void model_call(struct model_call *call, struct ledger *ledger)
{
	switch (call->operation.kind) {
	case MODEL_NODE_ADD:
		call->error = ledger_node_add(ledger, &call->node, &call->place);
		break;
	case MODEL_NODE_SET:
		ledger_node_set(ledger, call->place, &call->node);
		break;
	case MODEL_NODE_REMOVE:
		ledger_node_remove(ledger, call->place);
		break;
	case MODEL_NODE_RAISE:
		ledger_node_raise(ledger, call->place, call->operation.number);
		break;
	case MODEL_NODE_LOWER:
		ledger_node_lower(ledger, call->place, call->number);
		break;
	case MODEL_HANDLE_ADD:
		call->error = ledger_handle_add(ledger, &call->handle, &call->number);
		break;
	case MODEL_HANDLE_REPLIED:
		ledger_handle_replied(ledger, call->number);
		break;
	case MODEL_HANDLE_REMOVE:
		ledger_handle_remove(ledger, call->number);
		break;
	case MODEL_CURSOR_SET:
		ledger_cursor_set(ledger, call->number, &call->cursor);
		break;
	case MODEL_BACKING_ADD:
		call->error = ledger_backing_add(ledger, &call->backing);
		break;
	case MODEL_BACKING_REMOVE:
		ledger_backing_remove(ledger, call->backing.id);
		break;
	}
}

void model_note(struct model *model, const struct model_call *call)
{
	CHECK(call->error == 0);
	if (call->operation.kind == MODEL_NODE_ADD)
		model->nodes[call->operation.index].place = call->place;
	else if (call->operation.kind == MODEL_HANDLE_ADD)
		model->handles[call->operation.index].number = call->number;
}

/* --- comparing */

static struct rig_node nodes[RIG_MAX];
static struct ledger_handle handles[RIG_MAX];
static struct ledger_backing backings[RIG_MAX];

static const struct model_node *node_find(const struct model *model, uint64_t id)
{
	for (unsigned i = 0; i < MODEL_NODES; i++)
		if (model->nodes[i].id == id)
			return &model->nodes[i];
	return NULL;
}

static bool is_one_of(uint64_t value, uint64_t a, uint64_t b)
{
	return value == a || value == b;
}

static void node_compare(const struct rig_node *found, const struct model_node *a,
			 const struct model_node *b, struct ledger *ledger)
{
	char name[LEDGER_NAME_MAX + 1], etag[LEDGER_ETAG_MAX + 1];
	struct ledger_node wanted;

	CHECK(a || b); /* nobody added it */
	a = a ? a : b;
	b = b ? b : a;
	wanted = ledger_node_of(a, name, etag);
	CHECK(found->node.parent == wanted.parent && found->node.entry == wanted.entry);
	CHECK(found->node.kind == wanted.kind && found->node.name_len == wanted.name_len);
	CHECK(strcmp(found->name, name) == 0 && strcmp(found->etag, etag) == 0);
	CHECK(is_one_of(found->node.size, a->size, b->size));
	CHECK(is_one_of((uint64_t)found->node.mtime_s, a->mtime, b->mtime));
	CHECK(is_one_of(found->node.made_ns, a->made_ns, b->made_ns));
	CHECK(is_one_of(found->node.flags, a->flags, b->flags));
	CHECK(is_one_of(ledger_node_lookups(ledger, found->place), a->lookups, b->lookups));
}

static void nodes_compare(const struct model *before, const struct model *after,
			  struct ledger *ledger)
{
	unsigned count = rig_nodes(ledger, nodes), must = 0;

	for (unsigned i = 0; i < MODEL_NODES; i++) {
		uint64_t id = before->nodes[i].id;

		if (!id || !node_find(after, id))
			continue;
		must++;
		for (unsigned k = 0; k < count && id; k++)
			if (nodes[k].node.id == id)
				id = 0;
		CHECK(id == 0); /* it is there */
	}
	for (unsigned k = 0; k < count; k++) {
		uint64_t id = nodes[k].node.id;

		CHECK(k == 0 || nodes[k - 1].node.id != id);
		node_compare(&nodes[k], node_find(before, id), node_find(after, id), ledger);
	}
	CHECK(is_one_of(ledger_id_base(ledger), before->id_base, after->id_base));
	CHECK(count <= must + 1);
}

static const struct model_handle *handle_find(const struct model *model, uint64_t unique)
{
	for (unsigned i = 0; i < MODEL_HANDLES; i++)
		if (model->handles[i].unique == unique)
			return &model->handles[i];
	return NULL;
}

static void cursor_check(struct ledger *ledger, uint64_t number, uint64_t off, bool must)
{
	struct ledger_cursor wanted = cursor_of(off), cursor;

	if (!off)
		return;
	if (!ledger_cursor(ledger, number, off, &cursor)) {
		CHECK(!must);
		return;
	}
	CHECK(cursor.off == off && cursor.directory == wanted.directory);
	CHECK(strcmp(cursor.name, wanted.name) == 0 && cursor.name_len == wanted.name_len);
}

static void handle_compare(const struct ledger_handle *found, const struct model_handle *a,
			   const struct model_handle *b, struct ledger *ledger)
{
	CHECK(a || b);
	a = a ? a : b;
	b = b ? b : a;
	CHECK(found->node == a->node && found->directory == a->directory);
	CHECK(is_one_of(found->replied, a->replied, b->replied));
	/* The one before the operation in hand is always there: the request for which it was made
	 * may come again. The one before that goes, the new one comes. */
	cursor_check(ledger, found->number, a->offs[0], true);
	cursor_check(ledger, found->number, a->offs[1], a->offs[1] == b->offs[1]);
	cursor_check(ledger, found->number, b->offs[0], a->offs[0] == b->offs[0]);
}

static void handles_compare(const struct model *before, const struct model *after,
			    struct ledger *ledger)
{
	unsigned count = rig_handles(ledger, handles), must = 0;

	for (unsigned i = 0; i < MODEL_HANDLES; i++) {
		uint64_t unique = before->handles[i].unique;

		if (!unique || !handle_find(after, unique))
			continue;
		must++;
		for (unsigned k = 0; k < count && unique; k++)
			if (handles[k].unique == unique)
				unique = 0;
		CHECK(unique == 0);
	}
	for (unsigned k = 0; k < count; k++)
		handle_compare(&handles[k], handle_find(before, handles[k].unique),
			       handle_find(after, handles[k].unique), ledger);
	CHECK(count <= must + 1);
}

static bool backing_is_in(const struct model *model, uint64_t id)
{
	for (unsigned i = 0; i < MODEL_BACKINGS; i++)
		if (model->backings[i] == id)
			return true;
	return false;
}

static void backings_compare(const struct model *before, const struct model *after,
			     struct ledger *ledger)
{
	unsigned count = rig_backings(ledger, backings), must = 0;
	uint64_t last = (uint64_t)ledger_backing_last(ledger);

	for (unsigned i = 0; i < MODEL_BACKINGS; i++) {
		uint64_t id = before->backings[i];

		if (!id || !backing_is_in(after, id))
			continue;
		must++;
		for (unsigned k = 0; k < count && id; k++)
			if ((uint64_t)backings[k].id == id)
				id = 0;
		CHECK(id == 0);
	}
	for (unsigned k = 0; k < count; k++) {
		uint64_t id = (uint64_t)backings[k].id;
		struct ledger_backing wanted = backing_of(id);

		CHECK(backing_is_in(before, id) || backing_is_in(after, id));
		CHECK(backings[k].node == wanted.node);
		CHECK(backings[k].directory == wanted.directory);
		CHECK(object_id_equal(&backings[k].object, &wanted.object));
		CHECK(last >= id); /* else the next worker closes it */
	}
	CHECK(count <= must + 1);
	/* One that was taken and is not recorded must lie above: that is how it is found. */
	CHECK(last == before->backing_last || (last == after->backing_last && count > 0 &&
					       (uint64_t)backings[count - 1].id == last));
}

static void undone(void *context, uint64_t id)
{
	CHECK(*(uint64_t *)context == id);
}

/* The request in hand comes again. */
static void raise_again(const struct model *before, const struct model_operation *in_hand,
			struct ledger *ledger)
{
	const struct model_node *node = &before->nodes[in_hand->index];
	unsigned count = rig_nodes(ledger, nodes), k = 0;
	uint64_t lookups, id = node->id;

	while (k < count && nodes[k].node.id != id)
		k++;
	CHECK(k < count);
	ledger_undo(ledger, in_hand->number | LEDGER_AGAIN, undone, &id);
	ledger_node_raise(ledger, nodes[k].place, in_hand->number | LEDGER_AGAIN);
	lookups = ledger_node_lookups(ledger, nodes[k].place);
	CHECK(is_one_of(lookups, node->lookups + 1, node->lookups + 2)); /* never one too few */
}

void model_compare(const struct model *before, const struct model *after,
		   const struct model_operation *in_hand, struct ledger *ledger)
{
	nodes_compare(before, after, ledger);
	handles_compare(before, after, ledger);
	backings_compare(before, after, ledger);
	if (in_hand->kind == MODEL_NODE_RAISE)
		raise_again(before, in_hand, ledger);
}

void model_resync(struct model *model, struct ledger *ledger)
{
	unsigned node_count = rig_nodes(ledger, nodes);
	unsigned handle_count = rig_handles(ledger, handles);
	unsigned backing_count = rig_backings(ledger, backings);

	CHECK(node_count <= MODEL_NODES && handle_count <= MODEL_HANDLES);
	CHECK(backing_count <= MODEL_BACKINGS);
	memset(model->nodes, 0, sizeof(model->nodes));
	memset(model->handles, 0, sizeof(model->handles));
	memset(model->backings, 0, sizeof(model->backings));
	for (unsigned i = 0; i < node_count; i++)
		model->nodes[i] = (struct model_node){
			.id = nodes[i].node.id,
			.size = nodes[i].node.size,
			.mtime = (uint64_t)nodes[i].node.mtime_s,
			.made_ns = nodes[i].node.made_ns,
			.lookups = ledger_node_lookups(ledger, nodes[i].place),
			.flags = nodes[i].node.flags,
			.name_len = (unsigned)nodes[i].node.name_len,
			.etag_len = (unsigned)strlen(nodes[i].etag),
			.place = nodes[i].place,
		};
	for (unsigned i = 0; i < handle_count; i++)
		model->handles[i] = (struct model_handle){
			.unique = handles[i].unique,
			.node = handles[i].node,
			.directory = handles[i].directory,
			.replied = handles[i].replied,
			.number = handles[i].number,
		};
	for (unsigned i = 0; i < backing_count; i++)
		model->backings[i] = (uint64_t)backings[i].id;
	model->backing_last = (uint64_t)ledger_backing_last(ledger);
	model->id_base = ledger_id_base(ledger);
}
