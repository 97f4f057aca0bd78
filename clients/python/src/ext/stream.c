/* SPDX-License-Identifier: Apache-2.0
 *
 * stream.c - the type Stream.
 */
#include "shmd_python.h"

SHMDPY_KIND_ATTACH(stream)
SHMDPY_KIND_FUNCTIONS(stream)

const struct shmdpy_kind shmdpy_stream_kind = {
	.noun = "stream",
	.takes = SHMDPY_OPTION_CAPACITY | SHMDPY_OPTION_MESSAGE_MAX,
	.attach = attach,
	.detach = detach,
	.id = id_of,
	.created = created,
};

SHMDPY_MAKERS(shmdpy_stream_kind)

static PyObject *stream_claim(PyObject *object, PyObject *given)
{
	enum shmd_role role;
	struct shmdpy_handle *self = shmdpy_ready(object);
	if (self == NULL || shmdpy_role(given, &role) < 0)
		return NULL;
	return shmdpy_none_or_raise(shmd_stream_claim(self->handle, role), self);
}

static PyObject *stream_retire(PyObject *object, PyObject *given)
{
	enum shmd_role role;
	struct shmdpy_handle *self = shmdpy_ready(object);
	if (self == NULL || shmdpy_role(given, &role) < 0)
		return NULL;
	return shmdpy_none_or_raise(shmd_stream_retire(self->handle, role), self);
}

static PyObject *stream_send(PyObject *object, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
	static const char *const names[] = {"message", "timeout", NULL};
	PyObject *given[2];
	int64_t timeout_ns;
	Py_buffer view;
	if (shmdpy_arguments("send", args, count, keywords, names, 1, given) < 0 ||
	    shmdpy_timeout(given[1], &timeout_ns) < 0 || PyObject_GetBuffer(given[0], &view, PyBUF_SIMPLE) < 0)
		return NULL;
	struct shmdpy_handle *self = shmdpy_ready(object);
	int result = 0;
	if (self != NULL)
		SHMDPY_WAIT(self, result, timeout_ns, shmd_stream_send(self->handle, view.buf, (size_t)view.len, timeout_ns));
	PyBuffer_Release(&view);
	return self == NULL ? NULL : shmdpy_none_or_raise(result, self);
}

static PyObject *stream_send_many(PyObject *object, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
	static const char *const names[] = {"messages", "timeout", NULL};
	PyObject *given[2];
	int64_t timeout_ns;
	struct shmdpy_messages messages;
	if (shmdpy_arguments("send_many", args, count, keywords, names, 1, given) < 0 ||
	    shmdpy_timeout(given[1], &timeout_ns) < 0 || shmdpy_messages_get(given[0], &messages) < 0)
		return NULL;
	struct shmdpy_handle *self = shmdpy_ready(object);
	uint32_t done = 0;
	int result = 0;
	if (self != NULL && messages.count > 0)
		SHMDPY_WAIT(self, result, timeout_ns,
		            shmd_stream_send_many(self->handle, messages.vectors, messages.count, timeout_ns, &done));
	shmdpy_messages_release(&messages);
	if (self == NULL)
		return NULL;
	return result < 0 ? shmdpy_raise(result, self) : PyLong_FromUnsignedLong(done);
}

static PyObject *stream_recv(PyObject *object, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
	int64_t timeout_ns;
	PyObject *message;
	struct shmdpy_handle *self = shmdpy_ready(object);
	if (self == NULL || shmdpy_timeout_only("recv", args, count, keywords, &timeout_ns) < 0)
		return NULL;
	SHMDPY_RECEIVE(self, timeout_ns, message,
	               shmd_stream_recv(self->handle, buffer, buffer_bytes, timeout_ns, &size_bytes));
	return message;
}

