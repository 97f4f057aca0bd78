/* SPDX-License-Identifier: Apache-2.0
 *
 * waitable.c - wait_any() and the type Pollable: waiting for any of several objects.
 */
#include "shmd_python.h"

#include <structmember.h>

/* What may be waited for, by kind and word; the first of a kind is what it is by default. */
static const struct word {
	const struct shmdpy_kind *kind;
	const char *word;
	enum shmd_until until;
} words[] = {
	{&shmdpy_mutex_kind, "free", SHMD_UNTIL_MUTEX_FREE},
	{&shmdpy_semaphore_kind, "permit", SHMD_UNTIL_PERMIT},
	{&shmdpy_event_kind, "set", SHMD_UNTIL_SET},
	{&shmdpy_rwlock_kind, "readable", SHMD_UNTIL_READABLE},
	{&shmdpy_queue_kind, "message", SHMD_UNTIL_MESSAGE},
	{&shmdpy_queue_kind, "slot", SHMD_UNTIL_SLOT},
	{&shmdpy_value_kind, "change", SHMD_UNTIL_VALUE_CHANGES},
	{&shmdpy_array_kind, "change", SHMD_UNTIL_ARRAY_CHANGES},
	{&shmdpy_stream_kind, "readable", SHMD_UNTIL_STREAM_READABLE},
	{&shmdpy_stream_kind, "writable", SHMD_UNTIL_STREAM_WRITABLE},
	{&shmdpy_pipe_kind, "readable", SHMD_UNTIL_PIPE_READABLE},
	{&shmdpy_pipe_kind, "writable", SHMD_UNTIL_PIPE_WRITABLE},
};

static int read_until(const struct shmdpy_handle *handle, PyObject *until, enum shmd_until *ret)
{
	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
		if (words[i].kind != handle->kind)
			continue;
		if (until == NULL || until == Py_None ||
		    (PyUnicode_Check(until) && PyUnicode_CompareWithASCIIString(until, words[i].word) == 0)) {
			*ret = words[i].until;
			return 0;
		}
	}
	if (until == NULL || until == Py_None)
		PyErr_Format(PyExc_ValueError, "a %s cannot be waited for with others", handle->kind->noun);
	else
		PyErr_Format(PyExc_ValueError, "a %s cannot be waited for until %R", handle->kind->noun, until);
	return -1;
}

/* An object, until what, and the version of a value or array or the end of a pipe. */
static int read_waitable(PyObject *object, PyObject *until, PyObject *version, struct shmd_waitable *ret)
{
	struct shmdpy_handle *handle = (struct shmdpy_handle *)object;
	*ret = (struct shmd_waitable){0};
	if (!PyObject_TypeCheck(object, shmdpy_handle_type)) {
		PyErr_Format(PyExc_TypeError, "expected an object of shmd, not %R", object);
		return -1;
	}
	if (shmdpy_handle_ready(handle) < 0 || read_until(handle, until, &ret->until) < 0)
		return -1;
	ret->object = handle->handle;
	if (version != NULL && version != Py_None)
		return shmdpy_unsigned("version", version, UINT64_MAX, &ret->version);
	if (handle->kind->element == NULL)
		return 0;
	int result = handle->kind->element->version(handle->handle, &ret->version);
	if (result < 0)
		shmdpy_raise(result, handle);
	return result < 0 ? -1 : 0;
}

/* The same as Python gives it to wait_any: an object or a tuple that begins with one. */
static int read_item(PyObject *item, struct shmd_waitable *ret, struct shmdpy_handle **ret_handle)
{
	PyObject *object = item;
	PyObject *until = NULL;
	PyObject *version = NULL;
	if (PyTuple_Check(item)) {
		Py_ssize_t count = PyTuple_Size(item);
		if (count < 1 || count > 3) {
			PyErr_Format(PyExc_TypeError, "expected (object, until, version), not %R", item);
			return -1;
		}
		object = PyTuple_GetItem(item, 0);
		until = count > 1 ? PyTuple_GetItem(item, 1) : NULL;
		version = count > 2 ? PyTuple_GetItem(item, 2) : NULL;
	}
	if (read_waitable(object, until, version, ret) < 0)
		return -1;
	*ret_handle = (struct shmdpy_handle *)object;
	return 0;
}

/* ---- wait_any ---- */

struct several {
	struct shmd_waitable items[SHMD_WAIT_ANY_MAX];
	struct shmdpy_handle *handles[SHMD_WAIT_ANY_MAX];
	size_t count;
};

