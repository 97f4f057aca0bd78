/* SPDX-License-Identifier: Apache-2.0
 *
 * error.c - status codes and what is said about them. The table is that of
 * status/code.go.
 */
#include "internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct status {
	int code;
	const char *name;
	const char *text;
};

static const struct status table[] = {
	{0, "OK", "success"},
	{SHMD_OWNER_DIED, "OWNER_DIED", "lock held; its previous owner died holding it"},
	{SHMD_E_WOULD_BLOCK, "WOULD_BLOCK", "would block"},
	{SHMD_E_TIMED_OUT, "TIMED_OUT", "timed out"},
	{SHMD_E_CANCELLED, "CANCELLED", "cancelled"},
	{SHMD_E_CLOSED, "CLOSED", "closed"},
	{SHMD_E_REMOVED, "REMOVED", "object was destroyed"},
	{SHMD_E_LOST, "LOST", "daemon is gone"},
	{SHMD_E_NOT_RECOVERABLE, "NOT_RECOVERABLE", "state was never marked consistent after an owner died"},
	{SHMD_E_ENDED, "ENDED", "ended or shut down"},
	{SHMD_E_BROKEN, "BROKEN", "barrier is broken"},
	{SHMD_E_PEER_DIED, "PEER_DIED", "another party died"},
	{SHMD_E_OUTCOME_UNKNOWN, "OUTCOME_UNKNOWN", "outcome is unknown"},
	{SHMD_E_TAKEN, "TAKEN", "role is taken by another client"},
	{SHMD_E_INVALID, "INVALID", "invalid argument"},
	{SHMD_E_BAD_NAME, "BAD_NAME", "malformed object name"},
	{SHMD_E_BAD_TYPE, "BAD_TYPE", "wrong type"},
	{SHMD_E_OUT_OF_RANGE, "OUT_OF_RANGE", "value out of range"},
	{SHMD_E_BAD_INDEX, "BAD_INDEX", "index out of range"},
	{SHMD_E_NOT_FOUND, "NOT_FOUND", "no such object"},
	{SHMD_E_EXISTS, "EXISTS", "object exists"},
	{SHMD_E_KIND_MISMATCH, "KIND_MISMATCH", "object is of another kind"},
	{SHMD_E_TYPE_MISMATCH, "TYPE_MISMATCH", "object has another type code"},
	{SHMD_E_SHAPE_MISMATCH, "SHAPE_MISMATCH", "object has another shape"},
	{SHMD_E_OPTION_MISMATCH, "OPTION_MISMATCH", "object has other options"},
	{SHMD_E_PERMISSION, "PERMISSION", "permission denied"},
	{SHMD_E_NOT_OWNER, "NOT_OWNER", "not held by the caller"},
	{SHMD_E_DEADLOCK, "DEADLOCK", "lock is already held by the caller"},
	{SHMD_E_SEATS_FULL, "SEATS_FULL", "object has no free seat"},
	{SHMD_E_QUOTA, "QUOTA", "quota exhausted"},
	{SHMD_E_NO_SPACE, "NO_SPACE", "not enough memory"},
	{SHMD_E_TOO_LARGE, "TOO_LARGE", "message too large"},
	{SHMD_E_BAD_FRAME, "BAD_FRAME", "malformed message"},
	{SHMD_E_UNKNOWN_METHOD, "UNKNOWN_METHOD", "unknown method"},
	{SHMD_E_BAD_PARAMS, "BAD_PARAMS", "wrong parameters"},
	{SHMD_E_VERSION, "VERSION", "incompatible version"},
	{SHMD_E_CORRUPT, "CORRUPT", "shared state is corrupt"},
	{SHMD_E_UNSUPPORTED, "UNSUPPORTED", "operation not supported by this object"},
	{SHMD_E_BUSY, "BUSY", "too many calls are waiting"},
	{SHMD_E_BAD_HANDLE, "BAD_HANDLE", "no such handle"},
	{SHMD_E_IDENTITY, "IDENTITY", "peer identity could not be proved"},
	{SHMD_E_NO_DAEMON, "NO_DAEMON", "no daemon is listening"},
	{SHMD_E_FORKED, "FORKED", "handle belongs to the parent process"},
	{SHMD_E_OVERFLOW, "OVERFLOW", "counter overflow"},
	{SHMD_E_SYSTEM, "SYSTEM", "system call failed"},
	{SHMD_E_INTERNAL, "INTERNAL", "internal error"},
};

static _Thread_local char last_text[512];

static const struct status *find(int code)
{
	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
		if (table[i].code == code)
			return &table[i];
	return NULL;
}

const char *shmd_strerror(int error)
{
	const struct status *status = find(error);
	return status != NULL ? status->text : "unknown status";
}

const char *shmd_error_name(int error)
{
	const struct status *status = find(error);
	return status != NULL ? status->name : "UNKNOWN";
}

const char *shmd_last_error(void)
{
	return last_text;
}

int shmdi_fail(int code, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	(void)vsnprintf(last_text, sizeof last_text, format, arguments);
	va_end(arguments);
	return code;
}

int shmdi_fail_text(int code, const char *text, size_t size_bytes)
{
	if (size_bytes >= sizeof last_text) {
		size_bytes = sizeof last_text - 1;
		while (size_bytes > 0 && ((unsigned char)text[size_bytes] & 0xc0) == 0x80)
			size_bytes--; /* not in the middle of a character */
	}
	memcpy(last_text, text, size_bytes);
	last_text[size_bytes] = '\0';
	return code;
}
