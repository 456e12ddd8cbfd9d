#include "config/options_private.h"

#include "base/error.h"

#include <string.h>

/* A command line, or what it says of one account. */
struct command {
	int argc;
	char **argv;
	const char *account;	/* instead of the arguments, */
	const char *mountpoint; /* likewise; NULL: the account's */
	const char *dir;	/* where it was written; NULL: here */
};

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

static void said_forget(struct parse *parse)
{
	size_t count;

	options_rows(&count);
	for (size_t i = 0; parse->said && i < count; i++)
		g_free(parse->said[i].value);
	g_free(parse->said);
	parse->said = g_new0(struct said, count);
}

/* Nothing was said yet. */
static void parse_begin(struct parse *parse)
{
	options_clear(parse->options);
	options_init(parse->options);
	said_forget(parse);
	g_ptr_array_set_size(parse->arguments, 0);
	parse->conflict = NULL;
	parse->tls_off = parse->smtp_tls_off = false;
	parse->sending = NULL;
	parse->result = OPTIONS_RUN;
}

static void parse_clear(struct parse *parse)
{
	said_forget(parse);
	g_free(parse->said);
	g_ptr_array_unref(parse->arguments);
	g_hash_table_unref(parse->ignored);
}

static bool command_read(struct parse *parse, const struct command *command, GError **error)
{
	parse->origin = ORIGIN_COMMAND;
	return options_arguments_read(parse, command->argc, command->argv, error);
}

static bool usage(GError **error, const char *message)
{
	g_set_error_literal(error, MAILFS_ERROR, ERROR_USAGE, message);
	return false;
}

static struct conf *file_read(const struct options *options, GError **error)
{
	struct conf *conf = conf_read(options->config, error);

	if (conf && !options_file_check(conf, error))
		conf_free(&conf);
	return conf;
}

/* What [defaults] says and this account cannot have is left out. */
static bool is_forgiven(struct parse *parse)
{
	const struct row *row = parse->conflict;

	return row && parse->said[options_row_index(row)].origin == ORIGIN_DEFAULTS &&
	       g_hash_table_add(parse->ignored, (gpointer)row);
}

/* Who wrote the contradiction: the file, unless the option stands on the command line. */
static bool contradiction(const struct parse *parse, const struct conf *conf, const char *account,
			  const GError *why, GError **error)
{
	const struct row *row = parse->conflict;

	if (row && parse->said[options_row_index(row)].origin == ORIGIN_COMMAND)
		return usage(error, why->message);
	g_set_error(error, MAILFS_ERROR, ERROR_CONFIG, "%s: [account %s]: %s", conf_path(conf),
		    account, why->message);
	return false;
}

static bool account_read(struct parse *parse, const struct command *command,
			 const struct conf *conf, const char *account, GError **error)
{
	for (;;) {
		g_autoptr(GError) why = NULL;

		parse_begin(parse);
		if (!options_file_apply(parse, conf, account, error) ||
		    !command_read(parse, command, error))
			return false;
		if (options_check(parse, &why))
			return true;
		if (!is_forgiven(parse))
			return contradiction(parse, conf, account, why, error);
	}
}

/* Its parts may be a password. */
static bool not_a_source(GError **error)
{
	return usage(error, "SOURCE is neither a URL like imaps://alice@imap.example.org nor an "
			    "account of the configuration file");
}

static bool source_from_file(struct parse *parse, const struct command *command,
			     const char *account, GError **error)
{
	struct conf *conf;
	bool ok;

	if (!conf_is_account_name(account))
		return not_a_source(error);
	conf = file_read(parse->options, error);
	if (!conf)
		return false;
	if (conf_group(conf, account))
		ok = account_read(parse, command, conf, account, error);
	else
		ok = conf_no_account(conf, account, error);
	conf_free(&conf);
	return ok;
}

static bool source_from_url(struct parse *parse, const char *url, GError **error)
{
	if (parse->result == OPTIONS_PRINT_CONFIG)
		return usage(error, "--print-config takes the name of one account, and no URL");
	if (parse->options->config)
		return usage(error, "a configuration file means nothing with a URL, which stands "
				    "for itself: name one of its accounts");
	return account_parse_url(&parse->options->account, url, error) &&
	       options_check(parse, error);
}

static bool mountpoint_set(struct options *options, const char *mountpoint, GError **error)
{
	const struct account *account = &options->account;

	if (mountpoint && *mountpoint == '\0')
		return usage(error, "MOUNTPOINT is empty");
	if (mountpoint) {
		g_free(options->mountpoint);
		options->mountpoint = g_canonicalize_filename(mountpoint, NULL);
	}
	if (options->mountpoint)
		return true;
	if (!account->alias)
		return usage(error, "MOUNTPOINT is missing");
	g_set_error(error, MAILFS_ERROR, ERROR_USAGE,
		    "MOUNTPOINT is missing, and [account %s] of %s has no mountpoint",
		    account->alias, account->config);
	return false;
}

