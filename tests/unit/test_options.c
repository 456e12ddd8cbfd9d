#include "base/error.h"
#include "config/auth.h"
#include "config/options.h"

#include <glib.h>
#include <string.h>

#define URL "imaps://alice@imap.example.org"
#define PLAIN "imap://alice@127.0.0.1:1143"

/* Parses the words; `words` ends with NULL and has no program name. */
static enum options_result parse(struct options *options, const char *const *words, GError **error)
{
	g_autoptr(GPtrArray) argv = g_ptr_array_new();

	g_ptr_array_add(argv, (char *)"mailfs");
	for (; *words; words++)
		g_ptr_array_add(argv, (char *)*words);
	return options_parse(options, (int)argv->len, (char **)argv->pdata, error);
}

#define PARSE(options, ...) parse_well(options, (const char *const[]){__VA_ARGS__, NULL})
#define REFUSE(code, part, ...) refuse(code, part, (const char *const[]){__VA_ARGS__, NULL})

static void parse_well(struct options *options, const char *const *words)
{
	g_autoptr(GError) error = NULL;
	enum options_result result = parse(options, words, &error);

	g_assert_no_error(error);
	g_assert_cmpint(result, ==, OPTIONS_RUN);
}

static void refuse(int code, const char *part, const char *const *words)
{
	struct options options;
	g_autoptr(GError) error = NULL;

	g_assert_cmpint(parse(&options, words, &error), ==, OPTIONS_ERROR);
	g_assert_error(error, MAILFS_ERROR, code);
	g_assert_false(g_str_has_suffix(error->message, "."));
	if (!strstr(error->message, part))
		g_error("'%s' is not in: %s", part, error->message);
	options_clear(&options);
}

static bool passes_on(const struct options *options, const char *word)
{
	return g_ptr_array_find_with_equal_func(options->fuse_options, word, g_str_equal, NULL);
}

static void test_defaults(void)
{
	struct options options;

	PARSE(&options, URL, "/mnt/mail");
	g_assert_cmpstr(options.source, ==, URL);
	g_assert_cmpstr(options.mountpoint, ==, "/mnt/mail");
	g_assert_cmpstr(options.account.name, ==, "alice@imap.example.org");
	g_assert_cmpint(options.account.tls, ==, TLS_IMPLICIT);
	g_assert_cmpint(options.account.names, ==, NAMES_LABEL);
	g_assert_cmpint(options.account.compress, ==, COMPRESS_AUTO);
	g_assert_cmpint(options.account.inotify, ==, INOTIFY_ON);
	g_assert_cmpuint(options.account.poll_s, ==, 30);
	g_assert_cmpuint(options.account.timeout_s, ==, 30);
	g_assert_cmpuint(options.account.cache_size_bytes, ==, 1024 * 1024 * 1024);
	g_assert_false(options.foreground || options.debug || options.single);
	g_assert_false(options.nonempty || options.allow_other || options.account.delay_connect);
	g_assert_cmpuint(options.fuse_options->len, ==, 0);
	g_assert_false(options.account.read_only || options.account.append_seen);
	g_assert_false(options.account.xattr);
	g_assert_cmpint(options.account.delete_mode, ==, DELETE_FLAG);
	options_clear(&options);
	options_clear(&options);
}

static void test_changing_mail(void)
{
	static const struct {
		const char *word;
		enum delete_mode mode;
	} modes[] = {
		{"--delete=flag", DELETE_FLAG},
		{"--delete=trash", DELETE_TRASH},
		{"-odelete=expunge", DELETE_EXPUNGE},
		{"-odelete=trash,delete=flag", DELETE_FLAG},
	};
	struct options options;

	for (size_t i = 0; i < G_N_ELEMENTS(modes); i++) {
		PARSE(&options, URL, "/mnt", modes[i].word);
		g_assert_cmpint(options.account.delete_mode, ==, modes[i].mode);
		options_clear(&options);
	}
	PARSE(&options, URL, "/mnt", "-o", "append-seen,xattr");
	g_assert_true(options.account.append_seen && options.account.xattr);
	g_assert_false(options.account.read_only);
	options_clear(&options);
	PARSE(&options, URL, "/mnt", "--ro", "--append-seen", "--xattr");
	g_assert_true(options.account.append_seen && options.account.xattr);
	g_assert_true(options.account.read_only);
	options_clear(&options);

	REFUSE(ERROR_CONFIG, "delete: 'purge' is not flag, trash or expunge", URL, "/mnt",
	       "--delete=purge");
	REFUSE(ERROR_CONFIG, "is not flag", URL, "/mnt", "--delete=Flag");
	REFUSE(ERROR_USAGE, "'delete' needs a value", URL, "/mnt", "-odelete");
	PARSE(&options, URL, "/mnt", "-oxattr=on,append_seen,append_seen=no", "--ro=false");
	g_assert_true(options.account.xattr && !options.account.append_seen);
	g_assert_false(options.account.read_only);
	options_clear(&options);
	REFUSE(ERROR_USAGE, "xattr: is yes or no", URL, "/mnt", "-oxattr=maybe");
}

