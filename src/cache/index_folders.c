/* The writer's folders: the tree that a flat list of names makes, and what is known of each. */
#include "base/limits.h"
#include "cache/ids.h"
#include "cache/index_private.h"

#include <string.h>

/* Where a row stands in the tree. */
struct place {
	uint32_t parent;
	const char *leaf; /* inside the name */
};

static uint32_t folder_ensure(struct index *index, const char *name, size_t len, char separator,
			      int64_t now_ns);

/* The length of the parent's name; 0: top-level. Separators at the ends and doubled ones are
 * part of the component beside them, so that no component is ever empty. */
static size_t name_parent_len(const char *name, size_t len, char separator)
{
	for (size_t i = len < 2 ? 0 : len - 2; separator && i > 0; i--) {
		if (name[i] == separator)
			return i;
	}
	return 0;
}

static bool name_is_fit(const char *name, char separator)
{
	size_t len = strnlen(name, LIMIT_MAILBOX_NAME + 1);
	unsigned depth = 0;

	if (len == 0 || len > LIMIT_MAILBOX_NAME)
		return false;
	for (; len > 0; depth++)
		len = name_parent_len(name, len, separator);
	return depth <= LIMIT_FOLDER_DEPTH;
}

static bool name_is_inbox(const char *name)
{
	return g_ascii_strcasecmp(name, "INBOX") == 0;
}

static bool number_is_taken(struct index *index, enum index_sql which, uint32_t number)
{
	sqlite3_stmt *get = index_db_statement(&index->db, which);

	if (!get)
		return false;
	INDEX_BIND(get, number);
	bool taken = index_db_row(&index->db, get);

	sqlite3_reset(get);
	return taken;
}

static uint32_t number_free_from(struct index *index, enum index_sql which, uint32_t number)
{
	while (number_is_taken(index, which, number))
		number = ids_next(number);
	return number;
}

static bool folder_find(struct index *index, const char *name, struct folder_row *ret)
{
	bool inbox = name_is_inbox(name);
	sqlite3_stmt *get =
		index_db_statement(&index->db, inbox ? SQL_FOLDER_INBOX : SQL_FOLDER_BY_NAME);

	if (!get)
		return false;
	if (!inbox)
		index_bind_text(get, 1, name);
	return index_folder_take(&index->db, get, ret);
}

/* Names with different separators can claim the same place ("a/b" and "a.b"): the second one
 * stands at the root with its whole name. */
static bool folder_place(struct index *index, const char *name, char separator, uint32_t own_id,
			 int64_t now_ns, struct place *ret)
{
	size_t len = name_parent_len(name, strlen(name), separator);

	*ret = (struct place){INDEX_ROOT, name};
	if (len == 0)
		return true;
	struct place place = {folder_ensure(index, name, len, separator, now_ns), name + len + 1};
	sqlite3_stmt *child = index_db_statement(&index->db, SQL_FOLDER_CHILD);

	if (!place.parent || !child)
		return false;
	INDEX_BIND(child, place.parent);
	index_bind_text(child, 2, place.leaf);
	if (!index_db_row(&index->db, child) || sqlite3_column_int64(child, 0) == own_id)
		*ret = place;
	sqlite3_reset(child);
	return true;
}

static bool folders_are_full(struct index *index)
{
	sqlite3_stmt *total = index_db_statement(&index->db, SQL_FOLDERS_TOTAL);

	if (index->folders < 0 && total) {
		if (index_db_row(&index->db, total))
			index->folders = sqlite3_column_int64(total, 0);
		sqlite3_reset(total);
	}
	return index->folders < 0 || index->folders > LIMIT_FOLDERS;
}

/* Returns its id; 0 on failure. */
static uint32_t folder_make(struct index *index, const char *name, char separator,
			    unsigned attributes, int64_t now_ns)
{
	struct place place;

	if (!folder_place(index, name, separator, 0, now_ns, &place) || folders_are_full(index))
		return 0;
	uint32_t id =
		number_free_from(index, SQL_FOLDER_ID_TAKEN, ids_folder(index->account, name));
	sqlite3_stmt *insert = index_write_statement(index, SQL_FOLDER_INSERT);

	if (!insert)
		return 0;
	INDEX_BIND(insert, id, place.parent, (unsigned char)separator, attributes, now_ns);
	index_bind_text(insert, 6, name);
	index_bind_text(insert, 7, place.leaf);
	if (!index_db_run(&index->db, insert))
		return 0;
	index->folders++;
	index_folder_touch(index, place.parent, now_ns);
	if (index->made)
		index->made(index->made_data, &(struct folder_row){.id = id,
								   .parent = place.parent,
								   .leaf = (char *)place.leaf});
	return id;
}

