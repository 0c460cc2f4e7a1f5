/*
 * error_xml.c - expat over a small document. Codes are words (letters and digits): anything else
 * is not a code and must not get into a log line.
 */
#include "s3/wire/error_xml.h"

#include <ctype.h>
#include <expat.h>
#include <stdbool.h>
#include <string.h>

#include "base/check.h"

struct parse {
	XML_Parser parser;
	struct error_xml *out;
	char *into; /* the field whose text is being read */
	size_t into_size, into_len;
};

static void on_start(void *data, const XML_Char *name, const XML_Char **attributes)
{
	struct parse *parse = data;
	(void)attributes;
	parse->into = NULL;
	if (!strcmp(name, "Code") && !parse->out->code[0]) {
		parse->into = parse->out->code;
		parse->into_size = sizeof(parse->out->code);
	} else if (!strcmp(name, "Message") && !parse->out->message[0]) {
		parse->into = parse->out->message;
		parse->into_size = sizeof(parse->out->message);
	}
	parse->into_len = 0;
}

static void on_end(void *data, const XML_Char *name)
{
	(void)name;
	((struct parse *)data)->into = NULL;
}

static void on_text(void *data, const XML_Char *text, int len)
{
	struct parse *parse = data;

	if (!parse->into)
		return;
	bool word = parse->into == parse->out->code;
	for (int i = 0; i < len && parse->into_len + 1 < parse->into_size; i++) {
		char c = text[i];
		if (word && !isalnum((unsigned char)c) && c != '.' && c != '_' && c != '-')
			continue;
		if (c < ' ' || c >= 0x7f)
			c = '?';
		parse->into[parse->into_len++] = c;
	}
	parse->into[parse->into_len] = 0;
}

/* A document type is the door to entity expansion, and S3 never sends one. */
static void on_doctype(void *data, const XML_Char *name, const XML_Char *system,
		       const XML_Char *public, int internal)
{
	struct parse *parse = data;
	(void)name, (void)system, (void)public, (void)internal;
	XML_StopParser(parse->parser, XML_FALSE);
}

void error_xml_parse(const char *body, size_t len, struct error_xml *out)
{
	struct parse parse = { .out = out };

	CHECK(len <= ERROR_XML_LEN_MAX);
	memset(out, 0, sizeof(*out));
	parse.parser = XML_ParserCreate(NULL);
	if (!parse.parser)
		return;
	XML_SetUserData(parse.parser, &parse);
	XML_SetElementHandler(parse.parser, on_start, on_end);
	XML_SetCharacterDataHandler(parse.parser, on_text);
	XML_SetStartDoctypeDeclHandler(parse.parser, on_doctype);
	XML_Parse(parse.parser, body, (int)len, XML_TRUE);
	XML_ParserFree(parse.parser);
}
