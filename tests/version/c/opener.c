/* SPDX-License-Identifier: Apache-2.0
 *
 * opener.c - opens a value and prints what is in it, or why it cannot.
 * Usage: opener SOCKET NAME
 */
#include "shmd.h"

#include <inttypes.h>
#include <stdio.h>

static int fail(int result)
{
	printf("%s: %s\n", shmd_error_name(result), shmd_last_error());
	return 1;
}

int main(int argc, char **argv)
{
	if (argc != 3) {
		fprintf(stderr, "usage: opener SOCKET NAME\n");
		return 2;
	}
	struct shmd_connect_options options = {.size = sizeof options, .socket_path = argv[1]};
	struct shmd_client *client;
	int result = shmd_connect(&options, &client);
	if (result < 0)
		return fail(result);
	struct shmd_value *value;
	int64_t is = 0;
	result = shmd_value_open(client, argv[2], 'q', NULL, &value);
	if (result == 0) {
		result = shmd_value_load(value, &is);
		value = shmd_value_close(value);
	}
	if (result < 0) {
		shmd_close(client);
		return fail(result);
	}
	printf("%" PRId64 "\n", is);
	shmd_close(client);
	return 0;
}
