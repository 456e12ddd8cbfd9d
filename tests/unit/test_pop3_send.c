/* Commands behind the login, their answers, and the end. */
#include "pop3_session_fixture.h"

/* ---- RFC 1939 section 10 ---- */

static const struct pop3_session_config mrose = {
	.login = {.user = "mrose", .password = "tanstaaf", .allowed = AUTH_APOP}};

static void rfc_session(struct run *run)
{
	play(run, "S: +OK POP3 server ready <1896.697170952@dbc.mtview.ca.us>\nC: CAPA\n"
		  "S: -ERR\nC: APOP mrose c4c9334bac560ecc979e58001b3e22fb\n"
		  "S: +OK mrose's maildrop has 2 messages (320 octets)\n");
	ask(run, POP3_STAT, 0);
	ask(run, POP3_LIST, 0);
	ask(run, POP3_RETR, 1);
	ask(run, POP3_DELE, 1);
	ask(run, POP3_RETR, 2);
	ask(run, POP3_DELE, 2);
	quit(run);
	play(run, "C: STAT\nS: +OK 2 320\n"
		  "C: LIST\nS: +OK 2 messages (320 octets)\nS: 1 120\nS: 2 200\nS: .\n"
		  "C: RETR 1\nS: +OK 120 octets\nS: <the first>\nS: .\n"
		  "C: DELE 1\nS: +OK message 1 deleted\n"
		  "C: RETR 2\nS: +OK 200 octets\nS: <the second>\nS: .\n"
		  "C: DELE 2\nS: +OK message 2 deleted\n"
		  "C: QUIT\nS: +OK dewey POP3 server signing off (maildrop empty)\n");
	check_state(run, POP3_SESSION_CLOSED);
	check_log(run, "+OK 2 320\n"
		       "size 1 120\nsize 2 200\n+OK 2 messages (320 octets)\n"
		       "{<the first>\r\n}\n+OK 120 octets\n"
		       "+OK message 1 deleted\n"
		       "{<the second>\r\n}\n+OK 200 octets\n"
		       "+OK message 2 deleted\n"
		       "quit: committed +OK dewey POP3 server signing off (maildrop empty)\n");
	g_assert_null(strstr(run->trace->str, "the first"));
}

static void test_rfc_session(void)
{
	each_cut(&mrose, rfc_session);
}

/* ---- Listings ---- */

static void listings(struct run *run)
{
	play_ready(run, "TOP");
	ask(run, POP3_UIDL, 0);
	ask(run, POP3_LIST, 0);
	play(run, "C: UIDL\nS: +OK\nS: 1 whqtswO00WBw418f9t5JxYwZ\nS: 2   QhdPYR:00WBw1Ph7x7\n"
		  "S: 3\nS: nonsense\nS: 5 ..\nS: .6 x\nS: 5 twice\nS: .\n"
		  "C: LIST\nS: +OK\nS: 2 -1\nS: 1 99999999999999999999\nS: \nS: 0 3\nS: 7 10\n"
		  "S: .\n");
	check_log(run, "uid 1 whqtswO00WBw418f9t5JxYwZ\nuid 2 QhdPYR:00WBw1Ph7x7\nuid 3 \n"
		       "uid 5 ..\nuid 6 x\nuid 5 twice\n+OK\n"
		       "size 2 ?\nsize 1 ?\nsize 7 10\n+OK\n");
	g_assert_cmpuint(pop3_session_pending(run->session), ==, 0);
}

static void test_listings(void)
{
	each_cut(&with_tls, listings);
}

static void test_empty_listings(void)
{
	struct run run;

	run_ready(&run, NULL);
	ask(&run, POP3_UIDL, 0);
	play(&run, "C: UIDL\nS: +OK\nS: .\n");
	check_log(&run, "+OK\n");
	ask(&run, POP3_UIDL, 0);
	play(&run, "C: UIDL\nS: -ERR unknown\n");
	check_log(&run, "-ERR unknown\n");
	run_end(&run);
}

/* Line ends are not the same everywhere; the end of the list is. */
static void lone_lf(struct run *run)
{
	play_ready(run, NULL);
	ask(run, POP3_UIDL, 0);
	check_sent(run, "UIDL\r\n");
	server(run, "+OK\n1 a\n2 b\r\n.\r\n");
	check_log(run, "uid 1 a\nuid 2 b\n+OK\n");
}

