/*
 * get_chain.c - the members of a chain are filled one after the other by one GET, the carrier, so
 * that a server is asked once for what lies in several places here.
 *
 * A member ends as soon as its bytes are there, and may be gone then: whoever comes behind it does
 * not look back. The carrier's own strings are those of the last member, which ends last. Nothing
 * here needs a lock, because the callbacks of one request never overlap.
 */
#include "s3/get_chain.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "s3/get_parts.h"

struct chain {
	struct s3_get carrier;
	struct s3_get *member; /* the first one that is not complete; NULL: all are */
};

static struct chain *chain_of(struct s3_get *carrier)
{
	return CONTAINER_OF(carrier, struct chain, carrier);
}

static void *place(struct s3_get *carrier, size_t *out_room)
{
	const struct s3_get *member = chain_of(carrier)->member;

	*out_room = member->len - member->filled;
	return (char *)member->dst + member->filled;
}

/* The next bytes of the member in turn are there. */
static void on_filled(struct s3_get *carrier, size_t len)
{
	struct chain *chain = chain_of(carrier);
	struct s3_get *member = chain->member;

	member->filled += len;
	if (member->progress)
		member->progress(member, member->filled);
	if (member->filled < member->len)
		return;
	chain->member = member->next;
	member->done(member);
}

static void on_done(struct s3_get *carrier)
{
	struct chain *chain = chain_of(carrier);
	struct s3_get *member, *next;

	CHECK(!chain->member || carrier->request.status);
	for (member = chain->member; member; member = next) {
		next = member->next;
		member->request.status = carrier->request.status;
		memcpy(member->request.problem, carrier->request.problem, S3_PROBLEM_MAX);
		member->done(member);
	}
	free(chain); /* not before: a member may be promoted until its done() has returned */
}

static void chain_add(struct chain *chain, struct s3_get *member)
{
	struct s3_get *carrier = &chain->carrier;

	CHECK(member->len > 0 && member->off == carrier->off + carrier->len);
	carrier->len += member->len;
	carrier->request.bucket = member->request.bucket;
	carrier->request.key = member->request.key;
	carrier->if_match = member->if_match;
	if (member->request.deadline_ns > carrier->request.deadline_ns)
		carrier->request.deadline_ns = member->request.deadline_ns;
	carrier->request.background &= member->request.background;
	memset(&member->request.own, 0, sizeof(member->request.own)); /* never queued itself */
	member->request.status = 0;
	member->request.problem[0] = 0;
	member->filled = 0;
	member->carrier = carrier;
}

bool get_chain_start(struct s3_client *client, struct s3_get *first)
{
	struct chain *chain = calloc(1, sizeof(*chain));

	if (!chain)
		return false;
	chain->member = first;
	chain->carrier = (struct s3_get){
		.request.background = true,
		.off = first->off,
		.place = place,
		.placed = on_filled,
		.done = on_done,
	};
	for (struct s3_get *member = first; member; member = member->next)
		chain_add(chain, member);
	get_start(client, &chain->carrier, NULL);
	return true;
}

struct s3_get *get_chain_carrier(struct s3_get *get)
{
	return get->carrier ? get->carrier : get;
}
