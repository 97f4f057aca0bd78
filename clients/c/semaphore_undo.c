/* SPDX-License-Identifier: Apache-2.0
 *
 * semaphore_undo.c - a semaphore whose permits belong to who holds them, the twin
 * of shm/semaphore_undo.go; model: sem_undo. What must not be changed:
 *   - the store to held or total is the commit, and what is derived comes after;
 *   - whoever got the latch from the dead derives anew first;
 *   - who wants one sleeps on one word, who wants more on another.
 *
 * Orders. The latch orders all of it, and a take with the releases before it (latch.h).
 * available is released for who only looks (shmd_semaphore_permits): he acquires it, and
 * finds the commit that it follows.
 */
#include "atomic.h"
#include "internal.h"
#include "latch.h"
#include "waitable.h"

#include <limits.h>

struct balance {
	uint32_t available;
	uint32_t total;
	uint32_t held; /* by us */
};

static void rebuild(struct shmd_semaphore *semaphore)
{
	struct shmd_semaphore_lines *lines = semaphore->lines;
	int64_t rest = shmdi_load32(&lines->total, SHMDI_RELAXED);
	for (uint32_t seat = 0; seat <= semaphore->object.is.seats_max; seat++)
		rest -= shmdi_load32(&semaphore->held[seat], SHMDI_RELAXED);
	shmdi_store32(&lines->available, rest > 0 ? (uint32_t)rest : 0, SHMDI_RELAXED);
}

/* Gives the latch back and says why. */
static int leave(struct shmd_semaphore *semaphore, int why)
{
	int result = shmdi_latch_release(&semaphore->latch);
	return result < 0 ? result : why;
}

/* Takes the latch and reads the words, which somebody hostile may have written.
 * After an error the latch is free. deadline_ns: 0 = not yet known. */
static inline int enter(struct shmd_semaphore *semaphore, int64_t timeout_ns, int64_t *deadline_ns,
                        struct balance *ret_balance)
{
	const struct shmd_semaphore_lines *lines = semaphore->lines;
	if (!shmdi_latch_try(&semaphore->latch)) {
		if (*deadline_ns == 0)
			*deadline_ns = shmdi_deadline(timeout_ns);
		uint32_t found;
		int result = shmdi_latch_wait(&semaphore->latch, SHMDI_LOOK_SELDOM, *deadline_ns, &found);
		if (result < 0)
			return result;
		if (result == SHMDI_STOLEN)
			rebuild(semaphore);
	}
	struct balance balance = {
		.available = shmdi_load32(&lines->available, SHMDI_RELAXED),
		.total = shmdi_load32(&lines->total, SHMDI_RELAXED),
		.held = shmdi_load32(semaphore->pool, SHMDI_RELAXED),
	};
	*ret_balance = balance;
	if (!SHMDI_LIKELY(shmdi_load32(semaphore->latch.state, SHMDI_RELAXED) == SHMD_STATE_LIVE)) {
		int why = shmdi_object_usable(&semaphore->object);
		if (why < 0)
			return leave(semaphore, why);
	}
	if (!SHMDI_LIKELY(balance.total <= semaphore->maximum && balance.available <= balance.total &&
	                  balance.held <= balance.total - balance.available)) {
		int why = shmdi_fail(SHMD_E_CORRUPT, "%u permits available, %u held by one client, %u in all, at most %u",
		                     balance.available, balance.held, balance.total, semaphore->maximum);
		return leave(semaphore, why);
	}
	return 0;
}

