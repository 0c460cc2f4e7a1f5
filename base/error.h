/*
 * error.h - the one error convention: 0 (or a count) or a negative errno.
 */
#pragma once

/**
 * error_text() - a code as people and programs read it: "Input/output error (EIO)".
 * @error: 0 or a negative errno (a positive one is taken as its negative).
 * Return: a string that lives for ever (no buffer to own). Unknown codes give "error N" from a
 *         thread-local buffer, valid until this thread's next call.
 */
const char *error_text(int error);

/** error_name() - the symbol alone: "EIO"; "EUNKNOWN" when there is none. Lives for ever. */
const char *error_name(int error);
