#include "smtp_session_fixture.h"

#define AUTH_PLAIN "AUTH PLAIN AGFsaWNlAHMzc2FtZQ==\r\n"

static const struct smtp_session_config with_login = {
	.helo = "me.example",
	.login = {.user = "alice", .password = "s3same"},
	.login_required = true,
	.tls_active = true};
static const struct smtp_session_config with_starttls = {
	.helo = "me.example",
	.login = {.user = "alice", .password = "s3same"},
	.login_required = true,
	.tls_required = true};
static const struct smtp_session_config without_login = {
	.helo = "me.example", .login = {.user = "alice", .password = "s3same"}};

/* ---- Greeting and EHLO ---- */

static void test_login_plain(void)
{
	struct run run;

	run_start(&run, &with_login);
	check_state(&run, SMTP_SESSION_GREETING);
	check_sent(&run, "");
	server(&run, "220-slow\r\n220 mx ESMTP\r\n");
	check_state(&run, SMTP_SESSION_EHLO);
	check_sent(&run, "EHLO me.example\r\n");
	server(&run, "250-mx\r\n250-size 1000\r\n250-PIPELINING\r\n250-8BITMIME\r\n"
		     "250-SMTPUTF8\r\n250-DSN\r\n250-ENHANCEDSTATUSCODES\r\n"
		     "250-AUTH LOGIN PLAIN\r\n250-XNOTHING\r\n250 STARTTLS\r\n");
	g_assert_cmphex(smtp_session_caps(run.session), ==, 0xff);
	g_assert_cmpuint(smtp_session_size_max(run.session), ==, 1000);
	check_sent(&run, AUTH_PLAIN);
	server(&run, "235 2.7.0 welcome\r\n");
	check_state(&run, SMTP_SESSION_READY);
	/* no EHLO behind the login, and what is offered stays */
	check_sent(&run, "");
	g_assert_cmphex(smtp_session_caps(run.session), ==, 0xff);
	run_end(&run);
}

static void test_login_login(void)
{
	struct run run;

	run_start(&run, &with_login);
	server(&run, "220 mx\r\n");
	check_sent(&run, "EHLO me.example\r\n");
	server(&run, "250-mx\r\n250 AUTH LOGIN CRAM-MD5\r\n");
	check_sent(&run, "AUTH LOGIN\r\n");
	server(&run, "334 VXNlcm5hbWU6\r\n");
	check_sent(&run, "YWxpY2U=\r\n");
	server(&run, "334 UGFzc3dvcmQ6\r\n");
	check_sent(&run, "czNzYW1l\r\n");
	server(&run, "235 ok\r\n");
	check_state(&run, SMTP_SESSION_READY);
	check_sent(&run, "");
	run_end(&run);
}

static void test_login_empty_password(void)
{
	struct smtp_session_config config = with_login;
	struct run run;

	config.login.password = "";
	run_start(&run, &config);
	to_auth(&run, "LOGIN");
	check_sent(&run, "AUTH LOGIN\r\n");
	server(&run, "334 VXNlcm5hbWU6\r\n");
	check_sent(&run, "YWxpY2U=\r\n");
	server(&run, "334 UGFzc3dvcmQ6\r\n");
	check_sent(&run, "\r\n");
	run_end(&run);
}

/* A server that asks although it was told. */
static void test_login_plain_asked(void)
{
	struct run run;

	run_start(&run, &with_login);
	to_auth(&run, "PLAIN");
	check_sent(&run, AUTH_PLAIN);
	server(&run, "334 \r\n");
	check_sent(&run, "AGFsaWNlAHMzc2FtZQ==\r\n");
	server(&run, "235 ok\r\n");
	check_state(&run, SMTP_SESSION_READY);
	run_end(&run);
}

static void test_login_asks_forever(void)
{
	struct run run;

	run_start(&run, &with_login);
	to_auth(&run, "PLAIN");
	check_sent(&run, AUTH_PLAIN);
	server(&run, "334 \r\n");
	check_sent(&run, "AGFsaWNlAHMzc2FtZQ==\r\n");
	server(&run, "334 \r\n");
	check_sent(&run, "*\r\n");
	server_fails(&run, "501 cancelled\r\n", ERROR_PROTOCOL);
	g_assert_cmpstr(run.error->message, ==, "the server asks for more than its login has");
	run_end(&run);
}

