/* SPDX-License-Identifier: Apache-2.0
 *
 * scribbler.c - several clients use a queue while somebody writes random words all
 * over it: nothing is overrun (guard pages), nothing hangs (the caller's watchdog),
 * and only errors that shmd.h names come out.
 *
 *	scribbler OBJECT SEED       OBJECT = a file with the bytes of a fresh queue
 */
#define _GNU_SOURCE
#include "../../../clients/c/atomic.h"
#include "gone.h"
#include "scribble.h"

#include <limits.h>
#include <string.h>

#define CLIENTS 3
#define ROUNDS 20000

static struct shmdi_segment segment;
static uint32_t working = CLIENTS; /* atomic */
static struct shmd_queue queues[CLIENTS];
static uint64_t seed;

static void bind_client(uint32_t number, uint32_t generation)
{
	const struct shmd_header *header = &segment.page->header;
	struct shmdi_object *object = &queues[number].object;
	object->segment = segment;
	object->is = (struct shmdi_attachment){
		.kind = header->kind,
		.flags = header->flags,
		.length = header->length,
		.slot_size_bytes = header->item_size_bytes,
		.message_max_bytes = (uint32_t)header->shape[0],
		.deliveries_max = (uint32_t)header->shape[1],
		.lease_ns = header->shape[2],
		.seats_max = header->seats_max,
		.seats_offset_bytes = header->seats_offset_bytes,
		.owner = 1u << SHMD_OWNER_GENERATION_SHIFT | (number + 1),
	};
	shmdi_object_bind(object, generation);
	shmdi_queue_bind(&queues[number]);
	CHECK(keep_sides(&queues[number], generation));
}

static void expect_named(int result, const char *what)
{
	switch (result) {
	case 0:
	case SHMD_E_WOULD_BLOCK:
	case SHMD_E_TIMED_OUT:
	case SHMD_E_REMOVED:
	case SHMD_E_ENDED:
	case SHMD_E_NOT_OWNER:
	case SHMD_E_TOO_LARGE:
	case SHMD_E_UNSUPPORTED: /* to extend, without a lease time */
	case SHMD_E_LOST: /* a side segment of another number, or a new one */
	case SHMD_E_CORRUPT: return;
	default:
		printf("%s: %s\n", what, shmd_error_name(result));
		exit(1);
	}
}

/* The same of several at once. */
static void batch(struct shmd_queue *queue, uint64_t choice, int64_t timeout_ns)
{
	static unsigned char bytes[SIDE_SIZE];
	unsigned char buffer[2000];
	struct iovec messages[4];
	struct shmd_lease leases[4] = {0};
	uint32_t count;
	switch (choice % 4) {
	case 0:
		for (size_t i = 0; i < 4; i++)
			messages[i] = (struct iovec){bytes, choice / 4 % (i < 2 ? 200 : 700)};
		expect_named(shmd_queue_put_many(queue, messages, 4, timeout_ns, &count), "put_many");
		return;
	case 1:
		expect_named(shmd_queue_take_many(queue, buffer, sizeof buffer, messages, 4, timeout_ns, &count), "take_many");
		for (uint32_t i = 0; i < count; i++)
			CHECK((unsigned char *)messages[i].iov_base >= buffer &&
			      (unsigned char *)messages[i].iov_base + messages[i].iov_len <= buffer + sizeof buffer);
		return;
	case 2: expect_named(shmd_queue_join(queue, timeout_ns), "join"); return;
	default:
		expect_named(shmd_queue_lease_many(queue, leases, 4, timeout_ns, &count), "lease_many");
		for (uint32_t i = 0; i < count; i++)
			for (size_t j = 0; j < leases[i].size_bytes; j++)
				buffer[0] ^= ((const unsigned char *)leases[i].message)[j];
		if (count == 0)
			return;
		expect_named(shmd_queue_extend(queue, &leases[0], SHMD_LEASE_NS_MIN), "extend");
		if (choice / 4 % 3 == 0)
			expect_named(shmd_queue_nack_many(queue, leases, count, &count), "nack_many");
		else if (choice / 4 % 3 == 1)
			expect_named(shmd_queue_ack_many(queue, leases, count, &count), "ack_many");
	}
}

