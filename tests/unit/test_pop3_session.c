/* From the greeting to READY. */
#include "pop3_session_fixture.h"

static const struct pop3_session_config with_apop = {
	.login = {.user = "mrose", .password = "tanstaaf", .allowed = AUTH_APOP}};

/* ---- Logins ---- */

static void plain(struct run *run)
{
	check_state(run, POP3_SESSION_GREETING);
	play(run, "S: +OK Dovecot ready.\nC: CAPA\n");
	check_state(run, POP3_SESSION_CAPA);
	play(run,
	     "S: +OK\nS: CAPA\nS: TOP\nS: UIDL\nS: RESP-CODES\nS: PIPELINING\n"
	     "S: AUTH-RESP-CODE\nS: USER\nS: SASL PLAIN LOGIN\nS: .\nC: AUTH PLAIN " PLAIN "\n");
	check_state(run, POP3_SESSION_AUTH);
	g_assert_cmpstr(pop3_session_capa(run->session)->mechanisms, ==, "PLAIN LOGIN");
	play(run, "S: +OK Logged in.\nC: CAPA\n");
	check_state(run, POP3_SESSION_AFTER_LOGIN);
	play(run, "S: +OK\nS: CAPA\nS: TOP\nS: UIDL\nS: .\n");
	check_state(run, POP3_SESSION_READY);
	check_sent(run, "");
	g_assert_true(pop3_session_capa(run->session)->known);
	g_assert_cmphex(pop3_session_capa(run->session)->caps, ==, POP3_CAP_TOP | POP3_CAP_UIDL);
	g_assert_null(strstr(run->trace->str, PLAIN));
	g_assert_nonnull(strstr(run->trace->str, "C AUTH PLAIN ...\n"));
	g_assert_nonnull(strstr(run->trace->str, "S RESP-CODES\n"));
}

static void test_plain(void)
{
	each_cut(&with_tls, plain);
}

static void user(struct run *run)
{
	play(run, "S: +OK\nC: CAPA\nS: +OK\nS: USER\nS: SASL CRAM-MD5\nS: .\nC: USER alice\n");
	check_state(run, POP3_SESSION_USER);
	play(run, "S: +OK\nC: PASS s3same\n");
	check_state(run, POP3_SESSION_AUTH);
	play(run, "S: +OK\nC: CAPA\nS: +OK\nS: .\n");
	check_state(run, POP3_SESSION_READY);
	g_assert_null(strstr(run->trace->str, "s3same"));
	g_assert_nonnull(strstr(run->trace->str, "C PASS ...\n"));
}

static void test_user(void)
{
	each_cut(&with_tls, user);
}

static void no_capa(struct run *run)
{
	play(run, "S: +OK\nC: CAPA\nS: -ERR Unknown command\nC: USER alice\nS: +OK\n"
		  "C: PASS s3same\nS: +OK\n");
	check_state(run, POP3_SESSION_READY);
	check_sent(run, "");
	g_assert_false(pop3_session_capa(run->session)->known);
	g_assert_cmphex(pop3_session_capa(run->session)->caps, ==, 0);
}

static void test_no_capa(void)
{
	each_cut(&with_tls, no_capa);
}

/* What was known before the login then stays. */
static void test_no_capa_behind_login(void)
{
	struct run run;

	run_start(&run, &with_tls);
	play(&run, "S: +OK\nC: CAPA\nS: +OK\nS: USER\nS: TOP\nS: .\nC: USER alice\nS: +OK\n"
		   "C: PASS s3same\nS: +OK\nC: CAPA\nS: -ERR\n");
	check_state(&run, POP3_SESSION_READY);
	g_assert_cmphex(pop3_session_capa(run.session)->caps, ==, POP3_CAP_TOP | POP3_CAP_USER);
	run_end(&run);
}

/* It is not sent anywhere, not even behind STLS. */
static void test_capa_unasked(void)
{
	struct pop3_session_config config = with_stls;
	struct run run;

	config.no_capa = true;
	run_start(&run, &config);
	play(&run, "S: +OK\nC: STLS\nS: +OK\n");
	check_state(&run, POP3_SESSION_WANT_TLS);
	pop3_session_tls_done(run.session, NULL);
	play(&run, "C: USER alice\nS: +OK\nC: PASS s3same\nS: +OK\n");
	check_state(&run, POP3_SESSION_READY);
	check_sent(&run, "");
	g_assert_false(pop3_session_capa(run.session)->known);
	run_end(&run);
}

