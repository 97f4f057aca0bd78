/* SPDX-License-Identifier: Apache-2.0
 *
 * interrupt.c - Python's signal handlers, which run in the main thread while that waits in
 * libshmd. One that raises ends the wait.
 */
#include "shmd_python.h"

static unsigned long main_thread; /* atomic; other threads ask without the GIL */

void shmdpy_interrupt_after_fork(void)
{
	__atomic_store_n(&main_thread, PyThread_get_thread_ident(), __ATOMIC_RELAXED);
}

static int interrupted(void *unused)
{
	(void)unused;
	/* No handler runs in another thread: it need not wait for the GIL to know. */
	if (PyThread_get_thread_ident() != __atomic_load_n(&main_thread, __ATOMIC_RELAXED))
		return 0;
	PyGILState_STATE state = PyGILState_Ensure();
	uint32_t forks = shmdpy_forks;
	int raised = PyErr_CheckSignals();
	/* In a child that a handler forked, the handle is another one by now. */
	int ends = raised < 0 || forks != shmdpy_forks;
	PyGILState_Release(state);
	return ends;
}

int shmdpy_interrupt_init(PyObject *module)
{
	(void)module;
	PyObject *threading = PyImport_ImportModule("threading");
	PyObject *thread = threading == NULL ? NULL : PyObject_CallMethod(threading, "main_thread", NULL);
	PyObject *ident = thread == NULL ? NULL : PyObject_GetAttrString(thread, "ident");
	unsigned long found = ident == NULL ? 0 : PyLong_AsUnsignedLong(ident);
	Py_XDECREF(ident);
	Py_XDECREF(thread);
	Py_XDECREF(threading);
	if (PyErr_Occurred() != NULL)
		return -1;
	__atomic_store_n(&main_thread, found, __ATOMIC_RELAXED);
	shmd_set_interrupt(interrupted, NULL);
	return 0;
}
