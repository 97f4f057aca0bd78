/* SPDX-License-Identifier: Apache-2.0
 *
 * zeromq.c - ZeroMQ over Unix sockets with abstract names (ipc). PUSH and PULL: each producer
 * binds, each consumer connects to all, and a message goes to the next consumer that has
 * room; a batch is a message of several parts. A round trip is between two PAIRs, as is
 * oneway with mode=pair, of one producer and one consumer. A message is written, and read,
 * where ZeroMQ has it. One I/O thread in each process; more were no faster, nor were larger
 * socket buffers. Who spins yields the processor, which that thread needs too.
 */
#define _GNU_SOURCE
#include "rival.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zmq.h>

#define SOCKETS_MAX 65535
#define CONSUMERS_MAX 64
#define GLANCE_MS 10 /* how often a consumer that gets nothing looks whether all is taken */

static void *context;
static void *out; /* may be the same as `in` */
static void *in;

static inline void must(bool is_good, const char *what)
{
	if (__builtin_expect(!is_good, 0))
		rival_fail("%s: %s", what, zmq_strerror(zmq_errno()));
}

static void open_context(void)
{
	context = zmq_ctx_new();
	must(context != NULL, "zmq_ctx_new");
	must(zmq_ctx_set(context, ZMQ_MAX_SOCKETS, SOCKETS_MAX) == 0, "ZMQ_MAX_SOCKETS");
}

static void set_option(void *socket, int option, int value)
{
	must(zmq_setsockopt(socket, option, &value, sizeof value) == 0, "zmq_setsockopt");
}

/* Bounds count whole messages, of which a batch is one. */
static void *new_socket(int type)
{
	uint64_t messages_max = rival_queue_max() / rival.batch;
	int bound = messages_max > 0 ? (int)messages_max : 1;
	void *socket = zmq_socket(context, type);
	must(socket != NULL, "zmq_socket");
	set_option(socket, ZMQ_SNDHWM, bound);
	set_option(socket, ZMQ_RCVHWM, bound);
	set_option(socket, ZMQ_LINGER, 0); /* all has been taken when it is closed */
	set_option(socket, ZMQ_RECONNECT_IVL, 1);
	return socket;
}

static const char *address_of(const char *what, int index)
{
	static char address[128];
	int length = snprintf(address, sizeof address, "ipc://@%s-%s%d", rival.name, what, index);
	if (length < 0 || (size_t)length >= sizeof address)
		rival_fail("name=%s is too long", rival.name);
	return address;
}

static void bind_to(void *socket, const char *address)
{
	must(zmq_bind(socket, address) == 0, address);
}

static void connect_to(void *socket, const char *address)
{
	must(zmq_connect(socket, address) == 0, address);
}

static void close_all(void)
{
	must(in == NULL || zmq_close(in) == 0, "zmq_close");
	must(out == NULL || out == in || zmq_close(out) == 0, "zmq_close");
	must(zmq_ctx_term(context) == 0, "zmq_ctx_term");
}

/* ---- messages ---- */

static inline void put(uint64_t number, bool more)
{
	zmq_msg_t message;
	const int flags = (more ? ZMQ_SNDMORE : 0) | (rival.spins ? ZMQ_DONTWAIT : 0);
	must(zmq_msg_init_size(&message, rival.size_bytes) == 0, "zmq_msg_init_size");
	rival_fill(zmq_msg_data(&message), number);
	while (zmq_msg_send(&message, out, flags) < 0) {
		must(rival.spins && zmq_errno() == EAGAIN, "zmq_msg_send");
		(void)sched_yield();
	}
}

/* Whether there was one, for who does not wait or gives up. */
static inline bool take(int flags, uint64_t number)
{
	zmq_msg_t message;
	must(zmq_msg_init(&message) == 0, "zmq_msg_init");
	bool is_there = zmq_msg_recv(&message, in, flags) >= 0;
	if (is_there)
		rival_check(zmq_msg_data(&message), zmq_msg_size(&message), number);
	else
		must(zmq_errno() == EAGAIN, "zmq_msg_recv");
	must(zmq_msg_close(&message) == 0, "zmq_msg_close");
	return is_there;
}

