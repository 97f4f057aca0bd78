/* SPDX-License-Identifier: Apache-2.0
 *
 * mp_semlock.c - the type SemLock: what is fast of multiprocessing's Lock, RLock and
 * semaphores, with its exceptions and their words.
 *
 * A Lock is a mutex that anybody unlocks, an RLock a recursive one, the semaphores are
 * plain. A lock whose owner died is acquired all the same: that is warned of once, and
 * the state is marked consistent, since multiprocessing has no way to say more.
 */
#include "mp.h"

#include <structmember.h>

PyTypeObject *shmdpy_semlock_type;

/* The status of this file for an exception that is set already. */
#define RAISED SHMD_E_CANCELLED

static PyObject *owner_died_warning(void)
{
	PyObject *package = PyImport_ImportModule("shmd");
	PyObject *class = package == NULL ? NULL : PyObject_GetAttrString(package, "OwnerDiedWarning");
	Py_XDECREF(package);
	return class;
}

/* The lock is held, and an owner of it died. A status. */
static int tell_of_death(struct shmdpy_semlock *self)
{
	struct shmd_mutex *mutex = self->handle.handle;
	struct shmd_notice notice = {0};
	(void)shmd_mutex_notice(mutex, &notice);
	int result = shmd_mutex_mark_consistent(mutex);
	if (result < 0)
		return result;
	static const char words[] = "process %lu died holding mutex %llu; what it guards may be half done";
	PyObject *class = owner_died_warning();
	int warned = -1;
	if (class != NULL)
		warned = PyErr_WarnFormat(class, 1, words, (unsigned long)notice.pid, (unsigned long long)self->handle.id);
	Py_XDECREF(class);
	if (warned == 0)
		return 0;
	(void)shmd_mutex_unlock(mutex);
	return RAISED;
}

int shmdpy_semlock_acquire(struct shmdpy_semlock *self, int64_t timeout_ns)
{
	if (shmdpy_handle_ready(&self->handle) < 0)
		return RAISED;
	int result;
	if (self->flavour == SHMDPY_SEMAPHORE) {
		SHMDPY_WAIT(self, result, timeout_ns, shmd_semaphore_acquire(self->handle.handle, 1, timeout_ns));
		return result;
	}
	SHMDPY_WAIT(self, result, timeout_ns, shmd_mutex_lock(self->handle.handle, timeout_ns));
	return __builtin_expect(result == SHMD_OWNER_DIED, 0) ? tell_of_death(self) : result;
}

int shmdpy_semlock_release(struct shmdpy_semlock *self)
{
	if (shmdpy_handle_ready(&self->handle) < 0)
		return RAISED;
	if (self->flavour != SHMDPY_SEMAPHORE)
		return shmd_mutex_unlock(self->handle.handle);
	/* For libshmd a maximum of 0 is none. */
	return self->maximum == 0 ? SHMD_E_OVERFLOW : shmd_semaphore_release(self->handle.handle, 1);
}

/* True, False, or an exception. */
static PyObject *acquire(struct shmdpy_semlock *self, int64_t timeout_ns)
{
	int result = shmdpy_semlock_acquire(self, timeout_ns);
	if (result == SHMD_E_WOULD_BLOCK || result == SHMD_E_TIMED_OUT)
		Py_RETURN_FALSE;
	if (result < 0)
		return shmdpy_raise(result, &self->handle);
	shmdpy_semlock_took(self);
	Py_RETURN_TRUE;
}

static PyObject *semlock_acquire(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
	static const char *const names[] = {"block", "timeout", NULL};
	PyObject *given[2] = {NULL, NULL};
	int64_t timeout_ns = SHMD_FOREVER;
	if (count != 0 || keywords != NULL) {
		if (shmdpy_arguments("acquire", args, count, keywords, names, 0, given) < 0 ||
		    shmdpy_timeout(given[1], &timeout_ns) < 0)
			return NULL;
		int block = given[0] == NULL ? 1 : PyObject_IsTrue(given[0]);
		if (block < 0)
			return NULL;
		if (!block)
			timeout_ns = 0;
	}
	return acquire((struct shmdpy_semlock *)self, timeout_ns);
}

