/* What was promised of messages, sent in batches: one is in hand at a time, and what comes
 * meanwhile goes together with the next. A batch is a step of changes that differ in nothing but
 * the UID:
 *
 *   FLAGS, EXPUNGE      QUEUED -> settled
 *   MOVE                QUEUED -> settled, where the server has MOVE; else as COPY, then
 *                       COPIED -(EXPUNGE)-> settled
 *   COPY                QUEUED -(MARK)-> MARKED -(COPY)-> COPIED -> settled
 *
 * Everything but COPY can be done twice without harm. Before a COPY is sent it is on record where
 * the target ended (MARK); if its outcome is unknown, what arrived behind that is searched for it
 * (seek.c). What the server refuses is dropped: then it shows again as it was.
 *
 * A folder that changes waited for while there was no connection is refreshed before they are sent:
 * a server says nothing of messages that are gone.
 */
#include "engine/engine_private.h"

#include "base/error.h"
#include "base/log.h"
#include "base/text.h"
#include "base/words.h"
#include "state/names.h"

#include <errno.h>

static struct change *first_of(const GPtrArray *batch)
{
	return g_ptr_array_index(batch, 0);
}

/* --- when --- */

void change_soon(struct engine *engine, int64_t delay_ms)
{
	engine->change_ms = MIN(engine->change_ms, engine->now_ms + delay_ms);
}

int64_t change_deadline_ms(const struct engine *engine)
{
	return engine->lanes[LANE_LIST].state == LANE_READY ? engine->change_ms : INT64_MAX;
}

bool change_may_come_again(const GError *error)
{
	static const enum mailfs_error codes[] = {ERROR_NO_HOST,   ERROR_UNREACHABLE, ERROR_TIMEOUT,
						  ERROR_TEMPORARY, ERROR_TLS,	      ERROR_AUTH,
						  ERROR_NO_LOGIN,  ERROR_PROTOCOL,    ERROR_BUSY,
						  ERROR_IO,	   ERROR_NO_SPACE};

	for (size_t i = 0; i < G_N_ELEMENTS(codes); i++) {
		if (g_error_matches(error, MAILFS_ERROR, (int)codes[i]))
			return true;
	}
	return false;
}

int64_t change_pause_ms(unsigned tries)
{
	int64_t pause_ms = ENGINE_RETRY_MS;

	/* Connections end; the next one is not made at once if that goes on. */
	if (tries < 2)
		return 0;
	for (unsigned i = 2; i < tries && pause_ms < ENGINE_RETRY_MAX_MS; i++)
		pause_ms *= 2;
	return MIN(pause_ms, ENGINE_RETRY_MAX_MS);
}

/* Not before a while; `alone`: one of them may be what the server does not like. */
static void defer(struct engine *engine, GPtrArray *batch, bool alone, int64_t at_least_ms)
{
	unsigned tries = 0;

	for (unsigned i = 0; i < batch->len; i++) {
		const struct change *change = g_ptr_array_index(batch, i);

		tries = MAX(tries, change->tries);
	}
	int64_t pause_ms = MAX(change_pause_ms(tries + 1), at_least_ms);

	changes_defer(engine->state, batch, engine->now_ms + pause_ms, alone);
	change_soon(engine, pause_ms);
}

/* It could not be put on record: the disk is full. */
void change_put_off(struct engine *engine, struct change *change, const GError *error)
{
	g_autoptr(GPtrArray) one = g_ptr_array_new();

	log_error("%s: %s", engine->account->name, error->message);
	g_ptr_array_add(one, change);
	defer(engine, one, true, 0);
}

/* --- what goes out --- */

struct store_job *change_job(enum store_job_kind kind, GPtrArray *batch)
{
	const struct change *change = first_of(batch);
	struct store_job *job = store_job_new(kind);

	job->folder = change->folder;
	job->epoch = change->epoch;
	job->name = g_strdup(change->mailbox);
	job->known.uidvalidity = change->uidvalidity;
	job->target = g_strdup(change->target_mailbox);
	job->set = change->set;
	job->clear = change->clear;
	job->set_words = g_strdup(change->set_words);
	job->clear_words = g_strdup(change->clear_words);
	job->changes = g_ptr_array_ref(batch);
	for (unsigned i = 0; i < batch->len; i++) {
		const struct change *each = g_ptr_array_index(batch, i);

		seqset_add(&job->uids, each->uid, each->uid);
	}
	return job;
}

