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
	struct {
		struct shmd_header header;
		union {
			struct shmd_semaphore_lines semaphore;
			struct shmd_queue_lines queue;
			struct shmd_event_lines event;
			struct shmd_condition_lines condition;
			struct shmd_barrier_lines barrier;
			struct shmd_rwlock_lines rwlock;
			struct shmd_ring_lines ring;
		};
	} of;
} image;

/* Where the cells that differ by kind begin, behind the seat cells. */
#define CELLS_OFFSET ((SHMD_SEATS_OFFSET + (SHMD_SEATS_DEFAULT + 1) * sizeof(struct shmd_seat_cell) + 63) / 64 * 64)

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
/* The same for what a kind has of its own. */
#define OWN_FIELD(path) print(#path, image.of.path)
#define OWN_RESERVED(path) print_reserved(#path, image.of.path, sizeof image.of.path)

static void print_header(void)
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
}

static void print_fields(void)
{
	FIELD(lock.word);
	FIELD(lock.poisoned);
	FIELD(lock.token);
	FIELD(lock.depth);
	FIELD(lock.write_depth);
	FIELD(lock.death.count);
	FIELD(lock.death.owner);
	FIELD(lock.death.pid);
	FIELD(lock.death.uid);
	FIELD(lock.death.realtime_ns);
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
}

/* Of plain 32-bit cells, one for each seat. */
static uint64_t sum_cells(size_t offset_bytes)
{
	const uint32_t *cells = (const uint32_t *)(const void *)(image.bytes + offset_bytes);
	uint64_t sum = 0;
	for (uint32_t seat = 0; seat <= SHMD_SEATS_DEFAULT; seat++)
		sum += cells[seat];
	return sum;
}

static void print_semaphore(void)
{
	OWN_FIELD(semaphore.word);
	OWN_RESERVED(semaphore.reserved0);
	OWN_FIELD(semaphore.latch);
	OWN_FIELD(semaphore.available);
	OWN_FIELD(semaphore.total);
	OWN_RESERVED(semaphore.reserved1);
	OWN_FIELD(semaphore.one);
	OWN_RESERVED(semaphore.reserved2);
	OWN_FIELD(semaphore.many);
	OWN_RESERVED(semaphore.reserved3);

	const struct shmd_semaphore_lines *semaphore = &image.of.semaphore;
	if ((image.of.header.flags & SHMD_FLAG_UNDO) != 0) {
		print("available", semaphore->available);
		print("held", sum_cells(CELLS_OFFSET));
		print("waiters", ((semaphore->one | semaphore->many) & SHMD_EVENTCOUNT_WAITERS) != 0);
	} else {
		uint32_t word = semaphore->word != SHMD_SEMAPHORE_REMOVED ? semaphore->word : 0;
		print("available", (word & SHMD_SEMAPHORE_PERMITS_MASK) / SHMD_SEMAPHORE_STEP);
		print("held", 0);
		print("waiters", (word & SHMD_SEMAPHORE_WAITERS) != 0);
	}
	print("removed", image.of.header.state == SHMD_STATE_REMOVED);
}

static void print_slot(uint32_t slot, const struct shmd_queue_desc *desc)
{
	const struct {
		const char *name;
		uint64_t value;
	} fields[] = {
		{"state", desc->state},
		{"seq", desc->seq},
		{"length", desc->length},
		{"side", desc->side},
		{"ticket", desc->ticket},
		{"is", (desc->state & SHMD_SLOT_STATE_MASK) >> SHMD_SLOT_STATE_SHIFT},
		{"deliveries", (desc->state & SHMD_SLOT_DELIVERIES_MASK) >> SHMD_SLOT_DELIVERIES_SHIFT},
		{"owner", desc->state & SHMD_OWNER_MASK},
	};
	for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
		printf("slot.%" PRIu32 ".%s %" PRIu64 "\n", slot, fields[i].name, fields[i].value);
}

