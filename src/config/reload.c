#include "config/reload.h"

#include "config/options_private.h"

#include <string.h>

struct reload {
	const struct options *first;
	struct options latest; /* that tell of secrets; empty: the first do */
	bool moved;
};

struct reload *reload_new(const struct options *options)
{
	struct reload *reload = g_new0(struct reload, 1);

	reload->first = options;
	return reload;
}

void reload_free(struct reload **reload)
{
	if (*reload)
		options_clear(&(*reload)->latest);
	g_clear_pointer(reload, g_free);
}

static const struct options *current(const struct reload *reload)
{
	return reload->latest.account.name ? &reload->latest : reload->first;
}

const struct account *reload_account(const struct reload *reload)
{
	return &current(reload)->account;
}

bool reload_has_moved(const struct reload *reload)
{
	return reload->moved;
}

/* --- what has changed --- */

/* "key = value" */
static char *key_of(const char *line)
{
	return g_strndup(line, strcspn(line, " "));
}

static bool is_source(const char *key)
{
	const struct row *row = options_row_by_name(key);

	return row && row->secret != SECRET_NONE;
}

/* Adds the keys of the lines that the other text has not. */
static void add_keys(GPtrArray *keys, char **lines, char **others, bool sources)
{
	for (; *lines; lines++) {
		g_autofree char *key = key_of(*lines);

		if (is_source(key) == sources && !g_strv_contains((const char **)others, *lines) &&
		    !g_ptr_array_find_with_equal_func(keys, key, g_str_equal, NULL))
			g_ptr_array_add(keys, g_steal_pointer(&key));
	}
}

/* "poll, idle"; NULL: none. */
static char *changed_keys(const struct options *old, const struct options *new, bool sources)
{
	g_autoptr(GPtrArray) keys = g_ptr_array_new_with_free_func(g_free);
	g_auto(GStrv) before = g_strsplit(old->text, "\n", -1);
	g_auto(GStrv) after = g_strsplit(new->text, "\n", -1);

	add_keys(keys, before, after, sources);
	add_keys(keys, after, before, sources);
	if (keys->len == 0)
		return NULL;
	g_ptr_array_add(keys, NULL);
	return g_strjoinv(", ", (char **)keys->pdata);
}

/* --- what may be shown to whom --- */

static bool is_same_submission(const struct account *a, const struct account *b)
{
	return g_strcmp0(a->smtp.host, b->smtp.host) == 0 && a->smtp.port == b->smtp.port &&
	       a->smtp.tls == b->smtp.tls && a->smtp.auth == b->smtp.auth &&
	       g_strcmp0(a->smtp.user, b->smtp.user) == 0 &&
	       g_strcmp0(a->smtp.tls_fingerprint, b->smtp.tls_fingerprint) == 0;
}

/* Those of the mount are connected to in the same way. */
static bool is_same_place(const struct account *a, const struct account *b)
{
	return strcmp(a->name, b->name) == 0 && a->protocol == b->protocol && a->tls == b->tls &&
	       a->auth == b->auth && g_strcmp0(a->tls_ca, b->tls_ca) == 0 &&
	       g_strcmp0(a->tls_fingerprint, b->tls_fingerprint) == 0 && is_same_submission(a, b);
}

/* What is wanted of which server was settled when it was mounted. */
static bool is_same_kind(const struct account *a, const struct account *b)
{
	return account_needs_password(a) == account_needs_password(b) &&
	       submission_needs_password(a) == submission_needs_password(b) &&
	       submission_uses_token(a) == submission_uses_token(b) &&
	       !a->token_command == !b->token_command;
}

/* --- reading --- */

static char *tell(const struct reload *reload, const char *live, const char *later)
{
	GString *text;

	if (!live && !later)
		return NULL;
	text = g_string_new(NULL);
	g_string_append_printf(text, "%s was changed", reload->first->account.config);
	if (live)
		g_string_append_printf(text, "; from now on: %s", live);
	if (later)
		g_string_append_printf(text, "; from the next mount on: %s", later);
	return g_string_free(text, FALSE);
}

bool reload_read(struct reload *reload, char **ret_text, GError **error)
{
	const struct options *first = reload->first;
	g_autofree char *sources = NULL;
	g_autofree char *others = NULL;
	struct options options;

	if (!options_reread(first, &options, error))
		return false;
	reload->moved = !is_same_place(&first->account, &options.account);
	sources = changed_keys(current(reload), &options, true);
	others = changed_keys(first, &options, false);
	if (reload->moved || !is_same_kind(&first->account, &options.account)) {
		g_autofree char *later = sources && others ? g_strjoin(", ", others, sources, NULL)
					 : sources	   ? g_strdup(sources)
							   : g_strdup(others);

		options_clear(&options);
		*ret_text = tell(reload, NULL, later);
		return true;
	}
	options_clear(&reload->latest);
	reload->latest = options;
	*ret_text = tell(reload, sources, others);
	return true;
}
