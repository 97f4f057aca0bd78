/* SPDX-License-Identifier: Apache-2.0
 *
 * rwlock.c - the type RWLock.
 */
#include "shmd_python.h"

SHMDPY_KIND_ATTACH(rwlock)
SHMDPY_KIND_FUNCTIONS(rwlock)

const struct shmdpy_kind shmdpy_rwlock_kind = {
	.noun = "rwlock",
	.attach = attach,
	.detach = detach,
	.id = id_of,
	.created = created,
};

SHMDPY_MAKERS(shmdpy_rwlock_kind)

static PyObject *rwlock_notice(PyObject *object, PyObject *unused)
{
	(void)unused;
	struct shmd_notice notice;
	struct shmdpy_handle *self = shmdpy_ready(object);
	if (self == NULL)
		return NULL;
	int result = shmd_rwlock_notice(self->handle, &notice);
	return result < 0 ? shmdpy_raise(result, self) : shmdpy_notice(&notice);
}

static PyObject *lock(PyObject *object, const char *function, PyObject *const *args, Py_ssize_t count,
                      PyObject *keywords, int (*how)(struct shmd_rwlock *, int64_t))
{
	int64_t timeout_ns;
	struct shmdpy_handle *self = shmdpy_ready(object);
	if (self == NULL || shmdpy_timeout_only(function, args, count, keywords, &timeout_ns) < 0)
		return NULL;
	int result;
	SHMDPY_WAIT(self, result, timeout_ns, how(self->handle, timeout_ns));
	if (result < 0)
		return shmdpy_raise(result, self);
	if (result == 0)
		Py_RETURN_NONE;
	return rwlock_notice(object, NULL);
}

static PyObject *rwlock_read_lock(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
	return lock(self, "read_lock", args, count, keywords, shmd_rwlock_read_lock);
}

static PyObject *rwlock_write_lock(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
	return lock(self, "write_lock", args, count, keywords, shmd_rwlock_write_lock);
}

static PyObject *rwlock_read_unlock(PyObject *object, PyObject *unused)
{
	(void)unused;
	struct shmdpy_handle *self = shmdpy_ready(object);
	return self == NULL ? NULL : shmdpy_none_or_raise(shmd_rwlock_read_unlock(self->handle), self);
}

static PyObject *rwlock_write_unlock(PyObject *object, PyObject *unused)
{
	(void)unused;
	struct shmdpy_handle *self = shmdpy_ready(object);
	return self == NULL ? NULL : shmdpy_none_or_raise(shmd_rwlock_write_unlock(self->handle), self);
}

static PyObject *rwlock_mark_consistent(PyObject *object, PyObject *unused)
{
	(void)unused;
	struct shmdpy_handle *self = shmdpy_ready(object);
	return self == NULL ? NULL : shmdpy_none_or_raise(shmd_rwlock_mark_consistent(self->handle), self);
}

static PyMethodDef methods[] = {
	SHMDPY_MAKER("create", make_new,
	             "create(client, name=None, *, mode=0o600, seats_max=64, lifetime='default')\n\n"
	             "Creates a reader-writer lock. Raises Exists, BadName, Quota, NoSpace."),
	SHMDPY_MAKER_OPEN,
	SHMDPY_MAKER("open_or_create", make_either, "As create(), or as open() if the lock exists."),
	{"read_lock", SHMDPY_FAST(rwlock_read_lock),
	 "read_lock($self, /, timeout=None)\n--\n\n"
	 "Begins to read, waiting up to timeout seconds for the writer. Returns None, or a Notice\n"
	 "if a writer died inside since the state was last marked consistent. Raises WouldBlock,\n"
	 "TimedOut, Deadlock, Overflow, Removed, Permission."},
	{"read_unlock", rwlock_read_unlock, METH_NOARGS,
	 "read_unlock($self, /)\n--\n\nEnds one read of this thread. Raises NotOwner."},
	{"write_lock", SHMDPY_FAST(rwlock_write_lock),
	 "write_lock($self, /, timeout=None)\n--\n\n"
	 "Begins to write, waiting up to timeout seconds for readers and writers. Returns and\n"
	 "raises as read_lock()."},
	{"write_unlock", rwlock_write_unlock, METH_NOARGS,
	 "write_unlock($self, /)\n--\n\nEnds the write of this thread. Raises NotOwner."},
	{"mark_consistent", rwlock_mark_consistent, METH_NOARGS,
	 "mark_consistent($self, /)\n--\n\n"
	 "Says that what the lock guards is in order again, by the writer after a Notice."},
	{"notice", rwlock_notice, METH_NOARGS,
	 "notice($self, /)\n--\n\nThe last death of a writer; all of it is 0 if none died."},
	{NULL, NULL, 0, NULL},
};

static PyType_Slot slots[] = {
	{Py_tp_methods, methods},
	{Py_tp_doc,
	 SHMDPY_TEXT("Lets many readers in, or one writer: `with lock.reading():` and `with lock.writing():`. It\n"
	             "belongs to a thread, as a Mutex does.")},
	{0, NULL},
};

static PyType_Spec spec = {
	.name = "shmd.RWLock",
	.basicsize = sizeof(struct shmdpy_handle),
	.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
	.slots = slots,
};

int shmdpy_rwlock_init(PyObject *module)
{
	return shmdpy_add_type(module, &spec, shmdpy_handle_type) == NULL ? -1 : 0;
}
