/*
 * resolve.h - from a path to the object version behind it, for those who do not come by way of the
 * kernel: component by component, each looked up as LOOKUP would.
 */
#pragma once

#include "fuse/namespace/namespace.h"

struct namespace_path {
	const char *text;     /* "/images/cat.jpg"; what is empty between slashes is left out */
	size_t root_len;      /* so much of it is the path of the namespace's root itself */
	uint64_t deadline_ns; /* of the system's monotonic clock */
	/* Asked some times a second; true: gives up. NULL: never. */
	bool (*cancelled)(void *context);
	void *context;
};

/**
 * namespace_resolve() - blocks. Nodes are referred to as if the kernel asked, and given back; the
 * kernel sees nothing of it.
 * @out_file: for namespace_file_free().
 * @out_confirmed: false: the backing store does not answer; it is what was last known, and @problem
 *                 says why. What is known is forgotten once the kernel forgets it.
 * Return: 0; -ENOENT, -ENOTDIR, -EISDIR, -ENAMETOOLONG, -EACCES, -EIO, -ETIMEDOUT, -ECANCELED or
 *         -ENOMEM with @problem: which name, and what the backing store said.
 */
int namespace_resolve(struct namespace *ns, const struct namespace_path *path,
		      struct namespace_file **out_file, bool *out_confirmed, char *problem,
		      size_t problem_size);
