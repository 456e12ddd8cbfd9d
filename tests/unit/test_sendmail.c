#include "base/file.h"
#include "base/limits.h"
#include "sendmail/arguments.h"
#include "sendmail/failure.h"
#include "sendmail/input.h"
#include "sendmail/mounts.h"
#include "sendmail/verdict.h"

#include <errno.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

/* --- the command line --- */

static enum arguments_result parse(struct arguments *arguments, const char *const *words,
				   GError **error)
{
	g_autoptr(GPtrArray) argv = g_ptr_array_new();

	g_ptr_array_add(argv, (char *)"sendmail");
	for (; *words; words++)
		g_ptr_array_add(argv, (char *)*words);
	g_ptr_array_add(argv, NULL);
	return arguments_parse(arguments, (int)argv->len - 1, (char **)argv->pdata, error);
}

#define PARSE(arguments, ...) parse_well(arguments, (const char *const[]){__VA_ARGS__, NULL})
#define REFUSE(status, part, ...) refuse(status, part, (const char *const[]){__VA_ARGS__, NULL})

/* Gives the envelope, where the lines end in ';'. */
static char *parse_well(struct arguments *arguments, const char *const *words)
{
	g_autoptr(GError) error = NULL;

	g_assert_cmpint(parse(arguments, words, &error), ==, ARGUMENTS_RUN);
	g_assert_no_error(error);
	return g_strdelimit(arguments_envelope(arguments), "\n", ';');
}

static void refuse(int status, const char *part, const char *const *words)
{
	struct arguments arguments;
	g_autoptr(GError) error = NULL;

	g_assert_cmpint(parse(&arguments, words, &error), ==, ARGUMENTS_ERROR);
	g_assert_error(error, FAILURE, status);
	if (!strstr(error->message, part))
		g_error("'%s' is not in: %s", part, error->message);
	g_assert_null(strchr(error->message, '\n'));
	arguments_clear(&arguments);
}

#define ENVELOPE(want, ...) envelope_is(want, (const char *const[]){__VA_ARGS__, NULL})

static void envelope_is(const char *want, const char *const *words)
{
	struct arguments arguments;
	g_autofree char *envelope = parse_well(&arguments, words);

	g_assert_cmpstr(envelope, ==, want);
	arguments_clear(&arguments);
}

static void test_envelope(void)
{
	ENVELOPE("header;bob@x;", "bob@x");
	ENVELOPE("header;header;", "-t");
	ENVELOPE("header;bob@x;header;", "-t", "bob@x");
	ENVELOPE("header;header;", "-ti");
	ENVELOPE(";bob@x;", "-f", "", "bob@x");
	ENVELOPE(";bob@x;", "-f<>", "bob@x");
	ENVELOPE("al@x;bob@x;", "-fal@x", "bob@x");
	ENVELOPE("al@x;bob@x;carl@x;", "-r", "Al <al@x>", "--", "bob@x", "carl@x");
	ENVELOPE("b@x;bob@x;", "-f", "a@x", "-f", "b@x", "bob@x");
	ENVELOPE("header;a@x;b@x;c@x;d@x;", "a@x,b@x", "Bob <c@x>, \"D, d\" <d@x>,");
	ENVELOPE("header;-a@x;", "-i", "--", "-a@x");
	ENVELOPE("header;\"a,b\"@x;\"a <b\"@x;", "\"a,b\"@x,\"a <b\"@x");
	ENVELOPE("header;b\xc3\xbc@x.org;", "b\xc3\xbc@x.org");
}

