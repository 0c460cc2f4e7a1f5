/*
 * Tests of a transport as a whole: options, counters, regions, waiting, opening.
 */
#include "fabric/transport/transport.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <cmocka.h>

#include "base/thread.h"
#include "fabric/keyring.h"
#include "fabric/transport/backend.h"
#include "fabric/transport/loop.h"
#include "tests/unit/base/allocation_fault.h"

struct fixture {
	struct loop_network *network;
	struct transport_config config;
	struct identity identity, other; /* of even and of odd numbers */
	struct counters counters;
	uint8_t *memory;
};

#define MEMORY_LEN ((size_t)1 << 20)

static int setup(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	static const uint8_t key[KEYRING_KEY_LEN] = { 1 };

	assert_non_null(fixture);
	assert_int_equal(loop_network_create(clock_system(), 1, &fixture->network), 0);
	assert_int_equal(option_defaults(&transport_options, &fixture->config), 0);
	assert_int_equal(keyring_create(&fixture->identity.ring), 0);
	assert_int_equal(keyring_add(fixture->identity.ring, key), 0);
	memcpy(fixture->identity.cluster, "test", 5);
	fixture->identity.member.bytes[0] = 1;
	fixture->other = fixture->identity;
	fixture->other.member.bytes[0] = 2;
	assert_int_equal(transport_counters_init(&fixture->counters), 0);
	fixture->memory =
		mmap(NULL, MEMORY_LEN, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(fixture->memory, MAP_FAILED);
	*state = fixture;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;

	loop_network_destroy(fixture->network);
	option_free(&transport_options, &fixture->config);
	keyring_destroy(fixture->identity.ring);
	counters_fini(&fixture->counters);
	munmap(fixture->memory, MEMORY_LEN);
	free(fixture);
	return 0;
}

static int open_number(struct fixture *fixture, unsigned number, struct transport **out)
{
	const struct transport_environment environment = {
		.clock = clock_system(),
		.seed = 1,
		.identity = number % 2 ? &fixture->other : &fixture->identity,
		.counters = &fixture->counters,
	};
	char problem[TRANSPORT_PROBLEM_MAX];

	return loop_transport_open(fixture->network, number, &fixture->config, &environment, out,
				   problem, sizeof(problem));
}

static struct transport *open_one(struct fixture *fixture, unsigned number)
{
	struct transport *transport;

	assert_int_equal(open_number(fixture, number, &transport), 0);
	return transport;
}

static void test_transport_options__defaults__are_those_of_the_documents(void **state)
{
	const struct transport_config *config = &((struct fixture *)*state)->config;
	char problem[OPTION_PROBLEM_MAX];

	assert_int_equal(config->kind, TRANSPORT_AUTO);
	assert_string_equal(config->listen, "0.0.0.0:7471");
	assert_int_equal(config->devices.count, 0);
	assert_int_equal(config->gid_index, -1);
	assert_int_equal(config->connect_timeout, 5 * NS_PER_S);
	assert_int_equal(config->read_timeout, 2 * NS_PER_S);
	assert_int_equal(config->retry_min, 100 * NS_PER_MS);
	assert_int_equal(config->retry_max, 10 * NS_PER_S);
	assert_int_equal(config->reads_max, 1024);
	assert_int_equal(config->peers_connected_max, 1024);
	assert_int_equal(config->queue_depth, 64);
	assert_int_equal(config->slice_len, TRANSPORT_SLICE_LEN_MAX);
	assert_int_equal(config->busy_poll, 20000);
	assert_true(config->numa);
	assert_int_equal(transport_options.validate(config, problem, sizeof(problem)), 0);
}

static void test_transport_options__not_possible__says_what_is_wrong(void **state)
{
	static const struct {
		const char *option, *text, *problem;
	} rows[] = {
		{ "retry_max", "50 ms", "retry_max" },
		{ "listen", "everywhere", "everywhere" },
		{ "kind", "tcp", "auto, verbs, ucx" },
		{ "slice_len", "2 MiB", "1 MiB" },
		{ "reads_max", "0", "1" },
	};
	struct fixture *fixture = *state;

	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct transport_config config;
		char problem[OPTION_PROBLEM_MAX] = "";
		int error;

		assert_int_equal(option_defaults(&transport_options, &config), 0);
		error = option_set_text(option_find(&transport_options, rows[i].option), &config,
					rows[i].text, problem, sizeof(problem));
		if (!error)
			error = transport_options.validate(&config, problem, sizeof(problem));
		assert_int_equal(error, -EINVAL);
		assert_non_null(strstr(problem, rows[i].problem));
		option_free(&transport_options, &config);
	}
	(void)fixture;
}

