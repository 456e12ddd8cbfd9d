/* How fresh folders are, and what is done about it. A refresh that ends with another number of
 * messages than the server counts is followed by one that verifies which exist, then by one that
 * lists all again; what still disagrees then is the server's affair and is logged once. */
#include "engine/engine_private.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"

#include <errno.h>

enum { HEAL_VERIFY = 1, HEAL_FULL = 2, HEAL_GIVEN_UP = 3 };

struct folder_state *folder_state(struct engine *engine, uint32_t id)
{
	struct folder_state *state = g_hash_table_lookup(engine->folders, GUINT_TO_POINTER(id));

	if (!state) {
		state = g_new0(struct folder_state, 1);
		state->id = id;
		g_hash_table_insert(engine->folders, GUINT_TO_POINTER(id), state);
	}
	return state;
}

/* --- ages, shared with the readers --- */

static struct folder_age *age_locked(struct engine *engine, uint32_t id)
{
	struct folder_age *age = g_hash_table_lookup(engine->shared.ages, GUINT_TO_POINTER(id));

	if (!age) {
		age = g_new0(struct folder_age, 1);
		g_hash_table_insert(engine->shared.ages, GUINT_TO_POINTER(id), age);
	}
	return age;
}

void folder_set_fresh(struct engine *engine, uint32_t id, int64_t at_ms)
{
	pthread_mutex_lock(&engine->lock);
	age_locked(engine, id)->fresh_ms = at_ms;
	pthread_mutex_unlock(&engine->lock);
}

void folder_set_tried(struct engine *engine, uint32_t id, int64_t at_ms)
{
	pthread_mutex_lock(&engine->lock);
	age_locked(engine, id)->tried_ms = at_ms;
	pthread_mutex_unlock(&engine->lock);
}

void folder_set_watched(struct engine *engine, uint32_t id, bool on)
{
	pthread_mutex_lock(&engine->lock);
	age_locked(engine, id)->watched = on;
	pthread_mutex_unlock(&engine->lock);
}

static void set_partly(struct engine *engine, uint32_t id, bool partly)
{
	pthread_mutex_lock(&engine->lock);
	age_locked(engine, id)->partly = partly;
	pthread_mutex_unlock(&engine->lock);
}

static bool stays_fresh(const struct folder_age *age)
{
	return age->watched && !age->partly;
}

bool engine_folder_is_fresh(struct engine *engine, uint32_t folder)
{
	int64_t now_ms = clock_mono_ms();
	bool fresh, unused, demands;

	pthread_mutex_lock(&engine->lock);
	struct folder_age *age = age_locked(engine, folder);
	fresh = age->fresh_ms > 0 &&
		(stays_fresh(age) || now_ms - age->fresh_ms < engine->account->poll_s * 1000ll);
	unused = now_ms - age->used_ms > ENGINE_IN_USE_MS;
	age->used_ms = now_ms;
	/* Nobody will wait for a server that is away, but somebody would like to. */
	demands = !fresh && engine->shared.state == ACCOUNT_OFFLINE && !engine->shared.demand;
	engine->shared.demand |= demands;
	pthread_mutex_unlock(&engine->lock);
	if (unused || demands)
		engine_wake(engine); /* polled, or connected, from now on */
	return fresh;
}

bool engine_folders_are_fresh(struct engine *engine)
{
	return engine_folder_is_fresh(engine, INDEX_ROOT);
}

bool folders_are_known(struct engine *engine)
{
	bool known;

	/* Which asks for them, if need be. */
	if (engine_folders_are_fresh(engine))
		return true;
	pthread_mutex_lock(&engine->lock);
	known = age_locked(engine, INDEX_ROOT)->fresh_ms > 0;
	pthread_mutex_unlock(&engine->lock);
	return known;
}

/* --- one folder --- */

static void fill_known(struct store_job *job, const struct folder_row *row,
		       const struct folder_state *state)
{
	if (row->epoch == 0)
		return;
	job->known = (struct store_known){.uidvalidity = row->uidvalidity,
					  .uidnext = state->full ? 1 : row->uidnext,
					  .modseq = row->synced && !state->full ? row->modseq : 0,
					  .verify = state->verify,
					  .flags = state->flags};
}

