#include "base/error.h"
#include "config/conf.h"
#include "config/options.h"

#include <glib.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#define IMAP "imap = imaps://alice@imap.example.org\n"
#define WORK "[account work]\n" IMAP
#define NAME_64 "sixteen-letters-sixteen-letters-sixteen-letters-sixteen-letters-"

static char *dir;
static char *file;

static void write_bytes(const char *text, size_t len, int mode)
{
	g_assert_true(g_file_set_contents(file, text, (gssize)len, NULL));
	g_assert_cmpint(g_chmod(file, mode), ==, 0);
}

static void write_text(const char *text)
{
	write_bytes(text, strlen(text), 0600);
}

/* "mailfs -c FILE ..."; ends with NULL. */
static enum options_result parse(struct options *options, const char *const *words, GError **error)
{
	g_autoptr(GPtrArray) argv = g_ptr_array_new();

	g_ptr_array_add(argv, (char *)"mailfs");
	g_ptr_array_add(argv, (char *)"-c");
	g_ptr_array_add(argv, file);
	for (; *words; words++)
		g_ptr_array_add(argv, (char *)*words);
	return options_parse(options, (int)argv->len, (char **)argv->pdata, error);
}

static void parse_well(struct options *options, const char *const *words)
{
	g_autoptr(GError) error = NULL;
	enum options_result result = parse(options, words, &error);

	g_assert_no_error(error);
	g_assert_cmpint(result, ==, OPTIONS_RUN);
}

/* The line that the user sees; "FILE" stands for the file's path. */
static void refuse(int code, const char *line, const char *const *words)
{
	struct options options;
	g_autoptr(GError) error = NULL;
	g_auto(GStrv) parts = g_strsplit(line, "FILE", -1);
	g_autofree char *wanted = g_strjoinv(file, parts);

	g_assert_cmpint(parse(&options, words, &error), ==, OPTIONS_ERROR);
	g_assert_nonnull(error);
	g_assert_cmpstr(error->message, ==, wanted);
	g_assert_error(error, MAILFS_ERROR, code);
	g_assert_null(options.source);
}

#define PARSE(options, ...) parse_well(options, (const char *const[]){__VA_ARGS__, NULL})
#define REFUSE(code, line, ...) refuse(code, line, (const char *const[]){__VA_ARGS__, NULL})
#define REFUSE_TEXT(text, line)                                                                    \
	do {                                                                                       \
		write_text(text);                                                                  \
		REFUSE(ERROR_CONFIG, line, "work", "/mnt");                                        \
	} while (0)

static void test_account(void)
{
	struct options options;
	const struct account *account = &options.account;

	write_text("# mine\n; also\n\n[defaults]\n  poll = 5m\nxattr=yes\n"
		   "[ account work ]\n" IMAP "smtp=smtp://bob@smtp.example.org\n"
		   "\tpassword-command =  pass \"a\\tb\"; echo = # x \t\n"
		   "save_sent = no\ninotify = no\nappend_seen = 1\nmountpoint = /mnt/a b\n"
		   "noatime = true\ntls-ca = ~/ca.pem\n"
		   "[account old]\npop3 = pop3://carol@pop.example.org\n");
	PARSE(&options, "work");
	g_assert_cmpstr(account->name, ==, "alice@imap.example.org");
	g_assert_cmpstr(account->alias, ==, "work");
	g_assert_cmpstr(account->config, ==, file);
	g_assert_cmpstr(account->password_command, ==, "pass \"a\\tb\"; echo = # x");
	g_assert_cmpuint(account->poll_s, ==, 300);
	g_assert_true(account->xattr && account->append_seen && !account->password_in_file);
	g_assert_cmpint(account->inotify, ==, INOTIFY_OFF);
	g_assert_cmpstr(account->smtp.user, ==, "bob");
	g_assert_cmpint(account->smtp.save_sent, ==, SAVE_SENT_NO);
	g_assert_true(g_str_has_suffix(account->tls_ca, "/ca.pem") && *account->tls_ca == '/');
	g_assert_cmpstr(options.source, ==, "work");
	g_assert_cmpstr(options.mountpoint, ==, "/mnt/a b");
	g_assert_cmpuint(options.fuse_options->len, ==, 1);
	options_clear(&options);

	PARSE(&options, "old", "/mnt/old");
	g_assert_cmpint(account->protocol, ==, ACCOUNT_POP3);
	g_assert_cmpint(account->tls, ==, TLS_STARTTLS);
	g_assert_cmpuint(account->poll_s, ==, 300);
	g_assert_cmpstr(options.mountpoint, ==, "/mnt/old");
	options_clear(&options);
}

