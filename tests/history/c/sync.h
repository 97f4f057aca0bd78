/* SPDX-License-Identifier: Apache-2.0
 *
 * sync.h - the operations of performer.c on events, conditions, barriers and rwlocks.
 */
#ifndef SYNC_H
#define SYNC_H

#include "performer.h"

static int perform_event(struct shmd_event *event, struct entry *entry)
{
	bool set = false;
	int result;
	begin(entry);
	switch (entry->op) {
	case OP_SIGNAL:
		return shmd_event_set(event);
	case OP_RESET:
		return shmd_event_reset(event);
	case OP_PULSE:
		return shmd_event_pulse(event);
	case OP_WAIT:
		return shmd_event_wait(event, entry->timeout_ns);
	case OP_IS_SET:
		result = shmd_event_is_set(event, &set);
		entry->result = set;
		return result;
	}
	return SHMD_E_UNSUPPORTED;
}

static int perform_condition(struct shmd_condition *condition, struct entry *entry)
{
	struct shmd_notice notice;
	int result;
	begin(entry);
	switch (entry->op) {
	case OP_LOCK:
	case OP_WAIT_CONDITION:
		result = entry->op == OP_LOCK ? shmd_condition_lock(condition, entry->timeout_ns)
		                              : shmd_condition_wait(condition, entry->timeout_ns);
		return noticed(entry, result, result > 0 ? shmd_condition_notice(condition, &notice) : 0, &notice);
	case OP_UNLOCK:
		return shmd_condition_unlock(condition);
	case OP_MARK:
		return shmd_condition_mark_consistent(condition);
	case OP_NOTIFY:
		return entry->n == 0 ? shmd_condition_notify_all(condition) : shmd_condition_notify(condition, entry->n);
	}
	return SHMD_E_UNSUPPORTED;
}

static int perform_barrier(struct shmd_barrier *barrier, struct entry *entry)
{
	struct shmd_barrier_state state;
	uint32_t index = 0;
	int result;
	begin(entry);
	switch (entry->op) {
	case OP_ARRIVE:
		result = shmd_barrier_wait(barrier, entry->timeout_ns, &index);
		entry->result = index;
		return result;
	case OP_BREAK:
		return shmd_barrier_abort(barrier);
	case OP_RESET:
		return shmd_barrier_reset(barrier);
	case OP_STATE:
		result = shmd_barrier_state(barrier, &state);
		if (result == 0) {
			entry->result = (int64_t)(state.waiting | (uint64_t)state.reasons << 16 | (uint64_t)state.broken << 32);
			entry->extra = (uint32_t)state.generation;
		}
		return result;
	}
	return SHMD_E_UNSUPPORTED;
}

static int perform_rwlock(struct shmd_rwlock *rwlock, struct entry *entry)
{
	struct shmd_notice notice;
	int result;
	begin(entry);
	switch (entry->op) {
	case OP_LOCK:
	case OP_READ_LOCK:
		result = entry->op == OP_LOCK ? shmd_rwlock_write_lock(rwlock, entry->timeout_ns)
		                              : shmd_rwlock_read_lock(rwlock, entry->timeout_ns);
		return noticed(entry, result, result > 0 ? shmd_rwlock_notice(rwlock, &notice) : 0, &notice);
	case OP_UNLOCK:
		return shmd_rwlock_write_unlock(rwlock);
	case OP_READ_UNLOCK:
		return shmd_rwlock_read_unlock(rwlock);
	case OP_MARK:
		return shmd_rwlock_mark_consistent(rwlock);
	}
	return SHMD_E_UNSUPPORTED;
}

#endif /* SYNC_H */
