/* SPDX-License-Identifier: Apache-2.0
 *
 * expect.h - what the behaviour probes share: print the first thing that is not
 * so, and exit with 1.
 */
#ifndef SHMD_PROBE_EXPECT_H
#define SHMD_PROBE_EXPECT_H

#include <shmd.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define EXPECT(call, wanted)                                                                        \
	do {                                                                                            \
		int got_ = (call);                                                                          \
		if (got_ != (wanted)) {                                                                     \
			printf("line %d: %s: %s, not %s; %s\n", __LINE__, #call, shmd_error_name(got_),         \
			       shmd_error_name(wanted), shmd_last_error());                                     \
			exit(1);                                                                                \
		}                                                                                           \
	} while (0)
#define CHECK(condition)                                                                            \
	do {                                                                                            \
		if (!(condition)) {                                                                         \
			printf("line %d: %s is false\n", __LINE__, #condition);                                 \
			exit(1);                                                                                \
		}                                                                                           \
	} while (0)

/* Whether this program is of another machine. */
static inline bool emulated(void)
{
	return getenv("SHMD_EMULATOR") != NULL;
}

static inline struct shmd_client *connected(void)
{
	struct shmd_client *client;
	EXPECT(shmd_connect(NULL, &client), 0);
	return client;
}

static inline void on_thread(void *(*function)(void *), void *argument)
{
	pthread_t thread;
	CHECK(pthread_create(&thread, NULL, function, argument) == 0);
	CHECK(pthread_join(thread, NULL) == 0);
}

#endif /* SHMD_PROBE_EXPECT_H */
