/*
 * siblings.c - see siblings.h.
 *
 * A stream accepts an index that lies a little before its highest one (another worker was faster)
 * or up to its window beyond it. The window doubles with each file that comes in sequence, so that
 * a reader who takes three files and leaves costs a few fetches, not sixty-four.
 */
#include "fuse/namespace/siblings.h"

#include <string.h>

void siblings_reset(struct siblings *siblings)
{
	memset(siblings, 0, sizeof(*siblings));
}

static bool stream_accepts(const struct siblings_stream *stream, uint32_t index)
{
	if (stream->run == 0)
		return false;
	if (index < stream->next)
		return stream->next - index <= stream->window;
	return index - stream->next < stream->window;
}

static struct siblings_stream *stream_find(struct siblings *siblings, uint32_t index)
{
	struct siblings_stream *oldest = &siblings->streams[0];

	for (unsigned i = 0; i < SIBLINGS_STREAMS; i++) {
		struct siblings_stream *stream = &siblings->streams[i];

		if (stream_accepts(stream, index))
			return stream;
		if (stream->run == 0 || (oldest->run > 0 && stream->used < oldest->used))
			oldest = stream;
	}
	*oldest = (struct siblings_stream){ .next = index,
					    .end = index,
					    .window = SIBLINGS_AHEAD_MIN };
	return oldest;
}

struct siblings_range siblings_read(struct siblings *siblings, uint32_t index)
{
	struct siblings_stream *stream = stream_find(siblings, index);
	struct siblings_range range = { index, index, index };

	stream->used = ++siblings->tick;
	if (stream->run > 0 && index < stream->next)
		return range; /* a straggler: the sequence is already beyond it */
	stream->next = index + 1;
	if (stream->end < stream->next)
		stream->end = stream->next;
	if (stream->run < UINT16_MAX)
		stream->run++;
	if (stream->run < SIBLINGS_RUN_MIN)
		return range;
	/* In halves: a call for each file would look at the listing for one file at a time. */
	if (stream->end - stream->next > stream->window / 2)
		return range;
	if (stream->run > SIBLINGS_RUN_MIN && stream->window < SIBLINGS_AHEAD_MAX)
		stream->window *= 2;
	range.first = stream->end;
	range.end = stream->next + stream->window;
	if (range.end < range.first)
		range.end = range.first;
	stream->end = range.end;
	range.mark = range.end - stream->window / 2 - 1;
	return range;
}

void siblings_refused(struct siblings *siblings, uint32_t index)
{
	for (unsigned i = 0; i < SIBLINGS_STREAMS; i++) {
		struct siblings_stream *stream = &siblings->streams[i];

		if (stream->run > 0 && stream->used == siblings->tick && stream->end > index)
			stream->end = index > stream->next ? index : stream->next;
	}
}
