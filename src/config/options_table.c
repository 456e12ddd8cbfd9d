#include "config/options_private.h"

#include "base/number.h"
#include "base/text.h"
#include "config/auth.h"

#include <stddef.h>
#include <string.h>

#define CACHE_SIZE_MIN (1024ull * 1024)
#define TIMEOUT_MAX_S 600
#define SEND_DELAY_MAX_S 3600

static void replace(char **text, char *with)
{
	g_free(*text);
	*text = with;
}

static bool set_tls(struct parse *parse, const char *value, GError **error)
{
	if (strcmp(value, "off") != 0)
		return options_bad_value(error, "tls", value, "off");
	parse->tls_off = true;
	return true;
}

static bool auth_set(const char *name, const char *value, unsigned *ret_auth, GError **error)
{
	if (auth_parse(value, ret_auth))
		return true;
	return options_bad_value(error, name, value,
				 "one or more, with ':' between, of external, gssapi, oauthbearer, "
				 "xoauth2, scram-sha-256-plus, scram-sha-1-plus, scram-sha-256, "
				 "scram-sha-1, plain, login, cram-md5 and apop");
}

static bool set_auth(struct parse *parse, const char *value, GError **error)
{
	return auth_set("auth", value, &parse->options->account.auth, error);
}

static bool set_smtp_auth(struct parse *parse, const char *value, GError **error)
{
	unsigned auth;

	if (!auth_set("smtp_auth", value, &auth, error))
		return false;
	if (auth & AUTH_APOP)
		return options_bad_value(error, "smtp_auth", value,
					 "for SMTP: apop is of POP3 alone");
	parse->options->account.smtp.auth = auth;
	return true;
}

/* 64 hex digits in lower case, colons only between pairs. */
static bool fingerprint_digits(const char *value, GString *out)
{
	size_t digits = 0;

	for (; *value; value++) {
		if (*value == ':' && digits % 2 == 0 && digits > 0 && value[-1] != ':' && value[1])
			continue;
		if (!g_ascii_isxdigit(*value) || ++digits > 64)
			return false;
		g_string_append_c(out, g_ascii_tolower(*value));
	}
	return digits == 64;
}

static bool fingerprint_parse(const char *name, const char *value, char **fingerprint,
			      GError **error)
{
	static const char prefix[] = "SHA256:";
	g_autoptr(GString) text = g_string_new(prefix);

	if (g_ascii_strncasecmp(value, prefix, strlen(prefix)) != 0 ||
	    !fingerprint_digits(value + strlen(prefix), text))
		return options_bad_value(error, name, value, "SHA256: and 64 hex digits");
	replace(fingerprint, g_strdup(text->str));
	return true;
}

static bool set_tls_fingerprint(struct parse *parse, const char *value, GError **error)
{
	return fingerprint_parse("tls_fingerprint", value, &parse->options->account.tls_fingerprint,
				 error);
}

static bool set_poll(struct parse *parse, const char *value, GError **error)
{
	uint32_t seconds;

	if (!number_parse_seconds(value, &seconds) || seconds < 1)
		return options_bad_value(error, "poll", value, "a number of seconds, at least 1");
	parse->options->account.poll_s = seconds;
	return true;
}

/* Folders as they stand in the mount. */
static bool set_idle(struct parse *parse, const char *value, GError **error)
{
	if (!text_is_visible(value))
		return options_bad_value(error, "idle", value,
					 "folders with ':' between them, or off");
	replace(&parse->options->account.idle, g_strdup(strcmp(value, "off") == 0 ? "" : value));
	return true;
}

static bool set_timeout(struct parse *parse, const char *value, GError **error)
{
	uint32_t seconds;

	if (!number_parse_seconds(value, &seconds) || seconds < 1 || seconds > TIMEOUT_MAX_S)
		return options_bad_value(error, "timeout", value,
					 "a number of seconds from 1 to 600");
	parse->options->account.timeout_s = seconds;
	return true;
}

