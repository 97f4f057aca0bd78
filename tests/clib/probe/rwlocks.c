/* SPDX-License-Identifier: Apache-2.0
 *
 * rwlocks.c - what shmd.h promises of rwlocks, against a daemon. Waits are bounded by the
 * caller's watchdog.
 */
#define _GNU_SOURCE
#include "asleep.h"
#include "expect.h"
#include "quiet.h"

#include <signal.h>
#include <string.h>

#define THREADS 4
#define ROUNDS 2000
#define LOCKS_MAX 64 /* that one thread reads at once */

static struct shmd_rwlock *create(struct shmd_client *client, const char *name)
{
	struct shmd_rwlock *rwlock;
	EXPECT(shmd_rwlock_create(client, name, NULL, &rwlock), 0);
	CHECK(shmd_rwlock_created(rwlock));
	return rwlock;
}

static void *stranger(void *rwlock)
{
	EXPECT(shmd_rwlock_read_unlock(rwlock), SHMD_E_NOT_OWNER);
	EXPECT(shmd_rwlock_write_unlock(rwlock), SHMD_E_NOT_OWNER);
	EXPECT(shmd_rwlock_mark_consistent(rwlock), SHMD_E_NOT_OWNER);
	EXPECT(shmd_rwlock_write_lock(rwlock, 0), SHMD_E_WOULD_BLOCK);
	EXPECT(shmd_rwlock_write_lock(rwlock, 1000), SHMD_E_TIMED_OUT);
	return NULL;
}

static void *reader(void *rwlock)
{
	EXPECT(shmd_rwlock_read_lock(rwlock, SHMD_FOREVER), 0);
	EXPECT(shmd_rwlock_read_lock(rwlock, 0), 0);
	EXPECT(shmd_rwlock_read_unlock(rwlock), 0);
	EXPECT(shmd_rwlock_read_unlock(rwlock), 0);
	EXPECT(shmd_rwlock_read_unlock(rwlock), SHMD_E_NOT_OWNER);
	return NULL;
}

static void *kept_out(void *rwlock)
{
	EXPECT(shmd_rwlock_read_lock(rwlock, 0), SHMD_E_WOULD_BLOCK);
	EXPECT(shmd_rwlock_read_lock(rwlock, 1000), SHMD_E_TIMED_OUT);
	return stranger(rwlock);
}

static void basics(struct shmd_client *client)
{
	struct shmd_rwlock *rwlock = create(client, "c/rwlock");
	struct shmd_notice notice;
	EXPECT(shmd_rwlock_notice(rwlock, &notice), 0);
	CHECK(notice.deaths == 0);
	for (int i = 0; i < 3; i++)
		EXPECT(shmd_rwlock_read_lock(rwlock, SHMD_FOREVER), 0);
	EXPECT(shmd_rwlock_write_lock(rwlock, SHMD_FOREVER), SHMD_E_DEADLOCK);
	EXPECT(shmd_rwlock_write_unlock(rwlock), SHMD_E_NOT_OWNER);
	on_thread(reader, rwlock);
	on_thread(stranger, rwlock);
	for (int i = 0; i < 3; i++)
		EXPECT(shmd_rwlock_read_unlock(rwlock), 0);
	EXPECT(shmd_rwlock_read_unlock(rwlock), SHMD_E_NOT_OWNER);

	EXPECT(shmd_rwlock_write_lock(rwlock, SHMD_FOREVER), 0);
	EXPECT(shmd_rwlock_write_lock(rwlock, SHMD_FOREVER), SHMD_E_DEADLOCK);
	EXPECT(shmd_rwlock_write_lock(rwlock, 0), SHMD_E_DEADLOCK);
	EXPECT(shmd_rwlock_read_lock(rwlock, SHMD_FOREVER), SHMD_E_DEADLOCK);
	EXPECT(shmd_rwlock_read_unlock(rwlock), SHMD_E_NOT_OWNER);
	EXPECT(shmd_rwlock_mark_consistent(rwlock), 0);
	on_thread(kept_out, rwlock);
	EXPECT(shmd_rwlock_write_unlock(rwlock), 0);
	EXPECT(shmd_rwlock_write_unlock(rwlock), SHMD_E_NOT_OWNER);
	EXPECT(shmd_rwlock_read_lock(rwlock, -2), SHMD_E_INVALID);
	EXPECT(shmd_rwlock_write_lock(rwlock, -2), SHMD_E_INVALID);
	EXPECT(shmd_rwlock_read_lock(NULL, 0), SHMD_E_INVALID);
	EXPECT(shmd_rwlock_read_unlock(NULL), SHMD_E_INVALID);
	EXPECT(shmd_rwlock_write_lock(NULL, 0), SHMD_E_INVALID);
	EXPECT(shmd_rwlock_write_unlock(NULL), SHMD_E_INVALID);
	EXPECT(shmd_rwlock_mark_consistent(NULL), SHMD_E_INVALID);

	struct shmd_rwlock *again;
	struct shmd_open_options options = {.size = sizeof options, .read_only = true};
	EXPECT(shmd_rwlock_open(client, "c/rwlock", &options, &again), 0);
	CHECK(shmd_rwlock_id(again) == shmd_rwlock_id(rwlock));
	EXPECT(shmd_rwlock_read_lock(again, 0), SHMD_E_PERMISSION);
	EXPECT(shmd_rwlock_read_unlock(again), SHMD_E_PERMISSION);
	EXPECT(shmd_rwlock_write_lock(again, 0), SHMD_E_PERMISSION);
	EXPECT(shmd_rwlock_write_unlock(again), SHMD_E_PERMISSION);
	EXPECT(shmd_rwlock_notice(again, &notice), 0);
	shmd_rwlock_close(again);

	EXPECT(shmd_rwlock_read_lock(rwlock, 0), 0);
	EXPECT(shmd_destroy(client, "c/rwlock"), 0);
	EXPECT(shmd_rwlock_read_lock(rwlock, SHMD_FOREVER), SHMD_E_REMOVED);
	EXPECT(shmd_rwlock_read_unlock(rwlock), SHMD_E_REMOVED);
	EXPECT(shmd_rwlock_read_lock(rwlock, SHMD_FOREVER), SHMD_E_REMOVED);
	EXPECT(shmd_rwlock_write_lock(rwlock, SHMD_FOREVER), SHMD_E_REMOVED);
	EXPECT(shmd_rwlock_write_unlock(rwlock), SHMD_E_REMOVED);
	EXPECT(shmd_rwlock_mark_consistent(rwlock), SHMD_E_REMOVED);
	CHECK(shmd_rwlock_close(rwlock) == NULL && shmd_rwlock_close(NULL) == NULL);
}

