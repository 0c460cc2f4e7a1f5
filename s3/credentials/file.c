/*
 * file.c - the shared credentials file.
 *
 * Tools rewrite this file when they log in anew, so an "expired" from the service makes us read it
 * again; on its own it is not watched.
 */
#include "s3/credentials/file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "s3/credentials/read_file.h"
#include "s3/credentials/source.h"

struct slice {
	const char *start;
	size_t len;
};

static struct slice trim(const char *start, size_t len)
{
	while (len && strchr(" \t\r", *start)) {
		start++;
		len--;
	}
	while (len && strchr(" \t\r", start[len - 1]))
		len--;
	return (struct slice){ start, len };
}

static bool equals(struct slice slice, const char *text)
{
	return slice.len == strlen(text) && !memcmp(slice.start, text, slice.len);
}

/* Whether "[name]" or "[profile name]" is the section of @profile. */
static bool is_section(struct slice line, const char *profile)
{
	const char *close = memchr(line.start, ']', line.len);
	if (!close)
		return false;
	struct slice name = trim(line.start + 1, (size_t)(close - line.start) - 1);
	if (equals(name, profile))
		return true;
	if (name.len < 9 || memcmp(name.start, "profile", 7) != 0 || !strchr(" \t", name.start[7]))
		return false;
	return equals(trim(name.start + 8, name.len - 8), profile);
}

/* The values of one profile, as they stand in the text. */
struct values {
	bool found;
	struct slice access_key, secret_key, session_token;
};

static void take_value(struct values *values, struct slice line)
{
	const struct {
		const char *name;
		struct slice *value;
	} names[] = {
		{ "aws_access_key_id", &values->access_key },
		{ "aws_secret_access_key", &values->secret_key },
		{ "aws_session_token", &values->session_token },
	};
	const char *equal = memchr(line.start, '=', line.len);
	if (!equal)
		return;
	size_t name_len = (size_t)(equal - line.start);
	for (size_t i = 0; i < ARRAY_COUNT(names); i++)
		if (equals(trim(line.start, name_len), names[i].name))
			*names[i].value = trim(equal + 1, line.len - name_len - 1);
}

static void find_values(const char *text, const char *profile, struct values *out)
{
	bool inside = false;

	while (*text) {
		size_t len = strcspn(text, "\n");
		struct slice line = trim(text, len);
		text += len + (text[len] == '\n');
		if (!line.len || *line.start == '#' || *line.start == ';')
			continue;
		if (*line.start == '[') {
			inside = is_section(line, profile);
			out->found = out->found || inside;
		} else if (inside) {
			take_value(out, line);
		}
	}
}

/* One NUL-ended string after the other, cleared with the text. */
static size_t add_value(struct text *strings, struct slice value)
{
	size_t off = strings->len;
	text_add_bytes(strings, value.start ? value.start : "", value.len);
	text_add_bytes(strings, "", 1);
	return off;
}

int credentials_parse_file(const char *text, const char *profile, struct credentials **out,
			   char *problem, size_t problem_size)
{
	struct values values = { 0 };
	struct text strings = { 0 };
	int error;

	find_values(text, profile, &values);
	if (!values.found) {
		snprintf(problem, problem_size, "there is no profile [%.40s]", profile);
		return -ENOENT;
	}
	size_t access = add_value(&strings, values.access_key);
	size_t secret = add_value(&strings, values.secret_key);
	size_t token = add_value(&strings, values.session_token);
	if (text_failed(&strings)) {
		snprintf(problem, problem_size, "out of memory for credentials");
		error = -ENOMEM;
	} else {
		error = credentials_create(strings.data + access, strings.data + secret,
					   strings.data + token, CREDENTIALS_NEVER, out, problem,
					   problem_size);
	}
	text_fini(&strings);
	return error;
}

static const char *profile_of(const struct source_context *context)
{
	const char *profile = source_setting(context->config->credentials.profile, "AWS_PROFILE");
	return profile ? profile : "default";
}

static int path_of(const struct source_context *context, struct text *out)
{
	const char *path =
		source_setting(context->config->credentials.file, "AWS_SHARED_CREDENTIALS_FILE");
	const char *home = getenv("HOME");

	if (path)
		text_add(out, path);
	else if (home && home[0])
		text_addf(out, "%s/.aws/credentials", home);
	return text_failed(out) ? -ENOMEM : 0;
}

static int read_file(const struct source_context *context, struct text *out, char *problem,
		     size_t problem_size)
{
	struct text path = { 0 };
	int error = path_of(context, &path);

	if (!error && !path.len) {
		snprintf(problem, problem_size,
			 "credentials.file and AWS_SHARED_CREDENTIALS_FILE and HOME are not set");
		error = -ENOENT;
	} else if (!error) {
		error = read_secret_file(text_get(&path), CREDENTIALS_FILE_LEN_MAX, out, problem,
					 problem_size);
	}
	text_fini(&path);
	return error;
}

/* Also when the file is not readable or faulty: it was meant, and create() will say what is wrong.
 */
static bool file_present(const struct source_context *context, char *problem, size_t problem_size)
{
	struct text text = { 0 };
	int error = read_file(context, &text, problem, problem_size);

	text_fini(&text);
	return error != -ENOENT && error != -ENOTDIR;
}

static int file_fetch(const struct source_context *context, struct credentials **out, char *problem,
		      size_t problem_size)
{
	struct text text = { 0 };
	int error = read_file(context, &text, problem, problem_size);

	if (!error)
		error = credentials_parse_file(text_get(&text), profile_of(context), out, problem,
					       problem_size);
	text_fini(&text);
	return error == 0 || error == -ENOMEM ? error : -EINVAL;
}

const struct credentials_source source_file = {
	.name = "file",
	.renewable = true,
	.present = file_present,
	.fetch = file_fetch,
};
