/* SPDX-License-Identifier: Apache-2.0
 *
 * latched.h - the commands of driver.c about semaphores and queues.
 */
#ifndef LATCHED_H
#define LATCHED_H

#include <msgpack.h>

enum {
	BATCH = 8,          /* messages of putmany and takemany */
	LEASES = 256,       /* at once, of one queue */
	MESSAGE_MAX = 32000 /* bytes, as a line is bounded */
};

/* An open semaphore or queue; the other is null. */
struct latched {
	struct shmd_semaphore *semaphore;
	struct shmd_queue *queue;
	struct shmd_lease leases[LEASES]; /* deliveries 0 = free */
	struct shmd_reservation reservation;
};

static enum shmd_role role_of(const char *word)
{
	return strcmp(word, "producer") == 0 ? SHMD_PRODUCER : SHMD_CONSUMER;
}

/* "-" is no bytes. */
static size_t parse_message(const char *text, unsigned char *message)
{
	size_t size = 0;
	if (strcmp(text, "-") == 0)
		return 0;
	for (; text[0] != 0 && text[1] != 0 && size < MESSAGE_MAX; text += 2) {
		const char digits[3] = {text[0], text[1], 0};
		message[size++] = (unsigned char)strtoul(digits, NULL, 16);
	}
	return size;
}

static void print_bytes(const void *message, size_t size)
{
	const unsigned char *bytes = message;
	if (size == 0)
		fputs(" -", stdout);
	else
		putchar(' ');
	for (size_t i = 0; i < size; i++)
		printf("%02x", bytes[i]);
}

static void print_message(const void *message, size_t size)
{
	print_bytes(message, size);
	putchar('\n');
}

static int create_latched(struct latched *l, const char *kind, const char *name, const char *flags, char **words,
                          int count)
{
	uint32_t n[5] = {0};
	struct shmd_create_options options = {.size = sizeof options};
	for (int i = 0; i < count && i < 5; i++)
		n[i] = (uint32_t)strtoul(words[i], NULL, 10);
	if (strcmp(kind, "semaphore") == 0) {
		options.initial = n[0];
		options.maximum = n[1];
		options.undo = strcmp(flags, "undo") == 0;
		return shmd_semaphore_create(client, name, &options, &l->semaphore);
	}
	options.maxsize = n[0];
	options.slot_size = n[1];
	options.deliveries_max = n[2];
	options.message_max = n[3];
	options.lease_ns = n[4];
	options.raw = strcmp(flags, "raw") == 0;
	return shmd_queue_create(client, name, &options, &l->queue);
}

static int open_latched(struct latched *l, const char *kind, const char *name, const struct shmd_open_options *options)
{
	if (strcmp(kind, "semaphore") == 0)
		return shmd_semaphore_open(client, name, options, &l->semaphore);
	return shmd_queue_open(client, name, options, &l->queue);
}

static void close_latched(struct latched *l)
{
	if (l == NULL)
		return;
	shmd_semaphore_close(l->semaphore);
	shmd_queue_close(l->queue);
	free(l);
}

/* Keeps a lease, and prints the words of it. */
static void keep_lease(struct latched *l, const struct shmd_lease *lease)
{
	for (int i = 0; i < LEASES; i++)
		if (l->leases[i].deliveries == 0 || l->leases[i].number == lease->number) {
			l->leases[i] = *lease;
			printf(" %" PRIu64 " %" PRIu32, lease->number, lease->deliveries);
			print_bytes(lease->message, lease->size_bytes);
			return;
		}
	fputs("too many leases\n", stderr);
	exit(2);
}

static void answer_leases(struct latched *l, int result, const struct shmd_lease *leases, uint32_t count)
{
	if (result < 0) {
		answer(result);
		return;
	}
	fputs("ok", stdout);
	for (uint32_t i = 0; i < count; i++)
		keep_lease(l, &leases[i]);
	putchar('\n');
}

static const struct shmd_lease *find_lease(const struct latched *l, const char *number)
{
	for (int i = 0; i < LEASES; i++)
		if (l->leases[i].deliveries != 0 && l->leases[i].number == strtoull(number, NULL, 10))
			return &l->leases[i];
	fprintf(stderr, "no lease %s\n", number);
	exit(2);
}

/* leasemany SLOT MAX TIMEOUT */
static void lease_many(struct latched *l, char **words)
{
	struct shmd_lease leases[BATCH];
	uint32_t most = (uint32_t)strtoul(words[0], NULL, 10), count = 0;
	int result = shmd_queue_lease_many(l->queue, leases, most < BATCH ? most : BATCH, strtoll(words[1], NULL, 10),
	                                   &count);
	answer_leases(l, result, leases, count);
}

