#include "config/conf.h"

#include "base/error.h"
#include "base/file.h"
#include "base/text.h"
#include "config/suggestion.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#define SYSTEM_FILE "/etc/mailfs.conf"
#define SHOWN_MAX 64

struct conf {
	char *path;
	char *text; /* cut up: keys and values point into it */
	gsize len;
	bool is_private;
	GPtrArray *groups;  /* of struct conf_group * */
	GHashTable *titles; /* title -> group */
};

/* Where the reader stands. */
struct reader {
	struct conf *conf;
	struct conf_group *group; /* NULL: before the first one */
	unsigned line;
};

__attribute__((format(printf, 3, 4))) static bool fail_at(const struct reader *reader,
							  GError **error, const char *format, ...)
{
	g_autofree char *message = NULL;
	va_list args;

	va_start(args, format);
	message = g_strdup_vprintf(format, args);
	va_end(args);
	g_set_error(error, MAILFS_ERROR, ERROR_CONFIG, "%s:%u: %s", reader->conf->path,
		    reader->line, message);
	return false;
}

static void group_free(gpointer data)
{
	struct conf_group *group = data;

	g_free(group->account);
	g_free(group->title);
	g_array_unref(group->entries);
	g_free(group);
}

bool conf_is_account_name(const char *name)
{
	size_t len = strlen(name);

	return len > 0 && len <= SUGGESTION_MAX && *name != '.' && *name != '-' &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
			    "0123456789._-") == len;
}

static bool group_unknown(const struct reader *reader, const char *text, const char *kind,
			  const char *name, GError **error)
{
	struct suggestion suggestion = suggestion_for(kind);
	g_autofree char *shown = text_clean(text, -1, SHOWN_MAX);

	suggestion_offer(&suggestion, "account");
	suggestion_offer(&suggestion, "defaults");
	/* Also "[work]", where the rest stands alone. */
	if (suggestion.name && *name && *suggestion.name == 'a' && conf_is_account_name(name))
		return fail_at(reader, error, "unknown group [%s], did you mean '[account %s]'?",
			       shown, name);
	if (suggestion.name && !*name && *suggestion.name == 'd')
		return fail_at(reader, error, "unknown group [%s], did you mean '[defaults]'?",
			       shown);
	if (!*name && conf_is_account_name(kind) && !suggestion.name)
		return fail_at(reader, error, "unknown group [%s], did you mean '[account %s]'?",
			       shown, kind);
	return fail_at(reader, error, "unknown group [%s], there are [defaults] and [account NAME]",
		       shown);
}

static bool group_begin(struct reader *reader, const char *account, GError **error)
{
	struct conf *conf = reader->conf;
	g_autofree char *title =
		account ? g_strdup_printf("[account %s]", account) : g_strdup("[defaults]");
	const struct conf_group *before = g_hash_table_lookup(conf->titles, title);
	struct conf_group *group;

	if (before)
		return fail_at(reader, error, "%s stands there twice, first in line %u", title,
			       before->line);
	group = g_new0(struct conf_group, 1);
	group->account = g_strdup(account);
	group->title = g_steal_pointer(&title);
	group->line = reader->line;
	group->entries = g_array_new(FALSE, TRUE, sizeof(struct conf_entry));
	g_ptr_array_add(conf->groups, group);
	g_hash_table_insert(conf->titles, group->title, group);
	reader->group = group;
	return true;
}

/* `text` stands between the brackets. */
static bool group_read(struct reader *reader, const char *text, GError **error)
{
	size_t len = strcspn(text, " \t");
	g_autofree char *kind = g_strndup(text, len);
	const char *name = text + len + strspn(text + len, " \t");

	if (strcmp(kind, "defaults") == 0 && *name == '\0')
		return group_begin(reader, NULL, error);
	if (strcmp(kind, "account") != 0)
		return group_unknown(reader, text, kind, name, error);
	if (*name == '\0')
		return fail_at(reader, error,
			       "[account] has no name, write it like [account work]");
	if (strlen(name) > SUGGESTION_MAX)
		return fail_at(reader, error, "the account's name is longer than %d bytes",
			       SUGGESTION_MAX);
	if (!conf_is_account_name(name)) {
		g_autofree char *shown = text_clean(name, -1, SHOWN_MAX);

		return fail_at(reader, error,
			       "the account's name '%s' has something else than letters, digits, "
			       "'_', and inside '.' and '-'",
			       shown);
	}
	return group_begin(reader, name, error);
}

