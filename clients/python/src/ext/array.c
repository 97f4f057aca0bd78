/* SPDX-License-Identifier: Apache-2.0
 *
 * array.c - the type Array: elements in row-major order.
 */
#include "shmd_python.h"

#include <string.h>

static int attach(struct shmd_client *client, const struct shmdpy_wish *wish, void **ret_handle)
{
	struct shmd_array *array = NULL;
	int result;
	if (wish->method == SHMDPY_OPEN)
		result = shmd_array_open(client, wish->name, wish->code, wish->rank, wish->shape, &wish->open, &array);
	else if (wish->method == SHMDPY_CREATE)
		result = shmd_array_create(client, wish->name, wish->code, wish->rank, wish->shape, &wish->create, &array);
	else
		result = shmd_array_open_or_create(client, wish->name, wish->code, wish->rank, wish->shape, &wish->create,
		                                   &array);
	*ret_handle = array;
	return result;
}

SHMDPY_KIND_FUNCTIONS(array)
SHMDPY_KIND_LOCK(array)

/* ---- what elements need ---- */

static int load(const void *handle, uint64_t index, void *ret_item)
{
	return shmd_array_load(handle, index, ret_item);
}

static int store(void *handle, uint64_t index, const void *item)
{
	return shmd_array_store(handle, index, item);
}

static int fetch_add(void *handle, uint64_t index, const void *delta, void *ret_before)
{
	return shmd_array_fetch_add(handle, index, delta, ret_before);
}

static int exchange(void *handle, uint64_t index, const void *item, void *ret_before)
{
	return shmd_array_exchange(handle, index, item, ret_before);
}

static int compare_exchange(void *handle, uint64_t index, const void *expected, const void *desired,
                            bool *ret_swapped, void *ret_before)
{
	return shmd_array_compare_exchange(handle, index, expected, desired, ret_swapped, ret_before);
}

static int version(const void *handle, uint64_t *ret_version)
{
	return shmd_array_version(handle, ret_version);
}

static int wait_change(void *handle, uint64_t seen, int64_t timeout_ns, uint64_t *ret_version)
{
	return shmd_array_wait_change(handle, seen, timeout_ns, ret_version);
}

static char code(const void *handle)
{
	return shmd_array_code(handle);
}

static const struct shmdpy_element_functions element_functions = {
	load, store, fetch_add, exchange, compare_exchange, version, wait_change, code,
};

const struct shmdpy_kind shmdpy_array_kind = {
	.noun = "array",
	.takes = SHMDPY_OPTION_LOCK | SHMDPY_OPTION_INIT | SHMDPY_TAKES_CODE | SHMDPY_TAKES_SHAPE,
	.attach = attach,
	.detach = detach,
	.id = id_of,
	.created = created,
	.lock = &lock_functions,
	.element = &element_functions,
};

SHMDPY_MAKERS(shmdpy_array_kind)

/* ---- which element ---- */

/* One of length places, from the end if it is negative; -1 with an exception. */
static int read_place(const struct shmdpy_handle *self, PyObject *given, uint64_t length, uint64_t *ret)
{
	Py_ssize_t place = PyNumber_AsSsize_t(given, NULL); /* one that is too far away stays so */
	if (place == -1 && PyErr_Occurred() != NULL)
		return -1;
	Py_ssize_t at = place < 0 ? place + (Py_ssize_t)length : place;
	if (at < 0 || (uint64_t)at >= length) {
		shmdpy_raise_text(SHMD_E_BAD_INDEX, self, "index %zd is outside of a length of %llu", place,
		                  (unsigned long long)length);
		return -1;
	}
	*ret = (uint64_t)at;
	return 0;
}

