/* SPDX-License-Identifier: Apache-2.0
 *
 * handles.h - what is behind the handles of shmd.h, and what the files of one kind
 * share. Included by internal.h.
 */
#ifndef SHMDI_HANDLES_H
#define SHMDI_HANDLES_H

#include "internal.h"

#pragma GCC visibility push(hidden)

struct shmd_mutex {
	struct shmdi_object object;
};

struct shmd_value {
	struct shmdi_object object;
};

struct shmd_array {
	struct shmdi_object object;
};

struct shmd_semaphore {
	/* The fast paths touch nothing else. */
	uint32_t *word; /* of a plain one that may be written; else NULL */
	uint32_t *pool; /* our seat's held cell, of one with undo that may be written; else NULL */
	uint32_t maximum;
	uint32_t generation; /* of fork.c */
	uint32_t spins;      /* plain: how long spinning for a permit has helped; a hint, atomic */
	struct shmd_semaphore_lines *lines;
	struct shmdi_latch latch; /* undo */
	uint32_t *held;           /* undo: one cell for each seat */
	struct shmdi_object object;
};

/* What waiting on one side of a queue has taught; atomic. */
struct shmdi_queue_hints {
	uint32_t spins; /* how long spinning has helped */
	uint32_t hasty; /* how often in a row it was hardly needed */
};

struct shmd_queue {
	struct shmdi_latch put_latch; /* first: the fast paths touch what comes next to it */
	struct shmdi_latch take_latch;
	struct shmd_queue_lines *lines; /* NULL = read-only */
	uint64_t *ready;
	uint64_t *free;
	struct shmd_queue_desc *descs;
	unsigned char *slots;
	uint32_t size; /* in slots */
	uint32_t slot_size_bytes;
	uint32_t copy_max_bytes; /* of what is copied under the latch; at most the slot size */
	uint32_t message_max_bytes;
	uint32_t deliveries_max;
	uint64_t lease_ns;      /* 0 = leases do not end by time */
	uint64_t *deadlines_ns; /* by slot; NULL = the same */
	uint32_t generation; /* of fork.c */
	struct shmdi_queue_hints put_hints;  /* for a slot */
	struct shmdi_queue_hints take_hints; /* for a message */
	bool raw;
	struct shmdi_object object;
	pthread_mutex_t sides_mutex;
	/* What is mapped; NULL = nothing yet; sides_mutex. */
	struct shmdi_side **sides_by_number; /* lists, at number % size */
	struct shmdi_side **sides_by_slot;   /* what a slot had when last looked; NULL = nothing */
};

struct shmd_event {
	/* The fast paths touch nothing else. */
	uint32_t *word;      /* an event word, with auto reset a semaphore word */
	uint32_t set_mask;   /* its bits that say that it is set */
	uint32_t generation; /* of fork.c */
	bool auto_reset;
	bool writable;
	uint32_t spins; /* how long spinning for a set has helped; a hint, atomic */
	struct shmdi_object object;
};

struct shmd_condition {
	uint64_t *word;
	uint32_t spins; /* how long spinning for a notification has helped; a hint, atomic */
	struct shmdi_object object; /* its lock is the mutex */
};

struct shmd_barrier {
	struct shmd_barrier_lines *lines;
	uint64_t *cell; /* our seat's */
	uint32_t seat;
	uint32_t parties;
	uint32_t spins; /* how long spinning for the others has helped; a hint, atomic */
	struct shmdi_object object;
};

struct shmd_rwlock {
	/* The fast paths touch nothing else. */
	uint32_t *word;
	uint32_t *cell;      /* our seat's; NULL = read-only */
	uint64_t key;        /* of rwlock_reads.c */
	uint32_t generation; /* of fork.c */
	uint32_t writer;     /* our owner bits in the word */
	struct shmd_rwlock_lines *lines;
	struct shmd_reader_cell *cells; /* by seat */
	uint32_t seats_max;
	uint32_t spins;       /* how long spinning on the word has helped; a hint, atomic */
	uint32_t quiet_spins; /* the same on cells */
	struct shmdi_object object;
};

/* What one side of a ring remembers; see ring.h. */
struct shmdi_ring_side {
	uint64_t seen;       /* the other side's word, as last loaded */
	uint64_t looked;     /* attention of the own line, when everything was looked at */
	uint64_t woken;      /* the same, when a commit last woke */
	uint32_t generation; /* of fork.c */
	uint32_t spins;      /* how long spinning for the other side has helped; a hint, atomic */
	uint32_t gather;     /* the reader's: pauses before a look at a tail that may have just moved */
	bool fast;           /* it carries messages, and no call has left something over */
};

