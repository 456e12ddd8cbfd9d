#include "base/error.h"
#include "base/limits.h"
#include "outbox/address.h"
#include "outbox/envelope.h"

#include <locale.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define U_UMLAUT "\xc3\xbc"
#define DATE_S 1057049557 /* Tue, 01 Jul 2003 10:52:37 +0200 */
/* All that is never missing. */
#define HEAD "From: me@here.example\nDate: x\nMessage-ID: <1@here.example>\n"

static const struct envelope_config plain = {.from = "conf@here.example", .date_s = DATE_S};

static bool read_bytes(const char *bytes, size_t len, const struct envelope_config *config,
		       struct envelope *ret, GError **error)
{
	int fd = memfd_create("mail", MFD_CLOEXEC);
	bool fine;

	g_assert_cmpint(fd, >=, 0);
	g_assert_cmpint(write(fd, bytes, len), ==, (ssize_t)len);
	fine = envelope_read(fd, config, ret, error);
	close(fd);
	return fine;
}

static void read_mail(const char *text, const struct envelope_config *config, struct envelope *ret)
{
	g_autoptr(GError) error = NULL;

	read_bytes(text, strlen(text), config, ret, &error);
	g_assert_no_error(error);
}

static void check_refused_as(const char *text, const struct envelope_config *config,
			     const char *message)
{
	g_autoptr(GError) error = NULL;
	struct envelope envelope;

	g_assert_false(read_bytes(text, strlen(text), config, &envelope, &error));
	g_assert_error(error, MAILFS_ERROR, ERROR_REFUSED);
	g_assert_cmpstr(error->message, ==, message);
}

static void check_refused(const char *text, const char *message)
{
	check_refused_as(text, &plain, message);
}

/* "sender: recipient recipient" */
static void check_given(const char *text, const char *given, const char *expected)
{
	struct envelope_config config = plain;
	struct envelope envelope;
	GString *all = g_string_new(NULL);

	config.given = given;
	read_mail(text, &config, &envelope);
	g_string_append_printf(all, "%s:", envelope.sender);
	for (guint i = 0; i < envelope.recipients->len; i++)
		g_string_append_printf(all, " %s", (char *)envelope.recipients->pdata[i]);
	g_assert_cmpstr(all->str, ==, expected);
	g_string_free(all, TRUE);
	envelope_clear(&envelope);
}

static void check(const char *text, const char *expected)
{
	check_given(text, NULL, expected);
}

static void test_recipients(void)
{
	check("To: a@b\n\nx", "conf@here.example: a@b");
	check("Bcc: c@d\nCC: e@f, g@h\nto: a@b\nTo: i@j\nBCC : k@l\n\n",
	      "conf@here.example: a@b i@j e@f g@h c@d k@l");
	check("To: G: a@b, N <c@d>;, (x) e@f\n", "conf@here.example: a@b c@d e@f");
	check("To:\nBcc: a@b\n\n", "conf@here.example: a@b");
	/* each once */
	check("To: a@b, N <a@B>, c@d\nCc: a@b\nBcc: A@b\n\n", "conf@here.example: a@b c@d A@b");
	/* A-labels, where they help */
	check("To: a@b" U_UMLAUT "cher.example, a@xn--bcher-kva.example\n\n",
	      "conf@here.example: a@xn--bcher-kva.example");
	check("To: j" U_UMLAUT "@b" U_UMLAUT "cher.example\n\n",
	      "conf@here.example: j" U_UMLAUT "@b" U_UMLAUT "cher.example");
}

static void test_sender(void)
{
	check("From: N <a@b>\nTo: c@d\n\n", "a@b: c@d");
	check("From: a@b, e@f\nSender: g@h\nTo: c@d\n\n", "g@h: c@d");
	check("Sender: g@h\nFrom: a@b\nTo: c@d\n\n", "g@h: c@d");
	check("From: N <a@b" U_UMLAUT "cher.example>\nTo: c@d\n\n", "a@xn--bcher-kva.example: c@d");
	check("From: none:;\nTo: c@d\n\n", "conf@here.example: c@d");
	check_refused("From: a@b, e@f\nTo: c@d\n\n",
		      "From names several addresses: one Sender has to say who sends it");
	check_refused("From: a@b\nFrom: e@f\nTo: c@d\n\n",
		      "From names several addresses: one Sender has to say who sends it");
	check_refused("Sender: a@b, e@f\nTo: c@d\n\n",
		      "Sender names several addresses: one Sender has to say who sends it");
	check_refused_as("To: c@d\n\n", &(struct envelope_config){0},
			 "nothing says who sends it: add a From field");
	check_refused_as("To: c@d\n\n", &(struct envelope_config){.given = "a@b\nc@d"},
			 "nothing says who wrote it: add a From field");
}

