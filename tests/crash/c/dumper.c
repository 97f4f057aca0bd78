/* SPDX-License-Identifier: Apache-2.0
 *
 * dumper.c - holds the mutex "lock" and has so much memory that its core dump takes a while:
 *
 *	dumper MEGABYTES            says "held", and waits for a signal
 */
#define _GNU_SOURCE
#include <shmd.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct rlimit core;
	struct shmd_client *client;
	struct shmd_mutex *mutex;
	size_t size_bytes = argc > 1 ? strtoul(argv[1], NULL, 10) << 20 : 0;
	char *memory = malloc(size_bytes + 1);
	if (memory == NULL || getrlimit(RLIMIT_CORE, &core) < 0)
		return 2;
	core.rlim_cur = core.rlim_max;
	if (setrlimit(RLIMIT_CORE, &core) < 0)
		return 2;
	memset(memory, 'x', size_bytes + 1); /* zeros would be holes in the file */
	if (shmd_connect(NULL, &client) < 0 || shmd_mutex_open(client, "lock", NULL, &mutex) < 0 ||
	    shmd_mutex_lock(mutex, SHMD_FOREVER) < 0) {
		fprintf(stderr, "%s\n", shmd_last_error());
		return 1;
	}
	if (puts("held") < 0 || fflush(stdout) != 0)
		return 1;
	for (;;)
		pause();
}
