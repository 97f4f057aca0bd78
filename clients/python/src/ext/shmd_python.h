/* SPDX-License-Identifier: Apache-2.0
 *
 * shmd_python.h - what the files of the extension shmd._shmd share. Names beginning
 * with shmdpy_ are private to it.
 *
 * The GIL guards everything here that is not shared memory: the registry of handles,
 * the fields of every object. It is released around each wait and each control call,
 * and while it is released only the handle of libshmd is touched. So:
 *
 *	SHMDPY_WAIT(self, result, timeout_ns, shmd_mutex_lock(self->handle, timeout_ns));
 *	if (result < 0)
 *		return shmdpy_raise(result, self);
 *
 * Fork: after_in_child connects anew and opens every live object by its id, so that no
 * method needs to ask whether it runs in a child. An object whose id cannot be opened
 * then is tried again at its next use.
 *
 * Errors: a function that returns a negative status has set no Python exception, one
 * that returns -1 and says so, or NULL, has.
 */
#ifndef SHMDPY_SHMD_PYTHON_H
#define SHMDPY_SHMD_PYTHON_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <shmd.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#pragma GCC visibility push(hidden)

/* ---- error.c ---------------------------------------------------------------- */

struct shmdpy_handle;

/* Raises the exception of a negative status; about may be NULL. If it is CANCELLED
 * because a signal handler raised, that stays. Always NULL. */
PyObject *shmdpy_raise(int status, const struct shmdpy_handle *about);
/* The same for a control call, about which shmd_last_error has more to say. */
PyObject *shmdpy_raise_said(int status, const struct shmdpy_handle *about);
/* Raises with a sentence of our own, which names the object. */
PyObject *shmdpy_raise_text(int status, const struct shmdpy_handle *about, const char *format, ...);
/* None, or NULL and the exception of a negative status. */
PyObject *shmdpy_none_or_raise(int status, const struct shmdpy_handle *about);
int shmdpy_error_init(PyObject *module);

/* ---- argument.c ---------------------------------------------------------------- */

/* Seconds, or None for ever, as libshmd wants it: what is not above 0 is a try. -1 with
 * TypeError, or with ValueError for what is not a number. */
int shmdpy_timeout(PyObject *seconds, int64_t *ret_timeout_ns);

/* Sorts the arguments of a METH_FASTCALL | METH_KEYWORDS method: names ends with NULL, the
 * first `required` must be there, ret[i] is borrowed, or NULL if not given. -1 with
 * TypeError. */
int shmdpy_arguments(const char *function, PyObject *const *args, Py_ssize_t count, PyObject *keywords,
                     const char *const *names, int required, PyObject **ret);

/* The arguments of a method that takes a timeout only. -1 with an exception. */
int shmdpy_timeout_only(const char *function, PyObject *const *args, Py_ssize_t count, PyObject *keywords,
                        int64_t *ret_timeout_ns);

/* An integer of 0 to max; -1 with TypeError, or OverflowError that names it. */
int shmdpy_unsigned(const char *what, PyObject *object, uint64_t max, uint64_t *ret);

/* The casts that the tables of methods and of slots need. */
#define SHMDPY_TEXT(text) ((void *)(uintptr_t)(text))
#define SHMDPY_FAST(function) (PyCFunction)(void (*)(void))(function), METH_FASTCALL | METH_KEYWORDS

/* ---- client.c -------------------------------------------------------------------- */

struct shmdpy_client {
	PyObject_HEAD
	struct shmd_client *client; /* NULL: closed, or not back yet after a fork */
	PyObject *socket;           /* str: the path that it has connected to */
	PyObject *software;         /* str or None */
	int64_t reattach_timeout_ns;
	uint32_t users; /* threads that are in a call without the GIL: close waits for the last */
	bool closed;
	struct shmdpy_client *next; /* in the registry of this process */
	struct shmdpy_client *previous;
	PyObject *weak;
};

extern PyTypeObject *shmdpy_client_type;
int shmdpy_client_init(PyObject *module);

