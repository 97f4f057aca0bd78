/* SPDX-License-Identifier: Apache-2.0
 *
 * client.c - the type Client: one connection of this process to the daemon. In a forked
 * child it connects anew by itself.
 */
#include "shmd_python.h"

#include <poll.h>
#include <structmember.h>
#include <time.h>

PyTypeObject *shmdpy_client_type;

static struct shmdpy_client *first; /* of the registry */

static void enter(struct shmdpy_client *self)
{
	self->next = first;
	if (first != NULL)
		first->previous = self;
	first = self;
}

static void leave(struct shmdpy_client *self)
{
	if (self->previous != NULL)
		self->previous->next = self->next;
	else if (first == self)
		first = self->next;
	if (self->next != NULL)
		self->next->previous = self->previous;
	self->next = NULL;
	self->previous = NULL;
}

#define REATTACH_NS INT64_C(5000000000)
#define PAUSE_MAX_MS 50

static int64_t now_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Connects in a forked child, which is as patient with a daemon that is being restarted as its
 * parent, who comes back to the next one. */
static int connect_again(const struct shmd_connect_options *options, struct shmd_client **ret_client)
{
	int64_t patience_ns = options->reattach_timeout_ns == 0 ? REATTACH_NS : options->reattach_timeout_ns;
	int64_t deadline_ns = now_ns() + patience_ns;
	for (int pause_ms = 1;; pause_ms = pause_ms < PAUSE_MAX_MS ? 2 * pause_ms : PAUSE_MAX_MS) {
		int result = shmd_connect(options, ret_client);
		if ((result != SHMD_E_NO_DAEMON && result != SHMD_E_LOST) || now_ns() >= deadline_ns)
			return result;
		(void)poll(NULL, 0, pause_ms);
	}
}

/* Connects; a status. Without the GIL, unless a fork has just left one thread. */
static int connect_it(struct shmdpy_client *self, bool alone)
{
	struct shmd_connect_options options = {.size = sizeof options, .reattach_timeout_ns = self->reattach_timeout_ns};
	if (self->software != Py_None && (options.software = PyUnicode_AsUTF8AndSize(self->software, NULL)) == NULL)
		return SHMD_E_INVALID;
	PyObject *path = self->socket == Py_None ? NULL : PyUnicode_EncodeFSDefault(self->socket);
	if (path == NULL && self->socket != Py_None)
		return SHMD_E_INVALID;
	if (path != NULL)
		options.socket_path = PyBytes_AsString(path);
	struct shmd_client *client = NULL;
	int result;
	if (alone) {
		result = connect_again(&options, &client);
	} else {
		Py_BEGIN_ALLOW_THREADS
		result = shmd_connect(&options, &client);
		Py_END_ALLOW_THREADS
	}
	Py_XDECREF(path);
	if (result < 0)
		return result;
	if (self->client != NULL || self->closed) /* another thread was faster */
		shmd_close(client);
	else
		self->client = client;
	return 0;
}

static PyObject *raise_closed(void)
{
	return shmdpy_raise_text(SHMD_E_CLOSED, NULL, "the client is closed");
}

struct shmd_client *shmdpy_client_ready(struct shmdpy_client *self)
{
	if (self->client == NULL && !self->closed) {
		int result = connect_it(self, false);
		if (result < 0) {
			shmdpy_raise_said(result, NULL);
			return NULL;
		}
	}
	if (self->closed) {
		raise_closed();
		return NULL;
	}
	return self->client;
}

void shmdpy_client_after_fork(void)
{
	for (struct shmdpy_client *client = first; client != NULL; client = client->next) {
		if (client->users == 0)
			shmd_close(client->client); /* else a thread is in it, maybe this one, in a signal handler */
		client->client = NULL;
		client->users = 0;
		/* No daemon now: its objects try again when they are used, and then raise. */
		if (connect_it(client, true) < 0)
			PyErr_Clear();
	}
}

/* ---- the type ---- */

