/* Arbitrary bytes of a server into a session. Input: a byte of settings, then pieces: a byte of
 * length (0 to 127; with the high bit only one byte of our output is written before) and that many
 * bytes.
 * Whatever comes, only the lines below are sent, one at a time before the login is answered, none
 * but CAPA and STLS before the TLS that is needed, nothing behind STLS; each command is answered
 * once and in its order; QUIT goes when all of them are, and what it came to is told once and as it
 * is. */
#include "base/limits.h"
#include "fuzz.h"
#include "protocol/pop3_session.h"

#define PLAIN "AGFsaWNlAHMzc2FtZQ=="

enum settings {
	TLS_ACTIVE = 1,
	TLS_REQUIRED = 2,
	APOP = 4,
	QUIT = 8,
	NO_CAPA = 32,
};

static const char *const lines[] = {
	"CAPA\r\n",	    "STLS\r\n",	       "UTF8\r\n",
	"USER alice\r\n",   "PASS s3same\r\n", "AUTH PLAIN " PLAIN "\r\n",
	"AUTH PLAIN\r\n",   PLAIN "\r\n",      "STAT\r\n",
	"UIDL\r\n",	    "LIST\r\n",	       "TOP 3 0\r\n",
	"RETR 2000000\r\n", "DELE 5\r\n",      "NOOP\r\n",
	"QUIT\r\n",
};

static const struct {
	enum pop3_verb verb;
	uint32_t number;
} commands[] = {
	{POP3_STAT, 0}, {POP3_UIDL, 0}, {POP3_LIST, 0}, {POP3_TOP, 3}, {POP3_RETR, LIMIT_MESSAGES},
	{POP3_DELE, 5}, {POP3_NOOP, 0},
};

struct run {
	struct pop3_session *session;
	GString *sent; /* not checked yet */
	unsigned settings;
	bool tls_active;
	bool stls;    /* was sent: nothing may come behind it but from TLS */
	bool freeing; /* from now on all is lost */
	unsigned asked;
	unsigned done;
	unsigned lost; /* of these */
	bool quit_asked;
	bool quit_written; /* its line end too */
	unsigned quit_told;
};

/* ---- What is sent ---- */

static bool is_apop(const char *line, size_t len)
{
	static const char command[] = "APOP alice ";

	return len == strlen(command) + 32 + 2 && g_str_has_prefix(line, command);
}

static void check_login(const struct run *run, const char *line, size_t len)
{
	bool apop = is_apop(line, len);

	FUZZ_CHECK(!apop || run->settings & APOP);
	if (g_str_has_prefix(line, "USER") || g_str_has_prefix(line, "PASS") ||
	    g_str_has_prefix(line, "AUTH") || g_str_has_prefix(line, PLAIN))
		FUZZ_CHECK(!(run->settings & APOP));
}

static void check_line(struct run *run, const char *line, size_t len)
{
	bool tls_missing = run->settings & TLS_REQUIRED && !run->tls_active;
	bool known = is_apop(line, len);

	for (size_t i = 0; i < G_N_ELEMENTS(lines); i++)
		known |= len == strlen(lines[i]) && memcmp(line, lines[i], len) == 0;
	FUZZ_CHECK(known);
	FUZZ_CHECK(!run->stls && !run->quit_written);
	FUZZ_CHECK(!(run->settings & NO_CAPA) || !g_str_has_prefix(line, "CAPA"));
	FUZZ_CHECK(!tls_missing || g_str_has_prefix(line, "CAPA") ||
		   g_str_has_prefix(line, "STLS"));
	check_login(run, line, len);
	if (g_str_has_prefix(line, "STLS")) {
		FUZZ_CHECK(tls_missing);
		run->stls = true;
	}
	if (g_str_has_prefix(line, "QUIT")) {
		FUZZ_CHECK(run->quit_asked && pop3_session_pending(run->session) == 0);
		run->quit_written = true;
	}
}

static void check_sent(struct run *run)
{
	const char *end;

	while ((end = memmem(run->sent->str, run->sent->len, "\r\n", 2))) {
		size_t len = (size_t)(end - run->sent->str) + 2;

		check_line(run, run->sent->str, len);
		g_string_erase(run->sent, 0, (gssize)len);
	}
}

/* Before the login is answered no two lines wait. */
static void check_lockstep(const struct run *run)
{
	const struct buf *output = pop3_session_output(run->session);
	const char *bytes = (const char *)buf_data(output);
	const char *end = memmem(bytes, buf_len(output), "\r\n", 2);

	if (pop3_session_state(run->session) < POP3_SESSION_READY)
		FUZZ_CHECK(!end || (size_t)(end - bytes) + 2 == buf_len(output));
}

static void write_some(struct run *run, size_t max)
{
	const struct buf *output = pop3_session_output(run->session);
	size_t len = MIN(max, buf_len(output));

	check_lockstep(run);
	g_string_append_len(run->sent, (const char *)buf_data(output), (gssize)len);
	check_sent(run);
	pop3_session_wrote(run->session, len);
}

/* ---- What is told ---- */

static void on_uid(void *data, uint32_t number, const char *uid)
{
	FUZZ_CHECK(((struct run *)data)->done % G_N_ELEMENTS(commands) == POP3_UIDL);
	FUZZ_CHECK(number > 0 && number <= LIMIT_MESSAGES && strlen(uid) <= LIMIT_POP3_UID);
}

