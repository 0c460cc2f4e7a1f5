/*
 * samples.c - a reservoir of times: beyond its size, each new one replaces a random one with the
 * probability that leaves all equally likely to be kept.
 */
#include "tools/bw/samples.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "tools/terminal.h"

#define KEPT_FIRST (1u << 12)
#define BAR_WIDTH  50

void samples_init(struct samples *samples, uint64_t seed)
{
	memset(samples, 0, sizeof(*samples));
	random_init(&samples->random, seed);
}

void samples_fini(struct samples *samples)
{
	free(samples->kept);
	samples->kept = NULL;
	samples->kept_size = 0;
	samples_reset(samples);
}

void samples_reset(struct samples *samples)
{
	samples->kept_count = 0;
	samples->count = 0;
	samples->least = samples->greatest = 0;
	samples->mean = samples->squares = 0;
}

static int room_make(struct samples *samples)
{
	unsigned size = samples->kept_size ? 2 * samples->kept_size : KEPT_FIRST;
	uint64_t *kept = reallocarray(samples->kept, size, sizeof(*kept));

	if (!kept)
		return -ENOMEM;
	samples->kept = kept;
	samples->kept_size = size;
	return 0;
}

int samples_add(struct samples *samples, uint64_t ns)
{
	double difference;

	if (samples->kept_count < SAMPLES_KEPT_MAX) {
		if (samples->kept_count == samples->kept_size && room_make(samples) != 0)
			return -ENOMEM;
		samples->kept[samples->kept_count++] = ns;
	} else {
		uint64_t place = random_below(&samples->random, samples->count + 1);

		if (place < SAMPLES_KEPT_MAX)
			samples->kept[place] = ns;
	}
	if (samples->count == 0 || ns < samples->least)
		samples->least = ns;
	if (ns > samples->greatest)
		samples->greatest = ns;
	difference = (double)ns - samples->mean;
	samples->count++;
	samples->mean += difference / (double)samples->count;
	samples->squares += difference * ((double)ns - samples->mean);
	return 0;
}

/* Both reservoirs stand for count reads each: what is kept of them is in proportion to that. */
static unsigned kept_merge(uint64_t *out, const struct samples *a, const struct samples *b)
{
	uint64_t all = (uint64_t)a->kept_count + b->kept_count;
	double share = (double)a->count / (double)(a->count + b->count);
	unsigned from_a = a->kept_count, from_b = b->kept_count;

	if (all > SAMPLES_KEPT_MAX || a->count + b->count > all) {
		double total = fmin(SAMPLES_KEPT_MAX,
				    fmin((double)from_a / share, (double)from_b / (1 - share)));

		from_a = (unsigned)fmin(total * share, from_a);
		from_b = (unsigned)fmin(total * (1 - share), from_b);
	}
	memcpy(out, a->kept, from_a * sizeof(*out));
	memcpy(out + from_a, b->kept, from_b * sizeof(*out));
	return from_a + from_b;
}

/* The first ones stand for all only when the order is no order in time. */
static void shuffle(uint64_t *kept, unsigned count, struct random *random)
{
	for (unsigned i = count; i > 1; i--) {
		unsigned other = (unsigned)random_below(random, i);
		uint64_t swapped = kept[i - 1];

		kept[i - 1] = kept[other];
		kept[other] = swapped;
	}
}

int samples_merge(struct samples *into, const struct samples *from)
{
	uint64_t count = into->count + from->count;
	double difference = from->mean - into->mean;
	unsigned size;
	uint64_t *kept;

	if (from->count == 0)
		return 0;
	size = into->kept_count + from->kept_count;
	kept = reallocarray(NULL, size, sizeof(*kept));
	if (!kept)
		return -ENOMEM;
	if (into->count == 0) {
		memcpy(kept, from->kept, from->kept_count * sizeof(*kept));
		into->kept_count = from->kept_count;
	} else {
		into->kept_count = kept_merge(kept, into, from);
	}
	shuffle(kept, into->kept_count, &into->random);
	free(into->kept);
	into->kept = kept;
	into->kept_size = size;
	if (into->count == 0 || from->least < into->least)
		into->least = from->least;
	if (from->greatest > into->greatest)
		into->greatest = from->greatest;
	into->squares += from->squares + difference * difference * (double)into->count *
						 (double)from->count / (double)count;
	into->mean += difference * (double)from->count / (double)count;
	into->count = count;
	return 0;
}

