/*
 * instance.h - one daemon per run directory: the lock on <run_dir>/cenoted.pid, held until the
 * process ends, however it ends.
 */
#pragma once

#include <stddef.h>

struct instance {
	char *pid_path;
	int fd; /* -1: none */
};

/**
 * instance_claim() - makes @run_dir when missing, locks its pid file and writes our pid there.
 * Return: 0; -EBUSY (another daemon holds it; @problem names its pid), -EACCES, -ENOENT ... with
 *         @problem.
 */
int instance_claim(const char *run_dir, struct instance *out, char *problem, size_t problem_size);

/** instance_release() - removes the pid file and unlocks. A zeroed or unclaimed one is fine. */
void instance_release(struct instance *instance);
