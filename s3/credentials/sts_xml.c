/*
 * sts_xml.c - see sts_xml.h.
 */
#include "s3/credentials/sts_xml.h"

#include <errno.h>
#include <expat.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "s3/wire/text.h"
#include "s3/wire/timestamp.h"

struct parse {
	XML_Parser parser;
	bool in_credentials;
	struct text *field; /* NULL: not one of ours */
	struct text access_key, secret_key, session_token, expiration;
};

static void on_start(void *data, const XML_Char *name, const XML_Char **attributes)
{
	struct parse *parse = data;
	const struct {
		const char *name;
		struct text *field;
	} fields[] = {
		{ "AccessKeyId", &parse->access_key },
		{ "SecretAccessKey", &parse->secret_key },
		{ "SessionToken", &parse->session_token },
		{ "Expiration", &parse->expiration },
	};

	(void)attributes;
	if (!strcmp(name, "Credentials"))
		parse->in_credentials = true;
	parse->field = NULL;
	for (size_t i = 0; i < ARRAY_COUNT(fields) && parse->in_credentials; i++)
		if (!strcmp(name, fields[i].name)) {
			parse->field = fields[i].field;
			text_reset(parse->field);
		}
}

static void on_end(void *data, const XML_Char *name)
{
	struct parse *parse = data;

	parse->field = NULL;
	if (!strcmp(name, "Credentials"))
		parse->in_credentials = false;
}

static void on_text(void *data, const XML_Char *text, int len)
{
	struct parse *parse = data;

	if (parse->field)
		text_add_bytes(parse->field, text, (size_t)len);
}

static void on_doctype(void *data, const XML_Char *name, const XML_Char *system,
		       const XML_Char *public, int internal)
{
	struct parse *parse = data;
	(void)name, (void)system, (void)public, (void)internal;
	XML_StopParser(parse->parser, XML_FALSE);
}

static int run(struct parse *parse, const char *text, size_t len)
{
	parse->parser = XML_ParserCreate(NULL);
	if (!parse->parser)
		return -ENOMEM;
	XML_SetUserData(parse->parser, parse);
	XML_SetElementHandler(parse->parser, on_start, on_end);
	XML_SetCharacterDataHandler(parse->parser, on_text);
	XML_SetStartDoctypeDeclHandler(parse->parser, on_doctype);
	enum XML_Status status = XML_Parse(parse->parser, text, (int)len, XML_TRUE);
	XML_ParserFree(parse->parser);
	return status == XML_STATUS_OK ? 0 : -EINVAL;
}

int credentials_parse_sts(const char *text, size_t len, struct credentials **out, char *problem,
			  size_t problem_size)
{
	struct parse parse = { 0 };
	int64_t expires_s = CREDENTIALS_NEVER;
	int error = run(&parse, text, len);

	if (error) {
		snprintf(problem, problem_size, "the answer of STS is not the XML expected");
	} else if (parse.expiration.len &&
		   timestamp_parse_iso8601(text_get(&parse.expiration), &expires_s)) {
		snprintf(problem, problem_size, "Expiration is not a time");
		error = -EINVAL;
	} else {
		error = credentials_create(text_get(&parse.access_key), text_get(&parse.secret_key),
					   text_get(&parse.session_token), expires_s, out, problem,
					   problem_size);
	}
	text_fini(&parse.access_key);
	text_fini(&parse.secret_key);
	text_fini(&parse.session_token);
	text_fini(&parse.expiration);
	return error;
}
