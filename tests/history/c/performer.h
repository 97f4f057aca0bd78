/* SPDX-License-Identifier: Apache-2.0
 *
 * performer.h - what the parts of performer.c share.
 */
#ifndef PERFORMER_H
#define PERFORMER_H

#include "history.h"

#include <shmd.h>

#include <time.h>

#define LEASES_MAX 64

#define BROKEN (-1000)  /* what came cannot be */
#define SKIPPED (-1001) /* there was nothing to do it with */

/* What is known of a pipe of bytes of which the client has an end: see flow.go. */
struct flow {
	uint32_t end;
	int64_t written, seen;
};

/* An object that the client knows; at most one of the pointers is not null. */
struct object {
	char kind[16];
	char name[256];
	struct shmd_mutex *mutex;
	struct shmd_semaphore *semaphore;
	struct shmd_queue *queue;
	struct shmd_value *value;
	struct shmd_array *array;
	struct shmd_event *event;
	struct shmd_condition *condition;
	struct shmd_barrier *barrier;
	struct shmd_rwlock *rwlock;
	struct shmd_stream *stream;
	struct shmd_pipe *pipe;
	struct shmd_lease leases[LEASES_MAX]; /* the oldest first */
	int64_t numbers[LEASES_MAX];          /* of their messages, which may be over */
	uint32_t leases_count;
	struct shmd_reservation reservations[LEASES_MAX];
	uint32_t reservations_count;
	void *reserved; /* in a ring; null = nothing is */
	size_t reserved_bytes;
	int64_t peeked[BATCH_MAX]; /* messages that were shown and not received */
	uint32_t peeked_count;
	struct flow flow;
};

static inline int64_t now_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static inline void begin(struct entry *entry)
{
	__atomic_store_n(&entry->call_ns, now_ns(), __ATOMIC_RELEASE);
	__atomic_thread_fence(__ATOMIC_SEQ_CST); /* what it does comes after it */
}

static inline int skip(struct entry *entry)
{
	begin(entry);
	return SKIPPED;
}

/* Writes what a notice tells, if there was one. */
static inline int noticed(struct entry *entry, int result, int notice_result, const struct shmd_notice *notice)
{
	if (result != SHMD_OWNER_DIED)
		return result;
	if (notice_result < 0)
		return notice_result;
	entry->result = notice->deaths;
	entry->extra = notice->pid;
	return result;
}

#endif /* PERFORMER_H */
