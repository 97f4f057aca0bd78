/* SPDX-License-Identifier: Apache-2.0
 *
 * mp_connection.c - the types Channel and ConnectionCore: what is fast of multiprocessing's
 * Connection.
 *
 * A Channel is a handle on a queue with a role in it. A Connection has one or two: it
 * receives from a queue as a consumer, and sends into another as a producer. Once no handle
 * with the other role is left, the daemon has shut that queue down, and the status is ENDED:
 * EOFError, or BrokenPipeError.
 */
#include "mp_connection.h"
#include "mp_pickle.h"

#include <errno.h>
#include <string.h>
#include <structmember.h>

#define MESSAGE_MAX (1u << 30)

/* ---- Channel ---- */

struct channel {
	struct shmdpy_handle handle;
	struct shmd_pollable *pollable; /* NULL: nobody has asked for its descriptor */
	uint32_t forks;                 /* when that was made */
	bool ended;                     /* nobody is left who sends: nor who receives what goes the other way */
};

static PyTypeObject *channel_type;

/* The maker of a queue claims its role behind the call. */
static int attach(struct shmd_client *client, const struct shmdpy_wish *wish, void **ret_handle)
{
	struct shmd_queue *queue = NULL;
	int result;
	if (wish->method == SHMDPY_OPEN) {
		result = shmd_queue_open(client, wish->name, &wish->open, &queue);
	} else {
		result = shmd_queue_create(client, wish->name, &wish->create, &queue);
		int claimed = result < 0 ? 0 : shmd_queue_claim(queue, (enum shmd_role)wish->open.role);
		if (claimed < 0) {
			queue = shmd_queue_close(queue);
			result = claimed;
		}
	}
	*ret_handle = queue;
	return result;
}

SHMDPY_KIND_FUNCTIONS(queue)

static const struct shmdpy_kind kind = {
	.noun = "pipe", .attach = attach, .detach = detach, .id = id_of, .created = created};

static void drop_pollable(struct channel *self)
{
	self->pollable = shmd_pollable_close(self->pollable);
}

static PyObject *channel_new(const struct shmdpy_wish *wish, PyTypeObject *type, PyObject *client)
{
	if (!PyObject_TypeCheck(client, shmdpy_client_type))
		return PyErr_Format(PyExc_TypeError, "a Client is wanted, not %R", Py_TYPE(client));
	allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
	struct channel *self = (struct channel *)allocate(type, 0);
	if (self != NULL && shmdpy_handle_attach(&self->handle, &kind, (struct shmdpy_client *)client, Py_None, wish) < 0)
		Py_CLEAR(self);
	return (PyObject *)self;
}

static PyObject *channel_create(PyObject *type, PyObject *args)
{
	PyObject *client;
	int role;
	unsigned int maxsize, slot_size_bytes, seats;
	if (!PyArg_ParseTuple(args, "OiIII:create", &client, &role, &maxsize, &slot_size_bytes, &seats))
		return NULL;
	struct shmdpy_wish wish = {
		.method = SHMDPY_CREATE,
		.create = {.size = sizeof wish.create, .maxsize = maxsize, .slot_size = slot_size_bytes,
	               .message_max = MESSAGE_MAX, .seats_max = seats, .raw = true},
		.open = {.role = role},
	};
	return channel_new(&wish, (PyTypeObject *)type, client);
}

static PyObject *channel_open(PyObject *type, PyObject *args)
{
	PyObject *client;
	int role;
	unsigned long long id;
	PyObject *ticket = Py_None;
	struct shmdpy_wish wish = {.method = SHMDPY_OPEN, .open = {.size = sizeof wish.open}};
	if (!PyArg_ParseTuple(args, "OiK|O:open", &client, &role, &id, &ticket) || shmdpy_wish_ticket(ticket, &wish) < 0)
		return NULL;
	wish.open.id = id;
	wish.open.role = role;
	return channel_new(&wish, (PyTypeObject *)type, client);
}

static enum shmd_until until_of(const struct channel *self)
{
	return self->handle.roles == SHMD_PRODUCER ? SHMD_UNTIL_SLOT : SHMD_UNTIL_MESSAGE;
}

/* Its descriptor is readable again only if there is something. */
static void rearm(struct channel *self)
{
	if (__builtin_expect(self->pollable != NULL && self->forks == shmdpy_forks, 0))
		(void)shmd_pollable_rearm(self->pollable);
}

