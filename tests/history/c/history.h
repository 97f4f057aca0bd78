/* SPDX-License-Identifier: Apache-2.0
 *
 * history.h - the operations of a recorded client; entry.go says what each is given
 * and what comes of it.
 */
#ifndef HISTORY_H
#define HISTORY_H

#include <stddef.h>
#include <stdint.h>

enum op {
	OP_PAUSE = 1,
	OP_OPEN = 2,
	OP_CLOSE = 3,
	OP_FORK = 4,
	OP_LOCK = 10,
	OP_UNLOCK = 11,
	OP_MARK = 12,
	OP_ACQUIRE = 20,
	OP_RELEASE = 21,
	OP_POST = 22,
	OP_PERMITS = 23,
	OP_PUT = 30,
	OP_TAKE = 31,
	OP_LEASE = 32,
	OP_ACK = 33,
	OP_NACK = 34,
	OP_RESERVE = 35,
	OP_COMMIT = 36,
	OP_ABORT = 37,
	OP_TAKE_DEAD = 38,
	OP_REDELIVER = 39,
	OP_COUNTS = 40,
	OP_PUT_MANY = 41,
	OP_TAKE_MANY = 42,
	OP_LEASE_MANY = 43,
	OP_ACK_MANY = 44,
	OP_NACK_MANY = 45,
	OP_EXTEND = 46,
	OP_FORGET = 47,
	OP_JOIN = 48,
	OP_LOAD = 50,
	OP_STORE = 51,
	OP_ADD = 52,
	OP_EXCHANGE = 53,
	OP_COMPARE_EXCHANGE = 54,
	OP_WRITE = 55,
	OP_READ = 56,
	OP_SIGNAL = 60,
	OP_RESET = 61,
	OP_PULSE = 62,
	OP_IS_SET = 63,
	OP_WAIT = 64,
	OP_WAIT_CONDITION = 70,
	OP_NOTIFY = 71,
	OP_ARRIVE = 80,
	OP_BREAK = 81,
	OP_STATE = 82,
	OP_READ_LOCK = 90,
	OP_READ_UNLOCK = 91,
	OP_CLAIM = 100,
	OP_RETIRE = 101,
	OP_SEND = 102,
	OP_RECV = 103,
	OP_SEND_MANY = 104,
	OP_RECV_MANY = 105,
	OP_PEEK = 106,
	OP_ADVANCE = 107,
	OP_WRITE_BYTES = 108,
	OP_READ_BYTES = 109
};

/* Statuses besides the codes of shmd.h, which stand here without their sign. */
enum { STATUS_SKIPPED = -1, STATUS_BROKEN = -2 };

#define BATCH_MAX 4

struct entry {
	int64_t call_ns;   /* 0 = not begun; stored after all that is known before */
	int64_t return_ns; /* 0 = not returned; stored after all that came of it */
	uint16_t op;
	uint16_t object;
	uint32_t n;
	int64_t timeout_ns;
	int64_t argument;
	int64_t desired;
	int64_t result;
	int32_t status;
	uint32_t extra;
	int64_t numbers[BATCH_MAX]; /* of the messages of a batch */
};

_Static_assert(sizeof(struct entry) == 96, "the entry of entry.go");
_Static_assert(offsetof(struct entry, n) == 20, "the entry of entry.go");
_Static_assert(offsetof(struct entry, result) == 48, "the entry of entry.go");
_Static_assert(offsetof(struct entry, extra) == 60, "the entry of entry.go");

#endif /* HISTORY_H */
