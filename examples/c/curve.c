/* A curve, for examples/python/multiprocessing/plot.py: an array that a C program fills, and
 * Python plots. */
#include <shmd.h>
#include <stdio.h>
#include <stdlib.h>

#define LENGTH 400

static void check(int result, const char *what)
{
	if (result < 0) {
		fprintf(stderr, "%s: %s\n%s\n", what, shmd_strerror(result), shmd_last_error());
		exit(1);
	}
}

int main(void)
{
	struct shmd_client *client;
	struct shmd_array *curve;
	check(shmd_connect(NULL, &client), "connect");
	check(shmd_array_open_or_create_1d(client, "example/curve", 'd', LENGTH, NULL, &curve), "open");

	/* A damped oscillation, step by step: acceleration is -frequency * y - damping * speed. */
	double items[LENGTH], y = 1, speed = 0;
	for (int i = 0; i < LENGTH; i++) {
		items[i] = y;
		speed -= 0.01 * y + 0.02 * speed;
		y += speed;
	}
	check(shmd_array_write(curve, 0, LENGTH, SHMD_FOREVER, items), "write");
	shmd_array_close(curve);
	shmd_close(client);
	return 0;
}