static void test_long_options(void)
{
	struct options options;

	PARSE(&options, "--tls-ca=/ca.pem", "--password-command=pass show, mail", "--names=uid",
	      "--poll", "5m", "--timeout=600", URL, "--cache-size", "2G", "--delay-connect",
	      "--nonempty", "/mnt", "--allow_other", "--tls_cert", "/p w");
	g_assert_cmpstr(options.account.tls_ca, ==, "/ca.pem");
	g_assert_cmpstr(options.account.password_command, ==, "pass show, mail");
	g_assert_cmpstr(options.account.tls_cert, ==, "/p w");
	g_assert_cmpint(options.account.names, ==, NAMES_UID);
	g_assert_cmpuint(options.account.poll_s, ==, 300);
	g_assert_cmpuint(options.account.timeout_s, ==, 600);
	g_assert_cmpuint(options.account.cache_size_bytes, ==, 2ull << 30);
	g_assert_true(options.account.delay_connect && options.nonempty && options.allow_other);
	g_assert_true(passes_on(&options, "allow_other"));
	options_clear(&options);
}

static void test_list_options(void)
{
	struct options options;

	PARSE(&options, URL, "/mnt", "-o",
	      "tls_ca=/ca.pem,password-command=cut -d\\, -f1 a\\\\b\\c,names=uid,poll=1,,timeout=1",
	      "-ocache_size=1M,delay_connect,allow-other");
	g_assert_cmpstr(options.account.tls_ca, ==, "/ca.pem");
	g_assert_cmpstr(options.account.password_command, ==, "cut -d, -f1 a\\b\\c");
	g_assert_cmpint(options.account.names, ==, NAMES_UID);
	g_assert_cmpuint(options.account.poll_s, ==, 1);
	g_assert_cmpuint(options.account.timeout_s, ==, 1);
	g_assert_cmpuint(options.account.cache_size_bytes, ==, 1 << 20);
	g_assert_true(options.account.delay_connect && options.allow_other);
	options_clear(&options);
}

/* What mount(8), mount.fuse3 and fstab put in. */
static void test_mount_words(void)
{
	struct options options;

	PARSE(&options, URL, "/mnt", "-o",
	      "rw,auto,noauto,user,users,owner,group,nofail,_netdev,defaults,comment=a b,"
	      "x-systemd.automount,x-systemd.idle-timeout=10min,X-mount.mkdir,nosuid,nodev,noexec,"
	      "suid,dev,exec,async,relatime");
	g_assert_cmpuint(options.fuse_options->len, ==, 0);
	options_clear(&options);

	PARSE(&options, URL, "/mnt", "-o",
	      "ro,noatime,allow_root,auto_unmount,default-permissions,ro,allow_other");
	g_assert_cmpuint(options.fuse_options->len, ==, 5);
	g_assert_true(options.account.read_only && !passes_on(&options, "ro"));
	g_assert_true(passes_on(&options, "default_permissions"));
	g_assert_true(options.allow_other);
	options_clear(&options);
}

static void test_letters(void)
{
	struct options options;

	PARSE(&options, "-fs", URL, "/mnt");
	g_assert_true(options.foreground && options.single && !options.debug);
	options_clear(&options);
	PARSE(&options, URL, "-d", "/mnt");
	g_assert_true(options.foreground && options.debug);
	options_clear(&options);
	PARSE(&options, "-foro", "--", URL, "-mnt");
	g_assert_true(options.foreground && options.account.read_only);
	g_assert_true(g_str_has_suffix(options.mountpoint, "/-mnt"));
	options_clear(&options);
}

/* "mount -v -t mailfs SOURCE DIR" */
static void test_mount_helper(void)
{
	static const char *const names[] = {"/sbin/mount.mailfs", "mount.fuse.mailfs"};
	g_autoptr(GError) error = NULL;
	struct options options;

	for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
		const char *argv[] = {names[i], URL,	       "/mnt", "-s", "-n",	 "-v",
				      "-t",	"fuse.mailfs", "-sn",  "-o", "rw,poll=4"};

		g_assert_cmpint(options_parse(&options, G_N_ELEMENTS(argv), (char **)argv, &error),
				==, OPTIONS_RUN);
		g_assert_no_error(error);
		g_assert_cmpstr(options.source, ==, URL);
		g_assert_false(options.single);
		g_assert_true(options.helper);
		g_assert_false(options.fake);
		g_assert_cmpuint(options.account.poll_s, ==, 4);
		options_clear(&options);
	}
	REFUSE(ERROR_USAGE, "unknown option '-v'", URL, "/mnt", "-v");
	REFUSE(ERROR_USAGE, "unknown option '-t'", URL, "/mnt", "-t", "x");
}

