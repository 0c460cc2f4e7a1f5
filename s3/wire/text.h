/*
 * text.h - a string that grows: URLs, headers and canonical requests are put together in one.
 *
 * Running out of memory is remembered, not returned at every step: the user adds what it has to and
 * asks text_failed() once. The memory is kept over text_reset(), so a connection's texts stop
 * allocating after the first few requests. Contents may be secret (session tokens): what is given
 * back to the heap is cleared first.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define TEXT_LEN_MAX ((size_t)1 << 20) /* nothing we send comes near it */

struct text {
	char *data; /* NUL-ended when not NULL */
	size_t len;
	size_t capacity;
	bool failed; /* out of memory or past TEXT_LEN_MAX; data is then a prefix */
};

/** text_fini() - releases. A zeroed struct is an empty text, and is what this leaves. */
void text_fini(struct text *text);

/** text_reset() - makes it empty; keeps the memory. */
void text_reset(struct text *text);

/** text_add() / text_add_bytes() / text_addf() - append. */
void text_add(struct text *text, const char *string);
void text_add_bytes(struct text *text, const void *data, size_t len);
void text_addf(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

/** text_get() - the string, "" when empty. Valid until the next call that adds. */
const char *text_get(const struct text *text);

static inline bool text_failed(const struct text *text)
{
	return text->failed;
}