void folder_refresh(struct engine *engine, uint32_t id)
{
	struct folder_state *state = folder_state(engine, id);
	struct folder_row row;
	struct store_job *job;

	/* When it is told how it is, that may be enough. */
	if (state->refreshing || state->held || state->asked)
		return;
	if (!index_folder_write_get(engine->index, id, &row)) {
		needs_settle(engine, NEED_FOLDER, id, 0, ENOENT);
		return;
	}
	job = store_job_new(STORE_REFRESH);
	job->folder = id;
	job->name = g_strdup(row.name);
	fill_known(job, &row, state);
	folder_row_clear(&row);
	state->refreshing = true;
	state->told_ms = engine->now_ms;
	state->listed = 0;
	state->lost = false;
	/* To verify which exist need not tell flags: it goes on with the refresh before. */
	if (!state->verify) {
		state->began = ++engine->order;
		state->changed = state->flags = false;
	}
	lane_queue(engine, LANE_LIST, job);
}

/* News, not yet known what: what is listed is old from now on. */
void folder_changed(struct engine *engine, uint32_t id)
{
	folder_state(engine, id)->changed = true;
	folder_set_fresh(engine, id, 0);
	engine->look_ms = 0;
}

void folder_flags_changed(struct engine *engine, uint32_t id)
{
	folder_state(engine, id)->flags = true;
	folder_changed(engine, id);
}

bool folders_tell(const struct engine *engine)
{
	return engine->lane == &engine->lanes[LANE_LIST];
}

bool folder_told_since(struct engine *engine, uint32_t id, uint64_t order)
{
	const struct folder_state *state = folder_state(engine, id);

	return state->refreshing || state->ended > order;
}

/* Flags can change, and a message come and another go, without a trace in the counts alone. */
static bool is_as_known(const struct folder_row *row, const struct store_mailbox *mailbox)
{
	return row->modseq > 0 && row->modseq == mailbox->modseq &&
	       row->uidvalidity == mailbox->uidvalidity && row->uidnext == mailbox->uidnext &&
	       row->messages == mailbox->messages;
}

void folder_told(struct engine *engine, const struct folder_row *row,
		 const struct store_mailbox *mailbox)
{
	const struct folder_state *state = folder_state(engine, row->id);

	if (!is_as_known(row, mailbox) || state->flags)
		folder_changed(engine, row->id);
	else if (!state->changed && !state->refreshing)
		folder_set_fresh(engine, row->id, engine->now_ms);
}

/* What was confirmed before it began is in the index now, flags if it told them. */
static void forget_settled(struct engine *engine, struct folder_state *state, bool flags)
{
	struct folder_row row;

	if (!index_folder_write_get(engine->index, state->id, &row))
		return;
	if (state->began >= state->late)
		state->late = 0;
	if (row.epoch)
		apply_bared(engine, state->id, row.epoch, state->began, flags);
	folder_row_clear(&row);
}

/* Readers wait for its end. */
static void go_on_healing(struct engine *engine, struct folder_state *state)
{
	folder_refresh(engine, state->id);
	if (state->refreshing)
		return;
	/* It is being renamed: the step is taken later, and then who waits is not forgotten. */
	state->verify = state->full = false;
	state->healed--;
	folder_changed(engine, state->id);
}

static void refreshed_well(struct engine *engine, struct folder_state *state,
			   const struct store_job *job)
{
	spool_refreshed(engine->state, state->id, state->began);
	if (state->verify || state->full) {
		go_on_healing(engine, state);
		return;
	}
	/* The flags that the refresh before left out are out still. */
	forget_settled(engine, state, job->known.verify ? !state->flags : !job->flags_left);
	arrivals_end(engine, state->id, true);
	if (!state->changed)
		folder_set_fresh(engine, state->id, brief_seen_ms(engine));
	needs_settle(engine, NEED_FOLDER, state->id, 0, 0);
}

