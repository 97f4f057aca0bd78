/* SPDX-License-Identifier: Apache-2.0
 *
 * player.c - a client that does what its standard input says, one operation and
 * one answer a line: "KIND VERB NUMBER...". The words stand in tests/step/doc.go;
 * player/ is its twin in Go. After "step" the operation runs between two marks,
 * shmd_step_begin and shmd_step_end, which a tracer finds in the symbol table: it
 * stops at the first, and steps from there to the second.
 */
#define _GNU_SOURCE
#include <shmd.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ARGUMENTS_MAX 3
#define MESSAGE_MAX 4096

void shmd_step_begin(void);
void shmd_step_end(void);

static struct shmd_client *client;
static struct shmd_mutex *mutex;
static struct shmd_value *value;
static struct shmd_array *array;
static struct shmd_semaphore *semaphore;
static struct shmd_queue *queue;

static struct shmd_lease lease;
static struct shmd_reservation reservation;
static uint64_t version;
static unsigned char message[MESSAGE_MAX];
static size_t message_bytes;

/* What the answer tells besides the result. */
static int64_t told[4];
static int told_count;

static void tell(int64_t number)
{
	told[told_count++] = number;
}

/* ---- Marks ---- */

__attribute__((noinline, noclone)) void shmd_step_begin(void)
{
#if defined(__x86_64__)
	__asm__ __volatile__("int3" ::: "memory");
#elif defined(__aarch64__)
	__asm__ __volatile__("brk #0" ::: "memory");
#endif
}

__attribute__((noinline, noclone)) void shmd_step_end(void)
{
	__asm__ __volatile__("" ::: "memory");
}

/* ---- Messages: a number, in as many bytes as wanted, 8 at least ---- */

static void make_message(int64_t number, int64_t size_bytes)
{
	message_bytes = (size_t)size_bytes;
	for (size_t i = 0; i < message_bytes; i++)
		message[i] = (unsigned char)(i < 8 ? number >> (8 * i) : number + (int64_t)i);
}

static int tell_message(const unsigned char *bytes, size_t size_bytes)
{
	int64_t number = 0;
	for (size_t i = 0; i < 8 && size_bytes >= 8; i++)
		number |= (int64_t)bytes[i] << (8 * i);
	for (size_t i = 8; i < size_bytes; i++) {
		if (bytes[i] != (unsigned char)(number + (int64_t)i)) {
			fprintf(stderr, "byte %zu of message %" PRId64 " is %d\n", i, number, bytes[i]);
			return SHMD_E_CORRUPT;
		}
	}
	tell(number);
	return 0;
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

/* queue make N BYTES: the message that put and commit use. */
static int queue_make(const int64_t *a) { return make_message(a[0], a[1]), 0; }
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

static int queue_take(const int64_t *a)
{
	return shmd_queue_take(queue, message, sizeof message, a[0], &message_bytes);
}

/* ---- Answers that look at what the operation brought, outside of the marks ---- */

static int tell_taken(void) { return tell_message(message, message_bytes); }

static int tell_leased(void)
{
	int result = tell_message(lease.message, lease.size_bytes);
	tell(lease.deliveries);
	return result;
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
	{"queue", "make", queue_make, NULL},
	{"queue", "put", queue_put, NULL},
	{"queue", "take", queue_take, tell_taken},
	{"queue", "lease", queue_lease, tell_leased},
	{"queue", "ack", queue_ack, NULL},
	{"queue", "nack", queue_nack, NULL},
	{"queue", "reserve", queue_reserve, NULL},
	{"queue", "fill", queue_fill, NULL},
	{"queue", "commit", queue_commit, NULL},
	{"queue", "abort", queue_abort, NULL},
};

#define OPERATIONS_COUNT (sizeof operations / sizeof operations[0])

/* ---- Lines ---- */

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
	return shmd_queue_open(client, name, NULL, &queue);
}

/* What the library does once in a process, done before anything is stepped: the
 * mutex is held by another. */
static int warm(const char *name)
{
	struct shmd_mutex *held;
	int result = shmd_mutex_open(client, name, NULL, &held);
	if (result < 0)
		return result;
	result = shmd_mutex_lock(held, 1);
	shmd_mutex_close(held);
	return result == SHMD_E_TIMED_OUT ? 0 : SHMD_E_INTERNAL;
}

static void answer(int result)
{
	if (result < 0)
		printf("error %s", shmd_error_name(result));
	else
		printf("%s", result == SHMD_OWNER_DIED ? "notice" : "ok");
	for (int i = 0; i < told_count; i++)
		printf(" %" PRId64, told[i]);
	told_count = 0;
	if (printf("\n") < 0 || fflush(stdout) != 0)
		exit(3); /* whoever asked is gone */
}

static const struct operation *find(const char *kind, const char *verb)
{
	for (size_t i = 0; i < OPERATIONS_COUNT; i++)
		if (strcmp(operations[i].kind, kind) == 0 && strcmp(operations[i].verb, verb) == 0)
			return &operations[i];
	fprintf(stderr, "no such operation: %s %s\n", kind, verb);
	exit(2);
}

static int play(const struct operation *operation, const int64_t *arguments, bool marked)
{
	int result;
	if (marked) {
		shmd_step_begin();
		result = operation->run(arguments);
		shmd_step_end();
	} else {
		result = operation->run(arguments);
	}
	if (result >= 0 && operation->after != NULL) {
		int looked = operation->after();
		return looked < 0 ? looked : result;
	}
	return result;
}

static void obey(char *line)
{
	int64_t arguments[ARGUMENTS_MAX] = {0};
	char *rest;
	const char *kind = strtok_r(line, " \n", &rest);
	bool marked = kind != NULL && strcmp(kind, "step") == 0;
	if (marked)
		kind = strtok_r(NULL, " \n", &rest);
	const char *verb = strtok_r(NULL, " \n", &rest);
	if (kind == NULL || verb == NULL)
		exit(2);
	if (strcmp(verb, "open") == 0) {
		answer(open_thing(kind, strtok_r(NULL, " \n", &rest)));
		return;
	}
	if (strcmp(kind, "warm") == 0) {
		answer(warm(verb));
		return;
	}
	const char *word;
	for (int i = 0; i < ARGUMENTS_MAX && (word = strtok_r(NULL, " \n", &rest)) != NULL; i++)
		arguments[i] = strtoll(word, NULL, 10);
	answer(play(find(kind, verb), arguments, marked));
}

int main(void)
{
	char line[256];
	answer(shmd_connect(NULL, &client));
	while (fgets(line, sizeof line, stdin) != NULL)
		obey(line);
	shmd_mutex_close(mutex);
	shmd_value_close(value);
	shmd_array_close(array);
	shmd_semaphore_close(semaphore);
	shmd_queue_close(queue);
	shmd_close(client);
	return 0;
}
