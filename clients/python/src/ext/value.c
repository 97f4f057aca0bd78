/* SPDX-License-Identifier: Apache-2.0
 *
 * value.c - the type Value: one element.
 */
#include "shmd_python.h"

static int attach(struct shmd_client *client, const struct shmdpy_wish *wish, void **ret_handle)
{
	struct shmd_value *value = NULL;
	int result;
	if (wish->method == SHMDPY_OPEN)
		result = shmd_value_open(client, wish->name, wish->code, &wish->open, &value);
	else if (wish->method == SHMDPY_CREATE)
		result = shmd_value_create(client, wish->name, wish->code, &wish->create, &value);
	else
		result = shmd_value_open_or_create(client, wish->name, wish->code, &wish->create, &value);
	*ret_handle = value;
	return result;
}

SHMDPY_KIND_FUNCTIONS(value)
SHMDPY_KIND_LOCK(value)

const struct shmdpy_kind shmdpy_value_kind = {
	.noun = "value",
	.takes = SHMDPY_OPTION_LOCK | SHMDPY_OPTION_INIT | SHMDPY_TAKES_CODE,
	.attach = attach,
	.detach = detach,
	.id = id_of,
	.created = created,
	.lock = &lock_functions,
};

SHMDPY_MAKERS(shmdpy_value_kind)

/* An item, aligned for all codes. */
union item {
	uint64_t align;
	char bytes[SHMDPY_ITEM_MAX];
};

static PyObject *unpack_or_raise(int result, struct shmdpy_handle *self, const union item *item)
{
	if (result < 0)
		return shmdpy_raise(result, self);
	return shmdpy_item_unpack(shmd_value_code(self->handle), item);
}

/* ---- the element ---- */

static PyObject *value_load(PyObject *object, PyObject *unused)
{
	(void)unused;
	struct shmdpy_handle *self = shmdpy_ready(object);
	union item item;
	return self == NULL ? NULL : unpack_or_raise(shmd_value_load(self->handle, &item), self, &item);
}

static int store(PyObject *object, PyObject *given)
{
	struct shmdpy_handle *self = shmdpy_ready(object);
	union item item;
	if (self == NULL || shmdpy_item_pack(shmd_value_code(self->handle), given, &item) < 0)
		return -1;
	if (shmdpy_handle_ready(self) < 0) /* what packing called may have closed it */
		return -1;
	int result = shmd_value_store(self->handle, &item);
	if (result < 0)
		shmdpy_raise(result, self);
	return result < 0 ? -1 : 0;
}

static PyObject *value_store(PyObject *self, PyObject *given)
{
	if (store(self, given) < 0)
		return NULL;
	Py_RETURN_NONE;
}

static PyObject *get_value(PyObject *self, void *unused)
{
	(void)unused;
	return value_load(self, NULL);
}

static int set_value(PyObject *self, PyObject *given, void *unused)
{
	(void)unused;
	if (given == NULL) {
		PyErr_SetString(PyExc_AttributeError, "the value of a Value cannot be deleted");
		return -1;
	}
	return store(self, given);
}

static PyObject *value_fetch_add(PyObject *object, PyObject *delta)
{
	struct shmdpy_handle *self = shmdpy_ready(object);
	union item item;
	union item before;
	if (self == NULL || shmdpy_item_pack(shmd_value_code(self->handle), delta, &item) < 0 || shmdpy_ready(object) == NULL)
		return NULL;
	return unpack_or_raise(shmd_value_fetch_add(self->handle, &item, &before), self, &before);
}

static PyObject *value_exchange(PyObject *object, PyObject *given)
{
	struct shmdpy_handle *self = shmdpy_ready(object);
	union item item;
	union item before;
	if (self == NULL || shmdpy_item_pack(shmd_value_code(self->handle), given, &item) < 0 || shmdpy_ready(object) == NULL)
		return NULL;
	return unpack_or_raise(shmd_value_exchange(self->handle, &item, &before), self, &before);
}

static PyObject *value_compare_exchange(PyObject *object, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
	static const char *const names[] = {"expected", "desired", NULL};
	PyObject *given[2];
	union item expected;
	union item desired;
	if (shmdpy_arguments("compare_exchange", args, count, keywords, names, 2, given) < 0)
		return NULL;
	struct shmdpy_handle *self = shmdpy_ready(object);
	if (self == NULL)
		return NULL;
	char code = shmd_value_code(self->handle);
	if (shmdpy_item_pack(code, given[0], &expected) < 0 || shmdpy_item_pack(code, given[1], &desired) < 0 ||
	    shmdpy_ready(object) == NULL)
		return NULL;
	bool swapped = false;
	union item before;
	int result = shmd_value_compare_exchange(self->handle, &expected, &desired, &swapped, &before);
	PyObject *item = unpack_or_raise(result, self, &before);
	return item == NULL ? NULL : Py_BuildValue("ON", swapped ? Py_True : Py_False, item);
}

/* ---- changes ---- */

static PyObject *value_version(PyObject *object, PyObject *unused)
{
	(void)unused;
	struct shmdpy_handle *self = shmdpy_ready(object);
	uint64_t version;
	if (self == NULL)
		return NULL;
	int result = shmd_value_version(self->handle, &version);
	return result < 0 ? shmdpy_raise(result, self) : PyLong_FromUnsignedLongLong(version);
}

