/* SPDX-License-Identifier: Apache-2.0
 *
 * mp_pickle.h - Python objects as messages of a queue, with as few copies as can be: what
 * the pickler writes is kept in pieces and copied once, into the slot; a long message is
 * unpickled where it lies.
 */
#ifndef SHMDPY_MP_PICKLE_H
#define SHMDPY_MP_PICKLE_H

#include "shmd_python.h"

#pragma GCC visibility push(hidden)

#define SHMDPY_PIECES_INLINE 4

/* What a pickler writes to, and then what is to be sent: bytes in pieces. */
struct shmdpy_sink {
	PyObject_HEAD
	Py_buffer *pieces; /* inline, or allocated */
	uint32_t count;
	uint32_t room;
	size_t size_bytes; /* of all */
	Py_buffer few[SHMDPY_PIECES_INLINE];
};

int shmdpy_pickle_init(PyObject *module);

/* Pickles as multiprocessing does, with the reductions of its ForkingPickler. A new
 * reference, or NULL with an exception; shmdpy_pickle_done ends it. */
struct shmdpy_sink *shmdpy_pickle(PyObject *object);
/* A sink of one piece, which is taken over. */
struct shmdpy_sink *shmdpy_sink_of(Py_buffer *piece);
void shmdpy_pickle_done(struct shmdpy_sink *sink);

/* All of it in one bytes object. */
PyObject *shmdpy_sink_bytes(const struct shmdpy_sink *sink);

/* ---- messages ---- */

/* Puts it, waiting up to timeout_ns; a status of shmd_queue_put. -1 with an exception is
 * SHMD_E_CANCELLED. */
int shmdpy_message_put(struct shmdpy_handle *queue, const struct shmdpy_sink *sink, int64_t timeout_ns);

/* The object that is pickled in the message that is leased. NULL with an exception. */
PyObject *shmdpy_message_load(struct shmdpy_handle *queue, const struct shmd_lease *lease);

/* Acknowledges the lease; the exception that may be set stays. Which daemon or process took
 * the lease away meanwhile does not matter to who has the message. */
void shmdpy_message_done(struct shmdpy_handle *queue, const struct shmd_lease *lease);

#pragma GCC visibility pop

#endif /* SHMDPY_MP_PICKLE_H */
