/*
 * suggest.c - edit distance: insertions, deletions, replacements and swapped neighbours.
 */
#include "base/suggest.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* From so many letters on, the beginning of a name stands for it. */
#define BEGINNING_LEN 3

static size_t min3(size_t a, size_t b, size_t c)
{
	size_t least = a < b ? a : b;

	return least < c ? least : c;
}

/* Optimal string alignment over three rows of the usual table. */
static size_t edit_distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
	size_t rows[3][SUGGESTION_NAME_MAX + 1];
	size_t *before = rows[0], *last = rows[1], *row = rows[2];

	for (size_t j = 0; j <= b_len; j++)
		last[j] = j;
	for (size_t i = 1; i <= a_len; i++) {
		size_t *reused = before;

		row[0] = i;
		for (size_t j = 1; j <= b_len; j++) {
			size_t cost = a[i - 1] != b[j - 1];

			row[j] = min3(last[j] + 1, row[j - 1] + 1, last[j - 1] + cost);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
			    row[j] > before[j - 2] + 1)
				row[j] = before[j - 2] + 1;
		}
		before = last;
		last = row;
		row = reused;
	}
	return last[b_len];
}

void suggestion_init(struct suggestion *suggestion, const char *wanted, const char *prefix)
{
	suggestion->wanted = wanted;
	suggestion->prefix = prefix;
	suggestion->distance = SIZE_MAX;
	suggestion->text[0] = 0;
}

void suggestion_offer(struct suggestion *suggestion, const char *candidate)
{
	size_t wanted_len = strlen(suggestion->wanted);
	size_t len = strlen(candidate);
	size_t longer = wanted_len > len ? wanted_len : len;
	size_t distance;

	if (longer > SUGGESTION_NAME_MAX)
		return;
	distance = edit_distance(suggestion->wanted, wanted_len, candidate, len);
	if (distance > 1 && wanted_len >= BEGINNING_LEN &&
	    strncmp(suggestion->wanted, candidate, wanted_len) == 0)
		distance = 1;
	/* a third of the letters wrong, and one: beyond it a suggestion only confuses */
	if (distance > longer / 3 + 1 || distance >= longer || distance >= suggestion->distance)
		return;
	suggestion->distance = distance;
	snprintf(suggestion->text, sizeof(suggestion->text), "; did you mean %s%s?",
		 suggestion->prefix, candidate);
}

const char *suggestion_text(const struct suggestion *suggestion)
{
	return suggestion->text;
}