static void test_no_login_known(void)
{
	struct run run;

	run_start(&run, &with_tls);
	play(&run, "S: +OK\nC: CAPA\n");
	server_fails(&run, "+OK\r\nSASL CRAM-MD5 \x1b[1m\r\n.\r\n", ERROR_NO_LOGIN);
	g_assert_nonnull(
		strstr(run.error->message, "(it offers CRAM-MD5 \\x1B[1m, and these may: "));
	run_end(&run);
	run_start(&run, &with_tls);
	play(&run, "S: +OK\nC: CAPA\n");
	server_fails(&run, "+OK\r\nTOP\r\n.\r\n", ERROR_NO_LOGIN);
	run_end(&run);
}

/* The base64 of user, password and two NULs has `base64_len` bytes. */
static char *long_password(size_t base64_len)
{
	return g_strnfill(base64_len / 4 * 3 - 7, 'x');
}

static void test_plain_long(void)
{
	g_autofree char *fits = long_password(240);
	g_autofree char *longer = long_password(244);
	struct run run;

	to_plain(&run, fits);
	g_assert_cmpuint(buf_len(pop3_session_output(run.session)), ==, 11 + 240 + 2);
	run_end(&run);
	to_plain(&run, longer);
	check_sent(&run, "AUTH PLAIN\r\n");
	server(&run, "+ \r\n");
	g_assert_cmpuint(buf_len(pop3_session_output(run.session)), ==, 246);
	pop3_session_wrote(run.session, 246);
	play(&run, "S: +OK\nC: CAPA\n");
	run_end(&run);
}

/* Servers that say +OK where a "+ " belongs. */
static void test_plain_ok_for_continuation(void)
{
	g_autofree char *longer = long_password(244);
	struct run run;

	to_plain(&run, longer);
	check_sent(&run, "AUTH PLAIN\r\n");
	server(&run, "+OK go on\r\n");
	g_assert_cmpuint(buf_len(pop3_session_output(run.session)), ==, 246);
	check_state(&run, POP3_SESSION_AUTH);
	pop3_session_wrote(run.session, 246);
	play(&run, "S: +OK\nC: CAPA\n");
	check_state(&run, POP3_SESSION_AFTER_LOGIN);
	run_end(&run);
}

/* The same, where the response was in the command, and nobody read it. */
static void test_plain_ok_for_continuation_initial(void)
{
	struct run run;

	to_plain(&run, "s3same");
	play(&run, "C: AUTH PLAIN " PLAIN "\nS: +OK\nC: CAPA\nS: -ERR Logon failure\n"
		   "C: AUTH PLAIN\nS: +OK\nC: " PLAIN "\nS: +OK\nC: CAPA\nS: +OK\nS: TOP\nS: .\n");
	check_state(&run, POP3_SESSION_READY);
	g_assert_cmphex(pop3_session_capa(run.session)->caps, ==, POP3_CAP_TOP);
	g_assert_null(strstr(run.trace->str, PLAIN));
	run_end(&run);
	/* no third time */
	to_plain(&run, "s3same");
	play(&run, "C: AUTH PLAIN " PLAIN "\nS: +OK\nC: CAPA\nS: -ERR\nC: AUTH PLAIN\nS: + \n"
		   "C: " PLAIN "\nS: +OK\nC: CAPA\nS: -ERR\n");
	check_state(&run, POP3_SESSION_READY);
	run_end(&run);
	to_plain(&run, "s3same");
	play(&run, "C: AUTH PLAIN " PLAIN "\nS: +OK\nC: CAPA\nS: -ERR\nC: AUTH PLAIN\nS: +OK\n"
		   "C: " PLAIN "\n");
	server_fails(&run, "-ERR [AUTH] no\r\n", ERROR_AUTH);
	run_end(&run);
}

