/*
 * main.c
 *	  custbackup: the mover, and the operator's tool.
 */
#include <stdio.h>

int
main(void)
{
	fputs("usage: custbackup run\n", stderr);
	return 2;
}
