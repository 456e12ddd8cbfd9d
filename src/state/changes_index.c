/* Where the changes are held: all by id, those of a message by id, those that can run by id and by
 * what can go in one command, those that a folder shows by name. */
#include "state/state_private.h"

#include "base/log.h"
#include "base/text.h"

/* A line of the log holds a name whole. */
#define NAME_SHOWN 200

struct item *item_new(const struct change_request *request)
{
	struct item *item = g_new0(struct item, 1);
	struct change *change = &item->change;

	change->kind = request->kind;
	change->folder = request->box.folder;
	change->epoch = request->box.epoch;
	change->mailbox = g_strdup(mailbox_spelt(request->box.mailbox));
	change->uidvalidity = request->box.uidvalidity;
	change->uid = request->uid;
	change->set_words = g_strdup("");
	change->clear_words = g_strdup("");
	if (change->kind == CHANGE_MOVE || change->kind == CHANGE_COPY) {
		change->target = request->target;
		change->target_mailbox = g_strdup(mailbox_spelt(request->target_mailbox));
		change->name = g_strdup(request->name);
	}
	item->in_items.data = item;
	item->in_message.data = item;
	return item;
}

void item_free(struct item *item)
{
	g_free(item->change.mailbox);
	g_free(item->change.set_words);
	g_free(item->change.clear_words);
	g_free(item->change.target_mailbox);
	g_free(item->change.name);
	g_free(item);
}

bool item_is_settled(const struct item *item)
{
	return item->change.step == CHANGE_SETTLED;
}

bool item_insert(struct state *state, const struct item *item)
{
	const struct change *change = &item->change;

	return DB_RUN(&state->db, DB_CHANGE_INSERT, DB_INT(change->id), DB_INT(change->kind),
		      DB_INT(change->step), DB_TEXT(change->mailbox), DB_INT(change->uidvalidity),
		      DB_INT(change->uid), DB_INT(change->set), DB_INT(change->clear),
		      DB_TEXT(change->set_words), DB_TEXT(change->clear_words),
		      DB_TEXT(change->target_mailbox), DB_TEXT(change->name));
}

char *item_describe(const struct change *change)
{
	static const char *const doing[] = {[CHANGE_FLAGS] = "changing flags of",
					    [CHANGE_EXPUNGE] = "removing for good",
					    [CHANGE_MOVE] = "moving",
					    [CHANGE_COPY] = "copying"};
	bool removes = change->kind == CHANGE_FLAGS && (change->set & FLAG_DELETED);
	g_autofree char *mailbox = text_clean(change->mailbox, -1, NAME_SHOWN);
	g_autofree char *target =
		change->target_mailbox ? text_clean(change->target_mailbox, -1, NAME_SHOWN) : NULL;

	return g_strdup_printf("%s message %u of %s%s%s",
			       removes ? "removing" : doing[change->kind], change->uid, mailbox,
			       target ? " to " : "", target ? target : "");
}

/* --- what can run --- */

static int by_id(gconstpointer a, gconstpointer b, gpointer data)
{
	const struct item *one = a, *other = b;

	return one->change.id < other->change.id ? -1 : one->change.id > other->change.id;
}

static void batch_free(void *data)
{
	struct batch *batch = data;

	g_sequence_free(batch->ready);
	g_free(batch->key);
	g_free(batch);
}

static struct batch *batch_get(struct source *source, const struct item *item)
{
	const struct change *change = &item->change;
	g_autofree char *key = g_strdup_printf(
		"%d %d %d %d %x %x %s\n%s\n%s", change->kind, change->step, change->unknown,
		item->alone, change->set, change->clear, change->set_words, change->clear_words,
		change->target_mailbox ? change->target_mailbox : "");
	struct batch *batch = g_hash_table_lookup(source->batches, key);

	if (!batch) {
		batch = g_new0(struct batch, 1);
		batch->key = g_steal_pointer(&key);
		batch->ready = g_sequence_new(NULL);
		g_hash_table_insert(source->batches, batch->key, batch);
	}
	return batch;
}

/* Of those that go alone. */
static int by_tries(gconstpointer a, gconstpointer b, gpointer data)
{
	const struct item *one = a, *other = b;

	if (one->change.tries != other->change.tries)
		return one->change.tries < other->change.tries ? -1 : 1;
	return by_id(a, b, data);
}

struct ready *item_ready(struct item *item)
{
	return item->alone ? &item->source->alone : &item->source->together;
}

static void item_make_ready(struct source *source, struct item *item)
{
	item->batch = batch_get(source, item);
	item->in_batch = g_sequence_insert_sorted(item->batch->ready, item, by_id, NULL);
	item->in_source = g_sequence_insert_sorted(item_ready(item)->items, item,
						   item->alone ? by_tries : by_id, NULL);
}

