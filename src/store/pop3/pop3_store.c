#include "store/pop3/pop3_store.h"

#include "base/error.h"
#include "base/limits.h"
#include "base/log.h"
#include "store/login.h"

#include <string.h>

#define READ_SIZE (64 * 1024)
#define READS_A_STEP 8 /* then the engine commits and looks at its other connections */
#define JOBS_MAX 16    /* side by side */
#define REST_S 60      /* where a server wants to be left alone and does not say how long */

/* --- commands --- */

void pop3_store_break(struct store *store, GError *error)
{
	if (store->fatal)
		g_error_free(error);
	else
		store->fatal = error;
}

bool pop3_store_is_temporary(const struct pop3_reply *reply)
{
	return reply->code == POP3_CODE_IN_USE || reply->code == POP3_CODE_LOGIN_DELAY ||
	       reply->code == POP3_CODE_SYS_TEMP;
}

GError *pop3_store_refused(const struct pop3_reply *reply, const char *what)
{
	return g_error_new(MAILFS_ERROR,
			   pop3_store_is_temporary(reply) ? ERROR_TEMPORARY : ERROR_SERVER,
			   "%s: %s", what, reply->text);
}

static void ask_free(struct pop3_ask *ask)
{
	g_queue_remove(&ask->store->asks, ask);
	g_free(ask->refusal);
	g_free(ask);
}

static void answered(void *data, const struct pop3_reply *reply)
{
	struct pop3_ask *ask = data;
	struct store *store = ask->store;

	store->answered_ms = store->now_ms;
	ask->done(ask, reply);
	g_string_truncate(store->header, 0);
	store->header_ended = false;
	ask_free(ask);
}

void pop3_store_ask(struct store *store, const struct pop3_ask *ask)
{
	struct pop3_ask *kept = g_memdup2(ask, sizeof(*ask));

	kept->store = store;
	if (g_queue_is_empty(&store->asks))
		store->progress_ms = store->answered_ms = store->now_ms;
	g_queue_push_tail(&store->asks, kept);
	pop3_session_send(store->session, ask->verb, ask->message ? ask->message->place : 0,
			  answered, kept);
}

/* Up to the empty line behind it. */
static void collect_header(struct store *store, const uint8_t *bytes, size_t len)
{
	GString *header = store->header;
	size_t from = header->len > 3 ? header->len - 3 : 0;

	if (store->header_ended)
		return;
	g_string_append_len(header, (const char *)bytes,
			    (gssize)MIN(len, POP3_HEADER_MAX - header->len));
	store->header_ended =
		header->len == POP3_HEADER_MAX ||
		g_strstr_len(header->str + from, (gssize)(header->len - from), "\n\r\n") ||
		g_strstr_len(header->str + from, (gssize)(header->len - from), "\n\n");
}

static void on_body(void *data, uint32_t place, const uint8_t *bytes, size_t len)
{
	struct store *store = data;
	struct pop3_ask *ask = g_queue_peek_head(&store->asks);

	collect_header(store, bytes, len);
	if (ask->body)
		ask->body(ask, bytes, len);
}

static void on_uid(void *data, uint32_t place, const char *uid)
{
	pop3_list_uid_told(data, place, uid);
}

static void on_size(void *data, uint32_t place, uint64_t size)
{
	pop3_list_size_told(data, place, size);
}

static const struct pop3_session_events session_events = {
	.uid = on_uid,
	.size = on_size,
	.body = on_body,
};

static void on_trace(void *data, char direction, const char *line)
{
	const struct store *store = data;

	log_debug("%s %s %c: %s", store->account->name, store->role, direction, line);
}

/* --- messages --- */

struct pop3_message *pop3_store_message(const struct store *store, uint32_t number)
{
	return g_hash_table_lookup(store->numbers, GUINT_TO_POINTER(number));
}

bool pop3_store_is_too_large(const struct pop3_message *message)
{
	return message->size != POP3_SIZE_UNKNOWN && message->size > LIMIT_MESSAGE_SIZE;
}

void pop3_row_clear(struct uidl_row *row)
{
	g_clear_pointer(&row->uidl, g_free);
	g_clear_pointer(&row->hash, g_free);
}

bool pop3_store_row(struct store *store, const struct pop3_message *message, struct uidl_row *ret)
{
	if (uidls_get(store->index, message->number, ret))
		return true;
	pop3_store_break(store, g_error_new(MAILFS_ERROR, ERROR_IO,
					    "the index lost what it was told of messages"));
	return false;
}

