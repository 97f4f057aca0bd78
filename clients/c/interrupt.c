/* SPDX-License-Identifier: Apache-2.0
 *
 * interrupt.c - the sleeps of public waits, which the application may end: before each
 * one its function is asked. A signal ends a sleep, the wait looks at its word, and before
 * it sleeps again the function is asked again; so there is no other place to ask at.
 *
 * Whoever is told -ECANCELED has not slept and owes what he owed before. Latches are waited
 * for without asking: nobody living keeps one.
 */
#include "internal.h"
#include "waitable.h"

#include <errno.h>
#include <string.h>

static int (*interrupted)(void *argument);
static void *interrupt_argument;

void shmd_set_interrupt(int (*function)(void *argument), void *argument)
{
	__atomic_store_n(&interrupt_argument, argument, __ATOMIC_RELAXED);
	__atomic_store_n(&interrupted, function, __ATOMIC_RELEASE); /* pairs with shmdi_interrupted */
}

bool shmdi_interrupted(void)
{
	int (*function)(void *) = __atomic_load_n(&interrupted, __ATOMIC_ACQUIRE);
	if (SHMDI_LIKELY(function == NULL))
		return false;
	int saved = errno;
	bool ends = function(__atomic_load_n(&interrupt_argument, __ATOMIC_RELAXED)) != 0;
	errno = saved;
	return ends;
}

int shmdi_sleep_on_word(uint32_t *word, uint32_t expected, int64_t deadline_ns)
{
	return shmdi_interrupted() ? -ECANCELED : shmdi_futex_wait(word, expected, deadline_ns);
}

int shmdi_slept(int result, const char *what)
{
	switch (result) {
	case 0:
	case -EINTR:
	case -EAGAIN: return 0;
	case -ETIMEDOUT: return SHMD_E_TIMED_OUT;
	case -ECANCELED: return SHMD_E_CANCELLED;
	default: return shmdi_fail(SHMD_E_SYSTEM, "waiting for %s: %s", what, strerror(-result));
	}
}