/* "mount -f" is no foreground. */
static void test_mount_fake(void)
{
	const char *argv[] = {"/sbin/mount.mailfs", URL, "/mnt", "-sf", "-o", "rw"};
	g_autoptr(GError) error = NULL;
	struct options options;

	g_assert_cmpint(options_parse(&options, G_N_ELEMENTS(argv), (char **)argv, &error), ==,
			OPTIONS_RUN);
	g_assert_true(options.fake);
	g_assert_false(options.foreground);
	options_clear(&options);
	g_assert_true(options_is_helper("/sbin/mount.mailfs"));
	g_assert_true(options_is_helper("mount.fuse.mailfs"));
	g_assert_false(options_is_helper("/mount.d/mailfs"));
	g_assert_false(options_is_helper("mailfs"));
}

static void test_paths(void)
{
	g_autofree char *cwd = g_get_current_dir();
	g_autofree char *relative = g_build_filename(cwd, "mail", NULL);
	g_autofree char *ca = g_build_filename(cwd, "ca.pem", NULL);
	g_autofree char *home = g_build_filename(g_get_home_dir(), "p", NULL);
	struct options options;

	PARSE(&options, URL, "./mail/", "--tls-ca=ca.pem", "--password-file=~/p");
	g_assert_cmpstr(options.account.tls_ca, ==, ca);
	g_assert_cmpstr(options.account.password_file, ==, home);
	g_assert_true(g_str_has_prefix(options.mountpoint, relative));
	options_clear(&options);
}

static void test_last_wins(void)
{
	struct options options;

	PARSE(&options, URL, "/mnt", "--poll=3", "-o", "poll=4", "--tls-ca=/a", "--tls-ca=/b");
	g_assert_cmpuint(options.account.poll_s, ==, 4);
	g_assert_cmpstr(options.account.tls_ca, ==, "/b");
	options_clear(&options);
}

#define HEX16 "0123456789abcdef"
#define HEX64 HEX16 HEX16 HEX16 HEX16
#define COLON8 "01:23:45:67:89:AB:CD:EF"

static void test_fingerprint(void)
{
	static const char *const good[] = {
		"SHA256:" HEX64,
		"sha256:0123456789ABCDEF" HEX16 HEX16 HEX16,
		"SHA256:" COLON8 ":" COLON8 ":" COLON8 ":" COLON8,
	};
	static const char *const bad[] = {
		HEX64,
		"SHA1:" HEX64,
		"SHA256:",
		"SHA256:" HEX64 "0",
		"SHA256:" HEX16 HEX16 HEX16 "0123456789abcde",
		"SHA256:" HEX16 HEX16 HEX16 "0123456789abcdeg",
		"SHA256::" HEX64,
		"SHA256:" HEX64 ":",
		"SHA256:0:123456789abcdef" HEX16 HEX16 HEX16,
		"SHA256:01::23456789abcdef" HEX16 HEX16 HEX16,
	};

	for (size_t i = 0; i < G_N_ELEMENTS(good); i++) {
		struct options options;

		PARSE(&options, URL, "/mnt", "--tls-fingerprint", good[i]);
		g_assert_cmpstr(options.account.tls_fingerprint, ==, "SHA256:" HEX64);
		options_clear(&options);
	}
	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
		REFUSE(ERROR_CONFIG, "tls_fingerprint", URL, "/mnt", "--tls-fingerprint", bad[i]);
}

static void test_tls_off(void)
{
	struct options options;

	PARSE(&options, PLAIN, "/mnt", "-o", "tls=off");
	g_assert_cmpint(options.account.tls, ==, TLS_OFF);
	options_clear(&options);
	PARSE(&options, PLAIN, "/mnt");
	g_assert_cmpint(options.account.tls, ==, TLS_STARTTLS);
	options_clear(&options);
	REFUSE(ERROR_USAGE, "imaps", "--tls=off", URL, "/mnt");
	REFUSE(ERROR_CONFIG, "tls: 'on'", "--tls=on", PLAIN, "/mnt");
	REFUSE(ERROR_USAGE, "tls_ca", "--tls=off", "--tls-ca=/x", PLAIN, "/mnt");
	REFUSE(ERROR_USAGE, "tls_fingerprint", "--tls=off", "--tls-fingerprint=SHA256:" HEX64,
	       PLAIN, "/mnt");
}