bool pop3_store_is_on_record(struct pop3_ask *ask, bool *ret_same)
{
	struct store *store = ask->store;
	struct pop3_header header;
	struct uidl_row row;

	if (!pop3_store_row(store, ask->message, &row))
		return false;
	pop3_header_read(&header, store->header->str, store->header->len);
	*ret_same = *row.hash == '\0' || pop3_header_is_like(row.hash, header.hash);
	pop3_header_clear(&header);
	pop3_row_clear(&row);
	return true;
}

void pop3_store_forget(struct store *store, uint32_t number)
{
	uidls_forget(store->index, number);
	g_hash_table_remove(store->numbers, GUINT_TO_POINTER(number));
}

/* --- jobs --- */

void pop3_store_fail(struct pop3_job *job, GError *error)
{
	if (job->error)
		g_error_free(error);
	else
		job->error = error;
}

static void job_give_back(struct pop3_job *job, const GError *error)
{
	struct store *store = job->store;

	g_queue_remove(&store->jobs, job);
	store->sink->done(store->data, job->job, error);
	pop3_walk_free(&job->walk);
	g_clear_pointer(&job->news, g_ptr_array_unref);
	seqset_clear(&job->removed);
	seqset_clear(&job->others);
	g_clear_error(&job->error);
	g_free(job);
}

void pop3_store_end(struct pop3_job *job)
{
	if (job->asked == 0 && !job->store->closing)
		job_give_back(job, job->error);
}

static bool is_inbox(const char *name)
{
	return name && g_ascii_strcasecmp(name, "INBOX") == 0;
}

bool pop3_store_is_here(struct pop3_job *job)
{
	const struct store_job *wanted = job->job;
	bool any = wanted->kind == STORE_REFRESH ||
		   (wanted->kind == STORE_RIGHTS && wanted->known.uidvalidity == 0);

	if (!is_inbox(wanted->name))
		pop3_store_fail(
			job, g_error_new(MAILFS_ERROR, ERROR_GONE, "there is no folder but INBOX"));
	else if (!any && wanted->known.uidvalidity != job->store->validity)
		pop3_store_fail(job, g_error_new(MAILFS_ERROR, ERROR_STALE,
						 "the numbers of messages began anew"));
	return !job->error;
}

static void list_start(struct pop3_job *job)
{
	struct store *store = job->store;

	store->sink->folder(store->data, &(struct store_folder){.name = "INBOX"});
	pop3_store_end(job);
}

static void status_start(struct pop3_job *job)
{
	struct store *store = job->store;
	const struct store_job *wanted = job->job;
	uint32_t next = store->index ? uidls_next(store->index) : 0;
	guint count = store->index ? g_hash_table_size(store->numbers) : store->messages->len;

	for (unsigned i = 0; i < wanted->names->len && !store->partial; i++) {
		if (is_inbox(g_ptr_array_index(wanted->names, i)))
			store->sink->status(store->data,
					    g_array_index(wanted->folders, uint32_t, i),
					    &(struct store_mailbox){
						    .uidvalidity = store->validity,
						    .messages = count,
						    .uidnext = next,
					    });
	}
	pop3_store_end(job);
}

static void rights_start(struct pop3_job *job)
{
	struct store *store = job->store;

	if (pop3_store_is_here(job))
		store->sink->rights(store->data, job->job->folder,
				    &(struct store_rights){.may = STORE_MAY_DELETE,
							   .flags = STORE_FLAG_DELETED});
	pop3_store_end(job);
}

/* What there is to tell was told when the session began: PROBE. A size that LIST told is
 * never to be believed: MEASURE. */
static void nothing_start(struct pop3_job *job)
{
	pop3_store_end(job);
}

static void read_only_start(struct pop3_job *job)
{
	pop3_store_fail(job, g_error_new(MAILFS_ERROR, ERROR_READ_ONLY,
					 "POP3 can do nothing but read and remove messages"));
	pop3_store_end(job);
}

static bool has_job(const struct store *store, enum store_job_kind kind)
{
	for (const GList *link = store->jobs.head; link; link = link->next) {
		if (((const struct pop3_job *)link->data)->job->kind == kind)
			return true;
	}
	return false;
}

static bool pop3_accepts(const struct store *store, const struct store_job *job)
{
	if (store->stage != POP3_STAGE_WORKING || store->finishing || store->fatal)
		return false;
	/* QUIT is next. */
	if (has_job(store, STORE_FLAGS))
		return false;
	switch (job->kind) {
	case STORE_FLAGS:
		return g_queue_is_empty((GQueue *)&store->jobs);
	case STORE_REFRESH:
		return !has_job(store, STORE_REFRESH);
	default:
		return g_queue_get_length((GQueue *)&store->jobs) < JOBS_MAX;
	}
}

