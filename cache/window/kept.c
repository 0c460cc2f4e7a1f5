/*
 * kept.c - what the window tells the process that has the arena next, and what it does with what
 * the one before has told.
 *
 * owed. What was fetched and has not reached the SSD must not be fetched twice because a process
 * died. That a block is written does not say that it is committed, so it stays owed for as long as
 * it lies in memory. The next process cannot write it before it knows more of its object than the
 * id: until somebody opens it the entry is an orphan.
 *
 * held. Kernel and devices may not be done with the frame (records.c). A reference keeps it where
 * it is; what is DEAD and held is nothing but a place that is not to be used.
 */
#include "base/check.h"
#include "base/digest.h"
#include "cache/window/room.h"

static enum record_state record_state_of(const struct window_entry *entry)
{
	switch ((enum window_state)entry->state) {
	case WINDOW_FILLING:
		return RECORD_FILLING;
	case WINDOW_WRITING:
		return RECORD_WRITING;
	case WINDOW_DIRTY:
	case WINDOW_CLEAN:
	case WINDOW_KEPT:
		if (entry->held)
			return RECORD_WRITING;
		return entry->owed ? RECORD_OWED : RECORD_CLEAN;
	case WINDOW_DEAD:
		return entry->held ? RECORD_FILLING : RECORD_NOTHING;
	case WINDOW_FREE:
		break;
	}
	return RECORD_NOTHING;
}

void window_put_on_record(struct window *window, const struct window_entry *entry)
{
	enum record_state state = record_state_of(entry);
	struct record record = {
		.key = entry->key,
		.off = entry->off,
		.len = entry->len,
		.order = entry->order,
		.state = (uint8_t)state,
		.check = state == RECORD_FILLING ? 0 : entry->check,
	};

	if (state == RECORD_NOTHING)
		records_erase(&window->records, entry->slot);
	else
		records_put(&window->records, entry->slot, &record);
}

void window_hint_kept(struct window *window, struct window_entry *entry)
{
	struct window_entries *list = &window->lists[WINDOW_LIST_KEPT];

	if (entry->list != WINDOW_LIST_KEPT)
		return;
	TAILQ_REMOVE(list, entry, by_age);
	TAILQ_INSERT_TAIL(list, entry, by_age);
}

bool window_verify(struct window *window, struct window_entry *entry)
{
	const unsigned char *data = window_data(window, entry);
	const uint64_t *checks = window_checks(window, entry);
	uint32_t left = entry->len;

	for (unsigned i = 0; i < object_granule_count(entry->len); i++) {
		uint32_t len = left < GRANULE_LEN ? left : GRANULE_LEN;

		if (digest_crc64(data, len) != checks[i])
			return false;
		data += len;
		left -= len;
	}
	return true;
}

void window_disprove(struct window *window, struct window_entry *entry)
{
	CHECK(entry->state == WINDOW_FILLING && entry->unverified);
	entry->unverified = false;
	entry->inherited = false;
	entry->owed = false;
	counter_add(window->counters, CACHE_KEPT_REFUSED, 1);
	window_put_on_record(window, entry);
}

void window_set_orphan(struct window *window, struct window_entry *entry, bool orphan)
{
	if (entry->orphan == orphan)
		return;
	entry->orphan = orphan;
	if (orphan) {
		TAILQ_INSERT_TAIL(&window->orphans, entry, by_kept);
		window->orphan_count++;
	} else {
		TAILQ_REMOVE(&window->orphans, entry, by_kept);
		window->orphan_count--;
	}
}

void window_let_go(struct window *window)
{
	struct window_entry *entry;

	while ((entry = TAILQ_FIRST(&window->held))) {
		TAILQ_REMOVE(&window->held, entry, by_held);
		entry->held = false;
		window_put_on_record(window, entry);
		window_unref(window, entry, WINDOW_FORWARD);
	}
}

void window_seal(struct window *window)
{
	records_seal(&window->records);
}

void window_leave(struct window *window)
{
	CHECK(window->records.sealed);
	window_let_go(window);
	records_leave(&window->records, &window->owners[1]);
}
