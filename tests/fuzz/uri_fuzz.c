/*
 * uri_fuzz.c - any bytes as a key, an encoded key and an endpoint.
 */
/* fuzz-links: cenote_base cenote_s3 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "s3/wire/uri.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* What is encoded decodes to what it was, and uses the allowed characters only. */
static void check_encode(const char *in, size_t len, bool keep_slash)
{
	struct text encoded = { 0 };

	uri_encode(&encoded, in, len, keep_slash);
	for (size_t i = 0; i < encoded.len; i++)
		CHECK(encoded.data[i] > ' ' && encoded.data[i] < 0x7f &&
		      !strchr("+&=?#\"", encoded.data[i]));
	CHECK(uri_decode(encoded.data, encoded.len, true) == (ssize_t)len);
	CHECK(!memcmp(encoded.data, in, len));
	text_fini(&encoded);
}

/* What decodes is stable under another round. */
static void check_decode(const char *in, size_t len)
{
	char *text = malloc(len + 1);

	CHECK(text);
	memcpy(text, in, len);
	text[len] = 0;
	ssize_t decoded_len = uri_decode(text, len, false);
	CHECK(decoded_len <= (ssize_t)len);
	if (decoded_len > 0)
		check_encode(text, (size_t)decoded_len, true);
	free(text);
}

/* An endpoint that is accepted can be written from its parts and means the same. */
static void check_endpoint(const char *in, size_t len)
{
	char *url = strndup(in, len), problem[256] = "", again_url[512];
	struct endpoint endpoint, again;

	CHECK(url);
	if (endpoint_parse(url, &endpoint, problem, sizeof(problem))) {
		CHECK(problem[0]);
	} else {
		snprintf(again_url, sizeof(again_url), "%s://%s/", endpoint.tls ? "https" : "http",
			 endpoint.authority);
		CHECK(!endpoint_parse(again_url, &again, problem, sizeof(problem)));
		CHECK(again.tls == endpoint.tls && again.port == endpoint.port);
		CHECK(!strcmp(again.host, endpoint.host));
		CHECK(!strcmp(again.authority, endpoint.authority));
	}
	free(url);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	const char *text = len ? (const char *)data : "";

	if (len > 65536)
		return 0;
	if (len) {
		check_encode(text, len, true);
		check_encode(text, len, false);
	}
	check_decode(text, len);
	check_endpoint(text, len);
	return 0;
}