static PyObject *value_wait_change(PyObject *object, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
	static const char *const names[] = {"version", "timeout", NULL};
	PyObject *given[2];
	uint64_t version;
	uint64_t now;
	int64_t timeout_ns;
	if (shmdpy_arguments("wait_change", args, count, keywords, names, 1, given) < 0 ||
	    shmdpy_unsigned("version", given[0], UINT64_MAX, &version) < 0 ||
	    shmdpy_timeout(given[1], &timeout_ns) < 0)
		return NULL;
	struct shmdpy_handle *self = shmdpy_ready(object);
	if (self == NULL)
		return NULL;
	int result;
	if (self->read_only) /* the daemon waits for us: even to try is a control call */
		SHMDPY_UNLOCKED(self, result, shmd_value_wait_change(self->handle, version, timeout_ns, &now));
	else
		SHMDPY_WAIT(self, result, timeout_ns, shmd_value_wait_change(self->handle, version, timeout_ns, &now));
	return result < 0 ? shmdpy_raise(result, self) : PyLong_FromUnsignedLongLong(now);
}

/* ---- the buffer protocol ---- */

static int get_buffer(PyObject *object, Py_buffer *view, int flags)
{
	struct shmdpy_handle *self = shmdpy_ready(object);
	view->obj = NULL;
	if (self == NULL)
		return -1;
	if ((flags & PyBUF_WRITABLE) != 0 && self->read_only) {
		PyErr_SetString(PyExc_BufferError, "the value was opened read-only");
		return -1;
	}
	if (shmdpy_export(self, view) < 0)
		return -1;
	view->buf = shmd_value_data(self->handle);
	view->itemsize = (Py_ssize_t)shmd_value_item_size_bytes(self->handle);
	view->len = view->itemsize;
	view->readonly = self->read_only;
	view->ndim = 0;
	view->format = (flags & PyBUF_FORMAT) != 0 ? (char *)(uintptr_t)shmdpy_item_format(shmd_value_code(self->handle))
	                                           : NULL;
	view->shape = NULL;
	view->strides = NULL;
	view->suboffsets = NULL;
	return 0;
}

static void release_buffer(PyObject *self, Py_buffer *view)
{
	(void)self;
	shmdpy_export_release(view);
}

/* ---- the type ---- */

static PyObject *get_code(PyObject *object, void *unused)
{
	(void)unused;
	struct shmdpy_handle *self = shmdpy_ready(object);
	if (self == NULL)
		return NULL;
	char code = shmd_value_code(self->handle);
	return PyUnicode_FromStringAndSize(&code, 1);
}

static PyObject *get_item_size(PyObject *object, void *unused)
{
	(void)unused;
	struct shmdpy_handle *self = shmdpy_ready(object);
	return self == NULL ? NULL : PyLong_FromSize_t(shmd_value_item_size_bytes(self->handle));
}

static PyGetSetDef properties[] = {
	{"value", get_value, set_value, "The element: load() and store().", NULL},
	{"code", get_code, NULL, "The type code.", NULL},
	{"itemsize", get_item_size, NULL, "The size of the element in bytes.", NULL},
	{NULL, NULL, NULL, NULL, NULL},
};

static PyMethodDef methods[] = {
	SHMDPY_MAKER("create", make_new,
	             "create(client, name, code, *, init=None, lock=True, mode=0o600, seats_max=64,\n"
	             "lifetime='default')\n\n"
	             "Creates a value of a type code. lock: True for a lock of its own, False for none, or a\n"
	             "Mutex. Raises Exists, BadName, Quota, NoSpace."),
	SHMDPY_MAKER("open", make_open,
	             "open(client, name=None, code=None, *, id=0, read_only=False)\n\n"
	             "Raises NotFound, TypeMismatch, Permission."),
	SHMDPY_MAKER("open_or_create", make_either, "As create(), or as open() if the value exists."),
	{"load", value_load, METH_NOARGS, "load()\n--\n\nThe element, loaded atomically."},
	{"store", value_store, METH_O,
	 "store(item)\n--\n\nStores atomically, which is a change. Raises OverflowError if it does not fit the type\n"
	 "code, Permission, Removed."},
	{"fetch_add", value_fetch_add, METH_O,
	 "fetch_add(delta)\n--\n\nAdds atomically, and returns the element before. Codes of 4 and 8 bytes but u. A sum\n"
	 "of integers that leaves the range raises OutOfRange and changes nothing."},
	{"exchange", value_exchange, METH_O,
	 "exchange(item)\n--\n\nStores atomically, and returns the element before. Codes of 4 and 8 bytes."},
	{"compare_exchange", SHMDPY_FAST(value_compare_exchange),
	 "compare_exchange(expected, desired)\n--\n\n"
	 "Stores desired if the element is expected, bit by bit; returns whether, and the element\n"
	 "before. Codes of 4 and 8 bytes."},
	{"version", value_version, METH_NOARGS,
	 "version()\n--\n\nThe number of the last change. Read it before what it shall stand for."},
	{"wait_change", SHMDPY_FAST(value_wait_change),
	 "wait_change(version, timeout=None)\n--\n\n"
	 "Waits up to timeout seconds until the version is another, and returns it. Raises\n"
	 "WouldBlock, TimedOut, Removed."},
	SHMDPY_LOCK_METHODS,
	{NULL, NULL, 0, NULL},
};

static PyType_Slot slots[] = {
	{Py_tp_methods, methods},
	{Py_tp_getset, properties},
	{Py_bf_getbuffer, get_buffer},
	{Py_bf_releasebuffer, release_buffer},
	{Py_tp_doc, SHMDPY_TEXT("One element that processes share. Loads, stores and the atomic operations need no lock;\n"
	            "`with value:` is for what takes several of them.")},
	{0, NULL},
};

static PyType_Spec spec = {
	.name = "shmd.Value",
	.basicsize = sizeof(struct shmdpy_handle),
	.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
	.slots = slots,
};

int shmdpy_value_init(PyObject *module)
{
	return shmdpy_add_type(module, &spec, shmdpy_handle_type) == NULL ? -1 : 0;
}
