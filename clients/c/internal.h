/* SPDX-License-Identifier: Apache-2.0
 *
 * internal.h - what the files of libshmd share. Names beginning with shmdi_ are
 * private: hidden in the shared library, and no API in the static one.
 *
 * Order of locks: none is taken while another is held.
 */
#ifndef SHMDI_INTERNAL_H
#define SHMDI_INTERNAL_H

#include <shmd.h>
#include <shmd_abi.h>

#include <msgpack.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SHMDI_MESSAGE_MAX ((size_t)1 << 20)
#define SHMDI_FOREVER_NS INT64_MAX
#define SHMDI_CONTENT_DEPTH_MAX 12 /* of a queue's messages: room for the answers that carry them */
#define SHMDI_DEPTH_MAX (1u << 30) /* of locks and brackets */

#define SHMDI_LIKELY(x) __builtin_expect(!!(x), 1)

/* Hidden for every file that uses them too: reached without the global offset table. */
#pragma GCC visibility push(hidden)

/* ---- error.c: the error of this thread; both return code ---------------- */
int shmdi_fail(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));
int shmdi_fail_text(int code, const char *text, size_t size_bytes);

/* ---- fork.c -------------------------------------------------------------- */

/* The word of the page that is wiped on fork; never NULL once a client exists. */
extern uint32_t *shmdi_fork_word;

/* Makes this process the owner of its generation; the generation, or an error. */
int shmdi_fork_enter(uint32_t *ret_generation);

/* Whether this is still the process that took the generation. */
static inline bool shmdi_fork_same(uint32_t generation)
{
	return __atomic_load_n(shmdi_fork_word, __ATOMIC_RELAXED) == generation;
}

/* The serial number of this thread; 0 = none yet. Initial-exec: one load instead
 * of a call, for each lock and unlock. */
extern _Thread_local uint32_t shmdi_serial __attribute__((tls_model("initial-exec")));
uint32_t shmdi_thread_enroll(void);

/* The serial number of this thread, at least 1. */
static inline uint32_t shmdi_thread_serial(void)
{
	uint32_t serial = shmdi_serial;
	return SHMDI_LIKELY(serial != 0) ? serial : shmdi_thread_enroll();
}

/* ---- futex_linux.c -------------------------------------------------------- */
int64_t shmdi_now_ns(void); /* CLOCK_MONOTONIC */

/* When a relative timeout ends; SHMDI_FOREVER_NS if never. */
int64_t shmdi_deadline(int64_t timeout_ns);
/* Whether it is over. */
bool shmdi_expired(int64_t deadline_ns);

/* Sleeps while *word is expected. 0 = woken, else -EAGAIN, -EINTR, -ETIMEDOUT, ... */
int shmdi_futex_wait(uint32_t *word, uint32_t expected, int64_t deadline_ns);
/* How many it woke. Leaves errno alone, and may be called in a signal handler. */
int shmdi_futex_wake(uint32_t *word, int count);

/* ---- interrupt.c ----------------------------------------------------------- */

/* Whether the application ends the wait of this thread. Nothing internal is held. */
bool shmdi_interrupted(void);
/* A sleep of a public wait: as shmdi_futex_wait, and -ECANCELED, without having slept, if the
 * application ends the wait. */
int shmdi_sleep_on_word(uint32_t *word, uint32_t expected, int64_t deadline_ns);
/* What the end of a sleep is to a wait: 0 = look again, TIMED_OUT, CANCELLED, or SYSTEM and a
 * sentence about waiting for what. */
int shmdi_slept(int result, const char *what);

/* ---- rpc.c ----------------------------------------------------------------- */

struct shmdi_reply {
	char *bytes; /* what unpacked points into */
	msgpack_unpacked unpacked;
	const msgpack_object *result; /* NULL if the call failed */
	int error;
	int fd; /* -1 = none */
};

struct shmdi_request {
	msgpack_sbuffer buffer;
	msgpack_packer packer;
	uint32_t id;
	bool failed; /* out of memory */
	bool waits;     /* the application may end it, once the daemon has it */
	bool cancelled; /* and has: what was granted all the same is given up */
	const char *method;
};

