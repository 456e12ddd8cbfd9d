#include "state/state_private.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "base/log.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

const char *mailbox_spelt(const char *mailbox)
{
	return g_ascii_strcasecmp(mailbox, "INBOX") == 0 ? "INBOX" : mailbox;
}

/* --- folders --- */

static void place_free(void *data)
{
	struct place *place = data;

	g_hash_table_unref(place->guest_names);
	g_sequence_free(place->guests);
	g_hash_table_unref(place->file_names);
	g_sequence_free(place->files);
	g_free(place);
}

struct place *place_find(struct state *state, uint32_t folder)
{
	return g_hash_table_lookup(state->places, GUINT_TO_POINTER(folder));
}

struct place *place_get(struct state *state, uint32_t folder)
{
	struct place *place = place_find(state, folder);

	if (!place) {
		place = g_new0(struct place, 1);
		place->folder = folder;
		place->guest_names = g_hash_table_new(g_str_hash, g_str_equal);
		place->guests = g_sequence_new(NULL);
		place->file_names = g_hash_table_new(g_str_hash, g_str_equal);
		place->files = g_sequence_new(NULL);
		g_hash_table_insert(state->places, GUINT_TO_POINTER(folder), place);
	}
	return place;
}

void state_touch_locked(struct state *state, uint32_t folder)
{
	struct place *place;

	if (folder == 0)
		return;
	place = place_get(state, folder);
	place->touched_ns = MAX(place->touched_ns + 1, clock_wall_ns());
}

void state_touch(struct state *state, uint32_t folder)
{
	pthread_mutex_lock(&state->lock);
	state_touch_locked(state, folder);
	pthread_mutex_unlock(&state->lock);
}

int64_t state_touched_ns(struct state *state, uint32_t folder)
{
	pthread_mutex_lock(&state->lock);
	const struct place *place = place_find(state, folder);
	int64_t touched_ns = place ? place->touched_ns : 0;

	pthread_mutex_unlock(&state->lock);
	return touched_ns;
}

unsigned state_pending(struct state *state)
{
	pthread_mutex_lock(&state->lock);
	unsigned pending = state->pending;

	pthread_mutex_unlock(&state->lock);
	return pending;
}

unsigned state_pending_of(struct state *state, uint32_t folder)
{
	pthread_mutex_lock(&state->lock);
	const struct place *place = place_find(state, folder);
	unsigned pending = place ? place->pending : 0;

	pthread_mutex_unlock(&state->lock);
	return pending;
}

/* --- binding --- */

struct binding *binding_find(struct state *state, const char *mailbox)
{
	return g_hash_table_lookup(state->bindings, mailbox_spelt(mailbox));
}

/* What is there already is state_bind()'s to alter: by the difference it knows what to do. */
void binding_note(struct state *state, const char *mailbox, uint32_t folder, uint32_t epoch,
		  uint64_t uidvalidity)
{
	struct binding *binding;

	if (epoch)
		g_hash_table_insert(state->epochs, GUINT_TO_POINTER(epoch),
				    GUINT_TO_POINTER(folder));
	if (binding_find(state, mailbox))
		return;
	binding = g_new0(struct binding, 1);
	binding->folder = folder;
	binding->epoch = epoch;
	binding->uidvalidity = epoch ? uidvalidity : 0;
	g_hash_table_insert(state->bindings, g_strdup(mailbox_spelt(mailbox)), binding);
}

/* False if nothing is new. */
static bool binding_update(struct binding *binding, const struct state_box *box)
{
	bool same = binding->folder == box->folder &&
		    (box->uidvalidity == 0 ||
		     (binding->epoch == box->epoch && binding->uidvalidity == box->uidvalidity));

	binding->folder = box->folder;
	if (box->uidvalidity) {
		binding->epoch = box->epoch;
		binding->uidvalidity = box->uidvalidity;
	}
	return !same;
}

static void bind_locked(struct state *state, const struct state_box *box, GPtrArray *lost)
{
	struct binding *binding = binding_find(state, box->mailbox);

	binding_note(state, box->mailbox, box->folder, box->epoch, box->uidvalidity);
	if (!binding || !binding_update(binding, box))
		return;
	changes_bind(state, box, lost);
	names_bind(state, box);
	spool_bind(state, box, lost);
	state_touch_locked(state, box->folder);
}

void state_bind(struct state *state, const struct state_box *box, state_lost_fn lost, void *data)
{
	g_autoptr(GPtrArray) what = g_ptr_array_new_with_free_func(g_free);

	pthread_mutex_lock(&state->lock);
	bind_locked(state, box, what);
	pthread_mutex_unlock(&state->lock);
	for (unsigned i = 0; lost && i < what->len; i++)
		lost(data, g_ptr_array_index(what, i));
}

/* --- renaming --- */

static int longer_first(gconstpointer a, gconstpointer b)
{
	size_t one = strlen(*(const char *const *)a), other = strlen(*(const char *const *)b);

	return one > other ? -1 : one < other;
}

/* The mailbox and those below it that are known here, those below first: their new names may be old
 * names of others. */
