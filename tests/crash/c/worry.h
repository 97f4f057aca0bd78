/* SPDX-License-Identifier: Apache-2.0
 *
 * worry.h - what messenger.c does to an object that somebody scribbles over: see
 * tests/crash/worry_test.go.
 */
#ifndef WORRY_H
#define WORRY_H

#define WORRY_LONG (MESSAGE_LONG + 200)
#define WORRY_RING 4096
#define WORRY_MANY 3
#define WORRY_RETIRE_TURNS 13
#define WORRY_DEEDS_MAX 16
#define WORRY_SLOTS 3 /* the cell of the first */

/* One thing that can be done; its turn says how many, and of how many bytes. */
struct worry_deed {
	const char *name;
	int (*act)(size_t turn);
};

static uint8_t worry_bytes[WORRY_MANY * 2 * WORRY_RING];
static int worry_role; /* of a stream, or an end */
static size_t worry_longest;

static size_t worry_size(size_t turn, size_t most) { return turn * 37 % (most + 1); }

static uint32_t worry_count(size_t turn) { return 1 + (uint32_t)(turn % WORRY_MANY); }

static uint32_t worry_messages(size_t turn, size_t most, struct iovec messages[WORRY_MANY])
{
	for (uint32_t i = 0; i < worry_count(turn); i++)
		messages[i] = (struct iovec){worry_bytes, worry_size(turn + i, most)};
	return worry_count(turn);
}

/* It must be there to be read. */
static void worry_look(const void *message, size_t size_bytes)
{
	uint8_t sum = 0;
	for (size_t i = 0; i < size_bytes; i++)
		sum ^= ((const uint8_t *)message)[i];
	__asm__ __volatile__("" ::"r"(sum));
}

/* ---- queue ---- */

static int worry_put(size_t turn)
{
	return shmd_queue_put(queue, worry_bytes, worry_size(turn, WORRY_LONG), TRY_NS);
}

static int worry_put_many(size_t turn)
{
	struct iovec messages[WORRY_MANY];
	uint32_t count = worry_messages(turn, WORRY_LONG, messages);
	return shmd_queue_put_many(queue, messages, count, TRY_NS, &count);
}

static int worry_reserve(size_t turn)
{
	struct shmd_reservation r;
	size_t size_bytes = worry_size(turn, WORRY_LONG);
	int result = shmd_queue_reserve_size(queue, size_bytes, TRY_NS, &r);
	if (result < 0)
		return result;
	memcpy(r.buffer, worry_bytes, size_bytes);
	if (turn % 2 == 0) {
		result = shmd_queue_commit(queue, &r, size_bytes);
		return result < 0 ? result : shmd_queue_abort(queue, &r);
	}
	result = shmd_queue_abort(queue, &r);
	return result < 0 ? result : shmd_queue_commit(queue, &r, size_bytes);
}

static int worry_take(size_t turn)
{
	size_t size_bytes = 0;
	(void)turn;
	return shmd_queue_take(queue, worry_bytes, WORRY_LONG, TRY_NS, &size_bytes);
}

static int worry_take_many(size_t turn)
{
	struct iovec messages[WORRY_MANY];
	uint32_t count;
	int result = shmd_queue_take_many(queue, worry_bytes, sizeof worry_bytes, messages, worry_count(turn), TRY_NS,
	                                  &count);
	for (uint32_t i = 0; result == 0 && i < count; i++)
		worry_look(messages[i].iov_base, messages[i].iov_len);
	return result;
}

/* Ends leases that were taken together, in some way, or leaves them. */
static int worry_end_leases(size_t turn, const struct shmd_lease *all, uint32_t count)
{
	int result;
	for (uint32_t i = 0; i < count; i++)
		worry_look(all[i].message, all[i].size_bytes);
	switch (turn % 4) {
	case 0: return shmd_queue_ack_many(queue, all, count, &count);
	case 1: return shmd_queue_nack_many(queue, all, count, &count);
	case 2:
		result = shmd_queue_extend(queue, all, 1000000000);
		if (result == 0)
			result = shmd_queue_ack(queue, all);
		return result < 0 ? result : shmd_queue_nack(queue, all);
	default: return 0;
	}
}

static int worry_lease_many(size_t turn)
{
	struct shmd_lease all[WORRY_MANY];
	uint32_t count;
	int result = shmd_queue_lease_many(queue, all, worry_count(turn), TRY_NS, &count);
	return result < 0 ? result : worry_end_leases(turn, all, count);
}

