/* SPDX-License-Identifier: Apache-2.0
 *
 * shmd.h - values, arrays, mutexes, reader-writer locks, conditions, semaphores,
 * events, barriers, queues, streams and pipes that several processes share by name.
 *
 * A process asks the daemon for an object by name and gets a handle that works
 * at memory speed. When a process dies, at whatever instruction, the daemon
 * gives back what it held, and the next owner of a lock is told.
 *
 *	struct shmd_client *client;
 *	struct shmd_mutex *mutex;
 *	if (shmd_connect(NULL, &client) < 0 || shmd_mutex_open_or_create(client, "jobs/lock", NULL, &mutex) < 0)
 *		fprintf(stderr, "%s\n", shmd_last_error());
 *	int result = shmd_mutex_lock(mutex, SHMD_FOREVER);
 *	if (result < 0)
 *		return result;                       // not held
 *	if (result == SHMD_OWNER_DIED) {
 *		repair();                            // held; its last owner died inside
 *		shmd_mutex_mark_consistent(mutex);
 *	}
 *	shmd_mutex_unlock(mutex);
 *
 * Link with -lshmd (pkg-config: shmd). Linux 5.10, 64-bit little endian.
 *
 * Caveats, first
 *   - What is not in this file is not API. The layout of the segments
 *     (shmd_abi.h) is for tools; version 1, which never changes.
 *   - fork: connect *after* daemonising. In a forked child the handles of the
 *     parent answer SHMD_E_FORKED; pointers got by shmd_*_data stay usable.
 *     The child connects and opens for itself, and may close what it inherited:
 *     that frees its own memory and changes nothing for the parent. That needs
 *     malloc to work in the child; glibc's does, even if the parent has several
 *     threads. vfork and posix_spawn are harmless.
 *   - Threads: a client and its handles may be used by all threads at once,
 *     except that closing a handle while it is in use is an error that nobody
 *     detects; the role of a stream, and each direction of a pipe's end, is for one
 *     thread at a time. A lock belongs to a thread, and is NOT given back when a thread
 *     ends: only when the process does, or closes its last handle on the object.
 *   - Signals: safe in a signal handler, also in one that interrupts the same
 *     function on the same object, are these and no others: shmd_event_set,
 *     shmd_event_reset, shmd_event_pulse, shmd_event_is_set, and shmd_event_wait with
 *     timeout_ns 0; on a plain semaphore shmd_semaphore_release, shmd_semaphore_post,
 *     shmd_semaphore_permits, and shmd_semaphore_acquire of 1 with timeout_ns 0;
 *     shmd_barrier_abort, shmd_barrier_reset, shmd_barrier_state; shmd_value_load,
 *     shmd_value_store, shmd_value_fetch_add, shmd_value_exchange,
 *     shmd_value_compare_exchange, shmd_value_version, and the same of an array;
 *     shmd_error_name, shmd_strerror. They leave errno and shmd_last_error alone.
 *   - A wait that a signal interrupts goes on, as in pthread_mutex_lock, unless
 *     shmd_set_interrupt says otherwise. No function
 *     changes signal dispositions or raises SIGPIPE. Leaving a function by longjmp out
 *     of a handler, by pthread_cancel, or by an exception out of a callback, is
 *     undefined.
 *   - SIGKILL and the like: whatever the process held is given back. The next
 *     owner gets SHMD_OWNER_DIED, until one marks the state consistent.
 *   - Raw pointers (shmd_*_data) are plain memory: what is written there neither
 *     wakes waiters nor is seen whole by shmd_array_read, unless it lies between
 *     shmd_array_begin_write and _end_write. After the handle is closed the
 *     pointer is invalid; through a read-only handle writing is SIGSEGV.
 *   - A process that may write an object may write anything into it: do not act
 *     on shared contents unchecked unless you trust everybody who may write.
 *   - A value or array may be destroyed by others at any time: its handles then
 *     answer SHMD_E_REMOVED, the memory stays mapped until they are closed.
 *   - Two handles of one object are two mappings of it. A thread sanitizer, which goes
 *     by addresses, does not see that they are one lock: use one handle under it.
 *   - The library never logs and never aborts. It starts a thread for pollables, and
 *     none else.
 *
 * Conventions
 *   - Functions return 0, or a negative SHMD_E_ code and then nothing was
 *     acquired or changed, or SHMD_OWNER_DIED (1): success with a notice. So
 *     `if (result < 0) goto failed;` never leaks a held lock; but a wait of a
 *     condition ends with its mutex held, whatever it returns.
 *   - Outputs come last, are called ret_..., and are untouched on failure (the
 *     items of shmd_array_read excepted).
 *   - timeout_ns is relative, in nanoseconds of CLOCK_MONOTONIC: SHMD_FOREVER
 *     waits without end, 0 tries and answers SHMD_E_WOULD_BLOCK, anything below
 *     -1 is SHMD_E_INVALID. A wait that ends answers SHMD_E_TIMED_OUT.
 *   - "Control calls" are those that ask the daemon: connect, create, open,
 *     open_or_create, close, unlink, destroy, chmod, chown, ticket. They wait for its answer, and all
 *     but close may fail with SHMD_E_LOST (no daemon any more), SHMD_E_FORKED,
 *     SHMD_E_NO_SPACE, SHMD_E_SYSTEM, SHMD_E_BAD_FRAME, SHMD_E_INTERNAL,
 *     SHMD_E_INVALID. All others work in shared memory and make a system call only
 *     to sleep or wake; but waits on a read-only handle, and what concerns long
 *     messages of a queue, are control calls too.
 *   - Any function that takes a pointer answers SHMD_E_INVALID to a null one,
 *     unless it says otherwise; accessors that return no status require one.
 *   - Options begin with their size: `struct shmd_create_options options =
 *     {.size = sizeof options};` and what else shall differ. Zero is the default
 *     of every member; a null pointer stands for all defaults.
 *   - Item pointers point to one C object of the type of the type code; they
 *     need no alignment.
 *
 * Type codes
 *	c char  b signed char  B unsigned char  ? _Bool  h short  H unsigned short
 *	i int  I unsigned int  u wchar_t  l long  L unsigned long  q long long
 *	Q unsigned long long  f float  d double  e IEEE half float (2 bytes)
 */
#ifndef SHMD_H
#define SHMD_H

#if !defined(__LP64__) || __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "shmd needs a 64-bit little-endian target (amd64 or arm64); 32-bit and big-endian are not supported"
#endif

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#if defined(__GNUC__)
#define SHMD_API __attribute__((visibility("default")))
#else
#define SHMD_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

#define SHMD_VERSION "0.1.0"

/* The version of the library that runs; SHMD_VERSION is that of this header. */
SHMD_API const char *shmd_version(void);

#define SHMD_FOREVER (-1)

/* ---- Status --------------------------------------------------------------
 * The numbers are those of the wire, negated, and never change. */

#define SHMD_OWNER_DIED 1 /* lock held; its previous owner died holding it */

/* Conditions. */
#define SHMD_E_WOULD_BLOCK (-2)
#define SHMD_E_TIMED_OUT (-3)
#define SHMD_E_CANCELLED (-4)
#define SHMD_E_CLOSED (-5)
#define SHMD_E_REMOVED (-6)         /* the object was destroyed */
#define SHMD_E_LOST (-7)            /* the daemon is gone; mapped objects go on working */
#define SHMD_E_NOT_RECOVERABLE (-8) /* strict: unlocked inconsistent after a death */
#define SHMD_E_ENDED (-9)           /* shut down, or closed by the other side: nothing goes in, nothing is left */
#define SHMD_E_BROKEN (-10)         /* the barrier is broken: by a timeout, an abort, a failed action */
#define SHMD_E_PEER_DIED (-11)      /* a party of the barrier, or the other side of a stream or pipe */
#define SHMD_E_OUTCOME_UNKNOWN (-12) /* it may have taken effect or not */
#define SHMD_E_TAKEN (-13)          /* another client has the role */

/* Failures. */
#define SHMD_E_INVALID (-20)
#define SHMD_E_BAD_NAME (-21)
#define SHMD_E_BAD_TYPE (-22)
#define SHMD_E_OUT_OF_RANGE (-23)
#define SHMD_E_BAD_INDEX (-24)
#define SHMD_E_NOT_FOUND (-25)
#define SHMD_E_EXISTS (-26)
#define SHMD_E_KIND_MISMATCH (-27)
#define SHMD_E_TYPE_MISMATCH (-28)
#define SHMD_E_SHAPE_MISMATCH (-29)
#define SHMD_E_OPTION_MISMATCH (-30)
#define SHMD_E_PERMISSION (-31)
#define SHMD_E_NOT_OWNER (-32)
#define SHMD_E_DEADLOCK (-33)
#define SHMD_E_SEATS_FULL (-34)
#define SHMD_E_QUOTA (-35)
#define SHMD_E_NO_SPACE (-36)
#define SHMD_E_TOO_LARGE (-37)
#define SHMD_E_BAD_FRAME (-38)
#define SHMD_E_UNKNOWN_METHOD (-39)
#define SHMD_E_BAD_PARAMS (-40)
#define SHMD_E_VERSION (-41)
#define SHMD_E_CORRUPT (-42)
#define SHMD_E_UNSUPPORTED (-43)
#define SHMD_E_BUSY (-44)
#define SHMD_E_BAD_HANDLE (-45)
#define SHMD_E_IDENTITY (-46)
#define SHMD_E_NO_DAEMON (-47)
#define SHMD_E_FORKED (-48)
#define SHMD_E_OVERFLOW (-49)
#define SHMD_E_SYSTEM (-50)
#define SHMD_E_INTERNAL (-51)

