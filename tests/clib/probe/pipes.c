/* SPDX-License-Identifier: Apache-2.0
 *
 * pipes.c - what shmd.h promises of pipes, against a daemon. Waits are bounded by the
 * caller's watchdog.
 */
#define _GNU_SOURCE
#include "asleep.h"
#include "expect.h"

#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define CAPACITY 4096u
#define RECORD_MAX (CAPACITY / 2 - 8)
#define LARGE 1000003u
#define A SHMD_END_A
#define B SHMD_END_B
#define ANY SHMD_END_ANY

static struct shmd_pipe *create(struct shmd_client *client, const char *name, bool bytes)
{
	struct shmd_create_options options = {.size = sizeof options, .capacity = CAPACITY, .bytes = bytes};
	struct shmd_pipe *pipe;
	EXPECT(shmd_pipe_create(client, name, &options, &pipe), 0);
	CHECK(shmd_pipe_created(pipe) && shmd_pipe_bytes(pipe) == bytes && shmd_pipe_capacity_bytes(pipe) == CAPACITY);
	return pipe;
}

/* Both ends, of this client. */
static struct shmd_pipe *both(struct shmd_client *client, const char *name, bool bytes)
{
	struct shmd_pipe *pipe = create(client, name, bytes);
	int end;
	EXPECT(shmd_pipe_claim(pipe, ANY, &end), 0);
	CHECK(end == A);
	EXPECT(shmd_pipe_claim(pipe, ANY, &end), 0);
	CHECK(end == B);
	EXPECT(shmd_pipe_claim(pipe, ANY, &end), SHMD_E_TAKEN);
	EXPECT(shmd_pipe_claim(pipe, B, NULL), 0);
	return pipe;
}

static void send_text(struct shmd_pipe *pipe, int end, const char *text)
{
	EXPECT(shmd_pipe_send(pipe, end, text, strlen(text), SHMD_FOREVER), 0);
}

static void expect_received(struct shmd_pipe *pipe, int end, const char *text)
{
	char buffer[64];
	size_t size_bytes;
	EXPECT(shmd_pipe_recv(pipe, end, buffer, sizeof buffer, SHMD_FOREVER, &size_bytes), 0);
	CHECK(size_bytes == strlen(text) && memcmp(buffer, text, size_bytes) == 0);
}

static void expect_refused(struct shmd_pipe *pipe, int end, int error)
{
	char buffer[8];
	size_t size_bytes;
	uint32_t count;
	const void *message;
	void *room;
	struct iovec messages[1] = {{buffer, 1}};
	EXPECT(shmd_pipe_send(pipe, end, "x", 1, SHMD_FOREVER), error);
	EXPECT(shmd_pipe_send_many(pipe, end, messages, 1, SHMD_FOREVER, &count), error);
	EXPECT(shmd_pipe_reserve(pipe, end, 1, SHMD_FOREVER, &room), error);
	EXPECT(shmd_pipe_commit(pipe, end, 0), error);
	EXPECT(shmd_pipe_abort(pipe, end), error);
	EXPECT(shmd_pipe_recv(pipe, end, buffer, sizeof buffer, SHMD_FOREVER, &size_bytes), error);
	EXPECT(shmd_pipe_peek(pipe, end, SHMD_FOREVER, &message, &size_bytes), error);
	EXPECT(shmd_pipe_peek_many(pipe, end, messages, 1, SHMD_FOREVER, &count), error);
	EXPECT(shmd_pipe_advance(pipe, end, 0), error);
}

