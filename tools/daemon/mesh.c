/*
 * mesh.c - round after round (mesh_schedule.h): all pairs of a round read at once, first as much as
 * they can, then one small READ after the other. A pair that fails is a cell with its reason.
 *
 * The job's thread asks and waits; done() comes on the peers' thread. What is asked is not taken
 * back: it ends by its deadline, or when the peers stop.
 */
#include "tools/daemon/mesh.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "cache/peer/peers.h"
#include "tools/control.h"
#include "tools/daemon/mesh_matrix.h"
#include "tools/daemon/mesh_pick.h"
#include "tools/daemon/mesh_schedule.h"
#include "tools/daemon/rooms.h"
#include "tools/daemon/tasks.h"

#define PAGE 64 /* members copied at a time */

#define LATENCY_LEN   4096u
#define LATENCY_READS 1000u
#define LATENCY_MS    200u
/* Beyond twice its time: to connect, and for a slow link to end what is under way. */
#define PATIENCE_NS (5 * NS_PER_S)
/* Beyond twice the time of all rounds: for pairs that take all of the above. */
#define LIMIT_NS (60 * NS_PER_S)

struct mesh;

/* A pair of the round. */
struct flight {
	struct mesh *mesh;
	struct mesh_pair pair;
	struct mesh_cell *cell;
	struct peers_inquiry inquiry;
};

struct mesh {
	struct task *task;
	const struct daemon_rooms *rooms;
	const struct control_mesh *asked;
	struct mesh_pick pick;
	struct mesh_matrix matrix;
	struct flight flights[MESH_PAIRS_MAX];
	unsigned flight_count; /* of this round */
	unsigned round, done, total;
	uint64_t limit_ns; /* no pair is begun after it */
	pthread_mutex_t lock;
	pthread_cond_t landed;
	unsigned in_air; /* guarded by lock */
};

static uint64_t now(const struct mesh *mesh)
{
	return clock_now_ns(mesh->rooms->clock);
}

/* --- members */

static int members_pick(struct mesh *mesh)
{
	struct membership *membership = mesh->rooms->membership;
	struct membership_member *page = calloc(PAGE, sizeof(*page)), self;
	char problem[TASK_TEXT_MAX];
	unsigned first = 0, count;
	int error;

	if (!page)
		return -ENOMEM;
	mesh_pick_begin(&mesh->pick, mesh->asked);
	membership_members(membership, 0, 1, &self);
	do {
		count = membership_members(membership, first, PAGE, page);
		for (unsigned i = 0; i < count; i++)
			mesh_pick_take(&mesh->pick, &self, &page[i]);
		first += count;
	} while (count == PAGE);
	free(page);
	error = mesh_pick_end(&mesh->pick, problem, sizeof(problem));
	if (error)
		task_say(mesh->task, "%s", problem);
	return error;
}

/* --- one round */

static void progress_tell(const struct mesh *mesh)
{
	char text[64];

	snprintf(text, sizeof(text), "round %u of %u", mesh->round + 1,
		 mesh_round_count(mesh->pick.count));
	task_progress(mesh->task, mesh->done, mesh->total, "pairs", text);
}

/* On the peers' thread. */
static void landed(struct peers_inquiry *inquiry)
{
	struct mesh *mesh = ((struct flight *)inquiry->context)->mesh;

	pthread_mutex_lock(&mesh->lock);
	mesh->in_air--;
	pthread_cond_signal(&mesh->landed);
	pthread_mutex_unlock(&mesh->lock);
}

static void ask(struct mesh *mesh, struct flight *flight, const struct peer_measure *measure)
{
	uint64_t patience_ns = measure->duration_ms * NS_PER_MS * 2 + PATIENCE_NS;
	struct peers_inquiry *inquiry = &flight->inquiry;

	*inquiry = (struct peers_inquiry){
		.member = mesh->pick.members[flight->pair.reader].id,
		.asked = { .topic = PEER_TOPIC_MEASURE, .measure = *measure },
		.deadline_ns = clock_after_ns(now(mesh), patience_ns),
		.done = landed,
		.context = flight,
	};
	inquiry->asked.measure.target = mesh->pick.members[flight->pair.target].id;
	pthread_mutex_lock(&mesh->lock);
	mesh->in_air++;
	pthread_mutex_unlock(&mesh->lock);
	peers_inquire(mesh->rooms->peers, inquiry);
}

/* Each of the round's pairs that has not failed measures @measure, all at once. */
static void fly(struct mesh *mesh, const struct peer_measure *measure)
{
	for (unsigned i = 0; i < mesh->flight_count; i++)
		if (!mesh->flights[i].cell->problem[0])
			ask(mesh, &mesh->flights[i], measure);
	pthread_mutex_lock(&mesh->lock);
	while (mesh->in_air)
		pthread_cond_wait(&mesh->landed, &mesh->lock);
	pthread_mutex_unlock(&mesh->lock);
}

/* Return: what was measured, or NULL: the cell has a problem. */
static const struct peer_measured *outcome(struct flight *flight)
{
	const struct peers_inquiry *inquiry = &flight->inquiry;
	const char *why = inquiry->problem[0] ? inquiry->problem : error_text(inquiry->status);

	if (flight->cell->problem[0])
		return NULL;
	if (!inquiry->status && inquiry->report.measured.reads)
		return &inquiry->report.measured;
	mesh_cell_fail(flight->cell, inquiry->status ? why : "nothing was read");
	return NULL;
}

