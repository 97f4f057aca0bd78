/* SPDX-License-Identifier: Apache-2.0
 *
 * image.c - reads page 0 of a segment from standard input, by shmd_abi.h alone,
 * and prints "name value" for each field, then what the packed words mean: the
 * post-mortem reader that the header promises is possible.
 */
#include <shmd_abi.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static union {
	unsigned char bytes[SHMD_PAGE_SIZE];
	struct shmd_page page;
} image;

static void print(const char *name, uint64_t value)
{
	printf("%s %" PRIu64 "\n", name, value);
}

/* Reserved bytes are zero: prints how many are not. */
static void print_reserved(const char *name, const uint8_t *bytes, size_t size_bytes)
{
	uint64_t wrong = 0;
	for (size_t i = 0; i < size_bytes; i++)
		wrong += bytes[i] != 0;
	print(name, wrong);
}

#define FIELD(path) print(#path, image.page.path)
#define RESERVED(path) print_reserved(#path, image.page.path, sizeof image.page.path)

static void print_fields(void)
{
	FIELD(header.magic);
	FIELD(header.abi_version);
	FIELD(header.abi_compat);
	FIELD(header.fingerprint);
	FIELD(header.object_id);
	FIELD(header.segment_size_bytes);
	FIELD(header.data_offset_bytes);
	FIELD(header.data_size_bytes);
	FIELD(header.length);
	FIELD(header.kind);
	FIELD(header.code);
	FIELD(header.item_size_bytes);
	FIELD(header.rank);
	for (unsigned int i = 0; i < SHMD_RANK_MAX; i++) {
		char name[32];
		(void)snprintf(name, sizeof name, "header.shape.%u", i);
		print(name, image.page.header.shape[i]);
	}
	FIELD(header.flags);
	FIELD(header.seats_max);
	FIELD(header.lock_id);
	FIELD(header.created_realtime_ns);
	FIELD(header.seats_offset_bytes);
	RESERVED(header.reserved0);
	FIELD(header.state);
	FIELD(header.daemon_epoch);
	RESERVED(header.reserved1);
	FIELD(lock.word);
	FIELD(lock.deaths);
	FIELD(lock.token);
	FIELD(lock.depth);
	FIELD(lock.write_depth);
	FIELD(lock.poisoned);
	FIELD(lock.dead_owner);
	FIELD(lock.dead_pid);
	FIELD(lock.dead_uid);
	FIELD(lock.dead_realtime_ns);
	RESERVED(lock.reserved);
	FIELD(sequence.word);
	FIELD(sequence.writer);
	RESERVED(sequence.reserved);
	FIELD(change.word);
	RESERVED(change.reserved);
	FIELD(scalar.bits);
	RESERVED(scalar.reserved);
}

static void print_meaning(void)
{
	uint32_t lock = image.page.lock.word;
	uint32_t owner = lock & SHMD_OWNER_MASK;
	uint32_t held = owner != 0 && owner != SHMD_OWNER_REMOVED;
	print("held", held);
	print("owner", held ? owner : 0);
	print("seat", held ? owner & SHMD_OWNER_SEAT_MASK : 0);
	print("generation", held ? (owner & SHMD_OWNER_GENERATION_MASK) >> SHMD_OWNER_GENERATION_SHIFT : 0);
	print("inconsistent", (lock & SHMD_OWNER_INCONSISTENT) != 0);
	print("waiters", (lock & SHMD_OWNER_WAITERS) != 0);
	print("removed", owner == SHMD_OWNER_REMOVED);
	if (image.page.header.kind != SHMD_KIND_MUTEX) {
		print("odd", (image.page.sequence.word & SHMD_SEQUENCE_ODD) != 0);
		print("dirty", (image.page.sequence.word & SHMD_SEQUENCE_DIRTY) != 0);
		print("version", image.page.change.word / SHMD_CHANGE_STEP);
	}
	const uint32_t *cells = (const uint32_t *)(const void *)(image.bytes + SHMD_SEATS_OFFSET);
	uint64_t waiting = 0;
	for (uint32_t seat = 0; seat <= SHMD_SEATS_DEFAULT; seat++)
		waiting += cells[seat];
	print("waiting", waiting);
}

int main(void)
{
	if (fread(image.bytes, 1, sizeof image.bytes, stdin) != sizeof image.bytes) {
		(void)fprintf(stderr, "image: standard input is shorter than a page\n");
		return 1;
	}
	if (image.page.header.magic != SHMD_MAGIC) {
		(void)fprintf(stderr, "image: this is no shmd segment\n");
		return 1;
	}
	print_fields();
	print_meaning();
	return 0;
}
