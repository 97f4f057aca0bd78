/* SPDX-License-Identifier: Apache-2.0
 *
 * mp_pickle.c - pickling into the slots of queues, and out of them: see mp_pickle.h.
 */
#include "mp_pickle.h"

#include <string.h>

/* Messages up to here are copied with the GIL held, and out of the slot before they are
 * unpickled: a slot of a queue is then free at once. */
#define SMALL_BYTES 4096u
/* From here on it is worth to let other threads run while bytes are copied. */
#define LARGE_BYTES (64u << 10)
/* What a queue copies under its latch. */
#define LATCHED_BYTES 512u

static PyTypeObject *sink_type;
static PyObject *pickler_class; /* _pickle.Pickler, whose write is called with large bytes as they are */
static PyObject *loads;
static PyObject *dispatch_table; /* that of ForkingPickler, which a ChainMap keeps current */
static PyObject *protocol;

/* One pickler is kept: to make one costs more than to use it. */
static struct {
	struct shmdpy_sink *sink;
	PyObject *dump, *clear_memo;
	bool busy;
	uint32_t forks; /* when that was */
} kept;

/* ---- the sink ---- */

static void clear(struct shmdpy_sink *self)
{
	for (uint32_t i = 0; i < self->count; i++)
		PyBuffer_Release(&self->pieces[i]);
	if (self->pieces != self->few)
		PyMem_Free(self->pieces);
	self->pieces = self->few;
	self->room = SHMDPY_PIECES_INLINE;
	self->count = 0;
	self->size_bytes = 0;
}

static int grow(struct shmdpy_sink *self)
{
	Py_buffer *pieces = PyMem_Malloc(2 * self->room * sizeof *pieces);
	if (pieces == NULL) {
		PyErr_NoMemory();
		return -1;
	}
	memcpy(pieces, self->pieces, self->count * sizeof *pieces);
	if (self->pieces != self->few)
		PyMem_Free(self->pieces);
	self->pieces = pieces;
	self->room *= 2;
	return 0;
}

static PyObject *sink_write(PyObject *object, PyObject *bytes)
{
	struct shmdpy_sink *self = (struct shmdpy_sink *)object;
	if (self->count == self->room && grow(self) < 0)
		return NULL;
	Py_buffer *piece = &self->pieces[self->count];
	if (PyObject_GetBuffer(bytes, piece, PyBUF_SIMPLE) < 0)
		return NULL;
	self->count++;
	self->size_bytes += (size_t)piece->len;
	Py_RETURN_NONE;
}

static struct shmdpy_sink *sink_new(void)
{
	allocfunc allocate = (allocfunc)PyType_GetSlot(sink_type, Py_tp_alloc);
	struct shmdpy_sink *self = (struct shmdpy_sink *)allocate(sink_type, 0);
	if (self != NULL) {
		self->pieces = self->few;
		self->room = SHMDPY_PIECES_INLINE;
	}
	return self;
}

struct shmdpy_sink *shmdpy_sink_of(Py_buffer *piece)
{
	struct shmdpy_sink *self = sink_new();
	if (self == NULL) {
		PyBuffer_Release(piece);
		return NULL;
	}
	self->few[0] = *piece;
	self->count = 1;
	self->size_bytes = (size_t)piece->len;
	return self;
}

static void sink_dealloc(PyObject *object)
{
	PyTypeObject *type = Py_TYPE(object);
	clear((struct shmdpy_sink *)object);
	((freefunc)PyType_GetSlot(type, Py_tp_free))(object);
	Py_DECREF(type);
}

static void copy_pieces(const struct shmdpy_sink *sink, unsigned char *to)
{
	for (uint32_t i = 0; i < sink->count; i++) {
		if (sink->pieces[i].len > 0)
			memcpy(to, sink->pieces[i].buf, (size_t)sink->pieces[i].len);
		to += sink->pieces[i].len;
	}
}

PyObject *shmdpy_sink_bytes(const struct shmdpy_sink *sink)
{
	PyObject *bytes = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)sink->size_bytes);
	if (bytes != NULL)
		copy_pieces(sink, (unsigned char *)PyBytes_AsString(bytes));
	return bytes;
}

