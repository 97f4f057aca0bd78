/* SPDX-License-Identifier: Apache-2.0
 *
 * semaphores.c - what shmd.h promises of semaphores, against a daemon. Waits are
 * bounded by the caller's watchdog.
 */
#define _GNU_SOURCE
#include "expect.h"
#include "quiet.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#define THREADS 4
#define ROUNDS 5000

static void expect_permits(const struct shmd_semaphore *semaphore, uint32_t available, uint32_t total, uint32_t held)
{
	struct shmd_permits permits;
	EXPECT(shmd_semaphore_permits(semaphore, &permits), 0);
	if (permits.available != available || permits.total != total || permits.held != held) {
		printf("%u available, %u in all, %u held; wanted %u, %u, %u\n", permits.available, permits.total,
		       permits.held, available, total, held);
		exit(1);
	}
}

static void plain(struct shmd_client *client)
{
	struct shmd_create_options options = {.size = sizeof options, .initial = 2, .maximum = 3};
	struct shmd_semaphore *semaphore;
	struct shmd_semaphore *again;
	EXPECT(shmd_semaphore_create(client, "c/plain", &options, &semaphore), 0);
	CHECK(shmd_semaphore_created(semaphore));
	expect_permits(semaphore, 2, 0, 0);
	EXPECT(shmd_semaphore_acquire(semaphore, 1, SHMD_FOREVER), 0);
	EXPECT(shmd_semaphore_acquire(semaphore, 1, 0), 0);
	EXPECT(shmd_semaphore_acquire(semaphore, 1, 0), SHMD_E_WOULD_BLOCK);
	EXPECT(shmd_semaphore_acquire(semaphore, 1, 1000), SHMD_E_TIMED_OUT);
	EXPECT(shmd_semaphore_acquire(semaphore, 1, -2), SHMD_E_INVALID);
	EXPECT(shmd_semaphore_acquire(semaphore, 0, 0), SHMD_E_INVALID);
	EXPECT(shmd_semaphore_acquire(semaphore, 4, 0), SHMD_E_INVALID);
	EXPECT(shmd_semaphore_acquire(semaphore, 2, 0), SHMD_E_UNSUPPORTED);
	EXPECT(shmd_semaphore_release(semaphore, 3), 0);
	EXPECT(shmd_semaphore_release(semaphore, 1), SHMD_E_OVERFLOW);
	EXPECT(shmd_semaphore_release(semaphore, 0), SHMD_E_INVALID);
	EXPECT(shmd_semaphore_post(semaphore, UINT32_MAX), SHMD_E_OVERFLOW);
	EXPECT(shmd_semaphore_release(NULL, 1), SHMD_E_INVALID);
	EXPECT(shmd_semaphore_post(NULL, 1), SHMD_E_INVALID);
	EXPECT(shmd_semaphore_acquire(NULL, 1, 0), SHMD_E_INVALID);
	EXPECT(shmd_semaphore_permits(semaphore, NULL), SHMD_E_INVALID);
	expect_permits(semaphore, 3, 0, 0);

	EXPECT(shmd_semaphore_create(client, "c/plain", &options, &again), SHMD_E_EXISTS);
	EXPECT(shmd_semaphore_open_or_create(client, "c/plain", &options, &again), 0);
	CHECK(!shmd_semaphore_created(again) && shmd_semaphore_id(again) == shmd_semaphore_id(semaphore));
	shmd_semaphore_close(again);
	options.undo = true;
	EXPECT(shmd_semaphore_open_or_create(client, "c/plain", &options, &again), SHMD_E_OPTION_MISMATCH);
	struct shmd_open_options reader = {.size = sizeof reader, .read_only = true};
	EXPECT(shmd_semaphore_open(client, "c/plain", &reader, &again), 0);
	EXPECT(shmd_semaphore_acquire(again, 1, 0), SHMD_E_PERMISSION);
	EXPECT(shmd_semaphore_release(again, 1), SHMD_E_PERMISSION);
	expect_permits(again, 3, 0, 0);
	shmd_semaphore_close(again);
	struct shmd_mutex *mutex;
	EXPECT(shmd_mutex_open(client, "c/plain", NULL, &mutex), SHMD_E_KIND_MISMATCH);

	EXPECT(shmd_destroy(client, "c/plain"), 0);
	EXPECT(shmd_semaphore_acquire(semaphore, 1, SHMD_FOREVER), SHMD_E_REMOVED);
	EXPECT(shmd_semaphore_release(semaphore, 1), SHMD_E_REMOVED);
	CHECK(shmd_semaphore_close(semaphore) == NULL && shmd_semaphore_close(NULL) == NULL);
}

