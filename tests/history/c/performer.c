/* SPDX-License-Identifier: Apache-2.0
 *
 * performer.c - a client that does what the script in its log says and records what
 * came of it: performer LOG. It obeys the commands of ../performer.go.
 */
#define _GNU_SOURCE
#include "performer.h"
#include "queue.h"
#include "ring.h"
#include "sync.h"

#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define OBJECTS_MAX 64
#define ELEMENTS_MAX 64
#define LIFELINE 3 /* ends when whoever started us does */

static struct shmd_client *client;
static struct object objects[OBJECTS_MAX];
static struct entry *entries;
static size_t entries_count;

static _Noreturn void fail(const char *what, int result)
{
	fprintf(stderr, "%s: %s: %s\n", what, shmd_strerror(result), shmd_last_error());
	exit(1);
}

static void say(const char *text)
{
	if (printf("%s\n", text) < 0 || fflush(stdout) != 0)
		exit(3); /* whoever asked is gone */
}

/* ---- Operations ---- */

static int pause_for(const struct entry *entry)
{
	for (int64_t end = now_ns() + entry->argument; now_ns() < end;)
		sched_yield();
	return 0;
}

/* A child that keeps our socket and our mappings, and does nothing with them. */
static int fork_holder(void)
{
	pid_t child = fork();
	if (child < 0)
		return SHMD_E_SYSTEM;
	if (child == 0) {
		char byte;
		close(STDIN_FILENO);
		close(STDOUT_FILENO);
		close(STDERR_FILENO);
		while (read(LIFELINE, &byte, 1) > 0)
			;
		_exit(0);
	}
	return 0;
}

static bool is_open(const struct object *object)
{
	return object->mutex != NULL || object->semaphore != NULL || object->queue != NULL || object->value != NULL ||
	       object->array != NULL || object->event != NULL || object->condition != NULL || object->barrier != NULL ||
	       object->rwlock != NULL || object->stream != NULL || object->pipe != NULL;
}

static int open_object(struct object *object)
{
	const char *kind = object->kind, *name = object->name;
	if (strcmp(kind, "mutex") == 0)
		return shmd_mutex_open(client, name, NULL, &object->mutex);
	if (strcmp(kind, "semaphore") == 0)
		return shmd_semaphore_open(client, name, NULL, &object->semaphore);
	if (strcmp(kind, "queue") == 0)
		return shmd_queue_open(client, name, NULL, &object->queue);
	if (strcmp(kind, "value") == 0)
		return shmd_value_open(client, name, 'q', NULL, &object->value);
	if (strcmp(kind, "array") == 0)
		return shmd_array_open(client, name, 'q', 0, NULL, NULL, &object->array);
	if (strcmp(kind, "event") == 0)
		return shmd_event_open(client, name, NULL, &object->event);
	if (strcmp(kind, "condition") == 0)
		return shmd_condition_open(client, name, NULL, &object->condition);
	if (strcmp(kind, "barrier") == 0)
		return shmd_barrier_open(client, name, NULL, &object->barrier);
	if (strcmp(kind, "rwlock") == 0)
		return shmd_rwlock_open(client, name, NULL, &object->rwlock);
	if (strcmp(kind, "stream") == 0)
		return shmd_stream_open(client, name, NULL, &object->stream);
	if (strcmp(kind, "pipe") == 0)
		return shmd_pipe_open(client, name, NULL, &object->pipe);
	return SHMD_E_UNSUPPORTED;
}

static int close_object(struct object *object)
{
	object->mutex = shmd_mutex_close(object->mutex);
	object->semaphore = shmd_semaphore_close(object->semaphore);
	object->queue = shmd_queue_close(object->queue);
	object->value = shmd_value_close(object->value);
	object->array = shmd_array_close(object->array);
	object->event = shmd_event_close(object->event);
	object->condition = shmd_condition_close(object->condition);
	object->barrier = shmd_barrier_close(object->barrier);
	object->rwlock = shmd_rwlock_close(object->rwlock);
	object->stream = shmd_stream_close(object->stream);
	object->pipe = shmd_pipe_close(object->pipe);
	object->leases_count = object->reservations_count = object->peeked_count = 0;
	object->reserved = NULL;
	object->flow = (struct flow){0};
	return 0;
}

