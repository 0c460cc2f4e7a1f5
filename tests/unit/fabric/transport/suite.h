/*
 * suite.h - what every transport must do, as tests that know nothing but transport.h: run over loop
 * and over ucx as unit tests, and over verbs in the virtual machine.
 *
 * Each test opens some nodes - a transport, an identity, memory - at addresses of the backend. All
 * of them live in this thread and are polled in turn; a node that is held is not (as if its process
 * were stopped). Waits are bounded in real time by SUITE_PATIENCE_NS.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/clock.h"
#include "fabric/keyring.h"
#include "fabric/transport/transport.h"

#define SUITE_PATIENCE_NS (60 * NS_PER_S)
#define SUITE_NODES_MAX	  32
#define SUITE_MEMORY_LEN  ((size_t)4 << 20)
#define SUITE_MESSAGES	  1024 /* remembered of a node */

struct suite_backend {
	const char *name;
	const struct clock *clock;
	/* Opens node number @which, at one of the backend's addresses and a free port; config has
	   all but kind, listen and devices, which this sets (and config is to be used at once). */
	int (*open)(unsigned which, struct transport_config *config,
		    const struct transport_environment *environment, struct transport **out,
		    char *problem, size_t problem_size);
	/* Nothing happened: a clock that is moved by hand moves. May be NULL. */
	void (*idle)(void);
	/* Reads of node @which get no answer while @stalled, and nothing says so. NULL: it is
	   enough that the node is not polled. stall_missing: why it cannot be done, or NULL. */
	void (*stall)(unsigned which, bool stalled);
	const char *stall_missing;
	bool big; /* a region of more than 1 GiB may be registered */
	bool tcp; /* handshakes are held over TCP */
	/* Around each test. May be NULL. */
	void (*begin)(void);
	void (*end)(void);
};

struct suite_node {
	unsigned which;
	struct suite *suite;
	bool held, in_call;
	struct transport *transport;
	struct transport_config config;
	struct identity identity;
	struct keyring *ring;
	struct counters counters;
	struct address address;
	uint8_t *memory;  /* SUITE_MEMORY_LEN bytes, READABLE, filled by suite_byte() */
	uint8_t *landing; /* as many, LANDING */
	uint32_t readable, unreadable; /* their regions */
	/* what it was told */
	unsigned ups, downs, messages;
	int down_status;
	char down_why[256];
	struct transport_peer *passive; /* the last that connected to it, NULL when it left */
	size_t message_lens[SUITE_MESSAGES];
	uint32_t message_numbers[SUITE_MESSAGES]; /* the first four bytes */
	bool echo;				  /* answers each message with its like */
	unsigned echoes_refused;
};

struct suite {
	const struct suite_backend *backend;
	struct suite_node nodes[SUITE_NODES_MAX];
	unsigned node_count;
	void **lent; /* by suite_calloc() */
	unsigned lent_count;
};

/* A read of a test. */
struct suite_read {
	struct transport_read read;
	struct suite_node *node; /* that reads */
	unsigned calls;		 /* of done */
	bool scribble;		 /* done fills dst, to see later that nobody else did */
	uint8_t scribbled;
};

struct suite_message {
	struct transport_message message;
	struct suite_node *node;
	unsigned calls;
	uint8_t data[TRANSPORT_MESSAGE_MAX];
};

/** suite_run() - all tests over @backend. Return: the number that failed. */
int suite_run(const struct suite_backend *backend);

/** suite_run_tests() - tests of a backend's own, with the suite's fixtures. */
int suite_run_tests(const struct suite_backend *backend, const char *what,
		    const struct CMUnitTest *tests, size_t count);

/* For the tests. */
extern const struct CMUnitTest suite_read_tests[], suite_message_tests[], suite_connection_tests[],
	suite_fence_tests[];
extern const size_t suite_read_test_count, suite_message_test_count, suite_connection_test_count,
	suite_fence_test_count;

int suite_setup(void **state);
int suite_teardown(void **state);

/** suite_calloc() - zeroed memory that lives until all transports are closed: what is lent to one.
 */
void *suite_calloc(struct suite *suite, size_t count, size_t size);

/** suite_config() - the defaults, with short times. Strings are constants: not to be freed. */
struct transport_config suite_config(void);

/** suite_node_prepare() - all of a node but the transport; of member @which, in cluster "suite",
 *  with the key @key. */
struct suite_node *suite_node_prepare(struct suite *suite, const char *cluster, uint8_t key);

/** suite_node_open() - opens it with its config, registers, listens. */
void suite_node_open(struct suite *suite, struct suite_node *node);

/** suite_node_add() - both. */
struct suite_node *suite_node_add(struct suite *suite);

/** suite_node_close() - the transport alone: it may be opened again. */
void suite_node_close(struct suite_node *node);

/** suite_peer() - of @node, @at. */
struct transport_peer *suite_peer(struct suite_node *node, const struct suite_node *at);

/** suite_pump() - one round. Returns how many things happened. */
int suite_pump(struct suite *suite);

/** suite_wait() - until *@count is @wanted or more. */
void suite_wait(struct suite *suite, const unsigned *count, unsigned wanted, const char *what);

/** suite_wait_ns() - pumps for so long by the backend's clock. */
void suite_wait_ns(struct suite *suite, uint64_t ns);

/** suite_wait_up() - connects, until it is up. */
void suite_wait_up(struct suite *suite, struct transport_peer *peer);

/** suite_byte() - what readable memory holds at @off. */
uint8_t suite_byte(size_t off);

/** suite_read_start() - of @node from @peer's readable region, to landing + @dst_off.
 *  Return: as transport_read(). */
int suite_read_start(struct suite_read *read, struct suite_node *node, struct transport_peer *peer,
		     uint64_t off, size_t len, size_t dst_off);

/** suite_read_right() - whether dst holds what it should. */
bool suite_read_right(const struct suite_read *read);

/** suite_read_wait() - until it is done. Return: its status. */
int suite_read_wait(struct suite *suite, struct suite_read *read);

/** suite_reads_wait() - until @count of them are done, each once. */
void suite_reads_wait(struct suite *suite, struct suite_read *reads, unsigned count);

/** suite_message_start() - @len bytes that begin with @number. Return: as transport_send(). */
int suite_message_start(struct suite_message *message, struct suite_node *node,
			struct transport_peer *peer, uint32_t number, size_t len);

/** suite_stall(), suite_unstall() - see backend.stall; skips the test where it cannot be done. */
void suite_stall(struct suite *suite, struct suite_node *node);
void suite_unstall(struct suite *suite, struct suite_node *node);

/* a test of the suite, for the tables */
#define SUITE_TEST(test) cmocka_unit_test_setup_teardown(test, suite_setup, suite_teardown)

uint64_t suite_count(const struct suite_node *node, enum transport_counter counter);
