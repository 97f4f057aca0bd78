/* SPDX-License-Identifier: Apache-2.0
 *
 * driver.c - speaks the line protocol of tests/interop (doc.go) for libshmd.
 */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <shmd.h>

enum {
	SLOTS = 64,   /* objects open at once */
	WORDS = 64,   /* on a line */
	ITEM_MAX = 8, /* bytes of the largest item */
};

struct latched;
struct synced;
struct ring;

struct slot {
	char name[32]; /* "" = free */
	char code;     /* 0 for a mutex */
	struct shmd_mutex *mutex;
	struct shmd_value *value;
	struct shmd_array *array;
	struct latched *latched;
	struct synced *synced;
	struct ring *ring;
};

/* A line in words. */
struct command {
	char *words[WORDS];
	int count;
};

static struct shmd_client *client;
static struct slot slots[SLOTS];

/* ---- Values as text ------------------------------------------------------- */

static double half_to_double(uint16_t half)
{
	int exponent = half >> 10 & 0x1f;
	double fraction = half & 0x3ff;
	double magnitude;
	if (exponent == 0x1f)
		magnitude = fraction != 0 ? NAN : INFINITY;
	else if (exponent != 0)
		magnitude = ldexp(1024 + fraction, exponent - 25);
	else
		magnitude = ldexp(fraction, -24);
	return half & 0x8000 ? -magnitude : magnitude;
}

/* The nearest half, found by looking at all: slow, and evidently right. */
static uint16_t double_to_half(double x)
{
	uint16_t sign = signbit(x) ? 0x8000 : 0;
	if (isnan(x))
		return 0x7e00;
	if (isinf(x))
		return sign | 0x7c00;
	uint16_t best = 0;
	for (uint16_t h = 0; h < 0x7c00; h++)
		if (fabs(half_to_double(h) - fabs(x)) < fabs(half_to_double(best) - fabs(x)))
			best = h;
	return sign | best;
}

/* UTF-8 of one character, or U+XXXX. */
static uint32_t parse_character(const char *text)
{
	const unsigned char *p = (const unsigned char *)text;
	if (strncmp(text, "U+", 2) == 0)
		return (uint32_t)strtoul(text + 2, NULL, 16);
	if (p[0] < 0x80)
		return p[0];
	int more = p[0] >= 0xf0 ? 3 : p[0] >= 0xe0 ? 2 : 1;
	uint32_t character = p[0] & (0x3fu >> more);
	for (int i = 1; i <= more; i++)
		character = character << 6 | (p[i] & 0x3fu);
	return character;
}

#define PUT(T, x)                                                                                   \
	do {                                                                                            \
		T typed = (T)(x);                                                                           \
		memcpy(item, &typed, sizeof typed);                                                         \
	} while (0)

/* Text to item. The test sends only what is in range. */
static void parse(char code, const char *text, void *item)
{
	switch (code) {
	case 'c':
		PUT(unsigned char, strncmp(text, "\\x", 2) == 0 ? strtoul(text + 2, NULL, 16) : (unsigned char)text[0]);
		break;
	case 'b': PUT(signed char, strtoll(text, NULL, 10)); break;
	case 'B': PUT(unsigned char, strtoull(text, NULL, 10)); break;
	case '?': PUT(bool, strcmp(text, "true") == 0); break;
	case 'h': PUT(short, strtoll(text, NULL, 10)); break;
	case 'H': PUT(unsigned short, strtoull(text, NULL, 10)); break;
	case 'i': PUT(int, strtoll(text, NULL, 10)); break;
	case 'I': PUT(unsigned int, strtoull(text, NULL, 10)); break;
	case 'u': PUT(wchar_t, parse_character(text)); break;
	case 'l': PUT(long, strtoll(text, NULL, 10)); break;
	case 'L': PUT(unsigned long, strtoull(text, NULL, 10)); break;
	case 'q': PUT(long long, strtoll(text, NULL, 10)); break;
	case 'Q': PUT(unsigned long long, strtoull(text, NULL, 10)); break;
	case 'f': PUT(float, strtof(text, NULL)); break;
	case 'd': PUT(double, strtod(text, NULL)); break;
	case 'e': PUT(uint16_t, double_to_half(strtod(text, NULL))); break;
	default: break;
	}
}

