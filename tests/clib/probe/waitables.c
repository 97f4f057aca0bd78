/* SPDX-License-Identifier: Apache-2.0
 *
 * waitables.c - what shmd.h promises of waiting for any of several objects, and of
 * pollables, against a daemon. Waits are bounded by the caller's watchdog.
 */
#define _GNU_SOURCE
#include "expect.h"

#include "../../../clients/c/internal.h"
#include "../../../clients/c/waitable.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define OBJECTS 9
#define ROUNDS 300

static struct shmd_mutex *mutex;
static struct shmd_semaphore *plain;
static struct shmd_semaphore *undo;
static struct shmd_queue *empty;
static struct shmd_queue *full;
static struct shmd_value *value;
static struct shmd_event *manual;
static struct shmd_event *automatic;
static struct shmd_rwlock *rwlock;
static struct shmd_waitable items[OBJECTS];
static bool can_poll;

/* One of each kind, none of which can be had. */
static void make(struct shmd_client *client)
{
	struct shmd_create_options options = {.size = sizeof options, .maximum = 5};
	struct shmd_create_options tiny = {.size = sizeof tiny, .maxsize = 1, .raw = true};
	EXPECT(shmd_mutex_create(client, NULL, NULL, &mutex), 0);
	EXPECT(shmd_mutex_lock(mutex, 0), 0);
	EXPECT(shmd_semaphore_create(client, NULL, &options, &plain), 0);
	options.undo = true;
	options.initial = 2; /* both ours, to be released */
	EXPECT(shmd_semaphore_create(client, NULL, &options, &undo), 0);
	EXPECT(shmd_semaphore_acquire(undo, 2, 0), 0);
	EXPECT(shmd_queue_create(client, NULL, &tiny, &empty), 0);
	EXPECT(shmd_queue_create(client, NULL, &tiny, &full), 0);
	EXPECT(shmd_queue_put(full, "x", 1, 0), 0);
	EXPECT(shmd_value_create(client, NULL, 'i', NULL, &value), 0);
	struct shmd_create_options reset = {.size = sizeof reset, .auto_reset = true};
	EXPECT(shmd_event_create(client, NULL, NULL, &manual), 0);
	EXPECT(shmd_event_create(client, NULL, &reset, &automatic), 0);
	EXPECT(shmd_rwlock_create(client, NULL, NULL, &rwlock), 0);
	EXPECT(shmd_rwlock_write_lock(rwlock, 0), 0);
	uint64_t version;
	EXPECT(shmd_value_version(value, &version), 0);
	struct shmd_waitable all[OBJECTS] = {
		{SHMD_UNTIL_MUTEX_FREE, mutex, 0}, {SHMD_UNTIL_PERMIT, plain, 0},
		{SHMD_UNTIL_PERMIT, undo, 0},      {SHMD_UNTIL_MESSAGE, empty, 0},
		{SHMD_UNTIL_SLOT, full, 0},        {SHMD_UNTIL_SET, manual, 0},
		{SHMD_UNTIL_SET, automatic, 0},    {SHMD_UNTIL_READABLE, rwlock, 0},
		{SHMD_UNTIL_VALUE_CHANGES, value, version},
	};
	memcpy(items, all, sizeof items);
}

static uint32_t waiting_at(size_t index)
{
	const uint32_t *cells[OBJECTS] = {mutex->object.waiting, plain->object.waiting, undo->object.waiting,
	                                  empty->object.waiting, full->object.waiting,  manual->object.waiting,
	                                  automatic->object.waiting, rwlock->object.waiting, value->object.waiting};
	return __atomic_load_n(cells[index], __ATOMIC_ACQUIRE);
}

/* Until somebody sleeps, or nobody does. */
static void await_waiting(size_t index, uint32_t count)
{
	while (waiting_at(index) != count)
		sched_yield();
}

static char message[8];
static size_t message_bytes;

