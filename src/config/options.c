#include "config/options.h"

#include "base/error.h"
#include "base/number.h"
#include "base/text.h"

#include <stddef.h>
#include <string.h>

#define CACHE_SIZE_MIN (1024ull * 1024)
#define TIMEOUT_MAX_S 600
#define SEND_DELAY_MAX_S 3600
#define KEY_MAX 32

/* What the command line has said so far. */
struct parse {
	struct options *options;
	GPtrArray *arguments; /* of const char *: SOURCE and MOUNTPOINT */
	bool tls_off;	      /* waits until the URL is known */
	bool smtp_tls_off;    /* likewise */
	const char *sending;  /* an option that means nothing without smtp; NULL: none */
	enum options_result result;
};

/* One row an option: the parser, --help and the suggestions all come from it. */
struct row {
	char letter;	   /* 0: none */
	const char *name;  /* as -o key, with '_'; NULL: only a letter */
	const char *value; /* name of the value; NULL: takes none */
	const char *help;
	/* With a value: false with an error. */
	bool (*set)(struct parse *parse, const char *value, GError **error);
	size_t word; /* or where in struct options the enum stands whose words `value` lists */
	size_t flag; /* without: where its bool stands, */
	enum options_result result; /* or what to do instead of running */
	bool sending;		    /* means nothing without smtp */
};

static bool bad_value(GError **error, const char *name, const char *value, const char *wanted)
{
	g_autofree char *shown = text_clean(value, -1, 64);

	g_set_error(error, MAILFS_ERROR, ERROR_CONFIG, "%s: '%s' is not %s", name, shown, wanted);
	return false;
}

static void replace(char **text, char *with)
{
	g_free(*text);
	*text = with;
}

/* The daemon leaves the current directory, and a shell does not know the '~' of --option=~/file. */
static char *path_new(const char *value)
{
	g_autofree char *home = NULL;

	if (value[0] == '~' && value[1] == '/')
		home = g_build_filename(g_get_home_dir(), value + 2, NULL);
	return g_canonicalize_filename(home ? home : value, NULL);
}

static bool set_list(struct parse *parse, const char *value, GError **error);

static bool set_tls(struct parse *parse, const char *value, GError **error)
{
	if (strcmp(value, "off") != 0)
		return bad_value(error, "tls", value, "off");
	parse->tls_off = true;
	return true;
}

static bool set_auth(struct parse *parse, const char *value, GError **error)
{
	if (strcmp(value, "apop") != 0)
		return bad_value(error, "auth", value, "apop");
	parse->options->account.apop = true;
	return true;
}

static bool set_tls_ca(struct parse *parse, const char *value, GError **error)
{
	replace(&parse->options->account.tls_ca, path_new(value));
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
		return bad_value(error, name, value, "SHA256: and 64 hex digits");
	replace(fingerprint, g_strdup(text->str));
	return true;
}

static bool set_tls_fingerprint(struct parse *parse, const char *value, GError **error)
{
	return fingerprint_parse("tls_fingerprint", value, &parse->options->account.tls_fingerprint,
				 error);
}

static bool set_password_command(struct parse *parse, const char *value, GError **error)
{
	replace(&parse->options->account.password_command, g_strdup(value));
	return true;
}

static bool set_password_file(struct parse *parse, const char *value, GError **error)
{
	replace(&parse->options->account.password_file, path_new(value));
	return true;
}

static bool set_poll(struct parse *parse, const char *value, GError **error)
{
	uint32_t seconds;

	if (!number_parse_seconds(value, &seconds) || seconds < 1)
		return bad_value(error, "poll", value, "a number of seconds, at least 1");
	parse->options->account.poll_s = seconds;
	return true;
}

/* Folders as they stand in the mount. */
static bool set_idle(struct parse *parse, const char *value, GError **error)
{
	if (!text_is_visible(value))
		return bad_value(error, "idle", value, "folders with ':' between them, or off");
	replace(&parse->options->account.idle, g_strdup(strcmp(value, "off") == 0 ? "" : value));
	return true;
}

