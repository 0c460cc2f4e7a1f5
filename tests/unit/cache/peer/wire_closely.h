/*
 * wire_closely.h - decoding any bytes as a message, for the tests of the wire: from memory of
 * exactly that length, so that a sanitizer sees a byte read beyond it.
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
