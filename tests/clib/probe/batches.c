/* SPDX-License-Identifier: Apache-2.0
 *
 * batches.c - what shmd.h promises of batches, lease times and join of a queue, against
 * a daemon. Waits are bounded by the caller's watchdog.
 */
#include "asleep.h"
#include "expect.h"

#include <poll.h>
#include <string.h>

#define PRODUCERS 2
#define CONSUMERS 3
#define ROUNDS 5000
#define LEASE_NS 1000000 /* the shortest */

static struct iovec bytes(const char *text)
{
	return (struct iovec){.iov_base = (char *)(uintptr_t)text, .iov_len = strlen(text)};
}

static bool is(struct iovec message, const char *text)
{
	return message.iov_len == strlen(text) && memcmp(message.iov_base, text, message.iov_len) == 0;
}

static void put(struct shmd_queue *queue, const char *text)
{
	EXPECT(shmd_queue_put(queue, text, strlen(text), 0), 0);
}

static void expect_counts(struct shmd_queue *queue, uint32_t ready, uint32_t leased, uint32_t dead)
{
	struct shmd_queue_counts counts;
	EXPECT(shmd_queue_counts(queue, &counts), 0);
	CHECK(counts.ready == ready && counts.leased == leased && counts.dead == dead);
}

static void basics(struct shmd_client *client)
{
	struct shmd_create_options options = {
		.size = sizeof options, .maxsize = 4, .slot_size = 1000, .message_max = 5000, .raw = true};
	static char big[5001];
	static char buffer[6000] __attribute__((aligned(8)));
	struct shmd_queue *queue;
	struct iovec in[5] = {bytes("one"), bytes("two"), bytes(""), bytes("four"), bytes("five")};
	struct iovec out[5];
	uint32_t count = 77;
	EXPECT(shmd_queue_create(client, NULL, &options, &queue), 0);
	CHECK(shmd_queue_lease_ns(queue) == 0);
	EXPECT(shmd_queue_put_many(queue, in, 5, 0, &count), SHMD_E_INVALID);
	CHECK(count == 0 && strstr(shmd_last_error(), "5 messages") != NULL && strstr(shmd_last_error(), "4") != NULL);
	EXPECT(shmd_queue_put_many(queue, in, 0, 0, &count), SHMD_E_INVALID);
	EXPECT(shmd_queue_put_many(queue, NULL, 1, 0, &count), SHMD_E_INVALID);
	EXPECT(shmd_queue_put_many(queue, in, 1, 0, NULL), SHMD_E_INVALID);
	EXPECT(shmd_queue_take_many(queue, buffer, sizeof buffer, out, 0, 0, &count), SHMD_E_INVALID);
	EXPECT(shmd_queue_take_many(queue, NULL, 1, out, 1, 0, &count), SHMD_E_INVALID);
	EXPECT(shmd_queue_lease_many(queue, NULL, 1, 0, &count), SHMD_E_INVALID);
	EXPECT(shmd_queue_ack_many(queue, NULL, 1, &count), SHMD_E_INVALID);
	EXPECT(shmd_queue_nack_many(queue, NULL, 0, &count), SHMD_E_INVALID);
	EXPECT(shmd_queue_take_many(queue, buffer, sizeof buffer, out, 5, 0, &count), SHMD_E_WOULD_BLOCK);
	EXPECT(shmd_queue_take_many(queue, buffer, sizeof buffer, out, 5, 1000, &count), SHMD_E_TIMED_OUT);

	put(queue, "zero");
	EXPECT(shmd_queue_put_many(queue, in, 4, 0, &count), 0);
	CHECK(count == 3); /* there was no more room */
	EXPECT(shmd_queue_put_many(queue, in, 1, 0, &count), SHMD_E_WOULD_BLOCK);
	CHECK(count == 0);
	EXPECT(shmd_queue_take_many(queue, buffer, sizeof buffer, out, 5, 0, &count), 0);
	CHECK(count == 4 && is(out[0], "zero") && is(out[1], "one") && is(out[2], "two") && is(out[3], ""));
	CHECK(out[0].iov_base == buffer && out[1].iov_base == buffer + 8 && out[3].iov_base == buffer + 24);

	/* What does not fit stays, and the first that does not is an error. */
	EXPECT(shmd_queue_put_many(queue, in, 4, SHMD_FOREVER, &count), 0);
	EXPECT(shmd_queue_take_many(queue, buffer, 10, out, 4, 0, &count), 0);
	CHECK(count == 1 && is(out[0], "one"));
	EXPECT(shmd_queue_take_many(queue, buffer, 2, out, 4, 0, &count), SHMD_E_TOO_LARGE);
	CHECK(count == 0);
	EXPECT(shmd_queue_take_many(queue, buffer, sizeof buffer, out, 2, 0, &count), 0);
	CHECK(count == 2 && is(out[0], "two"));
	EXPECT(shmd_queue_take_many(queue, buffer, sizeof buffer, out, 2, 0, &count), 0);
	CHECK(count == 1 && is(out[0], "four"));

	/* A long message goes alone, in its slot or beside it; one that may not be put ends
	 * the batch. */
	struct iovec mixed[4] = {bytes("a"), {big, 600}, {big, 5000}, {big, 5001}};
	EXPECT(shmd_queue_put_many(queue, mixed, 4, 0, &count), 0);
	CHECK(count == 1);
	EXPECT(shmd_queue_put_many(queue, mixed + 1, 3, 0, &count), 0);
	CHECK(count == 1);
	EXPECT(shmd_queue_put_many(queue, mixed + 2, 2, 0, &count), 0);
	CHECK(count == 1);
	EXPECT(shmd_queue_put_many(queue, mixed + 3, 1, 0, &count), SHMD_E_TOO_LARGE);
	struct iovec broken[2] = {bytes("b"), {NULL, 1}};
	EXPECT(shmd_queue_put_many(queue, broken, 2, 0, &count), 0);
	CHECK(count == 1);
	EXPECT(shmd_queue_put_many(queue, broken + 1, 1, 0, &count), SHMD_E_INVALID);
	for (size_t i = 0; i < 3; i++) {
		EXPECT(shmd_queue_take_many(queue, buffer, sizeof buffer, out, 4, 0, &count), 0);
		CHECK(count == 1 && out[0].iov_len == mixed[i].iov_len);
	}
	EXPECT(shmd_queue_take_many(queue, NULL, 0, out, 4, 0, &count), SHMD_E_TOO_LARGE);

	EXPECT(shmd_queue_shutdown(queue), 0);
	EXPECT(shmd_queue_put_many(queue, in, 1, SHMD_FOREVER, &count), SHMD_E_ENDED);
	EXPECT(shmd_queue_take_many(queue, buffer, sizeof buffer, out, 4, SHMD_FOREVER, &count), 0);
	EXPECT(shmd_queue_take_many(queue, buffer, sizeof buffer, out, 4, SHMD_FOREVER, &count), SHMD_E_ENDED);
	shmd_queue_close(queue);
	EXPECT(shmd_queue_create(client, NULL, NULL, &queue), 0); /* of msgpack */
	struct iovec values[3] = {bytes("\x01"), bytes("\x92\x01\x02"), bytes("\xc1")};
	EXPECT(shmd_queue_put_many(queue, values, 3, 0, &count), 0);
	CHECK(count == 2);
	EXPECT(shmd_queue_put_many(queue, values + 2, 1, 0, &count), SHMD_E_BAD_TYPE);
	shmd_queue_close(queue);
}

