/*
 * drain.h - a leave that hands this node's blocks over first: the job behind CONTROL_LEAVE with
 * `drain`.
 */
#pragma once

struct control_request;
struct task_job;

/**
 * drain_job() - @request: copied, as far as it is needed.
 * Return: 0 or -ENOMEM.
 */
int drain_job(const struct control_request *request, struct task_job *out_job);
