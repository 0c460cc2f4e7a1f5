/*
 * segments.c - the table of segments being appended to.
 */
#include "cache/store/segments.h"

#include <stddef.h>
#include <unistd.h>

#include "base/check.h"

#define RETIRED UINT32_MAX /* in place of a dataset: full, no longer found by it */

void segments_init(struct segments *segments)
{
	*segments = (struct segments){ .next = 1 };
	for (unsigned i = 0; i < SEGMENTS_OPEN_MAX; i++)
		segments->open[i].fd = -1;
}

void segments_fini(struct segments *segments)
{
	for (unsigned i = 0; i < SEGMENTS_OPEN_MAX; i++) {
		if (segments->open[i].fd >= 0)
			close(segments->open[i].fd);
	}
	segments_init(segments);
}

struct segment *segments_find(struct segments *segments, uint32_t dataset)
{
	for (unsigned i = 0; i < SEGMENTS_OPEN_MAX; i++) {
		struct segment *segment = &segments->open[i];

		if (segment->number && segment->dataset == dataset) {
			segment->refs++;
			segment->used = ++segments->use;
			return segment;
		}
	}
	return NULL;
}

struct segment *segments_get(struct segments *segments, uint32_t number)
{
	for (unsigned i = 0; i < SEGMENTS_OPEN_MAX; i++) {
		if (segments->open[i].number == number)
			return &segments->open[i];
	}
	return NULL;
}

static bool is_held(const struct segments *segments, uint32_t number)
{
	for (unsigned i = 0; i < segments->held_count; i++) {
		if (segments->held[i] == number)
			return true;
	}
	return false;
}

/* A free place, or that of the idle segment that was not used for longest. */
static struct segment *find_place(struct segments *segments)
{
	struct segment *best = NULL;

	for (unsigned i = 0; i < SEGMENTS_OPEN_MAX; i++) {
		struct segment *segment = &segments->open[i];

		if (!segment->number)
			return segment;
		if (segment->refs > 0)
			continue;
		if (!best || segment->dataset == RETIRED || segment->used < best->used)
			best = segment;
		if (best->dataset == RETIRED)
			break;
	}
	return best;
}

struct segment *segments_add(struct segments *segments, uint32_t dataset, uint32_t number,
			     int *out_fd)
{
	struct segment *place;

	*out_fd = -1;
	if (number && (is_held(segments, number) || segments_get(segments, number)))
		return NULL;
	place = find_place(segments);
	if (!place)
		return NULL;
	*out_fd = place->fd;
	*place = (struct segment){
		.number = number ? number : segments->next++,
		.dataset = dataset,
		.fd = -1,
		.refs = 1,
		.used = ++segments->use,
	};
	return place;
}

void segments_ref(struct segment *segment)
{
	segment->refs++;
}

void segments_put(struct segment *segment)
{
	CHECK(segment->refs > 0);
	segment->refs--;
}

void segments_retire(struct segment *segment)
{
	segment->dataset = RETIRED;
	segments_put(segment);
}

bool segments_hold(struct segments *segments, uint32_t number, int *out_fd)
{
	struct segment *segment = segments_get(segments, number);

	*out_fd = -1;
	if ((segment && segment->refs > 0) || is_held(segments, number) ||
	    segments->held_count == SEGMENTS_HELD_MAX)
		return false;
	if (segment) {
		*out_fd = segment->fd;
		*segment = (struct segment){ .fd = -1 };
	}
	segments->held[segments->held_count++] = number;
	return true;
}

void segments_release(struct segments *segments, uint32_t number)
{
	for (unsigned i = 0; i < segments->held_count; i++) {
		if (segments->held[i] == number) {
			segments->held[i] = segments->held[--segments->held_count];
			return;
		}
	}
	CHECK(!"the segment is held");
}

bool segments_known(const struct segments *segments, uint32_t number)
{
	for (unsigned i = 0; i < SEGMENTS_OPEN_MAX; i++) {
		if (segments->open[i].number == number)
			return true;
	}
	return is_held(segments, number);
}