/* The number of an element, or one index for each dimension. */
static int read_index(struct shmdpy_handle *self, PyObject *given, uint64_t *ret_index)
{
	const struct shmd_array *array = self->handle;
	if (PyIndex_Check(given))
		return read_place(self, given, shmd_array_length(array), ret_index);
	unsigned int rank = shmd_array_rank(array);
	if (!PyTuple_Check(given)) {
		PyErr_Format(PyExc_TypeError,
		             "an index is an int, or a tuple of %u, not %R; for slices use read() or a memoryview", rank,
		             Py_TYPE(given));
		return -1;
	}
	if (PyTuple_Size(given) != (Py_ssize_t)rank) {
		shmdpy_raise_text(SHMD_E_BAD_INDEX, self, "%zd indices for %u dimensions", PyTuple_Size(given), rank);
		return -1;
	}
	uint64_t shape[8];
	memcpy(shape, shmd_array_shape(array), rank * sizeof shape[0]);
	uint64_t index = 0;
	for (unsigned int i = 0; i < rank; i++) {
		uint64_t place;
		if (read_place(self, PyTuple_GetItem(given, (Py_ssize_t)i), shape[i], &place) < 0)
			return -1;
		index = index * shape[i] + place;
	}
	*ret_index = index;
	return shmdpy_handle_ready(self); /* what the indices called may have closed it */
}

static PyObject *array_load(PyObject *object, PyObject *given)
{
	uint64_t index;
	struct shmdpy_handle *self = shmdpy_ready(object);
	return self == NULL || read_index(self, given, &index) < 0 ? NULL : shmdpy_element_load(self, index);
}

static int array_assign(PyObject *object, PyObject *given, PyObject *item)
{
	uint64_t index;
	struct shmdpy_handle *self = shmdpy_ready(object);
	if (self == NULL || read_index(self, given, &index) < 0)
		return -1;
	if (item == NULL) {
		PyErr_SetString(PyExc_TypeError, "elements of an Array cannot be deleted");
		return -1;
	}
	return shmdpy_element_store(self, index, item);
}

/* Sorts the arguments of an operation on one element, the first of which is the index. */
static struct shmdpy_handle *read_operation(const char *function, PyObject *object, PyObject *const *args,
                                            Py_ssize_t count, PyObject *keywords, const char *const *names,
                                            int required, PyObject **ret_given, uint64_t *ret_index)
{
	struct shmdpy_handle *self = shmdpy_ready(object);
	if (self == NULL || shmdpy_arguments(function, args, count, keywords, names, required, ret_given) < 0 ||
	    read_index(self, ret_given[0], ret_index) < 0)
		return NULL;
	return self;
}

static const char *const names_item[] = {"index", "item", NULL};
static const char *const names_delta[] = {"index", "delta", NULL};
static const char *const names_exchange[] = {"index", "expected", "desired", NULL};

static PyObject *array_store(PyObject *object, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
	PyObject *given[2];
	uint64_t index;
	struct shmdpy_handle *self = read_operation("store", object, args, count, keywords, names_item, 2, given, &index);
	if (self == NULL || shmdpy_element_store(self, index, given[1]) < 0)
		return NULL;
	Py_RETURN_NONE;
}

static PyObject *array_fetch_add(PyObject *object, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
	PyObject *given[2];
	uint64_t index;
	struct shmdpy_handle *self =
		read_operation("fetch_add", object, args, count, keywords, names_delta, 2, given, &index);
	return self == NULL ? NULL : shmdpy_element_fetch_add(self, index, given[1]);
}

static PyObject *array_exchange(PyObject *object, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
	PyObject *given[2];
	uint64_t index;
	struct shmdpy_handle *self =
		read_operation("exchange", object, args, count, keywords, names_item, 2, given, &index);
	return self == NULL ? NULL : shmdpy_element_exchange(self, index, given[1]);
}

static PyObject *array_compare_exchange(PyObject *object, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
	PyObject *given[3];
	uint64_t index;
	struct shmdpy_handle *self =
		read_operation("compare_exchange", object, args, count, keywords, names_exchange, 3, given, &index);
	return self == NULL ? NULL : shmdpy_element_compare_exchange(self, index, given[1], given[2]);
}

/* ---- many at once ---- */

