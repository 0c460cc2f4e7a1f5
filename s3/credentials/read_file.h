/*
 * read_file.h - a small file with a secret in it, whole.
 */
#pragma once

#include "s3/wire/text.h"

/**
 * read_secret_file() - replaces @out by what @path holds, at most @len_max bytes.
 * Return: 0, or a negative errno with @problem naming the file (-EFBIG: it is longer).
 */
int read_secret_file(const char *path, size_t len_max, struct text *out, char *problem,
		     size_t problem_size);
