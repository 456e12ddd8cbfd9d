/* Mailboxes of which it is not known whether something of ours arrived. Who searches for it must
 * not find another message of ours that looks the same: nothing is sent there meanwhile. Changes
 * wait with the mailbox, from when it was their turn, so that nobody looks at them again and again.
 */
#include "state/spool_private.h"

struct doubt {
	char *mailbox;
	unsigned files;	  /* unknown ones */
	unsigned changes; /* likewise */
	unsigned sought;  /* of `changes`: in the engine's hand */
	GQueue waiting;	  /* of struct item */
};

static void doubt_free(void *data)
{
	struct doubt *doubt = data;

	g_free(doubt->mailbox);
	g_free(doubt);
}

void doubts_init(struct state *state)
{
	state->doubts = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, doubt_free);
}

static struct doubt *doubt_find(struct state *state, const char *mailbox)
{
	if (!mailbox || g_hash_table_size(state->doubts) == 0)
		return NULL;
	return g_hash_table_lookup(state->doubts, mailbox_spelt(mailbox));
}

static struct doubt *doubt_get(struct state *state, const char *mailbox)
{
	struct doubt *doubt = doubt_find(state, mailbox);

	if (!doubt) {
		doubt = g_new0(struct doubt, 1);
		doubt->mailbox = g_strdup(mailbox_spelt(mailbox));
		g_hash_table_insert(state->doubts, doubt->mailbox, doubt);
	}
	return doubt;
}

/* Those that have to wait on will be found so when it is their turn. */
static void wake(struct doubt *doubt)
{
	GList *link;

	while ((link = doubt->waiting.head)) {
		struct item *item = link->data;

		item_unwait(item);
		message_review(item->source, item->message);
	}
}

static void doubt_end(struct state *state, struct doubt *doubt)
{
	wake(doubt);
	g_hash_table_remove(state->doubts, doubt->mailbox);
}

/* --- changes --- */

static void item_count_sought(struct item *item, bool sought)
{
	if (item->sought == sought)
		return;
	item->sought = sought;
	item->doubt->sought += sought ? 1 : -1u;
}

void item_doubt(struct state *state, struct item *item)
{
	const struct change *change = &item->change;
	bool unknown = change->unknown && change->target_mailbox;
	struct doubt *now = unknown ? doubt_get(state, change->target_mailbox) : NULL;
	struct doubt *old = item->doubt;

	if (old != now) {
		item_count_sought(item, false);
		item->doubt = now;
		if (now)
			now->changes++;
	}
	item_count_sought(item, now && change->running);
	if (old && old != now) {
		old->changes--;
		if (old->changes == 0 && old->files == 0)
			doubt_end(state, old);
	}
}

static bool brings_message(const struct change *change)
{
	return change->target_mailbox &&
	       (change->step == CHANGE_QUEUED || change->step == CHANGE_MARKED);
}

/* The file first: it can be searched for without another folder. */
bool item_wait(struct state *state, struct item *item)
{
	const struct change *change = &item->change;
	struct doubt *doubt =
		brings_message(change) ? doubt_find(state, change->target_mailbox) : NULL;

	if (!doubt || (change->unknown && doubt->files == 0))
		return false;
	item_unready(item);
	item->waits = doubt;
	item->in_waiting.data = item;
	g_queue_push_tail_link(&doubt->waiting, &item->in_waiting);
	return true;
}

void item_unwait(struct item *item)
{
	if (!item->waits)
		return;
	g_queue_unlink(&item->waits->waiting, &item->in_waiting);
	item->waits = NULL;
}

/* --- files --- */

void entry_doubt(struct state *state, struct entry *entry)
{
	struct doubt *now = entry->file.unknown ? doubt_get(state, entry->file.mailbox) : NULL;
	struct doubt *old = entry->doubt;

	if (old == now)
		return;
	entry->doubt = now;
	if (now)
		now->files++;
	if (!old || --old->files > 0)
		return;
	if (old->changes > 0)
		wake(old); /* the unknown ones can go */
	else
		doubt_end(state, old);
}

bool entry_waits(struct state *state, const struct entry *entry)
{
	const struct doubt *doubt = doubt_find(state, entry->file.mailbox);

	return doubt && (!entry->file.unknown || doubt->sought > 0);
}