static int perform_mutex(struct shmd_mutex *mutex, struct entry *entry)
{
	struct shmd_notice notice;
	begin(entry);
	switch (entry->op) {
	case OP_LOCK: {
		int result = shmd_mutex_lock(mutex, entry->timeout_ns);
		return noticed(entry, result, result > 0 ? shmd_mutex_notice(mutex, &notice) : 0, &notice);
	}
	case OP_UNLOCK:
		return shmd_mutex_unlock(mutex);
	case OP_MARK:
		return shmd_mutex_mark_consistent(mutex);
	}
	return SHMD_E_UNSUPPORTED;
}

static int perform_semaphore(struct shmd_semaphore *semaphore, struct entry *entry)
{
	struct shmd_permits permits;
	int result;
	begin(entry);
	switch (entry->op) {
	case OP_ACQUIRE:
		return shmd_semaphore_acquire(semaphore, entry->n, entry->timeout_ns);
	case OP_RELEASE:
		return shmd_semaphore_release(semaphore, entry->n);
	case OP_POST:
		return shmd_semaphore_post(semaphore, entry->n);
	case OP_PERMITS:
		result = shmd_semaphore_permits(semaphore, &permits);
		if (result == 0) {
			entry->result = permits.available;
			entry->extra = permits.held;
		}
		return result;
	}
	return SHMD_E_UNSUPPORTED;
}

static int perform_value(struct shmd_value *value, struct entry *entry)
{
	bool swapped = false;
	begin(entry);
	switch (entry->op) {
	case OP_LOAD:
		return shmd_value_load(value, &entry->result);
	case OP_STORE:
		return shmd_value_store(value, &entry->argument);
	case OP_ADD:
		return shmd_value_fetch_add(value, &entry->argument, &entry->result);
	case OP_EXCHANGE:
		return shmd_value_exchange(value, &entry->argument, &entry->result);
	case OP_COMPARE_EXCHANGE: {
		int result =
			shmd_value_compare_exchange(value, &entry->argument, &entry->desired, &swapped, &entry->result);
		entry->extra = swapped;
		return result;
	}
	}
	return SHMD_E_UNSUPPORTED;
}

/* All elements become the argument. */
static int write_cut(struct shmd_array *array, struct entry *entry)
{
	int64_t cut[ELEMENTS_MAX];
	uint64_t length = shmd_array_length(array);
	for (uint64_t i = 0; i < length && i < ELEMENTS_MAX; i++)
		cut[i] = entry->argument;
	begin(entry);
	return shmd_array_write(array, 0, length, entry->timeout_ns, cut);
}

static int read_cut(struct shmd_array *array, struct entry *entry)
{
	int64_t cut[ELEMENTS_MAX];
	uint64_t length = shmd_array_length(array);
	begin(entry);
	int result = shmd_array_read(array, 0, length, entry->timeout_ns, cut, NULL);
	if (result < 0)
		return result;
	entry->result = cut[0];
	entry->extra = result == SHMD_OWNER_DIED;
	for (uint64_t i = 0; i < length; i++)
		if (cut[i] != cut[0] && result == 0)
			return BROKEN;
	return 0;
}

static int perform_array_lock(struct shmd_array *array, struct entry *entry)
{
	struct shmd_notice notice;
	switch (entry->op) {
	case OP_LOCK: {
		int result = shmd_array_lock(array, entry->timeout_ns);
		return noticed(entry, result, result > 0 ? shmd_array_notice(array, &notice) : 0, &notice);
	}
	case OP_UNLOCK:
		return shmd_array_unlock(array);
	case OP_MARK:
		return shmd_array_mark_consistent(array);
	}
	return SHMD_E_UNSUPPORTED;
}

