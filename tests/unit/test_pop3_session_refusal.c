/* Servers that refuse, and those that are odd or hostile, before READY. */
#include "pop3_session_fixture.h"

/* ---- Refusals ---- */

static const struct {
	const char *reply;
	enum pop3_code pop3_code;
	enum mailfs_error at_greeting, at_login;
} refusals[] = {
	{"-ERR\r\n", POP3_CODE_NONE, ERROR_TEMPORARY, ERROR_AUTH},
	{"-ERR [AUTH] no\r\n", POP3_CODE_AUTH, ERROR_TEMPORARY, ERROR_AUTH},
	{"-ERR [UTF8] no\r\n", POP3_CODE_UTF8, ERROR_TEMPORARY, ERROR_AUTH},
	{"-ERR [in-use] busy\r\n", POP3_CODE_IN_USE, ERROR_BUSY, ERROR_BUSY},
	{"-ERR [LOGIN-DELAY] wait\r\n", POP3_CODE_LOGIN_DELAY, ERROR_TEMPORARY, ERROR_TEMPORARY},
	{"-ERR [SYS/TEMP] later\r\n", POP3_CODE_SYS_TEMP, ERROR_TEMPORARY, ERROR_TEMPORARY},
	{"-ERR [SYS/PERM] never\r\n", POP3_CODE_SYS_PERM, ERROR_SERVER, ERROR_SERVER},
};

static void test_refusals(void)
{
	struct run run;

	for (unsigned i = 0; i < G_N_ELEMENTS(refusals); i++) {
		run_start(&run, &with_tls);
		server_fails(&run, refusals[i].reply, refusals[i].at_greeting);
		g_assert_cmpint(pop3_session_code(run.session), ==, refusals[i].pop3_code);
		run_end(&run);
		run_start(&run, &with_tls);
		play(&run, "S: +OK\nC: CAPA\nS: -ERR\nC: USER alice\n");
		server_fails(&run, refusals[i].reply, refusals[i].at_login);
		g_assert_cmpint(pop3_session_code(run.session), ==, refusals[i].pop3_code);
		run_end(&run);
		run_start(&run, &with_tls);
		play(&run, "S: +OK\nC: CAPA\nS: -ERR\nC: USER alice\nS: +OK\nC: PASS s3same\n");
		g_assert_cmpint(pop3_session_code(run.session), ==, POP3_CODE_NONE);
		server_fails(&run, refusals[i].reply, refusals[i].at_login);
		g_assert_cmpint(pop3_session_code(run.session), ==, refusals[i].pop3_code);
		run_end(&run);
		to_plain(&run, "s3same");
		check_sent(&run, "AUTH PLAIN " PLAIN "\r\n");
		server_fails(&run, refusals[i].reply, refusals[i].at_login);
		run_end(&run);
	}
}

static enum mailfs_error refused_login(const char *reply)
{
	enum mailfs_error code;
	struct run run;

	run_start(&run, &with_tls);
	play(&run, "S: +OK\nC: CAPA\nS: -ERR\nC: USER alice\nS: +OK\nC: PASS s3same\n");
	g_assert_false(feed(&run, reply, strlen(reply), &run.error));
	code = (enum mailfs_error)run.error->code;
	check_failed(&run, code);
	run_end(&run);
	return code;
}

/* RFC 1939 section 7 has the first; the others are said by servers that know no codes. */
static void test_in_use_by_words(void)
{
	static const char *const busy[] = {
		"-ERR maildrop already locked\r\n",
		"-ERR Can't get lock.  Mailbox in use\r\n",
		"-ERR POP lock busy!  Is another session active?\r\n",
		"-ERR [X-ODD] Unable to lock mailbox\r\n",
	};
	static const char *const others[] = {
		"-ERR account locked\r\n",
		"-ERR mailbox blocked\r\n",
		"-ERR invalid password, mailbox in use\r\n",
		"-ERR no such mailbox\r\n",
		"-ERR [AUTH] mailbox locked\r\n",
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(busy); i++)
		g_assert_cmpint(refused_login(busy[i]), ==, ERROR_BUSY);
	for (unsigned i = 0; i < G_N_ELEMENTS(others); i++)
		g_assert_cmpint(refused_login(others[i]), ==, ERROR_AUTH);
}