static void test_precedence(void)
{
	struct options options;
	const struct account *account = &options.account;

	write_text("[account work]\n" IMAP "poll = 20\nappend_seen = no\nallow_other = yes\n"
		   "noatime = no\nxattr = yes\n"
		   "[defaults]\npoll = 10\ntimeout = 10\nappend_seen = yes\ncompress = off\n"
		   "noatime = yes\nnames = uid\n");
	PARSE(&options, "work", "/mnt", "-o", "names=label,xattr=no", "--compress=on");
	g_assert_cmpuint(account->timeout_s, ==, 10);
	g_assert_cmpuint(account->poll_s, ==, 20);
	g_assert_cmpint(account->names, ==, NAMES_LABEL);
	g_assert_cmpint(account->compress, ==, COMPRESS_ON);
	g_assert_false(account->append_seen || account->xattr);
	g_assert_true(options.allow_other);
	g_assert_cmpuint(options.fuse_options->len, ==, 1);
	options_clear(&options);
	PARSE(&options, "work", "/mnt", "--poll=30", "-onoatime,allow_other=no");
	g_assert_cmpuint(account->poll_s, ==, 30);
	g_assert_cmpstr(g_ptr_array_index(options.fuse_options, 0), ==, "noatime");
	g_assert_false(options.allow_other);
	options_clear(&options);
}

/* One decision, made where it weighs most. */
static void test_secret_sources(void)
{
	struct options options;
	const struct account *account = &options.account;

	write_text("[defaults]\npassword_command = all\nsmtp_password_command = all\n"
		   "smtp = smtps://h\n"
		   "[account a]\n" IMAP "[account b]\n" IMAP "password_file = /b\n"
		   "[account c]\n" IMAP "password = geheim\nsmtp_password = geheimer\n");
	PARSE(&options, "a", "/mnt");
	g_assert_cmpstr(account->password_command, ==, "all");
	options_clear(&options);
	PARSE(&options, "b", "/mnt");
	g_assert_null(account->password_command);
	g_assert_cmpstr(account->password_file, ==, "/b");
	g_assert_cmpstr(account->smtp.password_command, ==, "all");
	options_clear(&options);
	PARSE(&options, "c", "/mnt");
	g_assert_true(account->password_in_file && account->smtp.password_in_file);
	g_assert_null(account->password_command);
	g_assert_null(account->smtp.password_command);
	options_clear(&options);
	PARSE(&options, "c", "/mnt", "--password-file=/x", "--smtp-password-command=y");
	g_assert_false(account->password_in_file || account->smtp.password_in_file);
	g_assert_cmpstr(account->password_file, ==, "/x");
	g_assert_cmpstr(account->smtp.password_command, ==, "y");
	options_clear(&options);
	PARSE(&options, "b", "/mnt", "--password-command=x");
	g_assert_null(account->password_file);
	options_clear(&options);
}

/* Of one place nobody could say which one is meant; of two, the account's is. */
static void test_two_secrets(void)
{
	static const char *const others[] = {"password_command", "password_file",
					     "oauth2_token_command"};
	struct options options;

	for (size_t i = 0; i < G_N_ELEMENTS(others); i++) {
		g_autofree char *text =
			g_strconcat(WORK "password = x\n", others[i], " = /x\n", NULL);
		g_autofree char *line = g_strdup_printf("FILE: [account work]: password and %s "
							"exclude each other: say one of them",
							others[i]);

		REFUSE_TEXT(text, line);
	}
	REFUSE_TEXT("[defaults]\npassword_file = /x\npassword_command = x\n" WORK,
		    "FILE: [defaults]: password_file and password_command exclude each other: "
		    "say one of them");
	REFUSE_TEXT(WORK "smtp = smtps://h\nsmtp_password = x\nsmtp_password_file = /x\n",
		    "FILE: [account work]: smtp_password and smtp_password_file exclude each "
		    "other: say one of them");
	write_text("[defaults]\noauth2_token_command = x\n" WORK "password = x\n");
	PARSE(&options, "work", "/mnt");
	g_assert_true(options.account.password_in_file);
	g_assert_null(options.account.token_command);
	options_clear(&options);
}

