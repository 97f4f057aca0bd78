/* SPDX-License-Identifier: Apache-2.0
 *
 * sides.c - what shmd.h promises of messages longer than a slot, against a daemon.
 * "lost": what it promises when the daemon is gone, for which the caller kills it
 * when the probe says "kill". "echo": passes messages on from queue c/in to c/out,
 * until that is shut down. Waits are bounded by the caller's watchdog.
 */
#define _GNU_SOURCE
#include "expect.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define SLOT 64u
#define MESSAGE_MAX (3u << 20)
#define THREADS 2
#define ROUNDS 1000

/* One byte too many, to be put in vain. */
static unsigned char made[MESSAGE_MAX + 1];
static unsigned char taken[MESSAGE_MAX];

/* Bytes that tell where they are, and whose. */
static void make(unsigned char *bytes, size_t size_bytes, uint32_t seed)
{
	for (size_t i = 0; i < size_bytes; i++)
		bytes[i] = (unsigned char)(i ^ i >> 8 ^ i >> 16 ^ seed);
}

static bool is_made(const unsigned char *bytes, size_t size_bytes, uint32_t seed)
{
	for (size_t i = 0; i < size_bytes; i++)
		if (bytes[i] != (unsigned char)(i ^ i >> 8 ^ i >> 16 ^ seed))
			return false;
	return true;
}

static void put(struct shmd_queue *queue, size_t size_bytes, uint32_t seed)
{
	make(made, size_bytes, seed);
	EXPECT(shmd_queue_put(queue, made, size_bytes, 0), 0);
}

static void expect_taken(struct shmd_queue *queue, size_t size_bytes, uint32_t seed)
{
	size_t taken_bytes = 0;
	EXPECT(shmd_queue_take(queue, taken, sizeof taken, 0, &taken_bytes), 0);
	CHECK(taken_bytes == size_bytes && is_made(taken, size_bytes, seed));
}

static void expect_leased(struct shmd_queue *queue, size_t size_bytes, uint32_t seed, struct shmd_lease *ret_lease)
{
	EXPECT(shmd_queue_lease(queue, SHMD_FOREVER, ret_lease), 0);
	CHECK(ret_lease->size_bytes == size_bytes && (uintptr_t)ret_lease->message % 8 == 0);
	CHECK(is_made(ret_lease->message, size_bytes, seed));
}

static void expect_all_free(struct shmd_queue *queue)
{
	struct shmd_queue_counts counts;
	EXPECT(shmd_queue_counts(queue, &counts), 0);
	CHECK(counts.free == shmd_queue_maxsize(queue));
}

static struct shmd_queue *create(struct shmd_client *client, const char *name, uint32_t maxsize, bool raw)
{
	struct shmd_create_options options = {.size = sizeof options, .maxsize = maxsize, .slot_size = SLOT,
		.message_max = MESSAGE_MAX, .raw = raw};
	struct shmd_queue *queue;
	EXPECT(shmd_queue_create(client, name, &options, &queue), 0);
	return queue;
}