/* As cron writes: its From stays as it is. */
static void test_sender_without_domain(void)
{
	const struct envelope_config nobody = {.date_s = DATE_S};
	struct envelope envelope;

	check("From: root (Cron Daemon)\nTo: c@d\n\n", "conf@here.example: c@d");
	check("From: \"(Cron Daemon)\" <root>\nTo: c@d\n\n", "conf@here.example: c@d");
	check("From: a@b\nSender: root\nTo: c@d\n\n", "conf@here.example: c@d");
	check("From: root\nSender: g@h\nTo: c@d\n\n", "g@h: c@d");
	check("From: a@b\nTo: c@d\nResent-From: root\nResent-To: e@f\n\n",
	      "conf@here.example: e@f");
	check_given("From: a@b\nTo: c@d\n\n", "root\ne@f", "conf@here.example: e@f");
	read_mail("From: root\nDate: x\nMessage-ID: <1@h>\nTo: c@d\n\n", &plain, &envelope);
	g_assert_cmpstr(envelope.additions, ==, "");
	envelope_clear(&envelope);
	check_refused("From: root, daemon\nTo: c@d\n\n",
		      "From names several addresses: one Sender has to say who sends it");
	check_refused("From: =?utf-8?q?root?=\nTo: c@d\n\n",
		      "From: '=?utf-8?q?root?=' is no address: it has no domain");
	check_refused_as("From: root\nTo: c@d\n\n", &nobody,
			 "'root' is no address: it has no domain");
	check_refused("From: a@b\nTo: root\n\n", "To: 'root' is no address: it has no domain");
}

/* RFC 5322 appendix A.3, and section 3.6.6. */
static void test_resent(void)
{
	check("Resent-From: Mary Smith <mary@example.net>\n"
	      "Resent-To: Jane Brown <j-brown@other.example>\n"
	      "Resent-Date: Mon, 24 Nov 1997 14:22:01 -0800\n"
	      "Resent-Message-ID: <78910@example.net>\n"
	      "From: John Doe <jdoe@machine.example>\nTo: Mary Smith <mary@example.net>\n"
	      "Subject: Saying Hello\nDate: Fri, 21 Nov 1997 09:55:06 -0600\n"
	      "Message-ID: <1234@local.machine.example>\n\nThis is a message.\n",
	      "mary@example.net: j-brown@other.example");
	check("Resent-Bcc: a@b\nRESENT-CC : c@d\nResent-Sender: s@t\nResent-From: e@f, g@h\n"
	      "From: x@y\nTo: z@y\nBcc: w@y\n\n",
	      "s@t: c@d a@b");
	/* behind other fields */
	check("Received: x\nResent-To: a@b\nResent-From: c@d\nTo: e@f\n\n", "c@d: a@b");
	/* who does not say so */
	check("Resent-To: a@b\nFrom: c@d\nTo: e@f\n\n", "conf@here.example: a@b");
	/* to nobody: not resent */
	check("Resent-From: a@b\nFrom: c@d\nTo: e@f\n\n", "c@d: e@f");
	check_refused("Resent-To: a@b\nResent-From: c@d, e@f\nTo: e@f\n\n",
		      "Resent-From names several addresses: one Resent-Sender has to say who "
		      "sends it");
	check_refused("Resent-To: a\nTo: e@f\n\n",
		      "Resent-To: 'a' is no address: it has no domain");
}

