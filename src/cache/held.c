#include "cache/held.h"

#include "base/clock.h"

#include <glib.h>
#include <pthread.h>
#include <stdbool.h>
#include <unistd.h>

#define SEEN_MAX 16384
/* Then the file is opened again: that is how its use is noted, for the eviction. */
#define SEEN_MS (5 * 60 * 1000)

struct held {
	held_open_fn open;
	void *data;
	pthread_mutex_t lock; /* over the rest, and all bodies */
	GHashTable *seen;     /* &key -> struct seen */
	GHashTable *bodies;   /* &key -> the first struct held_body of it */
	uint64_t removals;
};

struct seen {
	gint64 key;
	uint64_t size;
	int64_t until_ms;
};

struct held_body {
	gint64 key;
	struct held *held;
	uint64_t size;
	struct file_span span; /* none, unless the file was removed */
	struct held_body *next;
};

static gint64 key_of(uint32_t epoch, uint32_t uid)
{
	return (gint64)epoch << 32 | uid;
}

struct held *held_new(held_open_fn open, void *data)
{
	struct held *held = g_new0(struct held, 1);

	held->open = open;
	held->data = data;
	pthread_mutex_init(&held->lock, NULL);
	held->seen = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, g_free);
	held->bodies = g_hash_table_new(g_int64_hash, g_int64_equal);
	return held;
}

void held_free(struct held **held)
{
	struct held *old = g_steal_pointer(held);

	if (!old)
		return;
	g_hash_table_destroy(old->seen);
	g_hash_table_destroy(old->bodies);
	pthread_mutex_destroy(&old->lock);
	g_free(old);
}

/* --- what was seen --- */

uint64_t held_removals(struct held *held)
{
	pthread_mutex_lock(&held->lock);
	uint64_t removals = held->removals;

	pthread_mutex_unlock(&held->lock);
	return removals;
}

void held_note(struct held *held, uint32_t epoch, uint32_t uid, uint64_t size, uint64_t removals)
{
	struct seen *seen = g_new0(struct seen, 1);

	seen->key = key_of(epoch, uid);
	seen->size = size;
	seen->until_ms = clock_mono_ms() + SEEN_MS;
	pthread_mutex_lock(&held->lock);
	if (held->removals == removals) {
		if (g_hash_table_size(held->seen) >= SEEN_MAX)
			g_hash_table_remove_all(held->seen);
		g_hash_table_replace(held->seen, &seen->key, seen);
		seen = NULL;
	}
	pthread_mutex_unlock(&held->lock);
	g_free(seen);
}

static bool was_seen_locked(const struct held *held, gint64 key, uint64_t size)
{
	const struct seen *seen = g_hash_table_lookup(held->seen, &key);

	return seen && seen->size == size && clock_mono_ms() < seen->until_ms;
}

/* --- what is held --- */

/* The first of a key is the table's, so its address is that of the key. */
static void add_locked(struct held *held, struct held_body *body)
{
	body->next = g_hash_table_lookup(held->bodies, &body->key);
	g_hash_table_replace(held->bodies, &body->key, body);
}

static void remove_locked(struct held *held, struct held_body *body)
{
	struct held_body *first = g_hash_table_lookup(held->bodies, &body->key);
	struct held_body **at = &first;

	while (*at != body)
		at = &(*at)->next;
	*at = body->next;
	if (first)
		g_hash_table_replace(held->bodies, &first->key, first);
	else
		g_hash_table_remove(held->bodies, &body->key);
}

bool held_knows(struct held *held, uint32_t epoch, uint32_t uid)
{
	gint64 key = key_of(epoch, uid);

	if (pthread_mutex_trylock(&held->lock) != 0)
		return false;
	const struct seen *seen = g_hash_table_lookup(held->seen, &key);
	bool knows = seen && was_seen_locked(held, key, seen->size);

	pthread_mutex_unlock(&held->lock);
	return knows;
}

struct held_body *held_take(struct held *held, uint32_t epoch, uint32_t uid, uint64_t size)
{
	struct held_body *body = NULL;
	gint64 key = key_of(epoch, uid);

	pthread_mutex_lock(&held->lock);
	if (was_seen_locked(held, key, size)) {
		body = g_new0(struct held_body, 1);
		body->key = key;
		body->held = held;
		body->size = size;
		body->span.fd = -1;
		add_locked(held, body);
	}
	pthread_mutex_unlock(&held->lock);
	return body;
}

static bool open_file(const struct held *held, const struct held_body *body, struct file_span *ret)
{
	return held->open(held->data, (uint32_t)(body->key >> 32), (uint32_t)body->key, body->size,
			  ret);
}

/* If it cannot be opened by its name, and we removed it, it was opened before that. */
bool held_open(struct held_body **body, struct file_span *ret)
{
	struct held_body *old = *body;
	bool opened = open_file(old->held, old, ret);

	if (!opened) {
		pthread_mutex_lock(&old->held->lock);
		opened = old->span.fd >= 0;
		if (opened)
			*ret = old->span;
		old->span.fd = -1;
		pthread_mutex_unlock(&old->held->lock);
	}
	held_release(body);
	return opened;
}

void held_release(struct held_body **body)
{
	struct held_body *old = g_steal_pointer(body);

	if (!old)
		return;
	pthread_mutex_lock(&old->held->lock);
	remove_locked(old->held, old);
	pthread_mutex_unlock(&old->held->lock);
	if (old->span.fd >= 0)
		close(old->span.fd);
	g_free(old);
}

void held_going(struct held *held, uint32_t epoch, uint32_t uid)
{
	gint64 key = key_of(epoch, uid);
	struct held_body *body;

	pthread_mutex_lock(&held->lock);
	held->removals++;
	g_hash_table_remove(held->seen, &key);
	for (body = g_hash_table_lookup(held->bodies, &key); body; body = body->next) {
		if (body->span.fd < 0)
			open_file(held, body, &body->span);
	}
	pthread_mutex_unlock(&held->lock);
}
