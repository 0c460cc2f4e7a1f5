/*
 * backing_config.h - the configuration of a backing store and its kinds: between backing.c and the
 * adapters.
 */
#pragma once

#include "cache/backing.h"
#include "s3/s3.h"

struct backing_config {
	char *id;
	int type; /* enum backing_type */
	struct s3_config s3;
	char *directory;
};

/** backing_s3_create() / backing_directory_create() - as backing_create(); the id is set there. */
int backing_s3_create(const struct backing_config *config, const struct clock *clock,
		      struct backing **out_backing, char *problem, size_t problem_size);
int backing_directory_create(const struct backing_config *config, const struct clock *clock,
			     struct backing **out_backing, char *problem, size_t problem_size);
