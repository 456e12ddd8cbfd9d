#include "config/options_private.h"

#include "base/error.h"
#include "base/text.h"
#include "config/suggestion.h"

#include <string.h>

static bool fail(const struct conf *conf, const struct conf_group *group, const char *message,
		 GError **error)
{
	g_set_error(error, MAILFS_ERROR, ERROR_CONFIG, "%s: %s: %s", conf_path(conf), group->title,
		    message);
	return false;
}

/* NULL: not a key. */
static const struct row *row_of(const char *key)
{
	const struct row *row = options_row_by_name(key);

	return row && row->place != PLACE_COMMAND ? row : NULL;
}

static bool key_unknown(const struct conf *conf, const struct conf_group *group, const char *key,
			GError **error)
{
	struct suggestion suggestion = suggestion_for(key);
	g_autofree char *shown = text_clean(key, -1, OPTIONS_KEY_SHOWN);
	g_autofree char *message = NULL;
	size_t count;
	const struct row *rows = options_rows(&count);

	for (size_t i = 0; i < count; i++) {
		if (rows[i].name && rows[i].place != PLACE_COMMAND &&
		    (group->account || rows[i].place != PLACE_ACCOUNT))
			suggestion_offer(&suggestion, rows[i].name);
	}
	for (size_t i = 0; options_fuse_words[i]; i++)
		suggestion_offer(&suggestion, options_fuse_words[i]);
	message = suggestion.name ? g_strdup_printf("%s: unknown key, did you mean '%s'?", shown,
						    suggestion.name)
				  : g_strdup_printf("%s: unknown key", shown);
	return fail(conf, group, message, error);
}

static bool key_check(const struct conf *conf, const struct conf_group *group,
		      const struct conf_entry *entry, GError **error)
{
	const struct row *row = row_of(entry->key);
	const struct conf_entry *first = conf_entry(group, entry->key);
	g_autofree char *message = NULL;

	if (!row && !g_strv_contains(options_fuse_words, entry->key))
		return key_unknown(conf, group, entry->key, error);
	if (!group->account && row && row->place == PLACE_ACCOUNT)
		message = g_strdup_printf("%s: belongs into an [account NAME]", entry->key);
	else if (first != entry)
		message = g_strdup_printf("%s: stands there twice, in lines %u and %u", entry->key,
					  first->line, entry->line);
	else if (*entry->value == '\0')
		message = g_strdup_printf("%s: has no value", entry->key);
	else if (row && row->place == PLACE_ACCOUNT && row->secret && !conf_is_private(conf))
		return conf_not_private(conf, error);
	return !message || fail(conf, group, message, error);
}

bool options_file_check(const struct conf *conf, GError **error)
{
	const GPtrArray *groups = conf_groups(conf);

	for (guint i = 0; i < groups->len; i++) {
		const struct conf_group *group = g_ptr_array_index(groups, i);

		for (guint j = 0; j < group->entries->len; j++) {
			if (!key_check(conf, group,
				       &g_array_index(group->entries, struct conf_entry, j), error))
				return false;
		}
	}
	return true;
}

static bool fuse_word_apply(struct parse *parse, const struct conf_entry *entry, GError **error)
{
	bool on;

	if (!options_parse_bool(entry->value, &on))
		return options_bad_value(error, entry->key, entry->value, "yes or no");
	options_fuse_set(parse->options, entry->key, on);
	return true;
}

static bool entry_apply(struct parse *parse, const struct conf_entry *entry, GError **error)
{
	const struct row *row = row_of(entry->key);

	if (!row)
		return fuse_word_apply(parse, entry, error);
	if (parse->origin == ORIGIN_DEFAULTS && g_hash_table_contains(parse->ignored, row))
		return true;
	return options_row_apply(row, parse, entry->value, error);
}

static bool group_apply(struct parse *parse, const struct conf *conf,
			const struct conf_group *group, GError **error)
{
	for (guint i = 0; group && i < group->entries->len; i++) {
		g_autoptr(GError) why = NULL;

		if (!entry_apply(parse, &g_array_index(group->entries, struct conf_entry, i), &why))
			return fail(conf, group, why->message, error);
	}
	return true;
}

bool options_file_apply(struct parse *parse, const struct conf *conf, const char *account,
			GError **error)
{
	const struct conf_group *group = conf_group(conf, account);
	bool imap = conf_entry(group, "imap") != NULL;

	if (imap && conf_entry(group, "pop3"))
		return fail(conf, group,
			    "imap and pop3 exclude each other: make two accounts of it", error);
	if (!imap && !conf_entry(group, "pop3"))
		return fail(conf, group,
			    "neither imap nor pop3 says where it is, as in "
			    "imap = imaps://alice@imap.example.org",
			    error);
	parse->origin = ORIGIN_DEFAULTS;
	if (!group_apply(parse, conf, conf_group(conf, NULL), error))
		return false;
	parse->origin = ORIGIN_ACCOUNT;
	if (!group_apply(parse, conf, group, error))
		return false;
	parse->options->account.alias = g_strdup(account);
	parse->options->account.config = g_strdup(conf_path(conf));
	return true;
}

static void row_print(const struct parse *parse, const struct row *row, GString *out)
{
	const struct said *said = &parse->said[options_row_index(row)];

	if (said->origin == ORIGIN_NONE)
		return;
	/* Only a command line can say this. */
	if (said->value && strchr(said->value, '\n'))
		g_string_append_printf(out, "# %s has several lines\n", row->name);
	else
		g_string_append_printf(out, "%s = %s\n", row->name,
				       said->value ? said->value : "yes");
}

char *options_file_print(const struct parse *parse, const char *account)
{
	GString *out = g_string_new(NULL);
	size_t count;
	const struct row *rows = options_rows(&count);

	g_string_append_printf(out, "[account %s]\n", account);
	for (size_t i = 0; i < count; i++) {
		if (rows[i].place == PLACE_ACCOUNT)
			row_print(parse, &rows[i], out);
	}
	for (size_t i = 0; i < count; i++) {
		if (rows[i].place == PLACE_ANY)
			row_print(parse, &rows[i], out);
	}
	for (guint i = 0; i < parse->options->fuse_options->len; i++) {
		const char *word = g_ptr_array_index(parse->options->fuse_options, i);

		if (!options_row_by_name(word))
			g_string_append_printf(out, "%s = yes\n", word);
	}
	return g_string_free(out, FALSE);
}