static void pop3_submit(struct store *store, struct store_job *submitted, int64_t now_ms)
{
	static void (*const start[])(struct pop3_job *) = {
		[STORE_LIST] = list_start,
		[STORE_STATUS] = status_start,
		[STORE_REFRESH] = pop3_refresh_start,
		[STORE_BODY] = pop3_body_start,
		[STORE_PROBE] = nothing_start,
		[STORE_MEASURE] = nothing_start,
		[STORE_RIGHTS] = rights_start,
		[STORE_FLAGS] = pop3_remove_start,
		[STORE_EXPUNGE] = read_only_start,
		[STORE_MOVE] = read_only_start,
		[STORE_COPY] = read_only_start,
		[STORE_FIND] = read_only_start,
		[STORE_APPEND] = read_only_start,
		[STORE_MARK] = read_only_start,
		[STORE_CREATE] = read_only_start,
		[STORE_DELETE] = read_only_start,
		[STORE_RENAME] = read_only_start,
		[STORE_LEAVE] = nothing_start,
	};
	struct pop3_job *job = g_new0(struct pop3_job, 1);

	store->now_ms = now_ms;
	job->store = store;
	job->job = submitted;
	job->started_ms = now_ms;
	g_queue_push_tail(&store->jobs, job);
	start[submitted->kind](job);
}

/* --- the connection --- */

static void open_link(struct store *store)
{
	const struct account *account = store->account;

	store->link = link_new(&(struct link_config){.host = account->host,
						     .port = account->port,
						     .tls = account->tls == TLS_IMPLICIT,
						     .ca_file = account->tls_ca,
						     .cert_file = account->tls_cert,
						     .key_file = account->tls_key,
						     .fingerprint = account->tls_fingerprint},
			       store->now_ms);
}

static struct store *pop3_open(const struct store_config *config, const struct store_sink *sink,
			       void *data, int64_t now_ms)
{
	struct store *store = g_new0(struct store, 1);

	store->account = config->account;
	store->credential = config->credential;
	store->index = config->index;
	store->sink = sink;
	store->data = data;
	store->role = config->role;
	store->now_ms = store->progress_ms = store->born_ms = now_ms;
	store->header = g_string_new(NULL);
	store->messages = g_ptr_array_new_with_free_func(pop3_message_free);
	store->places = g_hash_table_new(NULL, NULL);
	store->numbers = g_hash_table_new(NULL, NULL);
	g_queue_init(&store->asks);
	g_queue_init(&store->jobs);
	open_link(store);
	return store;
}

static void open_session(struct store *store)
{
	store->session = pop3_session_new(
		&(struct pop3_session_config){
			.login = store_login(store->account, store->credential, store->link),
			.tls_active = store->account->tls == TLS_IMPLICIT,
			.tls_required = store->account->tls == TLS_STARTTLS,
			.no_capa = store->no_capa,
		},
		&session_events, store);
	if (log_level_get() >= LOG_LEVEL_DEBUG)
		pop3_session_set_trace(store->session, on_trace, store);
}

static bool pop3_ready(const struct store *store)
{
	return store->stage == POP3_STAGE_WORKING && !store->finishing;
}

void pop3_store_leave(struct store *store, pop3_quit_fn done, void *data)
{
	store->stage = POP3_STAGE_LEAVING;
	pop3_session_quit(store->session, done, data);
}

static void left(void *data, enum pop3_quit result, const struct pop3_reply *reply)
{
	struct store *store = data;

	store->stage = POP3_STAGE_LEFT;
}

/* Not while something is to be deleted: nobody would hear what became of it. */
static void say_goodbye(struct store *store)
{
	const struct buf *out;

	if (store->stage != POP3_STAGE_WORKING || !g_queue_is_empty(&store->asks))
		return;
	pop3_store_leave(store, left, store);
	out = pop3_session_output(store->session);
	link_write(store->link, buf_data(out), buf_len(out), NULL);
}

static void pop3_close(struct store **ret_store)
{
	struct store *store = *ret_store;
	struct pop3_job *job;

	if (!store)
		return;
	store->closing = true;
	if (!store->fatal)
		store->fatal = g_error_new(MAILFS_ERROR, ERROR_UNREACHABLE,
					   "connection to %s closed", store->account->host);
	if (g_queue_is_empty(&store->jobs))
		say_goodbye(store);
	pop3_session_free(&store->session);
	while ((job = g_queue_peek_head(&store->jobs)))
		job_give_back(job, store->fatal);
	link_free(&store->link);
	pop3_map_free(&store->map);
	g_hash_table_unref(store->numbers);
	g_hash_table_unref(store->places);
	g_ptr_array_unref(store->messages);
	g_string_free(store->header, TRUE);
	g_clear_error(&store->listing_error);
	g_clear_error(&store->fatal);
	g_clear_pointer(ret_store, g_free);
}