static void test_login_external(void)
{
	struct smtp_session_config config = with_login;
	struct run run;

	config.login.certificate = true;
	run_start(&run, &config);
	to_auth(&run, "EXTERNAL PLAIN");
	check_sent(&run, "AUTH EXTERNAL =\r\n");
	server(&run, "334 \r\n");
	check_sent(&run, "\r\n");
	server(&run, "235 ok\r\n");
	check_state(&run, SMTP_SESSION_READY);
	run_end(&run);
}

static void test_login_token(void)
{
	struct smtp_session_config config = with_login;
	struct run run;

	config.login.token = "t0ken";
	run_start(&run, &config);
	to_auth(&run, "XOAUTH2 PLAIN");
	check_sent(&run, "AUTH XOAUTH2 dXNlcj1hbGljZQFhdXRoPUJlYXJlciB0MGtlbgEB\r\n");
	server(&run, "334 eyJzdGF0dXMiOiI0MDAifQ==\r\n");
	check_sent(&run, "\r\n");
	server_fails(&run, "535 5.7.8 no\r\n", ERROR_AUTH);
	g_assert_cmpstr(run.error->message, ==, "login refused (400): 535 5.7.8 no");
	run_end(&run);
}

/* RFC 2195 section 2 */
static void test_login_cram_md5(void)
{
	struct smtp_session_config config = with_login;
	struct run run;

	config.login.user = "tim";
	config.login.password = "tanstaaftanstaaf";
	config.login.allowed = AUTH_CRAM_MD5;
	run_start(&run, &config);
	to_auth(&run, "CRAM-MD5 PLAIN");
	check_sent(&run, "AUTH CRAM-MD5\r\n");
	server(&run, "334 PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+\r\n");
	check_sent(&run, "dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw\r\n");
	server(&run, "235 ok\r\n");
	check_state(&run, SMTP_SESSION_READY);
	run_end(&run);
}

/* It is done before the server has shown that it knows the password, or cancelled. */
static void test_login_early(void)
{
	struct run run;

	run_start(&run, &with_login);
	to_auth(&run, "SCRAM-SHA-256 PLAIN");
	smtp_session_wrote(run.session, buf_len(smtp_session_output(run.session)), NULL);
	server_fails(&run, "235 ok\r\n", ERROR_AUTH);
	run_end(&run);
	run_start(&run, &with_login);
	to_auth(&run, "SCRAM-SHA-256 PLAIN");
	smtp_session_wrote(run.session, buf_len(smtp_session_output(run.session)), NULL);
	server(&run, "334 cj1vdGhlcixzPUFBQUEsaT00MDk2\r\n");
	check_sent(&run, "*\r\n");
	server_fails(&run, "235 ok\r\n", ERROR_AUTH);
	g_assert_nonnull(strstr(run.error->message, "another nonce"));
	run_end(&run);
}

/* The base64 of user, password and two NULs has `base64_len` bytes. */
static char *long_password(size_t base64_len)
{
	return g_strnfill(base64_len / 4 * 3 - 7, 'x');
}

static void test_login_long(void)
{
	g_autofree char *fits = long_password(496);
	g_autofree char *too_long = long_password(500);
	struct smtp_session_config config = with_login;
	struct run run;

	config.login.password = fits;
	run_start(&run, &config);
	to_auth(&run, "PLAIN");
	g_assert_cmpuint(buf_len(smtp_session_output(run.session)), ==, 509);
	run_end(&run);
	config.login.password = too_long;
	run_start(&run, &config);
	to_auth(&run, "PLAIN");
	check_sent(&run, "AUTH PLAIN\r\n");
	server(&run, "334 \r\n");
	g_assert_cmpuint(buf_len(smtp_session_output(run.session)), ==, 502);
	run_end(&run);
}

static void test_login_too_long(void)
{
	g_autofree char *fits = long_password(12284);
	g_autofree char *too_long = long_password(12288);
	struct smtp_session_config config = with_login;
	struct run run;

	config.login.password = fits;
	run_start(&run, &config);
	to_auth(&run, "PLAIN");
	check_sent(&run, "AUTH PLAIN\r\n");
	server(&run, "334 \r\n");
	g_assert_cmpuint(buf_len(smtp_session_output(run.session)), ==, 12286);
	run_end(&run);
	config.login.password = too_long;
	run_start(&run, &config);
	server(&run, "220 mx\r\n");
	check_sent(&run, "EHLO me.example\r\n");
	server_fails(&run, "250-mx\r\n250 AUTH PLAIN\r\n", ERROR_AUTH);
	run_end(&run);
}

