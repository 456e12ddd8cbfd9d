#include "cache/pack_table.h"

#include "cache/packs.h"

#define BLOCK_UIDS 1024

struct pack_table {
	GHashTable *blocks; /* &key -> struct block */
};

/* Messages of an epoch whose UIDs are near each other: an insertion moves no more than these. */
struct block {
	gint64 key; /* epoch and UID / BLOCK_UIDS */
	GArray *entries;
};

G_STATIC_ASSERT(sizeof(struct pack_entry) == 16);

static gint64 key_of(uint32_t epoch, uint32_t uid)
{
	return (gint64)epoch << 32 | uid / BLOCK_UIDS;
}

static void block_free(void *data)
{
	struct block *block = data;

	g_array_unref(block->entries);
	g_free(block);
}

struct pack_table *pack_table_new(void)
{
	struct pack_table *table = g_new0(struct pack_table, 1);

	table->blocks = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, block_free);
	return table;
}

void pack_table_free(struct pack_table **table)
{
	struct pack_table *old = g_steal_pointer(table);

	if (!old)
		return;
	g_hash_table_destroy(old->blocks);
	g_free(old);
}

static struct block *block_find(const struct pack_table *table, uint32_t epoch, uint32_t uid)
{
	gint64 key = key_of(epoch, uid);

	return g_hash_table_lookup(table->blocks, &key);
}

static struct block *block_get(struct pack_table *table, uint32_t epoch, uint32_t uid)
{
	struct block *block = block_find(table, epoch, uid);

	if (block)
		return block;
	block = g_new0(struct block, 1);
	block->key = key_of(epoch, uid);
	block->entries = g_array_new(FALSE, FALSE, sizeof(struct pack_entry));
	g_hash_table_insert(table->blocks, &block->key, block);
	return block;
}

static struct pack_entry *entry_at(const struct block *block, guint at)
{
	return &g_array_index(block->entries, struct pack_entry, at);
}

/* Where the UID is or would be. UIDs mostly come in order. */
static guint place_of(const struct block *block, uint32_t uid)
{
	guint from = 0, to = block->entries->len;

	if (to > 0 && entry_at(block, to - 1)->uid < uid)
		return to;
	while (from < to) {
		guint middle = from + (to - from) / 2;

		if (entry_at(block, middle)->uid < uid)
			from = middle + 1;
		else
			to = middle;
	}
	return from;
}

struct pack_entry *pack_table_find(const struct pack_table *table, uint32_t epoch, uint32_t uid)
{
	const struct block *block = block_find(table, epoch, uid);
	guint at = block ? place_of(block, uid) : 0;

	if (!block || at == block->entries->len || entry_at(block, at)->uid != uid)
		return NULL;
	return entry_at(block, at);
}

bool pack_table_set(struct pack_table *table, uint32_t epoch, const struct pack_entry *entry,
		    struct pack_entry *ret_old)
{
	struct pack_entry *old = pack_table_find(table, epoch, entry->uid);
	struct block *block;

	if (old) {
		*ret_old = *old;
		*old = *entry;
		return true;
	}
	block = block_get(table, epoch, entry->uid);
	g_array_insert_vals(block->entries, place_of(block, entry->uid), entry, 1);
	return false;
}

struct pack_entry pack_table_remove(struct pack_table *table, uint32_t epoch, uint32_t uid)
{
	struct block *block = block_find(table, epoch, uid);
	guint at = place_of(block, uid);
	struct pack_entry old = *entry_at(block, at);

	g_array_remove_index(block->entries, at);
	if (block->entries->len == 0)
		g_hash_table_remove(table->blocks, &block->key);
	return old;
}

GArray *pack_table_names(const struct pack_table *table, uint32_t epoch, uint32_t pack)
{
	GArray *names = g_array_new(FALSE, FALSE, sizeof(struct packs_name));
	const struct block *block;
	GHashTableIter iter;

	g_hash_table_iter_init(&iter, table->blocks);
	while (g_hash_table_iter_next(&iter, NULL, (void **)&block)) {
		struct packs_name name = {.epoch = (uint32_t)(block->key >> 32)};

		for (guint i = 0; i < block->entries->len && (!epoch || epoch == name.epoch); i++) {
			name.uid = entry_at(block, i)->uid;
			if (!pack || pack == entry_at(block, i)->pack)
				g_array_append_val(names, name);
		}
	}
	return names;
}
