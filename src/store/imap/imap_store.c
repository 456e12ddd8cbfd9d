#include "store/imap/imap_store.h"

#include "base/error.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/text.h"
#include "store/login.h"

#include <string.h>

#define READ_SIZE (64 * 1024)
#define READS_A_STEP 8 /* then the engine commits and looks at its other connections */
#define LOGIN_MS (4 * LIMIT_CONNECT_MS)

/* --- answers --- */

void imap_store_fail(struct imap_job *job, GError *error)
{
	if (job->error)
		g_error_free(error);
	else
		job->error = error;
}

void imap_store_send(struct imap_job *job, struct imap_command **command, bool alone,
		     imap_done_fn done)
{
	job->commands++;
	if (imap_session_in_flight(job->store->session) == 0 ||
	    imap_session_is_idle(job->store->session))
		job->store->progress_ms = job->store->now_ms;
	imap_session_send(job->store->session, command, alone, done, job);
}

bool imap_store_answered(struct imap_job *job, const struct imap_response *tagged, const char *what)
{
	job->commands--;
	if (!tagged)
		return false;
	if (tagged->status != IMAP_OK) {
		imap_store_fail(job, imap_response_error(tagged, what));
		return false;
	}
	return true;
}

bool imap_store_delivered(struct imap_job *job, const struct imap_response *tagged,
			  const char *what, const char *target)
{
	g_autofree char *shown = text_clean(target, -1, LIMIT_MAILBOX_NAME);

	if (!tagged ||
	    (tagged->code != IMAP_CODE_TRYCREATE && tagged->code != IMAP_CODE_NONEXISTENT))
		return imap_store_answered(job, tagged, what);
	job->commands--;
	imap_store_fail(job, g_error_new(MAILFS_ERROR, ERROR_REFUSED, "%s: no such folder: %s",
					 what, shown));
	return false;
}

struct imap_command *imap_store_named(const char *verb, const char *name)
{
	struct imap_command *command = imap_command_new("%s ", verb);

	/* Only a NUL would be refused. */
	imap_command_string(command, name, strlen(name));
	return command;
}

bool imap_store_is_same(const char *a, const char *b)
{
	return strcmp(a, b) == 0 ||
	       (g_ascii_strcasecmp(a, "INBOX") == 0 && g_ascii_strcasecmp(b, "INBOX") == 0);
}

char *imap_store_shown_name(const struct imap_job *job)
{
	return text_clean(job->job->name, -1, LIMIT_MAILBOX_NAME);
}

static void news_taken(void *data, const struct imap_response *tagged)
{
	struct imap_job *job = data;

	if (imap_store_answered(job, tagged, "cannot ask for news"))
		job->next(job);
	else if (tagged)
		imap_store_finish(job);
}

void imap_store_news(struct imap_job *job, void (*next)(struct imap_job *))
{
	struct imap_command *noop = imap_command_new("NOOP");

	job->again = true;
	job->next = next;
	imap_store_send(job, &noop, false, news_taken);
}

static void imap_job_free(struct imap_job *job)
{
	struct store *store = job->store;

	if (store->body == job)
		store->body = NULL;
	g_queue_remove(&store->jobs, job);
	seqset_clear(&job->seen);
	if (job->odd)
		g_array_unref(job->odd);
	g_free(job->leaving);
	g_clear_error(&job->error);
	g_free(job);
}

void imap_store_finish(struct imap_job *job)
{
	struct store *store = job->store;

	if (job->commands > 0 || store->closing)
		return;
	store->sink->done(store->data, job->job, job->error);
	imap_job_free(job);
}

static struct imap_job *first_job(struct store *store)
{
	return g_queue_peek_head(&store->jobs);
}

static bool first_is(struct store *store, enum store_job_kind kind)
{
	struct imap_job *job = first_job(store);

	return job && job->job->kind == kind;
}

