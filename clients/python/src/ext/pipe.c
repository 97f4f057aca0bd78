/* SPDX-License-Identifier: Apache-2.0
 *
 * pipe.c - the type Pipe.
 */
#include "shmd_python.h"

SHMDPY_KIND_ATTACH(pipe)
SHMDPY_KIND_FUNCTIONS(pipe)

const struct shmdpy_kind shmdpy_pipe_kind = {
	.noun = "pipe",
	.takes = SHMDPY_OPTION_CAPACITY | SHMDPY_OPTION_MESSAGE_MAX | SHMDPY_OPTION_BYTES,
	.attach = attach,
	.detach = detach,
	.id = id_of,
	.created = created,
};

SHMDPY_MAKERS(shmdpy_pipe_kind)

/* None for the one that this process has, or 0 or 1; -1 with ValueError. */
static int read_end(PyObject *given, int *ret_end)
{
	*ret_end = SHMD_END_ANY;
	if (given == NULL || given == Py_None)
		return 0;
	uint64_t end;
	if (shmdpy_unsigned("end", given, 1, &end) < 0)
		return -1;
	*ret_end = (int)end;
	return 0;
}

static PyObject *pipe_claim(PyObject *object, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
	static const char *const names[] = {"end", NULL};
	PyObject *given[1];
	int end;
	struct shmdpy_handle *self = shmdpy_ready(object);
	if (self == NULL || shmdpy_arguments("claim", args, count, keywords, names, 0, given) < 0 ||
	    read_end(given[0], &end) < 0)
		return NULL;
	int result = shmd_pipe_claim(self->handle, end, &end);
	return result < 0 ? shmdpy_raise(result, self) : PyLong_FromLong(end);
}

static PyObject *pipe_shut(PyObject *object, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
	static const char *const names[] = {"end", NULL};
	PyObject *given[1];
	int end;
	struct shmdpy_handle *self = shmdpy_ready(object);
	if (self == NULL || shmdpy_arguments("shut", args, count, keywords, names, 0, given) < 0 ||
	    read_end(given[0], &end) < 0)
		return NULL;
	return shmdpy_none_or_raise(shmd_pipe_shut(self->handle, end), self);
}

/* What send and write are given. */
struct outgoing {
	Py_buffer view;
	int64_t timeout_ns;
	int end;
};

static int read_outgoing(const char *function, PyObject *const *args, Py_ssize_t count, PyObject *keywords,
                         const char *const *names, struct outgoing *ret)
{
	PyObject *given[3];
	if (shmdpy_arguments(function, args, count, keywords, names, 1, given) < 0 ||
	    shmdpy_timeout(given[1], &ret->timeout_ns) < 0 || read_end(given[2], &ret->end) < 0)
		return -1;
	return PyObject_GetBuffer(given[0], &ret->view, PyBUF_SIMPLE);
}

static PyObject *pipe_send(PyObject *object, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
	static const char *const names[] = {"message", "timeout", "end", NULL};
	struct outgoing out;
	if (read_outgoing("send", args, count, keywords, names, &out) < 0)
		return NULL;
	struct shmdpy_handle *self = shmdpy_ready(object);
	int result = 0;
	if (self != NULL)
		SHMDPY_WAIT(self, result, out.timeout_ns,
		            shmd_pipe_send(self->handle, out.end, out.view.buf, (size_t)out.view.len, out.timeout_ns));
	PyBuffer_Release(&out.view);
	return self == NULL ? NULL : shmdpy_none_or_raise(result, self);
}

static PyObject *pipe_write(PyObject *object, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
	static const char *const names[] = {"bytes", "timeout", "end", NULL};
	struct outgoing out;
	if (read_outgoing("write", args, count, keywords, names, &out) < 0)
		return NULL;
	struct shmdpy_handle *self = shmdpy_ready(object);
	size_t done = 0;
	int result = 0;
	if (self != NULL)
		SHMDPY_WAIT(self, result, out.timeout_ns,
		            shmd_pipe_write(self->handle, out.end, out.view.buf, (size_t)out.view.len, out.timeout_ns, &done));
	PyBuffer_Release(&out.view);
	if (self == NULL)
		return NULL;
	return result < 0 ? shmdpy_raise(result, self) : PyLong_FromSize_t(done);
}

