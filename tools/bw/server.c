/*
 * server.c - the main thread of `cenote-bw serve`: memory, threads, signals, and what is printed.
 */
#include "tools/bw/server.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "tools/bw/host.h"
#include "tools/bw/pattern.h"
#include "tools/bw/program.h"
#include "tools/bw/secret.h"
#include "tools/bw/signals.h"
#include "tools/bw/where.h"
#include "tools/terminal.h"

#define WAIT_NS NS_PER_S

struct server {
	const struct server_options *options;
	struct setup setup;
	struct host_common common;
	struct host *hosts;
	unsigned started;
	int signals_fd;
	bool interrupted;
	uint64_t end_ns;
	char secret[SECRET_TEXT_MAX]; /* "" when it was given */
};

/* -- what is printed -------------------------------------------------------------------------- */

static void json_line(json_t *object)
{
	char *text = object ? json_dumps(object, JSON_COMPACT) : NULL;

	/* one call, so that lines of several threads do not mix */
	if (text)
		printf("%s\n", text);
	fflush(stdout);
	free(text);
	json_decref(object);
}

/* Where a client is; most of them listen at no port, which goes unsaid then. */
static void client_text(const struct address *peer, char out[ADDRESS_TEXT_MAX])
{
	char *port;

	address_text(peer, out);
	port = strrchr(out, ':');
	if (!address_port(peer) && port)
		*port = '\0';
}

static void client_told(const struct host_common *common, const struct address *peer,
			uint64_t stayed_ns, const char *why)
{
	char address[ADDRESS_TEXT_MAX], stayed[TERMINAL_TEXT_MAX];

	client_text(peer, address);
	if (common->options->json) {
		json_line(why ? json_pack("{s:s, s:s, s:f, s:s}", "event", "left", "peer", address,
					  "seconds", (double)stayed_ns / (double)NS_PER_S, "why",
					  why)
			      : json_pack("{s:s, s:s}", "event", "connected", "peer", address));
		return;
	}
	if (why)
		printf("%s left after %s: %s\n", address, text_duration(stayed_ns, stayed), why);
	else
		printf("%s connected\n", address);
	fflush(stdout);
}

/* How to reach us, to be copied. The environment is not shown to other users, as arguments are. */
static void client_line_print(const struct server *server)
{
	const struct wire_options *options = &server->options->wire;
	struct address address;
	char text[ADDRESS_TEXT_MAX];

	where_reachable(&server->hosts[0].address, &address);
	printf("\nOn the other machine:\n\n    ");
	if (server->secret[0])
		printf(BW_SECRET_VARIABLE "=%s ", server->secret);
	printf("cenote-bw %s", address_text(&address, text));
	if (options->secret_file)
		printf(" --secret-file=%s", options->secret_file);
	if (strcmp(options->cluster, "cenote-bw") != 0)
		printf(" --cluster=%s", options->cluster);
	if (options->transport != TRANSPORT_AUTO)
		printf(" --transport=%s", transport_kind_names[options->transport]);
	printf("\n\n");
	if (server->secret[0])
		printf("(The secret was made for this one time.)\n");
}

static void listening_print(const struct server *server)
{
	const struct host *first = &server->hosts[0];
	char address[ADDRESS_TEXT_MAX], size[TERMINAL_TEXT_MAX];

	address_text(&first->address, address);
	if (server->options->json) {
		json_t *ports = json_array();

		for (unsigned i = 0; i < server->started; i++)
			json_array_append_new(
				ports, json_integer(address_port(&server->hosts[i].address)));
		json_line(json_pack("{s:s, s:s, s:s, s:o, s:I}", "event", "listening", "address",
				    address, "transport", first->transport_text, "ports", ports,
				    "region", (json_int_t)server->options->region));
		return;
	}
	printf("Serving %s of memory by %s at %s", text_bytes(server->options->region, size),
	       first->transport_text, address);
	for (unsigned i = 1; i < server->started; i++)
		printf(", %u", address_port(&server->hosts[i].address));
	printf("\n");
	client_line_print(server);
	fflush(stdout);
}

static void end_print(const struct server *server)
{
	const struct counters *counters = &server->setup.counters;
	unsigned clients = atomic_load(&server->common.clients_ever);
	uint64_t refusals = counter_get(counters, TRANSPORT_REFUSALS);
	uint64_t foreign = counter_get(counters, TRANSPORT_FOREIGN);
	uint64_t forged = counter_get(counters, TRANSPORT_FORGED);
	uint64_t served = counter_get(counters, TRANSPORT_SERVED_BYTES);
	char bytes[TERMINAL_TEXT_MAX];

	if (server->options->json) {
		json_line(json_pack("{s:s, s:i, s:I, s:I, s:I, s:I}", "event", "end", "connections",
				    (int)clients, "refused", (json_int_t)refusals, "foreign",
				    (json_int_t)foreign, "forged", (json_int_t)forged,
				    "served_bytes", (json_int_t)served));
		return;
	}
	printf("%u connection%s", clients, clients == 1 ? "" : "s");
	if (served)
		printf(", %s sent by this machine's processor", text_bytes(served, bytes));
	if (refusals)
		printf(", %llu refused", (unsigned long long)refusals);
	if (foreign)
		printf(", %llu that did not speak our protocol", (unsigned long long)foreign);
	if (forged)
		printf(", %llu forged requests", (unsigned long long)forged);
	printf("\n");
	fflush(stdout);
}

