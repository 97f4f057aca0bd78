/* SPDX-License-Identifier: Apache-2.0
 *
 * hostile.c - opens an array, or a queue with a long message, as often as it is told
 * to, one connection each, and prints what came of it. hostile_test.go plays the
 * daemon, badly.
 *
 *	hostile SOCKET array|queue
 */
#define _GNU_SOURCE
#include <shmd.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int open_descriptors(void)
{
	int count = 0;
	for (int fd = 0; fd < 256; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

/* What a program does with an array that it was given. */
static int use(struct shmd_client *client)
{
	struct shmd_array *array;
	int result = shmd_array_open(client, "hostile", 0, 0, NULL, NULL, &array);
	if (result < 0)
		return result;
	size_t size_bytes = shmd_array_length(array) * shmd_array_item_size_bytes(array);
	void *items = calloc(1, size_bytes);
	if (items != NULL) {
		result = shmd_array_write(array, 0, shmd_array_length(array), 0, items);
		if (result >= 0)
			result = shmd_array_read(array, 0, shmd_array_length(array), 0, items, NULL);
	}
	free(items);
	shmd_array_close(array);
	return result;
}

#define PUT_SIZE 9000

/* Reads the message there is, and puts another; what came of each. */
static int pass_on(struct shmd_queue *queue, int *ret_put)
{
	static unsigned char message[PUT_SIZE];
	struct shmd_lease lease;
	int result = shmd_queue_lease(queue, 0, &lease);
	if (result == 0) {
		memcpy(message, lease.message, lease.size_bytes);
		result = shmd_queue_ack(queue, &lease);
	}
	*ret_put = shmd_queue_put(queue, message, sizeof message, 0);
	return result;
}

static int use_queue(struct shmd_client *client)
{
	struct shmd_queue *queue;
	int result = shmd_queue_open(client, "hostile", NULL, &queue);
	if (result < 0)
		return result;
	int put = 0;
	result = pass_on(queue, &put);
	/* Whatever failed has left no lease and no slot behind. */
	struct shmd_queue_counts counts = {0};
	uint32_t ready = (uint32_t)(result < 0) + (uint32_t)(put == 0);
	if (shmd_queue_counts(queue, &counts) < 0 || counts.ready != ready || counts.leased + counts.writing > 0)
		printf("something left; ");
	printf("%s ", shmd_error_name(result));
	shmd_queue_close(queue);
	return put;
}

int main(int count, char **arguments)
{
	if (count < 3)
		return 2;
	char line[16];
	setvbuf(stdout, NULL, _IOLBF, 0);
	int before = open_descriptors();
	while (fgets(line, sizeof line, stdin) != NULL) {
		struct shmd_connect_options options = {.size = sizeof options, .socket_path = arguments[1]};
		struct shmd_client *client;
		int result = shmd_connect(&options, &client);
		if (result == 0) {
			result = strcmp(arguments[2], "queue") == 0 ? use_queue(client) : use(client);
			shmd_close(client);
		}
		int leaked = open_descriptors() - before;
		if (leaked != 0)
			printf("%d descriptors leaked; %s\n", leaked, shmd_error_name(result));
		else
			printf("%s\n", shmd_error_name(result));
	}
	return 0;
}
