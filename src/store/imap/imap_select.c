/* The selected mailbox. To read it, it is opened by EXAMINE, which changes nothing, not even
 * \Recent (RFC 9051 section 6.3.3); SELECT only in order to change something. */
#include "store/imap/imap_store.h"

#include "base/error.h"
#include "base/limits.h"
#include "protocol/imap_fetch.h"

#include <string.h>

static void forget_flags(struct store *store)
{
	g_clear_pointer(&store->permanent, g_ptr_array_unref);
	g_clear_pointer(&store->listed, g_ptr_array_unref);
}

void imap_select_clear(struct store *store)
{
	forget_flags(store);
	g_clear_pointer(&store->selected_name, g_free);
	store->selected = 0;
	store->writable = false;
	store->box = (struct store_mailbox){0};
	store->counted = store->dirty = store->dirty_flags = store->clean = false;
	store->watching = store->news = store->news_flags = false;
}

/* Command to open the mailbox of the job. */
static struct imap_command *opening(struct imap_job *job, const char *verb)
{
	struct store *store = job->store;

	imap_select_clear(store);
	store->selected = job->job->folder;
	store->selected_name = g_strdup(job->job->name);
	return imap_store_named(verb, job->job->name);
}

/* RFC 9051 demands a UIDVALIDITY (section 2.3.1.1), without which no cached byte can be trusted,
 * and EXISTS (section 6.3.2), without which the mailbox would look empty. */
static bool is_opened(struct imap_job *job, const struct imap_response *tagged)
{
	struct store *store = job->store;
	g_autofree char *name = imap_store_shown_name(job);
	g_autofree char *what = g_strdup_printf("cannot open %s", name);

	if (!imap_store_answered(job, tagged, what)) {
		imap_select_clear(store);
		return false;
	}
	if (store->box.uidvalidity == 0 || !store->counted) {
		imap_store_fail(job,
				g_error_new(MAILFS_ERROR, ERROR_PROTOCOL,
					    "the server gives %s no %s", name,
					    store->counted ? "UIDVALIDITY" : "number of messages"));
		return false;
	}
	store->dirty = store->dirty_flags = false;
	return true;
}

/* --- to read --- */

static void examined(void *data, const struct imap_response *tagged)
{
	struct imap_job *job = data;

	if (is_opened(job, tagged))
		job->next(job);
	else if (tagged && job->refused)
		job->refused(job);
	else
		imap_store_finish(job);
}

static void examine(struct imap_job *job, const char *parameters, bool alone,
		    void (*next)(struct imap_job *))
{
	struct imap_command *command = opening(job, "EXAMINE");

	imap_command_text(command, "%s", parameters);
	job->next = next;
	imap_store_send(job, &command, alone, examined);
}

void imap_select(struct imap_job *job, const char *parameters, void (*next)(struct imap_job *))
{
	examine(job, parameters, true, next);
}

void imap_select_ahead(struct imap_job *job, const char *parameters,
		       void (*next)(struct imap_job *))
{
	examine(job, parameters, false, next);
}

/* True, and the job has failed, if the mailbox is another one than the engine knows. */
static bool is_replaced(struct imap_job *job)
{
	uint64_t known = job->job->known.uidvalidity;
	g_autofree char *name = NULL;

	if (known == job->store->box.uidvalidity ||
	    (known == 0 && (job->job->kind == STORE_RIGHTS || job->job->kind == STORE_FIND)))
		return false;
	name = imap_store_shown_name(job);
	imap_store_fail(
		job, g_error_new(MAILFS_ERROR, ERROR_STALE, "%s was replaced on the server", name));
	return true;
}

/* What is open may be a mailbox that was deleted and made anew since. */
static bool is_open_as_known(const struct imap_job *job)
{
	const struct store *store = job->store;

	return store->selected == job->job->folder && store->selected_name &&
	       strcmp(store->selected_name, job->job->name) == 0 &&
	       store->box.uidvalidity == job->job->known.uidvalidity;
}

static void opened_to_read(struct imap_job *job)
{
	job->fresh = true;
	if (is_replaced(job))
		imap_store_finish(job);
	else
		job->after(job);
}

void imap_select_to_read(struct imap_job *job, void (*next)(struct imap_job *))
{
	job->after = next;
	if (is_open_as_known(job))
		next(job);
	else
		imap_select(job, "", opened_to_read);
}

/* --- to change --- */

/* The rights of RFC 4314, section 2.1; where those are missing, of RFC 2086, whose "c" and "d"
 * stand for several of the new ones. */
