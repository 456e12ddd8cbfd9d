/* Transactions of a session that is READY. */
#include "smtp_session_fixture.h"

#include "base/limits.h"

#define THREE "x@e.f y@e.f z@e.f"
#define MAIL "MAIL FROM:<a@b.c>\r\n"
#define RCPT_THREE "RCPT TO:<x@e.f>\r\nRCPT TO:<y@e.f>\r\nRCPT TO:<z@e.f>\r\n"

/* ---- The way through ---- */

static void test_one_by_one(void)
{
	struct run run;

	run_ready(&run, "DSN");
	run_send(&run, &(struct transaction){.recipients = "x@e.f y@e.f", .text = "hi\n"});
	check_state(&run, SMTP_SESSION_MAIL);
	check_sent(&run, MAIL);
	server(&run, "250 2.1.0 ok\r\n");
	check_sent(&run, "RCPT TO:<x@e.f>\r\n");
	server(&run, "251 forwarded\r\n");
	check_log(&run, "0: 251 forwarded\n");
	check_sent(&run, "RCPT TO:<y@e.f>\r\n");
	server(&run, "252 perhaps\r\n");
	check_log(&run, "1: 252 perhaps\ncommit\n");
	check_state(&run, SMTP_SESSION_DATA);
	check_sent(&run, "DATA\r\n");
	server(&run, "354 go\r\n");
	check_state(&run, SMTP_SESSION_TEXT);
	check_sent(&run, "hi\r\n");
	check_state(&run, SMTP_SESSION_DOT);
	check_sent(&run, ".\r\n");
	check_log(&run, "");
	server(&run, "250 2.0.0 queued\r\n");
	check_log(&run, "accepted (250) 250 2.0.0 queued\n");
	check_state(&run, SMTP_SESSION_READY);
	check_sent(&run, "");
	run_end(&run);
}

static void test_pipelined(void)
{
	struct run run;

	run_ready(&run, "PIPELINING");
	for (unsigned i = 0; i < 2; i++) {
		run_send(&run, &(struct transaction){.recipients = THREE, .text = "hi\n"});
		check_sent(&run, MAIL RCPT_THREE);
		server(&run, "250 ok\r\n250 one\r\n25");
		check_log(&run, "0: 250 one\n");
		check_sent(&run, "");
		server(&run, "0 two\r\n250 three\r\n");
		check_log(&run, "1: 250 two\n2: 250 three\ncommit\n");
		/* DATA never goes with them */
		check_sent(&run, "DATA\r\n");
		server(&run, "354 go\r\n");
		check_sent(&run, "hi\r\n");
		check_sent(&run, ".\r\n");
		server(&run, "250 ok\r\n");
		check_log(&run, "accepted (250) 250 ok\n");
	}
	run_end(&run);
	g_assert_cmpuint(run.done, ==, 2);
}

/* Replies to what was written of the commands. */
static void test_pipelined_written_in_part(void)
{
	struct run run;

	run_ready(&run, "PIPELINING");
	run_send(&run, &(struct transaction){.recipients = "x@e.f y@e.f"});
	smtp_session_wrote(run.session, strlen(MAIL "RCPT TO:<x@e.f>\r\nRCPT"), NULL);
	server(&run, "250 ok\r\n250 ok\r\n");
	check_log(&run, "0: 250 ok\n");
	server_fails(&run, "250 ok\r\n", ERROR_PROTOCOL);
	check_log(&run, "deferred (0) the server answers what it was not asked: 250 ok\n");
	run_end(&run);
}

