/* SPDX-License-Identifier: Apache-2.0
 *
 * event.c - the type Event.
 */
#include "shmd_python.h"

SHMDPY_KIND_ATTACH(event)
SHMDPY_KIND_FUNCTIONS(event)

const struct shmdpy_kind shmdpy_event_kind = {
	.noun = "event",
	.takes = SHMDPY_OPTION_EVENT,
	.attach = attach,
	.detach = detach,
	.id = id_of,
	.created = created,
};

SHMDPY_MAKERS(shmdpy_event_kind)

static PyObject *event_set(PyObject *object, PyObject *unused)
{
	(void)unused;
	struct shmdpy_handle *self = shmdpy_ready(object);
	return self == NULL ? NULL : shmdpy_none_or_raise(shmd_event_set(self->handle), self);
}

static PyObject *event_reset(PyObject *object, PyObject *unused)
{
	(void)unused;
	struct shmdpy_handle *self = shmdpy_ready(object);
	return self == NULL ? NULL : shmdpy_none_or_raise(shmd_event_reset(self->handle), self);
}

static PyObject *event_pulse(PyObject *object, PyObject *unused)
{
	(void)unused;
	struct shmdpy_handle *self = shmdpy_ready(object);
	return self == NULL ? NULL : shmdpy_none_or_raise(shmd_event_pulse(self->handle), self);
}

static PyObject *event_is_set(PyObject *object, PyObject *unused)
{
	(void)unused;
	bool set;
	struct shmdpy_handle *self = shmdpy_ready(object);
	if (self == NULL)
		return NULL;
	int result = shmd_event_is_set(self->handle, &set);
	return result < 0 ? shmdpy_raise(result, self) : PyBool_FromLong(set);
}

static PyObject *event_wait(PyObject *object, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
	int64_t timeout_ns;
	struct shmdpy_handle *self = shmdpy_ready(object);
	if (self == NULL || shmdpy_timeout_only("wait", args, count, keywords, &timeout_ns) < 0)
		return NULL;
	int result;
	SHMDPY_WAIT(self, result, timeout_ns, shmd_event_wait(self->handle, timeout_ns));
	return shmdpy_none_or_raise(result, self);
}

static PyMethodDef methods[] = {
	SHMDPY_MAKER("create", make_new,
	             "create(client, name=None, *, auto_reset=False, set=False, mode=0o600, seats_max=64,\n"
	             "lifetime='default')\n\n"
	             "Creates an event, set if `set`. auto_reset: one wait ends for each set, and resets it.\n"
	             "Raises Exists, BadName, Quota, NoSpace."),
	SHMDPY_MAKER_OPEN,
	SHMDPY_MAKER("open_or_create", make_either, "As create(), or as open() if the event exists."),
	{"set", event_set, METH_NOARGS,
	 "set($self, /)\n--\n\nSets it and ends the waits: all of them, with auto reset one."},
	{"reset", event_reset, METH_NOARGS,
	 "reset($self, /)\n--\n\nResets it. Who waited before a set that was before this is let go all the same."},
	{"pulse", event_pulse, METH_NOARGS,
	 "pulse($self, /)\n--\n\nEnds the waits of all who wait now, and leaves it not set. Raises Unsupported (auto\n"
	 "reset)."},
	{"is_set", event_is_set, METH_NOARGS, "is_set($self, /)\n--\n\nWhether it is set; works read-only too."},
	{"wait", SHMDPY_FAST(event_wait),
	 "wait($self, /, timeout=None)\n--\n\n"
	 "Waits up to timeout seconds for it to be set; None waits for ever, 0 tries. Raises\n"
	 "WouldBlock, TimedOut, Removed, Permission."},
	{NULL, NULL, 0, NULL},
};

static PyType_Slot slots[] = {
	{Py_tp_methods, methods},
	{Py_tp_doc,
	 SHMDPY_TEXT("Set or not set; waits end while it is set.")},
	{0, NULL},
};

static PyType_Spec spec = {
	.name = "shmd.Event",
	.basicsize = sizeof(struct shmdpy_handle),
	.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
	.slots = slots,
};

int shmdpy_event_init(PyObject *module)
{
	return shmdpy_add_type(module, &spec, shmdpy_handle_type) == NULL ? -1 : 0;
}
