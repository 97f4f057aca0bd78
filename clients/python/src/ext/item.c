/* SPDX-License-Identifier: Apache-2.0
 *
 * item.c - items of the type codes as Python objects. What does not fit raises, or wraps
 * as with ctypes where the caller wants that.
 */
#include "shmd_python.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

struct code {
	char code;
	char format[2]; /* of PEP 3118 */
	unsigned char size_bytes;
	bool is_signed;
	bool is_integer;
};

static const struct code codes[] = {
	{'c', "c", 1, false, false}, {'b', "b", 1, true, true},  {'B', "B", 1, false, true}, {'?', "?", 1, false, false},
	{'h', "h", 2, true, true},   {'H', "H", 2, false, true}, {'i', "i", 4, true, true},  {'I', "I", 4, false, true},
	{'l', "l", 8, true, true},   {'L', "L", 8, false, true}, {'q', "q", 8, true, true},  {'Q', "Q", 8, false, true},
	{'u', "w", 4, false, false}, {'f', "f", 4, true, false}, {'d', "d", 8, true, false}, {'e', "e", 2, true, false},
};

static const struct code *find(char code)
{
	for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
		if (codes[i].code == code)
			return &codes[i];
	return NULL;
}

size_t shmdpy_item_size(char code)
{
	const struct code *found = find(code);
	return found == NULL ? 0 : found->size_bytes;
}

const char *shmdpy_item_format(char code)
{
	const struct code *found = find(code);
	return found == NULL ? "B" : found->format;
}

/* ---- packing ---- */

static int out_of_range(const struct shmdpy_handle *about, const struct code *code, PyObject *object)
{
	char range[64] = "";
	if (code->is_integer) {
		unsigned int bits = 8u * code->size_bytes - (code->is_signed ? 1 : 0);
		unsigned long long max = bits == 64 ? UINT64_MAX : (1ull << bits) - 1;
		snprintf(range, sizeof range, ": %s%llu to %llu", code->is_signed ? "-" : "",
		         code->is_signed ? max + 1 : 0ull, max);
	}
	PyErr_Clear();
	PyObject *text = PyObject_Str(object);
	const char *said = text == NULL ? NULL : PyUnicode_AsUTF8AndSize(text, NULL);
	PyErr_Clear(); /* of a number with too many digits */
	shmdpy_raise_text(SHMD_E_OUT_OF_RANGE, about, "%s does not fit type code '%c'%s", said == NULL ? "it" : said,
	                  code->code, range);
	Py_XDECREF(text);
	return -1;
}

static int pack_integer(const struct shmdpy_handle *about, const struct code *code, PyObject *object, bool wraps,
                        void *ret_item)
{
	PyObject *number = PyNumber_Index(object);
	if (number == NULL) {
		if (PyErr_ExceptionMatches(PyExc_TypeError))
			PyErr_Format(PyExc_TypeError, "type code '%c' takes an int, not %R", code->code, Py_TYPE(object));
		return -1;
	}
	int overflow = 0;
	uint64_t bits;
	int64_t value = PyLong_AsLongLongAndOverflow(number, &overflow);
	bool fits = overflow == 0;
	if (wraps || overflow > 0) {
		bits = PyLong_AsUnsignedLongLongMask(number);
		if (bits == UINT64_MAX && PyErr_Occurred() != NULL) {
			Py_DECREF(number);
			return -1;
		}
	} else {
		bits = (uint64_t)value;
	}
	if (overflow > 0 && !wraps && code->size_bytes == 8 && !code->is_signed) {
		(void)PyLong_AsUnsignedLongLong(number);
		fits = PyErr_Occurred() == NULL;
	}
	Py_DECREF(number);
	if (fits && overflow == 0) {
		unsigned int width = 8u * code->size_bytes;
		if (code->is_signed)
			fits = width == 64 || (value >= -(1ll << (width - 1)) && value < 1ll << (width - 1));
		else
			fits = value >= 0 && (width == 64 || value < 1ll << width);
	}
	if (!fits && !wraps)
		return out_of_range(about, code, object);
	memcpy(ret_item, &bits, code->size_bytes); /* little endian */
	return 0;
}

static int pack_character(PyObject *object, void *ret_item)
{
	if (PyBytes_Check(object) && PyBytes_Size(object) == 1) {
		memcpy(ret_item, PyBytes_AsString(object), 1);
		return 0;
	}
	if (PyByteArray_Check(object) && PyByteArray_Size(object) == 1) {
		memcpy(ret_item, PyByteArray_AsString(object), 1);
		return 0;
	}
	PyErr_Format(PyExc_TypeError, "type code 'c' takes one byte, not %R", object);
	return -1;
}

static int pack_wide(PyObject *object, void *ret_item)
{
	if (!PyUnicode_Check(object) || PyUnicode_GetLength(object) != 1) {
		PyErr_Format(PyExc_TypeError, "type code 'u' takes one character, not %R", object);
		return -1;
	}
	uint32_t character = PyUnicode_ReadChar(object, 0);
	memcpy(ret_item, &character, sizeof character);
	return 0;
}