static void test_lone_lf(void)
{
	each_cut(&with_tls, lone_lf);
}

static void test_listing_limits(void)
{
	for (int more = -1; more <= 1; more++) {
		g_autofree char *uid = g_strnfill((gsize)(LIMIT_POP3_LINE - 2 + more), 'u');
		g_autofree char *reply = g_strdup_printf("+OK\r\n1 %s\r\n.\r\n", uid);
		struct run run;

		run_ready(&run, NULL);
		ask(&run, POP3_UIDL, 0);
		check_sent(&run, "UIDL\r\n");
		if (more > 0)
			server_fails(&run, reply, ERROR_LIMIT);
		else
			server(&run, reply);
		check_log(&run, more > 0 ? "lost\n" : "uid 1 \n+OK\n");
		run_end(&run);
	}
}

static void test_listing_lines(void)
{
	GString *lines = g_string_new(NULL);
	struct run run;

	for (unsigned i = 0; i < LIMIT_MESSAGES; i++)
		g_string_append(lines, "\r\n");
	for (unsigned more = 0; more < 2; more++) {
		run_ready(&run, NULL);
		ask(&run, POP3_LIST, 0);
		play(&run, "C: LIST\nS: +OK\n");
		server(&run, lines->str);
		if (more)
			server_fails(&run, "\r\n", ERROR_LIMIT);
		else
			server(&run, ".\r\n");
		check_log(&run, more ? "lost\n" : "+OK\n");
		run_end(&run);
	}
	g_string_free(lines, TRUE);
}

/* ---- Bodies ---- */

static void bodies(struct run *run)
{
	play_ready(run, "TOP");
	ask(run, POP3_TOP, 1);
	ask(run, POP3_RETR, 2000000);
	check_sent(run, "TOP 1 0\r\n");
	server(run, "+OK\r\nSubject: a\r\n\r\n.\r\n");
	check_sent(run, "RETR 2000000\r\n");
	server(run, "+OK 733 octets follow.\r\n..\r\na\n.\nb\r.\r\n...c\r\n.\r\n");
	check_log(run, "{Subject: a\r\n\r\n}\n+OK\n"
		       "{.\r\na\n.\nb\r.\r\n..c\r\n}\n+OK 733 octets follow.\n");
}

static void test_bodies(void)
{
	each_cut(&with_tls, bodies);
}

static void test_refused(void)
{
	struct run run;

	run_ready(&run, NULL);
	ask(&run, POP3_TOP, 1);
	ask(&run, POP3_RETR, 1);
	ask(&run, POP3_DELE, 1);
	ask(&run, POP3_NOOP, 0);
	play(&run, "C: TOP 1 0\nS: -ERR no\nC: RETR 1\nS: -ERR [UTF8] no\nC: DELE 1\n"
		   "S: -ERR gone\nC: NOOP\nS: +OK\n");
	check_log(&run, "-ERR no\n-ERR [UTF8] no\n-ERR gone\n+OK\n");
	check_state(&run, POP3_SESSION_READY);
	run_end(&run);
}

static void test_body_lost(void)
{
	struct run run;

	run_ready(&run, NULL);
	ask(&run, POP3_RETR, 1);
	ask(&run, POP3_RETR, 2);
	play(&run, "C: RETR 1\nS: +OK\nS: half\n");
	pop3_session_free(&run.session);
	check_log(&run, "{half\r\n}\nlost\nlost\n");
	run_end(&run);
}

/* Counts, and keeps nothing. */
static void on_count(void *data, uint32_t number, const uint8_t *bytes, size_t len)
{
	*(uint64_t *)data += len;
}

static void ignore_done(void *data, const struct pop3_reply *reply)
{
}

