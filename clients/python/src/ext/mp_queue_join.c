/* SPDX-License-Identifier: Apache-2.0
 *
 * mp_queue_join.c - the leases of a JoinableQueue. A process keeps one on each object that
 * it has got until it calls task_done: if it is killed before, they are got again.
 *
 * Slots are not endless: of a process that has got very many, while others may lack slots,
 * the oldest leases are acknowledged and only counted (surplus). That it has a lease at all
 * still says that it is not done.
 */
#include "mp_queue.h"

/* A process may always keep as many leases. */
#define KEPT_MIN 64u

static void forget_parents(struct shmdpy_mpqueue *self)
{
	if (self->forks == shmdpy_forks)
		return;
	self->forks = shmdpy_forks;
	self->first = self->held = self->surplus = 0;
}

static struct shmd_lease *oldest(struct shmdpy_mpqueue *self)
{
	struct shmd_lease *lease = &self->leases[self->first];
	self->first = (self->first + 1) % self->room;
	self->held--;
	return lease;
}

static int make_room(struct shmdpy_mpqueue *self)
{
	uint32_t room = self->room == 0 ? 16 : 2 * self->room;
	struct shmd_lease *leases = PyMem_Malloc(room * sizeof *leases);
	if (leases == NULL) {
		PyErr_NoMemory();
		return -1;
	}
	for (uint32_t i = 0; i < self->held; i++)
		leases[i] = self->leases[(self->first + i) % self->room];
	PyMem_Free(self->leases);
	self->leases = leases;
	self->first = 0;
	self->room = room;
	return 0;
}

int shmdpy_mpqueue_keep(struct shmdpy_mpqueue *self, const struct shmd_lease *lease)
{
	forget_parents(self);
	if (self->held == self->room && make_room(self) < 0)
		return -1;
	self->leases[(self->first + self->held++) % self->room] = *lease;
	struct shmd_queue_counts counts;
	if (self->held > KEPT_MIN && shmd_queue_counts(self->handle.handle, &counts) == 0 &&
	    counts.leased > shmd_queue_maxsize(self->handle.handle) / 2) {
		self->surplus++;
		shmdpy_message_done(&self->handle, oldest(self));
	}
	return 0;
}

PyObject *shmdpy_mpqueue_finish(PyObject *object, PyObject *unused)
{
	(void)unused;
	struct shmdpy_mpqueue *self = (struct shmdpy_mpqueue *)object;
	forget_parents(self);
	if (self->surplus > 0) {
		self->surplus--;
		Py_RETURN_TRUE;
	}
	if (self->held == 0)
		Py_RETURN_FALSE;
	if (shmdpy_handle_ready(&self->handle) < 0)
		return NULL;
	shmdpy_message_done(&self->handle, oldest(self));
	Py_RETURN_TRUE;
}

PyObject *shmdpy_mpqueue_held(PyObject *object, PyObject *unused)
{
	(void)unused;
	struct shmdpy_mpqueue *self = (struct shmdpy_mpqueue *)object;
	forget_parents(self);
	return PyLong_FromUnsignedLongLong((unsigned long long)self->surplus + self->held);
}
