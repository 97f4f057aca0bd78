/* SPDX-License-Identifier: Apache-2.0
 *
 * streamer.c - the producer of one stream and the consumer of another.
 * Usage: streamer SOCKET OUT IN. OUT is the stream that it sends into, IN the one that
 * it receives from. Commands, as works.h has them; message.h says what the messages are:
 *	pin CPU    run on that processor only, -1 anywhere: "done"
 *	send N     send N messages, one by one
 *	recv N     receive N messages, one by one
 *	send-whole N, recv-whole N  the same, with every byte written, and checked
 *	send-many N, recv-many N  the same, up to 64 in one call; looked at in place
 *	make N     make N messages in place, one by one
 *	look N     look at N messages in place, one by one
 *	ping N     N times send a message and receive the answer, trying in a loop
 *	pong N     N times receive a message and send the answer, trying in a loop
 *	ping-wait N, pong-wait N  the same, waiting for what does not come at once
 */
#define _GNU_SOURCE
#include "message.h"
#include "works.h"

static struct shmd_stream *out;
static struct shmd_stream *in;

/* ---- one way ---- */

static void send_each(int count)
{
	struct message message = {0};
	for (int i = 0; i < count; i++) {
		number(&message, i);
		must(shmd_stream_send(out, &message, sizeof message, SHMD_FOREVER), "send");
	}
}

static void recv_each(int count)
{
	struct message message;
	size_t size_bytes = 0;
	for (int i = 0; i < count; i++) {
		must(shmd_stream_recv(in, &message, sizeof message, SHMD_FOREVER, &size_bytes), "recv");
		expect(&message, size_bytes, i);
	}
}

static void send_whole(int count)
{
	for (int i = 0; i < count; i++) {
		struct message message;
		fill(&message, i);
		must(shmd_stream_send(out, &message, sizeof message, SHMD_FOREVER), "send");
	}
}

static void recv_whole(int count)
{
	struct message message;
	size_t size_bytes = 0;
	for (int i = 0; i < count; i++) {
		must(shmd_stream_recv(in, &message, sizeof message, SHMD_FOREVER, &size_bytes), "recv");
		expect_whole(&message, size_bytes, i);
	}
}

static struct iovec places[BATCH];

static uint32_t at_once(int count) { return count < BATCH ? (uint32_t)count : BATCH; }

static void send_many(int count)
{
	static struct message batch[BATCH];
	for (uint32_t i = 0; i < BATCH; i++)
		places[i] = (struct iovec){.iov_base = &batch[i], .iov_len = sizeof batch[i]};
	for (int i = 0; i < count;) {
		uint32_t n = at_once(count - i);
		for (uint32_t j = 0; j < n; j++)
			number(&batch[j], i + (int)j);
		must(shmd_stream_send_many(out, places, n, SHMD_FOREVER, &n), "send_many");
		i += (int)n;
	}
}

static void recv_many(int count)
{
	for (int i = 0; i < count;) {
		uint32_t n = at_once(count - i);
		must(shmd_stream_peek_many(in, places, n, SHMD_FOREVER, &n), "peek_many");
		for (uint32_t j = 0; j < n; j++)
			expect(places[j].iov_base, places[j].iov_len, i + (int)j);
		must(shmd_stream_advance(in, n), "advance");
		i += (int)n;
	}
}

static void make(int count)
{
	for (int i = 0; i < count; i++) {
		void *place;
		must(shmd_stream_reserve(out, sizeof(struct message), SHMD_FOREVER, &place), "reserve");
		number(place, i);
		must(shmd_stream_commit(out, sizeof(struct message)), "commit");
	}
}

static void look(int count)
{
	for (int i = 0; i < count; i++) {
		const void *message;
		size_t size_bytes = 0;
		must(shmd_stream_peek(in, SHMD_FOREVER, &message, &size_bytes), "peek");
		expect(message, size_bytes, i);
		must(shmd_stream_advance(in, 1), "advance");
	}
}

/* ---- there and back ---- */

static inline int give(const struct message *message, int64_t timeout_ns)
{
	return shmd_stream_send(out, message, sizeof *message, timeout_ns);
}

static inline int get(struct message *message, int64_t timeout_ns, size_t *ret_size_bytes)
{
	return shmd_stream_recv(in, message, sizeof *message, timeout_ns, ret_size_bytes);
}

#include "roundtrip.h"

static const struct work works[] = {
	{"send", send_each, NULL},
	{"recv", recv_each, NULL},
	{"send-whole", send_whole, NULL},
	{"recv-whole", recv_whole, NULL},
	{"send-many", send_many, NULL},
	{"recv-many", recv_many, NULL},
	{"make", make, NULL},
	{"look", look, NULL},
	{"ping", ping, ping_once},
	{"pong", pong, NULL},
	{"ping-wait", ping_wait, ping_wait_once},
	{"pong-wait", pong_wait, NULL},
};

static void execute(const char *command, int n)
{
	do_work(works, sizeof works / sizeof *works, command, n);
}

int main(int argc, char **argv)
{
	if (argc != 4) {
		fprintf(stderr, "usage: streamer SOCKET OUT IN\n");
		return 2;
	}
	struct shmd_client *client = connect_to(argv[1]);
	must(shmd_stream_open(client, argv[2], NULL, &out), "open");
	must(shmd_stream_open(client, argv[3], NULL, &in), "open");
	must(shmd_stream_claim(out, SHMD_PRODUCER), "claim");
	must(shmd_stream_claim(in, SHMD_CONSUMER), "claim");
	serve(execute);
	out = shmd_stream_close(out);
	in = shmd_stream_close(in);
	shmd_close(client);
	return 0;
}
