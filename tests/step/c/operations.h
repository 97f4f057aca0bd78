/* SPDX-License-Identifier: Apache-2.0
 *
 * operations.h - what a player can do: see player.c.
 */
#ifndef STEP_OPERATIONS_H
#define STEP_OPERATIONS_H

#include "rings.h"

static struct shmd_client *client;
static struct shmd_mutex *mutex;
static struct shmd_value *value;
static struct shmd_array *array;
static struct shmd_semaphore *semaphore;
static struct shmd_queue *queue;
static struct shmd_event *event;
static struct shmd_condition *condition;
static struct shmd_barrier *barrier;
static struct shmd_rwlock *rwlock;

static struct shmd_lease lease;
static struct shmd_lease leases[2]; /* of lease_many, */
static uint32_t leases_count;       /* so many */
static struct shmd_reservation reservation;
static uint64_t version;
static uint32_t arrival;

/* ---- Objects, one of each kind ---- */

static int open_thing(const char *kind, const char *name)
{
	if (strcmp(kind, "mutex") == 0)
		return shmd_mutex_open(client, name, NULL, &mutex);
	if (strcmp(kind, "value") == 0)
		return shmd_value_open(client, name, 'q', NULL, &value);
	if (strcmp(kind, "array") == 0)
		return shmd_array_open(client, name, 'q', 0, NULL, NULL, &array);
	if (strcmp(kind, "semaphore") == 0)
		return shmd_semaphore_open(client, name, NULL, &semaphore);
	if (strcmp(kind, "queue") == 0)
		return shmd_queue_open(client, name, NULL, &queue);
	if (strcmp(kind, "event") == 0)
		return shmd_event_open(client, name, NULL, &event);
	if (strcmp(kind, "condition") == 0)
		return shmd_condition_open(client, name, NULL, &condition);
	if (strcmp(kind, "barrier") == 0)
		return shmd_barrier_open(client, name, NULL, &barrier);
	if (strcmp(kind, "stream") == 0)
		return open_stream(client, name);
	if (strcmp(kind, "pipe") == 0)
		return open_pipe(client, name);
	return shmd_rwlock_open(client, name, NULL, &rwlock);
}

static void close_things(void)
{
	mutex = shmd_mutex_close(mutex);
	value = shmd_value_close(value);
	array = shmd_array_close(array);
	semaphore = shmd_semaphore_close(semaphore);
	queue = shmd_queue_close(queue);
	event = shmd_event_close(event);
	condition = shmd_condition_close(condition);
	barrier = shmd_barrier_close(barrier);
	rwlock = shmd_rwlock_close(rwlock);
	stream = shmd_stream_close(stream);
	pipe_ = shmd_pipe_close(pipe_);
}

/* ---- Operations; a[] are the numbers of the line ---- */

static int mutex_lock(const int64_t *a) { return shmd_mutex_lock(mutex, a[0]); }
static int mutex_unlock(const int64_t *a) { return (void)a, shmd_mutex_unlock(mutex); }
static int mutex_mark(const int64_t *a) { return (void)a, shmd_mutex_mark_consistent(mutex); }

static int value_store(const int64_t *a) { return shmd_value_store(value, &a[0]); }
static int value_add(const int64_t *a) { return shmd_value_fetch_add(value, &a[0], NULL); }
static int value_version(const int64_t *a) { return (void)a, shmd_value_version(value, &version); }
static int value_wait(const int64_t *a) { return shmd_value_wait_change(value, version, a[0], &version); }

static int value_load(const int64_t *a)
{
	int64_t item;
	(void)a;
	int result = shmd_value_load(value, &item);
	if (result == 0)
		tell(item);
	return result;
}

