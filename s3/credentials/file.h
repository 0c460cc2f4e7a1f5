/*
 * file.h - the shared credentials file's form:
 *
 *	[default]
 *	aws_access_key_id = AKIA...
 *	aws_secret_access_key = ...
 *	aws_session_token = ...
 */
#pragma once

#include "s3/credentials/credentials.h"

#define CREDENTIALS_FILE_LEN_MAX ((size_t)1 << 20)

/**
 * credentials_parse_file() - the keys of @profile in @text, NUL-ended. A section may also be named
 * "[profile NAME]"; of a key given twice the last one counts.
 * Return: 0; with @problem -ENOENT: no such profile; -EINVAL: it lacks a key, or one is not usable;
 *         -ENOMEM.
 */
int credentials_parse_file(const char *text, const char *profile, struct credentials **out,
			   char *problem, size_t problem_size);