/* Those whom it went to earlier do not get it again. */
static void test_resent_twice(void)
{
	check("Resent-From: new@a\nResent-To: b@c\nReceived: x\n"
	      "Resent-From: old@a\nResent-To: d@e\nResent-Cc: f@g\nTo: h@i\n\n",
	      "new@a: b@c");
	check("Resent-From: new@a\nResent-To: b@c\nResent-From: old@a\nResent-To: d@e\n"
	      "Resent-Cc: f@g\n\n",
	      "new@a: b@c");
	check("Resent-To: b@c\nResent-From: new@a\nResent-To: d@e\nResent-From: old@a\n\n",
	      "new@a: b@c");
	/* the same field at once again is of the same time */
	check("Resent-From: new@a\nResent-To: b@c\nResent-To: d@e\nX: y\nResent-To: f@g\n\n",
	      "new@a: b@c d@e");
}

static void test_given(void)
{
	const char *mail = "From: f@f\nTo: to@t\nBcc: bcc@t\n\n";

	check_given(mail, "a@b\nc@d\ne@f\n", "a@b: c@d e@f");
	check_given(mail, "a@b\r\n c@d \r\n\r\n<e@f>\r\nc@D", "a@b: c@d e@f");
	check_given(mail, "<a@b>\nc@d", "a@b: c@d");
	check_given(mail, "\nc@d", ": c@d");
	check_given(mail, "<>\nc@d", ": c@d");
	check_given(mail, "header\nc@d", "f@f: c@d");
	check_given(mail, "header\nheader", "f@f: to@t bcc@t");
	check_given(mail, "a@b\nheader\nc@d\nto@t", "a@b: to@t bcc@t c@d");
	check_given(mail, "a@b\nc@b" U_UMLAUT "cher.example", "a@b: c@xn--bcher-kva.example");
	/* what is not asked is not read */
	check_given("From: a, b\nTo: c d\n\n", "a@b\nc@d", "a@b: c@d");
}

static void check_given_refused(const char *given, const char *message)
{
	check_refused_as("To: a@b\n\n", &(struct envelope_config){.from = "f@g", .given = given},
			 message);
}

static void test_given_refused(void)
{
	check_given_refused("", "it has no recipient: add To, Cc or Bcc");
	check_given_refused("a@b\n\n", "it has no recipient: add To, Cc or Bcc");
	check_given_refused("a@b\nc", "'c' is no address: it has no domain");
	check_given_refused("a@b\nN <c@d>", "'N <c@d>' is no address");
	check_given_refused("a b\nc@d", "'a b' is no address: it has no domain");
	check_given_refused("a@b\nc@d\rRCPT", "'c@d\\x0DRCPT' holds characters that no address "
					      "may have");
}

static void test_header_refused(void)
{
	const char *none =
		"it has no header: fields such as \"To: NAME@DOMAIN\" come first, then an empty "
		"line";

	check_refused("", none);
	check_refused("\n", none);
	check_refused("\r\nTo: a@b\r\n", none);
	check_refused("From a@b Mon\n", none);
	check_refused("hello\n", "line 1 is no field of a header: 'hello'");
	check_refused(" To: a@b\n", "line 1 is no field of a header: ' To: a@b'");
	check_refused("To: a@b\nCc: c@d\nhe\x1bllo\nX: y\n\n",
		      "line 3 is no field of a header: 'he\\x1Bllo'");
	check_refused("From x\r\nTo: a@b\r\n c\r\nhello\r\n",
		      "line 4 is no field of a header: 'hello'");
	check_refused("To: a@b\rhello\r", "line 2 is no field of a header: 'hello'");
	check_refused("To: a@b\nFrom x y\n\n", "line 2 is no field of a header: 'From x y'");
	check_refused("X: y\n\nTo: a@b\n", "it has no recipient: add To, Cc or Bcc");
	check_refused("To: undisclosed-recipients:;\n\n", "it has no recipient: add To, Cc or Bcc");
	check_refused("To: a@b\nCc: c\n\n", "Cc: 'c' is no address: it has no domain");
	check_refused("To: a@b\nFrom: c d\n\n", "From: 'c d' is no address");
	check_refused("To: a@\xe2\x84\x80.example\n\n",
		      "To: 'a@\xe2\x84\x80.example' has a domain to be written as \"xn--...\"");
	check_refused("To: a@b\nDate:\n\n", "the field Date is empty: fill it in, or leave it out");
	check_refused("To: a@b\nFrom: \n \n\n",
		      "the field From is empty: fill it in, or leave it out");
	check_refused("To: a@b\nMessage-id: \r\n\r\n",
		      "the field Message-ID is empty: fill it in, or leave it out");
}

