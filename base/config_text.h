/*
 * config_text.h - a config file with its @include directives carried out, ready for libconfig, and
 * the file and line that each of its lines came from. Used by config.c alone.
 *
 * libconfig 1.5 is kept from reading files itself and from short integers: it ends the process
 * when an included file is a folder, waits for ever on a pipe, and cuts integers to 32 bits in
 * silence. Here a file is regular and bounded, and every integer is passed on as 64 bits.
 */
#pragma once

#include <stddef.h>

#define CONFIG_TEXT_MAX	   (1u << 20) /* bytes with all that is included */
#define CONFIG_FILES_MAX   64	      /* the file itself and its includes, each time counted */
#define CONFIG_NESTING_MAX 10

struct config_text {
	char *text;
	size_t len, size;
	unsigned line; /* of the text's end, from 1 */
	char *files[CONFIG_FILES_MAX];
	unsigned file_count;
	/* runs of lines with one origin, by first_line */
	struct {
		unsigned first_line;
		unsigned file_line;
		const char *file;
	} origins[2 * CONFIG_FILES_MAX];
	unsigned origin_count;
};

/**
 * config_text_read() - the file @path. Paths of its includes are relative to its folder.
 * Return: 0; -EINVAL with @problem (an include fails, a number is too large, a comment or text is
 *         not closed, a limit is passed); -ENOENT, -EACCES, -EISDIR ... with @problem when @path
 *         itself cannot be read; -ENOMEM.
 */
int config_text_read(struct config_text *out, const char *path, char *problem, size_t problem_size);

/** config_text_take() - the same of @text, as if it were read from the file @name. */
int config_text_take(struct config_text *out, const char *text, const char *name, char *problem,
		     size_t problem_size);

/** config_text_free() - releases what the two above made. */
void config_text_free(struct config_text *text);

/** config_text_origin() - where @line comes from. Return: the line in the file *@out_file. */
unsigned config_text_origin(const struct config_text *text, unsigned line, const char **out_file);