/* The connection, made anew if a fork left none; NULL with an exception. */
struct shmd_client *shmdpy_client_ready(struct shmdpy_client *client);
/* Begins and ends what is called with it without the GIL. */
void shmdpy_client_use(struct shmdpy_client *client);
void shmdpy_client_leave(struct shmdpy_client *client);
/* After a fork, in the child: every client connects anew. */
void shmdpy_client_after_fork(void);

/* A control call of a client, without the GIL. */
#define SHMDPY_CONTROL(client, result, call)                                                                   \
	do {                                                                                                       \
		shmdpy_client_use(client);                                                                             \
		Py_BEGIN_ALLOW_THREADS                                                                                 \
		(result) = (call);                                                                                     \
		Py_END_ALLOW_THREADS                                                                                   \
		shmdpy_client_leave(client);                                                                           \
	} while (0)

/* ---- kinds ------------------------------------------------------------------------ */

enum shmdpy_method { SHMDPY_CREATE, SHMDPY_OPEN, SHMDPY_OPEN_OR_CREATE };

/* What an object shall be. */
struct shmdpy_wish {
	enum shmdpy_method method;
	const char *name;
	char code;
	unsigned int rank;
	uint64_t shape[8];
	struct shmd_create_options create;
	struct shmd_open_options open;
	struct shmd_ticket ticket; /* that open.ticket points to */
	void *init;                /* what create.init points to, to be freed */
};

/* Options of create that not all kinds have, and what stands behind the name. */
#define SHMDPY_OPTION_LOCK 0x1u
#define SHMDPY_OPTION_INIT 0x2u
#define SHMDPY_OPTION_MUTEX 0x4u
#define SHMDPY_OPTION_SEMAPHORE 0x8u
#define SHMDPY_OPTION_QUEUE 0x10u
#define SHMDPY_OPTION_CAPACITY 0x20u
#define SHMDPY_OPTION_BYTES 0x40u
#define SHMDPY_OPTION_EVENT 0x80u
#define SHMDPY_OPTION_MESSAGE_MAX 0x100u
#define SHMDPY_OPTION_ROLE 0x200u
#define SHMDPY_TAKES_CODE 0x10000u
#define SHMDPY_TAKES_SHAPE 0x20000u
#define SHMDPY_TAKES_PARTIES 0x40000u
#define SHMDPY_TAKES_MUTEX 0x80000u

/* How the lock of a kind is used; all pointers are of libshmd. */
struct shmdpy_lock_functions {
	int (*lock)(void *handle, int64_t timeout_ns);
	int (*unlock)(void *handle);
	int (*mark_consistent)(void *handle);
	int (*notice)(const void *handle, struct shmd_notice *ret_notice);
};

/* How the elements of a value or array are used. */
struct shmdpy_element_functions {
	int (*load)(const void *handle, uint64_t index, void *ret_item);
	int (*store)(void *handle, uint64_t index, const void *item);
	int (*fetch_add)(void *handle, uint64_t index, const void *delta, void *ret_before);
	int (*exchange)(void *handle, uint64_t index, const void *item, void *ret_before);
	int (*compare_exchange)(void *handle, uint64_t index, const void *expected, const void *desired, bool *ret_swapped,
	                        void *ret_before);
	int (*version)(const void *handle, uint64_t *ret_version);
	int (*wait_change)(void *handle, uint64_t version, int64_t timeout_ns, uint64_t *ret_version);
	char (*code)(const void *handle);
};

/* What libshmd offers of every kind. */
struct shmdpy_kind {
	const char *noun; /* "mutex" */
	uint32_t takes;   /* SHMDPY_OPTION_ and SHMDPY_TAKES_ */
	int (*attach)(struct shmd_client *client, const struct shmdpy_wish *wish, void **ret_handle);
	void (*detach)(void *handle);
	uint64_t (*id)(const void *handle);
	bool (*created)(const void *handle);
	const struct shmdpy_lock_functions *lock;       /* NULL: it has none */
	const struct shmdpy_element_functions *element; /* likewise */
};

/* The functions of a kind whose name is its type's; attach for those that take a name and
 * options only. */
