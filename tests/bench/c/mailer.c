/* SPDX-License-Identifier: Apache-2.0
 *
 * mailer.c - one end of two POSIX message queues: what messenger.c is for queues.
 * Usage: mailer OUT IN. OUT and IN are names as of mq_open. Commands, as works.h has
 * them; message.h says what the messages are:
 *	pin CPU    run on that processor only, -1 anywhere: "done"
 *	unlink     take the names away, once both ends are there: "done"
 *	put N      put N messages
 *	take N     take N messages
 *	ping-wait N  N times put a message and take the answer
 *	pong-wait N  N times take a message and put the answer
 */
#define _GNU_SOURCE
#include "message.h"
#include "works.h"

#include <fcntl.h>
#include <mqueue.h>

#define MESSAGES_MAX 10 /* what every user may have: fs.mqueue.msg_max */

static const char *names[2];
static mqd_t out;
static mqd_t in;

static void put_one(struct message *message, int i)
{
	number(message, i);
	must_errno(mq_send(out, (const char *)message, sizeof *message, 0) == 0 ? 0 : errno, "mq_send");
}

static void take_one(struct message *message, int want)
{
	ssize_t size_bytes = mq_receive(in, (char *)message, sizeof *message, NULL);
	must_errno(size_bytes < 0 ? errno : 0, "mq_receive");
	expect(message, (size_t)size_bytes, want);
}

static void put(int count)
{
	struct message message = {0};
	for (int i = 0; i < count; i++)
		put_one(&message, i);
}

static void take(int count)
{
	struct message message;
	for (int i = 0; i < count; i++)
		take_one(&message, i);
}

static void ping_wait_once(int i)
{
	struct message message = {0};
	put_one(&message, i);
	take_one(&message, i);
}

static void ping_wait(int count)
{
	for (int i = 0; i < count; i++)
		ping_wait_once(i);
}

static void pong_wait(int count)
{
	struct message message;
	for (int i = 0; i < count; i++) {
		take_one(&message, i);
		put_one(&message, i);
	}
}

static const struct work works[] = {
	{"put", put, NULL},
	{"take", take, NULL},
	{"ping-wait", ping_wait, ping_wait_once},
	{"pong-wait", pong_wait, NULL},
};

static void execute(const char *command, int n)
{
	if (strcmp(command, "unlink") == 0) {
		for (int i = 0; i < 2; i++)
			must_errno(mq_unlink(names[i]) == 0 ? 0 : errno, names[i]);
		puts("done");
		return;
	}
	do_work(works, sizeof works / sizeof *works, command, n);
}

static mqd_t open_queue(const char *name)
{
	struct mq_attr attributes = {.mq_maxmsg = MESSAGES_MAX, .mq_msgsize = MESSAGE_BYTES};
	mqd_t queue = mq_open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600, &attributes);
	must_errno(queue == (mqd_t)-1 ? errno : 0, name);
	return queue;
}

int main(int argc, char **argv)
{
	if (argc != 3) {
		fprintf(stderr, "usage: mailer OUT IN\n");
		return 2;
	}
	out = open_queue(names[0] = argv[1]);
	in = open_queue(names[1] = argv[2]);
	serve(execute);
	must_errno(mq_close(out) == 0 ? 0 : errno, "mq_close");
	must_errno(mq_close(in) == 0 ? 0 : errno, "mq_close");
	return 0;
}