static void test_most_recipients(void)
{
	g_autofree char *name = g_strnfill(990, 'r');
	GString *recipients = g_string_new("r0@e.f");
	struct run run;

	for (unsigned i = 1; i < SMTP_RECIPIENTS_MAX; i++)
		g_string_append_printf(recipients, " %s%u@e.f", name, i);
	run_ready(&run, "PIPELINING|DSN");
	run_send(&run, &(struct transaction){.recipients = recipients->str,
					     .text = "x",
					     .notify = SMTP_NOTIFY_SUCCESS | SMTP_NOTIFY_FAILURE});
	written(&run);
	for (unsigned i = 0; i <= SMTP_RECIPIENTS_MAX; i++)
		server(&run, "250 ok\r\n");
	g_assert_true(g_str_has_suffix(run.log->str, "99: 250 ok\ncommit\n"));
	check_sent(&run, "DATA\r\n");
	run_end(&run);
	g_string_free(recipients, TRUE);
}

static void check_mail(const char *caps, const struct transaction *transaction,
		       const char *expected)
{
	struct run run;

	run_ready(&run, caps);
	run_send(&run, transaction);
	check_sent(&run, expected);
	check_log(&run, "");
	run_end(&run);
}

#define ALL "PIPELINING|SIZE 1000|8BITMIME|SMTPUTF8|DSN"

static void test_parameters(void)
{
	check_mail(ALL, &(struct transaction){.size = 1000},
		   "MAIL FROM:<a@b.c> SIZE=1000\r\nRCPT TO:<d@e.f>\r\n");
	check_mail(ALL, &(struct transaction){.sender = ""},
		   "MAIL FROM:<> SIZE=0\r\nRCPT TO:<d@e.f>\r\n");
	check_mail(ALL, &(struct transaction){.eight_bit = true},
		   "MAIL FROM:<a@b.c> SIZE=0 BODY=8BITMIME\r\nRCPT TO:<d@e.f>\r\n");
	check_mail(ALL, &(struct transaction){.eight_bit = true, .utf8_header = true},
		   "MAIL FROM:<a@b.c> SIZE=0 BODY=8BITMIME SMTPUTF8\r\nRCPT TO:<d@e.f>\r\n");
	check_mail(ALL, &(struct transaction){.recipients = "\xc3\xa9@e.f"},
		   "MAIL FROM:<a@b.c> SIZE=0 SMTPUTF8\r\nRCPT TO:<\xc3\xa9@e.f>\r\n");
	check_mail(ALL, &(struct transaction){.sender = "\xc3\xa9@b.c"},
		   "MAIL FROM:<\xc3\xa9@b.c> SIZE=0 SMTPUTF8\r\nRCPT TO:<d@e.f>\r\n");
	check_mail("SIZE", &(struct transaction){.size = UINT64_MAX},
		   "MAIL FROM:<a@b.c> SIZE=18446744073709551615\r\n");
	check_mail("8BITMIME", &(struct transaction){.eight_bit = true, .utf8_header = true},
		   "MAIL FROM:<a@b.c> BODY=8BITMIME\r\n");
	check_mail("PIPELINING", &(struct transaction){.size = 1000, .notify = 2},
		   "MAIL FROM:<a@b.c>\r\nRCPT TO:<d@e.f>\r\n");
}

static void test_notify(void)
{
	static const struct {
		unsigned notify;
		const char *words;
	} rows[] = {
		{SMTP_NOTIFY_NEVER, "NEVER"},
		{SMTP_NOTIFY_NEVER | SMTP_NOTIFY_DELAY, "NEVER"},
		{SMTP_NOTIFY_SUCCESS, "SUCCESS"},
		{SMTP_NOTIFY_FAILURE | SMTP_NOTIFY_DELAY, "FAILURE,DELAY"},
		{SMTP_NOTIFY_SUCCESS | SMTP_NOTIFY_FAILURE | SMTP_NOTIFY_DELAY,
		 "SUCCESS,FAILURE,DELAY"},
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_autofree char *expected = g_strdup_printf(
			"MAIL FROM:<a@b.c> RET=HDRS\r\n"
			"RCPT TO:<x@e.f> NOTIFY=%s\r\nRCPT TO:<y@e.f> NOTIFY=%s\r\n",
			rows[i].words, rows[i].words);

		check_mail("PIPELINING|DSN",
			   &(struct transaction){.recipients = "x@e.f y@e.f",
						 .notify = rows[i].notify},
			   expected);
	}
	check_mail("DSN", &(struct transaction){0}, MAIL);
}

