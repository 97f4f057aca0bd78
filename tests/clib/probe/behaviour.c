/* SPDX-License-Identifier: Apache-2.0
 *
 * behaviour.c - what shmd.h promises, against a daemon. Prints the first thing
 * that is not so and exits with 1. Waits are bounded by the caller's watchdog.
 */
#define _GNU_SOURCE
#include "expect.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- mutexes ---- */

static void *stranger(void *mutex)
{
	EXPECT(shmd_mutex_unlock(mutex), SHMD_E_NOT_OWNER);
	EXPECT(shmd_mutex_lock(mutex, 0), SHMD_E_WOULD_BLOCK);
	EXPECT(shmd_mutex_lock(mutex, 1000000), SHMD_E_TIMED_OUT);
	EXPECT(shmd_mutex_mark_consistent(mutex), SHMD_E_NOT_OWNER);
	return NULL;
}

static void *any_unlocks(void *mutex)
{
	EXPECT(shmd_mutex_unlock(mutex), 0);
	return NULL;
}

static void mutexes(struct shmd_client *client)
{
	struct shmd_mutex *mutex;
	EXPECT(shmd_mutex_create(client, "c/mutex", NULL, &mutex), 0);
	CHECK(shmd_mutex_created(mutex));
	EXPECT(shmd_mutex_lock(mutex, -2), SHMD_E_INVALID);
	EXPECT(shmd_mutex_lock(NULL, 0), SHMD_E_INVALID);
	EXPECT(shmd_mutex_unlock(mutex), SHMD_E_NOT_OWNER);
	EXPECT(shmd_mutex_lock(mutex, SHMD_FOREVER), 0);
	EXPECT(shmd_mutex_lock(mutex, SHMD_FOREVER), SHMD_E_DEADLOCK);
	on_thread(stranger, mutex);
	struct shmd_notice notice;
	EXPECT(shmd_mutex_notice(mutex, &notice), 0);
	CHECK(notice.deaths == 0 && notice.pid == 0);
	EXPECT(shmd_mutex_unlock(mutex), 0);

	struct shmd_mutex *again;
	EXPECT(shmd_mutex_create(client, "c/mutex", NULL, &again), SHMD_E_EXISTS);
	CHECK(strstr(shmd_last_error(), "c/mutex") != NULL);
	EXPECT(shmd_mutex_open(client, "c/mutex", NULL, &again), 0);
	CHECK(!shmd_mutex_created(again) && shmd_mutex_id(again) == shmd_mutex_id(mutex));
	CHECK(shmd_mutex_close(again) == NULL);
	EXPECT(shmd_mutex_open(client, "c/nobody", NULL, &again), SHMD_E_NOT_FOUND);
	EXPECT(shmd_mutex_open(client, "c//bad", NULL, &again), SHMD_E_BAD_NAME);
	struct shmd_open_options by_id = {.size = sizeof by_id, .id = shmd_mutex_id(mutex), .read_only = true};
	EXPECT(shmd_mutex_open(client, NULL, &by_id, &again), 0);
	EXPECT(shmd_mutex_lock(again, 0), SHMD_E_PERMISSION);
	EXPECT(shmd_mutex_unlock(again), SHMD_E_PERMISSION);
	shmd_mutex_close(again);

	struct shmd_create_options options = {.size = sizeof options, .unlock_any = true};
	struct shmd_mutex *any;
	EXPECT(shmd_mutex_create(client, NULL, &options, &any), 0);
	EXPECT(shmd_mutex_lock(any, 0), 0);
	on_thread(any_unlocks, any);
	EXPECT(shmd_mutex_unlock(any), SHMD_E_NOT_OWNER);
	shmd_mutex_close(any);
	options.size--;
	EXPECT(shmd_mutex_create(client, NULL, &options, &any), SHMD_E_INVALID);

	EXPECT(shmd_chmod(client, "c/mutex", 0640), 0);
	EXPECT(shmd_chmod_id(client, shmd_mutex_id(mutex), 0600), 0);
	EXPECT(shmd_chmod(client, "c/mutex", 0700), SHMD_E_INVALID);
	EXPECT(shmd_chmod(client, "c/none", 0600), SHMD_E_NOT_FOUND);
	EXPECT(shmd_chmod(client, NULL, 0600), SHMD_E_INVALID);
	EXPECT(shmd_chmod(NULL, "c/mutex", 0600), SHMD_E_INVALID);
	EXPECT(shmd_chown(client, "c/mutex", -1, getgid()), 0);
	EXPECT(shmd_chown_id(client, shmd_mutex_id(mutex), getuid(), -1), 0);
	EXPECT(shmd_chown(client, "c/mutex", -2, -1), SHMD_E_INVALID);
	EXPECT(shmd_chown(client, "c/none", -1, -1), SHMD_E_NOT_FOUND);

	EXPECT(shmd_destroy(client, "c/mutex"), 0);
	EXPECT(shmd_mutex_lock(mutex, SHMD_FOREVER), SHMD_E_REMOVED);
	EXPECT(shmd_mutex_unlock(mutex), SHMD_E_REMOVED);
	shmd_mutex_close(mutex);
	EXPECT(shmd_destroy(client, "c/mutex"), SHMD_E_NOT_FOUND);
	EXPECT(shmd_unlink(client, "c/mutex"), SHMD_E_NOT_FOUND);
	CHECK(shmd_mutex_close(NULL) == NULL && shmd_close(NULL) == NULL);
}

