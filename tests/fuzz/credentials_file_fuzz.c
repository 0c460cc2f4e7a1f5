/*
 * credentials_file_fuzz.c - any text as a shared credentials file: what is found, written as a file
 * of its own, is found again.
 */
/* fuzz-links: cenote_base cenote_s3 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "s3/credentials/file.h"
#include "s3/wire/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check_again(const struct credentials *found)
{
	struct credentials *again = NULL;
	struct text file = { 0 };
	char problem[256];

	text_addf(&file, "[p]\naws_access_key_id=%s\naws_secret_access_key=%s\n", found->access_key,
		  found->secret_key);
	if (found->session_token)
		text_addf(&file, "aws_session_token=%s\n", found->session_token);
	CHECK(!credentials_parse_file(text_get(&file), "p", &again, problem, sizeof(problem)));
	CHECK(!strcmp(found->access_key, again->access_key));
	CHECK(!strcmp(found->secret_key, again->secret_key));
	CHECK(!found->session_token == !again->session_token);
	if (found->session_token)
		CHECK(!strcmp(found->session_token, again->session_token));
	credentials_put(again);
	text_fini(&file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const char *const profiles[] = { "default", "p", "a b" };
	char *text = malloc(len + 1);

	CHECK(text);
	memcpy(text, data, len);
	text[len] = 0;
	for (size_t i = 0; i < ARRAY_COUNT(profiles); i++) {
		struct credentials *out = NULL;
		char problem[256] = "";
		int error =
			credentials_parse_file(text, profiles[i], &out, problem, sizeof(problem));
		CHECK(!error || error == -ENOENT || error == -EINVAL);
		CHECK(!error == (out != NULL) && !error == !problem[0]);
		if (!error)
			check_again(out);
		credentials_put(out);
	}
	free(text);
	return 0;
}