/* start and count of some elements; a count that is not given reaches to the end. */
static int read_range(struct shmdpy_handle *self, PyObject *start, PyObject *count, uint64_t *ret_start,
                      uint64_t *ret_count)
{
	uint64_t length = shmd_array_length(self->handle);
	*ret_start = 0;
	if (start != NULL && shmdpy_unsigned("start", start, UINT64_MAX, ret_start) < 0)
		return -1;
	*ret_count = *ret_start < length ? length - *ret_start : 0;
	if (count != NULL && count != Py_None && shmdpy_unsigned("count", count, UINT64_MAX, ret_count) < 0)
		return -1;
	if (*ret_start > length || *ret_count > length - *ret_start) {
		shmdpy_raise_text(SHMD_E_BAD_INDEX, self, "%llu elements from %llu on, and it has %llu",
		                  (unsigned long long)*ret_count, (unsigned long long)*ret_start, (unsigned long long)length);
		return -1;
	}
	return 0;
}

static PyObject *array_read(PyObject *object, PyObject *const *args, Py_ssize_t given_count, PyObject *keywords)
{
	static const char *const names[] = {"start", "count", "timeout", NULL};
	PyObject *given[3];
	uint64_t start;
	uint64_t count;
	int64_t timeout_ns;
	struct shmdpy_handle *self = shmdpy_ready(object);
	if (self == NULL || shmdpy_arguments("read", args, given_count, keywords, names, 0, given) < 0 ||
	    shmdpy_timeout(given[2], &timeout_ns) < 0 || read_range(self, given[0], given[1], &start, &count) < 0)
		return NULL;
	const struct shmd_array *array = self->handle;
	bool whole = count == shmd_array_length(array);
	struct shmdpy_snapshot *snapshot = shmdpy_snapshot_new(shmd_array_code(array), whole ? shmd_array_rank(array) : 1,
	                                                       whole ? shmd_array_shape(array) : &count);
	if (snapshot == NULL)
		return NULL;
	int result;
	SHMDPY_UNLOCKED(self, result,
	                shmd_array_read(self->handle, start, count, timeout_ns, snapshot->data, &snapshot->version));
	if (result < 0) {
		Py_DECREF((PyObject *)snapshot);
		return shmdpy_raise(result, self);
	}
	snapshot->owner_died = result == SHMD_OWNER_DIED;
	return (PyObject *)snapshot;
}

/* Writes count items, without the GIL. */
static PyObject *write_items(struct shmdpy_handle *self, uint64_t start, uint64_t count, int64_t timeout_ns,
                             const void *items)
{
	int result = shmdpy_handle_ready(self);
	if (result < 0)
		return NULL;
	SHMDPY_UNLOCKED(self, result, shmd_array_write(self->handle, start, count, timeout_ns, items));
	return shmdpy_none_or_raise(result, self);
}

/* Whether a buffer has items of the array's type, in a row. */
static bool is_same(const struct shmdpy_handle *self, const Py_buffer *view)
{
	char name = shmd_array_code(self->handle);
	const char *format = view->format == NULL ? "B" : view->format;
	if (format[0] == '@' || format[0] == '<' || format[0] == '=')
		format++;
	if (format[0] == '\0' || format[1] != '\0')
		return false;
	if ((name == 'c' && format[0] == 'B') || format[0] == shmdpy_item_format(name)[0])
		return view->itemsize == (Py_ssize_t)shmdpy_item_size(name);
	/* l and q are one type here, as L and Q are. */
	return (strchr("lq", name) != NULL && strchr("lq", format[0]) != NULL) ||
	       (strchr("LQ", name) != NULL && strchr("LQ", format[0]) != NULL);
}

static PyObject *write_buffer(struct shmdpy_handle *self, PyObject *given, uint64_t start, int64_t timeout_ns)
{
	Py_buffer view;
	if (PyObject_GetBuffer(given, &view, PyBUF_FORMAT | PyBUF_C_CONTIGUOUS) < 0)
		return NULL;
	PyObject *result = NULL;
	if (is_same(self, &view))
		result = write_items(self, start, (uint64_t)(view.len / view.itemsize), timeout_ns, view.buf);
	else
		PyErr_Format(PyExc_TypeError, "items of format '%s' for an array of type code '%c'",
		             view.format == NULL ? "B" : view.format, shmd_array_code(self->handle));
	PyBuffer_Release(&view);
	return result;
}