/* A mount that only reads sends nothing, whatever the account can. */
static void test_read_only(void)
{
	static const char *const texts[] = {
		WORK "ro = yes\nsmtp = smtps://h\nfrom = a@b\nsmtp_password = x\n",
		"[defaults]\nro = yes\n" WORK "smtp = smtps://h\n",
		"[defaults]\nsmtp = smtps://h\nsend_delay = 1\n" WORK "ro = yes\n",
	};
	struct options options;

	for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
		write_text(texts[i]);
		PARSE(&options, "work", "/mnt");
		g_assert_true(options.account.read_only);
		g_assert_null(options.account.smtp.host);
		g_assert_false(submission_needs_password(&options.account));
		options_clear(&options);
		PARSE(&options, "work", "/mnt", "-oro=no");
		g_assert_cmpstr(options.account.smtp.host, ==, "h");
		options_clear(&options);
		REFUSE(ERROR_USAGE,
		       "ro contradicts smtp: nothing is sent from a read-only mount", "work",
		       "/mnt", "-osmtp=smtps://h");
	}
	write_text(WORK "smtp = smtps://h\npoll = 3\n");
	PARSE(&options, "work", "/mnt", "-oro");
	g_assert_null(options.account.smtp.host);
	options_clear(&options);
	REFUSE(ERROR_USAGE, "ro contradicts smtp: nothing is sent from a read-only mount", "work",
	       "/mnt", "-oro,smtp=smtps://h");
}

/* What [defaults] says of what an account has not is not for it. */
static void test_defaults_left_out(void)
{
	struct options options;
	const struct account *account = &options.account;

	write_text("[defaults]\ndelete = trash\nidle = INBOX\nsend_delay = 4\nfrom = a@b\n"
		   "append_seen = yes\ncompress = on\nsave_sent = yes\nauth = apop\n"
		   "tls_ca = /ca\n"
		   "[account work]\n" IMAP "smtp = smtps://h\n"
		   "[account plain]\nimap = imap://a@127.0.0.1\ntls = off\n"
		   "[account old]\npop3 = pop3s://a@h\n"
		   "[account wrong]\npop3 = pop3s://a@h\ndelete = expunge\n");
	PARSE(&options, "old", "/mnt");
	g_assert_cmpint(account->delete_mode, ==, DELETE_FLAG);
	g_assert_false(account->append_seen);
	g_assert_cmpint(account->compress, ==, COMPRESS_AUTO);
	g_assert_null(account->idle);
	g_assert_null(account->smtp.from);
	g_assert_cmpstr(account->tls_ca, ==, "/ca");
	g_assert_cmpuint(account->auth, !=, 0);
	options_clear(&options);
	PARSE(&options, "work", "/mnt");
	g_assert_cmpint(account->delete_mode, ==, DELETE_TRASH);
	g_assert_cmpuint(account->smtp.send_delay_s, ==, 4);
	g_assert_cmpstr(account->smtp.from, ==, "a@b");
	g_assert_cmpuint(account->auth, ==, 0);
	options_clear(&options);
	PARSE(&options, "plain", "/mnt");
	g_assert_cmpint(account->tls, ==, TLS_OFF);
	g_assert_null(account->tls_ca);
	options_clear(&options);
	/* What the account itself says, or who mounts it, is meant. */
	REFUSE(ERROR_CONFIG,
	       "FILE: [account wrong]: POP3 has no Trash and no marks: only delete=flag goes with "
	       "it",
	       "wrong", "/mnt");
	REFUSE(ERROR_USAGE, "POP3 has no Trash and no marks: only delete=flag goes with it", "old",
	       "/mnt", "-odelete=trash");
	write_text("[defaults]\ntls = off\n" WORK);
	PARSE(&options, "work", "/mnt");
	g_assert_cmpint(account->tls, ==, TLS_IMPLICIT);
	options_clear(&options);
}

