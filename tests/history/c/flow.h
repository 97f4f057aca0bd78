/* SPDX-License-Identifier: Apache-2.0
 *
 * flow.h - the bytes that performer.c writes and reads: see flow.go.
 */
#ifndef FLOW_H
#define FLOW_H

#include "performer.h"

#include <string.h>

#define FLOW_MAX 65536u

static void make_bytes(uint32_t end, int64_t position, uint8_t *bytes, size_t size_bytes)
{
	for (size_t i = 0; i < size_bytes; i++) {
		int64_t p = position + (int64_t)i;
		bytes[i] = (uint8_t)(p * 7 + (p >> 8) + end);
	}
}

static int write_bytes(struct object *object, struct entry *entry)
{
	static uint8_t bytes[FLOW_MAX];
	struct flow *flow = &object->flow;
	size_t size_bytes = entry->n < FLOW_MAX ? entry->n : FLOW_MAX, done = 0;
	if (object->pipe == NULL || flow->end == 0)
		return skip(entry);
	make_bytes(flow->end, flow->written, bytes, size_bytes);
	entry->argument = flow->written;
	begin(entry);
	int result = shmd_pipe_write(object->pipe, SHMD_END_ANY, bytes, size_bytes, entry->timeout_ns, &done);
	entry->result = (int64_t)done;
	flow->written += entry->result;
	return result;
}

static int read_bytes(struct object *object, struct entry *entry)
{
	static uint8_t bytes[FLOW_MAX], want[FLOW_MAX];
	struct flow *flow = &object->flow;
	size_t size_bytes = entry->n < FLOW_MAX ? entry->n : FLOW_MAX, done = 0;
	if (object->pipe == NULL || flow->end == 0)
		return skip(entry);
	entry->argument = flow->seen;
	begin(entry);
	int result = shmd_pipe_read(object->pipe, SHMD_END_ANY, bytes, size_bytes, entry->timeout_ns, &done);
	entry->result = (int64_t)done;
	if (result < 0)
		return result;
	if (done < 1 || done > size_bytes)
		return BROKEN;
	make_bytes(3 - flow->end, flow->seen, want, done);
	flow->seen += entry->result;
	return memcmp(bytes, want, done) == 0 ? 0 : BROKEN;
}

#endif /* FLOW_H */