/* ackmany, nackmany SLOT NUMBER,NUMBER... */
static void end_many(struct latched *l, char *numbers,
                     int (*end)(struct shmd_queue *, const struct shmd_lease *, uint32_t, uint32_t *))
{
	struct shmd_lease leases[BATCH];
	uint32_t count = 0, ended = 0;
	for (char *text = strtok(numbers, ","); text != NULL && count < BATCH; text = strtok(NULL, ","))
		leases[count++] = *find_lease(l, text);
	int result = end(l->queue, leases, count, &ended);
	if (result < 0 && result != SHMD_E_NOT_OWNER)
		answer(result);
	else
		printf("ok %" PRIu32 "%s\n", ended, result < 0 ? " NOT_OWNER" : "");
}

/* What msgpack-c makes of a message, packed again. */
static void repack(const unsigned char *message, size_t size, msgpack_sbuffer *out)
{
	msgpack_unpacked unpacked;
	msgpack_packer packer;
	msgpack_unpacked_init(&unpacked);
	msgpack_packer_init(&packer, out, msgpack_sbuffer_write);
	if (msgpack_unpack_next(&unpacked, (const char *)message, size, NULL) != MSGPACK_UNPACK_SUCCESS ||
	    msgpack_pack_object(&packer, unpacked.data) != 0) {
		fputs("no msgpack\n", stderr);
		exit(2);
	}
	msgpack_unpacked_destroy(&unpacked);
}

/* put, putvalue SLOT MESSAGE TIMEOUT; take, takevalue SLOT TIMEOUT */
static void carry(struct latched *l, const char *verb, char **words, bool value)
{
	unsigned char message[MESSAGE_MAX];
	size_t size;
	msgpack_sbuffer packed;
	msgpack_sbuffer_init(&packed);
	if (strncmp(verb, "put", 3) == 0) {
		int64_t timeout = strtoll(words[1], NULL, 10);
		size = parse_message(words[0], message);
		if (value) {
			repack(message, size, &packed);
			answer(shmd_queue_put(l->queue, packed.data, packed.size, timeout));
		} else {
			answer(shmd_queue_put(l->queue, message, size, timeout));
		}
	} else {
		int result = shmd_queue_take(l->queue, message, sizeof message, strtoll(words[0], NULL, 10), &size);
		if (result < 0) {
			answer(result);
		} else {
			fputs("ok", stdout);
			if (value) {
				repack(message, size, &packed);
				print_message(packed.data, packed.size);
			} else {
				print_message(message, size);
			}
		}
	}
	msgpack_sbuffer_destroy(&packed);
}

/* putmany SLOT MESSAGE,MESSAGE... TIMEOUT; takemany SLOT MAX TIMEOUT */
static void carry_many(struct latched *l, const char *verb, char **words)
{
	static unsigned char bytes[BATCH][MESSAGE_MAX];
	struct iovec messages[BATCH];
	int64_t timeout = strtoll(words[1], NULL, 10);
	uint32_t count = 0;
	if (strcmp(verb, "putmany") == 0) {
		uint32_t n = 0;
		for (char *text = strtok(words[0], ","); text != NULL && n < BATCH; text = strtok(NULL, ","), n++)
			messages[n] = (struct iovec){bytes[n], parse_message(text, bytes[n])};
		int result = shmd_queue_put_many(l->queue, messages, n, timeout, &count);
		if (result < 0)
			answer(result);
		else
			printf("ok %" PRIu32 "\n", count);
		return;
	}
	uint32_t most = (uint32_t)strtoul(words[0], NULL, 10);
	int result = shmd_queue_take_many(l->queue, bytes, sizeof bytes, messages, most < BATCH ? most : BATCH, timeout,
	                                  &count);
	if (result < 0) {
		answer(result);
		return;
	}
	fputs("ok ", stdout);
	for (uint32_t i = 0; i < count; i++) {
		const unsigned char *message = messages[i].iov_base;
		printf("%s%s", i > 0 ? "," : "", messages[i].iov_len == 0 ? "-" : "");
		for (size_t j = 0; j < messages[i].iov_len; j++)
			printf("%02x", message[j]);
	}
	putchar('\n');
}

