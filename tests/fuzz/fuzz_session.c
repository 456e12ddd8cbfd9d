/* Arbitrary bytes of a server into a session. Input: one byte of settings, then pieces: a byte of
 * length (0 to 127; with the high bit our output stays unwritten meanwhile) and that many bytes. A
 * setting says how much of the stream among the commands can be read.
 * Whatever comes, only the lines below are sent, nothing behind STARTTLS but TLS, no login before
 * it, and every command of the caller is done once. */
#include "fuzz.h"

#include "protocol/imap_session.h"

#define COMMANDS 6
#define STREAM_LEN 70000 /* more than the output holds of it */

/* What may follow a tag, and, without a tag, a "+". A command whose literal is refused ends with
 * its first line. */
static const char *const lines_tagged[] = {
	"CAPABILITY\r\n",
	"STARTTLS\r\n",
	"AUTHENTICATE PLAIN\r\n",
	"AUTHENTICATE PLAIN AGFsaWNlAHMzc2FtZQ==\r\n",
	"AUTHENTICATE PLAIN AGFsaWNlAP8=\r\n",
	"LOGIN \"alice\" \"s3same\"\r\n",
	"LOGIN \"alice\" {1}\r\n",
	"LOGIN \"alice\" {1+}\r\n",
	"ENABLE QRESYNC\r\n",
	"ID (\"name\" \"mailfs\" \"version\" \"" MAILFS_VERSION "\")\r\n",
	"NOOP\r\n",
	"IDLE\r\n",
	"SELECT \"x\"\r\n",
	"CREATE {1}\r\n",
	"CREATE {1+}\r\n",
	"APPEND {70000}\r\n",
	"APPEND {70000+}\r\n",
	"LOGOUT\r\n",
};
static const char *const lines_continued[] = {
	"AGFsaWNlAHMzc2FtZQ==\r\n",
	"AGFsaWNlAP8=\r\n",
	"\xff\r\n",
	"DONE\r\n",
};

struct run {
	struct imap_session *session;
	GString *sent;
	size_t checked;
	unsigned tags;
	unsigned done;
	bool tls_required;
	bool tls_active;
	uint64_t stream_size; /* can be read */
	uint64_t stream_left; /* to be seen in what is sent */
	uint64_t body_left;
};

/* The length of the line that `text` begins with; 0 if it is none. */
static size_t match(const char *text, size_t len, const char *const *lines, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		size_t line_len = strlen(lines[i]);

		if (len >= line_len && memcmp(text, lines[i], line_len) == 0)
			return line_len;
	}
	return 0;
}

static size_t match_tagged(struct run *run, const char *text, size_t len)
{
	g_autofree char *tag = g_strdup_printf("z%u ", run->tags + 1);
	size_t tag_len = strlen(tag);
	size_t line_len;

	if (len <= tag_len || memcmp(text, tag, tag_len) != 0)
		return 0;
	text += tag_len;
	g_assert_false(run->tls_required && !run->tls_active &&
		       (g_str_has_prefix(text, "AUTH") || g_str_has_prefix(text, "LOGIN")));
	line_len = match(text, len - tag_len, lines_tagged, G_N_ELEMENTS(lines_tagged));
	if (line_len == 0)
		return 0;
	run->tags++;
	if (g_str_has_prefix(text, "APPEND {70000"))
		run->stream_left = STREAM_LEN;
	return tag_len + line_len;
}

/* The stream, and the line end behind it. */
static size_t match_stream(struct run *run, const char *text, size_t len)
{
	size_t n = 0;

	while (n < len && n < run->stream_left && text[n] == 's')
		n++;
	run->stream_left -= n;
	if (n > 0 && run->stream_left == 0 && len - n >= 2 && memcmp(text + n, "\r\n", 2) == 0)
		n += 2;
	return n;
}

static void check_sent(struct run *run)
{
	while (run->checked < run->sent->len) {
		const char *text = run->sent->str + run->checked;
		size_t len = run->sent->len - run->checked;
		size_t line_len = match_tagged(run, text, len);

		if (line_len == 0)
			line_len = match(text, len, lines_continued, G_N_ELEMENTS(lines_continued));
		if (line_len == 0)
			line_len = match_stream(run, text, len);
		g_assert_cmpuint(line_len, >, 0);
		run->checked += line_len;
	}
}

static void write_all(struct run *run)
{
	const struct buf *output = imap_session_output(run->session);

	while (buf_len(output) > 0) {
		g_string_append_len(run->sent, (const char *)buf_data(output),
				    (gssize)buf_len(output));
		imap_session_wrote(run->session, buf_len(output), NULL);
		check_sent(run);
	}
}

