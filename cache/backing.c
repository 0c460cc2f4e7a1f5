/*
 * backing.c - which kind of backing store a configuration names, and the calls handed on to it.
 */
#include "cache/backing.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache/backing_config.h"

static const char *const type_names[] = { "s3", "directory", NULL };

static const struct option option_table[] = {
	OPTION(struct backing_config, id, OPTION_STRING, .flags = OPTION_REQUIRED,
	       .argument = "NAME",
	       .help = "Name of this backing store; part of the identity of what is cached, so it "
		       "has to be the same on all nodes and must not change."),
	OPTION(struct backing_config, type, OPTION_CHOICE, .default_text = "directory",
	       .choices = type_names,
	       .help = "s3: an S3 service, described by the group s3. directory: a directory tree "
		       "of this machine."),
	OPTION(struct backing_config, s3, OPTION_STRUCT, .group = &s3_options,
	       .help = "The S3 service."),
	OPTION(struct backing_config, directory, OPTION_STRING, .argument = "DIR",
	       .help = "Root of the directory tree."),
};

static int validate_id(const char *id, char *problem, size_t problem_size)
{
	size_t len = strlen(id);

	/* those with a dot in front are ours: cache/peer/catalog.h */
	if (len > 0 && len <= 63 && id[0] != '.' &&
	    strspn(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") == len)
		return 0;
	snprintf(
		problem, problem_size,
		"id: '%s' is not a name: 1 to 63 letters, digits, '_', '.' or '-', no '.' in front",
		id);
	return -EINVAL;
}

static int validate(const void *value, char *problem, size_t problem_size)
{
	const struct backing_config *config = value;

	if (config->type == BACKING_S3 && !config->s3.endpoint) {
		snprintf(problem, problem_size,
			 "backing '%s' has type s3 but no s3.endpoint: the URL of the service",
			 config->id);
		return -EINVAL;
	}
	if (config->type == BACKING_DIRECTORY &&
	    (!config->directory || config->directory[0] != '/')) {
		snprintf(problem, problem_size,
			 "backing '%s' has type directory but no directory: an absolute path",
			 config->id);
		return -EINVAL;
	}
	return validate_id(config->id, problem, problem_size);
}

const struct option_group backing_options = {
	.name = "backing",
	.size = sizeof(struct backing_config),
	.options = option_table,
	.count = ARRAY_COUNT(option_table),
	.validate = validate,
};

int backing_create(const struct backing_config *config, const struct clock *clock,
		   struct backing **out_backing, char *problem, size_t problem_size)
{
	struct backing *backing;
	char *id;
	int error;

	error = validate(config, problem, problem_size);
	if (error)
		return error;
	id = strdup(config->id);
	if (!id) {
		snprintf(problem, problem_size, "backing '%s': out of memory", config->id);
		return -ENOMEM;
	}
	if (config->type == BACKING_S3)
		error = backing_s3_create(config, clock, &backing, problem, problem_size);
	else
		error = backing_directory_create(config, clock, &backing, problem, problem_size);
	if (error) {
		free(id);
		return error;
	}
	backing->id = id;
	*out_backing = backing;
	return 0;
}

const char *backing_config_id(const struct backing_config *config)
{
	return config->id;
}

uint64_t backing_config_memory_max(const struct backing_config *config)
{
	return config->type == BACKING_S3 ? s3_config_memory_max(&config->s3) : 0;
}

void backing_head(struct backing *backing, struct backing_head *head)
{
	backing->ops->head(backing, head);
}

void backing_get(struct backing *backing, struct backing_get *get)
{
	struct backing_get *next;

	if (backing->ops->chains) {
		backing->ops->get(backing, get);
		return;
	}
	/* once it is started a get may be gone */
	for (; get; get = next) {
		next = get->next;
		backing->ops->get(backing, get);
	}
}

void backing_list(struct backing *backing, struct backing_list *list)
{
	backing->ops->list(backing, list);
}

void backing_promote(struct backing *backing, struct backing_get *get)
{
	if (backing->ops->promote)
		backing->ops->promote(backing, get);
}

void backing_reload(struct backing *backing, const struct backing_config *config)
{
	if (backing->ops->reload)
		backing->ops->reload(backing, config);
}

const struct counters *backing_counters(const struct backing *backing)
{
	return backing->ops->counters ? backing->ops->counters(backing) : NULL;
}

void backing_describe(struct backing *backing, char *out, size_t out_size)
{
	backing->ops->describe(backing, out, out_size);
}

void backing_destroy(struct backing *backing)
{
	char *id;

	if (!backing)
		return;
	id = backing->id; /* for the log until the end */
	backing->ops->destroy(backing);
	free(id);
}
