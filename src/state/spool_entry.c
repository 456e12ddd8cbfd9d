#include "state/spool_private.h"

#include "base/log.h"
#include "base/text.h"

#include <string.h>

/* A line of the log holds a name whole. */
#define NAME_SHOWN 200

/* --- copies --- */

void spool_file_clear(struct spool_file *file)
{
	g_clear_pointer(&file->mailbox, g_free);
	g_clear_pointer(&file->name, g_free);
	g_clear_pointer(&file->reason, g_free);
}

void spool_file_free(void *file)
{
	spool_file_clear(file);
	g_free(file);
}

void spool_file_copy(const struct spool_file *file, struct spool_file *ret)
{
	*ret = *file;
	ret->mailbox = g_strdup(file->mailbox);
	ret->name = g_strdup(file->name);
	ret->reason = g_strdup(file->reason);
}

bool spool_name_is_mail(const char *name)
{
	return name[0] != '.' && g_str_has_suffix(name, ".eml");
}

bool entry_is_mail(const struct entry *entry)
{
	return spool_name_is_mail(entry->file.name);
}

/* --- in memory --- */

struct entry *entry_new(uint32_t id)
{
	struct entry *entry = g_new0(struct entry, 1);

	entry->file.id = id;
	return entry;
}

static int by_id(gconstpointer a, gconstpointer b, gpointer data)
{
	const struct entry *one = a, *other = b;

	return one->file.id < other->file.id ? -1 : one->file.id > other->file.id;
}

static bool step_is_pending(enum spool_step step)
{
	return step == SPOOL_QUEUED || step == SPOOL_MARKED;
}

static void entry_count(struct state *state, struct entry *entry, bool pending)
{
	unsigned n = pending ? 1 : -1u;

	if (pending == entry->counted)
		return;
	entry->counted = pending;
	state->pending += n;
	if (entry->file.folder)
		place_get(state, entry->file.folder)->pending += n;
}

static void entry_link(struct state *state, struct entry *entry)
{
	const struct spool_file *file = &entry->file;

	if (file->folder && !entry->retired) {
		struct place *place = place_get(state, file->folder);

		entry->in_files = g_sequence_insert_sorted(place->files, entry, by_id, NULL);
		g_hash_table_replace(place->file_names, file->name, entry);
	}
	if (step_is_pending(file->step) && !file->running)
		entry->in_sendable = g_sequence_insert_sorted(state->sendable, entry, by_id, NULL);
	entry_count(state, entry, step_is_pending(file->step));
}

static void entry_unlink(struct state *state, struct entry *entry)
{
	if (entry->in_files) {
		struct place *place = place_get(state, entry->file.folder);

		g_sequence_remove(g_steal_pointer(&entry->in_files));
		if (g_hash_table_lookup(place->file_names, entry->file.name) == entry)
			g_hash_table_remove(place->file_names, entry->file.name);
	}
	if (entry->in_sendable)
		g_sequence_remove(g_steal_pointer(&entry->in_sendable));
	entry_count(state, entry, false);
}

void entry_attach(struct state *state, struct entry *entry)
{
	const struct spool_file *file = &entry->file;

	g_hash_table_insert(state->entries, GUINT_TO_POINTER(file->id), entry);
	state->last_file = MAX(state->last_file, file->id);
	binding_note(state, file->mailbox, file->folder, 0, 0);
	if (entry->clone_mailbox)
		binding_note(state, entry->clone_mailbox, entry->clone_folder, file->clone_epoch,
			     entry->clone_uidvalidity);
	entry_link(state, entry);
	entry_doubt(state, entry);
}

void entry_free(struct state *state, struct entry *entry)
{
	entry_unlink(state, entry);
	entry->file.unknown = false;
	entry_doubt(state, entry);
	g_hash_table_remove(state->entries, GUINT_TO_POINTER(entry->file.id));
	spool_file_clear(&entry->file);
	g_free(entry->clone_mailbox);
	g_free(entry);
}

void entry_become(struct state *state, struct entry *entry, const struct spool_file *want)
{
	struct spool_file old = entry->file;

	entry_unlink(state, entry);
	spool_file_copy(want, &entry->file);
	spool_file_clear(&old);
	entry_link(state, entry);
	entry_doubt(state, entry);
	binding_note(state, entry->file.mailbox, entry->file.folder, 0, 0);
}