static void on_untagged(void *data, const struct imap_response *response)
{
	struct store *store = data;

	if (response->data == IMAP_DATA_STATUS && response->code == IMAP_CODE_ALERT)
		log_warning("%s: the server says: %s", store->account->name, response->text);
	imap_select_untagged(store, response);
	switch (response->data) {
	case IMAP_DATA_STATUS:
		if (first_is(store, STORE_MOVE) || first_is(store, STORE_COPY))
			imap_transfer_told(first_job(store), response);
		else if (first_is(store, STORE_WATCH) &&
			 response->code == IMAP_CODE_NOTIFICATIONOVERFLOW)
			imap_watch_overflow(first_job(store));
		break;
	case IMAP_DATA_LIST:
		if (first_is(store, STORE_LIST))
			imap_list_untagged(store, response);
		else if (first_is(store, STORE_DELETE))
			imap_delete_listed(first_job(store), response);
		break;
	case IMAP_DATA_MYRIGHTS:
		if (first_job(store))
			imap_rights_untagged(first_job(store), response);
		break;
	case IMAP_DATA_MAILBOX_STATUS:
		if (first_is(store, STORE_STATUS))
			imap_status_untagged(first_job(store), response);
		else if (first_is(store, STORE_LIST))
			imap_list_status(store, response);
		else if (first_is(store, STORE_MARK))
			imap_mark_untagged(first_job(store), response);
		else if (first_is(store, STORE_WATCH))
			imap_watch_status(first_job(store), response);
		break;
	case IMAP_DATA_QUOTA:
		if (first_is(store, STORE_LIST))
			imap_quota_untagged(store, response);
		break;
	case IMAP_DATA_SEARCH:
		if (first_is(store, STORE_REFRESH) || first_is(store, STORE_DELETE))
			imap_refresh_search(first_job(store), response);
		break;
	default:
		break;
	}
}

static void on_body_begin(void *data, uint32_t uid, uint64_t origin, uint64_t size)
{
	imap_body_begin(data, uid, origin, size);
}

static void on_body_data(void *data, const uint8_t *bytes, size_t len)
{
	imap_body_data(data, bytes, len);
}

static const struct imap_session_events session_events = {
	.untagged = on_untagged,
	.body_begin = on_body_begin,
	.body_data = on_body_data,
};

static void on_trace(void *data, char direction, const char *line)
{
	const struct store *store = data;

	log_debug("%s %s %c: %s", store->account->name, store->role, direction, line);
}

/* --- the connection --- */

static struct store *imap_open(const struct store_config *config, const struct store_sink *sink,
			       void *data, int64_t now_ms)
{
	struct store *store = g_new0(struct store, 1);
	const struct account *account = config->account;

	store->account = account;
	store->credential = config->credential;
	store->sink = sink;
	store->data = data;
	store->role = config->role;
	store->now_ms = store->progress_ms = store->born_ms = now_ms;
	store->flags_ms = g_hash_table_new_full(NULL, NULL, NULL, g_free);
	g_queue_init(&store->jobs);
	store->link = link_new(&(struct link_config){.host = account->host,
						     .port = account->port,
						     .tls = account->tls == TLS_IMPLICIT,
						     .ca_file = account->tls_ca,
						     .cert_file = account->tls_cert,
						     .key_file = account->tls_key,
						     .fingerprint = account->tls_fingerprint},
			       now_ms);
	return store;
}

/* On this machine it costs more than it saves. */
static bool wants_compression(const struct store *store)
{
	switch (store->account->compress) {
	case COMPRESS_ON:
		return true;
	case COMPRESS_AUTO:
		return !link_is_loopback(store->link);
	case COMPRESS_OFF:
		break;
	}
	return false;
}

static void open_session(struct store *store)
{
	char tag[5] = "";

	for (int i = 0; i < 4; i++)
		tag[i] = (char)('a' + g_random_int_range(0, 26));
	store->session = imap_session_new(
		&(struct imap_session_config){
			.login = store_login(store->account, store->credential, store->link),
			.tls_active = store->account->tls == TLS_IMPLICIT,
			.tls_required = store->account->tls == TLS_STARTTLS,
			.compress = wants_compression(store),
			.tag_prefix = tag,
		},
		&session_events, store);
	if (log_level_get() >= LOG_LEVEL_DEBUG)
		imap_session_set_trace(store->session, on_trace, store);
}

static bool imap_ready(const struct store *store)
{
	return store->session && imap_session_state(store->session) == IMAP_SESSION_READY;
}

static void imap_close(struct store **ret_store)
{
	struct store *store = *ret_store;
	struct imap_job *job;

	if (!store)
		return;
	store->closing = true;
	if (!store->fatal)
		store->fatal = g_error_new(MAILFS_ERROR, ERROR_UNREACHABLE,
					   "connection to %s closed", store->account->host);
	if (imap_ready(store) && g_queue_is_empty(&store->jobs)) {
		imap_session_logout(store->session);
		const struct buf *out = imap_session_output(store->session);
		link_write(store->link, buf_data(out), buf_len(out), NULL);
	}
	imap_session_free(&store->session);
	while ((job = first_job(store))) {
		store->sink->done(store->data, job->job, store->fatal);
		imap_job_free(job);
	}
	link_free(&store->link);
	imap_select_clear(store);
	g_hash_table_unref(store->flags_ms);
	g_clear_error(&store->fatal);
	g_clear_pointer(ret_store, g_free);
}

/* Something is owed to us: silence is measured. */
static bool is_waiting(const struct store *store)
{
	return store->session &&
	       (!imap_ready(store) || (imap_session_in_flight(store->session) > 0 &&
				       !imap_session_is_idle(store->session)));
}