/* One direction. Its halves belong to one thread each, and share no cache line. */
struct shmdi_ring {
	struct shmd_ring_line *tail;
	struct shmd_ring_line *head;
	const uint32_t *producer; /* owner words */
	const uint32_t *consumer;
	unsigned char *data;
	struct shmdi_object *object;
	uint32_t me; /* owner bits; read-only: what no owner word is */
	uint32_t capacity_bytes;
	uint32_t message_max_bytes;
	uint32_t fast_max_bytes; /* the longest message that is one record, and allowed */
	bool pipe;
	bool bytes;
	unsigned char apart0[64];
	/* The producer's. */
	struct shmdi_ring_side writer;
	uint64_t reserved_at;    /* position of the record */
	uint64_t reserved_word;  /* of the tail, when it was reserved */
	uint32_t reserved_bytes; /* for the message */
	bool reserved;
	unsigned char apart1[64];
	/* The consumer's. */
	struct shmdi_ring_side reader;
	uint64_t peeked_from; /* position that was peeked at */
	uint64_t peeked_to;   /* behind what was peeked */
	uint32_t peeked;      /* messages */
	unsigned char *kept;  /* room for a message that arrives in pieces; NULL = none does */
	uint32_t kept_bytes;  /* what has arrived of it */
	uint32_t rest_bytes;  /* what has not */
	bool kept_whole;      /* all has; atomic */
};

struct shmd_stream {
	struct shmdi_ring ring;
	bool claimed[2]; /* the producer's role, the consumer's: what the caller was told, whatever the segment says */
	struct shmdi_object object;
};

struct shmd_pipe {
	struct shmdi_ring rings[2]; /* end e writes into rings[e], and reads from the other */
	struct shmdi_object object;
};

/* ---- semaphore.c ----------------------------------------------------------------- */
/* The pointers into the segment; the object is bound. */
void shmdi_semaphore_bind(struct shmd_semaphore *semaphore);

/* ---- event.c, condition.c, barrier.c, rwlock.c, stream.c, pipe.c ------------------------ */
/* The same for those. */
void shmdi_event_bind(void *event);
void shmdi_condition_bind(void *condition);
void shmdi_barrier_bind(void *barrier);
void shmdi_rwlock_bind(void *rwlock);
void shmdi_stream_bind(void *stream);
void shmdi_pipe_bind(void *pipe);

/* The end itself; of SHMD_END_ANY the one that this client has, or any if it has none.
 * INVALID if it has both. */
int shmdi_pipe_end(const struct shmd_pipe *pipe, int end);

/* ---- semaphore_undo.c: what a semaphore with undo does; it may be written ------------ */
int shmdi_pool_acquire(struct shmd_semaphore *semaphore, uint32_t n, int64_t timeout_ns);
int shmdi_pool_release(struct shmd_semaphore *semaphore, uint32_t n);
int shmdi_pool_post(struct shmd_semaphore *semaphore, uint32_t n);

/* ---- queue.c ---------------------------------------------------------------------- */
/* The pointers into the segment; the object is bound. */
void shmdi_queue_bind(struct shmd_queue *queue);
/* 0, or TOO_LARGE. */
int shmdi_queue_fits(const struct shmd_queue *queue, size_t size_bytes);
/* 0, or why this is no message for the queue: TOO_LARGE, BAD_TYPE, INVALID. */
int shmdi_queue_accepts(const struct shmd_queue *queue, const void *message, size_t size_bytes);
/* queue_rebuild.c: derives rings and counts from the slots' words, with both latches.
 * false = some words cannot be right; their slots are in no ring. */
bool shmdi_queue_rebuild(struct shmd_queue *queue);

/* ---- queue_side.c: messages longer than a slot; never under the latch ------------- */

/* Completes a reservation with room for size_bytes: what its slot has, if that is mapped
 * and large enough, else what the daemon gives. Errors: of control calls, QUOTA,
 * NO_SPACE, CORRUPT. */
int shmdi_side_make(struct shmd_queue *queue, uint32_t size_bytes, struct shmd_reservation *reservation);
/* Where the message of a lease lies; asks the daemon if the side is not mapped yet.
 * Errors: of control calls, CORRUPT. */
int shmdi_side_find(struct shmd_queue *queue, uint32_t number, struct shmd_lease *lease);
/* Keeps a mapping, in use, and takes it over. Errors: NO_SPACE. */
int shmdi_side_keep(struct shmd_queue *queue, uint32_t slot, uint32_t number, struct shmdi_segment *segment);
/* Ends one use of bytes that make or find returned for the slot; others do nothing. */
void shmdi_side_release(struct shmd_queue *queue, uint32_t slot, const void *bytes);
/* Unmaps all; the handle is closed. */
void shmdi_side_clear(struct shmd_queue *queue);

#pragma GCC visibility pop

#endif /* SHMDI_HANDLES_H */
