/*
 * bw_note_fuzz.c - what an authenticated but perhaps broken peer of cenote-bw says. What decodes
 * encodes back to the same bytes, within its limits; what does not leaves no note.
 */
/* fuzz-links: cenote_bw */
#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "base/check.h"
#include "tools/bw/note.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	uint8_t bytes[NOTE_LEN];
	struct note note;
	int error = note_decode(data, len, &note);

	if (error) {
		CHECK(error == -EBADMSG || error == -EPROTONOSUPPORT);
		return 0;
	}
	CHECK(len == NOTE_LEN && note.port_count <= NOTE_PORTS_MAX);
	CHECK(memchr(note.text, '\0', sizeof(note.text)));
	note_encode(&note, bytes);
	CHECK(memcmp(bytes, data, len) == 0);
	return 0;
}
