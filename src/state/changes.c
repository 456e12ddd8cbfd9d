#include "state/state_private.h"

#include "base/error.h"
#include "base/log.h"
#include "base/words.h"

/* --- making them --- */

/* The change that the request can join. */
static struct item *find_partner(const struct message *message,
				 const struct change_request *request)
{
	struct item *last = message && message->items.tail ? message->items.tail->data : NULL;

	if (!last || request->kind != CHANGE_FLAGS || last->change.kind != CHANGE_FLAGS ||
	    last->change.step != CHANGE_QUEUED || last->change.running)
		return NULL;
	return last;
}

static bool join(struct state *state, struct item *item, const struct change_request *request)
{
	struct change *change = &item->change;
	unsigned set = (change->set & ~request->clear) | request->set;
	unsigned clear = (change->clear & ~request->set) | request->clear;
	char *set_words = words_alter(change->set_words, request->set_words, request->clear_words);
	char *clear_words =
		words_alter(change->clear_words, request->clear_words, request->set_words);

	if (!DB_RUN(&state->db, DB_CHANGE_MERGE, DB_INT(change->id), DB_INT(set), DB_INT(clear),
		    DB_TEXT(set_words), DB_TEXT(clear_words))) {
		g_free(set_words);
		g_free(clear_words);
		return false;
	}
	item_unready(item);
	change->set = set;
	change->clear = clear;
	g_free(change->set_words);
	change->set_words = set_words;
	g_free(change->clear_words);
	change->clear_words = clear_words;
	message_review(item->source, item->message);
	state_touch_locked(state, change->folder);
	return true;
}

static bool add_new(struct state *state, const struct change_request *request)
{
	struct item *item = item_new(request);

	item->change.id = state->last_change + 1;
	if (request->kind == CHANGE_FLAGS) {
		item->change.set = request->set;
		item->change.clear = request->clear;
		g_free(item->change.set_words);
		item->change.set_words = words_alter(NULL, request->set_words, NULL);
		g_free(item->change.clear_words);
		item->change.clear_words = words_alter(NULL, request->clear_words, NULL);
	}
	if (!item_insert(state, item)) {
		item_free(item);
		return false;
	}
	state->last_change++;
	item_attach(state, item);
	return true;
}

static bool name_is_taken(struct state *state, uint32_t folder, const char *name)
{
	const struct place *place = name ? place_find(state, folder) : NULL;

	return place && (g_hash_table_contains(place->guest_names, name) ||
			 g_hash_table_contains(place->file_names, name));
}

static bool is_in_hand(const struct message *message)
{
	for (GList *link = message->items.head; link; link = link->next) {
		const struct item *item = link->data;

		if (item->change.running)
			return true;
	}
	return false;
}

/* A copy that is not asked for yet could not be made later, or would be \Deleted too. */
static bool robs_clone(struct state *state, const struct change_request *request)
{
	bool robs = request->kind == CHANGE_FLAGS ? (request->set & FLAG_DELETED) != 0
						  : request->kind != CHANGE_COPY;

	return robs && entry_find_clone(state, request->box.epoch, request->uid);
}

static bool add(struct state *state, const struct change_request *request, GError **error)
{
	const struct message *message = message_find(state, request->box.epoch, request->uid);
	bool moves = request->kind == CHANGE_MOVE || request->kind == CHANGE_COPY;
	struct item *partner = find_partner(message, request);

	if (message && (message_leaves(message) || (request->not_behind && is_in_hand(message)))) {
		g_set_error(error, MAILFS_ERROR, ERROR_GONE, "message %u is on its way out",
			    request->uid);
		return false;
	}
	if (robs_clone(state, request)) {
		g_set_error(error, MAILFS_ERROR, ERROR_BUSY, "message %u is to be copied first",
			    request->uid);
		return false;
	}
	if (moves && name_is_taken(state, request->target, request->name)) {
		g_set_error(error, MAILFS_ERROR, ERROR_EXISTS, "there is a file of that name");
		return false;
	}
	if (partner ? join(state, partner, request) : add_new(state, request))
		return true;
	return db_fail(&state->db, error);
}