static void test_syntax(void)
{
	REFUSE_TEXT("poll = 3\n", "FILE:1: a key before the first group: begin with [defaults] or "
				  "[account NAME]");
	REFUSE_TEXT(WORK "hunter2\n",
		    "FILE:3: neither 'key = value' nor a [group] nor a # comment");
	REFUSE_TEXT(WORK " = hunter2\n", "FILE:3: there is no key before the '='");
	REFUSE_TEXT("[account work\n", "FILE:1: a group ends with ']', and so does its line");
	REFUSE_TEXT("[account work] # x\n", "FILE:1: a group ends with ']', and so does its line");
	REFUSE_TEXT("[account]\n", "FILE:1: [account] has no name, write it like [account work]");
	REFUSE_TEXT("\n[account a/b]\n",
		    "FILE:2: the account's name 'a/b' has something else than letters, digits, "
		    "'_', and inside '.' and '-'");
	REFUSE_TEXT("[account .a]\n",
		    "FILE:1: the account's name '.a' has something else than letters, digits, "
		    "'_', and inside '.' and '-'");
	REFUSE_TEXT("[account ..]\n",
		    "FILE:1: the account's name '..' has something else than letters, digits, "
		    "'_', and inside '.' and '-'");
	REFUSE_TEXT("[account " NAME_64 "x]\n",
		    "FILE:1: the account's name is longer than 64 bytes");
	REFUSE_TEXT("[account " NAME_64 "]\n" WORK "x",
		    "FILE:4: neither 'key = value' nor a [group] nor a # comment");
	REFUSE_TEXT("[acount work]\n",
		    "FILE:1: unknown group [acount work], did you mean '[account work]'?");
	REFUSE_TEXT("[work]\n", "FILE:1: unknown group [work], did you mean '[account work]'?");
	REFUSE_TEXT("[default]\n", "FILE:1: unknown group [default], did you mean '[defaults]'?");
	REFUSE_TEXT("[\033 x]\n",
		    "FILE:1: unknown group [\\x1B x], there are [defaults] and [account NAME]");
	REFUSE_TEXT(WORK "\n" WORK, "FILE:4: [account work] stands there twice, first in line 1");
	REFUSE_TEXT("[defaults]\n[defaults]\n",
		    "FILE:2: [defaults] stands there twice, first in line 1");
	REFUSE_TEXT("\xef\xbb\xbf" WORK, "FILE:1: a byte order mark: save the file without it");
	REFUSE_TEXT("# \xfc\n", "FILE:1: not UTF-8: save the file as UTF-8");
	REFUSE_TEXT(WORK "poll = 3\r\n",
		    "FILE:3: a carriage return, as on Windows: save the file with Unix line ends");
	write_bytes("\n\0\n", 3, 0600);
	REFUSE(ERROR_CONFIG, "FILE:2: a NUL: this is no text", "work", "/mnt");
}

static void test_keys(void)
{
	REFUSE_TEXT(WORK "pol = 3\n",
		    "FILE: [account work]: pol: unknown key, did you mean 'poll'?");
	REFUSE_TEXT(WORK "passwort = x\n",
		    "FILE: [account work]: passwort: unknown key, did you mean 'password'?");
	REFUSE_TEXT("[defaults]\nno_atime = yes\n" WORK,
		    "FILE: [defaults]: no_atime: unknown key, did you mean 'noatime'?");
	REFUSE_TEXT(WORK "frobnicate = 3\n", "FILE: [account work]: frobnicate: unknown key");
	REFUSE_TEXT(WORK "check = yes\n", "FILE: [account work]: check: unknown key");
	REFUSE_TEXT("[defaults]\npassword = x\n" WORK,
		    "FILE: [defaults]: password: belongs into an [account NAME]");
	REFUSE_TEXT("[defaults]\n" IMAP WORK,
		    "FILE: [defaults]: imap: belongs into an [account NAME]");
	REFUSE_TEXT(WORK "password-file = /a\npassword_file = /b\n",
		    "FILE: [account work]: password_file: stands there twice, in lines 3 and 4");
	REFUSE_TEXT(WORK "poll =\n", "FILE: [account work]: poll: has no value");
	REFUSE_TEXT(WORK "poll = 3 # s\n",
		    "FILE: [account work]: poll: '3 # s' is not a number of seconds, at least 1");
	/* A password may have got in front of an '='. */
	REFUSE_TEXT(WORK "password hunter2 = x\n",
		    "FILE:3: no key stands before the '=': keys have small letters, digits, '-' "
		    "and '_'");
	REFUSE_TEXT(WORK "password: aHVudGVyMg==\n",
		    "FILE:3: no key stands before the '=': keys have small letters, digits, '-' "
		    "and '_'");
	REFUSE_TEXT(WORK "aHVudGVyMg==\n",
		    "FILE:3: no key stands before the '=': keys have small letters, digits, '-' "
		    "and '_'");
	REFUSE_TEXT(WORK "[account other]\npol = 3\n",
		    "FILE: [account other]: pol: unknown key, did you mean 'poll'?");
}

