/* SPDX-License-Identifier: Apache-2.0
 *
 * scribble.h - what the scribblers share: random numbers, and a segment between pages
 * that nobody may touch.
 */
#ifndef SHMD_PROBE_SCRIBBLE_H
#define SHMD_PROBE_SCRIBBLE_H

#include "../../../clients/c/internal.h"
#include "expect.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static inline uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* Maps a file with the bytes of a segment. */
static inline void map_between_guards(const char *path, struct shmdi_segment *segment)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	struct stat status;
	CHECK(fd >= 0 && fstat(fd, &status) == 0);
	segment->size_bytes = (size_t)status.st_size;
	unsigned char *all = mmap(NULL, segment->size_bytes + 2 * SHMD_PAGE_SIZE, PROT_NONE,
	                          MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(all != MAP_FAILED);
	void *page = all + SHMD_PAGE_SIZE;
	CHECK(mmap(page, segment->size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) == page);
	segment->page = page;
	close(fd);
}

#endif /* SHMD_PROBE_SCRIBBLE_H */