void folder_done(struct engine *engine, struct store_job *job, const GError *error)
{
	struct folder_state *state = folder_state(engine, job->folder);

	state->refreshing = false;
	state->ended = ++engine->order;
	state->refreshed_ms = engine->now_ms;
	news_refreshed(engine, job->folder);
	folder_set_tried(engine, job->folder, engine->now_ms);
	state->flags |= job->flags_left || ((error || state->lost) && job->known.flags);
	set_partly(engine, job->folder, state->flags);
	if (!error)
		report_commit(engine); /* which may show that it is lost */
	if (!error && !state->lost) {
		refreshed_well(engine, state, job);
		change_looked(engine, state->id);
		return;
	}
	arrivals_end(engine, state->id, false);
	state->verify = state->full = false;
	if (error)
		log_warning("%s: %s", engine->account->name, error->message);
	if (g_error_matches(error, MAILFS_ERROR, ERROR_GONE))
		folders_list(engine);
	change_looked(engine, state->id);
	needs_settle(engine, NEED_FOLDER, job->folder, 0, error ? error_errno(error) : EIO);
}

static bool catch_up(struct engine *engine, struct folder_state *state)
{
	if (state->late == 0)
		return false;
	/* There will be more turns. */
	if (state->refreshing || state->asked || state->held)
		return true;
	if (state->began < state->late) {
		folder_refresh(engine, state->id);
		engine_wake(engine);
	}
	/* One that began late enough has failed, or the folder is gone. */
	if (!state->refreshing)
		state->late = 0;
	return state->late > 0;
}

bool folders_catch_up(struct engine *engine)
{
	bool lacks = false;
	GHashTableIter iter;
	gpointer value;

	if (lane_is_down(engine, LANE_LIST))
		return false;
	g_hash_table_iter_init(&iter, engine->folders);
	while (g_hash_table_iter_next(&iter, NULL, &value))
		lacks |= catch_up(engine, value);
	return lacks;
}

void folder_progress(struct engine *engine, uint32_t id)
{
	struct folder_state *state = folder_state(engine, id);

	if (engine->now_ms - state->told_ms < engine->account->timeout_s * 500ll)
		return;
	state->told_ms = engine->now_ms;
	needs_settle(engine, NEED_FOLDER, id, 0, 0);
}

/* The index lost what it was told: nothing that is under way will have been complete. */
void folders_lost(struct engine *engine)
{
	GHashTableIter iter;
	gpointer value;

	engine->listing_lost = engine->listing;
	g_hash_table_iter_init(&iter, engine->folders);
	while (g_hash_table_iter_next(&iter, NULL, &value))
		((struct folder_state *)value)->lost = true;
	pthread_mutex_lock(&engine->lock);
	g_hash_table_iter_init(&iter, engine->shared.ages);
	while (g_hash_table_iter_next(&iter, NULL, &value))
		((struct folder_age *)value)->fresh_ms = 0;
	pthread_mutex_unlock(&engine->lock);
}

/* The counts at the end of a refresh; UINT64_MAX: the server's moved meanwhile. */
void folder_compare(struct engine *engine, uint32_t id, uint64_t server, uint64_t known)
{
	struct folder_state *state = folder_state(engine, id);

	state->verify = state->full = false;
	if (server == UINT64_MAX)
		return;
	if (server == known) {
		state->healed = 0;
		state->heal_pause_ms = 0;
		return;
	}
	if (state->healed == HEAL_GIVEN_UP) {
		if (engine->now_ms < state->heal_ms)
			return;
		state->healed = 0;
	}
	if (++state->healed == HEAL_GIVEN_UP) {
		state->heal_pause_ms =
			CLAMP(2 * state->heal_pause_ms, ENGINE_HEAL_MS, ENGINE_HEAL_MAX_MS);
		state->heal_ms = engine->now_ms + state->heal_pause_ms;
		log_warning("%s: a folder counts %" G_GUINT64_FORMAT
			    " messages but lists %" G_GUINT64_FORMAT,
			    engine->account->name, server, known);
	}
	state->verify = state->healed == HEAL_VERIFY;
	state->full = state->healed == HEAL_FULL;
}

