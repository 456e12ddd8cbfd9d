/* Which message is which. What the server says is compared with what is on record, from the
 * strongest likeness to the weakest:
 *
 *   1. a UIDL that one message and one record have, and the size
 *   2. the same, another size, and a header like it: some servers write into what they hold
 *   3. UIDL, size and header: UIDLs that are empty, or of several messages
 *   4. size and header: UIDLs that were lost, or are others now
 *
 * Of those that are alike in everything, the n-th message is the n-th record, as long as there are
 * no fewer of them; if one went nobody knows which, and what is left is new. What is left at the
 * end is new, too, and records that are left are of messages that are gone. `certain` is what may
 * be deleted: one message and one record, by UIDL or by size and header. Where the server puts off
 * what must decide, the message is left out of this session, and nothing is taken for gone.
 */
#include "store/pop3/pop3_store.h"

#include "base/error.h"
#include "base/log.h"

#include <string.h>

struct pop3_map {
	struct store *store;
	GPtrArray *rows;    /* of struct uidl_row * */
	GHashTable *left;   /* those without a message; set */
	GPtrArray *unsure;  /* messages whose headers must be known */
	GHashTable *single; /* messages whose UIDL no other has, nor has had; set */
	struct pop3_walk *walk;
};

/* Alike in some way, in order. */
struct group {
	GPtrArray *messages;
	GPtrArray *rows;
};

typedef char *(*key_fn)(const char *uidl, uint64_t size, const char *hash);

static char *key_of_uidl(const char *uidl, uint64_t size, const char *hash)
{
	return *uidl ? g_strdup(uidl) : NULL;
}

static char *key_of_all(const char *uidl, uint64_t size, const char *hash)
{
	return g_strdup_printf("%s\n%" G_GUINT64_FORMAT "\n%s", uidl, size, hash);
}

static char *key_of_content(const char *uidl, uint64_t size, const char *hash)
{
	if (*hash == '\0' || size == POP3_SIZE_UNKNOWN)
		return NULL;
	return g_strdup_printf("%" G_GUINT64_FORMAT "\n%s", size, hash);
}

static const char *hash_of(const struct pop3_message *message)
{
	return message->header.hash ? message->header.hash : "";
}

/* --- groups --- */

static void group_free(void *data)
{
	struct group *group = data;

	g_ptr_array_unref(group->messages);
	g_ptr_array_unref(group->rows);
	g_free(group);
}

/* Takes the key. NULL, if it is. */
static struct group *group_at(GHashTable *groups, char *key)
{
	struct group *group = key ? g_hash_table_lookup(groups, key) : NULL;

	if (group || !key) {
		g_free(key);
		return group;
	}
	group = g_new(struct group, 1);
	group->messages = g_ptr_array_new();
	group->rows = g_ptr_array_new();
	g_hash_table_insert(groups, key, group);
	return group;
}

/* Of messages without a number, and records without a message. */
static GHashTable *groups_make(const struct pop3_map *map, key_fn key)
{
	GHashTable *groups = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, group_free);
	const GPtrArray *messages = map->store->messages;

	for (unsigned i = 0; i < messages->len; i++) {
		struct pop3_message *message = g_ptr_array_index(messages, i);
		struct group *group = message->number
					      ? NULL
					      : group_at(groups, key(message->uidl, message->size,
								     hash_of(message)));

		if (group)
			g_ptr_array_add(group->messages, message);
	}
	for (unsigned i = 0; i < map->rows->len; i++) {
		struct uidl_row *row = g_ptr_array_index(map->rows, i);
		struct group *group =
			g_hash_table_contains(map->left, row)
				? group_at(groups, key(row->uidl, row->size, row->hash))
				: NULL;

		if (group)
			g_ptr_array_add(group->rows, row);
	}
	return groups;
}

static void groups_each(struct pop3_map *map, key_fn key,
			void (*each)(struct pop3_map *, const struct group *))
{
	g_autoptr(GHashTable) groups = groups_make(map, key);
	GHashTableIter iter;
	gpointer group;

	g_hash_table_iter_init(&iter, groups);
	while (g_hash_table_iter_next(&iter, NULL, &group))
		each(map, group);
}

/* --- a message and its record --- */

