/* SPDX-License-Identifier: Apache-2.0
 *
 * hauler.c - puts long messages into a queue, or takes them out, in place.
 * Usage: hauler SOCKET QUEUE FILE. FILE is shared by two of these, and as long as they
 * need it: what they can do without a queue. Commands, as works.h has them:
 *	pin CPU      run on that processor only, -1 anywhere: "done"
 *	write N      N messages of 1 MiB: reserve, write every byte, commit
 *	read N       N messages of 1 MiB: lease, read and check every byte, acknowledge
 *	pass N       N messages of 1 MiB: reserve, commit
 *	get N        N messages: lease, acknowledge
 *	pass-short N N messages of 64 bytes: reserve, commit
 *	copy N       N times 1 MiB by memcpy into FILE
 *	bare-write N, bare-read N  as write and read, through FILE, with two words, spinning
 */
#define _GNU_SOURCE
#include "works.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#define LONG_BYTES ((size_t)1 << 20)
#define LONG_WORDS (LONG_BYTES / sizeof(int64_t))
#define SHORT_BYTES 64
#define PLACES 4 /* as many as the queue holds */
#define PAGE_BYTES 4096

static struct shmd_queue *queue;

struct shared {
	_Alignas(128) int64_t written; /* messages */
	_Alignas(128) int64_t read;
	_Alignas(PAGE_BYTES) int64_t places[PLACES][LONG_WORDS];
};
static struct shared *shared;

/* What a message shall be; number is in its first and its last word. */
static int64_t *pattern;

static const int64_t *message_of(int i)
{
	pattern[0] = pattern[LONG_WORDS - 1] = i;
	return pattern;
}

static void expect(const void *message, size_t size_bytes, int i)
{
	if (size_bytes == LONG_BYTES && memcmp(message, message_of(i), LONG_BYTES) == 0)
		return;
	fprintf(stderr, "hauler: %zu bytes that are not message %d\n", size_bytes, i);
	exit(1);
}

static void put(int count, size_t size_bytes, bool touched)
{
	for (int i = 0; i < count; i++) {
		struct shmd_reservation place;
		must(shmd_queue_reserve_size(queue, size_bytes, SHMD_FOREVER, &place), "reserve_size");
		if (touched)
			memcpy(place.buffer, message_of(i), size_bytes);
		must(shmd_queue_commit(queue, &place, size_bytes), "commit");
	}
}

static void take(int count, bool touched)
{
	for (int i = 0; i < count; i++) {
		struct shmd_lease held;
		must(shmd_queue_lease(queue, SHMD_FOREVER, &held), "lease");
		if (touched)
			expect(held.message, held.size_bytes, i);
		must(shmd_queue_ack(queue, &held), "ack");
	}
}

static void write_long(int count) { put(count, LONG_BYTES, true); }
static void read_long(int count) { take(count, true); }
static void pass(int count) { put(count, LONG_BYTES, false); }
static void get(int count) { take(count, false); }
static void pass_short(int count) { put(count, SHORT_BYTES, false); }

/* ---- without a queue ---- */

static void copy(int count)
{
	for (int i = 0; i < count; i++)
		memcpy(shared->places[i % PLACES], message_of(i), LONG_BYTES);
}

/* The words go on from one round to the next; message i of a round has the place of its
 * position. */
static void bare_write(int count)
{
	int64_t written = __atomic_load_n(&shared->written, __ATOMIC_RELAXED);
	for (int i = 0; i < count; i++, written++) {
		while (written - __atomic_load_n(&shared->read, __ATOMIC_ACQUIRE) == PLACES)
			;
		memcpy(shared->places[written % PLACES], message_of(i), LONG_BYTES);
		__atomic_store_n(&shared->written, written + 1, __ATOMIC_RELEASE);
	}
}

static void bare_read(int count)
{
	int64_t read = __atomic_load_n(&shared->read, __ATOMIC_RELAXED);
	for (int i = 0; i < count; i++, read++) {
		while (__atomic_load_n(&shared->written, __ATOMIC_ACQUIRE) == read)
			;
		expect(shared->places[read % PLACES], LONG_BYTES, i);
		__atomic_store_n(&shared->read, read + 1, __ATOMIC_RELEASE);
	}
}

static const struct work works[] = {
	{"write", write_long, NULL},
	{"read", read_long, NULL},
	{"pass", pass, NULL},
	{"get", get, NULL},
	{"pass-short", pass_short, NULL},
	{"copy", copy, NULL},
	{"bare-write", bare_write, NULL},
	{"bare-read", bare_read, NULL},
};

static void execute(const char *command, int n)
{
	do_work(works, sizeof works / sizeof *works, command, n);
}

static void map_shared(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	must_errno(fd < 0 ? errno : 0, path);
	must_errno(ftruncate(fd, sizeof *shared) == 0 ? 0 : errno, "ftruncate");
	shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	must_errno(shared == MAP_FAILED ? errno : 0, "mmap");
	close(fd);
}

int main(int argc, char **argv)
{
	if (argc != 4) {
		fprintf(stderr, "usage: hauler SOCKET QUEUE FILE\n");
		return 2;
	}
	map_shared(argv[3]);
	must_errno(posix_memalign((void **)&pattern, PAGE_BYTES, LONG_BYTES), "posix_memalign");
	for (size_t i = 0; i < LONG_WORDS; i++)
		pattern[i] = (int64_t)(i * UINT64_C(0x9e3779b97f4a7c15));
	struct shmd_client *client = connect_to(argv[1]);
	must(shmd_queue_open(client, argv[2], NULL, &queue), "open");
	serve(execute);
	queue = shmd_queue_close(queue);
	shmd_close(client);
	free(pattern);
	return 0;
}
