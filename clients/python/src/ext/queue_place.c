/* SPDX-License-Identifier: Apache-2.0
 *
 * queue_place.c - the types Lease and Reservation: messages of a queue in place. While a
 * view of one exists it cannot end, for its memory would be another message's.
 */
#include "shmd_python.h"

#include <structmember.h>

static PyTypeObject *lease_type;
static PyTypeObject *reservation_type;

struct place {
	PyObject_HEAD
	struct shmdpy_handle *queue; /* strong */
	uint32_t forks;              /* of this process, when this began */
	struct shmdpy_exported *exported;
	Py_ssize_t views;
	char *data;
	Py_ssize_t size_bytes;
	bool ended;
	union {
		struct shmd_lease lease;
		struct shmd_reservation reservation;
	};
};

static struct place *new_place(PyTypeObject *type, struct shmdpy_handle *queue)
{
	allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
	struct place *self = (struct place *)allocate(type, 0);
	if (self == NULL)
		return NULL;
	Py_INCREF((PyObject *)queue);
	self->queue = queue;
	self->forks = shmdpy_forks;
	return self;
}

PyObject *shmdpy_lease_new(struct shmdpy_handle *queue, const struct shmd_lease *lease)
{
	struct place *self = new_place(lease_type, queue);
	if (self == NULL) {
		(void)shmd_queue_nack(queue->handle, lease);
		return NULL;
	}
	self->lease = *lease;
	self->data = (char *)(uintptr_t)lease->message;
	self->size_bytes = (Py_ssize_t)lease->size_bytes;
	return (PyObject *)self;
}

PyObject *shmdpy_reservation_new(struct shmdpy_handle *queue, const struct shmd_reservation *reservation,
                                 uint64_t size_bytes)
{
	struct place *self = new_place(reservation_type, queue);
	if (self == NULL) {
		(void)shmd_queue_abort(queue->handle, reservation);
		return NULL;
	}
	self->reservation = *reservation;
	self->data = reservation->buffer;
	self->size_bytes =
		(Py_ssize_t)(size_bytes < reservation->buffer_bytes ? size_bytes : reservation->buffer_bytes);
	return (PyObject *)self;
}

static void dealloc(PyObject *object)
{
	struct place *self = (struct place *)object;
	PyTypeObject *type = Py_TYPE(object);
	Py_DECREF((PyObject *)self->queue);
	((freefunc)PyType_GetSlot(type, Py_tp_free))(object);
	Py_DECREF(type);
}

static int refuse(const struct place *self, const char *why)
{
	const char *noun = Py_TYPE((PyObject *)self) == lease_type ? "lease" : "reservation";
	shmdpy_raise_text(SHMD_E_NOT_OWNER, self->queue, "the %s %s", noun, why);
	return -1;
}

/* Whether libshmd may be asked about it; -1 with an exception. */
static int check(struct place *self)
{
	if (shmdpy_handle_ready(self->queue) < 0)
		return -1;
	return self->forks == shmdpy_forks ? 0 : refuse(self, "belongs to the parent process");
}

/* Whether the memory is still this message's, as far as can be known; -1 with an exception. */
static int check_memory(struct place *self)
{
	if (check(self) < 0)
		return -1;
	return self->ended ? refuse(self, "has ended") : 0;
}

/* Before it ends, or does so once more. */
static int check_end(struct place *self)
{
	if (check(self) < 0)
		return -1;
	if (self->views == 0)
		return 0;
	PyErr_Format(PyExc_BufferError, "%zd views of the message exist: release them first", self->views);
	return -1;
}

static PyObject *end(struct place *self, int result)
{
	if (result < 0)
		return shmdpy_raise(result, self->queue);
	self->ended = true;
	Py_RETURN_NONE;
}

/* ---- the buffer protocol ---- */

static int get_buffer(PyObject *object, Py_buffer *view, int flags)
{
	struct place *self = (struct place *)object;
	view->obj = NULL;
	if (check_memory(self) < 0) {
		PyErr_Clear();
		PyErr_SetString(PyExc_BufferError, "it has ended, and its memory may be another message's");
		return -1;
	}
	int read_only = Py_TYPE(object) == lease_type;
	if (PyBuffer_FillInfo(view, object, self->data, self->size_bytes, read_only, flags) < 0)
		return -1;
	struct shmdpy_exported *exported = shmdpy_export(self->queue);
	if (exported == NULL) {
		Py_CLEAR(view->obj);
		return -1;
	}
	view->internal = exported;
	self->views++;
	return 0;
}

static void release_buffer(PyObject *object, Py_buffer *view)
{
	struct place *self = (struct place *)object;
	self->views--;
	shmdpy_export_release(self->queue, view->internal);
}