/* A call under way, on its caller's stack. */
struct shmdi_pending {
	struct shmdi_pending *next;
	uint32_t id;
	uint32_t link; /* the connection that it is under way on */
	bool done;
	struct shmdi_reply *reply;
};

#define SHMDI_DOUBTS_MAX 64
#define SHMDI_SOFTWARE_MAX 64

/* What a client needs to come back to another daemon: reattach.c. */
struct shmdi_reattach {
	pthread_mutex_t mutex; /* held by the thread that does it, outside of all others */
	unsigned char uuid[16];
	char path[108];
	char software[SHMDI_SOFTWARE_MAX + 1];
	int64_t timeout_ns; /* negative = never */
	bool resumable;     /* the daemon has a keeper */
	/* state_mutex guards the rest. */
	bool away;          /* come back before the next call */
	bool over;          /* never */
	uint32_t doubts[SHMDI_DOUBTS_MAX]; /* requests to attach that were not answered */
	unsigned int doubts_count;
	unsigned int doubts_told; /* the first of them, to the daemon that says hello */
	uint64_t *closing; /* handles to close when back */
	size_t closing_count;
};

/* What the daemon says of the layout of its segments, in hello. */
struct shmdi_layout {
	uint32_t version;
	uint32_t compat; /* the oldest one whose programs can use them */
	uint64_t fingerprint;
};

struct shmd_client {
	int socket;
	uint32_t generation; /* of fork.c */
	uint32_t references; /* the application and every handle; atomic */
	uint32_t next_id;    /* atomic */
	pthread_mutex_t send_mutex;
	/* state_mutex guards what follows up to input. */
	pthread_mutex_t state_mutex;
	uint32_t changes; /* a futex: no signal interrupts the wait for a condition variable */
	uint32_t sleepers; /* on it */
	struct shmdi_pending *pending;
	bool reading; /* some thread is the reader */
	bool lost;     /* the connection is over */
	uint32_t link; /* counts connections */
	struct shmdi_reattach again;
	struct shmdi_layout layout;
	int farewell; /* why the daemon ended the connection, if it said so; else 0 */
	char farewell_text[256];
	struct shmdi_reader *readers; /* of rwlock_reads.c */
	/* The reader's own. */
	char *input;
	size_t input_size_bytes;
	int fds[4]; /* arrived, not yet given to a response */
	unsigned int fds_count;
};

/* Begins a request; params follow by the packer. */
void shmdi_request_begin(struct shmd_client *client, struct shmdi_request *request, const char *method,
                         uint32_t params);
void shmdi_pack_text(struct shmdi_request *request, const char *text);
void shmdi_pack_bin(struct shmdi_request *request, const void *bytes, size_t size_bytes);

/* Sends and waits for the answer, in any case ends the request. On success the
 * reply is filled (and to be cleared) unless it is NULL. */
int shmdi_call(struct shmd_client *client, struct shmdi_request *request, struct shmdi_reply *reply);
void shmdi_reply_clear(struct shmdi_reply *reply);

/* One exchange on the connection there is. SHMDI_BROKEN_UNSENT and SHMDI_BROKEN: it ended
 * before the request was sent, or before it was answered. */
#define SHMDI_BROKEN_UNSENT 2
#define SHMDI_BROKEN 3
int shmdi_exchange(struct shmd_client *client, struct shmdi_request *request, struct shmdi_reply *reply);
/* The error of a client that is lost; state_mutex is not held. */
int shmdi_fail_lost(struct shmd_client *client);
/* Makes a connected socket the client's; the one before is closed, with what came by it. */
void shmdi_connection_replace(struct shmd_client *client, int fd);

/* Releases everything but the object itself. */
void shmdi_connection_clear(struct shmd_client *client);

/* ---- reattach.c -------------------------------------------------------------- */

/* Waits until the client is back; 0, or LOST. At once true if it was not away. */
int shmdi_reattach(struct shmd_client *client, int64_t timeout_ns);
/* Whether the call may be made: not while the client is away. */
bool shmdi_attached(struct shmd_client *client);
/* Takes note that a request was not answered. 0 = send it again; else the error. */
int shmdi_unanswered(struct shmd_client *client, const struct shmdi_request *request, int broken);
/* Closes a handle, when there is a daemon. */
void shmdi_close_handle(struct shmd_client *client, uint64_t handle);
void shmdi_reattach_clear(struct shmd_client *client);