static void test_pop3(void)
{
	static const char pops[] = "pop3s://alice@h", pop[] = "pop3://alice@h";
	struct options options;

	PARSE(&options, pops, "/mnt");
	g_assert_cmpint(options.account.protocol, ==, ACCOUNT_POP3);
	g_assert_cmpint(options.account.tls, ==, TLS_IMPLICIT);
	g_assert_cmphex(options.account.auth, ==, 0);
	options_clear(&options);
	PARSE(&options, "--auth=apop", "-o", "delete=flag", pop, "/mnt");
	g_assert_cmpint(options.account.tls, ==, TLS_STARTTLS);
	g_assert_cmphex(options.account.auth, ==, AUTH_APOP);
	options_clear(&options);
	PARSE(&options, pop, "/mnt", "-otls=off,auth=apop,smtp=smtps://h,save_sent=no");
	g_assert_cmpint(options.account.tls, ==, TLS_OFF);
	/* Nobody else knows APOP. */
	g_assert_cmphex(submission_auth(&options.account), ==, 0);
	options_clear(&options);
	PARSE(&options, pop, "/mnt", "-oauth=apop:plain,smtp=smtps://h");
	g_assert_cmphex(submission_auth(&options.account), ==, AUTH_PLAIN);
	g_assert_true(account_needs_password(&options.account));
	options_clear(&options);
	PARSE(&options, pop, "/mnt", "-oauth=external,tls_cert=/c,smtp=smtps://h,smtp_auth=login");
	g_assert_cmphex(submission_auth(&options.account), ==, AUTH_LOGIN);
	g_assert_false(account_needs_password(&options.account));
	g_assert_cmpstr(options.account.tls_cert, ==, "/c");
	options_clear(&options);
	PARSE(&options, pop, "/mnt", "-oro,xattr,names=uid,delay_connect");
	options_clear(&options);
	REFUSE(ERROR_USAGE, "use pop3://", pops, "/mnt", "-otls=off");
	REFUSE(ERROR_USAGE, "only delete=flag", pops, "/mnt", "-odelete=trash");
	REFUSE(ERROR_USAGE, "only delete=flag", "--delete=expunge", pop, "/mnt");
	REFUSE(ERROR_USAGE, "append_seen", pops, "/mnt", "-oappend_seen");
	REFUSE(ERROR_USAGE, "compress=on", pops, "/mnt", "-ocompress=on");
	REFUSE(ERROR_USAGE, "save_sent=yes", pops, "/mnt", "-osmtp=smtps://h,save_sent=yes");
	PARSE(&options, pop, "/mnt", "-ocompress=off");
	options_clear(&options);
	PARSE(&options, URL, "/mnt", "--inotify=off");
	g_assert_cmpint(options.account.inotify, ==, INOTIFY_OFF);
	options_clear(&options);
	PARSE(&options, URL, "/mnt", "-oinotify=off,inotify=on");
	g_assert_cmpint(options.account.inotify, ==, INOTIFY_ON);
	options_clear(&options);
	PARSE(&options, URL, "/mnt", "--compress=on");
	g_assert_cmpint(options.account.compress, ==, COMPRESS_ON);
	options_clear(&options);
	PARSE(&options, URL, "/mnt", "-ocompress=on", "-ocompress=off");
	g_assert_cmpint(options.account.compress, ==, COMPRESS_OFF);
	options_clear(&options);
	REFUSE(ERROR_USAGE, "auth=apop is for POP3", URL, "/mnt", "-oauth=apop");
	REFUSE(ERROR_CONFIG, "auth: 'plane' is not", pops, "/mnt", "-oauth=plane");
	REFUSE(ERROR_CONFIG, "auth: 'plain:' is not one or more, with ':' between, of external, ",
	       pops, "/mnt", "-oauth=plain:");
	REFUSE(ERROR_CONFIG, "smtp_auth: 'apop' is not for SMTP: apop is of POP3 alone", pops,
	       "/mnt", "-osmtp=smtps://h,smtp_auth=apop");
	REFUSE(ERROR_USAGE, "smtp_auth means nothing without smtp=URL", URL, "/mnt",
	       "-osmtp_auth=plain");
	REFUSE(ERROR_USAGE, "tls_key means nothing without tls_cert=FILE", URL, "/mnt",
	       "-otls_key=/k");
	REFUSE(ERROR_USAGE, "tls=off leaves nobody to show tls_cert to", "imap://alice@h", "/mnt",
	       "-otls=off,tls_cert=/c");
}

