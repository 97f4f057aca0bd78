/* SPDX-License-Identifier: Apache-2.0
 *
 * ring_scribbler.c - a stream or a pipe is used while somebody scribbles over it: nothing
 * is overrun (guard pages, a second ring, buffers of just the size), nothing hangs (the
 * caller's watchdog), and only errors that shmd.h names come out. First every word of the
 * ring and every header of a record gets each of some chosen values, before and within each
 * operation; then two clients are at it while random words go everywhere.
 *
 *	ring_scribbler OBJECT SEED       OBJECT = a file with the bytes of a fresh one
 */
#define _GNU_SOURCE
#include "../../../clients/c/atomic.h"
#include "../../../clients/c/ring.h"
#include "scribble.h"

#include <string.h>

#define ROUNDS 60000
#define BRIEFLY_NS 10000
#define LONGEST 9000 /* of a message that is sent */

static struct shmdi_segment segment;
static struct shmd_ring_lines *lines;
static unsigned char *data; /* of the first ring */
static uint32_t capacity_bytes;
static uint32_t working = 2; /* atomic */
static uint32_t generation;
static uint64_t seed;
static bool piped;

/* Two clients: the first produces, or has end a, the other consumes, or has end b. */
static struct shmd_stream streams[2];
static struct shmd_pipe pipes[2];

static uint32_t owner_of(int client)
{
	return 1u << SHMD_OWNER_GENERATION_SHIFT | (uint32_t)(client + 1);
}

static void bind_client(int client)
{
	const struct shmd_header *header = &segment.page->header;
	struct shmdi_object *object = piped ? &pipes[client].object : &streams[client].object;
	object->segment = segment;
	object->is = (struct shmdi_attachment){
		.kind = header->kind,
		.flags = header->flags,
		.length = header->length,
		.message_max_bytes = (uint32_t)header->shape[0],
		.seats_max = header->seats_max,
		.seats_offset_bytes = header->seats_offset_bytes,
		.data_offset_bytes = header->data_offset_bytes,
		.owner = owner_of(client),
	};
	shmdi_object_bind(object, generation);
	if (piped) {
		shmdi_ring_clear(&pipes[client].rings[0]);
		shmdi_ring_clear(&pipes[client].rings[1]);
		shmdi_pipe_bind(&pipes[client]);
	} else {
		shmdi_ring_clear(&streams[client].ring);
		shmdi_stream_bind(&streams[client]);
	}
}

static int claim(int client)
{
	if (piped)
		return shmd_pipe_claim(&pipes[client], client, NULL);
	return shmd_stream_claim(&streams[client], client == 0 ? SHMD_PRODUCER : SHMD_CONSUMER);
}

static void expect_named(int result, const char *what)
{
	switch (result) {
	case 0:
	case SHMD_E_WOULD_BLOCK:
	case SHMD_E_TIMED_OUT:
	case SHMD_E_REMOVED:
	case SHMD_E_ENDED:
	case SHMD_E_PEER_DIED:
	case SHMD_E_TAKEN:
	case SHMD_E_NOT_OWNER:
	case SHMD_E_TOO_LARGE:
	case SHMD_E_INVALID: /* advance, commit, abort: not so many, not so much, nothing */
	case SHMD_E_UNSUPPORTED:
	case SHMD_E_CORRUPT: return;
	default:
		printf("%s: %s\n", what, shmd_error_name(result));
		exit(1);
	}
}

/* ---- operations ---- */

/* Just as large, so that the sanitizer sees what goes beyond. */
static unsigned char *exactly(size_t size_bytes)
{
	unsigned char *bytes = malloc(size_bytes > 0 ? size_bytes : 1);
	CHECK(bytes != NULL);
	memset(bytes, 0x5a, size_bytes);
	return bytes;
}

/* All of what was peeked at is there to be read, and within one ring if it is in any. */
static void read_through(const void *message, size_t size_bytes)
{
	size_t offset = (size_t)((const unsigned char *)message - data);
	if (offset < segment.size_bytes)
		CHECK(offset / capacity_bytes == (offset + (size_bytes > 0 ? size_bytes - 1 : 0)) / capacity_bytes);
	unsigned char sum = 0;
	for (size_t i = 0; i < size_bytes; i++)
		sum ^= ((const unsigned char *)message)[i];
	__asm__ __volatile__("" ::"r"(sum));
}

