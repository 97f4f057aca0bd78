/* SPDX-License-Identifier: Apache-2.0
 *
 * mp.h - what the types of shmd.multiprocessing share. They are bases of the classes in
 * Python, which know multiprocessing's constructors and reprs; here is what must be fast.
 */
#ifndef SHMDPY_MP_H
#define SHMDPY_MP_H

#include "shmd_python.h"

#pragma GCC visibility push(hidden)

/* What multiprocessing calls a SemLock: a Lock, an RLock or a semaphore. */
enum shmdpy_flavour { SHMDPY_LOCK = 0, SHMDPY_RLOCK = 1, SHMDPY_SEMAPHORE = 2 };

struct shmdpy_semlock {
	struct shmdpy_handle handle; /* of a mutex or a semaphore */
	enum shmdpy_flavour flavour;
	uint32_t maximum; /* of a semaphore */
	/* Who holds it, as far as this object knows; as CPython's, for reprs and asserts. Nothing
	 * else goes by it: the shared words say who holds a lock. */
	uint32_t count;
	unsigned long thread;
	uint32_t forks; /* when that was: a child holds nothing */
};

extern PyTypeObject *shmdpy_semlock_type;
int shmdpy_semlock_init(PyObject *module);

/* Acquires, without regard to reprs: 0, or a negative status. An owner's death is warned
 * of and marked consistent; if the warning is made an error, the lock is given back and
 * the status is CANCELLED, with the exception set. -1 with an exception if there is no
 * handle. */
int shmdpy_semlock_acquire(struct shmdpy_semlock *self, int64_t timeout_ns);
/* Releases: 0, or a negative status. */
int shmdpy_semlock_release(struct shmdpy_semlock *self);

/* What this object knows of its holder. */
static inline void shmdpy_semlock_took(struct shmdpy_semlock *self)
{
	if (self->forks != shmdpy_forks) {
		self->forks = shmdpy_forks;
		self->count = 0;
	}
	self->count++;
	self->thread = PyThread_get_thread_ident();
}

static inline void shmdpy_semlock_gave(struct shmdpy_semlock *self)
{
	if (self->count != 0)
		self->count--;
}

int shmdpy_synchronized_init(PyObject *module);

#pragma GCC visibility pop

#endif /* SHMDPY_MP_H */
