/*
 * process.h - what the daemon asks of its own process before anything else: memory, descriptors,
 * secrets.
 */
#pragma once

#include <stdbool.h>

/**
 * process_prepare() - once, before the first thread. Nothing here can fail the start: a limit that
 * cannot be had is logged.
 * @core_dumps: whether a core file may be left behind.
 */
void process_prepare(bool core_dumps);
