/* SPDX-License-Identifier: Apache-2.0
 *
 * messenger.c - one end of two queues.
 * Usage: messenger SOCKET OUT IN LINE. OUT is the queue that it puts into, IN the
 * one that it takes from, LINE an array of int64 with at least 8 elements.
 * Commands, as works.h has them; message.h says what the messages are:
 *	pin CPU    run on that processor only, -1 anywhere: "done"
 *	put N      put N messages, one by one
 *	take N     take N messages, one by one
 *	lease N    lease N messages and acknowledge each before the next
 *	put-whole N, take-whole N  put and take, with every byte written, and checked
 *	put-many N, take-many N, lease-many N  the same, up to 64 in one call
 *	share N, share-many N  take N messages, whichever come, as take and take-many do
 *	ping N     N times put a message and take the answer, trying in a loop
 *	pong N     N times take a message and put the answer, trying in a loop
 *	ping-wait N, pong-wait N  the same, waiting for what does not come at once
 *	pong-line N  N times wait for the line to become odd and make it even
 *	ping-line N  N times make the line odd and wait for it to become even
 */
#define _GNU_SOURCE
#include "message.h"
#include "works.h"

static struct shmd_queue *out;
static struct shmd_queue *in;
static int64_t *line;

static void put(int count)
{
	struct message message = {0};
	for (int i = 0; i < count; i++) {
		number(&message, i);
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

static void put_whole(int count)
{
	for (int i = 0; i < count; i++) {
		struct message message;
		fill(&message, i);
		must(shmd_queue_put(out, &message, sizeof message, SHMD_FOREVER), "put");
	}
}

static void take_whole(int count)
{
	struct message message;
	size_t size_bytes = 0;
	for (int i = 0; i < count; i++) {
		must(shmd_queue_take(in, &message, sizeof message, SHMD_FOREVER, &size_bytes), "take");
		expect_whole(&message, size_bytes, i);
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
			number(&batch[j], i + (int)j);
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

static inline int give(const struct message *message, int64_t timeout_ns)
{
	return shmd_queue_put(out, message, sizeof *message, timeout_ns);
}

static inline int get(struct message *message, int64_t timeout_ns, size_t *ret_size_bytes)
{
	return shmd_queue_take(in, message, sizeof *message, timeout_ns, ret_size_bytes);
}

#include "roundtrip.h"

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

static const struct work works[] = {
	{"put", put, NULL},
	{"take", take, NULL},
	{"lease", lease, NULL},
	{"share", share, NULL},
	{"put-whole", put_whole, NULL},
	{"take-whole", take_whole, NULL},
	{"put-many", put_many, NULL},
	{"take-many", take_many, NULL},
	{"lease-many", lease_many, NULL},
	{"share-many", share_many, NULL},
	{"ping", ping, ping_once},
	{"pong", pong, NULL},
	{"ping-wait", ping_wait, ping_wait_once},
	{"pong-wait", pong_wait, NULL},
	{"ping-line", ping_line, NULL},
	{"pong-line", pong_line, NULL},
};

static void execute(const char *command, int n)
{
	do_work(works, sizeof works / sizeof *works, command, n);
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
