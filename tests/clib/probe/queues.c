/* SPDX-License-Identifier: Apache-2.0
 *
 * queues.c - what shmd.h promises of queues, against a daemon. Waits are bounded by
 * the caller's watchdog.
 */
#define _GNU_SOURCE
#include "expect.h"
#include "quiet.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define PRODUCERS 2
#define CONSUMERS 3
#define ROUNDS 5000

static void put(struct shmd_queue *queue, const char *text)
{
	EXPECT(shmd_queue_put(queue, text, strlen(text), 0), 0);
}

static void expect_taken(struct shmd_queue *queue, const char *text)
{
	char buffer[2000];
	size_t size_bytes;
	EXPECT(shmd_queue_take(queue, buffer, sizeof buffer, SHMD_FOREVER, &size_bytes), 0);
	CHECK(size_bytes == strlen(text) && memcmp(buffer, text, size_bytes) == 0);
}

static void expect_leased(struct shmd_queue *queue, const char *text, uint32_t deliveries, struct shmd_lease *ret_lease)
{
	EXPECT(shmd_queue_lease(queue, SHMD_FOREVER, ret_lease), 0);
	CHECK(ret_lease->size_bytes == strlen(text) && memcmp(ret_lease->message, text, strlen(text)) == 0);
	CHECK(ret_lease->deliveries == deliveries);
}

static void expect_counts(struct shmd_queue *queue, uint32_t ready, uint32_t leased, uint32_t writing, uint32_t dead)
{
	struct shmd_queue_counts counts;
	EXPECT(shmd_queue_counts(queue, &counts), 0);
	CHECK(counts.ready == ready && counts.leased == leased && counts.writing == writing && counts.dead == dead);
	CHECK(counts.free == shmd_queue_maxsize(queue) - ready - leased - writing - dead);
}

