/* SPDX-License-Identifier: Apache-2.0
 *
 * rival.h - the C side of the protocol between shmd-rivals and its adapters, which
 * ../doc.go describes: arguments, `ready`, `go N`, `done`, samples, and messages whose
 * bytes are checked. Also C++20; C defines _GNU_SOURCE before. An adapter has a table,
 *
 *	RIVAL_RUN(run_lock, lock_once)
 *	static const struct rival_work works[] = {
 *		{"lock", "worker", open_lock, run_lock, close_lock, RIVAL_TIMED},
 *	};
 *	int main(int argc, char **argv) { return rival_main(argc, argv, describe, works, RIVAL_COUNT(works)); }
 *
 * and finds in `rival` what it was asked for. Operations are counted from 0 over all `go`s.
 */
#ifndef SHMD_RIVALS_RIVAL_H
#define SHMD_RIVALS_RIVAL_H

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define RIVAL_COUNT(array) (sizeof(array) / sizeof *(array))

/* How `go N` is answered. */
enum rival_answer {
	RIVAL_TIMED = 0, /* by `done NS` once run(N) has returned */
	RIVAL_OWN = 1    /* by what run(N) prints */
};

struct rival_work {
	const char *workload;
	const char *role;
	void (*open)(void);          /* makes the objects if rival.makes, else opens them */
	void (*run)(uint64_t count); /* does that many operations */
	void (*close)(void);         /* gives all back, names too; a name that is gone is no error */
	enum rival_answer answer;
};

/* What the runner asked for. */
static struct {
	const char *workload;
	const char *role;
	const char *name;   /* prefix of all names outside `dir` */
	const char *dir;    /* private directory */
	const char *socket; /* of the system's server */
	const char *mode;   /* what only this system knows; "" = its default */
	const char *samples; /* file for latencies, or null */
	size_t size_bytes;  /* of a message, a multiple of 8 */
	uint64_t batch;     /* messages in a call */
	int index;          /* of this process within its role */
	int producers;
	int consumers;
	int processes;
	bool verify;        /* every byte is made and compared */
	bool touch;         /* every byte is written and read, else the first 8 */
	bool spins;         /* waits by trying again, else asleep */
	bool makes;         /* this process makes the objects: it is index 0 of the first role */

	uint64_t done;      /* operations of former `go`s */
	uint64_t sum;       /* of what was put or taken in this `go`: both sides' must agree */
	uint64_t *message;  /* what the next message is, for who copies it */
	uint64_t *pattern;  /* that, without its number */
	uint64_t pattern_sum; /* of the words without the first and the last */
	int64_t *samples_ns;
	uint64_t samples_count;
	int64_t sampled_ns; /* when the last operation ended */
	int64_t ended_ns;   /* the same, set by a run that returns later; 0 = now */
} rival;

/* ---- errors ---- */

static inline void __attribute__((format(printf, 1, 2), noreturn)) rival_fail(const char *format, ...);
static inline void rival_fail(const char *format, ...)
{
	__builtin_va_list arguments;
	__builtin_va_start(arguments, format);
	fprintf(stderr, "%s %s %d: ", rival.workload, rival.role, rival.index);
	vfprintf(stderr, format, arguments);
	fputc('\n', stderr);
	__builtin_va_end(arguments);
	exit(1);
}

/* For functions that leave an error number in errno. */
static inline void rival_must(bool is_good, const char *what)
{
	if (__builtin_expect(!is_good, 0))
		rival_fail("%s: %s", what, strerror(errno));
}

/* For functions that return an error number, 0 = good. */
static inline void rival_must_0(int error, const char *what)
{
	if (__builtin_expect(error != 0, 0))
		rival_fail("%s: %s", what, strerror(error));
}

/* Instead of `ready`: the runner shows the reason. */
static inline void __attribute__((noreturn)) rival_unsupported(const char *reason)
{
	printf("unsupported %s\n", reason);
	exit(0);
}

/* ---- clock and samples ---- */

static inline int64_t rival_now_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

