/* SPDX-License-Identifier: Apache-2.0
 *
 * messenger.c - a client of queues and semaphores that does what its standard
 * input says, one command and one answer a line. The commands are those of
 * tests/crash/messenger_test.go; what produce and consume do stands in
 * tests/crash/traffic_test.go.
 */
#define _GNU_SOURCE
#include <shmd.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LEASES_MAX 16
#define TRY_NS 50000 /* long enough to sleep, short enough to leave without a message */

/* The books: see traffic_test.go. */
#define BOOK_STOP 0
#define BOOK_PROGRESS 1
#define BOOK_NEXT 2
#define PRODUCERS 3
#define BOOK_MESSAGES (BOOK_NEXT + PRODUCERS)
#define NUMBERS_EACH (1 << 17)
#define ENTRY_INTENT (INT64_C(1) << 0)
#define ENTRY_CONFIRMED (INT64_C(1) << 8)
#define ENTRY_DELIVERED (INT64_C(1) << 16)
#define ENTRY_ACKED (INT64_C(1) << 32)
#define MESSAGE_LONG 600
#define MESSAGE_MAX (MESSAGE_LONG + 40)
#define BATCH_MAX 3

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

/* ---- Traffic ---- */

static struct shmd_semaphore *credits, *permits;
static struct shmd_array *journal;
static int64_t *books;
static int64_t last[PRODUCERS]; /* the highest number + 1 of each, of first deliveries */

static void open_traffic(void)
{
	must("open jobs", shmd_queue_open(client, "jobs", NULL, &queue));
	must("open credits", shmd_semaphore_open(client, "credits", NULL, &credits));
	must("open permits", shmd_semaphore_open(client, "permits", NULL, &permits));
	must("open journal", shmd_array_open(client, "journal", 'q', 0, NULL, NULL, &journal));
	books = shmd_array_data(journal);
}

static void close_traffic(void)
{
	queue = shmd_queue_close(queue);
	credits = shmd_semaphore_close(credits);
	permits = shmd_semaphore_close(permits);
	journal = shmd_array_close(journal);
}

/* Adds an entry for a message, and returns what was there. */
static int64_t book(int64_t number, int64_t entry)
{
	int64_t before = __atomic_fetch_add(&books[BOOK_MESSAGES + number], entry, __ATOMIC_SEQ_CST);
	__atomic_fetch_add(&books[BOOK_PROGRESS], 1, __ATOMIC_SEQ_CST);
	return before;
}

static size_t make_message(int64_t number, uint8_t *message)
{
	size_t length = (size_t)((number % 16 == 0 ? MESSAGE_LONG : 8) + number % 40);
	for (size_t i = 0; i < length; i++)
		message[i] = (uint8_t)(i < 8 ? number >> (8 * i) : number + (int64_t)i);
	return length;
}

static void produce(int slot)
{
	uint8_t message[MESSAGE_MAX];
	for (;;) {
		must("acquire a credit", shmd_semaphore_acquire(credits, 1, SHMD_FOREVER));
		if (__atomic_load_n(&books[BOOK_STOP], __ATOMIC_SEQ_CST) != 0)
			return;
		int64_t next = __atomic_fetch_add(&books[BOOK_NEXT + slot], 1, __ATOMIC_SEQ_CST);
		if (next >= NUMBERS_EACH)
			broken("no numbers left", slot);
		int64_t number = (int64_t)slot * NUMBERS_EACH + next;
		if (number % 4 == 3) {
			struct shmd_reservation reservation;
			must("reserve", shmd_queue_reserve(queue, SHMD_FOREVER, &reservation));
			size_t size = make_message(number, reservation.buffer);
			must("acquire one more", shmd_semaphore_acquire(credits, 1, SHMD_FOREVER));
			book(number, ENTRY_INTENT);
			must("commit", shmd_queue_commit(queue, &reservation, size));
		} else {
			book(number, ENTRY_INTENT);
			must("put", shmd_queue_put(queue, message, make_message(number, message), SHMD_FOREVER));
		}
		book(number, ENTRY_CONFIRMED);
	}
}

static int64_t number_of(const struct shmd_lease *lease)
{
	const uint8_t *message = lease->message;
	uint8_t want[MESSAGE_MAX];
	uint64_t number = 0;
	for (size_t i = 0; i < 8 && lease->size_bytes >= 8; i++)
		number |= (uint64_t)message[i] << (8 * i);
	if (number >= (uint64_t)PRODUCERS * NUMBERS_EACH)
		broken("no producer made this message", (int64_t)number);
	if (make_message((int64_t)number, want) != lease->size_bytes || memcmp(want, message, lease->size_bytes) != 0)
		broken("the message is not whole", (int64_t)number);
	return (int64_t)number;
}