/* One that was right at first, and has no CAPA behind the login. */
static void test_plain_no_capa_behind_login(void)
{
	struct run run;

	to_plain(&run, "s3same");
	play(&run, "C: AUTH PLAIN " PLAIN "\nS: +OK\nC: CAPA\nS: -ERR " PLAIN "\nC: AUTH PLAIN\n"
		   "S: -ERR not in this state\n");
	check_state(&run, POP3_SESSION_READY);
	g_assert_null(strstr(run.trace->str, PLAIN));
	g_assert_cmphex(pop3_session_capa(run.session)->auth, ==, AUTH_PLAIN);
	ask(&run, POP3_NOOP, 0);
	check_sent(&run, "NOOP\r\n");
	run_end(&run);
	to_plain(&run, "s3same");
	play(&run, "C: AUTH PLAIN " PLAIN "\nS: +OK\nC: CAPA\nS: -ERR\nC: AUTH PLAIN\n");
	server_fails(&run, "-ERR [IN-USE] wait\r\n", ERROR_BUSY);
	run_end(&run);
	/* it asked for the response, and so has read it */
	to_plain(&run, "s3same");
	play(&run, "C: AUTH PLAIN " PLAIN "\nS: + \nC: " PLAIN "\nS: +OK\nC: CAPA\nS: -ERR\n");
	check_state(&run, POP3_SESSION_READY);
	run_end(&run);
}

static void test_plain_asked(void)
{
	struct run run;

	to_plain(&run, "s3same");
	play(&run, "C: AUTH PLAIN " PLAIN "\nS: + \nC: " PLAIN "\nS: +OK\nC: CAPA\n");
	run_end(&run);
	to_plain(&run, "s3same");
	play(&run, "C: AUTH PLAIN " PLAIN "\nS: +\nC: " PLAIN "\n");
	play(&run, "S: + \nC: *\n");
	server_fails(&run, "-ERR cancelled\r\n", ERROR_PROTOCOL);
	g_assert_cmpstr(run.error->message, ==, "the server asks for more than its login has");
	run_end(&run);
}

static void to_auth(struct run *run, const struct sasl_login *login)
{
	run_start(run, &(struct pop3_session_config){.login = *login, .tls_active = true});
	play(run, "S: +OK\nC: CAPA\nS: +OK\nS: USER\n"
		  "S: SASL EXTERNAL XOAUTH2 SCRAM-SHA-256 LOGIN CRAM-MD5\nS: .\n");
}

static void test_auth_external(void)
{
	struct run run;

	to_auth(&run, &(struct sasl_login){.user = "alice", .certificate = true});
	play(&run, "C: AUTH EXTERNAL =\nS: +OK\nC: CAPA\nS: -ERR\n");
	check_state(&run, POP3_SESSION_READY);
	run_end(&run);
}

static void test_auth_login(void)
{
	struct run run;

	to_auth(&run,
		&(struct sasl_login){.user = "alice", .password = "s3same", .allowed = AUTH_LOGIN});
	play(&run, "C: AUTH LOGIN\nS: + VXNlcm5hbWU6\nC: YWxpY2U=\nS: + UGFzc3dvcmQ6\n"
		   "C: czNzYW1l\nS: +OK\nC: CAPA\n");
	run_end(&run);
}

static void test_auth_token(void)
{
	struct run run;

	to_auth(&run, &(struct sasl_login){.user = "alice", .token = "t0ken"});
	play(&run, "C: AUTH XOAUTH2 dXNlcj1hbGljZQFhdXRoPUJlYXJlciB0MGtlbgEB\n"
		   "S: + eyJzdGF0dXMiOiI0MDAifQ==\nC: \n");
	server_fails(&run, "-ERR [AUTH] no\r\n", ERROR_AUTH);
	g_assert_cmpstr(run.error->message, ==, "login refused (400): -ERR [AUTH] no");
	run_end(&run);
}

/* What is pinned is not done by USER and PASS. */
static void test_auth_pinned(void)
{
	struct run run;

	run_start(&run, &(struct pop3_session_config){.login = {.user = "alice",
								.password = "s3same",
								.allowed = AUTH_SCRAM_SHA_256},
						      .tls_active = true});
	play(&run, "S: +OK <1@h>\nC: CAPA\n");
	server_fails(&run, "+OK\r\nUSER\r\nSASL PLAIN LOGIN\r\n.\r\n", ERROR_NO_LOGIN);
	g_assert_cmpstr(run.error->message, ==,
			"the server offers no login that may be used (it offers PLAIN LOGIN, and "
			"these may: SCRAM-SHA-256)");
	run_end(&run);
}

static void test_auth_early(void)
{
	const struct sasl_login alice = {.user = "alice", .password = "s3same"};
	struct run run;

	to_auth(&run, &alice);
	pop3_session_wrote(run.session, buf_len(pop3_session_output(run.session)));
	server_fails(&run, "+OK\r\n", ERROR_AUTH);
	run_end(&run);
	to_auth(&run, &alice);
	pop3_session_wrote(run.session, buf_len(pop3_session_output(run.session)));
	play(&run, "S: + cj1vdGhlcixzPUFBQUEsaT00MDk2\nC: *\n");
	server_fails(&run, "+OK\r\n", ERROR_AUTH);
	g_assert_nonnull(strstr(run.error->message, "another nonce"));
	run_end(&run);
}