/* Of the target, not of the messages. */
static struct store_job *job_of_mark(GPtrArray *batch)
{
	const struct change *change = first_of(batch);
	struct store_job *job = store_job_new(STORE_MARK);

	job->folder = change->target;
	job->name = g_strdup(change->target_mailbox);
	job->changes = g_ptr_array_ref(batch);
	return job;
}

static struct store_job *job_of_true_move(struct engine *engine, GPtrArray *batch)
{
	struct store_job *job = change_job(STORE_MOVE, batch);

	engine->moving = job->epoch;
	seqset_add_all(&engine->moving_uids, &job->uids);
	return job;
}

static struct store_job *job_of_move(struct engine *engine, GPtrArray *batch)
{
	const struct change *change = first_of(batch);

	if (change->step == CHANGE_COPIED)
		return change_job(STORE_EXPUNGE, batch);
	if (change->step == CHANGE_MARKED)
		return change_job(STORE_COPY, batch);
	if (change->kind == CHANGE_COPY || !(engine->shared.abilities & STORE_CAN_MOVE))
		return job_of_mark(batch);
	return job_of_true_move(engine, batch);
}

/* Where messages can only be removed, all but that is done by saying so. */
static bool is_nothing_to_server(const struct engine *engine, const struct change *change)
{
	return (engine->shared.abilities & STORE_CAN_REMOVE) && change->kind == CHANGE_FLAGS &&
	       !(change->set & STORE_FLAG_DELETED);
}

static void send_batch(struct engine *engine, GPtrArray *batch)
{
	const struct change *change = first_of(batch);
	struct store_job *job;

	if (is_nothing_to_server(engine, change)) {
		change_settle(engine, batch);
		change_soon(engine, 0);
		return;
	}
	if (change->unknown && engine->now_ms < engine->doubt_ms) {
		defer(engine, batch, false, engine->doubt_ms - engine->now_ms);
		return;
	}
	engine->changing = true;
	if (change->unknown) {
		seek_start(engine, batch, false);
		return;
	}
	switch (change->kind) {
	case CHANGE_FLAGS:
		job = change_job(STORE_FLAGS, batch);
		break;
	case CHANGE_EXPUNGE:
		job = change_job(STORE_EXPUNGE, batch);
		break;
	default:
		job = job_of_move(engine, batch);
		break;
	}
	lane_queue(engine, LANE_CHANGE, job);
}

static void forget_scheduled(struct engine *engine)
{
	pthread_mutex_lock(&engine->lock);
	engine->shared.changed = false;
	pthread_mutex_unlock(&engine->lock);
}

/* --- what happened meanwhile --- */

void change_look_first(struct engine *engine)
{
	g_autoptr(GArray) folders = changes_folders(engine->state);

	g_hash_table_remove_all(engine->unseen);
	/* A brief session begins with a listing. */
	for (unsigned i = 0; i < folders->len && !brief_is(engine); i++)
		g_hash_table_add(engine->unseen,
				 GUINT_TO_POINTER(g_array_index(folders, uint32_t, i)));
}

void change_looked(struct engine *engine, uint32_t folder)
{
	if (!folder_state(engine, folder)->refreshing &&
	    g_hash_table_remove(engine->unseen, GUINT_TO_POINTER(folder)))
		change_soon(engine, 0);
}

/* False: a refresh is under way. */
static bool was_seen(struct engine *engine, uint32_t folder)
{
	struct folder_row row;
	bool selectable;

	if (!index_folder_write_get(engine->index, folder, &row))
		return true;
	selectable = !(row.attributes & STORE_ATTR_NOSELECT);
	folder_row_clear(&row);
	if (selectable)
		folder_refresh(engine, folder);
	return !selectable;
}

static bool all_were_seen(struct engine *engine)
{
	GHashTableIter iter;
	gpointer key;

	g_hash_table_iter_init(&iter, engine->unseen);
	while (g_hash_table_iter_next(&iter, &key, NULL)) {
		if (was_seen(engine, GPOINTER_TO_UINT(key)))
			g_hash_table_iter_remove(&iter);
	}
	return g_hash_table_size(engine->unseen) == 0;
}

