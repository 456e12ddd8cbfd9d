#include "outbox/submitter.h"

#include "base/error.h"
#include "base/limits.h"
#include "base/log.h"
#include "net/link.h"

#define READ_SIZE (16 * 1024)
#define QUIT_MS 2000
/* What any client behind a NAT may say, and it tells nobody more. */
#define HELO_NAME "[127.0.0.1]"

struct submitter {
	const struct submitter_config config;
	struct link *link;
	struct smtp_session *session; /* from the moment the link is open */
	int64_t now_ms;
	int64_t progress_ms; /* when a byte was last read or written */
	int64_t ends_ms;     /* of what is being done: login, or a transaction */
	bool dotted;	     /* the dot of this transaction was given out */
	bool quitting;
};

static const struct submission *smtp_of(const struct submitter *submitter)
{
	return &submitter->config.account->smtp;
}

struct submitter *submitter_new(const struct submitter_config *config, int64_t now_ms)
{
	const struct account *account = config->account;
	struct submitter init = {.config = *config,
				 .now_ms = now_ms,
				 .progress_ms = now_ms,
				 .ends_ms = now_ms + LIMIT_JOB_MS};
	struct submitter *submitter = g_memdup2(&init, sizeof(init));

	submitter->link =
		link_new(&(struct link_config){.host = account->smtp.host,
					       .port = account->smtp.port,
					       .tls = account->smtp.tls == TLS_IMPLICIT,
					       .ca_file = account->tls_ca,
					       .cert_file = account->tls_cert,
					       .key_file = account->tls_key,
					       .fingerprint = account->smtp.tls_fingerprint},
			 now_ms);
	return submitter;
}

void submitter_free(struct submitter **ret_submitter)
{
	struct submitter *submitter = *ret_submitter;

	if (!submitter)
		return;
	smtp_session_free(&submitter->session);
	link_free(&submitter->link);
	g_clear_pointer(ret_submitter, g_free);
}

static enum smtp_session_state state_of(const struct submitter *submitter)
{
	return submitter->session ? smtp_session_state(submitter->session) : SMTP_SESSION_GREETING;
}

bool submitter_is_ready(const struct submitter *submitter)
{
	return state_of(submitter) == SMTP_SESSION_READY;
}

const char *submitter_way_in(const struct submitter *submitter)
{
	return submitter_is_ready(submitter) ? smtp_session_way_in(submitter->session) : NULL;
}

uint64_t submitter_size_max(const struct submitter *submitter)
{
	return submitter->session ? smtp_session_size_max(submitter->session) : UINT64_MAX;
}

/* --- time --- */

static int64_t patience_ms(const struct submitter *submitter)
{
	if (submitter->quitting)
		return QUIT_MS;
	return submitter->session ? smtp_session_patience_ms(submitter->session) : 0;
}

static int64_t deadline_ms(const struct submitter *submitter)
{
	int64_t deadline = link_deadline_ms(submitter->link);
	int64_t patience = patience_ms(submitter);

	if (patience == 0)
		return deadline;
	return MIN(deadline, MIN(submitter->progress_ms + patience, submitter->ends_ms));
}

static bool is_on_time(const struct submitter *submitter, GError **error)
{
	if (patience_ms(submitter) == 0 || submitter->now_ms < deadline_ms(submitter))
		return true;
	if (!submitter->quitting)
		g_set_error(error, MAILFS_ERROR, ERROR_TIMEOUT,
			    submitter->now_ms >= submitter->ends_ms
				    ? "%s takes too long to answer"
				    : "no answer from %s for too long",
			    smtp_of(submitter)->host);
	return false;
}

void submitter_poll(const struct submitter *submitter, struct pollfd *ret_poll,
		    int64_t *ret_deadline_ms)
{
	bool want_write =
		submitter->session && buf_len(smtp_session_output(submitter->session)) > 0;

	ret_poll->fd = link_fd(submitter->link);
	ret_poll->events = link_events(submitter->link, want_write);
	ret_poll->revents = 0;
	*ret_deadline_ms = link_pending(submitter->link) ? 0 : deadline_ms(submitter);
}

/* --- the conversation --- */

static void on_trace(void *data, char direction, const char *line)
{
	const struct submitter *submitter = data;

	log_debug("%s smtp %c: %s", submitter->config.account->name, direction, line);
}

static struct sasl_binding binding_of(const struct submitter *submitter)
{
	struct sasl_binding binding = {0};

	binding.known = link_binding(submitter->link, binding.bytes);
	return binding;
}

static struct sasl_login login_of(const struct submitter *submitter)
{
	const struct account *account = submitter->config.account;
	const struct credential *credential = submitter->config.credential;
	const struct secret *password = credential ? credential->password : NULL;
	const struct secret *token = credential ? credential->token : NULL;

