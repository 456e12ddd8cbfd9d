#include "config/secret.h"

#include "base/error.h"
#include "base/file.h"
#include "base/limits.h"
#include "config/account.h"
#include "config/conf.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define COMMAND_TIMEOUT_MS 60000
#define NETRC_MAX (1024 * 1024)
#define PROGRAM "secret-tool"

/* Where one of the account's two passwords may be. */
struct place {
	const struct secret_search *search;
	const char *command; /* NULL: not named, as the rest */
	const char *file;
	bool in_config;
	const char *key; /* "password", as options, the configuration file and credentials have
			  * it */
	bool submission;
	const char *service; /* as the Secret Service has it */
	const char *host;
	const char *user;
};

static void wipe_and_free(char *bytes, gsize len)
{
	explicit_bzero(bytes, len);
	g_free(bytes);
}

static struct secret *secret_from_file(const char *path, bool private, const char *what,
				       GError **error)
{
	g_autoptr(GError) why = NULL;
	struct secret *secret;
	char *bytes;
	gsize len;

	if (!file_read(path, LIMIT_SECRET, private, &bytes, &len, &why)) {
		g_set_error(error, MAILFS_ERROR, ERROR_CONFIG, "%s: %s", what, why->message);
		return NULL;
	}
	secret = secret_from_line(bytes, len, what, error);
	wipe_and_free(bytes, len);
	return secret;
}

static struct secret *secret_from_shell(const struct secret_search *search, const char *text,
					const char *what, const char *noun, bool submission,
					GError **error)
{
	g_auto(GStrv) environment = secret_environment(search->account, submission);
	const char *const argv[] = {"/bin/sh", "-c", text, NULL};

	return secret_from_command(&(struct secret_command){.what = what,
							    .noun = noun,
							    .argv = argv,
							    .environment = environment,
							    .timeout_ms = COMMAND_TIMEOUT_MS,
							    .cancelled = search->cancelled},
				   error);
}

static char *credential_name(const struct place *place, bool of_this_account)
{
	const char *alias = place->search->account->alias;

	if (of_this_account)
		return alias ? g_strdup_printf("mailfs.%s.%s", alias, place->key) : NULL;
	return g_strconcat("mailfs.", place->key, NULL);
}

/* What a systemd unit was given with LoadCredential=. True without a secret: nothing. */
static bool credential_find(const struct place *place, struct secret **ret_secret, GError **error)
{
	const char *dir = g_getenv("CREDENTIALS_DIRECTORY");

	for (int turn = 0; dir && turn < 2; turn++) {
		g_autofree char *name = credential_name(place, turn == 0);
		g_autofree char *path = name ? g_build_filename(dir, name, NULL) : NULL;
		g_autofree char *what = g_strconcat("credential ", name, NULL);

		if (!path || !g_file_test(path, G_FILE_TEST_EXISTS))
			continue;
		/* Its owner and mode are systemd's: others do not get into the directory. */
		*ret_secret = secret_from_file(path, false, what, error);
		return *ret_secret != NULL;
	}
	return true;
}

/* By the attributes that msmtp and mpop use. No entry, and no service, are nothing to speak of; but
 * a question that nobody answered is. */
static bool service_find(const struct place *place, struct secret **ret_secret, GError **error)
{
	const struct account *account = place->search->account;
	g_autofree char *program = g_find_program_in_path(PROGRAM);
	g_auto(GStrv) environment = secret_environment(account, place->submission);
	const char *const argv[] = {program,	    "lookup", "host",	   place->host, "service",
				    place->service, "user",   place->user, NULL};
	const struct secret_command command = {.what = PROGRAM,
					       .noun = "password",
					       .argv = argv,
					       .environment = environment,
					       .timeout_ms = COMMAND_TIMEOUT_MS,
					       .cancelled = place->search->cancelled,
					       .quiet = true};
	g_autoptr(GError) why = NULL;

	if (!program)
		return true;
	*ret_secret = secret_from_command(&command, &why);
	if (!g_error_matches(why, MAILFS_ERROR, ERROR_TIMEOUT))
		return true;
	g_propagate_error(error, g_steal_pointer(&why));
	return false;
}

static bool netrc_lookup(const char *path, bool private, const char *host, const char *user,
			 struct secret **ret_secret, GError **error)
{
	char *text;
	gsize len;

	if (!file_read(path, NETRC_MAX, private, &text, &len, error))
		return false;
	*ret_secret = secret_from_netrc(text, host, user);
	wipe_and_free(text, len);
	return true;
}

