/* SPDX-License-Identifier: Apache-2.0
 *
 * worker LIST NUMBER WORKERS [victim] - a worker of the demo, in C: claims files
 * by compare-exchange, measures them, and counts them under a lock whose owner
 * may die at any time. ../worker.go and ../worker.py do the same. It finds the
 * daemon by SHMD_SOCKET.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "shmd.h"

/* A claim: 0 = free, the number of the worker that has the file, in the end
 * with this bit. */
#define CLAIM_DONE (UINT32_C(1) << 31)

#define NONE UINT64_MAX

struct board {
	struct shmd_array *claims;   /* 'I', one for each file */
	struct shmd_array *results;  /* 'Q', for each file: bytes, lines, words */
	struct shmd_array *workers;  /* 'I', process ids by worker number */
	struct shmd_value *progress; /* 'Q', claims that are done; its lock guards it and them */
};

struct worker {
	struct board board;
	char **paths;
	uint64_t files;
	uint64_t cursor; /* where to look for the next free claim */
	uint64_t kept;   /* the claim that a victim takes first and never gives up */
	uint32_t number;
	bool victim; /* it shall stop in the middle of an update, to be killed there */
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

/* Reads the list: paths, each ended by a NUL. The paths live as long as we do. */
static void read_list(struct worker *worker, const char *name)
{
	FILE *file = fopen(name, "r");
	struct stat info;
	char *text, *path;

	if (!file || fstat(fileno(file), &info) < 0)
		die("%s: %s", name, strerror(errno));
	size_t size = (size_t)info.st_size;
	text = malloc(size + 1);
	worker->paths = malloc((size + 1) * sizeof *worker->paths); /* a path has a byte at least */
	if (!text || !worker->paths)
		die("%s: %s", name, strerror(ENOMEM));
	if (fread(text, 1, size, file) != size)
		die("%s: cannot be read", name);
	fclose(file);
	text[size] = '\0';
	for (path = text; path < text + size; path += strlen(path) + 1)
		worker->paths[worker->files++] = path;
}

static void open_board(struct board *board, struct shmd_client *client)
{
	must(shmd_array_open(client, "demo/claims", 'I', 0, NULL, NULL, &board->claims), "open claims");
	must(shmd_array_open(client, "demo/results", 'Q', 0, NULL, NULL, &board->results), "open results");
	must(shmd_array_open(client, "demo/workers", 'I', 0, NULL, NULL, &board->workers), "open workers");
	must(shmd_value_open(client, "demo/progress", 'Q', NULL, &board->progress), "open progress");
}

/* Takes a free file; NONE if there is none. */
static uint64_t claim_file(struct worker *worker)
{
	struct shmd_array *claims = worker->board.claims;

	for (uint64_t tried = 0; tried < worker->files; tried++) {
		uint64_t file = worker->cursor;
		uint32_t claim, unclaimed = 0;
		bool mine;

		worker->cursor = (worker->cursor + 1) % worker->files;
		must(shmd_array_load(claims, file, &claim), "look at a claim");
		if (claim != unclaimed)
			continue;
		must(shmd_array_compare_exchange(claims, file, &unclaimed, &worker->number, &mine, NULL), "claim");
		if (mine)
			return file;
	}
	return NONE;
}

static bool is_space(unsigned char byte)
{
	return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

/* Counts bytes, lines and words of a file. */
static void measure(const char *path, uint64_t counts[3])
{
	static unsigned char buffer[65536];
	bool in_word = false;
	ssize_t size;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		die("%s: %s", path, strerror(errno));
	memset(counts, 0, 3 * sizeof *counts);
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

/* Finds a worker by its process. */
static uint32_t worker_of(const struct board *board, uint32_t pid)
{
	for (uint32_t number = 1; number < shmd_array_length(board->workers); number++) {
		uint32_t candidate;

		must(shmd_array_load(board->workers, number, &candidate), "look at the workers");
		if (candidate == pid)
			return number;
	}
	die("process %" PRIu32 " died holding the lock, and is no worker", pid);
}

/* Counts anew and frees the claims of the dead. The lock is held. */
static void repair(struct worker *worker)
{
	const struct board *board = &worker->board;
	int64_t locked_ns = monotonic_ns();
	uint64_t counted, recount = 0, freed = 0;
	uint32_t claim, dead, unclaimed = 0;
	struct shmd_notice notice;

	must(shmd_value_notice(board->progress, &notice), "read the notice");
	dead = worker_of(board, notice.pid);
	must(shmd_value_load(board->progress, &counted), "load the progress");
	for (uint64_t file = 0; file < worker->files; file++) {
		must(shmd_array_load(board->claims, file, &claim), "look at a claim");
		recount += (claim & CLAIM_DONE) != 0;
		if (claim != dead)
			continue;
		must(shmd_array_store(board->claims, file, &unclaimed), "free a claim");
		freed++;
	}
	must(shmd_value_store(board->progress, &recount), "store the progress");
	must(shmd_value_mark_consistent(board->progress), "mark consistent");
	printf("repair pid=%" PRIu32 " worker=%" PRIu32 " claims=%" PRIu64 " counted=%" PRIu64 " recount=%" PRIu64
	       " locked_ns=%" PRId64 " repaired_ns=%" PRId64 "\n",
	       notice.pid, dead, freed, counted, recount, locked_ns, monotonic_ns());
	if (fflush(stdout) != 0)
		die("stdout: %s", strerror(errno));
}

/* Takes the lock, and repairs what it guards if its last owner died. */
static void lock_progress(struct worker *worker)
{
	if (must(shmd_value_lock(worker->board.progress, SHMD_FOREVER), "lock") == SHMD_OWNER_DIED)
		repair(worker);
}

/* Says that the lock and a claim are held, and waits to be killed. */
static _Noreturn void hold(const struct worker *worker)
{
	printf("holding %" PRIu64 "\n", worker->kept);
	fflush(stdout);
	hear();
	die("the victim was not killed");
}

/* Measures a file and says so on the board. */
static void work_on(struct worker *worker, uint64_t file)
{
	const struct board *board = &worker->board;
	uint32_t claim = worker->number | CLAIM_DONE;
	uint64_t counts[3], counted;

	measure(worker->paths[file], counts);
	must(shmd_array_write(board->results, 3 * file, 3, SHMD_FOREVER, counts), "write a result");
	lock_progress(worker);
	must(shmd_array_store(board->claims, file, &claim), "mark a claim done");
	must(shmd_value_load(board->progress, &counted), "load the progress");
	counted++;
	/* Between the two stores: what the lock guards is inconsistent here. */
	if (worker->victim && 3 * counted >= worker->files)
		hold(worker);
	must(shmd_value_store(board->progress, &counted), "store the progress");
	must(shmd_value_unlock(board->progress), "unlock");
}

/* Reports whether every file is done. */
static bool finished(struct worker *worker)
{
	uint64_t counted;

	lock_progress(worker);
	if (worker->victim)
		hold(worker);
	must(shmd_value_load(worker->board.progress, &counted), "load the progress");
	must(shmd_value_unlock(worker->board.progress), "unlock");
	return counted == worker->files;
}

int main(int argc, char **argv)
{
	struct worker worker = {.victim = argc > 4};
	struct shmd_connect_options options = {.size = sizeof options};
	struct shmd_client *client;
	char software[64];

	if (argc < 4)
		die("usage: worker LIST NUMBER WORKERS [victim]");
	worker.number = (uint32_t)strtoul(argv[2], NULL, 10);
	uint32_t workers = (uint32_t)strtoul(argv[3], NULL, 10);
	read_list(&worker, argv[1]);
	if (worker.number < 1 || worker.number > workers || worker.files == 0)
		die("worker %s of %s with %" PRIu64 " files", argv[2], argv[3], worker.files);
	worker.cursor = (worker.number - 1) * worker.files / workers;

	snprintf(software, sizeof software, "demo worker %" PRIu32 " (c)", worker.number);
	options.software = software;
	must(shmd_connect(&options, &client), "connect");
	open_board(&worker.board, client);
	if (worker.victim) /* before the others start, so that it surely gets one */
		worker.kept = claim_file(&worker);
	say("ready");
	if (!hear())
		die("nobody said go");

	for (;;) {
		uint64_t version, file;

		/* Before looking, so that no change after the look goes unnoticed. */
		must(shmd_value_version(worker.board.progress, &version), "read the version");
		file = claim_file(&worker);
		if (file != NONE) {
			work_on(&worker, file);
			continue;
		}
		/* Every file is taken. Those of a worker that died come back. */
		if (finished(&worker))
			break;
		must(shmd_value_wait_change(worker.board.progress, version, SHMD_FOREVER, NULL), "wait");
	}
	shmd_array_close(worker.board.claims);
	shmd_array_close(worker.board.results);
	shmd_array_close(worker.board.workers);
	shmd_value_close(worker.board.progress);
	shmd_close(client);
	return 0;
}
