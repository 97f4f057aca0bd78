/* SPDX-License-Identifier: Apache-2.0
 *
 * futex_linux.c - sleeping on a shared word, and the clock that bounds it.
 *
 * Always process-shared. Timeouts are absolute on CLOCK_MONOTONIC, so a wait that
 * a signal interrupted is simply repeated.
 */
#define _GNU_SOURCE
#include "internal.h"
#include "waitable.h"

#include <errno.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S 1000000000

int64_t shmdi_now_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * NS_PER_S + now.tv_nsec;
}

int64_t shmdi_deadline(int64_t timeout_ns)
{
	int64_t deadline_ns;
	if (timeout_ns < 0 || __builtin_add_overflow(shmdi_now_ns(), timeout_ns, &deadline_ns))
		return SHMDI_FOREVER_NS;
	return deadline_ns;
}

/* The deadline as the kernel wants it, in *until; NULL = none. */
static struct timespec *limit_of(int64_t deadline_ns, struct timespec *until)
{
	if (deadline_ns == SHMDI_FOREVER_NS)
		return NULL;
	until->tv_sec = (time_t)(deadline_ns / NS_PER_S);
	until->tv_nsec = (long)(deadline_ns % NS_PER_S);
	return until;
}

bool shmdi_expired(int64_t deadline_ns)
{
	return deadline_ns != SHMDI_FOREVER_NS && shmdi_now_ns() >= deadline_ns;
}

int shmdi_futex_wait(uint32_t *word, uint32_t expected, int64_t deadline_ns)
{
	struct timespec until;
	int saved = errno;
	int result = 0;
	if (syscall(SYS_futex, word, FUTEX_WAIT_BITSET, expected, limit_of(deadline_ns, &until), NULL,
	            FUTEX_BITSET_MATCH_ANY) < 0)
		result = -errno;
	errno = saved;
	return result;
}

/* struct futex_waitv of the kernel; older headers lack it. */
struct waiter {
	uint64_t value;
	uint64_t address;
	uint32_t flags;
	uint32_t reserved;
};

#define WAITERS_MAX 128u
#define SIZE_U32 2u /* FUTEX2_SIZE_U32, without FUTEX2_PRIVATE */
#define SYSTEM_CALL_WAITV 449

int shmdi_futex_wait_any(const struct shmdi_sleep *sleeps, size_t count, int64_t deadline_ns)
{
	struct waiter waiters[WAITERS_MAX];
	for (size_t i = 0; i < count; i++)
		waiters[i] = (struct waiter){
			.value = sleeps[i].expected, .address = (uint64_t)(uintptr_t)sleeps[i].word, .flags = SIZE_U32};
	struct timespec until;
	int saved = errno;
	int result = 0;
	if (syscall(SYSTEM_CALL_WAITV, waiters, count, 0, limit_of(deadline_ns, &until), CLOCK_MONOTONIC) < 0)
		result = -errno;
	errno = saved;
	return result;
}

int shmdi_futex_wake(uint32_t *word, int count)
{
	int saved = errno;
	long woken = syscall(SYS_futex, word, FUTEX_WAKE, count, NULL, NULL, 0);
	errno = saved;
	return woken < 0 ? 0 : (int)woken;
}
