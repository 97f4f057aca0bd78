/* SPDX-License-Identifier: Apache-2.0
 *
 * options.c - what create, open and open_or_create are called with, behind the client and
 * the name.
 */
#include "shmd_python.h"

#include <string.h>

#define ARGUMENTS_MAX 2 /* behind client and name */
#define CREATE(member) offsetof(struct shmdpy_wish, create.member)
#define OPEN(member) offsetof(struct shmdpy_wish, open.member)

enum form { U32, BOOL, U64, SECONDS, LIFETIME, LOCK, ROLE, TICKET };

struct option {
	const char *name;
	size_t offset;
	enum form form;
	uint32_t takes; /* of a kind that takes any of these; 0 = all do */
};

static const struct option create_options[] = {
	{"mode", CREATE(mode), U32, 0},
	{"seats_max", CREATE(seats_max), U32, 0},
	{"lifetime", CREATE(lifetime), LIFETIME, 0},
	{"lock", CREATE(lock), LOCK, SHMDPY_OPTION_LOCK},
	{"recursive", CREATE(recursive), BOOL, SHMDPY_OPTION_MUTEX},
	{"unlock_any", CREATE(unlock_any), BOOL, SHMDPY_OPTION_MUTEX},
	{"strict", CREATE(strict), BOOL, SHMDPY_OPTION_MUTEX},
	{"initial", CREATE(initial), U32, SHMDPY_OPTION_SEMAPHORE},
	{"maximum", CREATE(maximum), U32, SHMDPY_OPTION_SEMAPHORE},
	{"undo", CREATE(undo), BOOL, SHMDPY_OPTION_SEMAPHORE},
	{"maxsize", CREATE(maxsize), U32, SHMDPY_OPTION_QUEUE},
	{"slot_size", CREATE(slot_size), U32, SHMDPY_OPTION_QUEUE},
	{"message_max", CREATE(message_max), U32, SHMDPY_OPTION_MESSAGE_MAX},
	{"deliveries_max", CREATE(deliveries_max), U32, SHMDPY_OPTION_QUEUE},
	{"lease_timeout", CREATE(lease_ns), SECONDS, SHMDPY_OPTION_QUEUE},
	{"raw", CREATE(raw), BOOL, SHMDPY_OPTION_QUEUE},
	{"capacity", CREATE(capacity), U32, SHMDPY_OPTION_CAPACITY},
	{"bytes", CREATE(bytes), BOOL, SHMDPY_OPTION_BYTES},
	{"auto_reset", CREATE(auto_reset), BOOL, SHMDPY_OPTION_EVENT},
	{"set", CREATE(set), BOOL, SHMDPY_OPTION_EVENT},
	{NULL, 0, U32, 0},
};

static const struct option open_options[] = {
	{"id", OPEN(id), U64, 0},
	{"read_only", OPEN(read_only), BOOL, 0},
	{"party", OPEN(party), BOOL, SHMDPY_TAKES_PARTIES},
	{"role", OPEN(role), ROLE, SHMDPY_OPTION_ROLE},
	{"ticket", OPEN(ticket), TICKET, 0},
	{NULL, 0, U32, 0},
};

/* ---- one option ---- */

static int read_lifetime(PyObject *value, enum shmd_lifetime *ret)
{
	static const char *const names[] = {"default", "persistent", "refcounted", "owned"};
	for (int i = 0; i < 4; i++) {
		if (PyUnicode_Check(value) && PyUnicode_CompareWithASCIIString(value, names[i]) == 0) {
			*ret = (enum shmd_lifetime)i;
			return 0;
		}
	}
	PyErr_Format(PyExc_ValueError, "lifetime is 'default', 'persistent', 'refcounted' or 'owned', not %R", value);
	return -1;
}

static int read_role(PyObject *value, int *ret)
{
	enum shmd_role role;
	if (value == Py_None)
		return 0;
	if (shmdpy_role(value, &role) < 0)
		return -1;
	*ret = (int)role;
	return 0;
}

static int read_mutex(PyObject *value, struct shmdpy_wish *wish)
{
	struct shmdpy_handle *mutex = (struct shmdpy_handle *)value;
	if (!PyObject_TypeCheck(value, shmdpy_handle_type) || mutex->kind != &shmdpy_mutex_kind) {
		PyErr_Format(PyExc_TypeError, "expected a Mutex, not %R", value);
		return -1;
	}
	if (shmdpy_handle_ready(mutex) < 0)
		return -1;
	wish->create.lock_mutex = mutex->handle;
	return 0;
}

static int read_lock(PyObject *value, struct shmdpy_wish *wish)
{
	wish->create.lock = SHMD_LOCK_OWN;
	if (value == Py_None || value == Py_True)
		return 0;
	wish->create.lock = value == Py_False ? SHMD_LOCK_NONE : SHMD_LOCK_FOREIGN;
	return value == Py_False ? 0 : read_mutex(value, wish);
}

