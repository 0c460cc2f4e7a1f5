/*
 * devices.c - what this machine can use, as a table or as JSON.
 */
#include "tools/bw/devices.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "fabric/transport/transport.h"
#include "tools/bw/options.h"
#include "tools/bw/program.h"
#include "tools/terminal.h"

#define DEVICES_MAX 64

static const char ucx_note[] =
	"ucx is for trusted networks only: UCX's own parser takes what comes from the network "
	"before any of our checks do.";

static bool has_usable(const struct transport_device *devices, int count, enum transport_kind kind)
{
	for (int i = 0; i < count; i++)
		if (devices[i].usable && (kind == TRANSPORT_AUTO || devices[i].kind == kind))
			return true;
	return false;
}

static const char *state(const struct transport_device *device)
{
	if (!device->usable)
		return "no";
	return *device->problem ? "yes, but" : "yes";
}

static void device_print(const struct terminal *terminal, const struct transport_device *device)
{
	enum terminal_style style =
		device->usable ? (*device->problem ? TERMINAL_WARN : TERMINAL_GOOD) : TERMINAL_BAD;

	terminal_print(terminal, TERMINAL_PLAIN, "%-6s %-16s ", transport_kind_names[device->kind],
		       *device->name ? device->name : "-");
	terminal_print(terminal, style, "%-9s", state(device));
	terminal_print(terminal, TERMINAL_PLAIN, " %s\n", device->text);
	if (*device->problem)
		terminal_print(terminal, style, "%24s%s\n", "", device->problem);
}

static void devices_print(const struct transport_device *devices, int count)
{
	struct terminal terminal;

	terminal_open(stdout, &terminal);
	terminal_print(&terminal, TERMINAL_BOLD, "%s\n", "KIND   DEVICE           USABLE");
	for (int i = 0; i < count; i++)
		device_print(&terminal, &devices[i]);
	if (has_usable(devices, count, TRANSPORT_VERBS))
		terminal_print(&terminal, TERMINAL_PLAIN, "\n%s\n",
			       "--transport=auto takes verbs.");
	else if (has_usable(devices, count, TRANSPORT_UCX))
		terminal_print(&terminal, TERMINAL_PLAIN, "\n%s\n",
			       "--transport=auto takes ucx, since no RDMA device is usable.");
	else
		terminal_print(&terminal, TERMINAL_BAD, "\n%s\n", "Nothing is usable.");
	terminal_print(&terminal, TERMINAL_PLAIN, "%s\n", ucx_note);
}

static int devices_json(const struct transport_device *devices, int count)
{
	json_t *array = json_array(), *object;
	int error;

	for (int i = 0; i < count; i++)
		json_array_append_new(array,
				      json_pack("{s:s, s:s, s:s, s:b, s:s}", "kind",
						transport_kind_names[devices[i].kind], "name",
						devices[i].name, "text", devices[i].text, "usable",
						devices[i].usable, "problem", devices[i].problem));
	object = json_pack("{s:o, s:s}", "devices", array, "note", ucx_note);
	error = object ? json_dumpf(object, stdout, JSON_INDENT(2)) : -1;
	putchar('\n');
	json_decref(object);
	return error;
}

int devices_list(const void *value, char **arguments, int count)
{
	const struct devices_options *options = value;
	struct transport_device *devices = calloc(DEVICES_MAX, sizeof(*devices));
	int found = devices ? transport_devices(devices, DEVICES_MAX) : -ENOMEM, status;

	(void)arguments;
	(void)count;
	log_set_level(LOG_LEVEL_WARNING);
	if (found < 0) {
		free(devices);
		return program_problem("out of memory");
	}
	if (options->json && devices_json(devices, found) != 0)
		found = 0;
	else if (!options->json)
		devices_print(devices, found);
	status = has_usable(devices, found, TRANSPORT_AUTO) ? PROGRAM_OK : PROGRAM_PROBLEM;
	free(devices);
	return status;
}
