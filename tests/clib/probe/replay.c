/* SPDX-License-Identifier: Apache-2.0
 *
 * replay.c - runs operations of libshmd on segments in files, and says what they
 * store, one store a line. Built with -DSHMD_REPLAY and the library's sources by
 * replay_test.go, which replays every prefix.
 *
 *	replay OBJECT MUTEX|- OWNER MUTEX_OWNER WORD... [+ WORD...]
 *
 * A file holds the bytes of one segment. A word is an operation, "lock=-3" says
 * what it must return (default 0). Output:
 *
 *	SEGMENT OFFSET SIZE BEFORE AFTER      a store; segment 0 = object, 1 = mutex
 *	+                                     here the words behind the plus begin
 *	.                                     the end; anything else is a failure
 */
#define _GNU_SOURCE
#include "../../../clients/c/internal.h"
#include "gone.h"
#include "ring_words.h"
#include "sync_words.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static struct shmdi_segment segments[2];

void shmd_replay_hook(void *address, size_t size, uint64_t old_value, uint64_t new_value);

void shmd_replay_hook(void *address, size_t size, uint64_t old_value, uint64_t new_value)
{
	for (int i = 0; i < 2; i++) {
		uintptr_t offset = (uintptr_t)address - (uintptr_t)segments[i].page;
		if (segments[i].page != NULL && offset < segments[i].size_bytes) {
			printf("%d %" PRIuPTR " %zu %" PRIu64 " %" PRIu64 "\n", i, offset, size, old_value, new_value);
			return;
		}
	}
	printf("a store outside of the segments\n");
	exit(1);
}

static void die(const char *what)
{
	printf("%s\n", what);
	exit(1);
}

static void map(const char *path, struct shmdi_segment *segment)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	struct stat status;
	if (fd < 0 || fstat(fd, &status) < 0)
		die("a segment's file cannot be opened");
	segment->size_bytes = (size_t)status.st_size;
	segment->page = mmap(NULL, segment->size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (segment->page == MAP_FAILED)
		die("a segment's file cannot be mapped");
}

/* What the daemon's answer would say; here the header is to be trusted. */
static struct shmdi_attachment describe(const struct shmd_header *header, uint32_t owner)
{
	return (struct shmdi_attachment){
		.id = header->object_id,
		.kind = header->kind,
		.code = header->code,
		.item_size_bytes = header->item_size_bytes,
		.rank = header->rank,
		.length = header->length,
		.maximum = (uint32_t)header->length,
		.slot_size_bytes = header->item_size_bytes,
		.message_max_bytes = (uint32_t)header->shape[0],
		.deliveries_max = (uint32_t)header->shape[1],
		.lease_ns = header->kind == SHMD_KIND_QUEUE ? header->shape[2] : 0,
		.flags = header->flags | (header->kind == SHMD_KIND_MUTEX ? 0 : SHMD_FLAG_RECURSIVE),
		.seats_max = header->seats_max,
		.owner = owner,
		.segment_size_bytes = header->segment_size_bytes,
		.data_offset_bytes = header->data_offset_bytes,
		.data_size_bytes = header->data_size_bytes,
		.seats_offset_bytes = header->seats_offset_bytes,
		.lock_id = header->lock_id,
	};
}

static struct shmd_array array; /* or a value or a mutex: they are the same */
static struct shmd_value *const value = (struct shmd_value *)(void *)&array;
static struct shmd_mutex *const mutex = (struct shmd_mutex *)(void *)&array;

static struct shmd_semaphore semaphore;
static struct shmd_queue queue;

static const int32_t items[] = {11, 12, 13, 14, 15};

static int mutex_word(const char *word)
{
	if (strcmp(word, "lock") == 0)
		return shmd_mutex_lock(mutex, 0);
	if (strcmp(word, "wait-lock") == 0)
		return shmd_mutex_lock(mutex, 1);
	if (strcmp(word, "unlock") == 0)
		return shmd_mutex_unlock(mutex);
	if (strcmp(word, "mark") == 0)
		return shmd_mutex_mark_consistent(mutex);
	die("no such word for a mutex");
	return 0;
}

/* acquire, wait, release, post; "-2" behind it: as many permits. */
static int semaphore_word(const char *word)
{
	const char *count = strchr(word, '-');
	size_t length = count != NULL ? (size_t)(count - word) : strlen(word);
	uint32_t n = count != NULL ? (uint32_t)atol(count + 1) : 1;
	if (strncmp(word, "acquire", length) == 0)
		return shmd_semaphore_acquire(&semaphore, n, 0);
	if (strncmp(word, "wait", length) == 0)
		return shmd_semaphore_acquire(&semaphore, n, 1);
	if (strncmp(word, "release", length) == 0)
		return shmd_semaphore_release(&semaphore, n);
	if (strncmp(word, "post", length) == 0)
		return shmd_semaphore_post(&semaphore, n);
	die("no such word for a semaphore");
	return 0;
}

