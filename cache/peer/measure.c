/*
 * measure.c - one measurement after the other. Each place of the landing memory has one READ under
 * way; the next one is started when it ends, inside its done(), so that depth 1 measures a round
 * trip and not the turns of the thread.
 */
#include "cache/peer/measure.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/check.h"
#include "base/error.h"
#include "base/histogram.h"
#include "base/log.h"
#include "base/random.h"

#define PAGE_LEN 4096u

TAILQ_HEAD(measurements, measurement);

enum measure_state {
	MEASURE_IDLE,	    /* waits for a measurement */
	MEASURE_CONNECTING, /* ... for the connection, or for the time to try it */
	MEASURE_READING,    /* ... for READs, the last of which ends it */
};

struct place {
	struct measure *measure;
	struct transport_read read;
	uint64_t begun_ns;
	bool busy;
};

struct measure {
	struct transport *transport;
	struct neighbours *neighbours;
	const struct clock *clock;
	struct member_id self;
	struct random random;
	uint8_t *landing; /* NULL: not yet */
	bool stopped;
	struct measurements waiting, ended; /* the latter: only done() is missing */
	unsigned waiting_count;

	/* the one that runs */
	enum measure_state state;
	struct measurement *running;
	struct transport_peer *peer; /* a reference of our own; NULL: given back */
	bool tried;		     /* a connection was begun for us */
	int status;		     /* the first thing that went wrong */
	uint64_t region_len;
	uint32_t read_len;
	unsigned depth, busy;
	uint64_t begun_ns, end_ns; /* of READING: no READ is begun from end_ns on */
	uint64_t last_ns;	   /* the last READ's end */
	uint64_t begun_bytes;
	struct histogram latency;
	struct place places[PEER_MEASURE_DEPTH_MAX];
};

static uint64_t now(const struct measure *measure)
{
	return clock_now_ns(measure->clock);
}

int measure_create(struct transport *transport, struct neighbours *neighbours,
		   const struct clock *clock, const struct member_id *self, uint64_t seed,
		   struct measure **out_measure)
{
	struct measure *measure = calloc(1, sizeof(*measure));

	if (!measure)
		return -ENOMEM;
	measure->transport = transport;
	measure->neighbours = neighbours;
	measure->clock = clock;
	measure->self = *self;
	random_init(&measure->random, seed);
	TAILQ_INIT(&measure->waiting);
	TAILQ_INIT(&measure->ended);
	*out_measure = measure;
	return 0;
}

bool measure_is_idle(const struct measure *measure)
{
	return measure->state == MEASURE_IDLE && TAILQ_EMPTY(&measure->waiting) &&
	       TAILQ_EMPTY(&measure->ended);
}

void measure_destroy(struct measure *measure)
{
	if (!measure)
		return;
	CHECK(measure_is_idle(measure));
	if (measure->landing)
		munmap(measure->landing, MEASURE_LANDING_LEN);
	free(measure);
}

/* --- ends */

static void end_with(struct measure *measure, struct measurement *measurement, int status)
{
	measurement->status = status;
	TAILQ_INSERT_TAIL(&measure->ended, measurement, link);
}

static void leave_peer(struct measure *measure)
{
	if (measure->peer)
		transport_peer_put(measure->peer);
	measure->peer = NULL;
}

static void end_running(struct measure *measure, int status)
{
	struct measurement *measurement = measure->running;
	struct peer_measured *measured = &measurement->measured;

	CHECK(!measure->busy);
	leave_peer(measure);
	if (measured->reads) {
		measured->ns = measure->last_ns - measure->begun_ns;
		measured->p50_ns = histogram_quantile(&measure->latency, 500);
		measured->p99_ns = histogram_quantile(&measure->latency, 990);
		measured->max_ns = measure->latency.max;
	}
	measure->state = MEASURE_IDLE;
	measure->running = NULL;
	end_with(measure, measurement, status);
}

static void fail(struct measure *measure, int status)
{
	if (!measure->status)
		measure->status = status;
}

/* Return: whether any was told. */
static bool tell_ended(struct measure *measure)
{
	struct measurement *measurement;
	bool any = false;

	for (; (measurement = TAILQ_FIRST(&measure->ended)); any = true) {
		TAILQ_REMOVE(&measure->ended, measurement, link);
		measurement->done(measurement);
	}
	return any;
}

/* --- reading */

/* Whether one more may begin. */
static bool may_begin(const struct measure *measure, uint64_t now_ns)
{
	const struct measurement *measurement = measure->running;

	return !measure->status && now_ns < measure->end_ns &&
	       measure->begun_bytes < measurement->asked.bytes;
}

static void read_done(struct transport_read *read);