static void test_values(void)
{
	struct options options;

	REFUSE_TEXT(WORK "xattr = ja\n", "FILE: [account work]: xattr: is yes or no");
	REFUSE_TEXT(WORK "noatime = ja\n", "FILE: [account work]: noatime: 'ja' is not yes or no");
	REFUSE_TEXT(WORK "delete = \"trash\"\n",
		    "FILE: [account work]: delete: '\"trash\"' is not flag, trash or expunge");
	REFUSE_TEXT(WORK "tls_ca = ca.pem\n",
		    "FILE: [account work]: tls_ca: 'ca.pem' is not a path that begins with '/' or "
		    "'~/'");
	REFUSE_TEXT(WORK "mountpoint = mail\n",
		    "FILE: [account work]: mountpoint: 'mail' is not a path that begins with '/' "
		    "or '~/'");
	REFUSE_TEXT("[account work]\npoll = 3\n",
		    "FILE: [account work]: neither imap nor pop3 says where it is, as in imap = "
		    "imaps://alice@imap.example.org");
	REFUSE_TEXT(WORK "pop3 = pop3s://a@h\n",
		    "FILE: [account work]: imap and pop3 exclude each other: make two accounts of "
		    "it");
	REFUSE_TEXT("[account work]\nimap = pop3s://a@h\n",
		    "FILE: [account work]: unknown scheme 'pop3s' in imap, use imaps:// or "
		    "imap://");
	REFUSE_TEXT("[account work]\nimap = imaps://a:hunter2@h\n",
		    "FILE: [account work]: a password does not belong in imap: use "
		    "password_command or password_file");
	REFUSE_TEXT("[account work]\npop3 = pop3s://h\n",
		    "FILE: [account work]: pop3 has no user, write it like "
		    "pop3s://alice@pop.example.org");
	REFUSE_TEXT(WORK "from = a@b\n",
		    "FILE: [account work]: from means nothing without smtp=URL");
	/* Of another account: it is told when that is mounted. */
	write_text(WORK "[account other]\npoll = x\n");
	PARSE(&options, "work", "/mnt");
	options_clear(&options);
}

static void test_source(void)
{
	write_text(WORK);
	REFUSE(ERROR_CONFIG, "FILE: no [account wrok] there, did you mean 'work'?", "wrok", "/mnt");
	REFUSE(ERROR_CONFIG, "FILE: no [account play] there", "play", "/mnt");
	REFUSE(ERROR_USAGE, "MOUNTPOINT is missing, and [account work] of FILE has no mountpoint",
	       "work");
	REFUSE(ERROR_USAGE, "more than SOURCE and MOUNTPOINT were given", "work", "/a", "/b");
	/* Parts of it may be a password. */
	REFUSE(ERROR_USAGE,
	       "SOURCE is neither a URL like imaps://alice@imap.example.org nor an account of the "
	       "configuration file",
	       "alice:hunter2@h", "/mnt");
	REFUSE(ERROR_USAGE,
	       "a configuration file means nothing with a URL, which stands for itself: name one "
	       "of its accounts",
	       "imaps://a@h", "/mnt");
}