static void leases(struct shmd_client *client)
{
	struct shmd_create_options options = {
		.size = sizeof options, .maxsize = 200, .slot_size = 8, .message_max = 100, .raw = true, .deliveries_max = 2};
	static struct shmd_lease held[200];
	struct shmd_queue *queue;
	uint32_t count = 0;
	EXPECT(shmd_queue_create(client, NULL, &options, &queue), 0);
	for (int64_t i = 0; i < 200; i++)
		EXPECT(shmd_queue_put(queue, &i, sizeof i, 0), 0);
	for (uint32_t had = 0; had < 200; had += count) {
		EXPECT(shmd_queue_lease_many(queue, held + had, 200 - had, SHMD_FOREVER, &count), 0);
		CHECK(count == (had < 192 ? 64 : 8)); /* of one latch hold */
	}
	for (int64_t i = 0; i < 200; i++)
		CHECK(memcmp(held[i].message, &i, sizeof i) == 0 && held[i].deliveries == 1);
	EXPECT(shmd_queue_ack(queue, &held[0]), 0);
	EXPECT(shmd_queue_ack_many(queue, held, 150, &count), 0); /* the first one again */
	CHECK(count == 150);
	EXPECT(shmd_queue_nack(queue, &held[190]), 0);
	EXPECT(shmd_queue_nack_many(queue, held + 150, 50, &count), SHMD_E_NOT_OWNER);
	CHECK(count == 40);
	EXPECT(shmd_queue_nack_many(queue, held + 191, 9, &count), 0);
	expect_counts(queue, 50, 0, 0);
	EXPECT(shmd_queue_lease_many(queue, held, 60, 0, &count), 0);
	CHECK(count == 50);
	for (int64_t i = 0; i < 50; i++)
		CHECK(*(const int64_t *)held[i].message == 150 + i && held[i].deliveries == 2);
	EXPECT(shmd_queue_nack_many(queue, held, 50, &count), 0); /* for the last time */
	expect_counts(queue, 0, 0, 50);
	EXPECT(shmd_queue_extend(queue, held, LEASE_NS), SHMD_E_UNSUPPORTED);
	EXPECT(shmd_queue_extend(queue, NULL, LEASE_NS), SHMD_E_INVALID);

	static const char long_one[100];
	put(queue, "short");
	EXPECT(shmd_queue_put(queue, long_one, sizeof long_one, 0), 0);
	put(queue, "end");
	for (int i = 0; i < 3; i++) {
		EXPECT(shmd_queue_lease_many(queue, held + i, 3, 0, &count), 0);
		CHECK(count == 1);
	}
	CHECK(held[1].size_bytes == sizeof long_one && memcmp(held[1].message, long_one, sizeof long_one) == 0);
	EXPECT(shmd_queue_ack_many(queue, held, 3, &count), 0);
	CHECK(count == 3);
	shmd_queue_close(queue);
}

