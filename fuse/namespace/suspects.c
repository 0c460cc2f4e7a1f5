/*
 * suspects.c - nodes that the kernel may not know: the worker that died had counted a lookup, and
 * whether its reply went out nobody can tell. restore.c finds them; who can ask the kernel asks.
 */
#include <stdlib.h>

#include "base/check.h"
#include "fuse/namespace/inside.h"

#define BATCH_MAX 1024 /* looked at under the lock at a time */
/* No reply is under way for so long between its being counted and the kernel's having it. */
#define SETTLED_NS (10 * NS_PER_S)

/* Return: false: what it has now it may have from a request that is just being answered. */
static bool is_settled(const struct namespace *ns, const struct node *node,
		       struct namespace_suspect *out)
{
	const struct ledger *ledger = ns->settings.ledger;
	uint64_t now_ns = clock_now_ns(clock_system()); /* the ledger's */

	*out = (struct namespace_suspect){
		.id = node->id,
		.lookups = node_lookups(&ns->nodes, node),
		.changed_ns = ledger_node_changed_ns(ledger, node->place),
	};
	return out->changed_ns <= ledger_adopted_ns(ledger) ||
	       out->changed_ns <= clock_before_ns(now_ns, SETTLED_NS);
}

/* Those that are not settled move to the front of the list, for the next round. */
static unsigned batch(struct namespace *ns, struct namespace_suspect *out, unsigned max)
{
	unsigned count = 0;

	for (unsigned seen = 0;
	     seen < BATCH_MAX && count < max && ns->suspect_next < ns->suspect_count; seen++) {
		uint64_t id = ns->suspects[ns->suspect_next++];
		const struct node *node = node_find(&ns->nodes, id);

		if (!node || node_lookups(&ns->nodes, node) == 0)
			continue;
		if (is_settled(ns, node, &out[count]))
			count++;
		else
			ns->suspects[ns->suspect_later++] = id;
	}
	return count;
}

static void round_end(struct namespace *ns)
{
	ns->suspect_count = ns->suspect_later;
	ns->suspect_next = ns->suspect_later = 0;
	if (ns->suspect_count > 0)
		return;
	free(ns->suspects);
	ns->suspects = NULL;
}

unsigned namespace_suspects(struct namespace *ns, struct namespace_suspect *out, unsigned max)
{
	unsigned count;
	bool more;

	CHECK(max > 0);
	do {
		pthread_mutex_lock(&ns->lock);
		count = batch(ns, out, max);
		more = ns->suspect_next < ns->suspect_count;
		if (count == 0 && !more)
			round_end(ns);
		pthread_mutex_unlock(&ns->lock);
	} while (count == 0 && more);
	return count;
}

bool namespace_suspects_later(struct namespace *ns)
{
	bool later;

	pthread_mutex_lock(&ns->lock);
	later = ns->suspect_count > 0;
	pthread_mutex_unlock(&ns->lock);
	return later;
}

bool namespace_forget_suspect(struct namespace *ns, const struct namespace_suspect *suspect)
{
	struct namespace_suspect now;
	struct node *node;
	bool same;

	pthread_mutex_lock(&ns->lock);
	node = node_find(&ns->nodes, suspect->id);
	same = node && is_settled(ns, node, &now) && now.lookups == suspect->lookups &&
	       now.changed_ns == suspect->changed_ns;
	if (same)
		node_forget(&ns->nodes, node, suspect->lookups);
	counter_set(ns->settings.counters, MOUNT_NODES, ns->nodes.count);
	pthread_mutex_unlock(&ns->lock);
	return same;
}
