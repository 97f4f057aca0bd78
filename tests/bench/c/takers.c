/* SPDX-License-Identifier: Apache-2.0
 *
 * takers.c - threads that wait for messages of one queue.
 * Usage: takers SOCKET QUEUE COUNT. Commands, each answered by "done":
 *	block    COUNT threads begin to take one message each
 *	wake     put as many messages, and wait until all threads have theirs
 */
#define _GNU_SOURCE
#include "bench.h"

#include <errno.h>
#include <pthread.h>

#define STACK_BYTES ((size_t)128 << 10)

static struct shmd_queue *queue;
static pthread_t *threads;
static size_t thread_count;

static void *take_one(void *unused)
{
	char message[64];
	size_t size_bytes;
	must(shmd_queue_take(queue, message, sizeof message, SHMD_FOREVER, &size_bytes), "take");
	return unused;
}

static void block(void)
{
	pthread_attr_t attributes;
	must_errno(pthread_attr_init(&attributes), "pthread_attr_init");
	must_errno(pthread_attr_setstacksize(&attributes, STACK_BYTES), "pthread_attr_setstacksize");
	for (size_t i = 0; i < thread_count; i++)
		must_errno(pthread_create(&threads[i], &attributes, take_one, NULL), "pthread_create");
	must_errno(pthread_attr_destroy(&attributes), "pthread_attr_destroy");
}

static void wake(void)
{
	for (size_t i = 0; i < thread_count; i++)
		must(shmd_queue_put(queue, &i, sizeof i, SHMD_FOREVER), "put");
	for (size_t i = 0; i < thread_count; i++)
		must_errno(pthread_join(threads[i], NULL), "pthread_join");
}

static void execute(const char *command, int n)
{
	(void)n;
	if (strcmp(command, "block") == 0)
		block();
	else if (strcmp(command, "wake") == 0)
		wake();
	else
		no_command(command);
	puts("done");
}

int main(int argc, char **argv)
{
	if (argc != 4) {
		fprintf(stderr, "usage: takers SOCKET QUEUE COUNT\n");
		return 2;
	}
	thread_count = strtoul(argv[3], NULL, 10);
	threads = calloc(thread_count, sizeof *threads);
	must_errno(threads == NULL ? ENOMEM : 0, "calloc");
	struct shmd_client *client = connect_to(argv[1]);
	must(shmd_queue_open(client, argv[2], NULL, &queue), "open");
	serve(execute);
	queue = shmd_queue_close(queue);
	shmd_close(client);
	free(threads);
	return 0;
}
