/*
 * locate.h - where the bytes of one object lie in the cluster: the job behind CONTROL_LOCATE.
 */
#pragma once

struct control_request;
struct task_job;

/**
 * locate_job() - @request: copied, as far as it is needed.
 * Return: 0 or -ENOMEM.
 */
int locate_job(const struct control_request *request, struct task_job *out_job);