void index_on_folder_made(struct index *index, index_folder_fn made, void *data)
{
	index->made = made;
	index->made_data = data;
}

static uint32_t folder_ensure(struct index *index, const char *name, size_t len, char separator,
			      int64_t now_ns)
{
	g_autofree char *copy = g_strndup(name, len);
	struct folder_row row;

	if (!folder_find(index, copy, &row))
		return folder_make(index, copy, separator, INDEX_IMPLIED, now_ns);
	folder_row_clear(&row);
	return row.id;
}

static void folder_set_attributes(struct index *index, uint32_t id, unsigned attributes,
				  int64_t now_ns)
{
	sqlite3_stmt *set = index_write_statement(index, SQL_FOLDER_ATTRIBUTES);

	if (!set)
		return;
	INDEX_BIND(set, id, attributes);
	if (index_db_run(&index->db, set))
		index_folder_touch(index, id, now_ns);
}

static uint32_t folder_parent(struct index *index, uint32_t id)
{
	sqlite3_stmt *get = index_db_statement(&index->db, SQL_FOLDER_PARENT);
	uint32_t parent = 0;

	if (!get)
		return 0;
	INDEX_BIND(get, id);
	if (index_db_row(&index->db, get))
		parent = (uint32_t)sqlite3_column_int64(get, 0);
	sqlite3_reset(get);
	return parent;
}

static void folder_note_ancestors(struct index *index, uint32_t id)
{
	do {
		id = folder_parent(index, id);
	} while (id > INDEX_ROOT && g_hash_table_add(index->ancestors, GUINT_TO_POINTER(id)));
}

/* Its name or separator changed: so may its place have. */
static void folder_move(struct index *index, const struct folder_row *row, const char *name,
			char separator, int64_t now_ns)
{
	struct place place;

	if (!folder_place(index, name, separator, row->id, now_ns, &place))
		return;
	sqlite3_stmt *move = index_write_statement(index, SQL_FOLDER_PLACE);

	if (!move)
		return;
	INDEX_BIND(move, row->id, place.parent, (unsigned char)separator);
	index_bind_text(move, 4, name);
	index_bind_text(move, 5, place.leaf);
	if (!index_db_run(&index->db, move))
		return;
	/* a listing that is under way must not sweep its new parents away */
	if (g_hash_table_contains(index->listed, GUINT_TO_POINTER(row->id)) ||
	    g_hash_table_contains(index->ancestors, GUINT_TO_POINTER(row->id)))
		folder_note_ancestors(index, row->id);
	if (place.parent == row->parent && strcmp(place.leaf, row->leaf) == 0)
		return;
	index_folder_touch(index, row->parent, now_ns);
	index_folder_touch(index, place.parent, now_ns);
}

bool index_folder_seen(struct index *index, const char *name, char separator, unsigned attributes,
		       int64_t now_ns)
{
	struct folder_row row;
	uint32_t id;
	bool changed = true;

	if (!name_is_fit(name, separator) || !index_write_ready(index))
		return false;
	if (folder_find(index, name, &row)) {
		id = row.id;
		changed = row.attributes != attributes || row.separator != separator;
		if (row.separator != separator)
			folder_move(index, &row, row.name, separator, now_ns);
		if (row.attributes != attributes)
			folder_set_attributes(index, id, attributes, now_ns);
		folder_row_clear(&row);
	} else {
		id = folder_make(index, name, separator, attributes, now_ns);
	}
	if (id) {
		g_hash_table_add(index->listed, GUINT_TO_POINTER(id));
		folder_note_ancestors(index, id);
	}
	return changed && id && index_write_ready(index);
}

static bool messages_forget(struct index *index, uint32_t epoch)
{
	sqlite3_stmt *delete = index_write_statement(index, SQL_MESSAGES_DELETE_EPOCH);

	if (!delete)
		return false;
	index->messages = -1;
	INDEX_BIND(delete, epoch);
	return index_db_run(&index->db, delete);
}

