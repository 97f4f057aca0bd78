/* SPDX-License-Identifier: Apache-2.0
 *
 * waitable.h - what can be waited for with others: what waitable.c, pollable.c and the
 * kinds share.
 */
#ifndef SHMDI_WAITABLE_H
#define SHMDI_WAITABLE_H

#include "internal.h"

#pragma GCC visibility push(hidden)

/* A futex wait to be: while *word is expected. */
struct shmdi_sleep {
	uint32_t *word;
	uint32_t expected;
	int64_t look_ns; /* when to look again at the latest, though nobody wakes; 0 = never */
};

#define SHMDI_READY 1 /* a try may succeed, or would say why it never will */

/* 0, or why the item cannot be waited for: INVALID, PERMISSION, FORKED. */
int shmdi_waitable_check(const struct shmd_waitable *item);
/* Looks: SHMDI_READY, 0, or an error, TIMED_OUT if a latch was held up to the deadline.
 * 0: if announce, a waiter is announced and *ret_sleep is what to sleep on. */
int shmdi_waitable_arm(const struct shmd_waitable *item, bool announce, int64_t deadline_ns,
                       struct shmdi_sleep *ret_sleep);
/* Wakes whoever would have got the wake that such a waiter may have consumed. */
void shmdi_waitable_pass(const struct shmd_waitable *item);
/* Counts the waiter in (1) or out (UINT32_MAX), for stat. */
void shmdi_waitable_count(const struct shmd_waitable *item, uint32_t delta);

/* A wait begins: an event that is set from now on ends it. */
void shmdi_waitable_begin(struct shmd_waitable *item);
/* Begins again: what was waited for has been seen, and a change from now on counts. */
void shmdi_waitable_renew(struct shmd_waitable *item);

/* futex_linux.c: sleeps while every word is expected. As shmdi_futex_wait, and -ENOSYS
 * before Linux 5.16. count is at most 128. */
int shmdi_futex_wait_any(const struct shmdi_sleep *sleeps, size_t count, int64_t deadline_ns);

/* semaphore_undo.c: the same for one permit, under the latch. */
int shmdi_pool_arm(struct shmd_semaphore *semaphore, bool announce, int64_t deadline_ns, struct shmdi_sleep *ret_sleep);

#pragma GCC visibility pop

#endif /* SHMDI_WAITABLE_H */