static bool set_timeout(struct parse *parse, const char *value, GError **error)
{
	uint32_t seconds;

	if (!number_parse_seconds(value, &seconds) || seconds < 1 || seconds > TIMEOUT_MAX_S)
		return bad_value(error, "timeout", value, "a number of seconds from 1 to 600");
	parse->options->account.timeout_s = seconds;
	return true;
}

static bool set_cache_size(struct parse *parse, const char *value, GError **error)
{
	uint64_t bytes;

	if (!number_parse_size(value, &bytes) || bytes < CACHE_SIZE_MIN || bytes > INT64_MAX)
		return bad_value(error, "cache_size", value, "a size like 500M, at least 1M");
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
		return bad_value(error, "smtp_tls", value, "off");
	parse->smtp_tls_off = true;
	return true;
}

static bool set_smtp_tls_fingerprint(struct parse *parse, const char *value, GError **error)
{
	return fingerprint_parse("smtp_tls_fingerprint", value,
				 &parse->options->account.smtp.tls_fingerprint, error);
}

static bool set_smtp_password_command(struct parse *parse, const char *value, GError **error)
{
	replace(&parse->options->account.smtp.password_command, g_strdup(value));
	return true;
}

static bool set_smtp_password_file(struct parse *parse, const char *value, GError **error)
{
	replace(&parse->options->account.smtp.password_file, path_new(value));
	return true;
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
		return bad_value(error, "from", value, "an address like alice@example.org");
	replace(&parse->options->account.smtp.from, g_strdup(value));
	return true;
}

static bool set_send_delay(struct parse *parse, const char *value, GError **error)
{
	uint32_t seconds;

	if (!number_parse_seconds(value, &seconds) || seconds > SEND_DELAY_MAX_S)
		return bad_value(error, "send_delay", value, "a number of seconds from 0 to 3600");
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
		return bad_value(error, "dsn_notify", value,
				 "never, or success, failure and delay with '+' between them");
	parse->options->account.smtp.dsn_notify = notify;
	return true;
}

static void fuse_option_add(struct options *options, const char *option)
{
	if (!g_ptr_array_find_with_equal_func(options->fuse_options, option, g_str_equal, NULL))
		g_ptr_array_add(options->fuse_options, g_strdup(option));
}

#define WORD(field) .word = offsetof(struct options, field)
#define FLAG(field) .flag = offsetof(struct options, field)
#define SENDING .sending = true

static const struct row rows[] = {
	{'f', NULL, NULL, "stay in the foreground", FLAG(foreground)},
	{'d', NULL, NULL, "trace requests and protocol to stderr, implies -f", FLAG(debug)},
	{'s', NULL, NULL, "serve with a single thread", FLAG(single)},
	{'o', NULL, "OPT[,OPT...]", "options as in fstab(5), see below", set_list},
	{0, "tls", "off", "never encrypt; only with imap:// or pop3://", set_tls},
	{0, "tls_ca", "FILE", "trust the CA certificates in FILE only", set_tls_ca},
	{0, "tls_fingerprint", "SHA256:HEX", "trust the certificate with this digest",
	 set_tls_fingerprint},
	{0, "auth", "apop", "POP3: log in without sending the password", set_auth},
	{0, "password_command", "CMD", "the password is the first line that CMD prints",
	 set_password_command},
	{0, "password_file", "FILE", "the password is the first line of FILE", set_password_file},
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
	{0, "smtp_password_command", "CMD", "as password_command, if it is another password",
	 set_smtp_password_command, SENDING},
	{0, "smtp_password_file", "FILE", "as password_file, likewise", set_smtp_password_file,
	 SENDING},
	{0, "from", "ADDRESS", "the sender of mail that names none", set_from, SENDING},
	{0, "save_sent", "auto|yes|no", "file a copy of what was sent (default auto)",
	 WORD(account.smtp.save_sent), SENDING},
	{0, "send_delay", "SECONDS", "time to think again (default 2)", set_send_delay, SENDING},
	{0, "dsn_notify", "WHAT", "reports: never, or success+failure+delay", set_dsn_notify,
	 SENDING},
	{0, "nonempty", NULL, "mount also over a directory that is not empty", FLAG(nonempty)},
	{0, "allow_other", NULL, "let other users in", FLAG(allow_other)},
	{'h', "help", NULL, "print this and exit", .result = OPTIONS_HELP},
	{'V', "version", NULL, "print the version and exit", .result = OPTIONS_VERSION},
};

