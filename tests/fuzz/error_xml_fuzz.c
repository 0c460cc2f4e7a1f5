/*
 * error_xml_fuzz.c - any bytes as an error document: what gets into a log line is a word and plain
 * text.
 */
/* fuzz-links: cenote_base cenote_s3 */
#include <ctype.h>
#include <stdint.h>
#include <string.h>

#include "base/check.h"
#include "s3/wire/error_xml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct error_xml out;

	if (len > ERROR_XML_LEN_MAX)
		len = ERROR_XML_LEN_MAX;
	error_xml_parse((const char *)data, len, &out);
	CHECK(memchr(out.code, 0, sizeof(out.code)));
	CHECK(memchr(out.message, 0, sizeof(out.message)));
	for (const char *c = out.code; *c; c++)
		CHECK(isalnum((unsigned char)*c) || strchr("._-", *c));
	for (const char *c = out.message; *c; c++)
		CHECK(*c >= ' ' && *c < 0x7f);
	status_of_http(503, out.code);
	return 0;
}
