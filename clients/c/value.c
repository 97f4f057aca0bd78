/* SPDX-License-Identifier: Apache-2.0
 *
 * value.c - the value: one element with a lock and a version.
 */
#include "internal.h"

#include <stdlib.h>

static int attach(struct shmd_client *client, const struct shmdi_wish *wish, struct shmd_value **ret_value)
{
	if (client == NULL || ret_value == NULL)
		return shmdi_fail(SHMD_E_INVALID, "%s: no client, or no place for the result", wish->method);
	struct shmd_value *value = calloc(1, sizeof *value);
	if (value == NULL)
		return shmdi_fail(SHMD_E_NO_SPACE, "%s: no memory", wish->method);
	int result = shmdi_object_attach(client, wish, &value->object);
	if (result < 0) {
		free(value);
		return result;
	}
	*ret_value = value;
	return 0;
}

int shmd_value_create(struct shmd_client *client, const char *name, char code,
                      const struct shmd_create_options *options, struct shmd_value **ret_value)
{
	struct shmdi_wish wish = {
		.method = "create", .name = name, .kind = SHMD_KIND_VALUE, .code = code, .create = options};
	return attach(client, &wish, ret_value);
}

int shmd_value_open_or_create(struct shmd_client *client, const char *name, char code,
                              const struct shmd_create_options *options, struct shmd_value **ret_value)
{
	struct shmdi_wish wish = {
		.method = "open_or_create", .name = name, .kind = SHMD_KIND_VALUE, .code = code, .create = options};
	return attach(client, &wish, ret_value);
}

int shmd_value_open(struct shmd_client *client, const char *name, char code, const struct shmd_open_options *options,
                    struct shmd_value **ret_value)
{
	struct shmdi_wish wish = {
		.method = "open", .name = name, .kind = SHMD_KIND_VALUE, .code = code, .open = options};
	return attach(client, &wish, ret_value);
}

struct shmd_value *shmd_value_close(struct shmd_value *value)
{
	if (value != NULL) {
		shmdi_object_detach(&value->object);
		free(value);
	}
	return NULL;
}

int shmd_value_load(const struct shmd_value *value, void *ret_item)
{
	if (value == NULL || ret_item == NULL)
		return SHMD_E_INVALID;
	return shmdi_element_load(&value->object, 0, ret_item);
}

int shmd_value_store(struct shmd_value *value, const void *item)
{
	return value == NULL || item == NULL ? SHMD_E_INVALID : shmdi_element_store(&value->object, 0, item);
}

int shmd_value_fetch_add(struct shmd_value *value, const void *delta, void *ret_before)
{
	return value == NULL || delta == NULL ? SHMD_E_INVALID : shmdi_element_add(&value->object, 0, delta, ret_before);
}

int shmd_value_exchange(struct shmd_value *value, const void *item, void *ret_before)
{
	return value == NULL || item == NULL ? SHMD_E_INVALID
	                                     : shmdi_element_exchange(&value->object, 0, item, ret_before);
}

int shmd_value_compare_exchange(struct shmd_value *value, const void *expected, const void *desired,
                                bool *ret_swapped, void *ret_before)
{
	if (value == NULL || expected == NULL || desired == NULL || ret_swapped == NULL)
		return SHMD_E_INVALID;
	return shmdi_element_compare_exchange(&value->object, 0, expected, desired, ret_swapped, ret_before);
}

int shmd_value_lock(struct shmd_value *value, int64_t timeout_ns)
{
	return value == NULL ? SHMD_E_INVALID : shmdi_object_lock(&value->object, timeout_ns);
}

int shmd_value_unlock(struct shmd_value *value)
{
	return value == NULL ? SHMD_E_INVALID : shmdi_lock_release(&value->object.lock);
}

int shmd_value_mark_consistent(struct shmd_value *value)
{
	return value == NULL ? SHMD_E_INVALID : shmdi_sequence_mark(&value->object);
}

int shmd_value_notice(const struct shmd_value *value, struct shmd_notice *ret_notice)
{
	if (value == NULL || ret_notice == NULL)
		return SHMD_E_INVALID;
	return shmdi_lock_notice(&value->object.lock, ret_notice);
}

int shmd_value_version(const struct shmd_value *value, uint64_t *ret_version)
{
	if (value == NULL || ret_version == NULL)
		return SHMD_E_INVALID;
	int result = shmdi_object_usable(&value->object);
	if (result == 0)
		*ret_version = shmdi_change_version(&value->object);
	return result;
}

int shmd_value_wait_change(struct shmd_value *value, uint64_t version, int64_t timeout_ns, uint64_t *ret_version)
{
	uint64_t now;
	if (value == NULL || timeout_ns < SHMD_FOREVER)
		return SHMD_E_INVALID;
	int result = shmdi_change_wait(&value->object, version, timeout_ns, &now);
	if (result == 0 && ret_version != NULL)
		*ret_version = now;
	return result;
}

void *shmd_value_data(const struct shmd_value *value)
{
	return value->object.data;
}

char shmd_value_code(const struct shmd_value *value)
{
	return (char)value->object.is.code;
}

size_t shmd_value_item_size_bytes(const struct shmd_value *value)
{
	return value->object.is.item_size_bytes;
}

uint64_t shmd_value_id(const struct shmd_value *value)
{
	return value->object.is.id;
}

bool shmd_value_created(const struct shmd_value *value)
{
	return value->object.is.created;
}
