/* SPDX-License-Identifier: Apache-2.0
 *
 * roundtrip.h - a message there and the answer back, for messenger.c and streamer.c, which
 * say what it goes through:
 *	int give(const struct message *message, int64_t timeout_ns)
 *	int get(struct message *message, int64_t timeout_ns, size_t *ret_size_bytes)
 */
#ifndef SHMD_BENCH_ROUNDTRIP_H
#define SHMD_BENCH_ROUNDTRIP_H

#include "message.h"

/* Gets one without sleeping. */
static void try_get(struct message *message, int want)
{
	size_t size_bytes = 0;
	int result;
	while ((result = get(message, 0, &size_bytes)) == SHMD_E_WOULD_BLOCK)
		;
	must(result, "get");
	expect(message, size_bytes, want);
}

static void ping_once(int i)
{
	struct message message = {0};
	number(&message, i);
	must(give(&message, 0), "give");
	try_get(&message, i);
}

static void ping(int count)
{
	for (int i = 0; i < count; i++)
		ping_once(i);
}

static void pong(int count)
{
	struct message message;
	for (int i = 0; i < count; i++) {
		try_get(&message, i);
		must(give(&message, 0), "give");
	}
}

/* A round trip in which either side waits for the other, asleep if need be. */
static inline void ping_wait_once(int i)
{
	struct message message = {0};
	size_t size_bytes = 0;
	number(&message, i);
	must(give(&message, SHMD_FOREVER), "give");
	must(get(&message, SHMD_FOREVER, &size_bytes), "get");
	expect(&message, size_bytes, i);
}

static inline void ping_wait(int count)
{
	for (int i = 0; i < count; i++)
		ping_wait_once(i);
}

static inline void pong_wait(int count)
{
	struct message message;
	size_t size_bytes = 0;
	for (int i = 0; i < count; i++) {
		must(get(&message, SHMD_FOREVER, &size_bytes), "get");
		expect(&message, size_bytes, i);
		must(give(&message, SHMD_FOREVER), "give");
	}
}

#endif /* SHMD_BENCH_ROUNDTRIP_H */