static PyObject *client_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
	static const char *const names[] = {"socket", "software", "reattach_timeout", NULL};
	PyObject *socket = Py_None;
	PyObject *software = Py_None;
	PyObject *reattach = Py_None;
	if (!PyArg_ParseTupleAndKeywords(args, keywords, "|O$OO:connect", (char **)(uintptr_t)names, &socket, &software,
	                                 &reattach))
		return NULL;
	PyObject *path = Py_None;
	if (socket == Py_None)
		Py_INCREF(path);
	else if (!PyUnicode_FSDecoder(socket, &path))
		return NULL;
	if (software != Py_None && !PyUnicode_Check(software)) {
		PyErr_Format(PyExc_TypeError, "software is a str or None, not %R", Py_TYPE(software));
		Py_DECREF(path);
		return NULL;
	}
	int64_t reattach_ns = 0;
	if (reattach != Py_None && shmdpy_timeout(reattach, &reattach_ns) < 0) {
		Py_DECREF(path);
		return NULL;
	}
	allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
	struct shmdpy_client *self = (struct shmdpy_client *)allocate(type, 0);
	if (self == NULL) {
		Py_DECREF(path);
		return NULL;
	}
	self->socket = path;
	Py_INCREF(software);
	self->software = software;
	/* 0 is libshmd's default, and -1 "lost at once", which here is said by 0. */
	self->reattach_timeout_ns = reattach == Py_None ? 0 : reattach_ns == 0 ? -1 : reattach_ns;
	int result = connect_it(self, false);
	if (result < 0)
		shmdpy_raise_said(result, NULL);
	/* Which one, if the default was meant: a child and a pickle must find the same. */
	PyObject *found = result < 0 ? NULL : PyUnicode_DecodeFSDefault(shmd_socket_path(self->client));
	if (found == NULL) {
		Py_DECREF((PyObject *)self);
		return NULL;
	}
	Py_DECREF(self->socket);
	self->socket = found;
	enter(self);
	return (PyObject *)self;
}

static void finish(struct shmdpy_client *self)
{
	struct shmd_client *client = self->client;
	self->client = NULL;
	if (client == NULL)
		return;
	Py_BEGIN_ALLOW_THREADS
	shmd_close(client);
	Py_END_ALLOW_THREADS
}

void shmdpy_client_use(struct shmdpy_client *self)
{
	self->users++;
	Py_INCREF((PyObject *)self);
}

void shmdpy_client_leave(struct shmdpy_client *self)
{
	if (--self->users == 0 && self->closed)
		finish(self);
	Py_DECREF((PyObject *)self);
}

static void give_up(struct shmdpy_client *self)
{
	self->closed = true;
	leave(self);
	if (self->users == 0)
		finish(self);
}

static void client_dealloc(PyObject *object)
{
	struct shmdpy_client *self = (struct shmdpy_client *)object;
	PyTypeObject *type = Py_TYPE(object);
	if (self->weak != NULL)
		PyObject_ClearWeakRefs(object);
	give_up(self);
	Py_XDECREF(self->socket);
	Py_XDECREF(self->software);
	((freefunc)PyType_GetSlot(type, Py_tp_free))(object);
	Py_DECREF(type);
}

static PyObject *client_close(PyObject *self, PyObject *unused)
{
	(void)unused;
	give_up((struct shmdpy_client *)self);
	Py_RETURN_NONE;
}

static PyObject *client_enter(PyObject *self, PyObject *unused)
{
	(void)unused;
	if (((struct shmdpy_client *)self)->closed)
		return raise_closed();
	Py_INCREF(self);
	return self;
}

static PyObject *client_exit(PyObject *self, PyObject *args)
{
	(void)args;
	return client_close(self, NULL);
}

/* ---- control calls ---- */

/* An object by its name or id: for destroy, chmod, chown. */
struct target {
	const char *name;
	uint64_t id;
};

static int target_of(PyObject *object, struct target *ret_target)
{
	*ret_target = (struct target){0};
	if (PyUnicode_Check(object)) {
		ret_target->name = PyUnicode_AsUTF8AndSize(object, NULL);
		return ret_target->name == NULL ? -1 : 0;
	}
	return shmdpy_unsigned("the id", object, UINT64_MAX, &ret_target->id);
}

static PyObject *outcome(int result)
{
	if (result < 0)
		return shmdpy_raise_said(result, NULL);
	Py_RETURN_NONE;
}

static PyObject *client_unlink(PyObject *self, PyObject *name)
{
	struct shmd_client *client = shmdpy_client_ready((struct shmdpy_client *)self);
	const char *text = client == NULL ? NULL : PyUnicode_AsUTF8AndSize(name, NULL);
	if (text == NULL)
		return NULL;
	int result;
	SHMDPY_CONTROL((struct shmdpy_client *)self, result, shmd_unlink(client, text));
	return outcome(result);
}

