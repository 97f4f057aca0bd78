/* SPDX-License-Identifier: Apache-2.0
 *
 * mutex.c - the type Mutex.
 */
#include "shmd_python.h"

SHMDPY_KIND_ATTACH(mutex)
SHMDPY_KIND_FUNCTIONS(mutex)
SHMDPY_KIND_LOCK(mutex)

const struct shmdpy_kind shmdpy_mutex_kind = {
	.noun = "mutex",
	.takes = SHMDPY_OPTION_MUTEX,
	.attach = attach,
	.detach = detach,
	.id = id_of,
	.created = created,
	.lock = &lock_functions,
};

SHMDPY_MAKERS(shmdpy_mutex_kind)

static PyMethodDef methods[] = {
	SHMDPY_MAKER("create", make_new,
	             "create(client, name=None, *, recursive=False, unlock_any=False, strict=False, mode=0o600,\n"
	             "seats_max=64, lifetime='default')\n\n"
	             "Creates a mutex. recursive: the same thread may lock again; unlock_any: any thread of\n"
	             "any process may unlock; strict: unlocked unrepaired after a death it is\n"
	             "NotRecoverable for ever. Raises Exists, BadName, Quota, NoSpace."),
	SHMDPY_MAKER_OPEN,
	SHMDPY_MAKER("open_or_create", make_either, "As create(), or as open() if the mutex exists."),
	SHMDPY_LOCK_METHODS,
	{NULL, NULL, 0, NULL},
};

static PyType_Slot slots[] = {
	{Py_tp_methods, methods},
	{Py_tp_doc,
	 SHMDPY_TEXT("A lock between processes. It belongs to the thread that locked it; when its process dies it is\n"
	             "free, and the next owner gets a Notice. `with mutex as notice:` locks.")},
	{0, NULL},
};

static PyType_Spec spec = {
	.name = "shmd.Mutex",
	.basicsize = sizeof(struct shmdpy_handle),
	.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
	.slots = slots,
};

int shmdpy_mutex_init(PyObject *module)
{
	return shmdpy_add_type(module, &spec, shmdpy_handle_type) == NULL ? -1 : 0;
}
