/* SPDX-License-Identifier: Apache-2.0
 *
 * lock.c - the lock that a mutex is, and that values, arrays and conditions have.
 */
#include "shmd_python.h"

static PyTypeObject *notice_type;

static PyStructSequence_Field notice_fields[] = {
	{"deaths", "owners that died holding the lock, so far"},
	{"seat", "of the last one: its seat in the object"},
	{"pid", "its process, as the daemon sees it"},
	{"uid", "its user"},
	{"died_realtime_ns", "when it was recovered, in nanoseconds of CLOCK_REALTIME"},
	{NULL, NULL},
};

static PyStructSequence_Desc notice_description = {
	"shmd.Notice", "The death of an owner; all of it is 0 if none has died yet.", notice_fields, 5};

PyObject *shmdpy_notice(const struct shmd_notice *notice)
{
	PyObject *tuple = PyStructSequence_New(notice_type);
	if (tuple == NULL)
		return NULL;
	PyStructSequence_SetItem(tuple, 0, PyLong_FromUnsignedLong(notice->deaths));
	PyStructSequence_SetItem(tuple, 1, PyLong_FromUnsignedLong(notice->seat));
	PyStructSequence_SetItem(tuple, 2, PyLong_FromUnsignedLong(notice->pid));
	PyStructSequence_SetItem(tuple, 3, PyLong_FromUnsignedLong(notice->uid));
	PyStructSequence_SetItem(tuple, 4, PyLong_FromUnsignedLongLong(notice->died_realtime_ns));
	if (PyErr_Occurred() != NULL)
		Py_CLEAR(tuple);
	return tuple;
}

static PyObject *notice_of(struct shmdpy_handle *self)
{
	struct shmd_notice notice;
	int result = self->kind->lock->notice(self->handle, &notice);
	return result < 0 ? shmdpy_raise(result, self) : shmdpy_notice(&notice);
}

int shmdpy_lock_acquire(struct shmdpy_handle *self, int64_t timeout_ns)
{
	if (shmdpy_handle_ready(self) < 0)
		return -1;
	const struct shmdpy_lock_functions *functions = self->kind->lock;
	int result;
	SHMDPY_WAIT(self, result, timeout_ns, functions->lock(self->handle, timeout_ns));
	if (result < 0) {
		shmdpy_raise(result, self);
		return -1;
	}
	return result;
}

static PyObject *acquire(PyObject *self, int64_t timeout_ns)
{
	int result = shmdpy_lock_acquire((struct shmdpy_handle *)self, timeout_ns);
	if (result < 0)
		return NULL;
	if (result == 0)
		Py_RETURN_NONE;
	PyObject *notice = notice_of((struct shmdpy_handle *)self);
	if (notice == NULL) /* an exception must not leave it held */
		((struct shmdpy_handle *)self)->kind->lock->unlock(((struct shmdpy_handle *)self)->handle);
	return notice;
}

PyObject *shmdpy_lock_lock(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
	int64_t timeout_ns;
	if (shmdpy_timeout_only("lock", args, count, keywords, &timeout_ns) < 0)
		return NULL;
	return acquire(self, timeout_ns);
}

PyObject *shmdpy_lock_unlock(PyObject *object, PyObject *unused)
{
	(void)unused;
	struct shmdpy_handle *self = (struct shmdpy_handle *)object;
	if (shmdpy_handle_ready(self) < 0)
		return NULL;
	return shmdpy_none_or_raise(self->kind->lock->unlock(self->handle), self);
}

PyObject *shmdpy_lock_mark_consistent(PyObject *object, PyObject *unused)
{
	(void)unused;
	struct shmdpy_handle *self = (struct shmdpy_handle *)object;
	if (shmdpy_handle_ready(self) < 0)
		return NULL;
	return shmdpy_none_or_raise(self->kind->lock->mark_consistent(self->handle), self);
}

PyObject *shmdpy_lock_notice(PyObject *object, PyObject *unused)
{
	(void)unused;
	struct shmdpy_handle *self = (struct shmdpy_handle *)object;
	return shmdpy_handle_ready(self) < 0 ? NULL : notice_of(self);
}

PyObject *shmdpy_lock_enter(PyObject *self, PyObject *unused)
{
	(void)unused;
	return acquire(self, SHMD_FOREVER);
}

PyObject *shmdpy_lock_exit(PyObject *self, PyObject *args)
{
	(void)args;
	return shmdpy_lock_unlock(self, NULL);
}

int shmdpy_lock_init(PyObject *module)
{
	notice_type = PyStructSequence_NewType(&notice_description);
	if (notice_type == NULL)
		return -1;
	Py_INCREF((PyObject *)notice_type);
	return PyModule_AddObject(module, "Notice", (PyObject *)notice_type);
}
