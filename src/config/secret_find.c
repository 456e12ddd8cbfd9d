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
#define CREDENTIAL "mailfs.password"
#define CREDENTIAL_SMTP "mailfs.smtp_password"

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

/* What a systemd unit was given with LoadCredential=; NULL if nothing. */
static char *credential_path(const char *name)
{
	const char *dir = g_getenv("CREDENTIALS_DIRECTORY");
	g_autofree char *path = dir ? g_build_filename(dir, name, NULL) : NULL;

	return path && g_file_test(path, G_FILE_TEST_EXISTS) ? g_steal_pointer(&path) : NULL;
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

static struct secret *secret_ask(const struct account *account, GError **error)
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

/* Of the sources that can be named, and the credential; `prefix` stands before their names. True
 * without a secret: none of them was given. */
static bool named_find(const char *command, const char *file, const char *prefix,
		       const char *credential_name, struct secret **ret_secret, GError **error)
{
	g_autofree char *credential = credential_path(credential_name);
	g_autofree char *file_what = g_strconcat(prefix, "password_file", NULL);
	g_autofree char *credential_what = g_strconcat("credential ", credential_name, NULL);

	*ret_secret = NULL;
	if (command)
		*ret_secret = secret_from_command(command, COMMAND_TIMEOUT_MS, error);
	else if (file)
		*ret_secret = secret_from_file(file, true, file_what, error);
	/* Its owner and mode are systemd's: others do not get into the directory. */
	else if (credential)
		*ret_secret = secret_from_file(credential, false, credential_what, error);
	else
		return true;
	return *ret_secret != NULL;
}

struct secret *secret_find(const struct account *account, bool may_ask, GError **error)
{
	struct secret *secret;

	if (account->password_in_file && !account->password_command && !account->password_file)
		return conf_password(account->config, account->alias, "password", error);
	if (!named_find(account->password_command, account->password_file, "", CREDENTIAL, &secret,
			error) ||
	    secret)
		return secret;
	if (!netrc_find(account->host, account->user, &secret, error) || secret)
		return secret;
	if (may_ask)
		return secret_ask(account, error);
	g_set_error(error, MAILFS_ERROR, ERROR_CONFIG,
		    "no password for %s: give password_command or password_file, or add it to "
		    "~/.netrc",
		    account->name);
	return NULL;
}

struct secret *secret_find_submission(const struct account *account,
				      const struct secret *account_secret, GError **error)
{
	const struct submission *smtp = &account->smtp;
	const char *user = submission_user(account);
	struct secret *secret;

	if (smtp->password_in_file && !smtp->password_command && !smtp->password_file)
		return conf_password(account->config, account->alias, "smtp_password", error);
	if (!named_find(smtp->password_command, smtp->password_file, "smtp_", CREDENTIAL_SMTP,
			&secret, error) ||
	    secret)
		return secret;
	/* Of the same host and user ~/.netrc says nothing that the account has not weighed. */
	if (strcmp(smtp->host, account->host) == 0 && strcmp(user, account->user) == 0)
		return secret_new(secret_text(account_secret), secret_len(account_secret));
	if (!netrc_find(smtp->host, user, &secret, error) || secret)
		return secret;
	return secret_new(secret_text(account_secret), secret_len(account_secret));
}
