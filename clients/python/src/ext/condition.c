/* SPDX-License-Identifier: Apache-2.0
 *
 * condition.c - the type Condition.
 */
#include "shmd_python.h"

SHMDPY_KIND_ATTACH(condition)
SHMDPY_KIND_FUNCTIONS(condition)
SHMDPY_KIND_LOCK(condition)

const struct shmdpy_kind shmdpy_condition_kind = {
	.noun = "condition",
	.takes = SHMDPY_TAKES_MUTEX,
	.attach = attach,
	.detach = detach,
	.id = id_of,
	.created = created,
	.lock = &lock_functions,
};

SHMDPY_MAKERS(shmdpy_condition_kind)

/* The mutex is held afterwards, whatever the result: an exception leaves it so. */
static PyObject *result_of(struct shmdpy_handle *self, int result)
{
	if (result < 0)
		return shmdpy_raise(result, self);
	if (result == 0)
		Py_RETURN_NONE;
	return shmdpy_lock_notice((PyObject *)self, NULL);
}

static PyObject *condition_wait(PyObject *object, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
	int64_t timeout_ns;
	struct shmdpy_handle *self = shmdpy_ready(object);
	if (self == NULL || shmdpy_timeout_only("wait", args, count, keywords, &timeout_ns) < 0)
		return NULL;
	int result;
	/* Not a try first: that would say at once that it has to wait. */
	SHMDPY_UNLOCKED(self, result, shmd_condition_wait(self->handle, timeout_ns));
	return result_of(self, result);
}

/* ---- wait_for ---- */

struct question {
	PyObject *predicate;
	PyObject *answer; /* the last one; owned */
};

/* Called by libshmd, without the GIL. */
static bool ask(void *argument)
{
	struct question *question = argument;
	PyGILState_STATE state = PyGILState_Ensure();
	PyObject *answer = PyObject_CallNoArgs(question->predicate);
	int truth = answer == NULL ? -1 : PyObject_IsTrue(answer);
	Py_XDECREF(question->answer);
	question->answer = answer;
	PyGILState_Release(state);
	return truth != 0; /* an exception ends the wait too */
}

static PyObject *condition_wait_for(PyObject *object, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
	static const char *const names[] = {"predicate", "timeout", NULL};
	PyObject *given[2];
	int64_t timeout_ns;
	struct shmdpy_handle *self = shmdpy_ready(object);
	if (self == NULL || shmdpy_arguments("wait_for", args, count, keywords, names, 1, given) < 0 ||
	    shmdpy_timeout(given[1], &timeout_ns) < 0)
		return NULL;
	struct question question = {.predicate = given[0]};
	int result;
	SHMDPY_UNLOCKED(self, result, shmd_condition_wait_for(self->handle, ask, &question, timeout_ns));
	if (PyErr_Occurred() != NULL) {
		Py_XDECREF(question.answer);
		return NULL;
	}
	if (result == 0)
		return question.answer;
	Py_XDECREF(question.answer);
	return result_of(self, result);
}

/* ---- notifying ---- */

static PyObject *condition_notify(PyObject *object, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
	static const char *const names[] = {"n", NULL};
	PyObject *given[1];
	uint64_t n = 1;
	struct shmdpy_handle *self = shmdpy_ready(object);
	if (self == NULL || shmdpy_arguments("notify", args, count, keywords, names, 0, given) < 0 ||
	    (given[0] != NULL && shmdpy_unsigned("n", given[0], UINT32_MAX, &n) < 0))
		return NULL;
	return shmdpy_none_or_raise(shmd_condition_notify(self->handle, (uint32_t)n), self);
}

static PyObject *condition_notify_all(PyObject *object, PyObject *unused)
{
	(void)unused;
	struct shmdpy_handle *self = shmdpy_ready(object);
	return self == NULL ? NULL : shmdpy_none_or_raise(shmd_condition_notify_all(self->handle), self);
}

static PyMethodDef methods[] = {
	SHMDPY_MAKER("create", make_new,
	             "create(client, name, mutex, *, mode=0o600, seats_max=64, lifetime='default')\n\n"
	             "Creates a condition that is bound to the Mutex. Raises Exists, BadName, Quota, NoSpace."),
	SHMDPY_MAKER("open", make_open, "open(client, name=None, *, id=0, ticket=None)\n\nRaises NotFound, Permission."),
	SHMDPY_MAKER("open_or_create", make_either, "As create(), or as open() if the condition exists."),
	{"wait", SHMDPY_FAST(condition_wait),
	 "wait($self, /, timeout=None)\n--\n\n"
	 "Releases the mutex, sleeps until it is notified or timeout seconds are over, and takes\n"
	 "the mutex again, also if it raises. It may end without a cause: look in a loop. Returns\n"
	 "None, or a Notice if an owner died meanwhile. Raises WouldBlock (timeout 0, which\n"
	 "releases nothing), TimedOut, NotOwner, NotRecoverable, Removed."},
	{"wait_for", SHMDPY_FAST(condition_wait_for),
	 "wait_for($self, /, predicate, timeout=None)\n--\n\n"
	 "Waits until the predicate, called while the mutex is held, is true, and returns what it\n"
	 "returned; or a Notice, if an owner died, and then the predicate was not asked since.\n"
	 "Raises as wait(), and what the predicate raises."},
	{"notify", SHMDPY_FAST(condition_notify),
	 "notify($self, /, n=1)\n--\n\nWakes n of those who wait. Sleeps for nobody. Raises NotOwner."},
	{"notify_all", condition_notify_all, METH_NOARGS,
	 "notify_all($self, /)\n--\n\nWakes all who wait. Raises NotOwner."},
	SHMDPY_LOCK_METHODS,
	{NULL, NULL, 0, NULL},
};

static PyType_Slot slots[] = {
	{Py_tp_methods, methods},
	{Py_tp_doc,
	 SHMDPY_TEXT("As threading.Condition, bound to one Mutex, which lock() and `with` take. When a process\n"
	             "dies those who wait are woken, so that no notification is lost with it.")},
	{0, NULL},
};

static PyType_Spec spec = {
	.name = "shmd.Condition",
	.basicsize = sizeof(struct shmdpy_handle),
	.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
	.slots = slots,
};

int shmdpy_condition_init(PyObject *module)
{
	return shmdpy_add_type(module, &spec, shmdpy_handle_type) == NULL ? -1 : 0;
}
