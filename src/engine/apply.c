/* The one place where facts of a store become changes of the index and the message files. */
#include "engine/engine_private.h"

#include "base/error.h"
#include "base/log.h"
#include "engine/label.h"
#include "state/names.h"

/* The epoch of a folder, or 0. Facts about one folder come by the thousand: it is looked up once a
 * turn. */
static uint32_t epoch_of(struct engine *engine, uint32_t folder)
{
	struct folder_row row;

	if (engine->last_folder == folder)
		return engine->last_epoch;
	if (!index_folder_write_get(engine->index, folder, &row))
		return 0;
	engine->last_folder = folder;
	engine->last_epoch = row.epoch;
	engine->last_uidvalidity = row.uidvalidity;
	engine->last_synced = row.synced;
	engine->last_modseq = row.modseq;
	g_strlcpy(engine->last_token, row.token, sizeof(engine->last_token));
	folder_row_clear(&row);
	return engine->last_epoch;
}

/* The same, or 0 if the fact is of the mailbox that had this name before: a connection may still
 * have that open. */
static uint32_t epoch_at(struct engine *engine, uint32_t folder, uint64_t uidvalidity)
{
	uint32_t epoch = epoch_of(engine, folder);

	return engine->last_uidvalidity == uidvalidity ? epoch : 0;
}

static void on_folder(void *data, const struct store_folder *folder)
{
	struct engine *engine = data;

	if (engine->list_again)
		return;
	engine->listed_inbox |= g_ascii_strcasecmp(folder->name, "INBOX") == 0;
	index_folder_seen(engine->index, folder->name, folder->separator, folder->attributes,
			  engine->now_ns);
}

static void on_status(void *data, uint32_t folder, const struct store_mailbox *mailbox)
{
	struct engine *engine = data;
	struct folder_row row;

	if (!index_folder_write_get(engine->index, folder, &row))
		return;
	folder_told(engine, &row, mailbox);
	folder_row_clear(&row);
}

static void on_counts(void *data, const char *name, const struct store_mailbox *mailbox)
{
	struct engine *engine = data;
	struct folder_row row;

	engine->counted = true;
	if (!index_folder_write_find(engine->index, name, &row))
		return;
	if (row.synced)
		folder_told(engine, &row, mailbox);
	folder_row_clear(&row);
}

static void on_opened(void *data, uint32_t folder, const struct store_mailbox *mailbox)
{
	struct engine *engine = data;
	uint32_t old;

	engine->last_folder = 0;
	index_folder_open(engine->index, folder, mailbox->uidvalidity, engine->now_ns, &old);
	pending_bind_folder(engine, folder);
	arrivals_begin(engine, folder);
	if (old == 0)
		return;
	log_warning("%s: the server renumbered a folder (UIDVALIDITY): it is listed anew",
		    engine->account->name);
	g_hash_table_remove_all(engine->marks);
	rights_forget(engine, folder);
	bodies_drop_epoch(engine->bodies, old);
	report_epoch_gone(engine, folder, old);
	report_touched(engine, folder);
	news_many(engine, folder);
}

static bool take_label(void *data, const struct message_row *row)
{
	*(char **)data = g_strdup(row->label);
	return false;
}

void apply_shifted(struct engine *engine, uint32_t folder, uint32_t epoch, uint32_t uid)
{
	g_autofree char *chosen = names_get(engine->state, epoch, uid);
	g_autofree char *label = NULL;

	epoch_of(engine, folder); /* for its token */
	report_message_changed(engine, epoch, uid);
	report_touched(engine, folder);
	if (index_message_get(engine->view, epoch, uid, take_label, &label))
		report_message_gone(engine, folder, epoch, uid, label, engine->last_token, chosen);
}

static char *join_keywords(GPtrArray *keywords)
{
	GString *text = g_string_new(NULL);

	for (unsigned i = 0; keywords && i < keywords->len; i++)
		g_string_append_printf(text, "%s%s", i ? " " : "",
				       (const char *)g_ptr_array_index(keywords, i));
	return g_string_free(text, FALSE);
}

