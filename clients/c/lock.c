/* SPDX-License-Identifier: Apache-2.0
 *
 * lock.c - the lock: an owner word with a waiters and an inconsistent bit.
 * tests/models/mutex.pml states it (POISON_TAKE for strict locks) and says what
 * each line is for; what must not be changed:
 *   - who has slept takes the word with the waiters bit kept;
 *   - who was woken and leaves passes the wake on (the leaving duty);
 *   - the token is cleared before the word is released;
 *   - the word is released by compare-and-swap: it may have been removed.
 *
 * Orders. Taking the word acquires what letting it go released: the data, depth 0, token
 * 0, the poison, and what recovery wrote of a death. Setting the waiters bit is relaxed:
 * as a read-modify-write it passes on what was released into the word before. Others may
 * see the token of a new holder before they see him in the word. That does no harm: only
 * a thread itself stores its token, clears it before it lets go, and never reads back an
 * older value of its own; so who finds his client in the word and his token beside it
 * does hold the lock, and who holds it finds them.
 */
#define _GNU_SOURCE
#include "atomic.h"
#include "internal.h"
#include "spin.h"

#include <errno.h>
#include <sched.h>
#include <unistd.h>

#define WAITERS SHMD_OWNER_WAITERS
#define INCONSISTENT SHMD_OWNER_INCONSISTENT
/* A pause takes 10 to 50 ns: at most some 10 us, about two futex calls. */
#define SPIN_MAX 160u
#define PAUSES_MAX 32u /* between two looks */

uint32_t shmdi_spin_max(void)
{
	static uint32_t cached; /* 0 = not yet known; else 1 + the number */
	uint32_t known = __atomic_load_n(&cached, __ATOMIC_RELAXED);
	if (known == 0) {
		known = 1 + (sysconf(_SC_NPROCESSORS_ONLN) > 1 ? SPIN_MAX : 0);
		__atomic_store_n(&cached, known, __ATOMIC_RELAXED);
	}
	return known - 1;
}

bool shmdi_spin_may_probe(void)
{
	cpu_set_t allowed;
	return sched_getaffinity(0, sizeof allowed, &allowed) == 0 && CPU_COUNT(&allowed) > 1;
}

static inline uint32_t owner(uint32_t word)
{
	return word & SHMD_OWNER_MASK;
}

static inline bool unlock_any(const struct shmdi_lock *lock)
{
	return (lock->flags & SHMD_FLAG_UNLOCK_ANY) != 0;
}

/* Of this thread; before it has taken a lock, one that stands in no lock. */
static inline uint64_t token(const struct shmdi_lock *lock)
{
	return (uint64_t)lock->me << 32 | shmdi_serial;
}

/* unlock_any: whether our client took it; it has no threads. */
static inline bool held_here(const struct shmdi_lock *lock, uint32_t word)
{
	return owner(word) == lock->me &&
	       (unlock_any(lock) || shmdi_load64(&lock->shared->token, SHMDI_RELAXED) == token(lock));
}

/* Whether the lock may be touched. */
static inline int touchable(const struct shmdi_lock *lock)
{
	if (!SHMDI_LIKELY(shmdi_fork_same(lock->generation)))
		return SHMD_E_FORKED;
	return SHMDI_LIKELY(lock->shared != NULL) ? 0 : lock->refusal;
}

/* Token first, then the word, which was old a moment ago. */
static __attribute__((noinline)) int let_go(struct shmdi_lock *lock, uint32_t old)
{
	struct shmd_lock *shared = lock->shared;
	uint32_t holder = owner(old);
	if (!unlock_any(lock))
		shmdi_store64(&shared->token, 0, SHMDI_RELAXED);
	for (;;) {
		if ((lock->flags & SHMD_FLAG_STRICT) != 0 && (old & INCONSISTENT) != 0)
			shmdi_store32(&shared->poisoned, 1, SHMDI_RELAXED);
		if (SHMDI_LIKELY(shmdi_cas32(&shared->word, old, old & INCONSISTENT, SHMDI_RELEASE)))
			break;
		old = shmdi_load32(&shared->word, SHMDI_RELAXED);
		if (owner(old) == SHMD_OWNER_REMOVED)
			return SHMD_E_REMOVED;
		if (owner(old) != holder)
			return SHMD_E_NOT_OWNER; /* unlock_any: another was faster */
	}
	if (!SHMDI_LIKELY((old & WAITERS) == 0))
		shmdi_futex_wake(&shared->word, 1);
	return 0;
}