#define SHMDPY_KIND_ATTACH(kind)                                                                               \
	static int attach(struct shmd_client *client, const struct shmdpy_wish *wish, void **ret_handle)           \
	{                                                                                                          \
		struct shmd_##kind *handle = NULL;                                                                     \
		int result;                                                                                            \
		if (wish->method == SHMDPY_OPEN)                                                                       \
			result = shmd_##kind##_open(client, wish->name, &wish->open, &handle);                             \
		else if (wish->method == SHMDPY_CREATE)                                                                \
			result = shmd_##kind##_create(client, wish->name, &wish->create, &handle);                         \
		else                                                                                                   \
			result = shmd_##kind##_open_or_create(client, wish->name, &wish->create, &handle);                 \
		*ret_handle = handle;                                                                                  \
		return result;                                                                                         \
	}

#define SHMDPY_KIND_FUNCTIONS(kind)                                                                            \
	static void detach(void *handle)                                                                           \
	{                                                                                                          \
		shmd_##kind##_close(handle);                                                                           \
	}                                                                                                          \
	static uint64_t id_of(const void *handle)                                                                  \
	{                                                                                                          \
		return shmd_##kind##_id(handle);                                                                       \
	}                                                                                                          \
	static bool created(const void *handle)                                                                    \
	{                                                                                                          \
		return shmd_##kind##_created(handle);                                                                  \
	}

#define SHMDPY_KIND_LOCK(kind)                                                                                 \
	static int lock_it(void *handle, int64_t timeout_ns)                                                       \
	{                                                                                                          \
		return shmd_##kind##_lock(handle, timeout_ns);                                                         \
	}                                                                                                          \
	static int unlock_it(void *handle)                                                                         \
	{                                                                                                          \
		return shmd_##kind##_unlock(handle);                                                                   \
	}                                                                                                          \
	static int mark_it(void *handle)                                                                           \
	{                                                                                                          \
		return shmd_##kind##_mark_consistent(handle);                                                          \
	}                                                                                                          \
	static int notice_of(const void *handle, struct shmd_notice *ret_notice)                                   \
	{                                                                                                          \
		return shmd_##kind##_notice(handle, ret_notice);                                                       \
	}                                                                                                          \
	static const struct shmdpy_lock_functions lock_functions = {lock_it, unlock_it, mark_it, notice_of};

extern const struct shmdpy_kind shmdpy_mutex_kind;
extern const struct shmdpy_kind shmdpy_value_kind;
extern const struct shmdpy_kind shmdpy_array_kind;
extern const struct shmdpy_kind shmdpy_queue_kind;
extern const struct shmdpy_kind shmdpy_stream_kind;
extern const struct shmdpy_kind shmdpy_pipe_kind;
extern const struct shmdpy_kind shmdpy_rwlock_kind;
extern const struct shmdpy_kind shmdpy_semaphore_kind;
extern const struct shmdpy_kind shmdpy_event_kind;
extern const struct shmdpy_kind shmdpy_condition_kind;
extern const struct shmdpy_kind shmdpy_barrier_kind;

/* ---- handle.c: what all objects have ---------------------------------------------- */

/* A mapping that buffers were exported from; it outlives its handle in a forked child. */
struct shmdpy_exported {
	void *handle;
	const struct shmdpy_kind *kind;
	Py_ssize_t views;
	bool orphan; /* the object has another handle by now */
};

/* Begins every object of the extension. A type of another face embeds it likewise, and
 * calls shmdpy_handle_attach from its tp_new or tp_init. */
struct shmdpy_handle {
	PyObject_HEAD
	void *handle; /* of libshmd */
	bool ready;   /* it may be used: not closed, and opened again after a fork */
	const struct shmdpy_kind *kind;
	struct shmdpy_client *client; /* strong */
	PyObject *name;               /* str or None */
	uint64_t id;
	uint32_t users; /* threads that are in a call without the GIL: close waits for the last */
	bool read_only;
	bool party; /* a barrier's */
	int roles;  /* in a queue: bits, each an enum shmd_role */
	bool created;
	bool closed;
	bool attached; /* it is, or was, an object: what is not is not in the registry */
	bool has_ticket; /* for the child of a fork that is under way */
	struct shmd_ticket ticket;
	struct shmdpy_exported *exported;
	struct shmdpy_handle *next; /* in the registry of this process */
	struct shmdpy_handle *previous;
	PyObject *weak;
};