/* The half float nearest to a double, ties to even. */
static bool half_of(double value, uint16_t *ret_half)
{
	uint64_t bits;
	memcpy(&bits, &value, sizeof bits);
	uint16_t sign = (uint16_t)(bits >> 48 & 0x8000);
	if (isnan(value) || isinf(value)) {
		*ret_half = (uint16_t)(sign | 0x7c00 | (isnan(value) ? 0x200 : 0));
		return true;
	}
	double magnitude = fabs(value);
	if (magnitude >= 65520.0) /* would round beyond the largest */
		return false;
	int exponent = -24;
	if (magnitude > 0)
		frexp(magnitude, &exponent); /* 0.5 <= m < 1 */
	/* Steps of the last place: 11 bits in all, no finer than 2^-24. */
	int step = exponent - 11 < -24 ? -24 : exponent - 11;
	double steps = nearbyint(ldexp(magnitude, -step));
	uint32_t count = (uint32_t)steps;
	/* Without the leading bit the exponent field is one less; a carry moves it on. */
	uint32_t field = step == -24 ? 0 : (uint32_t)(step + 24);
	*ret_half = (uint16_t)(sign | ((field << 10) + count));
	return true;
}

static double half_value(uint16_t half)
{
	uint32_t field = half >> 10 & 0x1f;
	uint32_t count = half & 0x3ff;
	double magnitude;
	if (field == 0x1f)
		magnitude = count != 0 ? Py_NAN : Py_HUGE_VAL;
	else if (field == 0)
		magnitude = ldexp(count, -24);
	else
		magnitude = ldexp(count + 1024, (int)field - 25);
	return (half & 0x8000) != 0 ? -magnitude : magnitude;
}

static int pack_real(const struct shmdpy_handle *about, const struct code *code, PyObject *object, bool wraps,
                     void *ret_item)
{
	double value = PyFloat_AsDouble(object);
	if (value == -1.0 && PyErr_Occurred() != NULL)
		return !wraps && PyErr_ExceptionMatches(PyExc_OverflowError) ? out_of_range(about, code, object) : -1;
	if (code->code == 'd') {
		memcpy(ret_item, &value, sizeof value);
		return 0;
	}
	if (code->code == 'f') {
		float single = (float)value;
		if (isinf(single) && !isinf(value) && !wraps)
			return out_of_range(about, code, object);
		memcpy(ret_item, &single, sizeof single);
		return 0;
	}
	uint16_t half;
	if (!half_of(value, &half))
		return out_of_range(about, code, object);
	memcpy(ret_item, &half, sizeof half);
	return 0;
}

static int pack(const struct shmdpy_handle *about, char name, PyObject *object, bool wraps, void *ret_item)
{
	const struct code *code = find(name);
	if (code == NULL) {
		PyErr_Format(PyExc_ValueError, "'%c' is no type code", name);
		return -1;
	}
	if (code->is_integer)
		return pack_integer(about, code, object, wraps, ret_item);
	if (name == 'c')
		return pack_character(object, ret_item);
	if (name == 'u')
		return pack_wide(object, ret_item);
	if (name != '?')
		return pack_real(about, code, object, wraps, ret_item);
	int truth = PyObject_IsTrue(object);
	if (truth < 0)
		return -1;
	*(unsigned char *)ret_item = (unsigned char)truth;
	return 0;
}

int shmdpy_item_pack(const struct shmdpy_handle *about, char code, PyObject *object, void *ret_item)
{
	return pack(about, code, object, false, ret_item);
}

int shmdpy_item_pack_wrapping(char code, PyObject *object, void *ret_item)
{
	return pack(NULL, code, object, true, ret_item);
}

/* ---- unpacking ---- */

static PyObject *unpack_wide(const void *item)
{
	uint32_t character;
	memcpy(&character, item, sizeof character);
	/* Anybody may have written it. */
	if (character > 0x10ffff) {
		PyErr_Format(PyExc_ValueError, "0x%x is no character: somebody has written it there", character);
		return NULL;
	}
	Py_UCS4 one = character;
	int order = -1; /* little endian; surrogates are kept, as they are where one was stored */
	return PyUnicode_DecodeUTF32((const char *)&one, sizeof one, "surrogatepass", &order);
}

#define LOAD(type)                                                                                             \
	type value;                                                                                                \
	memcpy(&value, item, sizeof value)

PyObject *shmdpy_item_unpack(char code, const void *item)
{
	switch (code) {
	case 'c': return PyBytes_FromStringAndSize(item, 1);
	case '?': return PyBool_FromLong(*(const unsigned char *)item != 0);
	case 'b': return PyLong_FromLong(*(const signed char *)item);
	case 'B': return PyLong_FromLong(*(const unsigned char *)item);
	case 'u': return unpack_wide(item);
	case 'h': {
		LOAD(short);
		return PyLong_FromLong(value);
	}
	case 'H': {
		LOAD(unsigned short);
		return PyLong_FromLong(value);
	}
	case 'i': {
		LOAD(int);
		return PyLong_FromLong(value);
	}
	case 'I': {
		LOAD(unsigned int);
		return PyLong_FromUnsignedLong(value);
	}
	case 'l':
	case 'q': {
		LOAD(long);
		return PyLong_FromLong(value);
	}
	case 'L':
	case 'Q': {
		LOAD(unsigned long);
		return PyLong_FromUnsignedLong(value);
	}
	case 'f': {
		LOAD(float);
		return PyFloat_FromDouble(value);
	}
	case 'd': {
		LOAD(double);
		return PyFloat_FromDouble(value);
	}
	case 'e': {
		LOAD(uint16_t);
		return PyFloat_FromDouble(half_value(value));
	}
	default: PyErr_Format(PyExc_ValueError, "'%c' is no type code", code); return NULL;
	}
}
