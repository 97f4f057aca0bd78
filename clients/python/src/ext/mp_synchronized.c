/* SPDX-License-Identifier: Apache-2.0
 *
 * mp_synchronized.c - the types SynchronizedBase, SynchronizedValue and SynchronizedArray:
 * a ctypes object in shared memory and the lock around each access to it.
 *
 * The lock is whatever has acquire() and release(). If it is one of ours it is used without
 * a detour through Python; if it is also the one that the object in shared memory was created
 * with, what is written here is a change for those who wait for changes, and whole for those
 * who read snapshots, in other languages too.
 */
#include "mp.h"

#include <string.h>
#include <structmember.h>

struct synchronized {
	PyObject_HEAD
	PyObject *obj;  /* the ctypes object */
	PyObject *lock;
	struct shmdpy_handle *item; /* the Value or Array that obj is in; NULL: it is elsewhere */
	char code;      /* of a Value; 0: obj knows better */
	bool ours;      /* lock is a SemLock with the methods of SemLock */
	bool bracketed; /* item is an array, and lock its lock */
	PyObject *weak;
};

static PyObject *plain_acquire; /* SemLock.acquire and release */
static PyObject *plain_release;

/* ---- the lock ---- */

static int enter(struct synchronized *self)
{
	if (!self->ours) {
		PyObject *result = PyObject_CallMethod(self->lock, "acquire", NULL);
		Py_XDECREF(result);
		return result == NULL ? -1 : 0;
	}
	struct shmdpy_semlock *lock = (struct shmdpy_semlock *)self->lock;
	int result = shmdpy_semlock_acquire(lock, SHMD_FOREVER);
	if (__builtin_expect(result < 0, 0)) {
		shmdpy_raise(result, &lock->handle);
		return -1;
	}
	return 0;
}

/* -1 with an exception: the one that there is, or its own. */
static int leave(struct synchronized *self)
{
	bool failing = PyErr_Occurred() != NULL;
	if (self->ours) {
		struct shmdpy_semlock *lock = (struct shmdpy_semlock *)self->lock;
		int result = shmdpy_semlock_release(lock);
		if (result < 0 && !failing)
			shmdpy_raise(result, &lock->handle);
		return failing || result < 0 ? -1 : 0;
	}
	PyObject *type, *value, *traceback;
	PyErr_Fetch(&type, &value, &traceback);
	PyObject *result = PyObject_CallMethod(self->lock, "release", NULL);
	bool released = result != NULL;
	Py_XDECREF(result);
	if (failing) {
		PyErr_Clear();
		PyErr_Restore(type, value, traceback);
	}
	return failing || !released ? -1 : 0;
}

/* ---- SynchronizedBase ---- */

static int base_init(PyObject *object, PyObject *args, PyObject *keywords)
{
	struct synchronized *self = (struct synchronized *)object;
	static const char *const names[] = {"obj", "lock", NULL};
	PyObject *obj, *lock;
	if (!PyArg_ParseTupleAndKeywords(args, keywords, "OO:Synchronized", (char **)(uintptr_t)names, &obj, &lock))
		return -1;
	PyObject *old[2] = {self->obj, self->lock};
	Py_INCREF(obj);
	self->obj = obj;
	Py_INCREF(lock);
	self->lock = lock;
	Py_XDECREF(old[0]);
	Py_XDECREF(old[1]);
	self->ours = false;
	if (!PyObject_TypeCheck(lock, shmdpy_semlock_type))
		return 0;
	PyObject *acquire = PyObject_GetAttrString((PyObject *)Py_TYPE(lock), "acquire");
	PyObject *release = PyObject_GetAttrString((PyObject *)Py_TYPE(lock), "release");
	self->ours = acquire == plain_acquire && release == plain_release;
	Py_XDECREF(acquire);
	Py_XDECREF(release);
	return acquire == NULL || release == NULL ? -1 : 0;
}

static int base_traverse(PyObject *object, visitproc visit, void *arg)
{
	struct synchronized *self = (struct synchronized *)object;
	Py_VISIT(Py_TYPE(object));
	Py_VISIT(self->obj);
	Py_VISIT(self->lock);
	Py_VISIT(self->item);
	return 0;
}

static int base_clear(PyObject *object)
{
	struct synchronized *self = (struct synchronized *)object;
	Py_CLEAR(self->obj);
	Py_CLEAR(self->lock);
	Py_CLEAR(self->item);
	return 0;
}