/* An array has four elements. */
static int array_lock(const int64_t *a) { return shmd_array_lock(array, a[0]); }
static int array_unlock(const int64_t *a) { return (void)a, shmd_array_unlock(array); }
static int array_mark(const int64_t *a) { return (void)a, shmd_array_mark_consistent(array); }
static int array_store(const int64_t *a) { return shmd_array_store(array, 0, &a[0]); }
static int array_add(const int64_t *a) { return shmd_array_fetch_add(array, 0, &a[0], NULL); }
static int array_begin(const int64_t *a) { return (void)a, shmd_array_begin_write(array); }
static int array_end(const int64_t *a) { return (void)a, shmd_array_end_write(array); }
static int array_version(const int64_t *a) { return (void)a, shmd_array_version(array, &version); }
static int array_wait(const int64_t *a) { return shmd_array_wait_change(array, version, a[0], &version); }

static int array_write(const int64_t *a)
{
	const int64_t items[4] = {a[0], a[0], a[0], a[0]};
	return shmd_array_write(array, 0, 4, a[1], items);
}

static int array_read(const int64_t *a)
{
	static int64_t items[4];
	int result = shmd_array_read(array, 0, 4, a[0], items, NULL);
	for (int i = 0; i < 4 && result >= 0; i++)
		tell(items[i]);
	return result;
}

static int semaphore_acquire(const int64_t *a) { return shmd_semaphore_acquire(semaphore, (uint32_t)a[0], a[1]); }
static int semaphore_release(const int64_t *a) { return shmd_semaphore_release(semaphore, (uint32_t)a[0]); }
static int semaphore_post(const int64_t *a) { return shmd_semaphore_post(semaphore, (uint32_t)a[0]); }

static int queue_put(const int64_t *a) { return shmd_queue_put(queue, message, message_bytes, a[0]); }
static int queue_lease(const int64_t *a) { return shmd_queue_lease(queue, a[0], &lease); }
static int queue_ack(const int64_t *a) { return (void)a, shmd_queue_ack(queue, &lease); }
static int queue_nack(const int64_t *a) { return (void)a, shmd_queue_nack(queue, &lease); }
static int queue_reserve(const int64_t *a) { return shmd_queue_reserve(queue, a[0], &reservation); }
static int queue_commit(const int64_t *a) { return (void)a, shmd_queue_commit(queue, &reservation, message_bytes); }
static int queue_abort(const int64_t *a) { return (void)a, shmd_queue_abort(queue, &reservation); }

static int queue_fill(const int64_t *a)
{
	(void)a;
	memcpy(reservation.buffer, message, message_bytes);
	return 0;
}

static int queue_put_many(const int64_t *a)
{
	uint32_t count;
	return shmd_queue_put_many(queue, both_messages(), 2, a[0], &count);
}

static int queue_take_many(const int64_t *a)
{
	return shmd_queue_take_many(queue, taken, sizeof taken, places, 2, a[0], &places_count);
}

static int queue_lease_many(const int64_t *a)
{
	return shmd_queue_lease_many(queue, leases, 2, a[0], &leases_count);
}

static int queue_ack_many(const int64_t *a)
{
	uint32_t count;
	return (void)a, shmd_queue_ack_many(queue, leases, leases_count, &count);
}

static int queue_nack_many(const int64_t *a)
{
	uint32_t count;
	return (void)a, shmd_queue_nack_many(queue, leases, leases_count, &count);
}

static int queue_extend(const int64_t *a) { return (void)a, shmd_queue_extend(queue, &lease, UINT64_C(3600000000000)); }
static int queue_join(const int64_t *a) { return shmd_queue_join(queue, a[0]); }
static int queue_take_dead(const int64_t *a) { return (void)a, shmd_queue_take_dead(queue, &lease); }
static int queue_redeliver(const int64_t *a) { return (void)a, shmd_queue_redeliver(queue, NULL); }
static int queue_shutdown(const int64_t *a) { return (void)a, shmd_queue_shutdown(queue); }

static int queue_take(const int64_t *a)
{
	return shmd_queue_take(queue, message, sizeof message, a[0], &message_bytes);
}

