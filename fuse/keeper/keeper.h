/*
 * keeper.h - the keeper of the mount: the small process that was started as cenoted. It starts the
 * worker, which does everything else, holds what must not be lost with it, and starts the next one
 * when it dies, hangs, or makes way for another release. See link.h for the worker's side.
 *
 * It is kept small so that it does not die itself: libc only, nothing allocated after the start,
 * locked in memory, the last that the OOM killer takes, one thread with one poll loop; it never
 * touches the mount, and checks every byte that the worker sends. If it is killed all the same, the
 * worker starts another one.
 */
#pragma once

/**
 * keeper_run() - the rest of the process's life. @arguments: of main(), with which every worker is
 * started. Return: the exit status: the worker's, when it could not start; 0 it stopped as told or
 * its mount was unmounted; 1 otherwise.
 */
int keeper_run(char **arguments);
