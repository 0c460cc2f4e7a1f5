/*
 * measure_rig.h - a node that measures and two targets on a loop network. Time is moved by hand, to
 * the next thing that happens.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/clock.h"
#include "cache/peer/measure.h"
#include "fabric/keyring.h"
#include "fabric/transport/loop.h"
#include "tests/unit/cache/peer/host.h"

#define RIG_TARGETS   2
#define RIG_READS_MAX 128

struct rig_node {
	struct identity identity;
	struct transport *transport; /* NULL: not running */
	uint8_t *arena;
};

struct rig {
	struct clock_manual clock;
	struct loop_network *network;
	struct keyring *ring;
	struct peers_config config;
	struct counters counters, transport_counters;
	struct neighbours *neighbours;
	struct measure *measure;
	struct rig_node nodes[1 + RIG_TARGETS]; /* [0] measures */
	unsigned evidence_count;
	bool stopped_targets; /* their processes: their memory is read all the same */
};

/* A measurement by a test. */
struct rig_asked {
	struct rig *rig;
	struct measurement measurement;
	unsigned calls; /* of done() */
	uint64_t done_ns;
	struct rig_asked *then; /* is started inside done() */
};

/** rig_setup(), rig_teardown() - for cmocka; *@state is the rig. */
int rig_setup(void **state);
int rig_teardown(void **state);

/** RIG_TEST() - @test over @rig. */
#define RIG_TEST(rig, test)                                                                        \
	cmocka_unit_test_prestate_setup_teardown(test, rig_setup, rig_teardown, rig)

/** rig_kill() - a node's process; rig_start() starts the next one. */
void rig_kill(struct rig *rig, unsigned number);
void rig_start(struct rig *rig, unsigned number);

/** rig_usual_faults() - a tenth of a millisecond each way: a second is some thousand READs, and not
 *  millions. */
struct loop_faults rig_usual_faults(void);

/** rig_step() - everybody's turn, then time goes on to what comes next, by a millisecond at most.
 *  rig_run() - for so long. */
void rig_step(struct rig *rig);
void rig_run(struct rig *rig, uint64_t ns);

/** rig_usual() - 16 at a time of 16 KiB, 1 MiB, within a second; 5 s in all. */
struct measurement rig_usual(const struct rig *rig, unsigned target);

/** rig_prepare() - to be asked for later; rig_ask() - now. */
void rig_prepare(struct rig *rig, struct rig_asked *asked, const struct measurement *measurement);
void rig_ask(struct rig *rig, struct rig_asked *asked, const struct measurement *measurement);

/** rig_expect() - waits until it ends, with @status. */
void rig_expect(struct rig_asked *asked, int status);

uint64_t rig_now(const struct rig *rig);
uint64_t rig_count(const struct rig *rig, enum transport_counter counter);
