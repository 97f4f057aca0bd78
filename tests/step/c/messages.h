/* SPDX-License-Identifier: Apache-2.0
 *
 * messages.h - what a player sends and receives, and what its answer tells.
 */
#ifndef STEP_MESSAGES_H
#define STEP_MESSAGES_H

#include <shmd.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>

#define MESSAGE_MAX 4096

static unsigned char message[MESSAGE_MAX];
static size_t message_bytes;
static unsigned char next_message[MESSAGE_MAX]; /* of what sends many */
static unsigned char taken[2 * MESSAGE_MAX];    /* by what takes many */
static struct iovec places[2];                  /* of many */
static uint32_t places_count;                   /* so many came */

/* What the answer tells besides the result. */
static int64_t told[4];
static int told_count;

static void tell(int64_t number)
{
	told[told_count++] = number;
}

/* ---- Messages: a number, in as many bytes as wanted, 8 at least ---- */

static void make_message(unsigned char *bytes, int64_t number, int64_t size_bytes)
{
	message_bytes = (size_t)size_bytes;
	for (size_t i = 0; i < message_bytes; i++)
		bytes[i] = (unsigned char)(i < 8 ? number >> (8 * i) : number + (int64_t)i);
}

static int tell_message(const unsigned char *bytes, size_t size_bytes)
{
	int64_t number = 0;
	for (size_t i = 0; i < 8 && size_bytes >= 8; i++)
		number |= (int64_t)bytes[i] << (8 * i);
	for (size_t i = 8; i < size_bytes; i++) {
		if (bytes[i] != (unsigned char)(number + (int64_t)i)) {
			fprintf(stderr, "byte %zu of message %" PRId64 " is %d\n", i, number, bytes[i]);
			return SHMD_E_CORRUPT;
		}
	}
	tell(number);
	return 0;
}

/* make N BYTES: the message, and the next one. */
static int make(const int64_t *a)
{
	make_message(next_message, a[0] + 1, a[1]);
	make_message(message, a[0], a[1]);
	return 0;
}

/* The message and the next one, to be sent both. */
static const struct iovec *both_messages(void)
{
	places[0] = (struct iovec){message, message_bytes};
	places[1] = (struct iovec){next_message, message_bytes};
	return places;
}

static int tell_taken(void) { return tell_message(message, message_bytes); }

static int tell_all_taken(void)
{
	int result = 0;
	for (uint32_t i = 0; i < places_count && result == 0; i++)
		result = tell_message(places[i].iov_base, places[i].iov_len);
	return result;
}

#endif /* STEP_MESSAGES_H */
