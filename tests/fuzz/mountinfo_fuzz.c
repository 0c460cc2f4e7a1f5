/*
 * mountinfo_fuzz.c - any line as one of /proc/self/mountinfo: what is taken from it lies within its
 * bounds.
 */
/* fuzz-links: cenote_base cenote_fuse */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "fuse/mountinfo.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct mountinfo info;
	char *line = malloc(len + 1);
	int err;

	CHECK(line);
	memcpy(line, data, len);
	line[len] = '\0';
	memset(&info, 'x', sizeof(info));
	err = mountinfo_parse(line, &info);
	CHECK(err == 0 || err == -EINVAL);
	if (err == 0) {
		CHECK(memchr(info.path, '\0', sizeof(info.path)));
		CHECK(memchr(info.type, '\0', sizeof(info.type)));
		CHECK(!strpbrk(info.type, " \n") || strchr(line, '\\'));
	}
	free(line);
	return 0;
}