static void on_size(void *data, uint32_t number, uint64_t size)
{
	FUZZ_CHECK(((struct run *)data)->done % G_N_ELEMENTS(commands) == POP3_LIST);
	FUZZ_CHECK(number > 0 && number <= LIMIT_MESSAGES);
	FUZZ_CHECK(size <= G_MAXINT64 || size == POP3_SIZE_UNKNOWN);
}

static void on_body(void *data, uint32_t number, const uint8_t *bytes, size_t len)
{
	unsigned at = ((struct run *)data)->done % G_N_ELEMENTS(commands);

	FUZZ_CHECK(at == POP3_TOP || at == POP3_RETR);
	FUZZ_CHECK(number == commands[at].number && len > 0);
}

static void on_done(void *data, const struct pop3_reply *reply)
{
	struct run *run = data;

	FUZZ_CHECK(!run->freeing || !reply);
	FUZZ_CHECK(run->lost == 0 || !reply);
	FUZZ_CHECK(!reply || reply->status != POP3_CONTINUE);
	FUZZ_CHECK(run->quit_told == 0);
	run->done++;
	run->lost += !reply;
}

static void on_quit(void *data, enum pop3_quit result, const struct pop3_reply *reply)
{
	struct run *run = data;
	bool is_ok = reply && reply->status == POP3_OK;

	FUZZ_CHECK(run->quit_asked && run->done == run->asked);
	FUZZ_CHECK((result == POP3_QUIT_COMMITTED) == is_ok);
	FUZZ_CHECK(!reply == (result == POP3_QUIT_UNKNOWN || result == POP3_QUIT_NOT_SENT));
	FUZZ_CHECK(!reply || (run->quit_written && run->lost == 0));
	/* Nobody may be told that nothing was sent if it was. */
	FUZZ_CHECK(result != POP3_QUIT_NOT_SENT || !run->quit_written);
	run->quit_told++;
}

static void on_trace(void *data, char direction, const char *line)
{
	FUZZ_CHECK(strlen(line) <= 200 && !strpbrk(line, "\r\n"));
	if (direction == 'C')
		FUZZ_CHECK(!strstr(line, "s3same") && !strstr(line, PLAIN));
}

/* ---- A run ---- */

static void ask_all(struct run *run)
{
	for (size_t i = 0; i < G_N_ELEMENTS(commands); i++) {
		run->asked++;
		pop3_session_send(run->session, commands[i].verb, commands[i].number, on_done, run);
	}
}

/* False when the session is over. */
static bool feed_piece(struct run *run, const uint8_t *bytes, size_t len, bool hold)
{
	g_autofree char *copy = fuzz_copy(bytes, len);
	g_autoptr(GError) error = NULL;

	write_some(run, hold ? 1 : SIZE_MAX);
	if (!pop3_session_feed(run->session, (const uint8_t *)copy, len, &error)) {
		FUZZ_CHECK(error);
		FUZZ_CHECK(buf_len(pop3_session_output(run->session)) == 0);
		FUZZ_CHECK(pop3_session_state(run->session) == POP3_SESSION_CLOSED);
		FUZZ_CHECK(pop3_session_pending(run->session) == 0);
		return false;
	}
	if (pop3_session_state(run->session) == POP3_SESSION_WANT_TLS) {
		FUZZ_CHECK(buf_len(pop3_session_output(run->session)) == 0);
		FUZZ_CHECK(pop3_session_capa(run->session)->caps == 0);
		run->tls_active = true;
		run->stls = false;
		pop3_session_tls_done(run->session, NULL);
	}
	return true;
}

static void quit_if_ready(struct run *run)
{
	if (run->quit_asked || pop3_session_state(run->session) != POP3_SESSION_READY)
		return;
	ask_all(run);
	if (run->settings & QUIT) {
		run->quit_asked = true;
		pop3_session_quit(run->session, on_quit, run);
	}
}

static void feed_all(struct run *run, const uint8_t *bytes, size_t len)
{
	bool more = true;

	while (len > 0 && more) {
		size_t piece = MIN((size_t)(bytes[0] & 0x7f), len - 1);

		more = feed_piece(run, bytes + 1, piece, bytes[0] & 0x80);
		if (run->asked < 200)
			quit_if_ready(run);
		bytes += piece + 1;
		len -= piece + 1;
	}
	write_some(run, SIZE_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	static const struct pop3_session_events events = {on_uid, on_size, on_body};
	struct run run = {0};

	if (len == 0)
		return 0;
	run.settings = bytes[0];
	run.tls_active = bytes[0] & TLS_ACTIVE;
	run.sent = g_string_new(NULL);
	run.session = pop3_session_new(
		&(struct pop3_session_config){
			.login = {.user = "alice",
				  .password = "s3same",
				  .allowed = bytes[0] & APOP ? AUTH_APOP : 0},
			.tls_active = run.tls_active,
			.tls_required = bytes[0] & TLS_REQUIRED,
			.no_capa = bytes[0] & NO_CAPA,
		},
		&events, &run);
	pop3_session_set_trace(run.session, on_trace, &run);
	ask_all(&run);
	feed_all(&run, bytes + 1, len - 1);
	run.freeing = true;
	pop3_session_free(&run.session);
	FUZZ_CHECK(run.done == run.asked && run.quit_told == run.quit_asked);
	g_string_free(run.sent, TRUE);
	return 0;
}