/* Makes one of them ready, or takes that back. */
static void change(size_t index, bool ready)
{
	int32_t number = ready;
	switch (index) {
	case 0: EXPECT(ready ? shmd_mutex_unlock(mutex) : shmd_mutex_lock(mutex, SHMD_FOREVER), 0); break;
	case 1: EXPECT(ready ? shmd_semaphore_post(plain, 1) : shmd_semaphore_acquire(plain, 1, 0), 0); break;
	case 2: EXPECT(ready ? shmd_semaphore_release(undo, 1) : shmd_semaphore_acquire(undo, 1, 0), 0); break;
	case 3:
		EXPECT(ready ? shmd_queue_put(empty, "m", 1, 0)
		             : shmd_queue_take(empty, message, sizeof message, 0, &message_bytes), 0);
		break;
	case 4:
		EXPECT(ready ? shmd_queue_take(full, message, sizeof message, 0, &message_bytes)
		             : shmd_queue_put(full, "x", 1, 0), 0);
		break;
	case 5: EXPECT(ready ? shmd_event_set(manual) : shmd_event_reset(manual), 0); break;
	case 6: EXPECT(ready ? shmd_event_set(automatic) : shmd_event_wait(automatic, 0), 0); break;
	case 7:
		EXPECT(ready ? shmd_rwlock_write_unlock(rwlock) : shmd_rwlock_write_lock(rwlock, SHMD_FOREVER), 0);
		break;
	default:
		EXPECT(shmd_value_store(value, &number), 0);
		EXPECT(shmd_value_version(value, &items[index].version), 0);
		if (ready)
			items[index].version--;
	}
}

static size_t found;

static void *wait_for_all(void *waited)
{
	EXPECT(shmd_wait_any(waited, OBJECTS, SHMD_FOREVER, &found), 0);
	return NULL;
}

static void any_is_named(void)
{
	size_t index = 99;
	EXPECT(shmd_wait_any(items, OBJECTS, 0, &index), SHMD_E_WOULD_BLOCK);
	EXPECT(shmd_wait_any(items, OBJECTS, 1000, &index), SHMD_E_TIMED_OUT);
	CHECK(index == 99);
	for (size_t i = 0; i < OBJECTS; i++) {
		pthread_t thread;
		struct shmd_waitable waited[OBJECTS]; /* the versions in items change meanwhile */
		memcpy(waited, items, sizeof waited);
		found = 99;
		CHECK(pthread_create(&thread, NULL, wait_for_all, waited) == 0);
		for (size_t each = 0; each < OBJECTS; each++)
			await_waiting(each, 1);
		change(i, true);
		CHECK(pthread_join(thread, NULL) == 0);
		CHECK(found == i);
		for (size_t each = 0; each < OBJECTS; each++)
			CHECK(waiting_at(each) == 0);
		EXPECT(shmd_wait_any(items, OBJECTS, 0, &index), 0);
		CHECK(index == i);
		change(i, false);
		EXPECT(shmd_wait_any(items, OBJECTS, 0, &index), SHMD_E_WOULD_BLOCK);
	}
}

