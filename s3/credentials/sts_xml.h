/*
 * sts_xml.h - the answer to AssumeRoleWithWebIdentity.
 */
#pragma once

#include "s3/credentials/credentials.h"

/**
 * credentials_parse_sts() - the <Credentials> of the document.
 * Return: 0; with @problem -EINVAL: not such a document; -ENOMEM.
 */
int credentials_parse_sts(const char *text, size_t len, struct credentials **out, char *problem,
			  size_t problem_size);