/* Where what is, whatever the line ends. */
static void check_places(const char *text, uint64_t skip, uint64_t header_len, uint64_t size)
{
	struct envelope envelope;

	read_mail(text, &plain, &envelope);
	g_assert_cmpstr(envelope.additions, ==, "");
	g_assert_cmpuint(envelope.skip, ==, skip);
	g_assert_cmpuint(envelope.header_len, ==, header_len);
	g_assert_cmpuint(envelope.length, ==, strlen(text));
	g_assert_cmpuint(envelope.size, ==, size);
	envelope_clear(&envelope);
}

static void check_size(const char *text, uint64_t header_len, uint64_t size)
{
	g_autofree char *mail = g_strconcat(HEAD, text, NULL);

	check_places(mail, 0, strlen(HEAD) + header_len, strlen(HEAD) + 3 + size);
}

static void test_places(void)
{
	check_size("To: a@b", 7, 9);
	check_size("To: a@b\n", 8, 9);
	check_size("To: a@b\n\n", 8, 11);
	check_size("To: a@b\r\n\r\n", 9, 11);
	check_size("To: a@b\r\r", 8, 11);
	check_size("To: a@b\n\r\n", 8, 11);
	check_size("To: a@b\r\n\r", 9, 11);
	check_size("To: a@b\n\nx", 8, 14);
	check_size("To: a@b\n\nx\n", 8, 14);
	check_size("To: a@b\n\n.\r.\n.\r\n\r\n\n\r", 8, 11 + 9 + 6);
	/* a line of spaces is none that is empty */
	check_size("To: a@b\n \nX: y\n\n", 15, 9 + 3 + 6 + 2);
}

static void test_mbox(void)
{
	const char *rest = HEAD "To: a@b\n\nFrom x\n";
	const uint64_t len = strlen(HEAD) + 8;
	const uint64_t size = len + 4 + 2 + 8;
	g_autofree char *lf = g_strconcat("From a@b Mon: x\n", rest, NULL);
	g_autofree char *crlf = g_strconcat("From a@b Mon: x\r\n", rest, NULL);
	g_autofree char *cr = g_strconcat("From a@b Mon: x\r", rest, NULL);

	check_places(lf, 16, len, size);
	check_places(crlf, 17, len, size);
	check_places(cr, 16, len, size);
	/* only once, and no field */
	check_refused("From a\nFrom b\nTo: a@b\n\n", "line 2 is no field of a header: 'From b'");
	check("From : a@b\nTo: c@d\n\n", "a@b: c@d");
	check("From \t: a@b\nTo: c@d\n\n", "a@b: c@d");
}

static void test_eight_bit(void)
{
	static const struct {
		const char *text;
		bool eight_bit;
		bool utf8_header;
	} cases[] = {
		{"To: a@b\n\nx", false, false},
		{"To: a@b\n\n" U_UMLAUT, true, false},
		{"To: a@b\nSubject: " U_UMLAUT "\n\n", true, true},
		{"To: a@b\nSubject: " U_UMLAUT, true, true},
		{"To: a@b\nBcc: " U_UMLAUT " <c@d>\n\n", false, false}, /* is not sent */
		{"From " U_UMLAUT "\nTo: a@b\n\nx", false, false},
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		struct envelope envelope;

		read_mail(cases[i].text, &plain, &envelope);
		g_assert_cmpint(envelope.eight_bit, ==, cases[i].eight_bit);
		g_assert_cmpint(envelope.utf8_header, ==, cases[i].utf8_header);
		envelope_clear(&envelope);
	}
}

static void test_additions_utf8(void)
{
	struct envelope_config config = {.from = "j" U_UMLAUT "@b" U_UMLAUT "cher.example",
					 .message_id = "<x@y>"};
	struct envelope envelope;

	read_mail("Date: x\nTo: a@b\n\n", &config, &envelope);
	g_assert_cmpstr(envelope.additions, ==,
			"From: <j" U_UMLAUT "@b" U_UMLAUT "cher.example>\r\nMessage-ID: <x@y>\r\n");
	g_assert_true(envelope.utf8_header);
	g_assert_true(envelope.eight_bit);
	envelope_clear(&envelope);
	config.message_id = NULL;
	read_mail("Date: x\nTo: a@b\n\n", &config, &envelope);
	g_assert_true(g_str_has_suffix(envelope.message_id, "@xn--bcher-kva.example>"));
	envelope_clear(&envelope);
}

