/* SPDX-License-Identifier: Apache-2.0
 *
 * rings.h - the commands of driver.c about streams and pipes.
 */
#ifndef RINGS_H
#define RINGS_H

#include <sys/uio.h>

enum { RING_BATCH = 16 /* messages at once */ };

/* An open stream or pipe; the other is null. */
struct ring {
	struct shmd_stream *stream;
	struct shmd_pipe *pipe;
};

static bool is_ring(const char *kind) { return strcmp(kind, "stream") == 0 || strcmp(kind, "pipe") == 0; }

static int create_ring(struct ring *r, const char *kind, const char *name, const char *flags, char **words, int count)
{
	struct shmd_create_options options = {.size = sizeof options};
	if (count > 0)
		options.capacity = (uint32_t)strtoul(words[0], NULL, 10);
	if (count > 1)
		options.message_max = (uint32_t)strtoul(words[1], NULL, 10);
	options.bytes = strcmp(flags, "bytes") == 0;
	if (strcmp(kind, "stream") == 0)
		return shmd_stream_create(client, name, &options, &r->stream);
	return shmd_pipe_create(client, name, &options, &r->pipe);
}

static int open_ring(struct ring *r, const char *kind, const char *name, const struct shmd_open_options *options)
{
	if (strcmp(kind, "stream") == 0)
		return shmd_stream_open(client, name, options, &r->stream);
	return shmd_pipe_open(client, name, options, &r->pipe);
}

static void close_ring(struct ring *r)
{
	if (r == NULL)
		return;
	shmd_stream_close(r->stream);
	shmd_pipe_close(r->pipe);
	free(r);
}

static int end_of(const char *word)
{
	return strcmp(word, "a") == 0 ? SHMD_END_A : strcmp(word, "b") == 0 ? SHMD_END_B : SHMD_END_ANY;
}

static void claim(struct ring *r, const char *word)
{
	int end = SHMD_END_ANY;
	int result = r->stream ? shmd_stream_claim(r->stream, role_of(word))
	                       : shmd_pipe_claim(r->pipe, end_of(word), &end);
	if (result < 0)
		answer(result);
	else
		printf("ok %s\n", r->stream ? word : end == SHMD_END_A ? "a" : "b");
}

/* The answer of what takes or gives some. */
static void answer_count(int result, size_t count)
{
	if (result < 0)
		answer(result);
	else
		printf("ok %zu\n", count);
}

static void send_many(struct ring *r, char **words)
{
	static unsigned char bytes[RING_BATCH][64];
	struct iovec messages[RING_BATCH];
	uint32_t count = 0, sent = 0;
	int64_t timeout = timeout_of(words);
	while (count < RING_BATCH && words[1 + count] != NULL) {
		messages[count].iov_base = bytes[count];
		messages[count].iov_len = strlen(words[1 + count]) / 2 > sizeof bytes[0]
		                              ? 0
		                              : parse_message(words[1 + count], bytes[count]);
		count++;
	}
	int result = r->stream ? shmd_stream_send_many(r->stream, messages, count, timeout, &sent)
	                       : shmd_pipe_send_many(r->pipe, SHMD_END_ANY, messages, count, timeout, &sent);
	answer_count(result, sent);
}

static void recv_many(struct ring *r, char **words)
{
	struct iovec messages[RING_BATCH];
	uint32_t most = (uint32_t)strtoul(words[0], NULL, 10), count = 0;
	int64_t timeout = timeout_of(words + 1);
	if (most > RING_BATCH)
		most = RING_BATCH;
	int result = r->stream ? shmd_stream_peek_many(r->stream, messages, most, timeout, &count)
	                       : shmd_pipe_peek_many(r->pipe, SHMD_END_ANY, messages, most, timeout, &count);
	if (result < 0) {
		answer(result);
		return;
	}
	fputs("ok", stdout);
	for (uint32_t i = 0; i < count; i++)
		print_bytes(messages[i].iov_base, messages[i].iov_len);
	putchar('\n');
	result = r->stream ? shmd_stream_advance(r->stream, count) : shmd_pipe_advance(r->pipe, SHMD_END_ANY, count);
	if (result < 0) {
		fprintf(stderr, "advance: %s\n", shmd_last_error());
		exit(2);
	}
}

static void answer_bytes(int result, const void *bytes, size_t size)
{
	if (result < 0) {
		answer(result);
		return;
	}
	fputs("ok", stdout);
	print_bytes(bytes, size);
	putchar('\n');
}

static bool obey_ring(struct ring *r, const char *verb, char **words)
{
	static unsigned char message[MESSAGE_MAX];
	size_t size = 0;
	int result;
	if (strcmp(verb, "claim") == 0) {
		claim(r, words[0]);
	} else if (strcmp(verb, "retire") == 0) {
		answer(r->stream ? shmd_stream_retire(r->stream, role_of(words[0]))
		                 : shmd_pipe_shut(r->pipe, end_of(words[0])));
	} else if (strcmp(verb, "send") == 0) {
		size = parse_message(words[0], message);
		answer(r->stream ? shmd_stream_send(r->stream, message, size, timeout_of(words + 1))
		                 : shmd_pipe_send(r->pipe, SHMD_END_ANY, message, size, timeout_of(words + 1)));
	} else if (strcmp(verb, "sendmany") == 0) {
		send_many(r, words);
	} else if (strcmp(verb, "recv") == 0) {
		result = r->stream ? shmd_stream_recv(r->stream, message, sizeof message, timeout_of(words), &size)
		                   : shmd_pipe_recv(r->pipe, SHMD_END_ANY, message, sizeof message, timeout_of(words), &size);
		answer_bytes(result, message, size);
	} else if (strcmp(verb, "recvmany") == 0) {
		recv_many(r, words);
	} else if (strcmp(verb, "writebytes") == 0) {
		size = parse_message(words[0], message);
		result = shmd_pipe_write(r->pipe, SHMD_END_ANY, message, size, timeout_of(words + 1), &size);
		answer_count(result, size);
	} else if (strcmp(verb, "readbytes") == 0) {
		size = strtoul(words[0], NULL, 10);
		if (size > sizeof message)
			size = sizeof message;
		result = shmd_pipe_read(r->pipe, SHMD_END_ANY, message, size, timeout_of(words + 1), &size);
		answer_bytes(result, message, size);
	} else {
		return false;
	}
	return true;
}

#endif
