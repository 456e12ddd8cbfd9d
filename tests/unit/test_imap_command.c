#include "protocol/imap_command_parts.h"

#include <string.h>

/* All parts on one line: text as it is, <literals>, (what waits for its time), and ! in front of
 * secrets. */
static char *show(const struct imap_command *command)
{
	GString *shown = g_string_new(NULL);

	for (unsigned i = 0; i < imap_command_parts(command); i++) {
		const struct imap_part *part = imap_command_part(command, i);
		static const char open[] = {[IMAP_PART_TEXT] = '[',
					    [IMAP_PART_LITERAL] = '<',
					    [IMAP_PART_STREAM] = '~'};

		if (part->secret)
			g_string_append_c(shown, '!');
		g_string_append_c(shown, open[part->kind]);
		g_string_append_len(shown, part->bytes->str, (gssize)part->bytes->len);
		g_string_append_c(shown, '.');
	}
	return g_string_free(shown, FALSE);
}

static void check(struct imap_command *command, const char *expected)
{
	g_autofree char *shown = show(command);

	g_assert_cmpstr(shown, ==, expected);
	imap_command_free(&command);
	g_assert_null(command);
}

static void check_string(const char *bytes, size_t len, const char *expected)
{
	struct imap_command *command = imap_command_new("X ");

	g_assert_true(imap_command_string(command, bytes, len));
	check(command, expected);
}

static void test_text(void)
{
	struct imap_command *command = imap_command_new("UID FETCH %d:%u", 5, 4294967295u);

	imap_command_text(command, " (%s)", "FLAGS");
	check(command, "[UID FETCH 5:4294967295 (FLAGS).");
}

static void test_quoted(void)
{
	check_string("", 0, "[X \"\".");
	check_string("INBOX", 5, "[X \"INBOX\".");
	check_string("a \"b\" \\", 7, "[X \"a \\\"b\\\" \\\\\".");
	check_string(" ~{5}%s", 7, "[X \" ~{5}%s\".");
	/* The end is where the length says. */
	check_string("INBOX/x", 5, "[X \"INBOX\".");
}

static void test_literal(void)
{
	static const char *const odd[] = {"\r", "\n", "\t", "\x01", "\x1f", "\x7f", "\x80", "\xff"};

	for (unsigned i = 0; i < G_N_ELEMENTS(odd); i++) {
		g_autofree char *text = g_strdup_printf("a%sb", odd[i]);
		g_autofree char *expected = g_strdup_printf("[X .<a%sb.", odd[i]);

		check_string(text, 3, expected);
	}
}

static void test_injection(void)
{
	check_string("x\"\r\na9 DELETE INBOX", 19, "[X .<x\"\r\na9 DELETE INBOX.");
}

static void check_length(size_t len, bool quoted)
{
	g_autofree char *text = g_strnfill(len, 'x');
	g_autofree char *expected = g_strdup_printf(quoted ? "[X \"%s\"." : "[X .<%s.", text);

	check_string(text, len, expected);
}

static void test_limit(void)
{
	check_length(255, true);
	check_length(256, true);
	check_length(257, false);
	check_length(70000, false);
}

static void test_quotes_at_limit(void)
{
	g_autofree char *text = g_strnfill(256, '"');
	struct imap_command *command = imap_command_new("X ");
	const struct imap_part *part;

	g_assert_true(imap_command_secret(command, text, 256));
	part = imap_command_part(command, 1);
	g_assert_cmpuint(part->bytes->len, ==, 514);
	imap_command_free(&command);
}

static void test_nul(void)
{
	struct imap_command *command = imap_command_new("X");

	g_assert_false(imap_command_string(command, "a\0b", 3));
	g_assert_false(imap_command_string(command, "\0", 1));
	g_assert_false(imap_command_secret(command, "a\0", 2));
	check(command, "[X.");
}

static void test_parts(void)
{
	struct imap_command *command = imap_command_new("LOGIN ");

	g_assert_true(imap_command_string(command, "\xc3\xbc", 2));
	imap_command_text(command, " ");
	g_assert_true(imap_command_secret(command, "pass", 4));
	imap_command_text(command, " then");
	g_assert_true(imap_command_string(command, "q", 1));
	g_assert_true(imap_command_secret(command, "\xc3\xbc", 2));
	check(command, "[LOGIN .<\xc3\xbc.[ .![\"pass\".[ then\"q\".!<\xc3\xbc.");
}

static void test_authenticate(void)
{
	struct imap_command *command = imap_command_new("AUTHENTICATE PLAIN");

	imap_command_initial(command, "AGEAYg==");
	check(command, "[AUTHENTICATE PLAIN .![AGEAYg==.");
}

static size_t read_nothing(void *data, uint64_t offset, void *bytes, size_t max)
{
	return 0;
}

static void test_stream(void)
{
	struct imap_command *command = imap_command_new("APPEND ");
	const struct imap_part *part;

	imap_command_stream(command, UINT64_MAX, read_nothing, &command);
	part = imap_command_part(command, 1);
	g_assert_cmpuint(part->len, ==, UINT64_MAX);
	g_assert_true(part->read == read_nothing);
	g_assert_true(part->data == &command);
	check(command, "[APPEND .~.");
}

static void test_line_end_in_text(void)
{
	if (g_test_subprocess()) {
		struct imap_command *command = imap_command_new("NOOP\r\na2 X");

		imap_command_free(&command);
		return;
	}
	g_test_trap_subprocess(NULL, 0, 0);
	g_test_trap_assert_failed();
}

int main(int argc, char **argv)
{
	struct imap_command *none = NULL;

	g_test_init(&argc, &argv, NULL);
	imap_command_free(&none);
	g_test_add_func("/imap-command/text", test_text);
	g_test_add_func("/imap-command/quoted", test_quoted);
	g_test_add_func("/imap-command/literal", test_literal);
	g_test_add_func("/imap-command/injection", test_injection);
	g_test_add_func("/imap-command/limit", test_limit);
	g_test_add_func("/imap-command/quotes-at-limit", test_quotes_at_limit);
	g_test_add_func("/imap-command/nul", test_nul);
	g_test_add_func("/imap-command/parts", test_parts);
	g_test_add_func("/imap-command/authenticate", test_authenticate);
	g_test_add_func("/imap-command/stream", test_stream);
	g_test_add_func("/imap-command/line-end-in-text", test_line_end_in_text);
	return g_test_run();
}
