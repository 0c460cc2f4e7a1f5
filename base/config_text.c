/*
 * config_text.c - knows just enough of libconfig's grammar (comments, texts, names, numbers) to
 * find its @include lines and integers.
 */
#include "base/config_text.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/option.h"

/* One file being read; those that include it are further up the stack. */
struct scan {
	struct config_text *out;
	const char *file;
	const char *p;	 /* NUL-ended */
	unsigned line;	 /* of p, in file */
	unsigned nested; /* files above this one */
	char *problem;
	size_t problem_size;
};

static int __attribute__((format(printf, 2, 3)))
refuse(const struct scan *scan, const char *format, ...)
{
	char what[OPTION_PROBLEM_MAX];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(what, sizeof(what), format, arguments);
	va_end(arguments);
	return option_problem(scan->problem, scan->problem_size, "%s:%u: %s", scan->file,
			      scan->line, what);
}

/* @size bytes or more, and room for a NUL. */
static int grow(struct config_text *out, size_t size)
{
	size_t wanted = size < 4096 ? 4096 : 2 * size;
	char *text;

	if (size < out->size)
		return 0;
	text = realloc(out->text, wanted);
	if (!text)
		return -ENOMEM;
	out->text = text;
	out->size = wanted;
	return 0;
}

static int put(struct scan *scan, const char *text, size_t len)
{
	struct config_text *out = scan->out;

	if (len > CONFIG_TEXT_MAX - out->len)
		return refuse(scan, "the configuration is larger than %u bytes with its includes",
			      CONFIG_TEXT_MAX);
	if (grow(out, out->len + len))
		return -ENOMEM;
	memcpy(out->text + out->len, text, len);
	out->len += len;
	out->text[out->len] = 0;
	for (size_t i = 0; i < len; i++)
		out->line += text[i] == '\n';
	return 0;
}

/* Passes on @len bytes as they are. */
static int copy(struct scan *scan, size_t len)
{
	int error = put(scan, scan->p, len);

	for (size_t i = 0; i < len; i++)
		scan->line += scan->p[i] == '\n';
	scan->p += len;
	return error;
}

static int copy_block_comment(struct scan *scan)
{
	const char *end = strstr(scan->p + 2, "*/");

	if (!end)
		return refuse(scan, "the comment that starts here is not closed by */");
	return copy(scan, (size_t)(end + 2 - scan->p));
}

static int copy_quoted(struct scan *scan)
{
	size_t len = 1;

	while (scan->p[len] && scan->p[len] != '"')
		len += scan->p[len] == '\\' && scan->p[len + 1] ? 2 : 1;
	if (!scan->p[len])
		return refuse(scan, "the text that starts here is not closed by \"");
	return copy(scan, len + 1);
}

static size_t digits_len(const char *p)
{
	return strspn(p, "0123456789");
}

/* The length of the exponent at @p, 0 when there is none. */
static size_t exponent_len(const char *p)
{
	size_t sign = *p && (p[1] == '+' || p[1] == '-');

	if ((*p != 'e' && *p != 'E') || !isdigit((unsigned char)p[1 + sign]))
		return 0;
	return 1 + sign + digits_len(p + 1 + sign);
}

/* An integer of @len characters: checked, and marked as one of 64 bits. */
static int copy_integer(struct scan *scan, size_t len, bool hexadecimal)
{
	int error;

	errno = 0;
	(void)strtoll(scan->p, NULL, hexadecimal ? 16 : 10);
	if (errno == ERANGE)
		return refuse(scan, "the number %.*s is too large", len < 64 ? (int)len : 64,
			      scan->p);
	error = copy(scan, len);
	if (scan->p[0] == 'L')
		scan->p += scan->p[1] == 'L' ? 2 : 1;
	return error ? error : put(scan, "L", 1);
}

