/* SPDX-License-Identifier: Apache-2.0
 *
 * client.c - a client that does what its standard input says, one command and
 * one answer a line, and dies where it is told to. The commands are those of
 * tests/crash/client_test.go.
 */
#define _GNU_SOURCE
#include <shmd.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define THINGS_MAX 8
#define TRY_NS 50000 /* long enough to sleep, short enough to leave without the lock */

/* An open mutex or array; one of the two is null. */
struct thing {
	char name[64];
	struct shmd_mutex *mutex;
	struct shmd_array *array;
};

static struct shmd_client *client;
static struct thing things[THINGS_MAX];

static void say(const char *text)
{
	if (printf("%s\n", text) < 0 || fflush(stdout) != 0)
		exit(3); /* whoever asked is gone */
}

static void say_result(int result)
{
	char text[64];
	if (result >= 0) {
		say("ok");
		return;
	}
	fprintf(stderr, "%s: %s\n", shmd_strerror(result), shmd_last_error());
	snprintf(text, sizeof text, "error %s", shmd_error_name(result));
	say(text);
}

static struct thing *find(const char *name)
{
	for (int i = 0; i < THINGS_MAX; i++)
		if (strcmp(things[i].name, name) == 0)
			return &things[i];
	fprintf(stderr, "%s is not open\n", name);
	exit(2);
}

static int open_thing(const char *kind, const char *name)
{
	struct thing *thing = find("");
	int result;
	if (strcmp(kind, "mutex") == 0)
		result = shmd_mutex_open(client, name, NULL, &thing->mutex);
	else
		result = shmd_array_open(client, name, 'q', 0, NULL, NULL, &thing->array);
	if (result == 0)
		snprintf(thing->name, sizeof thing->name, "%s", name);
	return result;
}

static int close_thing(struct thing *thing)
{
	shmd_mutex_close(thing->mutex);
	shmd_array_close(thing->array);
	memset(thing, 0, sizeof *thing);
	return 0;
}

static int lock(const struct thing *thing, int64_t timeout_ns)
{
	return thing->mutex != NULL ? shmd_mutex_lock(thing->mutex, timeout_ns) : shmd_array_lock(thing->array, timeout_ns);
}

static int unlock(const struct thing *thing)
{
	return thing->mutex != NULL ? shmd_mutex_unlock(thing->mutex) : shmd_array_unlock(thing->array);
}

static int mark(const struct thing *thing)
{
	return thing->mutex != NULL ? shmd_mutex_mark_consistent(thing->mutex)
	                            : shmd_array_mark_consistent(thing->array);
}

static void say_lock(const struct thing *thing, int64_t timeout_ns)
{
	int result = lock(thing, timeout_ns);
	if (result < 0) {
		say_result(result);
		return;
	}
	if (result == 0) {
		say("held");
		return;
	}
	struct shmd_notice notice;
	result = thing->mutex != NULL ? shmd_mutex_notice(thing->mutex, &notice) : shmd_array_notice(thing->array, &notice);
	if (result < 0) {
		say_result(result);
		return;
	}
	char text[160];
	snprintf(text, sizeof text, "notice %" PRIu32 " %" PRIu32 " %" PRIu32 " %" PRIu32 " %" PRIu64, notice.seat,
	         notice.pid, notice.uid, notice.deaths, notice.died_realtime_ns);
	say(text);
}

/* The first two elements, as one cut. */
static void say_pair(const struct thing *thing)
{
	int64_t pair[2];
	int result = shmd_array_read(thing->array, 0, 2, SHMD_FOREVER, pair, NULL);
	if (result < 0) {
		say_result(result);
		return;
	}
	char text[96];
	snprintf(text, sizeof text, "values %" PRId64 " %" PRId64 " %s", pair[0], pair[1],
	         result == SHMD_OWNER_DIED ? "dirty" : "clean");
	say(text);
}

static void must(const char *what, int result)
{
	if (result >= 0)
		return;
	fprintf(stderr, "%s: %s: %s\n", what, shmd_strerror(result), shmd_last_error());
	exit(1);
}

