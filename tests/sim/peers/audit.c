/*
 * audit.c - what must hold.
 *
 * At every moment:
 *	- whatever a window says is complete has exactly the bytes of its unit: with that, no byte
 *	  lands in a frame that was given to somebody else
 *	- the frame of a lease is its unit's until the owner ends the lease
 *	- a slice of a READ under a lease finds the bytes of its unit
 *	- no READ is begun by a locator of a former life, once the new one has been heard of
 * At the end:
 *	- every read has ended, nothing is asked, staged, leased, pinned or under way
 */
#include "tests/sim/peers/model.h"

static bool complete(const struct window_entry *entry)
{
	return entry->state == WINDOW_DIRTY || entry->state == WINDOW_WRITING ||
	       entry->state == WINDOW_CLEAN;
}

static void audit_window(struct model_world *world, struct model_node *node)
{
	struct window *window = &node->cache->window;

	for (unsigned region = 0; region < MODEL_FRAMES; region++) {
		struct window_entry *entry = LIST_FIRST(&window->regions[region].entries);

		for (; entry; entry = LIST_NEXT(entry, by_region)) {
			unsigned unit = model_unit_of(&entry->key);

			if (!complete(entry))
				continue;
			if (unit >= MODEL_UNITS || memcmp(window_data(window, entry),
							  model_units[unit].bytes, entry->len) != 0)
				model_fail(world, "wrong bytes in the window of node %u, unit %u",
					   node->number, unit);
			else
				node->lay[unit][region] = true;
		}
	}
}

static void audit_leases(struct model_world *world, struct model_node *node)
{
	for (unsigned i = 0; i < MODEL_LEASES_MAX; i++) {
		const struct model_lease *lease = &node->leases[i];
		const struct window_entry *entry;

		if (!lease->stage)
			continue;
		entry = window_find(&node->cache->window, &model_units[lease->unit].window_key);
		if (!entry || !complete(entry) || entry->off != lease->stage->off)
			model_fail(world, "node %u: the frame of a lease, unit %u, was recycled",
				   node->number, lease->unit);
	}
}

/* Where and by what @event's READ was begun. Return: NULL: not of bytes. */
static const struct pursuit *pursuit_of(const struct loop_event *event)
{
	const struct pursuit *pursuit = event->read->context;

	return event->kind == LOOP_SLICE && event->read->region == PEER_REGION_ARENA &&
			       pursuit->state == PURSUIT_READING
		       ? pursuit
		       : NULL;
}

static struct model_node *node_of(struct model_world *world, const struct member_id *id)
{
	for (unsigned i = 0; i < world->scenario->nodes; i++)
		if (member_id_equal(&world->nodes[i].id, id))
			return &world->nodes[i];
	return NULL;
}

void model_audit_read(struct model_world *world, const struct transport_read *read)
{
	const struct pursuit *pursuit = read->context;
	const struct model_node *node, *owner;
	unsigned unit, frame;

	if (read->region != PEER_REGION_ARENA || pursuit->source != SOURCE_LOCATOR ||
	    world->faulty >= 0)
		return;
	node = node_of(world, &pursuit->reader->setup.self);
	owner = node_of(world, &pursuit->holder);
	unit = model_unit_of(&pursuit->fetch->key);
	frame = (unsigned)(pursuit->off >> BUDDY_ORDER_MAX);
	if (node->heard[owner->number] == owner->life &&
	    (frame >= MODEL_FRAMES || !owner->lay[unit][frame]))
		model_fail(world, "node %u reads unit %u where it lay in a former life of node %u",
			   node->number, unit, owner->number);
}

void model_audit(struct model_world *world)
{
	for (unsigned i = 0; i < world->scenario->nodes; i++) {
		struct model_node *node = &world->nodes[i];

		if ((int)i != world->faulty)
			audit_window(world, node);
		audit_leases(world, node);
	}
}

void model_audit_slice(struct model_world *world, struct model_node *node,
		       const struct loop_event *event)
{
	const struct loop_half *half = loop_half_find(world->network, event->half);
	const struct pursuit *pursuit = pursuit_of(event);
	const struct model_node *owner;
	unsigned unit;

	if (!half || half->state != LOOP_UP || !pursuit || !pursuit->leased || world->faulty >= 0)
		return;
	owner = &world->nodes[half->other_number];
	unit = model_unit_of(&pursuit->fetch->key);
	if (loop_half_find(world->network, half->other) &&
	    memcmp(arena_at(&owner->cache->window.arena, pursuit->off), model_units[unit].bytes,
		   pursuit->fetch->len) != 0)
		model_fail(world, "node %u reads unit %u under a lease, and finds something else",
			   node->number, unit);
}

static void audit_end_node(struct model_world *world, struct model_node *node)
{
	struct window *window = &node->cache->window;

	if (!reader_is_idle(node->reader))
		model_fail(world, "node %u still asks", node->number);
	if (!owner_is_idle(node->owner))
		model_fail(world, "node %u still serves", node->number);
	if (TAILQ_FIRST(&node->gets) || node->cache->fill_count > 0)
		model_fail(world, "node %u still fills", node->number);
	for (unsigned i = 0; i < MODEL_LEASES_MAX; i++)
		if (node->leases[i].stage)
			model_fail(world, "node %u: a lease of unit %u was never given back",
				   node->number, node->leases[i].unit);
	for (unsigned i = 0; i < MODEL_FRAMES; i++)
		if (window->regions[i].pinned[WINDOW_FORWARD])
			model_fail(world, "node %u: frame %u is still pinned", node->number, i);
	if (counter_get(&node->counters, PEERS_LEASES) ||
	    counter_get(&node->counters, PEERS_INFLIGHT))
		model_fail(world, "node %u still counts leases or fetches", node->number);
}

void model_audit_end(struct model_world *world)
{
	for (unsigned i = 0; i < world->read_count; i++)
		if (world->reads[i].under_way)
			model_fail(world, "deadlock: a read of unit %u on node %u never ends",
				   world->reads[i].unit, world->reads[i].node);
	for (unsigned i = 0; i < world->scenario->nodes; i++)
		audit_end_node(world, &world->nodes[i]);
}
