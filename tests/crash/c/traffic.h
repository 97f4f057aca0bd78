/* SPDX-License-Identifier: Apache-2.0
 *
 * traffic.h - what messenger.c does as a producer or consumer of a queue: see
 * tests/crash/traffic_test.go.
 */
#ifndef TRAFFIC_H
#define TRAFFIC_H

#define BOOK_STOP 0
#define BOOK_PROGRESS 1
#define BOOK_NEXT 2
#define PRODUCERS 3
#define BOOK_MESSAGES (BOOK_NEXT + PRODUCERS)
#define NUMBERS_EACH (1 << 21)
#define BOOK_TAKING (BOOK_MESSAGES + PRODUCERS * NUMBERS_EACH)
#define ENTRY_INTENT (INT64_C(1) << 0)
#define ENTRY_FOLLOWS (INT64_C(1) << 4)
#define ENTRY_CONFIRMED (INT64_C(1) << 8)
#define ENTRY_DELIVERED (INT64_C(1) << 16)
#define ENTRY_ACKED (INT64_C(1) << 32)
#define MESSAGE_LONG 600
#define MESSAGE_MAX (MESSAGE_LONG + 40)
#define BATCH_MAX 3

static struct shmd_semaphore *credits, *permits;
static struct shmd_array *journal;
static int64_t *books;
static int64_t last[PRODUCERS]; /* the highest number + 1 of each, of first deliveries */

static void open_traffic(void)
{
	must("open jobs", shmd_queue_open(client, "jobs", NULL, &queue));
	must("open credits", shmd_semaphore_open(client, "credits", NULL, &credits));
	must("open permits", shmd_semaphore_open(client, "permits", NULL, &permits));
	must("open journal", shmd_array_open(client, "journal", 'q', 0, NULL, NULL, &journal));
	books = shmd_array_data(journal);
}

static void close_traffic(void)
{
	queue = shmd_queue_close(queue);
	credits = shmd_semaphore_close(credits);
	permits = shmd_semaphore_close(permits);
	journal = shmd_array_close(journal);
}

/* Adds an entry for a message, and returns what was there. */
static int64_t book(int64_t number, int64_t entry)
{
	int64_t before = __atomic_fetch_add(&books[BOOK_MESSAGES + number], entry, __ATOMIC_SEQ_CST);
	__atomic_fetch_add(&books[BOOK_PROGRESS], 1, __ATOMIC_SEQ_CST);
	return before;
}

static size_t make_message(int64_t number, uint8_t *message)
{
	size_t length = (size_t)((number % 16 == 0 ? MESSAGE_LONG : 8) + number % 40);
	for (size_t i = 0; i < length; i++)
		message[i] = (uint8_t)(i < 8 ? number >> (8 * i) : number + (int64_t)i);
	return length;
}

/* The first of so many numbers of a producer. */
static int64_t next_number(int slot, int count)
{
	int64_t next = __atomic_fetch_add(&books[BOOK_NEXT + slot], count, __ATOMIC_SEQ_CST);
	if (next + count > NUMBERS_EACH)
		broken("no numbers left", slot);
	return (int64_t)slot * NUMBERS_EACH + next;
}

/* Puts several messages at once; there is a credit for one already. */
static void put_batch(int slot)
{
	uint8_t contents[BATCH_MAX][MESSAGE_MAX];
	struct iovec messages[BATCH_MAX];
	for (int i = 1; i < BATCH_MAX; i++)
		must("acquire a credit", shmd_semaphore_acquire(credits, 1, SHMD_FOREVER));
	int64_t number = next_number(slot, BATCH_MAX);
	for (int i = 0; i < BATCH_MAX; i++) {
		messages[i] = (struct iovec){contents[i], make_message(number + i, contents[i])};
		book(number + i, i == 0 ? ENTRY_INTENT : ENTRY_INTENT + ENTRY_FOLLOWS);
	}
	for (uint32_t done = 0, count; done < BATCH_MAX; done += count) {
		must("put many", shmd_queue_put_many(queue, messages + done, BATCH_MAX - done, SHMD_FOREVER, &count));
		for (uint32_t i = 0; i < count; i++)
			book(number++, ENTRY_CONFIRMED);
	}
}

static void produce(int slot)
{
	uint8_t message[MESSAGE_MAX];
	for (int turn = 0;; turn++) {
		must("acquire a credit", shmd_semaphore_acquire(credits, 1, SHMD_FOREVER));
		if (__atomic_load_n(&books[BOOK_STOP], __ATOMIC_SEQ_CST) != 0)
			return;
		if (turn % 3 == 2) {
			put_batch(slot);
			continue;
		}
		int64_t number = next_number(slot, 1);
		if (number % 4 == 3) {
			struct shmd_reservation reservation;
			must("reserve", shmd_queue_reserve(queue, SHMD_FOREVER, &reservation));
			size_t size = make_message(number, reservation.buffer);
			must("acquire one more", shmd_semaphore_acquire(credits, 1, SHMD_FOREVER));
			book(number, ENTRY_INTENT);
			must("commit", shmd_queue_commit(queue, &reservation, size));
		} else {
			book(number, ENTRY_INTENT);
			must("put", shmd_queue_put(queue, message, make_message(number, message), SHMD_FOREVER));
		}
		book(number, ENTRY_CONFIRMED);
	}
}