	return (struct sasl_login){
		.user = submission_user(account),
		.password = password ? secret_text(password) : NULL,
		.token = token ? secret_text(token) : NULL,
		.host = account->smtp.host,
		.port = account->smtp.port,
		.allowed = submission_auth(account),
		.below = credential ? credential->below : 0,
		.certificate = account->tls_cert != NULL,
		.binding = binding_of(submitter),
	};
}

static void open_session(struct submitter *submitter)
{
	const struct submission *smtp = smtp_of(submitter);

	submitter->session = smtp_session_new(
		&(struct smtp_session_config){
			.helo = HELO_NAME,
			.login = login_of(submitter),
			.login_required = smtp->user != NULL,
			.tls_active = smtp->tls == TLS_IMPLICIT,
			.tls_required = smtp->tls == TLS_STARTTLS,
		},
		submitter->config.events, submitter->config.data);
	submitter->progress_ms = submitter->now_ms;
	if (log_level_get() >= LOG_LEVEL_DEBUG)
		smtp_session_set_trace(submitter->session, on_trace, submitter);
}

/* However long the text took: whoever hangs up now does not know whether it was sent. */
static void wait_for_verdict(struct submitter *submitter)
{
	if (state_of(submitter) != SMTP_SESSION_DOT || submitter->dotted)
		return;
	submitter->dotted = true;
	submitter->ends_ms = MAX(submitter->ends_ms, submitter->now_ms + patience_ms(submitter));
}

/* One piece a step: the server may say no in the middle of a text, and then hang up; that is read
 * before more is written. */
static bool flush(struct submitter *submitter, GError **error)
{
	const struct buf *out = smtp_session_output(submitter->session);
	ssize_t sent = 0;

	if (buf_len(out) > 0)
		sent = link_write(submitter->link, buf_data(out), buf_len(out), error);
	if (sent < 0)
		return false;
	if (sent > 0) {
		submitter->progress_ms = submitter->now_ms;
		if (!smtp_session_wrote(submitter->session, (size_t)sent, error))
			return false;
	}
	wait_for_verdict(submitter);
	return true;
}

static bool receive(struct submitter *submitter, GError **error)
{
	uint8_t bytes[READ_SIZE];
	ssize_t len = link_read(submitter->link, bytes, sizeof(bytes), error);

	if (len <= 0)
		return len == 0;
	submitter->progress_ms = submitter->now_ms;
	if (!smtp_session_feed(submitter->session, bytes, (size_t)len, error))
		return false;
	if (state_of(submitter) == SMTP_SESSION_WANT_TLS)
		return link_start_tls(submitter->link, submitter->now_ms, error);
	return true;
}

static void start_login(struct submitter *submitter)
{
	const struct sasl_binding binding = binding_of(submitter);

	smtp_session_tls_done(submitter->session, &binding);
}

static bool converse(struct submitter *submitter, GError **error)
{
	if (state_of(submitter) == SMTP_SESSION_WANT_TLS)
		start_login(submitter);
	/* What the server said before it closed counts, though nothing can be written any more. */
	if (!receive(submitter, error))
		return false;
	if (link_state(submitter->link) == LINK_OPEN && !flush(submitter, error))
		return false;
	return state_of(submitter) != SMTP_SESSION_CLOSED;
}

bool submitter_step(struct submitter *submitter, int64_t now_ms, GError **error)
{
	submitter->now_ms = now_ms;
	if (!link_step(submitter->link, now_ms, error))
		return false;
	if (link_state(submitter->link) != LINK_OPEN)
		return true;
	if (!submitter->session)
		open_session(submitter);
	return converse(submitter, error) && is_on_time(submitter, error);
}

void submitter_send(struct submitter *submitter, const struct smtp_transaction *transaction,
		    int64_t now_ms)
{
	submitter->now_ms = submitter->progress_ms = now_ms;
	submitter->dotted = false;
	submitter->ends_ms =
		now_ms + LIMIT_JOB_MS + (int64_t)(transaction->size / LIMIT_UPLOAD_BYTES_MS);
	smtp_session_send(submitter->session, transaction);
}

void submitter_quit(struct submitter *submitter, int64_t now_ms)
{
	submitter->now_ms = submitter->progress_ms = now_ms;
	submitter->quitting = true;
	if (submitter->session)
		smtp_session_quit(submitter->session);
}

void submitter_describe(const struct submitter *submitter, GString *out)
{
	g_autofree char *caps = NULL;

	link_describe(submitter->link, out);
	if (!submitter->session)
		return;
	if (smtp_session_way_in(submitter->session))
		g_string_append_printf(out, "login: %s\n", smtp_session_way_in(submitter->session));
	caps = smtp_session_cap_text(submitter->session);
	g_string_append_printf(out, "capabilities: %s\n", caps);
}