/* The first line of that name, without it. */
static char *added(const struct envelope *envelope, const char *name)
{
	g_auto(GStrv) lines = g_strsplit(envelope->additions, "\r\n", -1);

	for (unsigned i = 0; lines[i]; i++) {
		if (g_str_has_prefix(lines[i], name) && lines[i][strlen(name)] == ':')
			return g_strdup(lines[i] + strlen(name) + 2);
	}
	return NULL;
}

static void check_added(const struct envelope *envelope, const char *name, const char *value)
{
	g_autofree char *text = added(envelope, name);

	g_assert_cmpstr(text, ==, value);
}

static void check_id(const char *id, const char *domain)
{
	g_autofree char *hex = g_strndup(id + 1, 32);
	g_autofree char *rest = g_strdup_printf("@%s>", domain);

	g_assert_cmpuint(id[0], ==, '<');
	g_assert_cmpuint(strspn(hex, "0123456789abcdef"), ==, 32);
	g_assert_cmpstr(id + 33, ==, rest);
}

static void test_additions(void)
{
	struct envelope first;
	struct envelope again;
	const char *text = "To: a@b\n\nx";

	read_mail(text, &plain, &first);
	read_mail(text, &plain, &again);
	check_added(&first, "Date", "Tue, 01 Jul 2003 10:52:37 +0200");
	check_added(&first, "From", "<conf@here.example>");
	check_added(&first, "Message-ID", first.message_id);
	check_id(first.message_id, "here.example");
	g_assert_cmpstr(first.message_id, !=, again.message_id);
	g_assert_cmpuint(first.size, ==, strlen(first.additions) + 9 + 2 + 3);
	g_assert_true(g_str_has_suffix(first.additions, ">\r\n"));
	envelope_clear(&first);
	envelope_clear(&again);
}

static void test_message_id(void)
{
	struct envelope_config config = plain;
	struct envelope envelope;

	/* the same again */
	config.message_id = "<kept@here.example>";
	read_mail("From: a@b\nDate: x\nTo: a@b\n\n", &config, &envelope);
	g_assert_cmpstr(envelope.additions, ==, "Message-ID: <kept@here.example>\r\n");
	g_assert_cmpstr(envelope.message_id, ==, "<kept@here.example>");
	envelope_clear(&envelope);
	/* the header's counts */
	read_mail(HEAD "To: a@b\n\n", &config, &envelope);
	g_assert_cmpstr(envelope.additions, ==, "");
	g_assert_cmpstr(envelope.message_id, ==, "<1@here.example>");
	envelope_clear(&envelope);
	read_mail("Message-id :\r\n <x\x1b@y>\r\nTo: a@b\r\n\r\n", &config, &envelope);
	g_assert_cmpstr(envelope.message_id, ==, "<x\\x1B@y>");
	envelope_clear(&envelope);
	/* of the sender's domain */
	config = (struct envelope_config){.from = "a@conf.example", .given = "\nc@d"};
	read_mail("From: a@from.example\nTo: a@b\n\n", &config, &envelope);
	check_id(envelope.message_id, "conf.example");
	envelope_clear(&envelope);
	config.from = NULL;
	read_mail("From: a@from.example\nTo: a@b\n\n", &config, &envelope);
	check_id(envelope.message_id, "localhost");
	envelope_clear(&envelope);
}

