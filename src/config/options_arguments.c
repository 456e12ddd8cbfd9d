#include "config/options_private.h"

#include "base/error.h"
#include "base/text.h"

#include <string.h>

/* Nothing that comes behind --help can be wrong. */
static bool is_over(const struct parse *parse)
{
	return parse->result == OPTIONS_HELP || parse->result == OPTIONS_VERSION;
}

/* "--key", "--key=value", or "--key" and the value in `next`, which `*ret_used` tells. */
static bool long_apply(struct parse *parse, const char *text, const char *next, bool *ret_used,
		       GError **error)
{
	const char *value;
	g_autofree char *key = options_key_split(text, &value);
	const struct row *row = options_row_by_name(key);

	if (!row || row->place == PLACE_ACCOUNT)
		return options_unknown(key, true, error);
	if (row->value && !value) {
		value = next;
		*ret_used = true;
	}
	return options_row_apply(row, parse, value, error);
}

/* Letters in a row; the first one with a value takes the rest, or `next`. */
static bool letters_apply(struct parse *parse, const char *letters, const char *next,
			  bool *ret_used, GError **error)
{
	for (; *letters && !is_over(parse); letters++) {
		const struct row *row = options_row_by_letter(*letters);

		if (!row) {
			g_autofree char *shown = text_clean(letters, 1, 4);

			g_set_error(error, MAILFS_ERROR, ERROR_USAGE, "unknown option '-%s'",
				    shown);
			return false;
		}
		if (row->value) {
			*ret_used = letters[1] == '\0';
			return options_row_apply(row, parse, *ret_used ? next : letters + 1, error);
		}
		if (!options_row_apply(row, parse, NULL, error))
			return false;
	}
	return true;
}

bool options_is_helper(const char *program)
{
	g_autofree char *name = g_path_get_basename(program);

	return g_str_has_prefix(name, "mount.");
}

/* mount(8) gives its helpers letters of its own: not to write mtab, to be verbose or sloppy, to do
 * all but mount, and the type, which says nothing new. */
static bool helper_letters(struct options *options, const char *text, bool *ret_used)
{
	bool known = text[1] != '\0' && strspn(text + 1, "fnsv") == strlen(text + 1);

	if (known)
		options->fake |= strchr(text, 'f') != NULL;
	*ret_used = strcmp(text, "-t") == 0;
	return *ret_used || known;
}

/* Options may stand behind the arguments: mount(8) writes them so. */
bool options_arguments_read(struct parse *parse, int argc, char **argv, GError **error)
{
	bool is_helper = argc > 0 && options_is_helper(argv[0]);
	bool options_end = false;

	parse->options->helper = is_helper;
	for (int i = 1; i < argc && !is_over(parse); i++) {
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
		else if (!is_helper || !helper_letters(parse->options, text, &used))
			ok = letters_apply(parse, text + 1, next, &used, error);
		if (!ok)
			return false;
		i += used;
	}
	return true;
}