static bool set_cache_size(struct parse *parse, const char *value, GError **error)
{
	uint64_t bytes;

	if (!number_parse_size(value, &bytes) || bytes < CACHE_SIZE_MIN || bytes > INT64_MAX)
		return options_bad_value(error, "cache_size", value,
					 "a size like 500M, at least 1M");
	parse->options->account.cache_size_bytes = bytes;
	return true;
}

static bool set_smtp(struct parse *parse, const char *value, GError **error)
{
	return submission_parse_url(&parse->options->account.smtp, value, error);
}

static bool set_smtp_tls(struct parse *parse, const char *value, GError **error)
{
	if (strcmp(value, "off") != 0)
		return options_bad_value(error, "smtp_tls", value, "off");
	parse->smtp_tls_off = true;
	return true;
}

static bool set_smtp_tls_fingerprint(struct parse *parse, const char *value, GError **error)
{
	return fingerprint_parse("smtp_tls_fingerprint", value,
				 &parse->options->account.smtp.tls_fingerprint, error);
}

/* Enough to find typing errors early; all rules are kept where mail is sent. */
static bool is_address(const char *value)
{
	const char *at = strchr(value, '@');

	return at && at != value && at[1] != '\0' && !strchr(at + 1, '@') &&
	       !strpbrk(value, " <>") && text_is_visible(value);
}

static bool set_from(struct parse *parse, const char *value, GError **error)
{
	if (!is_address(value))
		return options_bad_value(error, "from", value, "an address like alice@example.org");
	replace(&parse->options->account.smtp.from, g_strdup(value));
	return true;
}

static bool set_send_delay(struct parse *parse, const char *value, GError **error)
{
	uint32_t seconds;

	if (!number_parse_seconds(value, &seconds) || seconds > SEND_DELAY_MAX_S)
		return options_bad_value(error, "send_delay", value,
					 "a number of seconds from 0 to 3600");
	parse->options->account.smtp.send_delay_s = seconds;
	return true;
}

static unsigned notify_bit(const char *word)
{
	static const char *const words[] = {"never", "success", "failure", "delay"};

	for (unsigned i = 0; i < G_N_ELEMENTS(words); i++) {
		if (strcmp(word, words[i]) == 0)
			return SMTP_NOTIFY_NEVER << i;
	}
	return 0;
}

static bool set_dsn_notify(struct parse *parse, const char *value, GError **error)
{
	g_auto(GStrv) words = g_strsplit_set(value, "+,", 0);
	unsigned notify = 0;
	bool ok = true;

	for (size_t i = 0; words[i]; i++) {
		unsigned bit = notify_bit(words[i]);

		ok = ok && bit;
		notify |= bit;
	}
	if (!ok || ((notify & SMTP_NOTIFY_NEVER) && notify != SMTP_NOTIFY_NEVER))
		return options_bad_value(
			error, "dsn_notify", value,
			"never, or success, failure and delay with '+' between them");
	parse->options->account.smtp.dsn_notify = notify;
	return true;
}

/* It stays in the file until it is needed. */
static bool set_password(struct parse *parse, const char *value, GError **error)
{
	(void)value;
	(void)error;
	parse->options->account.password_in_file = true;
	return true;
}

static bool set_smtp_password(struct parse *parse, const char *value, GError **error)
{
	(void)value;
	(void)error;
	parse->options->account.smtp.password_in_file = true;
	return true;
}

static bool set_imap(struct parse *parse, const char *value, GError **error)
{
	return account_parse_key(&parse->options->account, ACCOUNT_IMAP, value, error);
}

static bool set_pop3(struct parse *parse, const char *value, GError **error)
{
	return account_parse_key(&parse->options->account, ACCOUNT_POP3, value, error);
}

