/* SPDX-License-Identifier: Apache-2.0
 *
 * messenger.c - one end of two queues, on one processor.
 * Usage: messenger SOCKET OUT IN LINE. OUT is the queue that it puts into, IN the
 * one that it takes from, LINE an array of int64 with at least 8 elements.
 * Commands; messages have 64 bytes and are counted from 0:
 *	pin CPU    run on that processor only: "done"
 *	put N      put N messages, one by one
 *	take N     take N messages, one by one
 *	lease N    lease N messages and acknowledge each before the next
 *	put-many N, take-many N, lease-many N  the same, up to 64 in one call
 *	share N, share-many N  take N messages, whichever come, as take and take-many do
 *	ping N     N times put a message and take the answer, trying in a loop
 *	pong N     N times take a message and put the answer, trying in a loop
 *	pong-line N  N times wait for the line to become odd and make it even
 *	ping-line N  N times make the line odd and wait for it to become even
 * The others answer "BEGIN END", times of CLOCK_MONOTONIC in ns.
 */
#define _GNU_SOURCE
#include "bench.h"

#include <errno.h>
#include <sched.h>
#include <stdbool.h>

#define MESSAGE_BYTES 64
#define BATCH 64
#define ANY (-1)

static struct shmd_queue *out;
static struct shmd_queue *in;
static int64_t *line;

struct message {
	int64_t words[MESSAGE_BYTES / 8];
};

static void expect(const struct message *message, size_t size_bytes, int want)
{
	if (want == ANY)
		want = (int)message->words[0];
	if (__builtin_expect(size_bytes == MESSAGE_BYTES && message->words[0] == want && message->words[7] == want, 1))
		return;
	fprintf(stderr, "messenger: %zu bytes, message %lld instead of %d\n", size_bytes, (long long)message->words[0],
	        want);
	exit(1);
}

static void put(int count)
{
	struct message message = {0};
	for (int i = 0; i < count; i++) {
		message.words[0] = message.words[7] = i;
		must(shmd_queue_put(out, &message, sizeof message, SHMD_FOREVER), "put");
	}
}

static void take_each(int count, bool any)
{
	struct message message;
	size_t size_bytes = 0;
	for (int i = 0; i < count; i++) {
		must(shmd_queue_take(in, &message, sizeof message, SHMD_FOREVER, &size_bytes), "take");
		expect(&message, size_bytes, any ? ANY : i);
	}
}

static void take(int count) { take_each(count, false); }
static void share(int count) { take_each(count, true); }

static struct message batch[BATCH];
static struct iovec places[BATCH];

static uint32_t at_once(int count) { return count < BATCH ? (uint32_t)count : BATCH; }

static void put_many(int count)
{
	for (uint32_t i = 0; i < BATCH; i++)
		places[i] = (struct iovec){.iov_base = &batch[i], .iov_len = sizeof batch[i]};
	for (int i = 0; i < count;) {
		uint32_t n = at_once(count - i);
		for (uint32_t j = 0; j < n; j++)
			batch[j].words[0] = batch[j].words[7] = i + (int)j;
		must(shmd_queue_put_many(out, places, n, SHMD_FOREVER, &n), "put_many");
		i += (int)n;
	}
}

static void take_batches(int count, bool any)
{
	for (int i = 0; i < count;) {
		uint32_t n = at_once(count - i);
		must(shmd_queue_take_many(in, batch, sizeof batch, places, n, SHMD_FOREVER, &n), "take_many");
		for (uint32_t j = 0; j < n; j++)
			expect(places[j].iov_base, places[j].iov_len, any ? ANY : i + (int)j);
		i += (int)n;
	}
}

static void take_many(int count) { take_batches(count, false); }
static void share_many(int count) { take_batches(count, true); }