static void basics(struct shmd_client *client)
{
	struct shmd_create_options options = {.size = sizeof options, .maxsize = 3, .slot_size = 1000, .raw = true};
	struct shmd_queue *queue;
	struct shmd_queue *again;
	char buffer[1001];
	size_t size_bytes = 77;
	memset(buffer, 'x', sizeof buffer);
	EXPECT(shmd_queue_create(client, "c/queue", &options, &queue), 0);
	CHECK(shmd_queue_created(queue) && shmd_queue_raw(queue) && shmd_queue_maxsize(queue) == 3);
	CHECK(shmd_queue_message_max_bytes(queue) == 1000);
	put(queue, "first");
	put(queue, "");
	EXPECT(shmd_queue_put(queue, buffer, 1000, SHMD_FOREVER), 0);
	EXPECT(shmd_queue_put(queue, "", 0, 0), SHMD_E_WOULD_BLOCK);
	EXPECT(shmd_queue_put(queue, NULL, 0, 1000), SHMD_E_TIMED_OUT);
	EXPECT(shmd_queue_put(queue, buffer, 1001, 0), SHMD_E_TOO_LARGE);
	CHECK(strstr(shmd_last_error(), "1001") != NULL && strstr(shmd_last_error(), "1000") != NULL);
	expect_counts(queue, 3, 0, 0, 0);
	EXPECT(shmd_queue_take(queue, buffer, 4, 0, &size_bytes), SHMD_E_TOO_LARGE);
	CHECK(size_bytes == 77);
	expect_taken(queue, "first");
	expect_taken(queue, "");
	EXPECT(shmd_queue_take(queue, buffer, sizeof buffer, 0, &size_bytes), 0);
	CHECK(size_bytes == 1000 && buffer[999] == 'x');
	EXPECT(shmd_queue_take(queue, buffer, sizeof buffer, 0, &size_bytes), SHMD_E_WOULD_BLOCK);
	EXPECT(shmd_queue_take(queue, buffer, sizeof buffer, 1000, &size_bytes), SHMD_E_TIMED_OUT);

	EXPECT(shmd_queue_put(NULL, "", 0, 0), SHMD_E_INVALID);
	EXPECT(shmd_queue_put(queue, NULL, 1, 0), SHMD_E_INVALID);
	EXPECT(shmd_queue_put(queue, "", 0, -2), SHMD_E_INVALID);
	EXPECT(shmd_queue_take(queue, NULL, 1, 0, &size_bytes), SHMD_E_INVALID);
	EXPECT(shmd_queue_take(queue, buffer, 1, 0, NULL), SHMD_E_INVALID);
	EXPECT(shmd_queue_lease(queue, 0, NULL), SHMD_E_INVALID);
	EXPECT(shmd_queue_ack(queue, NULL), SHMD_E_INVALID);
	EXPECT(shmd_queue_nack(NULL, NULL), SHMD_E_INVALID);
	EXPECT(shmd_queue_reserve(queue, 0, NULL), SHMD_E_INVALID);
	EXPECT(shmd_queue_commit(queue, NULL, 0), SHMD_E_INVALID);
	EXPECT(shmd_queue_abort(queue, NULL), SHMD_E_INVALID);
	EXPECT(shmd_queue_take_dead(queue, NULL), SHMD_E_INVALID);
	EXPECT(shmd_queue_redeliver(NULL, NULL), SHMD_E_INVALID);
	EXPECT(shmd_queue_counts(queue, NULL), SHMD_E_INVALID);
	EXPECT(shmd_queue_shutdown(NULL), SHMD_E_INVALID);

	EXPECT(shmd_queue_create(client, "c/queue", &options, &again), SHMD_E_EXISTS);
	EXPECT(shmd_queue_open_or_create(client, "c/queue", &options, &again), 0);
	CHECK(!shmd_queue_created(again) && shmd_queue_id(again) == shmd_queue_id(queue));
	put(again, "by the other handle");
	expect_taken(queue, "by the other handle");
	shmd_queue_close(again);
	struct shmd_open_options reader = {.size = sizeof reader, .read_only = true};
	EXPECT(shmd_queue_open(client, "c/queue", &reader, &again), 0);
	EXPECT(shmd_queue_put(again, "", 0, 0), SHMD_E_PERMISSION);
	EXPECT(shmd_queue_shutdown(again), SHMD_E_PERMISSION);
	shmd_queue_close(again);
	struct shmd_mutex *mutex;
	EXPECT(shmd_mutex_open(client, "c/queue", NULL, &mutex), SHMD_E_KIND_MISMATCH);
	EXPECT(shmd_mutex_create(client, NULL, &options, &mutex), SHMD_E_INVALID);
	options.maxsize = 65537;
	EXPECT(shmd_queue_create(client, NULL, &options, &again), SHMD_E_INVALID);

	EXPECT(shmd_destroy(client, "c/queue"), 0);
	EXPECT(shmd_queue_put(queue, "", 0, SHMD_FOREVER), SHMD_E_REMOVED);
	EXPECT(shmd_queue_take(queue, buffer, 1, SHMD_FOREVER, &size_bytes), SHMD_E_REMOVED);
	CHECK(shmd_queue_close(queue) == NULL && shmd_queue_close(NULL) == NULL);
}

