/* SPDX-License-Identifier: Apache-2.0
 *
 * streams.c - what shmd.h promises of streams, against a daemon. Waits are bounded by
 * the caller's watchdog.
 */
#define _GNU_SOURCE
#include "asleep.h"
#include "expect.h"
#include "quiet.h"

#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define CAPACITY 4096u
#define MESSAGE_MAX (CAPACITY / 2 - 8)
#define ROUNDS 200000

static struct shmd_stream *create(struct shmd_client *client, const char *name)
{
	struct shmd_create_options options = {.size = sizeof options, .capacity = CAPACITY};
	struct shmd_stream *stream;
	EXPECT(shmd_stream_create(client, name, &options, &stream), 0);
	return stream;
}

static struct shmd_stream *claimed(struct shmd_client *client, const char *name)
{
	struct shmd_stream *stream = create(client, name);
	EXPECT(shmd_stream_claim(stream, SHMD_PRODUCER), 0);
	EXPECT(shmd_stream_claim(stream, SHMD_CONSUMER), 0);
	return stream;
}

static void send_text(struct shmd_stream *stream, const char *text)
{
	EXPECT(shmd_stream_send(stream, text, strlen(text), 0), 0);
}

static void expect_received(struct shmd_stream *stream, const char *text)
{
	char buffer[MESSAGE_MAX];
	size_t size_bytes;
	EXPECT(shmd_stream_recv(stream, buffer, sizeof buffer, SHMD_FOREVER, &size_bytes), 0);
	CHECK(size_bytes == strlen(text) && memcmp(buffer, text, size_bytes) == 0);
}

static void expect_refused(struct shmd_stream *stream, int error)
{
	char buffer[8];
	size_t size_bytes;
	uint32_t count;
	const void *message;
	void *room;
	struct iovec messages[1] = {{buffer, 1}};
	EXPECT(shmd_stream_send(stream, "x", 1, SHMD_FOREVER), error);
	EXPECT(shmd_stream_send_many(stream, messages, 1, SHMD_FOREVER, &count), error);
	EXPECT(shmd_stream_reserve(stream, 1, SHMD_FOREVER, &room), error);
	EXPECT(shmd_stream_commit(stream, 0), error);
	EXPECT(shmd_stream_abort(stream), error);
	EXPECT(shmd_stream_recv(stream, buffer, sizeof buffer, SHMD_FOREVER, &size_bytes), error);
	EXPECT(shmd_stream_peek(stream, SHMD_FOREVER, &message, &size_bytes), error);
	EXPECT(shmd_stream_peek_many(stream, messages, 1, SHMD_FOREVER, &count), error);
	EXPECT(shmd_stream_advance(stream, 0), error);
	EXPECT(shmd_stream_retire(stream, SHMD_PRODUCER), error);
	EXPECT(shmd_stream_retire(stream, SHMD_CONSUMER), error);
}

