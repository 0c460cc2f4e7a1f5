/*
 * devices.c - the verbs backend on a machine as it comes: mostly without an RDMA device. What it
 * does with one is shown in the virtual machine (tests/vm).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "fabric/keyring.h"
#include "fabric/transport/backend.h"

static void test_transport_verbs_devices__any_machine__each_has_a_use_or_a_reason(void **state)
{
	struct transport_device devices[16];
	int count = transport_verbs_devices(devices, 16);

	(void)state;
	assert_in_range(count, 1, 16);
	for (int i = 0; i < count; i++) {
		assert_int_equal(devices[i].kind, TRANSPORT_VERBS);
		assert_true(devices[i].usable || devices[i].problem[0]);
	}
	assert_int_equal(transport_verbs_devices(devices, 0), 0);
}

static void test_transport_open__no_such_device__says_what_to_do(void **state)
{
	static char name[] = "no_such_rdma_device", *names[] = { name };
	struct identity identity = { .cluster = "test", .member.bytes = { 1 } };
	struct transport_environment environment = { .clock = clock_system() };
	struct transport_config config;
	struct transport *transport;
	char problem[TRANSPORT_PROBLEM_MAX] = "";

	(void)state;
	assert_int_equal(keyring_create(&identity.ring), 0);
	environment.identity = &identity;
	assert_int_equal(option_defaults(&transport_options, &config), 0);
	config.kind = TRANSPORT_VERBS;
	config.devices = (struct option_strings){ names, 1 };
	assert_int_equal(
		transport_open(&config, &environment, &transport, problem, sizeof(problem)),
		-ENODEV);
	assert_non_null(strstr(problem, "rdma"));
	config.devices = (struct option_strings){ 0 };
	option_free(&transport_options, &config);
	keyring_destroy(identity.ring);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			test_transport_verbs_devices__any_machine__each_has_a_use_or_a_reason),
		cmocka_unit_test(test_transport_open__no_such_device__says_what_to_do),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
