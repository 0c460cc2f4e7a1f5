/*
 * operation.h - what a kind of request (HEAD, GET, LIST) adds to the engine: how it is asked and
 * what is done with the answer. Everything runs on an engine's thread.
 */
#pragma once

#include "s3/engine/attempt.h"
#include "s3/s3.h"

struct s3_operation {
	const char *method;
	enum s3_counter counter; /* attempts sent */
	/* bytes that the answer is expected to bring, for the budget */
	uint64_t (*cost)(const struct s3_request *request);
	/* Adds query and headers. May judge (attempt_judge()); then nothing is sent. */
	void (*prepare)(struct attempt *attempt, struct attempt_form *form);
	/* The head of an answer with status 200 or 206 is complete. May judge. */
	void (*head)(struct attempt *attempt);
	/* A piece of its body. May judge, which ends the transfer. NULL: a body is not expected. */
	void (*body)(struct attempt *attempt, const char *data, size_t len);
	/* The answer has ended well. May judge: retry what was cut off, refuse what is not right.
	 */
	void (*end)(struct attempt *attempt);
	/* The request has ended: tells the caller. The request is not touched afterwards. */
	void (*done)(struct s3_request *request);
};

extern const struct s3_operation head_operation;
extern const struct s3_operation get_operation;
extern const struct s3_operation list_operation;

/** operation_check_key() - judges a key that is empty or too long, for prepare(). */
void operation_check_key(struct attempt *attempt);