static void basics(struct shmd_client *client)
{
	char buffer[MESSAGE_MAX + 1];
	size_t size_bytes = 77;
	struct shmd_stream *stream = create(client, "c/stream");
	memset(buffer, 'x', sizeof buffer);
	CHECK(shmd_stream_created(stream) && shmd_stream_capacity_bytes(stream) == CAPACITY);
	CHECK(shmd_stream_message_max_bytes(stream) == MESSAGE_MAX);
	expect_refused(stream, SHMD_E_NOT_OWNER);
	EXPECT(shmd_stream_claim(stream, SHMD_PRODUCER), 0);
	EXPECT(shmd_stream_claim(stream, SHMD_PRODUCER), 0);
	EXPECT(shmd_stream_recv(stream, buffer, 8, 0, &size_bytes), SHMD_E_NOT_OWNER);
	EXPECT(shmd_stream_claim(stream, SHMD_CONSUMER), 0);

	EXPECT(shmd_stream_recv(stream, buffer, 8, 0, &size_bytes), SHMD_E_WOULD_BLOCK);
	EXPECT(shmd_stream_recv(stream, buffer, 8, 1000, &size_bytes), SHMD_E_TIMED_OUT);
	CHECK(size_bytes == 77);
	send_text(stream, "first");
	send_text(stream, "");
	EXPECT(shmd_stream_recv(stream, buffer, 4, 0, &size_bytes), SHMD_E_TOO_LARGE);
	CHECK(size_bytes == 5 && strstr(shmd_last_error(), "5 bytes") != NULL);
	CHECK(strstr(shmd_last_error(), "buffer 4") != NULL);
	expect_received(stream, "first");
	expect_received(stream, "");
	EXPECT(shmd_stream_send(stream, buffer, MESSAGE_MAX + 1, 0), SHMD_E_TOO_LARGE);
	CHECK(strstr(shmd_last_error(), "2041") != NULL && strstr(shmd_last_error(), "2040") != NULL);
	EXPECT(shmd_stream_send(stream, buffer, MESSAGE_MAX, 0), 0);
	EXPECT(shmd_stream_send(stream, buffer, MESSAGE_MAX, 0), SHMD_E_WOULD_BLOCK);
	EXPECT(shmd_stream_send(stream, buffer, MESSAGE_MAX, 1000), SHMD_E_TIMED_OUT);
	EXPECT(shmd_stream_recv(stream, buffer, sizeof buffer, 0, &size_bytes), 0);
	CHECK(size_bytes == MESSAGE_MAX && buffer[size_bytes - 1] == 'x');
	EXPECT(shmd_stream_send(stream, buffer, MESSAGE_MAX, 0), 0);
	EXPECT(shmd_stream_recv(stream, buffer, sizeof buffer, 0, &size_bytes), 0);

	EXPECT(shmd_stream_claim(stream, (enum shmd_role)0), SHMD_E_INVALID);
	EXPECT(shmd_stream_claim(NULL, SHMD_PRODUCER), SHMD_E_INVALID);
	EXPECT(shmd_stream_send(NULL, "", 0, 0), SHMD_E_INVALID);
	EXPECT(shmd_stream_send(stream, NULL, 1, 0), SHMD_E_INVALID);
	EXPECT(shmd_stream_send(stream, NULL, 0, -2), SHMD_E_INVALID);
	EXPECT(shmd_stream_recv(stream, NULL, 1, 0, &size_bytes), SHMD_E_INVALID);
	EXPECT(shmd_stream_recv(stream, buffer, 1, 0, NULL), SHMD_E_INVALID);
	EXPECT(shmd_stream_recv(stream, buffer, 1, -2, &size_bytes), SHMD_E_INVALID);
	EXPECT(shmd_stream_retire(stream, SHMD_PRODUCER), 0);
	EXPECT(shmd_stream_retire(stream, SHMD_CONSUMER), 0);
	expect_refused(stream, SHMD_E_NOT_OWNER);
	CHECK(shmd_stream_close(stream) == NULL && shmd_stream_close(NULL) == NULL);

	struct shmd_open_options options = {.size = sizeof options, .read_only = true};
	EXPECT(shmd_stream_open(client, "c/stream", &options, &stream), 0);
	EXPECT(shmd_stream_claim(stream, SHMD_PRODUCER), SHMD_E_PERMISSION);
	expect_refused(stream, SHMD_E_PERMISSION);
	shmd_stream_close(stream);
	EXPECT(shmd_destroy(client, "c/stream"), 0);
}

/* Sizes of all sorts, around the end of the ring. */
static void around(struct shmd_client *client)
{
	struct shmd_stream *stream = claimed(client, NULL);
	unsigned char sent[MESSAGE_MAX];
	unsigned char received[MESSAGE_MAX];
	for (unsigned int i = 0; i < 20000; i++) {
		size_t size_bytes = i * 7919u % (MESSAGE_MAX + 1);
		size_t got_bytes;
		memset(sent, (int)(i & 0xff), size_bytes);
		EXPECT(shmd_stream_send(stream, sent, size_bytes, 0), 0);
		EXPECT(shmd_stream_recv(stream, received, sizeof received, 0, &got_bytes), 0);
		CHECK(got_bytes == size_bytes && memcmp(sent, received, size_bytes) == 0);
	}
	shmd_stream_close(stream);
}