/* A token is for both servers, but for one that has a password of its own. */
static void test_token(void)
{
	struct options options;

	PARSE(&options, URL, "/mnt", "--oauth2-token-command=get it", "-osmtp=smtps://h");
	g_assert_cmpstr(options.account.token_command, ==, "get it");
	g_assert_false(account_needs_password(&options.account));
	g_assert_true(submission_uses_token(&options.account));
	g_assert_false(submission_needs_password(&options.account));
	options_clear(&options);
	PARSE(&options, URL, "/mnt",
	      "-ooauth2_token_command=x,smtp=smtps://h,smtp_password_command=y");
	g_assert_false(submission_uses_token(&options.account));
	g_assert_true(submission_needs_password(&options.account));
	options_clear(&options);
	PARSE(&options, URL, "/mnt", "-ooauth2_token_command=x,auth=xoauth2:plain");
	g_assert_false(submission_uses_token(&options.account));
	g_assert_false(submission_needs_password(&options.account));
	options_clear(&options);
	REFUSE(ERROR_USAGE, "auth: oauthbearer and xoauth2 need oauth2_token_command", URL, "/mnt",
	       "-oauth=xoauth2:oauthbearer");
	REFUSE(ERROR_USAGE,
	       "oauth2_token_command means nothing where auth has neither oauthbearer nor xoauth2",
	       URL, "/mnt", "-ooauth2_token_command=x,auth=plain");
	REFUSE(ERROR_USAGE,
	       "oauth2_token_command and password_file exclude each other: say one of them", URL,
	       "/mnt", "-ooauth2_token_command=x,password_file=/y");
	REFUSE(ERROR_USAGE, "password_file and password_command exclude each other", URL, "/mnt",
	       "--password-file=/y", "--password-command=x");
	REFUSE(ERROR_USAGE, "smtp_password_file and smtp_password_command exclude each other", URL,
	       "/mnt", "-osmtp=smtps://h,smtp_password_file=/y,smtp_password_command=x");
	/* The last one counts, as of other options. */
	PARSE(&options, URL, "/mnt", "-opassword_file=/x", "-opassword_file=/y");
	g_assert_cmpstr(options.account.password_file, ==, "/y");
	options_clear(&options);
}

static void test_idle(void)
{
	struct options options;

	PARSE(&options, URL, "/mnt");
	g_assert_null(options.account.idle);
	options_clear(&options);
	PARSE(&options, URL, "/mnt", "-o", "idle=INBOX:Lists/a b\\,Archive,poll=3");
	g_assert_cmpstr(options.account.idle, ==, "INBOX:Lists/a b,Archive");
	g_assert_cmpuint(options.account.poll_s, ==, 3);
	options_clear(&options);
	PARSE(&options, URL, "/mnt", "--idle=INBOX", "--idle", "off");
	g_assert_cmpstr(options.account.idle, ==, "");
	options_clear(&options);
	REFUSE(ERROR_CONFIG, "idle: 'a\\x1B' is not folders", URL, "/mnt", "--idle=a\033");
	REFUSE(ERROR_USAGE, "'idle' needs a value", URL, "/mnt", "--idle=");
	REFUSE(ERROR_USAGE, "idle: POP3", "pop3s://a@h", "/mnt", "-oidle=INBOX");
	PARSE(&options, "pop3s://a@h", "/mnt", "-oidle=off");
	options_clear(&options);
}

static void test_bad_values(void)
{
	static const char *const bad[] = {
		"poll=0",      "poll=x",      "poll=-1",      "poll=4294967296",
		"timeout=0",   "timeout=601", "timeout=11m",  "timeout=1.5",
		"names=both",  "names=LABEL", "cache_size=0", "cache_size=1048575",
		"compress=ja", "compress=ON", "compress=",    "inotify=auto",
		"inotify=ON",  "cache_size=", "cache_size=x", "cache_size=8388608T",
	};
	struct options options;

	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_autofree char *name = g_strndup(bad[i], strcspn(bad[i], "="));

		REFUSE(g_str_has_suffix(bad[i], "=") ? ERROR_USAGE : ERROR_CONFIG, name, URL,
		       "/mnt", "-o", bad[i]);
	}
	REFUSE(ERROR_CONFIG, "'\\x1B[2J'", URL, "/mnt", "--poll=\033[2J");
	PARSE(&options, URL, "/mnt", "-o", "cache_size=1048576,timeout=10m,poll=4294967295");
	g_assert_cmpuint(options.account.cache_size_bytes, ==, 1048576);
	options_clear(&options);
}

static void test_unknown(void)
{
	REFUSE(ERROR_USAGE, "unknown option 'pol', did you mean 'poll'?", URL, "/mnt", "-o",
	       "pol=3");
	REFUSE(ERROR_USAGE, "unknown option '--pol', did you mean '--poll'?", URL, "/mnt", "--pol");
	REFUSE(ERROR_USAGE, "'--tls-cs', did you mean '--tls-ca'?", URL, "/mnt", "--tls_cs=x");
	REFUSE(ERROR_USAGE, "did you mean 'allow_root'?", URL, "/mnt", "-o", "alow_root");
	REFUSE(ERROR_USAGE, "did you mean 'delay_connect'?", URL, "/mnt", "-o", "delay");
	REFUSE(ERROR_USAGE, "unknown option 'help'", URL, "/mnt", "-o", "help");
	REFUSE(ERROR_USAGE, "unknown option '--noatime'", URL, "/mnt", "--noatime");
	REFUSE(ERROR_USAGE, "ro: is yes or no", URL, "/mnt", "-o", "ro=2");
	REFUSE(ERROR_USAGE, "unknown option '--'", URL, "/mnt", "--=x");
	REFUSE(ERROR_USAGE, "unknown option '-x'", URL, "/mnt", "-fx");
	REFUSE(ERROR_USAGE, "unknown option '-\\x01'", URL, "/mnt", "-\001");
	REFUSE(ERROR_USAGE, "unknown option 'x\\x0A'", URL, "/mnt", "-o", "x\n");
}