/* What the victim leased and reserved last. */
static struct shmd_lease lease;
static struct shmd_reservation reservation;
static struct shmd_lease leases[3];

/* "put-many-LENGTH", the next one byte longer, and the rest: three at once; the result
 * is how many were done. */
static int many_word(const char *word)
{
	static char buffer[3 * 1000];
	static char bytes[700] = "new one, long";
	struct iovec messages[3];
	uint32_t count = 0;
	int result;
	if (strncmp(word, "put-many-", 9) == 0) {
		for (size_t i = 0; i < 3; i++)
			messages[i] = (struct iovec){.iov_base = bytes, .iov_len = (size_t)atol(word + 9) + i};
		result = shmd_queue_put_many(&queue, messages, 3, 0, &count);
	} else if (strcmp(word, "take-many") == 0) {
		result = shmd_queue_take_many(&queue, buffer, sizeof buffer, messages, 3, 0, &count);
	} else if (strcmp(word, "lease-many") == 0) {
		result = shmd_queue_lease_many(&queue, leases, 3, 0, &count);
		memset(&leases[count], 0, (3 - count) * sizeof leases[0]);
	} else if (strcmp(word, "ack-many") == 0) {
		result = shmd_queue_ack_many(&queue, leases, 3, &count);
	} else if (strcmp(word, "nack-many") == 0) {
		result = shmd_queue_nack_many(&queue, leases, 3, &count);
	} else {
		die("no such word for a queue");
		return 0;
	}
	return result < 0 ? result : (int)count;
}

static int queue_word(const char *word)
{
	static char message[SIDE_SIZE]; /* "put-LENGTH" puts so many of them, "new" in front */
	size_t size_bytes;
	memcpy(message, "new", 3);
	if (strstr(word, "-many") != NULL)
		return many_word(word);
	if (strcmp(word, "extend") == 0)
		return shmd_queue_extend(&queue, &lease, SHMD_LEASE_NS_MAX);
	if (strcmp(word, "join") == 0)
		return shmd_queue_join(&queue, 0);
	if (strcmp(word, "wait-join") == 0)
		return shmd_queue_join(&queue, 1);
	if (strncmp(word, "put-", 4) == 0)
		return shmd_queue_put(&queue, message, (size_t)atol(word + 4), 0);
	if (strcmp(word, "wait-put") == 0)
		return shmd_queue_put(&queue, message, 3, 1);
	if (strcmp(word, "take") == 0)
		return shmd_queue_take(&queue, message, sizeof message, 0, &size_bytes);
	if (strcmp(word, "take-nowhere") == 0)
		return shmd_queue_take(&queue, NULL, 0, 0, &size_bytes);
	if (strcmp(word, "wait-take") == 0)
		return shmd_queue_take(&queue, message, sizeof message, 1, &size_bytes);
	if (strcmp(word, "lease") == 0)
		return shmd_queue_lease(&queue, 0, &lease);
	if (strcmp(word, "ack") == 0)
		return shmd_queue_ack(&queue, &lease);
	if (strcmp(word, "nack") == 0)
		return shmd_queue_nack(&queue, &lease);
	if (strcmp(word, "reserve") == 0)
		return shmd_queue_reserve(&queue, 0, &reservation);
	if (strcmp(word, "reserve-side") == 0) {
		int result = reserve_side(&queue, 0, &reservation);
		if (result == 0)
			memcpy(reservation.buffer, message, 3);
		return result;
	}
	if (strcmp(word, "reserve-long") == 0) {
		int result = shmd_queue_reserve_size(&queue, 5000, 0, &reservation);
		if (result == 0)
			memcpy(reservation.buffer, message, 3);
		return result;
	}
	if (strcmp(word, "commit") == 0)
		return shmd_queue_commit(&queue, &reservation, 3);
	if (strncmp(word, "commit-", 7) == 0)
		return shmd_queue_commit(&queue, &reservation, (size_t)atol(word + 7));
	if (strcmp(word, "abort") == 0)
		return shmd_queue_abort(&queue, &reservation);
	if (strcmp(word, "take-dead") == 0)
		return shmd_queue_take_dead(&queue, &lease);
	if (strcmp(word, "redeliver") == 0)
		return shmd_queue_redeliver(&queue, NULL);
	if (strcmp(word, "shutdown") == 0)
		return shmd_queue_shutdown(&queue);
	struct shmd_queue_counts counts;
	if (strcmp(word, "counts") == 0)
		return shmd_queue_counts(&queue, &counts);
	die("no such word for a queue");
	return 0;
}

