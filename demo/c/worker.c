/* SPDX-License-Identifier: Apache-2.0
 *
 * worker NUMBER [victim] - a worker of the demo, in C: takes messages with leases,
 * measures the files that they name under permits, and counts them under a lock
 * whose owner may die at any time. ../worker.go, ../worker.py and ../worker.sh do
 * the same. It finds the daemon by SHMD_SOCKET.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <msgpack.h>

#include "shmd.h"

/* The columns of a file's row in the results: bytes, lines, words, how often its
 * message was delivered, and who was the first to count it (0 = it is not done). */
enum { DELIVERIES = 3, WORKER = 4, COLUMNS = 5 };

struct board {
	struct shmd_queue *queue;     /* [file, path] in msgpack for each file that is not done */
	struct shmd_semaphore *files; /* with undo; a permit lets a worker have a file open */
	struct shmd_array *results;   /* 'Q', a row for each file */
	struct shmd_value *progress;  /* 'Q', rows that have a worker; its lock guards it and their last column */
};

struct worker {
	struct board board;
	uint64_t files;
	uint64_t number;
	bool victim;            /* it shall stop in the middle of an update, to be killed there */
	struct shmd_lease kept; /* the message that a victim takes first, and dies with */
};

static _Noreturn void __attribute__((format(printf, 1, 2))) die(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	exit(1);
}

/* For calls after whose failure there is no point in going on. What this process
 * holds then goes to the next owner with a notice: no clean-up is needed. */
static int must(int result, const char *what)
{
	if (result < 0)
		die("%s: %s %s", what, shmd_strerror(result), shmd_last_error());
	return result;
}

static int64_t monotonic_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static void say(const char *line)
{
	if (puts(line) < 0 || fflush(stdout) != 0)
		die("stdout: %s", strerror(errno));
}

/* Waits for a line on standard input; false at its end. */
static bool hear(void)
{
	char line[64];

	return fgets(line, sizeof line, stdin) != NULL;
}

static void open_board(struct board *board, struct shmd_client *client)
{
	must(shmd_queue_open(client, "demo/queue", NULL, &board->queue), "open the queue");
	must(shmd_semaphore_open(client, "demo/files", NULL, &board->files), "open the semaphore");
	must(shmd_array_open(client, "demo/results", 'Q', 0, NULL, NULL, &board->results), "open the results");
	must(shmd_value_open(client, "demo/progress", 'Q', NULL, &board->progress), "open the progress");
}

static void close_board(struct board *board)
{
	shmd_queue_close(board->queue);
	shmd_semaphore_close(board->files);
	shmd_array_close(board->results);
	shmd_value_close(board->progress);
}

/* Reads a message: the file's number, and its path, to be freed. */
static uint64_t read_message(const struct shmd_lease *lease, char **ret_path)
{
	msgpack_unpacked unpacked;

	msgpack_unpacked_init(&unpacked);
	if (msgpack_unpack_next(&unpacked, lease->message, lease->size_bytes, NULL) != MSGPACK_UNPACK_SUCCESS ||
	    unpacked.data.type != MSGPACK_OBJECT_ARRAY || unpacked.data.via.array.size != 2)
		die("a message is no array of two");
	const msgpack_object *file = &unpacked.data.via.array.ptr[0], *path = &unpacked.data.via.array.ptr[1];
	if (file->type != MSGPACK_OBJECT_POSITIVE_INTEGER || path->type != MSGPACK_OBJECT_BIN)
		die("a message is not a number and bytes");
	uint64_t number = file->via.u64;
	*ret_path = strndup(path->via.bin.ptr, path->via.bin.size);
	if (!*ret_path)
		die("%s", strerror(ENOMEM));
	msgpack_unpacked_destroy(&unpacked);
	return number;
}