/* Two handles of one client are one reader; two clients are two. Closing the last
 * handle gives the reads up, and no later handle inherits them. */
static void handles(struct shmd_client *client)
{
	struct shmd_rwlock *rwlock = create(client, "c/rwlock");
	struct shmd_rwlock *same;
	struct shmd_client *other = connected();
	struct shmd_rwlock *theirs;
	EXPECT(shmd_rwlock_open(client, "c/rwlock", NULL, &same), 0);
	EXPECT(shmd_rwlock_open(other, "c/rwlock", NULL, &theirs), 0);
	EXPECT(shmd_rwlock_read_lock(rwlock, 0), 0);
	EXPECT(shmd_rwlock_read_lock(same, 0), 0);
	EXPECT(shmd_rwlock_read_unlock(theirs), SHMD_E_NOT_OWNER);
	EXPECT(shmd_rwlock_write_lock(same, 0), SHMD_E_DEADLOCK);
	EXPECT(shmd_rwlock_write_lock(theirs, 0), SHMD_E_WOULD_BLOCK);
	shmd_rwlock_close(rwlock);
	EXPECT(shmd_rwlock_read_unlock(same), 0);
	EXPECT(shmd_rwlock_write_lock(theirs, 0), SHMD_E_WOULD_BLOCK); /* once more */
	shmd_rwlock_close(same);
	EXPECT(shmd_rwlock_write_lock(theirs, SHMD_FOREVER), 0);
	EXPECT(shmd_rwlock_open(client, "c/rwlock", NULL, &rwlock), 0);
	EXPECT(shmd_rwlock_read_lock(rwlock, 0), SHMD_E_WOULD_BLOCK);
	EXPECT(shmd_rwlock_write_unlock(theirs), 0);
	EXPECT(shmd_rwlock_read_unlock(rwlock), SHMD_E_NOT_OWNER);
	shmd_rwlock_close(theirs);
	shmd_close(other);
	shmd_rwlock_close(rwlock);
	EXPECT(shmd_unlink(client, "c/rwlock"), 0);
}

