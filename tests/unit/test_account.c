#include "base/error.h"
#include "config/account.h"
#include "config/auth.h"

#include <glib.h>
#include <string.h>

static void test_good(void)
{
	static const struct {
		const char *url;
		const char *name;
		const char *user;
		const char *host;
		uint16_t port;
		enum tls_mode tls;
		const char *dir;
	} cases[] = {
		{"imaps://alice@imap.example.org", "alice@imap.example.org", "alice",
		 "imap.example.org", 993, TLS_IMPLICIT, "alice@imap.example.org"},
		{"imap://alice@imap.example.org/", "alice@imap.example.org", "alice",
		 "imap.example.org", 143, TLS_STARTTLS, "alice@imap.example.org"},
		{"IMAPS://alice@IMAP.Example.ORG:1993", "alice@imap.example.org:1993", "alice",
		 "imap.example.org", 1993, TLS_IMPLICIT, "alice@imap.example.org:1993"},
		{"imaps://a@h:993", "a@h", "a", "h", 993, TLS_IMPLICIT, "a@h"},
		{"imaps://a@h:143", "a@h:143", "a", "h", 143, TLS_IMPLICIT, "a@h:143"},
		{"imaps://a@h:1", "a@h:1", "a", "h", 1, TLS_IMPLICIT, "a@h:1"},
		{"imaps://a@h:65535", "a@h:65535", "a", "h", 65535, TLS_IMPLICIT, "a@h:65535"},
		{"imaps://alice@example.org@imap.example.org", "alice@example.org@imap.example.org",
		 "alice@example.org", "imap.example.org", 993, TLS_IMPLICIT,
		 "alice@example.org@imap.example.org"},
		{"imaps://al%40b%2Fc%25%3A@h", "al@b/c%:@h", "al@b/c%:", "h", 993, TLS_IMPLICIT,
		 "al@b%2Fc%25:@h"},
		{"imaps://..a@127.0.0.1", "..a@127.0.0.1", "..a", "127.0.0.1", 993, TLS_IMPLICIT,
		 "%2E.a@127.0.0.1"},
		{"imap://a@[::1]", "a@[::1]", "a", "::1", 143, TLS_STARTTLS, "a@[::1]"},
		{"imap://a@[2001:DB8::1]:1143", "a@[2001:db8::1]:1143", "a", "2001:db8::1", 1143,
		 TLS_STARTTLS, "a@[2001:db8::1]:1143"},
		{"imaps://a@b\xc3\xbc"
		 "cher.example",
		 "a@xn--bcher-kva.example", "a", "xn--bcher-kva.example", 993, TLS_IMPLICIT,
		 "a@xn--bcher-kva.example"},
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		struct account account = {.poll_s = 5};
		g_autoptr(GError) error = NULL;
		g_autofree char *dir = NULL;

		g_assert_true(account_parse_url(&account, cases[i].url, &error));
		g_assert_no_error(error);
		g_assert_cmpstr(account.name, ==, cases[i].name);
		g_assert_cmpstr(account.user, ==, cases[i].user);
		g_assert_cmpstr(account.host, ==, cases[i].host);
		g_assert_cmpint(account.port, ==, cases[i].port);
		g_assert_cmpint(account.tls, ==, cases[i].tls);
		g_assert_cmpint(account.protocol, ==, ACCOUNT_IMAP);
		g_assert_cmpint(account.poll_s, ==, 5);
		dir = account_dir_name(&account);
		g_assert_cmpstr(dir, ==, cases[i].dir);
		account_clear(&account);
		account_clear(&account);
	}
}

/* The name always has the port, so that it is never that of an IMAP account. */
static void test_pop3(void)
{
	static const struct {
		const char *url;
		const char *name;
		uint16_t port;
		enum tls_mode tls;
	} cases[] = {
		{"pop3s://alice@pop.example.org", "alice@pop.example.org:995", 995, TLS_IMPLICIT},
		{"pop3://alice@pop.example.org/", "alice@pop.example.org:110", 110, TLS_STARTTLS},
		{"POP3S://alice@h:995", "alice@h:995", 995, TLS_IMPLICIT},
		{"pop3://a@h:995", "a@h:995", 995, TLS_STARTTLS},
		{"pop3s://a@[::1]", "a@[::1]:995", 995, TLS_IMPLICIT},
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		struct account account = {.auth = AUTH_APOP};
		g_autoptr(GError) error = NULL;
		g_autofree char *dir = NULL;

		g_assert_true(account_parse_url(&account, cases[i].url, &error));
		g_assert_no_error(error);
		g_assert_cmpstr(account.name, ==, cases[i].name);
		g_assert_cmpint(account.port, ==, cases[i].port);
		g_assert_cmpint(account.tls, ==, cases[i].tls);
		g_assert_cmpint(account.protocol, ==, ACCOUNT_POP3);
		g_assert_cmphex(account.auth, ==, AUTH_APOP);
		dir = account_dir_name(&account);
		g_assert_cmpstr(dir, ==, cases[i].name);
		account_clear(&account);
	}
}

