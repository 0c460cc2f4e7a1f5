/*
 * suggest.h - "did you mean ...?": the nearest of the names that exist to one that does not.
 *
 *	struct suggestion s;
 *
 *	suggestion_init(&s, "mememory", "--");
 *	suggestion_offer(&s, "memory");		for every name that would be right
 *	printf("unknown option --mememory%s", suggestion_text(&s));
 */
#pragma once

#include <stddef.h>

#define SUGGESTION_NAME_MAX 64 /* a longer name is neither suggested nor given suggestions */

struct suggestion {
	const char *wanted; /* borrowed */
	const char *prefix; /* borrowed */
	size_t distance;    /* of the best so far */
	char text[SUGGESTION_NAME_MAX + 24];
};

/**
 * suggestion_init() - starts a search for @wanted.
 * @prefix: "" or what stands before a name that is suggested, "--": it is not compared. Both are
 *          borrowed until the last offer.
 */
void suggestion_init(struct suggestion *suggestion, const char *wanted, const char *prefix);

/** suggestion_offer() - a name that exists (copied); the first of equally near ones is kept. */
void suggestion_offer(struct suggestion *suggestion, const char *candidate);

/** suggestion_text() - "; did you mean NAME?", or "" when nothing is near. Lives in @suggestion. */
const char *suggestion_text(const struct suggestion *suggestion);
