#include "wire_facts.h"

#include "base/error.h"

#include <stdarg.h>
#include <string.h>

#define RUN_MIN 10 /* of the same byte: shown as "\{a*10}" */

/* --- the lines --- */

void wire_facts_init(struct wire_facts *facts, struct wire_play *play)
{
	*facts = (struct wire_facts){.play = play};
	facts->folders = g_ptr_array_new_with_free_func(g_free);
	g_queue_init(&facts->lines);
}

void wire_facts_clear(struct wire_facts *facts)
{
	g_ptr_array_unref(facts->folders);
	g_queue_clear_full(&facts->lines, g_free);
	if (facts->data)
		g_string_free(facts->data, TRUE);
	g_free(facts->server);
}

static void append_byte(GString *out, uint8_t byte)
{
	static const char from[] = "\r\n\t\\\"";
	static const char to[] = "rnt\\\"";
	const char *found = byte ? strchr(from, byte) : NULL;

	if (found)
		g_string_append_printf(out, "\\%c", to[found - from]);
	else if (g_ascii_isprint((char)byte))
		g_string_append_c(out, (char)byte);
	else
		g_string_append_printf(out, "\\x%02x", byte);
}

static size_t run_length(const char *bytes, size_t len)
{
	size_t n = 1;

	while (n < len && bytes[n] == bytes[0])
		n++;
	return n;
}

/* With the escapes of a transcript. */
static char *quote(const char *bytes, size_t len)
{
	GString *out = g_string_new("\"");
	size_t run;

	for (size_t i = 0; i < len; i += run) {
		run = run_length(bytes + i, len - i);
		if (run < RUN_MIN || !g_ascii_isalnum(bytes[i]))
			run = 1;
		if (run > 1)
			g_string_append_printf(out, "\\{%c*%zu}", bytes[i], run);
		else
			append_byte(out, (uint8_t)bytes[i]);
	}
	g_string_append_c(out, '"');
	return g_string_free(out, FALSE);
}

static char *quote_text(const char *text)
{
	return text ? quote(text, strlen(text)) : g_strdup("NIL");
}

void wire_facts_flush(struct wire_facts *facts)
{
	g_autofree char *bytes = NULL;

	if (!facts->data)
		return;
	bytes = quote(facts->data->str, facts->data->len);
	g_queue_push_tail(&facts->lines,
			  g_strdup_printf("data %u uid=%u offset=%" G_GUINT64_FORMAT " %s",
					  facts->data_job, facts->data_uid, facts->data_offset,
					  bytes));
	g_string_free(g_steal_pointer(&facts->data), TRUE);
}

void wire_facts_add(struct wire_facts *facts, const char *format, ...)
{
	va_list args;

	wire_facts_flush(facts);
	va_start(args, format);
	g_queue_push_tail(&facts->lines, g_strdup_vprintf(format, args));
	va_end(args);
}

/* A word as it is, anything else quoted. */
static char *show_name(const char *name)
{
	for (const char *at = name; *at; at++) {
		if (!g_ascii_isgraph(*at) || strchr("\"\\", *at))
			return quote_text(name);
	}
	return g_strdup(name);
}

uint32_t wire_facts_folder(struct wire_facts *facts, const char *name)
{
	g_autofree char *shown = show_name(name);
	unsigned i;

	if (!g_ptr_array_find_with_equal_func(facts->folders, shown, g_str_equal, &i)) {
		i = facts->folders->len;
		g_ptr_array_add(facts->folders, g_steal_pointer(&shown));
	}
	return i + 1;
}

static const char *folder_name(const struct wire_facts *facts, uint32_t folder)
{
	if (folder == 0 || folder > facts->folders->len)
		wire_fail(facts->play, "a fact of no folder: %u", folder);
	return g_ptr_array_index(facts->folders, folder - 1);
}

