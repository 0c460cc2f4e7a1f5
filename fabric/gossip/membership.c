/*
 * membership.c - the door: bringing membership up and down, and the calls that only look or ask.
 *
 *	CREATED -- start --> RUNNING -- stop --> (told, or out of time) STOPPED -- destroy -->
 *	RUNNING: MEMBER -- leave --> GONE -- join --> MEMBER;  MEMBER -- a twin stays --> DISPLACED
 */
#include "fabric/gossip/membership.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/check.h"
#include "base/error.h"
#include "base/log.h"
#include "base/thread.h"
#include "fabric/gossip/inside.h"
#include "fabric/gossip/socket.h"
#include "fabric/keyring.h"

#define ROSTER_SPARE 256 /* indices of members that the machine has not taken yet */

extern const struct counter_spec membership_counter_specs[];

/* --- up */

static int identity_make(struct membership *membership, const struct membership_setup *setup,
			 struct state_member *out_state, char *problem, size_t problem_size)
{
	int error =
		state_claim(membership->state_dir, &membership->state_lock, problem, problem_size);

	if (!error)
		error = state_member_load(membership->state_dir, out_state, problem, problem_size);
	if (error)
		return error;
	snprintf(membership->identity.cluster, sizeof(membership->identity.cluster), "%s",
		 setup->cluster);
	membership->identity.member = out_state->id;
	membership->identity.boot = random_seed();
	membership->identity.ring = setup->ring;
	return 0;
}

static int sockets_open(struct membership *membership, const struct membership_config *config,
			char *problem, size_t problem_size)
{
	struct address listen;
	int error = address_parse(config->listen, MEMBERSHIP_PORT, &listen, problem, problem_size);

	if (!error && config->advertise)
		error = address_parse(config->advertise, MEMBERSHIP_PORT, &membership->advertised,
				      problem, problem_size);
	if (error)
		return error;
	return socket_bind(&listen, &membership->udp, &membership->tcp, &membership->bound, problem,
			   problem_size);
}

/* What this node is called: as told; where it listens; the way to its first seed; any of its
 * addresses; 127.0.0.1 where there is no network. */
static struct address address_choose(struct membership *membership)
{
	struct address chosen = membership->advertised, seed;
	char problem[MEMBERSHIP_PROBLEM_MAX];

	if (address_len(&chosen) > 0)
		return chosen;
	if (!address_is_any(&membership->bound))
		return membership->bound;
	membership->address_is_guess = true;
	for (unsigned i = 0; i < membership->seeds.count; i++)
		if (address_parse(membership->seeds.items[i].text, MEMBERSHIP_PORT, &seed, problem,
				  sizeof(problem)) == 0 &&
		    socket_source(&seed, &chosen) == 0 && !socket_is_loopback(&chosen))
			break;
	if (address_len(&chosen) == 0 || socket_is_loopback(&chosen)) {
		int family = membership->bound.storage.ss_family == AF_INET ? AF_INET : 0;

		if (socket_any_source(family, &chosen) != 0)
			CHECK(address_parse("127.0.0.1", 0, &chosen, problem, sizeof(problem)) ==
			      0);
	}
	address_set_port(&chosen, address_port(&membership->bound));
	return chosen;
}

static void seeds_make(struct membership *membership, const struct membership_config *config)
{
	struct state_peers peers;
	char text[ADDRESS_TEXT_MAX];

	for (unsigned i = 0; i < config->join.count; i++)
		join_seed_add(membership, config->join.items[i], false);
	state_peers_load(membership->state_dir, &peers);
	for (unsigned i = 0; i < peers.count; i++)
		join_seed_add(membership, address_text(&peers.addresses[i], text), true);
}

static int machine_make(struct membership *membership, const struct swim_config *config,
			const struct state_member *state)
{
	struct swim_setup setup = {
		.ops = &carrier_ops,
		.context = membership,
		.random = &membership->random,
		.self = ROSTER_SELF,
		.incarnation = state->incarnation,
		.phase = SWIM_JOINING,
	};
	int error;

	membership->phase = SWIM_JOINING;
	membership->kept_incarnation = state->incarnation;
	random_init(&membership->random, random_seed());
	for (unsigned kind = SWIM_PING; kind < SWIM_MESSAGE_KINDS; kind++)
		setup.room[kind] =
			SEAL_PLAIN_MAX - wire_message_header_len((enum swim_message_kind)kind);
	error = swim_create(config, &setup, now_of(membership), &membership->swim);
	if (!error)
		membership->start_incarnation =
			roster_entry(&membership->roster, ROSTER_SELF)->incarnation;
	return error;
}

