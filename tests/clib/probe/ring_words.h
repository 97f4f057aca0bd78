/* SPDX-License-Identifier: Apache-2.0
 *
 * ring_words.h - the words of replay.c for streams and pipes; of a pipe end a is ours.
 * "send-7" sends that many bytes, "many-3" as many messages of 3 bytes; messages are
 * numbers that count from 1.
 */
#ifndef SHMD_PROBE_RING_WORDS_H
#define SHMD_PROBE_RING_WORDS_H

#include "../../../clients/c/atomic.h"
#include "sync_words.h"

static struct shmd_stream stream;
static struct shmd_pipe pipe_;

static inline struct shmdi_object *ring_object(uint32_t kind)
{
	switch (kind) {
	case SHMD_KIND_STREAM: return &stream.object;
	case SHMD_KIND_PIPE: return &pipe_.object;
	default: return NULL;
	}
}

static inline void ring_bind(uint32_t kind)
{
	if (kind == SHMD_KIND_STREAM)
		shmdi_stream_bind(&stream);
	if (kind == SHMD_KIND_PIPE)
		shmdi_pipe_bind(&pipe_);
}

/* The next message. */
static inline const void *ring_message(void)
{
	static unsigned char message[65536];
	static unsigned char number;
	memset(message, ++number, sizeof message);
	return message;
}

static inline int ring_many(uint32_t count)
{
	static unsigned char numbers[8][3];
	struct iovec messages[8];
	for (uint32_t i = 0; i < count; i++) {
		memcpy(numbers[i], ring_message(), 3);
		messages[i] = (struct iovec){numbers[i], 3};
	}
	uint32_t done;
	return shmd_stream_send_many(&stream, messages, count, 0, &done);
}

static inline int stream_word(const char *word)
{
	static void *reserved;
	static size_t reserved_bytes;
	static char buffer[65536];
	const char *dash = strchr(word, '-');
	size_t number = dash != NULL ? (size_t)atol(dash + 1) : 0;
	size_t size_bytes;
	const void *message;
	struct iovec seen[8];
	uint32_t count;
	if (strcmp(word, "produce") == 0)
		return shmd_stream_claim(&stream, SHMD_PRODUCER);
	if (strcmp(word, "consume") == 0)
		return shmd_stream_claim(&stream, SHMD_CONSUMER);
	if (strcmp(word, "retire") == 0)
		return shmd_stream_retire(&stream, SHMD_PRODUCER);
	if (strcmp(word, "leave") == 0)
		return shmd_stream_retire(&stream, SHMD_CONSUMER);
	if (strncmp(word, "send-", 5) == 0)
		return shmd_stream_send(&stream, ring_message(), number, 0);
	if (strncmp(word, "wait_send-", 10) == 0)
		return shmd_stream_send(&stream, ring_message(), number, 1);
	if (strncmp(word, "many-", 5) == 0)
		return ring_many((uint32_t)number);
	if (strncmp(word, "reserve-", 8) == 0)
		return shmd_stream_reserve(&stream, reserved_bytes = number, 0, &reserved);
	if (strncmp(word, "commit-", 7) == 0) {
		message = ring_message();
		shmdi_copy_in(reserved, message, number < reserved_bytes ? number : reserved_bytes);
		return shmd_stream_commit(&stream, number);
	}
	if (strcmp(word, "recv") == 0)
		return shmd_stream_recv(&stream, buffer, sizeof buffer, 0, &size_bytes);
	if (strcmp(word, "wait_recv") == 0)
		return shmd_stream_recv(&stream, buffer, sizeof buffer, 1, &size_bytes);
	if (strcmp(word, "peek") == 0)
		return shmd_stream_peek(&stream, 0, &message, &size_bytes);
	if (strncmp(word, "peek-", 5) == 0)
		return shmd_stream_peek_many(&stream, seen, (uint32_t)number, 0, &count);
	if (strncmp(word, "advance-", 8) == 0)
		return shmd_stream_advance(&stream, (uint32_t)number);
	return no_word(word);
}

static inline int pipe_word(const char *word)
{
	static char buffer[65536];
	const char *dash = strchr(word, '-');
	size_t number = dash != NULL ? (size_t)atol(dash + 1) : 0;
	size_t size_bytes;
	if (strcmp(word, "claim") == 0)
		return shmd_pipe_claim(&pipe_, SHMD_END_A, NULL);
	if (strcmp(word, "any") == 0)
		return shmd_pipe_claim(&pipe_, SHMD_END_ANY, NULL);
	if (strcmp(word, "shut") == 0)
		return shmd_pipe_shut(&pipe_, SHMD_END_A);
	if (strncmp(word, "send-", 5) == 0)
		return shmd_pipe_send(&pipe_, SHMD_END_A, ring_message(), number, 0);
	if (strncmp(word, "wait_send-", 10) == 0)
		return shmd_pipe_send(&pipe_, SHMD_END_A, ring_message(), number, 1);
	if (strcmp(word, "recv") == 0)
		return shmd_pipe_recv(&pipe_, SHMD_END_A, buffer, sizeof buffer, 0, &size_bytes);
	if (strcmp(word, "wait_recv") == 0)
		return shmd_pipe_recv(&pipe_, SHMD_END_A, buffer, sizeof buffer, 1, &size_bytes);
	if (strncmp(word, "write-", 6) == 0)
		return shmd_pipe_write(&pipe_, SHMD_END_A, ring_message(), number, 0, &size_bytes);
	if (strncmp(word, "read-", 5) == 0)
		return shmd_pipe_read(&pipe_, SHMD_END_A, buffer, number, 0, &size_bytes);
	return no_word(word);
}

#endif /* SHMD_PROBE_RING_WORDS_H */