static void check_login_refused(const char *reply, enum mailfs_error code, const char *message)
{
	struct run run;

	run_start(&run, &with_login);
	to_auth(&run, "PLAIN LOGIN");
	check_sent(&run, AUTH_PLAIN);
	server_fails(&run, reply, code);
	g_assert_cmpstr(run.error->message, ==, message);
	run_end(&run);
}

static void test_login_refused(void)
{
	check_login_refused("535 5.7.8 no\r\n", ERROR_AUTH, "login refused: 535 5.7.8 no");
	check_login_refused("504 what\r\n", ERROR_AUTH, "login refused: 504 what");
	check_login_refused("454 4.7.0 later\r\n", ERROR_TEMPORARY,
			    "login refused: 454 4.7.0 later");
	check_login_refused("421 bye\r\n", ERROR_TEMPORARY,
			    "the server closed the connection: 421 bye");
	check_login_refused("535 not s3same\r\n", ERROR_AUTH,
			    "login refused (its reason repeats the password and is not shown)");
	check_login_refused("535-no\r\n535 AGFsaWNlAHMzc2FtZQ==\r\n", ERROR_AUTH,
			    "login refused (its reason repeats the password and is not shown)");
	check_login_refused("s3same\r\n", ERROR_PROTOCOL,
			    "the server's answer to the login makes no sense");
	check_login_refused("235 ok\r\n250 s3same\r\n", ERROR_PROTOCOL,
			    "the server answers what it was not asked: 250 s3same");
}

static void check_caps(const char *line, unsigned caps, uint64_t size_max)
{
	g_autofree char *reply = g_strdup_printf("250-mx\r\n250 %s\r\n", line);
	struct smtp_session_config config = without_login;
	struct run run;

	config.login.user = NULL;
	run_start(&run, &config);
	server(&run, "220 mx\r\n");
	check_sent(&run, "EHLO me.example\r\n");
	server(&run, reply);
	check_state(&run, SMTP_SESSION_READY);
	g_assert_cmphex(smtp_session_caps(run.session), ==, caps);
	g_assert_cmpuint(smtp_session_size_max(run.session), ==, size_max);
	run_end(&run);
}

static void test_caps(void)
{
	check_caps("AUTH=PLAIN LOGIN", SMTP_CAP_AUTH, UINT64_MAX);
	check_caps("auth login", SMTP_CAP_AUTH, UINT64_MAX);
	check_caps("AUTH", SMTP_CAP_AUTH, UINT64_MAX);
	check_caps("AUTH PLAINER XLOGIN", SMTP_CAP_AUTH, UINT64_MAX);
	check_caps("SIZE", SMTP_CAP_SIZE, UINT64_MAX);
	check_caps("SIZE 0", SMTP_CAP_SIZE, UINT64_MAX);
	check_caps("SIZE 1", SMTP_CAP_SIZE, 1);
	check_caps("SIZE -1", SMTP_CAP_SIZE, UINT64_MAX);
	check_caps("SIZE 18446744073709551616", SMTP_CAP_SIZE, UINT64_MAX);
	check_caps("PIPELINING now", SMTP_CAP_PIPELINING, UINT64_MAX);
	check_caps("XPIPELINING", 0, UINT64_MAX);
	check_caps("PIPELININGX", 0, UINT64_MAX);
	check_caps("", 0, UINT64_MAX);
}

/* The first line is a name, whatever it says. */
static void test_caps_name(void)
{
	struct run run;

	run_start(&run, &without_login);
	server(&run, "220 mx\r\n");
	check_sent(&run, "EHLO me.example\r\n");
	server(&run, "250 PIPELINING\r\n");
	check_state(&run, SMTP_SESSION_READY);
	g_assert_cmphex(smtp_session_caps(run.session), ==, 0);
	run_end(&run);
}

