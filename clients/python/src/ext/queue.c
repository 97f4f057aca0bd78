/* SPDX-License-Identifier: Apache-2.0
 *
 * queue.c - the type Queue.
 */
#include "shmd_python.h"

#include <string.h>

#define SHORT_MAX ((size_t)16 << 10) /* messages that are taken by way of the stack */
#define COPY_MAX ((size_t)64 << 10)  /* and those that are put without releasing the GIL first */
#define BATCH_BYTES ((size_t)16 << 10)
#define BATCH_MAX 1024u

SHMDPY_KIND_ATTACH(queue)
SHMDPY_KIND_FUNCTIONS(queue)

const struct shmdpy_kind shmdpy_queue_kind = {
	.noun = "queue",
	.takes = SHMDPY_OPTION_QUEUE | SHMDPY_OPTION_MESSAGE_MAX | SHMDPY_OPTION_ROLE,
	.attach = attach,
	.detach = detach,
	.id = id_of,
	.created = created,
};

SHMDPY_MAKERS(shmdpy_queue_kind)

/* A count of 1 to BATCH_MAX at once: more are no error, for a call may do fewer. */
static int read_count(PyObject *given, uint32_t *ret_count)
{
	uint64_t count;
	if (shmdpy_unsigned("count", given, UINT32_MAX, &count) < 0)
		return -1;
	*ret_count = count < BATCH_MAX ? (uint32_t)count : BATCH_MAX;
	return 0;
}

/* ---- putting ---- */

static PyObject *queue_put(PyObject *object, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
	static const char *const names[] = {"message", "timeout", NULL};
	PyObject *given[2];
	int64_t timeout_ns;
	Py_buffer view;
	if (shmdpy_arguments("put", args, count, keywords, names, 1, given) < 0 ||
	    shmdpy_timeout(given[1], &timeout_ns) < 0 || PyObject_GetBuffer(given[0], &view, PyBUF_SIMPLE) < 0)
		return NULL;
	struct shmdpy_handle *self = shmdpy_ready(object);
	if (self == NULL) {
		PyBuffer_Release(&view);
		return NULL;
	}
	int result;
	if ((size_t)view.len > COPY_MAX)
		SHMDPY_UNLOCKED(self, result, shmd_queue_put(self->handle, view.buf, (size_t)view.len, timeout_ns));
	else
		SHMDPY_WAIT(self, result, timeout_ns, shmd_queue_put(self->handle, view.buf, (size_t)view.len, timeout_ns));
	PyBuffer_Release(&view);
	return shmdpy_none_or_raise(result, self);
}

static PyObject *queue_put_many(PyObject *object, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
	static const char *const names[] = {"messages", "timeout", NULL};
	PyObject *given[2];
	int64_t timeout_ns;
	struct shmdpy_messages messages;
	if (shmdpy_arguments("put_many", args, count, keywords, names, 1, given) < 0 ||
	    shmdpy_timeout(given[1], &timeout_ns) < 0 || shmdpy_messages_get(given[0], &messages) < 0)
		return NULL;
	struct shmdpy_handle *self = shmdpy_ready(object);
	uint32_t done = 0;
	int result = 0;
	if (self != NULL && messages.count > 0) {
		uint32_t maxsize = shmd_queue_maxsize(self->handle);
		uint32_t most = messages.count < maxsize ? messages.count : maxsize;
		SHMDPY_UNLOCKED(self, result, shmd_queue_put_many(self->handle, messages.vectors, most, timeout_ns, &done));
	}
	shmdpy_messages_release(&messages);
	if (self == NULL)
		return NULL;
	return result < 0 ? shmdpy_raise(result, self) : PyLong_FromUnsignedLong(done);
}

static int reserve(struct shmd_queue *queue, uint64_t size_bytes, int64_t timeout_ns,
                   struct shmd_reservation *ret_reservation)
{
	return size_bytes == UINT64_MAX ? shmd_queue_reserve(queue, timeout_ns, ret_reservation)
	                                : shmd_queue_reserve_size(queue, (size_t)size_bytes, timeout_ns, ret_reservation);
}

