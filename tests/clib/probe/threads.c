/* SPDX-License-Identifier: Apache-2.0
 *
 * threads.c - threads of one process use every kind of object at once, each to guard or
 * hand over plain data of its own. A thread sanitizer, which knows of nothing but the
 * library's atomics, sees whether each of them orders what shmd.h says it orders.
 */
#define _GNU_SOURCE
#include "expect.h"

#include <string.h>

#define THREADS 4
#define ROUNDS 1500
#define BRIEFLY_NS 50000

/* Plain data, and what guards it or hands it over. */
static struct shmd_client *client;
static struct shmd_mutex *mutex;
static long by_mutex;
static struct shmd_mutex *recursive;
static long by_recursive;
static struct shmd_semaphore *plain;
static long by_plain;
static struct shmd_semaphore *pool;
static long by_pool;
static struct shmd_rwlock *rwlock;
static long by_rwlock[2];
static struct shmd_array *array;
static long by_array;
static struct shmd_value *value;
static long by_value;
static struct shmd_condition *condition; /* of mutex */
static long turn;
static struct shmd_event *asked; /* auto reset */
static struct shmd_event *answered;
static long question;
static struct shmd_event *manual;
static struct shmd_event *seen; /* auto reset */
static long published;
static struct shmd_barrier *barrier;
static long by_thread[THREADS];
static long summed; /* by the action */
static struct shmd_queue *queue;
static long carried[THREADS * ROUNDS];

static int64_t patience(int round)
{
	return round % 3 == 0 ? BRIEFLY_NS : SHMD_FOREVER;
}

/* Locks, again and again where it is only patient for a moment. */
#define TAKE(call)                                                                                  \
	do {                                                                                            \
		int result_;                                                                                \
		while ((result_ = (call)) == SHMD_E_TIMED_OUT)                                              \
			;                                                                                       \
		EXPECT(result_, 0);                                                                         \
	} while (0)

static void use_locks(int i)
{
	TAKE(shmd_mutex_lock(mutex, patience(i)));
	by_mutex++;
	EXPECT(shmd_mutex_unlock(mutex), 0);
	TAKE(shmd_mutex_lock(recursive, patience(i)));
	TAKE(shmd_mutex_lock(recursive, patience(i)));
	by_recursive++;
	EXPECT(shmd_mutex_unlock(recursive), 0);
	EXPECT(shmd_mutex_unlock(recursive), 0);
	TAKE(shmd_semaphore_acquire(plain, 1, patience(i)));
	by_plain++;
	EXPECT(shmd_semaphore_release(plain, 1), 0);
	TAKE(shmd_semaphore_acquire(pool, i % 2 == 0 ? 1 : 2, patience(i)));
	if (i % 2 != 0)
		by_pool++; /* with both permits */
	EXPECT(shmd_semaphore_release(pool, i % 2 == 0 ? 1 : 2), 0);
	TAKE(shmd_array_lock(array, patience(i)));
	by_array++;
	EXPECT(shmd_array_unlock(array), 0);
	TAKE(shmd_value_lock(value, patience(i)));
	by_value++;
	EXPECT(shmd_value_unlock(value), 0);
}

static void use_rwlock(int i)
{
	if (i % 4 == 0) {
		TAKE(shmd_rwlock_write_lock(rwlock, patience(i)));
		by_rwlock[0]++;
		by_rwlock[1]++;
		EXPECT(shmd_rwlock_write_unlock(rwlock), 0);
		return;
	}
	TAKE(shmd_rwlock_read_lock(rwlock, patience(i)));
	if (i % 4 == 1)
		EXPECT(shmd_rwlock_read_lock(rwlock, SHMD_FOREVER), 0);
	CHECK(by_rwlock[0] == by_rwlock[1]);
	if (i % 4 == 1)
		EXPECT(shmd_rwlock_read_unlock(rwlock), 0);
	EXPECT(shmd_rwlock_read_unlock(rwlock), 0);
}

static void use_data(int i)
{
	int64_t items[8];
	for (int k = 0; k < 8; k++)
		items[k] = i;
	if (i % 2 == 0)
		EXPECT(shmd_array_write(array, 0, 8, SHMD_FOREVER, items), 0);
	else
		EXPECT(shmd_array_read(array, 0, 8, SHMD_FOREVER, items, NULL), 0);
	for (int k = 1; k < 8; k++)
		CHECK(items[k] == items[0]);
	int64_t one = 1;
	EXPECT(shmd_value_fetch_add(value, &one, NULL), 0);
}

static int sum_up(void *unused)
{
	(void)unused;
	summed = 0;
	for (int k = 0; k < THREADS; k++)
		summed += by_thread[k];
	return 0;
}

/* Each writes what is its own, one of them sums all of it, and all see the sum. */
static void use_barrier(int me, int i)
{
	by_thread[me] = i;
	EXPECT(shmd_barrier_wait_action(barrier, SHMD_FOREVER, sum_up, NULL, NULL), 0);
	CHECK(summed == (long)THREADS * i);
	EXPECT(shmd_barrier_wait(barrier, SHMD_FOREVER, NULL), 0);
}

/* In turn, by a condition. */
static bool is_mine(void *me)
{
	return turn % THREADS == *(int *)me;
}

static void use_condition(int me, int i)
{
	/* By the condition: the handle of the mutex is another mapping, and for a thread
	 * sanitizer another lock. */
	EXPECT(shmd_condition_lock(condition, SHMD_FOREVER), 0);
	TAKE(shmd_condition_wait_for(condition, is_mine, &me, patience(i)));
	turn++;
	EXPECT(shmd_condition_notify_all(condition), 0);
	EXPECT(shmd_condition_unlock(condition), 0);
}