static char *refusal_of(const char *url)
{
	struct account account = {0};
	g_autoptr(GError) error = NULL;

	g_assert_false(account_parse_url(&account, url, &error));
	g_assert_error(error, MAILFS_ERROR, ERROR_USAGE);
	g_assert_null(account.name);
	g_assert_null(account.user);
	g_assert_null(account.host);
	g_assert_false(g_str_has_suffix(error->message, "."));
	return g_strdup(error->message);
}

static void test_bad(void)
{
	static const struct {
		const char *url;
		const char *part; /* of the message */
	} cases[] = {
		{"", "not a URL"},
		{"work", "not a URL"},
		{"alice@imap.example.org", "not a URL"},
		{"://a@h", "not a URL"},
		{"pop9s://a@h",
		 "unknown scheme 'pop9s' in SOURCE, use imaps://, imap://, pop3s:// or pop3://"},
		{"pop3s://h", "no user"},
		{"pop3s://a@h/INBOX", "path"},
		{"pop3://a@h:0", "port"},
		{"smtps://a@h", "unknown scheme 'smtps'"},
		{"imaps://imap.example.org", "no user"},
		{"imaps://@imap.example.org", "no user"},
		{"imaps://", "no user"},
		{"imaps://a@h/INBOX", "path"},
		{"imaps://a@h?x", "path"},
		{"imaps://a@h#x", "path"},
		{"imaps://a@", "host"},
		{"imaps://a@/", "host"},
		{"imaps://a@:993", "host"},
		{"imaps://a@.h", "host"},
		{"imaps://a@-h", "host"},
		{"imaps://a@h h", "host"},
		{"imaps://a@h%0a", "host"},
		{"imaps://a@h%2Fx", "host"},
		{"imaps://a@[::g]", "host"},
		{"imaps://a@[]", "host"},
		{"imaps://a@[127.0.0.1]", "host"},
		{"imaps://a@[::1", "IPv6"},
		{"imaps://a@[::1]x", "IPv6"},
		{"imaps://a@::1", "port"},
		{"imaps://a@h:", "port"},
		{"imaps://a@h:0", "port"},
		{"imaps://a@h:65536", "port"},
		{"imaps://a@h:99x", "port"},
		{"imaps://a@h:+9", "port"},
		{"imaps://a%@h", "user"},
		{"imaps://a%zz@h", "user"},
		{"imaps://a%00@h", "user"},
		{"imaps://a%0d%0ab@h", "user"},
		{"imaps://a%ff@h", "user"},
		{"imaps://a%e2%80%aeb@h", "user"},
		{"imaps://a\033@h", "user"},
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autofree char *message = refusal_of(cases[i].url);

		if (!strstr(message, cases[i].part))
			g_error("%s: %s", cases[i].url, message);
	}
}

static void test_password(void)
{
	g_autofree char *no_url = refusal_of("alice:hunter2@h");
	static const char *const urls[] = {
		"pop3s://alice:hunter2@h",     "pop3://alice:hun/ter2@h",
		"imaps://alice:hunter2@h",     "imaps://alice:hunter2/x@h",
		"imaps://alice:hun@ter2@h",    "imaps://alice:@h",
		"imaps://alice:hunter2?@h:99", "imaps://alice:hunter2#@h",
		"hunter2://alice:hunter2@h",   "imaps://:hunter2@h",
	};

	g_assert_null(strstr(no_url, "hunter2"));
	for (size_t i = 0; i < G_N_ELEMENTS(urls); i++) {
		g_autofree char *message = refusal_of(urls[i]);

		g_assert_nonnull(strstr(message, "password"));
		g_assert_null(strstr(message, "hun"));
		g_assert_null(strstr(message, "ter2"));
	}
}

