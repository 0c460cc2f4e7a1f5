/*
 * handover_peers.c - a handover as a part of this node: it is LEAVING first, and owns nothing any
 * more before the first block is offered, so that who is asked to take it is who would be asked to
 * read it.
 *
 *	ALIVE -> LEAVING -> the placement here is without this node -> its SSD is committed ->
 * handed over. If that fails: ALIVE again, which is a newer incarnation than the LEAVING.
 */
#include <errno.h>
#include <poll.h>

#include "base/log.h"
#include "cache/peer/handover.h"
#include "cache/peer/inside.h"

#define PLACED_NS (30 * NS_PER_S) /* until our own placement is without us, at most */
#define FLUSH_NS  (30 * NS_PER_S) /* what is not on the SSD by then is not handed over */
#define LOOK_NS	  (50 * NS_PER_MS)

struct call {
	struct peers *peers;
	bool (*tell)(void *context, const struct peers_handover *handover);
	void *context;
};

/* Whoever had it leave or join meanwhile has the last word. */
static bool is_leaving(const struct call *call)
{
	struct membership_member self;

	return membership_members(call->peers->membership, 0, 1, &self) == 1 &&
	       self.state == MEMBERSHIP_LEAVING;
}

static bool call_tell(void *context, const struct peers_handover *handover)
{
	const struct call *call = context;

	return is_leaving(call) && call->tell(call->context, handover);
}

static int call_list(void *context, struct store_cursor *cursor, struct store_page *page)
{
	const struct call *call = context;

	return cache_list(call->peers->cache, cursor, page);
}

static void call_ask(void *context, struct peers_inquiry *inquiry)
{
	const struct call *call = context;

	peers_inquire(call->peers, inquiry);
}

/* Who stores blocks, as this node knows it. */
static void placed_look(struct peers *peers, bool *out_placed, bool *out_self, unsigned *out_others)
{
	const struct placement_table *table = placement_acquire(peers->placement);
	const struct placement_member *members;
	unsigned count;

	*out_placed = placement_generation(table) > 0;
	*out_self = false;
	members = placement_members(table, &count);
	for (unsigned i = 0; i < count; i++)
		*out_self |= member_id_equal(&members[i].id, &peers->self);
	*out_others = count - *out_self;
	placement_release(peers->placement, table);
}

/* Return: 0; -ETIMEDOUT, -ECANCELED. */
static int await_unplaced(struct call *call)
{
	const struct peers_handover none = { 0 };
	uint64_t until_ns = clock_after_ns(clock_now_ns(clock_system()), PLACED_NS);
	bool placed, self;
	unsigned others;

	for (;;) {
		placed_look(call->peers, &placed, &self, &others);
		if (!self)
			return 0;
		if (!call_tell(call, &none))
			return -ECANCELED;
		if (clock_now_ns(clock_system()) >= until_ns)
			return -ETIMEDOUT;
		poll(NULL, 0, LOOK_NS / NS_PER_MS);
	}
}

static int await_flushed(struct call *call)
{
	const struct peers_handover none = { 0 };
	uint64_t until_ns = clock_after_ns(clock_now_ns(clock_system()), FLUSH_NS);

	while (cache_flush(call->peers->cache, LOOK_NS)) {
		if (!call_tell(call, &none))
			return -ECANCELED;
		if (clock_now_ns(clock_system()) < until_ns)
			continue;
		log_warning("peers.handover",
			    "problem=\"the cache is still writing\" effect=\"what is not on the "
			    "SSD yet may not be handed over\"");
		break;
	}
	return 0;
}

static int hand_over(struct call *call, struct peers_handover *out)
{
	const struct handover_setup setup = {
		.clock = call->peers->clock,
		.placement = call->peers->placement,
		.block_len = cache_block_len(call->peers->cache),
		.context = call,
		.list = call_list,
		.ask = call_ask,
		.tell = call_tell,
	};
	int error = await_unplaced(call);

	if (!error)
		error = await_flushed(call);
	return error ? error : handover_run(&setup, out);
}

int peers_handover(struct peers *peers,
		   bool (*tell)(void *context, const struct peers_handover *handover),
		   void *context, struct peers_handover *out)
{
	struct call call = { .peers = peers, .tell = tell, .context = context };
	bool placed, self;
	unsigned others;
	int error;

	*out = (struct peers_handover){ 0 };
	placed_look(peers, &placed, &self, &others);
	if (!placed)
		return -EAGAIN;
	if (others == 0)
		return -EHOSTUNREACH;
	error = membership_drain(peers->membership);
	if (error)
		return error;
	error = hand_over(&call, out);
	if (error)
		(void)membership_stay(peers->membership);
	return error;
}
