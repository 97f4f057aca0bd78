/* SPDX-License-Identifier: Apache-2.0
 *
 * locker.c - a process that locks a mutex when it is told to.
 * Usage: locker SOCKET NAME. Commands, each answered by one line:
 *	pthread N  lock and unlock a robust process-shared pthread mutex N times; ns for one pair
 *	ours N     the same with the mutex NAME
 *	count N    the same as ours, between two calls of getppid: "done"
 *	take       lock, waiting; mark consistent after a notice: "NANOSECONDS NOTICE",
 *	           the time of CLOCK_MONOTONIC right after, and 1 if an owner had died
 *	give       unlock: "done"
 *	open N     make N semaphores, and keep them open: "done"
 *	hold N     lock the mutexes NAME/0 to NAME/N-1, and keep them: "done"
 */
#define _GNU_SOURCE
#include "bench.h"

#include <errno.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

static struct shmd_mutex *mutex;
static const char *mutex_name;
static pthread_mutex_t *rival;

/* In a page that could be shared by name: what programs use today. */
static pthread_mutex_t *make_rival(void)
{
	pthread_mutex_t *made =
		mmap(NULL, sizeof *made, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	must_errno(made == MAP_FAILED ? errno : 0, "mmap");
	pthread_mutexattr_t attributes;
	must_errno(pthread_mutexattr_init(&attributes), "pthread_mutexattr_init");
	must_errno(pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED), "pthread_mutexattr_setpshared");
	must_errno(pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST), "pthread_mutexattr_setrobust");
	must_errno(pthread_mutex_init(made, &attributes), "pthread_mutex_init");
	pthread_mutexattr_destroy(&attributes);
	return made;
}

static double time_rival(int turns)
{
	int64_t begin = now_ns();
	for (int i = 0; i < turns; i++) {
		must_errno(pthread_mutex_lock(rival), "pthread_mutex_lock");
		must_errno(pthread_mutex_unlock(rival), "pthread_mutex_unlock");
	}
	return (double)(now_ns() - begin) / turns;
}

static void lock_and_unlock(int turns)
{
	for (int i = 0; i < turns; i++) {
		must(shmd_mutex_lock(mutex, SHMD_FOREVER), "lock");
		must(shmd_mutex_unlock(mutex), "unlock");
	}
}

static double time_ours(int turns)
{
	int64_t begin = now_ns();
	lock_and_unlock(turns);
	return (double)(now_ns() - begin) / turns;
}

static void take(void)
{
	int result = shmd_mutex_lock(mutex, SHMD_FOREVER);
	int64_t taken_ns = now_ns();
	must(result, "lock");
	if (result == SHMD_OWNER_DIED)
		must(shmd_mutex_mark_consistent(mutex), "mark consistent");
	printf("%lld %d\n", (long long)taken_ns, result == SHMD_OWNER_DIED);
}

static struct shmd_client *client;

/* They go with the process, which is about to be killed. */
static void open_more(int count)
{
	struct shmd_create_options options = {.size = sizeof options, .initial = 1, .undo = true};
	for (int i = 0; i < count; i++) {
		struct shmd_semaphore *semaphore;
		must(shmd_semaphore_create(client, NULL, &options, &semaphore), "create");
		must(shmd_semaphore_acquire(semaphore, 1, 0), "acquire");
	}
}

static void hold(int count)
{
	for (int i = 0; i < count; i++) {
		char name[64];
		struct shmd_mutex *held;
		snprintf(name, sizeof name, "%s/%d", mutex_name, i);
		must(shmd_mutex_open(client, name, NULL, &held), "open");
		must(shmd_mutex_lock(held, SHMD_FOREVER), "lock");
	}
}

static void execute(const char *command, int n)
{
	if (strcmp(command, "pthread") == 0) {
		printf("%.3f\n", time_rival(n));
	} else if (strcmp(command, "ours") == 0) {
		printf("%.3f\n", time_ours(n));
	} else if (strcmp(command, "count") == 0) {
		(void)getppid();
		lock_and_unlock(n);
		(void)getppid();
		puts("done");
	} else if (strcmp(command, "take") == 0) {
		take();
	} else if (strcmp(command, "give") == 0) {
		must(shmd_mutex_unlock(mutex), "unlock");
		puts("done");
	} else if (strcmp(command, "open") == 0) {
		open_more(n);
		puts("done");
	} else if (strcmp(command, "hold") == 0) {
		hold(n);
		puts("done");
	} else {
		no_command(command);
	}
}

int main(int argc, char **argv)
{
	if (argc != 3) {
		fprintf(stderr, "usage: locker SOCKET NAME\n");
		return 2;
	}
	mutex_name = argv[2];
	client = connect_to(argv[1]);
	must(shmd_mutex_open(client, argv[2], NULL, &mutex), "open");
	rival = make_rival();
	serve(execute);
	mutex = shmd_mutex_close(mutex);
	shmd_close(client);
	return 0;
}
