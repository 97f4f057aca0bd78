/* SPDX-License-Identifier: Apache-2.0
 *
 * ring.h - the operations of performer.c on streams and pipes.
 */
#ifndef RING_H
#define RING_H

#include "batch.h"
#include "flow.h"

/* Calls the function of a stream, or the one of a pipe by the end that the client has. */
#define RING(object, call, ...)                                                                                      \
	((object)->stream != NULL ? shmd_stream_##call((object)->stream, __VA_ARGS__)                                     \
	                          : shmd_pipe_##call((object)->pipe, SHMD_END_ANY, __VA_ARGS__))

static int claim_role(struct object *object, struct entry *entry)
{
	int result = object->stream != NULL ? shmd_stream_claim(object->stream, (enum shmd_role)entry->n)
	                                    : shmd_pipe_claim(object->pipe, (int)entry->n - 1, NULL);
	if (result < 0 || object->flow.end == entry->n)
		return result;
	object->flow = (struct flow){.end = entry->n};
	object->reserved = NULL;
	object->peeked_count = 0;
	return result;
}

static int retire_role(struct object *object, struct entry *entry)
{
	object->flow.end = 0;
	return object->stream != NULL ? shmd_stream_retire(object->stream, (enum shmd_role)entry->n)
	                              : shmd_pipe_shut(object->pipe, (int)entry->n - 1);
}

static int reserve_room(struct object *object, struct entry *entry)
{
	size_t size_bytes = entry->n > MESSAGE_MIN ? entry->n : MESSAGE_MIN;
	void *room = NULL;
	int result = RING(object, reserve, size_bytes, entry->timeout_ns, &room);
	object->reserved = result == 0 ? room : NULL;
	object->reserved_bytes = size_bytes;
	return result;
}

static int give_up(struct object *object)
{
	return object->stream != NULL ? shmd_stream_abort(object->stream) : shmd_pipe_abort(object->pipe, SHMD_END_ANY);
}

/* Sends what was reserved, or gives it up. */
static int fill_room(struct object *object, struct entry *entry)
{
	if (object->reserved == NULL)
		return skip(entry);
	size_t size_bytes = make_message(entry->argument, object->reserved_bytes, object->reserved);
	object->reserved = NULL;
	begin(entry);
	return entry->op == OP_ABORT ? give_up(object) : RING(object, commit, size_bytes);
}

static int peek(struct object *object, struct entry *entry)
{
	struct iovec messages[BATCH_MAX];
	uint32_t count = 0;
	object->peeked_count = 0;
	int result = RING(object, peek_many, messages, wanted(entry), entry->timeout_ns, &count);
	if (result == 0)
		result = receive_batch(entry, messages, count);
	if (result < 0)
		return result;
	memcpy(object->peeked, entry->numbers, sizeof object->peeked);
	object->peeked_count = count;
	return 0;
}

static int advance(struct object *object, struct entry *entry)
{
	uint32_t count = wanted(entry) < object->peeked_count ? wanted(entry) : object->peeked_count;
	if (count == 0)
		return skip(entry);
	memcpy(entry->numbers, object->peeked, count * sizeof object->peeked[0]);
	entry->desired = count;
	object->peeked_count -= count;
	memmove(object->peeked, object->peeked + count, object->peeked_count * sizeof object->peeked[0]);
	begin(entry);
	int result = RING(object, advance, count);
	entry->result = result == 0 ? count : 0;
	return result;
}

static int send_messages(struct object *object, struct entry *entry)
{
	struct iovec messages[BATCH_MAX];
	if (entry->op == OP_SEND) {
		size_t size_bytes = make_message(entry->argument, entry->n, message);
		begin(entry);
		return RING(object, send, message, size_bytes, entry->timeout_ns);
	}
	uint32_t count = make_batch(entry, messages);
	begin(entry);
	int result = RING(object, send_many, messages, count, entry->timeout_ns, &count);
	entry->result = count;
	return result;
}

static int recv_messages(struct object *object, struct entry *entry)
{
	struct iovec messages[BATCH_MAX];
	uint32_t count = 0;
	size_t size_bytes = 0;
	int result;
	object->peeked_count = 0;
	if (entry->op == OP_RECV) {
		result = RING(object, recv, message, sizeof message, entry->timeout_ns, &size_bytes);
		return result < 0 ? result : receive(entry, message, size_bytes);
	}
	result = RING(object, peek_many, messages, wanted(entry), entry->timeout_ns, &count);
	if (result == 0)
		result = receive_batch(entry, messages, count);
	return result < 0 ? result : RING(object, advance, count);
}

static int perform_ring(struct object *object, struct entry *entry)
{
	switch (entry->op) {
	case OP_SEND:
	case OP_SEND_MANY:
		return send_messages(object, entry);
	case OP_COMMIT:
	case OP_ABORT:
		return fill_room(object, entry);
	case OP_ADVANCE:
		return advance(object, entry);
	case OP_WRITE_BYTES:
		return write_bytes(object, entry);
	case OP_READ_BYTES:
		return read_bytes(object, entry);
	}
	begin(entry);
	switch (entry->op) {
	case OP_CLAIM:
		return claim_role(object, entry);
	case OP_RETIRE:
		return retire_role(object, entry);
	case OP_RESERVE:
		return reserve_room(object, entry);
	case OP_PEEK:
		return peek(object, entry);
	case OP_RECV:
	case OP_RECV_MANY:
		return recv_messages(object, entry);
	}
	return SHMD_E_UNSUPPORTED;
}

#endif /* RING_H */
