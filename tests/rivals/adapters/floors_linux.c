/* SPDX-License-Identifier: Apache-2.0
 *
 * floors_linux.c - what the machine and the kernel take, with nothing that makes it safe:
 * what no system can be faster than. mode says which:
 *	word     two processes spin for words in shared memory, beside which messages lie
 *	futex    the same, asleep
 *	eventfd  the same, asleep in a read of an eventfd
 *	unix, pipe  all bytes go through the kernel
 *	memcpy   oneway: put copies into shared memory, take does nothing
 *	cas      lock: a compare-and-swap and an exchange; counter: an atomic add; value: a
 *	         store and a load
 */
#define _GNU_SOURCE
#include "rival.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#define LINE_BYTES 128 /* two lines: the processor may fetch the neighbour, too */
#define PAGE_BYTES 4096
#define PLACES_MAX 1024

/* Positions on lines of their own, and places for messages. Ping writes to lane 0. */
struct lane {
	_Alignas(LINE_BYTES) uint32_t put;
	_Alignas(LINE_BYTES) uint32_t taken;
};
struct shared {
	struct lane lanes[2];
	_Alignas(LINE_BYTES) uint32_t lock;
	_Alignas(LINE_BYTES) uint64_t value;
	_Alignas(PAGE_BYTES) char places[];
};

enum mode { WORD, FUTEX, EVENTFD, UNIX, PIPE, MEMCPY, CAS };
static const char *const modes[] = {"word", "futex", "eventfd", "unix", "pipe", "memcpy", "cas"};

static enum mode mode;
static struct shared *shared;
static size_t shared_bytes;
static uint32_t places;
static size_t place_bytes;
static int in = -1;
static int out = -1;
static int mine;  /* lane that this process writes to */
static char path[2][256];

static void find_mode(void)
{
	for (size_t i = 0; i < RIVAL_COUNT(modes); i++)
		if (strcmp(rival.mode, modes[i]) == 0) {
			mode = (enum mode)i;
			return;
		}
	rival_fail("no mode %s", rival.mode);
}

static void name_paths(const char *suffix)
{
	for (int i = 0; i < 2; i++) {
		int length = snprintf(path[i], sizeof path[i], "%s/%s.%s%d", rival.dir, rival.name, suffix, i);
		if (length < 0 || (size_t)length >= sizeof path[i])
			rival_fail("%s: too long", rival.dir);
	}
}

static void remove_paths(void)
{
	for (int i = 0; i < 2; i++)
		rival_must(unlink(path[i]) == 0 || errno == ENOENT, path[i]);
}

/* ---- shared memory ---- */

static void *map_file(const char *file, size_t bytes, int flags)
{
	int fd = open(file, O_RDWR | O_CLOEXEC | flags, 0600);
	rival_must(fd >= 0, file);
	rival_must((flags & O_CREAT) == 0 || ftruncate(fd, (off_t)bytes) == 0, "ftruncate");
	void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
	rival_must(at != MAP_FAILED, "mmap");
	rival_must(close(fd) == 0, "close");
	return at;
}

static void open_memory(uint32_t count)
{
	find_mode();
	name_paths("memory");
	places = count;
	place_bytes = (rival.size_bytes + 63) / 64 * 64;
	shared_bytes = sizeof *shared + 2 * places * place_bytes;
	mine = rival.makes ? 0 : 1;
	shared = (struct shared *)map_file(path[0], shared_bytes, rival.makes ? O_CREAT | O_EXCL : 0);
}

static void close_memory(void)
{
	rival_must(munmap(shared, shared_bytes) == 0, "munmap");
	remove_paths();
}

static char *place(int lane, uint64_t i)
{
	return shared->places + ((uint64_t)lane * places + i % places) * place_bytes;
}

static void futex_wait(uint32_t *word, uint32_t seen)
{
	long result = syscall(SYS_futex, word, FUTEX_WAIT, seen, NULL, NULL, 0);
	rival_must(result == 0 || errno == EAGAIN || errno == EINTR, "futex");
}

static void futex_wake(uint32_t *word)
{
	rival_must(syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0) >= 0, "futex");
}

/* Waits until the word has reached want, modulo 2^32. */
static void reach(uint32_t *word, uint32_t want)
{
	uint32_t seen;
	while ((int32_t)((seen = __atomic_load_n(word, __ATOMIC_ACQUIRE)) - want) < 0) {
		if (mode == FUTEX) {
			futex_wait(word, seen);
		} else if (mode == EVENTFD) {
			uint64_t count;
			rival_must(read(in, &count, sizeof count) == sizeof count, "read");
		} else {
			rival_pause();
		}
	}
}

static void advance(uint32_t *word, uint32_t to)
{
	static const uint64_t once = 1;
	__atomic_store_n(word, to, __ATOMIC_RELEASE);
	if (mode == FUTEX)
		futex_wake(word);
	else if (mode == EVENTFD)
		rival_must(write(out, &once, sizeof once) == sizeof once, "write");
}

/* ---- roundtrip ---- */

