/*
 * devices.h - `cenote-bw devices`.
 */
#pragma once

/** devices_list() - @value: struct devices_options. Return: the exit status. */
int devices_list(const void *value, char **arguments, int count);