static void print_queue(void)
{
	OWN_FIELD(queue.put_latch);
	OWN_FIELD(queue.writing_count);
	OWN_FIELD(queue.next_seq);
	OWN_FIELD(queue.ready_tail);
	OWN_FIELD(queue.free_head);
	OWN_FIELD(queue.fresh);
	OWN_RESERVED(queue.reserved0);
	OWN_FIELD(queue.take_latch);
	OWN_FIELD(queue.leased_count);
	OWN_FIELD(queue.dead_count);
	OWN_FIELD(queue.reserved1);
	OWN_FIELD(queue.ready_head);
	OWN_FIELD(queue.free_tail);
	OWN_FIELD(queue.expiry_ns);
	OWN_RESERVED(queue.reserved2);
	OWN_FIELD(queue.not_empty);
	OWN_FIELD(queue.idle);
	OWN_FIELD(queue.closed);
	OWN_RESERVED(queue.reserved3);
	OWN_FIELD(queue.not_full);
	OWN_RESERVED(queue.reserved4);

	size_t length = image.of.header.length;
	size_t rings = CELLS_OFFSET + 2 * length * sizeof(uint64_t);
	const void *first = image.bytes + (rings + 63) / 64 * 64;
	const struct shmd_queue_desc *descs = first;
	size_t behind = (rings + 63) / 64 * 64 + length * sizeof(struct shmd_queue_desc);
	const void *deadline = image.bytes + (behind + 63) / 64 * 64;
	const uint64_t *deadlines = deadline;
	uint64_t lease_ns = image.of.header.shape[2];
	uint64_t held = 0;
	for (uint32_t slot = 0; slot < length && slot < 16; slot++) {
		uint64_t is = (descs[slot].state & SHMD_SLOT_STATE_MASK) >> SHMD_SLOT_STATE_SHIFT;
		held += is == SHMD_SLOT_LEASED || is == SHMD_SLOT_WRITING;
		print_slot(slot, &descs[slot]);
		if (lease_ns != 0)
			printf("slot.%" PRIu32 ".deadline_ns %" PRIu64 "\n", slot, deadlines[slot]);
	}
	print("held", held);
	print("removed", image.of.header.state == SHMD_STATE_REMOVED);
}

static void print_event(void)
{
	OWN_FIELD(event.word);
	OWN_RESERVED(event.reserved);

	uint32_t word = image.of.event.word;
	int removed = word == SHMD_EVENT_REMOVED;
	if ((image.of.header.flags & SHMD_FLAG_AUTO_RESET) != 0) {
		print("set", !removed && (word & SHMD_SEMAPHORE_PERMITS_MASK) != 0);
		print("waiters", !removed && (word & SHMD_SEMAPHORE_WAITERS) != 0);
	} else {
		print("set", !removed && (word & SHMD_EVENT_SET) != 0);
		print("waiters", !removed && (word & SHMD_EVENT_WAITERS) != 0);
		print("generation", (word & SHMD_EVENT_GENERATION_MASK) / SHMD_EVENT_GENERATION_UNIT);
	}
	print("removed", (uint64_t)removed);
}

static void print_condition(void)
{
	OWN_FIELD(condition.word);
	OWN_RESERVED(condition.reserved);
	print("count", image.of.condition.word / SHMD_EVENTCOUNT_STEP);
	print("waiters", (image.of.condition.word & SHMD_EVENTCOUNT_WAITERS) != 0);
	print("removed", image.of.header.state == SHMD_STATE_REMOVED);
}

static void print_barrier(void)
{
	OWN_FIELD(barrier.word);
	OWN_FIELD(barrier.death.count);
	OWN_FIELD(barrier.death.owner);
	OWN_FIELD(barrier.death.pid);
	OWN_FIELD(barrier.death.uid);
	OWN_FIELD(barrier.death.realtime_ns);
	OWN_RESERVED(barrier.reserved);

	uint64_t word = image.of.barrier.word;
	uint64_t phase = word & SHMD_BARRIER_PHASE_MASK;
	uint64_t field = (word & SHMD_BARRIER_FIELD_MASK) >> SHMD_BARRIER_FIELD_SHIFT;
	uint64_t low = (word & SHMD_BARRIER_GENERATION_LOW_MASK) >> SHMD_BARRIER_GENERATION_LOW_SHIFT;
	uint64_t high = (word & SHMD_BARRIER_GENERATION_HIGH_MASK) >> SHMD_BARRIER_GENERATION_HIGH_SHIFT;
	print("arrived", phase == SHMD_BARRIER_FILL ? field : 0);
	print("acting", phase == SHMD_BARRIER_ACTION);
	print("broken", phase == SHMD_BARRIER_BROKEN);
	print("reasons", phase == SHMD_BARRIER_BROKEN ? field : 0);
	print("generation", high << (SHMD_BARRIER_HISTORY_SHIFT - SHMD_BARRIER_GENERATION_LOW_SHIFT) | low);

	const void *first = image.bytes + CELLS_OFFSET;
	const struct shmd_barrier_cell *cells = first;
	uint64_t parties = 0, charged = 0;
	for (uint32_t seat = 0; seat <= SHMD_SEATS_DEFAULT; seat++) {
		parties += (cells[seat].word & SHMD_PARTY_PARTY) != 0;
		charged += (cells[seat].word & SHMD_PARTY_CHARGED) != 0;
	}
	print("parties", parties);
	print("charged", charged);
	print("removed", image.of.header.state == SHMD_STATE_REMOVED);
}

