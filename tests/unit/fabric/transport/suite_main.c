/*
 * suite_main.c - the transport suite over real transports:
 *
 *	transport_suite KIND PLACE [PLACE] [--big] [--stall PROGRAM]
 *
 *	KIND	ucx or verbs
 *	PLACE	ADDRESS or ADDRESS=DEVICE[,DEVICE...]: where nodes live, in turn. Without devices,
 *		the transport chooses.
 *	--big	a region of more than 1 GiB is registered, too
 *	PROGRAM	called as "PROGRAM stall N" and "PROGRAM unstall N" to cut the nodes of place N (0
 *		or 1) off the network, and to undo that. Without it, and with verbs, whose reads
 *		need nothing of a stopped owner, the tests of stalled peers are skipped.
 *
 * Exit: 0; 77 when there is no device (the reason is printed); 1.
 */
#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "base/error.h"
#include "tests/unit/fabric/transport/suite.h"

#define SKIPPED 77

struct place {
	char listen[ADDRESS_TEXT_MAX];
	char *devices[TRANSPORT_RAILS_MAX];
	unsigned device_count;
};

static struct place places[2];
static unsigned place_count;
static int kind;
static bool big;
static const char *stall_program;

static int open_node(unsigned which, struct transport_config *config,
		     const struct transport_environment *environment, struct transport **out,
		     char *problem, size_t problem_size)
{
	struct place *place = &places[which % place_count];

	config->kind = kind;
	if (!config->listen)
		config->listen = place->listen;
	config->devices = (struct option_strings){ place->devices, place->device_count };
	return transport_open(config, environment, out, problem, problem_size);
}

static void stall(unsigned which, bool stalled)
{
	char number[16], program[256], word[16];
	char *argv[] = { program, word, number, NULL }, *environment[] = { NULL };
	int status = 0;
	pid_t pid;

	if (!stall_program)
		return;
	snprintf(program, sizeof(program), "%s", stall_program);
	snprintf(word, sizeof(word), "%s", stalled ? "stall" : "unstall");
	snprintf(number, sizeof(number), "%u", which % place_count);
	assert_int_equal(posix_spawn(&pid, program, NULL, NULL, argv, environment), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* "ADDRESS=DEVICE,DEVICE"; @text is cut up and lives for ever. */
static void parse_place(char *text)
{
	struct place *place = &places[place_count++];
	char *devices = strchr(text, '=');

	if (devices)
		*devices++ = '\0';
	snprintf(place->listen, sizeof(place->listen), strchr(text, ':') ? "[%s]:0" : "%s:0", text);
	for (char *name = devices ? strtok(devices, ",") : NULL;
	     name && place->device_count < TRANSPORT_RAILS_MAX; name = strtok(NULL, ","))
		place->devices[place->device_count++] = name;
}

static int parse(int argc, char **argv)
{
	for (int i = 2; i < argc; i++) {
		if (strcmp(argv[i], "--stall") == 0 && i + 1 < argc)
			stall_program = argv[++i];
		else if (strcmp(argv[i], "--big") == 0)
			big = true;
		else if (place_count < ARRAY_COUNT(places))
			parse_place(argv[i]);
		else
			return -EINVAL;
	}
	for (kind = 0; argc > 1 && transport_kind_names[kind]; kind++) {
		if (strcmp(argv[1], transport_kind_names[kind]) == 0)
			return place_count && kind != TRANSPORT_AUTO ? 0 : -EINVAL;
	}
	return -EINVAL;
}

/* Whether there is anything to test. Return: 0, or the exit code. */
static int try_open(void)
{
	struct identity identity = { .cluster = "suite", .member.bytes = { 1 } };
	const struct transport_environment environment = { .clock = clock_system(),
							   .identity = &identity };
	struct transport_config config = suite_config();
	struct transport *transport;
	char problem[TRANSPORT_PROBLEM_MAX] = "";
	int error;

	for (unsigned i = 0; i < place_count; i++) {
		config.listen = NULL;
		error = open_node(i, &config, &environment, &transport, problem, sizeof(problem));
		if (error) {
			print_error("%s: %s: %s\n", error == -ENODEV ? "skipped" : "failed",
				    error_text(error), problem);
			return error == -ENODEV ? SKIPPED : 1;
		}
		print_message("place %u: %s\n", i, transport_text(transport));
		transport_close(transport);
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct suite_backend backend = {
		.clock = clock_system(),
		.open = open_node,
		.stall = stall,
		.tcp = true,
	};
	int code;

	if (parse(argc, argv)) {
		print_error("usage: transport_suite ucx|verbs ADDRESS[=DEVICE,...] "
			    "[ADDRESS[=DEVICE,...]] [--big] [--stall PROGRAM]\n");
		return 1;
	}
	code = try_open();
	if (code)
		return code;
	backend.big = big;
	backend.name = transport_kind_names[kind];
	if (kind == TRANSPORT_VERBS && !stall_program)
		backend.stall_missing = "verbs reads a stopped owner; give --stall PROGRAM";
	return suite_run(&backend) ? 1 : 0;
}