static PyObject *client_destroy(PyObject *self, PyObject *object)
{
	struct target target;
	struct shmd_client *client = shmdpy_client_ready((struct shmdpy_client *)self);
	if (client == NULL || target_of(object, &target) < 0)
		return NULL;
	int result;
	SHMDPY_CONTROL((struct shmdpy_client *)self, result,
	               target.name != NULL ? shmd_destroy(client, target.name)
	                                   : shmd_destroy_id(client, target.id));
	return outcome(result);
}

static PyObject *client_chmod(PyObject *self, PyObject *args)
{
	PyObject *object;
	unsigned int mode;
	struct target target;
	if (!PyArg_ParseTuple(args, "OI:chmod", &object, &mode) || target_of(object, &target) < 0)
		return NULL;
	struct shmd_client *client = shmdpy_client_ready((struct shmdpy_client *)self);
	if (client == NULL)
		return NULL;
	int result;
	SHMDPY_CONTROL((struct shmdpy_client *)self, result,
	               target.name != NULL ? shmd_chmod(client, target.name, mode)
	                                   : shmd_chmod_id(client, target.id, mode));
	return outcome(result);
}

static PyObject *client_chown(PyObject *self, PyObject *args)
{
	PyObject *object;
	long long uid;
	long long gid;
	struct target target;
	if (!PyArg_ParseTuple(args, "OLL:chown", &object, &uid, &gid) || target_of(object, &target) < 0)
		return NULL;
	struct shmd_client *client = shmdpy_client_ready((struct shmdpy_client *)self);
	if (client == NULL)
		return NULL;
	int result;
	SHMDPY_CONTROL((struct shmdpy_client *)self, result,
	               target.name != NULL ? shmd_chown(client, target.name, uid, gid)
	                                   : shmd_chown_id(client, target.id, uid, gid));
	return outcome(result);
}

static PyMethodDef methods[] = {
	{"close", client_close, METH_NOARGS,
	 "close($self, /)\n--\n\nGives the client up. Its objects go on; the connection ends with the last of them."},
	{"unlink", client_unlink, METH_O,
	 "unlink($self, name, /)\n--\n\n"
	 "Takes the name away: who has the object goes on with it, and it goes with the last\n"
	 "of them. Raises NotFound, BadName, Permission."},
	{"destroy", client_destroy, METH_O,
	 "destroy($self, object, /)\n--\n\n"
	 "Ends the object, given by name or id, for everybody: who waits or comes later gets\n"
	 "Removed. Raises NotFound, BadName, Permission."},
	{"chmod", client_chmod, METH_VARARGS,
	 "chmod($self, /, object, mode)\n--\n\n"
	 "Sets who may open the object, given by name or id, from now on; mode is that of a\n"
	 "file, 0o666 at most. Raises NotFound, BadName, Invalid, Permission."},
	{"chown", client_chown, METH_VARARGS,
	 "chown($self, /, object, uid, gid)\n--\n\n"
	 "Gives the object, by name or id, another owner and group; -1 leaves one as it\n"
	 "is. Raises NotFound, BadName, Invalid, Quota, Permission."},
	{"__enter__", client_enter, METH_NOARGS, NULL},
	{"__exit__", client_exit, METH_VARARGS, "Closes the client."},
	{NULL, NULL, 0, NULL},
};

static PyMemberDef members[] = {
	{"socket", T_OBJECT, offsetof(struct shmdpy_client, socket), READONLY,
	 "The path of the daemon's socket."},
	{"closed", T_BOOL, offsetof(struct shmdpy_client, closed), READONLY, "Whether close() was called."},
	{"__weaklistoffset__", T_PYSSIZET, offsetof(struct shmdpy_client, weak), READONLY, NULL},
	{NULL, 0, 0, 0, NULL},
};

static PyType_Slot slots[] = {
	{Py_tp_new, client_new},
	{Py_tp_dealloc, client_dealloc},
	{Py_tp_methods, methods},
	{Py_tp_members, members},
	{Py_tp_doc,
	 SHMDPY_TEXT("Client(socket=None, *, software=None, reattach_timeout=None)\n--\n\n"
	             "A connection of this process to the daemon; see shmd.connect().")},
	{0, NULL},
};

static PyType_Spec spec = {
	.name = "shmd.Client",
	.basicsize = sizeof(struct shmdpy_client),
	.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
	.slots = slots,
};

int shmdpy_client_init(PyObject *module)
{
	shmdpy_client_type = shmdpy_add_type(module, &spec, NULL);
	return shmdpy_client_type == NULL ? -1 : 0;
}