static void leases(struct shmd_client *client)
{
	struct shmd_create_options options = {
		.size = sizeof options, .maxsize = 4, .slot_size = 64, .raw = true, .deliveries_max = 2};
	struct shmd_queue *queue;
	struct shmd_queue *theirs;
	struct shmd_lease a;
	struct shmd_lease b;
	struct shmd_client *other = connected();
	EXPECT(shmd_queue_create(client, "c/leases", &options, &queue), 0);
	EXPECT(shmd_queue_open(other, "c/leases", NULL, &theirs), 0);
	put(queue, "a");
	put(queue, "b");
	expect_leased(queue, "a", 1, &a);
	expect_leased(theirs, "b", 1, &b);
	EXPECT(shmd_queue_ack(queue, &b), SHMD_E_NOT_OWNER);
	EXPECT(shmd_queue_nack(theirs, &a), SHMD_E_NOT_OWNER);
	put(queue, "c");
	EXPECT(shmd_queue_nack(queue, &a), 0);
	EXPECT(shmd_queue_nack(queue, &a), SHMD_E_NOT_OWNER);
	expect_leased(queue, "a", 2, &a);
	EXPECT(shmd_queue_nack(queue, &a), 0);
	expect_counts(queue, 1, 1, 0, 1);
	EXPECT(shmd_queue_take_dead(queue, &a), 0);
	CHECK(a.deliveries == 2 && memcmp(a.message, "a", 1) == 0);
	EXPECT(shmd_queue_nack(queue, &a), 0);
	uint32_t count = 0;
	EXPECT(shmd_queue_redeliver(queue, &count), 0);
	CHECK(count == 1);
	EXPECT(shmd_queue_take_dead(queue, &a), SHMD_E_WOULD_BLOCK);
	expect_leased(queue, "a", 1, &a);
	EXPECT(shmd_queue_ack(queue, &a), 0);
	EXPECT(shmd_queue_ack(queue, &a), 0);
	EXPECT(shmd_queue_nack(queue, &a), SHMD_E_NOT_OWNER);

	/* The last handle of a client gives its leases back, to the front. */
	shmd_queue_close(theirs);
	shmd_close(other);
	expect_leased(queue, "b", 2, &b);
	expect_taken(queue, "c");

	struct shmd_reservation slot;
	EXPECT(shmd_queue_reserve(queue, 0, &slot), 0);
	CHECK(slot.buffer_bytes == 64);
	memcpy(slot.buffer, "made in place", 13);
	EXPECT(shmd_queue_commit(queue, &slot, 65), SHMD_E_TOO_LARGE);
	EXPECT(shmd_queue_commit(queue, &slot, 13), 0);
	EXPECT(shmd_queue_commit(queue, &slot, 13), 0);
	EXPECT(shmd_queue_abort(queue, &slot), SHMD_E_NOT_OWNER);
	expect_taken(queue, "made in place");
	EXPECT(shmd_queue_reserve(queue, 0, &slot), 0);
	EXPECT(shmd_queue_abort(queue, &slot), 0);
	EXPECT(shmd_queue_commit(queue, &slot, 1), SHMD_E_NOT_OWNER);
	EXPECT(shmd_queue_abort(queue, &slot), SHMD_E_NOT_OWNER);
	const struct shmd_reservation never[] = {
		{0}, {.ticket = slot.ticket + 1, .slot = slot.slot}, {.ticket = 1, .slot = UINT32_MAX}};
	for (int i = 0; i < 3; i++) {
		EXPECT(shmd_queue_commit(queue, &never[i], 1), SHMD_E_NOT_OWNER);
		EXPECT(shmd_queue_abort(queue, &never[i]), SHMD_E_NOT_OWNER);
	}

	put(queue, "last");
	EXPECT(shmd_queue_shutdown(queue), 0);
	EXPECT(shmd_queue_put(queue, "", 0, SHMD_FOREVER), SHMD_E_ENDED);
	expect_taken(queue, "last");
	EXPECT(shmd_queue_lease(queue, SHMD_FOREVER, &a), SHMD_E_ENDED);
	EXPECT(shmd_queue_ack(queue, &b), 0);
	shmd_queue_close(queue);
	EXPECT(shmd_unlink(client, "c/leases"), 0);
}

/* Without raw, a message is one msgpack value. */
static void contents(struct shmd_client *client)
{
	struct shmd_queue *queue;
	EXPECT(shmd_queue_create(client, NULL, NULL, &queue), 0);
	CHECK(!shmd_queue_raw(queue) && shmd_queue_maxsize(queue) == 1024 && shmd_queue_message_max_bytes(queue) == 256);
	EXPECT(shmd_queue_put(queue, "\x93\x01\xa2hi\xc0", 6, 0), 0);
	EXPECT(shmd_queue_put(queue, "\x93\x01\xa2hi\xc0\xc0", 7, 0), SHMD_E_BAD_TYPE);
	EXPECT(shmd_queue_put(queue, "\x93\x01\xa2hi", 5, 0), SHMD_E_BAD_TYPE);
	EXPECT(shmd_queue_put(queue, "\xc1", 1, 0), SHMD_E_BAD_TYPE);
	EXPECT(shmd_queue_put(queue, "", 0, 0), SHMD_E_BAD_TYPE);
	EXPECT(shmd_queue_put(queue, "\xdd\xff\xff\xff\xff", 5, 0), SHMD_E_BAD_TYPE);
	char nested[13];
	memset(nested, 0x91, sizeof nested - 1);
	nested[12] = 1;
	EXPECT(shmd_queue_put(queue, nested, 13, 0), 0);
	struct shmd_reservation slot;
	EXPECT(shmd_queue_reserve(queue, 0, &slot), 0);
	memcpy(slot.buffer, "\x92\x01", 2);
	EXPECT(shmd_queue_commit(queue, &slot, 2), SHMD_E_BAD_TYPE);
	memcpy(slot.buffer, "\x91\x01", 2);
	EXPECT(shmd_queue_commit(queue, &slot, 2), 0);
	expect_counts(queue, 3, 0, 0, 0);
	shmd_queue_close(queue);
}