static unsigned rights_of_letters(uint32_t letters)
{
	static const struct {
		char letter;
		unsigned may;
	} rows[] = {
		{'i', STORE_MAY_INSERT},
		{'s', STORE_MAY_SEEN},
		{'w', STORE_MAY_FLAG | STORE_MAY_KEYWORD},
		{'k', STORE_MAY_CREATE},
		{'x', STORE_MAY_DROP},
		{'t', STORE_MAY_DELETE},
		{'e', STORE_MAY_EXPUNGE},
		{'c', STORE_MAY_CREATE | STORE_MAY_DROP},
		{'d', STORE_MAY_DELETE | STORE_MAY_EXPUNGE | STORE_MAY_DROP},
	};
	const size_t modern = 7;
	unsigned may = 0;
	size_t n = G_N_ELEMENTS(rows);

	for (const char *letter = "kxte"; *letter; letter++) {
		if (letters & (1u << (*letter - 'a')))
			n = modern;
	}
	for (size_t i = 0; i < n; i++) {
		if (letters & (1u << (rows[i].letter - 'a')))
			may |= rows[i].may;
	}
	return may;
}

static bool has_word(const GPtrArray *words, const char *word)
{
	for (unsigned i = 0; i < words->len; i++) {
		if (strcmp(g_ptr_array_index(words, i), word) == 0)
			return true;
	}
	return false;
}

/* Without PERMANENTFLAGS all flags are permanent (RFC 3501 section 7.1). */
static void report_rights(struct imap_job *job)
{
	struct store *store = job->store;
	const GPtrArray *words = store->permanent ? store->permanent : store->listed;
	g_autoptr(GPtrArray) keywords = g_ptr_array_new_with_free_func(g_free);
	struct store_rights rights = {.read_only = store->box.read_only, .may = STORE_MAY_ALL};

	if (words)
		rights.flags = imap_fetch_sort_flags(words, keywords);
	if (keywords->len > 0)
		rights.keywords = keywords;
	if (!store->permanent)
		rights.flags = STORE_FLAG_SEEN | STORE_FLAG_ANSWERED | STORE_FLAG_FLAGGED |
			       STORE_FLAG_DELETED | STORE_FLAG_DRAFT;
	if (job->rights_told)
		rights.may = rights_of_letters(job->rights);
	if (store->permanent && !has_word(store->permanent, "\\*"))
		rights.may &= ~(unsigned)STORE_MAY_KEYWORD;
	store->sink->rights(store->data, job->job->folder, &rights);
}

/* When both answers came. */
static void opened_to_change(struct imap_job *job)
{
	if (job->commands > 0)
		return;
	if (!job->error)
		report_rights(job);
	if (job->error || is_replaced(job))
		imap_store_finish(job);
	else
		job->next(job);
}

static void selected(void *data, const struct imap_response *tagged)
{
	struct imap_job *job = data;

	if (is_opened(job, tagged)) {
		job->store->writable = true;
		job->store->box.read_only |= tagged->code == IMAP_CODE_READ_ONLY;
	}
	if (tagged)
		opened_to_change(job);
}

/* Who is not told about rights tries. */
static void rights_answered(void *data, const struct imap_response *tagged)
{
	struct imap_job *job = data;

	job->commands--;
	if (tagged)
		opened_to_change(job);
}

void imap_rights_untagged(struct imap_job *job, const struct imap_response *response)
{
	if (!job->job->name || g_ascii_strcasecmp(job->job->name, response->mailbox) != 0)
		return;
	job->rights = response->rights;
	job->rights_told = true;
}

void imap_select_to_change(struct imap_job *job, void (*next)(struct imap_job *))
{
	struct store *store = job->store;
	struct imap_command *command;

	if (store->writable && is_open_as_known(job) && job->job->kind != STORE_RIGHTS) {
		next(job);
		return;
	}
	command = opening(job, "SELECT");
	job->next = next;
	/* What follows it speaks of no open mailbox, so that it need not wait. */
	imap_store_send(job, &command, false, selected);
	if (imap_session_caps(store->session) & IMAP_CAP_ACL) {
		command = imap_store_named("MYRIGHTS", job->job->name);
		imap_store_send(job, &command, false, rights_answered);
	}
}

/* --- leaving --- */

static void closed(void *data, const struct imap_response *tagged)
{
	struct imap_job *job = data;

	job->commands--;
	if (tagged)
		job->next(job);
}

static void close_unchanged(struct imap_job *job)
{
	struct imap_command *command = imap_command_new("CLOSE");

	imap_store_send(job, &command, true, closed);
}

static void examined_to_leave(void *data, const struct imap_response *tagged)
{
	struct imap_job *job = data;

	job->commands--;
	/* If it was refused, nothing is open any more. */
	if (tagged && tagged->status == IMAP_OK)
		close_unchanged(job);
	else if (tagged)
		job->next(job);
}

static void examine_to_leave(struct imap_job *job)
{
	struct imap_command *command = imap_store_named("EXAMINE", job->leaving);

	imap_store_send(job, &command, true, examined_to_leave);
}

static void unselected(void *data, const struct imap_response *tagged)
{
	struct imap_job *job = data;

	job->commands--;
	if (tagged && tagged->status == IMAP_OK)
		job->next(job);
	else if (tagged)
		examine_to_leave(job);
}