/* A short text, "no such object", for what any function returned. Never null. */
SHMD_API const char *shmd_strerror(int error);

/* The symbolic name, "NOT_FOUND". Never null; "UNKNOWN" for codes of a newer daemon. */
SHMD_API const char *shmd_error_name(int error);

/* The sentence that came with the last error of a control call or a system call
 * in this thread: what was attempted, on what, why it failed, what to do. ""
 * before the first. Errors of calls in shared memory (would block, not owner,
 * bad index ...) leave it as it is, but for some that have more to say, as that a
 * barrier is broken; else shmd_strerror says all there is to say.
 * Valid until the thread's next failing call. */
SHMD_API const char *shmd_last_error(void);

/* ---- Client ----------------------------------------------------------------- */

struct shmd_client;

struct shmd_connect_options {
	size_t size;             /* sizeof(struct shmd_connect_options) */
	const char *socket_path; /* default: $SHMD_SOCKET, else $XDG_RUNTIME_DIR/shmd/shmd.sock if a daemon listens there,
	                          * else /run/shmd/shmd.sock; a set-user-ID program does not look at its environment */
	const char *software;    /* at most 64 bytes that `shmd clients` shows; default: this library */
	int64_t reattach_timeout_ns; /* of calls while the daemon is away; 0: 5 s, -1: lost at once */
};

/* Connects to the daemon, and blocks until it has answered. When that ends, calls come back to the next one, or
 * answer LOST or OUTCOME_UNKNOWN: docs/operations.md. Errors: NO_DAEMON, PERMISSION (of the socket), VERSION,
 * IDENTITY, INVALID, QUOTA, BAD_PARAMS (software is longer, or no UTF-8). */
SHMD_API int shmd_connect(const struct shmd_connect_options *options, struct shmd_client **ret_client);

/* Gives the client up; takes null and returns null. The connection ends when
 * the last handle is closed too, so the order of closing does not matter. A daemon that
 * ends meanwhile has the next one told, for which it waits as any call; if there is no
 * daemon at that time, what the client was is forgotten when this process ends. */
SHMD_API struct shmd_client *shmd_close(struct shmd_client *client);

/* The path of the daemon's socket that the client has connected to; valid until it is closed. */
SHMD_API const char *shmd_socket_path(const struct shmd_client *client);

/* Lets the application end waits, for which a language with signal handlers of its own asks:
 * the function is called with the argument before each sleep of a wait, in the thread that
 * waits, so also after a signal has interrupted one; nonzero ends the wait with CANCELLED,
 * which any function with a timeout_ns may then return. Nothing internal is held then: the
 * function may do anything but close what is waited for, and when it forks it must say nonzero
 * in the child. A condition takes its mutex again first, without another call once one has
 * said nonzero; who has arrived at a barrier, and is let go so, breaks it as by
 * shmd_barrier_abort. A try (timeout_ns 0) never asks, nor do control calls that are no waits,
 * nor what waits for another thread that is at the same queue or semaphore for a moment.
 * One for the process; null for none. Set it before anybody waits. */
SHMD_API void shmd_set_interrupt(int (*interrupted)(void *argument), void *argument);

/* Takes the name away: handles go on, the object goes with the last of them.
 * Errors: NOT_FOUND, BAD_NAME, PERMISSION. */
SHMD_API int shmd_unlink(struct shmd_client *client, const char *name);

/* Ends the object for everybody: who waits or comes later gets REMOVED.
 * Errors: NOT_FOUND, BAD_NAME, PERMISSION. */
SHMD_API int shmd_destroy(struct shmd_client *client, const char *name);
SHMD_API int shmd_destroy_id(struct shmd_client *client, uint64_t id);

/* Sets who may read and write the object, for whoever opens it from now on: mode is that of
 * a file, of 0666 at most. Errors: NOT_FOUND, BAD_NAME, INVALID (other bits), PERMISSION
 * (only its owner and root may). */
SHMD_API int shmd_chmod(struct shmd_client *client, const char *name, uint32_t mode);
SHMD_API int shmd_chmod_id(struct shmd_client *client, uint64_t id, uint32_t mode);

/* Gives the object another owner, who is charged for it, and group; -1 leaves one as it is.
 * Errors: NOT_FOUND, BAD_NAME, INVALID (no such number), QUOTA, PERMISSION (only root gives
 * to another user, and only its owner to a group that he is of). */
SHMD_API int shmd_chown(struct shmd_client *client, const char *name, int64_t uid, int64_t gid);
SHMD_API int shmd_chown_id(struct shmd_client *client, uint64_t id, int64_t uid, int64_t gid);

/* ---- Creating and opening ---------------------------------------------------
 *
 * create fails with EXISTS if the name is taken; open with NOT_FOUND if it is
 * not; open_or_create does either, and if the object exists its kind, code,
 * shape and lock must agree. A name is parts of [A-Za-z0-9._-] joined by "/", at
 * most 255 bytes; "" or null creates an anonymous object, which has only its id.
 *
 * Errors: BAD_NAME, NOT_FOUND, EXISTS, KIND_MISMATCH, TYPE_MISMATCH,
 * SHAPE_MISMATCH, OPTION_MISMATCH, PERMISSION, SEATS_FULL (as many clients as
 * seats), QUOTA, NO_SPACE, BAD_TYPE, OUT_OF_RANGE, INVALID (sizes, options of
 * another size, options that exclude each other), TOO_LARGE (init beyond 1 MiB
 * on the wire), VERSION (a segment of another layout), CORRUPT. */

struct shmd_mutex;
struct shmd_semaphore;
struct shmd_queue;
struct shmd_stream;
struct shmd_pipe;
struct shmd_event;
struct shmd_condition;
struct shmd_barrier;
struct shmd_rwlock;
struct shmd_value;
struct shmd_array;

enum shmd_lifetime {
	SHMD_LIFETIME_DEFAULT = 0,    /* persistent if named, refcounted if anonymous */
	SHMD_LIFETIME_PERSISTENT = 1, /* until unlinked or destroyed */
	SHMD_LIFETIME_REFCOUNTED = 2, /* until the last client goes */
	SHMD_LIFETIME_OWNED = 3       /* until its creator dies */
};

/* The lock of a value or array. */
enum shmd_lock_kind {
	SHMD_LOCK_OWN = 0,    /* its own, which is recursive */
	SHMD_LOCK_NONE = 1,   /* none: elements only, no consistent snapshots */
	SHMD_LOCK_FOREIGN = 2 /* the mutex lock_mutex, which may guard several objects */
};

struct shmd_create_options {
	size_t size;                         /* sizeof(struct shmd_create_options) */
	uint32_t mode;                       /* permission bits; 0 = 0600 */
	uint32_t seats_max;                  /* clients at once, up to 4094; 0 = 64 */
	enum shmd_lifetime lifetime;
	enum shmd_lock_kind lock;            /* value, array */
	const struct shmd_mutex *lock_mutex; /* condition: its mutex, required. value, array: that of
	                                      * SHMD_LOCK_FOREIGN, without unlock_any. Else null. */
	const void *init;                    /* value, array: the first init_count items; the rest is zero */
	size_t init_count;                   /* in items; 1 for a value */
	bool recursive;                      /* mutex: the same thread may lock again */
	bool unlock_any;                     /* mutex: any thread may unlock; excludes the other two */
	bool strict;                         /* mutex: unlocked unrepaired = NOT_RECOVERABLE for ever */
	uint32_t initial;                    /* semaphore: permits at first; 0 = none */
	uint32_t maximum;                    /* semaphore: permits at most, up to 2^31-1, which 0 stands for too */
	bool undo;                           /* semaphore: what a dead process held comes back; see below */
	uint32_t maxsize;                    /* queue: messages at most, up to 65536; 0 = 1024 */
	uint32_t slot_size;                  /* queue: bytes for each message, 8 to 2^20; 0 = 256 */
	uint32_t message_max;                /* bytes of the longest message. queue: up to 1 GiB; 0 = slot_size.
	                                      * stream: up to capacity / 2 - 8, for which 0 stands too.
	                                      * pipe: up to 1 GiB, for which 0 stands too */
	uint32_t deliveries_max;             /* queue: deliveries after which a message is dead, up to 254; 0 = no limit */
	uint64_t lease_ns;                   /* queue: who leases a message longer loses it; at least 1 ms; 0 = no limit */
	bool raw;                            /* queue: messages are any bytes; else each is one msgpack value */
	uint32_t capacity;                   /* stream, pipe: bytes under way each way, a power of two, 4 KiB
	                                      * to 256 MiB; 0 = 64 KiB */
	bool bytes;                          /* pipe: carries bytes, without message_max; else messages */
	bool auto_reset;                     /* event: one wait ends for each set, and resets it */
	bool set;                            /* event: set at first */
	uint32_t parties;                    /* barrier: how many must arrive, 1 to 4094 */
};

/* What keeps an object for a process that will open it. A secret while it is good. */
struct shmd_ticket {
	unsigned char bytes[16];
};

struct shmd_open_options {
	size_t size;                      /* sizeof(struct shmd_open_options) */
	uint64_t id;                      /* which object, if the name is null */
	bool read_only;                   /* map for reading; whatever writes or locks is PERMISSION */
	bool party;                       /* barrier: this process is a party already, before it arrives */
	const struct shmd_ticket *ticket; /* that keeps the object, and is used up; null = none */
	int role;                         /* queue: an enum shmd_role of this handle, see shmd_queue_claim; 0 = none */
};

