/*
 * rig.c - see rig.h.
 */
#include "tests/unit/fuse/namespace/rig.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/check.h"
#include "fuse/namespace/names.h"

static const struct counter_spec specs[MOUNT_COUNTER_COUNT];

static void obsolete(void *context, const struct object_version *version)
{
	struct rig *rig = context;

	rig->obsolete++;
	snprintf(rig->obsolete_etag, sizeof(rig->obsolete_etag), "%s", version->etag);
}

static bool passthrough(void *context, const struct object_id *id)
{
	(void)id;
	return ((struct rig *)context)->passthrough;
}

void rig_init(struct rig *rig)
{
	static char path[] = "/", backing[] = "b", bucket[] = "k", prefix[] = "";

	memset(rig, 0, sizeof(*rig));
	fake_init(&rig->fake, "b");
	CHECK(ledger_create(&rig->ledger) == 0);
	clock_manual_init(&rig->clock, 1000 * NS_PER_S, INT64_C(1700000000) * (int64_t)NS_PER_S);
	CHECK(counters_init(&rig->counters, "mount", specs, MOUNT_COUNTER_COUNT) == 0);
	for (unsigned i = 0; i < RIG_ENTRIES_MAX; i++)
		rig->entries[i] = (struct mount_entry_config){
			.path = path,
			.backing = backing,
			.bucket = bucket,
			.prefix = prefix,
			.uid = 7,
			.gid = 8,
			.file_mode = 0440,
			.directory_mode = 0550,
			.attribute_timeout = 60 * NS_PER_S,
			.entry_timeout = 60 * NS_PER_S,
			.negative_timeout = 5 * NS_PER_S,
			.listing_timeout = 60 * NS_PER_S,
			.dataset_depth = 1,
		};
	rig->config = (struct mount_config){
		.lookup_timeout = 30 * NS_PER_S,
		.listing_memory = 16 << 20,
		.entries = { .items = rig->entries, .count = 1 },
	};
}

void rig_start(struct rig *rig)
{
	struct backing *const backings[] = { &rig->fake.backing };
	struct namespace_settings settings = {
		.config = &rig->config,
		.backings = backings,
		.backing_count = 1,
		.clock = &rig->clock.clock,
		.counters = &rig->counters,
		.ledger = rig->ledger,
		.obsolete = obsolete,
		.passthrough = passthrough,
		.context = rig,
	};
	char problem[256];

	CHECK(namespace_create(&settings, &rig->ns, problem, sizeof(problem)) == 0);
}

void rig_stop(struct rig *rig)
{
	fake_run_all(&rig->fake);
	namespace_destroy(rig->ns);
	ledger_destroy(rig->ledger);
	CHECK(rig_counter(rig, MOUNT_LISTING_BYTES) == 0);
	counters_fini(&rig->counters);
	fake_fini(&rig->fake);
}

int rig_setup(void **state)
{
	rig_init(*state);
	rig_start(*state);
	return 0;
}

int rig_teardown(void **state)
{
	rig_stop(*state);
	return 0;
}

void rig_adopt(struct rig *rig)
{
	int fd = dup(ledger_fd(rig->ledger));

	CHECK(fd >= 0);
	fake_run_all(&rig->fake);
	namespace_destroy(rig->ns);
	rig->ns = NULL;
	ledger_destroy(rig->ledger);
	CHECK(ledger_adopt(fd, &rig->ledger) == 0);
}

void rig_take_over(struct rig *rig)
{
	rig_adopt(rig);
	rig_start(rig);
}

uint64_t rig_unique(struct rig *rig)
{
	return rig->unique += 2;
}

uint64_t rig_counter(const struct rig *rig, enum mount_counter counter)
{
	return counter_get(&rig->counters, counter);
}

/* --- look-ups ------------------------------------------------------------------------------- */

static void lookup_done(struct namespace_lookup *lookup)
{
	CONTAINER_OF(lookup, struct rig_lookup, lookup)->ended = true;
}

void rig_lookup_start(struct rig *rig, struct rig_lookup *lookup, uint64_t parent, const char *name)
{
	*lookup = (struct rig_lookup){ .lookup = { .parent = parent,
						   .name = name,
						   .unique = rig_unique(rig),
						   .done = lookup_done } };
	if (namespace_lookup_start(rig->ns, &lookup->lookup) == 1)
		lookup->ended = true;
}

int rig_lookup(struct rig *rig, uint64_t parent, const char *name, uint64_t *out_id)
{
	struct rig_lookup lookup;

	rig_lookup_start(rig, &lookup, parent, name);
	fake_run_all(&rig->fake);
	CHECK(lookup.ended);
	if (lookup.lookup.status == 0 && out_id)
		*out_id = lookup.lookup.attributes.id;
	return lookup.lookup.status;
}

/* --- directories ---------------------------------------------------------------------------- */

