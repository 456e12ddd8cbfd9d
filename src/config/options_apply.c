#include "config/options_private.h"

#include "base/error.h"
#include "base/text.h"
#include "config/suggestion.h"

#include <string.h>

bool options_bad_value(GError **error, const char *name, const char *value, const char *wanted)
{
	g_autofree char *shown = text_clean(value, -1, 64);

	g_set_error(error, MAILFS_ERROR, ERROR_CONFIG, "%s: '%s' is not %s", name, shown, wanted);
	return false;
}

void options_fuse_set(struct options *options, const char *option, bool on)
{
	guint at;
	bool there =
		g_ptr_array_find_with_equal_func(options->fuse_options, option, g_str_equal, &at);

	if (on && !there)
		g_ptr_array_add(options->fuse_options, g_strdup(option));
	if (!on && there)
		g_ptr_array_remove_index(options->fuse_options, at);
}

bool options_unknown(const char *key, bool is_long, GError **error)
{
	const char *dashes = is_long ? "--" : "";
	struct suggestion suggestion = suggestion_for(key);
	g_autofree char *shown = text_clean(key, -1, OPTIONS_KEY_SHOWN);
	g_autofree char *hint = NULL;
	size_t count;
	const struct row *rows = options_rows(&count);

	for (size_t i = 0; i < count; i++) {
		if (rows[i].name && rows[i].place != PLACE_ACCOUNT &&
		    (is_long || rows[i].result == OPTIONS_RUN))
			suggestion_offer(&suggestion, rows[i].name);
	}
	for (size_t i = 0; !is_long && options_fuse_words[i]; i++)
		suggestion_offer(&suggestion, options_fuse_words[i]);
	if (suggestion.name)
		hint = g_strdup_printf(", did you mean '%s%s'?", dashes, suggestion.name);
	if (is_long && hint)
		g_strdelimit(hint, "_", '-');
	if (is_long)
		g_strdelimit(shown, "_", '-');
	g_set_error(error, MAILFS_ERROR, ERROR_USAGE, "unknown option '%s%s'%s", dashes, shown,
		    hint ? hint : "");
	return false;
}

char *options_key_split(const char *text, const char **ret_value)
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

bool options_parse_bool(const char *value, bool *ret)
{
	static const char *const yes[] = {"yes", "on", "true", "1", NULL};
	static const char *const no[] = {"no", "off", "false", "0", NULL};

	if (!g_strv_contains(yes, value) && !g_strv_contains(no, value))
		return false;
	*ret = g_strv_contains(yes, value);
	return true;
}

/* The word itself, or one that says the same: "yes" where the words are "on" and "off". */
static bool word_fits(const char *word, const char *value)
{
	bool meant;
	bool said;

	return strcmp(word, value) == 0 || (options_parse_bool(word, &meant) &&
					    options_parse_bool(value, &said) && meant == said);
}

static bool word_apply(const struct row *row, struct parse *parse, const char *value,
		       GError **error)
{
	g_auto(GStrv) words = g_strsplit(row->value, "|", -1);
	g_autofree char *wanted = NULL;

	for (unsigned i = 0; words[i]; i++) {
		if (!word_fits(words[i], value))
			continue;
		*(unsigned *)(void *)((char *)parse->options + row->word) = i;
		return true;
	}
	wanted = list_words(words);
	return options_bad_value(error, row->name, value, wanted);
}

/* What stands where it is not expected is not repeated: it may be a secret. */
static bool flag_apply(const struct row *row, struct parse *parse, const char *value,
		       GError **error)
{
	bool on = true;

	if (value && !options_parse_bool(value, &on)) {
		g_set_error(error, MAILFS_ERROR, ERROR_USAGE, "%s: is yes or no", row->name);
		return false;
	}
	*(bool *)((char *)parse->options + row->flag) = on;
	return true;
}

/* The daemon leaves the current directory, and a shell does not know the '~' of --option=~/file.
 * What is relative in the file would depend on where somebody stands. */
static char *path_new(const struct parse *parse, const char *name, const char *value,
		      GError **error)
{
	g_autofree char *home = NULL;

	if (value[0] == '~' && value[1] == '/') {
		home = g_build_filename(g_get_home_dir(), value + 2, NULL);
		if (!g_path_is_absolute(home)) {
			g_set_error(error, MAILFS_ERROR, ERROR_CONFIG,
				    "%s: HOME is not an absolute path", name);
			return NULL;
		}
	} else if (parse->origin != ORIGIN_COMMAND && !g_path_is_absolute(value)) {
		options_bad_value(error, name, value, "a path that begins with '/' or '~/'");
		return NULL;
	}
	return g_canonicalize_filename(home ? home : value, parse->dir);
}

static bool text_apply(const struct row *row, struct parse *parse, const char *value,
		       GError **error)
{
	char **field =
		(char **)(void *)((char *)parse->options + (row->path ? row->path : row->text));
	char *text = row->path ? path_new(parse, row->name, value, error) : g_strdup(value);

	if (!text)
		return false;
	g_free(*field);
	*field = text;
	return true;
}