static void test_resent_additions(void)
{
	struct envelope first;
	struct envelope again;
	struct envelope later;
	struct envelope_config config = plain;
	const char *text = "Resent-To: a@b\n" HEAD "To: c@d\n\n";

	read_mail(text, &config, &first);
	read_mail(text, &config, &again);
	config.date_s++;
	read_mail(text, &config, &later);
	check_added(&first, "Date", NULL);
	check_added(&first, "From", NULL);
	check_added(&first, "Message-ID", NULL);
	check_added(&first, "Resent-Date", "Tue, 01 Jul 2003 10:52:37 +0200");
	check_added(&first, "Resent-From", "<conf@here.example>");
	g_autofree char *id = added(&first, "Resent-Message-ID");
	check_id(id, "here.example");
	g_assert_cmpstr(first.message_id, ==, "<1@here.example>");
	g_assert_cmpstr(first.additions, ==, again.additions);
	check_added(&first, "Resent-Message-ID", id);
	g_autofree char *other = added(&later, "Resent-Message-ID");
	g_assert_cmpstr(id, !=, other);
	envelope_clear(&first);
	envelope_clear(&again);
	envelope_clear(&later);
}

static void test_resent_additions_none(void)
{
	struct envelope envelope;

	read_mail("Resent-Date: x\nResent-From: x@y\nResent-Message-ID: z\nResent-To: a@b\n" HEAD
		  "\n",
		  &plain, &envelope);
	g_assert_cmpstr(envelope.additions, ==, "");
	envelope_clear(&envelope);
	/* those of an earlier time do not count, and the mail's own are told apart */
	read_mail("Resent-To: a@b\nReceived: x\nResent-Date: x\nResent-To: c@d\n\n", &plain,
		  &envelope);
	const char *resent = strstr(envelope.additions, "Resent-Date: Tue");
	g_assert_true(g_str_has_prefix(envelope.additions, "Date: Tue"));
	g_assert_nonnull(resent);
	g_assert_true(strstr(envelope.additions, "\r\nMessage-ID: <") < resent);
	envelope_clear(&envelope);
}

static void check_date(const char *zone, int64_t date_s, const char *expected)
{
	struct envelope_config config = plain;
	struct envelope envelope;

	setenv("TZ", zone, 1);
	tzset();
	config.date_s = date_s;
	read_mail("To: a@b\n\n", &config, &envelope);
	check_added(&envelope, "Date", expected);
	envelope_clear(&envelope);
}

static void test_date(void)
{
	setlocale(LC_ALL, "de_DE.UTF-8");
	check_date("UTC0", 0, "Thu, 01 Jan 1970 00:00:00 +0000");
	check_date("UTC0", 951782399, "Mon, 28 Feb 2000 23:59:59 +0000");
	check_date("EGT+3:30", DATE_S, "Tue, 01 Jul 2003 05:22:37 -0330");
	check_date("EGT-5:45", DATE_S, "Tue, 01 Jul 2003 14:37:37 +0545");
	check_date("EGT+0:30", 0, "Wed, 31 Dec 1969 23:30:00 -0030");
	check_date("UTC0", 1072915199, "Wed, 31 Dec 2003 23:59:59 +0000");
	/* a damaged record */
	check_date("UTC0", -1, "Thu, 01 Jan 1970 00:00:00 +0000");
	check_date("UTC0", INT64_MAX, "Fri, 01 Jan 9999 00:00:00 +0000");
	check_date("EGT-2", DATE_S, "Tue, 01 Jul 2003 10:52:37 +0200");
}

static void check_blind(const char *text, const char *expected)
{
	struct envelope envelope;
	GString *out = g_string_new(NULL);

	read_mail(text, &plain, &envelope);
	for (guint i = 0; i < envelope.blind->len; i++) {
		const struct envelope_span *span =
			&g_array_index(envelope.blind, struct envelope_span, i);

		g_string_append_len(out, text + span->offset, (gssize)span->len);
		g_string_append_c(out, '|');
	}
	g_assert_cmpstr(out->str, ==, expected);
	g_string_free(out, TRUE);
	envelope_clear(&envelope);
}

static void test_blind(void)
{
	check_blind("To: a@b\n\nBcc: c@d\n", "");
	check_blind("Bcc: a@b\n\nx", "Bcc: a@b\n|");
	check_blind("To: a@b\nbcC : c@d,\n e@f\n\t(x@y)\nX: y\nBCC:\n\nBcc: x\n",
		    "bcC : c@d,\n e@f\n\t(x@y)\n|BCC:\n|");
	check_blind("From x\r\nBcc: a@b\r\nbcc: c@d\r\nBcc-x: y", "Bcc: a@b\r\nbcc: c@d\r\n|");
	check_blind("Subject: x\rBcc: a@b\rTo: c@d\r\r", "Bcc: a@b\r|");
	check_blind("Resent-bcc: a@b\nResent-Cc: c@d\nX: y\nRESENT-BCC\t:z@y",
		    "Resent-bcc: a@b\n|RESENT-BCC\t:z@y|");
}

