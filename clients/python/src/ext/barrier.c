/* SPDX-License-Identifier: Apache-2.0
 *
 * barrier.c - the type Barrier.
 */
#include "shmd_python.h"

SHMDPY_KIND_ATTACH(barrier)
SHMDPY_KIND_FUNCTIONS(barrier)

const struct shmdpy_kind shmdpy_barrier_kind = {
	.noun = "barrier",
	.takes = SHMDPY_TAKES_PARTIES,
	.attach = attach,
	.detach = detach,
	.id = id_of,
	.created = created,
};

SHMDPY_MAKERS(shmdpy_barrier_kind)

static PyTypeObject *state_type;

static PyStructSequence_Field state_fields[] = {
	{"parties", "how many must arrive"},
	{"waiting", "have arrived, while more are missing; else 0"},
	{"acting", "all have arrived, and one of them runs its action"},
	{"broken", "until it is reset"},
	{"reasons", "why: BROKEN_BY_ bits; 0 = not broken"},
	{"generation", "how often it opened or was reset, modulo 2**34"},
	{NULL, NULL},
};

static PyStructSequence_Desc state_description = {
	"shmd.BarrierState", "What a barrier is at one moment.", state_fields, 6};

/* ---- waiting ---- */

/* Called by libshmd, without the GIL. */
static int act(void *action)
{
	PyGILState_STATE state = PyGILState_Ensure();
	PyObject *result = PyObject_CallNoArgs(action);
	int failed = result == NULL;
	Py_XDECREF(result);
	PyGILState_Release(state);
	return failed ? SHMD_E_CANCELLED : 0; /* its exception stays */
}

static int arrive(struct shmd_barrier *barrier, int64_t timeout_ns, PyObject *action, uint32_t *ret_index)
{
	return action == NULL ? shmd_barrier_wait(barrier, timeout_ns, ret_index)
	                      : shmd_barrier_wait_action(barrier, timeout_ns, act, action, ret_index);
}

static PyObject *barrier_wait(PyObject *object, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
	static const char *const names[] = {"timeout", "action", NULL};
	PyObject *given[2];
	int64_t timeout_ns;
	struct shmdpy_handle *self = shmdpy_ready(object);
	if (self == NULL || shmdpy_arguments("wait", args, count, keywords, names, 0, given) < 0 ||
	    shmdpy_timeout(given[0], &timeout_ns) < 0)
		return NULL;
	PyObject *action = given[1] == Py_None ? NULL : given[1];
	uint32_t index = 0;
	int result;
	/* Without a try first: its action would run with the GIL held. */
	SHMDPY_UNLOCKED(self, result, arrive(self->handle, timeout_ns, action, &index));
	if (result < 0 || PyErr_Occurred() != NULL)
		return shmdpy_raise(result, self);
	return PyLong_FromUnsignedLong(index);
}

/* ---- breaking and mending ---- */

static PyObject *barrier_abort(PyObject *object, PyObject *unused)
{
	(void)unused;
	struct shmdpy_handle *self = shmdpy_ready(object);
	return self == NULL ? NULL : shmdpy_none_or_raise(shmd_barrier_abort(self->handle), self);
}

static PyObject *barrier_notice(PyObject *object, PyObject *unused)
{
	(void)unused;
	struct shmd_notice notice;
	struct shmdpy_handle *self = shmdpy_ready(object);
	if (self == NULL)
		return NULL;
	int result = shmd_barrier_notice(self->handle, &notice);
	return result < 0 ? shmdpy_raise(result, self) : shmdpy_notice(&notice);
}

static PyObject *barrier_reset(PyObject *object, PyObject *unused)
{
	(void)unused;
	struct shmdpy_handle *self = shmdpy_ready(object);
	if (self == NULL)
		return NULL;
	int result = shmd_barrier_reset(self->handle);
	if (result < 0)
		return shmdpy_raise(result, self);
	if (result == 0)
		Py_RETURN_NONE;
	return barrier_notice(object, NULL);
}