int shmdi_pool_acquire(struct shmd_semaphore *semaphore, uint32_t n, int64_t timeout_ns)
{
	struct shmd_semaphore_lines *lines = semaphore->lines;
	/* Even who only tries waits for the latch, which nobody living keeps. */
	int64_t deadline_ns = timeout_ns > 0 ? 0 : SHMDI_FOREVER_NS;
	bool duty = false;
	for (;;) {
		struct balance balance = {0};
		int result = enter(semaphore, timeout_ns, &deadline_ns, &balance);
		if (!SHMDI_LIKELY(result == 0)) {
			if (duty)
				shmdi_eventcount_wake(&lines->one, 1); /* the wake that we ate was somebody's */
			return result;
		}
		if (SHMDI_LIKELY(balance.available >= n)) {
			shmdi_store32(semaphore->pool, balance.held + n, SHMDI_RELAXED); /* the commit */
			/* In this order for whoever looks after our death. */
			shmdi_store32(&lines->available, balance.available - n, SHMDI_RELEASE);
			bool due = duty && shmdi_eventcount_settle(&lines->one, balance.available > n);
			result = shmdi_latch_release(&semaphore->latch);
			if (due)
				shmdi_eventcount_wake(&lines->one, 1);
			return result;
		}
		if (timeout_ns == 0)
			return leave(semaphore, SHMD_E_WOULD_BLOCK);
		uint64_t *event = n == 1 ? &lines->one : &lines->many;
		uint64_t announced = shmdi_eventcount_announce(event);
		result = shmdi_latch_release(&semaphore->latch);
		if (result < 0)
			return result;
		/* After the announcement: destroying stores the state, then moves the word. */
		if (shmdi_load32(semaphore->latch.state, SHMDI_RELAXED) == SHMD_STATE_REMOVED)
			return SHMD_E_REMOVED;
		if (deadline_ns == 0)
			deadline_ns = shmdi_deadline(timeout_ns);
		result = shmdi_eventcount_sleep(event, announced, semaphore->latch.waiting, deadline_ns, &duty);
		if (result < 0)
			return result;
		duty = duty && n == 1; /* whoever signals many wakes all */
	}
}

int shmdi_pool_arm(struct shmd_semaphore *semaphore, bool announce, int64_t deadline_ns, struct shmdi_sleep *ret_sleep)
{
	struct shmd_semaphore_lines *lines = semaphore->lines;
	struct balance balance = {0};
	int result = enter(semaphore, SHMD_FOREVER, &deadline_ns, &balance);
	if (result < 0)
		return result == SHMD_E_REMOVED ? SHMDI_READY : result;
	if (balance.available > 0)
		return leave(semaphore, SHMDI_READY);
	if (announce)
		*ret_sleep = shmdi_eventcount_sleeper(&lines->one);
	result = leave(semaphore, 0);
	/* After the announcement: destroying stores the state, then moves the word. */
	if (result == 0 && shmdi_load32(semaphore->latch.state, SHMDI_RELAXED) == SHMD_STATE_REMOVED)
		return SHMDI_READY;
	return result;
}

/* Makes n committed permits available, gives the latch back, and wakes. */
static inline int give(struct shmd_semaphore *semaphore, const struct balance *balance, uint32_t n)
{
	struct shmd_semaphore_lines *lines = semaphore->lines;
	shmdi_store32(&lines->available, balance->available + n, SHMDI_RELEASE);
	bool one = shmdi_eventcount_signal(&lines->one);
	bool many = shmdi_eventcount_signal(&lines->many);
	int result = shmdi_latch_release(&semaphore->latch);
	if (one)
		shmdi_eventcount_wake(&lines->one, (int)n);
	if (many)
		shmdi_eventcount_wake(&lines->many, INT_MAX);
	return result;
}

int shmdi_pool_release(struct shmd_semaphore *semaphore, uint32_t n)
{
	if (n == 0)
		return shmdi_fail(SHMD_E_INVALID, "0 permits; it must be at least 1");
	struct balance balance = {0};
	int64_t deadline_ns = SHMDI_FOREVER_NS;
	int result = enter(semaphore, SHMD_FOREVER, &deadline_ns, &balance);
	if (!SHMDI_LIKELY(result == 0))
		return result;
	if (!SHMDI_LIKELY(n <= balance.held))
		return leave(semaphore, shmdi_fail(SHMD_E_NOT_OWNER, "%u permits to release, and this client holds %u", n,
		                                   balance.held));
	shmdi_store32(semaphore->pool, balance.held - n, SHMDI_RELAXED); /* the commit */
	return give(semaphore, &balance, n);
}

int shmdi_pool_post(struct shmd_semaphore *semaphore, uint32_t n)
{
	if (n == 0)
		return shmdi_fail(SHMD_E_INVALID, "0 permits; it must be at least 1");
	struct balance balance = {0};
	int64_t deadline_ns = SHMDI_FOREVER_NS;
	int result = enter(semaphore, SHMD_FOREVER, &deadline_ns, &balance);
	if (!SHMDI_LIKELY(result == 0))
		return result;
	if (n > semaphore->maximum || balance.total > semaphore->maximum - n)
		return leave(semaphore, shmdi_fail(SHMD_E_OVERFLOW, "%u more permits than the %u there are; the maximum is %u",
		                                   n, balance.total, semaphore->maximum));
	shmdi_store32(&semaphore->lines->total, balance.total + n, SHMDI_RELAXED); /* the commit */
	return give(semaphore, &balance, n);
}