/* An operation ends, and the next one begins. */
static inline void rival_sample(void)
{
	int64_t now = rival_now_ns();
	rival.samples_ns[rival.samples_count++] = now - rival.sampled_ns;
	rival.sampled_ns = now;
}

/* Defines run(count): that many turns, each timed if samples are wanted. */
#define RIVAL_RUN(run, turn)                                                                                         \
	static void run(uint64_t count)                                                                                  \
	{                                                                                                                \
		const uint64_t end = rival.done + count;                                                                     \
		if (rival.samples == NULL) {                                                                                 \
			for (uint64_t i = rival.done; i < end; i++)                                                              \
				turn(i);                                                                                             \
			return;                                                                                                  \
		}                                                                                                            \
		for (uint64_t i = rival.done; i < end; i++) {                                                                \
			turn(i);                                                                                                 \
			rival_sample();                                                                                          \
		}                                                                                                            \
	}

static inline void rival_write_samples(void)
{
	FILE *file = fopen(rival.samples, "wb");
	rival_must(file != NULL, rival.samples);
	rival_must(fwrite(rival.samples_ns, sizeof *rival.samples_ns, rival.samples_count, file) == rival.samples_count,
	           "fwrite");
	rival_must(fclose(file) == 0, "fclose");
}

/* A processor that spins says so. */
static inline void rival_pause(void)
{
#if defined(__x86_64__)
	__asm__ __volatile__("pause");
#elif defined(__aarch64__)
	__asm__ __volatile__("yield");
#endif
}

/* ---- messages ----
 * The first and the last word are its number, which has the producer's index in the upper 16
 * bits. What is between is the same in each, or with verify depends on the number. */

#define RIVAL_ANY UINT64_MAX

static inline uint64_t rival_number(uint64_t i)
{
	return (uint64_t)rival.index << 48 | i;
}

static inline uint64_t rival_word(uint64_t number, size_t j)
{
	return (number + 1) * UINT64_C(0x9e3779b97f4a7c15) + j;
}

/* Two words at once, four times over: as fast as memory, where one after the other is four
 * times as slow. gcc 12 keeps longer vectors on the stack, and an array of these, too. */
typedef uint64_t rival_words __attribute__((vector_size(16), aligned(8), may_alias));

static inline uint64_t rival_sum_of(const uint64_t *words, size_t count)
{
	rival_words a = {0, 0}, b = {0, 0}, c = {0, 0}, d = {0, 0};
	uint64_t sum = 0;
	for (; count >= 8; words += 8, count -= 8) {
		const rival_words *pairs = (const rival_words *)(const void *)words;
		a += pairs[0];
		b += pairs[1];
		c += pairs[2];
		d += pairs[3];
	}
	a += b + c + d;
	for (; count > 0; words++, count--)
		sum += *words;
	return sum + a[0] + a[1];
}

static inline void rival_make_whole(uint64_t *words, uint64_t number)
{
	size_t count = rival.size_bytes / 8;
	for (size_t j = 0; j < count; j++)
		words[j] = rival_word(number, j);
	words[0] = words[count - 1] = number;
	rival.sum += rival_word(number, count);
}

/* Writes a message where the system has it. */
static inline void rival_fill(void *to, uint64_t number)
{
	uint64_t *words = (uint64_t *)to;
	if (rival.verify) {
		rival_make_whole(words, number);
	} else if (rival.touch) {
		rival.pattern[0] = rival.pattern[rival.size_bytes / 8 - 1] = number;
		memcpy(to, rival.pattern, rival.size_bytes);
	} else {
		words[0] = number;
	}
}

/* Makes what rival_new_message returned the message of that number, for who copies it. */
static inline const void *rival_renumber(uint64_t *message, uint64_t number)
{
	if (rival.verify)
		rival_make_whole(message, number);
	else
		message[0] = message[rival.size_bytes / 8 - 1] = number;
	return message;
}

/* The same with one buffer for all, until the next call. */
static inline const void *rival_message(uint64_t number)
{
	return rival_renumber(rival.message, number);
}