/* What could not be healed may have been the affair of a server that is better now. */
void folders_heal(struct engine *engine)
{
	GHashTableIter iter;
	gpointer value;

	g_hash_table_iter_init(&iter, engine->folders);
	while (g_hash_table_iter_next(&iter, NULL, &value)) {
		struct folder_state *state = value;

		state->heal_ms = 0;
	}
}

/* --- the list of folders --- */

static bool note_one(void *data, const struct folder_row *row)
{
	*(bool *)data = true;
	return false;
}

/* To count the messages of ten thousand folders costs the server much. */
static bool has_something_to_compare(const struct engine *engine)
{
	bool found = false;

	if (engine->compare)
		index_folders_latest(engine->view, 1, note_one, &found);
	return found;
}

void folders_list(struct engine *engine)
{
	struct store_job *job;

	if (engine->listing)
		return;
	engine->listing = true;
	engine->listing_lost = engine->listed_inbox = engine->counted = false;
	engine->list_again = engine->operations->len > 0;
	job = store_job_new(STORE_LIST);
	job->counts = has_something_to_compare(engine);
	lane_queue(engine, LANE_LIST, job);
}

void folder_forget(struct engine *engine, const struct folder_row *row)
{
	if (row->epoch) {
		bodies_drop_epoch(engine->bodies, row->epoch);
		report_epoch_gone(engine, row->id, row->epoch);
	}
	folder_set_fresh(engine, row->id, 0);
	report_folder_gone(engine, row);
	rights_forget(engine, row->id);
	arrivals_forget(engine, row->id);
	needs_settle(engine, NEED_FOLDER, row->id, 0, ENOENT);
}

static void gone(void *data, const struct folder_row *row)
{
	folder_forget(data, row);
	news_folder_gone(data, row, false);
}

static struct store_job *status_job_new(void)
{
	struct store_job *job = store_job_new(STORE_STATUS);

	job->names = g_ptr_array_new_with_free_func(g_free);
	job->folders = g_array_new(FALSE, FALSE, sizeof(uint32_t));
	return job;
}

static void status_job_add(struct engine *engine, struct store_job *job,
			   const struct folder_row *row)
{
	g_ptr_array_add(job->names, g_strdup(row->name));
	g_array_append_val(job->folders, row->id);
	folder_state(engine, row->id)->asked = true;
}

/* Takes over the job. */
static void status_job_queue(struct engine *engine, struct store_job *job)
{
	engine->polling = job->names->len > 0;
	if (engine->polling)
		lane_queue(engine, LANE_LIST, job);
	else
		store_job_free(&job);
}

struct latest {
	struct engine *engine;
	struct store_job *job;
};

static bool add_latest(void *data, const struct folder_row *row)
{
	const struct latest *latest = data;

	if (!folder_state(latest->engine, row->id)->refreshing &&
	    !(row->attributes & STORE_ATTR_NOSELECT))
		status_job_add(latest->engine, latest->job, row);
	return true;
}

/* Of those that are likely to be looked at, where LIST does not tell of all. */
static void ask_latest(struct engine *engine)
{
	struct latest latest = {engine, NULL};

	if (engine->polling)
		return;
	latest.job = status_job_new();
	index_folders_latest(engine->view, ENGINE_POLLED, add_latest, &latest);
	status_job_queue(engine, latest.job);
}

