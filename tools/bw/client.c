/*
 * client.c - the main thread of a measuring cenote-bw: starts workers, gives them one step of the
 * plan after the other, watches the signals and the progress, reports.
 */
#include "tools/bw/client.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/check.h"
#include "base/error.h"
#include "base/log.h"
#include "tools/bw/program.h"
#include "tools/bw/report.h"
#include "tools/bw/secret.h"
#include "tools/bw/signals.h"
#include "tools/bw/where.h"
#include "tools/bw/worker.h"

#define TICK_NS		 (50 * NS_PER_MS)
#define TICK_NS_MIN	 (5 * NS_PER_MS) /* a shorter one says nothing about the peak */
#define PROGRESS_NS	 (250 * NS_PER_MS)
#define PROGRESS_FROM_NS NS_PER_S /* shorter steps are over before one has read it */
#define STALLED_NS	 (2 * NS_PER_S)

struct client {
	const struct client_options *options;
	struct plan plan;
	struct setup setup;
	struct worker_common common;
	struct worker *workers;
	unsigned started;
	int signals_fd;
	int interrupted; /* the signal */
	struct terminal terminal;
	struct report report;
	/* of the running step */
	uint64_t tick_ns, tick_bytes, moved_ns, shown_ns;
	double peak;
	bool stall_said;
	char server[ADDRESS_TEXT_MAX];
	char problem[TROUBLE_MAX]; /* the first one */
	bool wrong;		   /* corrupt reads, cut short */
};

static uint64_t now(void)
{
	return clock_now_ns(clock_system());
}

static void problem_keep(struct client *client, const char *problem)
{
	if (!client->problem[0])
		snprintf(client->problem, sizeof(client->problem), "%s", problem);
}

/* -- while an order is carried out ------------------------------------------------------------ */

static uint64_t all_reads(const struct client *client)
{
	uint64_t reads = 0;

	for (unsigned i = 0; i < client->started; i++)
		reads += worker_progress(&client->workers[i]);
	return reads;
}

static void stall_note(struct client *client, uint64_t at_ns)
{
	char waited[TERMINAL_TEXT_MAX], timeout[TERMINAL_TEXT_MAX];

	if (client->stall_said || at_ns - client->moved_ns < STALLED_NS)
		return;
	client->stall_said = true;
	progress_clear(&client->terminal);
	fprintf(stderr,
		"cenote-bw: no read has ended for %s; a read that takes %s ends the measurement\n",
		text_duration(at_ns - client->moved_ns, waited),
		text_duration(client->options->read_timeout, timeout));
}

static void step_show(struct client *client, const struct plan_step *step, uint64_t begun_ns,
		      uint64_t at_ns, double rate)
{
	char label[64], note[64], size[TERMINAL_TEXT_MAX], speed[TERMINAL_TEXT_MAX];

	if (step->limit_ns < PROGRESS_FROM_NS || at_ns - client->shown_ns < PROGRESS_NS)
		return;
	client->shown_ns = at_ns;
	snprintf(label, sizeof(label), "%s, %s",
		 step->test == PLAN_BANDWIDTH ? "bandwidth" : "latency",
		 text_bytes(step->len, size));
	snprintf(note, sizeof(note), "%s/s", text_bytes((uint64_t)rate, speed));
	if (step->reads)
		progress_show(&client->terminal, label, all_reads(client), step->reads, note);
	else
		progress_show(&client->terminal, label, at_ns - begun_ns, step->limit_ns, note);
}

/* Takes the speed since the last tick. */
static void step_tick(struct client *client, const struct plan_step *step, uint64_t begun_ns)
{
	uint64_t at_ns = now(), bytes = all_reads(client) * step->len;
	uint64_t lasted_ns = at_ns - client->tick_ns;
	double rate;

	if (bytes != client->tick_bytes) {
		client->moved_ns = at_ns;
		client->stall_said = false;
	}
	stall_note(client, at_ns);
	if (lasted_ns < TICK_NS_MIN)
		return;
	rate = (double)(bytes - client->tick_bytes) * (double)NS_PER_S / (double)lasted_ns;
	if (rate > client->peak)
		client->peak = rate;
	client->tick_ns = at_ns;
	client->tick_bytes = bytes;
	step_show(client, step, begun_ns, at_ns, rate);
}