/* Words of mount(8) that libfuse shall see. */
static const char *const fuse_words[] = {
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

static bool is_mount_word(const char *word)
{
	return g_strv_contains(mount_words, word) || g_str_has_prefix(word, "x-") ||
	       g_str_has_prefix(word, "X-") || g_str_has_prefix(word, "comment=");
}

/* `b` is the name of an option. */
static size_t edit_distance(const char *a, const char *b)
{
	size_t len = strlen(b);
	size_t line[KEY_MAX + 1];

	g_assert(len <= KEY_MAX);
	for (size_t j = 0; j <= len; j++)
		line[j] = j;
	for (size_t i = 0; a[i]; i++) {
		size_t diagonal = line[0];

		line[0] = i + 1;
		for (size_t j = 0; j < len; j++) {
			size_t change = diagonal + (a[i] != b[j]);

			diagonal = line[j + 1];
			line[j + 1] = MIN(change, MIN(diagonal, line[j]) + 1);
		}
	}
	return line[len];
}

/* The best of a few: at most two typing errors, or the beginning of a name. */
static void suggest(const char *name, const char *key, size_t *best, const char **ret_name)
{
	size_t distance = edit_distance(key, name);

	if (strlen(key) >= 3 && g_str_has_prefix(name, key))
		distance = MIN(distance, 2);
	if (distance < *best && distance < strlen(key)) {
		*best = distance;
		*ret_name = name;
	}
}

static bool unknown_option(const char *key, bool is_long, GError **error)
{
	const char *dashes = is_long ? "--" : "";
	g_autofree char *shown = text_clean(key, -1, KEY_MAX);
	g_autofree char *hint = NULL;
	const char *name = NULL;
	size_t best = 3;

	/* The distance costs the product of both lengths. */
	for (size_t i = 0; strlen(key) <= KEY_MAX && i < G_N_ELEMENTS(rows); i++) {
		if (rows[i].name && (is_long || !rows[i].letter))
			suggest(rows[i].name, key, &best, &name);
	}
	for (size_t i = 0; !is_long && strlen(key) <= KEY_MAX && fuse_words[i]; i++)
		suggest(fuse_words[i], key, &best, &name);
	if (name)
		hint = g_strdup_printf(", did you mean '%s%s'?", dashes, name);
	if (is_long && hint)
		g_strdelimit(hint, "_", '-');
	if (is_long)
		g_strdelimit(shown, "_", '-');
	g_set_error(error, MAILFS_ERROR, ERROR_USAGE, "unknown option '%s%s'%s", dashes, shown,
		    hint ? hint : "");
	return false;
}

static const struct row *row_by_name(const char *key)
{
	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		if (rows[i].name && strcmp(rows[i].name, key) == 0)
			return &rows[i];
	}
	return NULL;
}

static const struct row *row_by_letter(char letter)
{
	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		if (rows[i].letter == letter)
			return &rows[i];
	}
	return NULL;
}

/* The key of "key=value" with '_' for '-'; `*ret_value` points behind the '=' or is NULL. */
static char *key_split(const char *text, const char **ret_value)
{
	size_t len = strcspn(text, "=");

	*ret_value = text[len] ? text + len + 1 : NULL;
	return g_strdelimit(g_strndup(text, len), "-", '_');
}

/* "auto, yes or no" */
static char *list_words(char **words)
{
	guint last = g_strv_length(words) - 1;
	g_autofree char *tail = g_steal_pointer(&words[last]);
	g_autofree char *head = g_strjoinv(", ", words);

	return g_strdup_printf("%s or %s", head, tail);
}

