/*
 * transport.c - see transport.h.
 */
#include "s3/engine/transport.h"

#include <errno.h>
#include <openssl/x509.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/check.h"

#define KEEPALIVE_IDLE_S 30L

static void global_init(void)
{
	CHECK(!curl_global_init(CURL_GLOBAL_DEFAULT));
}

void transport_global_init(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	pthread_once(&once, global_init);
}

/* As curl does it, but closed in children: a mount runs fusermount3. */
static curl_socket_t open_socket(void *context, curlsocktype purpose, struct curl_sockaddr *address)
{
	(void)context, (void)purpose;
	return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

int transport_apply(CURL *easy, const struct s3_config *config)
{
	const struct {
		CURLoption option;
		long value;
	} numbers[] = {
		{ CURLOPT_NOSIGNAL, 1 },
		{ CURLOPT_BUFFERSIZE, (long)config->buffer_len },
		{ CURLOPT_TCP_NODELAY, 1 },
		{ CURLOPT_TCP_KEEPALIVE, 1 },
		{ CURLOPT_TCP_KEEPIDLE, KEEPALIVE_IDLE_S },
		{ CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1 },
		{ CURLOPT_PATH_AS_IS, 1 },
		{ CURLOPT_FOLLOWLOCATION, 0 },
		/* a name lookup that hangs is left to its thread; curl would wait for it */
		{ CURLOPT_QUICK_EXIT, 1 },
		{ CURLOPT_SSL_VERIFYPEER, 1 },
		{ CURLOPT_SSL_VERIFYHOST, 2 },
		{ CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2 },
		{ CURLOPT_CONNECTTIMEOUT_MS,
		  (long)((config->connect_timeout + NS_PER_MS - 1) / NS_PER_MS) },
	};
	CURLcode code = CURLE_OK;

	for (size_t i = 0; i < ARRAY_COUNT(numbers) && !code; i++)
		code = curl_easy_setopt(easy, numbers[i].option, numbers[i].value);
	if (!code)
		code = curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
	if (!code)
		code = curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
	if (!code) /* "" also keeps curl from reading http_proxy */
		code = curl_easy_setopt(easy, CURLOPT_PROXY, config->proxy ? config->proxy : "");
	if (!code && config->ca_file) {
		code = curl_easy_setopt(easy, CURLOPT_CAINFO, config->ca_file);
		if (!code) /* that file alone: not the system's directory beside it */
			code = curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
	}
	if (!code)
		return 0;
	return code == CURLE_OUT_OF_MEMORY ? -ENOMEM : -EINVAL;
}

static const char *os_error(CURL *easy)
{
	long number = 0;
	curl_easy_getinfo(easy, CURLINFO_OS_ERRNO, &number);
	return number ? strerror((int)number) : NULL;
}

static struct status verification_failed(CURL *easy, const char *curl_error, char *problem,
					 size_t problem_size)
{
	long result = X509_V_OK;
	curl_easy_getinfo(easy, CURLINFO_SSL_VERIFYRESULT, &result);
	if (result != X509_V_OK)
		snprintf(problem, problem_size,
			 "TLS: certificate verify failed: %s (check ca_file)",
			 X509_verify_cert_error_string(result));
	else /* the chain is good, the name is not */
		snprintf(problem, problem_size, "TLS: certificate verify failed: %s", curl_error);
	return (struct status){ STATUS_FINAL, -EIO, false };
}

struct status transport_status(CURL *easy, CURLcode code, const char *authority,
			       const char *curl_error, char *problem, size_t problem_size)
{
	const struct status transient = { STATUS_RETRY, -ETIMEDOUT, false };
	const char *reason = os_error(easy);
	const char *text = curl_error[0] ? curl_error : curl_easy_strerror(code);

	switch (code) {
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_ISSUER_ERROR:
		return verification_failed(easy, text, problem, problem_size);
	case CURLE_COULDNT_CONNECT:
		snprintf(problem, problem_size, "cannot connect to %s: %s", authority,
			 reason ? reason : text);
		return transient;
	case CURLE_COULDNT_RESOLVE_HOST:
		snprintf(problem, problem_size, "cannot resolve %s: %s", authority, text);
		return transient;
	case CURLE_OPERATION_TIMEDOUT: /* we set a limit on connecting only */
		snprintf(problem, problem_size, "cannot connect to %s: no answer in time",
			 authority);
		return transient;
	case CURLE_GOT_NOTHING:
		snprintf(problem, problem_size, "%s closed the connection without an answer",
			 authority);
		return transient;
	case CURLE_PARTIAL_FILE:
		snprintf(problem, problem_size, "truncated answer from %s: %s", authority, text);
		return transient;
	case CURLE_SEND_ERROR:
	case CURLE_RECV_ERROR:
		snprintf(problem, problem_size, "connection to %s broke off: %s", authority,
			 reason ? reason : text);
		return transient;
	case CURLE_SSL_CONNECT_ERROR: /* a reset in the handshake looks like this too */
		snprintf(problem, problem_size, "TLS with %s: %s", authority, text);
		return transient;
	case CURLE_WEIRD_SERVER_REPLY:
	case CURLE_UNSUPPORTED_PROTOCOL: /* HTTP/0.9 */
	case CURLE_BAD_CONTENT_ENCODING:
		snprintf(problem, problem_size, "%s does not speak HTTP as S3 does: %s", authority,
			 text);
		return (struct status){ STATUS_FINAL, -EPROTO, false };
	case CURLE_OUT_OF_MEMORY:
		snprintf(problem, problem_size, "out of memory");
		return (struct status){ STATUS_FINAL, -ENOMEM, false };
	default:
		snprintf(problem, problem_size, "%s: %s (curl %d)", authority, text, (int)code);
		return (struct status){ STATUS_FINAL, -EIO, false };
	}
}