static void send_one(struct shmdi_ring *ring, uint64_t chance, int64_t timeout_ns)
{
	size_t size_bytes = chance % 4 == 0 ? chance % LONGEST : chance % 200;
	unsigned char *bytes = exactly(size_bytes);
	expect_named(shmdi_ring_send(ring, bytes, size_bytes, timeout_ns), "send");
	free(bytes);
}

static void send_many(struct shmdi_ring *ring, uint64_t chance, int64_t timeout_ns)
{
	size_t size_bytes = chance % 4 == 0 ? chance % LONGEST : chance % 900;
	unsigned char *bytes = exactly(size_bytes);
	struct iovec messages[5];
	uint32_t count = 0;
	for (int i = 0; i < 5; i++)
		messages[i] = (struct iovec){bytes, size_bytes};
	expect_named(shmdi_ring_send_many(ring, messages, 5, timeout_ns, &count), "send_many");
	CHECK(count <= 5);
	free(bytes);
}

static void *room;
static size_t room_bytes;

static void reserve(struct shmdi_ring *ring, uint64_t chance, int64_t timeout_ns)
{
	size_t size_bytes = chance % 5000;
	void *at;
	int result = shmdi_ring_reserve(ring, size_bytes, timeout_ns, &at);
	expect_named(result, "reserve");
	if (result == 0) {
		read_through(at, size_bytes);
		room = at;
		room_bytes = size_bytes;
	}
}

static void commit(struct shmdi_ring *ring, uint64_t chance, int64_t timeout_ns)
{
	(void)timeout_ns;
	if (ring->reserved && room_bytes > 0)
		memset(room, 0x5a, room_bytes);
	expect_named(shmdi_ring_commit_reserved(ring, chance % 3 == 0 ? chance % 5000 : room_bytes), "commit");
}

static void abort_it(struct shmdi_ring *ring, uint64_t chance, int64_t timeout_ns)
{
	(void)chance;
	(void)timeout_ns;
	expect_named(shmdi_ring_abort(ring), "abort");
}

static void write_some(struct shmdi_ring *ring, uint64_t chance, int64_t timeout_ns)
{
	size_t size_bytes = chance % LONGEST;
	size_t done_bytes = 0;
	unsigned char *bytes = exactly(size_bytes);
	expect_named(shmdi_ring_write(ring, bytes, size_bytes, timeout_ns, &done_bytes), "write");
	CHECK(done_bytes <= size_bytes);
	free(bytes);
}

static void recv_one(struct shmdi_ring *ring, uint64_t chance, int64_t timeout_ns)
{
	size_t size_bytes = chance % 4 == 0 ? chance % 100 : chance % LONGEST;
	size_t got_bytes = 0;
	unsigned char *bytes = exactly(size_bytes);
	int result = shmdi_ring_recv(ring, bytes, size_bytes, timeout_ns, &got_bytes);
	expect_named(result, "recv");
	CHECK(result != 0 || got_bytes <= size_bytes);
	free(bytes);
}

static void peek_many(struct shmdi_ring *ring, uint64_t chance, int64_t timeout_ns)
{
	struct iovec messages[5];
	uint32_t count = 0;
	uint32_t most = 1 + (uint32_t)(chance % 5);
	int result = shmdi_ring_peek_many(ring, messages, most, timeout_ns, &count);
	expect_named(result, "peek_many");
	CHECK(count <= most);
	for (uint32_t i = 0; i < count; i++)
		read_through(messages[i].iov_base, messages[i].iov_len);
}

static void advance(struct shmdi_ring *ring, uint64_t chance, int64_t timeout_ns)
{
	(void)timeout_ns;
	expect_named(shmdi_ring_advance(ring, (uint32_t)(chance % 6)), "advance");
}

static void read_some(struct shmdi_ring *ring, uint64_t chance, int64_t timeout_ns)
{
	size_t size_bytes = chance % LONGEST;
	size_t got_bytes = 0;
	unsigned char *bytes = exactly(size_bytes);
	expect_named(shmdi_ring_read(ring, bytes, size_bytes, timeout_ns, &got_bytes), "read");
	CHECK(got_bytes <= size_bytes);
	free(bytes);
}

typedef void operation(struct shmdi_ring *ring, uint64_t chance, int64_t timeout_ns);

