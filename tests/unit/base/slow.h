/*
 * slow.h - how much slower a sanitizer makes what is built with it. A test that repeats something,
 * at each place or from many seeds, repeats it that much less often: what sanitizers look for shows
 * all the same.
 */
#pragma once

#if defined(__SANITIZE_THREAD__)
#define SLOWNESS 5
#elif defined(__SANITIZE_ADDRESS__)
#define SLOWNESS 2
#else
#define SLOWNESS 1
#endif

/* How often, of @count. */
#define SLOWED(count) (((count) + SLOWNESS - 1) / SLOWNESS)