/* The word was old and is now mine. The poison is looked at only after the take:
 * before it, another may poison between the look and the compare-and-swap. */
static int taken(struct shmdi_lock *lock, uint32_t old, uint32_t mine)
{
	if (!unlock_any(lock))
		shmdi_store64(&lock->shared->token, token(lock), SHMDI_RELAXED);
	if ((old & INCONSISTENT) == 0)
		return 0;
	if (shmdi_lock_poisoned(lock)) {
		(void)let_go(lock, mine); /* only a destroyed lock refuses, and then nothing is owed */
		return SHMD_E_NOT_RECOVERABLE;
	}
	return SHMD_OWNER_DIED;
}

static int again(struct shmdi_lock *lock, uint32_t old)
{
	if ((lock->flags & SHMD_FLAG_RECURSIVE) == 0)
		return SHMD_E_DEADLOCK;
	uint32_t depth = shmdi_load32(&lock->shared->depth, SHMDI_RELAXED);
	if (depth >= SHMDI_DEPTH_MAX)
		return SHMD_E_OVERFLOW;
	shmdi_store32(&lock->shared->depth, depth + 1, SHMDI_RELAXED);
	return (old & INCONSISTENT) != 0 ? SHMD_OWNER_DIED : 0;
}

/* Waits a moment for the word to become free, looking at it ever more seldom: who looks
 * takes the line from the owner, who is about to write it. */
static void spin(const uint32_t *word, uint32_t *spins)
{
	uint32_t limit = shmdi_spin_limit(spins);
	uint32_t turns = 0, pauses = 1;
	while (turns < limit) {
		uint32_t who = owner(shmdi_load32(word, SHMDI_RELAXED));
		if (who == 0 || who == SHMD_OWNER_REMOVED)
			break;
		for (uint32_t i = 0; i < pauses; i++)
			shmdi_pause();
		turns += pauses;
		pauses = pauses < PAUSES_MAX ? 2 * pauses : pauses;
	}
	if (limit != 0)
		shmdi_spin_learn(spins, turns < limit ? turns : limit, limit);
}

/* *postponed, if it is there, becomes true where the application would end the wait, which
 * then goes on. */
static __attribute__((noinline)) int acquire_slowly(struct shmdi_lock *lock, int64_t timeout_ns, bool *postponed)
{
	uint32_t *word = &lock->shared->word;
	uint32_t keep = 0;
	bool woken = false;
	int64_t deadline_ns = 0;

	uint32_t old = shmdi_load32(word, SHMDI_RELAXED);
	if (!unlock_any(lock) && held_here(lock, old))
		return again(lock, old);
	if (timeout_ns != 0) {
		deadline_ns = shmdi_deadline(timeout_ns);
		spin(word, &lock->spins);
	}
	for (;;) {
		old = shmdi_load32(word, SHMDI_RELAXED);
		if (owner(old) == SHMD_OWNER_REMOVED)
			return SHMD_E_REMOVED;
		if (owner(old) == 0) {
			uint32_t mine = lock->me | keep | (old & (WAITERS | INCONSISTENT));
			if (!shmdi_cas32(word, old, mine, SHMDI_ACQUIRE))
				continue;
			return taken(lock, old, mine);
		}
		if (timeout_ns == 0)
			return SHMD_E_WOULD_BLOCK;
		bool leave = woken && shmdi_expired(deadline_ns);
		if ((old & WAITERS) == 0) {
			if (!shmdi_cas32(word, old, old | WAITERS, SHMDI_RELAXED))
				continue;
			old |= WAITERS;
		}
		if (leave)
			return SHMD_E_TIMED_OUT;
		keep = WAITERS;
		shmdi_add32(lock->waiting, 1, SHMDI_RELAXED);
		bool asks = postponed == NULL || !*postponed;
		int result = asks ? shmdi_sleep_on_word(word, old, deadline_ns) : shmdi_futex_wait(word, old, deadline_ns);
		shmdi_add32(lock->waiting, UINT32_MAX, SHMDI_RELAXED);
		woken = result == 0;
		if (result == -ECANCELED && postponed != NULL) {
			result = touchable(lock); /* the application may have forked */
			if (result < 0)
				return result;
			*postponed = true;
			continue;
		}
		result = shmdi_slept(result, "a lock");
		if (result < 0)
			return result;
	}
}