static void options_exclude(struct shmd_client *client)
{
	struct shmd_semaphore *semaphore;
	struct shmd_mutex *mutex;
	struct shmd_create_options options = {.size = sizeof options, .initial = 4, .maximum = 3};
	EXPECT(shmd_semaphore_create(client, NULL, &options, &semaphore), SHMD_E_INVALID);
	options = (struct shmd_create_options){.size = sizeof options, .maximum = 1u << 31};
	EXPECT(shmd_semaphore_create(client, NULL, &options, &semaphore), SHMD_E_INVALID);
	options = (struct shmd_create_options){.size = sizeof options, .recursive = true};
	EXPECT(shmd_semaphore_create(client, NULL, &options, &semaphore), SHMD_E_INVALID);
	options = (struct shmd_create_options){.size = sizeof options, .lock = SHMD_LOCK_NONE};
	EXPECT(shmd_semaphore_create(client, NULL, &options, &semaphore), SHMD_E_INVALID);
	options = (struct shmd_create_options){.size = sizeof options, .undo = true};
	EXPECT(shmd_mutex_create(client, NULL, &options, &mutex), SHMD_E_INVALID);
	EXPECT(shmd_semaphore_create(client, NULL, NULL, &semaphore), 0);
	EXPECT(shmd_semaphore_acquire(semaphore, 1, 0), SHMD_E_WOULD_BLOCK);
	EXPECT(shmd_semaphore_post(semaphore, INT32_MAX), 0);
	EXPECT(shmd_semaphore_post(semaphore, 1), SHMD_E_OVERFLOW);
	shmd_semaphore_close(semaphore);
}

static void undo(struct shmd_client *client)
{
	struct shmd_create_options options = {.size = sizeof options, .initial = 3, .maximum = 5, .undo = true};
	struct shmd_semaphore *semaphore;
	EXPECT(shmd_semaphore_create(client, "c/undo", &options, &semaphore), 0);
	EXPECT(shmd_semaphore_acquire(semaphore, 2, SHMD_FOREVER), 0);
	expect_permits(semaphore, 1, 3, 2);
	EXPECT(shmd_semaphore_acquire(semaphore, 2, 0), SHMD_E_WOULD_BLOCK);
	EXPECT(shmd_semaphore_acquire(semaphore, 2, 1000), SHMD_E_TIMED_OUT);
	EXPECT(shmd_semaphore_acquire(semaphore, 6, 0), SHMD_E_INVALID);
	EXPECT(shmd_semaphore_release(semaphore, 3), SHMD_E_NOT_OWNER);
	CHECK(strstr(shmd_last_error(), "3 permits") != NULL && strstr(shmd_last_error(), "holds 2") != NULL);
	EXPECT(shmd_semaphore_post(semaphore, 2), 0);
	EXPECT(shmd_semaphore_post(semaphore, 1), SHMD_E_OVERFLOW);
	EXPECT(shmd_semaphore_release(semaphore, 1), 0);
	expect_permits(semaphore, 4, 5, 1);

	/* The last handle of a client gives its permits back. */
	struct shmd_client *other = connected();
	struct shmd_semaphore *theirs;
	EXPECT(shmd_semaphore_open(other, "c/undo", NULL, &theirs), 0);
	EXPECT(shmd_semaphore_acquire(theirs, 4, 0), 0);
	EXPECT(shmd_semaphore_release(semaphore, 2), SHMD_E_NOT_OWNER);
	shmd_semaphore_close(theirs);
	shmd_close(other);
	EXPECT(shmd_semaphore_acquire(semaphore, 4, SHMD_FOREVER), 0);
	expect_permits(semaphore, 0, 5, 5);
	EXPECT(shmd_destroy(client, "c/undo"), 0);
	EXPECT(shmd_semaphore_release(semaphore, 1), SHMD_E_REMOVED);
	shmd_semaphore_close(semaphore);
}

