/*
 * locate_ask.h - asks members what they have of an object: some at a time, each within its time.
 */
#pragma once

#include <stdbool.h>

#include "base/clock.h"
#include "cache/peer/peers.h"

#define LOCATE_ASKED_AT_ONCE 32
#define LOCATE_ASK_NS	     (5 * NS_PER_S)

/* A member, and what it said. */
struct locate_answer {
	struct member_id member;
	int status; /* 0: it has answered; as in peers_inquiry */
	struct peer_holdings holdings;
	char problem[PEER_REPORT_PROBLEM_MAX]; /* status not 0: why, in one line */
};

struct locate_asking {
	const struct clock *clock;
	struct object_version version; /* lent for the call */
	void *context;
	void (*ask)(void *context, struct peers_inquiry *inquiry); /* peers_inquire() */
	/* At least ten times a second: how many have answered or failed. Return: false: stop. */
	bool (*tell)(void *context, unsigned done);
};

/**
 * locate_ask() - fills in @count @answers, whose members are set; blocks. What was not asked any
 * more has the status -ECANCELED.
 * Return: 0 or -ENOMEM.
 */
int locate_ask(const struct locate_asking *asking, struct locate_answer *answers, unsigned count);