static PyObject *channel_fileno(PyObject *object, PyObject *unused)
{
	(void)unused;
	struct channel *self = (struct channel *)object;
	if (shmdpy_handle_ready(&self->handle) < 0)
		return NULL;
	if (self->pollable != NULL && self->forks != shmdpy_forks)
		drop_pollable(self); /* the parent's */
	if (self->pollable == NULL) {
		struct shmd_waitable item = {.until = until_of(self), .object = self->handle.handle};
		int result = shmd_pollable_open(&item, &self->pollable);
		if (result < 0)
			return shmdpy_raise(result, &self->handle);
		self->forks = shmdpy_forks;
	} else {
		rearm(self);
	}
	return PyLong_FromLong(shmd_pollable_fd(self->pollable));
}

static PyObject *channel_rearm(PyObject *self, PyObject *unused)
{
	(void)unused;
	rearm((struct channel *)self);
	Py_RETURN_NONE;
}

static PyObject *channel_close(PyObject *object, PyObject *unused)
{
	(void)unused;
	struct channel *self = (struct channel *)object;
	drop_pollable(self);
	if (shmdpy_handle_close(&self->handle) < 0)
		return NULL;
	Py_RETURN_NONE;
}

static void channel_dealloc(PyObject *object)
{
	struct channel *self = (struct channel *)object;
	drop_pollable(self);
	shmdpy_handle_dealloc(&self->handle);
}

/* ---- Connection ---- */

struct connection {
	PyObject_HEAD
	struct channel *in;  /* NULL: it does not receive */
	struct channel *out; /* NULL: it does not send */
	bool readable;
	bool writable;
	PyObject *weak;
};

static PyTypeObject *connection_type;
static PyObject *too_short_error; /* multiprocessing.BufferTooShort */

static struct connection *connection_of(PyObject *object)
{
	return (struct connection *)object;
}

static bool is_closed(const struct connection *self)
{
	return self->in == NULL && self->out == NULL;
}

/* The channel that is sent to, or received from; NULL with multiprocessing's exception. */
static struct channel *side_of(struct connection *self, bool reads)
{
	if (__builtin_expect(is_closed(self), 0)) {
		PyErr_SetString(PyExc_OSError, "handle is closed");
		return NULL;
	}
	if (__builtin_expect(reads ? !self->readable : !self->writable, 0)) {
		PyErr_SetString(PyExc_OSError, reads ? "connection is write-only" : "connection is read-only");
		return NULL;
	}
	return reads ? self->in : self->out;
}

/* A channel that outlives a close by another thread. */
static struct channel *borrow(struct channel *channel)
{
	Py_XINCREF((PyObject *)channel);
	return channel;
}

static void give_back(struct channel *channel)
{
	Py_DECREF((PyObject *)channel);
}

static PyObject *raise_errno(int number)
{
	errno = number;
	return PyErr_SetFromErrno(PyExc_OSError);
}

/* ---- sending ---- */

static PyObject *send_sink(struct connection *self, struct channel *out, struct shmdpy_sink *sink)
{
	(void)borrow(out);
	/* The daemon ends both directions, but not in one moment. */
	bool ended = self->in != NULL && self->in->ended;
	int result = ended ? SHMD_E_ENDED : shmdpy_message_put(&out->handle, sink, SHMD_FOREVER);
	if (result == SHMD_E_ENDED)
		raise_errno(EPIPE);
	else if (result < 0)
		shmdpy_raise(result, &out->handle);
	give_back(out);
	shmdpy_pickle_done(sink);
	if (result < 0)
		return NULL;
	Py_RETURN_NONE;
}

static PyObject *connection_send(PyObject *object, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
	static const char *const names[] = {"obj", NULL};
	PyObject *message = NULL;
	if (side_of(connection_of(object), false) == NULL ||
	    shmdpy_arguments("send", args, count, keywords, names, 1, &message) < 0)
		return NULL;
	struct shmdpy_sink *sink = shmdpy_pickle(message);
	if (sink == NULL)
		return NULL;
	struct channel *out = side_of(connection_of(object), false); /* pickling may close it */
	if (out == NULL) {
		shmdpy_pickle_done(sink);
		return NULL;
	}
	return send_sink(connection_of(object), out, sink);
}

/* An offset or a size; -1 with an exception. */
static int read_size(PyObject *object, Py_ssize_t *ret)
{
	PyObject *index = PyNumber_Index(object);
	if (index == NULL)
		return -1;
	*ret = PyLong_AsSsize_t(index);
	Py_DECREF(index);
	return *ret == -1 && PyErr_Occurred() != NULL ? -1 : 0;
}