/* Names of the bits that are set, and what is in `more`. */
static char *join(unsigned bits, const char *const *names, const GPtrArray *more)
{
	GString *out = g_string_new(NULL);

	for (unsigned i = 0; names[i]; i++) {
		if (bits & (1u << i))
			g_string_append_printf(out, ",%s", names[i]);
	}
	for (unsigned i = 0; more && i < more->len; i++)
		g_string_append_printf(out, ",%s", (char *)g_ptr_array_index(more, i));
	if (out->len == 0)
		g_string_append(out, ",-");
	g_string_erase(out, 0, 1);
	return g_string_free(out, FALSE);
}

static char *join_flags(unsigned flags, const GPtrArray *keywords)
{
	static const char *const names[] = {"\\Seen",	 "\\Answered", "\\Flagged",
					    "\\Deleted", "\\Draft",    NULL};

	return join(flags, names, keywords);
}

static const char *const error_names[] = {
	[ERROR_USAGE] = "USAGE",
	[ERROR_CONFIG] = "CONFIG",
	[ERROR_NO_HOST] = "NO_HOST",
	[ERROR_UNREACHABLE] = "UNREACHABLE",
	[ERROR_TIMEOUT] = "TIMEOUT",
	[ERROR_TEMPORARY] = "TEMPORARY",
	[ERROR_TLS] = "TLS",
	[ERROR_PROTOCOL] = "PROTOCOL",
	[ERROR_AUTH] = "AUTH",
	[ERROR_NO_LOGIN] = "NO_LOGIN",
	[ERROR_DENIED] = "DENIED",
	[ERROR_MOUNT] = "MOUNT",
	[ERROR_IO] = "IO",
	[ERROR_GONE] = "GONE",
	[ERROR_STALE] = "STALE",
	[ERROR_LIMIT] = "LIMIT",
	[ERROR_BUSY] = "BUSY",
	[ERROR_QUOTA] = "QUOTA",
	[ERROR_READ_ONLY] = "READ_ONLY",
	[ERROR_EXISTS] = "EXISTS",
	[ERROR_NOT_EMPTY] = "NOT_EMPTY",
	[ERROR_REFUSED] = "REFUSED",
	[ERROR_SERVER] = "SERVER",
};

char *wire_facts_error(const struct wire_facts *facts, const GError *error)
{
	g_autoptr(GString) text = g_string_new(error->message);

	if (error->domain != MAILFS_ERROR || error->code >= (int)G_N_ELEMENTS(error_names))
		wire_fail(facts->play, "an error of another house: %s", error->message);
	if (facts->server)
		g_string_replace(text, facts->server, "SERVER", 0);
	return g_strdup_printf("%s %s", error_names[error->code], text->str);
}

/* --- the sink --- */

static void on_folder(void *data, const struct store_folder *folder)
{
	static const char *const names[] = {"Noselect", "Noinferiors", "NonExistent", "Subscribed",
					    "All",	"Archive",     "Drafts",      "Flagged",
					    "Junk",	"Sent",	       "Trash",	      NULL};
	const char separator[] = {folder->separator, '\0'};
	g_autofree char *name = quote_text(folder->name);
	g_autofree char *quoted = quote_text(*separator ? separator : NULL);
	g_autofree char *attributes = join(folder->attributes, names, NULL);

	wire_facts_add(data, "folder %s %s %s", name, quoted, attributes);
}

static void add_mailbox(struct wire_facts *facts, const char *what, const char *name,
			const struct store_mailbox *mailbox)
{
	uint64_t told = mailbox->uidvalidity;
	uint64_t uidvalidity = facts->validity && told == facts->validity ? 1 : told;

	wire_facts_add(facts,
		       "%s %s uidvalidity=%" G_GUINT64_FORMAT " messages=%" G_GUINT64_FORMAT
		       " uidnext=%u modseq=%" G_GUINT64_FORMAT,
		       what, name, uidvalidity, mailbox->messages, mailbox->uidnext,
		       mailbox->modseq);
}

static void on_counts(void *data, const char *name, const struct store_mailbox *mailbox)
{
	g_autofree char *quoted = quote_text(name);

	add_mailbox(data, "counts", quoted, mailbox);
}