/* A child that is killed with a lease and a slot gives both back. */
static void killed(struct shmd_client *client)
{
	struct shmd_create_options options = {.size = sizeof options, .maxsize = 2, .slot_size = 64, .raw = true};
	struct shmd_queue *queue;
	EXPECT(shmd_queue_create(client, "c/killed", &options, &queue), 0);
	put(queue, "job");
	int pipes[2];
	CHECK(pipe(pipes) == 0);
	pid_t child = fork();
	CHECK(child >= 0);
	if (child == 0) {
		struct shmd_lease job;
		struct shmd_reservation slot;
		struct shmd_queue *mine;
		EXPECT(shmd_queue_lease(queue, 0, &job), SHMD_E_FORKED);
		EXPECT(shmd_queue_open(connected(), "c/killed", NULL, &mine), 0);
		expect_leased(mine, "job", 1, &job);
		EXPECT(shmd_queue_reserve(mine, 0, &slot), 0);
		CHECK(write(pipes[1], "!", 1) == 1);
		pause();
	}
	char byte;
	CHECK(read(pipes[0], &byte, 1) == 1);
	expect_counts(queue, 0, 1, 1, 0);
	EXPECT(shmd_queue_put(queue, "", 0, 0), SHMD_E_WOULD_BLOCK);
	CHECK(kill(child, SIGKILL) == 0);
	EXPECT(shmd_queue_put(queue, "after", 5, SHMD_FOREVER), 0);
	struct shmd_lease job;
	expect_leased(queue, "job", 2, &job);
	EXPECT(shmd_queue_ack(queue, &job), 0);
	expect_taken(queue, "after");
	CHECK(waitpid(child, NULL, 0) == child);
	close(pipes[0]);
	close(pipes[1]);
	shmd_queue_close(queue);
	EXPECT(shmd_unlink(client, "c/killed"), 0);
}

struct crowd {
	struct shmd_queue *queue;
	uint32_t producers;                 /* atomic */
	uint8_t done[PRODUCERS][ROUNDS]; /* atomic */
};

static void *produce(void *argument)
{
	struct crowd *crowd = argument;
	uint32_t message[2] = {__atomic_fetch_add(&crowd->producers, 1, __ATOMIC_RELAXED), 0};
	while (message[1] < ROUNDS) {
		int result = shmd_queue_put(crowd->queue, message, sizeof message, message[1] % 3 == 0 ? 10000 : SHMD_FOREVER);
		if (result == SHMD_E_TIMED_OUT)
			continue;
		EXPECT(result, 0);
		message[1]++;
	}
	return NULL;
}