/* ---- values and arrays ---- */

static void values(struct shmd_client *client)
{
	int start = -5;
	struct shmd_create_options options = {.size = sizeof options, .init = &start, .init_count = 1};
	struct shmd_value *value;
	EXPECT(shmd_value_create(client, "c/value", 'x', &options, &value), SHMD_E_BAD_TYPE);
	EXPECT(shmd_value_create(client, "c/value", 'i', &options, &value), 0);
	uint64_t version;
	uint64_t later;
	EXPECT(shmd_value_version(value, &version), 0);
	EXPECT(shmd_value_wait_change(value, version, 0, NULL), SHMD_E_WOULD_BLOCK);
	EXPECT(shmd_value_wait_change(value, version, 1000, NULL), SHMD_E_TIMED_OUT);
	int before;
	int delta = INT_MAX;
	EXPECT(shmd_value_fetch_add(value, &delta, &before), 0);
	CHECK(before == -5);
	EXPECT(shmd_value_fetch_add(value, &delta, &before), SHMD_E_OUT_OF_RANGE);
	EXPECT(shmd_value_wait_change(value, version, SHMD_FOREVER, &later), 0);
	CHECK(later > version);
	int wanted = INT_MAX - 5;
	bool swapped;
	EXPECT(shmd_value_compare_exchange(value, &start, &delta, &swapped, &before), 0);
	CHECK(!swapped && before == wanted);
	EXPECT(shmd_value_compare_exchange(value, &wanted, &start, &swapped, NULL), 0);
	CHECK(swapped && *(int *)shmd_value_data(value) == start);
	EXPECT(shmd_value_lock(value, 0), 0);
	EXPECT(shmd_value_lock(value, 0), 0); /* recursive */
	EXPECT(shmd_value_unlock(value), 0);
	EXPECT(shmd_value_unlock(value), 0);
	EXPECT(shmd_value_unlock(value), SHMD_E_NOT_OWNER);
	struct shmd_value *other;
	EXPECT(shmd_value_open(client, "c/value", 'd', NULL, &other), SHMD_E_TYPE_MISMATCH);
	EXPECT(shmd_value_open(client, "c/value", 0, NULL, &other), 0);
	CHECK(shmd_value_code(other) == 'i' && shmd_value_item_size_bytes(other) == 4);
	shmd_value_close(other);
	struct shmd_array *array;
	EXPECT(shmd_array_open(client, "c/value", 0, 0, NULL, NULL, &array), SHMD_E_KIND_MISMATCH);
	shmd_value_close(value);
	EXPECT(shmd_unlink(client, "c/value"), 0);
}

