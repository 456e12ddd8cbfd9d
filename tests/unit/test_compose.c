#include "base/error.h"
#include "outbox/compose.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define HEAD "From: me@here.example\r\nDate: x\nMessage-ID: <1@here.example>\n"
#define RESENT "Resent-From: x@y\nResent-Date: x\nResent-Message-ID: x\n"

struct mail {
	int fd;
	struct envelope envelope;
};

static void mail_init(struct mail *mail, const char *text, const char *message_id)
{
	const struct envelope_config config = {
		.from = "conf@here.example", .given = "\nx@y", .message_id = message_id};
	g_autoptr(GError) error = NULL;

	mail->fd = memfd_create("mail", MFD_CLOEXEC);
	g_assert_cmpint(write(mail->fd, text, strlen(text)), ==, (ssize_t)strlen(text));
	envelope_read(mail->fd, &config, &mail->envelope, &error);
	g_assert_no_error(error);
}

static void mail_clear(struct mail *mail)
{
	close(mail->fd);
	envelope_clear(&mail->envelope);
}

/* All of it, `step` bytes at a time. */
static char *text_of(const struct mail *mail, enum compose_for purpose, size_t step)
{
	struct compose *compose = compose_new(mail->fd, &mail->envelope, purpose);
	g_autofree char *bytes = g_malloc(step);
	GString *text = g_string_new(NULL);
	ssize_t len;

	while ((len = compose_read(compose, bytes, step)) > 0) {
		g_assert_cmpint(len, <=, (ssize_t)step);
		g_string_append_len(text, bytes, len);
	}
	g_assert_cmpint(len, ==, 0);
	g_assert_cmpint(compose_read(compose, bytes, step), ==, 0);
	compose_free(&compose);
	g_assert_null(compose);
	return g_string_free(text, FALSE);
}

/* The same whatever the buffer. */
static void check_mail(const struct mail *mail, enum compose_for purpose, const char *expected)
{
	for (size_t step = 1; step <= strlen(expected) + 2; step++) {
		g_autofree char *text = text_of(mail, purpose, step);

		g_assert_cmpstr(text, ==, expected);
	}
}

static void check(const char *text, const char *sent, const char *filed)
{
	struct mail mail;

	mail_init(&mail, text, NULL);
	g_assert_cmpstr(mail.envelope.additions, ==, "");
	check_mail(&mail, COMPOSE_SENDING, sent);
	check_mail(&mail, COMPOSE_FILING, filed);
	mail_clear(&mail);
}

static void check_rest(const char *rest, const char *sent)
{
	g_autofree char *text = g_strconcat(HEAD, rest, NULL);
	g_autofree char *expected = g_strconcat(HEAD, sent, NULL);

	check(text, expected, text);
}

static void test_as_it_is(void)
{
	check_rest("To: a@b\r\n\r\nx\r.\r\n.\n\n.\r", "To: a@b\r\n\r\nx\r.\r\n.\n\n.\r");
	check_rest("To: a@b", "To: a@b");
	check_rest("", "");
	check_rest("\n", "\n");
}

static void test_blind(void)
{
	check_rest("Bcc: a@b\nTo: c@d\n\nx", "To: c@d\n\nx");
	check_rest("To: c@d\nBcc: a@b\n\nx", "To: c@d\n\nx");
	check_rest("To: c@d\nBcc: a@b", "To: c@d\n");
	check_rest("Bcc: a@b\nBcc: c@d\nbcc:e@f\n\n", "\n");
	check_rest("BCC: a@b,\r\n c@d,\r\n\te@f\r\nTo: g@h\r\n\r\n", "To: g@h\r\n\r\n");
	check_rest("bCc : a@b\nTo: g@h\nBcc\t :c@d\n x\n\n", "To: g@h\n\n");
	check_rest(RESENT "Resent-Bcc: a@b\nX: y\nRESENT-BCC: c@d\n\te@f\nX: z\n\n",
		   RESENT "X: y\nX: z\n\n");
	check_rest("Subject: x\rBcc: a@b\r c@d\rTo: e@f\r\rx", "Subject: x\rTo: e@f\r\rx");
	check_rest("Bcc:\nTo: c@d\n\n", "To: c@d\n\n");
	check_rest("Bcc: a\n \n b\nTo: c@d\n\n", "To: c@d\n\n");
	check("Bcc: a@b\n" HEAD "\n", HEAD "\n", "Bcc: a@b\n" HEAD "\n");
}