/* ---- What the server cannot take ---- */

static void check_obstacle(const char *caps, const struct transaction *transaction,
			   const char *text)
{
	g_autofree char *log = g_strdup_printf("refused (0) %s\n", text);
	struct run run;

	run_ready(&run, caps);
	run_send(&run, transaction);
	check_log(&run, log);
	check_state(&run, SMTP_SESSION_READY);
	check_sent(&run, "");
	run_end(&run);
	g_assert_cmpuint(run.done, ==, 1);
}

static void test_obstacles(void)
{
	g_autofree char *long_one = g_strnfill(1001, 'x');

	check_obstacle("SIZE 1000", &(struct transaction){.size = 1001},
		       "the server takes messages up to 1000 bytes");
	check_obstacle("SMTPUTF8", &(struct transaction){.eight_bit = true},
		       "the server takes no bytes over 127 (no 8BITMIME)");
	check_obstacle("8BITMIME", &(struct transaction){.recipients = "x@e.f \xc3\xa9@e.f"},
		       "the server takes no addresses outside ASCII (no SMTPUTF8)");
	check_obstacle("8BITMIME", &(struct transaction){.sender = "\xc3\xa9@e.f"},
		       "the server takes no addresses outside ASCII (no SMTPUTF8)");
	check_obstacle("DSN", &(struct transaction){.sender = "a@b.c>\r\nRCPT TO:<x@y"},
		       "an address holds control characters");
	check_obstacle("DSN", &(struct transaction){.recipients = "x@e.f y\x7f@e.f"},
		       "an address holds control characters");
	check_obstacle("DSN", &(struct transaction){.recipients = long_one},
		       "an address is longer than 1000 bytes");
	long_one[1000] = '\0';
	check_mail("DSN", &(struct transaction){.recipients = long_one}, MAIL);
}

static void test_not_ready(void)
{
	struct run run;

	run_ready(&run, "DSN");
	server_fails(&run, "421 idle\r\n", ERROR_TEMPORARY);
	run_send(&run, &(struct transaction){0});
	check_log(&run, "deferred (0) the server closed the connection: 421 idle\n");
	run_end(&run);
	g_assert_cmpuint(run.done, ==, 1);
}

/* ---- MAIL ---- */

static void check_mail_refused(const char *reply, const char *log)
{
	g_autofree char *with_rcpt = g_strconcat(reply, "503 no\r\n250 odd\r\n", NULL);
	struct run run;

	run_ready(&run, "DSN");
	run_send(&run, &(struct transaction){0});
	check_sent(&run, MAIL);
	server(&run, reply);
	check_log(&run, log);
	check_state(&run, SMTP_SESSION_RSET);
	check_sent(&run, "RSET\r\n");
	server(&run, "250 ok\r\n");
	check_state(&run, SMTP_SESSION_READY);
	run_end(&run);
	/* no recipient is told of what was said about MAIL */
	run_ready(&run, "PIPELINING");
	run_send(&run, &(struct transaction){.recipients = "x@e.f y@e.f"});
	check_sent(&run, MAIL "RCPT TO:<x@e.f>\r\nRCPT TO:<y@e.f>\r\n");
	server(&run, with_rcpt);
	check_log(&run, log);
	check_state(&run, SMTP_SESSION_RSET);
	check_sent(&run, "RSET\r\n");
	server(&run, "250 ok\r\n");
	check_state(&run, SMTP_SESSION_READY);
	run_send(&run, &(struct transaction){0});
	check_sent(&run, MAIL "RCPT TO:<d@e.f>\r\n");
	run_end(&run);
	g_assert_cmpuint(run.done, ==, 2);
}