/* Makes a ticket: the object stays until somebody has opened it with that, though everybody
 * else closes it and this process exits; for timeout_ns at most, 0 = a minute, an hour at
 * most. Pass on the object's kind, its id, by shmd_..._id, and the ticket: it is for one open,
 * in any process, which needs the permission that it needs anyway. An open with a ticket that
 * was used, is too old, or is another object's, is NOT_FOUND; one that the daemon refuses
 * leaves it as it is. Safe for threads. Errors: NOT_FOUND, REMOVED, PERMISSION (who may not
 * read the object), INVALID (timeout_ns), QUOTA (this user has too many that are good). */
SHMD_API int shmd_ticket(struct shmd_client *client, uint64_t id, int64_t timeout_ns, struct shmd_ticket *ret_ticket);

/* The death of an owner. All of it is 0 if none has died yet. */
struct shmd_notice {
	uint32_t deaths;           /* owners that died holding this lock, so far */
	uint32_t seat;             /* of the last one: its seat in the lock's object, */
	uint32_t pid;              /* its process, as the daemon sees it, */
	uint32_t uid;              /* its user, */
	uint64_t died_realtime_ns; /* and when it was recovered, CLOCK_REALTIME */
};

/* ---- Mutex -------------------------------------------------------------------- */

SHMD_API int shmd_mutex_create(struct shmd_client *client, const char *name,
                               const struct shmd_create_options *options, struct shmd_mutex **ret_mutex);
SHMD_API int shmd_mutex_open(struct shmd_client *client, const char *name, const struct shmd_open_options *options,
                             struct shmd_mutex **ret_mutex);
SHMD_API int shmd_mutex_open_or_create(struct shmd_client *client, const char *name,
                                       const struct shmd_create_options *options, struct shmd_mutex **ret_mutex);

/* Takes null and returns null. Gives up the client's last handle on a mutex that
 * it holds = as if it had died: the next owner gets SHMD_OWNER_DIED. The same is
 * true of values and arrays. */
SHMD_API struct shmd_mutex *shmd_mutex_close(struct shmd_mutex *mutex);

/* Locks. 0 = held; SHMD_OWNER_DIED = held, and an owner died holding it since
 * the state was last marked consistent (a recursive lock says so again). Waits up
 * to timeout_ns; not fair.
 * Errors: WOULD_BLOCK, TIMED_OUT, DEADLOCK (this thread holds it and it is not
 * recursive), OVERFLOW (2^30 times), NOT_RECOVERABLE, REMOVED, PERMISSION
 * (read-only), INVALID, FORKED, SYSTEM. */
SHMD_API int shmd_mutex_lock(struct shmd_mutex *mutex, int64_t timeout_ns);

/* Unlocks once. Never waits.
 * Errors: NOT_OWNER (not held by this thread), REMOVED, PERMISSION, INVALID, FORKED. */
SHMD_API int shmd_mutex_unlock(struct shmd_mutex *mutex);

/* Says that what the mutex guards is in order again; to be called by the holder
 * after SHMD_OWNER_DIED. Harmless otherwise.
 * Errors: NOT_OWNER, REMOVED, PERMISSION, INVALID, FORKED. */
SHMD_API int shmd_mutex_mark_consistent(struct shmd_mutex *mutex);

/* The last death; its parts belong together while the caller holds the mutex.
 * Errors: PERMISSION (read-only), INVALID, FORKED. */
SHMD_API int shmd_mutex_notice(const struct shmd_mutex *mutex, struct shmd_notice *ret_notice);

/* The id, which no other object of this daemon ever has. */
SHMD_API uint64_t shmd_mutex_id(const struct shmd_mutex *mutex);

/* Whether the call that returned this handle created the object. */
SHMD_API bool shmd_mutex_created(const struct shmd_mutex *mutex);

/* ---- Semaphore ----------------------------------------------------------------
 *
 * Counts permits. A plain one is like sem_t: whoever likes releases, permits are
 * acquired one by one, and what a process that dies had acquired is gone. With
 * undo, permits belong to the process that acquired them: several are acquired at
 * once, only they can be released, and when the process dies, or closes its last
 * handle on the semaphore, they come back, exactly once. Not fair: who comes may
 * be faster than who waits, and who wants many may wait beside those who want one. */

/* What there is. Nothing holds it still. */
struct shmd_permits {
	uint32_t available; /* that can be acquired */
	uint32_t total;     /* that exist, held ones included; plain: 0, as it does not know */
	uint32_t held;      /* by this process; plain: 0 */
	uint32_t maximum;   /* that may exist */
};

SHMD_API int shmd_semaphore_create(struct shmd_client *client, const char *name,
                                   const struct shmd_create_options *options,
                                   struct shmd_semaphore **ret_semaphore);
SHMD_API int shmd_semaphore_open(struct shmd_client *client, const char *name,
                                 const struct shmd_open_options *options, struct shmd_semaphore **ret_semaphore);
SHMD_API int shmd_semaphore_open_or_create(struct shmd_client *client, const char *name,
                                           const struct shmd_create_options *options,
                                           struct shmd_semaphore **ret_semaphore);
/* Takes null and returns null. */
SHMD_API struct shmd_semaphore *shmd_semaphore_close(struct shmd_semaphore *semaphore);

/* Acquires n permits, all or none, waiting up to timeout_ns.
 * Errors: WOULD_BLOCK, TIMED_OUT, INVALID (n is not 1 to the maximum),
 * UNSUPPORTED (n > 1 and plain), REMOVED, CORRUPT, PERMISSION (read-only),
 * FORKED, SYSTEM. */
SHMD_API int shmd_semaphore_acquire(struct shmd_semaphore *semaphore, uint32_t n, int64_t timeout_ns);

/* Releases n permits and wakes who waits for them. Sleeps at most for others who
 * are at it too.
 * Errors: OVERFLOW (plain: more than the maximum), NOT_OWNER (undo: more than
 * this process holds), INVALID (n is 0), REMOVED, CORRUPT, PERMISSION, FORKED, SYSTEM. */
SHMD_API int shmd_semaphore_release(struct shmd_semaphore *semaphore, uint32_t n);

/* Makes n new permits, whoever holds how many; of a plain semaphore the same as release.
 * Errors: as release, and OVERFLOW also with undo. */
SHMD_API int shmd_semaphore_post(struct shmd_semaphore *semaphore, uint32_t n);

/* Errors: REMOVED, CORRUPT, INVALID, FORKED. */
SHMD_API int shmd_semaphore_permits(const struct shmd_semaphore *semaphore, struct shmd_permits *ret_permits);

/* As those of a mutex. */
SHMD_API uint64_t shmd_semaphore_id(const struct shmd_semaphore *semaphore);
SHMD_API bool shmd_semaphore_created(const struct shmd_semaphore *semaphore);

/* ---- Queue ----------------------------------------------------------------------
 *
 * Bounded, between any number of producers and consumers in any language. The
 * messages of one producer are taken in the order in which it put them. A consumer
 * either takes a message, which is then gone, or takes a lease on it: the message
 * stays in the queue until it is acknowledged, and when the consumer's process
 * dies, closes its last handle on the queue, or gives it back, it is delivered
 * again, before all others and in the old order.
 *
 *	struct shmd_lease job;
 *	while (shmd_queue_lease(queue, SHMD_FOREVER, &job) == 0) {
 *		if (work(job.message, job.size_bytes))
 *			shmd_queue_ack(queue, &job);     // done: at least once, whoever dies
 *		else
 *			shmd_queue_nack(queue, &job);    // to somebody else, or after
 *	}                                        // deliveries_max a dead letter
 *
 * In a queue that is not raw each message is exactly one msgpack value, nested at
 * most 12 deep: put and commit check that (BAD_TYPE). What another process put in
 * is checked by nobody: unpack with care.
 *
 * Many messages in one call (put_many, take_many, lease_many, ack_many, nack_many) go
 * in under one hold of the queue's latch: some 64 messages and 16 KiB at once, next to
 * each other, so a call may do fewer than asked and says how many; call it again for
 * the rest. It waits for the first message or slot only. There is no more to a batch:
 * each of its messages is put, taken or done by itself, and a process that dies in the
 * middle has done the first of them.
 *
 *	struct iovec messages[64];
 *	uint32_t count;
 *	while (shmd_queue_take_many(queue, buffer, sizeof buffer, messages, 64, SHMD_FOREVER, &count) == 0)
 *		for (uint32_t i = 0; i < count; i++)
 *			work(messages[i].iov_base, messages[i].iov_len);
 *
 * In a queue with lease_ns a lease also ends by time: then the message is delivered
 * again, that delivery counts like any, and ack, nack and extend of the old lease
 * answer NOT_OWNER. Who had it may still be reading it while another works on it, or
 * after its slot was used again: only what ack answers says that the work counts.
 * A lease that is over ends when somebody asks for a message, counts or joins; until
 * then it can be acknowledged. Who waits looks in time, except that a lease which
 * extend has shortened may end late, by lease_ns at most.
 *
 * A long message, of more than slot_size bytes, travels in memory beside the queue
 * that its slot keeps and uses again, and that is charged to the owner of the queue.
 * The daemon is asked where this handle has not seen it yet, and by put and
 * reserve_size where it is too small. Errors of those besides: of control calls,
 * QUOTA and NO_SPACE (put, reserve_size), and LOST once the daemon is gone; the
 * message then stays in the queue, as one that was given back.
 *
 * Errors that any of these functions may return: REMOVED, CORRUPT (somebody has
 * scribbled over the queue; nothing was overrun), PERMISSION (read-only), INVALID,
 * FORKED, SYSTEM. Those without a timeout sleep at most for others who are at the
 * queue too. */

/* A message that is made in place. */
struct shmd_reservation {
	void *buffer;        /* in shared memory, aligned to 8 bytes; valid until commit, abort or close */
	size_t buffer_bytes; /* what was reserved, or as much of the slot as a message may use */
	uint64_t ticket;     /* with slot, the name of the reservation */
	uint32_t slot;
	uint32_t side;       /* number of the side segment that the buffer is in; 0 = in the slot */
};

