/* SPDX-License-Identifier: Apache-2.0
 *
 * array.c - the array: elements, brackets, snapshots, a lock and a version.
 */
#include "internal.h"

#include <stdlib.h>

static int attach(struct shmd_client *client, const struct shmdi_wish *wish, struct shmd_array **ret_array)
{
	if (client == NULL || ret_array == NULL)
		return shmdi_fail(SHMD_E_INVALID, "%s: no client, or no place for the result", wish->method);
	struct shmd_array *array = calloc(1, sizeof *array);
	if (array == NULL)
		return shmdi_fail(SHMD_E_NO_SPACE, "%s: no memory", wish->method);
	int result = shmdi_object_attach(client, wish, &array->object);
	if (result < 0) {
		free(array);
		return result;
	}
	*ret_array = array;
	return 0;
}

int shmd_array_create(struct shmd_client *client, const char *name, char code, unsigned int rank,
                      const uint64_t *shape, const struct shmd_create_options *options, struct shmd_array **ret_array)
{
	struct shmdi_wish wish = {.method = "create", .name = name, .kind = SHMD_KIND_ARRAY, .code = code, .rank = rank,
	                          .shape = shape, .create = options};
	return attach(client, &wish, ret_array);
}

int shmd_array_open_or_create(struct shmd_client *client, const char *name, char code, unsigned int rank,
                              const uint64_t *shape, const struct shmd_create_options *options,
                              struct shmd_array **ret_array)
{
	struct shmdi_wish wish = {.method = "open_or_create", .name = name, .kind = SHMD_KIND_ARRAY, .code = code,
	                          .rank = rank, .shape = shape, .create = options};
	return attach(client, &wish, ret_array);
}

int shmd_array_create_1d(struct shmd_client *client, const char *name, char code, uint64_t length,
                         const struct shmd_create_options *options, struct shmd_array **ret_array)
{
	return shmd_array_create(client, name, code, 1, &length, options, ret_array);
}

int shmd_array_open_or_create_1d(struct shmd_client *client, const char *name, char code, uint64_t length,
                                 const struct shmd_create_options *options, struct shmd_array **ret_array)
{
	return shmd_array_open_or_create(client, name, code, 1, &length, options, ret_array);
}

int shmd_array_open(struct shmd_client *client, const char *name, char code, unsigned int rank,
                    const uint64_t *shape, const struct shmd_open_options *options, struct shmd_array **ret_array)
{
	struct shmdi_wish wish = {.method = "open", .name = name, .kind = SHMD_KIND_ARRAY, .code = code, .rank = rank,
	                          .shape = shape, .open = options};
	return attach(client, &wish, ret_array);
}

struct shmd_array *shmd_array_close(struct shmd_array *array)
{
	if (array != NULL) {
		shmdi_object_detach(&array->object);
		free(array);
	}
	return NULL;
}

uint64_t shmd_array_length(const struct shmd_array *array)
{
	return array->object.is.length;
}

unsigned int shmd_array_rank(const struct shmd_array *array)
{
	return array->object.is.rank;
}

const uint64_t *shmd_array_shape(const struct shmd_array *array)
{
	return array->object.is.shape;
}

int shmd_array_load(const struct shmd_array *array, uint64_t index, void *ret_item)
{
	if (array == NULL || ret_item == NULL)
		return SHMD_E_INVALID;
	return shmdi_element_load(&array->object, index, ret_item);
}

int shmd_array_store(struct shmd_array *array, uint64_t index, const void *item)
{
	return array == NULL || item == NULL ? SHMD_E_INVALID : shmdi_element_store(&array->object, index, item);
}

int shmd_array_fetch_add(struct shmd_array *array, uint64_t index, const void *delta, void *ret_before)
{
	if (array == NULL || delta == NULL)
		return SHMD_E_INVALID;
	return shmdi_element_add(&array->object, index, delta, ret_before);
}

int shmd_array_exchange(struct shmd_array *array, uint64_t index, const void *item, void *ret_before)
{
	if (array == NULL || item == NULL)
		return SHMD_E_INVALID;
	return shmdi_element_exchange(&array->object, index, item, ret_before);
}

int shmd_array_compare_exchange(struct shmd_array *array, uint64_t index, const void *expected, const void *desired,
                                bool *ret_swapped, void *ret_before)
{
	if (array == NULL || expected == NULL || desired == NULL || ret_swapped == NULL)
		return SHMD_E_INVALID;
	return shmdi_element_compare_exchange(&array->object, index, expected, desired, ret_swapped, ret_before);
}

int shmd_array_read(struct shmd_array *array, uint64_t start, uint64_t count, int64_t timeout_ns, void *ret_items,
                    uint64_t *ret_version)
{
	if (array == NULL || ret_items == NULL)
		return SHMD_E_INVALID;
	return shmdi_snapshot(&array->object, start, count, timeout_ns, ret_items, ret_version);
}

int shmd_array_write(struct shmd_array *array, uint64_t start, uint64_t count, int64_t timeout_ns, const void *items)
{
	if (array == NULL || items == NULL)
		return SHMD_E_INVALID;
	return shmdi_write(&array->object, start, count, timeout_ns, items);
}

int shmd_array_begin_write(struct shmd_array *array)
{
	return array == NULL ? SHMD_E_INVALID : shmdi_sequence_begin(&array->object);
}

int shmd_array_end_write(struct shmd_array *array)
{
	return array == NULL ? SHMD_E_INVALID : shmdi_sequence_end(&array->object);
}

int shmd_array_lock(struct shmd_array *array, int64_t timeout_ns)
{
	return array == NULL ? SHMD_E_INVALID : shmdi_object_lock(&array->object, timeout_ns);
}

int shmd_array_unlock(struct shmd_array *array)
{
	return array == NULL ? SHMD_E_INVALID : shmdi_lock_release(&array->object.lock);
}

int shmd_array_mark_consistent(struct shmd_array *array)
{
	return array == NULL ? SHMD_E_INVALID : shmdi_sequence_mark(&array->object);
}

int shmd_array_notice(const struct shmd_array *array, struct shmd_notice *ret_notice)
{
	if (array == NULL || ret_notice == NULL)
		return SHMD_E_INVALID;
	return shmdi_lock_notice(&array->object.lock, ret_notice);
}

int shmd_array_version(const struct shmd_array *array, uint64_t *ret_version)
{
	if (array == NULL || ret_version == NULL)
		return SHMD_E_INVALID;
	int result = shmdi_object_usable(&array->object);
	if (result == 0)
		*ret_version = shmdi_change_version(&array->object);
	return result;
}

int shmd_array_wait_change(struct shmd_array *array, uint64_t version, int64_t timeout_ns, uint64_t *ret_version)
{
	uint64_t now;
	if (array == NULL || timeout_ns < SHMD_FOREVER)
		return SHMD_E_INVALID;
	int result = shmdi_change_wait(&array->object, version, timeout_ns, &now);
	if (result == 0 && ret_version != NULL)
		*ret_version = now;
	return result;
}

void *shmd_array_data(const struct shmd_array *array)
{
	return array->object.data;
}

char shmd_array_code(const struct shmd_array *array)
{
	return (char)array->object.is.code;
}

size_t shmd_array_item_size_bytes(const struct shmd_array *array)
{
	return array->object.is.item_size_bytes;
}

uint64_t shmd_array_id(const struct shmd_array *array)
{
	return array->object.is.id;
}

bool shmd_array_created(const struct shmd_array *array)
{
	return array->object.is.created;
}