static void test_helo_name(void)
{
	static const char *const names[][2] = {
		{"[127.0.0.1]", "[127.0.0.1]"},
		{"my_host\r\nRCPT", "myhostRCPT"},
		{"[IPv6:::1]", "[IPv6:::1]"},
		{"\xc3\xa9", "[127.0.0.1]"},
		{"", "[127.0.0.1]"},
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
		g_autofree char *line = g_strdup_printf("EHLO %s\r\n", names[i][1]);
		struct smtp_session_config config = with_login;
		struct run run;

		config.helo = names[i][0];
		run_start(&run, &config);
		server(&run, "220 mx\r\n");
		check_sent(&run, line);
		run_end(&run);
	}
}

static void test_helo(void)
{
	struct run run;

	run_start(&run, &without_login);
	server(&run, "220 mx\r\n");
	check_sent(&run, "EHLO me.example\r\n");
	server(&run, "502 what\r\n");
	check_sent(&run, "HELO me.example\r\n");
	server(&run, "250-mx\r\n250 PIPELINING\r\n");
	check_state(&run, SMTP_SESSION_READY);
	g_assert_cmphex(smtp_session_caps(run.session), ==, 0);
	run_end(&run);
}

static void check_ehlo_refused(const struct smtp_session_config *config, const char *reply,
			       enum mailfs_error code)
{
	struct run run;

	run_start(&run, config);
	server(&run, "220 mx\r\n");
	check_sent(&run, "EHLO me.example\r\n");
	server_fails(&run, reply, code);
	run_end(&run);
}

static void test_helo_not(void)
{
	struct smtp_session_config starttls = with_starttls;
	struct run run;

	starttls.login_required = false;
	check_ehlo_refused(&with_login, "502 what\r\n", ERROR_NO_LOGIN);
	check_ehlo_refused(&with_starttls, "502 what\r\n", ERROR_TLS);
	check_ehlo_refused(&starttls, "502 what\r\n", ERROR_TLS);
	check_ehlo_refused(&without_login, "450 later\r\n", ERROR_TEMPORARY);
	check_ehlo_refused(&without_login, "354 go\r\n", ERROR_PROTOCOL);
	check_ehlo_refused(&without_login, "421 bye\r\n", ERROR_TEMPORARY);
	run_start(&run, &without_login);
	server(&run, "220 mx\r\n");
	check_sent(&run, "EHLO me.example\r\n");
	server(&run, "502 what\r\n");
	check_sent(&run, "HELO me.example\r\n");
	server_fails(&run, "502 what\r\n", ERROR_REFUSED);
	run_end(&run);
}

static void check_greeting(const char *greeting, enum mailfs_error code)
{
	struct run run;

	run_start(&run, &with_login);
	server_fails(&run, greeting, code);
	check_sent(&run, "");
	run_end(&run);
}

static void test_greeting(void)
{
	check_greeting("421 busy\r\n", ERROR_TEMPORARY);
	check_greeting("450 later\r\n", ERROR_TEMPORARY);
	check_greeting("554 go away\r\n", ERROR_REFUSED);
	check_greeting("354 what\r\n", ERROR_TEMPORARY);
	check_greeting("* OK IMAP\r\n", ERROR_PROTOCOL);
	/* a reply that nobody asked for */
	check_greeting("220 mx\r\n250 mx\r\n", ERROR_PROTOCOL);
}

/* ---- No login ---- */

static void test_no_auth(void)
{
	struct run run;

	run_start(&run, &without_login);
	server(&run, "220 mx\r\n");
	check_sent(&run, "EHLO me.example\r\n");
	server(&run, "250-mx\r\n250 SIZE\r\n");
	check_state(&run, SMTP_SESSION_READY);
	run_end(&run);
	/* where it is offered it is used */
	run_start(&run, &without_login);
	to_auth(&run, "PLAIN");
	check_sent(&run, AUTH_PLAIN);
	run_end(&run);
	check_ehlo_refused(&with_login, "250-mx\r\n250 SIZE\r\n", ERROR_NO_LOGIN);
}

static void test_auth_unknown(void)
{
	struct run run;

	run_start(&run, &without_login);
	server(&run, "220 mx\r\n");
	check_sent(&run, "EHLO me.example\r\n");
	server_fails(&run, "250-mx\r\n250-AUTH CRAM-MD5 XOAUTH2\r\n250 AUTH=CRAM-MD5\r\n",
		     ERROR_NO_LOGIN);
	g_assert_cmpstr(run.error->message, ==,
			"the server offers no login that may be used (it offers CRAM-MD5 "
			"XOAUTH2, and these may: SCRAM-SHA-256 SCRAM-SHA-1 PLAIN LOGIN)");
	run_end(&run);
}

