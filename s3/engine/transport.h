/*
 * transport.h - libcurl as we use it: the options that hold for every transfer of a client, and
 * what its error codes mean.
 */
#pragma once

#include <curl/curl.h>

#include "s3/s3.h"
#include "s3/wire/status.h"

/** transport_global_init() - once a process, any thread. */
void transport_global_init(void);

/**
 * transport_apply() - what does not depend on the request: buffers, time-outs, TLS with
 * verification, no redirects, no proxy but the configured one, paths left as they are.
 * Return: 0; -EINVAL: curl refuses one of them; -ENOMEM.
 */
int transport_apply(CURL *easy, const struct s3_config *config);

/**
 * transport_status() - classifies a failed transfer.
 * @authority: "host:port", for the message. @curl_error: the handle's error buffer.
 * @problem: receives "cannot connect to 127.0.0.1:1: Connection refused".
 */
struct status transport_status(CURL *easy, CURLcode code, const char *authority,
			       const char *curl_error, char *problem, size_t problem_size);