static int read_several(PyObject *tuple, struct several *ret)
{
	Py_ssize_t count = PyTuple_Size(tuple);
	if (count < 1 || count > SHMD_WAIT_ANY_MAX) {
		PyErr_Format(PyExc_ValueError, "%zd objects to wait for; 1 to %d are possible", count, SHMD_WAIT_ANY_MAX);
		return -1;
	}
	ret->count = 0;
	for (Py_ssize_t i = 0; i < count; i++) {
		if (read_item(PyTuple_GetItem(tuple, i), &ret->items[i], &ret->handles[i]) < 0)
			return -1;
		ret->count++;
	}
	return 0;
}

/* What reading the last one called may have closed the first. */
static int use_all(struct several *several)
{
	for (size_t i = 0; i < several->count; i++)
		if (shmdpy_handle_ready(several->handles[i]) < 0)
			return -1;
	for (size_t i = 0; i < several->count; i++) {
		several->items[i].object = several->handles[i]->handle;
		several->handles[i]->users++;
	}
	return 0;
}

/* Once; true = a signal handler forked, and this is the child. */
static bool wait_once(struct several *several, int64_t timeout_ns, int *ret_result, size_t *ret_index)
{
	uint32_t before = shmdpy_forks;
	int result;
	Py_BEGIN_ALLOW_THREADS
	result = shmd_wait_any(several->items, several->count, timeout_ns, ret_index);
	Py_END_ALLOW_THREADS
	*ret_result = result;
	if (before != shmdpy_forks)
		return PyErr_Occurred() == NULL;
	for (size_t i = 0; i < several->count; i++)
		shmdpy_handle_leave(several->handles[i]);
	return false;
}

static PyObject *wait_any(PyObject *module, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
	(void)module;
	static const char *const names[] = {"items", "timeout", NULL};
	PyObject *given[2];
	int64_t timeout_ns;
	struct several several;
	if (shmdpy_arguments("wait_any", args, count, keywords, names, 1, given) < 0 ||
	    shmdpy_timeout(given[1], &timeout_ns) < 0)
		return NULL;
	PyObject *tuple = PySequence_Tuple(given[0]);
	if (tuple == NULL)
		return NULL;
	size_t index = 0;
	int result = read_several(tuple, &several);
	bool raised = result < 0;
	bool again = !raised;
	while (again) {
		raised = use_all(&several) < 0;
		again = !raised && wait_once(&several, timeout_ns, &result, &index);
	}
	Py_DECREF(tuple);
	if (raised)
		return NULL;
	return result < 0 ? shmdpy_raise(result, NULL) : PyLong_FromSize_t(index);
}

static PyMethodDef wait_any_definition = {
	"wait_any", SHMDPY_FAST(wait_any),
	"wait_any(items, timeout=None)\n--\n\n"
	"Waits up to timeout seconds until a try on one of the items may succeed, and returns the\n"
	"lowest index of those. An item is an object, or a tuple (object, until), or (object,\n"
	"until, version). until is 'free' of a Mutex, 'permit' of a Semaphore, 'set' of an Event,\n"
	"'message' or 'slot' of a Queue, 'readable' of an RWLock, 'readable' or 'writable' of a\n"
	"Stream or Pipe, 'change' of a Value or Array since the version. Nothing is taken: try, and\n"
	"wait again after WouldBlock. Up to 127 items. Raises WouldBlock, TimedOut, Permission."};

/* ---- pollables ---- */

struct pollable {
	PyObject_HEAD
	struct shmd_pollable *pollable;
	struct shmdpy_handle *handle; /* strong */
	uint32_t forks;               /* of this process, when it was made */
	PyObject *weak;
};

static PyTypeObject *pollable_type;

static PyObject *pollable_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
	static const char *const names[] = {"object", "until", "version", NULL};
	PyObject *object;
	PyObject *until = NULL;
	PyObject *version = NULL;
	struct shmd_waitable item;
	if (!PyArg_ParseTupleAndKeywords(args, keywords, "O|OO:Pollable", (char **)(uintptr_t)names, &object, &until,
	                                 &version) ||
	    read_waitable(object, until, version, &item) < 0)
		return NULL;
	allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
	struct pollable *self = (struct pollable *)allocate(type, 0);
	if (self == NULL)
		return NULL;
	Py_INCREF(object);
	self->handle = (struct shmdpy_handle *)object;
	self->forks = shmdpy_forks;
	int result = shmd_pollable_open(&item, &self->pollable);
	if (result < 0) {
		shmdpy_raise(result, self->handle);
		Py_DECREF((PyObject *)self);
		return NULL;
	}
	self->handle->users++; /* who closes the object does so when the pollable is closed */
	return (PyObject *)self;
}