/* What somebody does at a queue or a stream. */
enum shmd_role { SHMD_PRODUCER = 1, SHMD_CONSUMER = 2 };

/* One delivery of one message. */
struct shmd_lease {
	const void *message; /* in shared memory, aligned to 8 bytes; valid until ack, nack or close */
	size_t size_bytes;
	uint64_t number;     /* with slot, the name of the lease; no other message has the number */
	uint32_t slot;
	uint32_t deliveries; /* this one counted; stays at 255 */
};

/* How many slots are in each state, at one moment. */
struct shmd_queue_counts {
	uint32_t ready;   /* messages to be taken */
	uint32_t leased;  /* messages that consumers have and not acknowledged */
	uint32_t writing; /* reserved, not committed */
	uint32_t free;
	uint32_t dead;    /* dead letters */
	bool closed;      /* shmd_queue_shutdown was called */
};

SHMD_API int shmd_queue_create(struct shmd_client *client, const char *name,
                               const struct shmd_create_options *options, struct shmd_queue **ret_queue);
SHMD_API int shmd_queue_open(struct shmd_client *client, const char *name, const struct shmd_open_options *options,
                             struct shmd_queue **ret_queue);
SHMD_API int shmd_queue_open_or_create(struct shmd_client *client, const char *name,
                                       const struct shmd_create_options *options, struct shmd_queue **ret_queue);
/* Takes null and returns null. */
SHMD_API struct shmd_queue *shmd_queue_close(struct shmd_queue *queue);

/* Appends a copy of the message, waiting up to timeout_ns while the queue is full.
 * A message of no bytes is valid in a raw queue.
 * Errors: WOULD_BLOCK, TIMED_OUT, ENDED (after shutdown), TOO_LARGE (more than
 * message_max), BAD_TYPE, and those of long messages. */
SHMD_API int shmd_queue_put(struct shmd_queue *queue, const void *message, size_t size_bytes, int64_t timeout_ns);

/* Appends copies of the first of count messages, waiting up to timeout_ns while the
 * queue is full; *ret_count is how many, 0 with an error. A message of more than 512
 * bytes, or than a slot, goes alone; one that may not be put ends the batch before it.
 * Errors: those of put, for the first message; INVALID also if count is 0 or more than
 * maxsize. */
SHMD_API int shmd_queue_put_many(struct shmd_queue *queue, const struct iovec *messages, uint32_t count,
                                 int64_t timeout_ns, uint32_t *ret_count);

/* Reserves a slot, to make the message in place: one of at most slot_size bytes, or
 * of at most size_bytes. It counts against maxsize until commit or abort; if the
 * process dies before, the slot is free again.
 * Errors: WOULD_BLOCK, TIMED_OUT, ENDED, and with a size TOO_LARGE (more than
 * message_max) and those of long messages. */
SHMD_API int shmd_queue_reserve(struct shmd_queue *queue, int64_t timeout_ns,
                                struct shmd_reservation *ret_reservation);
SHMD_API int shmd_queue_reserve_size(struct shmd_queue *queue, size_t size_bytes, int64_t timeout_ns,
                                     struct shmd_reservation *ret_reservation);

/* Makes the first size_bytes of the buffer a message, the last one of the queue,
 * also after shutdown. Give it the reservation as it is. May be repeated until the
 * slot is used again.
 * Errors: NOT_OWNER (no such reservation of this process), TOO_LARGE (more than
 * was reserved), BAD_TYPE. */
SHMD_API int shmd_queue_commit(struct shmd_queue *queue, const struct shmd_reservation *reservation,
                               size_t size_bytes);

/* Frees the slot. Errors: NOT_OWNER. */
SHMD_API int shmd_queue_abort(struct shmd_queue *queue, const struct shmd_reservation *reservation);

/* Takes the first message out of the queue: a lease and its ack at once. Waits up to
 * timeout_ns while the queue is empty. message_max bytes of buffer are enough.
 * Errors: WOULD_BLOCK, TIMED_OUT, ENDED (after shutdown, and empty), TOO_LARGE
 * (than the buffer; the message stays the first), and those of long messages. */
SHMD_API int shmd_queue_take(struct shmd_queue *queue, void *ret_message, size_t buffer_bytes, int64_t timeout_ns,
                             size_t *ret_size_bytes);

/* Takes up to count messages out of the queue, waiting up to timeout_ns while it is
 * empty; *ret_count is how many, 0 with an error. They are packed into the buffer, each
 * aligned to 8 bytes from its beginning, and ret_messages, which has room for count, says
 * where. One that does not fit any more stays the first, as does one of more than 512
 * bytes, which is taken alone.
 * Errors: those of take, for the first message; INVALID also if count is 0. */
SHMD_API int shmd_queue_take_many(struct shmd_queue *queue, void *buffer, size_t buffer_bytes,
                                  struct iovec *ret_messages, uint32_t count, int64_t timeout_ns, uint32_t *ret_count);

/* Takes a lease on the first message. End it by the handle that gave it.
 * Errors: WOULD_BLOCK, TIMED_OUT, ENDED, and those of long messages. */
SHMD_API int shmd_queue_lease(struct shmd_queue *queue, int64_t timeout_ns, struct shmd_lease *ret_lease);

/* Takes leases on up to count messages, waiting up to timeout_ns while there is none;
 * *ret_count is how many, 0 with an error. A message that is longer than a slot is leased
 * alone. Errors: those of lease; INVALID also if count is 0. */
SHMD_API int shmd_queue_lease_many(struct shmd_queue *queue, struct shmd_lease *ret_leases, uint32_t count,
                                   int64_t timeout_ns, uint32_t *ret_count);

/* Ends a lease: the message is done. May be repeated until the slot is used again.
 * Errors: NOT_OWNER (no such lease of this process). */
SHMD_API int shmd_queue_ack(struct shmd_queue *queue, const struct shmd_lease *lease);

/* Ends a lease: the message goes back to the front, or after deliveries_max
 * deliveries becomes a dead letter. Errors: NOT_OWNER. */
SHMD_API int shmd_queue_nack(struct shmd_queue *queue, const struct shmd_lease *lease);

/* End leases in their order, up to the first that this process has not; *ret_count is
 * how many were ended, fewer than count with an error.
 * Errors: those of ack and nack; INVALID also if count is 0. */
SHMD_API int shmd_queue_ack_many(struct shmd_queue *queue, const struct shmd_lease *leases, uint32_t count,
                                 uint32_t *ret_count);
SHMD_API int shmd_queue_nack_many(struct shmd_queue *queue, const struct shmd_lease *leases, uint32_t count,
                                  uint32_t *ret_count);

/* The lease ends lease_ns from now instead, sooner or later than it would have.
 * Errors: NOT_OWNER, INVALID (less than 1 ms), UNSUPPORTED (the queue has no lease_ns). */
SHMD_API int shmd_queue_extend(struct shmd_queue *queue, const struct shmd_lease *lease, uint64_t lease_ns);

/* Waits up to timeout_ns until no message is ready and none is leased: all that was put
 * is done, or a dead letter. Reservations do not count. A shutdown does not end it.
 * Errors: WOULD_BLOCK, TIMED_OUT. */
SHMD_API int shmd_queue_join(struct shmd_queue *queue, int64_t timeout_ns);

/* Takes a lease on the oldest dead letter; nack puts it back. Never waits for one.
 * Errors: WOULD_BLOCK (there is none), and those of long messages. */
SHMD_API int shmd_queue_take_dead(struct shmd_queue *queue, struct shmd_lease *ret_lease);

/* Makes all dead letters messages again, at the front, with no deliveries counted;
 * ret_count, which may be null, is how many. */
SHMD_API int shmd_queue_redeliver(struct shmd_queue *queue, uint32_t *ret_count);

/* Ends the puts, for ever: those that wait or come later get ENDED. Takes and
 * leases go on until no message is ready, and then get it too; what is leased may
 * still come back. May be repeated. */
SHMD_API int shmd_queue_shutdown(struct shmd_queue *queue);

/* Says what this handle is for, as the option role of open does: shmd_queue_shutdown happens
 * by itself once a role has been had and the last handle that has it is closed, gives it up
 * by retire, or dies with its process; so consumers learn that no producer is left, and
 * producers that nobody takes. It holds nobody back, and any number of handles may have each
 * role. While a ticket for the queue is good, nothing ends. Control calls.
 * Errors: INVALID (no role), NOT_OWNER (retire: this handle has it not). */
SHMD_API int shmd_queue_claim(struct shmd_queue *queue, enum shmd_role role);
SHMD_API int shmd_queue_retire(struct shmd_queue *queue, enum shmd_role role);

SHMD_API int shmd_queue_counts(struct shmd_queue *queue, struct shmd_queue_counts *ret_counts);

SHMD_API uint32_t shmd_queue_maxsize(const struct shmd_queue *queue); /* in messages */
SHMD_API size_t shmd_queue_message_max_bytes(const struct shmd_queue *queue);
SHMD_API uint64_t shmd_queue_lease_ns(const struct shmd_queue *queue); /* 0 = leases do not end by time */
SHMD_API bool shmd_queue_raw(const struct shmd_queue *queue);
/* As those of a mutex. */
SHMD_API uint64_t shmd_queue_id(const struct shmd_queue *queue);
SHMD_API bool shmd_queue_created(const struct shmd_queue *queue);