struct entry *entry_find(struct state *state, uint32_t id)
{
	return g_hash_table_lookup(state->entries, GUINT_TO_POINTER(id));
}

struct entry *entry_wait(struct state *state, uint32_t id)
{
	struct entry *entry = entry_find(state, id);

	while (entry && entry->busy) {
		pthread_cond_wait(&state->idle, &state->lock);
		entry = entry_find(state, id);
	}
	return entry;
}

void entry_unbusy(struct state *state, struct entry *entry)
{
	entry->busy = false;
	pthread_cond_broadcast(&state->idle);
}

/* --- the record --- */

int64_t entry_whole(const struct entry *entry)
{
	if (entry->file.step != SPOOL_LOCAL || !entry->whole)
		return -1;
	return entry->file.clone_uid ? 0 : (int64_t)entry->file.size;
}

bool entry_put(struct state *state, const struct entry *entry, const struct spool_file *file,
	       int64_t whole)
{
	return DB_RUN(&state->db, DB_FILE_PUT, DB_INT(file->id), DB_TEXT(file->mailbox),
		      DB_TEXT(file->name), DB_INT(file->step), DB_INT(whole),
		      DB_INT(file->former_uidvalidity), DB_INT(file->former_uid),
		      DB_INT(file->mark_uidvalidity), DB_INT(file->mark_uidnext),
		      DB_INT(file->error), DB_TEXT(file->reason), DB_TEXT(entry->clone_mailbox),
		      DB_INT(entry->clone_uidvalidity), DB_INT(file->clone_uid),
		      DB_INT(file->clone_uid ? file->clone_size : 0));
}

bool entry_write(struct state *state, struct entry *entry, const struct spool_file *want,
		 int64_t whole, bool synced, GError **error)
{
	bool ok = db_begin(&state->db, synced) && entry_put(state, entry, want, whole);

	if (!db_end(&state->db, ok, error))
		return false;
	entry->whole = whole >= 0;
	entry_become(state, entry, want);
	return true;
}

/* --- its files --- */

enum part entry_work_part(const struct entry *entry)
{
	return entry->aside ? PART_GONE : PART_WORK;
}

void entry_measure(struct state *state, struct entry *entry)
{
	struct stat stat;
	enum part part = entry->has_work ? entry_work_part(entry) : PART_UPLOAD;

	if (!part_stat(state, entry->file.id, part, &stat))
		return;
	entry->file.size = (uint64_t)stat.st_size;
	if (entry->file.clone_uid && stat.st_size == 0)
		entry->file.size = entry->file.clone_size;
	entry->file.mtime_ns = stat.st_mtim.tv_sec * (int64_t)1000000000 + stat.st_mtim.tv_nsec;
}

void entry_drop_work(struct state *state, struct entry *entry)
{
	if (entry->has_work)
		part_unlink(state, entry->file.id, entry_work_part(entry));
	entry->has_work = entry->aside = false;
}

void entry_drop_upload(struct state *state, struct entry *entry)
{
	if (entry->has_upload)
		part_unlink(state, entry->file.id, PART_UPLOAD);
	entry->has_upload = false;
}

void entry_drop_clone(struct entry *entry)
{
	g_clear_pointer(&entry->clone_mailbox, g_free);
	entry->clone_folder = 0;
	entry->clone_uidvalidity = 0;
	entry->file.clone_epoch = 0;
	entry->file.clone_uid = 0;
	entry->file.clone_size = 0;
}

/* --- mailboxes --- */

static void bind_clone(struct state *state, struct entry *entry, const struct state_box *box,
		       GPtrArray *lost)
{
	if (entry->clone_uidvalidity == box->uidvalidity) {
		entry->clone_folder = box->folder;
		entry->file.clone_epoch = box->epoch;
		return;
	}
	g_autofree char *mailbox = text_clean(entry->clone_mailbox, -1, NAME_SHOWN);
	g_autofree char *target = text_clean(entry->file.mailbox, -1, NAME_SHOWN);

	g_ptr_array_add(lost, g_strdup_printf("copying message %u of %s to %s",
					      entry->file.clone_uid, mailbox, target));
	entry_drop_clone(entry);
	entry->file.size = 0;
	if (!entry_put(state, entry, &entry->file, entry_whole(entry)))
		log_warning("%s: cannot forget a copy: %s", state->db.path, state->db.why);
}