/* Books a delivery, and wants it to be possible. */
static void delivered(const struct shmd_lease *lease)
{
	int64_t number = number_of(lease), before = book(number, ENTRY_DELIVERED);
	if ((before & 0xff) != 1)
		broken("never put", number);
	if ((before / ENTRY_ACKED & 0xffff) != 0)
		broken("delivered after its acknowledgement", number);
	if ((before / ENTRY_DELIVERED & 0xffff) >= lease->deliveries)
		broken("deliveries were not counted", number);
	if (lease->deliveries == 1) {
		int64_t *from = &last[number / NUMBERS_EACH];
		if (number < *from)
			broken("out of order", number);
		*from = number + 1;
	}
}

/* One to three messages; false once there are no more. */
static bool batch(int turn)
{
	struct shmd_lease some[BATCH_MAX];
	int n = 0;
	for (; n <= turn % BATCH_MAX; n++) {
		int result = shmd_queue_lease(queue, n == 0 ? SHMD_FOREVER : TRY_NS, &some[n]);
		if (n > 0 && (result == SHMD_E_TIMED_OUT || result == SHMD_E_ENDED))
			break;
		if (result == SHMD_E_ENDED)
			return false;
		must("lease", result);
		delivered(&some[n]);
	}
	for (int i = 0; i < n; i++) {
		if (i == 2 && turn % 4 == 0) {
			must("nack", shmd_queue_nack(queue, &some[i]));
			continue;
		}
		int64_t number = number_of(&some[i]);
		must("ack", shmd_queue_ack(queue, &some[i]));
		book(number, ENTRY_ACKED);
	}
	return true;
}

static void consume(int slot)
{
	uint32_t n = 1 + (uint32_t)slot % 2;
	for (int turn = 0, more = 1; more; turn++) {
		must("acquire", shmd_semaphore_acquire(permits, n, SHMD_FOREVER));
		more = batch(turn);
		must("release", shmd_semaphore_release(permits, n));
	}
}

#include "relay.h"
#include "talk.h"

/* ---- A queue that somebody scribbles over: see scribbler_test.go ---- */

/* Whether an error can be explained by the scribbler; exits if not. */
static bool goes_on(const char *what, int result)
{
	switch (result) {
	case SHMD_E_REMOVED:
		return false;
	case SHMD_E_WOULD_BLOCK:
	case SHMD_E_TIMED_OUT:
	case SHMD_E_ENDED:
	case SHMD_E_NOT_OWNER:
	case SHMD_E_CORRUPT:
		return true;
	}
	must(what, result);
	return true;
}

static void worry(const char *name)
{
	static uint8_t message[MESSAGE_LONG];
	int result = shmd_queue_open(client, name, NULL, &queue);
	say("ok");
	if (result == SHMD_E_CORRUPT)
		return; /* it is too late */
	must("open", result);
	for (size_t turn = 0;; turn++) {
		struct shmd_lease lease;
		if (!goes_on("put", shmd_queue_put(queue, message, turn % MESSAGE_LONG, TRY_NS)))
			break;
		result = shmd_queue_lease(queue, TRY_NS, &lease);
		if (!goes_on("lease", result))
			break;
		if (result < 0)
			continue;
		for (size_t i = 0; i < lease.size_bytes; i++) /* it must be readable */
			message[0] ^= ((const uint8_t *)lease.message)[i];
		result = turn % 2 == 0 ? shmd_queue_ack(queue, &lease) : shmd_queue_nack(queue, &lease);
		if (!goes_on("end a lease", result))
			break;
	}
	queue = shmd_queue_close(queue);
}

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
	char verb[16] = "", first[64] = "", second[64] = "", third[64] = "";
	sscanf(line, "%15s %63s %63s %63s", verb, first, second, third);
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
			consume(atoi(first));
		close_traffic();
		say("done");
	} else if (strcmp(verb, "send") == 0 || strcmp(verb, "receive") == 0) {
		relay(verb[0] == 's', strtoll(first, NULL, 10));
		say("done");
	} else if (strcmp(verb, "talk") == 0) {
		talk(first, second, third);
		say("done");
	} else if (strcmp(verb, "worry") == 0) {
		worry(first);
		say("done");
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
