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

/* ---- the element ---- */

static int load(const void *handle, uint64_t index, void *ret_item)
{
	(void)index;
	return shmd_value_load(handle, ret_item);
}

static int store(void *handle, uint64_t index, const void *item)
{
	(void)index;
	return shmd_value_store(handle, item);
}

static int fetch_add(void *handle, uint64_t index, const void *delta, void *ret_before)
{
	(void)index;
	return shmd_value_fetch_add(handle, delta, ret_before);
}

static int exchange(void *handle, uint64_t index, const void *item, void *ret_before)
{
	(void)index;
	return shmd_value_exchange(handle, item, ret_before);
}

static int compare_exchange(void *handle, uint64_t index, const void *expected, const void *desired,
                            bool *ret_swapped, void *ret_before)
{
	(void)index;
	return shmd_value_compare_exchange(handle, expected, desired, ret_swapped, ret_before);
}

static int version(const void *handle, uint64_t *ret_version)
{
	return shmd_value_version(handle, ret_version);
}

static int wait_change(void *handle, uint64_t seen, int64_t timeout_ns, uint64_t *ret_version)
{
	return shmd_value_wait_change(handle, seen, timeout_ns, ret_version);
}

static char code(const void *handle)
{
	return shmd_value_code(handle);
}

static const struct shmdpy_element_functions element_functions = {
	load, store, fetch_add, exchange, compare_exchange, version, wait_change, code,
};

const struct shmdpy_kind shmdpy_value_kind = {
	.noun = "value",
	.takes = SHMDPY_OPTION_LOCK | SHMDPY_OPTION_INIT | SHMDPY_TAKES_CODE,
	.attach = attach,
	.detach = detach,
	.id = id_of,
	.created = created,
	.lock = &lock_functions,
	.element = &element_functions,
};

SHMDPY_MAKERS(shmdpy_value_kind)

static PyObject *value_load(PyObject *object, PyObject *unused)
{
	(void)unused;
	struct shmdpy_handle *self = shmdpy_ready(object);
	return self == NULL ? NULL : shmdpy_element_load(self, 0);
}

static PyObject *value_store(PyObject *object, PyObject *given)
{
	struct shmdpy_handle *self = shmdpy_ready(object);
	if (self == NULL || shmdpy_element_store(self, 0, given) < 0)
		return NULL;
	Py_RETURN_NONE;
}

static PyObject *get_value(PyObject *self, void *unused)
{
	(void)unused;
	return value_load(self, NULL);
}

static int set_value(PyObject *object, PyObject *given, void *unused)
{
	(void)unused;
	struct shmdpy_handle *self = shmdpy_ready(object);
	if (given == NULL)
		PyErr_SetString(PyExc_AttributeError, "the value of a Value cannot be deleted");
	return self == NULL || given == NULL ? -1 : shmdpy_element_store(self, 0, given);
}

static PyObject *value_fetch_add(PyObject *object, PyObject *delta)
{
	struct shmdpy_handle *self = shmdpy_ready(object);
	return self == NULL ? NULL : shmdpy_element_fetch_add(self, 0, delta);
}

static PyObject *value_exchange(PyObject *object, PyObject *given)
{
	struct shmdpy_handle *self = shmdpy_ready(object);
	return self == NULL ? NULL : shmdpy_element_exchange(self, 0, given);
}

static PyObject *value_compare_exchange(PyObject *object, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
	static const char *const names[] = {"expected", "desired", NULL};
	PyObject *given[2];
	struct shmdpy_handle *self = shmdpy_ready(object);
	if (self == NULL || shmdpy_arguments("compare_exchange", args, count, keywords, names, 2, given) < 0)
		return NULL;
	return shmdpy_element_compare_exchange(self, 0, given[0], given[1]);
}

/* ---- the buffer protocol ---- */

