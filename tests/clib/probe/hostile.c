/* SPDX-License-Identifier: Apache-2.0
 *
 * hostile.c - opens an object (a queue has a long message) as often as it is told to,
 * one connection each, uses it, and prints what came of it. hostile_test.go plays the
 * daemon, badly.
 *
 *	hostile SOCKET array|queue|event|condition|barrier|rwlock
 */
#define _GNU_SOURCE
#include "expect.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int open_descriptors(void)
{
	int count = 0;
	for (int fd = 0; fd < 256; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

/* What a program does with an array that it was given. */
static int use(struct shmd_client *client)
{
	struct shmd_array *array;
	int result = shmd_array_open(client, "hostile", 0, 0, NULL, NULL, &array);
	if (result < 0)
		return result;
	struct shmd_ticket ticket;
	result = shmd_ticket(client, shmd_array_id(array), 0, &ticket);
	size_t size_bytes = shmd_array_length(array) * shmd_array_item_size_bytes(array);
	void *items = calloc(1, size_bytes);
	if (items != NULL && result == 0) {
		result = shmd_array_write(array, 0, shmd_array_length(array), 0, items);
		if (result >= 0)
			result = shmd_array_read(array, 0, shmd_array_length(array), 0, items, NULL);
	}
	free(items);
	shmd_array_close(array);
	return result;
}

#define PUT_SIZE 9000

/* Reads the message there is, and puts another, into another slot; what came of each. */
static int pass_on(struct shmd_queue *queue, int *ret_put)
{
	static unsigned char message[PUT_SIZE];
	struct shmd_lease lease;
	int result = shmd_queue_lease(queue, 0, &lease);
	if (result == 0)
		memcpy(message, lease.message, lease.size_bytes);
	*ret_put = shmd_queue_put(queue, message, sizeof message, 0);
	return result == 0 ? shmd_queue_ack(queue, &lease) : result;
}

static int use_queue(struct shmd_client *client)
{
	struct shmd_queue *queue;
	int result = shmd_queue_open(client, "hostile", NULL, &queue);
	if (result < 0)
		return result;
	int put = 0;
	result = pass_on(queue, &put);
	/* Whatever failed has left no lease and no slot behind. */
	struct shmd_queue_counts counts = {0};
	uint32_t ready = (uint32_t)(result < 0) + (uint32_t)(put == 0);
	if (shmd_queue_counts(queue, &counts) < 0 || counts.ready != ready || counts.leased + counts.writing > 0)
		printf("something left; ");
	printf("%s ", shmd_error_name(result));
	shmd_queue_close(queue);
	return put;
}

static int use_event(struct shmd_client *client)
{
	struct shmd_event *event;
	int result = shmd_event_open(client, "hostile", NULL, &event);
	if (result < 0)
		return result;
	result = shmd_event_set(event);
	if (result == 0)
		result = shmd_event_wait(event, 0);
	shmd_event_close(event);
	return result;
}

static int use_condition(struct shmd_client *client)
{
	struct shmd_condition *condition;
	int result = shmd_condition_open(client, "hostile", NULL, &condition);
	if (result < 0)
		return result;
	result = shmd_condition_lock(condition, 0);
	if (result == 0)
		result = shmd_condition_wait(condition, 1000);
	if (result == SHMD_E_TIMED_OUT)
		result = shmd_condition_notify(condition, 1);
	if (result == 0)
		result = shmd_condition_unlock(condition);
	shmd_condition_close(condition);
	return result;
}

/* The parties come from the daemon: so many arrivals. */
static int use_barrier(struct shmd_client *client)
{
	struct shmd_barrier *barrier;
	struct shmd_barrier_state state;
	int result = shmd_barrier_open(client, "hostile", NULL, &barrier);
	if (result < 0)
		return result;
	result = shmd_barrier_wait(barrier, 1000, NULL);
	if (result == SHMD_E_TIMED_OUT || result == SHMD_E_BROKEN)
		result = shmd_barrier_reset(barrier);
	if (result >= 0)
		result = shmd_barrier_state(barrier, &state);
	shmd_barrier_close(barrier);
	return result;
}

static int use_rwlock(struct shmd_client *client)
{
	struct shmd_rwlock *rwlock;
	int result = shmd_rwlock_open(client, "hostile", NULL, &rwlock);
	if (result < 0)
		return result;
	result = shmd_rwlock_write_lock(rwlock, 0);
	if (result == 0)
		result = shmd_rwlock_write_unlock(rwlock);
	if (result == 0)
		result = shmd_rwlock_read_lock(rwlock, 0);
	if (result == 0)
		result = shmd_rwlock_read_unlock(rwlock);
	shmd_rwlock_close(rwlock);
	return result;
}

static const struct {
	const char *kind;
	int (*use)(struct shmd_client *client);
} uses[] = {{"array", use},         {"queue", use_queue},     {"event", use_event}, {"condition", use_condition},
            {"barrier", use_barrier}, {"rwlock", use_rwlock}};

static int use_kind(struct shmd_client *client, const char *kind)
{
	for (size_t i = 0; i < sizeof uses / sizeof uses[0]; i++)
		if (strcmp(uses[i].kind, kind) == 0)
			return uses[i].use(client);
	exit(2);
}

int main(int count, char **arguments)
{
	if (count < 3)
		return 2;
	char line[16];
	setvbuf(stdout, NULL, _IOLBF, 0);
	int before = open_descriptors();
	while (fgets(line, sizeof line, stdin) != NULL) {
		struct shmd_connect_options options = {.size = sizeof options, .socket_path = arguments[1]};
		struct shmd_client *client;
		int result = shmd_connect(&options, &client);
		if (result == 0) {
			result = use_kind(client, arguments[2]);
			shmd_close(client);
		}
		/* qemu itself keeps those that did not fit. */
		int leaked = emulated() ? 0 : open_descriptors() - before;
		if (leaked != 0)
			printf("%d descriptors leaked; %s\n", leaked, shmd_error_name(result));
		else
			printf("%s\n", shmd_error_name(result));
	}
	return 0;
}