static int event_set(const int64_t *a) { return (void)a, shmd_event_set(event); }
static int event_reset(const int64_t *a) { return (void)a, shmd_event_reset(event); }
static int event_pulse(const int64_t *a) { return (void)a, shmd_event_pulse(event); }
static int event_wait(const int64_t *a) { return shmd_event_wait(event, a[0]); }

static int condition_lock(const int64_t *a) { return shmd_condition_lock(condition, a[0]); }
static int condition_unlock(const int64_t *a) { return (void)a, shmd_condition_unlock(condition); }
static int condition_mark(const int64_t *a) { return (void)a, shmd_condition_mark_consistent(condition); }
static int condition_wait(const int64_t *a) { return shmd_condition_wait(condition, a[0]); }
static int condition_notify(const int64_t *a) { return shmd_condition_notify(condition, (uint32_t)a[0]); }
static int condition_all(const int64_t *a) { return (void)a, shmd_condition_notify_all(condition); }

static int act(void *argument)
{
	(void)argument;
	return 0;
}

static int barrier_wait(const int64_t *a) { return shmd_barrier_wait(barrier, a[0], &arrival); }
static int barrier_action(const int64_t *a) { return shmd_barrier_wait_action(barrier, a[0], act, NULL, &arrival); }
static int barrier_abort(const int64_t *a) { return (void)a, shmd_barrier_abort(barrier); }
static int barrier_reset(const int64_t *a) { return (void)a, shmd_barrier_reset(barrier); }

static int rwlock_read(const int64_t *a) { return shmd_rwlock_read_lock(rwlock, a[0]); }
static int rwlock_unread(const int64_t *a) { return (void)a, shmd_rwlock_read_unlock(rwlock); }
static int rwlock_write(const int64_t *a) { return shmd_rwlock_write_lock(rwlock, a[0]); }
static int rwlock_unwrite(const int64_t *a) { return (void)a, shmd_rwlock_write_unlock(rwlock); }
static int rwlock_mark(const int64_t *a) { return (void)a, shmd_rwlock_mark_consistent(rwlock); }

/* ---- Answers that look at what the operation brought, outside of the marks ---- */

static int tell_leased(void)
{
	int result = tell_message(lease.message, lease.size_bytes);
	tell(lease.deliveries);
	return result;
}

static int tell_all_leased(void)
{
	int result = 0;
	for (uint32_t i = 0; i < leases_count && result == 0; i++)
		result = tell_message(leases[i].message, leases[i].size_bytes);
	return result;
}

static int tell_arrival(void)
{
	tell(arrival);
	return 0;
}

