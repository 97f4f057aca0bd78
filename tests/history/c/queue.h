/* SPDX-License-Identifier: Apache-2.0
 *
 * queue.h - the operations of performer.c on a queue.
 */
#ifndef QUEUE_H
#define QUEUE_H

#include "batch.h"

static int take(struct shmd_queue *queue, struct entry *entry)
{
	size_t size_bytes = 0;
	int result = shmd_queue_take(queue, message, sizeof message, entry->timeout_ns, &size_bytes);
	return result < 0 ? result : receive(entry, message, size_bytes);
}

static int lease(struct object *object, struct entry *entry)
{
	if (object->leases_count == LEASES_MAX)
		return SHMD_E_OVERFLOW;
	struct shmd_lease *lease = &object->leases[object->leases_count];
	int result = entry->op == OP_LEASE ? shmd_queue_lease(object->queue, entry->timeout_ns, lease)
	                                   : shmd_queue_take_dead(object->queue, lease);
	if (result < 0)
		return result;
	entry->extra = lease->deliveries;
	result = receive(entry, lease->message, lease->size_bytes);
	object->numbers[object->leases_count++] = entry->result;
	return result;
}

/* So many leases from i on are no longer those of the client to end. */
static void drop_lease(struct object *object, uint32_t i, uint32_t count)
{
	uint32_t rest = object->leases_count - i - count;
	memmove(&object->leases[i], &object->leases[i + count], rest * sizeof object->leases[0]);
	memmove(&object->numbers[i], &object->numbers[i + count], rest * sizeof object->numbers[0]);
	object->leases_count -= count;
}

static int one_lease(struct object *object, struct entry *entry)
{
	if (object->leases_count == 0)
		return skip(entry);
	uint32_t i = entry->n % object->leases_count;
	struct shmd_lease lease = object->leases[i];
	entry->result = object->numbers[i];
	entry->extra = lease.deliveries;
	if (entry->op != OP_EXTEND)
		drop_lease(object, i, 1);
	begin(entry);
	switch (entry->op) {
	case OP_ACK:
		return shmd_queue_ack(object->queue, &lease);
	case OP_NACK:
		return shmd_queue_nack(object->queue, &lease);
	case OP_EXTEND:
		return shmd_queue_extend(object->queue, &lease, (uint64_t)entry->argument);
	}
	return 0;
}

static int lease_many(struct object *object, struct entry *entry)
{
	struct shmd_lease *leases = &object->leases[object->leases_count];
	struct iovec messages[BATCH_MAX];
	uint32_t count = 0;
	if (object->leases_count + BATCH_MAX > LEASES_MAX)
		return SHMD_E_OVERFLOW;
	int result = shmd_queue_lease_many(object->queue, leases, wanted(entry), entry->timeout_ns, &count);
	if (result < 0)
		return result;
	for (uint32_t i = 0; i < count && i < BATCH_MAX; i++) {
		messages[i] = (struct iovec){(void *)(uintptr_t)leases[i].message, leases[i].size_bytes};
		entry->extra |= leases[i].deliveries << (8 * i);
	}
	result = receive_batch(entry, messages, count);
	memcpy(&object->numbers[object->leases_count], entry->numbers, sizeof entry->numbers);
	object->leases_count += count;
	return result;
}

/* Ends the oldest leases. */
static int end_many(struct object *object, struct entry *entry)
{
	struct shmd_lease leases[BATCH_MAX];
	uint32_t count = wanted(entry) < object->leases_count ? wanted(entry) : object->leases_count;
	if (count == 0)
		return skip(entry);
	memcpy(leases, object->leases, count * sizeof leases[0]);
	memcpy(entry->numbers, object->numbers, count * sizeof object->numbers[0]);
	for (uint32_t i = 0; i < count; i++)
		entry->extra |= leases[i].deliveries << (8 * i);
	entry->desired = count;
	drop_lease(object, 0, count);
	begin(entry);
	int result = entry->op == OP_ACK_MANY ? shmd_queue_ack_many(object->queue, leases, count, &count)
	                                      : shmd_queue_nack_many(object->queue, leases, count, &count);
	entry->result = count;
	return result;
}

