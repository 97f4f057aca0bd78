/* SPDX-License-Identifier: Apache-2.0
 *
 * snapshot.c - the type Snapshot: elements of an array as they were at one moment.
 */
#include "shmd_python.h"

#include <structmember.h>

static PyTypeObject *type;

struct shmdpy_snapshot *shmdpy_snapshot_new(char code, unsigned int rank, const uint64_t *shape)
{
	allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
	struct shmdpy_snapshot *self = (struct shmdpy_snapshot *)allocate(type, 0);
	if (self == NULL)
		return NULL;
	self->code = code;
	self->rank = (int)rank;
	Py_ssize_t size_bytes = (Py_ssize_t)shmdpy_item_size(code);
	for (int i = (int)rank - 1; i >= 0; i--) {
		self->shape[i] = (Py_ssize_t)shape[i];
		self->strides[i] = size_bytes;
		size_bytes *= (Py_ssize_t)shape[i];
	}
	self->size_bytes = size_bytes;
	self->data = PyMem_Malloc(size_bytes > 0 ? (size_t)size_bytes : 1);
	if (self->data == NULL) {
		Py_DECREF((PyObject *)self);
		PyErr_NoMemory();
		return NULL;
	}
	return self;
}

static void dealloc(PyObject *object)
{
	PyTypeObject *of = Py_TYPE(object);
	PyMem_Free(((struct shmdpy_snapshot *)object)->data);
	((freefunc)PyType_GetSlot(of, Py_tp_free))(object);
	Py_DECREF(of);
}

static int get_buffer(PyObject *object, Py_buffer *view, int flags)
{
	struct shmdpy_snapshot *self = (struct shmdpy_snapshot *)object;
	if ((flags & PyBUF_F_CONTIGUOUS) == PyBUF_F_CONTIGUOUS && self->rank > 1) {
		view->obj = NULL;
		PyErr_SetString(PyExc_BufferError, "the elements are in row-major order");
		return -1;
	}
	if (PyBuffer_FillInfo(view, object, self->data, self->size_bytes, 0, flags) < 0)
		return -1;
	if ((flags & PyBUF_ND) == PyBUF_ND) { /* else it is bytes in a row */
		view->itemsize = (Py_ssize_t)shmdpy_item_size(self->code);
		view->ndim = self->rank;
		view->shape = self->shape;
		view->strides = (flags & PyBUF_STRIDES) == PyBUF_STRIDES ? self->strides : NULL;
		view->format = (flags & PyBUF_FORMAT) != 0 ? SHMDPY_TEXT(shmdpy_item_format(self->code)) : NULL;
	}
	return 0;
}

static Py_ssize_t length(PyObject *object)
{
	struct shmdpy_snapshot *self = (struct shmdpy_snapshot *)object;
	return self->size_bytes / (Py_ssize_t)shmdpy_item_size(self->code);
}

/* Elements by their number, whatever the rank, as in the array. */
static PyObject *item(PyObject *object, Py_ssize_t index)
{
	struct shmdpy_snapshot *self = (struct shmdpy_snapshot *)object;
	Py_ssize_t item_size = (Py_ssize_t)shmdpy_item_size(self->code);
	if (index < 0 || index >= self->size_bytes / item_size) {
		PyErr_SetString(PyExc_IndexError, "index out of range");
		return NULL;
	}
	return shmdpy_item_unpack(self->code, self->data + index * item_size);
}

static PyObject *to_list(PyObject *object, PyObject *unused)
{
	(void)unused;
	struct shmdpy_snapshot *self = (struct shmdpy_snapshot *)object;
	Py_ssize_t count = self->size_bytes / (Py_ssize_t)shmdpy_item_size(self->code);
	PyObject *list = PyList_New(count);
	for (Py_ssize_t i = 0; list != NULL && i < count; i++) {
		PyObject *one = item(object, i);
		if (one == NULL)
			Py_CLEAR(list);
		else
			PyList_SetItem(list, i, one);
	}
	return list;
}

static PyObject *get_shape(PyObject *object, void *unused)
{
	(void)unused;
	struct shmdpy_snapshot *self = (struct shmdpy_snapshot *)object;
	PyObject *shape = PyTuple_New(self->rank);
	for (int i = 0; shape != NULL && i < self->rank; i++)
		PyTuple_SetItem(shape, i, PyLong_FromSsize_t(self->shape[i]));
	return shape;
}

static PyObject *get_code(PyObject *object, void *unused)
{
	(void)unused;
	return PyUnicode_FromStringAndSize(&((struct shmdpy_snapshot *)object)->code, 1);
}

static PyMethodDef methods[] = {
	{"tolist", to_list, METH_NOARGS, "tolist($self, /)\n--\n\nThe elements in a row, whatever the shape."},
	{NULL, NULL, 0, NULL},
};

static PyMemberDef members[] = {
	{"version", T_ULONGLONG, offsetof(struct shmdpy_snapshot, version), READONLY,
	 "A version of the array that is not newer than the elements."},
	{"owner_died", T_BOOL, offsetof(struct shmdpy_snapshot, owner_died), READONLY,
	 "Whether a writer died and nobody has marked the array consistent since."},
	{NULL, 0, 0, 0, NULL},
};

static PyGetSetDef properties[] = {
	{"shape", get_shape, NULL, "The lengths.", NULL},
	{"code", get_code, NULL, "The type code.", NULL},
	{NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot slots[] = {
	{Py_tp_dealloc, dealloc},
	{Py_tp_methods, methods},
	{Py_tp_members, members},
	{Py_tp_getset, properties},
	{Py_sq_length, length},
	{Py_sq_item, item},
	{Py_bf_getbuffer, get_buffer},
	{Py_tp_doc,
	 SHMDPY_TEXT("Elements of an Array as they were at one moment: a copy of this process's own, with the\n"
	             "buffer protocol, so that numpy.asarray(snapshot) copies nothing more.")},
	{0, NULL},
};

static PyType_Spec spec = {
	.name = "shmd.Snapshot",
	.basicsize = sizeof(struct shmdpy_snapshot),
	.flags = Py_TPFLAGS_DEFAULT,
	.slots = slots,
};

int shmdpy_snapshot_init(PyObject *module)
{
	type = shmdpy_add_type(module, &spec, NULL);
	return type == NULL ? -1 : 0;
}
