/* Arbitrary bytes of a server into a session. Input: a byte of settings, then pieces: a byte of
 * length (0 to 127; with the high bit only one byte of our output is written before) and that many
 * bytes.
 * Whatever comes, only the lines below are sent, no login before the TLS that it needs, nothing
 * behind STARTTLS, each transaction is done once, and it is accepted only if all of it, with its
 * dot, was written. */
#include "fuzz.h"

#include "protocol/smtp_session.h"

#define TEXT_LEN 70000 /* more than the output holds of it */
#define PASSWORD_BASE64 "czNzYW1l"

static const char *const lines[] = {
	"EHLO me\r\n",
	"HELO me\r\n",
	"STARTTLS\r\n",
	"AUTH PLAIN AGFsaWNlAHMzc2FtZQ==\r\n",
	"AUTH LOGIN\r\n",
	"AGFsaWNlAHMzc2FtZQ==\r\n",
	"YWxpY2U=\r\n",
	PASSWORD_BASE64 "\r\n",
	"RCPT TO:<x@e.f>\r\n",
	"RCPT TO:<y@e.f>\r\n",
	"RCPT TO:<x@e.f> NOTIFY=FAILURE\r\n",
	"RCPT TO:<y@e.f> NOTIFY=FAILURE\r\n",
	"RSET\r\n",
	"QUIT\r\n",
};

struct run {
	struct smtp_session *session;
	GPtrArray *recipients;
	GString *sent; /* not checked yet */
	bool tls_required;
	bool tls_active;
	bool starttls; /* was sent: nothing may come behind it but from TLS */
	bool unreadable;
	bool committed;
	bool in_text;	  /* behind DATA */
	size_t text_read; /* of the text, as it is */
	size_t text_sent; /* the same */
	bool dot_sent;
	unsigned sends;
	unsigned done;
};

/* The length of the line that `text` begins with; 0 if it is not whole. */
static size_t match_line(const char *text, size_t len)
{
	const char *end = memmem(text, len, "\r\n", 2);
	size_t line_len = end ? (size_t)(end - text) + 2 : 0;

	if (!end)
		return 0;
	if (g_str_has_prefix(text, "MAIL FROM:<a@b.c>"))
		return line_len;
	for (size_t i = 0; i < G_N_ELEMENTS(lines); i++) {
		if (line_len == strlen(lines[i]) && memcmp(text, lines[i], line_len) == 0)
			return line_len;
	}
	FUZZ_CHECK(line_len == 6 && memcmp(text, "DATA\r\n", 6) == 0);
	return line_len;
}

static void check_line(struct run *run, const char *line)
{
	bool tls_missing = run->tls_required && !run->tls_active;

	FUZZ_CHECK(!run->starttls);
	FUZZ_CHECK(!tls_missing || g_str_has_prefix(line, "EHLO") ||
		   g_str_has_prefix(line, "STARTTLS") || g_str_has_prefix(line, "QUIT"));
	if (g_str_has_prefix(line, "STARTTLS"))
		run->starttls = true;
	if (g_str_has_prefix(line, "DATA\r\n")) {
		FUZZ_CHECK(run->committed && run->text_sent == 0 && run->text_read == 0);
		run->in_text = true;
	}
}

/* The text is lines of "." and so goes out as ".."; the dot is alone. */
static size_t match_text(struct run *run, const char *text, size_t len)
{
	if (len >= 4 && memcmp(text, "..\r\n", 4) == 0) {
		run->text_sent += 2;
		return 4;
	}
	if (len >= 3 && memcmp(text, ".\r\n", 3) == 0) {
		FUZZ_CHECK(run->text_sent == TEXT_LEN && len == 3);
		run->dot_sent = true;
		run->in_text = false;
		return 3;
	}
	FUZZ_CHECK(len < 4 && memcmp(text, "..\r", len) == 0);
	return 0;
}

static void check_sent(struct run *run)
{
	size_t done = 0, used = 1;

	while (done < run->sent->len && used > 0) {
		const char *text = run->sent->str + done;
		size_t len = run->sent->len - done;

		used = run->in_text ? match_text(run, text, len) : match_line(text, len);
		if (used > 0 && !run->in_text && text[0] != '.')
			check_line(run, text);
		done += used;
	}
	g_string_erase(run->sent, 0, (gssize)done);
}

static void write_some(struct run *run, size_t max)
{
	const struct buf *output = smtp_session_output(run->session);
	size_t len = MIN(max, buf_len(output));

	g_string_append_len(run->sent, (const char *)buf_data(output), (gssize)len);
	check_sent(run);
	smtp_session_wrote(run->session, len, NULL);
}

static void write_all(struct run *run)
{
	while (buf_len(smtp_session_output(run->session)) > 0)
		write_some(run, 70001);
}

static ssize_t on_read(void *data, void *bytes, size_t max)
{
	struct run *run = data;
	size_t len = MIN(max, TEXT_LEN - run->text_read);

	FUZZ_CHECK(run->committed && run->in_text);
	if (len == 0 && run->unreadable)
		return -1;
	for (size_t i = 0; i < len; i++)
		((char *)bytes)[i] = ".\n"[(run->text_read + i) % 2];
	run->text_read += len;
	return (ssize_t)len;
}