static void test_trust(void)
{
	static const char secret[] = WORK "password = geheim\n";
	static const char smtp_secret[] = WORK "smtp = smtps://h\nsmtp-password = geheim\n";
	static const char private_line[] =
		"FILE: there is a password in it: it must be yours alone (chmod 600 it)";
	struct options options;
	g_autofree char *big = g_strnfill(CONF_SIZE_MAX + 1, '\n');

	write_bytes(WORK, strlen(WORK), 0644);
	PARSE(&options, "work", "/mnt");
	options_clear(&options);
	write_bytes(secret, strlen(secret), 0600);
	PARSE(&options, "work", "/mnt");
	options_clear(&options);
	write_bytes(secret, strlen(secret), 0640);
	REFUSE(ERROR_CONFIG, private_line, "work", "/mnt");
	write_bytes(smtp_secret, strlen(smtp_secret), 0604);
	REFUSE(ERROR_CONFIG, private_line, "work", "/mnt");
	write_bytes(WORK, strlen(WORK), 0620);
	REFUSE(ERROR_CONFIG, "'FILE' can be written by others (chmod go-w it)", "work", "/mnt");
	write_bytes(WORK, strlen(WORK), 0602);
	REFUSE(ERROR_CONFIG, "'FILE' can be written by others (chmod go-w it)", "work", "/mnt");

	write_bytes(big, CONF_SIZE_MAX, 0600);
	REFUSE(ERROR_CONFIG, "FILE: no [account work] there", "work", "/mnt");
	write_bytes(big, CONF_SIZE_MAX + 1, 0600);
	REFUSE(ERROR_CONFIG, "'FILE' has more than 1048576 bytes, or grows while it is read",
	       "work", "/mnt");
	g_assert_cmpint(g_unlink(file), ==, 0);
	REFUSE(ERROR_CONFIG, "cannot open 'FILE': No such file or directory", "work", "/mnt");
	g_assert_cmpint(g_mkdir(file, 0700), ==, 0);
	REFUSE(ERROR_CONFIG, "'FILE' is not a regular file", "work", "/mnt");
	g_assert_cmpint(g_rmdir(file), ==, 0);
	if (geteuid() != 0)
		return;
	write_text(WORK);
	g_assert_cmpint(chown(file, 65534, (gid_t)-1), ==, 0);
	REFUSE(ERROR_CONFIG, "'FILE' belongs to another user", "work", "/mnt");
	g_assert_cmpint(g_unlink(file), ==, 0);
}

/* Read when it is needed, and anew each time. */
static void test_password(void)
{
	struct secret *secret;
	g_autoptr(GError) error = NULL;

	write_text("[account other]\npop3 = pop3s://a@h\npassword = no\n" WORK
		   "password =  ge heim#\"\\n \n");
	secret = conf_password(file, "work", "password", &error);
	g_assert_no_error(error);
	g_assert_cmpstr(secret_text(secret), ==, "ge heim#\"\\n");
	secret_free(&secret);
	g_assert_null(conf_password(file, "work", "smtp_password", &error));
	g_assert_error(error, MAILFS_ERROR, ERROR_CONFIG);
	g_assert_true(
		g_str_has_suffix(error->message, ": [account work]: no smtp_password any more"));
	g_clear_error(&error);
	g_assert_null(conf_password(file, "gone", "password", &error));
	g_assert_error(error, MAILFS_ERROR, ERROR_CONFIG);
	g_clear_error(&error);
	g_assert_cmpint(g_chmod(file, 0644), ==, 0);
	g_assert_null(conf_password(file, "work", "password", &error));
	g_assert_error(error, MAILFS_ERROR, ERROR_CONFIG);
	g_assert_nonnull(strstr(error->message, "yours alone"));
	g_assert_null(strstr(error->message, "heim"));
}

static void test_actions(void)
{
	struct options options;
	struct options own;
	g_autoptr(GError) error = NULL;
	char *argv[] = {(char *)"mailfs", (char *)"--all",    (char *)"-c", file,
			(char *)"/mnt",	  (char *)"--poll=7", (char *)"-f"};

	write_text(WORK "mountpoint = /mnt/w\n[account old]\npop3 = pop3s://a@h\npoll = 9\n");
	g_assert_cmpint(parse(&options, (const char *const[]){"--list-accounts", NULL}, &error), ==,
			OPTIONS_LIST_ACCOUNTS);
	g_assert_cmpuint(g_strv_length(options.accounts), ==, 2);
	g_assert_cmpstr(options.accounts[0], ==, "work");
	g_assert_cmpstr(options.accounts[1], ==, "old");
	options_clear(&options);
	g_assert_cmpint(parse(&options, (const char *const[]){"--check", NULL}, &error), ==,
			OPTIONS_CHECK);
	g_assert_cmpuint(g_strv_length(options.accounts), ==, 2);
	options_clear(&options);
	g_assert_cmpint(parse(&options, (const char *const[]){"--check", "old", NULL}, &error), ==,
			OPTIONS_CHECK);
	g_assert_null(options.accounts);
	g_assert_cmpstr(options.account.alias, ==, "old");
	options_clear(&options);

	g_assert_cmpint(options_parse(&options, G_N_ELEMENTS(argv), argv, &error), ==, OPTIONS_ALL);
	g_assert_no_error(error);
	g_assert_cmpstr(options.mountpoint, ==, "/mnt");
	g_assert_true(options.foreground);
	options_clear(&options);
	g_assert_true(
		options_parse_account(&own, G_N_ELEMENTS(argv), argv, "old", "/mnt/old", &error));
	g_assert_cmpstr(own.mountpoint, ==, "/mnt/old");
	g_assert_cmpuint(own.account.poll_s, ==, 7);
	options_clear(&own);
	g_assert_true(options_parse_account(&own, G_N_ELEMENTS(argv), argv, "work", NULL, &error));
	g_assert_cmpstr(own.mountpoint, ==, "/mnt/w");
	options_clear(&own);
	g_assert_false(options_parse_account(&own, G_N_ELEMENTS(argv), argv, "old", NULL, &error));
	g_assert_error(error, MAILFS_ERROR, ERROR_USAGE);

	write_text("[defaults]\n");
	REFUSE(ERROR_CONFIG, "FILE: no [account NAME] there", "--all", "/mnt");
}