/* Return: false: there is no room in the transport, or the measurement failed. */
static bool begin(struct measure *measure, struct place *place, uint64_t now_ns)
{
	const struct measurement *measurement = measure->running;
	uint64_t left = measurement->asked.bytes - measure->begun_bytes;
	uint32_t len = left < measure->read_len ? (uint32_t)left : measure->read_len;
	uint64_t pages = (measure->region_len - len) / PAGE_LEN + 1;
	size_t stride = ((size_t)measure->read_len + PAGE_LEN - 1) / PAGE_LEN * PAGE_LEN;
	int error;

	place->measure = measure;
	place->begun_ns = now_ns;
	place->read = (struct transport_read){
		.region = PEER_REGION_ARENA,
		.off = random_below(&measure->random, pages) * PAGE_LEN,
		.len = len,
		.dst = measure->landing + (size_t)(place - measure->places) * stride,
		.deadline_ns = measurement->deadline_ns,
		.done = read_done,
	};
	error = transport_read(measure->peer, &place->read);
	if (error && error != -EAGAIN)
		fail(measure, error);
	if (error)
		return false;
	place->busy = true;
	measure->busy++;
	measure->begun_bytes += len;
	return true;
}

static void read_done(struct transport_read *read)
{
	struct place *place = CONTAINER_OF(read, struct place, read);
	struct measure *measure = place->measure;
	struct peer_measured *measured = &measure->running->measured;
	uint64_t now_ns = now(measure);

	place->busy = false;
	measure->busy--;
	if (read->status) {
		fail(measure, read->status);
		return;
	}
	measured->bytes += read->len;
	measured->reads++;
	measure->last_ns = now_ns;
	histogram_record(&measure->latency, now_ns - place->begun_ns);
	if (may_begin(measure, now_ns))
		begin(measure, place, now_ns);
}

/* Where nothing is under way: at the start, and where the transport had no room. */
static void begin_all(struct measure *measure, uint64_t now_ns)
{
	for (unsigned i = 0; i < measure->depth && may_begin(measure, now_ns); i++) {
		if (!measure->places[i].busy && !begin(measure, &measure->places[i], now_ns))
			return;
	}
}

/* Return: when it wants its next turn, apart from what the transport calls it for. */
static uint64_t go_on_reading(struct measure *measure)
{
	uint64_t now_ns = now(measure);

	begin_all(measure, now_ns);
	if (measure->busy)
		return CLOCK_NEVER; /* the transport keeps the deadlines of READs */
	if (may_begin(measure, now_ns))
		return measure->end_ns; /* the transport is full with others' */
	if (!measure->running->measured.reads)
		fail(measure, -ETIMEDOUT);
	end_running(measure, measure->status);
	return CLOCK_NEVER;
}

/* --- on the way there */

