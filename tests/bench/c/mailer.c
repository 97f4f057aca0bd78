/* SPDX-License-Identifier: Apache-2.0
 *
 * mailer.c - one end of two POSIX message queues, whose names are as of mq_open. rival.h
 * has the usage.
 */
#define _GNU_SOURCE
#include "rival.h"

#include <fcntl.h>
#include <mqueue.h>

#define MESSAGES_MAX 10 /* what every user may have: fs.mqueue.msg_max */

static const char *names[2];
static mqd_t out;
static mqd_t in;
static struct message message;

static void put_one(int i)
{
	number(&message, i);
	must_errno(mq_send(out, (const char *)&message, sizeof message, 0) == 0 ? 0 : errno, "mq_send");
}

static void take_one(int want)
{
	ssize_t size_bytes = mq_receive(in, (char *)&message, sizeof message, NULL);
	must_errno(size_bytes < 0 ? errno : 0, "mq_receive");
	expect(&message, (size_t)size_bytes, want);
}

static void unlink_names(void)
{
	for (int i = 0; i < 2; i++)
		must_errno(mq_unlink(names[i]) == 0 ? 0 : errno, names[i]);
}

static void describe(void)
{
	printf("mq_send and mq_receive, with room for %d messages\n", MESSAGES_MAX);
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