#define GET(T)                                                                                      \
	T x;                                                                                            \
	memcpy(&x, item, sizeof x)

/* Item to text, behind a space. */
static void print(char code, const void *item)
{
	putchar(' ');
	switch (code) {
	case 'c': { GET(unsigned char); printf("\\x%02x", x); break; }
	case 'b': { GET(signed char); printf("%d", x); break; }
	case 'B': { GET(unsigned char); printf("%u", x); break; }
	case '?': { GET(unsigned char); fputs(x ? "true" : "false", stdout); break; }
	case 'h': { GET(short); printf("%d", x); break; }
	case 'H': { GET(unsigned short); printf("%u", x); break; }
	case 'i': { GET(int); printf("%d", x); break; }
	case 'I': { GET(unsigned int); printf("%u", x); break; }
	case 'u': { GET(wchar_t); printf("U+%04X", (unsigned int)x); break; }
	case 'l': { GET(long); printf("%ld", x); break; }
	case 'L': { GET(unsigned long); printf("%lu", x); break; }
	case 'q': { GET(long long); printf("%lld", x); break; }
	case 'Q': { GET(unsigned long long); printf("%llu", x); break; }
	case 'f': { GET(float); isnan(x) ? printf("nan") : printf("%.9g", (double)x); break; }
	case 'd': { GET(double); isnan(x) ? printf("nan") : printf("%.17g", x); break; }
	case 'e': { GET(uint16_t); double y = half_to_double(x); isnan(y) ? printf("nan") : printf("%.17g", y); break; }
	default: break;
	}
}

/* ---- Answers ---------------------------------------------------------------- */

/* The result of a call that returns nothing else. */
static void answer(int result)
{
	if (result == SHMD_OWNER_DIED)
		puts("died");
	else if (result < 0)
		printf("error %s\n", shmd_error_name(result));
	else
		puts("ok");
}

static void answer_item(const struct slot *s, int result, const void *item)
{
	if (result < 0) {
		answer(result);
		return;
	}
	fputs("ok", stdout);
	print(s->code, item);
	putchar('\n');
}

/* These need client and answer. */
#include "latched.h"
#include "sync.h"
#include "rings.h"

/* ---- Commands ----------------------------------------------------------------- */

static struct slot *find(const char *name)
{
	for (int i = 0; i < SLOTS; i++)
		if (strcmp(slots[i].name, name) == 0)
			return &slots[i];
	fprintf(stderr, "no slot %s\n", name);
	exit(2);
}

static struct slot *take(const char *name)
{
	struct slot *s = find("");
	snprintf(s->name, sizeof s->name, "%s", name);
	return s;
}

static void drop(struct slot *s)
{
	close_latched(s->latched);
	close_sync(s->synced);
	close_ring(s->ring);
	*s = (struct slot){0};
}

static struct latched *latch(struct slot *s)
{
	s->latched = calloc(1, sizeof *s->latched);
	if (s->latched == NULL)
		abort();
	return s->latched;
}

static struct synced *synchronise(struct slot *s)
{
	s->synced = calloc(1, sizeof *s->synced);
	if (s->synced == NULL)
		abort();
	return s->synced;
}

static struct ring *link_ring(struct slot *s)
{
	s->ring = calloc(1, sizeof *s->ring);
	if (s->ring == NULL)
		abort();
	return s->ring;
}

static bool has(const char *flags, const char *flag) { return strstr(flags, flag) != NULL; }

