#include "tree/lately.h"

#include <pthread.h>

#define LATELY_MAX 16384

struct lately {
	pthread_mutex_t lock;
	GHashTable *seen; /* &entry.node -> struct tree_entry */
};

struct lately *lately_new(void)
{
	struct lately *lately = g_new0(struct lately, 1);

	pthread_mutex_init(&lately->lock, NULL);
	lately->seen = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, g_free);
	return lately;
}

void lately_free(struct lately **lately)
{
	struct lately *old = g_steal_pointer(lately);

	if (!old)
		return;
	g_hash_table_unref(old->seen);
	pthread_mutex_destroy(&old->lock);
	g_free(old);
}

void lately_note(struct lately *lately, const struct tree_entry *entry)
{
	struct tree_entry *seen = g_memdup2(entry, sizeof(*entry));

	pthread_mutex_lock(&lately->lock);
	if (g_hash_table_size(lately->seen) >= LATELY_MAX)
		g_hash_table_remove_all(lately->seen);
	g_hash_table_replace(lately->seen, &seen->node, seen);
	pthread_mutex_unlock(&lately->lock);
}

bool lately_find(struct lately *lately, uint64_t node, struct tree_entry *ret)
{
	const struct tree_entry *seen;

	pthread_mutex_lock(&lately->lock);
	seen = g_hash_table_lookup(lately->seen, &node);
	if (seen)
		*ret = *seen;
	pthread_mutex_unlock(&lately->lock);
	return seen != NULL;
}