static void refused(struct shmd_client *client)
{
	size_t index;
	struct shmd_waitable many[SHMD_WAIT_ANY_MAX + 1];
	for (size_t i = 0; i <= SHMD_WAIT_ANY_MAX; i++)
		many[i] = items[1];
	EXPECT(shmd_wait_any(many, SHMD_WAIT_ANY_MAX + 1, 0, &index), SHMD_E_INVALID);
	EXPECT(shmd_wait_any(many, SHMD_WAIT_ANY_MAX, 0, &index), SHMD_E_WOULD_BLOCK);
	EXPECT(shmd_wait_any(many, 0, 0, &index), SHMD_E_INVALID);
	EXPECT(shmd_wait_any(NULL, 1, 0, &index), SHMD_E_INVALID);
	EXPECT(shmd_wait_any(items, 1, 0, NULL), SHMD_E_INVALID);
	EXPECT(shmd_wait_any(items, 1, -2, &index), SHMD_E_INVALID);
	struct shmd_waitable odd = {(enum shmd_until)77, plain, 0};
	EXPECT(shmd_wait_any(&odd, 1, 0, &index), SHMD_E_INVALID);
	odd = (struct shmd_waitable){SHMD_UNTIL_PERMIT, NULL, 0};
	EXPECT(shmd_wait_any(&odd, 1, 0, &index), SHMD_E_INVALID);

	struct shmd_open_options open = {.size = sizeof open, .id = shmd_semaphore_id(plain), .read_only = true};
	struct shmd_semaphore *reader;
	EXPECT(shmd_semaphore_open(client, NULL, &open, &reader), 0);
	odd.object = reader;
	EXPECT(shmd_wait_any(&odd, 1, 0, &index), SHMD_E_PERMISSION);
	struct shmd_pollable *pollable;
	EXPECT(shmd_pollable_open(&odd, &pollable), SHMD_E_PERMISSION);
	EXPECT(shmd_pollable_open(NULL, &pollable), SHMD_E_INVALID);
	EXPECT(shmd_pollable_open(&items[0], NULL), SHMD_E_INVALID);
	EXPECT(shmd_pollable_rearm(NULL), SHMD_E_INVALID);
	CHECK(shmd_pollable_close(NULL) == NULL);
	shmd_semaphore_close(reader);
}

static void *acquire_one(void *semaphore)
{
	EXPECT(shmd_semaphore_acquire(semaphore, 1, SHMD_FOREVER), 0);
	return NULL;
}

static void *wait_for_two(void *pair)
{
	size_t index;
	EXPECT(shmd_wait_any(pair, 2, SHMD_FOREVER, &index), 0);
	return NULL;
}

/* The one permit reaches who takes it, whoever was woken for it. */
static void wakes_are_passed_on(struct shmd_semaphore *semaphore, size_t at)
{
	struct shmd_waitable pair[] = {items[4], items[at]};
	for (int i = 0; i < ROUNDS; i++) {
		pthread_t waiter;
		pthread_t taker;
		CHECK(pthread_create(&waiter, NULL, wait_for_two, pair) == 0);
		await_waiting(at, 1);
		CHECK(pthread_create(&taker, NULL, acquire_one, semaphore) == 0);
		await_waiting(at, 2);
		EXPECT(shmd_semaphore_release(semaphore, 1), 0);
		CHECK(pthread_join(taker, NULL) == 0);
		EXPECT(shmd_semaphore_release(semaphore, 1), 0); /* the taker may have been first */
		CHECK(pthread_join(waiter, NULL) == 0);
		EXPECT(shmd_semaphore_acquire(semaphore, 1, 0), 0);
	}
}

static bool readable(const struct shmd_pollable *pollable, int timeout_ms)
{
	struct pollfd fd = {shmd_pollable_fd(pollable), POLLIN, 0};
	int count = poll(&fd, 1, timeout_ms);
	CHECK(count >= 0);
	return count == 1 && (fd.revents & POLLIN) != 0;
}