/* create SLOT KIND NAME CODE FLAGS VALUE... */
static void create(const struct command *c)
{
	struct slot *s = take(c->words[1]);
	const char *kind = c->words[2], *name = c->words[3], *flags = c->words[5];
	size_t count = (size_t)(c->count - 6);
	unsigned char items[WORDS * ITEM_MAX];
	struct shmd_create_options options = {.size = sizeof options};
	options.recursive = has(flags, "recursive");
	options.unlock_any = has(flags, "unlock_any");
	options.strict = has(flags, "strict");
	if (has(flags, "nolock"))
		options.lock = SHMD_LOCK_NONE;
	const char *foreign = strchr(flags, '@');
	if (foreign != NULL) {
		options.lock = is_sync(kind) ? SHMD_LOCK_OWN : SHMD_LOCK_FOREIGN;
		options.lock_mutex = find(foreign + 1)->mutex;
	}
	int result;
	if (strcmp(kind, "semaphore") == 0 || strcmp(kind, "queue") == 0) {
		result = create_latched(latch(s), kind, name, flags, (char **)c->words + 6, c->count - 6);
	} else if (is_ring(kind)) {
		result = create_ring(link_ring(s), kind, name, flags, (char **)c->words + 6, c->count - 6);
	} else if (is_sync(kind)) {
		options.auto_reset = has(flags, "auto_reset");
		options.set = has(flags, "isset");
		options.parties = count > 0 ? (uint32_t)strtoul(c->words[6], NULL, 10) : 0;
		result = create_sync(synchronise(s), kind, name, &options);
	} else if (strcmp(kind, "mutex") == 0) {
		result = shmd_mutex_create(client, name, &options, &s->mutex);
	} else {
		s->code = c->words[4][0];
		unsigned char probe[ITEM_MAX];
		size_t size = 0;
		for (size_t i = 0; i < count; i++) {
			parse(s->code, c->words[6 + i], probe);
			size = strchr("cbB?", s->code) ? 1 : strchr("hHe", s->code) ? 2 : strchr("iIfu", s->code) ? 4 : 8;
			memcpy(items + i * size, probe, size);
		}
		options.init = items;
		options.init_count = count;
		if (strcmp(kind, "value") == 0)
			result = shmd_value_create(client, name, s->code, &options, &s->value);
		else
			result = shmd_array_create_1d(client, name, s->code, count, &options, &s->array);
	}
	if (result < 0)
		drop(s);
	answer(result);
}

/* open SLOT KIND NAME rw|r|party */
static void open_object(const struct command *c)
{
	struct slot *s = take(c->words[1]);
	const char *kind = c->words[2], *name = c->words[3];
	struct shmd_open_options options = {.size = sizeof options};
	options.read_only = strcmp(c->words[4], "r") == 0;
	options.party = strcmp(c->words[4], "party") == 0;
	int result;
	if (strcmp(kind, "semaphore") == 0 || strcmp(kind, "queue") == 0)
		result = open_latched(latch(s), kind, name, &options);
	else if (is_ring(kind))
		result = open_ring(link_ring(s), kind, name, &options);
	else if (is_sync(kind))
		result = open_sync(synchronise(s), kind, name, &options);
	else if (strcmp(kind, "mutex") == 0)
		result = shmd_mutex_open(client, name, &options, &s->mutex);
	else if (strcmp(kind, "value") == 0)
		result = shmd_value_open(client, name, 0, &options, &s->value);
	else
		result = shmd_array_open(client, name, 0, 0, NULL, &options, &s->array);
	if (result < 0) {
		drop(s);
		answer(result);
		return;
	}
	if (s->value != NULL)
		s->code = shmd_value_code(s->value);
	if (s->array != NULL)
		s->code = shmd_array_code(s->array);
	printf("ok %c %" PRIu64 "\n", s->code != 0 ? s->code : '-',
	       s->value != NULL ? UINT64_C(1) : s->array != NULL ? shmd_array_length(s->array) : UINT64_C(0));
}

static void close_object(struct slot *s)
{
	shmd_mutex_close(s->mutex);
	shmd_value_close(s->value);
	shmd_array_close(s->array);
	drop(s);
	puts("ok");
}