static PyObject *write_sequence(struct shmdpy_handle *self, PyObject *given, uint64_t start, int64_t timeout_ns)
{
	PyObject *tuple = PySequence_Tuple(given);
	if (tuple == NULL)
		return NULL;
	char name = shmd_array_code(self->handle);
	size_t item_size = shmdpy_item_size(name);
	Py_ssize_t count = PyTuple_Size(tuple);
	char *items = PyMem_Calloc((size_t)count + 1, item_size);
	PyObject *result = items == NULL ? PyErr_NoMemory() : Py_None;
	for (Py_ssize_t i = 0; result != NULL && i < count; i++)
		if (shmdpy_item_pack(self, name, PyTuple_GetItem(tuple, i), items + (size_t)i * item_size) < 0)
			result = NULL;
	if (result != NULL)
		result = write_items(self, start, (uint64_t)count, timeout_ns, items);
	PyMem_Free(items);
	Py_DECREF(tuple);
	return result;
}

static PyObject *array_write(PyObject *object, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
	static const char *const names[] = {"items", "start", "timeout", NULL};
	PyObject *given[3];
	uint64_t start = 0;
	int64_t timeout_ns;
	struct shmdpy_handle *self = shmdpy_ready(object);
	if (self == NULL || shmdpy_arguments("write", args, count, keywords, names, 1, given) < 0 ||
	    shmdpy_timeout(given[2], &timeout_ns) < 0 ||
	    (given[1] != NULL && shmdpy_unsigned("start", given[1], UINT64_MAX, &start) < 0))
		return NULL;
	return PyObject_CheckBuffer(given[0]) ? write_buffer(self, given[0], start, timeout_ns)
	                                      : write_sequence(self, given[0], start, timeout_ns);
}

/* ---- brackets ---- */

static PyObject *array_begin_write(PyObject *object, PyObject *unused)
{
	(void)unused;
	struct shmdpy_handle *self = shmdpy_ready(object);
	return self == NULL ? NULL : shmdpy_none_or_raise(shmd_array_begin_write(self->handle), self);
}

static PyObject *array_end_write(PyObject *object, PyObject *unused)
{
	(void)unused;
	struct shmdpy_handle *self = shmdpy_ready(object);
	return self == NULL ? NULL : shmdpy_none_or_raise(shmd_array_end_write(self->handle), self);
}

/* ---- the buffer protocol ---- */

/* Shape and strides of an array, for all its views; view->internal. */
struct geometry {
	struct shmdpy_exported *exported;
	Py_ssize_t shape[8];
	Py_ssize_t strides[8];
};

static struct geometry *geometry_of(struct shmdpy_handle *self)
{
	struct geometry *geometry = PyMem_Calloc(1, sizeof *geometry);
	if (geometry == NULL) {
		PyErr_NoMemory();
		return NULL;
	}
	const uint64_t *shape = shmd_array_shape(self->handle);
	Py_ssize_t size_bytes = (Py_ssize_t)shmd_array_item_size_bytes(self->handle);
	for (int i = (int)shmd_array_rank(self->handle) - 1; i >= 0; i--) {
		geometry->shape[i] = (Py_ssize_t)shape[i];
		geometry->strides[i] = size_bytes;
		size_bytes *= (Py_ssize_t)shape[i];
	}
	geometry->exported = shmdpy_export(self);
	if (geometry->exported == NULL) {
		PyMem_Free(geometry);
		return NULL;
	}
	return geometry;
}

