/* SPDX-License-Identifier: Apache-2.0
 *
 * message.h - the messages of messenger.c and streamer.c: 64 bytes, counted from 0. The
 * number stands in the first and the last word; in a whole one all bytes depend on it.
 */
#ifndef SHMD_BENCH_MESSAGE_H
#define SHMD_BENCH_MESSAGE_H

#include "bench.h"

#define MESSAGE_BYTES 64
#define MESSAGE_WORDS (MESSAGE_BYTES / 8)
#define BATCH 64
#define ANY (-1)

struct message {
	int64_t words[MESSAGE_WORDS];
};

static inline void number(struct message *message, int i)
{
	message->words[0] = message->words[MESSAGE_WORDS - 1] = i;
}

static inline void wrong(size_t size_bytes, int64_t got, int want)
{
	fprintf(stderr, "%zu bytes, message %lld instead of %d\n", size_bytes, (long long)got, want);
	exit(1);
}

static inline void expect(const struct message *message, size_t size_bytes, int want)
{
	if (want == ANY)
		want = (int)message->words[0];
	if (__builtin_expect(size_bytes != MESSAGE_BYTES || message->words[0] != want ||
	                     message->words[MESSAGE_WORDS - 1] != want, 0))
		wrong(size_bytes, message->words[0], want);
}

/* What word j of a whole message i is. */
static inline int64_t word_of(int i, int j)
{
	return (int64_t)((uint64_t)(i + 1) * UINT64_C(0x9e3779b97f4a7c15) + (uint64_t)j);
}

static inline void fill(struct message *message, int i)
{
	for (int j = 0; j < MESSAGE_WORDS; j++)
		message->words[j] = word_of(i, j);
}

static inline void expect_whole(const struct message *message, size_t size_bytes, int want)
{
	int64_t differs = 0;
	for (int j = 0; j < MESSAGE_WORDS; j++)
		differs |= message->words[j] ^ word_of(want, j);
	if (__builtin_expect(size_bytes != MESSAGE_BYTES || differs != 0, 0))
		wrong(size_bytes, message->words[0], want);
}

#endif /* SHMD_BENCH_MESSAGE_H */
