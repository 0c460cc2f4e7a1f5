/*
 * queue.c - rumors waiting to be spread, and what goes into a message.
 *
 * Each is told a bounded number of times, those told least first: what is new goes out first, and
 * what everybody has heard makes room. There is at most one about a member - the newer one takes
 * the older one's place - so the queue cannot outgrow the view.
 */
#include "fabric/gossip/swim/inside.h"

#include <stdlib.h>

#define CAPACITY_MIN 8

static_assert(SWIM_QUEUE_MAX < SWIM_NO_SLOT, "slots are 16 bits");
static_assert(SWIM_SUSPICIONS_MAX < SWIM_NO_SLOT, "slots are 16 bits");

void swim_queue_init(struct swim *swim)
{
	struct swim_queue *queue = &swim->queue;

	queue->free = SWIM_NO_SLOT;
	for (unsigned i = 0; i < SWIM_LEVELS; i++)
		queue->heads[i] = queue->tails[i] = SWIM_NO_SLOT;
}

void swim_queue_fini(struct swim *swim)
{
	free(swim->queue.items);
}

static void link_first(struct swim_queue *queue, uint16_t slot, uint8_t sent)
{
	struct swim_queue_item *item = &queue->items[slot];
	uint16_t next = queue->heads[sent];

	item->sent = sent;
	item->prev = SWIM_NO_SLOT;
	item->next = next;
	queue->heads[sent] = slot;
	if (next == SWIM_NO_SLOT)
		queue->tails[sent] = slot;
	else
		queue->items[next].prev = slot;
}

static void unlink_item(struct swim_queue *queue, uint16_t slot)
{
	const struct swim_queue_item *item = &queue->items[slot];

	if (item->prev == SWIM_NO_SLOT)
		queue->heads[item->sent] = item->next;
	else
		queue->items[item->prev].next = item->next;
	if (item->next == SWIM_NO_SLOT)
		queue->tails[item->sent] = item->prev;
	else
		queue->items[item->next].prev = item->prev;
}

static void release(struct swim *swim, uint16_t slot)
{
	struct swim_queue *queue = &swim->queue;

	unlink_item(queue, slot);
	swim_entry(swim, queue->items[slot].member)->queued = 0;
	queue->items[slot].next = queue->free;
	queue->free = slot;
	queue->count--;
}

/* The one told most often, but not what this node says of itself. */
static void drop_one(struct swim *swim)
{
	struct swim_queue *queue = &swim->queue;

	for (unsigned level = SWIM_LEVELS; level-- > 0;) {
		uint16_t slot = queue->tails[level];

		if (slot != SWIM_NO_SLOT && queue->items[slot].member == swim->setup.self)
			slot = queue->items[slot].prev;
		if (slot == SWIM_NO_SLOT)
			continue;
		release(swim, slot);
		swim->stats.rumors_dropped++;
		return;
	}
}

static void grow(struct swim_queue *queue)
{
	uint32_t capacity = queue->capacity ? 2 * queue->capacity : CAPACITY_MIN;
	struct swim_queue_item *items;

	if (capacity > SWIM_QUEUE_MAX)
		return;
	items = realloc(queue->items, capacity * sizeof(*items));
	if (!items)
		return;
	for (uint32_t slot = capacity; slot-- > queue->capacity;) {
		items[slot].next = queue->free;
		queue->free = (uint16_t)slot;
	}
	queue->items = items;
	queue->capacity = capacity;
}

static uint16_t slot_take(struct swim *swim)
{
	struct swim_queue *queue = &swim->queue;
	uint16_t slot;

	if (queue->free == SWIM_NO_SLOT)
		grow(queue);
	if (queue->free == SWIM_NO_SLOT)
		drop_one(swim);
	slot = queue->free;
	if (slot != SWIM_NO_SLOT) {
		queue->free = queue->items[slot].next;
		queue->count++;
	}
	return slot;
}

void swim_queue_put(struct swim *swim, enum swim_kind kind, uint32_t member, uint32_t incarnation,
		    uint32_t from)
{
	struct swim_queue *queue = &swim->queue;
	struct swim_entry *entry = swim_entry(swim, member);
	uint16_t slot;

	/* the first after a silence goes out at once, those after it in their turn */
	if (queue->count == 0 && swim->gossip_next < swim_time(swim))
		swim->gossip_next = swim_time(swim);
	if (entry->queued) {
		slot = (uint16_t)(entry->queued - 1);
		unlink_item(queue, slot);
	} else {
		slot = slot_take(swim);
		if (slot == SWIM_NO_SLOT) { /* out of memory */
			swim->stats.rumors_dropped++;
			return;
		}
	}
	entry->queued = (uint16_t)(slot + 1);
	queue->items[slot] = (struct swim_queue_item){
		.member = member, .incarnation = incarnation, .from = from, .kind = (uint8_t)kind
	};
	link_first(queue, slot, 0);
}