void change_run(struct engine *engine)
{
	g_autoptr(GPtrArray) batch = NULL;

	if (engine->now_ms < engine->change_ms || engine->lanes[LANE_LIST].state != LANE_READY)
		return;
	if (!all_were_seen(engine)) {
		engine->change_ms = engine->now_ms + ENGINE_RETRY_MS;
		return;
	}
	engine->change_ms = INT64_MAX;
	/* From here on whoever adds something says so again. */
	forget_scheduled(engine);
	if (!engine->changing) {
		/* A brief session can end with one batch. */
		batch = brief_is(engine) ? changes_take_all(engine->state, engine->now_ms)
					 : changes_take(engine->state, engine->now_ms);
		if (batch)
			send_batch(engine, batch);
	}
	upload_run(engine);
	/* All of it is put off. */
	if (!engine->changing && !engine->uploading && state_pending(engine->state) > 0)
		change_soon(engine, ENGINE_RETRY_MS);
	pending_settle_needs(engine);
}

/* --- what comes back --- */

void pending_note_failure(struct engine *engine, uint32_t folder, int error)
{
	g_hash_table_insert(engine->refused_in, GUINT_TO_POINTER(folder), GINT_TO_POINTER(error));
}

static const char *verb_of(enum change_kind kind)
{
	static const char *const verbs[] = {[CHANGE_FLAGS] = "change the flags of",
					    [CHANGE_EXPUNGE] = "expunge",
					    [CHANGE_MOVE] = "move",
					    [CHANGE_COPY] = "copy"};

	return verbs[kind];
}

/* What both folders show is not what they showed. */
static void report_both(struct engine *engine, const struct change *change)
{
	if (change->target) {
		report_touched(engine, change->target);
		if (change->name)
			report_name_changed(engine, change->target, change->name);
	}
	report_touched(engine, change->folder);
	report_message_changed(engine, change->epoch, change->uid);
}

/* A message that cannot be told from others is nobody's fault. */
static int refusal_errno(const struct engine *engine, const GError *error)
{
	if ((engine->shared.abilities & STORE_CAN_REMOVE) &&
	    g_error_matches(error, MAILFS_ERROR, ERROR_DENIED))
		return EPERM;
	return error_errno(error);
}

void change_drop(struct engine *engine, struct change *change, const GError *error)
{
	uint32_t folder = change->folder, epoch = change->epoch, uid = change->uid;
	int number = refusal_errno(engine, error);

	log_warning(
		"%s: cannot %s message %u%s: %s", engine->account->name, verb_of(change->kind), uid,
		g_error_matches(error, MAILFS_ERROR, ERROR_GONE) ? ""
								 : ", which shows again as it was",
		error->message);
	report_both(engine, change);
	apply_shifted(engine, folder, epoch, uid);
	news_failed(engine, folder, epoch, uid, error->message);
	pending_note_failure(engine, folder, number);
	if (change->target) {
		pending_note_failure(engine, change->target, number);
		/* What was lost meanwhile may have brought it there. */
		folder_changed(engine, change->target);
	}
	changes_drop(engine->state, change);
	needs_settle(engine, NEED_CHANGE, epoch, uid, number);
}

/* It may be by that MOVE. Nothing is committed here: the index is being altered. */
static void settle_sent(struct engine *engine, struct change *change)
{
	g_autoptr(GPtrArray) one = g_ptr_array_new();

	log_info("%s: message %u is not in %s any more: it was moved when the connection was lost, "
		 "or removed by somebody",
		 engine->account->name, change->uid, change->mailbox);
	report_both(engine, change);
	if (change->target)
		folder_changed(engine, change->target);
	g_ptr_array_add(one, change);
	changes_settle(engine->state, one, ++engine->order);
}

static void message_gone(struct engine *engine, struct change *change)
{
	bool removes = change->kind == CHANGE_EXPUNGE ||
		       (change->kind == CHANGE_FLAGS && change->set & STORE_FLAG_DELETED);
	g_autoptr(GError) error = NULL;

	if (removes) {
		/* That was asked for. */
		changes_drop(engine->state, change);
	} else if (change->sent) {
		settle_sent(engine, change);
	} else {
		error = g_error_new(MAILFS_ERROR, ERROR_GONE, "it is not in %s any more",
				    change->mailbox);
		change_drop(engine, change, error);
	}
}

