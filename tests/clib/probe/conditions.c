/* SPDX-License-Identifier: Apache-2.0
 *
 * conditions.c - what shmd.h promises of conditions, against a daemon. Waits are bounded
 * by the caller's watchdog.
 */
#define _GNU_SOURCE
#include "asleep.h"
#include "expect.h"
#include "quiet.h"

#include <signal.h>
#include <string.h>

#define THREADS 3
#define ROUNDS 2000

struct pair {
	struct shmd_mutex *mutex;
	struct shmd_condition *condition;
	long turn; /* guarded by the mutex, which is locked by one handle: a thread sanitizer sees two */
};

static struct pair create(struct shmd_client *client, const char *name, struct shmd_create_options options)
{
	struct pair pair = {0};
	options.size = sizeof options;
	EXPECT(shmd_mutex_create(client, NULL, &options, &pair.mutex), 0);
	options = (struct shmd_create_options){.size = sizeof options, .lock_mutex = pair.mutex};
	EXPECT(shmd_condition_create(client, name, &options, &pair.condition), 0);
	CHECK(shmd_condition_created(pair.condition));
	return pair;
}

static void close_pair(struct pair *pair)
{
	shmd_condition_close(pair->condition);
	shmd_mutex_close(pair->mutex);
}

static bool never(void *argument)
{
	++*(int *)argument;
	return false;
}

static bool always(void *argument)
{
	++*(int *)argument;
	return true;
}

static void basics(struct shmd_client *client)
{
	struct pair pair = create(client, "c/condition", (struct shmd_create_options){0});
	struct shmd_condition *condition = pair.condition;
	EXPECT(shmd_condition_wait(condition, SHMD_FOREVER), SHMD_E_NOT_OWNER);
	EXPECT(shmd_condition_notify(condition, 1), SHMD_E_NOT_OWNER);
	EXPECT(shmd_condition_notify_all(condition), SHMD_E_NOT_OWNER);
	EXPECT(shmd_mutex_lock(pair.mutex, SHMD_FOREVER), 0);
	EXPECT(shmd_condition_lock(condition, 0), SHMD_E_DEADLOCK); /* the same lock */
	EXPECT(shmd_condition_wait(condition, 0), SHMD_E_WOULD_BLOCK);
	EXPECT(shmd_condition_wait(condition, 1000), SHMD_E_TIMED_OUT);
	EXPECT(shmd_condition_wait(condition, -2), SHMD_E_INVALID);
	EXPECT(shmd_condition_notify(condition, 0), SHMD_E_INVALID);
	EXPECT(shmd_condition_notify(condition, UINT32_MAX), 0);
	EXPECT(shmd_condition_notify_all(condition), 0);
	int asked = 0;
	EXPECT(shmd_condition_wait_for(condition, always, &asked, 0), 0);
	EXPECT(shmd_condition_wait_for(condition, never, &asked, 0), SHMD_E_WOULD_BLOCK);
	CHECK(asked == 2);
	EXPECT(shmd_condition_wait_for(condition, never, &asked, 1000000), SHMD_E_TIMED_OUT);
	CHECK(asked >= 4);
	EXPECT(shmd_condition_wait_for(condition, NULL, NULL, 0), SHMD_E_INVALID);
	EXPECT(shmd_condition_wait_for(condition, always, &asked, -2), SHMD_E_INVALID);
	EXPECT(shmd_mutex_unlock(pair.mutex), 0); /* held after all of these, once */
	EXPECT(shmd_condition_unlock(condition), SHMD_E_NOT_OWNER);
	EXPECT(shmd_condition_wait(NULL, 0), SHMD_E_INVALID);
	EXPECT(shmd_condition_notify(NULL, 1), SHMD_E_INVALID);
	EXPECT(shmd_condition_notify_all(NULL), SHMD_E_INVALID);
	EXPECT(shmd_condition_lock(NULL, 0), SHMD_E_INVALID);
	EXPECT(shmd_condition_unlock(NULL), SHMD_E_INVALID);
	struct shmd_notice notice;
	EXPECT(shmd_condition_notice(condition, &notice), 0);
	CHECK(notice.deaths == 0);

	struct shmd_condition *again;
	struct shmd_open_options reader = {.size = sizeof reader, .read_only = true};
	EXPECT(shmd_condition_open(client, "c/condition", &reader, &again), SHMD_E_PERMISSION);
	EXPECT(shmd_condition_create(client, NULL, NULL, &again), SHMD_E_INVALID);
	CHECK(strstr(shmd_last_error(), "mutex") != NULL);
	struct shmd_create_options none = {.size = sizeof none};
	EXPECT(shmd_condition_create(client, NULL, &none, &again), SHMD_E_INVALID);
	EXPECT(shmd_condition_open(client, "c/condition", NULL, &again), 0);
	CHECK(shmd_condition_id(again) == shmd_condition_id(condition) && !shmd_condition_created(again));
	EXPECT(shmd_condition_lock(again, 0), 0);
	EXPECT(shmd_condition_notify(condition, 1), 0); /* another handle of this client */
	EXPECT(shmd_condition_unlock(again), 0);
	shmd_condition_close(again);
	close_pair(&pair);
	EXPECT(shmd_unlink(client, "c/condition"), 0);
	CHECK(shmd_condition_close(NULL) == NULL);
}