static int self_make(struct membership *membership, const struct membership_setup *setup)
{
	uint32_t limit = (uint32_t)setup->config->swim.members_max + ROSTER_SPARE;
	struct roster_entry *self;
	int error = roster_init(&membership->roster, &membership->identity.member, limit);

	if (error)
		return error;
	self = roster_entry(&membership->roster, ROSTER_SELF);
	self->has_details = true;
	self->details.boot = membership->identity.boot;
	self->details.gossip = address_choose(membership);
	self->details.said = *setup->details;
	return 0;
}

static int carriers_make(struct membership *membership)
{
	struct stream_events events = exchange_events;
	int error;

	events.context = membership;
	error = seal_create(&membership->identity, &membership->seal);
	if (!error)
		error = streams_create(&membership->identity, membership->clock, &events,
				       &membership->counters, &membership->streams);
	if (error)
		return error;
	streams_listen(membership->streams, membership->tcp);
	membership->tcp = -1;
	error = chores_create("gossip-names", membership->wake, false, &membership->names);
	return error ? error
		     : chores_create("gossip-files", membership->wake, true, &membership->files);
}

static int membership_make(struct membership *membership, const struct membership_setup *setup,
			   char *problem, size_t problem_size)
{
	struct state_member state = { 0 };
	int error;

	membership->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (membership->wake < 0)
		return -errno;
	membership->secret_file = strdup(setup->secret_file);
	membership->state_dir = strdup(setup->state_dir);
	if (!membership->secret_file || !membership->state_dir)
		return -ENOMEM;
	membership->config.restart_timeout = setup->config->restart_timeout;
	membership->config.leave_timeout = setup->config->leave_timeout;
	error = counters_init(&membership->counters, "gossip", membership_counter_specs,
			      MEMBERSHIP_COUNTER_COUNT);
	if (!error)
		error = identity_make(membership, setup, &state, problem, problem_size);
	if (!error)
		error = sockets_open(membership, setup->config, problem, problem_size);
	if (error)
		return error;
	seeds_make(membership, setup->config);
	error = self_make(membership, setup);
	if (!error)
		error = machine_make(membership, &setup->config->swim, &state);
	return error ? error : carriers_make(membership);
}

int membership_create(const struct membership_setup *setup, struct membership **out_membership,
		      char *problem, size_t problem_size)
{
	struct membership *membership = calloc(1, sizeof(*membership));
	int error;

	problem[0] = '\0';
	if (!membership)
		return -ENOMEM;
	membership->clock = setup->clock;
	membership->started_ns = now_of(membership);
	membership->state_lock = membership->udp = membership->tcp = membership->wake = -1;
	membership->peers_next_ns = CLOCK_NEVER;
	pthread_mutex_init(&membership->lock, NULL);
	thread_cond_init(&membership->told);
	error = membership_make(membership, setup, problem, problem_size);
	if (error) {
		if (!problem[0])
			snprintf(problem, problem_size, "starting gossip: %s", error_text(error));
		membership_destroy(membership);
		return error;
	}
	*out_membership = membership;
	return 0;
}

int membership_start(struct membership *membership)
{
	char address[ADDRESS_TEXT_MAX];
	const struct roster_entry *self = roster_entry(&membership->roster, ROSTER_SELF);
	int error;

	log_notice("gossip.start", "cluster=%s address=%s incarnation=%u seeds=%u",
		   membership->identity.cluster, address_text(&self->details.gossip, address),
		   self->incarnation, membership->seeds.count);
	membership->running = true;
	error = thread_start(&membership->thread, "gossip", carrier_main, membership);
	if (error)
		membership->running = false;
	return error;
}

/* --- down */

/* Called with the lock held. Waits until it was told, or @deadline_ns. */
static void told_wait(struct membership *membership, uint64_t deadline_ns)
{
	while (!membership->spread && thread_cond_wait_until(&membership->told, &membership->lock,
							     deadline_ns) != -ETIMEDOUT)
		;
}

static void farewell(struct membership *membership)
{
	uint64_t now_ns = now_of(membership);
	uint64_t deadline_ns =
		clock_after_ns(clock_now_ns(clock_system()), membership->config.leave_timeout);

	/* A leave that is under way is waited for; its task is nobody's any more. */
	if (!membership->leave_task) {
		membership->spread = false;
		if (membership->config.restart_timeout > 0)
			carrier_announce(membership, SWIM_RESTARTING,
					 membership->config.restart_timeout);
		else
			swim_leave(membership->swim, now_ns);
	}
	membership->leave_task = 0;
	carrier_wake(membership);
	told_wait(membership, deadline_ns);
}