static inline void rival_check_whole(const uint64_t *words, size_t count, uint64_t number)
{
	for (size_t j = 1; j + 1 < count; j++)
		if (words[j] != rival_word(number, j))
			rival_fail("message %" PRIx64 " is damaged in word %zu", number, j);
	rival.sum += rival_word(number, count);
}

/* Reads a message of size_bytes that shall have that number, or RIVAL_ANY: with verify and
 * several producers those of each come in their order, and the runner compares the sums. */
static inline void rival_check(const void *message, size_t size_bytes, uint64_t number)
{
	static uint64_t last[64]; /* of each producer, plus 1 */
	const uint64_t *words = (const uint64_t *)message;
	size_t count = rival.size_bytes / 8;
	if (__builtin_expect(size_bytes != rival.size_bytes, 0))
		rival_fail("a message of %zu bytes instead of %zu", size_bytes, rival.size_bytes);
	uint64_t got = words[0];
	if (number != RIVAL_ANY && __builtin_expect(got != number, 0))
		rival_fail("message %" PRIx64 " instead of %" PRIx64, got, number);
	if (rival.verify) {
		if (words[count - 1] != got)
			rival_fail("message %" PRIx64 " has another one's end", got);
		uint64_t *of_producer = &last[got >> 48 & 63];
		uint64_t i = (got & ((UINT64_C(1) << 48) - 1)) + 1;
		if (i <= *of_producer)
			rival_fail("message %" PRIx64 " came after a later one, or twice", got);
		*of_producer = i;
		rival_check_whole(words, count, got);
	} else if (rival.touch && count > 1) {
		if (__builtin_expect(rival_sum_of(words, count) != rival.pattern_sum + 2 * got, 0))
			rival_fail("message %" PRIx64 " is damaged", got);
	}
}

/* What a consumer of `oneway` expects: with one producer each message in turn. */
static inline uint64_t rival_expected(uint64_t i)
{
	return rival.producers <= 1 && rival.consumers <= 1 ? i : RIVAL_ANY;
}

/* How many messages a bounded queue shall hold. */
static inline uint32_t rival_queue_max(void)
{
	return rival.size_bytes <= 4096 ? 1024 : rival.size_bytes <= 65536 ? 64 : 8;
}

static inline uint64_t *rival_new_message(void)
{
	uint64_t *words = (uint64_t *)aligned_alloc(64, (rival.size_bytes + 63) / 64 * 64);
	rival_must(words != NULL, "aligned_alloc");
	for (size_t j = 0; j < rival.size_bytes / 8; j++)
		words[j] = rival_word(0, j);
	return words;
}

static inline void rival_make_messages(void)
{
	size_t count = rival.size_bytes / 8;
	if (rival.size_bytes == 0 || rival.size_bytes % 8 != 0)
		rival_fail("size=%zu is no multiple of 8", rival.size_bytes);
	rival.message = rival_new_message();
	rival.pattern = rival_new_message();
	for (size_t j = 1; j + 1 < count; j++)
		rival.pattern_sum += rival.pattern[j];
}

/* ---- deaths ---- */

/* run of the owner and the waiter of `recovery`, with RIVAL_OWN. */
static inline void rival_hold(void (*lock)(void))
{
	lock();
	puts("held");
}

static inline void rival_wait(void (*lock)(void))
{
	puts("waiting");
	fflush(stdout);
	lock();
	printf("done %" PRId64 "\n", rival_now_ns());
}

/* ---- the protocol ---- */

static inline const char *rival_value(int argc, char **argv, const char *key)
{
	size_t length = strlen(key);
	for (int i = 3; i < argc; i++)
		if (strncmp(argv[i], key, length) == 0 && argv[i][length] == '=')
			return argv[i] + length + 1;
	return NULL;
}

static inline uint64_t rival_integer(int argc, char **argv, const char *key, uint64_t otherwise)
{
	const char *text = rival_value(argc, argv, key);
	if (text == NULL)
		return otherwise;
	char *end;
	errno = 0;
	unsigned long long value = strtoull(text, &end, 10);
	if (*text < '0' || *text > '9' || *end != '\0' || errno != 0)
		rival_fail("%s=%s is no number", key, text);
	return value;
}

