/* SPDX-License-Identifier: Apache-2.0
 *
 * sync_words.h - the words of replay.c for events, conditions, barriers and rwlocks.
 */
#ifndef SHMD_PROBE_SYNC_WORDS_H
#define SHMD_PROBE_SYNC_WORDS_H

#include "../../../clients/c/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATIENCE_NS 50000000 /* for a wait that must not be over before it begins */

static struct shmd_event event;
static struct shmd_condition condition;
static struct shmd_barrier barrier;
static struct shmd_rwlock rwlock;

/* The object behind the handle for a kind, and what binds it; NULL = none of these. */
static inline struct shmdi_object *sync_object(uint32_t kind)
{
	switch (kind) {
	case SHMD_KIND_EVENT: return &event.object;
	case SHMD_KIND_CONDITION: return &condition.object;
	case SHMD_KIND_BARRIER: return &barrier.object;
	case SHMD_KIND_RWLOCK: return &rwlock.object;
	default: return NULL;
	}
}

static inline void sync_bind(uint32_t kind)
{
	switch (kind) {
	case SHMD_KIND_EVENT: shmdi_event_bind(&event); break;
	case SHMD_KIND_CONDITION: shmdi_condition_bind(&condition); break;
	case SHMD_KIND_BARRIER: shmdi_barrier_bind(&barrier); break;
	case SHMD_KIND_RWLOCK:
		shmdi_rwlock_bind(&rwlock);
		rwlock.key = 1;
		break;
	default: break;
	}
}

static inline int no_word(const char *word)
{
	printf("no such word: %s\n", word);
	exit(1);
}

static inline int event_word(const char *word)
{
	bool set;
	if (strcmp(word, "set") == 0)
		return shmd_event_set(&event);
	if (strcmp(word, "reset") == 0)
		return shmd_event_reset(&event);
	if (strcmp(word, "pulse") == 0)
		return shmd_event_pulse(&event);
	if (strcmp(word, "try") == 0)
		return shmd_event_wait(&event, 0);
	if (strcmp(word, "wait") == 0)
		return shmd_event_wait(&event, 1);
	if (strcmp(word, "is-set") == 0) {
		int result = shmd_event_is_set(&event, &set);
		return result < 0 ? result : set;
	}
	return no_word(word);
}

static inline int condition_word(const char *word)
{
	if (strcmp(word, "lock") == 0)
		return shmd_condition_lock(&condition, 0);
	if (strcmp(word, "unlock") == 0)
		return shmd_condition_unlock(&condition);
	if (strcmp(word, "mark") == 0)
		return shmd_condition_mark_consistent(&condition);
	if (strcmp(word, "try") == 0)
		return shmd_condition_wait(&condition, 0);
	if (strcmp(word, "wait") == 0)
		return shmd_condition_wait(&condition, PATIENCE_NS);
	if (strcmp(word, "notify") == 0)
		return shmd_condition_notify(&condition, 1);
	if (strcmp(word, "notify-all") == 0)
		return shmd_condition_notify_all(&condition);
	if (strcmp(word, "notify-none") == 0)
		return shmd_condition_notify(&condition, 0);
	return no_word(word);
}

static inline int act(void *result)
{
	return *(const int *)result;
}

static inline int barrier_word(const char *word)
{
	int well = 0;
	int badly = SHMD_E_OUT_OF_RANGE;
	uint32_t index;
	if (strcmp(word, "arrive") == 0)
		return shmd_barrier_wait(&barrier, 0, &index);
	if (strcmp(word, "wait") == 0)
		return shmd_barrier_wait(&barrier, 1, &index);
	if (strcmp(word, "act") == 0)
		return shmd_barrier_wait_action(&barrier, 0, act, &well, NULL);
	if (strcmp(word, "act-badly") == 0)
		return shmd_barrier_wait_action(&barrier, 0, act, &badly, NULL);
	if (strcmp(word, "abort") == 0)
		return shmd_barrier_abort(&barrier);
	if (strcmp(word, "reset") == 0)
		return shmd_barrier_reset(&barrier);
	return no_word(word);
}

static inline int rwlock_word(const char *word)
{
	if (strcmp(word, "read") == 0)
		return shmd_rwlock_read_lock(&rwlock, 0);
	if (strcmp(word, "wait-read") == 0)
		return shmd_rwlock_read_lock(&rwlock, 1);
	if (strcmp(word, "read-unlock") == 0)
		return shmd_rwlock_read_unlock(&rwlock);
	if (strcmp(word, "write") == 0)
		return shmd_rwlock_write_lock(&rwlock, 0);
	if (strcmp(word, "wait-write") == 0)
		return shmd_rwlock_write_lock(&rwlock, 1);
	if (strcmp(word, "write-unlock") == 0)
		return shmd_rwlock_write_unlock(&rwlock);
	if (strcmp(word, "mark") == 0)
		return shmd_rwlock_mark_consistent(&rwlock);
	return no_word(word);
}

#endif /* SHMD_PROBE_SYNC_WORDS_H */