static void on_status(void *data, uint32_t folder, const struct store_mailbox *mailbox)
{
	add_mailbox(data, "status", folder_name(data, folder), mailbox);
}

static void on_opened(void *data, uint32_t folder, const struct store_mailbox *mailbox)
{
	add_mailbox(data, "opened", folder_name(data, folder), mailbox);
}

static void on_message(void *data, uint32_t folder, const struct store_message *message)
{
	g_autofree char *flags = join_flags(message->flags, message->keywords);
	g_autofree char *subject = quote_text(message->subject);

	wire_facts_add(data,
		       "message %s uid=%u size=%" G_GUINT64_FORMAT " date=%" G_GINT64_FORMAT
		       " flags=%s subject=%s",
		       folder_name(data, folder), message->uid, message->size, message->date_s,
		       flags, subject);
}

static void on_flags(void *data, uint32_t folder, uint64_t uidvalidity, uint32_t uid,
		     unsigned flags, GPtrArray *keywords)
{
	g_autofree char *text = join_flags(flags, keywords);

	wire_facts_add(data, "flags %s uid=%u flags=%s", folder_name(data, folder), uid, text);
}

static void on_gone(void *data, uint32_t folder, uint64_t uidvalidity, const struct seqset *uids)
{
	g_autoptr(GString) text = g_string_new(NULL);

	seqset_format(uids, text);
	wire_facts_add(data, "gone %s %s", folder_name(data, folder), text->str);
}

static void on_present(void *data, uint32_t folder, const struct seqset *uids, uint32_t upto)
{
	g_autoptr(GString) text = g_string_new(NULL);

	seqset_format(uids, text);
	wire_facts_add(data, "present %s %s upto=%u", folder_name(data, folder),
		       text->len > 0 ? text->str : "-", upto);
}

static void on_refreshed(void *data, uint32_t folder, uint32_t uidnext, uint64_t modseq,
			 uint64_t messages)
{
	g_autofree char *count = messages == UINT64_MAX
					 ? g_strdup("moved")
					 : g_strdup_printf("%" G_GUINT64_FORMAT, messages);

	wire_facts_add(data, "refreshed %s uidnext=%u modseq=%" G_GUINT64_FORMAT " messages=%s",
		       folder_name(data, folder), uidnext, modseq, count);
}

static void on_changed(void *data, uint32_t folder, bool flags)
{
	wire_facts_add(data, "changed %s%s", folder_name(data, folder), flags ? " flags" : "");
}

static void on_watched(void *data, uint32_t folder)
{
	wire_facts_add(data, "watched %s", folder_name(data, folder));
}

static void on_quota(void *data, const struct store_quota *quota)
{
	wire_facts_add(data,
		       "quota used=%" G_GUINT64_FORMAT " limit=%" G_GUINT64_FORMAT
		       " messages=%" G_GUINT64_FORMAT " limit=%" G_GUINT64_FORMAT,
		       quota->used_bytes, quota->limit_bytes, quota->used_messages,
		       quota->limit_messages);
}

static bool is_refused(struct wire_facts *facts, enum wire_refusal what)
{
	bool refused = facts->refuse == what;

	if (refused)
		facts->refuse = WIRE_REFUSE_NOTHING;
	return refused;
}

static bool on_body_begin(void *data, const struct store_job *job, uint32_t uid)
{
	bool refused = is_refused(data, WIRE_REFUSE_BEGIN);

	((struct wire_facts *)data)->came = 0;
	wire_facts_add(data, "begin %u uid=%u%s", job->epoch, uid, refused ? " refused" : "");
	return !refused;
}

static bool data_follows(const struct wire_facts *facts, const struct store_job *job, uint32_t uid,
			 uint64_t offset)
{
	return facts->data && facts->data_job == job->epoch && facts->data_uid == uid &&
	       facts->data_offset + facts->data->len == offset;
}

