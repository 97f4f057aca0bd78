/* SPDX-License-Identifier: Apache-2.0
 *
 * relay.h - what messenger.c does with a stream: see tests/crash/relay_test.go.
 */
#ifndef RELAY_H
#define RELAY_H

#define RELAY_STOP 0
#define RELAY_PROGRESS 1
#define RELAY_LAST 2
#define RELAY_TOLD 3
#define RELAY_SENT 4
#define RELAY_WORDS_MAX 64

static struct shmd_stream *stream;

static size_t relay_message(int64_t producer, int64_t number, int64_t words[RELAY_WORDS_MAX])
{
	size_t count = 2 + (size_t)(number % 60);
	for (size_t i = 0; i < count; i++)
		words[i] = i % 2 == 0 ? producer : number;
	return count * sizeof words[0];
}

/* One message at least, as relay_test.go says. */
static void relay_send(int64_t producer)
{
	int64_t words[RELAY_WORDS_MAX];
	for (int64_t number = 0; number == 0 || __atomic_load_n(&books[RELAY_STOP], __ATOMIC_SEQ_CST) == 0; number++) {
		size_t size_bytes = relay_message(producer, number, words);
		must("send", shmd_stream_send(stream, words, size_bytes, SHMD_FOREVER));
		__atomic_fetch_add(&books[RELAY_SENT + producer], 1, __ATOMIC_SEQ_CST);
		__atomic_fetch_add(&books[RELAY_PROGRESS], 1, __ATOMIC_SEQ_CST);
	}
}

static void relay_receive(int64_t gap)
{
	int64_t words[RELAY_WORDS_MAX], want[RELAY_WORDS_MAX];
	bool told = false;
	for (;; gap = 0) {
		int64_t last_one = __atomic_load_n(&books[RELAY_LAST], __ATOMIC_SEQ_CST);
		int64_t producer = last_one >> 32, next = last_one & 0xffffffff;
		size_t size_bytes = 0;
		int result = shmd_stream_recv(stream, words, sizeof words, SHMD_FOREVER, &size_bytes);
		if (result == SHMD_E_ENDED || result == SHMD_E_PEER_DIED) {
			if (told || next + gap < __atomic_load_n(&books[RELAY_SENT + producer], __ATOMIC_SEQ_CST))
				broken("an end was told too early, or twice", last_one);
			told = true;
			__atomic_fetch_add(&books[RELAY_TOLD], 1, __ATOMIC_SEQ_CST);
			if (result == SHMD_E_ENDED)
				return;
			continue;
		}
		must("receive", result);
		int64_t number = size_bytes < 16 ? -1 : words[1], of = words[0];
		if (number < 0 || relay_message(of, number, want) != size_bytes || memcmp(words, want, size_bytes) != 0)
			broken("the message is not whole", number);
		int64_t first = of != producer ? number : number - next;
		if (of < producer || first < 0 || first > gap)
			broken("out of order", of << 32 | number);
		if (of != producer && !told && gap == 0 && last_one != 0)
			broken("the end of a producer was not told", producer);
		told = false;
		__atomic_store_n(&books[RELAY_LAST], of << 32 | (number + 1), __ATOMIC_SEQ_CST);
		__atomic_fetch_add(&books[RELAY_PROGRESS], 1, __ATOMIC_SEQ_CST);
	}
}

static void relay(bool sends, int64_t argument)
{
	must("open ledger", shmd_array_open(client, "ledger", 'q', 0, NULL, NULL, &journal));
	books = shmd_array_data(journal);
	must("open relay", shmd_stream_open(client, "relay", NULL, &stream));
	must("claim", shmd_stream_claim(stream, sends ? SHMD_PRODUCER : SHMD_CONSUMER));
	say("ok");
	if (sends)
		relay_send(argument);
	else
		relay_receive(argument);
	stream = shmd_stream_close(stream);
	journal = shmd_array_close(journal);
}

#endif /* RELAY_H */