static int get_buffer(PyObject *object, Py_buffer *view, int flags)
{
	view->obj = NULL;
	struct shmdpy_handle *self = shmdpy_ready(object);
	if (self == NULL)
		return -1;
	if ((flags & PyBUF_WRITABLE) != 0 && self->read_only) {
		PyErr_SetString(PyExc_BufferError, "the value was opened read-only");
		return -1;
	}
	view->internal = shmdpy_export(self);
	if (view->internal == NULL)
		return -1;
	const char *format = shmdpy_item_format(shmd_value_code(self->handle));
	Py_INCREF(object);
	view->obj = object;
	view->buf = shmd_value_data(self->handle);
	view->itemsize = (Py_ssize_t)shmd_value_item_size_bytes(self->handle);
	view->len = view->itemsize;
	view->readonly = self->read_only;
	view->ndim = 0;
	view->format = (flags & PyBUF_FORMAT) != 0 ? SHMDPY_TEXT(format) : NULL;
	view->shape = NULL;
	view->strides = NULL;
	view->suboffsets = NULL;
	return 0;
}

static void release_buffer(PyObject *self, Py_buffer *view)
{
	shmdpy_export_release((struct shmdpy_handle *)self, view->internal);
}

/* ---- the type ---- */

static PyGetSetDef properties[] = {
	{"value", get_value, set_value, "The element: load() and store().", NULL},
	{"code", shmdpy_element_get_code, NULL, "The type code.", NULL},
	{"itemsize", shmdpy_element_get_item_size, NULL, "The size of the element in bytes.", NULL},
	{NULL, NULL, NULL, NULL, NULL},
};

static PyMethodDef methods[] = {
	SHMDPY_MAKER("create", make_new,
	             "create(client, name, code, *, init=None, lock=True, mode=0o600, seats_max=64,\n"
	             "lifetime='default')\n\n"
	             "Creates a value of a type code. lock: True for a lock of its own, False for none, or a\n"
	             "Mutex. Raises Exists, BadName, Quota, NoSpace."),
	SHMDPY_MAKER("open", make_open,
	             "open(client, name=None, code=None, *, id=0, ticket=None, read_only=False)\n\n"
	             "Raises NotFound, TypeMismatch, Permission."),
	SHMDPY_MAKER("open_or_create", make_either, "As create(), or as open() if the value exists."),
	{"load", value_load, METH_NOARGS, "load($self, /)\n--\n\nThe element, loaded atomically."},
	{"store", value_store, METH_O,
	 "store($self, item, /)\n--\n\n"
	 "Stores atomically, which is a change. Raises OutOfRange if it does not fit the type\n"
	 "code, Permission, Removed."},
	{"fetch_add", value_fetch_add, METH_O,
	 "fetch_add($self, delta, /)\n--\n\n"
	 "Adds atomically, and returns the element before. Codes of 4 and 8 bytes but u. A sum\n"
	 "of integers that leaves the range raises OutOfRange and changes nothing."},
	{"exchange", value_exchange, METH_O,
	 "exchange($self, item, /)\n--\n\nStores atomically, and returns the element before. Codes of 4 and 8 bytes."},
	{"compare_exchange", SHMDPY_FAST(value_compare_exchange),
	 "compare_exchange($self, /, expected, desired)\n--\n\n"
	 "Stores desired if the element is expected, bit by bit; returns whether, and the element\n"
	 "before. Codes of 4 and 8 bytes."},
	SHMDPY_CHANGE_METHODS,
	SHMDPY_LOCK_METHODS,
	{NULL, NULL, 0, NULL},
};

static PyType_Slot slots[] = {
	{Py_tp_methods, methods},
	{Py_tp_getset, properties},
	{Py_bf_getbuffer, get_buffer},
	{Py_bf_releasebuffer, release_buffer},
	{Py_tp_doc,
	 SHMDPY_TEXT("One element that processes share. Loads, stores and the atomic operations need no lock;\n"
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