static void test_options(void)
{
	struct arguments arguments;

	g_free(PARSE(&arguments, "-oem", "-oi", "-f", "al@x", "-B8BITMIME", "-U", "--", "bob@x"));
	g_assert_true(!arguments.dot_ends && arguments.wait && !arguments.from_header);
	arguments_clear(&arguments);
	g_free(PARSE(&arguments, "-FCronDaemon", "-i", "-B8BITMIME", "-oem", "a@x"));
	g_assert_cmpstr(arguments.full_name, ==, "CronDaemon");
	g_assert_false(arguments.dot_ends);
	arguments_clear(&arguments);
	g_free(PARSE(&arguments, "-odq", "-bm", "-v", "-G", "-m", "-em", "a@x"));
	g_assert_true(arguments.dot_ends && !arguments.wait);
	arguments_clear(&arguments);
	g_free(PARSE(&arguments, "-odb", "-o", "di", "--outbox=/o", "a@x"));
	g_assert_true(arguments.wait);
	g_assert_cmpstr(arguments.outbox, ==, "/o");
	arguments_clear(&arguments);
	arguments_clear(&arguments);
	g_assert_cmpint(parse(&arguments, (const char *const[]){"--help", NULL}, NULL), ==,
			ARGUMENTS_HELP);
	g_assert_cmpint(parse(&arguments, (const char *const[]){"--version", NULL}, NULL), ==,
			ARGUMENTS_VERSION);
}

static void test_usage(void)
{
	g_autofree char *name = g_strnfill(201, 'n');

	REFUSE(EX_USAGE, "no recipients", "-i");
	REFUSE(EX_USAGE, "dsn_notify", "-N", "success", "a@x");
	REFUSE(EX_USAGE, "dsn_notify", "-Rhdrs", "a@x");
	REFUSE(EX_USAGE, "only -bm", "-bs");
	REFUSE(EX_USAGE, "only -bm", "-bp");
	REFUSE(EX_USAGE, "unknown option '-q'", "-q");
	REFUSE(EX_USAGE, "unknown option '-C'", "-C/etc/x", "a@x");
	REFUSE(EX_USAGE, "'--queue' is not an option", "--queue", "a@x");
	REFUSE(EX_USAGE, "'--help=x' is not", "--help=x");
	REFUSE(EX_USAGE, "options stand before", "a@x", "-f", "b@x");
	REFUSE(EX_USAGE, "options stand before", "a@x", "-fb@x");
	REFUSE(EX_USAGE, "options stand before", "-t", "a@x", "-i");
	REFUSE(EX_USAGE, "needs a value", "-f");
	REFUSE(EX_USAGE, "-F", "-F", "a\nb", "a@x");
	REFUSE(EX_USAGE, "-F", "-F", "\xff", "a@x");
	REFUSE(EX_USAGE, "-F", "-F", name, "a@x");
}

static void test_addresses(void)
{
	static const char *const bad[] = {
		"@x",	    "a@",    "a@b@c",	   "a b@x",	  "<a@x",
		"a@x>",	    "a@x y", "",	   ",",		  "a@x\n",
		"a@x\nb@x", "a@x\r", "\xff@x",	   "<>",	  "<a> @x",
		"a@<b>x",   "\"a@x", "\"a\nb\"@x", "a@x\xc2\x85", "a@\xe2\x80\xaex",
		" ",
	};

	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
		REFUSE(EX_USAGE, "is not an address", bad[i]);
	REFUSE(EX_NOUSER, "'alice' is not an address: it has no domain", "alice");
	REFUSE(EX_NOUSER, "no domain", "a@x", "header");
	REFUSE(EX_USAGE, "the sender 'root' is not an address", "-f", "root", "a@x");
	REFUSE(EX_USAGE, "one sender", "-f", "a@x,b@x", "a@x");
	/* It is an address list, and hidden by no quotes. */
	REFUSE(EX_USAGE, "is not an address", "\"a\"<b@x>c@x");
}

/* --- the message --- */

/* Goes through a pipe in pieces of `step` bytes, each of which is read before the next comes. */
static char *filtered(const char *text, size_t len, size_t step, bool dot_ends)
{
	struct interrupt interrupt;
	int ends[2];
	GString *out = g_string_new(NULL);

	g_assert_true(interrupt_hold(&interrupt));
	g_assert_cmpint(pipe(ends), ==, 0);
	struct input input = {ends[0], &interrupt, .dot_ends = dot_ends};

	for (size_t at = 0; at < len && !input.ended; at += step) {
		size_t piece = MIN(step, len - at);

		g_assert_cmpint(write(ends[1], text + at, piece), ==, (gssize)piece);
		g_assert_true(input_read(&input, out, NULL));
	}
	close(ends[1]);
	while (!input.ended)
		g_assert_true(input_read(&input, out, NULL));
	close(ends[0]);
	interrupt_release(&interrupt);
	return g_string_free(out, FALSE);
}