static void on_message(void *data, uint32_t folder, const struct store_message *message)
{
	struct engine *engine = data;
	g_autofree char *label = label_from_subject(message->subject);
	g_autofree char *keywords = join_keywords(message->keywords);
	struct message_row row = {.uid = message->uid,
				  .size_hint = message->size,
				  .date_s = message->date_s,
				  .flags = message->flags,
				  .keywords = keywords,
				  .label = label};
	uint32_t epoch = epoch_of(engine, folder);
	enum index_change change;

	if (epoch == 0)
		return;
	folder_progress(engine, folder);
	change = index_message_put(engine->index, epoch, &row, engine->now_ns);
	arrivals_told(engine, folder, message->uid, change == INDEX_NEW);
	switch (change) {
	case INDEX_NEW:
		report_touched(engine, folder);
		if (!engine->last_synced)
			ahead_listed(engine, folder);
		else if (!(message->flags & STORE_FLAG_DELETED))
			news_message(engine, NEWS_NEW, folder, epoch, message->uid);
		break;
	case INDEX_SHIFTED:
		apply_shifted(engine, folder, epoch, message->uid);
		news_shifted(engine, folder, epoch, message->uid,
			     message->flags & STORE_FLAG_DELETED);
		break;
	case INDEX_CHANGED:
		report_message_changed(engine, epoch, message->uid);
		news_message(engine, NEWS_FLAGS, folder, epoch, message->uid);
		break;
	case INDEX_SAME:
		break;
	}
}

static void on_changed(void *data, uint32_t folder, bool flags)
{
	if (flags)
		folder_flags_changed(data, folder);
	else
		folder_changed(data, folder);
	brief_outdated(data);
}

/* It is in the index, or may be what we asked for ourselves, told before it is confirmed. */
static bool is_expected(struct engine *engine, uint32_t epoch, uint32_t uid, unsigned flags,
			const char *keywords)
{
	g_autofree char *known_words = NULL;
	g_autofree char *words = NULL;
	struct overlay overlay;
	unsigned known;

	if (!index_message_write_flags(engine->index, epoch, uid, &known, &known_words))
		return true;
	changes_overlay(engine->state, epoch, uid, &overlay);
	if (!overlay.pending)
		return known == flags && g_strcmp0(known_words, keywords) == 0;
	words = changes_keywords(engine->state, epoch, uid, known_words);
	return overlay.gone || (((known | overlay.set) & ~overlay.clear) == flags &&
				g_strcmp0(words, keywords) == 0);
}

static void on_flags(void *data, uint32_t folder, uint64_t uidvalidity, uint32_t uid,
		     unsigned flags, GPtrArray *keywords)
{
	struct engine *engine = data;
	g_autofree char *text = join_keywords(keywords);
	uint32_t epoch = epoch_at(engine, folder, uidvalidity);

	if (epoch == 0)
		return;
	/* What other connections tell may be older than what a refresh did, and where there is a
	 * MODSEQ, or will be one, that is not told twice. */
	if (!folders_tell(engine)) {
		if (!is_expected(engine, epoch, uid, flags, text))
			on_changed(engine, folder, true);
		if (engine->last_modseq > 0 || !engine->last_synced)
			return;
	}
	switch (index_message_flags(engine->index, epoch, uid, flags, text, engine->now_ns)) {
	case INDEX_SHIFTED:
		apply_shifted(engine, folder, epoch, uid);
		news_shifted(engine, folder, epoch, uid, flags & STORE_FLAG_DELETED);
		break;
	case INDEX_CHANGED:
		report_message_changed(engine, epoch, uid);
		news_message(engine, NEWS_FLAGS, folder, epoch, uid);
		break;
	default:
		break;
	}
}

struct gone {
	struct engine *engine;
	uint32_t folder;
	uint32_t epoch;
};

static void forget_message(void *data, uint32_t uid, const char *label)
{
	const struct gone *gone = data;
	struct engine *engine = gone->engine;
	g_autofree char *chosen = uid ? names_get(engine->state, gone->epoch, uid) : NULL;

	/* A million must not be held until the last of them is known. */
	if (uid == 0) {
		report_all(engine);
		return;
	}

	bodies_drop(engine->bodies, gone->epoch, uid);
	change_message_gone(engine, gone->epoch, uid);
	report_message_gone(engine, gone->folder, gone->epoch, uid, label, engine->last_token,
			    chosen);
	news_gone(engine, gone->folder, gone->epoch, uid, label, chosen);
	if (chosen)
		names_drop(engine->state, gone->epoch, uid, uid);
	report_touched(engine, gone->folder);
}

void apply_remove(struct engine *engine, uint32_t folder, uint32_t epoch, const struct seqset *uids)
{
	struct gone gone = {engine, folder, epoch};

	epoch_of(engine, folder); /* for its token */
	index_messages_remove(engine->index, epoch, uids, forget_message, &gone);
}

/* Those that are being moved and are up to `upto`: `uids` are gone, or are what is there. */
static void note_moved(struct engine *engine, const struct seqset *uids, bool gone, uint32_t upto)
{
	for (unsigned i = 0; engine->moving_uids.ranges && i < engine->moving_uids.ranges->len;
	     i++) {
		const struct seqrange *range =
			&g_array_index(engine->moving_uids.ranges, struct seqrange, i);

		for (uint64_t uid = range->first; uid <= range->last; uid++) {
			if (uid <= upto && seqset_contains(uids, (uint32_t)uid) == gone)
				seqset_add(&engine->moved, (uint32_t)uid, (uint32_t)uid);
		}
	}
}