/* How long to wait stands in the capabilities, and stays when the session has ended. */
static void test_login_delay(void)
{
	struct run run;

	run_start(&run, &with_tls);
	play(&run, "S: +OK\nC: CAPA\nS: +OK\nS: USER\nS: LOGIN-DELAY 60\nS: .\nC: USER alice\n"
		   "S: +OK\nC: PASS s3same\n");
	server_fails(&run, "-ERR [LOGIN-DELAY] Logins must be at least 1 minute apart\r\n",
		     ERROR_TEMPORARY);
	g_assert_cmpint(pop3_session_code(run.session), ==, POP3_CODE_LOGIN_DELAY);
	g_assert_cmpuint(pop3_session_capa(run.session)->login_delay_s, ==, 60);
	run_end(&run);
}

/* Behind the login not all servers repeat them; those that do may say otherwise. */
static void test_delay_and_expire_stay(void)
{
	const struct pop3_capa *capa;
	struct run run;

	run_start(&run, &with_tls);
	play(&run, "S: +OK\nC: CAPA\nS: +OK\nS: USER\nS: TOP\nS: LOGIN-DELAY 60\nS: EXPIRE 0\n"
		   "S: .\nC: USER alice\nS: +OK\nC: PASS s3same\nS: +OK\nC: CAPA\nS: +OK\n"
		   "S: LOGIN-DELAY 90\nS: UIDL\nS: .\n");
	capa = pop3_session_capa(run.session);
	g_assert_cmphex(capa->caps, ==, POP3_CAP_UIDL | POP3_CAP_LOGIN_DELAY | POP3_CAP_EXPIRE);
	g_assert_cmpuint(capa->login_delay_s, ==, 90);
	g_assert_cmpuint(capa->expire_days, ==, 0);
	run_end(&run);
}

/* ---- Odd and hostile servers ---- */

static void test_greetings(void)
{
	struct run run;

	run_start(&run, &with_tls);
	server_fails(&run, "* OK IMAP4rev1\r\n", ERROR_PROTOCOL);
	run_end(&run);
	run_start(&run, &with_tls);
	server_fails(&run, "+ go\r\n", ERROR_PROTOCOL);
	run_end(&run);
	/* two of them */
	run_start(&run, &with_tls);
	server_fails(&run, "+OK\r\n+OK\r\n", ERROR_PROTOCOL);
	run_end(&run);
	run_start(&run, &with_tls);
	server_fails(&run, "+OK\r\n-ERR too many\r\n", ERROR_TEMPORARY);
	run_end(&run);
}

/* A reply that comes before its command was written answers another one. */
static void test_early(void)
{
	struct run run;

	run_start(&run, &with_tls);
	play(&run, "S: +OK\nC: CAPA\nS: -ERR\n");
	pop3_session_wrote(run.session, strlen("USER alice\r"));
	server_fails(&run, "+OK\r\n", ERROR_PROTOCOL);
	run_end(&run);
}

static void test_continuation_nobody_wants(void)
{
	static const char *const dialogues[] = {
		"S: +OK\nC: CAPA\n",
		"S: +OK\nC: CAPA\nS: -ERR\nC: USER alice\n",
		"S: +OK\nC: CAPA\nS: -ERR\nC: USER alice\nS: +OK\nC: PASS s3same\n",
		"S: +OK\nC: CAPA\nS: +OK\nS: USER\nS: .\nC: USER alice\n",
	};
	struct run run;

	for (unsigned i = 0; i < G_N_ELEMENTS(dialogues); i++) {
		run_start(&run, &with_tls);
		play(&run, dialogues[i]);
		server_fails(&run, "+ \r\n", ERROR_PROTOCOL);
		run_end(&run);
	}
	run_start(&run, &with_tls);
	play(&run, "S: +OK\nC: CAPA\nS: +OK\nS: USER\nS: .\nC: USER alice\nS: +OK\n"
		   "C: PASS s3same\nS: +OK\nC: CAPA\n");
	server_fails(&run, "+ \r\n", ERROR_PROTOCOL);
	run_end(&run);
}

/* Neither error nor trace shows it. */
static void test_echo(void)
{
	static const char *const replies[] = {
		"-ERR no such password: s3same\r\n",
		"-ERR [AUTH] s3same\r\n",
		"s3same is not it\r\n",
	};
	struct run run;

	for (unsigned i = 0; i < G_N_ELEMENTS(replies); i++) {
		run_start(&run, &with_tls);
		play(&run, "S: +OK\nC: CAPA\nS: -ERR\nC: USER alice\nS: +OK\nC: PASS s3same\n");
		server_fails(&run, replies[i], i < 2 ? ERROR_AUTH : ERROR_PROTOCOL);
		run_end(&run);
	}
	to_plain(&run, "s3same");
	check_sent(&run, "AUTH PLAIN " PLAIN "\r\n");
	server_fails(&run, "-ERR bad: " PLAIN "\r\n", ERROR_AUTH);
	g_assert_null(strstr(run.trace->str, PLAIN));
	g_assert_null(strstr(run.error->message, PLAIN));
	run_end(&run);
}

