/* One transaction: MAIL and RCPT, DATA, the text, the dot. What it comes to is told once, as soon
 * as it is decided; what is left to be said to the server then is RSET's affair. */
#include "protocol/smtp_session_private.h"

#include <string.h>

/* Bytes of the text that wait in the output. */
#define TEXT_AHEAD (64 * 1024)
#define TEXT_PIECE (16 * 1024)
/* RFC 5321 allows 256; nobody has more than this. */
#define ADDRESS_MAX 1000

/* ---- The end ---- */

void smtp_send_finish(struct smtp_session *session, enum smtp_outcome outcome,
		      const struct smtp_reply *reply, const char *text)
{
	if (!session->in_transaction)
		return;
	session->in_transaction = false;
	session->transaction = (struct smtp_transaction){0};
	session->events.done(session->data, outcome, reply, text);
	smtp_reply_clear(&session->refusal);
}

void smtp_send_lost(struct smtp_session *session, const char *text)
{
	if (session->state == SMTP_SESSION_DOT)
		smtp_send_finish(session, SMTP_UNKNOWN, NULL,
				 text ? text
				      : "the connection ended before the server's last answer");
	else
		smtp_send_finish(session, SMTP_DEFERRED, NULL,
				 text ? text : "the connection ended");
}

static enum smtp_outcome outcome_of(const struct smtp_reply *reply)
{
	return smtp_reply_class(reply) == 5 ? SMTP_REFUSED : SMTP_DEFERRED;
}

static void nonsense(struct smtp_session *session, const struct smtp_reply *reply)
{
	smtp_session_fail(session, ERROR_PROTOCOL, "the server's answer makes no sense here: %s",
			  reply->text);
}

static void rset(struct smtp_session *session)
{
	smtp_session_set_state(session, SMTP_SESSION_RSET);
	line_sender_command(&session->sender, "RSET", NULL);
}

/* Behind MAIL was refused, the replies to RCPT come first. */
void smtp_send_rset(struct smtp_session *session, const struct smtp_reply *reply)
{
	if (session->sender.asked->len > 0)
		return;
	/* What another transaction would be told then is not about it. */
	if (smtp_reply_class(reply) == 2)
		smtp_session_set_state(session, SMTP_SESSION_READY);
	else
		smtp_session_fail(session, ERROR_TEMPORARY, "the server refuses RSET: %s",
				  reply->text);
}

/* ---- The text ---- */

/* 0 at the end of the text, and after an error. */
static size_t read_text(struct smtp_session *session, uint8_t *bytes, size_t max)
{
	ssize_t len = session->events.read(session->data, bytes, max);

	if (len < 0 || (size_t)len > max) {
		smtp_session_fail(session, ERROR_IO, "the message cannot be read");
		return 0;
	}
	return (size_t)len;
}

static void put_text(struct smtp_session *session)
{
	size_t before = buf_len(&session->sender.output);
	uint8_t bytes[TEXT_PIECE];
	size_t len = read_text(session, bytes, sizeof(bytes));

	if (session->error)
		return;
	if (len > 0) {
		smtp_data_encode(&session->encoder, bytes, len, &session->sender.output);
	} else {
		smtp_data_end(&session->encoder, &session->sender.output);
		session->text_over = true;
	}
	session->sender.appended += buf_len(&session->sender.output) - before;
	session->text_len += buf_len(&session->sender.output) - before;
}

static void put_dot(struct smtp_session *session)
{
	line_sender_trace(&session->sender, 'C', "[%" G_GUINT64_FORMAT " bytes]",
			  session->text_len);
	smtp_session_set_state(session, SMTP_SESSION_DOT);
	line_sender_command(&session->sender, ".", NULL);
}

void smtp_send_refill(struct smtp_session *session)
{
	if (session->state != SMTP_SESSION_TEXT)
		return;
	while (!session->error && !session->text_over &&
	       buf_len(&session->sender.output) < TEXT_AHEAD)
		put_text(session);
	if (!session->error && session->text_over && buf_len(&session->sender.output) == 0)
		put_dot(session);
}

void smtp_send_early(struct smtp_session *session, const struct smtp_reply *reply)
{
	bool is_refusal = smtp_reply_class(reply) >= 4;
	g_autofree char *text =
		g_strdup_printf("the server answers before the end of the text: %s", reply->text);

	smtp_send_finish(session, is_refusal ? outcome_of(reply) : SMTP_UNKNOWN, reply,
			 is_refusal ? reply->text : text);
	smtp_session_fail(session, is_refusal ? ERROR_TEMPORARY : ERROR_PROTOCOL, "%s", text);
}

