/* SPDX-License-Identifier: Apache-2.0
 *
 * shmd.c - ours. Messages go through a queue, or with mode=stream through streams; those of
 * more than 4 KiB are made and read in place. The server is that of shmdgo.
 */
#define _GNU_SOURCE
#include "rival.h"

#include <shmd.h>
#include <sys/uio.h>

#define IN_PLACE_BYTES 4096 /* longer ones are not copied */

static struct shmd_client *client;
static struct shmd_mutex *mutex;
static struct shmd_semaphore *semaphore;
static struct shmd_value *value;
static int64_t *counted; /* the value, for who holds the mutex */
static struct shmd_queue *queues[2];   /* ping and put write to the first */
static struct shmd_stream *streams[2]; /* likewise */
static uint64_t *buffer;
static bool in_place;

static inline void must(int result, const char *what)
{
	if (__builtin_expect(result < 0, 0))
		rival_fail("%s: %s: %s", what, shmd_strerror(result), shmd_last_error());
}

static inline bool again(int result) { return result == SHMD_E_WOULD_BLOCK; }

/* Tries until it succeeds, or waits. */
#define PATIENTLY(call, what)                                                                                        \
	do {                                                                                                             \
		int64_t timeout_ns = rival.spins ? 0 : SHMD_FOREVER;                                                         \
		int result_;                                                                                                 \
		while (again(result_ = (call)))                                                                              \
			;                                                                                                        \
		must(result_, what);                                                                                         \
	} while (0)

static const char *name_of(const char *suffix)
{
	static char name[128];
	int length = snprintf(name, sizeof name, "%s-%s", rival.name, suffix);
	if (length < 0 || (size_t)length >= sizeof name)
		rival_fail("%s: too long", rival.name);
	return name;
}

static void connect_it(void)
{
	struct shmd_connect_options options = {
		.size = sizeof options, .socket_path = rival.socket, .software = "shmd-rivals"};
	must(shmd_connect(&options, &client), "connect");
}

static void disconnect(void) { client = shmd_close(client); }

/* ---- lock, semaphore, counter, value ---- */

static void open_mutex(void)
{
	connect_it();
	must(shmd_mutex_open_or_create(client, name_of("mutex"), NULL, &mutex), "mutex");
}

static void close_mutex(void)
{
	mutex = shmd_mutex_close(mutex);
	disconnect();
}

static void open_value_with(enum shmd_lock_kind lock)
{
	struct shmd_create_options options = {.size = sizeof options, .lock = lock};
	must(shmd_value_open_or_create(client, name_of("value"), 'q', &options, &value), "value");
	counted = shmd_value_data(value);
}

static void open_lock(void)
{
	open_mutex();
	open_value_with(SHMD_LOCK_NONE);
}

static void open_value(void)
{
	connect_it();
	open_value_with(SHMD_LOCK_NONE);
}

static void close_value(void)
{
	value = shmd_value_close(value);
	disconnect();
}

static void close_lock(void)
{
	value = shmd_value_close(value);
	close_mutex();
}

static inline void lock_once(uint64_t i)
{
	(void)i;
	must(shmd_mutex_lock(mutex, SHMD_FOREVER), "lock");
	++*counted;
	must(shmd_mutex_unlock(mutex), "unlock");
}

static void open_semaphore(void)
{
	struct shmd_create_options options = {.size = sizeof options, .initial = 1};
	connect_it();
	must(shmd_semaphore_open_or_create(client, name_of("semaphore"), &options, &semaphore), "semaphore");
}

static void close_semaphore(void)
{
	semaphore = shmd_semaphore_close(semaphore);
	disconnect();
}

static inline void acquire_once(uint64_t i)
{
	(void)i;
	must(shmd_semaphore_acquire(semaphore, 1, SHMD_FOREVER), "acquire");
	must(shmd_semaphore_release(semaphore, 1), "release");
}