static Py_ssize_t length(PyObject *self)
{
	return ((struct place *)self)->size_bytes;
}

/* ---- leases ---- */

static PyObject *lease_ack(PyObject *object, PyObject *unused)
{
	(void)unused;
	struct place *self = (struct place *)object;
	return check_end(self) < 0 ? NULL : end(self, shmd_queue_ack(self->queue->handle, &self->lease));
}

static PyObject *lease_nack(PyObject *object, PyObject *unused)
{
	(void)unused;
	struct place *self = (struct place *)object;
	return check_end(self) < 0 ? NULL : end(self, shmd_queue_nack(self->queue->handle, &self->lease));
}

static PyObject *lease_extend(PyObject *object, PyObject *seconds)
{
	struct place *self = (struct place *)object;
	int64_t lease_ns;
	if (check(self) < 0 || shmdpy_timeout(seconds, &lease_ns) < 0)
		return NULL;
	int result = lease_ns < 0 ? SHMD_E_INVALID
	                          : shmd_queue_extend(self->queue->handle, &self->lease, (uint64_t)lease_ns);
	return shmdpy_none_or_raise(result, self->queue);
}

static PyObject *place_enter(PyObject *object, PyObject *unused)
{
	(void)unused;
	if (check_memory((struct place *)object) < 0)
		return NULL;
	Py_INCREF(object);
	return object;
}

/* Whether a with statement ends by an exception: its arguments say. */
static bool is_failure(PyObject *args)
{
	return PyTuple_Size(args) > 0 && PyTuple_GetItem(args, 0) != Py_None;
}

static PyObject *lease_exit(PyObject *object, PyObject *args)
{
	if (((struct place *)object)->ended)
		Py_RETURN_NONE;
	return is_failure(args) ? lease_nack(object, NULL) : lease_ack(object, NULL);
}

/* The exception says how many leases were ended before it. */
static PyObject *raise_after(int status, struct shmdpy_handle *queue, uint32_t done)
{
	shmdpy_raise(status, queue);
	PyObject *type;
	PyObject *exception;
	PyObject *trace;
	PyErr_Fetch(&type, &exception, &trace);
	PyErr_NormalizeException(&type, &exception, &trace);
	PyObject *number = PyLong_FromUnsignedLong(done);
	if (number == NULL || PyObject_SetAttrString(exception, "count", number) < 0)
		PyErr_Clear();
	Py_XDECREF(number);
	PyErr_Restore(type, exception, trace);
	return NULL;
}

PyObject *shmdpy_lease_end_many(struct shmdpy_handle *queue, PyObject *leases,
                                int (*how)(struct shmd_queue *, const struct shmd_lease *, uint32_t, uint32_t *))
{
	PyObject *tuple = PySequence_Tuple(leases);
	if (tuple == NULL)
		return NULL;
	Py_ssize_t count = PyTuple_Size(tuple);
	struct shmd_lease *given = PyMem_Calloc((size_t)count + 1, sizeof *given);
	bool failed = given == NULL;
	if (failed)
		PyErr_NoMemory();
	for (Py_ssize_t i = 0; !failed && i < count; i++) {
		struct place *lease = (struct place *)PyTuple_GetItem(tuple, i);
		failed = true;
		if (!PyObject_TypeCheck((PyObject *)lease, lease_type))
			PyErr_Format(PyExc_TypeError, "expected a Lease, not %R", (PyObject *)lease);
		else if (lease->queue != queue)
			PyErr_SetString(PyExc_ValueError, "the lease is of another queue");
		else
			failed = check_end(lease) < 0;
		if (!failed)
			given[i] = lease->lease;
	}
	uint32_t done = 0;
	int result = failed || count == 0 ? 0 : how(queue->handle, given, (uint32_t)count, &done);
	for (uint32_t i = 0; i < done; i++)
		((struct place *)PyTuple_GetItem(tuple, (Py_ssize_t)i))->ended = true;
	PyMem_Free(given);
	Py_DECREF(tuple);
	if (failed)
		return NULL;
	return result < 0 ? raise_after(result, queue, done) : PyLong_FromUnsignedLong(done);
}

static PyMethodDef lease_methods[] = {
	{"ack", lease_ack, METH_NOARGS,
	 "ack($self, /)\n--\n\nEnds the lease: the message is done. May be repeated until the slot is used again. Raises\n"
	 "NotOwner if it is no lease of this process any more, and BufferError while a view exists."},
	{"nack", lease_nack, METH_NOARGS,
	 "nack($self, /)\n--\n\nEnds the lease: the message goes back to the front, or after deliveries_max deliveries\n"
	 "becomes a dead letter. Raises as ack()."},
	{"extend", lease_extend, METH_O,
	 "extend($self, seconds, /)\n--\n\n"
	 "The lease ends so many seconds from now instead. Raises NotOwner, Invalid, Unsupported\n"
	 "(the queue has no lease_timeout)."},
	{"__enter__", place_enter, METH_NOARGS, NULL},
	{"__exit__", lease_exit, METH_VARARGS, "ack(), or nack() if an exception was raised; nothing if it has ended."},
	{NULL, NULL, 0, NULL},
};