static operation *const produces[] = {send_one, send_many, reserve, commit, abort_it, write_some};
static operation *const consumes[] = {recv_one, peek_many, advance, read_some};

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* The ring that a client sends, or receives, through. */
static struct shmdi_ring *ring_of(int client, bool receives)
{
	return piped ? &pipes[client].rings[receives ? 1 - client : client] : &streams[client].ring;
}

static void leave(int client)
{
	if (piped)
		expect_named(shmd_pipe_shut(&pipes[client], client), "shut");
	else
		expect_named(shmd_stream_retire(&streams[client], client == 0 ? SHMD_PRODUCER : SHMD_CONSUMER), "retire");
}

/* ---- chosen values ---- */

static unsigned char *fresh; /* the bytes of the object, before anybody had it */

static void pass_through(struct shmdi_ring *out, struct shmdi_ring *in, size_t bytes)
{
	static unsigned char message[LONGEST];
	size_t size_bytes;
	if (out->bytes) {
		EXPECT(shmdi_ring_write(out, message, bytes, 0, &size_bytes), 0);
		EXPECT(shmdi_ring_read(in, message, bytes, 0, &size_bytes), 0);
	} else {
		EXPECT(shmdi_ring_send(out, message, bytes, 0), 0);
		EXPECT(shmdi_ring_recv(in, message, bytes, 0, &size_bytes), 0);
	}
}

/* Some messages, or bytes, are under way in the first ring: at its beginning, or soon to go
 * around its end. */
static void set_up(bool near_end)
{
	memcpy(segment.page, fresh, segment.size_bytes);
	for (int client = 0; client < 2; client++) {
		bind_client(client);
		EXPECT(claim(client), 0);
	}
	struct shmdi_ring *out = ring_of(0, false);
	struct shmdi_ring *in = ring_of(1, true);
	for (int i = 0; near_end && i < 3; i++)
		pass_through(out, in, 1300);
	static unsigned char message[2500];
	size_t size_bytes;
	if (out->bytes) {
		EXPECT(shmdi_ring_write(out, message, 900, 0, &size_bytes), 0);
		return;
	}
	pass_through(out, in, 40);
	EXPECT(shmdi_ring_send(out, message, 3, 0), 0);
	EXPECT(shmdi_ring_send(out, message, 40, 0), 0);
	if (piped)
		EXPECT(shmdi_ring_send(out, message, sizeof message, 0), 0);
}

/* What is in the middle when the scribbler comes. */
static void begin(int what)
{
	switch (what) {
	case 1: reserve(ring_of(0, false), 100, 0); break;
	case 2: peek_many(ring_of(1, true), 4, 0); break;
	case 3: recv_one(ring_of(1, true), 3, 0); break;
	default: break;
	}
}

/* The n-th place to scribble over, and the n-th value there; false = no more. */
typedef bool scribbler(size_t place, size_t value);

static bool scribble_word(size_t place, size_t value)
{
	static const uint64_t words[] = {0, 1, 2, 3, 4, 7, 8, 56, 64, 72, 504, 4096, 32768, 32832, UINT32_MAX,
	                                 UINT64_C(1) << 32, UINT64_C(1) << 63, UINT64_MAX, UINT64_MAX - 7};
	static const uint64_t steps[] = {8, 64, 256, 4096, 16384, 32768, 32832, UINT64_C(1) << 35};
	static const uint64_t before_end[] = {1, 4, 7, 8, 9, 16, 24};
	struct shmd_ring_line *line = &((struct shmd_ring_line *)lines)[place / 3];
	size_t values = COUNT(words) + 2 * COUNT(steps) + COUNT(before_end);
	if (place / 3 >= 4 || value >= values)
		return false;
	uint64_t word = line->word;
	if (value < COUNT(words))
		word = words[value];
	else if (value >= COUNT(words) + 2 * COUNT(steps))
		word = (((word >> SHMD_RING_POSITION_SHIFT) / capacity_bytes + 1) * capacity_bytes -
		        before_end[value - COUNT(words) - 2 * COUNT(steps)]) << SHMD_RING_POSITION_SHIFT;
	else
		word = value % 2 == 0 ? word + steps[(value - COUNT(words)) / 2] : word - steps[(value - COUNT(words)) / 2];
	switch (place % 3) {
	case 0: shmdi_store64(&line->word, word, SHMDI_RELAXED); break;
	case 1: shmdi_store32(&line->owner, value % 8 == 0 ? owner_of(1) : (uint32_t)word, SHMDI_RELAXED); break;
	default: shmdi_store32(&line->attention, (uint32_t)word, SHMDI_RELAXED); break;
	}
	return true;
}

