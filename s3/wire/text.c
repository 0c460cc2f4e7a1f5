/*
 * text.c - growing by doubling into a fresh block, so that the old one can be cleared.
 */
#include "s3/wire/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool make_room(struct text *text, size_t extra)
{
	if (text->failed || extra >= TEXT_LEN_MAX - text->len) {
		text->failed = true;
		return false;
	}
	if (text->len + extra < text->capacity)
		return true;
	size_t capacity = text->capacity ? text->capacity : 256;
	while (capacity <= text->len + extra)
		capacity *= 2;
	char *data = malloc(capacity);
	if (!data) {
		text->failed = true;
		return false;
	}
	if (text->data) {
		memcpy(data, text->data, text->len + 1);
		explicit_bzero(text->data, text->capacity);
		free(text->data);
	}
	text->data = data;
	text->capacity = capacity;
	return true;
}

void text_fini(struct text *text)
{
	if (text->data) {
		explicit_bzero(text->data, text->capacity);
		free(text->data);
	}
	*text = (struct text){ 0 };
}

void text_reset(struct text *text)
{
	text->len = 0;
	text->failed = false;
	if (text->data)
		text->data[0] = 0;
}

void text_add_bytes(struct text *text, const void *data, size_t len)
{
	if (!make_room(text, len))
		return;
	memcpy(text->data + text->len, data, len);
	text->len += len;
	text->data[text->len] = 0;
}

void text_add(struct text *text, const char *string)
{
	text_add_bytes(text, string, strlen(string));
}

void text_addf(struct text *text, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	int len = vsnprintf(NULL, 0, format, arguments);
	va_end(arguments);
	if (len < 0 || !make_room(text, (size_t)len)) {
		text->failed = true;
		return;
	}
	va_start(arguments, format);
	vsnprintf(text->data + text->len, (size_t)len + 1, format, arguments);
	va_end(arguments);
	text->len += (size_t)len;
}

const char *text_get(const struct text *text)
{
	return text->data ? text->data : "";
}