static bool word_apply(const struct row *row, struct parse *parse, const char *value,
		       GError **error)
{
	g_auto(GStrv) words = g_strsplit(row->value, "|", -1);
	g_autofree char *wanted = NULL;

	for (unsigned i = 0; words[i]; i++) {
		if (strcmp(words[i], value) != 0)
			continue;
		*(unsigned *)(void *)((char *)parse->options + row->word) = i;
		return true;
	}
	wanted = list_words(words);
	return bad_value(error, row->name, value, wanted);
}

static bool row_apply(const struct row *row, struct parse *parse, const char *value, GError **error)
{
	char letter[] = {'-', row->letter, '\0'};
	const char *name = row->name ? row->name : letter;

	if (row->value && (!value || *value == '\0')) {
		g_set_error(error, MAILFS_ERROR, ERROR_USAGE, "option '%s' needs a value", name);
		return false;
	}
	if (!row->value && value) {
		g_set_error(error, MAILFS_ERROR, ERROR_USAGE, "option '%s' takes no value", name);
		return false;
	}
	if (row->sending)
		parse->sending = name;
	if (row->set)
		return row->set(parse, value, error);
	if (row->word)
		return word_apply(row, parse, value, error);
	if (row->result != OPTIONS_RUN)
		parse->result = row->result;
	else
		*(bool *)((char *)parse->options + row->flag) = true;
	return true;
}

static bool list_item_apply(struct parse *parse, const char *item, GError **error)
{
	const char *value;
	g_autofree char *key = NULL;
	const struct row *row;

	if (*item == '\0' || is_mount_word(item))
		return true;
	key = key_split(item, &value);
	row = row_by_name(key);
	if (row && !row->letter)
		return row_apply(row, parse, value, error);
	if (!value && g_strv_contains(fuse_words, key)) {
		fuse_option_add(parse->options, key);
		return true;
	}
	return unknown_option(key, false, error);
}

/* Takes the item in front of the next ',' that no backslash protects. */
static const char *list_item_read(const char *list, GString *item)
{
	g_string_truncate(item, 0);
	for (; *list && *list != ','; list++) {
		if (*list == '\\' && (list[1] == ',' || list[1] == '\\'))
			list++;
		g_string_append_c(item, *list);
	}
	return *list ? list + 1 : list;
}

static bool set_list(struct parse *parse, const char *value, GError **error)
{
	g_autoptr(GString) item = g_string_new(NULL);

	while (*value) {
		value = list_item_read(value, item);
		if (!list_item_apply(parse, item->str, error))
			return false;
	}
	return true;
}

/* "--key", "--key=value", or "--key" and the value in `next`, which `*ret_used` tells. */
static bool long_apply(struct parse *parse, const char *text, const char *next, bool *ret_used,
		       GError **error)
{
	const char *value;
	g_autofree char *key = key_split(text, &value);
	const struct row *row = row_by_name(key);

	if (!row)
		return unknown_option(key, true, error);
	if (row->value && !value) {
		value = next;
		*ret_used = true;
	}
	return row_apply(row, parse, value, error);
}

/* Letters in a row; the first one with a value takes the rest, or `next`. */
static bool letters_apply(struct parse *parse, const char *letters, const char *next,
			  bool *ret_used, GError **error)
{
	for (; *letters && parse->result == OPTIONS_RUN; letters++) {
		const struct row *row = row_by_letter(*letters);

		if (!row) {
			g_autofree char *shown = text_clean(letters, 1, 4);

			g_set_error(error, MAILFS_ERROR, ERROR_USAGE, "unknown option '-%s'",
				    shown);
			return false;
		}
		if (row->value) {
			*ret_used = letters[1] == '\0';
			return row_apply(row, parse, *ret_used ? next : letters + 1, error);
		}
		if (!row_apply(row, parse, NULL, error))
			return false;
	}
	return true;
}

/* mount(8) gives its helpers letters of its own: not to write mtab, to be verbose or sloppy, and
 * the type, which says nothing new. */