static PyObject *barrier_state(PyObject *object, PyObject *unused)
{
	(void)unused;
	struct shmd_barrier_state state;
	struct shmdpy_handle *self = shmdpy_ready(object);
	if (self == NULL)
		return NULL;
	int result = shmd_barrier_state(self->handle, &state);
	if (result < 0)
		return shmdpy_raise(result, self);
	PyObject *tuple = PyStructSequence_New(state_type);
	if (tuple == NULL)
		return NULL;
	PyStructSequence_SetItem(tuple, 0, PyLong_FromUnsignedLong(state.parties));
	PyStructSequence_SetItem(tuple, 1, PyLong_FromUnsignedLong(state.waiting));
	PyStructSequence_SetItem(tuple, 2, PyBool_FromLong(state.acting));
	PyStructSequence_SetItem(tuple, 3, PyBool_FromLong(state.broken));
	PyStructSequence_SetItem(tuple, 4, PyLong_FromUnsignedLong(state.reasons));
	PyStructSequence_SetItem(tuple, 5, PyLong_FromUnsignedLongLong(state.generation));
	if (PyErr_Occurred() != NULL)
		Py_CLEAR(tuple);
	return tuple;
}

static PyMethodDef methods[] = {
	SHMDPY_MAKER("create", make_new,
	             "create(client, name, parties, *, mode=0o600, seats_max=64, lifetime='default')\n\n"
	             "Creates a barrier that opens when so many have arrived, 1 to 4094. Raises Exists,\n"
	             "BadName, Quota, NoSpace, Invalid."),
	SHMDPY_MAKER("open", make_open,
	             "open(client, name=None, *, id=0, ticket=None, read_only=False, party=False)\n\n"
	             "party: this process is a party before it arrives: its death breaks the barrier. Raises\n"
	             "NotFound, Permission."),
	SHMDPY_MAKER("open_or_create", make_either, "As create(), or as open() if the barrier exists."),
	{"wait", SHMDPY_FAST(barrier_wait),
	 "wait($self, /, timeout=None, action=None)\n--\n\n"
	 "Arrives, waits up to timeout seconds for the others, and returns how many had arrived\n"
	 "before: 0 to parties - 1, each once. The last one calls its action, if it brought one,\n"
	 "before anybody is let go; what that raises is raised here and breaks the barrier. To time\n"
	 "out breaks it too, as does an exception of a signal handler; timeout 0 arrives only if\n"
	 "that opens the barrier. Raises WouldBlock, TimedOut, Broken, PeerDied, Removed,\n"
	 "and OutcomeUnknown if this thread was stopped while more than 8 meetings went by."},
	{"abort", barrier_abort, METH_NOARGS,
	 "abort($self, /)\n--\n\nBreaks the barrier: who waits or arrives gets Broken. Never waits."},
	{"reset", barrier_reset, METH_NOARGS,
	 "reset($self, /)\n--\n\nMakes it whole and empty again; who waits gets Broken. Returns None, or the Notice of\n"
	 "the death that broke it."},
	{"state", barrier_state, METH_NOARGS,
	 "state($self, /)\n--\n\nWhat it is now, as BarrierState; works read-only too."},
	{"notice", barrier_notice, METH_NOARGS, "notice($self, /)\n--\n\nThe last death of a party, as Notice."},
	{NULL, NULL, 0, NULL},
};

static PyType_Slot slots[] = {
	{Py_tp_methods, methods},
	{Py_tp_doc,
	 SHMDPY_TEXT("Opens when as many have arrived as it has parties, again and again. It breaks for the\n"
	             "others when the process of a party dies.")},
	{0, NULL},
};

static PyType_Spec spec = {
	.name = "shmd.Barrier",
	.basicsize = sizeof(struct shmdpy_handle),
	.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
	.slots = slots,
};

int shmdpy_barrier_init(PyObject *module)
{
	static const struct {
		const char *name;
		long bit;
	} reasons[] = {
		{"BROKEN_BY_TIMEOUT", SHMD_BROKEN_BY_TIMEOUT},
		{"BROKEN_BY_ABORT", SHMD_BROKEN_BY_ABORT},
		{"BROKEN_BY_DEATH", SHMD_BROKEN_BY_DEATH},
		{"BROKEN_BY_ACTION", SHMD_BROKEN_BY_ACTION},
	};
	for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++)
		if (PyModule_AddIntConstant(module, reasons[i].name, reasons[i].bit) < 0)
			return -1;
	state_type = PyStructSequence_NewType(&state_description);
	if (state_type == NULL)
		return -1;
	Py_INCREF((PyObject *)state_type);
	if (PyModule_AddObject(module, "BarrierState", (PyObject *)state_type) < 0)
		return -1;
	return shmdpy_add_type(module, &spec, shmdpy_handle_type) == NULL ? -1 : 0;
}
