/*
 * response.h - the head of an answer, line by line.
 */
#pragma once

#include "s3/engine/attempt.h"

enum response_line {
	RESPONSE_MORE, /* the head goes on */
	RESPONSE_HEAD, /* that was the empty line: the head is complete */
};

/**
 * response_line() - takes in one header line as curl gives it, not NUL-ended. Lines that cannot be
 * read are as good as absent: the operation refuses an answer that lacks what it needs.
 */
enum response_line response_line(struct response *response, const char *line, size_t len);
