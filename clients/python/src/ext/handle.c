/* SPDX-License-Identifier: Apache-2.0
 *
 * handle.c - the type Handle, which all objects inherit: what they are, how they are
 * made, closed, pickled, and opened anew in a forked child.
 */
#include "shmd_python.h"

#include <structmember.h>

PyTypeObject *shmdpy_handle_type;

static struct shmdpy_handle *first; /* of the registry */

static void enter(struct shmdpy_handle *self)
{
	self->previous = NULL;
	self->next = first;
	if (first != NULL)
		first->previous = self;
	first = self;
	self->attached = true;
}

static void leave(struct shmdpy_handle *self)
{
	if (!self->attached)
		return;
	if (self->previous != NULL)
		self->previous->next = self->next;
	else
		first = self->next;
	if (self->next != NULL)
		self->next->previous = self->previous;
	self->attached = false;
}

/* ---- attaching ---- */

static void adopt(struct shmdpy_handle *self, void *handle)
{
	self->handle = handle;
	self->ready = true;
}

int shmdpy_handle_attach(struct shmdpy_handle *self, const struct shmdpy_kind *kind, struct shmdpy_client *client,
                         PyObject *name, const struct shmdpy_wish *wish)
{
	struct shmd_client *connection = shmdpy_client_ready(client);
	if (connection == NULL)
		return -1;
	/* First, for the exception. */
	Py_INCREF(name);
	Py_XDECREF(self->name);
	self->name = name;
	self->id = wish->open.id;
	self->kind = kind;
	void *handle = NULL;
	int result;
	SHMDPY_CONTROL(client, result, kind->attach(connection, wish, &handle));
	if (result < 0) {
		shmdpy_raise_said(result, self);
		return -1;
	}
	Py_INCREF((PyObject *)client);
	self->client = client;
	self->id = kind->id(handle);
	self->created = kind->created(handle);
	self->read_only = wish->method == SHMDPY_OPEN && wish->open.read_only;
	self->party = wish->method == SHMDPY_OPEN && wish->open.party;
	self->roles = wish->open.role;
	adopt(self, handle);
	enter(self);
	return 0;
}

/* Opens the object again, in a child; a status. alone: no other thread is there. */
static int open_again(struct shmdpy_handle *self, struct shmd_client *connection, bool alone)
{
	struct shmdpy_wish wish = {.method = SHMDPY_OPEN};
	wish.open = (struct shmd_open_options){
		.size = sizeof wish.open, .id = self->id, .read_only = self->read_only, .party = self->party,
		.role = (self->roles & SHMD_PRODUCER) != 0 ? SHMD_PRODUCER : self->roles};
	wish.open.ticket = self->has_ticket ? &self->ticket : NULL;
	void *handle = NULL;
	int result;
	if (alone)
		result = self->kind->attach(connection, &wish, &handle);
	else
		SHMDPY_CONTROL(self->client, result, self->kind->attach(connection, &wish, &handle));
	if (result == SHMD_E_NOT_FOUND && self->has_ticket) { /* it was too old */
		self->has_ticket = false;
		return open_again(self, connection, alone);
	}
	if (result == 0 && self->roles == (SHMD_PRODUCER | SHMD_CONSUMER)) {
		result = shmd_queue_claim(handle, SHMD_CONSUMER);
		if (result < 0)
			self->kind->detach(handle);
	}
	if (result < 0)
		return result;
	self->has_ticket = false;
	if (self->ready || self->closed) /* another thread was faster */
		self->kind->detach(handle);
	else
		adopt(self, handle);
	return 0;
}

int shmdpy_handle_renew(struct shmdpy_handle *self)
{
	if (self->closed || self->client == NULL) {
		shmdpy_raise_text(SHMD_E_CLOSED, self, "it is closed");
		return -1;
	}
	struct shmd_client *connection = shmdpy_client_ready(self->client);
	if (connection == NULL)
		return -1;
	int result = open_again(self, connection, false);
	if (result < 0)
		shmdpy_raise_said(result, self);
	return result < 0 ? -1 : 0;
}

void shmdpy_handle_before_fork(void)
{
	const struct shmdpy_client *lost = NULL; /* its daemon; each call would wait for another */
	for (struct shmdpy_handle *self = first; self != NULL; self = self->next) {
		self->has_ticket = false;
		if (!self->ready || self->client->client == NULL || self->client == lost)
			continue;
		int result = shmd_ticket(self->client->client, self->id, 0, &self->ticket);
		self->has_ticket = result == 0;
		if (result == SHMD_E_LOST)
			lost = self->client;
	}
}

void shmdpy_handle_after_fork(void)
{
	for (struct shmdpy_handle *self = first; self != NULL; self = self->next) {
		/* Views, and a thread that forked in a signal handler, go on using the old one. */
		if (self->exported != NULL)
			self->exported->orphan = true;
		else if (self->users == 0)
			self->kind->detach(self->handle);
		self->exported = NULL;
		self->handle = NULL;
		self->ready = false;
		self->users = 0;
		if (self->client->client != NULL)
			(void)open_again(self, self->client->client, true);
	}
}

