/*
 * credentials_answer_fuzz.c - any bytes as the answer of a service that hands out credentials: JSON
 * (container, instance metadata) and XML (STS). What is accepted can stand in a header line.
 */
/* fuzz-links: cenote_base cenote_s3 */
#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "base/check.h"
#include "s3/credentials/json.h"
#include "s3/credentials/sts_xml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check_word(const char *word)
{
	CHECK(*word);
	for (; *word; word++)
		CHECK(*word > ' ' && *word < 0x7f);
}

static void check(int error, struct credentials *out, const char *problem)
{
	CHECK(!error || error == -EINVAL);
	CHECK(!error == (out != NULL) && !error == !problem[0]);
	if (!out)
		return;
	check_word(out->access_key);
	check_word(out->secret_key);
	if (out->session_token)
		check_word(out->session_token);
	credentials_put(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct credentials *out = NULL;
	char problem[256] = "";
	int error = credentials_parse_json((const char *)data, len, &out, problem, sizeof(problem));

	check(error, out, problem);
	out = NULL;
	problem[0] = 0;
	error = credentials_parse_sts((const char *)data, len, &out, problem, sizeof(problem));
	check(error, out, problem);
	return 0;
}
