/* SPDX-License-Identifier: Apache-2.0
 *
 * queue_roles.c - what shmd.h promises of roles in queues, against a daemon. Waits are bounded
 * by the caller's watchdog.
 */
#include "expect.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct shmd_open_options as_producer = {.size = sizeof as_producer, .role = SHMD_PRODUCER};
static const struct shmd_open_options as_consumer = {.size = sizeof as_consumer, .role = SHMD_CONSUMER};

static struct shmd_queue *create(struct shmd_client *client, const char *name)
{
	struct shmd_create_options options = {.size = sizeof options, .maxsize = 2, .slot_size = 64, .raw = true};
	struct shmd_queue *queue;
	EXPECT(shmd_queue_create(client, name, &options, &queue), 0);
	return queue;
}

static bool closed(struct shmd_queue *queue)
{
	struct shmd_queue_counts counts;
	EXPECT(shmd_queue_counts(queue, &counts), 0);
	return counts.closed;
}

/* What was put is taken, and then the end is told. */
static void expect_last(struct shmd_queue *queue)
{
	char buffer[64];
	size_t size_bytes;
	EXPECT(shmd_queue_take(queue, buffer, sizeof buffer, SHMD_FOREVER, &size_bytes), 0);
	CHECK(size_bytes == 4 && memcmp(buffer, "last", 4) == 0);
	EXPECT(shmd_queue_take(queue, buffer, sizeof buffer, SHMD_FOREVER, &size_bytes), SHMD_E_ENDED);
}

static void retired(struct shmd_client *client)
{
	struct shmd_queue *queue = create(client, "c/retired");
	struct shmd_queue *producer;
	EXPECT(shmd_queue_open(client, "c/retired", &as_producer, &producer), 0);
	EXPECT(shmd_queue_claim(queue, SHMD_PRODUCER), 0);
	EXPECT(shmd_queue_claim(queue, SHMD_PRODUCER), 0);
	EXPECT(shmd_queue_retire(queue, SHMD_CONSUMER), SHMD_E_NOT_OWNER);
	EXPECT(shmd_queue_retire(queue, SHMD_PRODUCER), 0);
	EXPECT(shmd_queue_retire(queue, SHMD_PRODUCER), SHMD_E_NOT_OWNER);
	EXPECT(shmd_queue_put(queue, "last", 4, 0), 0); /* a role holds nobody back */
	CHECK(!closed(queue));
	EXPECT(shmd_queue_retire(producer, SHMD_PRODUCER), 0);
	expect_last(queue);
	EXPECT(shmd_queue_claim(producer, SHMD_PRODUCER), 0); /* too late */
	EXPECT(shmd_queue_put(producer, "", 0, 0), SHMD_E_ENDED);
	shmd_queue_close(producer);
	shmd_queue_close(queue);
}

static void closed_by_the_last(struct shmd_client *client)
{
	struct shmd_queue *queue = create(client, "c/closed");
	struct shmd_queue *first;
	struct shmd_queue *second;
	EXPECT(shmd_queue_open(client, "c/closed", &as_consumer, &first), 0);
	EXPECT(shmd_queue_open(client, "c/closed", &as_consumer, &second), 0);
	EXPECT(shmd_queue_put(queue, "", 0, 0), 0);
	EXPECT(shmd_queue_put(queue, "", 0, 0), 0);
	shmd_queue_close(first);
	CHECK(!closed(queue));
	shmd_queue_close(second);
	EXPECT(shmd_queue_put(queue, "", 0, SHMD_FOREVER), SHMD_E_ENDED); /* full, and nobody takes */
	shmd_queue_close(queue);
}

static void killed(struct shmd_client *client)
{
	struct shmd_queue *queue = create(client, "c/killed.role");
	int pipes[2];
	CHECK(pipe(pipes) == 0);
	pid_t child = fork();
	CHECK(child >= 0);
	if (child == 0) {
		struct shmd_queue *mine;
		EXPECT(shmd_queue_claim(queue, SHMD_PRODUCER), SHMD_E_FORKED);
		EXPECT(shmd_queue_open(connected(), "c/killed.role", &as_producer, &mine), 0);
		EXPECT(shmd_queue_put(mine, "last", 4, 0), 0);
		CHECK(write(pipes[1], "!", 1) == 1);
		pause();
	}
	char byte;
	close(pipes[1]);
	CHECK(read(pipes[0], &byte, 1) == 1);
	close(pipes[0]);
	CHECK(!closed(queue));
	CHECK(kill(child, SIGKILL) == 0 && waitpid(child, NULL, 0) == child);
	expect_last(queue);
	shmd_queue_close(queue);
}

/* A role may be on its way. */
static void ticketed(struct shmd_client *client)
{
	struct shmd_queue *queue = create(client, "c/ticketed");
	struct shmd_ticket ticket;
	struct shmd_queue *heir;
	EXPECT(shmd_queue_claim(queue, SHMD_PRODUCER), 0);
	EXPECT(shmd_ticket(client, shmd_queue_id(queue), 0, &ticket), 0);
	EXPECT(shmd_queue_retire(queue, SHMD_PRODUCER), 0);
	CHECK(!closed(queue));
	struct shmd_open_options options = as_producer;
	options.id = shmd_queue_id(queue);
	options.ticket = &ticket;
	EXPECT(shmd_queue_open(client, NULL, &options, &heir), 0);
	EXPECT(shmd_queue_put(heir, "last", 4, 0), 0);
	shmd_queue_close(heir);
	expect_last(queue);
	shmd_queue_close(queue);
}

static void mistakes(struct shmd_client *client)
{
	struct shmd_queue *queue = create(client, "c/mistakes");
	struct shmd_queue *reader;
	struct shmd_open_options options = {.size = sizeof options, .role = 3};
	EXPECT(shmd_queue_open(client, "c/mistakes", &options, &reader), SHMD_E_INVALID);
	options.role = 0;
	options.read_only = true;
	EXPECT(shmd_queue_open(client, "c/mistakes", &options, &reader), 0);
	EXPECT(shmd_queue_claim(reader, SHMD_CONSUMER), SHMD_E_PERMISSION);
	shmd_queue_close(reader);
	EXPECT(shmd_queue_claim(NULL, SHMD_PRODUCER), SHMD_E_INVALID);
	EXPECT(shmd_queue_retire(NULL, SHMD_PRODUCER), SHMD_E_INVALID);
	EXPECT(shmd_queue_claim(queue, (enum shmd_role)0), SHMD_E_INVALID);
	EXPECT(shmd_queue_retire(queue, (enum shmd_role)3), SHMD_E_INVALID);
	EXPECT(shmd_destroy(client, "c/mistakes"), 0);
	EXPECT(shmd_queue_claim(queue, SHMD_PRODUCER), SHMD_E_REMOVED);
	shmd_queue_close(queue);
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	struct shmd_client *client = connected();
	retired(client);
	closed_by_the_last(client);
	killed(client);
	ticketed(client);
	mistakes(client);
	shmd_close(client);
	puts("ok");
	return 0;
}
