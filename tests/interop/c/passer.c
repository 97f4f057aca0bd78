/* SPDX-License-Identifier: Apache-2.0
 *
 * passer.c - passes an anonymous value on by a ticket, and exits:
 *
 *	passer give TIMEOUT_NS      creates one that is 42, and prints its id and a ticket
 *	passer take ID TICKET       opens it, says what it is, and opens it once more
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <shmd.h>

static int give(struct shmd_client *client, int64_t timeout_ns)
{
	int first = 42;
	struct shmd_create_options options = {.size = sizeof options, .init = &first, .init_count = 1};
	struct shmd_value *value;
	struct shmd_ticket ticket;
	int result = shmd_value_create(client, NULL, 'i', &options, &value);
	if (result < 0)
		return result;
	uint64_t id = shmd_value_id(value);
	result = shmd_ticket(client, id, timeout_ns, &ticket);
	if (result < 0) {
		shmd_value_close(value);
		return result;
	}
	printf("%" PRIu64 " ", id);
	for (size_t i = 0; i < sizeof ticket.bytes; i++)
		printf("%02x", ticket.bytes[i]);
	printf("\n");
	shmd_value_close(value);
	return 0;
}

static int take(struct shmd_client *client, const char *id, const char *hex)
{
	struct shmd_ticket ticket;
	for (size_t i = 0; i < sizeof ticket.bytes; i++) {
		unsigned int byte;
		if (sscanf(hex + 2 * i, "%2x", &byte) != 1)
			return SHMD_E_INVALID;
		ticket.bytes[i] = (unsigned char)byte;
	}
	struct shmd_open_options options = {.size = sizeof options, .id = strtoull(id, NULL, 10), .ticket = &ticket};
	struct shmd_value *value;
	struct shmd_value *again;
	int result = shmd_value_open(client, NULL, 'i', &options, &value);
	if (result < 0)
		return result;
	int is = 0;
	result = shmd_value_load(value, &is);
	if (result == 0)
		printf("%d, then %s\n", is, shmd_error_name(shmd_value_open(client, NULL, 'i', &options, &again)));
	shmd_value_close(value);
	return result;
}

int main(int argc, char **argv)
{
	struct shmd_client *client;
	int result = shmd_connect(NULL, &client);
	if (result == 0 && argc == 3 && strcmp(argv[1], "give") == 0)
		result = give(client, strtoll(argv[2], NULL, 10));
	else if (result == 0 && argc == 4 && strcmp(argv[1], "take") == 0)
		result = take(client, argv[2], argv[3]);
	if (result < 0)
		printf("%s: %s\n", shmd_error_name(result), shmd_last_error());
	shmd_close(client);
	return 0;
}
