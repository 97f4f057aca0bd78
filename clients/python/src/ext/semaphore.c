/* SPDX-License-Identifier: Apache-2.0
 *
 * semaphore.c - the type Semaphore.
 */
#include "shmd_python.h"

SHMDPY_KIND_ATTACH(semaphore)
SHMDPY_KIND_FUNCTIONS(semaphore)

const struct shmdpy_kind shmdpy_semaphore_kind = {
	.noun = "semaphore",
	.takes = SHMDPY_OPTION_SEMAPHORE,
	.attach = attach,
	.detach = detach,
	.id = id_of,
	.created = created,
};

SHMDPY_MAKERS(shmdpy_semaphore_kind)

static PyTypeObject *permits_type;

static PyStructSequence_Field permits_fields[] = {
	{"available", "that can be acquired"},
	{"total", "that exist, held ones included; of a plain semaphore 0, as it does not know"},
	{"held", "by this process; of a plain semaphore 0"},
	{"maximum", "that may exist"},
	{NULL, NULL},
};

static PyStructSequence_Desc permits_description = {
	"shmd.Permits", "The permits of a semaphore at one moment.", permits_fields, 4};

/* How many permits, 1 if not given. */
static int read_n(PyObject *given, uint32_t *ret_n)
{
	uint64_t n = 1;
	if (given != NULL && shmdpy_unsigned("n", given, UINT32_MAX, &n) < 0)
		return -1;
	*ret_n = (uint32_t)n;
	return 0;
}

static PyObject *acquire(struct shmdpy_handle *self, uint32_t n, int64_t timeout_ns)
{
	int result;
	SHMDPY_WAIT(self, result, timeout_ns, shmd_semaphore_acquire(self->handle, n, timeout_ns));
	return shmdpy_none_or_raise(result, self);
}

static PyObject *semaphore_acquire(PyObject *object, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
	static const char *const names[] = {"n", "timeout", NULL};
	PyObject *given[2];
	uint32_t n;
	int64_t timeout_ns;
	struct shmdpy_handle *self = shmdpy_ready(object);
	if (self == NULL || shmdpy_arguments("acquire", args, count, keywords, names, 0, given) < 0 ||
	    read_n(given[0], &n) < 0 || shmdpy_timeout(given[1], &timeout_ns) < 0)
		return NULL;
	return acquire(self, n, timeout_ns);
}

static PyObject *give(PyObject *object, const char *function, PyObject *const *args, Py_ssize_t count,
                      PyObject *keywords, int (*how)(struct shmd_semaphore *, uint32_t))
{
	static const char *const names[] = {"n", NULL};
	PyObject *given[1];
	uint32_t n;
	struct shmdpy_handle *self = shmdpy_ready(object);
	if (self == NULL || shmdpy_arguments(function, args, count, keywords, names, 0, given) < 0 ||
	    read_n(given[0], &n) < 0)
		return NULL;
	return shmdpy_none_or_raise(how(self->handle, n), self);
}

static PyObject *semaphore_release(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
	return give(self, "release", args, count, keywords, shmd_semaphore_release);
}

static PyObject *semaphore_post(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
	return give(self, "post", args, count, keywords, shmd_semaphore_post);
}

static PyObject *semaphore_permits(PyObject *object, PyObject *unused)
{
	(void)unused;
	struct shmd_permits permits;
	struct shmdpy_handle *self = shmdpy_ready(object);
	if (self == NULL)
		return NULL;
	int result = shmd_semaphore_permits(self->handle, &permits);
	if (result < 0)
		return shmdpy_raise(result, self);
	PyObject *tuple = PyStructSequence_New(permits_type);
	if (tuple == NULL)
		return NULL;
	PyStructSequence_SetItem(tuple, 0, PyLong_FromUnsignedLong(permits.available));
	PyStructSequence_SetItem(tuple, 1, PyLong_FromUnsignedLong(permits.total));
	PyStructSequence_SetItem(tuple, 2, PyLong_FromUnsignedLong(permits.held));
	PyStructSequence_SetItem(tuple, 3, PyLong_FromUnsignedLong(permits.maximum));
	if (PyErr_Occurred() != NULL)
		Py_CLEAR(tuple);
	return tuple;
}

static PyObject *semaphore_enter(PyObject *object, PyObject *unused)
{
	(void)unused;
	struct shmdpy_handle *self = shmdpy_ready(object);
	return self == NULL ? NULL : acquire(self, 1, SHMD_FOREVER);
}

static PyObject *semaphore_exit(PyObject *self, PyObject *args)
{
	(void)args;
	return semaphore_release(self, NULL, 0, NULL);
}

static PyMethodDef methods[] = {
	SHMDPY_MAKER("create", make_new,
	             "create(client, name=None, *, initial=0, maximum=2**31-1, undo=False, mode=0o600,\n"
	             "seats_max=64, lifetime='default')\n\n"
	             "Creates a semaphore with `initial` permits. undo: permits belong to the process that\n"
	             "acquired them, and come back when it dies. Raises Exists, BadName, Quota, NoSpace,\n"
	             "Invalid."),
	SHMDPY_MAKER_OPEN,
	SHMDPY_MAKER("open_or_create", make_either, "As create(), or as open() if the semaphore exists."),
	{"acquire", SHMDPY_FAST(semaphore_acquire),
	 "acquire($self, /, n=1, timeout=None)\n--\n\n"
	 "Acquires n permits, all or none, waiting up to timeout seconds; None waits for ever, 0\n"
	 "tries. More than one only with undo. Raises WouldBlock, TimedOut, Removed, Permission,\n"
	 "Unsupported."},
	{"release", SHMDPY_FAST(semaphore_release),
	 "release($self, /, n=1)\n--\n\n"
	 "Releases n permits. Raises Overflow (plain: more than the maximum), NotOwner (undo: more\n"
	 "than this process holds)."},
	{"post", SHMDPY_FAST(semaphore_post),
	 "post($self, /, n=1)\n--\n\nMakes n new permits, whoever holds how many. Raises Overflow."},
	{"permits", semaphore_permits, METH_NOARGS, "permits($self, /)\n--\n\nWhat there is now, as Permits."},
	{"__enter__", semaphore_enter, METH_NOARGS, "Acquires one permit."},
	{"__exit__", semaphore_exit, METH_VARARGS, "Releases one permit."},
	{NULL, NULL, 0, NULL},
};

static PyType_Slot slots[] = {
	{Py_tp_methods, methods},
	{Py_tp_doc,
	 SHMDPY_TEXT("Counts permits between processes. A plain one is as sem_t; with undo the permits of a\n"
	             "process that dies come back, exactly once.")},
	{0, NULL},
};

static PyType_Spec spec = {
	.name = "shmd.Semaphore",
	.basicsize = sizeof(struct shmdpy_handle),
	.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
	.slots = slots,
};

int shmdpy_semaphore_init(PyObject *module)
{
	permits_type = PyStructSequence_NewType(&permits_description);
	if (permits_type == NULL)
		return -1;
	Py_INCREF((PyObject *)permits_type);
	if (PyModule_AddObject(module, "Permits", (PyObject *)permits_type) < 0)
		return -1;
	return shmdpy_add_type(module, &spec, shmdpy_handle_type) == NULL ? -1 : 0;
}