/* Cuts the view down to what shall be sent; -1 with multiprocessing's exception. */
static int cut(Py_buffer *view, PyObject *const *given)
{
	Py_ssize_t offset = 0, size = 0;
	const char *wrong = NULL;
	if ((given[1] != NULL && read_size(given[1], &offset) < 0) ||
	    (given[2] != NULL && given[2] != Py_None && read_size(given[2], &size) < 0))
		return -1;
	bool sized = given[2] != NULL && given[2] != Py_None;
	if (offset < 0)
		wrong = "offset is negative";
	else if (view->len < offset)
		wrong = "buffer length < offset";
	else if (sized && size < 0)
		wrong = "size is negative";
	else if (sized && size > view->len - offset)
		wrong = "buffer length < offset + size";
	if (wrong != NULL) {
		PyErr_SetString(PyExc_ValueError, wrong);
		return -1;
	}
	view->buf = (char *)view->buf + offset;
	view->len = sized ? size : view->len - offset;
	return 0;
}

static PyObject *connection_send_bytes(PyObject *object, PyObject *const *args, Py_ssize_t count,
                                       PyObject *keywords)
{
	static const char *const names[] = {"buf", "offset", "size", NULL};
	PyObject *given[3] = {NULL, NULL, NULL};
	struct channel *out = side_of(connection_of(object), false);
	Py_buffer view;
	if (out == NULL || shmdpy_arguments("send_bytes", args, count, keywords, names, 1, given) < 0 ||
	    PyObject_GetBuffer(given[0], &view, PyBUF_SIMPLE) < 0)
		return NULL;
	if (cut(&view, given) < 0) {
		PyBuffer_Release(&view);
		return NULL;
	}
	struct shmdpy_sink *sink = shmdpy_sink_of(&view);
	return sink == NULL ? NULL : send_sink(connection_of(object), out, sink);
}

/* ---- receiving ---- */

/* Leases the first message; 0, or -1 with an exception. The channel is borrowed until
 * received. */
static int receive(struct channel *in, struct shmd_lease *ret_lease)
{
	(void)borrow(in);
	int result = SHMD_E_CANCELLED;
	if (shmdpy_handle_ready(&in->handle) == 0) {
		int64_t timeout_ns = SHMD_FOREVER;
		SHMDPY_WAIT(in, result, timeout_ns, shmd_queue_lease(in->handle.handle, timeout_ns, ret_lease));
	}
	if (__builtin_expect(result == 0, 1))
		return 0;
	in->ended |= result == SHMD_E_ENDED;
	if (result == SHMD_E_ENDED)
		PyErr_SetNone(PyExc_EOFError);
	else
		shmdpy_raise(result, &in->handle);
	give_back(in);
	return -1;
}

static void received(struct channel *in, const struct shmd_lease *lease)
{
	shmdpy_message_done(&in->handle, lease);
	rearm(in);
	give_back(in);
}

static PyObject *connection_recv(PyObject *object, PyObject *unused)
{
	(void)unused;
	struct channel *in = side_of(connection_of(object), true);
	struct shmd_lease lease;
	if (in == NULL || receive(in, &lease) < 0)
		return NULL;
	PyObject *message = shmdpy_message_load(&in->handle, &lease);
	received(in, &lease);
	return message;
}

static PyObject *bytes_of(const struct shmd_lease *lease)
{
	return PyBytes_FromStringAndSize(lease->message, (Py_ssize_t)lease->size_bytes);
}

/* A message is longer than the reader would have it: as multiprocessing, which cannot find
 * the next one then, the connection is not for reading any more. */
static PyObject *bad_length(PyObject *object)
{
	struct connection *self = connection_of(object);
	PyObject *closed = Py_None;
	if (self->writable)
		self->readable = false;
	else
		closed = PyObject_CallMethod(object, "close", NULL);
	if (closed != NULL)
		PyErr_SetString(PyExc_OSError, "bad message length");
	if (closed != Py_None)
		Py_XDECREF(closed);
	return NULL;
}

