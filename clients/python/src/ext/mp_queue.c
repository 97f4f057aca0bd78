/* SPDX-License-Identifier: Apache-2.0
 *
 * mp_queue.c - the type QueueCore: what is fast of multiprocessing's queues, with its
 * exceptions. An object is pickled by who puts it, straight into a slot; who gets it leases
 * the slot, unpickles, and acknowledges.
 *
 * What a full queue without maxsize does not take, the class in Python keeps (_spill) and
 * puts later; while there is something, all goes that way, so that the order stays. In a
 * joinable queue the lease is kept until task_done: see mp_queue_join.c.
 */
#include "mp_queue.h"

#include <structmember.h>

/* A queue without maxsize keeps no more than this of long messages in shared memory. */
#define LONG_READY_BYTES ((uint64_t)64 << 20)

static PyTypeObject *queue_type;
static PyObject *empty_error, *full_error;

static struct shmdpy_mpqueue *queue_of(PyObject *object)
{
	return (struct shmdpy_mpqueue *)object;
}

/* -1 with multiprocessing's exception, if this process has closed it. */
static int check_open(struct shmdpy_mpqueue *self)
{
	if (!self->closed)
		return 0;
	if (self->simple)
		PyErr_SetString(PyExc_OSError, "handle is closed");
	else
		PyErr_Format(PyExc_ValueError, "Queue %R is closed", (PyObject *)self);
	return -1;
}

/* block and timeout, as of put and get. */
static int read_patience(PyObject *const *given, int64_t *ret_timeout_ns)
{
	int block = given[0] == NULL ? 1 : PyObject_IsTrue(given[0]);
	*ret_timeout_ns = block ? SHMD_FOREVER : 0;
	if (block < 0)
		return -1;
	return block && given[1] != NULL ? shmdpy_timeout(given[1], ret_timeout_ns) : 0;
}

/* ---- put ---- */

static PyObject *spill(struct shmdpy_mpqueue *self, const struct shmdpy_sink *sink)
{
	PyObject *bytes = shmdpy_sink_bytes(sink);
	PyObject *result = bytes == NULL ? NULL : PyObject_CallMethod((PyObject *)self, "_spill", "O", bytes);
	Py_XDECREF(bytes);
	return result;
}

/* Whether a long message should rather wait in the memory of its process. */
static bool is_much(struct shmdpy_mpqueue *self, size_t size_bytes)
{
	struct shmd_queue_counts counts;
	return size_bytes > self->slot_size_bytes && self->handle.ready &&
	       shmd_queue_counts(self->handle.handle, &counts) == 0 &&
	       (uint64_t)counts.ready * size_bytes > LONG_READY_BYTES;
}

static bool lacks_memory(int result)
{
	return result == SHMD_E_NO_SPACE || result == SHMD_E_QUOTA;
}

static PyObject *put_sink(struct shmdpy_mpqueue *self, const struct shmdpy_sink *sink, int64_t timeout_ns)
{
	bool spills = !self->bounded;
	if (__builtin_expect(spills && (self->spilled != 0 || is_much(self, sink->size_bytes)), 0))
		return spill(self, sink);
	int result = shmdpy_message_put(&self->handle, sink, spills ? 0 : timeout_ns);
	if (__builtin_expect(result == 0, 1))
		Py_RETURN_NONE;
	if (spills && (result == SHMD_E_WOULD_BLOCK || lacks_memory(result)))
		return spill(self, sink);
	if (result != SHMD_E_WOULD_BLOCK && result != SHMD_E_TIMED_OUT)
		return shmdpy_raise(result, &self->handle);
	PyErr_SetNone(full_error);
	return NULL;
}

/* The object is dropped, and the class is told why. */
static PyObject *pickle_failed(struct shmdpy_mpqueue *self, PyObject *object)
{
	PyObject *type, *error, *traceback;
	PyErr_Fetch(&type, &error, &traceback);
	PyErr_NormalizeException(&type, &error, &traceback);
	if (traceback != NULL)
		PyException_SetTraceback(error, traceback);
	PyObject *result = PyObject_CallMethod((PyObject *)self, "_pickle_failed", "OO", error, object);
	Py_XDECREF(type);
	Py_XDECREF(error);
	Py_XDECREF(traceback);
	return result;
}