#define WORD(field) .word = offsetof(struct options, field)
#define FLAG(field) .flag = offsetof(struct options, field)
#define TEXT(field) .text = offsetof(struct options, field)
#define PATH(field) .path = offsetof(struct options, field)
#define SENDING .sending = true
#define OF(whose) .secret = SECRET_##whose
#define ONLY(where) .place = PLACE_##where

static const struct row rows[] = {
	{'f', NULL, NULL, "stay in the foreground", FLAG(foreground), ONLY(COMMAND)},
	{'d', NULL, NULL, "trace requests and protocol to stderr, implies -f", FLAG(debug),
	 ONLY(COMMAND)},
	{'s', NULL, NULL, "serve with a single thread", FLAG(single), ONLY(COMMAND)},
	{'o', NULL, "OPT[,OPT...]", "options as in fstab(5), see below", options_set_list,
	 ONLY(COMMAND)},
	{'c', "config", "FILE", "the configuration file, if it is another one", PATH(config),
	 ONLY(COMMAND)},
	{0, "tls", "off", "never encrypt; only with imap:// or pop3://", set_tls},
	{0, "tls_ca", "FILE", "trust the CA certificates in FILE only", PATH(account.tls_ca)},
	{0, "tls_fingerprint", "SHA256:HEX", "trust the certificate with this digest",
	 set_tls_fingerprint},
	{0, "tls_cert", "FILE", "show the server this certificate", PATH(account.tls_cert)},
	{0, "tls_key", "FILE", "its key, if it is not in the same file", PATH(account.tls_key)},
	{0, "auth", "MECHANISMS", "log in by these alone, such as scram-sha-256:plain", set_auth},
	{0, "password_command", "CMD", "the password is the first line that CMD prints",
	 TEXT(account.password_command), OF(ACCOUNT)},
	{0, "password_file", "FILE", "the password is the first line of FILE",
	 PATH(account.password_file), OF(ACCOUNT)},
	{0, "oauth2_token_command", "CMD", "no password, but the OAuth 2.0 token that CMD prints",
	 TEXT(account.token_command), OF(ACCOUNT)},
	{0, "names", "label|uid", "subjects in file names, or none (default label)",
	 WORD(account.names)},
	{0, "ro", NULL, "change nothing", FLAG(account.read_only)},
	{0, "delete", "flag|trash|expunge", "what rm does to a message (default flag)",
	 WORD(account.delete_mode)},
	{0, "append_seen", NULL, "new messages are marked as seen", FLAG(account.append_seen)},
	{0, "xattr", NULL, "flags and more as extended attributes", FLAG(account.xattr)},
	{0, "inotify", "on|off", "tell watchers of folders the news (default on)",
	 WORD(account.inotify)},
	{0, "poll", "SECONDS", "how old a listing may be (default 30)", set_poll},
	{0, "idle", "FOLDERS|off", "watch these first (default INBOX), or nothing", set_idle},
	{0, "timeout", "SECONDS", "how long the server may be silent (default 30)", set_timeout},
	{0, "compress", "auto|on|off", "compress what goes over the line (default auto)",
	 WORD(account.compress)},
	{0, "cache_size", "SIZE", "disk space for messages (default 1G)", set_cache_size},
	{0, "delay_connect", NULL, "mount first, then connect", FLAG(account.delay_connect)},
	{0, "offline", NULL, "never connect: what is known, and changes for later",
	 FLAG(account.offline)},
	{0, "smtp", "URL", "send what is put into outbox/ through this server", set_smtp},
	{0, "smtp_tls", "off", "never encrypt that; only with smtp://", set_smtp_tls, SENDING},
	{0, "smtp_tls_fingerprint", "SHA256:HEX", "trust that certificate with this digest",
	 set_smtp_tls_fingerprint, SENDING},
	{0, "smtp_auth", "MECHANISMS", "log in there by these alone", set_smtp_auth, SENDING},
	{0, "smtp_password_command", "CMD", "as password_command, if it is another password",
	 TEXT(account.smtp.password_command), OF(SUBMISSION), SENDING},
	{0, "smtp_password_file", "FILE", "as password_file, likewise",
	 PATH(account.smtp.password_file), OF(SUBMISSION), SENDING},
	{0, "from", "ADDRESS", "the sender of mail that names none", set_from, SENDING},
	{0, "save_sent", "auto|yes|no", "file a copy of what was sent (default auto)",
	 WORD(account.smtp.save_sent), SENDING},
	{0, "send_delay", "SECONDS", "time to think again (default 2)", set_send_delay, SENDING},
	{0, "dsn_notify", "WHAT", "reports: never, or success+failure+delay", set_dsn_notify,
	 SENDING},
	{0, "nonempty", NULL, "mount also over a directory that is not empty", FLAG(nonempty)},
	{0, "sandbox", "auto|off", "lock up the process when all is open (default auto)",
	 WORD(sandbox)},
	{0, "allow_other", NULL, "let other users in", FLAG(allow_other)},
	{0, "all", NULL, "mount every account, on DIR/NAME", .result = OPTIONS_ALL, ONLY(COMMAND)},
	{0, "check", NULL, "try one account, or all, and tell what is there",
	 .result = OPTIONS_CHECK, ONLY(COMMAND)},
	{0, "list_accounts", NULL, "print the names of the accounts",
	 .result = OPTIONS_LIST_ACCOUNTS, ONLY(COMMAND)},
	{0, "print_config", NULL, "print what holds for an account, without secrets",
	 .result = OPTIONS_PRINT_CONFIG, ONLY(COMMAND)},
	{'h', "help", NULL, "print this and exit", .result = OPTIONS_HELP, ONLY(COMMAND)},
	{'V', "version", NULL, "print the version and exit", .result = OPTIONS_VERSION,
	 ONLY(COMMAND)},
	{0, "imap", "URL", NULL, set_imap, ONLY(ACCOUNT)},
	{0, "pop3", "URL", NULL, set_pop3, ONLY(ACCOUNT)},
	{0, "mountpoint", "DIR", NULL, PATH(mountpoint), ONLY(ACCOUNT)},
	{0, "password", "PASSWORD", NULL, set_password, OF(ACCOUNT), ONLY(ACCOUNT)},
	{0, "smtp_password", "PASSWORD", NULL, set_smtp_password, OF(SUBMISSION), ONLY(ACCOUNT),
	 SENDING},
};
const char *const options_fuse_words[] = {
	"allow_root", "auto_unmount", "default_permissions", "noatime", "nodiratime", NULL,
};

