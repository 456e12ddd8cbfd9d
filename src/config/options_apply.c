#include "config/options_private.h"

#include "base/error.h"
#include "base/text.h"

#include <string.h>

bool options_bad_value(GError **error, const char *name, const char *value, const char *wanted)
{
	g_autofree char *shown = text_clean(value, -1, 64);

	g_set_error(error, MAILFS_ERROR, ERROR_CONFIG, "%s: '%s' is not %s", name, shown, wanted);
	return false;
}

void options_fuse_add(struct options *options, const char *option)
{
	if (!g_ptr_array_find_with_equal_func(options->fuse_options, option, g_str_equal, NULL))
		g_ptr_array_add(options->fuse_options, g_strdup(option));
}
/* `b` is the name of an option. */
static size_t edit_distance(const char *a, const char *b)
{
	size_t len = strlen(b);
	size_t line[OPTIONS_KEY_MAX + 1];

	g_assert(len <= OPTIONS_KEY_MAX);
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

bool options_unknown(const char *key, bool is_long, GError **error)
{
	const char *dashes = is_long ? "--" : "";
	g_autofree char *shown = text_clean(key, -1, OPTIONS_KEY_MAX);
	g_autofree char *hint = NULL;
	const char *name = NULL;
	size_t best = 3;
	size_t count;
	const struct row *rows = options_rows(&count);

	/* The distance costs the product of both lengths. */
	for (size_t i = 0; strlen(key) <= OPTIONS_KEY_MAX && i < count; i++) {
		if (rows[i].name && (is_long || !rows[i].letter))
			suggest(rows[i].name, key, &best, &name);
	}
	for (size_t i = 0; !is_long && strlen(key) <= OPTIONS_KEY_MAX && options_fuse_words[i]; i++)
		suggest(options_fuse_words[i], key, &best, &name);
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
	return options_bad_value(error, row->name, value, wanted);
}

bool options_row_apply(const struct row *row, struct parse *parse, const char *value,
		       GError **error)
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

	if (*item == '\0' || options_is_mount_word(item))
		return true;
	key = options_key_split(item, &value);
	row = options_row_by_name(key);
	if (row && !row->letter)
		return options_row_apply(row, parse, value, error);
	if (!value && g_strv_contains(options_fuse_words, key)) {
		options_fuse_add(parse->options, key);
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
