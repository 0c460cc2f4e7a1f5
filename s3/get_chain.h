/*
 * get_chain.h - GETs of adjacent ranges, carried by one request.
 */
#pragma once

#include <stdbool.h>

#include "s3/s3.h"

/**
 * get_chain_start() - starts @first and those linked behind it as one request.
 * Return: false: nothing was started for want of memory; they are to go one by one.
 */
bool get_chain_start(struct s3_client *client, struct s3_get *first);

/** get_chain_carrier() - the request that carries @get, or @get itself. Its done() has not
 * returned.
 */
struct s3_get *get_chain_carrier(struct s3_get *get);