static int worry_join(size_t turn)
{
	(void)turn;
	return shmd_queue_join(queue, TRY_NS);
}

static int worry_counts(size_t turn)
{
	struct shmd_queue_counts counts;
	(void)turn;
	return shmd_queue_counts(queue, &counts);
}

static int worry_take_dead(size_t turn)
{
	struct shmd_lease lease;
	int result = shmd_queue_take_dead(queue, &lease);
	return result < 0 ? result : worry_end_leases(turn, &lease, 1);
}

static int worry_redeliver(size_t turn)
{
	(void)turn;
	return shmd_queue_redeliver(queue, NULL);
}

static const struct worry_deed worry_queue[WORRY_DEEDS_MAX] = {
	{"put", worry_put}, {"put_many", worry_put_many}, {"reserve", worry_reserve}, {"take", worry_take},
	{"take_many", worry_take_many}, {"lease_many", worry_lease_many}, {"join", worry_join},
	{"counts", worry_counts}, {"take_dead", worry_take_dead}, {"redeliver", worry_redeliver},
};

/* ---- stream and pipe ---- */

/* Calls the function of the object that is open. */
#define WORRY_RING_CALL(what, ...) \
	(stream != NULL ? shmd_stream_##what(stream, ##__VA_ARGS__)                                                    \
	                : shmd_pipe_##what(talk_pipe, worry_role, ##__VA_ARGS__))

static int worry_claim(size_t turn)
{
	(void)turn;
	if (stream != NULL)
		return shmd_stream_claim(stream, (enum shmd_role)worry_role);
	return shmd_pipe_claim(talk_pipe, worry_role, NULL);
}

static int worry_retire(size_t turn)
{
	if (turn % WORRY_RETIRE_TURNS != 0)
		return 0;
	if (stream != NULL)
		return shmd_stream_retire(stream, (enum shmd_role)worry_role);
	return shmd_pipe_shut(talk_pipe, worry_role);
}

static int worry_send(size_t turn)
{
	return WORRY_RING_CALL(send, worry_bytes, worry_size(turn, worry_longest), TRY_NS);
}

static int worry_send_many(size_t turn)
{
	struct iovec messages[WORRY_MANY];
	uint32_t count = worry_messages(turn, worry_longest, messages);
	return WORRY_RING_CALL(send_many, messages, count, TRY_NS, &count);
}

static int worry_make(size_t turn)
{
	void *place;
	size_t size_bytes = worry_size(turn, WORRY_RING / 4);
	int result = WORRY_RING_CALL(reserve, size_bytes, TRY_NS, &place);
	if (result < 0)
		return result;
	memcpy(place, worry_bytes, size_bytes);
	if (turn % 3 == 0)
		return stream != NULL ? shmd_stream_abort(stream) : shmd_pipe_abort(talk_pipe, worry_role);
	return WORRY_RING_CALL(commit, size_bytes);
}

static int worry_commit_nothing(size_t turn)
{
	(void)turn;
	return WORRY_RING_CALL(commit, 0);
}

static int worry_recv(size_t turn)
{
	size_t size_bytes = 0;
	return WORRY_RING_CALL(recv, worry_bytes, worry_size(turn, 2 * WORRY_RING), TRY_NS, &size_bytes);
}

static int worry_peek_many(size_t turn)
{
	struct iovec messages[WORRY_MANY];
	uint32_t count;
	int result = WORRY_RING_CALL(peek_many, messages, worry_count(turn), TRY_NS, &count);
	if (result < 0)
		return result;
	for (uint32_t i = 0; i < count; i++)
		worry_look(messages[i].iov_base, messages[i].iov_len);
	return WORRY_RING_CALL(advance, (uint32_t)(turn % (WORRY_MANY + 1))); /* it may be too many */
}

static int worry_write(size_t turn)
{
	size_t size_bytes = 0;
	return shmd_pipe_write(talk_pipe, worry_role, worry_bytes, worry_size(turn, worry_longest), TRY_NS, &size_bytes);
}

static int worry_read(size_t turn)
{
	size_t size_bytes = 0;
	return shmd_pipe_read(talk_pipe, worry_role, worry_bytes, worry_size(turn, worry_longest), TRY_NS, &size_bytes);
}

#define WORRY_SENDS {"send", worry_send}, {"send_many", worry_send_many}, {"reserve", worry_make}, \
	{"commit of nothing", worry_commit_nothing}
#define WORRY_RECEIVES {"recv", worry_recv}, {"peek_many", worry_peek_many}
#define WORRY_ENDS {"retire", worry_retire}

static const struct worry_deed worry_producer[WORRY_DEEDS_MAX] = {{"claim", worry_claim}, WORRY_SENDS, WORRY_ENDS};
static const struct worry_deed worry_consumer[WORRY_DEEDS_MAX] = {{"claim", worry_claim}, WORRY_RECEIVES, WORRY_ENDS};
static const struct worry_deed worry_pipe[WORRY_DEEDS_MAX] = {{"claim", worry_claim}, WORRY_SENDS, WORRY_RECEIVES,
                                                              WORRY_ENDS};
static const struct worry_deed worry_flow[WORRY_DEEDS_MAX] = {{"claim", worry_claim}, {"write", worry_write},
                                                              {"read", worry_read}, WORRY_ENDS};

/* ---- */

/* The answers that a scribbler can bring about: see worry_test.go. */
static const int worry_of_queue[] = {0, SHMD_E_WOULD_BLOCK, SHMD_E_TIMED_OUT, SHMD_E_ENDED, SHMD_E_NOT_OWNER,
                                     SHMD_E_CORRUPT, SHMD_E_TOO_LARGE, SHMD_E_LOST, 1};
static const int worry_of_ring[] = {0, SHMD_E_WOULD_BLOCK, SHMD_E_TIMED_OUT, SHMD_E_ENDED, SHMD_E_PEER_DIED,
                                    SHMD_E_NOT_OWNER, SHMD_E_TAKEN, SHMD_E_CORRUPT, SHMD_E_TOO_LARGE,
                                    SHMD_E_INVALID, 1};

/* Counts an answer; false = nothing explains it. */
static bool worry_tally(const int *explained, int result, uint64_t counts[])
{
	for (int i = 0; explained[i] <= 0; i++) {
		if (explained[i] == result) {
			counts[i]++;
			return true;
		}
	}
	return false;
}

static const struct worry_deed *worry_open(const char *kind, const char *name, const char *role, int *ret_result)
{
	if (strcmp(kind, "queue") == 0) {
		*ret_result = shmd_queue_open(client, name, NULL, &queue);
		return worry_queue;
	}
	if (strcmp(kind, "stream") == 0) {
		bool produces = strcmp(role, "producer") == 0;
		worry_role = produces ? SHMD_PRODUCER : SHMD_CONSUMER;
		worry_longest = WORRY_RING / 4;
		*ret_result = shmd_stream_open(client, name, NULL, &stream);
		return produces ? worry_producer : worry_consumer;
	}
	worry_role = role[0] - 'a';
	worry_longest = 2 * WORRY_RING;
	*ret_result = shmd_pipe_open(client, name, NULL, &talk_pipe);
	return strcmp(kind, "bytes") == 0 ? worry_flow : worry_pipe;
}

static void worry(const char *kind, const char *name, const char *role, int slot)
{
	must("open data", shmd_array_open(client, "data", 'q', 0, NULL, NULL, &journal));
	books = shmd_array_data(journal);
	int result = 0;
	const struct worry_deed *deeds = worry_open(kind, name, role, &result);
	const int *explained = queue != NULL ? worry_of_queue : worry_of_ring;
	uint64_t counts[WORRY_DEEDS_MAX] = {0};
	size_t count = 0;
	say("ok");
	while (count < WORRY_DEEDS_MAX && deeds[count].act != NULL)
		count++;
	if (result == SHMD_E_CORRUPT)
		result = SHMD_E_REMOVED; /* it is too late */
	for (size_t turn = 0; result != SHMD_E_REMOVED; turn++) {
		must("open", result);
		result = deeds[turn % count].act(turn);
		if (result == SHMD_E_REMOVED)
			break;
		if (!worry_tally(explained, result, counts))
			must(deeds[turn % count].name, result);
		__atomic_fetch_add(&books[WORRY_SLOTS + slot], 1, __ATOMIC_SEQ_CST);
		result = 0;
	}
	journal = shmd_array_close(journal);
	queue = shmd_queue_close(queue);
	stream = shmd_stream_close(stream);
	talk_pipe = shmd_pipe_close(talk_pipe);
	char text[256];
	int length = snprintf(text, sizeof text, "worried");
	for (int i = 0; explained[i] <= 0; i++)
		length += snprintf(text + length, sizeof text - (size_t)length, " %s=%" PRIu64, shmd_error_name(explained[i]),
		                   counts[i]);
	say(text);
}

#endif /* WORRY_H */