static PyObject *put(struct shmdpy_mpqueue *self, PyObject *object, int64_t timeout_ns)
{
	if (check_open(self) < 0)
		return NULL;
	struct shmdpy_sink *sink = shmdpy_pickle(object);
	if (sink == NULL)
		return self->late ? pickle_failed(self, object) : NULL;
	self->used = true;
	PyObject *result = put_sink(self, sink, timeout_ns);
	shmdpy_pickle_done(sink);
	return result;
}

static PyObject *queue_put(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
	static const char *const names[] = {"obj", "block", "timeout", NULL};
	PyObject *given[3] = {NULL, NULL, NULL};
	int64_t timeout_ns = SHMD_FOREVER;
	if (count == 1 && keywords == NULL)
		return put(queue_of(self), args[0], timeout_ns);
	if (shmdpy_arguments("put", args, count, keywords, names, 1, given) < 0 ||
	    read_patience(given + 1, &timeout_ns) < 0)
		return NULL;
	return put(queue_of(self), given[0], timeout_ns);
}

static PyObject *queue_put_nowait(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
	static const char *const names[] = {"obj", NULL};
	PyObject *object = NULL;
	if (shmdpy_arguments("put_nowait", args, count, keywords, names, 1, &object) < 0)
		return NULL;
	return put(queue_of(self), object, 0);
}

/* Puts what is pickled already, within a timeout in seconds; False: there was no room. */
static PyObject *queue_put_bytes(PyObject *object, PyObject *args)
{
	struct shmdpy_mpqueue *self = queue_of(object);
	Py_buffer bytes;
	PyObject *seconds;
	int64_t timeout_ns;
	if (!PyArg_ParseTuple(args, "y*O:_put_bytes", &bytes, &seconds))
		return NULL;
	if (shmdpy_timeout(seconds, &timeout_ns) < 0) {
		PyBuffer_Release(&bytes);
		return NULL;
	}
	struct shmdpy_sink *sink = shmdpy_sink_of(&bytes);
	if (sink == NULL)
		return NULL;
	int result = shmdpy_message_put(&self->handle, sink, timeout_ns);
	shmdpy_pickle_done(sink);
	if (result == SHMD_E_WOULD_BLOCK || result == SHMD_E_TIMED_OUT)
		Py_RETURN_FALSE;
	if (result < 0)
		return shmdpy_raise(result, &self->handle);
	Py_RETURN_TRUE;
}

/* ---- get ---- */

static PyObject *get(struct shmdpy_mpqueue *self, int64_t timeout_ns)
{
	if (check_open(self) < 0 || shmdpy_handle_ready(&self->handle) < 0)
		return NULL;
	struct shmd_lease lease;
	int result;
	SHMDPY_WAIT(self, result, timeout_ns, shmd_queue_lease(self->handle.handle, timeout_ns, &lease));
	if (__builtin_expect(result < 0, 0)) {
		if (result != SHMD_E_WOULD_BLOCK && result != SHMD_E_TIMED_OUT)
			return shmdpy_raise(result, &self->handle);
		PyErr_SetNone(empty_error);
		return NULL;
	}
	if (self->joinable && shmdpy_mpqueue_keep(self, &lease) < 0) {
		(void)shmd_queue_nack(self->handle.handle, &lease);
		return NULL;
	}
	PyObject *object = shmdpy_message_load(&self->handle, &lease);
	/* What cannot be unpickled is gone too, as with multiprocessing. */
	if (!self->joinable)
		shmdpy_message_done(&self->handle, &lease);
	return object;
}

static PyObject *queue_get(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
	static const char *const names[] = {"block", "timeout", NULL};
	PyObject *given[2] = {NULL, NULL};
	int64_t timeout_ns = SHMD_FOREVER;
	if ((count != 0 || keywords != NULL) && (shmdpy_arguments("get", args, count, keywords, names, 0, given) < 0 ||
	                                         read_patience(given, &timeout_ns) < 0))
		return NULL;
	return get(queue_of(self), timeout_ns);
}

static PyObject *queue_get_nowait(PyObject *self, PyObject *unused)
{
	(void)unused;
	return get(queue_of(self), 0);
}

/* ---- counts ---- */

