/*
 * plan.c - from options to steps.
 */
#include "tools/bw/plan.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "fabric/transport/transport.h"
#include "tools/terminal.h"

#define LEN_DEFAULT	 (64u << 10)
#define ALL_FIRST	 2
#define ALL_LAST	 (8u << 20)
#define DEPTH_DEFAULT	 128
#define DEPTH_LEAST	 4
#define INFLIGHT_DEFAULT (64u << 20)

/* To read a size and a time as the option tables do. */
struct scalar {
	uint64_t value;
};

static const struct option size_option =
	OPTION(struct scalar, value, OPTION_BYTES, .min = 1, .max = TRANSPORT_READ_LEN_MAX);
static const struct option time_option =
	OPTION(struct scalar, value, OPTION_DURATION, .min = NS_PER_MS, .max = 86400 * NS_PER_S);

static unsigned default_depth(uint64_t len)
{
	uint64_t depth = INFLIGHT_DEFAULT / len;

	return depth > DEPTH_DEFAULT ? DEPTH_DEFAULT
	       : depth < DEPTH_LEAST ? DEPTH_LEAST
				     : (unsigned)depth;
}

uint64_t plan_footprint(uint64_t footprint, uint64_t len, unsigned depth)
{
	uint64_t stride = (len + PLAN_STRIDE - 1) / PLAN_STRIDE * PLAN_STRIDE;

	if (footprint == 0)
		return stride * depth;
	return footprint < stride ? stride : footprint / stride * stride;
}

uint64_t plan_share(uint64_t reads, unsigned index, unsigned connections)
{
	return reads / connections + (index < reads % connections);
}

static void step_add(struct plan *plan, enum plan_test test, uint64_t len, unsigned depth,
		     const struct client_options *options, uint64_t limit_ns)
{
	struct plan_step *step = &plan->steps[plan->step_count++];
	uint64_t memory = plan_footprint(plan->footprint, len, depth);

	step->test = test;
	step->len = len;
	step->depth = depth;
	step->reads = (uint64_t)options->iters;
	step->limit_ns = limit_ns;
	if (memory > plan->lane_len)
		plan->lane_len = memory;
	if (len > plan->len_max)
		plan->len_max = len;
	if (depth > plan->depth_max)
		plan->depth_max = depth;
}

static void size_add(struct plan *plan, uint64_t len, const struct client_options *options,
		     uint64_t limit_ns)
{
	unsigned depth = options->tx_depth ? (unsigned)options->tx_depth : default_depth(len);

	if (options->test != BW_TESTS_LATENCY)
		step_add(plan, PLAN_BANDWIDTH, len, depth, options, limit_ns);
	if (options->test != BW_TESTS_BANDWIDTH)
		step_add(plan, PLAN_LATENCY, len, 1, options, limit_ns);
}

int plan_time_parse(const char *text, uint64_t *out_ns, char *problem, size_t problem_size)
{
	char seconds[32];
	struct scalar scalar;
	int error;

	if (*text && strspn(text, "0123456789") == strlen(text) && strlen(text) < 20) {
		snprintf(seconds, sizeof(seconds), "%s s", text);
		text = seconds;
	}
	error = option_set_text(&time_option, &scalar, text, problem, problem_size);
	if (!error)
		*out_ns = scalar.value;
	return error;
}

static int limit_parse(const struct client_options *options, uint64_t *out_ns, char *problem,
		       size_t problem_size)
{
	char why[PLAN_PROBLEM_MAX];

	if (!options->duration) {
		*out_ns = options->iters ? 60 * NS_PER_S
			  : options->all ? 500 * NS_PER_MS
					 : 2 * NS_PER_S;
		return 0;
	}
	if (plan_time_parse(options->duration, out_ns, why, sizeof(why)) != 0)
		return option_problem(problem, problem_size, "--duration: %s", why);
	return 0;
}

static int sizes_add(struct plan *plan, const struct client_options *options, uint64_t limit_ns,
		     char *problem, size_t problem_size)
{
	struct scalar scalar;
	char why[PLAN_PROBLEM_MAX];

	if (options->all && options->size.count)
		return option_problem(problem, problem_size, "--all and --size exclude each other");
	if (options->all)
		for (uint64_t len = ALL_FIRST; len <= ALL_LAST; len *= 2)
			size_add(plan, len, options, limit_ns);
	else if (options->size.count == 0)
		size_add(plan, LEN_DEFAULT, options, limit_ns);
	for (unsigned i = 0; i < options->size.count; i++) {
		if (option_set_text(&size_option, &scalar, options->size.items[i], why,
				    sizeof(why)) != 0)
			return option_problem(problem, problem_size, "--size: %s", why);
		size_add(plan, scalar.value, options, limit_ns);
	}
	return 0;
}

static int memory_check(const struct plan *plan, const struct client_options *options,
			char *problem, size_t problem_size)
{
	char needed[TERMINAL_TEXT_MAX], limit[TERMINAL_TEXT_MAX];
	uint64_t all;
	uint64_t ways = (uint64_t)plan->connections * (plan->bidirectional ? 2 : 1);

	if (!__builtin_mul_overflow(plan->lane_len, ways, &all) && all <= options->memory)
		return 0;
	return option_problem(problem, problem_size,
			      "reads in flight on %u connection%s%s need %s, --memory allows %s: "
			      "give fewer with --tx-depth, a smaller --size, or more --memory",
			      plan->connections, plan->connections == 1 ? "" : "s",
			      plan->bidirectional ? ", both ways," : "",
			      text_bytes(plan->lane_len * ways, needed),
			      text_bytes(options->memory, limit));
}

int plan_make(const struct client_options *options, struct plan *out, char *problem,
	      size_t problem_size)
{
	struct plan plan = {
		.threads = (unsigned)options->threads,
		.connections = (unsigned)(options->qp ? options->qp : options->threads),
		.bidirectional = options->bidirectional,
		.verify = options->verify,
		.footprint = options->footprint,
	};
	uint64_t limit_ns = 0;
	int error;

	if (plan.connections < plan.threads)
		return option_problem(problem, problem_size,
				      "--threads=%u need as many connections: --qp=%u is too few",
				      plan.threads, plan.connections);
	if (plan.verify && plan.footprint)
		return option_problem(problem, problem_size,
				      "--footprint lets reads overwrite each other, which --verify "
				      "would find wrong: leave one out");
	error = limit_parse(options, &limit_ns, problem, problem_size);
	if (!error)
		error = sizes_add(&plan, options, limit_ns, problem, problem_size);
	if (!error)
		error = memory_check(&plan, options, problem, problem_size);
	if (!error)
		*out = plan;
	return error;
}
