/* SPDX-License-Identifier: Apache-2.0
 *
 * ring.h - the operations of performer.c on streams and pipes.
 */
#ifndef RING_H
#define RING_H

#include "batch.h"

static int perform_stream(struct shmd_stream *stream, struct entry *entry)
{
	struct iovec messages[BATCH_MAX];
	uint32_t count = entry->op == OP_SEND_MANY ? make_batch(entry, messages) : wanted(entry);
	size_t size_bytes = entry->op == OP_SEND ? make_message(entry->argument, entry->n, message) : 0;
	int result;
	begin(entry);
	switch (entry->op) {
	case OP_CLAIM:
		return shmd_stream_claim(stream, (enum shmd_role)entry->n);
	case OP_RETIRE:
		return shmd_stream_retire(stream, (enum shmd_role)entry->n);
	case OP_SEND:
		return shmd_stream_send(stream, message, size_bytes, entry->timeout_ns);
	case OP_SEND_MANY:
		result = shmd_stream_send_many(stream, messages, count, entry->timeout_ns, &count);
		entry->result = count;
		return result;
	case OP_RECV:
		result = shmd_stream_recv(stream, message, sizeof message, entry->timeout_ns, &size_bytes);
		return result < 0 ? result : receive(entry, message, size_bytes);
	case OP_RECV_MANY:
		result = shmd_stream_peek_many(stream, messages, count, entry->timeout_ns, &count);
		if (result == 0)
			result = receive_batch(entry, messages, count);
		return result < 0 ? result : shmd_stream_advance(stream, count);
	}
	return SHMD_E_UNSUPPORTED;
}

static int perform_pipe(struct shmd_pipe *pipe, struct entry *entry)
{
	struct iovec messages[BATCH_MAX];
	uint32_t count = entry->op == OP_SEND_MANY ? make_batch(entry, messages) : wanted(entry);
	size_t size_bytes = entry->op == OP_SEND ? make_message(entry->argument, entry->n, message) : 0;
	int result;
	begin(entry);
	switch (entry->op) {
	case OP_CLAIM:
		return shmd_pipe_claim(pipe, (int)entry->n - 1, NULL);
	case OP_RETIRE:
		return shmd_pipe_shut(pipe, (int)entry->n - 1);
	case OP_SEND:
		return shmd_pipe_send(pipe, SHMD_END_ANY, message, size_bytes, entry->timeout_ns);
	case OP_SEND_MANY:
		result = shmd_pipe_send_many(pipe, SHMD_END_ANY, messages, count, entry->timeout_ns, &count);
		entry->result = count;
		return result;
	case OP_RECV:
		result = shmd_pipe_recv(pipe, SHMD_END_ANY, message, sizeof message, entry->timeout_ns, &size_bytes);
		return result < 0 ? result : receive(entry, message, size_bytes);
	case OP_RECV_MANY:
		result = shmd_pipe_peek_many(pipe, SHMD_END_ANY, messages, count, entry->timeout_ns, &count);
		if (result == 0)
			result = receive_batch(entry, messages, count);
		return result < 0 ? result : shmd_pipe_advance(pipe, SHMD_END_ANY, count);
	}
	return SHMD_E_UNSUPPORTED;
}

#endif /* RING_H */