static PyObject *connection_recv_bytes(PyObject *object, PyObject *const *args, Py_ssize_t count,
                                       PyObject *keywords)
{
	static const char *const names[] = {"maxlength", NULL};
	PyObject *given[1] = {NULL};
	Py_ssize_t longest = PY_SSIZE_T_MAX;
	struct channel *in = side_of(connection_of(object), true);
	struct shmd_lease lease;
	if (in == NULL || shmdpy_arguments("recv_bytes", args, count, keywords, names, 0, given) < 0 ||
	    (given[0] != NULL && given[0] != Py_None && read_size(given[0], &longest) < 0))
		return NULL;
	if (longest < 0) {
		PyErr_SetString(PyExc_ValueError, "negative maxlength");
		return NULL;
	}
	if (receive(in, &lease) < 0)
		return NULL;
	bool too_long = lease.size_bytes > (size_t)longest;
	PyObject *bytes = too_long ? NULL : bytes_of(&lease);
	received(in, &lease);
	return too_long ? bad_length(object) : bytes;
}

static PyObject *raise_too_short(const struct shmd_lease *lease)
{
	if (too_short_error == NULL) {
		PyObject *module = PyImport_ImportModule("multiprocessing");
		too_short_error = module == NULL ? NULL : PyObject_GetAttrString(module, "BufferTooShort");
		Py_XDECREF(module);
	}
	PyObject *bytes = too_short_error == NULL ? NULL : bytes_of(lease);
	if (bytes != NULL)
		PyErr_SetObject(too_short_error, bytes);
	Py_XDECREF(bytes);
	return NULL;
}

static PyObject *connection_recv_bytes_into(PyObject *object, PyObject *const *args, Py_ssize_t count,
                                            PyObject *keywords)
{
	static const char *const names[] = {"buf", "offset", NULL};
	PyObject *given[2] = {NULL, NULL};
	Py_ssize_t offset = 0;
	struct channel *in = side_of(connection_of(object), true);
	Py_buffer view;
	if (in == NULL || shmdpy_arguments("recv_bytes_into", args, count, keywords, names, 1, given) < 0 ||
	    (given[1] != NULL && read_size(given[1], &offset) < 0) ||
	    PyObject_GetBuffer(given[0], &view, PyBUF_WRITABLE) < 0)
		return NULL;
	struct shmd_lease lease;
	PyObject *size = NULL;
	if (offset < 0 || offset > view.len) {
		PyErr_SetString(PyExc_ValueError, offset < 0 ? "negative offset" : "offset too large");
	} else if (receive(in, &lease) == 0) {
		if (lease.size_bytes > (size_t)(view.len - offset)) {
			raise_too_short(&lease);
		} else {
			if (lease.size_bytes > 0)
				memcpy((char *)view.buf + offset, lease.message, lease.size_bytes);
			size = PyLong_FromSize_t(lease.size_bytes);
		}
		received(in, &lease);
	}
	PyBuffer_Release(&view);
	return size;
}

static PyObject *connection_poll(PyObject *object, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
	static const char *const names[] = {"timeout", NULL};
	PyObject *given[1] = {NULL};
	int64_t timeout_ns = 0;
	struct channel *in = side_of(connection_of(object), true);
	if (in == NULL || shmdpy_arguments("poll", args, count, keywords, names, 0, given) < 0 ||
	    (given[0] != NULL && shmdpy_timeout(given[0], &timeout_ns) < 0))
		return NULL;
	(void)borrow(in);
	int result = SHMD_E_CANCELLED;
	if (shmdpy_handle_ready(&in->handle) == 0) {
		struct shmd_waitable item = {.until = SHMD_UNTIL_MESSAGE};
		size_t index;
		SHMDPY_WAIT(in, result, timeout_ns,
		            (item.object = in->handle.handle, shmd_wait_any(&item, 1, timeout_ns, &index)));
	}
	bool nothing = result == SHMD_E_WOULD_BLOCK || result == SHMD_E_TIMED_OUT;
	if (result < 0 && !nothing)
		shmdpy_raise(result, &in->handle);
	give_back(in);
	return result < 0 && !nothing ? NULL : PyBool_FromLong(result == 0);
}

/* wait_connections(connections, timeout): waits until one may be received from; without a
 * word about which. */