static void test_mail_refused(void)
{
	check_mail_refused("550 no\r\n", "refused (550) 550 no\n");
	check_mail_refused("552 5.3.4 big\r\n", "refused (552) 552 5.3.4 big\n");
	check_mail_refused("451 later\r\n", "deferred (451) 451 later\n");
	check_mail_refused("530 log in\r\n", "held (530) 530 log in\n");
	check_mail_refused("534 log in\r\n", "held (534) 534 log in\n");
	check_mail_refused("535 log in\r\n", "held (535) 535 log in\n");
	check_mail_refused("538 log in\r\n", "held (538) 538 log in\n");
	check_mail_refused("536 what\r\n", "refused (536) 536 what\n");
}

/* Decided already when the replies to RCPT are lost. */
static void test_mail_refused_lost(void)
{
	struct run run;

	run_ready(&run, "PIPELINING");
	run_send(&run, &(struct transaction){.recipients = THREE});
	check_sent(&run, MAIL RCPT_THREE);
	server(&run, "550 no\r\n503 no\r\n");
	check_log(&run, "refused (550) 550 no\n");
	server_fails(&run, "421 bye\r\n", ERROR_TEMPORARY);
	check_log(&run, "");
	run_end(&run);
	g_assert_cmpuint(run.done, ==, 1);
}

static void test_rset_refused(void)
{
	struct run run;

	run_ready(&run, "DSN");
	run_send(&run, &(struct transaction){0});
	check_sent(&run, MAIL);
	server(&run, "550 no\r\n");
	check_sent(&run, "RSET\r\n");
	check_log(&run, "refused (550) 550 no\n");
	server_fails(&run, "502 what\r\n", ERROR_TEMPORARY);
	check_log(&run, "");
	run_end(&run);
}

/* ---- RCPT ---- */

static void check_rcpt(const char *replies, const char *log, bool accepted)
{
	g_auto(GStrv) lines = g_strsplit(replies, "\n", -1);
	g_autofree char *joined = g_strjoinv("\r\n", lines);
	g_autofree char *all = g_strdup_printf("250 ok\r\n%s\r\n", joined);
	struct run run;

	run_ready(&run, "PIPELINING");
	run_send(&run, &(struct transaction){.recipients = THREE, .text = "x"});
	check_sent(&run, MAIL RCPT_THREE);
	server(&run, all);
	check_log(&run, log);
	check_sent(&run, accepted ? "DATA\r\n" : "RSET\r\n");
	run_end(&run);
	run_ready(&run, "DSN");
	run_send(&run, &(struct transaction){.recipients = THREE, .text = "x"});
	check_sent(&run, MAIL);
	server(&run, "250 ok\r\n");
	for (unsigned i = 0; i < 3; i++) {
		g_autofree char *reply = g_strdup_printf("%s\r\n", lines[i]);
		g_autofree char *rcpt = g_strdup_printf("RCPT TO:<%c@e.f>\r\n", 'x' + i);

		check_sent(&run, rcpt);
		server(&run, reply);
	}
	check_log(&run, log);
	check_sent(&run, accepted ? "DATA\r\n" : "RSET\r\n");
	if (!accepted) {
		server(&run, "250 ok\r\n");
		check_state(&run, SMTP_SESSION_READY);
	}
	run_end(&run);
}

static void test_rcpt_refused(void)
{
	check_rcpt("550 no\n250 ok\n450 later", "0: 550 no\n1: 250 ok\n2: 450 later\ncommit\n",
		   true);
	check_rcpt("550 no\n551 no\n550 no",
		   "0: 550 no\n1: 551 no\n2: 550 no\nrefused (550) 550 no\n", false);
	check_rcpt("550 no\n451 busy\n450 busy",
		   "0: 550 no\n1: 451 busy\n2: 450 busy\ndeferred (451) 451 busy\n", false);
	check_rcpt("450 busy\n550 no\n451 busy",
		   "0: 450 busy\n1: 550 no\n2: 451 busy\ndeferred (450) 450 busy\n", false);
}

