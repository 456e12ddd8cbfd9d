#include "fuse/known.h"

#include <pthread.h>
#include <string.h>

#define TABLE_MIN_SIZE 64 /* a power of two */
/* A folder's listing is cached when so many percent of its entries are known. */
#define LISTING_PERCENT 98

/* Open addressing with linear probing; node 0 is a free slot. */
struct table {
	uint64_t *nodes;
	uint32_t *lookups;
	size_t size;
	size_t used;
};

/* Children of one folder whose ids share the upper half: its messages, or one child folder. */
struct group {
	uint64_t key;
	uint64_t parent; /* 0: none is known */
	uint32_t nodes;
};

struct folder {
	uint64_t node;
	uint32_t children;
	bool cached;
	int64_t generation; /* of what is cached, at the latest */
};

struct known {
	pthread_mutex_t mutex;
	unsigned inside; /* who may be about to add what they found */
	struct table table;
	GHashTable *groups;  /* &group->key -> struct group */
	GHashTable *folders; /* &folder->node -> struct folder */
};

/* --- table --- */

static void table_alloc(struct table *table, size_t size)
{
	table->size = size;
	table->used = 0;
	table->nodes = g_new0(uint64_t, size);
	table->lookups = g_new(uint32_t, size);
}

static void table_clear(struct table *table)
{
	g_free(table->nodes);
	g_free(table->lookups);
}

static size_t table_home(const struct table *table, uint64_t node)
{
	/* Fibonacci hashing: UIDs follow each other. */
	return (size_t)((node * UINT64_C(0x9e3779b97f4a7c15)) >> 32) & (table->size - 1);
}

/* The slot of the node, or the free one where it belongs. */
static size_t table_slot(const struct table *table, uint64_t node)
{
	size_t slot = table_home(table, node);

	while (table->nodes[slot] && table->nodes[slot] != node)
		slot = (slot + 1) & (table->size - 1);
	return slot;
}

static void table_resize(struct table *table, size_t size)
{
	struct table old = *table;

	table_alloc(table, size);
	for (size_t i = 0; i < old.size; i++) {
		size_t slot;

		if (!old.nodes[i])
			continue;
		slot = table_slot(table, old.nodes[i]);
		table->nodes[slot] = old.nodes[i];
		table->lookups[slot] = old.lookups[i];
	}
	table->used = old.used;
	table_clear(&old);
}

/* True if the node is new. */
static bool table_add(struct table *table, uint64_t node)
{
	size_t slot = table_slot(table, node);

	if (table->nodes[slot]) {
		if (table->lookups[slot] < UINT32_MAX)
			table->lookups[slot]++;
		return false;
	}
	table->nodes[slot] = node;
	table->lookups[slot] = 1;
	if (++table->used > table->size / 4 * 3)
		table_resize(table, table->size * 2);
	return true;
}

/* Closes the gap: every node must be reachable from its home without passing a free slot. */
static void table_remove(struct table *table, size_t gap)
{
	size_t mask = table->size - 1;

	for (size_t i = (gap + 1) & mask; table->nodes[i]; i = (i + 1) & mask) {
		size_t home = table_home(table, table->nodes[i]);

		if (((i - home) & mask) < ((i - gap) & mask))
			continue;
		table->nodes[gap] = table->nodes[i];
		table->lookups[gap] = table->lookups[i];
		gap = i;
	}
	table->nodes[gap] = 0;
	if (--table->used < table->size / 8 && table->size > TABLE_MIN_SIZE)
		table_resize(table, table->size / 2);
}

/* True if the node is gone by it. */
static bool table_forget(struct table *table, uint64_t node, uint64_t lookups)
{
	size_t slot = table_slot(table, node);

	if (!table->nodes[slot])
		return false;
	if (table->lookups[slot] > lookups) {
		table->lookups[slot] -= (uint32_t)lookups;
		return false;
	}
	table_remove(table, slot);
	return true;
}

/* --- groups and folders --- */

static uint64_t group_key(uint64_t node)
{
	return node >> 32;
}

static struct folder *folder_get(struct known *known, uint64_t node)
{
	struct folder *folder = g_hash_table_lookup(known->folders, &node);

	if (folder)
		return folder;
	folder = g_new0(struct folder, 1);
	folder->node = node;
	g_hash_table_insert(known->folders, &folder->node, folder);
	return folder;
}

/* A folder with nothing to remember costs nothing. */
static void folder_settle(struct known *known, struct folder *folder)
{
	if (!folder->children && !folder->cached)
		g_hash_table_remove(known->folders, &folder->node);
}

static void folder_lose(struct known *known, uint64_t node, uint32_t children)
{
	struct folder *folder = folder_get(known, node);

	folder->children -= MIN(children, folder->children);
	folder_settle(known, folder);
}

static struct group *group_get(struct known *known, uint64_t node, uint64_t parent)
{
	uint64_t key = group_key(node);
	struct group *group = g_hash_table_lookup(known->groups, &key);

	if (!group) {
		group = g_new0(struct group, 1);
		group->key = key;
		group->parent = parent;
		g_hash_table_insert(known->groups, &group->key, group);
	} else if (parent && group->parent != parent) { /* it was moved */
		folder_lose(known, group->parent, group->nodes);
		folder_get(known, parent)->children += group->nodes;
		group->parent = parent;
	}
	return group;
}