/* fstab's way: everything in -o. */
static void test_fstab(void)
{
	g_autofree char *list = g_strdup_printf("rw,noauto,user,_netdev,config=%s", file);
	char *argv[] = {(char *)"mount.mailfs", (char *)"work", (char *)"/home/a/mail",
			(char *)"-o", list};
	struct options options;
	g_autoptr(GError) error = NULL;

	write_text(WORK "ro = yes\n");
	g_assert_cmpint(options_parse(&options, G_N_ELEMENTS(argv), argv, &error), ==, OPTIONS_RUN);
	g_assert_no_error(error);
	g_assert_cmpstr(options.account.user, ==, "alice");
	g_assert_cmpstr(options.mountpoint, ==, "/home/a/mail");
	g_assert_true(options.account.read_only);
	options_clear(&options);
}

static void test_print(void)
{
	static const char *const words[] = {"--print-config",	    "work",    "-o",
					    "poll=9,ro=no,noatime", "--xattr", NULL};
	static const char wanted[] = "[account work]\n" IMAP "password = ********\n"
				     "ro = no\ndelete = trash\nxattr = yes\npoll = 9\n"
				     "noatime = yes\n";
	struct options options;
	g_autoptr(GError) error = NULL;

	write_text("[defaults]\ndelete = trash\npassword_command = x\nfrom = a@b\n" WORK
		   "password = hunter2\npoll = 2\n");
	g_assert_cmpint(parse(&options, words, &error), ==, OPTIONS_PRINT_CONFIG);
	g_assert_no_error(error);
	g_assert_cmpstr(options.text, ==, wanted);
	options_clear(&options);
	/* It is a file again, which says the same. */
	write_text(wanted);
	g_assert_cmpint(
		parse(&options, (const char *const[]){"--print-config", "work", NULL}, &error), ==,
		OPTIONS_PRINT_CONFIG);
	g_assert_cmpstr(options.text, ==, wanted);
	options_clear(&options);
}

int main(int argc, char **argv)
{
	int result;

	g_test_init(&argc, &argv, NULL);
	dir = g_dir_make_tmp("mailfs-conf-XXXXXX", NULL);
	file = g_build_filename(dir, "mailfs.conf", NULL);
	g_test_add_func("/conf/account", test_account);
	g_test_add_func("/conf/two_secrets", test_two_secrets);
	g_test_add_func("/conf/read_only", test_read_only);
	g_test_add_func("/conf/precedence", test_precedence);
	g_test_add_func("/conf/secret-sources", test_secret_sources);
	g_test_add_func("/conf/defaults-left-out", test_defaults_left_out);
	g_test_add_func("/conf/syntax", test_syntax);
	g_test_add_func("/conf/keys", test_keys);
	g_test_add_func("/conf/values", test_values);
	g_test_add_func("/conf/source", test_source);
	g_test_add_func("/conf/trust", test_trust);
	g_test_add_func("/conf/password", test_password);
	g_test_add_func("/conf/actions", test_actions);
	g_test_add_func("/conf/fstab", test_fstab);
	g_test_add_func("/conf/print", test_print);
	result = g_test_run();
	g_unlink(file);
	g_rmdir(dir);
	g_free(file);
	g_free(dir);
	return result;
}