static bool helper_letters(const char *text, bool *ret_used)
{
	*ret_used = strcmp(text, "-t") == 0;
	return *ret_used || (text[1] != '\0' && strspn(text + 1, "nsv") == strlen(text + 1));
}

/* Options may stand behind the arguments: mount(8) writes them so. */
static bool arguments_read(struct parse *parse, int argc, char **argv, GError **error)
{
	g_autofree char *name = argc > 0 ? g_path_get_basename(argv[0]) : g_strdup("");
	bool is_helper = g_str_has_prefix(name, "mount.");
	bool options_end = false;

	for (int i = 1; i < argc && parse->result == OPTIONS_RUN; i++) {
		const char *next = i + 1 < argc ? argv[i + 1] : NULL;
		const char *text = argv[i];
		bool used = false;
		bool ok = true;

		if (options_end || text[0] != '-' || text[1] == '\0')
			g_ptr_array_add(parse->arguments, argv[i]);
		else if (strcmp(text, "--") == 0)
			options_end = true;
		else if (text[1] == '-')
			ok = long_apply(parse, text + 2, next, &used, error);
		else if (!is_helper || !helper_letters(text, &used))
			ok = letters_apply(parse, text + 1, next, &used, error);
		if (!ok)
			return false;
		i += used;
	}
	return true;
}

static bool usage(GError **error, const char *message)
{
	g_set_error_literal(error, MAILFS_ERROR, ERROR_USAGE, message);
	return false;
}

/* tls_ca is for both servers. */
static bool smtp_has_tls(const struct parse *parse)
{
	return parse->options->account.smtp.host && !parse->smtp_tls_off;
}

static bool is_pop3(const struct account *account)
{
	return account->protocol == ACCOUNT_POP3;
}

/* What a maildrop has not. */
static bool protocol_apply(const struct parse *parse, GError **error)
{
	const struct account *account = &parse->options->account;

	if (!is_pop3(account))
		return account->apop ? usage(error, "auth=apop is for POP3 alone") : true;
	if (account->delete_mode != DELETE_FLAG)
		return usage(error,
			     "POP3 has no Trash and no marks: only delete=flag goes with it");
	if (account->append_seen)
		return usage(error, "append_seen means nothing with POP3: it takes no messages");
	if (account->idle && *account->idle)
		return usage(error, "idle: POP3 has nothing that could be watched");
	if (account->compress == COMPRESS_ON)
		return usage(error, "compress=on: POP3 knows no compression");
	if (account->smtp.save_sent == SAVE_SENT_YES)
		return usage(error, "save_sent=yes: POP3 has no folder for what was sent");
	return true;
}

static bool tls_apply(const struct parse *parse, GError **error)
{
	struct account *account = &parse->options->account;

	if (!parse->tls_off)
		return true;
	if (account->tls == TLS_IMPLICIT)
		return usage(error, is_pop3(account) ? "tls=off contradicts pop3s://, use pop3://"
						     : "tls=off contradicts imaps://, use imap://");
	if (account->tls_fingerprint || (account->tls_ca && !smtp_has_tls(parse)))
		return usage(error, "tls=off leaves no certificate for tls_ca or tls_fingerprint");
	account->tls = TLS_OFF;
	return true;
}

static bool smtp_apply(const struct parse *parse, GError **error)
{
	struct account *account = &parse->options->account;
	struct submission *smtp = &account->smtp;

	if (!smtp->host && parse->sending) {
		g_set_error(error, MAILFS_ERROR, ERROR_USAGE, "%s means nothing without smtp=URL",
			    parse->sending);
		return false;
	}
	if (smtp->host && account->read_only)
		return usage(error, "ro contradicts smtp: nothing is sent from a read-only mount");
	if (!parse->smtp_tls_off)
		return true;
	if (smtp->tls == TLS_IMPLICIT)
		return usage(error, "smtp_tls=off contradicts smtps://, use smtp://");
	if (smtp->tls_fingerprint)
		return usage(error, "smtp_tls=off leaves no certificate for smtp_tls_fingerprint");
	smtp->tls = TLS_OFF;
	return true;
}

