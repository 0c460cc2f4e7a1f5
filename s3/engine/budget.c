/*
 * budget.c - see budget.h.
 */
#include "s3/engine/budget.h"

static double burst_of(const struct budget_bucket *bucket)
{
	double burst = (double)bucket->rate * BUDGET_BURST_NS / NS_PER_S;
	return burst > 1 ? burst : 1;
}

static void refill(struct budget_bucket *bucket, uint64_t now_ns)
{
	if (now_ns > bucket->at_ns)
		bucket->level += (double)bucket->rate * (double)(now_ns - bucket->at_ns) / NS_PER_S;
	if (bucket->level > burst_of(bucket))
		bucket->level = burst_of(bucket);
	bucket->at_ns = now_ns;
}

/* Time until the bucket holds a whole unit; 0 when it does. */
static uint64_t wait_ns(const struct budget_bucket *bucket)
{
	if (!bucket->rate || bucket->level >= 1)
		return 0;
	return (uint64_t)((1 - bucket->level) * NS_PER_S / (double)bucket->rate) + 1;
}

static void bucket_set(struct budget_bucket *bucket, uint64_t rate, uint64_t now_ns)
{
	if (rate == bucket->rate)
		return;
	refill(bucket, now_ns);
	if (!bucket->rate) {
		bucket->rate = rate;
		bucket->level = burst_of(bucket);
	}
	bucket->rate = rate;
}

void budget_set(struct budget *budget, uint64_t requests_per_second, uint64_t bytes_per_second,
		uint64_t now_ns)
{
	bucket_set(&budget->requests, requests_per_second, now_ns);
	bucket_set(&budget->bytes, bytes_per_second, now_ns);
}

uint64_t budget_take(struct budget *budget, uint64_t bytes, uint64_t now_ns)
{
	refill(&budget->requests, now_ns);
	refill(&budget->bytes, now_ns);
	uint64_t requests_ns = wait_ns(&budget->requests);
	uint64_t bytes_ns = wait_ns(&budget->bytes);
	if (requests_ns || bytes_ns)
		return requests_ns > bytes_ns ? requests_ns : bytes_ns;
	if (budget->requests.rate)
		budget->requests.level -= 1;
	if (budget->bytes.rate)
		budget->bytes.level -= (double)bytes;
	return 0;
}

void budget_settle(struct budget *budget, uint64_t expected, uint64_t actual)
{
	if (budget->bytes.rate)
		budget->bytes.level += (double)expected - (double)actual;
}