static bool asks_for_something(const struct change_request *request)
{
	return request->set || request->clear || (request->set_words && *request->set_words) ||
	       (request->clear_words && *request->clear_words);
}

bool changes_add(struct state *state, const struct change_request *request, GError **error)
{
	if (request->kind == CHANGE_FLAGS && !asks_for_something(request))
		return true;
	pthread_mutex_lock(&state->lock);
	bool ok = add(state, request, error);

	pthread_mutex_unlock(&state->lock);
	return ok;
}

/* --- what they make of the index --- */

bool changes_any(struct state *state)
{
	return atomic_load(&state->changing) > 0;
}

bool changes_in(struct state *state, uint32_t epoch)
{
	if (!changes_any(state))
		return false;
	pthread_mutex_lock(&state->lock);
	bool any = g_hash_table_contains(state->sources, GUINT_TO_POINTER(epoch));

	pthread_mutex_unlock(&state->lock);
	return any;
}

static void overlay_add(struct overlay *overlay, const struct item *item)
{
	const struct change *change = &item->change;

	overlay->set = (overlay->set & ~change->clear) | change->set;
	overlay->clear = (overlay->clear & ~change->set) | change->clear;
	overlay->gone |= change->kind == CHANGE_MOVE || change->kind == CHANGE_EXPUNGE;
	overlay->copied |= change->kind == CHANGE_COPY;
	overlay->words |= *change->set_words || *change->clear_words;
	overlay->pending |= !item_is_settled(item);
}

static struct overlay overlay_of(const struct message *message, bool settled)
{
	struct overlay overlay = {0};

	for (GList *link = message ? message->items.head : NULL; link; link = link->next) {
		if (!settled || item_is_settled(link->data))
			overlay_add(&overlay, link->data);
	}
	return overlay;
}

void changes_overlay(struct state *state, uint32_t epoch, uint32_t uid, struct overlay *ret)
{
	pthread_mutex_lock(&state->lock);
	*ret = overlay_of(message_find(state, epoch, uid), false);
	pthread_mutex_unlock(&state->lock);
}

void changes_overlay_settled(struct state *state, uint32_t epoch, uint32_t uid, struct overlay *ret)
{
	pthread_mutex_lock(&state->lock);
	*ret = overlay_of(message_find(state, epoch, uid), true);
	pthread_mutex_unlock(&state->lock);
}

char *changes_keywords(struct state *state, uint32_t epoch, uint32_t uid, const char *keywords)
{
	char *words = g_strdup(keywords);

	pthread_mutex_lock(&state->lock);
	const struct message *message = message_find(state, epoch, uid);

	for (GList *link = message ? message->items.head : NULL; link; link = link->next) {
		const struct change *change = link->data;
		char *before = words;

		words = words_alter(before, change->set_words, change->clear_words);
		g_free(before);
	}
	pthread_mutex_unlock(&state->lock);
	return words;
}

static int uid_order(gconstpointer a, gconstpointer b)
{
	const uint32_t *one = a, *other = b;

	return *one < *other ? -1 : *one > *other;
}

GArray *changes_uids(struct state *state, uint32_t epoch)
{
	GArray *uids = g_array_new(FALSE, FALSE, sizeof(uint32_t));

	pthread_mutex_lock(&state->lock);
	const struct source *source = g_hash_table_lookup(state->sources, GUINT_TO_POINTER(epoch));
	GHashTableIter iter;
	gpointer key;

	if (source) {
		g_hash_table_iter_init(&iter, source->messages);
		while (g_hash_table_iter_next(&iter, &key, NULL)) {
			uint32_t uid = GPOINTER_TO_UINT(key);

			g_array_append_val(uids, uid);
		}
	}
	pthread_mutex_unlock(&state->lock);
	g_array_sort(uids, uid_order);
	return uids;
}

void guest_clear(struct guest *guest)
{
	g_clear_pointer(&guest->name, g_free);
}

static void guest_free(void *guest)
{
	guest_clear(guest);
	g_free(guest);
}

static void guest_copy(const struct item *item, struct guest *ret)
{
	ret->id = item->change.id;
	ret->epoch = item->change.epoch;
	ret->uid = item->change.uid;
	ret->name = g_strdup(item->change.name);
}