/* ---- pickling ---- */

/* Makes a pickler for the sink; its method dump, or NULL with an exception. */
static PyObject *pickler_for(struct shmdpy_sink *sink, PyObject **ret_clear_memo)
{
	PyObject *pickler = PyObject_CallFunctionObjArgs(pickler_class, (PyObject *)sink, protocol, NULL);
	PyObject *dump = NULL;
	*ret_clear_memo = NULL;
	if (pickler != NULL && PyObject_SetAttrString(pickler, "dispatch_table", dispatch_table) == 0) {
		dump = PyObject_GetAttrString(pickler, "dump");
		*ret_clear_memo = dump == NULL ? NULL : PyObject_GetAttrString(pickler, "clear_memo");
		if (*ret_clear_memo == NULL)
			Py_CLEAR(dump);
	}
	Py_XDECREF(pickler);
	return dump;
}

static void drop_kept(void)
{
	Py_CLEAR(kept.dump);
	Py_CLEAR(kept.clear_memo);
	struct shmdpy_sink *sink = kept.sink;
	kept.sink = NULL;
	Py_XDECREF((PyObject *)sink);
}

static struct shmdpy_sink *pickle_apart(PyObject *object)
{
	PyObject *clear_memo;
	struct shmdpy_sink *sink = sink_new();
	PyObject *dump = sink == NULL ? NULL : pickler_for(sink, &clear_memo);
	PyObject *none = NULL;
	if (dump != NULL) {
		none = PyObject_CallFunctionObjArgs(dump, object, NULL);
		Py_DECREF(dump);
		Py_DECREF(clear_memo);
	}
	if (none == NULL)
		Py_CLEAR(sink);
	Py_XDECREF(none);
	return sink;
}

struct shmdpy_sink *shmdpy_pickle(PyObject *object)
{
	if (kept.forks != shmdpy_forks) { /* a thread of the parent may have been at it, or this one, further up */
		kept.sink = NULL;
		kept.dump = kept.clear_memo = NULL;
		kept.busy = false;
		kept.forks = shmdpy_forks;
	}
	if (kept.busy) /* pickling may run anything, also another put */
		return pickle_apart(object);
	kept.busy = true;
	if (kept.dump == NULL) {
		kept.sink = sink_new();
		kept.dump = kept.sink == NULL ? NULL : pickler_for(kept.sink, &kept.clear_memo);
	}
	PyObject *none = kept.dump == NULL ? NULL : PyObject_CallFunctionObjArgs(kept.dump, object, NULL);
	if (none == NULL) {
		drop_kept();
		kept.busy = false;
		return NULL;
	}
	Py_DECREF(none);
	Py_INCREF((PyObject *)kept.sink);
	return kept.sink;
}

void shmdpy_pickle_done(struct shmdpy_sink *sink)
{
	if (sink == kept.sink) {
		PyObject *type, *value, *traceback;
		PyErr_Fetch(&type, &value, &traceback);
		bool large = sink->size_bytes > LARGE_BYTES; /* and so, maybe, its memo */
		clear(sink);
		PyObject *none = large ? NULL : PyObject_CallFunctionObjArgs(kept.clear_memo, NULL);
		if (none == NULL) {
			PyErr_Clear();
			drop_kept();
		}
		Py_XDECREF(none);
		kept.busy = false;
		PyErr_Restore(type, value, traceback);
	}
	Py_DECREF((PyObject *)sink);
}

/* ---- messages ---- */

/* Copies into what was reserved. Who closes the queue meanwhile, or forks, waits or has
 * its own. */
static void copy_in(struct shmdpy_handle *queue, const struct shmdpy_sink *sink, void *to)
{
	if (sink->size_bytes < LARGE_BYTES) {
		copy_pieces(sink, to);
		return;
	}
	uint32_t forks = shmdpy_forks;
	queue->users++;
	Py_BEGIN_ALLOW_THREADS
	copy_pieces(sink, to);
	Py_END_ALLOW_THREADS
	if (forks == shmdpy_forks)
		shmdpy_handle_leave(queue);
}