/* What decided is forgotten with its transaction. */
static void test_rcpt_refused_again(void)
{
	static const char *const replies[] = {"450 first\r\n", "550 second\r\n", "451 third\r\n"};
	static const char *const logs[] = {"0: 450 first\ndeferred (450) 450 first\n",
					   "0: 550 second\nrefused (550) 550 second\n",
					   "0: 451 third\ndeferred (451) 451 third\n"};
	struct run run;

	run_ready(&run, "DSN");
	for (unsigned i = 0; i < 3; i++) {
		run_send(&run, &(struct transaction){0});
		check_sent(&run, MAIL);
		server(&run, "250 ok\r\n");
		check_sent(&run, "RCPT TO:<d@e.f>\r\n");
		server(&run, replies[i]);
		check_log(&run, logs[i]);
		check_sent(&run, "RSET\r\n");
		server(&run, "250 ok\r\n");
	}
	run_end(&run);
}

static void test_taken_back(void)
{
	struct run run;

	run_ready(&run, "PIPELINING");
	run_send(&run, &(struct transaction){.taken_back = true});
	check_sent(&run, MAIL "RCPT TO:<d@e.f>\r\n");
	server(&run, "250 ok\r\n250 ok\r\n");
	check_log(&run, "0: 250 ok\ncommit\naborted (0) taken back before it was sent\n");
	check_sent(&run, "RSET\r\n");
	server(&run, "250 ok\r\n");
	check_state(&run, SMTP_SESSION_READY);
	run_end(&run);
}

/* ---- DATA and the text ---- */

/* DATA was given out. */
static void to_data(struct run *run, const struct transaction *transaction)
{
	run_ready(run, "PIPELINING");
	run_send(run, transaction);
	check_sent(run, MAIL "RCPT TO:<d@e.f>\r\n");
	server(run, "250 ok\r\n250 ok\r\n");
	check_log(run, "0: 250 ok\ncommit\n");
	check_sent(run, "DATA\r\n");
}

static void check_data(const char *reply, const char *log)
{
	struct run run;

	to_data(&run, &(struct transaction){.text = "x"});
	server(&run, reply);
	check_log(&run, log);
	check_sent(&run, "RSET\r\n");
	server(&run, "250 ok\r\n");
	check_state(&run, SMTP_SESSION_READY);
	run_end(&run);
}

static void test_data_refused(void)
{
	struct run run;

	check_data("554 no\r\n", "refused (554) 554 no\n");
	check_data("451 later\r\n", "deferred (451) 451 later\n");
	to_data(&run, &(struct transaction){.text = "x"});
	server_fails(&run, "250 ok\r\n", ERROR_PROTOCOL);
	check_log(&run, "deferred (0) the server's answer makes no sense here: 250 ok\n");
	run_end(&run);
}

static void test_text_stuffed(void)
{
	struct run run;

	to_data(&run, &(struct transaction){.text = ".\n.\r\n\r.a\n..\nb"});
	server(&run, "354 go\r\n");
	check_sent(&run, "..\r\n..\r\n\r\n..a\r\n...\r\nb\r\n");
	check_sent(&run, ".\r\n");
	server(&run, "250 ok\r\n");
	check_log(&run, "accepted (250) 250 ok\n");
	run_end(&run);
}

static void test_text_empty(void)
{
	struct run run;

	to_data(&run, &(struct transaction){.text = ""});
	server(&run, "354 go\r\n");
	check_state(&run, SMTP_SESSION_DOT);
	check_sent(&run, ".\r\n");
	server(&run, "250 ok\r\n");
	check_log(&run, "accepted (250) 250 ok\n");
	run_end(&run);
}

/* The dot is given out only when all before it was written, to the last byte. */
static void test_text_dot_last(void)
{
	struct run run;

	to_data(&run, &(struct transaction){.text = "hello\n"});
	server(&run, "354 go\r\n");
	for (unsigned i = 0; i < 7; i++) {
		check_state(&run, SMTP_SESSION_TEXT);
		g_assert_cmpuint(buf_len(smtp_session_output(run.session)), ==, 7 - i);
		g_assert_true(smtp_session_wrote(run.session, 1, NULL));
	}
	check_state(&run, SMTP_SESSION_DOT);
	check_sent(&run, ".\r\n");
	run_end(&run);
}