static inline int take(struct shmdi_lock *lock, int64_t timeout_ns, bool *postponed)
{
	struct shmd_lock *shared = lock->shared;
	if (!SHMDI_LIKELY(shmdi_cas32(&shared->word, 0, lock->me, SHMDI_ACQUIRE)))
		return acquire_slowly(lock, timeout_ns, postponed);
	if (SHMDI_LIKELY(!unlock_any(lock)))
		shmdi_store64(&shared->token, token(lock), SHMDI_RELAXED);
	return 0;
}

/* The first lock of this thread, or one that may not be touched. */
static __attribute__((noinline)) int acquire_first(struct shmdi_lock *lock, int64_t timeout_ns, bool *postponed)
{
	int result = touchable(lock);
	if (result < 0)
		return result;
	if (timeout_ns < SHMD_FOREVER)
		return SHMD_E_INVALID;
	(void)shmdi_thread_enroll();
	return take(lock, timeout_ns, postponed);
}

static inline int acquire(struct shmdi_lock *lock, int64_t timeout_ns, bool *postponed)
{
	if (!SHMDI_LIKELY(shmdi_fork_same(lock->generation) && lock->shared != NULL && timeout_ns >= SHMD_FOREVER &&
	                  shmdi_serial != 0))
		return acquire_first(lock, timeout_ns, postponed);
	return take(lock, timeout_ns, postponed);
}

int shmdi_lock_acquire(struct shmdi_lock *lock, int64_t timeout_ns)
{
	return acquire(lock, timeout_ns, NULL);
}

int shmdi_lock_held(const struct shmdi_lock *lock)
{
	int result = touchable(lock);
	if (result < 0)
		return result;
	uint32_t word = shmdi_load32(&lock->shared->word, SHMDI_RELAXED);
	if (owner(word) == SHMD_OWNER_REMOVED)
		return SHMD_E_REMOVED;
	return held_here(lock, word) ? 0 : SHMD_E_NOT_OWNER;
}

static __attribute__((noinline)) int release_slowly(struct shmdi_lock *lock)
{
	int result = touchable(lock);
	if (result < 0)
		return result;
	uint32_t old = shmdi_load32(&lock->shared->word, SHMDI_RELAXED);
	if (!held_here(lock, old)) {
		if (owner(old) == SHMD_OWNER_REMOVED)
			return SHMD_E_REMOVED;
		if (!unlock_any(lock) || owner(old) == 0)
			return SHMD_E_NOT_OWNER;
	}
	if (!unlock_any(lock)) {
		uint32_t depth = shmdi_load32(&lock->shared->depth, SHMDI_RELAXED);
		if (depth != 0) {
			shmdi_store32(&lock->shared->depth, depth - 1, SHMDI_RELAXED);
			return 0;
		}
	}
	if (shmdi_load32(lock->write_depth, SHMDI_RELAXED) != 0)
		return SHMD_E_INVALID;
	return let_go(lock, old);
}

/* Whether this thread holds the lock once, and nobody waits for it, nor is anything said of it. */
static inline bool held_only(const struct shmdi_lock *lock)
{
	const struct shmd_lock *shared = lock->shared;
	return shmdi_fork_same(lock->generation) && shared != NULL && !unlock_any(lock) &&
	       shmdi_load32(&shared->word, SHMDI_RELAXED) == lock->me &&
	       shmdi_load64(&shared->token, SHMDI_RELAXED) == token(lock) &&
	       shmdi_load32(&shared->depth, SHMDI_RELAXED) == 0 && shmdi_load32(lock->write_depth, SHMDI_RELAXED) == 0;
}