void item_unready(struct item *item)
{
	struct batch *batch = item->batch;

	item_unwait(item);
	if (!batch)
		return;
	g_sequence_remove(item->in_batch);
	g_sequence_remove(item->in_source);
	item->batch = NULL;
	item->in_batch = item->in_source = NULL;
	if (g_sequence_is_empty(batch->ready))
		g_hash_table_remove(item->source->batches, batch->key);
}

void message_review(struct source *source, struct message *message)
{
	GList *link = message->items.head;

	while (link && item_is_settled(link->data))
		link = link->next;
	if (!link)
		return;
	struct item *first = link->data;

	if (!first->change.running && !first->batch && !first->waits)
		item_make_ready(source, first);
}

/* --- sources --- */

static void source_free(void *data)
{
	struct source *source = data;

	g_hash_table_unref(source->batches);
	g_sequence_free(source->together.items);
	g_sequence_free(source->alone.items);
	g_hash_table_unref(source->messages);
	g_free(source);
}

static struct source *source_get(struct state *state, uint32_t epoch)
{
	struct source *source = g_hash_table_lookup(state->sources, GUINT_TO_POINTER(epoch));

	if (!source) {
		source = g_new0(struct source, 1);
		source->epoch = epoch;
		source->messages = g_hash_table_new_full(NULL, NULL, NULL, g_free);
		source->batches = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, batch_free);
		source->together.items = g_sequence_new(NULL);
		source->alone.items = g_sequence_new(NULL);
		g_hash_table_insert(state->sources, GUINT_TO_POINTER(epoch), source);
		atomic_fetch_add(&state->changing, 1);
	}
	return source;
}

static struct message *message_get(struct source *source, uint32_t uid)
{
	struct message *message = g_hash_table_lookup(source->messages, GUINT_TO_POINTER(uid));

	if (!message) {
		message = g_new0(struct message, 1);
		message->uid = uid;
		g_hash_table_insert(source->messages, GUINT_TO_POINTER(uid), message);
	}
	return message;
}

struct message *message_find(struct state *state, uint32_t epoch, uint32_t uid)
{
	struct source *source = g_hash_table_lookup(state->sources, GUINT_TO_POINTER(epoch));

	return source ? g_hash_table_lookup(source->messages, GUINT_TO_POINTER(uid)) : NULL;
}

bool message_leaves(const struct message *message)
{
	for (GList *link = message->items.head; link; link = link->next) {
		const struct item *item = link->data;

		if (item->change.kind == CHANGE_EXPUNGE || item->change.kind == CHANGE_MOVE)
			return true;
	}
	return false;
}

static void message_insert(struct message *message, struct item *item)
{
	GList *before = message->items.tail;

	while (before && ((struct item *)before->data)->change.id > item->change.id)
		before = before->prev;
	if (before)
		g_queue_insert_after_link(&message->items, before, &item->in_message);
	else
		g_queue_push_head_link(&message->items, &item->in_message);
}

static void item_enter_source(struct state *state, struct item *item)
{
	item->source = source_get(state, item->change.epoch);
	item->message = message_get(item->source, item->change.uid);
	message_insert(item->message, item);
	message_review(item->source, item->message);
}

void item_leave_source(struct state *state, struct item *item)
{
	struct source *source = item->source;
	struct message *message = item->message;

	if (!source)
		return;
	item_unready(item);
	g_queue_unlink(&message->items, &item->in_message);
	item->source = NULL;
	item->message = NULL;
	if (message->items.length > 0)
		message_review(source, message);
	else
		g_hash_table_remove(source->messages, GUINT_TO_POINTER(message->uid));
	if (g_hash_table_size(source->messages) > 0)
		return;
	g_hash_table_remove(state->sources, GUINT_TO_POINTER(source->epoch));
	atomic_fetch_sub(&state->changing, 1);
}

/* --- guests --- */

static void item_show(struct state *state, struct item *item)
{
	struct place *place = place_get(state, item->change.target);

	item->in_guests = g_sequence_insert_sorted(place->guests, item, by_id, NULL);
	g_hash_table_replace(place->guest_names, item->change.name, item);
}

static void item_hide(struct state *state, struct item *item)
{
	struct place *place = place_find(state, item->change.target);

	g_sequence_remove(g_steal_pointer(&item->in_guests));
	if (g_hash_table_lookup(place->guest_names, item->change.name) == item)
		g_hash_table_remove(place->guest_names, item->change.name);
}

void item_guest_review(struct state *state, struct item *item)
{
	bool shown = item->change.target && item->change.name && !item->hidden;

	if (shown && !item->in_guests)
		item_show(state, item);
	else if (!shown && item->in_guests)
		item_hide(state, item);
}