static int64_t number_of(const uint8_t *message, size_t size_bytes)
{
	uint8_t want[MESSAGE_MAX];
	uint64_t number = 0;
	for (size_t i = 0; i < 8 && size_bytes >= 8; i++)
		number |= (uint64_t)message[i] << (8 * i);
	if (number >= (uint64_t)PRODUCERS * NUMBERS_EACH)
		broken("no producer made this message", (int64_t)number);
	if (make_message((int64_t)number, want) != size_bytes || memcmp(want, message, size_bytes) != 0)
		broken("the message is not whole", (int64_t)number);
	return (int64_t)number;
}

/* Books a delivery, and wants it to be possible. */
static void delivered(const struct shmd_lease *lease)
{
	int64_t number = number_of(lease->message, lease->size_bytes), before = book(number, ENTRY_DELIVERED);
	if ((before & 0xf) != 1)
		broken("never put", number);
	if ((before / ENTRY_ACKED & 0xffff) != 0)
		broken("delivered after its acknowledgement", number);
	if ((before / ENTRY_DELIVERED & 0xffff) >= lease->deliveries)
		broken("deliveries were not counted", number);
	if (lease->deliveries == 1) {
		int64_t *from = &last[number / NUMBERS_EACH];
		if (number < *from)
			broken("out of order", number);
		*from = number + 1;
	}
}

/* Takes messages for good; false once there are no more. */
static bool take_batch(int64_t *taking)
{
	static uint64_t buffer[BATCH_MAX * (MESSAGE_MAX / 8 + 1)];
	struct iovec messages[BATCH_MAX];
	uint32_t count = 0;
	__atomic_store_n(taking, BATCH_MAX, __ATOMIC_SEQ_CST);
	int result = shmd_queue_take_many(queue, buffer, sizeof buffer, messages, BATCH_MAX, SHMD_FOREVER, &count);
	if (result != SHMD_E_ENDED)
		must("take many", result);
	for (uint32_t i = 0; i < count; i++) {
		int64_t number = number_of(messages[i].iov_base, messages[i].iov_len);
		int64_t before = book(number, ENTRY_DELIVERED + ENTRY_ACKED);
		if ((before & 0xf) != 1 || before / ENTRY_ACKED != 0)
			broken("what was taken was never put, or is done", number);
	}
	__atomic_store_n(taking, 0, __ATOMIC_SEQ_CST);
	return result >= 0;
}

/* Leases messages together, and gives the last one back in every other turn. */
static bool lease_batch(int turn)
{
	struct shmd_lease all[BATCH_MAX];
	int64_t numbers[BATCH_MAX];
	uint32_t count = 0, done, ended;
	int result = shmd_queue_lease_many(queue, all, BATCH_MAX, SHMD_FOREVER, &count);
	if (result == SHMD_E_ENDED)
		return false;
	must("lease many", result);
	for (uint32_t i = 0; i < count; i++) {
		delivered(&all[i]);
		numbers[i] = number_of(all[i].message, all[i].size_bytes);
	}
	done = turn % 2 == 1 ? count - 1 : count;
	if (done > 0) {
		must("ack many", shmd_queue_ack_many(queue, all, done, &ended));
		if (ended != done)
			broken("leases were not acknowledged", done - ended);
	}
	for (uint32_t i = 0; i < done; i++)
		book(numbers[i], ENTRY_ACKED);
	if (done < count) {
		must("nack many", shmd_queue_nack_many(queue, all + done, count - done, &ended));
		if (ended != count - done)
			broken("leases were not given back", count - done - ended);
	}
	return true;
}

/* One to three messages; false once there are no more. */
static bool one_by_one(int turn)
{
	struct shmd_lease some[BATCH_MAX];
	int n = 0;
	for (; n <= turn % BATCH_MAX; n++) {
		int result = shmd_queue_lease(queue, n == 0 ? SHMD_FOREVER : TRY_NS, &some[n]);
		if (n > 0 && (result == SHMD_E_TIMED_OUT || result == SHMD_E_ENDED))
			break;
		if (result == SHMD_E_ENDED)
			return false;
		must("lease", result);
		delivered(&some[n]);
	}
	for (int i = 0; i < n; i++) {
		if (i == 2 && turn % 4 == 0) {
			must("nack", shmd_queue_nack(queue, &some[i]));
			continue;
		}
		int64_t number = number_of(some[i].message, some[i].size_bytes);
		must("ack", shmd_queue_ack(queue, &some[i]));
		book(number, ENTRY_ACKED);
	}
	return true;
}

static void consume(int slot, int hire)
{
	uint32_t n = 1 + (uint32_t)slot % 2;
	for (int turn = 0, more = 1; more; turn++) {
		must("acquire", shmd_semaphore_acquire(permits, n, SHMD_FOREVER));
		switch (turn % 5) {
		case 3:
			more = lease_batch(turn);
			break;
		case 4:
			more = take_batch(&books[BOOK_TAKING + hire]);
			break;
		default:
			more = one_by_one(turn);
		}
		must("release", shmd_semaphore_release(permits, n));
	}
}

#endif /* TRAFFIC_H */
