/*
 * mesh.h - `cenote-bw --mesh`.
 */
#pragma once

/** mesh_measure() - @value: struct mesh_options; @arguments: members. Return: the exit status. */
int mesh_measure(const void *value, char **arguments, int count);
