/*
 * cenote-bw.c - the RDMA bandwidth and latency test; everything is in tools/bw/.
 */
#include "tools/bw/program.h"

int main(int argc, char **argv)
{
	return program_main(argc, argv);
}
