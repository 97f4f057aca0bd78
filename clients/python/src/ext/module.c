/* SPDX-License-Identifier: Apache-2.0
 *
 * module.c - the module shmd._shmd. It has one state for the process, as libshmd has, and
 * is of the main interpreter only.
 */
#include "mp.h"
#include "mp_connection.h"
#include "mp_queue.h"
#include "shmd_python.h"

#include <string.h>

PyTypeObject *shmdpy_add_type(PyObject *module, PyType_Spec *spec, PyTypeObject *base)
{
	PyObject *bases = base == NULL ? NULL : PyTuple_Pack(1, base);
	if (base != NULL && bases == NULL)
		return NULL;
	PyObject *type = PyType_FromSpecWithBases(spec, bases);
	Py_XDECREF(bases);
	if (type == NULL)
		return NULL;
	/* As from a class statement in shmd: what pickle and repr say. */
	const char *dot = strrchr(spec->name, '.');
	Py_INCREF(type);
	if (PyModule_AddObject(module, dot + 1, type) < 0) {
		Py_DECREF(type);
		Py_DECREF(type);
		return NULL;
	}
	return (PyTypeObject *)type;
}

/* name of a status: for shmd.errors and its test. */
static PyObject *status_name(PyObject *module, PyObject *status)
{
	(void)module;
	long number = PyLong_AsLong(status);
	if (number == -1 && PyErr_Occurred() != NULL)
		return NULL;
	return PyUnicode_FromString(shmd_error_name((int)-number));
}

static PyMethodDef methods[] = {
	{"status_name", status_name, METH_O, "status_name($module, code, /)\n--\n\nThe symbolic name of a status code."},
	{NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
	PyModuleDef_HEAD_INIT,
	.m_name = "shmd._shmd",
	.m_doc = "The objects of shmd over libshmd; import shmd instead.",
	.m_size = -1,
	.m_methods = methods,
};

static int (*const parts[])(PyObject *module) = {
	shmdpy_error_init, shmdpy_client_init, shmdpy_handle_init, shmdpy_lock_init,
	shmdpy_fork_init,  shmdpy_interrupt_init, shmdpy_mutex_init, shmdpy_value_init,
	shmdpy_array_init, shmdpy_snapshot_init, shmdpy_queue_init, shmdpy_place_init,
	shmdpy_stream_init, shmdpy_pipe_init, shmdpy_rwlock_init, shmdpy_waitable_init,
	shmdpy_semaphore_init, shmdpy_event_init, shmdpy_condition_init, shmdpy_barrier_init,
	/* shmd.multiprocessing */
	shmdpy_semlock_init, shmdpy_synchronized_init, shmdpy_pickle_init, shmdpy_mpqueue_init,
	shmdpy_connection_init,
};

PyMODINIT_FUNC PyInit__shmd(void);

PyMODINIT_FUNC PyInit__shmd(void)
{
	PyObject *module = PyModule_Create(&definition);
	if (module == NULL)
		return NULL;
	for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
		if (parts[i](module) < 0) {
			Py_DECREF(module);
			return NULL;
		}
	}
	if (PyModule_AddStringConstant(module, "version", shmd_version()) < 0) {
		Py_DECREF(module);
		return NULL;
	}
	return module;
}
