/*
 * cenote.c - the command line tool; everything is in tools/cli/.
 */
#include "tools/cli/command.h"

int main(int argc, char **argv)
{
	return command_main(argc, argv);
}