static void test_dots(void)
{
	static const struct {
		const char *text;
		const char *want;
	} cases[] = {
		{"", ""},
		{".", ""},
		{".\n", ""},
		{".\r\nx", ""},
		{"a\n.\nb\n", "a\n"},
		{"a\r\n.\r\nb\n", "a\r\n"},
		{"a\n.", "a\n"},
		{"a\n.\r", "a\n"},
		{"a\n..\nb", "a\n..\nb"},
		{"a\n.b\n.\r.\n", "a\n.b\n.\r.\n"},
		{"a.\n.\n", "a.\n"},
		{"a\n. \n.\t\n", "a\n. \n.\t\n"},
		{"a\r.\r", "a\r.\r"},
		{"..", ".."},
		{"\n\n.\n", "\n\n"},
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		size_t len = strlen(cases[i].text);

		for (size_t step = 1; step <= len + 1; step++) {
			g_autofree char *some = filtered(cases[i].text, len, step, true);
			g_autofree char *all = filtered(cases[i].text, len, step, false);

			g_assert_cmpstr(some, ==, cases[i].want);
			g_assert_cmpstr(all, ==, cases[i].text);
		}
	}
}

static void test_from(void)
{
	static const struct {
		const char *header;
		const char *address;
		bool has_field;
	} cases[] = {
		{"", NULL, false},
		{"To: a@x\n\nFrom: b@x\n", NULL, false},
		{"From: a@x\n", "a@x", true},
		{"FROM : Al <a@x>\r\n\r\n", "a@x", true},
		{"To: b@x\nFrom:\n Al \"b@x\"\n <a@x>\n\n", "a@x", true},
		{"from: a@x (Al)\n", "a@x", true},
		{"From: root (Cron Daemon)\n\n", NULL, true},
		{"From a@x Mon Jan 1\nTo: b@x\n\n", NULL, false},
		{"From a@x Mon Jan 1\nFrom: c@x\n\n", "c@x", true},
		{"From-Line: a@x\n\n", NULL, false},
		{"X: 1\n From: a@x\n\n", NULL, false},
		{"From: <a@x", "a@x", true},
		{"From:", NULL, true},
		{"\r\nFrom: a@x\n", NULL, false},
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autoptr(GString) header = g_string_new(cases[i].header);
		bool has_field;
		g_autofree char *address = input_from(header, &has_field);

		g_assert_cmpstr(address, ==, cases[i].address);
		g_assert_true(has_field == cases[i].has_field);
	}
}

static void test_add_from(void)
{
	g_autoptr(GString) long_name = g_string_new(NULL);
	g_autoptr(GString) header = g_string_new("To: b@x\n\n");
	g_autoptr(GString) mbox = g_string_new("From x\nTo: b@x\n\n");
	g_autoptr(GString) coded = g_string_new("\n");

	input_add_from(header, "A \"B\" \\C", "a@x");
	g_assert_cmpstr(header->str, ==, "From: \"A \\\"B\\\" \\\\C\" <a@x>\nTo: b@x\n\n");
	input_add_from(mbox, "A", "a@x");
	g_assert_cmpstr(mbox->str, ==, "From x\nFrom: \"A\" <a@x>\nTo: b@x\n\n");
	for (size_t len = 64; len <= 65; len++) {
		g_autoptr(GString) edge = g_string_new("\n");
		g_autofree char *name = g_strnfill(len, 'x');

		input_add_from(edge, name, "a@x");
		g_assert_true((strstr(edge->str, "\" <a@x>\n\n") != NULL) == (len == 64));
		g_assert_true((strstr(edge->str, "\"\n <a@x>\n\n") != NULL) == (len == 65));
	}
	for (size_t i = 0; i < 50; i++)
		g_string_append(long_name, "\xe5\x86\x99");
	input_add_from(coded, long_name->str, "a@x");
	g_auto(GStrv) lines = g_strsplit(coded->str, "\n", 0);
	g_assert_cmpuint(g_strv_length(lines), ==, 7);
	for (size_t i = 0; i < 4; i++) {
		const char *word = strstr(lines[i], "=?UTF-8?B?");
		gsize len;
		g_autofree char *base64 = NULL;
		g_autofree guchar *text = NULL;

		g_assert_nonnull(word);
		g_assert_cmpuint(strlen(word), <=, 75);
		base64 = g_strndup(word + 10, strlen(word) - 12);
		text = g_base64_decode(base64, &len);
		g_assert_true(g_utf8_validate((char *)text, (gssize)len, NULL));
	}
}

