/* SPDX-License-Identifier: Apache-2.0
 *
 * takers.c - threads that wait for messages of one queue.
 * Usage: takers SOCKET QUEUE COUNT. Commands:
 *	block    COUNT threads begin to take messages: "done"
 *	share N  put N messages, each when the one before is taken: how often a thread of this
 *	         process went to sleep meanwhile
 *	wake     put a message for each thread that ends it, and wait for all of them: "done"
 */
#define _GNU_SOURCE
#include "bench.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>

#define LAST SIZE_MAX /* the message that ends who takes it */
#define STACK_BYTES ((size_t)128 << 10)

static struct shmd_queue *queue;
static pthread_t *threads;
static size_t thread_count;
static size_t taken; /* atomic */

static void *take_each(void *unused)
{
	size_t message = 0;
	size_t size_bytes;
	for (;;) {
		must(shmd_queue_take(queue, &message, sizeof message, SHMD_FOREVER, &size_bytes), "take");
		if (message == LAST)
			return unused;
		__atomic_fetch_add(&taken, 1, __ATOMIC_RELAXED);
	}
}

static void block(void)
{
	pthread_attr_t attributes;
	must_errno(pthread_attr_init(&attributes), "pthread_attr_init");
	must_errno(pthread_attr_setstacksize(&attributes, STACK_BYTES), "pthread_attr_setstacksize");
	for (size_t i = 0; i < thread_count; i++)
		must_errno(pthread_create(&threads[i], &attributes, take_each, NULL), "pthread_create");
	must_errno(pthread_attr_destroy(&attributes), "pthread_attr_destroy");
}

static void put(size_t message)
{
	must(shmd_queue_put(queue, &message, sizeof message, SHMD_FOREVER), "put");
}

static long sleeps(void)
{
	struct rusage usage;
	must_errno(getrusage(RUSAGE_SELF, &usage) == 0 ? 0 : errno, "getrusage");
	return usage.ru_nvcsw;
}

static void share(int count)
{
	long before = sleeps();
	__atomic_store_n(&taken, 0, __ATOMIC_RELAXED);
	for (size_t i = 0; i < (size_t)count; i++) {
		put(i);
		while (__atomic_load_n(&taken, __ATOMIC_RELAXED) <= i)
			sched_yield();
	}
	printf("%ld\n", sleeps() - before);
}

static void wake(void)
{
	for (size_t i = 0; i < thread_count; i++)
		put(LAST);
	for (size_t i = 0; i < thread_count; i++)
		must_errno(pthread_join(threads[i], NULL), "pthread_join");
}

static void execute(const char *command, int n)
{
	if (strcmp(command, "share") == 0) {
		share(n);
		return;
	}
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