static void messages(struct shmd_client *client)
{
	struct shmd_pipe *pipe = create(client, "c/pipe", false);
	char buffer[64];
	size_t size_bytes;
	CHECK(shmd_pipe_message_max_bytes(pipe) == (size_t)1 << 30);
	expect_refused(pipe, A, SHMD_E_NOT_OWNER);
	expect_refused(pipe, ANY, SHMD_E_NOT_OWNER);
	EXPECT(shmd_pipe_claim(pipe, 2, NULL), SHMD_E_INVALID);
	EXPECT(shmd_pipe_claim(pipe, A, NULL), 0);
	send_text(pipe, ANY, "to b");
	expect_refused(pipe, B, SHMD_E_NOT_OWNER);
	EXPECT(shmd_pipe_claim(pipe, B, NULL), 0);
	expect_refused(pipe, ANY, SHMD_E_INVALID);
	expect_refused(pipe, 2, SHMD_E_INVALID);
	expect_received(pipe, B, "to b");
	send_text(pipe, B, "to a");
	expect_received(pipe, A, "to a");
	EXPECT(shmd_pipe_recv(pipe, A, buffer, sizeof buffer, 0, &size_bytes), SHMD_E_WOULD_BLOCK);
	EXPECT(shmd_pipe_recv(pipe, B, buffer, sizeof buffer, 1000, &size_bytes), SHMD_E_TIMED_OUT);
	EXPECT(shmd_pipe_write(pipe, A, buffer, 1, 0, &size_bytes), SHMD_E_UNSUPPORTED);
	EXPECT(shmd_pipe_read(pipe, A, buffer, 1, 0, &size_bytes), SHMD_E_UNSUPPORTED);
	EXPECT(shmd_pipe_send(pipe, A, NULL, 1, 0), SHMD_E_INVALID);
	EXPECT(shmd_pipe_send(NULL, A, NULL, 0, 0), SHMD_E_INVALID);
	EXPECT(shmd_pipe_recv(pipe, A, NULL, 1, 0, &size_bytes), SHMD_E_INVALID);

	/* What is reserved goes alone, or not at all. */
	void *room;
	EXPECT(shmd_pipe_abort(pipe, A), SHMD_E_INVALID);
	EXPECT(shmd_pipe_reserve(pipe, A, 4, 0, &room), 0);
	EXPECT(shmd_pipe_send(pipe, A, "x", 1, 0), SHMD_E_INVALID);
	EXPECT(shmd_pipe_abort(pipe, B), SHMD_E_INVALID);
	send_text(pipe, B, "the other way");
	expect_received(pipe, A, "the other way");
	EXPECT(shmd_pipe_abort(pipe, A), 0);
	EXPECT(shmd_pipe_commit(pipe, A, 4), SHMD_E_INVALID);
	EXPECT(shmd_pipe_reserve(pipe, A, 4, 0, &room), 0);
	memcpy(room, "room", 4);
	EXPECT(shmd_pipe_commit(pipe, A, 4), 0);
	EXPECT(shmd_pipe_abort(pipe, A), SHMD_E_INVALID);
	expect_received(pipe, B, "room");

	/* An end that was shut: the other reads what is left, and may not write. What it has
	 * reserved it gives up as ever. */
	send_text(pipe, A, "last");
	EXPECT(shmd_pipe_reserve(pipe, B, 4, 0, &room), 0);
	EXPECT(shmd_pipe_shut(pipe, A), 0);
	EXPECT(shmd_pipe_shut(pipe, A), SHMD_E_NOT_OWNER);
	EXPECT(shmd_pipe_commit(pipe, B, 4), SHMD_E_ENDED);
	EXPECT(shmd_pipe_abort(pipe, B), 0);
	EXPECT(shmd_pipe_send(pipe, B, "x", 1, SHMD_FOREVER), SHMD_E_ENDED);
	expect_received(pipe, B, "last");
	for (int i = 0; i < 2; i++)
		EXPECT(shmd_pipe_recv(pipe, B, buffer, sizeof buffer, SHMD_FOREVER, &size_bytes), SHMD_E_ENDED);
	EXPECT(shmd_pipe_claim(pipe, A, NULL), SHMD_E_ENDED);
	EXPECT(shmd_pipe_claim(pipe, ANY, NULL), SHMD_E_TAKEN);
	EXPECT(shmd_pipe_shut(pipe, ANY), 0);
	EXPECT(shmd_pipe_claim(pipe, ANY, NULL), SHMD_E_ENDED);
	EXPECT(shmd_destroy(client, "c/pipe"), 0);
	expect_refused(pipe, B, SHMD_E_REMOVED);
	EXPECT(shmd_pipe_claim(pipe, ANY, NULL), SHMD_E_REMOVED);
	CHECK(shmd_pipe_close(pipe) == NULL && shmd_pipe_close(NULL) == NULL);
}

/* ---- pieces ---- */

static unsigned char large[LARGE];

struct transfer {
	struct shmd_pipe *pipe;
	uint32_t rounds;
};

static uint32_t size_of(uint32_t round)
{
	return round % 4 == 3 ? round * 7919 % 2000 : round * 104729 % (LARGE + 1);
}

static void *send_all(void *argument)
{
	struct transfer *transfer = argument;
	for (uint32_t i = 0; i < transfer->rounds; i++)
		EXPECT(shmd_pipe_send(transfer->pipe, A, large + i, size_of(i) - (i < size_of(i) ? i : 0), SHMD_FOREVER), 0);
	return NULL;
}

