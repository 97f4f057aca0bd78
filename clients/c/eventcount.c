/* SPDX-License-Identifier: Apache-2.0
 *
 * eventcount.c - sleeping on an eventcount, the twin of shm/eventcount.go.
 * tests/models/eventcount.pml states how it works together with a latch, latch.h what
 * its orders pair with.
 */
#include "internal.h"
#include "latch.h"

#include <limits.h>

/* The futex: little endian, so the low half comes first. */
static uint32_t *low_half(uint64_t *event)
{
	return (uint32_t *)(void *)event;
}

void shmdi_eventcount_wake(uint64_t *event, int count)
{
	shmdi_futex_wake(low_half(event), count);
}

bool shmdi_eventcount_clear(uint64_t *event)
{
	for (;;) {
		uint64_t old = shmdi_load64(event, SHMDI_RELAXED);
		if ((old & SHMD_EVENTCOUNT_WAITERS) == 0)
			return false; /* another has, and woke for his event: who that was looks for ours */
		if (shmdi_cas64(event, old, old + 1, SHMDI_RELAXED))
			return true;
	}
}

void shmdi_eventcount_alarm(uint64_t *event)
{
	/* The count moves and the bit is cleared in one store: between two, somebody could
	 * announce himself on a word that nobody then moves. */
	for (;;) {
		uint64_t old = shmdi_load64(event, SHMDI_RELAXED);
		if (shmdi_cas64(event, old, (old | SHMD_EVENTCOUNT_WAITERS) + 1, SHMDI_ACQ_REL))
			break;
	}
	shmdi_eventcount_wake(event, INT_MAX);
}

int shmdi_eventcount_sleep(uint64_t *event, uint64_t announced, uint32_t *waiting, int64_t deadline_ns, bool *ret_duty)
{
	shmdi_add32(waiting, 1, SHMDI_RELAXED);
	int result = shmdi_sleep_on_word(low_half(event), (uint32_t)announced, deadline_ns);
	shmdi_add32(waiting, UINT32_MAX, SHMDI_RELAXED);
	*ret_duty = result == 0;
	return shmdi_slept(result, "an event");
}