static PyObject *queue_reserve(PyObject *object, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
	static const char *const names[] = {"size", "timeout", NULL};
	PyObject *given[2];
	int64_t timeout_ns;
	uint64_t size_bytes = UINT64_MAX; /* a slot */
	struct shmd_reservation reservation;
	struct shmdpy_handle *self = shmdpy_ready(object);
	if (self == NULL || shmdpy_arguments("reserve", args, count, keywords, names, 0, given) < 0 ||
	    (given[0] != NULL && given[0] != Py_None &&
	     shmdpy_unsigned("size", given[0], UINT32_MAX, &size_bytes) < 0) ||
	    shmdpy_timeout(given[1], &timeout_ns) < 0)
		return NULL;
	int result;
	SHMDPY_WAIT(self, result, timeout_ns, reserve(self->handle, size_bytes, timeout_ns, &reservation));
	return result < 0 ? shmdpy_raise(result, self) : shmdpy_reservation_new(self, &reservation, size_bytes);
}

/* ---- taking ---- */

/* By way of the stack; a message of at most SHORT_MAX. */
static PyObject *take_short(struct shmdpy_handle *self, int64_t timeout_ns)
{
	char buffer[SHORT_MAX];
	size_t size_bytes = 0;
	int result;
	SHMDPY_WAIT(self, result, timeout_ns,
	            shmd_queue_take(self->handle, buffer, sizeof buffer, timeout_ns, &size_bytes));
	return result < 0 ? shmdpy_raise(result, self) : PyBytes_FromStringAndSize(buffer, (Py_ssize_t)size_bytes);
}

/* The bytes of a lease. */
static PyObject *copy_of(const struct shmd_lease *lease)
{
	PyObject *bytes = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)lease->size_bytes);
	if (bytes == NULL)
		return NULL;
	char *to = PyBytes_AsString(bytes);
	if (lease->size_bytes <= COPY_MAX) {
		memcpy(to, lease->message, lease->size_bytes);
	} else {
		Py_BEGIN_ALLOW_THREADS
		memcpy(to, lease->message, lease->size_bytes);
		Py_END_ALLOW_THREADS
	}
	return bytes;
}

/* Of any size, which only a lease tells. */
static PyObject *take_long(struct shmdpy_handle *self, int64_t timeout_ns)
{
	for (;;) {
		struct shmd_lease lease;
		int result;
		SHMDPY_WAIT(self, result, timeout_ns, shmd_queue_lease(self->handle, timeout_ns, &lease));
		if (result < 0)
			return shmdpy_raise(result, self);
		self->users++; /* nobody closes it meanwhile */
		PyObject *bytes = copy_of(&lease);
		result = bytes == NULL ? shmd_queue_nack(self->handle, &lease) : shmd_queue_ack(self->handle, &lease);
		shmdpy_handle_leave(self);
		if (bytes == NULL)
			return NULL;
		if (result == 0)
			return bytes;
		Py_DECREF(bytes);
		if (result != SHMD_E_NOT_OWNER) /* else the lease ended by time: the message is another's */
			return shmdpy_raise(result, self);
	}
}

static PyObject *queue_take(PyObject *object, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
	int64_t timeout_ns;
	struct shmdpy_handle *self = shmdpy_ready(object);
	if (self == NULL || shmdpy_timeout_only("take", args, count, keywords, &timeout_ns) < 0)
		return NULL;
	return shmd_queue_message_max_bytes(self->handle) <= SHORT_MAX ? take_short(self, timeout_ns)
	                                                              : take_long(self, timeout_ns);
}

static PyObject *take_batch(struct shmdpy_handle *self, uint32_t most, int64_t timeout_ns)
{
	struct iovec messages[64];
	char buffer[SHORT_MAX + BATCH_BYTES];
	uint32_t done = 0;
	if (most > sizeof messages / sizeof messages[0])
		most = sizeof messages / sizeof messages[0];
	int result;
	SHMDPY_WAIT(self, result, timeout_ns,
	            shmd_queue_take_many(self->handle, buffer, sizeof buffer, messages, most, timeout_ns, &done));
	return result < 0 ? shmdpy_raise(result, self) : shmdpy_messages_list(messages, done);
}

static PyObject *queue_take_many(PyObject *object, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
	static const char *const names[] = {"count", "timeout", NULL};
	PyObject *given[2];
	uint32_t most;
	int64_t timeout_ns;
	struct shmdpy_handle *self = shmdpy_ready(object);
	if (self == NULL || shmdpy_arguments("take_many", args, count, keywords, names, 1, given) < 0 ||
	    read_count(given[0], &most) < 0 || shmdpy_timeout(given[1], &timeout_ns) < 0)
		return NULL;
	if (shmd_queue_message_max_bytes(self->handle) <= SHORT_MAX)
		return take_batch(self, most, timeout_ns);
	PyObject *message = take_long(self, timeout_ns);
	if (message == NULL)
		return NULL;
	PyObject *list = PyList_New(1);
	if (list == NULL)
		Py_DECREF(message); /* it is taken, and lost as with any exception of memory */
	else
		PyList_SetItem(list, 0, message);
	return list;
}

