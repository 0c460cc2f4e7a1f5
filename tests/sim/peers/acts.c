/*
 * acts.c - what the scripts of the nodes are made of.
 */
#include "tests/sim/peers/model.h"

#include <errno.h>

#include "cache/window/room.h"

static bool reads_here(const struct model_node *node)
{
	const struct model_world *world = node->world;

	for (unsigned i = 0; i < world->read_count; i++)
		if (world->reads[i].under_way && world->reads[i].node == node->number)
			return true;
	return false;
}

bool model_act_enabled(const struct model_node *node)
{
	if (node->script->kind == ACT_WAIT)
		return !reads_here(node);
	/* a crash in the middle of its own fetches is what nobody else could notice */
	return node->script->kind != ACT_RESTART || !model_node_asks(node);
}

/* --- reading */

static bool bytes_right(const struct cache_read *read, const uint8_t *expected)
{
	size_t done = 0;

	for (int i = 0; i < read->iov_count; i++) {
		if (memcmp(read->iov[i].iov_base, expected + done, read->iov[i].iov_len) != 0)
			return false;
		done += read->iov[i].iov_len;
	}
	return done == read->len;
}

static void read_ended(struct model_read *read)
{
	struct model_world *world = read->world;
	uint64_t now_ns = clock_now_ns(&world->clock.clock);
	const struct model_unit *unit = &model_units[read->unit];
	int status = read->read.status;
	bool faulty = world->faulty >= 0, late = now_ns >= read->started_ns + 30 * NS_PER_S;

	read->under_way = false;
	model_tally.reads++;
	model_tally.failed += status != 0;
	if (status == 0) {
		if ((int)read->node != world->faulty && !bytes_right(&read->read, unit->bytes))
			model_fail(world, "a read of unit %u on node %u got a wrong byte",
				   read->unit, read->node);
		cache_read_finish(&read->read);
	} else if (!read->excused && !late && !faulty) {
		model_fail(world, "a read of unit %u on node %u failed: %d", read->unit, read->node,
			   status);
	}
	cache_object_put(read->object);
}

static void read_done(struct cache_read *read)
{
	read_ended(CONTAINER_OF(read, struct model_read, read));
}

static void read_start(struct model_node *node, unsigned unit)
{
	struct model_world *world = node->world;
	struct model_read *read = &world->reads[world->read_count];
	int ready;

	if (world->read_count == MODEL_READS_MAX)
		return;
	world->read_count++;
	*read = (struct model_read){ .world = world,
				     .node = node->number,
				     .unit = unit,
				     .started_ns = clock_now_ns(&world->clock.clock),
				     .under_way = true };
	CHECK(cache_object_open(node->cache, &model_units[unit].version, 1, &node->backing,
				"/model", &read->object) == 0);
	read->read.object = read->object;
	read->read.len = world->scenario->unit_len;
	read->read.done = read_done;
	ready = cache_read_start(node->cache, &read->read);
	if (ready != 0)
		read_ended(read);
}

static void read_cancel(const struct model_node *node)
{
	struct model_world *world = node->world;

	for (unsigned i = 0; i < world->read_count; i++) {
		struct model_read *read = &world->reads[i];

		if (!read->under_way || read->node != node->number || read->excused)
			continue;
		read->excused = true;
		cache_read_cancel(&read->read);
		return;
	}
}

/* --- the rest */

static void evict(struct model_node *node, unsigned unit)
{
	struct cache *cache = node->cache;
	struct window_entry *entry;

	pthread_mutex_lock(&cache->lock);
	entry = window_find(&cache->window, &model_units[unit].window_key);
	if (entry && entry->state == WINDOW_CLEAN && !entry->pinned[WINDOW_FORWARD])
		window_release(&cache->window, entry);
	pthread_mutex_unlock(&cache->lock);
}

static void fence(struct model_node *node, unsigned unit)
{
	struct member_id id = model_member(model_units[unit].owner);
	struct neighbour *neighbour = neighbours_find(node->neighbours, &id);

	if (neighbour && neighbour->peer)
		transport_peer_disconnect(neighbour->peer);
}

/* Who was connected to it hears of its end, sooner or later. */
static void tell_of_end(struct model_world *world, unsigned number)
{
	struct loop_network *network = world->network;
	uint64_t at_ns = clock_now_ns(network->clock) + network->faults.delay_max_ns;

	for (unsigned i = 0; i < world->scenario->nodes; i++) {
		struct loop_half *half = LIST_FIRST(&network->nodes[i]->halves);

		for (; half && i != number; half = LIST_NEXT(half, by_node))
			if (half->other_number == number)
				loop_text_post(half->node, LOOP_BROKEN, half->id, -ECONNRESET,
					       "it was killed", at_ns);
	}
}

static void restart(struct model_node *node)
{
	struct model_world *world = node->world;

	for (unsigned i = 0; i < world->read_count; i++)
		if (world->reads[i].node == node->number)
			world->reads[i].excused = true;
	tell_of_end(world, node->number);
	loop_kill(world->network, node->number);
	model_node_down(node);
	model_node_up(node);
}

void model_act(struct model_node *node)
{
	unsigned order = buddy_order_of(node->world->scenario->unit_len);
	struct buddy *buddy = &node->cache->window.arena.buddy;
	const struct model_act *act = node->script++;

	switch (act->kind) {
	case ACT_READ:
		read_start(node, act->unit);
		break;
	case ACT_EVICT:
		evict(node, act->unit);
		break;
	case ACT_CANCEL:
		read_cancel(node);
		break;
	case ACT_FENCE:
		fence(node, act->unit);
		break;
	case ACT_RESTART:
		restart(node);
		break;
	case ACT_TAKE:
		CHECK(buddy_alloc(buddy, order, &node->taken_off) == 0);
		break;
	case ACT_GIVE:
		buddy_free(buddy, node->taken_off, order);
		break;
	case ACT_WAIT:
	case ACT_END:
		break;
	}
}