bool changes_guest(struct state *state, uint32_t folder, const char *name, struct guest *ret)
{
	pthread_mutex_lock(&state->lock);
	const struct place *place = place_find(state, folder);
	const struct item *item = place ? g_hash_table_lookup(place->guest_names, name) : NULL;

	if (item)
		guest_copy(item, ret);
	pthread_mutex_unlock(&state->lock);
	return item != NULL;
}

GPtrArray *changes_guests(struct state *state, uint32_t folder)
{
	GPtrArray *guests = NULL;

	pthread_mutex_lock(&state->lock);
	const struct place *place = place_find(state, folder);
	GSequenceIter *iter = place ? g_sequence_get_begin_iter(place->guests) : NULL;

	for (; iter && !g_sequence_iter_is_end(iter); iter = g_sequence_iter_next(iter)) {
		struct guest *guest = g_new0(struct guest, 1);

		if (!guests)
			guests = g_ptr_array_new_with_free_func(guest_free);
		guest_copy(g_sequence_get(iter), guest);
		g_ptr_array_add(guests, guest);
	}
	pthread_mutex_unlock(&state->lock);
	return guests;
}

/* --- the engine --- */

static struct item *first_ready(struct state *state, const struct ready *ready)
{
	while (!g_sequence_is_empty(ready->items)) {
		struct item *item = g_sequence_get(g_sequence_get_begin_iter(ready->items));

		if (!item_wait(state, item))
			return item;
	}
	return NULL;
}

static struct item *older(struct state *state, struct item *item, const struct ready *ready,
			  int64_t now_ms)
{
	struct item *other = ready->not_before_ms > now_ms ? NULL : first_ready(state, ready);

	if (!item || !other)
		return item ? item : other;
	return item->change.id < other->change.id ? item : other;
}

/* A folder with changes is looked at once, whatever waits in it. */
static struct item *oldest_ready(struct state *state, int64_t now_ms)
{
	struct item *oldest = NULL;
	GHashTableIter iter;
	gpointer value;

	g_hash_table_iter_init(&iter, state->sources);
	while (g_hash_table_iter_next(&iter, NULL, &value)) {
		const struct source *source = value;

		oldest = older(state, oldest, &source->together, now_ms);
		oldest = older(state, oldest, &source->alone, now_ms);
	}
	return oldest;
}

static GPtrArray *take(struct state *state, int64_t now_ms, unsigned most)
{
	GPtrArray *taken = NULL;

	pthread_mutex_lock(&state->lock);
	struct item *item = oldest_ready(state, now_ms);
	unsigned max = item && item->alone ? 1 : most;

	if (item)
		taken = g_ptr_array_new();
	while (item) {
		GSequenceIter *next = g_sequence_iter_next(item->in_batch);
		bool last = g_sequence_iter_is_end(next) || taken->len + 1 == max;
		struct item *following = last ? NULL : g_sequence_get(next);

		item_unready(item);
		item->change.running = true;
		item_doubt(state, item);
		g_ptr_array_add(taken, &item->change);
		item = following;
	}
	pthread_mutex_unlock(&state->lock);
	return taken;
}

GPtrArray *changes_take(struct state *state, int64_t now_ms)
{
	return take(state, now_ms, CHANGES_BATCH);
}

GPtrArray *changes_take_all(struct state *state, int64_t now_ms)
{
	return take(state, now_ms, UINT_MAX);
}

static bool is_only_asked_for(const struct item *item)
{
	return item->change.step == CHANGE_QUEUED && !item->change.unknown;
}

GPtrArray *changes_take_gone(struct state *state, uint32_t epoch, uint32_t uid)
{
	GPtrArray *taken = NULL;

	pthread_mutex_lock(&state->lock);
	const struct message *message = message_find(state, epoch, uid);
	bool ours = !message || is_in_hand(message);

	for (GList *link = ours ? NULL : message->items.head; link; link = link->next) {
		struct item *item = link->data;

		if (!is_only_asked_for(item))
			continue;
		if (!taken)
			taken = g_ptr_array_new();
		item_unready(item);
		item->change.running = true;
		item_doubt(state, item);
		g_ptr_array_add(taken, &item->change);
	}
	pthread_mutex_unlock(&state->lock);
	return taken;
}