/* The engine knows the message in its new place: it gave the name to it. */
void guests_named(struct state *state, uint32_t folder, const char *name)
{
	struct place *place = place_find(state, folder);
	struct item *item = place ? g_hash_table_lookup(place->guest_names, name) : NULL;

	if (!item)
		return;
	item->hidden = true;
	item_guest_review(state, item);
	if (item->source_new)
		item_detach(state, item);
}

/* --- what is pending --- */

static void item_add_pending(struct state *state, const struct item *item, int n)
{
	const struct change *change = &item->change;

	state->pending += (unsigned)n;
	if (change->folder)
		place_get(state, change->folder)->pending += (unsigned)n;
	if (change->target && change->target != change->folder)
		place_get(state, change->target)->pending += (unsigned)n;
}

void item_count(struct state *state, struct item *item)
{
	bool pending = !item_is_settled(item);

	if (pending != item->counted)
		item_add_pending(state, item, pending ? 1 : -1);
	item->counted = pending;
}

/* --- binding --- */

static bool item_is_loose(const struct item *item)
{
	return item->change.epoch == 0 || (item->change.target_mailbox && item->change.target == 0);
}

static void item_bind_source(struct state *state, struct item *item, const struct binding *binding)
{
	item->change.folder = binding->folder;
	item->change.epoch = binding->epoch;
	item_enter_source(state, item);
	state_touch_locked(state, binding->folder);
}

/* As far as the bindings tell, which are those of now. */
static void item_bind(struct state *state, struct item *item)
{
	struct change *change = &item->change;
	const struct binding *source = binding_find(state, change->mailbox);
	const struct binding *target =
		change->target_mailbox ? binding_find(state, change->target_mailbox) : NULL;

	if (item->counted)
		item_add_pending(state, item, -1);
	if (change->epoch == 0 && source && source->epoch &&
	    source->uidvalidity == change->uidvalidity)
		item_bind_source(state, item, source);
	if (change->target == 0 && target && target->folder) {
		change->target = target->folder;
		state_touch_locked(state, target->folder);
	}
	item_guest_review(state, item);
	if (item->counted)
		item_add_pending(state, item, 1);
}

void item_attach(struct state *state, struct item *item)
{
	struct change *change = &item->change;

	g_queue_push_tail_link(&state->items, &item->in_items);
	binding_note(state, change->mailbox, change->folder, change->epoch, change->uidvalidity);
	if (change->target_mailbox)
		binding_note(state, change->target_mailbox, change->target, 0, 0);
	if (change->epoch)
		item_enter_source(state, item);
	item_bind(state, item);
	item_count(state, item);
	item_doubt(state, item);
	state_touch_locked(state, change->folder);
	state_touch_locked(state, change->target);
}

void item_detach(struct state *state, struct item *item)
{
	g_queue_unlink(item_is_settled(item) ? &state->settled : &state->items, &item->in_items);
	if (item->counted)
		item_add_pending(state, item, -1);
	item->hidden = true;
	item_guest_review(state, item);
	item_leave_source(state, item);
	item->change.unknown = false;
	item_doubt(state, item);
	item_free(item);
}

/* What is in the engine's hands is told to it by the server. */
static bool item_is_lost(const struct item *item, const struct state_box *box)
{
	return box->uidvalidity && item->change.uidvalidity != box->uidvalidity &&
	       !item->change.running &&
	       g_str_equal(item->change.mailbox, mailbox_spelt(box->mailbox));
}

static void item_lose(struct state *state, struct item *item, GPtrArray *lost)
{
	if (!item_is_settled(item)) {
		g_ptr_array_add(lost, item_describe(&item->change));
		if (!DB_RUN(&state->db, DB_CHANGE_DELETE, DB_INT(item->change.id)))
			log_warning("%s: cannot forget a change: %s", state->db.path,
				    state->db.why);
	}
	state_touch_locked(state, item->change.target);
	item_detach(state, item);
}

static void bind_all(struct state *state, GQueue *items, const struct state_box *box,
		     GPtrArray *lost)
{
	GList *next;

	for (GList *link = items->head; link; link = next) {
		struct item *item = link->data;

		next = link->next;
		if (item_is_lost(item, box))
			item_lose(state, item, lost);
		else if (item_is_loose(item))
			item_bind(state, item);
	}
}

void changes_bind(struct state *state, const struct state_box *box, GPtrArray *lost)
{
	bind_all(state, &state->items, box, lost);
	bind_all(state, &state->settled, box, lost);
}

