/*
 * client.h - `cenote-bw HOST`.
 */
#pragma once

/** client_measure() - @value: struct client_options; @arguments: HOST[:PORT]. Return: the exit
 *  status. */
int client_measure(const void *value, char **arguments, int count);