/* What is too long is read over by the owner: the session goes on. */
static void test_body_of_any_length(void)
{
	static const struct pop3_session_events events = {.body = on_count};
	g_autofree uint8_t *block = g_malloc0(1024 * 1024);
	uint64_t len = 0;
	struct pop3_session *session = pop3_session_new(&without_tls, &events, &len);
	static const char *const lines[] = {"+OK\r\n", "-ERR\r\n", "+OK\r\n", "+OK\r\n", "+OK\r\n"};
	static const char end[] = "\r\n.\r\n";

	pop3_session_send(session, POP3_RETR, 1, ignore_done, NULL);
	for (unsigned i = 0; i < G_N_ELEMENTS(lines); i++) {
		pop3_session_wrote(session, buf_len(pop3_session_output(session)));
		g_assert_true(pop3_session_feed(session, (const uint8_t *)lines[i],
						strlen(lines[i]), NULL));
	}
	for (uint64_t i = 0; i < LIMIT_MESSAGE_SIZE; i += 1024 * 1024)
		g_assert_true(pop3_session_feed(session, block, 1024 * 1024, NULL));
	g_assert_true(pop3_session_feed(session, (const uint8_t *)end, strlen(end), NULL));
	g_assert_cmpuint(len, ==, LIMIT_MESSAGE_SIZE + 2);
	g_assert_cmpuint(pop3_session_pending(session), ==, 0);
	g_assert_cmpint(pop3_session_state(session), ==, POP3_SESSION_READY);
	pop3_session_free(&session);
}

/* ---- Pipelining ---- */

static void pipelined(struct run *run)
{
	play_ready(run, "PIPELINING");
	for (uint32_t i = 1; i <= 3; i++)
		ask(run, POP3_TOP, i);
	ask(run, POP3_DELE, 2);
	play(run, "C: TOP 1 0\nC: TOP 2 0\nC: TOP 3 0\nC: DELE 2\n");
	server(run, "+OK\r\na\r\n.\r\n-ERR gone\r\n+OK\r\nc\r\n.\r\n+OK\r\n");
	check_log(run, "{a\r\n}\n+OK\n-ERR gone\n{c\r\n}\n+OK\n+OK\n");
}

static void test_pipelined(void)
{
	each_cut(&with_tls, pipelined);
}

static void test_pipelining_off(void)
{
	struct run run;

	/* offered before the login alone */
	run_start(&run, &with_tls);
	play(&run, "S: +OK\nC: CAPA\nS: +OK\nS: PIPELINING\nS: USER\nS: .\nC: USER alice\nS: +OK\n"
		   "C: PASS s3same\nS: +OK\nC: CAPA\nS: +OK\nS: .\n");
	ask(&run, POP3_NOOP, 0);
	ask(&run, POP3_NOOP, 0);
	play(&run, "C: NOOP\nS: +OK\nC: NOOP\n");
	run_end(&run);
}

/* What is in flight is bounded, and filled up as answers come. */
static void test_window(void)
{
	g_autoptr(GString) window = g_string_new(NULL);
	struct run run;

	run_ready(&run, "PIPELINING");
	for (unsigned i = 0; i < 102; i++)
		ask(&run, POP3_NOOP, 0);
	for (unsigned i = 0; i < 100; i++)
		g_string_append(window, "NOOP\r\n");
	check_sent(&run, window->str);
	g_assert_cmpuint(pop3_session_pending(run.session), ==, 102);
	server(&run, "+OK\r\n");
	check_sent(&run, "NOOP\r\n");
	server(&run, "+OK\r\n+OK\r\n");
	check_sent(&run, "NOOP\r\n");
	g_assert_cmpuint(pop3_session_pending(run.session), ==, 99);
	run_end(&run);
	g_assert_cmpuint(run.done, ==, 102);
}

static void test_early_reply(void)
{
	struct run run;

	run_ready(&run, "PIPELINING");
	ask(&run, POP3_DELE, 1);
	ask(&run, POP3_DELE, 2);
	pop3_session_wrote(run.session, strlen("DELE 1\r\nDELE 2\r"));
	server(&run, "+OK\r\n");
	check_log(&run, "+OK\n");
	server_fails(&run, "+OK\r\n", ERROR_PROTOCOL);
	check_log(&run, "lost\n");
	run_end(&run);
}

/* What is asked for before READY waits. */
static void test_waits_for_login(void)
{
	struct run run;

	run_start(&run, &with_tls);
	ask(&run, POP3_STAT, 0);
	check_sent(&run, "");
	play_ready(&run, NULL);
	play(&run, "C: STAT\nS: +OK 0 0\n");
	check_log(&run, "+OK 0 0\n");
	run_end(&run);
}

