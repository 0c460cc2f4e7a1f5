/*
 * readahead.c - see readahead.h.
 *
 * A read belongs to a stream when it begins within SLACK of where the stream ended: several
 * requests of one large read(2), or the kernel's own read-ahead under mmap, overtake each other. A
 * stream that saw one read only must be continued exactly, or every strided reader would look like
 * one.
 *
 * Reads that belong to no stream begin a piece; pieces at equal distances are a stride. A piece may
 * be read by several requests, which then form a stream: that stream is not followed beyond the
 * length that pieces have.
 */
#include "fuse/readahead.h"

#include <stddef.h>

#define SLACK	      (2u << 20)
#define SEQUENCE_MIN  (128u << 10) /* read in sequence before anything is fetched ahead */
#define AHEAD_PER_RUN 4
#define STEPS	      8		   /* in which the limit is refilled */
#define STRIDE_RUN    2		   /* equal distances that make a stride */
#define PIECES_MAX    32	   /* ahead */
#define RANDOM_MAX    (256u << 10) /* larger reads are worth whole blocks in any case */

static uint64_t distance(uint64_t a, uint64_t b)
{
	return a < b ? b - a : a - b;
}

static struct readahead_stream *stream_find(struct readahead *readahead, uint64_t off)
{
	for (unsigned i = 0; i < READAHEAD_STREAMS; i++) {
		struct readahead_stream *stream = &readahead->streams[i];

		if (stream->used != 0 &&
		    distance(off, stream->next) <= (stream->confirmed ? SLACK : 0))
			return stream;
	}
	return NULL;
}

/* A place for a new stream: the least recently used one, unconfirmed ones first. */
static struct readahead_stream *stream_victim(struct readahead *readahead)
{
	struct readahead_stream *victim = &readahead->streams[0];

	for (unsigned i = 1; i < READAHEAD_STREAMS; i++) {
		struct readahead_stream *stream = &readahead->streams[i];

		if (stream->confirmed != victim->confirmed ? victim->confirmed
							   : stream->used < victim->used)
			victim = stream;
	}
	return victim;
}

static void advise(struct readahead_advice *out, uint64_t off, uint64_t len)
{
	out->ranges[out->count++] = (struct readahead_range){ off, len };
}

static uint64_t round_up(uint64_t value, uint64_t unit)
{
	return (value + unit - 1) / unit * unit;
}

static void sequential_advise(struct readahead_stream *stream,
			      const struct readahead_limits *limits, struct readahead_advice *out)
{
	uint64_t run = stream->next - stream->begin;
	uint64_t window = run < limits->max / AHEAD_PER_RUN ? run * AHEAD_PER_RUN : limits->max;
	uint64_t left = limits->size - stream->next;
	uint64_t from = stream->ahead > stream->next ? stream->ahead : stream->next;
	uint64_t to;

	if (run < SEQUENCE_MIN || limits->max == 0)
		return;
	/* The block under the reader is its own read's business. */
	from = round_up(from, limits->block);
	to = window < left ? round_up(stream->next + window, limits->block) : limits->size;
	if (to > limits->size)
		to = limits->size;
	if (from >= to)
		return;
	/* In step with the reader every advice would be of one block; several adjacent ones can be
	 * had by one request. */
	if (window == limits->max && to < limits->size && to - from < limits->max / STEPS)
		return;
	stream->ahead = to;
	advise(out, from, to - from);
}

static void sequential_read(struct readahead *readahead, struct readahead_stream *stream,
			    const struct readahead_limits *limits, uint64_t off, uint64_t len,
			    struct readahead_advice *out)
{
	struct readahead_stride *stride = &readahead->stride;

	stream->used = readahead->tick;
	stream->confirmed = true;
	if (off + len > stream->next)
		stream->next = off + len;
	if (stride->run < STRIDE_RUN) {
		if (stream->begin == stride->last)
			stride->piece = stream->next - stream->begin;
	} else if (stream->next - stream->begin <= stride->piece) {
		return; /* the rest of a piece */
	}
	sequential_advise(stream, limits, out);
}

/* The next piece behind @off in the stride's direction. Return: false beyond the file's ends. */
static bool piece_next(const struct readahead_stride *stride, uint64_t size, uint64_t *off)
{
	uint64_t next = *off + stride->distance;
	bool backwards = stride->distance > UINT64_MAX / 2;

	if (next >= size || (backwards ? next > *off : next < *off))
		return false;
	*off = next;
	return true;
}

static void stride_advise(struct readahead_stride *stride, const struct readahead_limits *limits,
			  struct readahead_advice *out)
{
	uint64_t wanted = limits->max / (stride->piece ? stride->piece : 1);
	uint64_t off;

	if (wanted > stride->run * UINT64_C(2))
		wanted = stride->run * UINT64_C(2);
	if (wanted > PIECES_MAX)
		wanted = PIECES_MAX;
	if (stride->pieces > 0)
		stride->pieces--; /* the one that is read now */
	off = stride->pieces > 0 ? stride->ahead : stride->last;
	while (stride->pieces < wanted && out->count < READAHEAD_RANGES_MAX &&
	       piece_next(stride, limits->size, &off)) {
		uint64_t left = limits->size - off;

		advise(out, off, stride->piece < left ? stride->piece : left);
		stride->ahead = off;
		stride->pieces++;
	}
}

static bool stride_read(struct readahead_stride *stride, const struct readahead_limits *limits,
			uint64_t off, uint64_t len, struct readahead_advice *out)
{
	uint64_t apart = off - stride->last;

	if (stride->started && apart == stride->distance) {
		stride->run++;
	} else {
		stride->distance = stride->started ? apart : 0;
		stride->run = stride->started ? 1 : 0;
		stride->pieces = 0;
		stride->piece = len;
	}
	stride->started = true;
	stride->last = off;
	if (stride->piece < len)
		stride->piece = len;
	if (stride->run < STRIDE_RUN || stride->distance == 0)
		return false;
	stride_advise(stride, limits, out);
	return true;
}

void readahead_read(struct readahead *readahead, const struct readahead_limits *limits,
		    uint64_t off, uint64_t len, struct readahead_advice *out)
{
	struct readahead_stream *stream = stream_find(readahead, off);
	bool strided;

	*out = (struct readahead_advice){ 0 };
	readahead->tick++;
	if (stream) {
		sequential_read(readahead, stream, limits, off, len, out);
		return;
	}
	strided = stride_read(&readahead->stride, limits, off, len, out);
	stream = stream_victim(readahead);
	*stream = (struct readahead_stream){
		.begin = off, .next = off + len, .ahead = off + len, .used = readahead->tick
	};
	/* A large first read at the start is the beginning of a sequence often enough. */
	if (off == 0 && !strided)
		sequential_advise(stream, limits, out);
	out->random = off != 0 && !strided && len < RANDOM_MAX;
}

void readahead_refused(struct readahead *readahead, uint64_t off)
{
	for (unsigned i = 0; i < READAHEAD_STREAMS; i++) {
		struct readahead_stream *stream = &readahead->streams[i];

		if (stream->used != 0 && stream->begin <= off && off < stream->ahead)
			stream->ahead = off > stream->next ? off : stream->next;
	}
	readahead->stride.pieces = 0; /* asked for again with the next piece */
}