static void test_transport_counters__each__has_a_name_and_a_text(void **state)
{
	const struct counters *counters = &((struct fixture *)*state)->counters;

	assert_string_equal(counters->room, "fabric");
	for (unsigned i = 0; i < TRANSPORT_COUNTER_COUNT; i++) {
		assert_int_equal(strncmp(counters->specs[i].name, "fabric_", 7), 0);
		assert_true(strlen(counters->specs[i].help) > 10);
	}
}

static void test_transport_region_add__a_bad_place__is_einval(void **state)
{
	struct fixture *fixture = *state;
	struct transport *transport = open_one(fixture, 0);
	char problem[TRANSPORT_PROBLEM_MAX] = "";
	uint32_t region;

	assert_int_equal(transport_region_add(transport, fixture->memory + 1, 4096,
					      TRANSPORT_LANDING, &region, problem, sizeof(problem)),
			 -EINVAL);
	assert_non_null(strstr(problem, "page"));
	assert_int_equal(transport_region_add(transport, fixture->memory, 0, TRANSPORT_LANDING,
					      &region, problem, sizeof(problem)),
			 -EINVAL);
	transport_close(transport);
}

static void test_transport_region_add__beyond_the_limit__is_enospc(void **state)
{
	struct fixture *fixture = *state;
	struct transport *transport = open_one(fixture, 0);
	char problem[TRANSPORT_PROBLEM_MAX] = "";
	uint32_t region;

	for (uint32_t i = 0; i < TRANSPORT_REGIONS_MAX; i++) {
		assert_int_equal(transport_region_add(transport, fixture->memory + i * 4096UL, 4096,
						      TRANSPORT_READABLE, &region, problem,
						      sizeof(problem)),
				 0);
		assert_int_equal(region, i);
	}
	assert_int_equal(transport_region_add(transport, fixture->memory, 4096, TRANSPORT_READABLE,
					      &region, problem, sizeof(problem)),
			 -ENOSPC);
	assert_non_null(strstr(problem, "64"));
	transport_close(transport);
	assert_int_equal(counter_get(&fixture->counters, TRANSPORT_REGISTERED), 0);
}

static void test_transport_region_of__every_border__is_exact(void **state)
{
	struct fixture *fixture = *state;
	struct transport *transport = open_one(fixture, 0);
	uint8_t *base = fixture->memory + 8192;
	char problem[TRANSPORT_PROBLEM_MAX];
	uint32_t region;
	const struct {
		const uint8_t *address;
		size_t len;
		bool inside;
	} rows[] = {
		{ base, 1, true },	{ base, 8192, true },	   { base + 8191, 1, true },
		{ base, 8193, false },	{ base + 8192, 1, false }, { base - 1, 1, false },
		{ base - 1, 2, false }, { base + 1, 8192, false }, { base + 8191, SIZE_MAX, false },
	};

	assert_int_equal(transport_region_add(transport, base, 8192, TRANSPORT_LANDING, &region,
					      problem, sizeof(problem)),
			 0);
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
		assert_int_equal(!!transport_region_of(transport, rows[i].address, rows[i].len),
				 rows[i].inside);
	assert_non_null(transport_region_at(transport, region));
	transport_region_remove(transport, region);
	assert_null(transport_region_at(transport, region));
	assert_null(transport_region_of(transport, base, 1));
	assert_null(transport_region_at(transport, UINT32_MAX));
	transport_close(transport);
}