/* One thread asks, one answers; one publishes, one looks. */
static void use_events(int me, int i)
{
	if (me == 0) {
		question = i;
		EXPECT(shmd_event_set(asked), 0);
		TAKE(shmd_event_wait(answered, patience(i)));
		CHECK(question == -i);
	} else if (me == 1) {
		TAKE(shmd_event_wait(asked, patience(i)));
		CHECK(question == i);
		question = -i;
		EXPECT(shmd_event_set(answered), 0);
	} else if (me == 2) {
		published = i;
		EXPECT(shmd_event_set(manual), 0);
		TAKE(shmd_event_wait(seen, patience(i)));
	} else {
		TAKE(shmd_event_wait(manual, patience(i)));
		CHECK(published == i);
		EXPECT(shmd_event_reset(manual), 0);
		EXPECT(shmd_event_set(seen), 0);
	}
}

/* A message says where the plain data lies that was written before it was put. */
static void use_queue(int me, int i)
{
	uint32_t place = (uint32_t)(me * ROUNDS + i - 1);
	size_t size_bytes;
	carried[place] = place + 1;
	TAKE(shmd_queue_put(queue, &place, sizeof place, patience(i)));
	if (i % 2 == 0) {
		TAKE(shmd_queue_take(queue, &place, sizeof place, patience(i), &size_bytes));
	} else {
		struct shmd_lease lease;
		TAKE(shmd_queue_lease(queue, patience(i), &lease));
		memcpy(&place, lease.message, sizeof place);
		EXPECT(shmd_queue_ack(queue, &lease), 0);
	}
	CHECK(carried[place] == (long)place + 1);
	carried[place] = 0;
}

static void *work(void *argument)
{
	int me = *(int *)argument;
	for (int i = 1; i <= ROUNDS; i++) {
		use_locks(i);
		use_rwlock(i + me);
		use_data(i);
		use_barrier(me, i);
		use_condition(me, i);
		use_events(me, i);
		use_queue(me, i);
		if (i % 100 == 0) { /* control calls too */
			struct shmd_rwlock *again;
			struct shmd_open_options options = {.size = sizeof options, .id = shmd_rwlock_id(rwlock)};
			EXPECT(shmd_rwlock_open(client, NULL, &options, &again), 0);
			shmd_rwlock_close(again);
		}
	}
	return NULL;
}

static void create_all(void)
{
	struct shmd_create_options none = {.size = sizeof none};
	struct shmd_create_options options = none;
	EXPECT(shmd_mutex_create(client, NULL, NULL, &mutex), 0);
	EXPECT(shmd_rwlock_create(client, NULL, NULL, &rwlock), 0);
	EXPECT(shmd_event_create(client, NULL, NULL, &manual), 0);
	EXPECT(shmd_value_create(client, NULL, 'q', NULL, &value), 0);
	EXPECT(shmd_array_create_1d(client, NULL, 'q', 8, NULL, &array), 0);
	options.recursive = true;
	EXPECT(shmd_mutex_create(client, NULL, &options, &recursive), 0);
	options = none;
	options.initial = 1;
	EXPECT(shmd_semaphore_create(client, NULL, &options, &plain), 0);
	options.initial = options.maximum = 2;
	options.undo = true;
	EXPECT(shmd_semaphore_create(client, NULL, &options, &pool), 0);
	options = none;
	options.lock_mutex = mutex;
	EXPECT(shmd_condition_create(client, NULL, &options, &condition), 0);
	options = none;
	options.auto_reset = true;
	EXPECT(shmd_event_create(client, NULL, &options, &asked), 0);
	EXPECT(shmd_event_create(client, NULL, &options, &answered), 0);
	EXPECT(shmd_event_create(client, NULL, &options, &seen), 0);
	options = none;
	options.parties = THREADS;
	EXPECT(shmd_barrier_create(client, NULL, &options, &barrier), 0);
	options = none;
	options.raw = true;
	options.maxsize = 2 * THREADS;
	EXPECT(shmd_queue_create(client, NULL, &options, &queue), 0);
}

static void close_all(void)
{
	shmd_condition_close(condition);
	shmd_mutex_close(mutex);
	shmd_mutex_close(recursive);
	shmd_rwlock_close(rwlock);
	shmd_event_close(manual);
	shmd_event_close(asked);
	shmd_event_close(answered);
	shmd_event_close(seen);
	shmd_value_close(value);
	shmd_array_close(array);
	shmd_semaphore_close(plain);
	shmd_semaphore_close(pool);
	shmd_barrier_close(barrier);
	shmd_queue_close(queue);
}

int main(void)
{
	static int numbers[THREADS];
	pthread_t threads[THREADS];
	setvbuf(stdout, NULL, _IOLBF, 0);
	client = connected();
	create_all();
	for (int i = 0; i < THREADS; i++) {
		numbers[i] = i;
		CHECK(pthread_create(&threads[i], NULL, work, &numbers[i]) == 0);
	}
	for (int i = 0; i < THREADS; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
	const long all = (long)THREADS * ROUNDS;
	CHECK(by_mutex == all && by_recursive == all && by_plain == all && by_array == all && by_value == all);
	CHECK(by_pool == all / 2 && turn == all && by_rwlock[0] == all / 4);
	close_all();
	shmd_close(client);
	puts("ok");
	return 0;
}