static bool is_space(unsigned char byte)
{
	return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

/* Counts bytes, lines and words of a file. */
static void measure(const char *path, uint64_t *counts)
{
	static unsigned char buffer[65536];
	bool in_word = false;
	ssize_t size;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		die("%s: %s", path, strerror(errno));
	counts[0] = counts[1] = counts[2] = 0;
	while ((size = read(fd, buffer, sizeof buffer)) != 0) {
		if (size < 0 && errno == EINTR)
			continue;
		if (size < 0)
			die("%s: %s", path, strerror(errno));
		counts[0] += (uint64_t)size;
		for (ssize_t i = 0; i < size; i++) {
			bool space = is_space(buffer[i]);

			counts[1] += buffer[i] == '\n';
			counts[2] += !space && !in_word;
			in_word = !space;
		}
	}
	close(fd);
}

/* Counts anew. The lock is held. */
static void repair(struct worker *worker)
{
	const struct board *board = &worker->board;
	int64_t locked_ns = monotonic_ns();
	uint64_t counted, recount = 0, by;
	struct shmd_notice notice;

	must(shmd_value_notice(board->progress, &notice), "read the notice");
	must(shmd_value_load(board->progress, &counted), "load the progress");
	for (uint64_t file = 0; file < worker->files; file++) {
		must(shmd_array_load(board->results, file * COLUMNS + WORKER, &by), "look at a row");
		recount += by != 0;
	}
	must(shmd_value_store(board->progress, &recount), "store the progress");
	must(shmd_value_mark_consistent(board->progress), "mark consistent");
	printf("repair pid=%" PRIu32 " counted=%" PRIu64 " recount=%" PRIu64 " locked_ns=%" PRId64
	       " repaired_ns=%" PRId64 "\n",
	       notice.pid, counted, recount, locked_ns, monotonic_ns());
	if (fflush(stdout) != 0)
		die("stdout: %s", strerror(errno));
}

/* Takes the lock, and repairs what it guards if its last owner died. */
static void lock_progress(struct worker *worker)
{
	if (must(shmd_value_lock(worker->board.progress, SHMD_FOREVER), "lock") == SHMD_OWNER_DIED)
		repair(worker);
}

/* Says that a lease, a permit and the lock are held, and waits to be killed. */
static _Noreturn void hold(uint64_t file)
{
	printf("holding %" PRIu64 "\n", file);
	fflush(stdout);
	hear();
	die("the victim was not killed");
}

/* Counts the file, unless it is counted already: a worker may die when it has
 * counted, and not acknowledged yet. */
static void count(struct worker *worker, uint64_t file, bool last)
{
	const struct board *board = &worker->board;
	uint64_t counted, by, mark = file * COLUMNS + WORKER;

	lock_progress(worker);
	must(shmd_array_load(board->results, mark, &by), "look at a row");
	if (by == 0) {
		must(shmd_value_load(board->progress, &counted), "load the progress");
		counted++;
		must(shmd_value_store(board->progress, &counted), "store the progress");
		/* Between the two stores: what the lock guards is inconsistent here. */
		if (last)
			hold(file);
		must(shmd_array_store(board->results, mark, &worker->number), "mark a row");
	}
	must(shmd_value_unlock(board->progress), "unlock");
}

/* Measures a file, and says so on the board. Doing it twice does no harm. With its
 * last message a victim keeps the permit. */
static void work_on(struct worker *worker, const struct shmd_lease *lease, bool last)
{
	const struct board *board = &worker->board;
	uint64_t row[DELIVERIES + 1];
	char *path;
	uint64_t file = read_message(lease, &path);

	if (lease->deliveries > 1) {
		printf("redelivered %" PRIu64 " deliveries=%" PRIu32 " leased_ns=%" PRId64 "\n", file, lease->deliveries,
		       monotonic_ns());
		if (fflush(stdout) != 0)
			die("stdout: %s", strerror(errno));
	}
	must(shmd_semaphore_acquire(board->files, 1, SHMD_FOREVER), "acquire a permit");
	measure(path, row);
	free(path);
	if (!last)
		must(shmd_semaphore_release(board->files, 1), "release a permit");
	row[DELIVERIES] = lease->deliveries;
	must(shmd_array_write(board->results, file * COLUMNS, DELIVERIES + 1, SHMD_FOREVER, row), "write a row");
	count(worker, file, last);
	must(shmd_queue_ack(board->queue, lease), "acknowledge");
}

/* Takes a lease on a message; false when there will be no more. A victim goes on to
 * the message that it kept when a third is done, or when there is no other: *last. */
static bool next_message(struct worker *worker, struct shmd_lease *lease, bool *last)
{
	const struct board *board = &worker->board;
	int64_t timeout_ns = worker->victim ? 0 : SHMD_FOREVER;
	int result = SHMD_E_WOULD_BLOCK;
	uint64_t counted;

	must(shmd_value_load(board->progress, &counted), "load the progress");
	if (!worker->victim || 3 * counted < worker->files)
		result = shmd_queue_lease(board->queue, timeout_ns, lease);
	*last = result == SHMD_E_WOULD_BLOCK;
	if (*last)
		*lease = worker->kept;
	else if (result != SHMD_E_ENDED)
		must(result, "take a lease");
	return result != SHMD_E_ENDED;
}

int main(int argc, char **argv)
{
	struct worker worker = {.victim = argc > 2};
	struct shmd_connect_options options = {.size = sizeof options};
	struct shmd_client *client;
	struct shmd_lease lease;
	char software[64];
	bool last;

	if (argc < 2)
		die("usage: worker NUMBER [victim]");
	worker.number = strtoul(argv[1], NULL, 10);
	snprintf(software, sizeof software, "demo worker %" PRIu64 " (c)", worker.number);
	options.software = software;
	must(shmd_connect(&options, &client), "connect");
	open_board(&worker.board, client);
	worker.files = shmd_array_length(worker.board.results) / COLUMNS;
	if (worker.victim) /* before the others start, so that it surely gets one */
		must(shmd_queue_lease(worker.board.queue, SHMD_FOREVER, &worker.kept), "take the first lease");
	say("ready");
	if (!hear())
		die("nobody said go");

	while (next_message(&worker, &lease, &last))
		work_on(&worker, &lease, last);
	close_board(&worker.board);
	shmd_close(client);
	return 0;
}