extern PyTypeObject *shmdpy_handle_type;
int shmdpy_handle_init(PyObject *module);

/* Makes the object what the wish says, by a control call, and registers it. name is a str
 * or None. -1 with an exception, and then it may be tried again. */
int shmdpy_handle_attach(struct shmdpy_handle *self, const struct shmdpy_kind *kind, struct shmdpy_client *client,
                         PyObject *name, const struct shmdpy_wish *wish);

/* create, open and open_or_create of a type of the named face, from what Python gave. */
PyObject *shmdpy_handle_make(PyTypeObject *type, const struct shmdpy_kind *kind, enum shmdpy_method method,
                             PyObject *args, PyObject *keywords);

/* A thread is back from a call without the GIL. */
void shmdpy_handle_finish(struct shmdpy_handle *self);
static inline void shmdpy_handle_leave(struct shmdpy_handle *self)
{
	if (--self->users == 0 && self->closed)
		shmdpy_handle_finish(self);
}

/* Gives the handle up, once no thread is in a call. -1 with BufferError, while a buffer is
 * exported. */
int shmdpy_handle_close(struct shmdpy_handle *self);
/* What tp_dealloc does, but for the fields of the type itself. */
void shmdpy_handle_dealloc(struct shmdpy_handle *self);

/* Whether there is a handle to be used, opened anew if a fork left none: so begins every
 * method. -1 with an exception. */
int shmdpy_handle_renew(struct shmdpy_handle *self);
static inline int shmdpy_handle_ready(struct shmdpy_handle *self)
{
	return __builtin_expect(self->ready, 1) ? 0 : shmdpy_handle_renew(self);
}

/* The same of what Python gave as self; NULL with an exception. */
static inline struct shmdpy_handle *shmdpy_ready(PyObject *self)
{
	return shmdpy_handle_ready((struct shmdpy_handle *)self) < 0 ? NULL : (struct shmdpy_handle *)self;
}

/* Before a fork: each object gets a ticket, for the parent may go before the child has opened it. */
void shmdpy_handle_before_fork(void);
/* After a fork, in the child: every object is opened anew. */
void shmdpy_handle_after_fork(void);

/* Counts a view of the handle's memory, which then stays mapped; NULL with an exception.
 * What it returns is to be given back, by view->internal. */
struct shmdpy_exported *shmdpy_export(struct shmdpy_handle *self);
void shmdpy_export_release(struct shmdpy_handle *self, struct shmdpy_exported *exported);

/* Members that every type of an object inherits. */
#define SHMDPY_MAKERS(kind)                                                                                    \
	static PyObject *make_new(PyObject *type, PyObject *args, PyObject *keywords)                              \
	{                                                                                                          \
		return shmdpy_handle_make((PyTypeObject *)type, &(kind), SHMDPY_CREATE, args, keywords);               \
	}                                                                                                          \
	static PyObject *make_open(PyObject *type, PyObject *args, PyObject *keywords)                             \
	{                                                                                                          \
		return shmdpy_handle_make((PyTypeObject *)type, &(kind), SHMDPY_OPEN, args, keywords);                 \
	}                                                                                                          \
	static PyObject *make_either(PyObject *type, PyObject *args, PyObject *keywords)                           \
	{                                                                                                          \
		return shmdpy_handle_make((PyTypeObject *)type, &(kind), SHMDPY_OPEN_OR_CREATE, args, keywords);       \
	}
#define SHMDPY_MAKER_OPEN                                                                                      \
	SHMDPY_MAKER("open", make_open,                                                                            \
	             "open(client, name=None, *, id=0, ticket=None, read_only=False)\n\n"                          \
	             "Opens by name or id; ticket: what ticket() of another process returned. Raises NotFound,\n"  \
	             "KindMismatch, Permission, SeatsFull.")
#define SHMDPY_MAKER(name, function, text)                                                                     \
	{                                                                                                          \
		name, (PyCFunction)(void (*)(void))(function), METH_VARARGS | METH_KEYWORDS | METH_CLASS, text         \
	}

/* ---- options.c -------------------------------------------------------------------- */