static void test_plain_too_long(void)
{
	g_autofree char *fits = long_password(12288 - 4);
	g_autofree char *longer = long_password(12288);
	struct run run;

	to_plain(&run, fits);
	check_sent(&run, "AUTH PLAIN\r\n");
	server(&run, "+ \r\n");
	g_assert_cmpuint(buf_len(pop3_session_output(run.session)), ==, 12286);
	run_end(&run);
	run_start(&run,
		  &(struct pop3_session_config){.login = {.user = "alice", .password = longer}});
	play(&run, "S: +OK\nC: CAPA\n");
	server_fails(&run, "+OK\r\nSASL PLAIN\r\n.\r\n", ERROR_AUTH);
	run_end(&run);
}

static void check_unfit(const char *user_name, const char *password)
{
	struct pop3_session_config config = {.login = {.user = user_name, .password = password}};
	struct run run;

	run_start(&run, &config);
	play(&run, "S: +OK <1@h>\nC: CAPA\n");
	server_fails(&run, "-ERR\r\n", ERROR_AUTH);
	run_end(&run);
	config.login.allowed = AUTH_APOP;
	run_start(&run, &config);
	play(&run, "S: +OK <1@h>\nC: CAPA\n");
	server_fails(&run, "-ERR\r\n", ERROR_AUTH);
	run_end(&run);
}

/* A line end would begin a command of somebody else. */
static void test_unfit_for_lines(void)
{
	g_autofree char *longest = g_strnfill(12288 - 7, 'x');
	g_autofree char *longer = g_strnfill(12288 - 6, 'x');
	struct run run;

	check_unfit("alice", "a\r\nDELE 1");
	check_unfit("alice", "a\n");
	check_unfit("alice\r\nDELE 1", "a");
	check_unfit("ali\tce", "a");
	check_unfit("alice", longer);
	run_start(&run,
		  &(struct pop3_session_config){.login = {.user = "alice", .password = longest}});
	play(&run, "S: +OK\nC: CAPA\nS: -ERR\nC: USER alice\nS: +OK\n");
	g_assert_cmpuint(buf_len(pop3_session_output(run.session)), ==, 12288);
	run_end(&run);
}

/* ---- APOP ---- */

static void apop(struct run *run)
{
	play(run, "S: +OK POP3 server ready <1896.697170952@dbc.mtview.ca.us>\nC: CAPA\n"
		  "S: -ERR\nC: APOP mrose c4c9334bac560ecc979e58001b3e22fb\n");
	check_state(run, POP3_SESSION_AUTH);
	play(run, "S: +OK maildrop has 1 message (369 octets)\n");
	check_state(run, POP3_SESSION_READY);
	g_assert_null(strstr(run->trace->str, "c4c9"));
}

static void test_apop(void)
{
	each_cut(&with_apop, apop);
}

/* Only what was asked for: neither this without, nor another with. */
static void test_apop_alone(void)
{
	struct run run;

	run_start(&run, &without_tls);
	play(&run, "S: +OK <1896.697170952@dbc.mtview.ca.us>\nC: CAPA\nS: -ERR\nC: USER alice\n");
	run_end(&run);
	run_start(&run, &with_apop);
	play(&run, "S: +OK ready\nC: CAPA\n");
	server_fails(&run, "+OK\r\nUSER\r\nSASL PLAIN\r\n.\r\n", ERROR_NO_LOGIN);
	run_end(&run);
	run_start(&run, &with_apop);
	play(&run, "S: +OK <1@h\xff>\nC: CAPA\n");
	server_fails(&run, "-ERR\r\n", ERROR_NO_LOGIN);
	run_end(&run);
	run_start(&run, &with_apop);
	play(&run, "S: +OK <1896.697170952@dbc.mtview.ca.us>\nC: CAPA\nS: -ERR\n"
		   "C: APOP mrose c4c9334bac560ecc979e58001b3e22fb\n");
	server_fails(&run, "-ERR permission denied\r\n", ERROR_AUTH);
	run_end(&run);
}

/* ---- STLS ---- */