int shmdpy_message_put(struct shmdpy_handle *queue, const struct shmdpy_sink *sink, int64_t timeout_ns)
{
	if (shmdpy_handle_ready(queue) < 0)
		return SHMD_E_CANCELLED;
	int result;
	if (sink->size_bytes <= LATCHED_BYTES) {
		unsigned char joined[LATCHED_BYTES];
		const void *bytes = sink->pieces[0].buf;
		if (sink->count != 1) {
			copy_pieces(sink, joined);
			bytes = joined;
		}
		SHMDPY_WAIT(queue, result, timeout_ns, shmd_queue_put(queue->handle, bytes, sink->size_bytes, timeout_ns));
		return result;
	}
	struct shmd_reservation reservation;
	SHMDPY_WAIT(queue, result, timeout_ns,
	            shmd_queue_reserve_size(queue->handle, sink->size_bytes, timeout_ns, &reservation));
	if (result < 0)
		return result;
	void *handle = queue->handle;
	copy_in(queue, sink, reservation.buffer);
	return queue->handle != handle ? SHMD_E_CLOSED : shmd_queue_commit(handle, &reservation, sink->size_bytes);
}

PyObject *shmdpy_message_load(struct shmdpy_handle *queue, const struct shmd_lease *lease)
{
	PyObject *bytes = NULL;
	PyObject *object = NULL;
	if (lease->size_bytes <= SMALL_BYTES) {
		bytes = PyBytes_FromStringAndSize(lease->message, (Py_ssize_t)lease->size_bytes);
		if (bytes != NULL)
			object = PyObject_CallFunctionObjArgs(loads, bytes, NULL);
		Py_XDECREF(bytes);
		return object;
	}
	/* Unpickling may run anything: the mapping must outlast it. */
	uint32_t forks = shmdpy_forks;
	queue->users++;
	bytes = PyMemoryView_FromMemory((char *)(uintptr_t)lease->message, (Py_ssize_t)lease->size_bytes, PyBUF_READ);
	if (bytes != NULL)
		object = PyObject_CallFunctionObjArgs(loads, bytes, NULL);
	Py_XDECREF(bytes);
	if (forks == shmdpy_forks)
		shmdpy_handle_leave(queue);
	return object;
}

void shmdpy_message_done(struct shmdpy_handle *queue, const struct shmd_lease *lease)
{
	if (queue->ready)
		(void)shmd_queue_ack(queue->handle, lease);
}

/* ---- set-up ---- */

static PyMethodDef methods[] = {
	{"write", sink_write, METH_O, "write($self, bytes, /)\n--\n\nKeeps them."},
	{NULL, NULL, 0, NULL},
};

static PyType_Slot slots[] = {
	{Py_tp_dealloc, sink_dealloc},
	{Py_tp_methods, methods},
	{Py_tp_doc, SHMDPY_TEXT("What a pickler writes to.")},
	{0, NULL},
};

static PyType_Spec spec = {
	.name = "shmd._shmd._Sink",
	.basicsize = sizeof(struct shmdpy_sink),
	.flags = Py_TPFLAGS_DEFAULT,
	.slots = slots,
};

/* _pickle_with(Pickler, loads, dispatch_table, protocol): before the first message. */
static PyObject *pickle_with(PyObject *module, PyObject *args)
{
	(void)module;
	PyObject *given[4];
	if (!PyArg_ParseTuple(args, "OOOO:_pickle_with", &given[0], &given[1], &given[2], &given[3]))
		return NULL;
	PyObject **where[4] = {&pickler_class, &loads, &dispatch_table, &protocol};
	for (size_t i = 0; i < 4; i++) {
		PyObject *before = *where[i];
		Py_INCREF(given[i]);
		*where[i] = given[i];
		Py_XDECREF(before);
	}
	Py_RETURN_NONE;
}

static PyMethodDef functions[] = {
	{"_pickle_with", pickle_with, METH_VARARGS, "_pickle_with(Pickler, loads, dispatch_table, protocol)"},
	{NULL, NULL, 0, NULL},
};

int shmdpy_pickle_init(PyObject *module)
{
	sink_type = shmdpy_add_type(module, &spec, NULL);
	return sink_type == NULL ? -1 : PyModule_AddFunctions(module, functions);
}