static void signal_take(struct client *client, int number)
{
	int go_on = WORKERS_GO_ON;

	if (!number || client->interrupted)
		return;
	client->interrupted = number;
	progress_clear(&client->terminal);
	fprintf(stderr, "cenote-bw: interrupted; a second time ends at once\n");
	(void)atomic_compare_exchange_strong(&client->common.ending, &go_on, WORKERS_INTERRUPTED);
}

/* Waits until all workers rest. @step: the one that runs; NULL: nothing to watch. */
static void workers_await(struct client *client, const struct plan_step *step)
{
	uint64_t begun_ns = now();
	int number;

	if (step) {
		client->tick_ns = client->moved_ns = client->shown_ns = begun_ns;
		client->tick_bytes = 0;
		client->peak = 0;
		client->stall_said = false;
	}
	while (atomic_load(&client->common.at_work) > 0) {
		signals_wait(client->signals_fd, client->common.finished_fd, TICK_NS, &number);
		signal_take(client, number);
		if (step && atomic_load(&client->common.at_work) > 0)
			step_tick(client, step, begun_ns);
	}
	if (step)
		progress_clear(&client->terminal);
}

/* The first worker's problem is told: what another one lost because of it is less. */
static int workers_order(struct client *client, enum worker_order order,
			 const struct plan_step *step)
{
	for (unsigned i = 0; i < client->started; i++)
		worker_order(&client->workers[i], order, step);
	workers_await(client, order == WORKER_RUN ? step : NULL);
	for (unsigned i = 0; i < client->started; i++) {
		const struct worker *worker = &client->workers[i];

		if (worker->error && worker->error != -ECANCELED)
			problem_keep(client, worker->problem);
	}
	return atomic_load(&client->common.ending) == WORKERS_GO_ON ? 0 : -ECANCELED;
}

/* -- one step --------------------------------------------------------------------------------- */

/* What all workers found, in the first one's result. */
static void results_merge(struct client *client, struct worker_result *out)
{
	struct worker_result *first = &client->workers[0].result;

	*out = *first;
	for (unsigned i = 1; i < client->started; i++) {
		const struct worker_result *each = &client->workers[i].result;

		pump_result_add(&out->pump, &each->pump);
		if (each->started_ns < out->started_ns)
			out->started_ns = each->started_ns;
		if (each->ended_ns > out->ended_ns)
			out->ended_ns = each->ended_ns;
		out->cut_short |= each->cut_short;
		out->watched += each->watched;
		out->changed += each->changed;
		out->reverse_reads += each->reverse_reads;
		out->reverse_corrupt += each->reverse_corrupt;
		out->reverse_per_s += each->reverse_per_s;
		if (samples_merge(&first->samples, &each->samples) != 0)
			problem_keep(client, "out of memory");
	}
	out->samples = first->samples; /* the first one's memory: not to be freed twice */
}

static double cpu_per_gb(uint64_t cpu_ns, uint64_t bytes)
{
	return bytes ? (double)cpu_ns / (double)bytes : -1; /* ns a byte are s a GB */
}

static void row_fill(const struct client *client, const struct plan_step *step,
		     struct worker_result *result, uint64_t cpu_ns, struct report_row *out)
{
	uint64_t elapsed_ns = result->ended_ns - result->started_ns;
	double seconds = (double)elapsed_ns / (double)NS_PER_S;
	double own = seconds > 0 ? (double)result->pump.reads / seconds : 0;
	uint64_t moved = result->pump.all_bytes + result->reverse_reads * step->len;

	memset(out, 0, sizeof(*out));
	out->step = step;
	out->reads = result->pump.reads;
	out->bytes = result->pump.bytes;
	out->elapsed_ns = elapsed_ns;
	out->reverse_reads = result->reverse_reads;
	out->reverse_per_s = result->reverse_per_s;
	out->reads_per_s = own + result->reverse_per_s;
	out->average = out->reads_per_s * (double)step->len;
	out->peak = client->peak + result->reverse_per_s * (double)step->len;
	if (out->peak < out->average)
		out->peak = out->average;
	out->client_cpu = cpu_per_gb(cpu_ns, moved);
	out->server_cpu = client->workers[0].usage_known
				  ? cpu_per_gb(client->workers[0].server_cpu_ns, moved)
				  : -1;
	out->corrupt = result->pump.corrupt + result->reverse_corrupt;
	out->verified_bytes = client->plan.verify ? moved : 0;
	out->complete = !result->cut_short && atomic_load(&client->common.ending) == WORKERS_GO_ON;
	if (step->test != PLAN_LATENCY)
		return;
	samples_summarize(&result->samples, &out->latency);
	out->bucket_count = samples_histogram(&result->samples, out->histogram);
}

