/* SPDX-License-Identifier: Apache-2.0
 *
 * asleep.h - waits for threads of this process to sleep in an object.
 */
#ifndef SHMD_PROBE_ASLEEP_H
#define SHMD_PROBE_ASLEEP_H

#include "../../../clients/c/internal.h"

#include <sched.h>

/* Until so many threads of the client sleep, as its seat cell says. */
static inline void until_asleep(const struct shmdi_object *object, uint32_t threads)
{
	while (__atomic_load_n(object->waiting, __ATOMIC_RELAXED) != threads)
		sched_yield();
}

#endif /* SHMD_PROBE_ASLEEP_H */
