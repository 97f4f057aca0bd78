/* SPDX-License-Identifier: Apache-2.0
 *
 * forker.c - clients that fork: forker child|orphan|daemonise. The array "data"
 * is there; the process that connected has it open and locked. Both processes
 * say what they get, a line each, in an order that a pipe enforces.
 */
#define _GNU_SOURCE
#include <shmd.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void say(const char *who, const char *what)
{
	if (printf("%s %s\n", who, what) < 0 || fflush(stdout) != 0)
		exit(3);
}

static void say_result(const char *who, int result)
{
	say(who, result == SHMD_OWNER_DIED ? "OWNER_DIED" : shmd_error_name(result));
}

static void must(const char *what, int result)
{
	if (result >= 0)
		return;
	fprintf(stderr, "%s: %s: %s\n", what, shmd_strerror(result), shmd_last_error());
	exit(1);
}

static void must_end(pid_t child)
{
	int status;
	if (waitpid(child, &status, 0) != child || status != 0) {
		fprintf(stderr, "the child ended with %d\n", status);
		exit(1);
	}
}

static void connect_and_open(struct shmd_client **client, struct shmd_array **array)
{
	must("connect", shmd_connect(NULL, client));
	must("open", shmd_array_open(*client, "data", 'q', 0, NULL, NULL, array));
}

/* A line from the test, or the end of its input. */
static void wait_for_test(void)
{
	char line[16];
	if (read(STDIN_FILENO, line, sizeof line) < 0)
		exit(3);
}

/* The child of a mapped client: handles refuse, memory stays, its own work. */
static void child_of_mapped(struct shmd_client *client, struct shmd_array *array)
{
	int64_t *cells = shmd_array_data(array);
	int64_t item;
	say_result("child lock", shmd_array_lock(array, 0));
	say_result("child unlock", shmd_array_unlock(array));
	say_result("child load", shmd_array_load(array, 0, &item));
	say_result("child unlink", shmd_unlink(client, "data"));
	cells[1] = cells[0] + 1; /* seen by the parent */
	shmd_array_close(array);
	shmd_close(client);
	connect_and_open(&client, &array);
	say_result("child try", shmd_array_lock(array, 0)); /* the parent holds it */
	say("child", "ready");
	say_result("child own lock", shmd_array_lock(array, SHMD_FOREVER));
	say_result("child own unlock", shmd_array_unlock(array));
	shmd_array_close(array);
	shmd_close(client);
	exit(0);
}

static void scenario_child(struct shmd_client *client, struct shmd_array *array)
{
	int64_t *cells = shmd_array_data(array);
	cells[0] = 41;
	pid_t child = fork();
	if (child == 0)
		child_of_mapped(client, array);
	wait_for_test(); /* the child is ready, and about to wait for the lock */
	say("parent", cells[1] == 42 ? "sees 42" : "sees something else");
	say_result("parent unlock", shmd_array_unlock(array));
	must_end(child);
	say_result("parent lock", shmd_array_lock(array, SHMD_FOREVER));
	say_result("parent unlock", shmd_array_unlock(array));
	shmd_array_close(array);
	shmd_close(client);
}

/* The parent is killed with the lock; its child keeps socket and mapping. */
static void scenario_orphan(void)
{
	char text[32];
	pid_t child = fork();
	if (child == 0) {
		wait_for_test();
		exit(0);
	}
	snprintf(text, sizeof text, "%d", (int)child);
	say("child", text);
	must_end(child);
}

static int find_socket(void)
{
	for (int fd = 3; fd < 1024; fd++) {
		struct stat about;
		if (fstat(fd, &about) == 0 && S_ISSOCK(about.st_mode))
			return fd;
	}
	fprintf(stderr, "no socket among the descriptors\n");
	exit(1);
}

/* The child speaks on its parent's connection, past the library. */
static void speak_for_parent(void)
{
	static const char ping[] = "\x94\x00\x7f\xa4ping\x90";
	char answer[4096];
	size_t size_bytes = 0;
	ssize_t received;
	int fd = find_socket();
	if (send(fd, ping, sizeof ping - 1, MSG_NOSIGNAL) != (ssize_t)sizeof ping - 1) {
		say("child", "cannot send");
		exit(1);
	}
	while ((received = recv(fd, answer + size_bytes, sizeof answer - size_bytes, 0)) > 0)
		size_bytes += (size_t)received;
	say("child is told", memmem(answer, size_bytes, "IDENTITY", 8) != NULL ? "IDENTITY" : "something else");
	say("child sees", received == 0 ? "the end" : "an error");
	struct shmd_client *client;
	struct shmd_array *array;
	connect_and_open(&client, &array);
	say("child", "connected");
	shmd_array_close(array);
	shmd_close(client);
	exit(0);
}

static void scenario_daemonise(struct shmd_client *client)
{
	pid_t child = fork();
	if (child == 0)
		speak_for_parent();
	must_end(child);
	int result = shmd_unlink(client, "nothing");
	say_result("parent", result);
	wait_for_test();
}

int main(int argc, char **argv)
{
	struct shmd_client *client;
	struct shmd_array *array;
	if (argc != 2)
		return 2;
	connect_and_open(&client, &array);
	must("lock", shmd_array_lock(array, 0));
	say("parent", "locked");
	if (strcmp(argv[1], "child") == 0)
		scenario_child(client, array);
	else if (strcmp(argv[1], "orphan") == 0)
		scenario_orphan();
	else
		scenario_daemonise(client);
	return 0;
}
