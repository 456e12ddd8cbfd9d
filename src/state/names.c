#include "state/state_private.h"

#include "base/log.h"

/* The names given in a mailbox at one UIDVALIDITY. */
struct name_box {
	char *mailbox;
	uint64_t uidvalidity;
	uint32_t epoch;	     /* 0: not bound */
	GHashTable *by_uid;  /* -> name */
	GHashTable *by_name; /* -> uid; the names are by_uid's */
};

static guint box_hash(gconstpointer data)
{
	const struct name_box *box = data;

	return g_str_hash(box->mailbox) ^ (guint)box->uidvalidity;
}

static gboolean box_equal(gconstpointer a, gconstpointer b)
{
	const struct name_box *one = a, *other = b;

	return one->uidvalidity == other->uidvalidity &&
	       g_strcmp0(one->mailbox, other->mailbox) == 0;
}

static void box_free(void *data)
{
	struct name_box *box = data;

	g_free(box->mailbox);
	g_hash_table_unref(box->by_name);
	g_hash_table_unref(box->by_uid);
	g_free(box);
}

static void box_set_epoch(struct state *state, struct name_box *box, uint32_t epoch)
{
	if (box->epoch)
		g_hash_table_remove(state->name_epochs, GUINT_TO_POINTER(box->epoch));
	box->epoch = epoch;
	if (epoch)
		g_hash_table_insert(state->name_epochs, GUINT_TO_POINTER(epoch), box);
}

static struct name_box *box_of_epoch(struct state *state, uint32_t epoch)
{
	return epoch ? g_hash_table_lookup(state->name_epochs, GUINT_TO_POINTER(epoch)) : NULL;
}

static struct name_box *box_find(struct state *state, const char *mailbox, uint64_t uidvalidity)
{
	struct name_box key = {.mailbox = (char *)mailbox_spelt(mailbox),
			       .uidvalidity = uidvalidity};

	return g_hash_table_lookup(state->name_boxes, &key);
}

static struct name_box *box_make(struct state *state, const char *mailbox, uint64_t uidvalidity)
{
	struct name_box *box = g_new0(struct name_box, 1);

	box->mailbox = g_strdup(mailbox_spelt(mailbox));
	box->uidvalidity = uidvalidity;
	box->by_uid = g_hash_table_new_full(NULL, NULL, NULL, g_free);
	box->by_name = g_hash_table_new(g_str_hash, g_str_equal);
	g_hash_table_add(state->name_boxes, box);
	return box;
}

static void box_drop(struct state *state, struct name_box *box)
{
	box_set_epoch(state, box, 0);
	g_hash_table_remove(state->name_boxes, box);
}

static bool box_forget(struct name_box *box, uint32_t uid)
{
	const char *name = g_hash_table_lookup(box->by_uid, GUINT_TO_POINTER(uid));

	if (!name)
		return false;
	g_hash_table_remove(box->by_name, name);
	return g_hash_table_remove(box->by_uid, GUINT_TO_POINTER(uid));
}

static uint32_t box_uid(const struct name_box *box, const char *name)
{
	return GPOINTER_TO_UINT(g_hash_table_lookup(box->by_name, name));
}

static void box_remember(struct name_box *box, uint32_t uid, const char *name)
{
	char *copy = g_strdup(name);

	box_forget(box, box_uid(box, name));
	box_forget(box, uid);
	g_hash_table_insert(box->by_uid, GUINT_TO_POINTER(uid), copy);
	g_hash_table_insert(box->by_name, copy, GUINT_TO_POINTER(uid));
}

/* --- life --- */

static void load_row(void *data, sqlite3_stmt *row)
{
	struct state *state = data;
	const char *mailbox = (const char *)sqlite3_column_text(row, 0);
	uint64_t uidvalidity = (uint64_t)sqlite3_column_int64(row, 1);
	uint32_t uid = (uint32_t)sqlite3_column_int64(row, 2);
	const char *name = (const char *)sqlite3_column_text(row, 3);
	struct name_box *box = box_find(state, mailbox, uidvalidity);

	if (!box) {
		box = box_make(state, mailbox, uidvalidity);
		binding_note(state, mailbox, 0, 0, 0);
	}
	box_remember(box, uid, name);
}