/* Reads what stands behind the client and the name, and the keywords. -1 with an exception.
 * What it allocates shmdpy_wish_clear frees. */
int shmdpy_wish_read(const struct shmdpy_kind *kind, enum shmdpy_method method, PyObject *args, PyObject *keywords,
                     struct shmdpy_wish *ret_wish);
void shmdpy_wish_clear(struct shmdpy_wish *wish);
/* The ticket to open with, as ticket() returned it; None is none. -1 with TypeError. */
int shmdpy_wish_ticket(PyObject *value, struct shmdpy_wish *wish);

/* ---- queue_role.c -------------------------------------------------------------------- */

/* "producer" or "consumer"; -1 with ValueError. */
int shmdpy_role(PyObject *given, enum shmd_role *ret_role);
PyObject *shmdpy_queue_claim(PyObject *queue, PyObject *role);
PyObject *shmdpy_queue_retire(PyObject *queue, PyObject *role);

/* ---- item.c: type codes -------------------------------------------------------------- */

#define SHMDPY_ITEM_MAX 8

/* 0 = no such code. */
size_t shmdpy_item_size(char code);
/* The code as PEP 3118 has it. */
const char *shmdpy_item_format(char code);
/* One item for an object, NULL: for none yet; -1 with TypeError, or OutOfRange, which tells the range. */
int shmdpy_item_pack(const struct shmdpy_handle *about, char code, PyObject *object, void *ret_item);
/* The same, but what does not fit wraps, as with ctypes. */
int shmdpy_item_pack_wrapping(char code, PyObject *object, void *ret_item);
PyObject *shmdpy_item_unpack(char code, const void *item);

/* ---- lock.c ---------------------------------------------------------------------------- */

int shmdpy_lock_init(PyObject *module);
/* Notice, the tuple that says who died. */
PyObject *shmdpy_notice(const struct shmd_notice *notice);
/* Locks; 0, SHMD_OWNER_DIED, or -1 with an exception. */
int shmdpy_lock_acquire(struct shmdpy_handle *self, int64_t timeout_ns);
/* lock, unlock, mark_consistent, notice, __enter__, __exit__ of a kind that has a lock. */
PyObject *shmdpy_lock_lock(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *keywords);
PyObject *shmdpy_lock_unlock(PyObject *self, PyObject *unused);
PyObject *shmdpy_lock_mark_consistent(PyObject *self, PyObject *unused);
PyObject *shmdpy_lock_notice(PyObject *self, PyObject *unused);
PyObject *shmdpy_lock_enter(PyObject *self, PyObject *unused);
PyObject *shmdpy_lock_exit(PyObject *self, PyObject *args);

#define SHMDPY_LOCK_METHODS                                                                                    \
	{"lock", SHMDPY_FAST(shmdpy_lock_lock),                                                                    \
	 "lock($self, /, timeout=None)\n--\n\n"                                                                    \
	 "Locks, waiting up to timeout seconds; None waits for ever, 0 tries.\n\n"                                 \
	 "Returns None, or a Notice if an owner died holding it since the state was last\n"                        \
	 "marked consistent: then it is held all the same. Raises WouldBlock, TimedOut,\n"                         \
	 "Deadlock, NotRecoverable, Removed, Permission (read-only)."},                                            \
	{"unlock", shmdpy_lock_unlock, METH_NOARGS,                                                                \
	 "unlock($self, /)\n--\n\nUnlocks once. Never waits. Raises NotOwner."},                                   \
	{"mark_consistent", shmdpy_lock_mark_consistent, METH_NOARGS,                                              \
	 "mark_consistent($self, /)\n--\n\n"                                                                       \
	 "Says that what the lock guards is in order again, by who holds it after a Notice."},                     \
	{"notice", shmdpy_lock_notice, METH_NOARGS,                                                                \
	 "notice($self, /)\n--\n\nThe last death of an owner; all of it is 0 if none died."},                      \
	{"__enter__", shmdpy_lock_enter, METH_NOARGS, "Locks; what lock() returns."},                              \
	{"__exit__", shmdpy_lock_exit, METH_VARARGS, "Unlocks."}

/* ---- element.c: elements and changes of values and arrays ---------------------------------- */

