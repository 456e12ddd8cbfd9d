/* A session with a test at both of its ends. */
#pragma once

#include "base/error.h"
#include "base/limits.h"
#include "protocol/pop3_session.h"

#include <string.h>

/* How what the server sends is cut: by this many bytes, or */
#define CUT_NONE 0
#define CUT_RANDOM (-1)

struct run {
	struct pop3_session *session;
	int cut;
	GRand *rand;
	GString *log; /* of what is called, a line each */
	GString *body;
	GString *trace;
	GError *error; /* the last */
	unsigned done;
};

static const struct pop3_session_config with_tls = {
	.login = {.user = "alice", .password = "s3same"}, .tls_active = true};
static const struct pop3_session_config with_stls = {
	.login = {.user = "alice", .password = "s3same"}, .tls_required = true};
static const struct pop3_session_config without_tls = {
	.login = {.user = "alice", .password = "s3same"}};

/* alice and s3same, in base64. */
#define PLAIN "AGFsaWNlAHMzc2FtZQ=="

static inline void on_uid(void *data, uint32_t number, const char *uid)
{
	g_string_append_printf(((struct run *)data)->log, "uid %u %s\n", number, uid);
}

static inline void on_size(void *data, uint32_t number, uint64_t size)
{
	struct run *run = data;

	if (size == POP3_SIZE_UNKNOWN)
		g_string_append_printf(run->log, "size %u ?\n", number);
	else
		g_string_append_printf(run->log, "size %u %" G_GUINT64_FORMAT "\n", number, size);
}

static inline void on_body(void *data, uint32_t number, const uint8_t *bytes, size_t len)
{
	struct run *run = data;

	g_assert_cmpuint(number, >, 0);
	g_assert_cmpuint(len, >, 0);
	g_string_append_len(run->body, (const char *)bytes, (gssize)len);
}

static inline void on_done(void *data, const struct pop3_reply *reply)
{
	struct run *run = data;

	run->done++;
	if (run->body->len > 0)
		g_string_append_printf(run->log, "{%s}\n", run->body->str);
	g_string_truncate(run->body, 0);
	g_string_append_printf(run->log, "%s\n", reply ? reply->text : "lost");
}

static inline void on_quit(void *data, enum pop3_quit result, const struct pop3_reply *reply)
{
	static const char *const names[] = {"committed", "partly", "unknown", "not sent"};

	g_string_append_printf(((struct run *)data)->log, "quit: %s%s%s\n", names[result],
			       reply ? " " : "", reply ? reply->text : "");
}

static inline void on_trace(void *data, char direction, const char *line)
{
	g_string_append_printf(((struct run *)data)->trace, "%c %s\n", direction, line);
}

static inline void run_start_cut(struct run *run, const struct pop3_session_config *config, int cut)
{
	static const struct pop3_session_events events = {on_uid, on_size, on_body};

	*run = (struct run){
		.cut = cut,
		.rand = g_rand_new_with_seed(1939),
		.log = g_string_new(NULL),
		.body = g_string_new(NULL),
		.trace = g_string_new(NULL),
	};
	run->session = pop3_session_new(config, &events, run);
	pop3_session_set_trace(run->session, on_trace, run);
}

static inline void run_start(struct run *run, const struct pop3_session_config *config)
{
	run_start_cut(run, config, CUT_NONE);
}

static inline void run_end(struct run *run)
{
	pop3_session_free(&run->session);
	g_assert_null(run->session);
	pop3_session_free(&run->session);
	g_rand_free(run->rand);
	g_string_free(run->log, TRUE);
	g_string_free(run->body, TRUE);
	g_string_free(run->trace, TRUE);
	g_clear_error(&run->error);
}

static inline void check_state(const struct run *run, enum pop3_session_state state)
{
	g_assert_cmpint(pop3_session_state(run->session), ==, state);
}

/* The output is exactly this; and is written. */
static inline void check_sent(struct run *run, const char *expected)
{
	const struct buf *output = pop3_session_output(run->session);
	g_autofree char *sent = g_strndup((const char *)buf_data(output), buf_len(output));

	g_assert_cmpstr(sent, ==, expected);
	pop3_session_wrote(run->session, buf_len(output));
}

static inline size_t next_cut(struct run *run, size_t left)
{
	if (run->cut == CUT_NONE)
		return left;
	if (run->cut == CUT_RANDOM)
		return (size_t)g_rand_int_range(run->rand, 1, (int)left + 1);
	return MIN((size_t)run->cut, left);
}

