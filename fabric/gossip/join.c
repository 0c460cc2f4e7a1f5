/*
 * join.c - finding others: names are resolved anew at every try (a Kubernetes headless service
 * changes what it stands for), each address that comes of it is asked for its view.
 *
 * Seeds are tried in rounds. While this node is alone the next round comes soon, at first after
 * ROUND_FIRST_NS and doubling; later once a ROUND_LAST_NS, and then only those that no live member
 * has: a half of the cluster that everybody has forgotten is found again so. What is remembered
 * from a former life is tried only while alone.
 */
#include "fabric/gossip/inside.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/error.h"
#include "base/log.h"
#include "fabric/gossip/socket.h"

#define ROUND_FIRST_NS NS_PER_S
#define ROUND_LAST_NS  (60 * NS_PER_S)
#define HOST_MAX       256

struct name_chore {
	struct chore chore; /* the first member */
	char text[MEMBERSHIP_ADDRESS_MAX];
	char host[HOST_MAX];
	uint16_t port;
	int64_t task;
	bool seed;
	/* what came of it */
	struct address addresses[MEMBERSHIP_ADDRESSES_MAX];
	unsigned count;
	char problem[MEMBERSHIP_PROBLEM_MAX];
};

static bool is_alone(const struct membership *membership)
{
	struct swim_stats stats;

	swim_stats(membership->swim, &stats);
	return stats.alive + stats.suspect <= 1;
}

static bool live_member_has(const struct membership *membership, const struct address *address)
{
	for (uint32_t i = 0; i < membership->roster.count; i++) {
		const struct roster_entry *entry = roster_entry(&membership->roster, i);

		if (entry && address_equal(&entry->details.gossip, address) &&
		    (i == ROSTER_SELF || swim_state(membership->swim, i) == SWIM_ALIVE ||
		     swim_state(membership->swim, i) == SWIM_SUSPECT))
			return true;
	}
	return false;
}

/* --- one address */

static void try_failed(struct membership *membership, int64_t task, const char *who, bool seed,
		       int status, const char *text)
{
	if (task)
		task_line(membership, task, who, status, text);
	join_done(membership, seed);
}

static void address_try(struct membership *membership, const struct address *address, int64_t task,
			const char *text, bool seed)
{
	const struct wire_details *own = &roster_entry(&membership->roster, ROSTER_SELF)->details;
	char who[MEMBERSHIP_ADDRESS_MAX], where[ADDRESS_TEXT_MAX];
	int error;

	snprintf(who, sizeof(who), "%.170s", text);
	address_text(address, where);
	if (strncmp(text, where, strlen(text)) != 0)
		snprintf(who, sizeof(who), "%.170s (%s)", text, where);
	if (seed && live_member_has(membership, address)) {
		join_done(membership, seed);
		return;
	}
	/* A service's name stands for us, too. */
	if (address_equal(address, &own->gossip)) {
		try_failed(membership, task, who, seed, 0, "this node itself");
		return;
	}
	error = exchange_views(membership, address, NULL, task, who, seed);
	if (error)
		try_failed(membership, task, who, seed, error, NULL);
}

/* --- names */

static struct name_chore *name_of(struct chore *chore)
{
	return CONTAINER_OF(chore, struct name_chore, chore);
}

static void name_drop(struct chore *chore)
{
	free(name_of(chore));
}

static void name_add(struct name_chore *name, const struct addrinfo *found)
{
	struct address address = { 0 };

	if (found->ai_family != AF_INET && found->ai_family != AF_INET6)
		return;
	memcpy(&address.storage, found->ai_addr, found->ai_addrlen);
	address_set_port(&address, name->port);
	for (unsigned i = 0; i < name->count; i++)
		if (address_equal(&name->addresses[i], &address))
			return;
	if (name->count < MEMBERSHIP_ADDRESSES_MAX)
		name->addresses[name->count++] = address;
}

/* On the worker's thread, as long as the resolver likes. */
static void name_run(struct chore *chore)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_DGRAM };
	struct name_chore *name = name_of(chore);
	struct addrinfo *found = NULL;
	int error = getaddrinfo(name->host, NULL, &hints, &found);

	if (error) {
		snprintf(name->problem, sizeof(name->problem), "its name cannot be resolved: %s",
			 error == EAI_SYSTEM ? error_text(-errno) : gai_strerror(error));
		return;
	}
	for (const struct addrinfo *each = found; each; each = each->ai_next)
		name_add(name, each);
	freeaddrinfo(found);
	if (name->count == 0)
		snprintf(name->problem, sizeof(name->problem), "its name has no address");
}

static void name_done(struct chore *chore, void *owner)
{
	struct name_chore *name = name_of(chore);
	struct membership *membership = owner;
	struct task *task = task_find(membership, name->task);

	if (name->count == 0) {
		log_info("gossip.join", "name=%s problem=\"%s\"", name->text, name->problem);
		try_failed(membership, name->task, name->text, name->seed, -EHOSTUNREACH,
			   name->problem);
	}
	/* One answer was expected; there will be as many as there are addresses. */
	for (unsigned i = 1; i < name->count; i++) {
		if (task)
			task_expect(task);
		if (name->seed)
			membership->seeds.under_way++;
	}
	for (unsigned i = 0; i < name->count; i++)
		address_try(membership, &name->addresses[i], name->task, name->text, name->seed);
	free(name);
}

