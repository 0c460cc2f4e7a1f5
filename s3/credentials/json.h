/*
 * json.h - the document in which the container endpoint and the instance metadata service hand out
 * credentials.
 */
#pragma once

#include "s3/credentials/credentials.h"

/**
 * credentials_parse_json() - {"AccessKeyId":, "SecretAccessKey":, "Token":, "Expiration":}.
 * Return: 0; with @problem -EINVAL: not such a document (its contents are not repeated); -ENOMEM.
 */
int credentials_parse_json(const char *text, size_t len, struct credentials **out, char *problem,
			   size_t problem_size);
