/* A session with a test at both of its ends. */
#pragma once

#include "base/error.h"
#include "protocol/smtp_session.h"

#include <string.h>

struct transaction {
	const char *sender;	/* NULL: a@b.c */
	const char *recipients; /* parted by spaces; NULL: d@e.f */
	const char *text;
	size_t text_len; /* 0: NUL-terminated */
	uint64_t size;
	bool eight_bit;
	bool utf8_header;
	unsigned notify;
	bool unreadable; /* behind the text: -1 */
	bool taken_back;
};

struct run {
	struct smtp_session *session;
	GString *log; /* of what is called, a line each */
	GString *trace;
	GError *error; /* the last */
	struct transaction transaction;
	GPtrArray *recipients;
	size_t text_done;
	unsigned done;
};

static inline ssize_t on_read(void *data, void *bytes, size_t max)
{
	struct run *run = data;
	size_t len = MIN(max, run->transaction.text_len - run->text_done);

	if (len == 0 && run->transaction.unreadable)
		return -1;
	memcpy(bytes, run->transaction.text + run->text_done, len);
	run->text_done += len;
	return (ssize_t)len;
}

static inline void on_recipient(void *data, unsigned number, const struct smtp_reply *reply)
{
	struct run *run = data;

	g_string_append_printf(run->log, "%u: %s\n", number, reply->text);
}

static inline bool on_commit(void *data)
{
	struct run *run = data;

	g_string_append(run->log, "commit\n");
	return !run->transaction.taken_back;
}

static inline void on_done(void *data, enum smtp_outcome outcome, const struct smtp_reply *reply,
			   const char *text)
{
	static const char *const names[] = {"accepted", "refused", "deferred",
					    "unknown",	"held",	   "aborted"};
	struct run *run = data;

	run->done++;
	g_string_append_printf(run->log, "%s (%u) %s\n", names[outcome], reply ? reply->code : 0,
			       text);
}

static inline void on_trace(void *data, char direction, const char *line)
{
	g_string_append_printf(((struct run *)data)->trace, "%c %s\n", direction, line);
}

static inline void run_start(struct run *run, const struct smtp_session_config *config)
{
	static const struct smtp_session_events events = {on_read, on_recipient, on_commit,
							  on_done};

	*run = (struct run){.log = g_string_new(NULL), .trace = g_string_new(NULL)};
	run->session = smtp_session_new(config, &events, run);
	smtp_session_set_trace(run->session, on_trace, run);
}

static inline void run_end(struct run *run)
{
	smtp_session_free(&run->session);
	g_assert_null(run->session);
	smtp_session_free(&run->session);
	g_string_free(run->log, TRUE);
	g_string_free(run->trace, TRUE);
	g_clear_error(&run->error);
	if (run->recipients)
		g_ptr_array_unref(run->recipients);
}

static inline void check_state(const struct run *run, enum smtp_session_state state)
{
	g_assert_cmpint(smtp_session_state(run->session), ==, state);
}

/* The output is exactly this; and is written. What is given out then is the next. */
static inline void check_sent(struct run *run, const char *expected)
{
	const struct buf *output = smtp_session_output(run->session);
	g_autofree char *sent = g_strndup((const char *)buf_data(output), buf_len(output));

	g_assert_cmpstr(sent, ==, expected);
	smtp_session_wrote(run->session, buf_len(output), NULL);
}

static inline void written(struct run *run)
{
	g_assert_true(
		smtp_session_wrote(run->session, buf_len(smtp_session_output(run->session)), NULL));
}

static inline void server(struct run *run, const char *bytes)
{
	g_autofree uint8_t *copy = g_memdup2(bytes, strlen(bytes));
	g_autoptr(GError) error = NULL;

	smtp_session_feed(run->session, copy, strlen(bytes), &error);
	g_assert_no_error(error);
}

static inline void check_failed(struct run *run, enum mailfs_error code)
{
	g_assert_error(run->error, MAILFS_ERROR, (int)code);
	check_state(run, SMTP_SESSION_CLOSED);
	g_assert_cmpuint(buf_len(smtp_session_output(run->session)), ==, 0);
}

static inline void server_fails(struct run *run, const char *bytes, enum mailfs_error code)
{
	g_clear_error(&run->error);
	g_assert_false(smtp_session_feed(run->session, (const uint8_t *)bytes, strlen(bytes),
					 &run->error));
	check_failed(run, code);
}

static inline void to_auth(struct run *run, const char *mechanisms)
{
	g_autofree char *reply = g_strdup_printf("250-mx\r\n250 AUTH %s\r\n", mechanisms);

	server(run, "220 mx\r\n");
	check_sent(run, "EHLO me.example\r\n");
	server(run, reply);
	check_state(run, SMTP_SESSION_AUTH);
}

/* READY without a login; `caps` parted by "|". */
static inline void run_ready(struct run *run, const char *caps)
{
	g_auto(GStrv) words = g_strsplit(caps, "|", -1);
	g_autofree char *middle = g_strjoinv("\r\n250-", words);
	g_autofree char *reply = g_strdup_printf("250-mx\r\n250-%s\r\n250 HELP\r\n", middle);

	run_start(run, &(struct smtp_session_config){.helo = "me.example"});
	server(run, "220 mx\r\n");
	check_sent(run, "EHLO me.example\r\n");
	server(run, reply);
	check_sent(run, "");
	check_state(run, SMTP_SESSION_READY);
}

static inline void run_send(struct run *run, const struct transaction *transaction)
{
	const char *recipients = transaction->recipients ? transaction->recipients : "d@e.f";
	g_auto(GStrv) words = g_strsplit(recipients, " ", -1);

	run->transaction = *transaction;
	run->text_done = 0;
	if (run->transaction.text && run->transaction.text_len == 0)
		run->transaction.text_len = strlen(transaction->text);
	if (run->recipients)
		g_ptr_array_unref(run->recipients);
	run->recipients = g_ptr_array_new_with_free_func(g_free);
	for (unsigned i = 0; words[i]; i++)
		g_ptr_array_add(run->recipients, g_strdup(words[i]));
	smtp_session_send(run->session,
			  &(struct smtp_transaction){
				  .sender = transaction->sender ? transaction->sender : "a@b.c",
				  .recipients = run->recipients,
				  .size = transaction->size,
				  .eight_bit = transaction->eight_bit,
				  .utf8_header = transaction->utf8_header,
				  .notify = transaction->notify,
			  });
}

/* What was called since the last time. */
static inline void check_log(struct run *run, const char *expected)
{
	g_assert_cmpstr(run->log->str, ==, expected);
	g_string_truncate(run->log, 0);
}
