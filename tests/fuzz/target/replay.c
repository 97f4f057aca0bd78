/* SPDX-License-Identifier: Apache-2.0
 *
 * replay.c - runs a fuzz target without a fuzzer: over files, and over so many inputs that
 * are made of each by changing bytes at random, by a seed.
 *
 *	replay ROUNDS SEED FILE...
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INPUT_BYTES_MAX ((size_t)64 << 10)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes);
extern unsigned long answers_opened;

static uint64_t state;

/* splitmix64 */
static uint64_t next_random(void)
{
	uint64_t x = state += 0x9e3779b97f4a7c15;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
	x = (x ^ x >> 27) * 0x94d049bb133111eb;
	return x ^ x >> 31;
}

/* Of its exact size, so that a sanitizer sees a byte too many. */
static void run(const uint8_t *bytes, size_t size_bytes)
{
	uint8_t *copy = malloc(size_bytes > 0 ? size_bytes : 1);
	if (copy == NULL)
		abort();
	memcpy(copy, bytes, size_bytes);
	(void)LLVMFuzzerTestOneInput(copy, size_bytes);
	free(copy);
}

static void mutate(const uint8_t *bytes, size_t size_bytes)
{
	static uint8_t changed[INPUT_BYTES_MAX];
	static const uint8_t likely[] = {0, 1, 0x7f, 0x80, 0xc0, 0xcf, 0xdd, 0xdf, 0xff};
	memcpy(changed, bytes, size_bytes);
	for (uint64_t n = 1 + next_random() % 8; n > 0 && size_bytes > 0; n--) {
		size_t place = (size_t)(next_random() % size_bytes);
		uint64_t random = next_random();
		switch (random % 4) {
		case 0: changed[place] = (uint8_t)(random >> 8); break;
		case 1: changed[place] ^= (uint8_t)(1u << (random >> 8) % 8); break;
		case 2: changed[place] = likely[(random >> 8) % sizeof likely]; break;
		default:
			if (random % 32 == 3)
				size_bytes = place;
		}
	}
	run(changed, size_bytes);
}

int main(int argc, char **argv)
{
	if (argc < 4) {
		fprintf(stderr, "usage: %s ROUNDS SEED FILE...\n", argv[0]);
		return 2;
	}
	unsigned long rounds = strtoul(argv[1], NULL, 10);
	state = strtoull(argv[2], NULL, 10);
	for (int i = 3; i < argc; i++) {
		static uint8_t bytes[INPUT_BYTES_MAX];
		FILE *file = fopen(argv[i], "rb");
		if (file == NULL) {
			perror(argv[i]);
			return 1;
		}
		size_t size_bytes = fread(bytes, 1, sizeof bytes, file);
		fclose(file);
		run(bytes, size_bytes);
		for (unsigned long n = 0; n < rounds; n++)
			mutate(bytes, size_bytes);
	}
	printf("%lu objects opened\n", answers_opened);
	return 0;
}