/* A password in the wrong place must not go into a log. */
static void test_no_secret(void)
{
	static const char *const wrong[] = {"--password=hunter2",	  "-opassword=hunter2",
					    "--nonempty=hunter2",	  "imaps://a:hunter2@h",
					    "-osmtp=smtps://a:hunter2@h", "--smtp=a:hunter2@h"};

	for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
		const char *const words[] = {wrong[i], "/mnt", NULL};
		struct options options;
		g_autoptr(GError) error = NULL;

		g_assert_cmpint(parse(&options, words, &error), ==, OPTIONS_ERROR);
		g_assert_error(error, MAILFS_ERROR, ERROR_USAGE);
		g_assert_null(strstr(error->message, "hunter2"));
	}
}

static void test_sending(void)
{
	struct options options;
	struct submission *smtp = &options.account.smtp;

	PARSE(&options, URL, "/mnt");
	g_assert_null(smtp->host);
	options_clear(&options);

	PARSE(&options, URL, "/mnt", "-o", "smtp=smtps://smtp.example.org");
	g_assert_cmpstr(smtp->host, ==, "smtp.example.org");
	g_assert_cmpint(smtp->port, ==, 465);
	g_assert_cmpint(smtp->tls, ==, TLS_IMPLICIT);
	g_assert_null(smtp->user);
	g_assert_null(smtp->from);
	g_assert_cmpint(smtp->save_sent, ==, SAVE_SENT_AUTO);
	g_assert_cmpuint(smtp->send_delay_s, ==, 2);
	g_assert_cmpuint(smtp->dsn_notify, ==, 0);
	options_clear(&options);

	PARSE(&options,
	      "--from=alice@b\xc3\xbc"
	      "cher.example",
	      "--save-sent=no", "--send-delay=1h", "--smtp-password-command=pass, smtp",
	      "--smtp-tls-fingerprint=SHA256:" HEX64,
	      "--smtp=smtp://bob@h:25", URL, "/mnt");
	g_assert_cmpstr(smtp->user, ==, "bob");
	g_assert_cmpint(smtp->tls, ==, TLS_STARTTLS);
	g_assert_cmpstr(smtp->from, ==,
			"alice@b\xc3\xbc"
			"cher.example");
	g_assert_cmpint(smtp->save_sent, ==, SAVE_SENT_NO);
	g_assert_cmpuint(smtp->send_delay_s, ==, 3600);
	g_assert_cmpstr(smtp->password_command, ==, "pass, smtp");
	g_assert_cmpstr(smtp->tls_fingerprint, ==, "SHA256:" HEX64);
	g_assert_null(options.account.tls_fingerprint);
	options_clear(&options);

	PARSE(&options, URL, "/mnt", "-osmtp=smtps://h,save_sent=yes,send_delay=0,from=a@b");
	g_assert_cmpint(smtp->save_sent, ==, SAVE_SENT_YES);
	g_assert_cmpuint(smtp->send_delay_s, ==, 0);
	options_clear(&options);
}

static void test_sending_tls(void)
{
	struct options options;
	const struct account *account = &options.account;

	PARSE(&options, URL, "/mnt", "-o", "smtp_tls=off,smtp=smtp://h");
	g_assert_cmpint(account->smtp.tls, ==, TLS_OFF);
	g_assert_cmpint(account->tls, ==, TLS_IMPLICIT);
	options_clear(&options);
	PARSE(&options, PLAIN, "/mnt", "-o", "tls=off,smtp=smtp://h");
	g_assert_cmpint(account->smtp.tls, ==, TLS_STARTTLS);
	g_assert_cmpint(account->tls, ==, TLS_OFF);
	options_clear(&options);
	/* The authorities are those of both servers. */
	PARSE(&options, PLAIN, "/mnt", "-o", "tls=off,smtp=smtps://h,tls_ca=/x");
	options_clear(&options);
	REFUSE(ERROR_USAGE, "tls_ca", PLAIN, "/mnt", "-o",
	       "tls=off,smtp=smtp://h,smtp_tls=off,tls_ca=/x");
	REFUSE(ERROR_USAGE, "smtps", URL, "/mnt", "-osmtp=smtps://h,smtp_tls=off");
	REFUSE(ERROR_CONFIG, "smtp_tls: 'on'", URL, "/mnt", "-osmtp=smtp://h,smtp_tls=on");
	REFUSE(ERROR_USAGE, "smtp_tls_fingerprint", URL, "/mnt",
	       "-osmtp=smtp://h,smtp_tls=off,smtp_tls_fingerprint=SHA256:" HEX64);
	REFUSE(ERROR_CONFIG, "smtp_tls_fingerprint", URL, "/mnt",
	       "-osmtp=smtp://h,smtp_tls_fingerprint=SHA256:00");
}

