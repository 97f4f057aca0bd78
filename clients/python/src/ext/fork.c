/* SPDX-License-Identifier: Apache-2.0
 *
 * fork.c - what becomes of clients and objects in a forked child: they are opened anew,
 * before os.fork() returns there, so that the parent may go.
 */
#include "shmd_python.h"

uint32_t shmdpy_forks;

static PyObject *before(PyObject *module, PyObject *unused)
{
	(void)module;
	(void)unused;
	shmdpy_handle_before_fork();
	Py_RETURN_NONE;
}

static PyObject *after_in_child(PyObject *module, PyObject *unused)
{
	(void)module;
	(void)unused;
	shmdpy_forks++;
	shmdpy_interrupt_after_fork();
	shmdpy_client_after_fork();
	shmdpy_handle_after_fork();
	Py_RETURN_NONE;
}

static PyMethodDef before_definition = {"_before_fork", before, METH_NOARGS, NULL};
static PyMethodDef after_definition = {"_after_fork_in_child", after_in_child, METH_NOARGS, NULL};

int shmdpy_fork_init(PyObject *module)
{
	(void)module;
	PyObject *earlier = PyCFunction_NewEx(&before_definition, NULL, NULL);
	PyObject *later = PyCFunction_NewEx(&after_definition, NULL, NULL);
	PyObject *os = PyImport_ImportModule("os");
	PyObject *hook = os == NULL ? NULL : PyObject_GetAttrString(os, "register_at_fork");
	PyObject *empty = PyTuple_New(0);
	PyObject *keywords = earlier == NULL || later == NULL
	                         ? NULL
	                         : Py_BuildValue("{sOsO}", "before", earlier, "after_in_child", later);
	PyObject *result = hook == NULL || empty == NULL || keywords == NULL ? NULL : PyObject_Call(hook, empty, keywords);
	Py_XDECREF(keywords);
	Py_XDECREF(empty);
	Py_XDECREF(hook);
	Py_XDECREF(os);
	Py_XDECREF(later);
	Py_XDECREF(earlier);
	Py_XDECREF(result);
	return result == NULL ? -1 : 0;
}
