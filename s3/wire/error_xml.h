/*
 * error_xml.h - the <Code> and <Message> of an S3 error document, or of an STS one.
 */
#pragma once

#include <stddef.h>

#include "s3/wire/status.h"

#define ERROR_XML_LEN_MAX     8192 /* what is kept of an error body */
#define ERROR_XML_MESSAGE_MAX 96

struct error_xml {
	char code[STATUS_CODE_MAX];
	char message[ERROR_XML_MESSAGE_MAX]; /* cut; printable characters only */
};

/**
 * error_xml_parse() - reads @len bytes; a document that is cut off is fine as long as the elements
 * are there. What is missing, and everything when this is not XML, is "".
 */
void error_xml_parse(const char *body, size_t len, struct error_xml *out);