int shmdpy_wish_ticket(PyObject *value, struct shmdpy_wish *wish)
{
	if (value == Py_None)
		return 0;
	if (!PyBytes_Check(value) || PyBytes_Size(value) != (Py_ssize_t)sizeof wish->ticket.bytes) {
		PyErr_Format(PyExc_TypeError, "a ticket is %zu bytes, as ticket() returns them, not %R",
		             sizeof wish->ticket.bytes, value);
		return -1;
	}
	memcpy(wish->ticket.bytes, PyBytes_AsString(value), sizeof wish->ticket.bytes);
	wish->open.ticket = &wish->ticket;
	return 0;
}

static int read_option(const struct option *option, PyObject *value, struct shmdpy_wish *wish)
{
	void *place = (char *)wish + option->offset;
	uint64_t number;
	int64_t time_ns;
	int truth;
	switch (option->form) {
	case U32:
		if (shmdpy_unsigned(option->name, value, UINT32_MAX, &number) < 0)
			return -1;
		*(uint32_t *)place = (uint32_t)number;
		return 0;
	case U64: return shmdpy_unsigned(option->name, value, UINT64_MAX, place);
	case BOOL:
		truth = PyObject_IsTrue(value);
		*(bool *)place = truth > 0;
		return truth < 0 ? -1 : 0;
	case SECONDS:
		if (shmdpy_timeout(value, &time_ns) < 0)
			return -1;
		*(uint64_t *)place = time_ns == SHMD_FOREVER ? 0 : (uint64_t)time_ns;
		return 0;
	case LIFETIME: return read_lifetime(value, place);
	case LOCK: return read_lock(value, wish);
	case ROLE: return read_role(value, place);
	case TICKET: return shmdpy_wish_ticket(value, wish);
	}
	return 0;
}

/* ---- what stands behind the name ---- */

static int read_code(PyObject *value, char *ret_code)
{
	if (value == Py_None)
		return 0;
	Py_ssize_t length;
	const char *text = PyUnicode_Check(value) ? PyUnicode_AsUTF8AndSize(value, &length) : NULL;
	if (text == NULL || length != 1 || shmdpy_item_size(text[0]) == 0) {
		PyErr_Clear();
		PyErr_Format(PyExc_TypeError, "%R is no type code; those are c b B ? u h H i I l L q Q f d e", value);
		return -1;
	}
	*ret_code = text[0];
	return 0;
}

static int read_shape(PyObject *value, struct shmdpy_wish *wish)
{
	if (value == Py_None)
		return 0;
	if (PyIndex_Check(value)) {
		wish->rank = 1;
		return shmdpy_unsigned("the length", value, UINT64_MAX, &wish->shape[0]);
	}
	Py_ssize_t rank = PySequence_Size(value);
	if (rank < 0) {
		PyErr_Format(PyExc_TypeError, "shape is an int or a tuple of them, not %R", value);
		return -1;
	}
	if (rank < 1 || rank > 8) {
		PyErr_Format(PyExc_ValueError, "shape has %zd dimensions; 1 to 8 are possible", rank);
		return -1;
	}
	for (Py_ssize_t i = 0; i < rank; i++) {
		PyObject *length = PySequence_GetItem(value, i);
		int result = length == NULL ? -1 : shmdpy_unsigned("a length", length, UINT64_MAX, &wish->shape[i]);
		Py_XDECREF(length);
		if (result < 0)
			return -1;
	}
	wish->rank = (unsigned int)rank;
	return 0;
}

static int read_parties(PyObject *value, struct shmdpy_wish *wish)
{
	uint64_t parties;
	if (shmdpy_unsigned("parties", value, UINT32_MAX, &parties) < 0)
		return -1;
	wish->create.parties = (uint32_t)parties;
	return 0;
}

/* Names of what stands behind the name, by the kind; how many. */
static int places_of(const struct shmdpy_kind *kind, enum shmdpy_method method, const char *ret_names[ARGUMENTS_MAX])
{
	int count = 0;
	if ((kind->takes & SHMDPY_TAKES_CODE) != 0)
		ret_names[count++] = "code";
	if ((kind->takes & SHMDPY_TAKES_SHAPE) != 0)
		ret_names[count++] = "shape";
	if (method == SHMDPY_OPEN)
		return count;
	if ((kind->takes & SHMDPY_TAKES_PARTIES) != 0)
		ret_names[count++] = "parties";
	if ((kind->takes & SHMDPY_TAKES_MUTEX) != 0)
		ret_names[count++] = "mutex";
	return count;
}

static int read_place(const char *name, PyObject *value, struct shmdpy_wish *wish)
{
	switch (name[0]) {
	case 'c': return read_code(value, &wish->code);
	case 's': return read_shape(value, wish);
	case 'p': return read_parties(value, wish);
	default: return read_mutex(value, wish);
	}
}

/* ---- init: the first items ---- */