static void *join(void *queue)
{
	EXPECT(shmd_queue_join(queue, SHMD_FOREVER), 0);
	return NULL;
}

/* Starts a thread that joins, and ends when the last message is done by finish. */
static void joined_by(struct shmd_queue *queue, void (*finish)(struct shmd_queue *))
{
	pthread_t thread;
	EXPECT(shmd_queue_join(queue, 0), SHMD_E_WOULD_BLOCK);
	CHECK(pthread_create(&thread, NULL, join, queue) == 0);
	until_asleep(&queue->object, 1);
	finish(queue);
	CHECK(pthread_join(thread, NULL) == 0);
	EXPECT(shmd_queue_join(queue, 0), 0);
}

static void take(struct shmd_queue *queue)
{
	char buffer[8];
	size_t size_bytes;
	EXPECT(shmd_queue_take(queue, buffer, sizeof buffer, 0, &size_bytes), 0);
}

static void take_some(struct shmd_queue *queue)
{
	char buffer[64];
	struct iovec messages[3];
	uint32_t count;
	EXPECT(shmd_queue_take_many(queue, buffer, sizeof buffer, messages, 3, 0, &count), 0);
}

static void ack(struct shmd_queue *queue)
{
	struct shmd_lease lease;
	EXPECT(shmd_queue_lease(queue, 0, &lease), 0);
	EXPECT(shmd_queue_ack(queue, &lease), 0);
}

static void nack(struct shmd_queue *queue)
{
	struct shmd_lease lease;
	uint32_t count;
	EXPECT(shmd_queue_lease(queue, 0, &lease), 0);
	EXPECT(shmd_queue_nack_many(queue, &lease, 1, &count), 0);
}

static void joins(struct shmd_client *client)
{
	struct shmd_create_options options = {
		.size = sizeof options, .maxsize = 4, .slot_size = 8, .raw = true, .deliveries_max = 1};
	void (*const finishes[])(struct shmd_queue *) = {take, take_some, ack, nack};
	struct shmd_queue *queue;
	EXPECT(shmd_queue_create(client, "c/joined", &options, &queue), 0);
	EXPECT(shmd_queue_join(queue, 0), 0);
	EXPECT(shmd_queue_join(queue, -2), SHMD_E_INVALID);
	for (size_t i = 0; i < sizeof finishes / sizeof *finishes; i++) {
		put(queue, "a");
		EXPECT(shmd_queue_join(queue, 1000), SHMD_E_TIMED_OUT);
		joined_by(queue, finishes[i]);
	}
	struct shmd_reservation slot;
	EXPECT(shmd_queue_reserve(queue, 0, &slot), 0);
	EXPECT(shmd_queue_join(queue, 0), 0); /* of no concern */
	put(queue, "a");
	EXPECT(shmd_queue_shutdown(queue), 0);
	joined_by(queue, take);
	EXPECT(shmd_destroy(client, "c/joined"), 0);
	EXPECT(shmd_queue_join(queue, SHMD_FOREVER), SHMD_E_REMOVED);
	shmd_queue_close(queue);
}