static void *client(void *argument)
{
	struct shmd_queue *queue = argument;
	uint64_t state = seed + queue->put_latch.me;
	struct shmd_lease lease = {0};
	struct shmd_reservation slot = {0};
	struct shmd_queue_counts counts;
	unsigned char buffer[SIDE_SIZE] = {0};
	size_t size_bytes;
	for (int i = 0; i < ROUNDS; i++) {
		int64_t timeout_ns = next_random(&state) % 2 == 0 ? 0 : 10000;
		switch (next_random(&state) % 14) {
		case 0:
		case 1:
			size_bytes = next_random(&state) % (queue->message_max_bytes + 1);
			expect_named(shmd_queue_put(queue, buffer, size_bytes, timeout_ns), "put");
			break;
		case 2:
		case 3:
			expect_named(shmd_queue_take(queue, buffer, sizeof buffer, timeout_ns, &size_bytes), "take");
			break;
		case 4: {
			int result = shmd_queue_lease(queue, timeout_ns, &lease);
			expect_named(result, "lease");
			if (result == 0)
				memcpy(buffer, lease.message, lease.size_bytes);
			break;
		}
		case 5: expect_named(shmd_queue_ack(queue, &lease), "ack"); break;
		case 6: expect_named(shmd_queue_nack(queue, &lease), "nack"); break;
		case 7:
			if (timeout_ns == 0)
				expect_named(shmd_queue_reserve(queue, timeout_ns, &slot), "reserve");
			else
				expect_named(reserve_side(queue, timeout_ns, &slot), "reserve_side");
			break;
		case 8: expect_named(shmd_queue_commit(queue, &slot, next_random(&state) % 2 == 0 ? 5 : 5000), "commit"); break;
		case 9: expect_named(shmd_queue_take_dead(queue, &lease), "take_dead"); break;
		case 10:
		case 11:
		case 12: batch(queue, next_random(&state), timeout_ns); break;
		default:
			expect_named(shmd_queue_redeliver(queue, NULL), "redeliver");
			expect_named(shmd_queue_counts(queue, &counts), "counts");
		}
	}
	__atomic_sub_fetch(&working, 1, __ATOMIC_RELEASE);
	return NULL;
}

/* Random words, mostly where the rings and the slots' words are; between them it
 * does what a daemon would in the end: lets the waiting in. */
static void scribble(void)
{
	struct shmd_header *header = &segment.page->header;
	unsigned char *memory = (unsigned char *)segment.page;
	struct shmd_queue_lines *lines = queues[0].lines;
	uint64_t state = seed;
	while (__atomic_load_n(&working, __ATOMIC_ACQUIRE) != 0) {
		uint64_t word = next_random(&state);
		size_t front_bytes = (size_t)(queues[0].slots - memory) - SHMD_KIND_OFFSET;
		size_t at = SHMD_KIND_OFFSET + next_random(&state) % front_bytes;
		if (next_random(&state) % 10 == 0)
			at = next_random(&state) % segment.size_bytes;
		if (word % 3 == 0)
			word = 0;
		else if (word % 3 == 1)
			word &= 0xf0000000full; /* small numbers are the worse ones */
		else if (word % 2 == 0)
			word = word % 5001 | (uint64_t)(SIDE_NUMBER + word / 5001 % 2) << 32; /* a length and a side */
		shmdi_store64((uint64_t *)(void *)(memory + at / 8 * 8), word, SHMDI_RELAXED);
		if (next_random(&state) % 4 == 0) {
			shmdi_store32(&header->state, SHMD_STATE_LIVE, SHMDI_RELAXED);
			/* A latch that only a daemon of long ago can hold makes them rebuild. */
			shmdi_store32(&header->daemon_epoch, 9, SHMDI_RELAXED);
			uint32_t *latch = next_random(&state) % 2 == 0 ? &lines->put_latch : &lines->take_latch;
			bool stale = next_random(&state) % 8 == 0;
			shmdi_store32(latch, stale ? 1u << SHMD_OWNER_GENERATION_SHIFT | SHMD_SEAT_DAEMON : 0, SHMDI_RELAXED);
			shmdi_futex_wake(latch, INT_MAX);
		}
	}
}

int main(int count, char **arguments)
{
	CHECK(count == 3);
	seed = strtoull(arguments[2], NULL, 10) | 1;
	map_between_guards(arguments[1], &segment);
	uint32_t generation;
	EXPECT(shmdi_fork_enter(&generation) < 0, 0);
	pthread_t threads[CLIENTS];
	for (uint32_t i = 0; i < CLIENTS; i++)
		bind_client(i, generation);
	for (int i = 0; i < CLIENTS; i++)
		CHECK(pthread_create(&threads[i], NULL, client, &queues[i]) == 0);
	scribble();
	for (int i = 0; i < CLIENTS; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
	puts("ok");
	return 0;
}
