/* SPDX-License-Identifier: Apache-2.0
 *
 * batch.h - messages of performer.c, one or several, to send and as they came.
 */
#ifndef BATCH_H
#define BATCH_H

#include "performer.h"

#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#define MESSAGE_MIN 8u
#define MESSAGE_MAX 65536u

static uint8_t message[BATCH_MAX * MESSAGE_MAX];

/* The message of a number: see message.go. */
static size_t make_message(int64_t number, size_t size_bytes, uint8_t *into)
{
	size_bytes = size_bytes > MESSAGE_MIN ? size_bytes : MESSAGE_MIN;
	for (size_t i = 0; i < size_bytes; i++)
		into[i] = (uint8_t)(i < MESSAGE_MIN ? number >> (8 * i) : number + (int64_t)i);
	return size_bytes;
}

/* Finds the number of a message that came; it must be whole. */
static int number_of(const uint8_t *bytes, size_t size_bytes, int64_t *ret_number)
{
	static uint8_t want[MESSAGE_MAX];
	uint64_t number = 0;
	if (size_bytes < MESSAGE_MIN || size_bytes > MESSAGE_MAX)
		return BROKEN;
	for (size_t i = 0; i < MESSAGE_MIN; i++)
		number |= (uint64_t)bytes[i] << (8 * i);
	*ret_number = (int64_t)number;
	make_message(*ret_number, size_bytes, want);
	return memcmp(want, bytes, size_bytes) == 0 ? 0 : BROKEN;
}

static int receive(struct entry *entry, const uint8_t *bytes, size_t size_bytes)
{
	return number_of(bytes, size_bytes, &entry->result);
}

static uint32_t wanted(const struct entry *entry)
{
	return entry->desired < BATCH_MAX ? (uint32_t)entry->desired : BATCH_MAX;
}

/* Makes the messages of an entry and says how many there are. */
static uint32_t make_batch(const struct entry *entry, struct iovec messages[BATCH_MAX])
{
	for (uint32_t i = 0; i < wanted(entry); i++) {
		messages[i].iov_base = message + i * MESSAGE_MAX;
		messages[i].iov_len = make_message(entry->argument + i, entry->n, messages[i].iov_base);
	}
	return wanted(entry);
}

/* Writes what came. */
static int receive_batch(struct entry *entry, const struct iovec *messages, uint32_t count)
{
	entry->result = count;
	if (count < 1 || count > wanted(entry))
		return BROKEN;
	for (uint32_t i = 0; i < count; i++) {
		int result = number_of(messages[i].iov_base, messages[i].iov_len, &entry->numbers[i]);
		if (result < 0)
			return result;
	}
	return 0;
}

#endif /* BATCH_H */