/* Puts right what a worker left that died: see repair in worker_test.go. */
static void repair(struct shmd_array *array, int64_t *cells)
{
	int64_t sum = 0;
	for (uint64_t i = 3; i < shmd_array_length(array); i++)
		sum += cells[i];
	must("begin", shmd_array_begin_write(array));
	if (cells[0] == cells[1] + 1 && sum == cells[1]) {
		cells[0]--;
	} else if (cells[0] == cells[1] + 1 && sum == cells[0]) {
		cells[1]++;
	} else if (cells[0] != cells[1] || sum != cells[0]) {
		fprintf(stderr, "broken: a %" PRId64 ", b %" PRId64 ", sum %" PRId64 "\n", cells[0], cells[1], sum);
		exit(1);
	}
	must("end", shmd_array_end_write(array));
	must("mark", shmd_array_mark_consistent(array));
}

/* Counts under the lock until cell 2 says stop: cell 0, its own slot, cell 1. */
static void work(struct shmd_array *array, uint64_t slot)
{
	int64_t *cells = shmd_array_data(array);
	for (uint64_t turn = 0;; turn++) {
		int result = shmd_array_lock(array, turn % 4 == 3 ? TRY_NS : SHMD_FOREVER);
		if (result == SHMD_E_TIMED_OUT)
			continue;
		must("lock", result);
		if (result == SHMD_OWNER_DIED)
			repair(array, cells);
		bool stop = __atomic_load_n(&cells[2], __ATOMIC_RELAXED) != 0;
		if (!stop) {
			must("begin", shmd_array_begin_write(array));
			cells[0]++;
			cells[slot]++;
			cells[1]++;
			must("end", shmd_array_end_write(array));
		}
		must("unlock", shmd_array_unlock(array));
		if (stop)
			return;
	}
}

/* Closes the connection under the library's hands, as a program does that closes
 * every descriptor it does not know. */
static int close_sockets(void)
{
	int closed = 0;
	for (int fd = 3; fd < 1024; fd++) {
		struct stat about;
		if (fstat(fd, &about) == 0 && S_ISSOCK(about.st_mode) && close(fd) == 0)
			closed++;
	}
	return closed == 1 ? 0 : SHMD_E_INTERNAL;
}

static void obey(const char *line, char **argv)
{
	char verb[16] = "", name[64] = "", argument[64] = "";
	uint64_t index = 0;
	int64_t number = 0;
	sscanf(line, "%15s %63s %63s", verb, name, argument);
	if (strcmp(verb, "open") == 0) {
		say_result(open_thing(name, argument)); /* open KIND NAME */
		return;
	}
	if (strcmp(verb, "closesocket") == 0) {
		say_result(close_sockets());
		return;
	}
	if (strcmp(verb, "exec") == 0) {
		execl("/proc/self/exe", argv[0], "idle", (char *)NULL);
		say("error SYSTEM");
		return;
	}
	struct thing *thing = find(name);
	if (strcmp(verb, "close") == 0) {
		say_result(close_thing(thing));
	} else if (strcmp(verb, "lock") == 0) {
		say_lock(thing, argument[0] != '\0' ? strtoll(argument, NULL, 10) : SHMD_FOREVER);
	} else if (strcmp(verb, "unlock") == 0) {
		say_result(unlock(thing));
	} else if (strcmp(verb, "mark") == 0) {
		say_result(mark(thing));
	} else if (strcmp(verb, "begin") == 0) {
		say_result(shmd_array_begin_write(thing->array));
	} else if (strcmp(verb, "end") == 0) {
		say_result(shmd_array_end_write(thing->array));
	} else if (strcmp(verb, "set") == 0) {
		sscanf(line, "%*s %*s %" SCNu64 " %" SCNd64, &index, &number);
		((int64_t *)shmd_array_data(thing->array))[index] = number;
		say("ok");
	} else if (strcmp(verb, "pair") == 0) {
		say_pair(thing);
	} else if (strcmp(verb, "work") == 0) {
		say("ok");
		work(thing->array, strtoull(argument, NULL, 10));
		say("done");
	} else {
		fprintf(stderr, "no such command: %s\n", line);
		exit(2);
	}
}

int main(int argc, char **argv)
{
	char line[256];
	if (argc > 1) { /* after exec: the same process, another program */
		say("idle");
		return fgets(line, sizeof line, stdin) == NULL ? 0 : 1;
	}
	struct shmd_connect_options options = {.size = sizeof options, .reattach_timeout_ns = 120000000000};
	int result = shmd_connect(&options, &client);
	if (result < 0) {
		say_result(result);
		return 0;
	}
	say("ok");
	while (fgets(line, sizeof line, stdin) != NULL)
		obey(line, argv);
	for (int i = 0; i < THINGS_MAX; i++)
		close_thing(&things[i]);
	shmd_close(client);
	return 0;
}