static void pop3_finish(struct store *store)
{
	store->finishing = true;
	/* Nothing was begun that QUIT would end. */
	if (store->stage == POP3_STAGE_LOGIN)
		store->stage = POP3_STAGE_LEFT;
}

static int64_t pop3_rest_ms(const struct store *store)
{
	uint32_t delay_s;

	if (!store->session)
		return 0;
	delay_s = pop3_session_capa(store->session)->login_delay_s;
	if (delay_s == 0 && pop3_session_code(store->session) == POP3_CODE_LOGIN_DELAY)
		delay_s = REST_S;
	return delay_s * INT64_C(1000);
}

/* --- time --- */

/* A server may read or write its whole mailbox then. */
static bool may_be_slow(const struct store *store)
{
	return pop3_session_state(store->session) == POP3_SESSION_AUTH ||
	       store->stage == POP3_STAGE_LISTING || store->stage == POP3_STAGE_LEAVING;
}

/* How long the server may be silent; 0: it owes nothing. */
static int64_t patience_ms(const struct store *store)
{
	int64_t timeout = store->account->timeout_s * INT64_C(1000);
	int64_t patience = store->session ? pop3_session_patience_ms(store->session) : 0;

	if (patience == 0)
		return 0;
	return may_be_slow(store) ? MAX(patience, timeout) : MIN(patience, timeout);
}

static int64_t deadline_ms(const struct store *store)
{
	const struct pop3_job *job = g_queue_peek_head((GQueue *)&store->jobs);
	int64_t deadline = link_deadline_ms(store->link);
	int64_t patience = patience_ms(store);

	if (patience == 0)
		return deadline;
	deadline = MIN(deadline, store->progress_ms + patience);
	if (store->stage < POP3_STAGE_TELLING_APART)
		deadline = MIN(deadline, store->born_ms + LIMIT_JOB_MS);
	else if (!job || job->job->kind == STORE_REFRESH)
		deadline = MIN(deadline, store->answered_ms + LIMIT_JOB_MS);
	else
		deadline = MIN(deadline, job->started_ms + LIMIT_JOB_MS);
	return deadline;
}

static bool is_on_time(const struct store *store, GError **error)
{
	int64_t silent_ms = store->now_ms - store->progress_ms;

	if (patience_ms(store) == 0 || store->now_ms < deadline_ms(store))
		return true;
	if (silent_ms >= patience_ms(store))
		g_set_error(error, MAILFS_ERROR, ERROR_TIMEOUT,
			    "no answer from %s for %" G_GINT64_FORMAT " s", store->account->host,
			    silent_ms / 1000);
	else
		g_set_error(error, MAILFS_ERROR, ERROR_TIMEOUT, "%s takes too long to answer",
			    store->account->host);
	return false;
}

static void pop3_poll(const struct store *store, struct pollfd *ret_poll, int64_t *ret_deadline_ms)
{
	bool want_write = store->session && buf_len(pop3_session_output(store->session)) > 0;
	bool at_once = link_pending(store->link) || store->fatal ||
		       store->stage == POP3_STAGE_LEFT ||
		       (store->finishing && store->stage < POP3_STAGE_LEAVING &&
			g_queue_is_empty((GQueue *)&store->jobs));

	ret_poll->fd = link_fd(store->link);
	ret_poll->events = link_events(store->link, want_write);
	ret_poll->revents = 0;
	*ret_deadline_ms = at_once ? 0 : deadline_ms(store);
}

/* --- a step --- */

static bool flush(struct store *store, GError **error)
{
	const struct buf *out = pop3_session_output(store->session);

	while (buf_len(out) > 0) {
		ssize_t sent = link_write(store->link, buf_data(out), buf_len(out), error);

		if (sent < 0)
			return false;
		if (sent == 0)
			break;
		store->progress_ms = store->now_ms;
		pop3_session_wrote(store->session, (size_t)sent);
	}
	return true;
}

static bool is_closed(const struct store *store)
{
	return pop3_session_state(store->session) == POP3_SESSION_CLOSED;
}