static int landing_take(struct measure *measure)
{
	char problem[TRANSPORT_PROBLEM_MAX];
	uint32_t region;
	void *landing;
	int error;

	if (measure->landing)
		return 0;
	landing = mmap(NULL, MEASURE_LANDING_LEN, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (landing == MAP_FAILED)
		return -ENOMEM;
	error = transport_region_add(measure->transport, landing, MEASURE_LANDING_LEN,
				     TRANSPORT_LANDING, &region, problem, sizeof(problem));
	if (error) {
		log_warning("peers.measure", "problem=\"%s\" effect=\"nothing is measured\"",
			    problem);
		munmap(landing, MEASURE_LANDING_LEN);
		return error;
	}
	measure->landing = landing;
	return 0;
}

/* The connection is there. */
static void begin_reading(struct measure *measure)
{
	const struct measurement *measurement = measure->running;
	uint64_t now_ns = now(measure), left_ns;
	size_t fit;

	measure->region_len = transport_peer_region_len(measure->peer, PEER_REGION_ARENA);
	if (!measure->region_len) {
		end_running(measure, -ERANGE);
		return;
	}
	measure->read_len = measurement->asked.read_len;
	if (measure->read_len > measure->region_len)
		measure->read_len = (uint32_t)measure->region_len;
	fit = MEASURE_LANDING_LEN /
	      (((size_t)measure->read_len + PAGE_LEN - 1) / PAGE_LEN * PAGE_LEN);
	measure->depth = measurement->asked.depth < fit ? measurement->asked.depth : (unsigned)fit;
	left_ns = measurement->deadline_ns - now_ns;
	measure->begun_ns = measure->last_ns = now_ns;
	measure->end_ns = clock_after_ns(now_ns, measurement->asked.duration_ms * NS_PER_MS);
	if (measure->end_ns > now_ns + left_ns / 4 * 3)
		measure->end_ns = now_ns + left_ns / 4 * 3;
	measure->state = MEASURE_READING;
}

/* Return: when it wants its next turn, apart from what the transport calls it for. */
static uint64_t go_on_connecting(struct measure *measure)
{
	uint64_t deadline_ns = measure->running->deadline_ns, retry_ns;
	int error = measure->status;

	if (!error && now(measure) >= deadline_ns)
		error = -ETIMEDOUT;
	if (error) {
		end_running(measure, error);
		return CLOCK_NEVER;
	}
	if (transport_peer_is_up(measure->peer)) {
		begin_reading(measure);
		return 0;
	}
	error = transport_peer_connect(measure->peer);
	retry_ns = transport_peer_retry_ns(measure->peer);
	if (!error) {
		measure->tried = true;
		return deadline_ns;
	}
	/* of what failed before us we know no more than that */
	if (!measure->tried && retry_ns && retry_ns < deadline_ns)
		return retry_ns;
	end_running(measure, error);
	return CLOCK_NEVER;
}

/* Return: 0, or why there is no way to it. */
static int find_peer(struct measure *measure, const struct measurement *measurement)
{
	const struct neighbour *neighbour;

	if (memcmp(&measurement->asked.target, &measure->self, sizeof(measure->self)) == 0)
		return -EINVAL;
	neighbour = neighbours_find(measure->neighbours, &measurement->asked.target);
	if (!neighbour || !address_len(&neighbour->address))
		return -EHOSTUNREACH;
	return transport_peer_get(measure->transport, &neighbour->address, &neighbour->id,
				  &measure->peer);
}

static void begin_running(struct measure *measure, struct measurement *measurement)
{
	int error = find_peer(measure, measurement);

	if (!error)
		error = landing_take(measure);
	if (error) {
		leave_peer(measure);
		end_with(measure, measurement, error);
		return;
	}
	measure->running = measurement;
	measure->state = MEASURE_CONNECTING;
	measure->tried = false;
	measure->status = 0;
	measure->begun_bytes = 0;
	memset(&measure->latency, 0, sizeof(measure->latency));
}

/* A member that is dead, or somewhere else by now, is not waited for. */
static void watch_target(struct measure *measure)
{
	const struct neighbour *neighbour;

	if (!measure->peer)
		return;
	neighbour = neighbours_find(measure->neighbours, &measure->running->asked.target);
	if (neighbour && address_len(&neighbour->address) &&
	    address_equal(&neighbour->address, transport_peer_address(measure->peer)))
		return;
	fail(measure, -EHOSTUNREACH);
	leave_peer(measure);
}

/* --- the queue */

void measure_start(struct measure *measure, struct measurement *measurement)
{
	const struct peer_measure *asked = &measurement->asked;

	CHECK(asked->bytes && asked->duration_ms);
	CHECK(asked->depth && asked->depth <= PEER_MEASURE_DEPTH_MAX);
	CHECK(asked->read_len && asked->read_len <= PEER_MEASURE_LEN_MAX);
	measurement->measured = (struct peer_measured){ 0 };
	if (measure->stopped) {
		end_with(measure, measurement, -ECANCELED);
	} else if (measure->waiting_count == MEASURES_MAX) {
		end_with(measure, measurement, -EAGAIN);
	} else {
		TAILQ_INSERT_TAIL(&measure->waiting, measurement, link);
		measure->waiting_count++;
	}
}

static void leave_queue(struct measure *measure, struct measurement *measurement)
{
	TAILQ_REMOVE(&measure->waiting, measurement, link);
	measure->waiting_count--;
}

/* Ends those whose time is over. Return: when the next one's is. */
static uint64_t watch_queue(struct measure *measure)
{
	struct measurement *measurement = TAILQ_FIRST(&measure->waiting), *next;
	uint64_t now_ns = now(measure), next_ns = CLOCK_NEVER;

	for (; measurement; measurement = next) {
		next = TAILQ_NEXT(measurement, link);
		if (measurement->deadline_ns <= now_ns) {
			leave_queue(measure, measurement);
			end_with(measure, measurement, -ETIMEDOUT);
		} else if (measurement->deadline_ns < next_ns) {
			next_ns = measurement->deadline_ns;
		}
	}
	return next_ns;
}

void measure_stop(struct measure *measure)
{
	struct measurement *measurement;

	measure->stopped = true;
	while ((measurement = TAILQ_FIRST(&measure->waiting))) {
		leave_queue(measure, measurement);
		end_with(measure, measurement, -ECANCELED);
	}
	if (measure->state == MEASURE_IDLE)
		return;
	fail(measure, -ECANCELED);
	leave_peer(measure);
}

/* Return: when the running one wants its next turn; 0: at once. */
static uint64_t go_on(struct measure *measure)
{
	struct measurement *measurement = TAILQ_FIRST(&measure->waiting);

	if (measure->state == MEASURE_IDLE && measurement) {
		leave_queue(measure, measurement);
		begin_running(measure, measurement);
		return 0;
	}
	if (measure->state == MEASURE_IDLE)
		return CLOCK_NEVER;
	watch_target(measure);
	return measure->state == MEASURE_READING ? go_on_reading(measure)
						 : go_on_connecting(measure);
}

uint64_t measure_tick(struct measure *measure)
{
	uint64_t queue_ns, next_ns;

	do {
		queue_ns = watch_queue(measure);
		next_ns = go_on(measure);
	} while (next_ns == 0 || tell_ended(measure) ||
		 (measure->state == MEASURE_IDLE && !TAILQ_EMPTY(&measure->waiting)));
	return queue_ns < next_ns ? queue_ns : next_ns;
}