static void pollables(void)
{
	struct shmd_pollable *all[OBJECTS];
	if (!can_poll) {
		EXPECT(shmd_pollable_open(&items[0], &all[0]), SHMD_E_UNSUPPORTED);
		return;
	}
	for (size_t i = 0; i < OBJECTS; i++)
		EXPECT(shmd_pollable_open(&items[i], &all[i]), 0);
	for (int round = 0; round < 20; round++) {
		for (size_t i = 0; i < OBJECTS; i++) {
			await_waiting(i, 1);
			CHECK(!readable(all[i], 0));
			change(i, true);
			CHECK(readable(all[i], -1));
			EXPECT(shmd_pollable_rearm(all[i]), 0);
			/* What is still there is seen without a pause; a change has been seen. */
			if (i < OBJECTS - 1)
				CHECK(readable(all[i], 0));
			change(i, false);
			EXPECT(shmd_pollable_rearm(all[i]), 0);
			EXPECT(shmd_pollable_rearm(all[i]), 0);
			CHECK(!readable(all[i], 0));
		}
	}
	/* A wake that a pollable consumed is passed on when it fires. */
	await_waiting(1, 1);
	pthread_t taker;
	CHECK(pthread_create(&taker, NULL, acquire_one, plain) == 0);
	await_waiting(1, 2);
	EXPECT(shmd_semaphore_post(plain, 1), 0);
	CHECK(pthread_join(taker, NULL) == 0);

	pid_t child = fork();
	CHECK(child >= 0);
	if (child == 0) {
		EXPECT(shmd_pollable_rearm(all[0]), SHMD_E_FORKED);
		for (size_t i = 0; i < OBJECTS; i++)
			shmd_pollable_close(all[i]);
		/* It can have its own. */
		struct shmd_client *client = connected();
		struct shmd_create_options options = {.size = sizeof options};
		struct shmd_semaphore *own;
		struct shmd_pollable *pollable;
		EXPECT(shmd_semaphore_create(client, NULL, &options, &own), 0);
		struct shmd_waitable item = {SHMD_UNTIL_PERMIT, own, 0};
		EXPECT(shmd_pollable_open(&item, &pollable), 0);
		CHECK(!readable(pollable, 0));
		EXPECT(shmd_semaphore_post(own, 1), 0);
		CHECK(readable(pollable, -1));
		shmd_pollable_close(pollable);
		shmd_semaphore_close(own);
		shmd_close(client);
		_exit(0);
	}
	int status;
	CHECK(waitpid(child, &status, 0) == child && status == 0);

	for (size_t i = 0; i < OBJECTS; i++)
		shmd_pollable_close(all[i]);
	for (size_t i = 0; i < OBJECTS; i++)
		CHECK(waiting_at(i) == 0);

	/* As many as are possible, and again after they have gone. */
	static struct shmd_pollable *many[126];
	for (int round = 0; round < 2; round++) {
		for (size_t i = 0; i < 126; i++)
			EXPECT(shmd_pollable_open(&items[i % OBJECTS], &many[i]), 0);
		struct shmd_pollable *more;
		EXPECT(shmd_pollable_open(&items[0], &more), SHMD_E_OVERFLOW);
		change(3, true);
		for (size_t i = 3; i < 126; i += OBJECTS)
			CHECK(readable(many[i], -1));
		change(3, false);
		for (size_t i = 0; i < 126; i++)
			shmd_pollable_close(many[i]);
	}
}

static void destroyed(struct shmd_client *client)
{
	struct shmd_pollable *pollable;
	size_t index;
	if (can_poll)
		EXPECT(shmd_pollable_open(&items[2], &pollable), 0);
	EXPECT(shmd_destroy_id(client, shmd_semaphore_id(undo)), 0);
	if (can_poll)
		CHECK(readable(pollable, -1));
	EXPECT(shmd_semaphore_acquire(undo, 1, 0), SHMD_E_REMOVED);
	EXPECT(shmd_wait_any(items, OBJECTS, SHMD_FOREVER, &index), 0);
	CHECK(index == 2);
	if (can_poll)
		shmd_pollable_close(pollable);
}

int main(void)
{
	/* Emulators lack futex_waitv; waits for any of several go by their fallback then. */
	can_poll = !emulated() || shmdi_futex_wait_any(NULL, 0, SHMDI_FOREVER_NS) != -ENOSYS;
	struct shmd_client *client = connected();
	make(client);
	any_is_named();
	refused(client);
	wakes_are_passed_on(plain, 1);
	wakes_are_passed_on(undo, 2);
	pollables();
	destroyed(client);
	EXPECT(shmd_mutex_unlock(mutex), 0);
	shmd_mutex_close(mutex);
	shmd_semaphore_close(plain);
	shmd_semaphore_close(undo);
	shmd_queue_close(empty);
	shmd_queue_close(full);
	shmd_value_close(value);
	shmd_event_close(manual);
	shmd_event_close(automatic);
	EXPECT(shmd_rwlock_write_unlock(rwlock), 0);
	shmd_rwlock_close(rwlock);
	shmd_close(client);
	printf("ok\n");
	return 0;
}
