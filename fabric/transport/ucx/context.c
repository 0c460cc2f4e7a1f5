/*
 * context.c - UCX itself, made to behave as a guest: what it is told, what it may say, and the
 * process's signals given back.
 *
 * Its environment variables (UCX_*) win over what we set, so that a site can tune it, but for the
 * sizes of tcp's frames, on which both ends must agree, and zero copy, which can abort us.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucs/debug/debug.h>
#include <ucs/debug/log_def.h>

#include "base/log.h"
#include "fabric/transport/ucx/ucx.h"

/*
 * Loading UCX's library installs handlers for SIGSEGV and its like, in front of everybody else's,
 * and one for SIGHUP that turns on tracing. A library must not: they are taken back before main()
 * runs. Who wants them says so with UCX_HANDLE_ERRORS.
 */
__attribute__((constructor)) static void give_signals_back(void)
{
	static const int signals[] = { SIGILL, SIGBUS, SIGFPE, SIGSEGV, SIGHUP };
	struct sigaction action;

	if (getenv("UCX_HANDLE_ERRORS") || getenv("UCX_DEBUG_SIGNO") || getenv("UCX_ERROR_SIGNALS"))
		return;
	for (unsigned i = 0; i < ARRAY_COUNT(signals); i++) {
		if (!sigaction(signals[i], NULL, &action) && action.sa_handler != SIG_DFL &&
		    action.sa_handler != SIG_IGN)
			ucs_debug_disable_signal(signals[i]);
	}
}

/* Its errors are our warnings: it calls a connection that failed an error. Any thread. */
__attribute__((format(printf, 6, 0))) static ucs_log_func_rc_t
to_our_log(const char *file, unsigned line, const char *function, ucs_log_level_t level,
	   const ucs_log_component_config_t *component, const char *format, va_list arguments)
{
	char text[1024];

	(void)component;
	vsnprintf(text, sizeof(text), format, arguments);
	const char *base = strrchr(file, '/');

	base = base ? base + 1 : file;
	if (level <= UCS_LOG_LEVEL_ERROR)
		log_warning("ucx.error", "%s:%u=\"%s\"", base, line, text);
	else if (level == UCS_LOG_LEVEL_WARN)
		log_info("ucx.warning", "%s:%u=\"%s\"", base, line, text);
	else
		log_debug("ucx.trace", "%s:%u=%s \"%s\"", base, line, function, text);
	return UCS_LOG_FUNC_RC_STOP;
}

static void take_log(void)
{
	if (!getenv("UCX_LOG_LEVEL") && !getenv("UCX_LOG_FILE"))
		ucs_log_push_handler(to_our_log);
}

static int set(ucp_config_t *config, const char *name, const char *value, bool theirs_wins)
{
	char variable[64];

	snprintf(variable, sizeof(variable), "UCX_%s", name);
	if (theirs_wins && getenv(variable))
		return 0;
	return ucx_error(ucp_config_modify(config, name, value));
}

static int set_size(ucp_config_t *config, const char *name, size_t size, bool theirs_wins)
{
	char text[24];

	snprintf(text, sizeof(text), "%zu", size);
	return set(config, name, text, theirs_wins);
}

static int set_devices(ucp_config_t *config, const struct option_strings *devices)
{
	char list[TRANSPORT_RAILS_MAX * 32] = "";
	size_t used = 0;

	for (unsigned i = 0; i < devices->count; i++) {
		used += (size_t)snprintf(list + used, sizeof(list) - used, "%s%s", i ? "," : "",
					 devices->items[i]);
		if (used >= sizeof(list))
			return -ENAMETOOLONG;
	}
	return devices->count ? set(config, "NET_DEVICES", list, true) : 0;
}

/*
 * Without CM_USE_ALL_DEVICES=n the two sides would also connect interfaces that only look as if
 * they could reach each other (every host's docker0, say); with it, the data takes the interface
 * that the connect request took. Zero-copy sends are off: when one fails because the peer died, UCX
 * 1.13's tcp may complete it twice, and aborts (tcp_ep.c: uct_tcp_ep_sendv() after
 * uct_tcp_ep_purge()). What it calls short sends goes out from where it lies all the same, and what
 * the socket does not take at once is copied: a cost below the noise of measuring. The cache of
 * registrations patches the process's mmap(): without RDMA there is nothing to register.
 */