static PyObject *stream_recv_many(PyObject *object, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
	static const char *const names[] = {"count", "timeout", NULL};
	PyObject *given[2];
	int64_t timeout_ns;
	uint64_t most;
	uint32_t done = 0;
	struct iovec messages[64];
	struct shmdpy_handle *self = shmdpy_ready(object);
	if (self == NULL || shmdpy_arguments("recv_many", args, count, keywords, names, 1, given) < 0 ||
	    shmdpy_unsigned("count", given[0], UINT32_MAX, &most) < 0 || shmdpy_timeout(given[1], &timeout_ns) < 0)
		return NULL;
	if (most > sizeof messages / sizeof messages[0])
		most = sizeof messages / sizeof messages[0];
	int result;
	SHMDPY_WAIT(self, result, timeout_ns,
	            shmd_stream_peek_many(self->handle, messages, (uint32_t)most, timeout_ns, &done));
	if (result < 0)
		return shmdpy_raise(result, self);
	PyObject *list = shmdpy_messages_list(messages, done);
	if (list == NULL)
		return NULL; /* and all of them stay */
	result = shmd_stream_advance(self->handle, done);
	if (result == 0)
		return list;
	Py_DECREF(list);
	return shmdpy_raise(result, self);
}

/* ---- the type ---- */

static PyObject *get_capacity(PyObject *object, void *unused)
{
	(void)unused;
	struct shmdpy_handle *self = shmdpy_ready(object);
	return self == NULL ? NULL : PyLong_FromSize_t(shmd_stream_capacity_bytes(self->handle));
}

static PyObject *get_message_max(PyObject *object, void *unused)
{
	(void)unused;
	struct shmdpy_handle *self = shmdpy_ready(object);
	return self == NULL ? NULL : PyLong_FromSize_t(shmd_stream_message_max_bytes(self->handle));
}

static PyGetSetDef properties[] = {
	{"capacity", get_capacity, NULL, "How many bytes may be under way.", NULL},
	{"message_max", get_message_max, NULL, "The size of the longest message in bytes.", NULL},
	{NULL, NULL, NULL, NULL, NULL},
};

static PyMethodDef methods[] = {
	SHMDPY_MAKER("create", make_new,
	             "create(client, name=None, *, capacity=65536, message_max=0, mode=0o600, seats_max=64,\n"
	             "lifetime='default')\n\n"
	             "Creates a stream. capacity: bytes under way, a power of two of 4 KiB to 256 MiB;\n"
	             "message_max: up to capacity / 2 - 8, for which 0 stands. Raises Exists, BadName, Quota,\n"
	             "NoSpace, Invalid."),
	SHMDPY_MAKER_OPEN,
	SHMDPY_MAKER("open_or_create", make_either, "As create(), or as open() if the stream exists."),
	{"claim", stream_claim, METH_O,
	 "claim($self, role, /)\n--\n\nTakes a role, 'producer' or 'consumer', for this process. Raises Taken."},
	{"retire", stream_retire, METH_O, "retire($self, role, /)\n--\n\nGives a role up; the other side gets Ended."},
	{"send", SHMDPY_FAST(stream_send),
	 "send($self, /, message, timeout=None)\n--\n\n"
	 "Sends a copy of the message, any object with the buffer protocol, waiting up to timeout\n"
	 "seconds for room. For one thread at a time. Raises WouldBlock, TimedOut, TooLarge,\n"
	 "NotOwner."},
	{"send_many", SHMDPY_FAST(stream_send_many),
	 "send_many($self, /, messages, timeout=None)\n--\n\n"
	 "Sends as many of the first messages as there is room for, and returns how many; waits\n"
	 "for the first only."},
	{"recv", SHMDPY_FAST(stream_recv),
	 "recv($self, /, timeout=None)\n--\n\n"
	 "Receives the first message, as bytes, waiting up to timeout seconds. For one thread at a\n"
	 "time. Raises WouldBlock, TimedOut, NotOwner, and once behind the last message of a\n"
	 "producer Ended or PeerDied."},
	{"recv_many", SHMDPY_FAST(stream_recv_many),
	 "recv_many($self, /, count, timeout=None)\n--\n\n"
	 "Receives up to count messages, a list of at least one; waits for the first only."},
	{NULL, NULL, 0, NULL},
};

static PyType_Slot slots[] = {
	{Py_tp_methods, methods},
	{Py_tp_getset, properties},
	{Py_tp_doc,
	 SHMDPY_TEXT("Messages one way, from the process that is the producer to the one that is the consumer.\n"
	             "A forked child has no role until it claims one.")},
	{0, NULL},
};

static PyType_Spec spec = {
	.name = "shmd.Stream",
	.basicsize = sizeof(struct shmdpy_handle),
	.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
	.slots = slots,
};

int shmdpy_stream_init(PyObject *module)
{
	return shmdpy_add_type(module, &spec, shmdpy_handle_type) == NULL ? -1 : 0;
}