static int get_buffer(PyObject *object, Py_buffer *view, int flags)
{
	view->obj = NULL;
	struct shmdpy_handle *self = shmdpy_ready(object);
	if (self == NULL)
		return -1;
	struct shmd_array *array = self->handle;
	if ((flags & PyBUF_WRITABLE) != 0 && self->read_only) {
		PyErr_SetString(PyExc_BufferError, "the array was opened read-only");
		return -1;
	}
	if ((flags & PyBUF_F_CONTIGUOUS) == PyBUF_F_CONTIGUOUS && shmd_array_rank(array) > 1) {
		PyErr_SetString(PyExc_BufferError, "the elements are in row-major order");
		return -1;
	}
	struct geometry *geometry = geometry_of(self);
	if (geometry == NULL)
		return -1;
	bool nd = (flags & PyBUF_ND) == PyBUF_ND; /* else it is bytes in a row */
	const char *format = nd ? shmdpy_item_format(shmd_array_code(array)) : "B";
	Py_INCREF(object);
	view->obj = object;
	view->internal = geometry;
	view->buf = shmd_array_data(array);
	view->itemsize = nd ? (Py_ssize_t)shmd_array_item_size_bytes(array) : 1;
	view->len = (Py_ssize_t)(shmd_array_length(array) * shmd_array_item_size_bytes(array));
	view->readonly = self->read_only;
	view->ndim = nd ? (int)shmd_array_rank(array) : 1;
	view->format = (flags & PyBUF_FORMAT) != 0 ? SHMDPY_TEXT(format) : NULL;
	view->shape = nd ? geometry->shape : NULL;
	view->strides = (flags & PyBUF_STRIDES) == PyBUF_STRIDES ? geometry->strides : NULL;
	view->suboffsets = NULL;
	return 0;
}

static void release_buffer(PyObject *self, Py_buffer *view)
{
	struct geometry *geometry = view->internal;
	shmdpy_export_release((struct shmdpy_handle *)self, geometry->exported);
	PyMem_Free(geometry);
}

/* ---- the type ---- */

static Py_ssize_t length(PyObject *object)
{
	struct shmdpy_handle *self = shmdpy_ready(object);
	return self == NULL ? -1 : (Py_ssize_t)shmd_array_length(self->handle);
}

/* For iteration. */
static PyObject *item(PyObject *object, Py_ssize_t index)
{
	struct shmdpy_handle *self = shmdpy_ready(object);
	if (self == NULL)
		return NULL;
	if (index < 0 || (uint64_t)index >= shmd_array_length(self->handle)) {
		PyErr_SetString(PyExc_IndexError, "index out of range");
		return NULL;
	}
	return shmdpy_element_load(self, (uint64_t)index);
}

static PyObject *get_shape(PyObject *object, void *unused)
{
	(void)unused;
	struct shmdpy_handle *self = shmdpy_ready(object);
	if (self == NULL)
		return NULL;
	const uint64_t *lengths = shmd_array_shape(self->handle);
	Py_ssize_t rank = (Py_ssize_t)shmd_array_rank(self->handle);
	PyObject *shape = PyTuple_New(rank);
	for (Py_ssize_t i = 0; shape != NULL && i < rank; i++)
		PyTuple_SetItem(shape, i, PyLong_FromUnsignedLongLong(lengths[i]));
	return shape;
}

static PyGetSetDef properties[] = {
	{"code", shmdpy_element_get_code, NULL, "The type code.", NULL},
	{"itemsize", shmdpy_element_get_item_size, NULL, "The size of an element in bytes.", NULL},
	{"shape", get_shape, NULL, "The lengths of the 1 to 8 dimensions.", NULL},
	{NULL, NULL, NULL, NULL, NULL},
};