/* What the server says now, as far as it says anything. */
static void update(struct store *store, const struct pop3_message *message,
		   const struct uidl_row *row)
{
	struct uidl_row now = *row;

	if (*message->uidl)
		now.uidl = message->uidl;
	if (message->size != POP3_SIZE_UNKNOWN)
		now.size = message->size;
	if (*hash_of(message))
		now.hash = message->header.hash;
	if (strcmp(now.uidl, row->uidl) != 0 || now.size != row->size ||
	    strcmp(now.hash, row->hash) != 0)
		uidls_set(store->index, &now);
}

static void number(struct store *store, struct pop3_message *message, uint32_t number)
{
	message->number = number;
	g_hash_table_insert(store->numbers, GUINT_TO_POINTER(number), message);
}

static void join(struct pop3_map *map, struct pop3_message *message, struct uidl_row *row,
		 bool certain)
{
	message->certain = certain;
	number(map->store, message, row->number);
	update(map->store, message, row);
	g_hash_table_remove(map->left, row);
}

/* --- by UIDL --- */

static bool same_size(const struct pop3_message *message, const struct uidl_row *row)
{
	return message->size == row->size || message->size == POP3_SIZE_UNKNOWN ||
	       row->size == POP3_SIZE_UNKNOWN;
}

static void match_uidl(struct pop3_map *map, const struct group *group)
{
	struct pop3_message *message;
	struct uidl_row *row;

	if (group->messages->len != 1 || group->rows->len > 1)
		return;
	message = g_ptr_array_index(group->messages, 0);
	g_hash_table_add(map->single, message);
	if (group->rows->len == 0)
		return;
	row = g_ptr_array_index(group->rows, 0);
	if (same_size(message, row) || *row->hash == '\0')
		join(map, message, row, true);
	else
		message->suspect = row;
}

/* The UIDL of a message that is gone may come again, for another. */
static void match_suspects(struct pop3_map *map)
{
	const GPtrArray *messages = map->store->messages;

	for (unsigned i = 0; i < messages->len; i++) {
		struct pop3_message *message = g_ptr_array_index(messages, i);
		struct uidl_row *row = g_steal_pointer(&message->suspect);

		if (row && pop3_header_is_like(row->hash, hash_of(message)))
			join(map, message, row, true);
	}
}

/* --- by header --- */

/* No other message of this session is like it. */
static bool is_alone(const struct group *group)
{
	const struct pop3_message *first = g_ptr_array_index(group->messages, 0);

	return group->messages->len == 1 && *hash_of(first) && first->size != POP3_SIZE_UNKNOWN;
}

/* One went, and nobody knows which. Where the listing has holes it need not be gone. */
static bool is_short(const struct pop3_map *map, const struct group *group)
{
	return group->rows->len > group->messages->len && !map->store->partial;
}

static void join_in_order(struct pop3_map *map, const struct group *group, bool certain)
{
	for (unsigned i = 0; i < MIN(group->messages->len, group->rows->len); i++)
		join(map, g_ptr_array_index(group->messages, i), g_ptr_array_index(group->rows, i),
		     certain);
}

/* Records that cannot be told apart any more are not looked for under other UIDLs. */
static void drop_rows(struct pop3_map *map, const struct group *group)
{
	for (unsigned i = 0; i < group->rows->len; i++)
		g_hash_table_remove(map->left, g_ptr_array_index(group->rows, i));
}

static void match_all(struct pop3_map *map, const struct group *group)
{
	if (group->messages->len == 0)
		return;
	if (is_short(map, group))
		drop_rows(map, group);
	else
		join_in_order(map, group, is_alone(group) && group->rows->len == 1);
	/* Under a number that it never had before. */
	if (is_alone(group) && (group->rows->len == 0 || is_short(map, group)))
		((struct pop3_message *)g_ptr_array_index(group->messages, 0))->certain = true;
}

/* One that has another UIDL now may be another message, alike in everything: it is shown as the
 * one that was, and certain from the next session on. */
static void match_content(struct pop3_map *map, const struct group *group)
{
	const struct pop3_message *first;

	if (group->messages->len == 0 || group->rows->len == 0 || is_short(map, group))
		return;
	first = g_ptr_array_index(group->messages, 0);
	join_in_order(map, group, is_alone(group) && group->rows->len == 1 && *first->uidl == '\0');
}

/* --- what is left --- */

static bool number_new(struct pop3_map *map, struct pop3_message *message)
{
	struct store *store = map->store;
	uint32_t given = uidls_add(store->index, message->uidl, message->size, hash_of(message));

	if (given == 0) {
		pop3_store_break(store, g_error_new(MAILFS_ERROR, ERROR_IO,
						    "the index cannot hold new messages"));
		return false;
	}
	message->certain |= g_hash_table_contains(map->single, message);
	number(store, message, given);
	return true;
}