/* A thread reads several at once, in any order. */
static void several(struct shmd_client *client)
{
	struct shmd_rwlock *locks[LOCKS_MAX + 1];
	for (int i = 0; i <= LOCKS_MAX; i++)
		locks[i] = create(client, NULL);
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < LOCKS_MAX; i++)
			EXPECT(shmd_rwlock_read_lock(locks[i], 0), 0);
		EXPECT(shmd_rwlock_read_lock(locks[LOCKS_MAX], 0), SHMD_E_OVERFLOW);
		CHECK(strstr(shmd_last_error(), "64") != NULL);
		EXPECT(shmd_rwlock_read_lock(locks[5], 0), 0); /* again */
		EXPECT(shmd_rwlock_read_unlock(locks[5]), 0);
		for (int i = 0; i < LOCKS_MAX; i++) {
			struct shmd_rwlock *next = locks[i * 29 % LOCKS_MAX];
			EXPECT(shmd_rwlock_write_lock(next, 0), SHMD_E_DEADLOCK);
			EXPECT(shmd_rwlock_read_unlock(next), 0);
			EXPECT(shmd_rwlock_read_unlock(next), SHMD_E_NOT_OWNER);
			EXPECT(shmd_rwlock_write_lock(next, 0), 0);
			EXPECT(shmd_rwlock_write_unlock(next), 0);
		}
	}
	/* To close what is read leaves no place occupied. */
	for (int i = 0; i <= LOCKS_MAX; i++) {
		EXPECT(shmd_rwlock_read_lock(locks[i], 0), 0);
		shmd_rwlock_close(locks[i]);
	}
}

/* ---- threads ---- */

struct crowd {
	struct shmd_rwlock *rwlock;
	long first; /* guarded; equal to second */
	long second;
	int done; /* atomic */
};

static void *write_much(void *argument)
{
	struct crowd *crowd = argument;
	for (int i = 0; i < ROUNDS; i++) {
		int result;
		while ((result = shmd_rwlock_write_lock(crowd->rwlock, i % 3 == 0 ? 20000 : SHMD_FOREVER)) == SHMD_E_TIMED_OUT)
			;
		EXPECT(result, 0);
		crowd->first++;
		crowd->second++;
		EXPECT(shmd_rwlock_write_unlock(crowd->rwlock), 0);
	}
	return NULL;
}

static void *read_much(void *argument)
{
	struct crowd *crowd = argument;
	for (int i = 0; i < ROUNDS; i++) {
		int result;
		while ((result = shmd_rwlock_read_lock(crowd->rwlock, i % 3 == 0 ? 20000 : SHMD_FOREVER)) == SHMD_E_TIMED_OUT)
			;
		EXPECT(result, 0);
		long first = crowd->first;
		if (i % 5 == 0) {
			EXPECT(shmd_rwlock_read_lock(crowd->rwlock, SHMD_FOREVER), 0); /* whoever waits */
			EXPECT(shmd_rwlock_read_unlock(crowd->rwlock), 0);
		}
		CHECK(crowd->second == first);
		EXPECT(shmd_rwlock_read_unlock(crowd->rwlock), 0);
	}
	return NULL;
}