static void bind_folder(struct state *state, struct entry *entry, uint32_t folder)
{
	struct spool_file want = entry->file;

	want.folder = folder;
	entry_become(state, entry, &want);
}

void spool_bind(struct state *state, const struct state_box *box, GPtrArray *lost)
{
	const char *mailbox = mailbox_spelt(box->mailbox);
	GHashTableIter iter;
	gpointer value;

	g_hash_table_iter_init(&iter, state->entries);
	while (g_hash_table_iter_next(&iter, NULL, &value)) {
		struct entry *entry = value;

		if (box->uidvalidity && !entry->busy &&
		    g_strcmp0(entry->clone_mailbox, mailbox) == 0)
			bind_clone(state, entry, box, lost);
		if (entry->file.folder != box->folder && g_str_equal(entry->file.mailbox, mailbox))
			bind_folder(state, entry, box->folder);
	}
}

void spool_rename_mailbox(struct state *state, const char *from, const char *to)
{
	GHashTableIter iter;
	gpointer value;

	g_hash_table_iter_init(&iter, state->entries);
	while (g_hash_table_iter_next(&iter, NULL, &value)) {
		struct entry *entry = value;

		if (g_str_equal(entry->file.mailbox, from)) {
			g_free(entry->file.mailbox);
			entry->file.mailbox = g_strdup(to);
			entry_doubt(state, entry);
		}
		if (g_strcmp0(entry->clone_mailbox, from) == 0) {
			g_free(entry->clone_mailbox);
			entry->clone_mailbox = g_strdup(to);
		}
	}
}

/* --- life --- */

static void load_row(void *data, sqlite3_stmt *row)
{
	struct state *state = data;
	struct entry *entry = entry_new((uint32_t)sqlite3_column_int64(row, 0));
	struct spool_file *file = &entry->file;

	file->mailbox = g_strdup((const char *)sqlite3_column_text(row, 1));
	file->name = g_strdup((const char *)sqlite3_column_text(row, 2));
	file->step = (enum spool_step)sqlite3_column_int(row, 3);
	/* The size is compared with the file's when that is looked at. */
	entry->whole = sqlite3_column_int64(row, 4) >= 0;
	file->size = entry->whole ? (uint64_t)sqlite3_column_int64(row, 4) : 0;
	file->former_uidvalidity = (uint64_t)sqlite3_column_int64(row, 5);
	file->former_uid = (uint32_t)sqlite3_column_int64(row, 6);
	file->mark_uidvalidity = (uint64_t)sqlite3_column_int64(row, 7);
	file->mark_uidnext = (uint32_t)sqlite3_column_int64(row, 8);
	file->error = sqlite3_column_int(row, 9);
	file->reason = g_strdup((const char *)sqlite3_column_text(row, 10));
	entry->clone_mailbox = g_strdup((const char *)sqlite3_column_text(row, 11));
	entry->clone_uidvalidity = (uint64_t)sqlite3_column_int64(row, 12);
	file->clone_uid = entry->clone_mailbox ? (uint32_t)sqlite3_column_int64(row, 13) : 0;
	file->clone_size = (uint64_t)sqlite3_column_int64(row, 14);
	file->unknown = file->step == SPOOL_MARKED;
	entry_attach(state, entry);
}

bool spool_load(struct state *state)
{
	state->entries = g_hash_table_new(NULL, NULL);
	state->sendable = g_sequence_new(NULL);
	return db_each(&state->db, DB_FILE_EACH, load_row, state);
}

void spool_free(struct state *state)
{
	g_autoptr(GList) entries = g_hash_table_get_values(state->entries);

	for (GList *link = entries; link; link = link->next)
		entry_free(state, link->data);
	g_clear_pointer(&state->entries, g_hash_table_unref);
	g_clear_pointer(&state->sendable, g_sequence_free);
	state->last_file = 0;
}