/* ---- buffers ---- */

struct shmdpy_exported *shmdpy_export(struct shmdpy_handle *self)
{
	if (self->exported == NULL) {
		struct shmdpy_exported *exported = PyMem_Calloc(1, sizeof *exported);
		if (exported == NULL) {
			PyErr_NoMemory();
			return NULL;
		}
		exported->handle = self->handle;
		exported->kind = self->kind;
		self->exported = exported;
	}
	self->exported->views++;
	return self->exported;
}

void shmdpy_export_release(struct shmdpy_handle *self, struct shmdpy_exported *exported)
{
	if (--exported->views > 0)
		return;
	if (exported->orphan)
		exported->kind->detach(exported->handle);
	else
		self->exported = NULL;
	PyMem_Free(exported);
}

/* ---- closing ---- */

void shmdpy_handle_finish(struct shmdpy_handle *self)
{
	void *handle = self->handle;
	self->handle = NULL;
	if (handle == NULL)
		return;
	void (*detach)(void *) = self->kind->detach;
	Py_BEGIN_ALLOW_THREADS
	detach(handle);
	Py_END_ALLOW_THREADS
}

int shmdpy_handle_close(struct shmdpy_handle *self)
{
	if (self->exported != NULL) {
		PyErr_Format(PyExc_BufferError, "%s %llu: %zd views of it exist: release them before it is closed",
		             self->kind->noun, (unsigned long long)self->id, self->exported->views);
		return -1;
	}
	self->closed = true;
	self->ready = false;
	leave(self);
	if (self->users == 0)
		shmdpy_handle_finish(self);
	return 0;
}