/* ---- client.c -------------------------------------------------------------- */
int shmdi_connect_path(int fd, const char *path);
int shmdi_hello(struct shmd_client *client, bool again);
void shmdi_client_hold(struct shmd_client *client);
void shmdi_client_drop(struct shmd_client *client);

/* ---- message.c: reading what arrived ------------------------------------ */

/* The size of the first message: >0, 0 = incomplete, <0 = error. Afterwards
 * every length in it is true and it is nested at most 16 deep. */
int64_t shmdi_message_scan(const char *bytes, size_t size_bytes);

/* The same for the contents of a msgpack queue. */
int64_t shmdi_content_scan(const void *bytes, size_t size_bytes);

/* A member of a map, NULL if there is none. */
const msgpack_object *shmdi_member(const msgpack_object *map, const char *key);
bool shmdi_get_u64(const msgpack_object *map, const char *key, uint64_t max, uint64_t *ret);
bool shmdi_get_bool(const msgpack_object *map, const char *key, bool *ret);
bool shmdi_text_is(const msgpack_object *text, const char *expected);

/* ---- segment.c -------------------------------------------------------------- */
struct shmdi_segment {
	struct shmd_page *page; /* NULL = none */
	size_t size_bytes;
};

/* Verifies and maps the descriptor of a handle, which it closes; -1 = it asks for that. */
int shmdi_segment_map(struct shmd_client *client, uint64_t handle, int fd, uint64_t size_bytes, bool read_only,
                      struct shmdi_segment *ret_segment);
/* Maps a descriptor of exactly size_bytes, which must be sealed; it stays open. */
int shmdi_segment_map_fd(int fd, uint64_t size_bytes, bool read_only, struct shmdi_segment *ret_segment);
void shmdi_segment_unmap(struct shmdi_segment *segment);

/* ---- lock.c -------------------------------------------------------------- */
struct shmdi_lock {
	struct shmd_lock *shared; /* NULL = there is none, or no right to it: refusal says */
	uint32_t *waiting;        /* our seat's cell */
	uint32_t *write_depth;    /* open brackets that forbid to unlock */
	uint32_t me;              /* owner bits */
	uint32_t flags;           /* SHMD_FLAG_ */
	uint32_t generation;      /* of fork.c */
	uint32_t spins;           /* how long spinning has helped; a hint, atomic */
	int refusal;
};

int shmdi_lock_acquire(struct shmdi_lock *lock, int64_t timeout_ns);
int shmdi_lock_release(struct shmdi_lock *lock);
/* Releases what this thread holds (unlock_any: this client), however often, to be
 * resumed with the depth. Errors: those of release, and then it is not held. */
int shmdi_lock_suspend(struct shmdi_lock *lock, uint32_t *ret_depth);
/* Takes it again, waiting for ever. What acquire returns; held if that is not negative. The
 * application does not end this wait: *postponed, if that is false, becomes true if it would. */
int shmdi_lock_resume(struct shmdi_lock *lock, uint32_t depth, bool *postponed);
/* Whether it can never be taken again. */
bool shmdi_lock_poisoned(const struct shmdi_lock *lock);
/* Ends what the library itself acquired a moment ago, whatever brackets are open. */
int shmdi_lock_give_back(struct shmdi_lock *lock);
/* 0 if this thread holds it (unlock_any: this client), else an error. */
int shmdi_lock_held(const struct shmdi_lock *lock);
/* Clears the inconsistent bit; needs the lock (unlock_any: that it is held). */
int shmdi_lock_mark_consistent(struct shmdi_lock *lock);
int shmdi_lock_notice(const struct shmdi_lock *lock, struct shmd_notice *ret_notice);
void shmdi_notice_read(const struct shmd_death *death, struct shmd_notice *ret_notice);
/* How many turns a spin loop may take on this machine: 0 with one CPU. See spin.h. */
uint32_t shmdi_spin_max(void);
/* Whether this thread may run on several; asks the kernel. */
bool shmdi_spin_may_probe(void);