static void test_login_lost(void)
{
	struct run run;

	run_start(&run, &with_tls);
	ask(&run, POP3_STAT, 0);
	server_fails(&run, "-ERR\r\n", ERROR_TEMPORARY);
	check_log(&run, "lost\n");
	ask(&run, POP3_STAT, 0);
	check_log(&run, "lost\n");
	quit(&run);
	check_log(&run, "quit: not sent\n");
	run_end(&run);
}

/* ---- Servers that speak unasked ---- */

static void test_unasked(void)
{
	struct run run;

	run_ready(&run, NULL);
	server_fails(&run, "-ERR Disconnected for inactivity.\r\n", ERROR_TEMPORARY);
	g_assert_nonnull(strstr(run.error->message, "Disconnected for inactivity"));
	run_end(&run);
	run_ready(&run, NULL);
	server_fails(&run, "+OK\r\n", ERROR_PROTOCOL);
	run_end(&run);
	run_ready(&run, NULL);
	ask(&run, POP3_NOOP, 0);
	check_sent(&run, "NOOP\r\n");
	server_fails(&run, "+ \r\n", ERROR_PROTOCOL);
	check_log(&run, "lost\n");
	run_end(&run);
	/* text behind a dot that was not stuffed */
	run_ready(&run, NULL);
	ask(&run, POP3_RETR, 1);
	check_sent(&run, "RETR 1\r\n");
	server_fails(&run, "+OK\r\na\r\n.\r\nb\r\n.\r\n", ERROR_PROTOCOL);
	run_end(&run);
}

/* ---- Callbacks that ask for more ---- */

static void on_stat_retr(void *data, const struct pop3_reply *reply)
{
	struct run *run = data;

	on_done(data, reply);
	ask(run, POP3_RETR, 1);
	quit(run);
	/* too late */
	ask(run, POP3_RETR, 2);
}

static void test_ask_from_within(void)
{
	struct run run;

	run_ready(&run, NULL);
	pop3_session_send(run.session, POP3_STAT, 0, on_stat_retr, &run);
	play(&run, "C: STAT\nS: +OK 1 3\nC: RETR 1\nS: +OK\nS: a\nS: .\nC: QUIT\nS: +OK bye\n");
	check_log(&run, "+OK 1 3\nlost\n{a\r\n}\n+OK\nquit: committed +OK bye\n");
	run_end(&run);
}

static void test_lost_from_within(void)
{
	struct run run;

	run_ready(&run, NULL);
	pop3_session_send(run.session, POP3_STAT, 0, on_stat_retr, &run);
	ask(&run, POP3_NOOP, 0);
	pop3_session_free(&run.session);
	check_log(&run, "lost\nlost\nlost\nquit: not sent\nlost\n");
	run_end(&run);
}

/* ---- QUIT ---- */

/* It goes alone, though the server could take more at once. */
static void test_quit_goes_alone(void)
{
	struct run run;

	run_ready(&run, "PIPELINING");
	ask(&run, POP3_DELE, 1);
	ask(&run, POP3_DELE, 2);
	quit(&run);
	quit(&run);
	check_state(&run, POP3_SESSION_QUIT);
	ask(&run, POP3_DELE, 3);
	check_log(&run, "lost\n");
	play(&run, "C: DELE 1\nC: DELE 2\nS: +OK\n");
	check_sent(&run, "");
	play(&run, "S: +OK\nC: QUIT\n");
	check_state(&run, POP3_SESSION_QUIT);
	server(&run, "+OK bye\r\nand more that nobody reads");
	check_state(&run, POP3_SESSION_CLOSED);
	check_log(&run, "+OK\n+OK\nquit: committed +OK bye\n");
	pop3_session_wrote(run.session, 0);
	quit(&run);
	check_log(&run, "");
	run_end(&run);
}

static void test_quit_partly(void)
{
	struct run run;

	run_ready(&run, NULL);
	quit(&run);
	play(&run, "C: QUIT\nS: -ERR [SYS/TEMP] some deleted messages not removed\n");
	check_state(&run, POP3_SESSION_CLOSED);
	check_log(&run, "quit: partly -ERR [SYS/TEMP] some deleted messages not removed\n");
	run_end(&run);
}