static inline void send_answer(uint64_t i)
{
	rival_fill(place(mine, i), i);
	advance(&shared->lanes[mine].put, (uint32_t)i + 1);
}

static inline void await_answer(uint64_t i)
{
	reach(&shared->lanes[!mine].put, (uint32_t)i + 1);
	rival_check(place(!mine, i), rival.size_bytes, i);
}

static void write_all(const char *from, size_t size_bytes)
{
	while (size_bytes > 0) {
		ssize_t n = write(out, from, size_bytes);
		rival_must(n > 0, "write");
		from += n;
		size_bytes -= (size_t)n;
	}
}

static void read_all(char *to, size_t size_bytes)
{
	while (size_bytes > 0) {
		ssize_t n = read(in, to, size_bytes);
		if (n == 0)
			rival_fail("read: the other side has ended");
		rival_must(n > 0, "read");
		to += n;
		size_bytes -= (size_t)n;
	}
}

static inline void send_bytes(uint64_t number)
{
	write_all((const char *)rival_message(number), rival.size_bytes);
}

static inline void receive_bytes(uint64_t number)
{
	static uint64_t *buffer;
	if (buffer == NULL)
		buffer = rival_new_message();
	read_all((char *)buffer, rival.size_bytes);
	rival_check(buffer, rival.size_bytes, number);
}

static bool by_kernel(void) { return mode == UNIX || mode == PIPE; }

static inline void ping_once(uint64_t i)
{
	if (by_kernel()) {
		send_bytes(i);
		receive_bytes(i);
	} else {
		send_answer(i);
		await_answer(i);
	}
}

static inline void pong_once(uint64_t i)
{
	if (by_kernel()) {
		receive_bytes(i);
		send_bytes(i);
	} else {
		await_answer(i);
		send_answer(i);
	}
}

RIVAL_RUN(run_ping, ping_once)
RIVAL_RUN(run_pong, pong_once)

/* ---- what the other side has to be told ---- */

static struct sockaddr_un socket_address(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	name_paths("socket");
	if (strlen(path[0]) >= sizeof address.sun_path)
		rival_fail("%s: too long for a socket", path[0]);
	strcpy(address.sun_path, path[0]);
	return address;
}

static int listener = -1;

static void listen_here(void)
{
	struct sockaddr_un address = socket_address();
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	rival_must(listener >= 0, "socket");
	rival_must(bind(listener, (struct sockaddr *)&address, sizeof address) == 0, "bind");
	rival_must(listen(listener, 1) == 0, "listen");
}

static void accept_it(void)
{
	out = in = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	rival_must(in >= 0, "accept");
}

static void connect_there(void)
{
	struct sockaddr_un address = socket_address();
	out = in = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	rival_must(in >= 0, "socket");
	rival_must(connect(in, (struct sockaddr *)&address, sizeof address) == 0, "connect");
}

/* Two eventfds, sent or received over the connection. */
static void pass_eventfds(bool send)
{
	int pair[2];
	char byte = 0;
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof pair)];
	} control = {0};
	struct iovec text = {&byte, 1};
	struct msghdr message = {.msg_iov = &text, .msg_iovlen = 1, .msg_control = &control,
	                         .msg_controllen = sizeof control};
	if (send) {
		for (int i = 0; i < 2; i++)
			rival_must((pair[i] = eventfd(0, EFD_CLOEXEC)) >= 0, "eventfd");
		struct cmsghdr *header = CMSG_FIRSTHDR(&message);
		*header = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof pair), .cmsg_level = SOL_SOCKET,
		                           .cmsg_type = SCM_RIGHTS};
		memcpy(CMSG_DATA(header), pair, sizeof pair);
		rival_must(sendmsg(out, &message, 0) == 1, "sendmsg");
	} else {
		rival_must(recvmsg(in, &message, MSG_CMSG_CLOEXEC) == 1, "recvmsg");
		struct cmsghdr *header = CMSG_FIRSTHDR(&message);
		if (header == NULL || header->cmsg_type != SCM_RIGHTS)
			rival_fail("no descriptors came");
		memcpy(pair, CMSG_DATA(header), sizeof pair);
	}
	out = pair[send ? 0 : 1];
	in = pair[send ? 1 : 0];
}

static void open_fifos(void)
{
	name_paths("fifo");
	if (rival.makes)
		for (int i = 0; i < 2; i++)
			rival_must(mkfifo(path[i], 0600) == 0, path[i]);
	/* For both, so that nobody waits for the other to open, and none reads an end. */
	in = open(path[rival.makes ? 1 : 0], O_RDWR | O_CLOEXEC);
	out = open(path[rival.makes ? 0 : 1], O_RDWR | O_CLOEXEC);
	rival_must(in >= 0 && out >= 0, path[0]);
	(void)fcntl(out, F_SETPIPE_SZ, 1 << 20); /* less, if that is not permitted */
}

/* Once the other side is there: the first operation meets it. */
static void meet(void)
{
	if (!rival.makes || listener < 0 || in >= 0)
		return;
	accept_it();
	if (mode == EVENTFD)
		pass_eventfds(true);
}