static void test_text_long(void)
{
	const size_t size = 1024 * 1024;
	g_autofree char *text = g_malloc(size);
	const struct buf *output;
	size_t dots = 0, lines = 0, sent = 0;
	struct run run;

	for (size_t i = 0; i < size; i++)
		text[i] = ".\n"[i % 2];
	to_data(&run, &(struct transaction){.text = text, .text_len = size});
	output = smtp_session_output(run.session);
	server(&run, "354 go\r\n");
	while (smtp_session_state(run.session) == SMTP_SESSION_TEXT) {
		size_t len = MIN(buf_len(output), 1000);

		g_assert_cmpuint(buf_len(output), <, 100 * 1024);
		for (size_t i = 0; i < len; i++) {
			dots += buf_data(output)[i] == '.';
			lines += buf_data(output)[i] == '\n';
		}
		sent += len;
		g_assert_true(smtp_session_wrote(run.session, len, NULL));
	}
	g_assert_cmpuint(dots, ==, size);
	g_assert_cmpuint(lines, ==, size / 2);
	g_assert_cmpuint(sent, ==, size * 2);
	check_sent(&run, ".\r\n");
	run_end(&run);
}

static void test_text_unreadable(void)
{
	g_autofree char *text = g_strnfill(200000, 'x');
	struct run run;

	to_data(&run, &(struct transaction){.text = "x", .unreadable = true});
	server_fails(&run, "354 go\r\n", ERROR_IO);
	check_log(&run, "deferred (0) the message cannot be read\n");
	run_end(&run);
	to_data(&run, &(struct transaction){.text = text, .unreadable = true});
	server(&run, "354 go\r\n");
	while (smtp_session_wrote(run.session, buf_len(smtp_session_output(run.session)),
				  &run.error))
		check_state(&run, SMTP_SESSION_TEXT);
	check_failed(&run, ERROR_IO);
	check_log(&run, "deferred (0) the message cannot be read\n");
	run_end(&run);
}

static void check_early(const char *reply, enum mailfs_error code, const char *log)
{
	g_autofree char *text = g_strnfill(200000, 'x');
	struct run run;

	/* amid the text */
	to_data(&run, &(struct transaction){.text = text});
	server(&run, "354 go\r\n");
	written(&run);
	server_fails(&run, reply, code);
	check_log(&run, log);
	run_end(&run);
	/* with the dot in hand */
	to_data(&run, &(struct transaction){.text = "x"});
	server(&run, "354 go\r\n");
	check_sent(&run, "x\r\n");
	check_state(&run, SMTP_SESSION_DOT);
	smtp_session_wrote(run.session, 2, NULL);
	server_fails(&run, reply, code);
	check_log(&run, log);
	run_end(&run);
	g_assert_cmpuint(run.done, ==, 1);
}

static void test_text_early(void)
{
	check_early("552 too big\r\n", ERROR_TEMPORARY, "refused (552) 552 too big\n");
	check_early("452 full\r\n", ERROR_TEMPORARY, "deferred (452) 452 full\n");
	check_early("421 bye\r\n", ERROR_TEMPORARY, "deferred (421) 421 bye\n");
	check_early("250 ok\r\n", ERROR_PROTOCOL,
		    "unknown (250) the server answers before the end of the text: 250 ok\n");
	check_early("354 go\r\n", ERROR_PROTOCOL,
		    "unknown (354) the server answers before the end of the text: 354 go\n");
}

/* The dot was written. */
static void to_dot(struct run *run)
{
	to_data(run, &(struct transaction){.text = "x"});
	server(run, "354 go\r\n");
	check_sent(run, "x\r\n");
	check_sent(run, ".\r\n");
}

