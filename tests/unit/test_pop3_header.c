/* What is read from the header of a message at a maildrop. */
#include "store/pop3/pop3_header.h"

#include <glib.h>
#include <string.h>

static void test_dates(void)
{
	static const struct {
		const char *text;
		int64_t s;
	} good[] = {
		{"Thu, 01 Jan 1970 00:00:00 +0000", 0},
		{"Fri, 21 Nov 1997 09:55:06 -0600", 880127706}, /* RFC 5322 appendix A.1.1 */
		{"Tue, 1 Jul 2003 10:52:37 +0200", 1057049557},
		{"21 Nov 97 09:55:06 GMT", 880106106},				    /* A.6.2 */
		{"Thu, 13 Feb 2003 23:32 -0330 (Newfoundland (Time))", 1045191720}, /* A.5 */
		{"(c)Mon , 24 (d) May 2010 07:37:16 EDT", 1274701036},
		{"24 May 110 11:37:16 nonsense", 1274701036},
		{"29 Feb 2024 23:59:60 Z", 1709251200},
		{"1 Jan 49 00:00:00 UT", 2493072000},
		{"31 Dec 9999 23:59:59 +0000", 253402300799},
	};
	static const char *const bad[] = {
		"",
		"yesterday",
		"Thu, 01 Jan",
		"Thu,\r\n 13\r\n Feb\r\n 1969\r\n 23:32",
		"30 Feb 2020 00:00:00 +0000",
		"0 Jan 2020 00:00:00 +0000",
		"1 Xyz 2020 00:00:00 +0000",
		"1 Jan 1969 23:59:59 +0000",
		"1 Jan 1970 00:00:00 +0001",
		"1 Jan 2020 24:00:00 +0000",
		"1 Jan 2020 00:60:00 +0000",
		"1 Jan 2020 1:2:3:4 +0000",
		"1 Jan 2020 -1:00 +0000",
		"1 Jan 99999 00:00:00 +0000",
		"((((((((",
	};
	int64_t s;

	for (unsigned i = 0; i < G_N_ELEMENTS(good); i++) {
		s = -1;
		g_test_message("%s", good[i].text);
		pop3_header_date(good[i].text, &s);
		g_assert_cmpint(s, ==, good[i].s);
	}
	for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
		s = -7;
		g_test_message("%s", bad[i]);
		g_assert_false(pop3_header_date(bad[i], &s));
		g_assert_cmpint(s, ==, -7);
	}
}

static struct pop3_header read_header(const char *text)
{
	struct pop3_header header;

	pop3_header_read(&header, text, strlen(text));
	return header;
}

static void test_fields(void)
{
	static const char text[] = "Received: from x by y; Thu, 1 Jan 1970 00:00:50 +0000\r\n"
				   "Received: from a; Thu, 1 Jan 1970 00:00:40 +0000\r\n"
				   "SUBJECT : Lunch\r\n on Friday\r\n"
				   "Subject: other\r\n"
				   "\r\n"
				   "Date: Thu, 1 Jan 1970 00:00:10 +0000\r\n";
	struct pop3_header header = read_header(text);

	g_assert_cmpstr(header.subject, ==, "Lunch on Friday");
	g_assert_cmpint(header.date_s, ==, 50);
	g_assert_cmpuint(strlen(header.hash), ==, 64);
	pop3_header_clear(&header);
	g_assert_null(header.subject);
	header = read_header("Received: a; Thu, 1 Jan 1970 00:00:50 +0000\r\n"
			     "Date: Thu, 1 Jan 1970 00:00:10 +0000\r\n"
			     "Date: Thu, 1 Jan 1970 00:00:20 +0000\r\n");
	g_assert_cmpint(header.date_s, ==, 10);
	g_assert_null(header.subject);
	pop3_header_clear(&header);
	header = read_header("Date: never\r\nReceived: no date\r\n");
	g_assert_cmpint(header.date_s, ==, 0);
	pop3_header_clear(&header);
}

static void test_nothing(void)
{
	static const char *const texts[] = {"", "\r\n", "\r\nFrom: x\r\n", "Status: RO\r\n\r\n"};

	for (unsigned i = 0; i < G_N_ELEMENTS(texts); i++) {
		struct pop3_header header = read_header(texts[i]);

		g_assert_cmpstr(header.hash, ==, "");
		g_assert_null(header.subject);
		g_assert_cmpint(header.date_s, ==, 0);
		pop3_header_clear(&header);
	}
	g_assert_false(pop3_header_is_like("", ""));
}

static void test_long_subject(void)
{
	for (unsigned len = 4095; len <= 4097; len++) {
		g_autofree char *subject = g_strnfill(len, 'x');
		g_autofree char *text = g_strconcat("Subject: ", subject, "\r\n\r\n", NULL);
		struct pop3_header header = read_header(text);

		g_assert_cmpuint(strlen(header.subject), ==, MIN(len, 4096));
		pop3_header_clear(&header);
	}
}

/* 2: all the same, 1: alike, 0: not. */
static int likeness(const char *a, const char *b)
{
	struct pop3_header first = read_header(a);
	struct pop3_header second = read_header(b);
	int same = strcmp(first.hash, second.hash) == 0
			   ? 2
			   : pop3_header_is_like(first.hash, second.hash);

	g_assert_cmpint(pop3_header_is_like(second.hash, first.hash), ==, same > 0);
	pop3_header_clear(&first);
	pop3_header_clear(&second);
	return same;
}

static void test_likeness(void)
{
	static const char mail[] = "Received: a\r\nMessage-ID: <1@x>\r\nSubject: s\r\n\r\n";

	g_assert_cmpint(likeness(mail, mail), ==, 2);
	g_assert_cmpint(likeness(mail, "received:  a\nMESSAGE-ID: <1@x>\nSubject:\n s\n\nbody"), ==,
			2);
	/* What servers write. */
	g_assert_cmpint(likeness(mail, "Status: O\r\nReceived: a\r\nX-UIDL: 1\r\nMessage-ID: "
				       "<1@x>\r\nSubject: s\r\nX-IMAPbase: 1 2\r\n"),
			==, 2);
	g_assert_cmpint(likeness(mail, "Received: b\r\nMessage-ID: <1@x>\r\nSubject: s\r\n"), ==,
			1);
	g_assert_cmpint(likeness(mail, "Received: a\r\nMessage-ID: <2@x>\r\nSubject: s\r\n"), ==,
			0);
	/* Nothing that would tell it from others but all. */
	g_assert_cmpint(likeness("X-A: 1\r\n", "X-A: 2\r\n"), ==, 0);
	g_assert_cmpint(likeness("X-A: 1\r\n", "X-A: 1\r\nStatus: O\r\n"), ==, 2);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/pop3-header/dates", test_dates);
	g_test_add_func("/pop3-header/fields", test_fields);
	g_test_add_func("/pop3-header/nothing", test_nothing);
	g_test_add_func("/pop3-header/long-subject", test_long_subject);
	g_test_add_func("/pop3-header/likeness", test_likeness);
	return g_test_run();
}