static int set_all(ucp_config_t *config, const struct transport_config *ours)
{
	static const struct {
		const char *name, *value;
	} texts[] = {
		{ "CM_USE_ALL_DEVICES", "n" },	 { "RNDV_THRESH", "inf" }, /* see asking.c */
		{ "KEEPALIVE_INTERVAL", "10s" }, { "KEEPALIVE_NUM_EPS", "inf" },
		{ "WARN_UNUSED_ENV_VARS", "n" },
	};
	bool rdma = ucx_devices_rdma();
	int error = set(config, "TLS", rdma ? "tcp,ib" : "tcp", true);

	for (unsigned i = 0; !error && i < ARRAY_COUNT(texts); i++)
		error = set(config, texts[i].name, texts[i].value, true);
	if (!error && !rdma)
		error = set(config, "RCACHE_ENABLE", "n", true);
	if (!error)
		error = set(config, "ZCOPY_THRESH", "inf", false);
	if (!error)
		error = set_size(config, "TX_SEG_SIZE", UCX_TCP_FRAME_LEN, false);
	if (!error)
		error = set_size(config, "RX_SEG_SIZE", UCX_TCP_FRAME_LEN, false);
	return error ? error : set_devices(config, &ours->devices);
}

int ucx_context_open(const struct transport_config *config, ucp_context_h *out_context,
		     char *problem, size_t problem_size)
{
	static pthread_once_t log_once = PTHREAD_ONCE_INIT;
	const ucp_params_t params = {
		.field_mask = UCP_PARAM_FIELD_FEATURES | UCP_PARAM_FIELD_NAME,
		.features = UCP_FEATURE_AM | UCP_FEATURE_WAKEUP, /* and never RMA: see ucx.h */
		.name = "cenote",
	};
	ucp_config_t *settings;
	ucs_status_t status;
	int error;

	pthread_once(&log_once, take_log);
	status = ucp_config_read(NULL, NULL, &settings);
	if (status != UCS_OK) {
		snprintf(problem, problem_size,
			 "UCX cannot read its settings (%s): look at the "
			 "environment's UCX_ variables",
			 ucs_status_string(status));
		return ucx_error(status);
	}
	error = set_all(settings, config);
	if (error) {
		snprintf(problem, problem_size,
			 "UCX does not take our settings: look at the "
			 "environment's UCX_ variables");
		goto release;
	}
	status = ucp_init(&params, settings, out_context);
	error = ucx_error(status);
	if (error)
		snprintf(problem, problem_size,
			 "UCX finds no transport it could use (%s): is an interface up?",
			 ucs_status_string(status));
release:
	ucp_config_release(settings);
	return error;
}

int ucx_error(ucs_status_t status)
{
	switch (status) {
	case UCS_OK:
		return 0;
	case UCS_ERR_NO_MEMORY:
		return -ENOMEM;
	case UCS_ERR_INVALID_PARAM:
	case UCS_ERR_INVALID_ADDR:
		return -EINVAL;
	case UCS_ERR_NO_DEVICE:
	case UCS_ERR_NO_RESOURCE:
		return -ENODEV;
	case UCS_ERR_UNREACHABLE:
		return -EHOSTUNREACH;
	case UCS_ERR_REJECTED:
	case UCS_ERR_NOT_CONNECTED:
		return -ECONNREFUSED;
	case UCS_ERR_BUSY:
		return -EADDRINUSE;
	case UCS_ERR_UNSUPPORTED:
		return -EPROTONOSUPPORT;
	case UCS_ERR_CANCELED:
		return -ECANCELED;
	case UCS_ERR_CONNECTION_RESET:
	case UCS_ERR_ENDPOINT_TIMEOUT:
	case UCS_ERR_TIMED_OUT:
		return -ECONNRESET;
	default:
		return -EIO;
	}
}