static void lease_many(int count)
{
	struct shmd_lease held[BATCH];
	for (int i = 0; i < count;) {
		uint32_t n = at_once(count - i);
		must(shmd_queue_lease_many(in, held, n, SHMD_FOREVER, &n), "lease_many");
		for (uint32_t j = 0; j < n; j++)
			expect(held[j].message, held[j].size_bytes, i + (int)j);
		must(shmd_queue_ack_many(in, held, n, &n), "ack_many");
		i += (int)n;
	}
}

static void lease(int count)
{
	struct shmd_lease held;
	for (int i = 0; i < count; i++) {
		must(shmd_queue_lease(in, SHMD_FOREVER, &held), "lease");
		expect(held.message, held.size_bytes, i);
		must(shmd_queue_ack(in, &held), "ack");
	}
}

/* Takes without sleeping. */
static void try_take(struct message *message, int want)
{
	size_t size_bytes = 0;
	int result;
	while ((result = shmd_queue_take(in, message, sizeof *message, 0, &size_bytes)) == SHMD_E_WOULD_BLOCK)
		;
	must(result, "take");
	expect(message, size_bytes, want);
}

static void ping(int count)
{
	struct message message = {0};
	for (int i = 0; i < count; i++) {
		message.words[0] = message.words[7] = i;
		must(shmd_queue_put(out, &message, sizeof message, 0), "put");
		try_take(&message, i);
	}
}

static void pong(int count)
{
	struct message message;
	for (int i = 0; i < count; i++) {
		try_take(&message, i);
		must(shmd_queue_put(out, &message, sizeof message, 0), "put");
	}
}

/* The least that two processors can do: one line goes over, and comes back. */
static void ping_line(int count)
{
	int64_t value = __atomic_load_n(line, __ATOMIC_RELAXED);
	for (int i = 0; i < count; i++, value += 2) {
		__atomic_store_n(line, value + 1, __ATOMIC_RELEASE);
		while (__atomic_load_n(line, __ATOMIC_ACQUIRE) != value + 2)
			;
	}
}

static void pong_line(int count)
{
	for (int i = 0; i < count; i++) {
		int64_t value;
		while (((value = __atomic_load_n(line, __ATOMIC_ACQUIRE)) & 1) == 0)
			;
		__atomic_store_n(line, value + 1, __ATOMIC_RELEASE);
	}
}

static void pin(int cpu)
{
	cpu_set_t one;
	CPU_ZERO(&one);
	CPU_SET((size_t)cpu, &one);
	must_errno(sched_setaffinity(0, sizeof one, &one) != 0 ? errno : 0, "sched_setaffinity");
}

static const struct {
	const char *name;
	void (*run)(int count);
} works[] = {
	{"put", put},   {"take", take}, {"lease", lease},
	{"ping", ping}, {"pong", pong}, {"pong-line", pong_line},
	{"ping-line", ping_line}, {"share", share},
	{"put-many", put_many}, {"take-many", take_many},
	{"lease-many", lease_many}, {"share-many", share_many},
};

static void execute(const char *command, int n)
{
	if (strcmp(command, "pin") == 0) {
		pin(n);
		puts("done");
		return;
	}
	for (size_t i = 0; i < sizeof works / sizeof *works; i++) {
		if (strcmp(command, works[i].name) != 0)
			continue;
		int64_t begin = now_ns();
		works[i].run(n);
		printf("%lld %lld\n", (long long)begin, (long long)now_ns());
		return;
	}
	no_command(command);
}

int main(int argc, char **argv)
{
	if (argc != 5) {
		fprintf(stderr, "usage: messenger SOCKET OUT IN LINE\n");
		return 2;
	}
	struct shmd_client *client = connect_to(argv[1]);
	struct shmd_array *array;
	must(shmd_queue_open(client, argv[2], NULL, &out), "open");
	must(shmd_queue_open(client, argv[3], NULL, &in), "open");
	must(shmd_array_open(client, argv[4], 'q', 0, NULL, NULL, &array), "open");
	line = shmd_array_data(array);
	serve(execute);
	out = shmd_queue_close(out);
	in = shmd_queue_close(in);
	shmd_array_close(array);
	shmd_close(client);
	return 0;
}