static void test_transport_wait__nothing_happens__returns_at_its_time(void **state)
{
	struct transport *transport = open_one(*state, 0);
	uint64_t until_ns = clock_now_ns(clock_system()) + 5 * NS_PER_MS;

	assert_int_equal(transport_wait(transport, until_ns), 0);
	assert_true(clock_now_ns(clock_system()) >= until_ns);
	assert_int_equal(transport_wait(transport, 0), 0);
	transport_close(transport);
}

struct waker {
	struct transport *transport;
	atomic_bool stop;
};

static void *wake_often(void *argument)
{
	struct waker *waker = argument;

	while (!atomic_load(&waker->stop))
		transport_wake(waker->transport);
	return NULL;
}

/* As often as it is waited for, there is a wake: none may be lost, or this takes for ever. */
static void test_transport_wake__by_another_thread__ends_every_wait(void **state)
{
	struct fixture *fixture = *state;
	struct waker waker = { 0 };
	pthread_t thread;

	fixture->config.busy_poll = 0;
	waker.transport = open_one(fixture, 0);
	assert_int_equal(thread_start(&thread, "waker", wake_often, &waker), 0);
	for (unsigned i = 0; i < 1000; i++)
		assert_int_equal(transport_wait(waker.transport, CLOCK_NEVER), 0);
	atomic_store(&waker.stop, true);
	pthread_join(thread, NULL);
	transport_close(waker.transport);
}

static void count_done(struct transport_read *read)
{
	++*(unsigned *)read->context;
}

/* The loop tells when something is due, and has no descriptor: what a sleep is cut short by. */
static void test_transport_wait__a_read_under_way__sleeps_until_it_is_done(void **state)
{
	struct fixture *fixture = *state;
	struct loop_faults faults = loop_faults_none();
	struct transport *a, *b;
	struct transport_peer *peer;
	struct address address;
	char problem[TRANSPORT_PROBLEM_MAX];
	unsigned done = 0;
	uint32_t region;
	struct transport_read read = {
		.len = 100, .dst = fixture->memory, .done = count_done, .context = &done
	};

	faults.delay_min_ns = faults.delay_max_ns = 3 * NS_PER_MS;
	loop_network_set_faults(fixture->network, &faults);
	fixture->config.busy_poll = 0;
	a = open_one(fixture, 0);
	b = open_one(fixture, 1);
	assert_int_equal(transport_region_add(a, fixture->memory, MEMORY_LEN, TRANSPORT_LANDING,
					      &region, problem, sizeof(problem)),
			 0);
	assert_int_equal(transport_region_add(b, fixture->memory, MEMORY_LEN, TRANSPORT_READABLE,
					      &region, problem, sizeof(problem)),
			 0);
	read.off = 4096;
	memset(fixture->memory + 4096, 0x5a, 100);
	assert_int_equal(transport_listen(b, &address, problem, sizeof(problem)), 0);
	assert_int_equal(transport_peer_get(a, &address, NULL, &peer), 0);
	assert_int_equal(transport_read(peer, &read), 0);
	while (!done) {
		transport_poll(b);
		transport_wait(a, clock_now_ns(clock_system()) + NS_PER_MS);
	}
	assert_int_equal(read.status, 0);
	assert_int_equal(fixture->memory[99], 0x5a);
	transport_close(a);
	transport_close(b);
}

static void test_loop_transport_open__a_number_in_use__is_eaddrinuse(void **state)
{
	struct transport *transport = open_one(*state, 3), *other;

	assert_int_equal(open_number(*state, 3, &other), -EADDRINUSE);
	assert_int_equal(transport_kind(transport), TRANSPORT_LOOP);
	assert_string_equal(transport_text(transport), "loop (3)");
	transport_close(transport);
	transport_close(NULL);
}