static int open_descriptors(void)
{
	int count = 0;
	for (int fd = 0; fd < 256; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

/* How many memfds of queues are mapped, these and their sides. */
static int mappings(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	CHECK(maps != NULL);
	char line[1024];
	int count = 0;
	while (fgets(line, sizeof line, maps) != NULL)
		count += strstr(line, "memfd:shmd") != NULL;
	fclose(maps);
	return count;
}

static void basics(struct shmd_client *client)
{
	static const size_t sizes[] = {0, SLOT, SLOT + 1, 512, 513, 4096, 4097, 1 << 20, MESSAGE_MAX};
	const uint32_t count = sizeof sizes / sizeof sizes[0];
	struct shmd_queue *queue = create(client, "c/sides", 3, true);
	CHECK(shmd_queue_message_max_bytes(queue) == MESSAGE_MAX);
	for (uint32_t round = 0; round < 3 * count; round++) {
		/* One with another before and behind it, so that the slots change. */
		uint32_t i = round % count;
		uint32_t j = (round + round / count) % count;
		put(queue, sizes[i], round);
		put(queue, sizes[j], round + 1);
		put(queue, 5, round + 2);
		expect_taken(queue, sizes[i], round);
		struct shmd_lease lease;
		expect_leased(queue, sizes[j], round + 1, &lease);
		EXPECT(shmd_queue_nack(queue, &lease), 0);
		expect_leased(queue, sizes[j], round + 1, &lease);
		CHECK(lease.deliveries == 2);
		EXPECT(shmd_queue_ack(queue, &lease), 0);
		EXPECT(shmd_queue_ack(queue, &lease), 0);
		expect_taken(queue, 5, round + 2);
	}
	EXPECT(shmd_queue_put(queue, made, MESSAGE_MAX + 1, 0), SHMD_E_TOO_LARGE);
	CHECK(strstr(shmd_last_error(), "3145729 bytes") != NULL && strstr(shmd_last_error(), "up to 3145728") != NULL);
	put(queue, 100, 1);
	size_t size_bytes;
	EXPECT(shmd_queue_take(queue, taken, 99, 0, &size_bytes), SHMD_E_TOO_LARGE);
	expect_taken(queue, 100, 1);
	for (uint32_t i = 0; i < 3; i++)
		put(queue, 1000 + i, i);
	EXPECT(shmd_queue_put(queue, made, 1000, 0), SHMD_E_WOULD_BLOCK);
	EXPECT(shmd_queue_put(queue, made, 1000, 1000), SHMD_E_TIMED_OUT);
	/* All at once, acknowledged in another order. */
	struct shmd_lease leases[3];
	for (uint32_t i = 0; i < 3; i++)
		expect_leased(queue, 1000 + i, i, &leases[i]);
	for (uint32_t i = 3; i-- > 0;) {
		CHECK(is_made(leases[i].message, 1000 + i, i));
		EXPECT(shmd_queue_ack(queue, &leases[i]), 0);
	}
	expect_all_free(queue);
	EXPECT(shmd_queue_shutdown(queue), 0);
	EXPECT(shmd_queue_put(queue, made, 1000, 0), SHMD_E_ENDED);
	shmd_queue_close(queue);
	EXPECT(shmd_unlink(client, "c/sides"), 0);
}

static void reservations(struct shmd_client *client)
{
	struct shmd_queue *queue = create(client, "c/sides", 2, true);
	struct shmd_reservation slot;
	EXPECT(shmd_queue_reserve_size(NULL, 1, 0, &slot), SHMD_E_INVALID);
	EXPECT(shmd_queue_reserve_size(queue, 1, 0, NULL), SHMD_E_INVALID);
	EXPECT(shmd_queue_reserve_size(queue, 1, -2, &slot), SHMD_E_INVALID);
	EXPECT(shmd_queue_reserve_size(queue, MESSAGE_MAX + 1, 0, &slot), SHMD_E_TOO_LARGE);
	EXPECT(shmd_queue_reserve_size(queue, 5000, 0, &slot), 0);
	CHECK(slot.buffer_bytes == 5000 && slot.side != 0);
	make(slot.buffer, 5000, 7);
	EXPECT(shmd_queue_commit(queue, &slot, 5001), SHMD_E_TOO_LARGE);
	EXPECT(shmd_queue_commit(queue, &slot, 4000), 0);
	EXPECT(shmd_queue_commit(queue, &slot, 4000), 0);
	EXPECT(shmd_queue_abort(queue, &slot), SHMD_E_NOT_OWNER);
	expect_taken(queue, 4000, 7);
	/* What turns out short lies in its slot. */
	EXPECT(shmd_queue_reserve_size(queue, 5000, 0, &slot), 0);
	make(slot.buffer, 5000, 8);
	EXPECT(shmd_queue_commit(queue, &slot, SLOT), 0);
	put(queue, 5000, 9);
	expect_taken(queue, SLOT, 8);
	expect_taken(queue, 5000, 9);
	EXPECT(shmd_queue_reserve_size(queue, 5000, 0, &slot), 0);
	EXPECT(shmd_queue_abort(queue, &slot), 0);
	EXPECT(shmd_queue_commit(queue, &slot, 1), SHMD_E_NOT_OWNER);
	EXPECT(shmd_queue_reserve_size(queue, SLOT, 0, &slot), 0);
	CHECK(slot.buffer_bytes == SLOT && slot.side == 0);
	EXPECT(shmd_queue_commit(queue, &slot, SLOT + 1), SHMD_E_TOO_LARGE);
	EXPECT(shmd_queue_abort(queue, &slot), 0);
	expect_all_free(queue);
	shmd_queue_close(queue);
	EXPECT(shmd_unlink(client, "c/sides"), 0);

	queue = create(client, NULL, 2, false);
	memset(made, 1, 1000);
	memcpy(made, "\xdc\x03\xe5", 3); /* an array of 997 */
	EXPECT(shmd_queue_put(queue, made, 999, 0), SHMD_E_BAD_TYPE);
	EXPECT(shmd_queue_put(queue, made, 1000, 0), 0);
	EXPECT(shmd_queue_reserve_size(queue, 1000, 0, &slot), 0);
	memcpy(slot.buffer, made, 1000);
	EXPECT(shmd_queue_commit(queue, &slot, 999), SHMD_E_BAD_TYPE);
	EXPECT(shmd_queue_commit(queue, &slot, 1000), 0);
	shmd_queue_close(queue);

	/* A late commit: the slot is reserved again, and its old memory is unmapped. */
	queue = create(client, NULL, 1, false);
	EXPECT(shmd_queue_reserve_size(queue, 1000, 0, &slot), 0);
	memcpy(slot.buffer, made, 1000);
	EXPECT(shmd_queue_commit(queue, &slot, 1000), 0);
	size_t size_bytes;
	EXPECT(shmd_queue_take(queue, taken, sizeof taken, 0, &size_bytes), 0);
	struct shmd_reservation next;
	EXPECT(shmd_queue_reserve_size(queue, MESSAGE_MAX, 0, &next), 0);
	CHECK(next.slot == slot.slot && next.side != slot.side);
	EXPECT(shmd_queue_commit(queue, &slot, 1000), SHMD_E_NOT_OWNER);
	EXPECT(shmd_queue_abort(queue, &next), 0);
	shmd_queue_close(queue);
}

/* Slots keep their memory: a stream maps nothing new, and what a slot has outgrown
 * is unmapped, though not while a lease looks at it. */
static void recycled(struct shmd_client *client)
{
	struct shmd_queue *queue = create(client, "c/sides", 1, true);
	struct shmd_queue *theirs;
	struct shmd_lease lease;
	EXPECT(shmd_queue_open(client, "c/sides", NULL, &theirs), 0);
	int descriptors = open_descriptors();
	int before = mappings();
	for (uint32_t i = 0; i < 100; i++) {
		put(queue, 1000 + i, i);
		expect_taken(theirs, 1000 + i, i);
	}
	CHECK(mappings() == before + 2);
	for (uint32_t i = 0; i < 6; i++) {
		put(queue, 5000u << i, i);
		expect_leased(theirs, 5000u << i, i, &lease);
		EXPECT(shmd_queue_ack(theirs, &lease), 0);
		CHECK(mappings() == before + 2);
	}
	/* Acknowledged by the other handle, which does not know who looks at it. */
	put(queue, 300000, 1);
	expect_leased(theirs, 300000, 1, &lease);
	EXPECT(shmd_queue_ack(queue, &lease), 0);
	put(queue, 600000, 2);
	struct shmd_lease next;
	expect_leased(theirs, 600000, 2, &next);
	CHECK(!is_made(lease.message, 300000, 1) && mappings() == before + 3);
	EXPECT(shmd_queue_ack(theirs, &next), 0);
	CHECK(open_descriptors() == descriptors);
	shmd_queue_close(theirs);
	shmd_queue_close(queue);
	CHECK(mappings() == before - 2);
	EXPECT(shmd_unlink(client, "c/sides"), 0);
}

/* A child that is killed with a long message and room for another. */
static void killed(struct shmd_client *client)
{
	struct shmd_queue *queue = create(client, "c/sides", 2, true);
	put(queue, 9000, 1);
	int pipes[2];
	CHECK(pipe(pipes) == 0);
	pid_t child = fork();
	CHECK(child >= 0);
	if (child == 0) {
		struct shmd_lease job;
		struct shmd_reservation slot;
		struct shmd_queue *mine;
		EXPECT(shmd_queue_put(queue, made, 9000, 0), SHMD_E_FORKED);
		EXPECT(shmd_queue_open(connected(), "c/sides", NULL, &mine), 0);
		shmd_queue_close(queue);
		expect_leased(mine, 9000, 1, &job);
		EXPECT(shmd_queue_reserve_size(mine, 100000, 0, &slot), 0);
		make(slot.buffer, 100000, 2);
		CHECK(write(pipes[1], "!", 1) == 1);
		pause();
	}
	char byte;
	CHECK(read(pipes[0], &byte, 1) == 1);
	EXPECT(shmd_queue_put(queue, "", 0, 0), SHMD_E_WOULD_BLOCK);
	CHECK(kill(child, SIGKILL) == 0);
	make(made, 200000, 3);
	EXPECT(shmd_queue_put(queue, made, 200000, SHMD_FOREVER), 0);
	struct shmd_lease job;
	expect_leased(queue, 9000, 1, &job);
	CHECK(job.deliveries == 2);
	EXPECT(shmd_queue_ack(queue, &job), 0);
	expect_taken(queue, 200000, 3);
	expect_all_free(queue);
	CHECK(waitpid(child, NULL, 0) == child);
	close(pipes[0]);
	close(pipes[1]);
	shmd_queue_close(queue);
	EXPECT(shmd_unlink(client, "c/sides"), 0);
}

static void destroyed(struct shmd_client *client)
{
	struct shmd_queue *queue = create(client, "c/sides", 2, true);
	struct shmd_lease lease;
	struct shmd_reservation slot;
	put(queue, 9000, 1);
	expect_leased(queue, 9000, 1, &lease);
	EXPECT(shmd_queue_reserve_size(queue, 9000, 0, &slot), 0);
	EXPECT(shmd_destroy(client, "c/sides"), 0);
	CHECK(is_made(lease.message, 9000, 1)); /* as long as the handle is open */
	make(slot.buffer, 9000, 2);
	EXPECT(shmd_queue_commit(queue, &slot, 9000), SHMD_E_REMOVED);
	EXPECT(shmd_queue_ack(queue, &lease), SHMD_E_REMOVED);
	EXPECT(shmd_queue_put(queue, made, 9000, 0), SHMD_E_REMOVED);
	shmd_queue_close(queue);
}

static void *produce(void *argument)
{
	static const uint32_t size_max = 20000;
	unsigned char *message = malloc(size_max);
	CHECK(message != NULL);
	for (uint32_t i = 0; i < ROUNDS; i++) {
		uint32_t size_bytes = 4 + i * 131 % (size_max - 4);
		make(message, size_bytes, i);
		EXPECT(shmd_queue_put(argument, message, size_bytes, SHMD_FOREVER), 0);
	}
	free(message);
	return NULL;
}

static void *consume(void *argument)
{
	for (uint32_t i = 0; i < ROUNDS; i++) {
		struct shmd_lease lease;
		EXPECT(shmd_queue_lease(argument, SHMD_FOREVER, &lease), 0);
		const unsigned char *message = lease.message;
		CHECK(is_made(message, lease.size_bytes, message[0]));
		bool back = i % 7 == 0 && lease.deliveries == 1;
		EXPECT(back ? shmd_queue_nack(argument, &lease) : shmd_queue_ack(argument, &lease), 0);
		i -= back;
	}
	return NULL;
}

/* One handle, several threads. */
static void crowded(struct shmd_client *client)
{
	struct shmd_queue *queue = create(client, NULL, 4, true);
	pthread_t threads[2 * THREADS];
	for (int i = 0; i < 2 * THREADS; i++)
		CHECK(pthread_create(&threads[i], NULL, i < THREADS ? produce : consume, queue) == 0);
	for (int i = 0; i < 2 * THREADS; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
	shmd_queue_close(queue);
}

/* What is mapped goes on without the daemon; the rest is LOST, and stays. */
static void lost(struct shmd_client *client)
{
	struct shmd_queue *queue = create(client, "c/sides", 3, true);
	struct shmd_queue *theirs;
	struct shmd_client *other = connected();
	struct shmd_lease lease;
	struct shmd_reservation slot;
	EXPECT(shmd_queue_open(other, "c/sides", NULL, &theirs), 0);
	put(queue, 9000, 1);
	put(queue, 9000, 2);
	expect_leased(theirs, 9000, 1, &lease);
	EXPECT(shmd_queue_reserve_size(queue, 9000, 0, &slot), 0);
	make(slot.buffer, 9000, 3);
	puts("kill");
	CHECK(getchar() == '\n');
	EXPECT(shmd_queue_nack(theirs, &lease), 0);
	expect_leased(theirs, 9000, 1, &lease);
	EXPECT(shmd_queue_ack(theirs, &lease), 0);
	EXPECT(shmd_queue_lease(theirs, 0, &lease), SHMD_E_LOST);
	size_t size_bytes;
	EXPECT(shmd_queue_take(theirs, taken, sizeof taken, 0, &size_bytes), SHMD_E_LOST);
	put(theirs, 16384, 5); /* as much as there is where 9000 bytes were */
	expect_taken(queue, 9000, 2);
	expect_taken(queue, 16384, 5);
	for (uint32_t i = 0; i < 20; i++) { /* in both slots */
		put(queue, 9000 + i, i);
		expect_taken(queue, 9000 + i, i);
	}
	for (int i = 0; i < 2; i++)
		EXPECT(shmd_queue_put(theirs, made, 16385, 0), SHMD_E_LOST);
	/* Only the daemon knows now what the slots have. */
	EXPECT(shmd_queue_put(theirs, made, 9000, 0), SHMD_E_LOST);
	EXPECT(shmd_queue_put(queue, made, 9000, 0), SHMD_E_LOST);
	make(slot.buffer, 9000, 3);
	EXPECT(shmd_queue_commit(queue, &slot, 9000), 0);
	put(theirs, SLOT, 4);
	expect_taken(queue, 9000, 3);
	expect_taken(theirs, SLOT, 4);
	expect_all_free(queue);
	shmd_queue_close(theirs);
	shmd_close(other);
	shmd_queue_close(queue);
}

static void echo(struct shmd_client *client)
{
	struct shmd_queue *in;
	struct shmd_queue *out;
	struct shmd_lease lease;
	EXPECT(shmd_queue_open(client, "c/in", NULL, &in), 0);
	EXPECT(shmd_queue_open(client, "c/out", NULL, &out), 0);
	puts("ready");
	int result;
	while ((result = shmd_queue_lease(in, SHMD_FOREVER, &lease)) == 0) {
		struct shmd_reservation slot;
		EXPECT(shmd_queue_reserve_size(out, lease.size_bytes, SHMD_FOREVER, &slot), 0);
		memcpy(slot.buffer, lease.message, lease.size_bytes);
		EXPECT(shmd_queue_commit(out, &slot, lease.size_bytes), 0);
		EXPECT(shmd_queue_ack(in, &lease), 0);
	}
	EXPECT(result, SHMD_E_ENDED);
	shmd_queue_close(in);
	shmd_queue_close(out);
}

int main(int count, char **arguments)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	struct shmd_client *client = connected();
	if (count > 1 && strcmp(arguments[1], "lost") == 0) {
		lost(client);
	} else if (count > 1) {
		echo(client);
	} else {
		basics(client);
		reservations(client);
		recycled(client);
		killed(client);
		destroyed(client);
		crowded(client);
	}
	shmd_close(client);
	puts("ok");
	return 0;
}