/* The same for the headers that are there, and others, counted from where it is read. */
static bool scribble_header(size_t place, size_t value)
{
	static const uint32_t lengths[] = {0, 1, 3, 8, 40, 41, 496, 504, 505, 1024, 2040, 2041, 4080, 4088, 4096, 1u << 20,
	                                   (1u << 20) + 1, INT32_MAX, UINT32_MAX - 7, UINT32_MAX};
	static const uint32_t places[] = {0, 16, 48, 64, 96, 124, 576, 1088, 1600, 2112, 3648};
	static const uint32_t types[] = {0, 1, 2, 3, 4, 5, 6, 1u << 31, UINT32_MAX};
	if (place >= COUNT(places) || value >= COUNT(lengths) * COUNT(types))
		return false;
	uint64_t header = (uint64_t)types[value % COUNT(types)] << 32 | lengths[value / COUNT(types)];
	uint64_t at = (lines->rings[0].head.word >> SHMD_RING_POSITION_SHIFT) + places[place];
	shmdi_store64((uint64_t *)(void *)(data + at % capacity_bytes / 8 * 8), header, SHMDI_RELAXED);
	return true;
}

/* Nobody touches what is not the ring's: the header, and the other ring. */
static void expect_untouched(void)
{
	CHECK(memcmp(segment.page, fresh, SHMD_KIND_OFFSET) == 0);
	if (piped)
		CHECK(memcmp(data + capacity_bytes, fresh + (data - (unsigned char *)segment.page) + capacity_bytes,
		             capacity_bytes) == 0);
}

/* Scribbled is within what has begun; then an operation is tried, twice, and what is left
 * is received. */
static void try_one(bool near_end, int begun, scribbler *scribble, size_t place, size_t value, size_t tried)
{
	struct shmdi_ring *out = ring_of(0, false);
	struct shmdi_ring *in = ring_of(1, true);
	set_up(near_end);
	begin(begun);
	scribble(place, value);
	for (int i = 0; i < 2; i++) {
		if (tried < COUNT(produces))
			produces[tried](out, value * 37 + place, 0);
		else
			consumes[tried - COUNT(produces)](in, value * 37 + place, 0);
	}
	unsigned char buffer[LONGEST];
	size_t size_bytes;
	int result = 0;
	for (uint32_t i = 0; result == 0; i++) {
		CHECK(i <= capacity_bytes);
		result = in->bytes ? shmdi_ring_read(in, buffer, sizeof buffer, 0, &size_bytes)
		                   : shmdi_ring_recv(in, buffer, sizeof buffer, 0, &size_bytes);
	}
	expect_named(result, "what is left");
	leave(0);
	leave(1);
	expect_untouched();
}

static void try_all(scribbler *scribble)
{
	for (size_t place = 0; scribble(place, 0); place++)
		for (size_t value = 0; scribble(place, value); value++)
			for (int begun = 0; begun < 8; begun++)
				for (size_t tried = 0; tried < COUNT(produces) + COUNT(consumes); tried++)
					try_one(begun % 2 == 1, begun / 2, scribble, place, value, tried);
}

/* What each side says of words that cannot be, if nothing else was. */
static void expect_corrupt(void)
{
	static unsigned char message[1000];
	struct shmdi_ring *out = ring_of(0, false);
	struct shmdi_ring *in = ring_of(1, true);
	struct shmd_ring *ring = &lines->rings[0];
	size_t size_bytes;
	static const uint64_t impossible[] = {UINT64_C(1) << 40, UINT64_C(5) << 60};
	for (size_t i = 0; i < COUNT(impossible); i++) {
		set_up(false);
		int result = 0;
		while (result == 0)
			result = out->bytes ? shmdi_ring_write(out, message, sizeof message, 0, &size_bytes)
			                    : shmdi_ring_send(out, message, sizeof message, 0);
		CHECK(result == SHMD_E_WOULD_BLOCK);
		shmdi_store64(&ring->head.word, impossible[i], SHMDI_RELAXED);
		result = out->bytes ? shmdi_ring_write(out, message, sizeof message, 0, &size_bytes)
		                    : shmdi_ring_send(out, message, sizeof message, 0);
		CHECK(result == SHMD_E_CORRUPT);
		set_up(false);
		shmdi_store64(&ring->tail.word, impossible[i], SHMDI_RELAXED);
		result = in->bytes ? shmdi_ring_read(in, message, sizeof message, 0, &size_bytes)
		                   : shmdi_ring_recv(in, message, sizeof message, 0, &size_bytes);
		CHECK(result == SHMD_E_CORRUPT);
	}
	if (in->bytes)
		return;
	static const uint64_t headers[] = {0, 40, UINT64_C(77) << 32, UINT64_C(1) << 32 | 4000,
	                                   UINT64_C(1) << 32 | UINT32_MAX, (uint64_t)SHMD_RECORD_PAD << 32};
	for (size_t i = 0; i < COUNT(headers); i++) {
		set_up(false);
		shmdi_store64((uint64_t *)(void *)(data + 48), headers[i], SHMDI_RELAXED);
		EXPECT(shmdi_ring_recv(in, message, sizeof message, 0, &size_bytes), SHMD_E_CORRUPT);
	}
}

