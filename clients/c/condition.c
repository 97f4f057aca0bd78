/* SPDX-License-Identifier: Apache-2.0
 *
 * condition.c - the condition: an eventcount that is announced and notified under a
 * mutex, which is another object. The twin of shm/condition.go; model:
 * tests/models/condition.pml; the rules stand beside shmd_condition_lines in
 * shmd_abi.h. What must not be changed:
 *   - every store to the word is one read-modify-write: recovery moves it without the
 *     mutex;
 *   - who waits announces himself before he lets the mutex go;
 *   - a notifier moves the word, wakes, and clears the bit, in this order and while he
 *     has the mutex. If fewer slept than he would have woken, nobody sleeps any more,
 *     and nobody can have announced himself meanwhile.
 *
 * Orders: announcements and notifications are ordered by the mutex. Only what happens
 * without it needs more: recovery and removal store the state, then move the word, then
 * wake; whose announcement (acquire) comes after that move sees the state, and does not
 * sleep; whose came before it compares with the old value, or is woken. The looks
 * whether the word has moved are relaxed: taking the mutex again acquires.
 */
#include "atomic.h"
#include "internal.h"
#include "spin.h"

#include <limits.h>

#define WAITERS SHMD_EVENTCOUNT_WAITERS
#define STEP SHMD_EVENTCOUNT_STEP

/* ---- handles ---- */

void shmdi_condition_bind(void *handle)
{
	struct shmd_condition *condition = handle;
	unsigned char *base = (unsigned char *)condition->object.segment.page;
	condition->word = &((struct shmd_condition_lines *)(void *)(base + SHMD_KIND_OFFSET))->word;
}

static int attach(struct shmd_client *client, const struct shmdi_wish *wish, struct shmd_condition **ret_condition)
{
	static const struct shmdi_handle_type type = {
		sizeof(struct shmd_condition), offsetof(struct shmd_condition, object), shmdi_condition_bind};
	return shmdi_handle_open(client, wish, &type, ret_condition);
}

int shmd_condition_create(struct shmd_client *client, const char *name, const struct shmd_create_options *options,
                          struct shmd_condition **ret_condition)
{
	struct shmdi_wish wish = {.method = "create", .name = name, .kind = SHMD_KIND_CONDITION, .create = options};
	return attach(client, &wish, ret_condition);
}

int shmd_condition_open_or_create(struct shmd_client *client, const char *name,
                                  const struct shmd_create_options *options, struct shmd_condition **ret_condition)
{
	struct shmdi_wish wish = {
		.method = "open_or_create", .name = name, .kind = SHMD_KIND_CONDITION, .create = options};
	return attach(client, &wish, ret_condition);
}

int shmd_condition_open(struct shmd_client *client, const char *name, const struct shmd_open_options *options,
                        struct shmd_condition **ret_condition)
{
	struct shmdi_wish wish = {.method = "open", .name = name, .kind = SHMD_KIND_CONDITION, .open = options};
	return attach(client, &wish, ret_condition);
}

struct shmd_condition *shmd_condition_close(struct shmd_condition *condition)
{
	if (condition != NULL)
		shmdi_handle_close(condition, &condition->object);
	return NULL;
}

uint64_t shmd_condition_id(const struct shmd_condition *condition)
{
	return condition->object.is.id;
}

bool shmd_condition_created(const struct shmd_condition *condition)
{
	return condition->object.is.created;
}

/* ---- the mutex ---- */

int shmd_condition_lock(struct shmd_condition *condition, int64_t timeout_ns)
{
	return condition == NULL ? SHMD_E_INVALID : shmdi_object_lock(&condition->object, timeout_ns);
}

int shmd_condition_unlock(struct shmd_condition *condition)
{
	return condition == NULL ? SHMD_E_INVALID : shmdi_lock_release(&condition->object.lock);
}

int shmd_condition_mark_consistent(struct shmd_condition *condition)
{
	return condition == NULL ? SHMD_E_INVALID : shmdi_lock_mark_consistent(&condition->object.lock);
}

int shmd_condition_notice(const struct shmd_condition *condition, struct shmd_notice *ret_notice)
{
	if (condition == NULL || ret_notice == NULL)
		return SHMD_E_INVALID;
	return shmdi_lock_notice(&condition->object.lock, ret_notice);
}

/* ---- waiting and notifying ---- */

/* The futex: little endian, so the low half comes first. */
static uint32_t *low_half(uint64_t *word)
{
	return (uint32_t *)(void *)word;
}

/* 0 if this thread holds the mutex and the condition is there. */
static int held(const struct shmd_condition *condition)
{
	int result = shmdi_object_usable(&condition->object);
	return result < 0 ? result : shmdi_lock_held(&condition->object.lock);
}

/* Whether anybody has been woken since a waiter announced himself. Who finds the word as
 * he left it is announced still, whatever has woken him. */
