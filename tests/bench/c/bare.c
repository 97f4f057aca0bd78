/* SPDX-License-Identifier: Apache-2.0
 *
 * bare.c - what two processors can do at best with messages of 64 bytes behind a header of
 * 8, in a ring with a position that says how far it is written: what a stream does, and
 * nothing of what makes it safe. Nobody is looked for, claimed, checked or woken.
 * Usage: bare SOCKET OUT IN, two arrays of bytes of at least 4,096 + RING_BYTES.
 *	pin CPU; ping N, pong N: as streamer.c
 */
#define _GNU_SOURCE
#include "message.h"
#include "works.h"

#define RING_BYTES 65536u
#define RECORD_BYTES (8u + MESSAGE_BYTES)

struct ring {
	int64_t *position;
	char *data;
	int64_t at; /* of this side */
};

static struct ring out;
static struct ring in;

static char *record(struct ring *ring)
{
	if (ring->at % RING_BYTES > RING_BYTES - RECORD_BYTES)
		ring->at += RING_BYTES - ring->at % RING_BYTES;
	return ring->data + ring->at % RING_BYTES;
}

static inline int give(const struct message *message, int64_t timeout_ns)
{
	(void)timeout_ns;
	char *to = record(&out);
	*(int64_t *)(void *)to = MESSAGE_BYTES;
	memcpy(to + 8, message, sizeof *message);
	out.at += RECORD_BYTES;
	__atomic_store_n(out.position, out.at, __ATOMIC_RELEASE);
	return 0;
}

static inline int get(struct message *message, int64_t timeout_ns, size_t *ret_size_bytes)
{
	(void)timeout_ns;
	const char *from = record(&in);
	/* Both lines at once, and not one after the other. */
	__builtin_prefetch(from);
	__builtin_prefetch(from + RECORD_BYTES - 1);
	if (__atomic_load_n(in.position, __ATOMIC_ACQUIRE) <= in.at)
		return SHMD_E_WOULD_BLOCK;
	*ret_size_bytes = (size_t)*(const int64_t *)(const void *)from;
	memcpy(message, from + 8, sizeof *message);
	in.at += RECORD_BYTES;
	return 0;
}

#include "roundtrip.h"

static const struct work works[] = {
	{"ping", ping, ping_once},
	{"pong", pong, NULL},
};

static void execute(const char *command, int n)
{
	do_work(works, sizeof works / sizeof *works, command, n);
}

static struct ring ring_in(struct shmd_array *array)
{
	char *bytes = shmd_array_data(array);
	return (struct ring){.position = (int64_t *)(void *)bytes, .data = bytes + 4096};
}

int main(int argc, char **argv)
{
	if (argc != 4) {
		fprintf(stderr, "usage: bare SOCKET OUT IN\n");
		return 2;
	}
	struct shmd_client *client = connect_to(argv[1]);
	struct shmd_array *there;
	struct shmd_array *back;
	must(shmd_array_open(client, argv[2], 'B', 0, NULL, NULL, &there), "open");
	must(shmd_array_open(client, argv[3], 'B', 0, NULL, NULL, &back), "open");
	out = ring_in(there);
	in = ring_in(back);
	serve(execute);
	there = shmd_array_close(there);
	back = shmd_array_close(back);
	shmd_close(client);
	return 0;
}
