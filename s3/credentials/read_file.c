/*
 * read_file.c - see read_file.h.
 */
#include "s3/credentials/read_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int read_all(int fd, size_t len_max, struct text *out)
{
	char piece[4096];
	ssize_t len;

	while ((len = read(fd, piece, sizeof(piece))) != 0) {
		if (len < 0 && errno == EINTR)
			continue;
		if (len < 0)
			return -errno;
		if ((size_t)len > len_max - out->len)
			return -EFBIG;
		text_add_bytes(out, piece, (size_t)len);
	}
	explicit_bzero(piece, sizeof(piece));
	return text_failed(out) ? -ENOMEM : 0;
}

int read_secret_file(const char *path, size_t len_max, struct text *out, char *problem,
		     size_t problem_size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe must not hang us */
	int error = fd < 0 ? -errno : 0;

	text_reset(out);
	if (!error) {
		error = read_all(fd, len_max, out);
		close(fd);
	}
	if (error)
		snprintf(problem, problem_size, "cannot read '%s': %s", path, strerror(-error));
	return error;
}
