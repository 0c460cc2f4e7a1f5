/*
 * error.c - the texts of negative errnos, made once: each "what it means (ESYMBOL)".
 */
#include "base/error.h"

#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define ERROR_COUNT    140 /* Linux ends at EHWPOISON, 133 */
#define ERROR_TEXT_LEN 80

static char texts[ERROR_COUNT][ERROR_TEXT_LEN];
static pthread_once_t texts_once = PTHREAD_ONCE_INIT;

static void make_texts(void)
{
	snprintf(texts[0], sizeof(texts[0]), "no error");
	for (int i = 1; i < ERROR_COUNT; i++) {
		const char *name = strerrorname_np(i);

		if (name)
			snprintf(texts[i], sizeof(texts[i]), "%s (%s)", strerrordesc_np(i), name);
	}
}

/* As a positive errno; INT_MIN has no positive twin and is nobody's error. */
static int magnitude(int error)
{
	if (error == INT_MIN)
		return INT_MAX;
	return error < 0 ? -error : error;
}

const char *error_text(int error)
{
	static _Thread_local char unknown[32];
	int code = magnitude(error);

	pthread_once(&texts_once, make_texts);
	if (code < ERROR_COUNT && texts[code][0])
		return texts[code];
	snprintf(unknown, sizeof(unknown), "error %d", code);
	return unknown;
}

const char *error_name(int error)
{
	int code = magnitude(error);
	const char *name = code ? strerrorname_np(code) : "OK";

	return name ? name : "EUNKNOWN";
}
