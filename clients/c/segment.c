/* SPDX-License-Identifier: Apache-2.0
 *
 * segment.c - the memory of one object: receive, verify, map.
 *
 * Seals and size are verified before mapping: without F_SEAL_SHRINK somebody
 * could cut the file under us, and an access would be SIGBUS.
 */
#define _GNU_SOURCE
#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int shmdi_segment_map_fd(int fd, uint64_t size_bytes, bool read_only, struct shmdi_segment *ret_segment)
{
	const int needed = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
	int seals = fcntl(fd, F_GET_SEALS);
	if (seals < 0 || (seals & needed) != needed)
		return shmdi_fail(SHMD_E_CORRUPT, "map: the segment is not sealed");
	struct stat status;
	if (fstat(fd, &status) < 0)
		return shmdi_fail(SHMD_E_SYSTEM, "map: fstat: %s", strerror(errno));
	if (status.st_size < 0 || (uint64_t)status.st_size != size_bytes)
		return shmdi_fail(SHMD_E_CORRUPT, "map: the segment has another size than the daemon said");
	void *page = mmap(NULL, size_bytes, read_only ? PROT_READ : PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (page == MAP_FAILED)
		return shmdi_fail(errno == ENOMEM ? SHMD_E_NO_SPACE : SHMD_E_SYSTEM, "map: mmap of %llu bytes: %s",
		                  (unsigned long long)size_bytes, strerror(errno));
	(void)madvise(page, size_bytes, MADV_DONTDUMP); /* a core dump is no place for it; only advice */
	ret_segment->page = page;
	ret_segment->size_bytes = size_bytes;
	return 0;
}

/* Refuses segments that this library cannot use, by what the daemon said of them. A layout
 * of a later version is fine if programs of this one can use it. A segment's header says the
 * same, but whoever may write the segment may forge that. */
static int check_layout(struct shmd_client *client)
{
	pthread_mutex_lock(&client->state_mutex);
	struct shmdi_layout layout = client->layout;
	pthread_mutex_unlock(&client->state_mutex);
	if (layout.version == SHMD_ABI_VERSION && layout.fingerprint != SHMD_ABI_FINGERPRINT)
		return shmdi_fail(SHMD_E_VERSION,
		                  "map: the daemon has another layout %u (%#llx) than this library (%#llx): use equal builds",
		                  layout.version, (unsigned long long)layout.fingerprint, SHMD_ABI_FINGERPRINT);
	if (layout.compat > SHMD_ABI_VERSION)
		return shmdi_fail(SHMD_E_VERSION,
		                  "map: the daemon has layout %u, for clients of layout %u and later; this library has %u: "
		                  "update it",
		                  layout.version, layout.compat, SHMD_ABI_VERSION);
	if (layout.version < SHMD_ABI_VERSION)
		return shmdi_fail(SHMD_E_VERSION,
		                  "map: the daemon has layout %u, older than %u, which this library has: update the daemon",
		                  layout.version, SHMD_ABI_VERSION);
	return 0;
}

static int ask(struct shmd_client *client, uint64_t handle, uint64_t size_bytes, int *ret_fd)
{
	struct shmdi_request request;
	struct shmdi_reply reply;
	shmdi_request_begin(client, &request, "map", 1);
	msgpack_pack_uint64(&request.packer, handle);
	int result = shmdi_call(client, &request, &reply);
	if (result < 0)
		return result;
	uint64_t size_said;
	if (!shmdi_get_u64(reply.result, "size", SIZE_MAX / 2, &size_said) || reply.fd < 0) {
		result = shmdi_fail(SHMD_E_BAD_FRAME, "map: the daemon sent no descriptor");
	} else if (size_said != size_bytes) {
		result = shmdi_fail(SHMD_E_CORRUPT, "map: the daemon contradicts itself about the size");
	} else {
		*ret_fd = reply.fd;
		reply.fd = -1;
	}
	shmdi_reply_clear(&reply);
	return result;
}

int shmdi_segment_map(struct shmd_client *client, uint64_t handle, int fd, uint64_t size_bytes, bool read_only,
                      struct shmdi_segment *ret_segment)
{
	int result = check_layout(client);
	if (result == 0 && (size_bytes < SHMD_PAGE_SIZE || size_bytes % SHMD_PAGE_SIZE != 0))
		result = shmdi_fail(SHMD_E_CORRUPT, "map: the daemon contradicts itself about the size");
	if (result == 0 && fd < 0)
		result = ask(client, handle, size_bytes, &fd);
	if (result == 0)
		result = shmdi_segment_map_fd(fd, size_bytes, read_only, ret_segment);
	if (fd >= 0)
		close(fd);
	return result;
}

void shmdi_segment_unmap(struct shmdi_segment *segment)
{
	if (segment->page != NULL)
		munmap(segment->page, segment->size_bytes);
	segment->page = NULL;
}
