/* SPDX-License-Identifier: Apache-2.0
 *
 * talk.h - what messenger.c does with a pipe: see tests/crash/talk_test.go.
 */
#ifndef TALK_H
#define TALK_H

#include <pthread.h>
#include <sched.h>

#define TALK_STOP 0
#define TALK_INTENT 2
#define TALK_SENT 4
#define TALK_GOT 6
#define TALK_TOLD 8
#define TALK_REFUSED 10
#define TALK_BYTES 4096
#define TALK_MANY 3
#define TALK_CHUNK 1500
#define TALK_WORDS_MAX (3 * TALK_BYTES / 8)

static struct shmd_pipe *talk_pipe;
static int talk_own; /* which end */
static bool talk_sends, talk_receives, talk_flow;

static int64_t talk_load(int cell) { return __atomic_load_n(&books[cell], __ATOMIC_SEQ_CST); }
static void talk_store(int cell, int64_t value) { __atomic_store_n(&books[cell], value, __ATOMIC_SEQ_CST); }

static size_t talk_message(int from, int64_t number, int64_t *words)
{
	size_t count = number % 32 == 31 ? TALK_WORDS_MAX : 2 + (size_t)(number % 60);
	for (size_t i = 0; i < count; i++)
		words[i] = i % 2 == 0 ? from : number;
	return count * sizeof words[0];
}

static uint8_t talk_byte(int from, int64_t position) { return (uint8_t)(position * 7 + (position >> 8) + from); }

static bool talk_over(int result) { return result == SHMD_E_ENDED || result == SHMD_E_PEER_DIED; }

static int talk_refused(void)
{
	size_t size_bytes;
	return talk_flow ? shmd_pipe_write(talk_pipe, talk_own, "", 1, 0, &size_bytes)
	                 : shmd_pipe_send(talk_pipe, talk_own, NULL, 0, 0);
}

static int talk_send_next(int64_t n, int64_t *ret_sent)
{
	static int64_t some[TALK_MANY][TALK_WORDS_MAX];
	size_t size_bytes = 0;
	*ret_sent = 1;
	if (talk_flow) {
		uint8_t chunk[TALK_CHUNK];
		size_t length = 1 + (size_t)(n % TALK_CHUNK);
		for (size_t i = 0; i < length; i++)
			chunk[i] = talk_byte(talk_own, n + (int64_t)i);
		talk_store(TALK_INTENT + talk_own, n + (int64_t)length);
		int result = shmd_pipe_write(talk_pipe, talk_own, chunk, length, SHMD_FOREVER, &size_bytes);
		*ret_sent = (int64_t)size_bytes;
		return result;
	}
	if (n % 8 == 5) {
		struct iovec messages[TALK_MANY];
		uint32_t count = 0;
		for (int i = 0; i < TALK_MANY; i++)
			messages[i] = (struct iovec){some[i], talk_message(talk_own, n + i, some[i])};
		talk_store(TALK_INTENT + talk_own, n + TALK_MANY);
		int result = shmd_pipe_send_many(talk_pipe, talk_own, messages, TALK_MANY, SHMD_FOREVER, &count);
		*ret_sent = count;
		return result;
	}
	talk_store(TALK_INTENT + talk_own, n + 1);
	if (n % 4 == 2) {
		void *place;
		size_bytes = talk_message(talk_own, n, some[0]); /* such a number is none of a long one */
		int result = shmd_pipe_reserve(talk_pipe, talk_own, size_bytes, SHMD_FOREVER, &place);
		if (result < 0)
			return result;
		memcpy(place, some[0], size_bytes);
		return shmd_pipe_commit(talk_pipe, talk_own, size_bytes);
	}
	return shmd_pipe_send(talk_pipe, talk_own, some[0], talk_message(talk_own, n, some[0]), SHMD_FOREVER);
}