static void stls(struct run *run)
{
	play(run, "S: +OK\nC: CAPA\nS: +OK\nS: SASL PLAIN\nS: UTF8\nS: LOGIN-DELAY 100\n"
		  "S: EXPIRE 0\nS: STLS\nS: .\nC: STLS\n");
	check_state(run, POP3_SESSION_STLS);
	play(run, "S: +OK Begin TLS\n");
	check_state(run, POP3_SESSION_WANT_TLS);
	check_sent(run, "");
	/* nothing of before is left */
	g_assert_false(pop3_session_capa(run->session)->known);
	g_assert_cmphex(pop3_session_capa(run->session)->caps, ==, 0);
	g_assert_cmpuint(pop3_session_capa(run->session)->login_delay_s, ==, 0);
	g_assert_cmpuint(pop3_session_capa(run->session)->expire_days, ==, POP3_EXPIRE_NEVER);
	g_assert_null(pop3_session_capa(run->session)->mechanisms);
	pop3_session_tls_done(run->session, NULL);
	play(run, "C: CAPA\nS: +OK\nS: USER\nS: .\nC: USER alice\nS: +OK\nC: PASS s3same\n"
		  "S: +OK\nC: CAPA\nS: +OK\nS: .\n");
	check_state(run, POP3_SESSION_READY);
}

static void test_stls(void)
{
	each_cut(&with_stls, stls);
}

/* A server without CAPA may know STLS. */
static void test_stls_no_capa(void)
{
	struct run run;

	run_start(&run, &with_stls);
	play(&run, "S: +OK\nC: CAPA\nS: -ERR\nC: STLS\nS: +OK\n");
	check_state(&run, POP3_SESSION_WANT_TLS);
	pop3_session_tls_done(run.session, NULL);
	play(&run, "C: CAPA\nS: -ERR\nC: USER alice\n");
	run_end(&run);
}

static void test_stls_missing(void)
{
	static const struct {
		const char *reply;
		enum mailfs_error code;
	} rows[] = {
		{"-ERR\r\n", ERROR_TLS},
		{"-ERR [AUTH]\r\n", ERROR_TLS},
		{"-ERR [SYS/TEMP] later\r\n", ERROR_TEMPORARY},
		{"+ \r\n", ERROR_PROTOCOL},
		{"HTTP/1.1 400\r\n", ERROR_PROTOCOL},
	};
	struct run run;

	run_start(&run, &with_stls);
	play(&run, "S: +OK\nC: CAPA\n");
	server_fails(&run, "+OK\r\nUSER\r\nSASL PLAIN\r\n.\r\n", ERROR_TLS);
	run_end(&run);
	for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
		run_start(&run, &with_stls);
		play(&run, "S: +OK\nC: CAPA\nS: -ERR\nC: STLS\n");
		server_fails(&run, rows[i].reply, rows[i].code);
		run_end(&run);
	}
}

/* What stands behind the reply in cleartext may be anybody's. */
static void test_stls_injected(void)
{
	static const char *const replies[] = {"+OK\r\n+", "+OK\r\n+OK injected\r\n", "+OK\n\n"};
	struct run run;

	for (unsigned i = 0; i < G_N_ELEMENTS(replies); i++) {
		for (int cut = 0; cut < 3; cut++) {
			run_start_cut(&run, &with_stls, cut);
			play(&run, "S: +OK\nC: CAPA\nS: -ERR\nC: STLS\n");
			server_fails(&run, replies[i], ERROR_TLS);
			run_end(&run);
		}
	}
}

/* Nobody vouches for its words. */
static void test_stls_words(void)
{
	struct run run;

	run_start(&run, &with_stls);
	server_fails(&run, "-ERR call 0190 now\r\n", ERROR_TEMPORARY);
	g_assert_nonnull(strstr(run.error->message, "says somebody without TLS: -ERR call"));
	run_end(&run);
}

static void test_stls_apop(void)
{
	struct pop3_session_config config = with_apop;
	struct run run;

	config.tls_required = true;
	run_start(&run, &config);
	play(&run, "S: +OK <1896.697170952@dbc.mtview.ca.us>\nC: CAPA\nS: -ERR\nC: STLS\nS: +OK\n");
	pop3_session_tls_done(run.session, NULL);
	play(&run, "C: CAPA\nS: -ERR\nC: APOP mrose c4c9334bac560ecc979e58001b3e22fb\n");
	run_end(&run);
}

/* ---- UTF8 ---- */

static void utf8(struct run *run)
{
	play(run, "S: +OK\nC: CAPA\nS: +OK\nS: UTF8 USER\nS: USER\nS: .\nC: UTF8\n");
	check_state(run, POP3_SESSION_UTF8);
	play(run, "S: +OK\nC: USER alice\n");
}