static PyObject *release(struct shmdpy_semlock *self)
{
	int result = shmdpy_semlock_release(self);
	if (__builtin_expect(result < 0, 0)) {
		if (result == SHMD_E_NOT_OWNER && self->flavour == SHMDPY_RLOCK)
			PyErr_SetString(PyExc_AssertionError, "attempt to release recursive lock not owned by thread");
		else if (result == SHMD_E_NOT_OWNER || result == SHMD_E_OVERFLOW)
			PyErr_SetString(PyExc_ValueError, "semaphore or lock released too many times");
		else
			shmdpy_raise(result, &self->handle);
		return NULL;
	}
	shmdpy_semlock_gave(self);
	Py_RETURN_NONE;
}

static PyObject *semlock_release(PyObject *self, PyObject *unused)
{
	(void)unused;
	return release((struct shmdpy_semlock *)self);
}

static PyObject *semlock_enter(PyObject *self, PyObject *unused)
{
	(void)unused;
	return acquire((struct shmdpy_semlock *)self, SHMD_FOREVER);
}

static PyObject *semlock_exit(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
	(void)args;
	(void)count;
	return release((struct shmdpy_semlock *)self);
}

/* ---- what it knows ---- */

static uint32_t count_of(const struct shmdpy_semlock *self)
{
	return self->forks == shmdpy_forks ? self->count : 0;
}

static PyObject *semlock_count(PyObject *self, PyObject *unused)
{
	(void)unused;
	return PyLong_FromUnsignedLong(count_of((struct shmdpy_semlock *)self));
}

static PyObject *semlock_is_mine(PyObject *object, PyObject *unused)
{
	(void)unused;
	struct shmdpy_semlock *self = (struct shmdpy_semlock *)object;
	return PyBool_FromLong(count_of(self) != 0 && self->thread == PyThread_get_thread_ident());
}

static int permits_of(struct shmdpy_semlock *self, long *ret_value)
{
	struct shmd_permits permits;
	int result = shmd_semaphore_permits(self->handle.handle, &permits);
	if (result == 0)
		*ret_value = permits.available;
	return result;
}

/* Of a mutex: 1 if it is free. To know it takes a try. */
static int is_free(struct shmdpy_semlock *self, long *ret_value)
{
	int result = shmd_mutex_lock(self->handle.handle, 0);
	*ret_value = result >= 0;
	if (result >= 0)
		return shmd_mutex_unlock(self->handle.handle);
	return result == SHMD_E_WOULD_BLOCK ? 0 : result;
}

static PyObject *semlock_get_value(PyObject *object, PyObject *unused)
{
	(void)unused;
	struct shmdpy_semlock *self = (struct shmdpy_semlock *)object;
	long value = 0;
	if (shmdpy_handle_ready(&self->handle) < 0)
		return NULL;
	int result = self->flavour == SHMDPY_SEMAPHORE ? permits_of(self, &value) : is_free(self, &value);
	return result < 0 ? shmdpy_raise(result, &self->handle) : PyLong_FromLong(value);
}

/* ---- making ---- */

static int read_client(PyObject *object, struct shmdpy_client **ret_client)
{
	if (!PyObject_TypeCheck(object, shmdpy_client_type)) {
		PyErr_Format(PyExc_TypeError, "a Client is wanted, not %R", Py_TYPE(object));
		return -1;
	}
	*ret_client = (struct shmdpy_client *)object;
	return 0;
}

static PyObject *attach(struct shmdpy_semlock *self, struct shmdpy_client *client, int flavour,
                        unsigned long maximum, const struct shmdpy_wish *wish)
{
	if (self->handle.attached) {
		PyErr_SetString(PyExc_ValueError, "it has been made already");
		return NULL;
	}
	self->flavour = flavour;
	self->maximum = maximum;
	self->forks = shmdpy_forks;
	const struct shmdpy_kind *kind = flavour == SHMDPY_SEMAPHORE ? &shmdpy_semaphore_kind : &shmdpy_mutex_kind;
	if (shmdpy_handle_attach(&self->handle, kind, client, Py_None, wish) < 0)
		return NULL;
	Py_RETURN_NONE;
}

static PyObject *semlock_create(PyObject *self, PyObject *args)
{
	PyObject *object;
	struct shmdpy_client *client;
	int flavour;
	unsigned int seats;
	unsigned long initial = 0, maximum = 0;
	if (!PyArg_ParseTuple(args, "OiI|kk:_create", &object, &flavour, &seats, &initial, &maximum) ||
	    read_client(object, &client) < 0)
		return NULL;
	struct shmdpy_wish wish = {
		.method = SHMDPY_CREATE,
		.create = {.size = sizeof wish.create, .seats_max = seats, .initial = initial, .maximum = maximum},
	};
	wish.create.recursive = flavour == SHMDPY_RLOCK;
	wish.create.unlock_any = flavour == SHMDPY_LOCK;
	return attach((struct shmdpy_semlock *)self, client, flavour, maximum, &wish);
}