static void *talk_send_all(void *unused)
{
	(void)unused;
	for (int64_t n = 0, sent; talk_load(TALK_STOP + talk_own) == 0;) {
		if (!talk_sends) {
			if (talk_load(TALK_TOLD + 1 - talk_own) != 0)
				break;
			sched_yield();
			continue;
		}
		int result = talk_send_next(n, &sent);
		if (talk_over(result)) {
			if (talk_refused() != result)
				broken("who was refused is then told otherwise", result);
			talk_store(TALK_REFUSED + talk_own, -result);
			break;
		}
		must("send", result);
		n += sent;
		talk_store(TALK_SENT + talk_own, n);
	}
	return NULL;
}

static void talk_look(const void *message, size_t size_bytes, int64_t number)
{
	static int64_t want[TALK_WORDS_MAX];
	if (talk_message(1 - talk_own, number, want) != size_bytes || memcmp(message, want, size_bytes) != 0)
		broken("the message is another", number);
}

static int talk_recv_next(int64_t *n)
{
	static int64_t words[TALK_WORDS_MAX];
	size_t size_bytes = 0;
	int result;
	if (talk_flow) {
		uint8_t buffer[TALK_CHUNK];
		result = shmd_pipe_read(talk_pipe, talk_own, buffer, 1 + (size_t)(*n % TALK_CHUNK), SHMD_FOREVER, &size_bytes);
		for (size_t i = 0; result >= 0 && i < size_bytes; i++)
			if (buffer[i] != talk_byte(1 - talk_own, (*n)++))
				broken("the byte is another", *n - 1);
		return result;
	}
	if (*n % 8 == 3) {
		struct iovec messages[TALK_MANY];
		uint32_t count = 0;
		result = shmd_pipe_peek_many(talk_pipe, talk_own, messages, TALK_MANY, SHMD_FOREVER, &count);
		if (result < 0)
			return result;
		for (uint32_t i = 0; i < count; i++)
			talk_look(messages[i].iov_base, messages[i].iov_len, *n + i);
		*n += count;
		return shmd_pipe_advance(talk_pipe, talk_own, count);
	}
	if (*n % 4 == 2) {
		const void *message;
		result = shmd_pipe_peek(talk_pipe, talk_own, SHMD_FOREVER, &message, &size_bytes);
		if (result < 0)
			return result;
		talk_look(message, size_bytes, (*n)++);
		return shmd_pipe_advance(talk_pipe, talk_own, 1);
	}
	result = shmd_pipe_recv(talk_pipe, talk_own, words, sizeof words, SHMD_FOREVER, &size_bytes);
	if (result >= 0)
		talk_look(words, size_bytes, (*n)++);
	return result;
}

static void talk_receive_all(void)
{
	int64_t n = 0;
	int result;
	while ((result = talk_recv_next(&n)) >= 0) {
		talk_store(TALK_GOT + 1 - talk_own, n);
		if (talk_load(TALK_STOP + talk_own) != 0)
			return;
	}
	if (!talk_over(result))
		must("receive", result);
	for (int i = 0; i < 2; i++)
		if (talk_recv_next(&n) != result)
			broken("who was told of the end is then told otherwise", result);
	if (!talk_sends && talk_refused() != result) /* else the other half does already */
		broken("who was told of the end is not refused", result);
	talk_store(TALK_TOLD + 1 - talk_own, -result);
}

static void talk(const char *name, const char *end, const char *does)
{
	pthread_t sender;
	talk_own = end[0] - 'a';
	talk_sends = strchr(does, 's') != NULL;
	talk_receives = strchr(does, 'r') != NULL;
	talk_flow = strchr(does, 'b') != NULL;
	must("open talk", shmd_array_open(client, "talk", 'q', 0, NULL, NULL, &journal));
	books = shmd_array_data(journal);
	must("open the pipe", shmd_pipe_open(client, name, NULL, &talk_pipe));
	must("claim", shmd_pipe_claim(talk_pipe, talk_own, NULL));
	say("ok");
	if (pthread_create(&sender, NULL, talk_send_all, NULL) != 0)
		broken("no thread", 0);
	if (talk_receives)
		talk_receive_all();
	pthread_join(sender, NULL);
	talk_pipe = shmd_pipe_close(talk_pipe);
	journal = shmd_array_close(journal);
}

#endif /* TALK_H */
