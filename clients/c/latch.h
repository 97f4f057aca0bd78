/* SPDX-License-Identifier: Apache-2.0
 *
 * latch.h - the fast paths of the latch and of the eventcounts under it, inlined
 * into every latched operation. The rules stand in shmd_abi.h.
 *
 * Orders. Whoever takes the latch acquires what whoever gave it back released, so that
 * words under it need no more, but for those that are read beside it, which say so. Who
 * takes it from the dead reads what the kernel has seen arrive; that a daemon is dead is
 * known from its successor's epoch, hence acquired (pairs with the store of the epoch).
 * An eventcount moves under the latch or, by the daemon, after a store that whoever
 * announces himself later acquires: the announcement pairs with alarm, which is the state
 * of a destroyed object, then the word. The kernel compares the word under its own lock,
 * and a wake comes after the move in one thread, so that the move needs no order itself.
 *
 * Across two latches: who has added an entry looks at the eventcount, who has announced
 * himself looks for the entry. All four are sequentially consistent, but for the store of
 * the entry where the release of the latch after it is a full barrier; so the release is
 * sequentially consistent too (queue_ring.h).
 */
#ifndef SHMDI_LATCH_H
#define SHMDI_LATCH_H

#include "atomic.h"
#include "internal.h"
#include "waitable.h"

#define SHMDI_STOLEN 1 /* taken from a daemon that is gone: rebuild the derived state */

/* Nobody has it, or a daemon whose successor has written its own epoch. */
SHMDI_INLINE bool shmdi_latch_is_free(const struct shmdi_latch *latch, uint32_t word)
{
	if ((word & SHMD_OWNER_MASK) == 0)
		return true;
	return (word & SHMD_OWNER_SEAT_MASK) == SHMD_SEAT_DAEMON &&
	       (word & SHMD_OWNER_MASK) >> SHMD_OWNER_GENERATION_SHIFT < shmdi_load32(latch->epoch, SHMDI_ACQUIRE);
}

/* Whether it was free and is now ours. */
SHMDI_INLINE bool shmdi_latch_try(struct shmdi_latch *latch)
{
	return SHMDI_LIKELY(shmdi_cas32(latch->word, 0, latch->me, SHMDI_ACQUIRE));
}

/* Gives it back and wakes one waiter. Errors: CORRUPT, for a word that somebody
 * else has changed. */
SHMDI_INLINE int shmdi_latch_release(struct shmdi_latch *latch)
{
	if (SHMDI_LIKELY(shmdi_cas32(latch->word, latch->me, 0, SHMDI_SEQ_CST)))
		return 0;
	return shmdi_latch_put_back(latch, 0);
}

/* ---- eventcount; the latch is held but for wake and sleep ---- */

/* What to sleep on. Look at the state after the latch is free again, and across two
 * latches, before it is, for what is waited for. */
SHMDI_INLINE uint64_t shmdi_eventcount_announce(uint64_t *event)
{
	return shmdi_or64(event, SHMD_EVENTCOUNT_WAITERS, SHMDI_SEQ_CST) | SHMD_EVENTCOUNT_WAITERS;
}

/* The same, as a sleep to be: the futex is the low half, little endian. */
SHMDI_INLINE struct shmdi_sleep shmdi_eventcount_sleeper(uint64_t *event)
{
	return (struct shmdi_sleep){(uint32_t *)(void *)event, (uint32_t)shmdi_eventcount_announce(event), 0};
}

/* Announces what is committed; true = wake when the latch is free. */
SHMDI_INLINE bool shmdi_eventcount_signal(uint64_t *event)
{
	if (SHMDI_LIKELY((shmdi_load64(event, SHMDI_RELAXED) & SHMD_EVENTCOUNT_WAITERS) == 0))
		return false;
	shmdi_add64(event, 1, SHMDI_RELAXED); /* odd to even: the next count, and the bit is clear */
	return true;
}

/* The duty of who was woken and has taken: others may sleep unannounced. more =
 * there is something left for them. true = wake 1 when the latch is free. */
SHMDI_INLINE bool shmdi_eventcount_settle(uint64_t *event, bool more)
{
	shmdi_or64(event, SHMD_EVENTCOUNT_WAITERS, SHMDI_RELAXED);
	if (more)
		shmdi_add64(event, 1, SHMDI_RELAXED);
	return more;
}

/* Across two latches, and without one: signals what has happened so many times, and wakes
 * as many. */
SHMDI_INLINE void shmdi_eventcount_tell(uint64_t *event, uint32_t times)
{
	if (!SHMDI_LIKELY((shmdi_load64(event, SHMDI_SEQ_CST) & SHMD_EVENTCOUNT_WAITERS) == 0) &&
	    shmdi_eventcount_clear(event))
		shmdi_eventcount_wake(event, (int)times);
}

#endif /* SHMDI_LATCH_H */