/* A lease that nobody ends does so by itself, for whoever waits in whichever way. */
static void lease_times(struct shmd_client *client)
{
	struct shmd_create_options options = {
		.size = sizeof options, .maxsize = 4, .slot_size = 8, .raw = true, .deliveries_max = 3};
	struct shmd_queue *queue;
	struct shmd_queue *theirs;
	struct shmd_lease a;
	struct shmd_lease b;
	struct shmd_client *other = connected();
	options.lease_ns = LEASE_NS - 1;
	EXPECT(shmd_queue_create(client, NULL, &options, &queue), SHMD_E_INVALID);
	options.lease_ns = LEASE_NS;
	struct shmd_mutex *mutex;
	EXPECT(shmd_mutex_create(client, NULL, &options, &mutex), SHMD_E_INVALID);
	EXPECT(shmd_queue_create(client, "c/timed", &options, &queue), 0);
	EXPECT(shmd_queue_open(other, "c/timed", NULL, &theirs), 0);
	CHECK(shmd_queue_lease_ns(queue) == LEASE_NS && shmd_queue_lease_ns(theirs) == LEASE_NS);
	put(queue, "a");
	EXPECT(shmd_queue_lease(queue, 0, &a), 0);
	EXPECT(shmd_queue_lease(theirs, SHMD_FOREVER, &b), 0);
	CHECK(b.number == a.number && b.deliveries == 2);
	EXPECT(shmd_queue_ack(queue, &a), SHMD_E_NOT_OWNER);
	EXPECT(shmd_queue_nack(queue, &a), SHMD_E_NOT_OWNER);
	EXPECT(shmd_queue_extend(queue, &a, LEASE_NS), SHMD_E_NOT_OWNER);
	EXPECT(shmd_queue_extend(theirs, &b, LEASE_NS - 1), SHMD_E_INVALID);
	EXPECT(shmd_queue_extend(theirs, &b, SHMD_LEASE_NS_MAX), 0);
	EXPECT(shmd_queue_lease(queue, 5 * LEASE_NS, &a), SHMD_E_TIMED_OUT);
	EXPECT(shmd_queue_extend(theirs, &b, LEASE_NS), 0); /* sooner again */

	struct shmd_waitable item = {.until = SHMD_UNTIL_MESSAGE, .object = queue};
	size_t index = 1;
	EXPECT(shmd_wait_any(&item, 1, SHMD_FOREVER, &index), 0);
	EXPECT(shmd_queue_lease(queue, 0, &a), 0);
	CHECK(index == 0 && a.number == b.number && a.deliveries == 3);
	EXPECT(shmd_queue_ack(queue, &a), 0); /* nobody has ended it */

	put(queue, "b");
	EXPECT(shmd_queue_lease(theirs, 0, &b), 0);
	struct shmd_pollable *pollable;
	int opened = shmd_pollable_open(&item, &pollable);
	if (opened != SHMD_E_UNSUPPORTED) {
		EXPECT(opened, 0);
		CHECK(poll(&(struct pollfd){shmd_pollable_fd(pollable), POLLIN, 0}, 1, -1) == 1);
		EXPECT(shmd_queue_lease(queue, 0, &a), 0);
		CHECK(a.number == b.number && a.deliveries == 2);
		shmd_pollable_close(pollable);
	}
	/* The last delivery: then it is a dead letter, and all is done. */
	int result;
	while ((result = shmd_queue_lease(queue, SHMD_FOREVER, &a)) == 0 && a.deliveries < 3)
		;
	EXPECT(result, 0);
	EXPECT(shmd_queue_join(theirs, SHMD_FOREVER), 0);
	expect_counts(queue, 0, 0, 1);
	EXPECT(shmd_queue_lease(queue, 0, &a), SHMD_E_WOULD_BLOCK);
	shmd_queue_close(theirs);
	shmd_close(other);
	EXPECT(shmd_unlink(client, "c/timed"), 0);
	shmd_queue_close(queue);
}

struct crowd {
	struct shmd_queue *queue;
	uint32_t producers;              /* atomic */
	uint8_t done[PRODUCERS][ROUNDS]; /* atomic */
};