/* ---- a writer that begins one message after the other, and ends none ---- */

static void *begin_endlessly(void *stop)
{
	struct shmd_ring *ring = &lines->rings[0];
	while (!__atomic_load_n((bool *)stop, __ATOMIC_RELAXED)) {
		uint64_t head = shmdi_load64(&ring->head.word, SHMDI_RELAXED);
		shmdi_store64(&ring->tail.word, head + ((uint64_t)capacity_bytes << SHMD_RING_POSITION_SHIFT), SHMDI_RELEASE);
		if (shmdi_load32(&lines->rings[1].head.attention, SHMDI_RELAXED) == UINT32_MAX &&
		    head >> SHMD_RING_POSITION_SHIFT > 100 * (uint64_t)capacity_bytes)
			shmdi_store32(&segment.page->header.state, SHMD_STATE_REMOVED, SHMDI_RELAXED);
		shmdi_futex_wake(shmdi_ring_futex(&ring->tail), INT_MAX);
	}
	return NULL;
}

static void expect_an_end(void)
{
	if (!piped || pipes[0].rings[0].bytes)
		return;
	set_up(false);
	for (uint32_t at = 0; at < capacity_bytes; at += capacity_bytes / SHMD_RECORD_PIECES)
		shmdi_store64((uint64_t *)(void *)(data + at), (uint64_t)SHMD_RECORD_FIRST << 32 | 3000, SHMDI_RELAXED);
	struct shmdi_ring *in = ring_of(1, true);
	shmdi_store64(&lines->rings[0].head.word, 0, SHMDI_RELAXED);
	shmdi_store64(&lines->rings[0].tail.word, (uint64_t)capacity_bytes << SHMD_RING_POSITION_SHIFT, SHMDI_RELAXED);
	shmdi_ring_begin_reading(in);
	static unsigned char buffer[LONGEST];
	size_t size_bytes;
	for (int i = 0; i < 2; i++) { /* a try goes as far as the writer was, and not further */
		EXPECT(shmdi_ring_recv(in, buffer, sizeof buffer, 0, &size_bytes), SHMD_E_WOULD_BLOCK);
		CHECK(lines->rings[0].head.word >> SHMD_RING_POSITION_SHIFT == capacity_bytes);
	}
	bool stop = false;
	pthread_t thread;
	CHECK(pthread_create(&thread, NULL, begin_endlessly, &stop) == 0);
	for (int i = 0; i < 100; i++) {
		EXPECT(shmdi_ring_recv(in, buffer, sizeof buffer, 0, &size_bytes), SHMD_E_WOULD_BLOCK);
		EXPECT(shmdi_ring_recv(in, buffer, sizeof buffer, BRIEFLY_NS, &size_bytes), SHMD_E_TIMED_OUT);
	}
	/* Nobody has the other ring's head here: it says that the object may be destroyed. */
	shmdi_store32(&lines->rings[1].head.attention, UINT32_MAX, SHMDI_RELAXED);
	EXPECT(shmdi_ring_recv(in, buffer, sizeof buffer, SHMD_FOREVER, &size_bytes), SHMD_E_REMOVED);
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	CHECK(pthread_join(thread, NULL) == 0);
}

/* ---- random words ---- */