/* A try finds what lies behind messages that were begun and given up: here the end. */
static void given_up(struct shmd_client *client)
{
	struct shmd_pipe *pipe = both(client, NULL, false);
	static unsigned char buffer[LARGE];
	size_t size_bytes;
	enum { FILLERS = 8, FILLER = 400 }; /* they leave room for one piece */
	for (int i = 0; i < FILLERS; i++)
		EXPECT(shmd_pipe_send(pipe, A, large, FILLER, 0), 0);
	EXPECT(shmd_pipe_send(pipe, A, large, 2 * CAPACITY, 1000), SHMD_E_TIMED_OUT);
	for (int i = 0; i < FILLERS; i++)
		EXPECT(shmd_pipe_recv(pipe, B, buffer, sizeof buffer, 0, &size_bytes), 0);
	EXPECT(shmd_pipe_send(pipe, A, large, 2 * CAPACITY, 1000), SHMD_E_TIMED_OUT);
	EXPECT(shmd_pipe_shut(pipe, A), 0);
	EXPECT(shmd_pipe_recv(pipe, B, buffer, sizeof buffer, 0, &size_bytes), SHMD_E_ENDED);
	shmd_pipe_close(pipe);
}

static void pieces(struct shmd_client *client)
{
	struct transfer transfer = {.pipe = both(client, NULL, false), .rounds = 60};
	struct shmd_pipe *pipe = transfer.pipe;
	static unsigned char buffer[LARGE];
	const void *message;
	size_t size_bytes;
	pthread_t thread;
	for (uint32_t i = 0; i < LARGE; i++)
		large[i] = (unsigned char)(i * 2654435761u >> 24);
	CHECK(pthread_create(&thread, NULL, send_all, &transfer) == 0);
	for (uint32_t i = 0; i < transfer.rounds; i++) {
		size_t wanted_bytes = size_of(i) - (i < size_of(i) ? i : 0);
		if (i % 3 == 0) {
			EXPECT(shmd_pipe_peek(pipe, B, SHMD_FOREVER, &message, &size_bytes), 0);
			CHECK(size_bytes == wanted_bytes && memcmp(message, large + i, size_bytes) == 0);
			EXPECT(shmd_pipe_advance(pipe, B, 1), 0);
			continue;
		}
		if (i % 3 == 1) { /* the first look is too short, whatever has arrived */
			int result = shmd_pipe_recv(pipe, B, NULL, 0, SHMD_FOREVER, &size_bytes);
			CHECK(size_bytes == wanted_bytes && result == (wanted_bytes > 0 ? SHMD_E_TOO_LARGE : 0));
			if (result == 0)
				continue;
		}
		int result;
		do /* what one call has begun another one ends */
			result = shmd_pipe_recv(pipe, B, buffer, sizeof buffer, i % 2 == 0 ? SHMD_FOREVER : 1000, &size_bytes);
		while (result == SHMD_E_TIMED_OUT);
		EXPECT(result, 0);
		CHECK(size_bytes == wanted_bytes && memcmp(buffer, large + i, size_bytes) == 0);
	}
	CHECK(pthread_join(thread, NULL) == 0);

	/* Nobody receives: void, and what follows is received. */
	EXPECT(shmd_pipe_send(pipe, A, large, 2 * CAPACITY, 0), SHMD_E_WOULD_BLOCK);
	EXPECT(shmd_pipe_recv(pipe, B, buffer, sizeof buffer, 0, &size_bytes), SHMD_E_WOULD_BLOCK);
	EXPECT(shmd_pipe_send(pipe, A, large, 2 * CAPACITY, 1000), SHMD_E_TIMED_OUT);
	EXPECT(shmd_pipe_recv(pipe, B, buffer, sizeof buffer, 0, &size_bytes), SHMD_E_WOULD_BLOCK);
	send_text(pipe, A, "after");
	expect_received(pipe, B, "after");
	EXPECT(shmd_pipe_send(pipe, A, large, 2 * CAPACITY, 1000), SHMD_E_TIMED_OUT);
	EXPECT(shmd_pipe_recv(pipe, B, buffer, sizeof buffer, 0, &size_bytes), SHMD_E_WOULD_BLOCK);
	/* All of it has room. */
	EXPECT(shmd_pipe_send(pipe, A, large, RECORD_MAX + 1, 0), 0);
	EXPECT(shmd_pipe_recv(pipe, B, buffer, sizeof buffer, 0, &size_bytes), 0);
	CHECK(size_bytes == RECORD_MAX + 1 && memcmp(buffer, large, size_bytes) == 0);
	/* The end of a writer comes instead of the rest. */
	EXPECT(shmd_pipe_send(pipe, A, large, 2 * CAPACITY, 1000), SHMD_E_TIMED_OUT);
	EXPECT(shmd_pipe_shut(pipe, A), 0);
	EXPECT(shmd_pipe_recv(pipe, B, buffer, sizeof buffer, SHMD_FOREVER, &size_bytes), SHMD_E_ENDED);
	shmd_pipe_close(pipe);

	struct shmd_create_options options = {.size = sizeof options, .capacity = CAPACITY, .message_max = 5000};
	EXPECT(shmd_pipe_create(client, NULL, &options, &pipe), 0);
	EXPECT(shmd_pipe_claim(pipe, A, NULL), 0);
	EXPECT(shmd_pipe_send(pipe, ANY, large, 5001, 0), SHMD_E_TOO_LARGE);
	CHECK(strstr(shmd_last_error(), "5001") != NULL && strstr(shmd_last_error(), "5000") != NULL);
	shmd_pipe_close(pipe);
}