void swim_queue_drop(struct swim *swim, uint32_t member)
{
	const struct swim_entry *entry = swim_entry(swim, member);

	if (entry->queued)
		release(swim, (uint16_t)(entry->queued - 1));
}

void swim_queue_clear(struct swim *swim)
{
	struct swim_queue *queue = &swim->queue;

	for (unsigned level = 0; level < SWIM_LEVELS; level++)
		while (queue->heads[level] != SWIM_NO_SLOT)
			release(swim, queue->heads[level]);
}

static void told(struct swim *swim, uint16_t slot)
{
	struct swim_queue *queue = &swim->queue;
	const struct swim_queue_item *item = &queue->items[slot];
	unsigned times = swim_scale_retransmits((unsigned)swim->config.retransmit_factor,
						swim_view_live(swim));

	if (item->sent + 1U >= times) {
		release(swim, slot);
		return;
	}
	unlink_item(queue, slot);
	link_first(queue, slot, (uint8_t)(item->sent + 1));
}

static void item_rumor(const struct swim *swim, const struct swim_queue_item *item,
		       struct swim_rumor *out_rumor)
{
	swim_view_rumor(swim, item->member, swim->now, out_rumor);
	out_rumor->kind = item->kind;
	out_rumor->incarnation = item->incarnation;
	out_rumor->from = item->from;
	out_rumor->detailed = item->kind == SWIM_RUMOR_ALIVE;
}

/* Adds @rumor when it fits into what is left of @room. */
static bool add(struct swim *swim, struct swim_message *message, size_t *room,
		const struct swim_rumor *rumor)
{
	size_t len = swim->setup.ops->rumor_len(swim->setup.context, rumor);

	if (len > *room)
		return false;
	*room -= len;
	message->rumors[message->rumor_count++] = *rumor;
	swim->stats.rumors_sent++;
	return true;
}

static void fill(struct swim *swim, struct swim_message *message, size_t room, uint32_t about)
{
	const struct swim_queue *queue = &swim->queue;
	uint16_t slots[SWIM_RUMORS_MAX];
	unsigned count = 0, misfits = 0;

	for (unsigned level = 0; level < SWIM_LEVELS && misfits < SWIM_MISFITS; level++) {
		for (uint16_t slot = queue->heads[level]; slot != SWIM_NO_SLOT;
		     slot = queue->items[slot].next) {
			struct swim_rumor rumor;

			if (message->rumor_count == SWIM_RUMORS_MAX || misfits == SWIM_MISFITS)
				break;
			if (queue->items[slot].member == about)
				continue;
			item_rumor(swim, &queue->items[slot], &rumor);
			if (add(swim, message, &room, &rumor))
				slots[count++] = slot;
			else
				misfits++;
		}
	}
	/* told() puts each before those of its new level: backwards, they stay in order */
	while (count-- > 0)
		told(swim, slots[count]);
}

void swim_post(struct swim *swim, uint32_t to, uint32_t about, enum swim_message_kind kind,
	       uint32_t sequence, uint32_t target)
{
	const struct swim_entry *entry = swim_entry(swim, about);
	bool accused = entry && entry->state != SWIM_ALIVE && about != swim->setup.self;
	size_t room = swim->setup.room[kind];
	struct swim_message message; /* not zeroed: its rumors are 2 KiB */
	struct swim_rumor rumor;

	message.kind = kind;
	message.sequence = sequence;
	message.target = target;
	message.rumor_count = 0;
	if (accused) {
		swim_view_rumor(swim, about, swim->now, &rumor);
		rumor.detailed = false;
		add(swim, &message, &room, &rumor);
	}
	if (swim->queue.count > 0)
		fill(swim, &message, room, accused ? about : SWIM_NOBODY);
	swim->setup.ops->send(swim->setup.context, to, &message);
}

static bool fits_gossip(const struct swim *swim, const struct swim_entry *entry)
{
	if (entry->state == SWIM_DEAD)
		return swim_view_lately_dead(swim, entry);
	return (entry->state == SWIM_ALIVE || entry->state == SWIM_SUSPECT) &&
	       !swim_view_protected(swim, entry);
}

void swim_gossip_tick(struct swim *swim)
{
	uint32_t members[SWIM_GOSSIP_MEMBERS_MAX];
	unsigned count;

	if (swim->queue.count == 0 || swim_time(swim) < swim->gossip_next)
		return;
	swim->gossip_next = swim_time(swim) + swim->config.gossip_interval;
	count = swim_view_sample(swim, fits_gossip, SWIM_NOBODY,
				 (unsigned)swim->config.gossip_members, members);
	for (unsigned i = 0; i < count && swim->queue.count > 0; i++)
		swim_post(swim, members[i], members[i], SWIM_GOSSIP, 0, SWIM_NOBODY);
	if (count == 0)
		swim_queue_clear(swim);
}