static void group_lose(struct known *known, uint64_t node)
{
	uint64_t key = group_key(node);
	struct group *group = g_hash_table_lookup(known->groups, &key);

	if (!group)
		return;
	folder_lose(known, group->parent, 1);
	if (!--group->nodes)
		g_hash_table_remove(known->groups, &key);
}

/* The kernel drops a directory's cached listing with its inode. */
static void listing_lose(struct known *known, uint64_t node)
{
	struct folder *folder = g_hash_table_lookup(known->folders, &node);

	if (!folder)
		return;
	folder->cached = false;
	folder_settle(known, folder);
}

/* --- */

struct known *known_new(void)
{
	struct known *known = g_new0(struct known, 1);

	pthread_mutex_init(&known->mutex, NULL);
	table_alloc(&known->table, TABLE_MIN_SIZE);
	known->groups = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, g_free);
	known->folders = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, g_free);
	return known;
}

void known_free(struct known **known)
{
	if (!*known)
		return;
	table_clear(&(*known)->table);
	g_hash_table_unref((*known)->groups);
	g_hash_table_unref((*known)->folders);
	pthread_mutex_destroy(&(*known)->mutex);
	g_clear_pointer(known, g_free);
}

void known_add(struct known *known, uint64_t parent, uint64_t node)
{
	struct group *group;
	bool is_new;

	if (!node)
		return;
	pthread_mutex_lock(&known->mutex);
	is_new = table_add(&known->table, node);
	group = group_get(known, node, parent);
	if (is_new) {
		group->nodes++;
		folder_get(known, group->parent)->children++;
	}
	pthread_mutex_unlock(&known->mutex);
}

void known_forget(struct known *known, uint64_t node, uint64_t lookups)
{
	pthread_mutex_lock(&known->mutex);
	if (node && table_forget(&known->table, node, lookups)) {
		group_lose(known, node);
		listing_lose(known, node);
	}
	pthread_mutex_unlock(&known->mutex);
}

static bool has_locked(const struct known *known, uint64_t node)
{
	return node && known->table.nodes[table_slot(&known->table, node)];
}

bool known_has(struct known *known, uint64_t node)
{
	bool has;

	pthread_mutex_lock(&known->mutex);
	has = has_locked(known, node);
	pthread_mutex_unlock(&known->mutex);
	return has;
}

bool known_may_have(struct known *known, uint64_t node)
{
	bool may;

	pthread_mutex_lock(&known->mutex);
	may = known->inside || has_locked(known, node);
	pthread_mutex_unlock(&known->mutex);
	return may;
}

static void known_count_inside(struct known *known, unsigned more)
{
	pthread_mutex_lock(&known->mutex);
	known->inside += more;
	pthread_mutex_unlock(&known->mutex);
}

void known_enter(struct known *known)
{
	known_count_inside(known, 1);
}

void known_leave(struct known *known)
{
	known_count_inside(known, -1u);
}

uint32_t known_children(struct known *known, uint64_t folder)
{
	const struct folder *found;
	uint32_t children;

	pthread_mutex_lock(&known->mutex);
	found = g_hash_table_lookup(known->folders, &folder);
	children = found ? found->children : 0;
	pthread_mutex_unlock(&known->mutex);
	return children;
}

size_t known_size(struct known *known)
{
	size_t size;

	pthread_mutex_lock(&known->mutex);
	size = known->table.used;
	pthread_mutex_unlock(&known->mutex);
	return size;
}

static gint compare_nodes(gconstpointer a, gconstpointer b)
{
	const uint64_t *first = a, *second = b;

	return (*first > *second) - (*first < *second);
}

GArray *known_siblings(struct known *known, uint64_t node)
{
	uint64_t key = group_key(node);
	const struct group *group;
	GArray *found;

	pthread_mutex_lock(&known->mutex);
	group = g_hash_table_lookup(known->groups, &key);
	found = g_array_sized_new(FALSE, FALSE, sizeof(uint64_t),
				  node ? (group ? group->nodes : 0) : (guint)known->table.used);
	for (size_t i = 0; (group || !node) && i < known->table.size; i++) {
		uint64_t other = known->table.nodes[i];

		if (other && (!node || group_key(other) == key))
			g_array_append_val(found, other);
	}
	pthread_mutex_unlock(&known->mutex);
	g_array_sort(found, compare_nodes);
	return found;
}

enum known_listing known_listing(struct known *known, uint64_t node, int64_t generation,
				 uint32_t entries)
{
	enum known_listing result = KNOWN_LISTING_NONE;
	struct folder *folder;

	pthread_mutex_lock(&known->mutex);
	folder = folder_get(known, node);
	if ((uint64_t)folder->children * 100 < (uint64_t)entries * LISTING_PERCENT) {
		folder->cached = false;
		folder_settle(known, folder);
	} else {
		result = folder->cached && folder->generation == generation ? KNOWN_LISTING_KEEP
									    : KNOWN_LISTING_CACHE;
		folder->cached = true;
		folder->generation = generation;
	}
	pthread_mutex_unlock(&known->mutex);
	return result;
}
