/* SPDX-License-Identifier: Apache-2.0
 *
 * player.c - a client that does what its standard input says, one operation and
 * one answer a line: "KIND VERB NUMBER...". The words stand in tests/step/doc.go;
 * player/ is its twin in Go. After "step" the operation runs between two marks,
 * shmd_step_begin and shmd_step_end, which a tracer finds in the symbol table: it
 * stops at the first, and steps from there to the second.
 */
#define _GNU_SOURCE
#include "operations.h"

#include <stdlib.h>

/* Places that a debugger finds: one of each. Of copies clang knows nothing. */
#ifdef __clang__
#define PLACE __attribute__((noinline))
#else
#define PLACE __attribute__((noinline, noclone))
#endif

#define ARGUMENTS_MAX 3

void shmd_step_begin(void);
void shmd_step_end(void);

/* ---- Marks ---- */

PLACE void shmd_step_begin(void)
{
#if defined(__x86_64__)
	__asm__ __volatile__("int3" ::: "memory");
#elif defined(__aarch64__)
	__asm__ __volatile__("brk #0" ::: "memory");
#endif
}

PLACE void shmd_step_end(void)
{
	__asm__ __volatile__("" ::: "memory");
}

/* ---- Lines ---- */

/* What the library does once in a process, done before anything is stepped: the
 * mutex is held by another. */
static int warm(const char *name)
{
	struct shmd_mutex *held;
	int result = shmd_mutex_open(client, name, NULL, &held);
	if (result < 0)
		return result;
	result = shmd_mutex_lock(held, 1);
	shmd_mutex_close(held);
	return result == SHMD_E_TIMED_OUT ? 0 : SHMD_E_INTERNAL;
}

static void answer(int result)
{
	if (result < 0)
		printf("error %s", shmd_error_name(result));
	else
		printf("%s", result == SHMD_OWNER_DIED ? "notice" : "ok");
	for (int i = 0; i < told_count; i++)
		printf(" %" PRId64, told[i]);
	told_count = 0;
	if (printf("\n") < 0 || fflush(stdout) != 0)
		exit(3); /* whoever asked is gone */
}

static const struct operation *find(const char *kind, const char *verb)
{
	for (size_t i = 0; i < OPERATIONS_COUNT; i++)
		if (strcmp(operations[i].kind, kind) == 0 && strcmp(operations[i].verb, verb) == 0)
			return &operations[i];
	fprintf(stderr, "no such operation: %s %s\n", kind, verb);
	exit(2);
}

static int play(const struct operation *operation, const int64_t *arguments, bool marked)
{
	int result;
	if (marked) {
		shmd_step_begin();
		result = operation->run(arguments);
		shmd_step_end();
	} else {
		result = operation->run(arguments);
	}
	if (result >= 0 && operation->after != NULL) {
		int looked = operation->after();
		return looked < 0 ? looked : result;
	}
	return result;
}

static void obey(char *line)
{
	int64_t arguments[ARGUMENTS_MAX] = {0};
	char *rest;
	const char *kind = strtok_r(line, " \n", &rest);
	bool marked = kind != NULL && strcmp(kind, "step") == 0;
	if (marked)
		kind = strtok_r(NULL, " \n", &rest);
	const char *verb = strtok_r(NULL, " \n", &rest);
	if (kind == NULL || verb == NULL)
		exit(2);
	if (strcmp(verb, "open") == 0) {
		close_things();
		answer(open_thing(kind, strtok_r(NULL, " \n", &rest)));
		return;
	}
	if (strcmp(kind, "warm") == 0) {
		answer(warm(verb));
		return;
	}
	const char *word;
	for (int i = 0; i < ARGUMENTS_MAX && (word = strtok_r(NULL, " \n", &rest)) != NULL; i++)
		arguments[i] = strtoll(word, NULL, 10);
	answer(play(find(kind, verb), arguments, marked));
}

int main(void)
{
	char line[256];
	answer(shmd_connect(NULL, &client));
	while (fgets(line, sizeof line, stdin) != NULL)
		obey(line);
	close_things();
	shmd_close(client);
	return 0;
}