bool names_load(struct state *state)
{
	state->name_boxes = g_hash_table_new_full(box_hash, box_equal, box_free, NULL);
	state->name_epochs = g_hash_table_new(NULL, NULL);
	return db_each(&state->db, DB_NAME_EACH, load_row, state);
}

void names_free(struct state *state)
{
	g_clear_pointer(&state->name_epochs, g_hash_table_unref);
	g_clear_pointer(&state->name_boxes, g_hash_table_unref);
}

/* --- setting --- */

bool names_put(struct state *state, const struct state_box *where, uint32_t uid, const char *name)
{
	const char *mailbox = mailbox_spelt(where->mailbox);
	const struct name_box *box = box_find(state, mailbox, where->uidvalidity);
	uint32_t other = box ? box_uid(box, name) : 0;

	if (other && other != uid &&
	    !DB_RUN(&state->db, DB_NAME_DELETE, DB_TEXT(mailbox), DB_INT(where->uidvalidity),
		    DB_INT(other), DB_INT(other)))
		return false;
	return DB_RUN(&state->db, DB_NAME_PUT, DB_TEXT(mailbox), DB_INT(where->uidvalidity),
		      DB_INT(uid), DB_TEXT(name));
}

void names_remember(struct state *state, const struct state_box *where, uint32_t uid,
		    const char *name)
{
	const char *mailbox = mailbox_spelt(where->mailbox);
	const struct binding *binding;
	struct name_box *box = box_find(state, mailbox, where->uidvalidity);

	if (!box)
		box = box_make(state, mailbox, where->uidvalidity);
	box_remember(box, uid, name);
	binding_note(state, mailbox, where->folder, where->epoch, where->uidvalidity);
	binding = binding_find(state, mailbox);
	if (where->epoch)
		box_set_epoch(state, box, where->epoch);
	else if (binding->uidvalidity == where->uidvalidity)
		box_set_epoch(state, box, binding->epoch);
	guests_named(state, where->folder, name);
	state_touch_locked(state, where->folder);
}

bool names_set(struct state *state, const struct state_box *where, uint32_t uid, const char *name,
	       GError **error)
{
	pthread_mutex_lock(&state->lock);
	bool ok = db_begin(&state->db, false) && names_put(state, where, uid, name);

	ok = db_end(&state->db, ok, error);
	if (ok)
		names_remember(state, where, uid, name);
	pthread_mutex_unlock(&state->lock);
	return ok;
}

static bool box_forget_range(struct name_box *box, uint32_t first, uint32_t last)
{
	bool forgot = false;

	if (last - first < g_hash_table_size(box->by_uid)) {
		for (uint64_t uid = first; uid <= last; uid++)
			forgot |= box_forget(box, (uint32_t)uid);
		return forgot;
	}
	GHashTableIter iter;
	gpointer uid, name;

	g_hash_table_iter_init(&iter, box->by_uid);
	while (g_hash_table_iter_next(&iter, &uid, &name)) {
		if (GPOINTER_TO_UINT(uid) < first || GPOINTER_TO_UINT(uid) > last)
			continue;
		g_hash_table_remove(box->by_name, name);
		g_hash_table_iter_remove(&iter);
		forgot = true;
	}
	return forgot;
}

void names_drop(struct state *state, uint32_t epoch, uint32_t first, uint32_t last)
{
	pthread_mutex_lock(&state->lock);
	struct name_box *box = box_of_epoch(state, epoch);

	/* What stays on record by a failure names messages that will never be asked for. */
	if (box && box_forget_range(box, first, last) &&
	    !DB_RUN(&state->db, DB_NAME_DELETE, DB_TEXT(box->mailbox), DB_INT(box->uidvalidity),
		    DB_INT(first), DB_INT(last)))
		log_warning("%s: cannot forget names: %s", state->db.path, state->db.why);
	if (box && g_hash_table_size(box->by_uid) == 0)
		box_drop(state, box);
	pthread_mutex_unlock(&state->lock);
}