GArray *changes_folders(struct state *state)
{
	GArray *folders = g_array_new(FALSE, FALSE, sizeof(uint32_t));
	GHashTableIter iter;
	gpointer key;

	pthread_mutex_lock(&state->lock);
	g_hash_table_iter_init(&iter, state->sources);
	while (g_hash_table_iter_next(&iter, &key, NULL)) {
		gpointer folder = g_hash_table_lookup(state->epochs, key);
		uint32_t id = GPOINTER_TO_UINT(folder);

		if (id != 0)
			g_array_append_val(folders, id);
	}
	pthread_mutex_unlock(&state->lock);
	return folders;
}

static struct item *item_of(struct change *change)
{
	return (struct item *)change;
}

/* Out of the engine's hand, as what it is now. */
static void item_release(struct state *state, struct item *item)
{
	item_unready(item);
	item->change.running = false;
	item_doubt(state, item);
	if (item->source)
		message_review(item->source, item->message);
}

void changes_defer(struct state *state, GPtrArray *changes, int64_t not_before_ms, bool alone)
{
	pthread_mutex_lock(&state->lock);
	for (unsigned i = 0; i < changes->len; i++) {
		struct item *item = item_of(g_ptr_array_index(changes, i));

		item_unready(item);
		item->alone = alone;
		item->change.tries++;
		item_release(state, item);
		if (item->source)
			item_ready(item)->not_before_ms = not_before_ms;
	}
	pthread_mutex_unlock(&state->lock);
}

static bool record_step(struct state *state, const struct change *change, enum change_step step,
			uint64_t uidvalidity, uint32_t uidnext, uint32_t target_uid)
{
	return DB_RUN(&state->db, DB_CHANGE_STEP, DB_INT(change->id), DB_INT(step),
		      DB_INT(uidvalidity), DB_INT(uidnext), DB_INT(target_uid));
}

bool changes_mark(struct state *state, GPtrArray *changes, uint64_t uidvalidity, uint32_t uidnext,
		  GError **error)
{
	pthread_mutex_lock(&state->lock);
	bool ok = db_begin(&state->db, true);

	for (unsigned i = 0; ok && i < changes->len; i++)
		ok = record_step(state, g_ptr_array_index(changes, i), CHANGE_MARKED, uidvalidity,
				 uidnext, 0);
	ok = db_end(&state->db, ok, error);
	for (unsigned i = 0; ok && i < changes->len; i++) {
		struct change *change = g_ptr_array_index(changes, i);

		change->step = CHANGE_MARKED;
		change->mark_uidvalidity = uidvalidity;
		change->mark_uidnext = uidnext;
	}
	pthread_mutex_unlock(&state->lock);
	return ok;
}

void changes_set_unknown(struct state *state, GPtrArray *changes)
{
	pthread_mutex_lock(&state->lock);
	for (unsigned i = 0; i < changes->len; i++) {
		struct item *item = item_of(g_ptr_array_index(changes, i));

		item->change.unknown = true;
		item_release(state, item);
	}
	pthread_mutex_unlock(&state->lock);
}

void changes_set_sent(struct state *state, GPtrArray *changes)
{
	pthread_mutex_lock(&state->lock);
	for (unsigned i = 0; i < changes->len; i++)
		item_of(g_ptr_array_index(changes, i))->change.sent = true;
	pthread_mutex_unlock(&state->lock);
}

bool changes_requeue(struct state *state, struct change *change, GError **error)
{
	pthread_mutex_lock(&state->lock);
	bool ok = db_begin(&state->db, false) && record_step(state, change, CHANGE_QUEUED, 0, 0, 0);

	ok = db_end(&state->db, ok, error);
	if (ok) {
		change->step = CHANGE_QUEUED;
		change->unknown = false;
		change->mark_uidvalidity = 0;
		change->mark_uidnext = 0;
	}
	item_release(state, item_of(change));
	pthread_mutex_unlock(&state->lock);
	return ok;
}