GHashTable *changes_unbound(struct state *state)
{
	GHashTable *mailboxes = NULL;

	pthread_mutex_lock(&state->lock);
	for (GList *link = state->items.head; link; link = link->next) {
		const struct item *item = link->data;

		if (item->change.epoch)
			continue;
		if (!mailboxes)
			mailboxes = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
		g_hash_table_add(mailboxes, g_strdup(item->change.mailbox));
	}
	pthread_mutex_unlock(&state->lock);
	return mailboxes;
}

uint32_t changes_highest(struct state *state)
{
	uint32_t highest = 0;

	pthread_mutex_lock(&state->lock);
	for (GList *link = state->items.head; link; link = link->next)
		highest = MAX(highest, ((const struct item *)link->data)->change.uid);
	pthread_mutex_unlock(&state->lock);
	return highest;
}

static void lose_from(struct state *state, const char *mailbox, GPtrArray *lost)
{
	GList *next;

	for (GList *link = state->items.head; link; link = next) {
		struct item *item = link->data;

		next = link->next;
		if (item->change.epoch == 0 && g_str_equal(item->change.mailbox, mailbox))
			item_lose(state, item, lost);
	}
}

void changes_lose(struct state *state, const char *mailbox, state_lost_fn lost, void *data)
{
	g_autoptr(GPtrArray) what = g_ptr_array_new_with_free_func(g_free);

	pthread_mutex_lock(&state->lock);
	lose_from(state, mailbox, what);
	pthread_mutex_unlock(&state->lock);
	for (unsigned i = 0; i < what->len; i++)
		lost(data, g_ptr_array_index(what, i));
}

static void rename_string(char **name, const char *from, const char *to)
{
	if (g_strcmp0(*name, from) != 0)
		return;
	g_free(*name);
	*name = g_strdup(to);
}

static void rename_all(struct state *state, const GQueue *items, const char *from, const char *to)
{
	for (GList *link = items->head; link; link = link->next) {
		struct item *item = link->data;
		bool ready = item->batch || item->waits;
		struct source *source = item->source;

		if (g_strcmp0(item->change.mailbox, from) != 0 &&
		    g_strcmp0(item->change.target_mailbox, from) != 0)
			continue;
		item_unready(item);
		rename_string(&item->change.mailbox, from, to);
		rename_string(&item->change.target_mailbox, from, to);
		item_doubt(state, item);
		if (ready)
			message_review(source, item->message);
	}
}

void changes_rename(struct state *state, const char *from, const char *to)
{
	rename_all(state, &state->items, from, to);
	rename_all(state, &state->settled, from, to);
}

/* --- life --- */

static void load_row(void *data, sqlite3_stmt *row)
{
	struct state *state = data;
	struct change_request request = {
		.kind = (enum change_kind)sqlite3_column_int(row, 1),
		.box = {.mailbox = (const char *)sqlite3_column_text(row, 3),
			.uidvalidity = (uint64_t)sqlite3_column_int64(row, 4)},
		.uid = (uint32_t)sqlite3_column_int64(row, 5),
		.target_mailbox = (const char *)sqlite3_column_text(row, 10),
		.name = (const char *)sqlite3_column_text(row, 11),
	};
	enum change_step step = (enum change_step)sqlite3_column_int(row, 2);
	bool moves = request.kind == CHANGE_MOVE || request.kind == CHANGE_COPY;

	state->last_change = (uint64_t)sqlite3_column_int64(row, 0);
	if (request.kind > CHANGE_COPY || step > CHANGE_COPIED ||
	    (moves && !request.target_mailbox))
		return;
	struct item *item = item_new(&request);
	struct change *change = &item->change;

	change->id = state->last_change;
	change->step = step;
	change->unknown = change->step == CHANGE_MARKED;
	change->set = (unsigned)sqlite3_column_int64(row, 6);
	change->clear = (unsigned)sqlite3_column_int64(row, 7);
	g_free(change->set_words);
	change->set_words = g_strdup((const char *)sqlite3_column_text(row, 8));
	g_free(change->clear_words);
	change->clear_words = g_strdup((const char *)sqlite3_column_text(row, 9));
	change->mark_uidvalidity = (uint64_t)sqlite3_column_int64(row, 12);
	change->mark_uidnext = (uint32_t)sqlite3_column_int64(row, 13);
	change->target_uid = (uint32_t)sqlite3_column_int64(row, 14);
	item_attach(state, item);
}

bool changes_load(struct state *state)
{
	g_queue_init(&state->items);
	g_queue_init(&state->settled);
	state->sources = g_hash_table_new_full(NULL, NULL, NULL, source_free);
	return db_each(&state->db, DB_CHANGE_EACH, load_row, state);
}

void changes_free(struct state *state)
{
	while (state->items.head)
		item_detach(state, state->items.head->data);
	while (state->settled.head)
		item_detach(state, state->settled.head->data);
	g_clear_pointer(&state->sources, g_hash_table_unref);
}