static bool reader_emit(struct namespace_read *read, const char *name, uint64_t next_offset,
			const struct namespace_attributes *attributes)
{
	struct rig_reader *reader = CONTAINER_OF(read, struct rig_reader, read);

	if (reader->given == reader->room)
		return false;
	reader->given++;
	reader->offset = next_offset;
	if (!reader->dots && (strcmp(name, ".") == 0 || strcmp(name, "..") == 0))
		return true;
	CHECK(reader->count < RIG_NAMES_MAX);
	snprintf(reader->names[reader->count], sizeof(reader->names[0]), "%s", name);
	reader->modes[reader->count] = attributes->mode;
	reader->ids[reader->count] = attributes->id;
	reader->offsets[reader->count] = next_offset;
	reader->inos[reader->count++] = attributes->ino;
	return true;
}

static void reader_done(struct namespace_read *read)
{
	CONTAINER_OF(read, struct rig_reader, read)->ended = true;
}

void rig_open(struct rig *rig, struct rig_reader *reader, uint64_t id, bool plus)
{
	memset(reader, 0, sizeof(*reader));
	reader->room = 100;
	reader->names = calloc(RIG_NAMES_MAX, sizeof(reader->names[0]));
	CHECK(reader->names);
	rig_return(rig, reader, id, NULL);
	reader->read.plus = plus;
	reader->read.directory = &reader->directory;
	reader->read.emit = reader_emit;
	reader->read.done = reader_done;
}

void rig_close(struct rig *rig, struct rig_reader *reader)
{
	namespace_directory_close(rig->ns, &reader->directory);
	free(reader->names);
}

void rig_leave(struct rig *rig, struct rig_reader *reader)
{
	namespace_directory_close(rig->ns, &reader->directory);
}

void rig_return(struct rig *rig, struct rig_reader *reader, uint64_t id,
		const struct ledger_cursor *resume)
{
	CHECK(namespace_directory_open(rig->ns, id, &reader->directory) == 0);
	reader->read.resume = resume;
}

void rig_read_start(struct rig *rig, struct rig_reader *reader)
{
	reader->ended = false;
	reader->given = 0;
	reader->read.offset = reader->offset;
	reader->read.unique = rig_unique(rig);
	if (namespace_read_start(rig->ns, &reader->read) == 1)
		reader->ended = true;
}

int rig_read_all(struct rig *rig, struct rig_reader *reader)
{
	do {
		rig_read_start(rig, reader);
		while (!reader->ended)
			CHECK(fake_run(&rig->fake));
	} while (reader->read.status == 0 && reader->given > 0);
	return reader->read.status;
}

int rig_has(const struct rig_reader *reader, const char *name)
{
	for (unsigned i = 0; i < reader->count; i++)
		if (strcmp(reader->names[i], name) == 0)
			return (int)i;
	return -1;
}

uint64_t rig_look_up(struct rig *rig, uint64_t parent, const char *name)
{
	uint64_t id = 0;

	CHECK(rig_lookup(rig, parent, name, &id) == 0);
	return id;
}

int rig_open_status(struct rig *rig, uint64_t id)
{
	struct namespace_file *file;
	int err = namespace_file(rig->ns, id, true, &file);

	if (!err)
		namespace_file_free(file);
	return err;
}

/* --- what is there of a node ------------------------------------------------------------------ */

struct namespace_attributes rig_attributes(const struct rig *rig, uint64_t id)
{
	struct namespace_attributes attributes;

	assert_int_equal(namespace_attributes(rig->ns, id, &attributes), 0);
	return attributes;
}

void rig_assert_key(const struct rig *rig, uint64_t id, const char *wanted)
{
	char key[NAMES_KEY_MAX + 1];

	assert_int_equal(namespace_describe(rig->ns, id, key, sizeof(key)), 0);
	assert_string_equal(key, wanted);
}

void rig_assert_gone(struct rig *rig, uint64_t id)
{
	struct namespace_directory directory;
	struct namespace_attributes attributes;
	char key[NAMES_KEY_MAX + 1];

	assert_int_equal(namespace_attributes(rig->ns, id, &attributes), -ESTALE);
	assert_int_equal(namespace_describe(rig->ns, id, key, sizeof(key)), -ESTALE);
	assert_int_equal(namespace_directory_open(rig->ns, id, &directory), -ESTALE);
	assert_int_equal(rig_lookup(rig, id, "a", NULL), -ESTALE);
	assert_int_equal(rig_open_status(rig, id), -ESTALE);
	namespace_refused(rig->ns, id);
	namespace_supersede(rig->ns, id);
	namespace_fall_back(rig->ns, id);
	assert_int_equal(namespace_siblings(rig->ns, id, 1000, NULL, 0), 0);
	namespace_siblings_refused(rig->ns, id, 0);
}

static int count_record(void *context, uint32_t place, const struct ledger_node *node)
{
	(void)place;
	(void)node;
	++*(unsigned *)context;
	return 0;
}

unsigned rig_records(const struct rig *rig)
{
	unsigned count = 0;

	assert_int_equal(ledger_nodes_each(rig->ledger, count_record, &count), 0);
	return count;
}
