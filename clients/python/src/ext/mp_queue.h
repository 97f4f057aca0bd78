/* SPDX-License-Identifier: Apache-2.0
 *
 * mp_queue.h - what mp_queue.c and mp_queue_join.c share.
 */
#ifndef SHMDPY_MP_QUEUE_H
#define SHMDPY_MP_QUEUE_H

#include "mp_pickle.h"

#pragma GCC visibility push(hidden)

/* Bytes of the longest message. */
#define SHMDPY_MESSAGE_MAX (1u << 30)

struct shmdpy_mpqueue {
	struct shmdpy_handle handle;
	uint32_t slot_size_bytes;
	uint32_t spilled;
	bool closed;
	bool used; /* this process has put something */
	bool bounded;
	bool joinable;
	bool simple;
	bool late;
	/* Of a joinable queue: what this process has got and not finished, the oldest first. */
	struct shmd_lease *leases;
	uint32_t first;
	uint32_t held; /* leases */
	uint32_t room;
	uint32_t surplus; /* got before those, and acknowledged for want of slots */
	uint32_t forks;   /* when that was: a child has none of it */
};

int shmdpy_mpqueue_init(PyObject *module);

/* Keeps a lease until it is finished; -1 with an exception. */
int shmdpy_mpqueue_keep(struct shmdpy_mpqueue *self, const struct shmd_lease *lease);
PyObject *shmdpy_mpqueue_finish(PyObject *self, PyObject *unused);
PyObject *shmdpy_mpqueue_held(PyObject *self, PyObject *unused);

#pragma GCC visibility pop

#endif /* SHMDPY_MP_QUEUE_H */