static void crowded(struct shmd_rwlock *rwlock)
{
	struct crowd crowd = {.rwlock = rwlock};
	pthread_t threads[THREADS];
	for (int i = 0; i < THREADS; i++)
		CHECK(pthread_create(&threads[i], NULL, i % 2 == 0 ? write_much : read_much, &crowd) == 0);
	for (int i = 0; i < THREADS; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
	CHECK(crowd.first == (long)THREADS / 2 * ROUNDS);
}

static void *read_once(void *argument)
{
	struct crowd *crowd = argument;
	EXPECT(shmd_rwlock_read_lock(crowd->rwlock, SHMD_FOREVER), 0);
	__atomic_store_n(&crowd->done, 1, __ATOMIC_RELAXED);
	EXPECT(shmd_rwlock_read_unlock(crowd->rwlock), 0);
	return NULL;
}

/* A reader that has waited comes in after one more writer at most, though they come
 * without end. */
static void not_starved(struct shmd_client *client)
{
	struct crowd crowd = {.rwlock = create(client, NULL)};
	pthread_t thread;
	EXPECT(shmd_rwlock_write_lock(crowd.rwlock, SHMD_FOREVER), 0);
	CHECK(pthread_create(&thread, NULL, read_once, &crowd) == 0);
	until_asleep(&crowd.rwlock->object, 1);
	EXPECT(shmd_rwlock_write_unlock(crowd.rwlock), 0);
	EXPECT(shmd_rwlock_write_lock(crowd.rwlock, SHMD_FOREVER), 0);
	CHECK(__atomic_load_n(&crowd.done, __ATOMIC_RELAXED) == 1); /* it wanted before: we prepared */
	EXPECT(shmd_rwlock_write_unlock(crowd.rwlock), 0);
	CHECK(pthread_join(thread, NULL) == 0);
	shmd_rwlock_close(crowd.rwlock);
}

/* ---- death ---- */

static void child(bool writes, struct shmd_rwlock *inherited, int ready)
{
	EXPECT(shmd_rwlock_read_lock(inherited, 0), SHMD_E_FORKED);
	EXPECT(shmd_rwlock_read_unlock(inherited), SHMD_E_FORKED);
	EXPECT(shmd_rwlock_write_lock(inherited, 0), SHMD_E_FORKED);
	shmd_rwlock_close(inherited);
	struct shmd_rwlock *mine;
	EXPECT(shmd_rwlock_open(connected(), "c/rwlock", NULL, &mine), 0);
	EXPECT(shmd_rwlock_read_unlock(mine), SHMD_E_NOT_OWNER); /* what the parent reads */
	EXPECT(writes ? shmd_rwlock_write_lock(mine, SHMD_FOREVER) : shmd_rwlock_read_lock(mine, SHMD_FOREVER), 0);
	CHECK(write(ready, "!", 1) == 1);
	pause();
}

static void killed(struct shmd_client *client, bool writes)
{
	struct shmd_rwlock *rwlock = create(client, "c/rwlock");
	int pipes[2];
	CHECK(pipe(pipes) == 0);
	EXPECT(shmd_rwlock_read_lock(rwlock, 0), 0);
	pid_t pid = fork();
	CHECK(pid >= 0);
	if (pid == 0)
		child(writes, rwlock, pipes[1]);
	EXPECT(shmd_rwlock_read_unlock(rwlock), 0);
	char byte;
	CHECK(read(pipes[0], &byte, 1) == 1);
	EXPECT(shmd_rwlock_write_lock(rwlock, 1000), SHMD_E_TIMED_OUT);
	CHECK(kill(pid, SIGKILL) == 0);
	struct shmd_notice notice;
	if (writes) {
		EXPECT(shmd_rwlock_read_lock(rwlock, SHMD_FOREVER), SHMD_OWNER_DIED);
		EXPECT(shmd_rwlock_read_lock(rwlock, 0), SHMD_OWNER_DIED);
		EXPECT(shmd_rwlock_mark_consistent(rwlock), SHMD_E_NOT_OWNER);
		EXPECT(shmd_rwlock_read_unlock(rwlock), 0);
		EXPECT(shmd_rwlock_read_unlock(rwlock), 0);
	}
	EXPECT(shmd_rwlock_write_lock(rwlock, SHMD_FOREVER), writes ? SHMD_OWNER_DIED : 0);
	EXPECT(shmd_rwlock_notice(rwlock, &notice), 0);
	CHECK(notice.deaths == (uint32_t)writes && notice.pid == (writes ? (uint32_t)pid : 0));
	EXPECT(shmd_rwlock_mark_consistent(rwlock), 0);
	EXPECT(shmd_rwlock_write_unlock(rwlock), 0);
	EXPECT(shmd_rwlock_read_lock(rwlock, 0), 0);
	EXPECT(shmd_rwlock_read_unlock(rwlock), 0);
	CHECK(waitpid(pid, NULL, 0) == pid);
	close(pipes[0]);
	close(pipes[1]);
	shmd_rwlock_close(rwlock);
	EXPECT(shmd_unlink(client, "c/rwlock"), 0);
}

static void *after_a_crowd(bool unused)
{
	(void)unused;
	struct shmd_rwlock *rwlock = create(connected(), NULL);
	crowded(rwlock);
	/* What timed out last may have left bits: the next writer clears them. */
	EXPECT(shmd_rwlock_write_lock(rwlock, SHMD_FOREVER), 0);
	EXPECT(shmd_rwlock_write_unlock(rwlock), 0);
	return rwlock;
}

static int read_and_write(void *rwlock)
{
	int result = shmd_rwlock_read_lock(rwlock, SHMD_FOREVER);
	if (result == 0)
		result = shmd_rwlock_read_unlock(rwlock);
	if (result == 0)
		result = shmd_rwlock_write_lock(rwlock, SHMD_FOREVER);
	return result == 0 ? shmd_rwlock_write_unlock(rwlock) : result;
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	struct shmd_client *client = connected();
	basics(client);
	handles(client);
	several(client);
	not_starved(client);
	killed(client, true);
	killed(client, false);
	expect_quiet(after_a_crowd, read_and_write, false);
	shmd_close(client);
	puts("ok");
	return 0;
}