static bool receive(struct store *store, GError **error)
{
	uint8_t bytes[READ_SIZE];

	for (int i = 0; i < READS_A_STEP && !is_closed(store); i++) {
		ssize_t len = link_read(store->link, bytes, sizeof(bytes), error);

		if (len < 0)
			return false;
		if (len == 0)
			break;
		store->progress_ms = store->now_ms;
		if (!pop3_session_feed(store->session, bytes, (size_t)len, error))
			return false;
		if (pop3_session_state(store->session) == POP3_SESSION_WANT_TLS)
			return link_start_tls(store->link, store->now_ms, error);
	}
	return true;
}

/* What follows from what came. */
static void carry_on(struct store *store)
{
	if (store->finishing && store->stage < POP3_STAGE_LEAVING && g_queue_is_empty(&store->jobs))
		pop3_store_leave(store, left, store);
	else if (store->stage == POP3_STAGE_LOGIN &&
		 pop3_session_state(store->session) == POP3_SESSION_READY)
		pop3_list_begin(store);
}

static void start_login(struct store *store)
{
	const struct sasl_binding binding = store_binding(store->link);

	pop3_session_tls_done(store->session, &binding);
}

static bool converse(struct store *store, GError **error)
{
	if (pop3_session_state(store->session) == POP3_SESSION_WANT_TLS)
		start_login(store);
	if (!flush(store, error) || !receive(store, error))
		return false;
	carry_on(store);
	if (link_state(store->link) == LINK_OPEN && !is_closed(store) && !flush(store, error))
		return false;
	return true;
}

static bool step(struct store *store, GError **error)
{
	if (!link_step(store->link, store->now_ms, error))
		return false;
	if (link_state(store->link) != LINK_OPEN)
		return true;
	if (!store->session) {
		open_session(store);
		store->progress_ms = store->now_ms;
	}
	return converse(store, error) && is_on_time(store, error);
}

/* Some servers hang up at what they do not know. */
static bool is_lost_at_capa(const struct store *store, const GError *error)
{
	return store->session && !store->no_capa &&
	       pop3_session_state(store->session) == POP3_SESSION_CAPA &&
	       g_error_matches(error, MAILFS_ERROR, ERROR_UNREACHABLE);
}

static void connect_without_capa(struct store *store)
{
	store->no_capa = true;
	pop3_session_free(&store->session);
	link_free(&store->link);
	open_link(store);
}

/* Nobody waits for what became of the QUIT. */
static bool is_lost_without_harm(const struct store *store)
{
	return store->stage == POP3_STAGE_LEAVING && g_queue_is_empty((GQueue *)&store->jobs);
}

static bool pop3_step(struct store *store, int64_t now_ms, GError **error)
{
	GError *fatal = NULL;

	store->now_ms = now_ms;
	if (store->stage == POP3_STAGE_LEFT)
		return false;
	if (!store->fatal && step(store, &fatal) && !store->fatal)
		return store->stage != POP3_STAGE_LEFT;
	if (!store->fatal && is_lost_at_capa(store, fatal)) {
		g_error_free(fatal);
		connect_without_capa(store);
		return true;
	}
	if (fatal)
		pop3_store_break(store, fatal);
	if (is_lost_without_harm(store))
		return false;
	g_propagate_error(error, g_error_copy(store->fatal));
	return false;
}

/* --- what it is --- */

/* Nothing but those that are removed. */
static unsigned pop3_abilities(const struct store *store, uint64_t *ret_append_max_bytes)
{
	*ret_append_max_bytes = 0;
	return STORE_CAN_REMOVE;
}

static const char *pop3_way_in(const struct store *store)
{
	return pop3_session_way_in(store->session);
}

static void pop3_describe(const struct store *store, GString *out)
{
	g_autofree char *capa = NULL;

	link_describe(store->link, out);
	if (!store->session)
		return;
	if (pop3_session_way_in(store->session))
		g_string_append_printf(out, "login: %s\n", pop3_session_way_in(store->session));
	capa = pop3_capa_text(pop3_session_capa(store->session));
	g_string_append_printf(out, "capabilities: %s\n", capa);
}

const struct store_ops store_pop3 = {
	.traits = STORE_EXCLUSIVE | STORE_BRIEF | STORE_NUMBERS,
	.always = STORE_CAN_REMOVE,
	.open = pop3_open,
	.close = pop3_close,
	.finish = pop3_finish,
	.rest_ms = pop3_rest_ms,
	.ready = pop3_ready,
	.poll = pop3_poll,
	.step = pop3_step,
	.accepts = pop3_accepts,
	.submit = pop3_submit,
	.abilities = pop3_abilities,
	.way_in = pop3_way_in,
	.describe = pop3_describe,
};