/* --- the mounts --- */

#define LINE(path, type, source, uid)                                                              \
	"36 35 0:50 / " path " rw,nosuid shared:5 master:1 - " type " " source " rw,user_id=" uid  \
	",group_id=7\n"

static void test_mounts(void)
{
	static const char text[] = LINE("/", "ext4", "/dev/sda", "1000") LINE(
		"/m", "fuse.mailfs", "al@x:", "1000") LINE("/other", "fuse.mailfs", "al@x:", "1001")
		LINE("/ssh", "fuse.sshfs", "al@x:", "1000")
			LINE("/a\\040b\\134", "fuse.mailfs", "al@y:993:",
			     "1000") "36 35 0:50 /INBOX /b rw - fuse.mailfs al@x: rw,user_id=1000\n"
				     "36 35 0:50 / /c rw - fuse.mailfs al@x: rw,user_id=x\n"
				     "36 35 0:50 / /c rw - fuse.mailfs al@x:\n"
				     "36 35 0:50 / /c rw -\n-\n\nx";
	g_autoptr(GPtrArray) mounts = mounts_parse(text, 1000);
	g_autoptr(GPtrArray) none = mounts_parse("", 1000);
	const struct mounted *mounted;

	g_assert_cmpuint(none->len, ==, 0);
	g_assert_cmpuint(mounts->len, ==, 2);
	mounted = g_ptr_array_index(mounts, 0);
	g_assert_cmpstr(mounted->path, ==, "/m");
	g_assert_cmpstr(mounted->account, ==, "al@x");
	mounted = g_ptr_array_index(mounts, 1);
	g_assert_cmpstr(mounted->path, ==, "/a b\\");
	g_assert_cmpstr(mounted->account, ==, "al@y:993");
}

static const char *chosen(const GPtrArray *mounts, const char *sender)
{
	g_autoptr(GError) error = NULL;
	const struct mounted *mounted = mounts_choose(mounts, sender, &error);

	if (mounted)
		return mounted->path;
	g_assert_error(error, FAILURE, EX_CONFIG);
	g_assert_nonnull(strstr(error->message, "MAILFS_OUTBOX"));
	return NULL;
}

static void test_choose(void)
{
	g_autoptr(GPtrArray) none = mounts_parse("", 7);
	g_autoptr(GPtrArray) one = mounts_parse(LINE("/1", "fuse.mailfs", "al@x.org:", "7"), 7);
	g_autoptr(GPtrArray) many = mounts_parse(
		LINE("/1", "fuse.mailfs", "al@imap.x.org:", "7")
			LINE("/2", "fuse.mailfs", "al@y.org:1143:", "7")
				LINE("/3", "fuse.mailfs", "bo@z.org@mail.host:", "7")
					LINE("/4", "fuse.mailfs", "two@x.org:", "7")
						LINE("/5", "fuse.mailfs", "two@imap.x.org:", "7"),
		7);

	g_assert_null(chosen(none, "al@x.org"));
	g_assert_cmpstr(chosen(one, NULL), ==, "/1");
	g_assert_cmpstr(chosen(one, "stranger@z"), ==, "/1");
	g_assert_null(chosen(many, NULL));
	g_assert_null(chosen(many, "al"));
	g_assert_cmpstr(chosen(many, "Al@X.org"), ==, "/1");
	g_assert_cmpstr(chosen(many, "al@imap.x.org"), ==, "/1");
	g_assert_null(chosen(many, "al@rg"));
	g_assert_null(chosen(many, "l@x.org"));
	g_assert_cmpstr(chosen(many, "al@y.org"), ==, "/2");
	g_assert_cmpstr(chosen(many, "bo@z.org"), ==, "/3");
	g_assert_null(chosen(many, "bo@mail.host"));
	g_assert_null(chosen(many, "two@x.org"));
}

