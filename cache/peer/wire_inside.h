/*
 * wire_inside.h - what the files of the wire share. Encoders write what follows the header, as far
 * as @end, and return its length, 0 when its names are too long; decoders read it, and return
 * whether an encoder of ours could have written it.
 */
#pragma once

#include <stdbool.h>
#include <string.h>

#include "cache/peer/wire.h"

#define WIRE_HEADER_LEN 2

/* Room at @at for a text and its NUL of at most @max bytes. Return: behind it; NULL: none. */
static inline uint8_t *wire_put_text(uint8_t *at, const uint8_t *end, const char *text, size_t max)
{
	size_t room = (size_t)(end - at) < max ? (size_t)(end - at) : max;
	size_t len = strnlen(text, room);

	if (len == room)
		return NULL;
	memcpy(at, text, len + 1);
	return at + len + 1;
}

/* Return: behind the text at @at and its NUL, together at most @max bytes; NULL: there is none. */
static inline const uint8_t *wire_get_text(const uint8_t *at, const uint8_t *end, size_t max,
					   const char **out_text)
{
	size_t room = (size_t)(end - at) < max ? (size_t)(end - at) : max;
	const uint8_t *nul = memchr(at, 0, room);

	if (!nul)
		return NULL;
	*out_text = (const char *)at;
	return nul + 1;
}

size_t peer_ask_encode(const struct peer_ask *ask, uint8_t *out, const uint8_t *end);
bool peer_ask_decode(const uint8_t *data, size_t len, struct peer_ask *out);

size_t wire_answer_encode(const struct peer_answer *answer, uint8_t *out, const uint8_t *end);
bool wire_answer_decode(const uint8_t *data, size_t len, struct peer_answer *out);

size_t wire_inquire_encode(const struct peer_inquire *inquire, uint8_t *out, const uint8_t *end);
bool wire_inquire_decode(const uint8_t *data, size_t len, struct peer_inquire *out);

size_t wire_report_encode(const struct peer_report *report, uint8_t *out, const uint8_t *end);
bool wire_report_decode(const uint8_t *data, size_t len, struct peer_report *out);