/* ---- STARTTLS ---- */

static void test_starttls(void)
{
	struct run run;

	run_start(&run, &with_starttls);
	server(&run, "220 mx\r\n");
	check_sent(&run, "EHLO me.example\r\n");
	server(&run, "250-mx\r\n250-PIPELINING\r\n250-SIZE 5\r\n250-AUTH LOGIN\r\n"
		     "250 STARTTLS\r\n");
	check_state(&run, SMTP_SESSION_STARTTLS);
	check_sent(&run, "STARTTLS\r\n");
	server(&run, "220 go\r\n");
	check_state(&run, SMTP_SESSION_WANT_TLS);
	check_sent(&run, "");
	g_assert_cmphex(smtp_session_caps(run.session), ==, 0);
	g_assert_cmpint(smtp_session_patience_ms(run.session), ==, 0);
	smtp_session_tls_done(run.session, NULL);
	check_sent(&run, "EHLO me.example\r\n");
	server(&run, "250-mx\r\n250 AUTH PLAIN\r\n");
	g_assert_cmphex(smtp_session_caps(run.session), ==, SMTP_CAP_AUTH);
	g_assert_cmpuint(smtp_session_size_max(run.session), ==, UINT64_MAX);
	check_sent(&run, AUTH_PLAIN);
	server(&run, "235 ok\r\n");
	check_state(&run, SMTP_SESSION_READY);
	run_end(&run);
}

static void to_starttls(struct run *run)
{
	run_start(run, &with_starttls);
	server(run, "220 mx\r\n");
	check_sent(run, "EHLO me.example\r\n");
	server(run, "250-mx\r\n250-AUTH PLAIN\r\n250 STARTTLS\r\n");
	check_sent(run, "STARTTLS\r\n");
}

static void check_starttls(const char *reply, enum mailfs_error code, const char *message)
{
	struct run run;

	to_starttls(&run);
	server_fails(&run, reply, code);
	g_assert_cmpstr(run.error->message, ==, message);
	check_sent(&run, "");
	run_end(&run);
}

static void test_starttls_refused(void)
{
	check_starttls("502 no\r\n", ERROR_TLS,
		       "the server refuses STARTTLS, says somebody without TLS: 502 no");
	check_starttls("454 later\r\n", ERROR_TEMPORARY,
		       "the server refuses STARTTLS, says somebody without TLS: 454 later");
	check_starttls("334 what\r\n", ERROR_PROTOCOL,
		       "the server's answer makes no sense here, says somebody without TLS: "
		       "334 what");
	check_ehlo_refused(&with_starttls, "250-mx\r\n250 AUTH PLAIN\r\n", ERROR_TLS);
	check_ehlo_refused(&with_starttls, "250-mx\r\n250-AUTH PLAIN\r\n250 XSTARTTLS\r\n",
			   ERROR_TLS);
}

static void test_starttls_injected(void)
{
	struct run run;

	check_starttls("220 go\r\n250 mx\r\n", ERROR_TLS, "the server sends more behind STARTTLS");
	check_starttls("220 go\r\n\r", ERROR_TLS, "the server sends more behind STARTTLS");
	to_starttls(&run);
	server(&run, "220 go\r\n");
	server_fails(&run, "2", ERROR_TLS);
	run_end(&run);
}

/* Said in cleartext for all to hear, because the user wants it so. */
static void test_cleartext(void)
{
	struct run run;

	run_start(&run, &without_login);
	server(&run, "220 mx\r\n");
	check_sent(&run, "EHLO me.example\r\n");
	server(&run, "250-mx\r\n250-STARTTLS\r\n250 AUTH PLAIN\r\n");
	check_sent(&run, AUTH_PLAIN);
	run_end(&run);
}

/* ---- Secrets ---- */