static void every_code(struct shmd_client *client)
{
	for (const char *code = "cbB?hHiIulLqQfde"; *code != '\0'; code++) {
		uint64_t init[3] = {0};
		uint64_t item = 0;
		uint64_t copy[3] = {0};
		struct shmd_create_options options = {.size = sizeof options, .init = init, .init_count = 2};
		struct shmd_array *array;
		memset(init, *code == 'c' || *code == 'b' || *code == 'B' || *code == '?' ? 1 : 0, sizeof init);
		EXPECT(shmd_array_create_1d(client, NULL, *code, 3, &options, &array), 0);
		size_t size_bytes = shmd_array_item_size_bytes(array);
		memset(&item, 1, sizeof item); /* a possible pattern of each */
		EXPECT(shmd_array_store(array, 2, &item), 0);
		EXPECT(shmd_array_read(array, 0, 3, 0, copy, NULL), 0);
		CHECK(memcmp((char *)copy + 2 * size_bytes, &item, size_bytes) == 0);
		CHECK(memcmp(copy, init, size_bytes) == 0);
		EXPECT(shmd_array_store(array, 3, &item), SHMD_E_BAD_INDEX);
		EXPECT(shmd_array_exchange(array, 0, &item, NULL), size_bytes < 4 ? SHMD_E_UNSUPPORTED : 0);
		shmd_array_close(array);
	}
}

static void *wait_for_change(void *array)
{
	uint64_t version;
	EXPECT(shmd_array_version(array, &version), 0);
	EXPECT(shmd_array_wait_change(array, version - 1, SHMD_FOREVER, NULL), 0);
	EXPECT(shmd_array_wait_change(array, version, SHMD_FOREVER, NULL), 0);
	return NULL;
}

/* A thread that waits through the daemon holds up no other thread's calls. */
static void waiting_reader(struct shmd_client *client, struct shmd_array *array)
{
	struct shmd_open_options options = {.size = sizeof options, .id = shmd_array_id(array), .read_only = true};
	struct shmd_array *reader;
	pthread_t thread;
	double item = 1;
	EXPECT(shmd_array_open(client, NULL, 0, 0, NULL, &options, &reader), 0);
	CHECK(pthread_create(&thread, NULL, wait_for_change, reader) == 0);
	for (int i = 0; i < 50; i++) {
		struct shmd_array *again;
		EXPECT(shmd_array_open(client, NULL, 0, 0, NULL, &options, &again), 0);
		shmd_array_close(again);
	}
	int joined;
	do /* its version may be newer than the first of these changes */
		EXPECT(shmd_array_store(array, 0, &item), 0);
	while ((joined = pthread_tryjoin_np(thread, NULL)) == EBUSY);
	CHECK(joined == 0);
	shmd_array_close(reader);
}

/* Every start and length, so that every alignment of both ends occurs. */
static void copies(struct shmd_client *client, char code)
{
	enum { LENGTH = 19 };
	unsigned char mirror[LENGTH * 8] = {0};
	unsigned char items[LENGTH * 8];
	unsigned char copy[LENGTH * 8];
	unsigned char byte = 0;
	struct shmd_array *array;
	EXPECT(shmd_array_create_1d(client, NULL, code, LENGTH, NULL, &array), 0);
	size_t size_bytes = shmd_array_item_size_bytes(array);
	for (size_t start = 0; start <= LENGTH; start++) {
		for (size_t count = 0; count <= LENGTH - start; count++) {
			for (size_t i = 0; i < count * size_bytes; i++)
				items[i] = mirror[start * size_bytes + i] = byte++;
			EXPECT(shmd_array_write(array, start, count, SHMD_FOREVER, items), 0);
			EXPECT(shmd_array_read(array, start, count, SHMD_FOREVER, copy, NULL), 0);
			CHECK(memcmp(copy, items, count * size_bytes) == 0);
			EXPECT(shmd_array_read(array, 0, LENGTH, SHMD_FOREVER, copy, NULL), 0);
			CHECK(memcmp(copy, mirror, LENGTH * size_bytes) == 0);
		}
	}
	shmd_array_close(array);
}