void membership_stop(struct membership *membership)
{
	if (!membership || !membership->running)
		return;
	pthread_mutex_lock(&membership->lock);
	if (carrier_is_active(membership))
		farewell(membership);
	membership->stopping = true;
	pthread_mutex_unlock(&membership->lock);
	carrier_wake(membership);
	pthread_join(membership->thread, NULL);
	membership->running = false;
	keep_last(membership);
	log_notice("gossip.stop", "told=%s", membership->spread ? "true" : "false");
}

static void sockets_close(struct membership *membership)
{
	if (membership->udp >= 0)
		close(membership->udp);
	if (membership->tcp >= 0)
		close(membership->tcp);
	if (membership->wake >= 0)
		close(membership->wake);
	state_release(membership->state_lock);
}

void membership_destroy(struct membership *membership)
{
	if (!membership)
		return;
	CHECK(!membership->running);
	chores_destroy(membership->names);
	chores_destroy(membership->files);
	streams_destroy(membership->streams);
	seal_destroy(membership->seal);
	swim_destroy(membership->swim);
	roster_fini(&membership->roster);
	for (unsigned i = 0; i < MEMBERSHIP_TASKS_MAX; i++)
		task_finish(&membership->tasks[i], -ECANCELED, "the daemon ends");
	counters_fini(&membership->counters);
	sockets_close(membership);
	pthread_cond_destroy(&membership->told);
	pthread_mutex_destroy(&membership->lock);
	free(membership->secret_file);
	free(membership->state_dir);
	free(membership);
}

/* --- looking */

const struct identity *membership_identity(const struct membership *membership)
{
	return &membership->identity;
}

static void machine_count(struct membership *membership)
{
	struct counters *counters = &membership->counters;
	struct swim_stats stats;

	swim_stats(membership->swim, &stats);
	counter_set(counters, MEMBERSHIP_PROBES, stats.probes);
	counter_set(counters, MEMBERSHIP_PROBES_FAILED, stats.probes_failed);
	counter_set(counters, MEMBERSHIP_SUSPICIONS, stats.suspicions);
	counter_set(counters, MEMBERSHIP_REFUTATIONS, stats.refutations);
	counter_set(counters, MEMBERSHIP_DEATHS, stats.deaths);
	counter_set(counters, MEMBERSHIP_RUMORS_SENT, stats.rumors_sent);
	counter_set(counters, MEMBERSHIP_PUSH_PULLS, stats.push_pulls);
	counter_set(counters, MEMBERSHIP_LATE_NS, stats.late_ns);
}

const struct counters *membership_counters(struct membership *membership)
{
	pthread_mutex_lock(&membership->lock);
	machine_count(membership);
	pthread_mutex_unlock(&membership->lock);
	return &membership->counters;
}

int membership_subscribe(struct membership *membership,
			 const struct membership_subscriber *subscriber)
{
	CHECK(!membership->running);
	if (membership->subscriber_count == MEMBERSHIP_SUBSCRIBERS_MAX)
		return -ENOSPC;
	membership->subscribers[membership->subscriber_count++] = *subscriber;
	return 0;
}

unsigned membership_members(struct membership *membership, unsigned first, unsigned room,
			    struct membership_member *out_members)
{
	unsigned found = 0, seen = 0;

	pthread_mutex_lock(&membership->lock);
	for (uint32_t i = 0; i < membership->roster.count && found < room; i++)
		if (roster_entry(&membership->roster, i) && seen++ >= first)
			member_describe(membership, i, &out_members[found++]);
	pthread_mutex_unlock(&membership->lock);
	return found;
}

void membership_summary(struct membership *membership, struct membership_summary *out_summary)
{
	struct membership_summary summary = { 0 };
	struct membership_member member;
	struct swim_stats stats;

	pthread_mutex_lock(&membership->lock);
	summary.standing = membership->standing;
	memcpy(summary.problem, membership->problem, sizeof(summary.problem));
	summary.gossip = roster_entry(&membership->roster, ROSTER_SELF)->details.gossip;
	for (uint32_t i = 0; i < membership->roster.count; i++) {
		if (!roster_entry(&membership->roster, i))
			continue;
		member_describe(membership, i, &member);
		summary.counts[member.state]++;
	}
	swim_stats(membership->swim, &stats);
	summary.awareness = stats.awareness;
	pthread_mutex_unlock(&membership->lock);
	*out_summary = summary;
}

