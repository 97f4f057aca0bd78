/* SPDX-License-Identifier: Apache-2.0
 *
 * works.h - what programs share that do N turns of something with another process: where
 * they run, and the commands. Define _GNU_SOURCE before.
 */
#ifndef SHMD_BENCH_WORKS_H
#define SHMD_BENCH_WORKS_H

#include "bench.h"

#include <dirent.h>
#include <errno.h>
#include <sched.h>

/* A command. "NAME N" runs it and answers "BEGIN END", times of CLOCK_MONOTONIC in ns; if
 * it has a turn, "each-NAME N" takes the time of each of N turns and answers the
 * percentiles "P50 P99 P99.9", in ns, with what the clock costs in them. */
struct work {
	const char *name;
	void (*run)(int count);
	void (*turn)(int i);
};

/* All threads of this process run there from now on, -1 anywhere. */
static inline void pin(int cpu)
{
	cpu_set_t set;
	CPU_ZERO(&set);
	for (int i = 0; i < CPU_SETSIZE; i++)
		if (cpu < 0 || i == cpu)
			CPU_SET((size_t)i, &set);
	DIR *threads = opendir("/proc/self/task");
	must_errno(threads == NULL ? errno : 0, "/proc/self/task");
	for (struct dirent *entry; (entry = readdir(threads)) != NULL;)
		if (entry->d_name[0] != '.')
			must_errno(sched_setaffinity(atoi(entry->d_name), sizeof set, &set) == 0 ? 0 : errno, "sched_setaffinity");
	closedir(threads);
	puts("done");
}

static inline int by_size(const void *a, const void *b)
{
	int64_t one = *(const int64_t *)a, other = *(const int64_t *)b;
	return (one > other) - (one < other);
}

static inline void time_each(void (*turn)(int i), int count)
{
	int64_t *took_ns = calloc((size_t)count, sizeof *took_ns);
	must_errno(took_ns == NULL ? ENOMEM : 0, "calloc");
	int64_t begin = now_ns();
	for (int i = 0; i < count; i++) {
		turn(i);
		int64_t end = now_ns();
		took_ns[i] = end - begin;
		begin = end;
	}
	qsort(took_ns, (size_t)count, sizeof *took_ns, by_size);
	for (int i = 0; i < 3; i++) {
		static const int64_t per_mille[] = {500, 990, 999};
		int64_t rank = (count * per_mille[i] + 999) / 1000;
		printf("%lld%c", (long long)took_ns[rank > 0 ? rank - 1 : 0], i < 2 ? ' ' : '\n');
	}
	free(took_ns);
}

static inline void do_work(const struct work *works, size_t count, const char *command, int n)
{
	if (strcmp(command, "pin") == 0) {
		pin(n);
		return;
	}
	for (size_t i = 0; i < count; i++) {
		const struct work *work = &works[i];
		if (strcmp(command, work->name) == 0) {
			int64_t begin = now_ns();
			work->run(n);
			printf("%lld %lld\n", (long long)begin, (long long)now_ns());
			return;
		}
		if (work->turn != NULL && strncmp(command, "each-", 5) == 0 && strcmp(command + 5, work->name) == 0) {
			time_each(work->turn, n);
			return;
		}
	}
	no_command(command);
}

#endif /* SHMD_BENCH_WORKS_H */