static bool on_body_data(void *data, const struct store_job *job, uint32_t uid, uint64_t offset,
			 const void *bytes, size_t len)
{
	struct wire_facts *facts = data;

	if (is_refused(facts, WIRE_REFUSE_DATA)) {
		wire_facts_add(facts, "data %u uid=%u refused", job->epoch, uid);
		return false;
	}
	if (!data_follows(facts, job, uid, offset)) {
		wire_facts_flush(facts);
		facts->data = g_string_new(NULL);
		facts->data_job = job->epoch;
		facts->data_uid = uid;
		facts->data_offset = offset;
	}
	g_string_append_len(facts->data, bytes, (gssize)len);
	return true;
}

static void on_body_came(void *data, const struct store_job *job, uint32_t uid, uint64_t len)
{
	struct wire_facts *facts = data;

	g_assert_cmpuint(len, >, facts->came);
	g_assert_cmpuint(job->uid, ==, uid);
	facts->came = len;
}

static bool on_body_end(void *data, const struct store_job *job, uint32_t uid, uint64_t len,
			bool complete)
{
	bool refused = is_refused(data, WIRE_REFUSE_END);

	wire_facts_add(data, "end %u uid=%u len=%" G_GUINT64_FORMAT "%s%s", job->epoch, uid, len,
		       complete ? " complete" : "", refused ? " refused" : "");
	return !refused;
}

static void on_rights(void *data, uint32_t folder, const struct store_rights *rights)
{
	static const char *const names[] = {"insert",  "delete", "expunge", "seen", "flag",
					    "keyword", "create", "drop",    NULL};
	g_autofree char *may = join(rights->may, names, NULL);
	g_autofree char *flags = join_flags(rights->flags, rights->keywords);

	wire_facts_add(data, "rights %s%s may=%s flags=%s", folder_name(data, folder),
		       rights->read_only ? " read-only" : "",
		       rights->may == STORE_MAY_ALL ? "all" : may, flags);
}

/* --- results --- */

static void add_box(GString *text, const struct store_mailbox *box)
{
	if (box->uidvalidity > 0)
		g_string_append_printf(text, " uidvalidity=%" G_GUINT64_FORMAT, box->uidvalidity);
	if (box->uidnext > 0)
		g_string_append_printf(text, " uidnext=%u", box->uidnext);
}

static void add_copied(GString *text, const GArray *copied)
{
	for (unsigned i = 0; copied && i < copied->len; i++) {
		const struct store_pair *pair = &g_array_index(copied, struct store_pair, i);

		g_string_append_printf(text, " %u=%u", pair->from, pair->to);
	}
}

static void add_found(struct wire_facts *facts, const struct store_job *job)
{
	for (unsigned i = 0; job->found && i < job->found->len; i++) {
		const struct store_identity *identity = g_ptr_array_index(job->found, i);
		g_autofree char *fields = quote_text(identity->fields);

		wire_facts_add(facts,
			       "found %u uid=%u size=%" G_GUINT64_FORMAT " date=%" G_GINT64_FORMAT
			       " %s",
			       job->epoch, identity->uid, identity->size, identity->date_s, fields);
	}
}

static void add_results(struct wire_facts *facts, const struct store_job *job)
{
	g_autoptr(GString) text = g_string_new(NULL);

	add_found(facts, job);
	if (job->sent)
		g_string_append(text, " sent");
	if (job->honest)
		g_string_append(text, " honest");
	if (job->flags_left)
		g_string_append(text, " flags-left");
	add_box(text, &job->box);
	if (job->appended_uid > 0)
		g_string_append_printf(text, " uid=%u", job->appended_uid);
	add_copied(text, job->copied);
	if (text->len > 0)
		wire_facts_add(facts, "result %u%s", job->epoch, text->str);
}

static void on_done(void *data, struct store_job *job, const GError *error)
{
	struct wire_facts *facts = data;
	g_autofree char *text = error ? wire_facts_error(facts, error) : NULL;

	if (facts->jobs == 0)
		wire_fail(facts->play, "a job comes back twice");
	facts->jobs--;
	add_results(facts, job);
	wire_facts_add(facts, "done %u%s%s", job->epoch, text ? " " : "", text ? text : "");
	store_job_free(&job);
}

const struct store_sink wire_facts_sink = {
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
