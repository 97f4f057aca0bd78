/* SPDX-License-Identifier: Apache-2.0
 *
 * mp_connection.h - the types of mp_connection.c.
 */
#ifndef SHMDPY_MP_CONNECTION_H
#define SHMDPY_MP_CONNECTION_H

#include "shmd_python.h"

#pragma GCC visibility push(hidden)

int shmdpy_connection_init(PyObject *module);

#pragma GCC visibility pop

#endif /* SHMDPY_MP_CONNECTION_H */