static void open_ways(uint32_t count)
{
	find_mode();
	if (mode == PIPE) {
		open_fifos();
		return;
	}
	if (mode == UNIX || mode == EVENTFD) {
		if (rival.makes)
			listen_here();
		else
			connect_there();
	}
	if (!by_kernel())
		open_memory(count);
}

static void open_roundtrip(void)
{
	find_mode();
	if (mode == MEMCPY || mode == CAS)
		rival_unsupported("is no way for messages");
	if (rival.spins != (mode == WORD))
		rival_unsupported(mode == WORD ? "spins" : "sleeps");
	open_ways(1);
}

static void close_ways(void)
{
	if (!by_kernel())
		close_memory();
	name_paths("socket");
	remove_paths();
	name_paths("fifo");
	remove_paths();
}

static bool has_eventfds;

static void begin(void)
{
	meet();
	if (mode == EVENTFD && !rival.makes && !has_eventfds)
		pass_eventfds(false);
	has_eventfds = true;
}

static void ping(uint64_t count)
{
	begin();
	run_ping(count);
}

static void pong(uint64_t count)
{
	begin();
	run_pong(count);
}

/* ---- oneway ---- */

static inline void put_once(uint64_t i)
{
	if (by_kernel()) {
		send_bytes(rival_number(i));
	} else if (mode == MEMCPY) {
		rival_fill(place(0, i), rival_number(i));
	} else {
		reach(&shared->lanes[0].taken, (uint32_t)i + 1 - places);
		rival_fill(place(0, i), rival_number(i));
		advance(&shared->lanes[0].put, (uint32_t)i + 1);
	}
}

static inline void take_once(uint64_t i)
{
	if (by_kernel()) {
		receive_bytes(i);
	} else if (mode != MEMCPY) {
		reach(&shared->lanes[0].put, (uint32_t)i + 1);
		rival_check(place(0, i), rival.size_bytes, i);
		advance(&shared->lanes[0].taken, (uint32_t)i + 1);
	}
}

RIVAL_RUN(run_put, put_once)
RIVAL_RUN(run_take, take_once)

static void put(uint64_t count)
{
	begin();
	run_put(count);
}

static void take(uint64_t count)
{
	begin();
	run_take(count);
}

static void open_oneway(void)
{
	find_mode();
	if (rival.producers != 1 || rival.consumers != 1)
		rival_unsupported("is for one producer and one consumer");
	if (rival.batch != 1)
		rival_unsupported("has no batches");
	if (mode == CAS || mode == EVENTFD || mode == FUTEX)
		rival_unsupported("is no queue");
	if (mode == MEMCPY && rival.verify)
		rival_unsupported("moves nothing to anybody");
	open_ways(rival_queue_max());
}

/* ---- words that nobody protects ---- */

static inline void lock_once(uint64_t i)
{
	(void)i;
	uint32_t expected = 0;
	while (!__atomic_compare_exchange_n(&shared->lock, &expected, 1, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) {
		expected = 0;
		rival_pause();
	}
	shared->value++;
	(void)__atomic_exchange_n(&shared->lock, 0, __ATOMIC_RELEASE);
}

static inline void count_once(uint64_t i)
{
	(void)i;
	__atomic_add_fetch(&shared->value, 1, __ATOMIC_SEQ_CST);
}

static inline void value_once(uint64_t i)
{
	__atomic_store_n(&shared->value, i, __ATOMIC_RELEASE);
	(void)__atomic_load_n(&shared->value, __ATOMIC_ACQUIRE);
}

RIVAL_RUN(run_lock, lock_once)
RIVAL_RUN(run_count, count_once)
RIVAL_RUN(run_value, value_once)

static void open_words(void) { open_memory(1); }

/* ---- attach ---- */

static inline void attach_once(uint64_t i)
{
	(void)i;
	void *at = map_file(path[0], shared_bytes, 0);
	rival_must(munmap(at, shared_bytes) == 0, "munmap");
}

RIVAL_RUN(run_attach, attach_once)

static void describe(void) { puts("what the machine and the kernel take, unprotected"); }

static const struct rival_work works[] = {
	{"roundtrip", "ping", open_roundtrip, ping, close_ways, RIVAL_TIMED},
	{"roundtrip", "pong", open_roundtrip, pong, close_ways, RIVAL_TIMED},
	{"oneway", "put", open_oneway, put, close_ways, RIVAL_TIMED},
	{"oneway", "take", open_oneway, take, close_ways, RIVAL_TIMED},
	{"lock", "worker", open_words, run_lock, close_memory, RIVAL_TIMED},
	{"semaphore", "worker", open_words, run_lock, close_memory, RIVAL_TIMED},
	{"counter", "worker", open_words, run_count, close_memory, RIVAL_TIMED},
	{"value", "worker", open_words, run_value, close_memory, RIVAL_TIMED},
	{"attach", "opener", open_words, run_attach, close_memory, RIVAL_TIMED},
};

int main(int argc, char **argv)
{
	return rival_main(argc, argv, describe, works, RIVAL_COUNT(works));
}