static bool arguments_apply(const struct parse *parse, GError **error)
{
	struct options *options = parse->options;
	char **arguments = (char **)parse->arguments->pdata;

	if (parse->arguments->len == 0)
		return usage(error, "SOURCE and MOUNTPOINT are missing");
	if (parse->arguments->len == 1)
		return usage(error, "MOUNTPOINT is missing");
	if (parse->arguments->len > 2)
		return usage(error, "more than SOURCE and MOUNTPOINT were given");
	if (*arguments[1] == '\0')
		return usage(error, "MOUNTPOINT is empty");
	if (!account_parse_url(&options->account, arguments[0], error) ||
	    !tls_apply(parse, error) || !protocol_apply(parse, error) || !smtp_apply(parse, error))
		return false;
	if (options->allow_other)
		fuse_option_add(options, "allow_other");
	options->foreground |= options->debug;
	options->source = g_strdup(arguments[0]);
	options->mountpoint = g_canonicalize_filename(arguments[1], NULL);
	return true;
}

static void options_init(struct options *options)
{
	*options = (struct options){
		.account = {.names = NAMES_LABEL,
			    .poll_s = 30,
			    .timeout_s = 30,
			    .cache_size_bytes = 1024ull * 1024 * 1024,
			    .smtp = {.send_delay_s = 2}},
		.fuse_options = g_ptr_array_new_with_free_func(g_free),
	};
}

enum options_result options_parse(struct options *options, int argc, char **argv, GError **error)
{
	g_autoptr(GPtrArray) arguments = g_ptr_array_new();
	struct parse parse = {.options = options, .arguments = arguments, .result = OPTIONS_RUN};

	options_init(options);
	if (!arguments_read(&parse, argc, argv, error) ||
	    (parse.result == OPTIONS_RUN && !arguments_apply(&parse, error)))
		parse.result = OPTIONS_ERROR;
	if (parse.result != OPTIONS_RUN)
		options_clear(options);
	return parse.result;
}

void options_clear(struct options *options)
{
	account_clear(&options->account);
	g_free(options->source);
	g_free(options->mountpoint);
	g_clear_pointer(&options->fuse_options, g_ptr_array_unref);
	*options = (struct options){0};
}

static char *row_usage(const struct row *row)
{
	GString *out = g_string_new(NULL);

	if (row->letter)
		g_string_append_printf(out, "-%c", row->letter);
	if (row->name) {
		g_autofree char *name = g_strdelimit(g_strdup(row->name), "_", '-');

		g_string_append_printf(out, "%s--%s", row->letter ? ", " : "", name);
	}
	if (row->value)
		g_string_append_printf(out, "%s%s", row->name ? "=" : " ", row->value);
	return g_string_free(out, FALSE);
}

char *options_help(void)
{
	GString *out = g_string_new("Usage: mailfs [OPTIONS] SOURCE MOUNTPOINT\n"
				    "\n"
				    "Mounts the folders of a mail account as directories and its "
				    "messages as files.\n"
				    "SOURCE is imaps://USER@HOST[:PORT] (TLS), "
				    "imap://USER@HOST[:PORT] (STARTTLS),\n"
				    "pop3s://USER@HOST[:PORT] (TLS) or "
				    "pop3://USER@HOST[:PORT] (STARTTLS);\n"
				    "URL is smtps://[USER@]HOST[:PORT] (TLS) or "
				    "smtp://[USER@]HOST[:PORT] (STARTTLS).\n"
				    "\n");

	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_autofree char *left = row_usage(&rows[i]);

		/* Too long for its column: the help goes into the next line. */
		if (strlen(left) > 24)
			g_string_append_printf(out, "  %s\n%28s%s\n", left, "", rows[i].help);
		else
			g_string_append_printf(out, "  %-26s%s\n", left, rows[i].help);
	}
	g_string_append(out, "\nLong options with '--' can be given to -o too, as can options of "
			     "mount(8).\n"
			     "Unmount with: fusermount3 -u MOUNTPOINT\n");
	return g_string_free(out, FALSE);
}