static void test_utf8(void)
{
	struct run run;

	each_cut(&with_tls, utf8);
	run_start(&run, &with_tls);
	play(&run, "S: +OK\nC: CAPA\nS: +OK\nS: utf8\nS: USER\nS: .\nC: UTF8\nS: -ERR no\n"
		   "C: USER alice\n");
	run_end(&run);
	run_start(&run, &with_tls);
	play(&run, "S: +OK\nC: CAPA\nS: +OK\nS: UTF8\nS: USER\nS: .\nC: UTF8\n");
	server_fails(&run, "+ \r\n", ERROR_PROTOCOL);
	run_end(&run);
}

static void test_patience(void)
{
	struct run run;

	run_start(&run, &with_stls);
	g_assert_cmpint(pop3_session_patience_ms(run.session), ==, 60000);
	play(&run, "S: +OK\nC: CAPA\nS: -ERR\nC: STLS\nS: +OK\n");
	g_assert_cmpint(pop3_session_patience_ms(run.session), ==, 0);
	pop3_session_tls_done(run.session, NULL);
	play(&run, "C: CAPA\nS: -ERR\nC: USER alice\nS: +OK\nC: PASS s3same\n");
	g_assert_cmpint(pop3_session_patience_ms(run.session), ==, 300000);
	server(&run, "+OK\r\n");
	g_assert_cmpint(pop3_session_patience_ms(run.session), ==, 0);
	ask(&run, POP3_RETR, 1);
	g_assert_cmpint(pop3_session_patience_ms(run.session), ==, 180000);
	play(&run, "C: RETR 1\nS: +OK\nS: a\n");
	g_assert_cmpint(pop3_session_patience_ms(run.session), ==, 180000);
	server(&run, ".\r\n");
	g_assert_cmpint(pop3_session_patience_ms(run.session), ==, 0);
	quit(&run);
	g_assert_cmpint(pop3_session_patience_ms(run.session), ==, 600000);
	play(&run, "C: QUIT\nS: +OK\n");
	g_assert_cmpint(pop3_session_patience_ms(run.session), ==, 0);
	run_end(&run);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/pop3_session/plain", test_plain);
	g_test_add_func("/pop3_session/user", test_user);
	g_test_add_func("/pop3_session/no_capa", test_no_capa);
	g_test_add_func("/pop3_session/no_capa_behind_login", test_no_capa_behind_login);
	g_test_add_func("/pop3_session/capa_unasked", test_capa_unasked);
	g_test_add_func("/pop3_session/no_login_known", test_no_login_known);
	g_test_add_func("/pop3_session/plain_long", test_plain_long);
	g_test_add_func("/pop3_session/plain_ok_for_continuation", test_plain_ok_for_continuation);
	g_test_add_func("/pop3_session/plain_ok_for_continuation_initial",
			test_plain_ok_for_continuation_initial);
	g_test_add_func("/pop3_session/plain_no_capa_behind_login",
			test_plain_no_capa_behind_login);
	g_test_add_func("/pop3_session/plain_asked", test_plain_asked);
	g_test_add_func("/pop3_session/plain_too_long", test_plain_too_long);
	g_test_add_func("/pop3_session/auth_external", test_auth_external);
	g_test_add_func("/pop3_session/auth_login", test_auth_login);
	g_test_add_func("/pop3_session/auth_token", test_auth_token);
	g_test_add_func("/pop3_session/auth_pinned", test_auth_pinned);
	g_test_add_func("/pop3_session/auth_early", test_auth_early);
	g_test_add_func("/pop3_session/unfit_for_lines", test_unfit_for_lines);
	g_test_add_func("/pop3_session/apop", test_apop);
	g_test_add_func("/pop3_session/apop_alone", test_apop_alone);
	g_test_add_func("/pop3_session/stls", test_stls);
	g_test_add_func("/pop3_session/stls_no_capa", test_stls_no_capa);
	g_test_add_func("/pop3_session/stls_missing", test_stls_missing);
	g_test_add_func("/pop3_session/stls_injected", test_stls_injected);
	g_test_add_func("/pop3_session/stls_words", test_stls_words);
	g_test_add_func("/pop3_session/stls_apop", test_stls_apop);
	g_test_add_func("/pop3_session/utf8", test_utf8);
	g_test_add_func("/pop3_session/patience", test_patience);
	return g_test_run();
}