static void give_up(struct pollable *self)
{
	if (self->pollable == NULL)
		return;
	struct shmd_pollable *pollable = self->pollable;
	self->pollable = NULL;
	Py_BEGIN_ALLOW_THREADS
	shmd_pollable_close(pollable);
	Py_END_ALLOW_THREADS
	if (self->forks == shmdpy_forks) /* in a child nobody counts it */
		shmdpy_handle_leave(self->handle);
}

static void pollable_dealloc(PyObject *object)
{
	struct pollable *self = (struct pollable *)object;
	PyTypeObject *type = Py_TYPE(object);
	if (self->weak != NULL)
		PyObject_ClearWeakRefs(object);
	give_up(self);
	Py_XDECREF((PyObject *)self->handle);
	((freefunc)PyType_GetSlot(type, Py_tp_free))(object);
	Py_DECREF(type);
}

static PyObject *pollable_close(PyObject *self, PyObject *unused)
{
	(void)unused;
	give_up((struct pollable *)self);
	Py_RETURN_NONE;
}

static PyObject *pollable_fileno(PyObject *object, PyObject *unused)
{
	(void)unused;
	struct pollable *self = (struct pollable *)object;
	if (self->pollable == NULL)
		return shmdpy_raise_text(SHMD_E_CLOSED, self->handle, "the pollable is closed");
	return PyLong_FromLong(shmd_pollable_fd(self->pollable));
}

static PyObject *pollable_rearm(PyObject *object, PyObject *unused)
{
	(void)unused;
	struct pollable *self = (struct pollable *)object;
	if (self->pollable == NULL)
		return shmdpy_raise_text(SHMD_E_CLOSED, self->handle, "the pollable is closed");
	return shmdpy_none_or_raise(shmd_pollable_rearm(self->pollable), self->handle);
}

static PyObject *pollable_enter(PyObject *self, PyObject *unused)
{
	(void)unused;
	Py_INCREF(self);
	return self;
}

static PyObject *pollable_exit(PyObject *self, PyObject *args)
{
	(void)args;
	return pollable_close(self, NULL);
}

static PyMethodDef methods[] = {
	{"fileno", pollable_fileno, METH_NOARGS,
	 "fileno($self, /)\n--\n\nThe descriptor, for select, poll and event loops. Never read or write it yourself."},
	{"rearm", pollable_rearm, METH_NOARGS,
	 "rearm($self, /)\n--\n\nMakes it unreadable until a try may succeed again, at once if one may: call it after a\n"
	 "try that raised WouldBlock. Raises Forked."},
	{"close", pollable_close, METH_NOARGS, "close($self, /)\n--\n\nGives the descriptor up."},
	{"__enter__", pollable_enter, METH_NOARGS, NULL},
	{"__exit__", pollable_exit, METH_VARARGS, "Closes it."},
	{NULL, NULL, 0, NULL},
};

static PyMemberDef members[] = {
	{"object", T_OBJECT, offsetof(struct pollable, handle), READONLY, "What it watches."},
	{"__weaklistoffset__", T_PYSSIZET, offsetof(struct pollable, weak), READONLY, NULL},
	{NULL, 0, 0, 0, NULL},
};

static PyType_Slot slots[] = {
	{Py_tp_new, pollable_new},
	{Py_tp_dealloc, pollable_dealloc},
	{Py_tp_methods, methods},
	{Py_tp_members, members},
	{Py_tp_doc,
	 SHMDPY_TEXT("Pollable(object, until=None, version=None)\n--\n\n"
	             "A descriptor that is readable while a try on the object may succeed; what the arguments\n"
	             "mean wait_any() says. It stays readable until rearm(). Up to 126 in a process; in a forked\n"
	             "child they are dead. Raises Unsupported before Linux 5.16, Overflow, Permission.")},
	{0, NULL},
};

static PyType_Spec spec = {
	.name = "shmd.Pollable",
	.basicsize = sizeof(struct pollable),
	.flags = Py_TPFLAGS_DEFAULT,
	.slots = slots,
};

int shmdpy_waitable_init(PyObject *module)
{
	PyObject *name = PyUnicode_FromString("shmd");
	PyObject *function = name == NULL ? NULL : PyCFunction_NewEx(&wait_any_definition, NULL, name);
	Py_XDECREF(name);
	if (function == NULL || PyModule_AddObject(module, "wait_any", function) < 0)
		return -1;
	pollable_type = shmdpy_add_type(module, &spec, NULL);
	return pollable_type == NULL ? -1 : 0;
}