/* An upload may be slow, as long as it goes on. */
static int64_t job_deadline_ms(const struct imap_job *job)
{
	int64_t deadline = job->started_ms + LIMIT_JOB_MS;

	if (job->job->kind == STORE_APPEND)
		deadline += (int64_t)(job->job->len / LIMIT_UPLOAD_BYTES_MS);
	return deadline;
}

static int64_t deadline_ms(const struct store *store)
{
	const struct imap_job *job = g_queue_peek_head((GQueue *)&store->jobs);
	int64_t deadline = link_deadline_ms(store->link);

	if (!is_waiting(store))
		return MIN(deadline, imap_watch_deadline_ms(store));
	deadline = MIN(deadline, store->progress_ms + store->account->timeout_s * 1000ll);
	if (!imap_ready(store))
		deadline = MIN(deadline, store->born_ms + LOGIN_MS);
	else if (job && job->job->kind != STORE_REFRESH && job->job->kind != STORE_WATCH)
		deadline = MIN(deadline, job_deadline_ms(job));
	return deadline;
}

static void imap_poll(const struct store *store, struct pollfd *ret_poll, int64_t *ret_deadline_ms)
{
	bool want_write = store->session && buf_len(imap_session_output(store->session)) > 0;

	ret_poll->fd = link_fd(store->link);
	ret_poll->events = link_events(store->link, want_write);
	ret_poll->revents = 0;
	*ret_deadline_ms = link_pending(store->link) ? 0 : deadline_ms(store);
}

static bool flush(struct store *store, GError **error)
{
	const struct buf *out = imap_session_output(store->session);

	while (buf_len(out) > 0) {
		ssize_t sent = link_write(store->link, buf_data(out), buf_len(out), error);

		if (sent < 0)
			return false;
		if (sent == 0)
			break;
		/* What the server took is no silence: an upload may last. */
		store->progress_ms = store->now_ms;
		if (!imap_session_wrote(store->session, (size_t)sent, error))
			return false;
	}
	return true;
}

/* What came behind the answer is compressed already. */
static bool start_deflate(struct store *store, const uint8_t *bytes, size_t len, GError **error)
{
	size_t left = imap_session_left(store->session);

	if (!link_start_deflate(store->link, bytes + len - left, left, error))
		return false;
	imap_session_deflate_done(store->session);
	return true;
}

static bool receive(struct store *store, GError **error)
{
	uint8_t bytes[READ_SIZE];

	for (int i = 0; i < READS_A_STEP; i++) {
		ssize_t len = link_read(store->link, bytes, sizeof(bytes), error);

		if (len < 0)
			return false;
		if (len == 0)
			break;
		store->progress_ms = store->now_ms;
		if (!imap_session_feed(store->session, bytes, (size_t)len, error))
			return false;
		if (imap_session_state(store->session) == IMAP_SESSION_WANT_TLS)
			return link_start_tls(store->link, store->now_ms, error);
		if (imap_session_state(store->session) == IMAP_SESSION_WANT_DEFLATE &&
		    !start_deflate(store, bytes, (size_t)len, error))
			return false;
	}
	return true;
}

static void start_login(struct store *store)
{
	const struct sasl_binding binding = store_binding(store->link);

	imap_session_tls_done(store->session, &binding);
}

static bool converse(struct store *store, GError **error)
{
	if (imap_session_state(store->session) == IMAP_SESSION_WANT_TLS)
		start_login(store);
	if (!flush(store, error) || !receive(store, error))
		return false;
	if (link_state(store->link) == LINK_OPEN && !flush(store, error))
		return false;
	if (imap_session_state(store->session) == IMAP_SESSION_CLOSED) {
		/* Its own error, if it has one. */
		if (!imap_session_feed(store->session, (const uint8_t *)"", 0, error))
			return false;
		g_set_error(error, MAILFS_ERROR, ERROR_UNREACHABLE, "%s closed the connection",
			    store->account->host);
		return false;
	}
	return true;
}

static bool is_on_time(struct store *store, GError **error)
{
	int64_t silent_s = (store->now_ms - store->progress_ms) / 1000;

	if (!is_waiting(store) || store->now_ms < deadline_ms(store))
		return true;
	if (silent_s >= store->account->timeout_s)
		g_set_error(error, MAILFS_ERROR, ERROR_TIMEOUT,
			    "no answer from %s for %" G_GINT64_FORMAT " s", store->account->host,
			    silent_s);
	else
		g_set_error(error, MAILFS_ERROR, ERROR_TIMEOUT, "%s takes too long to answer",
			    store->account->host);
	return false;
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
	imap_watch_step(store);
	if (!converse(store, error) || !is_on_time(store, error))
		return false;
	imap_body_tell(store);
	imap_watch_tell(store);
	return true;
}

