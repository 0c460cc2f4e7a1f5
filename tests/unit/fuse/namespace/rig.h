/*
 * rig.h - a namespace over a fake backing store, with a clock moved by hand, and a reader of it.
 */
#pragma once

#include "base/clock.h"
#include "fuse/namespace/namespace.h"
#include "tests/unit/fuse/namespace/fake_backing.h"

#define RIG_ENTRIES_MAX 4
#define RIG_NAMES_MAX	4096

struct rig {
	struct fake_backing fake;
	struct clock_manual clock;
	struct counters counters;
	struct mount_config config;
	struct mount_entry_config entries[RIG_ENTRIES_MAX];
	struct ledger *ledger;
	struct namespace *ns;
	uint64_t unique;   /* of the kernel's latest request */
	bool passthrough;  /* the mode of nodes that are made now */
	unsigned obsolete; /* versions said to be replaced */
	char obsolete_etag[BACKING_ETAG_MAX];
};

/* A look-up by a test. */
struct rig_lookup {
	struct namespace_lookup lookup;
	bool ended;
};

/* An open directory, read to the end or as far as it goes. */
struct rig_reader {
	struct namespace_directory directory;
	struct namespace_read read;
	char (*names)[256];
	uint64_t offset; /* to go on from */
	uint64_t ids[RIG_NAMES_MAX], inos[RIG_NAMES_MAX];
	uint32_t modes[RIG_NAMES_MAX];
	uint64_t offsets[RIG_NAMES_MAX]; /* behind each */
	unsigned count;
	unsigned room;	/* entries that one read takes */
	unsigned given; /* by this read */
	bool ended;	/* the read under way has */
	bool dots;	/* are kept too */
};

/** rig_init() - one entry "/" of bucket "k"; change rig->config before rig_start(). */
void rig_init(struct rig *rig);
void rig_start(struct rig *rig);
void rig_stop(struct rig *rig);

/** rig_setup(), rig_teardown() - for cmocka; *@state is the rig: rig_init() and rig_start(), or
 *  rig_stop(). */
int rig_setup(void **state);
int rig_teardown(void **state);

/** RIG_TEST() - @test over @rig, with nothing but the two around it. */
#define RIG_TEST(rig, test)                                                                        \
	cmocka_unit_test_prestate_setup_teardown(test, rig_setup, rig_teardown, rig)

/** rig_adopt() - the worker dies, while nothing waits and nothing is open, and the ledger that it
 *  left is adopted. rig_take_over() - and another one starts over it. */
void rig_adopt(struct rig *rig);
void rig_take_over(struct rig *rig);

/** rig_unique() - the number of another request of the kernel's. */
uint64_t rig_unique(struct rig *rig);

/** rig_lookup_start() - without letting the backing store answer. */
void rig_lookup_start(struct rig *rig, struct rig_lookup *lookup, uint64_t parent,
		      const char *name);

/** rig_lookup() - with all answers. Return: its status; the id in @out_id if that is not NULL. */
int rig_lookup(struct rig *rig, uint64_t parent, const char *name, uint64_t *out_id);

void rig_open(struct rig *rig, struct rig_reader *reader, uint64_t id, bool plus);
void rig_close(struct rig *rig, struct rig_reader *reader);

/** rig_leave(), rig_return() - around rig_take_over(): the handle lives on, and @resume says where
 *  its reader was. */
void rig_leave(struct rig *rig, struct rig_reader *reader);
void rig_return(struct rig *rig, struct rig_reader *reader, uint64_t id,
		const struct ledger_cursor *resume);

/** rig_read_start() - one read on from where the last one ended. */
void rig_read_start(struct rig *rig, struct rig_reader *reader);

/** rig_read_all() - to the end. Return: the status. */
int rig_read_all(struct rig *rig, struct rig_reader *reader);

/** rig_has() - the index of a name that was read, or -1. */
int rig_has(const struct rig_reader *reader, const char *name);

uint64_t rig_counter(const struct rig *rig, enum mount_counter counter);

/** rig_look_up() - the id of a name that is there. */
uint64_t rig_look_up(struct rig *rig, uint64_t parent, const char *name);

/** rig_open_status() - what OPEN of a file's node says. */
int rig_open_status(struct rig *rig, uint64_t id);

/** rig_attributes() - of a node that is there. */
struct namespace_attributes rig_attributes(const struct rig *rig, uint64_t id);

/** rig_assert_key() - the backing store, the bucket and the key of a node that is there. */
void rig_assert_key(const struct rig *rig, uint64_t id, const char *wanted);

/** rig_assert_gone() - the kernel may know the node, and whatever it asks of it is ESTALE. */
void rig_assert_gone(struct rig *rig, uint64_t id);

/** rig_records() - nodes in the ledger. */
unsigned rig_records(const struct rig *rig);