/* Those that were dropped because they could not be told apart are no longer in `left`. */
static void forget_gone(struct pop3_map *map)
{
	struct store *store = map->store;

	for (unsigned i = 0; i < map->rows->len && !store->partial; i++) {
		const struct uidl_row *row = g_ptr_array_index(map->rows, i);

		if (!pop3_store_message(store, row->number))
			uidls_forget(store->index, row->number);
	}
}

static bool cannot_be_told(const struct pop3_map *map, const struct pop3_message *message)
{
	return message->header_later && !message->header_known &&
	       (message->suspect || !g_hash_table_contains(map->single, message));
}

/* It may be any of those that would be taken for gone. */
static void put_off(struct pop3_map *map)
{
	struct store *store = map->store;
	unsigned n = 0;

	for (unsigned i = 0; i < map->unsure->len; i++) {
		struct pop3_message *message = g_ptr_array_index(map->unsure, i);

		message->put_off = cannot_be_told(map, message);
		n += message->put_off;
	}
	if (n == 0)
		return;
	store->partial = true;
	log_warning("%s: of %u messages the server does not show now which they are",
		    store->account->name, n);
}

static void finish(struct pop3_map *map)
{
	struct store *store = map->store;

	put_off(map);
	match_suspects(map);
	groups_each(map, key_of_all, match_all);
	groups_each(map, key_of_content, match_content);
	forget_gone(map);
	for (unsigned i = 0; i < store->messages->len; i++) {
		struct pop3_message *message = g_ptr_array_index(store->messages, i);

		if (message->number == 0 && !message->put_off && !number_new(map, message))
			return;
	}
	pop3_map_free(&store->map);
	store->stage = POP3_STAGE_WORKING;
}

/* --- headers --- */

static void headers_told(void *data)
{
	struct pop3_map *map = data;

	if (map->store->stage == POP3_STAGE_TELLING_APART)
		finish(map);
}

/* Its UIDL could be a new one of a message that is known. */
static bool has_lost(const struct pop3_map *map)
{
	GHashTableIter iter;
	gpointer row;

	g_hash_table_iter_init(&iter, map->left);
	while (g_hash_table_iter_next(&iter, &row, NULL)) {
		if (*((struct uidl_row *)row)->hash)
			return true;
	}
	return false;
}

static void choose_unsure(struct pop3_map *map)
{
	const GPtrArray *messages = map->store->messages;
	bool lost = has_lost(map);

	for (unsigned i = 0; i < messages->len; i++) {
		struct pop3_message *message = g_ptr_array_index(messages, i);

		if (message->number == 0 && (lost || !g_hash_table_contains(map->single, message)))
			g_ptr_array_add(map->unsure, message);
	}
}

static bool rows_load(struct pop3_map *map)
{
	struct store *store = map->store;

	store->validity = uidls_validity(store->index);
	map->rows = uidls_all(store->index);
	if (!map->rows || store->validity == 0) {
		pop3_store_break(store,
				 g_error_new(MAILFS_ERROR, ERROR_IO, "the index cannot be read"));
		return false;
	}
	for (unsigned i = 0; i < map->rows->len; i++)
		g_hash_table_add(map->left, g_ptr_array_index(map->rows, i));
	return true;
}

void pop3_map_begin(struct store *store)
{
	struct pop3_map *map = g_new0(struct pop3_map, 1);

	store->map = map;
	store->stage = POP3_STAGE_TELLING_APART;
	map->store = store;
	map->left = g_hash_table_new(NULL, NULL);
	map->single = g_hash_table_new(NULL, NULL);
	map->unsure = g_ptr_array_new();
	if (!rows_load(map))
		return;
	groups_each(map, key_of_uidl, match_uidl);
	choose_unsure(map);
	map->walk = pop3_walk_new(store, map->unsure, NULL, headers_told, map);
	pop3_walk_start(map->walk);
}

void pop3_map_free(struct pop3_map **map)
{
	struct pop3_map *gone = g_steal_pointer(map);

	if (!gone)
		return;
	pop3_walk_free(&gone->walk);
	g_clear_pointer(&gone->rows, g_ptr_array_unref);
	g_hash_table_unref(gone->left);
	g_hash_table_unref(gone->single);
	g_ptr_array_unref(gone->unsure);
	g_free(gone);
}