static void rights_delete(struct index *index, uint32_t id)
{
	sqlite3_stmt *delete = index_write_statement(index, SQL_RIGHTS_DELETE);

	if (!delete)
		return;
	INDEX_BIND(delete, id);
	index_db_run(&index->db, delete);
}

static void folder_remove(struct index *index, uint32_t id, int64_t now_ns, index_folder_fn gone,
			  void *data)
{
	struct folder_row row;

	if (!index_folder_write_get(index, id, &row))
		return;
	sqlite3_stmt *delete = NULL;

	if (messages_forget(index, row.epoch))
		delete = index_write_statement(index, SQL_FOLDER_DELETE);
	if (delete) {
		INDEX_BIND(delete, id);
		if (index_db_run(&index->db, delete)) {
			index->folders = MAX(index->folders - 1, -1);
			rights_delete(index, id);
			g_hash_table_remove(index->listed, GUINT_TO_POINTER(id));
			g_hash_table_remove(index->ancestors, GUINT_TO_POINTER(id));
			index_folder_touch(index, row.parent, now_ns);
			if (gone)
				gone(data, &row);
		}
	}
	folder_row_clear(&row);
}

struct known {
	uint32_t id;
	unsigned attributes;
};

/* Children before their parents. */
static GArray *folders_known(struct index *index)
{
	GArray *known = g_array_new(FALSE, FALSE, sizeof(struct known));
	sqlite3_stmt *all = index_db_statement(&index->db, SQL_FOLDERS_ALL);

	if (!all)
		return known;
	INDEX_BIND(all, INDEX_ROOT);
	while (index_db_row(&index->db, all)) {
		struct known folder = {(uint32_t)sqlite3_column_int64(all, 0),
				       (unsigned)sqlite3_column_int(all, 1)};

		g_array_append_val(known, folder);
	}
	sqlite3_reset(all);
	return known;
}

void index_folders_sweep(struct index *index, int64_t now_ns, index_folder_fn gone, void *data)
{
	if (!index_write_ready(index))
		return;
	g_autoptr(GArray) known = folders_known(index);

	for (guint i = 0; i < known->len && index_write_ready(index); i++) {
		const struct known *folder = &g_array_index(known, struct known, i);

		if (g_hash_table_contains(index->listed, GUINT_TO_POINTER(folder->id)))
			continue;
		if (!g_hash_table_contains(index->ancestors, GUINT_TO_POINTER(folder->id)))
			folder_remove(index, folder->id, now_ns, gone, data);
		else if ((folder->attributes & INDEX_IMPLIED) != INDEX_IMPLIED)
			folder_set_attributes(index, folder->id, folder->attributes | INDEX_IMPLIED,
					      now_ns);
	}
	g_hash_table_remove_all(index->listed);
	g_hash_table_remove_all(index->ancestors);
}

static bool folder_has_children(struct index *index, uint32_t id)
{
	sqlite3_stmt *count = index_db_statement(&index->db, SQL_FOLDERS_COUNT);

	if (!count)
		return true;
	INDEX_BIND(count, id);
	bool has = !index_db_row(&index->db, count) || sqlite3_column_int64(count, 0) > 0;

	sqlite3_reset(count);
	return has;
}

/* Removes it, and those above, if it was only made for children and has none any more. */
static void implied_remove(struct index *index, uint32_t id, int64_t now_ns)
{
	struct folder_row row;

	while (id > INDEX_ROOT && index_folder_write_get(index, id, &row)) {
		bool idle = (row.attributes & INDEX_IMPLIED) == INDEX_IMPLIED &&
			    !folder_has_children(index, id);

		folder_row_clear(&row);
		if (!idle)
			return;
		folder_remove(index, id, now_ns, NULL, NULL);
		id = row.parent;
	}
}

/* Its messages go; it stays for its children. */
static void folder_hollow(struct index *index, const struct folder_row *row, int64_t now_ns)
{
	sqlite3_stmt *close = NULL;

	if (messages_forget(index, row->epoch))
		close = index_write_statement(index, SQL_FOLDER_CLOSE);
	if (!close)
		return;
	rights_delete(index, row->id);
	INDEX_BIND(close, row->id);
	if (index_db_run(&index->db, close))
		folder_set_attributes(index, row->id, row->attributes | INDEX_IMPLIED, now_ns);
}

