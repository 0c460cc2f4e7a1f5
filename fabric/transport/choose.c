/*
 * choose.c - which backend carries the data, and where its thread runs.
 *
 * auto prefers verbs, and falls back to ucx for one reason alone: there is no usable RDMA device.
 * An error of another kind (too little memory may be locked, say) is told, for a cluster where some
 * nodes silently speak ucx does not connect, or is slow without anybody knowing why.
 */
#include <errno.h>
#include <numa.h>
#include <stdio.h>

#include "base/error.h"
#include "base/log.h"
#include "fabric/transport/front.h"

static int open_backend(struct transport *transport, const struct transport_ops *ops, char *problem,
			size_t problem_size)
{
	transport->ops = ops;
	return ops->open(transport, &transport->config, &transport->backend, transport->text,
			 sizeof(transport->text), problem, problem_size);
}

static int open_auto(struct transport *transport, char *problem, size_t problem_size)
{
	char verbs_problem[TRANSPORT_PROBLEM_MAX] = "";
	int error =
		open_backend(transport, &transport_verbs_ops, verbs_problem, sizeof(verbs_problem));

	if (!error) {
		log_notice("transport.chosen", "transport=\"%s\" why=\"an RDMA device is usable\"",
			   transport->text);
		return 0;
	}
	if (error != -ENODEV) {
		snprintf(problem, problem_size, "%s", verbs_problem);
		return error;
	}
	error = open_backend(transport, &transport_ucx_ops, problem, problem_size);
	if (!error)
		log_notice("transport.chosen", "transport=\"%s\" why=\"no verbs: %s\"",
			   transport->text, verbs_problem);
	return error;
}

int choose_open(struct transport *transport, char *problem, size_t problem_size)
{
	const struct transport_ops *ops = transport->ops;
	int error;

	if (!ops && transport->config.kind == TRANSPORT_AUTO)
		return open_auto(transport, problem, problem_size);
	if (!ops)
		ops = transport->config.kind == TRANSPORT_VERBS ? &transport_verbs_ops
								: &transport_ucx_ops;
	error = open_backend(transport, ops, problem, problem_size);
	if (!error)
		log_info("transport.opened", "transport=\"%s\"", transport->text);
	return error;
}

void transport_place(const struct transport *transport, int numa_node)
{
	if (!transport->config.numa || numa_node < 0 || numa_available() < 0)
		return;
	if (numa_run_on_node(numa_node))
		log_warning("transport.place", "numa_node=%d error=\"%s\"", numa_node,
			    error_text(-errno));
	else
		log_info("transport.place", "numa_node=%d", numa_node);
}