/* For whom it is mounted for, who may want to know later what has changed. */
static void keep_text(struct parse *parse, const struct command *command, const char *source)
{
	struct options *options = parse->options;

	if (!options->account.alias)
		return;
	options->text = options_file_print(parse, source);
	options->argv = g_new0(char *, command->argc + 1);
	for (int i = 0; i < command->argc; i++)
		options->argv[i] = g_strdup(command->argv[i]);
	options->dir = command->dir ? g_strdup(command->dir) : g_get_current_dir();
}

/* `source` and `mountpoint` are of the command line, which outlives this. */
static bool one_account(struct parse *parse, const struct command *command, const char *source,
			const char *mountpoint, GError **error)
{
	struct options *options = parse->options;

	if (strstr(source, "://") ? !source_from_url(parse, source, error)
				  : !source_from_file(parse, command, source, error))
		return false;
	if (options->allow_other)
		options_fuse_set(options, "allow_other", true);
	options->foreground |= options->debug;
	options->source = g_strdup(source);
	keep_text(parse, command, source);
	if (parse->result == OPTIONS_RUN || parse->result == OPTIONS_ALL)
		return mountpoint_set(options, mountpoint, error);
	return true;
}

static bool all_accounts(struct options *options, const char *dir, GError **error)
{
	struct conf *conf = file_read(options, error);

	if (!conf)
		return false;
	options->accounts = conf_accounts(conf);
	if (dir)
		options->mountpoint = g_canonicalize_filename(dir, NULL);
	options->foreground |= options->debug;
	if (!*options->accounts)
		g_set_error(error, MAILFS_ERROR, ERROR_CONFIG, "%s: no [account NAME] there",
			    conf_path(conf));
	conf_free(&conf);
	return *options->accounts != NULL;
}

/* How many arguments an action takes, and what is said of others. */
static bool arguments_count(const struct parse *parse, GError **error)
{
	guint count = parse->arguments->len;

	switch (parse->result) {
	case OPTIONS_RUN:
		return count == 0  ? usage(error, "SOURCE and MOUNTPOINT are missing")
		       : count > 2 ? usage(error, "more than SOURCE and MOUNTPOINT were given")
				   : true;
	case OPTIONS_ALL:
		return count <= 1 || usage(error, "more than DIR was given with --all");
	case OPTIONS_CHECK:
		return count <= 1 || usage(error, "more than one account was given to --check");
	case OPTIONS_LIST_ACCOUNTS:
		return count == 0 || usage(error, "--list-accounts takes no argument");
	case OPTIONS_PRINT_CONFIG:
		return count == 1 || usage(error, "--print-config takes the name of one account");
	case OPTIONS_HELP:
	case OPTIONS_VERSION:
	case OPTIONS_ERROR:
		break;
	}
	return true;
}

static bool command_perform(struct parse *parse, const struct command *command, GError **error)
{
	const char *first = NULL;
	const char *second = NULL;

	parse_begin(parse);
	if (!command_read(parse, command, error))
		return false;
	if (parse->result == OPTIONS_HELP || parse->result == OPTIONS_VERSION)
		return true;
	if (command->account)
		return one_account(parse, command, command->account, command->mountpoint, error);
	if (!arguments_count(parse, error))
		return false;
	if (parse->arguments->len > 0)
		first = g_ptr_array_index(parse->arguments, 0);
	if (parse->arguments->len > 1)
		second = g_ptr_array_index(parse->arguments, 1);
	if (parse->result == OPTIONS_ALL || !first)
		return all_accounts(parse->options, first, error);
	return one_account(parse, command, first, second, error);
}

static enum options_result command_parse(struct options *options, const struct command *command,
					 GError **error)
{
	struct parse parse = {.options = options,
			      .dir = command->dir,
			      .arguments = g_ptr_array_new(),
			      .ignored = g_hash_table_new(NULL, NULL)};
	enum options_result result;

	*options = (struct options){0};
	result = command_perform(&parse, command, error) ? parse.result : OPTIONS_ERROR;
	parse_clear(&parse);
	if (result == OPTIONS_ERROR || result == OPTIONS_HELP || result == OPTIONS_VERSION)
		options_clear(options);
	return result;
}

enum options_result options_parse(struct options *options, int argc, char **argv, GError **error)
{
	const struct command command = {.argc = argc, .argv = argv};

	return command_parse(options, &command, error);
}

bool options_parse_account(struct options *options, int argc, char **argv, const char *account,
			   const char *mountpoint, GError **error)
{
	const struct command command = {
		.argc = argc, .argv = argv, .account = account, .mountpoint = mountpoint};

	return command_parse(options, &command, error) != OPTIONS_ERROR;
}

bool options_reread(const struct options *options, struct options *ret, GError **error)
{
	const struct command command = {.argc = (int)g_strv_length(options->argv),
					.argv = options->argv,
					.account = options->account.alias,
					.mountpoint = options->mountpoint,
					.dir = options->dir};

	return command_parse(ret, &command, error) != OPTIONS_ERROR;
}

void options_clear(struct options *options)
{
	account_clear(&options->account);
	g_free(options->source);
	g_free(options->mountpoint);
	g_free(options->config);
	g_free(options->text);
	g_strfreev(options->argv);
	g_free(options->dir);
	g_strfreev(options->accounts);
	g_clear_pointer(&options->fuse_options, g_ptr_array_unref);
	*options = (struct options){0};
}