static void arrays(struct shmd_client *client)
{
	const uint64_t shape[] = {3, 5};
	struct shmd_mutex *mutex;
	struct shmd_array *array;
	EXPECT(shmd_mutex_create(client, "c/guard", NULL, &mutex), 0);
	struct shmd_create_options options = {
		.size = sizeof options, .lock = SHMD_LOCK_FOREIGN, .lock_mutex = mutex, .seats_max = 2000};
	EXPECT(shmd_array_create(client, "c/array", 'd', 2, shape, &options, &array), 0);
	CHECK(shmd_array_rank(array) == 2 && shmd_array_shape(array)[1] == 5 && shmd_array_length(array) == 15);
	CHECK((uintptr_t)shmd_array_data(array) % 64 == 0);
	double items[15];
	for (int i = 0; i < 15; i++)
		items[i] = i / 2.0;
	EXPECT(shmd_array_write(array, 0, 15, SHMD_FOREVER, items), 0);
	EXPECT(shmd_array_write(array, 15, 1, 0, items), SHMD_E_BAD_INDEX);
	EXPECT(shmd_array_write(array, UINT64_MAX, 2, 0, items), SHMD_E_BAD_INDEX);
	EXPECT(shmd_array_begin_write(array), SHMD_E_NOT_OWNER);
	EXPECT(shmd_mutex_lock(mutex, 0), 0);
	EXPECT(shmd_array_lock(array, 0), SHMD_E_DEADLOCK); /* the same lock */
	EXPECT(shmd_array_begin_write(array), 0);
	EXPECT(shmd_array_unlock(array), SHMD_E_INVALID);
	EXPECT(shmd_array_end_write(array), 0);
	EXPECT(shmd_array_end_write(array), SHMD_E_INVALID);
	EXPECT(shmd_array_unlock(array), 0);
	EXPECT(shmd_mutex_unlock(mutex), SHMD_E_NOT_OWNER);

	struct shmd_open_options reading = {.size = sizeof reading, .read_only = true};
	struct shmd_array *reader;
	double copy[15];
	uint64_t version;
	uint64_t same;
	EXPECT(shmd_array_open(client, "c/array", 'd', 2, shape, &reading, &reader), 0);
	EXPECT(shmd_array_read(reader, 0, 15, 0, copy, &version), 0);
	CHECK(memcmp(copy, items, sizeof copy) == 0);
	EXPECT(shmd_array_store(reader, 0, items), SHMD_E_PERMISSION);
	EXPECT(shmd_array_lock(reader, 0), SHMD_E_PERMISSION);
	EXPECT(shmd_array_wait_change(reader, version, 1000000, NULL), SHMD_E_TIMED_OUT);
	EXPECT(shmd_array_store(array, 0, &items[3]), 0);
	EXPECT(shmd_array_wait_change(reader, version, SHMD_FOREVER, &same), 0);
	CHECK(same == version + 1);
	shmd_array_close(reader);
	waiting_reader(client, array);
	const uint64_t flat[] = {15};
	EXPECT(shmd_array_open(client, "c/array", 0, 1, flat, NULL, &reader), SHMD_E_SHAPE_MISMATCH);
	EXPECT(shmd_array_create(client, NULL, 'd', 0, NULL, NULL, &reader), SHMD_E_INVALID);

	EXPECT(shmd_destroy_id(client, shmd_array_id(array)), 0);
	EXPECT(shmd_array_store(array, 0, items), SHMD_E_REMOVED);
	EXPECT(shmd_array_read(array, 0, 1, 0, copy, NULL), SHMD_E_REMOVED);
	shmd_array_close(array);
	EXPECT(shmd_mutex_lock(mutex, 0), 0);
	EXPECT(shmd_mutex_unlock(mutex), 0);
	EXPECT(shmd_destroy(client, "c/guard"), 0);
	shmd_mutex_close(mutex);
}

