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
		draft_entry(visit->tree, &file, ret);
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

static bool guest_is_first(struct state *state, uint32_t folder, const struct guest *guest)
{
	struct guest first;
	bool same;

	if (!changes_guest(state, folder, guest->name, &first))
		return false;
	same = first.id == guest->id;
	guest_clear(&first);
	return same;
}

/* Nothing else is listed under its name. */
static bool guest_is_shown(const struct visit *visit, const struct folder_row *folder,
			   const struct shown *shown, const struct guest *guest)
{
	struct shown_message message;
	struct tree_entry draft;

	return guest->name != NULL &&
	       guest_is_first(visit->tree->config.state, folder->id, guest) &&
	       !extra_find_draft(visit, folder, guest->name, &draft) &&
	       shown_find(visit, shown, guest->name, SHOWN_LISTED, &message) != SHOWN_FOUND;
}

void extras_init(struct extras *ret, const struct visit *visit, const struct folder_row *folder)
{
	struct state *state = visit->tree->config.state;

	*ret = (struct extras){.visit = visit,
			       .folder = folder,
			       .drafts = spool_list(state, folder->id),
			       .guests = changes_guests(state, folder->id)};
}

void extras_clear(struct extras *extras)
{
	g_clear_pointer(&extras->drafts, g_ptr_array_unref);
	g_clear_pointer(&extras->guests, g_ptr_array_unref);
}

static bool each_draft(const struct extras *extras, uint64_t after, extras_fn each, void *data)
{
	for (guint i = 0; extras->drafts != NULL && i < extras->drafts->len; i++) {
		const struct spool_file *file = g_ptr_array_index(extras->drafts, i);
		struct tree_entry entry;

		if (file->id <= after || has_arrived(extras->visit, extras->folder, file))
			continue;
		draft_entry(extras->visit->tree, file, &entry);
		if (!each(data, file->name, &entry, file->id))
			return false;
	}
	return true;
}

static void each_guest(const struct extras *extras, const struct shown *shown, uint64_t after,
		       extras_fn each, void *data)
{
	for (guint i = 0; extras->guests != NULL && i < extras->guests->len; i++) {
		const struct guest *guest = g_ptr_array_index(extras->guests, i);
		struct tree_entry entry;

		if (KEY_GUESTS + guest->id <= after ||
		    !guest_is_shown(extras->visit, extras->folder, shown, guest) ||
		    !guest_entry(extras->visit, guest, &entry))
			continue;
		if (!each(data, guest->name, &entry, KEY_GUESTS + guest->id))
			return;
	}
}

void extras_each(const struct extras *extras, const struct shown *shown, uint64_t after,
		 extras_fn each, void *data)
{
	if (each_draft(extras, after, each, data))
		each_guest(extras, shown, after, each, data);
}

static bool count_one(void *data, const char *name, const struct tree_entry *entry, uint64_t key)
{
	uint32_t *count = data;

	(*count)++;
	return true;
}

uint32_t extras_count(const struct extras *extras, const struct shown *shown)
{
	uint32_t count = 0;

	extras_each(extras, shown, 0, count_one, &count);
	return count;
}