void imap_leave(struct imap_job *job, void (*next)(struct imap_job *))
{
	struct store *store = job->store;
	bool writable = store->writable;
	struct imap_command *command;

	if (!store->selected_name) {
		next(job);
		return;
	}
	job->next = next;
	g_free(job->leaving);
	job->leaving = g_steal_pointer(&store->selected_name);
	imap_select_clear(store);
	if (imap_session_caps(store->session) & IMAP_CAP_UNSELECT) {
		command = imap_command_new("UNSELECT");
		imap_store_send(job, &command, true, unselected);
	} else if (writable) {
		examine_to_leave(job);
	} else {
		close_unchanged(job);
	}
}

/* --- news --- */

static void mark_dirty(struct store *store, bool flags)
{
	store->dirty_flags |= flags;
	if (store->dirty)
		return;
	store->dirty = true;
	/* While the mailbox is being opened or refreshed the job itself will tell. */
	if (store->clean)
		store->sink->changed(store->data, store->selected, flags);
}

/* While a mailbox is being opened, news of the one before may still come. They end with [CLOSED],
 * or, as not every server says that, where the new one says its UIDVALIDITY. */
static bool is_open(const struct store *store)
{
	return store->box.uidvalidity != 0;
}

static void status_code(struct store *store, const struct imap_response *response)
{
	switch (response->code) {
	case IMAP_CODE_UIDVALIDITY:
		store->box.uidvalidity = response->number;
		break;
	case IMAP_CODE_UIDNEXT:
		store->box.uidnext = (uint32_t)MIN(response->number, G_MAXUINT32);
		break;
	case IMAP_CODE_HIGHESTMODSEQ:
		store->box.modseq = response->number;
		break;
	case IMAP_CODE_CLOSED:
		if (!is_open(store)) {
			store->box = (struct store_mailbox){0};
			store->counted = false;
			forget_flags(store);
		}
		break;
	case IMAP_CODE_PERMANENTFLAGS:
		g_clear_pointer(&store->permanent, g_ptr_array_unref);
		store->permanent = g_ptr_array_ref(response->words);
		break;
	case IMAP_CODE_READ_ONLY:
		store->box.read_only = true;
		break;
	case IMAP_CODE_READ_WRITE:
		store->box.read_only = false;
		break;
	default:
		break;
	}
}

static void vanished(struct store *store, const struct imap_response *response)
{
	uint64_t count = seqset_count(&response->set);

	if (!response->earlier)
		store->box.messages -= MIN(store->box.messages, count);
	imap_body_vanished(store, &response->set);
	store->sink->gone(store->data, store->selected, store->box.uidvalidity, &response->set);
}

static void fetched(struct store *store, const struct imap_response *response)
{
	const struct imap_fetch *fetch = &response->fetch;
	struct imap_job *job = g_queue_peek_head(&store->jobs);

	if (fetch->items & IMAP_FETCH_BODY) {
		imap_body_fetch(store, fetch);
	} else if (job && job->job->kind == STORE_FIND && (fetch->items & IMAP_FETCH_UID)) {
		imap_find_fetch(job, fetch);
	} else if (job && job->job->kind == STORE_REFRESH && (fetch->items & IMAP_FETCH_UID)) {
		imap_refresh_fetch(job, fetch);
	} else if (fetch->items & IMAP_FETCH_UID) {
		imap_body_seen(store, fetch->uid);
	}
	if (!(fetch->items & IMAP_FETCH_FLAGS))
		return;
	if (!(fetch->items & IMAP_FETCH_UID))
		mark_dirty(store, true);
	else if (!(fetch->items & IMAP_FETCH_DATE))
		store->sink->flags(store->data, store->selected, store->box.uidvalidity, fetch->uid,
				   fetch->flags, fetch->keywords);
}

void imap_select_untagged(struct store *store, const struct imap_response *response)
{
	if (!store->selected_name)
		return;
	if (store->watching) {
		imap_watch_untagged(store, response);
		return;
	}
	switch (response->data) {
	case IMAP_DATA_STATUS:
		status_code(store, response);
		break;
	case IMAP_DATA_FLAGS:
		g_clear_pointer(&store->listed, g_ptr_array_unref);
		store->listed = g_ptr_array_ref(response->words);
		break;
	case IMAP_DATA_EXISTS:
		if (store->box.messages != response->number)
			mark_dirty(store, false);
		store->box.messages = response->number;
		store->counted = true;
		break;
	case IMAP_DATA_EXPUNGE:
		store->expunges++;
		mark_dirty(store, false);
		if (store->box.messages > 0)
			store->box.messages--;
		break;
	case IMAP_DATA_VANISHED:
		if (is_open(store))
			vanished(store, response);
		break;
	case IMAP_DATA_FETCH:
		if (is_open(store))
			fetched(store, response);
		break;
	default:
		break;
	}
}
