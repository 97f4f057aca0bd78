/* SPDX-License-Identifier: Apache-2.0
 *
 * rings.h - what a player can do with streams and pipes: see player.c.
 */
#ifndef STEP_RINGS_H
#define STEP_RINGS_H

#include "messages.h"

static struct shmd_stream *stream;
static struct shmd_pipe *pipe_;
static void *room; /* that was reserved */

/* Of a pipe of bytes: where in the flow this player writes, and reads. */
static uint32_t write_at;
static uint32_t read_at;

static int open_stream(struct shmd_client *client, const char *name)
{
	return shmd_stream_open(client, name, NULL, &stream);
}

static int open_pipe(struct shmd_client *client, const char *name)
{
	write_at = read_at = 0;
	return shmd_pipe_open(client, name, NULL, &pipe_);
}

static int fill(const int64_t *a)
{
	(void)a;
	memcpy(room, message, message_bytes);
	return 0;
}

/* ---- Streams ---- */

static int stream_produce(const int64_t *a) { return (void)a, shmd_stream_claim(stream, SHMD_PRODUCER); }
static int stream_consume(const int64_t *a) { return (void)a, shmd_stream_claim(stream, SHMD_CONSUMER); }
static int stream_retire(const int64_t *a) { return (void)a, shmd_stream_retire(stream, SHMD_PRODUCER); }
static int stream_leave(const int64_t *a) { return (void)a, shmd_stream_retire(stream, SHMD_CONSUMER); }
static int stream_send(const int64_t *a) { return shmd_stream_send(stream, message, message_bytes, a[0]); }

static int stream_recv(const int64_t *a)
{
	return shmd_stream_recv(stream, message, sizeof message, a[0], &message_bytes);
}

static int stream_send_many(const int64_t *a)
{
	uint32_t count;
	return shmd_stream_send_many(stream, both_messages(), 2, a[0], &count);
}

static int stream_peek_many(const int64_t *a)
{
	return shmd_stream_peek_many(stream, places, 2, a[0], &places_count);
}

static int stream_advance(const int64_t *a) { return (void)a, shmd_stream_advance(stream, places_count); }
static int stream_reserve(const int64_t *a) { return shmd_stream_reserve(stream, message_bytes, a[0], &room); }
static int stream_commit(const int64_t *a) { return (void)a, shmd_stream_commit(stream, message_bytes); }
static int stream_abort(const int64_t *a) { return (void)a, shmd_stream_abort(stream); }

/* ---- Pipes ---- */

static int pipe_claim(const int64_t *a) { return shmd_pipe_claim(pipe_, (int)a[0], NULL); }
static int pipe_shut(const int64_t *a) { return (void)a, shmd_pipe_shut(pipe_, SHMD_END_ANY); }
static int pipe_send(const int64_t *a) { return shmd_pipe_send(pipe_, SHMD_END_ANY, message, message_bytes, a[0]); }

static int pipe_recv(const int64_t *a)
{
	return shmd_pipe_recv(pipe_, SHMD_END_ANY, message, sizeof message, a[0], &message_bytes);
}

static int pipe_send_many(const int64_t *a)
{
	uint32_t count;
	return shmd_pipe_send_many(pipe_, SHMD_END_ANY, both_messages(), 2, a[0], &count);
}

static int pipe_peek_many(const int64_t *a)
{
	return shmd_pipe_peek_many(pipe_, SHMD_END_ANY, places, 2, a[0], &places_count);
}

static int pipe_advance(const int64_t *a) { return (void)a, shmd_pipe_advance(pipe_, SHMD_END_ANY, places_count); }

static int pipe_reserve(const int64_t *a)
{
	return shmd_pipe_reserve(pipe_, SHMD_END_ANY, message_bytes, a[0], &room);
}

static int pipe_commit(const int64_t *a) { return (void)a, shmd_pipe_commit(pipe_, SHMD_END_ANY, message_bytes); }
static int pipe_abort(const int64_t *a) { return (void)a, shmd_pipe_abort(pipe_, SHMD_END_ANY); }

/* ---- Pipes of bytes: a flow of which each byte is told by its place ---- */

static unsigned char flow_byte(uint32_t at)
{
	return (unsigned char)(at * UINT32_C(2654435761) >> 24);
}

/* pipe bytes N: the next N of the flow, for write. */
static int pipe_bytes(const int64_t *a)
{
	message_bytes = (size_t)a[0];
	for (uint32_t i = 0; i < message_bytes; i++)
		message[i] = flow_byte(write_at + i);
	return 0;
}

static size_t moved_bytes; /* by write, or read */

static int pipe_write(const int64_t *a)
{
	return shmd_pipe_write(pipe_, SHMD_END_ANY, message, message_bytes, a[0], &moved_bytes);
}

static int pipe_read(const int64_t *a)
{
	return shmd_pipe_read(pipe_, SHMD_END_ANY, taken, MESSAGE_MAX, a[0], &moved_bytes);
}

static int tell_written(void)
{
	write_at += (uint32_t)moved_bytes;
	tell((int64_t)moved_bytes);
	return 0;
}

static int tell_read(void)
{
	for (size_t i = 0; i < moved_bytes; i++, read_at++) {
		if (taken[i] != flow_byte(read_at)) {
			fprintf(stderr, "byte %" PRIu32 " of the flow is %d\n", read_at, taken[i]);
			return SHMD_E_CORRUPT;
		}
	}
	tell((int64_t)moved_bytes);
	return 0;
}

#endif /* STEP_RINGS_H */