/* What is being moved is kept until it is known where to. */
static void remove_others(struct engine *engine, uint32_t folder, const struct seqset *uids)
{
	struct seqset others = {0};

	note_moved(engine, uids, true, UINT32_MAX);
	seqset_add_all(&others, uids);
	for (unsigned i = 0; engine->moved.ranges && i < engine->moved.ranges->len; i++) {
		const struct seqrange *range =
			&g_array_index(engine->moved.ranges, struct seqrange, i);

		seqset_remove(&others, range->first, range->last);
	}
	apply_remove(engine, folder, engine->moving, &others);
	seqset_clear(&others);
}

static void on_gone(void *data, uint32_t folder, uint64_t uidvalidity, const struct seqset *uids)
{
	struct engine *engine = data;
	uint32_t epoch = epoch_at(engine, folder, uidvalidity);

	if (epoch != 0 && epoch == engine->moving)
		remove_others(engine, folder, uids);
	else if (epoch != 0)
		apply_remove(engine, folder, epoch, uids);
}

static void on_present(void *data, uint32_t folder, const struct seqset *uids, uint32_t upto)
{
	struct engine *engine = data;
	struct gone gone = {engine, folder, epoch_of(engine, folder)};
	struct seqset kept = {0};

	seqset_add_all(&kept, uids);
	if (gone.epoch != 0 && gone.epoch == engine->moving) {
		note_moved(engine, uids, false, upto);
		seqset_add_all(&kept, &engine->moving_uids);
	}
	index_messages_keep(engine->index, gone.epoch, &kept, upto, forget_message, &gone);
	seqset_clear(&kept);
}

static void on_refreshed(void *data, uint32_t folder, uint32_t uidnext, uint64_t modseq,
			 uint64_t messages)
{
	struct engine *engine = data;
	uint32_t highest, known;

	if (folder_state(engine, folder)->lost)
		return;
	known = index_messages_count(engine->index, epoch_of(engine, folder), &highest);
	folder_compare(engine, folder, messages, known);
	index_folder_refreshed(engine->index, folder, uidnext, modseq);
	engine->last_folder = 0; /* it is listed from now on */
}

/* It shows as the index has it, but for what was promised since. */
static void bare(struct engine *engine, uint32_t folder, uint32_t epoch, const struct bared *bared)
{
	const struct overlay *was = &bared->was;
	unsigned flags, before, after;
	bool gone;

	if (!index_message_write_flags(engine->index, epoch, bared->uid, &flags, NULL))
		return;
	before = (flags | was->set) & ~was->clear;
	after = news_shown_flags(engine, epoch, bared->uid, flags, &gone);
	if (was->gone != gone || ((before ^ after) & STORE_FLAG_DELETED)) {
		apply_shifted(engine, folder, epoch, bared->uid);
		/* What this mount took away is no news. */
		if (!was->gone || !(flags & STORE_FLAG_DELETED))
			news_shifted(engine, folder, epoch, bared->uid, flags & STORE_FLAG_DELETED);
	} else if (before != after || was->words) {
		/* If that is news, it was told as such when the index got it. */
		report_message_changed(engine, epoch, bared->uid);
	}
}

void apply_bared(struct engine *engine, uint32_t folder, uint32_t epoch, uint64_t began, bool flags)
{
	g_autoptr(GArray) all = g_array_new(FALSE, FALSE, sizeof(struct bared));
	g_autoptr(GHashTable) done = g_hash_table_new(NULL, NULL);

	changes_refreshed(engine->state, epoch, began, flags, all);
	for (unsigned i = 0; i < all->len; i++) {
		const struct bared *bared = &g_array_index(all, struct bared, i);

		if (g_hash_table_add(done, GUINT_TO_POINTER(bared->uid)))
			bare(engine, folder, epoch, bared);
	}
}

static void on_watched(void *data, uint32_t folder)
{
	watch_began(data, folder);
}

static void on_rights(void *data, uint32_t folder, const struct store_rights *rights)
{
	rights_set(data, folder, rights);
}

static void on_quota(void *data, const struct store_quota *quota)
{
	struct engine *engine = data;

	pthread_mutex_lock(&engine->lock);
	engine->shared.quota = *quota;
	engine->shared.has_quota = true;
	pthread_mutex_unlock(&engine->lock);
}

/* --- bodies --- */

static bool on_body_begin(void *data, const struct store_job *job, uint32_t uid)
{
	struct engine *engine = data;
	uint64_t received;

	if (job->batch && !body_takes_ahead(engine, job->epoch, uid))
		return false;
	bodies_part_begin(engine->bodies, job->epoch, uid, &received);
	return true;
}