static inline void take_waiting(uint64_t number)
{
	while (!take(rival.spins ? ZMQ_DONTWAIT : 0, number))
		(void)sched_yield();
}

/* ---- round trips, and one way by PAIR ---- */

static void open_pair(void)
{
	open_context();
	in = out = new_socket(ZMQ_PAIR);
	if (rival.makes)
		bind_to(in, address_of("pair", 0));
	else
		connect_to(in, address_of("pair", 0));
}

static inline void ping_once(uint64_t i)
{
	put(i, false);
	take_waiting(i);
}

static inline void pong_once(uint64_t i)
{
	take_waiting(i);
	put(i, false);
}

RIVAL_RUN(run_ping, ping_once)
RIVAL_RUN(run_pong, pong_once)

/* ---- one way ---- */

/* How many messages each consumer has taken, for all of them: nobody knows before how many
 * each will get. */
struct taken {
	_Alignas(128) uint64_t count;
};
static struct taken *taken;

static void map_taken(void)
{
	char path[256];
	if (rival.consumers > CONSUMERS_MAX)
		rival_fail("consumers=%d are more than %d", rival.consumers, CONSUMERS_MAX);
	int length = snprintf(path, sizeof path, "%s/%s-taken", rival.dir, rival.name);
	if (length < 0 || (size_t)length >= sizeof path)
		rival_fail("dir=%s is too long", rival.dir);
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	rival_must(fd >= 0, path);
	rival_must(ftruncate(fd, CONSUMERS_MAX * sizeof *taken) == 0, "ftruncate");
	taken = mmap(NULL, CONSUMERS_MAX * sizeof *taken, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	rival_must(taken != MAP_FAILED, "mmap");
	rival_must(close(fd) == 0, "close");
}

static bool by_pair(void)
{
	if (rival.mode[0] == '\0')
		return false;
	if (strcmp(rival.mode, "pair") != 0)
		rival_fail("there is no mode \"%s\"", rival.mode);
	if (rival.producers > 1 || rival.consumers > 1)
		rival_unsupported("a PAIR has one peer");
	open_pair();
	return true;
}

static void open_put(void)
{
	if (by_pair())
		return;
	open_context();
	out = new_socket(ZMQ_PUSH);
	bind_to(out, address_of("put", rival.index));
}

static void open_take(void)
{
	if (by_pair())
		return;
	open_context();
	in = new_socket(ZMQ_PULL);
	for (int i = 0; i < rival.producers; i++)
		connect_to(in, address_of("put", i));
	if (rival.consumers > 1) {
		map_taken();
		set_option(in, ZMQ_RCVTIMEO, GLANCE_MS);
	}
}

static void run_put(uint64_t count)
{
	const bool samples = rival.samples != NULL;
	const uint64_t end = rival.done + count;
	for (uint64_t i = rival.done, part = 1; i < end; i++) {
		bool more = i + 1 < end && part < rival.batch;
		put(rival_number(i), more);
		part = more ? part + 1 : 1;
		if (samples && !more)
			rival_sample();
	}
}

static inline void take_once(uint64_t i)
{
	take_waiting(rival_expected(i));
}

RIVAL_RUN(run_take_all, take_once)

static uint64_t taken_by_all(void)
{
	uint64_t sum = 0;
	for (int i = 0; i < rival.consumers; i++)
		sum += __atomic_load_n(&taken[i].count, __ATOMIC_RELAXED);
	return sum;
}

/* Takes what comes, until all of us together have what the producers sent. */
static void run_take_some(uint64_t count)
{
	const uint64_t all = (rival.done + count) * (uint64_t)rival.consumers;
	uint64_t *mine = &taken[rival.index].count;
	for (;;) {
		if (take(ZMQ_DONTWAIT, RIVAL_ANY)) {
			__atomic_store_n(mine, *mine + 1, __ATOMIC_RELAXED);
			continue;
		}
		rival.ended_ns = rival_now_ns();
		uint64_t sum = taken_by_all();
		if (sum > all)
			rival_fail("%" PRIu64 " messages have come of %" PRIu64, sum, all);
		if (sum == all)
			return;
		if (!rival.spins && take(0, RIVAL_ANY))
			__atomic_store_n(mine, *mine + 1, __ATOMIC_RELAXED);
	}
}

static void run_take(uint64_t count)
{
	if (taken == NULL)
		run_take_all(count);
	else
		run_take_some(count);
}

/* ---- attach, idle, memory ---- */

static void open_attach(void)
{
	open_context();
	if (!rival.makes)
		return;
	in = new_socket(ZMQ_PULL);
	bind_to(in, address_of("attach", 0));
}

/* zmq_connect returns before there is a connection, and here one has to be. */
static void attach_once(uint64_t i)
{
	(void)i;
	void *socket = new_socket(ZMQ_PUSH);
	set_option(socket, ZMQ_IMMEDIATE, 1);
	connect_to(socket, address_of("attach", 0));
	zmq_pollitem_t item = {socket, 0, ZMQ_POLLOUT, 0};
	must(zmq_poll(&item, 1, -1) == 1, "zmq_poll");
	must(zmq_close(socket) == 0, "zmq_close");
}

RIVAL_RUN(run_attach, attach_once)

static void open_sleeper(void)
{
	open_context();
	in = new_socket(ZMQ_PULL);
	bind_to(in, address_of("put", 0));
}

static void run_sleeper(uint64_t count)
{
	(void)count;
	puts("waiting");
	fflush(stdout);
	take_waiting(RIVAL_ANY);
}

static void open_lock(void)
{
	rival_unsupported("ZeroMQ has no locks");
}

static void **made;
static uint64_t made_count;

/* Each socket has several descriptors. */
static void open_maker(void)
{
	struct rlimit limit;
	rival_must(getrlimit(RLIMIT_NOFILE, &limit) == 0, "getrlimit");
	limit.rlim_cur = limit.rlim_max;
	rival_must(setrlimit(RLIMIT_NOFILE, &limit) == 0, "setrlimit");
	open_context();
}

/* A queue is a PULL that anybody can find. */
static void make_once(uint64_t i)
{
	made = realloc(made, (i + 1) * sizeof *made);
	rival_must(made != NULL, "realloc");
	made[i] = new_socket(ZMQ_PULL);
	made_count = i + 1;
	bind_to(made[i], address_of("made", (int)i));
}

RIVAL_RUN(run_maker, make_once)

static void close_made(void)
{
	for (uint64_t i = 0; i < made_count; i++)
		must(zmq_close(made[i]) == 0, "zmq_close");
	free(made);
	close_all();
}

static void describe(void)
{
	int major, minor, patch;
	zmq_version(&major, &minor, &patch);
	printf("ZeroMQ %d.%d.%d over ipc: PUSH and PULL, or PAIR, with the bound of the queue on either side\n", major,
	       minor, patch);
}

static const struct rival_work works[] = {
	{"roundtrip", "ping", open_pair, run_ping, close_all, RIVAL_TIMED},
	{"roundtrip", "pong", open_pair, run_pong, close_all, RIVAL_TIMED},
	{"oneway", "put", open_put, run_put, close_all, RIVAL_TIMED},
	{"oneway", "take", open_take, run_take, close_all, RIVAL_TIMED},
	{"attach", "opener", open_attach, run_attach, close_all, RIVAL_TIMED},
	{"recovery", "owner", open_lock, NULL, NULL, RIVAL_OWN},
	{"recovery", "waiter", open_lock, NULL, NULL, RIVAL_OWN},
	{"idle", "sleeper", open_sleeper, run_sleeper, close_all, RIVAL_OWN},
	{"memory", "maker", open_maker, run_maker, close_made, RIVAL_TIMED},
};

int main(int argc, char **argv)
{
	return rival_main(argc, argv, describe, works, RIVAL_COUNT(works));
}