static void on_recipient(void *data, unsigned number, const struct smtp_reply *reply)
{
	struct run *run = data;

	FUZZ_CHECK(number < run->recipients->len && !run->committed);
	FUZZ_CHECK(smtp_reply_class(reply) != 3);
}

static bool on_commit(void *data)
{
	struct run *run = data;

	FUZZ_CHECK(!run->committed);
	run->committed = true;
	return true;
}

static void on_done(void *data, enum smtp_outcome outcome, const struct smtp_reply *reply,
		    const char *text)
{
	struct run *run = data;

	run->done++;
	FUZZ_CHECK(run->done == run->sends && text);
	FUZZ_CHECK(outcome != SMTP_ACCEPTED ||
		   (run->dot_sent && run->committed && smtp_reply_class(reply) == 2));
	/* Nobody may be told that nothing was sent if it was. */
	FUZZ_CHECK(!run->dot_sent || outcome == SMTP_ACCEPTED || outcome == SMTP_UNKNOWN ||
		   (reply && smtp_reply_class(reply) >= 4));
	FUZZ_CHECK(outcome != SMTP_HELD || !run->committed);
	/* DATA may have been refused. */
	run->in_text = false;
}

static void on_trace(void *data, char direction, const char *line)
{
	FUZZ_CHECK(strlen(line) <= 200 && !strpbrk(line, "\r\n"));
	if (direction == 'C')
		FUZZ_CHECK(!strstr(line, "AGFs") && !strstr(line, PASSWORD_BASE64));
}

static void send_if_ready(struct run *run, unsigned settings)
{
	if (smtp_session_state(run->session) != SMTP_SESSION_READY || run->sends >= 3)
		return;
	run->sends++;
	run->committed = run->in_text = run->dot_sent = false;
	run->text_read = run->text_sent = 0;
	smtp_session_send(run->session, &(struct smtp_transaction){
						.sender = "a@b.c",
						.recipients = run->recipients,
						.size = TEXT_LEN,
						.eight_bit = settings & 32,
						.utf8_header = settings & 32,
						.notify = SMTP_NOTIFY_FAILURE,
					});
}

/* False when the session is over. */
static bool feed_piece(struct run *run, const uint8_t *bytes, size_t len, bool hold)
{
	g_autofree char *copy = fuzz_copy(bytes, len);
	g_autoptr(GError) error = NULL;

	if (hold)
		write_some(run, 1);
	else
		write_all(run);
	if (!smtp_session_feed(run->session, (const uint8_t *)copy, len, &error)) {
		FUZZ_CHECK(error);
		FUZZ_CHECK(buf_len(smtp_session_output(run->session)) == 0);
		FUZZ_CHECK(smtp_session_state(run->session) == SMTP_SESSION_CLOSED);
		return false;
	}
	if (smtp_session_state(run->session) == SMTP_SESSION_WANT_TLS) {
		FUZZ_CHECK(buf_len(smtp_session_output(run->session)) == 0);
		FUZZ_CHECK(smtp_session_caps(run->session) == 0);
		run->tls_active = true;
		run->starttls = false;
		smtp_session_tls_done(run->session, NULL);
	}
	return true;
}

static void feed_all(struct run *run, const uint8_t *bytes, size_t len, unsigned settings)
{
	bool more = true;

	while (len > 0 && more) {
		size_t piece = MIN((size_t)(bytes[0] & 0x7f), len - 1);

		more = feed_piece(run, bytes + 1, piece, bytes[0] & 0x80);
		send_if_ready(run, settings);
		bytes += piece + 1;
		len -= piece + 1;
	}
	if (settings & 8)
		smtp_session_quit(run->session);
	write_all(run);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	static const struct smtp_session_events events = {on_read, on_recipient, on_commit,
							  on_done};
	struct run run = {0};

	if (len == 0)
		return 0;
	run.tls_active = bytes[0] & 1;
	run.tls_required = bytes[0] & 2;
	run.unreadable = bytes[0] & 16;
	run.sent = g_string_new(NULL);
	run.recipients = g_ptr_array_new();
	g_ptr_array_add(run.recipients, (char *)"x@e.f");
	g_ptr_array_add(run.recipients, (char *)"y@e.f");
	run.session = smtp_session_new(
		&(struct smtp_session_config){
			.helo = "me",
			.login = {.user = bytes[0] & 64 ? NULL : "alice",
				  .password = bytes[0] & 64 ? NULL : "s3same"},
			.login_required = bytes[0] & 4,
			.tls_active = run.tls_active,
			.tls_required = run.tls_required,
		},
		&events, &run);
	smtp_session_set_trace(run.session, on_trace, &run);
	feed_all(&run, bytes + 1, len - 1, bytes[0]);
	smtp_session_free(&run.session);
	FUZZ_CHECK(run.done == run.sends);
	g_ptr_array_unref(run.recipients);
	g_string_free(run.sent, TRUE);
	return 0;
}