/* load, store, add, exchange, cas: SLOT INDEX [VALUE [VALUE]] */
static void element(const struct command *c, struct slot *s)
{
	const char *verb = c->words[0];
	uint64_t index = c->count > 2 ? strtoull(c->words[2], NULL, 10) : 0;
	unsigned char x[ITEM_MAX], y[ITEM_MAX], before[ITEM_MAX];
	if (c->count > 3)
		parse(s->code, c->words[3], x);
	if (c->count > 4)
		parse(s->code, c->words[4], y);
	struct shmd_value *v = s->value;
	struct shmd_array *a = s->array;
	if (strcmp(verb, "load") == 0) {
		answer_item(s, v ? shmd_value_load(v, before) : shmd_array_load(a, index, before), before);
	} else if (strcmp(verb, "store") == 0) {
		answer(v ? shmd_value_store(v, x) : shmd_array_store(a, index, x));
	} else if (strcmp(verb, "add") == 0) {
		answer_item(s, v ? shmd_value_fetch_add(v, x, before) : shmd_array_fetch_add(a, index, x, before), before);
	} else if (strcmp(verb, "exchange") == 0) {
		answer_item(s, v ? shmd_value_exchange(v, x, before) : shmd_array_exchange(a, index, x, before), before);
	} else {
		bool swapped;
		int result = v ? shmd_value_compare_exchange(v, x, y, &swapped, before)
		               : shmd_array_compare_exchange(a, index, x, y, &swapped, before);
		if (result < 0) {
			answer(result);
			return;
		}
		printf("ok %s", swapped ? "true" : "false");
		print(s->code, before);
		putchar('\n');
	}
}

/* read SLOT START COUNT */
static void read_items(const struct command *c, struct slot *s)
{
	uint64_t start = strtoull(c->words[2], NULL, 10), count = strtoull(c->words[3], NULL, 10);
	unsigned char items[WORDS * ITEM_MAX];
	int result = shmd_array_read(s->array, start, count, SHMD_FOREVER, items, NULL);
	if (result < 0) {
		answer(result);
		return;
	}
	fputs(result == SHMD_OWNER_DIED ? "dirty" : "ok", stdout);
	for (uint64_t i = 0; i < count; i++)
		print(s->code, items + i * shmd_array_item_size_bytes(s->array));
	putchar('\n');
}

/* write SLOT START VALUE... */
static void write_items(const struct command *c, struct slot *s)
{
	uint64_t start = strtoull(c->words[2], NULL, 10), count = (uint64_t)(c->count - 3);
	unsigned char items[WORDS * ITEM_MAX];
	for (uint64_t i = 0; i < count; i++)
		parse(s->code, c->words[3 + i], items + i * shmd_array_item_size_bytes(s->array));
	answer(shmd_array_write(s->array, start, count, SHMD_FOREVER, items));
}

/* lock SLOT TIMEOUT, unlock, mark, begin, end SLOT */
static bool locking(const struct command *c, struct slot *s)
{
	const char *verb = c->words[0];
	struct shmd_mutex *m = s->mutex;
	struct shmd_value *v = s->value;
	struct shmd_array *a = s->array;
	if (strcmp(verb, "lock") == 0) {
		int64_t timeout = strtoll(c->words[2], NULL, 10);
		answer(m ? shmd_mutex_lock(m, timeout) : v ? shmd_value_lock(v, timeout) : shmd_array_lock(a, timeout));
	} else if (strcmp(verb, "unlock") == 0) {
		answer(m ? shmd_mutex_unlock(m) : v ? shmd_value_unlock(v) : shmd_array_unlock(a));
	} else if (strcmp(verb, "mark") == 0) {
		answer(m ? shmd_mutex_mark_consistent(m) : v ? shmd_value_mark_consistent(v) : shmd_array_mark_consistent(a));
	} else if (strcmp(verb, "begin") == 0) {
		answer(shmd_array_begin_write(a));
	} else if (strcmp(verb, "end") == 0) {
		answer(shmd_array_end_write(a));
	} else {
		return false;
	}
	return true;
}