static void test_dsn_notify(void)
{
	static const struct {
		const char *word;
		unsigned notify;
	} good[] = {
		{"never", SMTP_NOTIFY_NEVER},
		{"delay", SMTP_NOTIFY_DELAY},
		{"success+failure", SMTP_NOTIFY_SUCCESS | SMTP_NOTIFY_FAILURE},
		{"success+failure+delay",
		 SMTP_NOTIFY_SUCCESS | SMTP_NOTIFY_FAILURE | SMTP_NOTIFY_DELAY},
		{"delay\\,failure", SMTP_NOTIFY_DELAY | SMTP_NOTIFY_FAILURE},
	};
	static const char *const bad[] = {"always", "Never", "never+delay", "success+", "+"};
	struct options options;

	for (size_t i = 0; i < G_N_ELEMENTS(good); i++) {
		g_autofree char *list =
			g_strconcat("smtp=smtps://h,dsn_notify=", good[i].word, NULL);

		PARSE(&options, URL, "/mnt", "-o", list);
		g_assert_cmphex(options.account.smtp.dsn_notify, ==, good[i].notify);
		options_clear(&options);
	}
	PARSE(&options, URL, "/mnt", "--smtp=smtps://h", "--dsn-notify=success,delay");
	g_assert_cmphex(options.account.smtp.dsn_notify, ==,
			SMTP_NOTIFY_SUCCESS | SMTP_NOTIFY_DELAY);
	options_clear(&options);
	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
		REFUSE(ERROR_CONFIG, "dsn_notify", URL, "/mnt", "--smtp=smtps://h", "--dsn-notify",
		       bad[i]);
}

static void test_sending_wrong(void)
{
	static const char *const lonely[] = {
		"smtp_tls=off",	  "smtp_tls_fingerprint=SHA256:" HEX64,
		"from=a@b",	  "smtp_password_command=x",
		"save_sent=auto", "smtp_password_file=x",
		"send_delay=2",	  "dsn_notify=never",
	};
	static const char *const from[] = {
		"alice", "@b",	  "a@",		 "a@b@c",   "a b@c",  "<a@b>",	     "a@b>",
		"a\t@b", "a@b\n", "Alice <a@b>", "a@b\x7f", "a@\xff", "a\xc2\x85@b", "a@b\r\nRCPT",
	};

	for (size_t i = 0; i < G_N_ELEMENTS(lonely); i++) {
		g_autofree char *name = g_strndup(lonely[i], strcspn(lonely[i], "="));
		g_autofree char *part = g_strconcat(name, " means nothing without smtp=URL", NULL);

		REFUSE(ERROR_USAGE, part, URL, "/mnt", "-o", lonely[i]);
	}
	for (size_t i = 0; i < G_N_ELEMENTS(from); i++)
		REFUSE(ERROR_CONFIG, "is not an address", URL, "/mnt", "--smtp=smtps://h", "--from",
		       from[i]);
	REFUSE(ERROR_USAGE, "ro contradicts smtp", URL, "/mnt", "-oro,smtp=smtps://h");
	REFUSE(ERROR_USAGE, "unknown scheme 'https'", URL, "/mnt", "--smtp=https://h");
	REFUSE(ERROR_USAGE, "smtp has no user before its '@'", URL, "/mnt", "--smtp=smtps://@h");
	REFUSE(ERROR_CONFIG, "send_delay", URL, "/mnt", "-osmtp=smtps://h,send_delay=3601");
	REFUSE(ERROR_CONFIG, "send_delay", URL, "/mnt", "-osmtp=smtps://h,send_delay=-1");
	REFUSE(ERROR_CONFIG, "save_sent", URL, "/mnt", "-osmtp=smtps://h,save_sent=maybe");
	REFUSE(ERROR_USAGE, "did you mean 'send_delay'?", URL, "/mnt", "-osend_dela=3");
	REFUSE(ERROR_USAGE, "did you mean '--smtp'?", URL, "/mnt", "--smpt=smtps://h");
}