static char *with_line(const char *before, size_t len, const char *after)
{
	g_autofree char *line = g_strnfill(len, 'x');

	return g_strconcat(before, line, after, NULL);
}

static void check_line(const char *before, size_t used, const char *after, unsigned line)
{
	g_autofree char *message =
		g_strdup_printf("line %u is longer than 998 bytes: break it, or encode it", line);

	for (size_t len = LIMIT_TEXT_LINE - 1; len <= LIMIT_TEXT_LINE; len++) {
		g_autofree char *text = with_line(before, len - used, after);
		struct envelope envelope;

		read_mail(text, &plain, &envelope);
		envelope_clear(&envelope);
	}
	g_autofree char *text = with_line(before, LIMIT_TEXT_LINE + 1 - used, after);
	check_refused(text, message);
}

static void test_long_line(void)
{
	check_line("To: a@b\n\n", 0, "", 3);
	check_line("To: a@b\n\n", 0, "\r\n", 3);
	check_line("To: a@b\r\n\r\nx\r", 0, "\n", 4);
	check_line("To: a@b\r\r\r", 0, "\rx", 4);
	check_line("To: a@b\nX: ", 3, "\n\n", 2);
	check_line("To: a@b\nX: y\n ", 1, "\n\n", 3);
}

static void check_nul(const char *bytes, size_t len, const char *message)
{
	g_autoptr(GError) error = NULL;
	struct envelope envelope;

	g_assert_false(read_bytes(bytes, len, &plain, &envelope, &error));
	g_assert_error(error, MAILFS_ERROR, ERROR_REFUSED);
	g_assert_cmpstr(error->message, ==, message);
}

static void test_nul(void)
{
	const char *first = "line 1 holds a NUL byte: encode what is no text";
	const char *fourth = "line 4 holds a NUL byte: encode what is no text";

	check_nul("To: a@b\0\n\n", 10, first);
	check_nul("\0", 1, first);
	check_nul("From \0\nTo: a@b\n", 15, first);
	check_nul("To: a@b\r\n\r\nx\r\n\0\r\n", 17, fourth);
	check_nul("To: a@b\n\nx\ny\0", 13, fourth);
}

static GString *large_header(size_t len)
{
	GString *text = g_string_new("To: a@b\n");

	while (text->len + 200 < len)
		g_string_append(text, "X: 34567890123456789012345678901234567890\n");
	g_string_append(text, "X: ");
	while (text->len + 1 < len)
		g_string_append_c(text, 'x');
	g_string_append_c(text, '\n');
	return text;
}

static void check_header_limit(size_t len, const char *before, const char *after, bool fine)
{
	GString *text = large_header(len);
	g_autoptr(GError) error = NULL;
	struct envelope envelope;

	g_string_prepend(text, before);
	g_string_append(text, after);
	g_assert_cmpint(read_bytes(text->str, text->len, &plain, &envelope, &error), ==, fine);
	if (fine)
		envelope_clear(&envelope);
	else
		g_assert_error(error, MAILFS_ERROR, ERROR_LIMIT);
	g_string_free(text, TRUE);
}

static void test_header_limit(void)
{
	check_header_limit(LIMIT_HEADER - 1, "", "\n", true);
	check_header_limit(LIMIT_HEADER, "", "\nx\n", true);
	check_header_limit(LIMIT_HEADER, "From x\r\n", "\r\nx\n", true);
	check_header_limit(LIMIT_HEADER + 1, "", "\n", false);
	check_header_limit(LIMIT_HEADER + 1, "From x\n", "", false);
	check_header_limit(LIMIT_HEADER * 3, "", "\n", false);
}

static char *many_recipients(unsigned count)
{
	GString *text = g_string_new("To: x0@y");

	for (unsigned i = 1; i < count; i++)
		g_string_append_printf(text, ",\n x%u@y", i);
	g_string_append(text, "\nCc: X0@y, x0@Y\n\n");
	return g_string_free(text, FALSE);
}

