/* SPDX-License-Identifier: Apache-2.0
 *
 * messenger.c - a client of queues and semaphores that does what its standard
 * input says, one command and one answer a line. The commands are those of
 * tests/crash/messenger_test.go.
 */
#define _GNU_SOURCE
#include <shmd.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LEASES_MAX 16
#define TRY_NS 50000 /* long enough to sleep, short enough to leave without a message */

static struct shmd_client *client;
static struct shmd_queue *queue;         /* the one that is open, or null */
static struct shmd_semaphore *semaphore; /* likewise */
static struct shmd_lease leases[LEASES_MAX];
static int leases_count;

static void say(const char *text)
{
	if (printf("%s\n", text) < 0 || fflush(stdout) != 0)
		exit(3); /* whoever asked is gone */
}

static void say_result(int result)
{
	char text[64];
	if (result >= 0) {
		say("ok");
		return;
	}
	fprintf(stderr, "%s: %s\n", shmd_strerror(result), shmd_last_error());
	snprintf(text, sizeof text, "error %s", shmd_error_name(result));
	say(text);
}

static _Noreturn void broken(const char *why, int64_t number)
{
	printf("broken: %s: %" PRId64 "\n", why, number);
	exit(1);
}

static void must(const char *what, int result)
{
	if (result >= 0)
		return;
	fprintf(stderr, "%s: %s: %s\n", what, shmd_strerror(result), shmd_last_error());
	broken(what, result);
}

#include "traffic.h"
#include "relay.h"
#include "talk.h"
#include "worry.h"

/* ---- Commands ---- */

static void say_lease(int64_t timeout_ns)
{
	struct shmd_lease lease;
	int result = shmd_queue_lease(queue, timeout_ns, &lease);
	if (result < 0) {
		say_result(result);
		return;
	}
	if (leases_count == LEASES_MAX)
		broken("too many leases", leases_count);
	leases[leases_count++] = lease;
	char text[160];
	snprintf(text, sizeof text, "leased %.*s %" PRIu32, (int)lease.size_bytes, (const char *)lease.message,
	         lease.deliveries);
	say(text);
}

/* Ends the oldest lease. */
static int end_lease(int (*end)(struct shmd_queue *, const struct shmd_lease *))
{
	if (leases_count == 0)
		broken("no lease", 0);
	struct shmd_lease lease = leases[0];
	memmove(leases, leases + 1, (size_t)--leases_count * sizeof leases[0]);
	return end(queue, &lease);
}

static int open_thing(const char *kind, const char *name)
{
	if (strcmp(kind, "queue") == 0)
		return shmd_queue_open(client, name, NULL, &queue);
	return shmd_semaphore_open(client, name, NULL, &semaphore);
}

static int64_t timeout_of(const char *word) { return word[0] != '\0' ? strtoll(word, NULL, 10) : SHMD_FOREVER; }

static void obey(const char *line)
{
	char verb[16] = "", first[64] = "", second[64] = "", third[64] = "", fourth[64] = "";
	sscanf(line, "%15s %63s %63s %63s %63s", verb, first, second, third, fourth);
	if (strcmp(verb, "open") == 0) {
		say_result(open_thing(first, second));
	} else if (strcmp(verb, "put") == 0) {
		say_result(shmd_queue_put(queue, second, strlen(second), timeout_of(third)));
	} else if (strcmp(verb, "lease") == 0) {
		say_lease(timeout_of(second));
	} else if (strcmp(verb, "ack") == 0) {
		say_result(end_lease(shmd_queue_ack));
	} else if (strcmp(verb, "nack") == 0) {
		say_result(end_lease(shmd_queue_nack));
	} else if (strcmp(verb, "acquire") == 0) {
		say_result(shmd_semaphore_acquire(semaphore, (uint32_t)strtoul(second, NULL, 10), timeout_of(third)));
	} else if (strcmp(verb, "release") == 0) {
		say_result(shmd_semaphore_release(semaphore, (uint32_t)strtoul(second, NULL, 10)));
	} else if (strcmp(verb, "produce") == 0 || strcmp(verb, "consume") == 0) {
		open_traffic();
		say("ok");
		if (verb[0] == 'p')
			produce(atoi(first));
		else
			consume(atoi(first), atoi(second));
		close_traffic();
		say("done");
	} else if (strcmp(verb, "send") == 0 || strcmp(verb, "receive") == 0) {
		relay(verb[0] == 's', strtoll(first, NULL, 10));
		say("done");
	} else if (strcmp(verb, "talk") == 0) {
		talk(first, second, third);
		say("done");
	} else if (strcmp(verb, "worry") == 0) {
		worry(first, second, third, atoi(fourth));
	} else {
		fprintf(stderr, "no such command: %s\n", line);
		exit(2);
	}
}

int main(void)
{
	char line[256];
	struct shmd_connect_options options = {.size = sizeof options, .reattach_timeout_ns = 120000000000};
	int result = shmd_connect(&options, &client);
	if (result < 0) {
		say_result(result);
		return 0;
	}
	say("ok");
	while (fgets(line, sizeof line, stdin) != NULL)
		obey(line);
	shmd_queue_close(queue);
	shmd_semaphore_close(semaphore);
	shmd_close(client);
	return 0;
}