/* What is taken out must not make one line end of two: the body would join the header. */
static void test_mixed_line_ends(void)
{
	check_rest("X: y\rBcc: a@b\n\nZ: body", "X: y\n\nZ: body");
	check_rest("X: y\rBcc: a@b\r\n\nZ: body", "X: y\n\nZ: body");
	check_rest("X: y\rBcc: a@b\r\rZ: body", "X: y\r\rZ: body");
	check_rest("X: y\rBcc: a@b\nZ: z\n\n", "X: y\nZ: z\n\n");
	check_rest("X: y\rBcc: a@b\rBcc: c@d\n\nx", "X: y\n\nx");
	check_rest("X: y\nBcc: a@b\rBcc: c@d\n\nx", "X: y\n\nx");
	check_rest("X: y\r\nBcc: a@b\n\nx", "X: y\r\n\nx");
	check_rest("X: y\rBcc: a@b", "X: y\r");
	check("From x\rBcc: a@b\n" HEAD "\n", HEAD "\n", "Bcc: a@b\n" HEAD "\n");
}

static void test_not_blind(void)
{
	check_rest("X: y\n\nBcc: a@b\n\nBcc: c@d\n", "X: y\n\nBcc: a@b\n\nBcc: c@d\n");
	check_rest("X-Bcc: a\nBccs: b\nBc: c\nSubject: Bcc: d\n Bcc: e\n\n",
		   "X-Bcc: a\nBccs: b\nBc: c\nSubject: Bcc: d\n Bcc: e\n\n");
}

static void test_mbox(void)
{
	check("From a@b Mon\n" HEAD "Bcc: a@b\nTo: c@d\n\nFrom x\n", HEAD "To: c@d\n\nFrom x\n",
	      HEAD "Bcc: a@b\nTo: c@d\n\nFrom x\n");
	check("From a@b Mon\r\nBcc: a@b\r\n" HEAD "\n", HEAD "\n", "Bcc: a@b\r\n" HEAD "\n");
}

static void test_additions(void)
{
	struct mail mail;

	mail_init(&mail, "From: a@b\nBcc: c@d\nDate: x\n\ny", "<1@2>");
	check_mail(&mail, COMPOSE_SENDING, "Message-ID: <1@2>\r\nFrom: a@b\nDate: x\n\ny");
	check_mail(&mail, COMPOSE_FILING, "Message-ID: <1@2>\r\nFrom: a@b\nBcc: c@d\nDate: x\n\ny");
	mail_clear(&mail);
}

/* What was checked is what is sent. */
static void test_other_length(void)
{
	struct mail mail;
	char bytes[4096];
	struct compose *compose;

	mail_init(&mail, HEAD "Bcc: c@d\nTo: a@b\n\nbody", NULL);
	g_assert_cmpint(pwrite(mail.fd, "more", 4, (off_t)mail.envelope.length), ==, 4);
	check_mail(&mail, COMPOSE_SENDING, HEAD "To: a@b\n\nbody");
	for (off_t len = 0; len < (off_t)mail.envelope.length; len++) {
		ssize_t got;

		g_assert_cmpint(ftruncate(mail.fd, len), ==, 0);
		compose = compose_new(mail.fd, &mail.envelope, COMPOSE_SENDING);
		while ((got = compose_read(compose, bytes, sizeof(bytes))) > 0)
			;
		g_assert_cmpint(got, ==, -1);
		compose_free(&compose);
	}
	mail_clear(&mail);
}

static void test_unreadable(void)
{
	struct mail mail;
	char bytes[16];

	mail_init(&mail, HEAD "\n", NULL);
	struct compose *compose = compose_new(-1, &mail.envelope, COMPOSE_FILING);
	g_assert_cmpint(compose_read(compose, bytes, sizeof(bytes)), ==, -1);
	compose_free(&compose);
	compose_free(&compose);
	mail_clear(&mail);
}

/* The size that is told to the server is no less than what it gets. */
static void test_size(void)
{
	static const char *const rests[] = {"", "\n", "Bcc: a@b\n\nx", "X: y\r\r.\n.\r",
					    "\r\n\r\n"};

	for (size_t i = 0; i < G_N_ELEMENTS(rests); i++) {
		g_autofree char *text = g_strconcat("From x\n" HEAD, rests[i], NULL);
		struct mail mail;
		size_t size = 0;

		mail_init(&mail, text, NULL);
		g_autofree char *filed = text_of(&mail, COMPOSE_FILING, 100);
		for (const char *c = filed; *c; c++) {
			if (*c == '\r' || (*c == '\n' && (c == filed || c[-1] != '\r')))
				size += 2;
			else if (*c != '\n')
				size++;
		}
		if (!strchr("\r\n", filed[strlen(filed) - 1]))
			size += 2;
		g_assert_cmpuint(mail.envelope.size, ==, size);
		mail_clear(&mail);
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/compose/as-it-is", test_as_it_is);
	g_test_add_func("/compose/blind", test_blind);
	g_test_add_func("/compose/mixed-line-ends", test_mixed_line_ends);
	g_test_add_func("/compose/not-blind", test_not_blind);
	g_test_add_func("/compose/mbox", test_mbox);
	g_test_add_func("/compose/additions", test_additions);
	g_test_add_func("/compose/other-length", test_other_length);
	g_test_add_func("/compose/unreadable", test_unreadable);
	g_test_add_func("/compose/size", test_size);
	return g_test_run();
}