static PyObject *pipe_send_many(PyObject *object, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
	static const char *const names[] = {"messages", "timeout", "end", NULL};
	PyObject *given[3];
	int64_t timeout_ns;
	int end;
	struct shmdpy_messages messages;
	if (shmdpy_arguments("send_many", args, count, keywords, names, 1, given) < 0 ||
	    shmdpy_timeout(given[1], &timeout_ns) < 0 || read_end(given[2], &end) < 0 ||
	    shmdpy_messages_get(given[0], &messages) < 0)
		return NULL;
	struct shmdpy_handle *self = shmdpy_ready(object);
	uint32_t done = 0;
	int result = 0;
	if (self != NULL && messages.count > 0)
		SHMDPY_WAIT(self, result, timeout_ns,
		            shmd_pipe_send_many(self->handle, end, messages.vectors, messages.count, timeout_ns, &done));
	shmdpy_messages_release(&messages);
	if (self == NULL)
		return NULL;
	return result < 0 ? shmdpy_raise(result, self) : PyLong_FromUnsignedLong(done);
}

static PyObject *pipe_recv(PyObject *object, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
	static const char *const names[] = {"timeout", "end", NULL};
	PyObject *given[2];
	PyObject *message;
	int64_t timeout_ns;
	int end;
	struct shmdpy_handle *self = shmdpy_ready(object);
	if (self == NULL || shmdpy_arguments("recv", args, count, keywords, names, 0, given) < 0 ||
	    shmdpy_timeout(given[0], &timeout_ns) < 0 || read_end(given[1], &end) < 0)
		return NULL;
	SHMDPY_RECEIVE(self, timeout_ns, message,
	               shmd_pipe_recv(self->handle, end, buffer, buffer_bytes, timeout_ns, &size_bytes));
	return message;
}

static PyObject *pipe_read(PyObject *object, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
	static const char *const names[] = {"size", "timeout", "end", NULL};
	PyObject *given[3];
	int64_t timeout_ns;
	int end;
	uint64_t most;
	struct shmdpy_handle *self = shmdpy_ready(object);
	if (self == NULL || shmdpy_arguments("read", args, count, keywords, names, 1, given) < 0 ||
	    shmdpy_unsigned("size", given[0], PY_SSIZE_T_MAX, &most) < 0 || shmdpy_timeout(given[1], &timeout_ns) < 0 ||
	    read_end(given[2], &end) < 0)
		return NULL;
	/* There are never more. */
	size_t capacity = shmd_pipe_capacity_bytes(self->handle);
	char *buffer = PyMem_Malloc(most < capacity ? (size_t)most + 1 : capacity);
	if (buffer == NULL)
		return PyErr_NoMemory();
	size_t buffer_bytes = most < capacity ? (size_t)most : capacity;
	size_t done = 0;
	int result;
	SHMDPY_WAIT(self, result, timeout_ns,
	            shmd_pipe_read(self->handle, end, buffer, buffer_bytes, timeout_ns, &done));
	PyObject *bytes = result < 0 ? shmdpy_raise(result, self) : PyBytes_FromStringAndSize(buffer, (Py_ssize_t)done);
	PyMem_Free(buffer);
	return bytes;
}

/* ---- the type ---- */

static PyObject *get_capacity(PyObject *object, void *unused)
{
	(void)unused;
	struct shmdpy_handle *self = shmdpy_ready(object);
	return self == NULL ? NULL : PyLong_FromSize_t(shmd_pipe_capacity_bytes(self->handle));
}

static PyObject *get_message_max(PyObject *object, void *unused)
{
	(void)unused;
	struct shmdpy_handle *self = shmdpy_ready(object);
	return self == NULL ? NULL : PyLong_FromSize_t(shmd_pipe_message_max_bytes(self->handle));
}