/* ---- threads ---- */

static bool turn_is_even(void *pair)
{
	return ((struct pair *)pair)->turn % 2 == 0;
}

static bool turn_is_odd(void *pair)
{
	return ((struct pair *)pair)->turn % 2 != 0;
}

static void *take_turns(void *argument)
{
	struct pair *pair = argument;
	for (int i = 0; i < ROUNDS; i++) {
		EXPECT(shmd_condition_lock(pair->condition, SHMD_FOREVER), 0);
		int result;
		do
			result = shmd_condition_wait_for(pair->condition, turn_is_odd, pair, i % 3 == 0 ? 10000 : SHMD_FOREVER);
		while (result == SHMD_E_TIMED_OUT);
		EXPECT(result, 0);
		pair->turn++;
		EXPECT(shmd_condition_notify(pair->condition, 1), 0);
		EXPECT(shmd_condition_unlock(pair->condition), 0);
	}
	return NULL;
}

static void in_turn(struct shmd_client *client)
{
	struct pair pair = create(client, NULL, (struct shmd_create_options){0});
	pthread_t thread;
	CHECK(pthread_create(&thread, NULL, take_turns, &pair) == 0);
	for (int i = 0; i < ROUNDS; i++) {
		EXPECT(shmd_condition_lock(pair.condition, SHMD_FOREVER), 0);
		EXPECT(shmd_condition_wait_for(pair.condition, turn_is_even, &pair, SHMD_FOREVER), 0);
		CHECK(pair.turn == 2L * i);
		pair.turn++;
		EXPECT(shmd_condition_notify_all(pair.condition), 0);
		EXPECT(shmd_condition_unlock(pair.condition), 0);
	}
	CHECK(pthread_join(thread, NULL) == 0);
	CHECK(pair.turn == 2L * ROUNDS);
	close_pair(&pair);
}

/* Waits until turn is 1, whatever the depth of the mutex, which is kept. */
static void *wait_deep(void *argument)
{
	struct pair *pair = argument;
	for (int i = 0; i < 3; i++)
		EXPECT(shmd_condition_lock(pair->condition, SHMD_FOREVER), 0);
	while (pair->turn == 0)
		EXPECT(shmd_condition_wait(pair->condition, SHMD_FOREVER), 0);
	for (int i = 0; i < 3; i++)
		EXPECT(shmd_mutex_unlock(pair->mutex), 0); /* by the other handle */
	EXPECT(shmd_mutex_unlock(pair->mutex), SHMD_E_NOT_OWNER);
	return NULL;
}