static int by_value(const void *a, const void *b)
{
	uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

	return (left > right) - (left < right);
}

/* The smallest kept value that @per_mille of them do not exceed. */
static uint64_t percentile(const struct samples *samples, unsigned per_mille)
{
	uint64_t rank = ((uint64_t)samples->kept_count * per_mille + 999) / 1000;

	return samples->kept[rank > 0 ? rank - 1 : 0];
}

void samples_summarize(struct samples *samples, struct samples_summary *out)
{
	memset(out, 0, sizeof(*out));
	if (samples->count == 0)
		return;
	qsort(samples->kept, samples->kept_count, sizeof(*samples->kept), by_value);
	out->count = samples->count;
	out->least = samples->least;
	out->greatest = samples->greatest;
	out->p50 = percentile(samples, 500);
	out->p99 = percentile(samples, 990);
	out->p999 = percentile(samples, 999);
	out->mean = samples->mean;
	out->deviation = sqrt(samples->squares / (double)samples->count);
}

/* Bucket 0 ends at 1 ns, each later one at sqrt(2) of the one before. */
static uint64_t bucket_end(unsigned index)
{
	return (uint64_t)ceil(exp2((double)index / SAMPLES_BUCKET_STEPS));
}

static unsigned bucket_of(uint64_t ns)
{
	unsigned index = 0;

	while (index + 1 < SAMPLES_BUCKETS_MAX * SAMPLES_BUCKET_STEPS && ns >= bucket_end(index))
		index++;
	return index;
}

unsigned samples_histogram(const struct samples *samples,
			   struct samples_bucket out[SAMPLES_BUCKETS_MAX])
{
	uint64_t counts[SAMPLES_BUCKETS_MAX * SAMPLES_BUCKET_STEPS] = { 0 };
	unsigned first = 0, last = ARRAY_COUNT(counts), count = 0;

	if (samples->kept_count == 0)
		return 0;
	for (unsigned i = 0; i < samples->kept_count; i++)
		counts[bucket_of(samples->kept[i])]++;
	while (counts[first] == 0)
		first++;
	while (counts[last - 1] == 0)
		last--;
	for (unsigned i = first; i < last && count < SAMPLES_BUCKETS_MAX; i++, count++) {
		double share = (double)counts[i] / (double)samples->kept_count;

		out[count].below_ns = bucket_end(i);
		out[count].count = (uint64_t)llround(share * (double)samples->count);
	}
	return count;
}

void samples_print_histogram(const struct samples *samples, FILE *out)
{
	struct samples_bucket buckets[SAMPLES_BUCKETS_MAX];
	unsigned count = samples_histogram(samples, buckets);
	uint64_t most = 1;

	for (unsigned i = 0; i < count; i++)
		if (buckets[i].count > most)
			most = buckets[i].count;
	for (unsigned i = 0; i < count; i++) {
		unsigned width = (unsigned)((double)buckets[i].count * BAR_WIDTH / (double)most);
		char number[TERMINAL_TEXT_MAX];

		fprintf(out, "   < %10.2f usec %14s ", (double)buckets[i].below_ns / 1000,
			text_count(buckets[i].count, number));
		if (buckets[i].count > 0 && width == 0)
			width = 1;
		for (unsigned j = 0; j < width; j++)
			fputc('#', out);
		fputc('\n', out);
	}
}
