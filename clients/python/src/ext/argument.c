/* SPDX-License-Identifier: Apache-2.0
 *
 * argument.c - what methods are called with: timeouts, numbers, keywords.
 */
#include "shmd_python.h"

#include <math.h>

#define NS_PER_S 1e9
#define TIMEOUT_MAX_NS ((double)INT64_MAX / 2) /* 146 years */

int shmdpy_timeout(PyObject *seconds, int64_t *ret_timeout_ns)
{
	if (seconds == NULL || seconds == Py_None) {
		*ret_timeout_ns = SHMD_FOREVER;
		return 0;
	}
	double value = PyFloat_AsDouble(seconds);
	if (value == -1.0 && PyErr_Occurred() != NULL)
		return -1;
	if (isnan(value)) {
		PyErr_SetString(PyExc_ValueError, "timeout is not a number");
		return -1;
	}
	if (value <= 0)
		*ret_timeout_ns = 0;
	else if (value * NS_PER_S >= TIMEOUT_MAX_NS)
		*ret_timeout_ns = SHMD_FOREVER;
	else
		*ret_timeout_ns = value * NS_PER_S < 1 ? 1 : (int64_t)(value * NS_PER_S);
	return 0;
}

static int place_of(PyObject *keyword, const char *const *names)
{
	for (int i = 0; names[i] != NULL; i++)
		if (PyUnicode_CompareWithASCIIString(keyword, names[i]) == 0)
			return i;
	return -1;
}

int shmdpy_arguments(const char *function, PyObject *const *args, Py_ssize_t count, PyObject *keywords,
                     const char *const *names, int required, PyObject **ret)
{
	Py_ssize_t most = 0;
	for (; names[most] != NULL; most++)
		ret[most] = most < count ? args[most] : NULL;
	if (count > most) {
		PyErr_Format(PyExc_TypeError, "%s() takes at most %zd arguments (%zd given)", function, most, count);
		return -1;
	}
	Py_ssize_t named = keywords == NULL ? 0 : PyTuple_Size(keywords);
	for (Py_ssize_t i = 0; i < named; i++) {
		PyObject *keyword = PyTuple_GetItem(keywords, i);
		int place = place_of(keyword, names);
		if (place < 0) {
			PyErr_Format(PyExc_TypeError, "%s() got an unexpected keyword argument '%U'", function, keyword);
			return -1;
		}
		if (ret[place] != NULL) {
			PyErr_Format(PyExc_TypeError, "%s() got multiple values for argument '%s'", function, names[place]);
			return -1;
		}
		ret[place] = args[count + i];
	}
	for (int i = 0; i < required; i++) {
		if (ret[i] == NULL) {
			PyErr_Format(PyExc_TypeError, "%s() misses the argument '%s'", function, names[i]);
			return -1;
		}
	}
	return 0;
}

int shmdpy_timeout_only(const char *function, PyObject *const *args, Py_ssize_t count, PyObject *keywords,
                        int64_t *ret_timeout_ns)
{
	static const char *const names[] = {"timeout", NULL};
	PyObject *timeout = NULL;
	if (count == 0 && keywords == NULL) {
		*ret_timeout_ns = SHMD_FOREVER;
		return 0;
	}
	if (shmdpy_arguments(function, args, count, keywords, names, 0, &timeout) < 0)
		return -1;
	return shmdpy_timeout(timeout, ret_timeout_ns);
}

int shmdpy_unsigned(const char *what, PyObject *object, uint64_t max, uint64_t *ret)
{
	PyObject *number = PyNumber_Index(object);
	if (number == NULL)
		return -1;
	unsigned long long value = PyLong_AsUnsignedLongLong(number);
	Py_DECREF(number);
	bool failed = value == (unsigned long long)-1 && PyErr_Occurred() != NULL;
	if (failed && !PyErr_ExceptionMatches(PyExc_OverflowError))
		return -1;
	if (failed || value > max) {
		PyErr_Clear();
		PyErr_Format(PyExc_OverflowError, "%s is %S, not 0 to %llu", what, object, (unsigned long long)max);
		return -1;
	}
	*ret = value;
	return 0;
}