/* A child that is killed with permits gives them back, once. */
static void killed(struct shmd_client *client)
{
	struct shmd_create_options options = {.size = sizeof options, .initial = 3, .maximum = 3, .undo = true};
	struct shmd_semaphore *semaphore;
	EXPECT(shmd_semaphore_create(client, "c/killed", &options, &semaphore), 0);
	int pipes[2];
	CHECK(pipe(pipes) == 0);
	pid_t child = fork();
	CHECK(child >= 0);
	if (child == 0) {
		EXPECT(shmd_semaphore_acquire(semaphore, 1, 0), SHMD_E_FORKED);
		EXPECT(shmd_semaphore_release(semaphore, 1), SHMD_E_FORKED);
		struct shmd_semaphore *mine;
		EXPECT(shmd_semaphore_open(connected(), "c/killed", NULL, &mine), 0);
		EXPECT(shmd_semaphore_acquire(mine, 3, SHMD_FOREVER), 0);
		CHECK(write(pipes[1], "!", 1) == 1);
		pause();
	}
	char byte;
	CHECK(read(pipes[0], &byte, 1) == 1);
	expect_permits(semaphore, 0, 3, 0);
	CHECK(kill(child, SIGKILL) == 0);
	EXPECT(shmd_semaphore_acquire(semaphore, 2, SHMD_FOREVER), 0);
	expect_permits(semaphore, 1, 3, 2);
	CHECK(waitpid(child, NULL, 0) == child);
	close(pipes[0]);
	close(pipes[1]);
	shmd_semaphore_close(semaphore);
	EXPECT(shmd_unlink(client, "c/killed"), 0);
}

struct crowd {
	struct shmd_semaphore *semaphore;
	int inside; /* atomic */
};

static void *member(void *argument)
{
	struct crowd *crowd = argument;
	for (int i = 0; i < ROUNDS; i++) {
		int64_t timeout_ns = i % 3 == 0 ? 10000 : SHMD_FOREVER;
		int result = shmd_semaphore_acquire(crowd->semaphore, 1, timeout_ns);
		if (result == SHMD_E_TIMED_OUT)
			continue;
		EXPECT(result, 0);
		CHECK(__atomic_add_fetch(&crowd->inside, 1, __ATOMIC_RELAXED) <= 2);
		__atomic_sub_fetch(&crowd->inside, 1, __ATOMIC_RELAXED);
		EXPECT(shmd_semaphore_release(crowd->semaphore, 1), 0);
	}
	return NULL;
}

/* Threads that crowd at two permits; afterwards none is lost. */
static void crowded(struct shmd_semaphore *semaphore)
{
	struct crowd crowd = {.semaphore = semaphore};
	pthread_t threads[THREADS];
	for (int i = 0; i < THREADS; i++)
		CHECK(pthread_create(&threads[i], NULL, member, &crowd) == 0);
	for (int i = 0; i < THREADS; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
	/* What timed out last may have left the waiters bit: the next release clears it. */
	for (int i = 0; i < 2; i++) {
		EXPECT(shmd_semaphore_acquire(semaphore, 1, 0), 0);
		EXPECT(shmd_semaphore_release(semaphore, 1), 0);
	}
}

static void *after_a_crowd(bool with_undo)
{
	struct shmd_create_options options = {.size = sizeof options, .initial = 2, .maximum = 2, .undo = with_undo};
	struct shmd_semaphore *semaphore;
	EXPECT(shmd_semaphore_create(connected(), NULL, &options, &semaphore), 0);
	crowded(semaphore);
	expect_permits(semaphore, 2, with_undo ? 2 : 0, 0);
	return semaphore;
}

static int acquire_and_release(void *semaphore)
{
	int result = shmd_semaphore_acquire(semaphore, 1, SHMD_FOREVER);
	return result == 0 ? shmd_semaphore_release(semaphore, 1) : result;
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	struct shmd_client *client = connected();
	plain(client);
	options_exclude(client);
	undo(client);
	killed(client);
	expect_quiet(after_a_crowd, acquire_and_release, false);
	expect_quiet(after_a_crowd, acquire_and_release, true);
	shmd_close(client);
	puts("ok");
	return 0;
}