/* "host" or "host:port" into its parts. Return: 0, -EINVAL. */
static int name_split(const char *text, char host[HOST_MAX], uint16_t *out_port)
{
	const char *colon = strchr(text, ':');
	size_t len = colon ? (size_t)(colon - text) : strlen(text);
	unsigned long port = MEMBERSHIP_PORT;
	char *end;

	if (colon) {
		port = strtoul(colon + 1, &end, 10);
		if (colon[1] < '0' || colon[1] > '9' || *end || port == 0 || port > UINT16_MAX)
			return -EINVAL;
	}
	if (len == 0 || len >= HOST_MAX || strcspn(text, " \t/[]") < len)
		return -EINVAL;
	memcpy(host, text, len);
	host[len] = '\0';
	*out_port = (uint16_t)port;
	return 0;
}

int join_check(const char *text, char *problem, size_t problem_size)
{
	struct address address;
	char host[HOST_MAX];
	uint16_t port;

	if (strlen(text) < MEMBERSHIP_ADDRESS_MAX &&
	    (address_parse(text, MEMBERSHIP_PORT, &address, problem, problem_size) == 0 ||
	     name_split(text, host, &port) == 0))
		return 0;
	snprintf(problem, problem_size,
		 "'%.100s' is neither an address nor a name: 10.0.0.7, [fd00::7]:7472, gpu-7 or "
		 "gpu-7:7472",
		 text);
	return -EINVAL;
}

int join_resolve(struct membership *membership, const char *text, int64_t task, bool seed)
{
	char problem[MEMBERSHIP_PROBLEM_MAX];
	struct address address;
	struct name_chore *name;
	int error;

	if (address_parse(text, MEMBERSHIP_PORT, &address, problem, sizeof(problem)) == 0) {
		address_try(membership, &address, task, text, seed);
		return 0;
	}
	name = calloc(1, sizeof(*name));
	if (!name)
		return -ENOMEM;
	name->chore = (struct chore){ .run = name_run, .done = name_done, .drop = name_drop };
	name->task = task;
	name->seed = seed;
	snprintf(name->text, sizeof(name->text), "%s", text);
	error = name_split(text, name->host, &name->port);
	if (!error)
		error = chores_post(membership->names, &name->chore);
	if (error)
		free(name);
	return error;
}

/* --- rounds */

int join_seed_add(struct membership *membership, const char *text, bool remembered)
{
	struct seeds *seeds = &membership->seeds;

	for (unsigned i = 0; i < seeds->count; i++)
		if (strcmp(seeds->items[i].text, text) == 0)
			return 0;
	if (seeds->count == MEMBERSHIP_SEEDS_MAX)
		return -ENOSPC;
	seeds->items[seeds->count].remembered = remembered;
	snprintf(seeds->items[seeds->count++].text, MEMBERSHIP_ADDRESS_MAX, "%s", text);
	return 0;
}

/* The first round is over, whatever came of it: this node is as much of the cluster as it will be.
 */
static void serving_begin(struct membership *membership)
{
	membership->seeds.round_done = true;
	if (membership->phase != SWIM_JOINING)
		return;
	carrier_announce(membership, SWIM_SERVING, 0);
}

static void round_end(struct membership *membership)
{
	struct seeds *seeds = &membership->seeds;
	uint64_t wait_ns = ROUND_LAST_NS;

	if (!seeds->round_done)
		serving_begin(membership);
	if (is_alone(membership)) {
		seeds->backoff_ns = seeds->backoff_ns ? 2 * seeds->backoff_ns : ROUND_FIRST_NS;
		if (seeds->backoff_ns > ROUND_LAST_NS)
			seeds->backoff_ns = ROUND_LAST_NS;
		wait_ns = seeds->backoff_ns;
	} else {
		seeds->backoff_ns = 0;
	}
	/* Those that started together part. */
	wait_ns += random_below(&membership->random, wait_ns / 4);
	seeds->next_ns = clock_after_ns(now_of(membership), wait_ns);
}

void join_done(struct membership *membership, bool seed)
{
	if (seed && --membership->seeds.under_way == 0)
		round_end(membership);
}

void join_tick(struct membership *membership)
{
	struct seeds *seeds = &membership->seeds;
	bool alone;

	if (!carrier_is_active(membership) || seeds->under_way > 0 ||
	    seeds->next_ns > now_of(membership))
		return;
	alone = is_alone(membership);
	seeds->under_way = 1; /* ours, lest the round ends before all of it has begun */
	for (unsigned i = 0; i < seeds->count; i++) {
		if (seeds->items[i].remembered && !alone)
			continue;
		seeds->under_way++;
		if (join_resolve(membership, seeds->items[i].text, 0, true) != 0)
			join_done(membership, true);
	}
	join_done(membership, true);
}

uint64_t join_next_ns(const struct membership *membership)
{
	const struct seeds *seeds = &membership->seeds;

	if (!carrier_is_active(membership) || seeds->under_way > 0 ||
	    (seeds->round_done && seeds->count == 0))
		return CLOCK_NEVER;
	return seeds->next_ns;
}