static void corrupt_note(struct client *client, const struct worker_result *result)
{
	char text[TROUBLE_MAX];

	client->wrong = true;
	if (result->pump.corrupt)
		snprintf(text, sizeof(text),
			 "%s read%s brought wrong bytes, the first at offset %llu of the server's "
			 "memory",
			 text_count(result->pump.corrupt, (char[TERMINAL_TEXT_MAX]){ 0 }),
			 result->pump.corrupt == 1 ? "" : "s",
			 (unsigned long long)result->pump.corrupt_off);
	else
		snprintf(text, sizeof(text), "%s of the server's reads brought wrong bytes",
			 text_count(result->reverse_corrupt, (char[TERMINAL_TEXT_MAX]){ 0 }));
	problem_keep(client, text);
}

static void step_judge(struct client *client, const struct plan_step *step,
		       const struct worker_result *result)
{
	char done[TERMINAL_TEXT_MAX], wanted[TERMINAL_TEXT_MAX], time[TERMINAL_TEXT_MAX];
	char text[TROUBLE_MAX];

	if (result->pump.corrupt || result->reverse_corrupt)
		corrupt_note(client, result);
	if (result->watched)
		fprintf(stderr,
			"cenote-bw: of the destinations of %u failed reads, %u changed after their "
			"end\n",
			result->watched, result->changed);
	if (result->changed) {
		client->wrong = true;
		problem_keep(client, "bytes were written after their read had ended");
	}
	if (!result->cut_short || client->interrupted || client->problem[0])
		return;
	client->wrong = true;
	snprintf(text, sizeof(text),
		 "%s of %s reads of %llu bytes were done within %s; --duration gives more time",
		 text_count(result->pump.reads, done), text_count(step->reads, wanted),
		 (unsigned long long)step->len, text_duration(step->limit_ns, time));
	problem_keep(client, text);
}

static int step_run(struct client *client, const struct plan_step *step)
{
	const struct samples *histogram = NULL;
	struct worker_result result;
	struct report_row row;
	uint64_t cpu_ns;

	if (workers_order(client, WORKER_PREPARE, step) != 0)
		return -ECANCELED;
	cpu_ns = setup_cpu_ns();
	(void)workers_order(client, WORKER_RUN, step);
	cpu_ns = setup_cpu_ns() - cpu_ns;
	(void)workers_order(client, WORKER_FINISH, step);
	results_merge(client, &result);
	step_judge(client, step, &result);
	row_fill(client, step, &result, cpu_ns, &row);
	if (client->options->histogram)
		histogram = &result.samples;
	if (row.reads > 0 && report_add(&client->report, &row, histogram) != 0)
		problem_keep(client, "out of memory");
	return atomic_load(&client->common.ending) == WORKERS_GO_ON ? 0 : -ECANCELED;
}

/* -- life ------------------------------------------------------------------------------------- */

/* The first worker connects alone: it learns where the others are to go. */
static int workers_open(struct client *client)
{
	for (unsigned i = 0; i < client->plan.threads; i++) {
		struct worker *worker = &client->workers[i];

		if (i > 0)
			worker->info = client->workers[0].info;
		client->started = i + 1;
		if (worker_start(worker, &client->common, i) != 0) {
			problem_keep(client, worker->problem);
			return -EAGAIN;
		}
		worker_order(worker, WORKER_OPEN, NULL);
		if (i > 0)
			continue;
		workers_await(client, NULL);
		if (worker->error)
			break;
	}
	workers_await(client, NULL);
	for (unsigned i = 0; i < client->started; i++)
		if (client->workers[i].error && client->workers[i].error != -ECANCELED)
			problem_keep(client, client->workers[i].problem);
	return atomic_load(&client->common.ending) == WORKERS_GO_ON ? 0 : -ECANCELED;
}

static void workers_close(struct client *client)
{
	unsigned running = 0;

	while (running < client->started && client->workers[running].started)
		worker_order(&client->workers[running++], WORKER_CLOSE, NULL);
	workers_await(client, NULL);
	for (unsigned i = 0; i < client->started; i++)
		worker_join(&client->workers[i]);
	client->started = 0;
}