static int count_it(PyObject *object, struct shmd_queue_counts *ret_counts)
{
	struct shmdpy_mpqueue *self = queue_of(object);
	if (shmdpy_handle_ready(&self->handle) < 0)
		return -1;
	int result = shmd_queue_counts(self->handle.handle, ret_counts);
	if (result < 0)
		shmdpy_raise(result, &self->handle);
	return result < 0 ? -1 : 0;
}

static PyObject *queue_qsize(PyObject *self, PyObject *unused)
{
	(void)unused;
	struct shmd_queue_counts counts;
	if (count_it(self, &counts) < 0)
		return NULL;
	return PyLong_FromUnsignedLongLong((unsigned long long)counts.ready + queue_of(self)->spilled);
}

/* multiprocessing closes what empty() looks at only if this process has put something. */
static PyObject *queue_empty(PyObject *self, PyObject *unused)
{
	(void)unused;
	struct shmd_queue_counts counts;
	if (queue_of(self)->closed && (queue_of(self)->simple || queue_of(self)->used)) {
		PyErr_SetString(PyExc_OSError, "handle is closed");
		return NULL;
	}
	if (count_it(self, &counts) < 0)
		return NULL;
	return PyBool_FromLong(counts.ready == 0 && queue_of(self)->spilled == 0);
}

static PyObject *queue_full(PyObject *self, PyObject *unused)
{
	(void)unused;
	struct shmd_queue_counts counts;
	if (!queue_of(self)->bounded)
		Py_RETURN_FALSE;
	if (count_it(self, &counts) < 0)
		return NULL;
	return PyBool_FromLong(counts.ready >= shmd_queue_maxsize(queue_of(self)->handle.handle));
}

static PyObject *queue_counts(PyObject *self, PyObject *unused)
{
	(void)unused;
	struct shmd_queue_counts counts;
	if (count_it(self, &counts) < 0)
		return NULL;
	return Py_BuildValue("(III)", counts.ready, counts.leased, counts.free);
}

/* ---- making ---- */

static int find_errors(void)
{
	if (full_error != NULL)
		return 0;
	PyObject *module = PyImport_ImportModule("queue");
	if (module == NULL)
		return -1;
	empty_error = PyObject_GetAttrString(module, "Empty");
	full_error = PyObject_GetAttrString(module, "Full");
	Py_DECREF(module);
	return empty_error == NULL || full_error == NULL ? -1 : 0;
}

static PyObject *make(struct shmdpy_mpqueue *self, PyObject *client, const struct shmdpy_wish *wish)
{
	if (self->handle.attached) {
		PyErr_SetString(PyExc_ValueError, "it has been made already");
		return NULL;
	}
	if (!PyObject_TypeCheck(client, shmdpy_client_type))
		return PyErr_Format(PyExc_TypeError, "a Client is wanted, not %R", Py_TYPE(client));
	if (find_errors() < 0 ||
	    shmdpy_handle_attach(&self->handle, &shmdpy_queue_kind, (struct shmdpy_client *)client, Py_None, wish) < 0)
		return NULL;
	Py_RETURN_NONE;
}

static PyObject *queue_create(PyObject *self, PyObject *args)
{
	PyObject *client;
	unsigned int maxsize, slot_size_bytes, seats;
	if (!PyArg_ParseTuple(args, "OIII:_create", &client, &maxsize, &slot_size_bytes, &seats))
		return NULL;
	struct shmdpy_wish wish = {
		.method = SHMDPY_CREATE,
		.create = {.size = sizeof wish.create, .maxsize = maxsize, .slot_size = slot_size_bytes,
	               .message_max = SHMDPY_MESSAGE_MAX, .seats_max = seats, .raw = true},
	};
	queue_of(self)->slot_size_bytes = slot_size_bytes;
	return make(queue_of(self), client, &wish);
}

static PyObject *queue_open(PyObject *self, PyObject *args)
{
	PyObject *client;
	unsigned long long id;
	unsigned int slot_size_bytes;
	PyObject *ticket = Py_None;
	struct shmdpy_wish wish = {.method = SHMDPY_OPEN, .open = {.size = sizeof wish.open}};
	if (!PyArg_ParseTuple(args, "OKI|O:_open", &client, &id, &slot_size_bytes, &ticket) ||
	    shmdpy_wish_ticket(ticket, &wish) < 0)
		return NULL;
	wish.open.id = id;
	queue_of(self)->slot_size_bytes = slot_size_bytes;
	return make(queue_of(self), client, &wish);
}

