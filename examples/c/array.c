/* Ten squares that every process of this user can see. Run it twice. */
#include <shmd.h>
#include <stdio.h>
#include <stdlib.h>

#define LENGTH 10

static int check(int result, const char *what)
{
	if (result < 0) {
		fprintf(stderr, "%s: %s\n%s\n", what, shmd_strerror(result), shmd_last_error());
		exit(1);
	}
	return result;
}

int main(void)
{
	struct shmd_client *client;
	struct shmd_array *squares;
	check(shmd_connect(NULL, &client), "connect");
	check(shmd_array_open_or_create_1d(client, "example/squares", 'i', LENGTH, NULL, &squares), "open");

	int items[LENGTH];
	for (int i = 0; i < LENGTH; i++)
		items[i] = i * i;
	bool died = check(shmd_array_lock(squares, SHMD_FOREVER), "lock") == SHMD_OWNER_DIED;
	check(shmd_array_write(squares, 0, LENGTH, SHMD_FOREVER, items), "write");
	if (died) /* its last owner, perhaps half way through; now all is written */
		check(shmd_array_mark_consistent(squares), "mark consistent");
	check(shmd_array_unlock(squares), "unlock");

	check(shmd_array_read(squares, 0, LENGTH, SHMD_FOREVER, items, NULL), "read");
	for (int i = 0; i < LENGTH; i++)
		printf("%d%c", items[i], i + 1 < LENGTH ? ' ' : '\n');
	shmd_array_close(squares);
	shmd_close(client);
	return 0;
}