static PyMethodDef methods[] = {
	SHMDPY_MAKER("create", make_new,
	             "create(client, name, code, shape, *, init=None, lock=True, mode=0o600, seats_max=64,\n"
	             "lifetime='default')\n\n"
	             "Creates an array of a type code; shape is a length or a tuple of up to 8. init: the\n"
	             "first items, of 1 MiB at most; the rest is zero. lock: True for a lock of its own, False\n"
	             "for none, and then no consistent snapshots, or a Mutex. Raises Exists, BadName, Quota,\n"
	             "NoSpace."),
	SHMDPY_MAKER("open", make_open,
	             "open(client, name=None, code=None, shape=None, *, id=0, ticket=None, read_only=False)\n\n"
	             "Raises NotFound, TypeMismatch, ShapeMismatch, Permission."),
	SHMDPY_MAKER("open_or_create", make_either, "As create(), or as open() if the array exists."),
	{"load", array_load, METH_O,
	 "load($self, index, /)\n--\n\n"
	 "An element, loaded atomically. index is its number in row-major order, or a tuple of one\n"
	 "index for each dimension; negative ones count from the end. Raises IndexError."},
	{"store", SHMDPY_FAST(array_store),
	 "store($self, /, index, item)\n--\n\n"
	 "Stores an element atomically, which is a change. Raises OutOfRange if it does not\n"
	 "fit the type code, IndexError, Permission, Removed."},
	{"fetch_add", SHMDPY_FAST(array_fetch_add),
	 "fetch_add($self, /, index, delta)\n--\n\n"
	 "Adds to an element atomically, and returns what it was. Codes of 4 and 8 bytes\n"
	 "but u. A sum of integers that leaves the range raises OutOfRange and changes nothing."},
	{"exchange", SHMDPY_FAST(array_exchange),
	 "exchange($self, /, index, item)\n--\n\n"
	 "Stores an element atomically, and returns what it was. Codes of 4 and 8 bytes."},
	{"compare_exchange", SHMDPY_FAST(array_compare_exchange),
	 "compare_exchange($self, /, index, expected, desired)\n--\n\n"
	 "Stores desired if the element is expected, bit by bit; returns whether, and what it was.\n"
	 "Codes of 4 and 8 bytes."},
	{"read", SHMDPY_FAST(array_read),
	 "read($self, /, start=0, count=None, timeout=None)\n--\n\n"
	 "Copies count elements from start on, as they were between two bracketed writes: a\n"
	 "Snapshot. Waits up to timeout seconds for an open bracket. Raises BadIndex, WouldBlock,\n"
	 "TimedOut, Removed."},
	{"write", SHMDPY_FAST(array_write),
	 "write($self, /, items, start=0, timeout=None)\n--\n\n"
	 "Takes the lock unless this thread holds it, writes the items, a buffer of the same type\n"
	 "or a sequence, in a bracket, and releases. Raises BadIndex, WouldBlock, TimedOut,\n"
	 "Permission, Removed."},
	{"begin_write", array_begin_write, METH_NOARGS,
	 "begin_write($self, /)\n--\n\n"
	 "Begins a bracket around writes through a view: read() sees none of them or all. Needs the\n"
	 "lock. Brackets nest. See writing(). Raises NotOwner, Unsupported (no lock), Permission."},
	{"end_write", array_end_write, METH_NOARGS,
	 "end_write($self, /)\n--\n\nEnds a bracket; the outermost end is a change."},
	SHMDPY_CHANGE_METHODS,
	SHMDPY_LOCK_METHODS,
	{NULL, NULL, 0, NULL},
};

static PyType_Slot slots[] = {
	{Py_tp_methods, methods},
	{Py_tp_getset, properties},
	{Py_mp_length, length},
	{Py_mp_subscript, array_load},
	{Py_mp_ass_subscript, array_assign},
	{Py_sq_length, length},
	{Py_sq_item, item},
	{Py_bf_getbuffer, get_buffer},
	{Py_bf_releasebuffer, release_buffer},
	{Py_tp_doc,
	 SHMDPY_TEXT("Elements of one type that processes share. It has the buffer protocol: numpy.asarray(array)\n"
	             "copies nothing and has its shape, and is read-only if the array was opened so. Writes\n"
	             "through a view are seen whole by read() only in a bracket: `with array.writing():`.")},
	{0, NULL},
};

static PyType_Spec spec = {
	.name = "shmd.Array",
	.basicsize = sizeof(struct shmdpy_handle),
	.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
	.slots = slots,
};

int shmdpy_array_init(PyObject *module)
{
	return shmdpy_add_type(module, &spec, shmdpy_handle_type) == NULL ? -1 : 0;
}
