/* SPDX-License-Identifier: Apache-2.0
 *
 * bench.h - what the programs here share: the clock, the connection, and the loop
 * that reads commands. Each command is a line, a name and at most one number, and
 * is answered by one line.
 */
#ifndef SHMD_BENCH_H
#define SHMD_BENCH_H

#include <shmd.h>

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static inline int64_t now_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static inline void must(int result, const char *what)
{
	if (__builtin_expect(result >= 0, 1))
		return;
	fprintf(stderr, "%s: %s: %s\n", what, shmd_strerror(result), shmd_last_error());
	exit(1);
}

/* For functions that return an error number or leave it in errno. */
static inline void must_errno(int error, const char *what)
{
	if (__builtin_expect(error == 0, 1))
		return;
	fprintf(stderr, "%s: %s\n", what, strerror(error));
	exit(1);
}

static inline struct shmd_client *connect_to(const char *socket_path)
{
	struct shmd_connect_options options = {
		.size = sizeof options, .socket_path = socket_path, .software = "shmd-bench"};
	struct shmd_client *client;
	must(shmd_connect(&options, &client), "connect");
	return client;
}

static inline void no_command(const char *command)
{
	fprintf(stderr, "no command %s\n", command);
	exit(2);
}

/* Until the input ends. */
static inline void serve(void (*execute)(const char *command, int n))
{
	char line[64];
	while (fgets(line, sizeof line, stdin) != NULL) {
		char command[32];
		int n = 0;
		if (sscanf(line, "%31s %d", command, &n) < 1)
			continue;
		execute(command, n);
		fflush(stdout);
	}
}

#endif /* SHMD_BENCH_H */