static inline void count_once(uint64_t i)
{
	static const int64_t one = 1;
	(void)i;
	must(shmd_value_fetch_add(value, &one, NULL), "fetch_add");
}

static inline void value_once(uint64_t i)
{
	int64_t item = (int64_t)i;
	must(shmd_value_store(value, &item), "store");
	must(shmd_value_load(value, &item), "load");
}

static inline void attach_once(uint64_t i)
{
	struct shmd_value *opened;
	(void)i;
	must(shmd_value_open(client, name_of("value"), 'q', NULL, &opened), "open");
	(void)shmd_value_close(opened);
}

RIVAL_RUN(run_lock, lock_once)
RIVAL_RUN(run_acquire, acquire_once)
RIVAL_RUN(run_count, count_once)
RIVAL_RUN(run_value, value_once)
RIVAL_RUN(run_attach, attach_once)

static void take_mutex(void)
{
	int result = shmd_mutex_lock(mutex, SHMD_FOREVER);
	must(result, "lock");
	if (result == SHMD_OWNER_DIED)
		must(shmd_mutex_mark_consistent(mutex), "mark_consistent");
}

static void own(uint64_t count)
{
	(void)count;
	rival_hold(take_mutex);
}

static void await(uint64_t count)
{
	(void)count;
	rival_wait(take_mutex);
}

/* ---- messages ---- */

static bool by_stream(void) { return strcmp(rival.mode, "stream") == 0; }

static uint32_t capacity_bytes(void)
{
	uint32_t bytes = 65536;
	while (bytes < rival_queue_max() * (rival.size_bytes + 8))
		bytes *= 2;
	return bytes;
}

static void open_way(int i, bool produces)
{
	static const char *const suffixes[] = {"there", "back"};
	const char *name = name_of(suffixes[i]);
	struct shmd_create_options options = {.size = sizeof options};
	if (by_stream()) {
		options.capacity = capacity_bytes();
		must(shmd_stream_open_or_create(client, name, &options, &streams[i]), "stream");
		must(shmd_stream_claim(streams[i], produces ? SHMD_PRODUCER : SHMD_CONSUMER), "claim");
		return;
	}
	options.raw = true;
	options.maxsize = rival_queue_max();
	options.slot_size = rival.size_bytes <= IN_PLACE_BYTES ? (uint32_t)rival.size_bytes : 64;
	options.message_max = (uint32_t)rival.size_bytes;
	must(shmd_queue_open_or_create(client, name, &options, &queues[i]), "queue");
}

static void open_messages(void)
{
	buffer = calloc(rival.batch, rival.size_bytes);
	rival_must(buffer != NULL, "calloc");
	in_place = rival.size_bytes > IN_PLACE_BYTES;
	connect_it();
}

static void open_trip(void)
{
	open_messages();
	open_way(0, rival.makes);
	open_way(1, !rival.makes);
}

static void close_ways(void)
{
	for (int i = 0; i < 2; i++) {
		queues[i] = shmd_queue_close(queues[i]);
		streams[i] = shmd_stream_close(streams[i]);
	}
	disconnect();
}

static inline void queue_put(struct shmd_queue *queue, uint64_t number)
{
	if (in_place) {
		struct shmd_reservation place;
		PATIENTLY(shmd_queue_reserve_size(queue, rival.size_bytes, timeout_ns, &place), "reserve_size");
		rival_fill(place.buffer, number);
		must(shmd_queue_commit(queue, &place, rival.size_bytes), "commit");
		return;
	}
	const void *message = rival_message(number);
	PATIENTLY(shmd_queue_put(queue, message, rival.size_bytes, timeout_ns), "put");
}

static inline void queue_take(struct shmd_queue *queue, uint64_t number)
{
	size_t size_bytes;
	if (in_place) {
		struct shmd_lease held;
		PATIENTLY(shmd_queue_lease(queue, timeout_ns, &held), "lease");
		rival_check(held.message, held.size_bytes, number);
		must(shmd_queue_ack(queue, &held), "ack");
		return;
	}
	PATIENTLY(shmd_queue_take(queue, buffer, rival.size_bytes, timeout_ns, &size_bytes), "take");
	rival_check(buffer, size_bytes, number);
}