static void dealloc(PyObject *self)
{
	PyMem_Free(queue_of(self)->leases);
	shmdpy_handle_dealloc(&queue_of(self)->handle);
}

static PyMethodDef methods[] = {
	{"put", SHMDPY_FAST(queue_put),
	 "put($self, /, obj, block=True, timeout=None)\n--\n\n"
	 "Puts an object, waiting up to timeout seconds for room; None waits for ever. Raises\n"
	 "queue.Full, ValueError if this process has closed the queue, and at once whatever\n"
	 "pickling raises."},
	{"put_nowait", SHMDPY_FAST(queue_put_nowait), "put_nowait($self, /, obj)\n--\n\nput(obj, False)"},
	{"get", SHMDPY_FAST(queue_get),
	 "get($self, /, block=True, timeout=None)\n--\n\n"
	 "Takes the first object, waiting up to timeout seconds for one; None waits for ever.\n"
	 "Raises queue.Empty, ValueError if this process has closed the queue, and whatever\n"
	 "unpickling raises: then the object is gone."},
	{"get_nowait", queue_get_nowait, METH_NOARGS, "get_nowait($self, /)\n--\n\nget(False)"},
	{"qsize", queue_qsize, METH_NOARGS,
	 "qsize($self, /)\n--\n\nHow many objects can be got, with those that this process has yet to put."},
	{"empty", queue_empty, METH_NOARGS,
	 "empty($self, /)\n--\n\nWhether qsize() is 0. OSError if this process has put something and closed the queue."},
	{"full", queue_full, METH_NOARGS, "full($self, /)\n--\n\nWhether maxsize objects can be got."},
	{"_counts", queue_counts, METH_NOARGS, "_counts(): slots that are ready, leased, free."},
	{"_put_bytes", queue_put_bytes, METH_VARARGS, "_put_bytes(bytes, timeout): False if there was no room."},
	{"_finish", shmdpy_mpqueue_finish, METH_NOARGS, "_finish(): ends the oldest lease; False if there is none."},
	{"_held", shmdpy_mpqueue_held, METH_NOARGS, "_held(): how many objects this process has got and not finished."},
	{"_create", queue_create, METH_VARARGS, "_create(client, maxsize, slot_size, seats_max)"},
	{"_open", queue_open, METH_VARARGS, "_open(client, id, slot_size, ticket=None)"},
	{NULL, NULL, 0, NULL},
};

static PyMemberDef members[] = {
	{"_closed", T_BOOL, offsetof(struct shmdpy_mpqueue, closed), 0, "Whether this process has closed it."},
	{"_used", T_BOOL, offsetof(struct shmdpy_mpqueue, used), 0, "Whether this process has put something."},
	{"_bounded", T_BOOL, offsetof(struct shmdpy_mpqueue, bounded), 0, "Whether it has a maxsize."},
	{"_joinable", T_BOOL, offsetof(struct shmdpy_mpqueue, joinable), 0, "Whether leases are kept until task_done."},
	{"_simple", T_BOOL, offsetof(struct shmdpy_mpqueue, simple), 0, "Whether it is a SimpleQueue."},
	{"_late", T_BOOL, offsetof(struct shmdpy_mpqueue, late), 0, "Whether put tells of what cannot be pickled later."},
	{"_spilled", T_UINT, offsetof(struct shmdpy_mpqueue, spilled), 0, "How many objects this process has yet to put."},
	{"_slot_size", T_UINT, offsetof(struct shmdpy_mpqueue, slot_size_bytes), READONLY, "Bytes of a slot."},
	{NULL, 0, 0, 0, NULL},
};

static PyType_Slot slots[] = {
	{Py_tp_dealloc, dealloc},
	{Py_tp_methods, methods},
	{Py_tp_members, members},
	{Py_tp_doc, SHMDPY_TEXT("The base of shmd.multiprocessing's queues.")},
	{0, NULL},
};

static PyType_Spec spec = {
	.name = "shmd._shmd.QueueCore",
	.basicsize = sizeof(struct shmdpy_mpqueue),
	.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
	.slots = slots,
};

int shmdpy_mpqueue_init(PyObject *module)
{
	queue_type = shmdpy_add_type(module, &spec, shmdpy_handle_type);
	return queue_type == NULL ? -1 : 0;
}