void change_message_gone(struct engine *engine, uint32_t epoch, uint32_t uid)
{
	g_autoptr(GPtrArray) changes = changes_take_gone(engine->state, epoch, uid);

	for (unsigned i = 0; changes && i < changes->len; i++)
		message_gone(engine, g_ptr_array_index(changes, i));
}

static void drop_all(struct engine *engine, GPtrArray *batch, const GError *error)
{
	for (unsigned i = 0; i < batch->len; i++)
		change_drop(engine, g_ptr_array_index(batch, i), error);
}

/* All that are left of it are those that the server refused, or the session was lost: nothing is
 * learnt by trying one by one. */
static bool is_removal(const struct engine *engine, const struct store_job *job)
{
	return (engine->shared.abilities & STORE_CAN_REMOVE) && job->kind == STORE_FLAGS;
}

/* Some may have been removed all the same: what is gone is done, but if their numbers are those of
 * others now. Gives the rest. */
static GPtrArray *settle_gone(struct engine *engine, const struct store_job *job,
			      const GError *error)
{
	bool removes =
		is_removal(engine, job) && !g_error_matches(error, MAILFS_ERROR, ERROR_STALE);
	g_autoptr(GPtrArray) gone = g_ptr_array_new();
	GPtrArray *left = g_ptr_array_new();

	for (unsigned i = 0; i < job->changes->len; i++) {
		struct change *change = g_ptr_array_index(job->changes, i);
		bool known = !removes ||
			     index_message_write_has(engine->index, change->epoch, change->uid);

		g_ptr_array_add(known ? left : gone, change);
	}
	if (gone->len > 0)
		change_settle(engine, gone);
	return left;
}

/* One of many may be gone, or not to the server's liking: each is tried by itself. */
static bool may_be_one_of_many(const GPtrArray *batch, const GError *error)
{
	return batch->len > 1 && (g_error_matches(error, MAILFS_ERROR, ERROR_GONE) ||
				  g_error_matches(error, MAILFS_ERROR, ERROR_SERVER) ||
				  g_error_matches(error, MAILFS_ERROR, ERROR_REFUSED));
}

static void tell_waiting(struct engine *engine, const struct change *change, const GError *error)
{
	struct trouble trouble = {
		.folder = change->folder, .target = change->target, .epoch = change->epoch};

	if (pending_is_hopeless(error, change->tries))
		pending_give_up(engine, &trouble, error_errno(error));
}

void change_failed(struct engine *engine, const struct store_job *job, const GError *error)
{
	g_autoptr(GPtrArray) batch = settle_gone(engine, job, error);
	bool doubtful = job->kind == STORE_COPY && job->sent;
	bool together = is_removal(engine, job);
	const struct change *change;

	if (batch->len == 0)
		return;
	change = first_of(batch);
	if (g_error_matches(error, MAILFS_ERROR, ERROR_GONE) ||
	    g_error_matches(error, MAILFS_ERROR, ERROR_STALE))
		folder_changed(engine, change->folder);
	if (change_may_come_again(error)) {
		tell_waiting(engine, change, error);
		if (job->kind == STORE_MOVE && job->sent)
			changes_set_sent(engine->state, batch);
		if (doubtful)
			changes_set_unknown(engine->state, batch);
		defer(engine, batch, !together && change->tries > 0,
		      doubtful ? ENGINE_DOUBT_MS : 0);
	} else if (!together && may_be_one_of_many(batch, error)) {
		defer(engine, batch, true, 0);
	} else {
		drop_all(engine, batch, error);
	}
}

struct flags {
	unsigned flags;
	char *words;
};

static bool take_flags(void *data, const struct message_row *row)
{
	struct flags *flags = data;

	flags->flags = row->flags;
	flags->words = g_strdup(row->keywords);
	return false;
}

static void alter_flags(struct engine *engine, const struct change *change, unsigned set)
{
	struct flags old = {0};
	g_autofree char *words = NULL;

	if (!index_message_get(engine->view, change->epoch, change->uid, take_flags, &old))
		return;
	words = words_alter(old.words, change->set_words, change->clear_words);
	if (index_message_flags(engine->index, change->epoch, change->uid,
				(old.flags | change->set | set) & ~change->clear, words,
				engine->now_ns) == INDEX_CHANGED)
		news_message(engine, NEWS_FLAGS, change->folder, change->epoch, change->uid);
	g_free(old.words);
	report_message_changed(engine, change->epoch, change->uid);
}

