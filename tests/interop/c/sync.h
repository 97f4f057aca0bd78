/* SPDX-License-Identifier: Apache-2.0
 *
 * sync.h - the commands of driver.c about events, conditions, barriers and rwlocks.
 */
#ifndef SYNC_H
#define SYNC_H

/* An open object of one of these kinds; the others are null. */
struct synced {
	struct shmd_event *event;
	struct shmd_condition *condition;
	struct shmd_barrier *barrier;
	struct shmd_rwlock *rwlock;
};

static bool is_sync(const char *kind)
{
	return strcmp(kind, "event") == 0 || strcmp(kind, "condition") == 0 || strcmp(kind, "barrier") == 0 ||
	       strcmp(kind, "rwlock") == 0;
}

static int create_sync(struct synced *s, const char *kind, const char *name, struct shmd_create_options *options)
{
	if (strcmp(kind, "event") == 0)
		return shmd_event_create(client, name, options, &s->event);
	if (strcmp(kind, "condition") == 0)
		return shmd_condition_create(client, name, options, &s->condition);
	if (strcmp(kind, "barrier") == 0)
		return shmd_barrier_create(client, name, options, &s->barrier);
	return shmd_rwlock_create(client, name, options, &s->rwlock);
}

static int open_sync(struct synced *s, const char *kind, const char *name, const struct shmd_open_options *options)
{
	if (strcmp(kind, "event") == 0)
		return shmd_event_open(client, name, options, &s->event);
	if (strcmp(kind, "condition") == 0)
		return shmd_condition_open(client, name, options, &s->condition);
	if (strcmp(kind, "barrier") == 0)
		return shmd_barrier_open(client, name, options, &s->barrier);
	return shmd_rwlock_open(client, name, options, &s->rwlock);
}

static void close_sync(struct synced *s)
{
	if (s == NULL)
		return;
	shmd_event_close(s->event);
	shmd_condition_close(s->condition);
	shmd_barrier_close(s->barrier);
	shmd_rwlock_close(s->rwlock);
	free(s);
}

static int64_t timeout_of(char **words) { return strtoll(words[0], NULL, 10); }

static bool obey_event(struct shmd_event *e, const char *verb, char **words)
{
	bool set;
	int result;
	if (strcmp(verb, "signal") == 0) {
		answer(shmd_event_set(e));
	} else if (strcmp(verb, "reset") == 0) {
		answer(shmd_event_reset(e));
	} else if (strcmp(verb, "pulse") == 0) {
		answer(shmd_event_pulse(e));
	} else if (strcmp(verb, "await") == 0) {
		answer(shmd_event_wait(e, timeout_of(words)));
	} else if (strcmp(verb, "isset") == 0) {
		result = shmd_event_is_set(e, &set);
		if (result < 0)
			answer(result);
		else
			puts(set ? "ok true" : "ok false");
	} else {
		return false;
	}
	return true;
}

static bool obey_condition(struct shmd_condition *c, const char *verb, char **words)
{
	if (strcmp(verb, "lock") == 0) {
		answer(shmd_condition_lock(c, timeout_of(words)));
	} else if (strcmp(verb, "unlock") == 0) {
		answer(shmd_condition_unlock(c));
	} else if (strcmp(verb, "mark") == 0) {
		answer(shmd_condition_mark_consistent(c));
	} else if (strcmp(verb, "await") == 0) {
		answer(shmd_condition_wait(c, timeout_of(words)));
	} else if (strcmp(verb, "notify") == 0) {
		uint32_t n = (uint32_t)strtoul(words[0], NULL, 10);
		answer(n == 0 ? shmd_condition_notify_all(c) : shmd_condition_notify(c, n));
	} else {
		return false;
	}
	return true;
}

/* What an action is told, and says. */
struct action {
	bool fail, ran;
};

static int act(void *argument)
{
	struct action *action = argument;
	action->ran = true;
	return action->fail ? SHMD_E_BROKEN : 0;
}

static void print_state(const struct shmd_barrier *b)
{
	static const char *const names[] = {"timeout", "abort", "death", "action"};
	struct shmd_barrier_state state;
	const char *comma = "";
	int result = shmd_barrier_state(b, &state);
	if (result < 0) {
		answer(result);
		return;
	}
	printf("ok %" PRIu32 " ", state.waiting);
	for (int i = 0; i < 4; i++)
		if (state.reasons & 1u << i) {
			printf("%s%s", comma, names[i]);
			comma = ",";
		}
	printf("%s %" PRIu64 "\n", state.reasons == 0 ? "-" : "", state.generation);
}

static bool obey_barrier(struct shmd_barrier *b, const char *verb, char **words)
{
	uint32_t index;
	int result;
	if (strcmp(verb, "arrive") == 0) {
		result = shmd_barrier_wait(b, timeout_of(words), &index);
		if (result < 0)
			answer(result);
		else
			printf("ok %" PRIu32 "\n", index);
	} else if (strcmp(verb, "act") == 0) {
		struct action action = {strcmp(words[1], "fail") == 0, false};
		result = shmd_barrier_wait_action(b, timeout_of(words), act, &action, &index);
		if (result < 0)
			answer(result);
		else
			printf("ok %" PRIu32 " %s\n", index, action.ran ? "true" : "false");
	} else if (strcmp(verb, "abort") == 0) {
		answer(shmd_barrier_abort(b));
	} else if (strcmp(verb, "reset") == 0) {
		answer(shmd_barrier_reset(b));
	} else if (strcmp(verb, "state") == 0) {
		print_state(b);
	} else {
		return false;
	}
	return true;
}

static bool obey_rwlock(struct shmd_rwlock *l, const char *verb, char **words)
{
	if (strcmp(verb, "lock") == 0)
		answer(shmd_rwlock_write_lock(l, timeout_of(words)));
	else if (strcmp(verb, "unlock") == 0)
		answer(shmd_rwlock_write_unlock(l));
	else if (strcmp(verb, "readlock") == 0)
		answer(shmd_rwlock_read_lock(l, timeout_of(words)));
	else if (strcmp(verb, "readunlock") == 0)
		answer(shmd_rwlock_read_unlock(l));
	else if (strcmp(verb, "mark") == 0)
		answer(shmd_rwlock_mark_consistent(l));
	else
		return false;
	return true;
}

/* A command with words behind the slot. */
static bool obey_sync(struct synced *s, const char *verb, char **words)
{
	if (s->event != NULL)
		return obey_event(s->event, verb, words);
	if (s->condition != NULL)
		return obey_condition(s->condition, verb, words);
	if (s->barrier != NULL)
		return obey_barrier(s->barrier, verb, words);
	return obey_rwlock(s->rwlock, verb, words);
}

#endif