/* ---- bytes ---- */

static void *write_all(void *argument)
{
	struct transfer *transfer = argument;
	for (size_t sent = 0; sent < LARGE;) {
		size_t size_bytes;
		EXPECT(shmd_pipe_write(transfer->pipe, A, large + sent, LARGE - sent, SHMD_FOREVER, &size_bytes), 0);
		CHECK(size_bytes > 0);
		sent += size_bytes;
	}
	return NULL;
}

static void bytes(struct shmd_client *client)
{
	struct transfer transfer = {.pipe = both(client, NULL, true)};
	struct shmd_pipe *pipe = transfer.pipe;
	unsigned char buffer[CAPACITY + 1];
	size_t size_bytes;
	pthread_t thread;
	expect_refused(pipe, A, SHMD_E_UNSUPPORTED);
	EXPECT(shmd_pipe_read(pipe, A, buffer, 0, 0, &size_bytes), 0);
	CHECK(size_bytes == 0);
	EXPECT(shmd_pipe_read(pipe, A, buffer, 1, 0, &size_bytes), SHMD_E_WOULD_BLOCK);
	EXPECT(shmd_pipe_read(pipe, A, buffer, 1, 1000, &size_bytes), SHMD_E_TIMED_OUT);
	EXPECT(shmd_pipe_write(pipe, B, large, sizeof buffer, 0, &size_bytes), 0);
	CHECK(size_bytes == CAPACITY);
	EXPECT(shmd_pipe_write(pipe, B, large, 1, 0, &size_bytes), SHMD_E_WOULD_BLOCK);
	EXPECT(shmd_pipe_write(pipe, B, large, 1, 1000, &size_bytes), SHMD_E_TIMED_OUT);
	EXPECT(shmd_pipe_read(pipe, A, buffer, 5, 0, &size_bytes), 0);
	CHECK(size_bytes == 5 && memcmp(buffer, large, 5) == 0);
	EXPECT(shmd_pipe_write(pipe, B, large + CAPACITY, 9, 0, &size_bytes), 0);
	CHECK(size_bytes == 5);
	EXPECT(shmd_pipe_read(pipe, A, buffer, sizeof buffer, 0, &size_bytes), 0);
	CHECK(size_bytes == CAPACITY && memcmp(buffer, large + 5, CAPACITY) == 0);

	CHECK(pthread_create(&thread, NULL, write_all, &transfer) == 0);
	for (size_t got = 0; got < LARGE; got += size_bytes) {
		EXPECT(shmd_pipe_read(pipe, B, buffer, 1 + got % CAPACITY, SHMD_FOREVER, &size_bytes), 0);
		CHECK(size_bytes > 0 && memcmp(buffer, large + got, size_bytes) == 0);
	}
	CHECK(pthread_join(thread, NULL) == 0);
	EXPECT(shmd_pipe_write(pipe, A, "rest", 4, 0, &size_bytes), 0);
	EXPECT(shmd_pipe_shut(pipe, A), 0);
	EXPECT(shmd_pipe_write(pipe, B, "x", 1, SHMD_FOREVER, &size_bytes), SHMD_E_ENDED);
	EXPECT(shmd_pipe_read(pipe, B, buffer, sizeof buffer, SHMD_FOREVER, &size_bytes), 0);
	CHECK(size_bytes == 4);
	EXPECT(shmd_pipe_read(pipe, B, buffer, sizeof buffer, SHMD_FOREVER, &size_bytes), SHMD_E_ENDED);
	shmd_pipe_close(pipe);
}