static int put_many(struct shmd_queue *queue, struct entry *entry)
{
	struct iovec messages[BATCH_MAX];
	uint32_t count = make_batch(entry, messages);
	begin(entry);
	int result = shmd_queue_put_many(queue, messages, count, entry->timeout_ns, &count);
	entry->result = count;
	return result;
}

static int take_many(struct shmd_queue *queue, struct entry *entry)
{
	struct iovec messages[BATCH_MAX];
	uint32_t count = 0;
	int result = shmd_queue_take_many(queue, message, sizeof message, messages, wanted(entry),
	                                  entry->timeout_ns, &count);
	return result < 0 ? result : receive_batch(entry, messages, count);
}

static int reserve(struct object *object, struct entry *entry)
{
	if (object->reservations_count == LEASES_MAX)
		return SHMD_E_OVERFLOW;
	size_t size_bytes = entry->n > MESSAGE_MIN ? entry->n : MESSAGE_MIN;
	int result = shmd_queue_reserve_size(object->queue, size_bytes, entry->timeout_ns,
	                                     &object->reservations[object->reservations_count]);
	if (result == 0)
		object->reservations_count++;
	return result;
}

static int end_reservation(struct object *object, struct entry *entry)
{
	if (object->reservations_count == 0)
		return skip(entry);
	struct shmd_reservation reservation = object->reservations[0];
	object->reservations_count--;
	memmove(&object->reservations[0], &object->reservations[1], object->reservations_count * sizeof reservation);
	begin(entry);
	if (entry->op == OP_ABORT)
		return shmd_queue_abort(object->queue, &reservation);
	size_t size_bytes = make_message(entry->argument, reservation.buffer_bytes, reservation.buffer);
	return shmd_queue_commit(object->queue, &reservation, size_bytes);
}

static int counts(struct shmd_queue *queue, struct entry *entry)
{
	struct shmd_queue_counts counts;
	int result = shmd_queue_counts(queue, &counts);
	if (result < 0)
		return result;
	entry->result = (int64_t)((uint64_t)counts.ready | (uint64_t)counts.leased << 16 | (uint64_t)counts.writing << 32 |
	                          (uint64_t)counts.dead << 48);
	entry->extra = counts.free;
	return 0;
}

static int redeliver(struct shmd_queue *queue, struct entry *entry)
{
	uint32_t count = 0;
	int result = shmd_queue_redeliver(queue, &count);
	entry->result = count;
	return result;
}

static int perform_queue(struct object *object, struct entry *entry)
{
	switch (entry->op) {
	case OP_ACK:
	case OP_NACK:
	case OP_EXTEND:
	case OP_FORGET:
		return one_lease(object, entry);
	case OP_COMMIT:
	case OP_ABORT:
		return end_reservation(object, entry);
	case OP_ACK_MANY:
	case OP_NACK_MANY:
		return end_many(object, entry);
	case OP_PUT_MANY:
		return put_many(object->queue, entry);
	}
	size_t size_bytes = entry->op == OP_PUT ? make_message(entry->argument, entry->n, message) : 0;
	begin(entry);
	switch (entry->op) {
	case OP_PUT:
		return shmd_queue_put(object->queue, message, size_bytes, entry->timeout_ns);
	case OP_TAKE:
		return take(object->queue, entry);
	case OP_LEASE:
	case OP_TAKE_DEAD:
		return lease(object, entry);
	case OP_TAKE_MANY:
		return take_many(object->queue, entry);
	case OP_LEASE_MANY:
		return lease_many(object, entry);
	case OP_RESERVE:
		return reserve(object, entry);
	case OP_JOIN:
		return shmd_queue_join(object->queue, entry->timeout_ns);
	case OP_REDELIVER:
		return redeliver(object->queue, entry);
	case OP_COUNTS:
		return counts(object->queue, entry);
	}
	return SHMD_E_UNSUPPORTED;
}

#endif /* QUEUE_H */
