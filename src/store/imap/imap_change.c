/* Changes of messages, each by UID. Nothing is ever expunged but by UID EXPUNGE (RFC 4315), as the
 * plain command takes along what others marked. */
#include "store/imap/imap_store.h"

#include "base/error.h"
#include "base/limits.h"
#include "base/text.h"

#include <string.h>

/* Some servers read a command line into 8,000 bytes: what its parts may have of them. */
#define SET_MAX 6000
#define WORDS_MAX 1000

/* --- parts of commands --- */

static void append_range(GString *text, const struct seqrange *range)
{
	if (text->len > 0)
		g_string_append_c(text, ',');
	g_string_append_printf(text, "%u", range->first);
	if (range->last > range->first)
		g_string_append_printf(text, ":%u", range->last);
}

GPtrArray *imap_store_set_pieces(const struct seqset *set)
{
	GPtrArray *pieces = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GString) text = g_string_new(NULL);
	const size_t range_max = strlen(",4294967295:4294967295");

	for (unsigned i = 0; set->ranges && i < set->ranges->len; i++) {
		if (text->len + range_max > SET_MAX) {
			g_ptr_array_add(pieces, g_strdup(text->str));
			g_string_truncate(text, 0);
		}
		append_range(text, &g_array_index(set->ranges, struct seqrange, i));
	}
	if (text->len > 0)
		g_ptr_array_add(pieces, g_strdup(text->str));
	return pieces;
}

/* RFC 9051 section 9: atom. */
static bool is_atom(const char *word)
{
	for (const char *at = word; *at; at++) {
		if (!g_ascii_isgraph(*at) || strchr("(){%*\"\\]", *at))
			return false;
	}
	return *word != '\0';
}

static void append_word(GString *text, const char *word)
{
	if (text->len > 0)
		g_string_append_c(text, ' ');
	g_string_append(text, word);
}

char *imap_store_flag_list(unsigned flags, const char *words)
{
	static const char *const names[] = {"\\Seen", "\\Answered", "\\Flagged", "\\Deleted",
					    "\\Draft"};
	g_auto(GStrv) keywords = g_strsplit(words ? words : "", " ", -1);
	g_autoptr(GString) text = g_string_new(NULL);

	for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
		if (flags & (1u << i))
			append_word(text, names[i]);
	}
	for (char **word = keywords; *word; word++) {
		if (**word == '\0')
			continue;
		if (!is_atom(*word))
			return NULL;
		append_word(text, *word);
	}
	return text->len <= WORDS_MAX ? g_string_free(g_steal_pointer(&text), FALSE) : NULL;
}

/* --- what all have in common --- */

static bool fail(struct imap_job *job, int code, const char *why)
{
	g_autofree char *name = imap_store_shown_name(job);

	imap_store_fail(job, g_error_new(MAILFS_ERROR, code, "cannot change %s: %s", name, why));
	imap_store_finish(job);
	return false;
}

static bool may_write(struct imap_job *job)
{
	return !job->store->box.read_only || fail(job, ERROR_READ_ONLY, "it is read-only");
}

void imap_rights_start(struct imap_job *job)
{
	imap_select_to_change(job, imap_store_finish);
}

/* --- FLAGS --- */

static void stored(void *data, const struct imap_response *tagged)
{
	struct imap_job *job = data;
	g_autofree char *name = imap_store_shown_name(job);
	g_autofree char *what = g_strdup_printf("cannot change flags in %s", name);

	imap_store_answered(job, tagged, what);
	if (tagged)
		imap_store_finish(job);
}

static void send_stores(struct imap_job *job, char sign, const char *flags, imap_done_fn done)
{
	g_autoptr(GPtrArray) pieces = imap_store_set_pieces(&job->job->uids);

	for (unsigned i = 0; *flags && i < pieces->len; i++) {
		struct imap_command *command =
			imap_command_new("UID STORE %s %cFLAGS.SILENT (%s)",
					 (char *)g_ptr_array_index(pieces, i), sign, flags);

		job->job->sent = true;
		imap_store_send(job, &command, false, done);
	}
}

/* The flags can be sent: looked at before the mailbox was opened. */
static void flags_opened(struct imap_job *job)
{
	g_autofree char *set = imap_store_flag_list(job->job->set, job->job->set_words);
	g_autofree char *clear = imap_store_flag_list(job->job->clear, job->job->clear_words);

	if (!may_write(job))
		return;
	send_stores(job, '+', set, stored);
	send_stores(job, '-', clear, stored);
	imap_store_finish(job);
}

void imap_flags_start(struct imap_job *job)
{
	g_autofree char *set = imap_store_flag_list(job->job->set, job->job->set_words);
	g_autofree char *clear = imap_store_flag_list(job->job->clear, job->job->clear_words);

	if (!set || !clear)
		fail(job, ERROR_REFUSED, "no server takes these keywords");
	else if (!job->job->uids.ranges || (*set == '\0' && *clear == '\0'))
		imap_store_finish(job);
	else
		imap_select_to_change(job, flags_opened);
}

/* --- EXPUNGE --- */

static void report_gone(struct imap_job *job)
{
	struct store *store = job->store;

	if (!job->error)
		store->sink->gone(store->data, job->job->folder, job->job->known.uidvalidity,
				  &job->job->uids);
}