/* ---- latch.c; fast paths in latch.h -------------------------------------------- */
struct shmdi_latch {
	uint32_t *word;
	const uint32_t *epoch; /* of the daemon, in the header */
	const uint32_t *state;
	uint32_t *waiting; /* our seat's cell */
	uint32_t me;       /* owner bits */
};

/* Pauses at most between two looks at a latch that is held: seldom by who does one
 * thing under it, see back_off, often by who does many, which is worth the line. */
#define SHMDI_LOOK_SELDOM 64u
#define SHMDI_LOOK_OFTEN 4u

/* Takes a latch that was not free. SHMDI_STOLEN, 0, or an error: REMOVED,
 * TIMED_OUT, SYSTEM. *ret_found is the owner that it had: 0, or a daemon that is gone. */
int shmdi_latch_wait(struct shmdi_latch *latch, uint32_t pauses_max, int64_t deadline_ns, uint32_t *ret_found);
/* The same without a sleep, by who has another latch; false = somebody has it. */
bool shmdi_latch_try_for_long(struct shmdi_latch *latch, uint32_t *ret_found);
/* Gives back a latch with the owner that was found in it, and wakes one waiter. Errors:
 * CORRUPT, for a word that somebody else has changed. */
int shmdi_latch_put_back(struct shmdi_latch *latch, uint32_t found);

/* ---- eventcount.c; under a latch; fast paths in latch.h ------------------------- */
void shmdi_eventcount_wake(uint64_t *event, int count);
/* Clears the waiters bit, and so moves the word on. true = it was set, a wake is due. */
bool shmdi_eventcount_clear(uint64_t *event);
/* Announces what concerns all, without the latch, after it has happened. */
void shmdi_eventcount_alarm(uint64_t *event);
/* Sleeps once on what shmdi_eventcount_announce returned; the latch is free. 0 = latch
 * and look again, and if *ret_duty settle after taking; TIMED_OUT, CANCELLED and SYSTEM
 * owe nothing. */
int shmdi_eventcount_sleep(uint64_t *event, uint64_t announced, uint32_t *waiting, int64_t deadline_ns, bool *ret_duty);

/* ---- item.c: the type codes ------------------------------------------------ */
uint32_t shmdi_item_size(uint32_t code); /* 0 = no such code */
/* Packs one item by its code as the wire wants it. */
void shmdi_item_pack(struct shmdi_request *request, uint32_t code, const void *item);

/* ---- object.c -------------------------------------------------------------- */

/* What the daemon says of an open object; validated. */
struct shmdi_attachment {
	uint64_t handle;
	uint64_t id;
	uint32_t kind;
	uint32_t code;
	uint32_t item_size_bytes;
	uint32_t rank;
	uint64_t length;
	uint64_t shape[SHMD_RANK_MAX];
	uint32_t flags;
	uint32_t seats_max;
	uint32_t owner;
	bool created;
	bool read_only;
	uint64_t segment_size_bytes;
	uint64_t data_offset_bytes;
	uint64_t data_size_bytes;
	uint64_t seats_offset_bytes;
	uint64_t lock_id;
	uint64_t lock_handle;
	uint32_t lock_owner;
	uint32_t maximum; /* permits of a semaphore */
	uint32_t slot_size_bytes; /* a queue's */
	uint32_t message_max_bytes;
	uint32_t deliveries_max;
	uint64_t lease_ns;
};

struct shmdi_object {
	struct shmdi_lock lock; /* first: the fast path touches nothing else */
	struct shmd_client *client;
	struct shmdi_attachment is;
	struct shmdi_segment segment;
	struct shmdi_segment lock_segment; /* of a foreign lock */
	uint32_t *waiting; /* our seat's cell in this object; lock.waiting may be another's */
	unsigned char *data;
};

/* What a caller wants; kind 0 in code, rank 0 = not said. */
struct shmdi_wish {
	const char *method; /* "create", "open_or_create", "open" */
	const char *name;
	uint32_t kind;
	char code;
	unsigned int rank;
	const uint64_t *shape;
	const struct shmd_create_options *create;
	const struct shmd_open_options *open;
};

