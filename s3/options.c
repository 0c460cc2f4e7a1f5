/*
 * options.c - the settings of an S3 client.
 */
#include "s3/s3.h"

static const char *const addressing_names[] = { "path", "virtual", NULL };
static const char *const source_names[] = { "auto",	    "config",	 "environment",
					    "web-identity", "file",	 "container",
					    "imds",	    "anonymous", NULL };

#define CREDENTIALS_OPTION(field, ...)                                                             \
	OPTION(struct s3_credentials_config, field, OPTION_STRING, __VA_ARGS__)

static const struct option credentials_options[] = {
	OPTION(struct s3_credentials_config, source, OPTION_CHOICE, .default_text = "auto",
	       .choices = source_names,
	       .help = "Where the credentials come from. auto takes the first source that is "
		       "there, "
		       "in the order config, environment, web-identity, file, container, imds; "
		       "anonymous sends unsigned requests."),
	CREDENTIALS_OPTION(access_key, .argument = "ID", .help = "Access key id (source config)."),
	CREDENTIALS_OPTION(secret_key, .flags = OPTION_SECRET, .argument = "KEY",
			   .help = "Secret access key (source config)."),
	CREDENTIALS_OPTION(session_token, .flags = OPTION_SECRET, .argument = "TOKEN",
			   .help = "Session token that belongs to temporary keys (source config)."),
	CREDENTIALS_OPTION(profile, .argument = "NAME",
			   .help = "Profile of the credentials file. Unset: AWS_PROFILE, else "
				   "\"default\"."),
	CREDENTIALS_OPTION(file, .argument = "FILE",
			   .help = "Shared credentials file. Unset: AWS_SHARED_CREDENTIALS_FILE, "
				   "else ~/.aws/credentials."),
	CREDENTIALS_OPTION(
		imds_endpoint, .argument = "URL",
		.help = "Instance metadata service. Unset: "
			"AWS_EC2_METADATA_SERVICE_ENDPOINT, else http://169.254.169.254."),
	CREDENTIALS_OPTION(sts_endpoint, .argument = "URL",
			   .help = "Security token service for web-identity. Unset: "
				   "AWS_ENDPOINT_URL_STS, else https://sts.REGION.amazonaws.com."),
	CREDENTIALS_OPTION(role_arn, .argument = "ARN",
			   .help = "Role to assume with the web identity. Unset: AWS_ROLE_ARN."),
	CREDENTIALS_OPTION(web_identity_token_file, .argument = "FILE",
			   .help = "File with the web identity token, read again at each renewal. "
				   "Unset: AWS_WEB_IDENTITY_TOKEN_FILE."),
};

static const struct option_group credentials_group =
	OPTION_GROUP_OF("credentials", struct s3_credentials_config, credentials_options);

#define S3_OPTION(field, type, ...) OPTION(struct s3_config, field, type, __VA_ARGS__)

static const struct option s3_table[] = {
	S3_OPTION(endpoint, OPTION_STRING, .argument = "URL",
		  .help = "The service: http://host:port or https://host."),
	S3_OPTION(region, OPTION_STRING, .default_text = "us-east-1", .argument = "NAME",
		  .help = "Region to sign for."),
	S3_OPTION(addressing, OPTION_CHOICE, .default_text = "path", .choices = addressing_names,
		  .help = "path: http://endpoint/bucket/key; virtual: http://bucket.endpoint/key."),
	S3_OPTION(ca_file, OPTION_STRING, .argument = "FILE",
		  .help = "PEM file of the authorities that the endpoint's certificate is checked "
			  "against, in place of the system's."),
	S3_OPTION(proxy, OPTION_STRING, .argument = "URL",
		  .help = "HTTP proxy for the endpoint. Unset: none; http_proxy in the environment "
			  "is not looked at."),
	S3_OPTION(credentials, OPTION_STRUCT, .group = &credentials_group,
		  .help = "Who we are to the service."),
	S3_OPTION(threads, OPTION_INT, .default_text = "2", .min = 1, .max = 64,
		  .help = "Threads that move data."),
	S3_OPTION(connections, OPTION_INT, .default_text = "16", .min = 1, .max = 256,
		  .help = "Connections of each thread."),
	S3_OPTION(buffer_len, OPTION_BYTES, .default_text = "512 KiB", .min = 16 << 10,
		  .max = 10 << 20, .help = "Receive buffer of each connection."),
	S3_OPTION(connect_timeout, OPTION_DURATION, .default_text = "3 s", .min = 10 * NS_PER_MS,
		  .max = 300 * NS_PER_S, .help = "Limit for opening a connection."),
	S3_OPTION(stall_timeout, OPTION_DURATION, .default_text = "5 s", .min = 10 * NS_PER_MS,
		  .max = 3600 * NS_PER_S,
		  .help = "Time without a byte after which an attempt is given up and repeated; "
			  "after one that brought none the next may take twice as long."),
	S3_OPTION(retry_scale, OPTION_DURATION, .default_text = "100 ms", .min = NS_PER_MS,
		  .max = 5 * NS_PER_S,
		  .help = "Pause before a repetition: random, up to this times 2^n, at most 5 s."),
	S3_OPTION(part_len, OPTION_BYTES, .default_text = "8 MiB", .min = 64 << 10,
		  .max = INT64_C(5) << 30,
		  .help = "A read longer than this is fetched as parallel parts of this length."),
	S3_OPTION(requests_per_second, OPTION_INT, .default_text = "0", .min = 0, .max = 1000000,
		  .flags = OPTION_LIVE, .help = "Budget: requests sent a second. 0: no limit."),
	S3_OPTION(bytes_per_second, OPTION_BYTES, .default_text = "0", .max = INT64_MAX,
		  .flags = OPTION_LIVE, .help = "Budget: bytes fetched a second. 0: no limit."),
	S3_OPTION(concurrent_max, OPTION_INT, .default_text = "64", .min = 1, .max = 16384,
		  .flags = OPTION_LIVE, .help = "Budget: requests in flight over all threads."),
	S3_OPTION(queue_max, OPTION_INT, .default_text = "65536", .min = 16, .max = 1 << 20,
		  .help = "Requests that may wait; more are refused with EAGAIN."),
};

const struct option_group s3_options = OPTION_GROUP_OF("s3", struct s3_config, s3_table);