/* ---- waiting ---- */

static void waited_for(struct shmd_client *client)
{
	struct shmd_pipe *pipe = both(client, NULL, false);
	struct shmd_waitable items[] = {
		{.until = SHMD_UNTIL_PIPE_READABLE, .object = pipe, .version = A},
		{.until = SHMD_UNTIL_PIPE_READABLE, .object = pipe, .version = B},
		{.until = SHMD_UNTIL_PIPE_WRITABLE, .object = pipe, .version = A},
	};
	size_t index;
	EXPECT(shmd_wait_any(items, 2, 0, &index), SHMD_E_WOULD_BLOCK);
	send_text(pipe, A, "to b");
	EXPECT(shmd_wait_any(items, 2, SHMD_FOREVER, &index), 0);
	CHECK(index == 1);
	while (shmd_pipe_send(pipe, A, large, 100, 0) == 0)
		;
	EXPECT(shmd_wait_any(items + 2, 1, 1000, &index), SHMD_E_TIMED_OUT);
	EXPECT(shmd_pipe_shut(pipe, B), 0);
	EXPECT(shmd_wait_any(items + 2, 1, SHMD_FOREVER, &index), 0);
	EXPECT(shmd_wait_any(items, 1, SHMD_FOREVER, &index), 0); /* the end */
	EXPECT(shmd_pipe_send(pipe, A, "x", 1, SHMD_FOREVER), SHMD_E_ENDED);
	shmd_pipe_close(pipe);
}

/* ---- processes ---- */

/* The other end's process sends and dies, or closes its last handle, while we sleep: in
 * a receive, or in a send of which a part has gone. */
static void another(struct shmd_client *client, bool dies, bool sending)
{
	struct shmd_pipe *pipe = create(client, "c/pipe", false);
	char buffer[64];
	size_t size_bytes;
	EXPECT(shmd_pipe_claim(pipe, A, NULL), 0);
	pid_t child = fork();
	CHECK(child >= 0);
	if (child == 0) {
		CHECK(prctl(PR_SET_PDEATHSIG, SIGKILL) == 0); /* it keeps the parent's output open */
		expect_refused(pipe, A, SHMD_E_FORKED);
		struct shmd_pipe *mine;
		int end;
		EXPECT(shmd_pipe_open(connected(), "c/pipe", NULL, &mine), 0);
		EXPECT(shmd_pipe_claim(mine, A, NULL), SHMD_E_TAKEN);
		EXPECT(shmd_pipe_claim(mine, ANY, &end), 0);
		CHECK(end == B);
		send_text(mine, ANY, "hello");
		while (__atomic_load_n(&mine->rings[1].head->attention, __ATOMIC_RELAXED) == 0 &&
		       __atomic_load_n(&mine->rings[sending ? 0 : 1].head->attention, __ATOMIC_RELAXED) +
		               __atomic_load_n(&mine->rings[1].tail->attention, __ATOMIC_RELAXED) == 0)
			sched_yield(); /* until the parent has announced a sleep */
		if (dies)
			raise(SIGKILL);
		shmd_pipe_close(mine);
		pause();
	}
	expect_received(pipe, ANY, "hello");
	int gone = dies ? SHMD_E_PEER_DIED : SHMD_E_ENDED;
	if (sending)
		EXPECT(shmd_pipe_send(pipe, ANY, large, 3 * CAPACITY, SHMD_FOREVER), gone);
	for (int i = 0; i < 2; i++) {
		EXPECT(shmd_pipe_recv(pipe, ANY, buffer, sizeof buffer, SHMD_FOREVER, &size_bytes), gone);
		EXPECT(shmd_pipe_send(pipe, ANY, "x", 1, SHMD_FOREVER), gone);
	}
	char pid[32];
	snprintf(pid, sizeof pid, "pid %d ", (int)child);
	CHECK(!dies || strstr(shmd_last_error(), pid) != NULL);
	EXPECT(shmd_pipe_claim(pipe, B, NULL), SHMD_E_ENDED);
	CHECK(kill(child, SIGKILL) == 0 && waitpid(child, NULL, 0) == child);
	EXPECT(shmd_destroy(client, "c/pipe"), 0);
	shmd_pipe_close(pipe);
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	struct shmd_client *client = connected();
	messages(client);
	pieces(client);
	given_up(client);
	bytes(client);
	waited_for(client);
	for (int i = 0; i < 4; i++)
		another(client, i % 2 != 0, i / 2 != 0);
	shmd_close(client);
	puts("ok");
	return 0;
}