static bool imap_step(struct store *store, int64_t now_ms, GError **error)
{
	GError *fatal = NULL;

	store->now_ms = now_ms;
	if (step(store, &fatal))
		return true;
	store->fatal = g_error_copy(fatal);
	g_propagate_error(error, fatal);
	return false;
}

/* --- jobs --- */

/* It asks for nothing that may have to be enabled. */
static bool is_plain(const struct store_job *job)
{
	return job->kind == STORE_BODY || (job->kind == STORE_LIST && !job->counts);
}

static bool imap_accepts(const struct store *store, const struct store_job *job)
{
	const struct imap_job *first = g_queue_peek_head((GQueue *)&store->jobs);

	if (!imap_ready(store) || !(imap_session_is_settled(store->session) || is_plain(job)))
		return false;
	if (!first)
		return true;
	if (imap_watch_accepts(store, job))
		return true;
	if (job->kind != STORE_BODY || store->uid_late ||
	    g_queue_get_length((GQueue *)&store->jobs) >= IMAP_BODY_DEPTH)
		return false;
	return imap_body_is_opening(store, job) ||
	       (first->asked && store->selected == job->folder &&
		first->job->folder == job->folder &&
		store->box.uidvalidity == job->known.uidvalidity);
}

static void imap_probe_done(void *data, const struct imap_response *tagged)
{
	struct imap_job *job = data;

	imap_store_answered(job, tagged, "cannot ask for news");
	imap_store_finish(job);
}

static void imap_probe_start(struct imap_job *job)
{
	struct imap_command *noop = imap_command_new("NOOP");

	imap_store_send(job, &noop, false, imap_probe_done);
}

static void imap_submit(struct store *store, struct store_job *submitted, int64_t now_ms)
{
	static void (*const start[])(struct imap_job *) = {
		[STORE_LIST] = imap_list_start,	      [STORE_STATUS] = imap_status_start,
		[STORE_REFRESH] = imap_refresh_start, [STORE_BODY] = imap_body_start,
		[STORE_PROBE] = imap_probe_start,     [STORE_MEASURE] = imap_measure_start,
		[STORE_RIGHTS] = imap_rights_start,   [STORE_FLAGS] = imap_flags_start,
		[STORE_EXPUNGE] = imap_expunge_start, [STORE_MOVE] = imap_transfer_start,
		[STORE_COPY] = imap_transfer_start,   [STORE_FIND] = imap_find_start,
		[STORE_APPEND] = imap_append_start,   [STORE_MARK] = imap_mark_start,
		[STORE_CREATE] = imap_create_start,   [STORE_DELETE] = imap_delete_start,
		[STORE_RENAME] = imap_rename_start,   [STORE_WATCH] = imap_watch_start,
		[STORE_LEAVE] = imap_leave_start,
	};
	struct imap_job *job = g_new0(struct imap_job, 1);

	store->now_ms = now_ms;
	job->store = store;
	job->job = submitted;
	job->started_ms = now_ms;
	g_queue_push_tail(&store->jobs, job);
	start[submitted->kind](job);
}

static unsigned imap_abilities(const struct store *store, uint64_t *ret_append_max_bytes)
{
	unsigned caps = imap_session_caps(store->session);

	*ret_append_max_bytes = imap_session_append_limit(store->session);
	return STORE_CAN_CHANGE | (caps & IMAP_CAP_MOVE ? STORE_CAN_MOVE : 0) |
	       (caps & IMAP_CAP_UIDPLUS ? STORE_CAN_EXPUNGE : 0) |
	       (caps & IMAP_CAP_IDLE ? STORE_CAN_WATCH : 0) |
	       (caps & IMAP_CAP_NOTIFY ? STORE_CAN_WATCH_MANY : 0);
}

static const char *imap_way_in(const struct store *store)
{
	return imap_session_way_in(store->session);
}

static void imap_describe(const struct store *store, GString *out)
{
	link_describe(store->link, out);
	g_string_append_printf(out, "compression: %s\n",
			       link_is_compressed(store->link) ? "deflate" : "none");
	if (!store->session)
		return;
	if (imap_session_way_in(store->session))
		g_string_append_printf(out, "login: %s\n", imap_session_way_in(store->session));
	g_string_append_printf(out, "capabilities: %s\n", imap_session_cap_text(store->session));
}

const struct store_ops store_imap = {
	.open = imap_open,
	.close = imap_close,
	.ready = imap_ready,
	.poll = imap_poll,
	.step = imap_step,
	.accepts = imap_accepts,
	.submit = imap_submit,
	.abilities = imap_abilities,
	.way_in = imap_way_in,
	.describe = imap_describe,
};