static void test_quit_unknown(void)
{
	struct run run;

	run_ready(&run, NULL);
	quit(&run);
	pop3_session_free(&run.session);
	check_log(&run, "quit: unknown\n");
	run_end(&run);
	run_ready(&run, NULL);
	quit(&run);
	play(&run, "C: QUIT\n");
	server(&run, "+OK by");
	pop3_session_free(&run.session);
	check_log(&run, "quit: unknown\n");
	run_end(&run);
	run_ready(&run, NULL);
	quit(&run);
	play(&run, "C: QUIT\n");
	server_fails(&run, "+ what\r\n", ERROR_PROTOCOL);
	check_log(&run, "quit: unknown\n");
	run_end(&run);
	run_ready(&run, NULL);
	quit(&run);
	play(&run, "C: QUIT\n");
	server_fails(&run, "what\r\n", ERROR_PROTOCOL);
	check_log(&run, "quit: unknown\n");
	run_end(&run);
	/* a reply before all of it was written */
	run_ready(&run, NULL);
	quit(&run);
	server_fails(&run, "+OK\r\n", ERROR_PROTOCOL);
	check_log(&run, "quit: unknown\n");
	run_end(&run);
}

static void test_quit_not_sent(void)
{
	struct run run;

	run_ready(&run, NULL);
	ask(&run, POP3_DELE, 1);
	quit(&run);
	play(&run, "C: DELE 1\n");
	pop3_session_free(&run.session);
	check_log(&run, "lost\nquit: not sent\n");
	run_end(&run);
	run_start(&run, &with_tls);
	play(&run, "S: +OK\nC: CAPA\n");
	quit(&run);
	check_state(&run, POP3_SESSION_CLOSED);
	check_log(&run, "quit: not sent\n");
	check_sent(&run, "");
	server(&run, "+OK ignored\r\n");
	run_end(&run);
}

static void test_trace(void)
{
	struct run run;

	run_ready(&run, NULL);
	g_string_truncate(run.trace, 0);
	ask(&run, POP3_UIDL, 0);
	ask(&run, POP3_RETR, 1);
	play(&run, "C: UIDL\nS: +OK\nS: 1 a\nS: .\nC: RETR 1\nS: +OK \x1b\nS: ..mail\nS: .\n");
	g_assert_cmpstr(run.trace->str, ==,
			"C UIDL\nS +OK\nS [5 bytes]\nC RETR 1\nS +OK \\x1B\nS [7 bytes]\n");
	run_end(&run);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/pop3_send/rfc_session", test_rfc_session);
	g_test_add_func("/pop3_send/listings", test_listings);
	g_test_add_func("/pop3_send/empty_listings", test_empty_listings);
	g_test_add_func("/pop3_send/lone_lf", test_lone_lf);
	g_test_add_func("/pop3_send/listing_limits", test_listing_limits);
	g_test_add_func("/pop3_send/listing_lines", test_listing_lines);
	g_test_add_func("/pop3_send/bodies", test_bodies);
	g_test_add_func("/pop3_send/refused", test_refused);
	g_test_add_func("/pop3_send/body_lost", test_body_lost);
	g_test_add_func("/pop3_send/body_of_any_length", test_body_of_any_length);
	g_test_add_func("/pop3_send/pipelined", test_pipelined);
	g_test_add_func("/pop3_send/pipelining_off", test_pipelining_off);
	g_test_add_func("/pop3_send/window", test_window);
	g_test_add_func("/pop3_send/early_reply", test_early_reply);
	g_test_add_func("/pop3_send/waits_for_login", test_waits_for_login);
	g_test_add_func("/pop3_send/login_lost", test_login_lost);
	g_test_add_func("/pop3_send/unasked", test_unasked);
	g_test_add_func("/pop3_send/ask_from_within", test_ask_from_within);
	g_test_add_func("/pop3_send/lost_from_within", test_lost_from_within);
	g_test_add_func("/pop3_send/quit_goes_alone", test_quit_goes_alone);
	g_test_add_func("/pop3_send/quit_partly", test_quit_partly);
	g_test_add_func("/pop3_send/quit_unknown", test_quit_unknown);
	g_test_add_func("/pop3_send/quit_not_sent", test_quit_not_sent);
	g_test_add_func("/pop3_send/trace", test_trace);
	return g_test_run();
}
