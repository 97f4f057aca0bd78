/* SPDX-License-Identifier: Apache-2.0
 *
 * zeromq.c - one end of two ways through ZeroMQ, PUSH to PULL, over Unix sockets with
 * abstract names. ../c/rival.h has the usage. A message is written, and read, where ZeroMQ
 * has it; the I/O thread, one, runs where pin says. PAIR, more I/O threads, longer queues
 * and larger socket buffers were no faster.
 */
#define _GNU_SOURCE
#include "rival.h"

#include <stdbool.h>
#include <zmq.h>

#define MESSAGES_MAX 1024 /* as many as in our queue, on either side */

static void *out;
static void *in;

static void check(bool is_good, const char *what)
{
	if (__builtin_expect(is_good, 1))
		return;
	fprintf(stderr, "%s: %s\n", what, zmq_strerror(zmq_errno()));
	exit(1);
}

static void put_one(int i)
{
	zmq_msg_t message;
	check(zmq_msg_init_size(&message, MESSAGE_BYTES) == 0, "zmq_msg_init_size");
	number(zmq_msg_data(&message), i);
	check(zmq_msg_send(&message, out, 0) == MESSAGE_BYTES, "zmq_msg_send");
}

static void take_one(int want)
{
	zmq_msg_t message;
	check(zmq_msg_init(&message) == 0, "zmq_msg_init");
	check(zmq_msg_recv(&message, in, 0) >= 0, "zmq_msg_recv");
	expect(zmq_msg_data(&message), zmq_msg_size(&message), want);
	check(zmq_msg_close(&message) == 0, "zmq_msg_close");
}

static void unlink_names(void) {} /* abstract names go with their sockets */

static void describe(void)
{
	int major, minor, patch;
	zmq_version(&major, &minor, &patch);
	printf("PUSH and PULL of ZeroMQ %d.%d.%d over ipc, with room for %d messages on either side\n", major, minor, patch,
	       MESSAGES_MAX);
}

static void *open_socket(void *context, int type, int limit, int (*attach)(void *socket, const char *address),
                         const char *name)
{
	static const int messages_max = MESSAGES_MAX;
	char address[128];
	void *socket = zmq_socket(context, type);
	check(socket != NULL, "zmq_socket");
	check(zmq_setsockopt(socket, limit, &messages_max, sizeof messages_max) == 0, "zmq_setsockopt");
	snprintf(address, sizeof address, "ipc://@%s", name);
	check(attach(socket, address) == 0, address);
	return socket;
}

int main(int argc, char **argv)
{
	if (argc != 3) {
		fprintf(stderr, "usage: zeromq OUT IN\n");
		return 2;
	}
	void *context = zmq_ctx_new();
	check(context != NULL, "zmq_ctx_new");
	out = open_socket(context, ZMQ_PUSH, ZMQ_SNDHWM, zmq_bind, argv[1]);
	in = open_socket(context, ZMQ_PULL, ZMQ_RCVHWM, zmq_connect, argv[2]);
	serve(execute);
	check(zmq_close(out) == 0 && zmq_close(in) == 0, "zmq_close");
	check(zmq_ctx_term(context) == 0, "zmq_ctx_term");
	return 0;
}