static int perform_array(struct shmd_array *array, struct entry *entry)
{
	bool swapped = false;
	if (shmd_array_length(array) > ELEMENTS_MAX)
		return SHMD_E_UNSUPPORTED;
	if (entry->op == OP_WRITE)
		return write_cut(array, entry);
	if (entry->op == OP_READ)
		return read_cut(array, entry);
	begin(entry);
	switch (entry->op) {
	case OP_LOAD:
		return shmd_array_load(array, entry->n, &entry->result);
	case OP_STORE:
		return shmd_array_store(array, entry->n, &entry->argument);
	case OP_ADD:
		return shmd_array_fetch_add(array, entry->n, &entry->argument, &entry->result);
	case OP_EXCHANGE:
		return shmd_array_exchange(array, entry->n, &entry->argument, &entry->result);
	case OP_COMPARE_EXCHANGE: {
		int result = shmd_array_compare_exchange(array, entry->n, &entry->argument, &entry->desired, &swapped,
		                                         &entry->result);
		entry->extra = swapped;
		return result;
	}
	}
	return perform_array_lock(array, entry);
}

static int perform(struct entry *entry)
{
	if (entry->op == OP_PAUSE || entry->op == OP_FORK) {
		begin(entry);
		return entry->op == OP_FORK ? fork_holder() : pause_for(entry);
	}
	struct object *object = &objects[entry->object % OBJECTS_MAX];
	if (is_open(object) == (entry->op == OP_OPEN))
		return skip(entry);
	if (entry->op == OP_OPEN || entry->op == OP_CLOSE) {
		begin(entry);
		return entry->op == OP_OPEN ? open_object(object) : close_object(object);
	}
	if (object->mutex != NULL)
		return perform_mutex(object->mutex, entry);
	if (object->semaphore != NULL)
		return perform_semaphore(object->semaphore, entry);
	if (object->queue != NULL)
		return perform_queue(object, entry);
	if (object->value != NULL)
		return perform_value(object->value, entry);
	if (object->event != NULL)
		return perform_event(object->event, entry);
	if (object->condition != NULL)
		return perform_condition(object->condition, entry);
	if (object->barrier != NULL)
		return perform_barrier(object->barrier, entry);
	if (object->rwlock != NULL)
		return perform_rwlock(object->rwlock, entry);
	if (object->stream != NULL || object->pipe != NULL)
		return perform_ring(object, entry);
	return perform_array(object->array, entry);
}

static void record(struct entry *entry)
{
	int result = perform(entry);
	if (result == SKIPPED)
		entry->status = STATUS_SKIPPED;
	else if (result == BROKEN)
		entry->status = STATUS_BROKEN;
	else
		entry->status = result < 0 ? -result : result;
	__atomic_thread_fence(__ATOMIC_SEQ_CST); /* what it did comes before it */
	__atomic_store_n(&entry->return_ns, now_ns(), __ATOMIC_RELEASE);
}

/* ---- The process ---- */

static void map_log(const char *path)
{
	struct stat about;
	int fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &about) != 0) {
		perror(path);
		exit(1);
	}
	entries = mmap(NULL, (size_t)about.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (entries == MAP_FAILED) {
		perror(path);
		exit(1);
	}
	entries_count = (size_t)about.st_size / sizeof(struct entry);
	close(fd);
}

static void obey(const char *line)
{
	unsigned int index;
	char kind[16], name[256];
	size_t first, count;
	if (sscanf(line, "object %u %15s %255s", &index, kind, name) == 3 && index < OBJECTS_MAX) {
		close_object(&objects[index]);
		strcpy(objects[index].kind, kind);
		strcpy(objects[index].name, name);
		say("ok");
	} else if (sscanf(line, "run %zu %zu", &first, &count) == 2 && first + count <= entries_count) {
		for (size_t i = 0; i < count; i++)
			record(&entries[first + i]);
		say("done");
	} else {
		fprintf(stderr, "no such command: %s\n", line);
		exit(2);
	}
}

int main(int argc, char **argv)
{
	char line[512];
	if (argc != 2)
		return 2;
	map_log(argv[1]);
	int result = shmd_connect(NULL, &client);
	if (result < 0)
		fail("connect", result);
	say("ok");
	while (fgets(line, sizeof line, stdin) != NULL)
		obey(line);
	for (int i = 0; i < OBJECTS_MAX; i++)
		close_object(&objects[i]);
	shmd_close(client);
	return 0;
}