PyObject *shmdpy_element_load(struct shmdpy_handle *self, uint64_t index);
/* -1 with an exception. */
int shmdpy_element_store(struct shmdpy_handle *self, uint64_t index, PyObject *item);
PyObject *shmdpy_element_fetch_add(struct shmdpy_handle *self, uint64_t index, PyObject *delta);
PyObject *shmdpy_element_exchange(struct shmdpy_handle *self, uint64_t index, PyObject *item);
PyObject *shmdpy_element_compare_exchange(struct shmdpy_handle *self, uint64_t index, PyObject *expected,
                                          PyObject *desired);
PyObject *shmdpy_element_get_code(PyObject *self, void *unused);
PyObject *shmdpy_element_get_item_size(PyObject *self, void *unused);
PyObject *shmdpy_element_version(PyObject *self, PyObject *unused);
PyObject *shmdpy_element_wait_change(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *keywords);

#define SHMDPY_CHANGE_METHODS                                                                                  \
	{"version", shmdpy_element_version, METH_NOARGS,                                                           \
	 "version($self, /)\n--\n\nThe number of the last change. Read it before what it shall stand for."},       \
	{"wait_change", SHMDPY_FAST(shmdpy_element_wait_change),                                                   \
	 "wait_change($self, /, version, timeout=None)\n--\n\n"                                                    \
	 "Waits up to timeout seconds until the version is another, and returns it. Raises\n"                      \
	 "WouldBlock, TimedOut, Removed; read-only also Busy."}

/* ---- interrupt.c, fork.c ------------------------------------------------------------------ */

/* Counts the forks that this process came by. */
extern uint32_t shmdpy_forks;
int shmdpy_fork_init(PyObject *module);
int shmdpy_interrupt_init(PyObject *module);
/* The thread that has forked is the main one of the child. */
void shmdpy_interrupt_after_fork(void);

/* ---- waits -------------------------------------------------------------------------------- */

/* Makes the call, an expression that uses timeout_ns, a variable of the caller: first as a
 * try with the GIL held, then, if that would block and there is time, without it. A handle
 * that was opened anew meanwhile, by a fork in a signal handler, is waited for again. */
#define SHMDPY_WAIT(self, result, timeout_ns, call)                                                            \
	do {                                                                                                       \
		int64_t shmdpy_whole_ns = (timeout_ns);                                                                \
		(timeout_ns) = 0;                                                                                      \
		(result) = (call);                                                                                     \
		(timeout_ns) = shmdpy_whole_ns;                                                                        \
		if ((result) == SHMD_E_WOULD_BLOCK && shmdpy_whole_ns != 0)                                            \
			SHMDPY_UNLOCKED(self, result, call);                                                               \
	} while (0)

/* Makes the call without the GIL. */
#define SHMDPY_UNLOCKED(self, result, call)                                                                    \
	do {                                                                                                       \
		struct shmdpy_handle *shmdpy_self = (struct shmdpy_handle *)(self);                                    \
		uint32_t shmdpy_before = shmdpy_forks;                                                                 \
		shmdpy_self->users++;                                                                                  \
		Py_BEGIN_ALLOW_THREADS                                                                                 \
		(result) = (call);                                                                                     \
		Py_END_ALLOW_THREADS                                                                                   \
		if (shmdpy_before == shmdpy_forks) {                                                                   \
			shmdpy_handle_leave(shmdpy_self);                                                                  \
			break;                                                                                             \
		}                                                                                                      \
		if (PyErr_Occurred() != NULL || shmdpy_handle_ready(shmdpy_self) < 0)                                  \
			break;                                                                                             \
	} while (1)

/* ---- snapshot.c: a private copy of elements, a buffer of their type and shape ------------------ */

struct shmdpy_snapshot {
	PyObject_HEAD
	char *data;
	char code;
	int rank;
	Py_ssize_t shape[8];
	Py_ssize_t strides[8]; /* in bytes */
	Py_ssize_t size_bytes;
	uint64_t version;
	char owner_died;
};

/* Room for elements of a shape; NULL with an exception. */
struct shmdpy_snapshot *shmdpy_snapshot_new(char code, unsigned int rank, const uint64_t *shape);

