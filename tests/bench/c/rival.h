/* SPDX-License-Identifier: Apache-2.0
 *
 * rival.h - one end of two queues that ours are compared with: what messenger.c is for
 * ours. Also C++20. Usage of a program that includes it: PROGRAM OUT IN, names for queues.
 * It defines
 *	put_one(i)          puts message i, as message.h says
 *	take_one(want)      waits for that message and checks it
 *	unlink_names()      takes the names away
 *	describe()          prints one line: what it is, and how it is set
 * Commands, as works.h has them:
 *	pin CPU        run on that processor only, -1 anywhere: "done"
 *	unlink         take the names away, once both ends are there: "done"
 *	describe       that line
 *	put N, take N  put and take N messages, one by one
 *	ping-wait N    N times put a message and take the answer
 *	pong-wait N    N times take a message and put the answer
 */
#ifndef SHMD_BENCH_RIVAL_H
#define SHMD_BENCH_RIVAL_H

#include "message.h"
#include "works.h"

static void put_one(int i);
static void take_one(int want);
static void unlink_names(void);
static void describe(void);

static void put(int count)
{
	for (int i = 0; i < count; i++)
		put_one(i);
}

static void take(int count)
{
	for (int i = 0; i < count; i++)
		take_one(i);
}

static void ping_wait_once(int i)
{
	put_one(i);
	take_one(i);
}

static void ping_wait(int count)
{
	for (int i = 0; i < count; i++)
		ping_wait_once(i);
}

static void pong_wait(int count)
{
	for (int i = 0; i < count; i++) {
		take_one(i);
		put_one(i);
	}
}

static const struct work works[] = {
	{"put", put, NULL},
	{"take", take, NULL},
	{"ping-wait", ping_wait, ping_wait_once},
	{"pong-wait", pong_wait, NULL},
};

static void execute(const char *command, int n)
{
	if (strcmp(command, "unlink") == 0) {
		unlink_names();
		puts("done");
	} else if (strcmp(command, "describe") == 0) {
		describe();
	} else {
		do_work(works, sizeof works / sizeof *works, command, n);
	}
}

#endif /* SHMD_BENCH_RIVAL_H */