/* "user@host" must fit into a file name. */
static void test_long(void)
{
	for (size_t len = 252; len <= 254; len++) {
		g_autofree char *user = g_strnfill(len, 'u');
		g_autofree char *url = g_strdup_printf("imaps://%s@h", user);
		struct account account = {0};
		bool ok = account_parse_url(&account, url, NULL);

		g_assert_true(ok == (len + 2 <= 255));
		account_clear(&account);
	}
}

static void test_submission_good(void)
{
	static const struct {
		const char *url;
		const char *user;
		const char *host;
		uint16_t port;
		enum tls_mode tls;
	} cases[] = {
		{"smtps://smtp.example.org", NULL, "smtp.example.org", 465, TLS_IMPLICIT},
		{"smtp://smtp.example.org/", NULL, "smtp.example.org", 587, TLS_STARTTLS},
		{"SMTP://Smtp.Example.ORG:25", NULL, "smtp.example.org", 25, TLS_STARTTLS},
		{"smtps://bob@h", "bob", "h", 465, TLS_IMPLICIT},
		{"smtps://bob@example.org@h:1", "bob@example.org", "h", 1, TLS_IMPLICIT},
		{"smtp://bob%40example.org@[::1]:2587", "bob@example.org", "::1", 2587,
		 TLS_STARTTLS},
		{"smtp://127.0.0.1:65535", NULL, "127.0.0.1", 65535, TLS_STARTTLS},
		{"smtp://[::1]", NULL, "::1", 587, TLS_STARTTLS},
	};
	struct account account = {0};

	g_assert_true(account_parse_url(&account, "imaps://alice@h", NULL));
	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autoptr(GError) error = NULL;

		g_assert_true(submission_parse_url(&account.smtp, cases[i].url, &error));
		g_assert_no_error(error);
		g_assert_cmpstr(account.smtp.user, ==, cases[i].user);
		g_assert_cmpstr(account.smtp.host, ==, cases[i].host);
		g_assert_cmpint(account.smtp.port, ==, cases[i].port);
		g_assert_cmpint(account.smtp.tls, ==, cases[i].tls);
		g_assert_cmpstr(submission_user(&account), ==,
				cases[i].user ? cases[i].user : "alice");
	}
	account.smtp.from = g_strdup("a@b");
	account.smtp.password_file = g_strdup("/f");
	account.smtp.password_command = g_strdup("c");
	account.smtp.tls_fingerprint = g_strdup("SHA256:");
	account_clear(&account);
	g_assert_null(account.smtp.host);
}

static void test_submission_bad(void)
{
	static const struct {
		const char *url;
		const char *part; /* of the message */
	} cases[] = {
		{"", "smtp is not a URL like smtps://"},
		{"smtp.example.org", "smtp is not a URL"},
		{"imaps://h", "unknown scheme 'imaps' in smtp, use smtps:// or smtp://"},
		{"pop3s://h", "unknown scheme 'pop3s' in smtp"},
		{"smtps://", "the host in smtp"},
		{"smtps://@h", "smtp has no user"},
		{"smtps://bob@", "host"},
		{"smtps://h/path", "path"},
		{"smtps://h:0", "the port in smtp"},
		{"smtps://h:65536", "port"},
		{"smtps://a%00@h", "the user in smtp"},
		{"smtps://[::1", "IPv6"},
		{"smtps://bob:hunter2@h", "password does not belong in smtp"},
		{"smtps://bob:hun/ter2@h", "smtp_password_command"},
		{"smtps://:hunter2@h", "password"},
		{"bob:hunter2@h", "not a URL"},
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		struct submission smtp = {0};
		g_autoptr(GError) error = NULL;

		g_assert_false(submission_parse_url(&smtp, cases[i].url, &error));
		g_assert_error(error, MAILFS_ERROR, ERROR_USAGE);
		g_assert_null(smtp.host);
		if (!strstr(error->message, cases[i].part))
			g_error("%s: %s", cases[i].url, error->message);
		g_assert_null(strstr(error->message, "hun"));
		g_assert_null(strstr(error->message, "ter2"));
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/account/good", test_good);
	g_test_add_func("/account/pop3", test_pop3);
	g_test_add_func("/account/bad", test_bad);
	g_test_add_func("/account/password", test_password);
	g_test_add_func("/account/long", test_long);
	g_test_add_func("/account/submission-good", test_submission_good);
	g_test_add_func("/account/submission-bad", test_submission_bad);
	return g_test_run();
}