void smtp_send_dot(struct smtp_session *session, const struct smtp_reply *reply)
{
	if (smtp_reply_class(reply) == 3) {
		smtp_send_finish(session, SMTP_UNKNOWN, reply, reply->text);
		nonsense(session, reply);
		return;
	}
	if (smtp_reply_class(reply) == 2) {
		smtp_session_set_state(session, SMTP_SESSION_READY);
		smtp_send_finish(session, SMTP_ACCEPTED, reply, reply->text);
		return;
	}
	/* Postfix keeps the transaction whose text its policy has refused. */
	smtp_send_finish(session, outcome_of(reply), reply, reply->text);
	rset(session);
}

/* ---- DATA ---- */

void smtp_send_data(struct smtp_session *session, const struct smtp_reply *reply)
{
	switch (smtp_reply_class(reply)) {
	case 2:
		nonsense(session, reply);
		return;
	case 3:
		session->encoder = (struct smtp_data){0};
		session->text_len = 0;
		session->text_over = false;
		smtp_session_set_state(session, SMTP_SESSION_TEXT);
		smtp_send_refill(session);
		return;
	default:
		smtp_send_finish(session, outcome_of(reply), reply, reply->text);
		rset(session);
	}
}

static void all_answered(struct smtp_session *session)
{
	const struct smtp_reply *refusal = &session->refusal;

	if (session->accepted == 0) {
		smtp_send_finish(session, outcome_of(refusal), refusal, refusal->text);
		rset(session);
	} else if (!session->events.commit(session->data)) {
		smtp_send_finish(session, SMTP_ABORTED, NULL, "taken back before it was sent");
		rset(session);
	} else {
		smtp_session_set_state(session, SMTP_SESSION_DATA);
		line_sender_command(&session->sender, "DATA", NULL);
	}
}

/* ---- MAIL and RCPT ---- */

static void append_notify(GString *line, unsigned notify)
{
	static const char *const words[] = {"NEVER", "SUCCESS", "FAILURE", "DELAY"};
	const char *before = " NOTIFY=";

	/* RFC 3461 section 4.1: it stands alone. */
	if (notify & SMTP_NOTIFY_NEVER)
		notify = SMTP_NOTIFY_NEVER;
	for (unsigned i = 0; i < G_N_ELEMENTS(words); i++) {
		if (!(notify & 1u << i))
			continue;
		g_string_append_printf(line, "%s%s", before, words[i]);
		before = ",";
	}
}

static unsigned wanted_notify(const struct smtp_session *session)
{
	return session->caps & SMTP_CAP_DSN ? session->transaction.notify : 0;
}

static void put_mail(struct smtp_session *session)
{
	const struct smtp_transaction *transaction = &session->transaction;
	g_autoptr(GString) line = g_string_new(NULL);

	g_string_append_printf(line, "MAIL FROM:<%s>", transaction->sender);
	if (session->caps & SMTP_CAP_SIZE)
		g_string_append_printf(line, " SIZE=%" G_GUINT64_FORMAT, transaction->size);
	if (transaction->eight_bit && session->caps & SMTP_CAP_8BITMIME)
		g_string_append(line, " BODY=8BITMIME");
	if (session->utf8)
		g_string_append(line, " SMTPUTF8");
	if (wanted_notify(session))
		g_string_append(line, " RET=HDRS");
	line_sender_command(&session->sender, line->str, NULL);
}

static void put_rcpt(struct smtp_session *session, unsigned number)
{
	g_autoptr(GString) line = g_string_new(NULL);
	const char *recipient = g_ptr_array_index(session->transaction.recipients, number);

	g_string_append_printf(line, "RCPT TO:<%s>", recipient);
	append_notify(line, wanted_notify(session));
	line_sender_command(&session->sender, line->str, NULL);
}

static void take_mail(struct smtp_session *session, const struct smtp_reply *reply)
{
	enum smtp_outcome outcome = outcome_of(reply);

	switch (smtp_reply_class(reply)) {
	case 2:
		if (!(session->caps & SMTP_CAP_PIPELINING))
			put_rcpt(session, 0);
		return;
	case 3:
		nonsense(session, reply);
		return;
	}
	if (reply->code == 530 || reply->code == 534 || reply->code == 535 || reply->code == 538)
		outcome = SMTP_HELD;
	else if (reply->code == 503) /* a session gone astray says nothing about the message */
		outcome = SMTP_DEFERRED;
	smtp_send_finish(session, outcome, reply, reply->text);
	rset(session);
}

