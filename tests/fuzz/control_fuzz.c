/*
 * control_fuzz.c - requests on the control socket, as anybody who may connect can send them. What
 * is accepted encodes and decodes to the same; what is refused says why and leaves no request.
 */
/* fuzz-links: cenote_tools */
#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "base/check.h"
#include "tools/control.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char problem[CONTROL_PROBLEM_MAX], line[CONTROL_REQUEST_MAX];
	struct control_request request, again;
	int error;

	problem[0] = '\0';
	error = control_request_decode((const char *)data, len, &request, problem, sizeof(problem));
	if (error) {
		CHECK(error == -ENOMEM || (error == -EINVAL && problem[0] != '\0'));
		CHECK(memchr(problem, '\0', sizeof(problem)));
		return 0;
	}
	CHECK(control_request_decode(line, control_request_encode(&request, line), &again, problem,
				     sizeof(problem)) == 0);
	/* Decoding zeroes the whole first. */
	/* NOLINTNEXTLINE(bugprone-suspicious-memory-comparison,cert-exp42-c,cert-flp37-c) */
	CHECK(memcmp(&again, &request, sizeof(again)) == 0);
	return 0;
}