static void recursive(struct shmd_client *client)
{
	struct pair pair = create(client, NULL, (struct shmd_create_options){.recursive = true});
	pthread_t threads[THREADS];
	for (int i = 0; i < THREADS; i++)
		CHECK(pthread_create(&threads[i], NULL, wait_deep, &pair) == 0);
	until_asleep(&pair.condition->object, THREADS);
	EXPECT(shmd_condition_lock(pair.condition, 0), 0);
	pair.turn = 1;
	EXPECT(shmd_condition_notify_all(pair.condition), 0);
	EXPECT(shmd_condition_unlock(pair.condition), 0);
	for (int i = 0; i < THREADS; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
	close_pair(&pair);
}

/* ---- the end of things ---- */

struct wait_of {
	struct pair *pair;
	int waited;   /* what these returned */
	int unlocked;
};

static void *wait_once(void *argument)
{
	struct wait_of *wait = argument;
	EXPECT(shmd_mutex_lock(wait->pair->mutex, SHMD_FOREVER), 0);
	wait->waited = shmd_condition_wait(wait->pair->condition, SHMD_FOREVER);
	wait->unlocked = shmd_mutex_unlock(wait->pair->mutex);
	return NULL;
}

static void destroyed(struct shmd_client *client, bool mutex_too)
{
	struct pair pair = create(client, NULL, (struct shmd_create_options){0});
	struct wait_of wait = {.pair = &pair};
	pthread_t thread;
	CHECK(pthread_create(&thread, NULL, wait_once, &wait) == 0);
	until_asleep(&pair.condition->object, 1);
	uint64_t id = mutex_too ? shmd_mutex_id(pair.mutex) : shmd_condition_id(pair.condition);
	EXPECT(shmd_destroy_id(client, id), 0);
	CHECK(pthread_join(thread, NULL) == 0);
	EXPECT(wait.waited, SHMD_E_REMOVED);
	EXPECT(wait.unlocked, mutex_too ? SHMD_E_REMOVED : 0); /* held, if it could be had */
	EXPECT(shmd_condition_wait(pair.condition, SHMD_FOREVER), SHMD_E_REMOVED);
	EXPECT(shmd_condition_lock(pair.condition, SHMD_FOREVER), SHMD_E_REMOVED);
	EXPECT(shmd_condition_notify(pair.condition, 1), SHMD_E_REMOVED);
	close_pair(&pair);
}

/* A child takes the mutex while this process waits, and dies: the wait says so, even
 * when its time is over, and so does the next. */
static void killed(struct shmd_client *client, int64_t timeout_ns)
{
	struct pair pair = create(client, "c/condition", (struct shmd_create_options){0});
	int pipes[2];
	CHECK(pipe(pipes) == 0);
	EXPECT(shmd_mutex_lock(pair.mutex, 0), 0);
	pid_t child = fork();
	CHECK(child >= 0);
	if (child == 0) {
		EXPECT(shmd_condition_wait(pair.condition, 1), SHMD_E_FORKED);
		EXPECT(shmd_condition_notify(pair.condition, 1), SHMD_E_FORKED);
		struct shmd_condition *mine;
		EXPECT(shmd_condition_open(connected(), "c/condition", NULL, &mine), 0);
		EXPECT(shmd_condition_lock(mine, SHMD_FOREVER), 0);
		EXPECT(shmd_condition_notify_all(mine), 0);
		raise(SIGKILL);
	}
	int result;
	do /* a short wait may be over before the child has come */
		result = shmd_condition_wait(pair.condition, timeout_ns);
	while (result == 0 || result == SHMD_E_TIMED_OUT);
	EXPECT(result, SHMD_OWNER_DIED);
	int asked = 0;
	EXPECT(shmd_condition_wait_for(pair.condition, never, &asked, 1000), SHMD_OWNER_DIED);
	CHECK(asked == 1); /* not again after the notice */
	struct shmd_notice notice;
	EXPECT(shmd_condition_notice(pair.condition, &notice), 0);
	CHECK(notice.deaths == 1 && notice.pid == (uint32_t)child);
	EXPECT(shmd_condition_mark_consistent(pair.condition), 0);
	do /* the mutex came back first: the wake-ups for this death may come in here */
		result = shmd_condition_wait(pair.condition, 1000);
	while (result == 0);
	EXPECT(result, SHMD_E_TIMED_OUT);
	EXPECT(shmd_mutex_unlock(pair.mutex), 0);
	CHECK(waitpid(child, NULL, 0) == child);
	close(pipes[0]);
	close(pipes[1]);
	close_pair(&pair);
	EXPECT(shmd_unlink(client, "c/condition"), 0);
}

/* A wait without repair makes a strict mutex useless; it ends at once, as nobody can ever
 * notify. */
static void poisoned(struct shmd_client *client)
{
	struct pair pair = create(client, "c/condition", (struct shmd_create_options){.strict = true});
	struct shmd_client *other = connected();
	struct shmd_condition *theirs;
	EXPECT(shmd_condition_open(other, "c/condition", NULL, &theirs), 0);
	EXPECT(shmd_condition_lock(theirs, SHMD_FOREVER), 0);
	shmd_condition_close(theirs); /* as a death */
	shmd_close(other);
	EXPECT(shmd_condition_lock(pair.condition, SHMD_FOREVER), SHMD_OWNER_DIED);
	EXPECT(shmd_condition_wait(pair.condition, SHMD_FOREVER), SHMD_E_NOT_RECOVERABLE);
	EXPECT(shmd_condition_unlock(pair.condition), SHMD_E_NOT_OWNER);
	EXPECT(shmd_condition_lock(pair.condition, SHMD_FOREVER), SHMD_E_NOT_RECOVERABLE);
	close_pair(&pair);
	EXPECT(shmd_unlink(client, "c/condition"), 0);
}

static void *wait_briefly(void *argument)
{
	struct pair *pair = argument;
	EXPECT(shmd_mutex_lock(pair->mutex, SHMD_FOREVER), 0);
	EXPECT(shmd_condition_wait(pair->condition, 1000), SHMD_E_TIMED_OUT);
	EXPECT(shmd_mutex_unlock(pair->mutex), 0);
	return NULL;
}

/* What a wait that timed out has left is cleared by one notification. */
static void *after_a_wait(bool unused)
{
	(void)unused;
	static struct pair pair;
	pair = create(connected(), NULL, (struct shmd_create_options){0});
	on_thread(wait_briefly, &pair);
	EXPECT(shmd_mutex_lock(pair.mutex, 0), 0);
	EXPECT(shmd_condition_notify(pair.condition, 1), 0);
	EXPECT(shmd_mutex_unlock(pair.mutex), 0);
	return &pair;
}

static int lock_notify_unlock(void *argument)
{
	struct pair *pair = argument;
	int result = shmd_mutex_lock(pair->mutex, SHMD_FOREVER);
	if (result == 0)
		result = shmd_condition_notify(pair->condition, 1);
	return result == 0 ? shmd_mutex_unlock(pair->mutex) : result;
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	struct shmd_client *client = connected();
	basics(client);
	in_turn(client);
	recursive(client);
	destroyed(client, false);
	destroyed(client, true);
	killed(client, SHMD_FOREVER);
	killed(client, 1000);
	poisoned(client);
	expect_quiet(after_a_wait, lock_notify_unlock, false);
	shmd_close(client);
	puts("ok");
	return 0;
}