/* One that may be tried again decides over those that may not. */
static void keep_refusal(struct smtp_session *session, struct smtp_reply *reply)
{
	struct smtp_reply *kept = &session->refusal;

	if (kept->code == 0 || (smtp_reply_class(kept) == 5 && smtp_reply_class(reply) == 4)) {
		smtp_reply_clear(kept);
		*kept = *reply;
		*reply = (struct smtp_reply){0};
	}
}

static void take_rcpt(struct smtp_session *session, unsigned number, struct smtp_reply *reply)
{
	if (smtp_reply_class(reply) == 3) {
		nonsense(session, reply);
		return;
	}
	session->events.recipient(session->data, number, reply);
	if (smtp_reply_class(reply) == 2)
		session->accepted++;
	else
		keep_refusal(session, reply);
	if (number + 1 == session->transaction.recipients->len)
		all_answered(session);
	else if (!(session->caps & SMTP_CAP_PIPELINING))
		put_rcpt(session, number + 1);
}

void smtp_send_mail(struct smtp_session *session, struct smtp_reply *reply)
{
	unsigned number = session->replied++;

	if (number == 0)
		take_mail(session, reply);
	else
		take_rcpt(session, number - 1, reply);
}

/* ---- What the server can take ---- */

/* The caller has seen to it; but a line end in here would be a command of somebody else. */
static bool address_is_line(const char *address)
{
	for (; *address; address++) {
		if (g_ascii_iscntrl(*address))
			return false;
	}
	return true;
}

static bool address_is_ascii(const char *address)
{
	return g_str_is_ascii(address);
}

static bool address_fits(const char *address)
{
	return strlen(address) <= ADDRESS_MAX;
}

static bool all_addresses(const struct smtp_transaction *transaction,
			  bool (*check)(const char *address))
{
	for (unsigned i = 0; i < transaction->recipients->len; i++) {
		if (!check(g_ptr_array_index(transaction->recipients, i)))
			return false;
	}
	return check(transaction->sender);
}

/* NULL: nothing stands against it. */
static char *obstacle(const struct smtp_session *session)
{
	const struct smtp_transaction *transaction = &session->transaction;

	if (!all_addresses(transaction, address_is_line))
		return g_strdup("an address holds control characters");
	if (!all_addresses(transaction, address_fits))
		return g_strdup_printf("an address is longer than %d bytes", ADDRESS_MAX);
	if (transaction->size > session->size_max)
		return g_strdup_printf("the server takes messages up to %" G_GUINT64_FORMAT
				       " bytes",
				       session->size_max);
	if (transaction->eight_bit && !(session->caps & SMTP_CAP_8BITMIME))
		return g_strdup("the server takes no bytes over 127 (no 8BITMIME)");
	if (!all_addresses(transaction, address_is_ascii) && !(session->caps & SMTP_CAP_SMTPUTF8))
		return g_strdup("the server takes no addresses outside ASCII (no SMTPUTF8)");
	return NULL;
}

static void begin(struct smtp_session *session)
{
	const struct smtp_transaction *transaction = &session->transaction;

	/* A header in UTF-8 goes as it is where this is not offered: so it always went. */
	session->utf8 = session->caps & SMTP_CAP_SMTPUTF8 &&
			(transaction->utf8_header || !all_addresses(transaction, address_is_ascii));
	session->replied = session->accepted = 0;
	smtp_session_set_state(session, SMTP_SESSION_MAIL);
	put_mail(session);
	for (unsigned i = 0;
	     session->caps & SMTP_CAP_PIPELINING && i < session->transaction.recipients->len; i++)
		put_rcpt(session, i);
}

void smtp_session_send(struct smtp_session *session, const struct smtp_transaction *transaction)
{
	g_autofree char *why = NULL;

	g_return_if_fail(!session->in_transaction);
	g_return_if_fail(transaction->recipients->len > 0 &&
			 transaction->recipients->len <= SMTP_RECIPIENTS_MAX);
	session->transaction = *transaction;
	session->in_transaction = true;
	if (session->state != SMTP_SESSION_READY) {
		smtp_send_lost(session, session->error ? session->error->message : NULL);
		return;
	}
	why = obstacle(session);
	if (why)
		smtp_send_finish(session, SMTP_REFUSED, NULL, why);
	else
		begin(session);
}