void shmdpy_handle_dealloc(struct shmdpy_handle *self)
{
	PyTypeObject *type = Py_TYPE((PyObject *)self);
	if (self->weak != NULL)
		PyObject_ClearWeakRefs((PyObject *)self);
	(void)shmdpy_handle_close(self); /* a view would hold a reference */
	Py_CLEAR(self->client);
	Py_CLEAR(self->name);
	((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
	Py_DECREF(type);
}

/* ---- the type ---- */

/* The client and the name that a maker was given; the rest is for shmdpy_wish_read. */
static int read_target(PyObject *args, PyObject *keywords, struct shmdpy_client **ret_client, PyObject **ret_name)
{
	Py_ssize_t count = PyTuple_Size(args);
	PyObject *client = count > 0 ? PyTuple_GetItem(args, 0)
	                             : keywords == NULL ? NULL : PyDict_GetItemString(keywords, "client");
	PyObject *name = count > 1 ? PyTuple_GetItem(args, 1)
	                           : keywords == NULL ? NULL : PyDict_GetItemString(keywords, "name");
	if (client == NULL || !PyObject_TypeCheck(client, shmdpy_client_type)) {
		PyErr_SetString(PyExc_TypeError, "the first argument is a Client, as shmd.connect() returns");
		return -1;
	}
	if (name != NULL && name != Py_None && !PyUnicode_Check(name)) {
		PyErr_Format(PyExc_TypeError, "name is a str or None, not %R", Py_TYPE(name));
		return -1;
	}
	*ret_client = (struct shmdpy_client *)client;
	*ret_name = name == NULL ? Py_None : name;
	return 0;
}

PyObject *shmdpy_handle_make(PyTypeObject *type, const struct shmdpy_kind *kind, enum shmdpy_method method,
                             PyObject *args, PyObject *keywords)
{
	struct shmdpy_client *client;
	PyObject *name;
	struct shmdpy_wish wish;
	if (read_target(args, keywords, &client, &name) < 0)
		return NULL;
	const char *text = name == Py_None ? NULL : PyUnicode_AsUTF8AndSize(name, NULL);
	if (text == NULL && name != Py_None)
		return NULL;
	if (shmdpy_wish_read(kind, method, args, keywords, &wish) < 0)
		return NULL;
	/* An id says which; the name is then what it is called here. */
	wish.name = method == SHMDPY_OPEN && wish.open.id != 0 ? NULL : text;
	allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
	struct shmdpy_handle *self = (struct shmdpy_handle *)allocate(type, 0);
	if (self != NULL && shmdpy_handle_attach(self, kind, client, name, &wish) < 0)
		Py_CLEAR(self);
	shmdpy_wish_clear(&wish);
	return (PyObject *)self;
}

static void dealloc(PyObject *self)
{
	shmdpy_handle_dealloc((struct shmdpy_handle *)self);
}

static PyObject *repr(PyObject *object)
{
	struct shmdpy_handle *self = (struct shmdpy_handle *)object;
	PyObject *type = PyObject_GetAttrString((PyObject *)Py_TYPE(object), "__name__");
	PyObject *text = NULL;
	const char *state = self->closed ? " closed" : self->read_only ? " read-only" : "";
	if (type != NULL && self->name != NULL && self->name != Py_None)
		text = PyUnicode_FromFormat("<shmd.%U %R id=%llu%s>", type, self->name, (unsigned long long)self->id, state);
	else if (type != NULL)
		text = PyUnicode_FromFormat("<shmd.%U id=%llu%s>", type, (unsigned long long)self->id, state);
	Py_XDECREF(type);
	return text;
}

static PyObject *handle_close(PyObject *self, PyObject *unused)
{
	(void)unused;
	if (shmdpy_handle_close((struct shmdpy_handle *)self) < 0)
		return NULL;
	Py_RETURN_NONE;
}

static PyObject *take_ticket(PyObject *object, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
	int64_t timeout_ns;
	struct shmd_ticket ticket;
	struct shmdpy_handle *self = shmdpy_ready(object);
	if (self == NULL || shmdpy_timeout_only("ticket", args, count, keywords, &timeout_ns) < 0)
		return NULL;
	struct shmd_client *connection = shmdpy_client_ready(self->client);
	if (connection == NULL)
		return NULL;
	int result = SHMD_E_INVALID;
	if (timeout_ns != 0)
		SHMDPY_CONTROL(self->client, result,
		               shmd_ticket(connection, self->id, timeout_ns == SHMD_FOREVER ? 0 : timeout_ns, &ticket));
	if (result < 0)
		return timeout_ns == 0 ? shmdpy_raise(result, self) : shmdpy_raise_said(result, self);
	return PyBytes_FromStringAndSize((const char *)ticket.bytes, sizeof ticket.bytes);
}

/* reopen(class, socket, id, name, read_only, ticket): shmd/reopen.py. */
static PyObject *reduce(PyObject *object, PyObject *unused)
{
	(void)unused;
	struct shmdpy_handle *self = (struct shmdpy_handle *)object;
	if (shmdpy_handle_ready(self) < 0)
		return NULL;
	PyObject *ticket = take_ticket(object, NULL, 0, NULL);
	if (ticket == NULL)
		return NULL;
	PyObject *module = PyImport_ImportModule("shmd.reopen");
	PyObject *reopen = module == NULL ? NULL : PyObject_GetAttrString(module, "reopen");
	Py_XDECREF(module);
	if (reopen == NULL) {
		Py_DECREF(ticket);
		return NULL;
	}
	return Py_BuildValue("N(OOKOON)", reopen, (PyObject *)Py_TYPE(object), self->client->socket,
	                     (unsigned long long)self->id, self->name, self->read_only ? Py_True : Py_False, ticket);
}

static PyMethodDef methods[] = {
	{"close", handle_close, METH_NOARGS,
	 "close($self, /)\n--\n\nGives the handle up; the object goes on for the others. The last handle of this\n"
	 "process on a lock that it holds is as its death: the next owner gets a Notice. Raises\n"
	 "BufferError while a view of the memory exists. Calls of other threads that are under\n"
	 "way end as if it were open."},
	{"ticket", SHMDPY_FAST(take_ticket),
	 "ticket($self, /, timeout=None)\n--\n\n"
	 "What keeps the object, for timeout seconds, a minute if None and an hour at most, until\n"
	 "another process has opened it with that and its id; bytes, which are good for one open.\n"
	 "Raises Removed, Quota, Permission, Invalid."},
	{"__reduce__", reduce, METH_NOARGS, "Pickles the object as a reference, for any process of this daemon's."},
	{NULL, NULL, 0, NULL},
};

static PyMemberDef members[] = {
	{"client", T_OBJECT, offsetof(struct shmdpy_handle, client), READONLY, "The Client by which it was opened."},
	{"name", T_OBJECT, offsetof(struct shmdpy_handle, name), READONLY,
	 "The name by which it was opened; None: by its id, or it is anonymous."},
	{"id", T_ULONGLONG, offsetof(struct shmdpy_handle, id), READONLY,
	 "The id, which no other object of this daemon ever has."},
	{"created", T_BOOL, offsetof(struct shmdpy_handle, created), READONLY, "Whether this call created the object."},
	{"read_only", T_BOOL, offsetof(struct shmdpy_handle, read_only), READONLY, "Whether it was opened for reading."},
	{"closed", T_BOOL, offsetof(struct shmdpy_handle, closed), READONLY, "Whether close() was called."},
	{"__weaklistoffset__", T_PYSSIZET, offsetof(struct shmdpy_handle, weak), READONLY, NULL},
	{NULL, 0, 0, 0, NULL},
};

static PyType_Slot slots[] = {
	{Py_tp_dealloc, dealloc},
	{Py_tp_repr, repr},
	{Py_tp_methods, methods},
	{Py_tp_members, members},
	{Py_tp_doc,
	 SHMDPY_TEXT("What all shared objects have; made by create(), open() and open_or_create() of their classes.")},
	{0, NULL},
};

static PyType_Spec spec = {
	.name = "shmd.Handle",
	.basicsize = sizeof(struct shmdpy_handle),
	.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
	.slots = slots,
};

int shmdpy_handle_init(PyObject *module)
{
	shmdpy_handle_type = shmdpy_add_type(module, &spec, NULL);
	return shmdpy_handle_type == NULL ? -1 : 0;
}