static int value_word(const char *word)
{
	int32_t item = 7;
	int32_t wanted = 0;
	bool swapped;
	if (strcmp(word, "store") == 0)
		return shmd_value_store(value, &item);
	if (strcmp(word, "add") == 0)
		return shmd_value_fetch_add(value, &item, NULL);
	if (strcmp(word, "exchange") == 0)
		return shmd_value_exchange(value, &item, NULL);
	if (strcmp(word, "compare-exchange") == 0)
		return shmd_value_compare_exchange(value, &wanted, &item, &swapped, NULL);
	if (strcmp(word, "mark") == 0)
		return shmd_value_mark_consistent(value);
	return mutex_word(word); /* the locks are one code */
}

static int array_word(const char *word)
{
	int32_t item = 7;
	int32_t wanted = 0;
	bool swapped;
	if (strcmp(word, "store") == 0)
		return shmd_array_store(&array, 3, &item);
	if (strcmp(word, "add") == 0)
		return shmd_array_fetch_add(&array, 3, &item, NULL);
	if (strcmp(word, "exchange") == 0)
		return shmd_array_exchange(&array, 3, &item, NULL);
	if (strcmp(word, "compare-exchange") == 0)
		return shmd_array_compare_exchange(&array, 3, &wanted, &item, &swapped, NULL);
	if (strcmp(word, "mark") == 0)
		return shmd_array_mark_consistent(&array);
	if (strcmp(word, "begin") == 0)
		return shmd_array_begin_write(&array);
	if (strcmp(word, "end") == 0)
		return shmd_array_end_write(&array);
	if (strcmp(word, "write") == 0)
		return shmd_array_write(&array, 1, 5, 0, items);
	if (strcmp(word, "wait-change") == 0) {
		uint64_t version;
		int result = shmd_array_version(&array, &version);
		return result < 0 ? result : shmd_array_wait_change(&array, version, 1, NULL);
	}
	if (strcmp(word, "read") == 0) {
		int32_t copy[8];
		return shmd_array_read(&array, 0, 8, 1, copy, NULL);
	}
	return mutex_word(word);
}

static void run(char *word)
{
	char *result = strchr(word, '=');
	if (result != NULL)
		*result++ = '\0';
	int expected = result != NULL ? atoi(result) : 0;
	int got;
	switch (segments[0].page->header.kind) {
	case SHMD_KIND_SEMAPHORE: got = semaphore_word(word); break;
	case SHMD_KIND_QUEUE: got = queue_word(word); break;
	case SHMD_KIND_MUTEX: got = mutex_word(word); break;
	case SHMD_KIND_EVENT: got = event_word(word); break;
	case SHMD_KIND_CONDITION: got = condition_word(word); break;
	case SHMD_KIND_BARRIER: got = barrier_word(word); break;
	case SHMD_KIND_RWLOCK: got = rwlock_word(word); break;
	case SHMD_KIND_STREAM: got = stream_word(word); break;
	case SHMD_KIND_PIPE: got = pipe_word(word); break;
	case SHMD_KIND_VALUE: got = value_word(word); break;
	default: got = array_word(word); break;
	}
	if (got != expected) {
		printf("%s returned %s\n", word, shmd_error_name(got));
		exit(1);
	}
}

int main(int count, char **arguments)
{
	if (count < 5)
		die("usage: replay OBJECT MUTEX|- OWNER MUTEX_OWNER WORD... [+ WORD...]");
	uint32_t generation;
	if (shmdi_fork_enter(&generation) < 0)
		die(shmd_last_error());
	map(arguments[1], &segments[0]);
	uint32_t kind = segments[0].page->header.kind;
	struct shmdi_object *object = sync_object(kind) != NULL ? sync_object(kind) : &array.object;
	if (ring_object(kind) != NULL)
		object = ring_object(kind);
	if (kind == SHMD_KIND_SEMAPHORE)
		object = &semaphore.object;
	else if (kind == SHMD_KIND_QUEUE)
		object = &queue.object;
	object->segment = segments[0];
	object->is = describe(&segments[0].page->header, (uint32_t)atol(arguments[3]));
	shmdi_object_bind(object, generation);
	sync_bind(kind);
	ring_bind(kind);
	if (kind == SHMD_KIND_SEMAPHORE)
		shmdi_semaphore_bind(&semaphore);
	else if (kind == SHMD_KIND_QUEUE) {
		shmdi_queue_bind(&queue);
		if (!keep_sides(&queue, generation))
			die("no memory for side segments");
	}
	if (strcmp(arguments[2], "-") != 0) {
		map(arguments[2], &segments[1]);
		object->lock_segment = segments[1];
		object->is.lock_owner = (uint32_t)atol(arguments[4]);
		shmdi_object_bind_foreign(object, segments[1].page->header.flags);
	}
	for (int i = 5; i < count; i++) {
		if (strcmp(arguments[i], "+") == 0)
			puts("+");
		else
			run(arguments[i]);
	}
	puts(".");
	return 0;
}