/* ---- many threads ---- */

struct shared {
	struct shmd_client *client;
	struct shmd_mutex *mutex;
	struct shmd_array *array;
	long plain; /* guarded by mutex */
};

#define THREADS 6
#define ROUNDS 1500

static void *work(void *argument)
{
	struct shared *shared = argument;
	for (int i = 0; i < ROUNDS; i++) {
		int result;
		while ((result = shmd_mutex_lock(shared->mutex, i % 3 == 0 ? 20000 : SHMD_FOREVER)) == SHMD_E_TIMED_OUT)
			;
		EXPECT(result, 0);
		shared->plain++;
		EXPECT(shmd_mutex_unlock(shared->mutex), 0);
		int64_t items[20];
		if (i % 2 == 0) {
			for (int k = 0; k < 20; k++)
				items[k] = i;
			EXPECT(shmd_array_write(shared->array, 0, 20, SHMD_FOREVER, items), 0);
		} else {
			EXPECT(shmd_array_read(shared->array, 0, 20, SHMD_FOREVER, items, NULL), 0);
			for (int k = 1; k < 20; k++)
				CHECK(items[k] == items[0]);
		}
		if (i % 100 == 0) { /* control calls too */
			struct shmd_mutex *mutex;
			EXPECT(shmd_mutex_open(shared->client, "c/threads", NULL, &mutex), 0);
			shmd_mutex_close(mutex);
		}
	}
	return NULL;
}

static void threads(struct shmd_client *client)
{
	struct shared shared = {.client = client};
	pthread_t thread[THREADS];
	EXPECT(shmd_mutex_create(client, "c/threads", NULL, &shared.mutex), 0);
	EXPECT(shmd_array_create_1d(client, NULL, 'q', 20, NULL, &shared.array), 0);
	for (int i = 0; i < THREADS; i++)
		CHECK(pthread_create(&thread[i], NULL, work, &shared) == 0);
	for (int i = 0; i < THREADS; i++)
		CHECK(pthread_join(thread[i], NULL) == 0);
	CHECK(shared.plain == (long)THREADS * ROUNDS);
	shmd_array_close(shared.array);
	EXPECT(shmd_destroy(client, "c/threads"), 0);
	shmd_mutex_close(shared.mutex);
}

/* ---- fork and death ---- */

/* The child gets the parent's handles and may only close them. */
static void child(struct shmd_client *client, struct shmd_array *array, int64_t *data)
{
	int64_t item = 1;
	EXPECT(shmd_array_lock(array, 0), SHMD_E_FORKED);
	EXPECT(shmd_array_unlock(array), SHMD_E_FORKED);
	EXPECT(shmd_array_store(array, 0, &item), SHMD_E_FORKED);
	EXPECT(shmd_array_wait_change(array, 0, 0, NULL), SHMD_E_FORKED);
	EXPECT(shmd_unlink(client, "c/death"), SHMD_E_FORKED);
	CHECK(data[1] == 42);
	shmd_array_close(array);
	shmd_close(client);
	client = connected();
	EXPECT(shmd_array_open(client, "c/death", 'q', 0, NULL, NULL, &array), 0);
	EXPECT(shmd_array_lock(array, SHMD_FOREVER), 0);
	EXPECT(shmd_array_begin_write(array), 0);
	((int64_t *)shmd_array_data(array))[2] = 99;
	raise(SIGKILL);
}