static int read_init(PyObject *value, bool scalar, struct shmdpy_wish *wish)
{
	size_t item_size = shmdpy_item_size(wish->code);
	PyObject *items = scalar ? PyTuple_Pack(1, value) : PySequence_Tuple(value);
	if (items == NULL)
		return -1;
	Py_ssize_t count = PyTuple_Size(items);
	char *bytes = PyMem_Calloc((size_t)count + 1, item_size);
	for (Py_ssize_t i = 0; bytes != NULL && i < count; i++) {
		PyObject *item = PyTuple_GetItem(items, i);
		/* Of bytes come ints. */
		bool number = wish->code == 'c' && PyLong_Check(item);
		int result = shmdpy_item_pack(NULL, number ? 'B' : wish->code, item, bytes + (size_t)i * item_size);
		if (result < 0) {
			PyMem_Free(bytes);
			Py_DECREF(items);
			return -1;
		}
	}
	Py_DECREF(items);
	if (bytes == NULL) {
		PyErr_NoMemory();
		return -1;
	}
	wish->init = bytes;
	wish->create.init = bytes;
	wish->create.init_count = (size_t)count;
	return 0;
}

/* ---- all of them ---- */

static const struct option *find(const struct option *options, PyObject *keyword, uint32_t takes)
{
	for (; options->name != NULL; options++)
		if (PyUnicode_CompareWithASCIIString(keyword, options->name) == 0 &&
		    (options->takes == 0 || (options->takes & takes) != 0))
			return options;
	return NULL;
}

static int read_keyword(const struct shmdpy_kind *kind, enum shmdpy_method method, PyObject *keyword, PyObject *value,
                        const char *const *places, int *given, PyObject **init, struct shmdpy_wish *wish)
{
	if (PyUnicode_CompareWithASCIIString(keyword, "client") == 0 ||
	    PyUnicode_CompareWithASCIIString(keyword, "name") == 0)
		return 0;
	for (int i = 0; i < ARGUMENTS_MAX && places[i] != NULL; i++) {
		if (PyUnicode_CompareWithASCIIString(keyword, places[i]) != 0)
			continue;
		*given |= 1 << i;
		return read_place(places[i], value, wish);
	}
	if (method != SHMDPY_OPEN && (kind->takes & SHMDPY_OPTION_INIT) != 0 &&
	    PyUnicode_CompareWithASCIIString(keyword, "init") == 0) {
		*init = value == Py_None ? NULL : value;
		return 0;
	}
	const struct option *option = find(method == SHMDPY_OPEN ? open_options : create_options, keyword, kind->takes);
	if (option != NULL)
		return read_option(option, value, wish);
	PyErr_Format(PyExc_TypeError, "a %s has no option '%U'", kind->noun, keyword);
	return -1;
}

static int read_all(const struct shmdpy_kind *kind, enum shmdpy_method method, PyObject *args, PyObject *keywords,
                    struct shmdpy_wish *wish)
{
	const char *places[ARGUMENTS_MAX + 1] = {NULL};
	int expected = places_of(kind, method, places);
	int given = 0;
	Py_ssize_t count = PyTuple_Size(args);
	if (count > 2 + expected) {
		PyErr_Format(PyExc_TypeError, "a %s takes at most %d arguments without keyword, %zd were given", kind->noun,
		             2 + expected, count);
		return -1;
	}
	for (int i = 0; i + 2 < count; i++) {
		given |= 1 << i;
		if (read_place(places[i], PyTuple_GetItem(args, i + 2), wish) < 0)
			return -1;
	}
	PyObject *init = NULL;
	PyObject *keyword;
	PyObject *value;
	Py_ssize_t position = 0;
	while (keywords != NULL && PyDict_Next(keywords, &position, &keyword, &value))
		if (read_keyword(kind, method, keyword, value, places, &given, &init, wish) < 0)
			return -1;
	for (int i = 0; method != SHMDPY_OPEN && i < expected; i++) {
		if ((given & 1 << i) == 0) {
			PyErr_Format(PyExc_TypeError, "a %s needs the argument '%s'", kind->noun, places[i]);
			return -1;
		}
	}
	if (init == NULL)
		return 0;
	if (wish->code == 0) {
		PyErr_SetString(PyExc_TypeError, "init needs a type code");
		return -1;
	}
	return read_init(init, (kind->takes & SHMDPY_TAKES_SHAPE) == 0, wish);
}

int shmdpy_wish_read(const struct shmdpy_kind *kind, enum shmdpy_method method, PyObject *args, PyObject *keywords,
                     struct shmdpy_wish *ret_wish)
{
	*ret_wish = (struct shmdpy_wish){.method = method};
	ret_wish->create.size = sizeof ret_wish->create;
	ret_wish->open.size = sizeof ret_wish->open;
	if (read_all(kind, method, args, keywords, ret_wish) == 0)
		return 0;
	shmdpy_wish_clear(ret_wish);
	return -1;
}

void shmdpy_wish_clear(struct shmdpy_wish *wish)
{
	PyMem_Free(wish->init);
	wish->init = NULL;
}