/* ---- leasing ---- */

static PyObject *queue_lease(PyObject *object, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
	int64_t timeout_ns;
	struct shmd_lease lease;
	struct shmdpy_handle *self = shmdpy_ready(object);
	if (self == NULL || shmdpy_timeout_only("lease", args, count, keywords, &timeout_ns) < 0)
		return NULL;
	int result;
	SHMDPY_WAIT(self, result, timeout_ns, shmd_queue_lease(self->handle, timeout_ns, &lease));
	return result < 0 ? shmdpy_raise(result, self) : shmdpy_lease_new(self, &lease);
}

static PyObject *queue_lease_many(PyObject *object, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
	static const char *const names[] = {"count", "timeout", NULL};
	PyObject *given[2];
	uint32_t most;
	uint32_t done = 0;
	int64_t timeout_ns;
	struct shmdpy_handle *self = shmdpy_ready(object);
	if (self == NULL || shmdpy_arguments("lease_many", args, count, keywords, names, 1, given) < 0 ||
	    read_count(given[0], &most) < 0 || shmdpy_timeout(given[1], &timeout_ns) < 0)
		return NULL;
	struct shmd_lease leases[64];
	if (most > sizeof leases / sizeof leases[0])
		most = sizeof leases / sizeof leases[0];
	int result;
	SHMDPY_WAIT(self, result, timeout_ns, shmd_queue_lease_many(self->handle, leases, most, timeout_ns, &done));
	if (result < 0)
		return shmdpy_raise(result, self);
	PyObject *list = PyList_New((Py_ssize_t)done);
	for (uint32_t i = 0; i < done; i++) {
		PyObject *lease = list == NULL ? NULL : shmdpy_lease_new(self, &leases[i]);
		if (lease != NULL) {
			PyList_SetItem(list, (Py_ssize_t)i, lease);
		} else if (list == NULL) {
			(void)shmd_queue_nack(self->handle, &leases[i]);
		} else {
			Py_CLEAR(list);
		}
	}
	return list;
}

static PyObject *queue_ack_many(PyObject *object, PyObject *leases)
{
	struct shmdpy_handle *self = shmdpy_ready(object);
	return self == NULL ? NULL : shmdpy_lease_end_many(self, leases, shmd_queue_ack_many);
}

static PyObject *queue_nack_many(PyObject *object, PyObject *leases)
{
	struct shmdpy_handle *self = shmdpy_ready(object);
	return self == NULL ? NULL : shmdpy_lease_end_many(self, leases, shmd_queue_nack_many);
}

static PyObject *queue_take_dead(PyObject *object, PyObject *unused)
{
	(void)unused;
	struct shmd_lease lease;
	struct shmdpy_handle *self = shmdpy_ready(object);
	if (self == NULL)
		return NULL;
	int result = shmd_queue_take_dead(self->handle, &lease);
	return result < 0 ? shmdpy_raise(result, self) : shmdpy_lease_new(self, &lease);
}

static PyObject *queue_redeliver(PyObject *object, PyObject *unused)
{
	(void)unused;
	uint32_t done = 0;
	struct shmdpy_handle *self = shmdpy_ready(object);
	if (self == NULL)
		return NULL;
	int result = shmd_queue_redeliver(self->handle, &done);
	return result < 0 ? shmdpy_raise(result, self) : PyLong_FromUnsignedLong(done);
}

/* ---- the whole ---- */

static PyObject *queue_join(PyObject *object, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
	int64_t timeout_ns;
	struct shmdpy_handle *self = shmdpy_ready(object);
	if (self == NULL || shmdpy_timeout_only("join", args, count, keywords, &timeout_ns) < 0)
		return NULL;
	int result;
	SHMDPY_WAIT(self, result, timeout_ns, shmd_queue_join(self->handle, timeout_ns));
	return shmdpy_none_or_raise(result, self);
}

static PyObject *queue_shutdown(PyObject *object, PyObject *unused)
{
	(void)unused;
	struct shmdpy_handle *self = shmdpy_ready(object);
	return self == NULL ? NULL : shmdpy_none_or_raise(shmd_queue_shutdown(self->handle), self);
}

static PyTypeObject *counts_type;

