#include "tree/extras.h"

#include "state/changes.h"
#include "state/spool.h"

/* Drafts come first, by number; then guests, by the number of their change. */
#define KEY_GUESTS (1ull << 32)

/* --- which are shown --- */

static bool is_there(void *data, const struct message_row *row)
{
	return true;
}

/* The message that it became is listed. */
static bool has_arrived(const struct visit *visit, const struct folder_row *folder,
			const struct spool_file *file)
{
	return file->step == SPOOL_UPLOADED && file->uid != 0 &&
	       file->uidvalidity == folder->uidvalidity &&
	       index_message_get(visit->view, folder->epoch, file->uid, is_there, NULL);
}

static bool guest_entry(const struct visit *visit, const struct guest *guest,
			struct tree_entry *ret)
{
	struct message_facts facts;

	if (!message_get_facts(visit, guest->epoch, guest->uid, &facts))
		return false;
	*ret = facts.entry;
	ret->volatile_name = true;
	return true;
}

bool extra_find_draft(const struct visit *visit, const struct folder_row *folder, const char *name,
		      struct tree_entry *ret)
{
	struct spool_file file;
	bool shown;

	if (!spool_find(visit->tree->config.state, folder->id, name, &file))
		return false;
	shown = !has_arrived(visit, folder, &file);
	if (shown)
		draft_entry(ret, &file);
	spool_file_clear(&file);
	return shown;
}

bool extra_find_guest(const struct visit *visit, const struct folder_row *folder, const char *name,
		      struct tree_entry *ret)
{
	struct guest guest;
	bool shown;

	if (!changes_guest(visit->tree->config.state, folder->id, name, &guest))
		return false;
	shown = guest_entry(visit, &guest, ret);
	guest_clear(&guest);
	return shown;
}

/* --- all of them --- */

/* Those that are not kept stand behind the others then. */
static guint keep(GPtrArray *all, guint kept, guint at)
{
	gpointer one = all->pdata[at];

	all->pdata[at] = all->pdata[kept];
	all->pdata[kept] = one;
	return kept + 1;
}

static void add_drafts(struct extras *extras, const struct visit *visit,
		       const struct folder_row *folder)
{
	guint kept = 0;

	for (guint i = 0; i < extras->drafts->len; i++) {
		struct spool_file *file = g_ptr_array_index(extras->drafts, i);

		if (extras_have(extras, file->name) || has_arrived(visit, folder, file))
			continue;
		g_hash_table_add(extras->names, file->name);
		kept = keep(extras->drafts, kept, i);
	}
	g_ptr_array_set_size(extras->drafts, (gint)kept);
}

static bool guest_is_shown(const struct visit *visit, const struct shown *shown,
			   const struct guest *guest)
{
	struct shown_message message;

	return index_message_get(visit->view, guest->epoch, guest->uid, is_there, NULL) &&
	       shown_find(visit, shown, guest->name, SHOWN_LISTED, &message) != SHOWN_FOUND;
}

static void add_guests(struct extras *extras, const struct visit *visit, const struct shown *shown)
{
	guint kept = 0;

	for (guint i = 0; i < extras->guests->len; i++) {
		struct guest *guest = g_ptr_array_index(extras->guests, i);

		if (guest->name == NULL || extras_have(extras, guest->name) ||
		    !guest_is_shown(visit, shown, guest))
			continue;
		g_hash_table_add(extras->names, guest->name);
		kept = keep(extras->guests, kept, i);
	}
	g_ptr_array_set_size(extras->guests, (gint)kept);
}

void extras_init(struct extras *ret, const struct visit *visit, const struct folder_row *folder,
		 const struct shown *shown)
{
	struct state *state = visit->tree->config.state;

	*ret = (struct extras){.drafts = spool_list(state, folder->id),
			       .guests = changes_guests(state, folder->id)};
	if (ret->drafts == NULL && ret->guests == NULL)
		return;
	ret->names = g_hash_table_new(g_str_hash, g_str_equal);
	if (ret->drafts != NULL)
		add_drafts(ret, visit, folder);
	if (ret->guests != NULL)
		add_guests(ret, visit, shown);
}

void extras_clear(struct extras *extras)
{
	g_clear_pointer(&extras->names, g_hash_table_unref);
	g_clear_pointer(&extras->drafts, g_ptr_array_unref);
	g_clear_pointer(&extras->guests, g_ptr_array_unref);
}

uint32_t extras_count(const struct extras *extras)
{
	return extras->names == NULL ? 0 : g_hash_table_size(extras->names);
}

bool extras_have(const struct extras *extras, const char *name)
{
	return extras->names != NULL && g_hash_table_contains(extras->names, name);
}

static bool each_draft(const struct extras *extras, uint64_t after, extras_fn each, void *data)
{
	for (guint i = 0; extras->drafts != NULL && i < extras->drafts->len; i++) {
		const struct spool_file *file = g_ptr_array_index(extras->drafts, i);
		struct tree_entry entry;

		if (file->id <= after)
			continue;
		draft_entry(&entry, file);
		if (!each(data, file->name, &entry, file->id))
			return false;
	}
	return true;
}

static void each_guest(const struct extras *extras, const struct visit *visit, uint64_t after,
		       extras_fn each, void *data)
{
	for (guint i = 0; extras->guests != NULL && i < extras->guests->len; i++) {
		const struct guest *guest = g_ptr_array_index(extras->guests, i);
		struct tree_entry entry;

		if (KEY_GUESTS + guest->id <= after || !guest_entry(visit, guest, &entry))
			continue;
		if (!each(data, guest->name, &entry, KEY_GUESTS + guest->id))
			return;
	}
}

void extras_each(const struct extras *extras, const struct visit *visit, uint64_t after,
		 extras_fn each, void *data)
{
	if (each_draft(extras, after, each, data))
		each_guest(extras, visit, after, each, data);
}
