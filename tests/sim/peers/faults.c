/*
 * faults.c - a node that lies: bits flip in its arena, in its directory, and in what it answers.
 *
 * Not in the number of the request that an answer names: whose bytes and checks are whose is the
 * owner's word, and a holder of the cluster's secret is trusted for it (the audit looks after
 * that).
 */
#include "tests/sim/peers/model.h"

#define REQUEST_OFF 2 /* behind version and kind */
#define REQUEST_END 10
#define BUCKETS_OFF 512

static void flip(struct random *random, uint8_t *at, size_t len)
{
	at[random_below(random, len)] ^= (uint8_t)(1u << random_below(random, 8));
}

/* In something that is complete. */
static void flip_memory(struct model_world *world, struct model_node *node)
{
	struct window *window = &node->cache->window;
	unsigned first = (unsigned)random_below(&world->random, MODEL_FRAMES);

	for (unsigned i = 0; i < MODEL_FRAMES; i++) {
		unsigned region = (first + i) % MODEL_FRAMES;
		struct window_entry *entry = LIST_FIRST(&window->regions[region].entries);

		if (!entry || entry->state == WINDOW_FILLING)
			continue;
		flip(&world->random, window_data(window, entry), entry->len);
		model_tally.flips[0]++;
		return;
	}
}

/* In an entry in use, as READs see it; it stays until the entry is written anew. */
static void flip_directory(struct model_world *world, struct model_node *node)
{
	static const uint8_t nothing[64];

	for (size_t off = BUCKETS_OFF; off + 64 <= node->shadow_len; off += 64) {
		if (memcmp(node->shadow + off, nothing, sizeof(nothing)) == 0 ||
		    random_below(&world->random, 3) == 0)
			continue;
		flip(&world->random, node->shadow + off + 24, 40); /* behind the key */
		model_tally.flips[1]++;
		return;
	}
}

static bool is_answer(const struct loop_event *event)
{
	return event->kind == LOOP_MESSAGE && event->len > REQUEST_END &&
	       event->bytes[1] >= PEER_STAGED && event->bytes[1] <= PEER_PUSH;
}

static void flip_message(struct model_world *world, const struct model_node *node)
{
	for (unsigned i = 0; i < world->scenario->nodes; i++) {
		struct loop_event *event = TAILQ_FIRST(&world->network->nodes[i]->events);

		for (; event; event = TAILQ_NEXT(event, by_time)) {
			const struct loop_half *half = loop_half_find(world->network, event->half);

			if (!half || half->other_number != node->number || !is_answer(event))
				continue;
			if (random_below(&world->random, 8) == 0)
				flip(&world->random, event->bytes, REQUEST_OFF);
			else
				flip(&world->random, event->bytes + REQUEST_END,
				     event->len - REQUEST_END);
			model_tally.flips[2]++;
			return;
		}
	}
}

void model_fault(struct model_world *world)
{
	struct model_node *node = &world->nodes[world->faulty];

	switch (random_below(&world->random, 3)) {
	case 0:
		flip_memory(world, node);
		break;
	case 1:
		flip_directory(world, node);
		break;
	default:
		flip_message(world, node);
		break;
	}
}