static bool obey_queue(struct latched *l, const char *verb, char **words)
{
	struct shmd_lease lease;
	struct shmd_queue_counts n;
	uint32_t count;
	int result;
	if (strcmp(verb, "put") == 0 || strcmp(verb, "take") == 0) {
		carry(l, verb, words, false);
	} else if (strcmp(verb, "putvalue") == 0 || strcmp(verb, "takevalue") == 0) {
		carry(l, verb, words, true);
	} else if (strcmp(verb, "lease") == 0) {
		result = shmd_queue_lease(l->queue, strtoll(words[0], NULL, 10), &lease);
		answer_leases(l, result, &lease, 1);
	} else if (strcmp(verb, "leasemany") == 0) {
		lease_many(l, words);
	} else if (strcmp(verb, "ackmany") == 0) {
		end_many(l, words[0], shmd_queue_ack_many);
	} else if (strcmp(verb, "nackmany") == 0) {
		end_many(l, words[0], shmd_queue_nack_many);
	} else if (strcmp(verb, "extend") == 0) {
		answer(shmd_queue_extend(l->queue, find_lease(l, words[0]), strtoull(words[1], NULL, 10)));
	} else if (strcmp(verb, "putmany") == 0 || strcmp(verb, "takemany") == 0) {
		carry_many(l, verb, words);
	} else if (strcmp(verb, "join") == 0) {
		answer(shmd_queue_join(l->queue, strtoll(words[0], NULL, 10)));
	} else if (strcmp(verb, "takedead") == 0) {
		result = shmd_queue_take_dead(l->queue, &lease);
		answer_leases(l, result, &lease, 1);
	} else if (strcmp(verb, "ack") == 0) {
		answer(shmd_queue_ack(l->queue, find_lease(l, words[0])));
	} else if (strcmp(verb, "nack") == 0) {
		answer(shmd_queue_nack(l->queue, find_lease(l, words[0])));
	} else if (strcmp(verb, "redeliver") == 0) {
		result = shmd_queue_redeliver(l->queue, &count);
		if (result < 0)
			answer(result);
		else
			printf("ok %" PRIu32 "\n", count);
	} else if (strcmp(verb, "shutdown") == 0) {
		answer(shmd_queue_shutdown(l->queue));
	} else if (strcmp(verb, "claim") == 0) {
		result = shmd_queue_claim(l->queue, role_of(words[0]));
		if (result < 0)
			answer(result);
		else
			printf("ok %s\n", words[0]);
	} else if (strcmp(verb, "retire") == 0) {
		answer(shmd_queue_retire(l->queue, role_of(words[0])));
	} else if (strcmp(verb, "counts") == 0) {
		result = shmd_queue_counts(l->queue, &n);
		if (result < 0)
			answer(result);
		else
			printf("ok %" PRIu32 " %" PRIu32 " %" PRIu32 " %" PRIu32 " %" PRIu32 " %s\n", n.ready, n.leased, n.writing,
			       n.free, n.dead, n.closed ? "true" : "false");
	} else if (strcmp(verb, "reserve") == 0) {
		answer(shmd_queue_reserve_size(l->queue, strtoul(words[0], NULL, 10), strtoll(words[1], NULL, 10),
		                               &l->reservation));
	} else if (strcmp(verb, "commit") == 0) {
		unsigned char message[MESSAGE_MAX];
		size_t size = parse_message(words[0], message);
		memcpy(l->reservation.buffer, message, size < l->reservation.buffer_bytes ? size : l->reservation.buffer_bytes);
		answer(shmd_queue_commit(l->queue, &l->reservation, size));
	} else if (strcmp(verb, "abort") == 0) {
		answer(shmd_queue_abort(l->queue, &l->reservation));
	} else {
		return false;
	}
	return true;
}

static bool obey_semaphore(struct latched *l, const char *verb, char **words)
{
	struct shmd_permits p;
	if (strcmp(verb, "permits") == 0) {
		int result = shmd_semaphore_permits(l->semaphore, &p);
		if (result < 0)
			answer(result);
		else
			printf("ok %" PRIu32 " %" PRIu32 " %" PRIu32 "\n", p.available, p.total, p.held);
		return true;
	}
	uint32_t n = (uint32_t)strtoul(words[0], NULL, 10);
	if (strcmp(verb, "acquire") == 0)
		answer(shmd_semaphore_acquire(l->semaphore, n, strtoll(words[1], NULL, 10)));
	else if (strcmp(verb, "release") == 0)
		answer(shmd_semaphore_release(l->semaphore, n));
	else if (strcmp(verb, "post") == 0)
		answer(shmd_semaphore_post(l->semaphore, n));
	else
		return false;
	return true;
}

/* A command with words behind the slot. */
static bool obey_latched(struct latched *l, const char *verb, char **words)
{
	return l->semaphore != NULL ? obey_semaphore(l, verb, words) : obey_queue(l, verb, words);
}

#endif
