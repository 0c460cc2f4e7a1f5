/*
 * run_dir.h - where the daemon of this machine has its socket, for who wants to ask it.
 */
#pragma once

#include <stddef.h>

/**
 * run_dir_find() - @run_dir when given; else node.run_dir of @config; else that of the default
 * configuration when it can be read; else the default. Of a configuration nothing else is looked
 * at.
 * @run_dir, @config: NULL: not given.
 * Return: heap memory; NULL with @problem.
 */
char *run_dir_find(const char *run_dir, const char *config, char *problem, size_t problem_size);
