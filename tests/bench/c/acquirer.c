/* SPDX-License-Identifier: Apache-2.0
 *
 * acquirer.c - a process that acquires a permit when it is told to.
 * Usage: acquirer SOCKET NAME. Commands:
 *	sem_t N   wait for and post a process-shared sem_t N times; ns for one pair
 *	ours N    acquire and release one permit of the semaphore NAME N times; ns for one pair
 *	count N   the same as ours, between two calls of getppid: "done"
 *	take      acquire, waiting: "done"
 *	give      release: "done"
 */
#define _GNU_SOURCE
#include "bench.h"

#include <errno.h>
#include <semaphore.h>
#include <sys/mman.h>
#include <unistd.h>

static struct shmd_semaphore *semaphore;
static sem_t *rival;

/* In a page that could be shared by name: what programs use today. */
static sem_t *make_rival(void)
{
	sem_t *made = mmap(NULL, sizeof *made, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	must_errno(made == MAP_FAILED ? errno : 0, "mmap");
	must_errno(sem_init(made, 1, 1) != 0 ? errno : 0, "sem_init");
	return made;
}

static double time_rival(int turns)
{
	int64_t begin = now_ns();
	for (int i = 0; i < turns; i++) {
		must_errno(sem_wait(rival) != 0 ? errno : 0, "sem_wait");
		must_errno(sem_post(rival) != 0 ? errno : 0, "sem_post");
	}
	return (double)(now_ns() - begin) / turns;
}

static void acquire_and_release(int turns)
{
	for (int i = 0; i < turns; i++) {
		must(shmd_semaphore_acquire(semaphore, 1, SHMD_FOREVER), "acquire");
		must(shmd_semaphore_release(semaphore, 1), "release");
	}
}

static double time_ours(int turns)
{
	int64_t begin = now_ns();
	acquire_and_release(turns);
	return (double)(now_ns() - begin) / turns;
}

static void execute(const char *command, int n)
{
	if (strcmp(command, "sem_t") == 0) {
		printf("%.3f\n", time_rival(n));
	} else if (strcmp(command, "ours") == 0) {
		printf("%.3f\n", time_ours(n));
	} else if (strcmp(command, "count") == 0) {
		(void)getppid();
		acquire_and_release(n);
		(void)getppid();
		puts("done");
	} else if (strcmp(command, "take") == 0) {
		must(shmd_semaphore_acquire(semaphore, 1, SHMD_FOREVER), "acquire");
		puts("done");
	} else if (strcmp(command, "give") == 0) {
		must(shmd_semaphore_release(semaphore, 1), "release");
		puts("done");
	} else {
		no_command(command);
	}
}

int main(int argc, char **argv)
{
	if (argc != 3) {
		fprintf(stderr, "usage: acquirer SOCKET NAME\n");
		return 2;
	}
	struct shmd_client *client = connect_to(argv[1]);
	must(shmd_semaphore_open(client, argv[2], NULL, &semaphore), "open");
	rival = make_rival();
	serve(execute);
	semaphore = shmd_semaphore_close(semaphore);
	shmd_close(client);
	return 0;
}