/* Words of mount(8) and fstab(5) that mean nothing here, or nothing new. */
static const char *const mount_words[] = {
	"auto",	  "noauto",  "user",	    "nouser",	     "users",	   "owner",
	"group",  "nofail",  "_netdev",	    "defaults",	     "rw",	   "suid",
	"nosuid", "dev",     "nodev",	    "exec",	     "noexec",	   "sync",
	"async",  "dirsync", "atime",	    "relatime",	     "diratime",   "norelatime",
	"silent", "loud",    "strictatime", "nostrictatime", "nolazytime", "lazytime",
	"mand",	  "nomand",  "iversion",    "noiversion",    NULL,
};
bool options_is_mount_word(const char *word)
{
	return g_strv_contains(mount_words, word) || g_str_has_prefix(word, "x-") ||
	       g_str_has_prefix(word, "X-") || g_str_has_prefix(word, "comment=");
}
const struct row *options_rows(size_t *ret_count)
{
	*ret_count = G_N_ELEMENTS(rows);
	return rows;
}

size_t options_row_index(const struct row *row)
{
	return (size_t)(row - rows);
}

const struct row *options_row_by_name(const char *key)
{
	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		if (rows[i].name && strcmp(rows[i].name, key) == 0)
			return &rows[i];
	}
	return NULL;
}

const struct row *options_row_by_letter(char letter)
{
	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		if (rows[i].letter == letter)
			return &rows[i];
	}
	return NULL;
}