/* ---- Stream ---------------------------------------------------------------------
 *
 * Messages of any bytes one way, from one producer to one consumer, faster than a queue:
 * nobody locks. Who wants to send or to receive claims the role, which then belongs to
 * this client until it retires, dies, or closes its last handle on the stream. What was
 * sent stays for the next consumer; who receives a message has it, there is no lease.
 *
 *	shmd_stream_claim(stream, SHMD_PRODUCER);          // one process
 *	shmd_stream_send(stream, message, size_bytes, SHMD_FOREVER);
 *
 *	shmd_stream_claim(stream, SHMD_CONSUMER);          // another
 *	while ((result = shmd_stream_recv(stream, buffer, sizeof buffer, SHMD_FOREVER, &size_bytes)) == 0)
 *		work(buffer, size_bytes);
 *	if (result == SHMD_E_PEER_DIED)
 *		complain(shmd_last_error());                   // what it had sent was received
 *
 * The end of a producer is told once, behind its last message: ENDED if it retired,
 * PEER_DIED if it died. The next receive waits for the next producer. A producer without
 * a consumer sends until the stream is full, and then waits for one.
 *
 * A role is used through the handle that claimed it, by one thread at a time; the two
 * roles by two threads at once. None of these functions is for signal handlers.
 * Errors that any of them may return: NOT_OWNER (this client has not the role), REMOVED,
 * CORRUPT (somebody has scribbled over the stream; nothing was overrun), PERMISSION
 * (read-only), INVALID, FORKED, SYSTEM. Those without a timeout never wait. */

SHMD_API int shmd_stream_create(struct shmd_client *client, const char *name,
                                const struct shmd_create_options *options, struct shmd_stream **ret_stream);
SHMD_API int shmd_stream_open(struct shmd_client *client, const char *name, const struct shmd_open_options *options,
                              struct shmd_stream **ret_stream);
SHMD_API int shmd_stream_open_or_create(struct shmd_client *client, const char *name,
                                        const struct shmd_create_options *options, struct shmd_stream **ret_stream);
/* Takes null and returns null. What was peeked at is invalid then. */
SHMD_API struct shmd_stream *shmd_stream_close(struct shmd_stream *stream);

/* Takes a role; nothing happens if this client has it. Errors: TAKEN (another has, or has
 * just ended: the role is free a moment after its end is told). */
SHMD_API int shmd_stream_claim(struct shmd_stream *stream, enum shmd_role role);

/* Gives a role up, also one that a repair has taken away. What was reserved or peeked at is
 * left as if it had not been. */
SHMD_API int shmd_stream_retire(struct shmd_stream *stream, enum shmd_role role);

/* Sends a copy of the message, waiting up to timeout_ns for room. A message may have no bytes.
 * Errors: WOULD_BLOCK, TIMED_OUT, TOO_LARGE (more than message_max), INVALID (something is
 * reserved). */
SHMD_API int shmd_stream_send(struct shmd_stream *stream, const void *message, size_t size_bytes, int64_t timeout_ns);

/* Sends count messages, or as many of the first as there is room for, at once: waits for
 * the first only. ret_count is how many, at least 1. Errors: as send, of the first. */
SHMD_API int shmd_stream_send_many(struct shmd_stream *stream, const struct iovec *messages, uint32_t count,
                                   int64_t timeout_ns, uint32_t *ret_count);

/* Room for a message of up to size_bytes, to be made in place; aligned to 8 bytes. It ends
 * by commit or abort, or with the role; until then nothing else is sent.
 * Errors: as send. */
SHMD_API int shmd_stream_reserve(struct shmd_stream *stream, size_t size_bytes, int64_t timeout_ns,
                                 void **ret_buffer);

/* Sends the first size_bytes of what was reserved, or gives it up.
 * Errors: INVALID (nothing is reserved, or less). */
SHMD_API int shmd_stream_commit(struct shmd_stream *stream, size_t size_bytes);
SHMD_API int shmd_stream_abort(struct shmd_stream *stream);

/* Receives the first message, waiting up to timeout_ns for one.
 * Errors: WOULD_BLOCK, TIMED_OUT, ENDED and PEER_DIED (see above), TOO_LARGE (than the
 * buffer; the message stays, and ret_size_bytes is its size all the same). */
SHMD_API int shmd_stream_recv(struct shmd_stream *stream, void *ret_message, size_t buffer_bytes, int64_t timeout_ns,
                              size_t *ret_size_bytes);

/* Shows the first message, or up to count of them, in place: waits for the first only.
 * They are valid, and stay the first, until advance or recv; a producer that another
 * process runs may scribble over them. Errors: as recv. */
SHMD_API int shmd_stream_peek(struct shmd_stream *stream, int64_t timeout_ns, const void **ret_message,
                              size_t *ret_size_bytes);
SHMD_API int shmd_stream_peek_many(struct shmd_stream *stream, struct iovec *ret_messages, uint32_t count,
                                   int64_t timeout_ns, uint32_t *ret_count);

/* The first count messages of those that the last peek showed are received.
 * Errors: INVALID (it did not show as many). */
SHMD_API int shmd_stream_advance(struct shmd_stream *stream, uint32_t count);

SHMD_API size_t shmd_stream_capacity_bytes(const struct shmd_stream *stream);
SHMD_API size_t shmd_stream_message_max_bytes(const struct shmd_stream *stream);
/* As those of a mutex. */
SHMD_API uint64_t shmd_stream_id(const struct shmd_stream *stream);
SHMD_API bool shmd_stream_created(const struct shmd_stream *stream);

/* ---- Pipe -----------------------------------------------------------------------
 *
 * Both ways, between two ends, each of which one client claims, once: messages of any
 * bytes, or with the option bytes a flow of bytes. What one end sends the other receives,
 * and after that the end: ENDED if the other end was shut, PEER_DIED if its client died,
 * then and for ever. Who sends to an end that is gone is told so at once.
 *
 * Messages of more than capacity / 2 - 8 bytes go through in pieces, while both ends are
 * at it. If such a send fails on its way the message is void, and never received; if such
 * a receive does, the next one goes on. With timeout_ns 0 one is sent only if all of it has
 * room, which is never so above 3/4 of the capacity.
 *
 * `end` is the caller's own; SHMD_END_ANY = the one that this client has (INVALID if it
 * has both). The rest is as for a stream, functions and errors, but for what is said
 * here; each direction of an end may be used by one thread at a time. UNSUPPORTED:
 * messages where there are bytes, or the other way round. */

#define SHMD_END_A 0
#define SHMD_END_B 1
#define SHMD_END_ANY (-1)

SHMD_API int shmd_pipe_create(struct shmd_client *client, const char *name,
                              const struct shmd_create_options *options, struct shmd_pipe **ret_pipe);
SHMD_API int shmd_pipe_open(struct shmd_client *client, const char *name, const struct shmd_open_options *options,
                            struct shmd_pipe **ret_pipe);
SHMD_API int shmd_pipe_open_or_create(struct shmd_client *client, const char *name,
                                      const struct shmd_create_options *options, struct shmd_pipe **ret_pipe);
/* Takes null and returns null. */
SHMD_API struct shmd_pipe *shmd_pipe_close(struct shmd_pipe *pipe);

/* Takes an end, if this client has it not yet, or any that is free; ret_end, which may be
 * null, is which. Errors: TAKEN (another client has it), ENDED (one had it). */
SHMD_API int shmd_pipe_claim(struct shmd_pipe *pipe, int end, int *ret_end);

/* Ends both directions of an end, for ever; what it has sent is still received. */
SHMD_API int shmd_pipe_shut(struct shmd_pipe *pipe, int end);

/* Errors: as those of a stream; ENDED and PEER_DIED from the sending ones but abort; NO_SPACE
 * (memory for a message in pieces) from the receiving ones. What recv has written into the
 * buffer of such a message when it fails is undefined. peek shows such a message alone, as
 * a copy. reserve takes at most capacity / 2 - 8 bytes. */
SHMD_API int shmd_pipe_send(struct shmd_pipe *pipe, int end, const void *message, size_t size_bytes,
                            int64_t timeout_ns);
SHMD_API int shmd_pipe_send_many(struct shmd_pipe *pipe, int end, const struct iovec *messages, uint32_t count,
                                 int64_t timeout_ns, uint32_t *ret_count);
SHMD_API int shmd_pipe_reserve(struct shmd_pipe *pipe, int end, size_t size_bytes, int64_t timeout_ns,
                               void **ret_buffer);
SHMD_API int shmd_pipe_commit(struct shmd_pipe *pipe, int end, size_t size_bytes);
SHMD_API int shmd_pipe_abort(struct shmd_pipe *pipe, int end);
SHMD_API int shmd_pipe_recv(struct shmd_pipe *pipe, int end, void *ret_message, size_t buffer_bytes,
                            int64_t timeout_ns, size_t *ret_size_bytes);
SHMD_API int shmd_pipe_peek(struct shmd_pipe *pipe, int end, int64_t timeout_ns, const void **ret_message,
                            size_t *ret_size_bytes);
SHMD_API int shmd_pipe_peek_many(struct shmd_pipe *pipe, int end, struct iovec *ret_messages, uint32_t count,
                                 int64_t timeout_ns, uint32_t *ret_count);
SHMD_API int shmd_pipe_advance(struct shmd_pipe *pipe, int end, uint32_t count);

/* Writes some of the bytes, or reads up to buffer_bytes, waiting up to timeout_ns until
 * there is room, or are bytes, at all; ret_size_bytes is how many, 0 only of 0.
 * Errors: as send and recv. */
SHMD_API int shmd_pipe_write(struct shmd_pipe *pipe, int end, const void *bytes, size_t size_bytes,
                             int64_t timeout_ns, size_t *ret_size_bytes);
SHMD_API int shmd_pipe_read(struct shmd_pipe *pipe, int end, void *ret_bytes, size_t buffer_bytes,
                            int64_t timeout_ns, size_t *ret_size_bytes);