static uint64_t bytes_per_s(const struct peer_measured *measured)
{
	double seconds = (double)(measured->ns ? measured->ns : 1) / (double)NS_PER_S;
	uint64_t rate = (uint64_t)((double)measured->bytes / seconds);

	return rate ? rate : 1;
}

static void bandwidths_measure(struct mesh *mesh)
{
	const struct peer_measure measure = {
		.duration_ms = mesh->asked->duration_ms,
		.bytes = mesh->asked->bytes,
		.read_len = mesh->asked->read_len,
		.depth = mesh->asked->depth,
	};

	fly(mesh, &measure);
	for (unsigned i = 0; i < mesh->flight_count; i++) {
		const struct peer_measured *measured = outcome(&mesh->flights[i]);

		if (measured)
			mesh->flights[i].cell->bytes_per_s = bytes_per_s(measured);
	}
}

static void latencies_measure(struct mesh *mesh)
{
	static const struct peer_measure measure = {
		.duration_ms = LATENCY_MS,
		.bytes = (uint64_t)LATENCY_LEN * LATENCY_READS,
		.read_len = LATENCY_LEN,
		.depth = 1,
	};

	fly(mesh, &measure);
	for (unsigned i = 0; i < mesh->flight_count; i++) {
		const struct peer_measured *measured = outcome(&mesh->flights[i]);

		if (!measured)
			continue;
		mesh->flights[i].cell->p50_ns = measured->p50_ns;
		mesh->flights[i].cell->p99_ns = measured->p99_ns;
	}
}

static void round_measure(struct mesh *mesh)
{
	struct mesh_pair pairs[MESH_PAIRS_MAX];
	bool late = now(mesh) >= mesh->limit_ns;

	mesh->flight_count = mesh_round(mesh->pick.count, mesh->round, pairs);
	for (unsigned i = 0; i < mesh->flight_count; i++) {
		struct flight *flight = &mesh->flights[i];

		flight->mesh = mesh;
		flight->pair = pairs[i];
		flight->cell = mesh_matrix_cell(&mesh->matrix, pairs[i].reader, pairs[i].target);
		if (late)
			mesh_cell_fail(flight->cell, "not measured: the others took too long");
	}
	progress_tell(mesh);
	bandwidths_measure(mesh);
	latencies_measure(mesh);
	mesh->done += mesh->flight_count;
}

/* --- the whole */

/* Return: 0, -ECANCELED. */
static int rounds_measure(struct mesh *mesh)
{
	unsigned rounds = mesh_round_count(mesh->pick.count);
	uint64_t round_ns = (mesh->asked->duration_ms + LATENCY_MS) * NS_PER_MS;

	mesh->total = mesh->pick.count * (mesh->pick.count - 1);
	mesh->limit_ns = clock_after_ns(now(mesh), UINT64_C(2) * rounds * round_ns + LIMIT_NS);
	for (mesh->round = 0; mesh->round < rounds; mesh->round++) {
		if (task_is_cancelled(mesh->task)) {
			task_say(mesh->task, "this daemon stops");
			return -ECANCELED;
		}
		round_measure(mesh);
	}
	task_progress(mesh->task, mesh->done, mesh->total, "pairs", "");
	return 0;
}

static int result_tell(struct mesh *mesh)
{
	struct mesh_sum sum;
	json_t *result;

	if (mesh_matrix_mark(&mesh->matrix, &sum))
		return -ENOMEM;
	result = mesh_matrix_json(&mesh->matrix);
	if (!result)
		return -ENOMEM;
	task_result(mesh->task, result);
	task_say(mesh->task, "%u pairs of %u members: %u slow, %u not measured", sum.pairs,
		 mesh->pick.count, sum.slow, sum.failed);
	return 0;
}

static int mesh_measure(struct mesh *mesh)
{
	int error = mesh_matrix_init(&mesh->matrix, mesh->pick.members, mesh->pick.count);

	if (!error)
		error = rounds_measure(mesh);
	if (!error)
		error = result_tell(mesh);
	mesh_matrix_fini(&mesh->matrix);
	return error;
}

static int run(struct task *task, const struct daemon_rooms *rooms, void *argument)
{
	struct mesh *mesh = calloc(1, sizeof(*mesh));
	int error;

	if (!mesh)
		return -ENOMEM;
	mesh->task = task;
	mesh->rooms = rooms;
	mesh->asked = argument;
	pthread_mutex_init(&mesh->lock, NULL);
	pthread_cond_init(&mesh->landed, NULL);
	error = members_pick(mesh);
	if (!error)
		error = mesh_measure(mesh);
	pthread_cond_destroy(&mesh->landed);
	pthread_mutex_destroy(&mesh->lock);
	free(mesh);
	return error;
}

int mesh_job(const struct control_request *request, struct task_job *out_job)
{
	struct control_mesh *asked = malloc(sizeof(*asked));

	if (!asked)
		return -ENOMEM;
	*asked = request->mesh;
	*out_job = (struct task_job){ .kind = "mesh", .run = run, .argument = asked };
	return 0;
}