/* ---- message.c: what queues, streams and pipes carry ---------------------------------------- */

/* Messages of a sequence of objects with the buffer protocol. */
struct shmdpy_messages {
	Py_buffer *views;
	struct iovec *vectors;
	uint32_t count;
};

/* -1 with an exception. */
int shmdpy_messages_get(PyObject *sequence, struct shmdpy_messages *ret_messages);
void shmdpy_messages_release(struct shmdpy_messages *messages);
/* Copies of messages that came, a list of bytes. */
PyObject *shmdpy_messages_list(const struct iovec *messages, uint32_t count);

/* Receives one message as bytes: call is an expression that uses buffer, buffer_bytes,
 * timeout_ns and size_bytes, and says the size of a message that is too large. */
#define SHMDPY_RECEIVE(self, timeout_ns, ret, call)                                                            \
	do {                                                                                                       \
		char shmdpy_stack[4096];                                                                               \
		char *buffer = shmdpy_stack;                                                                           \
		size_t buffer_bytes = sizeof shmdpy_stack;                                                             \
		size_t size_bytes = 0;                                                                                 \
		int shmdpy_result;                                                                                     \
		PyObject *shmdpy_bytes = NULL;                                                                         \
		SHMDPY_WAIT(self, shmdpy_result, timeout_ns, call);                                                    \
		while (shmdpy_result == SHMD_E_TOO_LARGE && size_bytes > buffer_bytes) {                               \
			Py_XDECREF(shmdpy_bytes);                                                                          \
			shmdpy_bytes = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)size_bytes);                            \
			if (shmdpy_bytes == NULL)                                                                          \
				break;                                                                                         \
			buffer = PyBytes_AsString(shmdpy_bytes);                                                           \
			buffer_bytes = size_bytes;                                                                         \
			SHMDPY_UNLOCKED(self, shmdpy_result, call);                                                        \
		}                                                                                                      \
		(ret) = shmdpy_message(self, shmdpy_result, shmdpy_bytes, shmdpy_stack, size_bytes);                   \
	} while (0)
/* What was received: bytes, which it takes over, or if they are NULL what lies on the stack. */
PyObject *shmdpy_message(struct shmdpy_handle *self, int result, PyObject *bytes, const char *stack,
                         size_t size_bytes);

/* ---- queue_place.c: Lease and Reservation ------------------------------------------------------ */

/* What stands for a lease that this process has; of a dead letter too. NULL with an exception,
 * and then the lease is given back. */
PyObject *shmdpy_lease_new(struct shmdpy_handle *queue, const struct shmd_lease *lease);
/* The same of a reservation, which is given up; it may be larger than what was asked for. */
PyObject *shmdpy_reservation_new(struct shmdpy_handle *queue, const struct shmd_reservation *reservation,
                                 uint64_t size_bytes);

/* Ends the leases of a sequence, all of this queue, by shmd_queue_ack_many or _nack_many; how many. */
PyObject *shmdpy_lease_end_many(struct shmdpy_handle *queue, PyObject *leases,
                                int (*end)(struct shmd_queue *, const struct shmd_lease *, uint32_t, uint32_t *));

/* ---- the types of the named face -------------------------------------------------------------- */

int shmdpy_mutex_init(PyObject *module);
int shmdpy_value_init(PyObject *module);
int shmdpy_array_init(PyObject *module);
int shmdpy_snapshot_init(PyObject *module);
int shmdpy_queue_init(PyObject *module);
int shmdpy_stream_init(PyObject *module);
int shmdpy_pipe_init(PyObject *module);
int shmdpy_rwlock_init(PyObject *module);
int shmdpy_waitable_init(PyObject *module);
int shmdpy_place_init(PyObject *module);
int shmdpy_semaphore_init(PyObject *module);
int shmdpy_event_init(PyObject *module);
int shmdpy_condition_init(PyObject *module);
int shmdpy_barrier_init(PyObject *module);

/* Adds a type made of a spec to the module, with the base given; NULL with an exception. */
PyTypeObject *shmdpy_add_type(PyObject *module, PyType_Spec *spec, PyTypeObject *base);

#pragma GCC visibility pop

#endif /* SHMDPY_SHMD_PYTHON_H */