/* Every allocation of an opening fails once: nothing is left behind, and the error says so. */
static void test_transport_open__an_allocation_fails__leaves_nothing(void **state)
{
	struct fixture *fixture = *state;
	char first[] = "eth0", second[] = "eth1";
	char *device[] = { first, second };

	fixture->config.devices = (struct option_strings){ device, 2 };
	for (unsigned nth = 1;; nth++) {
		struct transport *transport = NULL;
		struct transport_peer *peer;
		struct address address = loop_address(1);
		char problem[TRANSPORT_PROBLEM_MAX];
		uint32_t region;
		int error;

		allocation_fault_arm(nth);
		error = open_number(fixture, 0, &transport);
		if (!error)
			error = transport_region_add(transport, fixture->memory, MEMORY_LEN,
						     TRANSPORT_LANDING, &region, problem,
						     sizeof(problem));
		if (!error)
			error = transport_peer_get(transport, &address, NULL, &peer);
		if (!error)
			error = transport_peer_connect(peer);
		if (!error)
			transport_poll(transport);
		transport_close(transport);
		if (!allocation_fault_disarm())
			break;
		assert_true(error == 0 || error == -ENOMEM);
	}
	fixture->config.devices = (struct option_strings){ 0 };
}

static void test_transport_open__verbs_without_a_device__says_what_to_do(void **state)
{
	struct fixture *fixture = *state;
	const struct transport_environment environment = {
		.clock = clock_system(),
		.identity = &fixture->identity,
	};
	struct transport_device devices[32];
	char problem[TRANSPORT_PROBLEM_MAX] = "";
	struct transport *transport;
	int count = transport_devices(devices, ARRAY_COUNT(devices)), error;

	assert_true(count >= 2);
	for (int i = 0; i < count; i++) {
		assert_true(devices[i].kind == TRANSPORT_VERBS || devices[i].kind == TRANSPORT_UCX);
		assert_true(devices[i].usable || devices[i].problem[0]);
		if (devices[i].kind == TRANSPORT_VERBS && devices[i].usable)
			skip(); /* a machine with an RDMA NIC */
	}
	fixture->config.kind = TRANSPORT_VERBS;
	error = transport_open(&fixture->config, &environment, &transport, problem,
			       sizeof(problem));
	assert_int_equal(error, -ENODEV);
	assert_true(strlen(problem) > 10);
}

static void test_transport_open__auto_without_an_rdma_device__is_ucx(void **state)
{
	struct fixture *fixture = *state;
	const struct transport_environment environment = {
		.clock = clock_system(),
		.identity = &fixture->identity,
	};
	struct transport_device devices[32];
	char problem[TRANSPORT_PROBLEM_MAX] = "";
	struct transport *transport;
	int count = transport_devices(devices, ARRAY_COUNT(devices));

	for (int i = 0; i < count; i++) {
		if (devices[i].kind == TRANSPORT_VERBS && devices[i].usable)
			skip(); /* a machine with an RDMA NIC */
	}
	assert_int_equal(transport_open(&fixture->config, &environment, &transport, problem,
					sizeof(problem)),
			 0);
	assert_int_equal(transport_kind(transport), TRANSPORT_UCX);
	assert_non_null(strstr(transport_text(transport), "ucx"));
	transport_close(transport);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_transport_options__defaults__are_those_of_the_documents),
		TEST(test_transport_options__not_possible__says_what_is_wrong),
		TEST(test_transport_counters__each__has_a_name_and_a_text),
		TEST(test_transport_region_add__a_bad_place__is_einval),
		TEST(test_transport_region_add__beyond_the_limit__is_enospc),
		TEST(test_transport_region_of__every_border__is_exact),
		TEST(test_transport_wait__nothing_happens__returns_at_its_time),
		TEST(test_transport_wake__by_another_thread__ends_every_wait),
		TEST(test_transport_wait__a_read_under_way__sleeps_until_it_is_done),
		TEST(test_loop_transport_open__a_number_in_use__is_eaddrinuse),
		TEST(test_transport_open__an_allocation_fails__leaves_nothing),
		TEST(test_transport_open__verbs_without_a_device__says_what_to_do),
		TEST(test_transport_open__auto_without_an_rdma_device__is_ucx),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
