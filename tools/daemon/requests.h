/*
 * requests.h - requests of the control socket that become tasks (tasks.h), and what is asked about
 * tasks.
 */
#pragma once

struct control_request;
struct daemon_rooms;

/** request_task_answer() - to CONTROL_TASK, LEAVE, CLUSTER, LOCATE and MESH. Return: heap memory,
 * or NULL when out of it. */
char *request_task_answer(const struct daemon_rooms *rooms, const struct control_request *request);