static void expunged(void *data, const struct imap_response *tagged)
{
	struct imap_job *job = data;
	g_autofree char *name = imap_store_shown_name(job);
	g_autofree char *what = g_strdup_printf("cannot expunge messages of %s", name);

	imap_store_answered(job, tagged, what);
	if (!tagged || job->commands > 0)
		return;
	report_gone(job);
	imap_store_finish(job);
}

static void send_expunges(struct imap_job *job)
{
	g_autoptr(GPtrArray) pieces = imap_store_set_pieces(&job->job->uids);

	for (unsigned i = 0; i < pieces->len; i++) {
		struct imap_command *command =
			imap_command_new("UID EXPUNGE %s", (char *)g_ptr_array_index(pieces, i));

		imap_store_send(job, &command, false, expunged);
	}
}

/* Only what is certain to be marked is expunged. */
static void marked(void *data, const struct imap_response *tagged)
{
	struct imap_job *job = data;
	g_autofree char *name = imap_store_shown_name(job);
	g_autofree char *what = g_strdup_printf("cannot delete messages of %s", name);

	imap_store_answered(job, tagged, what);
	if (!tagged || job->commands > 0)
		return;
	if (!job->error && (imap_session_caps(job->store->session) & IMAP_CAP_UIDPLUS))
		send_expunges(job);
	else
		imap_store_finish(job);
}

static void expunge_opened(struct imap_job *job)
{
	if (may_write(job))
		send_stores(job, '+', "\\Deleted", marked);
}

void imap_expunge_start(struct imap_job *job)
{
	if (job->job->uids.ranges)
		imap_select_to_change(job, expunge_opened);
	else
		imap_store_finish(job);
}

/* --- MOVE (RFC 6851), COPY --- */

static bool is_move(const struct imap_job *job)
{
	return job->job->kind == STORE_MOVE;
}

static uint64_t list_count(const GArray *ranges)
{
	uint64_t count = 0;

	for (unsigned i = 0; i < ranges->len; i++) {
		const struct seqrange *range = &g_array_index(ranges, struct seqrange, i);

		count += (uint64_t)range->last - range->first + 1;
	}
	return count;
}

/* A place in a list of ranges. */
struct walk {
	const GArray *ranges;
	unsigned i;
	uint32_t n; /* of the range at hand that were passed */
};

/* The caller knows that there is one. */
static uint32_t walk_next(struct walk *walk)
{
	const struct seqrange *range = &g_array_index(walk->ranges, struct seqrange, walk->i);
	uint32_t uid = range->first + walk->n++;

	if (uid == range->last) {
		walk->i++;
		walk->n = 0;
	}
	return uid;
}

/* All are of those that were asked for, and each is told for the first time. */
static bool take_told(struct imap_job *job, const GArray *from, uint64_t count)
{
	struct walk walk = {.ranges = from};

	for (uint64_t i = 0; i < count; i++) {
		uint32_t uid = walk_next(&walk);

		if (!seqset_contains(&job->job->uids, uid) || seqset_contains(&job->seen, uid))
			return false;
		seqset_add(&job->seen, uid, uid);
	}
	return true;
}

/* Lists that cannot be true are as good as none; they are not looked into before it is known that
 * they are no longer than what was asked for. */
void imap_transfer_told(struct imap_job *job, const struct imap_response *response)
{
	struct store_job *wanted = job->job;
	struct walk from = {.ranges = response->from};
	struct walk to = {.ranges = response->to};
	uint64_t count;

	if (response->code != IMAP_CODE_COPYUID)
		return;
	count = list_count(response->from);
	if (count != list_count(response->to) || count > seqset_count(&wanted->uids) ||
	    (wanted->copied && wanted->box.uidvalidity != response->number) ||
	    !take_told(job, response->from, count))
		return;
	if (!wanted->copied)
		wanted->copied = g_array_new(FALSE, FALSE, sizeof(struct store_pair));
	wanted->box.uidvalidity = response->number;
	for (uint64_t i = 0; i < count; i++) {
		struct store_pair pair = {.from = walk_next(&from)};

		pair.to = walk_next(&to);
		g_array_append_val(wanted->copied, pair);
	}
}

static void transferred(void *data, const struct imap_response *tagged)
{
	struct imap_job *job = data;
	g_autofree char *name = imap_store_shown_name(job);
	g_autofree char *what =
		g_strdup_printf("cannot %s messages of %s", is_move(job) ? "move" : "copy", name);

	if (imap_store_delivered(job, tagged, what, job->job->target))
		imap_transfer_told(job, tagged);
	if (!tagged || job->commands > 0)
		return;
	/* What was moved is gone, and what was not had gone before. */
	if (is_move(job))
		report_gone(job);
	imap_store_finish(job);
}

static void transfer_opened(struct imap_job *job)
{
	g_autoptr(GPtrArray) pieces = imap_store_set_pieces(&job->job->uids);

	if (is_move(job) && !may_write(job))
		return;
	for (unsigned i = 0; i < pieces->len; i++) {
		g_autofree char *verb = g_strdup_printf("UID %s %s", is_move(job) ? "MOVE" : "COPY",
							(char *)g_ptr_array_index(pieces, i));
		struct imap_command *command = imap_store_named(verb, job->job->target);

		job->job->sent = true;
		imap_store_send(job, &command, false, transferred);
	}
}

void imap_transfer_start(struct imap_job *job)
{
	if (job->job->uids.ranges)
		imap_select_to_change(job, transfer_opened);
	else
		imap_store_finish(job);
}