static inline const char *rival_text(int argc, char **argv, const char *key, const char *otherwise)
{
	const char *text = rival_value(argc, argv, key);
	return text != NULL ? text : otherwise;
}

static inline void rival_parse(int argc, char **argv)
{
	rival.workload = argv[1];
	rival.role = argv[2];
	rival.name = rival_text(argc, argv, "name", "rival");
	rival.dir = rival_text(argc, argv, "dir", ".");
	rival.socket = rival_text(argc, argv, "socket", "");
	rival.mode = rival_text(argc, argv, "mode", "");
	rival.samples = rival_value(argc, argv, "samples");
	rival.size_bytes = rival_integer(argc, argv, "size", 8);
	rival.batch = rival_integer(argc, argv, "batch", 1);
	rival.index = (int)rival_integer(argc, argv, "index", 0);
	rival.producers = (int)rival_integer(argc, argv, "producers", 1);
	rival.consumers = (int)rival_integer(argc, argv, "consumers", 1);
	rival.processes = (int)rival_integer(argc, argv, "processes", 1);
	rival.verify = rival_integer(argc, argv, "verify", 0) != 0;
	rival.touch = rival_integer(argc, argv, "touch", 1) != 0;
	rival.spins = strcmp(rival_text(argc, argv, "wait", "block"), "spin") == 0;
	static const char *const second[] = {"pong", "take", "waiter"};
	rival.makes = rival.index == 0;
	for (size_t i = 0; i < RIVAL_COUNT(second); i++)
		if (strcmp(rival.role, second[i]) == 0)
			rival.makes = false;
	rival_make_messages();
}

static inline void rival_go(const struct rival_work *work, uint64_t count)
{
	if (work->answer == RIVAL_OWN) {
		work->run(count);
		return;
	}
	if (rival.samples != NULL) {
		free(rival.samples_ns);
		rival.samples_ns = (int64_t *)calloc(count + 1, sizeof *rival.samples_ns);
		rival_must(rival.samples_ns != NULL, "calloc");
		rival.samples_count = 0;
	}
	rival.sum = 0;
	rival.ended_ns = 0;
	int64_t begin = rival_now_ns();
	rival.sampled_ns = begin;
	work->run(count);
	int64_t end = rival.ended_ns != 0 ? rival.ended_ns : rival_now_ns();
	rival.done += count;
	if (rival.samples != NULL)
		rival_write_samples();
	printf("done %" PRId64 " begin=%" PRId64 " end=%" PRId64, end - begin, begin, end);
	if (rival.verify)
		printf(" sum=%" PRIu64, rival.sum);
	putchar('\n');
}

static inline int rival_serve(const struct rival_work *work)
{
	work->open();
	puts("ready");
	fflush(stdout);
	char line[64];
	while (fgets(line, sizeof line, stdin) != NULL) {
		uint64_t count;
		if (sscanf(line, "go %" SCNu64, &count) != 1)
			rival_fail("no command: %s", line);
		rival_go(work, count);
		fflush(stdout);
	}
	work->close();
	return 0;
}

/* describe prints one line: the system, its version, how it is set. */
static inline int rival_main(int argc, char **argv, void (*describe)(void), const struct rival_work *works,
                             size_t count)
{
	if (argc == 2 && strcmp(argv[1], "describe") == 0) {
		describe();
		return 0;
	}
	if (argc < 3) {
		fprintf(stderr, "usage: %s WORKLOAD ROLE KEY=VALUE..., or describe\n", argv[0]);
		return 2;
	}
	rival_parse(argc, argv);
	for (size_t i = 0; i < count; i++)
		if (strcmp(works[i].workload, rival.workload) == 0 && strcmp(works[i].role, rival.role) == 0)
			return rival_serve(&works[i]);
	rival_unsupported("has no such operation");
}

#endif /* SHMD_RIVALS_RIVAL_H */