static void check_dot(const char *reply, const char *log, bool accepted)
{
	struct run run;

	to_dot(&run);
	server(&run, reply);
	check_log(&run, log);
	check_sent(&run, accepted ? "" : "RSET\r\n");
	if (!accepted)
		server(&run, "250 ok\r\n");
	check_state(&run, SMTP_SESSION_READY);
	run_send(&run, &(struct transaction){0});
	check_sent(&run, MAIL "RCPT TO:<d@e.f>\r\n");
	run_end(&run);
}

static void check_dot_fatal(const char *reply, enum mailfs_error code, const char *log)
{
	struct run run;

	to_dot(&run);
	server_fails(&run, reply, code);
	check_log(&run, log);
	run_end(&run);
	g_assert_cmpuint(run.done, ==, 1);
}

static void test_dot(void)
{
	check_dot("299 ok\r\n", "accepted (299) 299 ok\n", true);
	check_dot("554 5.7.1 spam\r\n", "refused (554) 554 5.7.1 spam\n", false);
	check_dot("451-4.3.0 later\r\n451 4.3.0 please\r\n",
		  "deferred (451) 451 4.3.0 later please\n", false);
	check_dot_fatal("354 again\r\n", ERROR_PROTOCOL, "unknown (354) 354 again\n");
	check_dot_fatal("421 bye\r\n", ERROR_TEMPORARY, "deferred (421) 421 bye\n");
	check_dot_fatal("nonsense\r\n", ERROR_PROTOCOL,
			"unknown (0) the server does not answer like SMTP: \"nonsense\"\n");
	check_dot_fatal("250 ok\r\n250 ok\r\n", ERROR_PROTOCOL, "accepted (250) 250 ok\n");
}

/* ---- The connection ends ---- */

/* Each reply takes it a state further. */
static const char *const way[] = {"250 ok\r\n", "250 ok\r\n", "354 go\r\n", "250 ok\r\n"};

/* Where all that was given out so far was written. */
static void go(struct run *run, unsigned steps)
{
	run_ready(run, "DSN");
	run_send(run, &(struct transaction){.text = "x"});
	for (unsigned i = 0; i < steps; i++) {
		written(run);
		server(run, way[i]);
	}
}

static const struct {
	enum smtp_session_state state;
	const char *lost;
	const char *closed;
} ends[] = {
	{SMTP_SESSION_MAIL, "deferred (0) the connection ended\n", "deferred (421) 421 bye\n"},
	{SMTP_SESSION_MAIL, "deferred (0) the connection ended\n", "deferred (421) 421 bye\n"},
	{SMTP_SESSION_DATA, "0: 250 ok\ncommit\ndeferred (0) the connection ended\n",
	 "0: 250 ok\ncommit\ndeferred (421) 421 bye\n"},
	{SMTP_SESSION_TEXT, "0: 250 ok\ncommit\ndeferred (0) the connection ended\n",
	 "0: 250 ok\ncommit\ndeferred (421) 421 bye\n"},
};

static void lose_by_free(struct run *run)
{
	smtp_session_free(&run->session);
}

static void lose_by_quit(struct run *run)
{
	smtp_session_quit(run->session);
	check_state(run, SMTP_SESSION_CLOSED);
	check_sent(run, "");
}

static void check_lost(void (*lose)(struct run *run))
{
	struct run run;

	for (unsigned i = 0; i < G_N_ELEMENTS(ends); i++) {
		go(&run, i);
		check_state(&run, ends[i].state);
		lose(&run);
		check_log(&run, ends[i].lost);
		run_end(&run);
		g_assert_cmpuint(run.done, ==, 1);
	}
	/* behind the dot, written or not: nobody can know */
	for (unsigned i = 0; i < 2; i++) {
		go(&run, 3);
		written(&run);
		if (i == 1)
			written(&run);
		check_state(&run, SMTP_SESSION_DOT);
		g_string_truncate(run.log, 0);
		lose(&run);
		check_log(&run, "unknown (0) the connection ended before the server's last "
				"answer\n");
		run_end(&run);
		g_assert_cmpuint(run.done, ==, 1);
	}
	/* afterwards */
	go(&run, 3);
	written(&run);
	written(&run);
	server(&run, way[3]);
	g_string_truncate(run.log, 0);
	smtp_session_free(&run.session);
	check_log(&run, "");
	run_end(&run);
}