/* True without a secret: nothing there for us. Others may read a file that holds nothing of ours,
 * so its mode counts only on a second look, which is the one that is used. */
static bool netrc_find(const char *host, const char *user, struct secret **ret_secret,
		       GError **error)
{
	g_autofree char *path = g_build_filename(g_get_home_dir(), ".netrc", NULL);
	g_autoptr(GError) why = NULL;
	struct secret *secret;

	*ret_secret = NULL;
	if (!netrc_lookup(path, false, host, user, &secret, NULL) || !secret)
		return true;
	secret_free(&secret);
	if (netrc_lookup(path, true, host, user, ret_secret, &why))
		return true;
	g_set_error(error, MAILFS_ERROR, ERROR_CONFIG, "%s", why->message);
	return false;
}

struct secret *secret_ask(const struct account *account, GError **error)
{
	g_autofree char *prompt = g_strdup_printf("Password for %s: ", account->name);
	int tty = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
	struct secret *secret;

	if (tty < 0) {
		g_set_error(error, MAILFS_ERROR, ERROR_CONFIG,
			    "no password for %s and no terminal to ask on: give password_command "
			    "or password_file, or add it to ~/.netrc",
			    account->name);
		return NULL;
	}
	secret = secret_from_terminal(tty, prompt, error);
	close(tty);
	return secret;
}

static struct secret *named_find(const struct place *place, GError **error)
{
	const struct account *account = place->search->account;
	g_autofree char *command = g_strconcat(place->key, "_command", NULL);
	g_autofree char *file = g_strconcat(place->key, "_file", NULL);

	if (place->command)
		return secret_from_shell(place->search, place->command, command, "password",
					 place->submission, error);
	if (place->file)
		return secret_from_file(place->file, true, file, error);
	return conf_password(account->config, account->alias, place->key, error);
}

/* True without a secret: there is none but in ~/.netrc, perhaps. */
static bool place_look(const struct place *place, struct secret **ret_secret, GError **error)
{
	*ret_secret = NULL;
	if (place->command || place->file || place->in_config) {
		*ret_secret = named_find(place, error);
		return *ret_secret != NULL;
	}
	if (!credential_find(place, ret_secret, error) || *ret_secret)
		return *ret_secret != NULL;
	return service_find(place, ret_secret, error);
}

bool secret_find(const struct secret_search *search, struct secret **ret_secret, GError **error)
{
	const struct account *account = search->account;
	const struct place place = {
		.search = search,
		.command = account->password_command,
		.file = account->password_file,
		.in_config = account->password_in_file,
		.key = "password",
		.service = account->protocol == ACCOUNT_POP3 ? "pop3" : "imap",
		.host = account->host,
		.user = account->user,
	};
	struct secret *secret;

	if (!place_look(&place, &secret, error) ||
	    (!secret && !netrc_find(place.host, place.user, &secret, error)))
		return false;
	*ret_secret = secret;
	return true;
}

bool secret_find_submission(const struct secret_search *search, struct secret **ret_secret,
			    GError **error)
{
	const struct account *account = search->account;
	const struct submission *smtp = &account->smtp;
	const struct place place = {
		.search = search,
		.command = smtp->password_command,
		.file = smtp->password_file,
		.in_config = smtp->password_in_file,
		.key = "smtp_password",
		.submission = true,
		.service = "smtp",
		.host = smtp->host,
		.user = submission_user(account),
	};
	/* Of the same host and user ~/.netrc says nothing that the account has not weighed. */
	bool is_same =
		strcmp(smtp->host, account->host) == 0 && strcmp(place.user, account->user) == 0;
	struct secret *secret;

	if (!place_look(&place, &secret, error) ||
	    (!secret && !is_same && !netrc_find(place.host, place.user, &secret, error)))
		return false;
	*ret_secret = secret;
	return true;
}

/* One word of ASCII (RFC 6750 section 2.1, and what is used beyond it); no error page. */
static bool is_token(const char *text)
{
	for (; *text; text++) {
		if (!g_ascii_isgraph(*text))
			return false;
	}
	return true;
}

struct secret *secret_find_token(const struct secret_search *search, GError **error)
{
	static const char what[] = "oauth2_token_command";
	struct secret *token = secret_from_shell(search, search->account->token_command, what,
						 "token", false, error);

	if (token && !is_token(secret_text(token))) {
		secret_free(&token);
		g_set_error(error, MAILFS_ERROR, ERROR_CONFIG,
			    "the first line that %s prints is no token", what);
	}
	return token;
}