static PyMemberDef lease_members[] = {
	{"number", T_ULONGLONG, offsetof(struct place, lease.number), READONLY,
	 "Names the message; no other one of the queue has it."},
	{"deliveries", T_UINT, offsetof(struct place, lease.deliveries), READONLY,
	 "How often it was delivered, this one counted; stays at 255."},
	{NULL, 0, 0, 0, NULL},
};

static PyType_Slot lease_slots[] = {
	{Py_tp_dealloc, dealloc},
	{Py_tp_methods, lease_methods},
	{Py_tp_members, lease_members},
	{Py_sq_length, length},
	{Py_bf_getbuffer, get_buffer},
	{Py_bf_releasebuffer, release_buffer},
	{Py_tp_doc,
	 SHMDPY_TEXT("One delivery of one message, which is this object's buffer: bytes(lease) copies it,\n"
	             "memoryview(lease) does not. `with queue.lease() as lease:` acknowledges it, or gives it\n"
	             "back if an exception is raised. It does not end by being collected.")},
	{0, NULL},
};

static PyType_Spec lease_spec = {
	.name = "shmd.Lease",
	.basicsize = sizeof(struct place),
	.flags = Py_TPFLAGS_DEFAULT,
	.slots = lease_slots,
};

/* ---- reservations ---- */

static PyObject *reservation_commit(PyObject *object, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
	static const char *const names[] = {"size", NULL};
	PyObject *given[1];
	struct place *self = (struct place *)object;
	uint64_t size_bytes = (uint64_t)self->size_bytes;
	if (shmdpy_arguments("commit", args, count, keywords, names, 0, given) < 0 ||
	    (given[0] != NULL && given[0] != Py_None && shmdpy_unsigned("size", given[0], SIZE_MAX, &size_bytes) < 0) ||
	    check_end(self) < 0)
		return NULL;
	return end(self, shmd_queue_commit(self->queue->handle, &self->reservation, (size_t)size_bytes));
}

static PyObject *reservation_abort(PyObject *object, PyObject *unused)
{
	(void)unused;
	struct place *self = (struct place *)object;
	return check_end(self) < 0 ? NULL : end(self, shmd_queue_abort(self->queue->handle, &self->reservation));
}

static PyObject *reservation_exit(PyObject *object, PyObject *args)
{
	if (((struct place *)object)->ended)
		Py_RETURN_NONE;
	return is_failure(args) ? reservation_abort(object, NULL) : reservation_commit(object, NULL, 0, NULL);
}

static PyMethodDef reservation_methods[] = {
	{"commit", SHMDPY_FAST(reservation_commit),
	 "commit($self, /, size=None)\n--\n\n"
	 "Makes the first size bytes the last message of the queue; None: all of them. May be\n"
	 "repeated until the slot is used again. Raises NotOwner, TooLarge, BadType, and BufferError while a\n"
	 "view exists."},
	{"abort", reservation_abort, METH_NOARGS, "abort($self, /)\n--\n\nGives it up. Raises NotOwner, and BufferError."},
	{"__enter__", place_enter, METH_NOARGS, NULL},
	{"__exit__", reservation_exit, METH_VARARGS,
	 "commit(), or abort() if an exception was raised; nothing if it has ended."},
	{NULL, NULL, 0, NULL},
};

static PyType_Slot reservation_slots[] = {
	{Py_tp_dealloc, dealloc},
	{Py_tp_methods, reservation_methods},
	{Py_sq_length, length},
	{Py_bf_getbuffer, get_buffer},
	{Py_bf_releasebuffer, release_buffer},
	{Py_tp_doc,
	 SHMDPY_TEXT("A message that is made in place, in this object's buffer: memoryview(reservation). It\n"
	             "counts against maxsize until it ends, and does not end by being collected.")},
	{0, NULL},
};

static PyType_Spec reservation_spec = {
	.name = "shmd.Reservation",
	.basicsize = sizeof(struct place),
	.flags = Py_TPFLAGS_DEFAULT,
	.slots = reservation_slots,
};

int shmdpy_place_init(PyObject *module)
{
	lease_type = shmdpy_add_type(module, &lease_spec, NULL);
	reservation_type = lease_type == NULL ? NULL : shmdpy_add_type(module, &reservation_spec, NULL);
	return reservation_type == NULL ? -1 : 0;
}
