/* SPDX-License-Identifier: Apache-2.0
 *
 * quiet.h - shows that something makes no system calls.
 */
#ifndef SHMD_PROBE_QUIET_H
#define SHMD_PROBE_QUIET_H

#include "expect.h"

#include <linux/seccomp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* Runs in a child: prepare makes what use then uses without a system call, a thousand
 * times. The kernel kills a child that makes one other than read and write, and so every
 * child in the end; what counts is its word. use returns 0, or what failed. */
static inline void expect_quiet(void *(*prepare)(bool sort), int (*use)(void *made), bool sort)
{
	if (emulated())
		return; /* the emulator makes calls of its own */
	int pipes[2];
	CHECK(pipe(pipes) == 0);
	pid_t child = fork();
	CHECK(child >= 0);
	if (child == 0) {
		void *made = prepare(sort);
		CHECK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) == 0);
		int result = 0;
		for (int i = 0; i < 1000 && result == 0; i++)
			result = use(made);
		if (result == 0 && write(pipes[1], "!", 1) != 1)
			result = 1;
		_exit(result);
	}
	close(pipes[1]);
	char byte;
	CHECK(read(pipes[0], &byte, 1) == 1);
	kill(child, SIGKILL); /* a sanitizer's own thread outlives the one that the kernel killed */
	CHECK(waitpid(child, NULL, 0) == child);
	close(pipes[0]);
}

#endif /* SHMD_PROBE_QUIET_H */