static void *consume(void *argument)
{
	struct crowd *crowd = argument;
	int64_t last[PRODUCERS] = {-1, -1};
	for (uint32_t turn = 0;; turn++) {
		struct shmd_lease lease;
		uint32_t message[2];
		size_t size_bytes = sizeof message;
		bool taken = turn % 2 == 0;
		int64_t timeout_ns = turn % 3 == 0 ? 10000 : SHMD_FOREVER;
		int result = taken ? shmd_queue_take(crowd->queue, message, sizeof message, timeout_ns, &size_bytes)
		                   : shmd_queue_lease(crowd->queue, timeout_ns, &lease);
		if (result == SHMD_E_TIMED_OUT)
			continue;
		if (result == SHMD_E_ENDED)
			return NULL;
		EXPECT(result, 0);
		bool first = taken || lease.deliveries == 1;
		if (!taken) {
			memcpy(message, lease.message, sizeof message);
			if (first && turn % 5 == 0) {
				EXPECT(shmd_queue_nack(crowd->queue, &lease), 0);
				continue;
			}
			EXPECT(shmd_queue_ack(crowd->queue, &lease), 0);
		}
		CHECK(size_bytes == sizeof message && message[0] < PRODUCERS && message[1] < ROUNDS);
		CHECK(__atomic_fetch_add(&crowd->done[message[0]][message[1]], 1, __ATOMIC_RELAXED) == 0);
		if (!taken && first) {
			CHECK(last[message[0]] < message[1]);
			last[message[0]] = message[1];
		}
	}
}

/* Producers and consumers that time out and give back: each message is done once. */
static void crowded(struct shmd_queue *queue)
{
	static struct crowd crowd;
	crowd = (struct crowd){.queue = queue};
	pthread_t threads[PRODUCERS + CONSUMERS];
	for (int i = 0; i < PRODUCERS + CONSUMERS; i++)
		CHECK(pthread_create(&threads[i], NULL, i < PRODUCERS ? produce : consume, &crowd) == 0);
	for (int i = 0; i < PRODUCERS; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
	struct shmd_queue_counts counts;
	do /* what is given back must be taken before the end */
		EXPECT(shmd_queue_counts(queue, &counts), 0);
	while (counts.ready + counts.leased > 0);
	EXPECT(shmd_queue_shutdown(queue), 0);
	for (int i = PRODUCERS; i < PRODUCERS + CONSUMERS; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
	for (int i = 0; i < PRODUCERS; i++)
		for (int j = 0; j < ROUNDS; j++)
			CHECK(crowd.done[i][j] == 1);
	expect_counts(queue, 0, 0, 0, 0);
}

static void *take_one(void *argument)
{
	expect_taken(argument, "wake");
	return NULL;
}

/* Both words have been waited on, in vain and not, and settled by one message. */
static void *after_waits(bool unused)
{
	(void)unused;
	struct shmd_create_options options = {.size = sizeof options, .maxsize = 2, .slot_size = 64, .raw = true};
	struct shmd_client *client = connected();
	struct shmd_queue *queue;
	EXPECT(shmd_queue_create(client, NULL, &options, &queue), 0);
	crowded(queue);
	shmd_queue_close(queue);
	EXPECT(shmd_queue_create(client, NULL, &options, &queue), 0);
	char buffer[64];
	size_t size_bytes;
	EXPECT(shmd_queue_take(queue, buffer, sizeof buffer, 100000, &size_bytes), SHMD_E_TIMED_OUT);
	pthread_t thread;
	CHECK(pthread_create(&thread, NULL, take_one, queue) == 0);
	put(queue, "wake");
	CHECK(pthread_join(thread, NULL) == 0);
	put(queue, "1");
	put(queue, "2");
	EXPECT(shmd_queue_put(queue, "3", 1, 100000), SHMD_E_TIMED_OUT);
	expect_taken(queue, "1");
	expect_taken(queue, "2");
	put(queue, "4");
	expect_taken(queue, "4");
	return queue;
}

static int put_and_take(void *queue)
{
	char buffer[64];
	size_t size_bytes;
	struct shmd_lease lease;
	int result = shmd_queue_put(queue, "x", 1, SHMD_FOREVER) | shmd_queue_put(queue, "y", 1, SHMD_FOREVER);
	if (result == 0)
		result = shmd_queue_take(queue, buffer, sizeof buffer, SHMD_FOREVER, &size_bytes);
	if (result == 0)
		result = shmd_queue_lease(queue, SHMD_FOREVER, &lease);
	return result == 0 ? shmd_queue_ack(queue, &lease) : result;
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	struct shmd_client *client = connected();
	basics(client);
	leases(client);
	contents(client);
	killed(client);
	expect_quiet(after_waits, put_and_take, false);
	shmd_close(client);
	puts("ok");
	return 0;
}