/* What somebody did after it may have been told before it, and where there is a MODSEQ, or will be
 * one, that is not told twice: then what was done shows over the index until the next refresh. */
static bool is_too_late(struct engine *engine, uint32_t folder)
{
	struct folder_row row;
	bool late;

	folder_flags_changed(engine, folder);
	if (!index_folder_write_get(engine->index, folder, &row))
		return false;
	late = row.modseq > 0 || !row.synced;
	/* A folder that was never listed whole is listed anew anyway. */
	if (row.synced)
		folder_state(engine, folder)->late = engine->order + 1;
	folder_row_clear(&row);
	return late;
}

/* As the server did, in the index. */
static void alter_all(struct engine *engine, const struct store_job *job, unsigned set)
{
	if (!folders_tell(engine) && folder_told_since(engine, job->folder, job->order) &&
	    is_too_late(engine, job->folder))
		return;
	for (unsigned i = 0; i < job->changes->len; i++)
		alter_flags(engine, g_ptr_array_index(job->changes, i), set);
}

/* That the folder is another one than it was is believed when it is opened, and not before: all
 * that is kept of the former goes. */
uint32_t change_target_epoch(struct engine *engine, const struct change *change,
			     uint64_t uidvalidity)
{
	struct folder_row row;
	uint32_t old, epoch;

	if (uidvalidity == 0 || change->target == 0 ||
	    !index_folder_write_get(engine->index, change->target, &row))
		return 0;
	folder_row_clear(&row);
	if (row.epoch)
		return row.uidvalidity == uidvalidity ? row.epoch : 0;
	epoch = index_folder_open(engine->index, change->target, uidvalidity, engine->now_ns, &old);
	pending_bind_folder(engine, change->target);
	engine->last_folder = 0;
	return epoch;
}

static uint32_t copied_as(const struct store_job *job, uint32_t uid)
{
	for (unsigned i = 0; job->copied && i < job->copied->len; i++) {
		const struct store_pair *pair = &g_array_index(job->copied, struct store_pair, i);

		if (pair->from == uid)
			return pair->to;
	}
	return 0;
}

/* It is known in its new place, with all that was known of it. */
void change_place(struct engine *engine, const struct change *change, uint32_t epoch, uint32_t uid)
{
	struct flags flags = {0};
	struct overlay settled;

	if (!index_message_get(engine->view, change->epoch, change->uid, take_flags, &flags))
		return;
	changes_overlay_settled(engine->state, change->epoch, change->uid, &settled);
	if (index_message_copy(engine->index, change->epoch, change->uid, epoch, uid,
			       (flags.flags | settled.set) & ~settled.clear,
			       engine->now_ns) == INDEX_NEW)
		arrivals_put(engine, change->target, uid);
	bodies_link(engine->bodies, change->epoch, change->uid, epoch, uid);
	if (change->kind == CHANGE_COPY)
		news_message(engine, NEWS_NEW, change->target, epoch, uid);
	g_free(flags.words);
}

/* From here on the folder shows the message and no longer the guest: it has to be in the index. */
void change_name(struct engine *engine, const struct change *change, uint32_t epoch, uint32_t uid,
		 uint64_t uidvalidity)
{
	struct state_box box = {change->target, epoch, change->target_mailbox, uidvalidity};
	g_autoptr(GError) error = NULL;

	if (change->name && !names_set(engine->state, &box, uid, change->name, &error))
		log_error("%s: %s", engine->account->name, error->message);
}

static void place_all(struct engine *engine, const struct store_job *job)
{
	GPtrArray *batch = job->changes;
	uint32_t epoch, uid;

	if (!job->copied)
		return;
	epoch = change_target_epoch(engine, first_of(batch), job->box.uidvalidity);
	for (unsigned i = 0; epoch && i < batch->len; i++) {
		const struct change *change = g_ptr_array_index(batch, i);

		uid = copied_as(job, change->uid);
		if (uid)
			change_place(engine, change, epoch, uid);
	}
	report_commit(engine);
	for (unsigned i = 0; epoch && i < batch->len; i++) {
		const struct change *change = g_ptr_array_index(batch, i);

		uid = copied_as(job, change->uid);
		if (uid)
			change_name(engine, change, epoch, uid, job->box.uidvalidity);
	}
}