static void death(struct shmd_client *client)
{
	struct shmd_array *array;
	EXPECT(shmd_array_create_1d(client, "c/death", 'q', 4, NULL, &array), 0);
	int64_t *data = shmd_array_data(array);
	data[1] = 42;
	pid_t pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		child(client, array, data);
		exit(1);
	}
	int status;
	pid_t ended;
	do
		ended = waitpid(pid, &status, 0);
	while (ended < 0 && errno == EINTR);
	CHECK(ended == pid);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	EXPECT(shmd_array_lock(array, SHMD_FOREVER), SHMD_OWNER_DIED);
	EXPECT(shmd_array_lock(array, 0), SHMD_OWNER_DIED); /* still not repaired */
	EXPECT(shmd_array_unlock(array), 0);
	struct shmd_notice notice;
	EXPECT(shmd_array_notice(array, &notice), 0);
	CHECK(notice.deaths == 1 && notice.pid == (uint32_t)pid && notice.uid == getuid() && notice.died_realtime_ns > 0);
	EXPECT(shmd_array_unlock(array), 0);
	int64_t copy[4];
	EXPECT(shmd_array_read(array, 0, 4, SHMD_FOREVER, copy, NULL), SHMD_OWNER_DIED);
	CHECK(copy[2] == 99);
	EXPECT(shmd_array_lock(array, 0), SHMD_OWNER_DIED);
	EXPECT(shmd_array_mark_consistent(array), 0);
	EXPECT(shmd_array_unlock(array), 0);
	EXPECT(shmd_array_read(array, 0, 4, 0, copy, NULL), 0);
	EXPECT(shmd_unlink(client, "c/death"), 0);
	shmd_close(client); /* before its last handle: allowed */
	EXPECT(shmd_array_lock(array, 0), 0);
	shmd_array_close(array);
}

/* Closing what is held is like dying. */
static void closing(struct shmd_client *client)
{
	struct shmd_client *other = connected();
	struct shmd_mutex *mutex;
	struct shmd_mutex *theirs;
	EXPECT(shmd_mutex_create(client, "c/closing", NULL, &mutex), 0);
	EXPECT(shmd_mutex_open(other, "c/closing", NULL, &theirs), 0);
	EXPECT(shmd_mutex_lock(theirs, 0), 0);
	EXPECT(shmd_mutex_lock(mutex, 0), SHMD_E_WOULD_BLOCK); /* another client, if the same thread */
	shmd_mutex_close(theirs);
	EXPECT(shmd_mutex_lock(mutex, SHMD_FOREVER), SHMD_OWNER_DIED);
	EXPECT(shmd_mutex_mark_consistent(mutex), 0);
	EXPECT(shmd_mutex_unlock(mutex), 0);
	shmd_mutex_close(mutex);
	EXPECT(shmd_destroy(client, "c/closing"), 0);
	shmd_close(other);
}

static int open_descriptors(void)
{
	int count = 0;
	for (int fd = 0; fd < 256; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

static void nothing(int signal)
{
	(void)signal;
}

/* Every system call of the library is interrupted now and then. */
static void interrupt_everything(void)
{
	struct sigaction action = {.sa_handler = nothing}; /* without SA_RESTART */
	struct itimerval interval = {.it_interval.tv_usec = 1000, .it_value.tv_usec = 1000};
	CHECK(sigaction(SIGALRM, &action, NULL) == 0);
	CHECK(setitimer(ITIMER_REAL, &interval, NULL) == 0);
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	interrupt_everything();
	int before = open_descriptors();
	struct shmd_client *client = connected();
	mutexes(client);
	values(client);
	every_code(client);
	for (const char *code = "Bhid"; *code != '\0'; code++)
		copies(client, *code);
	arrays(client);
	threads(client);
	closing(client);
	CHECK(open_descriptors() == before + 1); /* the socket */
	death(client);
	CHECK(open_descriptors() == before);
	puts("ok");
	return 0;
}