static void base_dealloc(PyObject *object)
{
	PyTypeObject *type = Py_TYPE(object);
	PyObject_GC_UnTrack(object);
	if (((struct synchronized *)object)->weak != NULL)
		PyObject_ClearWeakRefs(object);
	(void)base_clear(object);
	((freefunc)PyType_GetSlot(type, Py_tp_free))(object);
	Py_DECREF(type);
}

static PyObject *base_bind(PyObject *object, PyObject *args)
{
	struct synchronized *self = (struct synchronized *)object;
	PyObject *item;
	int bracketed;
	if (!PyArg_ParseTuple(args, "O!p:_bind", shmdpy_handle_type, &item, &bracketed))
		return NULL;
	PyObject *old = (PyObject *)self->item;
	Py_INCREF(item);
	self->item = (struct shmdpy_handle *)item;
	Py_XDECREF(old);
	bool value = self->item->kind == &shmdpy_value_kind;
	self->code = value ? shmd_value_code(self->item->handle) : 0;
	self->bracketed = bracketed && !value;
	Py_RETURN_NONE;
}

static PyObject *base_get_obj(PyObject *self, PyObject *unused)
{
	(void)unused;
	PyObject *obj = ((struct synchronized *)self)->obj;
	Py_INCREF(obj);
	return obj;
}

static PyObject *base_get_lock(PyObject *self, PyObject *unused)
{
	(void)unused;
	PyObject *lock = ((struct synchronized *)self)->lock;
	Py_INCREF(lock);
	return lock;
}

static PyObject *lock_attribute(PyObject *self, void *name)
{
	return PyObject_GetAttrString(((struct synchronized *)self)->lock, name);
}

static PyObject *base_enter(PyObject *self, PyObject *unused)
{
	(void)unused;
	return PyObject_CallMethod(((struct synchronized *)self)->lock, "__enter__", NULL);
}

static PyObject *base_exit(PyObject *self, PyObject *args)
{
	PyObject *exit = PyObject_GetAttrString(((struct synchronized *)self)->lock, "__exit__");
	PyObject *result = exit == NULL ? NULL : PyObject_CallObject(exit, args);
	Py_XDECREF(exit);
	return result;
}

static PyObject *base_repr(PyObject *self)
{
	PyObject *name = PyObject_GetAttrString((PyObject *)Py_TYPE(self), "__name__");
	if (name == NULL)
		return NULL;
	PyObject *text = PyUnicode_FromFormat("<%U wrapper for %S>", name, ((struct synchronized *)self)->obj);
	Py_DECREF(name);
	return text;
}

static PyMethodDef base_methods[] = {
	{"get_obj", base_get_obj, METH_NOARGS, "get_obj($self, /)\n--\n\nThe ctypes object, which no lock guards."},
	{"get_lock", base_get_lock, METH_NOARGS, "get_lock($self, /)\n--\n\nThe lock, for what takes several accesses."},
	{"__enter__", base_enter, METH_NOARGS, "Acquires the lock."},
	{"__exit__", base_exit, METH_VARARGS, "Releases the lock."},
	{"_bind", base_bind, METH_VARARGS, "_bind(handle, bracketed): obj is in the memory of that Value or Array."},
	{NULL, NULL, 0, NULL},
};

static char acquire_name[] = "acquire";
static char release_name[] = "release";

