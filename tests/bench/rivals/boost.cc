/* SPDX-License-Identifier: Apache-2.0
 *
 * boost.cc - one end of two message queues of Boost.Interprocess. ../c/rival.h has the
 * usage. As our queue it has a length and a size of messages from its creation; there is
 * nothing else to set. Errors are exceptions, which end the program and say what they are.
 */
#include "rival.h"

#include <boost/interprocess/ipc/message_queue.hpp>
#include <boost/version.hpp>

using namespace boost::interprocess;

#define MESSAGES_MAX 1024 /* as many as in ours */

static const char *names[2];
static message_queue *out;
static message_queue *in;
static struct message message;

static void put_one(int i)
{
	number(&message, i);
	out->send(&message, sizeof message, 0);
}

static void take_one(int want)
{
	message_queue::size_type size_bytes;
	unsigned priority;
	in->receive(&message, sizeof message, size_bytes, priority);
	expect(&message, size_bytes, want);
}

static void unlink_names()
{
	for (const char *name : names)
		message_queue::remove(name);
}

static void describe()
{
	printf("message_queue of Boost.Interprocess %d.%d, with room for %d messages\n", BOOST_VERSION / 100000,
	       BOOST_VERSION / 100 % 1000, MESSAGES_MAX);
}

int main(int argc, char **argv)
{
	if (argc != 3) {
		fprintf(stderr, "usage: boost OUT IN\n");
		return 2;
	}
	message_queue there(open_or_create, names[0] = argv[1], MESSAGES_MAX, MESSAGE_BYTES);
	message_queue back(open_or_create, names[1] = argv[2], MESSAGES_MAX, MESSAGE_BYTES);
	out = &there;
	in = &back;
	serve(execute);
	return 0;
}