bool changes_copied(struct state *state, struct change *change, uint32_t target_uid, GError **error)
{
	pthread_mutex_lock(&state->lock);
	bool ok = db_begin(&state->db, true) &&
		  record_step(state, change, CHANGE_COPIED, change->mark_uidvalidity,
			      change->mark_uidnext, target_uid);

	ok = db_end(&state->db, ok, error);
	if (ok) {
		change->step = CHANGE_COPIED;
		change->target_uid = target_uid;
	}
	/* Not on record: it must be looked for. */
	change->unknown = !ok;
	item_of(change)->alone = false;
	item_release(state, item_of(change));
	pthread_mutex_unlock(&state->lock);
	return ok;
}

/* Forgotten when nobody shows anything by it any more. */
static void item_expire(struct state *state, struct item *item)
{
	if (item->source_new && !item->in_guests)
		item_detach(state, item);
}

/* What its folder shows comes from the index alone. */
static void item_leave_message(struct state *state, struct item *item)
{
	item->source_new = true;
	item_leave_source(state, item);
}

static void item_settle(struct state *state, struct item *item, uint64_t at)
{
	struct change *change = &item->change;

	item_unready(item);
	change->running = false;
	change->unknown = false;
	change->step = CHANGE_SETTLED;
	change->settled_at = at;
	g_queue_unlink(&state->items, &item->in_items);
	g_queue_push_tail_link(&state->settled, &item->in_items);
	item_count(state, item);
	item_doubt(state, item);
	if (item->source)
		message_review(item->source, item->message);
	/* A copy alters nothing where it comes from. */
	if (change->kind == CHANGE_COPY)
		item_leave_message(state, item);
	item_expire(state, item);
}

void changes_settle(struct state *state, GPtrArray *changes, uint64_t at)
{
	g_autoptr(GError) error = NULL;

	pthread_mutex_lock(&state->lock);
	bool ok = db_begin(&state->db, false);

	for (unsigned i = 0; ok && i < changes->len; i++) {
		const struct change *change = g_ptr_array_index(changes, i);

		ok = DB_RUN(&state->db, DB_CHANGE_DELETE, DB_INT(change->id));
	}
	if (!db_end(&state->db, ok, &error))
		log_warning("%s", error->message);
	for (unsigned i = 0; i < changes->len; i++)
		item_settle(state, item_of(g_ptr_array_index(changes, i)), at);
	pthread_mutex_unlock(&state->lock);
}

void changes_drop(struct state *state, struct change *change)
{
	pthread_mutex_lock(&state->lock);
	if (!DB_RUN(&state->db, DB_CHANGE_DELETE, DB_INT(change->id)))
		log_warning("%s: cannot forget a change: %s", state->db.path, state->db.why);
	state_touch_locked(state, change->folder);
	state_touch_locked(state, change->target);
	item_detach(state, item_of(change));
	pthread_mutex_unlock(&state->lock);
}

static void item_bare(struct state *state, struct item *item, GArray *ret)
{
	struct bared bared = {item->change.uid, overlay_of(item->message, false)};

	if (ret)
		g_array_append_val(ret, bared);
	item_leave_message(state, item);
}

static void guest_refreshed(struct state *state, struct item *item)
{
	item->hidden = true;
	item_guest_review(state, item);
}

void changes_refreshed(struct state *state, uint32_t epoch, uint64_t began, bool flags, GArray *ret)
{
	GList *next;

	pthread_mutex_lock(&state->lock);
	uint32_t folder =
		GPOINTER_TO_UINT(g_hash_table_lookup(state->epochs, GUINT_TO_POINTER(epoch)));

	for (GList *link = state->settled.head; link; link = next) {
		struct item *item = link->data;

		next = link->next;
		if (item->change.settled_at > began)
			continue;
		if (item->change.target && item->change.target == folder)
			guest_refreshed(state, item);
		if (flags && item->change.epoch == epoch && !item->source_new)
			item_bare(state, item, ret);
		item_expire(state, item);
	}
	pthread_mutex_unlock(&state->lock);
}

bool changes_pending(struct state *state, uint32_t epoch, uint32_t uid)
{
	struct overlay overlay;

	changes_overlay(state, epoch, uid, &overlay);
	return overlay.pending;
}