/* -- life ------------------------------------------------------------------------------------- */

static int host_await(struct server *server, struct host *host)
{
	int number;

	while (atomic_load(&host->state) == HOST_STARTING) {
		signals_wait(server->signals_fd, server->common.event_fd, WAIT_NS, &number);
		server->interrupted |= number != 0;
	}
	return atomic_load(&host->state) == HOST_LISTENING ? 0 : -EIO;
}

static int address_of(const struct server *server, unsigned index, struct address *out,
		      char *problem, size_t problem_size)
{
	const struct wire_options *options = &server->options->wire;
	unsigned port = options->port ? (unsigned)options->port + index : 0;
	int error = address_parse(options->bind, 0, out, problem, problem_size);

	if (error)
		return error;
	/* --bind=ADDRESS:PORT would be a second way to say --port */
	if (address_port(out) != 0 || port > UINT16_MAX)
		return option_problem(problem, problem_size,
				      address_port(out) ? "--bind: without a port; that is --port"
							: "--port: too high for so many threads");
	address_set_port(out, (uint16_t)port);
	return 0;
}

static int hosts_start(struct server *server, char problem[TROUBLE_MAX])
{
	for (unsigned i = 0; i < (unsigned)server->options->threads; i++) {
		struct host *host = &server->hosts[i];
		struct address address;
		int error = address_of(server, i, &address, problem, TROUBLE_MAX);

		if (error)
			return error;
		server->started = i + 1;
		error = host_start(host, &server->common, i, &address);
		if (!error)
			error = host_await(server, host);
		if (error) {
			snprintf(problem, TROUBLE_MAX, "%s", host->problem);
			return error;
		}
	}
	return 0;
}

static void hosts_stop(struct server *server)
{
	atomic_store(&server->common.stopping, true);
	for (unsigned i = 0; i < server->started; i++)
		host_stop(&server->hosts[i]);
}

static bool is_over(const struct server *server)
{
	return server->interrupted || clock_now_ns(clock_system()) >= server->end_ns ||
	       (server->options->once && atomic_load(&server->common.clients_ever) > 0 &&
		atomic_load(&server->common.clients) == 0);
}

static void serve(struct server *server)
{
	listening_print(server);
	while (!is_over(server)) {
		int number;

		signals_wait(server->signals_fd, server->common.event_fd, WAIT_NS, &number);
		server->interrupted |= number != 0;
	}
}

static int region_make(struct server *server, char problem[TROUBLE_MAX])
{
	struct host_common *common = &server->common;
	int error = buffer_init(&common->region, server->options->region, problem, TROUBLE_MAX);

	if (error)
		return error;
	common->seed = random_seed();
	pattern_fill(common->region.base, common->seed, 0, common->region.len);
	return 0;
}

static int server_run(struct server *server, char problem[TROUBLE_MAX])
{
	struct host_common *common = &server->common;
	int error;

	common->setup = &server->setup;
	common->options = server->options;
	common->told = client_told;
	if (server->options->timeout)
		server->end_ns =
			clock_after_ns(clock_now_ns(clock_system()), server->options->timeout);
	else
		server->end_ns = CLOCK_NEVER;
	error = region_make(server, problem);
	if (error)
		return error;
	error = hosts_start(server, problem);
	if (!error)
		serve(server);
	hosts_stop(server);
	if (!error)
		end_print(server);
	buffer_fini(&common->region);
	return error;
}

static int secret_get(struct server *server, struct keyring **out_ring, char problem[TROUBLE_MAX])
{
	int error = secret_load(server->options->wire.secret_file, out_ring, problem, TROUBLE_MAX);

	/* A secret belongs neither into a log nor into a file that others may read. */
	if (error != -ENOKEY || server->options->json || !isatty(STDOUT_FILENO))
		return error;
	return secret_make(out_ring, server->secret);
}

int server_serve(const void *value, char **arguments, int count)
{
	struct server server = { .options = value };
	char problem[TROUBLE_MAX] = "out of memory";
	struct keyring *ring = NULL;
	int error;

	(void)arguments;
	(void)count;
	log_set_level(LOG_LEVEL_WARNING);
	error = secret_get(&server, &ring, problem);
	if (error)
		return program_problem(problem);
	server.hosts = calloc((size_t)server.options->threads, sizeof(*server.hosts));
	server.common.event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	error = server.hosts && server.common.event_fd >= 0 ? signals_block(&server.signals_fd)
							    : -ENOMEM;
	if (!error)
		error = setup_init(&server.setup, &server.options->wire, ring);
	if (!error) {
		error = server_run(&server, problem);
		setup_fini(&server.setup);
	}
	if (error)
		program_problem(problem);
	explicit_bzero(server.secret, sizeof(server.secret));
	free(server.hosts);
	keyring_destroy(ring);
	return error ? PROGRAM_PROBLEM : PROGRAM_OK;
}