static PyObject *semlock_open(PyObject *self, PyObject *args)
{
	PyObject *object;
	struct shmdpy_client *client;
	unsigned long long id;
	int flavour;
	unsigned long maximum;
	PyObject *ticket;
	if (!PyArg_ParseTuple(args, "OKOik:_open", &object, &id, &ticket, &flavour, &maximum) ||
	    read_client(object, &client) < 0)
		return NULL;
	struct shmdpy_wish wish = {.method = SHMDPY_OPEN, .open = {.size = sizeof wish.open, .id = id}};
	if (shmdpy_wish_ticket(ticket, &wish) < 0)
		return NULL;
	return attach((struct shmdpy_semlock *)self, client, flavour, maximum, &wish);
}

/* ---- a wait of a condition ---- */

static PyObject *semlock_suspend(PyObject *object, PyObject *unused)
{
	(void)unused;
	struct shmdpy_semlock *self = (struct shmdpy_semlock *)object;
	uint32_t count = count_of(self);
	self->count = 0;
	return PyLong_FromUnsignedLong(count);
}

static PyObject *semlock_resume(PyObject *object, PyObject *count)
{
	struct shmdpy_semlock *self = (struct shmdpy_semlock *)object;
	unsigned long number = PyLong_AsUnsignedLong(count);
	if (number == (unsigned long)-1 && PyErr_Occurred() != NULL)
		return NULL;
	self->count = (uint32_t)number;
	self->thread = PyThread_get_thread_ident();
	self->forks = shmdpy_forks;
	Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
	{"acquire", SHMDPY_FAST(semlock_acquire),
	 "acquire($self, /, block=True, timeout=None)\n--\n\n"
	 "Acquires it, waiting up to timeout seconds, for ever if that is None, not at all if\n"
	 "block is false or timeout not above 0. True if it was acquired.\n\n"
	 "If its last owner died it is acquired all the same, with an OwnerDiedWarning."},
	{"release", semlock_release, METH_NOARGS,
	 "release($self, /)\n--\n\n"
	 "Releases it. Raises ValueError if that is once too often, and AssertionError if it is\n"
	 "an RLock that this thread does not hold."},
	{"__enter__", semlock_enter, METH_NOARGS, "Acquires it, however long that takes."},
	{"__exit__", (PyCFunction)(void (*)(void))semlock_exit, METH_FASTCALL, "Releases it."},
	{"_count", semlock_count, METH_NOARGS, "How often this object was acquired and not released, in this process."},
	{"_is_mine", semlock_is_mine, METH_NOARGS, "Whether this thread acquired it last, and holds it."},
	{"_get_value", semlock_get_value, METH_NOARGS, "The permits that can be acquired."},
	{"_create", semlock_create, METH_VARARGS, "_create(client, flavour, seats_max, initial=0, maximum=0)"},
	{"_open", semlock_open, METH_VARARGS, "_open(client, id, ticket, flavour, maximum)"},
	{"_suspend", semlock_suspend, METH_NOARGS, "Forgets who holds it, while a condition waits; the count."},
	{"_resume", semlock_resume, METH_O, "_resume(count): this thread holds it again."},
	{NULL, NULL, 0, NULL},
};

static PyMemberDef members[] = {
	{"_flavour", T_INT, offsetof(struct shmdpy_semlock, flavour), READONLY, "0 Lock, 1 RLock, 2 semaphore."},
	{"_maximum", T_UINT, offsetof(struct shmdpy_semlock, maximum), READONLY, "Of a semaphore."},
	{NULL, 0, 0, 0, NULL},
};

static PyType_Slot slots[] = {
	{Py_tp_methods, methods},
	{Py_tp_members, members},
	{Py_tp_doc, SHMDPY_TEXT("The base of shmd.multiprocessing's locks and semaphores.")},
	{0, NULL},
};

static PyType_Spec spec = {
	.name = "shmd._shmd.SemLock",
	.basicsize = sizeof(struct shmdpy_semlock),
	.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
	.slots = slots,
};

int shmdpy_semlock_init(PyObject *module)
{
	shmdpy_semlock_type = shmdpy_add_type(module, &spec, shmdpy_handle_type);
	return shmdpy_semlock_type == NULL ? -1 : 0;
}
