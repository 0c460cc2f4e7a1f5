/*
 * pump.c - a slot for each read in flight; when one ends, the next is started from its done().
 */
#include "tools/bw/pump.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/digest.h"
#include "tools/bw/pattern.h"
#include "tools/bw/plan.h"

int pump_init(struct pump *pump, const struct clock *clock, unsigned depth_max)
{
	memset(pump, 0, sizeof(*pump));
	pump->slots = calloc(depth_max, sizeof(*pump->slots));
	if (!pump->slots)
		return -ENOMEM;
	pump->slot_count = depth_max;
	pump->clock = clock;
	return 0;
}

void pump_fini(struct pump *pump)
{
	CHECK(pump->inflight == 0);
	free(pump->slots);
	pump->slots = NULL;
	pump->slot_count = 0;
}

/* The last place is for all the rest. */
static void failed_add(struct pump_result *into, int status, uint64_t count)
{
	unsigned i = 0;

	while (i + 1 < PUMP_STATUSES_MAX && into->failed[i].count > 0 &&
	       into->failed[i].status != status)
		i++;
	if (into->failed[i].count == 0)
		into->failed[i].status = status;
	into->failed[i].count += count;
}

void pump_result_add(struct pump_result *into, const struct pump_result *from)
{
	if (into->corrupt == 0)
		into->corrupt_off = from->corrupt_off;
	into->reads += from->reads;
	into->bytes += from->bytes;
	into->corrupt += from->corrupt;
	into->all_reads += from->all_reads;
	into->all_bytes += from->all_bytes;
	for (unsigned i = 0; i < PUMP_STATUSES_MAX; i++)
		if (from->failed[i].count > 0)
			failed_add(into, from->failed[i].status, from->failed[i].count);
}

static void fail(struct pump *pump, int status)
{
	failed_add(&pump->result, status, 1);
	pump->state = PUMP_DRAINING;
	pump->budget = 0;
}

static void slot_start(struct pump_slot *slot)
{
	struct pump *pump = slot->pump;
	int error;

	slot->read.off = pump->cursor;
	slot->read.deadline_ns = 0; /* it holds that of the slot's last read */
	if (pump->source.verify)
		pattern_spoil(slot->read.dst, pump->source.seed, slot->read.off, slot->read.len);
	if (pump->run.samples)
		slot->started_ns = clock_now_ns(pump->clock);
	error = transport_read(pump->source.peer, &slot->read);
	if (error == -EAGAIN) {
		slot->next = pump->waiting;
		pump->waiting = slot;
		return;
	}
	if (error) {
		fail(pump, error);
		return;
	}
	pump->inflight++;
	pump->budget--;
	pump->cursor += pump->stride;
	if (pump->cursor + pump->stride > pump->span)
		pump->cursor = 0;
}

/* The bytes are ours again; whether they stay as they are is asked later. */
static void slot_watch(struct pump_slot *slot)
{
	slot->check = digest_crc64(slot->read.dst, slot->read.len);
	slot->watched = true;
}

static void slot_verify(struct pump_slot *slot)
{
	struct pump *pump = slot->pump;
	size_t wrong;

	if (pattern_check(slot->read.dst, pump->source.seed, slot->read.off, slot->read.len,
			  &wrong))
		return;
	if (pump->result.corrupt++ == 0)
		pump->result.corrupt_off = slot->read.off + wrong;
}

static void slot_ended_well(struct pump_slot *slot)
{
	struct pump *pump = slot->pump;
	struct pump_result *result = &pump->result;

	result->all_reads++;
	result->all_bytes += slot->read.len;
	atomic_store_explicit(&pump->progress, result->all_reads, memory_order_relaxed);
	if (pump->state == PUMP_COUNTING) {
		result->reads++;
		result->bytes += slot->read.len;
		/* without memory for it the time is lost, the read counts */
		if (pump->run.samples)
			(void)samples_add(pump->run.samples,
					  clock_now_ns(pump->clock) - slot->started_ns);
	}
	if (pump->source.verify)
		slot_verify(slot);
}

static void read_done(struct transport_read *read)
{
	struct pump_slot *slot = read->context;
	struct pump *pump = slot->pump;

	pump->inflight--;
	if (read->status) {
		fail(pump, read->status);
		if (pump->source.verify)
			slot_watch(slot);
		return;
	}
	slot_ended_well(slot);
	if (pump->budget > 0)
		slot_start(slot);
}

void pump_start(struct pump *pump, const struct pump_source *source, const struct pump_run *run,
		uint64_t reads)
{
	CHECK(pump_is_idle(pump) && run->depth > 0 && run->depth <= pump->slot_count);
	CHECK(run->footprint <= source->memory_len && run->len <= source->region_len);
	pump->state = PUMP_WARMING;
	pump->source = *source;
	pump->run = *run;
	pump->stride = plan_footprint(1, run->len, 1);
	pump->span = run->footprint < source->region_len ? run->footprint : source->region_len;
	pump->cursor = 0;
	pump->budget = reads;
	pump->waiting = NULL;
	memset(&pump->result, 0, sizeof(pump->result));
	atomic_store_explicit(&pump->progress, 0, memory_order_relaxed);
	for (unsigned i = 0; i < run->depth; i++) {
		struct pump_slot *slot = &pump->slots[i];

		memset(slot, 0, sizeof(*slot));
		slot->pump = pump;
		slot->read.region = source->region;
		slot->read.len = run->len;
		slot->read.dst = source->memory + i * pump->stride % run->footprint;
		slot->read.done = read_done;
		slot->read.context = slot;
	}
	for (unsigned i = 0; i < run->depth && pump->budget > 0; i++)
		slot_start(&pump->slots[i]);
}

void pump_count(struct pump *pump, uint64_t reads)
{
	if (pump->state == PUMP_DRAINING)
		return;
	pump->state = PUMP_COUNTING;
	pump->budget = reads;
	/* In an idle one, no read's end will start the next. */
	if (pump->inflight > 0)
		return;
	for (unsigned i = 0; i < pump->run.depth && pump->budget > 0; i++)
		slot_start(&pump->slots[i]);
}

void pump_freeze(struct pump *pump)
{
	if (pump->state == PUMP_COUNTING)
		pump->state = PUMP_DRAINING;
	pump->budget = 0;
}

void pump_stop(struct pump *pump)
{
	pump->budget = 0;
	pump->waiting = NULL;
	if (pump->inflight > 0)
		pump->state = PUMP_DRAINING;
	else
		pump->state = PUMP_IDLE;
}

void pump_turn(struct pump *pump)
{
	struct pump_slot *waiting = pump->waiting;

	pump->waiting = NULL;
	while (waiting) {
		struct pump_slot *slot = waiting;

		waiting = slot->next;
		if (pump->budget > 0)
			slot_start(slot);
	}
}

bool pump_is_idle(const struct pump *pump)
{
	return pump->inflight == 0 && !pump->waiting;
}

uint64_t pump_failed(const struct pump *pump)
{
	uint64_t count = 0;

	for (unsigned i = 0; i < PUMP_STATUSES_MAX; i++)
		count += pump->result.failed[i].count;
	return count;
}

unsigned pump_watched(const struct pump *pump, unsigned *out_changed)
{
	unsigned watched = 0;

	*out_changed = 0;
	for (unsigned i = 0; i < pump->run.depth; i++) {
		const struct pump_slot *slot = &pump->slots[i];

		if (!slot->watched)
			continue;
		watched++;
		if (digest_crc64(slot->read.dst, slot->read.len) != slot->check)
			*out_changed += 1;
	}
	return watched;
}