static void in_place(struct shmd_client *client)
{
	struct shmd_stream *stream = claimed(client, NULL);
	void *room;
	const void *message;
	size_t size_bytes;
	uint32_t count;
	EXPECT(shmd_stream_commit(stream, 0), SHMD_E_INVALID);
	EXPECT(shmd_stream_abort(stream), SHMD_E_INVALID);
	EXPECT(shmd_stream_reserve(stream, MESSAGE_MAX + 1, 0, &room), SHMD_E_TOO_LARGE);
	EXPECT(shmd_stream_reserve(stream, 100, 0, &room), 0);
	CHECK((uintptr_t)room % 8 == 0);
	EXPECT(shmd_stream_recv(stream, NULL, 0, 0, &size_bytes), SHMD_E_WOULD_BLOCK);
	EXPECT(shmd_stream_commit(stream, 101), SHMD_E_INVALID);
	EXPECT(shmd_stream_send(stream, "x", 1, 0), SHMD_E_INVALID);
	EXPECT(shmd_stream_send_many(stream, &(struct iovec){NULL, 0}, 1, 0, &count), SHMD_E_INVALID);
	EXPECT(shmd_stream_reserve(stream, 1, 0, &room), SHMD_E_INVALID);
	memcpy(room, "in place", 8);
	EXPECT(shmd_stream_commit(stream, 8), 0);
	EXPECT(shmd_stream_commit(stream, 8), SHMD_E_INVALID);
	EXPECT(shmd_stream_abort(stream), SHMD_E_INVALID);
	EXPECT(shmd_stream_reserve(stream, 100, 0, &room), 0);
	EXPECT(shmd_stream_abort(stream), 0);
	EXPECT(shmd_stream_commit(stream, 8), SHMD_E_INVALID);
	EXPECT(shmd_stream_abort(stream), SHMD_E_INVALID);
	send_text(stream, "instead");
	EXPECT(shmd_stream_reserve(stream, 100, 0, &room), 0);
	EXPECT(shmd_stream_retire(stream, SHMD_PRODUCER), 0); /* and so it is given up */
	EXPECT(shmd_stream_abort(stream), SHMD_E_NOT_OWNER);
	EXPECT(shmd_stream_claim(stream, SHMD_PRODUCER), 0);
	EXPECT(shmd_stream_commit(stream, 8), SHMD_E_INVALID);

	EXPECT(shmd_stream_advance(stream, 1), SHMD_E_INVALID);
	EXPECT(shmd_stream_peek(stream, 0, &message, &size_bytes), 0);
	CHECK(size_bytes == 8 && memcmp(message, "in place", 8) == 0);
	EXPECT(shmd_stream_peek(stream, 0, &message, &size_bytes), 0);
	CHECK(size_bytes == 8);
	EXPECT(shmd_stream_advance(stream, 2), SHMD_E_INVALID);
	EXPECT(shmd_stream_advance(stream, 1), 0);
	EXPECT(shmd_stream_advance(stream, 1), SHMD_E_INVALID);
	expect_received(stream, "instead");
	EXPECT(shmd_stream_peek(stream, 0, &message, &size_bytes), SHMD_E_ENDED);
	EXPECT(shmd_stream_peek(stream, 0, &message, &size_bytes), SHMD_E_WOULD_BLOCK);

	/* Many at once, as often as it takes to come around. */
	for (unsigned int round = 0; round < 300; round++) {
		struct iovec messages[8];
		struct iovec seen[8];
		for (unsigned int i = 0; i < 8; i++)
			messages[i] = (struct iovec){(void *)(uintptr_t) "0123456789abcdef", 3 + i};
		EXPECT(shmd_stream_send_many(stream, messages, 8, 0, &count), 0);
		CHECK(count == 8);
		EXPECT(shmd_stream_peek_many(stream, seen, 8, 0, &count), 0);
		CHECK(count == 8);
		for (unsigned int i = 0; i < 8; i++)
			CHECK(seen[i].iov_len == 3 + i && memcmp(seen[i].iov_base, "0123456789abcdef", 3 + i) == 0);
		EXPECT(shmd_stream_advance(stream, 3), 0);
		EXPECT(shmd_stream_advance(stream, 6), SHMD_E_INVALID);
		EXPECT(shmd_stream_advance(stream, 4), 0);
		expect_received(stream, "0123456789");
	}
	/* As many as there is room for; one that is too large ends them. */
	static char large[MESSAGE_MAX + 1];
	struct iovec messages[4] = {{large, 1500}, {large, 1500}, {large, 1500}, {large, 1500}};
	EXPECT(shmd_stream_send_many(stream, messages, 4, 0, &count), 0);
	CHECK(count == 2 || count == 1);
	for (; count > 0; count--) {
		EXPECT(shmd_stream_recv(stream, large, sizeof large, 0, &size_bytes), 0);
		CHECK(size_bytes == 1500);
	}
	messages[1].iov_len = MESSAGE_MAX + 1;
	EXPECT(shmd_stream_send_many(stream, messages, 2, 0, &count), 0);
	CHECK(count == 1);
	EXPECT(shmd_stream_send_many(stream, messages + 1, 1, 0, &count), SHMD_E_TOO_LARGE);
	EXPECT(shmd_stream_send_many(stream, messages, 0, 0, &count), SHMD_E_INVALID);
	EXPECT(shmd_stream_peek_many(stream, messages, 0, 0, &count), SHMD_E_INVALID);
	shmd_stream_close(stream);
}