static void test_recipients_limit(void)
{
	for (unsigned count = LIMIT_RECIPIENTS - 2; count < LIMIT_RECIPIENTS; count++) {
		g_autofree char *text = many_recipients(count);
		struct envelope envelope;

		read_mail(text, &plain, &envelope);
		g_assert_cmpuint(envelope.recipients->len, ==, count + 1);
		envelope_clear(&envelope);
	}
	g_autofree char *text = many_recipients(LIMIT_RECIPIENTS);
	check_refused(text, "Cc: it has more than 10000 recipients");
}

/* Hostile, but no more than slow. */
static void test_many_fields(void)
{
	GString *text = g_string_new("To: a@b\n");

	while (text->len < LIMIT_HEADER - 20)
		g_string_append(text, "Resent-X:\nBcc:\n");
	struct envelope envelope;
	read_mail(text->str, &plain, &envelope);
	g_assert_cmpuint(envelope.recipients->len, ==, 1);
	envelope_clear(&envelope);
	g_string_free(text, TRUE);
}

/* More than what is read at once; a line end at each place around a cut. */
static void test_chunks(void)
{
	for (size_t shift = 65530; shift < 65540; shift++) {
		GString *text = g_string_new(HEAD "To: a@b\r\n\r\n");
		struct envelope envelope;

		while (text->len + 3 < shift)
			g_string_append(text, "x\n");
		g_string_append(text, "\r\n\r\n");
		read_mail(text->str, &plain, &envelope);
		size_t lines = (text->len - 4 - (strlen(HEAD) + 11)) / 2;
		g_assert_cmpuint(envelope.size, ==, strlen(HEAD) + 3 + 11 + lines * 3 + 4);
		g_assert_cmpuint(envelope.length, ==, text->len);
		envelope_clear(&envelope);
		g_string_free(text, TRUE);
	}
}

static void test_unreadable(void)
{
	g_autoptr(GError) error = NULL;
	struct envelope envelope;

	g_assert_false(envelope_read(-1, &plain, &envelope, &error));
	g_assert_error(error, MAILFS_ERROR, ERROR_IO);
}

static void test_clear(void)
{
	struct envelope envelope = {0};

	envelope_clear(&envelope);
	envelope_clear(&envelope);
}

int main(int argc, char **argv)
{
	setenv("TZ", "EGT-2", 1);
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/envelope/recipients", test_recipients);
	g_test_add_func("/envelope/sender", test_sender);
	g_test_add_func("/envelope/sender-without-domain", test_sender_without_domain);
	g_test_add_func("/envelope/resent", test_resent);
	g_test_add_func("/envelope/resent-twice", test_resent_twice);
	g_test_add_func("/envelope/given", test_given);
	g_test_add_func("/envelope/given-refused", test_given_refused);
	g_test_add_func("/envelope/header-refused", test_header_refused);
	g_test_add_func("/envelope/places", test_places);
	g_test_add_func("/envelope/mbox", test_mbox);
	g_test_add_func("/envelope/eight-bit", test_eight_bit);
	g_test_add_func("/envelope/additions-utf8", test_additions_utf8);
	g_test_add_func("/envelope/additions", test_additions);
	g_test_add_func("/envelope/message-id", test_message_id);
	g_test_add_func("/envelope/resent-additions", test_resent_additions);
	g_test_add_func("/envelope/resent-additions-none", test_resent_additions_none);
	g_test_add_func("/envelope/date", test_date);
	g_test_add_func("/envelope/blind", test_blind);
	g_test_add_func("/envelope/long-line", test_long_line);
	g_test_add_func("/envelope/nul", test_nul);
	g_test_add_func("/envelope/header-limit", test_header_limit);
	g_test_add_func("/envelope/recipients-limit", test_recipients_limit);
	g_test_add_func("/envelope/many-fields", test_many_fields);
	g_test_add_func("/envelope/chunks", test_chunks);
	g_test_add_func("/envelope/unreadable", test_unreadable);
	g_test_add_func("/envelope/clear", test_clear);
	return g_test_run();
}