static int copy_number(struct scan *scan)
{
	const char *p = scan->p;
	size_t len = p[0] == '+' || p[0] == '-';
	size_t exponent;
	bool dot;

	if (p[0] == '0' && (p[1] == 'x' || p[1] == 'X') && isxdigit((unsigned char)p[2]))
		return copy_integer(scan, 2 + strspn(p + 2, "0123456789abcdefABCDEF"), true);
	len += digits_len(p + len);
	dot = p[len] == '.';
	if (dot)
		len += 1 + digits_len(p + len + 1);
	exponent = exponent_len(p + len);
	if (dot || exponent)
		return copy(scan, len + exponent);
	return copy_integer(scan, len, false);
}

static bool starts_number(const char *p)
{
	p += *p == '+' || *p == '-';
	return isdigit((unsigned char)*p) || (*p == '.' && isdigit((unsigned char)p[1]));
}

static int copy_token(struct scan *scan)
{
	static const char name[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz*"
				   "0123456789-_";
	const char *p = scan->p;

	if (*p == '#' || (p[0] == '/' && p[1] == '/'))
		return copy(scan, strcspn(p, "\n"));
	if (p[0] == '/' && p[1] == '*')
		return copy_block_comment(scan);
	if (*p == '"')
		return copy_quoted(scan);
	if (isalpha((unsigned char)*p) || *p == '*')
		return copy(scan, strspn(p, name));
	if (starts_number(p))
		return copy_number(scan);
	return copy(scan, 1);
}

/* The start of the path in an @include line, NULL when @line is none. */
static const char *include_path(const char *line)
{
	static const char word[] = "@include";
	const char *p = line + strspn(line, " \t");
	size_t blanks;

	if (strncmp(p, word, sizeof(word) - 1) != 0)
		return NULL;
	p += sizeof(word) - 1;
	blanks = strspn(p, " \t");
	return blanks && p[blanks] == '"' ? p + blanks + 1 : NULL;
}

static int add_file(struct scan *scan, char *name)
{
	struct config_text *out = scan->out;

	if (!name)
		return -ENOMEM;
	if (out->file_count == CONFIG_FILES_MAX) {
		free(name);
		return refuse(scan, "more than %u files are included", CONFIG_FILES_MAX - 1);
	}
	out->files[out->file_count++] = name;
	scan->file = name;
	return 0;
}

static void set_origin(struct scan *scan)
{
	struct config_text *out = scan->out;

	CHECK(out->origin_count < ARRAY_COUNT(out->origins));
	out->origins[out->origin_count].first_line = out->line;
	out->origins[out->origin_count].file_line = scan->line;
	out->origins[out->origin_count].file = scan->file;
	out->origin_count++;
}

static int read_open_file(int fd, char **out_text)
{
	char *text = malloc(CONFIG_TEXT_MAX + 2);
	size_t len = 0;
	ssize_t n = 1;
	int error;

	if (!text)
		return -ENOMEM;
	/* a byte more than allowed is read, so that put() sees the excess */
	while (n > 0 && len <= CONFIG_TEXT_MAX) {
		n = read(fd, text + len, CONFIG_TEXT_MAX + 1 - len);
		if (n > 0)
			len += (size_t)n;
	}
	text[len] = 0;
	if (n >= 0 && !memchr(text, 0, len)) {
		*out_text = text;
		return 0;
	}
	error = n < 0 ? -errno : -EILSEQ;
	free(text);
	return error;
}

/* Return: 0; -EILSEQ: binary; -EISDIR; -ENOTSUP: no regular file; open(2)'s and read(2)'s. */
static int read_file(const char *path, char **out_text)
{
	/* not to wait for the writer of a pipe */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;
	int error;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) != 0)
		error = -errno;
	else if (S_ISDIR(st.st_mode))
		error = -EISDIR;
	else if (!S_ISREG(st.st_mode))
		error = -ENOTSUP;
	else
		error = read_open_file(fd, out_text);
	close(fd);
	return error;
}

static const char *read_error_text(int error)
{
	if (error == -EILSEQ)
		return "it is not a text file (it has a NUL byte)";
	if (error == -ENOTSUP)
		return "it is not a regular file";
	return error_text(error);
}