static PyObject *wait_connections(PyObject *module, PyObject *args)
{
	(void)module;
	PyObject *list, *seconds;
	int64_t timeout_ns;
	if (!PyArg_ParseTuple(args, "O!O:wait_connections", &PyList_Type, &list, &seconds) ||
	    shmdpy_timeout(seconds, &timeout_ns) < 0)
		return NULL;
	struct shmd_waitable items[SHMD_WAIT_ANY_MAX];
	struct channel *channels[SHMD_WAIT_ANY_MAX];
	Py_ssize_t count = PyList_Size(list);
	if (count < 1 || count > SHMD_WAIT_ANY_MAX) {
		PyErr_SetString(PyExc_ValueError, "wait_connections: 1 to 127 connections");
		return NULL;
	}
	for (Py_ssize_t i = 0; i < count; i++) {
		PyObject *each = PyList_GetItem(list, i);
		channels[i] = PyObject_TypeCheck(each, connection_type) ? side_of(connection_of(each), true) : NULL;
		if (channels[i] == NULL || shmdpy_handle_ready(&channels[i]->handle) < 0)
			return NULL;
		items[i] = (struct shmd_waitable){.until = SHMD_UNTIL_MESSAGE, .object = channels[i]->handle.handle};
	}
	for (Py_ssize_t i = 0; i < count; i++) {
		(void)borrow(channels[i]);
		channels[i]->handle.users++;
	}
	uint32_t forks = shmdpy_forks;
	size_t index;
	int result;
	Py_BEGIN_ALLOW_THREADS
	result = shmd_wait_any(items, (size_t)count, timeout_ns, &index);
	Py_END_ALLOW_THREADS
	for (Py_ssize_t i = 0; i < count; i++) {
		if (forks == shmdpy_forks)
			shmdpy_handle_leave(&channels[i]->handle);
		give_back(channels[i]);
	}
	if (result == 0)
		Py_RETURN_TRUE;
	if (result == SHMD_E_WOULD_BLOCK || result == SHMD_E_TIMED_OUT ||
	    (result == SHMD_E_FORKED && forks != shmdpy_forks)) /* a signal handler forked: look again */
		Py_RETURN_FALSE;
	return shmdpy_raise(result, NULL);
}

/* ---- the types ---- */

static int take_side(PyObject *given, struct channel **ret_side)
{
	*ret_side = NULL;
	if (given == Py_None)
		return 0;
	if (!PyObject_TypeCheck(given, channel_type)) {
		PyErr_Format(PyExc_TypeError, "a Channel or None is wanted, not %R", Py_TYPE(given));
		return -1;
	}
	Py_INCREF(given);
	*ret_side = (struct channel *)given;
	return 0;
}

static int connection_init(PyObject *object, PyObject *args, PyObject *keywords)
{
	static const char *const names[] = {"incoming", "outgoing", NULL};
	struct connection *self = connection_of(object);
	PyObject *in, *out;
	if (!PyArg_ParseTupleAndKeywords(args, keywords, "OO", (char **)(uintptr_t)names, &in, &out))
		return -1;
	Py_CLEAR(self->in);
	Py_CLEAR(self->out);
	if (take_side(in, &self->in) < 0 || take_side(out, &self->out) < 0)
		return -1;
	self->readable = self->in != NULL;
	self->writable = self->out != NULL;
	return 0;
}

static PyObject *connection_drop(PyObject *object, PyObject *unused)
{
	(void)unused;
	Py_CLEAR(connection_of(object)->in);
	Py_CLEAR(connection_of(object)->out);
	Py_RETURN_NONE;
}

static PyObject *connection_closed(PyObject *object, void *unused)
{
	(void)unused;
	return PyBool_FromLong(is_closed(connection_of(object)));
}

static void connection_dealloc(PyObject *object)
{
	struct connection *self = connection_of(object);
	PyTypeObject *type = Py_TYPE(object);
	if (self->weak != NULL)
		PyObject_ClearWeakRefs(object);
	Py_CLEAR(self->in);
	Py_CLEAR(self->out);
	((freefunc)PyType_GetSlot(type, Py_tp_free))(object);
	Py_DECREF(type);
}

static PyMethodDef channel_methods[] = {
	{"create", channel_create, METH_VARARGS | METH_CLASS, "create(client, role, maxsize, slot_size, seats_max)"},
	{"open", channel_open, METH_VARARGS | METH_CLASS, "open(client, role, id, ticket=None)"},
	{"fileno", channel_fileno, METH_NOARGS, "fileno(): a descriptor, readable while something can be done."},
	{"rearm", channel_rearm, METH_NOARGS, "rearm(): the descriptor is readable only if there is something."},
	{"close", channel_close, METH_NOARGS, "close()"},
	{NULL, NULL, 0, NULL},
};

static PyMemberDef channel_members[] = {
	{"role", T_INT, offsetof(struct channel, handle.roles), READONLY, "1 producer, 2 consumer, 0 neither."},
	{NULL, 0, 0, 0, NULL},
};