/* It goes on to show over the index of its folder until a refresh ends that begins from now on.
 * What a maildrop removed is gone for good. */
static void ask_again(struct engine *engine, const struct change *change)
{
	if (change->kind == CHANGE_COPY || brief_is(engine) ||
	    !folder_state(engine, change->folder)->refreshing)
		return;
	if (change->kind == CHANGE_MOVE)
		folder_changed(engine, change->folder);
	else
		folder_flags_changed(engine, change->folder);
}

/* Readers must find it in the index before it is no longer a guest. */
void change_settle(struct engine *engine, GPtrArray *batch)
{
	report_commit(engine);
	for (unsigned i = 0; i < batch->len; i++) {
		const struct change *change = g_ptr_array_index(batch, i);

		report_both(engine, change);
		if (change->target)
			folder_changed(engine, change->target);
	}
	ask_again(engine, first_of(batch));
	changes_settle(engine->state, batch, ++engine->order);
}

/* Of a MOVE: what remains is to remove the source. */
void change_copied(struct engine *engine, struct change *change, uint32_t uid)
{
	g_autoptr(GError) error = NULL;

	report_commit(engine);
	if (!changes_copied(engine->state, change, uid, &error))
		change_put_off(engine, change, error);
	report_touched(engine, change->target);
	if (change->name)
		report_name_changed(engine, change->target, change->name);
	if (!error)
		change_soon(engine, 0);
}

static void copied(struct engine *engine, const struct store_job *job)
{
	GPtrArray *batch = job->changes;

	if (!job->copied) {
		seek_start(engine, batch, true);
		return;
	}
	place_all(engine, job);
	if (first_of(batch)->kind == CHANGE_COPY) {
		change_settle(engine, batch);
		return;
	}
	for (unsigned i = 0; i < batch->len; i++) {
		struct change *change = g_ptr_array_index(batch, i);

		change_copied(engine, change, copied_as(job, change->uid));
	}
}

static void marked(struct engine *engine, const struct store_job *job)
{
	g_autoptr(GError) error = NULL;

	if (changes_mark(engine->state, job->changes, job->box.uidvalidity, job->box.uidnext,
			 &error)) {
		engine->changing = true;
		lane_queue(engine, LANE_CHANGE, change_job(STORE_COPY, job->changes));
		return;
	}
	log_error("%s: %s", engine->account->name, error->message);
	defer(engine, job->changes, false, 0);
}

static void succeeded(struct engine *engine, const struct store_job *job)
{
	GPtrArray *batch = job->changes;
	bool expunges = engine->shared.abilities & STORE_CAN_EXPUNGE;

	switch (job->kind) {
	case STORE_MARK:
		marked(engine, job);
		return;
	case STORE_COPY:
		copied(engine, job);
		return;
	case STORE_MOVE:
		place_all(engine, job);
		break;
	case STORE_FLAGS:
		alter_all(engine, job, 0);
		break;
	case STORE_EXPUNGE:
		if (!expunges)
			alter_all(engine, job, STORE_FLAG_DELETED);
		break;
	default:
		break;
	}
	change_settle(engine, batch);
}

/* Where they went is on record now. */
static void end_moving(struct engine *engine, const struct store_job *job)
{
	struct seqset moved = engine->moved;

	if (job->kind != STORE_MOVE)
		return;
	engine->moving = 0;
	seqset_clear(&engine->moving_uids);
	engine->moved = (struct seqset){0};
	apply_remove(engine, job->folder, job->epoch, &moved);
	seqset_clear(&moved);
}

void change_done(struct engine *engine, struct store_job *job, const GError *error)
{
	/* What was told in this turn is there for all of the following to see. */
	report_commit(engine);
	engine->changing = false;
	if (job->kind == STORE_FIND)
		seek_done(engine, job, error);
	else if (error)
		change_failed(engine, job, error);
	else
		succeeded(engine, job);
	end_moving(engine, job);
	if (!engine->changing)
		change_soon(engine, pending_is_urgent(engine) ? 0 : ENGINE_COMPANY_MS);
	pending_settle_needs(engine);
}