static bool moved(const struct shmd_condition *condition, uint32_t announced)
{
	return (uint32_t)shmdi_load64(condition->word, SHMDI_RELAXED) != announced;
}

/* Sleeps until the word has moved. The mutex is free. Nobody who spins is counted as
 * woken, and he needs no wake. */
static int sleep_on(struct shmd_condition *condition, uint32_t announced, int64_t deadline_ns)
{
	uint32_t *word = low_half(condition->word);
	uint32_t *waiting = condition->object.waiting;
	shmdi_spin_while(word, UINT32_MAX, announced, &condition->spins);
	while (!moved(condition, announced)) {
		shmdi_add32(waiting, 1, SHMDI_RELAXED);
		int result = shmdi_sleep_on_word(word, announced, deadline_ns);
		shmdi_add32(waiting, UINT32_MAX, SHMDI_RELAXED);
		result = shmdi_slept(result, "a condition");
		if (result < 0)
			return result;
	}
	return 0;
}

/* Wakes all without the mutex. The bit stays: a stray one costs a call. */
static void alarm_all(struct shmd_condition *condition)
{
	shmdi_add64(condition->word, STEP, SHMDI_ACQ_REL);
	shmdi_futex_wake(low_half(condition->word), INT_MAX);
}

static int wait_until(struct shmd_condition *condition, int64_t deadline_ns)
{
	struct shmdi_lock *lock = &condition->object.lock;
	uint32_t announced = (uint32_t)shmdi_or64(condition->word, WAITERS, SHMDI_ACQ_REL) | (uint32_t)WAITERS;
	int result = shmdi_object_usable(&condition->object);
	if (result < 0)
		return result;
	uint32_t depth;
	result = shmdi_lock_suspend(lock, &depth);
	if (result < 0)
		return result;
	/* Nobody can notify under a poisoned mutex. */
	result = shmdi_lock_poisoned(lock) ? 0 : sleep_on(condition, announced, deadline_ns);
	bool slept = result != SHMD_E_TIMED_OUT && result != SHMD_E_CANCELLED;
	bool duty = slept && moved(condition, announced); /* a wake may have been consumed */
	bool ends = result == SHMD_E_CANCELLED; /* and the application is not asked again */
	int resumed = shmdi_lock_resume(lock, depth, &ends);
	if (resumed < 0 && (duty || resumed == SHMD_E_NOT_RECOVERABLE))
		alarm_all(condition); /* nobody else notifies those who wait still */
	if (resumed >= 0 && ends)
		return SHMD_E_CANCELLED; /* a notice is told by whoever locks next */
	if (resumed != 0)
		return resumed;
	int usable = shmdi_object_usable(&condition->object);
	return usable < 0 ? usable : result;
}

int shmd_condition_wait(struct shmd_condition *condition, int64_t timeout_ns)
{
	if (condition == NULL || timeout_ns < SHMD_FOREVER)
		return SHMD_E_INVALID;
	int result = held(condition);
	if (result < 0)
		return result;
	return timeout_ns == 0 ? SHMD_E_WOULD_BLOCK : wait_until(condition, shmdi_deadline(timeout_ns));
}

int shmd_condition_wait_for(struct shmd_condition *condition, bool (*predicate)(void *argument), void *argument,
                            int64_t timeout_ns)
{
	if (condition == NULL || predicate == NULL || timeout_ns < SHMD_FOREVER)
		return SHMD_E_INVALID;
	int result = held(condition);
	int64_t deadline_ns = result == 0 && timeout_ns != 0 ? shmdi_deadline(timeout_ns) : 0;
	while (result == 0) {
		if (predicate(argument))
			return 0;
		if (timeout_ns == 0)
			return SHMD_E_WOULD_BLOCK;
		result = wait_until(condition, deadline_ns);
	}
	if (result == SHMD_E_TIMED_OUT && predicate(argument))
		return 0;
	return result;
}

static int notify(struct shmd_condition *condition, int count)
{
	int result = held(condition);
	if (result < 0)
		return result;
	uint64_t *word = condition->word;
	if ((shmdi_load64(word, SHMDI_RELAXED) & WAITERS) == 0)
		return 0;
	shmdi_add64(word, STEP, SHMDI_RELAXED);
	if (shmdi_futex_wake(low_half(word), count) == count)
		return 0;
	shmdi_and64(word, ~WAITERS, SHMDI_RELAXED);
	if ((condition->object.lock.flags & SHMD_FLAG_UNLOCK_ANY) != 0)
		shmdi_futex_wake(low_half(word), INT_MAX); /* another may have unlocked, and somebody announced himself */
	return 0;
}

int shmd_condition_notify(struct shmd_condition *condition, uint32_t n)
{
	if (condition == NULL || n == 0)
		return SHMD_E_INVALID;
	return notify(condition, n > INT_MAX ? INT_MAX : (int)n);
}

int shmd_condition_notify_all(struct shmd_condition *condition)
{
	return condition == NULL ? SHMD_E_INVALID : notify(condition, INT_MAX);
}