static PyStructSequence_Field counts_fields[] = {
	{"ready", "messages to be taken"},
	{"leased", "messages that consumers have and not acknowledged"},
	{"writing", "reserved, not committed"},
	{"free", "free slots"},
	{"dead", "dead letters"},
	{"closed", "whether shutdown() was called"},
	{NULL, NULL},
};

static PyStructSequence_Desc counts_description = {
	"shmd.QueueCounts", "How many slots of a queue are in each state, at one moment.", counts_fields, 6};

static PyObject *queue_counts(PyObject *object, PyObject *unused)
{
	(void)unused;
	struct shmd_queue_counts counts;
	struct shmdpy_handle *self = shmdpy_ready(object);
	if (self == NULL)
		return NULL;
	int result = shmd_queue_counts(self->handle, &counts);
	if (result < 0)
		return shmdpy_raise(result, self);
	PyObject *tuple = PyStructSequence_New(counts_type);
	if (tuple == NULL)
		return NULL;
	const uint32_t numbers[] = {counts.ready, counts.leased, counts.writing, counts.free, counts.dead};
	for (Py_ssize_t i = 0; i < 5; i++)
		PyStructSequence_SetItem(tuple, i, PyLong_FromUnsignedLong(numbers[i]));
	PyStructSequence_SetItem(tuple, 5, PyBool_FromLong(counts.closed));
	if (PyErr_Occurred() != NULL)
		Py_CLEAR(tuple);
	return tuple;
}

/* ---- the type ---- */

static PyObject *get_maxsize(PyObject *object, void *unused)
{
	(void)unused;
	struct shmdpy_handle *self = shmdpy_ready(object);
	return self == NULL ? NULL : PyLong_FromUnsignedLong(shmd_queue_maxsize(self->handle));
}

static PyObject *get_message_max(PyObject *object, void *unused)
{
	(void)unused;
	struct shmdpy_handle *self = shmdpy_ready(object);
	return self == NULL ? NULL : PyLong_FromSize_t(shmd_queue_message_max_bytes(self->handle));
}

static PyObject *get_lease_timeout(PyObject *object, void *unused)
{
	(void)unused;
	struct shmdpy_handle *self = shmdpy_ready(object);
	if (self == NULL)
		return NULL;
	uint64_t lease_ns = shmd_queue_lease_ns(self->handle);
	if (lease_ns == 0)
		Py_RETURN_NONE;
	return PyFloat_FromDouble((double)lease_ns / 1e9);
}

static PyObject *get_raw(PyObject *object, void *unused)
{
	(void)unused;
	struct shmdpy_handle *self = shmdpy_ready(object);
	return self == NULL ? NULL : PyBool_FromLong(shmd_queue_raw(self->handle));
}

static PyGetSetDef properties[] = {
	{"maxsize", get_maxsize, NULL, "How many messages it holds at most.", NULL},
	{"message_max", get_message_max, NULL, "The size of the longest message in bytes.", NULL},
	{"lease_timeout", get_lease_timeout, NULL, "After how many seconds a lease ends; None: never.", NULL},
	{"raw", get_raw, NULL, "Whether messages are any bytes; else each is one msgpack value.", NULL},
	{NULL, NULL, NULL, NULL, NULL},
};