void index_folder_remove(struct index *index, uint32_t folder, int64_t now_ns)
{
	struct folder_row row;

	if (folder == INDEX_ROOT || !index_folder_write_get(index, folder, &row))
		return;
	if (folder_has_children(index, folder)) {
		folder_hollow(index, &row, now_ns);
	} else {
		folder_remove(index, folder, now_ns, NULL, NULL);
		implied_remove(index, row.parent, now_ns);
	}
	folder_row_clear(&row);
}

/* --- renaming --- */

struct renaming {
	uint32_t id;
	char separator;
	char *name; /* the new one */
};

static void renaming_clear(void *data)
{
	struct renaming *renaming = data;

	g_free(renaming->name);
}

static bool name_is_below(const char *name, const char *above, char separator)
{
	size_t len = strlen(above);

	return separator && strncmp(name, above, len) == 0 && name[len] == separator &&
	       name[len + 1];
}

static void plan_add(GArray *plan, uint32_t id, char separator, const char *name,
		     const char *suffix)
{
	struct renaming renaming = {id, separator, g_strconcat(name, suffix, NULL)};

	g_array_append_val(plan, renaming);
}

/* The folder and those below it, parents first. */
static GArray *plan_make(struct index *index, const struct folder_row *row, const char *name,
			 char separator)
{
	GArray *plan = g_array_new(FALSE, FALSE, sizeof(struct renaming));
	sqlite3_stmt *names = index_db_statement(&index->db, SQL_FOLDERS_NAMES);

	g_array_set_clear_func(plan, renaming_clear);
	plan_add(plan, row->id, separator, name, "");
	if (!names)
		return plan;
	INDEX_BIND(names, INDEX_ROOT);
	while (index_db_row(&index->db, names)) {
		const char *old = (const char *)sqlite3_column_text(names, 1);

		if (old && name_is_below(old, row->name, separator))
			plan_add(plan, (uint32_t)sqlite3_column_int64(names, 0),
				 (char)sqlite3_column_int(names, 2), name, old + strlen(row->name));
	}
	sqlite3_reset(names);
	return plan;
}

static bool plan_is_fit(const GArray *plan)
{
	for (guint i = 0; i < plan->len; i++) {
		const struct renaming *renaming = &g_array_index(plan, struct renaming, i);

		if (!name_is_fit(renaming->name, renaming->separator))
			return false;
	}
	return true;
}

static bool plan_has(const GArray *plan, uint32_t id)
{
	for (guint i = 0; i < plan->len; i++) {
		if (g_array_index(plan, struct renaming, i).id == id)
			return true;
	}
	return false;
}

static void children_add(struct index *index, uint32_t id, GArray *ids)
{
	sqlite3_stmt *list = index_db_statement(&index->db, SQL_FOLDERS_EACH);

	if (!list)
		return;
	INDEX_BIND(list, id, 0);
	while (index_db_row(&index->db, list)) {
		uint32_t child = (uint32_t)sqlite3_column_int64(list, 0);

		g_array_append_val(ids, child);
	}
	sqlite3_reset(list);
}

/* Removes what has the new names; its children are noted. */
static void plan_make_room(struct index *index, const GArray *plan, GArray *strays, int64_t now_ns)
{
	struct folder_row row;

	for (guint i = 0; i < plan->len; i++) {
		if (!folder_find(index, g_array_index(plan, struct renaming, i).name, &row))
			continue;
		folder_row_clear(&row);
		if (plan_has(plan, row.id))
			continue;
		children_add(index, row.id, strays);
		folder_remove(index, row.id, now_ns, NULL, NULL);
	}
}

static void renaming_apply(struct index *index, const struct renaming *renaming, int64_t now_ns)
{
	struct folder_row row;

	if (!index_folder_write_get(index, renaming->id, &row))
		return;
	folder_move(index, &row, renaming->name, renaming->separator, now_ns);
	folder_row_clear(&row);
}

/* Those whose parent has another name now, or is gone, and whose own name stays. */
static void strays_settle(struct index *index, const GArray *strays, const GArray *plan,
			  int64_t now_ns)
{
	struct folder_row row;

	for (guint i = 0; i < strays->len; i++) {
		uint32_t id = g_array_index(strays, uint32_t, i);

		if (plan_has(plan, id) || !index_folder_write_get(index, id, &row))
			continue;
		folder_move(index, &row, row.name, row.separator, now_ns);
		folder_row_clear(&row);
	}
}