static const struct operation {
	const char *kind;
	const char *verb;
	int (*run)(const int64_t *arguments);
	int (*after)(void); /* may be null */
} operations[] = {
	{"mutex", "lock", mutex_lock, NULL},
	{"mutex", "unlock", mutex_unlock, NULL},
	{"mutex", "mark", mutex_mark, NULL},
	{"value", "store", value_store, NULL},
	{"value", "add", value_add, NULL},
	{"value", "load", value_load, NULL},
	{"value", "version", value_version, NULL},
	{"value", "wait", value_wait, NULL},
	{"array", "lock", array_lock, NULL},
	{"array", "unlock", array_unlock, NULL},
	{"array", "mark", array_mark, NULL},
	{"array", "store", array_store, NULL},
	{"array", "add", array_add, NULL},
	{"array", "write", array_write, NULL},
	{"array", "begin", array_begin, NULL},
	{"array", "end", array_end, NULL},
	{"array", "read", array_read, NULL},
	{"array", "version", array_version, NULL},
	{"array", "wait", array_wait, NULL},
	{"semaphore", "acquire", semaphore_acquire, NULL},
	{"semaphore", "release", semaphore_release, NULL},
	{"semaphore", "post", semaphore_post, NULL},
	{"queue", "make", make, NULL},
	{"queue", "put", queue_put, NULL},
	{"queue", "take", queue_take, tell_taken},
	{"queue", "lease", queue_lease, tell_leased},
	{"queue", "ack", queue_ack, NULL},
	{"queue", "nack", queue_nack, NULL},
	{"queue", "reserve", queue_reserve, NULL},
	{"queue", "fill", queue_fill, NULL},
	{"queue", "commit", queue_commit, NULL},
	{"queue", "abort", queue_abort, NULL},
	{"queue", "put_many", queue_put_many, NULL},
	{"queue", "take_many", queue_take_many, tell_all_taken},
	{"queue", "lease_many", queue_lease_many, tell_all_leased},
	{"queue", "ack_many", queue_ack_many, NULL},
	{"queue", "nack_many", queue_nack_many, NULL},
	{"queue", "extend", queue_extend, NULL},
	{"queue", "join", queue_join, NULL},
	{"queue", "take_dead", queue_take_dead, tell_leased},
	{"queue", "redeliver", queue_redeliver, NULL},
	{"queue", "shutdown", queue_shutdown, NULL},
	{"event", "set", event_set, NULL},
	{"event", "reset", event_reset, NULL},
	{"event", "pulse", event_pulse, NULL},
	{"event", "wait", event_wait, NULL},
	{"condition", "lock", condition_lock, NULL},
	{"condition", "unlock", condition_unlock, NULL},
	{"condition", "mark", condition_mark, NULL},
	{"condition", "wait", condition_wait, NULL},
	{"condition", "notify", condition_notify, NULL},
	{"condition", "all", condition_all, NULL},
	{"barrier", "wait", barrier_wait, tell_arrival},
	{"barrier", "action", barrier_action, tell_arrival},
	{"barrier", "abort", barrier_abort, NULL},
	{"barrier", "reset", barrier_reset, NULL},
	{"rwlock", "read", rwlock_read, NULL},
	{"rwlock", "unread", rwlock_unread, NULL},
	{"rwlock", "write", rwlock_write, NULL},
	{"rwlock", "unwrite", rwlock_unwrite, NULL},
	{"rwlock", "mark", rwlock_mark, NULL},
	{"stream", "make", make, NULL},
	{"stream", "produce", stream_produce, NULL},
	{"stream", "consume", stream_consume, NULL},
	{"stream", "retire", stream_retire, NULL},
	{"stream", "leave", stream_leave, NULL},
	{"stream", "send", stream_send, NULL},
	{"stream", "recv", stream_recv, tell_taken},
	{"stream", "send_many", stream_send_many, NULL},
	{"stream", "peek_many", stream_peek_many, tell_all_taken},
	{"stream", "advance", stream_advance, NULL},
	{"stream", "reserve", stream_reserve, NULL},
	{"stream", "fill", fill, NULL},
	{"stream", "commit", stream_commit, NULL},
	{"stream", "abort", stream_abort, NULL},
	{"pipe", "make", make, NULL},
	{"pipe", "claim", pipe_claim, NULL},
	{"pipe", "shut", pipe_shut, NULL},
	{"pipe", "send", pipe_send, NULL},
	{"pipe", "recv", pipe_recv, tell_taken},
	{"pipe", "send_many", pipe_send_many, NULL},
	{"pipe", "peek_many", pipe_peek_many, tell_all_taken},
	{"pipe", "advance", pipe_advance, NULL},
	{"pipe", "reserve", pipe_reserve, NULL},
	{"pipe", "fill", fill, NULL},
	{"pipe", "commit", pipe_commit, NULL},
	{"pipe", "abort", pipe_abort, NULL},
	{"pipe", "bytes", pipe_bytes, NULL},
	{"pipe", "write", pipe_write, tell_written},
	{"pipe", "read", pipe_read, tell_read},
};

#define OPERATIONS_COUNT (sizeof operations / sizeof operations[0])

#endif /* STEP_OPERATIONS_H */