/* Whatever has other characters may be a password that came here without its key: it is not shown.
 */
static bool is_key(const char *text)
{
	return text[strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_-")] == '\0';
}

static bool entry_read(struct reader *reader, char *line, char *equals, GError **error)
{
	struct conf_entry entry = {.key = line, .value = equals + 1, .line = reader->line};

	*equals = '\0';
	g_strchomp(line);
	if (!reader->group)
		return fail_at(reader, error,
			       "a key before the first group: begin with [defaults] or "
			       "[account NAME]");
	if (*line == '\0')
		return fail_at(reader, error, "there is no key before the '='");
	if (!is_key(line))
		return fail_at(reader, error,
			       "no key stands before the '=': keys have small letters, digits, "
			       "'-' and '_'");
	g_strdelimit(line, "-", '_');
	entry.value += strspn(entry.value, " \t");
	g_array_append_val(reader->group->entries, entry);
	return true;
}

/* What is wrong is not shown: it may be half a password. */
static bool line_read(struct reader *reader, char *line, GError **error)
{
	size_t len = strlen(line);
	char *equals;

	while (len > 0 && strchr(" \t", line[len - 1]))
		line[--len] = '\0';
	line += strspn(line, " \t");
	if (*line == '\0' || *line == '#' || *line == ';')
		return true;
	if (*line == '[') {
		char *end = strchr(line, ']');

		if (!end || end[1] != '\0')
			return fail_at(reader, error,
				       "a group ends with ']', and so does its line");
		*end = '\0';
		return group_read(reader, g_strstrip(line + 1), error);
	}
	equals = strchr(line, '=');
	if (!equals)
		return fail_at(reader, error,
			       "neither 'key = value' nor a [group] nor a # comment");
	return entry_read(reader, line, equals, error);
}

/* Before anything is cut. */
static bool text_check(const struct conf *conf, GError **error)
{
	struct reader reader = {.conf = (struct conf *)conf, .line = 1};
	const char *bad = NULL;

	if (g_str_has_prefix(conf->text, "\xef\xbb\xbf"))
		return fail_at(&reader, error, "a byte order mark: save the file without it");
	if (!g_utf8_validate(conf->text, (gssize)conf->len, &bad)) {
		for (const char *next = conf->text; next < bad; next++)
			reader.line += *next == '\n';
		return *bad ? fail_at(&reader, error, "not UTF-8: save the file as UTF-8")
			    : fail_at(&reader, error, "a NUL: this is no text");
	}
	for (const char *next = conf->text; *next; next++) {
		if (*next == '\r')
			return fail_at(&reader, error,
				       "a carriage return, as on Windows: save the file with "
				       "Unix line ends");
		reader.line += *next == '\n';
	}
	return true;
}

static bool text_read(struct conf *conf, GError **error)
{
	struct reader reader = {.conf = conf};
	char *line = conf->text;

	if (!text_check(conf, error))
		return false;
	while (line) {
		char *end = strchr(line, '\n');

		if (end)
			*end++ = '\0';
		reader.line++;
		if (!line_read(&reader, line, error))
			return false;
		line = end;
	}
	return true;
}

/* What is there but cannot be read is no reason to take another one. */
static bool is_there(const char *path)
{
	struct stat stat;

	return lstat(path, &stat) == 0 || (errno != ENOENT && errno != ENOTDIR);
}

/* NULL with an error: there is none. */
static char *default_path(GError **error)
{
	g_autofree char *own =
		g_build_filename(g_get_user_config_dir(), "mailfs", "mailfs.conf", NULL);

	/* Else it would be whatever file lies where somebody stands, and it names commands. */
	if (!g_path_is_absolute(own)) {
		g_set_error(error, MAILFS_ERROR, ERROR_CONFIG,
			    "HOME or XDG_CONFIG_HOME is not an absolute path");
		return NULL;
	}
	if (is_there(own))
		return g_steal_pointer(&own);
	if (is_there(SYSTEM_FILE))
		return g_strdup(SYSTEM_FILE);
	g_set_error(error, MAILFS_ERROR, ERROR_CONFIG,
		    "there is no configuration file: neither %s nor %s (see mailfs.conf(5))", own,
		    SYSTEM_FILE);
	return NULL;
}

static struct conf *conf_new(const char *path, GError **error)
{
	g_autoptr(GError) why = NULL;
	struct conf *conf;
	char *text;
	gsize len;
	bool is_private;

	if (!file_read_trusted(path, CONF_SIZE_MAX, &text, &len, &is_private, &why)) {
		g_set_error_literal(error, MAILFS_ERROR, ERROR_CONFIG, why->message);
		return NULL;
	}
	conf = g_new0(struct conf, 1);
	conf->path = g_strdup(path);
	conf->text = text;
	conf->len = len;
	conf->is_private = is_private;
	conf->groups = g_ptr_array_new_with_free_func(group_free);
	conf->titles = g_hash_table_new(g_str_hash, g_str_equal);
	return conf;
}

struct conf *conf_read(const char *path, GError **error)
{
	g_autofree char *found = path ? g_strdup(path) : default_path(error);
	struct conf *conf = found ? conf_new(found, error) : NULL;

	if (conf && !text_read(conf, error))
		conf_free(&conf);
	return conf;
}

void conf_free(struct conf **conf_ptr)
{
	struct conf *conf = g_steal_pointer(conf_ptr);

	if (!conf)
		return;
	g_hash_table_unref(conf->titles);
	g_ptr_array_unref(conf->groups);
	explicit_bzero(conf->text, conf->len);
	g_free(conf->text);
	g_free(conf->path);
	g_free(conf);
}

const char *conf_path(const struct conf *conf)
{
	return conf->path;
}

bool conf_is_private(const struct conf *conf)
{
	return conf->is_private;
}

const GPtrArray *conf_groups(const struct conf *conf)
{
	return conf->groups;
}

const struct conf_group *conf_group(const struct conf *conf, const char *account)
{
	g_autofree char *title =
		account ? g_strdup_printf("[account %s]", account) : g_strdup("[defaults]");

	return g_hash_table_lookup(conf->titles, title);
}

char **conf_accounts(const struct conf *conf)
{
	g_autoptr(GPtrArray) names = g_ptr_array_new();

	for (guint i = 0; i < conf->groups->len; i++) {
		const struct conf_group *group = g_ptr_array_index(conf->groups, i);

		if (group->account)
			g_ptr_array_add(names, g_strdup(group->account));
	}
	g_ptr_array_add(names, NULL);
	return (char **)g_ptr_array_steal(names, NULL);
}

const struct conf_entry *conf_entry(const struct conf_group *group, const char *key)
{
	for (guint i = 0; group && i < group->entries->len; i++) {
		const struct conf_entry *entry =
			&g_array_index(group->entries, struct conf_entry, i);

		if (strcmp(entry->key, key) == 0)
			return entry;
	}
	return NULL;
}

bool conf_no_account(const struct conf *conf, const char *name, GError **error)
{
	struct suggestion suggestion = suggestion_for(name);
	g_autofree char *shown = text_clean(name, -1, SHOWN_MAX);
	g_autofree char *hint = NULL;

	for (guint i = 0; i < conf->groups->len; i++) {
		const struct conf_group *group = g_ptr_array_index(conf->groups, i);

		if (group->account)
			suggestion_offer(&suggestion, group->account);
	}
	if (suggestion.name)
		hint = g_strdup_printf(", did you mean '%s'?", suggestion.name);
	g_set_error(error, MAILFS_ERROR, ERROR_CONFIG, "%s: no [account %s] there%s", conf->path,
		    shown, hint ? hint : "");
	return false;
}

bool conf_not_private(const struct conf *conf, GError **error)
{
	g_set_error(error, MAILFS_ERROR, ERROR_CONFIG,
		    "%s: there is a password in it: it must be yours alone (chmod 600 it)",
		    conf->path);
	return false;
}

struct secret *conf_password(const char *path, const char *account, const char *key, GError **error)
{
	struct conf *conf = conf_read(path, error);
	const struct conf_entry *entry;
	struct secret *secret = NULL;

	if (!conf)
		return NULL;
	entry = conf_entry(conf_group(conf, account), key);
	if (!entry || *entry->value == '\0')
		g_set_error(error, MAILFS_ERROR, ERROR_CONFIG, "%s: [account %s]: no %s any more",
			    path, account, key);
	else if (!conf->is_private)
		conf_not_private(conf, error);
	else
		secret = secret_new(entry->value, strlen(entry->value));
	conf_free(&conf);
	return secret;
}
