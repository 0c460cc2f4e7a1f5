/*
 * wire_closely.h - for the tests of the wire: decoding any bytes as a message, from memory of
 * exactly that length, so that a sanitizer sees a byte read beyond it; and what holds of every
 * sample of a message.
 */
#pragma once

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cache/peer/wire.h"

/* Return: what decoding says; when 0, the message was seen to encode to the same bytes. */
static inline int decode_closely(const uint8_t *data, size_t len)
{
	static struct peer_message message;
	static uint8_t again[TRANSPORT_MESSAGE_MAX];
	uint8_t *copy = malloc(len ? len : 1);
	int error;

	assert_non_null(copy);
	memcpy(copy, data, len);
	error = peer_message_decode(copy, len, &message);
	if (!error) {
		assert_int_equal(peer_message_encode(&message, again), len);
		assert_memory_equal(again, copy, len);
	} else {
		assert_true(error == -EBADMSG || error == -EPROTONOSUPPORT);
	}
	free(copy);
	return error;
}

struct wire_sample {
	const char *name;
	void (*make)(struct peer_message *out);
};

/* Each is encoded, decoded, and @same then. */
static inline void samples_round_trip(const struct wire_sample *samples, unsigned count,
				      void (*same)(const struct peer_message *a,
						   const struct peer_message *b))
{
	static struct peer_message message, decoded;
	uint8_t data[TRANSPORT_MESSAGE_MAX];

	for (unsigned i = 0; i < count; i++) {
		size_t len;

		samples[i].make(&message);
		len = peer_message_encode(&message, data);
		if (!len)
			fail_msg("%s: not encoded", samples[i].name);
		memset(&decoded, 0x55, sizeof(decoded));
		assert_int_equal(peer_message_decode(data, len, &decoded), 0);
		same(&message, &decoded);
		assert_int_equal(decode_closely(data, len), 0);
	}
}

/* Each with any bit, or all, of any byte changed, and with the byte 0. */
static inline void samples_change(const struct wire_sample *samples, unsigned count)
{
	static const uint8_t masks[] = { 0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0xff };
	static struct peer_message message;
	uint8_t data[TRANSPORT_MESSAGE_MAX];

	for (unsigned i = 0; i < count; i++) {
		size_t len;

		samples[i].make(&message);
		len = peer_message_encode(&message, data);
		for (size_t at = 0; at < len; at++) {
			uint8_t was = data[at];

			for (unsigned m = 0; m < sizeof(masks); m++) {
				data[at] = was ^ masks[m];
				decode_closely(data, len);
			}
			data[at] = 0;
			decode_closely(data, len);
			data[at] = was;
		}
	}
}