/* --- asking --- */

char *names_get(struct state *state, uint32_t epoch, uint32_t uid)
{
	pthread_mutex_lock(&state->lock);
	const struct name_box *box = box_of_epoch(state, epoch);
	char *name = g_strdup(box ? g_hash_table_lookup(box->by_uid, GUINT_TO_POINTER(uid)) : NULL);

	pthread_mutex_unlock(&state->lock);
	return name;
}

const char *names_get_locked(struct state *state, const char *mailbox, uint64_t uidvalidity,
			     uint32_t uid)
{
	const struct name_box *box = box_find(state, mailbox, uidvalidity);

	return box ? g_hash_table_lookup(box->by_uid, GUINT_TO_POINTER(uid)) : NULL;
}

uint32_t names_find_locked(struct state *state, uint32_t epoch, const char *name)
{
	const struct name_box *box = box_of_epoch(state, epoch);

	return box ? box_uid(box, name) : 0;
}

uint32_t names_find(struct state *state, uint32_t epoch, const char *name)
{
	pthread_mutex_lock(&state->lock);
	uint32_t uid = names_find_locked(state, epoch, name);

	pthread_mutex_unlock(&state->lock);
	return uid;
}

bool names_in(struct state *state, uint32_t epoch)
{
	pthread_mutex_lock(&state->lock);
	bool any = box_of_epoch(state, epoch) != NULL;

	pthread_mutex_unlock(&state->lock);
	return any;
}

/* --- mailboxes --- */

static GPtrArray *boxes_of(struct state *state, const char *mailbox)
{
	GPtrArray *boxes = g_ptr_array_new();
	GHashTableIter iter;
	gpointer key;

	g_hash_table_iter_init(&iter, state->name_boxes);
	while (g_hash_table_iter_next(&iter, &key, NULL)) {
		const struct name_box *box = key;

		if (g_str_equal(box->mailbox, mailbox))
			g_ptr_array_add(boxes, key);
	}
	return boxes;
}

bool names_of(struct state *state, const char *mailbox)
{
	g_autoptr(GPtrArray) boxes = NULL;

	pthread_mutex_lock(&state->lock);
	boxes = boxes_of(state, mailbox_spelt(mailbox));
	pthread_mutex_unlock(&state->lock);
	return boxes->len > 0;
}

void names_bind(struct state *state, const struct state_box *where)
{
	g_autoptr(GPtrArray) boxes = boxes_of(state, mailbox_spelt(where->mailbox));

	for (unsigned i = 0; i < boxes->len && where->uidvalidity; i++) {
		struct name_box *box = g_ptr_array_index(boxes, i);

		if (box->uidvalidity == where->uidvalidity) {
			box_set_epoch(state, box, where->epoch);
			continue;
		}
		if (!DB_RUN(&state->db, DB_NAME_DELETE_BOX, DB_TEXT(box->mailbox),
			    DB_INT(box->uidvalidity)))
			log_warning("%s: cannot forget names: %s", state->db.path, state->db.why);
		box_drop(state, box);
	}
}

void names_rename(struct state *state, const char *from, const char *to)
{
	g_autoptr(GPtrArray) stale = boxes_of(state, to);
	g_autoptr(GPtrArray) boxes = boxes_of(state, from);

	for (unsigned i = 0; i < stale->len; i++)
		box_drop(state, g_ptr_array_index(stale, i));
	for (unsigned i = 0; i < boxes->len; i++) {
		struct name_box *box = g_ptr_array_index(boxes, i);

		g_hash_table_steal(state->name_boxes, box);
		g_free(box->mailbox);
		box->mailbox = g_strdup(to);
		g_hash_table_add(state->name_boxes, box);
	}
}