static void print_rwlock(void)
{
	OWN_FIELD(rwlock.word);
	OWN_FIELD(rwlock.reserved0);
	OWN_FIELD(rwlock.token);
	OWN_FIELD(rwlock.death.count);
	OWN_FIELD(rwlock.death.owner);
	OWN_FIELD(rwlock.death.pid);
	OWN_FIELD(rwlock.death.uid);
	OWN_FIELD(rwlock.death.realtime_ns);
	OWN_RESERVED(rwlock.reserved1);

	uint32_t word = image.of.rwlock.word;
	uint32_t owner = word & SHMD_RWLOCK_OWNER_MASK;
	uint32_t writer = owner != SHMD_RWLOCK_REMOVED ? owner : 0;
	print("writer", writer);
	print("seat", writer & SHMD_RWLOCK_SEAT_MASK);
	print("held", writer != 0 && (word & SHMD_RWLOCK_HELD) != 0);
	print("preparing", writer != 0 && (word & SHMD_RWLOCK_PREPARING) != 0);
	print("wanted", (word & SHMD_RWLOCK_WANTED) != 0);
	print("inconsistent", (word & SHMD_RWLOCK_INCONSISTENT) != 0);
	print("waiters", (word & SHMD_RWLOCK_WAITERS) != 0);
	print("removed", owner == SHMD_RWLOCK_REMOVED);

	const void *first = image.bytes + CELLS_OFFSET;
	const struct shmd_reader_cell *cells = first;
	uint64_t active = 0, want = 0, removed = 0;
	for (size_t seat = 0; CELLS_OFFSET + seat * sizeof *cells < SHMD_PAGE_SIZE; seat++) {
		active += cells[seat].word & SHMD_READER_ACTIVE_MASK;
		want += (cells[seat].word & SHMD_READER_WANT_MASK) / SHMD_READER_WANT_UNIT;
		removed += (cells[seat].word & SHMD_READER_REMOVED) != 0;
	}
	print("readers", active);
	print("want", want);
	print("removed_cells", removed);
}

static void print_ring_line(unsigned int ring, const char *side, const struct shmd_ring_line *line)
{
	const struct {
		const char *name;
		uint64_t value;
	} fields[] = {
		{"word", line->word},
		{"owner", line->owner},
		{"attention", line->attention},
		{"death.count", line->death.count},
		{"death.owner", line->death.owner},
		{"death.pid", line->death.pid},
		{"death.uid", line->death.uid},
		{"death.realtime_ns", line->death.realtime_ns},
	};
	char name[64];
	for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
		(void)snprintf(name, sizeof name, "ring.rings.%u.%s.%s", ring, side, fields[i].name);
		print(name, fields[i].value);
	}
	(void)snprintf(name, sizeof name, "ring.rings.%u.%s.reserved", ring, side);
	print_reserved(name, line->reserved, sizeof line->reserved);
}

static void print_rings(void)
{
	const struct shmd_ring *rings = image.of.ring.rings;
	for (unsigned int i = 0; i < 2; i++) {
		print_ring_line(i, "tail", &rings[i].tail);
		print_ring_line(i, "head", &rings[i].head);
	}
	unsigned int count = (unsigned int)image.of.header.shape[1];
	for (unsigned int i = 0; i < count && i < 2; i++) {
		uint64_t tail = rings[i].tail.word, head = rings[i].head.word;
		printf("ring.%u.used %" PRIu64 "\n", i,
		       (tail >> SHMD_RING_POSITION_SHIFT) - (head >> SHMD_RING_POSITION_SHIFT));
		printf("ring.%u.producer %" PRIu32 "\n", i, rings[i].tail.owner & SHMD_OWNER_MASK);
		printf("ring.%u.consumer %" PRIu32 "\n", i,
		       (count == 2 ? rings[1 - i].tail.owner : rings[i].head.owner) & SHMD_OWNER_MASK);
		printf("ring.%u.closed %d\n", i, (tail & SHMD_RING_CLOSED) != 0);
		printf("ring.%u.died %d\n", i, (tail & SHMD_RING_DIED) != 0);
	}
	print("removed", image.of.header.state == SHMD_STATE_REMOVED);
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
	print_header();
	switch (image.page.header.kind) {
	case SHMD_KIND_SEMAPHORE:
		print_semaphore();
		break;
	case SHMD_KIND_QUEUE:
		print_queue();
		break;
	case SHMD_KIND_EVENT:
		print_event();
		break;
	case SHMD_KIND_CONDITION:
		print_condition();
		break;
	case SHMD_KIND_BARRIER:
		print_barrier();
		break;
	case SHMD_KIND_RWLOCK:
		print_rwlock();
		break;
	case SHMD_KIND_STREAM:
	case SHMD_KIND_PIPE:
		print_rings();
		break;
	default:
		print_fields();
		print_meaning();
	}
	print("waiting", sum_cells(SHMD_SEATS_OFFSET));
	return 0;
}