/* version SLOT, wait SLOT VERSION TIMEOUT */
static void changes(const struct command *c, struct slot *s)
{
	uint64_t version = 0;
	int result;
	if (strcmp(c->words[0], "version") == 0) {
		result = s->value ? shmd_value_version(s->value, &version) : shmd_array_version(s->array, &version);
	} else {
		uint64_t old = strtoull(c->words[2], NULL, 10);
		int64_t timeout = strtoll(c->words[3], NULL, 10);
		result = s->value ? shmd_value_wait_change(s->value, old, timeout, &version)
		                  : shmd_array_wait_change(s->array, old, timeout, &version);
	}
	if (result < 0)
		answer(result);
	else
		printf("ok %" PRIu64 "\n", version);
}

static bool one_of(const char *verb, const char *list)
{
	size_t length = strlen(verb);
	for (const char *p = strstr(list, verb); p != NULL; p = strstr(p + 1, verb))
		if ((p == list || p[-1] == ' ') && (p[length] == ' ' || p[length] == 0))
			return true;
	return false;
}

static void known(bool is, const char *verb)
{
	if (!is) {
		fprintf(stderr, "no command %s\n", verb);
		exit(2);
	}
}

static void obey(const struct command *c)
{
	const char *verb = c->words[0];
	if (strcmp(verb, "create") == 0)
		create(c);
	else if (strcmp(verb, "open") == 0)
		open_object(c);
	else if (strcmp(verb, "destroy") == 0)
		answer(shmd_destroy(client, c->words[1]));
	else if (strcmp(verb, "unlink") == 0)
		answer(shmd_unlink(client, c->words[1]));
	else if (strcmp(verb, "close") == 0)
		close_object(find(c->words[1]));
	else if (find(c->words[1])->latched != NULL)
		known(obey_latched(find(c->words[1])->latched, verb, (char **)c->words + 2), verb);
	else if (find(c->words[1])->synced != NULL)
		known(obey_sync(find(c->words[1])->synced, verb, (char **)c->words + 2), verb);
	else if (find(c->words[1])->ring != NULL)
		known(obey_ring(find(c->words[1])->ring, verb, (char **)c->words + 2), verb);
	else if (one_of(verb, "load store add exchange cas"))
		element(c, find(c->words[1]));
	else if (strcmp(verb, "read") == 0)
		read_items(c, find(c->words[1]));
	else if (strcmp(verb, "write") == 0)
		write_items(c, find(c->words[1]));
	else if (one_of(verb, "version wait"))
		changes(c, find(c->words[1]));
	else
		known(locking(c, find(c->words[1])), verb);
}

int main(int count, char **arguments)
{
	static char line[1 << 16];
	struct shmd_connect_options options = {.size = sizeof options};
	if (count != 2) {
		fprintf(stderr, "usage: %s SOCKET\n", arguments[0]);
		return 2;
	}
	options.socket_path = arguments[1];
	options.software = "interop C";
	setvbuf(stdout, NULL, _IOLBF, 0);
	int result = shmd_connect(&options, &client);
	answer(result);
	if (result < 0) {
		fprintf(stderr, "%s\n", shmd_last_error());
		return 1;
	}
	while (fgets(line, sizeof line, stdin) != NULL) {
		struct command c = {{0}, 0};
		for (char *word = strtok(line, " \n"); word != NULL && c.count < WORDS; word = strtok(NULL, " \n"))
			c.words[c.count++] = word;
		if (c.count > 0)
			obey(&c);
	}
	for (int i = 0; i < SLOTS; i++) {
		shmd_mutex_close(slots[i].mutex);
		shmd_value_close(slots[i].value);
		shmd_array_close(slots[i].array);
		drop(&slots[i]);
	}
	shmd_close(client);
	return 0;
}