static PyType_Slot channel_slots[] = {
	{Py_tp_dealloc, channel_dealloc},
	{Py_tp_methods, channel_methods},
	{Py_tp_members, channel_members},
	{Py_tp_doc, SHMDPY_TEXT("One direction of a connection, as one side has it.")},
	{0, NULL},
};

static PyType_Spec channel_spec = {
	.name = "shmd._shmd.Channel",
	.basicsize = sizeof(struct channel),
	.flags = Py_TPFLAGS_DEFAULT,
	.slots = channel_slots,
};

static PyMethodDef connection_methods[] = {
	{"send", SHMDPY_FAST(connection_send),
	 "send($self, /, obj)\n--\n\n"
	 "Sends an object, waiting while there is no room. Raises BrokenPipeError once nobody is\n"
	 "left to receive it, OSError if the connection is closed or not for sending, and\n"
	 "whatever pickling raises."},
	{"recv", connection_recv, METH_NOARGS,
	 "recv($self, /)\n--\n\n"
	 "Receives an object, waiting for one. Raises EOFError once nobody is left to send and\n"
	 "all was received, OSError if the connection is closed or not for receiving."},
	{"send_bytes", SHMDPY_FAST(connection_send_bytes),
	 "send_bytes($self, /, buf, offset=0, size=None)\n--\n\n"
	 "Sends size bytes of a buffer from offset on as one message; None is to its end. As\n"
	 "send(); ValueError: they are not in the buffer."},
	{"recv_bytes", SHMDPY_FAST(connection_recv_bytes),
	 "recv_bytes($self, /, maxlength=None)\n--\n\n"
	 "Receives a message as bytes. As recv(); OSError if it is longer than maxlength, and\n"
	 "then nothing more can be received."},
	{"recv_bytes_into", SHMDPY_FAST(connection_recv_bytes_into),
	 "recv_bytes_into($self, /, buf, offset=0)\n--\n\n"
	 "Receives a message into a buffer, from byte offset on; its size. As recv();\n"
	 "BufferTooShort, with the message, if it has no room there."},
	{"poll", SHMDPY_FAST(connection_poll),
	 "poll($self, /, timeout=0.0)\n--\n\n"
	 "Whether there is a message, or the end, waiting up to timeout seconds; None waits for\n"
	 "ever."},
	{"_drop", connection_drop, METH_NOARGS, "_drop(): forgets the channels."},
	{NULL, NULL, 0, NULL},
};

static PyMemberDef connection_members[] = {
	{"_in", T_OBJECT, offsetof(struct connection, in), READONLY, "The Channel that is received from, or None."},
	{"_out", T_OBJECT, offsetof(struct connection, out), READONLY, "The Channel that is sent to, or None."},
	{"_readable", T_BOOL, offsetof(struct connection, readable), 0, "Whether it is for receiving."},
	{"_writable", T_BOOL, offsetof(struct connection, writable), 0, "Whether it is for sending."},
	{"readable", T_BOOL, offsetof(struct connection, readable), READONLY, "Whether it is for receiving."},
	{"writable", T_BOOL, offsetof(struct connection, writable), READONLY, "Whether it is for sending."},
	{"__weaklistoffset__", T_PYSSIZET, offsetof(struct connection, weak), READONLY, NULL},
	{NULL, 0, 0, 0, NULL},
};

static PyGetSetDef connection_properties[] = {
	{"closed", connection_closed, NULL, "Whether it is closed.", NULL},
	{NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot connection_slots[] = {
	{Py_tp_init, connection_init},
	{Py_tp_dealloc, connection_dealloc},
	{Py_tp_methods, connection_methods},
	{Py_tp_members, connection_members},
	{Py_tp_getset, connection_properties},
	{Py_tp_doc, SHMDPY_TEXT("The base of shmd.multiprocessing's Connection.")},
	{0, NULL},
};

static PyType_Spec connection_spec = {
	.name = "shmd._shmd.ConnectionCore",
	.basicsize = sizeof(struct connection),
	.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
	.slots = connection_slots,
};

static PyMethodDef functions[] = {
	{"wait_connections", wait_connections, METH_VARARGS,
	 "wait_connections(connections, timeout): waits until one of them, or the end of one, can be received; whether."},
	{NULL, NULL, 0, NULL},
};

int shmdpy_connection_init(PyObject *module)
{
	channel_type = shmdpy_add_type(module, &channel_spec, shmdpy_handle_type);
	connection_type = channel_type == NULL ? NULL : shmdpy_add_type(module, &connection_spec, NULL);
	return connection_type == NULL ? -1 : PyModule_AddFunctions(module, functions);
}