static void check_login_hidden(const char *mechanism, const char *const *replies)
{
	struct run run;
	const struct buf *output;

	run_start(&run, &with_login);
	output = smtp_session_output(run.session);
	to_auth(&run, mechanism);
	for (unsigned i = 0; replies[i]; i++) {
		smtp_session_wrote(run.session, buf_len(output), NULL);
		g_assert_null(memmem(output->bytes, output->size, "AGFs", 4));
		g_assert_null(memmem(output->bytes, output->size, "czNz", 4));
		server(&run, replies[i]);
	}
	check_state(&run, SMTP_SESSION_READY);
	g_assert_null(strstr(run.trace->str, "AGFs"));
	g_assert_null(strstr(run.trace->str, "czNz"));
	g_assert_null(strstr(run.trace->str, "s3same"));
	run_end(&run);
}

static void test_login_hidden(void)
{
	check_login_hidden("PLAIN", (const char *const[]){"235 AGFsaWNlAHMzc2FtZQ==\r\n", NULL});
	check_login_hidden("LOGIN", (const char *const[]){"334 s3same\r\n", "334 czNzYW1l\r\n",
							  "235 s3same\r\n", NULL});
}

static void test_login_hidden_early(void)
{
	const struct buf *output;
	struct run run;

	run_start(&run, &with_login);
	output = smtp_session_output(run.session);
	to_auth(&run, "PLAIN");
	server_fails(&run, "421 bye\r\n", ERROR_TEMPORARY);
	g_assert_null(memmem(output->bytes, output->size, "AGFs", 4));
	run_end(&run);
	run_start(&run, &with_login);
	output = smtp_session_output(run.session);
	to_auth(&run, "PLAIN");
	smtp_session_quit(run.session);
	check_state(&run, SMTP_SESSION_CLOSED);
	g_assert_null(memmem(output->bytes, output->size, "AGFs", 4));
	run_end(&run);
}

static void test_trace(void)
{
	struct run run;

	run_start(&run, &with_login);
	to_auth(&run, "PLAIN");
	check_sent(&run, AUTH_PLAIN);
	server(&run, "235-ok\r\n235 \x1b[1m\r\n");
	run_send(&run, &(struct transaction){.text = ".secret\n"});
	check_sent(&run, "MAIL FROM:<a@b.c>\r\n");
	server(&run, "250 ok\r\n");
	check_sent(&run, "RCPT TO:<d@e.f>\r\n");
	server(&run, "250 ok\r\n");
	check_sent(&run, "DATA\r\n");
	server(&run, "354 go\r\n");
	check_sent(&run, "..secret\r\n");
	check_sent(&run, ".\r\n");
	server(&run, "250 ok\r\n");
	g_assert_cmpstr(
		run.trace->str, ==,
		"S 220 mx\nC EHLO me.example\nS 250-mx\nS 250 AUTH PLAIN\n"
		"C AUTH PLAIN ...\nS 235-ok\nS 235 \\x1B[1m\nC MAIL FROM:<a@b.c>\nS 250 ok\n"
		"C RCPT TO:<d@e.f>\nS 250 ok\nC DATA\nS 354 go\nC [10 bytes]\nC .\n"
		"S 250 ok\n");
	run_end(&run);
}

/* ---- The end ---- */

static void test_quit(void)
{
	struct run run;

	run_ready(&run, "PIPELINING");
	smtp_session_quit(run.session);
	check_state(&run, SMTP_SESSION_QUIT);
	smtp_session_quit(run.session);
	check_sent(&run, "QUIT\r\n");
	server(&run, "22");
	check_state(&run, SMTP_SESSION_QUIT);
	server(&run, "1 bye\r\n500 and more\r\nnonsense\r\n");
	check_state(&run, SMTP_SESSION_CLOSED);
	server(&run, "nonsense\r\n");
	check_sent(&run, "");
	run_end(&run);
}

static void test_quit_failures(void)
{
	static const char *const replies[] = {"421 bye\r\n", "500 what\r\n", "nonsense\r\n"};

	for (unsigned i = 0; i < G_N_ELEMENTS(replies); i++) {
		struct run run;

		run_ready(&run, "PIPELINING");
		smtp_session_quit(run.session);
		server(&run, replies[i]);
		check_state(&run, SMTP_SESSION_CLOSED);
		run_end(&run);
	}
}

static void test_quit_before_ready(void)
{
	struct run run;

	run_start(&run, &with_login);
	smtp_session_quit(run.session);
	check_state(&run, SMTP_SESSION_CLOSED);
	server(&run, "220 mx\r\n");
	check_sent(&run, "");
	run_end(&run);
}