static int scan_text(struct scan *scan, const char *text);

/* @path, of @len bytes, is relative to the folder of the file that names it. */
static char *path_beside(const char *file, const char *path, size_t len)
{
	const char *slash = strrchr(file, '/');
	int folder_len = slash && path[0] != '/' ? (int)(slash + 1 - file) : 0;
	char *joined;

	if (asprintf(&joined, "%.*s%.*s", folder_len, file, (int)len, path) < 0)
		return NULL;
	return joined;
}

static int include_file(const struct scan *parent, const char *path, size_t len)
{
	struct scan child = *parent;
	char *text = NULL;
	int error = add_file(&child, path_beside(parent->file, path, len));

	if (error)
		return error;
	error = read_file(child.file, &text);
	if (error == -ENOMEM)
		return error;
	if (!text)
		return refuse(parent, "cannot include %s: %s", child.file, read_error_text(error));
	child.nested++;
	error = scan_text(&child, text);
	free(text);
	return error;
}

/* The rest of the line goes on after the included text, on a line of its own. */
static int scan_include(struct scan *scan, const char *path)
{
	size_t len = strcspn(path, "\"\n");
	int error;

	if (path[len] != '"')
		return refuse(scan, "the path of @include is not closed by \"");
	if (!len)
		return refuse(scan, "the path of @include is empty");
	if (scan->nested == CONFIG_NESTING_MAX)
		return refuse(scan, "includes are nested more than %u deep", CONFIG_NESTING_MAX);
	error = include_file(scan, path, len);
	scan->p = path + len + 1;
	if (!error)
		set_origin(scan);
	return error;
}

static int scan_text(struct scan *scan, const char *text)
{
	bool line_starts = true;
	int error = 0;

	scan->p = text;
	scan->line = 1;
	set_origin(scan);
	while (*scan->p && !error) {
		const char *path = line_starts ? include_path(scan->p) : NULL;

		if (path) {
			error = scan_include(scan, path);
		} else {
			line_starts = *scan->p == '\n';
			error = copy_token(scan);
		}
	}
	/* libconfig takes a comment only with the end of its line */
	if (!error && (!scan->out->len || scan->out->text[scan->out->len - 1] != '\n'))
		error = put(scan, "\n", 1);
	return error;
}

int config_text_take(struct config_text *out, const char *text, const char *name, char *problem,
		     size_t problem_size)
{
	struct scan scan = { .out = out, .problem = problem, .problem_size = problem_size };
	int error;

	memset(out, 0, sizeof(*out));
	out->line = 1;
	error = add_file(&scan, strdup(name));
	if (!error)
		error = scan_text(&scan, text);
	if (error)
		config_text_free(out);
	return error;
}

int config_text_read(struct config_text *out, const char *path, char *problem, size_t problem_size)
{
	char *text = NULL;
	int error = read_file(path, &text);

	if (!text && error != -ENOMEM)
		option_problem(problem, problem_size, "cannot read %s: %s", path,
			       read_error_text(error));
	if (!text)
		return error == -EILSEQ || error == -ENOTSUP ? -EINVAL : error;
	error = config_text_take(out, text, path, problem, problem_size);
	free(text);
	return error;
}

void config_text_free(struct config_text *text)
{
	for (unsigned i = 0; i < text->file_count; i++)
		free(text->files[i]);
	free(text->text);
	memset(text, 0, sizeof(*text));
}

unsigned config_text_origin(const struct config_text *text, unsigned line, const char **out_file)
{
	unsigned i = text->origin_count - 1;

	CHECK(text->origin_count > 0);
	while (i > 0 && text->origins[i].first_line > line)
		i--;
	*out_file = text->origins[i].file;
	if (line < text->origins[i].first_line)
		return text->origins[i].file_line;
	return text->origins[i].file_line + (line - text->origins[i].first_line);
}