/* The end of each producer is told once, behind what it sent. */
static void ends(struct shmd_client *client)
{
	struct shmd_stream *stream = claimed(client, NULL);
	char buffer[8];
	size_t size_bytes;
	send_text(stream, "one");
	EXPECT(shmd_stream_retire(stream, SHMD_PRODUCER), 0);
	expect_received(stream, "one");
	EXPECT(shmd_stream_recv(stream, buffer, sizeof buffer, SHMD_FOREVER, &size_bytes), SHMD_E_ENDED);
	EXPECT(shmd_stream_recv(stream, buffer, sizeof buffer, 0, &size_bytes), SHMD_E_WOULD_BLOCK);
	/* Told already when the next one sends. */
	EXPECT(shmd_stream_claim(stream, SHMD_PRODUCER), 0);
	send_text(stream, "two");
	EXPECT(shmd_stream_retire(stream, SHMD_PRODUCER), 0);
	EXPECT(shmd_stream_claim(stream, SHMD_PRODUCER), 0);
	/* The next one is faster: its record tells. */
	send_text(stream, "three");
	expect_received(stream, "two");
	EXPECT(shmd_stream_recv(stream, buffer, sizeof buffer, SHMD_FOREVER, &size_bytes), SHMD_E_ENDED);
	/* The next consumer goes on. */
	EXPECT(shmd_stream_retire(stream, SHMD_CONSUMER), 0);
	EXPECT(shmd_stream_claim(stream, SHMD_CONSUMER), 0);
	expect_received(stream, "three");
	EXPECT(shmd_stream_recv(stream, buffer, sizeof buffer, 0, &size_bytes), SHMD_E_WOULD_BLOCK);
	shmd_stream_close(stream);
}

/* ---- threads ---- */

struct load {
	struct shmd_stream *stream;
	unsigned int batch; /* messages at once; 0 = singly */
};

static void *produce(void *argument)
{
	struct load *load = argument;
	for (uint32_t i = 0; i < ROUNDS;) {
		uint32_t numbers[16];
		struct iovec messages[16];
		uint32_t count = 1;
		for (uint32_t j = 0; j < load->batch; j++) {
			numbers[j] = i + j;
			messages[j] = (struct iovec){&numbers[j], sizeof numbers[j]};
		}
		if (load->batch == 0)
			EXPECT(shmd_stream_send(load->stream, &i, sizeof i, SHMD_FOREVER), 0);
		else
			EXPECT(shmd_stream_send_many(load->stream, messages, load->batch, SHMD_FOREVER, &count), 0);
		i += count;
	}
	return NULL;
}

static void *consume(void *argument)
{
	struct load *load = argument;
	for (uint32_t i = 0; i < ROUNDS;) {
		if (load->batch == 0) {
			uint32_t number;
			size_t size_bytes;
			EXPECT(shmd_stream_recv(load->stream, &number, sizeof number, SHMD_FOREVER, &size_bytes), 0);
			CHECK(size_bytes == sizeof number && number == i++);
			continue;
		}
		struct iovec seen[16];
		uint32_t count;
		EXPECT(shmd_stream_peek_many(load->stream, seen, load->batch, SHMD_FOREVER, &count), 0);
		for (uint32_t j = 0; j < count; j++, i++)
			CHECK(seen[j].iov_len == sizeof i && memcmp(seen[j].iov_base, &i, sizeof i) == 0);
		EXPECT(shmd_stream_advance(load->stream, count), 0);
	}
	return NULL;
}