static GPtrArray *mailboxes_below(struct state *state, const char *from, char separator)
{
	GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
	size_t len = strlen(from);
	GHashTableIter iter;
	gpointer key;

	g_hash_table_iter_init(&iter, state->bindings);
	while (g_hash_table_iter_next(&iter, &key, NULL)) {
		const char *name = key;

		if (strncmp(name, from, len) == 0 &&
		    (name[len] == '\0' || (separator && name[len] == separator)))
			g_ptr_array_add(names, g_strdup(name));
	}
	g_ptr_array_sort(names, longer_first);
	return names;
}

static bool record_rename(struct db *db, const char *from, const char *to)
{
	static const enum db_sql all[] = {DB_RENAME_SOURCE, DB_RENAME_TARGET, DB_RENAME_FILE,
					  DB_RENAME_CLONE, DB_RENAME_NAME};
	bool ok = DB_RUN(db, DB_RENAME_FREE, DB_TEXT(to));

	for (size_t i = 0; ok && i < G_N_ELEMENTS(all); i++)
		ok = DB_RUN(db, all[i], DB_TEXT(from), DB_TEXT(to));
	return ok;
}

static void rename_in_memory(struct state *state, const char *from, const char *to)
{
	gpointer key, binding;

	changes_rename(state, from, to);
	names_rename(state, from, to);
	spool_rename_mailbox(state, from, to);
	if (!g_hash_table_steal_extended(state->bindings, from, &key, &binding))
		return;
	g_free(key);
	g_hash_table_replace(state->bindings, g_strdup(to), binding);
}

static bool rename_locked(struct state *state, const char *from, const char *to, char separator,
			  GError **error)
{
	g_autoptr(GPtrArray) old = mailboxes_below(state, mailbox_spelt(from), separator);
	g_autoptr(GPtrArray) new = g_ptr_array_new_with_free_func(g_free);
	bool ok = db_begin(&state->db, false);

	for (unsigned i = 0; i < old->len; i++) {
		const char *name = g_ptr_array_index(old, i);

		g_ptr_array_add(new, g_strconcat(to, name + strlen(from), NULL));
		ok = ok && record_rename(&state->db, name, g_ptr_array_index(new, i));
	}
	ok = db_end(&state->db, ok, error);
	for (unsigned i = 0; ok && i < old->len; i++)
		rename_in_memory(state, g_ptr_array_index(old, i), g_ptr_array_index(new, i));
	return ok;
}

bool state_renamed(struct state *state, const char *from, const char *to, char separator,
		   GError **error)
{
	pthread_mutex_lock(&state->lock);
	bool ok = rename_locked(state, from, to, separator, error);

	pthread_mutex_unlock(&state->lock);
	return ok;
}

/* --- life --- */

static void memory_free(struct state *state)
{
	spool_free(state);
	changes_free(state);
	names_free(state);
	g_clear_pointer(&state->places, g_hash_table_unref);
	g_clear_pointer(&state->bindings, g_hash_table_unref);
	g_clear_pointer(&state->epochs, g_hash_table_unref);
	g_clear_pointer(&state->doubts, g_hash_table_unref);
	state->last_change = 0;
	state->pending = 0;
}

static bool memory_load(struct state *state)
{
	state->places = g_hash_table_new_full(NULL, NULL, NULL, place_free);
	state->bindings = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	state->epochs = g_hash_table_new(NULL, NULL);
	doubts_init(state);
	/* All three, so that all can be freed. */
	bool ok = names_load(state);

	ok = changes_load(state) && ok;
	return spool_load(state) && ok;
}

static bool open_spool(struct state *state, GError **error)
{
	g_autofree char *path = g_build_filename(state->dir, "spool", NULL);

	if (!file_make_private_dir(state->dir, error) || !file_make_private_dir(path, error))
		return false;
	state->spool_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return state->spool_fd >= 0 || file_fail("open", path, error);
}

static bool open_all(struct state *state, GError **error)
{
	bool anew;

	if (!open_spool(state, error) || !db_open(&state->db, state->dir, &anew, error))
		return false;
	if (!memory_load(state)) {
		memory_free(state);
		anew = true;
		if (!db_begin_anew(&state->db, state->dir, error))
			return false;
		memory_load(state);
	}
	if (spool_recover(state, anew) && anew)
		db_begun(&state->db);
	return true;
}

struct state *state_open(const char *dir, GError **error)
{
	struct state *state = g_new0(struct state, 1);

	pthread_mutex_init(&state->lock, NULL);
	pthread_cond_init(&state->idle, NULL);
	state->dir = g_strdup(dir);
	state->spool_fd = -1;
	if (!open_all(state, error))
		state_close(&state);
	return state;
}

void state_close(struct state **state_p)
{
	struct state *state = g_steal_pointer(state_p);

	if (!state)
		return;
	if (state->places)
		memory_free(state);
	db_close(&state->db);
	if (state->spool_fd >= 0)
		close(state->spool_fd);
	g_free(state->dir);
	pthread_cond_destroy(&state->idle);
	pthread_mutex_destroy(&state->lock);
	g_free(state);
}
