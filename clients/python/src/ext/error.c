/* SPDX-License-Identifier: Apache-2.0
 *
 * error.c - exceptions. The classes are those of shmd/errors.py; which one a status has
 * is said there too.
 */
#include "shmd_python.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define TEXT_MAX 768

static PyObject *by_status; /* dict: status -> class */
static PyObject *error_class;

/* The words for the object: "mutex jobs/lock", "mutex 17". */
static void describe(const struct shmdpy_handle *about, char *text, size_t size_bytes)
{
	const char *name = NULL;
	if (about->name != NULL && about->name != Py_None)
		name = PyUnicode_AsUTF8AndSize(about->name, NULL);
	if (name != NULL)
		snprintf(text, size_bytes, "%s %s", about->kind->noun, name);
	else
		snprintf(text, size_bytes, "%s %llu", about->kind->noun, (unsigned long long)about->id);
	PyErr_Clear(); /* of a name that is no UTF-8 */
}

/* What .object of the exception shall be: the name, else the id, else None. */
static PyObject *object_of(const struct shmdpy_handle *about)
{
	if (about == NULL || (about->name == NULL && about->id == 0))
		Py_RETURN_NONE;
	if (about->name != NULL && about->name != Py_None) {
		Py_INCREF(about->name);
		return about->name;
	}
	return PyLong_FromUnsignedLongLong(about->id);
}

static PyObject *raise_exactly(int status, const struct shmdpy_handle *about, const char *text)
{
	PyObject *number = PyLong_FromLong(-(long)status);
	if (number == NULL)
		return NULL;
	PyObject *class = PyDict_GetItemWithError(by_status, number);
	if (class == NULL)
		class = error_class; /* of a newer daemon */
	PyObject *message = PyUnicode_DecodeUTF8(text, (Py_ssize_t)strlen(text), "replace");
	PyObject *exception = message == NULL ? NULL : PyObject_CallFunctionObjArgs(class, message, NULL);
	PyObject *object = object_of(about);
	if (exception != NULL && object != NULL && PyObject_SetAttrString(exception, "code", number) == 0 &&
	    PyObject_SetAttrString(exception, "object", object) == 0)
		PyErr_SetObject((PyObject *)Py_TYPE(exception), exception);
	Py_XDECREF(object);
	Py_XDECREF(exception);
	Py_XDECREF(message);
	Py_DECREF(number);
	return NULL;
}

PyObject *shmdpy_raise_text(int status, const struct shmdpy_handle *about, const char *format, ...)
{
	char said[TEXT_MAX];
	va_list arguments;
	va_start(arguments, format);
	(void)vsnprintf(said, sizeof said, format, arguments);
	va_end(arguments);
	if (about == NULL || about->kind == NULL)
		return raise_exactly(status, about, said);
	char object[TEXT_MAX];
	char text[2 * TEXT_MAX + 2];
	describe(about, object, sizeof object);
	snprintf(text, sizeof text, "%s: %s", object, said);
	return raise_exactly(status, about, text);
}

PyObject *shmdpy_raise(int status, const struct shmdpy_handle *about)
{
	if (PyErr_Occurred() != NULL)
		return NULL;
	/* Those that have more to say than what they mean. */
	bool said = status == SHMD_E_SYSTEM || status == SHMD_E_PEER_DIED || status == SHMD_E_BROKEN ||
	            status == SHMD_E_LOST;
	const char *text = said ? shmd_last_error() : "";
	return shmdpy_raise_text(status, about, "%s", text[0] != '\0' ? text : shmd_strerror(status));
}

PyObject *shmdpy_raise_said(int status, const struct shmdpy_handle *about)
{
	if (PyErr_Occurred() != NULL)
		return NULL;
	const char *text = shmd_last_error();
	return raise_exactly(status, about, text[0] != '\0' ? text : shmd_strerror(status));
}

PyObject *shmdpy_none_or_raise(int status, const struct shmdpy_handle *about)
{
	if (status < 0)
		return shmdpy_raise(status, about);
	Py_RETURN_NONE;
}

int shmdpy_error_init(PyObject *module)
{
	PyObject *errors = PyImport_ImportModule("shmd.errors");
	if (errors == NULL)
		return -1;
	by_status = PyObject_GetAttrString(errors, "BY_CODE");
	error_class = PyObject_GetAttrString(errors, "Error");
	Py_DECREF(errors);
	(void)module;
	return by_status == NULL || error_class == NULL ? -1 : 0;
}