static void flow(struct shmd_client *client, unsigned int batch)
{
	struct load load = {.stream = claimed(client, NULL), .batch = batch};
	pthread_t producer;
	CHECK(pthread_create(&producer, NULL, produce, &load) == 0);
	on_thread(consume, &load);
	CHECK(pthread_join(producer, NULL) == 0);
	shmd_stream_close(load.stream);
}

struct sleeper {
	struct shmd_stream *stream;
	bool sends;
	int result;
};

static void *sleep_once(void *argument)
{
	struct sleeper *sleeper = argument;
	static char large[MESSAGE_MAX];
	size_t size_bytes;
	sleeper->result = sleeper->sends
	                      ? shmd_stream_send(sleeper->stream, large, sizeof large, SHMD_FOREVER)
	                      : shmd_stream_recv(sleeper->stream, large, sizeof large, SHMD_FOREVER, &size_bytes);
	return NULL;
}

/* Who sleeps is woken by the other side, by its end, and by the end of the stream. */
static void asleep(struct shmd_client *client)
{
	struct sleeper sleeper = {.stream = claimed(client, "c/stream")};
	pthread_t thread;
	CHECK(pthread_create(&thread, NULL, sleep_once, &sleeper) == 0);
	until_asleep(&sleeper.stream->object, 1);
	send_text(sleeper.stream, "wake up");
	CHECK(pthread_join(thread, NULL) == 0);
	EXPECT(sleeper.result, 0);

	CHECK(pthread_create(&thread, NULL, sleep_once, &sleeper) == 0);
	until_asleep(&sleeper.stream->object, 1);
	EXPECT(shmd_stream_retire(sleeper.stream, SHMD_PRODUCER), 0);
	CHECK(pthread_join(thread, NULL) == 0);
	EXPECT(sleeper.result, SHMD_E_ENDED);
	EXPECT(shmd_stream_claim(sleeper.stream, SHMD_PRODUCER), 0);

	static char large[MESSAGE_MAX];
	size_t size_bytes;
	while (shmd_stream_send(sleeper.stream, large, sizeof large, 0) == 0)
		;
	sleeper.sends = true;
	CHECK(pthread_create(&thread, NULL, sleep_once, &sleeper) == 0);
	until_asleep(&sleeper.stream->object, 1);
	EXPECT(shmd_stream_recv(sleeper.stream, large, sizeof large, 0, &size_bytes), 0);
	CHECK(pthread_join(thread, NULL) == 0);
	EXPECT(sleeper.result, 0);

	CHECK(pthread_create(&thread, NULL, sleep_once, &sleeper) == 0);
	until_asleep(&sleeper.stream->object, 1);
	EXPECT(shmd_destroy(client, "c/stream"), 0);
	CHECK(pthread_join(thread, NULL) == 0);
	EXPECT(sleeper.result, SHMD_E_REMOVED);
	expect_refused(sleeper.stream, SHMD_E_REMOVED);
	EXPECT(shmd_stream_claim(sleeper.stream, SHMD_CONSUMER), SHMD_E_REMOVED);
	shmd_stream_close(sleeper.stream);
}

static void waited_for(struct shmd_client *client)
{
	struct shmd_stream *stream = create(client, NULL);
	struct shmd_waitable items[] = {
		{.until = SHMD_UNTIL_STREAM_READABLE, .object = stream},
		{.until = SHMD_UNTIL_STREAM_WRITABLE, .object = stream},
	};
	size_t index;
	static char large[MESSAGE_MAX];
	size_t size_bytes;
	EXPECT(shmd_wait_any(items, 1, 0, &index), 0); /* a try would say that the role is not ours */
	EXPECT(shmd_stream_claim(stream, SHMD_PRODUCER), 0);
	EXPECT(shmd_stream_claim(stream, SHMD_CONSUMER), 0);
	EXPECT(shmd_wait_any(items, 2, SHMD_FOREVER, &index), 0);
	CHECK(index == 1);
	EXPECT(shmd_wait_any(items, 1, 0, &index), SHMD_E_WOULD_BLOCK);
	EXPECT(shmd_wait_any(items, 1, 1000, &index), SHMD_E_TIMED_OUT);
	send_text(stream, "a");
	EXPECT(shmd_wait_any(items, 1, SHMD_FOREVER, &index), 0);
	while (shmd_stream_send(stream, large, sizeof large, 0) == 0)
		;
	EXPECT(shmd_wait_any(items + 1, 1, 0, &index), SHMD_E_WOULD_BLOCK);
	struct shmd_pollable *pollable;
	if (!emulated()) {
		EXPECT(shmd_pollable_open(&items[1], &pollable), 0);
		struct pollfd fd = {shmd_pollable_fd(pollable), POLLIN, 0};
		CHECK(poll(&fd, 1, 0) == 0);
		until_asleep(&stream->object, 1); /* the watcher */
		while (shmd_stream_recv(stream, large, sizeof large, 0, &size_bytes) == 0)
			;
		CHECK(poll(&fd, 1, -1) == 1);
		shmd_pollable_close(pollable);
	}
	shmd_stream_close(stream);
}