int shmdi_lock_release(struct shmdi_lock *lock)
{
	if (!SHMDI_LIKELY(held_only(lock)))
		return release_slowly(lock);
	/* As let_go does it. */
	shmdi_store64(&lock->shared->token, 0, SHMDI_RELAXED);
	if (SHMDI_LIKELY(shmdi_cas32(&lock->shared->word, lock->me, 0, SHMDI_RELEASE)))
		return 0;
	return let_go(lock, lock->me); /* somebody waits by now */
}

int shmdi_lock_suspend(struct shmdi_lock *lock, uint32_t *ret_depth)
{
	int result = shmdi_lock_held(lock);
	if (result < 0)
		return result;
	struct shmd_lock *shared = lock->shared;
	uint32_t old = shmdi_load32(&shared->word, SHMDI_RELAXED);
	uint32_t depth = unlock_any(lock) ? 0 : shmdi_load32(&shared->depth, SHMDI_RELAXED);
	if (depth != 0)
		shmdi_store32(&shared->depth, 0, SHMDI_RELAXED);
	*ret_depth = depth;
	return let_go(lock, old);
}

bool shmdi_lock_poisoned(const struct shmdi_lock *lock)
{
	return (lock->flags & SHMD_FLAG_STRICT) != 0 && shmdi_load32(&lock->shared->poisoned, SHMDI_RELAXED) != 0;
}

int shmdi_lock_resume(struct shmdi_lock *lock, uint32_t depth, bool *postponed)
{
	int result = acquire(lock, SHMD_FOREVER, postponed);
	if (result >= 0 && depth != 0)
		shmdi_store32(&lock->shared->depth, depth, SHMDI_RELAXED);
	return result;
}

int shmdi_lock_give_back(struct shmdi_lock *lock)
{
	uint32_t old = shmdi_load32(&lock->shared->word, SHMDI_RELAXED);
	if (owner(old) == SHMD_OWNER_REMOVED)
		return SHMD_E_REMOVED;
	return owner(old) == lock->me ? let_go(lock, old) : SHMD_E_NOT_OWNER;
}

int shmdi_lock_mark_consistent(struct shmdi_lock *lock)
{
	int result = touchable(lock);
	if (result < 0)
		return result;
	uint32_t *word = &lock->shared->word;
	for (;;) {
		uint32_t old = shmdi_load32(word, SHMDI_RELAXED);
		if (owner(old) == SHMD_OWNER_REMOVED)
			return SHMD_E_REMOVED;
		if (unlock_any(lock) ? owner(old) == 0 : !held_here(lock, old))
			return SHMD_E_NOT_OWNER;
		if ((old & INCONSISTENT) == 0 || shmdi_cas32(word, old, old & ~INCONSISTENT, SHMDI_RELEASE))
			return 0;
	}
}

int shmdi_lock_notice(const struct shmdi_lock *lock, struct shmd_notice *ret_notice)
{
	int result = touchable(lock);
	if (result < 0)
		return result;
	shmdi_notice_read(&lock->shared->death, ret_notice);
	return 0;
}

void shmdi_notice_read(const struct shmd_death *death, struct shmd_notice *ret_notice)
{
	*ret_notice = (struct shmd_notice){
		.deaths = shmdi_load32(&death->count, SHMDI_ACQUIRE),
		.seat = shmdi_load32(&death->owner, SHMDI_RELAXED) & SHMD_OWNER_SEAT_MASK,
		.pid = shmdi_load32(&death->pid, SHMDI_RELAXED),
		.uid = shmdi_load32(&death->uid, SHMDI_RELAXED),
		.died_realtime_ns = shmdi_load64(&death->realtime_ns, SHMDI_RELAXED),
	};
}
