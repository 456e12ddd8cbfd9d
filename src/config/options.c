#include "config/options_private.h"

#include "base/error.h"
#include "base/text.h"

#include <string.h>

/* "--key", "--key=value", or "--key" and the value in `next`, which `*ret_used` tells. */
static bool long_apply(struct parse *parse, const char *text, const char *next, bool *ret_used,
		       GError **error)
{
	const char *value;
	g_autofree char *key = options_key_split(text, &value);
	const struct row *row = options_row_by_name(key);

	if (!row)
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
	for (; *letters && parse->result == OPTIONS_RUN; letters++) {
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
		options_fuse_add(options, "allow_other");
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