/* Nor a part of it, where a long text is cut. */
static void test_echo_cut(void)
{
	g_autofree char *fill = g_strnfill(500 - strlen("-ERR ") - 6, 'x');
	g_autofree char *reply = g_strdup_printf("-ERR %ss3same\r\n", fill);
	struct run run;

	run_start(&run, &with_tls);
	play(&run, "S: +OK\nC: CAPA\nS: -ERR\nC: USER alice\nS: +OK\nC: PASS s3same\n");
	server_fails(&run, reply, ERROR_AUTH);
	g_assert_null(strstr(run.error->message, "s3"));
	g_assert_null(strstr(run.trace->str, "s3"));
	run_end(&run);
}

static void test_no_secret_is_left(void)
{
	const struct buf *output;
	struct run run;

	run_start(&run, &with_tls);
	play(&run, "S: +OK\nC: CAPA\nS: -ERR\nC: USER alice\nS: +OK\nC: PASS s3same\n");
	output = pop3_session_output(run.session);
	for (size_t i = 0; i < output->size; i++)
		g_assert_cmpuint(output->bytes[i], ==, 0);
	run_end(&run);
}

static void test_capa_limits(void)
{
	for (unsigned more = 0; more < 2; more++) {
		g_autoptr(GString) reply = g_string_new("+OK\r\nUSER\r\n");
		struct run run;

		for (unsigned i = 1; i < LIMIT_CAPABILITIES + more; i++)
			g_string_append(reply, "X\r\n");
		g_string_append(reply, ".\r\n");
		run_start(&run, &with_tls);
		play(&run, "S: +OK\nC: CAPA\n");
		if (more)
			server_fails(&run, reply->str, ERROR_LIMIT);
		else
			server(&run, reply->str);
		check_state(&run, more ? POP3_SESSION_CLOSED : POP3_SESSION_USER);
		run_end(&run);
	}
}

static void test_line_limits(void)
{
	for (int more = -1; more <= 1; more++) {
		g_autofree char *fill = g_strnfill((gsize)(LIMIT_POP3_LINE + more), 'X');
		g_autofree char *reply = g_strdup_printf("+OK\r\nUSER\r\n%s\r\n.\r\n", fill);

		for (int cut = 0; cut < 3; cut++) {
			struct run run;

			run_start_cut(&run, &with_tls, cut * 1000);
			play(&run, "S: +OK\nC: CAPA\n");
			if (more > 0)
				server_fails(&run, reply, ERROR_LIMIT);
			else
				server(&run, reply);
			run_end(&run);
		}
	}
	g_autofree char *endless = g_strnfill(3 * LIMIT_POP3_LINE, 'X');
	struct run run;

	run_start(&run, &with_tls);
	play(&run, "S: +OK\nC: CAPA\nS: +OK\n");
	server_fails(&run, endless, ERROR_LIMIT);
	run_end(&run);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/pop3_session_refusal/refusals", test_refusals);
	g_test_add_func("/pop3_session_refusal/in_use_by_words", test_in_use_by_words);
	g_test_add_func("/pop3_session_refusal/login_delay", test_login_delay);
	g_test_add_func("/pop3_session_refusal/delay_and_expire_stay", test_delay_and_expire_stay);
	g_test_add_func("/pop3_session_refusal/greetings", test_greetings);
	g_test_add_func("/pop3_session_refusal/early", test_early);
	g_test_add_func("/pop3_session_refusal/continuation_nobody_wants",
			test_continuation_nobody_wants);
	g_test_add_func("/pop3_session_refusal/echo", test_echo);
	g_test_add_func("/pop3_session_refusal/echo_cut", test_echo_cut);
	g_test_add_func("/pop3_session_refusal/no_secret_is_left", test_no_secret_is_left);
	g_test_add_func("/pop3_session_refusal/capa_limits", test_capa_limits);
	g_test_add_func("/pop3_session_refusal/line_limits", test_line_limits);
	return g_test_run();
}