int membership_task(struct membership *membership, int64_t number, struct membership_task *out_task)
{
	const struct task *task;

	pthread_mutex_lock(&membership->lock);
	task = task_find(membership, number);
	if (task)
		*out_task = task->report;
	pthread_mutex_unlock(&membership->lock);
	return task ? 0 : -ENOENT;
}

/* --- asking */

void membership_set_details(struct membership *membership, const struct membership_details *details)
{
	pthread_mutex_lock(&membership->lock);
	roster_entry(&membership->roster, ROSTER_SELF)->details.said = *details;
	if (carrier_is_active(membership) && !membership->leave_task)
		carrier_announce(membership, membership->phase, 0);
	pthread_mutex_unlock(&membership->lock);
	carrier_wake(membership);
}

int membership_evidence(struct membership *membership, const struct member_id *member,
			const char *why)
{
	char name[MEMBER_ID_TEXT + MEMBERSHIP_NAME_MAX];
	uint32_t index;
	int error = -ENOENT;

	pthread_mutex_lock(&membership->lock);
	index = roster_find(&membership->roster, member);
	if (index != SWIM_NOBODY && carrier_is_active(membership))
		error = swim_evidence(membership->swim, index, now_of(membership));
	if (!error) {
		counter_add(&membership->counters, MEMBERSHIP_EVIDENCE, 1);
		log_info("gossip.evidence", "name=%s why=\"%s\"",
			 member_name(membership, index, name), why);
	}
	pthread_mutex_unlock(&membership->lock);
	if (!error)
		carrier_wake(membership);
	return error;
}

static void join_finish(struct membership *membership, struct task *task)
{
	const struct membership_task *report = &task->report;
	struct swim_stats stats;

	swim_stats(membership->swim, &stats);
	keep_peers_now(membership);
	if (report->answered > 0)
		task_finish(task, 0, "%u of %u answered; %u members are known now",
			    report->answered, report->asked, stats.alive + stats.suspect);
	else
		task_finish(task, -EHOSTUNREACH, "none of %u answered", report->asked);
}

/* One who had left, or is leaving, is back. */
static void return_to_cluster(struct membership *membership)
{
	struct task *task = task_find(membership, membership->leave_task);

	if (membership->standing == MEMBERSHIP_MEMBER && !membership->leave_task &&
	    membership->phase != SWIM_LEAVING)
		return;
	if (task)
		task_finish(task, -ECANCELED, "this node was told to join again");
	membership->leave_task = 0;
	membership->standing = MEMBERSHIP_MEMBER;
	carrier_announce(membership, SWIM_SERVING, 0);
}

static int64_t join_begin(struct membership *membership, const char *const *addresses,
			  unsigned count, char *problem, size_t problem_size)
{
	struct task *task;
	int64_t number;

	if (membership->standing == MEMBERSHIP_DISPLACED) {
		snprintf(problem, problem_size, "%s", membership->problem);
		return -EBUSY;
	}
	task = task_start(membership);
	if (!task) {
		snprintf(problem, problem_size, "too much is under way: try again");
		return -ENOSPC;
	}
	return_to_cluster(membership);
	task->finish = join_finish;
	number = task->report.number;
	for (unsigned i = 0; i < count; i++)
		task_expect(task);
	for (unsigned i = 0; i < count; i++) {
		int error = join_resolve(membership, addresses[i], number, false);

		if (error)
			task_line(membership, number, addresses[i], error, NULL);
	}
	return number;
}

int64_t membership_join(struct membership *membership, const char *const *addresses, unsigned count,
			char *problem, size_t problem_size)
{
	int64_t result;

	for (unsigned i = 0; i < count; i++)
		if (join_check(addresses[i], problem, problem_size) != 0)
			return -EINVAL;
	if (count == 0 || count > MEMBERSHIP_ADDRESSES_MAX) {
		snprintf(problem, problem_size, "give 1 to %d addresses", MEMBERSHIP_ADDRESSES_MAX);
		return -EINVAL;
	}
	pthread_mutex_lock(&membership->lock);
	result = join_begin(membership, addresses, count, problem, problem_size);
	pthread_mutex_unlock(&membership->lock);
	carrier_wake(membership);
	return result;
}