static size_t stream_read(void *data, uint64_t offset, void *bytes, size_t max)
{
	const struct run *run = data;
	size_t len = (size_t)MIN(max, run->stream_size - MIN(offset, run->stream_size));

	memset(bytes, 's', len);
	return len;
}

static void on_done(void *data, const struct imap_response *tagged)
{
	((struct run *)data)->done++;
}

static void on_untagged(void *data, const struct imap_response *response)
{
	g_assert_cmpint(response->kind, ==, IMAP_UNTAGGED);
}

static void on_body_begin(void *data, uint32_t uid, uint64_t origin, uint64_t size)
{
	((struct run *)data)->body_left = size;
}

static void on_body_data(void *data, const uint8_t *bytes, size_t len)
{
	struct run *run = data;

	g_assert_cmpuint(len, <=, run->body_left);
	run->body_left -= len;
}

static void on_trace(void *data, char direction, const char *line)
{
	g_assert_cmpuint(strlen(line), <=, 200);
	g_assert_null(strpbrk(line, "\r\n"));
	if (direction == 'C')
		g_assert_null(strstr(line, "s3same"));
}

static void send_commands(struct run *run, bool idle_first)
{
	struct imap_command *command = imap_command_new("NOOP");

	if (idle_first)
		imap_session_idle(run->session, on_done, run);
	imap_session_send(run->session, &command, false, on_done, run);
	command = imap_command_new("CREATE ");
	imap_command_string(command, "\xff", 1);
	imap_session_send(run->session, &command, false, on_done, run);
	command = imap_command_new("SELECT ");
	imap_command_string(command, "x", 1);
	imap_session_send(run->session, &command, true, on_done, run);
	command = imap_command_new("NOOP");
	imap_session_send(run->session, &command, false, on_done, run);
	command = imap_command_new("APPEND ");
	imap_command_stream(command, STREAM_LEN, stream_read, run);
	imap_session_send(run->session, &command, false, on_done, run);
	if (!idle_first)
		imap_session_idle(run->session, on_done, run);
}

/* False when the session is over. */
static bool feed_piece(struct run *run, const uint8_t *bytes, size_t len, bool hold)
{
	g_autofree char *copy = fuzz_copy(bytes, len);
	g_autoptr(GError) error = NULL;
	bool more;

	if (!hold)
		write_all(run);
	more = imap_session_feed(run->session, (const uint8_t *)copy, len, &error);
	if (!more) {
		g_assert_nonnull(error);
		g_assert_cmpuint(buf_len(imap_session_output(run->session)), ==, 0);
		g_assert_cmpint(imap_session_state(run->session), ==, IMAP_SESSION_CLOSED);
		return false;
	}
	if (imap_session_state(run->session) == IMAP_SESSION_WANT_TLS) {
		g_assert_cmpuint(buf_len(imap_session_output(run->session)), ==, 0);
		run->tls_active = true;
		imap_session_tls_done(run->session, NULL);
	}
	return true;
}

static void feed_all(struct run *run, const uint8_t *bytes, size_t len, bool logout)
{
	bool more = true;

	while (len > 0 && more) {
		size_t piece = MIN((size_t)(bytes[0] & 0x7f), len - 1);

		more = feed_piece(run, bytes + 1, piece, bytes[0] & 0x80);
		bytes += piece + 1;
		len -= piece + 1;
	}
	if (logout)
		imap_session_logout(run->session);
	write_all(run);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	static const struct imap_session_events events = {on_untagged, on_body_begin, on_body_data};
	struct run run = {0};

	if (len == 0)
		return 0;
	run.tls_active = bytes[0] & 1;
	run.tls_required = bytes[0] & 2;
	run.stream_size = bytes[0] & 16 ? STREAM_LEN - 1 : STREAM_LEN;
	run.sent = g_string_new(NULL);
	run.session = imap_session_new(
		&(struct imap_session_config){
			.login = {.user = "alice", .password = bytes[0] & 4 ? "\xff" : "s3same"},
			.tls_active = run.tls_active,
			.tls_required = run.tls_required,
			.tag_prefix = "z",
		},
		&events, &run);
	imap_session_set_trace(run.session, on_trace, &run);
	send_commands(&run, bytes[0] & 64);
	feed_all(&run, bytes + 1, len - 1, bytes[0] & 8);
	imap_session_free(&run.session);
	g_assert_cmpuint(run.done, ==, COMMANDS);
	g_string_free(run.sent, TRUE);
	return 0;
}