static bool value_apply(const struct row *row, struct parse *parse, const char *value,
			GError **error)
{
	if (row->set)
		return row->set(parse, value, error);
	if (row->text || row->path)
		return text_apply(row, parse, value, error);
	if (row->word)
		return word_apply(row, parse, value, error);
	if (row->result == OPTIONS_RUN)
		return flag_apply(row, parse, value, error);
	if (parse->result != OPTIONS_RUN && parse->result != row->result &&
	    row->result < OPTIONS_HELP) {
		g_set_error_literal(error, MAILFS_ERROR, ERROR_USAGE,
				    "--all, --check, --list-accounts and --print-config exclude "
				    "each other");
		return false;
	}
	parse->result = row->result;
	return true;
}

/* Said in the same place, where nothing tells which one is meant. NULL: there is none. */
static const struct row *secret_rival(const struct row *row, const struct parse *parse)
{
	size_t count;
	const struct row *rows = options_rows(&count);

	for (size_t i = 0; i < count; i++) {
		if (&rows[i] != row && rows[i].secret == row->secret &&
		    parse->said[i].origin == parse->origin)
			return &rows[i];
	}
	return NULL;
}

/* Takes back what weighs less: where the password comes from is one decision. */
static void secret_outrank(const struct row *row, struct parse *parse)
{
	struct account *account = &parse->options->account;
	size_t count;
	const struct row *rows = options_rows(&count);

	for (size_t i = 0; i < count; i++) {
		struct said *said = &parse->said[i];

		if (rows[i].secret != row->secret || said->origin == ORIGIN_NONE ||
		    said->origin >= parse->origin)
			continue;
		if (rows[i].text || rows[i].path)
			g_clear_pointer(
				(char **)(void *)((char *)parse->options +
						  (rows[i].path ? rows[i].path : rows[i].text)),
				g_free);
		else if (row->secret == SECRET_ACCOUNT)
			account->password_in_file = false;
		else
			account->smtp.password_in_file = false;
		said->origin = ORIGIN_NONE;
	}
}

static bool secret_decide(const struct row *row, struct parse *parse, GError **error)
{
	const struct row *rival = secret_rival(row, parse);

	if (rival) {
		g_set_error(error, MAILFS_ERROR, ERROR_USAGE,
			    "%s and %s exclude each other: say one of them", rival->name,
			    row->name);
		return false;
	}
	secret_outrank(row, parse);
	return true;
}

static void said_note(const struct row *row, struct parse *parse, const char *value)
{
	struct said *said = &parse->said[options_row_index(row)];
	bool is_password = row->secret && row->place == PLACE_ACCOUNT;
	char *const *path = (char **)(void *)((char *)parse->options + row->path);

	g_free(said->value);
	said->value = g_strdup(is_password ? "********" : row->path ? *path : value);
	said->origin = parse->origin;
}

void options_forget_sending(struct parse *parse)
{
	size_t count;
	const struct row *rows = options_rows(&count);
	const struct row *smtp = options_row_by_name("smtp");

	for (size_t i = 0; i < count; i++) {
		if (rows[i].sending || &rows[i] == smtp)
			parse->said[i].origin = ORIGIN_NONE;
	}
}

bool options_row_apply(const struct row *row, struct parse *parse, const char *value,
		       GError **error)
{
	char letter[] = {'-', row->letter, '\0'};
	const char *name = row->name ? row->name : letter;
	bool is_switch = !row->name || row->result != OPTIONS_RUN;

	if (row->value && (!value || *value == '\0')) {
		g_set_error(error, MAILFS_ERROR, ERROR_USAGE, "option '%s' needs a value", name);
		return false;
	}
	if (!row->value && value && is_switch) {
		g_set_error(error, MAILFS_ERROR, ERROR_USAGE, "option '%s' takes no value", name);
		return false;
	}
	if (row->sending)
		parse->sending = name;
	if (row->secret && !secret_decide(row, parse, error))
		return false;
	if (!value_apply(row, parse, value, error))
		return false;
	said_note(row, parse, value);
	return true;
}

static bool list_item_apply(struct parse *parse, const char *item, GError **error)
{
	const char *value;
	g_autofree char *key = NULL;
	const struct row *row;

	if (*item == '\0' || options_is_mount_word(item))
		return true;
	key = options_key_split(item, &value);
	row = options_row_by_name(key);
	if (row && row->result == OPTIONS_RUN && row->place != PLACE_ACCOUNT)
		return options_row_apply(row, parse, value, error);
	if (!value && g_strv_contains(options_fuse_words, key)) {
		options_fuse_set(parse->options, key, true);
		return true;
	}
	return options_unknown(key, false, error);
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

bool options_set_list(struct parse *parse, const char *value, GError **error)
{
	g_autoptr(GString) item = g_string_new(NULL);

	while (*value) {
		value = list_item_read(value, item);
		if (!list_item_apply(parse, item->str, error))
			return false;
	}
	return true;
}