SHMD_API size_t shmd_pipe_capacity_bytes(const struct shmd_pipe *pipe); /* of each direction */
SHMD_API size_t shmd_pipe_message_max_bytes(const struct shmd_pipe *pipe);
SHMD_API bool shmd_pipe_bytes(const struct shmd_pipe *pipe);
/* As those of a mutex. */
SHMD_API uint64_t shmd_pipe_id(const struct shmd_pipe *pipe);
SHMD_API bool shmd_pipe_created(const struct shmd_pipe *pipe);

/* ---- Event ----------------------------------------------------------------------
 *
 * Set or not set; waits end while it is set. With auto reset the wait that ends by a
 * set resets it: each set ends one wait, and a set of what is set already changes
 * nothing. What a thread wrote before set, the thread whose wait ends by it sees.
 *
 * Errors that any of these functions may return: REMOVED, PERMISSION (read-only; not
 * of is_set), INVALID, FORKED. */

SHMD_API int shmd_event_create(struct shmd_client *client, const char *name,
                               const struct shmd_create_options *options, struct shmd_event **ret_event);
SHMD_API int shmd_event_open(struct shmd_client *client, const char *name, const struct shmd_open_options *options,
                             struct shmd_event **ret_event);
SHMD_API int shmd_event_open_or_create(struct shmd_client *client, const char *name,
                                       const struct shmd_create_options *options, struct shmd_event **ret_event);
/* Takes null and returns null. */
SHMD_API struct shmd_event *shmd_event_close(struct shmd_event *event);

/* Sets it and ends the waits: all of them, with auto reset one. Never waits. */
SHMD_API int shmd_event_set(struct shmd_event *event);

/* Resets it. Who waited before a set that was before this is let go all the same. */
SHMD_API int shmd_event_reset(struct shmd_event *event);

/* Ends the waits of all who wait now, and leaves it not set.
 * Errors: UNSUPPORTED (auto reset). */
SHMD_API int shmd_event_pulse(struct shmd_event *event);

/* Waits up to timeout_ns for it to be set. timeout_ns 0 with auto reset: takes the
 * set, if there is one. Not fair.
 * Errors: WOULD_BLOCK, TIMED_OUT, SYSTEM. */
SHMD_API int shmd_event_wait(struct shmd_event *event, int64_t timeout_ns);

/* A look; works read-only too. */
SHMD_API int shmd_event_is_set(const struct shmd_event *event, bool *ret_set);

/* As those of a mutex. */
SHMD_API uint64_t shmd_event_id(const struct shmd_event *event);
SHMD_API bool shmd_event_created(const struct shmd_event *event);

/* ---- Condition -------------------------------------------------------------------
 *
 * Like pthread_cond_t, bound to one mutex when it is created, which must be held to
 * wait and to notify. Opening it opens the mutex too: the functions here and those of a
 * handle on the mutex work on the same lock, and the thread that locked by one may
 * wait or unlock by the other, if both belong to one client.
 *
 *	shmd_mutex_lock(mutex, SHMD_FOREVER);
 *	while (!ready)
 *		shmd_condition_wait(condition, SHMD_FOREVER);
 *	...
 *	shmd_mutex_unlock(mutex);
 *
 * A wait may end without a cause: look at what is waited for, in a loop. When a process
 * dies, those who wait are woken, so that no notification is lost with it. Destroying
 * the mutex ends the waits with REMOVED.
 *
 * Errors that any of these functions may return: NOT_OWNER (this thread does not hold
 * the mutex; one with unlock_any: this client), REMOVED (of the condition or of the
 * mutex), CORRUPT, INVALID, FORKED. A condition cannot be opened read-only: PERMISSION. */

SHMD_API int shmd_condition_create(struct shmd_client *client, const char *name,
                                   const struct shmd_create_options *options,
                                   struct shmd_condition **ret_condition);
SHMD_API int shmd_condition_open(struct shmd_client *client, const char *name,
                                 const struct shmd_open_options *options, struct shmd_condition **ret_condition);
SHMD_API int shmd_condition_open_or_create(struct shmd_client *client, const char *name,
                                           const struct shmd_create_options *options,
                                           struct shmd_condition **ret_condition);
/* Takes null and returns null. */
SHMD_API struct shmd_condition *shmd_condition_close(struct shmd_condition *condition);

/* Releases the mutex, sleeps until it is notified or timeout_ns is over, and takes the
 * mutex again, which may take longer. A recursive mutex is released whatever its depth,
 * and taken again with it. Whatever this returns, the mutex is held as before, unless it
 * cannot be had any more, and then unlocking it is harmless: REMOVED of the mutex, and
 * NOT_RECOVERABLE. timeout_ns 0 releases nothing. SHMD_OWNER_DIED: an owner died since
 * the mutex was released, as of a lock; also if the time is over. To wait without having
 * marked a strict mutex consistent makes it NOT_RECOVERABLE, as to unlock it does.
 * Errors: WOULD_BLOCK, TIMED_OUT, SYSTEM; NOT_RECOVERABLE. */
SHMD_API int shmd_condition_wait(struct shmd_condition *condition, int64_t timeout_ns);

/* Waits until the predicate, called with the argument and while the mutex is held,
 * says true: 0. TIMED_OUT and WOULD_BLOCK: it is false and the time is over.
 * SHMD_OWNER_DIED: the predicate was not asked since an owner died; repair, mark
 * consistent, and wait again. The mutex is held as after shmd_condition_wait.
 * Errors: as of that. */
SHMD_API int shmd_condition_wait_for(struct shmd_condition *condition, bool (*predicate)(void *argument),
                                     void *argument, int64_t timeout_ns);

/* Wakes n of those who wait, at least 1; all. Who begins to wait later is not meant.
 * Sleeps for nobody. */
SHMD_API int shmd_condition_notify(struct shmd_condition *condition, uint32_t n);
SHMD_API int shmd_condition_notify_all(struct shmd_condition *condition);

/* The mutex, as by a handle on it. */
SHMD_API int shmd_condition_lock(struct shmd_condition *condition, int64_t timeout_ns);
SHMD_API int shmd_condition_unlock(struct shmd_condition *condition);
SHMD_API int shmd_condition_mark_consistent(struct shmd_condition *condition);
SHMD_API int shmd_condition_notice(const struct shmd_condition *condition, struct shmd_notice *ret_notice);

/* As those of a mutex. */
SHMD_API uint64_t shmd_condition_id(const struct shmd_condition *condition);
SHMD_API bool shmd_condition_created(const struct shmd_condition *condition);

/* ---- Barrier ----------------------------------------------------------------------
 *
 * Opens when as many have arrived as it has parties, again and again. Each arrival
 * counts, also of threads of one process. A process is a party once it has arrived, or
 * was declared one when it opened the barrier; if it dies, the barrier breaks for the
 * others. It also breaks when a party times out, by shmd_barrier_abort, and by an
 * action that fails, and stays broken until it is reset.
 *
 *	uint32_t index;
 *	int result = shmd_barrier_wait(barrier, SHMD_FOREVER, &index);
 *	if (result == 0 && index == 0)
 *		report();                         // one of each generation
 *	else if (result == SHMD_E_PEER_DIED)
 *		fprintf(stderr, "%s\n", shmd_last_error()); // whose pid
 *
 * Errors that any of these functions may return: REMOVED, CORRUPT (reset mends that
 * too), PERMISSION (read-only; not of state and notice), INVALID, FORKED. */

/* Why a barrier is broken. */
#define SHMD_BROKEN_BY_TIMEOUT 0x1u
#define SHMD_BROKEN_BY_ABORT 0x2u
#define SHMD_BROKEN_BY_DEATH 0x4u
#define SHMD_BROKEN_BY_ACTION 0x8u

/* What a barrier is at one moment. */
struct shmd_barrier_state {
	uint32_t parties;
	uint32_t waiting;    /* have arrived, while more are missing; else 0 */
	bool acting;         /* all have arrived, and one of them runs its action */
	bool broken;
	uint32_t reasons;    /* SHMD_BROKEN_BY_ bits; 0 = not broken */
	uint64_t generation; /* how often it opened or was reset, modulo 2^34 */
};

SHMD_API int shmd_barrier_create(struct shmd_client *client, const char *name,
                                 const struct shmd_create_options *options, struct shmd_barrier **ret_barrier);
SHMD_API int shmd_barrier_open(struct shmd_client *client, const char *name,
                               const struct shmd_open_options *options, struct shmd_barrier **ret_barrier);
SHMD_API int shmd_barrier_open_or_create(struct shmd_client *client, const char *name,
                                         const struct shmd_create_options *options,
                                         struct shmd_barrier **ret_barrier);
/* Takes null and returns null. Closing is no death: it breaks nothing, unless an action
 * of this process is under way. */
SHMD_API struct shmd_barrier *shmd_barrier_close(struct shmd_barrier *barrier);

/* Arrives, and waits up to timeout_ns for the others. ret_index, which may be null, is
 * how many had arrived before: 0 to parties - 1, each once in a generation. timeout_ns
 * 0 arrives only if that opens the barrier; otherwise nothing has changed. To time out
 * breaks the barrier for the others, unless an action of the parties before was under
 * way and this arrival did not count yet.
 * Errors: WOULD_BLOCK, TIMED_OUT, BROKEN, PEER_DIED (broken by a death;
 * shmd_last_error says whose, and shmd_barrier_notice), OUTCOME_UNKNOWN (this thread
 * was stopped while more than 8 generations went by), SYSTEM. */
SHMD_API int shmd_barrier_wait(struct shmd_barrier *barrier, int64_t timeout_ns, uint32_t *ret_index);