static PyObject *get_bytes(PyObject *object, void *unused)
{
	(void)unused;
	struct shmdpy_handle *self = shmdpy_ready(object);
	return self == NULL ? NULL : PyBool_FromLong(shmd_pipe_bytes(self->handle));
}

static PyGetSetDef properties[] = {
	{"capacity", get_capacity, NULL, "How many bytes may be under way, each way.", NULL},
	{"message_max", get_message_max, NULL, "The size of the longest message in bytes.", NULL},
	{"bytes", get_bytes, NULL, "Whether it carries bytes, and no messages.", NULL},
	{NULL, NULL, NULL, NULL, NULL},
};

static PyMethodDef methods[] = {
	SHMDPY_MAKER("create", make_new,
	             "create(client, name=None, *, capacity=65536, message_max=2**30, bytes=False, mode=0o600,\n"
	             "seats_max=64, lifetime='default')\n\n"
	             "Creates a pipe. capacity: bytes under way each way, a power of two of 4 KiB to 256 MiB;\n"
	             "bytes: it carries bytes, not messages. Raises Exists, BadName, Quota, NoSpace, Invalid."),
	SHMDPY_MAKER_OPEN,
	SHMDPY_MAKER("open_or_create", make_either, "As create(), or as open() if the pipe exists."),
	{"claim", SHMDPY_FAST(pipe_claim),
	 "claim($self, /, end=None)\n--\n\n"
	 "Takes an end for this process, 0 or 1, or None: any that is free; which. Raises Taken,\n"
	 "Ended."},
	{"shut", SHMDPY_FAST(pipe_shut),
	 "shut($self, /, end=None)\n--\n\nEnds both directions of an end, for ever; what it has sent is still received."},
	{"send", SHMDPY_FAST(pipe_send),
	 "send($self, /, message, timeout=None, end=None)\n--\n\n"
	 "Sends a copy of the message, any object with the buffer protocol, waiting up to timeout\n"
	 "seconds for room. Messages beyond capacity / 2 - 8 go through in pieces, while both ends\n"
	 "are at it. Each direction is for one thread at a time. end: None for the one that this\n"
	 "process has. Raises WouldBlock, TimedOut, TooLarge, NotOwner, Ended, PeerDied."},
	{"send_many", SHMDPY_FAST(pipe_send_many),
	 "send_many($self, /, messages, timeout=None, end=None)\n--\n\n"
	 "Sends as many of the first messages as there is room for, and returns how many; waits\n"
	 "for the first only."},
	{"recv", SHMDPY_FAST(pipe_recv),
	 "recv($self, /, timeout=None, end=None)\n--\n\n"
	 "Receives the first message, as bytes, waiting up to timeout seconds. Raises WouldBlock,\n"
	 "TimedOut, NotOwner, and behind the last message Ended or PeerDied."},
	{"write", SHMDPY_FAST(pipe_write),
	 "write($self, /, bytes, timeout=None, end=None)\n--\n\n"
	 "Writes some of the bytes, and returns how many, waiting up to timeout seconds for any\n"
	 "room. Raises as send(), and Unsupported where there are messages."},
	{"read", SHMDPY_FAST(pipe_read),
	 "read($self, /, size, timeout=None, end=None)\n--\n\n"
	 "Reads up to size bytes, waiting up to timeout seconds until there are any. Raises as\n"
	 "recv(), and Unsupported where there are messages."},
	{NULL, NULL, 0, NULL},
};

static PyType_Slot slots[] = {
	{Py_tp_methods, methods},
	{Py_tp_getset, properties},
	{Py_tp_doc,
	 SHMDPY_TEXT("Messages or bytes both ways, between two ends, each of which one process claims, once.\n"
	             "When the process of one end dies the other end gets PeerDied.")},
	{0, NULL},
};

static PyType_Spec spec = {
	.name = "shmd.Pipe",
	.basicsize = sizeof(struct shmdpy_handle),
	.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
	.slots = slots,
};

int shmdpy_pipe_init(PyObject *module)
{
	return shmdpy_add_type(module, &spec, shmdpy_handle_type) == NULL ? -1 : 0;
}