static inline bool feed(struct run *run, const char *bytes, size_t len, GError **error)
{
	bool more = true;

	while (len > 0 && more) {
		size_t part = next_cut(run, len);
		g_autofree uint8_t *copy = g_memdup2(bytes, part);

		more = pop3_session_feed(run->session, copy, part, error);
		bytes += part;
		len -= part;
	}
	return more;
}

static inline void server(struct run *run, const char *bytes)
{
	g_autoptr(GError) error = NULL;

	feed(run, bytes, strlen(bytes), &error);
	g_assert_no_error(error);
}

static inline void check_failed(struct run *run, enum mailfs_error code)
{
	g_assert_error(run->error, MAILFS_ERROR, (int)code);
	check_state(run, POP3_SESSION_CLOSED);
	g_assert_cmpuint(buf_len(pop3_session_output(run->session)), ==, 0);
	g_assert_cmpuint(pop3_session_pending(run->session), ==, 0);
	g_assert_null(strstr(run->error->message, "s3same"));
	g_assert_null(strstr(run->trace->str, "s3same"));
}

static inline void server_fails(struct run *run, const char *bytes, enum mailfs_error code)
{
	g_clear_error(&run->error);
	g_assert_false(feed(run, bytes, strlen(bytes), &run->error));
	check_failed(run, code);
	g_clear_error(&run->error);
	/* it stays */
	g_assert_false(pop3_session_feed(run->session, (const uint8_t *)"x", 1, &run->error));
	check_failed(run, code);
}

/* Lines of a dialogue, parted by "\n" and each ended by CRLF on its way: "S: ..." by the server,
 * "C: ..." is what the session then has sent, all of it. */
static inline void play(struct run *run, const char *dialogue)
{
	g_auto(GStrv) lines = g_strsplit(dialogue, "\n", -1);

	for (unsigned i = 0; lines[i] && *lines[i];) {
		char side = lines[i][0];
		g_autoptr(GString) turn = g_string_new(NULL);

		for (; lines[i] && lines[i][0] == side; i++)
			g_string_append_printf(turn, "%s\r\n", lines[i] + 3);
		if (side == 'S') {
			check_sent(run, "");
			server(run, turn->str);
		} else {
			check_sent(run, turn->str);
		}
	}
}

/* READY; `caps` parted by "|"; NULL: a server without CAPA. */
static inline void play_ready(struct run *run, const char *caps)
{
	g_auto(GStrv) words = g_strsplit(caps ? caps : "", "|", -1);
	g_autofree char *list = g_strjoinv("\nS: ", words);
	g_autofree char *login = g_strdup_printf("S: +OK\nC: CAPA\nS: +OK\nS: USER\nS: %s\nS: .\n"
						 "C: USER alice\nS: +OK\nC: PASS s3same\nS: +OK\n"
						 "C: CAPA\nS: +OK\nS: %s\nS: .\n",
						 list, list);

	play(run, caps ? login
		       : "S: +OK\nC: CAPA\nS: -ERR\nC: USER alice\nS: +OK\nC: PASS s3same\n"
			 "S: +OK\n");
	check_state(run, POP3_SESSION_READY);
}

static inline void run_ready(struct run *run, const char *caps)
{
	run_start(run, &with_tls);
	play_ready(run, caps);
}

/* At the place where AUTH PLAIN is sent. */
static inline void to_plain(struct run *run, const char *password)
{
	run_start(run,
		  &(struct pop3_session_config){.login = {.user = "alice", .password = password},
						.tls_active = true});
	play(run, "S: +OK\nC: CAPA\nS: +OK\nS: SASL PLAIN\nS: .\n");
}

static inline void ask(struct run *run, enum pop3_verb verb, uint32_t number)
{
	pop3_session_send(run->session, verb, number, on_done, run);
}

static inline void quit(struct run *run)
{
	pop3_session_quit(run->session, on_quit, run);
}

/* What was called since the last time. */
static inline void check_log(struct run *run, const char *expected)
{
	g_assert_cmpstr(run->log->str, ==, expected);
	g_string_truncate(run->log, 0);
}

/* Whole, by small and by random pieces. */
typedef void (*cut_test_fn)(struct run *run);
static inline void each_cut(const struct pop3_session_config *config, cut_test_fn test)
{
	for (int i = 0; i < 40; i++) {
		struct run run;

		run_start_cut(&run, config, i < 4 ? i : CUT_RANDOM);
		g_rand_set_seed(run.rand, (guint32)i);
		test(&run);
		run_end(&run);
	}
}
