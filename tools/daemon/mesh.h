/*
 * mesh.h - how fast members read from each other: the job behind CONTROL_MESH.
 */
#pragma once

struct control_request;
struct task_job;

/**
 * mesh_job() - @request: copied, as far as it is needed.
 * Return: 0 or -ENOMEM.
 */
int mesh_job(const struct control_request *request, struct task_job *out_job);