void folders_listed(struct engine *engine, const GError *error)
{
	g_autoptr(GError) lost = NULL;

	engine->listing = false;
	folder_set_tried(engine, INDEX_ROOT, engine->now_ms);
	if (!error && engine->listing_lost) {
		lost = g_error_new(MAILFS_ERROR, ERROR_IO, "the list of folders cannot be kept");
		error = lost;
	}
	if (error) {
		if (!lanes_are_starting(engine))
			log_warning("%s: %s", engine->account->name, error->message);
		needs_settle(engine, NEED_FOLDERS, 0, 0, error_errno(error));
		lanes_first_attempt_ended(engine, error);
		return;
	}
	/* It was passed over. The last operation lists anew. */
	if (engine->list_again) {
		if (engine->operations->len == 0)
			folders_list(engine);
		return;
	}
	/* An account without INBOX is a broken answer, not an empty account. */
	if (engine->listed_inbox)
		index_folders_sweep(engine->index, engine->now_ns, gone, engine);
	report_touched(engine, INDEX_ROOT);
	news_refreshed(engine, INDEX_ROOT);
	report_commit(engine);
	pending_bind(engine);
	if (engine->listed_inbox)
		pending_find_unbound(engine);
	folder_set_fresh(engine, INDEX_ROOT, engine->now_ms);
	brief_list(engine, true);
	needs_settle(engine, NEED_FOLDERS, 0, 0, 0);
	engine->start_settled = true;
	if (engine->compare && !engine->counted)
		ask_latest(engine);
	engine->compare = false;
}

/* --- polling --- */

struct candidate {
	uint32_t id;
	int64_t used_ms;
	int64_t due_ms;
};

static int64_t poll_period_ms(const struct engine *engine)
{
	return engine->account->poll_s * (brief_is(engine) ? 1000ll : 700ll);
}

static void insert_latest(GArray *latest, const struct candidate *candidate, unsigned max)
{
	unsigned at = latest->len;

	while (at > 0 &&
	       g_array_index(latest, struct candidate, at - 1).used_ms < candidate->used_ms)
		at--;
	if (at == max)
		return;
	g_array_insert_val(latest, at, *candidate);
	g_array_set_size(latest, MIN(latest->len, max));
}

/* Those used last of the folders in use. More are not polled, but looked at anew when they are used
 * again: a find over ten thousand must not keep the server busy for the next ten minutes. */
static GArray *latest_folders(struct engine *engine)
{
	GArray *latest = g_array_new(FALSE, FALSE, sizeof(struct candidate));
	GHashTableIter iter;
	gpointer key, value;

	pthread_mutex_lock(&engine->lock);
	g_hash_table_iter_init(&iter, engine->shared.ages);
	while (g_hash_table_iter_next(&iter, &key, &value)) {
		const struct folder_age *age = value;
		struct candidate candidate = {.id = GPOINTER_TO_UINT(key),
					      .used_ms = age->used_ms,
					      .due_ms = MAX(age->fresh_ms, age->tried_ms) +
							poll_period_ms(engine)};

		if (age->fresh_ms > 0 && !stays_fresh(age) &&
		    engine->now_ms - age->used_ms <= ENGINE_IN_USE_MS)
			insert_latest(latest, &candidate, ENGINE_POLLED);
	}
	pthread_mutex_unlock(&engine->lock);
	return latest;
}

GArray *folders_used(struct engine *engine, unsigned max)
{
	g_autoptr(GArray) latest = g_array_new(FALSE, FALSE, sizeof(struct candidate));
	GArray *used = g_array_new(FALSE, FALSE, sizeof(struct folder_use));
	GHashTableIter iter;
	gpointer key, value;

	pthread_mutex_lock(&engine->lock);
	g_hash_table_iter_init(&iter, engine->shared.ages);
	while (g_hash_table_iter_next(&iter, &key, &value)) {
		const struct folder_age *age = value;
		struct candidate candidate = {.id = GPOINTER_TO_UINT(key), .used_ms = age->used_ms};

		if (candidate.id != INDEX_ROOT && MAX(age->fresh_ms, age->tried_ms) > 0 &&
		    engine->now_ms - age->used_ms <= ENGINE_IN_USE_MS)
			insert_latest(latest, &candidate, max);
	}
	pthread_mutex_unlock(&engine->lock);
	for (unsigned i = 0; i < latest->len; i++) {
		const struct candidate *candidate = &g_array_index(latest, struct candidate, i);
		struct folder_use use = {candidate->id, candidate->used_ms};

		g_array_append_val(used, use);
	}
	return used;
}