static PyGetSetDef base_getset[] = {
	{"acquire", lock_attribute, NULL, "acquire() of the lock.", acquire_name},
	{"release", lock_attribute, NULL, "release() of the lock.", release_name},
	{NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef base_members[] = {
	{"_obj", T_OBJECT, offsetof(struct synchronized, obj), READONLY, NULL},
	{"_lock", T_OBJECT, offsetof(struct synchronized, lock), READONLY, NULL},
	{"__weaklistoffset__", T_PYSSIZET, offsetof(struct synchronized, weak), READONLY, NULL},
	{NULL, 0, 0, 0, NULL},
};

static PyType_Slot base_slots[] = {
	{Py_tp_init, base_init},
	{Py_tp_traverse, base_traverse},
	{Py_tp_clear, base_clear},
	{Py_tp_dealloc, base_dealloc},
	{Py_tp_repr, base_repr},
	{Py_tp_methods, base_methods},
	{Py_tp_getset, base_getset},
	{Py_tp_members, base_members},
	{Py_tp_doc, SHMDPY_TEXT("A ctypes object and its lock; see shmd.multiprocessing.sharedctypes.")},
	{0, NULL},
};

static PyType_Spec base_spec = {
	.name = "shmd._shmd.SynchronizedBase",
	.basicsize = sizeof(struct synchronized),
	.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
	.slots = base_slots,
};

/* ---- SynchronizedValue ---- */

/* What ctypes makes of a number: integers wrap, floats round. False: obj shall see to it. */
static bool packed(char code, PyObject *object, void *ret_item)
{
	if (strchr("bBhHiIlLqQ", code) != NULL && PyLong_Check(object)) {
		unsigned long long bits = PyLong_AsUnsignedLongLongMask(object);
		memcpy(ret_item, &bits, sizeof bits); /* little endian: the low bytes come first */
		return true;
	}
	if (!PyFloat_Check(object))
		return false;
	double number = PyFloat_AsDouble(object);
	float single = (float)number;
	if (code == 'd')
		memcpy(ret_item, &number, sizeof number);
	else if (code == 'f')
		memcpy(ret_item, &single, sizeof single);
	return code == 'd' || code == 'f';
}

static int usable(struct synchronized *self)
{
	return self->code != 0 ? shmdpy_handle_ready(self->item) : 0;
}

static PyObject *value_get(PyObject *object, void *unused)
{
	(void)unused;
	struct synchronized *self = (struct synchronized *)object;
	char item[SHMDPY_ITEM_MAX];
	if (usable(self) < 0 || enter(self) < 0)
		return NULL;
	if (self->code == 0) {
		PyObject *value = PyObject_GetAttrString(self->obj, "value");
		if (leave(self) < 0)
			Py_CLEAR(value);
		return value;
	}
	int result = shmd_value_load(self->item->handle, item);
	if (leave(self) < 0)
		return NULL;
	return result < 0 ? shmdpy_raise(result, self->item) : shmdpy_item_unpack(self->code, item);
}

static int value_set(PyObject *object, PyObject *value, void *unused)
{
	(void)unused;
	struct synchronized *self = (struct synchronized *)object;
	char item[SHMDPY_ITEM_MAX];
	if (value == NULL) {
		PyErr_SetString(PyExc_AttributeError, "can't delete attribute 'value'");
		return -1;
	}
	if (usable(self) < 0 || enter(self) < 0)
		return -1;
	int result = 0;
	if (self->code == 0 || !packed(self->code, value, item)) {
		if (PyObject_SetAttrString(self->obj, "value", value) == 0 && self->code != 0) {
			result = shmd_value_load(self->item->handle, item);
			if (result == 0)
				result = shmd_value_store(self->item->handle, item); /* which makes it a change */
		}
	} else {
		result = shmd_value_store(self->item->handle, item);
	}
	if (leave(self) < 0)
		return -1;
	if (result < 0)
		shmdpy_raise(result, self->item);
	return result < 0 ? -1 : 0;
}

static PyGetSetDef value_getset[] = {
	{"value", value_get, value_set, "The value; the lock is held while it is read or written.", NULL},
	{NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot value_slots[] = {
	{Py_tp_getset, value_getset},
	{Py_tp_traverse, base_traverse},
	{Py_tp_clear, base_clear},
	{Py_tp_doc, SHMDPY_TEXT("A ctypes scalar and its lock.")},
	{0, NULL},
};

static PyType_Spec value_spec = {
	.name = "shmd._shmd.SynchronizedValue",
	.basicsize = sizeof(struct synchronized),
	.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
	.slots = value_slots,
};

/* ---- SynchronizedArray ---- */

static Py_ssize_t array_length(PyObject *self)
{
	return PyObject_Size(((struct synchronized *)self)->obj);
}

static PyObject *array_subscript(PyObject *object, PyObject *index)
{
	struct synchronized *self = (struct synchronized *)object;
	if (enter(self) < 0)
		return NULL;
	PyObject *value = PyObject_GetItem(self->obj, index);
	if (leave(self) < 0)
		Py_CLEAR(value);
	return value;
}

static PyObject *array_item(PyObject *object, Py_ssize_t index)
{
	struct synchronized *self = (struct synchronized *)object;
	if (enter(self) < 0)
		return NULL;
	PyObject *value = PySequence_GetItem(self->obj, index);
	if (leave(self) < 0)
		Py_CLEAR(value);
	return value;
}

/* The lock is held; brackets a write. A status. */
static int begin(struct synchronized *self)
{
	return self->bracketed && shmdpy_handle_ready(self->item) == 0 ? shmd_array_begin_write(self->item->handle) : 0;
}

static void end(struct synchronized *self)
{
	if (self->bracketed && self->item->handle != NULL)
		(void)shmd_array_end_write(self->item->handle); /* it began */
}

static int array_assign(PyObject *object, PyObject *index, PyObject *value)
{
	struct synchronized *self = (struct synchronized *)object;
	if (value == NULL) {
		PyErr_SetString(PyExc_TypeError, "'SynchronizedArray' object doesn't support item deletion");
		return -1;
	}
	if (enter(self) < 0)
		return -1;
	int result = begin(self);
	if (result == 0 && PyErr_Occurred() == NULL) {
		(void)PyObject_SetItem(self->obj, index, value);
		end(self);
	}
	if (leave(self) < 0)
		return -1;
	if (result < 0)
		shmdpy_raise(result, self->item);
	return result < 0 ? -1 : 0;
}

static PyObject *array_attribute(PyObject *object, void *name)
{
	struct synchronized *self = (struct synchronized *)object;
	if (enter(self) < 0)
		return NULL;
	PyObject *value = PyObject_GetAttrString(self->obj, name);
	if (leave(self) < 0)
		Py_CLEAR(value);
	return value;
}

static int array_set_attribute(PyObject *object, PyObject *value, void *name)
{
	struct synchronized *self = (struct synchronized *)object;
	if (value == NULL) {
		PyErr_Format(PyExc_AttributeError, "can't delete attribute '%s'", (const char *)name);
		return -1;
	}
	if (enter(self) < 0)
		return -1;
	int result = begin(self);
	if (result == 0 && PyErr_Occurred() == NULL) {
		(void)PyObject_SetAttrString(self->obj, name, value);
		end(self);
	}
	if (leave(self) < 0)
		return -1;
	if (result < 0)
		shmdpy_raise(result, self->item);
	return result < 0 ? -1 : 0;
}

static PyType_Slot array_slots[] = {
	{Py_mp_length, array_length},
	{Py_mp_subscript, array_subscript},
	{Py_mp_ass_subscript, array_assign},
	{Py_sq_length, array_length},
	{Py_sq_item, array_item},
	{Py_tp_traverse, base_traverse},
	{Py_tp_clear, base_clear},
	{Py_tp_doc, SHMDPY_TEXT("A ctypes array and its lock, which is held for each access.")},
	{0, NULL},
};

static PyType_Spec array_spec = {
	.name = "shmd._shmd.SynchronizedArray",
	.basicsize = sizeof(struct synchronized),
	.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
	.slots = array_slots,
};

static char value_name[] = "value";
static char raw_name[] = "raw";

static PyGetSetDef string_getset[] = {
	{"value", array_attribute, array_set_attribute, "The bytes up to the first NUL.", value_name},
	{"raw", array_attribute, array_set_attribute, "All bytes.", raw_name},
	{NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot string_slots[] = {
	{Py_tp_getset, string_getset},
	{Py_tp_traverse, base_traverse},
	{Py_tp_clear, base_clear},
	{Py_tp_doc, SHMDPY_TEXT("An array of chars and its lock.")},
	{0, NULL},
};

static PyType_Spec string_spec = {
	.name = "shmd._shmd.SynchronizedString",
	.basicsize = sizeof(struct synchronized),
	.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
	.slots = string_slots,
};

int shmdpy_synchronized_init(PyObject *module)
{
	plain_acquire = PyObject_GetAttrString((PyObject *)shmdpy_semlock_type, "acquire");
	plain_release = PyObject_GetAttrString((PyObject *)shmdpy_semlock_type, "release");
	if (plain_acquire == NULL || plain_release == NULL)
		return -1;
	PyTypeObject *base = shmdpy_add_type(module, &base_spec, NULL);
	if (base == NULL || shmdpy_add_type(module, &value_spec, base) == NULL)
		return -1;
	PyTypeObject *array = shmdpy_add_type(module, &array_spec, base);
	return array == NULL || shmdpy_add_type(module, &string_spec, array) == NULL ? -1 : 0;
}
