/* SPDX-License-Identifier: Apache-2.0
 *
 * change.h - the change word of a value or array: an eventcount. See
 * tests/models/value.pml and eventcount.pml. The change comes first, its bump
 * second; the waiters bit is cleared by whoever wakes, so that one past wait
 * does not cost a system call for ever.
 *
 * Orders. A bump releases the change before it, and the state of a destroyed object;
 * whoever loads the word, or announces himself in it, acquires that before he reads the
 * data. An announcement and a bump are read-modify-writes of one word, so one comes
 * first: the bump sees the waiter, or the waiter the change.
 */
#ifndef SHMDI_CHANGE_H
#define SHMDI_CHANGE_H

#include "atomic.h"
#include "internal.h"

SHMDI_INLINE uint64_t *shmdi_change_word(const struct shmdi_object *object)
{
	return &object->segment.page->change.word;
}

/* change.c: clears the bit, and wakes all. */
void shmdi_change_wake(struct shmdi_object *object) __attribute__((visibility("hidden")));

SHMDI_INLINE void shmdi_change_bump(struct shmdi_object *object)
{
	uint64_t old = shmdi_add64(shmdi_change_word(object), SHMD_CHANGE_STEP, SHMDI_ACQ_REL);
	if (!SHMDI_LIKELY((old & SHMD_CHANGE_WAITERS) == 0))
		shmdi_change_wake(object);
}

#endif /* SHMDI_CHANGE_H */