static void test_lost(void)
{
	check_lost(lose_by_free);
	check_lost(lose_by_quit);
}

static void test_closed(void)
{
	for (unsigned i = 0; i < G_N_ELEMENTS(ends); i++) {
		struct run run;

		go(&run, i);
		server_fails(&run, "421 bye\r\n", ERROR_TEMPORARY);
		g_assert_cmpstr(run.error->message, ==,
				"the server closed the connection: 421 bye");
		check_log(&run, ends[i].closed);
		run_end(&run);
		g_assert_cmpuint(run.done, ==, 1);
	}
}

static void check_nonsense(unsigned steps, const char *reply)
{
	struct run run;

	go(&run, steps);
	written(&run);
	g_string_truncate(run.log, 0);
	server_fails(&run, reply, ERROR_PROTOCOL);
	g_assert_true(g_str_has_prefix(run.log->str, "deferred (0) the server"));
	run_end(&run);
	g_assert_cmpuint(run.done, ==, 1);
}

static void test_nonsense(void)
{
	for (unsigned i = 0; i < 3; i++)
		check_nonsense(i, "nonsense\r\n");
	check_nonsense(0, "354 go\r\n");
	check_nonsense(1, "334 go\r\n");
	check_nonsense(2, "250 ok\r\n");
}

static void test_limit(void)
{
	g_autofree char *line = g_strnfill(LIMIT_SMTP_LINE + 2, '2');
	struct run run;

	go(&run, 0);
	written(&run);
	server_fails(&run, line, ERROR_LIMIT);
	check_log(&run, "deferred (0) a line of the server is longer than 4096 bytes\n");
	run_end(&run);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/smtp-send/one-by-one", test_one_by_one);
	g_test_add_func("/smtp-send/pipelined", test_pipelined);
	g_test_add_func("/smtp-send/pipelined-written-in-part", test_pipelined_written_in_part);
	g_test_add_func("/smtp-send/most-recipients", test_most_recipients);
	g_test_add_func("/smtp-send/parameters", test_parameters);
	g_test_add_func("/smtp-send/notify", test_notify);
	g_test_add_func("/smtp-send/obstacles", test_obstacles);
	g_test_add_func("/smtp-send/not-ready", test_not_ready);
	g_test_add_func("/smtp-send/mail-refused", test_mail_refused);
	g_test_add_func("/smtp-send/mail-refused-lost", test_mail_refused_lost);
	g_test_add_func("/smtp-send/rset-refused", test_rset_refused);
	g_test_add_func("/smtp-send/rcpt-refused", test_rcpt_refused);
	g_test_add_func("/smtp-send/rcpt-refused-again", test_rcpt_refused_again);
	g_test_add_func("/smtp-send/taken-back", test_taken_back);
	g_test_add_func("/smtp-send/data-refused", test_data_refused);
	g_test_add_func("/smtp-send/text-stuffed", test_text_stuffed);
	g_test_add_func("/smtp-send/text-empty", test_text_empty);
	g_test_add_func("/smtp-send/text-dot-last", test_text_dot_last);
	g_test_add_func("/smtp-send/text-long", test_text_long);
	g_test_add_func("/smtp-send/text-unreadable", test_text_unreadable);
	g_test_add_func("/smtp-send/text-early", test_text_early);
	g_test_add_func("/smtp-send/dot", test_dot);
	g_test_add_func("/smtp-send/lost", test_lost);
	g_test_add_func("/smtp-send/closed", test_closed);
	g_test_add_func("/smtp-send/nonsense", test_nonsense);
	g_test_add_func("/smtp-send/limit", test_limit);
	return g_test_run();
}