static inline void stream_send(struct shmd_stream *stream, uint64_t number)
{
	if (in_place) {
		void *place;
		PATIENTLY(shmd_stream_reserve(stream, rival.size_bytes, timeout_ns, &place), "reserve");
		rival_fill(place, number);
		must(shmd_stream_commit(stream, rival.size_bytes), "commit");
		return;
	}
	const void *message = rival_message(number);
	PATIENTLY(shmd_stream_send(stream, message, rival.size_bytes, timeout_ns), "send");
}

static inline void stream_recv(struct shmd_stream *stream, uint64_t number)
{
	size_t size_bytes;
	if (in_place) {
		const void *message;
		PATIENTLY(shmd_stream_peek(stream, timeout_ns, &message, &size_bytes), "peek");
		rival_check(message, size_bytes, number);
		must(shmd_stream_advance(stream, 1), "advance");
		return;
	}
	PATIENTLY(shmd_stream_recv(stream, buffer, rival.size_bytes, timeout_ns, &size_bytes), "recv");
	rival_check(buffer, size_bytes, number);
}

static inline void queue_ping_once(uint64_t i)
{
	queue_put(queues[0], i);
	queue_take(queues[1], i);
}

static inline void queue_pong_once(uint64_t i)
{
	queue_take(queues[0], i);
	queue_put(queues[1], i);
}

static inline void stream_ping_once(uint64_t i)
{
	stream_send(streams[0], i);
	stream_recv(streams[1], i);
}

static inline void stream_pong_once(uint64_t i)
{
	stream_recv(streams[0], i);
	stream_send(streams[1], i);
}

static inline void queue_put_once(uint64_t i) { queue_put(queues[0], rival_number(i)); }
static inline void queue_take_once(uint64_t i) { queue_take(queues[0], rival_expected(i)); }
static inline void stream_send_once(uint64_t i) { stream_send(streams[0], rival_number(i)); }
static inline void stream_recv_once(uint64_t i) { stream_recv(streams[0], rival_expected(i)); }

RIVAL_RUN(run_queue_ping, queue_ping_once)
RIVAL_RUN(run_queue_pong, queue_pong_once)
RIVAL_RUN(run_stream_ping, stream_ping_once)
RIVAL_RUN(run_stream_pong, stream_pong_once)
RIVAL_RUN(run_queue_put, queue_put_once)
RIVAL_RUN(run_queue_take, queue_take_once)
RIVAL_RUN(run_stream_send, stream_send_once)
RIVAL_RUN(run_stream_recv, stream_recv_once)

static void ping(uint64_t count) { (by_stream() ? run_stream_ping : run_queue_ping)(count); }
static void pong(uint64_t count) { (by_stream() ? run_stream_pong : run_queue_pong)(count); }

/* ---- many at once ---- */

static struct iovec *batch;

static void make_batch(void)
{
	batch = calloc(rival.batch, sizeof *batch);
	rival_must(batch != NULL, "calloc");
	for (uint64_t j = 0; j < rival.batch; j++)
		batch[j] = (struct iovec){.iov_base = rival_new_message(), .iov_len = rival.size_bytes};
}

static uint32_t at_once(uint64_t count) { return count < rival.batch ? (uint32_t)count : (uint32_t)rival.batch; }

static void put_batches(uint64_t count)
{
	for (uint64_t i = 0; i < count;) {
		uint32_t n = at_once(count - i);
		for (uint32_t j = 0; j < n; j++)
			rival_renumber(batch[j].iov_base, rival_number(rival.done + i + j));
		for (uint32_t put = 0, some; put < n; put += some) {
			if (by_stream())
				PATIENTLY(shmd_stream_send_many(streams[0], batch + put, n - put, timeout_ns, &some), "send_many");
			else
				PATIENTLY(shmd_queue_put_many(queues[0], batch + put, n - put, timeout_ns, &some), "put_many");
		}
		i += n;
	}
}