/* --- the verdict --- */

static void judge(const char *outbox, int number, int status, const char *part)
{
	g_autoptr(GError) error = NULL;

	if (status == EX_OK) {
		g_assert_true(verdict_judge(number, outbox, "m", &error));
		return;
	}
	g_assert_false(verdict_judge(number, outbox, "m", &error));
	g_assert_error(error, FAILURE, status);
	if (!strstr(error->message, part))
		g_error("'%s' is not in: %s", part, error->message);
	g_assert_null(strpbrk(error->message, "\n\r\033"));
}

static void put(const char *outbox, const char *name, const char *text)
{
	g_autofree char *path = g_build_filename(outbox, name, NULL);

	g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

static void test_verdict(void)
{
	static const struct {
		const char *reason;
		int number;
		int status;
	} cases[] = {
		{"550 5.1.1 <b@x>: User unknown\nb@x: 550 5.7.1 no\n", EIO, EX_NOUSER},
		{"550 5.1.10 x", EINVAL, EX_NOUSER},
		{"5.1.2", EIO, EX_NOUSER},
		{"550 15.1.1 x", EIO, EX_UNAVAILABLE},
		{"550 5.1.1.2 x", EIO, EX_UNAVAILABLE},
		{"550 5.7.1 x\n5.1.1", EIO, EX_UNAVAILABLE},
		{"no header", EINVAL, EX_DATAERR},
		{"5.2.2 full", EDQUOT, EX_UNAVAILABLE},
		{"", EIO, EX_UNAVAILABLE},
		{"a\033[2Jb\r\n", EACCES, EX_UNAVAILABLE},
	};
	g_autofree char *outbox = g_dir_make_tmp("mailfs-test-XXXXXX", NULL);
	g_autofree char *failed = g_build_filename(outbox, "failed", NULL);

	judge(outbox, 0, EX_OK, "");
	judge(outbox, EIO, EX_IOERR, "not in the outbox");
	judge(outbox, ENOTCONN, EX_TEMPFAIL, "queued, not sent yet");
	put(outbox, "m.eml", "x");
	judge(outbox, EAGAIN, EX_TEMPFAIL, "queued, not sent yet: Resource temporarily");
	judge(outbox, EACCES, EX_TEMPFAIL, "queued, not sent yet: Permission denied");
	judge(outbox, EHOSTUNREACH, EX_TEMPFAIL, "queued, not sent yet: No route");
	g_assert_cmpint(g_mkdir(failed, 0700), ==, 0);
	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		put(outbox, "failed/m.eml.err", cases[i].reason);
		judge(outbox, cases[i].number, cases[i].status, "/failed/m.eml");
	}
	judge(outbox, 0, EX_OK, "");
	file_remove_tree(outbox, NULL);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/sendmail/envelope", test_envelope);
	g_test_add_func("/sendmail/options", test_options);
	g_test_add_func("/sendmail/usage", test_usage);
	g_test_add_func("/sendmail/addresses", test_addresses);
	g_test_add_func("/sendmail/dots", test_dots);
	g_test_add_func("/sendmail/from", test_from);
	g_test_add_func("/sendmail/add-from", test_add_from);
	g_test_add_func("/sendmail/mounts", test_mounts);
	g_test_add_func("/sendmail/choose", test_choose);
	g_test_add_func("/sendmail/verdict", test_verdict);
	return g_test_run();
}