static void test_arguments(void)
{
	REFUSE(ERROR_USAGE, "SOURCE and MOUNTPOINT", "-f");
	REFUSE(ERROR_USAGE, "MOUNTPOINT is missing", URL);
	REFUSE(ERROR_USAGE, "more than", URL, "/mnt", "x");
	REFUSE(ERROR_USAGE, "SOURCE is neither a URL", "alice@h", "/mnt");
	REFUSE(ERROR_USAGE, "means nothing with a URL", URL, "/mnt", "-c", "/x");
	REFUSE(ERROR_USAGE, "exclude each other", "--all", "--check");
	REFUSE(ERROR_USAGE, "takes no argument", "--list-accounts", "x");
	REFUSE(ERROR_USAGE, "name of one account", "--print-config");
	REFUSE(ERROR_USAGE, "no URL", "--print-config", "imaps://a@h");
	REFUSE(ERROR_USAGE, "more than one account", "--check", "a", "b");
	REFUSE(ERROR_USAGE, "more than DIR", "--all", "/a", "/b");
	REFUSE(ERROR_USAGE, "unknown option '--mountpoint'", URL, "--mountpoint=/mnt");
	REFUSE(ERROR_USAGE, "unknown option 'all'", URL, "/mnt", "-oall");
	REFUSE(ERROR_USAGE, "empty", URL, "");
	REFUSE(ERROR_USAGE, "scheme", "gopher://a@h", "/mnt");
	REFUSE(ERROR_USAGE, "'poll' needs a value", URL, "/mnt", "--poll");
	REFUSE(ERROR_USAGE, "'poll' needs a value", URL, "/mnt", "-o", "poll");
	REFUSE(ERROR_USAGE, "'poll' needs a value", URL, "/mnt", "--poll=");
	REFUSE(ERROR_USAGE, "'help' takes no value", URL, "/mnt", "--help=yes");
	REFUSE(ERROR_USAGE, "'-o' needs a value", URL, "/mnt", "-o");
}

static void test_help(void)
{
	static const char *const helps[] = {"-h", "--help", "-fh"};
	g_autofree char *help = options_help();
	g_auto(GStrv) lines = g_strsplit(help, "\n", 0);
	struct options options;

	for (size_t i = 0; i < G_N_ELEMENTS(helps); i++) {
		const char *const words[] = {helps[i], "--unknown", NULL};

		g_assert_cmpint(parse(&options, words, NULL), ==, OPTIONS_HELP);
	}
	g_assert_cmpint(parse(&options, (const char *const[]){"-V", NULL}, NULL), ==,
			OPTIONS_VERSION);
	g_assert_cmpint(parse(&options, (const char *const[]){"--version", NULL}, NULL), ==,
			OPTIONS_VERSION);

	g_assert_true(g_str_has_prefix(help, "Usage: mailfs "));
	g_assert_nonnull(strstr(help, "\n  -f "));
	g_assert_nonnull(strstr(help, "\n  -h, --help "));
	g_assert_nonnull(strstr(help, "\n  --tls-fingerprint=SHA256:HEX"));
	g_assert_nonnull(strstr(help, "\n  --smtp-tls-fingerprint=SHA256:HEX\n"));
	for (size_t i = 0; lines[i]; i++)
		g_assert_cmpuint(strlen(lines[i]), <=, 80);
	/* Keys of the file alone are no options. */
	g_assert_null(strstr(help, "--mountpoint"));
	g_assert_null(strstr(help, "--password="));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/options/token", test_token);
	g_test_add_func("/options/defaults", test_defaults);
	g_test_add_func("/options/long", test_long_options);
	g_test_add_func("/options/list", test_list_options);
	g_test_add_func("/options/mount-words", test_mount_words);
	g_test_add_func("/options/changing-mail", test_changing_mail);
	g_test_add_func("/options/letters", test_letters);
	g_test_add_func("/options/mount-helper", test_mount_helper);
	g_test_add_func("/options/mount-fake", test_mount_fake);
	g_test_add_func("/options/paths", test_paths);
	g_test_add_func("/options/last-wins", test_last_wins);
	g_test_add_func("/options/fingerprint", test_fingerprint);
	g_test_add_func("/options/tls-off", test_tls_off);
	g_test_add_func("/options/pop3", test_pop3);
	g_test_add_func("/options/idle", test_idle);
	g_test_add_func("/options/bad-values", test_bad_values);
	g_test_add_func("/options/unknown", test_unknown);
	g_test_add_func("/options/no-secret", test_no_secret);
	g_test_add_func("/options/sending", test_sending);
	g_test_add_func("/options/sending-tls", test_sending_tls);
	g_test_add_func("/options/dsn-notify", test_dsn_notify);
	g_test_add_func("/options/sending-wrong", test_sending_wrong);
	g_test_add_func("/options/arguments", test_arguments);
	g_test_add_func("/options/help", test_help);
	return g_test_run();
}