static bool on_body_data(void *data, const struct store_job *job, uint32_t uid, uint64_t offset,
			 const void *bytes, size_t len)
{
	struct engine *engine = data;
	g_autoptr(GError) error = NULL;

	if (bodies_part_write(engine->bodies, job->epoch, uid, offset, bytes, len, &error))
		return true;
	log_error("%s: %s", engine->account->name, error->message);
	return false;
}

/* A message that went meanwhile is done with at the end. */
static void on_body_came(void *data, const struct store_job *job, uint32_t uid, uint64_t len)
{
	body_came(data, job->epoch, uid, job->origin + len);
}

static bool keep_body(struct engine *engine, uint32_t epoch, uint32_t uid, uint64_t size,
		      uint64_t hint)
{
	g_autoptr(GError) error = NULL;

	if (!bodies_part_commit(engine->bodies, epoch, uid, size, &error)) {
		log_error("%s: %s", engine->account->name, error->message);
		return false;
	}
	/* Not an event: a reader under way must be answered before the kernel hears of another
	 * size. */
	index_message_size(engine->index, epoch, uid, size);
	if (size != hint)
		sizes_set(engine, SIZES_LIE);
	bodies_evict(engine->bodies);
	return true;
}

/* What was announced. */
static uint64_t hint_of(const struct store_job *job, uint32_t uid)
{
	for (unsigned i = 0; job->batch && i < job->batch->len; i++) {
		const struct store_item *item = &g_array_index(job->batch, struct store_item, i);

		if (item->uid == uid)
			return item->size_hint;
	}
	return job->size_hint;
}

/* Who waits for it needs no pages of ours; of another size the kernel was told. */
static void batch_brought(struct engine *engine, const struct store_job *job, uint32_t uid,
			  uint64_t size)
{
	bool awaited = needs_find(engine, NEED_BODY, job->epoch, uid);

	body_end_ahead(engine, job->epoch, uid);
	needs_settle(engine, NEED_BODY, job->epoch, uid, 0);
	if (!awaited && size == hint_of(job, uid))
		ahead_offer(engine, job->epoch, uid, size);
}

static bool on_body_end(void *data, const struct store_job *job, uint32_t uid, uint64_t len,
			bool complete)
{
	struct engine *engine = data;
	uint64_t size = job->origin + len;

	/* It is being fetched alone meanwhile. */
	if (job->batch && !body_takes_ahead(engine, job->epoch, uid))
		return true;
	if (!index_message_write_has(engine->index, job->epoch, uid)) {
		bodies_part_discard(engine->bodies, job->epoch, uid);
	} else if (!complete) {
		bodies_part_publish(engine->bodies, job->epoch, uid, size);
	} else if (!keep_body(engine, job->epoch, uid, size, hint_of(job, uid))) {
		return false;
	}
	/* Readers of a batch do not wait for its end. */
	if (job->batch)
		batch_brought(engine, job, uid, size);
	else if (!complete && brief_is(engine))
		body_got_further(engine, job->epoch, uid);
	return true;
}

static void on_done(void *data, struct store_job *job, const GError *error)
{
	struct engine *engine = data;

	lane_done(engine, job, error);
}

void apply_done(struct engine *engine, struct store_job *job, const GError *error)
{
	switch (job->kind) {
	case STORE_LIST:
		folders_listed(engine, error);
		break;
	case STORE_STATUS:
		folders_polled(engine, job, error);
		break;
	case STORE_REFRESH:
		folder_done(engine, job, error);
		break;
	case STORE_BODY:
		body_done(engine, job, error);
		break;
	case STORE_PROBE:
		break;
	case STORE_WATCH:
		watch_done(engine, job, error);
		break;
	case STORE_MEASURE:
		sizes_done(engine, job, error);
		break;
	case STORE_RIGHTS:
		rights_done(engine, job, error);
		break;
	case STORE_CREATE:
	case STORE_DELETE:
	case STORE_RENAME:
	case STORE_LEAVE:
		operation_done(engine, job, error);
		break;
	default:
		if (job->changes)
			change_done(engine, job, error);
		else
			upload_done(engine, job, error);
		break;
	}
}

const struct store_sink engine_sink = {
	.folder = on_folder,
	.counts = on_counts,
	.status = on_status,
	.opened = on_opened,
	.message = on_message,
	.flags = on_flags,
	.gone = on_gone,
	.present = on_present,
	.refreshed = on_refreshed,
	.changed = on_changed,
	.watched = on_watched,
	.quota = on_quota,
	.rights = on_rights,
	.body_begin = on_body_begin,
	.body_data = on_body_data,
	.body_came = on_body_came,
	.body_end = on_body_end,
	.done = on_done,
};
