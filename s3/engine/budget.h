/*
 * budget.h - how much we ask of the service: requests and bytes a second, as token buckets. Pure:
 * the time is passed in.
 *
 * A bucket may go into debt by one request (a 4 MiB GET against 1 MB/s has to be possible); the
 * next one then waits until the debt is paid. Idle time is credited for at most 100 ms, so a pause
 * is not followed by a burst that the service would answer with 503.
 */
#pragma once

#include <stdint.h>

#include "base/clock.h"

#define BUDGET_BURST_NS (100 * NS_PER_MS)

struct budget_bucket {
	uint64_t rate;	/* units a second; 0: no limit */
	double level;	/* units; negative: debt */
	uint64_t at_ns; /* of level */
};

struct budget {
	struct budget_bucket requests;
	struct budget_bucket bytes;
};

/** budget_set() - new rates from now on; debts stay. A zeroed struct is a budget without limits. */
void budget_set(struct budget *budget, uint64_t requests_per_second, uint64_t bytes_per_second,
		uint64_t now_ns);

/**
 * budget_take() - takes one request of about @bytes.
 * Return: 0 when taken, else the nanoseconds until asking again makes sense; nothing was taken.
 */
uint64_t budget_take(struct budget *budget, uint64_t bytes, uint64_t now_ns);

/** budget_settle() - corrects a taken request: @expected bytes were reckoned with, @actual came. */
void budget_settle(struct budget *budget, uint64_t expected, uint64_t actual);