static void measure(struct client *client)
{
	const struct report_header header = {
		.transport = client->workers[0].transport_text,
		.server = client->server,
		.plan = &client->plan,
		.report_gbits = client->options->report_gbits,
	};
	unsigned others;

	if (report_init(&client->report, &header, client->options->json, stdout) != 0) {
		problem_keep(client, "out of memory");
		return;
	}
	for (unsigned i = 0; i < client->plan.step_count; i++)
		if (step_run(client, &client->plan.steps[i]) != 0)
			break;
	others = client->workers[0].server_clients;
	if (others > client->plan.connections)
		fprintf(stderr,
			"cenote-bw: the server has %u more connections: speeds and its processor "
			"time are shared with them\n",
			others - client->plan.connections);
	client->report.rails_lost = counter_get(&client->setup.counters, TRANSPORT_RAILS_LOST);
	if (client->report.rails_lost > 0)
		fprintf(stderr,
			"cenote-bw: rails lost while measuring: %" PRIu64
			"; what they had under way went over those that were left\n",
			client->report.rails_lost);
	if (report_end(&client->report, client->problem[0] ? client->problem : NULL) != 0)
		problem_keep(client, "the report could not be written to stdout");
	report_fini(&client->report);
}

static int outcome(const struct client *client)
{
	if (client->problem[0])
		fprintf(stderr, "cenote-bw: %s\n", client->problem);
	if (client->interrupted)
		return 128 + client->interrupted;
	return client->problem[0] || client->wrong ? PROGRAM_PROBLEM : PROGRAM_OK;
}

static void json_failure(const struct client *client)
{
	json_t *object;

	if (!client->options->json)
		return;
	object = json_pack("{s:s, s:s, s:s, s:[]}", "version", CENOTE_VERSION, "server",
			   client->server, "problem", client->problem, "results");
	json_dumpf(object, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(object);
}

static void client_run(struct client *client)
{
	client->workers = calloc(client->plan.threads, sizeof(*client->workers));
	client->common.finished_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (!client->workers || client->common.finished_fd < 0)
		problem_keep(client, "out of memory or descriptors");
	else if (workers_open(client) == 0)
		measure(client);
	else
		json_failure(client);
	workers_close(client);
	if (client->common.finished_fd >= 0)
		close(client->common.finished_fd);
	free(client->workers);
}

/* Where to, and where from. */
static int addresses_find(struct client *client, const char *host, char problem[TROUBLE_MAX])
{
	const struct wire_options *options = &client->options->wire;
	struct worker_common *common = &client->common;
	struct address ours;
	int error = where_is(host, (uint16_t)options->port, &common->server, problem);

	if (error)
		return error;
	address_text(&common->server, client->server);
	if (options->bind)
		error = address_parse(options->bind, 0, &ours, problem, TROUBLE_MAX);
	else {
		error = where_are_we(&common->server, &ours);
		if (error)
			snprintf(problem, TROUBLE_MAX, "there is no way to %s from here: %s",
				 client->server, error_text(error));
	}
	if (!error)
		address_text(&ours, common->listen);
	return error;
}

int client_measure(const void *value, char **arguments, int count)
{
	struct client client = { .options = value };
	char problem[TROUBLE_MAX] = "out of memory";
	struct keyring *ring = NULL;
	int status = PROGRAM_PROBLEM;

	CHECK(count == 1);
	/* What the transport warns of is said by us, in full; but not what happens to the server's
	   connections to us. */
	log_set_level(client.options->bidirectional ? LOG_LEVEL_WARNING : LOG_LEVEL_ERROR);
	terminal_open(stderr, &client.terminal);
	if (plan_make(client.options, &client.plan, problem, sizeof(problem)) != 0)
		return program_usage(problem);
	if (addresses_find(&client, arguments[0], problem) != 0 ||
	    secret_load(client.options->wire.secret_file, &ring, problem, sizeof(problem)) != 0)
		return program_problem(problem);
	if (signals_block(&client.signals_fd) == 0 &&
	    setup_init(&client.setup, &client.options->wire, ring) == 0) {
		client.common.setup = &client.setup;
		client.common.plan = &client.plan;
		client.common.options = client.options;
		client_run(&client);
		status = outcome(&client);
		setup_fini(&client.setup);
	} else {
		program_problem(problem);
	}
	keyring_destroy(ring);
	return status;
}
