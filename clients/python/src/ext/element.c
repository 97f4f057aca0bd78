/* SPDX-License-Identifier: Apache-2.0
 *
 * element.c - elements of values and arrays, one by one, and waiting for their change.
 */
#include "shmd_python.h"

/* An item, aligned for all codes. */
union item {
	uint64_t align;
	char bytes[SHMDPY_ITEM_MAX];
};

static char code_of(const struct shmdpy_handle *self)
{
	return self->kind->element->code(self->handle);
}

static PyObject *unpack_or_raise(int result, struct shmdpy_handle *self, const union item *item)
{
	return result < 0 ? shmdpy_raise(result, self) : shmdpy_item_unpack(code_of(self), item);
}

/* What packing called may have closed the handle. */
static int pack(struct shmdpy_handle *self, PyObject *given, union item *ret_item)
{
	return shmdpy_item_pack(self, code_of(self), given, ret_item) < 0 ? -1 : shmdpy_handle_ready(self);
}

PyObject *shmdpy_element_load(struct shmdpy_handle *self, uint64_t index)
{
	union item item;
	return unpack_or_raise(self->kind->element->load(self->handle, index, &item), self, &item);
}

int shmdpy_element_store(struct shmdpy_handle *self, uint64_t index, PyObject *given)
{
	union item item;
	if (pack(self, given, &item) < 0)
		return -1;
	int result = self->kind->element->store(self->handle, index, &item);
	if (result < 0)
		shmdpy_raise(result, self);
	return result < 0 ? -1 : 0;
}

PyObject *shmdpy_element_fetch_add(struct shmdpy_handle *self, uint64_t index, PyObject *delta)
{
	union item item;
	union item before;
	if (pack(self, delta, &item) < 0)
		return NULL;
	return unpack_or_raise(self->kind->element->fetch_add(self->handle, index, &item, &before), self, &before);
}

PyObject *shmdpy_element_exchange(struct shmdpy_handle *self, uint64_t index, PyObject *given)
{
	union item item;
	union item before;
	if (pack(self, given, &item) < 0)
		return NULL;
	return unpack_or_raise(self->kind->element->exchange(self->handle, index, &item, &before), self, &before);
}

PyObject *shmdpy_element_compare_exchange(struct shmdpy_handle *self, uint64_t index, PyObject *expected,
                                          PyObject *desired)
{
	union item old;
	union item new;
	union item before;
	bool swapped = false;
	if (pack(self, expected, &old) < 0 || pack(self, desired, &new) < 0)
		return NULL;
	int result = self->kind->element->compare_exchange(self->handle, index, &old, &new, &swapped, &before);
	PyObject *item = unpack_or_raise(result, self, &before);
	return item == NULL ? NULL : Py_BuildValue("ON", swapped ? Py_True : Py_False, item);
}

PyObject *shmdpy_element_get_code(PyObject *object, void *unused)
{
	(void)unused;
	struct shmdpy_handle *self = shmdpy_ready(object);
	if (self == NULL)
		return NULL;
	char name = code_of(self);
	return PyUnicode_FromStringAndSize(&name, 1);
}

PyObject *shmdpy_element_get_item_size(PyObject *object, void *unused)
{
	(void)unused;
	struct shmdpy_handle *self = shmdpy_ready(object);
	return self == NULL ? NULL : PyLong_FromSize_t(shmdpy_item_size(code_of(self)));
}

PyObject *shmdpy_element_version(PyObject *object, PyObject *unused)
{
	(void)unused;
	uint64_t version;
	struct shmdpy_handle *self = shmdpy_ready(object);
	if (self == NULL)
		return NULL;
	int result = self->kind->element->version(self->handle, &version);
	return result < 0 ? shmdpy_raise(result, self) : PyLong_FromUnsignedLongLong(version);
}

PyObject *shmdpy_element_wait_change(PyObject *object, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
	static const char *const names[] = {"version", "timeout", NULL};
	PyObject *given[2];
	uint64_t version;
	uint64_t now;
	int64_t timeout_ns;
	struct shmdpy_handle *self = shmdpy_ready(object);
	if (self == NULL || shmdpy_arguments("wait_change", args, count, keywords, names, 1, given) < 0 ||
	    shmdpy_unsigned("version", given[0], UINT64_MAX, &version) < 0 || shmdpy_timeout(given[1], &timeout_ns) < 0)
		return NULL;
	const struct shmdpy_element_functions *element = self->kind->element;
	int result;
	SHMDPY_WAIT(self, result, timeout_ns, element->wait_change(self->handle, version, timeout_ns, &now));
	return result < 0 ? shmdpy_raise(result, self) : PyLong_FromUnsignedLongLong(now);
}