/* Without a HIGHESTMODSEQ only a refresh sees flags. */
static void add_folder(struct engine *engine, struct store_job *job, uint32_t id)
{
	struct folder_row row;

	if (folder_state(engine, id)->refreshing ||
	    !index_folder_write_get(engine->index, id, &row))
		return;
	if (row.attributes & STORE_ATTR_NOSELECT) {
		folder_set_fresh(engine, id, engine->now_ms); /* nothing can be new in it */
	} else if (row.modseq == 0) {
		folder_refresh(engine, id);
	} else {
		status_job_add(engine, job, &row);
	}
	folder_row_clear(&row);
}

/* Asks for news of those whose age is near its end. Gives when the next one will be due. */
static int64_t poll_latest(struct engine *engine)
{
	g_autoptr(GArray) latest = latest_folders(engine);
	struct store_job *job = status_job_new();
	int64_t next_ms = INT64_MAX;

	for (unsigned i = 0; i < latest->len; i++) {
		const struct candidate *folder = &g_array_index(latest, struct candidate, i);

		if (engine->now_ms < folder->due_ms)
			next_ms = MIN(next_ms, folder->due_ms);
		else if (folder->id == INDEX_ROOT)
			folders_list(engine);
		else
			add_folder(engine, job, folder->id);
	}
	status_job_queue(engine, job);
	return next_ms;
}

static bool is_in_use(struct engine *engine, uint32_t id)
{
	bool used;

	pthread_mutex_lock(&engine->lock);
	used = engine->now_ms - age_locked(engine, id)->used_ms <= ENGINE_IN_USE_MS;
	pthread_mutex_unlock(&engine->lock);
	return used;
}

/* What is watched, but was never listed, nobody has asked for yet. */
static bool is_wanted(struct engine *engine, const struct folder_state *state)
{
	struct folder_row row;
	bool known;

	if (is_in_use(engine, state->id))
		return true;
	if (!state->watched || !index_folder_write_get(engine->index, state->id, &row))
		return false;
	known = row.epoch != 0;
	folder_row_clear(&row);
	return known;
}

/* Folders in use, or watched, that said they changed, unless they did so a moment ago. */
static int64_t refresh_changed(struct engine *engine)
{
	int64_t next_ms = INT64_MAX;
	GHashTableIter iter;
	gpointer value;

	g_hash_table_iter_init(&iter, engine->folders);
	while (g_hash_table_iter_next(&iter, NULL, &value)) {
		struct folder_state *state = value;

		if (!state->changed || state->refreshing || !is_wanted(engine, state))
			continue;
		if (engine->now_ms >= state->refreshed_ms + ENGINE_CHANGED_MS)
			folder_refresh(engine, state->id);
		else
			next_ms = MIN(next_ms, state->refreshed_ms + ENGINE_CHANGED_MS);
	}
	return next_ms;
}

int64_t folders_poll(struct engine *engine)
{
	int64_t next_ms;

	if (!brief_may_poll(engine))
		return INT64_MAX;
	/* There are turns by the thousand, and may be folders. */
	if (engine->now_ms < engine->look_ms)
		return engine->look_ms;
	engine->look_ms = engine->now_ms + MIN(ENGINE_LOOK_MS, poll_period_ms(engine) / 4);
	next_ms = refresh_changed(engine);
	if (!engine->polling)
		next_ms = MIN(next_ms, poll_latest(engine));
	engine->look_ms = MIN(engine->look_ms, MAX(next_ms, engine->now_ms + 1));
	return next_ms;
}

/* Who asked for news of it is answered, or it is looked at closer. */
static void polled(struct engine *engine, uint32_t id)
{
	struct folder_state *state = folder_state(engine, id);

	state->asked = false;
	if (!needs_find(engine, NEED_FOLDER, id, 0) || state->refreshing)
		return;
	if (engine_folder_is_fresh(engine, id))
		needs_settle(engine, NEED_FOLDER, id, 0, 0);
	else
		folder_refresh(engine, id);
}

void folders_polled(struct engine *engine, const struct store_job *job, const GError *error)
{
	engine->polling = false;
	for (unsigned i = 0; i < job->folders->len; i++) {
		uint32_t id = g_array_index(job->folders, uint32_t, i);

		if (!error)
			folder_set_tried(engine, id, engine->now_ms);
		polled(engine, id);
	}
}
