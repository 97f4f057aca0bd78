/* SPDX-License-Identifier: Apache-2.0
 *
 * element.c - walks over the elements of an array and over memory from malloc.
 * Usage: element SOCKET NAME. Reads "COMMAND LOOPS" lines, answers ns per element.
 */
#define _GNU_SOURCE
#include "bench.h"

/* noinline: one piece of code for both, and none of it hoisted out of the loop. */
static __attribute__((noinline)) int32_t sum(const int32_t *items, uint64_t count)
{
	uint32_t total = 0;
	for (uint64_t i = 0; i < count; i++)
		total += (uint32_t)items[i];
	return (int32_t)total;
}

static __attribute__((noinline)) int32_t scale(int32_t *items, uint64_t count)
{
	for (uint64_t i = 0; i < count; i++)
		items[i] = (int32_t)((uint32_t)items[i] * 3 + 1);
	return items[0];
}

static double walk(bool update, int32_t *items, uint64_t count, int loops)
{
	int64_t begin = now_ns();
	int32_t kept = 0;
	for (int i = 0; i < loops; i++) {
		kept ^= update ? scale(items, count) : sum(items, count);
		__asm__ __volatile__("" : : "r"(kept) : "memory"); /* each walk is wanted, and finds memory changed */
	}
	return (double)(now_ns() - begin) / ((double)loops * (double)count);
}

int main(int argc, char **argv)
{
	if (argc != 3) {
		fprintf(stderr, "usage: element SOCKET NAME\n");
		return 2;
	}
	struct shmd_client *client = connect_to(argv[1]);
	struct shmd_array *array;
	must(shmd_array_open(client, argv[2], 'i', 0, NULL, NULL, &array), "open");
	uint64_t count = shmd_array_length(array);
	int32_t *shared = shmd_array_data(array);
	int32_t *plain = aligned_alloc(64, count * sizeof *plain);
	if (plain == NULL) {
		fprintf(stderr, "element: no memory\n");
		return 1;
	}
	memset(plain, 0, count * sizeof *plain);

	char command[32];
	int loops;
	while (scanf("%31s %d", command, &loops) == 2) {
		bool update = strncmp(command, "update", 6) == 0;
		int32_t *items = strstr(command, "-shared") != NULL ? shared : plain;
		printf("%.6f\n", walk(update, items, count, loops));
		fflush(stdout);
	}
	free(plain);
	shmd_array_close(array);
	shmd_close(client);
	return 0;
}
