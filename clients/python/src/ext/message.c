/* SPDX-License-Identifier: Apache-2.0
 *
 * message.c - several messages for one call, and one that is received.
 */
#include "shmd_python.h"

int shmdpy_messages_get(PyObject *sequence, struct shmdpy_messages *ret_messages)
{
	PyObject *tuple = PySequence_Tuple(sequence);
	if (tuple == NULL)
		return -1;
	Py_ssize_t count = PyTuple_Size(tuple);
	struct shmdpy_messages messages = {
		.views = PyMem_Calloc((size_t)count + 1, sizeof(Py_buffer)),
		.vectors = PyMem_Calloc((size_t)count + 1, sizeof(struct iovec)),
	};
	bool failed = messages.views == NULL || messages.vectors == NULL;
	if (failed)
		PyErr_NoMemory();
	for (Py_ssize_t i = 0; !failed && i < count; i++) {
		Py_buffer *view = &messages.views[i];
		failed = PyObject_GetBuffer(PyTuple_GetItem(tuple, i), view, PyBUF_SIMPLE) < 0;
		if (failed)
			break;
		messages.vectors[i] = (struct iovec){view->buf, (size_t)view->len};
		messages.count++;
	}
	Py_DECREF(tuple);
	*ret_messages = messages;
	if (failed)
		shmdpy_messages_release(ret_messages);
	return failed ? -1 : 0;
}

void shmdpy_messages_release(struct shmdpy_messages *messages)
{
	for (uint32_t i = 0; messages->views != NULL && i < messages->count; i++)
		PyBuffer_Release(&messages->views[i]);
	PyMem_Free(messages->views);
	PyMem_Free(messages->vectors);
	*messages = (struct shmdpy_messages){0};
}

PyObject *shmdpy_messages_list(const struct iovec *messages, uint32_t count)
{
	PyObject *list = PyList_New((Py_ssize_t)count);
	for (uint32_t i = 0; list != NULL && i < count; i++) {
		PyObject *bytes = PyBytes_FromStringAndSize(messages[i].iov_base, (Py_ssize_t)messages[i].iov_len);
		if (bytes == NULL)
			Py_CLEAR(list);
		else
			PyList_SetItem(list, (Py_ssize_t)i, bytes);
	}
	return list;
}

PyObject *shmdpy_message(struct shmdpy_handle *self, int result, PyObject *bytes, const char *stack,
                         size_t size_bytes)
{
	if (PyErr_Occurred() != NULL || result < 0) {
		Py_XDECREF(bytes);
		return shmdpy_raise(result, self);
	}
	if (bytes == NULL)
		return PyBytes_FromStringAndSize(stack, (Py_ssize_t)size_bytes);
	if (PyBytes_Size(bytes) == (Py_ssize_t)size_bytes)
		return bytes;
	/* Another one than was announced. */
	PyObject *shorter = PyBytes_FromStringAndSize(PyBytes_AsString(bytes), (Py_ssize_t)size_bytes);
	Py_DECREF(bytes);
	return shorter;
}