static void test_unasked(void)
{
	struct run run;

	run_ready(&run, "PIPELINING");
	server_fails(&run, "250 hello?\r\n", ERROR_PROTOCOL);
	server_fails(&run, "250 hello?\r\n", ERROR_PROTOCOL);
	g_assert_false(smtp_session_wrote(run.session, 0, NULL));
	run_end(&run);
	run_ready(&run, "PIPELINING");
	server_fails(&run, "421 idle\r\n", ERROR_TEMPORARY);
	run_end(&run);
}

/* An answer to what was not written yet is none. */
static void test_before_written(void)
{
	struct run run;

	run_start(&run, &with_login);
	server(&run, "220 mx\r\n");
	smtp_session_wrote(run.session, 16, NULL);
	server_fails(&run, "250 mx\r\n", ERROR_PROTOCOL);
	run_end(&run);
}

static void test_patience(void)
{
	struct run run;

	run_start(&run, &with_login);
	g_assert_cmpint(smtp_session_patience_ms(run.session), ==, 300000);
	run_end(&run);
	run_ready(&run, "PIPELINING");
	g_assert_cmpint(smtp_session_patience_ms(run.session), ==, 0);
	run_send(&run, &(struct transaction){.text = "x"});
	g_assert_cmpint(smtp_session_patience_ms(run.session), ==, 300000);
	written(&run);
	server(&run, "250 ok\r\n250 ok\r\n");
	g_assert_cmpint(smtp_session_patience_ms(run.session), ==, 120000);
	written(&run);
	server(&run, "354 go\r\n");
	g_assert_cmpint(smtp_session_patience_ms(run.session), ==, 180000);
	written(&run);
	g_assert_cmpint(smtp_session_patience_ms(run.session), ==, 600000);
	smtp_session_quit(run.session);
	g_assert_cmpint(smtp_session_patience_ms(run.session), ==, 0);
	run_end(&run);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/smtp-session/login-plain", test_login_plain);
	g_test_add_func("/smtp-session/login-login", test_login_login);
	g_test_add_func("/smtp-session/login-empty-password", test_login_empty_password);
	g_test_add_func("/smtp-session/login-plain-asked", test_login_plain_asked);
	g_test_add_func("/smtp-session/login-asks-forever", test_login_asks_forever);
	g_test_add_func("/smtp-session/login-external", test_login_external);
	g_test_add_func("/smtp-session/login-token", test_login_token);
	g_test_add_func("/smtp-session/login-cram-md5", test_login_cram_md5);
	g_test_add_func("/smtp-session/login-early", test_login_early);
	g_test_add_func("/smtp-session/login-long", test_login_long);
	g_test_add_func("/smtp-session/login-too-long", test_login_too_long);
	g_test_add_func("/smtp-session/login-refused", test_login_refused);
	g_test_add_func("/smtp-session/login-hidden", test_login_hidden);
	g_test_add_func("/smtp-session/login-hidden-early", test_login_hidden_early);
	g_test_add_func("/smtp-session/caps", test_caps);
	g_test_add_func("/smtp-session/caps-name", test_caps_name);
	g_test_add_func("/smtp-session/helo-name", test_helo_name);
	g_test_add_func("/smtp-session/helo", test_helo);
	g_test_add_func("/smtp-session/helo-not", test_helo_not);
	g_test_add_func("/smtp-session/greeting", test_greeting);
	g_test_add_func("/smtp-session/no-auth", test_no_auth);
	g_test_add_func("/smtp-session/auth-unknown", test_auth_unknown);
	g_test_add_func("/smtp-session/starttls", test_starttls);
	g_test_add_func("/smtp-session/starttls-refused", test_starttls_refused);
	g_test_add_func("/smtp-session/starttls-injected", test_starttls_injected);
	g_test_add_func("/smtp-session/cleartext", test_cleartext);
	g_test_add_func("/smtp-session/trace", test_trace);
	g_test_add_func("/smtp-session/quit", test_quit);
	g_test_add_func("/smtp-session/quit-failures", test_quit_failures);
	g_test_add_func("/smtp-session/quit-before-ready", test_quit_before_ready);
	g_test_add_func("/smtp-session/unasked", test_unasked);
	g_test_add_func("/smtp-session/before-written", test_before_written);
	g_test_add_func("/smtp-session/patience", test_patience);
	return g_test_run();
}