static void take_batches(uint64_t count)
{
	for (uint64_t i = 0; i < count;) {
		uint32_t n = at_once(count - i);
		if (by_stream())
			PATIENTLY(shmd_stream_peek_many(streams[0], batch, n, timeout_ns, &n), "peek_many");
		else
			PATIENTLY(shmd_queue_take_many(queues[0], buffer, rival.batch * rival.size_bytes, batch, n, timeout_ns, &n),
			          "take_many");
		for (uint32_t j = 0; j < n; j++)
			rival_check(batch[j].iov_base, batch[j].iov_len, rival_expected(rival.done + i + j));
		if (by_stream())
			must(shmd_stream_advance(streams[0], n), "advance");
		i += n;
	}
}

static void put(uint64_t count)
{
	if (rival.batch > 1)
		put_batches(count);
	else
		(by_stream() ? run_stream_send : run_queue_put)(count);
}

static void take(uint64_t count)
{
	if (rival.batch > 1)
		take_batches(count);
	else
		(by_stream() ? run_stream_recv : run_queue_take)(count);
}

static void open_oneway(void)
{
	if (by_stream() && (rival.producers > 1 || rival.consumers > 1))
		rival_unsupported("a stream has one producer and one consumer");
	open_messages();
	if (rival.batch > 1)
		make_batch();
	open_way(0, strcmp(rival.role, "put") == 0);
}

/* ---- asleep, and many ---- */

static void sleep_there(uint64_t count)
{
	(void)count;
	puts("waiting");
	fflush(stdout);
	rival.spins = false;
	if (by_stream())
		stream_recv(streams[0], RIVAL_ANY);
	else
		queue_take(queues[0], RIVAL_ANY);
}

static void open_sleeper(void)
{
	open_messages();
	open_way(0, false);
}

static inline void make_once(uint64_t i)
{
	char name[128];
	struct shmd_create_options options = {.size = sizeof options, .lock = SHMD_LOCK_NONE};
	struct shmd_value *made;
	snprintf(name, sizeof name, "%s-%" PRIu64, rival.name, i);
	must(shmd_value_create(client, name, 'q', &options, &made), "create");
}

RIVAL_RUN(run_make, make_once)

static void describe(void) { printf("libshmd %s\n", shmd_version()); }

static const struct rival_work works[] = {
	{"lock", "worker", open_lock, run_lock, close_lock, RIVAL_TIMED},
	{"semaphore", "worker", open_semaphore, run_acquire, close_semaphore, RIVAL_TIMED},
	{"counter", "worker", open_value, run_count, close_value, RIVAL_TIMED},
	{"value", "worker", open_value, run_value, close_value, RIVAL_TIMED},
	{"attach", "opener", open_value, run_attach, close_value, RIVAL_TIMED},
	{"recovery", "owner", open_mutex, own, close_mutex, RIVAL_OWN},
	{"recovery", "waiter", open_mutex, await, close_mutex, RIVAL_OWN},
	{"roundtrip", "ping", open_trip, ping, close_ways, RIVAL_TIMED},
	{"roundtrip", "pong", open_trip, pong, close_ways, RIVAL_TIMED},
	{"oneway", "put", open_oneway, put, close_ways, RIVAL_TIMED},
	{"oneway", "take", open_oneway, take, close_ways, RIVAL_TIMED},
	{"idle", "sleeper", open_sleeper, sleep_there, close_ways, RIVAL_OWN},
	{"memory", "maker", connect_it, run_make, disconnect, RIVAL_TIMED},
};

int main(int argc, char **argv)
{
	return rival_main(argc, argv, describe, works, RIVAL_COUNT(works));
}