/* The same, but the last to arrive runs its action, called with the argument, before
 * anybody is let go; the others may have brought actions too, which do not run. A
 * negative number that it returns breaks the barrier by ACTION and is returned here. It
 * must not use the barrier but for abort and state. If it is under way when another
 * party times out or dies, it is not interrupted, but the barrier is broken: BROKEN or
 * PEER_DIED, although the action ran.
 * Errors: as of shmd_barrier_wait. */
SHMD_API int shmd_barrier_wait_action(struct shmd_barrier *barrier, int64_t timeout_ns,
                                      int (*action)(void *argument), void *argument, uint32_t *ret_index);

/* Breaks the barrier, unless it is broken already: who waits, acts or arrives gets
 * BROKEN. Never waits. */
SHMD_API int shmd_barrier_abort(struct shmd_barrier *barrier);

/* Makes it whole and empty again, whatever it was: who waits gets BROKEN. Never waits.
 * SHMD_OWNER_DIED: done, and it was broken by a death. */
SHMD_API int shmd_barrier_reset(struct shmd_barrier *barrier);

/* A look; works read-only too. */
SHMD_API int shmd_barrier_state(const struct shmd_barrier *barrier, struct shmd_barrier_state *ret_state);

/* The last death of a party; works read-only too. Its parts belong together while the
 * barrier stays broken. */
SHMD_API int shmd_barrier_notice(const struct shmd_barrier *barrier, struct shmd_notice *ret_notice);

/* As those of a mutex. */
SHMD_API uint64_t shmd_barrier_id(const struct shmd_barrier *barrier);
SHMD_API bool shmd_barrier_created(const struct shmd_barrier *barrier);

/* ---- Reader-writer lock -------------------------------------------------------------
 *
 * Lets many readers in, or one writer. A reader that has to wait comes in after one
 * more writer at most; a writer waits for the readers that are inside or have waited.
 * Among themselves writers are not fair.
 *
 * It belongs to a thread, as a mutex does. A thread that reads may read again, at once
 * whoever waits, and unlocks as often; it must not write, and a thread that writes must
 * do neither: DEADLOCK. One thread reads at most 64 rwlocks at once, and the threads of
 * one process are at most 65535 times inside: OVERFLOW.
 *
 * When a process dies, its readers are out and its writer is: then SHMD_OWNER_DIED says
 * to readers and writers that they are inside, and that what they see may be half
 * written, until a writer marks it consistent. Closing the last handle is as a death.
 *
 * Errors that any of these functions may return: REMOVED, CORRUPT (somebody has
 * scribbled over it), PERMISSION (read-only), INVALID, FORKED. */

SHMD_API int shmd_rwlock_create(struct shmd_client *client, const char *name,
                                const struct shmd_create_options *options, struct shmd_rwlock **ret_rwlock);
SHMD_API int shmd_rwlock_open(struct shmd_client *client, const char *name, const struct shmd_open_options *options,
                              struct shmd_rwlock **ret_rwlock);
SHMD_API int shmd_rwlock_open_or_create(struct shmd_client *client, const char *name,
                                        const struct shmd_create_options *options, struct shmd_rwlock **ret_rwlock);
/* Takes null and returns null. */
SHMD_API struct shmd_rwlock *shmd_rwlock_close(struct shmd_rwlock *rwlock);

/* Begins to read, waiting up to timeout_ns for the writer.
 * Errors: WOULD_BLOCK, TIMED_OUT, DEADLOCK, OVERFLOW, NO_SPACE (memory, for the fifth
 * rwlock at once), SYSTEM. */
SHMD_API int shmd_rwlock_read_lock(struct shmd_rwlock *rwlock, int64_t timeout_ns);

/* Ends one read of this thread. Never waits.
 * Errors: NOT_OWNER (it does not read); REMOVED ends it too. */
SHMD_API int shmd_rwlock_read_unlock(struct shmd_rwlock *rwlock);

/* Begins to write, waiting up to timeout_ns for readers and writers.
 * Errors: WOULD_BLOCK, TIMED_OUT, DEADLOCK, SYSTEM. */
SHMD_API int shmd_rwlock_write_lock(struct shmd_rwlock *rwlock, int64_t timeout_ns);

/* Ends the write of this thread. Never waits. Errors: NOT_OWNER. */
SHMD_API int shmd_rwlock_write_unlock(struct shmd_rwlock *rwlock);

/* Says that what the lock guards is in order again; to be called by the writer after
 * SHMD_OWNER_DIED. Harmless otherwise. Errors: NOT_OWNER. */
SHMD_API int shmd_rwlock_mark_consistent(struct shmd_rwlock *rwlock);

/* The last death of a writer inside; works read-only too. Its parts belong together
 * while the caller is inside. */
SHMD_API int shmd_rwlock_notice(const struct shmd_rwlock *rwlock, struct shmd_notice *ret_notice);

/* As those of a mutex. */
SHMD_API uint64_t shmd_rwlock_id(const struct shmd_rwlock *rwlock);
SHMD_API bool shmd_rwlock_created(const struct shmd_rwlock *rwlock);

/* ---- Value ---------------------------------------------------------------------
 *
 * One element. Loads, stores and the atomic operations need no lock; the lock is
 * for what takes several of them. */

/* code of open: 0 = whatever it is, else TYPE_MISMATCH if it is another. */
SHMD_API int shmd_value_create(struct shmd_client *client, const char *name, char code,
                               const struct shmd_create_options *options, struct shmd_value **ret_value);
SHMD_API int shmd_value_open(struct shmd_client *client, const char *name, char code,
                             const struct shmd_open_options *options, struct shmd_value **ret_value);
SHMD_API int shmd_value_open_or_create(struct shmd_client *client, const char *name, char code,
                                       const struct shmd_create_options *options, struct shmd_value **ret_value);
SHMD_API struct shmd_value *shmd_value_close(struct shmd_value *value);

/* Loads and stores atomically (acquire, release); a store is a change.
 * Errors: REMOVED, CORRUPT, PERMISSION (store on a read-only handle), INVALID, FORKED. */
SHMD_API int shmd_value_load(const struct shmd_value *value, void *ret_item);
SHMD_API int shmd_value_store(struct shmd_value *value, const void *item);

/* Atomic operations on 4- and 8-byte codes; ret_before, the item before, may be
 * null. A sum of integers that leaves the range changes nothing; floats add as
 * IEEE 754 says. compare_exchange compares bits (-0.0 is not 0.0), never fails
 * spuriously, and is a change only if it swapped.
 * Errors: as store, and UNSUPPORTED (the code; add: also u), OUT_OF_RANGE (add). */
SHMD_API int shmd_value_fetch_add(struct shmd_value *value, const void *delta, void *ret_before);
SHMD_API int shmd_value_exchange(struct shmd_value *value, const void *item, void *ret_before);
SHMD_API int shmd_value_compare_exchange(struct shmd_value *value, const void *expected, const void *desired,
                                         bool *ret_swapped, void *ret_before);

/* The lock, as that of a mutex; an own lock is recursive.
 * Errors: as those of a mutex, UNSUPPORTED (no lock), and of mark_consistent also CORRUPT. */
SHMD_API int shmd_value_lock(struct shmd_value *value, int64_t timeout_ns);
SHMD_API int shmd_value_unlock(struct shmd_value *value);
SHMD_API int shmd_value_mark_consistent(struct shmd_value *value);
SHMD_API int shmd_value_notice(const struct shmd_value *value, struct shmd_notice *ret_notice);

/* The number of the last change. Read it *before* the data that it shall stand
 * for. Errors: REMOVED, CORRUPT, INVALID, FORKED. */
SHMD_API int shmd_value_version(const struct shmd_value *value, uint64_t *ret_version);

/* Waits until the version is not `version` any more; ret_version, which may be
 * null, is the new one. On a read-only handle this asks the daemon.
 * Errors: WOULD_BLOCK, TIMED_OUT, REMOVED, CORRUPT, INVALID, FORKED, SYSTEM;
 * read-only also those of control calls and BUSY. */
SHMD_API int shmd_value_wait_change(struct shmd_value *value, uint64_t version, int64_t timeout_ns,
                                    uint64_t *ret_version);

/* The item in shared memory: see "Raw pointers" above. Bytes beyond the item are not yours. */
SHMD_API void *shmd_value_data(const struct shmd_value *value);
SHMD_API char shmd_value_code(const struct shmd_value *value);
SHMD_API size_t shmd_value_item_size_bytes(const struct shmd_value *value);
SHMD_API uint64_t shmd_value_id(const struct shmd_value *value);
SHMD_API bool shmd_value_created(const struct shmd_value *value);

/* ---- Array ----------------------------------------------------------------------
 *
 * Elements in row-major order, indexed by their number from 0 whatever the rank. */

SHMD_API int shmd_array_create(struct shmd_client *client, const char *name, char code, unsigned int rank,
                               const uint64_t *shape, const struct shmd_create_options *options,
                               struct shmd_array **ret_array);
SHMD_API int shmd_array_open_or_create(struct shmd_client *client, const char *name, char code, unsigned int rank,
                                       const uint64_t *shape, const struct shmd_create_options *options,
                                       struct shmd_array **ret_array);
/* The same with one dimension. */
SHMD_API int shmd_array_create_1d(struct shmd_client *client, const char *name, char code, uint64_t length,
                                  const struct shmd_create_options *options, struct shmd_array **ret_array);
SHMD_API int shmd_array_open_or_create_1d(struct shmd_client *client, const char *name, char code, uint64_t length,
                                          const struct shmd_create_options *options,
                                          struct shmd_array **ret_array);
