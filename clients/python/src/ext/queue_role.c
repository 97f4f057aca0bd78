/* SPDX-License-Identifier: Apache-2.0
 *
 * queue_role.c - the names of roles, and those of a queue's handle, which a forked child has too.
 */
#include "shmd_python.h"

int shmdpy_role(PyObject *given, enum shmd_role *ret_role)
{
	if (PyUnicode_Check(given) && PyUnicode_CompareWithASCIIString(given, "producer") == 0) {
		*ret_role = SHMD_PRODUCER;
		return 0;
	}
	if (PyUnicode_Check(given) && PyUnicode_CompareWithASCIIString(given, "consumer") == 0) {
		*ret_role = SHMD_CONSUMER;
		return 0;
	}
	PyErr_Format(PyExc_ValueError, "role is 'producer' or 'consumer', not %R", given);
	return -1;
}

PyObject *shmdpy_queue_claim(PyObject *object, PyObject *given)
{
	enum shmd_role role;
	struct shmdpy_handle *self = shmdpy_ready(object);
	if (self == NULL || shmdpy_role(given, &role) < 0)
		return NULL;
	int result;
	SHMDPY_UNLOCKED(self, result, shmd_queue_claim(self->handle, role));
	if (result < 0)
		return shmdpy_raise(result, self);
	self->roles |= (int)role;
	Py_RETURN_NONE;
}

PyObject *shmdpy_queue_retire(PyObject *object, PyObject *given)
{
	enum shmd_role role;
	struct shmdpy_handle *self = shmdpy_ready(object);
	if (self == NULL || shmdpy_role(given, &role) < 0)
		return NULL;
	int result;
	SHMDPY_UNLOCKED(self, result, shmd_queue_retire(self->handle, role));
	if (result < 0)
		return shmdpy_raise(result, self);
	self->roles &= ~(int)role;
	Py_RETURN_NONE;
}