static void *client(void *argument)
{
	int number = *(int *)argument;
	uint64_t state = seed + 977 * (uint64_t)(number + 1);
	for (int i = 0; i < ROUNDS; i++) {
		uint64_t chance = next_random(&state) >> 8;
		int64_t timeout_ns = next_random(&state) % 64 == 0 ? BRIEFLY_NS : 0;
		bool receives = piped ? next_random(&state) % 2 == 0 : number == 1;
		if (receives)
			consumes[chance / LONGEST % COUNT(consumes)](ring_of(number, true), chance, timeout_ns);
		else if (number == 0) /* the other has no room of its own here */
			produces[chance / LONGEST % COUNT(produces)](ring_of(number, false), chance, timeout_ns);
		else
			produces[chance / LONGEST % 2](ring_of(number, false), chance, timeout_ns);
		if (chance / LONGEST % 41 == 0)
			leave(number);
		if (chance / LONGEST % 3 == 0)
			expect_named(claim(number), "claim");
	}
	__atomic_sub_fetch(&working, 1, __ATOMIC_RELEASE);
	return NULL;
}

/* Random words, mostly where they hurt; now and then everything is as it should be. */
static void scribble_all(void)
{
	uint64_t state = seed;
	while (__atomic_load_n(&working, __ATOMIC_ACQUIRE) != 0) {
		uint64_t chance = next_random(&state);
		struct shmd_ring_line *line = &((struct shmd_ring_line *)lines)[chance % 4];
		size_t data_bytes = piped ? 2 * (size_t)capacity_bytes : capacity_bytes;
		uint64_t *header = (uint64_t *)(void *)(data + next_random(&state) % data_bytes / 8 * 8);
		uint64_t word = next_random(&state) >> next_random(&state) % 64;
		switch (chance / 4 % 8) {
		case 0: shmdi_store64(&line->word, word, SHMDI_RELAXED); break;
		case 1: shmdi_store64(&line->word, (line->word & ~UINT64_C(7)) + (word % 9 << word % 8), SHMDI_RELAXED); break;
		case 2: shmdi_store32(&line->owner, (uint32_t)word, SHMDI_RELAXED); break;
		case 3: shmdi_store32(&line->attention, (uint32_t)word, SHMDI_RELAXED); break;
		case 4:
		case 5:
			shmdi_store64(header, (word % 7) << 32 | (uint32_t)next_random(&state) >> word % 32, SHMDI_RELAXED);
			break;
		case 6: shmdi_store64((uint64_t *)(void *)line + word % 8, word, SHMDI_RELAXED); break;
		default:
			for (int i = 0; i < 4; i++) {
				shmdi_store64(&((struct shmd_ring_line *)lines)[i].word, 0, SHMDI_RELAXED);
				shmdi_add32(&((struct shmd_ring_line *)lines)[i].attention, 1, SHMDI_RELAXED);
			}
			shmdi_store32(&lines->rings[0].tail.owner, owner_of(0), SHMDI_RELAXED);
			if (piped)
				shmdi_store32(&lines->rings[1].tail.owner, owner_of(1), SHMDI_RELAXED);
			else
				shmdi_store32(&lines->rings[0].head.owner, owner_of(1), SHMDI_RELAXED);
		}
		shmdi_store32(&segment.page->header.state, chance % 1000 == 0 ? SHMD_STATE_REMOVED : SHMD_STATE_LIVE,
		              SHMDI_RELAXED);
	}
}

int main(int count, char **arguments)
{
	CHECK(count == 3);
	seed = strtoull(arguments[2], NULL, 10) | 1;
	map_between_guards(arguments[1], &segment);
	const struct shmd_header *header = &segment.page->header;
	piped = header->kind == SHMD_KIND_PIPE;
	capacity_bytes = (uint32_t)header->length;
	data = (unsigned char *)segment.page + header->data_offset_bytes;
	lines = (struct shmd_ring_lines *)(void *)((unsigned char *)segment.page + SHMD_KIND_OFFSET);
	EXPECT(shmdi_fork_enter(&generation) < 0, 0);
	fresh = exactly(segment.size_bytes);
	memcpy(fresh, segment.page, segment.size_bytes);

	expect_corrupt();
	expect_an_end();
	try_all(scribble_word);
	try_all(scribble_header);

	static int numbers[] = {0, 1};
	pthread_t threads[2];
	set_up(false);
	for (int i = 0; i < 2; i++)
		CHECK(pthread_create(&threads[i], NULL, client, &numbers[i]) == 0);
	scribble_all();
	for (int i = 0; i < 2; i++) {
		CHECK(pthread_join(threads[i], NULL) == 0);
		bind_client(i); /* frees what was kept */
	}
	puts("ok");
	return 0;
}
