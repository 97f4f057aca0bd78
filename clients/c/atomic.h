/* SPDX-License-Identifier: Apache-2.0
 *
 * atomic.h - the only way to shared bytes.
 *
 * Every load and store of a segment is one of these, so that a build with
 * -DSHMD_REPLAY can log all stores: it calls shmd_replay_hook after each with
 * the value before and after. A word is loaded once and used from a local.
 *
 * Two kinds of order. That of the argument is for the living, and its partner is named
 * where it is not relaxed. Whoever looks after our death sees a prefix of our stores as
 * the source has them, whatever their order: the kernel tells a death when all stores of
 * the dead have arrived, and a fence before each, for the compiler alone, keeps them in
 * place.
 */
#ifndef SHMDI_ATOMIC_H
#define SHMDI_ATOMIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if __GCC_ATOMIC_INT_LOCK_FREE != 2 || __GCC_ATOMIC_LLONG_LOCK_FREE != 2
#error "atomics of 4 and 8 bytes must not need libatomic, whose locks belong to one process"
#endif

#define SHMDI_RELAXED __ATOMIC_RELAXED
#define SHMDI_ACQUIRE __ATOMIC_ACQUIRE
#define SHMDI_RELEASE __ATOMIC_RELEASE
#define SHMDI_ACQ_REL __ATOMIC_ACQ_REL
#define SHMDI_SEQ_CST __ATOMIC_SEQ_CST

/* Inlined even unoptimised: the memory order has to be a constant. */
#define SHMDI_INLINE static inline __attribute__((always_inline, unused))

#ifdef SHMD_REPLAY
/* Provided by the test program. */
void shmd_replay_hook(void *address, size_t size, uint64_t old_value, uint64_t new_value);
#define SHMDI_LOG(p, before, after) shmd_replay_hook((p), sizeof *(p), (uint64_t)(before), (uint64_t)(after))
#else
#define SHMDI_LOG(p, before, after) ((void)(p), (void)(before), (void)(after))
#endif

#define SHMDI_IN_PLACE() __atomic_signal_fence(__ATOMIC_RELEASE)

#ifdef SHMD_REPLAY
#define SHMDI_STORE(T, p, x, order)                                                                 \
	do {                                                                                            \
		T before = __atomic_exchange_n((p), (x), __ATOMIC_SEQ_CST);                                 \
		SHMDI_LOG((p), before, (x));                                                                \
	} while (0)
#else
#define SHMDI_STORE(T, p, x, order) __atomic_store_n((p), (x), (order))
#endif

#define SHMDI_DEFINE_PLAIN(bits, T)                                                                 \
	SHMDI_INLINE T shmdi_load##bits(const T *p, int order) { return __atomic_load_n(p, order); }    \
	SHMDI_INLINE void shmdi_store##bits(T *p, T x, int order)                                       \
	{                                                                                               \
		(void)order;                                                                                \
		SHMDI_IN_PLACE();                                                                           \
		SHMDI_STORE(T, p, x, order);                                                                \
	}

/* cas: a failure orders nothing, the caller loads again. The others return the value before. */
#define SHMDI_DEFINE_MODIFY(bits, T)                                                                \
	SHMDI_INLINE bool shmdi_cas##bits(T *p, T expected, T desired, int order)                       \
	{                                                                                               \
		T seen = expected;                                                                          \
		SHMDI_IN_PLACE();                                                                           \
		bool swapped = __atomic_compare_exchange_n(p, &seen, desired, false, order, __ATOMIC_RELAXED); \
		if (swapped)                                                                                \
			SHMDI_LOG(p, expected, desired);                                                        \
		return swapped;                                                                             \
	}                                                                                               \
	SHMDI_INLINE T shmdi_exchange##bits(T *p, T x, int order)                                       \
	{                                                                                               \
		SHMDI_IN_PLACE();                                                                           \
		T before = __atomic_exchange_n(p, x, order);                                                \
		SHMDI_LOG(p, before, x);                                                                    \
		return before;                                                                              \
	}                                                                                               \
	SHMDI_INLINE T shmdi_add##bits(T *p, T x, int order)                                            \
	{                                                                                               \
		SHMDI_IN_PLACE();                                                                           \
		T before = __atomic_fetch_add(p, x, order);                                                 \
		SHMDI_LOG(p, before, before + x);                                                           \
		return before;                                                                              \
	}                                                                                               \
	SHMDI_INLINE T shmdi_or##bits(T *p, T x, int order)                                             \
	{                                                                                               \
		SHMDI_IN_PLACE();                                                                           \
		T before = __atomic_fetch_or(p, x, order);                                                  \
		SHMDI_LOG(p, before, before | x);                                                           \
		return before;                                                                              \
	}                                                                                               \
	SHMDI_INLINE T shmdi_and##bits(T *p, T x, int order)                                            \
	{                                                                                               \
		SHMDI_IN_PLACE();                                                                           \
		T before = __atomic_fetch_and(p, x, order);                                                 \
		SHMDI_LOG(p, before, before & x);                                                           \
		return before;                                                                              \
	}

SHMDI_DEFINE_PLAIN(8, uint8_t)
SHMDI_DEFINE_PLAIN(16, uint16_t)
SHMDI_DEFINE_PLAIN(32, uint32_t)
SHMDI_DEFINE_PLAIN(64, uint64_t)
SHMDI_DEFINE_MODIFY(32, uint32_t)
SHMDI_DEFINE_MODIFY(64, uint64_t)

/* Copies a payload, which nobody reads before an authoritative word says that it is
 * whole. The log has a store for every 8 bytes. */
SHMDI_INLINE void shmdi_copy_in(unsigned char *to, const void *from, size_t size_bytes)
{
#ifdef SHMD_REPLAY
	const unsigned char *bytes = (const unsigned char *)from;
	for (size_t at = 0; at < size_bytes; at += 8) {
		size_t part = size_bytes - at < 8 ? size_bytes - at : 8;
		uint64_t before = 0;
		uint64_t after = 0;
		memcpy(&before, to + at, part);
		memcpy(&after, bytes + at, part);
		memcpy(to + at, &after, part);
		shmd_replay_hook(to + at, part, before, after);
	}
#else
	if (size_bytes > 0)
		memcpy(to, from, size_bytes);
#endif
}

SHMDI_INLINE void shmdi_fence_acquire(void)
{
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
}

SHMDI_INLINE void shmdi_fence_release(void)
{
	__atomic_thread_fence(__ATOMIC_RELEASE);
}

/* Asks for a line that is about to be written, and is another processor's now. */
SHMDI_INLINE void shmdi_fetch_to_write(const void *p)
{
#if defined(__x86_64__)
	/* Not the builtin, which without -mprfchw asks for it to be read. */
	__asm__ __volatile__("prefetchw %0" : : "m"(*(const char *)p));
#else
	__builtin_prefetch(p, 1);
#endif
}

/* One turn of a spin loop. */
SHMDI_INLINE void shmdi_pause(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ __volatile__("isb");
#endif
}

#endif /* SHMDI_ATOMIC_H */