/* What the handles of a kind are. */
struct shmdi_handle_type {
	size_t size_bytes;
	size_t object_offset; /* of a struct shmdi_object */
	void (*bind)(void *handle); /* the pointers into the segment; NULL = none */
};

/* Makes a handle; ret_handle is the address of a pointer to one. */
int shmdi_handle_open(struct shmd_client *client, const struct shmdi_wish *wish, const struct shmdi_handle_type *type,
                      void *ret_handle);
void shmdi_handle_close(void *handle, struct shmdi_object *object);
/* As the wire names an enum shmd_role; NULL = it is none. */
const char *shmdi_role_name(int role);

int shmdi_object_attach(struct shmd_client *client, const struct shmdi_wish *wish, struct shmdi_object *object);
/* The pointers into the mapped segment, by what `is` and `generation` say. */
void shmdi_object_bind(struct shmdi_object *object, uint32_t generation);
/* The same for the foreign lock, whose segment is mapped. */
void shmdi_object_bind_foreign(struct shmdi_object *object, uint32_t flags);
void shmdi_object_detach(struct shmdi_object *object);
/* 0, or why the object cannot be used: FORKED, REMOVED, CORRUPT. */
int shmdi_object_usable(const struct shmdi_object *object);
/* Locks a value or array; not one that was destroyed under a foreign lock. */
int shmdi_object_lock(struct shmdi_object *object, int64_t timeout_ns);
int shmdi_object_writable(const struct shmdi_object *object);

/* ---- attachment.c ------------------------------------------------------------ */
int shmdi_attachment_read(const msgpack_object *map, struct shmdi_attachment *ret_attachment);
/* The SHMD_FLAG_ bits of a mutex's list of flag names; false if one is unknown. */
bool shmdi_flags_read(const msgpack_object *list, uint32_t *ret_flags);
/* The size of everything before the data: page 0 with the seat cells, whole pages. */
uint64_t shmdi_front_size(uint32_t seats_max);
/* Where the cells by seat of a semaphore with undo, a barrier or an rwlock begin. */
uint64_t shmdi_cells_offset(uint32_t seats_max);

/* Where the parts of a queue begin, in bytes. */
struct shmdi_queue_layout {
	uint64_t ready_offset;
	uint64_t free_offset;
	uint64_t desc_offset;
	uint64_t deadline_offset; /* 0 = there are none */
	uint64_t slots_offset;
	uint64_t end;
};

struct shmdi_queue_layout shmdi_queue_layout(const struct shmdi_attachment *is);

/* ---- change.c: the eventcount; its bump in change.h ----------------------------- */
uint64_t shmdi_change_version(const struct shmdi_object *object);
int shmdi_change_wait(struct shmdi_object *object, uint64_t version, int64_t timeout_ns, uint64_t *ret_version);

/* ---- sequence.c: brackets and snapshots --------------------------------------- */
int shmdi_sequence_begin(struct shmdi_object *object);
int shmdi_sequence_end(struct shmdi_object *object);
int shmdi_sequence_mark(struct shmdi_object *object);
int shmdi_snapshot(struct shmdi_object *object, uint64_t start, uint64_t count, int64_t timeout_ns, void *ret_items,
                   uint64_t *ret_version);
int shmdi_write(struct shmdi_object *object, uint64_t start, uint64_t count, int64_t timeout_ns, const void *items);

/* ---- element.c: single elements ------------------------------------------------ */
int shmdi_element_load(const struct shmdi_object *object, uint64_t index, void *ret_item);
int shmdi_element_store(struct shmdi_object *object, uint64_t index, const void *item);
int shmdi_element_add(struct shmdi_object *object, uint64_t index, const void *delta, void *ret_before);
int shmdi_element_exchange(struct shmdi_object *object, uint64_t index, const void *item, void *ret_before);
int shmdi_element_compare_exchange(struct shmdi_object *object, uint64_t index, const void *expected,
                                   const void *desired, bool *ret_swapped, void *ret_before);

#pragma GCC visibility pop

#include "handles.h"

#endif /* SHMDI_INTERNAL_H */