static bool plan_run(struct index *index, const struct folder_row *row, const GArray *plan,
		     int64_t now_ns)
{
	g_autoptr(GArray) strays = g_array_new(FALSE, FALSE, sizeof(uint32_t));
	const struct renaming *first = &g_array_index(plan, struct renaming, 0);
	size_t len = name_parent_len(first->name, strlen(first->name), first->separator);

	if (len > 0 && !folder_ensure(index, first->name, len, first->separator, now_ns))
		return false;
	children_add(index, row->id, strays);
	plan_make_room(index, plan, strays, now_ns);
	for (guint i = 0; i < plan->len; i++)
		renaming_apply(index, &g_array_index(plan, struct renaming, i), now_ns);
	strays_settle(index, strays, plan, now_ns);
	implied_remove(index, row->parent, now_ns);
	return index_write_ready(index);
}

bool index_folder_rename(struct index *index, uint32_t folder, const char *name, char separator,
			 int64_t now_ns)
{
	struct folder_row row;

	if (folder == INDEX_ROOT || !index_folder_write_get(index, folder, &row))
		return false;
	g_autoptr(GArray) plan = plan_make(index, &row, name, separator);
	bool done = name_is_inbox(name) == name_is_inbox(row.name) &&
		    !name_is_below(name, row.name, separator) && plan_is_fit(plan) &&
		    plan_run(index, &row, plan, now_ns);

	folder_row_clear(&row);
	return done;
}

static bool folder_begin_epoch(struct index *index, const struct folder_row *row,
			       uint64_t uidvalidity, int64_t now_ns, uint32_t *ret_epoch)
{
	char token[IDS_TOKEN_LEN + 1];
	uint32_t epoch = number_free_from(index, SQL_FOLDER_EPOCH_TAKEN,
					  ids_epoch(index->account, row->name, uidvalidity, token));

	if (row->epoch && !messages_forget(index, row->epoch))
		return false;
	sqlite3_stmt *begin = index_write_statement(index, SQL_FOLDER_OPEN);

	if (!begin)
		return false;
	INDEX_BIND(begin, row->id, epoch, uidvalidity);
	index_bind_text(begin, 4, token);
	if (!index_db_run(&index->db, begin))
		return false;
	index_folder_touch(index, row->id, now_ns);
	*ret_epoch = epoch;
	return true;
}

uint32_t index_folder_open(struct index *index, uint32_t folder, uint64_t uidvalidity,
			   int64_t now_ns, uint32_t *ret_old_epoch)
{
	struct folder_row row;
	uint32_t epoch = 0;

	if (!index_folder_write_get(index, folder, &row))
		return 0;
	if (row.epoch && row.uidvalidity == uidvalidity) {
		*ret_old_epoch = 0;
		epoch = row.epoch;
	} else if (folder_begin_epoch(index, &row, uidvalidity, now_ns, &epoch)) {
		*ret_old_epoch = row.epoch;
	}
	folder_row_clear(&row);
	return epoch;
}

void index_folder_refreshed(struct index *index, uint32_t folder, uint32_t uidnext, uint64_t modseq)
{
	sqlite3_stmt *set = index_write_statement(index, SQL_FOLDER_REFRESHED);

	if (!set)
		return;
	INDEX_BIND(set, folder, uidnext, modseq);
	index_db_run(&index->db, set);
}

void index_folder_touch(struct index *index, uint32_t folder, int64_t now_ns)
{
	sqlite3_stmt *touch = index_write_statement(index, SQL_FOLDER_TOUCH);

	if (!touch)
		return;
	INDEX_BIND(touch, folder, now_ns);
	index_db_run(&index->db, touch);
}

bool index_folder_write_find(struct index *index, const char *name, struct folder_row *ret)
{
	return folder_find(index, name, ret);
}

bool index_folder_write_get(struct index *index, uint32_t folder, struct folder_row *ret)
{
	sqlite3_stmt *get =
		index_write_flush(index) ? index_db_statement(&index->db, SQL_FOLDER_GET) : NULL;

	if (!get)
		return false;
	INDEX_BIND(get, folder);
	return index_folder_take(&index->db, get, ret);
}