/* code 0 and rank 0 = whatever they are, else they are compared. */
SHMD_API int shmd_array_open(struct shmd_client *client, const char *name, char code, unsigned int rank,
                             const uint64_t *shape, const struct shmd_open_options *options,
                             struct shmd_array **ret_array);
SHMD_API struct shmd_array *shmd_array_close(struct shmd_array *array);

/* One element, atomically, without the lock: as those of a value. On codes of 1
 * and 2 bytes a store is one plain-sized store, and the rest UNSUPPORTED.
 * Errors: as those of a value, and BAD_INDEX. */
SHMD_API int shmd_array_load(const struct shmd_array *array, uint64_t index, void *ret_item);
SHMD_API int shmd_array_store(struct shmd_array *array, uint64_t index, const void *item);
SHMD_API int shmd_array_fetch_add(struct shmd_array *array, uint64_t index, const void *delta, void *ret_before);
SHMD_API int shmd_array_exchange(struct shmd_array *array, uint64_t index, const void *item, void *ret_before);
SHMD_API int shmd_array_compare_exchange(struct shmd_array *array, uint64_t index, const void *expected,
                                         const void *desired, bool *ret_swapped, void *ret_before);

/* Copies count elements from start on, as they were between two brackets: never
 * half of a bracketed write. Single-element operations are not bracketed.
 * SHMD_OWNER_DIED = copied, but a writer died and nobody has marked the data
 * consistent since; no lock is held in either case. ret_version, which may be
 * null, is a version not newer than the data. Waits up to timeout_ns for an open
 * bracket; may take the lock for a moment if writers never pause. A thread that
 * holds the lock reads what it has written so far. Without a lock the elements
 * are copied one by one. On failure ret_items may have been overwritten.
 * Errors: BAD_INDEX, WOULD_BLOCK, TIMED_OUT, REMOVED, CORRUPT, NOT_RECOVERABLE
 * (of a strict foreign lock), INVALID, FORKED, SYSTEM; if a read-only handle has
 * to wait also those of control calls and BUSY. */
SHMD_API int shmd_array_read(struct shmd_array *array, uint64_t start, uint64_t count, int64_t timeout_ns,
                             void *ret_items, uint64_t *ret_version);

/* Takes the lock unless this thread holds it, writes in a bracket, releases.
 * Whether an owner died before is not told: the notice stays for who locks.
 * Errors: BAD_INDEX, PERMISSION (read-only), REMOVED, CORRUPT and those of lock. */
SHMD_API int shmd_array_write(struct shmd_array *array, uint64_t start, uint64_t count, int64_t timeout_ns,
                              const void *items);

/* A bracket around writes through the raw pointer; brackets nest, the outermost
 * end is one change. Needs the lock, which cannot be unlocked inside.
 * Errors: NOT_OWNER, UNSUPPORTED (no lock), PERMISSION, OVERFLOW, INVALID (end
 * without begin), REMOVED, CORRUPT, FORKED. */
SHMD_API int shmd_array_begin_write(struct shmd_array *array);
SHMD_API int shmd_array_end_write(struct shmd_array *array);

/* As those of a value. unlock inside of a bracket is INVALID (to unlock a foreign
 * mutex itself there is an error that nobody detects). mark_consistent ends
 * SHMD_OWNER_DIED of shmd_array_read and of the array's own lock; a foreign mutex
 * may guard more, and is marked by shmd_mutex_mark_consistent. */
SHMD_API int shmd_array_lock(struct shmd_array *array, int64_t timeout_ns);
SHMD_API int shmd_array_unlock(struct shmd_array *array);
SHMD_API int shmd_array_mark_consistent(struct shmd_array *array);
SHMD_API int shmd_array_notice(const struct shmd_array *array, struct shmd_notice *ret_notice);
SHMD_API int shmd_array_version(const struct shmd_array *array, uint64_t *ret_version);
SHMD_API int shmd_array_wait_change(struct shmd_array *array, uint64_t version, int64_t timeout_ns,
                                    uint64_t *ret_version);

/* The elements in shared memory, aligned to 64 bytes: see "Raw pointers" above. */
SHMD_API void *shmd_array_data(const struct shmd_array *array);
SHMD_API uint64_t shmd_array_length(const struct shmd_array *array);   /* in elements */
SHMD_API unsigned int shmd_array_rank(const struct shmd_array *array); /* 1 to 8 */
SHMD_API const uint64_t *shmd_array_shape(const struct shmd_array *array); /* valid until closed */
SHMD_API char shmd_array_code(const struct shmd_array *array);
SHMD_API size_t shmd_array_item_size_bytes(const struct shmd_array *array);
SHMD_API uint64_t shmd_array_id(const struct shmd_array *array);
SHMD_API bool shmd_array_created(const struct shmd_array *array);

/* ---- Waiting for any of several objects ----------------------------------------
 *
 * What is waited for is that a try (timeout_ns = 0) on an object may succeed, or
 * would say why it never will. Nothing is taken: between the end of the wait and the
 * try another may be faster, so try, and wait again after WOULD_BLOCK.
 *
 *	struct shmd_waitable items[] = {
 *		{.until = SHMD_UNTIL_MESSAGE, .object = queue},
 *		{.until = SHMD_UNTIL_PERMIT, .object = stop},
 *	};
 *	size_t index;
 *	while (shmd_wait_any(items, 2, SHMD_FOREVER, &index) == 0 && index == 0)
 *		if (shmd_queue_take(queue, buffer, sizeof buffer, 0, &size_bytes) == 0)
 *			work(buffer, size_bytes); */

/* What to wait for, and of which type the object is. */
enum shmd_until {
	SHMD_UNTIL_MUTEX_FREE = 1,    /* struct shmd_mutex: lock */
	SHMD_UNTIL_PERMIT = 2,        /* struct shmd_semaphore: acquire 1 */
	SHMD_UNTIL_MESSAGE = 3,       /* struct shmd_queue: take, lease */
	SHMD_UNTIL_SLOT = 4,          /* struct shmd_queue: put, reserve */
	SHMD_UNTIL_VALUE_CHANGES = 5, /* struct shmd_value: its version is not `version` any more */
	SHMD_UNTIL_ARRAY_CHANGES = 6, /* struct shmd_array: likewise */
	SHMD_UNTIL_SET = 7,           /* struct shmd_event: set, or with manual reset set since the wait began */
	SHMD_UNTIL_READABLE = 8,      /* struct shmd_rwlock: read_lock; who waits so holds back no writer */
	SHMD_UNTIL_STREAM_READABLE = 9, /* struct shmd_stream, its consumer: recv, peek */
	SHMD_UNTIL_STREAM_WRITABLE = 10, /* its producer: send, reserve; half of the capacity is free */
	SHMD_UNTIL_PIPE_READABLE = 11, /* struct shmd_pipe: recv, peek, read */
	SHMD_UNTIL_PIPE_WRITABLE = 12 /* send, reserve, write; half of the capacity is free */
};

struct shmd_waitable {
	enum shmd_until until;
	void *object;     /* an open handle; not closed before the wait ends, or the pollable is closed */
	uint64_t version; /* of values and arrays; of a pipe which end, if this client has both; else unused */
};

#define SHMD_WAIT_ANY_MAX 127

/* Waits up to timeout_ns until a try on one of count items may succeed; ret_index is
 * the lowest of those. 0 = a look only.
 * Errors: WOULD_BLOCK, TIMED_OUT, INVALID (no items or more than SHMD_WAIT_ANY_MAX, an
 * unknown until), PERMISSION (read-only), CORRUPT, FORKED, SYSTEM. That an object was
 * destroyed is no error here: its try says so. Before Linux 5.16 waiting costs some
 * looks each 5 ms. */
SHMD_API int shmd_wait_any(const struct shmd_waitable *items, size_t count, int64_t timeout_ns, size_t *ret_index);

/* A descriptor for poll, epoll and event loops, readable while a try may succeed.
 *
 *	struct shmd_pollable *pollable;
 *	shmd_pollable_open(&item, &pollable);
 *	for (;;) {
 *		poll(&(struct pollfd){shmd_pollable_fd(pollable), POLLIN, 0}, 1, -1);
 *		while (shmd_queue_take(queue, buffer, sizeof buffer, 0, &size_bytes) == 0)
 *			work(buffer, size_bytes);
 *		shmd_pollable_rearm(pollable);
 *	}
 *
 * It stays readable, whatever is done to the object, until it is armed again: after
 * a try that answered WOULD_BLOCK, call rearm, which makes it unreadable until there is
 * something again, at once if there is. Never read or write the descriptor yourself.
 * One thread of the library watches up to 126 pollables of a process; it takes no
 * signals, and ends with the last pollable. In a forked child they are dead: the
 * descriptor never changes any more, and the functions answer FORKED. */
struct shmd_pollable;

/* Makes a pollable, armed.
 * Errors: INVALID, PERMISSION, CORRUPT, FORKED, NO_SPACE (memory, descriptors), OVERFLOW (126
 * exist), UNSUPPORTED (before Linux 5.16), SYSTEM. */
SHMD_API int shmd_pollable_open(const struct shmd_waitable *item, struct shmd_pollable **ret_pollable);

/* The descriptor; it belongs to the pollable. Requires one. */
SHMD_API int shmd_pollable_fd(const struct shmd_pollable *pollable);

/* Arms it again. The version of a value or array that counts from here is the current one.
 * Errors: INVALID, FORKED. */
SHMD_API int shmd_pollable_rearm(struct shmd_pollable *pollable);

/* Takes null and returns null. Close it before the handle of its object. */
SHMD_API struct shmd_pollable *shmd_pollable_close(struct shmd_pollable *pollable);

#ifdef __cplusplus
}
#endif

#endif /* SHMD_H */