static void *produce(void *argument)
{
	struct crowd *crowd = argument;
	uint32_t me = __atomic_fetch_add(&crowd->producers, 1, __ATOMIC_RELAXED);
	uint32_t messages[5][2];
	struct iovec places[5];
	for (uint32_t next = 0, turn = 0, count; next < ROUNDS; next += count, turn++) {
		uint32_t n = 1 + turn % 5;
		n = n < ROUNDS - next ? n : ROUNDS - next;
		for (uint32_t i = 0; i < n; i++) {
			messages[i][0] = me;
			messages[i][1] = next + i;
			places[i] = (struct iovec){messages[i], sizeof messages[i]};
		}
		int result = shmd_queue_put_many(crowd->queue, places, n, turn % 3 == 0 ? 10000 : SHMD_FOREVER, &count);
		if (result != SHMD_E_TIMED_OUT)
			EXPECT(result, 0);
		CHECK(count <= n && (count > 0) == (result == 0));
	}
	return NULL;
}

static void do_once(struct crowd *crowd, const void *bytes_of_it, size_t size_bytes)
{
	uint32_t message[2];
	CHECK(size_bytes == sizeof message);
	memcpy(message, bytes_of_it, sizeof message);
	CHECK(message[0] < PRODUCERS && message[1] < ROUNDS);
	CHECK(__atomic_fetch_add(&crowd->done[message[0]][message[1]], 1, __ATOMIC_RELAXED) == 0);
}

static void *consume(void *argument)
{
	struct crowd *crowd = argument;
	for (uint32_t turn = 0;; turn++) {
		char buffer[64];
		struct iovec messages[4];
		struct shmd_lease held[4];
		uint32_t count;
		bool taken = turn % 2 == 0;
		int64_t timeout_ns = turn % 3 == 0 ? 10000 : SHMD_FOREVER;
		int result = taken ? shmd_queue_take_many(crowd->queue, buffer, sizeof buffer, messages, 1 + turn % 4,
		                                          timeout_ns, &count)
		                   : shmd_queue_lease_many(crowd->queue, held, 1 + turn % 4, timeout_ns, &count);
		if (result == SHMD_E_TIMED_OUT)
			continue;
		if (result == SHMD_E_ENDED)
			return NULL;
		EXPECT(result, 0);
		for (uint32_t i = 0; taken && i < count; i++)
			do_once(crowd, messages[i].iov_base, messages[i].iov_len);
		if (taken)
			continue;
		uint32_t back = held[0].deliveries == 1 && turn % 5 == 0 ? count / 2 : 0; /* the last of them */
		for (uint32_t i = 0; i < count - back; i++)
			do_once(crowd, held[i].message, held[i].size_bytes);
		uint32_t ended;
		EXPECT(shmd_queue_ack_many(crowd->queue, held, count - back, &ended), 0);
		if (back > 0)
			EXPECT(shmd_queue_nack_many(crowd->queue, held + count - back, back, &ended), 0);
	}
}

/* Producers and consumers of many that time out and give back: each message is done once. */
static void crowded(struct shmd_client *client)
{
	static struct crowd crowd;
	struct shmd_create_options options = {.size = sizeof options, .maxsize = 7, .slot_size = 8, .raw = true};
	EXPECT(shmd_queue_create(client, NULL, &options, &crowd.queue), 0);
	pthread_t threads[PRODUCERS + CONSUMERS];
	for (int i = 0; i < PRODUCERS + CONSUMERS; i++)
		CHECK(pthread_create(&threads[i], NULL, i < PRODUCERS ? produce : consume, &crowd) == 0);
	for (int i = 0; i < PRODUCERS; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
	EXPECT(shmd_queue_join(crowd.queue, SHMD_FOREVER), 0);
	EXPECT(shmd_queue_shutdown(crowd.queue), 0);
	for (int i = PRODUCERS; i < PRODUCERS + CONSUMERS; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
	for (int i = 0; i < PRODUCERS; i++)
		for (int j = 0; j < ROUNDS; j++)
			CHECK(crowd.done[i][j] == 1);
	expect_counts(crowd.queue, 0, 0, 0);
	crowd.queue = shmd_queue_close(crowd.queue);
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	struct shmd_client *client = connected();
	basics(client);
	leases(client);
	joins(client);
	lease_times(client);
	crowded(client);
	shmd_close(client);
	puts("ok");
	return 0;
}