/* ---- processes ---- */

/* Another process takes the role, and sends; it retires, closes its last handle, or dies. */
static void another(struct shmd_client *client, int how)
{
	struct shmd_stream *stream = create(client, "c/stream");
	char buffer[8];
	size_t size_bytes;
	EXPECT(shmd_stream_claim(stream, SHMD_CONSUMER), 0);
	pid_t child = fork();
	CHECK(child >= 0);
	if (child == 0) {
		CHECK(prctl(PR_SET_PDEATHSIG, SIGKILL) == 0); /* it keeps the parent's output open */
		expect_refused(stream, SHMD_E_FORKED);
		EXPECT(shmd_stream_claim(stream, SHMD_PRODUCER), SHMD_E_FORKED);
		struct shmd_stream *mine;
		struct shmd_client *me = connected();
		EXPECT(shmd_stream_open(me, "c/stream", NULL, &mine), 0);
		EXPECT(shmd_stream_claim(mine, SHMD_CONSUMER), SHMD_E_TAKEN);
		EXPECT(shmd_stream_claim(mine, SHMD_PRODUCER), 0);
		send_text(mine, "hello");
		if (how == 0)
			raise(SIGKILL);
		if (how == 1)
			EXPECT(shmd_stream_retire(mine, SHMD_PRODUCER), 0);
		shmd_stream_close(mine);
		pause();
	}
	expect_received(stream, "hello");
	EXPECT(shmd_stream_recv(stream, buffer, sizeof buffer, SHMD_FOREVER, &size_bytes),
	       how == 0 ? SHMD_E_PEER_DIED : SHMD_E_ENDED);
	char process[32];
	snprintf(process, sizeof process, "pid %d ", (int)child);
	CHECK(how != 0 || strstr(shmd_last_error(), process) != NULL);
	int claimed; /* the role is freed after its end can be told */
	while ((claimed = shmd_stream_claim(stream, SHMD_PRODUCER)) == SHMD_E_TAKEN)
		sched_yield();
	EXPECT(claimed, 0);
	send_text(stream, "next");
	expect_received(stream, "next");
	CHECK(kill(child, SIGKILL) == 0 && waitpid(child, NULL, 0) == child);
	EXPECT(shmd_destroy(client, "c/stream"), 0);
	shmd_stream_close(stream);
}

/* ---- system calls ---- */

static void *after_waits(bool unused)
{
	(void)unused;
	struct shmd_client *client = connected();
	struct sleeper sleeper = {.stream = claimed(client, NULL)};
	pthread_t thread;
	CHECK(pthread_create(&thread, NULL, sleep_once, &sleeper) == 0);
	until_asleep(&sleeper.stream->object, 1);
	send_text(sleeper.stream, "wake up");
	CHECK(pthread_join(thread, NULL) == 0);
	return sleeper.stream;
}

static int send_and_receive(void *stream)
{
	char buffer[8];
	size_t size_bytes;
	int result = shmd_stream_send(stream, "x", 1, SHMD_FOREVER);
	if (result == 0)
		result = shmd_stream_recv(stream, buffer, sizeof buffer, SHMD_FOREVER, &size_bytes);
	return result;
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	struct shmd_client *client = connected();
	basics(client);
	around(client);
	in_place(client);
	ends(client);
	flow(client, 0);
	flow(client, 16);
	asleep(client);
	waited_for(client);
	for (int how = 0; how < 3; how++)
		another(client, how);
	expect_quiet(after_waits, send_and_receive, false);
	shmd_close(client);
	puts("ok");
	return 0;
}