static PyMethodDef methods[] = {
	SHMDPY_MAKER("create", make_new,
	             "create(client, name=None, *, maxsize=1024, slot_size=256, message_max=slot_size,\n"
	             "raw=False, deliveries_max=0, lease_timeout=None, mode=0o600, seats_max=64,\n"
	             "lifetime='default')\n\n"
	             "Creates a queue. raw: messages are any bytes, else each is one msgpack value.\n"
	             "deliveries_max: after so many a message is a dead letter; 0: no limit. lease_timeout: who\n"
	             "leases a message longer, in seconds, loses it. Raises Exists, BadName, Quota, NoSpace,\n"
	             "Invalid."),
	SHMDPY_MAKER("open", make_open,
	             "open(client, name=None, *, id=0, ticket=None, read_only=False, role=None)\n\n"
	             "Opens by name or id; ticket: what ticket() of another process returned; role: as claim()\n"
	             "of the handle, from its beginning. Raises NotFound, KindMismatch, Permission, SeatsFull."),
	SHMDPY_MAKER("open_or_create", make_either, "As create(), or as open() if the queue exists."),
	{"put", SHMDPY_FAST(queue_put),
	 "put($self, /, message, timeout=None)\n--\n\n"
	 "Appends a copy of the message, any object with the buffer protocol, waiting up to timeout\n"
	 "seconds while the queue is full. Raises WouldBlock, TimedOut, Ended, TooLarge, BadType."},
	{"put_many", SHMDPY_FAST(queue_put_many),
	 "put_many($self, /, messages, timeout=None)\n--\n\n"
	 "Appends copies of the first of the messages, and returns of how many; waits for the first\n"
	 "slot only. There may be more than maxsize. Raises as put(), of the first message."},
	{"reserve", SHMDPY_FAST(queue_reserve),
	 "reserve($self, /, size=None, timeout=None)\n--\n\n"
	 "Room for a message of size bytes, None: of a slot, to be made in place; a Reservation.\n"
	 "Raises WouldBlock, TimedOut, Ended, TooLarge."},
	{"take", SHMDPY_FAST(queue_take),
	 "take($self, /, timeout=None)\n--\n\n"
	 "Takes the first message out of the queue, as bytes, waiting up to timeout seconds while\n"
	 "it is empty. Raises WouldBlock, TimedOut, Ended."},
	{"take_many", SHMDPY_FAST(queue_take_many),
	 "take_many($self, /, count, timeout=None)\n--\n\n"
	 "Takes up to count messages, a list of at least one; waits for the first only."},
	{"lease", SHMDPY_FAST(queue_lease),
	 "lease($self, /, timeout=None)\n--\n\n"
	 "Takes a Lease on the first message: it stays in the queue until it is acknowledged, and\n"
	 "is delivered again when this process dies. Raises WouldBlock, TimedOut, Ended."},
	{"lease_many", SHMDPY_FAST(queue_lease_many),
	 "lease_many($self, /, count, timeout=None)\n--\n\nLeases on up to count messages; waits for the first only."},
	{"ack_many", queue_ack_many, METH_O,
	 "ack_many($self, leases, /)\n--\n\n"
	 "Acknowledges in order up to the first lease that is over; how many. Raises NotOwner,\n"
	 "whose count says how many were acknowledged before."},
	{"nack_many", queue_nack_many, METH_O, "nack_many($self, leases, /)\n--\n\nGives back, likewise."},
	{"take_dead", queue_take_dead, METH_NOARGS,
	 "take_dead($self, /)\n--\n\n"
	 "A Lease on the oldest dead letter; nack() puts it back. Raises WouldBlock if there is none."},
	{"redeliver", queue_redeliver, METH_NOARGS,
	 "redeliver($self, /)\n--\n\nMakes all dead letters messages again, at the front; how many."},
	{"join", SHMDPY_FAST(queue_join),
	 "join($self, /, timeout=None)\n--\n\n"
	 "Waits up to timeout seconds until no message is ready and none is leased. Raises\n"
	 "WouldBlock, TimedOut."},
	{"shutdown", queue_shutdown, METH_NOARGS,
	 "shutdown($self, /)\n--\n\nEnds the puts, for ever; takes go on until no message is ready, and then get Ended."},
	{"claim", shmdpy_queue_claim, METH_O,
	 "claim($self, role, /)\n--\n\n"
	 "Says what this handle is for, 'producer' or 'consumer'; a forked child's is, too. Once a\n"
	 "role has been had and the last handle that has it is closed, gives it up or dies, the queue\n"
	 "is shut down. It holds nobody back. While a ticket is good nothing ends. Raises Permission."},
	{"retire", shmdpy_queue_retire, METH_O,
	 "retire($self, role, /)\n--\n\nGives a role up. Raises NotOwner if this handle has it not."},
	{"counts", queue_counts, METH_NOARGS, "counts($self, /)\n--\n\nHow many slots are in each state, as QueueCounts."},
	{NULL, NULL, 0, NULL},
};

static PyType_Slot slots[] = {
	{Py_tp_methods, methods},
	{Py_tp_getset, properties},
	{Py_tp_doc,
	 SHMDPY_TEXT("Bounded, between any number of producers and consumers in any language. What one producer\n"
	             "put is taken in its order. A message is taken, and then gone, or leased.")},
	{0, NULL},
};

static PyType_Spec spec = {
	.name = "shmd.Queue",
	.basicsize = sizeof(struct shmdpy_handle),
	.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
	.slots = slots,
};

int shmdpy_queue_init(PyObject *module)
{
	counts_type = PyStructSequence_NewType(&counts_description);
	if (counts_type == NULL)
		return -1;
	Py_INCREF((PyObject *)counts_type);
	if (PyModule_AddObject(module, "QueueCounts", (PyObject *)counts_type) < 0)
		return -1;
	return shmdpy_add_type(module, &spec, shmdpy_handle_type) == NULL ? -1 : 0;
}
