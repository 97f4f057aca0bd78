/* SPDX-License-Identifier: Apache-2.0
 *
 * next_abi.h - included before everything else it makes a C library that says of itself
 * to have the layout after this one: the twin of shm/abi_version_next.go.
 */
#ifndef SHMD_NEXT_ABI_H
#define SHMD_NEXT_ABI_H

#define _GNU_SOURCE /* as the sources have it, before any header */
#include "shmd_abi.h"

enum { SHMD_ABI_THIS = SHMD_ABI_VERSION };
#undef SHMD_ABI_VERSION
#undef SHMD_ABI_COMPAT
#undef SHMD_ABI_FINGERPRINT
#define SHMD_ABI_VERSION ((uint32_t)SHMD_ABI_THIS + 1)
#define SHMD_ABI_COMPAT SHMD_ABI_VERSION
#define SHMD_ABI_FINGERPRINT 0x6e65787420616269ull

#endif /* SHMD_NEXT_ABI_H */
