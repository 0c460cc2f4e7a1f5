/*
 * server.h - `cenote-bw serve`.
 */
#pragma once

/** server_serve() - @value: struct server_options. Return: the exit status. */
int server_serve(const void *value, char **arguments, int count);
